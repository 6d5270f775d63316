"""score-files: compared with sed_eval and scikit-learn, for all forms of lists."""

import csv
import json
import random
import re

import numpy as np
import pytest
from helpers import write_set
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import (
    LABELS,
    assert_class_figures,
    assert_segment_figures,
    event_based,
    random_lists,
    segment_based,
)
from sklearn.metrics import f1_score, precision_score, recall_score

from wsedtk.data import datadir, events

EVENTS, TAGS = "filename\tonset\toffset\tevent_label", "filename\tevent_label"


def name_of(clip, duration=10.0):
    """Return an ID of eleven characters; some start with Y, some with -."""
    return f"{'Y-a'[clip % 3]}b_d-F{clip:05d}_30.000_{30 + duration:.3f}.wav"


def write_list(path, rows, header=None, end="\n"):
    """Write rows as a list, in bytes, so that line ends are not translated."""
    lines = ([header] if header else []) + ["\t".join(map(str, row)) for row in rows]
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


def scored(run, reference, estimate, *options):
    """Return the report of score-files, and its warnings."""
    result = run("score-files", reference, estimate, "--json", *options)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout), result.stderr


def refused(run, *arguments):
    """Return the message with which score-files refuses its input."""
    result = run("score-files", *arguments)
    assert result.exit_code == 1 and result.stdout == ""
    return result.stderr


# ---- metrics ----


def test_recordings_of_days_equal_sed_eval(run, tmp_path):
    """Two days, with dense events at the start of each hour."""
    rng = np.random.default_rng(0)

    def busy():
        onset = rng.choice(48, 200) * 3600 + rng.uniform(0, 5, 200)
        columns = onset, onset + rng.uniform(0.1, 3, 200), rng.integers(0, 2, 200)
        rows = zip(*(column.round(3).tolist() for column in columns))
        return [(0, *row) for row in rows] + [(0, 172799.5, 172800.0, 0)]

    lists = busy(), busy()
    paths = [
        write_list(
            tmp_path / f"{name}.tsv",
            [("a.wav", onset, offset, LABELS[label]) for _, onset, offset, label in rows],
            EVENTS,
        )
        for name, rows in zip(("reference", "estimate"), lists)
    ]
    report, _ = scored(run, *paths)
    durations = np.array([172800.0])
    assert_segment_figures(report["segment"], segment_based(*lists, durations, LABELS[:2]))
    expected = event_based(*lists, 1, LABELS[:2]).overall_f_measure()
    assert report["event"]["f1"] == pytest.approx(expected["f_measure"], abs=1e-9)
    assert expected["f_measure"] > 0


@pytest.mark.parametrize("seed, named", [(0, True), (1, True), (2, False), (3, False)])
def test_events_equal_sed_eval(run, tmp_path, seed, named):
    """Durations are in the file names, or unknown: then a clip ends at the last offset."""
    reference, estimate, durations = random_lists(seed, past_end=False, zero_length=True)
    estimate += [
        (3, 0.0, 0.0, 1),
        (5, 0.25, 0.25, 0),
        (5, 0.5, 0.5, 0),
        (6, 1.0, 1.0, 0),
    ]  # of length zero: they count
    lasting = [[row for row in reference if row[2] > row[1]], estimate]
    if not named:
        durations = [
            max([off for c, _, off, _ in reference + estimate if c == clip], default=0.0)
            for clip in range(12)
        ]
    names = [name_of(clip, durations[clip]) if named else f"clip {clip}" for clip in range(12)]
    paths = [
        write_list(
            tmp_path / f"{i}.csv",
            [*((names[c], on, off, LABELS[k]) for c, on, off, k in rows), *((n,) for n in names)],
        )
        for i, rows in enumerate((reference, estimate))
    ]
    report, warnings = scored(run, *paths)
    assert warnings == ""
    segment, event = segment_based(*lasting, durations), event_based(*lasting, 12)
    assert_segment_figures(report["segment"], segment)
    assert_class_figures({label: report["classes"][label]["segment"] for label in LABELS}, segment)
    assert_class_figures({label: report["classes"][label]["event"] for label in LABELS}, event)
    theirs = event.overall_f_measure()
    assert report["event"] == pytest.approx(
        {"precision": theirs["precision"], "recall": theirs["recall"], "f1": theirs["f_measure"]}
    )
    assert 0 < report["event"]["f1"] < 1 and 0 < report["segment"]["f1"] < 1
    assert report["clips"]["scored"] == report["clips"]["official"] == 12
    assert report["tagging"] == {"precision": None, "recall": None, "f1": None}
    assert report["zero_length_reference_events"] == 3


