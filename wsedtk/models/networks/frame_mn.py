"""Frame-MobileNet, a MobileNetV3 with frame outputs, of Schmid et al.

Array dimensions: B clips, T frames, F mel bins, C channels, E embedding size, K classes, T' output
frames.

With `width` 1.0, 447 classes and linear pooling, the network has 3,401,231 parameters. With `width`
0.6, it has 1,357,103 parameters. The published weights also contain a layer for clip scores, which
was not trained and is not used here.

Sources: the published code and weights of Schmid, Morocutti, Foscarin, Schlueter, Primus & Widmer,
"Effective Pre-Training of Audio Transformers for Sound Event Detection", ICASSP 2025; Howard et
al., "Searching for MobileNetV3", ICCV 2019, table 1.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from wsedtk.models.body_network import BodyNetwork, HeadKind
from wsedtk.models.layers import (
    NormalizedConv,
    mean_over_bins,
    pad_time,
    pool_mask,
    zero_padding,
)
from wsedtk.models.network import NETWORKS
from wsedtk.models.pooling import Pooling

_LARGEST_WIDTH = 10.0  # bounds the memory


class _Block(NamedTuple):
    """The sizes of a block at `width` 1."""

    kernel_size: int
    num_expanded: int  # channels of the depthwise convolution
    num_outputs: int
    has_squeeze: bool
    activation: type[nn.Module]
    stride: tuple[int, int]  # in time and in frequency


_BLOCKS = (
    _Block(3, 16, 16, False, nn.ReLU, (1, 1)),
    _Block(3, 64, 24, False, nn.ReLU, (2, 2)),
    _Block(3, 72, 24, False, nn.ReLU, (1, 2)),
    _Block(5, 72, 40, True, nn.ReLU, (1, 1)),
    _Block(5, 120, 40, True, nn.ReLU, (1, 1)),
    _Block(5, 120, 40, True, nn.ReLU, (1, 2)),
    _Block(3, 240, 80, False, nn.Hardswish, (1, 1)),
    _Block(3, 200, 80, False, nn.Hardswish, (1, 2)),
    _Block(3, 184, 80, False, nn.Hardswish, (1, 1)),
    _Block(3, 184, 80, False, nn.Hardswish, (1, 1)),
    _Block(3, 480, 112, True, nn.Hardswish, (1, 2)),
    _Block(3, 672, 112, True, nn.Hardswish, (1, 1)),
    _Block(5, 672, 160, True, nn.Hardswish, (1, 1)),
    _Block(5, 960, 160, True, nn.Hardswish, (1, 1)),
    _Block(5, 960, 160, True, nn.Hardswish, (1, 2)),
)
_NUM_FIRST = 16  # output channels of the first convolution at `width` 1


def _multiple_of_8(size: float) -> int:
    """Round a size to a multiple of 8 that is at least 8, and at most 10% below the size."""
    rounded = max(8, int(size + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * size else rounded + 8


class ConvLayer(nn.Module):
    """A convolution with batch norm and an activation function.

    Parameters
    ----------
    num_inputs, num_outputs, kernel_size, stride, groups
        See `NormalizedConv`.
    activation : type of torch.nn.Module, optional
        The class of the activation function. By default, there is none.
    """

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        kernel_size: int = 1,
        *,
        stride: tuple[int, int] = (1, 1),
        groups: int = 1,
        activation: type[nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.conv = NormalizedConv(
            num_inputs,
            num_outputs,
            kernel_size,
            stride=stride,
            groups=groups,
            bias=False,
            eps=0.001,
            momentum=0.01,
        )
        self.activation = nn.Identity() if activation is None else activation(inplace=True)
        self.mixes_frames, self.time_stride = kernel_size > 1, stride[0]

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Compute (B, C', T', F') and the mask of the T' frames.

        T' is T / stride in time, rounded down. F' is F / stride in frequency, rounded up.
        """
        if self.mixes_frames:
            x = zero_padding(x, mask)
        num_frames = x.shape[2] // self.time_stride
        x = self.conv(x)
        if self.time_stride > 1:
            x = x[:, :, :num_frames]  # the convolution rounds the number of frames up
        return self.activation(x), pool_mask(mask, self.time_stride)


