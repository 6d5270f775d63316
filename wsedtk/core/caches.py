"""The cache folders of other libraries: none has to be writable, and none is left behind."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from wsedtk.core.errors import InputError


@contextlib.contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """Set an environment variable within the block."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


def _temporary_folder():
    """Return a tempfile.TemporaryDirectory. Raises InputError where none can be made."""
    for place in (None, "/dev/shm"):  # None: TMPDIR, /tmp and others
        with contextlib.suppress(OSError):
            return tempfile.TemporaryDirectory(prefix="wsedtk-", dir=place)
    raise InputError("no folder for temporary files can be written; set TMPDIR to one that can")


def _matplotlib_folders():
    """Return matplotlib's folders for settings and the list of fonts, as it chooses them itself."""
    if os.environ.get("MPLCONFIGDIR"):
        return [Path(os.environ["MPLCONFIGDIR"])]
    return [
        Path(os.environ.get(variable) or Path.home() / name) / "matplotlib"
        for variable, name in (("XDG_CONFIG_HOME", ".config"), ("XDG_CACHE_HOME", ".cache"))
    ]


def _matplotlib_has_folders():
    """Whether matplotlib's own folders can be made and written."""
    try:
        folders = _matplotlib_folders()
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: the user has no home
        return False
    return all(os.access(folder, os.W_OK | os.X_OK) for folder in folders)


@contextlib.contextmanager
def matplotlib_importable():
    """Import matplotlib, with its list of fonts, whether or not its folders can be written.

    It then gets a temporary folder, which it needs for the import alone. By itself it makes one
    with a warning, and raises an exception where the user has no home.
    """
    logger = logging.getLogger("matplotlib")
    level = logger.level
    with contextlib.ExitStack() as stack:
        if not _matplotlib_has_folders():
            folder = stack.enter_context(_temporary_folder())
            stack.enter_context(environment("MPLCONFIGDIR", folder))
        logger.setLevel(logging.ERROR)  # it warns of a list of fonts that a full disk doesn't take
        stack.callback(logger.setLevel, level)
        import matplotlib.font_manager  # noqa: F401

        yield


@contextlib.contextmanager
def torch_without_compiler_cache():
    """Keep torch from making a folder for its compiler, which the first optimiser imports.

    The compiler is not used. It makes the folder that the variable names, where it is missing, and
    without the variable one in the folder for temporary files, which is then left behind.
    """
    if os.environ.get("TORCHINDUCTOR_CACHE_DIR"):
        yield
        return
    with environment("TORCHINDUCTOR_CACHE_DIR", os.sep):
        yield