@pytest.mark.parametrize("seed", range(3))
def test_tags_equal_scikit_learn(run, tmp_path, seed):
    rng = np.random.default_rng(seed)
    true, said = rng.random((2, 30, 3)) < 0.4
    paths = [
        write_list(
            tmp_path / f"{i}.tsv",
            [
                *((f"{c}.wav", LABELS[k]) for c, k in np.argwhere(tags)),
                *((f"{c}.wav",) for c in range(30)),
            ],
            TAGS,
        )
        for i, tags in enumerate((true, said))
    ]
    report, warnings = scored(run, *paths)
    assert warnings == "" and report["segment"]["f1"] is None and report["event"]["f1"] is None
    for name, metric in (
        ("precision", precision_score),
        ("recall", recall_score),
        ("f1", f1_score),
    ):
        assert report["tagging"][name] == pytest.approx(metric(true, said, average="micro"))
        for k, label in enumerate(LABELS):
            assert report["classes"][label]["tagging"][name] == pytest.approx(
                metric(true[:, k], said[:, k])
            )
    assert report["baselines"]["everything"]["tagging"]["recall"] == 1.0


def test_the_report_is_that_of_score(run, tmp_path):
    """The same truth and estimate in data directories give the same keys, metrics and intervals."""
    reference, estimate, durations = random_lists(7, past_end=False, zero_length=True)
    names = [name_of(clip, d) for clip, d in enumerate(durations)]
    tags = sorted({(c, k) for c, _, _, k in reference})
    write_set(
        tmp_path / "set",
        [(n, "", d) for n, d in zip(names, durations)],
        LABELS,
        [(names[c], LABELS[k]) for c, k in tags],
        [(names[c], on, off, LABELS[k]) for c, on, off, k in reference],
    )
    said = np.zeros((12, 3), bool)
    said[[row[0] for row in estimate], [row[3] for row in estimate]] = True
    datadir.write_decoded(
        tmp_path / "out", names, durations, LABELS, said, events=events.Events.from_rows(estimate)
    )
    result = run("score", tmp_path / "set", tmp_path / "out", "--json", "--bootstrap", 20)
    wanted = json.loads(result.stdout)
    # tables of data directories do not list clips without rows
    for table in ("tags.tsv", "events.tsv"):
        with open(tmp_path / "set" / table, "a", encoding="utf-8") as file:
            file.write("".join(f"{n}\n" for n in names))
    found, _ = scored(
        run, tmp_path / "set" / "events.tsv", tmp_path / "out" / "events.tsv", "--bootstrap", 20
    )
    assert list(found) == list(wanted) and found["clips"] == {
        **wanted["clips"],
        "tuned_on_these": None,
    }
    for section in ("segment", "event"):
        assert found[section] == wanted[section]
        assert {n: c[section] for n, c in found["classes"].items()} == {
            n: c[section] for n, c in wanted["classes"].items()
        }
    assert {n: b["segment"] for n, b in found["baselines"].items()} == {
        n: b["segment"] for n, b in wanted["baselines"].items()
    }
    found, _ = scored(run, tmp_path / "set" / "tags.tsv", tmp_path / "out" / "tags.tsv")
    assert found["tagging"]["f1"] == pytest.approx(wanted["tagging"]["f1"])


