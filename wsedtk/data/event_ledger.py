"""Keep the events of finished recordings, so that a stopped run of `detect` can be resumed.

A ledger is a text file of JSON lines. The first line contains the settings that determine the
events. Each other line contains the events of one recording, or of one of its channels. Several
processes may append lines at the same time. Lines that can't be read, such as the incomplete last
line of a killed process, are ignored.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wsedtk.core.atomic import explained, remove, write_text
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.data.events import Event


class Key(NamedTuple):
    """A state of a recording. If the file changes, its key changes too.

    Attributes
    ----------
    path : str
        The absolute path of the sound file.
    channel : int or None
        The channel, from 0. None for the mean of all channels.
    size : int
        The size of the file in bytes. -1 if the file is missing.
    modified_ns : int
        The time of the last change of the file in nanoseconds.
    """

    path: str
    channel: int | None
    size: int
    modified_ns: int


class Entry(NamedTuple):
    """The events and the duration of a recording in seconds."""

    events: tuple[Event, ...]
    seconds: float


class _Place(NamedTuple):
    """The position of a record in the file, and the duration of its recording in seconds."""

    position: int
    seconds: float


def key_of(path: PathLike, channel: int | None) -> Key:
    """Return the key of a recording, or of one of its channels."""
    absolute = os.path.abspath(os.fspath(path))
    try:
        about = os.stat(absolute)
    except (OSError, ValueError):
        return Key(absolute, channel, -1, 0)
    return Key(absolute, channel, about.st_size, about.st_mtime_ns)


def append(path: PathLike, key: Key, entry: Entry) -> None:
    """Append the events of a recording to a ledger.

    Raises
    ------
    InputError
        If the ledger can't be written.
    """
    events = [[float(e.onset), float(e.offset), e.label, float(e.score)] for e in entry.events]
    record = {**key._asdict(), "seconds": entry.seconds, "events": events}
    line = json.dumps(record).encode() + b"\n"
    with explained(path), open(path, "ab", buffering=0) as file:
        with contextlib.suppress(OSError):  # some file systems do not support locks
            fcntl.flock(file, fcntl.LOCK_EX)
        while line:
            line = line[file.write(line) :]


def open_ledger(path: PathLike, settings: Mapping[str, str], overwrite: bool = False) -> "Ledger":
    """Read a ledger. Create it if it does not exist.

    Parameters
    ----------
    path : path-like
        The ledger.
    settings : mapping of str to str
        The settings that determine the events, by their names in messages.
    overwrite : bool
        Whether to replace an existing ledger by an empty one.

    Raises
    ------
    InputError
        If the file is not a ledger, if it was written with other settings, or if it can't be
        read or written.
    """
    path = Path(path)
    if overwrite:
        remove(path)
    if not path.exists():
        write_text(path, json.dumps({"settings": dict(settings)}) + "\n")
    remedy = (
        "give overwrite (--overwrite) to analyse all recordings again, or choose another output"
    )
    try:
        with open(path, "rb") as file:
            found = _settings(file.readline())
            if found is None:
                raise InputError(
                    f"{path}: found another file; expected a list of the recordings that are done; "
                    f"{remedy}"
                )
            index = dict(_index(file))
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from None
    other = [name for name in settings if found.get(name) != settings[name]]
    if other:
        changes = ", ".join(
            f"{name} (found {found.get(name)}, expected {settings[name]})" for name in other
        )
        raise InputError(
            f"{path}: the recordings that are done were analysed with other settings: {changes}; "
            f"{remedy}"
        )
    _end_last_line(path)
    return Ledger(path, index)


class Ledger:
    """The events of the recordings that were finished before this run.

    Attributes
    ----------
    path : Path
        The file. Append to it with `append`.
    """

    def __init__(self, path: Path, index: Mapping[Key, _Place]) -> None:
        self.path = path
        self._index = index

    def seconds(self, key: Key) -> float | None:
        """Return the duration of a recording in seconds. None if the ledger does not contain it."""
        place = self._index.get(key)
        return None if place is None else place.seconds

    def entry(self, key: Key) -> Entry:
        """Return the events of a recording that the ledger contains.

        Raises
        ------
        InputError
            If the ledger can't be read.
        """
        try:
            with open(self.path, "rb") as file:
                file.seek(self._index[key].position)
                record = json.loads(file.readline())
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path}: can't be read: {error}") from None
        return Entry(_events(record), record["seconds"])


def _settings(line: bytes) -> dict[str, str] | None:
    """Return the settings in the first line of a ledger, or None if the line has none."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return dict(json.loads(line)["settings"])
    return None


def _index(file: Iterator[bytes]) -> Iterator[tuple[Key, _Place]]:
    """Yield the key of each record in the rest of a ledger, with its position and duration."""
    position = file.tell()  # type: ignore[attr-defined]
    for line in file:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            record = json.loads(line)
            _events(record)
            place = _Place(position, float(record["seconds"]))
            yield Key(*(record[name] for name in Key._fields)), place
        position += len(line)


def _events(record: Mapping[str, Any]) -> tuple[Event, ...]:
    events: Sequence[tuple[float, float, str, float]] = record["events"]
    return tuple(Event(onset, offset, label, score) for onset, offset, label, score in events)


def _end_last_line(path: Path) -> None:
    """Add a line end to a ledger whose last line is incomplete."""
    with explained(path), open(path, "rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")
