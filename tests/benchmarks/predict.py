"""Measure predict beside a plain float32 forward pass over the same features.

    python tests/benchmarks/predict.py [--rounds 3]

Speed: the three networks at their published sizes with random weights run over a feature file,
including segments. The plain loop reads batches of 16, as wsedtk does on a CPU, normalises them,
and calls the network under `no_grad`. All cores are used. Each measurement is a process of its own,
because the command line of wsedtk sets up OpenMP and the memory allocator for the whole process,
and a plain program does not. Scores: a network that was trained for a
minute on synthesised sounds. The scores of `predict` and `predict --precise` are compared with
those of the plain loop.
"""

import subprocess
import sys
import time
from pathlib import Path

import common

if "--one" in sys.argv and "plain" not in sys.argv:
    common.as_a_command()

import numpy as np
import torch

from wsedtk.data import store
from wsedtk.inference import network_runner
from wsedtk.models import checkpoint
from wsedtk.models.layers import fold_batch_norm

CLIPS = {"dcase-crnn": 192, "talnet": 96, "gated-crnn": 64}
TARGET = {
    ("bf16", "dcase-crnn"): 3.5,
    ("bf16", "talnet"): 3,
    ("bf16", "gated-crnn"): 3,
    ("precise", "dcase-crnn"): 1.4,
    ("precise", "talnet"): 1.4,
    ("precise", "gated-crnn"): 1.4,
}
TRAINING = ["--set", "max_checkpoints=4", "--set", "checkpoint_every=40"]


def plain_scores(network, spec, features, batch=16):
    """Return clip and frame probabilities by torch alone."""
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


def one_pass(folder, name, kind):
    """Score all clips twice, and print the seconds of the second time and the peak memory."""
    spec, network, _ = checkpoint.load_model(folder / name)
    features = store.FeatureStore([folder / f"{name}.h5"])
    if kind == "plain":
        network.eval()

        def run():
            plain_scores(network, spec, features)

    else:
        fold_batch_norm(network)
        runner = network_runner.Runner.of(
            network, spec.mean, spec.std, torch.device("cpu"), precise=kind == "precise"
        )

        def run():
            for _, output, _ in network_runner.score(
                runner, features, np.arange(len(features)), 1, 10
            ):
                output.clip.numpy()

    run()
    started = time.perf_counter()
    run()
    print(time.perf_counter() - started, common.peak())


def speed(table, folder, name, rounds):
    """Measure both precisions of wsedtk and the plain loop, each in a process of its own."""
    common.write_model(folder / name, name)
    common.write_features(folder / f"{name}.h5", CLIPS[name], common.front_ends()[name])
    seconds = {kind: [] for kind in ("bf16", "precise", "plain")}
    peaks = dict.fromkeys(seconds, 0.0)
    for _ in range(rounds):
        for kind in seconds:
            command = [sys.executable, __file__, "--folder", folder, "--one", kind, name]
            shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            took, peak = map(float, shown.split())
            seconds[kind].append(took)
            peaks[kind] = max(peaks[kind], peak)
    rate = {kind: f"{CLIPS[name] / min(values):.1f} clips/s" for kind, values in seconds.items()}
    for kind, title in (("bf16", "predict"), ("precise", "predict --precise")):
        gain, target = common.ratio(seconds, "plain", kind), TARGET[kind, name]
        table.row(
            f"{title}, {name}",
            "plain float32",
            rate[kind],
            rate["plain"],
            f"{gain:.2f} x",
            f">= {target} x",
            gain >= target,
            peaks[kind],
        )


def scores(table, folder):
    """Compare the scores of a trained network."""
    model = common.trained_model(folder, TRAINING)
    spec, network, _ = checkpoint.load_model(model)
    clip, frame = plain_scores(network, spec, store.FeatureStore([folder / "test.h5"]))
    for options, title, limit in (
        ((), "predict, scores", 1e-3),
        (("--precise",), "predict --precise, scores", 1e-5),
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
            f"all within {limit:g}",
            bool(max(worst, frame_differences.max()) <= limit),
        )


def main():
    """Measure and print."""
    parser = common.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--one", nargs=2, metavar=("KIND", "NETWORK"), help="used by this script for itself"
    )
    options = parser.parse_args()
    if options.one:
        one_pass(Path(options.folder), options.one[1], options.one[0])
        return
    table = common.Table(options.rows)
    with common.temporary(options.folder) as folder:
        for name in CLIPS:
            speed(table, folder, name, options.rounds)
        scores(table, folder)


if __name__ == "__main__":
    main()
