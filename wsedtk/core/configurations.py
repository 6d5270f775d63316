"""Find the configurations in the folder wsedtk/configurations by their names.

The configuration in the file wsedtk/configurations/dcase2017/ours.yaml has the full name
`dcase2017/ours` and the short name `ours`.
"""

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from wsedtk.core.errors import InputError

if TYPE_CHECKING:
    from wsedtk.core.paths import PathLike

FOLDER = Path(__file__).parent.parent / "configurations"


def names() -> list[str]:
    """Return the full names of all configurations, sorted."""
    return sorted(f"{path.parent.name}/{path.stem}" for path in FOLDER.glob("*/*.yaml"))


def find(name_or_path: "PathLike") -> Path:
    """Return the path of a configuration.

    Parameters
    ----------
    name_or_path : path-like
        The path of a file, the full name of a configuration, such as `mini/crnn_linear`, or the
        short name of a configuration, such as `ours`. If both a file and a configuration have this
        name, the file is used.

    Returns
    -------
    Path
        The path of the file or of the configuration. If neither of them exists, and `name_or_path`
        can't be the name of a configuration, `name_or_path` is returned as a path. It can't be the
        name of a configuration if it has a suffix, more than one slash or a slash at its beginning,
        or if it is the path of a folder or of a broken link.

    Raises
    ------
    InputError
        If `name_or_path` is the short name of several configurations. If `name_or_path` could be
        the name of a configuration, but neither a file nor a configuration has this name. If
        `name_or_path` is the name of a configuration followed by `.yaml`, and no such file exists.
    """
    path = Path(name_or_path)
    if os.path.exists(path) and not path.is_dir():
        return path
    name = path.as_posix()
    known = names()
    found = [one for one in known if name in (one, _short(one))]
    if len(found) == 1:
        return FOLDER / f"{found[0]}.yaml"
    if found:
        raise InputError(
            f"{path}: several configurations have this name; give one of {', '.join(found)}"
        )
    without_suffix = name.removesuffix(".yaml")
    alike = [one for one in known if without_suffix in (one, _short(one))]
    if alike:
        raise InputError(
            f"{path}: no such file; did you mean the installed configuration "
            f"{' or '.join(map(repr, alike))}?"
        )
    if path.suffix or len(path.parts) > 2 or path.is_absolute() or os.path.lexists(path):
        return path
    raise InputError(f"{path}: no such file, and no such configuration; {_suggest(name, known)}")


def _short(name: str) -> str:
    return name.partition("/")[2]


def _suggest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if "/" not in name or not near:
        alike = difflib.get_close_matches(_short(name) or name, map(_short, known), n=1)
        near = [one for one in known if _short(one) in alike]
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    return f"known: {', '.join(known)}"
