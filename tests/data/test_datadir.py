import dataclasses
import re

import numpy as np
import pytest
from helpers import write_set

from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.data import clip_names, clip_sets, datadir, tables
from wsedtk.data.events import Events

CLIPS = [("b.wav", "../audio/b.wav", 10), ("a.wav", "/far/a.wav", "2.5"), ("c.wav", "", 1e1)]
LABELS = ["Air horn, truck horn", "Car"]
TAGS = [
    ("b.wav", "Car"),
    ("a.wav", "Air horn, truck horn"),
    ("b.wav", "Air horn, truck horn"),
    ("c.wav", "Car"),
]
EVENTS = [
    ("b.wav", 3.5, 4, "Car"),
    ("b.wav", 0, 10, "Air horn, truck horn"),
    ("a.wav", "1e-3", 2.5, "Air horn, truck horn"),
    ("c.wav", 1, 2, "Car"),
]


@pytest.fixture
def folder(tmp_path):
    return write_set(tmp_path / "a set", CLIPS, LABELS, TAGS, EVENTS)


def messages(folder, errors=True):
    return [str(f) for f in datadir.check(folder)[1] if f.is_error == errors]


def same(a, b):
    """Compare two data sets, except the paths of their audio."""
    for name in ("filenames", "durations", "tag_clip", "tag_label"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert a.labels == b.labels and (a.events is None) == (b.events is None)
    assert a.events is None or list(a.events.rows()) == list(b.events.rows())
    return True


def test_reading(folder):
    data = datadir.read(folder)
    assert messages(folder) == messages(folder, errors=False) == []
    assert data.filenames.tolist() == ["a.wav", "b.wav", "c.wav"] and len(data) == 3
    assert data.paths.tolist() == ["/far/a.wav", f"{folder}/../audio/b.wav", ""]
    assert data.durations.tolist() == [2.5, 10, 10] and data.labels == LABELS and data.info == {}
    assert data.tag_matrix().tolist() == [[True, False], [True, True], [False, True]]
    assert list(data.events.rows()) == [
        (0, 0.001, 2.5, 0),
        (1, 0.0, 10.0, 0),
        (1, 3.5, 4.0, 1),
        (2, 1.0, 2.0, 1),
    ]


def test_the_order_of_the_rows_does_not_matter(folder, tmp_path):
    other = write_set(tmp_path / "other", CLIPS[::-1], LABELS, TAGS[::-1], EVENTS[::-1])
    assert same(datadir.read(folder), datadir.read(other))
    assert datadir.read(folder).fingerprint() == datadir.read(other).fingerprint()


def test_paths_are_absolute_whatever_the_current_folder(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = datadir.read("a set")
    assert data.paths[1] == f"{folder}/../audio/b.wav"
    datadir.write("deeper/still", data)
    assert datadir.read("deeper/still").paths.tolist() == data.paths.tolist()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.rstrip("\n"),
        lambda text: text + "\n\n",
        lambda text: "\ufeff" + text.replace("\n", "\r\n"),
    ],
    ids=["CRLF", "BOM", "no end", "blank lines", "BOM and CRLF"],
)
def test_forms_of_text(folder, tmp_path, change):
    expected = datadir.read(folder)
    for path in folder.iterdir():
        text = change(path.read_text())
        path.write_bytes(text.removesuffix("\n\n" if path.name == "labels.txt" else "").encode())
    assert same(datadir.read(folder), expected)


def test_a_folder_whose_name_is_not_utf8_is_named(folder):
    odd = folder.rename(folder.parent / "l\udce9")
    with pytest.raises(
        InputError,
        match=re.escape(repr(f"{odd}/../audio/b.wav")) + ": the path is not UTF-8, .*; rename the",
    ):
        datadir.read(odd)


