"""Estimate the frame length from the times of T frames. The times may be rounded."""

from typing import NamedTuple

import numpy as np

from wsedtk.core.types import Floats
from wsedtk.data.score_tables import ROUNDING_SECONDS

_MOST_DIGITS = 6  # the largest number of significant digits that `roundest` tries


class FrameTimes(NamedTuple):
    """The times of the frames of one table.

    Attributes
    ----------
    num_frames : int
    last : float
        The onset of the last frame in seconds.
    duration : float
        The offset of the last frame in seconds.
    shortest, longest : float
        The smallest and the largest frame length, in seconds, that the onsets allow: 0 and infinity
        if there is only one frame.
    """

    num_frames: int
    last: float
    duration: float
    shortest: float
    longest: float


def measure(edges: Floats) -> FrameTimes:
    """Return the times of T frames from their edges (T + 1,) in seconds."""
    onsets = edges[:-1]
    shortest, longest = 0.0, np.inf
    if len(onsets) > 1:
        frame = np.arange(1, len(onsets))
        slack = min(ROUNDING_SECONDS, onsets[-1] / (len(onsets) - 1) / 4)
        shortest = ((onsets[1:] - slack) / frame).max()
        longest = ((onsets[1:] + slack) / frame).min()
    return FrameTimes(len(onsets), onsets[-1], edges[-1], shortest, longest)


def roundest(low: float, high: float) -> float:
    """Return the number from `low` to `high` that has the fewest significant digits.

    Numbers whose inverse has few digits are candidates, too. If neither a number with at most 6
    digits nor the inverse of such a number is in the range, return the middle of the range.
    """
    middle = float((low + high) / 2)
    for digits in range(1, _MOST_DIGITS + 1):
        steps = [float(f"{middle:.{digits}g}"), 1 / float(f"{1 / middle:.{digits}g}")]
        steps = [step for step in steps if low <= step <= high]
        if steps:
            return min(steps, key=lambda step: abs(step - middle))
    return middle
