"""Write and read review tables: events with scores, and with the decisions of a reviewer."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from wsedtk.data.events import Event
from wsedtk.data.formats import FORMATS, EventFormat, Recording, one_field
from wsedtk.data.formats.annotations import (
    STATUSES,
    UNREVIEWED,
    Annotation,
    Annotations,
    annotation,
    annotations,
    first_line,
    score_of,
)
from wsedtk.data.table_files import TableFile

COLUMNS = ("filename", "onset", "offset", "event_label", "score", "status")


@FORMATS.register("review")
class ReviewTable(EventFormat):
    """The format of the tables that the pages of `wsedtk review` save.

    The status of an event is `accepted`, `rejected` or `unreviewed`. An event with a new class or
    new times is `accepted`. Events that the reviewer has added have no score. Fields are separated
    by tabs. When a file is read, a row that contains only a file name is a recording without
    events. `text` writes all events as `unreviewed`.
    """

    suffix = ".review.tsv"
    header = "\t".join(COLUMNS) + "\n"

    def text(self, recording: Recording, events: Sequence[Event]) -> str:
        """Return one row for each event."""
        name = one_field(recording.name)
        return "".join(
            f"{name}\t{e.onset:.3f}\t{e.offset:.3f}\t{one_field(e.label)}\t{e.score:.4f}"
            f"\t{UNREVIEWED}\n"
            for e in events
        )

    def recognises(self, beginning: str, suffix: str) -> bool:
        """Return whether the first line is the header of a review table."""
        fields = [field.strip().lower() for field in first_line(beginning).split("\t")]
        return tuple(fields) == COLUMNS

    def read(self, path: Path, chosen: Sequence[str] = ()) -> Annotations:
        """Read a file. See `EventFormat.read`."""
        table, names = TableFile(path), []
        found: list[Annotation | None] = []
        for block in table.rows(COLUMNS, alone=True):
            for number, *fields in zip(block.lines.tolist(), *block.columns):
                name, *others = map(str.strip, fields)
                if not name:
                    table.error(number, "the file name is missing")
                    continue
                names.append(name)
                if any(others):
                    found.append(_parse(table, number, name, others))
        return annotations(found, table, names)


def _parse(table: TableFile, line: int, name: str, fields: list[str]) -> Annotation | None:
    """Return the event of a row: onset, offset, class, score and status. None if it is faulty."""
    onset, offset, label, score, status = fields
    if status not in STATUSES:
        table.error(line, f"expected the status {', '.join(STATUSES)}; found {status!r}")
        return None
    if score and score_of(score) is None:
        table.error(line, f"expected a score or an empty field; found {score!r}")
        return None
    found = annotation(table, line, (onset, offset), label, name)
    if found is None:
        return None
    return dataclasses.replace(found, score=score_of(score), status=status)
