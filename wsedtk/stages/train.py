"""train: tagged clips and their features -> a model directory.

B clips, T frames, F mel bins, K classes.
"""

import contextlib
import dataclasses
import os
from pathlib import Path

import numpy as np
import torch

from wsedtk import models
from wsedtk.core import config
from wsedtk.core.atomic import locking
from wsedtk.core.errors import InputError
from wsedtk.core.progress import say
from wsedtk.data.store import FeatureStore
from wsedtk.models import checkpoint
from wsedtk.report import model_card
from wsedtk.training import distributed, preparation, resuming
from wsedtk.training.train_config import TrainConfig
from wsedtk.training.training_loop import Trainer, augmentation_of


def run(
    fit_set,
    valid_set,
    model_dir,
    feats,
    config_path,
    overrides,
    init_dir,
    overwrite,
    dry_run,
    device,
    cache=False,
):
    """Train a system, or go on with its training; `dry_run` prints the network and stops; `cache` keeps all features in memory."""
    with distributed.joining(device) as group:
        _run(
            fit_set,
            valid_set,
            model_dir,
            feats,
            config_path,
            overrides,
            init_dir,
            overwrite,
            dry_run,
            device,
            cache,
            group,
        )


def _run(
    fit_set,
    valid_set,
    model_dir,
    feats,
    config_path,
    overrides,
    init_dir,
    overwrite,
    dry_run,
    device,
    cache,
    group,
):
    model_dir = Path(model_dir)
    cfg = config.load(TrainConfig, config_path, overrides)
    store = FeatureStore(feats)
    fit, valid = preparation.read_sets(fit_set, valid_set, store)
    if cfg.frame_loss_weight and (fit.dataset.events is None or not len(fit.dataset.events)):
        raise InputError(f"{fit_set}: has no events, which frame_loss_weight needs")
    if group.size > min(cfg.batch_size, len(valid.dataset)):
        raise InputError(
            f"{group.size} processes can't share out the {len(valid.dataset)} clips of {valid_set}, or a batch of "
            f"{cfg.batch_size}; train in fewer"
        )
    spec = preparation.model_spec(cfg, store, fit, store.statistics(fit.rows))
    torch.manual_seed(cfg.seed)
    network = spec.build()
    models.check(network, spec.network, spec.frontend["num_mels"], len(spec.labels))
    preparation.check_groups(network, int(store.num_frames[fit.rows].max()), fit_set)
    augmentation_of(
        cfg,
        spec.frontend_config().seconds_per_frame,
        network.time_reduction,
        spec.frontend["num_mels"],
    )
    if init_dir is not None:
        spec = preparation.initialise(network, spec, init_dir)
    if dry_run:
        print(preparation.describe(network, spec))
        return
    os.environ.setdefault(
        "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
    )  # read when CUDA starts; without it sums differ from run to run
    device = group.device(device)
    if device.type == "cuda":
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False
    if (model_dir / "clips.tsv").exists():
        raise InputError(f"{model_dir}: holds a data set; name another folder for the model")
    with (
        locking(model_dir / "checkpoints" / ".lock")
        if group.rank == 0
        else contextlib.nullcontext()
    ):
        _train(cfg, spec, network, fit, valid, store, model_dir, overwrite, device, cache, group)


def _train(cfg, spec, network, fit, valid, store, model_dir, overwrite, device, cache, group):
    """Train, or go on, in a model directory that is this training's alone, and write the model."""
    rows = np.concatenate([fit.rows, valid.rows])
    resolved = {
        **config.to_mapping(cfg),
        "init": spec.trained.get("init"),
        "features_fingerprint": store.fingerprint,
        "fit_fingerprint": spec.trained["fit_fingerprint"],
        "valid_fingerprint": valid.dataset.fingerprint(),
        "content_fingerprint": store.content_fingerprint(rows),
        "made_by": {**preparation.made_by(), "device": device.type},
    }
    if group.size > 1:
        resolved["processes"] = group.size
        resuming.check_same_inputs(group, resolved)
    if group.rank:  # the weights are drawn; dropout is to be each process's own
        torch.manual_seed(int(np.random.default_rng((cfg.seed, 5, group.rank)).integers(2**63)))
    seconds_per_frame = spec.frontend_config().seconds_per_frame
    trainer = Trainer(
        cfg,
        network,
        fit,
        valid,
        (spec.mean, spec.std),
        seconds_per_frame,
        device,
        say if group.rank else resuming.teller(model_dir),
        group,
    )
    state = group.first(lambda: resuming.begin(trainer, model_dir, resolved, overwrite))
    if state is not None:
        if group.rank:
            trainer.restore(state)
        if not trainer.finished:
            resuming.set_threads(trainer)
    if cache and not trainer.finished:
        store.cache(rows)
    resuming.train_to_the_end(trainer, model_dir)
    if group.rank:
        return
    spec = dataclasses.replace(
        spec,
        trained={
            **spec.trained,
            "fit": model_card.facts(fit.dataset),
            "valid": model_card.facts(valid.dataset),
            **spec.size(network),
            "step": trainer.best[1],
            cfg.select_by: abs(trainer.best[0]),
        },
    )
    checkpoint.save_model(model_dir, spec, trainer.best_tensors)
    model_card.refresh(model_dir)
    print(
        f"{model_dir}: the model is batch {trainer.best[1]} of {trainer.step}, valid {cfg.select_by} {abs(trainer.best[0]):.4f}"
    )