@pytest.mark.parametrize(
    "table, old, new, message",
    [
        (
            "clips.tsv",
            "filename\tpath",
            "path\tfilename",
            r"clips.tsv:1: expected the header filename<TAB>path<TAB>duration, found 'path\\tfilename\\tduration'",
        ),
        ("clips.tsv", "filename\tpath\tduration\n", "", r"clips.tsv:1: expected the header"),
        (
            "clips.tsv",
            "a.wav\t/far/a.wav",
            "a.wav /far/a.wav",
            r"clips.tsv:3: expected 3 tab-separated fields .*, found 2: 'a.wav /far",
        ),
        ("clips.tsv", "a.wav\t", "b.wav\t", r"clips.tsv:3: the filename 'b.wav' occurs twice"),
        ("clips.tsv", "a.wav\t", "\t", r"clips.tsv:3: the filename is empty"),
        ("clips.tsv", "2.5", "0", r"clips.tsv:3: duration of 'a.wav' is 0"),
        ("clips.tsv", "2.5", "", r"clips.tsv:3: duration must be a number of seconds, found ''"),
        (
            "tags.tsv",
            "\tevent_label",
            "\tlabel",
            r"tags.tsv:1: expected the header filename<TAB>event_label, found 'filename\\tlabel'",
        ),
        (
            "tags.tsv",
            "a.wav\tAir",
            "a.wav\tmore\tAir",
            r"tags.tsv:3: expected 2 tab-separated fields \(filename, event_label\), found 3",
        ),
        ("tags.tsv", "a.wav", "d.wav", r"tags.tsv:3: 'd.wav' is not in clips.tsv"),
        (
            "tags.tsv",
            "a.wav\tAir",
            "a.wav\tair",
            r"tags.tsv:3: unknown class 'air horn, truck horn'; add it to labels.txt or correct",
        ),
        (
            "tags.tsv",
            "a.wav\tAir horn, truck horn",
            "a.wav\tAir horn",
            r"tags.tsv:3: unknown class 'Air horn'",
        ),
        (
            "events.tsv",
            "onset\toffset",
            "offset\tonset",
            r"events.tsv:1: expected the header filename<TAB>onset<TAB>offset<TAB>event_label",
        ),
        ("events.tsv", "\t3.5\t4", "\t3.5", r"events.tsv:2: expected 4 tab-separated fields"),
        ("events.tsv", "a.wav", "d.wav", r"events.tsv:4: 'd.wav' is not in clips.tsv"),
        (
            "events.tsv",
            "\tCar",
            "\tCat",
            r"events.tsv:2: unknown class 'Cat'; add it to labels.txt or correct the event",
        ),
        (
            "events.tsv",
            "3.5\t4",
            "4\t3.5",
            r"events.tsv:2: the event ends \(3.5 s\) before it starts \(4 s\)",
        ),
        (
            "events.tsv",
            "3.5\t4",
            "-1\t4",
            r"events.tsv:2: onset must be a number of seconds, found '-1'",
        ),
        (
            "events.tsv",
            "3.5\t4",
            "3\tnan",
            r"events.tsv:2: offset must be a number of seconds, found 'nan'",
        ),
        ("labels.txt", "Car\n", "Car\nCar\n", r"labels.txt:3: the class 'Car' occurs twice"),
        (
            "labels.txt",
            "Car\n",
            "Car\nA\tB\n",
            r"labels.txt:3: expected a class without tabs, found 'A\\tB'",
        ),
    ],
)
def test_an_error(folder, table, old, new, message):
    text = (folder / table).read_text()
    assert old in text
    (folder / table).write_text(text.replace(old, new, 1))
    assert any(re.search("^error: " + f"{folder}/" + message, m) for m in messages(folder)), (
        messages(folder)
    )
    assert datadir.check(folder)[0] is None
    with pytest.raises(InputError, match=message):
        datadir.read(folder)


@pytest.mark.parametrize(
    "text", ["nan", "-1", "-0.1", "inf", "1e999", "ten", "1,5", "1_0", "0x1", ""]
)
def test_a_bad_duration_is_one_fault(folder, text):
    write_set(folder, [("a.wav", "", text), *CLIPS[::2]], LABELS, TAGS, EVENTS)
    causes = {
        "-1": ", which is negative",
        "-0.1": ", which is negative",
        "inf": ", which is not finite",
        "1e999": ", which is not finite",
    }
    assert messages(folder) == [
        f"error: {folder}/clips.tsv:2: duration must be a number of "
        f"seconds, found '{text}'{causes.get(text, '')}"
    ]


