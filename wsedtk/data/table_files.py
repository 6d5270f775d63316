"""Read text tables from files. `TableFile` reads a table in blocks of B rows.

It also collects the faults of the table.
"""

import codecs
import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.data.tables import cut_blank, no_seconds, normal, normal_all, parse_seconds

_BLOCK_BYTES = 1 << 22
# Columns that are not normalised, because many file systems compare paths byte by byte.
_EXACT = ("path",)
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MOST_SHOWN = 5  # the largest number of errors in the message of an InputError


@dataclasses.dataclass(frozen=True)
class Fault:
    """One fault of a file.

    Attributes
    ----------
    is_error : bool
        Whether the fault is an error. A file with an error can't be used. Other faults are
        warnings.
    path : Path
        The file.
    line : int or None
        The line, counted from 1. None if the fault concerns the whole file.
    message : str
        A text that says what is wrong. It may also say what to do.
    """

    is_error: bool
    path: Path
    line: int | None
    message: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{'error' if self.is_error else 'warning'}: {place}: {self.message}"


class Repeat(Fault):
    """A warning that a row is equal to an earlier row and is therefore ignored."""


class Rows(NamedTuple):
    """A block of rows: the line number of each row (B,), and the B texts of each column."""

    lines: npt.NDArray[np.int64]
    columns: tuple[Sequence[str], ...]


def raise_on_errors(
    faults: Iterable[Fault],
    remedy: str = "",
    *,
    if_many: str = "correct the errors above first",
) -> None:
    """Raise InputError if there are errors. The message lists the first errors.

    Parameters
    ----------
    faults : iterable of Fault
        The faults. Warnings are ignored.
    remedy : str, optional
        A text for the end of the message. It says what to do. By default, the message has no such
        text if it lists all errors.
    if_many : str, optional
        The text that replaces an empty `remedy` if the message does not list all errors.
    """
    errors = [str(fault).removeprefix("error: ") for fault in faults if fault.is_error]
    if not errors:
        return
    message = "\n".join(errors[:_MOST_SHOWN])
    num_more = len(errors) - _MOST_SHOWN
    if num_more > 0:
        message += f"\n... and {num_more} more: {remedy or if_many}"
    elif remedy:
        message += f"; {remedy}" if len(errors) == 1 else f"\n{remedy}"
    raise InputError(message)


def names_no_class(text: str) -> str:
    """Return the message for a row whose class is empty or `nan`."""
    found = repr(text) if text else "an empty field"
    remedy = "for a clip without tags or events, write only the file name"
    return f"expected a class, found {found}; {remedy}"


def ends_before_start(onset: float, offset: float) -> str:
    """Return the message for an event whose times, in seconds, are in the wrong order."""
    return f"the event ends ({offset:g} s) before it starts ({onset:g} s)"


