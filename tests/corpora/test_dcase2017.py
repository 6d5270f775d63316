"""prepare dcase2017: the official metadata, and audio for some of its clips."""

import collections
import csv
import io
import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from click.testing import CliRunner
from helpers import contents, table, write_sound

from wsedtk.cli import main as cli
from wsedtk.core.errors import InputError
from wsedtk.corpora import dcase2017
from wsedtk.corpora.dcase2017 import Dcase2017Options
from wsedtk.data import datadir

PARTS = {"train": "training", "test": "testing", "eval": "evaluation"}
SIZES = {"train": 51172, "test": 488, "eval": 1103}
TABLES = ("clips.tsv", "tags.tsv", "events.tsv", "labels.txt", "info.yaml")


def prepare(*arguments):
    """Run `wsedtk prepare dcase2017 ARGUMENT...`, which must succeed, for shared fixtures."""
    result = CliRunner().invoke(
        cli.cli, ["prepare", "dcase2017", *map(str, arguments)], catch_exceptions=False
    )
    assert result.exit_code == 0, result.stderr
    return result


# --- the official metadata ---


def official(folder, kind, name):
    """Return the rows of an official file of true tags or events."""
    text = (folder / "dcase2017" / f"groundtruth_{kind}_label_{PARTS[name]}_set.csv").read_text()
    return [line.split("\t") for line in text.split("\n") if line]


def official_classes(folder):
    lines = (folder / "dcase2017" / "sound_event_list_17_classes.txt").read_text().splitlines()[1:]
    return [line.split(maxsplit=2) for line in lines]


@pytest.fixture(scope="module")
def lists(real_data, tmp_path_factory):
    """The official sets without audio, and the output."""
    data = tmp_path_factory.mktemp("the 'official' \"lists\"") / "data"
    return data, prepare("--metadata-only", real_data / "dcase2017", data)


def test_the_official_sets_are_whole(lists, real_data):
    data, result = lists
    classes = official_classes(real_data)
    assert len(classes) == 17 and classes[1][2] == "Air horn, truck horn"
    for name, size in SIZES.items():
        assert len(table(data / name)) == size and f"{name}: {size:,} clips" in result.stdout
        assert (data / name / "labels.txt").read_text().splitlines() == [
            label for *_, label in classes
        ]
        info = yaml.safe_load((data / name / "info.yaml").read_text())
        assert info["class_ids"] == [mid for mid, *_ in classes] and info["official_clips"] == size
        assert all(path == "" for _, path, _ in table(data / name))
        assert (data / name / "events.tsv").exists() == (name != "train")


@pytest.mark.parametrize("name", PARTS)
def test_tags_are_those_of_the_weak_truth(lists, real_data, name):
    rows, found = official(real_data, "weak", name), table(lists[0] / name, "tags.tsv")
    assert {(clip, label) for clip, _, _, label in rows} == set(map(tuple, found))
    assert len(found) == {"train": 56131, "test": 606, "eval": 1350}[name] == len(rows)
    assert [clip for clip, *_ in table(lists[0] / name)] == sorted({row[0] for row in rows})


@pytest.mark.parametrize(
    "name, zero, nothing_else, twice", [("test", 36, 11, 0), ("eval", 150, 94, 1)]
)
def test_events_are_those_of_the_strong_truth(lists, real_data, name, zero, nothing_else, twice):
    expected = {
        (clip, float(on), float(off), label)
        for clip, on, off, label in official(real_data, "strong", name)
    }
    found = [
        (clip, float(on), float(off), label)
        for clip, on, off, label in table(lists[0] / name, "events.tsv")
    ]
    assert len(official(real_data, "strong", name)) - len(found) == twice
    assert collections.Counter(found) == collections.Counter(expected)
    assert sum(on == off for _, on, off, _ in found) == zero
    assert (
        len({row[0] for row in found} - {clip for clip, on, off, _ in found if off > on})
        == nothing_else
    )


def test_durations_are_nominal(lists, real_data):
    seconds = {
        name: {clip: float(seconds) for clip, _, seconds in table(lists[0] / name)}
        for name in PARTS
    }
    for name in PARTS:
        assert seconds[name] == {
            clip: round(float(end) - float(start), 6)
            for clip, start, end, _ in official(real_data, "weak", name)
        }
    lengths = np.array(list(seconds["train"].values()))
    assert lengths.min() == 1.0 and lengths.max() == 10.0 and 1000 < (lengths < 9.9).sum() < 1100


def test_the_official_sets_are_valid(lists, run):
    result = run("validate", *(lists[0] / name for name in PARTS))
    assert result.exit_code == 0 and "error:" not in result.stdout + result.stderr
    assert "488 clips, 17 classes, 606 tags, 688 events: 0 errors" in result.stdout
    assert (result.stdout + result.stderr).count("the event at 0 s has length zero") == 36 + 150


def test_wangs_split_of_the_official_list(lists, run, tmp_path):
    """1,142 clips for validation and 50,030 for training; classes balanced; no video in both."""

    def split(folder, seed):
        fit, valid = tmp_path / folder / "fit", tmp_path / folder / "valid"
        result = run("balance", lists[0] / "train", fit, valid, "--num-valid", 1142, "--seed", seed)
        assert result.exit_code == 0, result.stderr
        return contents(tmp_path / folder), result.stdout

    files, stdout = split("one", 0)
    fit, valid = ([row[0] for row in table(tmp_path / "one" / part)] for part in ("fit", "valid"))
    assert len(fit) == 50030 and len(valid) == 1142 and len({*fit, *valid}) == 51172
    assert not {clip.rsplit("_", 2)[0] for clip in fit} & {clip.rsplit("_", 2)[0] for clip in valid}
    held = collections.Counter(label for _, label in table(tmp_path / "one" / "valid", "tags.tsv"))
    assert (
        len(held) == 17
        and max(held.values()) - min(held.values()) <= 3
        and min(held.values()) >= 80
    )
    rare = next(line for line in stdout.splitlines() if line.startswith("Car alarm"))
    assert rare.split()[2:5] == ["180", str(180 - held["Car alarm"]), str(held["Car alarm"])]
    assert split("again", 0)[0] == files != split("other", 1)[0]


