import os
import re
import subprocess
import sys

import click
import pytest

from wsedtk import __version__
from wsedtk.cli import corpora
from wsedtk.cli import main as cli
from wsedtk.cli.value_types import Shard


def verbs(group=cli.cli, path=()):
    """Yield all commands as (words, command), without groups."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from verbs(command, (*path, name))
        else:
            yield (*path, name), command


VERBS = dict(verbs())


def shell(*arguments, **options):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_shows_an_example(run, words, option):
    result = run(*words, option)
    assert result.exit_code == 0 and result.stderr == ""
    assert f"Example: wsedtk {' '.join(words)} " in result.stdout
    assert len([line for line in result.stdout.splitlines() if "Example" in line][0]) <= 100


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_the_example_is_of_the_commands_own_options(words):
    """The options of the example exist, and its arguments are complete: only files are missing."""
    text = re.sub(r"\\\n\s*", "", VERBS[words].help)  # lines that are continued
    line = next(line for line in text.splitlines() if "Example" in line)
    arguments = line.split(f"wsedtk {' '.join(words)} ")[1].split()
    context = VERBS[words].make_context(
        words[-1], arguments
    )  # raises a usage error if they do not fit
    assert not context.args


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_every_option_has_a_help(words):
    assert all(
        p.help for p in VERBS[words].params if isinstance(p, click.Option) and p.name != "seed"
    )


def test_the_verbs_are_listed(run):
    result = run("--help")
    assert result.exit_code == 0 and all(words[0] in result.stdout for words in VERBS)
    assert __version__ in run("--version").stdout


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["extrct"], "No such command 'extrct'"),
        (["extract"], "Missing argument 'DATA_SET'"),
        (["balance", "a", "b", "c"], "Missing option '--num-valid'"),
        (["validate", "--nothing", "a"], "No such option"),
        (["prepare", "nothing"], "No such command 'nothing'"),
        (["extract", "a", "b", "c"], "unexpected extra argument"),
        (
            ["tune", "a", "b", "c", "--median-seconds", "1,x"],
            "'1,x': expected seconds: numbers of at least 0, with commas between them",
        ),
        *(
            (["tune", "a", "b", "c", "--min-seconds", text], f"'{text}': expected seconds")
            for text in ("-1", "nan", "inf", "1,", "")
        ),
        (
            ["prepare", "soundscapes", "builtin", "d", "--test-folds", "1.5"],
            "'1.5': expected folds: whole numbers of at least 0",
        ),
        *(
            ([verb, "a", "b.h5", "--max-failures", text], message)
            for verb in ("extract", "detect")
            for text, message in (
                ("50", "range 0<=x<=1; did you mean 0.5?"),
                ("1%", "did you mean 0.01?"),
                ("nan", "'nan' is not a number"),
                ("-1", "range 0<=x<=1\n"),
            )
        ),
        (["detect", "a", "b", "--min-duration", "nan"], "'nan' is not a number"),
        (
            ["tune", "a", "b", "c.yaml", "--target", "precision=90"],
            "'precision=90': expected precision=NUMBER, a number above 0 and at most 1; did you mean 0.9",
        ),
        (["tune", "a", "b", "c.yaml", "--target", "recall=90%"], "at most 1; did you mean 0.9?"),
        (["tune", "a", "b", "c.yaml", "--target", "false-alarms-per-hour=-1"], "of at least 0\n"),
    ],
)
def test_usage_errors(run, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2 and message in result.stderr and "Usage: " in result.stderr


@pytest.mark.parametrize("text, value", [("1/1", (1, 1)), ("2/3", (2, 3)), ("10/10", (10, 10))])
def test_shards(text, value):
    assert Shard().convert(text, None, None) == value


def test_from_a_shell(tmp_path):
    """Exit statuses and messages of `python -m wsedtk`: no traceback for errors of a user."""
    result = shell("-m", "wsedtk", "validate", "-x", cwd=tmp_path)
    assert result.returncode == 2
    result = shell(
        "-m",
        "wsedtk",
        "balance",
        "--num-valid",
        "3",
        "--",
        "-no such",
        "fit",
        "valid",
        cwd=tmp_path,
    )
    assert result.returncode == 1 and result.stdout == "" and "Traceback" not in result.stderr
    assert result.stderr == (
        "wsedtk: -no such: no such folder; a data directory contains clips.tsv, tags.tsv and labels.txt\n"
    )


def test_a_bug_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(corpora, "stage", lambda name: 1 / 0)
    monkeypatch.setattr(sys, "argv", ["wsedtk", "validate", "x"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


@pytest.mark.parametrize(
    "modules, heavy",
    [
        (
            "wsedtk.cli.main",
            "torch numpy scipy h5py librosa soundfile av matplotlib sed_eval yaml tqdm",
        ),
        (
            "wsedtk.stages.validate wsedtk.stages.balance wsedtk.stages.download",
            "torch librosa h5py matplotlib sed_eval av",
        ),
        ("wsedtk.stages.tune wsedtk.stages.decode wsedtk.stages.score", "torch librosa matplotlib"),
        ("wsedtk.stages.average", "torch librosa matplotlib sed_eval"),
        ("wsedtk.stages.score_files", "torch librosa matplotlib h5py sed_eval dcase_util"),
    ],
)
def test_what_is_not_imported(modules, heavy):
    code = f"import sys, {', '.join(modules.split())}; print([m for m in {heavy.split()} if m in sys.modules])"
    result = shell("-c", code)
    assert (result.returncode, result.stdout) == (0, "[]\n"), result.stderr


def test_a_closed_pipe(tmp_path, small_set):
    """`wsedtk validate ... | head -0` ends without a traceback."""
    many = [str(small_set)] * 200
    read, write = os.pipe()
    os.close(read)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "wsedtk", "validate", *many],
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(write)
    assert result.returncode == 1 and result.stderr == ""


def test_outputs_are_never_inputs(run, small_set, tmp_path):
    """A wrong order of arguments never overwrites an input, or a file of another kind."""
    assert run("extract", small_set, tmp_path / "f.h5").exit_code == 0
    before = {p: p.read_bytes() for p in [tmp_path / "f.h5", *small_set.iterdir()]}
    for arguments, message in (
        (
            ("predict", tmp_path / "m", tmp_path / "f.h5", tmp_path / "f.h5"),
            "is an input of this command",
        ),
        (
            ("predict", tmp_path / "m", tmp_path / "f.h5", tmp_path / "model.safetensors"),
            "must have a name that ends in .h5",
        ),
        (("extract", small_set, small_set / "clips.tsv"), "must have a name that ends in .h5"),
        (("report", tmp_path / "m", small_set / "tags.tsv"), "must have a name that ends in .html"),
        (
            ("balance", small_set, tmp_path / "fit", small_set, "--num-valid", 2),
            "is an input of this command",
        ),
        (
            ("tune", tmp_path / "s.h5", small_set, small_set / "labels.txt"),
            "must have a name that ends in .yaml",
        ),
    ):
        result = run(*arguments)
        assert result.exit_code == 1 and message in result.stderr, arguments
    assert before == {p: p.read_bytes() for p in before}
