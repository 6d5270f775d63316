"""Command-line parameters are made from the dataclass of a stage's options."""

import dataclasses
from pathlib import Path
from typing import Literal

import click
import pytest
from click.testing import CliRunner

from wsedtk.cli.options import OUT, Parameter, build, descriptions, parameters
from wsedtk.core.paths import PathLike


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of a command.

    Parameters
    ----------
    sources : sequence of path-like
        The files to read.
    output : path-like
        The file to write.
    low, high : float
        A limit
        in hertz.
    kind : {"a", "b"}
        The kind.
    names : tuple of str
        A name. Repeatable.

    Raises
    ------
    InputError
        Never.
    """

    sources: tuple[PathLike, ...]
    output: PathLike
    _: dataclasses.KW_ONLY
    low: float = 1.5
    high: float | None = None
    kind: Literal["a", "b"] = "a"
    names: tuple[str, ...] = ()
    is_loud: bool = False
    pair: tuple[int, int] | None = None


class Pair(click.ParamType):
    """Two numbers with a slash between them."""

    name = "A/B"

    def convert(self, value, param, ctx):
        return tuple(map(int, value.split("/")))


def run(*arguments, **changes):
    """Return the options that a command with these arguments gets, and the result of the run."""
    made = parameters(Options, changes)
    got = []

    @click.pass_context
    def command(ctx, /, **values):
        got.append(build(Options, made, values))

    command.__click_params__ = [*reversed(made.values())]
    result = CliRunner().invoke(click.command()(command), arguments)
    return (got[0] if got else None), result


def test_descriptions_are_the_help():
    assert descriptions(Options) == {
        "sources": "The files to read.",
        "output": "The file to write.",
        "low": "A limit in hertz.",
        "high": "A limit in hertz.",
        "kind": "The kind.",
        "names": "A name. Repeatable.",
    }
    _, result = run("--help")
    assert "SOURCES... OUTPUT" in result.output
    assert "--low FLOAT" in result.output and "[default: 1.5]" in result.output
    assert "--kind [a|b]" in result.output


def test_values_become_options():
    (options, others), _ = run("a", "b", "out")
    assert options == Options((Path("a"), Path("b")), Path("out")) and others == {}
    arguments = ["a", "out", "--high", "3", "--kind", "b", "--names", "x", "--names", "y"]
    (options, _), _ = run(*arguments, "--is-loud")
    expected = Options((Path("a"),), Path("out"), high=3, kind="b", names=("x", "y"), is_loud=True)
    assert options == expected


def test_changes_of_a_command():
    changes = {"low": Parameter(flag="--floor", key="floor_hz", type=click.FloatRange(0))}
    (options, _), _ = run("a", "out", "--floor", "2", output=Parameter(type=OUT), **changes)
    assert options.low == 2
    _, result = run("a", "out", "--floor", "-2", **changes)
    assert result.exit_code == 2 and "-2.0 is not in the range x>=0" in result.output
    for words, pair in ((["--pair", "3/4"], (3, 4)), ([], None)):
        (options, _), _ = run("a", "out", *words, pair=Parameter(type=Pair()))
        assert options.pair == pair
    with pytest.raises(TypeError, match="Options has no fields lowest"):
        run(lowest=Parameter())
