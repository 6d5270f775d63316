"""Write and read Praat TextGrids: interval tiers and point tiers, in the long and short form."""

import bisect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from wsedtk.data.events import Event
from wsedtk.data.formats import FORMATS, EventFormat, Recording, one_field
from wsedtk.data.formats.annotations import (
    Annotations,
    annotation,
    annotations,
    chosen_fields,
    read_text,
    tiers,
)
from wsedtk.data.table_files import TableFile
from wsedtk.data.tables import format_seconds

# Praat reads texts in quotes, flags in angle brackets, and numbers between spaces. It ignores all
# other words, and comments that begin with an exclamation mark.
_TOKEN = re.compile(r'"(?:[^"]|"")*"|!.*|[^\s"]+')
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_KINDS = {"IntervalTier": 2, "TextTier": 1}  # the number of times of an interval and of a point
_BINARY = "ooBinaryFile"
_HEADER = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'


class _Token(NamedTuple):
    """A text without its quotes, a number or a flag, with its line counted from 1."""

    text: str
    is_text: bool
    line: int


class _Fault(Exception):
    """The file is not a TextGrid. The arguments are the line and the message."""


@FORMATS.register("praat")
class TextGrid(EventFormat):
    """The format of Praat TextGrids. Each class has an interval tier.

    When a file is read, the class is the text of an interval or point. Intervals and points without
    text are ignored.

    Source: https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html
    """

    suffix = ".TextGrid"
    header = _HEADER
    holds_several = False
    fields = "tiers"

    def text(self, recording: Recording, events: Sequence[Event]) -> str:
        """Return the tiers of a recording. Events that last 0 s are left out."""
        lasting = [event for event in events if event.offset > event.onset]
        end = max([recording.seconds, *(event.offset for event in lasting)])
        named = tiers(lasting) or [("events", [])]
        lines = [
            "xmin = 0",
            f"xmax = {_time(end)}",
            "tiers? <exists>",
            f"size = {len(named)}",
            "item []:",
        ]
        for number, (name, tier) in enumerate(named, 1):
            lines.append(f"    item [{number}]:")
            lines += [f"        {line}" for line in _tier_lines(name, tier, end)]
        return "\n".join(lines) + "\n"

    def recognises(self, beginning: str, suffix: str) -> bool:
        """Return whether the file begins like a TextGrid."""
        start = beginning.removeprefix("\ufeff").lstrip()
        is_praat = start.startswith(('File type = "oo', '"oo', _BINARY))
        return is_praat and "TextGrid" in start[:200]

    def read(self, path: Path, chosen: Sequence[str] = ()) -> Annotations:
        """Read a file in UTF-8 or UTF-16. See `EventFormat.read`."""
        table = TableFile(path)
        if _is_binary(path):
            table.error(None, "is a binary TextGrid; save it as a text file in Praat")
            return annotations([], table)
        text = read_text(table)
        if text is None:
            return annotations([], table)
        try:
            named = list(_read_tiers(_Tokens(text)))
        except _Fault as fault:
            table.error(*fault.args)
            return annotations([], table)
        names = list(dict.fromkeys(name for name, _ in named))
        kept = chosen_fields(table, chosen, names, "tier") if chosen else names
        rows = [
            annotation(table, line, (onset, offset), label)
            for name, marks in named
            if name in kept
            for onset, offset, label, line in marks
            if label
        ]
        return annotations(rows, table)


def _is_binary(path: Path) -> bool:
    """Return whether a file is a binary file of Praat."""
    try:
        with open(path, "rb") as file:
            return file.read(len(_BINARY)) == _BINARY.encode()
    except OSError:
        return False


def _time(seconds: float) -> str:
    return format_seconds(seconds) or "0"


def _quoted(text: str) -> str:
    return '"' + one_field(text).replace('"', '""') + '"'


def _tier_lines(name: str, tier: Sequence[Event], end: float) -> list[str]:
    """Return the lines of an interval tier. Intervals without text fill the gaps."""
    spans, last = [], 0.0
    for event in tier:
        if event.onset > last:
            spans.append((last, event.onset, ""))
        spans.append((event.onset, event.offset, event.label))
        last = event.offset
    if last < end or not spans:
        spans.append((last, end, ""))
    lines = [
        'class = "IntervalTier"',
        f"name = {_quoted(name)}",
        "xmin = 0",
        f"xmax = {_time(end)}",
        f"intervals: size = {len(spans)}",
    ]
    for number, (onset, offset, label) in enumerate(spans, 1):
        lines += [
            f"intervals [{number}]:",
            f"    xmin = {_time(onset)}",
            f"    xmax = {_time(offset)}",
            f"    text = {_quoted(label)}",
        ]
    return lines


class _Tokens:
    """The texts, numbers and flags of a file, in order."""

    def __init__(self, text: str) -> None:
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._tokens = self._split(text)
        self._line = 1

    def _split(self, text: str) -> Iterator[_Token]:
        for match in _TOKEN.finditer(text):
            token, line = match.group(), bisect.bisect_left(self._ends, match.start()) + 1
            if token.startswith('"'):
                yield _Token(token[1:-1].replace('""', '"'), True, line)
            elif _NUMBER.fullmatch(token) or (token[0] == "<" and token[-1] == ">"):
                yield _Token(token, False, line)

    def _next(self, expected: str) -> _Token:
        token = next(self._tokens, None)
        if token is None:
            raise _Fault(self._line, f"the file ends too early; expected {expected}")
        self._line = token.line
        return token

    def text(self, expected: str) -> _Token:
        """Return the next text."""
        token = self._next(expected)
        if not token.is_text:
            raise _Fault(token.line, f"expected {expected} in quotes, found {token.text!r}")
        return token

    def number(self, expected: str) -> str:
        """Return the next number, as text."""
        token = self._next(expected)
        if token.is_text or not _NUMBER.fullmatch(token.text):
            raise _Fault(token.line, f"expected {expected}, found {token.text!r}")
        return token.text

    def count(self, expected: str) -> int:
        """Return the next number, which must be a whole number."""
        text = self.number(expected)
        if not text.isdecimal():
            raise _Fault(self._line, f"expected {expected}, found {text}")
        return int(text)

    def flag(self) -> str:
        """Return the next flag, such as "<exists>"."""
        return self._next("<exists>").text


def _read_tiers(
    tokens: _Tokens,
) -> Iterator[tuple[str, list[tuple[str, str, str, int]]]]:
    """Yield the name of each tier, and its marks: onset, offset, text and line.

    Raises _Fault if the file is not a TextGrid.
    """
    tokens.text("the file type")
    kind = tokens.text("the class of the object")
    if kind.text != "TextGrid":
        raise _Fault(kind.line, f"expected a TextGrid, found {kind.text!r}")
    tokens.number("the start")
    tokens.number("the end")
    if tokens.flag() != "<exists>":
        return
    for _ in range(tokens.count("the number of tiers")):
        kind = tokens.text("IntervalTier or TextTier")
        if kind.text not in _KINDS:
            raise _Fault(kind.line, f"expected IntervalTier or TextTier, found {kind.text!r}")
        name = tokens.text("the name of the tier").text
        tokens.number("the start of the tier")
        tokens.number("the end of the tier")
        marks = []
        for _ in range(tokens.count("the number of intervals or points")):
            times = [tokens.number("a time") for _ in range(_KINDS[kind.text])]
            label = tokens.text("a text")
            marks.append((times[0], times[-1], " ".join(label.text.split()), label.line))
        yield name, marks
