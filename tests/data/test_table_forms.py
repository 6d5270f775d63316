"""All tables and lists: a reader finds the same in each form, or refuses it with the reason.

The forms are those of spreadsheets, pandas and other programs: tabs at the end of lines, other line
ends, blank lines, a byte order mark, letters stored as other characters.
"""

import unicodedata

import numpy as np
import pytest
from helpers import write_set

from wsedtk.core.errors import InputError
from wsedtk.data import class_lists, datadir, score_folders
from wsedtk.data.formats import dcase
from wsedtk.data.table_files import raise_on_errors

LABELS = ["Möwe", "Air horn, truck horn"]
CLIPS = [("Café 1.wav", "../é/a.wav", 10), ("b.wav", "", 2.5)]
EVENTS = [("Café 1.wav", 0, 1.5, "Möwe"), ("b.wav", 0.5, 2, LABELS[1])]
TABLES = {
    "events": "filename\tonset\toffset\tevent_label\n"
    "Café 1.wav\t0\t1.5\tMöwe\nb.wav\t0.5\t2\tDog\n",
    "bare": "Café 1.wav\t0\t1.5\tMöwe\nb.wav\t0.5\t2\tDog\n",
    "tags": "filename\tevent_label\nCafé 1.wav\tMöwe\nb.wav\tDog\n",
    "classes": "Möwe\tGull é\nDog\n",
    "scores": "onset\toffset\tMöwe\tDog\n0\t0.1\t0.5\t1\n0.1\t0.2\t0\t0.25\n",
}
FORMS = {
    "tabs": lambda text: text.replace("\n", "\t\n"),
    "many tabs": lambda text: text.replace("\n", "\t\t\t\n"),
    "tabs in the header": lambda text: text.replace("\n", "\t\n", 1),
    "tabs below the header": lambda text: text.replace("\n", "\t\n").replace("\t\n", "\n", 1),
    "CR": lambda text: text.replace("\n", "\r"),
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "CRLF and tabs": lambda text: text.replace("\n", "\t\r\n"),
    "CR and LF": lambda text: text.replace("\n", "\r", 1),
    "blank lines at the end": lambda text: text + "\n\n",
    "lines of tabs at the end": lambda text: text + "\t\t\t\n\t\n",
    "blank lines between": lambda text: text.replace("\n", "\n\n\t\n"),
    "CR, CR and LF": lambda text: text.replace("\n", "\r\r\n"),
    "blank lines before": lambda text: "\n\t\n \n" + text,
    "a mark and a blank line": lambda text: "\ufeff\n" + text,
    "no end": lambda text: text.removesuffix("\n"),
    "a mark": lambda text: "\ufeff" + text,
    "NFD": lambda text: unicodedata.normalize("NFD", text),
    "NFD, CRLF and tabs": lambda text: unicodedata.normalize("NFD", text).replace("\n", "\t\r\n"),
}


def begins_blank(form):
    """Whether a blank line is before the header, by which a table of scores is recognised."""
    return form in ("blank lines before", "a mark and a blank line")


def read_list(path):
    found = dcase.read(path)
    raise_on_errors(found.faults)
    return found.names, found.rows, found.repeated, found.kind()


def read_scores(path):
    found = score_folders.ScoreFolder(path.parent)
    return (
        found.labels,
        found.frames(0).tolist(),
        found.durations.tolist(),
        found.seconds_per_frame,
        score_folders.look(path.parent)["labels"],
    )


READERS = {
    "events": read_list,
    "bare": read_list,
    "tags": read_list,
    "scores": read_scores,
    "classes": lambda path: class_lists.read(path, ["Dog", "Möwe"], "model"),
}


@pytest.mark.parametrize(
    "table, form",
    [
        (table, form)
        for table in TABLES
        for form in FORMS
        if table != "scores" or not begins_blank(form)
    ],
)
def test_a_list_in_all_forms(tmp_path, table, form):
    path = tmp_path / "scores" / "a.tsv"
    path.parent.mkdir()
    found = []
    for change in (str, FORMS[form]):
        path.write_bytes(change(TABLES[table]).encode())
        found.append(READERS[table](path))
    assert found[0] == found[1]
    assert "Möwe" in str(found[1])


