"""Command-line parameters from the dataclass of a stage's options.

The dataclass is the one place for the defaults and the help texts: the help of a parameter is its
description in the class's docstring (NumPy style). A field becomes a parameter of its own name:

    a path, without a default              an argument
    a tuple of paths, without a default    an argument that takes several values
    bool                                   a flag
    Literal                                a choice
    a tuple, with a default                an option that can be repeated
    a tuple or None                        an option whose type makes a tuple of its value
    the rest                               an option

A command overrides what differs with a `Parameter`.
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
    help : str, optional
        The help text.
    required : bool
        Whether an option must be given.
    show_default : bool
        Whether the help shows the default.
    default : str, optional
        The default as typed, for a type that converts text.
    hidden_from_cli : bool
        Whether the command line has no such parameter.
    """

    flag: str | None = None
    key: str | None = None
    type: "click.ParamType[Any] | None" = None
    metavar: str | None = None
    help: str | None = None
    required: bool = False
    show_default: bool = True
    default: str | None = None
    hidden_from_cli: bool = False


_DEFAULT = Parameter()


def descriptions(options: type) -> dict[str, str]:
    """Return {field: description} from the Parameters section of a class's NumPy docstring."""
    lines = inspect.cleandoc(options.__doc__ or "").splitlines()
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
    return {
        name: _parameter(field, kinds[name], changes.get(name, _DEFAULT), texts.get(name, ""))
        for name, field in fields.items()
        if not changes.get(name, _DEFAULT).hidden_from_cli
    }


def _parameter(
    field: "dataclasses.Field[Any]", kind: Any, change: Parameter, text: str
) -> click.Parameter:
    """Return the click parameter of a field, whose annotation is `kind`."""
    key = change.key or field.name
    kind, several = _element(kind)
    settings: dict[str, Any] = {"type": change.type or _type(kind), "metavar": change.metavar}
    needed = field.default is dataclasses.MISSING
    is_argument = needed and not field.kw_only and change.flag is None
    if is_argument:
        if several:
            settings |= {"nargs": -1, "required": True}
        return click.Argument([key], **settings)
    settings |= {"help": change.help or text, "show_default": change.show_default}
    if needed or change.required:
        settings["required"] = True
    elif not several:
        settings["default"] = field.default if change.default is None else change.default
    if kind is bool:
        settings |= {"is_flag": True, "type": None}
    if several and (change.default is not None or field.default is None):
        settings["default"] = change.default  # the type converts one text to a tuple
    elif several:
        settings["multiple"] = True
    return click.Option([change.flag or "--" + field.name.replace("_", "-"), key], **settings)


def _element(kind: Any) -> tuple[Any, bool]:
    """Return the type of one value, and whether a field takes several."""
    if kind == PathLike:
        return kind, False
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        inner = [one for one in typing.get_args(kind) if one is not type(None)]
        for one in inner:
            if typing.get_origin(one) in (tuple, Sequence):
                return _element(one)
        return (PathLike if set(inner) == set(_PATHS) else inner[0]), False
    if typing.get_origin(kind) in (tuple, Sequence):
        return _element(typing.get_args(kind)[0])[0], True
    return kind, False


def _type(kind: Any) -> Any:
    """Return the click type of a field's values."""
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
