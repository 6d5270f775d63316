import logging
import sys

import pytest

from wsedtk.core import progress


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
    assert list(progress.progress(items, "read é", count)) == list(range(count))
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == lines
    assert not lines or err.splitlines()[-1] == f"read é: {count} of {count}, {step * count:.0f} s"


def test_the_total_is_the_length(capsys, clock):
    clock.step = 10
    for _ in progress.progress([7, 8], "x"):
        clock.now += 10
    assert "x: 2 of 2" in capsys.readouterr().err


def test_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(progress.progress(iter("abc"), "read", 3)) == list("abc")
    out, err = capsys.readouterr()
    assert out == "" and "read" in err and "3" in err


def test_a_failing_loop_raises_its_error(clock):
    def items():
        yield 1
        raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        list(progress.progress(items(), "x", 2))


def test_say(capsys):
    progress.say("one é")
    assert capsys.readouterr() == ("", "one é\n")


def test_quiet_prints_only_warnings_and_errors(capsys, monkeypatch, clock):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    clock.step = 10
    with progress.telling("quiet"):
        assert list(progress.progress(clock.tick(range(100)), "read", 100)) == list(range(100))
        progress.say("a note: no warning")
        progress.say("warning: odd")
        progress.say("wsedtk: why it ends")
        progress.detail("more")
    assert capsys.readouterr() == ("", "warning: odd\nwsedtk: why it ends\n")
    progress.say("a note")
    progress.detail("more")
    assert capsys.readouterr() == ("", "a note\n")


def test_details_when_verbose(capsys):
    with pytest.raises(KeyError, match="x"), progress.telling("verbose"):
        progress.say("a note")
        progress.detail("more")
        raise KeyError("x")
    progress.detail("and more")
    assert capsys.readouterr() == ("", "a note\nmore\n")


def test_progress_of_a_library_function_is_logged(capsys, caplog, monkeypatch, clock):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    clock.step = 10
    caplog.set_level(logging.DEBUG)
    with progress.logged():
        assert list(progress.progress(clock.tick(range(3)), "read", 3)) == [0, 1, 2]
        progress.say("a \x1bnote")
        progress.say("warning: odd: 100 %s")
        progress.say("wsedtk: why it ends")
        progress.detail("more")
        with progress.progress_in_time("heard", 10) as tell:
            clock.now += 10
            tell(10)
    assert capsys.readouterr() == ("", "")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "read: 1 of 3, 10 s"),
        ("INFO", "read: 2 of 3, 20 s"),
        ("INFO", "read: 3 of 3, 30 s"),
        ("INFO", r"a \x1bnote"),
        ("WARNING", "odd: 100 %s"),
        ("ERROR", "why it ends"),
        ("DEBUG", "more"),
        ("INFO", "heard: 0:00:10 of 0:00:10, x 1 real time"),
    ]
    progress.say("printed")
    assert capsys.readouterr() == ("", "printed\n")


@pytest.mark.parametrize("how, told", [(None, "a note\n"), ("quiet", ""), ("verbose", "a note\n")])
def test_within_a_command_a_library_function_prints(capsys, caplog, how, told):
    with progress.telling(how), progress.logged():
        progress.say("a note")
    assert capsys.readouterr() == ("", told) and caplog.records == []
