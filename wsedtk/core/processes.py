"""Parallel work: `map` over processes or in one thread."""

import collections
import concurrent.futures.process
import contextlib
import itertools
import multiprocessing.connection
import multiprocessing.forkserver
import multiprocessing.process
import multiprocessing.resource_tracker
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from wsedtk.core.errors import InputError
from wsedtk.core.progress import say
from wsedtk.core.signals import STOPPING

Item = TypeVar("Item")
Result = TypeVar("Result")

# Each process uses one thread for linear algebra. The allocator (glibc) keeps the memory of large
# arrays: returning it to the system and requesting it again takes longer than many computations.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
}
_CHUNK = 8  # items that a process gets at once
_AHEAD = 4  # chunks per process that are in work or wait to be read


class Map(Protocol):
    """A function like `map` over one iterable. Its results are in the order of the items."""

    def __call__(
        self, function: Callable[[Item], Result], items: Iterable[Item], /
    ) -> Iterator[Result]: ...


def _start_helpers() -> None:
    """Start the processes that a pool needs beside its own. They ignore signals.

    A process inherits the signals that are blocked when it starts. The start of the resource
    tracker unblocks some of them, so that it comes first.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        multiprocessing.resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        multiprocessing.forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _can_start_helpers(jobs: int) -> bool:
    """Start the helpers and return True. If the system refuses, warn and return False.

    They listen at a socket in the folder for temporary files. That folder may be read-only, or its
    path may be too long for a socket.
    """
    try:
        _start_helpers()
    except OSError as error:
        say(
            f"warning: --jobs {jobs}: one process does the work, as no others can be started "
            f"({error.strerror or error}); set TMPDIR to a folder with a short path"
        )
        return False
    return True


def _end_with_parent() -> None:
    """Start a thread that ends this process of a pool when the program ends, even by a kill."""
    parent = multiprocessing.process.parent_process()
    assert parent is not None  # this runs in the processes of a pool only

    def wait() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _each(function: Callable[[Item], Result], items: list[Item]) -> list[Result]:
    return [function(item) for item in items]


def _stream(
    pool: concurrent.futures.Executor,
    max_chunks: int,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    chunk_size: int = _CHUNK,
) -> Iterator[Result]:
    """Map over a pool in order, with at most `max_chunks` chunks of items ahead of the reader."""
    left = iter(items)
    pending: collections.deque[concurrent.futures.Future[list[Result]]] = collections.deque()
    while True:
        while len(pending) < max_chunks and (chunk := list(itertools.islice(left, chunk_size))):
            pending.append(pool.submit(_each, function, chunk))
        if not pending:
            return
        yield from pending.popleft().result()


def ahead(
    function: Callable[[Item], Result], items: Iterable[Item], depth: int = 2
) -> Iterator[Result]:
    """Map in a thread that works up to `depth` items ahead of the reader.

    `items` may be endless. Close the iterator if it is not read to its end.
    """
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        try:
            yield from _stream(pool, depth, function, items, chunk_size=1)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _in_this_process(
    function: Callable[[Item], Result], items: Iterable[Item], /
) -> Iterator[Result]:
    return map(function, items)


@contextlib.contextmanager
def mapping(jobs: int, modules: Sequence[str] = ()) -> Iterator[Map]:
    """Yield a function like `map` that works in several processes.

    Each process uses one thread for linear algebra. The items may be endless: neither they nor the
    results accumulate.

    Parameters
    ----------
    jobs : int
        The number of processes. For 1, the work is done in this process.
    modules : sequence of str
        The modules that the work needs and that are slow to import. One process imports them, and
        the others start as copies of it. Only the modules of the first `mapping` of a program
        count.

    Raises
    ------
    InputError
        If a process is killed.
    """
    if jobs == 1:
        yield _in_this_process
        return
    before = dict(os.environ)
    os.environ.update(_ENVIRONMENT)  # a process reads it when it starts and imports numpy
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    try:
        if not _can_start_helpers(jobs):
            yield _in_this_process
            return
        with concurrent.futures.ProcessPoolExecutor(jobs, context, _end_with_parent) as pool:

            def over_the_pool(
                function: Callable[[Item], Result], items: Iterable[Item], /
            ) -> Iterator[Result]:
                return _stream(pool, _AHEAD * jobs, function, items)

            try:
                yield over_the_pool
            except concurrent.futures.process.BrokenProcessPool:
                raise InputError(
                    f"--jobs {jobs}: a process was killed, as the system does when memory "
                    "runs out; run the command again, with fewer jobs"
                ) from None
            except BaseException:
                # Waits for the processes: otherwise the end of the interpreter does, and may fail.
                pool.shutdown(cancel_futures=True)
                raise
    finally:
        os.environ.clear()
        os.environ.update(before)
