"""Define the types of the values of command-line parameters."""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:  # in older versions of click, these types are not generic
    ParamType = click.ParamType[Any]
    AnyChoice = click.Choice[Any]
else:
    ParamType = click.ParamType
    AnyChoice = click.Choice


class Shard(ParamType):
    """The type of K/N, which means the K-th of N shards. K is counted from 1."""

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


class Added(ParamType):
    """The type of DATA_SET or DATA_SET=SHARE. The values can be used as paths."""

    name = "DATA_SET[=SHARE]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return an AddedSet."""
        from wsedtk.core.errors import InputError
        from wsedtk.stages.options.added_sets import parse

        if isinstance(value, tuple):
            return value
        try:
            return parse(value)
        except InputError as error:
            self.fail(str(error), param, ctx)


class NumberList(ParamType):
    """The type of a list of finite numbers of at least 0, with commas between them.

    Parameters
    ----------
    kind : callable
        The function that converts the text of one number: int or float.
    name : str
        The word that messages use for the numbers, such as "seconds".
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
            kind = "whole numbers" if self.kind is int else "numbers"
            self.fail(
                f"{value!r}: expected {word}: {kind} of at least 0, with commas between them",
                param,
                ctx,
            )
        return numbers


class Number(click.FloatRange):
    """The type of a number in a range. Unlike click.FloatRange, it does not accept NaN."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        number = float(super().convert(value, param, ctx))
        if number != number:
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


class Fraction(Number):
    """The type of a number from 0 to 1. For a percentage, the error message suggests a fraction."""

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
    """The type of a target for decisions. The form is QUANTITY=NUMBER, such as precision=0.9."""

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
    """The type of a text that names an object: a built-in name, or `package.module:Object`.

    The built-in names come from a registry. The registry is imported only when a value or a help
    text needs it, so that `wsedtk --help` is fast.

    Parameters
    ----------
    module : str
        The module that contains the registry.
    registry : str
        The name of the registry in this module.
    """

    name = "extension"

    def __init__(self, module: str, registry: str) -> None:
        self._module = module
        self._registry = registry

    def _names(self) -> "click.Choice[str]":  # in click 8.1, Choice can't be subscripted
        registry = getattr(importlib.import_module(self._module), self._registry)
        return click.Choice(registry.names())

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Return the names in the form that the help shows."""
        return f"[{'|'.join(self._names().choices)}|package.module:Class]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name. A name with a colon is not checked here."""
        return value if ":" in value else self._names().convert(value, param, ctx)


class Choice(AnyChoice):
    """The type of a choice. The error message for an invalid value suggests a similar choice.

    Nothing is suggested if no choice is similar.
    """

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
