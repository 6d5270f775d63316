"""Parse, format and look up the fields of text tables: names and times.

Tables may have millions of rows. Their columns are therefore arrays, and these are processed in
blocks, so that only the rows of one block are Python objects. `table_files` reads tables.

Sizes: B rows of a block, N names, M wanted names.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from wsedtk.core.atomic import writing
from wsedtk.core.paths import PathLike
from wsedtk.core.types import Booleans, Floats, Integers
from wsedtk.data.clip_names import clip_key

BLOCK_ROWS = 1 << 16
Names = npt.NDArray[np.str_]
Texts = np.ndarray[tuple[int, ...], np.dtype[np.str_] | np.dtypes.StringDType]
_NOT_IN_TABLES = re.compile("[\t\r\n\0\ud800-\udfff]")


def unfit(texts: Collection[str]) -> str | None:
    """Return the first text with a character that a table can't contain, or None.

    Such characters are tabs, line ends, NUL and surrogates. In a path that is not UTF-8, Python
    replaces the invalid bytes by surrogates.
    """
    if not _NOT_IN_TABLES.search("".join(texts)):  # one search is faster than one search per text
        return None
    return next(text for text in texts if _NOT_IN_TABLES.search(text))


def first(items: Sequence[object] | Texts, count: int = 3) -> str:
    """Return the first items as text for messages, such as 'a, b, c and 7 more'."""
    shown = ", ".join(str(i) for i in items[:count])
    return shown + (f" and {len(items) - count} more" if len(items) > count else "")


def normal(text: str) -> str:
    """Return a name or class in the Unicode form NFC.

    Unicode can represent one letter in several forms. In the form NFC, `é` is one character. In the
    form NFD, which file names on macOS can have, `é` is an `e` and an accent. Names and classes are
    normalised when they are read, so that they can be compared.
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def normal_all(texts: Sequence[str]) -> Sequence[str]:
    """Return texts in the Unicode form NFC (see `normal`)."""
    return texts if all(map(str.isascii, texts)) else tuple(map(normal, texts))


def stands_twice(what: str, name: str) -> str:
    """Return the message for a name or class that occurs twice.

    Two Unicode forms of one name look equal. For a name that is not ASCII, the message therefore
    says that the name may occur in two forms. `what` is the word for the name, such as "class".
    """
    message = f"the {what} {name!r} occurs twice"
    return message if name.isascii() else f"{message}, possibly in two Unicode forms"


def is_blank(text: str) -> bool:
    """Return whether a field is empty or contains only white space."""
    return not text.strip()


def is_nothing(text: str) -> bool:
    """Return whether a field is blank or `nan`.

    Programs that use pandas may write `nan` for an empty field.
    """
    return text.strip().lower() in ("", "nan")


def cut_blank(texts: list[str], count: int = 0) -> list[str]:
    """Return texts without the blank texts at the end. The first `count` texts are always kept."""
    end = len(texts)
    while end > count and not texts[end - 1].strip():
        end -= 1
    return texts[:end]


def _is_plain(text: str) -> bool:
    """Return whether the text of a number contains only ASCII characters, but no `_`.

    Surrounding spaces are ignored. `float` also accepts texts such as `1_0`, and digits of other
    scripts.
    """
    return text.strip().isascii() and "_" not in text


def _parse_number(text: str) -> float:
    try:
        return float(text) if _is_plain(text) else float("nan")
    except ValueError:
        return float("nan")


def round_seconds(values: Floats) -> npt.NDArray[np.float64]:
    """Round times in seconds to the microsecond. NaN and times >= 1e9 s are not changed."""
    is_near = values < 1e9  # numpy can't round the largest floats
    rounded: npt.NDArray[np.float64] = np.where(
        is_near, np.round(np.where(is_near, values, 0), 6), values
    )
    return rounded


