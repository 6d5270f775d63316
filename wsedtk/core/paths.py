"""Define the type of paths in signatures, and convert one or several paths to a tuple."""

import os
from collections.abc import Iterable
from pathlib import Path

PathLike = str | os.PathLike[str]


def as_paths(paths: PathLike | Iterable[PathLike]) -> tuple[Path, ...]:
    """Return one path or several paths as a tuple of paths."""
    if isinstance(paths, (str, os.PathLike)):
        return (Path(paths),)
    return tuple(map(Path, paths))
