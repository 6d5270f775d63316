"""prepare table: all forms of a table of file names and classes give the same set."""

import pytest
from helpers import contents, write_sound

from wsedtk.core.errors import InputError
from wsedtk.corpora import table
from wsedtk.corpora.table import TableOptions
from wsedtk.data import datadir

# Five recordings: `d` is a background, and `e` is not in the tables.
EXPECTED = {"a.wav": ["Dog", "Owl"], "b.flac": ["Owl"], "sub/c.wav": ["Dog"], "sub/d.wav": []}
FORMS = {
    "rows": "file,label\na.wav,Dog\na.wav,Owl\nb.flac,Owl\nsub/c.wav,Dog\nd.wav,\n",
    "tsv without header": "a.wav\tDog\na.wav\tOwl\nb.flac\tOwl\nc.wav\tDog\nsub/d.wav\n",
    "nan": "file,label\na.wav,Dog\na.wav,Owl\n\nb.flac,Owl\nc.wav,Dog\nd.wav,nan\n",
    "background": "name;species;note\na;Dog;x\na;Owl;\nb;Owl;y\nc;Dog;z\nd;Background;\n",
    "cells": 'label,file\n"Owl,Dog",a.wav\nOwl,b.flac\nDog,c.wav\n,d.wav\n',
    "cells with semicolons": "file,species\na.wav,Dog; Owl\nb.flac,Owl\nc.wav,Dog\nd.wav,\n",
    "cells with bars": "file\tspecies\na.wav\tDog|Owl\nb.flac\tOwl\nc.wav\tDog\nd.wav\t\n",
    "cells with comma and space": 'file,tags\na.wav,"Dog, Owl"\nb.flac,Owl\nc.wav,Dog\nd.wav,\n',
    "columns": "file,Dog,Owl\na.wav,1,1\nb.flac,0,1\nc.wav,1,0\nd.wav,0,0\n",
    "columns of words": "Dog\tfile\tOwl\nyes\ta.wav\tX\n\tb.flac\tx\nYes\tc.wav\t\nno\td.wav\t\n",
    "windows": "\ufefffile;label\r\nC:\\rec\\a.wav;Dog\r\nC:\\rec\\a.wav;Owl\r\n"
    "b.wav;Owl\r\nsub\\c.wav;Dog\r\nd.wav;\r\n",
    "ignored": "id,file,year,label\n1,a.wav,2020,Dog\n2,a.wav,2020,Owl\n"
    "3,b.flac,2021,Owl\n4,c.wav,2021,Dog\n5,d.wav,2021,\n",
}


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audio")
    for seed, name in enumerate([*EXPECTED, "e.wav"]):
        write_sound(folder / name, sample_rate=8000, seed=seed)
    return folder


def prepared(text, audio, folder, **options):
    (folder / "labels.csv").write_text(text, encoding="utf-8")
    result = table.prepare(TableOptions(folder / "labels.csv", audio, folder / "set", **options))
    return result, None if options.get("dry_run") else datadir.read(folder / "set")


def tags(dataset):
    return {
        str(name): [dataset.labels[k] for k in dataset.tags_of(i)]
        for i, name in enumerate(dataset.filenames)
    }


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_forms(audio, tmp_path, text):
    _, dataset = prepared(text, audio, tmp_path)
    assert tags(dataset) == EXPECTED and dataset.labels == ["Dog", "Owl"]
    assert dataset.groups.tolist() == ["a", "b", "c", "d"]
    assert dataset.durations.tolist() == [1.0] * 4 and dataset.info["tags"] == "complete"


def test_dry_run_shows_the_form_and_writes_nothing(audio, tmp_path, run):
    text = "file,site,id,species\na.wav,north,1,Dog|Owl\nb.flac,south,2,Owl\nx.wav,north,3,Owl\n"
    (tmp_path / "labels.csv").write_text(text)
    before = contents(tmp_path)
    words = ["prepare", "table", tmp_path / "labels.csv", audio, tmp_path / "set"]
    result = run(*words, "--dry-run", "--quiet")
    assert result.exit_code == 0 and contents(tmp_path) == before
    for line in (
        "columns are separated by: commas",
        "header: yes",
        "file names: file",
        "classes: several classes in a cell, with '|' between them (species)",
        "groups: site",
        "ignored columns: id",
        "  2 Owl",
        "  1 Dog",
        "  0 (no tags)",
        f"missing: {tmp_path / 'labels.csv'}:4: 'x.wav' is not in {audio}",
    ):
        assert line in result.stdout.splitlines(), line
    result = run(*words)
    assert result.exit_code == 1 and "1 of 3 recordings can't be used" in result.stderr
    result = run(*words, "--max-failures", 0.5)
    assert result.exit_code == 0 and "left out: 1 missing or unreadable file" in result.stdout
    dataset = datadir.read(tmp_path / "set")
    assert dataset.groups.tolist() == ["north", "south"]
    assert run("validate", tmp_path / "set", "--audio").exit_code == 0


