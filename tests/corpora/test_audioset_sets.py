"""prepare audioset: excluded videos, joined lists, class hierarchy, available audio, errors."""

import itertools
import json
import re
import shutil

import numpy as np
import pytest
import soundfile
import yaml
from audioset_lists import CLASSES, LISTS, ONTOLOGY, clip_of, prepare, published, write_lists
from click.testing import CliRunner
from helpers import contents, table, write_set, write_sound

from wsedtk.cli import main as cli
from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.corpora import official_sets
from wsedtk.data import datadir

TABLES = ["clips.tsv", "info.yaml", "labels.txt", "tags.tsv"]


def info_of(folder):
    return yaml.safe_load((folder / "info.yaml").read_text())


@pytest.fixture
def meta(tmp_path):
    return write_lists(tmp_path / "the 'lists' é")


@pytest.fixture
def refused(run, meta, tmp_path):
    """Check that `prepare audioset` fails with a message (a regex) and writes nothing."""

    def refused(message, *arguments, data="data"):
        result = run("prepare", "audioset", meta, *arguments, tmp_path / data)
        assert result.exit_code == 1 and re.search(message, result.stderr), (
            result.stderr + result.stdout
        )
        assert not (tmp_path / data / "train").exists()

    return refused


# --- selection of clips ---


@pytest.fixture(scope="module")
def dcase(real_data, tmp_path_factory):
    """The official sets of DCASE 2017 without audio."""
    folder = tmp_path_factory.mktemp("dcase")
    arguments = [
        "prepare",
        "dcase2017",
        "--metadata-only",
        str(real_data / "dcase2017"),
        str(folder),
    ]
    assert CliRunner().invoke(cli.cli, arguments, catch_exceptions=False).exit_code == 0
    return folder


def test_the_videos_of_dcases_sets_are_left_out(dcase, real_data, tmp_path):
    prepare("--metadata-only", real_data / "audioset", tmp_path / "all")
    excluded = {name: str(dcase / name) for name in ("test", "eval")}
    result = prepare(
        "--metadata-only",
        real_data / "audioset",
        tmp_path / "data",
        *(f"--exclude={path}" for path in excluded.values()),
    )
    theirs = {row[0].rsplit("_", 2)[0] for name in excluded for row in table(dcase / name)}
    rows = table(tmp_path / "all" / "train")
    kept = [row for row in rows if row[0].rsplit("_", 2)[0] not in theirs]
    assert table(tmp_path / "data" / "train") == kept and len(rows) - len(kept) == 21 + 85
    clips, tags = {row[0] for row in kept}, table(tmp_path / "all" / "train", "tags.tsv")
    assert table(tmp_path / "data" / "train", "tags.tsv") == [
        row for row in tags if row[0] in clips
    ]
    info = info_of(tmp_path / "data" / "train")
    assert (
        info["excluded"] == {excluded["test"]: 21, excluded["eval"]: 85}
        and info["official_clips"] == 22160
    )
    for name, count in (("test", 21), ("eval", 85)):
        assert (
            f"excluded: {count} clips whose source video also occurs in {excluded[name]}"
            in result.stdout
        )
    assert contents(tmp_path / "data" / "eval") == contents(tmp_path / "all" / "eval")


def test_dcases_evaluation_videos_in_audiosets_evaluation_list(dcase, real_data):
    videos = {
        line[:11]
        for line in (real_data / "audioset" / "eval_segments.csv").read_text().splitlines()
        if not line.startswith("#")
    }
    assert len(videos & {row[0].rsplit("_", 2)[0] for row in table(dcase / "eval")}) == 594