@pytest.mark.parametrize(
    "table, line, message",
    [
        (
            "tags.tsv",
            "a.wav\tAir horn, truck horn",
            r"tags.tsv:6: 'a.wav' is tagged 'Air horn, truck horn' twice",
        ),
        (
            "events.tsv",
            "c.wav\t0\t0\tCar",
            r"events.tsv:6: the event at 0 s has length zero; event and segment metrics ignore it",
        ),
        (
            "events.tsv",
            "c.wav\t1.0000000001\t2\tCar",
            r"events.tsv:6: an event of 'Car' in 'c.wav' occurs twice and counts once",
        ),
        (
            "events.tsv",
            "c.wav\t2\t10.2\tCar",
            r"events.tsv:6: the event ends at 10.2 s, but the clip ends at 10 s",
        ),
        (
            "events.tsv",
            "a.wav\t0\t1\tCar",
            r"events.tsv:6: the class of the event, 'Car', is not a tag of 'a.wav'",
        ),
        ("clips.tsv", "d.wav\t\t1", r"tags.tsv: 1 clip has no tags: d.wav$"),
        (
            "clips.tsv",
            "d\t\t1\ne\t\t1\nf\t\t1\ng\t\t1\nh\t\t1",
            r"tags.tsv: 5 clips have no tags: d, e, f and 2 more",
        ),
        ("labels.txt", "Train", r"labels.txt: 1 class has no clips: Train"),
    ],
)
def test_a_warning(folder, table, line, message):
    with open(folder / table, "a") as file:
        file.write(line + "\n")
    found = messages(folder, errors=False)
    assert len(found) == 1 and re.search(f"^warning: {folder}/{message}", found[0]), found
    assert datadir.read(folder) is not None


def test_events_that_overlap_one_of_their_class_are_reported_with_their_lines(folder):
    """Events may be in any order. One may start where another ends; other classes may overlap."""
    events = [
        ("c.wav", 4, 6, "Car"),
        ("c.wav", 1, 2, "Car"),
        ("c.wav", 5, 5.5, "Car"),
        ("c.wav", 2, 4, "Car"),
        ("c.wav", 0, 1.5, "Car"),
        ("c.wav", 5.6, 7, "Car"),
        ("c.wav", 0, 9, "Air horn, truck horn"),
        ("b.wav", 0, 9, "Car"),
    ]
    write_set(
        folder, CLIPS, LABELS, [("b.wav", "Car"), ("c.wav", "Car"), ("c.wav", LABELS[0])], events
    )
    found = [line for line in messages(folder, errors=False) if "events.tsv" in line]
    assert found == [
        f"warning: {folder}/events.tsv: 3 events overlap an earlier event of the same class: 'c.wav' at 1 s (line 3): 'Car', "
        "'c.wav' at 5 s (line 4): 'Car', 'c.wav' at 5.6 s (line 7): 'Car'"
    ]


def test_times_are_rounded_and_repeated_rows_count_once(tmp_path):
    """Differences of binary fractions are rounded: 10.000000000000002 s are 10 s."""
    write_set(
        tmp_path / "set",
        [("a", "", "10.000000000000002"), ("b", "", "2.9999999999999996")],
        ["Car", "Dog"],
        [("a", "Car")],
        [
            ("a", "0.1", "3.0000000000000004", "Car"),
            ("a", "0.1", 3, "Car"),
            ("a", "1e-9", "9.999999999999998", "Car"),
            ("a", "0.1", 3, "Dog"),
            ("b", "0.1", 3, "Car"),
        ],
    )
    for data in (datadir.read(tmp_path / "set"), decoded_again(tmp_path)):
        assert data.durations.tolist() == [10, 3]
        assert list(data.events.rows()) == [
            (0, 0, 10, 0),
            (0, 0.1, 3, 0),
            (0, 0.1, 3, 1),
            (1, 0.1, 3, 0),
        ]


def decoded_again(place):
    """Return the set as a decoded folder."""
    data, out = datadir.read(place / "set"), place / "out"
    datadir.write_decoded(
        out, data.filenames, data.durations, data.labels, data.tag_matrix(), events=data.events
    )
    (out / "events.tsv").write_bytes((place / "set" / "events.tsv").read_bytes())
    (out / "clips.tsv").write_text(
        "filename\tduration\na\t10.000000000000002\nb\t2.9999999999999996\n"
    )
    return datadir.read_decoded(out, data.labels)


def test_an_event_just_after_the_end_is_ignored(folder):
    with open(folder / "events.tsv", "a") as file:
        file.write("c.wav\t2\t10.1\tCar\n")
    assert messages(folder, errors=False) == []


