"""Shared parts of the benchmarks: sounds, features, models, timing, processes, rows of the table.

Import this module first. For measurements on one core, the number of threads must be set before
numpy is imported: `import common; common.one_thread()`.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

SECONDS = 10.0
CLASSES = [f"class {k:03d}" for k in range(527)]
HEADER = (
    "stage",
    "compared with",
    "wsedtk",
    "the other",
    "ratio or figure",
    "target",
    "met",
    "peak MiB",
)  # columns of the table


def one_thread():
    """Make numpy, scipy and torch use one thread. Call it before any of them is imported."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"


def as_a_command():
    """Apply the settings that wsedtk's command line applies to its process.

    Call it before numpy or torch is imported.
    """
    from wsedtk.core import allocator, cores

    cores.configure_openmp()
    allocator.claim_process()
    allocator.keep_freed_memory()


@contextlib.contextmanager
def busy(count=1):
    """Run processes that keep `count` cores busy, as other programs on a shared machine do."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def parser(description):
    """Return a parser with the options of all benchmarks, --rows and --folder."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--rows", type=Path, help="add the rows of the table to this file, too")
    made.add_argument("--folder", default=tempfile.gettempdir(), help="where temporary files lie")
    made.add_argument(
        "--one", nargs="+", metavar=("KIND", "ARGUMENT"), help="used by some scripts for themselves"
    )
    return made


def started_as():
    """Return KIND if a script was started by `alternate` (`--one KIND ...`), otherwise None."""
    return sys.argv[sys.argv.index("--one") + 1] if "--one" in sys.argv else None


def alternate(command, kinds, arguments, rounds, environments=None):
    """Run a process `COMMAND --one KIND ARGUMENTS` for each kind, in alternation.

    Each process prints a JSON object that contains at least its `seconds` and its `peak` memory.
    `environments` contains {kind: additional environment variables}. Return the lists of seconds as
    {kind: seconds per round}, and the objects of each kind as {kind: objects}.
    """
    printed = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, objects in printed.items():
            line = map(str, [sys.executable, *command, "--one", kind, *arguments])
            environment = {**os.environ, **(environments or {}).get(kind, {})}
            done = subprocess.run(list(line), env=environment, stdout=subprocess.PIPE, text=True)
            done.check_returncode()
            objects.append(json.loads(done.stdout))
    return {kind: [o["seconds"] for o in objects] for kind, objects in printed.items()}, printed


def highest_peak(objects):
    """Return the highest peak memory in MiB in objects that `alternate` has returned."""
    return max(o["peak"] for o in objects)


class Table:
    """Prints rows, and appends them to a file if one is given."""

    def __init__(self, path):
        self.path = path

    def row(self, stage, other, ours, theirs, figure, target, met, peak=None):
        """Add one row. met: True, False, or None if there is no target; peak: MiB."""
        verdict = {True: "yes", False: "no", None: ""}[met]
        self.line(
            stage,
            other,
            ours,
            theirs,
            figure,
            target,
            verdict,
            "" if peak is None else f"{peak:.0f}",
        )

    def line(self, *cells):
        """Add a row with any cells."""
        line = "| " + " | ".join(map(str, cells)) + " |"
        print(line, flush=True)
        if self.path is not None:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(line + "\n")


class Deadline:
    """The time at which a part of a benchmark must end."""

    def __init__(self, seconds, outer=None):
        self.end = time.monotonic() + seconds
        if outer is not None:
            self.end = min(self.end, outer.end)

    def left(self):
        """Return the seconds that are left, at least 0."""
        return max(0.0, self.end - time.monotonic())

    def is_over(self):
        """Return whether the time is over."""
        return self.left() == 0


def attempt(deadline, title, function, failure=False):
    """Return a row of the table of `gpu.py`: the title, and the cells that the function returns.

    If the time is over, the function is not called. The last cell is `failure` then, and if the
    function raises an exception.
    """
    if deadline.is_over():
        return title, "", "skipped: no time left", "", failure
    try:
        return title, *function()
    except Exception as error:
        traceback.print_exc()
        reason = str(error).splitlines()[0][:150] if str(error) else ""
        return title, "", f"failed: {type(error).__name__} {reason}", "", failure


