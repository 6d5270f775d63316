"""Run a network over stored features.

B clips in a batch, T frames, F mel bins, S segments, K classes.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from wsedtk.core.errors import InputError
from wsedtk.core.processes import ahead
from wsedtk.data import tables
from wsedtk.models import pooling
from wsedtk.models.layers import Output


def load_features(store, rows):
    """Features (B, T, F) float32 and mask (B, T), True = real frame, of store rows (B,). Raises InputError where one is not finite."""
    x = torch.from_numpy(store.read(rows)).float()
    odd = np.flatnonzero(~torch.isfinite(x).flatten(1).all(dim=1).numpy())
    if len(odd):
        raise InputError(
            f"{', '.join(store.paths)}: the features of {tables.first(store.filenames[rows[odd]].tolist())} hold numbers "
            "that are not finite; extract them again"
        )
    mask = torch.arange(x.shape[1]) < torch.from_numpy(store.num_frames[rows])[:, None]
    return x, mask


def pick_device(name: str, option: str = "--device") -> torch.device:
    """Return the torch device of a name.

    Parameters
    ----------
    name : str
        The name of a device, or "auto" for a GPU if there is one.
    option : str
        The name of this choice in messages.

    Raises
    ------
    InputError
        If the device cannot be used.
    """
    if name != "auto":
        try:
            device = torch.device(name)
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{option} {name}: can't be used here ({reason})") from None
        return device
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclasses.dataclass
class Runner:
    """A network with the normalisation of its inputs and the precision that it runs in."""

    network: torch.nn.Module
    mean: torch.Tensor  # (F,)
    std: torch.Tensor  # (F,)
    device: torch.device
    precise: bool = False  # float32 throughout; else bf16 for convolutions, and for the GRU but in evaluation on a CPU

    @classmethod
    def of(cls, network, mean, std, device, precise=False):
        """Put a network on a device. mean, std: (F,) of the training features; a bin that never varies is left as it is."""
        mean, std = (
            torch.as_tensor(np.asarray(v), dtype=torch.float32, device=device) for v in (mean, std)
        )
        network = network.to(device, memory_format=torch.channels_last)
        return cls(network, mean, torch.where(std > 0, std, 1.0), device, precise)

    @property
    def batch_size(self):
        """Clips that are scored at once: on a CPU as few as its cache likes."""
        return 16 if self.device.type == "cpu" else 64

    def staged(self, *tensors):
        """Tensors (or None) in memory that the device can copy from while it computes."""
        return tuple(
            t.pin_memory() if t is not None and self.device.type == "cuda" else t for t in tensors
        )

    def normalize(self, x, mask):
        """Features (B, T, F) as stored and mask (B, T) -> both on the device, normalised, padded frames 0."""
        x, mask = x.to(self.device, non_blocking=True), mask.to(self.device, non_blocking=True)
        return (x - self.mean) / self.std * mask.unsqueeze(-1), mask

    def run(self, x, mask):
        """Normalised features (B, T, F) and mask (B, T) -> the network's Output."""
        is_exact = self.precise and self.device.type == "cuda"
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=not self.precise)
        with _without_tf32() if is_exact else contextlib.nullcontext(), autocast:
            return self.network(x, mask)

    def score_features(self, features: Sequence[np.ndarray]) -> Output:
        """Run the network on the features of B clips, without gradients.

        Parameters
        ----------
        features : sequence of (T, F) float32
            The features of each clip, as the front end computes them.

        Returns
        -------
        Output
            The scores of the clips, padded to the longest one.
        """
        longest = max(map(len, features))
        x = np.zeros((len(features), longest, features[0].shape[1]), np.float32)
        for row, found in zip(x, features):
            row[: len(found)] = found
        mask = torch.arange(longest) < torch.tensor([len(found) for found in features])[:, None]
        with torch.inference_mode():
            return self.run(*self.normalize(*self.staged(torch.from_numpy(x), mask)))


@contextlib.contextmanager
def _without_tf32() -> Iterator[None]:
    """Keep cuDNN from rounding the inputs of convolutions and GRUs to TF32 within the block."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def score(runner, store, rows, samples_per_frame=None, samples_per_segment=None):
    """Yield (positions (B,), Output, segment scores (B, S, K) or None) over store rows (N,), in batches of like lengths.

    Positions index `rows`. Segments are pooled where both sample counts are given. The next batches are read meanwhile.
    """
    runner.network.eval()
    order = np.argsort(store.num_frames[rows], kind="stable")
    parts = [
        order[start : start + runner.batch_size]
        for start in range(0, len(order), runner.batch_size)
    ]
    with contextlib.closing(
        ahead(lambda positions: runner.staged(*load_features(store, rows[positions])), parts)
    ) as batches:
        for positions, batch in zip(parts, batches):
            with torch.inference_mode():
                output, segments = runner.run(*runner.normalize(*batch)), None
                if samples_per_segment is not None:
                    place = pooling.segment_of_frame(
                        output.frame.shape[1], samples_per_frame, samples_per_segment
                    )
                    segments = pooling.pool_segments(
                        runner.network.pooling, output.frame, output.weight, output.mask, place
                    )
            yield positions, output, segments
