"""Cnn8Rnn, a CRNN with the convolutions of PANNs, and with a bidirectional GRU.

Source: the code of X. Xu (GitHub wsntxxn/AudioSetEventDetection).

Array dimensions: B clips, T frames, F mel bins, C channels, E embedding size, K classes, T' output
frames.

With 64 mel bins, 447 classes and linear pooling, the network has 6,360,959 parameters.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from wsedtk.models.body_network import BodyNetwork
from wsedtk.models.layers import mean_over_bins, pad_time, run_gru
from wsedtk.models.network import NETWORKS
from wsedtk.models.panns_layers import BlockSizes, ConvStack, LinearRelu
from wsedtk.models.pooling import Pooling


@NETWORKS.register("cnn8rnn")
class Cnn8Rnn(BodyNetwork):
    """A network of four convolutional blocks, a linear layer, a bidirectional GRU and a head.

    Each block has two 3x3 convolutions, and ends with the sum of average-pooling and max-pooling.
    The first two blocks halve the number of frames, and all blocks halve the number of mel bins.
    The mean over the mel bins is the input of the linear layer, which has ReLU. The GRU is after
    this layer, and its outputs are the embeddings. T feature frames become max(1, T // 4) output
    frames. With the 100 feature frames per second of the authors, the network has 25 output frames
    per second.

    As in the authors' code, the convolutions and the linear layers start with Xavier-uniform
    weights and zero biases, and the GRU of the body starts with PyTorch's default weights. The
    probabilities of real frames are clamped to [1e-7, 1 - 1e-7].

    Parameters
    ----------
    pooling : Pooling
        The pooling function.
    num_mels : int
        The number of mel bins F, a multiple of 16.
    channels : sequence of int
        The numbers of output channels of the four blocks. The last number is even. It is the size
        of the embedding E, too.
    conv_dropout, fc_dropout : float
        The dropout rates of the outputs of each block, and of the inputs of the linear layer of the
        body, from 0 to 1. The defaults are those of the authors.
    **head
        Options of the head; see `BodyNetwork`.

    Raises
    ------
    ValueError
        If a parameter does not meet the conditions above.
    """

    time_reduction = 4

    def __init__(
        self,
        pooling: Pooling,
        num_mels: int = 64,
        channels: Sequence[int] = (64, 128, 256, 512),
        *,
        conv_dropout: float = 0.2,
        fc_dropout: float = 0.5,
        **head: Any,
    ) -> None:
        if len(channels) != 4 or channels[3] % 2:
            raise ValueError(
                f"channels: expected four numbers, the last of which is even, found {channels!r}"
            )
        size = channels[3]
        super().__init__(pooling, size, floor=1e-7, **head)
        blocks = [BlockSizes(number, 2, 2) for number in channels[:2]]
        blocks += [BlockSizes(number, 1, 2) for number in channels[2:]]
        self.convs = ConvStack(num_mels, blocks, adds_max=True, dropout=conv_dropout)
        self.fc1 = LinearRelu(size, fc_dropout)
        self.rnn = nn.GRU(size, size // 2, batch_first=True, bidirectional=True)

    @property
    def body_layers(self) -> Sequence[nn.Module]:
        """The layers of the body that can be frozen, from the input to the embedding."""
        return [*self.convs.layers, self.fc1, self.rnn]

    def enter_body(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Compute (B, 1, T, F); see `BodyNetwork.enter_body`."""
        x, mask = pad_time(x, mask, self.time_reduction)
        return x.unsqueeze(1), mask

    def run_layer(
        self, number: int, hidden: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Compute the output of a layer; see `BodyNetwork.run_layer`."""
        layer = self.body_layers[number]
        if layer is self.fc1:
            return self.fc1(mean_over_bins(hidden)), mask
        if layer is self.rnn:
            return run_gru(self.rnn, hidden, mask), mask
        return super().run_layer(number, hidden, mask)
