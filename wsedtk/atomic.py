"""Writing that nobody sees half of: to a temporary name in the same folder, fsync, rename."""

import contextlib
import fcntl
import os
import platform
import shutil
from pathlib import Path

from wsedtk.errors import InputError


@contextlib.contextmanager
def writing(path):
    """Yield a temporary path to write to; on success it becomes `path`, on any error it is removed.

    Makes the parent folders. Raises InputError where the folder or the disk refuses.
    """
    path = Path(path)
    temporary = path.parent / f".{path.name[:40]}.{os.getpid()}.tmp"  # 40 characters take at most 160 of a name's 255 bytes
    try:
        if path.is_dir():
            raise InputError(f"{path}: a folder; name a file to write")
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: can't be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def writing_folder(path):
    """Yield a temporary folder to fill; on success it becomes `path`, in the place of a folder there, on any error it is removed.

    Makes the parent folders. Raises InputError where the disk refuses, or `path` is a file.
    """
    path = Path(path)
    temporary, old = (path.parent / f".{path.name[:40]}.{os.getpid()}.{kind}" for kind in ("tmp", "old"))
    try:
        if path.exists() and not path.is_dir():
            raise InputError(f"{path}: a file; name a folder to write")
        temporary.mkdir(parents=True)
        yield temporary
        for written in temporary.iterdir():
            with open(written, "rb+") as file:
                os.fsync(file.fileno())
        if path.exists():  # a folder that holds something can't be replaced in one step
            path.rename(old)
        temporary.rename(path)
    except OSError as error:
        raise InputError(f"{path}: can't be written: {error.strerror or error}") from error
    finally:
        for folder in (temporary, old):
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def locking(path):
    """Hold a lock file while the block runs. Raises InputError, naming the process, where another one holds it.

    The system lets go of the lock when the process ends, however it ends; the file stays.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: can't be written: {error.strerror or error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise InputError(f"{path.parent}: process {holder} is at work there; wait for it, or end it") from None
        file.truncate(0)
        file.write(f"{os.getpid()} on {platform.node()}")
        file.flush()
        yield


def write_text(path, text):
    """Write a whole UTF-8 text file atomically."""
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
