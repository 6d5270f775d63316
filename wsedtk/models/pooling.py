"""Pooling functions: frame probabilities -> clip probabilities.

B clips, T frames, K classes, L frames of a group. Every method is one weighted average over time, y = sum_t w x / sum_t w, and
differs in its weight alone:

    max                 1 at the first maximum, else 0                Wang, Li & Metze 2019, table 1
    average             1                                             table 1
    linear              x                                             table 1; He, Shen & Zhang 2019, eq. (6)
    exp                 exp(x)                                        table 1
    attention           learnt by the network, a softmax over time    table 1, section 3.1
    auto                exp(alpha x)                                  McFee, Salamon & Bello 2018
    power               x^beta                                        Liu et al. 2020, arXiv 2010.09985
    general             x^beta exp(alpha x)                           Wang, Li & Metze propose it in section 4
    monotone-attention  exp(a x), a >= 0 from the network, a clip     they ask for it in section 4

alpha and beta are learnt, one a class, and stay >= 0 (`Pooling.project`). `general` holds average (beta 0, alpha 0), linear
(1, 0), exp (0, 1), power and auto, and comes near max as alpha grows. `monotone-attention` never gives a frame of higher
probability a smaller weight: the network only chooses how steeply the weights rise, for each clip and class.

A segment's score is the same average over the segment's frames (`pool_segments`).

**Hierarchical pooling.** He, Shen & Zhang average first within groups of M frames and then over the
groups. The weight of a group is the mean of its frames' weights (eqs. (A-4) to (A-6)). As written,
this changes nothing: a group's weight times its average is its sum of w x divided by M, so the sums
telescope. The value and the gradient are those of single pooling, for every weight. The gradients
that the paper prints, (8), (A-18), (A-20) and (A-23), follow only if the weights inside an average
are treated as constants while the weights of its groups keep their gradient. Then a frame is pushed
by (xs_j - y) where single pooling pushes it by (x_i - y); xs_j is the average over its group.

The paper's derivation (A-7) to (A-11) has one inner average, frames to groups. Its networks have two:
125 frames -> 25 groups of 5 -> 5 groups of 25 -> 1 clip (`groups` [5, 5]). The text does not say
whether the second inner average is derived in the same way, so there are two readings:

    published      only the weights of the first inner average (frames to groups) are constant. xs_j
                   is the average over the frame's first group, 5 frames, whatever follows: groups
                   [5] and [5, 5] have the same gradient. Values of single pooling, the gradients of
                   table A-1 to the letter.
    published-all  the weights of every inner average are constant. xs_j is the average over the
                   frame's last group, 25 frames for groups [5, 5]. Values of single pooling, the
                   derivation applied at every stage.
    plain          all gradients are kept: equal to single pooling in value and gradient. The null
                   hypothesis of the paper's claim: what it gains over single pooling is noise.
    nested         the group weights are computed from the groups' averages, w_j = n_j f(xs_j), with
                   n_j real frames in the group; for attention f is the geometric mean of the frames'
                   weights. A different value. Not from the paper.

Where all frames are in one group whose weights are constant, no weight keeps a gradient: attention
learns nothing, and linear and exp lose the term that comes from their weights. That is so where the
first of `groups` (`published`), or the product of all (`published-all`), is at least the number of
frames. `wsedtk train` refuses such groups.

In both published readings learnt alpha and beta learn from the differences between groups alone.
`max` and `average` are the same under any hierarchy, and ignore it.
"""

import math
from collections.abc import Sequence

import torch
from torch import nn

METHODS = (
    "max",
    "average",
    "linear",
    "exp",
    "attention",
    "auto",
    "power",
    "general",
    "monotone-attention",
)
FIXED = ("max", "average")  # the same under any hierarchy
HIERARCHIES = ("published", "published-all", "plain", "nested")
_FLOOR = 1e-7  # x inside x^beta: the gradient at 0 is not finite for beta < 1


def _scaled(w, count):
    """Weights (..., T, K) scaled to a maximum of 1 over time, 0 where `count` is; `count` itself where all of them are 0.

    Of an average this changes neither the value nor the gradient, and keeps both finite for any weights.
    """
    w = torch.where(count > 0, w, 0.0)
    largest = w.detach().amax(dim=-2, keepdim=True)  # (..., 1, K)
    usable = largest >= torch.finfo(w.dtype).tiny
    return torch.where(usable, w / torch.where(usable, largest, 1.0), count)


def weighted_average(x, w, count):
    """sum_t w x / sum_t w over the last dimension but one. x, w: (..., T, K); count: (..., T, 1), 0 where there is no frame.

    Where all weights are 0 (or below the smallest normal number) `count` takes their place; without any frame the value is 0.
    Returns (..., K).
    """
    w = _scaled(w, count)
    return (w * x).sum(dim=-2) / w.sum(dim=-2).clamp_min(torch.finfo(w.dtype).tiny)


