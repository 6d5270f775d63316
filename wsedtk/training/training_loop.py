"""The training loop, the validation, and the state that a checkpoint contains.

Array dimensions: N clips of a data set, B clips of a batch, T frames, T' output frames, F mel bins,
K classes.
"""

import contextlib
import dataclasses
import logging
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from wsedtk.core.caches import torch_without_compiler_cache
from wsedtk.core.errors import InputError
from wsedtk.core.processes import ahead
from wsedtk.core.progress import progress
from wsedtk.core.types import Booleans, Floats, Integers
from wsedtk.data import tables
from wsedtk.decoding import thresholds
from wsedtk.evaluation import average_precision, metrics
from wsedtk.inference import network_runner
from wsedtk.models.body_network import BodyNetwork
from wsedtk.models.layers import Network
from wsedtk.training import augmentations
from wsedtk.training.augmentations import Batch, FeatureResolution
from wsedtk.training.distributed import Group
from wsedtk.training.feature_batches import FeatureBatches
from wsedtk.training.frame_targets import FrameTargets
from wsedtk.training.frozen_frames import FrozenFrames, UpperRunner
from wsedtk.training.sampler import Part, PartSampler, Sampler
from wsedtk.training.train_config import TrainConfig

_LOG = logging.getLogger(__name__)


_EPSILON = 1e-7  # probabilities are clamped to [eps, 1 - eps], as in Wang's published code

Staged = tuple[torch.Tensor | None, ...]  # x, mask, tags, frames and known of a `Batch`


def _nothing() -> None:
    pass


def binary_cross_entropy(
    probability: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None = None,
    total: Callable[[torch.Tensor], torch.Tensor] = lambda value: value,
) -> torch.Tensor:
    """Return the mean binary cross-entropy (Wang, Li & Metze 2019, eq. (1)).

    If a probability is NaN, this function returns NaN. With NaN,
    `torch.nn.functional.binary_cross_entropy` would cause an exception. On a GPU, this process
    could then no longer use CUDA.

    Parameters
    ----------
    probability, target : tensors of the same shape
        Probabilities, and targets in [0, 1].
    weight : tensor, optional
        Weights of 0 or 1, which are broadcast to the shape of `target`. The result is then a
        weighted mean. It is 0 if all weights are 0.
    total : callable
        A function that sums a value over all processes. It is called with the sum of the weights
        in this process. Each process then returns its part of the weighted mean over all processes.
        By default, there is one process.

    Returns
    -------
    scalar tensor
    """
    probability = probability.float().clamp(_EPSILON, 1 - _EPSILON)
    loss = -(target * torch.log(probability) + (1 - target) * torch.log1p(-probability))
    if weight is None:
        return loss.mean()
    return (loss * weight).sum() / total(weight.expand_as(loss).sum()).clamp_min(1)


