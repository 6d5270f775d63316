"""Summarise the events of many recordings by file, hour and day, as a CSV file.

    period  name  event_label  events  event_seconds  recorded_seconds

`period` is file, hour or day. The name of an hour is its start, such as 2024-05-17 05:00.
`event_seconds` is the total duration of the events of a class. `recorded_seconds` is the total
duration of the recordings in the period. An event counts in the hour and on the day in which it
begins. Durations are divided between the hours and days that they span. A file, an hour or a day
without events has one row without a class.
"""

import collections
import csv
import dataclasses
import datetime
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from wsedtk.data import recorder_names
from wsedtk.data.events import Event

COLUMNS = ("period", "name", "event_label", "events", "event_seconds", "recorded_seconds")
Floor = Callable[[datetime.datetime], datetime.datetime]


class Summarised(NamedTuple):
    """A recording in a summary.

    Attributes
    ----------
    name : str
        The name of the recording.
    file_name : str
        The name of the file, which may contain the start time (see `recorder_names`).
    seconds : float
        The duration in seconds.
    events : sequence of Event
    """

    name: str
    file_name: str
    seconds: float
    events: Sequence[Event]


@dataclasses.dataclass
class _Period:
    """The sums of a file, an hour or a day. The keys are classes."""

    recorded: float = 0.0
    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)

    def add(self, label: str, count: int, seconds: float) -> None:
        self.counts[label] = self.counts.get(label, 0) + count
        self.seconds[label] = self.seconds.get(label, 0.0) + seconds


def _hour(time: datetime.datetime) -> datetime.datetime:
    return time.replace(minute=0, second=0, microsecond=0)


def _day(time: datetime.datetime) -> datetime.datetime:
    return _hour(time).replace(hour=0)


# The length and the form of the names of the periods of the clock.
_CLOCK: dict[str, tuple[Floor, datetime.timedelta, str]] = {
    "hour": (_hour, datetime.timedelta(hours=1), "%Y-%m-%d %H:%M"),
    "day": (_day, datetime.timedelta(days=1), "%Y-%m-%d"),
}


def _parts(
    start: datetime.datetime, end: datetime.datetime, floor: Floor, length: datetime.timedelta
) -> Iterator[tuple[datetime.datetime, float]]:
    """Yield the start of each period that a time span touches, and the seconds of the span in it.

    A span of length 0 touches one period.
    """
    period = floor(start)
    yield period, (min(end, period + length) - start).total_seconds()
    while (period := period + length) < end:
        yield period, (min(end, period + length) - period).total_seconds()


class EventSummary:
    """The sums of events by file, hour and day."""

    def __init__(self) -> None:
        self._files: dict[str, _Period] = {}
        self._clock: dict[str, dict[datetime.datetime, _Period]] = {
            kind: collections.defaultdict(_Period) for kind in _CLOCK
        }
        self.without_time: list[str] = []  # names of recordings whose start time is unknown

    def add(self, recording: Summarised) -> None:
        """Add the events of a recording."""
        file = self._files.setdefault(recording.name, _Period())
        file.recorded += recording.seconds
        for event in recording.events:
            file.add(event.label, 1, event.offset - event.onset)
        start = recorder_names.start_time(recording.file_name)
        if start is None:
            self.without_time.append(recording.name)
            return
        for kind, (floor, length, _) in _CLOCK.items():
            periods = self._clock[kind]
            end = start + datetime.timedelta(seconds=recording.seconds)
            for period, seconds in _parts(start, end, floor, length):
                periods[period].recorded += seconds
            for event in recording.events:
                onset, offset = (
                    start + datetime.timedelta(seconds=time) for time in (event.onset, event.offset)
                )
                for number, (period, seconds) in enumerate(_parts(onset, offset, floor, length)):
                    periods[period].add(event.label, int(number == 0), seconds)

    def to_csv(self) -> str:
        """Return the summary as CSV text. Files keep their order. Hours and days are sorted."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(COLUMNS)
        for name, period in self._files.items():
            writer.writerows(_rows("file", name, period))
        for kind, (*_, form) in _CLOCK.items():
            for time, period in sorted(self._clock[kind].items(), key=lambda item: item[0]):
                writer.writerows(_rows(kind, time.strftime(form), period))
        return buffer.getvalue()


def _rows(kind: str, name: str, period: _Period) -> Iterable[tuple[object, ...]]:
    """Yield one row for each class of a period, or one row without a class."""
    recorded = f"{period.recorded:.3f}"
    for label in sorted(period.counts):
        yield kind, name, label, period.counts[label], f"{period.seconds[label]:.3f}", recorded
    if not period.counts:
        yield kind, name, "", 0, "0.000", recorded
