"""Average precision, area under the ROC curve and d' of many classes, and their intervals.

N clips, K classes, G distinct scores of a class's positive clips.
"""

import dataclasses

import numpy as np
import scipy.stats

from wsedtk.evaluation import intervals

FEW_POSITIVES = 2  # a class with fewer is rare: without its only positive clip it has no figure
MOST_RARE = 0.1  # share of the classes that may be rare where there are intervals


@dataclasses.dataclass(frozen=True)
class _Ranks:
    """The clips of one class by score, counted by their weights.

    positives: (G,), positives with each score, from the highest; upto: (G,), positives with at
    least that score; above, with_ties: (G,), negatives with a higher score, and with at least that
    score; negatives: all of them.
    """

    positives: np.ndarray
    upto: np.ndarray
    above: np.ndarray
    with_ties: np.ndarray
    negatives: float

    @property
    def outranked(self):
        """The negatives (G,) below each score, ties counted half."""
        return self.negatives - (self.above + self.with_ties) / 2

    def areas(self):
        """Average precision and area under the ROC curve; NaN where they are undefined."""
        precision = _share(self.upto, self.with_ties)
        with np.errstate(invalid="ignore"):
            return (
                (self.positives * precision).sum() / self.upto[-1],
                (self.positives * self.outranked).sum() / (self.upto[-1] * self.negatives),
            )


def _share(part, rest):
    """part / (part + rest); 0 where both are 0."""
    return part / np.maximum(part + rest, np.finfo(float).tiny)


def _rank(scores, truth, weight):
    """Return the _Ranks of one class with a positive clip, and the score (G,) of each rank.

    scores, weight: (N,); truth: (N,) booleans.
    """
    falling, group = np.unique(-scores[truth], return_inverse=True)
    positives = np.bincount(group, weight[truth], len(falling))
    negatives = -scores[~truth]
    order = np.argsort(negatives)
    negatives = negatives[order]
    sums = np.append(0.0, np.cumsum(weight[~truth][order]))
    above = sums[np.searchsorted(negatives, falling)]
    with_ties = sums[np.searchsorted(negatives, falling, "right")]
    ranks = _Ranks(positives, np.cumsum(positives), above, with_ties, sums[-1])
    return ranks, -falling


def dprime(auc):
    """Return d', sqrt(2) times the inverse normal of an area under the ROC curve.

    None where it is infinite (area 0 or 1).
    """
    if auc is None or not 0 < auc < 1:
        return None
    return float(np.sqrt(2) * scipy.stats.norm.ppf(auc))


def class_ranking(scores, truth, weight=None):
    """Rank each class: K times {ap, auc, dprime, positives}.

    ap: the area under the precision-recall steps, as scikit-learn's average_precision_score; auc:
    the area under the ROC curve, ties counted half, as roc_auc_score; positives: their number.
    Figures are None without positives, auc and dprime without negatives too.
    scores: (N, K); truth: (N, K) booleans; weight: (N,) of the clips, or None.
    """
    weight = np.ones(len(truth)) if weight is None else np.asarray(weight, np.float64)
    found = []
    for k, count in enumerate(truth.sum(axis=0).tolist()):
        ap = auc = None
        if count:
            ranks, _ = _rank(scores[:, k], truth[:, k], weight)
            ap, auc = (None if np.isnan(area) else float(area) for area in ranks.areas())
        found.append({"ap": ap, "auc": auc, "dprime": dprime(auc), "positives": count})
    return found


def average_precision(scores, truth, weight=None):
    """Return `class_ranking`'s ap of a single class.

    scores: (N,); truth: (N,) booleans; weight: (N,) or None.
    """
    return class_ranking(scores[:, None], truth[:, None], weight)[0]["ap"]


def roc_auc(scores, truth, weight=None):
    """Return `class_ranking`'s auc of a single class, as `average_precision`."""
    return class_ranking(scores[:, None], truth[:, None], weight)[0]["auc"]


def _mean(values):
    """Return the mean of the values that are not None; None where all are."""
    values = [value for value in values if value is not None]
    return float(np.mean(values)) if values else None


def mean_ranking(classes):
    """Return {map, mauc, dprime} of `class_ranking`.

    map, mauc: means over the classes where they are defined; dprime: d' of the mean area.
    """
    mauc = _mean([c["auc"] for c in classes])
    return {"map": _mean([c["ap"] for c in classes]), "mauc": mauc, "dprime": dprime(mauc)}


def ranking_metrics(scores, truth, weight=None):
    """Return {map, mauc, dprime} over the classes with positives, see `class_ranking`."""
    return mean_ranking(class_ranking(scores, truth, weight))


