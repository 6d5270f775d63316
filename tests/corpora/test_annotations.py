"""prepare annotations: annotation files and recordings become a data directory."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers import contents, table, write_sound

from wsedtk.core.errors import InputError
from wsedtk.corpora import annotations
from wsedtk.corpora.annotations import AnnotationsOptions
from wsedtk.data import datadir
from wsedtk.data.events import Event
from wsedtk.data.formats import FORMATS, EventFormat, Recording, event_format

RATE = 8000


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with recordings of two sites in rec/."""
    monkeypatch.chdir(tmp_path)
    for number, (name, seconds) in enumerate(
        [("s1/night.wav", 5.5), ("s2/night.wav", 4.5), ("s2/dawn_30_31.flac", 1.0)]
    ):
        write_sound(Path("rec", name), seconds, RATE, seed=number)
    return tmp_path


def write(path, text):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8")


def prepared(files="labels", audio="rec", **options):
    """Prepare the set `set`, with clips of 2 s unless the options differ, and read it."""
    options = {"clip_seconds": 2.0, **options}
    annotations.prepare(AnnotationsOptions(files, audio, "set", **options))
    return datadir.read("set")


def events(dataset):
    return [
        (str(dataset.filenames[clip]), onset, offset, dataset.labels[label])
        for clip, onset, offset, label in dataset.events.rows()
    ]


def tags(dataset):
    return {
        str(name): [dataset.labels[k] for k in dataset.tags_of(i)]
        for i, name in enumerate(dataset.filenames)
    }


def test_labels_of_two_sites(folder, run):
    write("labels/s1/night.txt", "0.5\t1\tOwl\n1.5\t3\tFox\n5\t5\tOwl\n")
    write("labels/s2/night.wav.txt", "")  # no events
    write("labels/s2/dawn_30_31.wav.txt", "0.25\t0.75\tOwl\n")
    arguments = ("prepare", "annotations", "labels", "rec", "set", "--clip-seconds", "2")
    result = run(*arguments)
    assert result.exit_code == 0 and result.stderr == ""
    assert "3 files in the format audacity" in result.stdout
    assert "6 clips of 3 recordings" in result.stdout
    dataset = datadir.read("set")
    assert dataset.labels == ["Fox", "Owl"]
    assert tags(dataset) == {
        "s1/night_0.000_2.000.flac": ["Fox", "Owl"],
        "s1/night_2.000_4.000.flac": ["Fox"],
        "s1/night_4.000_5.500.flac": ["Owl"],
        "s2/dawn_30_31.flac": ["Owl"],
        "s2/night_0.000_2.000.flac": [],
        "s2/night_2.000_4.000.flac": [],  # the rest of 0.5 s is left out
    }
    assert events(dataset) == [
        ("s1/night_0.000_2.000.flac", 0.5, 1.0, "Owl"),
        ("s1/night_0.000_2.000.flac", 1.5, 2.0, "Fox"),
        ("s1/night_2.000_4.000.flac", 0.0, 1.0, "Fox"),
        ("s1/night_4.000_5.500.flac", 1.0, 1.0, "Owl"),
        ("s2/dawn_30_31.flac", 0.25, 0.75, "Owl"),
    ]
    assert dataset.durations.tolist() == [2, 2, 1.5, 1, 2, 2]
    assert dataset.groups.tolist() == [*["s1/night"] * 3, "s2/dawn", *["s2/night"] * 2]
    assert dataset.info["made_by"] == "prepare annotations" and dataset.info["tags"] == "complete"
    whole = soundfile.read("rec/s1/night.wav", dtype="int16")[0]
    parts = [soundfile.read(path, dtype="int16")[0] for path in dataset.paths[:3]]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert dataset.paths[3] == str(folder / "rec/s2/dawn_30_31.flac")
    checked = run("validate", "set", "--audio")
    assert "0 errors" in checked.stdout
    before = contents(Path("set"))
    assert run(*arguments).exit_code == 0 and contents(Path("set")) == before


@pytest.mark.parametrize("name", FORMATS.names())
def test_round_trip_of_what_detect_writes(folder, name):
    """One file for each recording, named as by `detect --output-dir`; one recording is empty."""
    found = [Event(0.5, 1.0, "Owl", 0.9), Event(1.5, 3.0, "Fox, red", 0.8)]
    form = event_format(name)
    for recording, of_file in (("s1/night.wav", found), ("s2/night.wav", [])):
        about = Recording(recording, "night.wav", None, max_hz=4000.0, seconds=5.0)
        write(f"labels/{recording}{form.suffix}", form.header + form.text(about, of_file))
    if name == "review":
        for path in Path("labels").rglob("*.tsv"):
            write(path, path.read_text(encoding="utf-8").replace("unreviewed", "accepted"))
    dataset = prepared(clip_seconds=10)
    assert events(dataset) == [
        ("s1/night.wav", 0.5, 1.0, "Owl"),
        ("s1/night.wav", 1.5, 3.0, "Fox, red"),
    ]
    assert dataset.filenames.tolist() == ["s1/night.wav", "s2/night.wav"]


