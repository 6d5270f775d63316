"""Read and write score files. `wsedtk.data.store` describes their content.

Sizes: N clips, T frames, S segments, K classes, B rows of a block, M requested rows.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.types import Floats, Integers
from wsedtk.core.wording import counted
from wsedtk.data.clip_names import LONGEST_SECONDS
from wsedtk.data.clip_sets import fingerprint_clips
from wsedtk.data.store import files, layouts
from wsedtk.data.store.files import (
    BLOCK_BYTES,
    TEXT,
    creating,
    failed_pairs,
    open_file,
    read_failed,
    read_names,
    rows_of_set_in,
)
from wsedtk.data.store.layouts import Value
from wsedtk.data.tables import find_clips, slices

_LOG = logging.getLogger(__name__)


_SHORTEST_FRAME = 1e-6  # seconds
_DTYPES = {"num_frames": np.int32, "duration": np.float64}  # other numbers are float32


def write_scores(
    path: PathLike,
    filenames: Sequence[str],
    labels: Sequence[str],
    shapes: Mapping[str, tuple[int, ...]],
    batches: Iterable[tuple[Integers, Mapping[str, npt.NDArray[np.number]]]],
    *,
    failed: Mapping[str, str] | None = None,
    **attributes: Value,
) -> None:
    """Write a score file from batches of clips.

    Parameters
    ----------
    path : path-like
    filenames : sequence of str
        The N clips.
    labels : sequence of str
        The K classes.
    shapes : mapping
        The shape of the values of one clip, by dataset. The datasets are clip, segment, num_frames,
        duration and, optionally, frame and weight.
    batches : iterable of ((B,) int, mapping)
        For each batch, the indices of its B clips in `filenames`, and their values (B, ...) by
        dataset.
    failed : mapping, optional
        The reason for each failed clip, by file name. Failed clips have no scores.
    **attributes
        Attributes of the file.

    Raises
    ------
    InputError
        If `path` can't be written.
    """
    about = {**attributes, "clips_fingerprint": fingerprint_clips(filenames)}
    with creating(path, "scores", about) as (file, write):
        write(_create_datasets, file, filenames, labels, shapes, failed or {})
        for rows, arrays in batches:
            write(_write_batch, file, rows, arrays)


def _write_batch(
    file: h5py.File, rows: Integers, arrays: Mapping[str, npt.NDArray[np.number[Any]]]
) -> None:
    order = np.argsort(rows)  # HDF5 needs the rows in ascending order
    for name, values in arrays.items():
        place = (rows[order], slice(values.shape[1])) if values.ndim > 1 else rows[order]
        file[name][place] = values[order]


def _create_datasets(
    file: h5py.File,
    filenames: Sequence[str],
    labels: Sequence[str],
    shapes: Mapping[str, tuple[int, ...]],
    failed: Mapping[str, str],
) -> None:
    """Create the datasets of a score file. Write the file names, classes and failed clips."""
    names = file.create_dataset("filename", len(filenames), TEXT)
    for block in slices(len(filenames), files.BLOCK):
        names[block] = np.array(filenames[block], object)
    file.create_dataset("labels", data=np.array(labels, object), dtype=TEXT)
    for name, shape in shapes.items():
        dtype = _DTYPES.get(name, np.float32)
        layout = {"chunks": (1, *shape), "fletcher32": True} if len(shape) > 1 else {}
        file.create_dataset(name, (len(filenames), *shape), dtype, **layout)
    file.create_dataset("failed", data=failed_pairs(failed), dtype=TEXT)


class ScoreFile:
    """A score file that is open for reading.

    The clip scores are in memory. The other scores are read on request.

    Parameters
    ----------
    path : path-like

    Attributes
    ----------
    path : Path
    filenames : (N,) str
    labels : list of str
        The K classes.
    clip : (N, K) float32
        The clip scores.
    num_frames : (N,) int64
    durations : (N,) float64
        In seconds.
    seconds_per_frame : float
    attributes : dict
        The attributes of the file.
    failed : dict
        The reason for each failed clip, by file name. Failed clips have no scores.

    Raises
    ------
    InputError
        If the file is missing or damaged, or is not a score file. The methods that read scores also
        raise InputError if the file does not contain these scores, or if they are not numbers from
        0 to 1. Weights must be finite numbers >= 0.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self._file = open_file(path, "scores")
        self.filenames = read_names([self._file["filename"]])
        self.failed = read_failed(self._file)
        self.labels: list[str] = read_names([self._file["labels"]]).tolist()
        with layouts.reading(path):
            self.clip: npt.NDArray[np.float32] = self._file["clip"][:]
            self.num_frames: npt.NDArray[np.int64] = self._file["num_frames"][:].astype(np.int64)
            self.durations: npt.NDArray[np.float64] = self._file["duration"][:]
        self.attributes: dict[str, Value] = {"features": "", **layouts.attributes(self._file)}
        self.seconds_per_frame = float(self.attributes["seconds_per_frame"])
        self._check_content()
        self._check("clip", self.clip)
        _LOG.debug(
            f"read {path}: scores of {len(self)} clips, {len(self.labels)} classes, "
            f"{self.attributes['fingerprint']}"
        )

    def __len__(self) -> int:
        return len(self.filenames)

    def _check_content(self) -> None:
        """Raise InputError if the clips, classes or times are invalid."""
        labels = self.labels
        if not len(self) or not labels or len(set(labels)) < len(labels):
            raise InputError(
                f"{self.path}: expected at least one clip and at least one class, and each class "
                f"only once; found {counted(len(self), 'clip')} and the classes {labels[:20]}"
            )
        layouts.check_texts(self.path, labels)
        order = np.argsort(self.filenames, kind="stable")
        layouts.check_once(self.path, self.filenames, order)
        if not _SHORTEST_FRAME <= self.seconds_per_frame <= LONGEST_SECONDS:
            raise InputError(
                f"{self.path}: the attribute 'seconds_per_frame': expected seconds "
                f"from {_SHORTEST_FRAME:g} to {LONGEST_SECONDS:g}, found {self.seconds_per_frame}"
            )
        most_frames = self._file["frame"].shape[1] if self.has("frame") else None
        layouts.check_clips(self.path, self.filenames, self.num_frames, self.durations, most_frames)

    def rows(self, filenames: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the row of each clip (M,), or -1 if it is missing.

        A clip is also found by another spelling of its name (see `clip_names.clip_key`).
        """
        return find_clips(self.filenames, filenames)

    def rows_of_set(
        self, filenames: npt.NDArray[np.str_], folder: PathLike
    ) -> npt.NDArray[np.int64]:
        """Return the row of each clip (M,) of a set, or -1 for a failed clip.

        Parameters
        ----------
        filenames : (M,) str
        folder : path-like
            The set, for messages.

        Raises
        ------
        InputError
            If a clip that did not fail is missing.
        """
        remedy = "predict the missing clips too, or remove them from the set"
        return rows_of_set_in(self, filenames, folder, f"scores in {self.path}", remedy)

    def _dataset(self, name: str) -> h5py.Dataset:
        if name not in self._file:
            raise InputError(f"{self.path}: contains no {name} scores; predict without --no-frames")
        return self._file[name]

    def _check(self, name: str, values: Floats) -> None:
        """Raise InputError if scores (B, ..., K) are not from 0 to 1.

        Weights must be finite numbers >= 0. The message contains the number of clips with wrong
        values in the whole file.
        """
        if not layouts.wrong_rows(name, values).any():
            return
        wrong = layouts.wrong_rows(name, self.clip)
        if name != "clip":
            parts = self._read(np.arange(len(self)), name)
            wrong = np.concatenate([layouts.wrong_rows(name, part) for _, part in parts])
        have = counted(int(wrong.sum()), "clip has", "clips have")
        fault = f"{name} scores that are not numbers from 0 to 1"
        if name == "weight":
            fault = "weights that are not finite numbers >= 0"
        raise InputError(
            f"{self.path}: {have} {fault}, the first {str(self.filenames[wrong.argmax()])!r}"
        )

    def has(self, name: str) -> bool:
        """Return whether the file contains a dataset, such as "frame" or "weight"."""
        return name in self._file

    def frames(self, row: int, name: str = "frame") -> npt.NDArray[np.float32]:
        """Return the frame scores or weights (T, K) of one clip, without padding."""
        dataset = self._dataset(name)
        with layouts.reading(f"{self.path}: the {name} scores of {str(self.filenames[row])!r}"):
            values: npt.NDArray[np.float32] = dataset[row, : self.num_frames[row]]
        self._check(name, values[None])
        return values

    def blocks(
        self, rows: Integers, name: str = "frame"
    ) -> Iterator[tuple[slice, npt.NDArray[np.float32]]]:
        """Yield the scores of many clips block by block.

        Parameters
        ----------
        rows : (M,) int
        name : str
            The dataset: "frame", "segment" or "weight".

        Yields
        ------
        slice
            The position of the block in `rows`.
        (B, T, K) float32
            The scores of the block, or (B, S, K) for segments. Frames after the end of a clip are
            zeros.
        """
        for block, values in self._read(rows, name):
            self._check(name, values)
            yield block, values

    def _read(self, rows: Integers, name: str) -> Iterator[tuple[slice, npt.NDArray[np.float32]]]:
        """Yield the same items as `blocks`, but do not check the values."""
        dataset = self._dataset(name)
        clip_bytes = 4 * int(np.prod(dataset.shape[1:]))
        for block in slices(len(rows), max(1, BLOCK_BYTES // max(1, clip_bytes))):
            these = np.asarray(rows[block])
            with layouts.reading(f"{self.path}: the {name} scores"):
                if (np.diff(these) == 1).all():
                    values: npt.NDArray[np.float32] = dataset[these[0] : these[-1] + 1]
                else:
                    values = np.stack([dataset[row] for row in these.tolist()])
            if name != "segment":
                values[np.arange(values.shape[1]) >= self.num_frames[these][:, None]] = 0
            yield block, values

    def segments(self, row: int) -> npt.NDArray[np.float32]:
        """Return the segment scores (S, K) of one clip, including a partial segment at its end."""
        count = max(1, int(np.ceil(round(self.durations[row], 6))))
        with layouts.reading(f"{self.path}: the segment scores of {str(self.filenames[row])!r}"):
            values: npt.NDArray[np.float32] = self._file["segment"][row, :count]
        self._check("segment", values[None])
        return values
