"""folders: links are followed, loops are not, unreadable folders are reported; by all verbs."""

import contextlib
import glob
import os
import random
import shutil
import unicodedata
from pathlib import Path

import pytest
from helpers import as_no_root, write_set, write_sound
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsedtk.core.errors import InputError
from wsedtk.corpora import sound_bank, youtube
from wsedtk.data import folders
from wsedtk.evaluation import scored_systems
from wsedtk.inference import recordings
from wsedtk.inspection.artefacts import describe


def make(folder, *files):
    """Create empty files with these paths below a folder; `a -> b` creates a link."""
    for name in files:
        name, arrow, target = name.partition(" -> ")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if arrow:
            path.symlink_to(target)
        else:
            path.touch()
    return folder


def walked(folder):
    """Return {path from the folder: files} of `walk`, in its order."""
    return {os.path.relpath(path, folder): files for path, files in folders.walk(folder)}


def names_of(folder):
    return [name for _, name in recordings.find([folder])]


def test_folders_below_and_behind_links(tmp_path, capsys):
    """Hidden folders are skipped, as hidden files are."""
    make(
        tmp_path,
        "in/b/2.wav",
        "in/b/1.wav",
        "in/a/deep/3.wav",
        "in/0.wav",
        "out/x/4.wav",
        "in/a/link -> ../../out",
        "in/.hid/5.wav",
    )
    assert list(walked(tmp_path / "in").items()) == [
        (".", ["0.wav"]),
        ("a", []),
        ("a/deep", ["3.wav"]),
        ("b", ["1.wav", "2.wav"]),
        ("a/link", []),
        ("a/link/x", ["4.wav"]),
    ]
    assert names_of(tmp_path / "in") == [
        "0.wav",
        "a/deep/3.wav",
        "a/link/x/4.wav",
        "b/1.wav",
        "b/2.wav",
    ]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "links",
    [
        ["in/a/up -> .."],
        ["in/a/up -> ."],
        ["in/a/up -> ../.."],
        ["in/a/b/up -> ../../.."],
        ["in/a/up -> /"],
        ["in/a/there -> ../../out", "out/up -> ../in/a"],
        ["in/a/there -> ../../out", "out/up -> .."],
    ],
)
@pytest.mark.usefixtures("printed_messages")
def test_loops_are_refused_and_named(tmp_path, capsys, links):
    """A link to a folder that contains it, also above the start of the walk, or by another link."""
    make(tmp_path, "in/a/b/1.wav", "in/2.wav", "out/3.wav", *links)
    expected = ["2.wav", "a/b/1.wav"] + ["a/there/3.wav"] * (len(links) == 2)
    assert names_of(tmp_path / "in") == expected
    error = capsys.readouterr().err
    where = "in/a/there/up" if len(links) == 2 else links[-1].split(" ")[0]
    assert error == (
        f"warning: {tmp_path / 'in'}: links to a folder that contains them are not followed: "
        f"{tmp_path / where}; remove these links\n"
    )


def test_each_folder_is_visited_once_and_links_last(tmp_path, capsys):
    make(
        tmp_path,
        "in/z/1.wav",
        "in/a -> z",
        "in/b -> ../out",
        "in/c -> ../out",
        "out/2.wav",
        "in/x -> ../y",
        "y/back -> ../in/z",
        "y/3.wav",
    )
    assert (
        names_of(tmp_path / "in") == ["b/2.wav", "x/3.wav", "z/1.wav"]
        and capsys.readouterr().err == ""
    )


def test_the_folder_itself_may_be_a_link(tmp_path):
    make(tmp_path, "in/1.wav", "link -> in")
    assert names_of(tmp_path / "link") == ["1.wav"]


def test_links_that_lead_nowhere_are_files(tmp_path):
    make(
        tmp_path,
        "in/none.wav -> missing",
        "in/self.wav -> self.wav",
        "in/none -> missing",
        "in/1.wav",
    )
    assert names_of(tmp_path / "in") == ["1.wav", "none.wav", "self.wav"]


@pytest.fixture
def closed():
    """Remove permissions of a folder for the rest of the test, also for root."""
    with contextlib.ExitStack() as stack:

        def close(path, mode):
            stack.callback(path.chmod, path.stat().st_mode)
            path.chmod(mode)
            return path

        stack.enter_context(as_no_root())
        yield close


