"""Warnings about the tables of tags and events in an evaluation."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from wsedtk.core.paths import PathLike
from wsedtk.core.types import Floats
from wsedtk.data import tables
from wsedtk.data.events import Events

Warn = Callable[[str], None]  # called with the text of each warning
Names = Sequence[str] | npt.NDArray[np.str_]


def warn_of(warn: Warn, items: Sequence[object], what: str) -> None:
    """If there are any items, warn of their number and name the first ones."""
    if items:
        warn(f"{len(items)} {what}: {tables.first(items)}")


def warn_of_repeats(warn: Warn, path: PathLike, lines: Sequence[int]) -> None:
    """Warn of rows of a table that repeat an earlier row."""
    warn_of(warn, lines, f"rows of {path} repeat an earlier one and count once, lines")


def warn_of_late(
    warn: Warn, path: PathLike, events: Events, names: Names, durations: Floats
) -> None:
    """Warn of events of a table that begin at or after the end of their clip.

    Parameters
    ----------
    warn : callable
    path : path-like
        The table.
    events : Events
        The events of the table.
    names : (N,) str
        Names of the clips.
    durations : (N,) float
        Durations of the clips in seconds.
    """
    ends = durations[events.clip]
    late = np.flatnonzero((events.onset >= ends) & (events.offset > ends))
    places = [f"{names[events.clip[i]]} at {events.onset[i]:g} s" for i in late]
    what = f"events of {path} begin after the end of their clip and do not count"
    warn_of(warn, places, f"{what} (sed_eval counts them)")
