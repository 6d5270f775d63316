"""Read and check report.json, and format its metric values as text.

`wsedtk.evaluation.metric_list` lists the metrics.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.progress import printable
from wsedtk.data import tables
from wsedtk.evaluation import average_precision
from wsedtk.evaluation.columns import Column, built_in, own_metrics
from wsedtk.evaluation.metric_list import CLASS_METRICS
from wsedtk.evaluation.metrics import BASELINES

MANY_CLASSES = 40  # If a report has more classes, the best and the worst are shown first.
NUM_EXTREMES = 10  # the maximum number of best classes, and of worst classes
_CI = "_ci"  # the suffix of the key of an interval


class Extremes(NamedTuple):
    """The best and the worst classes of a report.

    `by` is the heading of the metric by which the classes are ranked. `best` begins with the best
    class, and `worst` begins with the worst class.
    """

    by: str
    best: list[str]
    worst: list[str]


# ---- report.json ----


def empty_report(labels: Iterable[str]) -> dict[str, Any]:
    """Return the content of a report.json that has all keys, and None for all metric values."""
    sections: dict[str, dict[str, None]] = {}
    for metric in built_in():
        sections.setdefault(metric.section, {})[metric.key] = None
    class_sections: dict[str, dict[str, None]] = {}
    for class_metric in CLASS_METRICS:
        class_sections.setdefault(class_metric.section, {})[class_metric.key] = None
    baseline = {name: sections[name] for name in ("tagging", "segment")}
    sources = dict.fromkeys(("data", "model", "scores", "operating_point"))
    return {
        **_copy(sections),
        "psds_classes": None,
        "zero_length_reference_events": None,
        "classes": {label: _copy(class_sections) for label in labels},
        "baselines": {name: _copy(baseline) for name in BASELINES},
        "clips": {
            "scored": 0,
            "official": 0,
            "is_official": None,
            "fingerprint": None,
            "tuned_on_these": None,
        },
        "made_from": {**sources, **provenance.made_by()},
    }


def _copy(sections: Mapping[str, Mapping[str, None]]) -> dict[str, dict[str, None]]:
    return {name: dict(section) for name, section in sections.items()}


def read_report(path: PathLike) -> dict[str, Any]:
    """Read and check a report.json.

    Missing metric values are None, so that reports of older versions can be read.

    Raises
    ------
    InputError
        If the file can't be read, or is not a report of `wsedtk score`.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        report = completed(found)
    except (OSError, ValueError, RecursionError, InputError) as error:
        raise InputError(f"{path}: can't be read as a report: {error}") from None
    classes = report["classes"].items()
    report["classes"] = {tables.normal(label): sections for label, sections in classes}
    return report


def completed(report: object) -> dict[str, Any]:
    """Return the content of a report.json with all keys. Missing metric values are None.

    Raises
    ------
    InputError
        If `report` is not the content of a report of `wsedtk score`.
    """
    if not isinstance(report, dict):
        raise _odd(f"found {type(report).__name__}; expected a mapping")
    classes, clips = report.get("classes"), report.get("clips")
    if not isinstance(classes, dict) or not isinstance(clips, dict):
        raise _odd("'classes' or 'clips' is not a mapping; expected a mapping for both keys")
    for key in ("scored", "official"):
        if type(clips.get(key)) is not int:
            raise _odd(f"clips.{key} is {clips.get(key)!r}; expected a whole number")
    pattern = empty_report(classes)
    for metric in own_metrics(report):
        pattern.setdefault(metric.section, {})[metric.key] = None
    made_from = report.get("made_from", {})
    if not isinstance(made_from, dict):
        raise _odd(f"made_from is {made_from!r}; expected a mapping")
    baselines = report.get("baselines", {})
    if isinstance(baselines, dict) and not set(baselines) <= set(BASELINES):
        raise _odd(f"baselines are {sorted(baselines)}; expected {list(BASELINES)}")
    known_clips = {key: clips.get(key) for key in pattern["clips"]}
    del pattern["made_from"], pattern["clips"]
    found = {**report, **_completed(report, pattern, "")}
    return {**found, "clips": known_clips, "made_from": dict(made_from)}


