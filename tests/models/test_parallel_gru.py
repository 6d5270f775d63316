"""A bidirectional GRU with one thread for each direction, compared with `torch.nn.GRU`."""

import copy

import pytest
import torch

from wsedtk.models import layers, parallel_gru

LENGTHS = [20, 3, 1, 7, 20, 15, 19, 2, 11]


@pytest.fixture(params=[2, 4, 7])
def threads(request):
    """Run the test with several numbers of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture(params=["all frames are real", "padded"])
def mask(request):
    lengths = torch.tensor(LENGTHS)[:, None]
    return torch.arange(20) < lengths if request.param == "padded" else None


def pytorch(gru, x, mask):
    """Run the GRU on each clip separately."""
    rows = []
    for clip, length in zip(x, [x.shape[1]] * len(x) if mask is None else LENGTHS):
        hidden = gru(clip[None, :length])[0][0]
        rows.append(torch.nn.functional.pad(hidden, (0, 0, 0, x.shape[1] - length)))
    return torch.stack(rows)


def test_hidden_states_and_gradients_equal_pytorch(threads, mask):
    torch.manual_seed(threads)
    gru = torch.nn.GRU(8, 5, batch_first=True, bidirectional=True).double()
    other = copy.deepcopy(gru)
    x = torch.randn(len(LENGTHS), 20, 8, dtype=torch.float64, requires_grad=True)
    same = x.detach().clone().requires_grad_()
    assert parallel_gru.can_run(gru, x)
    hidden, expected = layers.run_gru(gru, x, mask), pytorch(other, same, mask)
    torch.testing.assert_close(hidden, expected, rtol=0, atol=1e-12)
    gradient = torch.randn_like(hidden)
    hidden.backward(gradient)
    expected.backward(gradient)
    torch.testing.assert_close(x.grad, same.grad, rtol=0, atol=1e-12)
    for one, two in zip(gru.parameters(), other.parameters()):
        torch.testing.assert_close(one.grad, two.grad, rtol=0, atol=1e-11)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            found = layers.run_gru(gru, x, mask)
        assert torch.equal(found, hidden) and not found.requires_grad
    assert torch.get_num_threads() == threads


def test_the_threads_use_autocast_and_no_other_thread_counts_change(threads):
    gru = torch.nn.GRU(8, 5, batch_first=True, bidirectional=True).train()
    x = torch.randn(len(LENGTHS), 20, 8)
    exact = layers.run_gru(gru, x, None)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = layers.run_gru(gru, x, None)
    assert 1e-5 < (rounded - exact).abs().max() < 0.1  # computed in bfloat16
    rounded.float().sum().backward()
    assert all(one.grad.dtype == torch.float32 for one in gru.parameters())
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    "options",
    [{"bidirectional": False}, {"num_layers": 2}, {"bias": False}, {"batch_first": False}],
)
def test_other_grus_are_left_to_pytorch(options):
    gru = torch.nn.GRU(8, 5, **{"bidirectional": True, "batch_first": True, **options})
    assert not parallel_gru.can_run(gru, torch.zeros(1, 2, 8))


def test_one_thread_is_left_to_pytorch():
    before = torch.get_num_threads()
    gru = torch.nn.GRU(8, 5, batch_first=True, bidirectional=True)
    try:
        torch.set_num_threads(1)
        assert not parallel_gru.can_run(gru, torch.zeros(1, 2, 8))
    finally:
        torch.set_num_threads(before)
