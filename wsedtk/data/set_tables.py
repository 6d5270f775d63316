"""Read the classes, clips and tags of a data directory or a decoded folder (see `datadir`).

Each reader takes a `TableFile`, which collects the faults. Faulty rows are left out, except for
clips whose duration is faulty or whose file name is empty.

Sizes: N clips, M tags, B rows of a block.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsedtk.core.config import nearest
from wsedtk.core.errors import InputError
from wsedtk.core.types import Booleans, Integers
from wsedtk.data.clip_names import LONGEST_SECONDS
from wsedtk.data.table_files import TableFile, names_no_class
from wsedtk.data.tables import (
    GrowingArray,
    Names,
    Texts,
    find,
    is_blank,
    is_nothing,
    no_seconds,
    parse_seconds,
    stands_twice,
)

COLUMNS = {
    "clips.tsv": ("filename", "path", "duration"),
    "tags.tsv": ("filename", "event_label"),
    "events.tsv": ("filename", "onset", "offset", "event_label"),
}
DECODED_COLUMNS = ("filename", "duration")  # the columns of the clips.tsv of a decoded folder
GROUP = "group"  # the optional last column of clips.tsv
# The type of paths and groups: text of variable width. File names are text of a fixed width,
# because numpy sorts and searches it faster.
TEXT = np.dtypes.StringDType()
# Error messages suggest a known class for at most this number of unknown classes, because the
# search for the most similar class is slow.
_MOST_SUGGESTIONS = 100


class Clips(NamedTuple):
    """The clips of a clips.tsv, sorted by file name. Each field is a column (N,).

    Paths are absolute, or "" for a clip without audio.
    """

    filenames: Names
    paths: Texts
    durations: npt.NDArray[np.float64]
    groups: Texts


class Tags(NamedTuple):
    """The clip (M,) and the class (M,) of each tag, as indices.

    Tags are sorted by clip, then by class.
    """

    clip: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]


NO_TAGS = Tags(np.array([], np.int64), np.array([], np.int64))


def path_array(paths: Sequence[str]) -> Texts:
    """Return paths (N,) as an array.

    Raises
    ------
    InputError
        If a path is not UTF-8.
    """
    try:
        return np.array(paths, TEXT)
    except UnicodeEncodeError as error:
        raise InputError(
            f"{error.object!r}: the path is not UTF-8, so a data directory can't contain it; "
            "rename the file or folder"
        ) from None


def _absolute(folder: Path, paths: Sequence[str]) -> Texts:
    """Return paths (B,) as absolute paths. Relative paths in clips.tsv start from the folder."""
    base = str(folder.absolute())
    return path_array([os.path.join(base, path) if path else "" for path in paths])


def read_labels(table: TableFile) -> list[str]:
    """Return the classes of a labels.txt, in order."""
    labels: list[str] = []
    for number, line in table.numbered_lines():
        label = line.rstrip("\t")
        if "\t" in label:
            table.error(number, f"expected a class without tabs, found {label!r}")
        elif label in labels:
            table.error(number, stands_twice("class", label))
        else:
            labels.append(label)
            if label != label.strip():
                table.warn(number, f"the class {label!r} begins or ends with a space")
    if not labels and not table.faults:
        table.error(None, "contains no classes; write one class per line")
    return labels


def read_clips(
    table: TableFile, columns: tuple[str, ...] = COLUMNS["clips.tsv"], optional: str | None = GROUP
) -> Clips:
    """Return the clips of a clips.tsv.

    A clip with a faulty duration is kept. Otherwise, its tags would be reported as errors, too.

    Parameters
    ----------
    table : TableFile
    columns : tuple of str
        The columns of the table: `filename`, `duration`, and optionally `path`.
    optional : str, optional
        An optional last column of the table.
    """
    num_lines = table.count_lines()
    found = [GrowingArray(num_lines, dtype) for dtype in ("U1", TEXT, np.float64, TEXT, np.int64)]
    for lines, texts in table.rows(columns, optional):
        block = dict(zip((*columns, GROUP), texts))
        names, durations = np.array(block["filename"]), parse_seconds(block["duration"])
        _check_clips(table, lines, names, durations, block["duration"])
        groups: Texts = np.zeros(len(names), TEXT)
        paths = groups
        if "path" in block:
            paths = _absolute(table.path.parent, block["path"])
        if GROUP in block:
            groups = np.array(["" if is_nothing(g) else g.strip() for g in block[GROUP]], TEXT)
        for column, values in zip(found, (names, paths, durations, groups, lines)):
            column.append(values)
    columns_found = [column.array() for column in found]
    names = columns_found[0]
    if not len(names) and not table.faults:
        table.error(None, "contains no clips; write one clip per line")
    if not (names[1:] > names[:-1]).all():
        order = np.argsort(names, kind="stable")
        columns_found = [column[order] for column in columns_found]
        names, lines = columns_found[0], columns_found[-1]
        is_repeat = np.append(False, names[1:] == names[:-1])
        for i in np.flatnonzero(is_repeat & (names != "")).tolist():
            message = f"{stands_twice('filename', str(names[i]))}; every clip needs its own name"
            table.error(int(lines[i]), message)
        columns_found = [column[~is_repeat] for column in columns_found]
    table.sort_faults()
    return Clips(*columns_found[:4])


def _check_clips(
    table: TableFile,
    lines: Integers,
    names: Names,
    durations: npt.NDArray[np.float64],
    texts: Sequence[str],
) -> None:
    """Add the errors of file names (B,) and durations (B,) to the table.

    `texts` contains the durations as they are written in the table.
    """
    is_right = (durations > 0) & (durations <= LONGEST_SECONDS) & (names != "")
    for i in np.flatnonzero(~is_right).tolist():
        line, name = int(lines[i]), str(names[i])
        if np.isnan(durations[i]):
            table.error(line, no_seconds("duration", texts[i]))
        if name == "":
            table.error(line, "the filename is empty")
        elif durations[i] == 0:
            table.error(line, f"duration of {name!r} is 0; expected more than 0 s")
        elif durations[i] > LONGEST_SECONDS:
            table.error(
                line,
                f"duration of {name!r} is {durations[i]:g} s; expected at most "
                f"{LONGEST_SECONDS:g} s",
            )


def rows_without_any(
    is_empty: Callable[[str], bool], labels: Sequence[str], *columns: Sequence[str]
) -> Booleans:
    """Return a mask (B,) of the rows that have only a file name.

    Such a row is a clip without tags or events.
    """
    if not any(map(is_empty, set(labels))):
        return np.zeros(len(labels), bool)
    return np.array([all(map(is_empty, row)) for row in zip(labels, *columns)])


class _Names:
    """Names that rows may refer to. Surrounding spaces are ignored if no name matches exactly."""

    def __init__(self, names: npt.ArrayLike) -> None:
        self.names: Names = np.asarray(names, str)
        # The indices that sort the names, or None if the names are sorted.
        self._order: Integers | None = None
        if not (self.names[1:] >= self.names[:-1]).all():
            self._order = np.argsort(self.names, kind="stable")
        # The names without spaces around them, and the indices that sort these names.
        self._stripped: tuple[Names, Integers] | None = None

    def places(self, wanted: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the index (B,) of each wanted name (B,), or -1 if it is missing."""
        wanted = np.asarray(wanted, str)
        places = find(self.names, wanted, self._order)
        missing = np.flatnonzero(places < 0)
        if len(missing):
            if self._stripped is None:
                stripped: Names = np.strings.strip(self.names)
                self._stripped = stripped, np.argsort(stripped, kind="stable")
            names, order = self._stripped
            places[missing] = find(names, np.strings.strip(wanted[missing]), order)
        return places


