"""Read the tensors of files that other people published.

The tensors must be checked with `check_numbers`, because wsedtk did not write these files.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.models import checkpoint

Tensors = dict[str, Tensor]


def check_numbers(path: PathLike, tensors: Mapping[str, Tensor]) -> None:
    """Check that tensors are arrays of finite floating-point numbers.

    The batch counters of batch norm may be integers. The variances of batch norm must not be
    negative.

    Parameters
    ----------
    path : path-like
        The file from which the tensors were read, for messages.
    tensors : mapping of str to Tensor
        The tensors by name.

    Raises
    ------
    InputError
        If a tensor does not meet the conditions above. The message names the first such tensor.
    """
    for name, tensor in tensors.items():
        _check_tensor(path, name, tensor)


def _check_tensor(path: PathLike, name: str, tensor: Tensor) -> None:
    if not tensor.is_floating_point() and not name.endswith(".num_batches_tracked"):
        raise InputError(
            f"{path}: the tensor {name!r} contains {tensor.dtype}, expected floating-point numbers"
        )
    if (
        tensor.is_quantized
        or tensor.layout != torch.strided
        or tensor.is_meta
        or tensor.is_complex()
        or tensor.numel() == 0
    ):
        raise InputError(
            f"{path}: the tensor {name!r} is empty, sparse, quantized or complex; expected a plain "
            "array of real numbers"
        )
    is_negative = name.endswith(".running_var") and bool((tensor < 0).any())
    if is_negative or not torch.isfinite(tensor).all():
        raise InputError(
            f"{path}: the tensor {name!r} contains numbers that are not finite, or negative "
            "variances"
        )


def add_batch_counters(tensors: Tensors, expected: Mapping[str, Tensor]) -> None:
    """Add missing batch counters of batch norm. They are copied from `expected`.

    Old releases of PyTorch and other programs do not save these counters.
    """
    for name, tensor in expected.items():
        if name.endswith(".num_batches_tracked"):
            tensors.setdefault(name, tensor)


def read_safetensors(path: PathLike) -> Tensors:
    """Read the tensors of a safetensors file, by name.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    tensors, _ = checkpoint.load_safetensors(Path(path))
    return tensors


def read_checkpoint(path: PathLike) -> Tensors:
    """Read the tensors of a checkpoint, by name.

    The file contains a dict of tensors, either directly or under the key `model`.

    Raises
    ------
    InputError
        If the file cannot be read, or contains no tensors.
    """
    content = checkpoint.load_checkpoint(path)
    tensors = content.get("model", content) if isinstance(content, dict) else None
    if (
        not isinstance(tensors, dict)
        or not tensors
        or not all(isinstance(tensor, Tensor) for tensor in tensors.values())
    ):
        raise InputError(
            f"{path}: contains no network; expected a dict of tensors, either directly or under "
            "the key 'model'"
        )
    # torch.nn.DataParallel adds the prefix `module.` to the names.
    return {str(name).removeprefix("module."): tensor for name, tensor in tensors.items()}