@pytest.mark.parametrize("name", ["train", "test"])
def test_a_set_is_read_from_its_list_alone(lists, real_data, tmp_path, name):
    for path in (real_data / "dcase2017").glob("*_*.*"):
        if path.name != f"groundtruth_weak_label_{PARTS[name]}_set.csv":
            shutil.copy(path, tmp_path)
    prepare("--metadata-only", tmp_path, tmp_path / "data")
    assert contents(tmp_path / "data") == contents(lists[0])


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r", b"\t\t\n"])
def test_nested_folders_and_either_line_end(lists, real_data, tmp_path, line_end):
    for number, path in enumerate(sorted((real_data / "dcase2017").glob("*_*.*"))):
        folder = tmp_path / "lists" / ("groundtruth release", 'it\'s "nested"/deep')[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / path.name).write_bytes(line_end.join(path.read_bytes().splitlines()) + line_end)
    prepare("--metadata-only", tmp_path / "lists", tmp_path / "data")
    assert contents(tmp_path / "data") == contents(lists[0])


# --- made-up metadata ---

CLASSES = {
    "Train horn": "/m/0284vy3",
    "Air horn, truck horn": "/m/05x_td",
    "Fire engine, fire truck (siren)": "/m/012ndj",
    "Car passing by": "/t/dd00134",
}
HORN, AIR, FIRE, CAR = CLASSES
TAGS = {
    "train": {
        "-bcdefghijk_30.000_40.000.wav": [AIR, CAR],
        "--cdefghijk_0.000_10.000.wav": [FIRE],
        "Ybcdefghijk_5.000_15.000.wav": [HORN],
        "YY_1_2_3_4__30.000_37.500.wav": [HORN],
        "0_10_20_30__10.000_20.000.wav": [CAR],
        "_1_2_3_4_5__7.000_17.000.wav": [AIR, FIRE],
        "a.wav_b.mp3_110.000_120.000.wav": [CAR],
        "Abcdefghijk_30.000_40.000.wav": [CAR],
        "Abcdefghijk_40.000_50.000.wav": [AIR],
    },
    "test": {
        "tbcdefghijk_30.000_40.000.wav": [HORN, AIR],
        "-ucdefghijk_0.000_9.000.wav": [CAR],
        "vbcdefghijk_1.000_11.000.wav": [FIRE],
    },
    "eval": {"ebcdefghijk_30.000_40.000.wav": [CAR, FIRE], "--fdefghijk_0.000_10.000.wav": [CAR]},
}
EVENTS = {
    "test": [
        ("tbcdefghijk_30.000_40.000.wav", "0.5", "2.25", HORN),
        ("tbcdefghijk_30.000_40.000.wav", "1", "10", AIR),
        ("-ucdefghijk_0.000_9.000.wav", "0", "0", CAR),
        ("vbcdefghijk_1.000_11.000.wav", "3.125", "4", FIRE),
    ],
    "eval": [
        ("ebcdefghijk_30.000_40.000.wav", "0", "10", CAR),
        ("ebcdefghijk_30.000_40.000.wav", "0", "10", CAR),
        ("ebcdefghijk_30.000_40.000.wav", "2", "3", FIRE),
        ("--fdefghijk_0.000_10.000.wav", "0.000", "0.000", CAR),
    ],
}
CLASS_LIST = "sound_event_list_17_classes.txt"
WEAK, STRONG, LIST = (
    "groundtruth_weak_label_testing_set.csv",
    "groundtruth_strong_label_testing_set.csv",
    "testing_set.csv",
)
MADE = "tbcdefghijk_30.000_40.000.wav"


def parts_of(clip):
    """Return video, start and end of an official clip name."""
    return clip.removesuffix(".wav").rsplit("_", 2)


