"""Measure predict beside a plain float32 forward pass over the same features.

    python tests/benchmarks/predict.py [--rounds 3]

Speed: the three networks at their published sizes with random weights run over a feature file,
including segments, in float32 and with --fast (bfloat16). The plain loop reads batches of 16, as
wsedtk does with two threads, normalises them, and calls the network under `no_grad`, with the GRU
of PyTorch. All cores are used. Each measurement is a process of its own, because the command line
of wsedtk sets up OpenMP and the memory allocator for the whole process, and a plain program does
not.

Scores: a network that was trained for a minute on synthesised sounds. The scores of `predict` and
`predict --fast` are compared with those of the plain loop.
"""

import json
import time
from pathlib import Path

import common

if common.started_as() not in (None, "plain"):
    common.as_a_command()

import numpy as np
import torch

from wsedtk.data import store
from wsedtk.inference import loading, network_runner
from wsedtk.models import checkpoint

CLIPS = {"dcase-crnn": 192, "talnet": 96, "gated-crnn": 64}
TARGET = {
    ("fast", "dcase-crnn"): 3.5,
    ("fast", "talnet"): 3,
    ("fast", "gated-crnn"): 3,
    ("precise", "dcase-crnn"): 1.4,
    ("precise", "talnet"): 1.4,
    ("precise", "gated-crnn"): 1.4,
}
TRAINING = ["--set", "max_checkpoints=4", "--set", "checkpoint_every=40"]


def plain_scores(network, spec, features, batch=16):
    """Return clip and frame probabilities by torch alone."""
    common.make_plain(network).eval()
    mean, std = (torch.tensor(v, dtype=torch.float32) for v in (spec.mean, spec.std))
    clips, frames = [], []
    with torch.no_grad():
        for start in range(0, len(features), batch):
            x = torch.from_numpy(
                features.read(np.arange(start, min(start + batch, len(features))))
            ).float()
            output = network((x - mean) / std)
            clips.append(output.clip.numpy())
            frames.append(output.frame.numpy())
    return np.concatenate(clips), np.concatenate(frames)


def one_pass(folder, kind, name):
    """Score all clips twice, and print the seconds of the second time and the peak memory."""
    model = loading.read_model(folder / name)
    features = store.FeatureStore([folder / f"{name}.h5"])
    if kind == "plain":

        def run():
            plain_scores(model.network, model.spec, features)

    else:
        runner = loading.make_runner(model, torch.device("cpu"), precise=kind == "precise")

        def run():
            for _, output, _ in network_runner.score(
                runner, features, np.arange(len(features)), 1, 10
            ):
                output.clip.numpy()

    run()
    started = time.perf_counter()
    run()
    print(json.dumps({"seconds": time.perf_counter() - started, "peak": common.peak()}))


def speed(table, folder, name, rounds):
    """Measure both precisions of wsedtk and the plain loop, each in a process of its own."""
    common.write_model(folder / name, name)
    common.write_features(folder / f"{name}.h5", CLIPS[name], common.front_ends()[name])
    command = [__file__, "--folder", folder]
    seconds, printed = common.alternate(command, ("precise", "fast", "plain"), [name], rounds)
    rate = {kind: f"{CLIPS[name] / min(values):.1f} clips/s" for kind, values in seconds.items()}
    for kind, title in (("precise", "predict"), ("fast", "predict --fast")):
        gain, target = common.ratio(seconds, "plain", kind), TARGET[kind, name]
        table.row(
            f"{title}, {name}",
            "plain float32",
            rate[kind],
            rate["plain"],
            f"{gain:.2f} x",
            f">= {target} x",
            gain >= target,
            common.highest_peak(printed[kind]),
        )


def scores(table, folder):
    """Compare the scores of a trained network."""
    model = common.trained_model(folder, TRAINING)
    spec, network, _ = checkpoint.load_model(model)
    clip, frame = plain_scores(network, spec, store.FeatureStore([folder / "test.h5"]))
    for options, title, limit in (
        ((), "predict, scores", 1e-5),
        (("--fast",), "predict --fast, scores", None),
    ):
        common.wsedtk(
            "predict", model, folder / "test.h5", folder / "scores.h5", "--device", "cpu", *options
        )
        found = store.ScoreFile(folder / "scores.h5")
        frames = np.stack([found.frames(row) for row in range(len(found))])
        worst, frame_differences = np.abs(found.clip - clip).max(), np.abs(frames - frame)
        table.row(
            title,
            "plain float32",
            f"clips differ by at most {worst:.1e}",
            f"frames by at most {frame_differences.max():.1e}",
            f"{(frame_differences <= 1e-3).mean():.2%} of the frame scores within 1e-3",
            "" if limit is None else f"all within {limit:g}",
            None if limit is None else bool(max(worst, frame_differences.max()) <= limit),
        )


def main():
    """Measure and print."""
    parser = common.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.one:
        one_pass(Path(options.folder), *options.one)
        return
    table = common.Table(options.rows)
    with common.temporary(options.folder) as folder:
        for name in CLIPS:
            speed(table, folder, name, options.rounds)
        scores(table, folder)


if __name__ == "__main__":
    main()