def parse_seconds(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    """Parse B texts as times in seconds. Return the times (B,), rounded to the microsecond.

    The time is NaN if the text is not a number, or if it contains `_` or a character that is not
    ASCII. The time is also NaN if the rounded number is negative or not finite.
    """
    try:
        values = np.array(list(map(float, texts)), np.float64)
        # One check of all texts is faster than one check per text.
        if not _is_plain("".join(texts)) and not all(map(_is_plain, texts)):
            raise ValueError
    except ValueError:
        values = np.array([_parse_number(text) for text in texts], np.float64)
    values = round_seconds(values) + 0.0  # turns -0.0 into 0.0
    found: npt.NDArray[np.float64] = np.where((values >= 0) & (values < np.inf), values, np.nan)
    return found


def no_seconds(column: str, text: str) -> str:
    """Return the message for a field that is not a finite number of seconds >= 0."""
    value, cause = _parse_number(text), ""
    if np.isinf(value):
        cause = ", which is not finite"
    elif value < 0:
        cause = ", which is negative"
    elif not text.strip().isascii():
        cause = "; write it with the digits 0 to 9"
    return f"{column} must be a number of seconds, found {text!r}{cause}"


def format_seconds(value: float) -> str:
    """Return seconds as text, rounded to the microsecond, without trailing zeros."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def slices(length: int, rows: int | None = None) -> list[slice]:
    """Return slices of at most `rows` rows (default BLOCK_ROWS) that cover all `length` rows."""
    rows = rows or BLOCK_ROWS
    return [slice(start, min(start + rows, length)) for start in range(0, length, rows)]


class GrowingArray:
    """An array that blocks are appended to.

    A list of blocks, joined after the last block, would need twice the memory.

    Parameters
    ----------
    capacity : int
        The expected number of elements. Elements that are not filled take no memory.
    dtype : dtype
        The type. Fixed-width text becomes as wide as the widest block.
    """

    def __init__(self, capacity: int, dtype: npt.DTypeLike) -> None:
        self._values: npt.NDArray[Any] = np.empty(capacity, dtype)
        self._count = 0

    def append(self, block: npt.NDArray[Any]) -> None:
        """Append a block (B,)."""
        end = self._count + len(block)
        is_wider = block.dtype.itemsize > self._values.dtype.itemsize
        if is_wider or end > len(self._values):
            capacity = len(self._values)
            if end > capacity:
                capacity = max(end, 2 * capacity)
            larger = np.empty(capacity, block.dtype if is_wider else self._values.dtype)
            larger[: self._count] = self._values[: self._count]
            self._values = larger
        self._values[self._count : end] = block
        self._count = end

    def array(self) -> npt.NDArray[Any]:
        """Return the elements that were appended."""
        return self._values[: self._count]


def texts(column: Texts) -> Iterator[str]:
    """Yield the texts of an array (N,). The array is converted to Python objects block by block."""
    for part in slices(len(column)):
        yield from column[part].tolist()


def write_rows(
    path: PathLike, columns: Sequence[str], blocks: Iterable[Iterable[Sequence[str]]]
) -> None:
    """Write a table atomically.

    Parameters
    ----------
    path : path-like
    columns : sequence of str
        The columns of the header.
    blocks : iterable of iterables of rows
        A row is a sequence of texts.
    """
    with writing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        file.write("\t".join(columns) + "\n")
        for rows in blocks:
            file.writelines("\t".join(row) + "\n" for row in rows)


def find_clips(names: npt.ArrayLike, wanted: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the index (M,) of each wanted clip (M,) in the names (N,), or -1 if it is missing.

    If no name is identical to a wanted clip, a name with the same key is used (see
    `clip_names.clip_key`). A name that is used for one wanted clip is not used for another clip.
    """
    names, wanted = np.asarray(names, str), np.asarray(wanted, str)
    places = find(names, wanted, np.argsort(names))
    if (places >= 0).all():
        return places
    is_taken = np.isin(np.arange(len(names)), places)
    others: dict[str, int] = {}
    for i, name in enumerate(texts(names)):
        if not is_taken[i]:
            others.setdefault(clip_key(name), i)
    for i in np.flatnonzero(places < 0).tolist():
        places[i] = others.pop(clip_key(str(wanted[i])), -1)
    return places


def find(
    names: Names | Integers, wanted: npt.ArrayLike, order: Integers | None = None
) -> npt.NDArray[np.int64]:
    """Return the index (M,) of each wanted name or number (M,) in an array, or -1 if it is missing.

    Parameters
    ----------
    names : (N,) str or int
        The array in which names or numbers are looked up.
    wanted : (M,) str or int
    order : (N,) int, optional
        The indices that sort `names`. They are not needed if `names` is sorted.
    """
    wanted = np.asarray(wanted)
    found = np.full(len(wanted), -1)
    if not len(names):
        return found
    for part in slices(len(wanted)):
        # numpy copies `names` if the widths of the texts differ.
        narrow = wanted[part].astype(names.dtype, copy=False)
        places = np.searchsorted(names, narrow, sorter=order).clip(max=len(names) - 1)
        places = places if order is None else order[places]
        found[part] = np.where(names[places] == wanted[part], places, -1)
    return found


def repeats(*columns: npt.NDArray[np.generic]) -> Booleans:
    """Return a mask (B,) of the rows of a table that are equal to an earlier row."""
    order = np.lexsort(columns)  # a stable sort: equal rows keep their order
    is_repeat = np.zeros(len(order), bool)
    is_equal = [column[order[1:]] == column[order[:-1]] for column in columns]
    is_repeat[order[1:]] = np.all(is_equal, axis=0)
    return is_repeat
