"""Read DCASE lists of tags or events, such as those of DCASE 2017 task 4, DESED and wsedtk.

    filename  onset  offset  event_label   an event; or a tag, if the file name has the same times
    filename  event_label                  a tag
    filename  event_labels                 tags, separated by commas without a space after them;
                                           needs a header
    filename                               a clip without tags or events

In each form, a row whose fields are all empty except for the file name also means a clip without
tags or events. In the first form, the empty fields may instead be `nan`. A list is tab-separated
UTF-8 text. Lines end in LF, CRLF or CR. If the list has a header, the columns may have any order.
Otherwise, they have the order above. Blank lines, spaces around fields, and tabs at the end of
a line are ignored. `DcaseTable` writes events in the first form, and reads all forms.
"""

import dataclasses
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from wsedtk.core.paths import PathLike
from wsedtk.data.clip_names import (
    AUDIO_EXTENSIONS,
    clip_key,
    excerpt_times,
    has_audio_extension,
)
from wsedtk.data.events import Event
from wsedtk.data.formats import FORMATS, EventFormat, Recording, one_field
from wsedtk.data.formats.annotations import Annotation, Annotations, first_line
from wsedtk.data.table_files import Fault, TableFile, ends_before_start, names_no_class
from wsedtk.data.tables import cut_blank, is_blank, is_nothing, parse_seconds

