"""Write and read JSON lines: one JSON object for each event."""

import dataclasses
import datetime
import json
from collections.abc import Sequence
from pathlib import Path

from wsedtk.data.events import Event
from wsedtk.data.formats import FORMATS, EventFormat, Recording
from wsedtk.data.formats.annotations import (
    Annotation,
    Annotations,
    annotation,
    annotations,
    first_line,
    score_of,
)
from wsedtk.data.table_files import TableFile

_TIMES = ("onset", "offset")
_EXPECTED = "a JSON object with the keys filename, onset, offset and event_label"


@FORMATS.register("jsonl")
class JsonLines(EventFormat):
    """The format JSON lines. Each line is a JSON object that describes an event.

    The object has the keys `filename`, `onset`, `offset`, `event_label` and `score`. If the events
    were detected in one channel of the recording, the object also has the key `channel`. If the
    start of the recording is known from a clock, the object also has the keys `onset_time` and
    `offset_time`, such as 2024-05-17T05:30:12.340+01:00. When a file is read, other keys are
    ignored, and an object that has only the key `filename` is a recording without events.
    """

    suffix = ".jsonl"
    by_event = True
    is_json = True

    def text(self, recording: Recording, events: Sequence[Event]) -> str:
        """Return one line for each event."""
        return "".join(self._line(recording, event) for event in events)

    def _line(self, recording: Recording, event: Event) -> str:
        fields: dict[str, str | int | float] = {"filename": recording.name}
        if recording.channel is not None:
            fields["channel"] = recording.channel
        fields["onset"] = event.onset
        fields["offset"] = event.offset
        fields["event_label"] = event.label
        fields["score"] = round(event.score, 4)
        if recording.start is not None:
            for key in _TIMES:
                seconds = datetime.timedelta(seconds=float(fields[key]))
                time = (recording.start + seconds).isoformat(timespec="milliseconds")
                fields[f"{key}_time"] = time
        return json.dumps(fields, ensure_ascii=False) + "\n"

    def recognises(self, beginning: str, suffix: str) -> bool:
        """Return whether the first line begins like a JSON object, or a file *.jsonl is empty."""
        line = first_line(beginning)
        return line.lstrip().startswith("{") if line else suffix == self.suffix

    def read(self, path: Path, chosen: Sequence[str] = ()) -> Annotations:
        """Read a file. See `EventFormat.read`."""
        table, rows, names = TableFile(path), [], []
        for number, line in table.numbered_lines():
            try:
                fields = json.loads(line)
            except (ValueError, RecursionError):
                fields = None
            if not (isinstance(fields, dict) and isinstance(fields.get("filename"), str)):
                table.error(number, f"expected {_EXPECTED}, found {line[:80]!r}")
                continue
            names.append(fields["filename"])
            if not any(key in fields for key in (*_TIMES, "event_label")):
                continue
            rows.append(_parse(table, number, fields))
        return annotations(rows, table, names)


def _parse(table: TableFile, number: int, fields: dict[str, object]) -> Annotation | None:
    """Return the event of a JSON object. Return None if it is faulty."""
    label = fields.get("event_label")
    times = [fields.get(key) for key in _TIMES]
    is_number = all(isinstance(time, (int, float)) and not isinstance(time, bool) for time in times)
    if not is_number or not isinstance(label, str):
        table.error(number, f"expected {_EXPECTED}, found {json.dumps(fields)[:80]}")
        return None
    onset, offset = (repr(time) for time in times)
    found = annotation(table, number, (onset, offset), label, str(fields["filename"]))
    score = fields.get("score")
    if found is None or isinstance(score, bool) or not isinstance(score, (int, float)):
        return found
    return dataclasses.replace(found, score=score_of(repr(score)))