def test_events_by_hand(run, tmp_path):
    """Clip a: a hit of 2 s, found 1 s too long. Clip b: a wrong class. Clip c: nothing true.

    Clip d is missed by the estimate.
    """
    a, b, c, d = (f"{x}_0.000_4.000.wav" for x in "abcd")
    truth = write_list(
        tmp_path / "t",
        [(a, 1, 3, "Dog"), (b, 0, 1, "Car"), (c,), (d, 0, 0.5, "Dog"), (d, 2, 2, "Car")],
    )
    said = write_list(tmp_path / "e", [(a, 1, 4, "Dog"), (b, 0, 1, "Dog"), (c, 3.5, 4, "Car")])
    report, warnings = scored(run, truth, said)
    assert (
        warnings
        == f"warning: 1 clip of {truth} is not in {said} and is evaluated as a clip without "
        f"predictions: {d}\n"
    )
    # Segments: TP 2; a: 1 insertion; b: 1 substitution; c: 1 insertion; d: 1 deletion; 4 in the
    # reference, 5 found.
    assert report["segment"] == pytest.approx(
        {
            "error_rate": 1.0,
            "substitution_rate": 0.25,
            "deletion_rate": 0.25,
            "insertion_rate": 0.5,
            "precision": 0.4,
            "recall": 0.5,
            "f1": 4 / 9,
        }
    )
    assert report["classes"]["Dog"]["segment"] == pytest.approx(
        {
            "error_rate": 1.0,
            "deletion_rate": 1 / 3,
            "insertion_rate": 2 / 3,
            "precision": 0.5,
            "recall": 2 / 3,
            "f1": 4 / 7,
        }
    )
    assert report["event"] == {
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
    }  # the offset of the hit is wrong by more than 20 %
    assert report["clips"]["scored"] == 4


