"""Intervals from what each clip and each seed contributes to a figure, without resampling.

N clips, M seeds.

The jackknife (Efron & Stein 1981, "The jackknife estimate of variance") leaves out one clip at a
time. How far that moves a figure is the influence of the clip, and the spread of the influences
gives the variance of the figure. A difference between two systems that were evaluated on the same
clips has the differences of their influences. How often these intervals are right in the
populations of tests/test_coverage.py and tests/test_false_alarms.py stands there.
"""

import dataclasses

import numpy as np
import scipy.special
import scipy.stats

MIN_SEEDS = 3  # with fewer there is no interval over seeds: one deviation does not tell a spread
_QUANTILE = 0.975  # of an interval of 95 %


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A figure of one system, as reported, with what an interval needs.

    value: the figure; centre: the figure without its bias on few clips; influence: (N,), what each
    clip adds to (N - 1) times the figure, of mean 0; None where no interval can be given.
    """

    value: float
    centre: float
    influence: np.ndarray | None


def jackknife(value, without, centre=None):
    """Return the Estimate of a figure.

    value: the figure, or None where it is undefined: then None is returned. without: (N,), the
    figure without each clip; centre: the figure without its bias, where that is not `value`.
    """
    if value is None:
        return None
    influence = None
    if np.isfinite(without).all():
        influence = (len(without) - 1) * (without.mean() - without)
    return Estimate(value, value if centre is None else centre, influence)


def ratio(numerators, denominators):
    """Return the Estimate of a ratio of sums over clips; None where the denominator is 0.

    numerators, denominators: (N,) of the clips.
    """
    numerator, denominator = numerators.sum(), denominators.sum()
    if not denominator:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        without = (numerator - numerators) / (denominator - denominators)
    return jackknife(float(numerator / denominator), without)


def _satterthwaite(parts):
    """Return the degrees of freedom of a sum of independent variances.

    parts: (variance, degrees of freedom) of each. Satterthwaite 1946.
    """
    uncertainty = sum(variance**2 / freedom for variance, freedom in parts)
    return sum(variance for variance, _ in parts) ** 2 / uncertainty if uncertainty else np.inf


def _clip_variance(influence):
    """Return the variance of a figure over draws of the clips, and its degrees of freedom.

    The fewer clips the variance comes from, the fewer are its degrees of freedom. influence: (N,).
    """
    squares = influence**2
    total, num_clips = squares.sum(), len(influence)
    if not total:
        return 0.0, np.inf
    uncertainty = (squares**2).sum() / total**2 - 1 / num_clips
    freedom = 2 / uncertainty - 1 if uncertainty > 1e-12 else np.inf  # N - 1 of normal influences
    return total / num_clips / (num_clips - 1), max(freedom, 1.0)


def _around(centre, variance, freedom, value):
    """Return [low, high], Student's interval of 95 %, widened where need be to hold the value."""
    half = scipy.stats.t.ppf(_QUANTILE, freedom) * np.sqrt(variance)
    return [float(min(centre - half, value)), float(max(centre + half, value))]


def over_clips(estimate):
    """Return the 95 % interval [low, high] over clips of a figure between 0 and 1, or None.

    It is Student's on the scale of the logit, around the centre, widened where need be to hold the
    value. None where nothing can be told of the spread, as when every clip is ranked perfectly.
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


def difference_over_clips(first, second):
    """Return the 95 % interval [low, high] over clips of the second figure less the first.

    first, second: Estimates of two systems on the same clips. It speaks of these two trained
    systems, not of training them again. None where there is none.
    """
    if first is None or second is None or first.influence is None or second.influence is None:
        return None
    variance, freedom = _clip_variance(second.influence - first.influence)
    centre = second.centre - first.centre
    return _around(centre, variance, freedom, second.value - first.value)


def over_seeds(values):
    """Return the mean of a figure over seeds and half of its 95 % interval (Student's).

    It speaks of other seeds on the same clips. The half is None with fewer than `MIN_SEEDS`.
    values: (M,).
    """
    values = np.asarray(values, float)
    if len(values) < MIN_SEEDS:
        return float(values.mean()), None
    spread = values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(scipy.stats.t.ppf(_QUANTILE, len(values) - 1) * spread)


def difference_over_seeds(first, second):
    """Return the difference of the means over seeds, second less first, with its 95 % interval.

    first, second: a list of Estimates, one a seed, of each system, all on the same clips. Seeds of
    the two systems are no pairs. Returns (difference, [low, high]); None for the interval with
    fewer than `MIN_SEEDS` seeds of a system, or where a figure has no influences.

    The variance of the difference is the sum of three parts: that between the seeds of the first
    system on these clips, that of the second, and the clips' own, of which both systems share every
    clip. A seed's own luck with single clips is in the spread between seeds, and is taken out of
    the variance over clips of the mean influences (as in a two-way analysis of variance). The
    degrees of freedom are Welch's and Satterthwaite's.
    """
    values = [np.array([one.value for one in system]) for system in (first, second)]
    difference = float(values[1].mean() - values[0].mean())
    if min(map(len, values)) < MIN_SEEDS or any(one.influence is None for one in first + second):
        return difference, None
    means, parts, own = [], [], 0.0
    for system in (first, second):
        influence = np.stack([one.influence for one in system])  # (M, N)
        num_seeds, num_clips = influence.shape
        centres = [one.centre for one in system]
        parts.append((np.var(centres, ddof=1) / num_seeds, num_seeds - 1))
        own += influence.var(axis=0, ddof=1).mean() / num_clips / num_seeds
        means.append((np.mean(centres), influence.mean(axis=0)))
    (first_centre, first_influence), (second_centre, second_influence) = means
    clips, freedom = _clip_variance(second_influence - first_influence)
    parts.append((max(clips - own, 0.0), freedom))
    variance = sum(part for part, _ in parts)
    ends = _around(second_centre - first_centre, variance, _satterthwaite(parts), difference)
    return difference, ends
