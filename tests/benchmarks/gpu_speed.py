"""Measure speed and memory on a GPU, and settings that wsedtk does not use. `gpu.py` calls these.

    python tests/benchmarks/gpu_speed.py EXPERIMENT DEVICE

measures one of the settings in a process of its own, and prints JSON. Each function yields rows of
the table of `gpu.py`. Without a GPU, the device is the CPU, and the networks and inputs are small.
"""

import json
import os
import statistics
import subprocess
import sys
import time

import common
import gpu_checks
import numpy as np
import soundfile
import torch
import train

from wsedtk.audio import frontend as frontends
from wsedtk.inference import network_runner
from wsedtk.inference.tf32 import without_tf32
from wsedtk.models.network import build_network
from wsedtk.models.networks import talnet
from wsedtk.stages import detect, extract
from wsedtk.stages.options.detection import DetectOptions
from wsedtk.stages.options.systems import ExtractOptions
from wsedtk.training.training_loop import binary_cross_entropy

NETWORK = "talnet"
BATCH = {"cpu": 4, "cuda": 250}
STEPS = {"cpu": 2, "cuda": 20}  # per round
EXPERIMENTS = (
    "none of them",
    "deterministic algorithms",
    "cudnn.benchmark",
    "channels first",
    "the GRU under autocast",
    "CUDA graph",
    "torch.compile",
)
NEED_GPU = ("cudnn.benchmark", "CUDA graph", "torch.compile")


def options_of(device):
    """Return the options of the network: none on a GPU, so that it has its published size."""
    return gpu_checks.TOY[NETWORK] if device.type == "cpu" else {}


def peak_of(function, device):
    """Call a function, and return the peak memory of the device in MiB, on a CPU of the process."""
    if device.type == "cpu":
        function()
        return common.peak()
    torch.cuda.reset_peak_memory_stats(device)
    function()
    return torch.cuda.max_memory_allocated(device) / 2**20


def training(device, deadline, folder):
    """Measure the training of TALNet beside plain PyTorch, and its arithmetic."""
    batch, steps, waits = BATCH[device.type], STEPS[device.type], []
    title = f"train, {NETWORK}, {batch} clips"
    train.write_inputs(folder, NETWORK, batch, options_of(device))
    trainer, spec = train.make_trainer(folder, NETWORK, device, batch, steps)
    exact = train.plain_loop(trainer, spec, device, steps)

    def plain_float32():
        with without_tf32():
            exact()

    loops = {
        "wsedtk": train.our_loop(trainer, device, waits),
        "plain float32": plain_float32,
        "plain bf16 autocast": train.plain_loop(trainer, spec, device, steps, bf16=True),
    }
    seconds = common.in_turn(loops, 3)
    rates = {name: steps * batch / min(values) for name, values in seconds.items()}
    for name, loop in loops.items():
        peak = peak_of(loop, device)
        ratio = common.ratio(seconds, name, "wsedtk")
        shown = f"{rates[name]:.0f} clips/s, peak {peak:.0f} MiB"
        found = shown if name == "wsedtk" else f"{shown}; wsedtk is {ratio:.2f} x as fast"
        yield f"{title}: {name}", "", found, "", None
    # The first round is the warm-up, and the last one measured the memory.
    share = statistics.median(w / s for w, s in zip(waits[1:-1], seconds["wsedtk"]))
    wait = f"{statistics.median(waits[1:-1]) / steps * 1e3:.1f} ms a batch, {share:.2%}"
    yield f"{title}: waiting for data", "the training time", wait, "", None

    def rate_of_arithmetic():
        done, card = train.arithmetic(trainer, device, rates["wsedtk"])
        shown = f"{done:.3g} of {card:.3g} TFLOP/s, {done / card:.0%}"
        return "a large bf16 matrix product", shown, "", None

    arithmetic = f"{title}: arithmetic without the GRU"
    yield common.attempt(deadline, arithmetic, rate_of_arithmetic, failure=None)


