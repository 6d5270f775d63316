"""Pooling: closed-form gradients in float64, degenerate clips, masks, segments."""

import pytest
import torch

from wsedtk.pooling import METHODS, Pooling, pool_segments, segment_of_frame


def random_case(seed, batch=3, frames=13, classes=4, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(batch, frames, classes, generator=generator, dtype=dtype)
    w = torch.softmax(torch.randn(batch, frames, classes, generator=generator, dtype=dtype), dim=1)
    return x.requires_grad_(), w.requires_grad_()


def gradient(method, x, y):
    """dy/dx_i of Wang, Li & Metze 2019, table 1."""
    if method == "max":
        return torch.zeros_like(x).scatter_(1, x.argmax(1, keepdim=True), 1.0)
    if method == "average":
        return torch.full_like(x, 1 / x.shape[1])
    if method == "linear":
        return (2 * x - y) / x.sum(1, keepdim=True)
    return (1 + x - y) * torch.exp(x) / torch.exp(x).sum(1, keepdim=True)


@pytest.mark.parametrize("frames", [1, 2, 13, 125])
@pytest.mark.parametrize("method", ["max", "average", "linear", "exp"])
def test_gradient_is_the_published_one(method, frames):
    x, _ = random_case(frames, frames=frames)
    y = Pooling(method, 4)(x)
    y.sum().backward()
    torch.testing.assert_close(x.grad, gradient(method, x.detach(), y.detach()[:, None]), rtol=0, atol=1e-10)


@pytest.mark.parametrize("frames", [1, 13, 125])
def test_attention_has_the_published_gradients(frames):
    x, w = random_case(frames, frames=frames)
    y = Pooling("attention", 4)(x, w)
    torch.testing.assert_close(y, (w * x).sum(1) / w.sum(1), rtol=0, atol=1e-12)
    y.sum().backward()
    total = w.detach().sum(1, keepdim=True)
    torch.testing.assert_close(x.grad, w.detach() / total, rtol=0, atol=1e-10)
    torch.testing.assert_close(w.grad, (x.detach() - y.detach()[:, None]) / total, rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_values_by_hand(method):
    x = torch.tensor([[[0.2], [0.8], [0.5]]], dtype=torch.float64)
    w = torch.tensor([[[1.0], [1.0], [2.0]]], dtype=torch.float64)
    e = torch.exp(x[0, :, 0])
    expected = {"max": 0.8, "average": 0.5, "linear": (0.04 + 0.64 + 0.25) / 1.5,
                "exp": float((e * x[0, :, 0]).sum() / e.sum()), "attention": (0.2 + 0.8 + 1.0) / 4}[method]
    assert Pooling(method, 1)(x, w).item() == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 1.0, 0.3, 1e-30, 1e-44])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_clips_are_finite_both_ways(method, value, dtype):
    x = torch.full((2, 7, 3), value, dtype=dtype, requires_grad=True)
    w = torch.full((2, 7, 3), 1 / 7, dtype=dtype, requires_grad=True)
    y = Pooling(method, 3)(x, w)
    torch.testing.assert_close(y, torch.full_like(y, value), rtol=1e-6, atol=0)
    torch.nn.functional.binary_cross_entropy(y.clamp(1e-7, 1 - 1e-7), torch.ones_like(y)).backward()
    assert torch.isfinite(x.grad).all()
    assert w.grad is None or torch.isfinite(w.grad).all()


def test_max_sends_its_gradient_to_one_frame_also_on_ties():
    x = torch.full((1, 5, 2), 0.4, requires_grad=True)
    Pooling("max", 2)(x).sum().backward()
    assert x.grad[0, :, 0].tolist() == [1, 0, 0, 0, 0]


def test_weights_that_underflow_are_averaged():
    x = torch.rand(1, 5, 2)
    torch.testing.assert_close(Pooling("attention", 2)(x, torch.zeros(1, 5, 2)), x.mean(1))


@pytest.mark.parametrize("method", METHODS)
def test_padding_changes_nothing(method):
    x, w = random_case(3, frames=20)
    mask = torch.arange(20) < torch.tensor([20, 7, 1])[:, None]
    filled = torch.where(mask[..., None], x, 0.99)  # what stands in the padding must not matter
    pooled = Pooling(method, 4)(filled, w, mask)
    for clip, length in enumerate((20, 7, 1)):
        alone = Pooling(method, 4)(x[clip:clip + 1, :length], w[clip:clip + 1, :length])
        torch.testing.assert_close(pooled[clip:clip + 1], alone, rtol=0, atol=1e-14)
    pooled.sum().backward()
    assert not x.grad[~mask].any()


@pytest.mark.parametrize("method", METHODS)
def test_half_types_are_promoted_also_under_autocast(method):
    x, w = random_case(1, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert Pooling(method, 4)(x.bfloat16(), w.bfloat16()).dtype == torch.float32
    assert Pooling(method, 4)(x.double(), w.double()).dtype == torch.float64


def test_attention_without_weights_and_unknown_methods_are_refused():
    with pytest.raises(ValueError, match="attention pooling needs the frame weights"):
        Pooling("attention", 1)(torch.rand(1, 2, 1))
    with pytest.raises(ValueError, match="unknown pooling 'mean'; known: max, average"):
        Pooling("mean", 1)


def test_a_frame_belongs_to_the_segment_of_its_centre():
    ten_hertz = segment_of_frame(100, 1600, 16000)
    assert torch.bincount(ten_hertz).tolist() == [10] * 10
    twelve_and_a_half = segment_of_frame(125, 4 * 882, 44100)  # 0.08 s: centres at 0.04, 0.12, ..., 0.92, 1.00, ...
    counts = torch.bincount(twelve_and_a_half).tolist()
    assert counts == [12, 13] * 5 and twelve_and_a_half[11:13].tolist() == [0, 1]  # 0.92 s and 1.00 s


@pytest.mark.parametrize("method", METHODS)
def test_segments_are_pooled_by_the_same_function(method):
    x, w = random_case(5, frames=29)
    mask = torch.arange(29) < torch.tensor([29, 17, 1])[:, None]
    pooling, segments = Pooling(method, 4), segment_of_frame(29, 1, 10)
    pooled = pool_segments(pooling, x, w, mask, segments)
    assert pooled.shape == (3, 3, 4)
    for clip in range(3):
        for s in range(3):
            frames = (segments == s) & mask[clip]
            expected = pooling(x[clip:clip + 1, frames], w[clip:clip + 1, frames]) if frames.any() else torch.zeros(1, 4).double()
            torch.testing.assert_close(pooled[clip:clip + 1, s], expected, rtol=0, atol=1e-14)
