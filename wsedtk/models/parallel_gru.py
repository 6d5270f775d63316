"""Run a bidirectional GRU on a CPU with one thread for each direction.

A time step of a GRU is a product of small matrices. If several threads compute each product, they
wait for each other at each time step. On a machine that also runs other programs, the system
suspends one of the threads from time to time, and the others wait for it. Here, one thread computes
all time steps of a direction. With four or more threads, a batch of enough clips is also divided.

Array dimensions: B clips, T frames, C channels, H hidden units.
"""

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from wsedtk.models import threads

Item = TypeVar("Item")
Result = TypeVar("Result")

_SMALLEST_PART = 4  # minimum mean number of clips in the parts of a divided batch
_WEIGHTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def can_run(gru: nn.GRU, x: Tensor) -> bool:
    """Return whether `run` supports this GRU.

    A GRU with hooks is not supported, because `run` does not call the module. Weight normalisation
    and pruning use hooks or change the type of the module.
    """
    hooks = (
        gru._forward_hooks,
        gru._forward_pre_hooks,
        gru._backward_hooks,
        gru._backward_pre_hooks,
    )
    return (
        x.device.type == "cpu"
        and type(gru) is nn.GRU
        and not any(hooks)
        and gru.bidirectional
        and gru.bias
        and gru.batch_first
        and gru.num_layers == 1
        and not torch.compiler.is_compiling()
    )


def run(gru: nn.GRU, x: Tensor, mask: Tensor | None) -> Tensor:
    """Run a GRU for which `can_run` is True.

    Parameters
    ----------
    gru : torch.nn.GRU
        The GRU, with H hidden units in each direction.
    x : (B, T, C) Tensor
        The inputs.
    mask : (B, T) Tensor of bool, or None
        True for real frames, which precede the padded frames. None if all frames are real.

    Returns
    -------
    (B, T, 2 H) Tensor
        The hidden states, 0 in padded frames.
    """
    lengths = None
    if mask is not None:
        lengths = mask.sum(dim=1)
        x = x.masked_fill(~mask[:, :, None], 0)  # padded frames can be NaN
    weights = [getattr(gru, name + end) for end in ("", "_reverse") for name in _WEIGHTS]
    if torch.is_autocast_enabled("cpu"):
        # The threads do not use autocast, because all threads would share its cache of converted
        # weights. The gradients of the threads would then be added in random order.
        dtype = torch.get_autocast_dtype("cpu")
        x, weights = x.to(dtype), [weight.to(dtype) for weight in weights]
    if torch.is_grad_enabled():
        hidden: Tensor = _WithGradients.apply(x, lengths, *weights)  # type: ignore[no-untyped-call]
    else:
        hidden = _join(_in_threads(_Task.run, _tasks(x, lengths, weights)))
    return hidden if mask is None else hidden.masked_fill(~mask[:, :, None], 0)


class _Task(NamedTuple):
    """The work of a thread: one direction of the GRU, for a part of the batch.

    Attributes
    ----------
    x : (B, T, C) Tensor
        The inputs.
    lengths : (B,) Tensor of int64, or None
        The numbers of real frames. None if all frames are real.
    weights : list of Tensor
        The parameters of the direction, in the order of `_WEIGHTS`.
    is_reverse : bool
        Whether the direction begins at the last frame.
    """

    x: Tensor
    lengths: Tensor | None
    weights: list[Tensor]
    is_reverse: bool

    def run(self) -> Tensor:
        """Return the hidden states (B, T, H). In padded frames, they have no meaning."""
        x = _reverse(self.x, self.lengths) if self.is_reverse else self.x
        # For inputs that are not (T, B, C), PyTorch copies the weights once for each frame if they
        # need no gradients.
        x = x.transpose(0, 1).contiguous()
        start = x.new_zeros(1, x.shape[1], self.weights[1].shape[1])
        # The arguments after the weights: has biases, number of layers, dropout, is training, is
        # bidirectional, is batch first.
        hidden = torch.gru(x, start, self.weights, True, 1, 0.0, False, False, False)[0]
        hidden = hidden.transpose(0, 1)
        return _reverse(hidden, self.lengths) if self.is_reverse else hidden


