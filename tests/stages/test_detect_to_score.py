"""From recordings to a report through tables: detect --scores, average, tune or decode, score."""

import json
import shutil

import numpy as np
import pytest
import soundfile
from helpers import LABELS, make_point, table, write_score_file, write_set

from wsedtk.core import provenance
from wsedtk.data import store
from wsedtk.decoding import operating_point

RECORDINGS = ("a.wav", "b.flac", "c.ogg", "d.FLAC", "sub/e.flac")
FILTERS = {
    "median_seconds": np.array([0.3, 0.0]),
    "min_seconds": np.array([0.2, 0.3]),
    "max_gap_seconds": np.array([0.2, 0.0]),
}


@pytest.fixture(scope="module")
def recorded(trained, tmp_path_factory):
    """A model with its operating point, recordings, and a set that names them all .wav."""
    folder = tmp_path_factory.mktemp("detect to score")
    shutil.copytree(trained, folder / "model")
    point = make_point(
        labels=LABELS,
        model=provenance.fingerprint_model_directory(trained),
        mode="frame",
        frame_thresholds=np.array([0.5, 0.5]),
        **FILTERS,
    )
    operating_point.write(folder / "model" / "operating_point.yaml", point)
    clips, tags, events = [], [], []
    for number, name in enumerate(RECORDINGS):
        time, label = np.arange(3 * 16000) / 16000, LABELS[number % 2]
        sounds = (time >= 0.7) & (time < 2.2)
        tone = 0.3 * np.sin(2 * np.pi * (3000 if number % 2 == 0 else 300) * time) * sounds
        samples = tone + np.random.default_rng(number).normal(0, 0.01, len(time))
        path = folder / "recordings" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, 16000, format=path.suffix[1:].upper())
        clip = str(path.relative_to(folder / "recordings").with_suffix(".wav"))
        clips.append((clip, "", 3))
        tags.append((clip, label))
        events.append((clip, 0.7, 2.2, label))
    write_set(folder / "set", sorted(clips), LABELS, sorted(tags), sorted(events))
    return folder


@pytest.fixture(scope="module")
def scored(recorded):
    """Events of `detect`, and its tables converted to a score file by `average`."""
    from click.testing import CliRunner

    from wsedtk.cli import main as cli

    for words in (
        ["detect", "model", "recordings", "--scores", "tables", "--output", "events.tsv"],
        ["average", "tables", "scores.h5"],
    ):
        words = [
            str(recorded / word)
            if "." in word or word in ("model", "recordings", "tables")
            else word
            for word in words
        ]
        result = CliRunner().invoke(cli.cli, words, catch_exceptions=False)
        assert result.exit_code == 0, result.stderr
    return recorded


def figures(result):
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    return {key: report[key] for key in ("segment", "event")}


def test_no_file_is_edited_by_hand(scored, run, tmp_path):
    """The metrics are those of `score-files`, by sed_eval, for the events of `detect`."""
    out = tmp_path / "out"
    result = run("decode", scored / "scores.h5", scored / "model" / "operating_point.yaml", out)
    assert result.exit_code == 0 and result.stderr.count("\n") == 1
    assert "scores.h5: the model of these scores is unknown" in result.stderr
    found = (scored / "events.tsv").read_text().splitlines()[1:]
    assert len(found) >= 3 and [row[0] for row in table(out)] == sorted(RECORDINGS)
    assert sorted(found) == sorted(
        f"{name}\t{float(onset):.3f}\t{float(offset):.3f}\t{label}"
        for name, onset, offset, label in table(out, "events.tsv")
    )
    by_list = run("score-files", scored / "set" / "events.tsv", scored / "events.tsv", "--json")
    result = run("score", scored / "set", out, "--scores", scored / "scores.h5", "--json")
    assert figures(result) == figures(by_list) and figures(result)["segment"]["f1"] > 0
    report = json.loads(result.stdout)
    assert report["clips"]["scored"] == 5 and report["audioset"]["map"] is not None
    assert result.stderr == "" and [row[0] for row in table(out / "reference")] == sorted(
        name.rpartition(".")[0] + ".wav" for name in RECORDINGS
    )


