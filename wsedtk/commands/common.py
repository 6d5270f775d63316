"""What the commands share: the group that they are in, kinds of parameters, and the care for outputs and records."""

import importlib
import logging
import os
import signal
import sys
from pathlib import Path

import click

from wsedtk import __version__, signals
from wsedtk.atomic import remove_left_over
from wsedtk.config import suggest
from wsedtk.errors import InputError
from wsedtk.ranks import rank_and_size

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True}
IN_DIR = click.Path(path_type=Path)
OUT = click.Path(path_type=Path)


class Shard(click.ParamType):
    """K/N, the K-th of N shards, counted from 1."""

    name = "K/N"

    def convert(self, value, param, ctx):
        """Return (K, N)."""
        if isinstance(value, tuple):
            return value
        k, slash, n = value.partition("/")
        if not (slash and k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
            self.fail(f"{value!r}: expected K/N with 1 <= K <= N", param, ctx)
        return int(k), int(n)


class NumberList(click.ParamType):
    """Numbers >= 0 with commas between them."""

    def __init__(self, kind, name):
        self.kind, self.name = kind, f"{name},..."

    def convert(self, value, param, ctx):
        """Return a tuple of numbers."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(self.kind(v) for v in value.split(","))
        except ValueError:
            numbers = (-1,)
        if not all(0 <= n < float("inf") for n in numbers):
            self.fail(f"{value!r}: expected {self.name[:-4]}, one or several with commas between them", param, ctx)
        return numbers


class Target(click.ParamType):
    """A quantity that decisions have to reach, and its value."""

    name = "KEY=VALUE"

    def convert(self, value, param, ctx):
        """Return (quantity, number)."""
        if isinstance(value, tuple):
            return value
        from wsedtk.thresholds import TARGETS
        key, _, text = value.partition("=")
        if key not in TARGETS:
            self.fail(f"{value!r}: no such target; {suggest(key, TARGETS)}", param, ctx)
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not (0 <= number < float("inf") if key == "false-alarms-per-hour" else 0 < number <= 1):
            self.fail(f"{value!r}: expected {key}=NUMBER, a number "
                      + ("of at least 0" if key == "false-alarms-per-hour" else "above 0 and at most 1"), param, ctx)
        return key, number


def _check_outputs(command, options):
    """Refuse outputs that are an input of the same command, or whose name is that of another kind of file."""
    inputs = {Path(v).resolve() for p in command.params if p.type is IN_DIR for v in _values(options[p.name])}
    for parameter in command.params:
        for value in _values(options[parameter.name]) if parameter.type is OUT else ():
            suffix = Path(parameter.metavar or "").suffix
            if suffix and value.suffix != suffix:
                raise InputError(f"{value}: the output of `{command.name}` must have a name that ends in {suffix}")
            if value.resolve() in inputs:
                raise InputError(f"{value}: is an input of this command and would be overwritten; name another output")


def _values(value):
    """The paths of an option: none, one or several."""
    return [] if value is None else list(value) if isinstance(value, tuple) else [value]


def verb(group, name, **settings):
    """Register a command that first checks its outputs, removes what a killed run left of them, and writes the record that is asked for."""
    def decorate(function):
        @click.pass_context
        def command(ctx, **options):
            rank, size = rank_and_size()
            if size > 1 and name != "train":
                raise InputError(f"{name}: runs in one process, torchrun started {size}; only train takes several")
            if rank > 0:  # the first process sees to all of that
                return function(**options)
            _check_outputs(ctx.command, options)
            outputs = [parameter.name for parameter in ctx.command.params if parameter.type is OUT]
            for path in [*(path for name in outputs for path in _values(options[name])), *_values(ctx.obj)]:
                remove_left_over(path)
            if ctx.obj is not None:
                from wsedtk import provenance
                provenance.write(ctx.obj, ctx.command_path, options, outputs)
            return function(**options)
        command.__doc__ = function.__doc__
        command.__click_params__ = getattr(function, "__click_params__", [])
        return group.command(name, **settings)(command)
    return decorate


def stage(name):
    """Import a stage, ready to be interrupted."""
    with signals.handled(_leave):
        return importlib.import_module(f"wsedtk.stages.{name}")


def tell_stopped(number):
    """Say, in the first process, that a signal stopped the command."""
    if rank_and_size()[0] == 0:
        click.echo(f"wsedtk: stopped by {signal.Signals(number).name}; give the same command again", err=True)


def _leave(number, frame):
    """End the command at once: while modules are imported an exception can get lost, and there is nothing to save."""
    tell_stopped(number)
    os._exit(75)


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="wsedtk")
@click.option("--record", type=OUT, help="Write the resolved options and the fingerprints of the inputs to this YAML file.")
@click.pass_context
def cli(ctx, record):
    """Weakly supervised sound event detection: from clips that only say which sounds occur to which and when.

    The verbs make a chain of files; `bash recipes/mini/run.sh` goes through all of it.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    ctx.obj = record
