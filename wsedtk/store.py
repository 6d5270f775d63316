"""HDF5 files of features and of scores. The only module that knows h5py.

N clips, T frames, F mel bins, S segments, K classes. Files appear whole or not at all.

    features.h5   features (N, T_max, F), num_frames (N,), duration (N,), mean (N, F), squared_deviations (N, F), filename (N,);
                  failed (filename, reason): clips that could not be read; attributes: the front end and its fingerprint, those of
                  the list of clips, of the data set and of its audio where it is known
    scores.h5     clip (N, K), frame (N, T, K), segment (N, S, K), weight (N, T, K) with attention, num_frames (N,),
                  duration (N,), filename (N,), labels (K,), failed (filename, reason); attributes: seconds_per_frame, model,
                  features, fingerprint, clips_fingerprint, audio_fingerprint
"""

import contextlib
import hashlib
import json
import os
import re
from pathlib import Path

import h5py
import numpy as np

from wsedtk import layouts, provenance
from wsedtk.atomic import locking, writing
from wsedtk.datadir import fingerprint_clips
from wsedtk.disk import Disk
from wsedtk.errors import InputError
from wsedtk.tables import find, slices

_TEXT = h5py.string_dtype("utf-8")
_BLOCK_BYTES = 1 << 24  # of features or frame scores that are written or read together
_CLIPS_CACHED = 256  # that are read at once
_CLIPS_AT_ONCE = 8  # whose features are written together: each alone takes longer
BLOCK = 4096  # rows of the small columns that are read and written at once: those of two million clips are gigabytes


def check_overwrite(path, kind):
    """Raise InputError where a path holds anything but a file of this kind."""
    if Path(path).is_dir():
        raise InputError(f"{path}: a folder; name a file to write")
    if Path(path).is_file():
        try:
            _open(path, kind).close()
        except InputError as error:
            raise InputError(f"{error}; it is not overwritten: name another output, or remove it") from None


@contextlib.contextmanager
def _creating(path, kind, attributes):
    """Yield a new HDF5 file, that becomes `path` when the block succeeds, and a function that raises OSError once the disk refuses more.

    Raises InputError where it refuses, or `path` can't be written, see `check_overwrite`.
    """
    check_overwrite(path, kind)
    path = Path(path)
    with locking(path.parent / f".{path.name[-60:]}.lock", path), writing(path) as temporary:  # the end tells shards apart
        with contextlib.closing(Disk(temporary)) as disk:
            with h5py.File(disk, "w") as file:
                file.attrs.update({"kind": kind, **attributes})
                yield file, disk.check
            disk.check()


