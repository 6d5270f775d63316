"""What files of features and of scores must look like. It is looked at before anything in them is read: they may come from anybody.

N clips, T frames, F mel bins, S segments, K classes, M failed clips.

HDF5 lets a file name others (links, external storage, virtual datasets), unpack itself to any size, and repeat one text a million
times. None of that is in files that wsedtk writes, so none is read. What is left takes no more memory than the file is long.
"""

import contextlib
import json

import numpy as np

from wsedtk.core.errors import InputError
from wsedtk.data.clip_names import LONGEST_SECONDS
from wsedtk.data.tables import slices, unfit

DATASETS = {  # name: (float, integer or text; its axes, the same letter the same length)
    "features": {
        "features": ("f", "NTF"),
        "num_frames": ("i", "N"),
        "duration": ("f", "N"),
        "mean": ("f", "NF"),
        "squared_deviations": ("f", "NF"),
        "filename": ("t", "N"),
        "failed": ("t", "M2"),
    },
    "scores": {
        "clip": ("f", "NK"),
        "frame": ("f", "NTK"),
        "segment": ("f", "NSK"),
        "weight": ("f", "NTK"),
        "num_frames": ("i", "N"),
        "duration": ("f", "N"),
        "filename": ("t", "N"),
        "labels": ("t", "K"),
        "failed": ("t", "M2"),
    },
}
OPTIONAL = {"features": (), "scores": ("frame", "weight", "failed")}
ATTRIBUTES = {
    "features": {"frontend": str, "fingerprint": str},
    "scores": {"seconds_per_frame": float, "model": str, "fingerprint": str},
}
_WORDS = {"f": "floating-point numbers", "i": "whole numbers", "t": "text"}
_FLETCHER32 = 3  # the filter that our files have: checksums
_TEXT_RECORD = np.dtype(
    [("length", "<u4"), ("address", "<u8"), ("index", "<u4")]
)  # what stands for a text in a dataset
_LONGEST_TEXT = 1 << 16  # bytes
_BLOCK_ROWS = 4096  # names that are compared at once


@contextlib.contextmanager
def reading(path):
    """Turn what damaged bytes make HDF5 raise into an InputError that names the file."""
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
        raise InputError(
            f"{path}: a damaged file ({(str(error).splitlines() or [type(error).__name__])[0]})"
        ) from None


def attributes(file):
    """The attributes of an open HDF5 file that are one text or number each."""
    found = {}
    for name in file.attrs:
        if file.attrs.get_id(name).shape == ():
            value = file.attrs[name]
            value = value.item() if isinstance(value, np.generic) else value
            if isinstance(value, (str, bool, int, float)):
                found[name] = value
    return found


def _spans(dataset):
    """Where a dataset lies in its file: (start, bytes) of each part."""
    if dataset.chunks is None:
        return (
            [(dataset.id.get_offset(), dataset.id.get_storage_size())]
            if dataset.id.get_offset() is not None
            else []
        )
    infos = (dataset.id.get_chunk_info(i) for i in range(dataset.id.get_num_chunks()))
    return [(info.byte_offset, info.size) for info in infos]


def _check_texts(dataset, where, path, size):
    """Raise InputError where texts are too long, or longer together than the file: many may point at the same bytes of it."""
    total, records = 0, 0
    with open(path, "rb") as file:
        for start, length in _spans(dataset):
            file.seek(start)
            lengths = np.frombuffer(
                file.read(length - length % _TEXT_RECORD.itemsize), _TEXT_RECORD
            )["length"]
            records += len(lengths)
            total += int(lengths.sum(dtype=np.uint64))
            if lengths.max(initial=0) > _LONGEST_TEXT or total > size:
                raise InputError(
                    f"{where}: texts of {max(total, int(lengths.max())):,} bytes in a file of {size:,}; not read"
                )
    if records < dataset.size:
        raise InputError(
            f"{where}: {dataset.size:,} texts, of which the file holds {records:,}; not read"
        )


