"""Augmentations: random changes of training batches.

Array dimensions: B clips, T frames, T' output frames, F mel bins, K classes.

A training run can apply several augmentations to each batch. First, it applies the built-in
augmentations that the settings turn on. Then it applies the augmentations that the setting
`augmentations` lists. To add an augmentation, write a subclass of `Augmentation` in your own
module, and add an entry such as `{name: package.module:Class}` to the setting `augmentations`.
"""

import abc
import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from wsedtk.core.errors import InputError
from wsedtk.core.registry import Registry, check_options
from wsedtk.training.train_config import TrainConfig

Generators = Sequence[np.random.Generator]


@dataclasses.dataclass(frozen=True)
class Batch:
    """The inputs and targets of a training batch, on the device of the training run.

    Attributes
    ----------
    x : (B, T, F) float tensor
        The features. Each mel bin is normalised with its mean and its standard deviation, which
        model.yaml contains. Padded frames are 0.
    mask : (B, T) bool tensor
        True for real frames, False for padded frames.
    tags : (B, K) float tensor
        The target of each clip and class, in [0, 1].
    frames : (B, T', K) float tensor or None
        The target of each output frame and class, in [0, 1]. None if the run uses no frame targets.
    known : (B, 1, K) float tensor or None
        1 if the frame targets of the clip and class are known, 0 if not. None if `frames` is None.
    """

    x: torch.Tensor
    mask: torch.Tensor
    tags: torch.Tensor
    frames: torch.Tensor | None = None
    known: torch.Tensor | None = None


@dataclasses.dataclass(frozen=True)
class FeatureResolution:
    """The time and frequency resolution of the features of a training run.

    Attributes
    ----------
    seconds_per_frame : float
        The hop of the features in seconds.
    time_reduction : int
        The number of feature frames for each output frame of the network.
    num_mels : int
        The number of mel bins.
    """

    seconds_per_frame: float
    time_reduction: int
    num_mels: int


class Augmentation(abc.ABC):
    """The base class of augmentations, which change training batches randomly.

    The constructor of a subclass takes the resolution of the features, and the options that the
    configuration lists. It raises ValueError if an option is wrong.

    Parameters
    ----------
    layout : FeatureResolution
        The resolution of the features.

    Attributes
    ----------
    mixes_clips : bool
        Whether the result for a clip depends on other clips of the batch. If True, each process of
        the training run loads all clips of the batch.
    """

    mixes_clips = False

    def __init__(self, layout: FeatureResolution) -> None:
        self.layout = layout

    @abc.abstractmethod
    def __call__(self, batch: Batch, generators: Generators) -> Batch:
        """Return a changed copy of a batch.

        Parameters
        ----------
        batch : Batch
            The batch. Its tensors must not be changed.
        generators : sequence of np.random.Generator
            One random number generator for each clip. In a resumed training run, the generators
            give the same numbers as in an uninterrupted run.

        Returns
        -------
        Batch
            The changed batch. Its tensors have the same shapes, and padded frames of `x` are 0.
        """


AUGMENTATIONS: Registry[type[Augmentation]] = Registry("augmentation", __name__)