def _open(path, kind):
    """Open a whole HDF5 file of a kind for reading. Raises InputError that says what is there instead."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        file = h5py.File(path, "r", rdcc_nbytes=0)  # a chunk is a clip: to keep the last ones, file by file, would serve nobody
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{path}: not an HDF5 file, or a damaged one ({error})") from None
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


def _names(datasets):
    """Text datasets, one after the other, as one numpy array of str."""
    names, end = np.empty(sum(map(len, datasets)), "<U1"), 0
    for dataset in datasets:
        for block in slices(len(dataset), BLOCK):
            with layouts.reading(dataset.file.filename):
                read = np.array(dataset.asstr()[block].tolist(), dtype=str)
            if read.dtype.itemsize > names.dtype.itemsize:
                names = names.astype(read.dtype)
            names[end:end + len(read)] = read
            end += len(read)
    return names


def _failed(file):
    """The clips that could not be read, with the reason: {file name: reason}."""
    with layouts.reading(file.filename):
        return dict(file["failed"].asstr()[:].tolist()) if "failed" in file else {}


def _rows_of_set(source, filenames, folder, what, remedy):
    """The row of each clip (N,) of a set; -1 for one that the source lists as failed. Raises InputError where any other is missing."""
    rows = source.rows(filenames)
    missing = filenames[rows < 0]
    missing = missing[~np.isin(missing, list(source.failed))]
    if len(missing):
        raise InputError(f"{folder}: {len(missing)} of {len(filenames)} clips have no {what}, the first {str(missing[0])!r}; {remedy}")
    return rows


class _Columns:
    """Datasets that hold one row a clip, written `rows` (BLOCK) rows at a time."""

    def __init__(self, file, kinds, rows=None):
        self._file, self._kinds, self._size, self._rows = file, kinds, rows or BLOCK, []  # kinds: {name: (dtype, shape of a row)}

    def append(self, *row):
        """Add one value to each dataset."""
        self._rows.append(row)
        if len(self._rows) == self._size:
            self.flush()

    def flush(self):
        """Write the rows that are waiting. Where a dataset is new, their number becomes the size of its chunks."""
        count, columns = len(self._rows), zip(*self._rows) if self._rows else [()] * len(self._kinds)
        for (name, (dtype, shape)), values in zip(self._kinds.items(), columns):
            if name not in self._file:
                self._file.create_dataset(name, (0, *shape), dtype, maxshape=(None, *shape), chunks=(max(count, 1), *shape))
            dataset = self._file[name]
            dataset.resize(len(dataset) + count, axis=0)
            dataset[len(dataset) - count:] = np.array(values, object if dtype is _TEXT else dtype).reshape(count, *shape)
        self._rows = []


@contextlib.contextmanager
def writing_features(path, max_frames, num_bins, dtype, frontend, frontend_fingerprint, about=None):
    """Yield `append(filename, features, duration)` for the clips of a new feature file, and a dict for those that failed.

    features: (T, F) with T <= max_frames; duration: seconds; frontend: a plain mapping; the dict takes filename -> reason.
    about: more attributes, plain values, as they are when the block ends.
    """
    attributes = {"frontend": json.dumps(frontend), "fingerprint": frontend_fingerprint}
    shape, bins, failed = (max_frames, num_bins), (np.float64, (num_bins,)), {}
    with _creating(path, "features", attributes) as (file, check):
        file.create_dataset("features", (0, *shape), dtype, maxshape=(None, *shape), chunks=(1, *shape), fletcher32=True)
        at_once = min(_CLIPS_AT_ONCE, 1 + _BLOCK_BYTES // (max_frames * num_bins * np.dtype(dtype).itemsize))
        clips = _Columns(file, {"features": (dtype, shape)}, at_once)
        columns = _Columns(file, {"filename": (_TEXT, ()), "num_frames": (np.int32, ()), "duration": (np.float64, ()),
                                  "mean": bins, "squared_deviations": bins})

        def append(filename, features, duration):
            row = np.zeros(shape, dtype)
            row[:len(features)] = features
            stored = row[:len(features)].astype(np.float64)
            mean = stored.mean(axis=0)
            stored -= mean
            columns.append(filename, len(features), duration, mean, np.square(stored, out=stored).sum(axis=0))
            clips.append(row)
            check()

        yield append, failed
        clips.flush()
        columns.flush()
        file.attrs["clips_fingerprint"] = fingerprint_clips(_names([file["filename"]]))
        file.create_dataset("failed", data=np.array(list(failed.items()), object).reshape(-1, 2), dtype=_TEXT)
        file.attrs.update(about or {})


def read_about(path):
    """The attributes of a feature file, and {file name: reason} of the clips that failed. Raises InputError."""
    with _open(path, "features") as file:
        return dict(file.attrs), _failed(file)


def shard_path(path, shard, num_shards):
    """The file of one shard: `<set>.K-of-N.h5`."""
    path = Path(path)
    return path.with_name(f"{path.stem}.{shard}-of-{num_shards}{path.suffix}")


def find_shards(path):
    """The files behind a feature path: itself, or all of its shards. Raises InputError where one is missing."""
    path = Path(path)
    if path.exists():
        return [path]
    pattern = re.compile(re.escape(path.stem) + r"\.(\d+)-of-(\d+)" + re.escape(path.suffix))
    names = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
    counts = sorted({int(m.group(2)) for m in map(pattern.fullmatch, names) if m})
    if not counts:
        raise InputError(f"{path}: no such file, nor shards of it; wsedtk extract makes it")
    if len(counts) > 1:
        raise InputError(f"{path}: shards of {' and of '.join(map(str, counts))} lie side by side; remove the old ones")
    shards = [shard_path(path, k, counts[0]) for k in range(1, counts[0] + 1)]
    missing = [p.name for p in shards if not p.exists()]
    if missing:
        raise InputError(f"{path}: shard {missing[0]} is missing ({len(missing)} of {counts[0]} are)")
    return shards


def _available_bytes():
    """Memory that can be had without pushing others out of it, as far as the system tells; in a container what that may take."""
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
        available = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):  # no such limit
        limit, taken = (int(Path(f"/sys/fs/cgroup/memory.{name}").read_text(encoding="ascii")) for name in ("max", "current"))
        available = min(available, limit - taken)
    return available


def _last_change(file):
    """When an open file was last written to, and its size."""
    status = os.fstat(file.id.get_vfd_handle())
    return status.st_mtime_ns, status.st_size


class FeatureStore:
    """Feature files read as one. Rows are numbered over all files, in their order."""

    def __init__(self, paths):
        self._files, self.failed, self.paths, self.audio, self._opened = [], {}, [str(p) for p in paths], [], []
        for path, is_first in [(shard, not number) for p in paths for number, shard in enumerate(find_shards(p))]:
            file = _open(path, "features")
            self._files.append(file)
            self._opened.append(_last_change(file))
            self.failed.update(_failed(file))
            first = self._files[0]
            for what, mine, theirs in (("front end", file.attrs["fingerprint"], first.attrs["fingerprint"]),
                                       ("number of mel bins", file["features"].shape[2], first["features"].shape[2])):
                if mine != theirs:
                    raise InputError(f"{path}: made with another {what} ({mine}) than {first.filename} ({theirs}); extract both alike")
            audio = str(file.attrs.get("audio_fingerprint", ""))
            if is_first:
                self.audio.append(audio)  # one a path
            elif audio != self.audio[-1]:
                raise InputError(f"{path}: extracted from another version of the set ({audio or 'unknown'}) than the shards before it "
                                 f"({self.audio[-1] or 'unknown'}); extract it again")
        self.frontend = layouts.frontend(self._files[0].attrs["frontend"], self._files[0].filename)
        self.fingerprint = str(self._files[0].attrs["fingerprint"])
        self.filenames = _names([f["filename"] for f in self._files])
        with layouts.reading(", ".join(self.paths)):
            self.num_frames = np.concatenate([f["num_frames"][:] for f in self._files]).astype(np.int64)
            self.durations = np.concatenate([f["duration"][:] for f in self._files])
        self._data = [f["features"] for f in self._files]  # kept open: to open one takes longer than to read a clip
        self._starts = np.cumsum([0, *map(len, self._data)])
        self._kept = self._place_kept = None  # features in memory, and where each row's are among them, see `cache`
        self.order = np.argsort(self.filenames, kind="stable")  # (N,) rows by file name; quick where files are sorted
        layouts.check_once(", ".join(self.paths), self.filenames, self.order)
        for file, first, data in zip(self._files, self._starts.tolist(), self._data):
            part = slice(first, first + len(data))
            layouts.check_clips(file.filename, self.filenames[part], self.num_frames[part], self.durations[part], data.shape[1])

    def __len__(self):
        return len(self.filenames)

    def rows(self, filenames):
        """The row of each file name (N,); -1 where the store does not hold it."""
        return find(self.filenames, filenames, self.order)

    def rows_of_set(self, dataset, folder):
        """The row of each clip (N,) of a set; -1 for one whose audio failed.

        Raises InputError where any other is missing, or the features are of other audio than the set's.
        """
        rows = _rows_of_set(self, dataset.filenames, folder, f"features in {', '.join(self.paths)}", "extract the features of this set")
        audio = dataset.info.get("audio_fingerprint")
        for path, stored in zip(self.paths, self.audio if audio not in self.audio else ()):
            provenance.check_audio(path, stored, folder, audio)
        return rows

    def content_fingerprint(self, rows):
        """What names the clips of rows (M,) and their features, whatever files they lie in."""
        digests = [hashlib.sha256(mean.tobytes() + squares.tobytes()).hexdigest()[:16]
                   for file, block, places, _ in self._blocks_of(rows)
                   for mean, squares in zip(file["mean"][block][places], file["squared_deviations"][block][places])]
        return provenance.fingerprint_audio(self.filenames[np.sort(rows)], np.array(digests))

    def cache(self, rows):
        """Keep the features of rows (M,), in any order, in memory, where `read` then finds them. Raises InputError where they don't fit."""
        shape = (len(rows), int(self.num_frames[rows].max(initial=0)), self._data[0].shape[2])
        kind, available = np.result_type(*self._data), _available_bytes()
        needed = int(np.prod(shape)) * kind.itemsize
        if needed > 0.9 * available:
            raise InputError(f"{', '.join(self.paths)}: {len(rows)} clips take {needed / 1e9:.1f} GB of memory, and "
                             f"{available / 1e9:.1f} GB are free; leave them in the file, or extract them with --dtype float16")
        rows, kept = np.sort(rows), np.zeros(shape, kind)
        for block in slices(len(rows), _CLIPS_CACHED):
            read = self.read(rows[block])
            kept[block, :read.shape[1]] = read
        self._kept, self._place_kept = kept, np.full(len(self), -1)
        self._place_kept[rows] = np.arange(len(rows))

    def read(self, rows):
        """Features of rows (B,) as (B, T, F) in the precision of the files, T the longest of them, zeros after a clip's frames."""
        num_frames = self.num_frames[rows].tolist()
        if self._kept is not None and (self._place_kept[rows] >= 0).all():
            return self._kept[self._place_kept[rows], :max(num_frames)]
        files = np.searchsorted(self._starts, rows, side="right") - 1
        places, files = (np.asarray(rows) - self._starts[files]).tolist(), files.tolist()
        out = np.zeros((len(rows), max(num_frames), self._data[0].shape[2]), np.result_type(*self._data))
        for i in np.argsort(rows).tolist():  # in the order of the files
            try:
                out[i, :num_frames[i]] = self._data[files[i]][places[i], :num_frames[i]]
            except OSError as error:
                raise InputError(f"{self._files[files[i]].filename}: the features of {str(self.filenames[rows[i]])!r} can't be read "
                                 f"({error}); the file is damaged, extract it again") from None
        for number in set(files):
            if _last_change(self._files[number]) != self._opened[number]:
                raise InputError(f"{self._files[number].filename}: was written to while it was being read; give the command again when "
                                 "nothing changes it")
        return out

    def _blocks_of(self, rows):
        """Yield (file, slice of it, rows (B,) within the slice, their frames (B,)), block by block, of rows (M,) in any order."""
        rows = np.sort(rows)
        for file, first in zip(self._files, self._starts.tolist()):
            for block in slices(len(file["num_frames"]), BLOCK):
                start = first + block.start
                found = rows[slice(*np.searchsorted(rows, (start, first + block.stop)))]
                if len(found):
                    yield file, block, found - start, self.num_frames[found].astype(np.float64)

    @staticmethod
    def _statistic(file, name, block, places):
        """The statistic (B, F) of the clips at `places` of a slice of a file. Raises InputError naming the first that is not finite."""
        values = file[name][block][places]
        odd = places[~np.isfinite(values).all(axis=1)]
        if len(odd):
            raise InputError(f"{file.filename}: the {name} of {file['filename'].asstr()[block][odd[0]]!r} is not finite; "
                             "the file is damaged, extract it again")
        return values

    def statistics(self, rows):
        """Mean and standard deviation (F,), (F,) of each bin over all frames of the rows (M,), which may be in any order."""
        mean, squares, total = 0.0, 0.0, self.num_frames[rows].sum()
        with layouts.reading(", ".join(self.paths)):
            for file, block, places, weight in self._blocks_of(rows):
                mean += weight @ self._statistic(file, "mean", block, places) / total
            for file, block, places, weight in self._blocks_of(rows):
                squares += (self._statistic(file, "squared_deviations", block, places).sum(axis=0)
                            + weight @ (file["mean"][block][places] - mean) ** 2)
        return mean, np.sqrt(squares / total)


