"""Ranking metrics compared with scikit-learn."""

import math

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import average_precision_score, roc_auc_score

from wsedtk.evaluation import average_precision


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("decimals", [1, 8])
def test_ranking_equals_scikit_learn(weighted, decimals):
    rng = np.random.default_rng(decimals)
    for _ in range(60):
        size = int(rng.integers(2, 60))
        truth, scores = (
            rng.random(size) < 0.3,
            np.round(rng.random(size), decimals).astype(rng.choice(["float32", "float64"])),
        )
        truth[0], truth[1] = True, False
        weight = rng.integers(0, 4, size).astype(float) if weighted else None
        if weighted:
            weight[:2] = 1
        assert average_precision.average_precision(scores, truth, weight) == pytest.approx(
            average_precision_score(truth, scores, sample_weight=weight), abs=1e-9
        )
        assert average_precision.roc_auc(scores, truth, weight) == pytest.approx(
            roc_auc_score(truth, scores, sample_weight=weight), abs=1e-9
        )


def test_ranking_of_absent_classes():
    scores = np.array([0.1, 0.7, 0.7])
    nobody, everybody = np.zeros(3, bool), np.ones(3, bool)
    assert (
        average_precision.average_precision(scores, nobody) is None
        and average_precision.roc_auc(scores, nobody) is None
    )
    assert (
        average_precision.average_precision(scores, everybody) == 1.0
        and average_precision.roc_auc(scores, everybody) is None
    )
    truth = np.array([[True, False, True], [False, False, True], [True, False, True]])
    table = np.array([[0.9, 0.5, 0.1], [0.8, 0.5, 0.2], [0.3, 0.5, 0.3]])
    found = average_precision.ranking_metrics(table, truth)
    assert found["map"] == pytest.approx(
        (average_precision_score(truth[:, 0], table[:, 0]) + 1) / 2
    )
    assert found["mauc"] == pytest.approx(
        roc_auc_score(truth[:, 0], table[:, 0])
    )  # the only class with positives and negatives
    assert average_precision.ranking_metrics(table, np.zeros_like(truth)) == {
        "map": None,
        "mauc": None,
        "dprime": None,
    }
    drawn = np.array([0.0, 1.0, 0.0])  # a resample without the positives of class 0
    assert average_precision.average_precision(table[:, 0], truth[:, 0], drawn) is None


def assert_classes(found, scores, truth, weight=None):
    """Compare each class of `class_ranking` with scikit-learn."""
    for k, one in enumerate(found):
        assert one["positives"] == truth[:, k].sum()
        weighted = truth[:, k] if weight is None else truth[weight > 0, k]
        if not weighted.any():
            assert one["ap"] is None and one["auc"] is None and one["dprime"] is None
            continue
        expected = average_precision_score(truth[:, k], scores[:, k], sample_weight=weight)
        assert one["ap"] == pytest.approx(expected, abs=1e-9)
        if weighted.all():
            assert one["ap"] == pytest.approx(1) and one["auc"] is None and one["dprime"] is None
            continue
        assert one["auc"] == pytest.approx(
            roc_auc_score(truth[:, k], scores[:, k], sample_weight=weight), abs=1e-9
        )
        assert one["dprime"] == average_precision.dprime(one["auc"])


