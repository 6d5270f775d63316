"""score: report.json compared with sed_eval and scikit-learn, its keys, and the counted clips."""

import hashlib
import json
import math

import numpy as np
import pytest
import yaml
from helpers import make_point, write_score_file, write_set
from oracle import (
    LABELS,
    assert_class_figures,
    assert_segment_figures,
    event_based,
    random_lists,
    segment_based,
)
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from wsedtk.core.errors import InputError
from wsedtk.data import datadir, events
from wsedtk.decoding import operating_point
from wsedtk.evaluation import average_precision
from wsedtk.stages import score
from wsedtk.stages.options.results import ScoreOptions

SEGMENT = {
    "error_rate",
    "substitution_rate",
    "deletion_rate",
    "insertion_rate",
    "precision",
    "recall",
    "f1",
}
F1 = {"precision", "recall", "f1"}
BASELINES = {"nothing", "everything", "system_tags", "true_tags"}


def name_of(clip):
    return f"clip {clip:02d}.wav"


def make_lists(folder, seed=0, with_events=True, with_scores=True, num_clips=12):
    """Write a set, a decoded folder and scores of random lists.

    Clip 11 has neither tags nor events in any list; clip 0 has a zero-length event. Returns
    (reference, estimate, durations, true tags, estimated tags, scores).
    """
    reference, estimate, durations = random_lists(seed, num_clips, past_end=False, zero_length=True)
    reference, estimate = ([row for row in rows if row[0] != 11] for rows in (reference, estimate))
    rng = np.random.default_rng(seed)
    true, said = np.zeros((num_clips, len(LABELS)), bool), np.zeros((num_clips, len(LABELS)), bool)
    for tags, rows in ((true, reference), (said, estimate)):
        for clip, _, _, label in rows:
            tags[clip, label] = True
    said[3], said[4, 0], said[11] = True, False, False
    clips = [(name_of(i), "", d) for i, d in enumerate(durations)]
    write_set(
        folder / "set",
        clips,
        LABELS,
        [(name_of(i), LABELS[k]) for i, k in np.argwhere(true)],
        [(name_of(c), on, off, LABELS[k]) for c, on, off, k in reference] if with_events else None,
    )
    datadir.write_decoded(
        folder / "out",
        [name_of(i) for i in range(num_clips)],
        durations,
        LABELS,
        said,
        events=events.Events.from_rows(estimate),
    )
    clip_scores = np.round(np.clip(rng.normal(0.3 + 0.3 * true, 0.2), 0.01, 0.99), 2).astype(
        np.float32
    )
    if with_scores:
        order = rng.permutation(num_clips)
        frame = rng.random((num_clips, 101, len(LABELS)))
        write_score_file(
            folder / "scores.h5",
            [name_of(i) for i in order],
            LABELS,
            clip_scores[order],
            frame,
            durations=durations[order],
        )
    return reference, estimate, durations, true, said, clip_scores


def scored(run, folder, *options):
    result = run("score", folder / "set", folder / "out", "--json", *options)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("seed", range(4))
def test_score_equals_sed_eval_and_scikit_learn(run, tmp_path, seed):
    reference, estimate, durations, true, said, clip = make_lists(tmp_path, seed)
    report = scored(run, tmp_path, "--scores", tmp_path / "scores.h5")
    lasting = [row for row in reference if row[2] > row[1]]
    assert len(lasting) < len(reference)
    segment, event = (
        segment_based(lasting, estimate, durations),
        event_based(lasting, estimate, len(durations)),
    )
    assert_segment_figures(report["segment"], segment)
    assert_class_figures({label: report["classes"][label]["segment"] for label in LABELS}, segment)
    assert_class_figures({label: report["classes"][label]["event"] for label in LABELS}, event)
    assert (
        report["event"]["f1"] == pytest.approx(event.overall_f_measure()["f_measure"], abs=1e-9)
        and report["event"]["f1"] > 0
    )
    assert report["tagging"]["f1"] == pytest.approx(f1_score(true, said, average="micro"))
    for k, label in enumerate(LABELS):
        assert report["classes"][label]["tagging"]["f1"] == pytest.approx(
            f1_score(true[:, k], said[:, k], zero_division=0)
        )
        ranks = report["classes"][label]["audioset"]
        assert (
            ranks["ap"] == pytest.approx(average_precision_score(true[:, k], clip[:, k]))
            and ranks["positives"] == true[:, k].sum()
        )
        assert ranks["auc"] == pytest.approx(roc_auc_score(true[:, k], clip[:, k]))
        assert ranks["dprime"] == average_precision.dprime(ranks["auc"])
    assert report["audioset"]["map"] == pytest.approx(average_precision_score(true, clip))
    assert report["audioset"]["mauc"] == pytest.approx(roc_auc_score(true, clip))
    names = [name_of(i) for i in range(12)]
    assert report["clips"] == {
        "scored": 12,
        "official": 12,
        "is_official": False,
        "fingerprint": hashlib.sha256("\n".join(names).encode()).hexdigest()[:16],
        "tuned_on_these": False,
    }


