"""train: tagged clips and their features -> a model directory.

B clips, T frames, F mel bins, K classes.
"""

import dataclasses
import logging
import platform
import time
import typing
from pathlib import Path

import numpy as np
import torch

from wsedtk import __version__, checkpoint, config, datadir, inference, metrics, thresholds
from wsedtk.atomic import locking, write_text
from wsedtk.dataset import BalancedBatches, FeatureBatches
from wsedtk.errors import InputError
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
    balancer: typing.Literal["classes", "none"] = "classes"  # one clip a class a round, or a plain shuffle
    batch_size: int = 100
    learning_rate: float = 3e-4
    checkpoint_every: int = 500  # batches
    max_checkpoints: int = 50
    schedule_by: typing.Literal["loss", "f1", "map"] = "loss"  # what must stall for the learning rate to fall
    schedule_factor: float = 0.5
    schedule_patience: int = 3  # checkpoints
    stop_patience: int | None = None  # checkpoints without gain of `select_by` before training stops; null: never
    select_by: typing.Literal["loss", "f1", "map"] = "f1"  # the model is the checkpoint that is best on VALID_SET by this
    precision: typing.Literal["bf16", "float32"] = "bf16"
    seed: int = 0

    def __post_init__(self):
        if min(self.batch_size, self.checkpoint_every, self.max_checkpoints) < 1:
            raise ValueError("batch_size, checkpoint_every and max_checkpoints must be at least 1")
        if self.learning_rate <= 0 or not 0 < self.schedule_factor < 1:
            raise ValueError("need learning_rate > 0 and 0 < schedule_factor < 1")
        if min(self.seed, self.schedule_patience, self.stop_patience or 0) < 0:
            raise ValueError("seed, schedule_patience and stop_patience must be at least 0")


def binary_cross_entropy(probability, target):
    """Mean binary cross-entropy of clip probabilities (B, K) against tags (B, K) (Wang, Li & Metze 2019, eq. (1)).

    NaN in, NaN out: torch's own function stops the process on a GPU there.
    """
    probability = probability.float().clamp(_EPSILON, 1 - _EPSILON)
    return -(target * torch.log(probability) + (1 - target) * torch.log1p(-probability)).mean()


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
    return {"loss": loss, "f1": f1 or 0.0, "map": metrics.ranking_metrics(scores, truth)["map"] or 0.0}


class Trainer:
    """The training loop and its state, which a checkpoint holds whole."""

    def __init__(self, cfg, network, fit, valid, statistics, device, tell=say):
        self.cfg, self.fit, self.valid, self.tell = cfg, fit, valid, tell
        self.runner = inference.Runner.of(network, *statistics, device, precise=cfg.precision == "float32")
        self.optimizer = torch.optim.Adam(network.parameters(), lr=cfg.learning_rate)
        self.schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimizer, "min" if cfg.schedule_by == "loss" else "max", cfg.schedule_factor, cfg.schedule_patience)
        self.sampler = BalancedBatches(fit.dataset, cfg.batch_size, cfg.seed, cfg.balancer == "classes")
        self.tags = torch.from_numpy(fit.dataset.tag_matrix().astype(np.float32))
        self.valid_truth = valid.dataset.tag_matrix()
        self.step, self.history, self.best = 0, [], None  # best: (value of select_by, step)
        self.best_tensors, self.finished = None, False

    def state(self):
        """Everything that the rest of the training depends on, as tensors and plain values."""
        return {"step": self.step, "network": self.runner.network.state_dict(), "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(), "random": torch.get_rng_state(), "history": self.history,
                "best": self.best, "best_tensors": self.best_tensors, "finished": self.finished}

    def restore(self, state):
        """Go back to a checkpoint's state."""
        self.runner.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"])
        for name in ("step", "history", "best", "best_tensors", "finished"):
            setattr(self, name, state[name])

    def run_batch(self):
        """One optimiser step. Returns the loss."""
        clips = self.sampler.batch(self.step)
        output = self.runner(*self.fit.load(clips))
        loss = binary_cross_entropy(output.clip, self.tags[clips].to(output.clip.device))
        value = loss.item()
        if not np.isfinite(value):
            names = datadir.first(self.fit.dataset.filenames[clips].tolist())
            raise InputError(f"the loss is {value} at batch {self.step + 1} (clips {names}); the last checkpoint is good. "
                             "Look for broken features, or lower learning_rate")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        return value

    def run_to_checkpoint(self):
        """Train for `checkpoint_every` batches, validate, adapt the learning rate, and note what is best."""
        started, number = time.monotonic(), len(self.history) + 1
        self.runner.network.train()
        name = f"checkpoint {number} of {self.cfg.max_checkpoints}"
        losses = [self.run_batch() for _ in progress(range(self.cfg.checkpoint_every), name)]
        found = validate(self.runner, self.valid, self.valid_truth)
        rate = self.optimizer.param_groups[0]["lr"]
        self.history.append([self.step, float(np.mean(losses)), found["loss"], found["f1"], found["map"], rate,
                             time.monotonic() - started])
        self.schedule.step(found[self.cfg.schedule_by])
        value = -found["loss"] if self.cfg.select_by == "loss" else found[self.cfg.select_by]
        if self.best is None or value > self.best[0]:
            self.best = [value, self.step]
            self.best_tensors = {k: v.detach().clone() for k, v in self.runner.network.state_dict().items()}
        stale = (self.step - self.best[1]) // self.cfg.checkpoint_every
        self.finished = number >= self.cfg.max_checkpoints or (self.cfg.stop_patience is not None and stale >= self.cfg.stop_patience)
        self.tell(f"{name}: train loss {self.history[-1][1]:.4f}, valid loss {found['loss']:.4f}, F1 {found['f1']:.3f}, "
                  f"MAP {found['map']:.3f}, {self.history[-1][-1]:.1f} s" + (", best" if stale == 0 else ""))


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
        return
    previous = config.read_yaml(before)
    if previous != resolved:
        odd = [k for k in resolved if not isinstance(previous, dict) or previous.get(k) != resolved[k]]
        raise InputError(f"{folder}: holds a model trained with other settings ({', '.join(odd)}); "
                         "choose another directory, or --overwrite to train it anew")
    for path in checkpoints(folder):
        try:
            trainer.restore(checkpoint.load_checkpoint(path))
        except InputError as error:
            trainer.tell(f"train: {error}; going back to the checkpoint before")
            continue
        trainer.tell(f"train: going on from batch {trainer.step}" if not trainer.finished else f"{folder}: training is done")
        return


