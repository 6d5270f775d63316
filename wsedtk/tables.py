"""Tab-separated tables of text, read and written in blocks of rows, so that millions of rows are arrays and never objects at once.

B rows of a block. UTF-8, a header line in capitals or small letters, no quoting. Lines end in LF,
CRLF or CR. Blank lines are passed over, also before the header, and so are blank fields after the
last column. Names and classes are read in one Unicode form (see `normal`), paths as they are.
"""

import codecs
import dataclasses
import re
import unicodedata
from pathlib import Path

import numpy as np

from wsedtk.atomic import writing
from wsedtk.clip_names import clip_key
from wsedtk.errors import InputError

BLOCK_ROWS = 1 << 16
_BLOCK_BYTES = 1 << 22
_NOT_IN_TABLES = re.compile("[\t\r\n\0\ud800-\udfff]")
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


def normal(text):
    """A name or a class in Unicode's form NFC.

    One letter may be stored in several ways: `é` as one character, or (NFD, as on macOS) as `e` and
    an accent. Names and classes are brought into one form where they are read, to be compared.
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def normal_all(texts):
    """A list or tuple of texts, each as `normal` gives it."""
    return texts if all(map(str.isascii, texts)) else tuple(map(normal, texts))


def stands_twice(what, name):
    """The message that a name or class stands twice, which of two Unicode forms can't be seen."""
    message = f"the {what} {name!r} stands twice"
    return message if name.isascii() else f"{message}, maybe in two Unicode forms"


def is_blank(text):
    """Whether a field is empty."""
    return not text.strip()


def is_nothing(text):
    """Whether a field of a row with times is empty, or the `nan` that pandas writes for that."""
    return text.strip().lower() in ("", "nan")


def cut_blank(texts, count=0):
    """A list of fields or lines without the blank ones at its end; the first `count` stay."""
    end = len(texts)
    while end > count and not texts[end - 1].strip():
        end -= 1
    return texts[:end]


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
                    faults.append(Fault(True, path, int(numbers[i]),
                                        f"expected {len(columns)} tab-separated fields "
                                        f"({', '.join(columns)}), found {num_found}: {lines[i]!r}"))
            rows, numbers = [rows[i] for i in np.flatnonzero(whole).tolist()], numbers[whole]
        if rows:
            yield numbers, tuple(column if name in _EXACT else normal_all(column)
                                 for name, column in zip(columns, zip(*rows)))
    if header is None and len(faults) == num_faults:
        faults.append(_no_header(path, 1, columns, optional, ""))


def _no_header(path, number, columns, optional, line):
    """The fault of a table that begins with another line than its header."""
    more = f"; the column {optional} may follow" if optional else ""
    message = f"expected the header {'<TAB>'.join(columns)}, found {line!r}{more}"
    return Fault(True, path, number, message)


def _is_plain(text):
    """Whether a number is in plain digits; Python takes 1_0 for 10, and digits of any script."""
    return text.strip().isascii() and "_" not in text


def _number(text):
    try:
        return float(text) if _is_plain(text) else float("nan")
    except ValueError:
        return float("nan")


def round_seconds(values):
    """Round times (B,) to the microsecond, so that 3.0000000000000004 s is 3 s. NaN stays NaN."""
    is_near = values < 1e9  # numpy can't round the largest floats
    return np.where(is_near, np.round(np.where(is_near, values, 0), 6), values)


def seconds(texts):
    """Times (B,) of texts, rounded to the microsecond; NaN for what then is not finite and >= 0."""
    try:
        values = np.array([float(text) for text in texts], np.float64)
        if not all(map(_is_plain, texts)):
            raise ValueError
    except ValueError:
        values = np.array([_number(text) for text in texts], np.float64)
    values = round_seconds(values) + 0.0  # of -0.0 this makes 0.0
    return np.where((values >= 0) & (values < np.inf), values, np.nan)


def no_seconds(name, text):
    """What is wrong with a text that is no finite number >= 0, in a column `name` of seconds."""
    value, cause = _number(text), ""
    if np.isinf(value):
        cause = ", which is not finite"
    elif value < 0:
        cause = ", which is negative"
    elif not text.strip().isascii():
        cause = "; write it with the digits 0 to 9"
    return f"{name} must be a number of seconds, found {text!r}{cause}"


def read_seconds(text, path, line, name, faults):
    """A time from a table's field, see `seconds`, or None and a fault."""
    (value,) = seconds([text]).tolist()
    if value != value:
        faults.append(Fault(True, path, line, no_seconds(name, text)))
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


def repeats(*columns):
    """Which rows (B,) of columns (B,) say what an earlier row says, as booleans (B,)."""
    order = np.lexsort(columns)  # equal rows stay in their order
    is_repeat = np.zeros(len(order), bool)
    is_equal = [column[order[1:]] == column[order[:-1]] for column in columns]
    is_repeat[order[1:]] = np.all(is_equal, axis=0)
    return is_repeat
