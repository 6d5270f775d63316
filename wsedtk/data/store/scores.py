"""Score files: see the package."""

from pathlib import Path

import numpy as np

from wsedtk.core.errors import InputError, NotFinished
from wsedtk.core.progress import detail
from wsedtk.core.signals import noted
from wsedtk.data.clip_sets import fingerprint_clips
from wsedtk.data.store import files, layouts
from wsedtk.data.store.files import (
    BLOCK_BYTES,
    TEXT,
    creating,
    open_file,
    read_failed,
    read_names,
    rows_of_set_in,
)
from wsedtk.data.tables import find_clips, slices


def write_scores(path, filenames, labels, shapes, batches, failed=None, **attributes):
    """Write a score file from batches.

    shapes: {dataset: shape of one clip}, for clip, frame, segment, weight; batches yields (rows, {dataset: array}) where
    rows (B,) index `filenames`, a list or an array (N,); num_frames and duration are arrays among them. failed: {file name: reason} of
    clips that have no scores because their audio could not be read. Attributes are plain values.
    """
    about = {**attributes, "clips_fingerprint": fingerprint_clips(filenames)}
    with noted() as signals, creating(path, "scores", about) as (file, check):
        names = file.create_dataset("filename", len(filenames), TEXT)
        for block in slices(len(filenames), files.BLOCK):
            names[block] = np.array(filenames[block], object)
        file.create_dataset("labels", data=np.array(labels, object), dtype=TEXT)
        file.create_dataset(
            "failed", data=np.array(list((failed or {}).items()), object).reshape(-1, 2), dtype=TEXT
        )
        for name, shape in shapes.items():
            kind = {"num_frames": np.int32, "duration": np.float64}.get(name, np.float32)
            layout = {"chunks": (1, *shape), "fletcher32": True} if len(shape) > 1 else {}
            file.create_dataset(name, (len(filenames), *shape), kind, **layout)
        for rows, arrays in batches:
            if signals:
                raise NotFinished(f"{path}: stopped by {signals[0]}; give the same command again")
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
        self._file = open_file(path, "scores")
        self.filenames, self.failed = read_names([self._file["filename"]]), read_failed(self._file)
        self.labels = read_names([self._file["labels"]]).tolist()
        with layouts.reading(path):
            self.clip = self._file["clip"][:]
            self.num_frames = self._file["num_frames"][:].astype(np.int64)
            self.durations = self._file["duration"][:]
        self.attributes = {"features": "", **layouts.attributes(self._file)}
        self.seconds_per_frame = self.attributes["seconds_per_frame"]
        layouts.check_scores(self, self._file["frame"].shape[1] if self.has("frame") else None)
        self._check("clip", self.clip)
        detail(
            f"read {path}: scores of {len(self)} clips, {len(self.labels)} classes, {self.attributes['fingerprint']}"
        )

    def __len__(self):
        return len(self.filenames)

    def rows(self, filenames):
        """The row of each clip (N,), named in whatever way; -1 where the file does not hold it."""
        return find_clips(self.filenames, filenames)

    def rows_of_set(self, filenames, folder):
        """The row of each clip (N,) of a set; -1 for one whose audio failed. Raises InputError where any other is missing."""
        return rows_of_set_in(
            self,
            filenames,
            folder,
            f"scores in {self.path}",
            "predict them too, or take them out of the set",
        )

    def _dataset(self, name):
        if name not in self._file:
            raise InputError(f"{self.path}: holds no {name} scores; predict without --no-frames")
        return self._file[name]

    def _check(self, name, values):
        """Raise InputError where scores (B, ..., K) are no numbers from 0 to 1, weights none from 0 on."""
        if layouts.wrong_rows(name, values).any():
            parts = (
                [(None, values)] if name == "clip" else self._read(np.arange(len(self)), name)
            )  # of all clips, to count them
            wrong = np.concatenate([layouts.wrong_rows(name, part) for _, part in parts])
            raise InputError(
                f"{self.path}: {int(wrong.sum())} clips have {name} scores that are not numbers from 0 "
                f"{'on' if name == 'weight' else 'to 1'}, the first {str(self.filenames[wrong.argmax()])!r}"
            )

    def has(self, name):
        """Whether the file holds the dataset `frame`, `segment` or `weight`."""
        return name in self._file

    def frames(self, row, name="frame"):
        """Frame scores, or weights, of one clip without its padding: (T, K)."""
        dataset = self._dataset(name)
        with layouts.reading(f"{self.path}: the {name} scores of {str(self.filenames[row])!r}"):
            values = dataset[row, : self.num_frames[row]]
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
        for block in slices(
            len(rows), max(1, BLOCK_BYTES // max(1, 4 * int(np.prod(dataset.shape[1:]))))
        ):
            these = np.asarray(rows[block])
            with layouts.reading(f"{self.path}: the {name} scores"):
                if (np.diff(these) == 1).all():
                    values = dataset[these[0] : these[-1] + 1]
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