def _spec(cfg, store, fit, statistics):
    mean, std = statistics
    trained = {"wsedtk": __version__, "torch": str(torch.__version__), "python": platform.python_version(), "seed": cfg.seed,
               "fit_clips": len(fit.dataset), "fit_fingerprint": fit.dataset.fingerprint(), "features_fingerprint": store.fingerprint}
    return checkpoint.ModelSpec(cfg.network, cfg.network_options, cfg.pooling, tuple(fit.dataset.labels), store.frontend,
                                tuple(mean.tolist()), tuple(std.tolist()), trained)


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
    lines += [f"{sum(p.numel() for p in network.parameters()):,} parameters, {spec.pooling} pooling, "
              f"{output.frame.shape[1]} frames of {seconds:g} s in 10 s, {len(spec.labels)} classes"]
    return "\n".join(lines)


def _read_sets(fit_set, valid_set, store):
    fit_data, valid_data = datadir.read(fit_set), datadir.read(valid_set)
    if fit_data.labels != valid_data.labels:
        raise InputError(f"{valid_set}: its labels.txt is not that of {fit_set}")
    shared = np.intersect1d(fit_data.filenames, valid_data.filenames)
    if len(shared):
        raise InputError(f"{valid_set}: shares {len(shared)} clips with {fit_set}: {datadir.first(shared.tolist())}")
    fit, valid = FeatureBatches(store, fit_data, fit_set), FeatureBatches(store, valid_data, valid_set)
    for batches, folder in ((fit, fit_set), (valid, valid_set)):
        if not len(batches.dataset.tag_clip):
            raise InputError(f"{folder}: none of its {len(batches.dataset)} clips has a tag: there is nothing to learn from")
        untagged = int((~batches.dataset.tag_matrix().any(axis=1)).sum())
        if batches.num_left_out:
            say(f"warning: {folder}: {batches.num_left_out} clips left out: their audio could not be read")
        if untagged:
            say(f"warning: {folder}: {untagged} clips without tags; they count as clips in which nothing occurs")
    return fit, valid


def run(fit_set, valid_set, model_dir, feats, config_path, overrides, overwrite, dry_run, device):
    """Train a system, or go on with its training; `dry_run` prints the network and stops."""
    model_dir = Path(model_dir)
    cfg = config.load(TrainConfig, config_path, overrides)
    store = FeatureStore(feats)
    fit, valid = _read_sets(fit_set, valid_set, store)
    statistics = store.statistics(fit.rows)
    spec = _spec(cfg, store, fit, statistics)
    torch.manual_seed(cfg.seed)
    options = {"num_mels": store.frontend["num_mels"], **cfg.network_options}
    spec = dataclasses.replace(spec, network_options=options)
    network = spec.build()
    if dry_run:
        print(describe(network, spec))
        return
    device = inference.pick_device(device)
    with locking(model_dir / "checkpoints" / ".lock"):
        _train(cfg, spec, network, fit, valid, statistics, store, model_dir, overwrite, device)


def _train(cfg, spec, network, fit, valid, statistics, store, model_dir, overwrite, device):
    """Train, or go on, in a model directory that is this process's alone, and write the model."""
    resolved = {**config.to_mapping(cfg), "features_fingerprint": store.fingerprint,
                "fit_fingerprint": fit.dataset.fingerprint(), "valid_fingerprint": valid.dataset.fingerprint()}
    if overwrite:
        for old in [*checkpoints(model_dir), *(model_dir / n for n in ("model.yaml", "model.safetensors", "config.yaml", "train.log"))]:
            old.unlink(missing_ok=True)
    trainer = Trainer(cfg, network, fit, valid, statistics, device, teller(model_dir))
    resume(trainer, model_dir, resolved)
    write_text(model_dir / "config.yaml", config.to_yaml(resolved))
    while not trainer.finished:
        trainer.run_to_checkpoint()
        save(trainer, model_dir)
    spec = dataclasses.replace(spec, trained={**spec.trained, "step": trainer.best[1], cfg.select_by: abs(trainer.best[0])})
    checkpoint.save_model(model_dir, spec, trainer.best_tensors)
    print(f"{model_dir}: the model is batch {trainer.best[1]} of {trainer.step}, valid {cfg.select_by} {abs(trainer.best[0]):.4f}")
