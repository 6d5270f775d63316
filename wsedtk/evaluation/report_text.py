"""The tables of a report as text."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from wsedtk.evaluation.report_data import (
    CLASS_SEGMENT_KEYS,
    F1_KEYS,
    RANKING_KEYS,
    SEGMENT_KEYS,
    cell,
    extreme_classes,
    measured,
    psds_note,
    text_table,
    why_no_interval,
    zero_length_note,
)

Kind = Literal["tags", "events"]
Layout = Literal["folder", "tags", "events"]
Column = tuple[str, str, str]  # header, section of report.json, key in that section
Row = tuple[str, Mapping[str, Any]]  # title; a report, a baseline or a class


def _columns(section: str, headers: Sequence[str], keys: Sequence[str]) -> tuple[Column, ...]:
    return tuple((header, section, key) for header, key in zip(headers, keys))


_RATES = ("ER", "Sub", "Del", "Ins", "Pre", "Rec", "seg F1")
_TAGGING = _columns("tagging", ("tag Pre", "tag Rec", "tag F1"), F1_KEYS)
_EVENTS_COLUMNS = (_TAGGING[2], *_columns("segment", _RATES, SEGMENT_KEYS))
_TAGS_COLUMNS = (  # without events
    *_TAGGING,
    *_columns("audioset", ("MAP", "MAUC", "d'"), ("map", "mauc", "dprime")),
)
_CLASS_COLUMNS = (
    *_TAGGING,
    *_columns("audioset", ("AP", "AUC", "d'", "clips"), RANKING_KEYS),
    *_columns("segment", ("seg ER", "Del", "Ins", "Pre", "Rec", "seg F1"), CLASS_SEGMENT_KEYS),
    ("event F1", "event", "f1"),
)
_WITH_INTERVAL = ("f1", "error_rate", "map", "mauc", "dprime")

_TAG_LIST_COLUMNS = _columns("tagging", ("Pre", "Rec", "F1"), F1_KEYS)
_EVENT_LIST_COLUMNS = (
    *_columns("segment", (*_RATES[:-1], "F1"), SEGMENT_KEYS),
    *_columns("event", ("event Pre", "event Rec", "event F1"), F1_KEYS),
)
_ALL_KEYS = tuple({key for _, _, key in _EVENT_LIST_COLUMNS})

_BASELINES = {"nothing": "nothing", "everything": "everything"}
_EVENT_BASELINES = {
    **_BASELINES,
    "system_tags": "its tags, whole clip",
    "true_tags": "true tags, whole clip",
}


def parts(report: Mapping[str, Any], title: str, layout: Layout) -> tuple[str, str]:
    """Return the text of a report in two parts: averages beside the baselines, and the classes.

    Parameters
    ----------
    report : mapping
        The content of report.json.
    title : str
        The first words of the text.
    layout : {"folder", "tags", "events"}
        The kind of estimate: a decoded folder, or a list of tags or events.
    """
    if layout == "folder":
        return _folder_parts(report, title)
    return _list_parts(report, title, layout)


def _table(
    first: str, rows: Iterable[Row], columns: Sequence[Column], with_interval: Sequence[str]
) -> list[str]:
    """Return the lines of a table. with_interval: the keys whose intervals are shown."""
    lines = []
    for title, source in rows:
        line = [title]
        for _, section, key in columns:
            figures = source.get(section, {})
            interval = figures.get(f"{key}_ci") if key in with_interval else None
            line.append(cell(figures.get(key), interval))
        lines.append(line)
    table: list[str] = text_table([first, *(header for header, *_ in columns)], lines)
    return table


def _list_parts(report: Mapping[str, Any], title: str, layout: Layout) -> tuple[str, str]:
    columns, titles = _TAG_LIST_COLUMNS, _BASELINES
    if layout == "events":
        columns, titles = _EVENT_LIST_COLUMNS, _EVENT_BASELINES
    systems = [("estimate", report)]
    systems += [(text, report["baselines"][name]) for name, text in titles.items()]
    lines = [title, "", *_table("system", systems, columns, _ALL_KEYS)]
    if dropped := report["zero_length_reference_events"]:
        lines.append(
            "zero-length reference events dropped from event and segment figures: "
            f"{dropped:,} (sed_eval counts them)"
        )
    of_class = [column for column in columns if column[2] != "substitution_rate"]
    classes = ["", *_table("class", report["classes"].items(), of_class, _ALL_KEYS)]
    return "\n".join(lines) + "\n", "\n".join(classes) + "\n"


def _folder_parts(report: Mapping[str, Any], title: str) -> tuple[str, str]:
    with_events = measured(_EVENTS_COLUMNS, [report]) == list(_EVENTS_COLUMNS)
    columns = _EVENTS_COLUMNS if with_events else measured(_TAGS_COLUMNS, [report])
    clips = report["clips"]
    first = (
        f"{title}: {clips['scored']:,} of {clips['official']:,} official clips "
        f"(list {clips['fingerprint']})"
    )
    if clips["tuned_on_these"]:
        first += ", the very clips that its thresholds were tuned on"
    systems = [("this system", report)]
    titles = _EVENT_BASELINES if with_events else _BASELINES
    systems += [(text, report["baselines"][name]) for name, text in titles.items()]
    lines = [first, "", *_table("system", systems, columns, _WITH_INTERVAL)]
    lines += ["", *_notes(report, with_events), ""]
    classes = report["classes"]
    columns = measured(_CLASS_COLUMNS, classes.values())
    if extremes := extreme_classes(report):
        what, best, worst = extremes
        shown = [(label, classes[label]) for label in [*best, *worst]]
        header, *rows = _table("class", shown, columns, _WITH_INTERVAL)
        for name, some in (("best", rows[: len(best)]), ("worst", rows[len(best) :])):
            lines += [f"{name} {len(some)} of {len(classes)} classes by {what}", header, *some, ""]
    of_classes = _table("class", classes.items(), columns, _WITH_INTERVAL)
    return "\n".join(lines) + "\n", "\n".join(of_classes) + "\n"


def _averaged_over(report: Mapping[str, Any]) -> str:
    """Say which classes MAP averages; "" if it was not measured."""
    counts = [one["audioset"]["positives"] for one in report["classes"].values()]
    if None in counts:
        return ""
    text = f"over {sum(map(bool, counts))} of {len(counts)} classes, those with positives"
    if without := why_no_interval(report):
        text += "; no interval of {}, because {}".format(*without)
    return text


def _notes(report: Mapping[str, Any], with_events: bool) -> Iterator[str]:
    """Yield the lines between the tables."""
    tagging, event, psds = report["tagging"], report["event"], report["psds"]
    ranked, own = report["audioset"], report["consistency"]
    over = _averaged_over(report)
    if with_events:
        yield (
            f"tagging: precision {cell(tagging['precision'])}, recall {cell(tagging['recall'])}; "
            f"MAP {cell(ranked['map'], ranked.get('map_ci'))}, MAUC {cell(ranked['mauc'])}, "
            f"d' {cell(ranked['dprime'])}" + (f" {over}" if over else "")
        )
        yield (
            f"events (200 ms): F1 {cell(event['f1'], event.get('f1_ci'))}"
            f"{zero_length_note(report)}; PSDS1 {cell(psds['psds1'])}, PSDS2 {cell(psds['psds2'])}"
            f" {psds_note(report)}".rstrip()
        )
    elif over:
        yield f"MAP, MAUC, d': {over}"
    yield (
        f"its own segments in clips without its tag: {cell(own['segments_without_tag'])}; "
        f"its tags without a segment: {cell(own['tags_without_segment'])}"
    )
