"""YAMNet, a MobileNet v1 that was trained on AudioSet.

Source: M. Plakal and D. Ellis, YAMNet, in the repository of TensorFlow's models
(research/audioset/yamnet). A. G. Howard et al., MobileNets: Efficient convolutional neural networks
for mobile vision applications, arXiv:1704.04861, table 1.

Array dimensions: B clips, T frames, F mel bins, C channels, P patches, T' output frames.

With 64 mel bins, 521 classes and linear pooling, the network has 3,729,481 parameters. The network
has no batch norm. The published batch norm is folded into the convolutions, because its statistics
stay fixed when the network is trained further.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from wsedtk.models.body_network import BodyNetwork
from wsedtk.models.layers import mean_over_bins, pad_time, pool_mask, zero_padding
from wsedtk.models.network import NETWORKS
from wsedtk.models.pooling import Pooling

PATCH_FRAMES = 96  # length of a patch
_SILENCE = math.log(0.001)  # level of digital silence, in the unit of the features
# For each block: whether its stride is 2, and its number of output channels, divided by the number
# of channels of the first convolution.
_BLOCKS = (
    (False, 2),
    (True, 4),
    (False, 4),
    (True, 8),
    (False, 8),
    (True, 16),
    *[(False, 16)] * 5,
    (True, 32),
    (False, 32),
)


class _Step(NamedTuple):
    """The strides and the dilation of a 3x3 convolution.

    Attributes
    ----------
    is_strided : bool
        Whether the stride over frequency is 2.
    time_stride, dilation : int
        The stride and the dilation over time.
    """

    is_strided: bool
    time_stride: int
    dilation: int


def _steps(dense: int) -> list[_Step]:
    """Return the steps of all 3x3 convolutions, for `dense` removed strides over time."""
    steps, num_kept, dilation = [], 5 - dense, 1
    for is_strided in (True, *(is_strided for is_strided, _ in _BLOCKS)):
        time_stride = 2 if is_strided and num_kept > 0 else 1
        steps.append(_Step(is_strided, time_stride, dilation))
        if is_strided:
            num_kept -= 1
            dilation *= 2 // time_stride
    return steps


class _Conv(nn.Conv2d):
    """A 3x3 convolution with the padding that TensorFlow calls "same".

    With a stride of 2, one zero is padded after the last frame or bin, and none before the first.
    This is TensorFlow's padding for an even number of frames or bins. If only the stride over time
    is removed, the number of zeros after the last frame is twice the dilation.

    Parameters
    ----------
    num_inputs, num_outputs : int
        The numbers of channels.
    step : _Step
        The strides and the dilation.
    groups : int
        See `torch.nn.Conv2d`.
    """

    def __init__(self, num_inputs: int, num_outputs: int, step: _Step, groups: int = 1) -> None:
        super().__init__(
            *(num_inputs, num_outputs, 3),
            stride=(step.time_stride, 2 if step.is_strided else 1),
            padding=0 if step.is_strided else (step.dilation, 1),
            dilation=(step.dilation, 1),
            groups=groups,
        )
        self.time_stride, self.is_strided = step.time_stride, step.is_strided
        self.num_zeros = 1 if step.time_stride == 2 else 2 * step.dilation  # after the last frame

    def forward(self, x: Tensor) -> Tensor:
        """Compute C' output channels (B, C', T', F') from C input channels (B, C, T, F)."""
        if self.is_strided:
            x = nn.functional.pad(x, (0, 1, 0, self.num_zeros))
        return super().forward(x)


class _Layer(nn.Module):
    """A 3x3 convolution and ReLU, optionally followed by a pointwise convolution and ReLU.

    Parameters
    ----------
    conv : _Conv
        The 3x3 convolution.
    relu6 : bool
        Whether the activations are limited to 6.
    pointwise : torch.nn.Conv2d, optional
        The pointwise convolution.
    """

    def __init__(self, conv: _Conv, relu6: bool, pointwise: nn.Conv2d | None = None) -> None:
        super().__init__()
        self.conv, self.pointwise = conv, pointwise
        self.activation = nn.ReLU6(inplace=True) if relu6 else nn.ReLU(inplace=True)

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Compute channels (B, C', T', F') and their mask from channels (B, C, T, F)."""
        x = self.activation(self.conv(zero_padding(x, mask)))
        mask = pool_mask(mask, self.conv.time_stride)
        return x if self.pointwise is None else self.activation(self.pointwise(x)), mask


