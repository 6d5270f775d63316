"""What the networks share: the output object, masks that follow the pooling, the head.

B clips, T frames, F mel bins, C channels, K classes.
"""

import contextlib
import dataclasses

import torch
from torch import nn


@dataclasses.dataclass
class Output:
    """What a network says of a batch."""

    clip: torch.Tensor  # (B, K) probabilities
    frame: torch.Tensor  # (B, T', K) probabilities
    weight: (
        torch.Tensor | None
    )  # (B, T', K) weights that the network learnt, where the pooling needs them
    mask: torch.Tensor  # (B, T'), True = real frame


def zero_padding(x, mask):
    """Zero the padded frames of (B, C, T, F): before every convolution, or biases and ReLU leak out of them. mask None: there are none."""
    return x if mask is None else x * mask[:, None, :, None].to(x.dtype)


def pool_mask(mask, factor):
    """The mask after max-pooling time by `factor`: the valid length is floored, and at least one frame stays. None stays None."""
    if factor == 1 or mask is None:
        return mask
    lengths = (mask.sum(dim=1) // factor).clamp_min(1)
    return torch.arange(mask.shape[1] // factor, device=mask.device) < lengths[:, None]


def pad_time(x, mask, shortest):
    """Pad features (B, T, F) with zeros to at least `shortest` frames, so that every pooling has a frame to give.

    Returns them with their mask (B, T), None where all frames are real: found out here once, for a GPU is waited for to tell.
    Traced, it always pads, by as much as the length at hand then asks for, and keeps the mask.
    """
    missing = shortest - x.shape[1]
    if torch.jit.is_tracing():
        missing = missing.clamp_min(0)
    elif missing <= 0:
        return x, None if mask is None or bool(mask.all()) else mask
    if mask is None:
        mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    return nn.functional.pad(x, (0, 0, 0, missing)), nn.functional.pad(mask, (0, missing))


def run_gru(gru, x, mask):
    """Run a batch-first bidirectional GRU over the real frames only; padded frames come out as 0. mask None: all are real.

    In evaluation on a CPU it runs in the precision of its weights, also under autocast: the matrices of each of its steps are small
    there, and rounding them all takes longer than it saves.
    """
    with contextlib.ExitStack() as stack:
        if x.device.type == "cpu" and not gru.training:
            stack.enter_context(torch.autocast("cpu", enabled=False))
            x = x.to(gru.weight_hh_l0.dtype)
        if mask is None:
            return gru(x)[0]
        lengths = mask.sum(dim=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(
            x, lengths, batch_first=True, enforce_sorted=False
        )
        return nn.utils.rnn.pad_packed_sequence(
            gru(packed)[0], batch_first=True, total_length=x.shape[1]
        )[0]


def init_gru(gru):
    """Initialise a GRU as the published code of Wang, Li & Metze (2019) does.

    Each weight (3 H, inputs), of the three gates together, is one orthogonal matrix: its singular
    values are 1, and the standard deviation of `weight_hh` is 1 / sqrt(3 H). Biases are zero.
    """
    for name, parameter in gru.named_parameters():
        if "weight" in name:
            nn.init.orthogonal_(parameter)
        else:
            nn.init.zeros_(parameter)


def init_xavier(layer):
    """Xavier-uniform weights and zero biases."""
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)


class Head(nn.Module):
    """Hidden state (B, T, H) -> Output: sigmoid, learnt weights and pooling, in float32 whatever the network runs in.

    floor: frame probabilities stay that far from 0 and 1. softmax_over: what attention's softmax runs over, time or class.
    """

    def __init__(self, num_hidden, pooling, floor=0.0, softmax_over="time"):
        super().__init__()
        if softmax_over not in ("time", "class"):
            raise ValueError(f"attention_softmax must be time or class, found {softmax_over!r}")
        self.pooling, self.floor, self.softmax_over = pooling, floor, softmax_over
        self.fc_prob = nn.Linear(num_hidden, pooling.num_classes)
        self.fc_att = nn.Linear(num_hidden, pooling.num_classes) if pooling.needs_weights else None
        for layer in filter(None, (self.fc_prob, self.fc_att)):
            init_xavier(layer)

    def forward(self, hidden, mask):
        """Return the Output of hidden states (B, T, H) with mask (B, T); None: all frames are real."""
        if mask is None:
            mask = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
        with torch.autocast(hidden.device.type, enabled=False):
            hidden, real = hidden.to(self.fc_prob.weight.dtype), mask.unsqueeze(-1)
            frame = torch.sigmoid(self.fc_prob(hidden)).clamp(self.floor, 1 - self.floor) * real
            weight = self._weight(self.fc_att(hidden), real) if self.fc_att is not None else None
            return Output(self.pooling(frame, weight, mask), frame, weight, mask)

    def _weight(self, logit, real):
        """Frame weights (B, T, K) of logits: what the pooling takes, 0 at padded frames."""
        if self.pooling.method == "monotone-attention":
            return nn.functional.softplus(logit) * real
        if self.softmax_over == "class":
            return torch.softmax(logit, dim=-1) * real
        return torch.softmax(logit.masked_fill(~real, -torch.inf), dim=1)


class Network(nn.Module):
    """What the networks are: `forward(x, mask=None)` -> Output, a `head`, and `time_reduction` feature frames in an output frame."""

    time_reduction: int

    @property
    def pooling(self):
        """The pooling function; segments are pooled with it too."""
        return self.head.pooling