@AUGMENTATIONS.register("time-shift")
class TimeShift(Augmentation):
    """Rotate each clip in time by a random number of output frames.

    Frames that are shifted past one end of the clip continue at the other end. Feature frames after
    the last complete output frame are not shifted.

    Parameters
    ----------
    layout : FeatureResolution
        The resolution of the features.
    seconds : float
        The longest shift in either direction, in seconds. It is rounded to whole output frames.
    """

    def __init__(self, layout: FeatureResolution, seconds: float) -> None:
        super().__init__(layout)
        self.num_frames = _frames(seconds, layout.seconds_per_frame * layout.time_reduction)

    def __call__(self, batch: Batch, generators: Generators) -> Batch:
        num_clips, reduction = len(batch.x), self.layout.time_reduction
        num_output_frames = 0 if batch.frames is None else batch.frames.shape[1]
        places = np.tile(np.arange(batch.x.shape[1]), (num_clips, 1))  # (B, T)
        output_places = np.tile(np.arange(num_output_frames), (num_clips, 1))  # (B, T')
        for row, (generator, length) in enumerate(zip(generators, _lengths(batch))):
            whole = max(length // reduction, 1)
            shift = int(generator.integers(-self.num_frames, self.num_frames + 1))
            real = min(whole * reduction, length)
            places[row, :real] = np.roll(places[row, :real], shift * reduction)
            output_places[row, :whole] = np.roll(output_places[row, :whole], shift)
        rows = torch.arange(num_clips)[:, None]
        x = batch.x[rows, torch.from_numpy(places)]
        frames = batch.frames
        if frames is not None:
            frames = frames[rows, torch.from_numpy(output_places)]
        return dataclasses.replace(batch, x=x, frames=frames)


@AUGMENTATIONS.register("mixup")
class MixUp(Augmentation):
    """Mix each clip with a random clip of the batch. Source: mixup, Zhang et al. 2018.

    Parameters
    ----------
    layout : FeatureResolution
        The resolution of the features.
    alpha : float
        The proportion of each clip in its mixture is drawn from Beta(alpha, alpha).
    """

    mixes_clips = True

    def __init__(self, layout: FeatureResolution, alpha: float) -> None:
        super().__init__(layout)
        if not 0 < alpha < float("inf"):
            raise ValueError(f"alpha must be above 0 and finite, found {alpha}")
        self.alpha = alpha

    def __call__(self, batch: Batch, generators: Generators) -> Batch:
        partners, shares = [], []
        for generator in generators:
            partners.append(int(generator.integers(0, len(batch.x))))
            shares.append(generator.beta(self.alpha, self.alpha))
        partner = torch.tensor(partners)
        share = torch.tensor(shares, dtype=torch.float32, device=batch.x.device)[:, None]  # (B, 1)

        def mixed(value: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
            return share * value + (1 - share) * value[partner]

        frames, known = batch.frames, batch.known
        if frames is not None and known is not None:
            frames = mixed(frames, share[..., None])
            known = known * known[partner]
        x = mixed(batch.x, share[..., None])
        mask = batch.mask | batch.mask[partner]
        return Batch(x, mask, mixed(batch.tags, share), frames, known)


@AUGMENTATIONS.register("time-masks")
class TimeMasks(Augmentation):
    """Set the normalised features to 0 in two random time spans of each clip.

    Source: SpecAugment, Park et al. 2019.

    Parameters
    ----------
    layout : FeatureResolution
        The resolution of the features.
    seconds : float
        The longest duration of a span, in seconds. It is rounded to whole feature frames.
    """

    def __init__(self, layout: FeatureResolution, seconds: float) -> None:
        super().__init__(layout)
        self.num_frames = _frames(seconds, layout.seconds_per_frame)

    def __call__(self, batch: Batch, generators: Generators) -> Batch:
        keep = _outside_spans(generators, _lengths(batch), batch.x.shape[1], self.num_frames)
        return dataclasses.replace(batch, x=batch.x * keep.to(batch.x)[:, :, None])


@AUGMENTATIONS.register("mel-masks")
class MelMasks(Augmentation):
    """Set the normalised features to 0 in two random ranges of mel bins of each clip.

    Source: SpecAugment, Park et al. 2019.

    Parameters
    ----------
    layout : FeatureResolution
        The resolution of the features.
    bins : int
        The largest number of bins in a range.
    """

    def __init__(self, layout: FeatureResolution, bins: int) -> None:
        super().__init__(layout)
        if not 0 <= bins <= layout.num_mels:
            raise ValueError(
                f"found {bins}; expected a number from 0 to {layout.num_mels}, because the "
                f"features have {layout.num_mels} mel bins"
            )
        self.num_bins = bins

    def __call__(self, batch: Batch, generators: Generators) -> Batch:
        num_mels = batch.x.shape[2]
        keep = _outside_spans(generators, [num_mels] * len(batch.x), num_mels, self.num_bins)
        return dataclasses.replace(batch, x=batch.x * keep.to(batch.x)[:, None])


def _frames(seconds: float, seconds_per_frame: float) -> int:
    frames = round(seconds / seconds_per_frame)
    if frames < 1:
        raise ValueError(
            f"{seconds:g} s is at most half of a frame of {seconds_per_frame:g} s, so it has no "
            "effect"
        )
    return frames


def _lengths(batch: Batch) -> list[int]:
    """Return the number of real frames of each clip."""
    lengths: list[int] = batch.mask.sum(dim=1).tolist()
    return lengths


def _outside_spans(
    generators: Generators, lengths: Sequence[int], size: int, longest: int
) -> torch.Tensor:
    """Return a tensor (B, size) that is 0 in two random spans of each row, and 1 elsewhere.

    A span has at most `longest` elements. The spans of row i are in its first lengths[i] elements.
    """
    keep = np.ones((len(lengths), size), np.float32)
    for row, (generator, length) in enumerate(zip(generators, lengths)):
        for _ in range(2):
            width = int(generator.integers(0, min(longest, length) + 1))
            start = int(generator.integers(0, length - width + 1))
            keep[row, start : start + width] = 0
    return torch.from_numpy(keep)


def create(config: TrainConfig, layout: FeatureResolution) -> list[Augmentation]:
    """Return the augmentations of a configuration, in the order in which they are applied.

    Raises
    ------
    InputError
        If an augmentation is unknown, or one of its options is wrong.
    """
    built_in = (
        ("time_shift_seconds", "time-shift", "seconds"),
        ("mixup_alpha", "mixup", "alpha"),
        ("time_mask_seconds", "time-masks", "seconds"),
        ("mel_mask_bins", "mel-masks", "bins"),
    )
    found = []
    for setting, name, option in built_in:
        value = getattr(config, setting)
        if value:
            try:
                found.append(AUGMENTATIONS.get(name)(layout, **{option: value}))
            except ValueError as error:
                raise InputError(
                    f"{setting} {value:g}: {error}; 0 turns the augmentation off"
                ) from None
    return found + [_listed(entry, layout) for entry in config.augmentations]


def _listed(entry: Mapping[str, object], layout: FeatureResolution) -> Augmentation:
    """Create the augmentation that an entry of `augmentations` specifies."""
    options = dict(entry)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise InputError(
            f"augmentations: found {dict(entry)!r}; expected a mapping with the key `name`, such "
            "as {name: package.module:Class}"
        )
    kind = AUGMENTATIONS.get(name)
    if not (isinstance(kind, type) and issubclass(kind, Augmentation)):
        raise InputError(
            f"augmentations: {name!r} is not a subclass of "
            "wsedtk.training.augmentations.Augmentation"
        )
    check_options(kind, options, f"augmentations: {name!r}")
    try:
        return kind(layout, **options)
    except Exception as error:  # a user-defined class may raise any exception
        raise InputError(f"augmentations: {name!r}: {error or type(error).__name__}") from error


def apply(augmentation: Augmentation, batch: Batch, generators: Generators) -> Batch:
    """Apply an augmentation to a batch, and check the result.

    Raises
    ------
    InputError
        If the result is not a `Batch`, or if its tensors do not have the same shapes, types and
        devices as the tensors of the original batch.
    """
    changed: object = augmentation(batch, generators)
    kind = type(augmentation)
    where = f"augmentation {kind.__module__}:{kind.__name__}"
    if not isinstance(changed, Batch):
        raise InputError(f"{where}: found {type(changed).__name__}; expected a Batch")
    for field in dataclasses.fields(Batch):
        before, after = getattr(batch, field.name), getattr(changed, field.name)
        if _layout(before) != _layout(after):
            raise InputError(
                f"{where}: {field.name}: found {_layout(after)}; expected {_layout(before)}, as "
                "before the augmentation"
            )
    return changed


def _layout(value: object) -> str:
    if not isinstance(value, torch.Tensor):
        return repr(value)[:80]
    return f"a tensor {tuple(value.shape)} of {value.dtype} on {value.device}"
