"""Write files atomically, write and replace folders, and put locks on files and folders.

A file is written under a temporary name in the same folder. Then it is synced to the disk (fsync)
and renamed. A temporary name contains the process id and an id of the machine, so that a later
run can find and remove the temporary files of processes that have ended.
"""

import contextlib
import errno
import fcntl
import glob
import logging
import os
import platform
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from wsedtk.core.errors import InputError

if TYPE_CHECKING:
    from wsedtk.core.paths import PathLike

_LOG = logging.getLogger(__name__)


def _machine() -> str:
    """Return a short id of this machine or container. Process ids are unique within it."""
    name = platform.node()
    with contextlib.suppress(OSError):
        name += os.readlink("/proc/self/ns/pid")
    return f"{zlib.crc32(name.encode()):08x}"


_MACHINE = _machine()


def _beside(path: Path, kind: str) -> Path:
    """Return a hidden path in the folder of `path`. Only this process uses the hidden path."""
    # 40 characters have at most 160 bytes, and a file name may have 255 bytes.
    return path.parent / f".{path.name[:40]}.{_MACHINE}.{os.getpid()}.{kind}"


def _is_left_over(name: str) -> bool:
    """Return whether `name` is the temporary file or folder of a process that has ended.

    The result is False for names that other machines used. It is also False if a running process
    has the same id as the process that has ended.
    """
    match = re.fullmatch(rf"\..*\.{re.escape(_MACHINE)}\.(\d+)\.(?:tmp|old)", name, re.DOTALL)
    return (
        match is not None
        and int(match.group(1)) < 1 << 31
        and not Path("/proc", match.group(1)).exists()
    )


def remove_left_over(path: "PathLike") -> None:
    """Remove the temporary files that processes of this machine left when they were killed.

    If a process was killed between the two renames by which `writing_folder` replaces a folder, the
    old folder is restored. Nothing is removed on systems without /proc.

    Parameters
    ----------
    path : path-like
        A file or a folder. Its temporary files and the temporary files of its shards are removed.
        For a folder, the temporary files in the folder and its subfolders are removed too.
    """
    if not Path("/proc/self").exists():  # /proc shows which processes are running
        return
    path = Path(path)
    own = f".{path.name[:40]}.{_MACHINE}."
    with contextlib.suppress(OSError):
        left = [
            p
            for p in path.parent.glob(f".{glob.escape(path.stem[:40])}*")
            if _is_left_over(p.name) and (p.suffix != ".old" or p.name.startswith(own))
        ]
        for folder, folders, files in os.walk(path):
            left += [
                Path(folder, name)
                for name in (*folders, *files)
                if name.startswith(".") and _is_left_over(name)
            ]
        for found in left:
            if (
                found.suffix == ".old" and found.parent == path.parent and not path.exists()
            ):  # the process was killed between the two renames of `writing_folder`
                found.rename(path)
            elif found.is_dir():
                shutil.rmtree(found)
            else:
                found.unlink()


def hidden(path: "PathLike", kind: str) -> Path:
    """Return a hidden path in the folder of `path`. All processes get the same hidden path."""
    path = Path(path)
    # File systems allow 255 bytes in a name, and a character has up to 4 bytes. The number of a
    # shard is at the end of the name, so shards get different hidden paths.
    return path.parent / f".{path.name[-60:]}.{kind}"


def check_overwrite(path: "PathLike", read: Callable[["PathLike"], object]) -> None:
    """Check that a file, if it exists, is of the same kind as the file that will replace it.

    Parameters
    ----------
    path : path-like
        The file.
    read : callable
        A function that reads a file of the expected kind. It raises InputError if the file is of
        another kind or can't be read.

    Raises
    ------
    InputError
        If the file exists, and `read` raises InputError for it.
    """
    if Path(path).is_file():
        try:
            read(path)
        except InputError as error:
            raise InputError(
                f"{error}; the file is not overwritten; choose another path for the output, or "
                "remove the file"
            ) from None


@contextlib.contextmanager
def explained(path: "PathLike") -> Iterator[None]:
    """Convert an OSError or UnicodeEncodeError in the block to an InputError.

    The message of the InputError contains the path.
    """
    try:
        yield
    except (
        OSError,
        UnicodeEncodeError,
    ) as error:  # a name that contains lone surrogates can raise UnicodeEncodeError
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: can't be written: {reason}") from error


