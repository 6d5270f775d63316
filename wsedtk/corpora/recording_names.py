"""Find the recordings that annotation files name, or that belong to annotation files."""

import collections
import itertools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from wsedtk.core.errors import InputError
from wsedtk.data.clip_names import clip_key
from wsedtk.data.folders import as_text
from wsedtk.data.tables import first, normal
from wsedtk.inference.recordings import Recording

_CHANNEL = re.compile(r"(.+)\.ch([1-9][0-9]*)")
_SEPARATORS = re.compile(r"[/\\]")
_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]|file:")


class Source(NamedTuple):
    """A recording, or one of its channels.

    Attributes
    ----------
    recording : Recording
    channel : int or None
        The channel, counted from 0. None for the mean of all channels.
    """

    recording: Recording
    channel: int | None


def is_absolute(name: str) -> bool:
    """Return whether the name of a recording is an absolute path, or an address of a file."""
    return bool(_ABSOLUTE.match(name))


def _parts(path: Path) -> list[str]:
    return [normal(as_text(part)) for part in path.absolute().parts]


def _num_equal(folders: Sequence[str], others: Sequence[str]) -> int:
    """Return how many folders at the ends of two paths are equal."""
    pairs = zip(reversed(folders), reversed(others))
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


class RecordingNames:
    """The names of recordings, by which annotation files refer to them.

    Parameters
    ----------
    recordings : sequence of Recording
    """

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._by_name: dict[str, list[Recording]] = collections.defaultdict(list)
        self._by_key: dict[str, list[Recording]] = collections.defaultdict(list)
        self._folders: dict[Recording, list[str]] = {}
        for recording in recordings:
            *folders, name = _parts(recording.path)
            self._folders[recording] = folders
            self._by_name[name].append(recording)
            self._by_key[clip_key(name)].append(recording)

    def named(self, name: str) -> list[Source]:
        """Return the recordings that a name in an annotation file may refer to.

        The name is a file name or a path. Its extension may be missing or different, and a path may
        be of another machine. If a relative path contains folders, all of them must be equal to
        those of the recording. Of several recordings with the file name of an absolute path, those
        with most equal folders are returned. The name of a channel ends with `.ch` and its number
        from 1.
        """
        parts = [part for part in _SEPARATORS.split(normal(name)) if part not in ("", ".", "..")]
        if not parts:
            return []
        return self._search(parts[:-1], parts[-1], is_partial=is_absolute(name))

    def beside(self, path: Path) -> list[Source]:
        """Return the recordings that an annotation file belongs to, by the name of the file.

        For the file `night.wav.txt` or `night.Table.1.selections.txt`, the name of the recording is
        `night.wav` or `night` with any extension. If several recordings have this name, those with
        most equal folders are returned.
        """
        *folders, name = _parts(path)
        while "." in name[1:]:
            name = name.rpartition(".")[0]
            found = self._search(folders, name, is_partial=True)
            if found:
                return found
        return []

    def _search(self, folders: Sequence[str], name: str, *, is_partial: bool) -> list[Source]:
        """Return the recordings or channels with a file name.

        If `is_partial` is True, not all of the folders must be equal.
        """
        found = self._recordings(folders, name, is_partial)
        if found:
            return [Source(recording, None) for recording in found]
        match = _CHANNEL.fullmatch(name)
        if match is None:
            return []
        found = self._recordings(folders, match.group(1), is_partial)
        return [Source(recording, int(match.group(2)) - 1) for recording in found]

    def _recordings(self, folders: Sequence[str], name: str, is_partial: bool) -> list[Recording]:
        found = self._by_name.get(name) or self._by_key.get(clip_key(name), [])
        equal = {one: _num_equal(folders, self._folders[one]) for one in found}
        most = max(equal.values(), default=0)
        if not is_partial and most < len(folders):
            return []
        return [one for one in found if equal[one] == most]


def only(found: Sequence[Source], what: str) -> Source:
    """Return the only item of a list. `what` is the beginning of the message for several items.

    Raises
    ------
    InputError
        If the list has several items.
    """
    if len(found) > 1:
        paths = [as_text(os.fspath(source.recording.path)) for source in found]
        raise InputError(
            f"{what} fits {len(paths)} recordings: {first(paths)}; write the path of the recording "
            "into the file, or put the file into the folder of its recording"
        )
    return found[0]
