"""Cut-outs of events: names, samples, and what happens when they are written again."""

import os

import numpy as np
import pytest
import soundfile
from helpers import contents

from wsedtk.core.errors import InputError
from wsedtk.data.events import Event
from wsedtk.inference import event_clips
from wsedtk.inference.event_clips import Found
from wsedtk.inference.sliding_windows import Source

RATE = 8000


@pytest.fixture
def found(tmp_path):
    """Two recordings of random samples, one in stereo and in a subfolder, and their events."""
    generator = np.random.default_rng(0)
    events = [
        [Event(0.5, 1.0, "dog", 0.91239), Event(2.0, 3.0, "dog", 0.5), Event(9, 10, "a/b", 0.7)],
        [Event(4.0, 5.5, "dog", 0.99), Event(4.2, 4.3, "A_b", 0.2), Event(5, 75, "rain", 1.0)],
    ]
    recordings = []
    for name, channels, of_one in zip(("x.wav", "site 1/y.flac"), (1, 2), events):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        seconds = 10 if channels == 1 else 80
        samples = generator.uniform(-0.9, 0.9, (seconds * RATE, channels))
        soundfile.write(path, samples, RATE)
        recordings.append(Found(Source(path, name), of_one, seconds))
    return recordings


def clips(folder):
    return {name: text for name, text in contents(folder).items() if name != "clips.csv"}


@pytest.mark.parametrize("jobs", [1, 2])
def test_names_and_samples(found, tmp_path, jobs):
    folder = tmp_path / "out"
    assert event_clips.write(folder, found, margin=0.25, jobs=jobs) == []
    expected = {
        "dog/0001_0.990_site 1_y_4.0s.wav": (1, 3.75, 5.75),
        "dog/0002_0.912_x_0.5s.wav": (0, 0.25, 1.25),
        "dog/0003_0.500_x_2.0s.wav": (0, 1.75, 3.25),
        "A_b/0001_0.200_site 1_y_4.2s.wav": (1, 3.95, 4.55),
        "a_b 2/0001_0.700_x_9.0s.wav": (0, 8.75, 10),
        "rain/0001_1.000_site 1_y_5.0s.wav": (1, 4.75, 65.25),  # its first minute
    }
    assert sorted(clips(folder)) == sorted(expected)
    for name, (number, start, end) in expected.items():
        samples, rate = soundfile.read(folder / name, dtype="int16", always_2d=True)
        whole, _ = soundfile.read(found[number].source.path, dtype="int16", always_2d=True)
        assert rate == RATE and np.array_equal(samples, whole[int(start * RATE) : int(end * RATE)])
    assert (folder / "clips.csv").read_text().splitlines()[:3] == [
        "clip,filename,onset,offset,event_label,score,clip_onset,clip_offset",
        "A_b/0001_0.200_site 1_y_4.2s.wav,site 1/y.flac,4.200,4.300,A_b,0.2000,3.950,4.550",
        "a_b 2/0001_0.700_x_9.0s.wav,x.wav,9.000,10.000,a/b,0.7000,8.750,10.000",
    ]


def test_the_best_events_of_one_channel(found, tmp_path):
    one = found[1]._replace(source=Source(found[1].source.path, "y.flac.ch2", channel=1))
    event_clips.write(tmp_path / "out", [found[0], one], margin=0, most=1)
    assert sorted(clips(tmp_path / "out")) == [
        "A_b/0001_0.200_y.flac.ch2_4.2s.wav",
        "a_b 2/0001_0.700_x_9.0s.wav",
        "dog/0001_0.990_y.flac.ch2_4.0s.wav",
        "rain/0001_1.000_y.flac.ch2_5.0s.wav",
    ]
    samples, _ = soundfile.read(tmp_path / "out/dog/0001_0.990_y.flac.ch2_4.0s.wav", dtype="int16")
    whole, _ = soundfile.read(one.source.path, dtype="int16")
    assert np.array_equal(samples, whole[4 * RATE : round(5.5 * RATE), 1])


def test_cut_outs_are_written_again(found, tmp_path):
    """Valid files are kept, old files are removed, and files of others stay."""
    folder = tmp_path / "out"
    event_clips.write(folder, found, margin=0.25)
    expected = contents(folder)
    (folder / "dog" / "mine.wav").write_bytes(b"x")
    kept = folder / "dog" / "0002_0.912_x_0.5s.wav"
    kept.write_bytes(b"kept")
    (folder / "dog" / "0001_0.990_site 1_y_4.0s.wav").unlink()
    os.utime(found[1].source.path, (0, 0))
    event_clips.write(folder, found, margin=0.25)
    assert contents(folder) == {
        **expected,
        "dog/mine.wav": b"x",
        "dog/0002_0.912_x_0.5s.wav": b"kept",
    }
    os.utime(found[0].source.path, (4e9, 4e9))  # newer than its cut-outs
    event_clips.write(folder, found, margin=0.25)
    assert kept.read_bytes() == expected["dog/0002_0.912_x_0.5s.wav"]
    event_clips.write(folder, found[:1], margin=0.25)
    names = ["a_b/0001_0.700_x_9.0s.wav", "dog/0001_0.912_x_0.5s.wav", "dog/0002_0.500_x_2.0s.wav"]
    assert sorted(clips(folder)) == [*names, "dog/mine.wav"]
    event_clips.write(folder, found, margin=0.25)
    assert {**contents(folder), "dog/mine.wav": b""} == {**expected, "dog/mine.wav": b""}


def test_tables_that_are_not_of_this_folder(found, tmp_path):
    folder, victim = tmp_path / "out", tmp_path / "victim" / "x.wav"
    victim.parent.mkdir()
    victim.write_bytes(b"x")
    folder.mkdir()
    header = ",".join(event_clips.COLUMNS)
    for name in ("../victim/x.wav", str(victim), "..\\victim/x.wav", "../x.wav"):
        (folder / "clips.csv").write_text(f"{header}\n{name},,,,,,,\n")
        event_clips.write(folder, [], margin=0)
        assert victim.exists()
    (folder / "clips.csv").write_text("a,b\n")
    with pytest.raises(InputError, match=r"clips\.csv: found another table; .*--clips"):
        event_clips.write(folder, found, margin=0)


def test_a_recording_that_is_gone(found, tmp_path):
    found[0].source.path.unlink()
    (failure,) = event_clips.write(tmp_path / "out", found, margin=0)
    assert failure.startswith("x.wav: ") and "no such file" in failure
    assert len(clips(tmp_path / "out")) == 3


@pytest.mark.parametrize(
    "text, name",
    [
        ("Dog bark", "Dog bark"),
        ('a/b\\c:d*e?f"g<h>i|j', "a_b_c_d_e_f_g_h_i_j"),
        ("..", "_"),
        ("", "_"),
        (" . ", "_"),
        (".hidden", "_hidden"),
        ("dots...", "dots_"),
        ("a\tb\nc\x7f", "a_b_c_"),
        ("con", "_con"),
        ("NUL.txt", "_NUL.txt"),
        ("constant", "constant"),
        ("ö" * 60, "ö" * 50),
    ],
)
def test_safe_names(text, name):
    assert event_clips.safe_name(text) == name
