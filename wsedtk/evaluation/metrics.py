"""Tagging, segment and consistency metrics from counts, and the baselines of a report.

In the shapes, N is the number of clips, S is the number of segments of all clips together, and K is
the number of classes. TP, FP and FN are the numbers of true positives, false positives and false
negatives.

Three conventions of wsedtk differ from sed_eval:
    1. If TP, FP and FN are all 0, precision, recall and F1 are None. If they are not all 0, a
       precision or recall whose denominator is 0 has the value 0. sed_eval returns NaN in both
       cases. Error rates are None if the reference has no events, and the error rates of a class
       are None if the reference has no events of this class. sed_eval divides the numbers of errors
       by a very small number.
    2. Reference events of length zero are left out of segment and event metrics. sed_eval does not
       leave them out. Estimated events of length zero are treated as in sed_eval. In event metrics,
       they are counted as events. In segment metrics, their class is active in the segment that
       contains them, except if they are at the start or the end of a segment.
    3. Clips without events are evaluated too. The segments of a clip always cover its full
       duration, and the parts of events after the end of the clip are ignored (see `cut`). In
       sed_eval, by default, a clip has no segments after the end of its last event, and events are
       not cut.

The segment metrics of this module and the event metrics of `event_metrics` have the same values as
in sed_eval, apart from these conventions. Tests compare these values.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from wsedtk.core.types import Booleans, Floats, Integers
from wsedtk.data.events import Events, num_segments

Counts = Integers | Floats
Figures = dict[str, float | None]
Parts = Mapping[str, tuple[Counts, Counts]]  # numerator and denominator of each metric


def ratio(numerator: float, denominator: float, exists: bool = True) -> float | None:
    """Return numerator / denominator. If the denominator is 0, return 0 or None (see `exists`).

    Parameters
    ----------
    numerator, denominator : float
    exists : bool
        Whether to return 0, and not None, if the denominator is 0.

    Returns
    -------
    float or None
    """
    if denominator:
        return float(numerator / denominator)
    return 0.0 if exists else None


def _figures(parts: Parts, exists: bool) -> Figures:
    """Return {name: ratio} from one numerator and one denominator for each name. See `ratio`."""
    return {name: ratio(float(n), float(d), exists) for name, (n, d) in parts.items()}


def f1_parts(counts: Counts) -> Parts:
    """Return {name: (numerator, denominator)} of precision, recall and F1.

    Parameters
    ----------
    counts : (3,) or (N, 3) float or int
        TP, FP and FN. For (N, 3), numerators and denominators are arrays (N,).
    """
    tp, fp, fn = counts.T
    return {"precision": (tp, tp + fp), "recall": (tp, tp + fn), "f1": (2 * tp, 2 * tp + fp + fn)}


def precision_recall_f1(tp: float, fp: float, fn: float) -> Figures:
    """Return {precision, recall, f1} from the numbers of TP, FP and FN."""
    return _figures(f1_parts(np.array([tp, fp, fn])), exists=tp + fp + fn > 0)


def f1_figures(counts: Counts) -> Figures:
    """Return {precision, recall, f1} from an array (3,) of TP, FP and FN."""
    return precision_recall_f1(*counts.tolist())


def decision_counts(truth: Booleans, predicted: Booleans) -> Integers:
    """Return the numbers (3, K) of TP, FP and FN of each class.

    Parameters
    ----------
    truth, predicted : (..., K) bool
        Whether each class is present in the reference, and in the prediction. The counts are summed
        over all axes except the last.
    """
    axes = tuple(range(truth.ndim - 1))
    tp = (truth & predicted).sum(axis=axes)
    fp = (~truth & predicted).sum(axis=axes)
    fn = (truth & ~predicted).sum(axis=axes)
    return np.stack([tp, fp, fn])


def tag_counts(truth: Booleans, predicted: Booleans) -> Integers:
    """Return the numbers (N, 3) of TP, FP and FN of each clip from tags (N, K)."""
    return decision_counts(truth.T, predicted.T).T


def sum_by_clip(values: Integers, clip_of_segment: Integers, num_clips: int) -> Floats:
    """Return the sums (N, C) of `values` (S, C) over the segments of each clip."""
    sums = np.zeros((num_clips, values.shape[1]))
    np.add.at(sums, clip_of_segment, values)
    return sums


# ---- segments ----


class Activity(NamedTuple):
    """The active classes of each segment.

    Attributes
    ----------
    active : (S, K) bool
        Whether each class is active in each segment.
    clip : (S,) int
        The index of the clip of each segment.
    """

    active: Booleans
    clip: Integers


def activity(events: Events, durations: Floats, num_classes: int, seconds: float = 1.0) -> Activity:
    """Return which classes are active in each segment.

    A class is active in a segment if an event of this class overlaps the segment. The part of an
    event after the last segment of its clip is ignored. The last segment can extend beyond the end
    of the clip. To ignore events after the end of the clip, pass events that `cut` returned.

    Parameters
    ----------
    events : Events
    durations : (N,) float
        Durations of the clips in seconds.
    num_classes : int
    seconds : float
        Length of a segment in seconds.
    """
    counts = num_segments(durations, seconds)
    active = np.zeros((int(counts.sum()), num_classes), bool)
    segment, event = segments_of(events, durations, seconds)
    active[segment, events.label[event]] = True
    return Activity(active, np.repeat(np.arange(len(counts)), counts))


class Overlaps(NamedTuple):
    """The pairs of a segment and an event that overlap: the index of each of them, (M,)."""

    segment: Integers
    event: Integers


def segments_of(events: Events, durations: Floats, seconds: float = 1.0) -> Overlaps:
    """Return the segments that each event overlaps. See `activity` for the parameters."""
    counts = num_segments(durations, seconds)
    starts = np.cumsum(counts) - counts
    first = np.floor(events.onset / seconds).astype(np.int64)
    ends = np.minimum(np.ceil(events.offset / seconds).astype(np.int64), counts[events.clip])
    lengths = np.maximum(ends - first, 0)
    # `within` is the index of each segment within its event, from 0.
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    segments = np.repeat(starts[events.clip] + first, lengths) + within
    return Overlaps(segments, np.repeat(np.arange(len(events)), lengths))


def segment_counts(truth: Booleans, predicted: Booleans) -> Integers:
    """Return seven counts of each segment, (S, 7).

    The columns are the numbers of substitutions, deletions, insertions, reference classes, TP, FP
    and FN. A reference class is a class that is active in the reference. In each segment,
    substitutions = min(FN, FP), deletions = FN - substitutions, and
    insertions = FP - substitutions (Mesaros, Heittola & Virtanen 2016).

    Parameters
    ----------
    truth, predicted : (S, K) bool
        Whether each class is active in each segment, in the reference and in the prediction.
    """
    tp = (truth & predicted).sum(axis=1)
    fp = (~truth & predicted).sum(axis=1)
    fn = (truth & ~predicted).sum(axis=1)
    substitutions = np.minimum(fp, fn)
    deletions, insertions = fn - substitutions, fp - substitutions
    return np.stack([substitutions, deletions, insertions, tp + fn, tp, fp, fn], axis=1)


def error_rate_parts(counts: Counts) -> Parts:
    """Return {name: (numerator, denominator)} of the error rate and its three parts.

    Parameters
    ----------
    counts : (7,) or (N, 7) float or int
        The columns of `segment_counts`, summed over the segments of all clips or of each clip.
    """
    substitutions, deletions, insertions, references = counts[..., :4].T
    numerators = {
        "error_rate": substitutions + deletions + insertions,
        "substitution_rate": substitutions,
        "deletion_rate": deletions,
        "insertion_rate": insertions,
    }
    return {name: (numerator, references) for name, numerator in numerators.items()}


def segment_parts(counts: Counts) -> Parts:
    """Return {name: (numerator, denominator)} of all segment metrics.

    See `error_rate_parts` for the parameter.
    """
    return {**error_rate_parts(counts), **f1_parts(counts[..., 4:])}


def segment_figures(counts: Counts) -> Figures:
    """Return the segment metrics from the sums (7,) of `segment_counts` over segments."""
    rates = _figures(error_rate_parts(counts), exists=False)
    return {**rates, **f1_figures(counts[4:])}


class SegmentMetrics(NamedTuple):
    """Segment metrics of all classes together (micro-averaged), and of each class.

    Substitutions need two classes, so the metrics of one class have no substitution rate.
    """

    average: Figures
    classes: dict[str, Figures]


def segment_metrics(truth: Booleans, predicted: Booleans, labels: Sequence[str]) -> SegmentMetrics:
    """Return segment-based metrics (Mesaros, Heittola & Virtanen 2016).

    Parameters
    ----------
    truth, predicted : (S, K) bool
        Whether each class is active in each segment, in the reference and in the prediction.
    labels : sequence of str
        The K classes.
    """
    average = segment_figures(segment_counts(truth, predicted).sum(axis=0))
    classes = {}
    for label, (tp, fp, fn) in zip(labels, decision_counts(truth, predicted).T.tolist()):
        classes[label] = segment_figures(np.array([0, fn, fp, tp + fn, tp, fp, fn]))
        del classes[label]["substitution_rate"]
    return SegmentMetrics(average, classes)


def drop_zero_length(events: Events) -> Events:
    """Return the events whose length is not zero."""
    return events.select(events.offset > events.onset)


def cut(events: Events, durations: Floats) -> Events:
    """Cut events at the end of their clip, and drop events that begin at this end or later.

    An event of length zero exactly at the end of its clip is kept.

    Parameters
    ----------
    events : Events
    durations : (N,) float
        Durations of the clips in seconds.
    """
    ends = durations[events.clip]
    events = events.select((events.onset < ends) | (events.offset <= ends))
    return dataclasses.replace(events, offset=np.minimum(events.offset, durations[events.clip]))


def evaluated_reference(events: Events, durations: Floats) -> Events:
    """Return reference events as metrics use them: cut, and without events of length zero.

    See `cut` for the parameters.
    """
    return drop_zero_length(cut(events, durations))


# ---- baselines ----


BASELINES = ("nothing", "everything", "system_tags", "true_tags")


def baseline_tags(true_tags: Booleans, system_tags: Booleans) -> dict[str, Booleans]:
    """Return {name: tags (N, K)} of the `BASELINES`.

    "nothing" predicts no tags. "everything" predicts all tags for every clip. "system_tags"
    predicts the tags of the evaluated system, and "true_tags" the tags of the reference. Each tag
    is also predicted as an event that lasts from the start to the end of the clip.
    """
    nothing, everything = np.zeros_like(true_tags), np.ones_like(true_tags)
    return dict(zip(BASELINES, (nothing, everything, system_tags, true_tags)))


def baselines(
    true_tags: Booleans, system_tags: Booleans, truth: Activity | None = None
) -> dict[str, dict[str, Figures]]:
    """Return the metric values of the `BASELINES`, {name: {"tagging": ..., "segment": ...}}.

    Parameters
    ----------
    true_tags, system_tags : (N, K) bool
        The tags of the reference and of the evaluated system.
    truth : Activity, optional
        The active classes of the reference. By default no segment metrics are computed.
    """
    found = {}
    for name, tags in baseline_tags(true_tags, system_tags).items():
        counts = decision_counts(true_tags, tags).sum(axis=1)
        found[name] = {"tagging": f1_figures(counts)}
        if truth is not None:
            counts = segment_counts(truth.active, tags[truth.clip]).sum(axis=0)
            found[name]["segment"] = segment_figures(counts)
    return found


# ---- consistency of tags and segments ----


def consistency_counts(tags: Booleans, active: Booleans, clip_of_segment: Integers) -> Integers:
    """Return four counts of each clip for `consistency_parts`, (N, 4).

    A pair of a segment and a class is active if the class is active in the segment. The columns of
    the result contain these four numbers:
        0. active pairs for which the class is not a tag of the clip
        1. all active pairs
        2. tags whose class is active in no segment of the clip
        3. all tags

    Parameters
    ----------
    tags : (N, K) bool
        The tags of the clips.
    active : (S, K) bool
        Whether each class is active in each segment.
    clip_of_segment : (S,) int
        The index of the clip of each segment.
    """
    segment, label = np.nonzero(active)  # indices of the active pairs
    clip, reached = clip_of_segment[segment], np.zeros_like(tags)
    reached[clip, label] = True
    pairs = np.bincount(clip, minlength=len(tags))
    untagged = np.bincount(clip[~tags[clip, label]], minlength=len(tags))
    return np.stack([untagged, pairs, (tags & ~reached).sum(axis=1), tags.sum(axis=1)], axis=1)


def consistency_parts(counts: Counts) -> Parts:
    """Return {name: (numerator, denominator)} for the consistency of tags and segments.

    A pair of a segment and a class is active if the class is active in the segment.
    "segments_without_tag" is the fraction of active pairs for which the class is not a tag of the
    clip. "tags_without_segment" is the fraction of the tags whose class is active in no segment of
    the clip. Both fractions measure the third criterion of Wang, Li & Metze (2019), the consistency
    of tags and segments.

    Parameters
    ----------
    counts : (4,) or (N, 4) float or int
        The result of `consistency_counts`, or its sums over clips.
    """
    untagged, pairs, empty, tagged = counts.T
    return {"segments_without_tag": (untagged, pairs), "tags_without_segment": (empty, tagged)}


def consistency_figures(counts: Counts) -> Figures:
    """Return the two fractions of `consistency_parts` from counts (4,) that were summed over clips.

    A fraction is None if its denominator is 0.
    """
    return _figures(consistency_parts(counts), exists=False)
