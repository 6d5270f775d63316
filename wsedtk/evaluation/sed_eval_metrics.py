"""Segment and event metrics by sed_eval.

N clips, K classes.
"""

import contextlib
import warnings

import numpy as np

from wsedtk.data.events import num_segments
from wsedtk.evaluation.metrics import drop_zero_length, precision_recall_f1, rates, ratio


@contextlib.contextmanager
def quiet_imports():
    """For imports of scorers, which are slow, so late, and warn that pkg_resources is old."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _by_clip(events, labels, num_clips):
    lists = [[] for _ in range(num_clips)]
    for clip, onset, offset, label in events.rows():
        lists[clip].append(
            {"filename": str(clip), "onset": onset, "offset": offset, "event_label": labels[label]}
        )
    return lists


def _evaluate(metric, reference, estimated, durations, labels, with_length):
    """Feed a sed_eval metric clip by clip; returns its overall counts after each clip, (N, 3): TP, predicted, references."""
    with quiet_imports():
        from dcase_util.containers import MetaDataContainer

    pairs = zip(
        _by_clip(reference, labels, len(durations)),
        _by_clip(estimated, labels, len(durations)),
        durations,
    )
    totals = []
    for true_events, said_events, duration in pairs:
        lengths = {"evaluated_length_seconds": float(duration)} if with_length else {}
        metric.evaluate(
            reference_event_list=MetaDataContainer(true_events),
            estimated_event_list=MetaDataContainer(said_events),
            **lengths,
        )
        totals.append([metric.overall["Ntp"], metric.overall["Nsys"], metric.overall["Nref"]])
    return np.array(totals, np.float64).reshape(-1, 3)


def _class_f1(metric, labels):
    """{label: {precision, recall, f1}} from a sed_eval metric's class-wise counts."""
    found = {}
    for label in labels:
        c = metric.class_wise[label]
        found[label] = precision_recall_f1(c["Ntp"], c["Nsys"] - c["Ntp"], c["Nref"] - c["Ntp"])
    return found


def _class_rates(metric, labels):
    """{label: {error_rate, deletion_rate, insertion_rate}}: a single class has no substitutions. None without references."""
    found = {}
    for label in labels:
        c = metric.class_wise[label]
        deletions, insertions = c["Nref"] - c["Ntp"], c["Nsys"] - c["Ntp"]
        parts = {
            "error_rate": deletions + insertions,
            "deletion_rate": deletions,
            "insertion_rate": insertions,
        }
        found[label] = {
            name: ratio(value, c["Nref"], exists=False) for name, value in parts.items()
        }
    return found


def segment_metrics(reference, estimated, durations, labels, seconds=1.0):
    """Segment-based metrics by sed_eval. Returns (micro averages, {label: the same without substitutions}).

    reference, estimated: Events of the clips 0..N-1; durations: (N,) seconds; labels: K names.
    """
    with quiet_imports():
        import sed_eval

    metric = sed_eval.sound_event.SegmentBasedMetrics(labels, time_resolution=seconds)
    # whole segments: sed_eval would count one more in 10.000000000000002 s than in 10 s
    lengths = num_segments(durations, seconds) * seconds
    _evaluate(metric, drop_zero_length(reference), estimated, lengths, labels, with_length=True)
    o = metric.overall
    counts = [
        o["S"],
        o["D"],
        o["I"],
        o["Nref"],
        o["Ntp"],
        o["Nsys"] - o["Ntp"],
        o["Nref"] - o["Ntp"],
    ]
    by_class, class_rates = _class_f1(metric, labels), _class_rates(metric, labels)
    return rates(np.array(counts)), {
        label: {**class_rates[label], **by_class[label]} for label in labels
    }


def event_metrics(reference, estimated, durations, labels):
    """Event-based metrics by sed_eval: onset within 200 ms, offset within max(200 ms, 20 % of the event).

    Returns (micro averages, {label: {precision, recall, f1}}, per-clip counts (N, 3): TP, FP, FN).
    """
    metric, counts = _event_counts(reference, estimated, durations, labels, labels)
    return precision_recall_f1(*counts.sum(axis=0).tolist()), _class_f1(metric, labels), counts


def event_counts(reference, estimated, durations, labels):
    """The per-clip counts (N, 3) of `event_metrics` alone, which cost a fraction of the figures of each class."""
    return _event_counts(reference, estimated, durations, labels, [])[1]


def _event_counts(reference, estimated, durations, labels, by_class):
    """sed_eval's metric, which counts the classes `by_class` one by one too, and TP, FP, FN of each clip."""
    with quiet_imports():
        import sed_eval

    metric = sed_eval.sound_event.EventBasedMetrics(
        by_class, t_collar=0.2, percentage_of_length=0.2
    )
    totals = _evaluate(
        metric, drop_zero_length(reference), estimated, durations, labels, with_length=False
    )
    tp, said, true = np.diff(totals, axis=0, prepend=0).T
    return metric, np.stack([tp, said - tp, true - tp], axis=1)
