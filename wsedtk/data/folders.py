"""What folders of users hold, at any depth: one way to walk them for all verbs.

Links to folders are followed, unless they form a loop. Folders that can't be entered are named.
"""

import collections
import errno
import fnmatch
import glob
import os
from pathlib import Path

from wsedtk.core.errors import InputError
from wsedtk.core.progress import say
from wsedtk.data.tables import first, normal

_REMEDY = "change its permissions, or run as its owner"


def as_text(name):
    """A file's name or path as text, whatever the file system holds."""
    return os.fsencode(name).decode(errors="replace")


def _is_folder(entry):
    """Whether an os.DirEntry is a folder, or a link to one.

    A link whose target can't be examined counts as a folder unless its name has an extension.
    """
    try:
        return entry.is_dir()
    except OSError as error:
        return error.errno == errno.EACCES and not os.path.splitext(entry.name)[1]


def _scan(folder):
    """The names of the folders, of the links to folders and of the files in a folder, each sorted.

    Raises OSError where it can't be entered.
    """
    os.stat(os.path.join(folder, "."))  # fails where its names may be read, and no more
    folders, links, files = [], [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not _is_folder(entry):
                files.append(entry.name)
            elif entry.is_symlink():
                links.append(entry.name)
            else:
                folders.append(entry.name)
    return sorted(folders), sorted(links), sorted(files)


def _refused(folder, error):
    """The message that a folder can't be entered."""
    return f"{as_text(folder)}: can't be entered ({error.strerror or error}); {_REMEDY}"


def check_reach(path):
    """Raise InputError that names the first folder, on the way to a path, that can't be entered."""
    path = Path(path).absolute()
    for place in (*reversed(path.parents), path):
        try:
            os.stat(os.path.join(place, "."))
        except PermissionError as error:
            raise InputError(_refused(place, error)) from None
        except (OSError, ValueError):  # a file, or nothing, which is told elsewhere
            return


def look(folder):
    """The names of the folders and of the files in a folder, each sorted.

    Raises InputError where it can't be entered.
    """
    try:
        folders, links, files = _scan(folder)
    except OSError as error:
        raise InputError(_refused(folder, error)) from None
    return sorted([*folders, *links]), files


def open_folders(folder, closed):
    """The folders in a folder that can be entered, as sorted paths.

    Messages about the others are added to the list `closed`. Raises InputError where the folder
    itself can't be entered.
    """
    found = []
    for path in (Path(folder, name) for name in look(folder)[0]):
        try:
            _scan(path)
            found.append(path)
        except OSError as error:
            closed.append(_refused(path, error))
    return found


def _holds(folder, other):
    """Whether a folder is another or lies above it, both being real paths."""
    return os.path.commonpath([folder, other]) == folder


def _warn(folder, closed, loops):
    """Warn of folders below a folder that can't be entered, and of links that form loops."""
    if closed:
        say(
            f"warning: {as_text(folder)}: folders that can't be entered are left out: "
            f"{first(closed)}; change their permissions, or run as their owner"
        )
    if loops:
        say(
            f"warning: {as_text(folder)}: links to a folder that they lie in are not followed: "
            f"{first(list(map(as_text, loops)))}; remove them"
        )


def _is_visible(names):
    return not names[-1].startswith(".")


def walk(folder, may_enter=_is_visible):
    """Yield (path, sorted names of the files in it) of a folder and of all folders below it.

    Each folder is visited once, those behind links after all others. Folders that can't be entered
    and links that form loops are warned of at the end.

    may_enter: a function of the names from `folder` to one below it, a tuple; where it is false
    that folder is passed over. By default those are hidden folders, whose names begin with a dot.
    Raises InputError where `folder` itself can't be entered.
    """
    seen, loops, closed = set(), [], []
    waiting, links = [(os.fspath(folder), (), ())], collections.deque()  # (path, names, holders)
    while waiting or links:  # holders: real paths of the folders whose links led here
        path, names, holders = waiting.pop() if waiting else links.popleft()
        real = os.path.realpath(path)
        if any(_holds(real, holder) for holder in holders):
            loops.append(path)
            continue
        if real in seen:
            continue
        seen.add(real)
        try:
            inside, linked, files = _scan(path)
        except OSError as error:
            if not names:
                raise InputError(_refused(folder, error)) from None
            closed.append(f"{as_text(path)} ({error.strerror or error})")
            continue
        yield path, files
        kinds = ((waiting, inside[::-1], holders), (links, linked, (*holders, real)))
        for kind, found, way in kinds:
            for name in found:
                if may_enter((*names, name)):
                    kind.append((os.path.join(path, name), (*names, name), way))
    _warn(folder, closed, loops)


def _fits(name, pattern):
    """Whether a pattern stands for a name; for a hidden one only if it begins with a dot too."""
    is_visible = pattern.startswith(".") or not name.startswith(".")
    return is_visible and fnmatch.fnmatch(normal(name), normal(pattern))


def _match(names, pattern, is_beginning=False):
    """Whether a pattern stands for a path, both as tuples of names.

    is_beginning: whether it may stand for a path that begins so.
    """
    if not pattern or (is_beginning and not names):
        return not names
    if pattern == ("**",) and not is_beginning:  # the last name is that of a file, not of a folder
        return bool(names) and not any(name.startswith(".") for name in names)
    if pattern[0] == "**":
        if _match(names, pattern[1:], is_beginning):
            return True
        is_visible = bool(names) and not names[0].startswith(".")
        return is_visible and _match(names[1:], pattern, is_beginning)
    if not names or not _fits(names[0], pattern[0]):
        return False
    return _match(names[1:], pattern[1:], is_beginning)


def matching(pattern):
    """The files that a pattern of `*`, `?`, `[abc]` and `**` stands for, as sorted paths."""
    parts = Path(pattern).parts
    magic = (number for number, part in enumerate(parts) if glob.has_magic(part))
    start = next(magic, len(parts))
    base = Path(*parts[:start])
    return below(base, parts[start:]) if os.path.isdir(base) else []


def below(folder, pattern):
    """The files below a folder that a pattern stands for, a tuple of names, as sorted paths."""
    found = []
    for path, files in walk(folder, lambda names: _match(names, pattern, is_beginning=True)):
        names = Path(path).relative_to(folder).parts
        found += [Path(path, file) for file in files if _match((*names, file), pattern)]
    return sorted(found)
