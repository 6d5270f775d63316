import dataclasses
import itertools
import os
import re
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile
import yaml
from helpers import write_set, write_sound

from wsedtk.audio import audio_files
from wsedtk.audio.frontend import FrontendConfig, LogMel
from wsedtk.core import atomic, config
from wsedtk.core.errors import InputError
from wsedtk.core.processes import mapping
from wsedtk.data import datadir, feature_parts, store
from wsedtk.stages import extract

SMALL = "sample_rate: 8000\nwindow: 256\nhop: 200\nnum_fft: 256\nnum_mels: 8\nmax_hz: 4000\n"


def expected(path, frontend=FrontendConfig()):
    samples, _ = audio_files.read(path, frontend.sample_rate)
    return LogMel(frontend)(samples)


def check(feats, data_set, frontend=FrontendConfig()):
    """Compare a feature file with the front end on the samples of each clip."""
    found, data = store.FeatureStore([feats]), datadir.read(data_set)
    rows = found.rows(data.filenames)
    assert len(found) == len(data) and rows.min() >= 0
    for path, row in zip(data.paths, rows):
        np.testing.assert_array_equal(found.read(np.array([row]))[0], expected(path, frontend))
    return found


@pytest.fixture
def one(tmp_path):
    """Write a set of one clip, `a.wav`, from any file; return its folder."""

    def one(path, duration=1):
        return write_set(tmp_path / "one", [("a.wav", path, duration)], ["Car"], [("a.wav", "Car")])

    return one


def test_features_are_the_front_ends(run, small_set, tmp_path):
    result = run("extract", small_set, tmp_path / "new" / "a.h5")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{tmp_path}/new/a.h5: 12 clips, at most 400 frames x 64 bins\n"
    found = check(tmp_path / "new" / "a.h5", small_set)
    assert (
        found.frontend == FrontendConfig().settings()
        and found.fingerprint == config.fingerprint(found.frontend)
    )
    assert set(found.num_frames) == {40} and set(found.durations) == {1.0}


