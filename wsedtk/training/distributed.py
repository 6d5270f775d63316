"""Communication between the processes of a training run. torchrun starts these processes.

The library gloo exchanges values between CPUs. Between GPUs, the library NCCL exchanges gradients,
the statistics of batch norm and other tensors.
"""

import contextlib
import datetime
import logging
import os
import platform
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from wsedtk.core.errors import InputError, NotFinished
from wsedtk.core.process_rank import rank_and_size
from wsedtk.core.signals import StopSignals
from wsedtk.inference.network_runner import pick_device
from wsedtk.models.layers import Network, Output

if TYPE_CHECKING:  # torch.distributed does not export `Store` to type checkers
    from torch._C._distributed_c10d import Store

_LOG = logging.getLogger(__name__)


# A key in the store that the processes share. Each process that calls `_tell_once` adds 1 to its
# value.
_TOLD = "told"
_PATIENCE = datetime.timedelta(seconds=2)

Value = TypeVar("Value")
Number = TypeVar("Number", float, torch.Tensor)


class _Sliceable(Protocol):
    def __getitem__(self, key: slice, /) -> Any: ...


Items = TypeVar("Items", bound=_Sliceable)


class Group:
    """The processes of a training run. This base class is for a run in one process.

    Attributes
    ----------
    rank : int
        The number of this process, from 0.
    size : int
        The number of processes.
    """

    rank = 0
    size = 1

    def share(self, items: Items) -> Items:
        """Return this process's share of the items of an array, a tensor or a sequence."""
        share: Items = items[self.rank :: self.size]
        return share

    def total(self, value: Number) -> Number:
        """Return the sum of a number or tensor over the processes."""
        return value

    def highest(self, numbers: list[float]) -> list[float]:
        """Return the maximum of each number over the processes."""
        return numbers

    def gather(self, value: Value) -> list[Value]:
        """Return the values of all processes, ordered by rank."""
        return [value]

    def first(self, function: Callable[[], Value]) -> Value:
        """Call a function only in rank 0, and return its result in all processes.

        If the function raises InputError or NotFinished, all processes raise this exception.
        """
        return function()

    def align(self, network: torch.nn.Module) -> None:
        """Copy the buffers of a network from rank 0 to all processes.

        The weights are already the same in all processes.
        """

    def device(self, name: str) -> torch.device:
        """Return the device of this process for a name such as "auto", "cpu" or "cuda".

        Raises
        ------
        InputError
            If the device can't be used.
        """
        return pick_device(name, "device")

    def wrap(self, network: Network, device: torch.device, with_frames: bool) -> torch.nn.Module:
        """Return the module that each process calls in the forward pass.

        Parameters
        ----------
        network : Network
            The network. The returned module has the same weights.
        device : torch.device
            The device of this process.
        with_frames : bool
            Whether the loss depends on the frame probabilities.
        """
        return network


class _LossOutputs(torch.nn.Module):
    """A network that detaches or removes the outputs that the loss does not use.

    Frame probabilities are detached if the loss does not depend on them. Frame weights are replaced
    by None. The documentation of older PyTorch releases warns that DDP would otherwise wait
    endlessly for the gradients of the parameters from which these outputs are computed.
    """

    def __init__(self, network: Network, with_frames: bool) -> None:
        super().__init__()
        self.network, self.with_frames = network, with_frames

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> Output:
        output = self.network(x, mask)
        frame = output.frame if self.with_frames else output.frame.detach()
        return Output(output.clip, frame, None, output.mask)