@pytest.mark.parametrize("form", FORMS)
def test_a_data_directory_in_all_forms(tmp_path, form):
    """The set and its fingerprint are the same; but paths are kept byte by byte."""
    folder = write_set(
        tmp_path / "set", CLIPS, LABELS, [(name, label) for name, _, _, label in EVENTS], EVENTS
    )
    wanted = datadir.read(folder)
    for path in folder.iterdir():
        path.write_bytes(FORMS[form](path.read_text(encoding="utf-8")).encode())
    found, faults = datadir.check(folder)
    assert [str(fault) for fault in faults] == []
    assert found.filenames.tolist() == wanted.filenames.tolist() == ["Café 1.wav", "b.wav"]
    assert found.labels == LABELS and found.fingerprint() == wanted.fingerprint()
    assert list(found.events.rows()) == list(wanted.events.rows())
    path = f"{folder}/{FORMS[form](CLIPS[0][1]) if form.startswith('NFD') else CLIPS[0][1]}"
    assert found.paths.tolist() == [path, ""]


@pytest.mark.parametrize(
    "nothing", ["\t\t\t", "\tnan\tnan\tnan", "\tNaN\tnan\t", "\t\t\tnan", "", "\t", "\t\t"]
)
def test_an_empty_row_is_a_clip_without_events(tmp_path, nothing):
    clips, tags = [*CLIPS, ("c.wav", "", 1)], [(name, label) for name, _, _, label in EVENTS]
    folder = write_set(tmp_path / "set", clips, LABELS, tags, EVENTS)
    wanted = datadir.read(folder)
    for table, row in (("events.tsv", nothing), ("tags.tsv", nothing[:1])):
        with open(folder / table, "a", encoding="utf-8") as file:
            file.write(f"c.wav{row}\n")
    found, faults = datadir.check(folder)
    assert not any(fault.is_error for fault in faults)
    assert found.fingerprint() == wanted.fingerprint()
    for table in ("events.tsv", "tags.tsv"):
        names, rows, repeated, _ = read_list(folder / table)
        assert list(names) == ["Café 1", "b", "c"] and len(rows) == 2 and repeated == []


@pytest.mark.parametrize("row", ["b.wav\t0.5", "b.wav\t0.5\t1", "b.wav\t\t1"])
def test_a_row_that_is_cut_off_is_refused_alike(tmp_path, row):
    folder = write_set(tmp_path / "set", CLIPS, LABELS, [("b.wav", "Möwe")], [(row,)])
    count = len(row.split("\t"))
    for read in (datadir.read, lambda folder: read_list(folder / "events.tsv")):
        with pytest.raises(InputError, match=rf"events.tsv:2: .*found {count}( tab|:)"):
            read(folder)


@pytest.mark.parametrize("space", [" ", "\u00a0", "  "])
def test_spaces_around_fields_and_capitals_in_headers_change_nothing(tmp_path, space):
    tags = [(name, label) for name, _, _, label in EVENTS]
    folder = write_set(tmp_path / "set", CLIPS, LABELS, tags, EVENTS)
    wanted, lists = datadir.read(folder), {}
    for table in ("clips.tsv", "tags.tsv", "events.tsv"):
        lists[table] = read_list(folder / table)[:2] if table != "clips.tsv" else None
        header, *rows = (folder / table).read_text(encoding="utf-8").splitlines()
        if table != "clips.tsv":  # its names and paths are kept unchanged
            rows = [space + row.replace("\t", f"{space}\t{space}") + space for row in rows]
        text = "\n".join([header.upper().replace("\t", f"{space}\t"), *rows, ""])
        (folder / table).write_text(text, encoding="utf-8")
    found = datadir.read(folder)
    assert found.fingerprint() == wanted.fingerprint()
    assert list(found.events.rows()) == list(wanted.events.rows())
    for table in ("tags.tsv", "events.tsv"):
        assert read_list(folder / table)[:2] == lists[table]


