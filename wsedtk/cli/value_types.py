"""Kinds of values that parameters of commands take."""

import importlib

import click


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
            self.fail(
                f"{value!r}: expected {self.name[:-4]}, one or several with commas between them",
                param,
                ctx,
            )
        return numbers


class Number(click.FloatRange):
    """A number of a range, and never NaN, which click takes for one of every range."""

    def convert(self, value, param, ctx):
        """Return the number."""
        number = super().convert(value, param, ctx)
        if number != number:
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


class Fraction(Number):
    """A number from 0 to 1. For a percentage the message suggests the fraction."""

    def __init__(self):
        super().__init__(0, 1)

    def convert(self, value, param, ctx):
        """Return the number."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            from wsedtk.core.config import suggest_fraction

            error.message = error.message.rstrip(".") + suggest_fraction(value)
            raise


class Target(click.ParamType):
    """A quantity that decisions have to reach, and its value."""

    name = "KEY=VALUE"

    def convert(self, value, param, ctx):
        """Return (quantity, number)."""
        if isinstance(value, tuple):
            return value
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
            self.fail(
                f"{value!r}: expected {key}=NUMBER, a number above 0 and at most 1"
                + suggest_fraction(text),
                param,
                ctx,
            )
        return key, number


class Extension(click.ParamType):
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
