"""Draw curves of training, and curves of precision and recall."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wsedtk.core.types import Floats
from wsedtk.report.plots.style import COLORS, color, legend_columns, plain, styled

# `training_curves` draws these columns of a training history.
HISTORY = ("step", "train_loss", "valid_loss", "valid_f1", "valid_map")
_MARKERS = "oDs"


class Curve(NamedTuple):
    """A precision-recall curve of C points.

    Attributes
    ----------
    system : int
        The index of the system.
    recall, precision : (C,) float
    text : str
        A text that is shown in the colour of the system.
    """

    system: int
    recall: Floats
    precision: Floats
    text: str


class Point(NamedTuple):
    """Precision and recall of the decisions of a system.

    `system` and `mark` are indices into the arguments `systems` and `marks` of `precision_recall`.
    """

    system: int
    mark: int
    recall: float
    precision: float


class Panel(NamedTuple):
    """The curves and points of a class."""

    title: str
    curves: list[Curve]
    points: list[Point]


@styled
def training_curves(history: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Draw the curves of a training run over the batches.

    The losses are on the left. F1 and MAP on the validation set are on the right.

    Parameters
    ----------
    history : mapping
        {column: values}, with at least the columns of `HISTORY`.
    title : str
    """
    figure = Figure(figsize=(7.5, 2.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, text, style in (("train_loss", "fit", COLORS[0]), ("valid_loss", "valid", COLORS[1])):
        left.plot(history["step"], history[name], color=style, label=text, marker=".")
    for name, text, style in (
        ("valid_f1", "tagging F1", COLORS[2]),
        ("valid_map", "MAP", COLORS[3]),
    ):
        right.plot(history["step"], history[name], color=style, label=text, marker=".")
    left.set_ylabel("loss")
    left.set_ylim(bottom=0)
    right.set_ylabel("on the validation set")
    right.set_ylim(0, 1)
    for axes in (left, right):
        axes.set_xlabel("batch")
        axes.grid()
        axes.legend()
    figure.suptitle(plain(title), fontsize=9)
    return figure


@styled
def precision_recall(
    panels: Sequence[Panel], systems: Sequence[str], marks: Sequence[str] = ()
) -> Figure:
    """Draw precision over recall, in one panel per class and with one colour per system.

    Parameters
    ----------
    panels : sequence of Panel
    systems : sequence of str
        The names of the systems.
    marks : sequence of str
        The meaning of each mark, for the legend.
    """
    columns = min(4, len(panels))
    rows = math.ceil(len(panels) / columns)
    names = [plain(name, 40) for name in [*systems, *marks]]
    legend_height = 0.25 + 0.19 * math.ceil(len(names) / legend_columns(names))
    figure = Figure(figsize=(7.5, 1.85 * rows + 0.15 + legend_height))
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, (title, curves, points) in zip(grid.flat, panels):
        axes.set_title(plain(title, 28), fontsize=8, loc="left")
        for system, recall, precision, text in curves:
            axes.step(recall, precision, where="pre", color=color(system), linewidth=1.2)
            axes.text(
                0.03,
                0.04 + 0.1 * (len(systems) - 1 - system),
                text,
                color=color(system),
                fontsize=7,
            )
        for system, mark, x, y in points:
            axes.plot(
                x,
                y,
                _MARKERS[mark],
                color=color(system),
                markersize=5.5,
                markeredgecolor="white",
                clip_on=False,
                zorder=3,
            )
        axes.set(
            xlim=(0, 1),
            ylim=(0, 1.02),
            xticks=[0, 0.5, 1],
            yticks=[0, 0.5, 1],
            xticklabels=["0", "0.5", "1"],
        )
        axes.grid()
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for column in range(columns):
        lowest = grid[(len(panels) - 1 - column) // columns][column]
        lowest.set_xlabel("recall")
        lowest.tick_params(labelbottom=True)
    for axes in grid[:, 0]:
        axes.set_ylabel("precision")
    height = figure.get_figheight()
    figure.subplots_adjust(
        left=0.065,
        right=0.985,
        bottom=0.4 / height,
        top=1 - legend_height / height,
        wspace=0.12,
        hspace=0.32,
    )
    handles = [Line2D([], [], color=color(i)) for i in range(len(systems))]
    handles += [
        Line2D([], [], linestyle="", marker=_MARKERS[i], color="#444") for i in range(len(marks))
    ]
    figure.legend(
        handles,
        names,
        loc="upper left",
        ncols=legend_columns(names),
        bbox_to_anchor=(0.055, 1),
        borderaxespad=0.1,
    )
    return figure
