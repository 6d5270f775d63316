"""predict: scores are those of the network for any batch, precision and selection of clips."""

import os
import signal

import h5py
import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from helpers import LABELS, write_set
from helpers import train_arguments as arguments

from wsedtk.cli import main as cli
from wsedtk.core.errors import InputError
from wsedtk.data import store
from wsedtk.data.store import FeatureStore, ScoreFile, disk, files
from wsedtk.models import checkpoint
from wsedtk.stages import predict
from wsedtk.stages.options.results import PredictOptions


@pytest.fixture(scope="module")
def attention(corpus, tmp_path_factory):
    """A model with attention, whose scores include weights."""
    model = tmp_path_factory.mktemp("attention") / "model"
    assert (
        CliRunner()
        .invoke(
            cli.cli,
            [
                str(a)
                for a in arguments(
                    corpus, model, "--set", "pooling=attention", "--set", "max_checkpoints=1"
                )
            ],
            catch_exceptions=False,
        )
        .exit_code
        == 0
    )
    return model


@pytest.mark.parametrize("pooling", ["linear", "attention", "general", "monotone-attention"])
def test_scores_are_those_of_the_network(corpus, tmp_path, run, pooling):
    model = tmp_path / pooling
    assert (
        run(
            *arguments(corpus, model, "--set", f"pooling={pooling}", "--set", "max_checkpoints=1")
        ).exit_code
        == 0
    )
    result = run("predict", model, corpus / "fit.h5", tmp_path / "s.h5", "--device", "cpu")
    assert "12 clips, 2 classes, 0.1 s per frame" in result.stdout
    spec, network, fingerprint = checkpoint.load_model(model)
    scores, store = ScoreFile(tmp_path / "s.h5"), FeatureStore([corpus / "fit.h5"])
    assert scores.attributes["model"] == fingerprint and scores.labels == LABELS
    assert scores.has("weight") == ("attention" in pooling)
    for row, name in enumerate(scores.filenames.tolist()):
        x = (store.read(store.rows([name]))[0] - np.float32(spec.mean)) / np.float32(spec.std)
        with torch.inference_mode():
            alone = network(torch.from_numpy(x)[None])
            segment = network.pooling(alone.frame, alone.weight)  # at most a second, so one segment
        np.testing.assert_allclose(scores.clip[row], alone.clip[0], rtol=0, atol=1e-6)
        np.testing.assert_allclose(scores.frames(row), alone.frame[0], rtol=0, atol=1e-6)
        np.testing.assert_allclose(scores.segments(row), segment, rtol=0, atol=1e-6)
    assert scores.num_frames[scores.filenames.tolist().index("03.wav")] == 5


def test_half_precision_is_near(corpus, trained, tmp_path, run):
    for name, options in (("default", ()), ("precise", ("--precise",)), ("fast", ("--fast",))):
        run("predict", trained, corpus / "valid.h5", tmp_path / f"{name}.h5", *options)
    files = {name: ScoreFile(tmp_path / f"{name}.h5") for name in ("default", "precise", "fast")}
    np.testing.assert_array_equal(files["default"].clip, files["precise"].clip)
    np.testing.assert_allclose(files["fast"].clip, files["precise"].clip, rtol=0, atol=2e-2)
    assert (files["fast"].clip != files["precise"].clip).any()
    precise = {name: bool(file.attributes["precise"]) for name, file in files.items()}
    assert precise == {"default": True, "precise": True, "fast": False}


def test_predict_of_a_set_and_without_frames(corpus, trained, tmp_path, run):
    few = write_set(tmp_path / "few", [("03.wav", "", 0.5), ("00.wav", "", 1)], LABELS, [])
    assert (
        run(
            "predict", trained, corpus / "fit.h5", tmp_path / "s.h5", "--data", few, "--no-frames"
        ).exit_code
        == 0
    )
    scores = ScoreFile(tmp_path / "s.h5")
    assert scores.filenames.tolist() == ["00.wav", "03.wav"] and not scores.has("frame")
    with pytest.raises(InputError, match="contains no frame scores; predict without --no-frames"):
        scores.frames(0)
    with h5py.File(tmp_path / "s.h5") as file:
        assert file["segment"].shape == (2, 1, 2)


