"""Standard streams: any name is printed on any terminal; a closed stream loses only its text."""

import errno
import io
import json
import os
import subprocess
import sys

import pytest
from helpers import make_point, write_perfect_scores, write_sound

from wsedtk.cli import corpora
from wsedtk.cli import main as cli
from wsedtk.core import console
from wsedtk.data import store
from wsedtk.decoding import operating_point

NAME, LABEL = "ünï😀.wav", "Hündin"


def wsedtk(*arguments, encoding, cwd):
    """Run `wsedtk` with standard streams of an encoding: (exit status, stdout, stderr)."""
    result = subprocess.run(
        [sys.executable, "-m", "wsedtk", *map(str, arguments)],
        capture_output=True,
        cwd=cwd,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        check=False,
    )
    return result.returncode, result.stdout.decode(encoding), result.stderr.decode(encoding)


@pytest.fixture
def lists(tmp_path):
    text = f"filename\tonset\toffset\tevent_label\n{NAME}\t0\t1\t{LABEL}\n"
    for name in ("reference.tsv", "éstimate.tsv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return "score-files", "reference.tsv", "éstimate.tsv"


@pytest.mark.parametrize(
    "encoding, label, file",
    [
        ("ascii", r"H\xfcndin", r"\xe9stimate.tsv"),
        ("latin-1", LABEL, "éstimate.tsv"),
        ("utf-8", LABEL, "éstimate.tsv"),
    ],
)
def test_a_table_has_escapes_for_what_the_encoding_lacks(lists, tmp_path, encoding, label, file):
    status, text, told = wsedtk(*lists, encoding=encoding, cwd=tmp_path)
    assert (status, told) == (0, "") and text.startswith(f"{file} against reference.tsv: 1 clip, ")
    assert f"\n{label}  0.000" in text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_valid_on_any_terminal(lists, tmp_path, encoding):
    status, text, _ = wsedtk(*lists, "--json", encoding=encoding, cwd=tmp_path)
    assert status == 0 and list(json.loads(text)["classes"]) == [LABEL]
    assert (LABEL in text) == (encoding != "ascii")


def test_events_on_an_ascii_terminal(trained, tmp_path):
    write_sound(tmp_path / NAME)
    status, text, _ = wsedtk(
        "detect",
        trained,
        NAME,
        "--threshold",
        "1e-6",
        "--format",
        "jsonl",
        encoding="ascii",
        cwd=tmp_path,
    )
    assert status == 0 and {json.loads(line)["filename"] for line in text.splitlines()} == {NAME}


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_name_that_is_not_utf_8(tmp_path, encoding):
    status, text, told = wsedtk("validate", "no\udcff", encoding=encoding, cwd=tmp_path)
    assert (status, told.count("\n")) == (1, 1) and "1 of 1 data directories: no\\udcff" in told
    assert "error: no\\udcff: no such folder" in text and "no\\udcff: 1 error, " in text


def test_files_with_a_path_that_is_not_utf_8(run, tmp_path):
    """A report, a record and an average contain the name with escapes, and are read again."""
    data, scores = write_perfect_scores(tmp_path, ["Car", "Air horn, truck horn"])
    operating_point.write(tmp_path / "point.yaml", make_point())
    assert run("decode", scores, tmp_path / "point.yaml", tmp_path / "out").exit_code == 0
    (tmp_path / "out").rename(tmp_path / "no\udcff")
    status, text, told = wsedtk(
        "--record", "record.yaml", "score", data, "no\udcff", encoding="utf-8", cwd=tmp_path
    )
    assert (status, told) == (0, "") and text.startswith("no\\udcff: 2 of 2 clips in the set")
    assert (tmp_path / "no\udcff" / "report.txt").read_text("utf-8") == text
    result = run("info", tmp_path / "record.yaml", tmp_path / "point.yaml")
    assert result.exit_code == 0 and "no\\udcff" in result.stdout
    scores.rename(tmp_path / "s\udcff.h5")
    assert run("average", tmp_path / "s\udcff.h5", tmp_path / "mean.h5").exit_code == 0
    assert store.ScoreFile(tmp_path / "mean.h5").attributes["average_of"].endswith("/s\\udcff.h5")


def test_json_text(monkeypatch):
    text = json.dumps(["ü😀\n", "\udcff", "a"], ensure_ascii=False)
    for encoding, expected in (
        ("ascii", r'["\u00fc\ud83d\ude00\n", "\udcff", "a"]'),
        ("utf-8", r'["\u00fc\ud83d\ude00\n", "\udcff", "a"]'),
    ):
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
        assert console.json_text(text) == expected and json.loads(expected) == json.loads(text)
        assert console.json_text('["a"]') == '["a"]'
    assert console.json_text('["ü😀"]') == '["ü😀"]'


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(small_set, tmp_path, closed):
    """Output is dropped, the work is done, and opened files do not get the closed descriptors."""
    command = f'"$0" -m wsedtk balance "$1" fit valid --num-valid 2 {closed}'

    def balance(folder):
        return subprocess.run(
            ["sh", "-c", command, sys.executable, folder],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )

    result = balance(small_set)
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "fit" / "clips.tsv").exists()
    assert (result.stdout == "") == (closed != "2>&-")
    result = balance("no\udcff")
    assert result.returncode == 1 and result.stdout == ""
    assert ("no\\udcff: no such folder" in result.stderr) == (closed == ">&-")


def test_a_file_that_the_system_refuses_is_named_without_a_traceback(monkeypatch, capsys):
    def refuse(name):
        raise PermissionError(errno.EACCES, "Permission denied", "/some/file")

    monkeypatch.setattr(corpora, "stage", refuse)
    monkeypatch.setattr(sys, "argv", ["wsedtk", "validate", "x"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "wsedtk: /some/file: Permission denied\n"
