"""Types of the values of command-line parameters."""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:  # they are generic since click 8.5
    ParamType = click.ParamType[Any]
    AnyChoice = click.Choice[Any]
else:
    ParamType = click.ParamType
    AnyChoice = click.Choice


class Shard(ParamType):
    """K/N, the K-th of N shards, counted from 1."""

    name = "K/N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return (K, N)."""
        if isinstance(value, tuple):
            return value[0], value[1]
        number, slash, count = value.partition("/")
        is_number = slash and number.isdecimal() and count.isdecimal()
        if not (is_number and 1 <= int(number) <= int(count)):
            self.fail(f"{value!r}: expected K/N with 1 <= K <= N", param, ctx)
        return int(number), int(count)


class NumberList(ParamType):
    """Numbers of at least 0 with commas between them.

    Parameters
    ----------
    kind : callable
        Converts the text of one number: int or float.
    name : str
        The word for the numbers in messages.
    """

    def __init__(self, kind: Callable[[str], float], name: str) -> None:
        self.kind, self.name = kind, f"{name},..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Return the numbers."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(self.kind(text) for text in value.split(","))
        except ValueError:
            numbers = (-1,)
        if not all(0 <= number < float("inf") for number in numbers):
            word = self.name.removesuffix(",...")
            self.fail(
                f"{value!r}: expected {word}, one or several with commas between them", param, ctx
            )
        return numbers


class Number(click.FloatRange):
    """A number of a range. Unlike click's, it is never NaN."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        number = float(super().convert(value, param, ctx))
        if number != number:
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


class Fraction(Number):
    """A number from 0 to 1. For a percentage the message suggests the fraction."""

    def __init__(self) -> None:
        super().__init__(0, 1)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            from wsedtk.core.config import suggest_fraction

            message = error.message.rstrip(".") + suggest_fraction(value)
            raise click.BadParameter(message, ctx=error.ctx, param=error.param) from None


class Target(ParamType):
    """A quantity that decisions have to reach, and its value."""

    name = "KEY=VALUE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        """Return (quantity, number)."""
        if isinstance(value, tuple):
            return value[0], value[1]
        from wsedtk.core.config import suggest, suggest_fraction
        from wsedtk.decoding.thresholds import TARGETS

        key, _, text = value.partition("=")
        if key not in TARGETS:
            self.fail(f"{value!r}: no such target; {suggest(key, TARGETS)}", param, ctx)
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if key == "false-alarms-per-hour" and not 0 <= number < float("inf"):
            self.fail(f"{value!r}: expected {key}=NUMBER, a number of at least 0", param, ctx)
        if key != "false-alarms-per-hour" and not 0 < number <= 1:
            suggestion = suggest_fraction(text)
            self.fail(
                f"{value!r}: expected {key}=NUMBER, a number above 0 and at most 1{suggestion}",
                param,
                ctx,
            )
        return key, number


class Extension(ParamType):
    """The name of a built-in object of an extension point, or `package.module:Object`.

    The names come from the registry. It is imported only when a value or the help needs it, which
    keeps `wsedtk --help` fast.
    """

    name = "extension"

    def __init__(self, module: str, registry: str) -> None:
        self._module = module
        self._registry = registry

    def _names(self) -> "click.Choice[str]":  # click 8.1 can't subscript it
        registry = getattr(importlib.import_module(self._module), self._registry)
        return click.Choice(registry.names())

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Return the names as the help shows them."""
        return f"[{'|'.join(self._names().choices)}|package.module:Class]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, which is checked here only if it is that of a built-in object."""
        return value if ":" in value else self._names().convert(value, param, ctx)


class Choice(AnyChoice):
    """A choice whose message names the nearest value."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            from wsedtk.core.config import nearest

            near = nearest(value, self.choices)
            if near is None:
                raise
            message = f"{error.message} Did you mean {near!r}?"
            raise click.BadParameter(message, ctx=error.ctx, param=error.param) from None
