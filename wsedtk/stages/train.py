"""train: tagged clips and their features -> a model directory.

B clips, T frames, F mel bins, K classes.
"""

import contextlib
import dataclasses
import os
import platform
import re
import signal
import time
from pathlib import Path

import numpy as np
import torch

from wsedtk import models
from wsedtk.core import config, provenance
from wsedtk.core.atomic import locking, write_text
from wsedtk.core.errors import InputError, NotFinished
from wsedtk.core.progress import say
from wsedtk.core.signals import noted
from wsedtk.data import clip_sets, datadir, tables
from wsedtk.data.store import FeatureStore
from wsedtk.models import checkpoint
from wsedtk.report import model_card
from wsedtk.training import distributed, tensorboard
from wsedtk.training.batching import FeatureBatches
from wsedtk.training.training_loop import TrainConfig, Trainer, augmentation_of

HISTORY = ("step", "train_loss", "valid_loss", "valid_f1", "valid_map", "learning_rate", "seconds")
HOUSEKEEPING = (
    "keep_checkpoints",
    "resume_seconds",
    "made_by",
)  # in config.yaml, but nothing that a result depends on
_MEANING = {
    "content_fingerprint": ", that is other features",
    "features_fingerprint": ", that is another front end",
    "fit_fingerprint": ", that is another FIT_SET",
    "valid_fingerprint": ", that is another VALID_SET",
    "init": ", the --init",
}


def teller(folder):
    """A `say` that also adds its line, with the time, to the model directory's train.log."""

    def tell(message):
        say(message)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with open(
                folder / "train.log", "a", encoding="utf-8", errors="backslashreplace"
            ) as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {message}\n")
        except OSError as error:
            raise InputError(
                f"{folder / 'train.log'}: can't be written: {error.strerror}"
            ) from error

    return tell


def _number(path):
    """What orders checkpoints: the batches trained, and at the same batch what follows validation comes later."""
    return int(path.stem.removeprefix("step").removeprefix("resume")), path.stem.startswith("step")


def checkpoints(folder):
    """The files of a model directory to go on from, newest first: step*.pt of validations, resume*.pt between them."""
    found = (
        path
        for path in (Path(folder) / "checkpoints").glob("*.pt")
        if re.fullmatch(r"(step|resume)\d+\.pt", path.name)
    )
    return sorted(found, key=_number, reverse=True)


def _write_history(trainer, folder):
    lines = ["\t".join(HISTORY)] + [
        "\t".join(f"{v:.6g}" if isinstance(v, float) else str(v) for v in row)
        for row in trainer.history
    ]
    write_text(folder / "history.tsv", "\n".join(lines) + "\n")


def save(trainer, folder, kind="step"):
    """Write a checkpoint and history.tsv, and remove checkpoints that are no longer needed. kind: step, or resume between validations.

    All processes are to call it.
    """
    state = trainer.state()
    trainer.group.first(lambda: _write(state, trainer, folder, kind))


def _write(state, trainer, folder, kind):
    written = folder / "checkpoints" / f"{kind}{trainer.step:08d}.pt"
    checkpoint.save_checkpoint(written, state)
    _write_history(trainer, folder)
    found = checkpoints(folder)
    steps = [
        path for path in found if path.stem.startswith("step") and _number(path)[0] <= trainer.step
    ]  # else it was damaged
    best = [path for path in steps if trainer.best and _number(path)[0] == trainer.best[1]]
    for old in {*found} - {written, *steps[: trainer.cfg.keep_checkpoints], *best}:
        old.unlink(missing_ok=True)


def _text(made_by):
    return (
        ", ".join(f"{k} {v}" for k, v in made_by.items())
        if isinstance(made_by, dict)
        else "an older wsedtk"
    )


def _check_same_training(folder, resolved):
    """Raise InputError where a model directory holds the training of something else."""
    previous = config.read_yaml(folder / "config.yaml")
    previous = previous if isinstance(previous, dict) else {}
    processes, here = (settings.get("processes", 1) for settings in (previous, resolved))
    if processes != here:
        raise InputError(
            f"{folder}: its training goes on in as many processes as it began in: {processes} there, {here} here (torchrun "
            "--nproc-per-node, times --nnodes; without torchrun 1); give as many, choose another directory, or --overwrite "
            "to train it anew"
        )
    odd = [
        f"{k}: {previous.get(k)!r} there, {resolved.get(k)!r} here{_MEANING.get(k, '')}"
        for k in dict.fromkeys([*resolved, *previous])
        if k not in HOUSEKEEPING and previous.get(k) != resolved.get(k)
    ]
    if odd:
        raise InputError(
            f"{folder}: holds a model trained with other settings ({'; '.join(odd)}); "
            "choose another directory, or --overwrite to train it anew"
        )
    before, now = previous.get("made_by"), resolved["made_by"]
    if before != now:
        say(
            f"warning: {folder}: was begun by {_text(before)}, and goes on by {_text(now)}: the result may differ in the last digits"
        )


