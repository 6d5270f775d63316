"""Measure the latency and the memory of `wsedtk detect --stream`.

    python tests/benchmarks/stream.py [MODEL] [--minutes 10] [--speed 20] [--rate 48000]

MODEL is a model directory, or the name of a ready model (default: example). A process gets a WAV
file of unknown length through a pipe, in blocks of 20 ms of sound, at `--speed` x real time, for
`--minutes` of real time. The sound is the recording of recipes/example, repeated with random gains
and pauses.

The latency of an event is the time from the moment at which the end of the event was written to the
moment at which its line arrived. Time begins when the model has been loaded. At another speed than
1, it is also given in seconds of sound. The memory is the resident set of the process, from /proc.
The first value is measured after 5% of the time.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import soundfile

from wsedtk.audio import audio_files

RECORDING = Path(__file__).resolve().parents[2] / "recipes/example/recording.ogg"
BLOCK_SECONDS = 0.02


def sound(rate):
    """Yield blocks (S,) of 16-bit samples without end."""
    samples, source_rate = soundfile.read(RECORDING, dtype="float32")
    samples = audio_files.resample(samples, source_rate, rate)
    generator, size = np.random.default_rng(0), round(BLOCK_SECONDS * rate)
    rest = np.zeros(0, np.float32)
    while True:
        pause = generator.normal(0, 1e-3, round(generator.uniform(0.1, 9) * rate))
        rest = np.concatenate([rest, samples * generator.uniform(0.7, 1), pause.astype(np.float32)])
        for start in range(0, len(rest) - size + 1, size):
            block = rest[start : start + size]
            yield np.clip(block * 32767, -32768, 32767).astype("<i2")
        rest = rest[len(rest) // size * size :]


def header(rate):
    """Return the header of a mono WAV file of unknown length, as ffmpeg writes it to a pipe."""
    unknown = b"\xff\xff\xff\xff"

    def number(value, size=4):
        return value.to_bytes(size, "little")

    form = number(1, 2) + number(1, 2) + number(rate) + number(2 * rate) + number(2, 2)
    return b"RIFF" + unknown + b"WAVEfmt " + number(16) + form + number(16, 2) + b"data" + unknown


def resident_megabytes(process):
    """Return the resident set of a process in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


class Feed:
    """Write sound to a process at a constant speed, and measure its memory."""

    def __init__(self, process, rate, speed, minutes):
        self.process, self.rate, self.speed, self.minutes = process, rate, speed, minutes
        self.started, self.memory = None, []

    def run(self):
        """Write until the time is over, then close the pipe."""
        pipe, blocks = self.process.stdin, sound(self.rate)
        pipe.write(header(self.rate) + next(blocks).tobytes())
        pipe.flush()
        line = b""
        while b"an event is found at most" not in line:  # the model has been loaded
            line = self.process.stderr.readline()
            sys.stderr.write(line.decode())
        self.started = time.monotonic()
        next_measure = self.started
        for number, block in enumerate(blocks, 1):
            pipe.write(block.tobytes())
            pipe.flush()
            now = time.monotonic()
            if now >= next_measure:
                self.memory.append(resident_megabytes(self.process))
                next_measure += self.minutes * 60 / 100
            if now - self.started >= self.minutes * 60:
                break
            time.sleep(max(0.0, self.started + number * BLOCK_SECONDS / self.speed - now))
        self.seconds = number * BLOCK_SECONDS
        self.took = time.monotonic() - self.started
        pipe.close()


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="example")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--speed", type=float, default=20.0)
    parser.add_argument("--rate", type=int, default=48000)
    options = parser.parse_args()
    command = [sys.executable, "-m", "wsedtk", "detect", options.model, "--stream"]
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    feed = Feed(process, options.rate, options.speed, options.minutes)
    feeding = threading.Thread(target=feed.run)
    feeding.start()
    latencies = []
    for line in process.stdout:
        now, event = time.monotonic(), json.loads(line)
        if feeding.is_alive():
            latencies.append(now - feed.started - event["offset"] / options.speed)
    feeding.join()
    sys.stderr.write(process.stderr.read().decode())
    status = process.wait()
    if status != 0 or not latencies:
        raise SystemExit(f"detect ended with status {status} and {len(latencies)} events")
    early = feed.memory[max(1, len(feed.memory) // 20)]
    print(
        f"{feed.seconds / 60:.0f} minutes of sound in {feed.took / 60:.1f} minutes, "
        f"{feed.seconds / feed.took:.1f} x real time; {len(latencies)} events"
    )
    print(
        f"memory: {early:.1f} MB after 5%, {feed.memory[-1]:.1f} MB at the end, "
        f"{max(feed.memory):.1f} MB at most"
    )
    values = np.percentile(latencies, [0, 50, 95, 99, 100])
    names = ("lowest", "median", "95%", "99%", "highest")
    for unit, factor in {"s": 1.0, "s of sound": options.speed}.items():
        texts = [f"{name} {factor * value:.2f}" for name, value in zip(names, values)]
        print(f"latency in {unit}: {', '.join(texts)}")


if __name__ == "__main__":
    main()
