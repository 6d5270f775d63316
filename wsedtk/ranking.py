"""Average precision, area under the ROC curve and d' of many classes, and their bootstrap intervals.

N clips, R resamples, K classes, G distinct scores of a class's positives.
"""

import numpy as np
import scipy.sparse
import scipy.stats

_RESAMPLES_AT_ONCE = 64  # bounds the memory


def _rank(scores, truth, dtype):
    """Sort one class's clips once, as a matrix (3 G + 1, N) that sums their weights; G: the distinct scores of positives, descending.

    Its rows: G sums of the positives with each such score; then in turn the negatives between the score before and it, and those
    with it; last, the negatives below all of them. scores: (N,); truth: (N,) booleans.
    """
    falling = -scores
    positive, negative = (clips[np.argsort(falling[clips])] for clips in (np.flatnonzero(truth), np.flatnonzero(~truth)))
    distinct, first = np.unique(falling[positive], return_index=True)
    edges = np.stack([np.searchsorted(falling[negative], distinct, side) for side in ("left", "right")], axis=1).ravel()
    starts = np.concatenate([first, [len(positive)], len(positive) + edges, [len(scores)]])
    order = np.concatenate([positive, negative])
    return scipy.sparse.csr_array((np.ones(len(order), dtype), order, starts), shape=(len(starts) - 1, len(order)))


def _areas(sums):
    """Average precision and ROC AUC (2, R) of the sums (3 G + 1, R) of `_rank`; NaN where nothing positive, or negative, has a weight."""
    positive, negative = np.split(sums.astype(np.float64), [len(sums) // 3])  # (G, R), (2 G + 1, R)
    tp, fp = np.cumsum(positive, axis=0), np.cumsum(negative, axis=0)
    above, upto = fp[:-1:2], fp[1::2]  # false positives with a higher score, and with at least that score: (G, R)
    with np.errstate(invalid="ignore"):
        precision = tp / np.maximum(tp + upto, np.finfo(float).tiny)
        outranked = fp[-1] - (above + upto) / 2  # negatives that the score is above, ties counted half
        return np.stack([(positive * precision).sum(axis=0) / tp[-1], (positive * outranked).sum(axis=0) / (tp[-1] * fp[-1])])


def _areas_by_class(scores, truth, weights):
    """`_areas` of each class under each row of weights (R, N): (2, K, R)."""
    found = np.full((2, truth.shape[1], len(weights)), np.nan)
    blocks = [np.ascontiguousarray(weights[i:i + _RESAMPLES_AT_ONCE].T) for i in range(0, len(weights), _RESAMPLES_AT_ONCE)]
    for k in np.flatnonzero(truth.any(axis=0)):
        ranked = _rank(scores[:, k], truth[:, k], weights.dtype)
        found[:, k] = np.concatenate([_areas(ranked @ block) for block in blocks], axis=1)
    return found


def dprime(auc):
    """d' = sqrt(2) times the inverse normal of an area under the ROC curve; None where it is infinite (area 0 or 1)."""
    return None if auc is None or not 0 < auc < 1 else float(np.sqrt(2) * scipy.stats.norm.ppf(auc))


def class_ranking(scores, truth, weight=None):
    """Rank each class: K times {ap, auc, dprime, positives}; None without positives, the area and d' without negatives too.

    ap: the area under the precision-recall steps, as scikit-learn's average_precision_score; auc: under the ROC curve, ties counted
    half, as roc_auc_score; positives: their number. scores: (N, K); truth: (N, K) booleans; weight: (N,) of the clips, or None.
    """
    weights = np.ones((1, len(truth))) if weight is None else np.asarray(weight)[None]
    areas = [[None if np.isnan(v) else v for v in values] for values in _areas_by_class(scores, truth, weights)[:, :, 0].tolist()]
    return [{"ap": ap, "auc": auc, "dprime": dprime(auc), "positives": count} for ap, auc, count in zip(*areas, truth.sum(axis=0).tolist())]


def average_precision(scores, truth, weight=None):
    """`class_ranking`'s ap of a single class. scores: (N,); truth: (N,) booleans; weight: (N,) or None."""
    return class_ranking(scores[:, None], truth[:, None], weight)[0]["ap"]


def roc_auc(scores, truth, weight=None):
    """`class_ranking`'s auc of a single class, as `average_precision`."""
    return class_ranking(scores[:, None], truth[:, None], weight)[0]["auc"]


def _mean(values):
    """The mean of the values that are there, None where none is. values: floats, None or NaN for what is undefined."""
    values = np.array(values, np.float64)
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else None


def mean_ranking(classes):
    """{map, mauc, dprime} of `class_ranking`: means over the classes where they are defined, and d' of the mean area."""
    mauc = _mean([c["auc"] for c in classes])
    return {"map": _mean([c["ap"] for c in classes]), "mauc": mauc, "dprime": dprime(mauc)}


def ranking_metrics(scores, truth, weight=None):
    """{map, mauc, dprime} over the classes with positives, see `class_ranking`."""
    return mean_ranking(class_ranking(scores, truth, weight))


def resampled_means(scores, truth, weights):
    """MAP and MAUC of each resample: (2, R), NaN where no class has what they need. Arguments as `ranking_intervals`."""
    return np.array([[np.nan if (mean := _mean(values)) is None else mean for values in areas.T]
                     for areas in _areas_by_class(scores, truth, weights)])


def _ends_without_bias(values, value):
    """The 2.5th and 97.5th percentiles of resampled values (R,), less what their mean is above `value`; None without any."""
    values = values[~np.isnan(values)]
    return None if value is None or not len(values) else (np.percentile(values, [2.5, 97.5]) - np.mean(values) + value).tolist()


def paired_intervals(truth, first, second, first_means, second_means):
    """MAP and MAUC of the second system less those of the first: {map, mauc}, each (difference, [low, high]), None where undefined.

    first, second: scores (N, K) of the same clips; first_means, second_means: their `resampled_means` under the same weights.
    """
    ours, theirs = (ranking_metrics(scores, truth) for scores in (first, second))
    found = {}
    for name, means in zip(("map", "mauc"), second_means - first_means):
        value = None if None in (ours[name], theirs[name]) else theirs[name] - ours[name]
        found[name] = value, _ends_without_bias(means, value)
    return found


def precision_recall(scores, truth):
    """Precision and recall (C,), (C,) of one class at each distinct score as a threshold, from the highest. truth: (N,) booleans."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits = np.cumsum(truth[order])[last]
    return hits / (last + 1), hits / max(int(truth.sum()), 1)


def ranking_intervals(scores, truth, weights):
    """95 % intervals of `ranking_metrics` over resamples: {map, mauc, dprime}, each [low, high] or None.

    scores: (N, K); truth: (N, K) booleans; weights: (R, N) as `metrics.clip_weights`. Each class is sorted once for all resamples.
    The ends are the percentiles of the resamples less their bias, which is their mean less the value itself: clips that are drawn
    twice lift the average precision of rare classes, by more than it spreads.
    """
    found, values = {}, ranking_metrics(scores, truth)
    for name, means in zip(("map", "mauc"), resampled_means(scores, truth, weights)):
        ends = _ends_without_bias(means, values[name])
        found[name] = None if ends is None else np.clip(ends, 0, 1).tolist()
    ends = [dprime(auc) for auc in found["mauc"] or [None, None]]  # d' rises with the area: so do its percentiles
    return {**found, "dprime": ends if None not in ends else None}