def test_names_with_spaces_around_them_stay_apart(tmp_path):
    folder = write_set(
        tmp_path / "set",
        [("a", "", 1), ("a ", "", 1)],
        ["x", " x"],
        [("a ", "x"), ("a", " x")],
    )
    found = datadir.read(folder)
    assert found.filenames.tolist() == ["a", "a "] and found.labels == ["x", " x"]
    assert found.tag_clip.tolist() == [0, 1] and found.tag_label.tolist() == [1, 0]


def test_a_tag_that_is_not_a_number_is_refused_alike(tmp_path):
    """Without times beside it, `nan` may be a lost tag."""
    folder = write_set(tmp_path / "set", CLIPS, LABELS, [("b.wav", "nan")])
    message = "tags.tsv:2: expected a class, found 'nan'; for a clip without tags or events, write only the file name"
    for read in (datadir.read, lambda folder: read_list(folder / "tags.tsv")):
        with pytest.raises(InputError, match=message):
            read(folder)


def test_an_empty_row_must_name_a_clip(tmp_path):
    folder = write_set(
        tmp_path / "set", CLIPS, LABELS, [("none.wav", "nan")], [("none.wav", "nan", "nan", "nan")]
    )
    assert [fault.message for fault in datadir.check(folder)[1] if fault.is_error] == [
        "'none.wav' is not in clips.tsv"
    ] * 2


@pytest.mark.parametrize(
    "row, message",
    [
        (
            "b.wav\t-0.1\t1\tMöwe",
            "onset must be a number of seconds, found '-0.1', which is negative",
        ),
        (
            "b.wav\t0\t-inf\tMöwe",
            "offset must be a number of seconds, found '-inf', which is not finite",
        ),
        (
            "b.wav\t0\t1e400\tMöwe",
            "offset must be a number of seconds, found '1e400', which is not finite",
        ),
        (
            "b.wav\t0\t１.５\tMöwe",
            "offset must be a number of seconds, found '１.５'; write it with the digits 0 to 9",
        ),
        ("b.wav\tnan\tnan\tMöwe", "onset must be a number of seconds, found 'nan'"),
        ("b.wav\tnan\t1\tnan", "onset must be a number of seconds, found 'nan'"),
    ],
)
def test_times_are_refused_alike(tmp_path, row, message):
    folder = write_set(tmp_path / "set", CLIPS, LABELS, [("b.wav", "Möwe")], [row.split("\t")])
    assert message in [fault.message for fault in datadir.check(folder)[1]]
    with pytest.raises(InputError, match="events.tsv:2: ") as caught:
        read_list(folder / "events.tsv")
    assert message in str(caught.value)


@pytest.mark.parametrize("label", ["nan", ""])
def test_an_event_without_a_class_is_refused_alike(tmp_path, label):
    folder = write_set(
        tmp_path / "set", CLIPS, LABELS, [("b.wav", "Möwe")], [("b.wav", 0, 1, label)]
    )
    assert [
        (fault.line, fault.is_error)
        for fault in datadir.check(folder)[1]
        if fault.path.name == "events.tsv"
    ][0] == (2, True)
    with pytest.raises(InputError, match="events.tsv:2: expected a class"):
        read_list(folder / "events.tsv")


def test_a_class_may_be_named_nan(tmp_path):
    folder = write_set(
        tmp_path / "set", CLIPS, ["nan", "Möwe"], [("b.wav", "nan")], [("b.wav", 0, 1, "nan")]
    )
    found = datadir.read(folder)
    assert found.tags_of(1).tolist() == found.events.label.tolist() == [0]


