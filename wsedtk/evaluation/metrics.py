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

import dataclasses

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


def sum_by_clip(values, clip_of_segment, num_clips):
    """Sums of (S, C) values over each clip's segments: (N, C)."""
    sums = np.zeros((num_clips, values.shape[1]))
    np.add.at(sums, clip_of_segment, values)
    return sums