def test_events_are_cut_at_the_end_of_the_clip(run, tmp_path):
    write_set(
        tmp_path / "set",
        [("a", "", 2.5), ("b", "", 10)],
        ["Car", "Dog"],
        [("a", "Car")],
        [("a", 1, 4, "Car"), ("a", 3, 4, "Dog")],
    )
    said = events.Events.from_rows(
        [(0, 1.0, 2.7, 0), (0, 2.5, 2.7, 1), (0, 2.6, 2.7, 1)]
    )  # the recording lasts 2.7 s
    datadir.write_decoded(
        tmp_path / "out",
        ["a", "b"],
        [2.7, 10],
        ["Car", "Dog"],
        np.array([[1, 0], [0, 0]], bool),
        events=said,
    )
    report = scored(run, tmp_path)
    assert report["segment"]["f1"] == 1.0 and report["segment"]["error_rate"] == 0.0
    assert report["event"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert (
        report["classes"]["Dog"]["segment"]["f1"] is None
        and report["classes"]["Dog"]["event"]["f1"] is None
    )


def keys_of(report):
    assert set(report) >= {
        "tagging",
        "segment",
        "event",
        "psds",
        "audioset",
        "consistency",
        "classes",
        "baselines",
        "clips",
        "made_from",
    }
    assert (
        F1 <= set(report["tagging"])
        and SEGMENT <= set(report["segment"])
        and F1 <= set(report["event"])
    )
    assert set(report["psds"]) == {"psds1", "psds2"} and {"map", "mauc", "dprime"} <= set(
        report["audioset"]
    )
    assert set(report["consistency"]) == {"segments_without_tag", "tags_without_segment"}
    assert set(report["classes"]) == set(LABELS)
    for found in report["classes"].values():
        assert set(found) == {"tagging", "segment", "event", "audioset"} and set(
            found["audioset"]
        ) == {"ap", "auc", "dprime", "positives"}
        assert set(found["tagging"]) == set(found["event"]) == F1
        assert set(found["segment"]) == SEGMENT - {"substitution_rate"}
    assert set(report["baselines"]) == BASELINES
    for found in report["baselines"].values():
        assert (
            set(found) == {"tagging", "segment"}
            and set(found["tagging"]) == F1
            and set(found["segment"]) == SEGMENT
        )
    assert set(report["clips"]) == {
        "scored",
        "official",
        "is_official",
        "fingerprint",
        "tuned_on_these",
    }


@pytest.mark.parametrize("with_events", [True, False])
@pytest.mark.parametrize(
    "options", [[], ["--scores"], ["--bootstrap", "20"], ["--scores", "--bootstrap", "20"]]
)
def test_every_key_is_there_and_null_where_nothing_can_be_measured(
    run, tmp_path, with_events, options
):
    make_lists(tmp_path, 1, with_events)
    options = [
        part for o in options for part in ([o, tmp_path / "scores.h5"] if o == "--scores" else [o])
    ]
    report = scored(run, tmp_path, *options)
    keys_of(report)
    assert report == json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert all(report["tagging"][k] is not None for k in F1)
    assert all((report["segment"][k] is not None) == with_events for k in SEGMENT)
    assert all((report["event"][k] is not None) == with_events for k in F1)
    assert all(
        (report["audioset"][k] is not None) == ("--scores" in options)
        for k in ("map", "mauc", "dprime")
    )
    assert (report["psds"]["psds1"] is not None) == ("--scores" in options and with_events)
    for label in LABELS:
        assert (report["classes"][label]["segment"]["f1"] is not None) == with_events
        assert all(
            (report["classes"][label]["audioset"][k] is not None) == ("--scores" in options)
            for k in ("ap", "auc", "positives")
        )
    # The consistency of a system with itself, and the tags of baselines, need no true events.
    assert (
        report["consistency"]["tags_without_segment"] is not None
        and report["consistency"]["segments_without_tag"] is not None
    )
    assert all(report["baselines"][n]["tagging"]["f1"] is not None for n in BASELINES)
    assert all(
        (report["baselines"][n]["segment"]["error_rate"] is not None) == with_events
        for n in BASELINES
    )
    for section, names in (
        ("tagging", F1),
        ("segment", SEGMENT),
        ("event", F1),
        ("audioset", {"map", "mauc", "dprime"}),
    ):
        for name in names if "--bootstrap" in options else ():
            interval = report[section].get(f"{name}_ci")
            if report[section][name] is None:
                assert interval is None
            else:
                assert (
                    interval[0] <= report[section][name] + 0.1
                    and interval[1] >= report[section][name] - 0.1
                )
                assert interval[0] < interval[1]
    if "--bootstrap" not in options:
        assert "_ci" not in json.dumps(report)


def test_without_events_consistency_is_that_of_the_system(run, tmp_path):
    make_lists(tmp_path / "a", 1), make_lists(tmp_path / "b", 1, with_events=False)
    a, b = scored(run, tmp_path / "a"), scored(run, tmp_path / "b")
    assert a["consistency"] == b["consistency"]
    for name in BASELINES:
        assert a["baselines"][name]["tagging"] == b["baselines"][name]["tagging"]


def test_json_alone_is_on_stdout(run, tmp_path):
    make_lists(tmp_path, 2)
    (tmp_path / "out" / "failed.tsv").write_text("filename\nclip 11.wav\n")
    (tmp_path / "out" / "clips.tsv").write_text(
        "\n".join((tmp_path / "out" / "clips.tsv").read_text().splitlines()[:-1]) + "\n"
    )
    result = run(
        "score",
        tmp_path / "set",
        tmp_path / "out",
        "--json",
        "--scores",
        tmp_path / "scores.h5",
        "--bootstrap",
        "5",
    )
    assert json.loads(result.stdout)["clips"].items() >= {"scored": 11, "official": 12}.items()
    assert (
        "1 clip of" in result.stderr
        and "is not evaluated because extract could not use the audio: clip 11.wav" in result.stderr
    )
    plain = run("score", tmp_path / "set", tmp_path / "out")
    assert plain.stdout == (tmp_path / "out" / "report.txt").read_text(encoding="utf-8")
    assert (
        "11 of 12 clips in the set" in plain.stdout
        and "true tags, whole clip" in plain.stdout
        and LABELS[1] in plain.stdout
    )


def header_of(text, first):
    """Return the columns, except the first, of the table whose first column is `first`."""
    line = next(line for line in text.splitlines() if line.startswith(first + "  "))
    return {name.strip() for name in line.removeprefix(first).split("  ")} - {""}


def test_the_tables_have_the_columns_that_were_measured(run, tmp_path):
    make_lists(tmp_path / "with", 1), make_lists(tmp_path / "without", 1, with_events=False)
    for folder, system, classes in (
        ("with", ["ER", "seg F1"], ["seg ER", "event F1"]),
        ("without", [], []),
    ):
        for options, averages, ranks in (
            ([], [], []),
            (
                ["--scores", tmp_path / folder / "scores.h5"],
                ["MAP", "MAUC", "d'"],
                ["AP", "AUC", "d'", "clips"],
            ),
        ):
            text = run(
                "score", tmp_path / folder / "set", tmp_path / folder / "out", *options
            ).stdout
            found = header_of(text, "system")
            assert "tag F1" in found and {"ER", "seg F1", "MAP", "MAUC", "d'"} & found == set(
                system or averages
            )  # otherwise in a line
            found = header_of(text, "class")
            assert "tag F1" in found and {
                "seg ER",
                "event F1",
                "AP",
                "AUC",
                "d'",
                "clips",
            } & found == {*classes, *ranks}
            assert ("over 3 of 3 classes, those with positives" in text) == bool(options)
            assert (
                ("events (200 ms)" in text)
                == ("true tags, whole clip" in text)
                == (folder == "with")
            )
            assert ("PSDS" in text) == (folder == "with")


def zero_length_set(folder):
    """Write a set and scores: Car has events in clips a and b, Dog one of length zero in c."""
    write_set(
        folder / "set",
        [(n, "", 10) for n in "abc"],
        LABELS,
        [("a", "Car"), ("b", "Car"), ("c", "Dog")],
        [
            ("a", 1, 3, "Car"),
            ("a", 2, 4, "Car"),
            ("a", 3.5, 3.5, "Car"),
            ("b", 2, 7, "Car"),
            ("c", 0, 0, "Dog"),
        ],
    )
    frame = np.full((3, 100, 3), 0.1)
    frame[0, 10:40, 0], frame[1, 20:65, 0], frame[2, 50:60, 0] = 0.9, 0.8, 0.85
    write_score_file(
        folder / "scores.h5", list("abc"), LABELS, frame.max(axis=1), frame, durations=[10, 6.5, 10]
    )
    operating_point.write(folder / "p.yaml", make_point(3, LABELS, mode="frame"))


def test_dropped_true_events_are_reported_beside_the_event_figure(run, tmp_path):
    zero_length_set(tmp_path)
    run("decode", tmp_path / "scores.h5", tmp_path / "p.yaml", tmp_path / "out")
    text = run("score", tmp_path / "set", tmp_path / "out").stdout
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    line = next(line for line in text.splitlines() if line.startswith("events (200 ms)"))
    assert line == (
        f"events (200 ms): F1 {report['event']['f1']:.3f} "
        "(zero-length reference events dropped: 2); PSDS1 -, PSDS2 -"
    )
    assert line in (tmp_path / "out" / "report.txt").read_text()
    events_path = tmp_path / "set" / "events.tsv"
    lasting = [
        row
        for row in events_path.read_text().splitlines()
        if "\t0\t0\t" not in row and "3.5\t3.5" not in row
    ]
    events_path.write_text("\n".join(lasting) + "\n")
    text = run("score", tmp_path / "set", tmp_path / "out").stdout
    assert f"F1 {report['event']['f1']:.3f}; PSDS1 -" in text and "zero-length" not in text


@pytest.mark.parametrize("with_scores", [False, True])
def test_of_many_classes_the_best_and_worst_are_printed(run, tmp_path, with_scores):
    names, labels = [name_of(i) for i in range(100)], [f"class {k}" for k in range(50)]
    true = np.arange(100)[:, None] % 50 == np.arange(50)  # two clips per class
    true[:, 49] = False
    clip = (
        true - np.linspace(0, 0.98, 50) * (np.random.default_rng(0).random((100, 50)) + 0.5) + 1.5
    ) / 2.5  # from perfect to bad
    write_set(
        tmp_path / "set",
        [(n, "", 10) for n in names],
        labels,
        [(names[i], labels[k]) for i, k in np.argwhere(true)],
    )
    datadir.write_decoded(
        tmp_path / "out",
        names,
        [10.0] * 100,
        labels,
        clip > 0.84,
        events=events.Events.from_rows([]),
    )
    write_score_file(tmp_path / "scores.h5", names, labels, clip)
    options = ["--scores", tmp_path / "scores.h5"] if with_scores else []
    printed = run("score", tmp_path / "set", tmp_path / "out", *options).stdout
    text = (tmp_path / "out" / "report.txt").read_text(encoding="utf-8")
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    summary, _, last = printed.removesuffix("\n").rpartition("\n")
    assert (
        last == f"{tmp_path / 'out' / 'report.txt'} contains the table of all 50 classes"
        and text.startswith(summary)
    )
    assert (
        text.removeprefix(summary).count("\n") == 1 + 1 + 50
        and ("over 49 of 50 classes" in text) == with_scores
    )
    what, section, key = ("AP", "audioset", "ap") if with_scores else ("tag F1", "tagging", "f1")
    for title, best in (
        (f"best 10 of 50 classes by {what}\n", max),
        (f"worst 10 of 50 classes by {what}\n", min),
    ):
        rows = summary.split(title)[1].split("\n\n")[0].strip().split("\n")[1:]
        values = {
            label: c[section][key]
            for label, c in report["classes"].items()
            if c[section][key] is not None
        }
        shown = [values[" ".join(row.split()[:2])] for row in rows]
        assert (
            len(rows) == 10
            and shown == sorted(values.values(), reverse=best is max)[:10]
            and shown[0] == best(values.values())
        )


def test_only_clips_of_both_sides_are_scored(run, tmp_path):
    reference, estimate, durations, true, said, _ = make_lists(tmp_path, 3)
    kept = [i for i in range(12) if i not in (1, 5)]
    decoded = datadir.read_decoded(tmp_path / "out", LABELS).select(np.isin(np.arange(12), kept))
    rows = [*decoded.events.rows(), (10, 0.0, 9.0, 0)]
    tags = np.concatenate([decoded.tag_matrix(), np.ones((1, 3), bool)])
    datadir.write_decoded(
        tmp_path / "out",
        [*decoded.filenames.tolist(), "other.wav"],
        [*decoded.durations, 10.0],
        LABELS,
        tags,
        events=events.Events.from_rows(rows),
    )
    (tmp_path / "out" / "failed.tsv").write_text(f"filename\n{name_of(5)}\n{name_of(1)}\n")
    (tmp_path / "set" / "info.yaml").write_text("official_clips: 488\n")
    result = run(
        "score", tmp_path / "set", tmp_path / "out", "--json", "--scores", tmp_path / "scores.h5"
    )
    report = json.loads(result.stdout)
    assert (
        f"1 decoded clip is not evaluated because {tmp_path / 'set'} does not contain it: other.wav"
        in result.stderr
    )
    assert (
        f"2 clips of {tmp_path / 'set'} are not evaluated because extract could not use the audio: {name_of(1)}, {name_of(5)}"
        in result.stderr
    )
    assert report["clips"].items() >= {"scored": 10, "official": 488}.items()
    assert report["tagging"]["f1"] == pytest.approx(
        f1_score(true[kept], said[kept], average="micro")
    )
    lasting = [row for row in reference if row[2] > row[1]]
    assert_segment_figures(
        report["segment"], segment_based(lasting, estimate, durations, clips=kept)
    )


@pytest.mark.parametrize("failed", ["filename\n", "filename\nclip 05.wav\n"])
def test_a_clip_that_was_not_decoded_is_an_error(run, tmp_path, failed):
    make_lists(tmp_path, 2)
    lines = (tmp_path / "out" / "clips.tsv").read_text().splitlines()
    (tmp_path / "out" / "clips.tsv").write_text("\n".join(lines[:-1]) + "\n")
    (tmp_path / "out" / "failed.tsv").write_text(failed)
    result = run("score", tmp_path / "set", tmp_path / "out")
    assert (
        result.exit_code == 1
        and f"out: lacks 1 of 12 clips of {tmp_path / 'set'}, for example 'clip 11.wav'; predict "
        "and decode the whole set, or remove the missing clips from the set"
        in result.stderr
    )


def test_a_perfect_system(run, tmp_path):
    names, durations = [name_of(i) for i in range(4)], [10.0] * 4
    rows = [(0, 1.0, 3.0, 0), (1, 2.0, 4.0, 1), (2, 0.0, 10.0, 0)]
    true = np.array([[1, 0], [0, 1], [1, 0], [0, 0]], bool)
    write_set(
        tmp_path / "set",
        [(n, "", 10) for n in names],
        ["Car", "Dog"],
        [(names[i], ["Car", "Dog"][k]) for i, k in np.argwhere(true)],
        [(names[c], on, off, ["Car", "Dog"][k]) for c, on, off, k in rows],
    )
    frame = np.full((4, 100, 2), 0.1)
    for clip, onset, offset, label in rows:
        frame[clip, round(onset * 10) : round(offset * 10), label] = 0.9
    write_score_file(tmp_path / "scores.h5", names, ["Car", "Dog"], frame.max(axis=1), frame)
    operating_point.write(tmp_path / "p.yaml", make_point(labels=["Car", "Dog"], mode="frame"))
    assert (
        run("decode", tmp_path / "scores.h5", tmp_path / "p.yaml", tmp_path / "out").exit_code == 0
    )
    report = scored(run, tmp_path, "--scores", tmp_path / "scores.h5", "--bootstrap", "30")
    for section in ("tagging", "segment", "event"):
        assert report[section]["f1"] == 1.0 and report[section]["f1_ci"] == [1.0, 1.0]
    assert report["segment"]["error_rate"] == 0.0
    assert report["consistency"] == {"segments_without_tag": 0.0, "tags_without_segment": 0.0}
    assert report["audioset"]["map"] == 1.0 and report["audioset"]["mauc"] == 1.0
    assert (
        report["audioset"]["dprime"] is None and report["audioset"]["dprime_ci"] is None
    )  # infinite, which JSON can't represent
    assert report["baselines"]["true_tags"]["tagging"]["f1"] == 1.0 and durations


def test_dprime_has_the_interval_of_its_area(run, tmp_path):
    make_lists(tmp_path, 0, num_clips=60)
    a = scored(run, tmp_path, "--scores", tmp_path / "scores.h5", "--bootstrap", "40")["audioset"]
    assert [0.5 * (1 + math.erf(d / 2)) for d in a["dprime_ci"]] == pytest.approx(
        a["mauc_ci"], abs=1e-9
    )
    assert a["dprime_ci"][0] < a["dprime"] < a["dprime_ci"][1]


def test_nothing_decoded_and_nothing_true(run, tmp_path):
    write_set(tmp_path / "set", [("a", "", 10)], LABELS, [], [])
    datadir.write_decoded(
        tmp_path / "out",
        ["a"],
        [10.0],
        LABELS,
        np.zeros((1, 3), bool),
        events=events.Events.from_rows([]),
    )
    write_score_file(
        tmp_path / "scores.h5", ["a"], LABELS, [[0.1, 0.2, 0.3]], np.full((1, 100, 3), 0.1)
    )
    report = scored(run, tmp_path, "--scores", tmp_path / "scores.h5", "--bootstrap", "5")
    keys_of(report)
    assert (
        report["tagging"]["f1"] is None
        and report["segment"]["error_rate"] is None
        and report["audioset"]["map"] is None
    )
    assert report["tagging"]["f1_ci"] is None and report["audioset"]["map_ci"] is None


def test_a_score_is_the_same_every_time(run, tmp_path):
    make_lists(tmp_path, 2)
    options = ["--scores", tmp_path / "scores.h5", "--bootstrap", "10"]
    assert scored(run, tmp_path, *options) == scored(run, tmp_path, *options)


def test_the_reference_is_written_beside_the_report(run, tmp_path):
    reference, _, _, true, _, _ = make_lists(tmp_path, 2)
    scored(run, tmp_path)
    found = datadir.read_decoded(tmp_path / "out" / "reference", LABELS)
    assert (
        len(found.events) == len(reference)
        and (found.tag_matrix() == true).all()
        and len(found) == 12
    )
    assert found.info["data_set"] == str(tmp_path / "set")  # the place of its audio


# ---- errors ----


def refused(folder, message, scores=None):
    with pytest.raises(InputError, match=message):
        score.run(ScoreOptions(folder / "set", folder / "out", scores=scores))


def test_wrong_folders(tmp_path):
    make_lists(tmp_path)
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    refused(tmp_path, "out: no such folder; create it with wsedtk decode")
    (tmp_path / "out").mkdir()
    refused(tmp_path, "clips.tsv: no such file")
    (tmp_path / "out").rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / "out")
    (tmp_path / "out" / "events.tsv").write_text("")
    refused(tmp_path, "events.tsv:1: expected the header")
    (tmp_path / "out" / "events.tsv").unlink()
    refused(tmp_path, "events.tsv: no such file")
    (tmp_path / "set" / "labels.txt").write_text("Car\nCat\n")
    refused(tmp_path, "unknown class 'Air horn, truck horn'|unknown class 'Dog'")


