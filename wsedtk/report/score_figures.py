"""Add the figures of a report page: curves, errors, and a comparison of poolings.

In shapes, N is the number of clips or segments.
"""

import functools
import operator
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from wsedtk.core.config import read_yaml
from wsedtk.core.errors import InputError
from wsedtk.core.types import Booleans, Floats, Integers
from wsedtk.evaluation import average_precision, comparisons, report_data
from wsedtk.evaluation.columns import columns
from wsedtk.evaluation.metric import Place
from wsedtk.evaluation.scored_systems import Scored
from wsedtk.report import plots
from wsedtk.report.clip_pages import MAX_SYSTEMS
from wsedtk.report.page import Cell, Page, Row, table
from wsedtk.report.plots import Curve, Figure, Interval, Panel, Point, SystemErrors, SystemFigures

# The largest number of classes with curves. If more classes occur in the reference, only the curves
# of the best and the worst classes are drawn.
MOST_PANELS = 20
NUM_WORST = 15  # largest number of classes in the figure of errors by class
NUM_NAMED = 3  # largest number of classes that a cell of the error table names
MAX_MODES = 3  # largest number of decoding modes that are marked in segment curves


def one_a_system(group: Iterable[Scored]) -> list[Scored]:
    """Return one folder for each system. Folders that were decoded in frame mode are preferred."""
    chosen: dict[str, Scored] = {}
    for one in group:
        if one.system not in chosen or one.by_frames:
            chosen[one.system] = one
    return list(chosen.values())


def read_history(path: Path) -> dict[str, list[float]]:
    """Read a training history as {column: values}.

    Raises
    ------
    InputError
        If the history cannot be read, or lacks a column that is drawn.
    """
    try:
        lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
        history = {name: [float(row[i]) for row in lines[1:]] for i, name in enumerate(lines[0])}
    except (OSError, ValueError, IndexError):
        history = {}
    if not set(plots.HISTORY) <= set(history):
        raise InputError(
            f"{path}: is not a training history; expected a table of numbers with the columns "
            f"{', '.join(plots.HISTORY)}"
        )
    return history


def _pooling(folder: Path) -> str:
    """Return the pooling and the hierarchy that model.yaml contains. "" if it contains neither."""
    path = folder / "model.yaml"
    described = read_yaml(path) if path.exists() else None
    if not isinstance(described, dict):
        return ""
    names = [described.get(key) for key in ("pooling", "hierarchy")]
    return ", ".join(str(name) for name in names if name)


def pooling_figure(group: Sequence[Scored], poolings: Mapping[str, str]) -> Figure:
    """Draw the metric values of systems side by side, with their intervals.

    Parameters
    ----------
    group : sequence of Scored
        Evaluated folders of one set and mode, one for each system.
    poolings : mapping
        {system: its pooling}
    """
    reports = [one.report for one in group]
    shown = report_data.measured(columns(Place.PICTURE, reports), reports)
    systems = []
    for one in group:
        figures = []
        for column in shown:
            low, high = report_data.interval(one.report, column) or (None, None)
            figures.append(Interval(report_data.figure(one.report, column), low, high))
        systems.append(SystemFigures(one.system, poolings[one.system], figures))
    return plots.pooling_comparison([column.heading for column in shown], systems)


def add_poolings(page: Page, found: Iterable[Scored], systems: Mapping[str, Path]) -> None:
    """Add a figure for each set and mode with several evaluated systems.

    Parameters
    ----------
    page : Page
    found : iterable of Scored
    systems : mapping
        {name: model directory}
    """
    poolings = {name: _pooling(folder) for name, folder in systems.items()}
    groups: dict[str, list[Scored]] = {}
    for one in found:
        groups.setdefault(f"{one.set}/{one.mode}", []).append(one)
    for name, group in groups.items():
        if len(group) > 1:
            caption = (
                f"{name}: each system, with its pooling in brackets. The bars are 95 % intervals "
                "over clips."
            )
            page.figure(f"{name}: poolings", pooling_figure(group, poolings), caption=caption)


def _curve(system: int, values: Floats, truth: Booleans) -> Curve:
    """Return the precision-recall curve of a class from its scores (N,) and reference (N,) bool."""
    curve = comparisons.thinned(average_precision.precision_recall(values, truth))
    text = f"AP {average_precision.average_precision(values, truth):.3f}"
    return Curve(system, curve.recall, curve.precision, text)


def _panels(one: Scored, occurring: Sequence[int], section: str) -> tuple[list[int], str]:
    """Return the classes that are drawn, and their description for a caption.

    `occurring` contains the indices of classes that have reference tags or segments.
    """
    if len(occurring) <= MOST_PANELS:
        return list(occurring), "all classes that occur in the reference"
    classes = one.report["classes"]
    ranked = sorted(occurring, key=lambda k: -(classes[one.labels[k]][section]["f1"] or 0))
    half = MOST_PANELS // 2
    text = f"the best and the worst classes by F1 (of {len(occurring)} classes in the reference)"
    return ranked[:half] + ranked[-half:], text


