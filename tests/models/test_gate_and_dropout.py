"""Layers that compute faster than those of PyTorch, compared with those of PyTorch."""

import copy

import pytest
import torch
from torch import nn

from wsedtk.models import layers
from wsedtk.models.network import build_network

GatedConv = type(build_network("gated-crnn", 2).blocks[0][0])
LAYOUTS = [torch.contiguous_format, torch.channels_last]


def plain_gated_conv(block, x):
    return nn.functional.glu(block.bn(block.conv(x)), dim=1)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gated_convolution_in_training_equals_pytorch(layout):
    torch.manual_seed(0)
    block = GatedConv(3, 4).double().train()
    nn.init.uniform_(block.bn.weight, 0.5, 2)
    nn.init.uniform_(block.bn.bias, -1, 1)
    other = copy.deepcopy(block)
    x = (3 + torch.randn(5, 3, 7, 6, dtype=torch.float64)).to(memory_format=layout)
    x.requires_grad_()
    same = x.detach().clone().requires_grad_()
    for _ in range(2):  # running statistics change with each batch
        found, expected = block(x), plain_gated_conv(other, same)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
        gradient = torch.randn_like(found)
        found.backward(gradient)
        expected.backward(gradient)
    torch.testing.assert_close(x.grad, same.grad, rtol=0, atol=1e-11)
    for one, two in zip(block.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=0, atol=1e-10)
    for one, two in zip(block.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-12)


def test_gated_convolution_uses_running_statistics_in_evaluation():
    torch.manual_seed(0)
    block = GatedConv(3, 4).train()
    x = torch.randn(5, 3, 7, 6)
    block(x)
    block.eval()
    before = copy.deepcopy(block.state_dict())
    torch.testing.assert_close(block(x), plain_gated_conv(block, x), rtol=0, atol=0)
    torch.testing.assert_close(block.state_dict(), before, rtol=0, atol=0)


def test_gradient_of_the_gate_keeps_the_memory_format():
    block = GatedConv(8, 8).train().to(memory_format=torch.channels_last)
    formats = []

    def watch(module, inputs, output):
        output.register_hook(
            lambda g: formats.append(g.is_contiguous(memory_format=torch.channels_last))
        )

    block.conv.register_forward_hook(watch)
    x = torch.randn(2, 8, 7, 6).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        block(x).float().sum().backward()
    assert formats == [True]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rate", [0.2, 0.5, 0.97])
def test_dropout_keeps_the_expected_part_and_scales_it(rate, layout):
    torch.manual_seed(1)
    dropout = layers.Dropout(rate).train()
    x = torch.ones(50, 8, 25, 10).to(memory_format=layout).requires_grad_()
    found = dropout(x)
    assert found.stride() == x.stride()
    kept = found.detach() > 0
    torch.testing.assert_close(
        found.detach()[kept], torch.full((int(kept.sum()),), 1 / (1 - rate)), rtol=1e-3, atol=0
    )
    number = x.numel()
    deviation = (rate * (1 - rate) / number) ** 0.5
    assert abs(kept.float().mean() - (1 - rate)) < 5 * deviation + 2**-17
    # neighbouring elements are independent: both are kept with the product of the probabilities
    flat = kept.flatten() if layout is LAYOUTS[0] else kept.permute(0, 2, 3, 1).flatten()
    for distance in (1, 2, 3, 4):
        both = (flat[:-distance] & flat[distance:]).float().mean()
        assert abs(both - (1 - rate) ** 2) < 5 * (((1 - rate) ** 2) / number) ** 0.5
    gradient = torch.rand(x.shape)
    found.backward(gradient)
    torch.testing.assert_close(x.grad, gradient * found.detach(), rtol=0, atol=0)


def test_dropout_is_reproducible_and_changes_from_call_to_call():
    dropout, x = layers.Dropout(0.3).train(), torch.rand(3, 7)  # 21 numbers: no multiple of 4
    torch.manual_seed(5)
    first, second = dropout(x), dropout(x)
    torch.manual_seed(5)
    assert torch.equal(dropout(x), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("rate", [0.0, 1e-9, 1 - 1e-9, 1.0])
def test_dropout_at_the_limits_equals_pytorch(rate):
    x = torch.rand(4, 5)
    torch.testing.assert_close(layers.Dropout(rate)(x), torch.round(torch.tensor(1 - rate)) * x)


def test_dropout_in_evaluation_changes_nothing():
    x = torch.rand(4, 5)
    assert torch.equal(layers.Dropout(0.5).eval()(x), x)
