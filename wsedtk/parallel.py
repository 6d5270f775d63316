"""Work spread over processes."""

import collections
import concurrent.futures
import contextlib
import functools
import itertools
import multiprocessing
import os

_SINGLE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def _each(function, items):
    return [function(item) for item in items]


def _spread(pool, ahead, function, items):
    """Yield the function of each item in order, with at most `ahead` chunks of items under way: memory stays flat."""
    items, pending = iter(items), collections.deque()
    while True:
        while len(pending) < ahead and (chunk := list(itertools.islice(items, 8))):
            pending.append(pool.submit(_each, function, chunk))
        if not pending:
            return
        yield from pending.popleft().result()


@contextlib.contextmanager
def mapping(jobs):
    """Yield a `map` over `jobs` processes, each with one thread for its linear algebra."""
    if jobs == 1:
        yield map
        return
    before = dict(os.environ)
    os.environ.update(_SINGLE_THREAD)  # spawned workers read it when they import numpy
    try:
        with concurrent.futures.ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
            try:
                yield functools.partial(_spread, pool, 4 * jobs)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        os.environ.clear()
        os.environ.update(before)
