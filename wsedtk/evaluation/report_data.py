"""A report: two sets of tags and events -> the keys of report.json, and tables of them.

N clips, S segments of all clips together, K classes.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.core.progress import printable
from wsedtk.data import tables
from wsedtk.data.events import Events
from wsedtk.data.tables import find_clips
from wsedtk.evaluation import average_precision, bootstrap, metrics, psds, sed_eval_metrics

Warn = Callable[[str], None]  # is called with each warning, as text
SEGMENT_KEYS = (
    "error_rate",
    "substitution_rate",
    "deletion_rate",
    "insertion_rate",
    "precision",
    "recall",
    "f1",
)
CLASS_SEGMENT_KEYS = ("error_rate", "deletion_rate", "insertion_rate", "precision", "recall", "f1")
F1_KEYS = ("precision", "recall", "f1")
RANKING_KEYS = ("ap", "auc", "dprime", "positives")
FIGURES = (
    ("tagging F1", "tagging", "f1"),
    ("MAP", "audioset", "map"),
    ("segment ER", "segment", "error_rate"),
    ("segment F1", "segment", "f1"),
    ("event F1", "event", "f1"),
    ("PSDS1", "psds", "psds1"),
    ("PSDS2", "psds", "psds2"),
)  # in short
MANY_CLASSES = 40  # with more, a reader sees the best and the worst before all of them
NUM_EXTREMES = 10  # so many of each


def empty_report(labels):
    """A report with every key, null until it is measured."""
    segment, f1 = dict.fromkeys(SEGMENT_KEYS), dict.fromkeys(F1_KEYS)
    return {
        "tagging": dict(f1),
        "segment": dict(segment),
        "event": dict(f1),
        "psds": dict.fromkeys(psds.PSDS_SETTINGS),
        "psds_classes": None,
        "zero_length_reference_events": None,
        "audioset": {"map": None, "mauc": None, "dprime": None},
        "consistency": {"segments_without_tag": None, "tags_without_segment": None},
        "classes": {
            label: {
                "tagging": dict(f1),
                "segment": dict.fromkeys(CLASS_SEGMENT_KEYS),
                "event": dict(f1),
                "audioset": dict.fromkeys(RANKING_KEYS),
            }
            for label in labels
        },
        "baselines": {
            n: {"tagging": dict(f1), "segment": dict(segment)}
            for n in ("nothing", "everything", "system_tags", "true_tags")
        },
        "clips": {"scored": 0, "official": 0, "fingerprint": None, "tuned_on_these": None},
        "made_from": {
            **dict.fromkeys(("data", "model", "scores", "operating_point")),
            **provenance.made_by(),
        },
    }  # fingerprints


def matched(dataset, filenames):
    """Return a set's clips among sorted file names (N,), named so, and which (N,) it has.

    A name stands for the clip of that name, else for one that is named so in another way.
    """
    places = find_clips(dataset.filenames, filenames)
    found = places >= 0
    clips, position = places[found], np.full(len(dataset), -1)
    position[clips] = np.arange(len(clips))
    tag_clip, events = position[dataset.tag_clip], dataset.events
    kept = np.flatnonzero(tag_clip >= 0)
    kept = kept[np.lexsort((dataset.tag_label[kept], tag_clip[kept]))]
    if events is not None:
        e = events.select(position[events.clip] >= 0)
        events = Events.from_columns(position[e.clip], e.onset, e.offset, e.label)
    return dataclasses.replace(
        dataset,
        filenames=filenames[found],
        paths=dataset.paths[clips],
        durations=dataset.durations[clips],
        tag_clip=tag_clip[kept],
        tag_label=dataset.tag_label[kept],
        events=events,
    ), found


def _fits(found, pattern):
    """Whether a value of a report has the form of an empty report's: sections as sections, figures as numbers or null."""
    if isinstance(pattern, dict):
        intervals = (
            [v for k, v in found.items() if k.endswith("_ci") and v is not None]
            if isinstance(found, dict)
            else []
        )
        return (
            isinstance(found, dict)
            and all(_fits(found.get(key), value) for key, value in pattern.items())
            and all(
                isinstance(v, list)
                and len(v) == 2
                and all(isinstance(end, (int, float)) for end in v)
                for v in intervals
            )
        )
    return found is None or isinstance(found, (int, float))


