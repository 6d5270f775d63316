"""Model directories and checkpoints: round trips, damage, and files of other kinds."""

import dataclasses
import os
import pickle

import pytest
import torch

from wsedtk.core import config
from wsedtk.core.errors import InputError
from wsedtk.models import checkpoint


def small_spec():
    """Return the description of a tiny network."""
    options = {"num_mels": 8, "channels": [2, 2, 2], "num_hidden": 3}
    frontend = {
        "sample_rate": 16000,
        "window": 1024,
        "hop": 400,
        "num_fft": 4096,
        "num_mels": 8,
        "min_hz": 0.0,
        "max_hz": 8000.0,
        "power": 1,
        "min_power": 1e-10,
        "top_db": 80.0,
        "pad_to_seconds": None,
    }
    return checkpoint.ModelSpec(
        "dcase-crnn", options, "linear", ("a, b", "c"), frontend, (0.1,) * 8, (1 / 3,) * 8
    )


@pytest.fixture
def model(tmp_path):
    """A saved model: (folder, spec, network)."""
    spec = small_spec()
    network = spec.build()
    checkpoint.save_model(tmp_path / "m", spec, network.state_dict())
    return tmp_path / "m", spec, network


def test_a_model_is_read_back_exactly(model):
    folder, spec, network = model
    loaded_spec, loaded, fingerprint = checkpoint.load_model(folder)
    assert (
        dataclasses.replace(loaded_spec, weights_fingerprint=None) == spec and not loaded.training
    )
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    assert checkpoint.load_model(folder)[2] == fingerprint
    assert loaded_spec.frontend_config().seconds_per_frame == 0.025


def test_a_flipped_bit_is_an_error(model):
    folder, _, _ = model
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-3] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(
        InputError,
        match="m: model.safetensors is damaged or belongs to another model: its fingerprint is",
    ):
        checkpoint.load_model(folder)


def test_the_fingerprint_follows_the_weights(model):
    folder, spec, network = model
    before = checkpoint.load_model(folder)[2]
    network.conv1.bias.data += 1
    checkpoint.save_model(folder, spec, network.state_dict())
    assert checkpoint.load_model(folder)[2] != before


def test_a_missing_or_unfinished_model_is_an_error(tmp_path):
    with pytest.raises(
        InputError,
        match="has no model.yaml; it is not a model directory, or its training is not finished",
    ):
        checkpoint.load_model(tmp_path)


def test_unreadable_tensors_are_an_error(model):
    folder, _, _ = model
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()
    with pytest.raises(InputError, match="model.safetensors: can't be read: Is a directory"):
        checkpoint.load_model(folder)


def test_damaged_or_foreign_tensors_are_an_error(model):
    folder, spec, network = model
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        InputError, match="model.safetensors: is not a safetensors file, or is damaged"
    ):
        checkpoint.load_model(folder)
    tensors = dict(network.state_dict())
    tensors["conv1.weight"] = tensors["conv1.weight"][:1]
    checkpoint.save_tensors(folder / "model.safetensors", tensors)
    with pytest.raises(
        InputError,
        match=r"the tensor 'conv1.weight' has the shape \(1, 1, 5, 5\), expected \(2, 1, 5, 5\)",
    ):
        checkpoint.load_model(folder)
    del tensors["conv1.weight"]
    checkpoint.save_tensors(folder / "model.safetensors", tensors)
    with pytest.raises(
        InputError,
        match=r"the network that model.yaml describes: the tensor 'conv1.weight' of the shape \(2, 1, 5, 5\) is missing",
    ):
        checkpoint.load_model(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="model.safetensors: no such file"):
        checkpoint.load_model(folder)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"mean": (float("inf"),) * 8}, "mean and std must be lists of finite numbers"),
        ({"mean": (0.0,)}, "must be lists of finite numbers, one for each mel bin"),
        ({"std": (-1.0,) * 8}, "with std >= 0"),
        ({"labels": ("a", "a")}, "labels must contain at least one class, and no class twice"),
        (
            {"mean": (0.0,) * 3, "std": (1.0,) * 3},
            "mean and std have 3 numbers each, but the front end has 8 mel bins",
        ),
    ],
)
def test_a_wrong_model_yaml_is_an_error(model, change, message):
    folder, spec, _ = model
    mapping = config.to_mapping(spec) | {name: list(value) for name, value in change.items()}
    (folder / "model.yaml").write_text(config.to_yaml(mapping))
    with pytest.raises(InputError, match=message):
        checkpoint.load_model(folder)


def test_weights_that_are_not_finite_are_an_error(model):
    folder, _, network = model
    tensors = dict(network.state_dict())
    tensors["conv1.bias"] = tensors["conv1.bias"] * float("nan")
    checkpoint.save_tensors(folder / "model.safetensors", tensors)
    with pytest.raises(
        InputError,
        match="the tensor 'conv1.bias' in model.safetensors contains numbers that are not finite",
    ):
        checkpoint.load_model(folder)


def test_checkpoints_keep_tensors_and_plain_values(tmp_path):
    content = {
        "step": 3,
        "best": [0.5, 2],
        "network": {"w": torch.arange(3.0)},
        "finished": False,
        "none": None,
    }
    checkpoint.save_checkpoint(tmp_path / "c.pt", content)
    loaded = checkpoint.load_checkpoint(tmp_path / "c.pt")
    assert (
        torch.equal(loaded["network"].pop("w"), content["network"].pop("w")) and loaded == content
    )


class Evil:
    """Return the content of a hostile file."""

    def __reduce__(self):
        return os.mkdir, ("evil",)


def test_a_checkpoint_cannot_run_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"network": Evil()}, "c.pt")
    (tmp_path / "p.pt").write_bytes(pickle.dumps(Evil()))
    for name in ("c.pt", "p.pt"):
        with pytest.raises(InputError, match="is not a checkpoint, or is damaged"):
            checkpoint.load_checkpoint(name)
    assert not (tmp_path / "evil").exists()


def test_a_truncated_checkpoint_is_an_error(tmp_path):
    checkpoint.save_checkpoint(tmp_path / "c.pt", {"w": torch.arange(1000.0)})
    whole = (tmp_path / "c.pt").read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 100):
        (tmp_path / "c.pt").write_bytes(whole[:size])
        with pytest.raises(InputError, match="c.pt: is not a checkpoint, or is damaged"):
            checkpoint.load_checkpoint(tmp_path / "c.pt")
