"""prepare merge: the clips, tags, events, groups and paths of all sets, in one set."""

import itertools
import os

import numpy as np
import pytest
from helpers import contents, write_set

from wsedtk.core.errors import InputError
from wsedtk.corpora import merging
from wsedtk.corpora.merging import MergeOptions
from wsedtk.data import clip_sets, datadir


def write(folder, rows, labels, tags, events=None):
    """Write a data directory. rows: (filename, path, duration, group)."""
    write_set(folder, [row[:3] for row in rows], labels, tags, events)
    lines = ["filename\tpath\tduration\tgroup", *("\t".join(map(str, row)) for row in rows)]
    (folder / "clips.tsv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def sets(tmp_path):
    """Two sets with one common class and one common group. The first set has events."""
    rows = [("c.wav", "../x/c.wav", 2, "north"), ("a.wav", "", 3, "")]
    events = [("c.wav", 1, 2, "Owl"), ("c.wav", 0.5, 1, "Dog"), ("c.wav", 0, 1, "Owl")]
    tags = [("c.wav", "Owl"), ("c.wav", "Dog")]
    first = write(tmp_path / "in" / "first", rows, ["Owl", "Dog"], tags, events)
    rows = [("b.wav", "/y/b.wav", 1, "north"), ("d.wav", "audio/d.wav", 4, "south")]
    second = write(
        tmp_path / "second", rows, ["Wren", "Owl"], [("b.wav", "Owl"), ("d.wav", "Wren")]
    )
    return first, second


def merged(*arguments, **options):
    *inputs, output = arguments
    result = merging.prepare(MergeOptions(inputs, output, **options))
    (one,) = result.sets
    written = datadir.read(output)
    assert one.dataset.filenames.tolist() == written.filenames.tolist()
    return result, written


def rows_of(dataset):
    """Return all that a set says, by names, independent of the order of clips and classes."""
    name, label = dataset.filenames.tolist(), dataset.labels
    events = [] if dataset.events is None else dataset.events.rows()
    return {
        "clips": sorted(zip(name, dataset.paths.tolist(), dataset.durations.tolist())),
        "tags": sorted((name[i], label[k]) for i, k in zip(dataset.tag_clip, dataset.tag_label)),
        "events": sorted((name[i], onset, offset, label[k]) for i, onset, offset, k in events),
    }


def test_the_set_says_what_the_sets_say(sets, tmp_path, run):
    before = [contents(folder) for folder in sets]
    result = run("prepare", "merge", *sets, tmp_path / "all", "--quiet")
    assert (result.exit_code, result.stdout) == (0, "")
    found, parts = datadir.read(tmp_path / "all"), [datadir.read(folder) for folder in sets]
    assert found.filenames.tolist() == ["a.wav", "b.wav", "c.wav", "d.wav"]
    assert found.labels == ["Owl", "Dog", "Wren"]
    for what, expected in rows_of(found).items():
        assert expected == sorted(itertools.chain(*(rows_of(part)[what] for part in parts))), what
    assert found.paths.tolist()[2] == os.path.join(sets[0], "../x/c.wav")
    assert found.groups.tolist() == ["", "second/north", "first/north", "second/south"]
    assert [contents(folder) for folder in sets] == before


def test_text_and_warnings(sets, tmp_path, caplog):
    result, _ = merged(*sets, tmp_path / "all")
    assert f"{sets[1]}: 2 clips\n{tmp_path / 'all'}: 4 clips" in result.to_text()
    assert (
        "3 groups" in result.to_text() and f"next: wsedtk validate {tmp_path}" in result.to_text()
    )
    groups, events, *classes = caplog.messages
    assert "1 group occurs in several sets" in groups and "north; if" in groups
    assert f"{sets[1]}: no events.tsv, but other sets have events" in events
    assert classes == [
        f"{sets[0]}: does not have the classes 'Wren', which count as absent in all its clips",
        f"{sets[1]}: does not have the classes 'Dog', which count as absent in all its clips",
    ]
    caplog.clear()
    _, found = merged(*sets, tmp_path / "all", join_groups=True)
    assert found.groups.tolist() == ["", "north", "north", "south"] and len(caplog.messages) == 3
    source = clip_sets.sources(found)[0]
    assert source[1] == source[2] and len(np.unique(source)) == 3


def test_clips_of_the_same_name(sets, tmp_path):
    other = write(tmp_path / "third", [("a.wav", "/z/a.wav", 1, "")], ["Owl"], [])
    with pytest.raises(
        InputError, match="third: 1 clip has the same name as clips of .*first: a.w"
    ):
        merged(*sets, other, tmp_path / "all")
    assert not (tmp_path / "all").exists()
    _, found = merged(*sets, other, tmp_path / "all", add_names=True)
    names = ["first/a.wav", "first/c.wav", "second/b.wav", "second/d.wav", "third/a.wav"]
    assert found.filenames.tolist() == names
    assert rows_of(found)["tags"][0] == ("first/c.wav", "Dog")
    # Sets whose folders have the same name are named by their paths.
    twin = write(tmp_path / "first", [("a.wav", "", 1, "n")], ["Owl"], [])
    _, found = merged(sets[0], twin, tmp_path / "two", add_names=True)
    assert found.filenames.tolist() == sorted(
        [f"{sets[0]}/a.wav", f"{sets[0]}/c.wav", f"{twin}/a.wav"]
    )
    # A joined set can be joined again.
    _, again = merged(tmp_path / "two", sets[1], tmp_path / "three")
    assert len(again) == 5 and f"two/{twin}/n" in again.groups.tolist()


def test_wrong_sets(sets, tmp_path, run):
    with pytest.raises(InputError, match="expected at least two data directories to join, and the"):
        MergeOptions([sets[0]], tmp_path / "all")
    assert run("prepare", "merge", sets[0], tmp_path / "all").exit_code == 1
    with pytest.raises(InputError, match="first: is given twice; give each data directory once"):
        merged(sets[0], sets[0], tmp_path / "all", add_names=True)
    with pytest.raises(InputError, match="gone: no such folder; a data directory contains"):
        merged(*sets, tmp_path / "gone", tmp_path / "all")
    with pytest.raises(InputError, match="a data set that `wsedtk prepare merge` did not make"):
        merged(*sets, sets[1])
    result = run("prepare", "merge", *sets, sets[1])
    assert result.exit_code == 1 and "is an input of this command" in result.stderr
