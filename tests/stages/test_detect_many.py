"""`detect` with many recordings: it is resumed, and works in several processes."""

import os
import subprocess

import numpy as np
import pytest
import torch
from helpers import contents, write_model, write_sound

from wsedtk.core import atomic
from wsedtk.data import event_ledger
from wsedtk.inference import loading, sliding_windows
from wsedtk.stages import detect
from wsedtk.stages.options.detection import DetectOptions

NAMES = ("a.wav", "b.wav", "broken.wav", "c.wav", "d.wav", "e.wav")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "m")


@pytest.fixture
def sounds(tmp_path):
    """A folder of five recordings of different lengths, and a file that is no sound."""
    for number, name in enumerate(NAMES):
        frequency = [300, 3000, 1000][number % 3]
        write_sound(
            tmp_path / "in" / name, 2.3 + number, frequency=frequency, channels=2, seed=number
        )
    (tmp_path / "in" / "broken.wav").write_bytes(b"no sound")
    return tmp_path / "in"


@pytest.fixture
def options(model, sounds, tmp_path):
    def make(folder="out", **changes):
        """Return options whose outputs are in `folder`."""
        places = {"output_dir": tmp_path / folder, "scores": tmp_path / f"{folder} scores"}
        settings = {"max_failures": 0.5, "device": "cpu", **places, **changes}
        return DetectOptions(model, [sounds], **settings)

    return make


def outputs(folder):
    """Return the outputs in a folder by name, without the ledger."""
    return {name: content for name, content in contents(folder).items() if name[0] != "."}


class Interrupt(BaseException):
    """A signal that stops a program."""


def stop_after(count):
    """Return a function that raises Interrupt when it is called for the last of `count` times."""
    left = iter(range(count - 1, -1, -1))

    def count_down(result):
        if next(left) == 0:
            raise Interrupt

    return count_down


@pytest.fixture
def analysed(monkeypatch):
    """The names of the recordings whose scores this process computes."""
    names = []
    curves = sliding_windows.Detector.curves

    def noted(self, sources):
        for source, pieces in curves(self, sources):
            names.append(source.name)
            yield source, pieces

    monkeypatch.setattr(sliding_windows.Detector, "curves", noted)
    return names


@pytest.mark.parametrize("kind", ["output", "output_dir"])
@pytest.mark.parametrize("counts", [(1,), (4,), (1, 2, 3, 4, 5)])
def test_a_stopped_run_is_resumed(options, tmp_path, analysed, kind, counts):
    def chosen(name):
        places = {"output_dir": tmp_path / name} if kind == "output_dir" else {}
        places |= {"output": tmp_path / name / "e.tsv"} if kind == "output" else {}
        return options(name, **{"output_dir": None, **places})

    expected = detect.run(chosen("whole"))
    analysed.clear()
    for count in counts:
        with pytest.raises(Interrupt):
            detect.run(chosen("parts"), on_recording=stop_after(count))
    results = []
    assert detect.run(chosen("parts"), on_recording=results.append) == expected
    assert [one.name for one in results] == list(NAMES)
    for suffix in ("", " scores"):
        found = outputs(tmp_path / f"parts{suffix}")
        assert found == outputs(tmp_path / f"whole{suffix}") and found
    whole = [name for name in analysed if name != "broken.wav"]
    assert whole == [name for name in NAMES if name != "broken.wav"]  # each of them only once


def test_each_entry_of_the_ledger_is_read_once(options, monkeypatch):
    expected = detect.run(options())
    keys, entry = [], event_ledger.Ledger.entry
    monkeypatch.setattr(
        event_ledger.Ledger, "entry", lambda self, key: keys.append(key) or entry(self, key)
    )
    assert detect.run(options()) == expected
    assert len(keys) == len(set(keys)) == len(NAMES) - 1


def test_files_of_a_killed_process_are_removed(options, tmp_path):
    """The process may live longer than the run that it belonged to, but no longer than this one."""
    with subprocess.Popen(["sleep", "600"]) as process:
        name = f".c.{atomic._MACHINE}.{process.pid}.tmp"
        left = [tmp_path / folder / name for folder in ("out", "out scores")]
        for path in left:
            path.parent.mkdir()
            path.write_text("half")

        def kill(result):
            if process.poll() is None:
                assert all(path.exists() for path in left)
                process.kill()
                process.wait()

        detect.run(options(), on_recording=kill)
    assert not any(path.exists() for path in left)


def test_several_processes_give_the_same_outputs(options, tmp_path):
    expected = detect.run(options("one"))
    results, alone = [], []
    assert detect.run(options("two", jobs=2), on_recording=results.append) == expected
    detect.run(options("one"), on_recording=alone.append)
    assert results == alone
    for suffix in ("", " scores"):
        assert outputs(tmp_path / f"two{suffix}") == outputs(tmp_path / f"one{suffix}")


