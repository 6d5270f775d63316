"""What all figures share: colours, sizes, and how names and whole figures are written out."""

import functools
import io
import warnings

import matplotlib

from wsedtk.core.progress import printable

COLORS = [
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#7f7f7f",
    "#8c564b",
    "#17becf",
    "#bcbd22",
]
FORMATS = ("png", "svg", "pdf")
_STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888",
    "axes.labelcolor": "#333",
    "xtick.color": "#555",
    "ytick.color": "#555",
    "axes.titlecolor": "#222",
    "grid.color": "#ddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.labelcolor": "#333",
    "ytick.labelcolor": "#333",
    "legend.frameon": False,
    "svg.hashsalt": "wsedtk",
    "pdf.fonttype": 42,
}  # the same figure is the same file; its fonts can be edited
_NO_DATE = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def styled(function):
    """Draw a figure in the common style."""

    @functools.wraps(function)
    def draw(*arguments, **options):
        with matplotlib.rc_context(_STYLE):
            return function(*arguments, **options)

    return draw


def render(figure, kind):
    """The figure as bytes of one of FORMATS, the same each time."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Glyph .* missing from font"
        )  # a box stands for it; the page's text has the name itself
        figure.savefig(buffer, format=kind, dpi=120, metadata=_NO_DATE[kind])
    return buffer.getvalue()


def png(figure):
    """The figure as PNG bytes."""
    return render(figure, "png")


def color(label):
    """The colour of class, or system, number `label`; they repeat after ten."""
    return COLORS[label % len(COLORS)]


def legend_columns(names):
    """How many columns of a legend fit a picture's width."""
    return max(1, min(len(names), 110 // (max(map(len, names), default=0) + 7)))


def plain(text, longest=60):
    """A name as matplotlib shows it: a dollar sign begins no formula, an underscore at the front hides no class, a long one is cut."""
    text = printable(text if len(text) <= longest else f"{text[: longest - 3]}...")
    text = text.replace("\n", " ").replace("\t", " ").replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text
