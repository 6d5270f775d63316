"""The CRNN for DCASE 2017 of Wang, Li & Metze 2019, figure 2 left.

B clips, T frames, F mel bins, K classes. 936,041 parameters with 64 mel bins and 17 classes, without attention.
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


@NETWORKS.register("dcase-crnn")
class DcaseCrnn(Network):
    """Three 5x5 convolutions with ReLU and max-pooling, a bidirectional GRU, one fully connected layer.

    T feature frames become T / 4 output frames (10 a second of Wang's 40). No batch norm. Xavier-uniform convolutions and
    outputs with zero biases; the GRU starts as `layers.init_gru` says.
    """

    time_reduction = 4  # feature frames in one output frame

    def __init__(self, pooling, num_mels=64, channels=(32, 64, 128), num_hidden=100, dropout=0.0):
        super().__init__()
        if len(channels) != 3:
            raise ValueError(f"channels: expected three numbers, found {channels!r}")
        if num_mels % 8:
            raise ValueError(f"num_mels must be a multiple of 8, found {num_mels}")
        self.conv1 = nn.Conv2d(1, channels[0], 5, padding=2)
        self.conv2 = nn.Conv2d(channels[0], channels[1], 5, padding=2)
        self.conv3 = nn.Conv2d(channels[1], channels[2], 5, padding=2)
        self.gru = nn.GRU(
            channels[2] * num_mels // 8, num_hidden, batch_first=True, bidirectional=True
        )
        self.dropout = nn.Dropout(dropout)  # before and after the GRU; the paper has none
        self.head = Head(2 * num_hidden, pooling)
        for conv in (self.conv1, self.conv2, self.conv3):
            init_xavier(conv)
        init_gru(self.gru)

    def forward(self, x, mask=None):
        """Features (B, T, F) and mask (B, T), True = real frame (None: all) -> Output with T' = T // 4 frames."""
        x, mask = pad_time(x, mask, self.time_reduction)
        x = x.unsqueeze(1)  # (B, 1, T, F)
        for conv, factor in ((self.conv1, 1), (self.conv2, 2), (self.conv3, 2)):
            x = nn.functional.max_pool2d(
                conv(zero_padding(x, mask)), (factor, 2)
            )  # (B, C, T / factor, F / 2)
            x = torch.relu(x)  # after the pooling it is the same function on fewer numbers
            mask = pool_mask(mask, factor)
        x = x.permute(0, 2, 1, 3).flatten(2)  # (B, T', C * F')
        return self.head(self.dropout(run_gru(self.gru, self.dropout(x), mask)), mask)
