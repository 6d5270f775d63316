"""Zero-length events and rounded times: `score` and `score-files` compared with sed_eval."""

import json
import math

import numpy as np
import pytest
from helpers import write_set
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import LABELS, assert_class_figures, assert_segment_figures, event_based, segment_based
from test_score_files import EVENTS, refused, scored, write_list


def test_zero_length_true_events_are_tags_only(run, tmp_path):
    truth = write_list(
        tmp_path / "t",
        [("a", 0, 0, "Car"), ("b", 0, 2, "Dog"), ("b", 1.5, 1.5, "Dog"), ("b", 1.5, 1.5, "Car")],
    )
    said = write_list(tmp_path / "e", [("b", 0, 2, "Dog")])
    report, warnings = scored(run, truth, said)
    assert (
        report["segment"]["f1"] == report["event"]["f1"] == 1.0
        and report["segment"]["error_rate"] == 0.0
    )
    assert (
        report["classes"]["Car"]["event"]["f1"] is None
        and f"1 clip of {truth} is not in" in warnings
    )
    assert report["zero_length_reference_events"] == 3
    assert scored(run, truth, said, "--kind", "tags")[0]["tagging"] == pytest.approx(
        {"precision": 1.0, "recall": 1 / 3, "f1": 0.5}
    )


