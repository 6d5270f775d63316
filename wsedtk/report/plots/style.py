"""Style all figures, prepare names for matplotlib, and convert figures to bytes."""

import functools
import io
import warnings
from collections.abc import Callable, Collection
from typing import ParamSpec

import matplotlib
from matplotlib.figure import Figure

from wsedtk.core.progress import printable

P = ParamSpec("P")

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
    "svg.hashsalt": "wsedtk",  # the same figure always gives the same file
    "pdf.fonttype": 42,  # with TrueType fonts, text in a PDF can be edited
}
_NO_DATE = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def styled(function: Callable[P, Figure]) -> Callable[P, Figure]:
    """Decorate a function that draws a figure. The figure is drawn in the common style."""

    @functools.wraps(function)
    def draw(*arguments: P.args, **options: P.kwargs) -> Figure:
        with matplotlib.rc_context(_STYLE):
            return function(*arguments, **options)

    return draw


def render(figure: Figure, kind: str) -> bytes:
    """Convert a figure to the bytes of an image file. The same figure gives the same bytes.

    Parameters
    ----------
    figure : matplotlib Figure
    kind : {"png", "svg", "pdf"}
    """
    buffer = io.BytesIO()
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # matplotlib draws a box if its font has no glyph for a character of a name. The warning is
        # not needed, because the commands that draw figures also write the name as text.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(buffer, format=kind, dpi=120, metadata=_NO_DATE[kind])
    return buffer.getvalue()


def png(figure: Figure) -> bytes:
    """Convert a figure to the bytes of a PNG file."""
    return render(figure, "png")


def color(number: int) -> str:
    """Return the colour of a class or system. There are ten colours, which repeat."""
    return COLORS[number % len(COLORS)]


def legend_columns(names: Collection[str]) -> int:
    """Return how many columns of a legend fit into the width of a figure."""
    return max(1, min(len(names), 110 // (max(map(len, names), default=0) + 7)))


def plain(text: str, longest: int = 60) -> str:
    """Shorten a name to at most `longest` characters, and escape it for matplotlib.

    matplotlib reads a dollar sign as the start of a formula, and hides legend entries that begin
    with an underscore.
    """
    shortened = text if len(text) <= longest else f"{text[: longest - 3]}..."
    text = str(printable(shortened))
    text = text.replace("\n", " ").replace("\t", " ").replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text