@pytest.mark.parametrize("jobs", [1, 2])
def test_elsewhere_than_on_a_cpu_this_process_computes_the_features(
    run, small_set, tmp_path, monkeypatch, jobs
):
    write_sound(tmp_path / "audio" / "clip 03.wav", seconds=1.5)
    options = ("--jobs", jobs, "--max-seconds", 1, "--crop", "--max-failures", 0.1)
    (tmp_path / "audio" / "clip 05.wav").write_text("no sound")
    assert (
        run("extract", small_set, tmp_path / "cpu.h5", "--device", "cpu", *options).exit_code == 0
    )
    computed = []

    def frontend(config, device):  # replaces the front end on a GPU
        assert device.type == "cuda"
        return lambda samples: computed.append(len(samples)) or LogMel(config)(samples)

    monkeypatch.setattr(
        extract.network_runner, "pick_device", lambda name: types.SimpleNamespace(type="cuda")
    )
    monkeypatch.setattr(extract, "_frontend", frontend)
    assert run("extract", small_set, tmp_path / "gpu.h5", *options).exit_code == 0
    assert computed == [16000] * 11
    cpu, gpu = (store.FeatureStore([tmp_path / name]) for name in ("cpu.h5", "gpu.h5"))
    np.testing.assert_array_equal(cpu.read(np.arange(11)), gpu.read(np.arange(11)))
    assert cpu.failed == gpu.failed and list(cpu.failed) == ["clip 05.wav"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_signal_leaves_no_process_and_what_is_finished(tmp_path, run, number, jobs):
    write_sound(tmp_path / "audio" / "a.wav", seconds=10)
    clips = [(f"{i:05d}.wav", "../audio/a.wav", 10) for i in range(20000)]
    data = write_set(tmp_path / "set", clips, ["Car"], [(name, "Car") for name, *_ in clips])
    output = tmp_path / "out" / "a.h5"
    command = [
        sys.executable,
        "-m",
        "wsedtk",
        "extract",
        data,
        output,
        "--jobs",
        str(jobs),
        "--device",
        "cpu",
    ]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    for _ in range(1200):  # until there are features
        if any(p.stat().st_size > 1 << 20 for p in output.parent.glob(".a.h5.parts/.*.tmp")):
            break
        time.sleep(0.05)
    os.killpg(process.pid, number) if jobs == 2 else process.send_signal(number)  # as schedulers do
    said = process.communicate(timeout=30)[1]
    left = int(
        re.search(
            rf"a.h5: stopped by {number.name}; (\d+) of 20000 clips remain; run the same command again",
            said,
        ).group(1)
    )
    assert (
        process.returncode == 75
        and [p.name for p in output.parent.iterdir()] == [".a.h5.parts"]
        and "Traceback" not in said
    )
    (part,) = output.parent.glob(".a.h5.parts/*")
    assert len(store.FeatureStore([part])) == 20000 - left < 20000
    for _ in range(100):  # the process from which the others are forked ends when it notices
        left = subprocess.run(
            ["pgrep", "-s", str(process.pid)], capture_output=True, text=True
        ).stdout
        if not left:
            break
        time.sleep(0.05)
    assert not left


def everything(path):
    """Return the content of a feature file, without what made it."""
    with h5py.File(path) as file:
        return {
            **{name: dataset[:].tolist() for name, dataset in file.items()},
            **{name: value for name, value in file.attrs.items() if name != "commit"},
        }


class Interrupted(Exception):
    pass


@pytest.fixture
def stopped(run, small_set, tmp_path, monkeypatch):
    """`stopped(n)` extracts until n clips are done, one per part.

    Returns the command, and the function that lists the clips computed by the next run.
    """
    (tmp_path / "c.yaml").write_text(SMALL)
    command, computed = (
        [
            "extract",
            small_set,
            tmp_path / "a.h5",
            "--config",
            tmp_path / "c.yaml",
            "--max-failures",
            1,
        ],
        [],
    )
    original = extract.clip_features
    monkeypatch.setattr(feature_parts, "PART_SECONDS", -1)

    def until(count):
        def counting(config, max_seconds, crop, path):
            if len(computed) == count:
                raise Interrupted
            computed.append(Path(path).name)
            return original(config, max_seconds, crop, path)

        computed.clear()
        monkeypatch.setattr(extract, "clip_features", counting)
        if count is not None:
            with pytest.raises(Interrupted):
                run(*command)
        return command, computed

    return until


def test_it_resumes_at_the_first_missing_clip(run, stopped, tmp_path):
    command, _ = stopped(None)
    assert run(*command).exit_code == 0
    whole = everything(tmp_path / "a.h5")
    (tmp_path / "a.h5").unlink()
    stopped(5)
    stopped(4)
    assert not (tmp_path / "a.h5").exists()
    command, computed = stopped(None)
    result = run(*command)
    assert (
        "the features of 7 of 12 clips are kept from an earlier run" in result.stderr
        and computed == [f"clip {i:02d}.wav" for i in range(7, 12)]
    )
    assert everything(tmp_path / "a.h5") == whole and not list(tmp_path.glob(".a.h5*"))


@pytest.mark.parametrize("without_audio", [False, True])
def test_another_folder_of_the_same_files_is_noticed(
    run, stopped, tmp_path, small_set, without_audio
):
    """Files and paths are unchanged, but a folder in between has changed."""
    if without_audio:
        (tmp_path / "audio" / "clip 01.wav").unlink()
    (tmp_path / "audio").rename(tmp_path / "old")
    for i in range(12):
        write_sound(tmp_path / "new" / f"clip {i:02d}.wav", 0.9, frequency=1000, seed=i)
        os.utime(tmp_path / "new" / f"clip {i:02d}.wav", (1e9, 1e9))
    (tmp_path / "audio").symlink_to("old")
    time.sleep(0.02)  # resolution of file times
    stopped(6)
    (tmp_path / "audio").unlink()
    (tmp_path / "audio").symlink_to("new")
    command, computed = stopped(None)
    assert run(*command).exit_code == 0 and sorted(set(computed)) == [
        f"clip {i:02d}.wav" for i in range(12)
    ]


@pytest.mark.parametrize(
    "change", ["audio", "audio by rename", "front end", "clips", "paths", "a part damaged"]
)
def test_parts_of_anything_else_do_not_count(run, stopped, tmp_path, small_set, change):
    stopped(8)
    audio = tmp_path / "audio" / "clip 02.wav"
    again = [f"clip {i:02d}.wav" for i in range(7, 12)]
    if change.startswith("audio"):
        write_sound(tmp_path / "new.wav", frequency=1000)
        if change == "audio":
            audio.write_bytes((tmp_path / "new.wav").read_bytes())
        else:
            os.utime(tmp_path / "new.wav", (1e9, 1e9))
            (tmp_path / "new.wav").rename(audio)
        again = ["clip 02.wav", *again]
    elif change == "front end":
        (tmp_path / "c.yaml").write_text(SMALL.replace("num_mels: 8", "num_mels: 9"))
        again = [f"clip {i:02d}.wav" for i in range(12)]
    elif change == "a part damaged":
        part = sorted(tmp_path.glob(".a.h5.parts/*.h5"))[2]
        part.write_bytes(part.read_bytes()[:-100])
        again = ["clip 02.wav", *again]
    else:
        text = (small_set / "clips.tsv").read_text()
        old, new = (
            ("\nclip 02.wav\t", "\nclip 02b.wav\t")
            if change == "clips"
            else ("/clip 02.wav\t", "/clip 04.wav\t")
        )
        text = text.replace(old, new)
        (small_set / "clips.tsv").write_text(text)
        if change == "clips":
            tags = (small_set / "tags.tsv").read_text()
            (small_set / "tags.tsv").write_text(tags.replace("clip 02.wav", "clip 02b.wav"))
            (small_set / "events.tsv").unlink()
        again = ["clip 04.wav" if change == "paths" else "clip 02.wav", *again]
    command, computed = stopped(None)
    assert run(*command).exit_code == 0 and computed == again
    mixed = everything(tmp_path / "a.h5")
    assert run(*command).exit_code == 0 and everything(tmp_path / "a.h5") == mixed


def test_a_part_with_damaged_features_is_made_again(run, stopped, tmp_path):
    stopped(8)
    part = sorted(tmp_path.glob(".a.h5.parts/*.h5"))[3]
    with h5py.File(part) as file:
        place = file["features"].id.get_chunk_info(0).byte_offset
    with open(part, "r+b") as file:
        file.seek(place + 100)
        file.write(b"damaged")
    command, computed = stopped(None)
    result = run(*command)
    assert result.exit_code == 75 and "'clip 03.wav' can't be read" in result.stderr
    assert (
        f"part of {tmp_path}/a.h5 was removed; run the same command again to extract it again"
        in result.stderr
    )
    computed.clear()
    assert run(*command).exit_code == 0 and computed == ["clip 03.wav"]


def test_clips_that_failed_are_tried_again(run, stopped, tmp_path):
    audio = tmp_path / "audio"
    audio.rename(tmp_path / "away")
    command, computed = stopped(None)
    result = run(*command[:-2])
    assert result.exit_code == 1 and "12 of 12 clips failed" in result.stderr
    assert "the features of the other clips are kept for the next run" in result.stderr
    (tmp_path / "away").rename(audio)
    computed.clear()
    assert run(*command).exit_code == 0
    assert len(store.FeatureStore([tmp_path / "a.h5"])) == 12 and sorted(set(computed)) == [
        f"clip {i:02d}.wav" for i in range(12)
    ]


def test_two_at_once_are_refused(run, small_set, tmp_path):
    (tmp_path / "c.yaml").write_text(SMALL)
    with atomic.locking(tmp_path / ".a.h5.parts" / ".lock"):
        result = run("extract", small_set, tmp_path / "a.h5")
    assert (
        result.exit_code == 1
        and f"a.h5: is in use by process {os.getpid()} on " in result.stderr
        and not (tmp_path / "a.h5").exists()
    )


def test_a_device_that_is_not_there(run, small_set, tmp_path):
    result = run("extract", small_set, tmp_path / "a.h5", "--device", "abacus")
    assert result.exit_code == 1 and "--device abacus: can't be used here" in result.stderr


def test_a_configuration_and_half_precision(run, small_set, tmp_path):
    (tmp_path / "-small.yaml").write_text(SMALL + "pad_to_seconds: 2\n")
    result = run(
        "extract",
        "--max-seconds",
        2,
        "--dtype",
        "float16",
        "--config",
        tmp_path / "-small.yaml",
        "--",
        small_set,
        tmp_path / "-a.h5",
    )
    assert result.exit_code == 0, result.stderr
    found = store.FeatureStore([tmp_path / "-a.h5"])
    assert set(found.num_frames) == {80} and set(found.durations) == {1.0}
    frontend = config.load(FrontendConfig, tmp_path / "-small.yaml")
    np.testing.assert_array_equal(
        found.read(np.array([0]))[0],
        expected(datadir.read(small_set).paths[0], frontend).astype(np.float16),
    )


def test_the_number_of_processes_does_not_matter(run, tmp_path):
    clips = [(f"{i}.wav", f"{i}.wav", 10) for i in range(3)] + [("bad.wav", "none.wav", 10)]
    for i in range(3):
        write_sound(tmp_path / "set" / f"{i}.wav", 10, seed=i)
    data = write_set(tmp_path / "set", clips, ["Car"], [(c[0], "Car") for c in clips])
    for jobs in (1, 2):
        result = run(
            "extract", data, tmp_path / f"{jobs}.h5", "--jobs", jobs, "--max-failures", 0.5
        )
        assert result.exit_code == 0 and "'bad.wav' failed" in result.stderr
    one, two = (store.FeatureStore([tmp_path / f"{n}.h5"]) for n in (1, 2))
    np.testing.assert_array_equal(one.read(np.arange(3)), two.read(np.arange(3)))
    assert one.filenames.tolist() == two.filenames.tolist() and one.failed == two.failed != {}
    np.testing.assert_array_equal(one.statistics(np.arange(3)), two.statistics(np.arange(3)))


@pytest.mark.parametrize("num_shards", [2, 5, 13])
def test_the_shards_together_are_the_whole(run, small_set, tmp_path, num_shards):
    (tmp_path / "c.yaml").write_text(SMALL)
    for k in range(1, num_shards + 1):
        result = run(
            "extract",
            small_set,
            tmp_path / "train.h5",
            "--shard",
            f"{k}/{num_shards}",
            "--config",
            tmp_path / "c.yaml",
        )
        assert result.exit_code == 0 and f"train.{k}-of-{num_shards}.h5: " in result.stdout
    first = store.FeatureStore([tmp_path / f"train.1-of-{num_shards}.h5"])
    assert first.filenames.tolist() == datadir.read(small_set).filenames[::num_shards].tolist()
    assert not (tmp_path / "train.h5").exists()
    check(tmp_path / "train.h5", small_set, config.load(FrontendConfig, tmp_path / "c.yaml"))


def test_shards_of_separate_processes(run, tmp_path):
    """Three processes at once, float16, of two clips: one shard is empty."""
    for i in range(2):
        write_sound(tmp_path / "set" / f"{i}.wav", 0.5 + i / 2, seed=i)
    data = write_set(
        tmp_path / "set",
        [(f"{i}.wav", f"{i}.wav", 0.5 + i / 2) for i in range(2)],
        ["Car"],
        [("0.wav", "Car")],
    )
    started = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "wsedtk",
                "extract",
                data,
                tmp_path / "new" / "a.h5",
                "--dtype",
                "float16",
                "--shard",
                f"{k}/3",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for k in (1, 2, 3)
    ]
    output = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert [text.split(": ")[1].split(",")[0] for text in output] == [
        "1 clip",
        "1 clip",
        "0 clips",
    ]
    assert run("extract", data, tmp_path / "whole.h5", "--dtype", "float16").exit_code == 0
    parts, whole = (store.FeatureStore([tmp_path / name]) for name in ("new/a.h5", "whole.h5"))
    assert parts.filenames.tolist() == whole.filenames.tolist() == [
        "0.wav",
        "1.wav",
    ] and parts.num_frames.tolist() == [20, 40]
    assert parts.read(np.arange(2)).dtype == np.float16
    np.testing.assert_array_equal(parts.read(np.arange(2)), whole.read(np.arange(2)))
    np.testing.assert_array_equal(parts.durations, whole.durations)
    np.testing.assert_allclose(
        parts.statistics(np.arange(2)), whole.statistics(np.arange(2)), rtol=1e-12
    )


