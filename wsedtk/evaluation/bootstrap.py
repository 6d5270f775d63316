"""Bootstrap intervals over clips.

N clips, R resamples.
"""

import numpy as np


def clip_weights(num_clips, num_resamples, seed=0):
    """How often each clip is drawn in each bootstrap resample: (R, N) float32, which holds such numbers exactly."""
    generator, weights = (
        np.random.default_rng(seed),
        np.empty((num_resamples, num_clips), np.float32),
    )
    for row in weights:
        row[:] = generator.multinomial(num_clips, np.full(num_clips, 1 / num_clips))
    return weights


def resampled(metric, weights, *arrays):
    """What a metric gives of each bootstrap resample: R times {name: value}. See `intervals`."""
    return [metric(*(np.tensordot(w, a, axes=1) for a in arrays)) for w in weights]


def intervals(metric, weights, *arrays):
    """95 % percentile intervals of a metric over bootstrap resamples of clips.

    metric: turns the arrays' weighted sums over clips into {name: value}; weights: (R, N) as `clip_weights`; arrays: (N, ...).
    Returns {name: [low, high]}; None where a metric is undefined in every resample.
    """
    values = metric(*(a.sum(axis=0) for a in arrays))
    return interval_of(resampled(metric, weights, *arrays), values)


def interval_of(results, values):
    """{name: [low, high]} of a list of {name: value}: the 2.5th and 97.5th percentiles.

    values: {name: value} of all clips. An interval always holds its value: where the percentiles
    leave it out, as those of few clips or resamples can, the nearer end is moved to it.
    """
    found = {}
    for name, value in values.items():
        defined = [result[name] for result in results if result[name] is not None]
        found[name] = None
        if defined:
            found[name] = extend_interval(np.percentile(defined, [2.5, 97.5]).tolist(), value)
    return found


def extend_interval(interval, value):
    """The interval [low, high], extended to a value that lies outside."""
    low, high = interval
    return [low, high] if value is None else [min(low, value), max(high, value)]


def paired_intervals(metric, weights, first, second):
    """What `metric` gives of the second array less what it gives of the first, with `intervals` of it over the same resamples of clips.

    first, second: (N, ...). Returns {name: (difference, [low, high])}, None for what is undefined.
    """

    def less(a, b):
        ours, theirs = metric(a), metric(b)
        return {
            name: None if None in (ours[name], theirs[name]) else theirs[name] - ours[name]
            for name in ours
        }

    values, ends = (
        less(first.sum(axis=0), second.sum(axis=0)),
        intervals(less, weights, first, second),
    )
    return {name: (values[name], ends[name]) for name in values}
