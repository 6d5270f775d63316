"""Tab-separated tables of text, read and written in blocks of rows, so that millions of rows are arrays and never objects at once.

B rows of a block. UTF-8, a header line, no quoting; lines end in LF or CRLF, blank ones are passed over.
"""

import dataclasses
import re
from pathlib import Path

import numpy as np

from wsedtk.atomic import writing
from wsedtk.clip_names import clip_key
from wsedtk.errors import InputError

BLOCK_ROWS = 1 << 16
LONGEST_SECONDS = 86400.0  # of anything
_BLOCK_BYTES = 1 << 22
_NOT_IN_TABLES = re.compile("[\t\r\n\0\ud800-\udfff]")


@dataclasses.dataclass(frozen=True)
class Fault:
    """One thing wrong with a table. An error stops every stage; a warning is only told."""

    is_error: bool
    path: Path
    line: int | None
    message: str

    def __str__(self):
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{'error' if self.is_error else 'warning'}: {place}: {self.message}"


def unfit(texts):
    """The first of some texts that no table can hold; None where all fit."""
    if _NOT_IN_TABLES.search("".join(texts)):
        return next(text for text in texts if _NOT_IN_TABLES.search(text))
    return None


def raise_on_errors(faults, rest):
    """Raise the first errors as an InputError; `rest` says what to do about more."""
    errors = [str(fault).removeprefix("error: ") for fault in faults if fault.is_error]
    if errors:
        more = f"\n... and {len(errors) - 5} more: {rest}" if len(errors) > 5 else ""
        raise InputError("\n".join(errors[:5]) + more)


def first(items, count=3):
    """'a, b, c and 7 more' of a list of names, for messages."""
    shown = ", ".join(str(i) for i in items[:count])
    return shown + (f" and {len(items) - count} more" if len(items) > count else "")


def line_blocks(path, faults):
    """Yield the lines of a text file without their ends, in lists; at least one line. A fault, and no more, where it can't be read."""
    done = number = 0
    try:
        with open(path, "rb") as file:
            while True:
                block = file.read(_BLOCK_BYTES) + file.readline()
                text = block.decode() if done else block.decode().removeprefix("\ufeff")
                lines = [line.removesuffix("\r") for line in text.split("\n")]
                if b"\0" in block:  # which HDF5 and the system take for the end of a name
                    line = number + block.count(b"\n", 0, block.index(b"\0")) + 1
                    faults.append(Fault(True, path, line, f"holds the control character {chr(0)!r}: not a list of text"))
                    return
                at_end = not block.endswith(b"\n")
                yield lines if at_end else lines[:-1]
                if at_end:
                    return
                done, number = done + len(block), number + len(lines) - 1
    except FileNotFoundError:
        faults.append(Fault(True, path, None, "no such file"))
    except UnicodeDecodeError as error:
        remedy = "unpack it with gunzip" if not done and error.object.startswith(b"\x1f\x8b") else "save it as such"
        faults.append(Fault(True, path, None, f"not UTF-8 text ({error.reason} at byte {done + error.start}); {remedy}"))
    except OSError as error:
        faults.append(Fault(True, path, None, f"can't be read: {error.strerror}"))


def read_lines(path, faults):
    """The lines of a text file without their ends, at least one; None, and a fault, where it can't be read."""
    num_faults = len(faults)
    lines = [line for block in line_blocks(path, faults) for line in block]
    return lines if len(faults) == num_faults else None


def read_rows(path, columns, faults):
    """Yield a table's rows in blocks: (line numbers (B,), a tuple of B texts for each column). Faults go to the list."""
    number = 1
    for lines in line_blocks(path, faults):
        if number == 1:
            if tuple(lines[0].split("\t")) != columns:
                faults.append(Fault(True, path, 1, f"expected the header {'<TAB>'.join(columns)}, found {lines[0]!r}"))
                return
            lines, number = lines[1:], 2
        rows = [line.split("\t") for line in lines]
        numbers = np.arange(number, number + len(rows))
        number += len(rows)
        whole = np.array([len(row) == len(columns) for row in rows], bool)
        if not whole.all():
            for i in np.flatnonzero(~whole).tolist():
                if lines[i]:
                    faults.append(Fault(True, path, int(numbers[i]), f"expected {len(columns)} tab-separated fields "
                                                                     f"({', '.join(columns)}), found {len(rows[i])}: {lines[i]!r}"))
            rows, numbers = [row for row in rows if len(row) == len(columns)], numbers[whole]
        if rows:
            yield numbers, tuple(zip(*rows))


def _number(text):
    try:
        return float(text.replace("_", "?"))  # which Python would take for 10 in 1_0
    except ValueError:
        return float("nan")


def seconds(texts):
    """Numbers (B,) of texts; NaN for what is not finite and >= 0."""
    try:
        values = np.array([float(text) for text in texts], np.float64)
        if any("_" in text for text in texts):
            raise ValueError
    except ValueError:
        values = np.array([_number(text) for text in texts], np.float64)
    return np.where((values >= 0) & (values < np.inf), values, np.nan)


def read_seconds(text, path, line, name, faults):
    """A finite number >= 0 from a table's field, or None and a fault."""
    (value,) = seconds([text]).tolist()
    if value != value:
        faults.append(Fault(True, path, line, f"{name} must be a number of seconds, found {text!r}"))
        return None
    return value


def format_seconds(value):
    """Seconds as text, to the microsecond, without trailing zeros."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def slices(length, rows=None):
    """Slices of at most `rows` (BLOCK_ROWS) that go through `length` rows in order."""
    rows = rows or BLOCK_ROWS
    return [slice(start, min(start + rows, length)) for start in range(0, length, rows)]


def texts(column):
    """Yield the texts of an array (N,), a block of them at a time being Python objects."""
    for part in slices(len(column)):
        yield from column[part].tolist()


def write_rows(path, columns, blocks):
    """Write a table, atomically. blocks: iterables of rows of text."""
    with writing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        file.write("\t".join(columns) + "\n")
        for rows in blocks:
            file.writelines("\t".join(row) + "\n" for row in rows)


def find_clips(names, wanted):
    """Return the place of each wanted clip (M,) among names (N,) in any order, -1 where it is not.

    Where no name is the same, one is taken that is another way to write it: see `clip_key`.
    """
    names, wanted = np.asarray(names, str), np.asarray(wanted, str)
    places = find(names, wanted, np.argsort(names))
    if (places >= 0).all():
        return places
    is_taken = np.isin(np.arange(len(names)), places)
    others = {}
    for i, name in enumerate(texts(names)):
        if not is_taken[i]:
            others.setdefault(clip_key(name), i)
    for i in np.flatnonzero(places < 0).tolist():
        places[i] = others.pop(clip_key(str(wanted[i])), -1)
    return places


def find(names, wanted, order=None):
    """The place of each wanted name (M,) among names (N,), -1 where it is not. order: what sorts the names; None: they are sorted."""
    wanted = np.asarray(wanted)
    if not len(names) or not len(wanted):
        return np.full(len(wanted), -1)
    narrow = wanted.astype(names.dtype)  # of another width numpy would copy `names`
    places = np.searchsorted(names, narrow, sorter=order).clip(max=len(names) - 1)
    places = places if order is None else order[places]
    return np.where(names[places] == wanted, places, -1)