def test_clips_are_left_out_by_video_whatever_their_times(meta, tmp_path):
    others = [
        ("abcdefghijk_77.000_78.000.wav", "", 1),
        ("--PJHxphWEs_30.000_40.000.wav", "", 10),
        ("Ybcdefghijk_0_1.wav", "", 1),
    ]
    one = write_set(tmp_path / "one", others[:1], ["a"], [])
    two = write_set(tmp_path / "two", others, ["a"], [])
    three = write_set(
        tmp_path / "three", [("my recording.wav", "", 1), ("0123456789.wav", "", 1)], ["a"], []
    )
    prepare(
        "--metadata-only",
        meta,
        tmp_path / "data",
        *(f"--exclude={path}" for path in (one, two, three)),
    )
    kept = [row for row in LISTS["balanced"] if row[0] not in ("abcdefghijk", "--PJHxphWEs")]
    assert [row[0] for row in table(tmp_path / "data" / "train")] == sorted(map(clip_of, kept))
    info = info_of(tmp_path / "data" / "train")
    assert (
        info["excluded"] == {str(one): 2, str(two): 3, str(three): 0}
        and info["official_clips"] == 6
    )
    assert len(table(tmp_path / "data" / "eval")) == 2 and "excluded" not in info_of(
        tmp_path / "data" / "eval"
    )


def test_a_set_that_leaves_nothing_is_refused(refused, tmp_path):
    everything = write_set(
        tmp_path / "x", [(clip_of(row), "", 1) for row in LISTS["balanced"]], ["a"], []
    )
    refused("--exclude: no training clip remains", "--metadata-only", "--exclude", everything)


