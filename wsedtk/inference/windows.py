"""Cut a stream of samples into overlapping windows, and join the results of the windows.

In shapes, S is the number of samples.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from wsedtk.core.types import Floats


class Cut(NamedTuple):
    """A window of a stream of samples.

    Attributes
    ----------
    start : int
        The output frame at which the window begins.
    samples : (S,) float32
        The samples of the window.
    """

    start: int
    samples: Floats


class Cutter:
    """Cut samples that arrive in blocks into overlapping windows.

    The last window ends at the end of the stream. It includes the samples at the end that do not
    fill a frame, and begins at most `step` frames after the previous window. A stream that is
    shorter than `length + 1` frames gives one window.

    Parameters
    ----------
    length : int
        The length of a window in output frames.
    step : int
        The distance from the start of a window to the start of the next window, in output frames.
    unit : int
        The length of an output frame in samples.
    """

    def __init__(self, length: int, step: int, unit: int) -> None:
        self._length, self._step, self._unit = length, step, unit
        self._start: int | None = None  # the first frame of the last window that was cut
        # The samples from the start of this window on, and their number.
        self._parts: list[Floats] = []
        self._num_samples = 0

    def push(self, samples: Floats) -> list[Cut]:
        """Add the next samples (S,) of the stream, and return the windows that are complete."""
        self._parts.append(samples)
        self._num_samples += len(samples)
        found: list[Cut] = []
        while self._num_samples >= (self._distance() + self._length + 1) * self._unit:
            found.append(self._cut(self._distance()))
        return found

    def finish(self) -> Cut:
        """End the stream, and return its last window."""
        if self._start is None:
            return Cut(0, self._joined())
        rest = self._num_samples // self._unit - self._length
        return Cut(self._start + rest, self._joined()[rest * self._unit :])

    @property
    def earliest_start(self) -> int:
        """The earliest frame at which the next window can begin. More samples can only delay it."""
        if self._start is None:
            return 0
        return self._start + max(0, self._num_samples // self._unit - self._length)

    def _distance(self) -> int:
        """Return the distance in frames from the start of the samples to the next window."""
        return 0 if self._start is None else self._step

    def _cut(self, distance: int) -> Cut:
        buffer = self._joined()[distance * self._unit :]
        self._parts, self._num_samples = [buffer], len(buffer)
        self._start = 0 if self._start is None else self._start + distance
        return Cut(self._start, buffer[: self._length * self._unit])

    def _joined(self) -> Floats:
        """Return all samples that are kept as one array."""
        if len(self._parts) != 1:
            self._parts = [np.concatenate([np.zeros(0, np.float32), *self._parts])]
        return self._parts[0]


def cut(blocks: Iterable[Floats], length: int, step: int, unit: int) -> Iterator[Cut]:
    """Cut a stream of samples into overlapping windows.

    Parameters
    ----------
    blocks : iterable of (S,) float32
        The stream.
    length, step, unit : int
        See `Cutter`.

    Yields
    ------
    Cut
        The next window.
    """
    cutter = Cutter(length, step, unit)
    for block in blocks:
        yield from cutter.push(block)
    yield cutter.finish()


class Joiner:
    """Join overlapping windows at the middle of each overlap.

    Each window is a sequence of arrays with one row for each frame of the window. Each row of the
    joined arrays is returned once.
    """

    def __init__(self) -> None:
        self._first, self._rows = 0, list[Floats]()  # the last window
        self._given = 0  # the number of frames that were returned

    def add(self, start: int, rows: Sequence[Floats]) -> list[Floats]:
        """Add the next window, which begins at frame `start`.

        Return the rows of the window before it up to the middle of the overlap. Return [] for the
        first window.
        """
        found = self.release(start)
        self._first, self._rows = start, list(rows)
        return found

    def release(self, earliest_start: int) -> list[Floats]:
        """Return the rows that are certain if the next window begins at this frame or later."""
        if not self._rows:
            return []
        seam = (earliest_start + self._first + len(self._rows[0])) // 2
        return self._up_to(max(seam, self._given))

    def finish(self) -> list[Floats]:
        """Return all rows of the last window that were not returned. Return [] without windows."""
        return self._up_to(self._first + len(self._rows[0])) if self._rows else []

    def _up_to(self, end: int) -> list[Floats]:
        found = [array[self._given - self._first : end - self._first] for array in self._rows]
        self._given = end
        return found


def join(windows: Iterable[tuple[int, Sequence[Floats]]]) -> Iterator[list[Floats]]:
    """Join overlapping windows at the middle of each overlap.

    Parameters
    ----------
    windows : iterable of (int, sequence of arrays)
        For each window, the index of its first frame, and arrays with one row for each frame of the
        window.

    Yields
    ------
    list of arrays
        The next rows of each joined array. Each row is yielded once.
    """
    joiner = Joiner()
    for start, rows in windows:
        if found := joiner.add(start, rows):
            yield found
    if found := joiner.finish():
        yield found
