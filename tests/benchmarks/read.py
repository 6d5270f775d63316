"""Measure reading of sound files beside libsndfile alone, which wsedtk 0.1 used.

    python tests/benchmarks/read.py [--rounds 20] [--files 40]

Files have 10 s at 44.1 kHz with 16 bits, as WAV and FLAC with one and two channels, in the file
cache. Both programs use one thread, in alternation. `audio.read` of wsedtk first reads the
container, and compares the announced length with the decoded one. The program with libsndfile
opens, decodes to int16, scales, and averages the channels. The samples are compared. `audio.info`
is timed beside libsndfile's reading of the header.
"""

import common

common.one_thread()

import numpy as np  # noqa: E402
import soundfile  # noqa: E402

from wsedtk.audio import audio_files  # noqa: E402

RATE = 44100


def alone(path):
    """Return the samples (S,) of a file by libsndfile."""
    with open(path, "rb"):
        pass
    with soundfile.SoundFile(path) as file:
        samples = file.read(file.frames, dtype="int16", always_2d=True).astype(np.float32)
    samples *= np.float32(2**-15)
    mono = samples[:, 0]
    if samples.shape[1] > 1:
        mono = mono.copy()
        for channel in samples.T[1:]:
            mono += channel
        mono /= samples.shape[1]
    return mono


def write(folder, suffix, channels, count):
    """Write `count` files of filtered noise, and return their paths."""
    generator, paths = np.random.default_rng(0), []
    for number in range(count):
        noise = generator.normal(0, 0.1, (round(common.SECONDS * RATE), channels))
        paths.append(folder / f"{number}-{channels}.{suffix}")
        noise = 0.3 * (noise + np.roll(noise, 1, axis=0))
        soundfile.write(paths[-1], noise, RATE, subtype="PCM_16")
    return paths


def main():
    """Measure and print."""
    parser = common.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--files", type=int, default=40)
    options = parser.parse_args()
    table = common.Table(options.rows)
    with common.temporary(options.folder) as folder:
        for suffix in ("wav", "flac"):
            for channels in (1, 2):
                paths = write(folder, suffix, channels, options.files)
                assert all(np.array_equal(audio_files.read(path)[0], alone(path)) for path in paths)
                seconds = common.in_turn(
                    {
                        "wsedtk": lambda: [audio_files.read(path) for path in paths],
                        "alone": lambda: [alone(path) for path in paths],
                        "info": lambda: [audio_files.info(path) for path in paths],
                        "header": lambda: [soundfile.info(path) for path in paths],
                    },
                    options.rounds,
                )
                clip = {
                    name: f"{min(values) / len(paths) * 1e3:.2f} ms a file"
                    for name, values in seconds.items()
                }
                ratio = common.ratio(seconds, "wsedtk", "alone")
                table.row(
                    f"read, {suffix.upper()}, {channels} channels",
                    "libsndfile alone",
                    clip["wsedtk"],
                    clip["alone"],
                    f"{ratio:.2f} x",
                    "<= 1.15 x",
                    ratio <= 1.15,
                    common.peak(),
                )
                table.row(
                    f"info, {suffix.upper()}, {channels} channels",
                    "libsndfile alone",
                    clip["info"],
                    clip["header"],
                    f"{common.ratio(seconds, 'info', 'header'):.2f} x",
                    "",
                    None,
                )


if __name__ == "__main__":
    main()
