"""Work spread over processes."""

import collections
import concurrent.futures.process
import contextlib
import functools
import itertools
import multiprocessing.connection
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import signal
import threading

from wsedtk.core.errors import InputError
from wsedtk.core.progress import say
from wsedtk.core.signals import STOPPING

# What a process of the pool is told: one thread for linear algebra; and to keep the memory of large arrays for the next ones (glibc's
# allocator gives it back to the system, and asking for it again takes longer than many of the sums).
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
}
_CHUNK = 8  # items that go to a process at once,
_AHEAD = 4  # and how many such chunks, for each process, are under way or wait for the one that reads the results


def _start_helpers():
    """Start the processes that a pool needs beside its own, none of them to heed signals, which the program alone answers.

    What blocks signals is inherited. The resource tracker's start lets some through again, so that it comes first.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        multiprocessing.resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        multiprocessing.forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _can_start_helpers(jobs):
    """Start the helpers and return True; where the system refuses, warn and return False.

    They listen at a socket in the folder for temporary files: none may be writable, or its path be
    too long for a socket.
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


def _end_with_parent():
    """Have a process of the pool end when the program does, however that ends."""
    gone = multiprocessing.parent_process().sentinel
    threading.Thread(
        target=lambda: multiprocessing.connection.wait([gone]) and os._exit(1), daemon=True
    ).start()


def _each(function, items):
    return [function(item) for item in items]


def _stream(pool, max_chunks, function, items, chunk_size=_CHUNK):
    """`map` over a pool, in order, that takes items no further ahead of its reader than `max_chunks` chunks."""
    items, pending = iter(items), collections.deque()
    while True:
        while len(pending) < max_chunks and (chunk := list(itertools.islice(items, chunk_size))):
            pending.append(pool.submit(_each, function, chunk))
        if not pending:
            return
        yield from pending.popleft().result()


def ahead(function, items, depth=2):
    """`map` by a thread that has one to `depth` items under way before its reader asks; items may be an endless stream.

    To be closed where it is not read to its end.
    """
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        try:
            yield from _stream(pool, depth, function, items, chunk_size=1)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextlib.contextmanager
def mapping(jobs, modules=()):
    """Yield a `map` over `jobs` processes, each with one thread for its linear algebra.

    Items may be an endless stream: neither they nor the results pile up. modules: names of those that the work needs and that are
    slow to import; one process imports them, and the others start as its copies. It starts with the first `mapping` of a program, and
    later ones get copies of it too, whatever they name.
    """
    if jobs == 1:
        yield map
        return
    before = dict(os.environ)
    os.environ.update(_ENVIRONMENT)  # read when a process starts and imports numpy
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    try:
        if not _can_start_helpers(jobs):
            yield map
            return
        with concurrent.futures.ProcessPoolExecutor(jobs, context, _end_with_parent) as pool:
            try:
                yield functools.partial(_stream, pool, _AHEAD * jobs)
            except concurrent.futures.process.BrokenProcessPool:
                raise InputError(
                    f"--jobs {jobs}: a process was killed, as the system does when memory "
                    "runs out; run the command again, with fewer jobs"
                ) from None
            except BaseException:
                pool.shutdown(
                    cancel_futures=True
                )  # not to be waited for is no sooner: the interpreter's end waits, and can stumble
                raise
    finally:
        os.environ.clear()
        os.environ.update(before)
