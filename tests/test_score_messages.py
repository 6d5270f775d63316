"""score: what it tells of the reference, and beside its figures."""

import json

import pytest
from helpers import write_set
from oracle import event_based

from wsedtk import datadir, events

NAMES = ["a.wav", "b.wav"]
ROWS = [(0, 0.5, 1.5, 0), (0, 4.01, 4.9, 1), (1, 1.0, 3.0, 0)]  # the second one begins after 4 s
LABELS = ["Dog", "Car"]


@pytest.fixture
def folder(tmp_path):
    """A set of two clips of 4 s, decoded perfectly."""
    lines = [(NAMES[i], onset, offset, LABELS[k]) for i, onset, offset, k in ROWS]
    tags = sorted({(name, label) for name, _, _, label in lines})
    write_set(tmp_path / "set", [(name, "", 4) for name in NAMES], LABELS, tags, lines)
    found = events.Events.from_rows([row for row in ROWS if row[1] < 4])
    tags = datadir.read(tmp_path / "set").tag_matrix()
    datadir.write_decoded(tmp_path / "out", NAMES, [4, 4], LABELS, tags, found)
    return tmp_path


def test_events_after_the_end_are_told(run, folder):
    result = run("score", folder / "set", folder / "out", "--json")
    path = folder / "set" / "events.tsv"
    assert result.stderr == (
        f"warning: 1 events of {path} begin after the end of their clip and do not count "
        "(sed_eval counts them): a.wav at 4.01 s\n")
    said = [row for row in ROWS if row[1] < 4]
    f1 = [event_based(rows, said, 2, LABELS).overall_f_measure()["f_measure"]
          for rows in (ROWS, said)]
    assert f1 == [pytest.approx(0.8), 1] and json.loads(result.stdout)["event"]["f1"] == f1[1]


def test_repeated_rows_are_told(run, folder):
    for name, rows in (("tags.tsv", "a.wav\tDog\n"), ("events.tsv", 2 * "b.wav\t1\t3\tDog\n")):
        with open(folder / "set" / name, "a", encoding="utf-8") as file:
            file.write(rows)
    warnings = run("score", folder / "set", folder / "out", "--json").stderr.splitlines()
    assert warnings[:2] == [
        f"warning: 1 rows of {folder}/set/tags.tsv repeat an earlier one and count once, lines: 5",
        f"warning: 2 rows of {folder}/set/events.tsv repeat an earlier one and count once, "
        "lines: 5, 6"]