def precision_recall(scores, truth):
    """Return precision and recall (C,), (C,) of one class at each distinct score as a threshold.

    From the highest score. truth: (N,) booleans.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits = np.cumsum(truth[order])[last]
    return hits / (last + 1), hits / max(int(truth.sum()), 1)


# ---- intervals ----


def _precision_by_others(ranks):
    """Return the mean over positive clips of the precision of the other clips at their score.

    A positive clip counts in its own precision. That is why average precision is biased upwards on
    few clips. A positive clip that no other is ranked with or above has precision 1.
    """
    count = ranks.upto[-1]
    others = ranks.upto - 1
    precision = _share(others * count / max(count - 1, 1), ranks.with_ties)
    precision[others + ranks.with_ties == 0] = 1
    return (ranks.positives * precision).sum() / count


def _without_each(scores, truth):
    """Return a class's average precision and area (2, N) without each clip, and its _Ranks.

    NaN where that is undefined. scores: (N,); truth: (N,) booleans, at least one of them True.
    """
    ranks, levels = _rank(scores, truth, np.ones(len(truth)))
    count, upto = ranks.upto[-1], ranks.upto
    place = np.searchsorted(-levels, -scores)  # (N,), how many levels are above each score
    found = np.empty((2, len(truth)))

    def from_each(values):
        """Sums (G + 1,) of the values from each level down, 0 last."""
        return np.append(np.cumsum(values[::-1])[::-1], 0.0)

    terms = ranks.positives * _share(upto, ranks.with_ties)
    before = np.append(0.0, np.cumsum(terms))  # (G + 1,), of the levels above each
    one_less = _share(upto - 1, ranks.with_ties)  # without a positive with at least that score
    own, below = (ranks.positives - 1) * one_less, from_each(ranks.positives * one_less)
    fewer_false = ranks.positives * _share(upto, np.maximum(ranks.with_ties - 1, 0))
    at, over = place[truth], place[~truth]
    with np.errstate(invalid="ignore", divide="ignore"):
        found[0, truth] = (before[at] + own[at] + below[at + 1]) / (count - 1)
        found[0, ~truth] = (before[over] + from_each(fewer_false)[over]) / count
        pairs = (ranks.positives * ranks.outranked).sum()
        found[1, truth] = (pairs - ranks.outranked[at]) / ((count - 1) * ranks.negatives)
        higher = np.append(0.0, upto)[over]  # positives above a negative clip
        tied = np.append(0.0, upto)[np.searchsorted(-levels, -scores[~truth], "right")]
        found[1, ~truth] = (pairs - (higher + tied) / 2) / (count * (ranks.negatives - 1))
    found[~np.isfinite(found)] = np.nan
    return found, ranks


def why_no_interval(positives):
    """Say why MAP, MAUC and d' have no intervals with so many positive clips; None where they have.

    positives: (K,), the positive clips of each class. Where classes are rare, or absent by chance,
    nothing in these clips tells how the mean over the classes would differ on others.
    """
    num_rare = sum(count < FEW_POSITIVES for count in positives)
    if num_rare <= MOST_RARE * len(positives):
        return None
    return f"{num_rare} of {len(positives)} classes have fewer than {FEW_POSITIVES} positive clips"


def ranking_estimates(scores, truth):
    """Return {map, mauc, dprime}, each an `intervals.Estimate` of `ranking_metrics`, or None.

    The centre of MAP is the mean over positive clips of the precision of the *other* clips at their
    score: unlike MAP itself it is not biased upwards where classes have few positives. Influences
    are None where there is no right interval, see `why_no_interval`.
    scores: (N, K); truth: (N, K) booleans.
    """
    num_clips, positives = len(truth), truth.sum(axis=0)
    total, number = np.zeros((2, num_clips)), np.zeros((2, num_clips))
    areas, centres = [], []
    for k in np.flatnonzero(positives):
        without, ranks = _without_each(scores[:, k], truth[:, k])
        total += np.nan_to_num(without)
        number += ~np.isnan(without)
        areas.append(ranks.areas())
        centres.append(_precision_by_others(ranks))
    defined = [area for _, area in areas if not np.isnan(area)]
    values = {"map": _mean([ap for ap, _ in areas]), "mauc": _mean(defined)}
    with np.errstate(invalid="ignore"):
        without = dict(zip(values, total / number))
    if why_no_interval(positives) is not None:
        without = dict.fromkeys(values, np.full(num_clips, np.nan))
    found = {
        name: intervals.jackknife(values[name], without[name], centre)
        for name, centre in (("map", _mean(centres)), ("mauc", None))
    }
    found["dprime"] = _dprime_estimate(found["mauc"])
    return found


def _dprime_estimate(area):
    """Return the Estimate of d' of the Estimate of an area, by the slope of d' there, or None."""
    value = dprime(area.value) if area is not None else None
    if value is None:
        return None
    slope = np.sqrt(2) / scipy.stats.norm.pdf(value / np.sqrt(2))
    influence = None if area.influence is None else slope * area.influence
    return intervals.Estimate(value, value, influence)


def ranking_intervals(scores, truth):
    """Return 95 % intervals over clips of `ranking_metrics`: {map, mauc, dprime}.

    Each is [low, high], or None where `ranking_estimates` has no influences. They are Student's on
    the scale of the logit around the centre of the estimate, with the variance of the jackknife,
    and are widened where need be to hold the value. The interval of d' is that of MAUC,
    transformed. In the populations of tests/test_coverage.py, draws of 147 and 1,103 clips, they
    cover the figure of the whole population in 90 to 97 % of draws; in others the share may differ.
    """
    estimates = ranking_estimates(scores, truth)
    found = {name: intervals.over_clips(estimates[name]) for name in ("map", "mauc")}
    ends = [dprime(area) for area in found["mauc"] or [None]]
    return {**found, "dprime": None if None in ends else ends}
