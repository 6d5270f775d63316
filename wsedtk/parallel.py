"""Work spread over processes."""

import collections
import concurrent.futures
import contextlib
import functools
import itertools
import multiprocessing
import os

_SINGLE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_CHUNK = 8  # items that go to a process at once,
_AHEAD = 4  # and how many such chunks, for each process, are under way or wait for the one that reads the results


def _each(function, items):
    return [function(item) for item in items]


def _stream(pool, max_chunks, function, items):
    """`map` over a pool, in order, that takes items no further ahead of its reader than `max_chunks` chunks."""
    items, pending = iter(items), collections.deque()
    while True:
        while len(pending) < max_chunks and (chunk := list(itertools.islice(items, _CHUNK))):
            pending.append(pool.submit(_each, function, chunk))
        if not pending:
            return
        yield from pending.popleft().result()


@contextlib.contextmanager
def mapping(jobs):
    """Yield a `map` over `jobs` processes, each with one thread for its linear algebra.

    Items may be an endless stream: neither they nor the results pile up.
    """
    if jobs == 1:
        yield map
        return
    before = dict(os.environ)
    os.environ.update(_SINGLE_THREAD)  # spawned workers read it when they import numpy
    try:
        with concurrent.futures.ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
            try:
                yield functools.partial(_stream, pool, _AHEAD * jobs)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        os.environ.clear()
        os.environ.update(before)