def add_curves(page: Page, group: Sequence[Scored]) -> None:
    """Add precision-recall curves of the tags of one set.

    Parameters
    ----------
    page : Page
    group : sequence of Scored
        Evaluated folders of the set that have a copy of the reference, one for each system.
    """
    group = [one for one in group if one.scores is not None][:MAX_SYSTEMS]
    if not group:
        return
    first = group[0]
    extremes = report_data.extreme_classes(first.report)
    chosen: Sequence[int] = range(len(first.labels))
    if extremes:
        chosen = [first.labels.index(label) for label in (*extremes.best, *extremes.worst)]
    clips_per_class = first.truth.clips_per_class()
    classes, which = _panels(first, [k for k in chosen if clips_per_class[k]], "tagging")
    if not classes:
        return
    if extremes:
        which = f"the best and the worst classes by {extremes.by} (of {len(first.labels)} classes)"
    tags = first.evidence.true_tags
    panels = [Panel(first.labels[k], [], []) for k in classes]
    for number, one in enumerate(group):
        if one.scores is None:
            continue
        points = comparisons.operating_points(one, classes)
        for panel, k, point in zip(panels, classes, points):
            values = one.scores.clip[one.rows, k]
            panel.curves.append(_curve(number, values, tags[:, k]))
            if point:
                panel.points.append(Point(number, 0, point.recall, point.precision))
    page.figure(
        f"{first.set}: precision and recall of tags",
        plots.precision_recall(panels, [one.system for one in group], ["at the clip threshold"]),
        caption=f"Tags of clips, {which}; AP: average precision. "
        "Each point shows precision and recall at the clip threshold.",
    )


def add_segment_curves(page: Page, found: Sequence[Scored]) -> None:
    """Add precision-recall curves of segments of 1 s, and points for the decoded events.

    Points are drawn for at most `MAX_MODES` decoding modes.

    Parameters
    ----------
    page : Page
    found : sequence of Scored
        All evaluated folders of one set that have a copy of the reference.
    """
    group = [
        one
        for one in one_a_system(found)
        if one.scores is not None and one.has_events and one.scores.has("segment")
    ][:MAX_SYSTEMS]
    if not group:
        return
    first, modes = group[0], list(dict.fromkeys(one.mode for one in found))[:MAX_MODES]
    true = first.evidence.true_segments
    classes, which = _panels(first, np.flatnonzero(true.any(axis=0)).tolist(), "segment")
    panels = [Panel(first.labels[k], [], []) for k in classes]
    for number, one in enumerate(group):
        values = comparisons.segment_scores(one, classes)
        decoded = [other for other in found if other.system == one.system and other.mode in modes]
        for i, (panel, k) in enumerate(zip(panels, classes)):
            panel.curves.append(_curve(number, values[:, i], true[:, k]))
            for other in decoded:
                figures = other.report["classes"][first.labels[k]]["segment"]
                if figures["precision"]:
                    mark = modes.index(other.mode)
                    point = Point(number, mark, figures["recall"], figures["precision"])
                    panel.points.append(point)
    marks = [f"decoded: {mode}" for mode in modes]
    page.figure(
        f"{first.set}: precision and recall of segments",
        plots.precision_recall(panels, [one.system for one in group], marks),
        caption=f"Segments of 1 s, {which}. The curves show the segment scores of the model; AP: "
        "average precision. The points show the decoded events. Filters can move a point off its "
        "curve.",
    )


def add_errors(page: Page, group: Sequence[Scored]) -> None:
    """Add the kinds of errors of each system, and the classes with the most errors.

    Parameters
    ----------
    page : Page
    group : sequence of Scored
        Evaluated folders of one set that have events and a copy of the reference.
    """
    first = group[0]
    names = [f"{one.system}/{one.mode}" for one in group]
    rates = []
    for name, one in zip(names, group):
        segment = one.report["segment"]
        parts = (segment[f"{part}_rate"] or 0 for part in ("substitution", "deletion", "insertion"))
        rates.append(plots.ErrorRates(name, *parts))
    page.figure(
        f"{first.set}: errors",
        plots.error_rates(rates),
        caption="Segments of 1 s. A substitution is a false positive and a false negative in the "
        "same segment. Deletions are the other false negatives. Insertions are the other false "
        "positives.",
    )
    errors = [comparisons.class_errors(one) for one in group]
    page.add(_error_table(names, errors, first.labels))
    one_each = one_a_system(group)
    chosen = [i for i, one in enumerate(group) if any(one is other for other in one_each)]
    chosen = chosen[:MAX_SYSTEMS]
    sums = [errors[i].missed + errors[i].false_positives for i in chosen]
    total = functools.reduce(operator.add, sums)
    worst = [k for k in np.argsort(-total, kind="stable")[:NUM_WORST].tolist() if total[k]]
    if not worst:
        return
    which = "Every class"
    if len(worst) < len(first.labels):
        classes = "class" if len(worst) == 1 else f"{len(worst)} classes"
        which = f"The {classes} with the most errors"
    systems = [
        SystemErrors(names[i], errors[i].missed[worst], errors[i].false_positives[worst])
        for i in chosen
    ]
    page.figure(
        f"{first.set}: errors by class",
        plots.class_errors([first.labels[k] for k in worst], systems),
        caption=f"{which}. Missed segments are on the left, false positives are on the right.",
    )


def _error_table(
    names: Sequence[str], errors: Sequence[comparisons.ClassErrors], labels: Sequence[str]
) -> str:
    rows = []
    for name, one in zip(names, errors):
        cells = []
        for counts in (one.missed, one.false_positives):
            cells += [Cell(f"{counts.sum():,}"), Cell(_most(counts, labels))]
        rows.append(Row(Cell(name, breakable=True), cells))
    header = ["system/mode"]
    for kind in ("missed segments", "false positives"):
        header += [kind, f"classes with the most {kind}"]
    return table(header, rows, text_columns=(2, 4))


def _most(counts: Integers, labels: Sequence[str]) -> str:
    """Return a text with the classes that have the most errors of one kind.

    For each of these classes, the text contains the number of errors. In brackets, it contains this
    number as a percentage of the errors of this kind in all classes.
    """
    worst = [k for k in np.argsort(-counts, kind="stable")[:NUM_NAMED].tolist() if counts[k]]
    words = [f"{labels[k]} {counts[k]:,} ({counts[k] / counts.sum():.0%})" for k in worst]
    return "; ".join(words) or "–"
