"""Intervals without resampling, from the influence of each clip and the variation over seeds.

In the shapes, N is the number of clips and M is the number of seeds.

The jackknife (Efron & Stein 1981, "The jackknife estimate of variance") leaves out one clip at a
time. The influence of a clip is computed from the change of the metric value if this clip is left
out. The variance of the metric value is computed from the influences of all clips. If two systems
were evaluated on the same clips, each clip has an influence on the metric value of each system. Its
influence on the difference of the two metric values is the difference of these two influences.

Two tests in tests/evaluation/ check these intervals with simulated populations. test_coverage.py
measures how often an interval over clips contains the value of the population.
test_false_alarms.py measures how often the interval of a difference over seeds excludes 0 although
the two systems are equal.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.special
import scipy.stats

from wsedtk.core.types import Floats, Integers

Interval = list[float]  # [low, high]
MIN_SEEDS = 3  # an interval over seeds needs at least this number of seeds
_QUANTILE = 0.975  # the quantile at the upper end of a 95 % interval


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A metric value of one system, and the numbers that its interval is computed from.

    Attributes
    ----------
    value : float
        The metric value, as reported.
    centre : float
        The centre of the interval. For MAP, it is the metric value, corrected for an upward bias
        (see `average_precision.ranking_estimates`). For other metrics, it is the metric value. It
        is not used if `influence` is None.
    influence : (N,) float, or None
        The influence of each clip: (N - 1) times the decrease of the metric value if this clip is
        left out. The mean over all clips is subtracted, so that the influences have mean 0. For d',
        the influences are computed from those on MAUC. None if there is no valid interval.
    """

    value: float
    centre: float
    influence: Floats | None


class _Variance(NamedTuple):
    """A variance, and its degrees of freedom."""

    value: float
    freedom: float


class SeedMean(NamedTuple):
    """The mean of a metric value over seeds, and half the width of the 95 % interval of this mean.

    `half` is None if there are fewer than `MIN_SEEDS` seeds.
    """

    mean: float
    half: float | None


class SeedDifference(NamedTuple):
    """The difference of two means over seeds, and the 95 % interval of this difference.

    `interval` is None if it can't be computed.
    """

    value: float
    interval: Interval | None


def jackknife(value: float | None, without: Floats, centre: float | None = None) -> Estimate | None:
    """Return the `Estimate` of a metric value, or None if the metric value is None.

    Parameters
    ----------
    value : float or None
        The metric value of all clips.
    without : (N,) float
        The metric value without each clip. If one of these values is not finite, the `Estimate` has
        no influences.
    centre : float, optional
        The metric value, corrected for its bias. By default `value`.
    """
    if value is None:
        return None
    influence = None
    if np.isfinite(without).all():
        influence = (len(without) - 1) * (without.mean() - without)
    return Estimate(value, value if centre is None else centre, influence)


def ratio(numerators: Floats | Integers, denominators: Floats | Integers) -> Estimate | None:
    """Return the `Estimate` of a ratio of two sums over clips, or None if the denominator is 0.

    Parameters
    ----------
    numerators, denominators : (N,) float or int
        The contributions of each clip to the two sums.
    """
    numerator, denominator = numerators.sum(), denominators.sum()
    if not denominator:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        without = (numerator - numerators) / (denominator - denominators)
    return jackknife(float(numerator / denominator), without)


def _satterthwaite(parts: Sequence[_Variance]) -> float:
    """Return the degrees of freedom of the sum of independent variances (Satterthwaite 1946)."""
    uncertainty = sum(variance**2 / freedom for variance, freedom in parts)
    if not uncertainty:
        return math.inf
    return sum(variance for variance, _ in parts) ** 2 / uncertainty


def _clip_variance(influence: Floats) -> _Variance:
    """Return the variance of a metric value over random samples of N clips.

    `influence` has the shape (N,). If a few clips cause most of the variance, the number of degrees
    of freedom is small.
    """
    squares = influence**2
    total, num_clips = squares.sum(), len(influence)
    if not total:
        return _Variance(0.0, math.inf)
    uncertainty = (squares**2).sum() / total**2 - 1 / num_clips
    freedom = math.inf
    if uncertainty > 1e-12:
        freedom = 2 / uncertainty - 1  # about N - 1 if the influences are normally distributed
    return _Variance(total / num_clips / (num_clips - 1), max(freedom, 1.0))


def _around(centre: float, variance: float, freedom: float, value: float) -> Interval:
    """Return Student's 95 % t interval [low, high] around the centre.

    If necessary, the interval is widened to contain the value.
    """
    half = scipy.stats.t.ppf(_QUANTILE, freedom) * np.sqrt(variance)
    return [float(min(centre - half, value)), float(max(centre + half, value))]