@contextlib.contextmanager
def temporary(folder):
    """Yield a folder that is removed at the end."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        yield Path(name)


def in_turn(functions, rounds):
    """Return {name: seconds per round} of functions that are called in alternation.

    Each function is first called once to warm up.
    """
    seconds = {name: [] for name in functions}
    for number in range(rounds + 1):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            if number:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def ratio(seconds, one, other):
    """Return the median over the rounds of the ratio of the times of `one` and `other`."""
    return statistics.median(a / b for a, b in zip(seconds[one], seconds[other]))


def peak():
    """Return the peak memory of this process in MiB.

    The value of `getrusage` includes the peak memory of the parent before the process was started.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


# A new process starts with the peak memory of its parent. This small process is started between.
_LAUNCHER = """
import json, resource, subprocess, sys, time
started = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
wall, used = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
cpu = used.ru_utime + used.ru_stime
print(json.dumps([done.returncode, done.stderr, wall, cpu, used.ru_maxrss / 1024]))
"""


def process(*command):
    """Run a command, and return (wall seconds, CPU seconds, peak MiB); raise if it fails.

    The figures include child processes, except those of a process pool, which are not waited for.
    """
    shown = subprocess.run(
        [sys.executable, "-S", "-c", _LAUNCHER, *map(str, command)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    status, errors, *used = json.loads(shown)
    if status:
        raise RuntimeError(f"{' '.join(map(str, command))}: {errors}")
    return tuple(used)


def wsedtk(*arguments):
    """Run a verb in a separate process; see `process`."""
    return process(sys.executable, "-m", "wsedtk", *arguments)


SOUND_FORMATS = {  # {name: (libsndfile's format, its subtype, sample rate)}
    "WAV": ("WAV", "PCM_16", 44100),
    "FLAC": ("FLAC", "PCM_16", 44100),
    "MP3": ("MP3", "MPEG_LAYER_III", 44100),
    "Ogg Vorbis": ("OGG", "VORBIS", 44100),
    "Opus": ("OGG", "OPUS", 48000),
}


def write_sounds(folder, count, name="WAV"):
    """Write `count` files of 10 s of filtered noise, mono; return their paths.

    name: one of SOUND_FORMATS. Formats without loss have 16 bits.
    """
    import numpy as np
    import soundfile

    form, subtype, rate = SOUND_FORMATS[name]
    folder.mkdir(parents=True, exist_ok=True)
    generator, paths = np.random.default_rng(0), []
    for number in range(count):
        noise = generator.normal(0, 0.1, round(SECONDS * rate))
        samples = (
            noise + np.roll(noise, 1) + np.roll(noise, 2) * np.sin(np.arange(len(noise)) / rate)
        )
        paths.append(folder / f"{number}.{form.lower()}")
        soundfile.write(paths[-1], 0.3 * samples, rate, subtype=subtype, format=form)
    return paths


def names_of(num_clips):
    """Return sorted file names of clips."""
    return [f"{number:011d}_30.000_40.000.wav" for number in range(num_clips)]


def write_set(folder, num_clips, num_classes, paths=("",)):
    """Write a data directory whose clips share a few sound files and have one or two tags each."""
    folder.mkdir(parents=True, exist_ok=True)
    names = names_of(num_clips)
    clips = [f"{name}\t{paths[i % len(paths)]}\t{SECONDS:g}\n" for i, name in enumerate(names)]
    tags = [
        f"{name}\t{CLASSES[k]}\n"
        for i, name in enumerate(names)
        for k in sorted({i % num_classes, 7 * i % num_classes})
    ]
    for table, lines in (
        ("clips.tsv", ["filename\tpath\tduration\n", *clips]),
        ("tags.tsv", ["filename\tevent_label\n", *tags]),
        ("labels.txt", [f"{label}\n" for label in CLASSES[:num_classes]]),
    ):
        (folder / table).write_text("".join(lines), encoding="utf-8")
    return folder


def write_features(path, num_clips, frontend, dtype="float32", shards=1, fractions=(1,)):
    """Write a feature file of noise in which fifty clips repeat.

    frontend: a FrontendConfig. fractions: the lengths of clips, which repeat, as fractions of 10 s.
    """
    import numpy as np

    from wsedtk.core import config
    from wsedtk.data import store

    shape, settings = (
        (round(SECONDS / frontend.seconds_per_frame), frontend.num_mels),
        frontend.settings(),
    )
    made = np.random.default_rng(0).normal(-40, 15, (50, *shape)).astype(dtype)
    names = names_of(num_clips)
    layout = store.FeatureLayout(*shape, dtype, settings, config.fingerprint(settings))
    for k in range(1, shards + 1):
        output = path if shards == 1 else store.shard_path(path, k, shards)
        with store.writing_features(output, layout) as (append, _):
            for i in range(k - 1, num_clips, shards):
                fraction = fractions[i % len(fractions)]
                num_frames = round(fraction * shape[0])
                append(names[i], made[i % 50, :num_frames], fraction * SECONDS)
    return path


def features_by_librosa(path, filters):
    """Return Wang's front end (T, F) by librosa in float32, for one file. filters: (F, bins)."""
    import librosa
    import numpy as np

    samples, _ = librosa.load(path, sr=16000)
    spectrum = np.abs(
        librosa.stft(samples, n_fft=4096, hop_length=400, win_length=1024, pad_mode="constant")
    )[:, :400]
    return librosa.power_to_db(filters @ spectrum).T


def front_ends():
    """Return {network: FrontendConfig} of the papers."""
    from wsedtk.audio.frontend import FrontendConfig

    wang = FrontendConfig()
    he = FrontendConfig(
        sample_rate=44100,
        window=1764,
        hop=882,
        num_fft=2048,
        num_mels=80,
        max_hz=22050,
        power=2,
        top_db=None,
    )
    return {"dcase-crnn": wang, "talnet": wang, "gated-crnn": he}


NUM_CLASSES = {"dcase-crnn": 17, "talnet": 527, "gated-crnn": 17}  # at the published sizes


def write_model(folder, name, options=None):
    """Write a model directory of a network with random weights.

    The network has its published size, unless `options` of the network are given. The statistics
    are those of `write_features`.
    """
    import torch

    from wsedtk.models import checkpoint

    torch.manual_seed(0)
    frontend = front_ends()[name]
    bins = frontend.num_mels
    spec = checkpoint.ModelSpec(
        name,
        {"num_mels": bins, **(options or {})},
        "linear",
        tuple(CLASSES[: NUM_CLASSES[name]]),
        frontend.settings(),
        (-40.0,) * bins,
        (15.0,) * bins,
    )
    checkpoint.save_model(folder, spec, spec.build().state_dict())
    return folder


def make_plain(network):
    """Replace the layers of a network that compute faster than PyTorch's by those of PyTorch.

    These layers are dropout, the gated convolution and the GRU. The weights are kept. Return the
    network.
    """
    from torch import nn

    from wsedtk.models.layers import Dropout, NormalizedConv
    from wsedtk.models.networks.gated_crnn import GatedConv

    class PlainGatedConv(GatedConv):
        """A gated convolution whose gradients PyTorch computes."""

        def forward(self, x):
            return nn.functional.glu(NormalizedConv.forward(self, x), dim=1)

    class PlainGru(nn.GRU):
        """A GRU that `wsedtk.models.parallel_gru` does not support, because of its type."""

    plain = {Dropout: nn.Dropout, GatedConv: PlainGatedConv, nn.GRU: PlainGru}
    for module in network.modules():
        module.__class__ = plain.get(type(module), type(module))
    return network


def need_disk(folder, gigabytes):
    """Exit if the disk of a folder has less free space than this."""
    free = shutil.disk_usage(folder).free / 1e9
    if free < gigabytes:
        sys.exit(
            f"needs {gigabytes:.1f} GB in {folder}, which has {free:.1f} free; choose another "
            "--folder"
        )


def trained_model(folder, settings, name="model"):
    """Train the CRNN of recipes/mini on synthesised sounds, and return the model directory."""
    recipe = Path(__file__).resolve().parents[2] / "recipes" / "mini" / "conf"
    if not (folder / "test.h5").exists():
        wsedtk(
            "prepare",
            "soundscapes",
            "builtin",
            folder / "data",
            "--num-train",
            400,
            "--num-test",
            100,
        )
        wsedtk(
            "balance",
            folder / "data/train",
            folder / "data/fit",
            folder / "data/valid",
            "--num-valid",
            80,
        )
        for part in ("train", "test"):
            wsedtk(
                "extract",
                folder / "data" / part,
                folder / f"{part}.h5",
                "--config",
                recipe / "frontend_wang.yaml",
                "--device",
                "cpu",
            )
    wsedtk(
        "train",
        folder / "data/fit",
        folder / "data/valid",
        folder / name,
        "--feats",
        folder / "train.h5",
        "--config",
        recipe / "crnn_linear.yaml",
        "--device",
        "cpu",
        *settings,
    )
    return folder / name
