"""The gated CRNN of He, Shen & Zhang 2019, figure 3.

B clips, T frames, F mel bins, C channels, H hidden units, K classes. The network has 1,755,281
parameters with 80 mel bins and 17 classes, without attention. The paper gives no widths, but says
that the network is similar to the network of Xu, Kong, Wang & Plumbley (ICASSP 2018). The widths
here are taken from Xu et al. The max-pooling over time follows from the frame rates in the paper.
The dropout rate does not come from a paper.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wsedtk.models.layers import (
    Head,
    Network,
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


class GatedConv(nn.Module):
    """A 3x3 convolution with batch norm. Half of its channels gate the other half by a sigmoid."""

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(num_inputs, 2 * num_outputs, 3, padding=1)
        self.bn = nn.BatchNorm2d(2 * num_outputs)
        init_xavier(self.conv)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, T, F) to (B, C', T, F)."""
        linear, gate = self.bn(self.conv(x)).chunk(2, dim=1)
        gated: Tensor = linear * torch.sigmoid(gate)
        return gated


@NETWORKS.register("gated-crnn")
class GatedCrnn(Network):
    """Blocks of two gated convolutions, one more convolution, a bidirectional GRU, an output layer.

    A block ends with dropout and max-pooling. With the default `time_pools`, T feature frames
    become T / 4 output frames: He's 50 feature frames per second become 12.5. Convolutions and
    output layer start with Xavier-uniform weights and zero biases. The paper does not give the
    initial weights of the GRU. `layers.init_gru` initialises it, as in the other networks. In
    training, batch norm includes padded frames.

    Parameters
    ----------
    pooling : Pooling
        The pooling function.
    num_mels : int
        The number of mel bins F, a multiple of 2 ** len(time_pools).
    num_channels : int
        The channels of the gated convolutions.
    num_top_channels : int
        The channels of the last convolution.
    num_hidden : int
        The hidden units H of the GRU in each direction.
    time_pools : sequence of int
        The factor of the max-pooling over time in each block. Each block halves the frequency bins.
    dropout : float
        The dropout rate, from 0 to 1.
    gru_gate : bool
        Whether half of the GRU's outputs gate the other half by a sigmoid, as in Xu et al. The
        paper does not specify this.
    attention_softmax : {"time", "class"}
        Whether the softmax of attention weights runs over the frames of a class, or over the
        classes of a frame as in Xu et al. The paper does not specify this.

    Raises
    ------
    ValueError
        If an option is wrong, or `num_mels` does not fit the number of blocks.
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
        self.dropout = nn.Dropout(dropout)
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
        x = x.permute(0, 2, 1, 3).flatten(2)  # (B, T', C * F'): channels stacked onto frequency
        x = run_gru(self.gru, x, mask)
        if self.gru_gate:
            stacked = x.unflatten(2, (2, 2, -1))  # type: ignore[no-untyped-call]  # no stub
            linear, gate = stacked.unbind(3)  # (B, T', direction, H) each
            x = (linear * torch.sigmoid(gate)).flatten(2)
        return self.head(x, mask)
