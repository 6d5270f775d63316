"""Parts that networks share: the base class, the output, masks, the GRU and the last layer.

Array dimensions: B clips, T frames, F mel bins, C channels, H hidden units, K classes, T' output
frames.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from wsedtk.models import parallel_gru
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
        Frame weights that the network computes. None if they are not needed.
    mask : (B, T') Tensor of bool
        True for real frames.
    """

    clip: Tensor
    frame: Tensor
    weight: Tensor | None
    mask: Tensor


def zero_padding(x: Tensor, mask: Tensor | None) -> Tensor:
    """Return `x` (B, C, T, F) with padded frames set to 0.

    `mask` (B, T) is True for real frames. If it is None, all frames are real. The built-in networks
    call this function before each convolution, because earlier layers make padded frames differ
    from 0.
    """
    return x if mask is None else x * mask[:, None, :, None].to(x.dtype)


def pool_mask(mask: Tensor | None, factor: int) -> Tensor | None:
    """Return the mask (B, T // factor) after max-pooling over time.

    The number of real frames of a clip is divided by `factor` and rounded down, but the result is
    at least 1. If `mask` is None, the function returns None.
    """
    if factor == 1 or mask is None:
        return mask
    lengths = (mask.sum(dim=1) // factor).clamp_min(1)
    return torch.arange(mask.shape[1] // factor, device=mask.device) < lengths[:, None]


def pad_time(x: Tensor, mask: Tensor | None, shortest: int) -> tuple[Tensor, Tensor | None]:
    """Pad features with zeros to at least `shortest` frames.

    If `shortest` is the time reduction of a network, at least one frame remains after max-pooling.

    Parameters
    ----------
    x : (B, T, F) Tensor
        Features.
    mask : (B, T) Tensor of bool, or None
        True for real frames. None if all frames are real.
    shortest : int
        The smallest number of frames of the result.

    Returns
    -------
    x : (B, max(T, shortest), F) Tensor
    mask : (B, max(T, shortest)) Tensor of bool, or None
        None if all frames are real. While the network is traced for an ONNX graph, the mask is
        never None, because the number of frames is not known.
    """
    missing = shortest - x.shape[1]
    if is_tracing():
        missing = missing.clamp_min(0)  # type: ignore[attr-defined]  # a trace has tensors as sizes
    elif missing <= 0:
        # A network calls this function once for each batch. Other functions do not test whether all
        # frames are real, because on a GPU each such test waits for all queued computations.
        return x, None if mask is None or bool(mask.all()) else mask
    if mask is None:
        mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    return nn.functional.pad(x, (0, 0, 0, missing)), nn.functional.pad(mask, (0, missing))


def run_gru(gru: nn.GRU, x: Tensor, mask: Tensor | None) -> Tensor:
    """Run a batch-first bidirectional GRU over the real frames.

    Autocast applies only on a CPU. On a GPU, the GRU computes in the precision of its weights,
    because autocast would convert the inputs of cuDNN to float16, even if it converts other layers
    to bfloat16. Many gradients of a batch would then be rounded to 0.

    Parameters
    ----------
    gru : torch.nn.GRU
        The GRU, with H hidden units in each direction.
    x : (B, T, C) Tensor
        Inputs.
    mask : (B, T) Tensor of bool, or None
        True for real frames, which precede the padded frames. None if all frames are real.

    Returns
    -------
    (B, T, 2 H) Tensor
        Hidden states, 0 in padded frames.
    """
    hidden: Tensor
    with contextlib.ExitStack() as stack:
        if x.device.type != "cpu":
            stack.enter_context(torch.autocast(x.device.type, enabled=False))
            x = x.to(next(gru.parameters()).dtype)
        if not is_tracing() and parallel_gru.can_run(gru, x):
            return parallel_gru.run(gru, x, mask)
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


def mean_over_bins(x: Tensor) -> Tensor:
    """Return the mean (B, T, C) of `x` (B, C, T, F) over the frequency bins.

    For a single bin, the gradient of `x.mean(dim=3)` has strides for which PyTorch 2.13 computes
    wrong gradients of batch norm on a CPU. This function avoids these strides.
    """
    return x.permute(0, 2, 3, 1).mean(dim=2)


class Dropout(nn.Dropout):
    """Dropout whose random numbers are drawn faster on a CPU than those of PyTorch.

    On a CPU, 16 random bits decide whether an element is kept. Thus the dropout rate is rounded to
    a multiple of 2^-16.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Set random elements of `x` to 0 in training, and scale the others."""
        # Of the 65,536 possible values of a random number, `dropped` values set an element to 0.
        dropped = round(self.p * 65536)
        if not self.training or x.device.type != "cpu" or not 0 < dropped < 65536:
            return super().forward(x)
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        is_kept = draws.view(torch.int16)[: x.numel()] >= dropped - 32768
        noise = torch.empty_like(x)  # has the memory format of x, without gaps
        noise.as_strided(is_kept.shape, (1,)).copy_(is_kept).mul_(65536 / (65536 - dropped))
        return x * noise


class NormalizedConv(nn.Module):
    """A convolution and batch norm. Its tensors are named `conv.*` and `bn.*`.

    Parameters
    ----------
    num_inputs, num_outputs : int
        The numbers of channels.
    kernel_size : int
        The odd size of the kernel in time and in frequency. The input is padded with zeros so that
        with a stride of 1, the output has as many frames and bins as the input.
    stride : tuple of int
        The strides in time and in frequency.
    groups : int
        The number of groups of channels that do not affect each other. If it is equal to both
        numbers of channels, the convolution is depthwise.
    bias : bool
        Whether the convolution has a bias.
    eps, momentum : float
        See `torch.nn.BatchNorm2d`.
    """

    bn: nn.BatchNorm2d | nn.Identity

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        kernel_size: int = 3,
        *,
        stride: tuple[int, int] = (1, 1),
        groups: int = 1,
        bias: bool = True,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            num_inputs,
            num_outputs,
            kernel_size,
            stride,
            padding=kernel_size // 2,
            groups=groups,
            bias=bias,
        )
        self.bn = nn.BatchNorm2d(num_outputs, eps, momentum)

    def forward(self, x: Tensor) -> Tensor:
        """Compute C' output channels (B, C', T, F) from C input channels (B, C, T, F)."""
        normalized: Tensor = self.bn(self.conv(x))
        return normalized

    def fold(self) -> None:
        """Replace both layers by one convolution that computes the same in evaluation mode."""
        if isinstance(self.bn, nn.BatchNorm2d):
            self.conv = nn.utils.fusion.fuse_conv_bn_eval(self.conv.eval(), self.bn.eval())
            self.bn = nn.Identity()


def fold_batch_norm(network: "Network") -> None:
    """Set a network to evaluation mode, and fold batch norm into convolutions.

    The network can't be trained afterwards. Batch norm outside `NormalizedConv` is kept.
    """
    for module in network.modules():
        if isinstance(module, NormalizedConv):
            module.fold()
    network.eval()  # also the layers that `fold` has made


def init_gru(gru: nn.GRU) -> None:
    """Initialise a GRU as the published code of Wang, Li & Metze (2019) does.

    Each weight matrix (3 H, number of inputs) contains the weights of three gates. It is
    initialised as one orthogonal matrix: all its singular values are 1. The elements of `weight_hh`
    have the standard deviation 1 / sqrt(3 H). The biases are zero.
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

    It computes frame probabilities and clip probabilities, and also frame weights if the pooling
    function needs them. All computations use the precision of the parameters of this layer
    (float32), even under autocast.

    Parameters
    ----------
    num_hidden : int
        The size H of the hidden state of each frame. After a bidirectional GRU, it is twice the
        number of hidden units in each direction.
    pooling : Pooling
        The pooling function.
    floor : float
        The probabilities of real frames are clamped to [floor, 1 - floor].
    softmax_over : {"time", "class"}
        Whether the softmax of attention weights runs over the frames of each class, or over the
        classes of each frame.

    Raises
    ------
    ValueError
        If `softmax_over` is neither "time" nor "class".
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
            raise ValueError(f'attention_softmax must be "time" or "class", found {softmax_over!r}')
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

        `mask` (B, T) is True for real frames. If it is None, all frames are real.
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
    """The base class of networks.

    A network turns features (B, T, F) into an `Output` with max(1, T // time_reduction) frames. A
    user-defined network derives from this class or from `torch.nn.Module`. A class that derives
    directly from `torch.nn.Module` must define `time_reduction`, `pooling` and `forward`. The
    constructor takes a `Pooling`, `num_mels`, and options that the network defines. Users select
    the network with the name `package.module:Class`. The following class is an example:

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
        The number of feature frames for each output frame.
    head : Head
        The last layer. A network without this attribute must override the property `pooling`.
    pooling : Pooling
        The pooling function that the constructor was called with. It also computes the scores of
        segments.
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

    @classmethod
    def resolutions(cls, options: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return options of networks with the same tensors and other time resolutions.

        Parameters
        ----------
        options : mapping of str to object
            The options of a network of this class.

        Returns
        -------
        list of dict
            Options that differ from `options` only in the time resolution. By default, the list is
            empty.
        """
        return []
