"""comparisons and scored_systems: against loops, scikit-learn and cases computed by hand."""

import dataclasses
import shutil

import numpy as np
import pytest
import sklearn.metrics
from helpers import make_point, write_score_file, write_set, write_sound

from wsedtk.core.errors import InputError
from wsedtk.decoding import operating_point
from wsedtk.evaluation import (
    average_precision,
    bootstrap,
    comparisons,
    metrics,
    report_data,
    scored_systems,
)
from wsedtk.evaluation.columns import columns
from wsedtk.evaluation.metric import Place

LABELS = ["Car", "Air horn, truck horn", "Dog"]


@pytest.fixture(scope="module")
def exp(tmp_path_factory):
    """Two systems on 12 clips of 2 to 4 s with three classes, one system better than the other.

    Both are decoded in both modes and evaluated.
    """
    from click.testing import CliRunner

    from wsedtk.cli import main as cli

    root, rng = tmp_path_factory.mktemp("systems"), np.random.default_rng(0)
    names, durations = [f"clip {i:02d}.wav" for i in range(12)], np.array([2.0, 3.0, 4.0] * 4)
    events, frames = [], np.zeros((12, 40, 3), np.float32)
    for i in range(12):
        for k in {i % 3, i * i % 2}:
            onset = (i % 4) / 4
            events.append((names[i], onset, onset + 1, LABELS[k]))
            frames[i, round(10 * onset) : round(10 * onset) + 10, k] = 0.9
    for name, seconds in zip(names, durations):
        write_sound(root / "audio" / name, seconds, frequency=300)
    data = write_set(
        root / "data",
        [(n, f"../audio/{n}", d) for n, d in zip(names, durations)],
        LABELS,
        [(e[0], e[3]) for e in events],
        events,
    )

    def call(*arguments):
        result = CliRunner().invoke(cli.cli, [str(a) for a in arguments], catch_exceptions=False)
        assert result.exit_code == 0

    operating_point.write(root / "point.yaml", make_point(3, LABELS))
    for system, noise in (("good", 0.1), ("poor", 0.5)):
        values = np.clip(frames + rng.normal(0, noise, frames.shape), 0, 1).astype(np.float32)
        values[np.arange(40) >= (10 * durations)[:, None].astype(int)] = 0
        scores = write_score_file(
            root / "exp" / system / "test" / "scores.h5",
            names,
            LABELS,
            values.max(axis=1),
            values,
            values.reshape(12, 4, 10, 3).mean(axis=2),
            durations=durations,
        )
        for mode in ("frame", "segment"):
            call("decode", "--mode", mode, scores, root / "point.yaml", scores.parent / mode)
            call("score", "--scores", scores, data, scores.parent / mode)
    return root / "exp"


@pytest.fixture
def systems(exp):
    """The Scored folders of both systems."""
    return scored_systems.read_systems(scored_systems.find_systems([exp]))


def active_segments(one):
    evidence = one.evidence
    return evidence.true_segments, evidence.decoded_segments, evidence.clip_of_segment


# ---- differences ----


def test_paired_differences_are_those_of_the_reports_and_of_loops_over_clips(systems):
    good, poor = (one for one in systems if one.mode == "frame")
    ((other, found),) = comparisons.paired_differences([good, poor], columns(Place.PAGE))
    assert other is poor
    for section, key in (
        ("tagging", "f1"),
        ("segment", "error_rate"),
        ("segment", "f1"),
        ("event", "f1"),
        ("audioset", "map"),
        ("audioset", "mauc"),
        ("psds", "psds1"),
    ):
        assert found[section, key][0] == pytest.approx(
            poor.report[section][key] - good.report[section][key]
        )
    assert found["segment", "f1"][0] < 0 and found["segment", "f1"][1][1] < 0  # it is surely worse
    rates = []
    for weight in bootstrap.clip_weights(12, 1000):
        drawn = np.repeat(np.arange(12), weight.astype(int))
        both = []
        for one in (poor, good):
            true, said, clip_of = active_segments(one)
            per_clip = metrics.sum_by_clip(metrics.segment_counts(true, said), clip_of, 12)
            both.append(metrics.segment_figures(per_clip[drawn].sum(axis=0))["error_rate"])
        rates.append(both[0] - both[1])
    assert found["segment", "error_rate"][1] == pytest.approx(np.percentile(rates, [2.5, 97.5]))


def test_a_system_does_not_differ_from_itself(systems):
    ((_, found),) = comparisons.paired_differences([systems[0]] * 2, columns(Place.PAGE))
    assert [found["segment", key] for key in ("f1", "error_rate")] == [(0, [0, 0])] * 2
    assert found["audioset", "map"] == (0, [0, 0]) and found["tagging", "precision"] == (0, [0, 0])


def test_paired_differences_of_map_are_those_of_the_influences(systems):
    good, poor = (one for one in systems if one.mode == "frame")
    ((_, found),) = comparisons.paired_differences([good, poor], columns(Place.PAGE))
    tags = good.truth.tag_matrix()
    clip = [one.scores.clip[one.rows] for one in (good, poor)]
    without = np.empty((2, 12))
    for system, scores in enumerate(clip):
        for i in range(12):
            left = np.delete(tags, i, axis=0), np.delete(scores, i, axis=0)
            without[system, i] = sklearn.metrics.average_precision_score(*left, average="macro")
    spread = 11 * np.var(without[1] - without[0])  # (N - 1) / N times the sum of squares
    value, (low, high) = found["audioset", "map"]
    assert value == pytest.approx(poor.report["audioset"]["map"] - good.report["audioset"]["map"])
    assert low <= value <= high and high - low > 2 * 1.96 * np.sqrt(spread)


