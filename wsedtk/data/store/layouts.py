"""Define the layouts of feature files and score files, and check files against their layouts.

Files may come from untrusted sources, so they are checked before their data are read. An HDF5 file
can refer to other files (links, external storage, virtual datasets). It can also expand to any size
when it is decompressed, and refer to one text a million times. wsedtk does not write such files,
and rejects them. A dataset of an accepted file is not larger than the file.

This module itself parses the records of texts (see `_TEXT_RECORD`), because h5py returns the length
of a text only after it has read the text. Texts of a fixed length would need no parser, but would
change the file format.

Sizes: N clips, T frames, F mel bins, S segments, K classes, M failed clips.
"""

import contextlib
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.types import Booleans, Floats, Integers
from wsedtk.core.wording import counted
from wsedtk.data.clip_names import LONGEST_SECONDS
from wsedtk.data.tables import Names, slices, unfit


class Layout(NamedTuple):
    """The type and the axes of an HDF5 dataset.

    Attributes
    ----------
    kind : str
        A key of `_WORDS`: floating-point numbers (f), integers (i) or texts (t).
    axes : str
        One character per axis. Axes with the same letter have the same length in all datasets of a
        file. A digit is the length of its axis.
    """

    kind: str
    axes: str


Value = str | bool | int | float  # the value of an attribute

DATASETS = {
    "features": {
        "features": Layout("f", "NTF"),
        "num_frames": Layout("i", "N"),
        "duration": Layout("f", "N"),
        "mean": Layout("f", "NF"),
        "squared_deviations": Layout("f", "NF"),
        "filename": Layout("t", "N"),
        "failed": Layout("t", "M2"),
    },
    "scores": {
        "clip": Layout("f", "NK"),
        "frame": Layout("f", "NTK"),
        "segment": Layout("f", "NSK"),
        "weight": Layout("f", "NTK"),
        "num_frames": Layout("i", "N"),
        "duration": Layout("f", "N"),
        "filename": Layout("t", "N"),
        "labels": Layout("t", "K"),
        "failed": Layout("t", "M2"),
    },
}
OPTIONAL: dict[str, tuple[str, ...]] = {"features": (), "scores": ("frame", "weight", "failed")}
_ATTRIBUTES: dict[str, dict[str, type]] = {
    "features": {"frontend": str, "fingerprint": str},
    "scores": {"seconds_per_frame": float, "model": str, "fingerprint": str},
}
_WORDS = {"f": "floating-point numbers", "i": "whole numbers", "t": "text"}
_NUMPY_KINDS = {"f": "f", "i": "iu"}
_FLETCHER32 = 3  # the filter for checksums, the only filter that wsedtk uses
# The record of one text in a dataset of texts: the length of the text, and its place in the file
_TEXT_RECORD = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])
_LONGEST_TEXT = 1 << 16  # bytes
_BLOCK_ROWS = 4096  # file names that are compared together


@contextlib.contextmanager
def reading(path: PathLike) -> Iterator[None]:
    """Turn the exceptions that h5py raises for damaged files into an InputError.

    Parameters
    ----------
    path : path-like
        The file, or the part of a file that is read. It is used in the message.
    """
    try:
        yield
    except (
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        MemoryError,
    ) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"{path}: the file is damaged ({lines[0]})") from None


def attributes(file: h5py.File) -> dict[str, Value]:
    """Return those attributes of an open HDF5 file that are a single text, boolean or number."""
    found: dict[str, Value] = {}
    for name in file.attrs:
        if file.attrs.get_id(name).shape == ():
            value = file.attrs[name]
            value = value.item() if isinstance(value, np.generic) else value
            if isinstance(value, (str, bool, int, float)):
                found[name] = value
    return found


