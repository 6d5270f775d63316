"""Find the events of the clips that a recording is cut into."""

from collections.abc import Sequence
from typing import NamedTuple

from wsedtk.core.wording import counted
from wsedtk.data.formats.annotations import ACCEPTED, UNREVIEWED
from wsedtk.data.tables import first

# An event that begins later than this after the end of its recording, in seconds, is an error.
_LATE_SECONDS = 0.1
_ROUNDING = 1e-6  # seconds


class Mark(NamedTuple):
    """An annotated event of a recording.

    Attributes
    ----------
    onset, offset : float
        The times in seconds. They are equal for a point in time.
    label : str
        The class.
    place : str
        The file and line of the annotation, for messages.
    status : str
        What a review found (see `formats.annotations.Annotation`). "" counts as accepted.
    """

    onset: float
    offset: float
    label: str
    place: str = ""
    status: str = ""

    @property
    def is_accepted(self) -> bool:
        """Whether the event occurs, as far as is known."""
        return self.status in ("", ACCEPTED)


def events_of_clips(
    marks: Sequence[Mark], clips: Sequence[tuple[float, float]], least_seconds: float
) -> list[list[Mark]]:
    """Return the events of each clip, in seconds from the start of the clip.

    An event is in a clip if at least `least_seconds`, or at least half of the event, are in the
    clip. The part outside the clip is cut off. A point in time is in the clips that contain it. The
    end of a clip belongs to the next clip, if there is one.

    Parameters
    ----------
    marks : sequence of Mark
        The events of a recording.
    clips : sequence of (float, float)
        The start and the end of each clip in seconds.
    least_seconds : float

    Returns
    -------
    list of list of Mark
        The events of each clip.
    """
    last = max((end for _, end in clips), default=0.0)
    found: list[list[Mark]] = []
    for start, end in clips:
        inside = []
        for mark in marks:
            if not _is_in(mark, start, end, least_seconds, is_last=end == last):
                continue
            onset = round(max(mark.onset, start) - start, 6)
            offset = round(min(mark.offset, end) - start, 6)
            inside.append(mark._replace(onset=onset, offset=max(onset, offset)))
        found.append(inside)
    return found


def is_reviewed(marks: Sequence[Mark]) -> bool:
    """Return whether a review knows all tags of a clip.

    Parameters
    ----------
    marks : sequence of Mark
        The events of the clip, including rejected events and events that were not reviewed.
    """
    return bool(marks) and all(mark.status != UNREVIEWED for mark in marks)


def _is_in(mark: Mark, start: float, end: float, least_seconds: float, *, is_last: bool) -> bool:
    """Return whether an event is in a clip. `is_last` tells whether no clip ends later."""
    seconds = mark.offset - mark.onset
    if seconds == 0:
        is_at_end = is_last and abs(mark.onset - end) <= _LATE_SECONDS
        return start <= mark.onset < end or is_at_end
    part = min(mark.offset, end) - max(mark.onset, start)
    return part > 0 and part >= min(least_seconds, seconds / 2) - _ROUNDING


def check_times(name: str, marks: Sequence[Mark], duration: float) -> tuple[str, str]:
    """Compare the events of a recording with its duration.

    Parameters
    ----------
    name : str
        The recording.
    marks : sequence of Mark
    duration : float
        The duration of the recording in seconds.

    Returns
    -------
    error, warning : str
        The messages, or "". It is an error if an event begins after the end of the recording.
    """
    late = [mark for mark in marks if mark.onset > duration + _LATE_SECONDS]
    if late:
        places = first([f"{mark.place} (at {mark.onset:g} s)" for mark in late])
        number = counted(len(late), "event begins", "events begin")
        return (
            f"{name}: {number} after the end of the recording ({duration:.3f} s): {places}; "
            "expected the times of this recording; correct the times or the name of the recording",
            "",
        )
    long = [mark for mark in marks if mark.offset > duration + _LATE_SECONDS]
    if long:
        places = first([f"{mark.place} (until {mark.offset:g} s)" for mark in long])
        number = counted(len(long), "event ends", "events end")
        return "", f"{name}: {number} after the end of the recording ({duration:.3f} s): {places}"
    return "", ""