def test_a_difference_of_missing_metrics():
    nothing = np.zeros((4, 3))
    assert bootstrap.paired_intervals(
        metrics.f1_figures, bootstrap.clip_weights(4, 10), nothing, nothing
    )["f1"] == (None, None)
    found = average_precision.ranking_estimates(np.ones((4, 1)), np.zeros((4, 1), bool))
    assert found == {"map": None, "mauc": None, "dprime": None}


# ---- curves ----


def test_precision_and_recall_are_scikit_learns():
    rng = np.random.default_rng(1)
    scores, truth = rng.integers(0, 20, 200) / 20, rng.random(200) < 0.3
    precision, recall = average_precision.precision_recall(scores, truth)
    expected = sklearn.metrics.precision_recall_curve(truth, scores)
    np.testing.assert_allclose(precision, expected[0][:-1][::-1])
    np.testing.assert_allclose(recall, expected[1][:-1][::-1])


def test_a_thinned_curve_keeps_its_ends_and_its_points():
    precision, recall = np.linspace(1, 0.2, 10000), np.linspace(0, 1, 10000)
    thin = comparisons.thinned(average_precision.Curve(precision, recall))
    assert len(thin[0]) <= 400 and (thin[0][0], thin[1][-1], thin[0][-1]) == (1, 1, 0.2)
    assert set(zip(*thin)) <= set(zip(precision, recall))


def test_operating_points_are_precision_and_recall_of_the_tags(systems):
    for one in systems:
        classes = [one.report["classes"][label]["tagging"] for label in LABELS]
        assert comparisons.operating_points(one, [2, 0]) == [
            pytest.approx((classes[k]["precision"], classes[k]["recall"])) for k in (2, 0)
        ]


def test_segment_scores_are_those_of_each_clip(systems):
    found = comparisons.segment_scores(systems[0], [2, 0])
    expected = np.concatenate(
        [systems[0].scores.segments(row)[:, [2, 0]] for row in systems[0].rows]
    )
    np.testing.assert_array_equal(found, expected)


# ---- errors ----


def test_class_errors_are_those_of_sed_eval(systems):
    for one in systems:
        missed, added = comparisons.class_errors(one)
        true, _, _ = active_segments(one)
        for k, label in enumerate(LABELS):
            rates, count = one.report["classes"][label]["segment"], true[:, k].sum()
            assert (missed[k], added[k]) == pytest.approx(
                (rates["deletion_rate"] * count, rates["insertion_rate"] * count)
            )


def test_clips_are_chosen_by_their_errors():
    errors, num_true = np.array([0, 5, 0, 2, 0, 9]), np.array([1, 1, 3, 1, 0, 1])
    assert comparisons.choose_clips(errors, num_true, 2) == (
        [2, 0],
        [5, 1],
    )  # with more events first; clip 4 has none
    assert comparisons.choose_clips(errors, num_true, 10) == ([2, 0], [5, 1, 3])
    assert comparisons.choose_clips(np.zeros(2), np.ones(2, int), 10) == ([0, 1], [])


# ---- systems and their folders ----


def test_systems_are_found_in_model_and_experiment_directories(exp, tmp_path):
    both = {"good": exp / "good", "poor": exp / "poor"}
    assert (
        scored_systems.find_systems([exp])
        == both
        == scored_systems.find_systems([exp / "good", exp, exp / "good" / "."])
    )
    assert list(scored_systems.find_systems([exp / "poor", exp])) == ["poor", "good"]
    shutil.copytree(exp, tmp_path / "again")
    assert list(scored_systems.find_systems([exp, tmp_path / "again"])) == [
        "exp/good",
        "exp/poor",
        "again/good",
        "again/poor",
    ]
    with pytest.raises(
        InputError,
        match="nowhere: no such folder; give a model directory or an experiment directory",
    ):
        scored_systems.find_systems([exp, tmp_path / "nowhere"])


def test_systems_of_other_classes_are_not_compared(systems):
    other = dataclasses.replace(
        systems[1],
        report={
            **systems[1].report,
            "classes": dict(list(systems[1].report["classes"].items())[::-1]),
        },
    )
    with pytest.raises(InputError, match="the classes of the set 'test' differ from those of"):
        scored_systems.check_sets([systems[0], other])


def test_recordings_are_those_of_the_set_that_was_scored_against(exp, tmp_path):
    folder, data = tmp_path / "moved" / "good" / "test" / "frame", tmp_path / "data"
    shutil.copytree(exp, tmp_path / "moved")

    def recordings():
        return scored_systems.Scored(
            "good", folder, report_data.read_report(folder / "report.json")
        ).recordings

    found = recordings()
    assert len(found) == 12 and (exp.parent / "audio/clip 00.wav").samefile(found["clip 00.wav"])
    shutil.copytree(exp.parent / "data", data)
    (folder / "reference/info.yaml").write_text(f"data_set: {data}\n")
    assert len(recordings()) == 12
    tags = data / "tags.tsv"
    before = tags.read_text()
    tags.write_text(before.replace("clip 00.wav\tCar\n", ""))
    assert recordings() == {}  # not the set that was used for the evaluation
    tags.write_text(before)
    (folder / "reference/info.yaml").write_text("data_set: [1]\n")
    assert recordings() == {}
    (folder / "reference/info.yaml").unlink()
    assert recordings() == {}
