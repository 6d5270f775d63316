"""Writing that nobody sees half of: to a temporary name in the same folder, fsync, rename. Locks."""

import contextlib
import errno
import fcntl
import glob
import os
import platform
import re
import shutil
import zlib
from pathlib import Path

from wsedtk.core.errors import InputError


def _place():
    """What tells apart the machines, and the containers of one, in which a process number means something."""
    name = platform.node()
    with contextlib.suppress(OSError):
        name += os.readlink("/proc/self/ns/pid")
    return f"{zlib.crc32(name.encode()):08x}"


_PLACE = _place()


def _beside(path, kind):
    """A hidden name beside a path, this process's own. 40 characters take at most 160 of a name's 255 bytes."""
    return path.parent / f".{path.name[:40]}.{_PLACE}.{os.getpid()}.{kind}"


def _is_left_over(name):
    """Whether a name is one of `_beside`'s, of a process of this machine that has ended without removing it."""
    match = re.fullmatch(rf"\..*\.{re.escape(_PLACE)}\.(\d+)\.(?:tmp|old)", name, re.DOTALL)
    return (
        match is not None
        and int(match.group(1)) < 1 << 31
        and not Path("/proc", match.group(1)).exists()
    )


def remove_left_over(path):
    """Remove what killed processes of this machine left half written of a file and of its shards, or in a folder."""
    if not Path("/proc/self").exists():  # no telling who is alive
        return
    path = Path(path)
    with contextlib.suppress(OSError):
        left = [
            p for p in path.parent.glob(f".{glob.escape(path.stem[:40])}*") if _is_left_over(p.name)
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
            ):  # killed between two renames
                found.rename(path)
            elif found.is_dir():
                shutil.rmtree(found)
            else:
                found.unlink()


def hidden(path, kind):
    """A hidden name beside a path, the same for every process. The end of a name, which is kept, tells shards apart."""
    path = Path(path)
    return path.parent / f".{path.name[-60:]}.{kind}"


def check_overwrite(path, read):
    """Raise InputError where a file lies at a path that `read`(path), of the kind that is to be written, does not take."""
    if Path(path).is_file():
        try:
            read(path)
        except InputError as error:
            raise InputError(
                f"{error}; it is not overwritten: name another output, or remove it"
            ) from None


@contextlib.contextmanager
def _telling(path):
    """Turn an OSError into an InputError that says what can't be written."""
    try:
        yield
    except (OSError, UnicodeEncodeError) as error:  # the latter: names that are no text
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: can't be written: {reason}") from error


def make_folder(path):
    """Make a folder to write files into, and the folders above it, where it is missing.

    Raises InputError where it can't be made or written.
    """
    with _telling(path):
        Path(path).mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@contextlib.contextmanager
def writing(path):
    """Yield a temporary path to write to; on success it becomes `path`, on any error it is removed.

    Makes the parent folders. Raises InputError where the folder or the disk refuses.
    """
    path = Path(path)
    temporary = _beside(path, "tmp")
    try:
        with _telling(path):
            if path.is_dir():
                raise InputError(f"{path}: a folder; name a file to write")
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
                size = os.fstat(file.fileno()).st_size
            os.replace(temporary, path)
        from wsedtk.core.progress import detail  # tqdm, which `wsedtk --help` needs not wait for

        detail(f"wrote {path}: {size:,} bytes")
    finally:
        with contextlib.suppress(OSError, UnicodeEncodeError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def writing_folder(path):
    """Yield a temporary folder to fill; on success it becomes `path`, in the place of a folder there, on any error it is removed.

    Makes the parent folders. Raises InputError where the disk refuses, or `path` is a file.
    """
    path = Path(path)
    temporary, old = _beside(path, "tmp"), _beside(path, "old")
    try:
        with _telling(path):
            if path.exists() and not path.is_dir():
                raise InputError(f"{path}: a file; name a folder to write")
            temporary.mkdir(parents=True)
            yield temporary
            for written in filter(Path.is_file, temporary.rglob("*")):
                with open(written, "rb+") as file:
                    os.fsync(file.fileno())
            if path.exists():  # a folder that holds something can't be replaced in one step
                path.rename(old)
            temporary.rename(path)
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
        for folder in (temporary, old):
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def locking(path, what=None):
    """Hold a lock file while the block runs. Raises InputError, naming the process, where another one holds it.

    what: what is locked, for that message; the lock's folder unless given. The system lets go of the lock when the process ends,
    however it ends; a lock file that a killed process left is taken over.
    """
    path, what = Path(path), what or Path(path).parent
    with _telling(what):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+b", buffering=0)
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_held = False
        except BlockingIOError:
            is_held = True
        except OSError as error:
            from wsedtk.core.progress import say

            say(
                f"warning: {path}: can't be locked here ({error.strerror}): take care that no other process writes there"
            )
            is_held = False
        try:
            is_held = is_held or not os.path.samestat(os.stat(path), os.fstat(file.fileno()))
        except FileNotFoundError:  # its holder has just removed it
            is_held = True
        if is_held:
            file.seek(0)
            raise InputError(
                f"{what}: process {file.read().decode() or 'unknown'} is at work there; wait for it, or end it"
            )
        try:
            with _telling(what):
                file.truncate(0)
                file.write(f"{os.getpid()} on {platform.node()}".encode())
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()


def remove(path):
    """Remove a file where there is one. Raises InputError where the folder refuses."""
    with _telling(path):
        Path(path).unlink(missing_ok=True)


def write_text(path, text):
    """Write a whole UTF-8 text file atomically.

    What is no text, as of paths that are not UTF-8, is written with escapes.
    """
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
