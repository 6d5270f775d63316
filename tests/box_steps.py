"""The steps that define sound event bounding boxes, in exact arithmetic and without shortcuts."""

from fractions import Fraction

import numpy as np


def seconds(value):
    """Return a time as a fraction of whole microseconds."""
    return Fraction(round(value * 1e6), 10**6)


def boxes_by_steps(scores, edges, filter_seconds, merge_absolute, merge_relative):
    """Return the boxes (onset, offset, confidence) of one curve. Times are fractions of a second.

    scores: (T,), the curve, constant in each frame. edges: (T + 1,), the edges of the frames in
    seconds.
    """
    values = [Fraction(float(value)) for value in scores]
    edges = [seconds(edge) for edge in edges]
    end, half = edges[-1], seconds(filter_seconds / 2)

    def integral(start, stop):
        total = Fraction(0)
        for value, a, b in zip(values, edges, edges[1:]):
            total += value * max(Fraction(0), min(b, stop) - max(a, start))
        return total

    def levels(start, stop):
        return [v for v, a, b in zip(values, edges, edges[1:]) if a < stop and b > start]

    # 1. The filter output at all points where its slope can change.
    points = sorted(
        {time for edge in edges for time in (edge, edge - half, edge + half) if 0 <= time <= end}
    )
    outputs = [(integral(t, t + half) - integral(t - half, t)) / half for t in points]
    # 2. Maxima are onsets and minima are offsets.
    bounds, is_open = [], False
    for j in range(1, len(points)):
        is_first = j == 1
        if not is_open and outputs[j] <= outputs[j - 1]:
            if is_first or outputs[j - 1] > outputs[j - 2]:
                bounds.append(points[j - 1])
                is_open = True
        elif is_open and outputs[j] > outputs[j - 1] and outputs[j - 1] <= outputs[j - 2]:
            bounds.append(points[j - 1])
            is_open = False
    if is_open:
        bounds.append(end)
    events = list(zip(bounds[::2], bounds[1::2]))
    # 3. and 4. Join events, decided on the original events and gaps.
    chains = [[event] for event in events[:1]]
    for before, after in zip(events, events[1:]):
        gap = float(min(levels(before[1], after[0]))) + 0.001
        peaks = [float(max(levels(*event))) + 0.001 for event in (before, after)]
        is_joined = all(
            peak / gap < merge_relative and peak - gap < merge_absolute for peak in peaks
        )
        if is_joined:
            chains[-1].append(after)
        else:
            chains.append([after])
    # 5. The confidence is the mean over the events and the gaps between them.
    found = [(chain[0][0], chain[-1][1]) for chain in chains]
    return [(on, off, float(integral(on, off) / (off - on))) for on, off in found]


def random_curve(rng, kind, num_frames):
    """Return a random curve (T,) float32."""
    if kind == "steps":
        cuts = np.sort(rng.integers(0, num_frames, rng.integers(1, 6)))
        levels = rng.random(len(cuts) + 1)
        curve = levels[np.searchsorted(cuts, np.arange(num_frames), side="right")]
    elif kind == "grid":
        curve = rng.integers(0, 9, num_frames) / 8
    elif kind == "constant":
        curve = np.full(num_frames, rng.choice([0.0, 0.3, 1.0]))
    else:
        curve = rng.random(num_frames)
    return curve.astype(np.float32)
