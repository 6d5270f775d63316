"""The columns of tables of metric values, and user-defined metrics in reports.

`wsedtk.evaluation.metric_list` defines the headings of each metric, and which tables show it. This
module defines the order of the columns of each table, and which of the headings the table uses.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from wsedtk.core.errors import InputError
from wsedtk.evaluation.metric import Description, Metric, Place
from wsedtk.evaluation.metric_list import CLASS_METRICS, METRICS

OWN_METRICS = "own_metrics"  # the key of report.json that describes user-defined metrics


class Column(NamedTuple):
    """A column of a table of metric values.

    Attributes
    ----------
    heading : str
    section, key : str
        The keys of the metric value: source[section][key]. The source is a report, or a baseline or
        a class of a report.
    """

    heading: str
    section: str
    key: str


@dataclasses.dataclass(frozen=True)
class _Layout:
    """The order of the columns of a table, and the kind of their headings.

    Attributes
    ----------
    order : tuple of str
        Names of sections ("segment") or of single metrics ("segment.f1"), in the order of their
        columns. The columns of all other metrics come last.
    short_section : str
        The section whose metrics are shown with their short headings. "" if the table has no such
        section.
    full : bool
        Whether all metrics are shown with their full headings.
    """

    order: tuple[str, ...]
    short_section: str = ""
    full: bool = False


_PARTS_FIRST = ("segment.substitution_rate", "segment.deletion_rate", "segment.insertion_rate")
_LAYOUTS = {
    Place.EVENT_TEXT: _Layout(("tagging", "segment")),
    Place.TAG_TEXT: _Layout(("tagging", "audioset")),
    Place.EVENT_LIST: _Layout(("segment", "event"), short_section="segment"),
    Place.TAG_LIST: _Layout(("tagging",), short_section="tagging"),
    Place.CLASS_TEXT: _Layout(("tagging", "audioset", "segment", "event")),
    Place.PAGE: _Layout(("tagging", "segment", "event", "psds", "audioset")),
    Place.PAGE_SEEDS: _Layout(("tagging", "segment", "event", "psds", "audioset", "consistency")),
    Place.PAGE_CLASSES: _Layout(
        ("audioset.positives", "audioset", "tagging", "segment", "event"), full=True
    ),
    Place.PICTURE: _Layout(("tagging", "segment", "event", "audioset")),
    Place.SUMMARY: _Layout(("tagging", "audioset", "segment", "event", "psds"), full=True),
    Place.SEED_MEANS: _Layout(
        ("tagging", *_PARTS_FIRST, "segment", "audioset", "consistency"), short_section="segment"
    ),
    Place.SEED_DIFFERENCES: _Layout(
        (*_PARTS_FIRST, "segment", "audioset", "tagging", "consistency"), short_section="segment"
    ),
}


def built_in() -> list[Metric]:
    """Return the built-in metrics, in the order of report.json."""
    return [METRICS.get(name) for name in METRICS.names()]


def load_metrics(wanted: Sequence[str | Metric]) -> list[Metric]:
    """Load and check user-defined metrics.

    Parameters
    ----------
    wanted : sequence of str or Metric
        Each item is a metric, or its location as "package.module:NAME". Names of built-in metrics
        ("segment.f1") are ignored, because built-in metrics are always evaluated.

    Raises
    ------
    InputError
        If a metric is unknown, can't be imported, is not a `Metric`, or has an invalid section,
        key, heading, legend or direction. Sections that are reserved for wsedtk are invalid. Also
        if two different metrics have the same section and key.
    """
    taken = {metric.section for metric in built_in()}
    found: dict[str, Metric] = {}
    for one in wanted:
        metric: object = METRICS.get(one) if isinstance(one, str) else one
        if not isinstance(metric, Metric):
            raise InputError(
                f"metric {one!r}: found {type(metric).__name__}; "
                "expected a wsedtk.evaluation.metric.Metric"
            )
        if isinstance(one, str) and ":" not in one:
            continue
        where = f"metric {one!r}" if isinstance(one, str) else f"metric {metric.name!r}"
        _check(metric, where, taken)
        if found.setdefault(metric.name, metric) != metric:
            raise InputError(
                f"{where}: another metric also has the section {metric.section!r} and the key "
                f"{metric.key!r}; change the key of one of the metrics"
            )
    return list(found.values())


# The keys of report.json that are not sections of metrics.
_RESERVED = frozenset(
    {
        "psds_classes",
        "zero_length_reference_events",
        "classes",
        "baselines",
        "clips",
        "made_from",
        OWN_METRICS,
    }
)


def _check(metric: Description, where: str, taken: Iterable[str]) -> None:
    texts = (metric.section, metric.key, metric.heading, metric.legend)
    if not all(isinstance(text, str) for text in texts) or not all(texts[:3]):
        raise InputError(
            f"{where}: section, key, heading and legend must be texts; only the legend may be empty"
        )
    if metric.section in _RESERVED.union(taken):
        raise InputError(
            f"{where}: the section {metric.section!r} is reserved for wsedtk; "
            "choose another section"
        )
    if metric.key.endswith("_ci"):
        raise InputError(
            f"{where}: the key {metric.key!r} ends in _ci, which is reserved for intervals; "
            "choose another key"
        )
    if metric.direction not in ("higher", "lower", None):
        raise InputError(
            f"{where}: direction is {metric.direction!r}; expected 'higher', 'lower' or None"
        )


def checked_figure(value: object, where: str) -> float | None:
    """Return the value of a user-defined metric as a float. None is returned unchanged.

    Raises
    ------
    InputError
        If the value is not None and can't be converted to a finite number.
    """
    if value is None:
        return None
    try:
        number = float(value)  # type: ignore[arg-type]  # the except clause handles other types
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(
            f"{where}: its function returned {value!r}; expected a finite number or None"
        )
    return number


def descriptions_to_json(metrics: Iterable[Description]) -> list[dict[str, str | None]]:
    """Return the descriptions of user-defined metrics in the form that report.json contains."""
    return [
        {
            "section": metric.section,
            "key": metric.key,
            "heading": metric.heading,
            "legend": metric.legend,
            "direction": metric.direction,
        }
        for metric in metrics
    ]


def own_metrics(report: Mapping[str, Any]) -> list[Description]:
    """Return the user-defined metrics that are described in a report.

    Parameters
    ----------
    report : mapping
        The content of report.json.

    Raises
    ------
    InputError
        If a description is invalid.
    """
    listed = report.get(OWN_METRICS, [])
    if not isinstance(listed, list):
        raise InputError(f"{OWN_METRICS}: found {type(listed).__name__}; expected a list")
    taken = {metric.section for metric in built_in()}
    found = []
    for one in listed:
        if not isinstance(one, dict):
            raise InputError(f"{OWN_METRICS}: found {one!r}; expected a mapping")
        description = Description(
            section=one.get("section", ""),
            key=one.get("key", ""),
            heading=one.get("heading", ""),
            legend=one.get("legend", ""),
            direction=one.get("direction"),
        )
        _check(description, OWN_METRICS, taken)
        found.append(description)
    return found


def metrics_of(reports: Iterable[Mapping[str, Any]]) -> list[Description]:
    """Return the built-in metrics, and the user-defined metrics that the reports describe.

    Each report is the content of a report.json.
    """
    own: dict[str, Description] = {}
    for report in reports:
        for metric in own_metrics(report):
            own.setdefault(metric.name, metric)
    return [*built_in(), *own.values()]


def columns(place: Place, reports: Iterable[Mapping[str, Any]] = ()) -> list[Column]:
    """Return the columns of a table of metric values for all classes together.

    Parameters
    ----------
    place : Place
        The table.
    reports : iterable of mappings
        Contents of report.json. The table also has columns for their user-defined metrics, unless
        `place` is `Place.SUMMARY`.
    """
    return _arranged(place, metrics_of(reports))


def class_columns(place: Place) -> list[Column]:
    """Return the columns of a table that has one row for each class."""
    return _arranged(place, CLASS_METRICS)


def _arranged(place: Place, metrics: Iterable[Description]) -> list[Column]:
    layout = _LAYOUTS[place]
    shown = [metric for metric in metrics if place in metric.places]
    shown.sort(key=lambda metric: _position(layout, metric))
    return [Column(_heading(layout, metric), metric.section, metric.key) for metric in shown]


def _position(layout: _Layout, metric: Description) -> int:
    for name in (metric.name, metric.section):
        if name in layout.order:
            return layout.order.index(name)
    return len(layout.order)


def _heading(layout: _Layout, metric: Description) -> str:
    heading = metric.heading
    if layout.full:
        heading = metric.full_heading
    elif metric.section == layout.short_section:
        heading = metric.short_heading
    return heading or metric.heading


def legends(shown: Iterable[Column], metrics: Iterable[Description]) -> list[str]:
    """Return the legends of the metrics in these columns, without duplicates."""
    by_name = {metric.name: metric for metric in metrics}
    found = [by_name[f"{column.section}.{column.key}"].legend for column in shown]
    return [legend for legend in dict.fromkeys(found) if legend]