MODES = [0o000, 0o300, 0o600]  # closed; not readable; not executable: only the names can be read


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.usefixtures("printed_messages")
def test_folders_that_can_not_be_entered_are_named(tmp_path, closed, capsys, mode):
    make(
        tmp_path,
        "in/a/1.wav",
        "in/b/c/2.wav",
        "in/d/3.wav",
        "secret/x/4.wav",
        "in/e -> ../secret/x",
        "in/5.wav -> ../secret/x/4.wav",
    )
    closed(tmp_path / "in" / "b" / "c", mode)
    closed(tmp_path / "secret", mode)
    expected = ["5.wav", "a/1.wav", "d/3.wav"]
    if mode == 0o300:  # files with a known name can be opened
        expected.insert(3, "e/4.wav")
    assert names_of(tmp_path / "in") == expected
    error = capsys.readouterr().err
    assert error.startswith(
        f"warning: {tmp_path / 'in'}: folders that can't be entered are left out: "
        f"{tmp_path}/in/b/c (Permission denied)"
    )
    assert (f"{tmp_path}/in/e (Permission denied)" in error) == (mode != 0o300)
    assert error.endswith("; change their permissions, or run the command as their owner\n")
    assert error.count("\n") == 1
    pattern = str(tmp_path / "in" / "**" / "*.wav")
    assert sorted(path.name for path, _ in recordings.find([pattern])) == sorted(
        Path(name).name for name in expected
    )
    assert capsys.readouterr().err == error


@pytest.mark.parametrize("mode", MODES)
def test_a_folder_of_recordings_that_can_not_be_entered(tmp_path, closed, mode):
    make(tmp_path, "in/1.wav")
    closed(tmp_path / "in", mode)
    for argument in [tmp_path / "in"] + [tmp_path / "in" / "1.wav"] * (mode == 0o600):
        with pytest.raises(
            InputError,
            match=f"^{tmp_path}/in: can't be entered \\(Permission denied\\); change its perm",
        ):
            recordings.find([argument])


@pytest.mark.parametrize("mode", MODES)
def test_a_bank_with_a_class_that_can_not_be_entered(tmp_path, closed, mode):
    """Omitting a class without a message would change the soundscapes, so it is an error."""
    make(tmp_path, "Dog/1-1-A.wav", "Cat/2-1-A.wav", "elsewhere/3-1-A.wav", "Rain -> elsewhere")
    assert list(sound_bank.scan(tmp_path)) == ["Cat", "Dog", "Rain", "elsewhere"]
    closed(tmp_path / "Dog", mode)
    with pytest.raises(InputError, match=f"^{tmp_path}/Dog: can't be entered"):
        sound_bank.scan(tmp_path)


def test_classes_of_a_bank_in_two_forms(tmp_path):
    nfd = unicodedata.normalize("NFD", "Möwe")
    make(tmp_path, f"{nfd}/1-1-A.wav", "Dog/2-1-A.wav")
    found = sound_bank.scan(tmp_path)
    assert (
        list(found) == ["Dog", "Möwe"]
        and found["Möwe"][0].path == tmp_path / nfd / "1-1-A.wav"
        and found["Möwe"][0].label == "Möwe"
    )
    make(tmp_path, "Möwe/1-2-A.wav")
    with pytest.raises(
        InputError,
        match="the names of this folder and of .* differ only in their Unicode form; put the files of both folders into one folder",
    ):
        sound_bank.scan(tmp_path)


@pytest.mark.usefixtures("printed_messages")
def test_the_audio_of_a_corpus(tmp_path, closed, capsys):
    """Links are followed. The file behind a link is used only if there is no other."""
    make(
        tmp_path,
        "in/b/Yabcdefghijk_0_10.wav",
        "in/a -> ../out",
        "out/Yabcdefghijk_0_10.flac",
        "out/abcdefghijl_0_10.wav",
        "in/b/up -> ../..",
        "in/c/x.txt",
        "in/c/caf\u00e9caf\u00e9caf_0_10.wav",
        "in/c/" + unicodedata.normalize("NFD", "áfécafécafé_0_10.wav"),
        "in/secret/abcdefghijm_0_10.wav",
    )
    closed(tmp_path / "in" / "secret", 0)
    names, paths, num_others, unfit = youtube.find_audio([tmp_path / "in"])
    found = dict(zip(names.tolist(), paths.tolist()))
    assert found["abcdefghijk_0.000_10.000.wav"] == f"{tmp_path}/in/b/Yabcdefghijk_0_10.wav"
    assert found["abcdefghijl_0.000_10.000.wav"] == f"{tmp_path}/in/a/abcdefghijl_0_10.wav"
    assert found["áfécafécafé_0.000_10.000.wav"] == f"{tmp_path}/in/c/" + unicodedata.normalize(
        "NFD", "áfécafécafé_0_10.wav"
    )
    assert len(found) == 4 and num_others == 1 and not unfit
    error = capsys.readouterr().err
    assert (
        f"{tmp_path}/in/secret (Permission denied)" in error
        and f"not followed: {tmp_path}/in/b/up;" in error
    )