def _places_of_repeated(names: _Names, wanted: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return `names.places(wanted)`. Each text is looked up once, however often it occurs."""
    number_of = {text: number for number, text in enumerate(dict.fromkeys(wanted))}
    numbers = np.fromiter(map(number_of.__getitem__, wanted), np.int64, len(wanted))
    return names.places(list(number_of))[numbers]


class RowNames:
    """The clips and classes that the rows of a tags.tsv or events.tsv may refer to.

    Parameters
    ----------
    table : TableFile
        The table. An error is added to it for each row whose clip or class is unknown.
    what : str
        The word for a row in messages: "tag" or "event".
    filenames : (N,) str
    labels : list of str
    """

    def __init__(self, table: TableFile, what: str, filenames: Names, labels: list[str]) -> None:
        self._table = table
        self._what = what
        self._filenames = _Names(filenames)
        self._labels = _Names(labels)
        self._num_unknown = 0

    def places(
        self, lines: Integers, names: Sequence[str], texts: Sequence[str], without_any: Booleans
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the clip (B,) and the class (B,) of each row as indices. -1 means unknown.

        Parameters
        ----------
        lines : (B,) int
        names, texts : sequence of str
            The columns of file names and classes.
        without_any : (B,) bool
            A mask of the rows that have only a file name. Their missing class is not an error.
        """
        clips = _places_of_repeated(self._filenames, names)
        classes = _places_of_repeated(self._labels, texts)
        for i in np.flatnonzero((clips < 0) | (classes < 0)).tolist():
            if clips[i] < 0:
                self._table.error(int(lines[i]), f"{names[i]!r} is not in clips.tsv")
            elif not without_any[i]:
                self._table.error(int(lines[i]), self._unknown_class(texts[i]))
        return clips, classes

    def _unknown_class(self, text: str) -> str:
        """Return the message for a class that is not in the list of classes."""
        if is_nothing(text):
            return names_no_class(text)
        message = f"unknown class {text!r}; add it to labels.txt or correct the {self._what}"
        self._num_unknown += 1
        if self._num_unknown > _MOST_SUGGESTIONS:
            return message
        near = nearest(text, self._labels.names.tolist())
        return f"{message}; did you mean {near!r}?" if near else message


def read_tags(table: TableFile, filenames: Names, labels: list[str]) -> Tags:
    """Read a tags.tsv. A tag that occurs twice is returned once.

    Parameters
    ----------
    table : TableFile
    filenames : (N,) str
        The names of the clips, sorted.
    labels : list of str
        The classes.
    """
    row_names = RowNames(table, "tag", filenames, labels)
    num_lines = table.count_lines()
    keys_found, lines_found = (GrowingArray(num_lines, np.int64) for _ in range(2))
    for lines, (names, texts) in table.rows(COLUMNS["tags.tsv"], alone=True):
        without_any = rows_without_any(is_blank, texts)
        clips, classes = row_names.places(lines, names, texts, without_any)
        found = (clips >= 0) & (classes >= 0)
        keys_found.append(clips[found] * len(labels) + classes[found])
        lines_found.append(lines[found])
    keys = keys_found.array()
    if not (keys[1:] > keys[:-1]).all():
        order = np.argsort(keys, kind="stable")
        keys, lines = keys[order], lines_found.array()[order]
        is_repeat = np.append(False, keys[1:] == keys[:-1])
        for key, line in zip(keys[is_repeat].tolist(), lines[is_repeat].tolist()):
            clip, label = divmod(key, len(labels))
            table.warn_of_repeat(
                line, f"{str(filenames[clip])!r} is tagged {labels[label]!r} twice"
            )
        keys = keys[~is_repeat]
    table.sort_faults()
    return Tags(*np.divmod(keys, max(len(labels), 1)))