def _check_same_inputs(group, resolved):
    """Raise InputError where processes, on other machines say, would train on something else than rank 0."""
    first, *others = group.gather(resolved)
    for rank, other in enumerate(others, 1):
        odd = [
            f"{k}: {first.get(k)!r} in rank 0, {other.get(k)!r} in rank {rank}"
            for k in first
            if first[k] != other.get(k)
        ]
        if odd:
            raise InputError(
                f"the processes of this training do not have the same before them ({'; '.join(odd)}); give all of them the "
                "same command, files and installation"
            )


def _set_threads(trainer):
    """Compute with as many threads as before, on which the last bits depend, but where the user says otherwise."""
    threads = trainer.threads
    if threads == torch.get_num_threads():
        return
    if "OMP_NUM_THREADS" in os.environ:
        trainer.tell(
            f"train: with {torch.get_num_threads()} threads, {threads} before: the result may differ in the last digits"
        )
    else:
        trainer.tell(
            f"train: with {threads} threads, as before ({torch.get_num_threads()} here; OMP_NUM_THREADS sets another number)"
        )
        torch.set_num_threads(threads)


def resume(trainer, folder, resolved):
    """Restore the newest whole checkpoint, and return its state; None where there is none.

    Raises InputError where the directory holds the training of something else.
    """
    if not (folder / "config.yaml").exists():
        if (folder / "model.yaml").exists():
            raise InputError(
                f"{folder}: holds a model that was not trained there; choose another directory, or --overwrite it "
                "(to go on from it, give it as --init)"
            )
        return None
    _check_same_training(folder, resolved)
    found = checkpoints(folder)
    for path in found:
        try:
            state = checkpoint.load_checkpoint(path)
            trainer.restore(state)
        except torch.cuda.OutOfMemoryError:
            raise
        except (InputError, KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = (
                error
                if isinstance(error, InputError)
                else f"{path}: is not a checkpoint of this training ({error})"
            )
            trainer.tell(f"train: {reason}; going back to the checkpoint before")
            continue
        if trainer.finished:
            trainer.tell(f"{folder}: training is done")
        else:
            trainer.tell(f"train: going on from batch {trainer.step}")
        _write_history(trainer, folder)
        return state
    if found:
        raise InputError(
            f"{folder}: none of its {len(found)} checkpoints can be gone on from; --overwrite trains anew"
        )
    return None


def _made_by():
    return {
        **provenance.made_by(),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }


def _spec(cfg, store, fit, statistics):
    mean, std = (
        v.astype(np.float32) for v in statistics
    )  # as the network gets them: the last digits depend on the order of the files
    longest = (
        int(store.num_frames[fit.rows].max())
        * store.frontend["hop"]
        / store.frontend["sample_rate"]
    )
    trained = {
        **_made_by(),
        "seed": cfg.seed,
        "clip_seconds": longest,
        "fit_clips": len(fit.dataset),
        "fit_clips_fingerprint": clip_sets.fingerprint_clips(fit.dataset.filenames),
        "fit_fingerprint": fit.dataset.fingerprint(),
        "features_fingerprint": store.fingerprint,
    }
    options = {"num_mels": store.frontend["num_mels"], **cfg.network_options}
    if options["num_mels"] != store.frontend["num_mels"]:
        raise InputError(
            f"network_options: num_mels {options['num_mels']!r}: the features have {store.frontend['num_mels']}; leave it out"
        )
    return checkpoint.ModelSpec(
        cfg.network,
        options,
        cfg.pooling,
        tuple(fit.dataset.labels),
        store.frontend,
        tuple(mean.tolist()),
        tuple(std.tolist()),
        cfg.hierarchy,
        cfg.groups,
        trained,
    )


def describe(network, spec):
    """The layers with parameters and output shapes for ten seconds, and the time resolution, as text."""
    frontend = spec.frontend_config()
    rows, hooks = [], []
    for name, module in network.named_modules():
        if name and not list(module.children()):

            def note(module, _, output, name=name):
                shape = getattr(output[0] if isinstance(output, tuple) else output, "shape", "")
                rows.append(
                    (
                        name,
                        type(module).__name__,
                        "x".join(map(str, shape)),
                        sum(p.numel() for p in module.parameters()),
                    )
                )

            hooks.append(module.register_forward_hook(note))
    with torch.inference_mode():
        output = network.eval()(
            torch.zeros(1, round(10 / frontend.seconds_per_frame), frontend.num_mels)
        )
    for hook in hooks:
        hook.remove()
    seconds = frontend.seconds_per_frame * network.time_reduction
    lines = [f"{'layer':16} {'kind':12} {'output for 10 s':>18} {'parameters':>11}"]
    lines += [f"{name:16} {kind:12} {shape:>18} {count:11,}" for name, kind, shape, count in rows]
    hierarchy = f", hierarchy {spec.hierarchy} {list(spec.groups)}" if spec.hierarchy else ""
    lines += [
        f"{sum(p.numel() for p in network.parameters()):,} parameters, {spec.pooling} pooling{hierarchy}, "
        f"{output.frame.shape[1]} frames of {seconds:g} s in 10 s, {len(spec.labels)} classes"
    ]
    return "\n".join(lines)


def _check_groups(network, num_frames, fit_set):
    """Raise InputError where one group holds the longest clip, of so many feature frames.

    See `Pooling.has_constant_weights`.
    """
    pooling, num_frames = network.pooling, max(1, num_frames // network.time_reduction)
    if pooling.has_constant_weights(num_frames):
        what = "product" if pooling.hierarchy == "published-all" else "first"
        raise InputError(
            f"groups {list(pooling.groups)}: one group holds all {num_frames} output frames of the "
            f"longest clip of {fit_set}, so that no gradient reaches the weights of "
            f"{pooling.method} pooling with hierarchy {pooling.hierarchy}; give groups whose "
            f"{what} is smaller than {num_frames}, or hierarchy plain"
        )


def _read_sets(fit_set, valid_set, store):
    fit_data, valid_data = datadir.read(fit_set), datadir.read(valid_set)
    if fit_data.labels != valid_data.labels:
        raise InputError(f"{valid_set}: its labels.txt is not that of {fit_set}")
    shared = np.intersect1d(fit_data.filenames, valid_data.filenames)
    if len(shared):
        raise InputError(
            f"{valid_set}: shares {len(shared)} clips with {fit_set}: {tables.first(shared.tolist())}"
        )
    fit, valid = (
        FeatureBatches(store, fit_data, fit_set),
        FeatureBatches(store, valid_data, valid_set),
    )
    for batches, folder in ((fit, fit_set), (valid, valid_set)):
        if not len(batches.dataset.tag_clip):
            raise InputError(
                f"{folder}: none of its {len(batches.dataset)} clips has a tag: there is nothing to learn from"
            )
        untagged = len(batches.dataset.clips_of_classes()[-1])
        if batches.num_left_out:
            say(
                f"warning: {folder}: {batches.num_left_out} clips left out: their audio could not be read"
            )
        if untagged:
            say(
                f"warning: {folder}: {untagged} clips without tags; they count as clips in which nothing occurs"
            )
    return fit, valid


def _outputs(spec):
    """The names of a network's output tensors: those whose shape depends on the number of classes."""
    tensors, wider = (
        spec.build().state_dict(),
        dataclasses.replace(spec, labels=(*spec.labels, "")).build().state_dict(),
    )
    return {name for name, tensor in tensors.items() if wider[name].shape != tensor.shape}


def initialise(network, spec, init_dir):
    """Copy the weights of a model directory into a network of the same kind, and take its statistics.

    Of the output layer only what both have is copied, and that where the classes are the same, in the same order; the rest stays
    fresh. Returns the ModelSpec with the model's statistics. Raises InputError where front end or network do not fit.
    """
    found, source, fingerprint = checkpoint.load_model(init_dir, spec.network)
    if found.frontend != spec.frontend:
        raise InputError(
            f"{init_dir}: trained on another front end; extract the features with its own (model.yaml: frontend)"
        )
    what = f"{init_dir}: is {found.network} {found.network_options}, not the network of this configuration"
    if found.network != spec.network or source.time_reduction != network.time_reduction:
        raise InputError(f"{what}, {spec.network} {spec.network_options}")
    theirs, mine = source.state_dict(), network.state_dict()
    generator = torch.get_rng_state()
    outputs, their_outputs = _outputs(spec), _outputs(found)
    torch.set_rng_state(generator)
    kept = {name for name in outputs & their_outputs if found.labels == spec.labels}
    tensors = {
        name: tensor for name, tensor in theirs.items() if name not in their_outputs or name in kept
    }
    fresh = {name: mine[name] for name in mine if name in outputs - kept}
    if fresh:
        why = "" if found.labels == spec.labels else "its classes are others, or in another order: "
        say(f"{init_dir}: {why}{', '.join(fresh)} start afresh")
    checkpoint.check_tensors({**tensors, **fresh}, mine, what)
    network.load_state_dict({**tensors, **fresh})
    return dataclasses.replace(
        spec, mean=found.mean, std=found.std, trained={**spec.trained, "init": fingerprint}
    )


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
    fit, valid = _read_sets(fit_set, valid_set, store)
    if cfg.frame_loss_weight and (fit.dataset.events is None or not len(fit.dataset.events)):
        raise InputError(f"{fit_set}: has no events, which frame_loss_weight needs")
    if group.size > min(cfg.batch_size, len(valid.dataset)):
        raise InputError(
            f"{group.size} processes can't share out the {len(valid.dataset)} clips of {valid_set}, or a batch of "
            f"{cfg.batch_size}; train in fewer"
        )
    spec = _spec(cfg, store, fit, store.statistics(fit.rows))
    torch.manual_seed(cfg.seed)
    network = spec.build()
    models.check(network, spec.network, spec.frontend["num_mels"], len(spec.labels))
    _check_groups(network, int(store.num_frames[fit.rows].max()), fit_set)
    augmentation_of(
        cfg,
        spec.frontend_config().seconds_per_frame,
        network.time_reduction,
        spec.frontend["num_mels"],
    )
    if init_dir is not None:
        spec = initialise(network, spec, init_dir)
    if dry_run:
        print(describe(network, spec))
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


def _begin(trainer, folder, resolved, overwrite):
    """Have the model directory hold this training, and go back to its newest checkpoint. Returns its state, or None."""
    if overwrite:
        names = ("model.yaml", "model.safetensors", "config.yaml", "train.log", "history.tsv")
        for old in [*checkpoints(folder), *(folder / name for name in names)]:
            old.unlink(missing_ok=True)
        tensorboard.remove(folder / "tensorboard")
    state = resume(trainer, folder, resolved)
    write_text(folder / "config.yaml", config.to_yaml(resolved))
    return state


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
        "made_by": {**_made_by(), "device": device.type},
    }
    if group.size > 1:
        resolved["processes"] = group.size
        _check_same_inputs(group, resolved)
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
        say if group.rank else teller(model_dir),
        group,
    )
    state = group.first(lambda: _begin(trainer, model_dir, resolved, overwrite))
    if state is not None:
        if group.rank:
            trainer.restore(state)
        if not trainer.finished:
            _set_threads(trainer)
    if cache and not trainer.finished:
        store.cache(rows)
    _train_to_the_end(trainer, model_dir)
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


def _train_to_the_end(trainer, model_dir):
    """Train, saving what is needed to go on: at each checkpoint, every `resume_seconds`, and at a signal, which raises NotFinished."""
    saved = time.monotonic()
    with (
        noted() as signals,
        contextlib.closing(tensorboard.Scalars(model_dir / "tensorboard")) as points,
    ):

        def after_batch():
            nonlocal saved
            seconds, number = trainer.group.highest(
                [time.monotonic() - saved, signal.Signals[signals[0]] if signals else 0]
            )
            if number or seconds >= trainer.cfg.resume_seconds:
                save(trainer, model_dir, "resume")
                saved = time.monotonic()
            if number:
                name = signal.Signals(int(number)).name
                raise NotFinished(
                    f"{model_dir}: stopped by {name} at batch {trainer.step}; give the same command again to go on"
                )

        while not trainer.finished:
            trainer.run_to_checkpoint(after_batch)
            step, *values = trainer.history[
                -1
            ]  # before the checkpoint is saved: of what is gone on from no point is then missing
            trainer.group.first(lambda: points.write(step, dict(zip(HISTORY[1:], values))))
            save(trainer, model_dir)
            saved = time.monotonic()
