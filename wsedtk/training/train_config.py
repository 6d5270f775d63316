"""The settings of a system, with their checks."""

import dataclasses
import typing

from wsedtk.core.config import suggest_fraction


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """One system: conf/<system>.yaml. A checkpoint is a validation on VALID_SET and what is needed to go on from there."""

    network: str = "dcase-crnn"
    network_options: dict = dataclasses.field(default_factory=dict)
    pooling: str = "linear"
    hierarchy: typing.Literal["published", "published-all", "plain", "nested"] | None = (
        None  # help(wsedtk.models.pooling)
    )
    groups: tuple[int, ...] = ()  # output frames, then groups, that a group of the hierarchy holds
    balancer: typing.Literal["classes", "weighted", "none"] = (
        "classes"  # help(wsedtk.training.batching.Batches)
    )
    batch_size: int = 100
    learning_rate: float = 3e-4
    frame_loss_weight: float = (
        0.0  # of the loss of the frames of clips that have events, where FIT_SET has an events.tsv
    )
    mixup_alpha: float = (
        0.0  # this and the next three are off at 0; help(wsedtk.training.batching.Augmentation)
    )
    time_mask_seconds: float = 0.0
    mel_mask_bins: int = 0
    time_shift_seconds: float = 0.0
    checkpoint_every: int | None = 500  # batches; null: an epoch, as many batches as the clips fill
    max_checkpoints: int = 50
    schedule_by: typing.Literal["loss", "f1", "map"] | None = (
        "loss"  # what must stall for the learning rate to fall; null: never
    )
    schedule_factor: float = 0.5
    schedule_patience: int = 3  # checkpoints that may pass without gain; the next one lowers the rate (torch's ReduceLROnPlateau)
    stop_patience: int | None = (
        None  # checkpoints without gain of `select_by` after which training stops; null: never
    )
    select_by: typing.Literal["loss", "f1", "map"] = (
        "f1"  # the model is the checkpoint that is best on VALID_SET by this
    )
    precision: typing.Literal["bf16", "float32"] = (
        "bf16"  # of the network in training; the papers' is float32
    )
    seed: int = 0
    keep_checkpoints: int = 2  # the newest ones, beside the best
    resume_seconds: float = (
        600.0  # of training, after which what is needed to go on is written between checkpoints too
    )

    def __post_init__(self) -> None:
        if (
            min(
                self.batch_size,
                self.max_checkpoints,
                self.keep_checkpoints,
                1 if self.checkpoint_every is None else self.checkpoint_every,
            )
            < 1
        ):
            raise ValueError(
                "batch_size, checkpoint_every, max_checkpoints and keep_checkpoints must be at least 1"
            )
        if not self.resume_seconds >= 0:
            raise ValueError(f"resume_seconds must be at least 0, found {self.resume_seconds}")
        if not 0 < self.learning_rate < float("inf"):
            raise ValueError(f"learning_rate must be a number above 0, found {self.learning_rate}")
        if not 0 < self.schedule_factor < 1:
            raise ValueError(
                "schedule_factor must be above 0 and below 1, found "
                f"{self.schedule_factor:g}{suggest_fraction(self.schedule_factor)}"
            )
        for name in (
            "frame_loss_weight",
            "mixup_alpha",
            "time_mask_seconds",
            "mel_mask_bins",
            "time_shift_seconds",
        ):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be at least 0, found {getattr(self, name)}")
        if (
            not 0 <= self.seed < 2**63
            or self.schedule_patience < 0
            or (self.stop_patience is not None and self.stop_patience < 1)
        ):
            raise ValueError(
                "seed (below 2^63) and schedule_patience must be at least 0, stop_patience at least 1, or null"
            )
        if max(self.time_mask_seconds, self.time_shift_seconds, self.mixup_alpha) > 3600:
            raise ValueError(
                "time_mask_seconds, time_shift_seconds and mixup_alpha must be at most 3600"
            )
