"""Feature files: see the package."""

import contextlib
import json
import os
import re
from pathlib import Path

import numpy as np

from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.core.progress import detail
from wsedtk.data.clip_sets import fingerprint_clips
from wsedtk.data.folders import look
from wsedtk.data.store import files, layouts
from wsedtk.data.store.files import (
    BLOCK_BYTES,
    TEXT,
    Columns,
    creating,
    open_file,
    read_failed,
    read_names,
    rows_of_set_in,
)
from wsedtk.data.tables import find, slices

_CLIPS_CACHED = 256  # that are read at once
_CLIPS_AT_ONCE = 8  # whose features are written together: each alone takes longer


@contextlib.contextmanager
def writing_features(path, max_frames, num_bins, dtype, frontend, frontend_fingerprint, about=None):
    """Yield `append(filename, features, duration)` for the clips of a new feature file, and a dict for those that failed.

    features: (T, F) with T <= max_frames; duration: seconds; frontend: a plain mapping; the dict takes filename -> reason.
    about: more attributes, plain values, as they are when the block ends.
    """
    attributes = {"frontend": json.dumps(frontend), "fingerprint": frontend_fingerprint}
    shape, bins, failed = (max_frames, num_bins), (np.float64, (num_bins,)), {}
    with creating(path, "features", attributes) as (file, check):
        file.create_dataset(
            "features",
            (0, *shape),
            dtype,
            maxshape=(None, *shape),
            chunks=(1, *shape),
            fletcher32=True,
        )
        at_once = min(
            _CLIPS_AT_ONCE, 1 + BLOCK_BYTES // (max_frames * num_bins * np.dtype(dtype).itemsize)
        )
        clips = Columns(file, {"features": (dtype, shape)}, at_once)
        columns = Columns(
            file,
            {
                "filename": (TEXT, ()),
                "num_frames": (np.int32, ()),
                "duration": (np.float64, ()),
                "mean": bins,
                "squared_deviations": bins,
            },
        )

        def append(filename, features, duration):
            row = np.zeros(shape, dtype)
            row[: len(features)] = features
            stored = row[: len(features)].astype(np.float64)
            mean = stored.mean(axis=0)
            stored -= mean
            columns.append(
                filename, len(features), duration, mean, np.square(stored, out=stored).sum(axis=0)
            )
            clips.append(row)
            check()

        yield append, failed
        clips.flush()
        columns.flush()
        file.attrs["clips_fingerprint"] = fingerprint_clips(read_names([file["filename"]]))
        file.create_dataset(
            "failed", data=np.array(list(failed.items()), object).reshape(-1, 2), dtype=TEXT
        )
        file.attrs.update(about or {})


def read_about(path):
    """The attributes of a feature file, and {file name: reason} of the clips that failed. Raises InputError."""
    with open_file(path, "features") as file:
        return layouts.attributes(file), read_failed(file)


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
    names = look(path.parent)[1] if os.path.isdir(path.parent) else []
    counts = sorted({int(m.group(2)) for m in map(pattern.fullmatch, names) if m})
    if not counts:
        raise InputError(f"{path}: no such file, nor shards of it; wsedtk extract makes it")
    if len(counts) > 1:
        raise InputError(
            f"{path}: shards of {' and of '.join(map(str, counts))} lie side by side; remove the old ones"
        )
    shards = [shard_path(path, k, counts[0]) for k in range(1, counts[0] + 1)]
    missing = [p.name for p in shards if not p.exists()]
    if missing:
        raise InputError(
            f"{path}: shard {missing[0]} is missing ({len(missing)} of {counts[0]} are)"
        )
    return shards


def _available_bytes():
    """Memory that can be had without pushing others out of it, as far as the system tells; in a container what that may take."""
    try:
        lines = dict(
            line.split(":")
            for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        )
        available = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):  # no such limit
        limit, taken = (
            int(Path(f"/sys/fs/cgroup/memory.{name}").read_text(encoding="ascii"))
            for name in ("max", "current")
        )
        available = min(available, limit - taken)
    return available


