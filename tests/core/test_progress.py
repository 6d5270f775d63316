import logging
import subprocess
import sys

import pytest

from wsedtk.cli.messages import printed
from wsedtk.core import progress

LOG = logging.getLogger("wsedtk.of_a_test")


@pytest.fixture
def clock(monkeypatch):
    """A clock that advances by `clock.step` seconds per item."""

    class Clock:
        step, now = 1.0, 0.0

        def tick(self, items):
            for item in items:
                self.now += self.step
                yield item

    made = Clock()
    monkeypatch.setattr(progress.time, "monotonic", lambda: made.now)
    return made


@pytest.mark.parametrize(
    "step, count, lines",
    [
        (0.001, 100, 0),
        (10, 100, 5),
        (10, 3, 3),
        (1, 100, 5),
        (1, 10, 2),
        (10, 1, 1),
        (10, 0, 0),
    ],
)
def test_lines_of_a_batch_log(capsys, clock, step, count, lines):
    clock.step = step
    items = clock.tick(range(count))
    with printed():
        assert list(progress.progress(items, "read é", count)) == list(range(count))
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == lines
    assert not lines or err.splitlines()[-1] == f"read é: {count} of {count}, {step * count:.0f} s"


def test_the_total_is_the_length(capsys, clock):
    clock.step = 10
    with printed():
        for _ in progress.progress([7, 8], "x"):
            clock.now += 10
    assert "x: 2 of 2" in capsys.readouterr().err


def test_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with printed():
        assert list(progress.progress(iter("abc"), "read", 3)) == list("abc")
    out, err = capsys.readouterr()
    assert out == "" and "read" in err and "3" in err


def test_a_failing_loop_raises_its_error(clock):
    def items():
        yield 1
        raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        list(progress.progress(items(), "x", 2))


def test_lines_of_a_command(capsys, caplog):
    with printed():
        LOG.info("one é")
        LOG.warning("an odd\x1b one: 100 %s")
        LOG.debug("more")
        logging.getLogger("wsedtk.models").warning("from %s", "a child")
    expected = "one é\nwarning: an odd\\x1b one: 100 %s\nwarning: from a child\n"
    assert capsys.readouterr() == ("", expected) and caplog.records == []


def test_quiet_prints_only_warnings_and_errors(capsys, monkeypatch, clock):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    clock.step = 10
    with printed("quiet"):
        assert list(progress.progress(clock.tick(range(100)), "read", 100)) == list(range(100))
        LOG.info("a note: no warning")
        LOG.warning("odd")
        LOG.error("why it ends")
        LOG.debug("more")
    assert capsys.readouterr() == ("", "warning: odd\nwsedtk: why it ends\n")
    LOG.info("a note")
    assert capsys.readouterr() == ("", "")


def test_details_when_verbose(capsys):
    with pytest.raises(KeyError, match="x"), printed("verbose"):
        LOG.info("a note")
        LOG.debug("more")
        raise KeyError("x")
    LOG.debug("and more")
    assert capsys.readouterr() == ("", "a note\nmore\n")


def test_progress_of_a_library_function_is_logged(capsys, caplog, monkeypatch, clock):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    clock.step = 10
    caplog.set_level(logging.DEBUG)
    assert list(progress.progress(clock.tick(range(3)), "read", 3)) == [0, 1, 2]
    LOG.info("a \x1bnote")
    LOG.warning("odd: 100 %s")
    LOG.error("why it ends")
    LOG.debug("more")
    with progress.progress_in_time("heard", 10) as tell:
        clock.now += 10
        tell(10)
    assert capsys.readouterr() == ("", "")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "read: 1 of 3, 10 s"),
        ("INFO", "read: 2 of 3, 20 s"),
        ("INFO", "read: 3 of 3, 30 s"),
        ("INFO", "a \x1bnote"),
        ("WARNING", "odd: 100 %s"),
        ("ERROR", "why it ends"),
        ("DEBUG", "more"),
        ("INFO", "heard: 0:00:10 of 0:00:10, 1 x real time"),
    ]
    assert {r.name for r in caplog.records} == {LOG.name, "wsedtk.core.progress"}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_without_logging_nothing_is_printed(method, tmp_path):
    """Neither by the library nor by its worker processes."""
    code = f"""
import logging, multiprocessing, wsedtk
from wsedtk.core import errors  # whose folder sets up logging
def work(number):
    logging.getLogger("wsedtk").warning(str(number))
if __name__ == "__main__":
    logging.getLogger("wsedtk").warning("here")
    process = multiprocessing.get_context("{method}").Process(target=work, args=(1,))
    process.start()
    process.join()
    print(process.exitcode)
"""
    (tmp_path / "program.py").write_text(code)
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py"], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