def test_clips_and_results_do_not_accumulate():
    """If the reader pauses, the processes do not run through the whole corpus."""
    taken = itertools.count()
    with mapping(2) as spread:
        results = spread(abs, (-next(taken) for _ in range(100_000)))
        assert [next(results) for _ in range(50)] == list(range(50))
        assert next(taken) <= 50 + 2 * 4 * 8
    with mapping(2) as spread:
        assert (
            list(spread(abs, iter(range(0, -1001, -1)))) == list(range(1001))
            and list(spread(abs, [])) == []
        )


def test_a_mixed_set(run, tmp_path):
    """A set with stereo, an MP3 named .wav, other rates, a single sample, and unusual names."""
    folder = tmp_path / "au dio"
    write_sound(folder / "stereo.wav", 0.5, channels=2)
    write_sound(folder / "8k é.flac", 0.7, 8000)
    write_sound(folder / "-48k.ogg", 0.6, 48000)
    write_sound(folder / "44k1.wav", 1, 44100, channels=2)
    soundfile.write(folder / "sample.wav", [0.5], 16000)
    t = np.arange(16000) / 16000
    soundfile.write(folder / "mp3.wav", 0.3 * np.sin(2000 * t), 16000, format="MP3")
    names = sorted(p.name for p in folder.iterdir())
    data = write_set(
        tmp_path / "set",
        [(n, f"../au dio/{n}", 1) for n in names],
        ["Car"],
        [(n, "Car") for n in names],
    )
    result = run("extract", data, tmp_path / "a.h5")
    assert result.exit_code == 0 and result.stderr == ""
    found = check(tmp_path / "a.h5", data)
    lengths = dict(
        zip(found.filenames.tolist(), zip(found.num_frames.tolist(), found.durations.tolist()))
    )
    assert lengths == {
        "stereo.wav": (20, 0.5),
        "8k é.flac": (28, 0.7),
        "-48k.ogg": (24, 0.6),
        "44k1.wav": (40, 1.0),
        "sample.wav": (1, 1 / 16000),
        "mp3.wav": (40, 1.0),
    }


