"""Comparisons of evaluated systems: paired differences, errors of classes and clips, and curves.

In the shapes, N is the number of clips, S is the number of segments of all clips together, and K is
the number of classes.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from wsedtk.core.types import Floats, Integers
from wsedtk.data import events
from wsedtk.evaluation import average_precision, bootstrap, intervals, metrics
from wsedtk.evaluation.bootstrap import Difference
from wsedtk.evaluation.columns import Column, built_in
from wsedtk.evaluation.intervals import Estimate
from wsedtk.evaluation.metric import Counted
from wsedtk.evaluation.report_data import figure
from wsedtk.evaluation.scored_systems import Scored

NUM_RESAMPLES = 1000  # number of bootstrap resamples of the clips


class PairedDifferences(NamedTuple):
    """The differences of metric values between a system and the first system of its group.

    Attributes
    ----------
    system : Scored
    figures : dict
        {(section, key): Difference}. Each difference is the value of this system minus the value of
        the first system.
    """

    system: Scored
    figures: dict[tuple[str, str], Difference]


class ClassErrors(NamedTuple):
    """The numbers (K,) of false negative segments and of false positive segments of each class."""

    missed: Integers
    false_positives: Integers


class OperatingPoint(NamedTuple):
    """Precision and recall of a class at its threshold."""

    precision: float
    recall: float


class ChosenClips(NamedTuple):
    """Indices of the clips with the fewest errors, and of the clips with the most errors."""

    best: list[int]
    worst: list[int]


def counted_sections(scored: Scored) -> dict[str, Counted]:
    """Return {section: Counted} of the sections whose metrics are ratios of sums over clips.

    The sections "segment" and "event" are left out if `scored.has_events` is False.
    """
    found = {}
    for metric in built_in():
        if metric.counted is None:
            continue
        needs_events = metric.section in ("segment", "event")
        if not needs_events or scored.has_events:
            found[metric.section] = metric.counted
    return found


def ranking_estimates(scored: Scored) -> dict[str, Estimate | None]:
    """Return the `Estimate` of each of {map, mauc, dprime}.

    If the report has no MAP, or if `scored.scores` is None, return {}.
    """
    if scored.report["audioset"]["map"] is None or scored.scores is None:
        return {}
    clip_scores = scored.scores.clip[scored.rows]
    return average_precision.ranking_estimates(clip_scores, scored.evidence.true_tags)


def paired_differences(
    group: Sequence[Scored], columns: Sequence[Column]
) -> Iterator[PairedDifferences]:
    """Yield the differences between the first system of a group and each of the other systems.

    The 95 % intervals include the variation over clips, but not the variation between training
    runs. All systems are evaluated on the same clips. For ratios of sums over clips, the intervals
    are percentiles of `NUM_RESAMPLES` bootstrap resamples. For MAP, MAUC and d', they are computed
    by `intervals.difference_over_clips`. The differences of other metric values have no intervals.

    Parameters
    ----------
    group : sequence of Scored
        At least two folders of the same set and mode. Each folder contains a copy of the reference.
    columns : sequence of Column
        The metrics to compare. The results can also contain other metrics.
    """
    first = group[0]
    weights = bootstrap.clip_weights(len(first.truth), NUM_RESAMPLES)
    wanted = {column.section for column in columns}
    sections = {name: one for name, one in counted_sections(first).items() if name in wanted}
    counts = {name: one.counts(first.evidence) for name, one in sections.items()}
    ours = ranking_estimates(first)
    for other in group[1:]:
        found: dict[tuple[str, str], Difference] = {}
        available = counted_sections(other)
        for name, one in sections.items():
            if name in available:
                theirs = one.counts(other.evidence)
                differences = bootstrap.paired_intervals(one.figures, weights, counts[name], theirs)
                found.update({(name, key): value for key, value in differences.items()})
        estimates = ranking_estimates(other)
        for key, estimate in ours.items():
            if key in estimates:
                found["audioset", key] = _difference(estimate, estimates[key])
        for column in columns:
            if (column.section, column.key) not in found and column.section not in sections:
                if column.section != "audioset":
                    found[column.section, column.key] = _plain_difference(first, other, column)
        yield PairedDifferences(other, found)


def _difference(first: Estimate | None, second: Estimate | None) -> Difference:
    """Return the difference of two metric values, second minus first, with its interval."""
    value = None if first is None or second is None else second.value - first.value
    return Difference(value, intervals.difference_over_clips(first, second))


def _plain_difference(first: Scored, second: Scored, column: Column) -> Difference:
    """Return the difference of the metric values in two reports, without an interval.

    The difference is second minus first.
    """
    ours, theirs = figure(first.report, column), figure(second.report, column)
    return Difference(bootstrap.subtract(theirs, ours), None)


def class_errors(scored: Scored) -> ClassErrors:
    """Return the numbers of false negative and false positive segments of each class."""
    truth, decoded = scored.evidence.true_segments, scored.evidence.decoded_segments
    _, false_positives, missed = metrics.decision_counts(truth, decoded)
    return ClassErrors(missed, false_positives)


def clip_errors(scored: Scored) -> Floats | Integers:
    """Return the number (N,) of errors of each clip.

    If events were evaluated, the errors are the substitutions, deletions and insertions in segments
    of 1 s. Otherwise they are the false positive and false negative tags.
    """
    counted = counted_sections(scored)
    if scored.has_events:
        errors = counted["segment"].counts(scored.evidence)[:, :3]
    else:
        errors = counted["tagging"].counts(scored.evidence)[:, 1:]
    total: Floats | Integers = errors.sum(axis=1)
    return total


def choose_clips(errors: Floats | Integers, num_true: Integers, count: int) -> ChosenClips:
    """Return the clips with the fewest and with the most errors, at most `count` of each.

    The worst clips are chosen first, and no clip is in both lists. Clips without errors are never
    among the worst. Clips without reference events or tags are never among the best.

    Parameters
    ----------
    errors : (N,)
        Number of errors of each clip.
    num_true : (N,) int
        Number of reference events or tags of each clip. Of the best clips with the same number of
        errors, the clips with more reference events or tags come first.
    count : int
        The maximum number of best clips, and of worst clips.
    """
    worst = [i for i in np.argsort(-errors, kind="stable")[:count].tolist() if errors[i] > 0]
    best = [i for i in np.lexsort((-num_true, errors)).tolist() if i not in worst and num_true[i]]
    return ChosenClips(best[:count], worst)


def segment_scores(scored: Scored, classes: Sequence[int]) -> Floats:
    """Return the scores (S, M) of the segments of all clips for M classes.

    `classes` contains the indices of these classes. If the score file contains scores of only some
    segments of a clip, the scores of the other segments are 0.

    Raises
    ------
    ValueError
        If the folder has no scores.
    """
    if scored.scores is None:
        raise ValueError(f"{scored.folder}: the folder has no scores")
    counts, parts = events.num_segments(scored.truth.durations), []
    for block, values in scored.scores.blocks(scored.rows, "segment"):
        missing = max(0, counts[block].max() - values.shape[1])
        values = np.pad(values[:, :, classes], ((0, 0), (0, missing), (0, 0)))  # (B clips, S', M)
        parts.append(values[np.arange(values.shape[1]) < counts[block][:, None]])
    return np.concatenate(parts)


def operating_points(scored: Scored, classes: Sequence[int]) -> list[OperatingPoint | None]:
    """Return precision and recall of the tags of M classes at the clip thresholds of the system.

    `classes` contains the indices of these classes. The result for a class is None if no clip score
    reaches the threshold of the class. The results for all classes are None if the thresholds or
    the scores are unknown.
    """
    if scored.point is None or scored.scores is None:
        return [None] * len(classes)
    clip_scores = scored.scores.clip[scored.rows][:, classes]
    decided = clip_scores >= scored.point.clip_thresholds[classes]
    found: list[OperatingPoint | None] = []
    counts = metrics.decision_counts(scored.evidence.true_tags[:, classes], decided)
    for tp, fp, fn in counts.T.tolist():
        point = OperatingPoint(tp / (tp + fp), tp / max(tp + fn, 1)) if tp + fp else None
        found.append(point)
    return found


def thinned(curve: average_precision.Curve, most: int = 400) -> average_precision.Curve:
    """Return a precision-recall curve with at most `most` points.

    `most` // 2 values of recall are spaced equally from 0 to 1. For each of these values, two
    points are kept: the first point with at least this recall, and the last point with at most this
    recall. If no point has at least this recall, the last point of the curve is kept instead. If no
    point has at most this recall, the first point of the curve is kept instead.
    """
    precision, recall = curve
    places = np.linspace(0, 1, most // 2)
    first = np.searchsorted(recall, places, side="left")
    after = np.searchsorted(recall, places, side="right")
    keep = np.unique(np.concatenate([first, after - 1]).clip(0, len(recall) - 1))
    return average_precision.Curve(precision[keep], recall[keep])