class Several(Group):
    """The processes of a training run that has several processes. See `Group`.

    Parameters
    ----------
    rank, size : int
        The number of this process, and the number of processes.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    def total(self, value: Number) -> Number:
        """Return the sum of a number or tensor over the processes, computed in float64."""
        summed = torch.as_tensor(value).detach().to("cpu", torch.float64, copy=True)
        dist.all_reduce(summed)
        if isinstance(value, torch.Tensor):
            return summed.to(value)
        return summed.item()

    def highest(self, numbers: list[float]) -> list[float]:
        """Return the maximum of each number over the processes."""
        found = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        highest: list[float] = found.tolist()
        return highest

    def gather(self, value: Value) -> list[Value]:
        """Return the values of all processes, ordered by rank."""
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def first(self, function: Callable[[], Value]) -> Value:
        """Call a function only in rank 0, and return its result in all processes."""
        result: list[Any] = [None, None]  # the value, and the exception
        if self.rank == 0:
            try:
                result[0] = function()
            except (InputError, NotFinished) as error:
                result[1] = error
        dist.broadcast_object_list(result)
        if result[1] is not None:
            raise result[1]
        value: Value = result[0]
        return value

    def align(self, network: torch.nn.Module) -> None:
        """Copy the buffers of a network from rank 0 to all processes."""
        for buffer in network.buffers():
            dist.broadcast(buffer, 0)

    def device(self, name: str) -> torch.device:
        """Return the CPU, or the GPU whose index is the local rank of this process."""
        if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
            return pick_device("cpu", "device")
        if name not in ("auto", "cuda"):
            raise InputError(
                f"device {name}: the {self.size} processes use one GPU each; "
                "set device to cuda or cpu, or omit it"
            )
        processes, gpus = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if processes > gpus > 0:
            raise InputError(
                f"{platform.node()}: {processes} processes need {processes} GPUs, but the number "
                f"of GPUs is {gpus}; use torchrun --nproc-per-node {gpus}, or device cpu"
            )
        device = pick_device(f"cuda:{int(os.environ['LOCAL_RANK'])}", "device")
        torch.cuda.set_device(device)
        return device

    def wrap(self, network: Network, device: torch.device, with_frames: bool) -> torch.nn.Module:
        """Return a DDP module, which averages gradients over the processes.

        On GPUs, batch norm uses the statistics of the whole batch.
        """
        if device.type == "cuda":
            convert = torch.nn.SyncBatchNorm.convert_sync_batchnorm
            convert(network)  # type: ignore[no-untyped-call]  # torch does not annotate it
        elif any(
            isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
            for module in network.modules()
        ):
            _LOG.warning(
                "on CPUs, batch norm uses the statistics of each process's share of a batch; the "
                "model will differ from a model that is trained in one process or on GPUs"
            )
        # With find_unused_parameters, DDP does not reorder the parameters after the first batch.
        # A new order would change the rounding errors of sums over three or more processes, and the
        # result would depend on the batch at which a run is resumed.
        return torch.nn.parallel.DistributedDataParallel(
            _LossOutputs(network, with_frames), find_unused_parameters=True
        )


def _is_loss(error: BaseException) -> bool:
    """Return whether an exception means that communication between processes failed."""
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error)
    )


def _why_lost(error: BaseException, size: int, is_joined: bool) -> str:
    """Return the message for an exception which means that communication has failed.

    `is_joined` is True if the processes were connected before the exception.
    """
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    if not is_joined:
        return (
            f"the {size} processes of this run can't connect ({reason}); set the network "
            "interface with GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME"
        )
    if isinstance(error, dist.DistBackendError) and "remote" not in reason.lower():
        return (
            f"the GPUs of this training run can't communicate ({reason}); "
            "set NCCL_DEBUG=INFO for details"
        )
    return (
        f"another of the {size} processes of this training run has ended ({reason}); to resume "
        "from the last checkpoint, run the same command again without overwrite (--overwrite)"
    )


def _connect(device: str, rank: int, size: int) -> "Store":
    """Join the group of processes. Return the store that the processes share.

    Another thread makes the connection. Python calls signal handlers while the main thread waits
    for another thread, but not while the main thread waits for torch.
    """
    connected: Future[Store] = Future()

    def connect() -> None:
        try:
            store, _, _ = next(rendezvous("env://"))
            on_cpu = device == "cpu" or not torch.cuda.is_available()
            backend = "gloo" if on_cpu else "cpu:gloo,cuda:nccl"
            dist.init_process_group(backend, store=store, rank=rank, world_size=size)
        except BaseException as error:
            connected.set_exception(error)
        else:
            connected.set_result(store)

    threading.Thread(target=connect, daemon=True).start()
    return connected.result()


def _tell_once(
    store: "Store | None", message: str | None, stop_signals: StopSignals, *, patiently: bool
) -> None:
    """Log why the training run ends, unless another process has logged it.

    Parameters
    ----------
    store : Store or None
        The store that the processes share, if they are connected.
    message : str or None
        The message. None if the exception of this process is printed later.
    stop_signals : StopSignals
        A function that returns a context manager. Within this context, connected processes log the
        message. The context manager can handle the signals that torchrun may send meanwhile.
    patiently : bool
        Whether to wait up to two seconds first, so that rank 0 can report the end of the run.
    """
    told = 0
    if store is None:
        _LOG.error(message)
        return
    with stop_signals():
        with contextlib.suppress(RuntimeError):
            if patiently:
                with contextlib.suppress(RuntimeError):
                    store.wait([_TOLD], _PATIENCE)
            told = store.add(_TOLD, 1) - 1
        if not told and message is not None:
            _LOG.error(message)


@contextlib.contextmanager
def joining(device: str, stop_signals: StopSignals) -> Iterator[Group]:
    """Yield the group of the processes that torchrun started, or a group of one process.

    Within the block, ranks other than 0 print nothing. If the block raises InputError or
    NotFinished in these ranks, the exception is raised again without a message. If rank 0 does not
    report why the run ends, one of these ranks logs the message of its exception.

    Parameters
    ----------
    device : str
        The name of the device, as in `Group.device`.
    stop_signals : StopSignals
        A function that returns a context manager. Within this context, connected processes log why
        the run ends. The context manager can handle the signals that arrive meanwhile.

    Raises
    ------
    InputError
        If the processes can't connect, or if they can no longer communicate, for example because
        another process has ended. The reason is logged, and the exception has no message.
    """
    rank, size = rank_and_size()
    if size == 1:
        yield Group()
        return
    store = None
    try:
        store = _connect(device, rank, size)
        with (
            open(os.devnull, "w", encoding="utf-8") as nowhere,
            contextlib.redirect_stdout(nowhere if rank else sys.stdout),
            contextlib.redirect_stderr(nowhere if rank else sys.stderr),
        ):
            yield Several(rank, size)
    except BaseException as error:
        where = f"rank {rank} of {size} on {platform.node()}: " if rank else ""
        if _is_loss(error):
            reason = _why_lost(error, size, dist.is_initialized())
            _tell_once(store, where + reason, stop_signals, patiently=False)
            raise InputError("") from error
        if rank and isinstance(error, (InputError, NotFinished)):
            _tell_once(store, f"{where}{error}", stop_signals, patiently=True)
            raise type(error)("") from error
        if store is not None and (rank == 0 or isinstance(error, Exception)):
            _tell_once(store, None, stop_signals, patiently=False)
        raise
    dist.destroy_process_group()
