#!/usr/bin/env python3
"""torchrun that ends with the exit status of the process that failed first, where its own is always 1.

    python3 bin/torchrun.py --standalone --nproc-per-node 2 -m wsedtk train ...

So 75, stopped by a signal and to be run again, is told from failure. SIGUSR1 is passed on too, and each process computes with its share
of the cores where OMP_NUM_THREADS does not say with how many. How a process ended it tells itself, or is told here in a line.
"""

import logging
import os
import signal
import sys

os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # read when torch is imported

from torch.distributed import DistError, run  # noqa: E402
from torch.distributed.elastic.multiprocessing import SignalException  # noqa: E402
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # noqa: E402
from torch.distributed.elastic.rendezvous import RendezvousError  # noqa: E402


def stop(number, frame):
    """Pass a signal on, as torchrun does with others."""
    raise SignalException(f"got signal {number}", signal.Signals(number))


def main():
    """Run torchrun. Returns the exit status."""
    arguments = run.parse_args(None)
    processes = run.determine_local_world_size(arguments.nproc_per_node)
    cores = len(os.sched_getaffinity(0))
    cores = min(cores, int(os.environ.get("SLURM_CPUS_PER_TASK", cores)))
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // processes)))
    os.environ.setdefault(
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "55"
    )  # s that a process has to save its work; a cluster gives a minute
    logging.disable(logging.ERROR)
    signal.signal(signal.SIGUSR1, stop)
    try:
        run.run(arguments)
    except SignalException:
        return 75
    except (RendezvousError, DistError) as error:
        print(
            f"torchrun.py: the machines did not come together ({type(error).__name__} {error}): does torchrun run on all --nnodes, "
            "and is the port of --rdzv-endpoint free? --standalone is for one machine",
            file=sys.stderr,
        )
        return 1
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode > 0:
            return failure.exitcode
        print(
            f"torchrun.py: {failure.signal_name()} ended process {failure.pid}, rank {rank}; give the same command again to go on",
            file=sys.stderr,
        )
        return 128 - failure.exitcode
    return 0


if __name__ == "__main__":
    sys.exit(main())
