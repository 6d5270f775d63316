"""Read the published metadata of AudioSet: the lists of segments, the classes and the ontology.

The metadata folder contains the files that Google published. Subfolders are searched, too:

    balanced_train_segments.csv, unbalanced_train_segments.csv, eval_segments.csv
                                ID, start, end, "class ID,class ID,..."
    class_labels_indices.csv    index, class ID and name of each class
    ontology.json               the classes directly below each class; needed only for --ancestors

Files that a spreadsheet or another program has saved again are accepted, too. The lists of segments
may contain comment lines, a header, quotes and spaces. The delimiter is a comma, a semicolon or a
tab. A time may be written as `10` instead of `10.000`. Lines end with LF, CRLF or CR.

Shapes: B rows of a block, M tags, K classes.
"""

import csv
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.wording import counted
from wsedtk.data import datadir
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.table_files import TableFile

_LOG = logging.getLogger(__name__)


MADE_BY = "prepare audioset"
LISTS = {
    "balanced": "balanced_train_segments.csv",
    "unbalanced": "unbalanced_train_segments.csv",
    "eval": "eval_segments.csv",
}
CLASSES = "class_labels_indices.csv"
_COLUMNS = (
    ("ytid", "youtube_id", "video_id"),
    ("start_seconds", "start"),
    ("end_seconds", "end"),
    ("positive_labels", "labels", "mids"),
)
_MAX_FAULTS = 100
_VIDEO = re.compile("[A-Za-z0-9_-]{11}")
_TIME = re.compile(r"[0-9]+(\.[0-9]+)?")
# A comment line begins with #. Quotes and spaces may precede the #. If a spreadsheet has replaced
# the ID of a row by #NAME?, the row is not a comment.
_COMMENT = re.compile(r'["\s]*#(?![^\s,;"]+[?!])')
_NUM_SEGMENTS = re.compile("num_segs=([0-9]{1,9})")
# A row in the published form. Matching this expression is four times as fast as the csv module.
_PUBLISHED = re.compile(r'([A-Za-z0-9_-]{11}), *([0-9.]+), *([0-9.]+), *"([^"]*)"')


class _Cells(NamedTuple):
    """The four cells of a row of a list. `mids` contains the class IDs, separated by commas."""

    video: str
    start: str
    end: str
    mids: str


class _Segment(NamedTuple):
    """A row of a list: the clip name, the duration in seconds, and the indices of the classes."""

    name: str
    seconds: float
    classes: list[int]


class _Block(NamedTuple):
    """B rows of a list: the clip names (B,) and the durations in seconds (B,).

    For each tag (M,), `row_of_tag` is its row in the block, and `class_of_tag` is its class.
    """

    names: npt.NDArray[np.str_]
    seconds: npt.NDArray[np.float64]
    row_of_tag: npt.NDArray[np.int64]
    class_of_tag: npt.NDArray[np.int64]


class _Form:
    """The form of a list: its delimiter, and the columns of the ID, start, end and class IDs."""

    def __init__(self, path: Path, number: int, line: str) -> None:
        for self.delimiter in "\t;,":
            fields = self.fields(line)
            if len(fields) >= 4:
                break
        self.is_header = any(field.lower() in names for field in fields for names in _COLUMNS)
        self.columns = [0, 1, 2, 3]
        if self.is_header:
            header = [field.lower() for field in fields]
            found = [[header.index(name) for name in names if name in header] for names in _COLUMNS]
            self.columns = [places[0] for places in found if places]
            if len(self.columns) != len(_COLUMNS):
                raise InputError(
                    f"{path}:{number}: expected the columns YTID, start_seconds, end_seconds and "
                    f"positive_labels, found {line[:200]!r}"
                )
        self.labels_are_last = not self.is_header or not any(fields[self.columns[3] + 1 :])
        self.num_fields = len(fields)

    def fields(self, line: str) -> list[str]:
        """Return the fields of a line.

        Quotes and spaces at both ends of a field are removed. A list contains such quotes if a
        program read it wrongly and wrote it again.
        """
        (row,) = csv.reader([line], delimiter=self.delimiter, skipinitialspace=True)
        return [field.strip(" '\"") for field in row]

    def cells(self, fields: list[str]) -> _Cells | None:
        """Return the four cells of a row, or None if it has too few or too many fields."""
        has_more = not self.labels_are_last and any(fields[self.num_fields :])
        if len(fields) <= max(self.columns) or has_more:
            return None
        video, start, end, mids = (fields[column] for column in self.columns)
        if self.labels_are_last:  # each class ID is a separate field if the IDs are not quoted
            mids = ",".join(fields[self.columns[3] :])
        return _Cells(video, start, end, mids)


