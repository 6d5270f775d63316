"""`balance --by time` and `balance --groups`, as a user types them."""

import shutil

import numpy as np
import pytest
from helpers import contents, write_set, write_sound

from wsedtk.core.errors import InputError
from wsedtk.data import datadir, time_split
from wsedtk.stages.options.systems import BalanceOptions


@pytest.fixture
def one_night(tmp_path, monkeypatch):
    """A data directory with the clips of one recording."""
    monkeypatch.chdir(tmp_path)
    names = [f"night_{10 * i}_{10 * i + 10}.flac" for i in range(40)]
    tags = [(name, "owl" if i % 4 < 2 else "fox") for i, name in enumerate(names) if i % 4]
    write_set(tmp_path / "set", [(name, "", 10) for name in names], ["owl", "fox"], tags)
    return tmp_path / "set"


SPLIT = ("balance", "set", "fit", "valid", "--num-valid", 8)


def test_by_time(one_night, tmp_path, run):
    refused = run(*SPLIT)
    assert refused.exit_code == 1 and not (tmp_path / "fit").exists()
    command = "wsedtk balance set fit valid --num-valid 8 --by time"
    assert f"split each recording by time: {command}; or " in refused.stderr
    result = run(*command.split()[1:])
    assert result.exit_code == 0 and result.stderr == ""
    fit, valid = (datadir.read(tmp_path / name) for name in ("fit", "valid"))
    spans = [time_split.clip_times(part) for part in (fit, valid)]
    start, end = spans[1].starts.min(), spans[1].ends.max()
    assert len(valid) == 8 and end - start == 80 and len(fit) in (30, 31)
    assert not ((spans[0].starts < end + 10) & (spans[0].ends > start - 10)).any()
    assert valid.clips_per_class().tolist() == [2, 4]
    assert f"held out: night, {start:g} s to {end:g} s" in result.stdout
    assert "near the held-out parts" in result.stdout
    assert {key: valid.info[key] for key in ("split_by", "gap_seconds")} == {
        "split_by": "time",
        "gap_seconds": 10.0,
    }
    # The sets share the recording by design, so validate does not warn of it.
    checked = run("validate", "fit", "valid")
    assert checked.exit_code == 0 and "also occurs in" not in checked.stdout
    first = contents(tmp_path / "valid")
    assert run(*SPLIT, "--by", "time").exit_code == 0
    assert contents(tmp_path / "valid")["clips.tsv"] == first["clips.tsv"]
    assert run(*SPLIT, "--by", "time", "--gap-seconds", 40).exit_code == 0
    assert len(datadir.read(tmp_path / "fit")) <= 28
    shutil.rmtree(tmp_path / "fit")
    wide = run(*SPLIT, "--by", "time", "--gap-seconds", 1000)
    assert wide.exit_code == 1 and not (tmp_path / "fit").exists()
    assert "lower num_valid (--num-valid) or gap_seconds (--gap-seconds), now 1000 s" in wide.stderr


def test_clips_that_prepare_cut(tmp_path, run, monkeypatch):
    """A long recording in a folder, cut by `prepare folders`, is split by time."""
    monkeypatch.chdir(tmp_path)
    write_sound(tmp_path / "birds" / "Owl" / "night.wav", 12, 8000)
    write_sound(tmp_path / "birds" / "background" / "wind.wav", 12, 8000, frequency=100)
    assert run("prepare", "folders", "birds", "set", "--clip-seconds", 1).exit_code == 0
    assert "--by time" in run(*SPLIT[:-1], 4).stderr
    result = run(*SPLIT[:-1], 4, "--by", "time", "--gap-seconds", 1)
    assert result.exit_code == 0
    assert len(datadir.read(tmp_path / "valid")) == 4 and len(datadir.read(tmp_path / "fit")) == 18


def test_sets_without_times(one_night, run):
    text = (one_night / "clips.tsv").read_text()
    for name in ("clips.tsv", "tags.tsv"):
        text = (one_night / name).read_text().replace("night_", "night")
        (one_night / name).write_text(text)
    result = run(*SPLIT, "--by", "time")
    assert result.exit_code == 1
    assert "set/clips.tsv: no clip has times in its name, such as 'night0_10.flac'" in result.stderr


