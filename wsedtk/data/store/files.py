"""Create, open and describe HDF5 files of wsedtk.

Files are written atomically and are checked when they are opened.

Sizes: N clips, M failed clips.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, ParamSpec, Protocol, TypedDict

import h5py
import numpy as np
import numpy.typing as npt

from wsedtk.core import atomic
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.data.store import layouts
from wsedtk.data.store.disk import Disk
from wsedtk.data.store.layouts import Value
from wsedtk.data.tables import GrowingArray, Names, normal, normal_all, slices

P = ParamSpec("P")

TEXT = h5py.string_dtype("utf-8")
BLOCK_BYTES = 1 << 24  # bytes of features or scores that are written or read together
# Columns such as the file names are read and written in blocks of BLOCK rows. A whole column of two
# million clips can take gigabytes of memory.
BLOCK = 4096
_CACHE_BYTES = 1 << 16  # the size of the cache of `_small_cache`


class Overview(TypedDict):
    """The content of a file, except its arrays, as `look` returns it.

    `kind` is "features" or "scores". `shapes` contains the shape of each dataset. `dtype` is the
    type of the features or scores. `clips` is the number of clips. `seconds` is the total duration
    of all clips. `labels` contains the classes, or is None for features. `failed` contains the
    reason for each failed clip, by file name.
    """

    kind: str
    attributes: dict[str, Value]
    shapes: dict[str, tuple[int, ...]]
    dtype: str
    clips: int
    seconds: float
    labels: list[str] | None
    failed: dict[str, str]


class Write(Protocol):
    """A function that runs other functions in a separate thread, which writes a new file.

    `creating` explains why.
    """

    def __call__(self, function: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call `function(*args, **kwargs)`, and wait until it returns.

        Raise OSError if a write has failed.
        """


class NewFile(NamedTuple):
    """A file that is being written, and the function through which all data are written to it."""

    file: h5py.File
    write: Write


class Source(Protocol):
    """Feature files or a score file in which clips are looked up."""

    failed: dict[str, str]

    def rows(self, filenames: Names) -> npt.NDArray[np.int64]:
        """Return the row of each clip (N,), or -1 if it is missing."""


def check_overwrite(path: PathLike, kind: str) -> None:
    """Raise InputError if `path` exists but is not a file of `kind`, "features" or "scores"."""
    if Path(path).is_dir():
        raise InputError(f"{path}: is a folder; choose another path for the output file")
    atomic.check_overwrite(path, lambda path: open_file(path, kind).close())


