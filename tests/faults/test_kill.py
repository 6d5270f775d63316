"""Stages that are killed at random moments: no incomplete file is taken for complete.

The same command then gives the undisturbed result.
"""

import contextlib
import os
import signal
import time

import numpy as np
import pytest
from trials import Job, check_same, check_whole, complete, listing, repeat, strike_at

STAGES = ["extract", "train", "predict"]


def variant(stage, number):
    """Run `extract` with one process and with two processes in alternation."""
    return f"{stage}{1 + number % 2}" if stage == "extract" else stage


@pytest.mark.parametrize("number", repeat(20, 3))
@pytest.mark.parametrize("stage", STAGES)
def test_kill(site, tmp_path, stage, number):
    """Kill it once, twice or three times."""
    reference, arguments = (of(variant(stage, number)) for of in (site.reference, site.arguments))
    generator = np.random.default_rng([STAGES.index(stage), number])
    for again in range(1 + number // 2 % 3):
        job = Job(tmp_path, arguments)
        strike_at(job, reference, (number + again, generator.random()), tmp_path)
        job.process.kill()
        job.end()
        assert not job.survivors(), "processes are left"
        check_whole(tmp_path, reference.content)
    complete(tmp_path, arguments, reference.content)


@pytest.mark.parametrize("number", repeat(20, 2))
@pytest.mark.parametrize("stage", STAGES)
def test_signal(site, tmp_path, stage, number):
    """Send SIGTERM, SIGINT or SIGUSR1 to the process, or to its group as terminals do.

    In the first tenths of a second, before Python runs the command line, and while Python shuts
    down, the system ends the process itself, and the exit status is the signal. After the last
    write, the exit status may also be 0.
    """
    reference, arguments = (of(variant(stage, number)) for of in (site.reference, site.arguments))
    generator = np.random.default_rng([STAGES.index(stage), number, 1])
    chosen = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)[(number + STAGES.index(stage)) % 3]
    job = Job(tmp_path, arguments)
    strike_at(job, reference, (number, generator.random()), tmp_path)
    seconds = time.monotonic() - job.started
    with contextlib.suppress(ProcessLookupError):  # it may have ended
        (os.kill if number // 2 % 2 else os.killpg)(job.process.pid, chosen)
    status = job.end()
    assert "Traceback" not in job.stderr or seconds < 0.5, job.stderr
    if status == -chosen and listing(tmp_path) == job.before:
        assert seconds < 0.5, f"{chosen.name} after {seconds:.2f} s was not caught"
    elif status in (0, -chosen):
        check_same(tmp_path, reference.content)
    else:
        assert status == 75 and "the same command again" in job.stderr, (
            f"{chosen.name}: exit status {status}\n{job.stderr}"
        )
    assert not job.survivors(), "processes are left"
    check_whole(tmp_path, reference.content)
    complete(tmp_path, arguments, reference.content)
