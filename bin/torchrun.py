#!/usr/bin/env python3
"""Run torchrun, and exit with the status of the process that failed first.

    python3 bin/torchrun.py --standalone --nproc-per-node 2 -m wsedtk train ...

The exit status of torchrun is 1 after every failure. The exit status of this script is 75 after a
signal, because the run can then be resumed. The script forwards SIGUSR1 to the processes, as
torchrun forwards other signals. If OMP_NUM_THREADS is not set, the script divides the cores among
the processes. If a process is killed by a signal, the script prints a message.
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

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from wsedtk.core.cores import usable_cores  # noqa: E402


def stop(number, frame):
    """Forward a signal to the processes, as torchrun does with other signals."""
    raise SignalException(f"got signal {number}", signal.Signals(number))


def main():
    """Run torchrun, and return the exit status."""
    arguments = run.parse_args(None)
    processes = run.determine_local_world_size(arguments.nproc_per_node)
    cores = usable_cores()
    cores = min(cores, int(os.environ.get("SLURM_CPUS_PER_TASK", cores)))
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // processes)))
    # The seconds that a process has to save its work. A cluster gives the job one minute.
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "55")
    logging.disable(logging.ERROR)
    signal.signal(signal.SIGUSR1, stop)
    try:
        run.run(arguments)
    except SignalException:
        return 75
    except (RendezvousError, DistError) as error:
        print(
            f"torchrun.py: the machines did not connect ({type(error).__name__} {error}); "
            "check that torchrun.py runs on all --nnodes machines, and that the port of "
            "--rdzv-endpoint is free; on one machine, use --standalone",
            file=sys.stderr,
        )
        return 1
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode > 0:
            return failure.exitcode
        print(
            f"torchrun.py: {failure.signal_name()} ended process {failure.pid}, rank {rank}; "
            "run the same command again to resume",
            file=sys.stderr,
        )
        return 128 - failure.exitcode
    return 0


if __name__ == "__main__":
    sys.exit(main())
