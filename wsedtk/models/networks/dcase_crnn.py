"""The CRNN for DCASE 2017 of Wang, Li & Metze 2019, figure 2 left.

B clips, T frames, F mel bins, C channels, K classes. The network has 936,041 parameters with 64 mel
bins and 17 classes, without attention.
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


@NETWORKS.register("dcase-crnn")
class DcaseCrnn(Network):
    """Three 5x5 convolutions with ReLU and max-pooling, a bidirectional GRU, one output layer.

    T feature frames become T / 4 output frames: Wang's 40 feature frames per second become 10.
    There is no batch norm. Convolutions and output layer start with Xavier-uniform weights and zero
    biases. `layers.init_gru` initialises the GRU.

    Parameters
    ----------
    pooling : Pooling
        The pooling function.
    num_mels : int
        The number of mel bins F, a multiple of 8.
    channels : sequence of int
        The channels C of the three convolutions.
    num_hidden : int
        The hidden units of the GRU in each direction.
    dropout : float
        The dropout rate before and after the GRU, from 0 to 1. The paper has no dropout.

    Raises
    ------
    ValueError
        If `num_mels` or the length of `channels` is wrong.
    """

    time_reduction = 4

    def __init__(
        self,
        pooling: Pooling,
        num_mels: int = 64,
        channels: Sequence[int] = (32, 64, 128),
        num_hidden: int = 100,
        *,
        dropout: float = 0.0,
    ) -> None:
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
        self.dropout = nn.Dropout(dropout)
        self.head = Head(2 * num_hidden, pooling)
        for conv in (self.conv1, self.conv2, self.conv3):
            init_xavier(conv)
        init_gru(self.gru)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Output:
        """Run the network on features (B, T, F); see `Network.forward`."""
        x, mask = pad_time(x, mask, self.time_reduction)
        x = x.unsqueeze(1)  # (B, 1, T, F)
        for conv, factor in ((self.conv1, 1), (self.conv2, 2), (self.conv3, 2)):
            x = conv(zero_padding(x, mask))
            x = nn.functional.max_pool2d(x, (factor, 2))  # (B, C, T / factor, F / 2)
            x = torch.relu(x)  # same result as ReLU before max-pooling, but cheaper
            mask = pool_mask(mask, factor)
        x = x.permute(0, 2, 1, 3).flatten(2)  # (B, T', C * F')
        return self.head(self.dropout(run_gru(self.gru, self.dropout(x), mask)), mask)
