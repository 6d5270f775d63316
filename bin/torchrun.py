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

from torch.distributed import run  # noqa: E402
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
    cores = int(os.environ.get("SLURM_CPUS_PER_TASK", len(os.sched_getaffinity(0))))
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // processes)))
    logging.disable(logging.ERROR)
    signal.signal(signal.SIGUSR1, stop)
    try:
        run.run(arguments)
    except SignalException:
        return 75
    except RendezvousError as error:
        print(f"torchrun.py: no word from the machine at --rdzv-endpoint ({error})", file=sys.stderr)
        return 1
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode > 0:
            return failure.exitcode
        print(f"torchrun.py: {failure.signal_name()} ended process {failure.pid}, rank {rank}", file=sys.stderr)
        return 128 - failure.exitcode
    return 0


if __name__ == "__main__":
    sys.exit(main())
