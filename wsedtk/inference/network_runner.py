"""Run a network on stored features, or on features in memory.

Array dimensions: B clips in a batch, N clips, T frames, F mel bins, S segments, K classes.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wsedtk.core.errors import InputError
from wsedtk.core.processes import ahead
from wsedtk.core.types import Floats, Integers
from wsedtk.data import tables
from wsedtk.data.tables import Names
from wsedtk.inference.tf32 import without_tf32
from wsedtk.models import threads
from wsedtk.models.layers import Network, Output
from wsedtk.models.pooling import pool_segments, segment_of_frame

Item = TypeVar("Item")
Result = TypeVar("Result")
OptionalTensor = TypeVar("OptionalTensor", Tensor, Tensor | None)


def load_features(store: "StoredFrames", rows: Integers) -> tuple[Tensor, Tensor]:
    """Read the features of clips.

    Parameters
    ----------
    store : StoredFrames
        The feature files.
    rows : (B,) int
        The rows of the clips in `store`.

    Returns
    -------
    x : (B, T, F) float32 Tensor
        The features, padded with zeros to the longest of these clips.
    mask : (B, T) Tensor of bool
        True for real frames, False for padded frames.

    Raises
    ------
    InputError
        If a feature is NaN or infinite, or if a file is damaged.
    """
    x = torch.from_numpy(store.read(rows)).float()
    odd = np.flatnonzero(~torch.isfinite(x).flatten(1).all(dim=1).numpy())
    if len(odd):
        names = tables.first(store.filenames[rows[odd]].tolist())
        raise InputError(
            f"{', '.join(store.paths)}: the features of {names} contain numbers that are not "
            "finite; extract them again"
        )
    mask = torch.arange(x.shape[1]) < torch.from_numpy(store.num_frames[rows])[:, None]
    return x, mask


def pick_device(name: str, option: str = "--device") -> torch.device:
    """Return the torch device with the given name.

    Parameters
    ----------
    name : str
        The name of a device, such as "cpu" or "cuda:1". "auto" chooses the GPU if CUDA is
        available, and otherwise the CPU.
    option : str
        The name of the option, for messages.

    Raises
    ------
    InputError
        If the device cannot be used.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{option} {name}: can't be used here ({reason}); give another device, such as cpu"
        ) from None
    return device


