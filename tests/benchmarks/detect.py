"""Measure extract, predict, decode and detect beside a script with librosa and plain torch.

    python tests/benchmarks/detect.py [--rounds 3] [--clips 600]

Sounds have 44.1 kHz. The network is dcase-crnn at its published size with random weights.
Thresholds are 0.5, and the median filter has 0.5 s. Three programs run in alternation:

- the command `wsedtk detect`, in float32 and with --fast, on files of 10 s (--clips of them), and
  on one recording that joins them. The windows overlap by half, so each second of the recording is
  scored twice. The start-up is excluded: speeds are computed from the difference between all sounds
  and a tenth of them;
- the three stages of wsedtk, in one process, with files between them, on a tenth of the files;
- the script, in a process of its own, on a tenth of the files. It uses librosa's load and front
  end, the network in float32 in batches of 16 with the GRU of PyTorch, scipy's median filter, and
  runs.

The stages and the script run once to warm up. Their frame scores are compared. Speeds are medians
over the rounds.
"""

import json
import os
import statistics
import time
import warnings
from pathlib import Path

import common

if common.started_as() == "stages":
    common.as_a_command()

import librosa
import numpy as np
import scipy.ndimage
import soundfile
import torch

from wsedtk.data import store
from wsedtk.decoding import operating_point
from wsedtk.models import checkpoint
from wsedtk.stages import decode, extract, predict
from wsedtk.stages.options.results import DecodeOptions, PredictOptions
from wsedtk.stages.options.systems import ExtractOptions

MEL = librosa.filters.mel(sr=16000, n_fft=4096, n_mels=64)
NUM_SOUNDS = 40  # the files of 10 s are copies of them
TARGET = {"files": 1000, "recording": 700}  # times real time
TITLE = {"files": "files of 10 s", "recording": "one recording"}


def script(paths, network, spec):
    """Return frame scores (N, T, K), and events as (path, onset, offset, class)."""
    mean, std = (torch.tensor(v, dtype=torch.float32) for v in (spec.mean, spec.std))
    frames, events = [], []
    for start in range(0, len(paths), 16):
        x = torch.from_numpy(
            np.stack([common.features_by_librosa(p, MEL) for p in paths[start : start + 16]])
        )
        with torch.no_grad():
            frames.append(network((x - mean) / std).frame.numpy())
    frames = np.concatenate(frames)
    for path, scores in zip(paths, frames):
        active = scipy.ndimage.median_filter(
            (scores >= 0.5).astype(np.uint8), size=(5, 1), mode="constant"
        )
        edges = np.diff(np.pad(active.astype(np.int8), ((1, 1), (0, 0))), axis=0)
        for k in range(active.shape[1]):
            events += [
                (path, a / 10, b / 10, k)
                for a, b in zip(np.flatnonzero(edges[:, k] == 1), np.flatnonzero(edges[:, k] == -1))
            ]
    return frames, events


def stages(folder):
    """Run extract, predict and decode on a tenth of the files."""
    extract.run(
        ExtractOptions(
            folder / "set",
            folder / "f.h5",
            max_seconds=common.SECONDS,
            max_failures=0,
            device="cpu",
        )
    )
    predict.run(PredictOptions(folder / "model", folder / "f.h5", folder / "s.h5", device="cpu"))
    paths = (folder / "s.h5", folder / "point.yaml", folder / "out")
    decode.run(DecodeOptions(*paths, mode="frame"))


def one_program(folder, kind):
    """Run the stages or the script twice, and print the seconds of the second time, and the memory.

    The script writes its frame scores.
    """
    spec, network, _ = checkpoint.load_model(folder / "model")
    common.make_plain(network).eval()
    paths = sorted((folder / "few").iterdir())

    def run():
        if kind == "stages":
            stages(folder)
        else:
            np.save(folder / "plain.npy", script(paths, network, spec)[0])

    run()
    started = time.perf_counter()
    run()
    print(json.dumps({"seconds": time.perf_counter() - started, "peak": common.peak()}))


