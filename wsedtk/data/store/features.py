"""Read feature files. `wsedtk.data.store` describes their content.

Sizes: N clips, T frames, F mel bins, M requested rows, B requested rows of a block.
"""

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.types import Floats, Integers
from wsedtk.core.wording import counted
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.store import files, layouts
from wsedtk.data.store.files import (
    open_file,
    read_failed,
    read_names,
    rows_of_set_in,
)
from wsedtk.data.store.layouts import Value
from wsedtk.data.store.repeats import find_repeats
from wsedtk.data.store.shards import find_shards
from wsedtk.data.tables import Names, find, slices

_LOG = logging.getLogger(__name__)


_CLIPS_CACHED = 256  # clips that `cache` reads together
_MEMORY_SHARE = 0.9  # the fraction of the available memory that `cache` may use


class About(NamedTuple):
    """The attributes of a feature file, and the reason for each failed clip, by file name."""

    attributes: dict[str, Value]
    failed: dict[str, str]


class Statistics(NamedTuple):
    """The mean (F,) and the standard deviation (F,) of each mel bin."""

    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]


class _Block(NamedTuple):
    """A block of the rows of one file.

    Attributes
    ----------
    file : h5py.File
    block : slice
        The rows of the block in the file.
    rows : (B,) int
        The requested rows.
    places : (B,) int
        The requested rows, as indices within the block.
    num_frames : (B,) float64
        The number of frames of each requested row.
    """

    file: h5py.File
    block: slice
    rows: Integers
    places: Integers
    num_frames: npt.NDArray[np.float64]


def read_about(path: PathLike) -> About:
    """Return the attributes and the failed clips of a feature file.

    Raises
    ------
    InputError
        If the file is missing or damaged, or is not a feature file.
    """
    with open_file(path, "features") as file:
        return About(layouts.attributes(file), read_failed(file))


