"""Bootstrap intervals over clips.

In the shapes, N is the number of clips and R is the number of resamples. In this module, a metric
is a function of arrays that were summed over clips.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsedtk.core.types import Floats
from wsedtk.evaluation.intervals import Interval
from wsedtk.evaluation.metrics import Counts, Figures

Intervals = dict[str, Interval | None]
Metric = Callable[..., Figures]
_PERCENTILES = [2.5, 97.5]


class Difference(NamedTuple):
    """The difference of a metric value between two systems, and the interval of this difference.

    `value` is None if it is undefined. `interval` is None if it is undefined or was not computed.
    """

    value: float | None
    interval: Interval | None


def clip_weights(num_clips: int, num_resamples: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return how often each clip is drawn in each resample, (R, N).

    Each resample consists of N clips, which are drawn with replacement.
    """
    generator = np.random.default_rng(seed)
    weights = np.empty((num_resamples, num_clips), np.float32)
    for row in weights:
        row[:] = generator.multinomial(num_clips, np.full(num_clips, 1 / num_clips))
    return weights


def resampled(metric: Metric, weights: Floats, *arrays: Counts) -> list[Figures]:
    """Return the metric values {name: value} of each of the R resamples.

    See `intervals` for the parameters.
    """
    return [metric(*(np.tensordot(w, array, axes=1) for array in arrays)) for w in weights]


def intervals(metric: Metric, weights: Floats, *arrays: Counts) -> Intervals:
    """Return 95 % percentile intervals of the values of a metric.

    Parameters
    ----------
    metric : callable
        A function that returns {name: value} from the weighted sums of the arrays over clips.
    weights : (R, N) float32
        The result of `clip_weights`.
    arrays : (N, ...) float or int
        The contributions of each clip.

    Returns
    -------
    dict
        {name: [low, high]}. An interval is None if the value is undefined in every resample.
    """
    values = metric(*(array.sum(axis=0) for array in arrays))
    return interval_of(resampled(metric, weights, *arrays), values)


def interval_of(results: Sequence[Mapping[str, float | None]], values: Figures) -> Intervals:
    """Return the 2.5th and 97.5th percentiles of resampled values as {name: [low, high]}.

    If the value that was computed from all clips is defined, the interval contains it. With few
    clips or few resamples, this value may not be between the two percentiles. In this case the
    nearer end of the interval is moved to the value. An interval is None if the value is undefined
    in every resample.

    Parameters
    ----------
    results : sequence of mappings
        {name: value} for each resample.
    values : dict
        {name: value}, computed from all clips.
    """
    found: Intervals = {}
    for name, value in values.items():
        figures = [result[name] for result in results]
        defined = [figure for figure in figures if figure is not None]
        found[name] = None
        if defined:
            found[name] = extend_interval(np.percentile(defined, _PERCENTILES).tolist(), value)
    return found


def extend_interval(interval: Interval, value: float | None) -> Interval:
    """Return the interval [low, high], extended to contain the value if it is not None."""
    low, high = interval
    return [low, high] if value is None else [min(low, value), max(high, value)]


def paired_intervals(
    metric: Metric,
    weights: Floats,
    first: Counts,
    second: Counts,
) -> dict[str, Difference]:
    """Return the differences of the metric values of two systems, second minus first.

    Both systems are evaluated on the same resamples of the clips.

    Parameters
    ----------
    metric, weights
        As in `intervals`.
    first, second : (N, ...) float or int
        The contributions of each clip to the metric. One array for each system.

    Returns
    -------
    dict
        {name: Difference}
    """

    def difference(first_sum: Counts, second_sum: Counts) -> Figures:
        ours, theirs = metric(first_sum), metric(second_sum)
        return {name: subtract(theirs[name], ours[name]) for name in ours}

    values = difference(first.sum(axis=0), second.sum(axis=0))
    ends = intervals(difference, weights, first, second)
    return {name: Difference(values[name], ends[name]) for name in values}


def subtract(first: float | None, second: float | None) -> float | None:
    """Return first - second, or None if one of them is None."""
    return None if first is None or second is None else first - second