def test_a_finished_run_analyses_only_what_is_new(options, sounds, tmp_path, analysed):
    detect.run(options())
    before = contents(tmp_path / "out")
    analysed.clear()
    detect.run(options())
    assert analysed == ["broken.wav"] and contents(tmp_path / "out") == before
    write_sound(sounds / "b.wav", 1.5, seed=9)
    write_sound(sounds / "new.wav", 1.0)
    (tmp_path / "out scores" / "d.wav.tsv").unlink()
    (tmp_path / "out" / "e.wav.tsv").unlink()  # written again without an analysis
    detect.run(options())
    assert analysed[1:] == ["b.wav", "broken.wav", "d.wav", "new.wav"]
    detect.run(options("fresh"))
    assert outputs(tmp_path / "out") == outputs(tmp_path / "fresh")


@pytest.mark.parametrize(
    "change, name",
    [
        ({"thresholds": ["0.3"]}, "thresholds and filters"),
        ({"min_duration": 0.5}, "thresholds and filters"),
        ({"classes": ["low"]}, "classes"),
        ({"channels": "each"}, "channels (found mix, expected each)"),
        ({"precise": False}, "precision (found float32, expected bfloat16)"),
    ],
)
def test_a_ledger_of_other_settings_is_refused(run, options, tmp_path, analysed, change, name):
    detect.run(options(scores=None))
    before = contents(tmp_path / "out")
    analysed.clear()
    with pytest.raises(detect.InputError, match="were analysed with other settings: ") as caught:
        detect.run(options(scores=None, **change))
    assert name in str(caught.value) and "give overwrite (--overwrite)" in str(caught.value)
    assert not analysed and contents(tmp_path / "out") == before
    detect.run(options(scores=None, overwrite=True, **change))
    detect.run(options("fresh", scores=None, **change))
    fresh = outputs(tmp_path / "fresh")
    assert {name: outputs(tmp_path / "out")[name] for name in fresh} == fresh


def test_a_damaged_ledger(options, tmp_path, analysed):
    """A line that can't be read is ignored. A file of another kind is not replaced."""
    detect.run(options())
    expected, ledger = outputs(tmp_path / "out"), tmp_path / "out" / ".detect.ledger"
    content = ledger.read_bytes()
    lines = content.splitlines(keepends=True)
    assert len(lines) == 6
    for damaged in (content[:-7], b"".join([*lines[:2], bytes(50), b"\n{}\n", *lines[3:]])):
        ledger.write_bytes(damaged)
        analysed.clear()
        detect.run(options())
        assert len(analysed) == 2 and outputs(tmp_path / "out") == expected
    for other in (b"", b"no ledger\n", b"[1]\n"):
        ledger.write_bytes(other)
        with pytest.raises(detect.InputError, match="ledger: found another file; .*--overwrite"):
            detect.run(options())
        assert ledger.read_bytes() == other
    detect.run(options(overwrite=True))
    assert outputs(tmp_path / "out") == expected and len(ledger.read_bytes()) == len(content)


def test_printed_events_have_no_ledger(run, model, sounds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    result = run("detect", model, sounds, "--max-failures", "1", "--threshold", "0.1")
    assert result.exit_code == 0 and contents(tmp_path) == before
    both = run("detect", model, sounds, "--max-failures", "1", "--threshold", "0.1", "--jobs", 2)
    assert both.stdout == result.stdout and len(result.stdout.splitlines()) > 3


def test_two_runs_with_one_output(options, tmp_path):
    refused = []

    def start_another(result):
        with pytest.raises(detect.InputError, match=f"is in use by process {os.getpid()}"):
            detect.run(options())
        refused.append(result)

    detect.run(options(), on_recording=start_another)
    assert len(refused) == len(NAMES)


def test_scores_do_not_depend_on_other_recordings_or_on_threads(model, sounds):
    loaded = loading.read_model(model)
    runner = loading.make_runner(loaded, torch.device("cpu"), precise=True)
    detector = sliding_windows.Detector(loaded.spec, runner)
    sources = [
        sliding_windows.Source(sounds / name, name) for name in NAMES if name != "broken.wav"
    ]

    def scores(some):
        return {
            source.name: np.concatenate([piece.frame for piece in pieces])
            for source, pieces in detector.curves(some)
        }

    expected = scores(sources)
    alone = {name: curve for source in sources for name, curve in scores([source]).items()}
    threads = torch.get_num_threads()
    torch.set_num_threads(3 - min(threads, 2))
    try:
        other_threads = scores(sources)
    finally:
        torch.set_num_threads(threads)
    for name, curve in expected.items():
        np.testing.assert_array_equal(curve, alone[name])
        np.testing.assert_array_equal(curve, other_threads[name])
