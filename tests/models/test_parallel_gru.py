"""A bidirectional GRU with one thread for each direction, compared with `torch.nn.GRU`."""

import copy
import subprocess
import sys
import threading

import pytest
import torch

from wsedtk.models import layers, parallel_gru

LENGTHS = [20, 3, 1, 7, 20, 15, 19, 2, 11]


@pytest.fixture(params=[1, 2, 4, 7])
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


def test_each_thread_computes_alone(threads):
    """The bits of the result do not depend on which thread computes a direction."""
    gru = torch.nn.GRU(64, 16, batch_first=True, bidirectional=True)
    x = torch.randn(1, 10, 64)
    with torch.inference_mode():
        first = layers.run_gru(gru, x, None)
        assert all(torch.equal(layers.run_gru(gru, x, None), first) for _ in range(200))
    seen = set()
    for _ in range(100):
        gru.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            layers.run_gru(gru, x, None).float().sum().backward()
        seen.add(b"".join(one.grad.numpy().tobytes() for one in gru.parameters()))
    assert len(seen) == 1
    assert torch.get_num_threads() == threads


def test_a_gru_with_hooks_is_left_to_pytorch(threads):
    gru, x = torch.nn.GRU(8, 5, batch_first=True, bidirectional=True), torch.zeros(1, 2, 8)
    assert parallel_gru.can_run(gru, x)
    calls = []
    handle = gru.register_forward_hook(lambda module, inputs, output: calls.append(module))
    layers.run_gru(gru, x, None)
    assert calls == [gru]
    handle.remove()
    assert parallel_gru.can_run(gru, x)
    torch.nn.utils.parametrizations.weight_norm(gru, "weight_hh_l0")
    assert not parallel_gru.can_run(gru, x)


def test_padded_frames_do_not_count(threads, mask):
    if mask is None:
        return
    gru = torch.nn.GRU(8, 5, batch_first=True, bidirectional=True)
    x = torch.randn(len(LENGTHS), 20, 8)
    expected = layers.run_gru(gru, x, mask)
    found = layers.run_gru(gru, x.masked_fill(~mask[:, :, None], torch.nan), mask)
    assert torch.equal(found, expected)
    found.sum().backward()
    assert all(torch.isfinite(one.grad).all() for one in gru.parameters())


def test_gradients_of_gradients_are_refused(threads):
    gru = torch.nn.GRU(8, 5, batch_first=True, bidirectional=True)
    x = torch.randn(1, 2, 8, requires_grad=True)
    loss = (layers.run_gru(gru, x, None) ** 2).sum()
    (first,) = torch.autograd.grad(loss, x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_a_thread_predicts_after_the_main_thread_has_ended():
    script = (
        "import threading, time, torch\n"
        "from wsedtk.models import layers\n"
        "torch.set_num_threads(2)\n"
        "gru = torch.nn.GRU(8, 5, batch_first=True, bidirectional=True)\n"
        "def work():\n"
        "    threading.main_thread().join()\n"
        "    with torch.no_grad():\n"
        "        print(layers.run_gru(gru, torch.zeros(1, 2, 8), None).shape, flush=True)\n"
        "threading.Thread(target=work).start()\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=100
    )
    assert (process.returncode, process.stdout) == (0, "torch.Size([1, 2, 10])\n"), process.stderr


def test_without_threads_the_calling_thread_computes(monkeypatch, threads):
    monkeypatch.setattr("wsedtk.models.threads._STARTED", [])

    def fail(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    gru = torch.nn.GRU(8, 5, batch_first=True, bidirectional=True)
    with torch.no_grad():
        hidden = layers.run_gru(gru, torch.zeros(1, 2, 8), None)
        torch.testing.assert_close(hidden, gru(torch.zeros(1, 2, 8))[0])
    assert torch.get_num_threads() == threads
