"""`build` is stopped by a signal, and goes on when it is run again."""

import signal
import time

import pytest
from helpers import SMALL
from trials import Job, repeat

SIGNALS = (signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGUSR1)
# An augmentation that waits after the first checkpoint, until the file `go` exists.
WAITING = """
import pathlib, time
from wsedtk.training.augmentations import Augmentation

class Waiting(Augmentation):
    def __call__(self, batch, generators):
        if list(pathlib.Path("exp/own/checkpoints").glob("step*.pt")):
            pathlib.Path("waits").touch()
            while not pathlib.Path("go").exists():
                time.sleep(0.01)
        return batch
"""


@pytest.mark.parametrize("number", repeat(20, 1))
def test_build_goes_on_where_it_stopped(run, small_set, tmp_path, monkeypatch, number):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "waiting.py").write_text(WAITING)
    settings = [*SMALL, "--set", "augmentations=[{name: waiting:Waiting}]", "--device", "cpu"]
    arguments = ["build", small_set.name, "exp/own", *settings]
    chosen, job = SIGNALS[number % len(SIGNALS)], Job(tmp_path, arguments)
    while job.is_running and not (tmp_path / "waits").exists():
        time.sleep(0.01)
    assert job.is_running, (job.end(), job.stderr)
    job.process.send_signal(chosen)
    (tmp_path / "go").touch()
    if chosen == signal.SIGKILL:
        assert job.end() == -chosen
    else:
        assert job.end() == 75 and "run the same command again" in job.stderr, job.stderr
    assert "Traceback" not in job.stderr and not job.survivors()
    result = run(*arguments)
    assert result.exit_code == 0 and "resuming from batch " in result.stderr, result.stderr
    assert result.stdout.count("kept from an earlier run") == 2
    assert (tmp_path / "exp/own/operating_point.yaml").exists()
    hidden = [str(path) for path in (tmp_path / "exp").rglob(".*")]
    assert not hidden
