"""Parallel work: `map` over processes or in one thread."""

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
_RECORDS: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()  # in a process of a pool

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
        _LOG.warning(
            f"--jobs {jobs}: using one process, because no others can be started "
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


def _prepare_process(level: int) -> None:
    """Prepare a process of a pool: keep its log records of `level` and above for the program."""
    _end_with_parent()
    _LOGGER.setLevel(level)
    _LOGGER.addHandler(logging.handlers.QueueHandler(_RECORDS))


@dataclasses.dataclass(frozen=True)
class _Done(Generic[Result]):
    """The results of a chunk of items, and the log records that a process has kept until then."""

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
    """Yield the result of each chunk in order. At most `max_chunks` are ahead of the reader."""
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
    """Map in a thread that works up to `depth` items ahead of the reader.

    `items` may be endless. Close the generator if it is not read to its end.
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
def mapping(jobs: int, modules: Sequence[str] = ()) -> Iterator[Map]:
    """Yield a function like `map` that works in several processes.

    Each process uses one thread for linear algebra. The items may be endless: neither they nor the
    results accumulate. Log messages of the processes are logged here, before the results.

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
        level = _LOGGER.getEffectiveLevel()
        with concurrent.futures.ProcessPoolExecutor(
            jobs, context, _prepare_process, (level,)
        ) as pool:

            def over_the_pool(
                function: Callable[[Item], Result], items: Iterable[Item], /
            ) -> Iterator[Result]:
                def submit(chunk: list[Item]) -> concurrent.futures.Future[_Done[Result]]:
                    return pool.submit(_each, function, chunk)

                for done in _chunk_by_chunk(submit, items, _CHUNK, _AHEAD * jobs):
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
                # Waits for the processes: otherwise the end of the interpreter does, and may fail.
                pool.shutdown(cancel_futures=True)
                raise
    finally:
        os.environ.clear()
        os.environ.update(before)
