"""Decode scores into events with thresholds and filters.

The filters are a median filter, a minimum duration of events, and a maximum gap between two events
that are joined.

Array dimensions: B clips, T frames, S segments, K classes, P pairs of a clip and a class. Many
clips are decoded at once, as an array (B, T, K), with zeros after the last frame of shorter clips.
Frame t covers the time from t x seconds_per_frame to (t + 1) x seconds_per_frame.

The filters are flat rank filters (median, opening, closing), which commute with thresholding: a
threshold above 0 on filtered scores gives the same active frames as filters on thresholded scores.
Therefore decoding and tuning both use `smooth`. Decoding smooths zeros and ones. Tuning smooths
scores, because the smoothed scores can then be compared with many thresholds.
"""

from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from wsedtk.core.types import Booleans, Floats, Integers
from wsedtk.data.events import Events

Scalar = TypeVar("Scalar", bound=np.generic)  # decisions (bool) or scores (float)


class Filters(NamedTuple):
    """The lengths of the filters in frames: one number for all classes, or one for each class.

    Attributes
    ----------
    median : int or (K,) int
        The length of the median filter, an odd number. 1 means no filter.
    shortest : int or (K,) int
        The minimum length of an event. 0 and 1 mean that all events are kept.
    gap : int or (K,) int
        The maximum gap between two events that are joined. 0 means that no events are joined.
    """

    median: int | Integers = 1
    shortest: int | Integers = 0
    gap: int | Integers = 0

    def select(self, classes: Integers) -> "Filters":
        """Return the filters of some classes, given as indices."""
        median, shortest, gap = (
            lengths if isinstance(lengths, int) else lengths[classes] for lengths in self
        )
        return Filters(median, shortest, gap)


NO_FILTERS = Filters()


def odd_frames(seconds: float, seconds_per_frame: float) -> int:
    """Return the length of a median filter in frames: the nearest odd number, at least 1."""
    if seconds <= seconds_per_frame:
        return 1
    return 2 * round((seconds / seconds_per_frame - 1) / 2) + 1


def whole_frames(seconds: float, seconds_per_frame: float) -> int:
    """Return the smallest number of frames that last at least `seconds`; 0 for 0 s."""
    return int(np.ceil(seconds / seconds_per_frame - 1e-6))


def gap_frames(seconds: float, seconds_per_frame: float) -> int:
    """Return the largest number of frames that last at most `seconds`."""
    return int(seconds / seconds_per_frame + 1e-6)


def filter_frames(
    median_seconds: float, min_seconds: float, max_gap_seconds: float, seconds_per_frame: float
) -> Filters:
    """Convert the lengths of the filters from seconds to frames."""
    return Filters(
        median=odd_frames(median_seconds, seconds_per_frame),
        shortest=whole_frames(min_seconds, seconds_per_frame),
        gap=gap_frames(max_gap_seconds, seconds_per_frame),
    )


def smooth(
    x: npt.NDArray[Scalar],
    median_frames: int | Integers,
    min_frames: int | Integers,
    max_gap_frames: int | Integers,
) -> npt.NDArray[Scalar]:
    """Apply a median filter, drop short runs of active frames, then close short gaps between runs.

    Frames before and after `x` count as 0. Therefore zeros after the last frame of a clip stay 0
    and do not change the result.

    Parameters
    ----------
    x : (..., T, K) bool or float
        Decisions, or scores from 0 to 1 (see the docstring of the module).
    median_frames, min_frames, max_gap_frames : int or (K,) int
        See `Filters`.

    Returns
    -------
    (..., T, K), with the dtype of `x`

    Notes
    -----
    Source: He, Shen & Zhang 2019, section 2.1. Its last paragraph describes the median filter and
    "ignoring noise".
    """
    num_frames, num_classes = x.shape[-2:]
    settings = np.broadcast_to(
        np.stack(np.broadcast_arrays(median_frames, min_frames, max_gap_frames), -1),
        (num_classes, 3),
    )
    # Longer filters give the same result as filters of these lengths, but need more memory.
    longest = np.array([2 * num_frames + 1, num_frames + 1, num_frames])
    dtype = np.uint8 if x.dtype == bool else x.dtype
    out: npt.NDArray[np.generic] = np.array(x, dtype)
    for setting in np.unique(settings, axis=0):
        columns = np.flatnonzero((settings == setting).all(axis=1))
        median, shortest, gap = np.minimum(setting, longest).astype(int).tolist()
        y: npt.NDArray[np.generic] = out[..., columns]
        if median > 1:
            y = _median(y, median)
        if shortest > 1:  # grey opening: the minimum over each window, then the maximum
            y = _extremes(_padded(y, shortest - 1), shortest, np.minimum)
            y = _extremes(y, shortest, np.maximum)
        if gap > 0:  # grey closing: the maximum over each window, then the minimum
            y = _extremes(_padded(y, gap), gap + 1, np.maximum)
            y = _extremes(y, gap + 1, np.minimum)
        out[..., columns] = y
    return out.astype(x.dtype)


