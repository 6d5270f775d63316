"""Artefacts of commit 9398ead are read, and give the same results as at that commit.

tests/golden/make_artefacts.py made the artefacts, and its docstring lists them. After this commit,
the intervals in `CORRECTED` were corrected, and the package was divided into folders. The latter
must not change any number.
"""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import safetensors.numpy
import yaml
from helpers import table

import wsedtk

ARTEFACTS = Path(__file__).parent / "golden" / "v0_1"
SYSTEMS = ("attention", "general")
FOLDERS = [f"{system}/test/{mode}" for system in SYSTEMS for mode in ("segment", "frame")]
# Intervals of means over classes were too narrow, and were replaced by bootstrap-t intervals.
CORRECTED = {"map_ci", "mauc_ci", "dprime_ci"}
ADDED = {"is_official", "zero_length_reference_events"}
MADE = {"wsedtk", "commit"}
KINDS = {
    "data/train": "data directory",
    "data/test": "data directory",
    "data/fit": "data directory",
    "feats/train.h5": "feature file",
    "frontend.yaml": "configuration of a front end",
    "attention": "model directory",
    "general": "model directory",
    "general/operating_point.yaml": "operating point",
    "general/test/scores.h5": "score file",
    "general/test/frame": "decoded folder",
    "general/test/frame/report.json": "report",
    "stopped/checkpoints/resume00000039.pt": "training checkpoint",
}


def figures(text):
    """Return {path of keys: figure} of a report in JSON, with figures rounded to 9 digits."""

    def flat(report, path=""):
        for key, value in report.items():
            if isinstance(value, dict):
                yield from flat(value, f"{path}{key}.")
            elif key not in MADE:
                yield path + key, value

    return dict(flat(json.loads(text, parse_float=lambda number: round(float(number), 9))))


@pytest.mark.parametrize("name, kind", KINDS.items())
def test_info_knows_each_artefact(run, name, kind):
    result = run("info", ARTEFACTS / name)
    lines = [line.split() for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert ["kind:", *kind.split()] in lines and ["complete:", "yes"] in lines


def test_info_knows_a_stopped_training(run):
    result = run("info", ARTEFACTS / "stopped")
    assert "complete:        no" in result.stdout and "resume00000039" in result.stdout


def test_data_directories_are_read():
    data = wsedtk.read_data(ARTEFACTS / "data" / "test")
    assert list(data.labels) == ["Siren, high", "Engine", "Whistle"]
    assert list(data.filenames) == [f"clip {number}.wav" for number in range(18, 24)]
    assert data.tag_matrix().sum(axis=0).tolist() == [3, 4, 2]
    rows = table(ARTEFACTS / "data" / "test", "events.tsv")
    expected = [(name, float(onset), float(offset)) for name, onset, offset, _ in rows]
    found = [(data.filenames[clip], onset, offset) for clip, onset, offset, _ in data.events.rows()]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("system", SYSTEMS)
def test_predict_gives_the_same_scores(run, tmp_path, system):
    """The tolerance allows for processors that add float32 numbers in another order."""
    model, scores = ARTEFACTS / system, tmp_path / "scores.h5"
    command = ("predict", model, ARTEFACTS / "feats/test.h5", scores, "--precise", "--device")
    assert run(*command, "cpu").exit_code == 0
    with h5py.File(scores) as found, h5py.File(model / "test" / "scores.h5") as expected:
        assert set(found) == set(expected)
        assert found["filename"][()].tolist() == expected["filename"][()].tolist()
        for name in {"clip", "frame", "segment", "weight", "num_frames"} & set(expected):
            np.testing.assert_allclose(found[name][()], expected[name][()], rtol=0, atol=1e-6)


@pytest.mark.parametrize("folder", FOLDERS)
def test_decode_gives_the_same_events(run, tmp_path, folder):
    expected = ARTEFACTS / folder
    model, mode = expected.parents[1], expected.name
    command = ("decode", model / "test/scores.h5", model / "operating_point.yaml", tmp_path / "d")
    assert run(*command, "--mode", mode).exit_code == 0
    for name in ("clips.tsv", "tags.tsv", "events.tsv"):
        assert (tmp_path / "d" / name).read_bytes() == (expected / name).read_bytes(), name
    points = [folder / "operating_point.yaml" for folder in (tmp_path / "d", expected)]
    found, before = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in points)
    assert found == before


@pytest.mark.parametrize("folder", FOLDERS)
def test_evaluate_gives_the_same_figures(folder):
    """All figures of a report and their intervals, except the ones in CORRECTED, are equal."""
    scores = (ARTEFACTS / folder).parent / "scores.h5"
    report = wsedtk.evaluate(
        ARTEFACTS / "data/test", ARTEFACTS / folder, scores=scores, num_resamples=100
    )
    before = figures((ARTEFACTS / folder / "report.json").read_text(encoding="utf-8"))
    now = figures(json.dumps(report.to_dict()))
    assert {name.split(".")[-1] for name in now.keys() - before.keys()} == ADDED
    changed = {name for name in before if name not in now or now[name] != before[name]}
    assert {name.split(".")[-1] for name in changed} == CORRECTED


def test_reports_are_read(run, tmp_path):
    """The page shows the figures of reports without the keys in ADDED."""
    for system in SYSTEMS:
        shutil.copytree(ARTEFACTS / system, tmp_path / system)
    systems = [tmp_path / system for system in SYSTEMS]
    assert run("report", *systems, tmp_path / "report.html").exit_code == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for folder in FOLDERS:
        report = json.loads((ARTEFACTS / folder / "report.json").read_text(encoding="utf-8"))
        assert f"{report['segment']['f1']:.3f} " in page, folder


def test_a_stopped_training_is_resumed(tmp_path):
    """The resumed training ends with the weights and history of the uninterrupted one.

    The tolerance allows for processors that round the last batch and validation differently.
    """
    model = tmp_path / "model"
    shutil.copytree(ARTEFACTS / "stopped", model)
    settings = yaml.safe_load((model / "config.yaml").read_text(encoding="utf-8"))
    inputs = {"made_by", "init", *(name for name in settings if name.endswith("_fingerprint"))}
    options = wsedtk.TrainOptions(
        fit_set=ARTEFACTS / "data/fit",
        valid_set=ARTEFACTS / "data/valid",
        model_dir=model,
        feats=ARTEFACTS / "feats/train.h5",
        settings={name: value for name, value in settings.items() if name not in inputs},
        device="cpu",
    )
    result = wsedtk.train(options)
    assert not result.was_done and [row.step for row in result.history] == [20, 40]
    whole = ARTEFACTS / "general"
    expected = safetensors.numpy.load_file(whole / "model.safetensors")
    found = safetensors.numpy.load_file(model / "model.safetensors")
    assert expected.keys() == found.keys()
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-4, err_msg=name)
    tables = [np.loadtxt(m / "history.tsv", skiprows=1)[:, :-1] for m in (model, whole)]
    np.testing.assert_allclose(tables[0], tables[1], rtol=1e-4)
    # Trained from the start, it would have written step00000020.pt too.
    assert [path.name for path in (model / "checkpoints").iterdir()] == ["step00000040.pt"]
