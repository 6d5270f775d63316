"""Find the model directories of ready models: those in a cache, and those that wsedtk includes.

<cache>/<name>/               the model directory of a fetched ready model
<cache>/downloads/<name>/     published files of a ready model that are not converted yet
wsedtk/models/ready/<name>/   the model directory of a ready model that is part of wsedtk
"""

import os
import sys
from pathlib import Path

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike

VARIABLE = "WSEDTK_MODELS"
_INCLUDED = Path(__file__).parent.parent / "models" / "ready"


def folder() -> Path:
    """Return the folder of the fetched ready models. The folder need not exist.

    It is the value of the environment variable WSEDTK_MODELS. If the variable is not set, it is
    `wsedtk/models` in the user's folder for caches, such as ~/.cache on Linux.

    Raises
    ------
    InputError
        If the variable is not set, and the user has no home folder.
    """
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).absolute()
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "wsedtk" / "models"
    cache = os.environ.get("XDG_CACHE_HOME", "")
    if sys.platform not in ("win32", "darwin") and os.path.isabs(cache):
        return Path(cache) / "wsedtk" / "models"
    try:
        home = Path.home()
    except RuntimeError:
        raise InputError(
            f"ready models: there is no home folder to keep them in; set {VARIABLE} to a folder"
        ) from None
    parents = {"win32": home / "AppData" / "Local", "darwin": home / "Library" / "Caches"}
    return parents.get(sys.platform, home / ".cache") / "wsedtk" / "models"


def model_directory(name: str) -> Path:
    """Return the path of the model directory of a ready model. It need not exist."""
    return folder() / name


def downloads(name: str) -> Path:
    """Return the path of the folder for the published files of a ready model."""
    return folder() / "downloads" / name


def is_fetched(name: str) -> bool:
    """Return whether the model directory of a ready model exists."""
    return os.path.isfile(model_directory(name) / "model.yaml")


def included(name: str) -> Path:
    """Return the path of the model directory of a ready model that is part of wsedtk."""
    return _INCLUDED / name


def find(name: PathLike) -> Path | None:
    """Return the model directory of a ready model that is part of wsedtk or is fetched.

    None if there is no such model.
    """
    if len(Path(name).parts) != 1:
        return None
    if os.path.isfile(included(str(name)) / "model.yaml"):
        return included(str(name))
    return model_directory(str(name)) if is_fetched(str(name)) else None
