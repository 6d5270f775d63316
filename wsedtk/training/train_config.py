"""The settings of a training run."""

import dataclasses
from typing import Any, Literal

from wsedtk.core.config import suggest_fraction

Figure = Literal["loss", "f1", "map"]


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The settings of a training run: the content of a file such as mini/crnn_linear.yaml.

    At each checkpoint, the network is validated and the state of the training run is saved.

    Parameters
    ----------
    network : str, optional
        The name of a built-in network, or `package.module:Class`. None means the network of the
        initial model (`--init`), or dcase-crnn if there is no initial model.
    network_options : dict
        The options of the network. If `network` is None, options that are not given here are those
        of the initial model.
    pooling : str
        The name of a built-in pooling function, or `package.module:Class`.
    hierarchy : {"published", "published-all", "plain", "nested"}, optional
        The kind of hierarchical pooling; see `wsedtk.models.pooling`. None means single pooling.
    groups : tuple of int
        The size of the groups at each stage of hierarchical pooling. At the first stage, it is a
        number of output frames. At each later stage, it is a number of groups of the stage before.
    balancer : {"classes", "weighted", "none"}
        The method that draws the clips of batches. See `wsedtk.training.sampler.Sampler`.
    batch_size : int
        The number of clips in a batch.
    learning_rate : float
        The initial learning rate of the optimiser Adam.
    body_learning_rate : float, optional
        The initial learning rate of the layers of the body. It can be given only for networks with
        a body and a head, such as yamnet. None means `learning_rate`.
    freeze : {"all", "none"} or int
        The layers of the body that keep the weights of the initial model: all layers, no layer, or
        the first N layers. With one process and without augmentations, the frozen layers are run
        only once for each clip, if the disk has enough space for their outputs.
    frame_loss_weight : float
        The weight of the frame loss, which is computed for clips with events. 0 turns the frame
        loss off.
    mixup_alpha : float
        Mixup mixes clips in proportions drawn from Beta(alpha, alpha). 0 turns mixup off.
    time_mask_seconds : float
        The longest duration of each of the two time masks of a clip, in seconds. It is rounded
        to whole feature frames. 0 turns the time masks off.
    mel_mask_bins : int
        The largest number of bins in each of the two mel masks of a clip. 0 turns the mel masks
        off.
    time_shift_seconds : float
        The longest rotation of a clip in time, in seconds. It is rounded to whole output frames. 0
        turns the rotation off.
    augmentations : tuple of dict
        Further augmentations. They are applied after the four augmentations above, in the given
        order. In each dict, `name` is `package.module:Class` or a built-in name. The other keys are
        options of this augmentation. See `wsedtk.training.augmentations`.
    checkpoint_every : int, optional
        The number of batches between checkpoints. None (null in YAML) means one epoch.
    max_checkpoints : int
        The number of checkpoints after which training ends. Training can end earlier; see
        `stop_patience`.
    schedule_by : {"loss", "f1", "map"}, optional
        The learning rate is reduced when this validation metric stops improving (PyTorch's
        ReduceLROnPlateau). With None, the learning rate is constant.
    schedule_factor : float
        The factor by which the learning rate is multiplied when it is reduced.
    schedule_patience : int
        The learning rate is reduced if more than this number of consecutive checkpoints show no
        improvement.
    stop_patience : int, optional
        Training ends early if the metric `select_by` does not improve in this number of consecutive
        checkpoints. With None, training ends after `max_checkpoints` checkpoints.
    select_by : {"loss", "f1", "map"}
        The validation metric that selects the best checkpoint. The trained model has the weights of
        the best checkpoint.
    precision : {"bf16", "float32"}
        The precision of the network's computations in training and validation.
    seed : int
        The seed of all random numbers.
    keep_checkpoints : int
        The number of newest checkpoints to keep. The best checkpoint is also kept.
    resume_seconds : float
        Between checkpoints, the state is also saved when this number of seconds has passed since
        the state was last saved.

    Raises
    ------
    ValueError
        If a setting is out of range.
    """

    network: str | None = None
    network_options: dict[str, Any] = dataclasses.field(default_factory=dict)
    pooling: str = "linear"
    hierarchy: Literal["published", "published-all", "plain", "nested"] | None = None
    groups: tuple[int, ...] = ()
    balancer: Literal["classes", "weighted", "none"] = "classes"
    batch_size: int = 100
    learning_rate: float = 3e-4
    body_learning_rate: float | None = None
    freeze: Literal["all", "none"] | int = "none"
    frame_loss_weight: float = 0.0
    mixup_alpha: float = 0.0
    time_mask_seconds: float = 0.0
    mel_mask_bins: int = 0
    time_shift_seconds: float = 0.0
    augmentations: tuple[dict[str, Any], ...] = ()
    checkpoint_every: int | None = 500
    max_checkpoints: int = 50
    schedule_by: Figure | None = "loss"
    schedule_factor: float = 0.5
    schedule_patience: int = 3
    stop_patience: int | None = None
    select_by: Figure = "f1"
    precision: Literal["bf16", "float32"] = "bf16"
    seed: int = 0
    keep_checkpoints: int = 2
    resume_seconds: float = 600.0

    def __post_init__(self) -> None:
        for name in ("batch_size", "checkpoint_every", "max_checkpoints", "keep_checkpoints"):
            self._check_at_least(name, 1)
        self._check_at_least("stop_patience", 1, ", or null,")
        self._check_at_least("schedule_patience", 0)
        self._check_at_least("resume_seconds", 0)
        for name in ("learning_rate", "body_learning_rate"):
            rate = getattr(self, name)
            if rate is not None and not 0 < rate < float("inf"):
                raise ValueError(f"{name} must be a finite number above 0, found {rate}")
        if isinstance(self.freeze, int) and self.freeze < 0:
            raise ValueError(
                f'freeze must be "all", "none" or a whole number >= 0, found {self.freeze}'
            )
        if self.freeze == "all" and self.body_learning_rate is not None:
            raise ValueError(
                "body_learning_rate has no effect if all layers of the body are frozen; remove it, "
                "or change freeze"
            )
        if not 0 < self.schedule_factor < 1:
            raise ValueError(
                "schedule_factor must be above 0 and below 1, found "
                f"{self.schedule_factor:g}{suggest_fraction(self.schedule_factor)}"
            )
        for name in ("frame_loss_weight", "mel_mask_bins"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(
                    f"{name} must be at least 0 and finite, found {getattr(self, name)}"
                )
        for name in ("mixup_alpha", "time_mask_seconds", "time_shift_seconds"):
            if not 0 <= getattr(self, name) <= 3600:
                raise ValueError(
                    f"{name} must be at least 0 and at most 3600, found {getattr(self, name)}"
                )
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be at least 0 and below 2^63, found {self.seed}")

    def _check_at_least(self, name: str, least: int, alternative: str = ",") -> None:
        value = getattr(self, name)
        if value is not None and not value >= least:
            raise ValueError(f"{name} must be at least {least}{alternative} found {value}")
