"""Scored systems beside each other: paired differences, whose errors are of which classes, what each threshold would give.

N clips, S segments of all clips together, K classes.
"""

import numpy as np

from wsedtk.data import events
from wsedtk.evaluation import (
    average_precision,
    bootstrap,
    intervals,
    metrics,
    psds,
    report_data,
    sed_eval_metrics,
)

RESAMPLES = 1000  # of the clips


def _counts(scored):
    """Return {section: (metric, counts (N, ...) of each clip)}, for `bootstrap.paired_intervals`."""
    truth, decoded = scored.truth, scored.decoded
    found = {
        "tagging": (metrics.f1_of, report_data.tag_counts(truth.tag_matrix(), decoded.tag_matrix()))
    }
    if scored.has_events:
        found["segment"] = metrics.rates, segment_counts(scored)
        found["event"] = (
            metrics.f1_of,
            sed_eval_metrics.event_counts(
                *report_data.scored_events(truth, decoded), truth.durations, truth.labels
            ),
        )
    return found


def segment_counts(scored):
    """Return the `metrics.segment_counts` (N, 7) of each clip."""
    true, said, clip_of = report_data.active_segments(scored.truth, scored.decoded)
    return metrics.sum_by_clip(metrics.segment_counts(true, said), clip_of, len(scored.truth))


def ranking_estimates(scored):
    """Return `average_precision.ranking_estimates` of a Scored folder; {} without MAP or its scores."""
    if scored.report["audioset"]["map"] is None or scored.scores is None:
        return {}
    return average_precision.ranking_estimates(
        scored.scores.clip[scored.rows], scored.truth.tag_matrix()
    )


def paired_differences(group):
    """Yield what each system of a group has more than the first: (system, differences).

    group: at least two Scored folders of the same set and mode, with their reference. differences:
    {section: {name: (difference, [low, high])}}, None for what is undefined. The intervals are of
    95 % over clips, both systems on the same ones, and speak of these trained systems: percentiles
    of `RESAMPLES` bootstrap resamples; of MAP, MAUC and d' `intervals.difference_over_clips`.
    """
    first = group[0]
    weights = bootstrap.clip_weights(len(first.truth), RESAMPLES)
    counts, ours = _counts(first), ranking_estimates(first)
    for other in group[1:]:
        found = {
            section: bootstrap.paired_intervals(metric, weights, counts[section][1], theirs)
            for section, (metric, theirs) in _counts(other).items()
            if section in counts
        }
        theirs = ranking_estimates(other)
        found["audioset"] = {
            name: _difference(ours[name], theirs[name]) for name in ours if name in theirs
        }
        if None not in (first.report["psds"]["psds1"], other.report["psds"]["psds1"]):
            found["psds"] = {
                name: (other.report["psds"][name] - first.report["psds"][name], None)
                for name in psds.PSDS_SETTINGS
            }
        yield other, found


def _difference(first, second):
    """Return the difference of two Estimates or None, second less first, with its interval."""
    value = None if first is None or second is None else second.value - first.value
    return value, intervals.difference_over_clips(first, second)


def class_errors(scored):
    """The segments (K,) of each class that a system missed, and those (K,) that it said too much."""
    true, said, _ = report_data.active_segments(scored.truth, scored.decoded)
    _, added, missed = metrics.decision_counts(true, said)
    return missed, added


def clip_errors(scored):
    """Errors (N,) of each clip: of segments (S + D + I) where events were scored, else of tags."""
    if scored.has_events:
        return segment_counts(scored)[:, :3].sum(axis=1)
    return report_data.tag_counts(scored.truth.tag_matrix(), scored.decoded.tag_matrix())[
        :, 1:
    ].sum(axis=1)


def choose_clips(errors, num_true, count):
    """The clips with the most errors, and of those with something true the ones with the fewest: two lists of at most `count`.

    errors: (N,); num_true: (N,) events, or tags, of each clip, of which the more make a clip the better one among equals.
    """
    worst = [i for i in np.argsort(-errors, kind="stable")[:count].tolist() if errors[i] > 0]
    best = [i for i in np.lexsort((-num_true, errors)).tolist() if i not in worst and num_true[i]]
    return best[:count], worst


def segment_scores(scored, classes):
    """Scores of the 1 s segments of every clip for some classes (M,): (S, M), beside `scoring.active_segments`."""
    counts, parts = events.num_segments(scored.truth.durations), []
    for block, values in scored.scores.blocks(scored.rows, "segment"):
        values = np.pad(
            values[:, :, classes],
            ((0, 0), (0, max(0, counts[block].max() - values.shape[1])), (0, 0)),
        )  # (B, S', M)
        parts.append(values[np.arange(values.shape[1]) < counts[block][:, None]])
    return np.concatenate(parts)


def operating_points(scored, classes):
    """(precision, recall) of some classes (M,) at the clip thresholds; None where nothing is said, or there is no threshold."""
    if scored.point is None:
        return [None] * len(classes)
    said = scored.scores.clip[scored.rows][:, classes] >= scored.point.clip_thresholds[classes]
    counts = metrics.decision_counts(scored.truth.tag_matrix()[:, classes], said).T
    return [
        (tp / (tp + fp), tp / max(tp + fn, 1)) if tp + fp else None
        for tp, fp, fn in counts.tolist()
    ]


def thinned(precision, recall, most=400):
    """A curve of at most about so many points: the first and the last, the best and the worst, of each recall that can be told apart."""
    places = np.linspace(0, 1, most // 2)
    first, after = (np.searchsorted(recall, places, side=side) for side in ("left", "right"))
    keep = np.unique(np.concatenate([first, after - 1]).clip(0, len(recall) - 1))
    return precision[keep], recall[keep]
