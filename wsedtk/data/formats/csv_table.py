"""Write and read events with scores and clock times as a CSV file, for spreadsheets and R."""

import csv
import dataclasses
import datetime
import io
from collections.abc import Sequence
from pathlib import Path

from wsedtk.data import recorder_names
from wsedtk.data.events import Event
from wsedtk.data.formats import FORMATS, EventFormat, Recording, one_field
from wsedtk.data.formats.annotations import (
    Annotation,
    Annotations,
    annotation,
    annotations,
    first_line,
    read_text,
    score_of,
)
from wsedtk.data.table_files import TableFile

COLUMNS = ("filename", "onset", "offset", "event_label", "score", "onset_time", "offset_time")
_NEEDED = COLUMNS[:4]


@FORMATS.register("csv")
class CsvTable(EventFormat):
    """The format of CSV files: one row for each event, with its score and its clock times.

    Onset and offset are in seconds from the start of the recording. `onset_time` and `offset_time`
    are clock times such as 2024-05-17 05:30:12.340. They are empty if the name of the file does not
    contain its start time (see `wsedtk.data.recorder_names`). A recording without events has one
    row, in which all fields except the file name are empty. A recording that was not analysed has
    no row. Fields are separated by commas. When a file is read, the columns may have any order, and
    other columns are ignored.
    """

    suffix = ".csv"
    header = ",".join(COLUMNS) + "\n"
    by_event = True

    def text(self, recording: Recording, events: Sequence[Event]) -> str:
        """Return one row for each event, or one row if there are no events."""
        start = recorder_names.start_time(recording.file_name)
        if recording.start is not None:
            start = recording.start.replace(tzinfo=None)
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        name = one_field(recording.name)
        for e in events:
            writer.writerow(
                (
                    name,
                    f"{e.onset:.3f}",
                    f"{e.offset:.3f}",
                    one_field(e.label),
                    f"{e.score:.4f}",
                    _clock_time(start, e.onset),
                    _clock_time(start, e.offset),
                )
            )
        if not events:
            writer.writerow((name, *[""] * (len(COLUMNS) - 1)))
        return buffer.getvalue()

    def recognises(self, beginning: str, suffix: str) -> bool:
        """Return whether the first line names the columns of an event, separated by commas."""
        return set(_NEEDED) <= set(_fields(first_line(beginning)))

    def read(self, path: Path, chosen: Sequence[str] = ()) -> Annotations:
        """Read a file. See `EventFormat.read`."""
        table = TableFile(path)
        rows: list[Annotation] = []
        names: list[str] = []
        text = read_text(table) or ""
        reader = csv.reader(io.StringIO(text, newline=""))
        header = [name.strip() for name in next(reader, [])]
        if missing := [name for name in _NEEDED if name not in header]:
            if not table.faults:
                table.error(1, f"expected the columns {', '.join(_NEEDED)}; found no {missing[0]}")
            return annotations(rows, table)
        for fields in reader:
            if not any(map(str.strip, fields)):
                continue
            if len(fields) != len(header):
                message = f"expected {len(header)} fields, found {len(fields)}: {fields}"
                table.error(reader.line_num, message)
                continue
            row = {name: field.strip() for name, field in zip(header, fields)}
            names.append(row["filename"])
            if not any(row[name] for name in _NEEDED[1:]):
                continue
            times = (row["onset"], row["offset"])
            found = annotation(table, reader.line_num, times, row["event_label"], row["filename"])
            if found is not None:
                rows.append(dataclasses.replace(found, score=score_of(row.get("score", ""))))
        return annotations(rows, table, names)


def _fields(line: str) -> list[str]:
    """Return the fields of a line, or [] if the line is not CSV."""
    try:
        return [field.strip() for field in next(csv.reader([line]), [])]
    except csv.Error:
        return []


def _clock_time(start: datetime.datetime | None, seconds: float) -> str:
    """Return a clock time with milliseconds, or "" if the start of the recording is unknown."""
    if start is None:
        return ""
    time = start + datetime.timedelta(milliseconds=round(1000 * seconds))
    return time.isoformat(sep=" ", timespec="milliseconds")