def read_report(path):
    """Read a report.json. Raises InputError where it is not one that `empty_report` is the form of."""
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: can't be read as a report: {error}") from None
    pattern = empty_report(
        report["classes"]
        if isinstance(report, dict) and isinstance(report.get("classes"), dict)
        else ()
    )
    del pattern["psds_classes"], pattern["clips"]["fingerprint"], pattern["made_from"]
    if (
        not _fits(report, pattern)
        or set(report["baselines"]) != set(pattern["baselines"])
        or not isinstance(report.setdefault("made_from", {}), dict)
    ):
        raise InputError(
            f"{path}: can't be read as a report: its keys and values are not those that wsedtk score writes; score again"
        )
    by_class = report["classes"].items()
    report["classes"] = {tables.normal(label): values for label, values in by_class}
    return report


def _add_intervals(values, metric, weights, per_clip):
    if weights is not None:
        found = bootstrap.intervals(metric, weights, per_clip)
        values.update({f"{name}_ci": found[name] for name in list(values)})


def tag_counts(true, said):
    """Of tags (N, K), booleans, each clip's TP, FP, FN: (N, 3)."""
    return np.stack(
        [(true & said).sum(axis=1), (~true & said).sum(axis=1), (true & ~said).sum(axis=1)], axis=1
    )


def scored_events(truth, decoded):
    """The true and the decoded Events that are compared: cut at the clips' ends, true ones that last."""
    return (
        metrics.drop_zero_length(metrics.cut(truth.events, truth.durations)),
        metrics.cut(decoded.events, truth.durations),
    )


def warn_of(warn: Warn, items: Sequence[object], what: str) -> None:
    """Warn of the number of some items, and name the first, if there are any."""
    if items:
        warn(f"{len(items)} {what}: {tables.first(items)}")


def warn_of_repeats(warn: Warn, path: str | os.PathLike[str], lines: Sequence[int]) -> None:
    """Warn of the rows of a table that repeat an earlier one."""
    warn_of(warn, lines, f"rows of {path} repeat an earlier one and count once, lines")


def warn_of_late(
    warn: Warn,
    path: str | os.PathLike[str],
    events: Events,
    names: Sequence[str],
    durations: npt.NDArray[np.float64],
) -> None:
    """Warn of the events of a table that begin after the end of their clip, which `cut` leaves out.

    names, durations: (N,) of the clips.
    """
    ends = durations[events.clip]
    late = np.flatnonzero((events.onset >= ends) & (events.offset > ends))
    places = [f"{names[events.clip[i]]} at {events.onset[i]:g} s" for i in late]
    what = f"events of {path} begin after the end of their clip and do not count"
    warn_of(warn, places, f"{what} (sed_eval counts them)")


def active_segments(truth, decoded):
    """Which classes are true and decoded in which segments: (S, K), (S, K), and the clip (S,) of each segment."""
    (true, clip_of), (said, _) = (
        metrics.activity(e, truth.durations, len(truth.labels))
        for e in scored_events(truth, decoded)
    )
    return true, said, clip_of


def decoded_segments(truth, decoded):
    """Return which classes are decoded in which segments: (S, K), and the clip (S,) of each."""
    events = metrics.cut(decoded.events, truth.durations)
    return metrics.activity(events, truth.durations, len(truth.labels))


def measure_tags(report, truth, decoded, weights):
    """Fill in what needs no true events: tagging, with its intervals, classes and baselines, and the system's consistency.

    truth, decoded: DataSets of the same clips and classes; weights: (R, N) as `bootstrap.clip_weights`, or None for no intervals.
    """
    true, said = truth.tag_matrix(), decoded.tag_matrix()
    counts = metrics.decision_counts(true, said)
    report["tagging"] = metrics.precision_recall_f1(*counts.sum(axis=1).tolist())
    for label, column in zip(truth.labels, counts.T.tolist()):
        report["classes"][label]["tagging"] = metrics.precision_recall_f1(*column)
    if decoded.events is not None:
        active, clip_of = decoded_segments(truth, decoded)
        report["consistency"] = metrics.consistency(said, active, clip_of)
    for name, found in metrics.baselines(true, said).items():
        report["baselines"][name]["tagging"] = found["tagging"]
    _add_intervals(report["tagging"], metrics.f1_of, weights, tag_counts(true, said))


