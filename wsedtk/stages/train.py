"""train: tagged clips and their features -> a model directory.

B clips, T frames, F mel bins, K classes.
"""

import contextlib
import dataclasses
import logging
import platform
import time
import typing
from pathlib import Path

import numpy as np
import torch

from wsedtk import __version__, checkpoint, config, datadir, inference, metrics, models, ranking, tables, thresholds
from wsedtk.atomic import locking, write_text
from wsedtk.dataset import Augmentation, Batches, FeatureBatches, FrameTargets
from wsedtk.errors import InputError
from wsedtk.parallel import ahead
from wsedtk.progress import progress, say
from wsedtk.store import FeatureStore

logger = logging.getLogger(__name__)
HISTORY = ("step", "train_loss", "valid_loss", "valid_f1", "valid_map", "learning_rate", "seconds")
KEPT_CHECKPOINTS = 2  # the newest, and the one before should the newest be damaged
_EPSILON = 1e-7  # probabilities are clamped this far from 0 and 1 before the loss, as in Wang's published code


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """One system: conf/<system>.yaml. A checkpoint is a validation on VALID_SET and what is needed to go on from there."""

    network: str = "dcase-crnn"
    network_options: dict = dataclasses.field(default_factory=dict)
    pooling: str = "linear"
    hierarchy: typing.Literal["published", "plain", "nested"] | None = None  # help(wsedtk.pooling) tells what they are
    groups: tuple[int, ...] = ()  # output frames, then groups, that a group of the hierarchy holds
    balancer: typing.Literal["classes", "weighted", "none"] = "classes"  # help(wsedtk.dataset.Batches)
    batch_size: int = 100
    learning_rate: float = 3e-4
    frame_loss_weight: float = 0.0  # of the loss of the frames of clips that have events, where FIT_SET has an events.tsv
    mixup_alpha: float = 0.0  # this and the next three are off at 0; help(wsedtk.dataset.Augmentation)
    time_mask_seconds: float = 0.0
    mel_mask_bins: int = 0
    time_shift_seconds: float = 0.0
    checkpoint_every: int | None = 500  # batches; null: an epoch, as many batches as the clips fill
    max_checkpoints: int = 50
    schedule_by: typing.Literal["loss", "f1", "map"] | None = "loss"  # what must stall for the learning rate to fall; null: never
    schedule_factor: float = 0.5
    schedule_patience: int = 3  # checkpoints that may pass without gain; the next one lowers the rate (torch's ReduceLROnPlateau)
    stop_patience: int | None = None  # checkpoints without gain of `select_by` after which training stops; null: never
    select_by: typing.Literal["loss", "f1", "map"] = "f1"  # the model is the checkpoint that is best on VALID_SET by this
    precision: typing.Literal["bf16", "float32"] = "bf16"
    seed: int = 0

    def __post_init__(self):
        if min(self.batch_size, self.max_checkpoints, 1 if self.checkpoint_every is None else self.checkpoint_every) < 1:
            raise ValueError("batch_size, checkpoint_every and max_checkpoints must be at least 1")
        if not 0 < self.learning_rate < float("inf") or not 0 < self.schedule_factor < 1:
            raise ValueError("need learning_rate > 0 and 0 < schedule_factor < 1")
        for name in ("frame_loss_weight", "mixup_alpha", "time_mask_seconds", "mel_mask_bins", "time_shift_seconds"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be at least 0, found {getattr(self, name)}")
        if not 0 <= self.seed < 2 ** 63 or self.schedule_patience < 0 or (self.stop_patience is not None and self.stop_patience < 1):
            raise ValueError("seed (below 2^63) and schedule_patience must be at least 0, stop_patience at least 1, or null")
        if max(self.time_mask_seconds, self.time_shift_seconds, self.mixup_alpha) > 3600:
            raise ValueError("time_mask_seconds, time_shift_seconds and mixup_alpha must be at most 3600")


def binary_cross_entropy(probability, target, weight=None):
    """Mean binary cross-entropy of clip probabilities (B, K) against tags (B, K) (Wang, Li & Metze 2019, eq. (1)).

    weight: of each place, for a weighted mean, which is 0 where all weights are; any shapes that broadcast.
    NaN in, NaN out: torch's own function stops the process on a GPU there.
    """
    probability = probability.float().clamp(_EPSILON, 1 - _EPSILON)
    loss = -(target * torch.log(probability) + (1 - target) * torch.log1p(-probability))
    return loss.mean() if weight is None else (loss * weight).sum() / weight.expand_as(loss).sum().clamp_min(1)


def augmentation_of(cfg, seconds_per_frame, time_reduction, num_mels):
    """The augmentation in frames and bins. Raises InputError where a setting comes to nothing, or to more than there is."""
    mask = round(cfg.time_mask_seconds / seconds_per_frame)
    shift = round(cfg.time_shift_seconds / (seconds_per_frame * time_reduction))
    for name, frames in (("time_mask_seconds", mask), ("time_shift_seconds", shift)):
        if getattr(cfg, name) > 0 and frames == 0:
            raise InputError(f"{name} {getattr(cfg, name):g}: is less than half a frame and would do nothing; 0 turns it off")
    if cfg.mel_mask_bins > num_mels:
        raise InputError(f"mel_mask_bins {cfg.mel_mask_bins}: the features have {num_mels} mel bins")
    return Augmentation(cfg.mixup_alpha, mask, cfg.mel_mask_bins, shift, time_reduction)


def validate(runner, batches, truth):
    """Loss, tuned micro F1 and MAP on the validation set: {loss, f1, map}."""
    scores = np.zeros(truth.shape, np.float32)
    for positions, output, _ in inference.score(runner, batches.store, batches.rows):
        scores[positions] = output.clip.float().cpu().numpy()
    if not np.isfinite(scores).all():
        raise InputError("the network's scores on the validation set are not finite; training stops at the last good checkpoint")
    loss = binary_cross_entropy(torch.from_numpy(scores), torch.from_numpy(truth.astype(np.float32))).item()
    decided = scores >= thresholds.tune(scores, truth)
    f1 = metrics.precision_recall_f1(*metrics.decision_counts(truth, decided).sum(axis=1).tolist())["f1"]
    return {"loss": loss, "f1": f1 or 0.0, "map": ranking.ranking_metrics(scores, truth)["map"] or 0.0}


class Trainer:
    """The training loop and its state, which a checkpoint holds whole."""

    def __init__(self, cfg, network, fit, valid, statistics, seconds_per_frame, device, tell=say):
        self.cfg, self.fit, self.valid, self.tell = cfg, fit, valid, tell
        self.runner = inference.Runner.of(network, *statistics, device, precise=cfg.precision == "float32")
        self.optimizer = torch.optim.Adam(network.parameters(), lr=cfg.learning_rate, fused=True if device.type == "cuda" else None)
        self.schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimizer, "min" if cfg.schedule_by == "loss" else "max", cfg.schedule_factor, cfg.schedule_patience)
        self.sampler = Batches(fit.dataset, cfg.batch_size, cfg.seed, cfg.balancer)
        self.checkpoint_every = cfg.checkpoint_every or max(1, len(fit.dataset) // cfg.batch_size)
        self.frame_targets = FrameTargets(fit.dataset, seconds_per_frame * network.time_reduction) if cfg.frame_loss_weight else None
        self.augmentation = augmentation_of(cfg, seconds_per_frame, network.time_reduction, len(statistics[0]))
        self.valid_truth = valid.dataset.tag_matrix()
        self.step, self.history, self.best = 0, [], None  # best: (value of select_by, step)
        self.best_tensors, self.finished = None, False

    def state(self):
        """Everything that the rest of the training depends on, as tensors and plain values."""
        return {"step": self.step, "network": self.runner.network.state_dict(), "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(), "random": torch.get_rng_state(),
                "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [], "history": self.history,
                "best": self.best, "best_tensors": self.best_tensors, "finished": self.finished}

    def restore(self, state):
        """Go back to a checkpoint's state."""
        self.runner.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"])
        if state["random_cuda"]:
            torch.cuda.set_rng_state_all(state["random_cuda"])
        for name in ("step", "history", "best", "best_tensors", "finished"):
            setattr(self, name, state[name])

    def load(self, step):
        """What batch number `step` needs, in the machine's memory: clips (B,), and (features, mask, tags, frame targets, what is known).

        The last two, as FrameTargets gives, are None without `frame_loss_weight`.
        """
        clips = self.sampler.batch(step)
        x, mask = self.fit.load(clips)
        tags, frames, known = torch.from_numpy(self.fit.dataset.tag_matrix(clips)).to(x), None, None
        if self.frame_targets is not None:
            frames, known = self.frame_targets.load(clips, max(1, x.shape[1] // self.runner.network.time_reduction))
        return clips, self.runner.staged(x, mask, tags, frames, known)

    def loss(self, x, mask, *targets):
        """The loss of a batch as `load` gives: of its tags, and of its frames where `frame_loss_weight` is set."""
        x, mask = self.runner.normalize(x, mask)
        tags, frames, known = (t if t is None else t.to(x.device, non_blocking=True) for t in targets)
        if self.augmentation.is_on:
            generators = [np.random.default_rng((self.cfg.seed, 4, self.step, row)) for row in range(len(x))]
            x, mask, tags, frames, known = self.augmentation(generators, x, mask, tags, frames, known)
        output = self.runner.run(x, mask)
        loss = binary_cross_entropy(output.clip, tags)
        if frames is not None:
            loss = loss + self.cfg.frame_loss_weight * binary_cross_entropy(output.frame, frames, known * output.mask.unsqueeze(-1))
        return loss

    def run_batch(self, batch):
        """One optimiser step on a batch as `load` gives. Returns the loss, a tensor: to wait for its value would idle a GPU."""
        loss = self.loss(*batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.runner.network.pooling.project()
        self.step += 1
        return loss.detach()

    def check(self, loss, step, clips):
        """The value of a batch's loss. Raises InputError where it is not finite."""
        value = loss.item()
        if not np.isfinite(value):
            names = tables.first(self.fit.dataset.filenames[clips].tolist())
            raise InputError(f"the loss is {value} at batch {step} (clips {names}); what was checkpointed before is good. "
                             "Look for broken features, or lower learning_rate")
        return value

    def run_batches(self, name):
        """Train for `checkpoint_every` batches, which are loaded meanwhile. Returns their losses and the seconds spent waiting for them.

        Each loss is looked at when the next batch is under way.
        """
        steps, losses, waited, last = range(self.step, self.step + self.checkpoint_every), [], 0.0, None
        with contextlib.closing(ahead(self.load, steps)) as batches:
            for _ in progress(steps, name):
                before = time.monotonic()
                clips, batch = next(batches)
                waited += time.monotonic() - before
                loss = self.run_batch(batch)
                if last is not None:
                    losses.append(self.check(*last))
                last = loss, self.step, clips
        return [*losses, self.check(*last)], waited

    def run_to_checkpoint(self):
        """Train for `checkpoint_every` batches, validate, adapt the learning rate, and note what is best."""
        started, number = time.monotonic(), len(self.history) + 1
        self.runner.network.train()
        name = f"checkpoint {number} of {self.cfg.max_checkpoints}"
        losses, waited = self.run_batches(name)
        trained = time.monotonic() - started
        found = validate(self.runner, self.valid, self.valid_truth)
        rate = self.optimizer.param_groups[0]["lr"]
        self.history.append([self.step, float(np.mean(losses)), found["loss"], found["f1"], found["map"], rate,
                             time.monotonic() - started])
        if self.cfg.schedule_by is not None:
            self.schedule.step(found[self.cfg.schedule_by])
        value = -found["loss"] if self.cfg.select_by == "loss" else found[self.cfg.select_by]
        if self.best is None or value > self.best[0]:
            self.best = [value, self.step]
            self.best_tensors = {k: v.detach().clone() for k, v in self.runner.network.state_dict().items()}
        stale = (self.step - self.best[1]) // self.checkpoint_every
        self.finished = number >= self.cfg.max_checkpoints or (self.cfg.stop_patience is not None and stale >= self.cfg.stop_patience)
        self.tell(f"{name}: train loss {self.history[-1][1]:.4f}, valid loss {found['loss']:.4f}, F1 {found['f1']:.3f}, "
                  f"MAP {found['map']:.3f}, {self.history[-1][-1]:.1f} s ({len(losses) * self.cfg.batch_size / trained:.4g} clips/s, "
                  f"{waited / trained:.1%} of it waiting for data)" + (", best" if stale == 0 else ""))


def teller(folder):
    """A `say` that also adds its line, with the time, to the model directory's train.log."""
    def tell(message):
        say(message)
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "train.log", "a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {message}\n")
    return tell


def checkpoints(folder):
    """The checkpoints of a model directory, newest first."""
    return sorted((Path(folder) / "checkpoints").glob("step*.pt"), key=lambda p: int(p.stem[4:]), reverse=True)


def save(trainer, folder):
    """Write history.tsv and a checkpoint, and remove checkpoints that are no longer needed."""
    lines = ["\t".join(HISTORY)] + ["\t".join(f"{v:.6g}" if isinstance(v, float) else str(v) for v in row) for row in trainer.history]
    write_text(folder / "history.tsv", "\n".join(lines) + "\n")
    checkpoint.save_checkpoint(folder / "checkpoints" / f"step{trainer.step:08d}.pt", trainer.state())
    for old in checkpoints(folder)[KEPT_CHECKPOINTS:]:
        old.unlink()


def resume(trainer, folder, resolved):
    """Restore the newest whole checkpoint. Raises InputError where the directory holds the training of something else."""
    before = folder / "config.yaml"
    if not before.exists():
        if (folder / "model.yaml").exists():
            raise InputError(f"{folder}: holds a model that was not trained there; choose another directory, or --overwrite it "
                             "(to go on from it, give it as --init)")
        return
    previous = config.read_yaml(before)
    if previous != resolved:
        odd = [k for k in resolved if not isinstance(previous, dict) or previous.get(k) != resolved[k]]
        raise InputError(f"{folder}: holds a model trained with other settings ({', '.join(odd)}); "
                         "choose another directory, or --overwrite to train it anew")
    for path in checkpoints(folder):
        try:
            trainer.restore(checkpoint.load_checkpoint(path))
        except (InputError, KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = error if isinstance(error, InputError) else f"{path}: is not a checkpoint of this training"
            trainer.tell(f"train: {reason}; going back to the checkpoint before, or to the start")
            continue
        trainer.tell(f"train: going on from batch {trainer.step}" if not trainer.finished else f"{folder}: training is done")
        return


def _spec(cfg, store, fit, statistics):
    mean, std = statistics
    trained = {"wsedtk": __version__, "torch": str(torch.__version__), "python": platform.python_version(), "seed": cfg.seed,
               "fit_clips": len(fit.dataset), "fit_clips_fingerprint": datadir.fingerprint_clips(fit.dataset.filenames),
               "fit_fingerprint": fit.dataset.fingerprint(), "features_fingerprint": store.fingerprint}
    options = {"num_mels": store.frontend["num_mels"], **cfg.network_options}
    if options["num_mels"] != store.frontend["num_mels"]:
        raise InputError(f"network_options: num_mels {options['num_mels']!r}: the features have {store.frontend['num_mels']}; leave it out")
    return checkpoint.ModelSpec(cfg.network, options, cfg.pooling, tuple(fit.dataset.labels), store.frontend,
                                tuple(mean.tolist()), tuple(std.tolist()), cfg.hierarchy, cfg.groups, trained)


def describe(network, spec):
    """The layers with parameters and output shapes for ten seconds, and the time resolution, as text."""
    frontend = spec.frontend_config()
    rows, hooks = [], []
    for name, module in network.named_modules():
        if name and not list(module.children()):
            def note(module, _, output, name=name):
                shape = getattr(output[0] if isinstance(output, tuple) else output, "shape", "")
                rows.append((name, type(module).__name__, "x".join(map(str, shape)), sum(p.numel() for p in module.parameters())))
            hooks.append(module.register_forward_hook(note))
    with torch.inference_mode():
        output = network.eval()(torch.zeros(1, round(10 / frontend.seconds_per_frame), frontend.num_mels))
    for hook in hooks:
        hook.remove()
    seconds = frontend.seconds_per_frame * network.time_reduction
    lines = [f"{'layer':16} {'kind':12} {'output for 10 s':>18} {'parameters':>11}"]
    lines += [f"{name:16} {kind:12} {shape:>18} {count:11,}" for name, kind, shape, count in rows]
    hierarchy = f", hierarchy {spec.hierarchy} {list(spec.groups)}" if spec.hierarchy else ""
    lines += [f"{sum(p.numel() for p in network.parameters()):,} parameters, {spec.pooling} pooling{hierarchy}, "
              f"{output.frame.shape[1]} frames of {seconds:g} s in 10 s, {len(spec.labels)} classes"]
    return "\n".join(lines)


def _read_sets(fit_set, valid_set, store):
    fit_data, valid_data = datadir.read(fit_set), datadir.read(valid_set)
    if fit_data.labels != valid_data.labels:
        raise InputError(f"{valid_set}: its labels.txt is not that of {fit_set}")
    shared = np.intersect1d(fit_data.filenames, valid_data.filenames)
    if len(shared):
        raise InputError(f"{valid_set}: shares {len(shared)} clips with {fit_set}: {tables.first(shared.tolist())}")
    fit, valid = FeatureBatches(store, fit_data, fit_set), FeatureBatches(store, valid_data, valid_set)
    for batches, folder in ((fit, fit_set), (valid, valid_set)):
        if not len(batches.dataset.tag_clip):
            raise InputError(f"{folder}: none of its {len(batches.dataset)} clips has a tag: there is nothing to learn from")
        untagged = len(batches.dataset.clips_of_classes()[-1])
        if batches.num_left_out:
            say(f"warning: {folder}: {batches.num_left_out} clips left out: their audio could not be read")
        if untagged:
            say(f"warning: {folder}: {untagged} clips without tags; they count as clips in which nothing occurs")
    return fit, valid


def _outputs(spec):
    """The names of a network's output tensors: those whose shape depends on the number of classes."""
    tensors, wider = spec.build().state_dict(), dataclasses.replace(spec, labels=(*spec.labels, "")).build().state_dict()
    return {name for name, tensor in tensors.items() if wider[name].shape != tensor.shape}


def initialise(network, spec, init_dir):
    """Copy the weights of a model directory into a network of the same kind, and take its statistics.

    Of the output layer only what both have is copied, and that where the classes are the same, in the same order; the rest stays
    fresh. Returns the ModelSpec with the model's statistics. Raises InputError where front end or network do not fit.
    """
    found, source, fingerprint = checkpoint.load_model(init_dir)
    if found.frontend != spec.frontend:
        raise InputError(f"{init_dir}: trained on another front end; extract the features with its own (model.yaml: frontend)")
    what = f"{init_dir}: is {found.network} {found.network_options}, not the network of this configuration"
    if found.network != spec.network or source.time_reduction != network.time_reduction:
        raise InputError(f"{what}, {spec.network} {spec.network_options}")
    theirs, mine = source.state_dict(), network.state_dict()
    generator = torch.get_rng_state()
    outputs, their_outputs = _outputs(spec), _outputs(found)
    torch.set_rng_state(generator)
    kept = {name for name in outputs & their_outputs if found.labels == spec.labels}
    tensors = {name: tensor for name, tensor in theirs.items() if name not in their_outputs or name in kept}
    fresh = {name: mine[name] for name in mine if name in outputs - kept}
    if fresh:
        why = "" if found.labels == spec.labels else "its classes are others, or in another order: "
        say(f"{init_dir}: {why}{', '.join(fresh)} start afresh")
    checkpoint.check_tensors({**tensors, **fresh}, mine, what)
    network.load_state_dict({**tensors, **fresh})
    return dataclasses.replace(spec, mean=found.mean, std=found.std, trained={**spec.trained, "init": fingerprint})


def run(fit_set, valid_set, model_dir, feats, config_path, overrides, init_dir, overwrite, dry_run, device, cache=False):
    """Train a system, or go on with its training; `dry_run` prints the network and stops; `cache` keeps all features in memory."""
    model_dir = Path(model_dir)
    cfg = config.load(TrainConfig, config_path, overrides)
    store = FeatureStore(feats)
    fit, valid = _read_sets(fit_set, valid_set, store)
    if cfg.frame_loss_weight and (fit.dataset.events is None or not len(fit.dataset.events)):
        raise InputError(f"{fit_set}: has no events, which frame_loss_weight needs")
    spec = _spec(cfg, store, fit, store.statistics(fit.rows))
    torch.manual_seed(cfg.seed)
    network = spec.build()
    models.check(network, spec.network, spec.frontend["num_mels"], len(spec.labels))
    augmentation_of(cfg, spec.frontend_config().seconds_per_frame, network.time_reduction, spec.frontend["num_mels"])
    if init_dir is not None:
        spec = initialise(network, spec, init_dir)
    if dry_run:
        print(describe(network, spec))
        return
    device = inference.pick_device(device)
    if cache:
        store.cache(np.concatenate([fit.rows, valid.rows]))
    with locking(model_dir / "checkpoints" / ".lock"):
        _train(cfg, spec, network, fit, valid, store, model_dir, overwrite, device)


def _train(cfg, spec, network, fit, valid, store, model_dir, overwrite, device):
    """Train, or go on, in a model directory that is this process's alone, and write the model."""
    resolved = {**config.to_mapping(cfg), "init": spec.trained.get("init"), "features_fingerprint": store.fingerprint,
                "fit_fingerprint": fit.dataset.fingerprint(), "valid_fingerprint": valid.dataset.fingerprint(),
                "statistics_fingerprint": config.fingerprint([*spec.mean, *spec.std])}
    if overwrite:
        for old in [*checkpoints(model_dir), *(model_dir / n for n in ("model.yaml", "model.safetensors", "config.yaml", "train.log"))]:
            old.unlink(missing_ok=True)
    seconds_per_frame = spec.frontend_config().seconds_per_frame
    trainer = Trainer(cfg, network, fit, valid, (spec.mean, spec.std), seconds_per_frame, device, teller(model_dir))
    resume(trainer, model_dir, resolved)
    write_text(model_dir / "config.yaml", config.to_yaml(resolved))
    while not trainer.finished:
        trainer.run_to_checkpoint()
        save(trainer, model_dir)
    spec = dataclasses.replace(spec, trained={**spec.trained, "step": trainer.best[1], cfg.select_by: abs(trainer.best[0])})
    checkpoint.save_model(model_dir, spec, trainer.best_tensors)
    print(f"{model_dir}: the model is batch {trainer.best[1]} of {trainer.step}, valid {cfg.select_by} {abs(trainer.best[0]):.4f}")
