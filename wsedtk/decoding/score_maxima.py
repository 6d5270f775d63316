"""Compute the highest frame scores of clips and segments.

In frame mode, if the highest filtered frame score of a class in a clip or segment is below the
threshold of the class, no event of the class is found there.

Array dimensions: B clips, T frames, S segments, K classes, N clips or segments.
"""

import numpy as np

from wsedtk.core.types import Booleans, Floats, Integers
from wsedtk.decoding import thresholds
from wsedtk.decoding.thresholds import Candidates


def clip_maxima(frames: Floats, seconds_per_frame: float, durations: Floats) -> Floats:
    """Return the highest frame score (B, K) of each clip and class.

    Only frames that begin before the end of the clip are considered.

    Parameters
    ----------
    frames : (B, T, K)
        Frame scores.
    seconds_per_frame : float
    durations : (B,)
        The duration of each clip in seconds.
    """
    onset = np.round(np.arange(frames.shape[1]) * seconds_per_frame, 6)
    begins_inside = onset < np.round(durations, 6)[:, None]  # (B, T)
    maxima: Floats = (frames * begins_inside[..., None]).max(axis=1, initial=0)
    return maxima


def segment_maxima(
    frames: Floats, seconds_per_frame: float, ends: Floats, num_segments: Integers
) -> Floats:
    """Return the highest frame score of each 1 s segment and class.

    Only frames that overlap the segment are considered. If there are none, the score is 0.

    Parameters
    ----------
    frames : (B, T, K)
        Frame scores.
    seconds_per_frame : float
    ends : (B,)
        The end of each clip in seconds. Frames are cut at this time.
    num_segments : (B,)
        The number of segments of each clip.

    Returns
    -------
    (S, K)
        The segments of all clips, one clip after the other.
    """
    num_frames, most_segments = frames.shape[1], int(num_segments.max())
    out = np.zeros((len(frames), most_segments, frames.shape[2]), frames.dtype)
    edges = np.arange(num_frames + 1) * seconds_per_frame
    onset = np.round(edges[:-1], 6)  # (T,)
    offset = np.round(np.minimum(edges[1:], ends[:, None]), 6)  # (B, T)
    for s in range(most_segments):
        near = np.flatnonzero((onset < s + 1) & (np.round(edges[1:], 6) > s))
        if len(near):
            span = slice(near[0], near[-1] + 1)
            touching = (offset[:, span] > s) & (offset[:, span] > onset[span])
            out[:, s] = (frames[:, span] * touching[..., None]).max(axis=1)
    segments: Floats = out[np.arange(most_segments) < num_segments[:, None]]
    return segments


def candidates(maxima: Floats, truth: Booleans) -> Candidates:
    """Return the candidate thresholds of one class.

    A maximum of 0 usually means that the filters or the gate by tags remove all active frames of
    the clip or segment. The decision on this clip or segment is then negative, even with the
    threshold -inf. Therefore -inf is a candidate only if all maxima are above 0.

    Parameters
    ----------
    maxima : (N,)
        The highest filtered frame score of each clip or segment.
    truth : (N,) bool
        Whether the class occurs in each clip or segment.
    """
    found: Candidates = thresholds.candidates(maxima, truth)
    if len(maxima) == 0 or maxima.min() > 0:
        return found
    return Candidates(found.thresholds[:-1], found.true_positives[:-1], found.predicted[:-1])
