"""Average precision, area under the ROC curve and d' of many classes, and their intervals.

In the shapes, N is the number of clips and K is the number of classes. G is the number of distinct
scores of the positive clips of one class.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypedDict

import numpy as np
import scipy.stats

from wsedtk.core.types import Booleans, Floats, Integers
from wsedtk.core.wording import counted
from wsedtk.evaluation import intervals
from wsedtk.evaluation.metrics import Figures

# A class with fewer than FEW_POSITIVES positive clips is rare. The jackknife can't leave out the
# only positive clip of a class, because the average precision without this clip is undefined.
FEW_POSITIVES = 2
MOST_RARE = 0.1  # No intervals are computed if the fraction of rare classes is larger.


class ClassFigures(TypedDict):
    """The metric values of one class.

    Attributes
    ----------
    ap, auc, dprime : float or None
        Average precision, area under the ROC curve, and d'. None if undefined.
    positives : int
        Number of positive clips.
    """

    ap: float | None
    auc: float | None
    dprime: float | None
    positives: int


class _Areas(NamedTuple):
    """Average precision and area under the ROC curve of one class. A value is NaN if undefined."""

    ap: float
    auc: float


@dataclasses.dataclass(frozen=True)
class _Ranks:
    """The numbers of positive and negative clips of one class at each score.

    The scores are the G distinct scores of positive clips, in descending order. A number of clips
    is the sum of the weights of these clips.

    Attributes
    ----------
    positives : (G,) float
        The number of positive clips with exactly this score.
    upto : (G,) float
        The number of positive clips with at least this score.
    above : (G,) float
        The number of negative clips with a higher score.
    with_ties : (G,) float
        The number of negative clips with at least this score.
    negatives : float
        The number of all negative clips.
    """

    positives: Floats
    upto: Floats
    above: Floats
    with_ties: Floats
    negatives: float

    @property
    def outranked(self) -> Floats:
        """The number (G,) of negative clips below each score.

        A negative clip with the same score counts half.
        """
        below: Floats = self.negatives - (self.above + self.with_ties) / 2
        return below

    def areas(self) -> _Areas:
        """Return average precision and area under the ROC curve."""
        precision = _share(self.upto, self.with_ties)
        with np.errstate(invalid="ignore"):
            return _Areas(
                (self.positives * precision).sum() / self.upto[-1],
                (self.positives * self.outranked).sum() / (self.upto[-1] * self.negatives),
            )


def _share(part: Floats, rest: Floats) -> Floats:
    """Return part / (part + rest), or 0 where both are 0."""
    share: Floats = part / np.maximum(part + rest, np.finfo(float).tiny)
    return share


def _rank(scores: Floats, truth: Booleans, weight: Floats) -> tuple[_Ranks, Floats]:
    """Return the `_Ranks` of one class, and the G distinct scores of its positive clips.

    The returned scores are in descending order. Shapes of the parameters: scores and weight (N,)
    float, truth (N,) bool. At least one clip must be positive.
    """
    falling, group = np.unique(-scores[truth], return_inverse=True)
    positives = np.asarray(np.bincount(group, weight[truth], len(falling)), np.float64)
    negatives = -scores[~truth]
    order = np.argsort(negatives)
    negatives = negatives[order]
    sums = np.append(0.0, np.cumsum(weight[~truth][order]))
    above = sums[np.searchsorted(negatives, falling)]
    with_ties = sums[np.searchsorted(negatives, falling, "right")]
    ranks = _Ranks(positives, np.cumsum(positives), above, with_ties, sums[-1])
    return ranks, -falling


def dprime(auc: float | None) -> float | None:
    """Return d' for an area under the ROC curve.

    d' is sqrt(2) times the quantile of the standard normal distribution at this area. The result is
    None if the area is None, or if d' is infinite (for the areas 0 and 1).
    """
    if auc is None or not 0 < auc < 1:
        return None
    return float(np.sqrt(2) * scipy.stats.norm.ppf(auc))


def class_ranking(
    scores: Floats, truth: Booleans, weight: Floats | None = None
) -> list[ClassFigures]:
    """Return average precision, area under the ROC curve and d' of each of K classes.

    Average precision is the area under the steps of the precision-recall curve, as in
    scikit-learn's `average_precision_score`. In the area under the ROC curve, a positive and a
    negative clip with equal scores count as half a correct pair, as in `roc_auc_score`. If a class
    has no positive clips, its three metric values are None. If it has no negative clips, the area
    and d' are None.

    Parameters
    ----------
    scores : (N, K) float
    truth : (N, K) bool
        Whether each clip is positive for each class.
    weight : (N,) float, optional
        Weight of each clip. By default 1.
    """
    weights = np.ones(len(truth)) if weight is None else np.asarray(weight, np.float64)
    found: list[ClassFigures] = []
    for k, count in enumerate(truth.sum(axis=0).tolist()):
        ap = auc = None
        if count:
            ranks, _ = _rank(scores[:, k], truth[:, k], weights)
            ap, auc = (None if np.isnan(area) else float(area) for area in ranks.areas())
        found.append({"ap": ap, "auc": auc, "dprime": dprime(auc), "positives": count})
    return found


def average_precision(
    scores: Floats, truth: Booleans, weight: Floats | None = None
) -> float | None:
    """Return the average precision of a single class, as described in `class_ranking`.

    Parameters
    ----------
    scores : (N,) float
    truth : (N,) bool
        Whether each clip is positive.
    weight : (N,) float, optional
        Weight of each clip. By default 1.
    """
    return class_ranking(scores[:, None], truth[:, None], weight)[0]["ap"]


def roc_auc(scores: Floats, truth: Booleans, weight: Floats | None = None) -> float | None:
    """Return the area under the ROC curve of a single class.

    See `average_precision` for the parameters.
    """
    return class_ranking(scores[:, None], truth[:, None], weight)[0]["auc"]


def _mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are not None. If all are None, return None."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def mean_ranking(classes: Sequence[ClassFigures]) -> Figures:
    """Return {map, mauc, dprime} from the metric values of each class.

    MAP is the mean of the average precisions. MAUC is the mean of the areas under the ROC curve. In
    both means, classes whose value is None are left out. d' is computed from MAUC.
    """
    mauc = _mean(one["auc"] for one in classes)
    return {"map": _mean(one["ap"] for one in classes), "mauc": mauc, "dprime": dprime(mauc)}


def ranking_metrics(scores: Floats, truth: Booleans, weight: Floats | None = None) -> Figures:
    """Return {map, mauc, dprime}, as described in `mean_ranking`.

    See `class_ranking` for the parameters.
    """
    return mean_ranking(class_ranking(scores, truth, weight))


class Curve(NamedTuple):
    """Precision and recall, each (C,), at C thresholds. The thresholds are in descending order."""

    precision: Floats
    recall: Floats


def precision_recall(scores: Floats, truth: Booleans) -> Curve:
    """Return the precision-recall curve of one class. Each distinct score is a threshold.

    Parameters
    ----------
    scores : (N,) float
    truth : (N,) bool
        Whether each clip is positive.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits = np.cumsum(truth[order])[last]
    return Curve(hits / (last + 1), hits / max(int(truth.sum()), 1))


