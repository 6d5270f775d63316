"""`detect` is stopped in the middle of many recordings, and goes on where it stopped."""

import signal
import time

import pytest
from helpers import contents, write_model, write_sound
from trials import Job, repeat

NAMES = [f"{number}.wav" for number in range(6)]
# DCASE tables, except that the process waits before it formats the events of one recording.
WAITING = """
import pathlib, time
from wsedtk.data.formats.dcase import DcaseTable

class Waiting(DcaseTable):
    def text(self, recording, events):
        if recording.name == pathlib.Path("wait for").read_text():
            pathlib.Path("waits").touch()
            while True:
                time.sleep(0.01)
        return super().text(recording, events)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "m")


def visible(folder):
    """Return the contents of the files whose names do not begin with a period."""
    return {name: text for name, text in contents(folder).items() if "/." not in f"/{name}"}


@pytest.mark.parametrize("number", repeat(12, 2))
def test_detect_goes_on_where_it_stopped(run, model, tmp_path, monkeypatch, number):
    stop = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT][number % 3]
    jobs, times = (2, 2, 1, 1)[number % 4], 1 + number // 3
    for i, name in enumerate(NAMES):
        write_sound(tmp_path / "in" / name, 1.0 + i / 3, frequency=300 * (1 + i % 3), seed=i)
    (tmp_path / "waiting.py").write_text(WAITING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    command = ("detect", model, "in", "--device", "cpu", "--jobs", jobs)
    for place in range(times):
        (tmp_path / "wait for").write_text(NAMES[place + 2])
        (tmp_path / "waits").unlink(missing_ok=True)
        output = ("--output", "out/e.tsv", "--format", "waiting:Waiting", "--scores", "out/s")
        job = Job(tmp_path, [*command, *output])
        while job.is_running and not (tmp_path / "waits").exists():
            time.sleep(0.01)
        assert job.is_running, (job.end(), job.stderr)
        job.process.send_signal(stop)
        status = job.end()
        assert status == (-stop if stop == signal.SIGKILL else 75), job.stderr
        assert not job.survivors()
        if stop != signal.SIGKILL:
            assert f"stopped by {stop.name}; run the same command again" in job.stderr
            assert not list(tmp_path.rglob("*.tmp")) and "Traceback" not in job.stderr
        assert not (tmp_path / "out" / "e.tsv").exists()
        assert len((tmp_path / "out" / ".e.tsv.ledger").read_text().splitlines()) >= 4 + place
    monkeypatch.chdir(tmp_path)
    options = ("--output", "out/e.tsv", "--scores", "out/s")
    result = run(*command[:-1], 1, *options)
    assert result.exit_code == 0 and "are kept from an earlier run" in result.stderr
    assert run(*command[:-1], 1, "--output", "whole/e.tsv", "--scores", "whole/s").exit_code == 0
    expected = visible(tmp_path / "whole")
    assert visible(tmp_path / "out") == expected
    assert len(expected["e.tsv"].splitlines()) > len(NAMES)
