"""Read and write frame scores in the format of sed_scores_eval. Each clip has one text table.

    onset  offset  <class>  <class> ...    one row per frame: times in s, scores from 0 to 1

Sizes: T frames, K classes.
"""

import contextlib
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
import numpy.typing as npt

from wsedtk.core.errors import InputError
from wsedtk.core.types import Floats
from wsedtk.data.events import frame_edges
from wsedtk.data.table_files import TableFile
from wsedtk.data.tables import cut_blank, round_seconds

ROUNDING_SECONDS = 0.002  # the largest accepted rounding error of a time
BOM = b"\xef\xbb\xbf"
_HEADER = b"onset\toffset\t"


class ScoreTable(NamedTuple):
    """The content of a table.

    Attributes
    ----------
    labels : list of str
        The K classes.
    edges : (T + 1,) float64
        The onsets of the frames and the offset of the last frame, in seconds.
    scores : (T, K) float32
    """

    labels: list[str]
    edges: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float32]


def read_table(path: Path) -> ScoreTable:
    """Read a table of frame scores.

    Raises
    ------
    InputError
        If the file is not a table of scores, if its frames overlap, have gaps between them or
        differ in length, or if the first frame does not begin at 0 s. Only the last frame may have
        another length.
    """
    table = TableFile(path)
    header, *rest = table.lines() or [""]
    table.raise_errors()
    columns = parse_header(header)
    if columns[:2] != ["onset", "offset"] or len(columns) < 3 or len(set(columns)) < len(columns):
        raise InputError(
            f"{path}:1: expected the header onset<TAB>offset<TAB>one column per class, "
            f"found {header[:100]!r}"
        )
    numbered = [(number, line.rstrip("\t")) for number, line in enumerate(rest, 2) if line.strip()]
    if not numbered:
        raise InputError(f"{path}: contains no frames; write one row per frame")
    values = _parse_numbers([line for _, line in numbered], len(columns))
    if values is None:
        number, line = next(
            row for row in numbered if _parse_numbers([row[1]], len(columns)) is None
        )
        raise InputError(
            f"{path}:{number}: expected {len(columns)} tab-separated numbers (onset and offset in "
            f"seconds, scores from 0 to 1), found {line[:100]!r}{_cause(line)}"
        )
    numbers = [number for number, _ in numbered]
    edges = _edges(path, numbers, values[:, 0], values[:, 1])
    return ScoreTable(columns[2:], edges, values[:, 2:].astype(np.float32))


def parse_header(line: str) -> list[str]:
    """Return the columns in the first line of a table, or [] if the line can't be parsed."""
    try:
        return cut_blank(next(csv.reader([line], delimiter="\t"), []), 1)
    except csv.Error:
        return []


def _cause(line: str) -> str:
    """Name the first negative or non-finite number in a line, as text for a message.

    Return "" if there is no such number.
    """
    for column, text in enumerate(line.split("\t")):
        with contextlib.suppress(ValueError):
            value = float(text)
            if not np.isfinite(value):
                return f": {text!r} is not finite"
            if value < 0 and (column > 1 or round(value, 6) < 0):
                return f": {text!r} is negative"
    return ""


def _parse_numbers(lines: list[str], num_columns: int) -> npt.NDArray[np.float64] | None:
    """Parse lines of onset, offset and scores. Return an array (T, num_columns).

    Return None if a line is invalid.
    """
    if not all(map(str.strip, lines)):
        return None
    try:
        values: npt.NDArray[np.float64] = np.loadtxt(lines, delimiter="\t", comments=None, ndmin=2)
    except ValueError:
        return None
    if values.shape != (len(lines), num_columns) or not np.isfinite(values).all():
        return None
    times, scores = values[:, :2], values[:, 2:]
    is_right = (round_seconds(times) >= 0).all() and (scores >= 0).all() and (scores <= 1).all()
    return values if is_right else None


def _edges(
    path: Path, numbers: Sequence[int], onset: Floats, offset: Floats
) -> npt.NDArray[np.float64]:
    """Return the edges (T + 1,) of frames from their onsets (T,) and offsets (T,).

    Raise InputError if the frames are faulty (see `read_table`). `numbers` are the line numbers of
    the frames.
    """
    edges = np.append(onset, offset[-1])
    step = edges[-2] / (len(onset) - 1) if len(onset) > 1 else edges[-1]
    slack = min(ROUNDING_SECONDS, step / 4)
    is_regular = np.abs(edges[:-1] - np.arange(len(onset)) * step) <= slack
    is_joined = np.append(True, np.abs(offset[:-1] - onset[1:]) <= slack)
    odd = np.flatnonzero(~(is_regular & is_joined))
    if len(odd) or not 0 < edges[-1] - edges[-2] <= 2 * step + slack:
        at = int(odd[0]) if len(odd) else len(onset) - 1
        raise InputError(
            f"{path}:{numbers[at]}: the first frame must begin at 0 s, each other frame must "
            "begin at the end of the frame before it, and all frames must have the same length "
            "(the last frame may have up to twice this length); found a frame from "
            f"{onset[at]:g} to {offset[at]:g} s, expected a length of {step:g} s"
        )
    return edges


def is_table(path: Path) -> bool:
    """Return whether a path is a `.tsv` file whose first columns are onset and offset."""
    if not (path.name.endswith(".tsv") and path.is_file()):
        return False
    with open(path, "rb") as file:
        return file.read(len(BOM + _HEADER)).removeprefix(BOM).startswith(_HEADER)


class TableWriter:
    """A writer of the table of one clip. Frames can be appended in several pieces.

    Parameters
    ----------
    file : text file
    labels : sequence of str
        The K classes.
    seconds_per_frame : float
    """

    def __init__(self, file: TextIO, labels: Sequence[str], seconds_per_frame: float) -> None:
        self._file = file
        self._seconds_per_frame = seconds_per_frame
        self._num_written = 0
        # The last piece is kept in memory, because `finish` may have to shorten it.
        self._held: Floats = np.zeros((0, len(labels)), np.float32)
        self._format = ["%.12g"] * 2 + ["%.9g"] * len(labels)
        csv.writer(file, delimiter="\t", lineterminator="\n").writerow(["onset", "offset", *labels])

    def _write(self, edges: Floats) -> None:
        """Write the first T of the frames in memory. `edges` (T + 1,) is in seconds."""
        scores = self._held[: len(edges) - 1].astype(np.float32)
        table = np.column_stack([edges[:-1], edges[1:], scores])
        np.savetxt(self._file, table, fmt=self._format, delimiter="\t")

    def append(self, frames: Floats) -> None:
        """Add the scores of the next frames (T, K)."""
        if len(self._held):
            numbers = np.arange(self._num_written, self._num_written + len(self._held) + 1)
            self._write(np.round(numbers * self._seconds_per_frame, 6))
        self._num_written += len(self._held)
        self._held = frames

    def finish(self, duration: float) -> None:
        """Write the last piece without the frames that begin at or after the end of the clip.

        The preceding pieces must not contain such frames.

        Parameters
        ----------
        duration : float
            The duration of the clip in seconds.
        """
        num_frames = self._num_written + len(self._held)
        edges = frame_edges(num_frames, self._seconds_per_frame, duration)
        self._write(edges[self._num_written :])
