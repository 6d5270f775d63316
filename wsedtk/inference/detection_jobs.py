"""Analyse recordings one after the other in this process, or in several processes."""

import contextlib
import functools
from collections.abc import Callable, Generator, Sequence
from typing import Generic, NamedTuple, TypeVar

from wsedtk.core.processes import check_stop, mapping
from wsedtk.data.event_ledger import Key
from wsedtk.inference.recording_detection import Outcome, RecordingDetection
from wsedtk.inference.sliding_windows import Source

Settings = TypeVar("Settings")
Outcomes = Generator[Outcome, None, None]
Show = Callable[[float], None]
"""A function that is called with the number of seconds of audio that have been processed."""


class Item(NamedTuple):
    """A source, and its key in the ledger."""

    source: Source
    key: Key


class Pool(NamedTuple, Generic[Settings]):
    """Processes that analyse recordings.

    Attributes
    ----------
    jobs : int
        The number of processes.
    load : callable
        A function of a module, which takes `settings` and returns a RecordingDetection.
    settings : object
        Hashable, and small, because it is sent to a process with each recording.
    module : str
        The module of `load`. Its import takes seconds. Therefore a helper process imports it, and
        the processes are forked from this process.
    """

    jobs: int
    load: Callable[[Settings], RecordingDetection]
    settings: Settings
    module: str


def in_this_process(work: RecordingDetection, items: Sequence[Item], show: Show) -> Outcomes:
    """Yield the outcome of each recording, in order."""
    done = 0.0
    curves = work.detector.curves(item.source for item in items)
    for item, (source, pieces) in zip(items, curves):
        outcome = work.outcome(source, pieces, item.key, lambda seconds: show(done + seconds))
        done += outcome.seconds
        show(done)
        yield outcome


def in_processes(pool: Pool[Settings], items: Sequence[Item], show: Show) -> Outcomes:
    """Yield the outcome of each recording, in order. Each process analyses one recording at a time.

    Raises
    ------
    InputError
        If a process is killed.
    """
    done = 0.0
    with mapping(pool.jobs, [pool.module], chunk_size=1) as spread:
        analyse = functools.partial(_analyse, pool.load, pool.settings)
        for outcome in spread(analyse, items):
            done += outcome.seconds
            show(done)
            yield outcome


def _analyse(
    load: Callable[[Settings], RecordingDetection], settings: Settings, item: Item
) -> Outcome:
    """Analyse one recording in a process of a pool."""
    work: RecordingDetection = _loaded(load, settings)
    with contextlib.closing(in_this_process(work, [item], lambda seconds: check_stop())) as found:
        return next(found)


@functools.lru_cache(maxsize=1)
def _loaded(
    load: Callable[[Settings], RecordingDetection], settings: Settings
) -> RecordingDetection:
    return load(settings)
