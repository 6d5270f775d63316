"""Measure predict beside a plain float32 forward pass over the same features.

    python tests/benchmarks/predict.py [--rounds 3]

Speed: the three networks at their published sizes with random weights run over a feature file,
including segments. The plain loop reads batches of 16, as wsedtk does on a CPU, normalises them,
and calls the network under `no_grad`. All cores are used. Scores: a network that was trained for a
minute on synthesised sounds. The scores of `predict` and `predict --precise` are compared with
those of the plain loop.
"""

import common
import numpy as np
import torch

from wsedtk.data import store
from wsedtk.inference import network_runner
from wsedtk.models import checkpoint

CLIPS = {"dcase-crnn": 192, "talnet": 96, "gated-crnn": 64}
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


def speed(table, folder, name, rounds):
    """Measure both precisions of wsedtk and the plain loop."""
    spec, network, _ = checkpoint.load_model(common.write_model(folder / name, name))
    features = store.FeatureStore(
        [common.write_features(folder / f"{name}.h5", CLIPS[name], common.front_ends()[name])]
    )
    plain, rows, cpu = spec.build().eval(), np.arange(CLIPS[name]), torch.device("cpu")
    plain.load_state_dict(network.state_dict())
    runners = {
        kind: network_runner.Runner.of(
            network if kind == "bf16" else checkpoint.load_model(folder / name)[1],
            spec.mean,
            spec.std,
            cpu,
            precise=kind == "precise",
        )
        for kind in ("bf16", "precise")
    }

    def ours(runner):
        for _, output, _ in network_runner.score(runner, features, rows, 1, 10):
            output.clip.numpy()

    seconds = common.in_turn(
        {
            "bf16": lambda: ours(runners["bf16"]),
            "precise": lambda: ours(runners["precise"]),
            "plain": lambda: plain_scores(plain, spec, features),
        },
        rounds,
    )
    rate = {kind: f"{CLIPS[name] / min(values):.1f} clips/s" for kind, values in seconds.items()}
    for kind, title in (("bf16", "predict"), ("precise", "predict --precise")):
        gain = common.ratio(seconds, "plain", kind)
        table.row(
            f"{title}, {name}",
            "plain float32",
            rate[kind],
            rate["plain"],
            f"{gain:.2f} x",
            ">= 1.5 x" if kind == "bf16" else "",
            gain >= 1.5 if kind == "bf16" else None,
            common.peak(),
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
    options = parser.parse_args()
    table = common.Table(options.rows)
    with common.temporary(options.folder) as folder:
        for name in CLIPS:
            speed(table, folder, name, options.rounds)
        scores(table, folder)


if __name__ == "__main__":
    main()
