"""Write the parts of a feature file, so that an interrupted extraction can be resumed.

A part is a feature file of consecutive clips. The parts are in a hidden folder next to the feature
file. At the end, they are joined. A part is not valid if the settings have changed, or if the
clips, paths or sound files of the part have changed. If all sound files of the part are missing,
they do not count as changed.

Sizes: T frames, F mel bins.
"""

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from wsedtk.core import config
from wsedtk.core.atomic import hidden, locking
from wsedtk.core.errors import InputError, NotFinished
from wsedtk.core.paths import PathLike
from wsedtk.core.types import Floats
from wsedtk.core.wording import counted
from wsedtk.data import store
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.store import FeatureLayout
from wsedtk.data.store.layouts import Value
from wsedtk.data.tables import slices

_LOG = logging.getLogger(__name__)


PART_SECONDS = 20  # seconds of work per part; a process that is killed loses its unfinished part
_CLIPS_AT_ONCE = 64  # clips that are read and copied together


class Extracted(NamedTuple):
    """One clip of the data set: its index, its features (T, F) and its duration in seconds."""

    clip: int
    features: Floats
    duration: float


class Failed(NamedTuple):
    """A clip of the data set that has no features: its index, and the reason why it has none."""

    clip: int
    reason: str


class _Part(NamedTuple):
    """A part: the number of its clips, and the reason for each failed clip, by file name."""

    num_clips: int
    failed: dict[str, str]


def _fingerprint_states(states: Iterable[os.stat_result]) -> str:
    return config.fingerprint([[state.st_size, state.st_mtime_ns] for state in states])