HEADERS = (
    ("filename", "onset", "offset", "event_label"),
    ("filename", "event_label"),
    ("filename",),
    ("filename", "event_labels"),
)
_COLUMNS = {len(header): header for header in HEADERS[:3]}  # keys: the number of columns
_EXPECTED = "expected filename<TAB>event_label or filename<TAB>onset<TAB>offset<TAB>event_label"
_EXTENSIONS = "|".join(map(re.escape, AUDIO_EXTENSIONS))
# Matches a row without tabs whose fields are separated by spaces, commas or semicolons.
_NO_TABS = re.compile(rf"({_EXTENSIONS})[\s,;]|[,;]\s*[0-9.]+\s*[,;]", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# A row is a tag if its times differ by less than _SAME_SECONDS from the times in its file name.
_SAME_SECONDS = 5e-4


@FORMATS.register("tsv")
class DcaseTable(EventFormat):
    """The format of DCASE tables: the file name, onset, offset and class of each event."""

    suffix = ".tsv"
    header = "\t".join(HEADERS[0]) + "\n"
    by_event = True

    def text(self, recording: Recording, events: Sequence[Event]) -> str:
        """Return one row for each event."""
        name = one_field(recording.name)
        return "".join(
            f"{name}\t{e.onset:.3f}\t{e.offset:.3f}\t{one_field(e.label)}\n" for e in events
        )

    def recognises(self, beginning: str, suffix: str) -> bool:
        """Return whether the first line is the header of a list, or begins with a file name.

        A file name and a number are not recognised, because the number is a duration.
        """
        fields = [field.strip() for field in cut_blank(first_line(beginning).split("\t"), 1)]
        if "filename" in map(str.lower, fields):
            return sorted(map(str.lower, fields)) in [sorted(header) for header in HEADERS]
        is_duration = len(fields) == 2 and not np.isnan(parse_seconds(fields[1:])).any()
        return len(fields) in _COLUMNS and has_audio_extension(fields[0]) and not is_duration

    def read(self, path: Path, chosen: Sequence[str] = ()) -> Annotations:
        """Read a list. See `EventFormat.read`. In a list of tags, annotations have no times."""
        found = read(path)
        has_times = found.kind() == "events"
        rows = [
            Annotation(
                found.names[row.clip],
                row.onset if has_times else None,
                row.offset if has_times else None,
                row.label,
                row.line,
            )
            for row in found.rows
        ]
        return Annotations(rows, list(found.names.values()), found.faults)


@dataclasses.dataclass(frozen=True)
class Row:
    """A tag or an event of a list. Rows are compared without their line numbers.

    Attributes
    ----------
    clip : str
        The key of the clip (see `clip_names.clip_key`).
    onset, offset : float or None
        The times in seconds. None if the row has no times.
    label : str
        The class.
    line : int
        The line, counted from 1.
    """

    clip: str
    onset: float | None
    offset: float | None
    label: str
    line: int = dataclasses.field(compare=False)


@dataclasses.dataclass(frozen=True)
class EventList:
    """A list of tags or events.

    Attributes
    ----------
    path : Path
    names : dict
        A mapping from the key of each clip to the first file name of this clip in the list. It
        includes clips without tags or events.
    rows : list of Row
        The tags or events. Of equal rows, only the first is included.
    repeated : list of int
        The numbers of the lines that only repeat the content of earlier lines.
    faults : list of Fault
        The faults of the file, and of the lines that were left out.
    """

    path: Path
    names: dict[str, str]
    rows: list[Row]
    repeated: list[int]
    faults: list[Fault]

    def kind(self) -> Literal["tags", "events"] | None:
        """Return "tags" or "events", or None for a list without tags or events.

        A row is a tag if it has no times, or if its times are those in its file name. If all rows
        are tags, the list is a list of tags. Otherwise it is a list of events.
        """
        if not self.rows:
            return None
        return "tags" if all(map(self._is_tag, self.rows)) else "events"

    def _is_tag(self, row: Row) -> bool:
        if row.onset is None or row.offset is None:
            return True
        times = excerpt_times(self.names[row.clip])
        return (
            times is not None
            and abs(row.onset - times[0]) < _SAME_SECONDS
            and abs(row.offset - times[1]) < _SAME_SECONDS
        )

    def faults_of_tags(self) -> list[Fault]:
        """Return an error for each row without times. Such rows are wrong in a list of events."""
        return [
            Fault(
                True, self.path, row.line, "found a tag without onset and offset; expected an event"
            )
            for row in self.rows
            if row.onset is None
        ]


@dataclasses.dataclass(frozen=True)
class _Line:
    """One line of a list: a file name, and the times and classes if the line has them."""

    name: str
    onset: float | None = None
    offset: float | None = None
    labels: tuple[str, ...] = ()


class _Reader:
    """A reader of the lines of one list."""

    def __init__(self, path: PathLike) -> None:
        self.table = TableFile(path)
        self._header: tuple[str, ...] | None = None

    def lines(self) -> Iterable[tuple[int, _Line]]:
        """Yield the number and the content of each line.

        The header, blank lines and faulty lines are not yielded.
        """
        if self.table.path.is_dir():
            message = "is a folder; choose a list, such as tags.tsv or events.tsv in this folder"
            self.table.error(None, message)
            return
        lines = self.table.numbered_lines()
        if not lines and not self.table.faults:
            message = f"is empty; {_EXPECTED} (if there are no events, write only a header)"
            self.table.error(None, message)
        for number, line in self._rows(lines):
            parsed = self._parse(number, line)
            if parsed is not None:
                yield number, parsed

    def _rows(self, lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
        """Read the header, if any. Return the other lines, or [] if the header is invalid."""
        if not lines:
            return []
        number, line = lines[0]
        columns = [field.strip().lower() for field in cut_blank(line.split("\t"), 1)]
        if "filename" not in columns:
            return lines
        if sorted(columns) not in [sorted(header) for header in HEADERS]:
            self.table.error(number, f"{_EXPECTED} as the header, found {line!r}")
            return []
        self._header = tuple(columns)
        return lines[1:]

    def _parse(self, number: int, line: str) -> _Line | None:
        """Parse a line. Return None if the line is blank or faulty."""
        fields = self._fields(number, line)
        if fields is None:
            return None
        name = fields.pop("filename")
        is_empty = is_nothing if "onset" in fields else is_blank
        if all(map(is_empty, fields.values())):
            return _Line(name)
        num_faults = len(self.table.faults)
        onset, offset = self._times(number, fields)
        labels = self._labels(number, fields)
        if len(self.table.faults) > num_faults:
            return None
        return _Line(name, onset, offset, labels)

    def _fields(self, number: int, line: str) -> dict[str, str] | None:
        """Return the text of each column of a line, or None if the line is blank or faulty."""
        control = _CONTROL.search(line)
        if control:
            message = f"contains the control character {control.group()!r}; expected text"
            self.table.error(number, message)
            return None
        fields = [field.strip() for field in line.split("\t")]
        if not any(fields):
            return None
        header = self._header
        is_name = (header is None or header[0] == "filename") and not any(fields[1:])
        fields = cut_blank(fields, 1 if is_name or header is None else len(header))
        columns = header
        if columns is None or len(fields) == 1:
            columns = _COLUMNS.get(len(fields), ())
        if len(fields) != len(columns):
            message = f"{_EXPECTED}, found {len(fields)} tab-separated fields: {line!r}"
        elif not fields[columns.index("filename")]:
            message = f"the file name is missing: {line!r}"
        elif len(fields) == 1 and _NO_TABS.search(fields[0]):
            message = f"{_EXPECTED}, found no tab: {line!r}"
        else:
            return dict(zip(columns, fields))
        self.table.error(number, message)
        return None

    def _times(self, number: int, fields: dict[str, str]) -> tuple[float | None, float | None]:
        """Return onset and offset. A time is None if it is faulty or has no column."""
        if "onset" not in fields:
            return None, None
        onset = self.table.seconds(number, "onset", fields["onset"])
        offset = self.table.seconds(number, "offset", fields["offset"])
        if onset is not None and offset is not None and offset < onset:
            self.table.error(number, ends_before_start(onset, offset))
        return onset, offset

    def _labels(self, number: int, fields: dict[str, str]) -> tuple[str, ...]:
        """Return the classes of a row. An error is added for the first faulty class."""
        labels = [fields["event_label"]] if "event_label" in fields else []
        if "event_labels" in fields:
            labels = re.split(r",(?! )", fields["event_labels"])
        for label in labels:
            if is_nothing(label):
                self.table.error(number, names_no_class(label))
                break
            if len(label) > 1 and label[0] == label[-1] == '"':
                message = f"the class {label} is in quotes; remove the quotes"
                self.table.error(number, message)
                break
        return tuple(labels)


def read(path: PathLike) -> EventList:
    """Read a list of tags or events. The result also contains the faults of the list."""
    reader = _Reader(path)
    names: dict[str, str] = {}
    rows: list[Row] = []
    seen: set[str | Row] = set()  # rows, and the keys of clips without tags or events
    repeated = []
    for number, line in reader.lines():
        clip = clip_key(line.name)
        names.setdefault(clip, line.name)
        found = [Row(clip, line.onset, line.offset, label, number) for label in line.labels]
        said: list[str] | list[Row] = found or [clip]
        if all(item in seen for item in said):
            repeated.append(number)
        rows += [row for row in dict.fromkeys(found) if row not in seen]
        seen.update(said)
    return EventList(reader.table.path, names, rows, repeated, reader.table.faults)