@pytest.mark.parametrize(
    "options, message",
    [
        ({"gap_seconds": 5.0}, "gap_seconds .--gap-seconds. has an effect only with by=time"),
        ({"by": "time", "gap_seconds": -1.0}, "found -1.0; expected a number of at least 0"),
        ({"by": "time", "gap_seconds": float("inf")}, "expected a finite number"),
        ({"by": "clip"}, "by: found 'clip'; expected 'group' or 'time'"),
        ({"by": "time", "groups": "a.csv"}, "are both given; give one of them"),
        ({"group_column": "site"}, "group_column .--group-column.: found 'site', but no table"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(InputError, match=message):
        BalanceOptions("set", "fit", "valid", num_valid=2, **options)


@pytest.fixture
def recorders(tmp_path, monkeypatch):
    """A data directory of 24 recordings in two class folders; their groups are one site."""
    monkeypatch.chdir(tmp_path)
    names = [f"{label}/{i:02d}_0_10.flac" for label in ("fox", "owl") for i in range(12)]
    tags = [(name, name.partition("/")[0]) for name in names]
    folder = write_set(tmp_path / "set", [(name, "", 10) for name in names], ["fox", "owl"], tags)
    header, *rows = (folder / "clips.tsv").read_text().splitlines()
    rows = [f"{row}\tpond" for row in rows]
    (folder / "clips.tsv").write_text("\n".join([f"{header}\tgroup", *rows, ""]))
    return folder


def test_groups_of_a_table(recorders, tmp_path, run):
    """The recorders of a user's table replace the groups of the set."""
    assert "--groups TABLE --group-column HEADING" in run(*SPLIT).stderr
    rows = [f"/home/me/{i:02d}.wav;R{i % 4};x" for i in range(12)]
    (tmp_path / "meta.csv").write_text("\n".join(["File name;Recorder;Notes", *rows, ""]))
    result = run(*SPLIT, "--groups", "meta.csv", "--group-column", "Recorder")
    assert result.exit_code == 0, result.stderr
    parts = [datadir.read(tmp_path / name) for name in ("fit", "valid")]
    groups = [set(part.groups.tolist()) for part in parts]
    assert not groups[0] & groups[1] and groups[0] | groups[1] == {"R0", "R1", "R2", "R3"}
    for part in parts:
        for name, group in zip(part.filenames.tolist(), part.groups.tolist()):
            assert group == f"R{int(name[4:6]) % 4}"
    assert parts[1].clips_per_class().tolist() == [4, 4]
    # A column `site` needs no option. A path chooses one of two recordings of the same name.
    rows = [f"{label}/{i:02d}.wav,{label}{i // 3}" for label in ("fox", "owl") for i in range(12)]
    (tmp_path / "sites.csv").write_text("\n".join(["file,Site", *rows, ""]))
    assert run(*SPLIT, "--groups", "sites.csv").exit_code == 0
    valid = datadir.read(tmp_path / "valid")
    assert all(g[:3] == n[:3] for n, g in zip(valid.filenames.tolist(), valid.groups.tolist()))
    assert np.unique(valid.groups).size < len(valid)


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "file,rec\n00,A\n01,B\n",
            "t.csv: no column has the heading group or site or location or station; found 'rec'; "
            "name the column of the groups with group_column",
        ),
        ("file,site\n00,A\n01,B\n", "t.csv: has no group of 20 recordings (20 clips): fox/02, "),
        ("file,site\nx,A\n", "give a table with a column of the file names of recordings or clip"),
        ("file,site\n00,A\n00.wav,B\n", "t.csv:3: the clip fox/00_0_10.flac has the group 'B', "),
    ],
)
def test_wrong_tables(recorders, tmp_path, run, text, message):
    (tmp_path / "t.csv").write_text(text)
    result = run(*SPLIT, "--groups", "t.csv")
    assert result.exit_code == 1 and message in result.stderr
    assert not (tmp_path / "fit").exists()
    if "rec\n" in text:
        result = run(*SPLIT, "--groups", "t.csv", "--group-column", "recorder")
        assert (
            "has no column 'recorder', which group_column (--group-column) names" in result.stderr
        )
