"""Warnings about tables of tags and events that are evaluated."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from wsedtk.core.types import Floats, PathLike
from wsedtk.data import tables
from wsedtk.data.events import Events

Warn = Callable[[str], None]  # is called with each warning, as text
Names = Sequence[str] | npt.NDArray[np.str_]


def warn_of(warn: Warn, items: Sequence[object], what: str) -> None:
    """Warn of the number of some items and name the first ones, if there are any."""
    if items:
        warn(f"{len(items)} {what}: {tables.first(items)}")


def warn_of_repeats(warn: Warn, path: PathLike, lines: Sequence[int]) -> None:
    """Warn of the rows of a table that repeat an earlier row."""
    warn_of(warn, lines, f"rows of {path} repeat an earlier one and count once, lines")


def warn_of_late(
    warn: Warn, path: PathLike, events: Events, names: Names, durations: Floats
) -> None:
    """Warn of the events of a table that begin after the end of their clip.

    Parameters
    ----------
    warn : callable
    path : path-like
        The table.
    events : Events
        Its events.
    names : (N,) str
    durations : (N,) float
        Of the clips, in seconds.
    """
    ends = durations[events.clip]
    late = np.flatnonzero((events.onset >= ends) & (events.offset > ends))
    places = [f"{names[events.clip[i]]} at {events.onset[i]:g} s" for i in late]
    what = f"events of {path} begin after the end of their clip and do not count"
    warn_of(warn, places, f"{what} (sed_eval counts them)")