def write_lists(folder, listed=("train", "test")):
    """Write metadata with the clips TAGS and EVENTS, in the official formats."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"{mid}\t7  {label}" for label, mid in CLASSES.items()]
    (folder / CLASS_LIST).write_text("\n".join(["Class_ID   Confidence   Class_Label", *rows, ""]))
    for name, part in PARTS.items():
        weak = [
            "\t".join([clip, *parts_of(clip)[1:], label])
            for clip, labels in TAGS[name].items()
            for label in labels
        ]
        (folder / f"groundtruth_weak_label_{part}_set.csv").write_text("\n".join([*weak, ""]))
        if name in listed:
            text = io.StringIO()
            csv.writer(text).writerows(
                [*parts_of(clip), ",".join(labels), ",".join(CLASSES[label] for label in labels)]
                for clip, labels in TAGS[name].items()
            )
            (folder / f"{part}_set.csv").write_text(text.getvalue(), newline="")
        if name in EVENTS:
            (folder / f"groundtruth_strong_label_{part}_set.csv").write_text(
                "".join("\t".join(row) + "\r\n" for row in EVENTS[name])
            )
    return folder


@pytest.fixture
def place(tmp_path):
    """A folder whose name contains characters that are special for shells and programs."""
    return tmp_path / 'it\'s "my" $place é'


@pytest.fixture
def meta(place):
    return write_lists(place / "the 'lists'")


@pytest.fixture
def refused(run, place):
    """Check that `prepare dcase2017` fails with a message (a regex) and writes nothing."""

    def refused(message, *arguments):
        result = run("prepare", "dcase2017", *arguments, place / "data")
        assert result.exit_code == 1, result.stdout
        assert re.search(message, result.stderr), result.stderr
        assert not (place / "data").exists()

    return refused


def test_made_up_lists_are_read_as_they_were_written(meta, place):
    prepare("--metadata-only", meta, place / "data")
    for name in PARTS:
        assert [row[0] for row in table(place / "data" / name)] == sorted(TAGS[name])
        assert sorted(map(tuple, table(place / "data" / name, "tags.tsv"))) == sorted(
            (c, t) for c, ts in TAGS[name].items() for t in ts
        )
    assert [row[0] for row in table(place / "data/train") if float(row[2]) != 10] == [
        "YY_1_2_3_4__30.000_37.500.wav"
    ]
    assert table(place / "data/eval", "events.tsv") == [
        ["--fdefghijk_0.000_10.000.wav", "0", "0", CAR],
        ["ebcdefghijk_30.000_40.000.wav", "0", "10", CAR],
        ["ebcdefghijk_30.000_40.000.wav", "2", "3", FIRE],
    ]
    assert yaml.safe_load((place / "data/train/info.yaml").read_text())["class_ids"] == list(
        CLASSES.values()
    )


def test_times_of_the_truth_are_rounded_to_the_microsecond(tmp_path):
    name = "tbcdefghijk_30.000_40.000.wav"
    rows = [
        ("1e-9", "3.0000000000000004"),
        ("0.0", "3"),
        ("9.999999999999998", "10.000000000000002"),
        ("1.0000004", "1.0000003"),
    ]
    (tmp_path / STRONG).write_text("".join(f"{name}\t{on}\t{off}\t{CAR}\n" for on, off in rows))
    assert dcase2017.read_truth(tmp_path / STRONG) == [
        (name, 0, 3, CAR),
        (name, 10, 10, CAR),
        (name, 1, 1, CAR),
    ]


@pytest.mark.parametrize("nothing", ["\tnan\tnan\tnan", "\tNaN\t\tnan", "\t\t\t", ""])
def test_an_empty_row_is_a_clip_without_events(meta, place, refused, nothing):
    """Tables of data directories and lists are read in the same way."""
    weak = meta / "groundtruth_weak_label_training_set.csv"
    (meta / "training_set.csv").unlink()
    prepare("--metadata-only", meta, place / "plain")
    edit(weak, lambda lines: [*lines, f"zbcdefghijk_0.000_10.000.wav{nothing}"])
    name = table(place / "plain/test", "events.tsv")[0][0]
    edit(meta / STRONG, lambda lines: [*lines, f"{name}{nothing}"])
    prepare("--metadata-only", meta, place / "more")
    assert contents(place / "more" / "test") == contents(place / "plain" / "test")
    assert table(place / "more/train", "tags.tsv") == table(place / "plain/train", "tags.tsv")
    found = {row[0] for row in table(place / "more/train")}
    assert found - {row[0] for row in table(place / "plain/train")} == {
        "zbcdefghijk_0.000_10.000.wav"
    }
    edit(meta / STRONG, lambda lines: [*lines, f"ybcdefghijk_0.000_10.000.wav{nothing}"])
    refused("'ybcdefghijk_0.000_10.000.wav' is not in", "--metadata-only", meta)


@pytest.mark.parametrize("name", ["train", "test"])
def test_lists_split_at_commas_without_a_space(meta, place, name):
    prepare("--metadata-only", meta, place / "both")
    (meta / f"groundtruth_weak_label_{PARTS[name]}_set.csv").unlink()
    prepare("--metadata-only", meta, place / "one")
    assert contents(place / "one") == contents(place / "both")


def test_a_mark_and_blank_lines_are_no_rows(meta, place):
    prepare("--metadata-only", meta, place / "plain")
    for path in meta.iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\r\n\n  \n")
    prepare("--metadata-only", meta, place / "marked")
    assert contents(place / "marked") == contents(place / "plain")


def edit(path, change):
    """Change the lines of a text file with a function `change`."""
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*change(lines), ""]))


def test_weak_truth_and_list_must_agree(meta, refused):
    edit(meta / LIST, lambda lines: [line.replace(FIRE, HORN) for line in lines])
    refused(
        f"{WEAK} and .*{LIST} contradict each other about 1 clip: for example, "
        r"'vbcdefghijk_1.000_11.000.wav' has the tags \['Fire engine, fire truck \(siren\)'\] in the "
        r"first file and the tags \['Train horn'\] in the second file; download both files again",
        "--metadata-only",
        meta,
    )
    edit(meta / LIST, lambda lines: lines[:1])
    refused(
        r"about 2 clips: for example, '-ucdefghijk_0.000_9.000.wav' has the tags \['Car passing by'\] "
        "in the first file and no row in the second file",
        "--metadata-only",
        meta,
    )


@pytest.mark.parametrize("name", [WEAK, STRONG, LIST])
def test_an_unknown_class_is_refused(meta, refused, name):
    if name == LIST:
        (meta / WEAK).unlink()
    if name == WEAK:
        (meta / LIST).unlink()
    edit(meta / name, lambda lines: [line.replace(FIRE, "Fire engine") for line in lines])
    refused(
        f"{name}: the label 'Fire engine' of the clip 'vbcdefghijk_1.000_11.000.wav' is not a class",
        "--metadata-only",
        meta,
    )


def test_an_event_of_an_unknown_clip_is_refused(meta, refused):
    edit(meta / STRONG, lambda lines: [*lines, f"wbcdefghijk_1.000_11.000.wav\t0\t1\t{CAR}"])
    refused(
        f"{STRONG}: the clip 'wbcdefghijk_1.000_11.000.wav' is not in .*{WEAK}",
        "--metadata-only",
        meta,
    )


@pytest.mark.parametrize(
    "name, row",
    [
        (WEAK, f"{MADE} 30.000 40.000 {HORN}"),
        (WEAK, f"{MADE}\t30.000\t40.000"),
        (WEAK, f"{MADE}\t30.000\t40.000\t{HORN}\tmore"),
        (WEAK, f"{MADE}\tthirty\t40.000\t{HORN}"),
        (WEAK, f"{MADE}\t30.000\tnan\t{HORN}"),
        (WEAK, f"tbcdefghij_30.000_40.000.wav\t30.000\t40.000\t{HORN}"),
        (WEAK, f"tbcdefghijk_30.000.wav\t30.000\t40.000\t{HORN}"),
        (WEAK, f"tbcdefghijk_40.000_40.000.wav\t40.000\t40.000\t{HORN}"),
        (WEAK, f"tbcdefghijk_40.000_30.000.wav\t30.000\t40.000\t{HORN}"),
        (STRONG, f"{MADE}\t2\t1\t{HORN}"),
        (STRONG, f"{MADE}\t-1\t1\t{HORN}"),
        (STRONG, f"{MADE}\t0\tinf\t{HORN}"),
        (STRONG, f"{MADE}\t\t1\t{HORN}"),
        (LIST, "tbcdefghijk,30.000,40.000"),
        (LIST, "tbcdefghijk;30.000;40.000;Train horn;/m/0284vy3"),
        (LIST, "tbcdefghij,30.000,40.000,Train horn,/m/0284vy3"),
        (LIST, "tbcdefghijk,thirty,40.000,Train horn,/m/0284vy3"),
        (LIST, "tbcdefghijk,40.000,30.000,Train horn,/m/0284vy3"),
        (LIST, "tbcdefghijk,30.000,30.000,Train horn,/m/0284vy3"),
        (LIST, 'tbcdefghijk,30.000,40.000,"Train horn,/m/0284vy3'),
        (CLASS_LIST, "/m/0284vy3\tTrain horn"),
        (CLASS_LIST, "Train horn"),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(meta, refused, name, row):
    (meta / {WEAK: LIST, LIST: WEAK}.get(name, "-")).unlink(
        missing_ok=True
    )  # if both are there, their difference is reported
    edit(meta / name, lambda lines: [lines[0], "", row, *lines[1:]])
    refused(f"{name}:3: (expected |(onset|offset) must be a number )", "--metadata-only", meta)


def test_a_quote_that_is_never_closed_is_refused_in_a_long_list_too(meta, refused):
    (meta / WEAK).unlink()
    row = ",30.000,40.000,Train horn,/m/0284vy3"
    open_quote, rest = (
        f"tbcdefghijk{row}".replace("Train", '"Train'),
        [f"{i:011d}{row}" for i in range(3000)],
    )
    edit(meta / LIST, lambda lines: [lines[0], open_quote, *rest])
    refused(LIST, "--metadata-only", meta)


@pytest.mark.parametrize(
    "classes, message",
    [
        ([], "expected each class of the challenge once"),
        (
            [f"/m/0284vy3 7 {HORN}", f"/m/05x_td 7 {HORN}"],
            "expected each class of the challenge once",
        ),
    ],
)
def test_classes_each_once(meta, refused, classes, message):
    (meta / CLASS_LIST).write_text("\n".join(["Class_ID Confidence Class_Label", *classes, ""]))
    refused(f"{CLASS_LIST}: {message}", "--metadata-only", meta)


@pytest.mark.parametrize("name", [CLASS_LIST, WEAK, STRONG, LIST])
def test_what_is_not_utf8_text_is_named(meta, refused, name):
    (meta / name).write_bytes((meta / name).read_bytes() + b"\xff\xfe")
    refused(f"{name}: is not UTF-8 text", "--metadata-only", meta)


@pytest.mark.parametrize(
    "names, message",
    [
        ([CLASS_LIST], f"{CLASS_LIST} is missing"),
        (
            ["groundtruth_weak_label_training_set.csv", "training_set.csv"],
            "contains neither groundtruth_weak_label_training_set.csv nor training_set.csv; download",
        ),
        (
            [WEAK, LIST],
            "contains neither groundtruth_weak_label_testing_set.csv nor testing_set.csv; download",
        ),
        (
            ["groundtruth_weak_label_evaluation_set.csv"],
            "contains neither groundtruth_weak_label_evaluation_set.csv nor evaluation_set.csv; download",
        ),
        ([STRONG], f"{STRONG} is missing"),
        (
            ["groundtruth_strong_label_evaluation_set.csv"],
            "groundtruth_strong_label_evaluation_set.csv is missing",
        ),
    ],
)
def test_missing_metadata_are_named(meta, refused, names, message):
    for name in names:
        (meta / name).unlink()
    refused(f"the 'lists': {re.escape(message)}", "--metadata-only", meta)


@pytest.mark.parametrize(
    "name",
    [
        WEAK,
        STRONG,
        "groundtruth_weak_label_evaluation_set.csv",
        "groundtruth_weak_label_training_set.csv",
        CLASS_LIST,
    ],
)
def test_an_empty_list_is_refused(meta, refused, name):
    for path in meta.glob("t*_set.csv"):
        path.unlink()
    (meta / name).write_text("")  # as a failed download leaves it
    refused(name, "--metadata-only", meta)


@pytest.mark.parametrize("kind", ["nowhere", "a file", "an empty folder"])
def test_a_wrong_metadata_folder_is_named(place, refused, kind):
    place.mkdir()
    if kind == "a file":
        (place / kind).write_text("Class_ID")
    if kind == "an empty folder":
        (place / kind).mkdir()
    refused(f"{kind}: .*{CLASS_LIST}", "--metadata-only", place / kind)


# --- audio ---


def add(folder, *files, **sound):
    """Write one second of a different sound for each file name, and return the folder."""
    for file in files:
        write_sound(
            folder / file, **{"sample_rate": 8000, "seed": zlib.crc32(file.encode()), **sound}
        )
    return folder


def add_all(folder, leave_out=()):
    """Write a file for each clip of TAGS, with or without Y, except some; return the folder."""
    clips = [clip for name in PARTS for clip in TAGS[name]]
    return add(
        folder,
        *(
            f"{name}/{'Y' if i % 2 else ''}{clip}"
            for i, clip in enumerate(clips)
            for name in PARTS
            if clip in TAGS[name] and clip not in leave_out
        ),
    )


def info_of(place, name="train"):
    return yaml.safe_load((place / "data" / name / "info.yaml").read_text())


def remarks(place, name="train"):
    lines = (place / "data" / name / "coverage.tsv").read_text().split("\n")
    assert lines[0] == "filename\tremark" and lines[-1] == ""
    return dict(line.split("\t") for line in lines[1:-1])


CLIP = "-bcdefghijk_30.000_40.000.wav"


@pytest.mark.parametrize(
    "file",
    [
        "Y-bcdefghijk_30.000_40.000.wav",
        "-bcdefghijk_30.000_40.000.wav",
        "-bcdefghijk_30_40.flac",
        "Y-bcdefghijk_30_40.ogg",
        "Y-bcdefghijk_30.0_40.00.mp3",
        "Y-bcdefghijk_30.000_40.000.WAV",
        "-bcdefghijk_30_40.Flac",
        "-bcdefghijk_30.000_40.000.OGG",
        "Y-bcdefghijk_30.000_40.000.MP3",
        'part 1/it\'s "deep"/-- é/Y-bcdefghijk_30.000_40.000.wav',
    ],
)
def test_names_that_stand_for_a_clip(meta, place, file):
    prepare(meta, add(place / "audio", file), place / "data")
    assert table(place / "data/train") == [[CLIP, str(place / "audio" / file), "10"]]
    samples, rate = soundfile.read(table(place / "data/train")[0][1])
    assert rate == 8000 and len(samples) >= 8000


@pytest.mark.parametrize(
    "file",
    [
        "-bcdefghijk_30.000_40.000",
        "-bcdefghijk_30.000_40.000.m4a",
        "-bcdefghijk_30.000.wav",
        "-bcdefghijk.wav",
        "bcdefghijk_30.000_40.000.wav",
        "YY-bcdefghijk_30.000_40.000.wav",
        "y-bcdefghijk_30.000_40.000.wav",
        "-bcdefghijk_30.000_41.000.wav",
        "-bcdefghijk_31.000_40.000.wav",
        "-BCDEFGHIJK_30.000_40.000.wav",
        "._-bcdefghijk_30.000_40.000.wav",
        "-bcdefghijk_30.000_40.000.wav.wav",
        "notes.txt",
        "song.wav",
    ],
)
def test_names_that_stand_for_no_clip_are_counted(meta, place, refused, file):
    (place / "audio").mkdir()
    (place / "audio" / file).write_bytes(b"whatever")
    refused(
        r"audio: found no audio of official clips \(found 1 other file\); expected files named Y<ID>",
        meta,
        place / "audio",
    )
    result = prepare(meta, add(place / "audio", "-ucdefghijk_0.000_9.000.wav"), place / "data")
    assert "audio: 1 file belongs to no clip of these sets" in result.stdout
    assert (
        table(place / "data/test")[0][0] == "-ucdefghijk_0.000_9.000.wav"
        and not (place / "data/train/clips.tsv").exists()
    )


def test_every_odd_id_finds_its_audio(meta, place):
    result = prepare("--strict", meta, add_all(place / "audio"), place / "data")
    for name in PARTS:
        assert [row[0] for row in table(place / "data" / name)] == sorted(TAGS[name])
        for clip, path, _ in table(place / "data" / name):
            assert (
                Path(path).name in (clip, f"Y{clip}")
                and Path(path).parent == place / "audio" / name
            )
        assert remarks(place, name) == {}
    assert "no clip of these sets" not in result.stdout and "9 of 9 official clips" in result.stdout


def test_several_folders_and_several_files_for_a_clip(meta, place):
    one, two = place / "one", place / "two"
    add(
        one,
        "b/-bcdefghijk_30_40.flac",
        "a/-bcdefghijk_30_40.wav",
        "Abcdefghijk_30_40.wav",
        "YAbcdefghijk_30_40.flac",
    )
    add(two, "a/-bcdefghijk_30.000_40.000.flac", "--cdefghijk_0_10.wav")
    for folders, expected in (
        ((one, two), one / "a/-bcdefghijk_30_40.wav"),
        ((two, one), two / "a/-bcdefghijk_30.000_40.000.flac"),
    ):
        prepare(meta, *folders, place / "data")
        assert table(place / "data/train") == [
            ["--cdefghijk_0.000_10.000.wav", str(two / "--cdefghijk_0_10.wav"), "10"],
            [CLIP, str(expected), "10"],
            ["Abcdefghijk_30.000_40.000.wav", str(one / "Abcdefghijk_30_40.wav"), "10"],
        ]


def test_relative_folders(meta, place, monkeypatch):
    add(place / "audio", CLIP)
    monkeypatch.chdir(place)
    prepare("the 'lists'", "audio", "data")
    assert table("data/train") == [[CLIP, str(place / "audio" / CLIP), "10"]]


def test_folders_that_begin_with_a_dash(meta, place, monkeypatch):
    add(place / "-audio", CLIP)
    monkeypatch.chdir(place)
    prepare("--jobs", 1, "--", "the 'lists'", "-audio", "--data")
    assert table("--data/train") == [[CLIP, str(place / "-audio" / CLIP), "10"]]


def test_symbolic_links_are_followed(meta, place):
    (place / "audio").mkdir()
    (place / "audio" / "folder").symlink_to(
        add(place / "far", "-bcdefghijk_30_40.wav", "sound.wav")
    )
    (place / "audio" / "Y--cdefghijk_0_10.wav").symlink_to(place / "far" / "sound.wav")
    (place / "audio" / "Ybcdefghijk_5_15.wav").symlink_to(place / "nowhere.wav")
    (place / "audio" / "loop").symlink_to(place / "audio")
    prepare(meta, place / "audio", place / "data")
    assert [row[:2] for row in table(place / "data/train")] == [
        ["--cdefghijk_0.000_10.000.wav", str(place / "audio" / "Y--cdefghijk_0_10.wav")],
        [CLIP, str(place / "audio" / "folder" / "-bcdefghijk_30_40.wav")],
    ]
    assert (
        "no such file" in remarks(place)["Ybcdefghijk_5.000_15.000.wav"]
        and info_of(place)["coverage"]["unreadable"] == 1
    )


def test_links_in_a_circle_come_to_an_end(meta, place):
    add(place / "audio", CLIP)
    for name in ("here", "there"):
        (place / "audio" / name).symlink_to(place / "audio")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "wsedtk",
            "prepare",
            "dcase2017",
            meta,
            place / "audio",
            place / "data",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.wait()


def disguise(path, extension):
    """Rename a sound file to another extension."""
    return path.rename(path.with_suffix(extension))


@pytest.fixture
def mixture(meta, place):
    """Write damaged and intact audio of the training clips, and intact audio of the test clips.

    Evaluation clips are missing.
    """
    audio = place / "some 'audio'"
    add(audio, "a/-bcdefghijk_30_40.wav")  # intact
    (audio / "--cdefghijk_0_10.wav").write_bytes(b"")  # empty
    add(audio, "Ybcdefghijk_5_15.flac")  # truncated
    (audio / "Ybcdefghijk_5_15.flac").write_bytes(
        (audio / "Ybcdefghijk_5_15.flac").read_bytes()[:30]
    )
    (audio / "YY_1_2_3_4__30_37.5.ogg").write_text("Video unavailable\tin your\ncountry\n")
    disguise(add(audio, "0_10_20_30__10_20.mp3") / "0_10_20_30__10_20.mp3", ".wav")  # intact
    add(audio, "_1_2_3_4_5__7_17.wav", seconds=0.5)  # too short
    soundfile.write(audio / "Ya.wav_b.mp3_110_120.wav", np.zeros(8000), 8000)  # silent
    shutil.copy(
        audio / "a/-bcdefghijk_30_40.wav", audio / "Abcdefghijk_30_40.wav"
    )  # duplicate; Abcdefghijk_40_50 is missing
    add(audio, *(f"test/Y{clip}" for clip in TAGS["test"]))
    soundfile.write(audio / "test/no samples.wav", np.zeros(0), 8000)
    return audio


USED = sorted(
    [
        CLIP,
        "0_10_20_30__10.000_20.000.wav",
        "_1_2_3_4_5__7.000_17.000.wav",
        "a.wav_b.mp3_110.000_120.000.wav",
        "Abcdefghijk_30.000_40.000.wav",
    ]
)
COVERAGE = {"used": 5, "missing": 1, "unreadable": 3, "short": 1, "silent": 1, "twice": 1}


def test_only_used_clips_are_in_the_set(mixture, meta, place):
    prepare(meta, mixture, place / "data")
    data = datadir.read(place / "data/train")
    assert data.filenames.tolist() == USED and all(Path(path).is_file() for path in data.paths)
    assert sorted(map(tuple, table(place / "data/train", "tags.tsv"))) == sorted(
        (c, t) for c in USED for t in TAGS["train"][c]
    )
    assert info_of(place)["official_clips"] == 9 and info_of(place, "test")["official_clips"] == 3


def test_each_remark_names_the_fault(mixture, meta, place):
    prepare(meta, mixture, place / "data")
    found = remarks(place)
    patterns = {
        "--cdefghijk_0.000_10.000.wav": "unreadable: .*--cdefghijk_0_10.wav: is an empty file",
        "Ybcdefghijk_5.000_15.000.wav": r"unreadable: .*Ybcdefghijk_5_15.flac: can't be read as sound \(.+\)",
        "YY_1_2_3_4__30.000_37.500.wav": r"unreadable: .*YY_1_2_3_4__30_37.5.ogg: can't be read as sound \(.+\)",
        "_1_2_3_4_5__7.000_17.000.wav": "short: lasts 0.500 s",
        "a.wav_b.mp3_110.000_120.000.wav": "silent",
        "Abcdefghijk_30.000_40.000.wav": f"sounds exactly like {CLIP}",
        "Abcdefghijk_40.000_50.000.wav": "missing",
    }
    assert found.keys() == patterns.keys()
    for clip, pattern in patterns.items():
        assert re.fullmatch(pattern, found[clip]), (clip, found[clip])


def test_coverage_is_counted_class_by_class(mixture, meta, place):
    result = prepare(meta, mixture, place / "data")
    assert info_of(place)["coverage"] == COVERAGE
    kinds = {
        "missing": [AIR],
        "unreadable": [FIRE, HORN, HORN],
        "short": [AIR, FIRE],
        "silent": [CAR],
        "twice": [CAR],
    }
    assert info_of(place)["classes"] == {
        label: {
            "official": sum(label in tags for tags in TAGS["train"].values()),
            "used": sum(label in TAGS["train"][clip] for clip in USED),
            **{kind: names.count(label) for kind, names in kinds.items()},
        }
        for label in CLASSES
    }
    lines = result.stdout[
        : result.stdout.index("5 of 9 official clips are used; remarks on clips are in ")
    ].splitlines()
    rows = {row[0]: row[1:] for row in (re.split("  +", line) for line in lines)}
    header = rows[str(place / "data/train")]
    assert header == ["official", *COVERAGE]
    for label in CLASSES:
        assert list(map(int, rows[label])) == [
            info_of(place)["classes"][label]["official"],
            info_of(place)["classes"][label]["used"],
            *(kinds[kind].count(label) for kind in header[2:]),
        ]
    assert list(map(int, rows["clips"])) == [9, *COVERAGE.values()]


@pytest.mark.parametrize(
    "seconds, channels, coverage",
    [(0.999, 1, {"short": 1}), (1.0, 1, {}), (1.0, 2, {}), (12.0, 1, {})],
)
def test_how_short_is_too_short(meta, place, seconds, channels, coverage):
    prepare(meta, add(place / "audio", CLIP, seconds=seconds, channels=channels), place / "data")
    found = info_of(place)["coverage"]
    assert {kind: found[kind] for kind in COVERAGE if found[kind]} == {
        "used": 1,
        "missing": 8,
        **coverage,
    }


def test_a_file_without_samples_is_unreadable(meta, place):
    add(place / "audio", CLIP)
    soundfile.write(place / "audio" / "--cdefghijk_0_10.wav", np.zeros(0), 8000)
    prepare(meta, place / "audio", place / "data")
    assert remarks(place)["--cdefghijk_0.000_10.000.wav"].endswith(
        "--cdefghijk_0_10.wav: contains no samples"
    )


@pytest.mark.parametrize("extension", [".flac", ".ogg", ".mp3"])
def test_a_truncated_file_does_not_stop_the_others(meta, place, extension):
    """Half of a file is used, or reported as unreadable: the decoders of libsndfile differ."""
    add(place / "audio", CLIP)
    path = (
        add(place / "audio", f"--cdefghijk_0_10{extension}", seconds=5.0)
        / f"--cdefghijk_0_10{extension}"
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    result = prepare(meta, place / "audio", place / "data")
    coverage = info_of(place)["coverage"]
    assert (
        coverage["used"] + coverage["unreadable"] == 2
        and coverage["silent"] == coverage["short"] == 0
    ), result.stdout


def test_sets_are_searched_for_copies_one_by_one(meta, place):
    """The first by clip name is the original, regardless of the file names."""
    audio = add(place / "audio", "Y_1_2_3_4_5__7_17.wav")
    for clip in ("Abcdefghijk_40_50.wav", "tbcdefghijk_30_40.wav"):
        shutil.copy(audio / "Y_1_2_3_4_5__7_17.wav", audio / clip)
    prepare(meta, audio, place / "data")
    assert (
        remarks(place)["_1_2_3_4_5__7.000_17.000.wav"]
        == "sounds exactly like Abcdefghijk_40.000_50.000.wav"
    )
    assert (
        info_of(place)["coverage"]["twice"] == 1
        and info_of(place, "test")["coverage"]["twice"] == 0
    )


def test_events_are_those_of_the_used_clips(meta, place):
    prepare(
        meta,
        add(place / "audio", "vbcdefghijk_1_11.wav", "Y-ucdefghijk_0_9.wav", CLIP),
        place / "data",
    )
    assert table(place / "data/test", "events.tsv") == [
        ["-ucdefghijk_0.000_9.000.wav", "0", "0", CAR],
        ["vbcdefghijk_1.000_11.000.wav", "3.125", "4", FIRE],
    ]
    assert [row[2] for row in table(place / "data/test")] == [
        "9",
        "10",
    ]  # nominal durations; the files have 1 s


def test_what_is_written_is_valid(mixture, meta, place, run):
    prepare(meta, mixture, place / "data")
    result = run("validate", "--audio", place / "data/train", place / "data/test")
    assert result.exit_code == 0 and ": 0 errors" in result.stdout and "error:" not in result.stdout


@pytest.fixture
def gone(mixture, meta, place):
    """The set eval of a run whose audio is then removed, and the output of the second run."""
    add(place / "more", *TAGS["eval"])
    prepare(meta, mixture, place / "more", place / "data")
    assert len(table(place / "data/eval")) == 2
    return prepare(meta, mixture, place / "data")


def test_a_set_without_audio_is_reported_and_an_old_one_removed(gone, place, run):
    assert (
        f"warning: {place / 'data/eval'}: not written, because no clip of this set has usable audio"
        in gone.stderr
    )
    assert len(table(place / "data/train")) == 5 and len(table(place / "data/test")) == 3
    assert not any(
        (place / "data/eval" / name).exists() for name in ("clips.tsv", "tags.tsv", "events.tsv")
    )
    assert run("validate", place / "data/eval").exit_code == 1


def test_nothing_is_left_of_an_old_set(gone, place):
    assert [path.name for path in (place / "data/eval").glob("*")] == []


def test_a_set_whose_audio_is_all_broken_is_not_written(meta, place):
    add(place / "audio", CLIP)
    for clip in TAGS["eval"]:
        (place / "audio" / clip).write_bytes(b"")
    result = prepare(meta, place / "audio", place / "data")
    assert not (place / "data/eval").exists() and "eval: not written" in result.stderr
    assert re.search(r"clips +2 +0 +0 +2 +0 +0 +0\n", result.stdout)


def test_no_audio_at_all_is_refused(meta, place, refused):
    (place / "audio").mkdir()
    refused(
        r"audio: found no audio of official clips \(found 0 other files\); .*give --metadata-only",
        meta,
        place / "audio",
    )
    refused("no AUDIO_DIR is given; expected METADATA_DIR AUDIO_DIR... DATA_DIR", meta)
    refused(
        "nowhere: no such folder; expected the folder with the audio",
        meta,
        place / "audio",
        place / "nowhere",
    )
    (place / "sound.wav").write_bytes(b"")
    refused(
        "sound.wav: no such folder; expected the folder with the audio|sound.wav: not a folder",
        meta,
        place / "sound.wav",
    )


@pytest.mark.parametrize("name", ["l\udce9", "a\tb", "a\nb"])
def test_a_path_that_no_table_can_hold_is_named_and_the_rest_is_used(meta, place, refused, name):
    audio, other = place / "audio", "Abcdefghijk_30.000_40.000.wav"
    audio.mkdir()
    odd = repr(f"{add(place / 'new', CLIP).rename(audio / name)}/{CLIP}")
    refused(
        f"none of the official clips that were found can be used; for example, '{CLIP}' is unreadable: {re.escape(odd)}: a data directory can't hold a path",
        meta,
        audio,
    )
    add(audio, other)
    prepare(meta, audio, place / "data")
    assert [row[0] for row in table(place / "data/train")] == [other]
    assert remarks(place)[CLIP].startswith(f"unreadable: {odd}: a data directory can't hold")
    add(audio / "z", CLIP)  # one that can be used is preferred to the first
    prepare(meta, audio, place / "data")
    assert [row[0] for row in table(place / "data/train")] == [CLIP, other]


def test_only_unreadable_audio_is_refused(meta, place, run):
    (place / "audio").mkdir()
    (place / "audio" / CLIP).write_text("Video unavailable")
    result = run("prepare", "dcase2017", meta, place / "audio", place / "data")
    assert result.exit_code == 1 and not (place / "data").exists()


def test_strict_names_the_first(mixture, meta, place, refused):
    refused(
        r"--strict: 6 official clips can't be used, for example '--cdefghijk_0.000_10.000.wav' \(unreadable: .*: is an empty file",
        "--strict",
        meta,
        mixture,
    )
    add_all(mixture / "more", leave_out=["ebcdefghijk_30.000_40.000.wav"])
    for path in [*mixture.glob("*.*")]:
        path.unlink()
    refused(
        r"--strict: 1 official clip can't be used, for example 'ebcdefghijk_30.000_40.000.wav' \(missing\)",
        "--strict",
        meta,
        mixture,
    )


def test_contradictions_and_unwritable_outputs_are_refused(mixture, meta, place, refused):
    refused(
        "--strict requires the audio of every clip, and --metadata-only reads no audio",
        "--strict",
        "--metadata-only",
        meta,
        mixture,
    )
    (place / "file").write_text("")
    with pytest.raises(
        InputError,
        match="file/data: can't be written: .*file is not a folder, or is not writable",
    ):
        dcase2017.prepare(Dcase2017Options(meta, mixture, place / "file" / "data"))


def test_a_cut_strong_truth_is_reported(meta, place):
    path = meta / "groundtruth_strong_label_testing_set.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))
    assert re.search(
        r"warning: test: \d tags have no event in groundtruth_strong_label_testing_set.csv",
        prepare("--metadata-only", meta, place / "data").stderr,
    )


def test_two_processes_write_the_same_and_so_does_a_second_run(mixture, meta, place):
    first = prepare(meta, mixture, place / "data", "--jobs", 1)
    files = contents(place / "data")
    assert sorted(files) == sorted(
        f"{name}/{t}"
        for name in ("train", "test")
        for t in (*TABLES, "coverage.tsv")
        if (name, t) != ("train", "events.tsv")
    )
    assert prepare(meta, mixture, place / "data", "--jobs", 2).stdout == first.stdout
    assert contents(place / "data") == files


def test_foreign_data_folders_are_refused(mixture, meta, place, run):
    prepare(meta, mixture, place / "data")
    (place / "data/test/info.yaml").write_text("made_by: me\n")
    (place / "data/test/clips.tsv").write_text("my own\n")
    before = contents(place / "data")
    for options in ((mixture,), ("--metadata-only",)):
        result = run("prepare", "dcase2017", meta, *options, place / "data")
        assert (
            result.exit_code == 1
            and "test: contains a data set that `wsedtk prepare dcase2017` did not make"
            in result.stderr
        )
    assert contents(place / "data") == before


@pytest.mark.parametrize("data", ["the 'lists'", "audio"])
def test_the_data_folder_is_no_input(meta, place, run, data):
    add(place / "audio", CLIP)
    before = contents(place)
    result = run("prepare", "dcase2017", meta, place / "audio", place / data)
    assert (
        result.exit_code == 1
        and "is an input of this command" in result.stderr
        and contents(place) == before
    )


def test_metadata_only_ignores_audio(mixture, meta, place):
    prepare(meta, mixture, place / "data")
    prepare("--metadata-only", meta, mixture, place / "nowhere", place / "data")
    prepare("--metadata-only", meta, place / "plain")
    assert all(path == "" for name in PARTS for _, path, _ in table(place / "data" / name))
    assert contents(place / "data") == contents(
        place / "plain"
    )  # nor does anything of the earlier output remain


def test_the_record_names_the_inputs(mixture, meta, place, run):
    assert (
        run(
            "--record", place / "record.yaml", "prepare", "dcase2017", meta, mixture, place / "data"
        ).exit_code
        == 0
    )
    record = yaml.safe_load((place / "record.yaml").read_text())
    assert record["command"].endswith(" prepare dcase2017") and record["options"]["audio_dirs"] == [
        str(mixture)
    ]
    assert str(meta / CLASS_LIST) in record["inputs"] and str(meta / WEAK) in record["inputs"]
