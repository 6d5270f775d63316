"""The CRNN for DCASE 2017 in figure 2 (left) of Wang, Li & Metze 2019.

Array dimensions: B clips, T frames, F mel bins, C channels, K classes, T' output frames, F'
frequency bins after max-pooling.

With 64 mel bins, 17 classes and linear pooling, the network has 936,041 parameters.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wsedtk.models.layers import (
    Dropout,
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
    """A network of three 5x5 convolutions, a bidirectional GRU and an output layer.

    Each convolution is followed by max-pooling and ReLU. T feature frames become max(1, T // 4)
    output frames. With the 40 feature frames per second of the paper, the network has 10 output
    frames per second. It does not use batch norm. The convolutions and the output layer start with
    Xavier-uniform weights and zero biases. `wsedtk.models.layers.init_gru` initialises the GRU.

    Parameters
    ----------
    pooling : Pooling
        The pooling function.
    num_mels : int
        The number of mel bins F, a multiple of 8.
    channels : sequence of int
        The numbers of output channels of the three convolutions.
    num_hidden : int
        The number of hidden units of the GRU in each direction.
    dropout : float
        The dropout rate before and after the GRU, from 0 to 1. The paper does not use dropout.

    Raises
    ------
    ValueError
        If `num_mels` is not a multiple of 8, if `channels` does not contain three numbers, or if
        `dropout` is below 0 or above 1.
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
        self.dropout = Dropout(dropout)
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
            x = torch.relu(x)  # ReLU before max-pooling has the same result, but takes longer
            mask = pool_mask(mask, factor)
        x = x.permute(0, 2, 1, 3).flatten(2)  # (B, T', C * F')
        return self.head(self.dropout(run_gru(self.gru, self.dropout(x), mask)), mask)