def test_a_decoded_folder_of_other_clips(tmp_path):
    make_lists(tmp_path)
    datadir.write_decoded(
        tmp_path / "out",
        ["x.wav"],
        [10.0],
        LABELS,
        np.zeros((1, 3), bool),
        events=events.Events.from_rows([]),
    )
    refused(tmp_path, "out: .*set contains none of the decoded clips")


def test_a_decoded_folder_of_other_classes(tmp_path):
    make_lists(tmp_path)
    datadir.write_decoded(
        tmp_path / "out",
        [name_of(0)],
        [10.0],
        ["Cat"],
        np.ones((1, 1), bool),
        events=events.Events.from_rows([]),
    )
    refused(tmp_path, "unknown class 'Cat'")


def test_wrong_scores(tmp_path):
    make_lists(tmp_path)
    refused(tmp_path, "nothing.h5: no such file", tmp_path / "nothing.h5")
    write_score_file(tmp_path / "other.h5", [name_of(0)], ["Car", "Dog"], [[0.5, 0.5]])
    refused(
        tmp_path,
        "other.h5: the classes, or their order, differ from those of the reference",
        tmp_path / "other.h5",
    )
    write_score_file(
        tmp_path / "few.h5", [name_of(i) for i in range(10)], LABELS, np.full((10, 3), 0.5)
    )
    refused(
        tmp_path,
        "few.h5: lacks the scores of 2 evaluated clips, for example 'clip 10.wav'",
        tmp_path / "few.h5",
    )


@pytest.mark.parametrize("value", ["many", True, [1], -3, 2.5])
def test_the_official_count_must_be_a_number(tmp_path, value):
    make_lists(tmp_path)
    (tmp_path / "set" / "info.yaml").write_text(yaml.safe_dump({"official_clips": value}))
    refused(tmp_path, "info.yaml: official_clips: found .*; expected a whole number of at least 0")