class _Checker:
    """An object that checks the datasets of one file against their layouts.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = path.stat().st_size
        # The length of each axis, and the first dataset with this axis
        self._lengths: dict[str, tuple[int, str]] = {}

    def check(self, name: str, dataset: h5py.Dataset, layout: Layout) -> None:
        """Raise InputError if a dataset does not have its layout or can't be read safely."""
        where = f"{self._path}: {name}"
        if getattr(dataset, "shape", None) is None:
            expected = f"an array of {_WORDS[layout.kind]}"
            raise InputError(f"{where}: expected {expected}, found a group or an empty dataset")
        _check_storage(dataset, where)
        _check_type(dataset, where, layout.kind)
        self._check_shape(dataset.shape, where, layout.axes)
        self._check_size(dataset, where)
        if layout.kind == "t":
            self._check_texts(dataset, where)

    def _check_shape(self, shape: tuple[int, ...], where: str, axes: str) -> None:
        names = f"({', '.join(axes)})"
        if len(shape) != len(axes):
            raise InputError(f"{where}: expected the axes {names}, found the shape {shape}")
        for axis, length in zip(axes, shape):
            if axis.isalpha():
                expected, other = self._lengths.setdefault(axis, (length, where))
            else:
                expected, other = int(axis), "each pair of texts"
            if length != expected:
                raise InputError(
                    f"{where}: found the shape {shape} for the axes {names}; expected the length "
                    f"{expected} for axis {axis}, as in {other}"
                )

    def _check_size(self, dataset: h5py.Dataset, where: str) -> None:
        """Raise InputError if a dataset or one of its chunks would be larger than the file.

        A dataset without elements is accepted.
        """
        width = _TEXT_RECORD.itemsize if _is_text(dataset) else dataset.dtype.itemsize
        shapes = (dataset.shape, dataset.chunks or ())
        claimed = width * max(int(np.prod(shape, dtype=object)) for shape in shapes)
        if claimed > self._size and 0 not in dataset.shape:
            raise InputError(
                f"{where}: needs {claimed:,} bytes, but the file has only {self._size:,} bytes; "
                "the file is damaged or malicious"
            )

    def _check_texts(self, dataset: h5py.Dataset, where: str) -> None:
        """Raise InputError if texts are missing or too long, or together exceed the file size.

        The texts can exceed the file size because many texts can refer to the same bytes.
        """
        total = num_records = 0
        with open(self._path, "rb") as file:
            for start, length in _spans(dataset):
                file.seek(start)
                records = file.read(length - length % _TEXT_RECORD.itemsize)
                lengths = np.frombuffer(records, _TEXT_RECORD)["length"]
                num_records += len(lengths)
                total += int(lengths.sum(dtype=np.uint64))
                longest = int(lengths.max(initial=0))
                if longest > _LONGEST_TEXT or total > self._size:
                    raise InputError(
                        f"{where}: its texts have {max(total, longest):,} bytes; expected at most "
                        f"{_LONGEST_TEXT:,} bytes per text and {self._size:,} bytes for all texts"
                    )
        if num_records < dataset.size:
            raise InputError(
                f"{where}: expected {dataset.size:,} texts, but the file contains only "
                f"{num_records:,}; the file is damaged or malicious"
            )


def _is_text(dataset: h5py.Dataset) -> bool:
    return (dataset.dtype.metadata or {}).get("vlen") is str


def _spans(dataset: h5py.Dataset) -> list[tuple[int, int]]:
    """Return (start, number of bytes) of each contiguous part of a dataset in its file."""
    if dataset.chunks is None:
        start = dataset.id.get_offset()
        return [] if start is None else [(start, dataset.id.get_storage_size())]
    chunks = (dataset.id.get_chunk_info(i) for i in range(dataset.id.get_num_chunks()))
    return [(chunk.byte_offset, chunk.size) for chunk in chunks]


def _check_storage(dataset: h5py.Dataset, where: str) -> None:
    """Raise InputError if the data of a dataset are in other files, or have been filtered.

    Compression is a filter. The filter for checksums is accepted.
    """
    if dataset.external:
        raise InputError(
            f"{where}: its data are in another file, {dataset.external[0][0]!r}, "
            "which is not opened"
        )
    if dataset.is_virtual:
        raise InputError(
            f"{where}: is a virtual dataset; its data are in other files, which are not opened"
        )
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(i) for i in range(properties.get_nfilters())]
    if any(number != _FLETCHER32 for number, *_ in filters):
        raise InputError(
            f"{where}: compressed data are not read, because they may expand to any size; "
            "decompress the file with `h5repack -f NONE IN OUT`"
        )


def _check_type(dataset: h5py.Dataset, where: str, kind: str) -> None:
    """Raise InputError if the type of a dataset does not match `kind` (see `Layout`)."""
    dtype = dataset.dtype
    if kind == "t":
        is_right = _is_text(dataset)
    else:
        is_right = dtype.kind in _NUMPY_KINDS[kind] and dtype.itemsize <= 8
    if not is_right:
        found = dtype if dtype.kind != "O" else "an unsupported type"
        raise InputError(f"{where}: expected {_WORDS[kind]}, found {found}")


