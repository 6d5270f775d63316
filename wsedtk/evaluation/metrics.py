"""Tagging, segment and event metrics, and their bootstrap intervals.

N clips, S segments of all clips together, K classes, R resamples. TP, FP, FN: true positives, false positives, false negatives.

Conventions, where they differ from a scorer that others use:
    1. A ratio whose parts are both 0 is 0 where something exists to score (a reference or a prediction) and None where nothing
       does. sed_eval gives NaN.
    2. Zero-length reference events are left out of segment and event metrics. sed_eval's event
       metrics count them as missed, and its segment metrics as active in the segment around them.
       Zero-length estimates count as sed_eval counts them: in the segment around them (in none on
       a boundary), and as events.
    3. Every clip that was scored counts, with or without events, and its length is that of the reference.
The segment and event figures that `wsedtk score` reports are sed_eval's (`segment_metrics`, `event_metrics`); the arrays here
(`activity`, `segment_counts`) give the same numbers (held by a test) and serve baselines and intervals.
"""

import contextlib
import dataclasses
import warnings

import numpy as np

from wsedtk.data.events import num_segments


def ratio(numerator, denominator, exists=True):
    """numerator / denominator as a float; 0 where the denominator is 0, None where nothing exists to score."""
    if denominator:
        return float(numerator / denominator)
    return 0.0 if exists else None


def f1_parts(counts):
    """Return {name: (numerator, denominator)} of precision, recall and F1.

    counts: TP, FP, FN along the last axis, (3,) or (N, 3).
    """
    tp, fp, fn = counts.T
    return {"precision": (tp, tp + fp), "recall": (tp, tp + fn), "f1": (2 * tp, 2 * tp + fp + fn)}


def precision_recall_f1(tp, fp, fn):
    """{precision, recall, f1} of counts."""
    parts, exists = f1_parts(np.array([tp, fp, fn])), tp + fp + fn > 0
    return {name: ratio(*part, exists) for name, part in parts.items()}


def f1_of(counts):
    """`precision_recall_f1` of an array (3,): TP, FP, FN."""
    return precision_recall_f1(*counts.tolist())


def decision_counts(truth, predicted):
    """TP, FP, FN of boolean arrays (..., K), summed over all axes but the last: (3, K)."""
    axes = tuple(range(truth.ndim - 1))
    return np.stack(
        [
            (truth & predicted).sum(axis=axes),
            (~truth & predicted).sum(axis=axes),
            (truth & ~predicted).sum(axis=axes),
        ]
    )


# ---- segments ----


def activity(events, durations, num_classes, seconds=1.0):
    """Which classes are active in which segments: booleans (S, K), and the clip (S,) of each segment.

    An event is active in every segment that it touches; what lies past a clip's end is cut off.
    """
    counts = num_segments(durations, seconds)
    starts = np.cumsum(counts) - counts
    active = np.zeros((int(counts.sum()), num_classes), bool)
    first = np.floor(events.onset / seconds).astype(np.int64)
    lengths = np.maximum(
        np.minimum(np.ceil(events.offset / seconds).astype(np.int64), counts[events.clip]) - first,
        0,
    )
    within = np.arange(lengths.sum()) - np.repeat(
        np.cumsum(lengths) - lengths, lengths
    )  # 0, 1, ... of each event
    active[
        np.repeat(starts[events.clip] + first, lengths) + within, np.repeat(events.label, lengths)
    ] = True
    return active, np.repeat(np.arange(len(counts)), counts)


def segment_counts(truth, predicted):
    """Per segment: substitutions, deletions, insertions, references, TP, FP, FN: (S, 7). truth, predicted: (S, K) booleans.

    S = min(FN, FP), D = FN - S, I = FP - S within each segment (Mesaros, Heittola & Virtanen 2016).
    """
    tp, fp, fn = (
        (a & b).sum(axis=1)
        for a, b in ((truth, predicted), (~truth, predicted), (truth, ~predicted))
    )
    substitutions = np.minimum(fp, fn)
    return np.stack(
        [substitutions, fn - substitutions, fp - substitutions, tp + fn, tp, fp, fn], axis=1
    )


def error_rate_parts(counts):
    """Return {name: (numerator, denominator)} of the error rate and its parts.

    counts: as `segment_counts`, (7,) or (N, 7).
    """
    substitutions, deletions, insertions, references = counts[..., :4].T
    numerators = {
        "error_rate": substitutions + deletions + insertions,
        "substitution_rate": substitutions,
        "deletion_rate": deletions,
        "insertion_rate": insertions,
    }
    return {name: (numerator, references) for name, numerator in numerators.items()}


def rates(counts):
    """Segment metrics of summed `segment_counts` (7,): error rate with its parts, precision, recall, F1."""
    errors = error_rate_parts(counts).items()
    return {**{name: ratio(*part, exists=False) for name, part in errors}, **f1_of(counts[4:])}


def drop_zero_length(events):
    """The events that last."""
    return events.select(events.offset > events.onset)


def cut(events, durations):
    """Events cut at the end of their clip, without those that are not in it. durations: (N,).

    An event of length zero at the very end is in the clip.
    """
    ends = durations[events.clip]
    events = events.select((events.onset < ends) | (events.offset <= ends))
    return dataclasses.replace(events, offset=np.minimum(events.offset, durations[events.clip]))


