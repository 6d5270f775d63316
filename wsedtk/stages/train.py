"""train: tagged clips and their features -> a model directory."""

import contextlib
import dataclasses
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from wsedtk.core import config
from wsedtk.core.atomic import locking
from wsedtk.core.errors import InputError, NotFinished
from wsedtk.core.signals import StopSignals, unhandled
from wsedtk.data.store import FeatureStore
from wsedtk.inference import network_runner, tuning_commands
from wsedtk.models import checkpoint
from wsedtk.models.checkpoint import ModelSpec
from wsedtk.models.layers import Network
from wsedtk.models.network import check_network
from wsedtk.models.ready_directories import find_model_directory
from wsedtk.report import model_card
from wsedtk.stages.options.systems import TrainOptions
from wsedtk.training import (
    augmentations,
    distributed,
    frozen_frames,
    initial_model,
    preparation,
    process_settings,
    resuming,
    training_sets,
)
from wsedtk.training.distributed import Group
from wsedtk.training.resuming import Checkpoint
from wsedtk.training.train_config import TrainConfig
from wsedtk.training.training_loop import Trainer
from wsedtk.training.training_sets import TrainingSets

_LOG = logging.getLogger(__name__)


_RUNNING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """The result of `run`: a finished training run.

    Attributes
    ----------
    model_dir : Path
        The model directory.
    history : tuple of Checkpoint
        The losses and metric values of all checkpoints, in the order of training.
    best : Checkpoint
        The best checkpoint. Its weights are the weights of the model.
    select_by : {"loss", "f1", "map"}
        The validation loss or validation metric by which the best checkpoint was selected.
    was_done : bool
        Whether the run was already finished before this call.
    """

    model_dir: Path
    history: tuple[Checkpoint, ...]
    best: Checkpoint
    select_by: str
    was_done: bool

    @property
    def best_figure(self) -> float:
        """The validation loss, F1 or MAP of the best checkpoint, as `select_by` determines."""
        figures = {
            "loss": self.best.valid_loss,
            "f1": self.best.valid_f1,
            "map": self.best.valid_map,
        }
        return figures[self.select_by]


