"""Create command-line parameters from a dataclass that contains the options of a stage.

The dataclass defines the defaults and the help texts. The help of a parameter is its description in
the docstring of the class (NumPy style). Each field becomes a parameter with the name of the field.
The kind of the parameter depends on the field:

    without a default                  an argument
    a sequence without a default       an argument that takes several values
    with a default, or keyword-only    an option
    a sequence with a default          an option that can be repeated
    bool with a default                a flag
    Literal                            a parameter with choices

A keyword-only field without a default becomes a required option.

A command changes these rules for single fields with a `Parameter`. In the options of a corpus, the
changes are in the metadata of the field, under the names that they have in `Parameter`:

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
    """Settings of a parameter. They replace the settings that are derived from its field.

    Parameters
    ----------
    flag : str, optional
        The name of an option, such as "--set". If it is given, an argument becomes an option.
    key : str, optional
        The name of the parameter in records. By default, the name of the field.
    type : click.ParamType, optional
        The type of the values. The type OUT marks outputs, and the type IN_DIR marks inputs. By
        default, paths have the type IN_DIR.
    metavar : str, optional
        The name of the value in the help.
    required : bool, optional
        Whether the parameter is required. By default, a parameter is required if its field has no
        default.
    minimum : int, optional
        The smallest valid value. If it is given, the values are whole numbers.
    comma_separated : str, optional
        The word that messages use for the numbers. If it is given, the value is a list of whole
        numbers with commas between them.
    hidden_from_cli : bool
        Whether the command line has no parameter for the field.
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
    """Return {field: description} from the NumPy docstrings of a class and its base classes.

    The descriptions are read from the sections called Parameters.
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
    """Return {field: click parameter} for a dataclass that contains the options of a stage.

    Fields with `hidden_from_cli` are left out.

    Raises
    ------
    TypeError
        If a key of `changes` is not a field of the dataclass.
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
    """Return the click parameter of a field. `kind` is the annotation of the field."""
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
    """Return the default of a list of numbers as a text with commas between the numbers."""
    return None if numbers is None else ",".join(f"{number:g}" for number in numbers)


def _element(kind: Any) -> tuple[Any, bool]:
    """Return the type of one value of a field, and whether the field takes several values."""
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
    """Split the values of a command into the options of a stage and the remaining values."""
    rest = dict(values)
    fields = {name: rest.pop(parameter.name or name) for name, parameter in made.items()}
    return options(**fields), rest
