"""The allocator of the C library keeps freed memory only in processes of wsedtk."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="needs the GNU C library, whose allocator is tested"
)

# 30 times, write 64 MiB of new memory. Print the number of page faults.
SCRIPT = """
import resource
from wsedtk.core import allocator
if CLAIM:
    allocator.claim_process()
allocator.keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(30):
    bytearray(b"x") * (64 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(is_claimed, **variables):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("CLAIM", str(is_claimed))],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert process.returncode == 0, process.stderr
    return int(process.stdout)


def test_freed_memory_is_used_again_in_own_processes_only():
    pages = (64 << 20) // os.sysconf("SC_PAGE_SIZE")
    assert page_faults(True) < 3 * pages
    assert page_faults(False) > 15 * pages
    assert page_faults(True, MALLOC_MMAP_THRESHOLD_="65536") > 15 * pages  # the user decides
