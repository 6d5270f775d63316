"""Damaged, unusual and hostile sound files: each is used, or reported with a reason.

The other files are not affected.
"""

import collections
import functools
import io
import os
import re
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from helpers import measured, write_by_pyav, write_set
from mutations import FULL, count

from wsedtk.audio.frontend import FrontendConfig
from wsedtk.data import store
from wsedtk.models import checkpoint

FORMATS = ("WAV", "FLAC", "OGG", "MP3")
COMMAND = [sys.executable, "-m", "wsedtk"]


def encode(samples, rate, format_name="WAV", subtype=None):
    """Return the bytes of a sound file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format_name, subtype=subtype)
    return file.getvalue()


@pytest.fixture(scope="module", params=["synthesised", "real"])
def recordings(request):
    """Return sounds of at most 5 s as (samples (S,), rate)."""
    if request.param == "real":
        paths = sorted(request.getfixturevalue("real_data").glob("esc10/*/*.ogg"))
        return [soundfile.read(path) for path in paths[:: len(paths) // 8][:8]]
    rng = np.random.default_rng(0)
    return [
        (
            rng.normal(0, 0.05, 3 * rate) + 0.3 * np.sin(np.arange(3 * rate) * (0.01 + 0.02 * k)),
            rate,
        )
        for k, rate in enumerate((16000, 22050, 32000, 44100, 44100, 48000))
    ]


# --- mutations: functions of (path, samples, rate, rng) that write the file at the path ---


def cut(format_name):
    """Keep only the first part of a file."""

    def make(path, samples, rate, rng):
        content = encode(samples, rate, format_name)
        path.write_bytes(content[: rng.integers(1, len(content))])

    return make


def flipped(format_name, first=None):
    """Flip up to 40 bits, anywhere or among the first bytes."""

    def make(path, samples, rate, rng):
        content = np.frombuffer(encode(samples, rate, format_name), np.uint8).copy()
        for _ in range(rng.integers(1, 41)):
            content[rng.integers(first or len(content))] ^= 1 << rng.integers(8)
        path.write_bytes(content.tobytes())

    return make


def lying(format_name, mark, offset, size):
    """Replace a length, a rate or a number of channels in the header.

    It has `size` bytes and lies at this distance from the last `mark`.
    """

    def make(path, samples, rate, rng):
        content = bytearray(encode(samples, rate, format_name))
        field = content.rindex(mark) + offset
        numbers = bytes(size), b"\xff" * size, b"\x7f" + b"\xff" * (size - 1), rng.bytes(size)
        content[field : field + size] = numbers[rng.integers(4)]
        path.write_bytes(content)

    return make


def encoded(*arguments):
    """Write an intact file whose extension belongs to another format."""
    return lambda path, samples, rate, rng: path.write_bytes(encode(samples, rate, *arguments))


def at_rate(rate):
    """Write an intact file with another sample rate."""
    return lambda path, samples, _, rng: path.write_bytes(encode(samples[: rate * 5], rate))


def planted(value, subtype):
    """Write a few samples that are not finite."""

    def make(path, samples, rate, rng):
        samples = samples.copy()
        samples[rng.integers(len(samples), size=rng.integers(1, 5))] = value
        path.write_bytes(encode(samples, rate, "WAV", subtype))

    return make


def an_hour(path, samples, rate, rng):
    """Append an hour of silence to the recording."""
    with soundfile.SoundFile(path, "w", 8000, 1, format="FLAC") as file:
        file.write(samples[:40000])
        for _ in range(60):
            file.write(np.zeros(60 * 8000))


def holes(path, samples, rate, rng):
    """Write a compressed file with kilobytes of zeros."""
    content = bytearray(encode(samples, rate, FORMATS[rng.integers(1, 4)]))
    start = rng.integers(len(content))
    content[start : start + 2000] = bytes(len(content[start : start + 2000]))
    path.write_bytes(content)


def unreadable(path, samples, rate, rng):
    """Remove all permissions of the file."""
    encoded()(path, samples, rate, rng)
    path.chmod(0)


def by_pyav(change, *arguments):
    """Write a file by PyAV in a format (name, codec), and apply a function of (bytes, rng)."""

    def make(path, samples, rate, rng):
        write_by_pyav(path, samples, rate, *arguments)
        path.write_bytes(change(path.read_bytes(), rng))

    return make


def cut_anywhere(content, rng):
    """Return the first part of a file."""
    return content[: rng.integers(1, len(content))]


def some_bits(content, rng):
    """Return the bytes with up to 40 bits flipped."""
    content = np.frombuffer(content, np.uint8).copy()
    for _ in range(rng.integers(1, 41)):
        content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    return content.tobytes()


def unclosed(path, samples, rate, rng):
    """Write a WAV file whose sizes are placeholders."""
    content = bytearray(encode(samples, rate))
    content[4:8] = content[40:44] = (bytes(4), b"\xff" * 4, b"\xff\xff\xff\x7f")[rng.integers(3)]
    path.write_bytes(content)


def joined(format_name):
    """Join two files, of which the first is intact."""

    def make(path, samples, rate, rng):
        content = encode(samples[: rate * 2], rate, format_name)
        path.write_bytes(content + content[: rng.integers(len(content) // 2, len(content) + 1)])

    return make


CODECS = {
    "MP4": ("mp4", "aac"),
    "ALAC": ("mov", "alac"),
    "Matroska": ("matroska", "pcm_s16le"),
    "MPEG-TS": ("mpegts", "aac"),
    "AAC": ("adts", "aac"),
}
USED, FAILS, EITHER = True, False, None
MUTATIONS = {
    **{f"truncated {name}": (cut(name), EITHER) for name in FORMATS},
    **{f"bits flipped in {name}": (flipped(name), EITHER) for name in FORMATS},
    **{f"bits flipped in the header of {name}": (flipped(name, 60), EITHER) for name in FORMATS},
    **{
        f"truncated {name}": (by_pyav(cut_anywhere, *codec), EITHER)
        for name, codec in CODECS.items()
    },
    **{
        f"bits flipped in {name}": (by_pyav(some_bits, *codec), EITHER)
        for name, codec in CODECS.items()
    },
    **{f"two {name} in one, the second cut": (joined(name), USED) for name in FORMATS},
    "WAV that was never closed": (unclosed, USED),
    "FLAC named .wav": (encoded("FLAC"), USED),
    "Ogg named .wav": (encoded("OGG"), USED),
    "MP3 named .wav": (encoded("MP3"), USED),
    "8 channels": (
        lambda path, samples, rate, rng: path.write_bytes(
            encode(samples[:, None] * rng.uniform(0, 1, 8), rate)
        ),
        USED,
    ),
    "4 kHz": (at_rate(4000), USED),
    "192 kHz": (at_rate(192000), USED),
    "1 MHz": (at_rate(1_000_000), USED),
    "a rate of 1 Hz": (at_rate(1), FAILS),
    "a rate of 2 GHz": (at_rate(2**31 - 1), FAILS),
    "one sample": (
        lambda path, samples, rate, rng: path.write_bytes(encode(samples[:1], rate)),
        USED,
    ),
    "no samples": (
        lambda path, samples, rate, rng: path.write_bytes(encode(samples[:0], rate)),
        FAILS,
    ),
    "float, scaled to 32768": (
        lambda path, samples, rate, rng: path.write_bytes(
            encode(samples * 32768, rate, "WAV", "FLOAT")
        ),
        USED,
    ),
    "float with NaN": (planted(np.nan, "FLOAT"), FAILS),
    "float with infinity": (planted(-np.inf, "FLOAT"), FAILS),
    "double with 1e300": (planted(1e300, "DOUBLE"), FAILS),
    "float with 1e38": (planted(1e38, "FLOAT"), FAILS),
    "an hour long": (an_hour, FAILS),
    "WAV that lies about its size": (lying("WAV", b"data", 4, 4), EITHER),
    "WAV that lies about its rate": (lying("WAV", b"fmt ", 12, 4), EITHER),
    "WAV that lies about its channels": (lying("WAV", b"fmt ", 10, 2), EITHER),
    "AU that lies about its size": (lying("AU", b".snd", 8, 4), EITHER),
    "W64 that lies about its size": (lying("W64", b"data", 16, 8), EITHER),
    "FLAC that lies about its length": (lying("FLAC", b"fLaC", 22, 4), EITHER),
    "Ogg that lies about its length": (lying("OGG", b"OggS", 6, 8), EITHER),
    "holes": (holes, EITHER),
    "random bytes": (
        lambda path, samples, rate, rng: path.write_bytes(rng.bytes(rng.integers(1, 10000))),
        FAILS,
    ),
    "zero bytes": (lambda path, *_: path.write_bytes(bytes(10000)), FAILS),
    "empty": (lambda path, *_: path.write_bytes(b""), FAILS),
    "text": (lambda path, *_: path.write_text("no sound\n" * 99), FAILS),
    "missing": (lambda path, *_: None, FAILS),
    "folder": (lambda path, *_: path.mkdir(), FAILS),
    "pipe": (lambda path, *_: os.mkfifo(path), FAILS),
    "device": (lambda path, *_: path.symlink_to("/dev/zero"), FAILS),
    "link to itself": (lambda path, *_: path.symlink_to(path), FAILS),
    "no permission": (unreadable, EITHER),
}
COUNT = count(300, len(MUTATIONS))


class Trial:
    """Two sets: some intact sounds, and the same sounds with COUNT mutated ones.

    A mutated clip is named `<number> <mutation>.wav`.
    """

    def __init__(self, folder, recordings):
        (folder / "audio").mkdir()
        self.folder, self.kinds, rng = folder, {}, np.random.default_rng(1)
        good = [f"{i} good.{FORMATS[i % 4].lower()}" for i in range(8)]
        for i, name in enumerate(good):
            (folder / "audio" / name).write_bytes(
                encode(*recordings[i % len(recordings)], FORMATS[i % 4])
            )
        for i, kind in zip(range(COUNT), list(MUTATIONS) * COUNT):
            name = f"{i:03d} {kind}.wav"
            MUTATIONS[kind][0](
                folder / "audio" / name, *recordings[rng.integers(len(recordings))], rng
            )
            self.kinds[name] = kind
        for name, clips in (("good", good), ("mixed", good + list(self.kinds))):
            write_set(
                folder / name,
                [(clip, f"../audio/{clip}", 5) for clip in clips],
                ["Car"],
                [(clip, "Car") for clip in clips],
            )

    def run(self, *arguments):
        """Run `wsedtk ARGUMENT...`; fail on a crash, a traceback, or after ten minutes."""
        result = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=600,
            errors="replace",
        )
        assert result.returncode in (0, 1) and not re.search(
            "Traceback|RuntimeWarning", result.stderr
        ), result.stderr[-3000:]
        return result


@pytest.fixture(scope="module")
def trial(recordings, tmp_path_factory):
    return Trial(tmp_path_factory.mktemp("mutations"), recordings)


# --- verbs: each function returns {clip: reason of failure, or None} for the mixed set ---


@functools.cache
def extract(trial):
    """Extract features of the mixed set."""
    result = trial.run(
        "extract", "mixed", "mixed.h5", "--max-failures", 1, "--device", "cpu", "--jobs", 2
    )
    assert result.returncode == 0, result.stderr
    found = store.FeatureStore([trial.folder / "mixed.h5"])
    assert result.stdout.endswith(f"; {len(found.failed)} clips failed\n")
    return {**dict.fromkeys(found.filenames.tolist()), **found.failed}


@functools.cache
def validate(trial):
    """Validate the mixed set. A clip that is too long for `extract` is not an error here."""
    result = trial.run("validate", "--audio", "mixed", "--jobs", 2)
    assert result.returncode == 1
    names = [
        line.split("\t")[0]
        for line in (trial.folder / "mixed" / "clips.tsv").read_text().splitlines()
    ]
    failed = {}
    for line in result.stdout.splitlines():
        if line.startswith("error: "):
            number, name, reason = re.fullmatch(
                r"error: mixed/clips.tsv:(\d+): '(.*?)': (.*)", line
            ).groups()
            assert names[int(number) - 1] == name
            failed[name] = reason
    return {**dict.fromkeys(names[1:]), **failed}


@functools.cache
def detect(trial):
    """Detect events in the folder of sounds by a small network; an hour is not too long here."""
    labels, frontend = ("Car", "never"), {"num_mels": 64}
    spec = checkpoint.ModelSpec(
        "dcase-crnn",
        {"channels": [4, 6, 8], "num_hidden": 8},
        "linear",
        labels,
        FrontendConfig(**frontend).settings(),
        (0.0,) * 64,
        (20.0,) * 64,
    )
    checkpoint.save_model(trial.folder / "model", spec, spec.build().state_dict())
    names = [
        name for name, kind in trial.kinds.items() if kind in ("missing", "folder")
    ]  # these do not apply to a folder of sounds
    found = {
        name: trial.run("detect", "model", f"audio/{name}", "--threshold", 1).stderr.removeprefix(
            "wsedtk: "
        )
        for name in names
    }
    result = trial.run(
        "detect",
        "model",
        "audio",
        "--threshold",
        0.5,
        "--max-failures",
        1,
        "--output-dir",
        "events",
        "--scores",
        "curves",
    )
    assert result.returncode == 0, result.stderr
    failed = dict(
        re.findall(r"^warning: detect: (.+?\.\w+) failed: (.*)$", result.stderr, re.MULTILINE)
    )
    used = [str(path.name).removesuffix(".tsv") for path in (trial.folder / "events").glob("*.tsv")]
    kept = {path.name.removesuffix(".tsv") for path in (trial.folder / "curves").glob("*.tsv")}
    assert set(used) == kept and not set(used) & set(failed)
    return {**dict.fromkeys(used), **failed, **found}


VERBS = {"extract": extract, "validate": validate, "detect": detect}


@pytest.mark.parametrize("verb", VERBS)
def test_each_mutated_file_is_used_or_reported_with_a_reason(trial, verb, capsys, record_property):
    record_property("trials", COUNT)
    found = VERBS[verb](trial)
    assert len(found) == 8 + COUNT and not any(
        reason for name, reason in found.items() if name not in trial.kinds
    )
    totals = collections.defaultdict(lambda: [0, 0])
    for name, kind in trial.kinds.items():
        reason, expected = found[name], MUTATIONS[kind][1]
        takes_it = verb != "extract" and kind == "an hour long"
        assert expected in (EITHER, reason is None) or takes_it, f"{name}: {reason}"
        assert (
            reason is None
            or f"audio/{name}: " in reason
            and len(reason.split(f"audio/{name}: ")[1]) > 10
        ), f"{name}: {reason}"
        totals[kind][reason is not None] += 1
    if FULL:
        used, failed = (sum(pair[i] for pair in totals.values()) for i in (0, 1))
        with capsys.disabled():
            print(
                f"\n{verb}, {COUNT} mutated files, all survived: {used} used, {failed} told "
                "to have failed"
            )
            print(
                "\n".join(
                    f"  {kind}: {sum(pair)}, {pair[1]} failed" for kind, pair in totals.items()
                )
            )


def test_all_verbs_find_the_same_files_at_fault(trial):
    """Clips that are too long for `extract` are not compared."""
    by_extract, by_validate, by_detect = extract(trial), validate(trial), detect(trial)
    for name in trial.kinds:
        if "longer than 10 s" not in (by_extract[name] or ""):
            found = by_extract[name], by_validate[name], by_detect[name]
            assert len({reason is None for reason in found}) == 1, found


def test_mutated_files_do_not_change_the_events_of_others(trial):
    detect(trial)
    good = sorted(name for name in os.listdir(trial.folder / "audio") if name not in trial.kinds)
    assert (
        trial.run(
            "detect",
            "model",
            *(f"audio/{name}" for name in good),
            "--threshold",
            "0.5",
            "--scores",
            "alone",
        ).returncode
        == 0
    )
    assert len(good) == 8
    for path in (trial.folder / "alone").glob("*.tsv"):
        alone, among = (
            np.loadtxt(folder / path.name, skiprows=1, ndmin=2)
            for folder in (path.parent, trial.folder / "curves")
        )
        np.testing.assert_allclose(alone, among, atol=5e-3)  # bf16 in batches with other recordings


def test_mutated_files_do_not_change_the_features_of_others(trial):
    extract(trial)
    assert trial.run("extract", "good", "good.h5", "--device", "cpu").returncode == 0
    good, mixed = (store.FeatureStore([trial.folder / name]) for name in ("good.h5", "mixed.h5"))
    rows = mixed.rows(good.filenames)
    np.testing.assert_array_equal(
        good.read(np.arange(8)), mixed.read(rows)[:, : good.read(np.arange(8)).shape[1]]
    )
    np.testing.assert_array_equal(good.statistics(np.arange(8)), mixed.statistics(rows))
    assert (
        good.num_frames.tolist() == mixed.num_frames[rows].tolist()
        and good.durations.tolist() == mixed.durations[rows].tolist()
    )
    assert np.isfinite(mixed.read(np.arange(len(mixed)))).all()


def test_more_than_one_in_a_hundred_failures_are_too_many(trial):
    result = trial.run("extract", "mixed", "refused.h5", "--device", "cpu", "--jobs", 2)
    assert result.returncode == 1 and re.search(
        r"mixed: \d+ of \d+ clips failed, more than the fraction 0.01 that", result.stderr
    )
    assert not (trial.folder / "refused.h5").exists()


# --- decompression bombs ---


def crc(content, polynomial, num_bits):
    """Return the checksum of a FLAC frame."""
    value = 0
    for byte in content:
        value ^= byte << (num_bits - 8)
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value >> (num_bits - 1) else 0)) & (
                (1 << num_bits) - 1
            )
    return value.to_bytes(num_bits // 8, "big")


def flac_of_zeros(num_blocks=280, rate=500, channels=8):
    """Return ten hours of sound in 10 KB.

    Each block has 65,535 zeros, which FLAC stores as one number per channel.
    """
    size = 65535
    start = (rate << 44 | (channels - 1) << 41 | 15 << 36 | num_blocks * size).to_bytes(8, "big")
    content = (
        b"fLaC\x80\x00\x00\x22" + struct.pack(">HH", size, size) + bytes(6) + start + bytes(16)
    )
    for number in range(num_blocks):
        frame = (
            b"\xff\xf8\x70"
            + bytes([channels - 1 << 4 | 8])
            + chr(number).encode()
            + struct.pack(">H", size - 1)
        )
        frame += crc(frame, 0x07, 8) + bytes(3) * channels
        content += frame + crc(frame, 0x8005, 16)
    return content


def claiming(format_name, mark, offset, number):
    """Return a sound of half a second whose header declares another length."""
    content = bytearray(
        encode(np.random.default_rng(0).uniform(-0.5, 0.5, 4000), 8000, format_name)
    )
    field = content.rindex(mark) + offset
    content[field : field + len(number)] = number
    return bytes(content)


TEN_HOURS = 36000 * 8000 * 2  # bytes
BOMBS = {
    "FLAC of zeros": flac_of_zeros(),
    "FLAC": claiming("FLAC", b"fLaC", 22, b"\xff\xff\xff\xf0"),
    "WAV": claiming("WAV", b"data", 4, struct.pack("<I", TEN_HOURS)),
    "AU": claiming("AU", b".snd", 8, struct.pack(">I", TEN_HOURS)),
    "W64": claiming("W64", b"data", 16, struct.pack("<Q", TEN_HOURS)),
}


@pytest.mark.parametrize(
    "kind, arguments, message",
    [
        (
            "FLAC of zeros",
            ["extract", "set", "a.h5"],
            "lasts 36699.600 s, longer than 10 s; cut it with crop",
        ),
        (
            "FLAC of zeros",
            ["extract", "set", "a.h5", "--crop"],
            "a.h5: 1 clip, at most 400 frames x 64 bins",
        ),
        (
            "FLAC of zeros",
            ["validate", "set", "--audio"],
            "1 clip is longer than in clips.tsv: 'a' (line 2, 36699.600 s, expected 0.5 s)",
        ),
        *(
            (kind, ["validate", "set", "--audio"], "a.wav: breaks off after 0.5 of ")
            for kind in ("FLAC", "WAV", "AU", "W64")
        ),
    ],
)
def test_a_small_file_with_ten_hours_needs_little_memory(tmp_path, kind, arguments, message):
    """Files that declare ten hours contain half a second, at a low rate."""
    (tmp_path / "a.wav").write_bytes(BOMBS[kind])
    write_set(tmp_path / "set", [("a", "../a.wav", 0.5)], ["x", "never"], [("a", "x")])
    assert (tmp_path / "a.wav").stat().st_size < 10_000
    done = measured([*COMMAND, *arguments], tmp_path)
    text = done.output
    assert message in text and "Traceback" not in text
    assert done.returncode == ("longer than 10 s" in text or "error: " in text)
    assert done.peak_mb < 600  # PyTorch is most of it
