"""Draw systems side by side: kinds of errors, errors by class, and metric values."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from wsedtk.core.types import Integers
from wsedtk.report.plots.style import COLORS, color, legend_columns, plain, styled

_PARTS = (("substitutions", COLORS[6]), ("deletions", COLORS[0]), ("insertions", COLORS[1]))


class ErrorRates(NamedTuple):
    """The three parts of the error rate of a system. Their sum is the error rate."""

    name: str
    substitutions: float
    deletions: float
    insertions: float


class SystemErrors(NamedTuple):
    """The number of false negatives (M,) and of false positives (M,) of a system for M classes."""

    name: str
    missed: Integers
    false_positives: Integers


class Interval(NamedTuple):
    """A metric value and the ends of its interval. Missing numbers are None."""

    value: float | None
    low: float | None
    high: float | None


class SystemFigures(NamedTuple):
    """The name of a system, its pooling ("" if unknown), and one value for each metric."""

    name: str
    pooling: str
    figures: Sequence[Interval]


@styled
def error_rates(systems: Sequence[ErrorRates]) -> Figure:
    """Draw stacked bars of the substitution, deletion and insertion rates of each system."""
    figure = Figure(figsize=(7.5, 0.3 * len(systems) + 0.85), layout="constrained")
    axes = figure.subplots()
    left = np.zeros(len(systems))
    parts = np.array([rates for _, *rates in systems]).T
    for (name, tint), values in zip(_PARTS, parts):
        axes.barh(range(len(systems)), values, left=left, color=tint, label=name, height=0.7)
        left += values
    for place, total in enumerate(left):
        axes.text(total, place, f" {total:.2f}", va="center", fontsize=8)
    axes.set_yticks(range(len(systems)), [plain(name, 40) for name, *_ in systems])
    axes.set_ylim(len(systems) - 0.5, -0.5)
    axes.set_xlim(0, max(left.max(initial=0) * 1.08, 1e-3))
    axes.set_xlabel("errors per active pair (segment, class) of the reference (sum: error rate)")
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper left", ncols=3)
    return figure


@styled
def class_errors(labels: Sequence[str], systems: Sequence[SystemErrors]) -> Figure:
    """Draw bars of false negatives (to the left) and false positives (to the right).

    Parameters
    ----------
    labels : sequence of str
        The M classes, from top to bottom.
    systems : sequence of SystemErrors
    """
    height = 0.8 / max(len(systems), 1)
    figure = Figure(
        figsize=(7.5, max(0.24, 0.12 * len(systems) + 0.08) * len(labels) + 0.9),
        layout="constrained",
    )
    axes = figure.subplots()
    places, largest = np.arange(len(labels)), 1
    for number, (name, missed, false_positives) in enumerate(systems):
        rows = places + (number - (len(systems) - 1) / 2) * height
        largest = max(largest, missed.max(initial=0), false_positives.max(initial=0))
        axes.barh(
            rows,
            -missed,
            height=height,
            color=color(number),
            alpha=0.5,
            edgecolor="white",
            linewidth=0.3,
        )
        axes.barh(
            rows,
            false_positives,
            height=height,
            color=color(number),
            label=plain(name, 40),
            edgecolor="white",
            linewidth=0.3,
        )
    axes.axvline(0, color="#444", linewidth=0.8)
    axes.set_xlim(-1.05 * largest, 1.05 * largest)
    axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    axes.set_yticks(places, [plain(label, 40) for label in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlabel("← segments missed          false positives →")
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    if len(systems) > 1:
        figure.legend(
            loc="outside upper left", ncols=legend_columns([name[:40] for name, *_ in systems])
        )
    return figure


@styled
def pooling_comparison(metrics: Sequence[str], systems: Sequence[SystemFigures]) -> Figure:
    """Draw the metric values of each system with their intervals, in one panel per metric.

    All systems with the same pooling have the same colour.

    Parameters
    ----------
    metrics : sequence of str
        The headings of the panels.
    systems : sequence of SystemFigures
    """
    columns = min(5, len(metrics))
    rows = -(-len(metrics) // columns)
    figure = Figure(figsize=(7.5, rows * (0.22 * len(systems) + 0.75) + 0.2), layout="constrained")
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    tints = {
        pooling: color(i)
        for i, pooling in enumerate(dict.fromkeys(pooling for _, pooling, _ in systems))
    }
    for number, (axes, title) in enumerate(zip(grid.flat, metrics)):
        for place, (_, pooling, values) in enumerate(systems):
            value, low, high = values[number]
            if value is not None:
                if low is not None:
                    axes.plot(
                        [low, high],
                        [place, place],
                        color=tints[pooling],
                        linewidth=2,
                        alpha=0.5,
                        solid_capstyle="butt",
                    )
                axes.plot(value, place, "o", color=tints[pooling], markersize=5)
        axes.set_title(title, loc="left")
        axes.set_ylim(len(systems) - 0.5, -0.5)
        axes.margins(x=0.12)
        axes.locator_params(axis="x", nbins=3)
        axes.grid()
        axes.tick_params(axis="y", length=0)
    for axes in grid.flat[len(metrics) :]:
        axes.set_visible(False)
    names = [
        plain(name, 30) + (f" ({plain(pooling)})" if pooling else "")
        for name, pooling, _ in systems
    ]
    grid[0][0].set_yticks(range(len(systems)), names)
    return figure
