"""The pooling functions of wsedtk, their base class, and their registry.

Array dimensions: B clips, T frames, K classes.

A user-defined pooling function is a class, such as:

    from torch import Tensor

    from wsedtk.models.pooling_functions import Frames, PoolingFunction


    class Square(PoolingFunction):
        def weights(self, frames: Frames) -> Tensor:
            return frames.x**2

`--set pooling=my_module:Square` and `wsedtk.Pooling("my_module:Square", num_classes)` select this
class, with or without a hierarchy. The model.yaml of a model that uses this class contains the name
`my_module:Square`. On each machine that loads the model, `my_module` must be importable and
trusted. The environment variable WSEDTK_NETWORKS lists trusted packages (see
`wsedtk.models.checkpoint`).
"""

import abc
import dataclasses
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from wsedtk.core.registry import Registry

SoftmaxOver = Literal["time", "class"]

_SMALLEST_BASE = 1e-7  # minimum of x in x^beta: at x = 0, the gradient is not finite if beta < 1


@dataclasses.dataclass(frozen=True, eq=False)
class Frames:
    """The T frames, or the T groups of frames, whose weights are computed.

    Attributes
    ----------
    x : (B, T, K) Tensor
        The probability of each frame, or the average over each group, in [0, 1]. Padded frames are
        0. The dtype is float32 or float64.
    count : (B, T, 1) Tensor
        1 for a real frame, 0 for a padded frame. For a group, the number of its real frames.
    learnt : mapping of str to Tensor
        The learnt parameters of the pooling function, by name.
    network_weights : (B, T, K) or (B, 1, K) Tensor, or None
        The weights >= 0 that the network computed. For a group, the geometric mean of the weights
        of its real frames. If `PoolingFunction.one_weight_per_clip` is True, the mean (B, 1, K) of
        the weights over the real frames of the clip, also for groups. None if the pooling function
        does not need these weights.
    """

    x: Tensor
    count: Tensor
    learnt: Mapping[str, Tensor]
    network_weights: Tensor | None = None

    @property
    def w(self) -> Tensor:
        """The attribute `network_weights`, if it is not None.

        Raises
        ------
        ValueError
            If `network_weights` is None.
        """
        if self.network_weights is None:
            raise ValueError(
                "Frames.w: the network computed no weights; set needs_weights = True in the class "
                "of the pooling function"
            )
        return self.network_weights


class PoolingFunction(abc.ABC):
    """The base class of pooling functions, which compute the weights w in y = sum_t w x / sum_t w.

    y is the probability of a clip, and x is the probability of a frame. A subclass defines
    `weights`. Its constructor takes no arguments.

    Attributes
    ----------
    needs_weights : bool
        Whether the function uses `Frames.w`. If True, the network computes frame weights with a
        linear layer and `activate`.
    one_weight_per_clip : bool
        Whether `Frames.w` is averaged over the real frames of each clip. Its shape is then
        (B, 1, K).
    ignores_hierarchy : bool
        Whether the clip probability and its gradient are the same with every hierarchy.
    lowest_parameter : float
        The lowest value of a learnt parameter; `-math.inf` means no limit. After each training
        step, lower values are set to this value.
    """

    needs_weights: ClassVar[bool] = False
    one_weight_per_clip: ClassVar[bool] = False
    ignores_hierarchy: ClassVar[bool] = False
    lowest_parameter: ClassVar[float] = 0.0

    @abc.abstractmethod
    def weights(self, frames: Frames) -> Tensor:
        """Compute the weights of frames.

        Parameters
        ----------
        frames : Frames
            The frames, with all values that the weights can depend on.

        Returns
        -------
        (B, T, K) Tensor
            Weights >= 0, which need not add up to 1. The weights of padded frames are not used.
        """

    def parameters(self, num_classes: int) -> Mapping[str, Tensor]:
        """Return the initial values of the learnt parameters, by name.

        By default, the mapping is empty.
        """
        return {}

    def activate(self, logit: Tensor, real: Tensor, softmax_over: SoftmaxOver) -> Tensor:
        """Turn the output of the network's linear layer into weights >= 0.

        The default is a softmax.

        Parameters
        ----------
        logit : (B, T, K) Tensor
            The output of the linear layer.
        real : (B, T, 1) Tensor of bool
            True for real frames, False for padded frames.
        softmax_over : {"time", "class"}
            Whether the softmax adds up to 1 over the frames of each class, or over the classes of
            each frame.

        Returns
        -------
        (B, T, K) Tensor
            The weights, 0 in padded frames.
        """
        if softmax_over == "class":
            return torch.softmax(logit, dim=-1) * real
        return torch.softmax(logit.masked_fill(~real, -torch.inf), dim=1)


POOLINGS: Registry[type[PoolingFunction]] = Registry("pooling", "wsedtk.models.pooling_functions")


