"""Review tables: which clips of a set are known, and the events that they have."""

import logging
from pathlib import Path

import pytest
from helpers import write_model, write_sound

from wsedtk.core.errors import InputError
from wsedtk.corpora import annotations
from wsedtk.corpora.annotations import AnnotationsOptions
from wsedtk.data import datadir
from wsedtk.data.formats import event_format

HEADER = "filename\tonset\toffset\tevent_label\tscore\tstatus\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory, with the recordings a.wav (10 s) and b.wav in rec/."""
    monkeypatch.chdir(tmp_path)
    write_sound(Path("rec/a.wav"), 10.0, 8000)
    write_sound(Path("rec/b.wav"), 2.0, 8000)
    return tmp_path


def write(name, *rows):
    lines = ("\t".join(row.split("|")) + "\n" for row in rows)
    Path(name).write_text(HEADER + "".join(lines), encoding="utf-8")


def prepared(files="review.tsv", **options):
    options = {"clip_seconds": 2.0, **options}
    annotations.prepare(AnnotationsOptions(files, "rec", "set", **options))
    return datadir.read("set")


def clips(dataset):
    """Return {start of the clip of a.wav, or name: tags, or None if they are unknown}."""
    unknown = dataset.has_unknown_tags()
    return {
        str(name).removeprefix("a_").partition(".0")[0]: None
        if unknown[i]
        else [dataset.labels[k] for k in dataset.tags_of(i)]
        for i, name in enumerate(dataset.filenames)
    }


def test_the_clips_that_are_known():
    write(
        "review.tsv",
        "a.wav|0.5|1|Dog|0.9|accepted",
        "a.wav|1.2|1.5|Cat|0.8|rejected",
        "a.wav|2.5|3|Cat|0.7|rejected",
        "a.wav|4.5|5|Dog|0.6|unreviewed",
        "a.wav|5.2|5.4|Dog||accepted",
        "a.wav|7.5|8.5|Fox||accepted",
    )
    dataset = prepared()
    assert dataset.labels == ["Dog", "Fox"]  # no clip has a cat
    # A rejected event gives a clip without the tag. An event that was not reviewed hides a clip.
    assert clips(dataset) == {"0": ["Dog"], "2": [], "4": None, "6": ["Fox"], "8": ["Fox"]}
    assert [row[1:3] for row in dataset.events.rows()] == [(0.5, 1.0), (1.5, 2.0), (0.0, 0.5)]
    assert Path("set/unknown.tsv").read_text() == "filename\na_4.000_6.000.flac\n"


def test_classes_that_are_only_rejected_and_other_classes(caplog):
    write("labels.txt")
    Path("labels.txt").write_text("Cat\nDog\n")
    write(
        "review.tsv",
        "a.wav|0.5|1|Cat|0.9|rejected",
        "a.wav|2.5|3|Fox|0.8|accepted",
        "a.wav|4.5|5|Fox|0.8|unreviewed",
    )
    dataset = prepared(labels="labels.txt")
    # The event that has become a fox is neither a cat nor a dog.
    assert dataset.labels == ["Cat", "Dog"]
    assert clips(dataset) == {"0": [], "2": [], "4": None, "6": None, "8": None}
    assert "not in labels.txt are left out (1 annotation): 'Fox' (1)" in caplog.text
    write_model(Path("exp/model"), labels=["Dog", "Cat"])
    assert prepared(labels="exp/model").labels == ["Dog", "Cat"]
    assert prepared(labels="set").labels == ["Dog", "Cat"]
    write("review.tsv", "a.wav|0.5|1|Cat|0.9|rejected")
    with pytest.raises(InputError, match=r"the classes are unknown; give .*--labels"):
        prepared()


