"""Pooling functions of a user's own, named as `package.module:Class`."""

import importlib.util
import sys

import h5py
import numpy as np
import pytest
import torch
import yaml
from helpers import train_arguments
from safetensors.torch import load_file

import wsedtk
from wsedtk.models.network import build_network, check_network
from wsedtk.models.pooling import HIERARCHIES, pool_segments, segment_of_frame

OWN = """
import torch

from wsedtk.models.pooling_functions import PoolingFunction


class Square(PoolingFunction):
    def weights(self, frames):
        return frames.x**2


class Linear(PoolingFunction):
    def weights(self, frames):
        return frames.x


class Attention(PoolingFunction):
    needs_weights = True

    def weights(self, frames):
        return frames.w


class Shifted(PoolingFunction):
    # x + gain * shift, with one shift of the network for each clip and class
    needs_weights = True
    one_weight_per_clip = True
    lowest_parameter = 0.5

    def parameters(self, num_classes):
        return {"gain": torch.full((num_classes,), 2.0)}

    def activate(self, logit, real, softmax_over):
        return torch.sigmoid(logit) * real

    def weights(self, frames):
        return frames.x + frames.learnt["gain"] * frames.w


class Negative(PoolingFunction):
    def weights(self, frames):
        return frames.x - 2


class NegativeForRare(PoolingFunction):
    def weights(self, frames):
        return frames.x - 0.2


class Inverse(PoolingFunction):
    def weights(self, frames):
        return 1 / frames.x


class PerFrame(PoolingFunction):
    def weights(self, frames):
        return frames.x.sum(dim=2, keepdim=True)


class Forgetful(PoolingFunction):
    def weights(self, frames):
        return frames.w


class Broken(Square):
    def __init__(self):
        raise RuntimeError("the table of weights is missing")


class Other:
    pass
"""
NAMES = ("Square", "Linear", "Attention", "Shifted")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The name of an importable module with the pooling functions of OWN."""
    (tmp_path / "poolings_of_a_test.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "poolings_of_a_test"
    sys.modules.pop("poolings_of_a_test", None)


def make_case(num_frames=29):
    """Probabilities and weights (3, T, 4), and the mask of three clips of different lengths."""
    g = torch.Generator().manual_seed(num_frames)
    x, w = torch.rand(2, 3, num_frames, 4, generator=g, dtype=torch.float64)
    return x, w, torch.arange(num_frames) < torch.tensor([num_frames, num_frames // 2, 1])[:, None]


def test_the_value_is_the_weighted_average(own):
    pooling = wsedtk.Pooling(f"{own}:Square", 4)
    x, _, mask = make_case()
    expected = [
        (clip[real] ** 3).sum(0) / (clip[real] ** 2).sum(0)
        for clip, real in zip(x, mask, strict=True)
    ]
    torch.testing.assert_close(pooling(x, mask=mask), torch.stack(expected))
    assert repr(pooling) == "Pooling(poolings_of_a_test:Square, num_classes=4)"
    assert not pooling.needs_weights and not list(pooling.parameters())


@pytest.mark.parametrize("structure", [(), *((name, (3, 2)) for name in HIERARCHIES)])
@pytest.mark.parametrize("name, built_in", [("Linear", "linear"), ("Attention", "attention")])
def test_an_own_function_equals_the_built_in_one_with_its_weights(own, name, built_in, structure):
    """With every hierarchy, in the gradients, and in segments."""
    found = []
    for method in (f"{own}:{name}", built_in):
        x, w, mask = make_case()
        pooling = wsedtk.Pooling(method, 4, *structure)
        clip = pooling(x.requires_grad_(), w.requires_grad_(), mask)
        clip.sum().backward()
        segments = pool_segments(pooling, x, w, mask, segment_of_frame(29, 1, 10))
        by_w = torch.zeros(1) if w.grad is None else w.grad
        found.append((clip, x.grad, by_w, segments))
        assert pooling.has_constant_weights(3) == ("published" in "".join(structure[:1]))
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(*found, strict=True))


def test_one_weight_for_each_clip_and_a_learnt_parameter(own):
    pooling = wsedtk.Pooling(f"{own}:Shifted", 4).double()
    assert list(pooling.state_dict()) == ["gain"]
    x, w, mask = make_case()
    shift = torch.stack([a[real].mean(0) for a, real in zip(w, mask, strict=True)])[:, None]
    weights = (x + 2 * shift) * mask.unsqueeze(-1)
    expected = (weights * x).sum(1) / weights.sum(1)
    torch.testing.assert_close(pooling(x, w, mask), expected)
    segments = segment_of_frame(29, 1, 10)
    found = pool_segments(pooling, x, w, mask, segments)
    for number in range(3):
        inside = segments == number
        expected = (weights * x)[:, inside].sum(1) / weights[:, inside].sum(1)
        torch.testing.assert_close(found[:, number], expected.nan_to_num())
    with torch.no_grad():
        pooling.gain.fill_(-1.0)
    pooling.project()
    assert (pooling.gain == 0.5).all()


@pytest.mark.parametrize("name", NAMES)
def test_it_trains_and_predicts(own, name, corpus, tmp_path, run, monkeypatch):
    method, model = f"{own}:{name}", tmp_path / "m"
    settings = ("--set", f"pooling={method}", "--set", "hierarchy=nested", "--set", "groups=[2, 2]")
    result = run(*train_arguments(corpus, model, *settings))
    assert result.exit_code == 0, result.stderr
    assert yaml.safe_load((model / "model.yaml").read_text())["pooling"] == method
    assert ("head.pooling.gain" in load_file(model / "model.safetensors")) == (name == "Shifted")
    predict = ("predict", model, corpus / "valid.h5", tmp_path / "scores.h5")
    refused = run(*predict)
    assert refused.exit_code == 1 and f"variable WSEDTK_NETWORKS={own}" in refused.stderr
    monkeypatch.setenv("WSEDTK_NETWORKS", own)
    assert run(*predict).exit_code == 0
    with h5py.File(tmp_path / "scores.h5") as scores:
        clip, frame = scores["clip"][()], scores["frame"][()]
    assert np.isfinite(clip).all() and (clip <= frame.max(axis=1) + 1e-6).all()
    prediction = wsedtk.load_model(model).predict(np.full(16000, 0.1), 16000)
    assert (prediction.weight is not None) == (name in ("Attention", "Shifted"))


@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime")),
    reason="the extra [export] is not installed",
)
@pytest.mark.parametrize("name", NAMES)
def test_it_is_exported(own, name):
    from test_onnx_graph import FRONTEND, lively, runner_of

    from wsedtk.models.onnx_graph import Graph, difference, trace

    graph = Graph(FRONTEND, runner_of(lively("gated-crnn", f"{own}:{name}", "nested", (3, 2))))
    assert difference(trace(graph), graph) < 1e-3


def test_a_model_directory_imports_no_pooling_without_consent(own, corpus, tmp_path, run):
    """Also `wsedtk info` does not."""
    model = tmp_path / "m"
    assert run(*train_arguments(corpus, model)).exit_code == 0
    described = yaml.safe_load((model / "model.yaml").read_text())
    (model / "model.yaml").write_text(yaml.safe_dump({**described, "pooling": f"{own}:Linear"}))
    with pytest.raises(
        wsedtk.InputError, match=f"'{own}:Linear', .* variable WSEDTK_NETWORKS={own}$"
    ):
        wsedtk.load_model(model)
    assert "WSEDTK_NETWORKS" in run("info", model).stdout
    assert own not in sys.modules


@pytest.mark.parametrize(
    "name, message",
    [
        (
            "Negative",
            r"Negative': expected finite weights >= 0 of the shape \(2, 12, 3\), found weights "
            "from -1.5",
        ),
        ("NegativeForRare", "NegativeForRare': expected finite weights >= 0 .* from -0.2 to 0.8 "),
        ("Inverse", "Inverse': expected finite weights >= 0 .* from 0 to inf of the shape "),
        ("PerFrame", r"PerFrame': expected finite weights >= 0 .* of the shape \(2, 12, 1\)"),
        ("Forgetful", "Frames.w: the network computed no weights; set needs_weights = True"),
        ("Broken", "network 'dcase-crnn': RuntimeError: the table of weights is missing"),
        ("Other", "Other': is not a subclass of wsedtk.models.pooling_functions.PoolingFunction"),
        ("Missing", "Missing': module 'poolings_of_a_test' has no attribute 'Missing'"),
    ],
)
def test_a_wrong_class_is_refused(own, name, message):
    with pytest.raises(wsedtk.InputError, match=message):
        network = build_network("dcase-crnn", 3, f"{own}:{name}")
        check_network(network, "dcase-crnn", 64, 3)


@pytest.mark.parametrize("name", ["os:system", "collections:OrderedDict", "torch.nn:ReLU"])
def test_other_objects_are_refused(name):
    with pytest.raises(ValueError, match=f"pooling '{name}': is not a subclass of"):
        wsedtk.Pooling(name, 2)
