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


def warn_of(warn: Warn, items: Sequence[object], singular: str, plural: str) -> None:
    """Warn of the number of items, and list the first items. If there are no items, do nothing.

    The text after the number is `singular` for one item, and `plural` for several items.
    """
    if items:
        what = singular if len(items) == 1 else plural
        warn(f"{len(items)} {what}: {tables.first(items)}")


def warn_of_repeats(warn: Warn, path: PathLike, lines: Sequence[int]) -> None:
    """Warn of rows of a table that repeat an earlier row."""
    singular = f"row of {path} repeats an earlier row and is ignored"
    plural = f"rows of {path} repeat an earlier row and are ignored"
    warn_of(warn, [f"line {line}" for line in lines], singular, plural)


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
    singular = f"event of {path} begins at or after the end of its clip and is ignored"
    plural = f"events of {path} begin at or after the end of their clip and are ignored"
    warn_of(warn, places, f"{singular} (sed_eval counts it)", f"{plural} (sed_eval counts them)")