@NETWORKS.register("yamnet")
class YamNet(BodyNetwork):
    """A convolution, 13 depthwise separable blocks, a mean over frequency and a head.

    Five strides of 2 reduce the number of frames and of frequency bins. With `dense`, the last
    strides over time are removed, and the later convolutions are dilated over time instead. Frame k
    of the strided network is then frame k * 2 ** dense of the dense network. T feature frames
    become max(1, T // (32 / 2 ** dense)) output frames. Each number of frames is rounded down where
    TensorFlow rounds it up.

    The published network was trained on patches of 96 frames, and depends on the zeros that pad the
    edges of a patch. Far from the edges of a longer input, its scores are wrong: digital silence is
    scored as music. With `patch_hop`, each output frame is therefore computed from one patch, which
    is centred on the `patch_hop` feature frames of the output frame. The mean is then over
    frequency and time. Patches contain silence where the clip has no frames. T feature frames
    become max(1, T // patch_hop) output frames. In the published code, one patch begins every 48
    frames.

    Without `patch_hop`, a new head must be trained on the embeddings of the frames.

    Parameters
    ----------
    pooling : Pooling
        The pooling function.
    num_mels : int
        The number of mel bins F, a multiple of 32.
    num_channels : int
        The number of channels of the first convolution. The last block has 32 times as many.
    dense : int
        The number of removed strides over time, from 0 to 5.
    patch_hop : int
        The number of feature frames from one patch to the next, from 1 to 96. With 0, there are no
        patches.
    relu6 : bool
        Whether activations are limited to 6, as in the TensorFlow Lite file.
    **head
        Options of the head; see `BodyNetwork`.

    Raises
    ------
    ValueError
        If a parameter does not meet the conditions above, or if both `dense` and `patch_hop` are
        above 0.
    """

    def __init__(
        self,
        pooling: Pooling,
        num_mels: int = 64,
        num_channels: int = 32,
        *,
        dense: int = 0,
        patch_hop: int = 0,
        relu6: bool = False,
        **head: Any,
    ) -> None:
        super().__init__(pooling, 32 * num_channels, **head)
        if num_mels % 32:
            raise ValueError(f"num_mels must be a multiple of 32, found {num_mels}")
        if type(dense) is not int or not 0 <= dense <= 5:
            raise ValueError(f"dense must be a whole number from 0 to 5, found {dense!r}")
        if type(patch_hop) is not int or not 0 <= patch_hop <= PATCH_FRAMES:
            raise ValueError(
                f"patch_hop must be a whole number from 0 to {PATCH_FRAMES}, found {patch_hop!r}"
            )
        if patch_hop and dense:
            raise ValueError(f"dense must be 0 if patch_hop is above 0, found {dense}")
        if type(relu6) is not bool:
            raise ValueError(f"relu6 must be true or false, found {relu6!r}")
        self.patch_hop = patch_hop
        self.time_reduction = patch_hop or 32 >> dense
        first, *steps = _steps(dense)
        self.layers = nn.ModuleList([_Layer(_Conv(1, num_channels, first), relu6)])
        num_inputs = num_channels
        for step, (_, factor) in zip(steps, _BLOCKS):
            depthwise = _Conv(num_inputs, num_inputs, step, groups=num_inputs)
            pointwise = nn.Conv2d(num_inputs, factor * num_channels, 1)
            self.layers.append(_Layer(depthwise, relu6, pointwise))
            num_inputs = factor * num_channels
        for layer in self.layers.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    @property
    def body_layers(self) -> Sequence[nn.Module]:
        """The first convolution and the blocks."""
        return list(self.layers)

    def enter_body(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Compute (B, 1, T, F), or patches (B, P, 1, 96, F); see `BodyNetwork.enter_body`."""
        if not self.patch_hop:
            x, mask = pad_time(x, mask, self.time_reduction)
            return x.unsqueeze(1), mask
        hop = self.patch_hop
        x, mask = pad_time(x, mask, hop)
        if mask is not None:
            x = torch.where(mask.unsqueeze(-1), x, _SILENCE)
        before = PATCH_FRAMES // 2 - hop // 2
        starts = torch.arange(x.shape[1] // hop, device=x.device) * hop  # (P,)
        # The padding at the end is longer than the last patch needs.
        x = nn.functional.pad(x, (0, 0, before, PATCH_FRAMES), value=_SILENCE)
        # ONNX has no operator for `unfold` if the number of frames is not fixed.
        patches = x[:, starts[:, None] + torch.arange(PATCH_FRAMES, device=x.device)]
        return patches.unsqueeze(2), pool_mask(mask, hop)  # (B, P, 1, 96, F)

    def run_layer(
        self, number: int, hidden: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Compute the output of a layer; see `BodyNetwork.run_layer`."""
        if not self.patch_hop:
            return super().run_layer(number, hidden, mask)
        y, _ = self.layers[number](hidden.flatten(0, 1), None)
        return y.reshape(hidden.shape[0], hidden.shape[1], *y.shape[1:]), mask

    def leave_body(self, hidden: Tensor) -> Tensor:
        """Compute embeddings (B, T', 32 * num_channels); see `BodyNetwork.leave_body`."""
        return hidden.mean(dim=(3, 4)) if self.patch_hop else mean_over_bins(hidden)

    @classmethod
    def resolutions(cls, options: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return options with other time resolutions; see `Network.resolutions`."""
        if options.get("patch_hop"):
            return [{**options, "patch_hop": hop} for hop in (1, 2, 4, 8, 16, 32, 48, 96)]
        return [{**options, "dense": dense} for dense in range(6)]
