"""Common behaviour of all commands: --quiet, --verbose, and suggestions for unknown names."""

import json

import click
import pytest
import yaml
from helpers import LABELS, write_score_file, write_set, write_sound
from test_cli import VERBS

from wsedtk.cli import main as cli
from wsedtk.cli.common import VERBOSITY_OPTIONS
from wsedtk.core import config


def groups(group=cli.cli):
    yield group
    context = click.Context(group)
    for command in (group.get_command(context, name) for name in group.list_commands(context)):
        if isinstance(command, click.Group):
            yield from groups(command)


def test_every_command_has_both_options_once():
    for command in (*groups(), *VERBS.values()):
        assert [p for p in command.params if p.name in ("quiet", "verbose")] == list(
            VERBOSITY_OPTIONS
        ), command.name


@pytest.mark.parametrize("place", [0, 1, 3])
def test_quiet_before_or_after_the_verb(run, small_set, tmp_path, place):
    arguments = ["extract", small_set, tmp_path / "a.h5"]
    result = run(*arguments[:place], "--quiet", *arguments[place:])
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "") and (
        tmp_path / "a.h5"
    ).exists()
    assert run(*arguments).stdout  # the next command prints as usual


def test_quiet_lets_warnings_and_errors_through(run, small_set, tmp_path):
    (tmp_path / "audio" / "clip 03.wav").write_bytes(b"no sound")
    result = run("extract", small_set, tmp_path / "a.h5", "--max-failures", "0.5", "--quiet")
    assert (result.exit_code, result.stdout) == (0, "") and result.stderr.startswith(
        "warning: extract: 'clip 03.wav' failed: "
    )
    assert len(result.stderr.splitlines()) == 1
    result = run("extract", small_set, tmp_path / "b.h5", "--quiet")
    assert result.exit_code == 1 and "clip 03.wav" in result.stderr


def test_quiet_prints_results(run, corpus, small_set, tmp_path):
    """Commands whose only output is the screen, JSON, and dry runs."""
    result = run("--quiet", "validate", small_set)
    assert result.exit_code == 0 and "12 clips, 2 classes" in result.stdout
    result = run(
        "train",
        corpus / "fit",
        corpus / "valid",
        tmp_path / "m",
        "--feats",
        corpus / "fit.h5",
        "--feats",
        corpus / "valid.h5",
        "--dry-run",
        "--quiet",
    )
    assert result.exit_code == 0 and "parameters" in result.stdout and result.stderr == ""
    (tmp_path / "list.tsv").write_text("a_0.000_10.000.wav\tDog\n")
    result = run(
        "prepare",
        "--quiet",
        "soundscapes",
        "builtin",
        tmp_path / "out",
        "--num-train",
        1,
        "--num-test",
        1,
    )
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    result = run("score-files", tmp_path / "list.tsv", tmp_path / "list.tsv", "--quiet")
    assert result.exit_code == 0 and "1.000" in result.stdout
    result = run("score-files", tmp_path / "list.tsv", tmp_path / "list.tsv", "--quiet", "--json")
    assert json.loads(result.stdout)["tagging"]["f1"] == 1.0


def test_verbose(run, small_set, tmp_path):
    result = run("extract", small_set, tmp_path / "a.h5", "--verbose", "--dtype", "float16")
    lines = result.stderr.splitlines()
    assert (
        result.exit_code == 0
        and lines[0].startswith("wsedtk ")
        and "option dtype: float16" in lines
        and "option crop: False" in lines
    )
    assert any(line.startswith(f"input {small_set / 'clips.tsv'}: ") for line in lines)
    assert f"read {small_set}: 12 clips, 2 classes" in lines
    assert f"wrote {tmp_path / 'a.h5'}: {(tmp_path / 'a.h5').stat().st_size:,} bytes" in lines
    assert lines[-1].startswith("extract: ") and " MB in this process" in lines[-1]
    assert (
        result.stdout == run("extract", small_set, tmp_path / "a.h5", "--dtype", "float16").stdout
    )