@pytest.mark.usefixtures("printed_messages")
def test_metadata_behind_a_link(tmp_path, capsys):
    make(
        tmp_path,
        "in/deep/a.csv",
        "in/link -> ../out",
        "out/b.csv",
        "out/a.csv",
        "out/up -> ../in",
        "in/none.csv -> missing",
    )
    assert youtube.find_metadata(tmp_path / "in", "lists") == {
        "a.csv": tmp_path / "in/link/a.csv",
        "b.csv": tmp_path / "in/link/b.csv",
    }
    assert "not followed" in capsys.readouterr().err


def test_info_and_report_name_what_can_not_be_entered(run, tmp_path, closed):
    write_set(tmp_path / "exp" / "data" / "train", [("a", "", 1)], ["x"], [("a", "x")])
    make(
        tmp_path, "exp/secret/model.yaml", "exp/system/valid/x", "exp/system/test/frame/report.json"
    )
    closed(tmp_path / "exp" / "secret", 0o600)
    result = run("info", tmp_path / "exp")
    assert result.exit_code == 0 and "data/train: data directory, complete" in result.stdout
    message = (
        f"warning: {tmp_path}/exp/secret: can't be entered (Permission denied); "
        "change its permissions, or run the command as its owner\n"
    )
    assert result.stderr == message
    assert list(scored_systems.find_systems([tmp_path / "exp"])) == ["system"]
    closed(tmp_path / "exp" / "system" / "test", 0)
    result = run("report", tmp_path / "exp" / "system", tmp_path / "r.html")
    assert result.exit_code == 1 and "found no model and no SET/MODE/report.json" in result.stderr
    closed(tmp_path / "exp", 0o300)
    with pytest.raises(InputError, match=f"^{tmp_path}/exp: can't be entered"):
        describe(tmp_path / "exp")


@pytest.mark.parametrize(
    "arguments",
    [
        ["validate", "DIR"],
        ["extract", "DIR", "x.h5"],
        ["predict", "DIR", "y.h5", "x.h5"],
        ["score-files", "DIR/tags.tsv", "DIR/tags.tsv"],
        ["average", "DIR/deeper/a.h5", "x.h5"],
        ["info", "DIR/tags.tsv"],
        ["detect", "DIR/m", "a.wav"],
    ],
)
def test_an_input_in_a_folder_that_can_not_be_entered(
    run, tmp_path, closed, monkeypatch, arguments
):
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path / "set", [("a", "", 1)], ["x"], [("a", "x")])
    closed(tmp_path / "set", 0o600)
    result = run(*(argument.replace("DIR", "set") for argument in arguments))
    assert result.exit_code == 1 and result.stderr.splitlines()[0] == (
        f"{tmp_path}/set: can't be entered (Permission denied); "
        "change its permissions, or run the command as its owner"
    )


def test_detect_follows_links(run, trained, tmp_path):
    write_sound(tmp_path / "elsewhere" / "a.wav")
    make(tmp_path, "in/link -> ../elsewhere", "elsewhere/up -> ../in")
    result = run("detect", trained, tmp_path / "in", "--threshold", "0")
    assert result.exit_code == 0 and {
        line.split("\t")[0] for line in result.stdout.splitlines()[1:]
    } == {"link/a.wav"}
    assert f"not followed: {tmp_path}/in/link/up;" in result.stderr


