"""Networks: shapes, parameters, initialisation, and padding that never leaks."""

import pytest
import torch

from wsedtk import models
from wsedtk.errors import InputError
from wsedtk.models import layers
from wsedtk.pooling import METHODS


def test_dcase_crnn_has_the_published_size():
    network = models.build("dcase-crnn", 17)
    assert sum(p.numel() for p in network.parameters()) == 936_041
    assert sum(p.numel() for p in models.build("dcase-crnn", 17, pooling="attention").parameters()) == 936_041 + 201 * 17
    output = network(torch.randn(2, 400, 64))
    assert output.clip.shape == (2, 17) and output.frame.shape == (2, 100, 17) and output.weight is None
    assert network.time_reduction == 4


def test_initialisation_is_the_published_one():
    torch.manual_seed(0)
    network = models.build("dcase-crnn", 5, pooling="attention")
    for name, parameter in network.named_parameters():
        if "bias" in name:
            assert not parameter.any(), name
        elif "gru" in name:
            for gate in parameter.detach().chunk(3):  # (100, in): rows or columns are orthonormal
                product = gate @ gate.T if gate.shape[0] <= gate.shape[1] else gate.T @ gate
                torch.testing.assert_close(product, torch.eye(len(product)), rtol=0, atol=1e-5)
        else:  # Xavier-uniform: bounded by sqrt(6 / (fan in + fan out)), and nearly reaching it
            field = parameter[0, 0].numel() if parameter.dim() == 4 else 1
            bound = (6 / (field * (parameter.shape[0] + parameter.shape[1]))) ** 0.5
            assert 0.95 * bound < parameter.abs().max() <= bound, name


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("lengths", [(40, 37, 20), (41, 4, 1), (7, 2, 3)])
def test_a_padded_clip_scores_as_it_does_alone(method, lengths):
    torch.manual_seed(0)
    network = models.build("dcase-crnn", 3, pooling=method, num_mels=16, channels=(4, 5, 6), num_hidden=7).double().eval()
    for p in network.parameters():  # biases that are not zero fill padding where nothing masks it
        torch.nn.init.normal_(p, std=0.3)
    x = torch.randn(3, max(lengths), 16, dtype=torch.float64)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    together = network(torch.where(mask[..., None], x, 5.0), mask)
    for clip, length in enumerate(lengths):
        alone = network(x[clip:clip + 1, :length])
        torch.testing.assert_close(together.clip[clip], alone.clip[0], rtol=0, atol=1e-12)
        real = int(alone.mask.sum())
        assert real == int(together.mask[clip].sum()) == max(1, length // 4)
        torch.testing.assert_close(together.frame[clip, :real], alone.frame[0, :real], rtol=0, atol=1e-12)


def test_padding_leaks_without_the_masks(monkeypatch):
    """The test above can fail: without masks before the convolutions it does."""
    monkeypatch.setattr("wsedtk.models.dcase_crnn.zero_padding", lambda x, mask: x)
    with pytest.raises(AssertionError):
        test_a_padded_clip_scores_as_it_does_alone("linear", (40, 37, 20))


def test_attention_is_a_softmax_over_time():
    network = models.build("dcase-crnn", 3, pooling="attention", num_mels=16, channels=(4, 5, 6), num_hidden=7)
    mask = torch.arange(40) < torch.tensor([40, 20])[:, None]
    weight = network(torch.randn(2, 40, 16), mask).weight
    torch.testing.assert_close(weight.sum(dim=1), torch.ones(2, 3))
    assert not weight[1, 5:].any()


def test_scores_are_float32_under_autocast():
    network = models.build("dcase-crnn", 3, pooling="attention", num_mels=16, channels=(4, 5, 6), num_hidden=7)
    with torch.autocast("cpu", torch.bfloat16):
        output = network(torch.randn(2, 40, 16))
    assert {output.clip.dtype, output.frame.dtype, output.weight.dtype} == {torch.float32}


def test_dropout_is_off_as_published_and_in_evaluation():
    assert models.build("dcase-crnn", 3).dropout.p == 0
    network = models.build("dcase-crnn", 3, num_mels=16, channels=(4, 5, 6), num_hidden=7, dropout=0.5)
    x = torch.randn(2, 40, 16)
    assert not torch.equal(network.train()(x).clip, network(x).clip)
    assert torch.equal(network.eval()(x).clip, network(x).clip)


class OwnNetwork(torch.nn.Module):
    """A network of a user's own."""

    def __init__(self, num_classes, pooling="linear", width=2):
        super().__init__()
        self.head = layers.Head(width, num_classes, pooling)

    def forward(self, x, mask=None):
        return self.head(x, mask if mask is not None else torch.ones(x.shape[:2], dtype=torch.bool))


def test_a_network_of_ones_own():
    output = models.build("test_models:OwnNetwork", 4, pooling="exp", width=3)(torch.randn(2, 5, 3))
    assert output.clip.shape == (2, 4)


@pytest.mark.parametrize("name, options, message", [
    ("crnn", {}, "unknown network 'crnn'; known: dcase-crnn"),
    ("no.such:Thing", {}, "network 'no.such:Thing': No module named 'no'"),
    ("wsedtk.models:Thing", {}, "has no attribute 'Thing'"),
    ("dcase-crnn", {"depth": 3}, "unexpected keyword argument 'depth'"),
    ("dcase-crnn", {"pooling": "mean"}, "unknown pooling 'mean'"),
    ("dcase-crnn", {"num_mels": 50}, "num_mels must be a multiple of 8, found 50"),
    ("dcase-crnn", {"channels": [1, 2]}, "channels: expected three numbers"),
])
def test_wrong_networks_are_refused(name, options, message):
    with pytest.raises(InputError, match=message):
        models.build(name, 3, **options)