def test_verbose_tells_where_an_error_comes_from(run, small_set, tmp_path):
    (small_set / "tags.tsv").write_text("filename\n")
    result = run("extract", small_set, tmp_path / "a.h5", "--verbose")
    assert result.exit_code == 1 and "Traceback" in result.stderr and "datadir.py" in result.stderr
    assert "Traceback" not in run("extract", small_set, tmp_path / "a.h5").stderr


def test_the_record_does_not_depend_on_them(run, small_set, tmp_path):
    records = []
    for words in ((), ("--quiet",), ("--verbose",)):
        assert run("--record", tmp_path / "r.yaml", *words, "validate", small_set).exit_code == 0
        records.append(yaml.safe_load((tmp_path / "r.yaml").read_text()))
    assert records[0]["options"] == records[1]["options"] == records[2]["options"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--quiet", "--verbose", "validate", "x"],
        ["--quiet", "validate", "x", "--verbose"],
        ["validate", "x", "--verbose", "--quiet"],
    ],
)
def test_not_both(run, arguments):
    result = run(*arguments)
    assert result.exit_code == 2 and "--quiet and --verbose: give only one of them" in result.stderr


@pytest.mark.parametrize(
    "arguments, suggestion",
    [
        (["trian"], "train"),
        (["prepare", "soundscape"], "soundscapes"),
        (["tune", "--criterio", "x"], "--criterion"),
        (["tune", "a", "b", "c.yaml", "--criterion", "segmnts"], "segments"),
        (["extract", "a", "b.h5", "--dtype", "float61"], "float16"),
        (["decode", "a", "b", "c", "--mode", "Frame"], "frame"),
    ],
)
def test_suggestions_for_unknown_words(run, arguments, suggestion):
    result = run(*arguments)
    assert result.exit_code == 2 and f"Did you mean '{suggestion}'?" in " ".join(
        result.stderr.split()
    )


def test_an_unknown_choice_without_similar_ones(run):
    result = run("tune", "a", "b", "c.yaml", "--criterion", "xyz")
    assert (
        result.exit_code == 2
        and "'xyz' is not one of 'tags', 'segments', 'psds1'." in result.stderr
        and "mean" not in result.stderr
    )


