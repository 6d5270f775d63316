"""Two processes with one output: the second fails at once and names the first."""

import re
import time

import pytest
from trials import Job, check_refusal, check_same, listing, repeat, some, wait_for_change

STAGES = ["extract1", "extract2", "train", "predict"]


@pytest.mark.parametrize("stage", some(STAGES, 1))
def test_the_second_refuses(site, tmp_path, stage):
    reference, arguments = site.reference(stage), site.arguments(stage)
    first = Job(tmp_path, arguments)
    wait_for_change(first, tmp_path, first.before)
    while first.is_running and not list(tmp_path.rglob(".*lock")):
        time.sleep(0.002)
    first.process.send_signal(
        19
    )  # SIGSTOP: it stays in the middle of its work while the second runs
    assert first.is_running
    before = listing(tmp_path)
    try:
        second = Job(tmp_path, arguments)
        check_refusal(second, f"process {first.process.pid} on ", "is in use by")
        assert time.monotonic() - second.started < reference.total + 5
        assert listing(tmp_path) == before
    finally:
        first.process.send_signal(18)  # SIGCONT
    status = first.end()
    assert status == 0, first.stderr
    check_same(tmp_path, reference.content)


@pytest.mark.parametrize("number", repeat(10, 1))
@pytest.mark.parametrize("stage", some(STAGES[1:], 1))
def test_started_together(site, tmp_path, stage, number):
    """Each process completes, or fails and names the other one; at least one completes."""
    reference, arguments = site.reference(stage), site.arguments(stage)
    jobs = [Job(tmp_path, arguments) for _ in range(3)]
    statuses = [job.end() for job in jobs]
    assert 0 in statuses, jobs[0].stderr
    for job in jobs:
        if job.end() != 0:
            check_refusal(job, "is in use by")
            assert int(re.search(r"process (\d+) on ", job.stderr)[1]) in {
                other.process.pid for other in jobs if other is not job
            }
    check_same(tmp_path, reference.content)


def test_the_lock_of_a_killed_process_is_no_obstacle(site, tmp_path):
    reference, arguments = site.reference("train"), site.arguments("train")
    first = Job(tmp_path, arguments)
    wait_for_change(first, tmp_path, first.before)
    first.process.kill()
    first.end()
    second = Job(tmp_path, arguments)
    assert second.end() == 0, second.stderr
    check_same(tmp_path, reference.content)
