"""The training loop: batches, loss, optimiser, validation, and the state that a checkpoint holds.

B clips, T frames, F mel bins, K classes.
"""

import contextlib
import dataclasses
import time
import typing
import warnings

import numpy as np
import torch

from wsedtk.core.caches import torch_without_compiler_cache
from wsedtk.core.errors import InputError
from wsedtk.core.processes import ahead
from wsedtk.core.progress import progress, say
from wsedtk.data import tables
from wsedtk.decoding import thresholds
from wsedtk.evaluation import average_precision, metrics
from wsedtk.inference import network_runner
from wsedtk.training.augmentations import augmentation_of
from wsedtk.training.batching import Batches, FrameTargets
from wsedtk.training.distributed import Group

_EPSILON = 1e-7  # probabilities are clamped this far from 0 and 1 before the loss, as in Wang's published code


def binary_cross_entropy(probability, target, weight=None, total=lambda value: value):
    """Mean binary cross-entropy of clip probabilities (B, K) against tags (B, K) (Wang, Li & Metze 2019, eq. (1)).

    weight: of each place, for a weighted mean, which is 0 where all weights are; any shapes that broadcast. total: what makes of the
    sum of the weights that of all processes; the result is then this one's part of the mean.
    NaN in, NaN out: torch's own function stops the process on a GPU there.
    """
    probability = probability.float().clamp(_EPSILON, 1 - _EPSILON)
    loss = -(target * torch.log(probability) + (1 - target) * torch.log1p(-probability))
    return (
        loss.mean()
        if weight is None
        else (loss * weight).sum() / total(weight.expand_as(loss).sum()).clamp_min(1)
    )


