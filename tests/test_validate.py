import numpy as np
import pytest
import soundfile
from helpers import write_set, write_sound


def test_a_set_without_faults(run, small_set):
    result = run("validate", small_set, "--audio")
    assert (result.exit_code, result.stdout, result.stderr) == (
        0, f"{small_set}: 12 clips, 2 classes, 13 tags, 13 events: 0 errors, 0 warnings\n", "")


def test_warnings_are_no_errors(run, small_set):
    (small_set / "events.tsv").unlink()
    with open(small_set / "labels.txt", "a") as file:
        file.write("never\n")
    result = run("validate", small_set)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [f"warning: {small_set}/labels.txt: 1 classes without clips: never",
                                          f"{small_set}: 12 clips, 3 classes, 13 tags, no events.tsv: 0 errors, 1 warnings"]


def test_every_fault_of_several_folders(run, small_set, tmp_path):
    bad = write_set(tmp_path / "bad", [("a", "", 0), *((f"{i}", "", "x") for i in range(8))], ["Car"], [("a", "Cat"), ("b", "Car")])
    result = run("validate", small_set, bad, tmp_path / "none", small_set)
    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    assert lines[0] == lines[-1] == f"{small_set}: 12 clips, 2 classes, 13 tags, 13 events: 0 errors, 0 warnings"
    assert sum(line.startswith(f"error: {bad}/clips.tsv:") for line in lines) == 9
    assert sum(line.startswith(f"error: {bad}/tags.tsv:") for line in lines) == 2
    assert f"{bad}: 11 errors, 2 warnings" in lines
    assert lines[-3].startswith(f"error: {tmp_path}/none: no such folder; a data directory holds")
    assert lines[-2].endswith("1 errors, 0 warnings")
    assert result.stderr == f"2 of 4 data directories have errors: {bad}, {tmp_path}/none"


@pytest.fixture
def heard(run, tmp_path):
    """What validate --audio says of one clip `a b` at the path, of 1 s by its table."""
    def heard(path):
        data = write_set(tmp_path / "set", [("a b", path, 1)], ["Car"], [("a b", "Car")])
        assert run("validate", data).exit_code == 0
        result = run("validate", data, "--audio")
        lines = result.stdout.replace(f"{data}/clips.tsv: 'a b': ", "").replace(f"{data}/clips.tsv: 'a b' ", "").splitlines()[:-1]
        return result.exit_code, lines
    return heard


@pytest.mark.parametrize("make, code, message", [
    (lambda path: None, 1, "error: {path}: no such file"),
    (lambda path: path.write_text(""), 1, "error: {path}: an empty file"),
    (lambda path: path.mkdir(), 1, "error: {path}: a folder, not a sound file"),
    (lambda path: soundfile.write(path, [0.1, float("nan")], 8000, subtype="FLOAT"), 1, "error: {path}: holds samples that are not finite "
                                                                                        "(NaN or infinity)"),
    (lambda path: soundfile.write(path, np.zeros(8000), 8000), 0, "warning: {path} is silent"),
    (lambda path: write_sound(path, 1.2), 0, "warning: {path} lasts 1.200 s, clips.tsv says 1 s"),
    (lambda path: write_sound(path, 0.8), 0, "warning: {path} lasts 0.800 s, clips.tsv says 1 s"),
])
def test_audio(heard, tmp_path, make, code, message):
    make(tmp_path / "x.wav")
    assert heard(tmp_path / "x.wav") == (code, [message.format(path=tmp_path / "x.wav")])


@pytest.mark.parametrize("rate, seconds", [(8000, 1), (48000, 1.09), (44100, 0.91)])
def test_good_audio(heard, tmp_path, rate, seconds):
    write_sound(tmp_path / "x.wav", seconds, rate, channels=2)
    assert heard(tmp_path / "x.wav") == (0, [])


def test_no_audio_is_a_warning(heard):
    code, (line,) = heard("")
    assert code == 0 and line.endswith("set/clips.tsv: 1 clips have no audio: a b")


def test_a_folder_must_be_named(run):
    assert run("validate").exit_code == 2
