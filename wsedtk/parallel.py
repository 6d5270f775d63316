"""Work spread over processes."""

import concurrent.futures
import contextlib
import functools
import multiprocessing
import os

_SINGLE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


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
                yield functools.partial(pool.map, chunksize=8)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        os.environ.clear()
        os.environ.update(before)
