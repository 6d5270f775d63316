"""Measure the training loop beside a plain loop, and the effect of its precision on learning.

    python tests/benchmarks/train.py [--rounds 3] [--device cpu] [--batch 250]
        [--networks dcase-crnn,talnet,gated-crnn]

Speed: the three networks at their published sizes on 10 s clips. `Trainer.run_batches` over a
feature file, as in `wsedtk train`, runs in alternation with a loop in float32 with torch's default
layout, BCE and Adam, whose batches are already in memory, and whose dropout, gates and GRU are
those of PyTorch. Each measurement is a process of its own, because the command line of wsedtk sets
up OpenMP and the memory allocator for the whole process, and a plain program does not. Each process
runs a warm-up first. On a GPU, the floating-point operations that torch counts, forward and
backward (possibly without the GRU), and those of a large product of bf16 matrices on the same card
are printed too.

Learning: a small CRNN is trained on synthesised sounds in bf16 and float32 with the same seeds.
Prints the difference of the validation losses with its 95 % interval (on a CPU only).
"""

import json
import statistics
import time
from pathlib import Path

import common

if common.started_as() == "wsedtk":
    common.as_a_command()

import numpy as np
import scipy.stats
import torch
from torch.utils.flop_counter import FlopCounterMode

from wsedtk.data import datadir, store
from wsedtk.models import checkpoint
from wsedtk.training import process_settings, training_loop
from wsedtk.training.feature_batches import FeatureBatches
from wsedtk.training.train_config import TrainConfig

BATCH = {"dcase-crnn": 100, "talnet": 32, "gated-crnn": 32}
TARGET = {  # (figure, unit): times the speed of the plain loop, or clips per second
    "dcase-crnn": (3.3, "x"),
    "talnet": (2, "x"),
    "gated-crnn": (8, "clips/s"),
}
STEPS = {"cpu": 2, "cuda": 20}  # per round
SEEDS = 4


def synchronised(function, device):
    """Return a function that also waits until the device has finished."""

    def run():
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run


def teraflops_of_card(device):
    """Return the TFLOP/s of a product of two square matrices in bf16, on a GPU of 8192 rows."""
    size = 8192 if device.type == "cuda" else 512
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    seconds = common.in_turn(
        {"product": synchronised(lambda: [a @ a for _ in range(10)], device)}, 3
    )
    return 10 * 2 * size**3 / min(seconds["product"]) / 1e12


def write_inputs(folder, name, batch, options=None):
    """Write a model, features and a set of 8 batches of noise.

    `options` are those of the network. By default, it has its published size.
    """
    common.write_model(folder / name, name, options)
    common.write_features(folder / f"{name}.h5", 8 * batch, common.front_ends()[name])
    common.write_set(folder / f"{name}_set", 8 * batch, common.NUM_CLASSES[name])


def make_trainer(folder, name, device, batch, steps):
    """Return a trainer whose checkpoints are `steps` batches apart, and the model's spec.

    Call `write_inputs` first.
    """
    spec, network, _ = checkpoint.load_model(folder / name)
    features = store.FeatureStore([folder / f"{name}.h5"])
    batches = FeatureBatches(features, datadir.read(folder / f"{name}_set"), folder)
    cfg = TrainConfig(network=name, batch_size=batch, checkpoint_every=steps)
    trainer = training_loop.Trainer(
        cfg,
        network.train(),
        batches,
        batches,
        statistics=(spec.mean, spec.std),
        seconds_per_frame=common.front_ends()[name].seconds_per_frame,
        device=device,
    )
    return trainer, spec


def our_loop(trainer, device, waits):
    """Return a function that trains to the next checkpoint as `wsedtk train` does.

    The function appends the seconds that it waited for data to `waits`.
    """

    def run():
        trainer.losses = []
        with process_settings.restored(), process_settings.reproducible(device, 0):
            waits.append(trainer.run_batches("benchmark", lambda: None)[1])

    return synchronised(run, device)


def plain_loop(trainer, spec, device, steps, bf16=False):
    """Return a function that trains a network with torch's defaults on a batch on the device."""
    plain = common.make_plain(spec.build()).to(device).train()
    optimizer = torch.optim.Adam(plain.parameters(), lr=trainer.cfg.learning_rate)
    x, _, tags = (t.to(device) for t in trainer.load(0)[1][:3])
    x = (x + 40) / 15

    def run():
        for _ in range(steps):
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                output = plain(x)
            loss = torch.nn.functional.binary_cross_entropy(output.clip.clamp(1e-7, 1 - 1e-7), tags)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()

    return synchronised(run, device)


def arithmetic(trainer, device, clips_per_second):
    """Return the TFLOP/s of training, and those of a large matrix product on the device."""
    with FlopCounterMode(display=False) as counter:
        trainer.loss(*trainer.load(0)[1]).backward()
    operations = counter.get_total_flops() / trainer.cfg.batch_size
    return operations * clips_per_second / 1e12, teraflops_of_card(device)


