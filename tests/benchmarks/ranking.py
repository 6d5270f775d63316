"""MAP and MAUC of AudioSet's size: wsedtk beside a loop of scikit-learn, on one core. Prints seconds, their ratio, differences, memory.

    python tests/benchmarks/ranking.py [--list eval_segments.csv] [--clips 20371] [--classes 527]

Scores are random float32 of 1,000 distinct values, so that there are ties. Tags are those of a list in AudioSet's form (--list) or,
without one, random with a long tail like that of AudioSet's evaluation set: from a class in 28 % of the clips down to 60 of 20,371 for
most (Gemmeke et al. 2017: at least 59 a class). Memory is that of a second call, which tracemalloc watches and slows.
"""

import argparse
import csv
import os
import time
import tracemalloc

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before numpy starts

import numpy as np  # noqa: E402
from sklearn.metrics import average_precision_score, roc_auc_score  # noqa: E402

from wsedtk.evaluation import average_precision  # noqa: E402


def read_tags(path):
    """Tags (N, K) of a list in AudioSet's form, K the classes that it names."""
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
    """Tags (N, K) with a long tail: the share of clips falls with the rank of the class, from 0.28 to 0.003."""
    return rng.random((num_clips, num_classes)) < np.maximum(
        0.28 / np.arange(1, num_classes + 1) ** 1.1, 0.003
    )


def timed(function, *arguments):
    """What a call returns, its seconds, and the megabytes that it holds at most beyond its arguments."""
    started = time.perf_counter()
    found = function(*arguments)
    seconds = time.perf_counter() - started
    tracemalloc.start()
    function(*arguments)
    memory = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return found, seconds, memory


def loop_of_scikit_learn(scores, tags):
    """Average precision and ROC AUC of each class with positives and negatives: (2, K), else NaN."""
    found = np.full((2, tags.shape[1]), np.nan)
    for k in np.flatnonzero(tags.any(axis=0) & ~tags.all(axis=0)):
        found[:, k] = (
            average_precision_score(tags[:, k], scores[:, k]),
            roc_auc_score(tags[:, k], scores[:, k]),
        )
    return found


def main():
    """Measure both and print what was found."""
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
    average_precision.class_ranking(scores[:100], tags[:100])  # to warm up
    print(
        f"{tags.shape[0]:,} clips x {tags.shape[1]} classes, {tags.sum():,} positives, {tags.any(axis=0).sum()} classes with some; "
        f"scores: {scores.nbytes / 2**20:.0f} MB"
    )
    ours, seconds, memory = timed(average_precision.class_ranking, scores, tags)
    print(
        f"wsedtk        {seconds:8.2f} s, at most {memory:.0f} MB held; {average_precision.mean_ranking(ours)}"
    )
    theirs, their_seconds, memory = timed(loop_of_scikit_learn, scores, tags)
    print(
        f"scikit-learn  {their_seconds:8.2f} s, at most {memory:.0f} MB held; {their_seconds / seconds:.1f} times as long"
    )
    same = [
        abs(np.array([c[key] for c in ours], float) - theirs[i])
        for i, key in enumerate(("ap", "auc"))
    ]
    print(
        f"largest difference of any class: AP {np.nanmax(same[0]):.1e}, AUC {np.nanmax(same[1]):.1e}"
    )
    found, seconds, memory = timed(average_precision.ranking_intervals, scores, tags)
    print(f"intervals     {seconds:8.2f} s, at most {memory:.0f} MB held; {found}")


if __name__ == "__main__":
    main()