@pytest.mark.parametrize("name", ["tsv", "jsonl"])
def test_one_list_of_several_recordings_and_channels(folder, name):
    """The clips of a channel contain its samples."""
    write_sound(Path("rec/stereo.wav"), 3.0, RATE, channels=2)
    form = event_format(name)
    text = form.header
    for recording, channel in (("s1/night.wav", None), ("stereo.wav.ch2", 2)):
        about = Recording(recording, "x.wav", channel, max_hz=4000.0, seconds=3.0)
        text += form.text(about, [Event(0.5, 1.0, "Owl", 0.9)])
    write(f"found{form.suffix}", text)
    dataset = prepared(f"found{form.suffix}", clip_seconds=3)
    assert [row[0] for row in events(dataset)] == [
        "s1/night_0.000_3.000.flac",
        "stereo.ch2_0.000_3.000.flac",
    ]
    assert dataset.groups.tolist() == ["s1/night", "s1/night", "stereo"]
    expected = soundfile.read("rec/stereo.wav", dtype="int16")[0][:, 1]
    np.testing.assert_array_equal(soundfile.read(dataset.paths[2], dtype="int16")[0], expected)


def test_a_channel_that_does_not_exist(folder):
    write("x.tsv", "filename\tonset\toffset\tevent_label\ns1/night.wav.ch2\t0\t1\tOwl\n")
    with pytest.raises(InputError, match=r"night\.wav: has 1 channel; expected a channel 2"):
        prepared("x.tsv")


def test_raven_tables_of_channels_and_of_files_with_the_same_name(folder):
    write_sound(Path("rec/s2/stereo.wav"), 1.0, RATE, channels=2)
    write_sound(Path("rec/s1/stereo.wav"), 1.0, RATE, channels=2)
    form = event_format("raven")
    about = Recording("s2/stereo.wav.ch1", "stereo.wav", 1, max_hz=4000.0, seconds=1.0)
    text = form.header + form.text(about, [Event(0.5, 1.0, "Owl", 0.9)])
    write("labels/s2/stereo.wav.ch1.selections.txt", text)
    assert list(tags(prepared())) == ["s2/stereo.ch1_0.000_1.000.flac"]


def test_a_file_of_the_only_recording(folder):
    """With one recording, the name of the annotation file does not matter."""
    write("mine.txt", "0.5\t1\tOwl\n")
    dataset = prepared("mine.txt", "rec/s1/night.wav")
    assert [row[0] for row in events(dataset)] == ["night_0.000_2.000.flac"]


def test_recordings_without_annotations(folder, run, printed_messages):
    write("labels/s1/night.txt", "0.5\t1\tOwl\n")
    write("labels/other.txt", "0.5\t1\tOwl\n")
    result = run("prepare", "annotations", "labels", "rec", "set", "--clip-seconds", "2")
    assert (
        "annotations of recordings that are not in rec are left out (1 recording): "
        "labels/other.txt" in result.stderr
    )
    assert (
        "recordings without annotations are left out (2 recordings): s2/dawn_30_31.flac, "
        "s2/night.wav; if they contain no events, use them with all_recordings (--all-recordings)"
        in result.stderr
    )
    assert len(datadir.read("set")) == 3
    dataset = prepared(all_recordings=True)
    assert len(dataset) == 6 and tags(dataset)["s2/dawn_30_31.flac"] == []


def test_classes_of_a_file(folder, run, printed_messages):
    """The classes keep their order, names are replaced, and other annotations are left out."""
    write("labels/s1/night.txt", "0.5\t1\tTawny owl\n0.6\t1\tnoise\n0.7\t1\tBarn owl\n")
    write("classes.txt", "Wren\nTawny owl\tOwl\nBarn owl\tOwl\n")
    arguments = ("prepare", "annotations", "labels", "rec", "set", "--labels")
    result = run(*arguments, "classes.txt")
    assert result.exit_code == 0
    assert (
        "annotations of classes that are not in classes.txt are left out (1 annotation): "
        "'noise' (1)" in result.stderr
    )
    dataset = datadir.read("set")
    assert dataset.labels == ["Wren", "Owl"]
    assert events(dataset) == [
        ("s1/night.wav", 0.5, 1.0, "Owl"),
        ("s1/night.wav", 0.7, 1.0, "Owl"),
    ]
    write("classes.txt", "Tawny Owl\n")
    result = run(*arguments, "classes.txt")
    assert result.exit_code == 1 and "contains no class of the annotations" in result.stderr
    assert "did you mean 'Tawny Owl'?" in result.stderr
    write("classes.txt", "Owl\n\tOwl\nOwl\tFox\na\tb\tc\n")
    result = run(*arguments, "classes.txt")
    assert result.stderr.splitlines()[-3:] == [
        "classes.txt:2: expected a class, or name<TAB>class; found '\\tOwl'",
        "classes.txt:3: the name 'Owl' stands for two classes",
        "classes.txt:4: expected a class, or name<TAB>class; found 'a\\tb\\tc'",
    ]


