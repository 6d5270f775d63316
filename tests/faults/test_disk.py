"""Full disks, file size limits and read-only folders: the message names the cause.

No incomplete file is left.
"""

import contextlib
import os
import re
import resource
import shutil
import subprocess
import time

import pytest
from trials import FULL, Job, check_refusal, check_whole, complete, content, is_hidden

OUTPUTS = {
    "extract1": "all.h5",
    "extract2": "all.h5",
    "train": "model",
    "predict": "scores.h5",
    "balance": "(fit|valid)",
    "tune": "point.yaml",
    "decode": "model",
    "score": "model",
    "report": "(report.html|figures)",
}
PAGE = 4096
# Stages, and the free disk space as shares of their peak use.
FULL_DISKS = (
    [(stage, share) for stage in OUTPUTS for share in (0, 0.05, 0.3, 0.6, 0.9, 1)]
    if FULL
    else [("extract1", 0.5), ("train", 0.5), ("balance", 0.5), ("tune", 0)]
)
LIMITED = list(OUTPUTS) if FULL else ["extract1", "decode"]
READ_ONLY = list(OUTPUTS) if FULL else ["train", "tune"]
PRINTING = (
    [["score", "--json"], ["score"], ["tune"], ["balance"], ["--version"]]
    if FULL
    else [["tune"], ["--version"]]
)


@contextlib.contextmanager
def mounted(folder, *options):
    """Mount a file system on a folder, or skip the test if that is not allowed."""
    folder.mkdir(exist_ok=True)
    made = subprocess.run(
        ["mount", *map(str, options), str(folder)], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"mounting needs root: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        for _ in range(50):  # until killed processes have released it
            if subprocess.run(["umount", str(folder)], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)


def disk(folder, megabytes=64):
    """A small disk."""
    return mounted(folder, "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs")


def pages_free(folder):
    return os.statvfs(folder).f_bavail


def fill(path, pages_left):
    """Write a file that leaves `pages_left` pages of the disk free."""
    with open(path, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(pages_free(path.parent) - pages_left, 1) * PAGE)
    assert pages_free(path.parent) == pages_left


@pytest.fixture(scope="module")
def peaks():
    return {}


def peak(site, stage, folder, peaks):
    """Return the peak number of pages that a stage uses."""
    if stage not in peaks:
        with disk(folder) as there:
            site.prepare(stage, there)
            before = least = pages_free(there)
            job = Job(there, site.arguments(stage))
            while job.is_running:
                least = min(least, pages_free(there))
            assert job.end() == 0, job.stderr
            peaks[stage] = before - min(least, pages_free(there))
    return peaks[stage]


def check_nothing_half(stage, folder, before, reference):
    """Check that only earlier files, complete files and finished parts of `extract` exist."""
    check_whole(folder, reference.content, before)
    hidden = [
        p
        for p in folder.rglob("*")
        if is_hidden(p.relative_to(folder)) and ".parts" not in str(p.relative_to(folder))
    ]
    assert not hidden, f"left over: {hidden}"


def check_message(job, stage, reason):
    """Check that the command failed with a reason and named one of its outputs."""
    check_refusal(job, reason)
    assert re.search(rf"^wsedtk: (\S*/)?\.?{OUTPUTS[stage]}\b.*{reason}", job.stderr, re.M), (
        f"which file? {job.stderr}"
    )


@pytest.mark.parametrize("stage, share", FULL_DISKS)
def test_full_disk(site, tmp_path, peaks, stage, share):
    reference, arguments = site.reference(stage), site.arguments(stage)
    room = int(share * (peak(site, stage, tmp_path / "roomy", peaks) - 1)) if share else 0
    with disk(tmp_path / "disk") as there:
        folder = site.prepare(stage, there / "folder")
        before = content(folder)
        fill(there / "ballast", room)
        job = Job(folder, arguments)
        if room == 0 or job.end() != 0:
            check_message(job, stage, "No space left on device")
            check_nothing_half(stage, folder, before, reference)
        (there / "ballast").unlink()
        complete(folder, arguments, reference.content)


@pytest.mark.parametrize("stage", LIMITED)
def test_file_size_limit(site, tmp_path, stage):
    """Files can't grow beyond half of the largest output (`ulimit -f`).

    Python ignores SIGXFSZ, so writing raises an error.
    """
    reference, arguments = site.reference(stage), site.arguments(stage)
    folder = site.prepare(stage, tmp_path / "folder")
    before = content(folder)
    largest = max(
        p.stat().st_size
        for p in reference.folder.rglob("*")
        if p.is_file() and str(p.relative_to(reference.folder)) not in before
    )
    job = Job(
        folder,
        arguments,
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest // 2, largest // 2)),
    )
    check_message(job, stage, "File too large")
    check_nothing_half(stage, folder, before, reference)
    complete(folder, arguments, reference.content)


@pytest.mark.parametrize("stage", READ_ONLY)
def test_read_only_folder(site, tmp_path, stage):
    reference, arguments = site.reference(stage), site.arguments(stage)
    folder = site.prepare(stage, tmp_path / "folder")
    before = content(folder)
    with contextlib.ExitStack() as stack:
        if os.geteuid():
            for path in [folder, *(p for p in folder.rglob("*") if p.is_dir())]:
                path.chmod(0o555)
                stack.callback(path.chmod, 0o755)
            reason = "Permission denied"
        else:  # root, who is not bound by permissions
            reason = "Read-only file system"
            stack.enter_context(mounted(folder, "--bind", folder))
            subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        started = time.monotonic()
        job = Job(folder, arguments)
        check_message(job, stage, reason)
        assert (
            time.monotonic() - started
            < reference.first + 0.7 * (reference.total - reference.first) + 1
        ), "found out after the work"
        assert content(folder) == before and not [
            p for p in folder.rglob("*") if is_hidden(p.relative_to(folder))
        ]
    complete(folder, arguments, reference.content)


@pytest.mark.parametrize("command", PRINTING, ids=" ".join)
def test_results_printed_to_a_full_disk(site, tmp_path, command):
    """`wsedtk score --json > results.json` fails if the output can't be written."""
    stage, *more = command
    arguments = [stage] if stage.startswith("-") else [*site.arguments(stage), *more]
    folder = tmp_path if stage.startswith("-") else site.prepare(stage, tmp_path / "folder")
    with open("/dev/full", "wb") as full:
        check_refusal(Job(folder, arguments, stdout=full), "No space left on device")
    shutil.rmtree(folder)
