"""Measure prepare, validate and balance on a list of the size of AudioSet.

    python tests/benchmarks/corpus.py METADATA_DIR [--rows 2041789]
        [--num-valid 20000] [--folder DIR]

METADATA_DIR contains the official files of AudioSet. The list has random video IDs. Its times and
class IDs are drawn from rows of the balanced training list and the evaluation list. Each verb runs
in a separate process. At the end, a sampler draws batches of 250 clips. Prints the seconds and the
peak memory of each step. Two million rows need 0.5 GB of disk, in a temporary folder or in that of
--folder.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

LETTERS = np.frombuffer(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", np.uint8
)
SAMPLER = """
import sys, time
from wsedtk.data import datadir; from wsedtk.training.sampler import Sampler
found = datadir.read(sys.argv[1])
started = time.perf_counter()
batches = Sampler(found, 250, seed=0)
for step in range(200):
    batches.batch(step)
milliseconds = (time.perf_counter() - started) / 200 * 1000
print(f"{milliseconds:.1f} ms a batch of 250 over {len(batches.queues)} queues")
"""


def write_list(metadata_dir, path, num_rows):
    """Write a list of `num_rows` segments that resembles AudioSet's unbalanced training list."""
    rows = [
        line
        for name in ("balanced_train_segments.csv", "eval_segments.csv")
        for line in (metadata_dir / name).read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    tails = [re.sub("^[^,]*", "", row) for row in rows]
    rng = np.random.default_rng(0)
    with open(path, "w", encoding="utf-8") as file:
        file.write(
            "# a benchmark's list\n# num_ytids=?\n# YTID, start_seconds, end_seconds, "
            "positive_labels\n"
        )
        for start in range(0, num_rows, 100_000):
            count = min(100_000, num_rows - start)
            ids = LETTERS[rng.integers(0, 64, (count, 11))].view("S11")[:, 0].tolist()
            file.writelines(
                f"{video.decode()}{tails[i]}\n"
                for video, i in zip(ids, rng.integers(0, len(tails), count).tolist())
            )


def measure(name, *arguments):
    """Run a process; print its seconds, its peak memory and the last line of its output."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)], stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        lines = output.read().splitlines()
    if process.returncode:
        sys.exit("\n".join([f"{name}: exit status {process.returncode}", *lines[-5:]]))
    seconds, gigabytes = (
        time.perf_counter() - started,
        usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9,
    )
    print(
        f"{name:10} {seconds:8.1f} s  {gigabytes:6.2f} GB  {lines[-1] if lines else ''}", flush=True
    )


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("metadata_dir", type=Path)
    parser.add_argument("--rows", type=int, default=2_041_789)
    parser.add_argument("--num-valid", type=int, default=20_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        lists, data = Path(folder) / "lists", Path(folder) / "data"
        lists.mkdir()
        for name in ("class_labels_indices.csv", "eval_segments.csv", "ontology.json"):
            shutil.copy(options.metadata_dir / name, lists / name)
        write_list(options.metadata_dir, lists / "unbalanced_train_segments.csv", options.rows)
        print(f"{options.rows:,} rows")
        measure(
            "prepare",
            "-m",
            "wsedtk",
            "prepare",
            "audioset",
            lists,
            data,
            "--subset",
            "unbalanced",
            "--metadata-only",
        )
        measure("validate", "-m", "wsedtk", "validate", data / "train")
        measure(
            "balance",
            "-m",
            "wsedtk",
            "balance",
            data / "train",
            data / "fit",
            data / "valid",
            "--num-valid",
            options.num_valid,
        )
        measure("batches", "-c", SAMPLER, data / "fit")


if __name__ == "__main__":
    main()
