"""Tab-separated tables of text, read and written in blocks of rows, so that millions of rows are arrays and never objects at once.

B rows of a block. UTF-8, a header line in capitals or small letters, no quoting. Lines end in LF,
CRLF or CR. Blank lines are passed over, also before the header, and so are blank fields after the
last column. Names and classes are read in one Unicode form (see `normal`), paths as they are.
"""

import re
import unicodedata

import numpy as np

from wsedtk.core.atomic import writing
from wsedtk.data.clip_names import clip_key

BLOCK_ROWS = 1 << 16
_NOT_IN_TABLES = re.compile("[\t\r\n\0\ud800-\udfff]")


def unfit(texts):
    """The first of some texts that no table can hold; None where all fit."""
    if _NOT_IN_TABLES.search("".join(texts)):
        return next(text for text in texts if _NOT_IN_TABLES.search(text))
    return None


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
