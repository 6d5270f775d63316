"""Scores -> events: thresholds, median filter, minimum length and gap.

N clips, T frames, K classes. All work is on one clip's (T, K) arrays. A frame t covers [t, t + 1) x seconds_per_frame.

The smoothing steps are flat rank filters (median, opening, closing), which commute with thresholding: filtering the scores
and then comparing with a threshold gives the same frames as filtering the thresholded frames. `smooth` therefore serves both
decoding (on 0/1) and tuning (on scores, once for every threshold).
"""

import dataclasses

import numpy as np
import scipy.ndimage


@dataclasses.dataclass(frozen=True)
class Events:
    """A list of events as columns, in the order of clip, then onset, then class."""

    clip: np.ndarray  # (E,) index of the clip
    onset: np.ndarray  # (E,) seconds
    offset: np.ndarray  # (E,) seconds
    label: np.ndarray  # (E,) index of the class

    def __len__(self):
        return len(self.clip)

    @classmethod
    def from_columns(cls, clip, onset, offset, label):
        """Build from columns (E,) in any order."""
        columns = [np.asarray(column, kind) for column, kind in zip((clip, onset, offset, label), (np.int64, float, float, np.int64))]
        order = np.lexsort((columns[2], columns[3], columns[1], columns[0]))
        return cls(*(column[order] for column in columns))

    @classmethod
    def from_rows(cls, rows):
        """Build from an iterable of (clip, onset, offset, label)."""
        return cls.from_columns(*(list(zip(*rows)) or [()] * 4))

    def rows(self):
        """Iterate over (clip, onset, offset, label) as plain Python values."""
        return zip(self.clip.tolist(), self.onset.tolist(), self.offset.tolist(), self.label.tolist())

    def select(self, keep):
        """The events of a boolean mask or an index array (E',)."""
        return Events(self.clip[keep], self.onset[keep], self.offset[keep], self.label[keep])


def odd_frames(seconds, seconds_per_frame):
    """The odd number of frames nearest to a median filter's length in seconds; at least 1, which filters nothing."""
    return 2 * round((seconds / seconds_per_frame - 1) / 2) + 1 if seconds > seconds_per_frame else 1


def whole_frames(seconds, seconds_per_frame):
    """The fewest frames that are at least `seconds` long (0 for 0 s)."""
    return int(np.ceil(seconds / seconds_per_frame - 1e-6))


def gap_frames(seconds, seconds_per_frame):
    """The most frames that are at most `seconds` long."""
    return int(seconds / seconds_per_frame + 1e-6)


def smooth(x, median_frames, min_frames, max_gap_frames):
    """Median filter, drop runs shorter than `min_frames`, then join runs at most `max_gap_frames` apart.

    x: (T, K) booleans, or scores in [0, 1] (see the module's docstring); beyond the clip everything is 0.
    median_frames odd, (K,) or one number, as are min_frames and max_gap_frames.
    Returns (T, K), the same dtype. (He, Shen & Zhang 2019, section 4: median filter, "ignoring noise".)
    """
    num_frames, num_classes = x.shape
    settings = np.broadcast_to(np.stack(np.broadcast_arrays(median_frames, min_frames, max_gap_frames), -1), (num_classes, 3))
    out = np.array(x, dtype=np.uint8 if x.dtype == bool else x.dtype)
    for setting in np.unique(settings, axis=0):  # classes with the same setting go through together
        columns = np.flatnonzero((settings == setting).all(axis=1))
        longest = np.array([2 * num_frames + 1, num_frames + 1, num_frames])  # more changes nothing, and costs memory
        median, shortest, gap = np.minimum(setting, longest).astype(int).tolist()
        y = out[:, columns]
        if median > 1:
            y = scipy.ndimage.median_filter(y, size=(median, 1), mode="constant", cval=0)
        if shortest > 1:  # grey opening: the best of the windows of that length that hold the frame, each as its worst frame
            padded = np.pad(y, ((shortest - 1, shortest - 1), (0, 0)))
            worst = np.lib.stride_tricks.sliding_window_view(padded, shortest, axis=0).min(axis=-1)  # (T + shortest - 1, K)
            y = np.lib.stride_tricks.sliding_window_view(worst, shortest, axis=0).max(axis=-1)  # (T, K)
        if gap > 0:  # grey closing with a window one frame longer than the gap
            padded = np.pad(y, ((gap, gap), (0, 0)))
            best = np.lib.stride_tricks.sliding_window_view(padded, gap + 1, axis=0).max(axis=-1)  # (T + gap, K)
            y = np.lib.stride_tricks.sliding_window_view(best, gap + 1, axis=0).min(axis=-1)  # (T, K)
        out[:, columns] = y
    return out.astype(x.dtype)


def runs(active, seconds_per_step, duration):
    """Runs of True in each class of (T, K) as a list of (onset, offset, class), in seconds, none past `duration`.

    A run ends where its last step ends. Times are rounded to the microsecond, so that 3 x 0.1 s is 0.3 s.
    """
    some = np.flatnonzero(active.any(axis=0))  # of hundreds of classes, few
    edges = np.diff(np.pad(active[:, some].astype(np.int8), ((1, 1), (0, 0))), axis=0)  # (T + 1, classes with runs)
    starts, ends = np.argwhere(edges.T == 1), np.argwhere(edges.T == -1)  # rows (class, step), runs in the same order
    found = []
    for (place, first), (_, end) in zip(starts.tolist(), ends.tolist()):
        onset, offset = round(first * seconds_per_step, 6), round(min(end * seconds_per_step, duration), 6)
        if offset > onset:
            found.append((onset, offset, int(some[place])))
    return found


def decode_segments(segment_scores, thresholds, duration, seconds_per_segment=1.0):
    """Segment mode (Wang, Li & Metze 2019, section 3.1): a segment is positive where its score >= its class's threshold.

    segment_scores: (S, K); thresholds: (K,) float64. Adjacent positive segments of a class are one event.
    Returns a list of (onset, offset, class).
    """
    return runs(segment_scores >= thresholds, seconds_per_segment, duration)


def decode_frames(frame_scores, thresholds, seconds_per_frame, duration, median_frames=1, min_frames=0, max_gap_frames=0):
    """Frame mode (He, Shen & Zhang 2019): threshold the frames, smooth them (see `smooth`), and read off the runs.

    frame_scores: (T, K); thresholds: (K,) float64. Returns a list of (onset, offset, class).
    """
    active = frame_scores >= thresholds
    some = active.any(axis=0)  # no filter wakes a class that is silent all through the clip, as most of hundreds are
    settings = (np.broadcast_to(s, len(some))[some] for s in (median_frames, min_frames, max_gap_frames))
    active[:, some] = smooth(active[:, some], *settings)
    return runs(active, seconds_per_frame, duration)
