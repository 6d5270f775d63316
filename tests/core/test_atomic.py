import os
import subprocess
import sys
from pathlib import Path

import pytest

from wsedtk.core import atomic
from wsedtk.core.errors import InputError


def everything(folder):
    return sorted(p.name for p in folder.rglob("*"))


@pytest.mark.parametrize(
    "name",
    [
        "a.txt",
        "-rf",
        "two words.txt",
        "'quoted\".txt",
        "x" * 200,
        "é" * 100,
        "音" * 85,
        "🔔" * 63,
        ".hidden",
        "x" * 255,
    ],
    ids=lambda name: name[:9],
)
def test_names(tmp_path, name):
    atomic.write_text(tmp_path / "new" / "folder" / name, "one\n")
    atomic.write_text(tmp_path / "new" / "folder" / name, "two: é\n")
    assert (tmp_path / "new" / "folder" / name).read_bytes() == "two: é\n".encode()
    assert everything(tmp_path / "new") == sorted([name, "folder"])


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, InputError])
def test_a_failing_block_leaves_the_old_file_and_no_other(tmp_path, error):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(error, match="stop"):
        with atomic.writing(path) as temporary:
            temporary.write_text("half of the n")
            assert temporary.parent == tmp_path and path.read_text() == "old"
            raise error("stop")
    assert path.read_text() == "old" and everything(tmp_path) == ["file"]


def test_a_failing_block_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="stop"):
        with atomic.writing(tmp_path / "file") as temporary:
            temporary.write_text("half")
            raise ValueError("stop")
    assert everything(tmp_path) == []


def test_nothing_written(tmp_path):
    with pytest.raises(InputError, match="file: can't be written: No such file"):
        with atomic.writing(tmp_path / "file"):
            pass


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file" / "a", tmp_path / "file" / "b" / "a"):
        with pytest.raises(InputError, match=f"{path}: can't be written: "):
            atomic.write_text(path, "x")
    assert everything(tmp_path) == ["file"]


def test_a_name_too_long(tmp_path):
    with pytest.raises(InputError, match="can't be written: File name too long"):
        atomic.write_text(tmp_path / ("x" * 256), "x")
    assert everything(tmp_path) == []


@pytest.mark.parametrize("path", [".", "/", "folder"])
def test_a_folder_is_refused_before_the_work(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(
        InputError, match=f"{path}: is a folder; choose another path for the output file"
    ):
        with atomic.writing(path):
            pytest.fail("the block ran")
    assert everything(tmp_path) == ["folder"]


def test_line_ends_stay(tmp_path):
    atomic.write_text(tmp_path / "a", "1\r\n2\n")
    assert (tmp_path / "a").read_bytes() == b"1\r\n2\n"


def test_the_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "usual").touch()
    atomic.write_text(tmp_path / "a", "")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_folder_is_never_lost_between_two_renames(tmp_path, monkeypatch):
    """After a kill, the next command restores the old file; otherwise it is restored at once."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    original = Path.rename

    def failing(self, target):
        if self.suffix == ".tmp":
            raise KeyboardInterrupt
        return original(self, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "rename", failing)
        with atomic.writing_folder(tmp_path / "out") as temporary:
            (temporary / "new").touch()
    assert everything(tmp_path) == ["old", "out"]
    dead = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True).stdout.strip()
    beside = atomic._beside(tmp_path / "out", "old")
    (tmp_path / "out").rename(
        beside.with_name(beside.name.replace(f".{os.getpid()}.", f".{dead}."))
    )
    atomic.remove_left_over(tmp_path / "out")
    assert everything(tmp_path) == ["old", "out"]


def test_the_old_folder_of_another_output_stays(tmp_path):
    """The name of the other output begins with the name of this output."""
    dead = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True).stdout.strip()
    old = atomic._beside(tmp_path / "out2", "old")
    old = old.with_name(old.name.replace(f".{os.getpid()}.", f".{dead}."))
    old.mkdir()
    atomic.remove_left_over(tmp_path / "out")
    assert everything(tmp_path) == [old.name]
    (tmp_path / "out").mkdir()
    atomic.remove_left_over(tmp_path / "out")
    assert everything(tmp_path) == sorted([old.name, "out"])
    atomic.remove_left_over(tmp_path / "out2")
    assert everything(tmp_path) == ["out", "out2"]


def test_only_files_of_dead_processes_are_removed(tmp_path):
    dead = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True).stdout.strip()
    mine = atomic._beside(tmp_path / "a.h5", "tmp")
    theirs = mine.with_name(mine.name.replace(f".{os.getpid()}.", f".{dead}."))
    shard = theirs.with_name(theirs.name.replace(".a.", ".a.1-of-2."))
    for path in (
        mine,
        theirs,
        shard,
        tmp_path / ".a.h5.notes.tmp",
        tmp_path / f".a.h5.elsewhere.{dead}.tmp",
    ):
        path.touch()
    atomic.remove_left_over(tmp_path / "a.h5")
    assert everything(tmp_path) == sorted(
        [mine.name, ".a.h5.notes.tmp", f".a.h5.elsewhere.{dead}.tmp"]
    )


def test_a_lock_is_held_once_and_names_its_holder(tmp_path):
    with atomic.locking(tmp_path / "m" / ".lock"):
        with pytest.raises(
            InputError,
            match=rf"m: is in use by process {os.getpid()} on .*; wait until that process ends",
        ):
            with atomic.locking(tmp_path / "m" / ".lock"):
                raise AssertionError("taken twice")
    with atomic.locking(tmp_path / "m" / ".lock"):
        assert (tmp_path / "m" / ".lock").exists()


def test_a_name_beyond_the_file_systems_encoding_is_an_error(tmp_path):
    """The C locale, in which Python does not use UTF-8."""
    code = "import pathlib, wsedtk.core.atomic; wsedtk.core.atomic.write_text(pathlib.Path('\\xfc.txt'), '')"
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    if "InputError" not in result.stderr:  # on some systems the C locale is UTF-8
        assert result.returncode == 0 and everything(tmp_path) == ["ü.txt"]
        return
    assert r"InputError: \xfc.txt: can't be written: 'ascii' codec" in result.stderr
    assert everything(tmp_path) == []


def test_a_folder_to_write_into(tmp_path):
    atomic.make_folder(tmp_path / "a" / "b")
    atomic.make_folder(tmp_path / "a" / "b")
    assert everything(tmp_path) == ["a", "b"]
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "c", "/proc/none"):
        with pytest.raises(InputError, match=f"{place}: can't be written"):
            atomic.make_folder(place)