def ranking_case(seed, size, num_classes, steps, dtype):
    """Return random scores (N, K) on a grid of this number of steps, tags, and weights.

    Some classes are rare, absent, or in all clips. Weights are fractions.
    """
    rng = np.random.default_rng(seed)
    truth = rng.random((size, num_classes)) < rng.uniform(0, 0.5, num_classes) ** 3
    truth[:, 0], truth[:, 1], truth[:, 2] = False, True, np.arange(size) == size // 2
    scores = (np.floor((rng.random((size, num_classes)) + 0.3 * truth) * steps) / steps).astype(
        dtype
    )
    scores[:, 3] = 0.5
    return scores, truth, rng.random(size) * (rng.random(size) < 0.8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("seed", "size", "num_classes", "steps"),
    [
        (0, 1, 6, 2),
        (1, 2, 6, 2),
        (2, 30, 8, 1),
        (3, 30, 8, 3),
        (4, 200, 12, 1e9),
        (5, 5000, 12, 4),
        (6, 5000, 12, 300),
        (7, 5000, 12, 1e9),
    ],
)
def test_ranking_of_every_class_equals_scikit_learn(seed, size, num_classes, steps, dtype):
    scores, truth, weight = ranking_case(seed, size, num_classes, steps, dtype)
    assert_classes(average_precision.class_ranking(scores, truth), scores, truth)
    weight[0] = 0.5  # at least one weight is not 0
    assert_classes(average_precision.class_ranking(scores, truth, weight), scores, truth, weight)


def test_ranking_metrics_are_the_means_of_the_classes():
    scores, truth, weight = ranking_case(8, 300, 12, 20, np.float32)
    found = average_precision.ranking_metrics(scores, truth, weight)
    by_class = average_precision.class_ranking(scores, truth, weight)
    assert found["map"] == pytest.approx(
        np.mean([c["ap"] for c in by_class if c["ap"] is not None]), abs=1e-12
    )
    assert found["mauc"] == pytest.approx(
        np.mean([c["auc"] for c in by_class if c["auc"] is not None]), abs=1e-12
    )
    assert found["dprime"] == average_precision.dprime(found["mauc"])
    assert None in [c["ap"] for c in by_class] and None in [
        c["auc"] for c in by_class if c["ap"] is not None
    ]


def test_dprime():
    # d' = sqrt(2) z(AUC): two unit normals at distance d' have the area Phi(d' / sqrt(2)).
    for distance in (0.0, 1.0, 2.5):
        assert average_precision.dprime(0.5 * (1 + math.erf(distance / 2))) == pytest.approx(
            distance, abs=1e-9
        )
    assert average_precision.dprime(0.3) < 0
    assert average_precision.dprime(None) is None
    assert (
        average_precision.dprime(1.0) is None and average_precision.dprime(0.0) is None
    )  # infinite, so not reported


def leave_one_out(scores, truth):
    """Return MAP and MAUC (2, N) without each clip, by scikit-learn."""
    found = []
    for left_out in range(len(truth)):
        s, t = np.delete(scores, left_out, axis=0), np.delete(truth, left_out, axis=0)
        drawn = [k for k in range(t.shape[1]) if t[:, k].any()]
        both = [k for k in drawn if not t[:, k].all()]
        found.append(
            [
                np.mean([average_precision_score(t[:, k], s[:, k]) for k in drawn]),
                np.mean([roc_auc_score(t[:, k], s[:, k]) for k in both]),
            ]
        )
    return np.transpose(found)


@pytest.mark.parametrize(
    ("size", "steps", "rare"), [(20, 1e9, 1), (40, 5, 0), (60, 1e9, 0), (60, 3, 1)]
)
def test_influences_are_those_of_leaving_each_clip_out(size, steps, rare):
    rng = np.random.default_rng(size)
    truth = rng.random((size, 12)) < 0.3
    # two positives of some classes, two negatives of all
    truth[:2] = np.arange(24).reshape(2, 12) % 2 == 0
    truth[2:4] = ~truth[:2]
    truth[:, 0] = np.arange(size) < (1 if rare else 3)
    truth[:, 1] = np.arange(size) > (0 if rare else 2)  # a single negative
    scores = np.floor((rng.random((size, 12)) + 0.3 * truth) * steps) / steps
    found, values = (
        average_precision.ranking_estimates(scores, truth),
        average_precision.ranking_metrics(scores, truth),
    )
    for name, without in zip(("map", "mauc"), leave_one_out(scores, truth)):
        assert found[name].value == values[name]
        expected = (size - 1) * (without.mean() - without)
        np.testing.assert_allclose(found[name].influence, expected, atol=1e-9)
    step = 1e-6  # the slope of d' as a function of the area
    ends = [average_precision.dprime(values["mauc"] + sign * step) for sign in (-1, 1)]
    expected = (ends[1] - ends[0]) / (2 * step) * found["mauc"].influence
    np.testing.assert_allclose(found["dprime"].influence, expected, rtol=1e-6)


