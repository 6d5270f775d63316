"""Measure MAP and MAUC at the size of AudioSet, beside a scikit-learn loop, on one core.

    python tests/benchmarks/ranking.py [--list eval_segments.csv] [--clips 20371] [--classes 527]

Scores are random float32 with 1,000 distinct values, so there are ties. Tags are those of a list in
AudioSet's format (--list). Without a list, they are random with a long tail, like AudioSet's
evaluation set: the most frequent class is in 28 % of the clips, and most classes have 60 of 20,371
clips (Gemmeke et al. 2017: at least 59). Prints seconds, ratio, differences and memory. Memory is
measured by tracemalloc in a second call, because it slows the call down.
"""

import argparse
import csv
import os
import time
import tracemalloc

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before numpy is imported

import numpy as np  # noqa: E402
from sklearn.metrics import average_precision_score, roc_auc_score  # noqa: E402

from wsedtk.evaluation import average_precision  # noqa: E402


def read_tags(path):
    """Return the tags (N, K) of a list in AudioSet's format; K is the number of classes in it."""
    with open(path, encoding="utf-8") as file:
        rows = [
            row[3].split(",")
            for row in csv.reader(
                (line for line in file if not line.startswith("#")), skipinitialspace=True
            )
        ]
    index = {label: k for k, label in enumerate(sorted({label for row in rows for label in row}))}
    tags = np.zeros((len(rows), len(index)), bool)
    for clip, row in enumerate(rows):
        tags[clip, [index[label] for label in row]] = True
    return tags


def random_tags(num_clips, num_classes, rng):
    """Return tags (N, K) whose class frequencies fall from 0.28 to 0.003 with the rank."""
    return rng.random((num_clips, num_classes)) < np.maximum(
        0.28 / np.arange(1, num_classes + 1) ** 1.1, 0.003
    )


def timed(function, *arguments):
    """Return the result of a call, its seconds, and its peak memory in MB without its arguments."""
    started = time.perf_counter()
    found = function(*arguments)
    seconds = time.perf_counter() - started
    tracemalloc.start()
    function(*arguments)
    memory = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return found, seconds, memory


def loop_of_scikit_learn(scores, tags):
    """Return average precision and ROC AUC (2, K); NaN without positives or negatives."""
    found = np.full((2, tags.shape[1]), np.nan)
    for k in np.flatnonzero(tags.any(axis=0) & ~tags.all(axis=0)):
        found[:, k] = (
            average_precision_score(tags[:, k], scores[:, k]),
            roc_auc_score(tags[:, k], scores[:, k]),
        )
    return found


def main():
    """Measure both and print the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", help="tags of this list, such as AudioSet's eval_segments.csv")
    parser.add_argument("--clips", type=int, default=20371)
    parser.add_argument("--classes", type=int, default=527)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    tags = (
        read_tags(options.list)
        if options.list
        else random_tags(options.clips, options.classes, rng)
    )
    scores = rng.random(tags.shape, np.float32)
    scores += 0.3 * tags
    np.floor(scores * 1000, out=scores)
    average_precision.class_ranking(scores[:100], tags[:100])  # warm up
    print(
        f"{tags.shape[0]:,} clips x {tags.shape[1]} classes, {tags.sum():,} positives, "
        f"{tags.any(axis=0).sum()} classes with some; "
        f"scores: {scores.nbytes / 2**20:.0f} MB"
    )
    ours, seconds, memory = timed(average_precision.class_ranking, scores, tags)
    print(
        f"wsedtk        {seconds:8.2f} s, at most {memory:.0f} MB held; "
        f"{average_precision.mean_ranking(ours)}"
    )
    theirs, their_seconds, memory = timed(loop_of_scikit_learn, scores, tags)
    print(
        f"scikit-learn  {their_seconds:8.2f} s, at most {memory:.0f} MB held; "
        f"{their_seconds / seconds:.1f} times as long"
    )
    same = [
        abs(np.array([c[key] for c in ours], float) - theirs[i])
        for i, key in enumerate(("ap", "auc"))
    ]
    print(
        f"largest difference of any class: AP {np.nanmax(same[0]):.1e}, AUC "
        f"{np.nanmax(same[1]):.1e}"
    )
    found, seconds, memory = timed(average_precision.ranking_intervals, scores, tags)
    print(f"intervals     {seconds:8.2f} s, at most {memory:.0f} MB held; {found}")


if __name__ == "__main__":
    main()
