"""predict: the scores are those of the network, whatever the batch, the precision and the choice of clips."""

import h5py
import numpy as np
import pytest
import torch
import yaml
from helpers import LABELS, write_set
from helpers import train_arguments as arguments

from wsedtk import checkpoint
from wsedtk.errors import InputError
from wsedtk.store import FeatureStore, ScoreFile


@pytest.mark.parametrize("pooling", ["linear", "attention", "general", "monotone-attention"])
def test_scores_are_those_of_the_network(corpus, tmp_path, run, pooling):
    model = tmp_path / pooling
    assert run(*arguments(corpus, model, "--set", f"pooling={pooling}", "--set", "max_checkpoints=1")).exit_code == 0
    result = run("predict", model, corpus / "fit.h5", tmp_path / "s.h5", "--precise", "--device", "cpu")
    assert "12 clips, 2 classes, 0.1 s a frame" in result.stdout
    spec, network, fingerprint = checkpoint.load_model(model)
    scores, store = ScoreFile(tmp_path / "s.h5"), FeatureStore([corpus / "fit.h5"])
    assert scores.attributes["model"] == fingerprint and scores.labels == LABELS
    assert scores.has("weight") == ("attention" in pooling)
    for row, name in enumerate(scores.filenames.tolist()):
        x = (store.read(store.rows([name]))[0] - np.float32(spec.mean)) / np.float32(spec.std)
        with torch.inference_mode():
            alone = network(torch.from_numpy(x)[None])
            segment = network.pooling(alone.frame, alone.weight)  # a second at most: one segment
        np.testing.assert_allclose(scores.clip[row], alone.clip[0], rtol=0, atol=1e-6)
        np.testing.assert_allclose(scores.frames(row), alone.frame[0], rtol=0, atol=1e-6)
        np.testing.assert_allclose(scores.segments(row), segment, rtol=0, atol=1e-6)
    assert scores.num_frames[scores.filenames.tolist().index("03.wav")] == 5


def test_half_precision_is_near(corpus, trained, tmp_path, run):
    for option in ((), ("--precise",)):
        run("predict", trained, corpus / "valid.h5", tmp_path / f"{len(option)}.h5", *option)
    rough, precise = (ScoreFile(tmp_path / f"{i}.h5").clip for i in (0, 1))
    np.testing.assert_allclose(rough, precise, rtol=0, atol=2e-2)
    assert (rough != precise).any()


def test_predict_of_a_set_and_without_frames(corpus, trained, tmp_path, run):
    few = write_set(tmp_path / "few", [("03.wav", "", 0.5), ("00.wav", "", 1)], LABELS, [])
    assert run("predict", trained, corpus / "fit.h5", tmp_path / "s.h5", "--data", few, "--no-frames").exit_code == 0
    scores = ScoreFile(tmp_path / "s.h5")
    assert scores.filenames.tolist() == ["00.wav", "03.wav"] and not scores.has("frame")
    with pytest.raises(InputError, match="holds no frame scores; predict without --no-frames"):
        scores.frames(0)
    with h5py.File(tmp_path / "s.h5") as file:
        assert file["segment"].shape == (2, 1, 2)


def test_features_of_another_front_end_are_refused(corpus, trained, tmp_path, run):
    (tmp_path / "f.yaml").write_text(yaml.safe_dump({"hop": 500}))
    assert run("extract", corpus / "valid", tmp_path / "f.h5", "--config", tmp_path / "f.yaml").exit_code == 0
    result = run("predict", trained, tmp_path / "f.h5", tmp_path / "s.h5")
    assert result.exit_code == 1 and "made with another front end" in result.stderr and "hop: 400 there, 500 here" in result.stderr
    assert not (tmp_path / "s.h5").exists()


def test_prediction_is_deterministic(corpus, trained, tmp_path, run):
    for name in "ab":
        run("predict", trained, corpus / "fit.h5", tmp_path / f"{name}.h5")
    a, b = ScoreFile(tmp_path / "a.h5"), ScoreFile(tmp_path / "b.h5")
    assert (a.clip == b.clip).all() and a.attributes == b.attributes
