"""Settings of the memory allocator of the C library."""

import ctypes
import os

# Parameters of `mallopt` (malloc.h of the GNU C library).
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8
_is_own_process = False  # whether this process was started as a command of wsedtk


def claim_process() -> None:
    """Allow `keep_freed_memory` to change the settings of this process."""
    global _is_own_process
    _is_own_process = True


def keep_freed_memory() -> None:
    """Make the allocator keep the freed memory of large arrays for later arrays.

    By default, it returns this memory to the system. For the next array, the system then provides
    memory that is filled with zeros, page by page. In the computations of a network, this takes up
    to half of the time. The kept memory becomes fragmented. Therefore a training run needs up to
    twice as much memory as with the default.

    Nothing is changed in a process that does not belong to wsedtk (see `claim_process`), without
    the GNU C library, or if the user has set an environment variable of the allocator.
    """
    variables = [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_TUNABLES"))]
    if not _is_own_process or variables:
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or Windows
        return
    mallopt(_M_ARENA_MAX, 1)  # otherwise, freed memory of other threads is returned to the system
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, -1)
