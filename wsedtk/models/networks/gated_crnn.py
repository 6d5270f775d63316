"""The gated CRNN of He, Shen & Zhang 2019, figure 3.

B clips, T frames, F mel bins, C channels, H hidden units, K classes. 1,755,281 parameters with 80 mel bins and 17 classes,
without attention. The paper prints no widths and calls the network similar to that of Xu, Kong, Wang & Plumbley (ICASSP 2018):
the widths here are theirs; the pooling over time follows from the paper's frame rates; the dropout rate is ours.
"""

import torch
from torch import nn

from wsedtk.models.layers import (
    Head,
    Network,
    init_gru,
    init_xavier,
    pad_time,
    pool_mask,
    run_gru,
    zero_padding,
)
from wsedtk.models.network import NETWORKS


class GatedConv(nn.Module):
    """A 3x3 convolution to twice the maps and batch norm; one half passes through the other's sigmoid."""

    def __init__(self, num_inputs, num_outputs):
        super().__init__()
        self.conv = nn.Conv2d(num_inputs, 2 * num_outputs, 3, padding=1)
        self.bn = nn.BatchNorm2d(2 * num_outputs)
        init_xavier(self.conv)

    def forward(self, x):
        """(B, C, T, F) -> (B, C', T, F)."""
        linear, gate = self.bn(self.conv(x)).chunk(2, dim=1)
        return linear * torch.sigmoid(gate)


@NETWORKS.register("gated-crnn")
class GatedCrnn(Network):
    """Four blocks of two gated convolutions, dropout and max-pooling, a convolution, a bidirectional GRU, one output layer.

    T feature frames become T / 4 output frames with the default `time_pools` (12.5 a second of He's 50). Two things that Xu et
    al. have and the paper may or may not have kept are options: `gru_gate` passes one half of the GRU's outputs through the
    other's sigmoid; `attention_softmax: class` takes attention's softmax over the classes of a frame and not over time.
    Xavier-uniform convolutions and outputs with zero biases; the paper says nothing of the GRU, which starts as that of the other
    networks does (`layers.init_gru`). In training, batch norm sees padded frames.
    """

    def __init__(
        self,
        pooling,
        num_mels=80,
        num_channels=64,
        num_top_channels=256,
        num_hidden=128,
        time_pools=(2, 2, 1, 1),
        dropout=0.2,
        gru_gate=False,
        attention_softmax="time",
    ):
        super().__init__()
        if num_mels % 2 ** len(time_pools):
            raise ValueError(
                f"num_mels must be a multiple of {2 ** len(time_pools)} for {len(time_pools)} blocks, found {num_mels}"
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

    def forward(self, x, mask=None):
        """Features (B, T, F) and mask (B, T), True = real frame (None: all) -> Output with T' = T // time_reduction frames."""
        x, mask = pad_time(x, mask, self.time_reduction)
        x = x.unsqueeze(1)  # (B, 1, T, F)
        for block, factor in zip(self.blocks, self.time_pools):
            for conv in block:
                x = conv(zero_padding(x, mask))
            x = nn.functional.max_pool2d(self.dropout(x), (factor, 2))  # (B, C, T / factor, F / 2)
            mask = pool_mask(mask, factor)
        x = torch.relu(self.conv(zero_padding(x, mask)))
        x = x.permute(0, 2, 1, 3).flatten(2)  # (B, T', C * F'): channels stacked onto frequency
        x = run_gru(self.gru, x, mask)
        if self.gru_gate:
            linear, gate = x.unflatten(2, (2, 2, -1)).unbind(3)  # (B, T', direction, H) each
            x = (linear * torch.sigmoid(gate)).flatten(2)
        return self.head(x, mask)