def baselines(true_tags, system_tags, true_active=None, clip_of_segment=None):
    """Tagging and segment metrics of four systems without a network: {name: {tagging, segment}}.

    nothing; everything; system_tags and true_tags: those tags spread over the whole clip. true_tags, system_tags: (N, K)
    booleans; true_active: (S, K), clip_of_segment: (S,) as `activity` gives; without them tagging only.
    """
    tags = {
        "nothing": np.zeros_like(true_tags),
        "everything": np.ones_like(true_tags),
        "system_tags": system_tags,
        "true_tags": true_tags,
    }
    found = {
        name: {
            "tagging": precision_recall_f1(*decision_counts(true_tags, said).sum(axis=1).tolist())
        }
        for name, said in tags.items()
    }
    if true_active is not None:
        for name, said in tags.items():
            found[name]["segment"] = rates(
                segment_counts(true_active, said[clip_of_segment]).sum(axis=0)
            )
    return found


def consistency_counts(tags, active, clip_of_segment):
    """Return what `consistency` divides, of each clip: (N, 4).

    Positive (segment, class) pairs whose clip is not tagged with the class, all positive pairs,
    tagged classes of the clip without a positive segment, all tagged classes.
    tags: (N, K) booleans; active: (S, K), clip_of_segment: (S,).
    """
    segment, label = np.nonzero(active)  # of each positive pair
    clip, reached = clip_of_segment[segment], np.zeros_like(tags)
    reached[clip, label] = True
    pairs = np.bincount(clip, minlength=len(tags))
    untagged = np.bincount(clip[~tags[clip, label]], minlength=len(tags))
    return np.stack([untagged, pairs, (tags & ~reached).sum(axis=1), tags.sum(axis=1)], axis=1)


def consistency(tags, active, clip_of_segment):
    """Wang, Li & Metze's third criterion, of a system against itself.

    segments_without_tag: the share of positive (segment, class) pairs whose clip is not tagged with the class;
    tags_without_segment: the share of tagged (clip, class) pairs without a positive segment. None where there are no such pairs.
    tags: (N, K) booleans; active: (S, K), clip_of_segment: (S,).
    """
    parts = consistency_parts(consistency_counts(tags, active, clip_of_segment).sum(axis=0))
    return {name: ratio(*part, exists=False) for name, part in parts.items()}


def consistency_parts(counts):
    """Return {name: (numerator, denominator)} of `consistency`, of counts (4,) or (N, 4)."""
    untagged, pairs, empty, tagged = counts.T
    return {"segments_without_tag": (untagged, pairs), "tags_without_segment": (empty, tagged)}


# ---- sed_eval ----


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


# ---- intervals ----


def clip_weights(num_clips, num_resamples, seed=0):
    """How often each clip is drawn in each bootstrap resample: (R, N) float32, which holds such numbers exactly."""
    generator, weights = (
        np.random.default_rng(seed),
        np.empty((num_resamples, num_clips), np.float32),
    )
    for row in weights:
        row[:] = generator.multinomial(num_clips, np.full(num_clips, 1 / num_clips))
    return weights


def resampled(metric, weights, *arrays):
    """What a metric gives of each bootstrap resample: R times {name: value}. See `intervals`."""
    return [metric(*(np.tensordot(w, a, axes=1) for a in arrays)) for w in weights]


def intervals(metric, weights, *arrays):
    """95 % percentile intervals of a metric over bootstrap resamples of clips.

    metric: turns the arrays' weighted sums over clips into {name: value}; weights: (R, N) as `clip_weights`; arrays: (N, ...).
    Returns {name: [low, high]}; None where a metric is undefined in every resample.
    """
    values = metric(*(a.sum(axis=0) for a in arrays))
    return interval_of(resampled(metric, weights, *arrays), values)


def interval_of(results, values):
    """{name: [low, high]} of a list of {name: value}: the 2.5th and 97.5th percentiles.

    values: {name: value} of all clips. An interval always holds its value: where the percentiles
    leave it out, as those of few clips or resamples can, the nearer end is moved to it.
    """
    found = {}
    for name, value in values.items():
        defined = [result[name] for result in results if result[name] is not None]
        found[name] = None
        if defined:
            found[name] = extend_interval(np.percentile(defined, [2.5, 97.5]).tolist(), value)
    return found


def extend_interval(interval, value):
    """The interval [low, high], extended to a value that lies outside."""
    low, high = interval
    return [low, high] if value is None else [min(low, value), max(high, value)]


def paired_intervals(metric, weights, first, second):
    """What `metric` gives of the second array less what it gives of the first, with `intervals` of it over the same resamples of clips.

    first, second: (N, ...). Returns {name: (difference, [low, high])}, None for what is undefined.
    """

    def less(a, b):
        ours, theirs = metric(a), metric(b)
        return {
            name: None if None in (ours[name], theirs[name]) else theirs[name] - ours[name]
            for name in ours
        }

    values, ends = (
        less(first.sum(axis=0), second.sum(axis=0)),
        intervals(less, weights, first, second),
    )
    return {name: (values[name], ends[name]) for name in values}


def sum_by_clip(values, clip_of_segment, num_clips):
    """Sums of (S, C) values over each clip's segments: (N, C)."""
    sums = np.zeros((num_clips, values.shape[1]))
    np.add.at(sums, clip_of_segment, values)
    return sums