@pytest.mark.parametrize(
    "what, message",
    [
        (
            "nowhere",
            "nowhere: no such folder; a data directory contains clips.tsv, tags.tsv and labels.txt",
        ),
        ("empty", "empty/labels.txt: no such file\n.*empty/clips.tsv: no such file"),
        ("file", "file: no such folder; a data directory"),
    ],
)
def test_only_data_sets_can_be_excluded(refused, tmp_path, what, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    refused(message, "--metadata-only", "--exclude", tmp_path / what)


@pytest.mark.parametrize(
    "subset, kinds", [("unbalanced", ["unbalanced"]), ("all", ["balanced", "unbalanced"])]
)
def test_a_subset(meta, tmp_path, subset, kinds):
    prepare("--metadata-only", "--subset", subset, meta, tmp_path / "data")
    mids, labels, rows = (
        list(CLASSES),
        list(CLASSES.values()),
        [row for kind in kinds for row in LISTS[kind]],
    )
    data = tmp_path / "data" / "train"
    assert table(data) == sorted([clip_of(row), "", f"{row[2] - row[1]:g}"] for row in rows)
    tags = sorted((clip_of(row), mids.index(mid)) for row in rows for mid in row[3].split(","))
    assert table(data, "tags.tsv") == [[clip, labels[k]] for clip, k in tags]
    assert info_of(data) == {
        "made_by": "prepare audioset",
        "corpus": f"AudioSet, {' and '.join(kinds)} training list",
        "official_clips": len(rows),
        "class_ids": mids,
        **provenance.made_by(),
    }


def test_lists_that_share_segments_are_not_joined(refused, meta, tmp_path):
    shared = [("abcdefghijk", 5, 15, "/m/09x0r"), ("-0DLPzsiXXE", 0, 9.5, "/m/012xff")]
    write_lists(meta, unbalanced=published([*LISTS["unbalanced"], *shared]))
    refused(
        "2 segments are in both training lists: -0DLPzsiXXE_0.000_9.500.wav, abcdefghijk_5.000_15.000.wav; keep each segment in only one list",
        "--metadata-only",
        "--subset",
        "all",
    )
    prepare("--metadata-only", "--subset", "unbalanced", meta, tmp_path / "data")


def test_videos_in_training_and_evaluation_are_reported(meta, tmp_path):
    write_lists(meta, eval=published([*LISTS["eval"], ("abcdefghijk", 200, 210, "/m/09x0r")]))
    assert (
        "warning: 1 source video is in both the training and the evaluation set: abcdefghijk"
        in prepare("--metadata-only", meta, tmp_path / "data").stderr
    )


# --- class hierarchy ---


def closure(children, mids):
    """Return {class: the class and all classes above it}.

    A relation is joined with itself until it does not change.
    """
    above = {(child, parent) for parent, below in children.items() for child in below}
    while more := {(a, d) for (a, b), (c, d) in itertools.product(above, above) if b == c} - above:
        above |= more
    return {
        mid: {mid} | {parent for child, parent in above if child == mid and parent in mids}
        for mid in mids
    }


def test_ancestors(meta, tmp_path):
    prepare("--metadata-only", meta, tmp_path / "plain")
    result = prepare("--metadata-only", "--ancestors", meta, tmp_path / "data")
    mids, labels, above = list(CLASSES), list(CLASSES.values()), closure(ONTOLOGY, list(CLASSES))
    assert above["/m/0_a"] == {"/m/0_a", "/m/07yv9", "/g/11b"} and above["/t/dd00088"] == {
        "/t/dd00088",
        "/m/012xff",
        "/m/09x0r",
    }
    for name, kind in (("train", "balanced"), ("eval", "eval")):
        tags = sorted(
            {
                (clip_of(row), mids.index(j))
                for row in LISTS[kind]
                for mid in row[3].split(",")
                for j in above[mid]
            }
        )
        assert table(tmp_path / "data" / name, "tags.tsv") == [
            [clip, labels[k]] for clip, k in tags
        ]
        assert table(tmp_path / "data" / name) == table(tmp_path / "plain" / name)
        assert info_of(tmp_path / "data" / name) == {
            **info_of(tmp_path / "plain" / name),
            "with_ancestors": True,
        }
    assert (
        f"train: 6 clips, {len(table(tmp_path / 'data/train', 'tags.tsv'))} tags" in result.stdout
    )


def test_ancestors_of_the_official_ontology(real_data, tmp_path):
    prepare("--metadata-only", real_data / "audioset", tmp_path / "plain")
    prepare("--metadata-only", "--ancestors", real_data / "audioset", tmp_path / "data")
    mids, ontology = (
        info_of(tmp_path / "plain/train")["class_ids"],
        json.loads((real_data / "audioset/ontology.json").read_text()),
    )
    parents = {mid: [] for mid in [entry["id"] for entry in ontology]}
    for entry in ontology:
        for child in entry["child_ids"]:
            parents[child].append(entry["id"])

    def up(mid):
        return {mid}.union(*map(up, parents[mid]))

    labels = (tmp_path / "plain/train/labels.txt").read_text().splitlines()
    index = {label: k for k, label in enumerate(labels)}
    above = {
        label: [index[labels[mids.index(j)]] for j in up(mid) if j in mids]
        for label, mid in zip(labels, mids)
    }
    for name in ("train", "eval"):
        tags = sorted(
            {
                (clip, k)
                for clip, label in table(tmp_path / "plain" / name, "tags.tsv")
                for k in above[label]
            }
        )
        assert table(tmp_path / "data" / name, "tags.tsv") == [
            [clip, labels[k]] for clip, k in tags
        ]


def test_ancestors_without_an_ontology_are_refused(refused, meta):
    (meta / "ontology.json").unlink()
    refused("ontology.json is missing", "--ancestors", "--metadata-only")


# --- audio ---

TRAIN = sorted(map(clip_of, LISTS["balanced"]))


@pytest.fixture
def audio(meta, tmp_path):
    """Write audio of training clips in several formats, some damaged; one test clip is missing."""
    folder = tmp_path / "some 'audio'"
    write_sound(folder / "Y--PJHxphWEs_30.000_40.000.wav", seed=1)
    write_sound(folder / "deep" / "-0DLPzsiXXE_0_9.5.flac", 0.5, 8000, seed=2)  # short
    write_sound(folder / "Yabcdefghijk_5.000_15.000.ogg", seed=3)
    soundfile.write(folder / "abcdefghijk_110_120.wav", np.zeros(16000), 16000)  # silent
    shutil.copy(
        folder / "Y--PJHxphWEs_30.000_40.000.wav", folder / "Y_-_-_-_-_-__0.250_10.250.WAV"
    )  # duplicate
    (folder / "0123456789__3_13.mp3").write_text("Video unavailable")
    write_sound(folder / "eval" / "Yebcdefghijk_30.000_40.000.mp3", seed=4)
    write_sound(folder / "Yubcdefghijk_0.000_10.000.wav", seed=5)  # of the unbalanced list
    return folder


def test_coverage(audio, meta, tmp_path):
    result = prepare(meta, audio, tmp_path / "data")
    train, test = tmp_path / "data" / "train", tmp_path / "data" / "eval"
    used = [clip for clip in TRAIN if not clip.startswith("0123456789_")]
    assert [row[0] for row in table(train)] == used and [row[0] for row in table(test)] == [
        "ebcdefghijk_30.000_40.000.wav"
    ]
    assert dict(row[:2] for row in table(train))["-0DLPzsiXXE_0.000_9.500.wav"] == str(
        audio / "deep" / "-0DLPzsiXXE_0_9.5.flac"
    )
    info = info_of(train)
    assert info["coverage"] == {
        "used": 5,
        "missing": 0,
        "unreadable": 1,
        "short": 1,
        "silent": 1,
        "twice": 1,
    }
    assert info["official_clips"] == 6 and info_of(test)["official_clips"] == 2
    assert info["classes"]["Speech"] == {
        "official": 2,
        "used": 1,
        "missing": 0,
        "unreadable": 1,
        "short": 0,
        "silent": 0,
        "twice": 0,
    }
    counts = {
        "official": 2,
        "used": 2,
        "missing": 0,
        "unreadable": 0,
        "short": 0,
        "silent": 0,
        "twice": 1,
    }
    assert info["classes"]["Siren (civil)"] == counts
    assert info_of(test)["coverage"] == {
        "used": 1,
        "missing": 1,
        "unreadable": 0,
        "short": 0,
        "silent": 0,
        "twice": 0,
    }
    remarks = dict(table(train, "coverage.tsv"))
    assert re.fullmatch(
        r"unreadable: .*0123456789__3_13.mp3: can't be read as sound \(.+\)",
        remarks.pop("0123456789__3.000_13.000.wav"),
    )
    assert remarks == {
        "-0DLPzsiXXE_0.000_9.500.wav": "short: lasts 0.500 s",
        "abcdefghijk_110.000_120.000.wav": "silent",
        "_-_-_-_-_-__0.250_10.250.wav": "sounds exactly like --PJHxphWEs_30.000_40.000.wav",
    }
    assert table(test, "coverage.tsv") == [["-fbcdefghij_0.000_10.000.wav", "missing"]]
    assert (
        "train: 5 of 6 official clips are used; remarks on clips are in " in result.stdout
        and "eval: 1 of 2 official clips" in result.stdout
    )
    assert "1 file belongs to no clip of these sets" in result.stdout


def test_the_official_lists_with_little_audio(real_data, tmp_path, run):
    lines = (real_data / "audioset" / "balanced_train_segments.csv").read_text().splitlines()[3:8]
    for i, (video, start, end, _) in enumerate(line.split(", ") for line in lines):
        write_sound(
            tmp_path
            / "audio"
            / f"{'Y' * (i % 2)}{video}_{start}_{end}.{('wav', 'flac', 'ogg')[i % 3]}",
            seed=i,
        )
    result = prepare(real_data / "audioset", tmp_path / "audio", tmp_path / "data", "--jobs", 2)
    assert [row[0] for row in table(tmp_path / "data" / "train")] == sorted(
        clip_of(line.split(", ")) for line in lines
    )
    assert (
        "train: 5 of 22,160 official clips" in result.stdout
        and "(the table shows the 10 of 527 classes with the lowest fraction of used clips; info.yaml lists"
        in result.stdout
    )
    info = info_of(tmp_path / "data" / "train")
    assert (
        info["official_clips"] == 22160
        and info["coverage"]["missing"] == 22155
        and len(info["classes"]) == 527
    )
    assert len(table(tmp_path / "data" / "train", "coverage.tsv")) == 22155
    assert (
        "eval: not written, because no clip of this set has usable audio" in result.stderr
        and not (tmp_path / "data" / "eval").exists()
    )
    assert run("validate", "--audio", tmp_path / "data" / "train").exit_code == 0


def test_excluded_clips_are_not_missing(audio, meta, tmp_path):
    other = write_set(tmp_path / "other", [("abcdefghijk_0.000_1.000.wav", "", 1)], ["a"], [])
    prepare(meta, audio, tmp_path / "data", "--exclude", other)
    info = info_of(tmp_path / "data" / "train")
    assert (
        info["coverage"]["used"] == 3
        and info["coverage"]["missing"] == 0
        and info["official_clips"] == 6
    )
    assert info["excluded"] == {str(other): 2}


def test_two_processes_and_a_second_run_write_the_same(audio, meta, tmp_path):
    first = prepare(meta, audio, tmp_path / "data")
    files = contents(tmp_path / "data")
    assert sorted(files) == sorted(
        f"{name}/{t}" for name in ("train", "eval") for t in ("coverage.tsv", *TABLES)
    )
    assert (
        prepare(meta, audio, tmp_path / "data", "--jobs", 2).stdout == first.stdout
        and contents(tmp_path / "data") == files
    )
    prepare("--metadata-only", meta, audio, tmp_path / "data")
    prepare("--metadata-only", meta, tmp_path / "plain")
    assert contents(tmp_path / "data") == contents(tmp_path / "plain")


def test_strict(audio, refused, meta, tmp_path):
    refused(
        r"--strict: 2 official clips can't be used, for example '0123456789__3.000_13.000.wav' \(unreadable: ",
        "--strict",
        audio,
    )
    refused(
        "--strict requires the audio of every clip, and --metadata-only reads no audio",
        "--strict",
        "--metadata-only",
        audio,
    )
    write_sound(audio / "more" / "Y-fbcdefghij_0_10.wav", seed=8)
    (audio / "0123456789__3_13.mp3").unlink()
    refused(
        r"--strict: 1 official clip can't be used, for example '0123456789__3.000_13.000.wav' \(missing\)",
        "--strict",
        audio,
    )
    write_sound(audio / "0123456789__3_13.wav", seed=9)
    prepare("--strict", meta, audio, tmp_path / "data")


# --- typical mistakes of users ---


def test_arguments_at_the_wrong_place(audio, meta, refused, run, tmp_path):
    result = run("prepare", "audioset", audio, meta, tmp_path / "data")
    assert (
        result.exit_code == 1
        and f"{audio}: class_labels_indices.csv is missing; download it, or give the folder"
        in result.stderr
    )
    refused(
        "no AUDIO_DIR is given; expected METADATA_DIR AUDIO_DIR... DATA_DIR; to write sets without audio, give --metadata-only"
    )
    refused(
        "nowhere: no such folder; expected the folder with the audio", audio, tmp_path / "nowhere"
    )
    (tmp_path / "empty").mkdir()
    refused(
        r"empty: found no audio of official clips \(found 0 other files\); expected files named Y<ID>_<start>_<end>.wav",
        tmp_path / "empty",
    )
    result = run("prepare", "audioset", tmp_path / "nowhere", audio, tmp_path / "data")
    assert (
        result.exit_code == 1
        and "nowhere: no such folder; expected the folder with AudioSet's lists, such as class_labels_"
        in result.stderr
    )
    result = run("prepare", "audioset", meta, audio, meta)
    assert result.exit_code == 1 and "is an input of this command" in result.stderr


def test_outputs_that_can_not_be_written(audio, meta, run, tmp_path):
    (tmp_path / "file").write_text("")
    for data in ("file", "file/data"):
        result = run("prepare", "audioset", meta, audio, tmp_path / data)
        assert result.exit_code == 1 and re.search(
            "can't be written: .*file is not a folder, or is not writable", result.stderr
        )


@pytest.mark.parametrize("name", ["train", "eval"])
def test_a_set_of_another_verb_is_not_overwritten(meta, run, tmp_path, name):
    data = write_set(tmp_path / "data" / name, [("a.wav", "", 1)], ["a"], [("a.wav", "a")])
    (data / "info.yaml").write_text("made_by: prepare dcase2017\n")
    before = contents(tmp_path / "data")
    result = run("prepare", "audioset", "--metadata-only", meta, tmp_path / "data")
    assert (
        result.exit_code == 1
        and f"{name}: contains a data set that `wsedtk prepare audioset` did not make; choose another"
        in result.stderr
    )
    assert contents(tmp_path / "data") == before


def test_the_written_sets_are_valid(audio, meta, tmp_path, run):
    prepare(meta, audio, tmp_path / "data", "--ancestors")
    result = run("validate", "--audio", tmp_path / "data" / "train", tmp_path / "data" / "eval")
    assert result.exit_code == 0 and "error:" not in result.stdout
    assert datadir.read(tmp_path / "data" / "train").info["with_ancestors"]


def test_old_files_that_cannot_be_removed_are_named(tmp_path):
    (tmp_path / "clips.tsv").mkdir()
    with pytest.raises(InputError, match="clips.tsv: "):
        official_sets.remove(tmp_path)