def put(folder, kind):
    path = folder / "x.wav"
    if kind == "corrupt":
        path.write_bytes(b"RIFF" + bytes(range(256)))
    elif kind == "long":
        write_sound(path, 2)
    return "" if kind == "no audio" else path


FAULTS = pytest.mark.parametrize(
    "kind, message",
    [
        ("missing", "x.wav: no such file"),
        ("corrupt", "x.wav: can't be read as sound"),
        ("no audio", "no audio: the path of the clip in clips.tsv is empty"),
        (
            "long",
            "x.wav: lasts 2.000 s, longer than 1 s; cut it with crop (--crop), or increase max_seconds (--max-seconds)",
        ),
    ],
)


@FAULTS
def test_a_clip_at_fault_stops_it(run, one, tmp_path, kind, message):
    output = tmp_path / "feats" / "a.h5"
    output.parent.mkdir()
    result = run("extract", one(put(tmp_path, kind)), output, "--max-seconds", 1)
    assert result.exit_code == 1 and result.stdout == ""
    assert (
        f"{tmp_path}/one: 1 of 1 clips failed, more than the fraction 0.01 that max_failures "
        "(--max-failures) allows; the first failure: " in result.stderr
    )
    assert result.stderr.count(message) == 2 and "extract: 'a.wav' failed: " in result.stderr
    assert [p.name for p in output.parent.iterdir()] == [".a.h5.parts"]


