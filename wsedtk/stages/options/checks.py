"""Check the values of options.

A Python caller can pass any value as an option. On the command line, the types of the parameters
already reject most wrong values.
"""

import math
import os
import types
import typing
from collections.abc import Sequence

from wsedtk.core.errors import InputError


def check_fields(options: object) -> None:
    """Check the fields of a dataclass that are annotated with Literal or Sequence.

    Raises
    ------
    InputError
        If a field with a Literal has a value that the Literal does not list (None is accepted if
        the annotation allows None), or if a field that accepts a sequence and does not accept a
        single text has a single text, path or number as its value.
    """
    for name, kind in typing.get_type_hints(type(options)).items():
        if name == "_":  # dataclasses.KW_ONLY
            continue
        value, choices = getattr(options, name), _choices(kind)
        if choices and value not in choices:
            expected = " or ".join(map(repr, choices))
            raise InputError(f"{name}: found {value!r}; expected {expected}")
        alternatives = typing.get_args(kind) if _is_union(kind) else (kind,)
        takes_several = any(typing.get_origin(one) is Sequence for one in alternatives)
        is_single = isinstance(value, (str, os.PathLike, int, float))
        if takes_several and is_single and str not in alternatives:
            raise InputError(f"{name}: found {value!r}; expected a sequence, such as [{value!r}]")


def _is_union(kind: object) -> bool:
    return typing.get_origin(kind) in (types.UnionType, typing.Union)


def _choices(kind: object) -> list[object]:
    """Return the values that the Literal in an annotation lists.

    If the annotation also allows None, None is the last item. If the annotation has no Literal, the
    list is empty.
    """
    if typing.get_origin(kind) is typing.Literal:
        return list(typing.get_args(kind))
    if not _is_union(kind):
        return []
    found = [value for inner in typing.get_args(kind) for value in _choices(inner)]
    return [*found, None] if found and type(None) in typing.get_args(kind) else found


def check_range(name: str, value: float, low: float, high: float | None = None) -> None:
    """Check that a number is from `low` to `high`. NaN is outside every range.

    If `high` is None, there is no upper limit.

    Raises
    ------
    InputError
        If the number is not in the range.
    """
    if high is None and not low <= value:
        raise InputError(f"{name}: found {value}; expected a number of at least {low:g}")
    if high is not None and not low <= value <= high:
        raise InputError(f"{name}: found {value}; expected a number from {low:g} to {high:g}")


def check_numbers(name: str, values: Sequence[float]) -> None:
    """Check that there is at least one number, and that all numbers are finite and at least 0.

    Raises
    ------
    InputError
        If there is no number, or if a number is negative, infinite or NaN.
    """
    if not values:
        raise InputError(f"{name}: found none; expected at least one number")
    for value in values:
        check_range(name, value, 0)
        if math.isinf(value):
            raise InputError(f"{name}: found {value}; expected a finite number")
