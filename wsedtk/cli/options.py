"""Command-line parameters from the dataclass of a stage's options.

The dataclass is the one place for the defaults and the help texts: the help of a parameter is its
description in the class's docstring (NumPy style). A field becomes a parameter of its own name:

    a path, without a default              an argument
    a tuple of paths, without a default    an argument that takes several values
    bool                                   a flag
    Literal                                a choice
    a sequence, with a default             an option that can be repeated
    the rest                               an option

A command overrides the settings that differ with a `Parameter`. A corpus, whose command is made
when it is used, gives the fields of `Parameter` as the metadata of its own fields:

    classes: Sequence[str] = dataclasses.field(default=(), metadata={"flag": "--class"})
"""

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from wsedtk.cli.value_types import NumberList
from wsedtk.core.paths import PathLike

IN_DIR = click.Path(path_type=Path)
OUT = click.Path(path_type=Path)
_PATHS = typing.get_args(PathLike)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parameter:
    """What a command changes of the parameter of one field.

    Parameters
    ----------
    flag : str, optional
        The spelling of an option: "--set". It makes an option of an argument.
    key : str, optional
        The name of the parameter in records. By default the name of the field.
    type : click.ParamType, optional
        The type of its values. Paths are inputs unless it is OUT.
    metavar : str, optional
        The name of its value in the help.
    required : bool, optional
        Whether the parameter must be given. By default arguments must, and options without a
        default.
    minimum : int, optional
        The least whole number that is valid.
    comma_separated : str, optional
        The word for the values of a sequence of whole numbers that are typed as one text, with
        commas between them.
    hidden_from_cli : bool
        Whether the command line has no such parameter.
    """

    flag: str | None = None
    key: str | None = None
    type: "click.ParamType[Any] | None" = None
    metavar: str | None = None
    required: bool | None = None
    minimum: int | None = None
    comma_separated: str | None = None
    hidden_from_cli: bool = False


def descriptions(options: type) -> dict[str, str]:
    """Return {field: description} from the NumPy docstrings of a class and its bases.

    The descriptions are in the sections called Parameters.
    """
    found: dict[str, str] = {}
    for base in reversed(options.__mro__):
        found |= _own_descriptions(base.__doc__ or "")
    return found


def _own_descriptions(docstring: str) -> dict[str, str]:
    """Return {field: description} from the Parameters section of one docstring."""
    lines = inspect.cleandoc(docstring).splitlines()
    found: dict[str, list[str]] = {}
    names: list[str] = []
    in_section = False
    for line, following in zip(lines, [*lines[1:], ""]):
        if following and not following.strip("-"):
            in_section, names = line == "Parameters", []
        elif in_section and (head := re.fullmatch(r"(\w+(?:, \w+)*) : .*", line)):
            names = head.group(1).split(", ")
        elif in_section and line.startswith(" "):
            for name in names:
                found.setdefault(name, []).append(line.strip())
    return {name: " ".join(text) for name, text in found.items()}


def parameters(options: type, changes: Mapping[str, Parameter]) -> dict[str, click.Parameter]:
    """Return {field: click parameter} for each field of the dataclass of a stage's options.

    Raises
    ------
    TypeError
        If `changes` names a field that the dataclass lacks.
    """
    fields = {field.name: field for field in dataclasses.fields(options)}
    if unknown := set(changes) - set(fields):
        raise TypeError(f"{options.__name__} has no fields {', '.join(sorted(unknown))}")
    kinds, texts = typing.get_type_hints(options), descriptions(options)
    made = {}
    for name, field in fields.items():
        change = changes.get(name) or Parameter(**field.metadata)
        if not change.hidden_from_cli:
            made[name] = _parameter(field, kinds[name], change, texts.get(name, ""))
    return made


def _parameter(
    field: "dataclasses.Field[Any]", kind: Any, change: Parameter, text: str
) -> click.Parameter:
    """Return the click parameter of a field, whose annotation is `kind`."""
    key = change.key or field.name
    element, is_sequence = _element(kind)
    settings: dict[str, Any] = {"metavar": change.metavar, "type": _type(element, change)}
    has_default = field.default is not dataclasses.MISSING
    if not has_default and not field.kw_only and change.flag is None:
        settings["required"] = change.required is not False
        if is_sequence:
            settings["nargs"] = -1
        return click.Argument([key], **settings)
    settings |= {"help": text, "show_default": True}
    settings["required"] = not has_default if change.required is None else change.required
    is_one_text = isinstance(settings["type"], NumberList)
    if has_default and not settings["required"]:
        settings["default"] = _as_typed(field.default) if is_one_text else field.default
    if is_sequence and not is_one_text:
        settings["multiple"] = True
    if element is bool:
        settings |= {"is_flag": True, "type": None}
    return click.Option([change.flag or "--" + field.name.replace("_", "-"), key], **settings)


def _as_typed(numbers: Any) -> str | None:
    """Return the default of a list of numbers as one text, as users type it."""
    return None if numbers is None else ",".join(f"{number:g}" for number in numbers)


def _element(kind: Any) -> tuple[Any, bool]:
    """Return the type of one value, and whether a field takes any number of values."""
    if kind == PathLike:
        return kind, False
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        inner = tuple(one for one in inner if one is not type(None))
        for one in inner:
            element, is_sequence = _element(one)
            if is_sequence:
                return element, True
        return (PathLike if set(inner) == set(_PATHS) else inner[0]), False
    if origin is Sequence or (origin is tuple and inner[-1] is Ellipsis):
        return _element(inner[0])[0], True
    return kind, False


def _type(kind: Any, change: Parameter) -> Any:
    """Return the click type of one value."""
    if change.type is not None:
        return change.type
    if change.comma_separated is not None:
        return NumberList(int, change.comma_separated)
    if change.minimum is not None:
        return click.IntRange(change.minimum)
    if kind == PathLike:
        return IN_DIR
    if typing.get_origin(kind) is typing.Literal:
        return click.Choice(typing.get_args(kind))
    return kind


def build(
    options: type, made: Mapping[str, click.Parameter], values: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Return the options of a stage from a command's values, and the values that are left."""
    rest = dict(values)
    fields = {name: rest.pop(parameter.name or name) for name, parameter in made.items()}
    return options(**fields), rest
