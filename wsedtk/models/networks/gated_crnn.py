"""The gated CRNN of He, Shen & Zhang 2019, figure 3.

Array dimensions: B clips, T frames, F mel bins, C channels, H hidden units, K classes, T' output
frames, F' frequency bins after max-pooling.

With 80 mel bins, 17 classes and linear pooling, the network has 1,755,281 parameters. The paper
does not give the sizes of the layers, but says that the network is similar to the network of Xu,
Kong, Wang & Plumbley (ICASSP 2018). The default sizes are taken from Xu et al. The factors of the
max-pooling over time follow from the frame rates in the paper of He et al. The default dropout rate
is not from either paper.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from wsedtk.models.layers import (
    Dropout,
    Head,
    Network,
    NormalizedConv,
    Output,
    init_gru,
    init_xavier,
    pad_time,
    pool_mask,
    run_gru,
    zero_padding,
)
from wsedtk.models.network import NETWORKS
from wsedtk.models.pooling import Pooling
from wsedtk.models.pooling_functions import SoftmaxOver


class GatedConv(NormalizedConv):
    """A 3x3 convolution with batch norm and a gate.

    The first half of its channels is multiplied by the sigmoid of the second half.
    """

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__(num_inputs, 2 * num_outputs)
        init_xavier(self.conv)

    def forward(self, x: Tensor) -> Tensor:
        """Compute C' output channels (B, C', T, F) from C input channels (B, C, T, F)."""
        if x.device.type == "cpu" and self.bn.training:
            gated: Tensor = _NormalizedGate.apply(
                self.conv(x), self.bn.weight, self.bn.bias, self.bn
            )  # type: ignore[no-untyped-call]
            return gated
        return nn.functional.glu(super().forward(x), dim=1)


class _NormalizedGate(torch.autograd.Function):
    """Batch norm and the gate, in training on a CPU.

    PyTorch computes the gradient of the gate in a memory format other than `channels_last`. With
    such a gradient, the backward pass of batch norm takes 16 times as long. This class computes the
    gradient in the format `channels_last`. It does not store the normalised channels, but computes
    them again in the backward pass, one clip at a time.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, bn: nn.BatchNorm2d) -> Tensor:
        """Compute (B, C', T, F) from (B, 2 C', T, F), and update the running statistics of `bn`."""
        assert bn.num_batches_tracked is not None and bn.momentum is not None
        bn.num_batches_tracked.add_(1)
        statistics = bn.running_mean, bn.running_var
        normalized, mean, scale = torch.native_batch_norm(
            x, weight, bias, *statistics, True, bn.momentum, bn.eps
        )
        ctx.eps = bn.eps
        ctx.save_for_backward(x, weight, bias, mean, scale)  # scale: 1 / sqrt(variance + eps)
        return nn.functional.glu(normalized, dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, weight and bias."""
        x, weight, bias, mean, scale = ctx.saved_tensors
        variance = scale**-2 - ctx.eps
        of_normalized = torch.empty_like(x)
        for clip, of_output, of_input in zip(x, gradient, of_normalized):
            normalized = nn.functional.batch_norm(
                clip[None], mean, variance, weight, bias, eps=ctx.eps
            )
            torch.ops.aten.glu_backward.grad_input(of_output, normalized[0], 0, grad_input=of_input)
        return *torch.ops.aten.native_batch_norm_backward(
            of_normalized, x, weight, None, None, mean, scale, True, ctx.eps, [True, True, True]
        ), None


@NETWORKS.register("gated-crnn")
class GatedCrnn(Network):
    """A network of several blocks, a 3x3 convolution, a bidirectional GRU and an output layer.

    Each block consists of two gated convolutions, dropout and max-pooling. With the default
    `time_pools`, T feature frames become max(1, T // 4) output frames. With the 50 feature frames
    per second of the paper, the network then has 12.5 output frames per second. The convolutions
    and the output layer start with Xavier-uniform weights and zero biases. The paper does not give
    the initial weights of the GRU. `wsedtk.models.layers.init_gru` initialises the GRU, as in the
    other networks. In training, the statistics of batch norm include padded frames.

    Parameters
    ----------
    pooling : Pooling
        The pooling function.
    num_mels : int
        The number of mel bins F, a multiple of 2 ** len(time_pools).
    num_channels : int
        The number of output channels of each gated convolution.
    num_top_channels : int
        The number of output channels of the convolution after the blocks.
    num_hidden : int
        The number of outputs H of the GRU in each direction. If `gru_gate` is True, the outputs
        are counted after the gate.
    time_pools : sequence of int
        The factors of the max-pooling over time, one for each block. Each block also halves the
        number of frequency bins.
    dropout : float
        The dropout rate, from 0 to 1.
    gru_gate : bool
        Whether one half of the GRU's outputs is multiplied by the sigmoid of the other half, as in
        Xu et al. The paper of He et al. does not specify this.
    attention_softmax : {"time", "class"}
        Whether the softmax of attention weights runs over the frames of each class, or over the
        classes of each frame. Xu et al. use "class". The paper of He et al. does not specify this.

    Raises
    ------
    ValueError
        If `num_mels` is not a multiple of 2 ** len(time_pools), if `time_pools` is empty or an
        element of it is not a whole number >= 1, if `gru_gate` is not a bool, if `dropout` is below
        0 or above 1, or if `attention_softmax` is neither "time" nor "class".
    """

    def __init__(
        self,
        pooling: Pooling,
        num_mels: int = 80,
        num_channels: int = 64,
        num_top_channels: int = 256,
        *,
        num_hidden: int = 128,
        time_pools: Sequence[int] = (2, 2, 1, 1),
        dropout: float = 0.2,
        gru_gate: bool = False,
        attention_softmax: SoftmaxOver = "time",
    ) -> None:
        super().__init__()
        if num_mels % 2 ** len(time_pools):
            raise ValueError(
                f"num_mels must be a multiple of {2 ** len(time_pools)} for {len(time_pools)} "
                f"blocks, found {num_mels}"
            )
        if type(gru_gate) is not bool:
            raise ValueError(f"gru_gate must be true or false, found {gru_gate!r}")
        if not time_pools or not all(type(f) is int and f >= 1 for f in time_pools):
            raise ValueError(
                f"time_pools: expected a whole number >= 1 for each block, found {time_pools!r}"
            )
        self.time_pools, self.gru_gate, self.time_reduction = tuple(time_pools), gru_gate, 1
        self.blocks = nn.ModuleList()
        num_inputs = 1
        for factor in time_pools:
            self.blocks.append(
                nn.ModuleList(
                    [GatedConv(num_inputs, num_channels), GatedConv(num_channels, num_channels)]
                )
            )
            num_inputs = num_channels
            self.time_reduction *= factor
        self.dropout = Dropout(dropout)
        self.conv = nn.Conv2d(num_channels, num_top_channels, 3, padding=1)
        num_stacked = num_top_channels * (num_mels // 2 ** len(time_pools))
        self.gru = nn.GRU(
            num_stacked, num_hidden * (2 if gru_gate else 1), batch_first=True, bidirectional=True
        )
        self.head = Head(2 * num_hidden, pooling, softmax_over=attention_softmax)
        init_xavier(self.conv)
        init_gru(self.gru)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Output:
        """Run the network on features (B, T, F); see `Network.forward`."""
        x, mask = pad_time(x, mask, self.time_reduction)
        x = x.unsqueeze(1)  # (B, 1, T, F)
        for block, factor in zip(self.blocks, self.time_pools):
            for conv in block.children():
                x = conv(zero_padding(x, mask))
            x = nn.functional.max_pool2d(self.dropout(x), (factor, 2))  # (B, C, T / factor, F / 2)
            mask = pool_mask(mask, factor)
        x = torch.relu(self.conv(zero_padding(x, mask)))
        x = x.permute(0, 2, 1, 3).flatten(2)  # (B, T', C * F')
        x = run_gru(self.gru, x, mask)
        if self.gru_gate:
            stacked = x.unflatten(2, (2, 2, -1))  # type: ignore[no-untyped-call]  # no stub
            linear, gate = stacked.unbind(3)  # each is (B, T', 2, H), for two directions
            x = (linear * torch.sigmoid(gate)).flatten(2)
        return self.head(x, mask)
