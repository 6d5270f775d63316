"""Hostile models and checkpoints run no code, and use no more memory than their size."""

import os
import shutil
import sys
import zipfile

import pytest
import torch
import yaml
from helpers import train_arguments
from test_checkpoint import small_spec

from wsedtk.core.errors import InputError
from wsedtk.models import checkpoint


@pytest.fixture
def model(tmp_path):
    checkpoint.save_model(tmp_path / "m", small_spec(), small_spec().build().state_dict())
    return tmp_path / "m"


def edit(model, **changes):
    mapping = yaml.safe_load((model / "model.yaml").read_text())
    (model / "model.yaml").write_text(yaml.safe_dump({**mapping, **changes}))


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_model_imports_nothing_from_outside(model, tmp_path, monkeypatch):
    code = (
        f"open({str(tmp_path / 'ran')!r}, 'w').close()\n"
        "from wsedtk.models.networks.dcase_crnn import DcaseCrnn as Net\n"
    )
    (tmp_path / "theirs.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    for name, package in (
        ("theirs:Net", "theirs"),
        ("subprocess:Popen", "subprocess"),
        ("torch.nn:Identity", "torch"),
    ):
        edit(model, network=name)
        with pytest.raises(
            InputError,
            match=f"m: model.yaml names code from outside wsedtk, '{name}', .*set the "
            f"environment variable WSEDTK_NETWORKS={package}$",
        ):
            checkpoint.load_model(model)
    assert "theirs" not in sys.modules and not (tmp_path / "ran").exists()
    edit(model, network="theirs:Net")
    monkeypatch.setenv("WSEDTK_NETWORKS", "mine,theirs")
    assert checkpoint.load_model(model)[1].time_reduction == 4 and (tmp_path / "ran").exists()
    monkeypatch.delenv("WSEDTK_NETWORKS")
    assert (
        checkpoint.load_model(model, trusted=["theirs:Net"])[1].time_reduction == 4
    )  # which the user's own configuration names
    edit(model, network="subprocess:Popen")
    monkeypatch.setenv("WSEDTK_NETWORKS", "subprocess")
    with pytest.raises(
        InputError,
        match="model.yaml: network 'subprocess:Popen': is not a subclass of torch.nn.Module",
    ):
        checkpoint.load_model(model)


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"labels": [f"c{i}" for i in range(100000)]},
            "num_classes is too large; expected numbers of at most 65536",
        ),
        (
            {"labels": [f"c{i}" for i in range(60000)]},
            r"the tensor 'head.fc_prob.weight' has the shape \(2, 6\), expected \(60000, 6\)",
        ),
        (
            {"network_options": {"num_mels": 8, "num_hidden": 10**9}},
            "num_hidden is too large; expected numbers of at most 65536",
        ),
        (
            {"network_options": {"num_mels": 8, "num_hidden": 60000}},
            "does not fit the network that model.yaml describes",
        ),
        (
            {"network_options": {"num_mels": 8, "channels": [9, 9, 10**9]}},
            "channels is too large; expected numbers of at most 65536",
        ),
        (
            {"network": "talnet", "network_options": {"num_pools": 10**9, "num_convs": 10**9}},
            "is too large; expected numbers of at most 65536",
        ),
        (
            {"frontend": {"num_mels": 10**9}},
            "mean and std have 8 numbers each, but the front end has 1000000000 mel bins",
        ),
        (
            {"frontend": {"num_mels": 8, "num_fft": 10**9}},
            "frontend: sample_rate, window, hop and num_fft can be at most 1048576",
        ),
        (
            {"frontend": {"num_mels": 8, "pad_to_seconds": 1e9}},
            r"m/model.yaml: frontend: pad_to_seconds must be above 0 and at most 86400 \(one day\), or null, found 1000000000.0",
        ),
    ],
)
def test_false_sizes(model, changes, message):
    edit(model, **changes)
    with pytest.raises(InputError, match=message) as error:
        checkpoint.load_model(model)
    assert str(error.value).startswith(f"{model}") and str(error.value).count("model.yaml") == 1


@pytest.mark.parametrize("dtype", [torch.complex64, torch.bool, torch.uint8, torch.float8_e4m3fn])
def test_tensors_of_other_kinds(model, dtype):
    tensors = small_spec().build().state_dict()
    checkpoint.save_tensors(
        model / "model.safetensors", {**tensors, "conv1.bias": torch.zeros(2).to(dtype)}
    )
    with pytest.raises(
        InputError,
        match=f"the tensor 'conv1.bias' in model.safetensors has the type {dtype}, "
        "expected float32, float64, float16, bfloat16 or int64",
    ):
        checkpoint.load_model(model)


def test_a_compressed_checkpoint_is_not_unpacked(tmp_path):
    checkpoint.save_checkpoint(tmp_path / "a.pt", {"x": torch.zeros(1 << 20)})
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as whole,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for part in whole.infolist():
            bomb.writestr(part.filename, whole.read(part))
    assert os.path.getsize(tmp_path / "b.pt") < 20000
    with pytest.raises(InputError, match="b.pt: is not a checkpoint, or is damaged .*compressed"):
        checkpoint.load_checkpoint(tmp_path / "b.pt")


@pytest.mark.parametrize("old", [False, True])
def test_training_does_not_run_what_a_checkpoint_holds(corpus, trained, tmp_path, run, old):
    model = shutil.copytree(trained, tmp_path / "m")
    newest = sorted((model / "checkpoints").glob("step*.pt"))[-1]
    torch.save({"step": Evil(tmp_path / "ran")}, newest, _use_new_zipfile_serialization=not old)
    shutil.copy(newest, tmp_path / "evil.pt")
    result = run(*train_arguments(corpus, model))
    assert (
        not (tmp_path / "ran").exists()
        and "it contains an object that is neither a tensor nor a plain value" in result.stderr
    )
    torch.load(tmp_path / "evil.pt", weights_only=False)["step"].close()
    assert (tmp_path / "ran").exists()  # it would otherwise have run