class Parts:
    """The parts of one feature file.

    Parameters
    ----------
    output : path-like
        The feature file.
    settings : mapping
        All settings that the features depend on, as plain Python values.
    layout : FeatureLayout
    dataset : DataSet
    signals : sequence of str
        The names of the stop signals, such as "SIGTERM", that have arrived so far. If a signal has
        arrived, `find`, `write` and `join` raise NotFinished before they begin the next part.
    """

    def __init__(
        self,
        output: PathLike,
        settings: Mapping[str, Any],
        layout: FeatureLayout,
        dataset: DataSet,
        signals: Sequence[str],
    ) -> None:
        self.output = Path(output)
        self.settings = settings
        self.layout = layout
        self.dataset = dataset
        self.signals = signals
        self.folder = hidden(output, "parts")
        self._parts: dict[int, _Part] = {}  # keys: the index of the first clip of each part

    def _path(self, first: int) -> Path:
        return self.folder / f"{first:09d}.h5"

    def _fingerprint(self, clips: slice) -> str:
        """Return a fingerprint of the settings, and of the names and paths of some clips."""
        names, paths = self.dataset.filenames[clips], self.dataset.paths[clips]
        return config.fingerprint([self.settings, names.tolist(), paths.tolist()])

    def _states(self, clips: slice, failed: Mapping[str, str]) -> list[os.stat_result]:
        """Return the state of the sound file of each clip that did not fail.

        Missing files are skipped.
        """
        has_failed = np.isin(self.dataset.filenames[clips], list(failed))
        states = []
        for path in self.dataset.paths[clips][~has_failed].tolist():
            with contextlib.suppress(OSError, ValueError):
                states.append(os.stat(path))
        return states

    def _read(self, path: Path, end: int, can_be_read: Callable[[str], bool]) -> _Part | None:
        """Return the part in a file, or None if the part is not valid.

        Parameters
        ----------
        path : Path
        end : int
            The index of the first clip after the preceding part. The parts must not overlap.
        can_be_read : callable
            A function that takes the path of a sound file, and returns whether it can be read.
        """
        try:
            about, failed = store.read_about(path)
            first, count, begun = int(path.stem), int(about["count"]), float(about["begun"])
            clips = slice(first, first + count)
            if first < end or about["part"] != self._fingerprint(clips):
                return None
        except (InputError, KeyError, ValueError):
            return None
        states = self._states(clips, failed)
        # The part is not valid if a sound file was written, replaced or renamed after `begun`.
        if any(max(state.st_mtime, state.st_ctime) > begun for state in states):
            return None
        # If all sound files are missing, their folder may be unavailable. The part stays valid.
        if states and about.get("files") != _fingerprint_states(states):
            return None
        has_failed = np.isin(self.dataset.filenames[clips], list(failed))
        if any(map(can_be_read, self.dataset.paths[clips][has_failed].tolist())):
            return None
        return _Part(count, failed)

    def find(self, can_be_read: Callable[[str], bool]) -> None:
        """Find the parts of an interrupted extraction. Remove the parts that are not valid.

        Parameters
        ----------
        can_be_read : callable
            A function that takes the path of a sound file, and returns whether it can be read. A
            part is removed if it contains a failed clip whose sound file can be read now.
        """
        end = num_removed = 0
        for path in sorted(self.folder.glob("*.h5")):
            self._check_signals()
            part = self._read(path, end, can_be_read)
            if part is None:
                path.unlink()
                num_removed += 1
            else:
                first = int(path.stem)
                self._parts[first] = part
                end = first + part.num_clips
        if num_removed:
            parts = counted(
                num_removed,
                "part of an interrupted extraction is",
                "parts of an interrupted extraction are",
            )
            _LOG.info(
                f"{self.output}: {parts} extracted again, because settings, clips or sound files "
                "have changed, or because the file of a part is damaged"
            )

    def missing(self) -> npt.NDArray[np.int64]:
        """Return the indices of the clips that no part contains, in ascending order."""
        is_there = np.zeros(len(self.dataset), bool)
        for first, part in self._parts.items():
            is_there[first : first + part.num_clips] = True
        return np.flatnonzero(~is_there)

    def failed(self) -> dict[str, str]:
        """Return the reason for each clip that failed, by file name."""
        found: dict[str, str] = {}
        for _, part in sorted(self._parts.items()):
            found.update(part.failed)
        return found

    def _check_signals(self) -> None:
        if self.signals:
            raise NotFinished(
                f"{self.output}: stopped by {self.signals[0]}; {len(self.missing())} of "
                f"{len(self.dataset)} clips remain; run the same command again to resume"
            )

    def write(self, results: Iterator[Extracted | Failed]) -> None:
        """Write results as parts.

        Parameters
        ----------
        results : iterator
            The results of clips, in the order of the clips in the data set.
        """
        begun = time.time()
        result = next(results, None)
        while result is not None:
            self._check_signals()
            started = time.time()
            result = self._write_part(result, results, begun)
            # While this part was written, the iterator may have read sound files of the next part.
            begun = started

    def _write_part(
        self, result: Extracted | Failed, results: Iterator[Extracted | Failed], begun: float
    ) -> Extracted | Failed | None:
        """Write a part that begins with `result`. Return the next result, or None at the end.

        `begun` is the earliest time, in seconds, at which a sound file of the part may have been
        read.
        """
        started, first, count = time.time(), result.clip, 0
        about: dict[str, Value] = {}
        following: Extracted | Failed | None = result
        path = self._path(first)
        with store.writing_features(path, self.layout, about=about) as (append, failed):
            while following is not None and following.clip == first + count:
                name = str(self.dataset.filenames[following.clip])
                if isinstance(following, Failed):
                    failed[name] = following.reason
                else:
                    append(name, following.features, following.duration)
                count += 1
                following = next(results, None)
                if self.signals or time.time() - started > PART_SECONDS:
                    break
            clips = slice(first, first + count)
            about.update(
                part=self._fingerprint(clips),
                count=count,
                begun=begun,
                files=_fingerprint_states(self._states(clips, failed)),
            )
        self._parts[first] = _Part(count, failed)
        return following

    def join(self, about: Mapping[str, Value]) -> None:
        """Join the parts into the feature file.

        Parameters
        ----------
        about : mapping
            Further attributes of the feature file.

        Raises
        ------
        NotFinished
            If a part is damaged, or if a signal has arrived.
        InputError
            If the feature file can't be written.
        """
        with store.writing_features(self.output, self.layout, about=about) as (append, failed):
            for first in sorted(self._parts):
                self._check_signals()
                try:
                    part = store.FeatureStore([self._path(first)])
                    for block in slices(len(part), _CLIPS_AT_ONCE):
                        rows = np.arange(block.start, block.stop)
                        for row, features in zip(rows.tolist(), part.read(rows)):
                            name, duration = str(part.filenames[row]), float(part.durations[row])
                            append(name, features[: part.num_frames[row]], duration)
                except InputError as error:
                    self._path(first).unlink()
                    raise NotFinished(
                        f"{error}; this part of {self.output} was removed; run the same "
                        "command again to extract it again"
                    ) from None
            failed.update(self.failed())


@contextlib.contextmanager
def finishing(parts: Parts) -> Iterator[Parts]:
    """Yield the parts of a feature file. If the block succeeds, the parts are removed.

    Raises
    ------
    InputError
        If another process is writing the feature file.
    """
    with locking(parts.folder / ".lock", parts.output):
        yield parts
        shutil.rmtree(parts.folder, ignore_errors=True)