@contextlib.contextmanager
def creating(path: PathLike, kind: str, attributes: Mapping[str, Value]) -> Iterator[NewFile]:
    """Yield a new HDF5 file. If the block succeeds, the file is renamed to `path`.

    HDF5 can't handle an exception in `Disk`. Handlers of signals may raise an exception (for
    example KeyboardInterrupt), but only in the main thread. All calls of HDF5 are therefore made in
    another thread. In the block, `NewFile.write` makes these calls.

    Parameters
    ----------
    path : path-like
    kind : str
        "features" or "scores".
    attributes : mapping

    Raises
    ------
    InputError
        If `path` can't be written (see `check_overwrite`), if another process is writing it, or if
        the disk is full.
    """
    check_overwrite(path, kind)
    with atomic.locking(atomic.hidden(path, "lock"), path), atomic.writing(path) as temporary:
        with contextlib.closing(Disk(temporary)) as disk, ThreadPoolExecutor(1) as thread:

            def write(function: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
                thread.submit(function, *args, **kwargs).result()
                disk.check()

            file = thread.submit(h5py.File, disk, "w").result()
            try:
                write(file.attrs.update, {"kind": kind, **attributes})
                yield NewFile(file, write)
            finally:
                thread.submit(file.close).result()
            disk.check()


def _open(path: Path) -> h5py.File:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        return h5py.File(path, "r", rdcc_nbytes=0)  # no cache: chunks are read once
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{path}: is not an HDF5 file, or is damaged ({error})") from None


def open_file(path: PathLike, kind: str) -> h5py.File:
    """Open a feature file or a score file for reading.

    Parameters
    ----------
    path : path-like
    kind : str
        "features" or "scores".

    Raises
    ------
    InputError
        If the file is missing or damaged, or is not of this kind.
    """
    path = Path(path)
    if path.is_dir():
        remedy = ""
        if kind == "scores":
            remedy = f"; to convert tables of scores, run wsedtk average {path} scores.h5"
        raise InputError(f"{path}: expected a file of wsedtk {kind}, found a folder{remedy}")
    file = _open(path)
    try:
        with layouts.reading(path):
            found = layouts.attributes(file).get("kind", "another HDF5 file")
            if found != kind:
                raise InputError(f"{path}: expected a file of wsedtk {kind}, found {found}")
            layouts.check(file, kind, path)
    except InputError:
        file.close()
        raise
    return file


def look(path: PathLike) -> Overview:
    """Return the content of a feature file or score file, except its arrays.

    Raises
    ------
    InputError
        If the file is missing or damaged, or is neither a feature file nor a score file.
    """
    path = Path(path)
    with _open(path) as file, layouts.reading(path):
        kind = layouts.attributes(file).get("kind")
    if not isinstance(kind, str) or kind not in layouts.DATASETS:
        found = kind or "another HDF5 file"
        raise InputError(f"{path}: expected a file of wsedtk features or scores, found {found}")
    with open_file(path, kind) as file, layouts.reading(path):
        shapes = {name: dataset.shape for name, dataset in file.items()}
        main = next(name for name in ("features", "frame", "clip") if name in shapes)
        return {
            "kind": kind,
            "attributes": layouts.attributes(file),
            "shapes": shapes,
            "dtype": str(file[main].dtype),
            "clips": len(file["filename"]),
            "seconds": float(file["duration"][:].sum()),
            "labels": read_names([file["labels"]]).tolist() if "labels" in shapes else None,
            "failed": read_failed(file),
        }


@contextlib.contextmanager
def _small_cache(file: h5py.File) -> Iterator[None]:
    """Keep only a few kB of the metadata of an open file in memory within the block.

    HDF5 counts texts as metadata. By default, it keeps several MB of texts of each open file in
    memory, but never uses them again.
    """
    usual, small = file.id.get_mdc_config(), file.id.get_mdc_config()
    usual.set_initial_size = small.set_initial_size = True
    small.initial_size = small.min_size = _CACHE_BYTES
    file.id.set_mdc_config(small)
    try:
        yield
    finally:
        file.id.set_mdc_config(usual)


def read_names(datasets: Sequence[h5py.Dataset]) -> Names:
    """Return the normalised texts of several datasets as one array."""
    names = GrowingArray(sum(map(len, datasets)), "U1")
    for dataset in datasets:
        with layouts.reading(dataset.file.filename), _small_cache(dataset.file):
            for block in slices(len(dataset), BLOCK):
                names.append(np.array(normal_all(dataset.asstr()[block].tolist()), "U"))
    found: Names = names.array()
    return found


def read_failed(file: h5py.File) -> dict[str, str]:
    """Return the reason for each failed clip, by file name."""
    with layouts.reading(file.filename):
        if "failed" not in file:
            return {}
        return {normal(name): reason for name, reason in file["failed"].asstr()[:].tolist()}


def failed_pairs(failed: Mapping[str, str]) -> npt.NDArray[np.object_]:
    """Return the dataset "failed": an array (M, 2) of the names of failed clips and the reasons."""
    return np.array(list(failed.items()), object).reshape(-1, 2)


def rows_of_set_in(
    source: Source, filenames: Names, folder: PathLike, what: str, remedy: str
) -> npt.NDArray[np.int64]:
    """Return the row of each clip (N,) of a set, or -1 for a clip that failed in the source.

    Parameters
    ----------
    source : Source
    filenames : (N,) str
        The clips of the set.
    folder : path-like
        The set, for messages.
    what, remedy : str
        Two texts for messages: what a missing clip lacks, and what to do.

    Raises
    ------
    InputError
        If a clip that did not fail is missing.
    """
    rows = source.rows(filenames)
    missing = filenames[rows < 0]
    missing = missing[~np.isin(missing, list(source.failed))]
    if len(missing):
        have = "has" if len(missing) == 1 else "have"
        raise InputError(
            f"{folder}: {len(missing)} of {len(filenames)} clips {have} no {what}, "
            f"the first {str(missing[0])!r}; {remedy}"
        )
    return rows


class Column(NamedTuple):
    """The type of a dataset that has one row per clip, and the shape of a row."""

    dtype: npt.DTypeLike
    shape: tuple[int, ...] = ()


class Columns:
    """Datasets with one row per clip. The rows are written in blocks.

    Parameters
    ----------
    new : NewFile
    columns : dict of Column
        A mapping from the name of each dataset to its column.
    num_rows : int, optional
        The number of rows of a block (default BLOCK).
    """

    def __init__(
        self, new: NewFile, columns: dict[str, Column], num_rows: int | None = None
    ) -> None:
        self._file, self._write = new
        self._columns = columns
        self._num_rows = num_rows or BLOCK
        self._rows: list[tuple[object, ...]] = []

    def append(self, *row: object) -> None:
        """Add a row. It has one value for each dataset."""
        self._rows.append(row)
        if len(self._rows) == self._num_rows:
            self.flush()

    def flush(self) -> None:
        """Write the rows that are not written yet.

        For a new dataset, the number of these rows becomes the number of rows of a chunk.
        """
        self._write(self._write_rows, self._rows)
        self._rows = []

    def _write_rows(self, rows: list[tuple[object, ...]]) -> None:
        count = len(rows)
        values = zip(*rows) if rows else [()] * len(self._columns)
        for (name, (dtype, shape)), column in zip(self._columns.items(), values):
            if name not in self._file:
                self._file.create_dataset(
                    name,
                    (0, *shape),
                    dtype,
                    maxshape=(None, *shape),
                    chunks=(max(count, 1), *shape),
                )
            dataset = self._file[name]
            dataset.resize(len(dataset) + count, axis=0)
            block = np.array(column, object if dtype is TEXT else dtype)
            dataset[len(dataset) - count :] = block.reshape(count, *shape)