def test_every_fault_at_once(folder):
    write_set(
        folder,
        [("a.wav", "", "x"), ("a.wav", "", 1), ("b.wav", "")],
        ["Car", "Car", "A\tB"],
        [("z", "Car"), ("a.wav", "Cat")],
        [("a.wav", 2, 1, "Car"), ("a.wav", "x", "y", "Car")],
    )
    (folder / "info.yaml").write_text("a: [")
    found = "\n".join(messages(folder))
    for part in (
        "clips.tsv:2",
        "clips.tsv:3",
        "clips.tsv:4",
        "labels.txt:2",
        "labels.txt:3",
        "tags.tsv:2",
        "tags.tsv:3",
        "events.tsv:2",
        "events.tsv:3: onset",
        "events.tsv:3: offset",
        "info.yaml",
    ):
        assert found.count(part) == 1, (part, found)
    assert len(messages(folder)) == 11
    with pytest.raises(InputError, match=r"and 6 more: wsedtk validate '.*a set' lists them all"):
        datadir.read(folder)


def test_an_empty_set_is_reported_with_other_faults(folder):
    write_set(folder, [], ["Car", "Car"], [], [])
    assert [m.split(": ", 2)[2] for m in messages(folder)] == [
        "the class 'Car' occurs twice",
        "contains no clips; write one clip per line",
    ]


def test_no_classes(folder):
    write_set(folder, CLIPS, [], [], [])
    assert [m.split(": ", 2)[2] for m in messages(folder)] == [
        "contains no classes; write one class per line"
    ]


@pytest.mark.parametrize("table", ["clips.tsv", "tags.tsv", "labels.txt"])
def test_a_missing_table(folder, table):
    (folder / table).unlink()
    with pytest.raises(InputError, match=f"{table}: (no such file|can't be read: No such file)"):
        datadir.read(folder)


@pytest.mark.parametrize(
    "table", ["clips.tsv", "tags.tsv", "events.tsv", "labels.txt", "info.yaml"]
)
def test_tables_that_cannot_be_read(folder, table):
    path = folder / table
    path.write_bytes(b"filename\xff\n")
    assert any(re.search(f"{table}: .*(UTF-8|utf-8)", m) for m in messages(folder)), messages(
        folder
    )
    path.unlink()
    path.mkdir()
    assert any(re.search(f"{table}: can't be read: .*directory", m) for m in messages(folder)), (
        messages(folder)
    )


def test_a_missing_folder(tmp_path):
    (tmp_path / "file").write_text("")
    for name in ("none", "file"):
        with pytest.raises(
            InputError,
            match=f"{tmp_path}/{name}: no such folder; a data directory contains clips.tsv, tags.tsv and labels",
        ):
            datadir.read(tmp_path / name)


def test_a_folder_of_data_directories_is_reported(folder):
    with pytest.raises(
        InputError,
        match=f"^{folder.parent}: expected a data directory, found a folder of data directories; choose one of them: {folder.name}$",
    ):
        datadir.read(folder.parent)


def test_events_may_be_absent(folder):
    (folder / "events.tsv").unlink()
    assert datadir.read(folder).events is None


@pytest.mark.parametrize(
    "text, message",
    [
        ("a: [", "not valid YAML"),
        ("- 1", r"expected `key: value` lines, found \[1\]"),
        ("just text", "expected `key: value` lines"),
        ("a: 1\na: 2", "not valid YAML: line 2: the key 'a' is repeated; keep one"),
    ],
)
def test_a_broken_info(folder, text, message):
    (folder / "info.yaml").write_text(text)
    with pytest.raises(InputError, match=f"^{folder}/info.yaml: {message}"):
        datadir.read(folder)


@pytest.mark.parametrize(
    "text, found",
    [("", {}), ("official_clips: 488\nmissing: [a]", {"official_clips": 488, "missing": ["a"]})],
)
def test_info(folder, text, found):
    (folder / "info.yaml").write_text(text)
    assert datadir.read(folder).info == found


NAMES = [
    "-a.wav",
    "--PJHxphWEs_30.000_40.000.wav",
    "a b  c.wav",
    "'q\"uote.wav",
    "é音🔔.wav",
    "a\u2028b.wav",
    "a\x0bb.wav",
    "#x",
    "~",
]
ODD_LABELS = [
    "Fire engine, fire truck (siren)",
    '"Quoted"',
    "音 é",
    "line\u2028like",
    "a\x0cb",
    "c\x85d",
    "-dash",
    "1",
    " led",
]