@pytest.mark.parametrize(
    "line, cause",
    [
        ("0.1\t0.2\t-0.1\t0", ": '-0.1' is negative"),
        ("-0.1\t0.2\t0\t0", ": '-0.1' is negative"),
        ("0.1\t0.2\tnan\t0", ": 'nan' is not finite"),
        ("0.1\t0.2\t1e400\t0", ": '1e400' is not finite"),
        ("0.1\t0.2\t0", ""),
        ("0.1\t0.2\t0\t0\t0", ""),
        ("0.1\t0.2\t０.５\t0", ""),
        ("0.1\t0.2\t0.5\t", ""),
    ],
)
def test_scores_are_refused_with_their_line(tmp_path, line, cause):
    (tmp_path / "a.tsv").write_text(
        TABLES["scores"].replace("0.1\t0.2\t0\t0.25", line), encoding="utf-8"
    )
    with pytest.raises(InputError, match="a.tsv:3: expected 4 tab-separated numbers") as caught:
        score_folders.ScoreFolder(tmp_path)
    found = line.rstrip("\t")
    assert str(caught.value).endswith(f"found {found!r}{cause}")


def test_times_are_rounded_before_they_are_judged(tmp_path):
    """0.3 - 0.1 * 3 is -5.55e-17: 0 s in lists, data directories and scores."""
    onset = 0.3 - 0.1 * 3
    assert onset < 0
    folder = write_set(
        tmp_path / "set", CLIPS, LABELS, [("b.wav", "Möwe")], [("b.wav", onset, 1, "Möwe")]
    )
    assert datadir.read(folder).events.onset.tolist() == [0]
    assert [row.onset for row in read_list(folder / "events.tsv")[1]] == [0]
    table = tmp_path / "scores" / "a.tsv"
    table.parent.mkdir()
    table.write_text(TABLES["scores"].replace("\n0\t", f"\n{onset}\t"), encoding="utf-8")
    found = score_folders.ScoreFolder(table.parent)
    assert found.durations.tolist() == [0.2] and found.seconds_per_frame == 0.1
    table.write_text(f"onset\toffset\tx\n{onset}\t1\t-0.5\n")
    with pytest.raises(InputError, match="'-0.5' is negative"):
        score_folders.ScoreFolder(table.parent)


@pytest.mark.parametrize("names", [("é.wav", "e\u0301.wav"), ("\u212b", "\u00c5")])
def test_clips_that_differ_in_their_form_only_are_one(tmp_path, names):
    folder = write_set(
        tmp_path / "set", [(name, "", 1) for name in names], ["x"], [(names[0], "x")]
    )
    message = (
        f"the filename {unicodedata.normalize('NFC', names[0])!r} occurs twice, possibly in two "
        "Unicode forms; every clip needs its own name"
    )
    assert [(fault.line, fault.message) for fault in datadir.check(folder)[1]] == [(3, message)]


def test_classes_that_differ_in_their_form_only_are_one(tmp_path):
    folder = write_set(tmp_path / "set", CLIPS, ["é", "e\u0301"], [("b.wav", "e\u0301")])
    assert [
        (fault.line, fault.message) for fault in datadir.check(folder)[1] if fault.is_error
    ] == [(2, "the class 'é' occurs twice, possibly in two Unicode forms")]


def test_writing_gives_one_form(tmp_path):
    """Tables in other forms are written in one form, except for paths."""
    nfd = unicodedata.normalize("NFD", "é.wav")
    folder = write_set(
        tmp_path / "set", [(nfd, nfd, 1)], ["Möwe"], [(nfd, unicodedata.normalize("NFD", "Möwe"))]
    )
    datadir.write(tmp_path / "out", datadir.read(folder))
    assert (
        tmp_path / "out" / "clips.tsv"
    ).read_bytes().decode() == f"filename\tpath\tduration\né.wav\t{folder}/{nfd}\t1\n"
    assert (
        tmp_path / "out" / "tags.tsv"
    ).read_bytes().decode() == "filename\tevent_label\né.wav\tMöwe\n"
    np.testing.assert_array_equal(datadir.read(tmp_path / "out").filenames, ["é.wav"])
