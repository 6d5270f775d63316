"""Define the command `build`, which runs the commands from `balance` to `tune`."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsedtk.cli.build_plan import BuildOptions, Plan, Step, make_plan, make_step
from wsedtk.cli.common import Command, cli, stage, verb, while_importing
from wsedtk.cli.options import OUT, Parameter
from wsedtk.core import allocator, signals
from wsedtk.core.errors import InputError
from wsedtk.core.wording import counted

if TYPE_CHECKING:
    from wsedtk.stages.train import TrainResult


@verb(
    cli,
    "build",
    BuildOptions,
    model_dir=Parameter(type=OUT),
    init=Parameter(metavar="MODEL"),
    config=Parameter(key="config_path"),
    settings=Parameter(flag="--set", key="overrides", metavar="KEY=VALUE"),
    num_valid=Parameter(minimum=1),
    groups=Parameter(metavar="TABLE"),
    group_column=Parameter(metavar="HEADING"),
    jobs=Parameter(minimum=1),
    seed=Parameter(minimum=0),
)
def build(options: BuildOptions) -> None:
    """Train a model on a data directory, from the sound files to the thresholds.

    The command runs `balance`, `extract`, `train`, `predict` and `tune` with a recommended
    configuration. It prints each of these commands. You can also type them yourself, with the same
    result. The number of batches between checkpoints is increased if the set has more clips than
    the configuration was chosen for.

    If `build` is stopped, run the same command again. A step is skipped if its output exists, and
    its inputs and settings have not changed.

    \b
    Example: wsedtk build data/own exp/own --jobs 2
    """
    with while_importing():
        plan = make_plan(options)
    if options.dry_run:
        print(*plan.steps, sep="\n")
        return
    if plan.data_set != Path(options.data_set):
        print(f"{options.data_set}: contains several sets; the model is trained on {plan.data_set}")
    allocator.keep_freed_memory()
    _run(plan)


def _run(plan: Plan) -> None:
    """Run the commands, and print their results."""
    from wsedtk.data import datadir

    results: dict[str, Any] = {}
    split = None
    with _said_once(plan.context):
        for step in plan.steps:
            print(f"\n{step}", flush=True)
            if step.verb == "predict" and datadir.read(plan.valid_set).fingerprint() != split:
                raise InputError(
                    f"{plan.valid_set}: was changed by another command after `balance` wrote it; "
                    "run the same command again"
                )
            results[step.verb] = _run_step(step)
            if step.verb == "balance":
                split = datadir.read(plan.valid_set).fingerprint()
    _print_end(plan, results["train"], is_tuned=results["tune"] is not None)


def _run_step(step: Step) -> Any:
    """Run a command unless it is done, print its result, and return it."""
    from wsedtk.cli import printing_results, printing_systems

    command = cli.commands[step.verb]
    assert isinstance(command, Command)
    module, options = stage(step.verb), command.parse(step.words)
    if step.verb != "train" and module.is_done(options):  # `train` finds out itself
        print(f"{_outputs(step)}: kept from an earlier run; the inputs and settings are unchanged")
        return None
    if step.verb in ("extract", "train"):
        result = module.run(options, stop_signals=signals.noted)
    else:
        with _hint(step):
            result = module.run(options)
    if step.verb == "balance":
        print(printing_systems.balance(result, options.num_valid))
    elif step.verb == "extract":
        print(printing_systems.extract(result))
    elif step.verb == "train":
        print(printing_systems.train(result))
    elif step.verb == "predict":
        printing_results.print_predict(result)
    else:
        printing_results.print_tune(result)
    return result


@contextlib.contextmanager
def _hint(step: Step) -> Iterator[None]:
    """If an InputError in the block suggests options of `balance`, add that `build` has them, too.

    Otherwise, the next `build` would replace the split.
    """
    try:
        yield
    except InputError as error:
        if f"wsedtk {step.verb} " not in str(error) or step.verb != "balance":
            raise
        options = "--by, --groups and --group-column"
        raise InputError(f"{error}; give these options ({options}) to build") from None


def _outputs(step: Step) -> str:
    """Return the outputs of a command, for messages."""
    if step.verb == "balance":
        return f"{step.words[1]}, {step.words[2]}"
    return step.words[1] if step.verb == "extract" else step.words[2]


@contextlib.contextmanager
def _said_once(context: str | None) -> Iterator[None]:
    """Print the warning about a set without context only once within the block.

    `balance` and `train` log this warning for the whole set and for a part of it.
    """
    said = []

    def is_new(record: logging.LogRecord) -> bool:
        if context is None or not record.getMessage().endswith(context):
            return True
        said.append(record)
        return len(said) == 1

    handlers = logging.getLogger("wsedtk").handlers
    for handler in handlers:
        handler.addFilter(is_new)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(is_new)


def _print_end(plan: Plan, trained: "TrainResult", is_tuned: bool) -> None:
    """Print where the model is, how good it is, and the next commands.

    `is_tuned` is whether `tune` has just run, and not in an earlier run.
    """
    from wsedtk.cli import printing_results
    from wsedtk.data import datadir
    from wsedtk.decoding import operating_point

    figures = {"f1": "F1 of the tags", "map": "MAP of the tags", "loss": "loss"}
    clips = counted(len(datadir.read(plan.valid_set)), "clip")
    print(
        f"\n{plan.model_dir}: the model is ready; {figures[trained.select_by]} on the {clips} in "
        f"{plan.valid_set}: {trained.best_figure:.3f}; the weights and the thresholds were chosen "
        "on these clips, so the results on other recordings can be worse"
    )
    if not is_tuned:  # otherwise, the result of `tune` contains these lines
        for line in printing_results.threshold_notes(operating_point.read(plan.operating_point)):
            print(line)
    print(f"next: {make_step('detect', plan.model_dir, 'RECORDINGS')}")
    if commands := plan.evaluation():
        print(f"to evaluate the model on {commands[0].words[0]}:", *commands, sep="\n")
