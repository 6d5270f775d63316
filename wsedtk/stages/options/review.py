"""Options of `review`."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.stages.options.checks import check_fields, check_range

MOST_MARGIN_SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class ReviewOptions:
    """The inputs, the output and the settings of `review`.

    Parameters
    ----------
    events : path-like, or sequence of path-like
        Events that `detect` has written in any format, annotation files, or saved review tables to
        go on with: files, folders, and patterns such as "labels/*.txt".
    audio : path-like
        The folder of the recordings, with all its subfolders, or one recording.
    output : path-like
        The HTML page to write.
    order : {"uncertain", "score", "time"}
        The order of the events: "uncertain" for events whose scores are nearest to the threshold of
        their class first (see `model`), "score" for the highest scores first, "time" by recording
        and onset. Events that were reviewed before come last.
    max_events : int
        The page shows the first `max_events` events of this order. The table that the page saves
        also lists the other events, with the status `unreviewed`.
    margin : float
        The duration before and after each event, in seconds.
    model : path-like, optional
        The model directory that has detected the events, or the name of a ready model. The page
        offers its classes, and its frame thresholds define which events are uncertain. By default,
        the page offers the classes of the events, and the threshold is 0.5.
    format_name : str, optional
        The format of the events. By default, the format of each file is recognised by its content.
    jobs : int
        Number of processes that read recordings.

    Raises
    ------
    InputError
        If a number is out of its range, or if the order is not one of the choices.
    """

    events: PathLike | Sequence[PathLike]
    audio: PathLike
    output: PathLike
    _: dataclasses.KW_ONLY
    order: Literal["uncertain", "score", "time"] = "uncertain"
    max_events: int = 500
    margin: float = 2.0
    model: PathLike | None = None
    format_name: str | None = None
    jobs: int = 1

    def __post_init__(self) -> None:
        check_fields(self)
        if isinstance(self.events, Sequence) and not self.events:
            raise InputError("events: found none; expected at least one file or folder")
        check_range("max_events", self.max_events, 1)
        check_range("margin", self.margin, 0, MOST_MARGIN_SECONDS)
        check_range("jobs", self.jobs, 1)