def _available_bytes() -> int:
    """Return the available memory in bytes. The limit of a container (cgroup v2) is respected."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        lines = dict(line.split(":") for line in text.splitlines())
        available = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    # If the container has no limit, memory.max is missing or contains no number.
    with contextlib.suppress(OSError, ValueError):
        limit, taken = (
            int(Path(f"/sys/fs/cgroup/memory.{name}").read_text(encoding="ascii"))
            for name in ("max", "current")
        )
        available = min(available, limit - taken)
    return available


def _last_change(file: h5py.File) -> tuple[int, int]:
    """Return the time of the last change of an open file, and its size."""
    status = os.fstat(file.id.get_vfd_handle())
    return status.st_mtime_ns, status.st_size


def _check_alike(file: h5py.File, first: h5py.File) -> None:
    """Raise InputError if two files have different front ends or different numbers of mel bins."""
    for what, mine, theirs in (
        ("front end", file.attrs["fingerprint"], first.attrs["fingerprint"]),
        ("number of mel bins", file["features"].shape[2], first["features"].shape[2]),
    ):
        if mine != theirs:
            raise InputError(
                f"{file.filename}: its {what} ({mine}) differs from that of {first.filename} "
                f"({theirs}); extract both with the same configuration"
            )


class FeatureStore:
    """Feature files that are read as one file. Rows are numbered consecutively over all files.

    If a clip has the same features in several files, the row in the first of these files is used.

    Parameters
    ----------
    paths : iterable of path-like
        Feature files. For the shards `train.1-of-2.h5` and `train.2-of-2.h5`, give `train.h5`.

    Attributes
    ----------
    paths : list of str
    filenames : (N,) str
        The clips.
    num_frames : (N,) int64
    durations : (N,) float64
        In seconds.
    order : (N,) int64
        The indices that sort the rows by file name.
    frontend : dict
        The configuration of the front end.
    fingerprint : str
        The fingerprint of the front end.
    audio : list of str
        The fingerprint of the audio of each path, or "" if the fingerprint is unknown.
    failed : dict
        The reason for each failed clip, by file name. Failed clips have no features.

    Raises
    ------
    InputError
        If a file is missing or damaged, if a clip occurs twice in a file, if it has different
        features in two files, if the front ends of the files differ, or if the audio fingerprints
        of the shards of one file differ.
    """

    def __init__(self, paths: Iterable[PathLike]) -> None:
        self.paths = [str(path) for path in paths]
        self.audio: list[str] = []
        self.failed: dict[str, str] = {}
        self._files: list[h5py.File] = []
        self._paths_of_files: list[int] = []  # the index of the path of each file
        self._opened: list[tuple[int, int]] = []  # the last change of each file; `read` checks it
        for path in self.paths:
            self._open(path)
        first = self._files[0]
        self.frontend = layouts.frontend(first.attrs["frontend"], first.filename)
        self.fingerprint = str(first.attrs["fingerprint"])
        self.filenames: Names = read_names([file["filename"] for file in self._files])
        with layouts.reading(", ".join(self.paths)):
            num_frames = np.concatenate([file["num_frames"][:] for file in self._files])
            self.num_frames: npt.NDArray[np.int64] = num_frames.astype(np.int64)
            self.durations: npt.NDArray[np.float64] = np.concatenate(
                [file["duration"][:] for file in self._files]
            )
        # The datasets stay open, because opening a dataset takes longer than reading a clip.
        self._data = [file["features"] for file in self._files]
        self._starts = np.cumsum([0, *map(len, self._data)])
        # The features that `cache` keeps in memory, and for each row its index in these features.
        # The index is -1 if the features of the row are not in memory.
        self._cached: Floats | None = None
        self._cached_places = np.full(len(self), -1)
        # A stable sort is fast if the file names are already sorted.
        self.order = np.argsort(self.filenames, kind="stable")
        order = self.order
        if len(self.paths) > 1:
            is_repeat = find_repeats(self, self._paths_of_rows(), self._means)
            order = order[~is_repeat[order]]
        layouts.check_once(", ".join(self.paths), self.filenames, order)
        for file, start, data in zip(self._files, self._starts.tolist(), self._data):
            part = slice(start, start + len(data))
            layouts.check_clips(
                file.filename,
                self.filenames[part],
                self.num_frames[part],
                self.durations[part],
                data.shape[1],
            )
            _LOG.debug(
                f"read {file.filename}: features of {len(data)} clips, front end {self.fingerprint}"
            )

    def _paths_of_rows(self) -> Integers:
        """Return the index of the path (N,) that contains each row. Shards have the same path."""
        files = np.searchsorted(self._starts, np.arange(len(self)), side="right") - 1
        return np.array(self._paths_of_files)[files]

    def _means(self, rows: Integers) -> npt.NDArray[np.float64]:
        """Return the mean features (M, F) of rows (M,)."""
        unique, places = np.unique(rows, return_inverse=True)
        with layouts.reading(", ".join(self.paths)):
            means = [self._statistic(block, "mean") for block in self._blocks_of(unique)]
        return np.concatenate(means)[places]

    def _open(self, path: PathLike) -> None:
        """Open a file or its shards. Check that they match the files that are already open."""
        shards = []
        for shard in find_shards(path):
            file = open_file(shard, "features")
            self._files.append(file)
            self._paths_of_files.append(len(self.audio))
            self._opened.append(_last_change(file))
            self.failed.update(read_failed(file))
            _check_alike(file, self._files[0])
            audio = str(file.attrs.get("audio_fingerprint", ""))
            shards.append(audio)
            if audio != shards[0]:
                raise InputError(
                    f"{shard}: was extracted from another version of the set "
                    f"(audio fingerprint {audio or 'unknown'}); expected the version of the "
                    f"preceding shards (audio fingerprint {shards[0] or 'unknown'}); extract this "
                    "shard again"
                )
        self.audio.append(shards[0])

    def __len__(self) -> int:
        return len(self.filenames)

    def rows(self, filenames: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the row of each file name (M,), or -1 if it is missing."""
        return find(self.filenames, filenames, self.order)

    def rows_of_set(self, dataset: DataSet, folder: PathLike) -> npt.NDArray[np.int64]:
        """Return the row of each clip (M,) of a set, or -1 for a failed clip.

        Parameters
        ----------
        dataset : DataSet
        folder : path-like
            The set, for messages.

        Raises
        ------
        InputError
            If a clip that did not fail is missing, or if a feature file and the set have the same
            clips but different audio.
        """
        what = f"features in {', '.join(self.paths)}"
        remedy = "extract the features of this set"
        rows = rows_of_set_in(self, dataset.filenames, folder, what, remedy)
        audio = dataset.info.get("audio_fingerprint")
        if audio not in self.audio:
            for path, stored in zip(self.paths, self.audio):
                provenance.check_audio(path, stored, folder, audio)
        return rows

    def content_fingerprint(self, rows: Integers) -> str:
        """Return a fingerprint of the clips (M,) and their features.

        The fingerprint is computed from the statistics of each clip. It does not depend on which
        file contains a clip.
        """
        digests = np.zeros(len(self), "S16")
        for block in self._blocks_of(rows):
            means = self._statistic(block, "mean")
            squares = self._statistic(block, "squared_deviations")
            digests[block.rows] = [
                provenance.fingerprint(mean.tobytes() + square.tobytes())
                for mean, square in zip(means, squares)
            ]
        is_wanted = np.zeros(len(self), bool)
        is_wanted[rows] = True
        by_name = self.order[is_wanted[self.order]]
        return provenance.fingerprint_audio(self.filenames, digests, by_name)

    def cache(self, rows: Integers) -> None:
        """Keep the features of rows (M,) in memory. `read` then returns them from memory.

        Raises
        ------
        InputError
            If the features need more memory than `cache` may use.
        """
        shape = (len(rows), int(self.num_frames[rows].max(initial=0)), self._data[0].shape[2])
        dtype = np.result_type(*self._data)
        # Each torchrun process on this machine keeps its own features in memory. The available
        # memory is therefore divided by the number of these processes.
        available = _available_bytes() // int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        usable = _MEMORY_SHARE * available
        needed = int(np.prod(shape)) * dtype.itemsize
        if needed > usable:
            raise InputError(
                f"{', '.join(self.paths)}: {counted(len(rows), 'clip takes', 'clips take')} "
                f"{needed / 1e9:.1f} GB of memory, but at most {usable / 1e9:.1f} GB can be used; "
                "omit --cache, or extract the features with --dtype float16"
            )
        rows, cached = np.sort(rows), np.zeros(shape, dtype)
        for block in slices(len(rows), _CLIPS_CACHED):
            read = self.read(rows[block])
            cached[block, : read.shape[1]] = read
        self._cached, self._cached_places = cached, np.full(len(self), -1)
        self._cached_places[rows] = np.arange(len(rows))

    def read(self, rows: Integers) -> Floats:
        """Return the features of some clips.

        Parameters
        ----------
        rows : (B,) int

        Returns
        -------
        (B, T, F)
            The features in the precision of the files. T is the number of frames of the longest of
            these clips. Shorter clips are padded with zeros.

        Raises
        ------
        InputError
            If a file is damaged or was changed after it was opened.
        """
        num_frames = self.num_frames[rows].tolist()
        if self._cached is not None and (self._cached_places[rows] >= 0).all():
            return self._cached[self._cached_places[rows], : max(num_frames)]
        file_of_row = np.searchsorted(self._starts, rows, side="right") - 1
        places = (np.asarray(rows) - self._starts[file_of_row]).tolist()
        numbers = file_of_row.tolist()
        shape = (len(rows), max(num_frames), self._data[0].shape[2])
        out = np.zeros(shape, np.result_type(*self._data))
        # Clips are read in the order of their rows, so each file is read from beginning to end.
        for i in np.argsort(rows).tolist():
            try:
                out[i, : num_frames[i]] = self._data[numbers[i]][places[i], : num_frames[i]]
            except OSError as error:
                raise InputError(
                    f"{self._files[numbers[i]].filename}: the features of "
                    f"{str(self.filenames[rows[i]])!r} can't be read ({error}); the file is "
                    "damaged, extract it again"
                ) from None
        for number in set(numbers):
            if _last_change(self._files[number]) != self._opened[number]:
                raise InputError(
                    f"{self._files[number].filename}: was changed while it was being read; give "
                    "the command again when no other process writes to the file"
                )
        return out

    def _blocks_of(self, rows: Integers) -> Iterator[_Block]:
        """Yield the blocks that contain at least one of the rows (M,). Rows may have any order."""
        rows = np.sort(rows)
        for file, first in zip(self._files, self._starts.tolist()):
            for block in slices(len(file["num_frames"]), files.BLOCK):
                start = first + block.start
                found = rows[slice(*np.searchsorted(rows, (start, first + block.stop)))]
                if len(found):
                    num_frames = self.num_frames[found].astype(np.float64)
                    yield _Block(file, block, found, found - start, num_frames)

    @staticmethod
    def _statistic(block: _Block, name: str) -> npt.NDArray[np.float64]:
        """Return a statistic (B, F) of the requested rows of a block.

        Raise InputError if a statistic is not finite. The message names the first clip with such a
        statistic.
        """
        values: npt.NDArray[np.float64] = block.file[name][block.block][block.places]
        odd = block.places[~np.isfinite(values).all(axis=1)]
        if len(odd):
            clip = block.file["filename"].asstr()[block.block][odd[0]]
            raise InputError(
                f"{block.file.filename}: the {name} of {clip!r} is not finite; "
                "the file is damaged, extract it again"
            )
        return values

    def statistics(self, rows: Integers) -> Statistics:
        """Return the mean and standard deviation of each mel bin over all frames of rows (M,)."""
        total = self.num_frames[rows].sum()
        mean: npt.NDArray[np.float64] = np.zeros(self._data[0].shape[2])
        squares = np.zeros_like(mean)
        with layouts.reading(", ".join(self.paths)):
            for block in self._blocks_of(rows):
                mean += block.num_frames @ self._statistic(block, "mean") / total
            for block in self._blocks_of(rows):
                within = self._statistic(block, "squared_deviations").sum(axis=0)
                between = block.num_frames @ (self._statistic(block, "mean") - mean) ** 2
                squares += within + between
        return Statistics(mean, np.sqrt(squares / total))