def sounds_to_events(device, deadline, folder):
    """Measure `extract`, the front end alone, and `detect`, on the device and on the CPU."""
    is_toy = device.type == "cpu"
    num_clips, jobs = (8, 1) if is_toy else (1500, min(16, os.cpu_count()))
    paths = common.write_sounds(folder / "audio", 4 if is_toy else 40)
    sets = [common.write_set(folder / f"{n}", n, 17, paths) for n in (num_clips // 4, num_clips)]

    def rate_of_extract(place):
        walls = []
        # The first run is a warm-up. The difference of the times does not contain the start of
        # processes.
        for data in (sets[0], *sets):
            started = time.perf_counter()
            options = ExtractOptions(data, folder / "f.h5", jobs=jobs, device=place)
            extract.run(options)
            walls.append(time.perf_counter() - started)
        return (num_clips - num_clips // 4) / max(walls[2] - walls[1], 1e-9)

    def extraction():
        rates = [rate_of_extract(place) for place in (device.type, "cpu")]
        return "--device cpu", f"{rates[0]:.0f} clips/s; {rates[1]:.0f} clips/s", "", None

    def front_end():
        samples, found = soundfile.read(paths[0], dtype="float32")[0][:160000], []
        before = frontends._BLOCK_FRAMES
        log_mel = frontends.LogMel(common.front_ends()[NETWORK], device)
        try:
            for block in (before, 4096):
                frontends._BLOCK_FRAMES = block
                loop = {"front end": lambda: [log_mel(samples) for _ in range(10)]}
                found.append(min(common.in_turn(loop, 5)["front end"]) * 100)
        finally:
            frontends._BLOCK_FRAMES = before
        return "blocks of 4096 frames", f"{found[0]:.2f} ms a clip; {found[1]:.2f} ms", "", None

    yield common.attempt(deadline, f"extract, --jobs {jobs}", extraction, None)
    yield common.attempt(
        deadline, f"front end, blocks of {frontends._BLOCK_FRAMES}", front_end, None
    )
    seconds = 30 if is_toy else 600
    recording, rate = folder / "long.wav", 44100
    clip = soundfile.read(paths[0], dtype="int16")[0]
    soundfile.write(recording, np.tile(clip, seconds // 10), rate)
    model = common.write_model(folder / "model", NETWORK, options_of(device))

    def detection(precise):
        speeds = []
        for place in (device.type, "cpu"):
            options = DetectOptions(
                model, [recording], thresholds=["0.5"], precise=precise, device=place
            )
            loop = {"detect": lambda: detect.run(options)}
            speeds.append(seconds / min(common.in_turn(loop, 1)["detect"]))
        return "--device cpu", f"{speeds[0]:.0f} x; {speeds[1]:.0f} x real time", "", None

    title = f"detect, {NETWORK}, a recording of {seconds} s"
    yield common.attempt(deadline, title, lambda: detection(True), None)
    yield common.attempt(deadline, f"{title}, --fast", lambda: detection(False), None)


def experiment(name, device):
    """Train TALNet on one batch with a setting. Return clips/s, peak MiB, and the GRU's dtype."""
    batch, num_steps, is_gpu = BATCH[device.type], STEPS[device.type] // 2, device.type == "cuda"
    torch.manual_seed(0)
    network = build_network(NETWORK, 527, "linear", num_mels=64, **options_of(device))
    zeros_and_ones = [0.0] * 64, [1.0] * 64
    network_runner.Runner.of(network.train(), *zeros_and_ones, device)
    if name == "channels first":
        network.to(memory_format=torch.contiguous_format)
    forward, dtypes, is_graph = network, [], name == "CUDA graph"
    original = talnet.run_gru

    def run_gru(gru, x, mask):
        hidden = gru(x)[0] if name == "the GRU under autocast" else original(gru, x, mask)
        dtypes.append(str(hidden.dtype).removeprefix("torch."))
        return hidden

    if name == "torch.compile":
        forward = torch.compile(network)
    else:
        talnet.run_gru = run_gru
    torch.backends.cudnn.benchmark = name == "cudnn.benchmark"
    torch.use_deterministic_algorithms(name == "deterministic algorithms", warn_only=True)
    optimizer = torch.optim.Adam(network.parameters(), fused=is_gpu or None, capturable=is_graph)
    x = torch.randn(batch, 400, 64, device=device)
    tags = (torch.rand(batch, 527, device=device) < 0.01).float()

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, cache_enabled=not is_graph):
            output = forward(x)
        binary_cross_entropy(output.clip, tags).backward()
        optimizer.step()
        network.pooling.project()

    if is_graph:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        step = graph.replay
    loop = train.synchronised(lambda: [step() for _ in range(num_steps)], device)
    peak = peak_of(loop, device)
    seconds = min(common.in_turn({"training": loop}, 2)["training"])
    return num_steps * batch / seconds, peak, dtypes[-1] if dtypes else ""


def experiments(device, deadline, folder):
    """Measure settings that wsedtk does not use. Each one has a process of its own."""
    rates = {}

    def measure(name):
        if name in NEED_GPU and device.type == "cpu":
            return "", "needs a GPU", "", None
        command = [sys.executable, __file__, name, device.type]
        # torch.compile, the last experiment, may take all of the time that is left.
        limit = deadline.left() if name == EXPERIMENTS[-1] else min(40, deadline.left())
        done = subprocess.run(
            command,
            env={**os.environ, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"},  # as `train` sets it
            capture_output=True,
            text=True,
            timeout=limit,
        )
        if done.returncode:
            sys.stderr.write(done.stderr)
            reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
            return "", f"failed: {reason[:150]}", "", None
        rate, peak, dtype = json.loads(done.stdout.splitlines()[-1])
        rates[name] = rate
        found = [f"{rate:.0f} clips/s", f"peak {peak:.0f} MiB"]
        if EXPERIMENTS[0] in rates:
            found.insert(1, f"{rate / rates[EXPERIMENTS[0]]:.2f} x")
        if dtype:
            found.append(f"GRU in {dtype}")
        return EXPERIMENTS[0], ", ".join(found), "", None

    batch = BATCH[device.type]
    for name in EXPERIMENTS:
        title = f"experiment, {NETWORK}, {batch} clips in memory: {name}"
        yield common.attempt(deadline, title, lambda: measure(name), None)


if __name__ == "__main__":
    print(json.dumps(experiment(sys.argv[1], torch.device(sys.argv[2]))))