def _median(y: npt.NDArray[np.generic], size: int) -> npt.NDArray[np.generic]:
    """Return the median of each window of `size` frames of `y` (..., T, K).

    The frames before the first frame and after the last frame count as 0.
    """
    import scipy.ndimage  # slow to import

    window = (*[1] * (y.ndim - 2), size, 1)
    filtered: npt.NDArray[np.generic] = scipy.ndimage.median_filter(
        y, size=window, mode="constant", cval=0
    )
    return filtered


def _padded(y: npt.NDArray[np.generic], count: int) -> npt.NDArray[np.generic]:
    """Return `y` (..., T, K) with `count` additional frames of zeros at both ends."""
    return np.pad(y, [*[(0, 0)] * (y.ndim - 2), (count, count), (0, 0)])


def _extremes(y: npt.NDArray[np.generic], size: int, extreme: np.ufunc) -> npt.NDArray[np.generic]:
    """Return the minimum or maximum of each window of frames.

    Each window of 2, 4, 8, ... frames is combined from two windows of half its length. If
    `size` is not a power of two, the two windows overlap in the last step.

    Parameters
    ----------
    y : (..., T, K)
    size : int
        The length of the windows in frames.
    extreme : ufunc
        np.minimum or np.maximum.

    Returns
    -------
    (..., T - size + 1, K)
    """
    length = 1
    while length < size:
        step = min(length, size - length)
        y = extreme(y[..., : y.shape[-2] - step, :], y[..., step:, :])
        length += step
    return y


def runs(active: Booleans, seconds_per_step: float, durations: npt.ArrayLike) -> Events:
    """Return the runs of True in each class of each clip as events.

    An event ends at the end of the last step of its run, but not after the end of its clip. Times
    are rounded to the microsecond, so that 3 x 0.1 s is 0.3 s.

    Parameters
    ----------
    active : (B, T, K) bool
        Whether each class is active in each step (frame or segment).
    seconds_per_step : float
    durations : (B,) float, or float
        The durations of the clips in seconds.
    """
    clip, label = np.nonzero(active.any(axis=1))  # usually, few classes are active in a clip
    return _runs_of_pairs(active[clip, :, label].T, clip, label, seconds_per_step, durations)


def _runs_of_pairs(
    columns: Booleans,
    clip: Integers,
    label: Integers,
    seconds_per_step: float,
    durations: npt.ArrayLike,
) -> Events:
    """Return the runs of True in columns (T, P) as events.

    clip, label: (P,), the clip and the class of each column.
    """
    edges = np.diff(np.pad(columns.T.astype(np.int8), ((0, 0), (1, 1))), axis=1)  # (P, T + 1)
    pair, first = np.nonzero(edges == 1)
    _, end = np.nonzero(edges == -1)  # in the same order as `first`
    last = np.asarray(durations)
    if last.ndim:
        last = last[clip[pair]]
    onset = np.round(first * seconds_per_step, 6)
    offset = np.round(np.minimum(end * seconds_per_step, last), 6)
    found = Events.from_columns(clip[pair], onset, offset, label[pair])
    return found.select(found.offset > found.onset)


def decode_segments(
    segment_scores: Floats,
    thresholds: Floats,
    durations: npt.ArrayLike,
    seconds_per_segment: float = 1.0,
) -> Events:
    """Decode in segment mode: return the runs of active segments of each class as events.

    A class is active in a segment if its score in the segment is at least its threshold.

    Parameters
    ----------
    segment_scores : (B, S, K) float
    thresholds : (K,) float64
    durations : (B,) float, or float
        The durations of the clips in seconds.
    seconds_per_segment : float

    Notes
    -----
    Source: Wang, Li & Metze 2019, section 3.1.
    """
    return runs(segment_scores >= thresholds, seconds_per_segment, durations)


def decode_frames(
    frame_scores: Floats,
    thresholds: Floats,
    seconds_per_frame: float,
    durations: npt.ArrayLike,
    filters: Filters = NO_FILTERS,
    *,
    num_frames: npt.ArrayLike | None = None,
) -> Events:
    """Decode in frame mode: apply the thresholds, smooth the decisions, and return the runs.

    The decisions are smoothed by `smooth`. A run of active frames of a class is one event.

    Parameters
    ----------
    frame_scores : (B, T, K) float
    thresholds : (K,) float64
    seconds_per_frame : float
    durations : (B,) float, or float
        The durations of the clips in seconds.
    filters : Filters
    num_frames : (B,) int, optional
        The number of frames of each clip. The default is T.

    Notes
    -----
    Source: He, Shen & Zhang 2019.
    """
    active = frame_scores >= thresholds
    if num_frames is not None:
        active &= (np.arange(active.shape[1]) < np.asarray(num_frames)[:, None])[..., None]
    clip, label = np.nonzero(active.any(axis=1))  # smoothing activates no further classes
    settings = (np.broadcast_to(lengths, active.shape[2])[label] for lengths in filters)
    smoothed = smooth(active[clip, :, label].T, *settings)
    return _runs_of_pairs(smoothed, clip, label, seconds_per_frame, durations)
