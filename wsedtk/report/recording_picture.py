"""A picture of a recording, in constant memory.

C columns, T frames, F features.
"""

import numpy as np

MOST_COLUMNS = 1500  # of a picture, at least; twice as many at most


class Overview:
    """The maxima of a curve's frames over equal spans of time, so few that they make a picture."""

    def __init__(self):
        self.span, self._columns, self._rest = 1, None, None  # frames a column

    def add(self, values):
        """Add frames (T, F)."""
        self._rest = values if self._rest is None else np.concatenate([self._rest, values])
        if self._columns is None:
            self._columns = values[:0]
        while len(self._rest) >= self.span:
            count = min(2 * MOST_COLUMNS - len(self._columns), len(self._rest) // self.span)
            new = self._rest[: count * self.span].reshape(count, self.span, -1).max(axis=1)
            self._columns, self._rest = (
                np.concatenate([self._columns, new]),
                self._rest[count * self.span :],
            )
            if len(self._columns) == 2 * MOST_COLUMNS:
                self._columns, self.span = (
                    self._columns.reshape(MOST_COLUMNS, 2, -1).max(axis=1),
                    2 * self.span,
                )

    def values(self):
        """The columns (C, F)."""
        return (
            np.concatenate([self._columns, self._rest.max(axis=0, keepdims=True)])
            if len(self._rest)
            else self._columns
        )