@FAULTS
def test_failures_that_are_allowed_are_listed(run, small_set, tmp_path, kind, message):
    (tmp_path / "c.yaml").write_text(SMALL)
    with open(small_set / "clips.tsv", "a") as file:
        file.write(f"a bad one\t{put(tmp_path, kind)}\t1\n")
    arguments = (
        "extract",
        small_set,
        tmp_path / "a.h5",
        "--max-seconds",
        1,
        "--config",
        tmp_path / "c.yaml",
    )
    assert run(*arguments).exit_code == 1 and not (tmp_path / "a.h5").exists()
    result = run(*arguments, "--max-failures", 1 / 13)
    assert result.exit_code == 0 and result.stdout.endswith(
        "12 clips, at most 40 frames x 8 bins; 1 clip failed\n"
    )
    assert result.stderr.count(message) == 1
    found = store.FeatureStore([tmp_path / "a.h5"])
    assert list(found.failed) == ["a bad one"] and message in found.failed["a bad one"]
    assert len(found) == 12 and found.rows(["a bad one"]).tolist() == [-1]


def test_an_impossible_path_is_one_clips_fault(run, small_set, tmp_path):
    (tmp_path / "c.yaml").write_text(SMALL)
    with open(small_set / "clips.tsv", "a") as file:
        file.write(f"a bad one\t/{'x' * 300}\t1\n")
    result = run(
        "extract",
        small_set,
        tmp_path / "a.h5",
        "--max-failures",
        0.1,
        "--config",
        tmp_path / "c.yaml",
    )
    assert result.exit_code == 0 and "'a bad one' failed" in result.stderr


def test_crop_keeps_the_beginning(run, one, tmp_path):
    write_sound(tmp_path / "x.wav", 2)
    result = run(
        "extract", one(tmp_path / "x.wav"), tmp_path / "a.h5", "--max-seconds", 1, "--crop"
    )
    assert result.exit_code == 0
    found = store.FeatureStore([tmp_path / "a.h5"])
    assert found.num_frames.tolist() == [40] and found.durations.tolist() == [1.0]
    np.testing.assert_array_equal(
        found.read(np.array([0]))[0],
        LogMel(FrontendConfig())(audio_files.read(tmp_path / "x.wav")[0][:16000]),
    )


