"""TALNet of Wang, Li & Metze 2019, figure 2 (right).

Array dimensions: B clips, T frames, F mel bins, C channels, E embedding size, K classes, T' output
frames.

With 64 mel bins, 527 classes and linear pooling, the network has 9,980,527 parameters. The tensors
have the same names as in the authors' published weights, with one difference: the names of the
tensors of the output layer start with `head.`.
"""

import torch
from torch import Tensor, nn

from wsedtk.models.layers import (
    Head,
    Network,
    NormalizedConv,
    Output,
    init_gru,
    pad_time,
    pool_mask,
    run_gru,
    zero_padding,
)
from wsedtk.models.network import NETWORKS
from wsedtk.models.pooling import Pooling


@NETWORKS.register("talnet")
class TalNet(Network):
    """A network of convolutions with max-pooling, a bidirectional GRU and an output layer.

    The first two max-poolings halve the number of frames and the number of frequency bins. Later
    max-poolings halve only the number of frequency bins. With two or more max-poolings, T feature
    frames become max(1, T // 4) output frames. With the 40 feature frames per second of the paper,
    the network then has 10 output frames per second.

    A convolution with f frequency bins at its input has 2 E / f output channels. The convolutions
    of the published network have 32, 32, 64, 64, 128, 128, 256, 256, 512 and 512 channels. As in
    the published code, the convolutions start with Xavier-uniform weights, and with the default
    biases of PyTorch. The probabilities of real frames are clamped to [1e-7, 1 - 1e-7]. In
    training, the statistics of batch norm include padded frames, as in the published code.

    Parameters
    ----------
    pooling : Pooling
        The pooling function.
    num_mels : int
        The number of mel bins F, a multiple of 2 ** num_pools.
    embedding_size : int
        The number E of inputs of the GRU. The GRU also has E outputs, E / 2 in each direction. E
        must be even, and a multiple of num_mels / 2.
    num_convs : int
        The number of convolutions, a multiple of `num_pools`.
    num_pools : int
        The number of max-poolings, at least 1. Each max-pooling follows num_convs / num_pools
        convolutions.

    Raises
    ------
    ValueError
        If a parameter does not meet the conditions above.
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
                "num_pools must be at least 1, and num_convs a multiple of num_pools, found "
                f"num_pools {num_pools} and num_convs {num_convs}"
            )
        if num_mels % 2**num_pools:
            raise ValueError(
                f"num_mels must be a multiple of {2**num_pools} for num_pools {num_pools}, found "
                f"{num_mels}"
            )
        if embedding_size % 2 or 2 * embedding_size % num_mels:
            raise ValueError(
                "embedding_size must be even and a multiple of num_mels / 2, found "
                f"embedding_size {embedding_size} and num_mels {num_mels}"
            )
        self.num_convs, self.convs_per_pool = num_convs, num_convs // num_pools
        self.time_reduction = 2 ** min(num_pools, 2)
        num_inputs, num_bins = 1, num_mels
        for number in range(1, num_convs + 1):
            # The GRU has E inputs. Therefore, after the last max-pooling, the number of channels
            # times the number of bins must be E. This formula meets this condition.
            num_outputs = 2 * embedding_size // num_bins
            block = NormalizedConv(num_inputs, num_outputs)
            nn.init.xavier_uniform_(block.conv.weight)
            self.add_module(f"conv{number}", block)
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
            x = torch.relu(x)  # ReLU before max-pooling has the same result, but takes longer
        x = x.permute(0, 2, 1, 3).flatten(2)  # (B, T', E)
        return self.head(run_gru(self.gru, x, mask), mask)