def write_scores(path, filenames, labels, shapes, batches, failed=None, **attributes):
    """Write a score file from batches.

    shapes: {dataset: shape of one clip}, for clip, frame, segment, weight; batches yields (rows, {dataset: array}) where
    rows (B,) index `filenames`, a list or an array (N,); num_frames and duration are arrays among them. failed: {file name: reason} of
    clips that have no scores because their audio could not be read. Attributes are plain values.
    """
    with _creating(path, "scores", {**attributes, "clips_fingerprint": fingerprint_clips(filenames)}) as (file, check):
        names = file.create_dataset("filename", len(filenames), _TEXT)
        for block in slices(len(filenames), BLOCK):
            names[block] = np.array(filenames[block], object)
        file.create_dataset("labels", data=np.array(labels, object), dtype=_TEXT)
        file.create_dataset("failed", data=np.array(list((failed or {}).items()), object).reshape(-1, 2), dtype=_TEXT)
        for name, shape in shapes.items():
            kind = {"num_frames": np.int32, "duration": np.float64}.get(name, np.float32)
            layout = {"chunks": (1, *shape), "fletcher32": True} if len(shape) > 1 else {}
            file.create_dataset(name, (len(filenames), *shape), kind, **layout)
        for rows, arrays in batches:
            order = np.argsort(rows)  # HDF5 wants them ascending
            for name, values in arrays.items():
                place = (rows[order], slice(values.shape[1])) if values.ndim > 1 else rows[order]
                file[name][place] = values[order]
            check()


