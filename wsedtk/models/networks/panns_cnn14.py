"""Cnn14 of PANNs (Kong, Cao, Iqbal, Wang, Wang & Plumbley 2020).

Source: the authors' code (GitHub qiuqiangkong/audioset_tagging_cnn), classes Cnn14 and
Cnn14_DecisionLevelMax.

Array dimensions: B clips, T frames, F mel bins, C channels, E embedding size, K classes, T' output
frames.

With 64 mel bins, 527 classes and max pooling, the network has 80,753,615 parameters.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from wsedtk.models.body_network import BodyNetwork
from wsedtk.models.layers import Output, mean_over_bins, pad_time
from wsedtk.models.network import NETWORKS
from wsedtk.models.panns_layers import BlockSizes, ConvStack, LinearRelu
from wsedtk.models.pooling import Pooling


@NETWORKS.register("panns-cnn14")
class PannsCnn14(BodyNetwork):
    """A network of six convolutional blocks, a linear layer and a head.

    Each block has two 3x3 convolutions. The first five blocks end with average-pooling, which
    halves the numbers of frames and mel bins. T feature frames become max(1, T // 32) output
    frames. With the 100 feature frames per second of the authors, an output frame lasts 0.32 s. The
    authors repeat each output frame 32 times. This network does not.

    After the mean over the mel bins, the hidden state of each frame is replaced by the sum of the
    maximum and the mean over this frame and its two neighbours (local pooling). The linear layer
    computes the embeddings, and the head computes frame probabilities. The pooling function
    computes clip probabilities from the frame probabilities. With max pooling, this network is the
    authors' network Cnn14_DecisionLevelMax.

    The authors' network Cnn14 has no frame probabilities. It replaces the hidden states of the clip
    by the sum of their maximum and their mean over time, and its two linear layers compute clip
    probabilities from this sum. If `clip_embedding` is True, clip probabilities are computed in
    this way. Frame probabilities are still computed with local pooling, by the same linear layers.
    The pooling function then computes only the scores of segments.

    As in the authors' code, the convolutions and the linear layers start with Xavier-uniform
    weights and zero biases.

    Parameters
    ----------
    pooling : Pooling
        The pooling function.
    num_mels : int
        The number of mel bins F, a multiple of 32.
    channels : sequence of int
        The numbers of output channels of the six blocks. The last number is also the embedding
        size E.
    clip_embedding : bool
        Whether clip probabilities are computed from an embedding of the whole clip, as in Cnn14.
        If True, the head must be linear, and the pooling function must need no parameters and no
        frame weights from the network, because these would not be trained.
    conv_dropout, fc_dropout : float
        The dropout rates of the outputs of each block, and of the inputs of the first linear layer,
        from 0 to 1. The defaults are those of the authors.
    **head
        Options of the head; see `BodyNetwork`. The authors train Cnn14_DecisionLevelMax with the
        dropout rate 0.5 of the embeddings, and Cnn14 without this dropout.

    Raises
    ------
    ValueError
        If a parameter does not meet the conditions above.
    """

    time_reduction = 32

    def __init__(
        self,
        pooling: Pooling,
        num_mels: int = 64,
        channels: Sequence[int] = (64, 128, 256, 512, 1024, 2048),
        *,
        clip_embedding: bool = False,
        conv_dropout: float = 0.2,
        fc_dropout: float = 0.5,
        **head: Any,
    ) -> None:
        if len(channels) != 6:
            raise ValueError(f"channels: expected six numbers, found {channels!r}")
        if type(clip_embedding) is not bool:
            raise ValueError(f"clip_embedding must be true or false, found {clip_embedding!r}")
        if clip_embedding and (pooling.needs_weights or list(pooling.parameters())):
            raise ValueError(
                "clip_embedding needs a pooling function without parameters and without frame "
                f"weights from the network, such as max or linear, found {pooling.method!r}"
            )
        size = channels[5]
        super().__init__(pooling, size, **head)
        if clip_embedding and self.gru is not None:
            raise ValueError("clip_embedding needs the head linear, found bigru")
        blocks = [BlockSizes(number, 2, 2) for number in channels[:5]]
        blocks.append(BlockSizes(channels[5], 1, 1))
        self.convs = ConvStack(num_mels, blocks, adds_max=False, dropout=conv_dropout)
        self.fc1 = LinearRelu(size, fc_dropout)
        self.clip_embedding = clip_embedding

    @property
    def body_layers(self) -> Sequence[nn.Module]:
        """The layers of the body. With `clip_embedding`, fc1 is a part of the head."""
        return self.convs.layers if self.clip_embedding else [*self.convs.layers, self.fc1]

    def enter_body(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Compute (B, 1, T, F); see `BodyNetwork.enter_body`."""
        x, mask = pad_time(x, mask, self.time_reduction)
        return x.unsqueeze(1), mask

    def run_layer(
        self, number: int, hidden: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Compute the output of a layer; see `BodyNetwork.run_layer`."""
        if number < len(self.convs.layers):
            return super().run_layer(number, hidden, mask)
        x = _without_padding(mean_over_bins(hidden), mask)
        return self.fc1(_pool_locally(x)), mask

    def leave_body(self, hidden: Tensor) -> Tensor:
        """Compute (B, T', C); see `BodyNetwork.leave_body`."""
        return mean_over_bins(hidden) if self.clip_embedding else hidden

    def forward(self, x: Tensor, mask: Tensor | None = None, start: int = 0) -> Output:
        """Run the network; see `BodyNetwork.forward`."""
        if not self.clip_embedding:
            return super().forward(x, mask, start)
        x, mask = self.run_body(x, mask, start)
        x = _without_padding(x, mask)
        output = self._score(_pool_locally(x), mask)
        num_frames = x.shape[1] if mask is None else mask.sum(dim=1, keepdim=True)
        of_clip = x.max(dim=1).values + x.sum(dim=1) / num_frames  # (B, C)
        clip = self._score(of_clip.unsqueeze(1), None).frame.squeeze(1)
        return dataclasses.replace(output, clip=clip)

    def _score(self, x: Tensor, mask: Tensor | None) -> Output:
        """Compute the output from hidden states (B, T', C) that `_pool_locally` returned.

        For the clip probabilities, the states are pooled over the clip instead, and T' is 1.
        """
        return self.head(self.dropout(self.fc1(x)), mask)


def _without_padding(x: Tensor, mask: Tensor | None) -> Tensor:
    """Return hidden states (B, T', C) with padded frames set to 0."""
    return x if mask is None else x * mask.unsqueeze(2).to(x.dtype)


def _pool_locally(x: Tensor) -> Tensor:
    """Return the maximum plus the mean over each frame and its two neighbours.

    The hidden states (B, T', C) are at least 0, and 0 in padded frames. Thus padded frames do not
    change the maximum. The first frame and the last frame have only one neighbour. As in the
    authors' code, the sum of such a frame and its neighbour is also divided by 3.
    """
    x = x.transpose(1, 2)
    highest = nn.functional.max_pool1d(x, 3, stride=1, padding=1)
    return (highest + nn.functional.avg_pool1d(x, 3, stride=1, padding=1)).transpose(1, 2)
