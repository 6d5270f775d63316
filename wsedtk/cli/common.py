"""Define the group of all commands, and the decorator that turns a function into a command."""

import contextlib
import importlib
import inspect
import logging
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import click

from wsedtk import __version__
from wsedtk.cli.options import OUT, Parameter, build, parameters
from wsedtk.cli.path_checks import Values, check_inputs, check_outputs, suggesting, values_of
from wsedtk.cli.value_types import Choice
from wsedtk.core import signals
from wsedtk.core.atomic import remove_left_over
from wsedtk.core.errors import InputError, NotFinished
from wsedtk.core.process_rank import rank_and_size

_LOG = logging.getLogger(__name__)

CONTEXT: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 110,
    "show_default": True,
}


def _note_verbosity(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    """Store --quiet or --verbose in the context. The group and each command have both options."""
    if value and ctx.meta.setdefault(_VERBOSITY, parameter.name) != parameter.name:
        raise click.UsageError("--quiet and --verbose: give only one of them")


_VERBOSITY = "wsedtk.how"  # the key in the metadata of click's context
VERBOSITY_OPTIONS = (
    click.Option(
        ["--quiet"],
        is_flag=True,
        expose_value=False,
        callback=_note_verbosity,
        help="Print only the result, warnings and errors.",
    ),
    click.Option(
        ["--verbose"],
        is_flag=True,
        expose_value=False,
        callback=_note_verbosity,
        help="Also print details: options, inputs, outputs, time and memory.",
    ),
)


@contextlib.contextmanager
def _with_verbosity(ctx: click.Context, options: Values, outputs: Sequence[str]) -> Iterator[None]:
    """Apply --quiet and --verbose within the block.

    --quiet suppresses all output except the result, warnings and errors. The text on standard
    output is the result in three cases: the text is JSON, the run is a dry run, or the command line
    names no output. An argument, --output or --output-dir can name an output.
    """
    from wsedtk.cli import messages

    verbosity = ctx.meta.get(_VERBOSITY)
    has_output = any(
        values_of(options[str(p.name)])
        for p in ctx.command.params
        if p.type is OUT and (isinstance(p, click.Argument) or str(p.name).startswith("output"))
    )
    with messages.printed(verbosity), contextlib.ExitStack() as stack:
        is_result = options.get("as_json") or options.get("dry_run") or not has_output
        if verbosity == "quiet" and not is_result:
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        if verbosity == "verbose" and rank_and_size()[0] == 0:
            stack.enter_context(_details(ctx, options, outputs))
        yield


@contextlib.contextmanager
def _details(ctx: click.Context, options: Values, outputs: Sequence[str]) -> Iterator[None]:
    """Print details for --verbose: options, inputs, time, memory, and where an error was raised."""
    from wsedtk.core import provenance

    record, started = provenance.describe(ctx.command_path, options, outputs), time.monotonic()
    _LOG.debug(
        f"wsedtk {record['wsedtk']} ({record['commit']}), Python {record['python']}, "
        f"{record['host']}"
    )
    for name in ("options", "inputs"):
        for key, value in record[name].items():
            _LOG.debug(f"{name[:-1]} {key}: {value}")
    try:
        yield
    except (InputError, NotFinished):
        _LOG.debug(traceback.format_exc().rstrip())
        raise
    finally:
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        _LOG.debug(
            f"{ctx.command.name}: {time.monotonic() - started:.1f} s, at most {megabytes} MB in "
            "this process"
        )


class Command(click.Command):
    """A command of wsedtk.

    Attributes
    ----------
    options_class : type or None
        The dataclass of the options of its stage, if it has one.
    made : mapping of str to click.Parameter
        The parameter of each field of this class.
    """

    options_class: type | None = None
    made: Mapping[str, click.Parameter] = {}

    def parse(self, words: Sequence[str]) -> Any:
        """Return the options of the stage for a command line, without the name of the command.

        The inputs and outputs are checked, and incomplete outputs of interrupted runs are removed.
        """
        assert self.name is not None and self.options_class is not None
        values = self.make_context(self.name, list(words), **CONTEXT).params
        self.prepare(values)
        return build(self.options_class, self.made, values)[0]

    @property
    def outputs(self) -> list[str]:
        """The names of the parameters that are outputs."""
        return [str(parameter.name) for parameter in self.params if parameter.type is OUT]

    def prepare(self, values: Values) -> None:
        """Check the inputs and outputs, and remove incomplete outputs of interrupted runs."""
        check_outputs(self, values)
        check_inputs(self, values)
        for name in self.outputs:
            for path in values_of(values[name]):
                remove_left_over(path)


def verb(
    group: click.Group, name: str, options_class: type | None = None, /, **changes: Parameter
) -> Callable[[Callable[..., None]], Command]:
    """Return a decorator that adds a function to a group as a command. See `make_command`."""

    def decorate(function: Callable[..., None]) -> Command:
        command = make_command(name, options_class, **changes)(function)
        group.add_command(command)
        return command

    return decorate


def make_command(
    name: str, options_class: type | None = None, /, **changes: Parameter
) -> Callable[[Callable[..., None]], Command]:
    """Return a decorator that turns a function into a command.

    The command has the options --quiet and --verbose, and one parameter for each field of
    `options_class`, except for fields with `hidden_from_cli`. The command checks its inputs and
    outputs, removes incomplete outputs of interrupted runs, and writes a record if --record is
    given. If a choice or an input does not exist, the error message suggests a similar name, if
    there is one.

    Parameters
    ----------
    name : str
        The name of the command.
    options_class : type, optional
        The dataclass of the options of a stage. The function gets an instance as its first
        argument. If click's decorators define further parameters of the command, the function gets
        their values as keyword arguments. If `options_class` is None, the function gets only these
        keyword arguments.
    **changes : Parameter
        Settings for the click parameters of some fields. Each keyword is the name of a field.
    """
    made = {} if options_class is None else parameters(options_class, changes)

    def decorate(function: Callable[..., None]) -> Command:
        @click.pass_context
        def invoke(ctx: click.Context, /, **values: Any) -> None:
            rank, size = rank_and_size()
            if size > 1 and name != "train":
                raise InputError(
                    f"{name}: runs in one process, but torchrun started {size} processes; run it "
                    "without torchrun"
                )
            with suggesting(command, values), _with_verbosity(ctx, values, command.outputs):
                if rank == 0:
                    _prepare(ctx, command, values)
                if options_class is None:
                    function(**values)
                else:
                    options, others = build(options_class, made, values)
                    function(options, **others)

        own = reversed(getattr(function, "__click_params__", []))  # from click's decorators
        command = Command(
            name,
            callback=invoke,
            params=[*made.values(), *own, *VERBOSITY_OPTIONS],
            help=inspect.getdoc(function),
        )
        command.options_class, command.made = options_class, made
        for parameter in command.params:
            if type(parameter.type) is click.Choice:
                parameter.type = Choice(parameter.type.choices)
        return command

    return decorate


def _prepare(ctx: click.Context, command: Command, values: dict[str, Any]) -> None:
    """Check the inputs and outputs of a command, remove incomplete files, and write the record."""
    command.prepare(values)
    if ctx.obj is not None:
        from wsedtk.core import provenance

        remove_left_over(ctx.obj)
        provenance.write(ctx.obj, ctx.command_path, values, command.outputs)


def while_importing() -> contextlib.AbstractContextManager[None]:
    """Return a context in which signals end the command immediately.

    Otherwise, a signal would raise an exception, which can get lost while modules are imported.
    Ending the process is safe, because the command does not have results yet.
    """
    return signals.handled(_leave)


def stage(name: str) -> ModuleType:
    """Import and return the module of a stage."""
    with while_importing():
        return importlib.import_module(f"wsedtk.stages.{name}")


def print_stopped(number: int) -> None:
    """Print that a signal stopped the command. Only the process with rank 0 prints."""
    if rank_and_size()[0] == 0:
        print(
            f"wsedtk: stopped by {signal.Signals(number).name}; run the same command again",
            file=sys.stderr,
        )


def _leave(number: int, frame: FrameType | None) -> None:
    """End the process immediately."""
    print_stopped(number)
    os._exit(75)


@click.group(context_settings=CONTEXT, params=list(VERBOSITY_OPTIONS))
@click.version_option(__version__, prog_name="wsedtk")
@click.option(
    "--record",
    type=OUT,
    help="Write the values of all options and the fingerprints of the inputs to this YAML file.",
)
@click.pass_context
def cli(ctx: click.Context, record: Path | None) -> None:
    """Weakly supervised sound event detection: train on clip tags, detect events with times.

    Each command writes files that the next command reads. `bash recipes/mini/run.sh` runs all
    stages.
    """
    logging.basicConfig(
        level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr
    )
    ctx.obj = record