def one_loop(folder, device, kind, name, batch):
    """Train twice, and print the seconds of the second time, the wait for data, and the memory."""
    steps, waits = STEPS[device.type], []
    trainer, spec = make_trainer(folder, name, device, batch, steps)
    if kind == "wsedtk":
        loop = our_loop(trainer, device, waits)
    else:
        torch.backends.cudnn.allow_tf32 = False  # no reduced precision in float32
        loop = plain_loop(trainer, spec, device, steps)
        del trainer
    loop()
    started = time.perf_counter()
    loop()
    found = {
        "seconds": time.perf_counter() - started,
        "wait": sum(waits[1:]),
        "peak": common.peak(),
    }
    if device.type == "cuda":
        found["peak"] = torch.cuda.max_memory_allocated(device) / 2**20
    print(json.dumps(found))


def speed(table, folder, name, device, batch, rounds):
    """Measure the trainer beside the plain loop."""
    steps = STEPS[device.type]
    write_inputs(folder, name, batch)
    command = [__file__, "--folder", folder, "--device", device]
    seconds, printed = common.alternate(command, ("wsedtk", "plain"), [name, batch], rounds)
    rates = {kind: steps * batch / min(values) for kind, values in seconds.items()}
    gain, waits = common.ratio(seconds, "plain", "wsedtk"), [o["wait"] for o in printed["wsedtk"]]
    wait = statistics.median(w / s for w, s in zip(waits, seconds["wsedtk"]))
    place = device.type if device.type == "cpu" else torch.cuda.get_device_name(device)
    target, unit = TARGET[name]
    table.row(
        f"train, {name}, {batch} clips, {place}",
        "plain float32",
        f"{rates['wsedtk']:.1f} clips/s",
        f"{rates['plain']:.1f} clips/s",
        f"{gain:.2f} x",
        f">= {target} {unit}",
        (gain if unit == "x" else rates["wsedtk"]) >= target,
        common.highest_peak(printed["wsedtk"]),
    )
    table.row(
        f"train, {name}: waiting for data",
        "the step",
        f"{statistics.median(waits) / steps * 1e3:.1f} ms",
        "",
        f"{wait:.2%}",
        "<= 2 %",
        wait <= 0.02,
    )
    if device.type == "cuda":
        trainer, _ = make_trainer(folder, name, device, batch, steps)
        done, card = arithmetic(trainer, device, rates["wsedtk"])
        table.row(
            f"train, {name}: arithmetic",
            "bf16 matrix product",
            f"{done:.0f} TFLOP/s",
            f"{card:.0f} TFLOP/s",
            f"{done / card:.0%}",
            "",
            None,
        )


def learning(table, folder):
    """Return the validation losses in bf16 and float32 for each seed."""
    last = {"bf16": [], "float32": []}
    for seed in range(SEEDS):
        for precision, losses in last.items():
            settings = [f"precision={precision}", f"seed={seed}", "max_checkpoints=2"]
            model = common.trained_model(
                folder, [a for s in settings for a in ("--set", s)], f"{precision}{seed}"
            )
            losses.append(
                float(
                    (model / "history.tsv")
                    .read_text(encoding="utf-8")
                    .splitlines()[-1]
                    .split("\t")[2]
                )
            )
    difference = np.subtract(last["bf16"], last["float32"])
    low, high = scipy.stats.t.interval(
        0.95, SEEDS - 1, difference.mean(), difference.std(ddof=1) / SEEDS**0.5
    )
    table.row(
        "train, valid loss after 80 batches in bf16",
        f"float32, {SEEDS} seeds each",
        f"{np.mean(last['bf16']):.4f}",
        f"{np.mean(last['float32']):.4f} (a seed's standard deviation "
        f"{np.std(last['float32'], ddof=1):.4f})",
        f"{difference.mean():+.4f} [{low:+.4f}, {high:+.4f}]",
        "within the noise",
        bool(low <= 0 <= high),
    )


def main():
    """Measure and print."""
    parser = common.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--networks", default="dcase-crnn,talnet,gated-crnn")
    parser.add_argument(
        "--batch", type=int, help="clips; without it as many as fit a small machine"
    )
    options = parser.parse_args()
    device = torch.device(options.device)
    if options.one:
        kind, name, batch = options.one
        one_loop(Path(options.folder), device, kind, name, int(batch))
        return
    table = common.Table(options.rows)
    with common.temporary(options.folder) as folder:
        for name in options.networks.split(","):
            speed(table, folder, name, device, options.batch or BATCH[name], options.rounds)
        if device.type == "cpu":
            learning(table, folder)


if __name__ == "__main__":
    main()