@pytest.fixture
def odd():
    names = np.array(sorted(NAMES))
    clip, label = np.arange(len(names)), np.arange(len(names)) % len(ODD_LABELS)
    events = Events.from_rows(
        [
            (2, 0.1, 0.123456, 1),
            (2, 1 / 3, 9.999999, 0),
            (3, 0, 0, 4),
            (0, 1234567.000001, 1234567.000002, 2),
        ]
    )
    return clip_sets.DataSet(
        names,
        np.array([f"/au dio/{n}" for n in names]),
        np.array([10, 0.1, 1 / 3, 1e-6, 3600, 100, 7.25, 1, 2.0]),
        ODD_LABELS,
        clip,
        label,
        events,
        {"corpus": "é", "official_clips": 9, "missing": ["x"]},
    )


def test_round_trip(tmp_path, odd):
    folder = tmp_path / "new" / "set"
    datadir.write(folder, odd)
    back = datadir.read(folder)
    for name in ("filenames", "paths", "tag_clip", "tag_label"):
        assert getattr(back, name).tolist() == getattr(odd, name).tolist()
    assert back.labels == odd.labels and back.info == {**odd.info, **provenance.made_by()}
    np.testing.assert_allclose(back.durations, odd.durations, rtol=0, atol=5.1e-7)
    for ours, theirs in zip(back.events.rows(), odd.events.rows()):
        assert ours[::3] == theirs[::3] and np.abs(np.subtract(ours, theirs)).max() < 5.1e-7
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    datadir.write(folder, back)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert b"\r" not in b"".join(before.values())


def test_writing_without_events_removes_old_ones(tmp_path, odd):
    datadir.write(tmp_path, odd)
    datadir.write(tmp_path, dataclasses.replace(odd, events=None))
    assert not (tmp_path / "events.tsv").exists() and datadir.read(tmp_path).events is None


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "a\r", "\udcff.wav"])
@pytest.mark.parametrize("field", ["filenames", "paths", "labels"])
def test_names_that_tables_cannot_hold(tmp_path, odd, name, field):
    values = list(getattr(odd, field))
    values[3] = name
    with pytest.raises(
        InputError,
        match=re.escape(repr(name))
        + ": a file name, path, group or class .* can't contain a tab, a line end",
    ):
        datadir.write(
            tmp_path / "set",
            dataclasses.replace(odd, **{field: values if field == "labels" else np.array(values)}),
        )
    assert not (tmp_path / "set").exists()


def test_seconds_to_the_microsecond():
    texts = {
        0: "0",
        10: "10",
        100: "100",
        0.1 + 0.2: "0.3",
        1e-6: "0.000001",
        30.000001: "30.000001",
        1e5: "100000",
    }
    for value, text in texts.items():
        assert tables.format_seconds(value) == text


def test_select(odd):
    tags = np.array([(0, 1), (2, 0), (2, 3), (5, 1), (8, 8)])
    odd = dataclasses.replace(odd, tag_clip=tags[:, 0], tag_label=tags[:, 1])
    keep = np.isin(np.arange(9), [2, 5, 8])
    part = odd.select(keep)
    assert (
        part.filenames.tolist() == odd.filenames[keep].tolist()
        and part.paths.tolist() == odd.paths[keep].tolist()
    )
    np.testing.assert_array_equal(part.tag_matrix(), odd.tag_matrix()[keep])
    assert list(part.events.rows()) == [(0, 0.1, 0.123456, 1), (0, 1 / 3, 9.999999, 0)]
    assert (
        part.labels == odd.labels
        and part.info == odd.info
        and same(odd.select(np.ones(9, bool)), odd)
    )
    nothing = odd.select(np.zeros(9, bool))
    assert len(nothing) == len(nothing.events) == 0 and nothing.tag_matrix().shape == (0, 9)


