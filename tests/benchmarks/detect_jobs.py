"""Measure `detect` on many recordings with one and two processes, and stop it five times.

    python tests/benchmarks/detect_jobs.py [--rounds 3] [--files 200]

The recordings last one minute and have 44.1 kHz. The network is dcase-crnn at its published size
with random weights. Thresholds are 0.5. Three commands run in alternation: one process with one
thread (`--jobs 1` with OMP_NUM_THREADS=1), one process with all cores (the default), and two
processes (`--jobs 2`). Rates include the start-up. Ratios are medians over the rounds.

Then `detect --jobs 2` is killed with SIGKILL five times, each time after another sixth of the
recordings, and run to its end. The events, and the score table of each recording, must equal those
of a run that was not stopped.
"""

import os
import signal
import statistics
import subprocess
import sys
import time

import common
import numpy as np
import soundfile

from wsedtk.decoding import operating_point
from wsedtk.models import checkpoint

MINUTE, RATE = 60, 44100
KINDS = {"one thread": ("--jobs", 1), "default": (), "two jobs": ("--jobs", 2)}


def write_inputs(folder, num_files):
    """Write the model, its operating point and the recordings."""
    spec, _, _ = checkpoint.load_model(common.write_model(folder / "model", "dcase-crnn"))
    half, flat = np.full(len(spec.labels), 0.5), np.zeros(len(spec.labels))
    point = operating_point.OperatingPoint(
        "frame", list(spec.labels), half, half, half, flat, flat, False, "by hand"
    )
    operating_point.write(folder / "model" / "operating_point.yaml", point)
    sounds = common.write_sounds(folder / "sounds", 12)
    clips = [soundfile.read(path, dtype="int16")[0] for path in sounds]
    (folder / "in").mkdir()
    rng = np.random.default_rng(0)
    for number in range(num_files):
        chosen = np.concatenate([clips[i] for i in rng.permutation(len(clips))[:6]])
        soundfile.write(folder / "in" / f"{number:04d}.wav", chosen[: MINUTE * RATE], RATE)


def command(folder, name, *options):
    """Return the arguments of `wsedtk detect` with outputs in a folder of this name."""
    out = folder / name
    words = [sys.executable, "-m", "wsedtk", "detect", folder / "model", folder / "in"]
    words += ["--output", out / "e.csv", "--format", "csv", "--scores", out / "scores"]
    return [str(word) for word in (*words, "--device", "cpu", "--quiet", *options)]


def speed(folder, kind, num_files):
    """Return the speed of one run, in times real time."""
    environment = dict(os.environ)
    environment.pop("OMP_NUM_THREADS", None)
    if kind == "one thread":
        environment["OMP_NUM_THREADS"] = "1"
    started = time.perf_counter()
    words = command(folder, kind, "--overwrite", *map(str, KINDS[kind]))
    subprocess.run(words, check=True, env=environment)
    return num_files * MINUTE / (time.perf_counter() - started)


def files(folder):
    """Return the content of each file below a folder, except for hidden files."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def stopped(folder, num_files, num_stops):
    """Kill `detect` several times, let it end, and return whether its outputs are those of a run.

    Each time, it is killed when another part of the score tables has been written.
    """
    scores = folder / "killed" / "scores"
    for number in range(1, num_stops + 1):
        process = subprocess.Popen(command(folder, "killed", "--jobs", "2"), start_new_session=True)
        while len(list(scores.glob("*"))) < number * num_files / (num_stops + 1):
            if process.poll() is not None:
                raise SystemExit("detect_jobs.py: detect ended before it was killed")
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command(folder, "killed", "--jobs", "2"), check=True)
    return files(folder / "killed") == files(folder / "two jobs")


def main():
    """Measure and print."""
    parser = common.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--files", type=int, default=200)
    options = parser.parse_args()
    table = common.Table(options.rows)
    with common.temporary(options.folder) as folder:
        write_inputs(folder, options.files)
        speeds = {kind: [] for kind in KINDS}
        for _ in range(options.rounds):
            for kind, found in speeds.items():
                found.append(speed(folder, kind, options.files))
        shown = {kind: f"{statistics.median(v):.0f} x real time" for kind, v in speeds.items()}
        for kind, least in (("one thread", 1.7), ("default", 1.0)):
            ratio = statistics.median(
                two / one for one, two in zip(speeds[kind], speeds["two jobs"])
            )
            table.row(
                f"detect --jobs 2, {options.files} files of 1 minute",
                f"one process, {'one thread' if kind == 'one thread' else 'all cores'}",
                shown["two jobs"],
                shown[kind],
                f"{ratio:.2f} x faster",
                f">= {least:g} x",
                ratio >= least,
            )
        is_equal = stopped(folder, options.files, 5)
        table.row(
            "detect --jobs 2, killed five times",
            "a run that was not stopped",
            f"{len(files(folder / 'killed'))} files",
            f"{len(files(folder / 'two jobs'))} files",
            "equal" if is_equal else "different",
            "equal",
            is_equal,
        )


if __name__ == "__main__":
    main()