def _reverse(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Reverse the real frames of `x` (B, T, C). Padded frames get copies of the first frame."""
    if lengths is None:
        return x.flip(1)
    frames = (lengths[:, None] - 1 - torch.arange(x.shape[1])).clamp_min(0)
    return x.gather(1, frames[:, :, None].expand(-1, -1, x.shape[2]))


def _tasks(x: Tensor, lengths: Tensor | None, weights: Sequence[Tensor]) -> list[_Task]:
    """Divide the work into tasks: for each part of the batch, the two directions."""
    num_parts = max(1, min(torch.get_num_threads() // 2, len(x) // _SMALLEST_PART))
    parts = x.chunk(num_parts)
    lengths_of_parts = [None] * len(parts) if lengths is None else lengths.chunk(num_parts)
    half = len(_WEIGHTS)
    return [
        _Task(part, lengths_of_part, list(weights[start : start + half]), start > 0)
        for part, lengths_of_part in zip(parts, lengths_of_parts)
        for start in (0, half)
    ]


def _join(hidden: Sequence[Tensor]) -> Tensor:
    """Join the results of all tasks. Return the hidden states (B, T, 2 H) of the batch."""
    pairs = zip(hidden[::2], hidden[1::2])
    return torch.cat([torch.cat(pair, dim=2) for pair in pairs])


class _WithGradients(torch.autograd.Function):
    """All tasks as one operation. The gradients are also computed by one thread per task."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, lengths: Tensor | None, *weights: Tensor) -> Tensor:
        def run_with_graph(task: _Task) -> tuple[list[Tensor], Tensor]:
            inputs = [one.detach().requires_grad_() for one in (task.x, *task.weights)]
            copy = task._replace(x=inputs[0], weights=inputs[1:])
            with torch.enable_grad():
                return inputs, copy.run()

        ctx.graphs = _in_threads(run_with_graph, _tasks(x, lengths, weights))
        return _join([hidden.detach() for _, hidden in ctx.graphs])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        graphs: list[tuple[list[Tensor], Tensor]] | None = ctx.graphs
        if graphs is None:
            raise RuntimeError("the gradients of a GRU can be computed only once (retain_graph)")
        ctx.graphs = None  # free the memory
        sizes = [len(hidden) for _, hidden in graphs[::2]]
        parts = torch.split(gradients[0], sizes)
        halves = [half for part in parts for half in part.chunk(2, dim=2)]

        def differentiate(item: tuple[tuple[list[Tensor], Tensor], Tensor]) -> tuple[Tensor, ...]:
            (inputs, hidden), gradient = item
            return torch.autograd.grad(hidden, inputs, gradient)

        found = _in_threads(differentiate, list(zip(graphs, halves)))
        of_x = torch.cat([a[0] + b[0] for a, b in zip(found[::2], found[1::2])])
        of_weights = [
            functools.reduce(torch.add, same)
            for direction in (found[::2], found[1::2])
            for same in zip(*(one[1:] for one in direction))
        ]
        return of_x, None, *of_weights


def _in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return `function(item)` for each item. Each call runs in a single thread.

    The threads use the gradient mode of the calling thread, but no autocast. If PyTorch uses only
    one thread, the calling thread computes all items.
    """
    is_inference, has_gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def work(item: Item) -> Result:
        with contextlib.ExitStack() as stack:
            if is_inference:
                stack.enter_context(torch.inference_mode())
            stack.enter_context(torch.set_grad_enabled(has_gradients))
            return function(item)

    with torch.autocast("cpu", enabled=False):
        return list(threads.in_order(work, items))
