"""The convolutions of PANNs, which several networks share.

Source: Kong, Cao, Iqbal, Wang, Wang & Plumbley 2020, "PANNs: Large-scale pretrained audio neural
networks for audio pattern recognition" (IEEE/ACM Transactions on Audio, Speech, and Language
Processing 28; arXiv 1912.10211), and the authors' code (GitHub qiuqiangkong/audioset_tagging_cnn).

Array dimensions: B clips, T frames, F mel bins, C channels, T' output frames.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from wsedtk.models.layers import (
    Dropout,
    NormalizedConv,
    init_xavier,
    pool_mask,
    zero_padding,
)


class BlockSizes(NamedTuple):
    """The number of output channels of a block, and its pooling factors over time and mel bins."""

    num_channels: int
    time_factor: int
    mel_factor: int


class ConvBlock(nn.Module):
    """Two 3x3 convolutions with batch norm and ReLU, pooling, and dropout.

    Parameters
    ----------
    num_inputs : int
        The number of input channels.
    sizes : BlockSizes
        The sizes of the block.
    adds_max : bool
        Whether the results of max-pooling are added to the results of average-pooling.
    dropout : float
        The dropout rate of the outputs, from 0 to 1.
    """

    def __init__(self, num_inputs: int, sizes: BlockSizes, adds_max: bool, dropout: float) -> None:
        super().__init__()
        self.conv1 = NormalizedConv(num_inputs, sizes.num_channels, bias=False)
        self.conv2 = NormalizedConv(sizes.num_channels, sizes.num_channels, bias=False)
        self.dropout = Dropout(dropout)
        self.factors = sizes.time_factor, sizes.mel_factor
        self.adds_max = adds_max
        init_xavier(self.conv1.conv)
        init_xavier(self.conv2.conv)

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Compute (B, C', T // time_factor, F // mel_factor) and its mask from (B, C, T, F).

        `mask` (B, T) is True for real frames. If it is None, all frames are real.
        """
        x = torch.relu(self.conv1(zero_padding(x, mask)))
        x = torch.relu(self.conv2(zero_padding(x, mask)))
        if self.factors != (1, 1):
            average = nn.functional.avg_pool2d(x, self.factors)
            x = average + nn.functional.max_pool2d(x, self.factors) if self.adds_max else average
        return self.dropout(x), pool_mask(mask, self.factors[0])


class MelNorm(nn.BatchNorm1d):
    """Batch norm of each mel bin.

    In training, the statistics exclude padded frames, in which the features are 0: if the features
    are levels in dB, 0 is far from the levels of real frames.
    """

    def forward(  # type: ignore[override]  # the mask is an additional argument
        self, x: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Normalise the mel bins of (B, 1, T, F), and return the unchanged mask."""
        x = x.squeeze(1)
        if mask is None or not self.training:
            normalized = super().forward(x.transpose(1, 2)).transpose(1, 2)
        else:
            normalized = torch.zeros_like(x)
            normalized[mask] = super().forward(x[mask])
        return normalized.unsqueeze(1), mask


class ConvStack(nn.Module):
    """Batch norm of each mel bin, and several blocks of convolutions.

    The convolutions start with Xavier-uniform weights, as in the authors' code. The statistics of
    their batch norm include padded frames, as in the authors' code.

    Parameters
    ----------
    num_mels : int
        The number of mel bins F.
    blocks : sequence of BlockSizes
        The sizes of the blocks.
    adds_max : bool
        See `ConvBlock`.
    dropout : float
        The dropout rate of the outputs of each block, from 0 to 1.

    Raises
    ------
    ValueError
        If `num_mels` is not a multiple of the product of all factors `mel_factor`.
    """

    def __init__(
        self, num_mels: int, blocks: Sequence[BlockSizes], *, adds_max: bool, dropout: float
    ) -> None:
        super().__init__()
        mel_reduction = math.prod(sizes.mel_factor for sizes in blocks)
        if num_mels % mel_reduction:
            raise ValueError(f"num_mels must be a multiple of {mel_reduction}, found {num_mels}")
        self.bn0 = MelNorm(num_mels)
        self.blocks = nn.ModuleList()
        num_inputs = 1
        for sizes in blocks:
            self.blocks.append(ConvBlock(num_inputs, sizes, adds_max, dropout))
            num_inputs = sizes.num_channels

    @property
    def layers(self) -> list[nn.Module]:
        """The layers in their order, each called with (B, C, T, F) and the mask of its frames."""
        return [self.bn0, *self.blocks]


class LinearRelu(nn.Module):
    """Dropout, and a linear layer with ReLU, which has as many outputs as inputs.

    The layer starts with Xavier-uniform weights and zero biases.

    Parameters
    ----------
    size : int
        The number of inputs.
    dropout : float
        The dropout rate of the inputs, from 0 to 1.
    """

    def __init__(self, size: int, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.linear = nn.Linear(size, size)
        init_xavier(self.linear)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (..., size) outputs from (..., size) inputs."""
        return torch.relu(self.linear(self.dropout(x)))
