"""Ranking metrics against scikit-learn."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from wsedtk import metrics, ranking


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("decimals", [1, 8])
def test_ranking_equals_scikit_learn(weighted, decimals):
    rng = np.random.default_rng(decimals)
    for _ in range(60):
        size = int(rng.integers(2, 60))
        truth, scores = rng.random(size) < 0.3, np.round(rng.random(size), decimals).astype(rng.choice(["float32", "float64"]))
        truth[0], truth[1] = True, False
        weight = rng.integers(0, 4, size).astype(float) if weighted else None
        if weighted:
            weight[:2] = 1
        assert ranking.average_precision(scores, truth, weight) == pytest.approx(
            average_precision_score(truth, scores, sample_weight=weight), abs=1e-9)
        assert ranking.roc_auc(scores, truth, weight) == pytest.approx(roc_auc_score(truth, scores, sample_weight=weight), abs=1e-9)


def test_ranking_of_absent_classes():
    scores = np.array([0.1, 0.7, 0.7])
    nobody, everybody = np.zeros(3, bool), np.ones(3, bool)
    assert ranking.average_precision(scores, nobody) is None and ranking.roc_auc(scores, nobody) is None
    assert ranking.average_precision(scores, everybody) == 1.0 and ranking.roc_auc(scores, everybody) is None
    truth = np.array([[True, False, True], [False, False, True], [True, False, True]])
    table = np.array([[0.9, 0.5, 0.1], [0.8, 0.5, 0.2], [0.3, 0.5, 0.3]])
    found = ranking.ranking_metrics(table, truth)
    assert found["map"] == pytest.approx((average_precision_score(truth[:, 0], table[:, 0]) + 1) / 2)
    assert found["mauc"] == pytest.approx(roc_auc_score(truth[:, 0], table[:, 0]))  # the only class with positives and negatives
    assert ranking.ranking_metrics(table, np.zeros_like(truth)) == {"map": None, "mauc": None, "dprime": None}
    drawn = np.array([0.0, 1.0, 0.0])  # a resample without the positives of class 0
    assert ranking.average_precision(table[:, 0], truth[:, 0], drawn) is None


def assert_classes(found, scores, truth, weight=None):
    """Each class of `class_ranking` as scikit-learn has it."""
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
        assert one["auc"] == pytest.approx(roc_auc_score(truth[:, k], scores[:, k], sample_weight=weight), abs=1e-9)
        assert one["dprime"] == ranking.dprime(one["auc"])


def ranking_case(seed, size, num_classes, steps, dtype):
    """Random scores (N, K) on a grid of so many steps, truth with classes that are rare, absent and everywhere, fractional weights."""
    rng = np.random.default_rng(seed)
    truth = rng.random((size, num_classes)) < rng.uniform(0, 0.5, num_classes) ** 3
    truth[:, 0], truth[:, 1], truth[:, 2] = False, True, np.arange(size) == size // 2
    scores = (np.floor((rng.random((size, num_classes)) + 0.3 * truth) * steps) / steps).astype(dtype)
    scores[:, 3] = 0.5
    return scores, truth, rng.random(size) * (rng.random(size) < 0.8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("seed", "size", "num_classes", "steps"), [
    (0, 1, 6, 2), (1, 2, 6, 2), (2, 30, 8, 1), (3, 30, 8, 3), (4, 200, 12, 1e9), (5, 5000, 12, 4), (6, 5000, 12, 300), (7, 5000, 12, 1e9)])
def test_ranking_of_every_class_equals_scikit_learn(seed, size, num_classes, steps, dtype):
    scores, truth, weight = ranking_case(seed, size, num_classes, steps, dtype)
    assert_classes(ranking.class_ranking(scores, truth), scores, truth)
    weight[0] = 0.5  # something has a weight
    assert_classes(ranking.class_ranking(scores, truth, weight), scores, truth, weight)


def test_ranking_metrics_are_the_means_of_the_classes():
    scores, truth, weight = ranking_case(8, 300, 12, 20, np.float32)
    found = ranking.ranking_metrics(scores, truth, weight)
    by_class = ranking.class_ranking(scores, truth, weight)
    assert found["map"] == pytest.approx(np.mean([c["ap"] for c in by_class if c["ap"] is not None]), abs=1e-12)
    assert found["mauc"] == pytest.approx(np.mean([c["auc"] for c in by_class if c["auc"] is not None]), abs=1e-12)
    assert found["dprime"] == ranking.dprime(found["mauc"])
    assert None in [c["ap"] for c in by_class] and None in [c["auc"] for c in by_class if c["ap"] is not None]


def test_dprime():
    # d' = sqrt(2) z(AUC): two unit normals d' apart have the area Phi(d' / sqrt(2)).
    for distance in (0.0, 1.0, 2.5):
        assert ranking.dprime(0.5 * (1 + math.erf(distance / 2))) == pytest.approx(distance, abs=1e-9)
    assert ranking.dprime(0.3) < 0
    assert ranking.dprime(None) is None
    assert ranking.dprime(1.0) is None and ranking.dprime(0.0) is None  # infinite: no number to report


def test_ranking_intervals_equal_a_loop_of_scikit_learn():
    scores, truth, _ = ranking_case(9, 60, 8, 10, np.float32)  # class 2 has one positive, which many resamples lack
    weights = metrics.clip_weights(60, 150, seed=3)  # more than are worked on at once
    means = []
    for w in weights:
        drawn = [k for k in range(8) if truth[w > 0, k].any()]
        both = [k for k in drawn if not truth[w > 0, k].all()]
        means.append([np.mean([average_precision_score(truth[:, k], scores[:, k], sample_weight=w) for k in drawn]),
                      np.mean([roc_auc_score(truth[:, k], scores[:, k], sample_weight=w) for k in both])])
    values = [ranking.ranking_metrics(scores, truth)[name] for name in ("map", "mauc")]
    assert np.mean(means, axis=0)[0] > values[0] + 0.01  # the bias of few clips that the intervals must be without
    lows, highs = np.percentile(means, [2.5, 97.5], axis=0) - np.mean(means, axis=0) + values
    found = ranking.ranking_intervals(scores, truth, weights)
    assert found["map"] == pytest.approx([lows[0], highs[0]], abs=1e-9)
    assert found["mauc"] == pytest.approx([lows[1], highs[1]], abs=1e-9)
    assert found["dprime"] == pytest.approx([ranking.dprime(lows[1]), ranking.dprime(highs[1])], abs=1e-8)
    assert ranking.ranking_intervals(scores, np.zeros_like(truth), weights) == {"map": None, "mauc": None, "dprime": None}
