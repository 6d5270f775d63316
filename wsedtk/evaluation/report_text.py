"""Format the tables of a report as text."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from wsedtk.data.official import of_all_clips
from wsedtk.evaluation.columns import Column, class_columns, columns, metrics_of, own_metrics
from wsedtk.evaluation.event_metrics import T_COLLAR
from wsedtk.evaluation.metric import Place
from wsedtk.evaluation.report_data import (
    cell,
    extreme_classes,
    figure,
    interval,
    measured,
    psds_note,
    text_table,
    why_no_interval,
    zero_length_note,
)

Kind = Literal["tags", "events"]
Layout = Literal["folder", "tags", "events"]
# The title of a row, and its values. The values are those of a report, a baseline or a class.
Row = tuple[str, Mapping[str, Any]]

_BASELINES = {"nothing": "nothing", "everything": "everything"}
_EVENT_BASELINES = {
    **_BASELINES,
    "system_tags": "its tags, whole clip",
    "true_tags": "true tags, whole clip",
}


class Parts(NamedTuple):
    """The two parts of the text of a report.

    `averages` contains the table of the system and of the baselines, and notes. For a decoded
    folder with many classes, it also contains tables of the best and the worst classes. `classes`
    contains the table of all classes.
    """

    averages: str
    classes: str


def parts(report: Mapping[str, Any], title: str, layout: Layout) -> Parts:
    """Return the text of a report in two parts.

    Parameters
    ----------
    report : mapping
        The content of report.json.
    title : str
        The first words of the text.
    layout : {"folder", "tags", "events"}
        What was evaluated: a decoded folder, a list of tags or a list of events.
    """
    if layout == "folder":
        return _folder_parts(report, title)
    return _list_parts(report, title, layout)


def _table(
    first: str,
    rows: Iterable[Row],
    columns: Sequence[Column],
    with_interval: Iterable[Column],
) -> list[str]:
    """Return the lines of a table.

    `first` is the heading of the first column, which contains the titles of the rows.
    `with_interval` contains the columns that also show intervals.
    """
    lines = []
    for title, source in rows:
        line = [title]
        for column in columns:
            ends = interval(source, column) if column in with_interval else None
            line.append(cell(figure(source, column), ends))
        lines.append(line)
    return text_table([first, *(column.heading for column in columns)], lines)


def _list_parts(report: Mapping[str, Any], title: str, layout: Layout) -> Parts:
    place, titles = Place.TAG_LIST, _BASELINES
    if layout == "events":
        place, titles = Place.EVENT_LIST, _EVENT_BASELINES
    shown = columns(place, [report])
    systems: list[Row] = [("estimate", report)]
    systems += [(text, report["baselines"][name]) for name, text in titles.items()]
    lines = [title, "", *_table("system", systems, shown, shown)]
    if dropped := report["zero_length_reference_events"]:
        lines.append(
            "zero-length reference events dropped from event and segment metrics: "
            f"{dropped:,} (sed_eval counts them)"
        )
    lines += _own_legends(report)
    of_class = class_columns(place)
    classes = ["", *_table("class", report["classes"].items(), of_class, of_class)]
    return Parts("\n".join(lines) + "\n", "\n".join(classes) + "\n")


def _with_interval(shown: Iterable[Column], report: Mapping[str, Any]) -> list[Column]:
    """Return the columns that also show intervals in the text of a decoded folder."""
    names = {metric.name for metric in metrics_of([report]) if metric.interval_in_text}
    return [column for column in shown if f"{column.section}.{column.key}" in names]


def _folder_parts(report: Mapping[str, Any], title: str) -> Parts:
    with_events = any(value is not None for value in report["segment"].values())
    place = Place.EVENT_TEXT if with_events else Place.TAG_TEXT
    shown = measured(columns(place, [report]), [report])
    clips = report["clips"]
    first = (
        f"{title}: {of_all_clips(clips)} "
        f"(fingerprint of the list of evaluated clips: {clips['fingerprint']})"
    )
    if clips["tuned_on_these"]:
        first += "; the thresholds were tuned on these clips"
    systems: list[Row] = [("this system", report)]
    titles = _EVENT_BASELINES if with_events else _BASELINES
    systems += [(text, report["baselines"][name]) for name, text in titles.items()]
    lines = [first, "", *_table("system", systems, shown, _with_interval(shown, report))]
    lines += ["", *_notes(report, with_events), *_own_legends(report), ""]
    classes = report["classes"]
    of_class = measured(class_columns(Place.CLASS_TEXT), classes.values())
    if extremes := extreme_classes(report):
        labels = [*extremes.best, *extremes.worst]
        header, *rows = _table("class", [(one, classes[one]) for one in labels], of_class, ())
        num_best = len(extremes.best)
        for name, some in (("best", rows[:num_best]), ("worst", rows[num_best:])):
            title = f"{name} {len(some)} of {len(classes)} classes by {extremes.by}"
            lines += [title, header, *some, ""]
    of_classes = _table("class", classes.items(), of_class, ())
    return Parts("\n".join(lines) + "\n", "\n".join(of_classes) + "\n")


def _averaged_over(report: Mapping[str, Any]) -> str:
    """Return a note about the classes over which MAP is averaged, and about missing intervals.

    If MAP was not computed, return "".
    """
    counts = [one["audioset"]["positives"] for one in report["classes"].values()]
    if None in counts:
        return ""
    text = f"over {sum(map(bool, counts))} of {len(counts)} classes, those with positives"
    if without := why_no_interval(report):
        text += f"; no interval of {without.names}, because {without.reason}"
    return text


def _section(report: Mapping[str, Any], section: str) -> list[Column]:
    """Return a column with the default heading for each metric of a section."""
    return [
        Column(metric.heading, metric.section, metric.key)
        for metric in metrics_of([report])
        if metric.section == section
    ]


def _in_words(report: Mapping[str, Any], shown: Iterable[Column]) -> str:
    """Return metric values as text, for example "MAP 0.500 [0.400, 0.600], MAUC 0.700".

    Only the first metric value is shown with its interval.
    """
    words = []
    for number, column in enumerate(shown):
        ends = interval(report, column) if number == 0 else None
        words.append(f"{column.heading} {cell(figure(report, column), ends)}")
    return ", ".join(words)


def _notes(report: Mapping[str, Any], with_events: bool) -> Iterator[str]:
    """Yield the notes below the table of the system and the baselines, one line for each note."""
    over = _averaged_over(report)
    ranking = _section(report, "audioset")
    if with_events:
        precision, recall = report["tagging"]["precision"], report["tagging"]["recall"]
        yield (
            f"tagging: precision {cell(precision)}, recall {cell(recall)}; "
            f"{_in_words(report, ranking)}" + (f" {over}" if over else "")
        )
        event = Column("F1", "event", "f1")
        yield (
            f"events ({1000 * T_COLLAR:g} ms): {_in_words(report, [event])}"
            f"{zero_length_note(report)}; "
            f"{_in_words(report, _section(report, 'psds'))} {psds_note(report)}".rstrip()
        )
    elif over:
        yield f"{', '.join(column.heading for column in ranking)}: {over}"
    yield "; ".join(
        f"{metric.full_heading}: {cell(report['consistency'][metric.key])}"
        for metric in metrics_of([report])
        if metric.section == "consistency"
    )


def _own_legends(report: Mapping[str, Any]) -> list[str]:
    """Return the legends of user-defined metrics, one line for each legend."""
    legends = dict.fromkeys(metric.legend for metric in own_metrics(report))
    return [legend for legend in legends if legend]
