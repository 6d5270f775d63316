import csv
import errno
import io
import itertools
import json
import os
import re
import shutil
import sys

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner
from helpers import (
    LABELS,
    make_point,
    measured,
    train_arguments,
    write_by_pyav,
    write_set,
    write_sound,
)

from wsedtk.audio import audio_files, sound_file
from wsedtk.cli import main as cli
from wsedtk.core import config
from wsedtk.data import score_folders
from wsedtk.decoding import event_decoding, operating_point
from wsedtk.inference import loading, recordings, sliding_windows, windows
from wsedtk.report import recording_picture

RATE, STEP = 16000, 0.1
FILTERS = {
    "median_seconds": np.array([0.3, 0.0]),
    "min_seconds": np.array([0.2, 0.3]),
    "max_gap_seconds": np.array([0.2, 0.0]),
}


@pytest.fixture(scope="module")
def model(trained, tmp_path_factory):
    """The fixture `trained`, with clips of 1 s, and an operating point."""
    folder = tmp_path_factory.mktemp("detect") / "the model"
    shutil.copytree(trained, folder)
    operating_point.write(
        folder / "operating_point.yaml",
        make_point(labels=LABELS, frame_thresholds=np.array([0.5, 0.5]), **FILTERS),
    )
    return folder


@pytest.fixture(scope="module")
def detector(model):
    loaded = loading.read_model(model)
    runner = loading.make_runner(loaded, torch.device("cpu"), precise=True)
    return sliding_windows.Detector(loaded.spec, runner)


def tones(seconds, rate=RATE, seed=0):
    """Return samples (S,) of high and low tones at random times, in noise."""
    rng, time = np.random.default_rng(seed), np.arange(round(seconds * rate)) / rate
    samples = rng.normal(0, 0.01, len(time))
    for frequency in (300, 3000):
        onset = rng.uniform(0, 1.5)
        while onset < seconds:
            length = rng.uniform(0.3, 2.5)
            samples += (
                0.3
                * np.sin(2 * np.pi * frequency * time)
                * ((time >= onset) & (time < onset + length))
            )
            onset += length + rng.uniform(0.4, 2)
    return samples.astype(np.float32)


def rows(text):
    """Return the rows of a DCASE table: (name, onset, offset, label)."""
    header, *lines = text.splitlines()
    assert header == "filename\tonset\toffset\tevent_label"
    return [
        (name, float(onset), float(offset), label)
        for name, onset, offset, label in (line.split("\t") for line in lines)
    ]


def whole_curve(detector, path, **options):
    """Return the joined pieces of a recording's frame scores (T, K)."""
    ((_, pieces),) = [
        (source, list(pieces))
        for source, pieces in detector.curves([sliding_windows.Source(path, path.name, **options)])
    ]
    return np.concatenate([piece.frame for piece in pieces])


# --- windows and how they are joined ---


