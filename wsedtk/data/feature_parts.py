"""What an extraction has finished: feature files of consecutive clips, in a hidden folder beside the file that they will make.

N clips of a data set, in its order. A part counts only for the very settings, clips, paths and sound files that it was made of.
"""

import contextlib
import os
import shutil
import time
from pathlib import Path

import numpy as np

from wsedtk.core import config
from wsedtk.core.atomic import hidden, locking
from wsedtk.core.errors import InputError, NotFinished
from wsedtk.core.progress import say
from wsedtk.core.signals import noted
from wsedtk.data import store
from wsedtk.data.tables import slices

PART_SECONDS = 20  # of work, which is what a kill without warning can lose
_CLIPS_AT_ONCE = 64  # that are copied


def _fingerprint_states(states):
    return config.fingerprint([[state.st_size, state.st_mtime_ns] for state in states])


class Parts:
    """The parts of one feature file.

    settings: all that the features depend on but for the clips, as a plain mapping; layout: as `store.writing_features` takes it;
    signals: see `signals.noted`; work ends early, and raises NotFinished, once it holds one.
    """

    def __init__(self, output, settings, layout, dataset, signals):
        self.output, self.settings, self.layout, self.dataset, self.signals = (
            Path(output),
            settings,
            layout,
            dataset,
            signals,
        )
        self.folder = hidden(output, "parts")
        self._there = {}  # first clip of each part -> (how many clips it holds, {file name: reason} of those among them that failed)

    def _path(self, first):
        return self.folder / f"{first:09d}.h5"

    def _fingerprint(self, clips):
        return config.fingerprint(
            [
                self.settings,
                self.dataset.filenames[clips].tolist(),
                self.dataset.paths[clips].tolist(),
            ]
        )

    def _states(self, clips, failed):
        """os.stat of the sound files of a slice of clips, but for those that failed, as far as they are there."""
        states = []
        for path in self.dataset.paths[clips][
            ~np.isin(self.dataset.filenames[clips], list(failed))
        ].tolist():
            with contextlib.suppress(OSError, ValueError):
                states.append(os.stat(path))
        return states

    def _look(self, path, end, can_be_read):
        """What a part holds, as in `_there`, if it counts and begins at clip `end` or later; else None."""
        try:
            about, failed = store.read_about(path)
            first, count, begun = int(path.stem), int(about["count"]), float(about["begun"])
            clips = slice(first, first + count)
            if first < end or about["part"] != self._fingerprint(clips):
                return None
        except (InputError, KeyError, ValueError):
            return None
        states = self._states(clips, failed)
        if any(
            max(state.st_mtime, state.st_ctime) > begun for state in states
        ):  # written, replaced or renamed since
            return None
        if states and about.get("files") != _fingerprint_states(
            states
        ):  # with none there, the folder is away, and none is another
            return None
        retried = self.dataset.paths[clips][np.isin(self.dataset.filenames[clips], list(failed))]
        return None if any(map(can_be_read, retried.tolist())) else (count, failed)

    def find(self, can_be_read):
        """Look which parts there are, and remove those that don't count, among them those that lack clips which `can_be_read`(path)."""
        end, dropped = 0, 0
        for path in sorted(self.folder.glob("*.h5")):
            self._check_signals()
            found = self._look(path, end, can_be_read)
            if found is None:
                path.unlink()
                dropped += 1
            else:
                first = int(path.stem)
                self._there[first], end = found, first + found[0]
        if dropped:
            say(
                f"{self.output}: {dropped} parts from before are made anew: of other settings, clips or sound files, or damaged"
            )

    def missing(self):
        """The clips that no part holds, ascending (any number,)."""
        there = np.zeros(len(self.dataset), bool)
        for first, (count, _) in self._there.items():
            there[first : first + count] = True
        return np.flatnonzero(~there)

    def failed(self):
        """{file name: reason} of the clips that failed."""
        return {
            name: reason
            for _, (_, failed) in sorted(self._there.items())
            for name, reason in failed.items()
        }

    def _check_signals(self):
        if self.signals:
            raise NotFinished(
                f"{self.output}: stopped by {self.signals[0]}, {len(self.missing())} of {len(self.dataset)} clips are left; "
                "give the same command again"
            )

    def write(self, results):
        """Write results as parts: (clip, features, duration), or (clip, None, why not), by ascending clip."""
        begun, result = time.time(), next(results, None)
        while result is not None:
            self._check_signals()
            started, first, count, about = time.time(), result[0], 0, {}
            with store.writing_features(self._path(first), **self.layout, about=about) as (
                append,
                failed,
            ):
                while True:
                    clip, features, duration = result
                    name = str(self.dataset.filenames[clip])
                    if features is None:
                        failed[name] = duration
                    else:
                        append(name, features, duration)
                    count, result = count + 1, next(results, None)
                    if (
                        result is None
                        or result[0] != first + count
                        or self.signals
                        or time.time() - started > PART_SECONDS
                    ):
                        break
                clips = slice(first, first + count)
                about.update(
                    part=self._fingerprint(clips),
                    count=count,
                    begun=begun,
                    files=_fingerprint_states(self._states(clips, failed)),
                )
            self._there[first] = count, failed
            begun = started  # some of the next part's files have been read ahead since then

    def join(self, about):
        """Write the one file of all clips."""
        with store.writing_features(self.output, **self.layout, about=about) as (
            append,
            all_failed,
        ):
            for first in sorted(self._there):
                self._check_signals()
                try:
                    part = store.FeatureStore([self._path(first)])
                    for block in slices(len(part), _CLIPS_AT_ONCE):
                        rows = np.arange(block.start, block.stop)
                        for row, features in zip(rows.tolist(), part.read(rows)):
                            append(
                                str(part.filenames[row]),
                                features[: part.num_frames[row]],
                                float(part.durations[row]),
                            )
                except InputError as error:
                    self._path(first).unlink()
                    raise NotFinished(
                        f"{error}. That part of {self.output} is removed now: give the same command again, "
                        "which makes it anew"
                    ) from None
            all_failed.update(self.failed())


@contextlib.contextmanager
def finishing(output, settings, layout, dataset):
    """Yield the Parts of a feature file, which go when the block succeeds. Raises InputError where another process is at work on it."""
    with noted() as signals:
        parts = Parts(output, settings, layout, dataset, signals)
        with locking(parts.folder / ".lock", output):
            yield parts
            shutil.rmtree(parts.folder, ignore_errors=True)
