"""Pooling functions, which compute clip probabilities from frame probabilities.

Array dimensions: B clips, T frames, K classes, J groups of L frames, S segments.

Every pooling method computes a weighted average over time, y = sum_t w x / sum_t w. y is the
probability of the clip, and x is the probability of a frame. The methods differ in the weight w of
a frame:

    max                 1 at the first maximum of x, 0        Wang, Li & Metze 2019, table 1
                        elsewhere
    average             1                                     Wang, Li & Metze 2019, table 1
    linear              x                                     Wang, Li & Metze 2019, table 1;
                                                              He, Shen & Zhang 2019, eq. (6)
    exp                 exp(x)                                Wang, Li & Metze 2019, table 1
    attention           computed by the network, by default   Wang, Li & Metze 2019, table 1 and
                        a softmax over time                   section 3.1
    auto                exp(alpha x)                          McFee, Salamon & Bello 2018
    power               x^beta                                Liu et al. 2020, arXiv 2010.09985
    general             x^beta exp(alpha x)                   Wang, Li & Metze 2019 propose it in
                                                              section 4
    monotone-attention  exp(a x), a >= 0 from the network,    Wang, Li & Metze 2019 ask for a
                        one a for each clip and class         monotone weight in section 4

alpha and beta are learnt for each class. `Pooling.project` keeps them >= 0. `general` includes
average (alpha 0, beta 0), linear (0, 1), exp (1, 0), power and auto, and approaches max as alpha
grows. With `monotone-attention`, a frame with a higher probability never has a smaller weight. The
network only determines how fast the weight grows with the probability.

The methods are classes in `wsedtk.models.pooling_functions`. The docstring of that module shows how
to write a user-defined method. The score of a segment is the same weighted average over the frames
of the segment (`pool_segments`).

**Hierarchical pooling.** He, Shen & Zhang average first within groups of M frames and then over the
groups. The weight of a group is the mean of the weights of its frames (eqs. (A-4) to (A-6)). These
equations give the same result as single pooling, which is one average over all frames. The reason:
the weight of a group, multiplied by the average of the group, is the sum of w x over its frames,
divided by M. The sum of these products over all groups is the sum of w x over all frames, divided
by M. The sum of the weights of all groups is the sum of the weights of all frames, divided by M.
Therefore the value and the gradient are the same as in single pooling, for any weights.

The gradients in eqs. (8), (A-18), (A-20) and (A-23) of the paper are correct only under one
condition: in the average over the frames of a group, the weights are constants without gradient,
but the weights of the groups have a gradient. The gradient with respect to x_i, the probability of
frame i, then contains the factor (xs_j - y), where xs_j is the average over the group j that
contains frame i. In single pooling, this factor is (x_i - y).

Eqs. (A-7) to (A-11) derive the gradient for one inner average, from frames to groups. The networks
of the paper have two inner averages: 125 frames -> 25 groups of 5 frames -> 5 groups of 25 frames
-> 1 clip (`groups` [5, 5]). The paper does not say how the gradient of the second inner average is
derived. There are two interpretations:

    published      only the weights of the first inner average (frames to groups) are constants.
                   xs_j is the average over the group of 5 frames that contains frame i. Therefore
                   groups [5] and [5, 5] have the same gradient. The values are the same as in
                   single pooling. The gradients are the gradients of table A-1.
    published-all  the weights of all inner averages are constants, because the derivation is
                   applied to each of them. With groups [5, 5], xs_j is the average over the group
                   of 25 frames that contains frame i. The values are the same as in single pooling.

Two further hierarchies are available for comparison:

    plain          all weights have a gradient. Values and gradients are the same as in single
                   pooling. This hierarchy is a control: its results differ from the results of
                   single pooling only because of rounding errors.
    nested         the weight of a group is computed from its average, w_j = n_j f(xs_j). n_j is the
                   number of real frames in the group, and f is the weight in the table above. For
                   attention, f is the geometric mean of the weights of the frames. The values
                   differ from the values of single pooling. This hierarchy is not from the paper.

If all frames are in one group with constant weights, no weight has a gradient. Then attention
weights are not learnt, and the gradients of linear and exp lack the part that comes from their
weights. This happens if the first number of `groups` (`published`), or the product of all numbers
(`published-all`), is at least the number of output frames. `wsedtk train` ends with an error if
this happens for the longest clip of the training set.

With `published` and `published-all`, alpha and beta learn only from the differences between groups.
`max` and `average` ignore the hierarchy, because their result is the same with each hierarchy.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wsedtk.core.errors import InputError
from wsedtk.models.pooling_functions import POOLINGS, Frames, PoolingFunction

HIERARCHIES = ("published", "published-all", "plain", "nested")


def _scaled(w: Tensor, count: Tensor) -> Tensor:
    """Scale weights (..., T, K) to a maximum of 1 over time.

    The scaling changes neither the weighted average nor its gradient, and keeps both finite for
    finite weights of any size. If all weights of a class are below the smallest normal
    floating-point number, `count` replaces them.
    """
    w = torch.where(count > 0, w, 0.0)
    largest = w.detach().amax(dim=-2, keepdim=True)  # (..., 1, K)
    usable = largest >= torch.finfo(w.dtype).tiny
    return torch.where(usable, w / torch.where(usable, largest, 1.0), count)


def weighted_average(x: Tensor, w: Tensor, count: Tensor) -> Tensor:
    """Compute sum_t w x / sum_t w.

    Parameters
    ----------
    x : (..., T, K) Tensor
        The values.
    w : (..., T, K) Tensor
        Weights >= 0. If all weights of a class are below the smallest normal floating-point number,
        `count` replaces them.
    count : (..., T, 1) Tensor
        See `wsedtk.models.pooling_functions.Frames`.

    Returns
    -------
    (..., K) Tensor
        The averages, or 0 if there are no real frames.
    """
    w = _scaled(w, count)
    return (w * x).sum(dim=-2) / w.sum(dim=-2).clamp_min(torch.finfo(w.dtype).tiny)


def _promoted(a: Tensor) -> Tensor:
    """Convert half-precision types to float32. Leave other types unchanged."""
    return a.float() if a.dtype in (torch.float16, torch.bfloat16) else a


def _mean(w: Tensor, count: Tensor) -> Tensor:
    """Return the mean (B, 1, K) of weights (B, T, K) over the real frames."""
    total = torch.where(count > 0, w, 0.0).sum(dim=1, keepdim=True)
    return total / count.sum(dim=1, keepdim=True).clamp_min(1)


def _groups(a: Tensor, size: int) -> Tensor:
    """Cut a tensor (B, T, K) into groups (B, J, size, K). Zeros fill an incomplete group."""
    a = nn.functional.pad(a, (0, 0, 0, (size - a.shape[1] % size) % size))
    return a.reshape(a.shape[0], -1, size, a.shape[2])


def is_tracing() -> bool:
    """Return whether the network is being traced for an ONNX graph.

    During tracing, the number of frames is not known.
    """
    traced: bool = torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]  # no stub
    return traced


def _find_function(method: str) -> PoolingFunction:
    """Return the pooling function of a method.

    Raises ValueError if the method is unknown, if its module can't be imported, or if its class is
    not derived from `PoolingFunction`.
    """
    try:
        found: object = POOLINGS.get(method)
    except InputError as error:
        raise ValueError(str(error)) from None
    if not (isinstance(found, type) and issubclass(found, PoolingFunction)):
        name = f"{PoolingFunction.__module__}.{PoolingFunction.__name__}"
        raise ValueError(f"pooling {method!r}: is not a subclass of {name}")
    function: PoolingFunction = found()
    return function


def _check_hierarchy(hierarchy: str | None, groups: Sequence[int]) -> None:
    """Raise ValueError if a hierarchy or its groups are wrong."""
    if hierarchy is not None and hierarchy not in HIERARCHIES:
        raise ValueError(f"unknown hierarchy {hierarchy!r}; known: {', '.join(HIERARCHIES)}")
    if (hierarchy is None) != (len(groups) == 0):
        raise ValueError(
            "expected both a hierarchy and groups, or neither of them; found hierarchy "
            f"{hierarchy!r} and groups {list(groups)}"
        )
    if not all(type(g) is int and g >= 1 for g in groups):
        raise ValueError(f"groups: expected whole numbers >= 1, found {list(groups)}")


class Pooling(nn.Module):
    """A pooling function.

    It turns frame probabilities (B, T, K) into clip probabilities (B, K).
    `help(wsedtk.models.pooling)` describes the methods and the hierarchies.

    Parameters
    ----------
    method : str
        "max", "average", "linear", "exp", "attention", "auto", "power", "general",
        "monotone-attention", or `package.module:Class` of a user-defined subclass of
        `wsedtk.models.pooling_functions.PoolingFunction`.
    num_classes : int
        The number of classes K.
    hierarchy : str, optional
        "published", "published-all", "plain" or "nested". By default, there is no hierarchy.
    groups : sequence of int
        The size of the groups at each stage of the hierarchy. For example, with (5, 5), the first
        stage puts 125 frames into 25 groups of 5 frames, and the second stage puts these 25 groups
        into 5 groups. The last group of a stage can be incomplete.

    Attributes
    ----------
    function : PoolingFunction
        The function that computes the weights of the frames.
    needs_weights : bool
        Whether `forward` needs the frame weights `w`, which the network computes.
    alpha, beta : (K,) Parameter
        The learnt parameters, if the method has them. Call `project` after each optimiser step.

    Raises
    ------
    ValueError
        If the method or hierarchy is unknown, if the method is not a `PoolingFunction`, if an
        element of `groups` is not a whole number >= 1, or if only one of `hierarchy` and `groups`
        is given.

    Examples
    --------
    >>> pooling = wsedtk.Pooling("linear", 10)
    >>> pooling(torch.rand(4, 100, 10)).shape
    torch.Size([4, 10])
    """

    def __init__(
        self,
        method: str,
        num_classes: int,
        hierarchy: str | None = None,
        groups: Sequence[int] = (),
    ) -> None:
        super().__init__()
        _check_hierarchy(hierarchy, groups)
        self.function = _find_function(method)
        self.method, self.num_classes = method, num_classes
        self.hierarchy, self.groups = hierarchy, tuple(groups)
        start = self.function.parameters(num_classes)
        self._learnt = tuple(start)
        for name, values in start.items():
            self.register_parameter(name, nn.Parameter(values))

    @property
    def needs_weights(self) -> bool:
        """Whether the network must compute frame weights."""
        return self.function.needs_weights

    def has_constant_weights(self, num_frames: int) -> bool:
        """Return whether all frames of a clip are in one group with constant weights.

        `num_frames` is the number of output frames of the clip. If the result is True, the frame
        weights of the clip have no gradient. Only the hierarchies "published" and "published-all"
        have constant weights. If the pooling function ignores the hierarchy, the result is False.
        """
        if self.function.ignores_hierarchy:
            return False
        constant = {"published": self.groups[:1], "published-all": self.groups}
        groups = constant.get(self.hierarchy or "", ())
        return bool(groups) and math.prod(groups) >= num_frames

    @torch.no_grad()
    def project(self) -> None:
        """Set learnt parameters below `PoolingFunction.lowest_parameter` to this value.

        Call this method after each optimiser step. If `forward` clamped the parameters instead, a
        parameter below this value would have the gradient 0, and would stay below it.
        """
        for parameter in self.parameters():
            parameter.clamp_(min=self.function.lowest_parameter)

    def weights(self, x: Tensor, w: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Compute the frame weights.

        Parameters
        ----------
        x, w, mask
            As in `forward`.

        Returns
        -------
        (B, T, K) Tensor
            Weights >= 0, not normalised, 0 in padded frames.
        """
        frames = self._frames(x, w, mask)
        return torch.where(frames.count > 0, self.function.weights(frames), 0.0)

    def forward(
        self,
        x: Tensor,
        w: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Compute clip probabilities from frame probabilities.

        The computation uses float64 if `x` is float64, and otherwise float32, even under autocast.

        Parameters
        ----------
        x : (B, T, K) Tensor
            Frame probabilities in [0, 1].
        w : (B, T, K) Tensor, optional
            The frame weights >= 0 that the network computed. Required if `needs_weights` is
            True.
        mask : (B, T) Tensor of bool, optional
            True for real frames. By default, all frames are real.

        Returns
        -------
        (B, K) Tensor

        Raises
        ------
        ValueError
            If `needs_weights` is True and `w` is None.
        """
        with torch.autocast(x.device.type, enabled=False):
            frames = self._frames(x, w, mask)
            weights = self.function.weights(frames)
            groups = () if self.function.ignores_hierarchy else self.groups
            if groups:
                weights = _scaled(weights, frames.count)  # keep the sums of large weights finite
            for stage, size in enumerate(groups):
                frames, weights = self._pool_groups(frames, weights, stage, size)
            return weighted_average(frames.x, weights, frames.count)

    def _frames(self, x: Tensor, w: Tensor | None, mask: Tensor | None) -> Frames:
        """Return the `Frames` of probabilities (B, T, K), frame weights and a mask."""
        if self.needs_weights and w is None:
            raise ValueError(f"{self.method} pooling needs the frame weights w")
        x = _promoted(x)
        count = torch.ones_like(x[..., :1]) if mask is None else mask.unsqueeze(-1).to(x.dtype)
        x = torch.where(count > 0, x, 0.0)
        if w is None or not self.needs_weights:
            return Frames(x, count, self._learnt_parameters())
        w = torch.where(count > 0, w.to(x.dtype), 0.0)
        if self.function.one_weight_per_clip:
            w = _mean(w, count)
        return Frames(x, count, self._learnt_parameters(), w)

    def _learnt_parameters(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name in self._learnt}

    def _pool_groups(
        self, frames: Frames, weights: Tensor, stage: int, size: int
    ) -> tuple[Frames, Tensor]:
        """Average each group of `size` frames. Return the groups as `Frames`, and their weights."""
        if not is_tracing():  # during tracing, the number of frames is not known
            size = min(size, frames.x.shape[1])
        count = _groups(frames.count, size)  # (B, J, L, 1)
        inner = _groups(weights, size)  # (B, J, L, K)
        # He, Shen & Zhang 2019, eq.. A sum over fewer frames is also divided by `size`.
        weights = inner.sum(dim=2) / size
        if self.hierarchy == "published-all" or (self.hierarchy == "published" and stage == 0):
            inner = inner.detach()
        x = weighted_average(_groups(frames.x, size), inner, count)  # eq.
        w = frames.network_weights
        if w is not None and not self.function.one_weight_per_clip:
            logarithm = torch.log(w.clamp_min(torch.finfo(w.dtype).tiny))
            w = torch.exp(weighted_average(_groups(logarithm, size), count, count))
        groups = Frames(x, count.sum(dim=2), frames.learnt, w)  # (B, J, K)
        if self.hierarchy == "nested":
            weights = groups.count * self.function.weights(groups)
        return groups, weights

    def extra_repr(self) -> str:
        """Return the settings that `print` shows for this module."""
        text = f"{self.method}, num_classes={self.num_classes}"
        if self.hierarchy:
            text += f", hierarchy={self.hierarchy}, groups={list(self.groups)}"
        return text


def segment_of_frame(num_frames: int, samples_per_frame: int, samples_per_segment: int) -> Tensor:
    """Return, for each frame, the index of the segment that contains the centre of the frame.

    Parameters
    ----------
    num_frames : int
        The number of frames T.
    samples_per_frame, samples_per_segment : int
        Lengths in samples.

    Returns
    -------
    (T,) Tensor of int64
        Indices of segments, from 0. A segment includes its start, but not its end.
    """
    centre_twice = (2 * torch.arange(num_frames) + 1) * samples_per_frame
    return centre_twice // (2 * samples_per_segment)


def pool_segments(
    pooling: Pooling, x: Tensor, w: Tensor | None, mask: Tensor, segments: Tensor
) -> Tensor:
    """Compute segment probabilities from frame probabilities.

    Parameters
    ----------
    pooling : Pooling
        The pooling function.
    x : (B, T, K) Tensor
        Frame probabilities.
    w : (B, T, K) Tensor or None
        The frame weights that the network computed. Attention normalises them over each segment.
        Monotone attention uses the same `a` for all segments of a clip.
    mask : (B, T) Tensor of bool
        True for real frames.
    segments : (T,) Tensor
        The index of the segment of each frame, as returned by `segment_of_frame`.

    Returns
    -------
    (B, S, K) Tensor
        The probabilities of the segments, 0 for a segment without real frames.
    """
    batch, _, num_classes = x.shape
    if pooling.function.one_weight_per_clip and w is not None:
        w = _mean(_promoted(w), mask.unsqueeze(-1)).expand_as(x)
    counts = torch.bincount(segments)
    first = torch.cumsum(counts, 0) - counts
    index = first[:, None] + torch.arange(int(counts.max()))  # (S, L): the frames of each segment
    inside = torch.arange(int(counts.max())) < counts[:, None]
    index = torch.where(inside, index, 0).to(x.device)
    real = mask[:, index] & inside.to(x.device)  # (B, S, L)

    def cut(a: Tensor) -> Tensor:
        return a[:, index].flatten(0, 1)  # (B, T, K) -> (B * S, L, K)

    pooled: Tensor = pooling(cut(x), None if w is None else cut(w), real.flatten(0, 1))
    return pooled.view(batch, len(counts), num_classes)  # (B * S, K) -> (B, S, K)