def write_inputs(folder, num_clips):
    """Write the model, all sounds and a tenth of them, as files of 10 s and as one recording.

    Return the numbers of clips, as {name: number}.
    """
    counts = {"few": max(1, num_clips // 10), "many": num_clips}
    sounds = common.write_sounds(folder / "audio", min(num_clips, NUM_SOUNDS))
    for name, count in counts.items():
        (folder / name).mkdir()
        for number in range(count):
            os.link(sounds[number % len(sounds)], folder / name / f"{number:06d}.wav")
        with soundfile.SoundFile(folder / f"{name}.wav", "w", 44100, 1, "PCM_16") as recording:
            for number in range(count):
                recording.write(soundfile.read(sounds[number % len(sounds)], dtype="int16")[0])
    common.write_set(folder / "set", counts["few"], 17, sorted((folder / "few").iterdir()))
    spec, _, _ = checkpoint.load_model(common.write_model(folder / "model", "dcase-crnn"))
    half, flat = np.full(17, 0.5), np.zeros(17)
    point = operating_point.OperatingPoint(
        "frame", list(spec.labels), half, half, half, flat, flat, False, "by hand"
    )
    operating_point.write(folder / "point.yaml", point)
    return counts


def seconds_of_detect(folder, audio, precision):
    """Return the wall time of `wsedtk detect`, and its peak memory in MiB."""
    output = ("--output", folder / "e.tsv", "--operating-point", folder / "point.yaml")
    checks = ("--overwrite", "--max-failures", 0, "--device", "cpu", "--quiet")
    wall, _, peak = common.wsedtk("detect", folder / "model", audio, *output, *checks, precision)
    return wall, peak


def detect_beside_script(table, folder, counts, rounds):
    """Measure the programs in alternation, and add the rows."""
    kinds = [(sounds, mode) for sounds in TARGET for mode in ("--precise", "--fast")]
    seconds = {kind: [] for kind in (*kinds, "stages", "plain")}  # for 10 s of sound
    peaks = dict.fromkeys(seconds, 0.0)
    for _ in range(rounds):
        for sounds, mode in kinds:
            suffix, walls = ".wav" if sounds == "recording" else "", []
            for name in counts:
                wall, peak = seconds_of_detect(folder, folder / f"{name}{suffix}", mode)
                walls.append(wall)
                peaks[sounds, mode] = max(peaks[sounds, mode], peak)
            took = (walls[1] - walls[0]) / (counts["many"] - counts["few"])
            seconds[sounds, mode].append(took)
        _, printed = common.alternate([__file__, "--folder", folder], ("stages", "plain"), (), 1)
        for kind, (found,) in printed.items():
            seconds[kind].append(found["seconds"] / counts["few"])
            peaks[kind] = max(peaks[kind], found["peak"])
    speeds = {kind: common.SECONDS / statistics.median(values) for kind, values in seconds.items()}
    shown = {kind: f"{speed:.0f} x real time" for kind, speed in speeds.items()}
    scores = store.ScoreFile(folder / "s.h5")
    frames = np.stack([scores.frames(row) for row in range(len(scores))])
    worst = np.abs(frames - np.load(folder / "plain.npy")).max()
    gain = common.ratio(seconds, "plain", "stages")
    table.row(
        "sound files to events",
        f"librosa and plain torch (frame scores differ by at most {worst:.1e})",
        shown["stages"],
        shown["plain"],
        f"{gain:.2f} x",
        ">= 2 x",
        gain >= 2,
        peaks["stages"],
    )
    for kind in kinds:
        sounds, mode = kind
        command = "detect" if mode == "--precise" else f"detect {mode}"
        table.row(
            f"{command}, {TITLE[sounds]}",
            "librosa and plain torch, each second once",
            shown[kind],
            shown["plain"],
            f"{common.ratio(seconds, 'plain', kind):.2f} x",
            f">= {TARGET[sounds]:,} x real time",
            speeds[kind] >= TARGET[sounds],
            peaks[kind],
        )


def main():
    """Measure and print."""
    parser = common.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=600)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.one:
        one_program(Path(options.folder), options.one[0])
        return
    common.need_disk(options.folder, options.clips * 1e-3 + 0.2)
    table = common.Table(options.rows)
    with common.temporary(options.folder) as folder:
        counts = write_inputs(folder, options.clips)
        detect_beside_script(table, folder, counts, options.rounds)


if __name__ == "__main__":
    main()
