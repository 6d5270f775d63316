"""Disable TF32, with which GPUs round the float32 inputs of layers to 10 bits of mantissa."""

import contextlib
from collections.abc import Iterator

import torch


def _settings() -> list[tuple[object, str, object]]:
    """Return (object, name of an attribute, value that disables TF32) for each setting of TF32.

    Since PyTorch 2.9, the attributes `fp32_precision` decide whether TF32 is used. If a program
    sets them, PyTorch raises RuntimeError when `allow_tf32` is read, and `allow_tf32 = False` does
    not disable TF32.
    """
    cudnn = torch.backends.cudnn
    if not hasattr(cudnn, "conv"):
        return [(cudnn, "allow_tf32", False)]
    layers = (cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul)
    return [(layer, "fp32_precision", "ieee") for layer in layers]


@contextlib.contextmanager
def without_tf32() -> Iterator[None]:
    """Disable TF32 in convolutions, GRUs and matrix products of all threads within the block.

    PyTorch before 2.9 uses TF32 in matrix products only if the program asks for it. With these
    versions, the setting for matrix products is not changed.
    """
    with contextlib.ExitStack() as stack:
        for owner, name, value in _settings():
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)
        yield
