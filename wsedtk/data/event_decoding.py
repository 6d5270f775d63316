"""Scores -> events: thresholds, median filter, minimum length and gap.

B clips, T frames, S segments, K classes. All work is on many clips at once, (B, T, K), those that are shorter filled with zeros.
A frame t covers [t, t + 1) x seconds_per_frame.

The smoothing steps are flat rank filters (median, opening, closing), which commute with thresholding: filtering the scores
and then comparing with a threshold gives the same frames as filtering the thresholded frames. `smooth` therefore serves both
decoding (on 0/1) and tuning (on scores, once for every threshold).
"""

import numpy as np

from wsedtk.data.events import Events


def odd_frames(seconds, seconds_per_frame):
    """The odd number of frames nearest to a median filter's length in seconds; at least 1, which filters nothing."""
    return (
        2 * round((seconds / seconds_per_frame - 1) / 2) + 1 if seconds > seconds_per_frame else 1
    )


def whole_frames(seconds, seconds_per_frame):
    """The fewest frames that are at least `seconds` long (0 for 0 s)."""
    return int(np.ceil(seconds / seconds_per_frame - 1e-6))


def gap_frames(seconds, seconds_per_frame):
    """The most frames that are at most `seconds` long."""
    return int(seconds / seconds_per_frame + 1e-6)


def filter_frames(median_seconds, min_seconds, max_gap_seconds, seconds_per_frame):
    """The lengths of the filters in frames: median, shortest event, longest gap."""
    return (
        odd_frames(median_seconds, seconds_per_frame),
        whole_frames(min_seconds, seconds_per_frame),
        gap_frames(max_gap_seconds, seconds_per_frame),
    )


def smooth(x, median_frames, min_frames, max_gap_frames):
    """Median filter, drop runs shorter than `min_frames`, then join runs at most `max_gap_frames` apart.

    x: (..., T, K) booleans, or scores in [0, 1] (see the module's docstring); before and after them everything is 0, so that zeros
    after a clip's last frame stay zeros and change nothing. median_frames odd, (K,) or one number, as are min_frames and
    max_gap_frames. Returns (..., T, K), the same dtype.

    Source: He, Shen & Zhang 2019, section 2.1, last paragraph: median filter, "ignoring noise".
    """
    num_frames, num_classes = x.shape[-2:]
    settings = np.broadcast_to(
        np.stack(np.broadcast_arrays(median_frames, min_frames, max_gap_frames), -1),
        (num_classes, 3),
    )
    out = np.array(x, dtype=np.uint8 if x.dtype == bool else x.dtype)
    for setting in np.unique(settings, axis=0):  # classes with the same setting go through together
        columns = np.flatnonzero((settings == setting).all(axis=1))
        longest = np.array(
            [2 * num_frames + 1, num_frames + 1, num_frames]
        )  # more changes nothing, and costs memory
        median, shortest, gap = np.minimum(setting, longest).astype(int).tolist()
        y = out[..., columns]
        if median > 1:
            y = _median(y, median)
        if (
            shortest > 1
        ):  # grey opening: the best of the windows of that length that hold the frame, each as its worst frame
            y = _windows(
                _windows(_padded(y, shortest - 1), shortest, np.minimum), shortest, np.maximum
            )
        if gap > 0:  # grey closing with a window one frame longer than the gap
            y = _windows(_windows(_padded(y, gap), gap + 1, np.maximum), gap + 1, np.minimum)
        out[..., columns] = y
    return out.astype(x.dtype)


def _median(y, size):
    """The median over time of (..., T, K), with zeros beyond both ends."""
    import scipy.ndimage  # slow to import

    return scipy.ndimage.median_filter(
        y, size=(*[1] * (y.ndim - 2), size, 1), mode="constant", cval=0
    )


def _padded(y, count):
    """(..., T, K) with `count` frames of zeros at both ends."""
    return np.pad(y, [*[(0, 0)] * (y.ndim - 2), (count, count), (0, 0)])


def _windows(y, size, extreme):
    """The minimum or maximum (`extreme`, a ufunc) of each window of `size` frames: (..., T, K) -> (..., T - size + 1, K).

    Windows of 1, 2, 4, ... frames, each from two of half its length, and the last from two that overlap.
    """
    length = 1
    while length < size:
        step = min(length, size - length)
        y, length = extreme(y[..., : y.shape[-2] - step, :], y[..., step:, :]), length + step
    return y


def runs(active, seconds_per_step, durations):
    """Runs of True in each class of each clip as Events, in seconds, none past the end of its clip.

    active: (B, T, K); durations: (B,) seconds, or one number. A run ends where its last step ends. Times are rounded to the
    microsecond, so that 3 x 0.1 s is 0.3 s.
    """
    clip, label = np.nonzero(active.any(axis=1))  # of hundreds of classes, few
    return _runs(active[clip, :, label].T, clip, label, seconds_per_step, durations)


def _runs(columns, clip, label, seconds_per_step, durations):
    """`runs` of columns (T, P), each a class of a clip: clip, label (P,)."""
    edges = np.diff(np.pad(columns.T.astype(np.int8), ((0, 0), (1, 1))), axis=1)  # (P, T + 1)
    (place, first), (_, end) = np.nonzero(edges == 1), np.nonzero(edges == -1)  # in the same order
    onset = np.round(first * seconds_per_step, 6)
    last = durations if np.ndim(durations) == 0 else np.asarray(durations)[clip[place]]
    offset = np.round(np.minimum(end * seconds_per_step, last), 6)
    lasting = offset > onset
    return Events.from_columns(
        *(column[lasting] for column in (clip[place], onset, offset, label[place]))
    )


