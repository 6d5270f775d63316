"""Functions that several test files use: sounds, data directories, scores, operating points."""

import contextlib
import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import torch

from wsedtk.audio.frontend import FrontendConfig
from wsedtk.core import provenance
from wsedtk.data import store
from wsedtk.decoding import operating_point
from wsedtk.models import checkpoint

RECIPES = Path(__file__).resolve().parent.parent / "recipes"
LABELS = ["high, very", "low"]
SMALL = [
    "--set",
    "network_options={channels: [4, 6, 8], num_hidden: 8}",
    "--set",
    "batch_size=6",
    "--set",
    "learning_rate=3e-3",
    "--set",
    "checkpoint_every=5",
    "--set",
    "max_checkpoints=3",
]


def table(folder, name="clips.tsv"):
    """Return the rows of a table of a data directory, without the header."""
    return [
        line.split("\t")
        for line in (Path(folder) / name).read_text(encoding="utf-8").split("\n")[1:-1]
    ]


def contents(folder):
    """Return {relative path: bytes} of all files of a folder."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(Path(folder).rglob("*"))
        if p.is_file()
    }


def write_sound(path, seconds=1.0, sample_rate=16000, frequency=440.0, channels=1, seed=0):
    """Write a tone in weak noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    noise = np.random.default_rng(seed).normal(0, 0.01, (len(t), channels))
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * frequency * t)[:, None] + noise, sample_rate)


