"""Save the checkpoints and the history of a training run, and resume it."""

import contextlib
import dataclasses
import logging
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch

from wsedtk.core import config, cores
from wsedtk.core.atomic import write_text
from wsedtk.core.errors import InputError, NotFinished
from wsedtk.core.paths import PathLike
from wsedtk.core.signals import StopSignals
from wsedtk.core.wording import counted
from wsedtk.models import checkpoint
from wsedtk.training import frozen_frames, tensorboard
from wsedtk.training.distributed import Group
from wsedtk.training.train_config import TrainConfig
from wsedtk.training.training_loop import Trainer

_LOG = logging.getLogger(__name__)


# Entries of config.yaml that may be different when a training run is resumed.
HOUSEKEEPING = ("keep_checkpoints", "resume_seconds", "made_by", "inputs")
_OTHER = {  # the texts for entries whose values a user can't read
    "content_fingerprint": "other values of the features",
    "features_fingerprint": "another front end",
    "fit_fingerprint": "another training set",
    "valid_fingerprint": "another validation set",
    "added": "other added sets or shares",
    "init": "another initial model",
}
_OVERWRITE = "choose another directory, or train from the start with overwrite (--overwrite)"


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The values of one checkpoint: a row of history.tsv.

    Attributes
    ----------
    step : int
        The number of batches since the start of the training run.
    train_loss : float
        The mean loss of the batches since the previous checkpoint.
    valid_loss, valid_f1, valid_map : float
        Loss, micro F1 at tuned thresholds, and mean average precision on the validation set.
    learning_rate : float
        The learning rate since the previous checkpoint.
    seconds : float
        The time in seconds that was spent on training since the previous checkpoint, and on the
        validation. Interruptions are not counted.
    """

    step: int
    train_loss: float
    valid_loss: float
    valid_f1: float
    valid_map: float
    learning_rate: float
    seconds: float


HISTORY = tuple(field.name for field in dataclasses.fields(Checkpoint))


def teller(folder: Path) -> Callable[[str], None]:
    """Return a function that logs a message, and appends it to train.log of a model directory."""

    def tell(message: str) -> None:
        _LOG.info(message)
        path = folder / "train.log"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {message}\n")
        except OSError as error:
            raise InputError(f"{path}: can't be written: {error.strerror}") from error

    return tell


def _number(path: Path) -> tuple[int, bool]:
    """Return a key that sorts checkpoints by time.

    Of two files with the same number, resume*.pt was written before step*.pt.
    """
    return int(path.stem.removeprefix("step").removeprefix("resume")), path.stem.startswith("step")


def checkpoints(folder: PathLike) -> list[Path]:
    """Return the checkpoints of a model directory, newest first.

    A file step*.pt is written after each validation. A file resume*.pt is written at other times.
    """
    found = [
        path
        for path in (Path(folder) / "checkpoints").glob("*.pt")
        if re.fullmatch(r"(step|resume)\d+\.pt", path.name)
    ]
    return sorted(found, key=_number, reverse=True)


def _write_history(trainer: Trainer, folder: Path) -> None:
    lines = ["\t".join(HISTORY)]
    for row in trainer.history:
        lines.append("\t".join(f"{v:.6g}" if isinstance(v, float) else str(v) for v in row))
    write_text(folder / "history.tsv", "\n".join(lines) + "\n")


def save(trainer: Trainer, folder: Path, kind: Literal["step", "resume"] = "step") -> None:
    """Write a checkpoint and history.tsv, and remove checkpoints that are no longer needed.

    All processes must call this function.

    Parameters
    ----------
    trainer : Trainer
        The training run.
    folder : Path
        The model directory of the training run.
    kind : {"step", "resume"}
        "step" after a validation, "resume" at other times.
    """
    state = trainer.state()
    trainer.group.first(lambda: _write(state, trainer, folder, kind))


def _write(state: dict[str, Any], trainer: Trainer, folder: Path, kind: str) -> None:
    written = folder / "checkpoints" / f"{kind}{trainer.step:08d}.pt"
    checkpoint.save_checkpoint(written, state)
    _write_history(trainer, folder)
    found = checkpoints(folder)
    # Checkpoints of later steps are removed, because this run was not resumed from them.
    steps = [p for p in found if p.stem.startswith("step") and _number(p)[0] <= trainer.step]
    best = [path for path in steps if trainer.best and _number(path)[0] == trainer.best[1]]
    for old in {*found} - {written, *steps[: trainer.cfg.keep_checkpoints], *best}:
        old.unlink(missing_ok=True)


def _versions(made_by: object) -> str:
    if not isinstance(made_by, dict):
        return "an older wsedtk"
    return ", ".join(f"{name} {version}" for name, version in made_by.items())


def _check_same_training(folder: Path, resolved: dict[str, Any]) -> None:
    """Raise InputError if the training run of a model directory has different settings.

    The settings `keep_checkpoints` and `resume_seconds` may be different. Log a warning if the
    versions of the software or the type of the device are different.
    """
    # A setting that is missing in config.yaml did not exist when the run began: use its default.
    previous = config.to_mapping(TrainConfig())
    content = config.read_yaml(folder / "config.yaml")
    if isinstance(content, dict):
        previous.update(content)
    before, here = (settings.get("processes", 1) for settings in (previous, resolved))
    if before != here:
        raise InputError(
            f"{folder}: the number of processes was {before} when the training began, but is "
            f"{here} now; use the earlier number (--nproc-per-node times --nnodes of torchrun, or "
            f"1 without torchrun), {_OVERWRITE}"
        )
    odd = [
        _OTHER.get(k, f"{k}: {previous.get(k)!r} before, {resolved.get(k)!r} now")
        for k in dict.fromkeys([*resolved, *previous])
        if k not in HOUSEKEEPING and previous.get(k) != resolved.get(k)
    ]
    if odd:
        raise InputError(
            f"{folder}: contains a training run with other settings ({'; '.join(odd)}); "
            f"{_OVERWRITE}"
        )
    if previous.get("made_by") != resolved["made_by"]:
        _LOG.warning(
            f"{folder}: the training began with {_versions(previous.get('made_by'))}, and is "
            f"resumed with {_versions(resolved['made_by'])}; the last digits of the result may "
            "differ"
        )


def check_same_inputs(group: Group, resolved: dict[str, Any]) -> None:
    """Check that all processes train on the same inputs.

    Parameters
    ----------
    group : Group
        The processes.
    resolved : dict
        The content of config.yaml in this process.

    Raises
    ------
    InputError
        If the content differs between processes.
    """
    first, *others = group.gather(resolved)
    for rank, other in enumerate(others, 1):
        odd = [
            f"{k}: {first.get(k)!r} in rank 0, {other.get(k)!r} in rank {rank}"
            for k in first
            if first[k] != other.get(k)
        ]
        if odd:
            raise InputError(
                f"the processes of this run have different inputs ({'; '.join(odd)}); start "
                "all processes with the same command, files and installation"
            )


def set_threads(trainer: Trainer) -> None:
    """Use the number of threads that the training run used before it was interrupted.

    The last digits of the result depend on the number of threads. The number is not changed if the
    user has set the environment variable OMP_NUM_THREADS, or if the earlier number of threads is
    larger than the number of cores that this process may use.
    """
    threads, here, num_cores = trainer.threads, torch.get_num_threads(), cores.usable_cores()
    if threads == here:
        return
    if cores.user_sets_threads():
        trainer.tell(
            f"train: the number of threads is {here} (OMP_NUM_THREADS), but was {threads} before; "
            "the last digits of the result may differ"
        )
    elif threads > num_cores:
        trainer.tell(
            f"train: the number of threads was {threads} before, but is {here} now, because only "
            f"{counted(num_cores, 'core')} can be used; the last digits of the result may differ "
            f"(set OMP_NUM_THREADS={threads} to use as many threads as before)"
        )
    else:
        trainer.tell(
            f"train: the number of threads is {threads}, as before (default {here}; "
            "set OMP_NUM_THREADS to use another number)"
        )
        torch.set_num_threads(threads)


def resume(trainer: Trainer, folder: Path, resolved: dict[str, Any]) -> dict[str, Any] | None:
    """Restore the newest undamaged checkpoint of a model directory.

    Parameters
    ----------
    trainer : Trainer
        The training run.
    folder : Path
        Its model directory.
    resolved : dict
        The content of config.yaml for this training run.

    Returns
    -------
    dict or None
        The state of the checkpoint. None if there is no checkpoint or no config.yaml.

    Raises
    ------
    InputError
        If the directory contains a training run with other settings, if it contains a model but no
        training run, or if it contains checkpoints, but none of them can be restored.
    """
    if not (folder / "config.yaml").exists():
        if (folder / "model.yaml").exists():
            raise InputError(
                f"{folder}: contains a model, but no training run; {_OVERWRITE}; to start from the "
                f"weights of this model, choose another directory, and give {folder} as init_dir "
                "(--init)"
            )
        return None
    _check_same_training(folder, resolved)
    found = checkpoints(folder)
    for path in found:
        state = _restore(trainer, path)
        if state is None:
            continue
        if trainer.finished:
            trainer.tell(f"{folder}: training is finished")
        else:
            trainer.tell(f"train: resuming from batch {trainer.step}")
        _write_history(trainer, folder)
        return state
    if found:
        raise InputError(
            f"{folder}: training can't be resumed from any checkpoint (number of checkpoints: "
            f"{len(found)}); {_OVERWRITE}"
        )
    return None


def _restore(trainer: Trainer, path: Path) -> dict[str, Any] | None:
    """Restore a checkpoint and return its state.

    If the checkpoint is damaged or does not fit the training run, log the reason and return None.
    """
    try:
        state: dict[str, Any] = checkpoint.load_checkpoint(path)
        trainer.restore(state)
        return state
    except torch.cuda.OutOfMemoryError:
        raise
    except InputError as error:
        reason = str(error)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = f"{path}: is not a checkpoint of this training run, or is damaged ({error})"
    trainer.tell(f"train: {reason}; this checkpoint is skipped")
    return None


def begin(
    trainer: Trainer, folder: Path, resolved: dict[str, Any], overwrite: bool
) -> dict[str, Any] | None:
    """Begin a training run in a model directory, or resume it.

    Parameters
    ----------
    trainer : Trainer
        The training run.
    folder : Path
        Its model directory.
    resolved : dict
        The content of config.yaml for this training run.
    overwrite : bool
        Whether to remove a training run or model that the directory contains.

    Returns
    -------
    dict or None
        The state from which the run is resumed. None for a new run.

    Raises
    ------
    InputError
        See `resume`.
    """
    if overwrite:
        names = ("model.yaml", "model.safetensors", "config.yaml", "train.log", "history.tsv")
        for old in [*checkpoints(folder), *(folder / name for name in names)]:
            old.unlink(missing_ok=True)
        tensorboard.remove(folder / "tensorboard")
        frozen_frames.remove(folder / "checkpoints")
    state = resume(trainer, folder, resolved)
    write_text(folder / "config.yaml", config.to_yaml(resolved))
    return state


def train_to_the_end(trainer: Trainer, model_dir: Path, stop_signals: StopSignals) -> None:
    """Train until the training run is finished.

    The state is saved at each checkpoint, when a signal arrives, and when `resume_seconds` seconds
    have passed since the state was last saved.

    Parameters
    ----------
    trainer : Trainer
        The training run.
    model_dir : Path
        Its model directory.
    stop_signals : StopSignals
        A function that returns a context manager, which records the signals that stop the run.

    Raises
    ------
    NotFinished
        If a signal stops the run.
    """
    saved = time.monotonic()
    with (
        stop_signals() as signals,
        contextlib.closing(tensorboard.Scalars(model_dir / "tensorboard")) as points,
    ):

        def after_batch() -> None:
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
                    f"{model_dir}: stopped by {name} at batch {trainer.step}; to resume, run the "
                    "same command again without overwrite (--overwrite)"
                )

        while not trainer.finished:
            trainer.run_to_checkpoint(after_batch)
            step, *values = trainer.history[-1]
            figures = dict(zip(HISTORY[1:], values))
            # The points are written before the checkpoint. Therefore a run that is resumed from the
            # checkpoint has all points.
            trainer.group.first(lambda: points.write(step, figures))
            save(trainer, model_dir)
            saved = time.monotonic()
