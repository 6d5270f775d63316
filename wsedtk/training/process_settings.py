"""Set and restore the process-wide settings of a training run.

The settings are PyTorch's random state, flags and number of threads, and an environment variable.
"""

import contextlib
import os
from collections.abc import Iterator

import torch

from wsedtk.core.caches import environment


def seed_cpu(seed: int) -> None:
    """Seed PyTorch's random number generator of the CPU.

    `torch.manual_seed` would also seed the generators of GPUs.
    """
    torch.default_generator.manual_seed(seed)


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Enable gradients within the block, and restore process-wide settings after it.

    The settings are the CPU's random state, the number of threads and the environment variable
    CUBLAS_WORKSPACE_CONFIG. Within the block, this variable gives cuBLAS a workspace of fixed size,
    unless the variable is already set. Without a fixed size, the sums that cuBLAS computes could
    differ from run to run. cuBLAS reads the variable when it starts on a GPU.
    """
    threads = torch.get_num_threads()
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.random.fork_rng(devices=[]))
        if "CUBLAS_WORKSPACE_CONFIG" not in os.environ:
            stack.enter_context(environment("CUBLAS_WORKSPACE_CONFIG", ":4096:8"))
        try:
            yield
        finally:
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)


@contextlib.contextmanager
def reproducible(device: torch.device, seed: int) -> Iterator[None]:
    """Seed a GPU, and make its results reproducible within the block.

    PyTorch warns of operations that are not reproducible on CUDA GPUs. The random state and the
    settings of CUDA GPUs are restored after the block. GPUs without CUDA are only seeded. If the
    device is a CPU, nothing is done, because `seed_cpu` seeds the CPU.
    """
    if device.type != "cuda":
        if device.type != "cpu":
            getattr(torch, device.type).manual_seed(seed)
        yield
        return
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.cuda.manual_seed_all(seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
            torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
