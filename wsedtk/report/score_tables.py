"""Build the tables of a report page: evaluated folders, their classes, thresholds and coverage."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from wsedtk.core.types import Floats
from wsedtk.data.official import of_all_clips
from wsedtk.evaluation import report_data
from wsedtk.evaluation.columns import Column, class_columns, columns, legends, metrics_of
from wsedtk.evaluation.metric import Place
from wsedtk.evaluation.report_data import figure, interval, measured
from wsedtk.evaluation.scored_systems import Scored
from wsedtk.report.page import Cell, Row, note, table
from wsedtk.report.rendering import part


def figure_cell(source: Mapping[str, Any], column: Column) -> Cell:
    """Return a cell with a metric value and its interval.

    `source` contains the metric values of a report, a baseline or a class.
    """
    value, ends = figure(source, column), interval(source, column)
    small = [f"{ends[0]:.3f}–{ends[1]:.3f}"] if ends else []
    dropped = source.get("zero_length_reference_events")
    if dropped and (column.section, column.key) == ("event", "f1"):
        small.append(f"{dropped:,} dropped")
    return Cell("–" if value is None else report_data.cell(value), tuple(small))


def place(one: Scored) -> str:
    """Return the name of an evaluated folder: system/set/mode."""
    return f"{one.system}/{one.set}/{one.mode}"


def by_set(found: Iterable[Scored]) -> dict[str, list[Scored]]:
    """Group evaluated folders by set. The order of the folders is kept."""
    sets: dict[str, list[Scored]] = {}
    for one in found:
        sets.setdefault(one.set, []).append(one)
    return sets


def page_columns(found: Iterable[Scored]) -> list[Column]:
    """Return the columns of the first table of the page.

    A section of metrics is left out if no folder has a value of any of its metrics. The section of
    tagging is always shown.
    """
    reports = [one.report for one in found]
    return measured(columns(Place.PAGE, reports), reports)


def legend(found: Sequence[Scored]) -> list[str]:
    """Return the legend of the first table of the page: the descriptions of its columns."""
    return legends(page_columns(found), metrics_of(one.report for one in found))


def comparison(found: Sequence[Scored]) -> Markup:
    """Return the first table of the page. It lists all evaluated folders, then the baselines.

    Baselines are listed only for sets whose events were evaluated.
    """
    shown, rows = page_columns(found), []
    for one in found:
        clips = one.report["clips"]
        name = place(one) + (" (tuned on this set)" if clips.get("tuned_on_these") else "")
        cells = [figure_cell(one.report, column) for column in shown]
        count = Cell(f"{clips['scored']}/{clips['official']}")
        rows.append(Row(Cell(name, breakable=True), [count, *cells]))
    for name, group in by_set(one for one in found if one.has_events).items():
        for baseline, figures in group[0].report["baselines"].items():
            title = baseline.replace("_", " ")
            if baseline == "system_tags" and len({one.system for one in group}) > 1:
                title = f"tags of {group[0].system}"
            cells = [figure_cell(figures, column) for column in shown]
            first = Cell(f"{name}, baseline: {title}", breakable=True)
            rows.append(Row(first, [Cell(""), *cells], kind="baseline"))
    return table(["system/set/mode", "clips", *(column.heading for column in shown)], rows)


def coverage(found: Iterable[Scored]) -> Iterator[str]:
    """For each set, yield a text with the numbers of its evaluated clips and of all its clips."""
    for name, group in by_set(found).items():
        clips = group[0].report["clips"]
        scored, official = clips["scored"], clips["official"]
        text = of_all_clips(clips)
        if scored == official:
            text = f"all {text.partition(' of ')[2]}"
        elif official:
            text += f" ({scored / official:.1%})"
        yield f"Set {name}: evaluated on {text}"


def _class_table(one: Scored, labels: Iterable[str]) -> Markup:
    """Return a table of some classes of an evaluated folder, with their thresholds."""
    classes, index = one.report["classes"], {label: k for k, label in enumerate(one.labels)}
    shown = measured(class_columns(Place.PAGE_CLASSES), classes.values())
    limits: dict[str, Floats] = {}
    if one.point is not None:
        limits["clip threshold"] = one.point.clip_thresholds
        if one.by_boxes:
            limits["box threshold"] = one.thresholds
        elif one.by_frames:
            limits["frame threshold"] = one.point.frame_thresholds
    rows = []
    for label in labels:
        cells = [figure_cell(classes[label], column) for column in shown]
        cells += [Cell(_threshold(values[index[label]])) for values in limits.values()]
        rows.append(Row(Cell(label), cells))
    return table(["class", *(column.heading for column in shown), *limits], rows)


def _threshold(value: float) -> str:
    if np.isfinite(value):
        return f"{value:.3f}"
    return "never" if value > 0 else "always"


def class_tables(one: Scored) -> Markup:
    """Return a table of all classes of an evaluated folder.

    If there are many classes, the best and the worst are shown, and the full table is collapsed.
    """
    classes, extremes = one.report["classes"], report_data.extreme_classes(one.report)
    whole = _class_table(one, classes)
    if extremes is None:
        return whole
    tables = [
        (f"{name} {len(labels)} by {extremes.by}", _class_table(one, labels))
        for name, labels in (("Best", extremes.best), ("Worst", extremes.worst))
    ]
    summary = f"All {len(classes)} classes"
    return part("extremes", tables=tables, summary=summary, whole=whole)


def classes_side_by_side(group: Sequence[Scored]) -> Markup:
    """Return a table with the F1 and the threshold of each class in all folders of one set.

    If there are many classes, only the best and the worst classes of the first folder are shown.
    """
    first = group[0]
    section = "segment" if first.has_events else "tagging"
    extremes = report_data.extreme_classes(first.report)
    labels = [*extremes.best, *extremes.worst] if extremes else first.labels
    rows = []
    for label in labels:
        k, cells = first.labels.index(label), []
        for one in group:
            cell = figure_cell(one.report["classes"][label], Column("F1", section, "f1"))
            limit = (f"at {_threshold(one.thresholds[k])}",) if one.point else ()
            cells.append(Cell(cell.text, (*cell.small, *limit)))
        rows.append(Row(Cell(label), cells))
    names = [f"{one.system}/{one.mode}" for one in group]
    text = f"{section.capitalize()} F1, and the threshold with which the class was decoded."
    return table(["class", *names], rows) + note(text)


def notes(found: Iterable[Scored]) -> Iterator[str]:
    """Yield notes on the number of classes in PSDS, and on missing intervals."""
    for name, group in by_set(found).items():
        for text in dict.fromkeys(report_data.psds_note(one.report) for one in group):
            if text:
                yield f"PSDS in {name}: {text}"
        for missing in dict.fromkeys(report_data.why_no_interval(one.report) for one in group):
            if missing:
                yield f"No interval of {missing.names} in {name}: {missing.reason}"