def _completed(found: Mapping[str, Any], pattern: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Check a part of a report, and return it with all keys of `pattern`. Missing values are None.

    `found` is the part of the report, and `pattern` is the same part of an empty report. `where` is
    the name of this part for messages.
    """
    result: dict[str, Any] = {}
    for key, expected in pattern.items():
        value, place = found.get(key), f"{where}.{key}" if where else key
        if isinstance(expected, dict):
            section = found.get(key, {})
            if not isinstance(section, dict):
                raise _odd(f"{place} is {section!r}; expected a mapping")
            result[key] = _completed(section, expected, place)
        else:
            if not isinstance(value, int | float | None):
                raise _odd(f"{place} is {value!r}; expected a number or null")
            result[key] = value
    for key, value in found.items():
        if key.endswith(_CI):
            result[key] = _checked_interval(value, f"{where}.{key}")
    return result


def _checked_interval(value: object, place: str) -> list[float] | None:
    if value is None:
        return None
    if (
        not isinstance(value, list)
        or len(value) != 2
        or not all(isinstance(end, int | float) for end in value)
    ):
        raise _odd(f"{place} is {value!r}; expected [low, high] or null")
    return value


def _odd(what: str) -> InputError:
    return InputError(f"{what}; this is not a report of wsedtk score; run wsedtk score again")


def figure(source: Mapping[str, Any], column: Column) -> float | None:
    """Return the metric value of a column, or None if it is missing.

    `source` is a report, or a baseline or a class of a report.
    """
    value: float | None = source.get(column.section, {}).get(column.key)
    return value


def interval(source: Mapping[str, Any], column: Column) -> list[float] | None:
    """Return the interval [low, high] of the metric value of a column, or None if it is missing.

    See `figure` for the parameters.
    """
    ends: list[float] | None = source.get(column.section, {}).get(column.key + _CI)
    return ends


def measured(columns: Iterable[Column], sources: Iterable[Mapping[str, Any]]) -> list[Column]:
    """Return the columns whose section has a metric value in at least one source.

    The columns of the section "tagging" are always returned.

    Parameters
    ----------
    columns : iterable of Column
    sources : iterable of mappings
        Reports, or classes of reports.
    """
    sections = {"tagging"}
    for source in sources:
        for section, values in source.items():
            if isinstance(values, dict) and any(value is not None for value in values.values()):
                sections.add(section)
    return [column for column in columns if column.section in sections]


def extreme_classes(report: Mapping[str, Any]) -> Extremes | None:
    """Return the best and the worst classes of a report.

    Classes are ranked by average precision. If it was not computed, they are ranked by tagging F1.
    Classes whose value is None are left out. The result is None if the report has at most
    `MANY_CLASSES` classes, or if no class has a value.
    """
    classes = report["classes"]
    if len(classes) <= MANY_CLASSES:
        return None
    for column in (Column("AP", "audioset", "ap"), Column("tag F1", "tagging", "f1")):
        values = {}
        for label, one in classes.items():
            value = figure(one, column)
            if value is not None:
                values[label] = value
        if values:
            ranked = sorted(values, key=lambda label: values[label], reverse=True)
            worst = ranked[NUM_EXTREMES:][: -NUM_EXTREMES - 1 : -1]
            return Extremes(column.heading, ranked[:NUM_EXTREMES], worst)
    return None


# ---- text ----


def cell(value: float | None, ends: Sequence[float] | None = None) -> str:
    """Return a metric value as text, with its interval [low, high] if there is one.

    The text for None is "-".
    """
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3f}" + (f" [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else "")


def zero_length_note(report: Mapping[str, Any]) -> str:
    """Return a note for the event F1 about reference events of length zero.

    If there are no such events, or if their number is not in the report, return "".
    """
    count = report.get("zero_length_reference_events")
    return f" (zero-length reference events dropped: {count:,})" if count else ""


def psds_note(report: Mapping[str, Any]) -> str:
    """Return a note about the classes over which PSDS is computed.

    If PSDS was not computed or is undefined, return "".
    """
    num_classes = report.get("psds_classes")
    if not num_classes:
        return ""
    note = f"over {num_classes} of {len(report['classes'])} classes, those with events"
    return note + ("; with one class, PSDS2 counts no cross triggers" if num_classes == 1 else "")


class NoInterval(NamedTuple):
    """The names of the metrics that have no interval, as one text, and the reason."""

    names: str
    reason: str


def why_no_interval(report: Mapping[str, Any]) -> NoInterval | None:
    """Return which of MAP, MAUC and d' are defined but have no interval, and the reason.

    If there are no such metrics, or if intervals were not requested, return None.
    """
    names = []
    for metric in built_in():
        figures = report.get(metric.section, {})
        has_none = metric.key + _CI in figures and figures[metric.key + _CI] is None
        if metric.section == "audioset" and has_none and figures.get(metric.key) is not None:
            names.append(metric.heading)
    if not names:
        return None
    counts = [one["audioset"]["positives"] or 0 for one in report["classes"].values()]
    reason = average_precision.why_no_interval(counts)
    *others, last = names
    text = f"{', '.join(others)} and {last}" if others else last
    unknown = "the jackknife variance over clips is 0 or undefined"
    return NoInterval(text, reason or unknown)


def text_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a text table.

    The first column is aligned to the left. The other columns are aligned to the right.
    """
    from tabulate import tabulate  # slow to import

    lines = [list(header), *([printable(row[0]), *row[1:]] for row in rows)]
    align = ["left", *["right"] * (len(header) - 1)]
    text = tabulate(lines, tablefmt="plain", colalign=align, disable_numparse=True)
    return [line.rstrip() for line in str(text).split("\n")]