def test_tags_by_hand(run, tmp_path):
    rows = [
        ("a_30.000_40.000.wav", "30.000", "40.000", "Dog"),
        ("a_30.000_40.000.wav", "30.000", "40.000", "Car"),
        ("b_0.000_10.000.wav", "0.000", "10.000", "Car"),
        ("c_0.000_10.000.wav", "0.000", "10.000", "Dog"),
    ]
    truth = write_list(tmp_path / "t", rows)
    said = write_list(
        tmp_path / "e",
        [(rows[0][0], "Dog"), (rows[2][0], "Dog"), (rows[2][0], "Car"), (rows[3][0], "Cat")],
    )
    report, warnings = scored(run, truth, said)
    assert report["tagging"] == pytest.approx({"precision": 0.5, "recall": 0.5, "f1": 0.5})
    assert report["classes"]["Cat"]["tagging"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert report["classes"]["Dog"]["tagging"] == pytest.approx(
        {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    )
    assert warnings == (
        f"warning: 1 class of {said} is not in {truth}, so all predictions of this class are false positives: 'Cat' "
        "(did you mean 'Car'?)\n"
    )


def test_the_table(run, tmp_path):
    truth = write_list(tmp_path / "t", [("a_0_4", 0, 2, "Dog"), ("b_0_4", 1, 2, "Car")])
    said = write_list(tmp_path / "e", [("a_0_4", 0, 1, "Dog"), ("b_0_4", 1, 2, "Car")])
    text = run("score-files", truth, said).stdout
    lines = [line.split("  ") for line in text.splitlines()]
    assert text.startswith(f"{said} against {truth}: 2 clips, 2 classes, events\n")
    row = next(line for line in text.splitlines() if line.startswith("estimate")).split()
    assert row[1:] == [
        "0.333",
        "0.000",
        "0.333",
        "0.000",
        "1.000",
        "0.667",
        "0.800",
        "0.500",
        "0.500",
        "0.500",
    ]
    assert next(line for line in text.splitlines() if line.startswith("Dog")).split()[4:7] == [
        "1.000",
        "0.500",
        "0.667",
    ]
    assert "true tags, whole clip" in text and len({len(line) > 0 for line in lines}) == 1
    text = run("score-files", truth, said, "--kind", "tags", "--bootstrap", 10).stdout
    assert (
        "2 clips, 2 classes, tags" in text
        and "1.000 [1.000, 1.000]" in text
        and "nothing" in text
        and "ER" not in text
    )


# ---- forms ----


def variants(rows):
    """The same list in other forms: (rows, header, line end, encoding mark)."""
    bare = [(r[0].removesuffix(".wav"), *r[1:]) for r in rows]
    yield [(f"Y{r[0]}", *r[1:]) for r in rows], None, "\r\n", ""
    yield bare, EVENTS, "\n", "\ufeff"
    yield [(f"Y{r[0]}.FLAC", *r[1:]) for r in bare], EVENTS, "\r\n", "\ufeff"
    yield [(f" {r[0]} ", *(r[1:] or ("", "", ""))) for r in rows], None, "\n\n", ""
    yield (
        [(r[0].replace(".000", ""), *r[1:]) for r in rows],
        "Filename\tOnset\tOffset\tEvent_label",
        "\n",
        "",
    )
    yield (
        [(r[3], r[1], r[2], r[0]) if r[1:] else ("", "", "", r[0]) for r in rows],
        "event_label\tonset\toffset\tfilename",
        "\n",
        "",
    )


@pytest.mark.parametrize("number", range(6))
def test_one_list_in_all_its_forms(run, tmp_path, number):
    reference, estimate, _ = random_lists(4, past_end=False, zero_length=True)
    lists = [
        [
            *((name_of(c), on, off, LABELS[k]) for c, on, off, k in rows),
            *((name_of(c),) for c in range(12)),
        ]
        for rows in (reference, estimate)
    ]
    paths = [write_list(tmp_path / f"{i}", rows) for i, rows in enumerate(lists)]
    wanted = scored(run, *paths)
    rows, header, end, mark = list(variants(lists[1]))[number]
    other = write_list(tmp_path / "other", rows, mark + header if header else None, end)
    assert scored(run, paths[0], other) == wanted and wanted[0]["segment"]["f1"] > 0
    truth = list(variants(lists[0]))[number]
    write_list(tmp_path / "truth", truth[0], truth[2] and truth[1], truth[2])
    assert scored(run, tmp_path / "truth", other)[0] == wanted[0]


def test_several_labels_in_a_row(run, tmp_path):
    truth = write_list(
        tmp_path / "t",
        [("a.wav", "Air horn, truck horn"), ("a.wav", "Dog"), ("b.wav", "Car")],
        TAGS,
    )
    said = write_list(
        tmp_path / "e",
        [("a.wav", "Air horn, truck horn,Dog"), ("b.wav", "Car")],
        "filename\tevent_labels",
    )
    assert scored(run, truth, said)[0]["tagging"]["f1"] == 1.0


@pytest.mark.parametrize(
    "truth, said, options, kind",
    [
        ([("a_30_40", 30, 40, "Car")], [("a_30_40", "30.000", "40.000", "Car")], [], "tags"),
        ([("a_30_40", 30, 40, "Car"), ("b_0_10", 0, 10, "Car")], [("b_0_10", "Car")], [], "tags"),
        (
            [("a_30_40", 30, 40, "Car"), ("b_0_10", 0, 9, "Car")],
            [("b_0_10", 2, 3, "Car")],
            [],
            "events",
        ),
        ([("b_0_10", 0, 10, "Car")], [("b_0_10", 0, 10, "Car")], ["--kind", "events"], "events"),
        ([("b_0_10", 0, 10, "Car")], [("b_0_10", 1, 2, "Car")], ["--kind", "tags"], "tags"),
        ([("b", 0, 10, "Car")], [("b", 1, 2, "Car")], [], "events"),
        ([("b", "Car")], [("b",)], [], "tags"),
        ([("b", 1, 2, "Car")], [("b",)], [], "events"),
    ],
)
def test_contents_of_the_lists(run, tmp_path, truth, said, options, kind):
    report, _ = scored(
        run, write_list(tmp_path / "t", truth), write_list(tmp_path / "e", said), *options
    )
    assert (report["tagging"]["f1"] is not None, report["segment"]["f1"] is not None) == (
        kind == "tags",
        kind == "events",
    )


def test_lists_of_two_kinds(run, tmp_path):
    tags, times = (
        write_list(tmp_path / "t", [("a_30_40", 30, 40, "Car")]),
        write_list(tmp_path / "e", [("a_30_40", 1, 2, "Car")]),
    )
    assert (
        f"{tags} contains tags, but {times} contains events; give two lists of the same kind, or"
        in refused(run, tags, times)
    )
    assert f"{times} contains events, but {tags} contains tags;" in refused(run, times, tags)
    assert scored(run, tags, times, "--kind", "tags")[0]["tagging"]["f1"] == 1.0
    two = write_list(tmp_path / "two", [("a_30_40", 1, 2, "Car"), ("a_30_40", "Dog")])
    assert f"{two}:2: found a tag without onset and offset; expected an event" in refused(
        run, two, times
    )
    assert f"{two}:2: found a tag without onset and offset; expected an event" in refused(
        run, times, two
    )


def test_a_clip_without_length_or_events(run, tmp_path):
    truth = write_list(tmp_path / "t", [("a", 0, 2, "Car"), ("b",), ("c", 0, 0, "Car")])
    report, _ = scored(
        run, truth, write_list(tmp_path / "e", [("a", 0, 2, "Car"), ("b", 0, 1, "Car"), ("c",)])
    )
    assert (
        report["segment"]["insertion_rate"] == 0.5
        and report["segment"]["recall"] == 1.0
        and report["clips"]["scored"] == 3
    )


# ---- warnings ----


def test_clips_that_one_list_lacks(run, tmp_path):
    truth = write_list(tmp_path / "t", [(f"{c}.wav", 0, 1, "Car") for c in "abcdef"])
    said = write_list(
        tmp_path / "e", [("a.wav", 0, 1, "Car"), ("x y.wav", 0, 1, "Cat"), ("z.wav",)]
    )
    report, warnings = scored(run, truth, said)
    assert (
        f"warning: 2 clips of {said} are not in {truth} and are not evaluated: x y.wav, z.wav\n"
        in warnings
    )
    assert (
        f"warning: 5 clips of {truth} are not in {said} and are evaluated as clips without predictions: b.wav, c.wav, d.wav and 2 more\n"
        in warnings
    )
    assert (
        "Cat" not in report["classes"]
        and report["segment"]["recall"] == pytest.approx(1 / 6)
        and report["segment"]["precision"] == 1.0
    )
    nothing = write_list(tmp_path / "n", [], EVENTS)
    report, warnings = scored(run, truth, nothing)
    assert report["segment"]["deletion_rate"] == 1.0 and "warning: 6 clips" in warnings


def test_repeated_rows_count_once(run, tmp_path):
    rows = [("a_0_10", "1.0", "2.0", "Car"), ("a_0_10", "3", "4", "Car")]
    truth, once = write_list(tmp_path / "t", rows), write_list(tmp_path / "o", rows)
    twice = write_list(
        tmp_path / "e", [*rows, ("Ya_0_10", 1, 2, "Car"), ("a_0_10.wav", 1, 2, "Car"), ("a_0_10",)]
    )
    wanted, _ = scored(run, truth, once)
    found, warnings = scored(run, truth, twice)
    assert (
        "1 row of" in warnings and "repeats an earlier row and is ignored: line 4\n" in warnings
    )  # Ya_0_10 is not a YouTube ID
    assert found["event"] == wanted["event"] and found["event"]["f1"] == 1.0


def test_events_past_their_clips_end(run, tmp_path):
    truth = write_list(tmp_path / "t", [("a_0_2.5", 1, 2.5, "Car")])
    said = write_list(tmp_path / "e", [("a_0_2.5", 1, 2.65, "Car"), ("a_0_2.5", 2.6, 3.5, "Car")])
    report, warnings = scored(run, truth, said)
    assert report["event"]["f1"] == 1.0 and report["segment"]["error_rate"] == 0.0
    assert warnings == (
        f"warning: 1 event of {said} ends after the end of its clip (computed from the file "
        f"name) and is cut at this end: a_0_2.5 at 1 s\nwarning: 1 event of {said} begins at or "
        "after the end of its clip and is ignored (sed_eval counts it): a_0_2.5 at 2.6 s\n"
    )


@pytest.mark.parametrize(
    "late, is_late_in_truth, is_believed",
    [(1.0, True, True), (1.1, True, False), (1.0, False, True), (9.0, False, True)],
)
def test_true_events_far_beyond_a_name_show_that_it_is_no_excerpt(
    run, tmp_path, late, is_late_in_truth, is_believed
):
    """`take_1_3.wav` is not 2 s long if a true event ends later than 3 s.

    An estimate can't change the duration.
    """
    names, short, end = (
        ["take_1_3.wav", "take_2_4.wav"],
        [(0, 0.0, 1.5, 0), (1, 0.0, 1.0, 0)],
        2.0 + late,
    )
    lists = [short, [(0, 0.0, end, 0), (1, 0.0, 1.0, 0)]][:: -1 if is_late_in_truth else 1]
    paths = [
        write_list(tmp_path / str(i), [(names[c], on, off, LABELS[k]) for c, on, off, k in rows])
        for i, rows in enumerate(lists)
    ]
    report, warnings = scored(run, *paths)
    late_list = paths[0 if is_late_in_truth else 1]
    assert warnings == (
        f"warning: 1 event of {late_list} ends after the end of its clip (computed from the file name) and is cut at this end: take_1_3 at 0 s\n"
        if is_believed
        else f"warning: 1 clip of {paths[0]} has events that end after the end of the clip (computed from the file name), so the times in this file name are ignored: "
        f"take_1_3.wav (last offset {end:g} s)\n"
    )
    length = 2.0 if is_believed else end
    cut = [[(c, on, min(off, length), k) for c, on, off, k in rows] for rows in lists]
    assert_segment_figures(report["segment"], segment_based(*cut, [length, 2.0], LABELS[:1]))
    assert (report["segment"]["f1"] == 1.0) == is_believed


def test_the_names_of_field_recorders_tell_no_length(run, tmp_path):
    """Events of such a clip count to its last one: 20230501 and 040000 are not times."""
    name = "SMA00123_20230501_000000_000010.wav"
    truth, said = (
        write_list(tmp_path / f"{i}", [(name, 0, 1, "Dog"), (name, 20 + i, 40, "Dog")])
        for i in range(2)
    )
    report, warnings = scored(run, truth, said)
    assert warnings == "" and report["segment"]["recall"] == pytest.approx(20 / 21)


# ---- properties ----

NAMES = [
    "Yabcdefghij_0.000_3.000.wav",
    "-bcdefghijk_0.000_3.000.wav",
    "abcdefghijk_0.000_3.000.wav",
]
ROWS = st.lists(
    st.tuples(
        st.sampled_from(NAMES), st.integers(0, 30), st.integers(0, 30), st.sampled_from(LABELS)
    ),
    min_size=1,
    max_size=12,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(truth=ROWS, said=ROWS, seed=st.integers(0, 99), kind=st.sampled_from(["tags", "events"]))
def test_the_order_of_rows_changes_nothing(run, tmp_path, truth, said, seed, kind):
    lists = [
        [(n, min(a, b) / 10, max(a, b) / 10, k) for n, a, b, k in rows] + [(n,) for n in NAMES]
        for rows in (truth, said)
    ]
    options = ["--kind", kind, "--bootstrap", 3]
    wanted, _ = scored(
        run, *(write_list(tmp_path / f"{i}", rows) for i, rows in enumerate(lists)), *options
    )
    for rows in lists:
        random.Random(seed).shuffle(rows)
    assert (
        scored(
            run, *(write_list(tmp_path / f"{i}", rows) for i, rows in enumerate(lists)), *options
        )[0]
        == wanted
    )


# ---- official lists ----


def read_rows(path):
    """Return the rows of an official list, read by the csv module."""
    with open(path, encoding="utf-8", newline="") as file:
        return [tuple(row) for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]


@pytest.mark.parametrize(
    "name, kind, repeated, dropped",
    [
        ("strong_label_evaluation", "events", 1, 150),
        ("strong_label_testing", "events", 0, 36),
        ("weak_label_evaluation", "tags", 0, None),
        ("weak_label_testing", "tags", 0, None),
    ],
)
def test_real_lists_against_themselves(run, real_data, name, kind, repeated, dropped):
    """Zero-length events are dropped from the truth, and are false positives in an estimate."""
    path = real_data / "dcase2017" / f"groundtruth_{name}_set.csv"
    report, warnings = scored(run, path, path)
    assert (
        len(re.findall("repeats? an earlier row", warnings)) == 2 * repeated
        and warnings.count("\n") == 2 * repeated
    )
    section = "segment" if kind == "events" else "tagging"
    assert report[section]["f1"] == 1.0 and all(
        c[section]["f1"] == 1.0 for c in report["classes"].values()
    )
    assert report["zero_length_reference_events"] == dropped
    if kind == "events":
        rows = len(set(read_rows(path)))
        assert report["event"] == pytest.approx(
            {
                "precision": (rows - dropped) / rows,
                "recall": 1.0,
                "f1": 2 * (rows - dropped) / (2 * rows - dropped),
            }
        )
    assert (
        len(report["classes"]) == 17
        and report["clips"]["scored"] == {"evaluation": 1103, "testing": 488}[name.split("_")[-1]]
    )


def perturb(rows, seed, labels):
    """Make an estimate from the true list: rows removed, moved, or with another class."""
    rng = np.random.default_rng(seed)
    for name, onset, offset, label in rows:
        kind = rng.random()
        if kind < 0.5:
            yield name, onset, offset, label
        elif kind < 0.7:
            yield name, f"{max(0, float(onset) - rng.uniform(0, 0.4)):.3f}", offset, label
        elif kind < 0.85:
            yield name, onset, offset, labels[rng.integers(len(labels))]


def test_real_events_equal_sed_eval(run, tmp_path, real_data):
    path = real_data / "dcase2017" / "groundtruth_strong_label_testing_set.csv"
    rows = read_rows(path)
    labels, names = sorted({row[3] for row in rows}), sorted({row[0] for row in rows})
    said = list(dict.fromkeys(perturb(rows, 0, labels)))
    report, warnings = scored(
        run,
        path,
        write_list(tmp_path / "e.csv", [(f"Y{n}", *rest) for n, *rest in said], None, "\r\n"),
    )
    assert "are evaluated as clips without predictions" in warnings and warnings.count("\n") == 1
    lists = [
        [(names.index(n), float(on), float(off), labels.index(k)) for n, on, off, k in found]
        for found in (rows, said)
    ]
    lists[0] = [row for row in lists[0] if row[2] > row[1]]
    durations = [
        float(end) - float(start)
        for start, end in (n.removesuffix(".wav").split("_")[-2:] for n in names)
    ]
    segment, event = (
        segment_based(*lists, durations, labels),
        event_based(*lists, len(names), labels),
    )
    assert_segment_figures(report["segment"], segment)
    assert_class_figures(
        {label: report["classes"][label]["segment"] for label in labels}, segment, labels
    )
    assert_class_figures(
        {label: report["classes"][label]["event"] for label in labels}, event, labels
    )
    assert (
        report["event"]["f1"] == pytest.approx(event.overall_f_measure()["f_measure"])
        and 0.5 < report["event"]["f1"] < 0.9
    )


def test_real_tags_by_sets(run, tmp_path, real_data):
    path = real_data / "dcase2017" / "groundtruth_weak_label_evaluation_set.csv"
    rows = [(row[0], row[3]) for row in read_rows(path)]
    labels = sorted({label for _, label in rows})
    said = {(row[0], row[3]) for row in perturb([(n, "0", "1", k) for n, k in rows], 1, labels)}
    report, _ = scored(
        run, path, write_list(tmp_path / "e.tsv", [(f"Y{n}", k) for n, k in sorted(said)], TAGS)
    )
    hits = len(said & set(rows))
    assert report["tagging"] == pytest.approx(
        {
            "precision": hits / len(said),
            "recall": hits / len(rows),
            "f1": 2 * hits / (len(said) + len(rows)),
        }
    )


# ---- errors ----


@pytest.mark.parametrize(
    "content, message",
    [
        (
            b"",
            "is empty; expected filename<TAB>event_label or filename<TAB>onset<TAB>offset<TAB>event_label",
        ),
        (b"\n\r\n \n", "is empty"),
        (
            EVENTS.encode(),
            "contains no tags or events, so there is nothing to evaluate; check that its columns are separated by tabs",
        ),
        (b"a.wav\nb.wav\n", "contains no tags or events"),
        (b"\x89HDF\r\n\x1a\n\x00\xff", r"not UTF-8 text"),
        (b"ab\x00\x01\x02\n", ":1: contains the control character '\\x00'; expected text"),
        ("a.wav\tCar\n".encode("utf-16"), "not UTF-8 text"),
        (
            b"a.wav 0 10 Car\n",
            ":1: expected filename<TAB>event_label or filename<TAB>onset<TAB>offset<TAB>event_label, found no tab",
        ),
        (b'a b,60.000,70.000,"Train","/m/07jdr"\n', ":1: expected filename<TAB>event_label"),
        (b"a.wav\t0\t1\n", "found 3 tab-separated fields: 'a.wav\\t0\\t1'"),
        (b"a.wav\t0\t1\t\n", "found 3 tab-separated fields"),
        (b"a.wav\t0\t1\tCar\t0.9\n", "found 5 tab-separated fields"),
        (b"\t0\t1\tCar\n", ":1: the file name is missing"),
        (b"a.wav\t2\t1\tCar\n", ":1: the event ends (1 s) before it starts (2 s)"),
        (b"a.wav\tnan\t1\tCar\n", ":1: onset must be a number of seconds, found 'nan'"),
        (b"a.wav\t0\tinf\tCar\n", ":1: offset must be a number of seconds, found 'inf'"),
        (
            b"a.wav\t-1\t1\tCar\n",
            ":1: onset must be a number of seconds, found '-1', which is negative",
        ),
        (b"a.wav\t0\t1\tnan\n", ":1: expected a class, found 'nan'"),
        ("a.wav\t0\t１.５\tCar\n".encode(), "found '１.５'; write it with the digits 0 to 9"),
        (b"a.wav\t\t1\tCar\n", ":1: onset must be a number of seconds, found ''"),
        (b"a.wav\t0,5\t1\tCar\n", ":1: onset must be a number of seconds, found '0,5'"),
        (b'a.wav\t0\t1\t"Car"\n', ':1: the class "Car" is in quotes; remove the quotes'),
        (b"filename\tevent_label\tscore\n", ":1: expected filename<TAB>event_label or"),
        (
            b"filename\tonset\toffset\tevent_label\na.wav\t0\t1\n",
            ":2: expected filename<TAB>event_label or",
        ),
        (
            b"filename\tonset\toffset\tevent_label\na.wav\t0\t1\t\n",
            ":2: expected a class, found an empty field; for a clip without tags or events, write",
        ),
        (b"filename\tevent_labels\na.wav\tCar,\n", ":2: expected a class, found an empty field"),
        (
            b"a.wav\t0\t1e7\tCar\n",
            "lasts 1e+07 s; expected at most 31 days; write times in seconds",
        ),
    ],
)
def test_wrong_lists(run, tmp_path, content, message):
    wrong, right = (
        tmp_path / "wrong list.csv",
        write_list(tmp_path / "right.csv", [("a.wav", 0, 1, "Car")]),
    )
    wrong.write_bytes(content)
    found = refused(run, wrong, right)
    assert found.startswith(f"{wrong}") and message in found and "\n" not in found
    if b"\t1e7" not in content and b"Car" in content:
        assert message in refused(run, right, wrong)


def test_wrong_paths(run, tmp_path):
    right = write_list(tmp_path / "right.csv", [("a.wav", 0, 1, "Car")])
    assert refused(run, tmp_path / "no such", right) == f"{tmp_path / 'no such'}: no such file"
    assert (
        refused(run, right, tmp_path)
        == f"{tmp_path}: is a folder; choose a list, such as tags.tsv or events.tsv in this folder"
    )
    assert run("score-files", right).exit_code == 2
    other = write_list(tmp_path / "other.csv", [("b.wav", 0, 1, "Car")])
    assert refused(run, right, other) == (
        f"{other}: contains no clip of {right}; found b.wav, expected clips such as a.wav; "
        "check the file names, and that the columns are separated by tabs"
    )


def test_faults_of_both_lists_at_once(run, tmp_path):
    rows = [("a.wav", 2, 1, "Car"), ("a.wav", "x", 1, "Car"), ("a.wav", 0, 1, "Car")]
    one, two = write_list(tmp_path / "one", rows), write_list(tmp_path / "two", rows * 2)
    lines = refused(run, one, two).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        f"{one}:1",
        f"{one}:2",
        f"{two}:1",
        f"{two}:2",
        f"{two}:4",
        "... and 1 more",
    ]


def test_names_of_all_sorts(run, tmp_path):
    names = [
        "-a b.wav",
        "--help",
        "音 🔔.flac",
        "a, b; c.wav",
        "Dr. No 1.5",
        'x"y".wav',
        "10 20 30",
    ]
    truth = write_list(
        tmp_path / "t",
        [*((n, 0, 1, 'a "b"') for n in names), ("clip, with, commas",), ("another clip.wav",)],
    )
    report, warnings = scored(run, truth, truth)
    assert (
        warnings == ""
        and report["clips"]["scored"] == 9
        and list(report["classes"]) == ['a "b"']
        and report["event"]["f1"] == 1.0
    )


@pytest.mark.parametrize(
    "header", ["filename\tevent_label", "filename\tonset\toffset\tevent_label"]
)
def test_a_header_below_a_blank_line_is_no_clip(run, tmp_path, header):
    row = "\t".join(["a.wav", "0", "1", "Dog"][:: 1 if "onset" in header else 3])
    reports = []
    for before in ("", "\n\t\n"):
        (tmp_path / "list.tsv").write_text(f"{before}{header}\n{row}\n")
        result = run("score-files", tmp_path / "list.tsv", tmp_path / "list.tsv", "--json")
        assert result.exit_code == 0, result.stderr
        reports.append(json.loads(result.stdout))
    assert reports[1] == reports[0] and reports[1]["clips"]["scored"] == 1
    assert list(reports[1]["classes"]) == ["Dog"]