def test_zero_length_estimates_count_as_sed_eval_counts_them(run, tmp_path):
    """Each is an event, and activates its segment; on a boundary, no segment is activated."""
    truth = write_list(tmp_path / "t", [("a_0_4", 1, 2, "Dog")])
    said = write_list(tmp_path / "e", [("a_0_4", t, t, "Dog") for t in (0, 1.5, 3, 3.5, 4)])
    report, warnings = scored(run, truth, said)
    assert warnings == "" and report["zero_length_reference_events"] == 0
    assert report["segment"] == pytest.approx(
        {
            "error_rate": 1.0,
            "substitution_rate": 0.0,
            "deletion_rate": 0.0,
            "insertion_rate": 1.0,
            "precision": 0.5,
            "recall": 1.0,
            "f1": 2 / 3,
        }
    )
    assert report["event"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    found = [
        write_list(tmp_path / "f", [("b", 1, 2, "Dog")]),
        write_list(tmp_path / "g", [("b", 1, 2, "Dog"), ("b", 5, 5, "Dog")]),
    ]
    assert scored(run, *found)[0]["event"] == pytest.approx(
        {"precision": 0.5, "recall": 1.0, "f1": 2 / 3}
    )  # the event lasts to 5 s
    late = write_list(
        tmp_path / "l",
        [("a_0_4", 1, 2, "Dog"), ("a_0_4", 4.5, 4.5, "Dog"), ("a_0_4", 4.5, 6, "Dog")],
    )
    report, warnings = scored(run, truth, late)
    assert (
        report["event"]["f1"] == 1.0
        and "2 events of" in warnings
        and "a_0_4 at 4.5 s, a_0_4 at 4.5 s\n" in warnings
    )


def test_dropped_true_events_are_reported_beside_the_figures(run, tmp_path):
    truth = write_list(tmp_path / "t", [("a", 1, 2, "Dog"), ("a", 4.5, 4.5, "Dog")])
    said = write_list(tmp_path / "e", [("a", 1, 2, "Dog")])
    note = (
        "zero-length reference events dropped from event and segment metrics: 1 "
        "(sed_eval counts them)"
    )
    lines = run("score-files", truth, said).stdout.split("\n")
    assert lines[lines.index(note) + 1] == "" and lines[lines.index(note) - 1].startswith(
        "true tags, whole clip"
    )
    assert "events dropped" not in run("score-files", said, truth).stdout
    assert "events dropped" not in run("score-files", truth, said, "--kind", "tags").stdout


def test_times_are_rounded_to_the_microsecond(run, tmp_path):
    """Times and durations in file names are rounded: 10 - 7.1 s are 2.9000000000000004 s."""
    assert 10.0 - 7.1 != 2.9 and 8.3 - 4.3 > 4
    spans = ("0.0", "3.0000000000000004"), ("1e-9", "2.9999999999"), ("0.0000004", "3.0000004")
    for times in spans:
        truth, said = (
            write_list(tmp_path / "t", [("a", 0, 3, "Dog")]),
            write_list(tmp_path / "e", [("a", *times, "Dog")]),
        )
        report, _ = scored(run, truth, said, "--bootstrap", 20)
        assert report["segment"]["error_rate"] == 0.0 and report["segment"]["error_rate_ci"] == [
            0.0,
            0.0,
        ]
    for name, length in (("a_7.1_10", 2.9), ("a_4.3_8.3", 4)):
        truth, said = (
            write_list(tmp_path / "t", [(name, 0, 2, "Dog")]),
            write_list(tmp_path / "e", [(name, 0, 9, "Dog")]),
        )
        report, _ = scored(run, truth, said, "--bootstrap", 20)
        assert (
            report["segment"]["error_rate"]
            == np.ceil(length) / 2 - 1
            == report["segment"]["error_rate_ci"][0]
        )
    truth, said = (
        write_list(tmp_path / "t", [("a_0.1_0.3", 0, 0.2, "Dog")]),
        [("a_0.1_0.3", 0.2, 0.2, "Cat")],
    )  # 0.2 s, not less
    assert (
        scored(run, truth, write_list(tmp_path / "e", said))[0]["classes"]["Cat"]["event"]["f1"]
        == 0.0
    )
    twice = write_list(tmp_path / "w", [("a", 0, 3, "Dog"), ("a", 0, "3.0000000000000004", "Dog")])
    assert scored(run, twice, twice)[1].count("1 row of") == 2
    backwards = write_list(tmp_path / "b", [("a", "1.0000004", "1.0000003", "Dog")])
    assert (
        scored(run, twice, backwards)[0]["event"]["precision"] == 0.0
    )  # of length zero after rounding
    assert "the event ends (1 s) before it starts (1.5 s)" in refused(
        run, twice, write_list(tmp_path / "x", [("a", 1.5, 1, "Dog")])
    )


CLIPS = [
    "-bcdefghijk_0.000_3.000.wav",
    "Zabcdefghij_0.000_3.000.wav",
    "abcdefghijk_30.000_33.000.wav",
]
TIMES = [
    *(i / 4 for i in range(13)),
    "0.9999999999999999",
    "1.0000000000000002",
    "1e-9",
    "2.0000004",
    "2.9999999",
    "0.05",
]
TIME = st.sampled_from(TIMES)
SPAN = st.tuples(st.integers(0, 2), TIME, TIME, st.integers(0, 2)).map(
    lambda row: (row[0], *sorted(row[1:3], key=float), row[3])
)


def exact(rows):
    """Return the rows without duplicates, with times to the microsecond."""
    return sorted(
        {(c, round(float(onset), 6), round(float(offset), 6), k) for c, onset, offset, k in rows}
    )


def by_lists(run, folder, lists):
    """Return the report of score-files."""
    paths = [
        write_list(folder / f"{i}.tsv", [*rows, *((n,) for n in CLIPS)], EVENTS)
        for i, rows in enumerate(lists)
    ]
    return scored(run, *paths, "--kind", "events", "--bootstrap", 3)[0]


def by_folders(run, folder, lists):
    """Return the report of score on a set and a decoded folder of the same rows."""
    for name, rows in zip(("set", "out"), lists):
        write_set(
            folder / name,
            [(n, "", 3) for n in CLIPS],
            LABELS,
            sorted({(n, k) for n, *_, k in rows}),
            rows,
        )
    (folder / "out" / "labels.txt").unlink()
    write_list(folder / "out" / "clips.tsv", [(n, 3) for n in CLIPS], "filename\tduration")
    result = run("score", folder / "set", folder / "out", "--json", "--bootstrap", 3)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    reference=st.lists(SPAN, min_size=1, max_size=10),
    estimate=st.lists(SPAN, max_size=10),
    backwards=st.booleans(),
)
def test_both_verbs_give_the_figures_of_sed_eval(run, tmp_path, reference, estimate, backwards):
    """Lists with touching, overlapping, repeated or zero-length events, in any order.

    sed_eval's reference is without zero-length events.
    """
    lists = [
        [(CLIPS[c], on, off, LABELS[k]) for c, on, off, k in rows][:: -1 if backwards else 1]
        for rows in (reference, estimate)
    ]
    ours, same = by_lists(run, tmp_path, lists), by_folders(run, tmp_path, lists)
    truth, said = exact(reference), exact(estimate)
    lasting = [row for row in truth if row[2] > row[1]]
    segment, event = segment_based(lasting, said, [3.0] * 3), event_based(lasting, said, 3)

    figures = {
        name: {key: value for key, value in ours[name].items() if "_ci" not in key}
        for name in ("segment", "event")
    }
    if lasting:
        assert_segment_figures(figures["segment"], segment)
        f = event.overall_f_measure()
        expected = {"precision": f["precision"], "recall": f["recall"], "f1": f["f_measure"]}
        assert figures["event"] == pytest.approx(
            {key: 0 if math.isnan(value) else value for key, value in expected.items()}
        )
    for section, metric in (("segment", segment), ("event", event)):
        assert ours[section] == same[section]
        assert_class_figures({label: same["classes"][label][section] for label in LABELS}, metric)
        assert all(
            found[section] == same["classes"][label][section]
            for label, found in ours["classes"].items()
        )
        for key, value in figures[section].items():
            interval = ours[section][f"{key}_ci"]
            assert interval is None or interval[0] <= value <= interval[1]
    # labels.txt may add classes to the other baseline
    for name in ("nothing", "system_tags", "true_tags"):
        assert ours["baselines"][name]["segment"] == same["baselines"][name]["segment"]
    assert (
        ours["zero_length_reference_events"]
        == same["zero_length_reference_events"]
        == len(truth) - len(lasting)
    )