def _check_dataset(dataset, where, path, size, kind, axes, lengths):
    """Check one dataset; `lengths` collects {axis: (length, where it was found)}."""
    shape, dtype = getattr(dataset, "shape", None), getattr(dataset, "dtype", None)
    if shape is None:
        raise InputError(f"{where}: expected a table of {_WORDS[kind]}, found a group, or nothing")
    if dataset.external:
        raise InputError(
            f"{where}: its data are said to lie in another file, {dataset.external[0][0]!r}, which is not opened"
        )
    if dataset.is_virtual:
        raise InputError(
            f"{where}: is a virtual dataset, made of other files, which are not opened"
        )
    plist = dataset.id.get_create_plist()
    filters = [plist.get_filter(i) for i in range(plist.get_nfilters())]
    if any(number != _FLETCHER32 for number, *_ in filters):
        raise InputError(
            f"{where}: is compressed, which is not read here: it may be of any size; `h5repack -f NONE IN OUT` unpacks it"
        )
    is_text = (dtype.metadata or {}).get("vlen") is str
    if not (
        is_text
        if kind == "t"
        else dtype.kind in {"f": "f", "i": "iu"}[kind] and dtype.itemsize <= 8
    ):
        raise InputError(
            f"{where}: expected {_WORDS[kind]}, found {dtype if dtype.kind != 'O' else 'something else'}"
        )
    if len(shape) != len(axes):
        raise InputError(f"{where}: expected {len(axes)} axes, ({', '.join(axes)}), found {shape}")
    for axis, length in zip(axes, shape):
        expected, other = (
            lengths.setdefault(axis, (length, where))
            if axis.isalpha()
            else (int(axis), "a pair of texts")
        )
        if length != expected:
            raise InputError(
                f"{where}: {shape} does not fit {other}: expected {expected} along {axis} of ({', '.join(axes)})"
            )
    width = _TEXT_RECORD.itemsize if is_text else dtype.itemsize
    claimed = width * max(
        int(np.prod(part, dtype=object)) for part in (shape, dataset.chunks or ())
    )
    if claimed > size and 0 not in shape:
        raise InputError(
            f"{where}: claims {claimed:,} bytes in a file of {size:,}; it is damaged, or made to fill the memory"
        )
    if is_text:
        _check_texts(dataset, where, path, size)


def check(file, kind, path):
    """Raise InputError where an open HDF5 file is not as the layout of its kind says, or holds what is not to be followed."""
    for name in file:
        link = type(file.get(name, getlink=True)).__name__
        if link != "HardLink":
            raise InputError(
                f"{path}: {name!r} is a link to something else ({link}), which is not followed; expected the data themselves"
            )
    size, lengths = path.stat().st_size, {}
    for name, (word, axes) in DATASETS[kind].items():
        if name in file:
            _check_dataset(file[name], f"{path}: {name}", path, size, word, axes, lengths)
        elif name not in OPTIONAL[kind]:
            raise InputError(f"{path}: lacks {name!r}, which a file of {kind} has")
    found = attributes(file)
    for name, expected in ATTRIBUTES[kind].items():
        if not isinstance(found.get(name), expected):
            raise InputError(
                f"{path}: the attribute {name!r}: expected {expected.__name__}, found {found.get(name)!r}"
            )


def check_clips(path, filenames, num_frames, durations, most_frames):
    """Raise InputError naming the first clip (N,) whose frames or seconds can't be; most_frames: T, or None."""
    for what, values, wrong in (
        ("frames", num_frames, (num_frames < 1) | (num_frames > (most_frames or np.inf))),
        ("seconds", durations, ~((durations > 0) & (durations <= LONGEST_SECONDS))),
    ):
        if wrong.any():
            first = int(wrong.argmax())
            raise InputError(
                f"{path}: {int(wrong.sum())} clips have an impossible number of {what}, the first "
                f"{str(filenames[first])!r}: {values[first]}"
            )


def frontend(text, path):
    """The front end of a feature file, a mapping, of its JSON. Raises InputError."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InputError(
            f"{path}: the attribute 'frontend': expected a front end as JSON, found {text[:100]!r}"
        )
    return found


def check_texts(path, texts):
    """Raise InputError for the first of some names and classes that is empty, or that a table can't hold."""
    odd = "" if "" in texts else unfit(texts)
    if odd is not None:
        raise InputError(f"{path}: {odd[:200]!r}: a clip or class can't be named so")


def check_once(path, filenames, order):
    """Raise InputError where a file name (N,) stands twice, or can't stand in a table; order: what sorts them."""
    for block in slices(len(filenames), _BLOCK_ROWS):
        names = filenames[order[block.start : block.stop + 1]]
        check_texts(path, names.tolist())
        twice = np.flatnonzero(names[1:] == names[:-1])
        if len(twice):
            raise InputError(f"{path}: the clip {str(names[twice[0]])!r} stands in them twice")


def check_scores(scores, most_frames):
    """Raise InputError where the clips, classes and times of a score file can't be; most_frames: T, or None."""
    labels = scores.labels
    if not len(scores) or not labels or len(set(labels)) < len(labels):
        raise InputError(
            f"{scores.path}: expected clips, and classes, each once; found {len(scores)} clips, the classes {labels[:20]}"
        )
    check_texts(scores.path, labels)
    check_once(scores.path, scores.filenames, np.argsort(scores.filenames, kind="stable"))
    if not 1e-6 <= scores.seconds_per_frame <= LONGEST_SECONDS:
        raise InputError(
            f"{scores.path}: the attribute 'seconds_per_frame': expected seconds, found {scores.seconds_per_frame}"
        )
    check_clips(scores.path, scores.filenames, scores.num_frames, scores.durations, most_frames)


def wrong_rows(name, values):
    """Which rows (B,) of scores (B, ..., K), or of weights, hold any that is none. A millionth above 1 is rounding."""
    highest = np.finfo(values.dtype).max if name == "weight" else 1 + 1e-6
    return ~((values >= 0) & (values <= highest)).all(axis=tuple(range(1, values.ndim)))
