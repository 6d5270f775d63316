"""Augmentations of training batches."""

import dataclasses

import numpy as np
import torch

from wsedtk.core.errors import InputError


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Changes of training batches; 0 turns each off.

    mixup_alpha: mix each clip with another of the batch, in proportions drawn from Beta(alpha, alpha) (Zhang et al. 2018).
    time_mask_frames, mel_mask_bins: blank two spans of time and two of frequency, each of at most that many feature frames or
    bins, with the training mean (SpecAugment, Park et al. 2019). time_shift_frames: rotate the clip in time by at most that many
    output frames, of `time_reduction` feature frames each, either way.
    """

    mixup_alpha: float = 0.0
    time_mask_frames: int = 0
    mel_mask_bins: int = 0
    time_shift_frames: int = 0
    time_reduction: int = 1

    @property
    def is_on(self):
        """Whether it changes anything."""
        return any(
            (self.mixup_alpha, self.time_mask_frames, self.mel_mask_bins, self.time_shift_frames)
        )

    def __call__(self, generators, x, mask, tags, frames=None, known=None):
        """Change a batch; random numbers come from `generators`, one numpy Generator a clip.

        x: (B, T, F) normalised, 0 at padded frames; mask: (B, T), True = real frame; tags: (B, K); frames, known: (B, T', K) and
        (B, 1, K) as FrameTargets gives, or None. Returns them in this order.
        """
        if self.time_shift_frames:
            x, frames = self._shift(generators, x, mask, frames)
        if self.mixup_alpha:
            x, mask, tags, frames, known = self._mix(generators, x, mask, tags, frames, known)
        if self.time_mask_frames:
            x = (
                x
                * self._spans(
                    generators, mask.sum(dim=1).tolist(), x.shape[1], self.time_mask_frames
                ).to(x)[:, :, None]
            )
        if self.mel_mask_bins:
            x = (
                x
                * self._spans(generators, [x.shape[2]] * len(x), x.shape[2], self.mel_mask_bins).to(
                    x
                )[:, None]
            )
        return x, mask, tags, frames, known

    @staticmethod
    def _spans(generators, lengths, size, longest):
        """0 inside two random spans of each row's first `length` places, 1 elsewhere: (B, size)."""
        keep = np.ones((len(lengths), size), np.float32)
        for row, (generator, length) in enumerate(zip(generators, lengths)):
            for _ in range(2):
                width = int(generator.integers(0, min(longest, length) + 1))
                start = int(generator.integers(0, length - width + 1))
                keep[row, start : start + width] = 0
        return torch.from_numpy(keep)

    def _shift(self, generators, x, mask, frames):
        """Rotate the whole output frames of each clip."""
        places = np.tile(np.arange(x.shape[1]), (len(x), 1))
        out_places = np.tile(np.arange(frames.shape[1] if frames is not None else 0), (len(x), 1))
        for row, (generator, length) in enumerate(zip(generators, mask.sum(dim=1).tolist())):
            whole = max(length // self.time_reduction, 1)
            shift = int(generator.integers(-self.time_shift_frames, self.time_shift_frames + 1))
            real = min(whole * self.time_reduction, length)
            places[row, :real] = np.roll(places[row, :real], shift * self.time_reduction)
            out_places[row, :whole] = np.roll(out_places[row, :whole], shift)
        x = x[torch.arange(len(x))[:, None], torch.from_numpy(places)]
        return x, frames if frames is None else frames[
            torch.arange(len(x))[:, None], torch.from_numpy(out_places)
        ]

    def _mix(self, generators, x, mask, tags, frames, known):
        """Each clip with a partner of the batch."""
        draws = [
            (generator.integers(0, len(x)), generator.beta(self.mixup_alpha, self.mixup_alpha))
            for generator in generators
        ]
        partner = torch.tensor([int(p) for p, _ in draws])
        share = torch.tensor([b for _, b in draws], dtype=torch.float32, device=x.device)[
            :, None
        ]  # (B, 1)
        x = share[..., None] * x + (1 - share[..., None]) * x[partner]
        tags = share * tags + (1 - share) * tags[partner]
        if frames is not None:
            frames, known = (
                share[..., None] * frames + (1 - share[..., None]) * frames[partner],
                known * known[partner],
            )
        return x, mask | mask[partner], tags, frames, known


def augmentation_of(cfg, seconds_per_frame, time_reduction, num_mels):
    """The augmentation in frames and bins. Raises InputError where a setting comes to nothing, or to more than there is."""
    mask = round(cfg.time_mask_seconds / seconds_per_frame)
    shift = round(cfg.time_shift_seconds / (seconds_per_frame * time_reduction))
    for name, frames in (("time_mask_seconds", mask), ("time_shift_seconds", shift)):
        if getattr(cfg, name) > 0 and frames == 0:
            raise InputError(
                f"{name} {getattr(cfg, name):g}: is less than half a frame and would do nothing; 0 turns it off"
            )
    if cfg.mel_mask_bins > num_mels:
        raise InputError(
            f"mel_mask_bins {cfg.mel_mask_bins}: the features have {num_mels} mel bins"
        )
    return Augmentation(cfg.mixup_alpha, mask, cfg.mel_mask_bins, shift, time_reduction)
