"""`build` is stopped by a signal, and goes on when it is run again."""

import signal
import time

import pytest
from helpers import SMALL
from trials import Job, repeat

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGKILL)


@pytest.mark.parametrize("number", repeat(20, 1))
def test_build_goes_on_where_it_stopped(run, small_set, tmp_path, monkeypatch, number):
    monkeypatch.chdir(tmp_path)
    settings = [*SMALL, "--set", "max_checkpoints=40", "--device", "cpu"]
    arguments = ["build", small_set.name, "exp/own", *settings]
    chosen, job = SIGNALS[number % len(SIGNALS)], Job(tmp_path, arguments)
    while job.is_running and not list(tmp_path.glob("exp/own/checkpoints/step*.pt")):
        time.sleep(0.01)
    job.process.send_signal(chosen)
    if chosen == signal.SIGKILL:
        assert job.end() == -chosen
    else:
        assert job.end() == 75 and "run the same command again" in job.stderr, job.stderr
    assert "Traceback" not in job.stderr and not job.survivors()
    result = run(*arguments)
    assert result.exit_code == 0 and "resuming from batch " in result.stderr, result.stderr
    assert result.stdout.count("kept from an earlier run") == 2
    assert (tmp_path / "exp/own/operating_point.yaml").exists()
    hidden = [str(path) for path in tmp_path.rglob("*") if path.name.startswith(".")]
    assert not hidden
