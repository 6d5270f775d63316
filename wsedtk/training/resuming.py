"""The saved state of a training: checkpoints, history, resuming."""

import contextlib
import dataclasses
import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from wsedtk.core import config
from wsedtk.core.atomic import write_text
from wsedtk.core.errors import InputError, NotFinished
from wsedtk.core.progress import say
from wsedtk.models import checkpoint
from wsedtk.training import tensorboard
from wsedtk.training.distributed import Group
from wsedtk.training.train_config import TrainConfig
from wsedtk.training.training_loop import Trainer

PathLike = str | os.PathLike[str]

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
# Makes a context that yields a list, to which the names of signals are added as they come.
StopSignals = Callable[[], contextlib.AbstractContextManager[Sequence[str]]]


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The figures of one checkpoint: a row of history.tsv.

    Attributes
    ----------
    step : int
        Batches trained.
    train_loss : float
        Mean loss of the batches since the checkpoint before.
    valid_loss, valid_f1, valid_map : float
        Loss, micro F1 at tuned thresholds, and mean average precision on the validation set.
    learning_rate : float
        The learning rate of these batches.
    seconds : float
        Duration of their training and of the validation.
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
    """A `say` that also adds its line, with the time, to the model directory's train.log."""

    def tell(message: str) -> None:
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


def _number(path: Path) -> tuple[int, bool]:
    """What orders checkpoints: the batches trained, and at the same batch what follows validation comes later."""
    return int(path.stem.removeprefix("step").removeprefix("resume")), path.stem.startswith("step")


def checkpoints(folder: PathLike) -> list[Path]:
    """The files of a model directory to go on from, newest first: step*.pt of validations, resume*.pt between them."""
    found = (
        path
        for path in (Path(folder) / "checkpoints").glob("*.pt")
        if re.fullmatch(r"(step|resume)\d+\.pt", path.name)
    )
    return sorted(found, key=_number, reverse=True)


def _write_history(trainer: Trainer, folder: Path) -> None:
    lines = ["\t".join(HISTORY)] + [
        "\t".join(f"{v:.6g}" if isinstance(v, float) else str(v) for v in row)
        for row in trainer.history
    ]
    write_text(folder / "history.tsv", "\n".join(lines) + "\n")


def save(trainer: Trainer, folder: Path, kind: Literal["step", "resume"] = "step") -> None:
    """Write a checkpoint and history.tsv, and remove checkpoints that are no longer needed. kind: step, or resume between validations.

    All processes are to call it.
    """
    state = trainer.state()
    trainer.group.first(lambda: _write(state, trainer, folder, kind))


def _write(state: dict[str, Any], trainer: Trainer, folder: Path, kind: str) -> None:
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


def _text(made_by: object) -> str:
    return (
        ", ".join(f"{k} {v}" for k, v in made_by.items())
        if isinstance(made_by, dict)
        else "an older wsedtk"
    )


def _check_same_training(folder: Path, resolved: dict[str, Any]) -> None:
    """Raise InputError where a model directory holds the training of something else."""
    # A setting that the file lacks did not exist when the training began.
    previous = config.to_mapping(TrainConfig())
    content = config.read_yaml(folder / "config.yaml")
    if isinstance(content, dict):
        previous.update(content)
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


def check_same_inputs(group: Group, resolved: dict[str, Any]) -> None:
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


def set_threads(trainer: Trainer) -> None:
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


def resume(trainer: Trainer, folder: Path, resolved: dict[str, Any]) -> dict[str, Any] | None:
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
            state: dict[str, Any] = checkpoint.load_checkpoint(path)
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


def begin(
    trainer: Trainer, folder: Path, resolved: dict[str, Any], overwrite: bool
) -> dict[str, Any] | None:
    """Have the model directory hold this training, and go back to its newest checkpoint. Returns its state, or None."""
    if overwrite:
        names = ("model.yaml", "model.safetensors", "config.yaml", "train.log", "history.tsv")
        for old in [*checkpoints(folder), *(folder / name for name in names)]:
            old.unlink(missing_ok=True)
        tensorboard.remove(folder / "tensorboard")
    state = resume(trainer, folder, resolved)
    write_text(folder / "config.yaml", config.to_yaml(resolved))
    return state


def train_to_the_end(trainer: Trainer, model_dir: Path, stop_signals: StopSignals) -> None:
    """Train, saving what is needed to go on: at each checkpoint, every `resume_seconds`, and at a signal, which raises NotFinished.

    stop_signals: see StopSignals.
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
