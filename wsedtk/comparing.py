"""Scored systems beside each other: paired differences, whose errors are of which classes, what each threshold would give.

N clips, S segments of all clips together, K classes, R resamples.
"""

import numpy as np

from wsedtk import metrics, ranking, scoring

RESAMPLES, FEWER_RESAMPLES = 1000, 200  # of the clips; the fewer where there are
MANY_SCORES = 2_000_000  # clip scores, of which each resample ranks all


def _counts(scored):
    """{section: (metric, counts (N, ...) of each clip)} of what was scored, for `metrics.paired_intervals`."""
    truth, decoded = scored.truth, scored.decoded
    found = {"tagging": (metrics.f1_of, scoring.tag_counts(truth.tag_matrix(), decoded.tag_matrix()))}
    if scored.has_events:
        true, said, clip_of = scoring.active_segments(truth, decoded)
        found["segment"] = metrics.rates, metrics.sum_by_clip(metrics.segment_counts(true, said), clip_of, len(truth))
        found["event"] = metrics.f1_of, metrics.event_counts(*scoring.scored_events(truth, decoded), truth.durations, truth.labels)
    return found


def _num_resamples(scored):
    return FEWER_RESAMPLES if len(scored.truth) * len(scored.labels) > MANY_SCORES else RESAMPLES


def paired_differences(group):
    """What each system of a group has more than the first: yields (system, {section: {name: (difference, [low, high])}}, resamples).

    group: Scored folders of the same set and mode, two at least, with their reference. Intervals are 95 % percentiles over resamples
    of the clips, both systems on the same ones.
    """
    first = group[0]
    weights = metrics.clip_weights(len(first.truth), _num_resamples(first))
    counts, tags, means = _counts(first), first.truth.tag_matrix(), None
    for other in group[1:]:
        found = {section: metrics.paired_intervals(metric, weights, counts[section][1], theirs)
                 for section, (metric, theirs) in _counts(other).items() if section in counts}
        ranked = None not in [one.report["audioset"]["map"] for one in (first, other)]
        if ranked and first.scores is not None and other.scores is not None:
            ours, theirs = first.scores.clip[first.rows], other.scores.clip[other.rows]
            means = ranking.resampled_means(ours, tags, weights) if means is None else means
            found["audioset"] = ranking.paired_intervals(tags, ours, theirs, means, ranking.resampled_means(theirs, tags, weights))
        if None not in (first.report["psds"]["psds1"], other.report["psds"]["psds1"]):
            found["psds"] = {name: (other.report["psds"][name] - first.report["psds"][name], None) for name in metrics.PSDS_SETTINGS}
        yield other, found, len(weights)


def class_errors(scored):
    """The segments (K,) of each class that a system missed, and those (K,) that it said too much."""
    true, said, _ = scoring.active_segments(scored.truth, scored.decoded)
    _, added, missed = metrics.decision_counts(true, said)
    return missed, added


def clip_errors(scored):
    """Errors (N,) of each clip: of segments (S + D + I) where events were scored, else of tags."""
    if scored.has_events:
        true, said, clip_of = scoring.active_segments(scored.truth, scored.decoded)
        return metrics.sum_by_clip(metrics.segment_counts(true, said), clip_of, len(scored.truth))[:, :3].sum(axis=1)
    return scoring.tag_counts(scored.truth.tag_matrix(), scored.decoded.tag_matrix())[:, 1:].sum(axis=1)


def choose_clips(errors, num_true, count):
    """The clips with the most errors, and of those with something true the ones with the fewest: two lists of at most `count`.

    errors: (N,); num_true: (N,) events, or tags, of each clip, of which the more make a clip the better one among equals.
    """
    worst = [i for i in np.argsort(-errors, kind="stable")[:count].tolist() if errors[i] > 0]
    best = [i for i in np.lexsort((-num_true, errors)).tolist() if i not in worst and num_true[i]]
    return best[:count], worst


def segment_scores(scored, classes):
    """Scores of the 1 s segments of every clip for some classes (M,): (S, M), beside `scoring.active_segments`."""
    counts, parts = metrics.num_segments(scored.truth.durations), []
    for block, values in scored.scores.blocks(scored.rows, "segment"):
        values = np.pad(values[:, :, classes], ((0, 0), (0, max(0, counts[block].max() - values.shape[1])), (0, 0)))  # (B, S', M)
        parts.append(values[np.arange(values.shape[1]) < counts[block][:, None]])
    return np.concatenate(parts)


def operating_points(scored, classes):
    """(precision, recall) of some classes (M,) at the clip thresholds; None where nothing is said, or there is no threshold."""
    if scored.point is None:
        return [None] * len(classes)
    said = scored.scores.clip[scored.rows][:, classes] >= scored.point.clip_thresholds[classes]
    counts = metrics.decision_counts(scored.truth.tag_matrix()[:, classes], said).T
    return [(tp / (tp + fp), tp / max(tp + fn, 1)) if tp + fp else None for tp, fp, fn in counts.tolist()]


def thinned(precision, recall, most=400):
    """A curve of at most about so many points: the first and the last, the best and the worst, of each recall that can be told apart."""
    places = np.linspace(0, 1, most // 2)
    first, after = (np.searchsorted(recall, places, side=side) for side in ("left", "right"))
    keep = np.unique(np.concatenate([first, after - 1]).clip(0, len(recall) - 1))
    return precision[keep], recall[keep]
