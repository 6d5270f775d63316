"""evaluate: its Report equals the output of score and score-files."""

import dataclasses
import json
import subprocess
import sys
import typing

import pytest
from helpers import contents
from test_score import make_lists
from test_score_files import EVENTS, TAGS, write_list

from wsedtk.core.errors import InputError
from wsedtk.evaluation import report
from wsedtk.evaluation.evaluate import evaluate

ROWS = [
    ("a_0.000_10.000.wav", 1, 3, "Dog"),
    ("b_0.000_10.000.wav", 2, 2, "Dog"),
    ("b_0.000_10.000.wav", 0, 10, "Cat"),
]


@pytest.mark.parametrize("with_events", [True, False])
@pytest.mark.parametrize("with_scores, resamples", [(True, 5), (True, 0), (False, 0)])
def test_a_report_of_a_folder_is_that_of_score(run, tmp_path, with_events, with_scores, resamples):
    make_lists(tmp_path, with_events=with_events)
    scores = tmp_path / "scores.h5" if with_scores else None
    before = contents(tmp_path)
    found = evaluate(tmp_path / "set", tmp_path / "out", scores=scores, num_resamples=resamples)
    assert contents(tmp_path) == before  # nothing is written
    options = ["--scores", scores] if with_scores else []
    result = run("score", tmp_path / "set", tmp_path / "out", *options, "--bootstrap", resamples)
    assert result.exit_code == 0 and result.stdout == found.to_text()
    written = (tmp_path / "out" / "report.json").read_text()
    assert json.dumps(found.to_dict(), indent=1, ensure_ascii=False) + "\n" == written
    assert found.to_text() == (tmp_path / "out" / "report.txt").read_text()
    mapping = json.loads(written)
    assert found.tagging.f1 == mapping["tagging"]["f1"]
    assert found.classes["Dog"].audioset.ap == mapping["classes"]["Dog"]["audioset"]["ap"]
    everything = mapping["baselines"]["everything"]
    assert found.baselines["everything"].segment.f1 == everything["segment"]["f1"]
    assert found.tagging.intervals.keys() == ({"precision", "recall", "f1"} if resamples else set())
    if resamples:
        assert found.tagging.intervals["f1"] == tuple(mapping["tagging"]["f1_ci"])


@pytest.mark.parametrize("header, width", [(EVENTS, 4), (TAGS, 2)])
@pytest.mark.parametrize("resamples", [0, 5])
def test_a_report_of_lists_is_that_of_score_files(run, tmp_path, header, width, resamples):
    lists = []
    for name, rows in (("true.tsv", ROWS), ("said.tsv", [*ROWS[:1], ("b.wav", 1, 2, "Cat")])):
        columns = [row if width == 4 else (row[0], row[3]) for row in rows]
        lists.append(write_list(tmp_path / name, columns, header))
    found = evaluate(*lists, num_resamples=resamples)
    result = run("score-files", *lists, "--bootstrap", resamples)
    assert result.stdout == found.to_text()
    result = run("score-files", *lists, "--bootstrap", resamples, "--json")
    assert json.loads(result.stdout) == found.to_dict()
    assert found.clips.scored == 2 and found.layout == {4: "events", 2: "tags"}[width]
    assert evaluate(*lists, kind="tags").layout == "tags"


def test_a_report_is_read_from_its_mapping(tmp_path):
    make_lists(tmp_path)
    found = evaluate(tmp_path / "set", tmp_path / "out")
    again = report.Report.from_dict(json.loads(json.dumps(found.to_dict())), found.title, "folder")
    assert again == found
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.title = "x"
    for one in vars(report).values():
        if dataclasses.is_dataclass(one):
            assert one.__dataclass_params__.frozen and typing.get_type_hints(one)


def test_warnings_are_logged(tmp_path, caplog, capfd):
    make_lists(tmp_path)
    lines = (tmp_path / "out" / "clips.tsv").read_text().splitlines()
    (tmp_path / "out" / "clips.tsv").write_text("\n".join(lines[:-1]) + "\n")
    (tmp_path / "out" / "failed.tsv").write_text("filename\nclip 11.wav\n")
    for folder, digits in (("set", "a-b"), ("out", "c-d")):
        with open(tmp_path / folder / "info.yaml", "a") as file:
            file.write(f"audio_fingerprint: {digits}\n")
    evaluate(tmp_path / "set", tmp_path / "out")
    write_list(tmp_path / "a.tsv", ROWS, EVENTS)
    write_list(tmp_path / "b.tsv", ROWS[:1], EVENTS)
    evaluate(tmp_path / "a.tsv", tmp_path / "b.tsv")
    versions, failed, missing = [record.getMessage() for record in caplog.records]
    assert "come from different versions of a set" in versions
    assert "1 clip of" in failed and "extract could not use the audio: clip 11.wav" in failed
    assert "is evaluated as a clip without predictions: b_0.000_10.000.wav" in missing
    assert {record.name for record in caplog.records} == {"wsedtk.evaluation.evaluate"}
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "names, options, message",
    [
        (("set", "out"), {"num_resamples": -1}, "num_resamples: found -1"),
        (
            ("set", "out"),
            {"kind": "tags"},
            "kind: .* a list of tags or events, but .*set is not a list",
        ),
        (("a.tsv", "a.tsv"), {"kind": "folder"}, "kind: found 'folder'"),
        (("a.tsv", "a.tsv"), {"scores": "s.h5"}, "scores: .*, but .*a.tsv is not a data directory"),
        (("a.tsv", "out"), {}, "out: is a folder; choose a list"),
        (("none.tsv", "a.tsv"), {}, "none.tsv: no such file"),
        (("set", "a.tsv"), {}, "a.tsv: no such folder"),
        (("none", "out"), {}, "none: no such folder"),
    ],
)
def test_arguments_at_fault(tmp_path, names, options, message):
    make_lists(tmp_path)
    write_list(tmp_path / "a.tsv", ROWS, EVENTS)
    with pytest.raises(InputError, match=message):
        evaluate(*(tmp_path / name for name in names), **options)


STATE = """
import logging, os, signal, sys, warnings
import numpy as np

def state():
    return (dict(os.environ), {n: signal.getsignal(n) for n in signal.valid_signals()},
            list(warnings.filters), np.geterr(), np.random.get_state()[1].tolist(),
            logging.root.level, list(logging.root.handlers))
"""


def test_nothing_else_changes(tmp_path):
    make_lists(tmp_path)
    code = (
        STATE
        + """
import wsedtk.evaluation.evaluate
before = state()
wsedtk.evaluation.evaluate.evaluate("set", "out", scores="scores.h5", num_resamples=2)
for old, new in zip(before, state(), strict=True):
    assert old == new, (old, new)
"""
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