def exponential(logarithm: Tensor, count: Tensor) -> Tensor:
    """Compute weights from their logarithms, and scale the weights to a maximum of 1 over time.

    Parameters
    ----------
    logarithm : (B, T, K) Tensor
        The logarithms of the weights before scaling.
    count : (B, T, 1) Tensor
        See `Frames`.

    Returns
    -------
    (B, T, K) Tensor
        For real frames, exp(logarithm) divided by its maximum over the real frames. The weights of
        padded frames are not used.
    """
    logarithm = torch.where(count > 0, logarithm, torch.finfo(logarithm.dtype).min)
    return torch.exp(logarithm - logarithm.detach().amax(dim=1, keepdim=True))


@POOLINGS.register("max")
class Max(PoolingFunction):
    """Max pooling. The weight is 1 at the first maximum over time, and 0 elsewhere.

    Source: Wang, Li & Metze 2019, table 1.
    """

    ignores_hierarchy = True

    def weights(self, frames: Frames) -> Tensor:
        first = torch.where(frames.count > 0, frames.x, -1.0).argmax(dim=1, keepdim=True)
        return torch.zeros_like(frames.x).scatter_(1, first, 1.0)


@POOLINGS.register("average")
class Average(PoolingFunction):
    """Average pooling. The weight is 1. Source: Wang, Li & Metze 2019, table 1."""

    ignores_hierarchy = True

    def weights(self, frames: Frames) -> Tensor:
        return torch.ones_like(frames.x)


@POOLINGS.register("linear")
class Linear(PoolingFunction):
    """Linear softmax pooling. The weight is x.

    Source: Wang, Li & Metze 2019, table 1; He, Shen & Zhang 2019, eq. (6).
    """

    def weights(self, frames: Frames) -> Tensor:
        return frames.x


@POOLINGS.register("exp")
class Exponential(PoolingFunction):
    """Exponential softmax pooling. The weight is exp(x).

    Source: Wang, Li & Metze 2019, table 1.
    """

    def weights(self, frames: Frames) -> Tensor:
        return exponential(frames.x, frames.count)


@POOLINGS.register("attention")
class Attention(PoolingFunction):
    """Attention pooling. The network computes the weight.

    Source: Wang, Li & Metze 2019, table 1 and section 3.1.
    """

    needs_weights = True

    def weights(self, frames: Frames) -> Tensor:
        return frames.w


@POOLINGS.register("auto")
class Auto(PoolingFunction):
    """Auto-pooling. The weight is exp(alpha x). alpha >= 0 is learnt for each class.

    Source: McFee, Salamon & Bello 2018.
    """

    def parameters(self, num_classes: int) -> dict[str, Tensor]:
        """Return alpha = 1 for each class."""
        return {"alpha": torch.ones(num_classes)}

    def weights(self, frames: Frames) -> Tensor:
        return exponential(frames.learnt["alpha"] * frames.x, frames.count)


@POOLINGS.register("power")
class Power(PoolingFunction):
    """Power pooling. The weight is x^beta. beta >= 0 is learnt for each class.

    Source: Liu et al. 2020, arXiv 2010.09985.
    """

    def parameters(self, num_classes: int) -> dict[str, Tensor]:
        """Return beta = 1 for each class. With this value, the weight is x."""
        return {"beta": torch.ones(num_classes)}

    def weights(self, frames: Frames) -> Tensor:
        return exponential(_logarithm_of_power(frames), frames.count)


@POOLINGS.register("general")
class General(PoolingFunction):
    """General pooling. The weight is x^beta exp(alpha x).

    alpha >= 0 and beta >= 0 are learnt for each class. Wang, Li & Metze 2019 propose this function
    in section 4.
    """

    def parameters(self, num_classes: int) -> dict[str, Tensor]:
        """Return alpha = 0 and beta = 1 for each class. With these values, the weight is x."""
        return {"alpha": torch.zeros(num_classes), "beta": torch.ones(num_classes)}

    def weights(self, frames: Frames) -> Tensor:
        logarithm = _logarithm_of_power(frames) + frames.learnt["alpha"] * frames.x
        return exponential(logarithm, frames.count)


@POOLINGS.register("monotone-attention")
class MonotoneAttention(PoolingFunction):
    """Monotone attention. The weight is exp(a x).

    The network computes a number `a` >= 0 for each clip and class. This number determines how fast
    the weight grows with the probability. A frame with a higher probability never has a smaller
    weight. Wang, Li & Metze 2019 ask for a function with this property in section 4.
    """

    needs_weights = True
    one_weight_per_clip = True

    def activate(self, logit: Tensor, real: Tensor, softmax_over: SoftmaxOver) -> Tensor:
        """Return the softplus of the logits, 0 in padded frames."""
        return nn.functional.softplus(logit) * real

    def weights(self, frames: Frames) -> Tensor:
        return exponential(frames.w * frames.x, frames.count)


def _logarithm_of_power(frames: Frames) -> Tensor:
    return frames.learnt["beta"] * torch.log(frames.x.clamp_min(_SMALLEST_BASE))
