"""The processes of one training, which torchrun starts, and what they tell each other.

What they tell goes from CPU to CPU, by gloo; gradients, and what batch norm sums, go by NCCL between GPUs.
"""

import contextlib
import datetime
import os
import platform
import signal
import sys

import torch
import torch.distributed as dist

from wsedtk.core.errors import InputError, NotFinished
from wsedtk.core.process_rank import rank_and_size
from wsedtk.core.progress import say
from wsedtk.core.signals import handled, noted
from wsedtk.inference.network_runner import pick_device
from wsedtk.models.layers import Output

_TOLD = "told"  # in the store that the processes share: how many have said, or were about to say, why the training ends
_PATIENCE = datetime.timedelta(seconds=2)


class Group:
    """A training in a single process: what several would tell each other it knows."""

    rank, size = 0, 1

    def share(self, items):
        """This process's share of items that can be sliced."""
        return items[self.rank :: self.size]

    def total(self, value):
        """The sum over the processes of a number or tensor, taken in float64."""
        return value

    def highest(self, numbers):
        """The highest over the processes of each of some numbers, as a list."""
        return numbers

    def gather(self, value):
        """Every process's value, by rank."""
        return [value]

    def first(self, function):
        """What a function returns that rank 0 alone calls. InputError and NotFinished are raised by all."""
        return function()

    def align(self, network):
        """Give a network, in every process, the buffers that it has in rank 0; its weights are the same in all."""

    def device(self, name):
        """The torch device of `--device`. Raises InputError where it can't be used."""
        return pick_device(name)

    def wrap(self, network, device, with_frames):
        """The network as the training's forward pass runs it, over all processes; the weights are those of the network.

        with_frames: whether the loss is of the frames too.
        """
        return network


class _InTheLoss(torch.nn.Module):
    """A network whose output leads back to what the loss depends on alone: of the rest DDP would wait for gradients that never come."""

    def __init__(self, network, with_frames):
        super().__init__()
        self.network, self.with_frames = network, with_frames

    def forward(self, x, mask):
        output = self.network(x, mask)
        return Output(
            output.clip,
            output.frame if self.with_frames else output.frame.detach(),
            None,
            output.mask,
        )


class Several(Group):
    """A training in several processes."""

    def __init__(self, rank, size):
        self.rank, self.size = rank, size

    def total(self, value):
        """See Group."""
        summed = torch.as_tensor(value).detach().to("cpu", torch.float64, copy=True)
        dist.all_reduce(summed)
        return summed.to(value) if isinstance(value, torch.Tensor) else summed.item()

    def highest(self, numbers):
        """See Group."""
        found = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return found.tolist()

    def gather(self, value):
        """See Group."""
        values = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def first(self, function):
        """See Group."""
        result = [None, None]
        if self.rank == 0:
            try:
                result[0] = function()
            except (InputError, NotFinished) as error:
                result[1] = error
        dist.broadcast_object_list(result)
        if result[1] is not None:
            raise result[1]
        return result[0]

    def align(self, network):
        """See Group."""
        for buffer in network.buffers():
            dist.broadcast(buffer, 0)

    def device(self, name):
        """See Group: of the machine's GPUs the one of this process's number."""
        if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
            return pick_device("cpu")
        if name not in ("auto", "cuda"):
            raise InputError(
                f"--device {name}: each of the {self.size} processes takes a GPU of its own; leave it out, or give cpu"
            )
        number, processes, gpus = (
            int(os.environ["LOCAL_RANK"]),
            int(os.environ["LOCAL_WORLD_SIZE"]),
            torch.cuda.device_count(),
        )
        if processes > gpus > 0:
            raise InputError(
                f"{platform.node()}: {processes} processes, and GPUs for {gpus}; give torchrun --nproc-per-node {gpus}, "
                "or train with --device cpu"
            )
        device = pick_device(f"cuda:{number}")
        torch.cuda.set_device(device)
        return device

    def wrap(self, network, device, with_frames):
        """See Group: gradients become the mean over the processes; batch norm is of the whole batch on GPUs."""
        if device.type == "cuda":
            torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
        elif any(
            isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
            for module in network.modules()
        ):
            say(
                "warning: on CPUs batch norm uses each process's own part of a batch, not the whole: the model will be another than "
                "that of one process, or of GPUs"
            )
        # So it does not sort parameters anew after the first batch: three processes' sums would depend on where a run was resumed.
        return torch.nn.parallel.DistributedDataParallel(
            _InTheLoss(network, with_frames), find_unused_parameters=True
        )


def _is_loss(error):
    """Whether an exception says that another process can't be reached."""
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error)
    )


def _why_lost(error, size, is_joined):
    """What to tell the user of such an exception."""
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    if not is_joined:
        return (
            f"the {size} processes of this training can't reach each other ({reason}); GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME name "
            "the network interface to take"
        )
    if isinstance(error, dist.DistBackendError) and "remote" not in reason.lower():
        return f"the GPUs of this training can't work together ({reason}); NCCL_DEBUG=INFO in the environment tells more"
    return (
        f"another of the {size} processes of this training is gone; give the same command again, and it goes on from the last "
        f"checkpoint ({reason})"
    )


def _tell_once(store, message, patiently):
    """Print why the training ends where no other process has; None: that is printed later. patiently: rank 0 has a moment to do it.

    store: what they share, where they have one yet.
    """
    told = 0
    if store is None:
        say(f"wsedtk: {message}")
        return
    with noted():  # torchrun ends this process meanwhile
        with contextlib.suppress(RuntimeError):
            if patiently:
                with contextlib.suppress(RuntimeError):
                    store.wait([_TOLD], _PATIENCE)
            told = store.add(_TOLD, 1) - 1
        if not told and message is not None:
            say(f"wsedtk: {message}")


@contextlib.contextmanager
def joining(device):
    """Yield the Group of this process and of those that torchrun started beside it; device: the name as `--device` gives it.

    In the block all but rank 0 are silent. Why the training ends one process says: where the block raises InputError or NotFinished in
    several, rank 0; the others raise it without a message. InputError too where another process is lost.
    """
    rank, size = rank_and_size()
    if size == 1:
        yield Group()
        return
    store = None
    try:
        with handled(
            signal.SIG_DFL
        ):  # no handler is called while a process that never comes is waited for
            store, _, _ = next(dist.rendezvous("env://"))
            dist.init_process_group(
                "gloo"
                if device == "cpu" or not torch.cuda.is_available()
                else "cpu:gloo,cuda:nccl",
                store=store,
                rank=rank,
                world_size=size,
            )
        with (
            open(os.devnull, "w", encoding="utf-8") as nowhere,
            contextlib.redirect_stdout(nowhere if rank else sys.stdout),
            contextlib.redirect_stderr(nowhere if rank else sys.stderr),
        ):
            yield Several(rank, size)
    except BaseException as error:
        where = f"rank {rank} of {size} on {platform.node()}: " if rank else ""
        if _is_loss(error):
            _tell_once(
                store, where + _why_lost(error, size, dist.is_initialized()), patiently=False
            )
            raise InputError("") from error
        if rank and isinstance(error, (InputError, NotFinished)):
            _tell_once(store, f"{where}{error}", patiently=True)
            raise type(error)("") from error
        if store is not None and (rank == 0 or isinstance(error, Exception)):
            _tell_once(store, None, patiently=False)
        raise
    dist.destroy_process_group()
