"""The ready model talnet, made from files such as the authors published."""

import os
import pickle
import shutil
import urllib.request

import numpy as np
import pytest
import torch
from helpers import stir

import wsedtk
from wsedtk.core import model_cache
from wsedtk.core.download import sha256
from wsedtk.models import checkpoint
from wsedtk.models.network import build_network
from wsedtk.models.ready_models import READY_MODELS

SERVER = "http://islpc21.is.cs.cmu.edu/yunwang/git/cmu-thesis"
CONVERTED = ("TALNet.pt", "normalizer.txt", "class_labels_indices.csv")


class Evil:
    def __reduce__(self):
        return os.mkdir, ("ran",)


@pytest.fixture(scope="module")
def files(tmp_path_factory, real_data):
    """A folder with weights, statistics and classes."""
    folder = tmp_path_factory.mktemp("talnet")
    torch.manual_seed(0)
    tensors = stir(build_network("talnet", 527)).state_dict()
    tensors = {name.removeprefix("head."): tensor for name, tensor in tensors.items()}
    torch.save({"model": tensors}, folder / "TALNet.pt")
    rng = np.random.default_rng(0)
    np.savetxt(folder / "normalizer.txt", [rng.normal(-40, 9, 64), rng.uniform(8, 12, 64)])
    shutil.copy(real_data / "audioset" / "class_labels_indices.csv", folder)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder of the ready models. Nothing is downloaded."""

    def refuse(*arguments, **settings):
        raise AssertionError("something is downloaded")

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", refuse)
    monkeypatch.setenv(model_cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def fetch(run, paths, *options):
    return run("models", "fetch", "talnet", *(w for p in paths for w in ("--from", p)), *options)


def test_the_model_is_that_of_import(run, files, cache, tmp_path):
    weights = files / "TALNet.pt"
    result = fetch(run, [files / name for name in CONVERTED])
    assert result.exit_code == 1 and f"again with --sha256 {sha256(weights)}" in result.stderr
    result = fetch(run, [files / name for name in CONVERTED], "--sha256", sha256(weights))
    assert result.exit_code == 0, result.stderr
    assert "talnet, 527 classes, 9,980,527 parameters, 0.1 s per frame" in result.stdout
    labels = READY_MODELS.get("talnet").read_labels(files / "class_labels_indices.csv")
    (tmp_path / "labels.txt").write_text("\n".join(labels))
    result = run(
        *("import", weights, tmp_path / "imported", "--labels", tmp_path / "labels.txt"),
        *("--normalizer", files / "normalizer.txt"),
        *("--frontend", "dcase2017/frontend_wang_padded"),
    )
    assert result.exit_code == 0, result.stderr
    one, other = (checkpoint.read_spec(folder) for folder in (cache / "talnet", "imported"))
    for name in ("network", "pooling", "labels", "frontend", "mean", "std"):
        assert getattr(one, name) == getattr(other, name), name
    samples = np.random.default_rng(1).normal(0, 0.1, 32000)
    found = [
        wsedtk.load_model(model, "cpu").predict(samples, 16000) for model in ("talnet", "imported")
    ]
    np.testing.assert_array_equal(found[0].frame, found[1].frame)
    assert found[0].frame.shape == (100, 527) and found[0].frame.std() > 0.01


def test_a_folder_with_the_pickle_and_the_converted_file(run, files, cache, tmp_path):
    shutil.copytree(files, tmp_path / "mine")
    (tmp_path / "mine" / "normalizer.pkl").write_bytes(pickle.dumps(Evil(), 2))
    result = fetch(run, ["mine"], "--sha256", sha256(files / "TALNet.pt"))
    assert result.exit_code == 0 and (cache / "talnet" / "model.yaml").exists()
    assert not (tmp_path / "ran").exists()


def test_a_pickle_is_not_read(run, files, cache, tmp_path):
    (tmp_path / "normalizer.pkl").write_bytes(pickle.dumps(Evil(), 2))
    paths = [files / "TALNet.pt", "normalizer.pkl", files / "class_labels_indices.csv"]
    result = fetch(run, paths, "--sha256", sha256(files / "TALNet.pt"))
    assert result.exit_code == 1 and not (cache / "talnet").exists()
    assert "normalizer.pkl: expected two rows of numbers" in result.stderr
    assert "wsedtk does not read it; if you trust the file, convert it with:" in result.stderr
    assert not (tmp_path / "ran").exists()


def test_it_cannot_be_downloaded(run, cache):
    result = run("models", "fetch", "talnet", "--sha256", 64 * "0")
    assert result.exit_code == 1
    assert (
        "talnet: can't be downloaded, because one of its files is part of an archive; get these "
        f"files, and give each of them with --from FILE: TALNet.pt ({SERVER}/model/TALNet.pt), "
        f"normalizer.pkl (in the archive {SERVER}/data/audioset.tgz), class_labels_indices.csv"
    ) in result.stderr


def test_a_missing_normalizer_is_named(run, files):
    result = fetch(run, [files / "TALNet.pt", files / "class_labels_indices.csv"])
    assert result.exit_code == 1
    assert f"not given: normalizer.pkl (in the archive {SERVER}/data/audioset.tgz)" in result.stderr


def test_other_weights(run, files, cache, tmp_path):
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "TALNet.pt")
    paths = ["TALNet.pt", *(files / name for name in CONVERTED[1:])]
    result = fetch(run, paths, "--sha256", sha256(tmp_path / "TALNet.pt"))
    assert result.exit_code == 1 and "TALNet.pt: contains no TALNet; expected" in result.stderr
    assert not (cache / "talnet").exists()