def measure_events(report, truth, decoded, weights):
    """Fill in segment and event metrics, with their intervals, classes and baselines; see `measure_tags`."""
    durations, labels = truth.durations, truth.labels
    true, said = scored_events(truth, decoded)
    micro, by_class = sed_eval_metrics.segment_metrics(true, said, durations, labels)
    report["segment"] = micro
    report["event"], event_classes, event_counts = sed_eval_metrics.event_metrics(
        true, said, durations, labels
    )
    lasting = metrics.drop_zero_length(truth.events)
    report["zero_length_reference_events"] = len(truth.events) - len(lasting)
    for label in labels:
        report["classes"][label].update(segment=by_class[label], event=event_classes[label])
    true_active, said_active, clip_of = active_segments(truth, decoded)
    counts = metrics.sum_by_clip(
        metrics.segment_counts(true_active, said_active), clip_of, len(truth)
    )
    for name, found in metrics.baselines(
        truth.tag_matrix(), decoded.tag_matrix(), true_active, clip_of
    ).items():
        report["baselines"][name]["segment"] = found["segment"]
    _add_intervals(report["segment"], metrics.rates, weights, counts)
    _add_intervals(report["event"], metrics.f1_of, weights, event_counts)


def measured(columns, sources):
    """The columns, (header, section, key), of sections that any source (a report, or a class of it) measures; tagging always."""

    def there(section):
        return any(
            value is not None for source in sources for value in source.get(section, {}).values()
        )

    return [column for column in columns if column[1] == "tagging" or there(column[1])]


def extreme_classes(report):
    """The best and the worst classes of a report with many: (what by, labels from the best, labels from the worst). Else None.

    By average precision where that was measured, by tagging F1 elsewhere; classes without a figure are neither.
    """
    classes = report["classes"]
    if len(classes) <= MANY_CLASSES:
        return None
    for name, section, key in (("AP", "audioset", "ap"), ("tag F1", "tagging", "f1")):
        values = {
            label: c[section][key]
            for label, c in classes.items()
            if c.get(section, {}).get(key) is not None
        }
        if values:
            ranked = sorted(values, key=values.get, reverse=True)
            return name, ranked[:NUM_EXTREMES], ranked[NUM_EXTREMES:][: -NUM_EXTREMES - 1 : -1]
    return None


def cell(value, interval=None):
    """A figure as text, with its interval where there is one; a count as it is; None: -."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def zero_length_note(report):
    """The number of dropped zero-length reference events, to print beside the event F1.

    Empty where none was dropped, or where an older report doesn't say.
    """
    count = report.get("zero_length_reference_events")
    return f" (zero-length reference events dropped: {count:,})" if count else ""


def psds_note(report):
    """How many classes the PSDS is over, to print beside it; "" where that is not known."""
    num_classes = report.get("psds_classes")
    if not num_classes:
        return ""
    note = f"over {num_classes} of {len(report['classes'])} classes, those with events"
    return note + ("; PSDS2 of one class has no cross triggers" if num_classes == 1 else "")


def why_no_interval(report):
    """Say which of MAP, MAUC and d' have no interval, and why: (names, reason).

    None where all have one, or none was asked for.
    """
    found, classes = report["audioset"], report["classes"].values()
    names = [
        name
        for key, name in (("map", "MAP"), ("mauc", "MAUC"), ("dprime", "d'"))
        if found[key] is not None and found.get(f"{key}_ci", ()) is None
    ]
    if not names:
        return None
    reason = average_precision.why_no_interval([c["audioset"]["positives"] or 0 for c in classes])
    *others, last = names
    names = f"{', '.join(others)} and {last}" if others else last
    return names, reason or "leaving out a clip changes nothing, so that the spread is unknown"


def text_table(header, rows):
    """Lines of a table: the first column flush left, the others flush right."""
    rows = [[printable(row[0]), *row[1:]] for row in rows]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))]
        ).rstrip()
        for row in [header, *rows]
    ]