def validate(runner, batches, truth, after_batch=lambda: None, group=Group()):
    """Loss, tuned micro F1 and MAP on the validation set: {loss, f1, map}. after_batch: called then; it may raise."""
    scores = np.zeros(truth.shape, np.float32)
    share = np.resize(
        group.share(np.arange(len(truth))), -(-len(truth) // group.size)
    )  # of one length: all have as many batches
    for positions, output, _ in network_runner.score(runner, batches.store, batches.rows[share]):
        scores[share[positions]] = output.clip.float().cpu().numpy()
        after_batch()
    scores = group.total(torch.from_numpy(scores)).numpy()
    return group.first(lambda: _measured(scores, truth))


def _measured(scores, truth):
    """What `validate` returns, of scores (N, K) and truth (N, K)."""
    if not np.isfinite(scores).all():
        raise InputError(
            "the network's scores on the validation set are not finite; training stops at the last good checkpoint"
        )
    loss = binary_cross_entropy(
        torch.from_numpy(scores), torch.from_numpy(truth.astype(np.float32))
    ).item()
    decided = scores >= thresholds.tune(scores, truth)
    f1 = metrics.precision_recall_f1(*metrics.decision_counts(truth, decided).sum(axis=1).tolist())[
        "f1"
    ]
    return {
        "loss": loss,
        "f1": f1 or 0.0,
        "map": average_precision.ranking_metrics(scores, truth)["map"] or 0.0,
    }


def _check_numbers(value, name):
    """Raise ValueError that names the first tensor of a state that is not finite, or number that is NaN; schedules hold infinities."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_numbers(inner, f"{name} {key}".strip())
    elif isinstance(value, (list, tuple)):
        for place, inner in enumerate(value):
            _check_numbers(inner, f"{name} {place}")
    elif (
        isinstance(value, float)
        and np.isnan(value)
        or isinstance(value, torch.Tensor)
        and not torch.isfinite(value).all()
    ):
        raise ValueError(f"{name}: not finite")


class Trainer:
    """The training loop and its state, which a checkpoint holds whole."""

    best: list[typing.Any] | None  # [value of select_by, step]

    def __init__(
        self,
        cfg,
        network,
        fit,
        valid,
        statistics,
        seconds_per_frame,
        device,
        tell=say,
        group=Group(),
    ):
        self.cfg, self.fit, self.valid, self.tell, self.group = cfg, fit, valid, tell, group
        self.runner = network_runner.Runner.of(
            network, *statistics, device, precise=cfg.precision == "float32"
        )
        if device.type == "cuda" and self.runner.precise:
            torch.backends.cudnn.allow_tf32 = False  # also in the backward pass
        self.forward = dataclasses.replace(
            self.runner, network=group.wrap(network, device, bool(cfg.frame_loss_weight))
        ).run
        fused = True if device.type == "cuda" else None
        with torch_without_compiler_cache(), warnings.catch_warnings():  # sympy adds a filter
            self.optimizer = torch.optim.Adam(network.parameters(), cfg.learning_rate, fused=fused)
        self.schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimizer,
            "min" if cfg.schedule_by == "loss" else "max",
            cfg.schedule_factor,
            cfg.schedule_patience,
        )
        self.sampler = Batches(fit.dataset, cfg.batch_size, cfg.seed, cfg.balancer)
        self.checkpoint_every = cfg.checkpoint_every or max(1, len(fit.dataset) // cfg.batch_size)
        self.frame_targets = (
            FrameTargets(fit.dataset, seconds_per_frame * network.time_reduction)
            if cfg.frame_loss_weight
            else None
        )
        self.augmentation = augmentation_of(
            cfg, seconds_per_frame, network.time_reduction, len(statistics[0])
        )
        rows = range(
            cfg.batch_size
        )  # of a batch, those that this process loads; any of them can be partners in mixup
        self.rows = rows if cfg.mixup_alpha else group.share(rows)
        self.valid_truth = valid.dataset.tag_matrix()
        self.step, self.history, self.best = 0, [], None
        self.best_tensors, self.finished = None, False
        self.losses, self.seconds = [], 0.0  # of the batches since the last checkpoint
        self.threads = torch.get_num_threads()

    def state(self):
        """Everything that the rest of the training depends on, as tensors and plain values. All processes are to call it."""
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

    def restore(self, state):
        """Go back to a checkpoint's state. Raises ValueError where that is damaged."""
        _check_numbers(state, "")
        self.runner.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        randoms = [[state["random"], state["random_cuda"]], *state.get("random_of_others", [])]
        if len(randoms) != self.group.size:
            raise ValueError(f"of a training in {len(randoms)} processes")
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

    def load(self, step):
        """Batch number `step`: its clips (B,), and of `rows` (features, mask, tags, frame targets, what is known) in the machine's memory.

        The last two, as FrameTargets gives, are None without `frame_loss_weight`.
        """
        batch = self.sampler.batch(step)
        clips = batch[self.rows]
        x, mask = self.fit.load(clips, of=batch)
        tags, frames, known = torch.from_numpy(self.fit.dataset.tag_matrix(clips)).to(x), None, None
        if self.frame_targets is not None:
            frames, known = self.frame_targets.load(
                clips, max(1, x.shape[1] // self.runner.network.time_reduction)
            )
        return batch, self.runner.staged(x, mask, tags, frames, known)

    def loss(self, x, mask, *targets):
        """The loss of a batch as `load` gives: of its tags, and of its frames where `frame_loss_weight` is set.

        Of several processes each gives its part, the loss of its share divided by what is in the whole batch.
        """
        x, mask = self.runner.normalize(x, mask)
        tags, frames, known = (
            t if t is None else t.to(x.device, non_blocking=True) for t in targets
        )
        if self.augmentation.is_on:
            generators = [
                np.random.default_rng((self.cfg.seed, 4, self.step, row)) for row in self.rows
            ]
            x, mask, tags, frames, known = self.augmentation(
                generators, x, mask, tags, frames, known
            )
        if self.cfg.mixup_alpha:
            x, mask, tags, frames, known = (
                t if t is None else self.group.share(t) for t in (x, mask, tags, frames, known)
            )
        output = self.forward(x, mask)
        loss = binary_cross_entropy(output.clip, tags) * (len(tags) / self.cfg.batch_size)
        if frames is not None:
            known = known * output.mask.unsqueeze(-1)
            loss = loss + self.cfg.frame_loss_weight * binary_cross_entropy(
                output.frame, frames, known, self.group.total
            )
        return loss

    def run_batch(self, clips, batch):
        """One optimiser step on what `load` gives. Returns the loss. Raises InputError where it is not finite."""
        loss = self.loss(*batch)
        value = self.group.total(loss.item())
        if not np.isfinite(value):
            names = tables.first(self.fit.dataset.filenames[clips].tolist())
            raise InputError(
                f"the loss is {value} at batch {self.step + 1} (clips {names}); what was checkpointed before is good. "
                "Look for broken features, or lower learning_rate"
            )
        self.optimizer.zero_grad(set_to_none=True)
        (loss * self.group.size).backward()  # of which the processes' mean is taken
        self.optimizer.step()
        self.runner.network.pooling.project()
        self.step += 1
        return value

    def run_batches(self, name, after_batch):
        """Train until a checkpoint is due, on batches that are loaded meanwhile. Returns the seconds it took, and those spent waiting."""
        started, before, waited = time.monotonic(), self.seconds, 0.0
        steps = range(self.step, self.step + self.checkpoint_every - len(self.losses))
        with contextlib.closing(ahead(self.load, steps)) as batches:
            for _ in progress(steps, name):
                asked = time.monotonic()
                clips, batch = next(batches)
                waited += time.monotonic() - asked
                self.losses.append(self.run_batch(clips, batch))
                self.seconds = before + time.monotonic() - started
                after_batch()
        return time.monotonic() - started, waited

    def run_to_checkpoint(self, after_batch=lambda: None):
        """Train until a checkpoint is due, validate, adapt the learning rate, and note what is best.

        after_batch: called after each batch, of validation too; it may save `state`, and raise: restored, training goes on from there.
        """
        number, trained_before = len(self.history) + 1, len(self.losses)
        self.runner.network.train()
        name = f"checkpoint {number} of {self.cfg.max_checkpoints}"
        trained, waited = self.run_batches(name, after_batch)
        started = time.monotonic()
        self.group.align(self.runner.network)  # the running means of batch norm on a CPU
        found = validate(self.runner, self.valid, self.valid_truth, after_batch, self.group)
        rate = self.optimizer.param_groups[0]["lr"]
        self.history.append(
            [
                self.step,
                float(np.mean(self.losses)),
                found["loss"],
                found["f1"],
                found["map"],
                rate,
                self.seconds + time.monotonic() - started,
            ]
        )
        if self.cfg.schedule_by is not None:
            self.schedule.step(found[self.cfg.schedule_by])
        value = -found["loss"] if self.cfg.select_by == "loss" else found[self.cfg.select_by]
        if self.best is None or value > self.best[0]:
            self.best = [value, self.step]
            self.best_tensors = {
                k: v.detach().clone() for k, v in self.runner.network.state_dict().items()
            }
        stale = (self.step - self.best[1]) // self.checkpoint_every
        self.finished = number >= self.cfg.max_checkpoints or (
            self.cfg.stop_patience is not None and stale >= self.cfg.stop_patience
        )
        speed = (len(self.losses) - trained_before) * self.cfg.batch_size / max(trained, 1e-9)
        self.losses, self.seconds = [], 0.0
        self.tell(
            f"{name}: train loss {self.history[-1][1]:.4f}, valid loss {found['loss']:.4f}, F1 {found['f1']:.3f}, "
            f"MAP {found['map']:.3f}, {self.history[-1][-1]:.1f} s ({speed:.4g} clips/s, "
            f"{waited / max(trained, 1e-9):.1%} of it waiting for data)"
            + (", best" if stale == 0 else "")
        )
