"""One path, or several."""

import os
from collections.abc import Iterable
from pathlib import Path

from wsedtk.core.types import PathLike


def as_paths(paths: PathLike | Iterable[PathLike]) -> tuple[Path, ...]:
    """Return one path, or each of several, as a tuple of paths."""
    if isinstance(paths, (str, os.PathLike)):
        return (Path(paths),)
    return tuple(map(Path, paths))