def test_lists_of_tags(folder):
    """Annotations without times are tags, and the set has no events."""
    write("tags.tsv", "filename\tevent_labels\ns2/dawn_30_31.wav\tOwl,Fox\ns1/night.wav\n")
    dataset = prepared("tags.tsv", clip_seconds=10)
    assert tags(dataset) == {"s1/night.wav": [], "s2/dawn_30_31.flac": ["Fox", "Owl"]}
    assert dataset.events is None and not Path("set/events.tsv").exists()


def test_overlapping_clips(folder):
    write("labels/s1/night.txt", "1.5\t2.5\tOwl\n")
    dataset = prepared(hop_seconds=1.0, clip_seconds=3.0)
    assert [(name[9:], *times) for name, *times, _ in events(dataset)] == [
        ("0.000_3.000.flac", 1.5, 2.5),
        ("1.000_4.000.flac", 0.5, 1.5),
        ("2.000_5.000.flac", 0.0, 0.5),
    ]
    assert dataset.filenames[-1] == "s1/night_3.000_5.500.flac" and len(dataset) == 4
    whole = soundfile.read("rec/s1/night.wav", dtype="int16")[0]
    for path, start in zip(dataset.paths, range(4)):
        samples = soundfile.read(path, dtype="int16")[0]
        np.testing.assert_array_equal(samples, whole[start * RATE : (start + 3) * RATE])


def test_events_in_no_clip(folder, run, printed_messages):
    write("labels/s2/night.txt", "0.5\t1\tOwl\n4.2\t4.4\tFox\n")
    result = run("prepare", "annotations", "labels", "rec", "set", "--clip-seconds", "2")
    assert "1 event is in no clip: labels/s2/night.txt:2" in result.stderr
    assert datadir.read("set").labels == ["Fox", "Owl"]


def test_groups_of_folders(folder):
    rows = "s2/night.wav\t0\t1\tOwl\ns2/dawn_30_31.flac\t0\t1\tOwl\n"
    write("x.tsv", f"filename\tonset\toffset\tevent_label\n{rows}")
    assert set(prepared("x.tsv", group="folder").groups.tolist()) == {"s2"}


def test_annotations_that_occur_twice_count_once(folder):
    write("labels/s1/night.txt", "0.5\t1\tOwl\n0.5\t1\tOwl\n")
    write("labels/s1/night.Table.1.txt", "0.5\t1\tOwl\n1\t1.5\tOwl\n")
    assert len(prepared().events) == 2


def test_files_folders_and_patterns(folder, run, printed_messages):
    """Files of a folder that are no annotation files are left out; the set itself, too."""
    write("rec/s1/night.txt", "0.5\t1\tOwl\n")
    write("rec/notes.md", "What we heard\n")
    write("rec/.hidden.txt", "0.5\t1\tFox\n")
    write("rec/s2/night.TextGrid", event_format("praat").header + "0 1 <exists> 0")
    arguments = ("prepare", "annotations", "rec", "rec", "rec/set", "--clip-seconds", "2")
    for _ in range(2):
        result = run(*arguments)
        assert result.exit_code == 0
        assert "files in no known format are not used (1 file): rec/notes.md" in result.stderr
        assert "1 file in the format audacity\n1 file in the format praat\n" in result.stdout
        assert len(datadir.read("rec/set")) == 5
    run("prepare", "annotations", "rec/s*/n*.txt", "rec/s1/night.txt", "rec", "set")
    assert [row[1:] for row in events(datadir.read("set"))] == [(0.5, 1.0, "Owl")]
    result = run("prepare", "annotations", "rec/*.TextGrid", "rec", "set")
    assert result.exit_code == 1 and "no file matches this pattern" in result.stderr


def test_dry_run(folder, run):
    write("labels/s1/night.txt", "0.5\t1\tOwl\n1.5\t3\tFox\n2\t3\tOwl\n")
    result = run("prepare", "annotations", "labels", "rec", "set", "--dry-run")
    assert result.stdout == (
        "labels/s1/night.txt: audacity, 3 annotations of s1/night.wav\n"
        "1 recording, 3 annotations of 2 classes:\n      1 Fox\n      2 Owl\n"
        "nothing was written; run the command again without --dry-run\n"
    )
    assert not Path("set").exists()