def _promoted(a):
    """float32 of half types, the rest as it is."""
    return a.float() if a.dtype in (torch.float16, torch.bfloat16) else a


def _mean(w, count):
    """The mean over the real frames, (B, 1, K)."""
    return torch.where(count > 0, w, 0.0).sum(dim=1, keepdim=True) / count.sum(
        dim=1, keepdim=True
    ).clamp_min(1)


def _groups(a, size):
    """Cut time into groups of `size`, the last filled with zeros: (B, T, K) -> (B, J, size, K). In steps that tracing follows."""
    a = nn.functional.pad(a, (0, 0, 0, (size - a.shape[1] % size) % size))
    return a.reshape(a.shape[0], -1, size, a.shape[2])


class Pooling(nn.Module):
    """One pooling function: frame probabilities (B, T, K) -> clip probabilities (B, K).

    `help(wsedtk.models.pooling)` describes the methods and the hierarchies.

    Parameters
    ----------
    method : str
        One of METHODS: "max", "average", "linear", "exp", "attention", "auto", "power", "general"
        or "monotone-attention".
    num_classes : int
        The number of classes K.
    hierarchy : str, optional
        One of HIERARCHIES: "published", "published-all", "plain" or "nested".
    groups : sequence of int
        With a hierarchy: the frames of a group at each stage. (5, 5) takes 125 frames to 25, to 5,
        to 1. The number of frames need not be a multiple.

    Attributes
    ----------
    needs_weights : bool
        Whether `forward` needs the weights `w`, which the network learns.
    alpha, beta : (K,) Parameter
        Learnt exponents, of the methods that have them. Call `project` after each step of the
        optimiser.

    Raises
    ------
    ValueError
        If a method, hierarchy or group is unknown.

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
        if method not in METHODS:
            raise ValueError(f"unknown pooling {method!r}; known: {', '.join(METHODS)}")
        if hierarchy is not None and hierarchy not in HIERARCHIES:
            raise ValueError(f"unknown hierarchy {hierarchy!r}; known: {', '.join(HIERARCHIES)}")
        if (hierarchy is None) != (len(groups) == 0):
            raise ValueError(
                f"a hierarchy and its groups go together; found hierarchy {hierarchy!r} and groups {list(groups)}"
            )
        if not all(type(g) is int and g >= 1 for g in groups):
            raise ValueError(f"groups: expected numbers of frames >= 1, found {list(groups)}")
        self.method, self.num_classes, self.hierarchy, self.groups = (
            method,
            num_classes,
            hierarchy,
            tuple(groups),
        )
        if method in ("auto", "general"):
            self.alpha = nn.Parameter(torch.full((num_classes,), 1.0 if method == "auto" else 0.0))
        if method in ("power", "general"):
            self.beta = nn.Parameter(torch.ones(num_classes))

    @property
    def needs_weights(self) -> bool:
        """Whether the network must hand in frame weights."""
        return self.method in ("attention", "monotone-attention")

    def has_constant_weights(self, num_frames: int) -> bool:
        """Whether no weight of so many frames has a gradient: the published ones in one group."""
        constant = {"published": self.groups[:1], "published-all": self.groups}
        groups = constant.get(self.hierarchy, ())
        return bool(groups) and self.method not in FIXED and math.prod(groups) >= num_frames

    @torch.no_grad()
    def project(self) -> None:
        """Set learnt parameters below 0 to 0. To be called after each step of the optimiser.

        A clamp in the forward pass instead would end their gradient: one step below 0 and they never move again.
        """
        for parameter in self.parameters():
            parameter.clamp_(min=0)

    def weights(self, x, w=None, mask=None):
        """The frame weights (B, T, K), of any scale, 0 at padded frames; x, w, mask as in `forward`."""
        x, w, count = self._prepare(x, w, mask)
        return torch.where(count > 0, self._weights(x, w, count), 0.0)

    def forward(
        self,
        x: torch.Tensor,
        w: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Pool frames to clips.

        Half types are promoted to float32, also under autocast; float64 stays float64.

        Parameters
        ----------
        x : (B, T, K) Tensor
            Frame probabilities in [0, 1].
        w : (B, T, K) Tensor, optional
            Weights >= 0 of the network, for a method that needs them.
        mask : (B, T) Tensor of bool, optional
            True for real frames. By default all are.

        Returns
        -------
        (B, K) Tensor

        Raises
        ------
        ValueError
            If the method needs weights and there are none.
        """
        with torch.autocast(x.device.type, enabled=False):
            x, steer, count = self._prepare(x, w, mask)
            w, groups = self._weights(x, steer, count), () if self.method in FIXED else self.groups
            if groups:
                w = _scaled(w, count)  # sums of weights of any size stay finite
            for stage, size in enumerate(groups):
                x, w, steer, count = self._pool_groups(x, w, steer, count, stage, size)
            return weighted_average(x, w, count)

    def _prepare(self, x, w, mask):
        """x, what steers the weights, and the real frames that each row stands for, (B, T, 1): 1 or 0."""
        if self.needs_weights and w is None:
            raise ValueError(f"{self.method} pooling needs the frame weights w")
        x = _promoted(x)
        count = torch.ones_like(x[..., :1]) if mask is None else mask.unsqueeze(-1).to(x.dtype)
        x = torch.where(count > 0, x, 0.0)
        if not self.needs_weights:
            return x, None, count
        w = torch.where(count > 0, w.to(x.dtype), 0.0)
        if self.method == "monotone-attention":  # (B, 1, K): one steepness a clip and class
            w = _mean(w, count)
        return x, w, count

    def _weights(self, x, steer, count):
        """The weights of rows (B, T, K), frames or groups, that hold `count` (B, T, 1) real frames each."""
        if self.method == "max":
            first = torch.where(count > 0, x, -1.0).argmax(dim=1, keepdim=True)
            return torch.zeros_like(x).scatter_(1, first, 1.0)
        if self.method == "average":
            return torch.ones_like(x)
        if self.method == "linear":
            return x
        if self.method == "attention":
            return steer
        log_w = {
            "exp": lambda: x,
            "monotone-attention": lambda: steer * x,
            "auto": lambda: self.alpha * x,
            "power": lambda: self.beta * torch.log(x.clamp_min(_FLOOR)),
            "general": lambda: self.beta * torch.log(x.clamp_min(_FLOOR)) + self.alpha * x,
        }[self.method]()
        log_w = torch.where(count > 0, log_w, torch.finfo(x.dtype).min)
        return torch.exp(
            log_w - log_w.detach().amax(dim=1, keepdim=True)
        )  # at most 1 for any alpha and beta

    def _pool_groups(self, x, w, steer, count, stage, size):
        """One stage of the hierarchy: rows (B, T, K) -> groups (B, J, K) of `size` rows, with their weights."""
        size = (
            size if torch.jit.is_tracing() else min(size, x.shape[1])
        )  # traced, the length is not known
        count = _groups(count, size)  # (B, J, L, 1)
        inner = _groups(w, size)  # (B, J, L, K)
        w = (
            inner.sum(dim=2) / size
        )  # He, Shen & Zhang 2019, eq.; a short last group keeps its share
        if self.hierarchy == "published-all" or (self.hierarchy == "published" and stage == 0):
            inner = inner.detach()
        x = weighted_average(_groups(x, size), inner, count)  # eq.
        if self.method == "attention":
            logarithm = torch.log(steer.clamp_min(torch.finfo(steer.dtype).tiny))
            steer = torch.exp(weighted_average(_groups(logarithm, size), count, count))
        count = count.sum(dim=2)  # (B, J, 1)
        if self.hierarchy == "nested":
            w = count * self._weights(x, steer, count)
        return x, w, steer, count

    def extra_repr(self):
        """What print(module) shows."""
        hierarchy = (
            f", hierarchy={self.hierarchy}, groups={list(self.groups)}" if self.hierarchy else ""
        )
        return f"{self.method}, num_classes={self.num_classes}{hierarchy}"


