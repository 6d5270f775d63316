"""Warnings about the tables of tags and events that are evaluated."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from wsedtk.core.paths import PathLike
from wsedtk.core.types import Floats
from wsedtk.data import tables
from wsedtk.data.events import Events

Warn = Callable[[str], None]  # a function that is called with the text of each warning
Names = Sequence[str] | npt.NDArray[np.str_]


def warn_of(warn: Warn, items: Sequence[object], what: str) -> None:
    """Warn of the number of items, and list the first items. If there are no items, do nothing."""
    if items:
        warn(f"{len(items)} {what}: {tables.first(items)}")


def warn_of_repeats(warn: Warn, path: PathLike, lines: Sequence[int]) -> None:
    """Warn of rows of a table that repeat an earlier row."""
    warn_of(warn, lines, f"rows of {path} repeat an earlier row and are ignored, lines")


def warn_of_late(
    warn: Warn, path: PathLike, events: Events, names: Names, durations: Floats
) -> None:
    """Warn of events of a table that begin at or after the end of their clip.

    There is no warning about an event of length zero exactly at the end of its clip, because
    `wsedtk.evaluation.metrics.cut` keeps it.

    Parameters
    ----------
    warn : callable
        A function that is called with the text of the warning.
    path : path-like
        The table.
    events : Events
        The events of the table.
    names : sequence of str
        The names of the N clips.
    durations : (N,) float
        Durations of the clips in seconds.
    """
    ends = durations[events.clip]
    late = np.flatnonzero((events.onset >= ends) & (events.offset > ends))
    places = [f"{names[events.clip[i]]} at {events.onset[i]:g} s" for i in late]
    what = f"events of {path} begin at or after the end of their clip and are ignored"
    warn_of(warn, places, f"{what} (sed_eval counts them)")
