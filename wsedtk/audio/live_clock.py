"""Estimate the clock times of the sound in a live stream."""

import datetime
import math

_SECONDS = 60.0


class LiveClock:
    """The clock time at which a live stream began, estimated from the arrival of its blocks.

    A block arrives when it has been recorded, or some time later. Therefore the earliest estimate
    is the best one. Only the last one to two minutes are used, because a stream can lose samples,
    and the clock of a sound card is not exact.
    """

    def __init__(self) -> None:
        self._before, self._current = math.inf, math.inf  # the earliest estimates of two minutes
        self._since = 0.0

    def add(self, seconds: float, arrived: float) -> None:
        """Add a block.

        Parameters
        ----------
        seconds : float
            The end of the block, in seconds since the start of the stream.
        arrived : float
            The time at which the block arrived, in seconds as in `time.time`.
        """
        if seconds - self._since >= _SECONDS:
            self._before, self._current, self._since = self._current, math.inf, seconds
        self._current = min(self._current, arrived - seconds)

    @property
    def start(self) -> datetime.datetime:
        """The start of the stream in local time, with the offset from UTC."""
        return datetime.datetime.fromtimestamp(min(self._before, self._current)).astimezone()
