"""Lists of tags or events in the forms that challenges exchange: DCASE 2017 task 4, DESED, wsedtk's own tables.

    filename  onset  offset  event_label     an event; or a tag, where the times are those in the file name
    filename  event_label                    a tag (event_labels: several, with a comma and no space between them)
    filename                                 a clip without any, also as a row of the other forms
                                             whose other columns are empty, or nan, nan and nan

Tab-separated UTF-8 with any line ends, with a header (the columns in any order) or without one (in this order).
Tabs at the end of a line, spaces around fields and blank lines are passed over.
"""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from wsedtk.data.clip_names import AUDIO_EXTENSIONS, clip_key, excerpt_times
from wsedtk.data.events import Event
from wsedtk.data.formats import FORMATS, EventFormat, Recording, one_field
from wsedtk.data.table_files import Fault, names_no_class, read_lines, read_seconds
from wsedtk.data.tables import cut_blank, is_blank, is_nothing

HEADERS = (
    ("filename", "onset", "offset", "event_label"),
    ("filename", "event_label"),
    ("filename",),
    ("filename", "event_labels"),
)
_COLUMNS = {len(header): header for header in HEADERS[:3]}  # of rows without a header
_EXPECTED = "expected filename<TAB>event_label or filename<TAB>onset<TAB>offset<TAB>event_label"
_EXTENSIONS = "|".join(map(re.escape, AUDIO_EXTENSIONS))
_NO_TABS = re.compile(
    rf"({_EXTENSIONS})[\s,;]|[,;]\s*[0-9.]+\s*[,;]", re.IGNORECASE
)  # in what should be one clip's name
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@FORMATS.register("tsv")
class DcaseTable(EventFormat):
    """A table of DCASE: file name, onset, offset and class of each event."""

    suffix = ".tsv"
    header = "\t".join(HEADERS[0]) + "\n"

    def text(self, recording: Recording, events: Sequence[Event]) -> str:
        name = one_field(recording.name)
        return "".join(
            f"{name}\t{e.onset:.3f}\t{e.offset:.3f}\t{one_field(e.label)}\n" for e in events
        )


@dataclasses.dataclass(frozen=True)
class Row:
    """A tag or an event of a list. Two are equal whatever their lines."""

    clip: str  # see clip_names.clip_key
    onset: float | None  # seconds; None where the row has no times
    offset: float | None
    label: str
    line: int = dataclasses.field(compare=False)


@dataclasses.dataclass(frozen=True)
class EventList:
    """A list of tags or events."""

    path: Path
    names: dict  # clip -> its file name as it stands in the list; also of clips without rows
    rows: list  # each Row once
    repeated: list  # the lines that say what an earlier one says

    def kind(self):
        """`tags` where rows have no times, or those in their file name, every one; `events` else; None without rows."""
        if not self.rows:
            return None
        return (
            "tags"
            if all(row.onset is None or self._is_whole_clip(row) for row in self.rows)
            else "events"
        )

    def _is_whole_clip(self, row):
        times = excerpt_times(self.names[row.clip])
        return (
            times is not None
            and abs(row.onset - times[0]) < 5e-4
            and abs(row.offset - times[1]) < 5e-4
        )


def _fields(path, number, line, header, faults):
    """{column: text} of a line; None where it is blank, or at fault. header: its columns, or None."""
    control = _CONTROL.search(line)
    if control:
        faults.append(
            Fault(
                True,
                path,
                number,
                f"holds the control character {control.group()!r}: not a list of text",
            )
        )
        return None
    fields = [field.strip() for field in line.split("\t")]
    if not any(fields):
        return None
    begins_with_name = header is None or header[0] == "filename"
    is_name = begins_with_name and not any(fields[1:])
    fields = cut_blank(fields, 1 if is_name or header is None else len(header))
    columns = _COLUMNS.get(len(fields), ()) if header is None or len(fields) == 1 else header
    if len(fields) != len(columns):
        faults.append(
            Fault(
                True,
                path,
                number,
                f"{_EXPECTED}, found {len(fields)} tab-separated fields: {line!r}",
            )
        )
    elif not fields[columns.index("filename")]:
        faults.append(Fault(True, path, number, f"no file name: {line!r}"))
    elif len(fields) == 1 and _NO_TABS.search(fields[0]):
        faults.append(Fault(True, path, number, f"{_EXPECTED}, found no tab: {line!r}"))
    else:
        return dict(zip(columns, fields))
    return None