def test_operating_points_of_tables_serve_any_model(scored, run, tmp_path):
    point = tmp_path / "point.yaml"
    result = run("tune", scored / "scores.h5", scored / "set", point, "--criterion", "segments")
    assert result.exit_code == 0 and operating_point.read(point).model is None
    assert run("decode", scored / "scores.h5", point, tmp_path / "out").stderr == ""
    recording = scored / "recordings" / "a.wav"
    text = point.read_text().replace("model: null", "model: imported")  # of older versions
    for content in (point.read_text(), text):
        point.write_text(content)
        result = run("detect", scored / "model", recording, "--operating-point", point)
        assert result.exit_code == 0, result.stderr


def test_scores_of_a_known_model_take_no_point_of_another(run, tmp_path):
    scores = write_score_file(tmp_path / "s.h5", ["a.wav"], LABELS, [[1, 0]])
    operating_point.write(tmp_path / "p.yaml", make_point(labels=LABELS, model="another"))
    result = run("decode", scores, tmp_path / "p.yaml", tmp_path / "out")
    assert result.exit_code == 1 and "was tuned on the scores of another model" in result.stderr


def test_tags_and_events_stay_with_their_clips(run, tmp_path):
    """Their order differs from that of the true names that they stand for."""
    names = ["YAbcdefghijk_10_20.flac", "_bcdefghijk_0_10.ogg", "b.mp3", "x.wav"]
    truth = ["Abcdefghijk_10.000_20.000.wav", "_bcdefghijk_0.000_10.000.wav", "b.wav", "c.wav"]
    clip = np.array([[1, 0], [0, 1], [1, 1], [1, 0]], float)
    scores = write_score_file(tmp_path / "s.h5", names, LABELS, clip)
    operating_point.write(tmp_path / "p.yaml", make_point(labels=LABELS))
    assert run("decode", scores, tmp_path / "p.yaml", tmp_path / "out").exit_code == 0
    tags = [(name, LABELS[k]) for name, row in zip(truth, clip[:3]) for k in np.flatnonzero(row)]
    write_set(
        tmp_path / "set",
        [(name, "", 10) for name in truth[:3]],
        LABELS,
        tags,
        [(name, 0, 10, label) for name, label in tags],
    )
    result = run("score", tmp_path / "set", tmp_path / "out", "--scores", scores, "--json")
    assert result.exit_code == 0, result.stderr
    assert "warning: 1 decoded clip is not evaluated" in result.stderr and "x.wav" in result.stderr
    report = json.loads(result.stdout)
    assert report["tagging"]["f1"] == report["event"]["f1"] == report["audioset"]["map"] == 1
    rows = store.ScoreFile(scores).rows(np.array(["b.wav", "b.mp3", "c.wav", truth[0]]))
    assert rows.tolist() == [-1, 2, -1, 0]  # `b.mp3` exists under its own name


def test_a_recording_whose_name_no_clip_can_have(recorded, run, tmp_path):
    """Its events are used, its scores are left out, and the others pass all stages."""
    (tmp_path / "in").mkdir()
    for name in ("a.wav", "cr\rname.wav", "line\nname.wav", "tab\tname.wav"):
        shutil.copy(recorded / "recordings" / "a.wav", tmp_path / "in" / name)
    result = run("detect", recorded / "model", tmp_path / "in", "--scores", tmp_path / "tables")
    assert result.exit_code == 0, result.stderr
    for name in ("cr\rname.wav", "line\nname.wav", "tab\tname.wav"):
        assert (
            f"no table of scores is written for {name!r}, because its name contains a tab"
            in result.stderr
        )
    assert {line.split("\t")[0] for line in result.stdout.splitlines()[1:]} == {
        "a.wav",
        "cr name.wav",
        "line name.wav",
        "tab name.wav",
    }
    assert [path.name for path in (tmp_path / "tables").iterdir()] == ["a.wav.tsv"]
    for words in (
        ["average", tmp_path / "tables", tmp_path / "s.h5"],
        [
            "decode",
            tmp_path / "s.h5",
            recorded / "model" / "operating_point.yaml",
            tmp_path / "out",
        ],
    ):
        assert run(*words).exit_code == 0
    assert [row[0] for row in table(tmp_path / "out")] == ["a.wav"]