def make_folder(path: "PathLike") -> None:
    """Create a folder and its parents if they are missing, and check that the folder is writable.

    Raises
    ------
    InputError
        If the folder can't be created, or if it is not writable.
    """
    with explained(path):
        Path(path).mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@contextlib.contextmanager
def writing(path: "PathLike") -> Iterator[Path]:
    """Yield a temporary path. At the end of the block, rename the temporary file to `path`.

    The block must write the temporary file. The parent folders are created. If the block raises an
    exception, the temporary file is removed, and `path` is not changed.

    Raises
    ------
    InputError
        If the file can't be written, if the block raises an OSError or a UnicodeEncodeError, or if
        `path` is a folder.
    """
    path = Path(path)
    temporary = _beside(path, "tmp")
    try:
        with explained(path):
            if path.is_dir():
                raise InputError(f"{path}: is a folder; choose another path for the output file")
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
                size = os.fstat(file.fileno()).st_size
            os.replace(temporary, path)

        _LOG.debug(f"wrote {path}: {size:,} bytes")
    finally:
        with contextlib.suppress(OSError, UnicodeEncodeError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def writing_folder(path: "PathLike") -> Iterator[Path]:
    """Yield a temporary folder. At the end of the block, rename the temporary folder to `path`.

    An existing folder is replaced. The parent folders are created. If the block raises an
    exception, the temporary folder is removed, and `path` is not changed.

    Raises
    ------
    InputError
        If the folder can't be written, if the block raises an OSError or a UnicodeEncodeError, or
        if `path` is a file.
    """
    path = Path(path)
    temporary, old = _beside(path, "tmp"), _beside(path, "old")
    try:
        with explained(path):
            if path.exists() and not path.is_dir():
                raise InputError(f"{path}: is a file; choose another path for the output folder")
            temporary.mkdir(parents=True)
            yield temporary
            for written in filter(Path.is_file, temporary.rglob("*")):
                with open(written, "rb+") as file:
                    os.fsync(file.fileno())
            if path.exists():  # a rename can't replace a folder that contains files
                path.rename(old)
            temporary.rename(path)
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
        for folder in (temporary, old):
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def locking(path: "PathLike", what: "PathLike | None" = None) -> Iterator[None]:
    """Lock a file or folder within the block, so that no other process can lock it.

    The operating system releases the lock when the process ends, even if the process is killed. If
    the file system does not support locks, a warning is logged, and the block runs without a lock.

    Parameters
    ----------
    path : path-like
        The lock file. It is created at the start of the block, and removed at the end.
    what : path-like, optional
        The file or folder that is locked, for messages. By default it is the folder of the lock
        file.

    Raises
    ------
    InputError
        If the lock file can't be written, or if another process has locked it. In the second case,
        the message contains the id of the other process if the id is known.
    """
    path = Path(path)
    what = what or path.parent
    with explained(what):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+b", buffering=0)
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_held = False
        except BlockingIOError:
            is_held = True
        except OSError as error:
            _LOG.warning(
                f"{path}: can't be locked ({error.strerror}); "
                f"make sure that no other process writes to {what}"
            )
            is_held = False
        try:
            is_held = is_held or not os.path.samestat(os.stat(path), os.fstat(file.fileno()))
        except FileNotFoundError:  # another process has just removed the lock file
            is_held = True
        if is_held:
            file.seek(0)
            holder = file.read().decode()
            process = f"process {holder}" if holder else "another process"
            raise InputError(
                f"{what}: is in use by {process}; wait until that process ends, or stop it"
            )
        try:
            with explained(what):
                file.truncate(0)
                file.write(f"{os.getpid()} on {platform.node()}".encode())
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()


def remove(path: "PathLike") -> None:
    """Remove a file if it exists. Raise InputError if it can't be removed."""
    with explained(path):
        Path(path).unlink(missing_ok=True)


def write_text(path: "PathLike", text: str) -> None:
    """Write a UTF-8 text file atomically.

    Characters that UTF-8 can't encode are written as escapes. Such characters occur in paths that
    are not UTF-8.
    """
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
