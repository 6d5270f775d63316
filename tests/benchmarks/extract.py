"""Measure extract beside a librosa loop and a lower bound, with one and two jobs.

    python tests/benchmarks/extract.py [--rounds 5] [--files 40] [--clips 4000]

Per core: files of 10 s in the file cache, in WAV, FLAC, MP3, Ogg Vorbis (44.1 kHz) and Opus (48
kHz), Wang's front end, one thread. Three programs run in alternation, each in a process of its own,
with a warm-up. The first is the work of `extract` on a clip, including writing, with the settings
of the memory allocator that the processes of `--jobs` have. The second is librosa: load and
resample, STFT, mel, dB. The third is the lower bound, for WAV only: decode, resample, a bare real
FFT of the same frames by torch, in blocks, and the product with the mel filters, in bands. The
outputs of wsedtk and librosa are compared. Formats that libsndfile can't write are left out.

Jobs: `wsedtk extract` with 1 and 2 jobs in alternation, both with the allocator settings of a
process pool. Start-up time is excluded: rates are computed from the difference between a large and
a small set.
"""

import common

common.one_thread()

import json  # noqa: E402
import os  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from pathlib import Path  # noqa: E402

import librosa  # noqa: E402
import numpy as np  # noqa: E402
import soundfile  # noqa: E402
import soxr  # noqa: E402
import torch  # noqa: E402

from wsedtk.audio.frontend import FrontendConfig, _bands  # noqa: E402
from wsedtk.core import processes  # noqa: E402
from wsedtk.data import store  # noqa: E402
from wsedtk.stages import extract  # noqa: E402

PASSES = 5  # over the files, in each process
WANG = FrontendConfig()
MEL = librosa.filters.mel(sr=16000, n_fft=4096, n_mels=64)  # (F, bins) float32
BANDS = [(bins, weights.float()) for _, bins, weights in _bands(torch.from_numpy(MEL))]


def by_librosa(path):
    """Return the features (T, F) of a file by librosa."""
    return common.features_by_librosa(path, MEL)


def floor(path, padded=torch.zeros(64, 4096)):
    """Do only the necessary work, as fast as possible.

    Windowing, magnitudes and logarithms are left out.
    """
    samples, rate = soundfile.read(path, dtype="int16")
    samples = soxr.resample(samples.astype(np.float32), rate, 16000)
    ends = np.zeros(399 * 400 + 1024, np.float32)
    ends[512 : 512 + 160000] = samples[:160000]
    for block in torch.from_numpy(ends).unfold(0, 1024, 400).split(64):
        padded[: len(block), :1024] = block
        spectrum = torch.view_as_real(torch.fft.rfft(padded[: len(block)])).flatten()
        spectrum = spectrum[: len(block) * 2049].view(
            -1, 2049
        )  # the size of the filters; its values have no effect on the time
        for bins, weights in BANDS:
            spectrum[:, bins] @ weights


def ours(path):
    """Return the features (T, F) of a file by wsedtk."""
    return extract.clip_features(WANG, common.SECONDS, False, path).values


def write_ours(paths, output):
    """Write the features of files as `extract` does."""
    layout = store.FeatureLayout(400, 64, "float32", WANG.settings(), "benchmark")
    with store.writing_features(output, layout) as (append, _):
        for number, path in enumerate(paths):
            append(
                f"{number:06d}.wav", *extract.clip_features(WANG, common.SECONDS, False, path)[:2]
            )


def one_program(folder, kind, audio):
    """Run a program over the files several times, and print the seconds per file and the memory."""
    paths = sorted(Path(audio).iterdir())
    work = {
        "wsedtk": lambda paths: write_ours(paths, folder / "core.h5"),
        "librosa": lambda paths: [by_librosa(p) for p in paths],
        "floor": lambda paths: [floor(p) for p in paths],
    }[kind]
    work(paths)
    started = time.perf_counter()
    work(PASSES * paths)
    seconds = (time.perf_counter() - started) / PASSES / len(paths)
    print(json.dumps({"seconds": seconds, "peak": common.peak()}))


