"""The highest scores of clips and segments, which an event needs to beat.

B clips, T frames, S segments, K classes.
"""

import numpy as np

from wsedtk.decoding import thresholds


def clip_maxima(frames, seconds_per_frame, durations):
    """The highest score (B, K) of the frames (B, T, K) that begin before the recording's end: what any event needs to beat."""
    onset = np.round(np.arange(frames.shape[1]) * seconds_per_frame, 6)
    return (frames * (onset < np.round(durations, 6)[:, None])[..., None]).max(axis=1, initial=0)


def segment_maxima(frames, seconds_per_frame, ends, num_segments):
    """The highest score of the frames (B, T, K) that touch each 1 s segment of a clip before its end: what an event there must beat.

    ends: (B,) seconds; num_segments: (B,). Returns (S, K), the segments of all clips one after the other.
    """
    out = np.zeros((len(frames), int(num_segments.max()), frames.shape[2]), frames.dtype)
    edges = np.arange(frames.shape[1] + 1) * seconds_per_frame
    onset, offset = (
        np.round(edges[:-1], 6),
        np.round(np.minimum(edges[1:], ends[:, None]), 6),
    )  # (T,), (B, T)
    for s in range(out.shape[1]):
        near = np.flatnonzero((onset < s + 1) & (np.round(edges[1:], 6) > s))
        if len(near):
            near = slice(near[0], near[-1] + 1)
            touching = (offset[:, near] > s) & (offset[:, near] > onset[near])
            out[:, s] = (frames[:, near] * touching[..., None]).max(axis=1)
    return out[np.arange(out.shape[1]) < num_segments[:, None]]


def frame_candidates(values, truth):
    """Candidates of one class for scores (N,) after filtering, where 0 is as good as no frame: no threshold lets it pass."""
    c = thresholds.candidates(values, truth)
    if len(values) and values.min() > 0:
        return c
    return thresholds.Candidates(c.thresholds[:-1], c.true_positives[:-1], c.predicted[:-1])
