"""Write feature files. `wsedtk.data.store` describes their content.

Sizes: T frames, F mel bins.
"""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import h5py
import numpy as np

from wsedtk.core.paths import PathLike
from wsedtk.core.types import Floats
from wsedtk.data.clip_sets import fingerprint_clips
from wsedtk.data.store.files import (
    BLOCK_BYTES,
    TEXT,
    Column,
    Columns,
    creating,
    failed_pairs,
    read_names,
)
from wsedtk.data.store.layouts import Value

_CLIPS_AT_ONCE = 8  # clips whose features are written together; to write one at a time is slower


@dataclasses.dataclass(frozen=True)
class FeatureLayout:
    """The properties that all features of a file share.

    Attributes
    ----------
    max_frames : int
        T_max, the largest number of frames that a clip in the file can have.
    num_bins : int
        F, the number of mel bins.
    dtype : str
        "float16" or "float32".
    frontend : mapping
        The configuration of the front end, as plain values.
    frontend_fingerprint : str
    """

    max_frames: int
    num_bins: int
    dtype: str
    frontend: Mapping[str, Any]
    frontend_fingerprint: str


class Append(Protocol):
    """A function that adds a clip to a new feature file."""

    def __call__(self, filename: str, features: Floats, duration: float) -> None:
        """Add a clip with features (T, F), where T <= T_max, and a duration in seconds."""


@contextlib.contextmanager
def writing_features(
    path: PathLike, layout: FeatureLayout, *, about: Mapping[str, Value] | None = None
) -> Iterator[tuple[Append, dict[str, str]]]:
    """Write a new feature file in a `with` block.

    Parameters
    ----------
    path : path-like
    layout : FeatureLayout
    about : mapping, optional
        Further attributes. They are written at the end of the block, so the block may change them.

    Yields
    ------
    append : callable
        A function that adds a clip (see `Append`).
    failed : dict
        An empty dict. For each failed clip, the caller adds the reason, with the file name as key.

    Raises
    ------
    InputError
        If `path` can't be written.
    """
    attributes = {
        "frontend": json.dumps(layout.frontend),
        "fingerprint": layout.frontend_fingerprint,
    }
    shape = (layout.max_frames, layout.num_bins)
    dtype = np.dtype(layout.dtype)
    failed: dict[str, str] = {}
    with creating(path, "features", attributes) as new:
        file, write = new
        write(_create_features, file, shape, dtype)
        clip_bytes = layout.max_frames * layout.num_bins * dtype.itemsize
        at_once = min(_CLIPS_AT_ONCE, 1 + BLOCK_BYTES // clip_bytes)
        clips = Columns(new, {"features": Column(dtype, shape)}, at_once)
        columns = Columns(
            new,
            {
                "filename": Column(TEXT),
                "num_frames": Column(np.int32),
                "duration": Column(np.float64),
                "mean": Column(np.float64, (layout.num_bins,)),
                "squared_deviations": Column(np.float64, (layout.num_bins,)),
            },
        )

        def append(filename: str, features: Floats, duration: float) -> None:
            row = np.zeros(shape, dtype)
            row[: len(features)] = features
            stored = row[: len(features)].astype(np.float64)
            mean = stored.mean(axis=0)
            stored -= mean
            squares = np.square(stored, out=stored).sum(axis=0)
            columns.append(filename, len(features), duration, mean, squares)
            clips.append(row)

        yield append, failed
        clips.flush()
        columns.flush()
        write(_finish, file, failed, about or {})


def _create_features(file: h5py.File, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
    file.create_dataset(
        "features",
        (0, *shape),
        dtype,
        maxshape=(None, *shape),
        chunks=(1, *shape),
        fletcher32=True,
    )


def _finish(file: h5py.File, failed: Mapping[str, str], about: Mapping[str, Value]) -> None:
    file.attrs["clips_fingerprint"] = fingerprint_clips(read_names([file["filename"]]))
    file.create_dataset("failed", data=failed_pairs(failed), dtype=TEXT)
    file.attrs.update(about)