def over_clips(estimate: Estimate | None) -> Interval | None:
    """Return the 95 % interval [low, high] over clips for a metric value between 0 and 1.

    It is Student's t interval around the centre, computed on the logit scale. If necessary, it is
    widened to contain the metric value. The result is None if there is no valid interval, for
    example for a perfect ranking, because its influences are all 0.
    """
    if estimate is None or estimate.influence is None or not 0 < estimate.centre < 1:
        return None
    variance, freedom = _clip_variance(estimate.influence)
    if not variance:
        return None
    centre = estimate.centre
    half = scipy.stats.t.ppf(_QUANTILE, freedom) * np.sqrt(variance) / (centre * (1 - centre))
    ends = scipy.special.expit(scipy.special.logit(centre) + [-half, half])
    return [float(min(ends[0], estimate.value)), float(max(ends[1], estimate.value))]


def difference_over_clips(first: Estimate | None, second: Estimate | None) -> Interval | None:
    """Return the 95 % interval [low, high] over clips for a difference, second minus first.

    The interval is valid for these two trained systems. It does not include the variation between
    training runs. The result is None if a metric value is undefined or has no influences.

    Parameters
    ----------
    first, second : Estimate or None
        The metric values of two systems on the same clips. None if undefined.
    """
    if first is None or second is None or first.influence is None or second.influence is None:
        return None
    variance, freedom = _clip_variance(second.influence - first.influence)
    centre = second.centre - first.centre
    return _around(centre, variance, freedom, second.value - first.value)


def over_seeds(values: npt.ArrayLike) -> SeedMean:
    """Return the mean of a metric value over seeds, and half the width of its 95 % interval.

    The interval is Student's t interval of the mean. It includes the variation over seeds on the
    same clips, but not the variation over clips. With fewer than `MIN_SEEDS` seeds, no interval is
    computed.

    Parameters
    ----------
    values : (M,) float
        The metric value of each seed.
    """
    values = np.asarray(values, float)
    if len(values) < MIN_SEEDS:
        return SeedMean(float(values.mean()), None)
    spread = values.std(ddof=1) / np.sqrt(len(values))
    half = float(scipy.stats.t.ppf(_QUANTILE, len(values) - 1) * spread)
    return SeedMean(float(values.mean()), half)


def difference_over_seeds(first: Sequence[Estimate], second: Sequence[Estimate]) -> SeedDifference:
    """Return the difference of the means over seeds, second minus first, with its 95 % interval.

    The variance of the difference is the sum of three variances. The first two measure how the mean
    of each system varies over seeds, on the evaluated clips. The third measures how the difference
    varies over clips. It is computed from the influences of the clips, averaged over seeds. It also
    contains the interaction of seeds and clips, which is already part of the first two variances.
    The interaction is therefore subtracted, as in a two-way analysis of variance. The degrees of
    freedom are computed with the Welch-Satterthwaite equation.

    Parameters
    ----------
    first, second : sequence of Estimate
        One `Estimate` for each seed, all on the same clips. The two systems may have different
        numbers of seeds.

    Returns
    -------
    SeedDifference
        Its interval is None if a system has fewer than `MIN_SEEDS` seeds, or if the `Estimate` of a
        seed has no influences.
    """
    values = [np.array([one.value for one in system]) for system in (first, second)]
    difference = float(values[1].mean() - values[0].mean())
    if min(map(len, values)) < MIN_SEEDS:
        return SeedDifference(difference, None)
    centres, mean_influences, parts, interaction = [], [], [], 0.0
    for system in (first, second):
        influences = [one.influence for one in system if one.influence is not None]
        if len(influences) < len(system):
            return SeedDifference(difference, None)
        influence = np.stack(influences)  # (M, N)
        num_seeds, num_clips = influence.shape
        seed_centres = [one.centre for one in system]
        parts.append(_Variance(float(np.var(seed_centres, ddof=1)) / num_seeds, num_seeds - 1))
        interaction += influence.var(axis=0, ddof=1).mean() / num_clips / num_seeds
        centres.append(float(np.mean(seed_centres)))
        mean_influences.append(influence.mean(axis=0))
    clips = _clip_variance(mean_influences[1] - mean_influences[0])
    parts.append(_Variance(max(clips.value - interaction, 0.0), clips.freedom))
    variance = sum(part.value for part in parts)
    ends = _around(centres[1] - centres[0], variance, _satterthwaite(parts), difference)
    return SeedDifference(difference, ends)
