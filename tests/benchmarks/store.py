"""Measure writing, opening and random reading of feature stores of growing size.

    python tests/benchmarks/store.py [--clips 1000,10000,100000] [--shards 10] [--rows FILE]
    python tests/benchmarks/store.py --names 2000000

Clips are float16 with 400 frames x 64 bins, in shards as `wsedtk extract --shard` writes them.
Batches of random clips are read into float32 tensors, as in training. `cold` is the first reading,
after the files were dropped from the file cache. `cached` is the median of further batches. `h5py`
is a plain loop over an open file that reads the same clips one at a time in float32.

Each row is measured in a separate process. The last column is its peak memory, including writing.
`--names` measures a store with this number of clips of a single number each, so that names
dominate. The files are removed at the end.
"""

import contextlib
import multiprocessing
import os
import resource
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import common
import h5py
import numpy as np
import torch

from wsedtk.data import store
from wsedtk.inference import network_runner

NUM_BATCHES = 20


def write(path, num_clips, num_shards, shape):
    """Write fifty clips repeatedly into shards of a feature file."""
    made = np.random.default_rng(0).normal(-40, 15, (50, *shape)).astype(np.float16)
    for k in range(1, num_shards + 1):
        layout = store.FeatureLayout(*shape, "float16", {}, "benchmark")
        with store.writing_features(store.shard_path(path, k, num_shards), layout) as (append, _):
            for i in range(k - 1, num_clips, num_shards):
                append(f"{i:011d}_30.000_40.000.wav", made[i % 50], 10.0)


def files_of(path):
    """Return the shards of a feature file as (path, file open for reading)."""
    return [(p, p.open("rb")) for p in store.find_shards(path)]


def forget(path):
    """Ask the system to drop the files from its cache."""
    for _, file in files_of(path):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.close()


def remember(path):
    """Read the files, so that they are in the file cache."""
    for _, file in files_of(path):
        while file.read(1 << 24):
            pass
        file.close()


def timed(function, *arguments):
    """Return the seconds of a call and its result."""
    started = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - started, result


def plain_loop(features, starts, rows):
    """Read clips one at a time from open data sets. starts: the first row of each data set."""
    files = np.searchsorted(starts, rows, side="right") - 1
    return np.stack([features[f][r - starts[f]].astype(np.float32) for f, r in zip(files, rows)])


def measure(folder, num_clips, num_shards, shape, batch):
    """Return the figures of one store, in the order of the table."""
    torch.set_num_threads(1)
    path = Path(folder) / "f.h5"
    write_seconds, _ = timed(write, path, num_clips, num_shards, shape)
    made = np.random.default_rng(1)
    forget(path)
    open_seconds, features = timed(store.FeatureStore, [path])
    batches = [made.integers(0, num_clips, batch) for _ in range(NUM_BATCHES)]
    cold, _ = timed(network_runner.load_features, features, batches[0])
    remember(path)
    cached = statistics.median(
        timed(network_runner.load_features, features, rows)[0] for rows in batches
    )
    features.statistics(np.arange(num_clips))
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(h5py.File(p)) for p in store.find_shards(path)]
        opened = [file["features"] for file in files]
        starts = np.cumsum([0, *map(len, opened)])
        plain = statistics.median(timed(plain_loop, opened, starts, rows)[0] for rows in batches)
    size = sum(p.stat().st_size for p in store.find_shards(path))
    return (
        size / 1e9,
        num_clips / write_seconds,
        open_seconds,
        cold / batch * 1e3,
        cached / batch * 1e3,
        plain / batch * 1e3,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def main():
    """Measure all sizes and print one row each."""
    parser = common.parser(__doc__)
    parser.add_argument(
        "--clips", default="1000,10000,100000", help="sizes, with commas between them"
    )
    parser.add_argument("--names", type=int, help="clips of a single number each, instead")
    parser.add_argument("--shards", type=int, default=10)
    parser.add_argument("--batch", type=int, default=250)
    options = parser.parse_args()
    shape = (1, 1) if options.names else (400, 64)
    sizes = [options.names] if options.names else [int(n) for n in options.clips.split(",")]
    needed = max(sizes) * (2 * shape[0] * shape[1] + 16 * shape[1] + 200) / 1e9
    free = shutil.disk_usage(options.folder).free / 1e9
    print(
        f"needs {needed:.1f} GB in {options.folder}, which has {free:.1f} free; batches of "
        f"{options.batch}",
        flush=True,
    )
    if free < needed:
        parser.error("not enough disk space; choose another --folder, or fewer --clips")
    print(
        f"{'clips':>8} {'shards':>6} {'GB':>6} {'write/s':>8} {'open s':>7} {'cold ms':>8} "
        f"{'cached ms':>9} {'clips/s':>8} "
        f"{'to first':>8} {'h5py ms':>8} {'peak MiB':>8}"
    )
    table, first = common.Table(options.rows), None
    for num_clips in sizes:
        with (
            tempfile.TemporaryDirectory(dir=options.folder) as folder,
            multiprocessing.get_context("spawn").Pool(1) as pool,
        ):
            row = pool.apply(measure, (folder, num_clips, options.shards, shape, options.batch))
        size, written, opened, cold, cached, plain, peak = row
        first = first or cached
        print(
            f"{num_clips:8} {options.shards:6} {size:6.2f} {written:8.0f} {opened:7.3f} "
            f"{cold:8.3f} {cached:9.3f} {1e3 / cached:8.0f} "
            f"{cached / first:8.2f} {plain:8.3f} {peak:8.0f}",
            flush=True,
        )
        if not options.names:
            table.row(
                f"batches from HDF5, {num_clips:,} clips cached",
                "a loop of h5py",
                f"{1e3 / cached:.0f} clips/s",
                f"{1e3 / plain:.0f} clips/s",
                f"{1e3 / cached:.0f} clips/s",
                ">= 5,000 clips/s",
                cached <= 0.2,
                peak,
            )


if __name__ == "__main__":
    main()