def per_core(table, name, paths, rounds, folder):
    """Measure wsedtk, librosa and, for WAV, the lower bound on the same files. name: the format."""
    is_wav = name == "WAV"
    seconds, printed = common.alternate(
        [__file__, "--folder", folder],
        ("wsedtk", "librosa", "floor") if is_wav else ("wsedtk", "librosa"),
        [paths[0].parent],
        rounds,
        {"wsedtk": processes._ENVIRONMENT},
    )
    worst = 0.0
    for path in paths:
        found, audible = ours(path), by_librosa(path)
        shorter = min(len(found), len(audible))
        found, audible = found[:shorter], audible[:shorter]
        is_loud = audible > audible.max() - 50
        worst = max(worst, np.abs(found - audible)[is_loud].max())
    clip = {kind: f"{min(values) * 1e3:.2f} ms a clip" for kind, values in seconds.items()}
    faster = common.ratio(seconds, "librosa", "wsedtk")
    table.row(
        f"extract, per core, {name}",
        f"librosa loop (outputs differ by {worst:.1e} dB)",
        clip["wsedtk"],
        clip["librosa"],
        f"{faster:.2f} x faster",
        ">= 2.5 x" if is_wav else "",
        bool(faster >= 2.5 and worst < 5e-3) if is_wav else None,
        common.highest_peak(printed["wsedtk"]),
    )
    if is_wav:
        above = common.ratio(seconds, "wsedtk", "floor")
        table.row(
            f"extract, per core, {name}",
            "the floor",
            clip["wsedtk"],
            clip["floor"],
            f"{above:.2f} x the floor",
            "<= 1.2 x",
            above <= 1.2,
        )


def jobs(table, paths, num_clips, rounds, folder):
    """Measure one job and two jobs in alternation, on a set and on a tenth of it."""
    small, large = (
        common.write_set(folder / f"set{n}", n, 17, paths) for n in (num_clips // 10, num_clips)
    )
    peaks = [
        common.wsedtk("extract", data, folder / "out.h5", "--device", "cpu")[2]
        for data in (small, large)
    ]
    table.row(
        "extract, memory",
        f"a tenth of {num_clips} clips",
        f"{peaks[1]:.0f} MiB",
        f"{peaks[0]:.0f} MiB",
        f"{peaks[1] / peaks[0]:.2f} x",
        "flat",
        peaks[1] < 1.1 * peaks[0],
        peaks[1],
    )
    rates = {1: [], 2: []}
    os.environ.update(processes._ENVIRONMENT)
    for _ in range(rounds):
        for count in (1, 2):
            walls = []
            for data in (small, large):
                walls.append(
                    common.wsedtk(
                        "extract", data, folder / "out.h5", "--jobs", count, "--device", "cpu"
                    )[0]
                )
            rates[count].append((num_clips - num_clips // 10) / (walls[1] - walls[0]))
    gain = float(np.median([two / one for one, two in zip(rates[1], rates[2])]))
    one, two = (float(np.median(rates[count])) for count in (1, 2))
    table.row(
        "extract, 2 jobs",
        "1 job",
        f"{two:.0f} clips/s",
        f"{one:.0f} clips/s",
        f"{gain:.2f} x",
        ">= 1.8 x",
        gain >= 1.8,
    )


def main():
    """Measure and print."""
    parser = common.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--clips", type=int, default=4000)
    parser.add_argument("--job-rounds", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", DeprecationWarning)
    if options.one:
        one_program(Path(options.folder), *options.one)
        return
    common.need_disk(options.folder, options.clips * 0.11e-3 + options.files * 3e-3)
    table = common.Table(options.rows)
    with common.temporary(options.folder) as folder:
        for name, (form, subtype, _) in common.SOUND_FORMATS.items():
            if soundfile.check_format(form, subtype):
                paths = common.write_sounds(folder / name, options.files, name)
                per_core(table, name, paths, options.rounds, folder)
        paths = sorted((folder / "WAV").iterdir())
        jobs(table, paths, options.clips, options.job_rounds, folder)


if __name__ == "__main__":
    main()
