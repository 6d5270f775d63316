"""Write and read Raven selection tables: one selection for each event."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from wsedtk.data.events import Event
from wsedtk.data.formats import FORMATS, EventFormat, Recording, one_field
from wsedtk.data.formats.annotations import (
    NO_CLASS,
    Annotation,
    Annotations,
    annotations,
    chosen_fields,
    first_line,
    score_of,
    seconds,
)
from wsedtk.data.table_files import TableFile, ends_before_start
from wsedtk.data.tables import is_blank

COLUMNS = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Begin File",
    "Annotation",
    "Score",
)
_BEGIN, _END, _FILE_OFFSET = "begin time (s)", "end time (s)", "file offset (s)"
_RECORDING = ("begin path", "begin file")
# Columns that contain the class if the user chooses no column. The first of them is used.
_CLASS = ("annotation", "species", "label", "class", "common name", "species code", "tags")


@FORMATS.register("raven")
class RavenTable(EventFormat):
    """The format of Raven selection tables. Selections range from 0 Hz to `Recording.max_hz`.

    Raven writes a selection once for each view, such as the waveform and the spectrogram. When
    a file is read, equal rows with the same number of the selection are one event. If there is a
    column "File Offset (s)", it contains the onset in the recording, because "Begin Time (s)" is
    the time in the sequence of all opened recordings. Channels and frequencies are ignored.
    """

    suffix = ".selections.txt"
    fields = "columns"
    header = "\t".join(COLUMNS) + "\n"
    holds_several = False

    def text(self, recording: Recording, events: Sequence[Event]) -> str:
        """Return one row for each event."""
        return "".join(
            self._row(recording, number, event) for number, event in enumerate(events, 1)
        )

    def _row(self, recording: Recording, number: int, event: Event) -> str:
        fields = (
            str(number),
            "Spectrogram 1",
            str(recording.channel or 1),
            f"{event.onset:.6f}",
            f"{event.offset:.6f}",
            "0",
            f"{recording.max_hz:g}",
            one_field(recording.file_name),
            one_field(event.label),
            f"{event.score:.4f}",
        )
        return "\t".join(fields) + "\n"

    def recognises(self, beginning: str, suffix: str) -> bool:
        """Return whether the first line has the columns of the times."""
        return {_BEGIN, _END} <= set(_columns(first_line(beginning)))

    def read(self, path: Path, chosen: Sequence[str] = ()) -> Annotations:
        """Read a file. See `EventFormat.read`."""
        table = TableFile(path)
        lines = table.numbered_lines()
        if not lines:
            if not table.faults:
                table.error(None, f"is empty; expected a header with {_BEGIN!r} and {_END!r}")
            return annotations([], table)
        number, header = lines[0]
        columns = _columns(header)
        if missing := [name for name in (_BEGIN, _END) if name not in columns]:
            table.error(number, f"expected the columns {_BEGIN!r} and {_END!r}; missing: {missing}")
            return annotations([], table)
        labels = _label_columns(table, header, columns, chosen)
        rows: dict[tuple[str, Annotation], Annotation] = {}
        for number, line in lines[1:]:
            fields = dict(zip(columns, map(str.strip, line.split("\t"))))
            for row in _rows(table, number, fields, labels):
                key = fields.get("selection", ""), dataclasses.replace(row, line=0)
                rows.setdefault(key, row)
        return annotations(rows.values(), table)


def _columns(header: str) -> list[str]:
    """Return the names of the columns in lower case."""
    return [name.strip().lower() for name in header.split("\t")]


def _label_columns(
    table: TableFile, header: str, columns: Sequence[str], chosen: Sequence[str]
) -> list[str]:
    """Return the columns that contain the classes. If there is none, add an error."""
    if chosen:
        return [name.lower() for name in chosen_fields(table, chosen, columns, "column")]
    found = [name for name in _CLASS if name in columns]
    if not found:
        names = ", ".join(repr(name.strip()) for name in header.split("\t"))
        table.error(
            1,
            "no column is known to contain the class; choose it with labels_in (--labels-in "
            f"COLUMN); found: {names}",
        )
    return found[:1]


def _rows(
    table: TableFile, number: int, fields: dict[str, str], labels: Sequence[str]
) -> list[Annotation]:
    """Return the event of each class in a row. Add an error if the row is faulty."""
    begin, end = (seconds(table, number, name, fields.get(name, "")) for name in (_BEGIN, _END))
    onset = begin
    if fields.get(_FILE_OFFSET):
        onset = seconds(table, number, _FILE_OFFSET, fields[_FILE_OFFSET])
    if begin is None or end is None or onset is None:
        return []
    if end < begin:
        table.error(number, ends_before_start(begin, end))
        return []
    found = [fields[name] for name in labels if not is_blank(fields.get(name, ""))]
    if labels and not found:
        table.error(number, f"{NO_CLASS} in {labels[0]!r}; write the class, or remove the line")
    recording = next((fields[name] for name in _RECORDING if fields.get(name)), "")
    offset = round(onset + end - begin, 6)
    score = score_of(fields.get("score", ""))
    return [Annotation(recording, onset, offset, label, number, score) for label in found]