def test_a_fingerprint_is_of_the_content(odd):
    first = odd.fingerprint()
    assert re.fullmatch("[0-9a-f]{16}", first)
    assert first == dataclasses.replace(odd, paths=np.full(9, "")).fingerprint()
    assert first == dataclasses.replace(odd, info={}).fingerprint()
    others = [
        {"filenames": np.array([n + "x" for n in odd.filenames])},
        {"durations": odd.durations + 1},
        {"labels": odd.labels[::-1]},
        {"tag_clip": odd.tag_clip[::-1]},
        {"tag_label": odd.tag_label[::-1]},
        {"events": None},
        {"events": odd.events.select([0])},
    ]
    assert len({first, *(dataclasses.replace(odd, **other).fingerprint() for other in others)}) == 8


def grouped(folder, groups):
    """Write the set with a column `group`, in the order of the clips; None: a row without it."""
    header, *rows = (folder / "clips.tsv").read_text().splitlines()
    rows = [row + (f"\t{group}" if group is not None else "") for row, group in zip(rows, groups)]
    (folder / "clips.tsv").write_text("\n".join([f"{header}\tgroup", *rows, ""]))
    return folder


@pytest.mark.parametrize("nothing", ["nan", "NaN", " nan ", " "])
def test_an_empty_group_is_no_group(folder, nothing):
    """pandas and str() write an empty cell in this way."""
    data = datadir.read(grouped(folder, ["A", nothing, nothing]))
    assert data.groups.tolist() == ["", "A", ""]  # b.wav is the first row of the table
    assert len(set(clip_sets.sources(data)[0].tolist())) == 3


def test_groups_round_trip(folder, tmp_path):
    plain = datadir.read(folder)
    data = datadir.read(grouped(folder, [" B", "A e\u0301 ", None]))
    assert same(data, plain) and data.groups.tolist() == ["A é", "B", ""]
    assert messages(folder, errors=False) == [
        f"warning: {folder}/clips.tsv: 1 clip has no group: c.wav; a split uses the recording in the name of such a clip as its group"
    ]
    assert [block.tolist() for block in data.recordings()] == [["a", "b", "c"]]
    datadir.write(tmp_path / "out", data)
    assert (tmp_path / "out" / "clips.tsv").read_text().splitlines()[::3] == [
        "filename\tpath\tduration\tgroup",
        "c.wav\t\t10\t",
    ]
    back = datadir.read(tmp_path / "out")
    assert back.groups.tolist() == data.groups.tolist() and back.fingerprint() == data.fingerprint()
    part = data.select(np.array([False, True, True]))
    assert (
        part.groups.tolist() == ["B", ""]
        and part.select(np.array([False, True])).fingerprint()
        == plain.select(np.arange(3) == 2).fingerprint()
    )


def test_groups_are_part_of_the_fingerprint_and_their_absence_is_not(folder):
    before = datadir.read(folder).fingerprint()
    assert before == "27f9ffdb8321d9ed"  # the fingerprint of this set in versions without groups
    for groups in (["", "  ", None], [None, None, None]):
        clips = (folder / "clips.tsv").read_text()
        data = datadir.read(grouped(folder, groups))
        assert (
            data.groups is None
            and data.fingerprint() == before
            and messages(folder, errors=False) == []
        )
        (folder / "clips.tsv").write_text(clips)
    found = {
        before,
        *(
            dataclasses.replace(datadir.read(folder), groups=np.array(groups)).fingerprint()
            for groups in (["A", "A", "B"], ["A", "B", "B"], ["A", "A", ""])
        ),
    }
    assert len(found) == 4


def test_a_group_that_no_table_can_hold(tmp_path, odd):
    with pytest.raises(InputError, match="can't contain a tab"):
        datadir.write(tmp_path / "set", dataclasses.replace(odd, groups=np.array(["a\tb"] * 9)))


@pytest.mark.parametrize(
    "header",
    [
        "filename\tgroup\tpath\tduration",
        "filename\tpath\tduration\tsite",
    ],
)
def test_another_column_is_reported(folder, header):
    (folder / "clips.tsv").write_text(f"{header}\na.wav\t\t10\tA\n")
    assert re.search(
        "clips.tsv:1: expected the header filename<TAB>path<TAB>duration, found .*; "
        "the optional last column is group",
        messages(folder)[0],
    )