def _times(fields, path, number, faults):
    """Onset and offset of a row, None and None where it has no such columns; None where they are at fault."""
    if "onset" not in fields:
        return None, None
    onset, offset = (
        read_seconds(fields[name], path, number, name, faults) for name in ("onset", "offset")
    )
    if onset is None or offset is None:
        return None
    if offset < onset:
        faults.append(
            Fault(
                True, path, number, f"the event ends ({offset:g} s) before it starts ({onset:g} s)"
            )
        )
        return None
    return onset, offset


def _labels(fields, path, number, faults):
    """The classes of a row; None where one is at fault."""
    labels = (
        re.split(r",(?! )", fields["event_labels"])
        if "event_labels" in fields
        else [fields["event_label"]]
    )
    for label in labels:
        if is_nothing(label):
            faults.append(Fault(True, path, number, names_no_class(label)))
            return None
        if len(label) > 1 and label[0] == label[-1] == '"':
            faults.append(
                Fault(True, path, number, f"the class {label} stands in quotes: write it without")
            )
            return None
    return labels


def _parse(path, number, line, header, faults):
    """A line as (file name, [(onset, offset, class)]); None where it is blank, or at fault."""
    fields = _fields(path, number, line, header, faults)
    if fields is None:
        return None
    name = fields.pop("filename")
    is_empty = is_nothing if "onset" in fields else is_blank
    if all(map(is_empty, fields.values())):
        return name, []
    times, labels = _times(fields, path, number, faults), _labels(fields, path, number, faults)
    return (
        None if times is None or labels is None else (name, [(*times, label) for label in labels])
    )


def _split_header(path, lines, faults):
    """(columns that the first line names or None, the lines after it).

    lines: (number, text) of each. A header of other columns is a fault.
    """
    number, line = lines[0]
    columns = tuple(field.strip().lower() for field in cut_blank(line.split("\t"), 1))
    if "filename" not in columns:
        return None, lines
    if sorted(columns) not in [sorted(header) for header in HEADERS]:
        message = f"{_EXPECTED} as the header, found {line!r}"
        faults.append(Fault(True, path, number, message))
        return columns, []
    return columns, lines[1:]


def read(path, faults):
    """Read a list: an EventList of what is right. Its faults go to `faults`."""
    path, names, rows, said, repeated = Path(path), {}, [], set(), []
    if path.is_dir():
        faults.append(
            Fault(
                True, path, None, "a folder; name a list, such as the tags.tsv or events.tsv in it"
            )
        )
        return EventList(path, names, rows, repeated)
    found = read_lines(path, faults)
    lines = [pair for pair in enumerate(found or [], 1) if pair[1].strip()]
    if found is not None and not lines:
        faults.append(
            Fault(True, path, None, f"is empty; {_EXPECTED} (a header alone: nothing was found)")
        )
    header, lines = _split_header(path, lines or [(1, "")], faults)
    for number, line in lines:
        parsed = _parse(path, number, line, header, faults)
        if parsed is None:
            continue
        clip = clip_key(parsed[0])
        names.setdefault(clip, parsed[0])
        found = [Row(clip, *what, number) for what in parsed[1]]
        if all(thing in said for thing in found or [clip]):
            repeated.append(number)
        rows += [row for row in dict.fromkeys(found) if row not in said]
        said.update(found or [clip])
    return EventList(path, names, rows, repeated)


def faults_of_events(event_list):
    """Faults of the rows that have no times, for a list of events."""
    return [
        Fault(True, event_list.path, row.line, "no onset and offset: a tag, not an event")
        for row in event_list.rows
        if row.onset is None
    ]
