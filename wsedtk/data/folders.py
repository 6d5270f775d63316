"""Find files in folders and their subfolders.

A link to a folder is followed, unless the linked folder contains the link. Folders that can't be
entered are reported.
"""

import collections
import errno
import fnmatch
import glob
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.data.tables import first, normal

_LOG = logging.getLogger(__name__)


_REMEDY = "change its permissions, or run the command as its owner"


class Content(NamedTuple):
    """The names of the subfolders and of the files in a folder. Each list is sorted."""

    folders: list[str]
    files: list[str]


class _Scan(NamedTuple):
    """The names of the subfolders, links to folders, and files in a folder. Each list is sorted."""

    folders: list[str]
    links: list[str]
    files: list[str]


class _Waiting(NamedTuple):
    """A folder that `walk` has not visited yet.

    Attributes
    ----------
    path : str
    names : tuple of str
        The names of the folders on the path from the start of the walk to this folder. The folder
        in which the walk starts is not included.
    holders : tuple of str
        For each symbolic link on the path from the start of the walk to this folder: the real path
        of the folder that contains the link.
    """

    path: str
    names: tuple[str, ...]
    holders: tuple[str, ...]


def as_text(name: PathLike) -> str:
    """Return a file name or path as text. Bytes that are not UTF-8 are replaced by U+FFFD."""
    return os.fsencode(name).decode(errors="replace")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or a link to a folder.

    If missing permissions hide the target of a link, the link counts as a folder unless its name
    has an extension.
    """
    try:
        return entry.is_dir()
    except OSError as error:
        return error.errno == errno.EACCES and not os.path.splitext(entry.name)[1]


def _scan(folder: PathLike) -> _Scan:
    """Return the sorted names in a folder. Raise OSError if the folder can't be entered."""
    os.stat(os.path.join(folder, "."))  # fails for a folder that can be listed but not entered
    found = _Scan([], [], [])
    with os.scandir(folder) as entries:
        for entry in entries:
            if not _is_folder(entry):
                found.files.append(entry.name)
            elif entry.is_symlink():
                found.links.append(entry.name)
            else:
                found.folders.append(entry.name)
    for names in found:
        names.sort()
    return found


def _cannot_enter(folder: PathLike, error: OSError) -> str:
    """Return the message for a folder that can't be entered."""
    remedy = f"; {_REMEDY}" if isinstance(error, PermissionError) else ""
    return f"{as_text(folder)}: can't be entered ({error.strerror or error}){remedy}"


def check_reach(path: PathLike) -> None:
    """Raise InputError if missing permissions prevent entering a folder or one of its parents.

    A file or a missing path is accepted if its parents can be entered.
    """
    path = Path(path).absolute()
    for place in (*reversed(path.parents), path):
        try:
            os.stat(os.path.join(place, "."))
        except PermissionError as error:
            raise InputError(_cannot_enter(place, error)) from None
        except (OSError, ValueError):  # a file, or a missing path, which is reported later
            return


def look(folder: PathLike) -> Content:
    """Return the sorted names of the subfolders and files in a folder.

    Raises
    ------
    InputError
        If the folder can't be entered.
    """
    try:
        found = _scan(folder)
    except OSError as error:
        raise InputError(_cannot_enter(folder, error)) from None
    return Content(sorted([*found.folders, *found.links]), found.files)


def open_folders(folder: PathLike, closed: list[str]) -> list[Path]:
    """Return the sorted paths of those subfolders that can be entered.

    Parameters
    ----------
    folder : path-like
    closed : list of str
        The function appends a message to this list for each subfolder that can't be entered.

    Raises
    ------
    InputError
        If the folder itself can't be entered.
    """
    found = []
    for path in (Path(folder, name) for name in look(folder).folders):
        try:
            _scan(path)
            found.append(path)
        except OSError as error:
            closed.append(_cannot_enter(path, error))
    return found


def _holds(folder: str, other: str) -> bool:
    """Return whether `folder` contains `other` or is equal to it. Both are real paths."""
    return os.path.commonpath([folder, other]) == folder


def _warn(folder: PathLike, closed: Sequence[str], loops: Sequence[str]) -> None:
    """Warn of folders that can't be entered, and of links whose target contains the link."""
    if closed:
        _LOG.warning(
            f"{as_text(folder)}: folders that can't be entered are left out: "
            f"{first(closed)}; change their permissions, or run the command as their owner"
        )
    if loops:
        _LOG.warning(
            f"{as_text(folder)}: links to a folder that contains them are not followed: "
            f"{first(list(map(as_text, loops)))}; remove these links"
        )