class Csv(EventFormat):
    """A user's format."""

    suffix = ".csv"

    def text(self, recording, events):
        return ""

    def read(self, path, chosen=()):
        path.rename(path.with_suffix(".txt"))
        return event_format("audacity").read(path.with_suffix(".txt"))


def test_formats_are_extension_points(folder, monkeypatch):
    monkeypatch.setattr("helpers.Csv", Csv, raising=False)
    write("labels/s1/night.csv", "0.5\t1\tOwl\n")
    assert len(prepared(format_name="helpers:Csv").events) == 1


LATE = (
    "s1/night.wav: 1 event begins after the end of the recording (5.500 s): labels/s1/night.txt:1"
)


@pytest.mark.parametrize(
    ("files", "more", "message"),
    [
        ({"s1/night.txt": "6\t7\tOwl\n"}, [], LATE),
        ({"s1/night.txt": "a\n"}, [], "found no annotation files"),
        ({"s1/night.txt": "0\t1\tOwl\n0\tx\tOwl\n"}, [], "labels/s1/night.txt:2: expected onset"),
        ({"night.txt": "0\t1\tOwl\n"}, [], "night.txt: the name of the file fits 2 recordings: "),
        ({"other.txt": "0\t1\tOwl\n"}, [], "rec: contains no recording of the annotation files"),
        ({"s1/night.txt": ""}, [], "no events of these recordings, so the classes are unknown"),
        ({"s1/night.txt": "0\t1\tOwl\n"}, ["--labels-in", "a"], "audacity has no tiers or columns"),
        ({"s1/night.txt": "0\t1\tOwl\n"}, ["--format", "praat"], "night.txt:1: expected the file type"),
        ({"s1/night.txt": "0\t1\tOwl\n"}, ["--format", "prat"], "did you mean 'praat'?"),
        ({"s1/night.txt": "0\t1\tOwl\n"}, ["--hop-seconds", "0"], "hop_seconds (--hop-seconds)"),
        ({"s1/night.txt": "0\t1\tOwl\n"}, ["--min-overlap-seconds", "11"], "from 0 to clip_seconds"),
        (
            {"a/s1/night.txt": "0\t1\tOwl\n", "b/s1/night.txt": "0\t1\tFox\n"},
            [],
            "fit this recording; give only the annotation files of the recordings in this folder",
        ),
        (
            {"x.tsv": "filename\tonset\toffset\tevent_label\n/s7/dawn_30_31.wav\t0\t1\tOwl\n"
             "/s8/dawn_30_31.wav\t0\t1\tOwl\n"},
            [],
            "rec/s2/dawn_30_31.flac: both /s7/dawn_30_31.wav (in labels/x.tsv) and /s8/dawn_30",
        ),
    ],
)  # fmt: skip
def test_faults(folder, run, files, more, message):
    for name, text in files.items():
        write(f"labels/{name}", text)
    result = run("prepare", "annotations", "labels", "rec", "set", *more)
    assert result.exit_code == 1 and message in result.stderr
    assert not Path("set").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no.txt", "rec", "set"), "no.txt: no such file"),
        (("labels.txt", "recs", "set"), "recs: no such file or folder; expected the recordings"),
        (("labels.txt", "rec", "set"), "is in none of the formats audacity, "),
        (("labels.txt", "rec", "rec"), "rec: is an input of this command"),
    ],
)
def test_wrong_paths(folder, run, arguments, message):
    write("labels.txt", "some text\n")
    result = run("prepare", "annotations", *arguments)
    assert result.exit_code == 1 and message in result.stderr
    assert not Path("set").exists()


def test_other_data_is_not_overwritten(folder, run):
    write("labels/s1/night.txt", "0.5\t1\tOwl\n")
    write("set/audio/mine.txt", "")
    result = run("prepare", "annotations", "labels", "rec", "set")
    assert result.exit_code == 1 and "set/audio: exists, and" in result.stderr
    assert Path("set/audio/mine.txt").exists()


def test_a_failure_keeps_the_old_set(folder, run):
    """A recording that can't be decoded ends the command, and the old set stays complete."""
    write("labels/s1/night.txt", "0.5\t1\tOwl\n")
    arguments = ("prepare", "annotations", "labels", "rec", "set", "--clip-seconds", "2")
    assert run(*arguments).exit_code == 0
    before = contents(Path("set"))
    Path("rec/s1/night.wav").write_bytes(b"no sound")
    result = run(*arguments)
    assert result.exit_code == 1 and "can't be read as sound" in result.stderr
    assert contents(Path("set")) == before and table(Path("set"))
