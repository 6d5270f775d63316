"""Run the frozen layers of a network once for each clip, and keep their outputs in a file.

Array dimensions: N clips, B clips in a batch, T' frames after the frozen layers. The output of the
frozen layers for one of these frames has the shape S, for example (E,) for an embedding of size E,
or (F', C) for F' frequency bins and C channels.
"""

import dataclasses
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wsedtk.core.atomic import explained, write_text, writing
from wsedtk.core.errors import InputError
from wsedtk.core.progress import progress
from wsedtk.core.types import Floats, Integers
from wsedtk.data.store import FeatureStore
from wsedtk.data.tables import Names
from wsedtk.inference.network_runner import Runner, run_batches
from wsedtk.models.body_network import BodyNetwork
from wsedtk.models.layers import Output

_FILES = ("frozen_frames.json", "frozen_frames.bin")
_FREE_BYTES = 1 << 30  # the part of the disk that is left free


def _time_second(hidden: Tensor) -> Tensor:
    """Return the output of a layer with the time as the second dimension, (B, T', *S)."""
    return hidden.permute(0, 2, 3, 1) if hidden.ndim == 4 else hidden


@dataclasses.dataclass
class UpperRunner(Runner):
    """A runner whose inputs are the outputs of frozen layers. See `Runner`.

    Attributes
    ----------
    start : int
        The number of frozen layers.
    """

    start: int = 0

    def normalize(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the input of the first layer that is not frozen, and its mask.

        `x` contains the frames (B, T', *S).
        """
        x, mask = x.to(self.device, non_blocking=True), mask.to(self.device, non_blocking=True)
        # For frames (F', C), the result (B, C, T', F') has the memory format channels_last.
        return (x.permute(0, 3, 1, 2) if x.ndim == 4 else x), mask

    def run(self, x: Tensor, mask: Tensor) -> Output:
        """Run the layers that are not frozen."""
        with self.computing():
            output: Output = self.network(x, mask, self.start)
            return output


class FrozenFrames:
    """The outputs of frozen layers for the clips of a training run.

    An object of this class can be read like a `FeatureStore`. It has the same rows as the store of
    the features.

    Attributes
    ----------
    paths : list of str
        The feature files from which the frames were computed.
    filenames : (N,) str
        The clips of the feature files.
    num_frames : (N,) int64
        T' of each clip. 0 for clips whose frames are not stored.
    time_reduction : int
        The number of stored frames for each output frame of the network.
    """

    def __init__(
        self, folder: Path, store: FeatureStore, index: dict[str, Any], network: BodyNetwork
    ) -> None:
        self.paths: list[str] = store.paths
        self.filenames: Names = store.filenames
        self.num_frames: npt.NDArray[np.int64] = np.zeros(len(store), np.int64)
        self._starts = np.zeros(len(store), np.int64)
        rows, lengths = np.array(index["rows"]), np.array(index["num_frames"])
        self.num_frames[rows] = lengths
        self._starts[rows] = np.cumsum(lengths) - lengths
        self.time_reduction = _remaining_reduction(network, store.frontend["num_mels"])
        self._frames = np.memmap(
            folder / _FILES[1], index["dtype"], "r", shape=(int(lengths.sum()), *index["shape"])
        )

    def read(self, rows: Integers) -> Floats:
        """Return the frames (B, T', *S) of some clips, padded with zeros to the longest clip."""
        lengths = self.num_frames[rows]
        shape = (len(rows), int(lengths.max()), *self._frames.shape[1:])
        found = np.zeros(shape, self._frames.dtype)
        for frames, start, length in zip(found, self._starts[rows].tolist(), lengths.tolist()):
            frames[:length] = self._frames[start : start + length]
        return found


def _remaining_reduction(network: BodyNetwork, num_mels: int) -> int:
    """Return the number of frames after the frozen layers for each output frame."""
    x = torch.zeros(
        1, 32 * network.time_reduction, num_mels, device=network.head.fc_prob.weight.device
    )
    with torch.inference_mode():
        hidden, _ = network.eval().run_body(x, None, stop=network.num_frozen)
    return _time_second(hidden).shape[1] // 32


def remove(folder: Path) -> None:
    """Remove the frames in the folder of the checkpoints of a training run, if there are any."""
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)


class NotEnoughSpace(Exception):
    """The outputs of the frozen layers need more space than the disk has."""


def collect(
    runner: Runner,
    store: FeatureStore,
    rows: Integers,
    *,
    folder: Path,
    identity: str,
    after_batch: Callable[[], None],
) -> FrozenFrames:
    """Run the frozen layers for some clips, or use the results of an earlier call.

    Parameters
    ----------
    runner : Runner
        The runner. Its network must be a `BodyNetwork`.
    store : FeatureStore
        The features.
    rows : (N,) array of int
        The clips, as rows of `store`.
    folder : Path
        The folder in which the frames are kept.
    identity : str
        A text that identifies the network, the features and the precision. Frames of an earlier
        call with another identity are not used.
    after_batch : callable
        A function that is called after each batch. It may raise an exception.

    Returns
    -------
    FrozenFrames

    Raises
    ------
    InputError
        If the frames can't be written, or if a feature or a frame is not finite.
    NotEnoughSpace
        If the disk has not enough space.
    """
    network = runner.network
    assert isinstance(network, BodyNetwork)  # other networks have no frozen layers
    index = _index(folder, identity)
    if index is None:
        remove(folder)
        rows = np.unique(rows)
        with writing(folder / _FILES[1]) as temporary, open(temporary, "wb") as file:
            index = _write(file, runner, store, rows, after_batch)
        write_text(folder / _FILES[0], json.dumps({"identity": identity, **index}) + "\n")
    with explained(folder / _FILES[1]):
        return FrozenFrames(folder, store, index, network)


def _index(folder: Path, identity: str) -> dict[str, Any] | None:
    """Return the content of the index file. None if there is no file with this identity."""
    try:
        index: dict[str, Any] = json.loads((folder / _FILES[0]).read_text(encoding="utf-8"))
        size = (folder / _FILES[1]).stat().st_size
        expected = sum(index["num_frames"]) * _num_bytes(index["shape"], index["dtype"])
        return index if index["identity"] == identity and size == expected else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _num_bytes(shape: tuple[int, ...], dtype: str) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize


def _write(
    file: BinaryIO,
    runner: Runner,
    store: FeatureStore,
    rows: Integers,
    after_batch: Callable[[], None],
) -> dict[str, Any]:
    """Write the frames of the clips to a file, and return the content of the index file."""
    network = runner.network
    assert isinstance(network, BodyNetwork)
    dtype = torch.float32 if runner.precise else torch.float16

    def compute(x: Tensor, mask: Tensor) -> list[Tensor]:
        with runner.computing():
            hidden, left = network.run_body(x, mask, stop=network.num_frozen)
        frames = _time_second(hidden).to(dtype).cpu()
        if left is None:
            return list(frames)
        return [one[:length] for one, length in zip(frames, left.sum(dim=1).tolist())]

    written: list[int] = []
    lengths: list[int] = []
    shape: tuple[int, ...] = ()
    before = int(store.num_frames[rows].sum())
    num_batches = -(-len(rows) // runner.batch_size)
    batches = progress(run_batches(runner, store, rows, compute), "frozen layers", num_batches)
    for positions, frames in batches:
        for row, found in zip(rows[positions], frames):
            stored = found.numpy()
            if not np.isfinite(stored).all():
                raise InputError(
                    f"{', '.join(store.paths)}: the outputs of the frozen layers for "
                    f"{store.filenames[row]} are not finite in {stored.dtype}; train with "
                    "--set precision=float32"
                )
            if not lengths:
                shape = stored.shape[1:]
                needed = stored.nbytes * before / int(store.num_frames[row])
                if needed > shutil.disk_usage(Path(file.name).parent).free - _FREE_BYTES:
                    raise NotEnoughSpace(f"{needed / 1e9:.1f} GB")
            file.write(stored.tobytes())
            written.append(int(row))
            lengths.append(len(stored))
        after_batch()
    return {
        "rows": written,
        "num_frames": lengths,
        "shape": shape,
        "dtype": str(stored.dtype),
    }
