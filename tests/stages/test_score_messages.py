"""score: messages about the reference, and beside its figures."""

import json
import shutil

import numpy as np
import pytest
from helpers import write_score_file, write_set
from oracle import event_based

from wsedtk.data import datadir, events

NAMES = ["a.wav", "b.wav"]
ROWS = [(0, 0.5, 1.5, 0), (0, 4.01, 4.9, 1), (1, 1.0, 3.0, 0)]  # the second event starts after 4 s
LABELS = ["Dog", "Car"]


@pytest.fixture
def folder(tmp_path):
    """A set of two clips of 4 s, decoded perfectly."""
    lines = [(NAMES[i], onset, offset, LABELS[k]) for i, onset, offset, k in ROWS]
    tags = sorted({(name, label) for name, _, _, label in lines})
    write_set(tmp_path / "set", [(name, "", 4) for name in NAMES], LABELS, tags, lines)
    found = events.Events.from_rows([row for row in ROWS if row[1] < 4])
    tags = datadir.read(tmp_path / "set").tag_matrix()
    datadir.write_decoded(tmp_path / "out", NAMES, [4, 4], LABELS, tags, events=found)
    return tmp_path


def test_events_after_the_end_are_reported(run, folder):
    result = run("score", folder / "set", folder / "out", "--json")
    path = folder / "set" / "events.tsv"
    assert result.stderr == (
        f"warning: 1 event of {path} begins at or after the end of its clip and is "
        "ignored (sed_eval counts it): a.wav at 4.01 s\n"
    )
    said = [row for row in ROWS if row[1] < 4]
    f1 = [
        event_based(rows, said, 2, LABELS).overall_f_measure()["f_measure"] for rows in (ROWS, said)
    ]
    assert f1 == [pytest.approx(0.8), 1] and json.loads(result.stdout)["event"]["f1"] == f1[1]


def test_repeated_rows_are_reported(run, folder):
    for name, rows in (("tags.tsv", "a.wav\tDog\n"), ("events.tsv", 2 * "b.wav\t1\t3\tDog\n")):
        with open(folder / "set" / name, "a", encoding="utf-8") as file:
            file.write(rows)
    warnings = run("score", folder / "set", folder / "out", "--json").stderr.splitlines()
    assert warnings[:2] == [
        f"warning: 1 row of {folder}/set/tags.tsv repeats an earlier row and is ignored: line 5",
        f"warning: 2 rows of {folder}/set/events.tsv repeat an earlier row and are ignored: "
        "line 5, line 6",
    ]


def write_scores(folder, clip):
    """Write scores of the clips of the fixture. clip: (2, 2)."""
    clip = np.asarray(clip, np.float32)
    frame = np.repeat(clip[:, None], 40, axis=1)
    return write_score_file(folder / "scores.h5", NAMES, LABELS, clip, frame, durations=[4, 4])


def test_psds_says_over_which_classes_it_is(run, folder, trained):
    """The only event of Car starts after the end of its clip."""
    note = "over 1 of 2 classes, those with events; with one class, PSDS2 counts no cross triggers"
    model = shutil.copytree(trained, folder / "model")
    out = shutil.copytree(folder / "out", model / "set" / "frame")
    scores = write_scores(folder, [[0.9, 0.6], [0.8, 0.1]])
    result = run("score", "--scores", scores, folder / "set", out)
    assert result.exit_code == 0
    for text in (result.stdout, (out / "report.txt").read_text()):
        (line,) = [line for line in text.splitlines() if "PSDS1" in line]
        assert line.endswith(note)
    assert run("report", model, folder / "page.html").exit_code == 0
    assert f"PSDS in set: {note}." in (folder / "page.html").read_text()
    figures = json.loads((out / "report.json").read_text())["psds"]
    row = " | ".join(f"{figures[name]:.3f} (1 of 2 classes)" for name in ("psds1", "psds2"))
    card = (model / "README.md").read_text()
    assert (
        row in card and "If only one class has events, PSDS2 does not count cross triggers" in card
    )


@pytest.mark.parametrize(
    "tags, clip, names, reason",
    [
        ("1100 0011", "9911 1199", "MAP and MAUC", "the jackknife variance over clips"),  # perfect
        ("1110 0011", "5555 5555", "MAUC and d'", "the jackknife variance over clips"),  # chance
        (
            "1000 0011",
            "9111 1199",
            "MAP and MAUC",
            "1 of 2 classes has fewer than 2 positive clips",
        ),
        ("1100 0011", "9199 1919", None, None),
    ],
)
def test_why_there_is_no_interval(run, tmp_path, tags, clip, names, reason):
    clips = [f"{i}.wav" for i in range(4)]
    tags, clip = ([[int(c) for c in column] for column in text.split()] for text in (tags, clip))
    rows = [(clips[i], LABELS[k]) for k in range(2) for i in range(4) if tags[k][i]]
    data = write_set(tmp_path / "set", [(name, "", 4) for name in clips], LABELS, rows)
    datadir.write_decoded(
        tmp_path / "out",
        clips,
        [4] * 4,
        LABELS,
        np.array(tags, bool).T,
        events=events.Events.from_rows([]),
    )
    scores = write_score_file(tmp_path / "scores.h5", clips, LABELS, np.array(clip).T / 10)
    result = run("score", "--bootstrap", 5, "--scores", scores, data, tmp_path / "out")
    assert result.exit_code == 0
    text = f"; no interval of {names}, because {reason}"
    assert text in result.stdout if names else "no interval" not in result.stdout
