"""What the commands share: the group that they are in, kinds of parameters, and the care for outputs and records."""

import contextlib
import importlib
import itertools
import logging
import os
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from wsedtk import __version__
from wsedtk.cli.options import IN_DIR, OUT, Parameter, build, parameters
from wsedtk.cli.value_types import Fraction as Fraction
from wsedtk.cli.value_types import Number as Number
from wsedtk.cli.value_types import NumberList as NumberList
from wsedtk.cli.value_types import Shard as Shard
from wsedtk.cli.value_types import Target as Target
from wsedtk.core import signals
from wsedtk.core.atomic import remove_left_over
from wsedtk.core.errors import InputError, NotFinished
from wsedtk.core.process_rank import rank_and_size

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True}


def _check_outputs(command, options):
    """Refuse outputs that are an input of the same command, or whose name is that of another kind of file."""
    inputs = {
        Path(v).resolve()
        for p in command.params
        if p.type is IN_DIR
        for v in _values(options[p.name])
    }
    for parameter in command.params:
        for value in _values(options[parameter.name]) if parameter.type is OUT else ():
            suffix = Path(parameter.metavar or "").suffix
            if suffix and value.suffix != suffix:
                raise InputError(
                    f"{value}: the output of `{command.name}` must have a name that ends in {suffix}"
                )
            if value.resolve() in inputs:
                raise InputError(
                    f"{value}: is an input of this command and would be overwritten; name another output"
                )


def _check_inputs(command, options):
    """Name a folder that can't be entered, where an input is one or lies below it."""
    from wsedtk.data.folders import check_reach

    for parameter in command.params:
        for value in _values(options[parameter.name]) if parameter.type is IN_DIR else ():
            check_reach(value)


def _values(value):
    """The paths of an option: none, one or several."""
    return [] if value is None else list(value) if isinstance(value, tuple) else [value]


def _tell(ctx, parameter, value):
    """Note --quiet or --verbose, before the verb or after it."""
    if value and ctx.meta.setdefault(_HOW, parameter.name) != parameter.name:
        raise click.UsageError("--quiet and --verbose: give one of them")


_HOW = "wsedtk.how"  # in click's context: what is told
TELLING = (
    click.Option(
        ["--quiet"],
        is_flag=True,
        expose_value=False,
        callback=_tell,
        help="Tell warnings and errors only; print nothing but what is asked for.",
    ),
    click.Option(
        ["--verbose"],
        is_flag=True,
        expose_value=False,
        callback=_tell,
        help="Tell more: options, what is read and written, time, memory.",
    ),
)


@contextlib.contextmanager
def _telling(ctx, options, outputs):
    """Tell less or more within the block, as --quiet and --verbose want it.

    --quiet silences what is printed, but for the result itself: where no output is named that it goes to, or JSON or a dry run asked for.
    """
    from wsedtk.cli import messages
    from wsedtk.core import progress

    how = ctx.meta.get(_HOW)
    written = any(
        _values(options[p.name])
        for p in ctx.command.params
        if p.type is OUT and (isinstance(p, click.Argument) or p.name.startswith("output"))
    )  # else it is printed
    with messages.printed(how), contextlib.ExitStack() as stack:
        if how == "quiet" and written and not (options.get("as_json") or options.get("dry_run")):
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        if how != "verbose" or rank_and_size()[0] > 0:
            yield
            return
        from wsedtk.core import provenance

        record, started = provenance.describe(ctx.command_path, options, outputs), time.monotonic()
        progress.detail(
            f"wsedtk {record['wsedtk']} ({record['commit']}), Python {record['python']}, {record['host']}"
        )
        for name in ("options", "inputs"):
            for key, value in record[name].items():
                progress.detail(f"{name[:-1]} {key}: {value}")
        try:
            yield
        except (InputError, NotFinished):
            progress.detail(traceback.format_exc().rstrip())
            raise
        finally:
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10  # MB
            progress.detail(
                f"{ctx.command.name}: {time.monotonic() - started:.1f} s, at most {most} MB in this process"
            )


def _near_path(path):
    """The path that is there and most like one that is not; None where none is. Several shards count as the one file that they make."""
    from wsedtk.core.config import nearest
    from wsedtk.core.provenance import files_of

    found = Path()
    try:
        if files_of(path):
            return None
        for part in path.parts:
            if not (found / part).exists():
                with os.scandir(found) as entries:
                    names = {
                        re.sub(r"\.\d+-of-\d+(?=\.\w+$)", "", e.name)
                        for e in itertools.islice(entries, 10000)
                    }
                part = nearest(part, sorted(name for name in names if not name.startswith(".")))
                if part is None:
                    return None
            found /= part
    except OSError:  # a file in the place of a folder, or a folder that may not be read
        return None
    return found