def segment_of_frame(num_frames, samples_per_frame, samples_per_segment):
    """The segment (T,) that holds the centre of each frame, half-open, in integer samples."""
    centre_twice = (2 * torch.arange(num_frames) + 1) * samples_per_frame
    return centre_twice // (2 * samples_per_segment)


def pool_segments(pooling, x, w, mask, segments):
    """Pool the frames of each segment with the model's own pooling function.

    x: (B, T, K); w: (B, T, K) or None, attention is renormalised inside the segment, monotone-attention keeps its clip's
    steepness; mask: (B, T); segments: (T,) as `segment_of_frame` gives, ascending from 0. Returns (B, S, K); a segment without
    real frames scores 0.
    """
    batch, _, num_classes = x.shape
    if pooling.method == "monotone-attention" and w is not None:
        w = _mean(_promoted(w), mask.unsqueeze(-1)).expand_as(x)
    counts = torch.bincount(segments)
    first = torch.cumsum(counts, 0) - counts
    index = first[:, None] + torch.arange(int(counts.max()))  # (S, L): the frames of each segment
    inside = torch.arange(int(counts.max())) < counts[:, None]
    index = torch.where(inside, index, 0).to(x.device)
    real = mask[:, index] & inside.to(x.device)  # (B, S, L)

    def cut(a):
        return a[:, index].flatten(0, 1)  # (B, T, K) -> (B * S, L, K)

    pooled = pooling(cut(x), None if w is None else cut(w), real.flatten(0, 1))  # (B * S, K)
    return pooled.view(batch, len(counts), num_classes)
