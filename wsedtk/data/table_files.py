"""Text tables in files: read in blocks of rows, with the faults of each line."""

import codecs
import dataclasses
from pathlib import Path

import numpy as np

from wsedtk.core.errors import InputError
from wsedtk.data.tables import cut_blank, no_seconds, normal, normal_all, seconds

_BLOCK_BYTES = 1 << 22
_EXACT = ("path",)  # columns of what the file system tells apart byte by byte
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def names_no_class(text):
    """Return the message of a row whose class is empty or `nan`."""
    found = f", but {text!r}" if text else ""
    return f"names no class{found}: write one, or the file name alone for a clip without any"


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


def raise_on_errors(faults, rest):
    """Raise the first errors as an InputError; `rest` says what to do about more."""
    errors = [str(fault).removeprefix("error: ") for fault in faults if fault.is_error]
    if errors:
        more = f"\n... and {len(errors) - 5} more: {rest}" if len(errors) > 5 else ""
        raise InputError("\n".join(errors[:5]) + more)


def _not_text(block, number, lines):
    """Line and message of a fault: a block of bytes holds a NUL. `number`: its first line."""
    if 3 * block.count(b"\0") >= len(block):
        return None, "not UTF-8 text but UTF-16, it seems; save it as UTF-8"
    line = next(i for i, line in enumerate(lines, number) if "\0" in line)
    return line, f"holds the control character {chr(0)!r}: not a list of text"


def line_blocks(path, faults, exact=False):
    """Yield the lines of a text file without their ends, in lists; at least one line.

    They are in one Unicode form (see `normal`) unless `exact`. Where the file can't be read, a
    fault is added and nothing more is yielded.
    """
    done = number = 0
    try:
        with open(path, "rb") as file:
            while True:
                block = file.read(_BLOCK_BYTES) + file.readline()
                text = block.decode() if done else block.decode().removeprefix("\ufeff")
                if "\r" in text:
                    text = text.replace("\r\n", "\n").replace("\r", "\n")
                lines = (text if exact else normal(text)).split("\n")
                if b"\0" in block:  # which HDF5 and the system take for the end of a name
                    faults.append(Fault(True, path, *_not_text(block, number + 1, lines)))
                    return
                at_end = not block.endswith(b"\n")
                yield lines if at_end else lines[:-1]
                if at_end:
                    return
                done, number = done + len(block), number + len(lines) - 1
    except FileNotFoundError:
        faults.append(Fault(True, path, None, "no such file"))
    except UnicodeDecodeError as error:
        found, remedy = f" ({error.reason} at byte {done + error.start})", "save it as such"
        if not done and error.object.startswith(b"\x1f\x8b"):
            remedy = "unpack it with gunzip"
        elif not done and error.object.startswith(_UTF16):
            found, remedy = " but UTF-16", "save it as UTF-8"
        faults.append(Fault(True, path, None, f"not UTF-8 text{found}; {remedy}"))
    except OSError as error:
        faults.append(Fault(True, path, None, f"can't be read: {error.strerror}"))


def read_lines(path, faults):
    """The lines of a text file without their ends, at least one; None, and a fault, where it can't be read."""
    num_faults = len(faults)
    lines = [line for block in line_blocks(path, faults) for line in block]
    return lines if len(faults) == num_faults else None


def _read_header(line, columns, optional):
    """The columns of a header: `columns`, then `optional` if it is there; None if it has others."""
    fields = [field.strip().lower() for field in normal(line).split("\t")]
    found = tuple(cut_blank(fields, len(columns)))
    return found if found in (columns, (*columns, optional)) else None


def _mended(fields, least, most, alone):
    """The fields of a row, without blank ones after `most` and with blank ones for lacking ones."""
    fields = cut_blank(fields, most)
    may_lack = least <= len(fields) or (alone and not any(map(str.strip, fields[1:])))
    return fields + [""] * (most - len(fields)) if may_lack else fields


def read_rows(path, columns, faults, optional=None, alone=False):
    """Yield a table's rows in blocks: (line numbers (B,), a tuple of B texts for each column).

    optional: a column that may follow the others in the header; rows may lack it. alone: whether
    the first column may stand alone in a row. Faults go to the list.
    """
    number, least, header, num_faults = 1, len(columns), None, len(faults)
    for lines in line_blocks(path, faults, exact=True):
        if header is None:
            num_blank = next((i for i, line in enumerate(lines) if line.strip()), len(lines))
            number, lines = number + num_blank, lines[num_blank:]
            if not lines:
                continue
            header = _read_header(lines[0], columns, optional)
            if header is None:
                faults.append(_no_header(path, number, columns, optional, lines[0]))
                return
            columns, lines, number = header, lines[1:], number + 1
        rows = [line.split("\t") for line in lines]
        numbers = np.arange(number, number + len(rows))
        number += len(rows)
        whole = np.array([len(row) == len(columns) and row[0].strip() != "" for row in rows], bool)
        if not whole.all():
            for i in np.flatnonzero(~whole).tolist():
                num_found = len(rows[i])
                rows[i] = _mended(rows[i], least, len(columns), alone)
                is_blank = not lines[i].strip()
                whole[i] = len(rows[i]) == len(columns) and not is_blank
                if not whole[i] and not is_blank:
                    faults.append(
                        Fault(
                            True,
                            path,
                            int(numbers[i]),
                            f"expected {len(columns)} tab-separated fields "
                            f"({', '.join(columns)}), found {num_found}: {lines[i]!r}",
                        )
                    )
            rows, numbers = [rows[i] for i in np.flatnonzero(whole).tolist()], numbers[whole]
        if rows:
            yield (
                numbers,
                tuple(
                    column if name in _EXACT else normal_all(column)
                    for name, column in zip(columns, zip(*rows))
                ),
            )
    if header is None and len(faults) == num_faults:
        faults.append(_no_header(path, 1, columns, optional, ""))


def _no_header(path, number, columns, optional, line):
    """The fault of a table that begins with another line than its header."""
    more = f"; the column {optional} may follow" if optional else ""
    message = f"expected the header {'<TAB>'.join(columns)}, found {line!r}{more}"
    return Fault(True, path, number, message)


def read_seconds(text, path, line, name, faults):
    """A time from a table's field, see `seconds`, or None and a fault."""
    (value,) = seconds([text]).tolist()
    if value != value:
        faults.append(Fault(True, path, line, no_seconds(name, text)))
        return None
    return value
