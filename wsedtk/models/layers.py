"""Parts that networks share: the contract, the output, masks after max-pooling, and the head.

B clips, T frames, F mel bins, C channels, H hidden units, K classes.
"""

import contextlib
import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor, nn

from wsedtk.models.pooling import Pooling, is_tracing
from wsedtk.models.pooling_functions import SoftmaxOver


@dataclasses.dataclass
class Output:
    """The output of a network for a batch.

    Attributes
    ----------
    clip : (B, K) Tensor
        Clip probabilities.
    frame : (B, T', K) Tensor
        Frame probabilities.
    weight : (B, T', K) Tensor or None
        Frame weights that the network computes, if the pooling function needs them.
    mask : (B, T') Tensor of bool
        True for real frames.
    """

    clip: Tensor
    frame: Tensor
    weight: Tensor | None
    mask: Tensor


def zero_padding(x: Tensor, mask: Tensor | None) -> Tensor:
    """Set the padded frames of (B, C, T, F) to 0. Without a mask (B, T), all frames are real.

    This is needed before each convolution: biases make padded frames differ from 0.
    """
    return x if mask is None else x * mask[:, None, :, None].to(x.dtype)


def pool_mask(mask: Tensor | None, factor: int) -> Tensor | None:
    """Return the mask (B, T / factor) after max-pooling over time.

    The number of real frames is rounded down, but at least one remains. Without a mask, the result
    is None.
    """
    if factor == 1 or mask is None:
        return mask
    lengths = (mask.sum(dim=1) // factor).clamp_min(1)
    return torch.arange(mask.shape[1] // factor, device=mask.device) < lengths[:, None]


def pad_time(x: Tensor, mask: Tensor | None, shortest: int) -> tuple[Tensor, Tensor | None]:
    """Pad features with zeros to at least `shortest` frames, so that max-pooling leaves a frame.

    Parameters
    ----------
    x : (B, T, F) Tensor
        Features.
    mask : (B, T) Tensor of bool, or None
        True for real frames. None if all frames are real.
    shortest : int
        The smallest number of frames.

    Returns
    -------
    x : (B, max(T, shortest), F) Tensor
    mask : (B, max(T, shortest)) Tensor of bool, or None
        None if all frames are real. A traced graph always pads, and always has a mask, because the
        length is not known.
    """
    missing = shortest - x.shape[1]
    if is_tracing():
        missing = missing.clamp_min(0)  # type: ignore[attr-defined]  # a trace has tensors as sizes
    elif missing <= 0:
        # The mask is tested only here: on a GPU, each test waits for all queued computations.
        return x, None if mask is None or bool(mask.all()) else mask
    if mask is None:
        mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    return nn.functional.pad(x, (0, 0, 0, missing)), nn.functional.pad(mask, (0, missing))


def run_gru(gru: nn.GRU, x: Tensor, mask: Tensor | None) -> Tensor:
    """Run a batch-first bidirectional GRU over the real frames.

    In evaluation mode on a CPU, the GRU computes in the precision of its weights, even under
    autocast. The matrices of one step are small: to convert them would take longer than the lower
    precision saves.

    Parameters
    ----------
    gru : torch.nn.GRU
        The GRU, of H units in each direction.
    x : (B, T, C) Tensor
        Inputs.
    mask : (B, T) Tensor of bool, or None
        True for real frames, which precede the padded ones. None if all frames are real.

    Returns
    -------
    (B, T, 2 H) Tensor
        Hidden states, 0 in padded frames.
    """
    hidden: Tensor
    with contextlib.ExitStack() as stack:
        if x.device.type == "cpu" and not gru.training:
            stack.enter_context(torch.autocast("cpu", enabled=False))
            x = x.to(next(gru.parameters()).dtype)
        if mask is None:
            hidden, _ = gru(x)
            return hidden
        lengths = mask.sum(dim=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(
            x, lengths, batch_first=True, enforce_sorted=False
        )
        hidden, _ = nn.utils.rnn.pad_packed_sequence(
            gru(packed)[0], batch_first=True, total_length=x.shape[1]
        )
        return hidden


def init_gru(gru: nn.GRU) -> None:
    """Initialise a GRU as the published code of Wang, Li & Metze (2019) does.

    Each weight (3 H, inputs) contains the three gates, and is initialised as one orthogonal matrix.
    Its singular values are 1. The standard deviation of `weight_hh` is 1 / sqrt(3 H). Biases are
    zero.
    """
    for name, parameter in gru.named_parameters():
        if "weight" in name:
            nn.init.orthogonal_(parameter)
        else:
            nn.init.zeros_(parameter)


def init_xavier(layer: nn.Linear | nn.Conv2d) -> None:
    """Initialise a layer with Xavier-uniform weights and zero biases."""
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class Head(nn.Module):
    """The last layer of a network, which turns hidden states (B, T, H) into an `Output`.

    It computes frame probabilities, clip probabilities, and the weights if the pooling function
    needs them. It computes in the precision of its own weights (float32), even under autocast.

    Parameters
    ----------
    num_hidden : int
        The number of hidden units H.
    pooling : Pooling
        The pooling function.
    floor : float
        The smallest distance of frame probabilities from 0 and 1.
    softmax_over : {"time", "class"}
        Whether the softmax of attention weights runs over the frames of a class or over the classes
        of a frame.

    Raises
    ------
    ValueError
        If `softmax_over` is unknown.
    """

    __call__: Callable[..., Output]

    def __init__(
        self,
        num_hidden: int,
        pooling: Pooling,
        floor: float = 0.0,
        softmax_over: SoftmaxOver = "time",
    ) -> None:
        super().__init__()
        if softmax_over not in ("time", "class"):
            raise ValueError(f"attention_softmax must be time or class, found {softmax_over!r}")
        self.pooling = pooling
        self.floor = floor
        self.softmax_over: SoftmaxOver = softmax_over
        self.fc_prob = nn.Linear(num_hidden, pooling.num_classes)
        self.fc_att = nn.Linear(num_hidden, pooling.num_classes) if pooling.needs_weights else None
        init_xavier(self.fc_prob)
        if self.fc_att is not None:
            init_xavier(self.fc_att)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Output:
        """Compute the output from hidden states (B, T, H).

        Without a mask (B, T), all frames are real.
        """
        if mask is None:
            mask = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
        with torch.autocast(hidden.device.type, enabled=False):
            hidden, real = hidden.to(self.fc_prob.weight.dtype), mask.unsqueeze(-1)
            frame = torch.sigmoid(self.fc_prob(hidden)).clamp(self.floor, 1 - self.floor) * real
            weight = None
            if self.fc_att is not None:
                logit = self.fc_att(hidden)
                weight = self.pooling.function.activate(logit, real, self.softmax_over)
            return Output(self.pooling(frame, weight, mask), frame, weight, mask)


class Network(nn.Module):
    """The contract of a network.

    A network turns features (B, T, F) into an `Output` of T // time_reduction frames. A
    user-defined network derives from this class, or from `torch.nn.Module` with the same
    attributes. It is constructed with a `Pooling`, `num_mels`, and options that it defines. Users
    name the class as `package.module:Class`:

        import torch
        from torch import nn

        from wsedtk.models.layers import Head, Network


        class OneLayer(Network):
            time_reduction = 1

            def __init__(self, pooling, num_mels, num_hidden=64):
                super().__init__()
                self.hidden = nn.Linear(num_mels, num_hidden)
                self.head = Head(num_hidden, pooling)

            def forward(self, x, mask=None):
                return self.head(torch.relu(self.hidden(x)), mask)

    Attributes
    ----------
    time_reduction : int
        The number of feature frames in an output frame.
    head : Head
        The last layer. A network without a head overrides `pooling`.
    pooling : Pooling
        The pooling function that the network was constructed with. It also pools segments.
    """

    time_reduction: int
    head: Head
    __call__: Callable[..., Output]

    @property
    def pooling(self) -> Pooling:
        """The pooling function."""
        return self.head.pooling

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Output:
        """Run the network on a batch.

        Parameters
        ----------
        x : (B, T, F) Tensor
            Normalised features, 0 in padded frames.
        mask : (B, T) Tensor of bool, optional
            True for real frames. By default, all frames are real.

        Returns
        -------
        Output
        """
        raise NotImplementedError