@contextlib.contextmanager
def _suggesting(command, options):
    """Add to an InputError that tells of a missing input which path was meant, where one is near."""
    try:
        yield
    except InputError as error:
        inputs, lines = (
            [v for p in command.params if p.type is IN_DIR for v in _values(options[p.name])],
            str(error).split("\n"),
        )
        for path in inputs:
            of_it = re.compile(rf"(^|\s){re.escape(str(path))}([:/,]|$)")
            number = next(
                (
                    i
                    for i, line in enumerate(lines)
                    if of_it.search(line) and "did you mean" not in line
                ),
                None,
            )
            if number is not None and (near := _near_path(path)):
                lines[number] += f"; did you mean {str(near)!r}?"
        if lines == str(error).split("\n"):
            raise
        raise InputError("\n".join(lines)) from error


class _Choice(click.Choice):
    """A choice whose message names the nearest."""

    def convert(self, value, param, ctx):
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            from wsedtk.core.config import nearest

            near = nearest(value, self.choices)
            if near is not None:
                error.message += f" Did you mean {near!r}?"
            raise


def verb(
    group: click.Group, name: str, options_class: type | None = None, /, **changes: Parameter
) -> Callable[[Callable[..., None]], click.Command]:
    """Return a decorator that makes a function a command of a group, see `make_command`."""

    def decorate(function: Callable[..., None]) -> click.Command:
        command = make_command(name, options_class, **changes)(function)
        group.add_command(command)
        return command

    return decorate


def make_command(
    name: str, options_class: type | None = None, /, **changes: Parameter
) -> Callable[[Callable[..., None]], click.Command]:
    """Return a decorator that makes a function a command.

    The command has --quiet and --verbose, and a parameter for each field of the options' class. It
    checks its outputs, removes what an interrupted run left of them, writes the record that is
    asked for, and suggests similar names for choices and inputs that do not exist.

    Parameters
    ----------
    name : str
        The name of the command.
    options_class : type, optional
        The dataclass of the stage's options. The function gets an instance as its first argument,
        and the values of its own click parameters by name. Without a class it gets these alone.
    **changes : Parameter
        What differs from `wsedtk.cli.options`, by field.
    """
    made = {} if options_class is None else parameters(options_class, changes)

    def decorate(function: Callable[..., None]) -> click.Command:
        @click.pass_context
        def command(ctx: click.Context, /, **values: Any) -> None:
            rank, size = rank_and_size()
            if size > 1 and name != "train":
                raise InputError(
                    f"{name}: runs in one process, torchrun started {size}; only train takes several"
                )
            outputs = [
                str(parameter.name) for parameter in ctx.command.params if parameter.type is OUT
            ]
            with _suggesting(ctx.command, values), _telling(ctx, values, outputs):
                if rank == 0:
                    _prepare(ctx, values, outputs)
                if options_class is None:
                    function(**values)
                else:
                    options, others = build(options_class, made, values)
                    function(options, **others)

        command.__doc__ = function.__doc__
        own = getattr(function, "__click_params__", [])
        command.__click_params__ = [*reversed(TELLING), *own, *reversed(made.values())]
        made_command = click.command(name)(command)
        for parameter in made_command.params:
            if type(parameter.type) is click.Choice:
                parameter.type = _Choice(parameter.type.choices)
        return made_command

    return decorate


def _prepare(ctx: click.Context, values: dict[str, Any], outputs: list[str]) -> None:
    """Check the outputs and inputs of a command, remove unfinished files, and write its record."""
    _check_outputs(ctx.command, values)
    _check_inputs(ctx.command, values)
    for name in outputs:
        for path in _values(values[name]):
            remove_left_over(path)
    if ctx.obj is not None:
        from wsedtk.core import provenance

        remove_left_over(ctx.obj)
        provenance.write(ctx.obj, ctx.command_path, values, outputs)


def while_importing() -> contextlib.AbstractContextManager[None]:
    """Return a context in which signals end the command at once.

    While modules are imported, an exception can get lost, and there is nothing to save.
    """
    return signals.handled(_leave)


def stage(name: str) -> ModuleType:
    """Import a stage."""
    with while_importing():
        return importlib.import_module(f"wsedtk.stages.{name}")


def tell_stopped(number):
    """Say, in the first process, that a signal stopped the command."""
    if rank_and_size()[0] == 0:
        print(
            f"wsedtk: stopped by {signal.Signals(number).name}; give the same command again",
            file=sys.stderr,
        )


def _leave(number, frame):
    tell_stopped(number)
    os._exit(75)


@click.group(context_settings=CONTEXT, params=list(TELLING))
@click.version_option(__version__, prog_name="wsedtk")
@click.option(
    "--record",
    type=OUT,
    help="Write the resolved options and the fingerprints of the inputs to this YAML file.",
)
@click.pass_context
def cli(ctx, record):
    """Weakly supervised sound event detection: from clips that only say which sounds occur to which and when.

    The verbs make a chain of files; `bash recipes/mini/run.sh` goes through all of it.
    """
    logging.basicConfig(
        level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr
    )
    ctx.obj = record