def _is_visible(names: tuple[str, ...]) -> bool:
    return not names[-1].startswith(".")


def walk(
    folder: PathLike, may_enter: Callable[[tuple[str, ...]], bool] = _is_visible
) -> Iterator[tuple[str, list[str]]]:
    """Yield the path and the sorted file names of each folder in a tree, starting with `folder`.

    Each folder is visited once, even if several paths lead to it. Links to folders are followed
    last. A link whose target contains the link is not followed. At the end, warnings name the first
    of these links, and the first folders that can't be entered.

    Parameters
    ----------
    folder : path-like
    may_enter : callable, optional
        A function that takes the path of a subfolder relative to `folder`, as a tuple of names. If
        the function returns False, the subfolder is skipped. By default, folders whose names begin
        with a dot are skipped.

    Raises
    ------
    InputError
        If `folder` itself can't be entered.
    """
    seen: set[str] = set()
    loops: list[str] = []
    closed: list[str] = []
    waiting = [_Waiting(os.fspath(folder), (), ())]
    links: collections.deque[_Waiting] = collections.deque()
    while waiting or links:
        path, names, holders = waiting.pop() if waiting else links.popleft()
        real = os.path.realpath(path)
        if any(_holds(real, holder) for holder in holders):
            loops.append(path)
            continue
        if real in seen:
            continue
        seen.add(real)
        try:
            found = _scan(path)
        except OSError as error:
            if not names:
                raise InputError(_cannot_enter(folder, error)) from None
            closed.append(f"{as_text(path)} ({error.strerror or error})")
            continue
        yield path, found.files
        for name in reversed(found.folders):  # the last item is popped first
            if may_enter((*names, name)):
                waiting.append(_Waiting(os.path.join(path, name), (*names, name), holders))
        for name in found.links:
            if may_enter((*names, name)):
                inside = (*holders, real)
                links.append(_Waiting(os.path.join(path, name), (*names, name), inside))
    _warn(folder, closed, loops)


def _fits(name: str, pattern: str) -> bool:
    """Return whether a name matches a pattern.

    A name that begins with a dot matches only patterns that begin with a dot.
    """
    is_visible = pattern.startswith(".") or not name.startswith(".")
    return is_visible and fnmatch.fnmatch(normal(name), normal(pattern))


def _match(names: tuple[str, ...], pattern: tuple[str, ...], is_beginning: bool = False) -> bool:
    """Return whether a path matches a pattern. Both are tuples of names.

    Parameters
    ----------
    names, pattern : tuple of str
    is_beginning : bool
        Whether a path also matches if it is the beginning of a longer path that could match.
    """
    if not pattern or (is_beginning and not names):
        return not names
    if pattern == ("**",) and not is_beginning:  # a final "**" also matches file names
        return bool(names) and not any(name.startswith(".") for name in names)
    if pattern[0] == "**":
        if _match(names, pattern[1:], is_beginning):
            return True
        is_visible = bool(names) and not names[0].startswith(".")
        return is_visible and _match(names[1:], pattern, is_beginning)
    if not names or not _fits(names[0], pattern[0]):
        return False
    return _match(names[1:], pattern[1:], is_beginning)


def matching(pattern: PathLike) -> list[Path]:
    """Find files by a pattern. Return their sorted paths.

    The pattern must contain at least one of `*`, `?`, `[abc]` and `**`.
    """
    parts = Path(pattern).parts
    magic = (number for number, part in enumerate(parts) if glob.has_magic(part))
    start = next(magic, len(parts))
    base = Path(*parts[:start])
    return below(base, parts[start:]) if os.path.isdir(base) else []


def below(folder: PathLike, pattern: tuple[str, ...]) -> list[Path]:
    """Find files in a folder and its subfolders by a pattern. Return their sorted paths.

    The pattern is relative to the folder. It is given as a tuple: `a/*.wav` is `("a", "*.wav")`.
    """
    found = []
    for path, files in walk(folder, lambda names: _match(names, pattern, is_beginning=True)):
        names = Path(path).relative_to(folder).parts
        found += [Path(path, file) for file in files if _match((*names, file), pattern)]
    return sorted(found)
