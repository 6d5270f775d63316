"""Check the paths of the inputs and outputs of a command."""

import contextlib
import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from wsedtk.cli.options import IN_DIR, OUT
from wsedtk.cli.value_types import Added
from wsedtk.core.errors import InputError

Values = Mapping[str, Any]
"""The values of the parameters of a command, by name."""

_MAX_NAMES = 10000  # largest number of names in a folder that are searched for a similar name


def values_of(value: Any) -> Sequence[Any]:
    """Return the values of a parameter as a sequence. The sequence is empty for None."""
    if value is None:
        return []
    return list(value) if isinstance(value, tuple) else [value]


def _paths(command: click.Command, options: Values, kind: click.Path) -> Iterator[Path]:
    """Yield the paths of a command's inputs (kind IN_DIR) or outputs (kind OUT)."""
    for parameter in command.params:
        if parameter.type is kind or (kind is IN_DIR and isinstance(parameter.type, Added)):
            yield from map(Path, values_of(options[str(parameter.name)]))


def check_outputs(command: click.Command, options: Values) -> None:
    """Check the outputs of a command.

    Raises
    ------
    InputError
        If an output is also an input of the command, or if the name of an output does not end in
        the expected extension.
    """
    inputs = {os.path.realpath(path) for path in _paths(command, options, IN_DIR)}
    for parameter in command.params:
        for path in values_of(options[str(parameter.name)]) if parameter.type is OUT else ():
            suffix = Path(parameter.metavar or "").suffix
            if suffix and path.suffix != suffix:
                raise InputError(
                    f"{path}: the output of `{command.name}` must have a name that ends in {suffix}"
                )
            if os.path.realpath(path) in inputs:
                raise InputError(
                    f"{path}: is an input of this command and would be overwritten; choose another "
                    "output"
                )


def check_inputs(command: click.Command, options: Values) -> None:
    """Raise InputError if an input folder, or a parent folder of an input, cannot be entered."""
    from wsedtk.data.folders import check_reach

    for path in _paths(command, options, IN_DIR):
        check_reach(path)


def _names(folder: Path) -> list[str]:
    """Return up to `_MAX_NAMES` names in a folder, sorted.

    Names that begin with a period are left out. All shards of a file are listed as one name.
    """
    with os.scandir(folder) as entries:
        names = [entry.name for entry in itertools.islice(entries, _MAX_NAMES)]
    without_shard = {re.sub(r"\.\d+-of-\d+(?=\.\w+$)", "", name) for name in names}
    return sorted(name for name in without_shard if not name.startswith("."))


def _near_path(path: Path) -> Path | None:
    """Return the existing path that is most similar to a missing path.

    Return None if no existing path is similar, or if `path` is not missing.
    """
    from wsedtk.core.config import nearest
    from wsedtk.core.provenance import files_of

    found = Path()
    try:
        if files_of(path):
            return None
        for part in path.parts:
            near: str | None = part
            if not (found / part).exists():
                near = nearest(part, _names(found))
            if near is None:
                return None
            found /= near
    except OSError:  # a part of the path is a file, not a folder, or cannot be read
        return None
    return None if found == path else found


@contextlib.contextmanager
def suggesting(command: click.Command, options: Values) -> Iterator[None]:
    """If an InputError within the block is about a missing input, suggest a similar path."""
    try:
        yield
    except InputError as error:
        lines = str(error).split("\n")
        for path in _paths(command, options, IN_DIR):
            named = re.compile(rf"(^|\s){re.escape(str(path))}([:/,]|$)")
            for number, line in enumerate(lines):
                if named.search(line) and "did you mean" not in line:
                    if near := _near_path(path):
                        lines[number] += f"; did you mean {str(near)!r}?"
                    break
        if lines == str(error).split("\n"):
            raise
        raise InputError("\n".join(lines)) from error
