"""Check that wsedtk computes the same on a GPU as on the CPU, and measure its speed on the GPU.

    bash tests/gpu.sh OUT

runs this script with the packages of the current environment. It writes OUT/table.md, a Markdown
table, and OUT/log.txt, all output. The exit status is 0 if no row of the table has "no" in the
column `holds`. Rows without a limit are measurements. Each part has a process of its own and a
limited time, and the script ends within eight minutes. Without a GPU, the script compares the CPU
with itself at small sizes, to check the script.
"""

import argparse
import os
import platform
import subprocess
import sys
import traceback
from pathlib import Path

import common

SECONDS = 460  # for all parts together
PARTS = {  # {name: (module, function, most seconds)}
    "networks": ("gpu_checks", "networks", 150),
    "resuming": ("gpu_checks", "resuming", 80),
    "detection": ("gpu_checks", "detection", 40),
    "extraction": ("gpu_checks", "extraction", 40),
    "training": ("gpu_speed", "training", 90),
    "sounds to events": ("gpu_speed", "sounds_to_events", 80),
    "experiments": ("gpu_speed", "experiments", 150),
}
HEADER = ("check", "compared with", "found", "limit", "holds")


def heading(device):
    """Return the lines above the table."""
    import torch

    from wsedtk.core import provenance

    place = "no GPU: toy sizes, every row computed on the CPU"
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        place = (
            f"{card.name}, {card.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}, cuDNN "
            f"{torch.backends.cudnn.version()}"
        )
    return (
        f"{place}\n\ncommit {provenance.commit()}, torch {torch.__version__}, Python "
        f"{platform.python_version()}, {os.cpu_count()} cores\n\n"
    )


def run_part(name, table, seconds):
    """Add the rows of a part. Return whether all of them hold."""
    import importlib

    import torch

    module, function, _ = PARTS[name]
    device, holds = torch.device("cuda" if torch.cuda.is_available() else "cpu"), True
    with common.temporary(None) as folder:
        try:
            part = getattr(importlib.import_module(module), function)
            for *cells, verdict in part(device, common.Deadline(seconds), folder):
                table.line(*cells, {True: "yes", False: "no", None: ""}[verdict])
                holds = holds and verdict is not False
        except Exception as error:
            traceback.print_exc()
            table.line(name, "", f"failed: {type(error).__name__}", "", "no")
            holds = False
    return holds


def run_all(out):
    """Run each part in a process of its own. Return whether all rows hold."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    out.mkdir(parents=True, exist_ok=True)
    path, holds, deadline = out / "table.md", True, common.Deadline(SECONDS)
    path.write_text(heading(device), encoding="utf-8")
    print(path.read_text(encoding="utf-8"), end="")
    table = common.Table(path)
    table.line(*HEADER)
    table.line(*["---"] * len(HEADER))
    for name, (_, _, most) in PARTS.items():
        seconds = min(most, deadline.left())
        command = [sys.executable, __file__, out, "--part", name, "--seconds", f"{seconds:.0f}"]
        try:
            # A part that waits for the GPU cannot look at the time.
            status = subprocess.run(list(map(str, command)), timeout=seconds + 15).returncode
        except subprocess.TimeoutExpired:
            table.line(name, "", f"ended after {seconds + 15:.0f} s", "", "no")
            status = 1
        holds = holds and status == 0
    return holds


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--part", choices=PARTS, help="used by this script for itself")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    if options.part is None:
        sys.exit(not run_all(options.out))
    table = common.Table(options.out / "table.md")
    sys.exit(not run_part(options.part, table, options.seconds))


if __name__ == "__main__":
    main()
