"""Run `detect` on sound that arrives continuously: the options --stream and --microphone."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import click
from click.core import ParameterSource

from wsedtk.cli import printing_results
from wsedtk.cli.common import stage
from wsedtk.cli.options import Parameter, parameters
from wsedtk.core import signals
from wsedtk.stages.options.detection import (
    MOST_CHANNELS,
    SAMPLE_RATES,
    DetectOptions,
    StreamOptions,
)

_RAW = ("raw_rate", "raw_channels", "raw_format")
_OWN = ("microphone", *_RAW)
_FIELDS = {field.name for field in dataclasses.fields(StreamOptions)}
_STREAM = click.Option(
    ["--stream"],
    is_flag=True,
    help="Detect events in the sound that is written to standard input: WAV, or raw samples with "
    "--raw-rate. Each event is printed when it has ended, by default as a JSON line.",
)


def live_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of streams to the function of a command, as click's decorators do."""
    made = parameters(
        StreamOptions,
        {
            "microphone": Parameter(metavar="DEVICE"),
            "raw_rate": Parameter(type=click.IntRange(*SAMPLE_RATES), metavar="HZ"),
            "raw_channels": Parameter(type=click.IntRange(1, MOST_CHANNELS)),
        },
    )
    own = [_STREAM, *(made[name] for name in _OWN)]
    function.__click_params__ = own[::-1]  # type: ignore[attr-defined]
    return function


def _given() -> dict[str, str]:
    """Return {name: spelling} of the parameters that the command line contains."""
    context = click.get_current_context()
    return {
        str(one.name): one.opts[0] if isinstance(one, click.Option) else one.make_metavar(context)
        for one in context.command.params
        if context.get_parameter_source(str(one.name)) is ParameterSource.COMMANDLINE
        and context.params.get(str(one.name)) != ()
    }


def run_if_live(options: DetectOptions, values: Mapping[str, Any]) -> bool:
    """Detect events in a stream if the command line asks for it. Return whether it does.

    Parameters
    ----------
    options : DetectOptions
        The options of `detect`.
    values : mapping
        The values of the options that `live_options` adds.

    Raises
    ------
    click.UsageError
        If the command line contains options that do not belong together.
    """
    given = _given()
    if not values["stream"] and values["microphone"] is None:
        for name in _RAW:
            if name in given:
                raise click.UsageError(f"{given[name]} needs --stream")
        if not options.audio:
            raise click.UsageError("Missing argument 'AUDIO...'.")
        return False
    allowed = {*_FIELDS, "stream", "quiet", "verbose"}
    for name, spelling in given.items():
        if name not in allowed:
            raise click.UsageError(f"{spelling} can't be combined with --stream or --microphone")
        if name in _RAW and (values["microphone"] is not None or values["raw_rate"] is None):
            raise click.UsageError(f"{spelling} needs --stream and --raw-rate")
    chosen = {name: getattr(options, name) for name in _FIELDS if hasattr(options, name)}
    if "format_name" not in given:
        del chosen["format_name"]
    _run(StreamOptions(**chosen, **{name: values[name] for name in _OWN}))
    return True


def _run(options: StreamOptions) -> None:
    run = stage("stream").run
    from wsedtk.data import formats

    printer = printing_results.EventPrinter(formats.event_format(options.format_name))
    run(options, on_begin=printer.begin, on_event=printer, stop_signals=signals.noted)