class TableFile:
    """A text file that is read in blocks of lines, and the faults that were found in it.

    The file is UTF-8. Lines end in LF, CRLF or CR. Texts are normalised (see `tables.normal`),
    except for paths. `rows` reads a table with a header line. The case of the header is ignored.
    Tabs separate the columns, and there is no quoting. Blank lines, and blank fields after the last
    column, are ignored.

    Attributes
    ----------
    path : Path
    faults : list of Fault
        The faults that were found so far.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self.faults: list[Fault] = []

    def error(self, line: int | None, message: str) -> None:
        """Add an error. `line` is None if the error concerns the whole file."""
        self.faults.append(Fault(True, self.path, line, message))

    def warn(self, line: int | None, message: str) -> None:
        """Add a warning. `line` is None if the warning concerns the whole file."""
        self.faults.append(Fault(False, self.path, line, message))

    def warn_of_repeat(self, line: int, message: str) -> None:
        """Add a warning that a row is equal to an earlier row."""
        self.faults.append(Repeat(False, self.path, line, message))

    def sort_faults(self) -> None:
        """Sort the faults by line. Faults that concern the whole file come last."""
        self.faults.sort(key=lambda fault: fault.line or np.inf)

    def raise_errors(self, remedy: str = "") -> None:
        """Raise InputError if there are errors (see `raise_on_errors`)."""
        raise_on_errors(self.faults, remedy)

    def line_blocks(self, exact: bool = False) -> Iterator[list[str]]:
        """Yield lists of lines without line ends.

        The last line is the text after the last line end. It may be empty. If the file can't be
        read, is not UTF-8 or contains a NUL, an error is added, and the iteration ends.

        Parameters
        ----------
        exact : bool
            Whether to leave the texts unchanged. By default, they are normalised.
        """
        done = number = 0
        try:
            with open(self.path, "rb") as file:
                while True:
                    block = file.read(_BLOCK_BYTES) + file.readline()
                    text = block.decode()
                    if not done:
                        text = text.removeprefix("\ufeff")
                    if "\r" in text:
                        text = text.replace("\r\n", "\n").replace("\r", "\n")
                    lines = (text if exact else normal(text)).split("\n")
                    # A NUL is an error, because HDF5 and operating systems end a name at a NUL.
                    if b"\0" in block:
                        self._add_nul(block, number + 1, lines)
                        return
                    is_last = not block.endswith(b"\n")
                    yield lines if is_last else lines[:-1]
                    if is_last:
                        return
                    done += len(block)
                    number += len(lines) - 1
        except FileNotFoundError:
            self.error(None, "no such file")
        except UnicodeDecodeError as error:
            self._add_not_utf8(error, done)
        except OSError as error:
            self.error(None, f"can't be read: {error.strerror}")

    def count_lines(self) -> int:
        """Return an upper bound of the number of lines, or 0 if the path is not a regular file."""
        if not self.path.is_file():  # a pipe can be read only once
            return 0
        count = 0
        with contextlib.suppress(OSError), open(self.path, "rb") as file:
            while block := file.read(_BLOCK_BYTES):
                count += block.count(b"\n") + block.count(b"\r")
        return count + 1

    def _add_nul(self, block: bytes, number: int, lines: list[str]) -> None:
        """Add the error of a block that contains a NUL. The block begins at line `number`."""
        if 3 * block.count(b"\0") >= len(block):
            self.error(None, "is not UTF-8 text but probably UTF-16; save it as UTF-8")
            return
        line = next(i for i, line in enumerate(lines, number) if "\0" in line)
        self.error(line, f"contains the control character {chr(0)!r}; expected text")

    def _add_not_utf8(self, error: UnicodeDecodeError, start: int) -> None:
        """Add the error of a block that is not UTF-8. The block begins at byte `start`."""
        found = f" ({error.reason} at byte {start + error.start})"
        remedy = "save it as UTF-8"
        if start == 0 and error.object.startswith(b"\x1f\x8b"):
            remedy = "unpack it with gunzip"
        elif start == 0 and error.object.startswith(_UTF16):
            found, remedy = " but UTF-16", "save it as UTF-8"
        self.error(None, f"is not UTF-8 text{found}; {remedy}")

    def lines(self) -> list[str]:
        """Return the lines without line ends.

        If `line_blocks` adds an error, the list is empty. Otherwise it has at least one line.
        """
        num_faults = len(self.faults)
        lines = [line for block in self.line_blocks() for line in block]
        return lines if len(self.faults) == num_faults else []

    def numbered_lines(self) -> list[tuple[int, str]]:
        """Return the number, counted from 1, and the text of each line that is not blank."""
        return [(number, line) for number, line in enumerate(self.lines(), 1) if line.strip()]

    def seconds(self, line: int, column: str, text: str) -> float | None:
        """Return the time in a field (see `parse_seconds`).

        If the field is invalid, add an error and return None.
        """
        value = float(parse_seconds([text])[0])
        if value == value:
            return value
        self.error(line, no_seconds(column, text))
        return None

    def rows(
        self, columns: tuple[str, ...], optional: str | None = None, *, alone: bool = False
    ) -> Iterator[Rows]:
        """Yield the rows of a table in blocks. A line whose number of fields is wrong is an error.

        Parameters
        ----------
        columns : tuple of str
            The columns of the header, in order.
        optional : str, optional
            A further column that may be the last column of the header. A row may end before this
            column. The field of this column is then "".
        alone : bool
            Whether a row may have only the first field. The other fields are then "".
        """
        header = None
        number = 1
        num_faults = len(self.faults)
        for lines in self.line_blocks(exact=True):
            if header is None:
                num_blank = next((i for i, line in enumerate(lines) if line.strip()), len(lines))
                number, lines = number + num_blank, lines[num_blank:]
                if not lines:
                    continue
                header = _parse_header(lines[0], columns, optional)
                if header is None:
                    self._add_no_header(number, lines[0], columns, optional)
                    return
                number, lines = number + 1, lines[1:]
            block = self._split(lines, number, header, len(columns), alone)
            number += len(lines)
            if len(block.lines):
                yield block
        if header is None and len(self.faults) == num_faults:
            self._add_no_header(1, "", columns, optional)

    def _split(
        self, lines: list[str], number: int, header: tuple[str, ...], least: int, alone: bool
    ) -> Rows:
        """Split lines into the columns of a header. Rows are completed by `_complete`.

        `number` is the number of the first line.
        """
        width = len(header)
        numbers = np.arange(number, number + len(lines))
        has_width = (line.count("\t") == width - 1 and line.strip() != "" for line in lines)
        whole = np.fromiter(has_width, bool, len(lines))
        for i in np.flatnonzero(~whole).tolist():
            line = lines[i]
            if not line.strip():
                continue
            found = line.split("\t")
            fields = _complete(found, least, width, alone)
            whole[i] = len(fields) == width
            lines[i] = "\t".join(fields)
            if not whole[i]:
                self.error(
                    int(numbers[i]),
                    f"expected {width} tab-separated fields ({', '.join(header)}), "
                    f"found {len(found)}: {line!r}",
                )
        if not whole.all():
            lines, numbers = [lines[i] for i in np.flatnonzero(whole).tolist()], numbers[whole]
        # One list of all fields takes less time and memory than one list per row.
        fields = "\t".join(lines).split("\t") if lines else []
        columns = (
            fields[i::width] if name in _EXACT else normal_all(fields[i::width])
            for i, name in enumerate(header)
        )
        return Rows(numbers, tuple(columns))

    def _add_no_header(
        self, number: int, line: str, columns: tuple[str, ...], optional: str | None
    ) -> None:
        """Add the error of a table that does not begin with the expected header."""
        more = f"; the optional last column is {optional}" if optional else ""
        self.error(number, f"expected the header {'<TAB>'.join(columns)}, found {line!r}{more}")


def _parse_header(
    line: str, columns: tuple[str, ...], optional: str | None
) -> tuple[str, ...] | None:
    """Return the columns of a header line, or None if they are not the expected columns."""
    fields = [field.strip().lower() for field in normal(line).split("\t")]
    found = tuple(cut_blank(fields, len(columns)))
    if found == columns or (optional is not None and found == (*columns, optional)):
        return found
    return None


def _complete(fields: list[str], least: int, most: int, alone: bool) -> list[str]:
    """Remove blank fields at the end, and append "" for missing fields.

    The first `most` fields are not removed.

    A row is completed if it has at least `least` fields, or if `alone` is true and all its fields
    except the first are blank. Other rows keep their number of fields.
    """
    fields = cut_blank(fields, most)
    if least <= len(fields) or (alone and not any(map(str.strip, fields[1:]))):
        return fields + [""] * (most - len(fields))
    return fields
