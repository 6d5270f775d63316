"""Define the content of annotation files, and read the text and the fields of these files."""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence

from wsedtk.core.paths import PathLike
from wsedtk.data.events import Event
from wsedtk.data.table_files import Fault, TableFile, ends_before_start
from wsedtk.data.tables import is_blank, normal

_BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
_BEGINNING_BYTES = 4096
NO_CLASS = "the annotation has no class"
# The states of an event in a review table. See `formats.review`.
ACCEPTED, REJECTED, UNREVIEWED = STATUSES = ("accepted", "rejected", "unreviewed")


@dataclasses.dataclass(frozen=True)
class Annotation:
    """An annotated sound of a recording.

    Attributes
    ----------
    recording : str
        The name of the recording in the file, or "" if the file does not name the recording.
    onset, offset : float or None
        The times in seconds from the start of the recording. They are equal for a point in time.
        None means that the sound occurs somewhere in the recording.
    label : str
        The class.
    line : int
        The line of the file, counted from 1.
    score : float or None
        The score of a detected event. None if the file contains no scores.
    status : str
        What a review found: ACCEPTED, REJECTED or UNREVIEWED. "" in files that are no review
        tables: these annotations count as accepted.
    """

    recording: str
    onset: float | None
    offset: float | None
    label: str
    line: int
    score: float | None = None
    status: str = ""


@dataclasses.dataclass(frozen=True)
class Annotations:
    """The content of an annotation file.

    Attributes
    ----------
    rows : sequence of Annotation
        The annotations, in the order of the file.
    recordings : sequence of str
        The names of the recordings in the file, including recordings without annotations. Empty if
        the file does not name its recording.
    faults : sequence of Fault
        The faults of the file. A file with an error can't be used.
    """

    rows: Sequence[Annotation]
    recordings: Sequence[str]
    faults: Sequence[Fault]


def annotations(
    rows: Iterable[Annotation | None], table: TableFile, recordings: Iterable[str] = ()
) -> Annotations:
    """Return the content of a file that was read with a TableFile.

    Parameters
    ----------
    rows : iterable of Annotation or None
        None stands for a faulty annotation, which is left out.
    table : TableFile
        The file, with its faults.
    recordings : iterable of str
        The names of recordings without annotations. The names in the rows are added.
    """
    found = [row for row in rows if row is not None]
    names = dict.fromkeys([*recordings, *(row.recording for row in found)])
    return Annotations(found, [name for name in names if name], table.faults)


def beginning(path: PathLike) -> str:
    """Return the beginning of a text file.

    Bytes that are not text become U+FFFD. If the file can't be read, the result is "".
    """
    try:
        with open(path, "rb") as file:
            content = file.read(_BEGINNING_BYTES)
    except OSError:
        return ""
    return content.decode(_encoding(content), errors="replace")


def _encoding(content: bytes) -> str:
    """Return the encoding of a text that may begin with a byte order mark."""
    return next((name for bom, name in _BOMS.items() if content.startswith(bom)), "utf-8")


def read_text(table: TableFile) -> str | None:
    """Return the text of a file in UTF-8, or in UTF-16 with a byte order mark.

    Lines end in LF. If the file can't be read, an error is added to the table, and None is
    returned.
    """
    try:
        content = table.path.read_bytes()
        text = content.decode(_encoding(content))
    except FileNotFoundError:
        table.error(None, "no such file")
    except UnicodeDecodeError as error:
        found = f"({error.reason} at byte {error.start})"
        table.error(None, f"is not UTF-8 or UTF-16 text {found}; save it as UTF-8")
    except OSError as error:
        table.error(None, f"can't be read: {error.strerror}")
    else:
        return normal(text.replace("\r\n", "\n").replace("\r", "\n"))
    return None


def first_line(text: str) -> str:
    """Return the first line of a text that is not blank, or "" if there is none."""
    return next((line for line in text.splitlines() if line.strip()), "")


def seconds(table: TableFile, line: int, column: str, text: str) -> float | None:
    """Return the time in a field. The decimal separator may be a comma.

    If the field is invalid, an error is added to the table, and None is returned.
    """
    if text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    return table.seconds(line, column, text)


def score_of(text: str) -> float | None:
    """Return the score in a field. None if the field is empty or is not a finite number."""
    try:
        score = float(text)
    except ValueError:
        return None
    return score if math.isfinite(score) else None


def annotation(
    table: TableFile, line: int, times: tuple[str, str], label: str, recording: str = ""
) -> Annotation | None:
    """Return an annotation whose onset, offset and class are given as texts.

    If a text is invalid, an error is added to the table, and None is returned.
    """
    onset, offset = (
        seconds(table, line, name, text) for name, text in zip(("onset", "offset"), times)
    )
    if onset is None or offset is None:
        return None
    if offset < onset:
        table.error(line, ends_before_start(onset, offset))
        return None
    if is_blank(label):
        table.error(line, f"{NO_CLASS}; write the class, or remove the line")
        return None
    return Annotation(recording, onset, offset, normal(label.strip()), line)


def tiers(events: Sequence[Event]) -> list[tuple[str, list[Event]]]:
    """Return events in tiers. Events of a tier have the same class and do not overlap.

    Returns
    -------
    list of (str, list of Event)
        The name and the events of each tier. The first tier of a class has the name of the class.
        If events of the class overlap, the other tiers are numbered from 2, such as "dog 2".
    """
    found: dict[str, list[list[Event]]] = {}
    for event in sorted(events, key=lambda event: (event.onset, event.offset)):
        of_class = found.setdefault(event.label, [])
        free = [tier for tier in of_class if tier[-1].offset <= event.onset]
        if free:
            free[0].append(event)
        else:
            of_class.append([event])
    named: list[tuple[str, list[Event]]] = []
    names = set(found)
    for label, of_class in sorted(found.items()):
        named.append((label, of_class[0]))
        for tier in of_class[1:]:
            name = next(f"{label} {n}" for n in itertools.count(2) if f"{label} {n}" not in names)
            names.add(name)
            named.append((name, tier))
    return named


def chosen_fields(
    table: TableFile, chosen: Sequence[str], found: Sequence[str], what: str
) -> list[str]:
    """Return those names of chosen tiers or columns that a file has.

    If the file has none of them, an error is added to the table. Letter case is ignored.

    Parameters
    ----------
    table : TableFile
    chosen : sequence of str
        The names that the user chose.
    found : sequence of str
        The names of the tiers or columns of the file.
    what : str
        "tier" or "column".
    """
    wanted = {name.strip().lower() for name in chosen}
    kept = [name for name in found if name.strip().lower() in wanted]
    if not kept:
        names = ", ".join(map(repr, found)) or "none"
        table.error(None, f"has no {what} {' or '.join(map(repr, chosen))}; found: {names}")
    return kept