def test_clips_whose_audio_failed_are_reported_and_left_out_to_the_end(
    corpus, trained, tmp_path, run
):
    found = store.FeatureStore([corpus / "valid.h5"])
    layout = store.FeatureLayout(40, 64, "float32", found.frontend, found.fingerprint)
    with store.writing_features(tmp_path / "some.h5", layout) as (append, failed):
        for row in range(5):
            append(str(found.filenames[row]), found.read(np.array([row]))[0], 1.0)
        failed.update({"17.wav": "broken", "elsewhere.wav": "broken"})
    scores, point, out = tmp_path / "s.h5", tmp_path / "p.yaml", tmp_path / "out"
    result = run("predict", trained, tmp_path / "some.h5", scores, "--data", corpus / "valid")
    assert result.stdout.endswith("; 1 clip failed and has no scores\n") and store.ScoreFile(
        scores
    ).failed == {"17.wav": "broken"}
    assert run("average", scores, scores, tmp_path / "mean.h5").exit_code == 0
    assert store.ScoreFile(tmp_path / "mean.h5").failed == {"17.wav": "broken"}
    assert (
        "extract failed are left out: 17.wav\n"
        in run("tune", scores, corpus / "valid", point).stderr
    )
    assert (
        run("decode", scores, point, out).exit_code == 0
        and (out / "failed.tsv").read_text() == "filename\n17.wav\n"
    )
    result = run("score", corpus / "valid", out, "--scores", scores)
    assert (
        result.exit_code == 0
        and "1 clip of" in result.stderr
        and "extract could not use the audio: 17.wav" in result.stderr
    )


def test_features_of_another_front_end_are_refused(corpus, trained, tmp_path, run):
    (tmp_path / "f.yaml").write_text(yaml.safe_dump({"hop": 500}))
    assert (
        run(
            "extract", corpus / "valid", tmp_path / "f.h5", "--config", tmp_path / "f.yaml"
        ).exit_code
        == 0
    )
    result = run("predict", trained, tmp_path / "f.h5", tmp_path / "s.h5")
    assert (
        result.exit_code == 1
        and "the front end of the features (fingerprint " in result.stderr
        and "hop: 400 in the model, 500 in the features" in result.stderr
    )
    assert not (tmp_path / "s.h5").exists()


def test_prediction_is_deterministic(corpus, trained, tmp_path, run):
    for name in "ab":
        run("predict", trained, corpus / "fit.h5", tmp_path / f"{name}.h5")
    a, b = ScoreFile(tmp_path / "a.h5"), ScoreFile(tmp_path / "b.h5")
    assert (a.clip == b.clip).all() and a.attributes == b.attributes


def datasets(path):
    with h5py.File(path) as file:
        return {name: file[name][()] for name in file}


@pytest.mark.parametrize(
    "text, columns, labels",
    [
        ("low\nhigh, very\n", [1, 0], ["low", "high, very"]),
        ("low", [1], ["low"]),
        ("\ufeffhigh, very\r\n", [0], ["high, very"]),
        ("low\tBass, é\nhigh, very\tlow\n", [1, 0], ["Bass, é", "low"]),
        ("high, very\thigh, very\n", [0], ["high, very"]),
    ],
)
@pytest.mark.parametrize("no_frames", [False, True])
def test_some_classes_are_columns_of_the_whole(
    corpus, attention, tmp_path, run, text, columns, labels, no_frames
):
    (tmp_path / "-classes.txt").write_text(text, encoding="utf-8", newline="")
    options = ["--no-frames"] if no_frames else []
    for name, more in (("all", []), ("some", ["--classes", tmp_path / "-classes.txt"])):
        assert (
            run(
                "predict", attention, corpus / "fit.h5", tmp_path / f"{name}.h5", *options, *more
            ).exit_code
            == 0
        )
    whole, found = datasets(tmp_path / "all.h5"), datasets(tmp_path / "some.h5")
    assert ScoreFile(tmp_path / "some.h5").labels == labels and whole.keys() == found.keys()
    assert {"frame", "weight"} & whole.keys() == (set() if no_frames else {"frame", "weight"})
    for name in whole.keys() - {"labels"}:
        expected = (
            whole[name][..., columns]
            if name in ("clip", "segment", "frame", "weight")
            else whole[name]
        )
        np.testing.assert_array_equal(found[name], expected)