def decode_segments(segment_scores, thresholds, durations, seconds_per_segment=1.0):
    """Segment mode (Wang, Li & Metze 2019, section 3.1): a segment is positive where its score >= its class's threshold.

    segment_scores: (B, S, K); thresholds: (K,) float64; durations: (B,) seconds. Adjacent positive segments of a class are one event.
    Returns Events.
    """
    return runs(segment_scores >= thresholds, seconds_per_segment, durations)


def decode_frames(
    frame_scores,
    thresholds,
    seconds_per_frame,
    durations,
    median_frames=1,
    min_frames=0,
    max_gap_frames=0,
    num_frames=None,
):
    """Frame mode (He, Shen & Zhang 2019): threshold the frames, smooth them (see `smooth`), and read off the runs.

    frame_scores: (B, T, K); thresholds: (K,) float64; durations: (B,) seconds; num_frames: (B,) the frames of each clip, None where
    all have T. Returns Events.
    """
    active = frame_scores >= thresholds
    if num_frames is not None:
        active &= (np.arange(active.shape[1]) < np.asarray(num_frames)[:, None])[..., None]
    clip, label = np.nonzero(
        active.any(axis=1)
    )  # no filter wakes a class that is silent all through the clip, as most of hundreds are
    settings = (
        np.broadcast_to(s, active.shape[2])[label]
        for s in (median_frames, min_frames, max_gap_frames)
    )
    return _runs(
        smooth(active[clip, :, label].T, *settings), clip, label, seconds_per_frame, durations
    )


class CurveDecoder:
    """Frame mode on a score curve of any length that comes piece by piece: the events of `decode_frames` on the whole of it.

    No filter looks further than some frames to either side, which are kept, so that it makes no difference where the pieces end.
    thresholds: (K,) float64; the filters (K,) or one number, see `smooth`.
    """

    def __init__(
        self, thresholds, seconds_per_frame, median_frames=1, min_frames=0, max_gap_frames=0
    ):
        self._thresholds, self._step = np.asarray(thresholds, np.float64), seconds_per_frame
        self._filters = [
            np.broadcast_to(f, self._thresholds.shape)
            for f in (median_frames, min_frames, max_gap_frames)
        ]
        median, shortest, gap = self._filters
        self._reach = int((median // 2 + np.maximum(shortest - 1, 0) + gap).max())
        self._scores = np.zeros(
            (0, len(self._thresholds)), np.float32
        )  # those that may still matter
        self._passes = np.zeros((0, len(self._thresholds)), bool)
        self._first = self._settled = (
            0  # the frame that these begin with; the frames whose smoothing is known
        )
        self._open = {}  # class -> (onset frame, highest score, whether any frame passes) of an event that goes on
        self._found = []  # (onset frame, end frame, class, highest score)

    def push(self, scores, passes=True):
        """Take the next frames (T, K). passes: (T, K) booleans; an event of whose frames none passes is dropped (the gate by tags)."""
        self._scores = np.concatenate([self._scores, scores])
        self._passes = np.concatenate([self._passes, np.broadcast_to(passes, scores.shape)])
        self._settle(self._first + len(self._scores) - self._reach)

    def finish(self, duration):
        """End the curve. Returns its events, [(onset, offset, class, highest frame score)], in seconds, none past the `duration`."""
        end = self._first + len(self._scores)
        self._settle(end)
        for k in sorted(self._open):
            self._close(k, end)
        found = sorted(
            (round(first * self._step, 6), k, round(min(last * self._step, duration), 6), peak)
            for first, last, k, peak in self._found
        )
        return [(onset, offset, k, peak) for onset, k, offset, peak in found if offset > onset]

    def _settle(self, end):
        """Smooth the frames before `end`, and read off the events that end there."""
        if end <= self._settled:
            return
        active = self._scores >= self._thresholds
        columns = np.flatnonzero(active.any(axis=0))
        active[:, columns] = smooth(active[:, columns], *(f[columns] for f in self._filters))
        settled = slice(self._settled - self._first, end - self._first)
        for k in sorted({*self._open, *np.flatnonzero(active[settled].any(axis=0)).tolist()}):
            self._read_off(
                k, active[settled, k], self._scores[settled, k], self._passes[settled, k]
            )
        self._settled = end
        outdated = max(0, end - self._reach - self._first)
        self._first += outdated
        self._scores, self._passes = self._scores[outdated:], self._passes[outdated:]

    def _read_off(self, k, active, scores, passes):
        """Go on with a class whose next frames (T,) are settled."""
        is_on = k in self._open
        changes = np.flatnonzero(np.diff(active, prepend=is_on)).tolist()
        for start, stop in zip([0, *changes], [*changes, len(active)]):
            if is_on:
                onset, peak, passed = self._open.get(k, (self._settled + start, 0.0, False))
                self._open[k] = (
                    onset,
                    max(peak, float(scores[start:stop].max(initial=0))),
                    passed or bool(passes[start:stop].any()),
                )
                if stop < len(active):
                    self._close(k, self._settled + stop)
            is_on = not is_on

    def _close(self, k, end):
        onset, peak, passed = self._open.pop(k)
        if passed:
            self._found.append((onset, end, k, peak))