@pytest.mark.parametrize(
    "filename, source",
    [
        ("-0mG4TQ3KQs_30.000_40.000.wav", "-0mG4TQ3KQs"),
        ("--PJHxphWEs_30.000_40.000.wav", "--PJHxphWEs"),
        ("--PJHxphWEs_0.000_9.500.flac", "--PJHxphWEs"),
        ("a_b_c_1_2_30.000_40.000.wav", "a_b_c_1_2"),
        ("__________30.000_40.000.wav", "_________"),
        ("12345_67890_30_40", "12345_67890"),
        ("abc_30_40.m4a", "abc"),
        ("abc_30.000_40.000", "abc"),
        ("plain.wav", "plain"),
        ("plain", "plain"),
        ("1-2345-A.ogg", "1-2345-A"),
        ("clip 01.wav", "clip 01"),
        ("my.own.file.wav", "my.own.file"),
        ("v1.2_30.000_40.000.wav", "v1.2"),
        ("take_2.wav", "take_2"),
        ("take_2.5.wav", "take_2.5"),
        ("_30.000_40.000.wav", "_30.000_40.000"),
        (".wav", ""),
    ],
)
def test_source_of(filename, source):
    assert clip_names.source_of(filename) == source


@pytest.mark.parametrize(
    "items, text", [([], ""), ([1, 2], "1, 2"), ("abc", "a, b, c"), ("abcd", "a, b, c and 1 more")]
)
def test_first(items, text):
    assert tables.first(items) == text


def test_decoded_round_trip(tmp_path, odd):
    tags = odd.tag_matrix()
    datadir.write_decoded(
        tmp_path / "frame", odd.filenames, odd.durations, odd.labels, tags, events=odd.events
    )
    back = datadir.read_decoded(tmp_path / "frame", odd.labels)
    np.testing.assert_array_equal(back.tag_matrix(), tags)
    assert back.filenames.tolist() == odd.filenames.tolist() and back.paths.tolist() == [""] * 9
    np.testing.assert_allclose(back.durations, odd.durations, atol=5.1e-7)
    assert len(back.events) == len(odd.events)
    assert sorted(p.name for p in (tmp_path / "frame").iterdir()) == [
        "clips.tsv",
        "events.tsv",
        "tags.tsv",
    ]


def test_nothing_decoded(tmp_path):
    datadir.write_decoded(
        tmp_path, ["a", "b"], [1, 2], ["Car"], np.zeros((2, 1), bool), events=Events.from_rows([])
    )
    back = datadir.read_decoded(tmp_path, ["Car"])
    assert len(back) == 2 and len(back.events) == 0 and not back.tag_matrix().any()


@pytest.mark.parametrize(
    "break_it, message",
    [
        (
            lambda folder: (folder / "clips.tsv").write_text("filename\tpath\tduration\n"),
            "expected the header filename<TAB>duration",
        ),
        (lambda folder: (folder / "clips.tsv").unlink(), "clips.tsv: no such file"),
        (lambda folder: (folder / "events.tsv").unlink(), "events.tsv: no such file"),
        (
            lambda folder: (folder / "tags.tsv").write_text("filename\tevent_label\na\tCat\n"),
            "tags.tsv:2: unknown class 'Cat'",
        ),
    ],
)
def test_broken_decoded_folders(tmp_path, break_it, message):
    datadir.write_decoded(
        tmp_path,
        ["a", "b"],
        [1, 2],
        ["Car"],
        np.ones((2, 1), bool),
        events=Events.from_rows([(0, 0, 1, 0)]),
    )
    break_it(tmp_path)
    with pytest.raises(InputError, match=message):
        datadir.read_decoded(tmp_path, ["Car"])
    with pytest.raises(InputError, match="none: no such folder; create it with wsedtk decode"):
        datadir.read_decoded(tmp_path / "none", ["Car"])


def test_sets_of_other_verbs_are_not_overwritten(folder, tmp_path):
    datadir.check_overwrite(tmp_path / "new", "balance")
    with pytest.raises(
        InputError,
        match="a set: contains a data set that `wsedtk balance` did not make; choose another folder",
    ):
        datadir.check_overwrite(folder, "balance")
    made = dataclasses.replace(datadir.read(folder), info={"made_by": "balance"})
    datadir.write(tmp_path / "made", made)
    datadir.check_overwrite(tmp_path / "made", "balance")
    with pytest.raises(
        InputError, match="is a data directory, which decoded events would overwrite"
    ):
        datadir.write_decoded(
            folder, ["a"], [1.0], LABELS, np.zeros((1, 2), bool), events=Events.from_rows([])
        )
    assert same(datadir.read(folder), made)