def test_the_fingerprint_depends_on_the_inputs(corpus, trained, tmp_path, run):
    for name, text in (
        ("same", "high, very\nlow\n"),
        ("order", "low\nhigh, very\n"),
        ("fewer", "low\n"),
        ("renamed", "low\tx\n"),
    ):
        (tmp_path / name).write_text(text)
    few = write_set(tmp_path / "few", [("00.wav", "", 1)], LABELS, [])
    prints = {}
    for name, options in {
        "all": [],
        **{n: ["--classes", tmp_path / n] for n in ("same", "order", "fewer", "renamed")},
        "few": ["--data", few],
        "fast": ["--fast"],
    }.items():
        assert (
            run("predict", trained, corpus / "fit.h5", tmp_path / "s.h5", *options).exit_code == 0
        )
        prints[name] = ScoreFile(tmp_path / "s.h5").attributes["fingerprint"]
    assert prints.pop("same") == prints["all"] and len(set(prints.values())) == len(prints) == 6


@pytest.mark.parametrize(
    "text, faults",
    [
        ("", [": contains no classes; write one class per line"]),
        ("\n", [": contains no classes; write one class per line"]),
        ("lwo\n", [":1: MODEL has no class 'lwo'; did you mean 'low'?"]),
        ("Music\tlow\n", [":1: MODEL has no class 'Music'; known: high, very; low"]),
        ("low\n\thigh, very\n", [":2: expected a class"]),
        ("low\tx\ty\n", [":1: expected a class"]),
        ("low\t \n", [":1: expected a class"]),
        ("low\n\nlwo\n", [":3: MODEL has no class 'lwo'"]),
        ("low\nhigh, very\nlow\tx\n", [":3: the class 'low' occurs twice, first in line 1"]),
        ("low\nhigh, very\tlow\n", [":2: the name 'low' occurs twice, first in line 1"]),
        (
            "low\nx\nhigh, very\nlow",
            [":2: MODEL has no class 'x'", ":4: the class 'low' occurs twice"],
        ),
        (b"\xff", [": is not UTF-8 text"]),
        (None, [": no such file"]),
    ],
)
def test_classes_at_fault(corpus, trained, tmp_path, run, text, faults):
    path = tmp_path / "c.txt"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    result = run("predict", trained, corpus / "fit.h5", tmp_path / "s.h5", "--classes", path)
    assert result.exit_code == 1 and not (tmp_path / "s.h5").exists()
    lines = result.stderr.splitlines()
    assert len(lines) == len(faults)
    for line, fault in zip(lines, faults):
        assert line.startswith(f"{path}{fault.replace('MODEL', str(trained))}")


def test_classes_are_no_output(trained, corpus, tmp_path, run):
    (tmp_path / "c.h5").write_text("low")
    result = run(
        "predict", trained, corpus / "fit.h5", tmp_path / "c.h5", "--classes", tmp_path / "c.h5"
    )
    assert (
        result.exit_code == 1
        and "is an input of this command" in result.stderr
        and (tmp_path / "c.h5").read_text() == "low"
    )


@pytest.mark.parametrize("at", [1, 3, 9])
def test_an_interrupt_while_hdf5_writes_ends_cleanly(corpus, trained, tmp_path, monkeypatch, at):
    """An exception inside HDF5 would end the process with a segmentation fault."""
    original, written = disk.Disk.write, []

    def signalled(self, data):
        written.append(len(data))
        if len(written) == at:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, data)

    monkeypatch.setattr(disk.Disk, "write", signalled)
    monkeypatch.setattr(files, "BLOCK", 2)
    monkeypatch.setattr("wsedtk.inference.network_runner.Runner.batch_size", 2)
    with pytest.raises(KeyboardInterrupt):
        predict.run(PredictOptions(trained, corpus / "fit.h5", tmp_path / "s.h5"))
    assert not list(tmp_path.iterdir()) and len(written) >= at