def validate(
    runner: network_runner.Runner,
    batches: FeatureBatches,
    truth: Booleans,
    after_batch: Callable[[], None] = _nothing,
    group: Group = Group(),
) -> dict[str, float]:
    """Return the loss, the micro F1 at tuned thresholds, and the MAP on the validation set.

    Parameters
    ----------
    runner : Runner
        The network.
    batches : FeatureBatches
        The validation set.
    truth : (N, K) array of bool
        The tags of the clips in the validation set.
    after_batch : callable
        A function that is called after each batch. If it raises an exception, validation ends with
        this exception.
    group : Group
        The processes of the training run. Each process computes the scores of its share of the
        clips.

    Returns
    -------
    dict
        The metric values, with the keys "loss", "f1" and "map". The loss is the mean binary
        cross-entropy of the clip scores, with the tags as targets.

    Raises
    ------
    InputError
        If a feature or a score is not finite, or if a feature file is damaged.
    """
    scores = np.zeros(truth.shape, np.float32)
    # Repeat some clips, so that all processes have the same number of batches, because
    # `after_batch` can wait for all processes.
    share = np.resize(group.share(np.arange(len(truth))), -(-len(truth) // group.size))
    for positions, output, _ in network_runner.score(runner, batches.store, batches.rows[share]):
        scores[share[positions]] = output.clip.float().cpu().numpy()
        after_batch()
    scores = group.total(torch.from_numpy(scores)).numpy()
    return group.first(lambda: _figures(scores, truth))


def _figures(scores: Floats, truth: Booleans) -> dict[str, float]:
    if not np.isfinite(scores).all():
        raise InputError(
            "the network's scores on the validation set are not finite; earlier checkpoints are "
            "kept; check the features, or train again with a lower learning_rate"
        )
    loss = binary_cross_entropy(
        torch.from_numpy(scores), torch.from_numpy(truth.astype(np.float32))
    ).item()
    decided = scores >= thresholds.tune(scores, truth)
    counts = metrics.decision_counts(truth, decided).sum(axis=1).tolist()
    f1 = metrics.precision_recall_f1(*counts)["f1"]
    mean_average_precision = average_precision.ranking_metrics(scores, truth)["map"]
    return {"loss": loss, "f1": f1 or 0.0, "map": mean_average_precision or 0.0}


def _check_finite(value: object, name: str) -> None:
    """Raise ValueError if a tensor of a state is not finite, or a Python number is NaN.

    Infinite Python numbers are valid, because the state of the learning rate schedule contains
    infinite numbers.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_finite(inner, f"{name} {key}".strip())
    elif isinstance(value, (list, tuple)):
        for place, inner in enumerate(value):
            _check_finite(inner, f"{name} {place}")
    elif isinstance(value, torch.Tensor):
        if not torch.isfinite(value).all():
            raise ValueError(f"{name}: not finite")
    elif isinstance(value, float) and np.isnan(value):
        raise ValueError(f"{name}: not finite")


def _parameter_groups(network: Network, cfg: TrainConfig) -> list[dict[str, Any]]:
    """Return the parameters to train, in one group for each learning rate.

    The first group has the learning rate `cfg.learning_rate`.
    """
    trained = [p for p in network.parameters() if p.requires_grad]
    if cfg.body_learning_rate is None:
        return [{"params": trained}]
    assert isinstance(network, BodyNetwork)  # `initial_model.freeze` checks it
    of_body = {p for layer in network.body_layers for p in layer.parameters()}
    return [
        {"params": [p for p in trained if p not in of_body]},
        {"params": [p for p in trained if p in of_body], "lr": cfg.body_learning_rate},
    ]


class Trainer:
    """A training run: its network, optimiser and batches, and the state that checkpoints contain.

    Parameters
    ----------
    cfg : TrainConfig
        The settings.
    network : Network
        The network, with its initial weights.
    fit, valid : FeatureBatches
        The clips to train on, and the clips of the validation set.
    parts : sequence of Part
        The parts of `fit` that each batch contains. By default, all clips are one part.
    statistics : pair of (F,) arrays
        The mean and the standard deviation that normalise each mel bin.
    seconds_per_frame : float
        The hop of the features in seconds.
    device : torch.device
        The device on which the network runs.
    tell : callable
        A function that logs a message.
    group : Group
        The processes of the training run.

    Raises
    ------
    InputError
        If an augmentation is unknown or wrong.
    """

    def __init__(
        self,
        cfg: TrainConfig,
        network: Network,
        fit: FeatureBatches,
        valid: FeatureBatches,
        *,
        parts: Sequence[Part] = (),
        statistics: tuple[Floats | tuple[float, ...], Floats | tuple[float, ...]],
        seconds_per_frame: float,
        device: torch.device,
        tell: Callable[[str], None] = _LOG.info,
        group: Group = Group(),
    ) -> None:
        self.cfg, self.fit, self.valid, self.tell, self.group = cfg, fit, valid, tell, group
        mean, std = statistics
        self.runner = network_runner.Runner.of(
            network, mean, std, device, precise=cfg.precision == "float32"
        )
        wrapped = group.wrap(network, device, bool(cfg.frame_loss_weight))
        runner = dataclasses.replace(self.runner, network=wrapped)  # type: ignore[arg-type]  # DDP
        self.forward = runner.run
        self.fused = True if device.type == "cuda" else None
        # PyTorch imports sympy here. sympy adds a warning filter, which `catch_warnings` removes.
        with torch_without_compiler_cache(), warnings.catch_warnings():
            self.optimizer = torch.optim.Adam(
                _parameter_groups(network, cfg), cfg.learning_rate, fused=self.fused
            )
        self.schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimizer,
            "min" if cfg.schedule_by == "loss" else "max",
            cfg.schedule_factor,
            cfg.schedule_patience,
        )
        self.sampler: Sampler | PartSampler
        if parts:
            self.sampler = PartSampler(fit.dataset, parts, cfg.seed, cfg.balancer)
        else:
            self.sampler = Sampler(fit.dataset, cfg.batch_size, cfg.seed, cfg.balancer)
        self.checkpoint_every = cfg.checkpoint_every or max(1, len(fit.dataset) // cfg.batch_size)
        self.frame_targets: FrameTargets | None = None
        if cfg.frame_loss_weight:
            seconds = seconds_per_frame * network.time_reduction
            self.frame_targets = FrameTargets(fit.dataset, seconds)
        layout = FeatureResolution(seconds_per_frame, network.time_reduction, len(mean))
        self.augmentations = augmentations.create(cfg, layout)
        self.mixes_clips = any(one.mixes_clips for one in self.augmentations)
        rows = range(cfg.batch_size)
        # Of each batch, this process loads only these rows.
        self.rows = rows if self.mixes_clips else group.share(rows)
        self.valid_truth = valid.dataset.tag_matrix()
        # The number of frames that `fit` loads for each output frame; see `use_frozen_frames`.
        self.time_reduction = network.time_reduction
        self.step = 0
        self.history: list[list[Any]] = []  # a row of history.tsv for each checkpoint
        # The value of the metric `select_by` at the best checkpoint (for the loss, its negative),
        # and the step of this checkpoint.
        self.best: list[Any] | None = None
        self.best_tensors: dict[str, torch.Tensor] | None = None
        self.finished = False
        self.losses: list[float] = []  # the loss of each batch since the last checkpoint
        self.seconds = 0.0  # training time since the last checkpoint
        self.threads = torch.get_num_threads()

    def can_use_frozen_frames(self) -> bool:
        """Return whether it is enough to run the frozen layers once for each clip.

        The run must have a single process and no augmentations. With augmentations, the outputs of
        the frozen layers for a clip would be different in each batch.
        """
        network = self.runner.network
        num_frozen = network.num_frozen if isinstance(network, BodyNetwork) else 0
        return num_frozen > 0 and not self.augmentations and self.group.size == 1

    def use_frozen_frames(self, frames: FrozenFrames) -> None:
        """Train and validate on the outputs of the frozen layers from now on."""
        network = self.runner.network
        assert isinstance(network, BodyNetwork)  # other networks have no frozen layers
        self.fit, self.valid = self.fit.of_frames(frames), self.valid.of_frames(frames)
        self.time_reduction = frames.time_reduction
        self.runner = UpperRunner(**vars(self.runner), start=network.num_frozen)
        self.forward = self.runner.run

    def state(self) -> dict[str, Any]:
        """Return the state from which the training run can be resumed: tensors and plain values.

        All processes must call this method at the same step.
        """
        device = self.runner.device
        cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        (random, random_cuda), *others = self.group.gather([torch.get_rng_state(), cuda])
        return {
            "step": self.step,
            "network": self.runner.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": random,
            "random_cuda": random_cuda,
            "random_of_others": others,
            "history": self.history,
            "best": self.best,
            "best_tensors": self.best_tensors,
            "finished": self.finished,
            "losses": self.losses,
            "seconds": self.seconds,
            "threads": torch.get_num_threads(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint.

        Raises ValueError if a tensor is not finite, if a number is NaN, or if the state was saved
        by a training run with a different number of processes.
        """
        _check_finite(state, "")
        self.runner.network.load_state_dict(state["network"])
        optimizer = dict(state["optimizer"])
        # The training run can be resumed on a device of another type.
        optimizer["param_groups"] = [{**g, "fused": self.fused} for g in optimizer["param_groups"]]
        self.optimizer.load_state_dict(optimizer)
        self.schedule.load_state_dict(state["schedule"])
        randoms = [[state["random"], state["random_cuda"]], *state.get("random_of_others", [])]
        if len(randoms) != self.group.size:
            raise ValueError(
                f"the number of processes was {len(randoms)} when the checkpoint was saved, but is "
                f"{self.group.size} now"
            )
        random, random_cuda = randoms[self.group.rank]
        torch.set_rng_state(random)
        if random_cuda is not None and self.runner.device.type == "cuda":
            torch.cuda.set_rng_state(random_cuda, self.runner.device)
        for name in (
            "step",
            "history",
            "best",
            "best_tensors",
            "finished",
            "losses",
            "seconds",
            "threads",
        ):
            setattr(self, name, state[name])

    def load(self, step: int) -> tuple[Integers, Staged]:
        """Load a batch.

        Parameters
        ----------
        step : int
            The number of the batch, from 0.

        Returns
        -------
        clips : (B,) array of int
            For each clip of the batch, its position in the data set.
        staged : tuple of tensors
            The tensors of a `Batch`, on the CPU. They contain only the clips that this process
            loads. The features are not normalised.
        """
        clips = self.sampler.batch(step)
        own = clips[self.rows]
        x, mask = self.fit.load(own, of=clips)
        tags = torch.from_numpy(self.fit.dataset.tag_matrix(own)).to(x)
        frames, known = None, None
        if self.frame_targets is not None:
            num_frames = max(1, x.shape[1] // self.time_reduction)
            frames, known = self.frame_targets.load(own, num_frames)
        return clips, self.runner.staged(x, mask, tags, frames, known)

    def loss(
        self, x: torch.Tensor, mask: torch.Tensor, *targets: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the loss of a batch that `load` returned: tag loss plus weighted frame loss.

        In a run with several processes, each process returns the part of the loss that comes from
        its share of the clips. The sum of these parts is the loss of the batch.
        """
        x, mask = self.runner.normalize(x, mask)
        tags, frames, known = (
            t if t is None else t.to(x.device, non_blocking=True) for t in targets
        )
        assert tags is not None  # only frame targets are optional
        batch = self._augmented(Batch(x, mask, tags, frames, known))
        output = self.forward(batch.x, batch.mask)
        share_of_batch = len(batch.tags) / self.cfg.batch_size
        loss = binary_cross_entropy(output.clip, batch.tags) * share_of_batch
        if batch.frames is not None and batch.known is not None:
            weight = batch.known * output.mask.unsqueeze(-1)
            frame_loss = binary_cross_entropy(output.frame, batch.frames, weight, self.group.total)
            loss = loss + self.cfg.frame_loss_weight * frame_loss
        return loss

    def _augmented(self, batch: Batch) -> Batch:
        """Apply the augmentations to a batch, and return this process's share of the clips."""
        if self.augmentations:
            generators = [
                np.random.default_rng((self.cfg.seed, 4, self.step, row)) for row in self.rows
            ]
            for augmentation in self.augmentations:
                batch = augmentations.apply(augmentation, batch, generators)
        if not self.mixes_clips:
            return batch
        share = self.group.share
        return Batch(
            share(batch.x),
            share(batch.mask),
            share(batch.tags),
            None if batch.frames is None else share(batch.frames),
            None if batch.known is None else share(batch.known),
        )

    def run_batch(self, clips: Integers, staged: Staged) -> float:
        """Make one optimiser step on a batch that `load` returned. Return the loss of the batch.

        Raises
        ------
        InputError
            If the loss is not finite, or if an augmentation returns a wrong batch.
        """
        x, mask, *targets = staged
        assert x is not None and mask is not None  # only frame targets are optional
        loss = self.loss(x, mask, *targets)
        value = self.group.total(loss.item())
        if not np.isfinite(value):
            names = tables.first(self.fit.dataset.filenames[clips].tolist())
            raise InputError(
                f"the loss is {value} at batch {self.step + 1} (clips {names}); earlier "
                "checkpoints are kept; check the features of these clips, or train again with a "
                "lower learning_rate"
            )
        self.optimizer.zero_grad(set_to_none=True)
        total = loss * self.group.size  # DDP averages gradients over the processes
        with self.runner.exact():
            total.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
        self.optimizer.step()
        self.runner.network.pooling.project()
        self.step += 1
        return value

    def run_batches(self, name: str, after_batch: Callable[[], None]) -> tuple[float, float]:
        """Train until the next checkpoint, on batches that are loaded in the background.

        Returns
        -------
        seconds : float
            The time that the training took, in seconds.
        waited : float
            The part of this time that was spent waiting for batches, in seconds.
        """
        started, before, waited = time.monotonic(), self.seconds, 0.0
        steps = range(self.step, self.step + self.checkpoint_every - len(self.losses))
        with contextlib.closing(ahead(self.load, steps)) as batches:
            for _ in progress(steps, name):
                asked = time.monotonic()
                clips, staged = next(batches)
                waited += time.monotonic() - asked
                self.losses.append(self.run_batch(clips, staged))
                self.seconds = before + time.monotonic() - started
                after_batch()
        return time.monotonic() - started, waited

    def run_to_checkpoint(self, after_batch: Callable[[], None] = _nothing) -> None:
        """Train until the next checkpoint, validate, and adapt the learning rate.

        Parameters
        ----------
        after_batch : callable
            A function that is called after each batch of training and of validation. It may save
            `state()` and raise an exception. A training run that restores this state continues
            after the last trained batch.
        """
        number, trained_before = len(self.history) + 1, len(self.losses)
        self.runner.network.train()
        name = f"checkpoint {number} of {self.cfg.max_checkpoints}"
        trained, waited = self.run_batches(name, after_batch)
        started = time.monotonic()
        # On CPUs, the running statistics of batch norm differ between the processes.
        self.group.align(self.runner.network)
        found = validate(self.runner, self.valid, self.valid_truth, after_batch, self.group)
        rate = self.optimizer.param_groups[0]["lr"]
        loss, seconds = float(np.mean(self.losses)), self.seconds + time.monotonic() - started
        self.history.append(
            [self.step, loss, found["loss"], found["f1"], found["map"], rate, seconds]
        )
        if self.cfg.schedule_by is not None:
            self.schedule.step(found[self.cfg.schedule_by])
        is_best = self._select(found)
        speed = (len(self.losses) - trained_before) * self.cfg.batch_size / max(trained, 1e-9)
        self.losses, self.seconds = [], 0.0
        self.tell(
            f"{name}: train loss {loss:.4f}, valid loss {found['loss']:.4f}, "
            f"F1 {found['f1']:.3f}, MAP {found['map']:.3f}, {seconds:.1f} s ({speed:.4g} clips/s, "
            f"{waited / max(trained, 1e-9):.1%} of the training time waiting for data)"
            + (", best" if is_best else "")
        )

    def _select(self, found: dict[str, float]) -> bool:
        """Keep the weights if this checkpoint is the best so far, and decide whether training ends.

        Returns whether this checkpoint is the best so far.
        """
        value = found[self.cfg.select_by]
        if self.cfg.select_by == "loss":
            value = -value
        if self.best is None or value > self.best[0]:
            self.best = [value, self.step]
            self.best_tensors = {
                k: v.detach().clone() for k, v in self.runner.network.state_dict().items()
            }
        stale = (self.step - self.best[1]) // self.checkpoint_every
        self.finished = len(self.history) >= self.cfg.max_checkpoints or (
            self.cfg.stop_patience is not None and stale >= self.cfg.stop_patience
        )
        return bool(stale == 0)
