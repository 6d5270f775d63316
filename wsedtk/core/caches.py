"""Provide writable cache folders to other libraries, or prevent unneeded cache folders."""

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


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    for place in (None, "/dev/shm"):  # None stands for TMPDIR, /tmp and other default folders
        with contextlib.suppress(OSError):
            return tempfile.TemporaryDirectory(prefix="wsedtk-", dir=place)
    raise InputError("no folder for temporary files is writable; set TMPDIR to a writable folder")


def _matplotlib_folders() -> list[Path]:
    """Return the folders in which matplotlib stores its settings and its font list."""
    if os.environ.get("MPLCONFIGDIR"):
        return [Path(os.environ["MPLCONFIGDIR"])]
    return [
        Path(os.environ.get(variable) or Path.home() / name) / "matplotlib"
        for variable, name in (("XDG_CONFIG_HOME", ".config"), ("XDG_CACHE_HOME", ".cache"))
    ]


def _matplotlib_has_folders() -> bool:
    """Create the folders of matplotlib if they are missing. Return whether they are writable."""
    try:
        folders = _matplotlib_folders()
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: the user has no home folder
        return False
    return all(os.access(folder, os.W_OK | os.X_OK) for folder in folders)


@contextlib.contextmanager
def matplotlib_importable() -> Iterator[None]:
    """Import matplotlib and load its font list before the block.

    If the folders of matplotlib are not writable, matplotlib uses a temporary folder until the end
    of the block. Without the temporary folder, matplotlib would print a warning, or fail for users
    who have no home folder.

    Raises
    ------
    InputError
        If no temporary folder can be created.
    """
    logger = logging.getLogger("matplotlib")
    level = logger.level
    with contextlib.ExitStack() as stack:
        if not _matplotlib_has_folders():
            folder = stack.enter_context(_temporary_folder())
            stack.enter_context(environment("MPLCONFIGDIR", folder))
        logger.setLevel(logging.ERROR)  # no warning if the disk is too full for the font list
        stack.callback(logger.setLevel, level)
        import matplotlib.font_manager  # noqa: F401

        yield


@contextlib.contextmanager
def torch_without_compiler_cache() -> Iterator[None]:
    """Prevent torch from creating a temporary cache folder for its compiler within the block.

    The first optimiser that torch creates imports the compiler, which wsedtk does not use. On
    import, the compiler creates the folder that the variable TORCHINDUCTOR_CACHE_DIR names. If the
    variable is not set, the compiler creates a folder in the folder for temporary files. In this
    case, this function sets the variable to the root folder until the end of the block. The
    compiler then creates no folder, because the root folder exists. If the user has set the
    variable, this function does not change it.
    """
    if os.environ.get("TORCHINDUCTOR_CACHE_DIR"):
        yield
        return
    with environment("TORCHINDUCTOR_CACHE_DIR", os.sep):
        yield