def test_recordings_whose_names_differ_in_their_form_only(run, trained, tmp_path):
    for name in ("é.wav", "e\u0301.wav"):
        write_sound(tmp_path / "in" / name)
    result = run(
        "detect", trained, tmp_path / "in", "--threshold", "0", "--output-dir", tmp_path / "out"
    )
    assert (
        result.exit_code == 1
        and "only the Unicode forms of the two names differ; rename one of" in result.stderr
    )
    assert len(list((tmp_path / "out").glob("*.tsv"))) == 1  # the other one is done
    result = run(
        "detect",
        trained,
        tmp_path / "in",
        "--threshold",
        "0",
        "--scores",
        tmp_path / "s",
        "--max-failures",
        "0.5",
    )
    assert result.exit_code == 0 and "Unicode form" in result.stderr
    assert "recordings: 1," in result.stderr and len(list((tmp_path / "s").iterdir())) == 1
    result = run("detect", trained, tmp_path / "in", "--threshold", "0")
    assert (
        result.exit_code == 0
        and len({line.split("\t")[0] for line in result.stdout.splitlines()[1:]}) == 2
    )
    assert result.stderr.startswith("warning: ") and "Unicode form" in result.stderr.splitlines()[0]


# ---- patterns ----

PATTERNS = [
    "*.wav",
    "*/*.wav",
    "**/*.wav",
    "**",
    "a/**",
    "a/**/*.wav",
    "**/b/**",
    "**/b/*",
    "?/*/1.wav",
    "[ab]/**/[12].wav",
    "*",
    ".*",
    "**/.*",
    ".h/*",
    "[!a]/*.wav",
    "**/a/**/b/*.wav",
    "a*/**.wav",
    "a/b/1.wav*",
    "./*/*.wav",
    "**/**/1.wav",
    "nothing/*",
]
PLACES = [
    f"{folder}{name}"
    for folder in ("", "a/", "b/", "a/b/", "b/a/b/", ".h/", "a/.h/b/", "a/a/a/")
    for name in ("1.wav", "2.wav", ".3.wav", "x", "[4].wav")
]


@pytest.mark.parametrize("seed", range(4))
def test_patterns_stand_for_the_files_that_globs_do(tmp_path, monkeypatch, seed):
    """In folders without links, the result equals that of Python's glob."""
    make(tmp_path, *random.Random(seed).sample(PLACES, 25))
    monkeypatch.chdir(tmp_path)
    for pattern in PATTERNS:
        for full in (pattern, str(tmp_path / pattern)):
            expected = sorted(
                {Path(path) for path in glob.glob(full, recursive=True) if os.path.isfile(path)}
            )
            assert folders.matching(full) == expected, full


NAME = st.text("ab.*?é", min_size=1, max_size=4).filter(lambda name: name not in (".", ".."))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    paths=st.sets(st.lists(NAME, min_size=1, max_size=3).map("/".join), max_size=5),
    pattern=st.lists(st.one_of(NAME, st.just("**"), st.just("*")), min_size=1, max_size=4)
    .map("/".join)
    .filter(glob.has_magic),
)
def test_any_pattern_stands_for_the_files_that_globs_do(tmp_path, paths, pattern):
    shutil.rmtree(tmp_path / "in", ignore_errors=True)
    (tmp_path / "in").mkdir()
    for path in sorted(paths, key=len):
        with contextlib.suppress(OSError):  # a file is in place of the folder
            make(tmp_path / "in", path)
    full = f"{tmp_path}/in/{pattern}"
    assert folders.matching(full) == sorted(
        {Path(path) for path in glob.glob(full, recursive=True) if os.path.isfile(path)}
    )


@pytest.mark.usefixtures("printed_messages")
def test_patterns_go_through_loops_once(tmp_path, capsys):
    """With two loops, Python's glob would find each file 2 ** 40 times."""
    make(tmp_path, "in/a/1.wav", "in/l -> .", "in/m -> .", "in/n -> ../out", "out/2.wav")
    assert [path.name for path in folders.matching(f"{tmp_path}/in/**/*.wav")] == ["1.wav", "2.wav"]
    assert f"not followed: {tmp_path}/in/l, {tmp_path}/in/m;" in capsys.readouterr().err


def test_patterns_know_names_in_either_form(tmp_path):
    make(tmp_path, "e\u0301/e\u0301.wav")
    for pattern in ("*/é.*", "*/e\u0301.*", "e\u0301/?.wav", "?/[é].wav"):
        assert folders.matching(str(tmp_path / pattern)) == [
            tmp_path / "e\u0301" / "e\u0301.wav"
        ], pattern
