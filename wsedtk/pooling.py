"""Pooling functions: frame probabilities -> clip probabilities.

B clips, T frames, K classes. Every method is one weighted average over time, y = sum_t w x / sum_t w, and differs in its
weight alone:

    max        1 at the first maximum, else 0                Wang, Li & Metze 2019, table 1
    average    1                                             table 1
    linear     x                                             table 1; He, Shen & Zhang 2019, eq. (6)
    exp        exp(x)                                        table 1
    attention  learnt by the network, a softmax over time    table 1, section 3.1

A segment's score is the same average over the segment's frames (`pool_segments`).
"""

import torch
from torch import nn

METHODS = ("max", "average", "linear", "exp", "attention")


def weights(method, x, w=None):
    """Frame weights (B, T, K), not normalised, of probabilities x (B, T, K). `w`: what the network learnt, for attention."""
    if method == "max":
        return torch.zeros_like(x).scatter_(1, x.argmax(dim=1, keepdim=True), 1.0)
    if method == "average":
        return torch.ones_like(x)
    if method == "linear":
        return x
    if method == "exp":
        return torch.exp(x)
    return w


def weighted_average(x, w, mask=None):
    """sum_t w x / sum_t w over the real frames. x, w: (B, T, K), mask: (B, T), True = real frame. Returns (B, K).

    The weights are first scaled to a maximum of 1, which changes neither the value nor its gradient and keeps both finite for
    any weights. Where all weights of a clip and class are 0 (or below the smallest normal number) the frames are averaged;
    without any real frame the value is 0.
    """
    keep = torch.ones_like(x, dtype=torch.bool) if mask is None else mask.unsqueeze(-1).expand_as(x)
    w = torch.where(keep, w, 0.0)
    largest = w.detach().amax(dim=1, keepdim=True)  # (B, 1, K)
    usable = largest >= torch.finfo(w.dtype).tiny
    w = torch.where(usable, w / torch.where(usable, largest, 1.0), keep.to(w.dtype))
    x = torch.where(keep, x, 0.0)
    return (w * x).sum(dim=1) / w.sum(dim=1).clamp_min(torch.finfo(w.dtype).tiny)


class Pooling(nn.Module):
    """One pooling method as a module: `forward(x, w=None, mask=None)`, (B, T, K) -> (B, K).

    x: frame probabilities in [0, 1]; w: frame weights >= 0 where the method is `attention`; mask: (B, T), True = real frame.
    Half types are promoted to float32, also under autocast; float64 stays float64.
    """

    def __init__(self, method, num_classes):
        super().__init__()
        if method not in METHODS:
            raise ValueError(f"unknown pooling {method!r}; known: {', '.join(METHODS)}")
        self.method, self.num_classes = method, num_classes

    @property
    def needs_weights(self):
        """Whether the network must hand in frame weights."""
        return self.method == "attention"

    def forward(self, x, w=None, mask=None):
        """Pool (B, T, K) to (B, K). Raises ValueError where attention is given no weights."""
        if self.needs_weights and w is None:
            raise ValueError(f"{self.method} pooling needs the frame weights w")
        with torch.autocast(x.device.type, enabled=False):
            x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
            w = w.to(x.dtype) if w is not None else None
            if mask is not None and self.method == "max":  # a padded frame is never the maximum
                return weighted_average(x, weights("max", torch.where(mask.unsqueeze(-1), x, -1.0)), mask)
            return weighted_average(x, weights(self.method, x, w), mask)

    def extra_repr(self):
        """What print(module) shows."""
        return f"{self.method}, num_classes={self.num_classes}"


def segment_of_frame(num_frames, samples_per_frame, samples_per_segment):
    """The segment (T,) that holds the centre of each frame, half-open, in integer samples."""
    centre_twice = (2 * torch.arange(num_frames) + 1) * samples_per_frame
    return centre_twice // (2 * samples_per_segment)


def pool_segments(pooling, x, w, mask, segments):
    """Pool the frames of each segment with the model's own pooling function.

    x: (B, T, K); w: (B, T, K) or None, renormalised inside the segment; mask: (B, T); segments: (T,) as `segment_of_frame`
    gives, ascending from 0. Returns (B, S, K); a segment without real frames scores 0.
    """
    batch, _, num_classes = x.shape
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
