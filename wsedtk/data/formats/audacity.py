"""Write and read Audacity labels: onset, offset and class, separated by tabs."""

import re
from collections.abc import Sequence
from pathlib import Path

from wsedtk.data.events import Event
from wsedtk.data.formats import FORMATS, EventFormat, Recording, one_field
from wsedtk.data.formats.annotations import Annotations, annotation, annotations, first_line
from wsedtk.data.table_files import TableFile

_TIME = r"\s*-?[0-9]+(?:[.,][0-9]*)?(?:[eE][-+]?[0-9]+)?\s*"
_LABEL = re.compile(rf"{_TIME}\t{_TIME}(?:\t.*)?")


@FORMATS.register("audacity")
class AudacityLabels(EventFormat):
    """The format of Audacity labels. Audacity imports them with File > Import > Labels.

    An empty file is a recording without events. A line that begins with a backslash contains the
    frequencies of the label in the line above. It is ignored.

    Source: https://manual.audacityteam.org/man/importing_and_exporting_labels.html
    """

    suffix = ".txt"
    holds_several = False
    by_event = True

    def text(self, recording: Recording, events: Sequence[Event]) -> str:
        """Return one line for each event."""
        return "".join(f"{e.onset:.6f}\t{e.offset:.6f}\t{one_field(e.label)}\n" for e in events)

    def recognises(self, beginning: str, suffix: str) -> bool:
        """Return whether the first line is a label, or a file *.txt is empty."""
        line = first_line(beginning)
        return bool(_LABEL.fullmatch(line)) if line else suffix == self.suffix

    def read(self, path: Path, chosen: Sequence[str] = ()) -> Annotations:
        """Read a file. See `EventFormat.read`."""
        table, rows = TableFile(path), []
        for number, line in table.numbered_lines():
            if line.startswith("\\"):
                continue
            onset, offset, label, *rest = [*line.split("\t"), "", ""]
            if not _LABEL.fullmatch(line):
                table.error(number, f"expected onset<TAB>offset<TAB>class, found {line!r}")
            elif any(map(str.strip, rest)):
                table.error(number, f"expected a class without tabs, found {line!r}")
            else:
                rows.append(annotation(table, number, (onset, offset), label))
        return annotations(rows, table)