# ---- intervals ----


def _precision_by_others(ranks: _Ranks) -> float:
    """Return the average precision of one class, corrected for its upward bias.

    For each positive clip, there is a precision: the fraction of positive clips among all clips
    with at least the score of this clip. Average precision is the mean of these precisions. It is
    biased upwards if there are few positive clips, because each positive clip is counted in its own
    precision. Here the precision of a positive clip is computed only from the other clips with at
    least its score. The number of positive clips among these other clips is multiplied by
    P / (P - 1), where P is the number of all positive clips. If no other clip has at least its
    score, the precision is 1.
    """
    count = ranks.upto[-1]
    others = ranks.upto - 1
    precision = _share(others * count / max(count - 1, 1), ranks.with_ties)
    precision[others + ranks.with_ties == 0] = 1
    return float((ranks.positives * precision).sum() / count)


def _without_each(scores: Floats, truth: Booleans) -> tuple[Floats, _Ranks]:
    """Return the jackknife values (2, N) and the `_Ranks` of one class.

    Column i contains the metric values without clip i. The first row contains average precisions,
    the second row areas under the ROC curve. An undefined value is NaN. The `_Ranks` are computed
    from all clips. Shapes of the parameters: scores (N,) float, truth (N,) bool. At least one clip
    must be positive.
    """
    ranks, levels = _rank(scores, truth, np.ones(len(truth)))
    count, upto = ranks.upto[-1], ranks.upto
    # `place` (N,) is the number of levels above the score of each clip. The levels are the distinct
    # scores of the positive clips.
    place = np.searchsorted(-levels, -scores)
    found = np.empty((2, len(truth)))

    def from_each(values: Floats) -> Floats:
        """Return (G + 1,): the sums of the values from each level to the lowest level, then 0."""
        return np.append(np.cumsum(values[::-1])[::-1], 0.0)

    terms = ranks.positives * _share(upto, ranks.with_ties)
    before = np.append(0.0, np.cumsum(terms))  # (G + 1,), sums of the terms of higher levels
    one_less = _share(upto - 1, ranks.with_ties)  # precision without one of the positive clips
    own, below = (ranks.positives - 1) * one_less, from_each(ranks.positives * one_less)
    fewer_false = ranks.positives * _share(upto, np.maximum(ranks.with_ties - 1, 0))
    at, over = place[truth], place[~truth]
    with np.errstate(invalid="ignore", divide="ignore"):
        found[0, truth] = (before[at] + own[at] + below[at + 1]) / (count - 1)
        found[0, ~truth] = (before[over] + from_each(fewer_false)[over]) / count
        pairs = (ranks.positives * ranks.outranked).sum()
        found[1, truth] = (pairs - ranks.outranked[at]) / ((count - 1) * ranks.negatives)
        # The number of positive clips with a higher score than each negative clip.
        higher = np.append(0.0, upto)[over]
        tied = np.append(0.0, upto)[np.searchsorted(-levels, -scores[~truth], "right")]
        found[1, ~truth] = (pairs - (higher + tied) / 2) / (count * (ranks.negatives - 1))
    found[~np.isfinite(found)] = np.nan
    return found, ranks