class SqueezeExcitation(nn.Module):
    """A layer that scales each channel by a factor.

    Two linear layers compute the factors from the means of the channels over all real frames and
    all frequency bins.
    """

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        num_hidden = _multiple_of_8(num_channels // 4)
        self.fc1 = nn.Linear(num_channels, num_hidden)
        self.fc2 = nn.Linear(num_hidden, num_channels)

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Scale the channels of (B, C, T, F), and return the unchanged mask."""
        mean = zero_padding(x, mask).mean(dim=(2, 3))  # (B, C)
        if mask is not None:
            mean = mean * mask.shape[1] / mask.sum(dim=1, keepdim=True)
        scale = torch.sigmoid(self.fc2(torch.relu(self.fc1(mean))))
        return x * scale[:, :, None, None], mask


class InvertedResidual(nn.Module):
    """A block that expands the channels, filters each of them, and reduces their number again.

    It consists of a 1x1 convolution (unless the number of channels stays the same), a depthwise
    convolution, an optional squeeze-and-excitation layer, and a 1x1 convolution. If the output has
    the shape of the input, the input is added to it.
    """

    def __init__(self, num_inputs: int, num_expanded: int, num_outputs: int, block: _Block) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if num_expanded != num_inputs:
            layers.append(ConvLayer(num_inputs, num_expanded, activation=block.activation))
        layers.append(
            ConvLayer(
                num_expanded,
                num_expanded,
                block.kernel_size,
                stride=block.stride,
                groups=num_expanded,
                activation=block.activation,
            )
        )
        if block.has_squeeze:
            layers.append(SqueezeExcitation(num_expanded))
        layers.append(ConvLayer(num_expanded, num_outputs))
        self.layers = nn.ModuleList(layers)
        self.is_residual = block.stride == (1, 1) and num_inputs == num_outputs

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Compute (B, C', T', F') and the mask of the T' frames.

        T' is T / stride in time, rounded down. F' is F / stride in frequency, rounded up.
        """
        hidden = x
        for layer in self.layers:
            hidden, mask = layer(hidden, mask)
        return hidden + x if self.is_residual else hidden, mask


@NETWORKS.register("frame-mn")
class FrameMn(BodyNetwork):
    """Frame-MobileNet: MobileNetV3 with smaller strides in time, and a head.

    T feature frames become max(1, T // 4) output frames. The first convolution and six blocks
    halve the number of frequency bins. With 128 mel bins, one bin is left. If more bins are left,
    the embedding is their mean. As in the published code, the convolutions start with He-normal
    weights. In training, the statistics of batch norm include padded frames.

    Parameters
    ----------
    pooling : Pooling
        The pooling function.
    num_mels : int
        The number of mel bins F.
    width : float
        The factor of the numbers of channels, above 0 and at most 10. The published networks have
        the widths 0.6 and 1.0. The embedding size E is 960 * width, rounded to a multiple of 48.
    head, num_hidden, dropout
        See `BodyNetwork`.

    Raises
    ------
    ValueError
        If `num_mels`, `width` or an option of the head is out of its range.
    """

    time_reduction = 4

    def __init__(
        self,
        pooling: Pooling,
        num_mels: int = 128,
        *,
        width: float = 1.0,
        head: HeadKind = "linear",
        num_hidden: int = 64,
        dropout: float = 0.0,
    ) -> None:
        if num_mels < 1:
            raise ValueError(f"num_mels must be at least 1, found {num_mels}")
        if not 0 < width <= _LARGEST_WIDTH:
            raise ValueError(f"width must be above 0 and at most {_LARGEST_WIDTH:g}, found {width}")
        num_channels = _multiple_of_8(_NUM_FIRST * width)
        layers: list[nn.Module] = [
            ConvLayer(1, num_channels, 3, stride=(2, 2), activation=nn.Hardswish)
        ]
        for block in _BLOCKS:
            num_outputs = _multiple_of_8(block.num_outputs * width)
            num_expanded = _multiple_of_8(block.num_expanded * width)
            layers.append(InvertedResidual(num_channels, num_expanded, num_outputs, block))
            num_channels = num_outputs
        embedding_size = 6 * num_channels
        super().__init__(pooling, embedding_size, head=head, num_hidden=num_hidden, dropout=dropout)
        layers.append(ConvLayer(num_channels, embedding_size, activation=nn.Hardswish))
        self.layers = nn.ModuleList(layers)
        for module in self.layers.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)

    def enter_body(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Compute (B, 1, T, F); see `BodyNetwork.enter_body`."""
        x, mask = pad_time(x, mask, self.time_reduction)
        return x.unsqueeze(1), mask

    def leave_body(self, hidden: Tensor) -> Tensor:
        """Compute the mean over the frequency bins; see `BodyNetwork.leave_body`."""
        return mean_over_bins(hidden)

    @property
    def body_layers(self) -> Sequence[nn.Module]:
        """The first convolution, the blocks, and the last convolution."""
        return list(self.layers)
