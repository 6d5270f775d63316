"""The number of CPU cores that this process may use.

The standard library does not read cgroup limits. `joblib.cpu_count` does, but rounds up and reads
only the limit of a whole container.
"""

import contextlib
import itertools
import math
import os
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_is_limited = False  # whether `configure_openmp` has set OMP_NUM_THREADS


def usable_cores() -> int:
    """Return the number of cores that this process may use, at least 1.

    This is the number of cores in the CPU affinity mask (`taskset`). If a cgroup limits the CPU
    time of this process to fewer cores, this limit, rounded down, is returned instead. For example,
    a process in a container with 1.5 cores may use one core.
    """
    return max(1, min([_affinity(), *map(math.floor, _cgroup_limits())]))


def configure_openmp() -> None:
    """Set environment variables of OpenMP. Call this before numpy or PyTorch is imported.

    OMP_NUM_THREADS is set to the number of usable cores if a cgroup limits this number. OpenMP and
    OpenBLAS respect the affinity mask, but not cgroups.

    GOMP_SPINCOUNT limits how long a waiting thread keeps its core busy. By default, this time is so
    long that other programs can't use the core. GNU OpenMP itself shortens this time if it starts
    more threads than there are cores, but it does not know how many cores other programs use.
    Therefore this function sets the value 1000, unless the user has set OMP_WAIT_POLICY.

    Variables that the user has set are not changed.
    """
    global _is_limited
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    cores = usable_cores()
    if cores < _affinity() and "OMP_NUM_THREADS" not in os.environ:
        os.environ["OMP_NUM_THREADS"] = str(cores)
        _is_limited = True


def user_sets_threads() -> bool:
    """Return whether the user has set OMP_NUM_THREADS."""
    return "OMP_NUM_THREADS" in os.environ and not _is_limited


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cgroup_limits() -> Iterator[float]:
    """Yield the limits of the cgroups of this process, as numbers of cores.

    Cgroups without a limit are skipped. A cgroup is also limited by the cgroups that contain it.
    Inside a container, a path from /proc/self/cgroup may not exist. The files in the root folder
    of the cgroups then describe the container.
    """
    try:
        lines = _OWN_CGROUPS.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            roots, files = [_CGROUPS, _CGROUPS / "unified"], ["cpu.max"]
        elif "cpu" in controllers.split(","):  # version 1
            roots = [_CGROUPS / controllers, _CGROUPS / "cpu"]
            files = ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        else:
            continue
        own = Path(path.lstrip("/"))
        for root, folder in itertools.product(roots, [own, *own.parents]):
            yield from _ratio(*(root / folder / file for file in files))


def _ratio(*files: Path) -> Iterator[float]:
    """Yield the ratio of the two numbers in the files of a cgroup.

    Yield nothing if the cgroup has no limit. The first number is then "max" or -1. Also yield
    nothing if the files can't be read.
    """
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = " ".join(file.read_text() for file in files).split()
        if int(quota) > 0:
            yield int(quota) / int(period)
