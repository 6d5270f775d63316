"""Outputs of `detect` for many recordings: CSV, summary, cut-outs and pages of one minute."""

import csv

import numpy as np
import pytest
import soundfile
from helpers import LABELS, contents, write_model, write_sound

from wsedtk.core.errors import InputError
from wsedtk.report import plots
from wsedtk.stages import detect
from wsedtk.stages.options.detection import DetectOptions

NAMES = ("A_20240517_225900.wav", "site/A_20240517_230000.wav", "other.wav")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "m")


@pytest.fixture
def options(model, tmp_path):
    """Return a function that makes options. Each class has one event of the whole recording."""
    for number, name in enumerate(NAMES):
        write_sound(tmp_path / "in" / name, 2.0 + number, channels=2, seed=number)
    (tmp_path / "in" / "z.wav").write_bytes(b"no sound")

    def make(**changes):
        settings = {"thresholds": ["0"], "max_failures": 0.5, "device": "cpu", **changes}
        return DetectOptions(model, [tmp_path / "in"], **settings)

    return make


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


def test_csv_tells_recordings_without_events_from_failed_ones(options, tmp_path):
    path = tmp_path / "events.csv"
    detect.run(options(output=path, format_name="csv", thresholds=["low=inf", "high, very=0"]))
    times = ["2024-05-17 22:59:00.000", "2024-05-17 22:59:02.000"]
    found = [[*row[:4], *row[5:]] for row in rows(path)]
    assert found == [
        [NAMES[0], "0.000", "2.000", "high, very", *times],
        ["other.wav", "0.000", "4.000", "high, very", "", ""],
        [NAMES[1], "0.000", "3.000", "high, very", *(f"2024-05-17 23:00:0{s}.000" for s in (0, 3))],
    ]
    detect.run(options(output=path, format_name="csv", thresholds=["1"], overwrite=True))
    assert rows(path) == [[name, *[""] * 6] for name in (NAMES[0], "other.wav", NAMES[1])]


@pytest.mark.parametrize("jobs", [1, 2])
def test_summary_and_cut_outs(run, options, model, tmp_path, jobs):
    words = ["--threshold", "0", "--max-failures", "0.5", "--device", "cpu", "--jobs", jobs]
    outputs = ["--summary", tmp_path / "sum.csv", "--clips", tmp_path / "clips"]
    options()
    result = run("detect", model, tmp_path / "in", *words, *outputs)
    assert result.exit_code == 0
    assert "the hours and days lack 1 recording whose names contain no start time" in result.stderr
    found = rows(tmp_path / "sum.csv")
    assert [row for row in found if row[0] != "file"] == [
        [kind, name, label, str(count), f"{seconds}.000", f"{seconds}.000"]
        for kind, name, count, seconds in (
            ("hour", "2024-05-17 22:00", 1, 2),
            ("hour", "2024-05-17 23:00", 1, 3),
            ("day", "2024-05-17", 2, 5),
        )
        for label in LABELS
    ]
    assert {row[1] for row in found if row[0] == "file"} == set(NAMES)
    table = rows(tmp_path / "clips" / "clips.csv")
    assert sorted([row[0] for row in table] + ["clips.csv"]) == sorted(contents(tmp_path / "clips"))
    for label in LABELS:
        some = [row for row in table if row[4] == label]
        scores = [float(row[5]) for row in some]
        assert len(some) == 3 and scores == sorted(scores, reverse=True)
        assert all(row[0].startswith(f"{label}/000{k}_") for k, row in enumerate(some, 1))
    for row in table:
        samples, rate = soundfile.read(tmp_path / "clips" / row[0], dtype="int16")
        whole, _ = soundfile.read(tmp_path / "in" / row[1], dtype="int16")
        assert rate == 16000 and np.array_equal(samples, whole)


def test_they_are_complete_after_a_stop(options, tmp_path):
    def chosen(name, **changes):
        folder = tmp_path / name
        return options(
            output=folder / "e.tsv", summary=folder / "sum.csv", clips=folder / "clips", **changes
        )

    def stop(result):
        if result.name == "other.wav":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        detect.run(chosen("parts"), on_recording=stop)
    assert not (tmp_path / "parts" / "sum.csv").exists()
    detect.run(chosen("parts"))
    detect.run(chosen("whole"))
    for folder in ("parts", "whole"):
        (tmp_path / folder / ".e.tsv.ledger").unlink()
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"summary": "sum.tsv"},
            r"summary: found '.*sum\.tsv'; expected a name that ends in \.csv",
        ),
        ({"summary": "e.csv", "output": "e.csv", "format_name": "csv"}, "found the same file"),
        ({"summary": "in/other.wav/../x.csv", "clips": "in/clips"}, "take the cut-outs for record"),
        ({"clips": "in"}, "expected a folder outside of it"),
        ({"max_clips": 0}, "max_clips: found 0; expected a number of at least 1"),
        ({"clip_margin": -1}, "clip_margin: found -1; expected a number from 0 to 60"),
        ({"jobs": 0}, "jobs: found 0; expected a number of at least 1"),
    ],
)
def test_what_is_refused(options, tmp_path, changes, message):
    places = ("summary", "output", "clips")
    changes = {key: tmp_path / x if key in places else x for key, x in changes.items()}
    before = contents(tmp_path)
    with pytest.raises(InputError, match=message):
        detect.run(options(**changes))
    assert contents(tmp_path) == before


def test_pages_of_one_minute(model, tmp_path, monkeypatch):
    """The pages show the scores, events and times of their minutes. The last lasts 5.5 s."""
    path = tmp_path / "in" / "A_20240517_225900.wav"
    write_sound(path, 125.5)
    drawn, draw = [], plots.timelines

    def noted(title, duration, labels, tracks, **others):
        drawn.append((title, duration, tracks[0], others))
        return draw(title, duration, labels, tracks, **others)

    monkeypatch.setattr(plots, "timelines", noted)
    places = {name: tmp_path / name for name in ("pages", "scores", "output_dir")}
    options = DetectOptions(model, [path], thresholds=["0"], device="cpu", **places)
    detect.run(options)
    names = [f"{path.name}/00-0{minute}-00.png" for minute in range(3)]
    assert sorted(contents(tmp_path / "pages")) == names
    curve = np.loadtxt(tmp_path / "scores" / f"{path.name}.tsv", skiprows=1)[:, 2:]
    for minute, (title, duration, track, others) in enumerate(drawn):
        start, rows_of_page = 60 * minute, slice(600 * minute, 600 * minute + 600)
        assert title == f"{path.name}, 2024-05-17 2{2 + (minute > 0)}:{[59, 0, 1][minute]:02d}:00"
        assert (duration, others["start"], track.start) == (min(60, 125.5 - start), start, start)
        np.testing.assert_allclose(track.frame_scores, curve[rows_of_page], atol=1e-3)
        assert track.found == [(0.0, 125.5, 0), (0.0, 125.5, 1)]
        spectrogram = others["spectrogram"]
        assert (spectrogram.start, len(spectrogram.edges_hz)) == (start, 66)
        assert len(spectrogram.features) == [2400, 2400, 220][minute]
    (tmp_path / "pages" / names[1]).unlink()
    detect.run(options)  # analyses the recording again
    assert sorted(contents(tmp_path / "pages")) == names