def check(file: h5py.File, kind: str, path: Path) -> None:
    """Check an open HDF5 file against the layouts of its kind, "features" or "scores".

    Raises
    ------
    InputError
        If the file does not have the layouts or can't be read safely.
    """
    for name in file:
        link = type(file.get(name, getlink=True)).__name__
        if link != "HardLink":
            raise InputError(
                f"{path}: {name!r} is a link ({link}), which is not followed; expected a dataset"
            )
    checker = _Checker(path)
    for name, layout in DATASETS[kind].items():
        if name in file:
            checker.check(name, file[name], layout)
        elif name not in OPTIONAL[kind]:
            raise InputError(f"{path}: lacks the dataset {name!r}, which files of {kind} need")
    found = attributes(file)
    for name, expected in _ATTRIBUTES[kind].items():
        if not isinstance(found.get(name), expected):
            raise InputError(
                f"{path}: the attribute {name!r}: expected {expected.__name__}, "
                f"found {found.get(name)!r}"
            )


def check_clips(
    path: PathLike,
    filenames: Names,
    num_frames: Integers,
    durations: Floats,
    most_frames: int | None,
) -> None:
    """Raise InputError if the number of frames or the duration of a clip (N,) is impossible.

    Parameters
    ----------
    path : path-like
    filenames : (N,) str
    num_frames : (N,) int
    durations : (N,) float
        In seconds.
    most_frames : int or None
        T, the largest number of frames that a clip in the file can have. None if the file has no
        frames.
    """
    wrong_frames = num_frames < 1
    if most_frames:
        wrong_frames |= num_frames > most_frames
    _check_each(path, "frames", filenames, num_frames, wrong_frames)
    wrong_seconds = ~((durations > 0) & (durations <= LONGEST_SECONDS))
    _check_each(path, "seconds", filenames, durations, wrong_seconds)


def _check_each(
    path: PathLike, what: str, filenames: Names, values: npt.NDArray[Any], is_wrong: Booleans
) -> None:
    """Raise InputError if a value (N,) is wrong.

    The message names the first clip with a wrong value.
    """
    if is_wrong.any():
        first = int(is_wrong.argmax())
        have = counted(int(is_wrong.sum()), "clip has", "clips have")
        raise InputError(
            f"{path}: {have} an impossible number of {what}, "
            f"the first {str(filenames[first])!r}: {values[first]}"
        )


def frontend(text: str, path: PathLike) -> dict[str, Any]:
    """Parse the front end of a feature file from JSON.

    Raises
    ------
    InputError
        If the text is not a JSON mapping.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InputError(
            f"{path}: the attribute 'frontend': expected a front end as JSON, found {text[:100]!r}"
        )
    return found


def check_texts(path: PathLike, texts: Collection[str]) -> None:
    """Raise InputError if a name or class is empty or can't be written to a table.

    See `tables.unfit` for the characters that a table can't contain.
    """
    odd = "" if "" in texts else unfit(texts)
    if odd is not None:
        raise InputError(f"{path}: {odd[:200]!r}: no clip or class can have this name")


def check_once(path: PathLike, filenames: Names, order: Integers) -> None:
    """Raise InputError if a file name occurs twice, is empty or can't be written to a table.

    Parameters
    ----------
    path : path-like
    filenames : (N,) str
    order : (N,) int
        The indices that sort the file names.
    """
    for block in slices(len(filenames), _BLOCK_ROWS):
        names = filenames[order[block.start : block.stop + 1]]
        check_texts(path, names.tolist())
        twice = np.flatnonzero(names[1:] == names[:-1])
        if len(twice):
            raise InputError(f"{path}: the clip {str(names[twice[0]])!r} occurs twice")


def wrong_rows(name: str, values: Floats) -> Booleans:
    """Return a mask (B,) of the wrong rows: rows with a NaN, or with a score outside 0 to 1.

    `values` has the shape (B, ..., K).

    Because of rounding, scores up to 1 + 1e-6 are accepted. Weights (`name` is "weight") may be any
    finite numbers >= 0.
    """
    highest = np.finfo(values.dtype).max if name == "weight" else 1 + 1e-6
    is_right = (values >= 0) & (values <= highest)
    wrong: Booleans = np.logical_not(is_right.all(axis=tuple(range(1, values.ndim))))
    return wrong