@pytest.mark.parametrize(
    "given, near",
    [
        ("data/tran", "data/train"),
        ("dta/tran", "data/train"),
        ("./data/tran", "data/train"),
        ("Data/TRAIN", "data/train"),
        ("data/-trian 1", "data/-train 1"),
        ("nothing/like/it", None),
        ("data/zzz", None),
        ("data/train/clips.tsv/x", None),
    ],
)
def test_a_path_like_one_that_is_there(run, tmp_path, monkeypatch, given, near):
    write_set(tmp_path / "data" / "train", [("a", "", 1)], ["x"], [("a", "x")])
    (tmp_path / "data" / "-train 1").mkdir()
    (tmp_path / "data" / ".tran").mkdir()
    monkeypatch.chdir(tmp_path)
    result = run("validate", "--", given)
    assert result.exit_code == 1 and (f"; did you mean '{near}'?" in result.stderr) == (
        near is not None
    )
    result = run("extract", "--", given, "x.h5")
    assert result.exit_code == 1 and result.stderr.startswith(
        f"{given.removeprefix('./')}: no such folder"
    )
    assert (f"; did you mean '{near}'?" in result.stderr) == (near is not None)
    assert near is not None or "did you mean" not in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["balance", "loop", "loop", "b", "--num-valid", "2"],
        ["extract", "loop", "loop.h5"],
        ["detect", "loop", "loop", "--output-dir", "loop", "--scores", "loop"],
        ["report", "loop", "loop.html"],
        ["validate", "loop"],
    ],
)
def test_a_link_to_itself_is_a_missing_input(run, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    result = run(*command)
    assert result.exit_code == 1 and "loop: " in result.stdout + result.stderr
    assert "did you mean" not in result.stderr


def test_shards_are_one_file_under_the_name_without_their_numbers(run, trained, corpus, tmp_path):
    for k in (1, 2):
        assert (
            run("extract", corpus / "valid", tmp_path / "valid.h5", "--shard", f"{k}/2").exit_code
            == 0
        )
    result = run("predict", trained, tmp_path / "valdi.h5", tmp_path / "s.h5")
    assert result.exit_code == 1 and result.stderr.endswith(
        f"; did you mean '{tmp_path / 'valid.h5'}'?"
    )
    assert run("predict", trained, tmp_path / "valid.h5", tmp_path / "s.h5").exit_code == 0


def test_another_fault_gets_no_path(run, small_set, tmp_path):
    """The message is about this error, although another input is missing too."""
    (small_set / "tags.tsv").unlink()
    (tmp_path / "conf.yaml").touch()
    result = run("extract", small_set, tmp_path / "a.h5", "--config", tmp_path / "cnf.yaml")
    assert (
        result.exit_code == 1
        and "tags.tsv: no such file" in result.stderr
        and "did you mean" not in result.stderr
    )


def test_classes(run, tmp_path):
    clips, tags = [("a.wav", "", 1)], [("a.wav", "High, very")]
    write_set(tmp_path / "set", clips, LABELS, tags)
    result = run("extract", tmp_path / "set", tmp_path / "a.h5")
    assert (
        f"unknown class 'High, very'; add it to labels.txt or correct the tag; did you mean '{LABELS[0]}'?"
        in result.stderr
    )
    write_score_file(tmp_path / "s.h5", ["a"], LABELS, [[0.5, 0.5]])
    (tmp_path / "labels.txt").write_text("lwo\n")
    result = run(
        "average", tmp_path / "s.h5", tmp_path / "o.h5", "--labels", tmp_path / "labels.txt"
    )
    assert (
        result.exit_code == 1
        and "lacks these classes of" in result.stderr
        and "'lwo'; did you mean 'low'?" in result.stderr
    )
    write_sound(tmp_path / "bank" / "Sea waves" / "1-a-A.wav")
    result = run(
        "prepare", "soundscapes", tmp_path / "bank", tmp_path / "data", "--background", "sea wave"
    )
    assert result.exit_code == 1 and "did you mean 'Sea waves'?" in result.stderr
    result = run("prepare", "soundscapes", tmp_path / "bnak", tmp_path / "data")
    assert result.exit_code == 1 and f"did you mean '{tmp_path / 'bank'}'?" in result.stderr
    result = run("prepare", "soundscapes", "bultin", tmp_path / "data")
    assert result.exit_code == 1 and "did you mean 'builtin'?" in result.stderr


@pytest.mark.parametrize(
    "word, known, near",
    [
        ("pooing", ["pooling", "seed"], "pooling"),
        ("POOLING", ["pooling"], "pooling"),
        ("dog", ["Dog", "Fog"], "Dog"),
        ("x", ["pooling"], None),
        ("", ["a"], None),
        ("a", [], None),
        (3, [3, 30], "3"),
        ("dog", ["dog", "Dog"], "dog"),
        ("Dog", ["dog", "Dog"], "dog"),
        ("Baby cry", ["Cry", "Baby cry, infant cry"], "Baby cry, infant cry"),
        ("bark", ["Dog, bark", "Bark"], "Bark"),
    ],
)
def test_nearest(word, known, near):
    assert config.nearest(word, known) == near


def test_known_words_with_commas_are_told_apart():
    assert config.suggest("x", ["pooling", "seed"]) == "known: pooling, seed"
    assert (
        config.suggest("x", ["Baby cry, infant cry", "Dog"]) == "known: Baby cry, infant cry; Dog"
    )
