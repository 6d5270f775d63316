"""Segment and event metrics, computed by sed_eval.

In the shapes, N is the number of clips and K is the number of classes.
"""

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from wsedtk.core.types import Floats, Integers
from wsedtk.data.events import Events, num_segments
from wsedtk.evaluation.metrics import (
    Figures,
    drop_zero_length,
    precision_recall_f1,
    ratio,
    segment_figures,
)

T_COLLAR = 0.2  # tolerance of onsets and offsets in seconds
PERCENTAGE_OF_LENGTH = 0.2  # tolerance of offsets, as a fraction of the reference event's length


class SegmentMetrics(NamedTuple):
    """Segment metrics of all classes together (micro-averaged), and of each class.

    Substitutions need two classes, so the metrics of one class have no substitution rate.
    """

    average: Figures
    classes: dict[str, Figures]


class EventMetrics(NamedTuple):
    """Event metrics of all classes together (micro-averaged), and of each class.

    `counts` contains the numbers (N, 3) of TP, FP and FN of each clip.
    """

    average: Figures
    classes: dict[str, Figures]
    counts: Integers


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Suppress warnings while sed_eval and similar libraries are imported.

    These libraries warn that pkg_resources is deprecated.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def segment_metrics(
    reference: Events,
    estimated: Events,
    durations: Floats,
    labels: Sequence[str],
    seconds: float = 1.0,
) -> SegmentMetrics:
    """Return segment-based metrics, computed by sed_eval.

    Parameters
    ----------
    reference, estimated : Events
        The reference events and the estimated events. The clips have the indices 0 to N - 1.
    durations : (N,) float
        Durations of the clips in seconds.
    labels : sequence of str
        The K classes.
    seconds : float
        Length of a segment in seconds.
    """
    with quiet_imports():
        import sed_eval

    metric = sed_eval.sound_event.SegmentBasedMetrics(labels, time_resolution=seconds)
    # sed_eval counts one more segment in 10.000000000000002 s than in 10 s.
    lengths = num_segments(durations, seconds) * seconds
    _evaluate(metric, drop_zero_length(reference), estimated, labels, lengths)
    overall = metric.overall
    counts = [
        overall["S"],
        overall["D"],
        overall["I"],
        overall["Nref"],
        overall["Ntp"],
        overall["Nsys"] - overall["Ntp"],
        overall["Nref"] - overall["Ntp"],
    ]
    by_class, rates = _class_f1(metric, labels), _class_rates(metric, labels)
    classes = {label: {**rates[label], **by_class[label]} for label in labels}
    return SegmentMetrics(segment_figures(np.array(counts)), classes)


def event_metrics(
    reference: Events, estimated: Events, durations: Floats, labels: Sequence[str]
) -> EventMetrics:
    """Return event-based metrics, computed by sed_eval.

    The tolerance of onsets is `T_COLLAR`. The tolerance of offsets is the maximum of `T_COLLAR` and
    `PERCENTAGE_OF_LENGTH` times the length of the reference event.

    Parameters
    ----------
    reference, estimated, durations, labels
        As in `segment_metrics`.
    """
    metric, counts = _event_counts(reference, estimated, labels, labels, len(durations))
    average = precision_recall_f1(*counts.sum(axis=0).tolist())
    return EventMetrics(average, _class_f1(metric, labels), counts)


def event_counts(
    reference: Events, estimated: Events, durations: Floats, labels: Sequence[str]
) -> Integers:
    """Return only the counts (N, 3) of `event_metrics`.

    This is much faster, because the metrics of each class are not computed.
    """
    return _event_counts(reference, estimated, labels, [], len(durations))[1]


def _event_counts(
    reference: Events,
    estimated: Events,
    labels: Sequence[str],
    by_class: Sequence[str],
    num_clips: int,
) -> tuple[Any, Integers]:
    """Return the metric object of sed_eval, and the numbers (N, 3) of TP, FP and FN of each clip.

    The metric object also counts the events of each class in `by_class` separately.
    """
    with quiet_imports():
        import sed_eval

    metric = sed_eval.sound_event.EventBasedMetrics(
        by_class, t_collar=T_COLLAR, percentage_of_length=PERCENTAGE_OF_LENGTH
    )
    lengths = [None] * num_clips
    totals = _evaluate(metric, drop_zero_length(reference), estimated, labels, lengths)
    tp, said, true = np.diff(totals, axis=0, prepend=0).T
    return metric, np.stack([tp, said - tp, true - tp], axis=1)


def _events_by_clip(
    events: Events, labels: Sequence[str], num_clips: int
) -> list[list[dict[str, str | float]]]:
    lists: list[list[dict[str, str | float]]] = [[] for _ in range(num_clips)]
    for clip, onset, offset, label in events.rows():
        lists[clip].append(
            {"filename": str(clip), "onset": onset, "offset": offset, "event_label": labels[label]}
        )
    return lists


def _evaluate(
    metric: Any,
    reference: Events,
    estimated: Events,
    labels: Sequence[str],
    lengths: Sequence[float | None] | Floats,
) -> Floats:
    """Evaluate one clip after another with a metric object of sed_eval.

    `lengths` contains the evaluated length of each clip in seconds, or None if the metric does not
    use lengths. Returns the cumulative numbers (N, 3) of TP, estimated events and reference events
    after each clip. For segment metrics, pairs of a segment and a class are counted, not events.
    """
    with quiet_imports():
        from dcase_util.containers import MetaDataContainer

    true_lists = _events_by_clip(reference, labels, len(lengths))
    estimated_lists = _events_by_clip(estimated, labels, len(lengths))
    totals = []
    for true_events, estimated_events, length in zip(true_lists, estimated_lists, lengths):
        options = {} if length is None else {"evaluated_length_seconds": float(length)}
        metric.evaluate(
            reference_event_list=MetaDataContainer(true_events),
            estimated_event_list=MetaDataContainer(estimated_events),
            **options,
        )
        totals.append([metric.overall["Ntp"], metric.overall["Nsys"], metric.overall["Nref"]])
    return np.array(totals, np.float64).reshape(-1, 3)


def _class_f1(metric: Any, labels: Sequence[str]) -> dict[str, Figures]:
    found = {}
    for label in labels:
        counts = metric.class_wise[label]
        tp = counts["Ntp"]
        found[label] = precision_recall_f1(tp, counts["Nsys"] - tp, counts["Nref"] - tp)
    return found


def _class_rates(metric: Any, labels: Sequence[str]) -> dict[str, Figures]:
    """Return error, deletion and insertion rates of each class.

    The rates of a class are None if the reference does not contain the class.
    """
    found = {}
    for label in labels:
        counts = metric.class_wise[label]
        deletions, insertions = counts["Nref"] - counts["Ntp"], counts["Nsys"] - counts["Ntp"]
        numerators = {
            "error_rate": deletions + insertions,
            "deletion_rate": deletions,
            "insertion_rate": insertions,
        }
        found[label] = {
            name: ratio(value, counts["Nref"], exists=False) for name, value in numerators.items()
        }
    return found