class ScoreFile:
    """A score file, open for reading. `clip` is in memory, the rest is read as asked for.

    Scores that are no numbers from 0 to 1 raise InputError when they are read.
    """

    def __init__(self, path):
        self.path = Path(path)
        self._file = _open(path, "scores")
        self.filenames, self.failed = _names([self._file["filename"]]), _failed(self._file)
        self.labels = _names([self._file["labels"]]).tolist()
        with layouts.reading(path):
            self.clip = self._file["clip"][:]
            self.num_frames = self._file["num_frames"][:].astype(np.int64)
            self.durations = self._file["duration"][:]
        self.attributes = {"features": "", **layouts.attributes(self._file)}
        self.seconds_per_frame = self.attributes["seconds_per_frame"]
        layouts.check_scores(self, self._file["frame"].shape[1] if self.has("frame") else None)
        self._check("clip", self.clip)

    def __len__(self):
        return len(self.filenames)

    def rows(self, filenames):
        """The row of each file name (N,); -1 where the file does not hold it."""
        return find(self.filenames, filenames, np.argsort(self.filenames))

    def rows_of_set(self, filenames, folder):
        """The row of each clip (N,) of a set; -1 for one whose audio failed. Raises InputError where any other is missing."""
        return _rows_of_set(self, filenames, folder, f"scores in {self.path}", "predict them too, or take them out of the set")

    def _dataset(self, name):
        if name not in self._file:
            raise InputError(f"{self.path}: holds no {name} scores; predict without --no-frames")
        return self._file[name]

    def _check(self, name, values):
        """Raise InputError where scores (B, ..., K) are no numbers from 0 to 1, weights none from 0 on."""
        if layouts.wrong_rows(name, values).any():
            parts = [(None, values)] if name == "clip" else self._read(np.arange(len(self)), name)  # of all clips, to count them
            wrong = np.concatenate([layouts.wrong_rows(name, part) for _, part in parts])
            raise InputError(f"{self.path}: {int(wrong.sum())} clips have {name} scores that are not numbers from 0 "
                             f"{'on' if name == 'weight' else 'to 1'}, the first {str(self.filenames[wrong.argmax()])!r}")

    def has(self, name):
        """Whether the file holds the dataset `frame`, `segment` or `weight`."""
        return name in self._file

    def frames(self, row, name="frame"):
        """Frame scores, or weights, of one clip without its padding: (T, K)."""
        dataset = self._dataset(name)
        with layouts.reading(f"{self.path}: the {name} scores of {str(self.filenames[row])!r}"):
            values = dataset[row, :self.num_frames[row]]
        self._check(name, values[None])
        return values

    def blocks(self, rows, name="frame"):
        """Yield (slice of rows, values (B, T, K)) of the dataset `frame` or `segment`, block by block, over rows (N,).

        Zeros follow a clip's last frame.
        """
        for block, values in self._read(rows, name):
            self._check(name, values)
            yield block, values

    def _read(self, rows, name):
        """What `blocks` yields, unchecked."""
        dataset = self._dataset(name)
        for block in slices(len(rows), max(1, _BLOCK_BYTES // max(1, 4 * int(np.prod(dataset.shape[1:]))))):
            these = np.asarray(rows[block])
            with layouts.reading(f"{self.path}: the {name} scores"):
                if (np.diff(these) == 1).all():
                    values = dataset[these[0]:these[-1] + 1]
                else:
                    values = np.stack([dataset[row] for row in these.tolist()])
            if name != "segment":
                values[np.arange(values.shape[1]) >= self.num_frames[these][:, None]] = 0
            yield block, values

    def segments(self, row):
        """Segment scores of one clip: (S, K), as many segments as its duration holds, begun ones included."""
        count = max(1, int(np.ceil(round(self.durations[row], 6))))
        with layouts.reading(f"{self.path}: the segment scores of {str(self.filenames[row])!r}"):
            values = self._file["segment"][row, :count]
        self._check("segment", values[None])
        return values
