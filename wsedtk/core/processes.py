"""Run functions in parallel, in several processes (`mapping`) or in a thread (`ahead`)."""

import collections
import concurrent.futures.process
import contextlib
import dataclasses
import itertools
import logging
import logging.handlers
import multiprocessing.connection
import multiprocessing.forkserver
import multiprocessing.process
import multiprocessing.resource_tracker
import multiprocessing.synchronize
import os
import queue
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from wsedtk.core.errors import InputError
from wsedtk.core.signals import STOPPING

_LOG = logging.getLogger(__name__)


Item = TypeVar("Item")
Result = TypeVar("Result")

_LOGGER = logging.getLogger("wsedtk")
# In a process of a pool, this queue holds the log records that have not been sent to the main
# program yet.
_RECORDS: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
# In a process of a pool, this event is set when the main program needs no more results.
_stop: multiprocessing.synchronize.Event | None = None

# The environment variables of a process of a pool. The process uses one thread for linear algebra.
# The allocator (glibc) keeps the freed memory of large arrays, because returning memory to the
# system and requesting it again takes longer than many computations.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
}
_CHUNK = 8  # number of items that a process gets at a time
_AHEAD = 4  # maximum number of such chunks per process that are computed in advance


class Map(Protocol):
    """A function like `map` for one iterable. The results are in the order of the items."""

    def __call__(
        self, function: Callable[[Item], Result], items: Iterable[Item], /
    ) -> Iterator[Result]: ...


def _start_helpers() -> None:
    """Start the two helper processes that a pool needs: the resource tracker and the fork server.

    The signals of STOPPING are blocked in the helper processes. A process inherits the set of
    blocked signals when it starts. Starting the resource tracker unblocks some signals in this
    process. Therefore the signals are blocked again before the fork server is started.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        multiprocessing.resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        multiprocessing.forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _can_start_helpers(jobs: int) -> bool:
    """Start the helper processes and return True. If this fails, warn and return False.

    The fork server listens on a socket in the folder for temporary files. The start fails if this
    folder is read-only, or if its path is too long for a socket.
    """
    try:
        _start_helpers()
    except OSError as error:
        _LOG.warning(
            f"--jobs {jobs}: only one process is used, because other processes can't be started "
            f"({error.strerror or error}); set TMPDIR to a writable folder with a short path"
        )
        return False
    return True


def _end_with_parent() -> None:
    """Start a thread that ends this process when the main program ends or is killed."""
    parent = multiprocessing.process.parent_process()
    assert parent is not None  # this runs only in processes of a pool

    def wait() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


class Stopped(Exception):
    """The main program needs no more results of the pool."""


def check_stop() -> None:
    """Raise Stopped if this is a process of a pool, and the main program needs no more results.

    Call this function repeatedly in work that takes long, so that a command that is stopped by
    a signal does not wait for this work.
    """
    if _stop is not None and _stop.is_set():
        raise Stopped


def _prepare_process(level: int, stop: multiprocessing.synchronize.Event) -> None:
    """Prepare a process of a pool. Collect its log records of `level` and above in `_RECORDS`."""
    global _stop
    _stop = stop
    _end_with_parent()
    _LOGGER.setLevel(level)
    _LOGGER.addHandler(logging.handlers.QueueHandler(_RECORDS))


@dataclasses.dataclass(frozen=True)
class _Done(Generic[Result]):
    """The results of a chunk of items, and the log records that the process has collected."""

    results: list[Result]
    records: list[logging.LogRecord]


def _each(function: Callable[[Item], Result], items: list[Item]) -> _Done[Result]:
    results = [function(item) for item in items]
    records = [_RECORDS.get() for _ in range(_RECORDS.qsize())]
    return _Done(results, records)


def _chunk_by_chunk(
    submit: Callable[[list[Item]], concurrent.futures.Future[Result]],
    items: Iterable[Item],
    chunk_size: int,
    max_chunks: int,
) -> Iterator[Result]:
    """Yield the result of each chunk, in order. Compute at most `max_chunks` results in advance."""
    left = iter(items)
    pending: collections.deque[concurrent.futures.Future[Result]] = collections.deque()
    while True:
        while len(pending) < max_chunks and (chunk := list(itertools.islice(left, chunk_size))):
            pending.append(submit(chunk))
        if not pending:
            return
        yield pending.popleft().result()


def ahead(
    function: Callable[[Item], Result], items: Iterable[Item], depth: int = 2
) -> Generator[Result, None, None]:
    """Yield `function(item)` for each item. A thread computes up to `depth` results in advance.

    `items` may be infinite. Close the generator if it is not read to its end.
    """
    with concurrent.futures.ThreadPoolExecutor(1) as pool:

        def submit(chunk: list[Item]) -> concurrent.futures.Future[Result]:
            return pool.submit(function, *chunk)

        try:
            yield from _chunk_by_chunk(submit, items, 1, depth)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _in_this_process(
    function: Callable[[Item], Result], items: Iterable[Item], /
) -> Iterator[Result]:
    return map(function, items)


@contextlib.contextmanager
def mapping(jobs: int, modules: Sequence[str] = (), chunk_size: int = _CHUNK) -> Iterator[Map]:
    """Yield a function that works like `map`, but in several processes.

    Each of these processes uses one thread for linear algebra. The yielded function accepts an
    infinite iterable, because only a limited number of items and results is in memory at a time.
    The log records of a chunk of items are logged in the main program before the results of the
    chunk are yielded.

    Parameters
    ----------
    jobs : int
        The number of processes. If it is 1, or if no other processes can be started, the work is
        done in the main program.
    modules : sequence of str
        Modules that the work needs and that are slow to import. A helper process imports them, and
        the processes of the pool start as copies of the helper process. If a program calls
        `mapping` several times with more than one job, only the first of these calls chooses the
        modules.
    chunk_size : int
        The number of items that a process gets at a time. Use 1 for items that take seconds.

    Raises
    ------
    InputError
        If a process of the pool is killed.
    """
    if jobs == 1:
        yield _in_this_process
        return
    before = dict(os.environ)
    # The processes read these variables when they start and when they import numpy.
    os.environ.update(_ENVIRONMENT)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    try:
        if not _can_start_helpers(jobs):
            yield _in_this_process
            return
        level, stop = _LOGGER.getEffectiveLevel(), context.Event()
        max_chunks = jobs * _AHEAD * _CHUNK // chunk_size
        with concurrent.futures.ProcessPoolExecutor(
            jobs, context, _prepare_process, (level, stop)
        ) as pool:

            def over_the_pool(
                function: Callable[[Item], Result], items: Iterable[Item], /
            ) -> Iterator[Result]:
                def submit(chunk: list[Item]) -> concurrent.futures.Future[_Done[Result]]:
                    return pool.submit(_each, function, chunk)

                for done in _chunk_by_chunk(submit, items, chunk_size, max_chunks):
                    for record in done.records:
                        logging.getLogger(record.name).handle(record)
                    yield from done.results

            try:
                yield over_the_pool
            except concurrent.futures.process.BrokenProcessPool:
                raise InputError(
                    f"--jobs {jobs}: a process was killed, probably because memory ran out; "
                    "run the command again, with fewer jobs"
                ) from None
            except BaseException:
                stop.set()
                # Wait for the processes here, because the interpreter may fail to wait at exit.
                pool.shutdown(cancel_futures=True)
                raise
    finally:
        os.environ.clear()
        os.environ.update(before)