@dataclasses.dataclass(frozen=True)
class _Prepared:
    """The checked inputs of a training run, and the network with its initial weights."""

    cfg: TrainConfig
    store: FeatureStore
    sets: TrainingSets
    spec: ModelSpec
    network: Network
    messages: list[str]

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """The rows of the store that contain the clips of all sets."""
        return np.concatenate([self.sets.fit.rows, self.sets.valid.rows])


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Raise InputError if another training run is active in this process.

    Two runs would use the same random number generators.
    """
    if not _RUNNING.acquire(blocking=False):
        raise InputError(
            "another training run is active in this process; wait until it ends, or start another "
            "process"
        )
    try:
        yield
    finally:
        _RUNNING.release()


def describe(options: TrainOptions) -> str:
    """Check the inputs of a training run, and return the layers of its network as text."""
    with (
        _alone(),
        process_settings.restored(),
        distributed.joining(options.device, unhandled) as group,
    ):
        prepared = _prepare(options, group)
        for message in prepared.messages:
            _LOG.info(message)
        text: str = preparation.describe(prepared.network, prepared.spec)
        return text


def run(options: TrainOptions, *, stop_signals: StopSignals = unhandled) -> TrainResult:
    """Train a network on tagged clips, or resume its training, as `wsedtk train` does.

    Nothing is printed. The logger `wsedtk` logs warnings at the level WARNING and progress at the
    level INFO. Progress is also written to train.log in the model directory. At the end, PyTorch's
    settings, its random state and the environment are restored. Only one training run can be active
    in a process at a time, even if the process has several threads.

    An exception such as KeyboardInterrupt ends a training run. If `run` is called again with the
    same options, it resumes the training run from the last saved state. If `overwrite` is set, it
    starts a new training run instead. The state is saved at each checkpoint, and between
    checkpoints at intervals of `resume_seconds`, a setting of the configuration.

    Parameters
    ----------
    options : TrainOptions
        The inputs, the output and the settings.
    stop_signals : callable, optional
        Returns a context manager that yields a list. When the name of a signal, such as "SIGTERM",
        is appended to the list, the state is saved and NotFinished is raised. By default, no signal
        is handled.

    Returns
    -------
    TrainResult

    Raises
    ------
    InputError
        If an input is missing or wrong, if the model directory contains another training run or a
        data set, or if another training run is active in this process.
    NotFinished
        If a signal stopped the training.

    Examples
    --------
    >>> options = wsedtk.TrainOptions("data/fit", "data/valid", "exp/linear", "feats/train.h5")
    >>> result = wsedtk.train(options)
    >>> result.best.valid_f1
    """
    with (
        _alone(),
        process_settings.restored(),
        distributed.joining(options.device, stop_signals) as group,
    ):
        prepared = _prepare(options, group)
        device = group.device(options.device)
        model_dir = Path(options.model_dir)
        if (model_dir / "clips.tsv").exists():
            raise InputError(
                f"{model_dir}: contains a data set; choose another folder for the model"
            )
        lock: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        if group.rank == 0:
            lock = locking(model_dir / "checkpoints" / ".lock")
        with lock, process_settings.reproducible(device, prepared.cfg.seed):
            return _train(options, prepared, device, group, stop_signals)


def _prepare(options: TrainOptions, group: Group) -> _Prepared:
    """Read the inputs, and build the network with its initial weights.

    Raises InputError if an input is missing or wrong.
    """
    init_dir = None if options.init_dir is None else find_model_directory(options.init_dir)
    if init_dir is not None and os.path.realpath(init_dir) == os.path.realpath(options.model_dir):
        raise InputError(
            f"{options.model_dir}: is the initial model, and would be overwritten; choose another "
            "directory for the new model"
        )
    cfg = config.load(TrainConfig, options.config, options.settings)
    cfg = initial_model.with_network(cfg, init_dir)
    store = FeatureStore(options.feature_paths)
    sets = training_sets.read(
        options.fit_set, options.valid_set, options.added_sets, store, cfg.batch_size
    )
    fit, valid = sets.fit, sets.valid
    if cfg.frame_loss_weight and (fit.dataset.events is None or not len(fit.dataset.events)):
        raise InputError(
            f"{options.fit_set}: has no events, which frame_loss_weight needs; add events.tsv, or "
            "set frame_loss_weight to 0"
        )
    if group.size > min(cfg.batch_size, len(valid.dataset)):
        raise InputError(
            f"{group.size} processes need at least {group.size} clips in {options.valid_set} "
            f"(found {len(valid.dataset)}) and in a batch (found batch_size {cfg.batch_size}); "
            "start fewer processes"
        )
    spec = preparation.model_spec(cfg, store, sets, store.statistics(fit.rows))
    num_mels = spec.frontend["num_mels"]
    process_settings.seed_cpu(cfg.seed)
    network = spec.build()
    check_network(network, spec.network, num_mels, len(spec.labels))
    preparation.check_groups(network, int(store.num_frames[fit.rows].max()), options.fit_set)
    seconds_per_frame = spec.frontend_config().seconds_per_frame
    layout = augmentations.FeatureResolution(seconds_per_frame, network.time_reduction, num_mels)
    augmentations.create(cfg, layout)
    messages = list(sets.messages)
    if init_dir is not None:
        spec, more = initial_model.initialise(network, spec, init_dir)
        messages += more
        initial_model.warn_of_known_clips(init_dir, valid.dataset, options.valid_set)
    initial_model.freeze(network, cfg)
    return _Prepared(cfg, store, sets, spec, network, messages)


def _resolved(prepared: _Prepared, device: torch.device, group: Group) -> dict[str, Any]:
    """Return the content of config.yaml.

    It contains the settings, the fingerprints of the inputs, the versions of the software, and the
    type of the device. In a run with several processes, config.yaml also contains their number.
    """
    spec, store = prepared.spec, prepared.store
    resolved = {
        **config.to_mapping(prepared.cfg),
        "init": spec.trained.get("init"),
        "features_fingerprint": store.fingerprint,
        "fit_fingerprint": spec.trained["fit_fingerprint"],
        "valid_fingerprint": prepared.sets.valid.dataset.fingerprint(),
        "content_fingerprint": store.content_fingerprint(prepared.rows),
        "made_by": {**preparation.made_by(), "device": device.type},
    }
    if prepared.sets.added:
        resolved["added"] = [
            {"fingerprint": one.dataset.fingerprint(), "share": one.share}
            for one in prepared.sets.added
        ]
    if group.size > 1:
        resolved["processes"] = group.size
    return resolved


@network_runner.gpu_memory("train with a smaller batch_size (--set batch_size=N)")
def _train(
    options: TrainOptions,
    prepared: _Prepared,
    device: torch.device,
    group: Group,
    stop_signals: StopSignals,
) -> TrainResult:
    """Train a network, or resume its training, and write the model.

    The model directory must be locked.
    """
    cfg, spec, model_dir = prepared.cfg, prepared.spec, Path(options.model_dir)
    resolved = _resolved(prepared, device, group)
    if group.size > 1:
        resuming.check_same_inputs(group, resolved)
    if group.rank:  # all ranks have the same initial weights, but need different dropout masks
        torch.manual_seed(int(np.random.default_rng((cfg.seed, 5, group.rank)).integers(2**63)))
    trainer = Trainer(
        cfg,
        prepared.network,
        prepared.sets.fit,
        prepared.sets.valid,
        parts=prepared.sets.parts,
        statistics=(spec.mean, spec.std),
        seconds_per_frame=spec.frontend_config().seconds_per_frame,
        device=device,
        tell=_LOG.info if group.rank else resuming.teller(model_dir),
        group=group,
    )
    paths = tuning_commands.inputs(
        model_dir,
        [options.fit_set, *options.added_sets],
        options.valid_set,
        options.feature_paths,
    )
    written = {**resolved, tuning_commands.INPUTS: paths}
    state = group.first(lambda: resuming.begin(trainer, model_dir, written, options.overwrite))
    if state is None:
        if group.rank == 0:
            for message in prepared.messages:
                trainer.tell(message)
    else:
        if group.rank:
            trainer.restore(state)
        if not trainer.finished:
            resuming.set_threads(trainer)
    was_done = trainer.finished
    if options.cache and not was_done:
        prepared.store.cache(prepared.rows)
    if not was_done:
        _use_frozen_frames(trainer, prepared, resolved, model_dir, stop_signals)
    resuming.train_to_the_end(trainer, model_dir, stop_signals)
    frozen_frames.remove(model_dir / "checkpoints")
    result = _result(trainer, model_dir, was_done)
    if group.rank == 0:
        _write_model(prepared, trainer, result)
    return result


def _use_frozen_frames(
    trainer: Trainer,
    prepared: _Prepared,
    resolved: dict[str, Any],
    model_dir: Path,
    stop_signals: StopSignals,
) -> None:
    """If possible, run the frozen layers only once for each clip, and train on their outputs."""
    if not trainer.can_use_frozen_frames():
        return
    with stop_signals() as signals:

        def after_batch() -> None:
            if signals:
                raise NotFinished(
                    f"{model_dir}: stopped by {signals[0]} before the training began; to train, "
                    "run the same command again"
                )

        try:
            frames = frozen_frames.collect(
                trainer.runner,
                prepared.store,
                prepared.rows,
                folder=model_dir / "checkpoints",
                identity=config.fingerprint(resolved),
                after_batch=after_batch,
            )
        except frozen_frames.NotEnoughSpace as error:
            trainer.tell(
                f"train: the disk has not enough space for the outputs of the frozen layers "
                f"({error}); these layers are run again for each batch"
            )
            return
    trainer.use_frozen_frames(frames)


def _result(trainer: Trainer, model_dir: Path, was_done: bool) -> TrainResult:
    history = tuple(Checkpoint(*row) for row in trainer.history)
    assert trainer.best is not None  # a finished training run has a checkpoint
    _, best_step = trainer.best
    best = next(one for one in history if one.step == best_step)
    return TrainResult(model_dir, history, best, trainer.cfg.select_by, was_done)


def _write_model(prepared: _Prepared, trainer: Trainer, result: TrainResult) -> None:
    """Write the best weights and the model card to the model directory."""
    trained = {
        **prepared.spec.trained,
        "fit": model_card.facts(prepared.sets.own),
        "valid": model_card.facts(prepared.sets.valid.dataset),
        **prepared.spec.size(prepared.network),
        "step": result.best.step,
        result.select_by: result.best_figure,
    }
    if prepared.sets.added:
        trained["added"] = [
            {
                **model_card.facts(one.dataset),
                "share": one.share,
                "clips_of_batch": one.number,
                "fingerprint": one.dataset.fingerprint(),
            }
            for one in prepared.sets.added
        ]
    spec = dataclasses.replace(prepared.spec, trained=trained)
    assert trainer.best_tensors is not None  # a finished training run has a checkpoint
    checkpoint.save_model(result.model_dir, spec, trainer.best_tensors)
    model_card.refresh(result.model_dir)
