"""Measure parameters, resolution and training speed of each network with each pooling.

    python tests/benchmarks/networks.py [--batch 32] [--steps 3] [--precision bf16]

Each network has its published size, and clips have ten seconds in its own front end. A training
step is forward, loss, backward and Adam. Speeds are in clips per second, and relative to linear
pooling of the same network in the same run.
"""

import argparse
import time

import torch

from wsedtk.inference import network_runner
from wsedtk.models.network import build_network
from wsedtk.models.pooling_functions import POOLINGS
from wsedtk.training.training_loop import binary_cross_entropy

NETWORKS = {
    "dcase-crnn": (17, 400, 64, 0.025),
    "talnet": (527, 400, 64, 0.025),
    "gated-crnn": (17, 500, 80, 0.02),
}


def seconds_of(step, num_steps):
    """Return the shortest time of `num_steps` steps, after one step to warm up."""
    step()
    found = []
    for _ in range(num_steps):
        started = time.perf_counter()
        step()
        found.append(time.perf_counter() - started)
    return min(found)


def main():
    """Measure all combinations and print one row each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--precision", choices=["bf16", "float32"], default="bf16")
    options = parser.parse_args()
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.batch} clips "
        f"a batch, {options.precision}"
    )
    print(
        f"{'network':11} {'pooling':19} {'parameters':>10} {'s/frame':>8} "
        f"{'train clips/s':>14} {'to linear':>10}"
    )
    for name, (num_classes, num_frames, num_mels, seconds_per_frame) in NETWORKS.items():
        linear = None
        for pooling in sorted(POOLINGS.names(), key="linear".__ne__):
            network = build_network(name, num_classes, pooling, num_mels=num_mels)
            runner = network_runner.Runner.of(
                network,
                [0.0] * num_mels,
                [1.0] * num_mels,
                torch.device("cpu"),
                options.precision == "float32",
            )
            optimizer = torch.optim.Adam(network.parameters())
            x = torch.randn(options.batch, num_frames, num_mels)
            mask, tags = (
                torch.ones(x.shape[:2], dtype=torch.bool),
                (torch.rand(options.batch, num_classes) < 0.1).float(),
            )

            def step():
                loss = binary_cross_entropy(runner.run(*runner.normalize(x, mask)).clip, tags)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                network.pooling.project()

            rate = options.batch / seconds_of(step, options.steps)
            linear = linear or rate
            count = sum(p.numel() for p in network.parameters())
            resolution = seconds_per_frame * network.time_reduction
            print(
                f"{name:11} {pooling:19} {count:10,} {resolution:8.2f} {rate:14.1f} "
                f"{rate / linear:10.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