def test_the_centre_of_map_counts_no_positive_in_its_own_precision():
    truth = np.array([[1, 1, 0, 1, 0, 0]], bool).T
    scores = np.array([[0.9, 0.8, 0.7, 0.6, 0.5, 0.4]]).T
    # The two other positives represent all three. No other clip is as high as the first positive.
    # One positive is as high as the second. Two positives and a negative are as high as the third.
    centre = average_precision.ranking_estimates(scores, truth)["map"].centre
    assert centre == pytest.approx((1 + 1 + 3 / (3 + 1)) / 3)
    tied = np.array([[0.9, 0.9, 0.9, 0.2, 0.1, 0.1]]).T  # two positives and a negative, then one
    centre = average_precision.ranking_estimates(tied, truth)["map"].centre
    assert centre == pytest.approx((2 * 1.5 / (1.5 + 1) + 3 / (3 + 1)) / 3)


def test_the_interval_of_map_is_students_on_the_logit_around_the_centre():
    rng = np.random.default_rng(5)
    truth = rng.random((80, 6)) < 0.2
    scores = rng.random((80, 6)) + 0.2 * truth
    estimates = average_precision.ranking_estimates(scores, truth)
    found = average_precision.ranking_intervals(scores, truth)
    assert estimates["map"].centre < estimates["map"].value - 0.005  # without the bias
    for name in ("map", "mauc"):
        one = estimates[name]
        deviation = np.sqrt((one.influence**2).sum() / 80 / 79)
        relative = (one.influence**4).sum() / (one.influence**2).sum() ** 2
        quantile = scipy.stats.t.ppf(0.975, 2 / (relative - 1 / 80) - 1)
        logit = math.log(one.centre / (1 - one.centre))
        half = quantile * deviation / (one.centre * (1 - one.centre))
        expected = [1 / (1 + math.exp(-logit + half)), 1 / (1 + math.exp(-logit - half))]
        widened = [min(expected[0], one.value), max(expected[1], one.value)]
        assert found[name] == pytest.approx(widened)
        assert found[name][0] < one.value < found[name][1]
    assert found["dprime"] == pytest.approx(
        [average_precision.dprime(area) for area in found["mauc"]]
    )


def test_there_is_no_interval_where_too_many_classes_are_rare():
    rng = np.random.default_rng(6)
    truth, scores = rng.random((50, 20)) < 0.3, rng.random((50, 20))
    for num_rare in range(4):
        truth[:, :num_rare] = np.arange(50)[:, None] == 7  # one positive each
        found = average_precision.ranking_intervals(scores, truth)
        reason = average_precision.why_no_interval(truth.sum(axis=0))
        assert (found["map"] is None) == (num_rare > 2) == (reason is not None)
    assert reason == "3 of 20 classes have fewer than 2 positive clips"
    assert found == {"map": None, "mauc": None, "dprime": None}
    truth[:, :3] = False  # absent classes do not help
    assert average_precision.ranking_intervals(scores, truth)["map"] is None
    assert average_precision.ranking_metrics(scores, truth)["map"] is not None


def test_a_constant_metric_has_no_interval():
    truth = np.arange(10)[:, None] < 4
    perfect = -np.arange(10.0)[:, None]
    assert average_precision.ranking_metrics(perfect, truth)["map"] == 1
    none = {"map": None, "mauc": None, "dprime": None}
    assert average_precision.ranking_intervals(perfect, truth) == none
    for nothing in (np.zeros((10, 1), bool), np.ones((10, 1), bool)):
        assert average_precision.ranking_intervals(perfect, nothing) == none