@pytest.mark.parametrize(
    "num_samples", [1, 50, 799, 800, 879, 880, 881, 1199, 1200, 1279, 1280, 1281, 5000, 12345]
)
@pytest.mark.parametrize("size", [1, 37, 800, 100000])
def test_windows_cover_a_stream_whatever_its_blocks(num_samples, size):
    """Windows of 10 frames of 80 samples contain the samples of the stream at their place.

    The middles, joined, contain each frame once.
    """
    stream = np.arange(num_samples, dtype=np.float32)
    found = list(
        windows.cut((stream[i : i + size] for i in range(0, num_samples, size)), 10, 5, 80)
    )
    for start, samples in found[:-1]:
        np.testing.assert_array_equal(samples, stream[start * 80 : (start + 10) * 80])
    start, samples = found[-1]
    np.testing.assert_array_equal(samples, stream[start * 80 :])
    assert all(0 < after[0] - before[0] <= 5 for before, after in itertools.pairwise(found))
    assert all(after[0] - before[0] == 5 for before, after in itertools.pairwise(found[:-1]))
    num_frames = max(1, num_samples // 80)
    pairs = [
        (start, [np.arange(start, start + max(1, len(samples) // 80))]) for start, samples in found
    ]
    joined = np.concatenate([part for (part,) in windows.join(pairs)])
    assert joined.tolist() == list(range(num_frames))


def test_frames_come_from_the_window_that_they_are_deepest_in():
    pairs = [(start, [np.full(10, k)]) for k, start in enumerate((0, 5, 10, 12))]
    joined = np.concatenate([part for (part,) in windows.join(pairs)])
    assert joined.tolist() == [0] * 7 + [1] * 5 + [2] * 4 + [3] * 6


def test_a_clip_of_one_window_is_scored_as_predict_and_decode_do(model, run, tmp_path):
    for i in range(5):
        write_sound(
            tmp_path / "audio" / f"{i}.wav",
            [1.0, 0.73, 1.0, 0.05, 1.09][i],
            frequency=[300, 3000][i % 2],
            seed=i,
        )
    data = write_set(
        tmp_path / "set",
        [(f"{i}.wav", f"../audio/{i}.wav", 1) for i in range(5)],
        LABELS,
        [("0.wav", "low")],
    )
    assert run("extract", data, tmp_path / "f.h5").exit_code == 0
    assert run("predict", model, tmp_path / "f.h5", tmp_path / "s.h5", "--precise").exit_code == 0
    assert (
        run(
            "decode",
            tmp_path / "s.h5",
            model / "operating_point.yaml",
            tmp_path / "out",
            "--mode",
            "frame",
        ).exit_code
        == 0
    )
    expected = (tmp_path / "out" / "events.tsv").read_text().splitlines()[1:]
    result = run("detect", model, tmp_path / "audio", "--precise", "--scores", tmp_path / "curves")
    assert result.exit_code == 0
    found = rows(result.stdout)
    assert len(found) >= 3 and found == [
        (n, float(a), float(b), label) for n, a, b, label in (line.split("\t") for line in expected)
    ]
    assert run("average", tmp_path / "s.h5", tmp_path / "theirs").exit_code == 0
    for i in range(5):
        ours, theirs = (
            np.loadtxt(tmp_path / name, skiprows=1, ndmin=2)
            for name in (f"curves/{i}.wav.tsv", f"theirs/{i}.tsv")
        )
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_curve_is_that_of_the_windows_by_hand(detector, tmp_path):
    """Windows of 1 s do not divide 23.4 s: a frame has the score of a clip cut out around it."""
    samples = tones(23.456)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    curve = whole_curve(detector, tmp_path / "a.wav")
    assert curve.shape == (234, 2) and detector.window_frames == 10
    for start, frames in (
        (0, range(0, 7)),
        (5, range(7, 12)),
        (200, range(202, 207)),
        (224, range(229, 234)),
    ):
        cut = (
            samples[start * 1600 : (start + 10) * 1600] if start < 224 else samples[start * 1600 :]
        )
        soundfile.write(tmp_path / "cut.wav", cut, RATE, subtype="FLOAT")
        np.testing.assert_allclose(
            curve[frames],
            whole_curve(detector, tmp_path / "cut.wav")[[f - start for f in frames]],
            atol=1e-5,
        )


def test_events_are_those_of_the_whole_curve(detector, model, run, tmp_path):
    soundfile.write(tmp_path / "long.wav", tones(120), RATE, subtype="FLOAT")
    curve, point = (
        whole_curve(detector, tmp_path / "long.wav"),
        operating_point.read(model / "operating_point.yaml"),
    )
    expected = event_decoding.decode_frames(
        curve[None],
        point.frame_thresholds,
        STEP,
        [120.0],
        operating_point.frame_filters(point, STEP),
    )
    found = rows(run("detect", model, tmp_path / "long.wav", "--precise").stdout)
    assert len(found) > 40 and [(a, b, LABELS.index(k)) for _, a, b, k in found] == [
        row[1:] for row in expected.rows()
    ]


@pytest.fixture(scope="module")
def good_model(tmp_path_factory):
    """A model of tones in clips of 4 s, trained until it detects them, with tuned thresholds."""
    folder, random = tmp_path_factory.mktemp("good"), np.random.default_rng(0)
    for name, count in (("fit", 40), ("valid", 12)):
        clips, tags = [], []
        for i in range(count):
            clip, samples, time = (
                f"{name}{i:02d}.wav",
                random.normal(0, 0.01, 4 * RATE),
                np.arange(4 * RATE) / RATE,
            )
            for label, frequency in zip(LABELS, (3000, 300)):
                if i & (1 if label == "low" else 2):
                    onset = random.uniform(0, 3)
                    samples += (
                        0.3
                        * np.sin(2 * np.pi * frequency * time)
                        * ((time >= onset) & (time < onset + random.uniform(0.5, 2)))
                    )
                    tags.append((clip, label))
            soundfile.write(folder / clip, samples, RATE)
            clips.append((clip, f"../{clip}", 4))
        write_set(folder / name, clips, LABELS, tags)
    for words in (
        ["extract", folder / "fit", folder / "fit.h5"],
        ["extract", folder / "valid", folder / "valid.h5"],
        [
            *train_arguments(folder, folder / "model"),
            "--set",
            "batch_size=10",
            "--set",
            "learning_rate=5e-3",
            "--set",
            "checkpoint_every=50",
            "--set",
            "max_checkpoints=4",
        ],
        ["predict", folder / "model", folder / "valid.h5", folder / "s.h5"],
        ["tune", folder / "s.h5", folder / "valid", folder / "model" / "operating_point.yaml"],
    ):
        assert (
            CliRunner()
            .invoke(cli.cli, [str(word) for word in words], catch_exceptions=False)
            .exit_code
            == 0
        )
    return folder / "model"


@pytest.mark.parametrize(
    "shift, tolerance, least",
    [(0.7, 1e-6, 0.97), (1.5, 1e-6, 0.97), (0.25, STEP, 0.9), (0.33, STEP, 0.9)],
)
def test_a_shift_against_the_windows_changes_little(
    good_model, run, tmp_path, shift, tolerance, least
):
    """A shift by whole frames gives the same events; another one moves them by at most a frame."""
    samples = tones(120, seed=3)
    soundfile.write(tmp_path / "a.wav", samples, RATE)
    soundfile.write(tmp_path / "b.wav", samples[round(shift * RATE) :], RATE)
    before, after = (
        rows(run("detect", good_model, tmp_path / name).stdout) for name in ("a.wav", "b.wav")
    )
    before = [row for row in before if row[1] > 5]  # the beginning differs
    again = sum(
        any(
            label == other[3]
            and max(abs(onset - shift - other[1]), abs(offset - shift - other[2]))
            <= tolerance + 1e-6
            for other in after
        )
        for _, onset, offset, label in before
    )
    assert len(before) > 70 and again >= least * len(before), (again, len(before))


# --- sound files ---


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("form", ["wav", "flac", "ogg", "mp3"])
def test_a_stream_is_what_read_gives(tmp_path, rate, form, monkeypatch):
    """The result is bit-identical for any size of the blocks."""
    path = tmp_path / f"a.{form}"
    soundfile.write(path, np.stack([tones(3.21, rate), tones(3.21, rate, 1)], axis=1), rate)
    expected = audio_files.read(path, RATE)[0]
    monkeypatch.setattr(sound_file, "_BLOCK", 10007)
    np.testing.assert_array_equal(np.concatenate(list(recordings.stream(path, RATE))), expected)
    left = np.concatenate(list(recordings.stream(path, rate, channel=0)))
    np.testing.assert_allclose(left, soundfile.read(path, dtype="float32")[0][:, 0], atol=1e-7)


@pytest.mark.parametrize(
    "form, codec, tolerance",
    [("mov", "alac", 1e-4), ("matroska", "pcm_s16le", 1e-4), ("mp4", "aac", 0.2)],
)
def test_other_formats(tmp_path, form, codec, tolerance, model, run, monkeypatch):
    """No program is needed for these formats."""
    sounds, path = np.stack([tones(5), tones(5, seed=1)], axis=1), tmp_path / f"-b c.{form}"
    write_by_pyav(path, sounds, RATE, form, codec)
    monkeypatch.setenv("PATH", str(tmp_path))
    about = audio_files.info(path)
    assert (about.sample_rate, about.num_channels) == (RATE, 2) and about.duration == pytest.approx(
        5, abs=0.1
    )
    for channel, expected in ((None, sounds.mean(axis=1)), (1, sounds[:, 1])):
        found = np.concatenate(list(recordings.stream(path, RATE, channel)))[: len(expected)]
        assert np.abs(found - expected[: len(found)]).max() < tolerance
    result = run("detect", model, "--", path)
    assert result.exit_code == 0 and {row[0] for row in rows(result.stdout)} == {path.name}


@pytest.mark.parametrize("content", [b"\0\0\0\x20ftypisom" + bytes(1000), b"no sound", bytes(1000)])
def test_files_without_sound_fail_by_name(tmp_path, model, run, content):
    (tmp_path / "a.mp4").write_bytes(content)
    result = run("detect", model, tmp_path / "a.mp4")
    assert result.exit_code == 1 and "a.mp4 failed: " in result.stderr
    assert "a.mp4: can't be read as sound" in result.stderr


def set_clip_seconds(model, seconds):
    """Set the clip duration in the description of a model."""
    described = config.read_yaml(model / "model.yaml")
    described["trained"]["clip_seconds"] = seconds
    (model / "model.yaml").write_text(config.to_yaml(described))


def test_twenty_minutes_take_no_more_memory_than_six(model, tmp_path):
    """The recording is FLAC in 44.1 kHz stereo. In memory, the difference would be 300 MB."""
    shutil.copytree(model, tmp_path / "model")
    set_clip_seconds(tmp_path / "model", 10)
    for name, minutes in (("short.flac", 6), ("long.flac", 20)):
        with soundfile.SoundFile(tmp_path / name, "w", 44100, 2) as file:
            for _ in range(minutes):
                file.write(np.zeros((60 * 44100, 2), np.float32))
    peaks = []
    for name in ("short.flac", "long.flac"):
        command = [sys.executable, "-m", "wsedtk", "detect", "model", name]
        done = measured([*command, "--plot", "pictures", "--scores", "scores"], tmp_path)
        assert done.returncode == 0, done.output
        peaks.append(done.peak_mb)
    assert (
        peaks[1] < peaks[0] + 100
        and (tmp_path / "pictures" / "long.flac.png").stat().st_size > 10_000
    )
    assert len((tmp_path / "scores" / "long.flac.tsv").read_text().splitlines()) == 12001


# --- arguments of users ---


@pytest.fixture
def sounds(tmp_path):
    """A folder with two recordings of the same tones, one in stereo in a subfolder, and a text."""
    folder = tmp_path / "my sounds"
    (folder / "sub").mkdir(parents=True)
    soundfile.write(folder / "-a [1].wav", tones(4), RATE)
    soundfile.write(
        folder / "sub" / "b, c.flac", np.stack([tones(4), tones(4, seed=1)], axis=1), RATE
    )
    (folder / "notes.txt").write_text("no sound")
    return folder


def test_files_folders_and_patterns(model, run, sounds, monkeypatch):
    monkeypatch.chdir(sounds)
    for arguments, names in (
        (["."], {"-a [1].wav", "sub/b, c.flac"}),
        (["--", "-a [1].wav"], {"-a [1].wav"}),
        (["**/*.flac", "sub"], {"b, c.flac"}),
        (["*/*", "./-a [1].wav", "."], {"b, c.flac", "-a [1].wav"}),
    ):
        result = run("detect", model, *arguments)
        assert result.exit_code == 0, result.stderr
        assert {row[0] for row in rows(result.stdout)} == names
    for argument, message in (
        ("*.mp3", "no file matches this pattern"),
        ("nothing.wav", "nothing.wav: no such file"),
    ):
        result = run("detect", model, argument)
        assert result.exit_code == 1 and message in result.stderr
    (sounds / "empty").mkdir()
    assert (
        "contains no files with the extension of a sound file"
        in run("detect", model, "empty").stderr
    )


def test_formats(model, run, sounds, tmp_path):
    table = rows(run("detect", model, sounds).stdout)
    result = run("detect", model, sounds, "--format", "jsonl")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(e["filename"], e["onset"], e["offset"], e["event_label"]) for e in found] == table
    assert all(0.5 <= e["score"] <= 1 and "channel" not in e for e in found)
    for name, suffix in (
        ("audacity", ".txt"),
        ("raven", ".selections.txt"),
        ("tsv", ".tsv"),
        ("jsonl", ".jsonl"),
    ):
        assert (
            run(
                "detect", model, sounds, "--format", name, "--output-dir", tmp_path / "out" / name
            ).exit_code
            == 0
        )
        assert sorted(
            str(p.relative_to(tmp_path / "out" / name))
            for p in (tmp_path / "out" / name).rglob("[!.]*.*")
        ) == [f"-a [1].wav{suffix}", f"sub/b, c.flac{suffix}"]
    result = run("detect", model, sounds, "--format", "csv")
    events = list(csv.DictReader(io.StringIO(result.stdout)))
    columns = ("filename", "onset", "offset", "event_label")
    found = [tuple(event[column] for column in columns) for event in events]
    assert [(name, float(a), float(b), label) for name, a, b, label in found] == table
    none = run("detect", model, sounds, "--format", "csv", "--threshold", "1").stdout
    assert none.splitlines()[1:] == ["-a [1].wav,,,,,,", '"sub/b, c.flac",,,,,,']
    mine = [row[1:] for row in table if row[0] == "-a [1].wav"]
    audacity = [
        line.split("\t")
        for line in (tmp_path / "out/audacity/-a [1].wav.txt").read_text().splitlines()
    ]
    assert [(float(a), float(b), label) for a, b, label in audacity] == mine
    header, *lines = (tmp_path / "out/raven/-a [1].wav.selections.txt").read_text().splitlines()
    raven = [dict(zip(header.split("\t"), line.split("\t"))) for line in lines]
    assert [
        (float(r["Begin Time (s)"]), float(r["End Time (s)"]), r["Annotation"]) for r in raven
    ] == mine
    assert [r["Selection"] for r in raven] == [str(i + 1) for i in range(len(mine))] and raven[0][
        "Begin File"
    ] == "-a [1].wav"
    assert run("detect", model, sounds, "--output", tmp_path / "all.tsv").exit_code == 0
    assert rows((tmp_path / "all.tsv").read_text()) == table


OWN_FORMAT = r"""
from wsedtk.data.formats import EventFormat


class Csv(EventFormat):
    suffix = ".csv"
    header = "recording,onset,offset,label\n"

    def text(self, recording, events):
        rows = (f"{recording.name},{e.onset:.3f},{e.offset:.3f},{e.label}\n" for e in events)
        return "".join(rows)


class Incomplete(EventFormat):
    suffix = ".csv"
"""


@pytest.fixture
def own_format(tmp_path, monkeypatch):
    """A module of the user's own, `own_format`, that defines a format."""
    (tmp_path / "own_format.py").write_text(OWN_FORMAT)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("own_format", None)


def test_a_format_of_ones_own(model, run, sounds, tmp_path, own_format):
    table = run("detect", model, sounds).stdout.splitlines()[1:]
    name = "own_format:Csv"
    result = run("detect", model, sounds / "-a [1].wav", "--format", name)
    header, *lines = result.stdout.splitlines()
    assert header == "recording,onset,offset,label"
    assert lines == [line.replace("\t", ",") for line in table if line.startswith("-a [1].wav")]
    out = tmp_path / "out"
    assert run("detect", model, sounds, "--format", name, "--output-dir", out).exit_code == 0
    assert sorted(path.name for path in out.rglob("[!.]*.*")) == ["-a [1].wav.csv", "b, c.flac.csv"]


@pytest.mark.parametrize(
    "name, status, message",
    [
        ("xml", 2, "'xml' is not one of"),
        ("own_format:Tsv", 1, "event format 'own_format:Tsv': .*Tsv"),
        ("own_format:Incomplete", 1, "lacks 'suffix' or 'text'; define both"),
        ("json:loads", 1, "expected a class that derives from"),
        ("no_such_module:Csv", 1, "No module named 'no_such_module'"),
    ],
)
def test_formats_that_do_not_exist(model, run, sounds, own_format, name, status, message):
    result = run("detect", model, sounds, "--format", name)
    assert result.exit_code == status and re.search(message, result.stderr)


def test_each_channel_on_its_own(model, run, sounds, tmp_path):
    soundfile.write(tmp_path / "right.wav", tones(4, seed=1), RATE)
    right = [row[1:] for row in rows(run("detect", model, tmp_path / "right.wav").stdout)]
    found = rows(run("detect", model, sounds, "--channels", "each").stdout)
    assert {row[0] for row in found} == {"-a [1].wav", "sub/b, c.flac.ch1", "sub/b, c.flac.ch2"}
    assert [row[1:] for row in found if row[0].endswith(".ch2")] == right
    raven = run(
        "detect",
        model,
        sounds / "sub" / "b, c.flac",
        "--channels",
        "each",
        "--format",
        "raven",
        "--output-dir",
        tmp_path / "r",
    )
    assert raven.exit_code == 0
    assert {
        line.split("\t")[2]
        for line in (tmp_path / "r" / "b, c.flac.ch2.selections.txt").read_text().splitlines()[1:]
    } == {"2"}
    assert {
        json.loads(line).get("channel")
        for line in run(
            "detect", model, sounds, "--channels", "each", "--format", "jsonl"
        ).stdout.splitlines()
    } == {None, 1, 2}


def test_thresholds_classes_and_durations(model, run, sounds, tmp_path):
    def detect_(*options):
        result = run("detect", model, sounds, *options)
        assert result.exit_code == 0, result.stderr
        return rows(result.stdout)

    everything = detect_()
    assert {row[3] for row in everything} == set(LABELS)
    assert {row[3] for row in detect_("--classes", "high, very")} == {"high, very"}
    (tmp_path / "classes.txt").write_text("low\tdeep & <b>\n")
    renamed = detect_("--classes", tmp_path / "classes.txt")
    assert renamed == [(*row[:3], "deep & <b>") for row in everything if row[3] == "low"]
    assert detect_("--threshold", "1") == []
    assert {row[3] for row in detect_("--threshold", "high, very=inf")} == {"low"}
    assert {row[3] for row in detect_("--threshold", "inf", "--threshold", "low=0.5")} == {"low"}
    never = run("detect", model, sounds, "--threshold", "inf")
    assert (
        never.exit_code == 1
        and "--threshold inf: no class has a threshold that a score can reach" in never.stderr
    )
    for threshold in ("-inf", "0"):
        found = detect_("--threshold", threshold, "--min-duration", "0")
        assert len(found) == 2 * 2 and {row[1:3] for row in found} == {(0, 4)}
    long = detect_("--min-duration", "1")
    assert long and all(row[2] - row[1] >= 1 - 1e-6 for row in long) and len(long) < len(everything)
    operating_point.write(
        tmp_path / "never.yaml", make_point(labels=LABELS, frame_thresholds=np.array([np.inf, 0.5]))
    )
    assert {row[3] for row in detect_("--operating-point", tmp_path / "never.yaml")} == {"low"}


def test_a_model_without_an_operating_point_needs_a_threshold(model, run, sounds, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(model, bare)
    (bare / "operating_point.yaml").unlink()
    result = run("detect", bare, sounds)
    assert (
        result.exit_code == 1
        and "give one threshold for all classes, such as --threshold 0.5" in result.stderr
    )
    assert rows(run("detect", bare, sounds, "--threshold", "0.5").stdout)


def test_the_gate_by_tags(model, run, sounds, tmp_path):
    for tags, labels in (([np.inf, -np.inf], {"low"}), ([-np.inf, -np.inf], set(LABELS))):
        operating_point.write(
            tmp_path / "p.yaml",
            make_point(labels=LABELS, clip_thresholds=np.array(tags), gate_by_tags=True),
        )
        assert {
            row[3]
            for row in rows(
                run("detect", model, sounds, "--operating-point", tmp_path / "p.yaml").stdout
            )
        } == labels


@pytest.mark.parametrize(
    "options, message",
    [
        (["--threshold", "loud"], "--threshold 'loud': expected a number, or CLASS=NUMBER"),
        (["--threshold", "lwo=0.5"], "no class 'lwo'; did you mean 'low'?"),
        (["--threshold", "nan"], "expected a number"),
        (
            ["--threshold", "50"],
            "--threshold '50': expected a number from 0 to 1, or inf to never detect the class, "
            "found 50; did you mean 0.5?",
        ),
        (["--threshold", "high, very=12.5"], "found 12.5; did you mean 0.125?"),
        (["--threshold", "50%"], "expected a number, or CLASS=NUMBER; did you mean 0.5?"),
        (["--threshold", "-1"], "found -1"),
        (["--threshold", "101"], "or inf to never detect the class, found 101"),
        (["--classes", "lwo"], "neither a class of"),
        (["--classes", "low", "--classes", "low"], "'low' is chosen twice"),
        (["--format", "audacity"], "choose a folder with output_dir (--output-dir)"),
        (["--format", "raven", "--output", "a.selections.txt"], "--output-dir"),
        (["--output", "a.wav"], "expected a name that ends in .tsv"),
        (["--output", "a.tsv", "--output-dir", "b"], "give only one of these options"),
        (["--operating-point", "none.yaml"], "none.yaml: no such file"),
    ],
)
def test_what_is_refused(model, run, sounds, options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    result = run("detect", model, sounds, *options)
    assert (
        result.exit_code == 1 and message in result.stderr and sorted(tmp_path.rglob("*")) == before
    )


def test_an_operating_point_of_another_model_or_of_no_use(model, run, sounds, tmp_path):
    for changes, message in (
        ({"model": "abc"}, "was tuned on the scores of another model"),
        ({"labels": ["low", "high, very"]}, "its classes are not those of"),
        (
            {"frame_thresholds": np.full(2, np.inf)},
            "has no frame thresholds that a score can reach",
        ),
    ):
        operating_point.write(tmp_path / "p.yaml", make_point(**{"labels": LABELS, **changes}))
        assert (
            message in run("detect", model, sounds, "--operating-point", tmp_path / "p.yaml").stderr
        )


def test_two_recordings_of_one_name(model, run, sounds, tmp_path):
    shutil.copy(sounds / "-a [1].wav", sounds / "sub")
    result = run(
        "detect", model, sounds / "-a [1].wav", sounds / "sub", "--output-dir", tmp_path / "out"
    )
    assert (
        result.exit_code == 1
        and "has the same name as" in result.stderr
        and not (tmp_path / "out").exists()
    )
    assert run("detect", model, sounds / "-a [1].wav", sounds / "sub").exit_code == 0


def test_broken_recordings_are_reported_and_skipped(model, run, sounds, tmp_path):
    (sounds / "empty.wav").write_bytes(b"")
    samples = tones(30)
    samples[29 * RATE] = np.nan
    soundfile.write(sounds / "nan.wav", samples, RATE, subtype="FLOAT")
    result = run(
        "detect",
        model,
        sounds,
        "--output-dir",
        tmp_path / "out",
        "--scores",
        tmp_path / "s",
        "--plot",
        tmp_path / "p",
    )
    assert (
        result.exit_code == 1
        and "2 of 4 recordings failed, more than the fraction 0.01 that max_failures"
        in result.stderr
    )
    assert (
        "empty.wav failed: " in result.stderr
        and "nan.wav failed: " in result.stderr
        and "not finite" in result.stderr
    )
    for folder, names in (
        ("out", ["-a [1].wav.tsv", "sub/b, c.flac.tsv"]),
        ("s", ["-a [1].wav.tsv", "sub/b, c.flac.tsv"]),
        ("p", ["-a [1].wav.png", "sub/b, c.flac.png"]),
    ):
        assert (
            sorted(
                str(f.relative_to(tmp_path / folder)) for f in (tmp_path / folder).rglob("[!.]*.*")
            )
            == names
        )
    assert run("detect", model, sounds, "--max-failures", 0.5).exit_code == 0


def test_a_truncated_recording(model, run, tmp_path):
    soundfile.write(tmp_path / "whole.mp3", tones(60), RATE)
    content = (tmp_path / "whole.mp3").read_bytes()
    (tmp_path / "cut.mp3").write_bytes(content[: len(content) // 2])
    assert "warning" not in run("detect", model, tmp_path / "whole.mp3").stderr
    result = run("detect", model, tmp_path / "cut.mp3")
    assert result.exit_code == 0 and rows(result.stdout)
    assert "cut.mp3: breaks off after 30 of 60 s" in result.stderr


def test_curves_are_read_again(model, run, sounds, tmp_path):
    assert run("detect", model, sounds / "-a [1].wav", "--scores", tmp_path / "s").exit_code == 0
    scores = score_folders.ScoreFolder(tmp_path / "s")
    assert (
        scores.labels == LABELS
        and scores.frames(0).shape == (40, 2)
        and scores.durations[0] == 4
        and scores.seconds_per_frame == STEP
    )


@pytest.mark.parametrize("num_frames", [0, 1, 2999, 3000, 3001, 50000])
def test_an_overview_holds_every_maximum(num_frames):
    values = np.random.default_rng(0).random((num_frames, 2))
    overview = recording_picture.Overview()
    for part in np.array_split(values, 7):
        overview.add(part)
    found = overview.values()
    expected = [
        values[i : i + overview.span].max(axis=0) for i in range(0, num_frames, overview.span)
    ]
    assert len(found) <= 2 * recording_picture.MOST_COLUMNS and np.array_equal(
        found, np.array(expected).reshape(-1, 2)
    )


@pytest.mark.parametrize("seconds", ["10", 0, -1, float("inf"), 1e9])
def test_a_model_with_a_wrong_clip_duration(model, run, sounds, tmp_path, seconds):
    shutil.copytree(model, tmp_path / "odd")
    set_clip_seconds(tmp_path / "odd", seconds)
    result = run("detect", tmp_path / "odd", sounds)
    assert (
        result.exit_code == 1
        and "model.yaml: trained: clip_seconds: expected a number of seconds above 0"
        in result.stderr
    )


def test_recordings_of_one_name_are_distinguished_in_lists(model, run, sounds):
    shutil.copy(sounds / "-a [1].wav", sounds / "sub")
    found = {
        row[0] for row in rows(run("detect", model, sounds / "-a [1].wav", sounds / "sub").stdout)
    }
    assert found == {str(sounds / "-a [1].wav"), str(sounds / "sub" / "-a [1].wav"), "b, c.flac"}


def test_names_that_differ_in_the_extension_alone_and_one_that_is_no_text(model, run, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("x.wav", "x.flac"):
        soundfile.write(tmp_path / "in" / name, tones(2), RATE)
    shutil.copy(tmp_path / "in" / "x.wav", os.fsencode(tmp_path / "in") + b"/bad\xff.wav")
    for form in ("tsv", "jsonl", "raven"):
        result = run(
            "detect",
            model,
            tmp_path / "in",
            "--format",
            form,
            "--output-dir",
            tmp_path / form,
            "--scores",
            tmp_path / "scores",
            "--plot",
            tmp_path / "plots",
        )
        assert result.exit_code == 0, result.stderr
    assert sorted(p.name for p in (tmp_path / "scores").iterdir()) == [
        "bad\ufffd.wav.tsv",
        "x.flac.tsv",
        "x.wav.tsv",
    ]
    result = run(
        "detect",
        model,
        tmp_path / "in",
        "--output-dir",
        tmp_path / "both",
        "--scores",
        tmp_path / "both",
    )
    assert (
        result.exit_code == 1
        and "the same folder" in result.stderr
        and not (tmp_path / "both").exists()
    )


@pytest.mark.parametrize("kind", ["--output-dir", "--scores", "--plot"])
def test_a_recording_whose_output_cannot_be_written_fails_alone(model, run, tmp_path, kind):
    """One name is too long with the extension of the output; another output is below a file."""
    (tmp_path / "in" / "taken").mkdir(parents=True)
    long = "a" * 250 + ".wav"  # 254 bytes
    for name in (long, "b.wav", "taken/c.wav", "z.wav"):
        write_sound(tmp_path / "in" / name)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "taken").touch()
    arguments = ("detect", model, tmp_path / "in", kind, tmp_path / "out")
    result = run(*arguments, "--max-failures", "0.5")
    assert result.exit_code == 0 and result.stderr.count("warning: detect: ") == 2
    assert f"warning: detect: {long} failed: {tmp_path}/out/{long}." in result.stderr
    assert "can't be written: File name too long" in result.stderr
    assert "warning: detect: taken/c.wav failed: " in result.stderr
    assert "detect: recordings: 2, audio: 0:00:02" in result.stderr
    names = sorted(path.stem for path in (tmp_path / "out").glob("[!.]*"))
    assert names == ["b.wav", "taken", "z.wav"]
    result = run(*arguments)
    assert result.exit_code == 1 and "2 of 4 recordings failed" in result.stderr


def test_an_unwritable_folder_is_reported_first(model, run, tmp_path, monkeypatch):
    for name in "ab":
        write_sound(tmp_path / "in" / f"{name}.wav")
    for number, times in ((errno.ENOSPC, 2), (errno.EACCES, 3)):
        refused = []
        sync = os.fsync

        def refuse(*arguments):
            """Sync the ledger, which is written first. Fail for the tables of the recordings."""
            refused.append(number)
            if len(refused) == 1:
                return sync(*arguments)
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", refuse)
            result = run("detect", model, tmp_path / "in", "--output-dir", tmp_path / "out")
        assert result.exit_code == 1 and os.strerror(number) in result.stderr
        assert len(refused) == times
        assert [path.name for path in (tmp_path / "out").iterdir()] == [".detect.ledger"]
        shutil.rmtree(tmp_path / "out")
    (tmp_path / "file").touch()
    result = run("detect", model, tmp_path / "in", "--output-dir", tmp_path / "file" / "out")
    assert result.exit_code == 1 and "file/out: can't be written: Not a directory" in result.stderr
    assert "detect: recordings" not in result.stderr


def test_arguments_that_are_no_file_names(model, run, tmp_path):
    write_sound(tmp_path / "a.wav")
    result = run("detect", model, "x" * 300, tmp_path / "a.wav", "--max-failures", "1")
    assert result.exit_code == 0 and "recordings: 1," in result.stderr
    assert "x failed: " in result.stderr and "File name too long" in result.stderr


def test_headers_that_make_results_unreliable(model, run, tmp_path):
    """A truncated WAV file, and one without the frequencies of the model."""
    soundfile.write(tmp_path / "cut.wav", tones(40), RATE)
    content = (tmp_path / "cut.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(content[: len(content) // 2])
    soundfile.write(tmp_path / "low.wav", tones(4, 8000), 8000)
    result = run("detect", model, tmp_path)
    assert result.exit_code == 0 and "cut.wav: breaks off after 20 of 40 s" in result.stderr
    assert (
        "low.wav: the sample rate is 8000 Hz, so the recording has no frequencies" in result.stderr
    )


@pytest.mark.parametrize("option", ["--output", "--output-dir", "--scores", "--plot"])
def test_recordings_are_not_replaced(model, run, tmp_path, option):
    """A recording may have the name of an output, here of that of the recording `a`."""
    suffix = ".png" if option == "--plot" else ".tsv"
    names = ("a", f"a{suffix}")
    for name in names:
        soundfile.write(tmp_path / name, tones(2), RATE, format="WAV")
    recording = tmp_path / names[1]
    content = recording.read_bytes()
    output = recording if option == "--output" else tmp_path
    result = run("detect", model, *(tmp_path / name for name in names), option, output)
    assert result.exit_code == 1, result.stderr
    assert "is a recording, but an output would replace this file" in result.stderr
    assert recording.read_bytes() == content
