"""The ready model `example`, which is part of wsedtk and works without `models fetch`."""

import importlib.resources
import re
import urllib.request

import numpy as np
import pytest
import yaml
from helpers import SMALL, contents, write_sound

import wsedtk
from wsedtk.core import model_cache, provenance
from wsedtk.core.errors import InputError
from wsedtk.decoding import operating_point
from wsedtk.models import checkpoint

FOLDER = model_cache.included("example")
CLASSES = {
    "Baby cry",
    "Chainsaw",
    "Clock tick",
    "Dog bark",
    "Helicopter",
    "Person sneeze",
    "Rooster",
}
BACKGROUNDS = {"Rain", "Sea waves", "Fire crackling"}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty working directory. No model is fetched, and nothing is downloaded."""

    def refuse(*arguments, **settings):
        raise AssertionError("something is downloaded")

    monkeypatch.setenv(model_cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(urllib.request.OpenerDirector, "open", refuse)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    yield tmp_path / "work"
    assert not (tmp_path / "cache").exists()


# ---- the model directory ----


def test_the_files():
    found = importlib.resources.files("wsedtk.models.ready") / "example"
    assert {item.name for item in found.iterdir()} == {
        "CREDITS.md",
        "README.md",
        "model.safetensors",
        "model.yaml",
        "operating_point.yaml",
    }
    assert sum(len(content) for content in contents(FOLDER).values()) <= 1_000_000


def test_the_operating_point_was_tuned_for_few_false_alarms_with_this_model():
    point = operating_point.read(FOLDER / "operating_point.yaml")
    assert point.model == provenance.fingerprint_model_directory(FOLDER)
    assert point.tuned["target"] == {"precision": 0.98} and point.tuned["set"] == "valid"
    assert set(point.labels) == CLASSES and np.isfinite(point.frame_thresholds).all()


def rows_of_credits():
    """Return the cells of each row of the table of credits."""
    text = (FOLDER / "CREDITS.md").read_text("utf-8")
    return [re.split(r"(?<!\\) \| ", row[2:]) for row in text.splitlines() if ".ogg | " in row]


def test_each_recording_has_an_author_and_a_free_licence():
    rows = rows_of_credits()
    assert len({row[0] for row in rows}) == len(rows) == 318
    for name, label, recording, author, licence in rows:
        assert label in CLASSES | BACKGROUNDS and author.strip()
        assert f"/sounds/{name.split('-')[1]}/)" in recording
        assert re.match(r"\[(CC0|CC-BY)\]\(http://creativecommons\.org/", licence)


def test_the_credits_cover_the_corpus(real_data):
    paths = sorted((real_data / "esc10").glob("*/[1-4]-*.ogg"))
    class_of = {path.name: path.parent.name.split(" - ")[1] for path in paths}
    credited = {row[0]: row[1] for row in rows_of_credits()}
    left_out = {"1-40730-A.ogg", "2-96460-A.ogg"}  # CC Sampling+
    assert credited == {n: label for n, label in class_of.items() if n not in left_out}
    text = (FOLDER / "CREDITS.md").read_text("utf-8")
    assert all(f"{name} (CC-Sampling+)" in text for name in left_out)


def test_the_card_has_the_results_of_each_fold():
    text = (FOLDER / "README.md").read_text("utf-8")
    assert yaml.safe_load(text.split("---\n")[1])["license"] == "mit"
    assert "wsedtk detect example recording.wav" in text and "](CREDITS.md)" in text
    rows = re.findall(r"^\| ([1-4]) \| (.*) \|$", text, re.MULTILINE)
    assert [fold for fold, _ in rows] == ["1", "2", "3", "4"] * 2  # results, false alarms
    for label in CLASSES:
        assert len(re.findall(rf"^\| {label} \|", text, re.MULTILINE)) == 2


# ---- the name ----


def test_detect_finds_no_events_in_noise_and_silence(run, elsewhere):
    write_sound(elsewhere / "noise.wav", seconds=12, frequency=0)
    result = run("detect", "example", "noise.wav")
    assert (result.exit_code, result.stdout) == (0, "filename\tonset\toffset\tevent_label\n")


def test_detect_finds_the_sounds_that_the_network_was_trained_on(run, real_data):
    """The results on recordings that it was not trained on are in its card."""
    folders = [f for f in (real_data / "esc10").iterdir() if f.is_dir()]
    class_of = {p.name: f.name.split(" - ")[1] for f in folders for p in f.glob("[1-4]-*.ogg")}
    result = run("detect", "example", *folders)
    assert result.exit_code == 0, result.stderr
    events = [line.split("\t") for line in result.stdout.splitlines()[1:]]
    found = {(name, label) for name, _, _, label in events}
    right = {(name, label) for name, label in found if class_of[name] == label}
    assert len(right) >= 100 and len(right) >= 0.8 * len(found)
    assert {label for _, label in right} == CLASSES


def test_the_other_verbs_take_the_name(run, corpus, elsewhere):
    for name in ("fit", "valid"):
        assert run("extract", corpus / name, f"{name}.h5").exit_code == 0
    words = ["--record", "record.yaml", "predict", "example", "valid.h5", "scores.h5"]
    assert run(*words).exit_code == 0
    record = yaml.safe_load((elsewhere / "record.yaml").read_text())
    assert str(FOLDER / "model.safetensors") in record["inputs"]
    result = run("info", "example")
    assert result.exit_code == 0 and "complete:             yes\n" in result.stdout
    result = run(
        *("train", corpus / "fit", corpus / "valid", "new", "--init", "example", *SMALL),
        *("--set", "network_options={channels: [16, 32, 64], num_hidden: 48}"),
        *("--set", "pooling=attention", "--set", "max_checkpoints=1"),
        *("--feats", "fit.h5", "--feats", "valid.h5"),
    )
    assert result.exit_code == 0, result.stderr
    trained = checkpoint.read_spec("new").trained
    assert trained["init"] == provenance.fingerprint_model_directory(FOLDER)
    assert trained["first_model"] == "example"


def test_export_takes_the_name(run):
    pytest.importorskip("onnxruntime")
    result = run("export", "example", "example.onnx")
    assert result.exit_code == 0, result.stderr


def test_load_model_takes_the_name(elsewhere):
    model = wsedtk.load_model("example", device="cpu")
    assert set(model.labels) == CLASSES and str(FOLDER) in repr(model)
    samples = np.random.default_rng(0).normal(0, 0.1, 32000)
    frame = model.predict(samples, 16000).frame
    assert np.array_equal(
        frame, wsedtk.load_model(FOLDER, device="cpu").predict(samples, 16000).frame
    )


def test_a_folder_wins_over_the_name(elsewhere):
    wsedtk.load_model("example").save(elsewhere / "example")
    assert repr(wsedtk.load_model("example")).startswith("Model('example': ")
    (elsewhere / "example" / "model.yaml").unlink()
    with pytest.raises(InputError, match=f"^example: this folder .* give the path {FOLDER}$"):
        wsedtk.load_model("example")


def test_a_similar_name(run):
    result = run("detect", "exmaple", "a.wav")
    assert result.exit_code == 1 and "did you mean the ready model 'example'?" in result.stderr


# ---- wsedtk models ----


def test_list(run):
    (row,) = (row for row in run("models").stdout.splitlines() if row.startswith("example "))
    assert row.split("  ")[-1].strip() == "https://github.com/karoldvl/ESC-10"
    assert re.split("  +", row)[:6] == ["example", "7", "0.1", "-", "MIT", "in wsedtk"]


def test_fetch(run):
    result = run("models", "fetch", "example")
    assert result.exit_code == 0
    assert result.stdout.startswith(
        f"{FOLDER}: example, 7 classes, 227,726 parameters, 0.1 s per frame (is part of wsedtk)\n"
    )


@pytest.mark.parametrize("option", [("--from", "."), ("--sha256", "0" * 64)])
def test_fetch_takes_no_files(run, option):
    result = run("models", "fetch", "example", *option)
    assert result.exit_code == 1 and "is part of wsedtk and has no published files" in result.stderr


def test_remove(run):
    before = contents(FOLDER)
    result = run("models", "remove", "example")
    assert result.exit_code == 1 and result.stdout == ""
    assert "example: this ready model is part of wsedtk, so it can't be removed" in result.stderr
    assert contents(FOLDER) == before
