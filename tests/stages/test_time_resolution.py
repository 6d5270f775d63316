"""--seconds-per-frame: predict and detect compute the frame scores that load_model computes."""

import dataclasses

import numpy as np
import pytest
import soundfile
import torch
import yaml
from helpers import LABELS, write_set

import wsedtk
from wsedtk.data.store import ScoreFile
from wsedtk.models import checkpoint
from wsedtk.models.ready_directories import describe
from wsedtk.models.ready_models import READY_MODELS
from wsedtk.stages import extract, predict
from wsedtk.stages.options.results import PredictOptions
from wsedtk.stages.options.systems import ExtractOptions

SECONDS, RATE = 3.2, 16000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small YAMNet with frames of 0.32 s, and the sound file, the set and the front end."""
    folder = tmp_path_factory.mktemp("resolution")
    spec = describe(READY_MODELS.get("yamnet"), tuple(LABELS))
    options = {**spec.network_options, "num_channels": 2}
    spec = dataclasses.replace(spec, network_options=options, trained={"clip_seconds": 10})
    torch.manual_seed(0)
    checkpoint.save_model(folder / "model", spec, spec.build().state_dict())
    samples = np.random.default_rng(0).normal(0, 0.1, round(SECONDS * RATE))
    samples[RATE : 2 * RATE] = 0
    soundfile.write(folder / "a.wav", samples, RATE, subtype="FLOAT")
    write_set(folder / "set", [("a.wav", "../a.wav", SECONDS)], LABELS, [])
    (folder / "frontend.yaml").write_text(yaml.safe_dump(spec.frontend))
    return folder


@pytest.fixture(scope="module")
def features(folder):
    extract.run(ExtractOptions(folder / "set", folder / "f.h5", config=folder / "frontend.yaml"))
    return folder / "f.h5"


@pytest.mark.parametrize("seconds", [0.08, 0.16, 0.32, 0.96])
def test_predict(run, folder, features, tmp_path, seconds):
    scores = tmp_path / "s.h5"
    result = run(
        *("predict", folder / "model", features, scores, "--device", "cpu"),
        *("--seconds-per-frame", seconds),
    )
    assert result.exit_code == 0, result.stderr
    assert f"1 clip, 2 classes, {seconds:g} s per frame" in result.stdout
    found = ScoreFile(scores)
    model = wsedtk.load_model(folder / "model", "cpu", seconds_per_frame=seconds)
    expected = model.predict(*soundfile.read(folder / "a.wav"))
    assert found.num_frames[0] == expected.num_frames == int(SECONDS / seconds + 1e-6)
    np.testing.assert_allclose(found.frames(0), expected.frame, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.clip[0], expected.clip, rtol=0, atol=1e-6)
    assert expected.frame.std(axis=0).min() > 1e-4
    assert found.segments(0).shape == (4 if seconds < 0.9 else 3, 2)
    assert found.seconds_per_frame == pytest.approx(seconds)


def test_the_default_and_the_fingerprints(run, folder, features, tmp_path):
    """Scores of different resolutions have different fingerprints."""
    found = {}
    for seconds in (None, 0.32, 0.08):
        options = PredictOptions(
            folder / "model", features, tmp_path / "s.h5", seconds_per_frame=seconds, device="cpu"
        )
        result = predict.run(options)
        attributes = ScoreFile(tmp_path / "s.h5").attributes
        found[seconds] = (result.seconds_per_frame, attributes["fingerprint"], attributes["model"])
    assert found[None] == found[0.32] and found[None][0] == pytest.approx(0.32)
    assert found[0.08][0] == pytest.approx(0.08)
    assert found[0.08][1] != found[None][1] and found[0.08][2] == found[None][2]


@pytest.mark.parametrize("seconds, rows", [(0.08, 40), (0.32, 10)])
def test_detect(run, folder, tmp_path, seconds, rows):
    result = run(
        *("detect", folder / "model", folder / "a.wav", "--threshold", "0.5", "--device", "cpu"),
        *("--seconds-per-frame", seconds, "--scores", tmp_path / "scores"),
    )
    assert result.exit_code == 0, result.stderr
    header, *lines = (tmp_path / "scores" / "a.wav.tsv").read_text().splitlines()
    table = np.array([line.split("\t") for line in lines], float)
    assert len(table) == rows and header.split("\t")[2:] == list(LABELS)
    model = wsedtk.load_model(folder / "model", "cpu", seconds_per_frame=seconds)
    expected = model.predict(*soundfile.read(folder / "a.wav")).frame
    np.testing.assert_allclose(table[:, 2:], expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(table[:, 0], seconds * np.arange(rows), atol=1e-6)


def test_a_resolution_that_the_network_cannot_have(run, folder, features, tmp_path):
    message = (
        "--seconds-per-frame 0.1: is not a time resolution of this model; expected one of 0.01, "
        "0.02, 0.04, 0.08, 0.16, 0.32, 0.48, 0.96 (seconds)"
    )
    for words in (
        ["predict", folder / "model", features, tmp_path / "s.h5"],
        ["detect", folder / "model", folder / "a.wav", "--threshold", "0.5"],
    ):
        result = run(*words, "--seconds-per-frame", "0.1")
        assert result.exit_code == 1 and message in result.stderr
    assert not (tmp_path / "s.h5").exists()