def test_choices_replace_what_is_recognised(audio, tmp_path):
    text = "file,copy,Dog,Owl,seen,place\na.wav,b.flac,1,0,1,n\nb.flac,a.wav,0,1,1,s\n"
    _, dataset = prepared(text, audio, tmp_path)
    assert dataset.labels == ["Dog", "Owl", "seen"]
    given = {"label_columns": ["Owl", "Dog"], "file_column": "copy", "group_column": "place"}
    _, dataset = prepared(text, audio, tmp_path, **given)
    assert dataset.labels == ["Owl", "Dog"] and dataset.groups.tolist() == ["s", "n"]
    assert tags(dataset) == {"a.wav": ["Owl"], "b.flac": ["Dog"]}
    text = 'a.wav,"Air horn, truck horn"\nb.flac,Dog/Owl\n'
    with pytest.raises(InputError, match="'Air horn, truck horn', which is one class or several"):
        prepared(text, audio, tmp_path)
    _, dataset = prepared(text, audio, tmp_path, separator="none")
    assert dataset.labels == ["Air horn, truck horn", "Dog/Owl"]
    _, dataset = prepared(text, audio, tmp_path, separator="/")
    assert dataset.labels == ["Air horn, truck horn", "Dog", "Owl"]
    _, dataset = prepared("a.wav,Dog\nb.flac,Noise\n", audio, tmp_path, backgrounds=["Noise"])
    assert tags(dataset) == {"a.wav": ["Dog"], "b.flac": []}


def test_long_recordings_are_cut(audio, tmp_path):
    write_sound(tmp_path / "audio" / "l.wav", seconds=3.5, sample_rate=8000)
    result, dataset = prepared("l.wav,Dog\n", tmp_path / "audio", tmp_path, clip_seconds=2)
    assert tags(dataset) == {"l_0.000_2.000.flac": ["Dog"], "l_2.000_3.500.flac": ["Dog"]}
    assert dataset.groups.tolist() == ["l", "l"] and result.num_cut == 1


@pytest.mark.parametrize(
    "text, options, message",
    [
        ("", {}, "labels.csv: contains no rows; expected file names and classes"),
        ("file,label\n", {}, "no column contains names of the recordings; line 1 is 'file', 'lab"),
        ("file,label\nx.wav,Dog\n", {}, "no column contains names of the recordings.*give the fold"),
        ("a.wav\nb.flac\n", {}, "found only file names; name the columns of the classes"),
        ("file,x,y\na.wav,p,q\n", {}, "expected a column with the classes.*found 'x', 'y'; name"),
        ("file,label,tags\na.wav,p,q\n", {}, "found 'label', 'tags'; name the columns"),
        ("file,onset,offset,label\na.wav,0,1,Dog\n", {}, "contains times of events .'onset', 'offs"),
        ("file,Dog,Owl\na.wav,1,0\nb.flac,2,1\n", {"label_columns": ["Dog", "Owl"]}, "labels.csv:3: column 'Dog': found '2'; expected 1 or 0"),
        ("file,label\na.wav,Dog,Owl\n", {}, "labels.csv:2: expected 2 fields .file, label., found 3"),
        ("file,label\na.wav,Dog\n,Owl\n", {}, "labels.csv:3: the file name is empty"),
        ("file,label\na.wav,Dog\nb.flac,dog\n", {}, "the classes 'Dog' and 'dog' differ only in the"),
        ("file,label\na.wav,background\n", {}, "contains no classes of recordings that were found"),
        ("file,label,site\na.wav,Dog,n\na.wav,Owl,s\n", {}, "'a.wav' is in several groups: 'n' .line 2., 's' .line 3"),
        ("file,label\na.wav,Dog\n", {"label_columns": ["lable"]}, "has no column 'lable'.*--label-column.*did you mean 'label'"),
        ("file,label\na.wav,Dog\n", {"file_column": "fiel"}, "has no column 'fiel'.*did you mean 'file'"),
        ("file,label\na.wav,Dog\n", {"group_column": "site"}, "has no column 'site', which group_col"),
        ("file,label\na.wav,Dog\n", {"separator": ""}, "separator .--separator.: found an empty text"),
        ("file,label\na.wav,Dog\n", {"label_columns": "label"}, "label_columns: found 'label'; expected a seq"),
    ],
)  # fmt: skip
def test_wrong_tables(audio, tmp_path, text, options, message):
    with pytest.raises(InputError, match=message):
        prepared(text, audio, tmp_path, **options)
    assert not (tmp_path / "set").exists()


def test_wrong_files(audio, tmp_path):
    with pytest.raises(InputError, match="labels.csv: no such file"):
        table.prepare(TableOptions(tmp_path / "labels.csv", audio, tmp_path / "set"))
    with pytest.raises(InputError, match="nowhere: no such folder; give the folder of the record"):
        prepared("a.wav,Dog\n", tmp_path / "nowhere", tmp_path)
    (tmp_path / "labels.csv").write_bytes("é".encode("cp1252"))
    with pytest.raises(InputError, match="labels.csv: is not UTF-8 text.*save it as UTF-8"):
        table.prepare(TableOptions(tmp_path / "labels.csv", audio, tmp_path / "set"))
    for name in ("x/a.wav", "y/a.wav"):
        write_sound(tmp_path / "audio" / name, 0.1)
    with pytest.raises(InputError, match="labels.csv:1: 'a.wav' fits 2 recordings"):
        prepared("a.wav,Dog\n", tmp_path / "audio", tmp_path)