def _last_change(file):
    """When an open file was last written to, and its size."""
    status = os.fstat(file.id.get_vfd_handle())
    return status.st_mtime_ns, status.st_size


class FeatureStore:
    """Feature files read as one. Rows are numbered over all files, in their order."""

    def __init__(self, paths):
        self._files, self.failed, self.paths, self.audio, self._opened = (
            [],
            {},
            [str(p) for p in paths],
            [],
            [],
        )
        for path, is_first in [
            (shard, not number) for p in paths for number, shard in enumerate(find_shards(p))
        ]:
            file = open_file(path, "features")
            self._files.append(file)
            self._opened.append(_last_change(file))
            self.failed.update(read_failed(file))
            first = self._files[0]
            for what, mine, theirs in (
                ("front end", file.attrs["fingerprint"], first.attrs["fingerprint"]),
                ("number of mel bins", file["features"].shape[2], first["features"].shape[2]),
            ):
                if mine != theirs:
                    raise InputError(
                        f"{path}: made with another {what} ({mine}) than {first.filename} ({theirs}); extract both alike"
                    )
            audio = str(file.attrs.get("audio_fingerprint", ""))
            if is_first:
                self.audio.append(audio)  # one a path
            elif audio != self.audio[-1]:
                raise InputError(
                    f"{path}: extracted from another version of the set ({audio or 'unknown'}) than the shards before it "
                    f"({self.audio[-1] or 'unknown'}); extract it again"
                )
        self.frontend = layouts.frontend(self._files[0].attrs["frontend"], self._files[0].filename)
        self.fingerprint = str(self._files[0].attrs["fingerprint"])
        self.filenames = read_names([f["filename"] for f in self._files])
        with layouts.reading(", ".join(self.paths)):
            self.num_frames = np.concatenate([f["num_frames"][:] for f in self._files]).astype(
                np.int64
            )
            self.durations = np.concatenate([f["duration"][:] for f in self._files])
        self._data = [
            f["features"] for f in self._files
        ]  # kept open: to open one takes longer than to read a clip
        self._starts = np.cumsum([0, *map(len, self._data)])
        self._kept = self._place_kept = (
            None  # features in memory, and where each row's are among them, see `cache`
        )
        self.order = np.argsort(
            self.filenames, kind="stable"
        )  # (N,) rows by file name; quick where files are sorted
        layouts.check_once(", ".join(self.paths), self.filenames, self.order)
        for file, first, data in zip(self._files, self._starts.tolist(), self._data):
            part = slice(first, first + len(data))
            layouts.check_clips(
                file.filename,
                self.filenames[part],
                self.num_frames[part],
                self.durations[part],
                data.shape[1],
            )
            detail(
                f"read {file.filename}: features of {len(data)} clips, front end {self.fingerprint}"
            )

    def __len__(self):
        return len(self.filenames)

    def rows(self, filenames):
        """The row of each file name (N,); -1 where the store does not hold it."""
        return find(self.filenames, filenames, self.order)

    def rows_of_set(self, dataset, folder):
        """The row of each clip (N,) of a set; -1 for one whose audio failed.

        Raises InputError where any other is missing, or the features are of other audio than the set's.
        """
        rows = rows_of_set_in(
            self,
            dataset.filenames,
            folder,
            f"features in {', '.join(self.paths)}",
            "extract the features of this set",
        )
        audio = dataset.info.get("audio_fingerprint")
        for path, stored in zip(self.paths, self.audio if audio not in self.audio else ()):
            provenance.check_audio(path, stored, folder, audio)
        return rows

    def content_fingerprint(self, rows):
        """What names the clips of rows (M,) and their features, by the statistics of each, whatever files they lie in."""
        digests = [
            provenance.fingerprint(mean.tobytes() + squares.tobytes())
            for file, block, places, _ in self._blocks_of(rows)
            for mean, squares in zip(
                *(
                    self._statistic(file, name, block, places)
                    for name in ("mean", "squared_deviations")
                )
            )
        ]
        return provenance.fingerprint_audio(self.filenames[np.sort(rows)], np.array(digests))

    def cache(self, rows):
        """Keep the features of rows (M,), in any order, in memory, where `read` then finds them. Raises InputError where they don't fit."""
        shape = (len(rows), int(self.num_frames[rows].max(initial=0)), self._data[0].shape[2])
        kind = np.result_type(*self._data)
        available = _available_bytes() // int(
            os.environ.get("LOCAL_WORLD_SIZE", 1)
        )  # torchrun's processes, each of which asks for it
        needed = int(np.prod(shape)) * kind.itemsize
        if needed > 0.9 * available:
            raise InputError(
                f"{', '.join(self.paths)}: {len(rows)} clips take {needed / 1e9:.1f} GB of memory, and "
                f"{available / 1e9:.1f} GB are free; leave them in the file, or extract them with --dtype float16"
            )
        rows, kept = np.sort(rows), np.zeros(shape, kind)
        for block in slices(len(rows), _CLIPS_CACHED):
            read = self.read(rows[block])
            kept[block, : read.shape[1]] = read
        self._kept, self._place_kept = kept, np.full(len(self), -1)
        self._place_kept[rows] = np.arange(len(rows))

    def read(self, rows):
        """Features of rows (B,) as (B, T, F) in the precision of the files, T the longest of them, zeros after a clip's frames."""
        num_frames = self.num_frames[rows].tolist()
        if self._kept is not None and (self._place_kept[rows] >= 0).all():
            return self._kept[self._place_kept[rows], : max(num_frames)]
        files = np.searchsorted(self._starts, rows, side="right") - 1
        places, files = (np.asarray(rows) - self._starts[files]).tolist(), files.tolist()
        out = np.zeros(
            (len(rows), max(num_frames), self._data[0].shape[2]), np.result_type(*self._data)
        )
        for i in np.argsort(rows).tolist():  # in the order of the files
            try:
                out[i, : num_frames[i]] = self._data[files[i]][places[i], : num_frames[i]]
            except OSError as error:
                raise InputError(
                    f"{self._files[files[i]].filename}: the features of {str(self.filenames[rows[i]])!r} can't be read "
                    f"({error}); the file is damaged, extract it again"
                ) from None
        for number in set(files):
            if _last_change(self._files[number]) != self._opened[number]:
                raise InputError(
                    f"{self._files[number].filename}: was written to while it was being read; give the command again when "
                    "nothing changes it"
                )
        return out

    def _blocks_of(self, rows):
        """Yield (file, slice of it, rows (B,) within the slice, their frames (B,)), block by block, of rows (M,) in any order."""
        rows = np.sort(rows)
        for file, first in zip(self._files, self._starts.tolist()):
            for block in slices(len(file["num_frames"]), files.BLOCK):
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
            raise InputError(
                f"{file.filename}: the {name} of {file['filename'].asstr()[block][odd[0]]!r} is not finite; "
                "the file is damaged, extract it again"
            )
        return values

    def statistics(self, rows):
        """Mean and standard deviation (F,), (F,) of each bin over all frames of the rows (M,), which may be in any order."""
        mean, squares, total = 0.0, 0.0, self.num_frames[rows].sum()
        with layouts.reading(", ".join(self.paths)):
            for file, block, places, weight in self._blocks_of(rows):
                mean += weight @ self._statistic(file, "mean", block, places) / total
            for file, block, places, weight in self._blocks_of(rows):
                squares += (
                    self._statistic(file, "squared_deviations", block, places).sum(axis=0)
                    + weight @ (file["mean"][block][places] - mean) ** 2
                )
        return mean, np.sqrt(squares / total)
