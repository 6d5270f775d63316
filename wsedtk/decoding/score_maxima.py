"""The highest frame scores of clips and segments: an event needs a threshold that they reach.

B clips, N clips (or segments), T frames, S segments, K classes.
"""

import numpy as np

from wsedtk.core.types import Booleans, Floats, Integers
from wsedtk.decoding import thresholds
from wsedtk.decoding.thresholds import Candidates


def clip_maxima(frames: Floats, seconds_per_frame: float, durations: Floats) -> Floats:
    """Return the highest score of the frames that begin before the end of each clip.

    Parameters
    ----------
    frames : (B, T, K) float
        Frame scores >= 0.
    seconds_per_frame : float
        The distance of two frames.
    durations : (B,) float
        The duration of each clip in seconds.

    Returns
    -------
    (B, K) float
    """
    onset = np.round(np.arange(frames.shape[1]) * seconds_per_frame, 6)
    is_inside = onset < np.round(durations, 6)[:, None]  # (B, T)
    maxima: Floats = (frames * is_inside[..., None]).max(axis=1, initial=0)
    return maxima


def segment_maxima(
    frames: Floats, seconds_per_frame: float, ends: Floats, num_segments: Integers
) -> Floats:
    """Return the highest score of the frames that overlap with each 1 s segment of a clip.

    Parameters
    ----------
    frames : (B, T, K) float
        Frame scores >= 0.
    seconds_per_frame : float
        The distance of two frames.
    ends : (B,) float
        The end of each clip in seconds. Frames end there at the latest.
    num_segments : (B,) int
        The number of segments of each clip.

    Returns
    -------
    (sum of num_segments, K) float
        The segments of all clips, one clip after the other.
    """
    out = np.zeros((len(frames), int(num_segments.max()), frames.shape[2]), frames.dtype)
    edges = np.arange(frames.shape[1] + 1) * seconds_per_frame
    onset = np.round(edges[:-1], 6)  # (T,)
    offset = np.round(np.minimum(edges[1:], ends[:, None]), 6)  # (B, T)
    for s in range(out.shape[1]):
        near = np.flatnonzero((onset < s + 1) & (np.round(edges[1:], 6) > s))
        if len(near):
            span = slice(near[0], near[-1] + 1)
            overlaps = (offset[:, span] > s) & (offset[:, span] > onset[span])
            out[:, s] = (frames[:, span] * overlaps[..., None]).max(axis=1)
    maxima: Floats = out[np.arange(out.shape[1]) < num_segments[:, None]]
    return maxima


def frame_candidates(values: Floats, truth: Booleans) -> Candidates:
    """Return the candidates of one class for the maxima of filtered frame scores.

    Parameters
    ----------
    values : (N,) float
        Maxima. 0 means that no frame remains: no threshold lets it pass.
    truth : (N,) bool
        Whether the class occurs.
    """
    c = thresholds.candidates(values, truth)
    if len(values) and values.min() > 0:
        return c
    return Candidates(c.thresholds[:-1], c.true_positives[:-1], c.predicted[:-1])