def write_by_pyav(
    path,
    samples,
    sample_rate,
    format_name,
    codec,
    start_seconds=(0.0,),
    tracks=1,
    options=None,
    video_codec=None,
    video_seconds=6,
):
    """Write samples (S, C) or (S,) by PyAV.

    start_seconds: time stamps of parts of equal length; tracks: number of equal tracks;
    video_codec, video_seconds: a video track of 5 pictures per second.
    """
    import av

    samples = np.asarray(samples, np.float32).reshape(len(samples), -1)
    layout = {1: "mono", 2: "stereo"}[samples.shape[1]]
    with av.open(str(path), "w", format=format_name, options=options or {}) as container:
        streams = [
            container.add_stream(codec, rate=sample_rate, layout=layout) for _ in range(tracks)
        ]
        for stream in streams if codec == "wmav2" else []:
            stream.bit_rate = 64000
        pictures = container.add_stream(video_codec, rate=5) if video_codec else None
        if pictures is not None:
            pictures.width = pictures.height = 64
            pictures.pix_fmt = "yuv420p"
            for number in range(5 * video_seconds):
                picture = np.full((64, 64, 3), number % 250, np.uint8)
                container.mux(pictures.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(pictures.encode(None))
        for stream in streams:
            fifo, size = av.AudioFifo(), stream.codec_context.frame_size or 1024
            resampler = av.AudioResampler(format=stream.format, layout=layout, rate=sample_rate)
            for part, start in zip(np.array_split(samples, len(start_seconds)), start_seconds):
                part = np.ascontiguousarray(part.T)
                frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
                frame.sample_rate = sample_rate
                for converted in resampler.resample(frame):
                    converted.pts = None
                    fifo.write(converted)
                time = round(start * sample_rate)
                while fifo.samples:
                    piece = fifo.read(min(size, fifo.samples), partial=True)
                    piece.pts = time
                    time += piece.samples
                    container.mux(stream.encode(piece))
            container.mux(stream.encode(None))


def write_set(folder, clips, labels, tags, events=None):
    """Write a data directory. clips: (filename, path, duration); tags: (filename, label)."""
    folder.mkdir(parents=True, exist_ok=True)

    def table(name, header, rows):
        lines = [header, *("\t".join(map(str, row)) for row in rows)]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")

    table("clips.tsv", "filename\tpath\tduration", clips)
    table("tags.tsv", "filename\tevent_label", tags)
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    if events is not None:
        table("events.tsv", "filename\tonset\toffset\tevent_label", events)
    return folder


def write_score_file(
    path,
    filenames,
    labels,
    clip,
    frame=None,
    segment=None,
    num_frames=None,
    durations=None,
    seconds_per_frame=0.1,
    failed=(),
):
    """Write a score file as `wsedtk predict` does.

    clip: (N, K); frame: (N, T, K) or None; segment: (N, S, K), by default `clip` repeated.
    """
    clip = np.asarray(clip, np.float32)
    durations = np.asarray(durations if durations is not None else np.full(len(filenames), 10.0))
    num_frames = (
        np.ceil(durations / seconds_per_frame) if num_frames is None else np.asarray(num_frames)
    )
    arrays = {"clip": clip, "duration": durations, "num_frames": num_frames}
    arrays["segment"] = (
        np.repeat(clip[:, None], int(np.ceil(durations.max())), axis=1)
        if segment is None
        else np.asarray(segment)
    )
    if frame is not None:
        arrays["frame"] = np.asarray(frame)
    path.parent.mkdir(parents=True, exist_ok=True)
    shapes, batch = (
        {name: values.shape[1:] for name, values in arrays.items()},
        (np.arange(len(filenames)), arrays),
    )
    store.write_scores(
        path,
        list(filenames),
        list(labels),
        shapes,
        [batch],
        failed=dict.fromkeys(failed, "why"),
        seconds_per_frame=seconds_per_frame,
        model="m",
        features="f",
        fingerprint="abc",
    )
    return path


def make_point(num_classes=2, labels=("Car", "Air horn, truck horn"), **changes):
    """Return an operating point with thresholds of 0.5 and no filters, except for `changes`."""
    values = {
        "mode": "segment",
        "labels": list(labels),
        "clip_thresholds": np.full(num_classes, 0.5),
        "frame_thresholds": np.full(num_classes, 0.5),
        "gate_by_tags": False,
        "tuned_on": "by hand",
        **{
            name: np.zeros(num_classes)
            for name in ("median_seconds", "min_seconds", "max_gap_seconds")
        },
    }
    return operating_point.OperatingPoint(**{**values, **changes})


def stir(network):
    """Set all parameters and batch norm statistics of a network to random values."""
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            torch.nn.init.normal_(tensor, std=0.3)
    for module in network.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            module.running_var.uniform_(0.5, 2)
    network.pooling.project()
    return network


def write_model(folder, pooling="linear", labels=LABELS):
    """Write the directory of a small model with random weights and an operating point."""
    torch.manual_seed(0)
    options = {"channels": [4, 6, 8], "num_hidden": 8, "num_mels": 64}
    spec = checkpoint.ModelSpec(
        "dcase-crnn",
        options,
        pooling,
        tuple(labels),
        FrontendConfig().settings(),
        (-20.0,) * 64,
        (8.0,) * 64,
        trained={"clip_seconds": 1},
    )
    checkpoint.save_model(folder, spec, stir(spec.build()).state_dict())
    fingerprint = provenance.fingerprint_model_directory(folder)
    filters = {name: np.full(len(labels), 0.2) for name in ("min_seconds", "max_gap_seconds")}
    point = make_point(len(labels), labels, model=fingerprint, **filters)
    operating_point.write(folder / "operating_point.yaml", point)
    return folder


def train_arguments(corpus, model, *more):
    """Return the command line of a small training on the fixture `corpus`."""
    return [
        "train",
        corpus / "fit",
        corpus / "valid",
        model,
        "--feats",
        corpus / "fit.h5",
        "--feats",
        corpus / "valid.h5",
        *SMALL,
        *more,
    ]


@contextlib.contextmanager
def as_no_root():
    """Apply the permissions of files and folders to root too, within the block (on Linux)."""
    libc, header = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice
    if os.geteuid() == 0:
        assert libc.capget(header, sets) == 0
    before = sets[0]
    try:
        if os.geteuid() == 0:
            sets[0] &= ~(1 << 1 | 1 << 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            assert libc.capset(header, sets) == 0
        yield
    finally:
        if os.geteuid() == 0:
            sets[0] = before
            assert libc.capset(header, sets) == 0


def write_perfect_scores(folder, labels):
    """Write a set of two clips, one of each class, and scores that find them.

    Return the data directory and the score file.
    """
    names = ["a.wav", "b.wav"]
    tags = list(zip(names, labels))
    data = write_set(
        folder / "set",
        [(name, "", 1) for name in names],
        labels,
        tags,
        [(name, 0, 1, label) for name, label in tags],
    )
    scores = write_score_file(
        folder / "s.h5",
        names,
        labels,
        [[1, 0], [0, 1]],
        frame=[[[1, 0]] * 10, [[0, 1]] * 10],
        durations=[1, 1],
    )
    return data, scores


class Measured(NamedTuple):
    """A process that has ended: its exit status, its output, and its largest resident memory."""

    returncode: int
    output: str
    peak_mb: float


_MEASURE = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([done.returncode, done.stdout, peak / (1024 if sys.platform == "linux" else 1 << 20)]))
"""


def measured(command, folder):
    """Run a command in a folder, and return what it was like.

    A small process starts it: Linux counts the memory of the process that starts another one as
    memory of the other one.
    """
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, *map(str, command)],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Measured(*json.loads(done.stdout))
