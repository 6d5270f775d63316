"""Tables of frame scores, one a clip, in the form of sed_scores_eval."""

import contextlib
import csv

import numpy as np

from wsedtk.core.errors import InputError
from wsedtk.data.events import frame_edges
from wsedtk.data.table_files import TableFile
from wsedtk.data.tables import cut_blank, round_seconds

ROUNDING_SECONDS = 0.002  # what times may be off
BOM, _HEADER = b"\xef\xbb\xbf", b"onset\toffset\t"


def read_table(path):
    """A table as (classes, edges (T + 1,), scores (T, K) float32). Raises InputError."""
    table = TableFile(path)
    header, *rest = table.lines() or [""]
    table.raise_errors("mend these first")
    numbered = [(number, line.rstrip("\t")) for number, line in enumerate(rest, 2) if line.strip()]
    lines, columns = [line for _, line in numbered], parse_header(header)
    if columns[:2] != ["onset", "offset"] or len(columns) < 3 or len(set(columns)) < len(columns):
        raise InputError(
            f"{path}:1: expected the header onset<TAB>offset<TAB>one column a class, found {header[:100]!r}"
        )
    values = _numbers(lines, len(columns))
    if not lines:
        raise InputError(f"{path}: holds no frames; write a row for each")
    if values is None:
        number, line = next(row for row in numbered if _numbers([row[1]], len(columns)) is None)
        raise InputError(
            f"{path}:{number}: expected {len(columns)} tab-separated numbers, times "
            f"in seconds and scores from 0 to 1, found {line[:100]!r}{_cause(line)}"
        )
    return columns[2:], _edges(path, values[:, 0], values[:, 1]), values[:, 2:].astype(np.float32)


def parse_header(header):
    """The columns that the first line of a table names; none where it is not to be read."""
    try:
        return cut_blank(next(csv.reader([header], delimiter="\t"), []), 1)
    except csv.Error:
        return []


def _cause(line):
    """What is wrong with the first number of a line that can't be one of a table."""
    for place, text in enumerate(line.split("\t")):
        with contextlib.suppress(ValueError):
            value = float(text)
            if not np.isfinite(value):
                return f": {text!r} is not finite"
            if value < 0 and (place > 1 or round(value, 6) < 0):
                return f": {text!r} is negative"
    return ""


def _numbers(lines, num_columns):
    """Lines of onset, offset and scores as an array (T, num_columns); None where any is something else."""
    try:
        values = (
            np.loadtxt(lines, delimiter="\t", comments=None, ndmin=2)
            if lines and all(map(str.strip, lines))
            else np.empty((0, 0))
        )
    except ValueError:
        return None
    if values.shape != (len(lines), num_columns) or not np.isfinite(values).all():
        return None
    times, scores = values[:, :2], values[:, 2:]
    is_right = (round_seconds(times) >= 0).all() and (scores >= 0).all() and (scores <= 1).all()
    return values if is_right else None


def _edges(path, onset, offset):
    """Where frames begin and the last one ends. Raises InputError where they leave gaps, overlap or differ in length."""
    edges = np.append(onset, offset[-1])
    step = edges[-2] / (len(onset) - 1) if len(onset) > 1 else edges[-1]
    slack = min(ROUNDING_SECONDS, step / 4)
    regular = np.abs(edges[:-1] - np.arange(len(onset)) * step) <= slack
    joined = np.append(True, np.abs(offset[:-1] - onset[1:]) <= slack)
    odd = np.flatnonzero(~(regular & joined))
    if len(odd) or not 0 < edges[-1] - edges[-2] <= 2 * step + slack:
        at = int(odd[0]) if len(odd) else len(onset) - 1
        raise InputError(
            f"{path}:{at + 2}: frames must follow one another from 0 s and be of one length, the last ending with the clip; "
            f"found {onset[at]:g} to {offset[at]:g} s, where the clip's frames are {step:g} s"
        )
    return edges


def is_table(path):
    """Whether a file begins as a table of scores does."""
    if not (path.name.endswith(".tsv") and path.is_file()):
        return False
    with open(path, "rb") as file:
        return file.read(len(BOM + _HEADER)).removeprefix(BOM).startswith(_HEADER)


class Table:
    """A clip's table on its way into an open file; its frames may come piece by piece."""

    def __init__(self, file, labels, seconds_per_frame):
        self._file, self._step, self._num_written, self._held = (
            file,
            seconds_per_frame,
            0,
            np.zeros((0, len(labels)), np.float32),
        )
        self._format = ["%.12g"] * 2 + ["%.9g"] * len(labels)
        csv.writer(file, delimiter="\t", lineterminator="\n").writerow(["onset", "offset", *labels])

    def _write(self, edges):
        """Write the frames that are held. edges: (T + 1,) seconds."""
        table = np.column_stack(
            [edges[:-1], edges[1:], self._held[: len(edges) - 1].astype(np.float32)]
        )
        np.savetxt(self._file, table, fmt=self._format, delimiter="\t")

    def append(self, frames):
        """Add scores (T, K); these are held until it is known whether they are the last."""
        if len(self._held):
            self._write(
                np.round(
                    np.arange(self._num_written, self._num_written + len(self._held) + 1)
                    * self._step,
                    6,
                )
            )
        self._num_written += len(self._held)
        self._held = frames

    def finish(self, duration):
        """Write the last frames, without those that begin after the clip's end (seconds)."""
        edges = frame_edges(self._num_written + len(self._held), self._step, duration)
        self._write(edges[self._num_written :])