def test_recordings_without_decisions(caplog):
    write("review.tsv", "a.wav|0.5|1|Dog|0.9|accepted", "b.wav|||||")
    assert clips(prepared()) == {"0": ["Dog"], **dict.fromkeys("2468"), "b.wav": None}
    write("review.tsv", "a.wav|0.5|1|Dog|0.9|accepted")
    with caplog.at_level(logging.WARNING):
        assert clips(prepared(all_recordings=True))["b.wav"] is None
    assert "recordings that were not reviewed have unknown tags (1 recording)" in caplog.text
    # Annotations of another file are complete.
    Path("b.txt").write_text("0.5\t1\tDog\n")
    Path("a.txt").write_text("")
    files = ["review.tsv", "a.txt", "b.txt"]
    assert clips(prepared(files)) == {"0": ["Dog"], **{n: [] for n in "2468"}, "b.wav": ["Dog"]}


def test_two_reviews_of_a_recording():
    write("one.tsv", "a.wav|0.5|1|Dog|0.9|accepted", "a.wav|2.5|3|Dog|0.9|unreviewed")
    write("two.tsv", "a.wav|0.5|1|Dog|0.9|unreviewed", "a.wav|2.5|3|Dog|0.9|rejected")
    found = clips(prepared(["one.tsv", "two.tsv"]))
    assert found == {"0": ["Dog"], "2": [], "4": None, "6": None, "8": None}
    write("two.tsv", "a.wav|0.5|1|Dog|0.9|rejected")
    with pytest.raises(
        InputError, match=r"one.tsv:2, two.tsv:2: the same event is accepted and rejected"
    ):
        prepared(["one.tsv", "two.tsv"])


def test_a_dry_run_and_the_result_tell_the_numbers(run):
    write(
        "review.tsv",
        "a.wav|0.5|1|Dog|0.9|accepted",
        "a.wav|2.5|3|Cat|0.8|rejected",
        "a.wav|4.5|5|Dog|0.8|rejected",
    )
    arguments = ("prepare", "annotations", "review.tsv", "rec", "set", "--clip-seconds", 2)
    for words in (["--dry-run"], []):
        text = run(*arguments, *words).stdout
        for line in (
            "accepted: 1 event: Dog (1)\n",
            "rejected: 2 events: Cat (1), Dog (1)\n",
            "unreviewed: 0 events\n",
        ):
            assert line in text
    assert "  2 (unknown tags)\n" in text


@pytest.mark.parametrize(
    "row, message",
    [
        ("a.wav|0.5|1|Dog|0.9|maybe", "expected the status accepted, rejected, unreviewed; found"),
        ("a.wav|0.5|1|Dog|0.9|", "expected the status accepted, rejected, unreviewed; found ''"),
        ("a.wav|0.5|1|Dog|high|accepted", "expected a score or an empty field; found 'high'"),
        ("a.wav|0.5|1||0.9|accepted", "the annotation has no class"),
        ("a.wav|x|1|Dog|0.9|accepted", "onset"),
        ("a.wav|2|1|Dog|0.9|accepted", "the event ends"),
        ("|0.5|1|Dog|0.9|accepted", "the file name is missing"),
        ("a.wav|0.5|1|Dog|0.9", "expected 6 tab-separated fields"),
    ],
)
def test_faults(row, message):
    write("review.tsv", "a.wav|0.5|1|Dog|0.9|accepted", row)
    with pytest.raises(InputError, match=f"review.tsv:3: .*{message}"):
        prepared()


def test_scores_are_read():
    for name, text, score in (
        ("csv", "filename,onset,offset,event_label,score\na.wav,0,1,Dog,0.5\n", 0.5),
        ("csv", "filename,onset,offset,event_label\na.wav,0,1,Dog\n", None),
        ("jsonl", '{"filename":"a","onset":0,"offset":1,"event_label":"D","score":0.25}\n', 0.25),
        ("jsonl", '{"filename":"a","onset":0,"offset":1,"event_label":"D","score":true}\n', None),
        ("raven", "Begin Time (s)\tEnd Time (s)\tSpecies\tScore\n0\t1\tDog\t0.75\n", 0.75),
        ("review", HEADER + "a.wav\t0\t1\tDog\t0.125\trejected\n", 0.125),
        ("review", HEADER + "a.wav\t0\t1\tDog\t\taccepted\n", None),
    ):
        Path("x").write_text(text)
        (row,) = event_format(name).read(Path("x")).rows
        assert row.score == score
    assert row.status == "accepted"
