"""HDF5 files of ours: created whole or not at all, opened only where they are what they say."""

import contextlib
from pathlib import Path

import h5py
import numpy as np

from wsedtk.core import atomic
from wsedtk.core.errors import InputError
from wsedtk.data.store import layouts
from wsedtk.data.store.disk import Disk
from wsedtk.data.tables import normal, normal_all, slices

TEXT = h5py.string_dtype("utf-8")
BLOCK_BYTES = 1 << 24  # of features or frame scores that are written or read together
BLOCK = 4096  # rows of the small columns that are read and written at once: those of two million clips are gigabytes


def check_overwrite(path, kind):
    """Raise InputError where a path holds anything but a file of this kind."""
    if Path(path).is_dir():
        raise InputError(f"{path}: a folder; name a file to write")
    atomic.check_overwrite(path, lambda path: open_file(path, kind).close())


@contextlib.contextmanager
def creating(path, kind, attributes):
    """Yield a new HDF5 file, that becomes `path` when the block succeeds, and a function that raises OSError once the disk refuses more.

    Raises InputError where it refuses, or `path` can't be written, see `check_overwrite`. Not to be ended by a signal: HDF5 does not
    survive an exception in `Disk`, so that callers note signals (`signals.noted`).
    """
    check_overwrite(path, kind)
    with atomic.locking(atomic.hidden(path, "lock"), path), atomic.writing(path) as temporary:
        with contextlib.closing(Disk(temporary)) as disk:
            with h5py.File(disk, "w") as file:
                file.attrs.update({"kind": kind, **attributes})
                yield file, disk.check
            disk.check()


def _opened(path):
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        return h5py.File(
            path, "r", rdcc_nbytes=0
        )  # a chunk is a clip: to keep the last ones, file by file, would serve nobody
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{path}: not an HDF5 file, or a damaged one ({error})") from None


def open_file(path, kind):
    """Open a whole HDF5 file of a kind for reading. Raises InputError that says what is there instead."""
    path = Path(path)
    if path.is_dir():
        remedy = f"; of tables of frame scores, wsedtk average {path} scores.h5 makes one"
        raise InputError(
            f"{path}: expected a file of wsedtk {kind}, found a folder"
            + (remedy if kind == "scores" else "")
        )
    file = _opened(path)
    try:
        with layouts.reading(path):
            found = layouts.attributes(file).get("kind", "an unknown kind")
            if found != kind:
                raise InputError(f"{path}: expected a file of wsedtk {kind}, found {found}")
            layouts.check(file, kind, path)
    except InputError:
        file.close()
        raise
    return file


def look(path):
    """What a file of ours is, without its arrays: {kind, attributes, shapes, dtype, clips, seconds, labels or None, failed}.

    seconds: of all clips; dtype: of features or frames. Raises InputError where it is no such file, or a damaged one.
    """
    path = Path(path)
    with _opened(path) as file:
        with layouts.reading(path):
            kind = layouts.attributes(file).get("kind")
    if kind not in layouts.DATASETS:
        raise InputError(
            f"{path}: expected a file of wsedtk features or scores, found {kind or 'another HDF5 file'}"
        )
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


def read_names(datasets):
    """Text datasets, one after the other, as one numpy array of str."""
    names, end = np.empty(sum(map(len, datasets)), "<U1"), 0
    for dataset in datasets:
        for block in slices(len(dataset), BLOCK):
            with layouts.reading(dataset.file.filename):
                read = np.array(normal_all(dataset.asstr()[block].tolist()), dtype=str)
            if read.dtype.itemsize > names.dtype.itemsize:
                names = names.astype(read.dtype)
            names[end : end + len(read)] = read
            end += len(read)
    return names


def read_failed(file):
    """The clips that could not be read, with the reason: {file name: reason}."""
    with layouts.reading(file.filename):
        pairs = file["failed"].asstr()[:].tolist() if "failed" in file else []
        return {normal(name): reason for name, reason in pairs}


def rows_of_set_in(source, filenames, folder, what, remedy):
    """The row of each clip (N,) of a set; -1 for one that the source lists as failed. Raises InputError where any other is missing."""
    rows = source.rows(filenames)
    missing = filenames[rows < 0]
    missing = missing[~np.isin(missing, list(source.failed))]
    if len(missing):
        raise InputError(
            f"{folder}: {len(missing)} of {len(filenames)} clips have no {what}, the first {str(missing[0])!r}; {remedy}"
        )
    return rows


class Columns:
    """Datasets that hold one row a clip, written `rows` (BLOCK) rows at a time."""

    def __init__(self, file, kinds, rows=None):
        self._file, self._kinds, self._size, self._rows = (
            file,
            kinds,
            rows or BLOCK,
            [],
        )  # kinds: {name: (dtype, shape of a row)}

    def append(self, *row):
        """Add one value to each dataset."""
        self._rows.append(row)
        if len(self._rows) == self._size:
            self.flush()

    def flush(self):
        """Write the rows that are waiting. Where a dataset is new, their number becomes the size of its chunks."""
        count, columns = (
            len(self._rows),
            zip(*self._rows) if self._rows else [()] * len(self._kinds),
        )
        for (name, (dtype, shape)), values in zip(self._kinds.items(), columns):
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
            dataset[len(dataset) - count :] = np.array(
                values, object if dtype is TEXT else dtype
            ).reshape(count, *shape)
        self._rows = []