def why_no_interval(positives: Sequence[int] | Integers) -> str | None:
    """Return why MAP, MAUC and d' have no intervals, if the reason is that many classes are rare.

    A class is rare if it has fewer than `FEW_POSITIVES` positive clips. The result is None if at
    most the fraction `MOST_RARE` of the classes is rare.

    Parameters
    ----------
    positives : (K,) int
        Number of positive clips of each class.
    """
    num_rare = sum(count < FEW_POSITIVES for count in positives)
    if num_rare <= MOST_RARE * len(positives):
        return None
    have = "has" if num_rare == 1 else "have"
    return (
        f"{num_rare} of {counted(len(positives), 'class')} {have} fewer than {FEW_POSITIVES} "
        "positive clips"
    )


def ranking_estimates(scores: Floats, truth: Booleans) -> dict[str, intervals.Estimate | None]:
    """Return the `Estimate` of each of {map, mauc, dprime}.

    An `Estimate` is None if the metric value is undefined. If classes have few positive clips, MAP
    is biased upwards. The `centre` of its `Estimate` is corrected for this bias: the precision at
    the score of a positive clip is computed from the *other* clips (see `_precision_by_others`).
    The influences of an `Estimate` are None if there is no valid interval, for example because too
    many classes are rare (see `why_no_interval`).

    Parameters
    ----------
    scores : (N, K) float
    truth : (N, K) bool
        Whether each clip is positive for each class.
    """
    num_clips, positives = len(truth), truth.sum(axis=0)
    total, number = np.zeros((2, num_clips)), np.zeros((2, num_clips))
    class_areas: list[_Areas] = []
    centres: list[float] = []
    for k in np.flatnonzero(positives):
        without, ranks = _without_each(scores[:, k], truth[:, k])
        total += np.nan_to_num(without)
        number += ~np.isnan(without)
        class_areas.append(ranks.areas())
        centres.append(_precision_by_others(ranks))
    defined = [area.auc for area in class_areas if not np.isnan(area.auc)]
    with np.errstate(invalid="ignore"):
        map_without, mauc_without = total / number  # each (N,), with one clip left out
    if why_no_interval(positives) is not None:
        map_without = mauc_without = np.full(num_clips, np.nan)
    mean_ap = _mean(area.ap for area in class_areas)
    area = intervals.jackknife(_mean(defined), mauc_without)
    return {
        "map": intervals.jackknife(mean_ap, map_without, _mean(centres)),
        "mauc": area,
        "dprime": _dprime_estimate(area),
    }


def _dprime_estimate(area: intervals.Estimate | None) -> intervals.Estimate | None:
    """Return the `Estimate` of d' from the `Estimate` of an area under the ROC curve.

    The influences on the area are multiplied by the derivative of d' at this area.
    """
    value = dprime(area.value) if area is not None else None
    if area is None or value is None:
        return None
    slope = np.sqrt(2) / scipy.stats.norm.pdf(value / np.sqrt(2))
    influence = None if area.influence is None else slope * area.influence
    return intervals.Estimate(value, value, influence)


def ranking_intervals(scores: Floats, truth: Booleans) -> dict[str, intervals.Interval | None]:
    """Return {map, mauc, dprime}, each as a 95 % interval over clips [low, high].

    The intervals of MAP and MAUC are Student's t intervals around the centre of each `Estimate`.
    They are computed on the logit scale with the jackknife variance. If necessary, they are widened
    to contain the metric value. The interval of d' is computed from the ends of the interval of
    MAUC. An interval is None if it can't be computed, for example because the influences are None
    or all 0.

    tests/evaluation/test_coverage.py draws samples of 147 and of 1,103 clips from simulated
    populations. 90 to 97 % of the intervals contain the metric value of the population. For other
    populations, this percentage may differ.

    Parameters
    ----------
    scores : (N, K) float
    truth : (N, K) bool
        Whether each clip is positive for each class.
    """
    estimates = ranking_estimates(scores, truth)
    area = intervals.over_clips(estimates["mauc"])
    found = {"map": intervals.over_clips(estimates["map"]), "mauc": area, "dprime": None}
    if area is not None:
        low, high = map(dprime, area)
        if low is not None and high is not None:
            found["dprime"] = [low, high]
    return found