def _read_row(form: _Form, line: str, index: Mapping[str, int]) -> _Segment:
    """Parse a row of a list.

    Raises ValueError or csv.Error if the row is invalid. The message of the error is the reason.
    """
    published = None if form.is_header else _PUBLISHED.fullmatch(line)
    if not published and line.count('"') % 2:
        raise ValueError("a quote is not closed, so the list is probably truncated")
    cells = _Cells(*published.groups()) if published else form.cells(form.fields(line))
    if cells is None:
        raise ValueError("expected ID, start, end and class IDs")
    video, start, end, labels = cells
    if not _VIDEO.fullmatch(video):
        raise ValueError(
            f"expected a video ID of 11 characters, found {video!r} (spreadsheets change some IDs "
            "to numbers or error values; use the published list)"
        )
    if not (_TIME.fullmatch(start) and _TIME.fullmatch(end) and float(start) < float(end)):
        raise ValueError(f"expected start < end in seconds, found {start!r} and {end!r}")
    mids = [mid for mid in (mid.strip(" '\"") for mid in labels.split(",")) if mid]
    for mid in mids:
        if mid not in index:
            raise ValueError(f"the class {mid!r} is not in {CLASSES}")
    if not mids:
        raise ValueError("expected class IDs, found none")
    onset, offset = float(start), float(end)
    name = f"{video}_{onset:.3f}_{offset:.3f}.wav"
    return _Segment(name, round(offset - onset, 6), [index[mid] for mid in mids])


def _block(rows: Sequence[_Segment]) -> _Block:
    counts = [len(row.classes) for row in rows]
    return _Block(
        np.array([row.name for row in rows]),
        np.array([row.seconds for row in rows]),
        np.repeat(np.arange(len(rows)), counts),
        np.array([label for row in rows for label in row.classes], np.int64),
    )


def _blocks(table: TableFile, mids: Sequence[str]) -> Iterator[_Block]:
    """Yield the rows of a list in blocks. Add an error to the table for each invalid row.

    If there are more than _MAX_FAULTS errors, the remaining blocks are not read. Raises InputError
    if the list has a header without the required columns.
    """
    index = {mid: k for k, mid in enumerate(mids)}
    form: _Form | None = None
    announced: re.Match[str] | None = None
    number = num_rows = 0
    for lines in table.line_blocks():
        rows = []
        for line in lines:
            number += 1
            if not line.strip(' ,;\t"') or _COMMENT.match(line):
                announced = _NUM_SEGMENTS.search(line) or announced
                continue
            line = line.rstrip("\t")
            try:
                if form is None:
                    form = _Form(table.path, number, line)
                    if form.is_header:
                        continue
                rows.append(_read_row(form, line, index))
            except (ValueError, csv.Error) as error:
                table.error(number, f"{error}; the line is {line[:200]!r}")
        if len(table.faults) > _MAX_FAULTS:
            return
        if rows:
            num_rows += len(rows)
            yield _block(rows)
    if announced and int(announced.group(1)) != num_rows and not table.faults:
        _LOG.warning(
            f"{table.path}: contains {num_rows:,} segments, but a comment line gives the number "
            f"{int(announced.group(1)):,}; is the list truncated?"
        )


def read_list(path: PathLike, names: list[str], mids: list[str]) -> DataSet:
    """Read a list of segments as a set without audio.

    If several rows name the same segment, its clip gets the tags of all these rows.

    Parameters
    ----------
    path : path-like
        The list.
    names, mids : list of str
        The names and the IDs of the K classes.

    Raises
    ------
    InputError
        If the list cannot be read, contains no segments, or has an invalid header or invalid rows.
        The message lists the first invalid rows.
    """
    table, blocks, num_rows = TableFile(path), list[_Block](), 0
    for block in _blocks(table, mids):
        blocks.append(block._replace(row_of_tag=block.row_of_tag + num_rows))
        num_rows += len(block.names)
    table.raise_errors("correct the list, or download it again")
    if not blocks:
        raise InputError(
            f'{path}: found no segments; expected rows with ID, start, end and "class IDs"'
        )
    rows = _Block(*(np.concatenate(column) for column in zip(*blocks)))
    del blocks  # frees about 0.3 GB for the unbalanced list, because `rows` is a copy
    filenames, row_of_clip, clip_of_row = np.unique(
        rows.names, return_index=True, return_inverse=True
    )
    if len(filenames) < num_rows:
        num_repeated = num_rows - len(filenames)
        _LOG.warning(
            f"{path}: {counted(num_repeated, 'row repeats', 'rows repeat')}"
            " the segment of an earlier row; the tags of rows with the same segment are merged"
        )
    keys = clip_of_row[rows.row_of_tag] * len(mids) + rows.class_of_tag
    tag_clip, tag_label = np.divmod(np.unique(keys), len(mids))
    return DataSet(
        filenames,
        np.full(len(filenames), "", datadir.TEXT),
        rows.seconds[row_of_clip],
        names,
        tag_clip,
        tag_label,
        info={
            "made_by": MADE_BY,
            "corpus": "AudioSet",
            "official_clips": len(filenames),
            "class_ids": mids,
        },
    )