@pytest.mark.parametrize("num_samples, good", [(16000, True), (16399, True), (16400, False)])
def test_less_than_a_frame_too_much_is_accepted(tmp_path, num_samples, good):
    write_sound(tmp_path / "x.wav", num_samples / 16000)
    features, *_ = extract.clip_features(FrontendConfig(), 1.0, False, tmp_path / "x.wav")
    assert (features is not None) == good and (not good or features.shape == (40, 64))


def test_empty_mel_filters_are_reported(run, small_set, tmp_path):
    (tmp_path / "c.yaml").write_text("mel_filters: htk\nnum_fft: 1024\nnum_mels: 256\n")
    result = run("extract", small_set, tmp_path / "a.h5", "--config", tmp_path / "c.yaml")
    message = "some mel filters contain no FFT bin and are 0 (1 of 256); use a smaller num_mels"
    assert result.exit_code == 0 and message in result.stderr


@pytest.mark.parametrize(
    "text, message",
    [
        ("hopp: 3", "c.yaml: unknown key 'hopp'; did you mean 'hop'?"),
        ("hop: 0", "c.yaml: sample_rate, window, hop and num_mels must be"),
        ("hop: 2.5", "c.yaml: hop: expected a whole number, found 2.5"),
        ("num_fft: 512", "c.yaml: num_fft 512 is shorter than the window of 1024"),
        ("pad_to_seconds: 10.5", "c.yaml: pad_to_seconds 10.5 is longer than max_seconds 10; "),
    ],
)
def test_a_bad_configuration(run, small_set, tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    result = run("extract", small_set, tmp_path / "a.h5", "--config", tmp_path / "c.yaml")
    assert result.exit_code == 1 and message in result.stderr and not (tmp_path / "a.h5").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--shard", "3/2"],
        ["--shard", "0/2"],
        ["--shard", "1"],
        ["--shard", "a/b"],
        ["--shard", "1/-2"],
        ["--shard", "²/3"],
        ["--shard", "1/2/3"],
        ["--jobs", 0],
        ["--max-seconds", 0],
        ["--max-seconds", -1],
        ["--dtype", "int8"],
        ["--max-failures", 1.5],
    ],
)
def test_usage(run, small_set, tmp_path, arguments):
    result = run("extract", small_set, tmp_path / "a.h5", *arguments)
    assert result.exit_code == 2 and f"Invalid value for '{arguments[0]}'" in result.stderr


@pytest.mark.parametrize("value", ["inf", "nan"])
def test_seconds_that_are_no_number(run, small_set, tmp_path, value):
    result = run("extract", small_set, tmp_path / "a.h5", "--max-seconds", value)
    assert (
        result.exit_code == 1
        and f"max_seconds: found {value}; expected a finite number of seconds above 0"
        in result.stderr
    )


def test_bad_places(run, small_set, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.h5").mkdir()
    for data, feats, message in (
        (tmp_path / "none", "a.h5", "none: no such folder"),
        (small_set, "file/a.h5", "file/a.h5: can't be written"),
        (small_set, ".", "must have a name that ends in .h5"),
        (small_set, "folder.h5", "is a folder; choose another path for the output file"),
    ):
        result = run("extract", data, tmp_path / feats)
        assert result.exit_code == 1 and message in result.stderr


def test_the_environment_stays(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    before = dict(os.environ)
    with pytest.raises(InputError, match="stop"), mapping(2):
        assert os.environ["OMP_NUM_THREADS"] == "1"
        raise InputError("stop")
    assert dict(os.environ) == before


def test_padding_counts_as_frames_and_not_as_seconds(tmp_path):
    write_sound(tmp_path / "x.wav", 0.3)
    config = dataclasses.replace(FrontendConfig(), pad_to_seconds=1.0)
    features, duration, *_ = extract.clip_features(config, 1.0, False, tmp_path / "x.wav")
    assert len(features) == 40 and duration == 0.3


def test_a_record_of_options_is_complete(small_set, tmp_path, run):
    """A record has the keys that the options had in version 0.1.0, and the newer ones."""
    run("--record", tmp_path / "r.yaml", "extract", small_set, tmp_path / "f.h5")
    keys = "data_set feats config_path jobs shard max_seconds crop dtype max_failures device"
    keys += " frontend"
    options = yaml.safe_load((tmp_path / "r.yaml").read_text())["options"]
    assert sorted(options) == sorted(keys.split())
