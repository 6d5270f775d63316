"""TALNet of Wang, Li & Metze 2019, figure 2 right.

B clips, T frames, F mel bins, C channels, E embedding size, K classes. The network has 9,980,527
parameters with 64 mel bins and 527 classes, without attention. The tensors have the same names as
in the authors' published weights.
"""

import torch
from torch import Tensor, nn

from wsedtk.models.layers import (
    Head,
    Network,
    Output,
    init_gru,
    pad_time,
    pool_mask,
    run_gru,
    zero_padding,
)
from wsedtk.models.network import NETWORKS
from wsedtk.models.pooling import Pooling


class ConvBlock(nn.Module):
    """A 3x3 convolution, batch norm and ReLU.

    As in the published code, weights start as Xavier-uniform and biases as PyTorch's default.
    """

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(num_inputs, num_outputs, 3, padding=1)
        self.bn = nn.BatchNorm2d(num_outputs)
        nn.init.xavier_uniform_(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, T, F) to (B, C', T, F)."""
        return torch.relu(self.bn(self.conv(x)))


@NETWORKS.register("talnet")
class TalNet(Network):
    """Convolutions with max-pooling, a bidirectional GRU and one output layer.

    The first two max-poolings halve time and frequency. Later ones only halve frequency. T feature
    frames become T / 4 output frames: Wang's 40 feature frames per second become 10. A layer with
    max-pooling has E / f channels, where f is the number of frequency bins after the max-pooling. A
    layer without max-pooling has 2 E / f channels, where f is the number of frequency bins of its
    input. The published network has 32, 32, 64, 64, 128, 128, 256, 256, 512, 512 channels. Frame
    probabilities are clamped to [1e-7, 1 - 1e-7]. In training, batch norm includes padded frames,
    as in the published code.

    Parameters
    ----------
    pooling : Pooling
        The pooling function.
    num_mels : int
        The number of mel bins F, a multiple of 2 ** num_pools.
    embedding_size : int
        The size E of the GRU's inputs and outputs: an even number, and a multiple of num_mels / 2.
    num_convs : int
        The number of convolutions, a multiple of `num_pools`.
    num_pools : int
        The number of max-poolings. Each one follows num_convs / num_pools convolutions.

    Raises
    ------
    ValueError
        If a size does not fit the others.
    """

    def __init__(
        self,
        pooling: Pooling,
        num_mels: int = 64,
        embedding_size: int = 1024,
        num_convs: int = 10,
        *,
        num_pools: int = 5,
    ) -> None:
        super().__init__()
        if not 1 <= num_pools <= num_convs or num_convs % num_pools:
            raise ValueError(
                f"num_convs must be a multiple of num_pools, found {num_convs} and {num_pools}"
            )
        if num_mels % 2**num_pools:
            raise ValueError(
                f"num_mels must be a multiple of {2**num_pools} for {num_pools} poolings, found "
                f"{num_mels}"
            )
        if embedding_size % 2 or 2 * embedding_size % num_mels:
            raise ValueError(
                "embedding_size must be an even multiple of num_mels / 2, found "
                f"{embedding_size} and {num_mels} mel bins"
            )
        self.num_convs, self.convs_per_pool = num_convs, num_convs // num_pools
        self.time_reduction = 2 ** min(num_pools, 2)
        num_inputs, num_bins = 1, num_mels
        for number in range(1, num_convs + 1):
            # For a layer with max-pooling, this equals E / f, because max-pooling halves num_bins.
            num_outputs = 2 * embedding_size // num_bins
            self.add_module(f"conv{number}", ConvBlock(num_inputs, num_outputs))
            num_inputs = num_outputs
            if number % self.convs_per_pool == 0:
                num_bins //= 2
        self.gru = nn.GRU(embedding_size, embedding_size // 2, batch_first=True, bidirectional=True)
        self.head = Head(embedding_size, pooling, floor=1e-7)
        init_gru(self.gru)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Output:
        """Run the network on features (B, T, F); see `Network.forward`."""
        x, mask = pad_time(x, mask, self.time_reduction)
        x = x.unsqueeze(1)  # (B, 1, T, F)
        for number in range(1, self.num_convs + 1):
            x = getattr(self, f"conv{number}")(zero_padding(x, mask))
            if number % self.convs_per_pool == 0:
                factor = 2 if number // self.convs_per_pool <= 2 else 1
                x = nn.functional.max_pool2d(x, (factor, 2))  # (B, C, T / factor, F / 2)
                mask = pool_mask(mask, factor)
        x = x.permute(0, 2, 1, 3).flatten(2)  # (B, T', E): channel by frequency
        return self.head(run_gru(self.gru, x, mask), mask)