@contextlib.contextmanager
def gpu_memory(advice: str = "use another device, such as --device cpu") -> Iterator[None]:
    """Raise InputError with the given advice if the memory of a GPU runs out within the block."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        reason = ". ".join(str(error).split(". ")[:2])  # the rest describes PyTorch's allocator
        raise InputError(
            f"{reason}; end other programs that use the memory of the GPU, or {advice}"
        ) from error


@dataclasses.dataclass
class Runner:
    """A network with the normalisation of its features and the precision of its computations.

    Attributes
    ----------
    network : Network
        The network, on `device`.
    mean, std : (F,) Tensor
        Mean and standard deviation of the training features. `std` is 1 for a constant mel bin.
    device : torch.device
        The device on which the network runs.
    precise : bool
        Whether all computations use float32. If False, autocast computes some layers in bfloat16,
        such as convolutions and, on a CPU, the GRU. On a GPU, the GRU then uses float32 with TF32,
        unless the program disables TF32.
    """

    network: Network
    mean: Tensor
    std: Tensor
    device: torch.device
    precise: bool = False

    @classmethod
    def of(
        cls,
        network: Network,
        mean: npt.ArrayLike,
        std: npt.ArrayLike,
        device: torch.device,
        precise: bool = False,
    ) -> "Runner":
        """Move a network to a device, and return a runner of the network.

        Parameters
        ----------
        network : Network
            The network. It is moved, not copied.
        mean, std : (F,) array
            Mean and standard deviation of the training features. A constant mel bin is not scaled.
        device, precise
            See the attributes of `Runner`.
        """
        centre = torch.as_tensor(np.asarray(mean), dtype=torch.float32, device=device)
        scale = torch.as_tensor(np.asarray(std), dtype=torch.float32, device=device)
        network = network.to(
            device,
            memory_format=torch.channels_last,  # type: ignore[call-overload]  # an incomplete stub
        )
        return cls(network, centre, torch.where(scale > 0, scale, 1.0), device, precise)

    @property
    def batch_size(self) -> int:
        """The number of clips in a batch.

        On a CPU, each thread computes a batch. To limit the memory, the batches are smaller if
        there are more threads. With up to 8 threads, at most 32 clips are computed at the same
        time.
        """
        if self.device.type != "cpu":
            return 64
        return max(4, 32 // max(2, torch.get_num_threads()))

    def in_order(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Generator[Result, None, None]:
        """Call a function for each item, and yield the results in the order of the items.

        The function uses this runner. On a CPU, several results are computed at the same time,
        each in one thread (see `threads.in_order`).
        """
        if self.device.type == "cpu":
            yield from threads.in_order(function, items)
        else:
            yield from map(function, items)

    def staged(self, *tensors: OptionalTensor) -> tuple[OptionalTensor, ...]:
        """Copy tensors to pinned memory if the device is a GPU. Leave None unchanged.

        A GPU can copy data from pinned memory while it computes.
        """
        if self.device.type != "cuda":
            return tensors
        return tuple(None if t is None else t.pin_memory() for t in tensors)

    def normalize(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Normalise features on the device.

        Parameters
        ----------
        x : (B, T, F) Tensor
            Features that are not normalised.
        mask : (B, T) Tensor of bool
            True for real frames, False for padded frames.

        Returns
        -------
        x : (B, T, F) Tensor
            Normalised features on the device. They are 0 in padded frames.
        mask : (B, T) Tensor of bool
            The mask on the device.
        """
        x, mask = x.to(self.device, non_blocking=True), mask.to(self.device, non_blocking=True)
        return (x - self.mean) / self.std * mask.unsqueeze(-1), mask

    def exact(self) -> contextlib.AbstractContextManager[None]:
        """Return a context manager that disables TF32 on a GPU if `precise` is True.

        `run` uses it. Use it also for the backward pass.
        """
        if self.precise and self.device.type == "cuda":
            return without_tf32()
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Use the precision of this runner for the computations within the block."""
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=not self.precise)
        with self.exact(), autocast:
            yield

    def run(self, x: Tensor, mask: Tensor) -> Output:
        """Run the network on normalised features (B, T, F). The mask (B, T) marks real frames."""
        with self.computing():
            return self.network(x, mask)

    def score_features(self, features: Sequence[Floats]) -> Output:
        """Run the network on the features of B clips, without gradients.

        Parameters
        ----------
        features : sequence of (T, F) float32
            The features of each clip, as the front end computes them.

        Returns
        -------
        Output
            The scores of the clips. Frame scores are padded to the longest clip.
        """
        longest = max(map(len, features))
        x = np.zeros((len(features), longest, features[0].shape[1]), np.float32)
        for row, found in zip(x, features):
            row[: len(found)] = found
        mask = torch.arange(longest) < torch.tensor([len(found) for found in features])[:, None]
        staged, staged_mask = self.staged(torch.from_numpy(x), mask)
        with torch.inference_mode():
            return self.run(*self.normalize(staged, staged_mask))


class StoredFrames(Protocol):
    """A store from which the frames of clips are read, such as a `FeatureStore`.

    Attributes
    ----------
    paths : list of str
        The files, for messages.
    filenames : (N,) str
        The clips.
    num_frames : (N,) int64
        The number of frames of each clip.
    """

    paths: list[str]
    filenames: Names
    num_frames: npt.NDArray[np.int64]

    def read(self, rows: Integers) -> Floats:
        """Return the frames (B, T, ...) of some clips, padded to the longest clip."""


def run_batches(
    runner: Runner,
    store: StoredFrames,
    rows: Integers,
    function: Callable[[Tensor, Tensor], Result],
) -> Generator[tuple[npt.NDArray[np.intp], Result], None, None]:
    """Call a function for batches of stored clips. The clips of a batch have similar lengths.

    A background thread reads the next batches while the network runs. No gradients are computed.

    Parameters
    ----------
    runner : Runner
        The network. It is set to evaluation mode.
    store : StoredFrames
        The feature files.
    rows : (N,) int
        The clips, as rows of `store`.
    function : callable
        Called with the normalised features (B, T, F) of a batch, and their mask (B, T). It runs the
        network.

    Yields
    ------
    positions : (B,) int
        For each clip of a batch, its position in `rows`.
    result
        The result of the function for this batch.

    Raises
    ------
    InputError
        If a feature is NaN or infinite, or if a file is damaged.
    """
    runner.network.eval()
    order = np.argsort(store.num_frames[rows], kind="stable")
    size = runner.batch_size
    parts = [order[start : start + size] for start in range(0, len(order), size)]

    def load(positions: npt.NDArray[np.intp]) -> tuple[Tensor, ...]:
        return runner.staged(*load_features(store, rows[positions]))

    def compute(
        batch: tuple[npt.NDArray[np.intp], tuple[Tensor, ...]],
    ) -> tuple[npt.NDArray[np.intp], Result]:
        positions, (x, mask) = batch
        with torch.inference_mode():
            return positions, function(*runner.normalize(x, mask))

    with (
        contextlib.closing(ahead(load, parts)) as batches,
        contextlib.closing(runner.in_order(compute, zip(parts, batches))) as computed,
    ):
        yield from computed


class ScoredBatch(NamedTuple):
    """The scores of a batch of clips.

    Attributes
    ----------
    positions : (B,) int
        The positions of the clips in the argument `rows` of `score`.
    output : Output
        The output of the network.
    segments : (B, S, K) Tensor or None
        The scores of segments. None if segments are not scored.
    """

    positions: npt.NDArray[np.intp]
    output: Output
    segments: Tensor | None


def score(
    runner: Runner,
    store: StoredFrames,
    rows: Integers,
    samples_per_frame: int | None = None,
    samples_per_segment: int | None = None,
) -> Iterator[ScoredBatch]:
    """Score stored clips in batches; see `run_batches`.

    Parameters
    ----------
    runner : Runner
        The network. It is set to evaluation mode.
    store : StoredFrames
        The feature files.
    rows : (N,) int
        The clips to score, as rows of `store`.
    samples_per_frame, samples_per_segment : int, optional
        The length of an output frame and the length of a segment, in samples. Segments are scored
        if both are given.

    Yields
    ------
    ScoredBatch

    Raises
    ------
    InputError
        If a feature is NaN or infinite, or if a file is damaged.
    """

    def compute(x: Tensor, mask: Tensor) -> tuple[Output, Tensor | None]:
        output, segments = runner.run(x, mask), None
        if samples_per_frame is not None and samples_per_segment is not None:
            place = segment_of_frame(output.frame.shape[1], samples_per_frame, samples_per_segment)
            segments = pool_segments(
                runner.network.pooling, output.frame, output.weight, output.mask, place
            )
        return output, segments

    with contextlib.closing(run_batches(runner, store, rows, compute)) as batches:
        for positions, (output, segments) in batches:
            yield ScoredBatch(positions, output, segments)
