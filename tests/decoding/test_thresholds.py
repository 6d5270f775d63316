"""Thresholds compared with exhaustive search and scikit-learn on many small random cases."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_curve, precision_score, recall_score

from wsedtk.decoding import score_maxima, thresholds
from wsedtk.decoding.decisions import Counts, choose


def small_case(seed, max_classes=4):
    """Return scores (N, K) float32 and truth (N, K).

    Some have ties, equal scores, classes without positives, or one clip.
    """
    rng = np.random.default_rng(seed)
    num_clips, num_classes = int(rng.integers(1, 9)), int(rng.integers(1, max_classes + 1))
    truth = rng.random((num_clips, num_classes)) < rng.choice(
        [0.0, 0.1, 0.3, 0.6, 1.0], num_classes, p=[0.15, 0.3, 0.3, 0.2, 0.05]
    )
    scores = (rng.random((num_clips, num_classes)) + 0.5 * rng.random() * truth).astype(np.float32)
    if seed % 3 == 0:
        scores = np.round(scores, 1).astype(np.float32)
    if seed % 7 == 0:
        scores[:, 0] = 0.5
    if seed % 11 == 0:
        truth[:] = False
    return scores, truth


def all_candidates(scores):
    """Return the thresholds of one class by definition: -inf, float64 midpoints, +inf."""
    distinct = sorted({float(s) for s in scores})
    return [-np.inf, *((a + b) / 2 for a, b in itertools.pairwise(distinct)), np.inf]


def counts_of(scores, truth, threshold):
    """Return TP and predicted positives of one class at one threshold."""
    said = [float(s) >= threshold for s in scores]
    return sum(a and b for a, b in zip(said, truth)), sum(said)


def exhaustive(choices, positives):
    """Return the best micro F1 over all combinations, and those that reach it, indices (M, K).

    choices: for each class a list of (TP, predicted).
    """
    hits, predicted = np.zeros((), int), np.zeros((), int)
    for pairs in choices:
        pairs = np.array(pairs)
        hits, predicted = np.add.outer(hits, pairs[:, 0]), np.add.outer(predicted, pairs[:, 1])
    total = predicted + positives
    f1 = np.where(total > 0, 2 * hits / np.maximum(total, 1), 0.0)
    return f1.max(), np.argwhere(f1 == f1.max())


def reached(scores, truth, chosen):
    return (
        f1_score(
            truth.astype(int), (scores >= chosen).astype(int), average="micro", zero_division=0
        )
        if truth.shape[1] > 1
        else f1_score(truth[:, 0], scores[:, 0] >= chosen[0], zero_division=0)
    )


def test_tune_equals_exhaustive_search():
    for seed in range(400):
        scores, truth = small_case(seed)
        grids = [all_candidates(column) for column in scores.T]
        best, optima = exhaustive(
            [
                [counts_of(scores[:, k], truth[:, k], t) for t in grid]
                for k, grid in enumerate(grids)
            ],
            truth.sum(),
        )
        chosen = thresholds.tune(scores, truth)
        assert chosen.dtype == np.float64 and chosen.shape == (truth.shape[1],)
        assert reached(scores, truth, chosen) == pytest.approx(best, abs=1e-12), seed
        # Among optima, the highest thresholds. The optima are a product of sets, so the combination
        # of the highest thresholds of all classes is one of them.
        highest = [max(grid[i] for i in set(optima[:, k].tolist())) for k, grid in enumerate(grids)]
        assert chosen.tolist() == highest, seed


def test_tune_of_nothing_true_predicts_nothing():
    scores = np.random.default_rng(0).random((5, 3)).astype(np.float32)
    assert (thresholds.tune(scores, np.zeros((5, 3), bool)) == np.inf).all()
    assert (thresholds.tune(np.zeros((0, 3), np.float32), np.zeros((0, 3), bool)) == np.inf).all()


def test_frame_thresholds_of_no_segments_predict_nothing():
    nothing = np.zeros((0, 1), np.float32)
    found = score_maxima.candidates(nothing[:, 0], np.zeros(0, bool))
    assert found.thresholds.tolist() == [np.inf]
    assert thresholds.search([[found]], 0).threshold.tolist() == [np.inf]
    chosen = choose([[found]], np.zeros((0, 1), bool), "1 s segments")
    assert chosen.counts == Counts(0, 0, 0)


def test_tune_of_everything_true_predicts_everything():
    scores = np.random.default_rng(0).random((5, 3)).astype(np.float32)
    assert (thresholds.tune(scores, np.ones((5, 3), bool)) == -np.inf).all()


def test_tune_of_many_clips_is_no_worse_than_any_random_thresholds():
    rng = np.random.default_rng(5)
    truth = rng.random((2000, 17)) < rng.uniform(0.01, 0.4, 17)
    scores = np.clip(rng.normal(0.3 + 0.3 * truth, 0.2), 0, 1).astype(np.float32)
    best = reached(scores, truth, thresholds.tune(scores, truth))
    alone = np.array([thresholds.tune(scores[:, [k]], truth[:, [k]])[0] for k in range(17)])
    assert best > reached(
        scores, truth, alone
    )  # the optimum of each class alone is not the micro optimum
    tuned = thresholds.tune(scores, truth)
    for _ in range(100):
        assert best >= reached(scores, truth, tuned + rng.normal(0, 0.02, 17))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("low", [0.0, 1e-7, 0.3, 0.5, 1 - 2.0**-24])
def test_a_threshold_parts_adjacent_scores(dtype, low):
    low = dtype(low)
    high = np.nextafter(low, dtype(2))
    found = thresholds.candidates(
        np.array([high, low, low, high]), np.array([True, False, False, True])
    )
    assert found.thresholds.dtype == np.float64
    assert [found.thresholds[0], found.thresholds[-1]] == [np.inf, -np.inf]
    assert float(low) < found.thresholds[1] <= float(high)
    assert found.true_positives.tolist() == [0, 2, 2] and found.predicted.tolist() == [0, 2, 4]
    if dtype is np.float32:
        assert found.thresholds[1] == (float(low) + float(high)) / 2
    scores = np.array([[high], [low]])
    tuned = thresholds.tune(scores, np.array([[True], [False]]))
    assert (scores >= tuned).tolist() == [[True], [False]]


def test_candidates_are_midpoints_and_count_what_they_decide():
    for seed in range(50):
        scores, truth = small_case(seed, max_classes=1)
        found = thresholds.candidates(scores[:, 0], truth[:, 0])
        assert found.thresholds.tolist() == all_candidates(scores[:, 0])[::-1]
        expected = [counts_of(scores[:, 0], truth[:, 0], t) for t in found.thresholds]
        assert list(zip(found.true_positives.tolist(), found.predicted.tolist())) == expected


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_must_be_finite(bad):
    with pytest.raises(ValueError, match="finite"):
        thresholds.tune(np.array([[0.1], [bad]]), np.array([[True], [False]]))


def test_f1_score():
    assert thresholds.f1_score(0, 0, 0) == 0
    assert thresholds.f1_score(np.array([1, 2, 0]), np.array([2, 2, 0]), 2).tolist() == [
        0.5,
        1.0,
        0.0,
    ]


# ---- several options for the scores of a class ----


def test_search_over_options_equals_exhaustive_search():
    for seed in range(150):
        rng = np.random.default_rng(seed)
        num_clips, num_classes = int(rng.integers(1, 6)), int(rng.integers(1, 4))
        truth = rng.random((num_clips, num_classes)) < 0.4
        scores = [
            np.round(rng.random((int(rng.integers(1, 4)), num_clips)), 1 + seed % 2)
            for _ in range(num_classes)
        ]
        options = [
            [thresholds.candidates(s, truth[:, k]) for s in alternatives]
            for k, alternatives in enumerate(scores)
        ]
        choices = [
            [(number, t) for number, s in enumerate(alternatives) for t in all_candidates(s)]
            for alternatives in scores
        ]
        best, optima = exhaustive(
            [
                [counts_of(scores[k][number], truth[:, k], t) for number, t in pairs]
                for k, pairs in enumerate(choices)
            ],
            truth.sum(),
        )
        option, chosen = thresholds.search(options, int(truth.sum()))
        said = np.stack([scores[k][option[k]] >= chosen[k] for k in range(num_classes)], axis=1)
        tp, predicted = (said & truth).sum(), said.sum()
        assert (2 * tp / (predicted + truth.sum()) if predicted + truth.sum() else 0.0) == best, (
            seed
        )
        for k in range(num_classes):  # among optima the first option, then the highest threshold
            expected = min(
                (choices[k][i] for i in set(optima[:, k].tolist())),
                key=lambda pair: (pair[0], -pair[1]),
            )
            assert (option[k], chosen[k]) == expected, seed


# ---- the procedure of Wang, Li & Metze ----


def test_published_never_silences_a_class():
    # The scores of class B only do harm, but Wang's second step gives it its best finite threshold.
    scores = np.array([[0.9, 0.8], [0.1, 0.2]])
    truth = np.array([[True, False], [False, False]])
    assert thresholds.tune(scores, truth).tolist() == [0.5, np.inf]
    assert thresholds.tune_published(scores, truth).tolist() == [0.5, 0.5]
    for seed in range(300):
        scores, truth = small_case(seed)
        if truth.any():
            assert (scores >= thresholds.tune_published(scores, truth, seed)).any(axis=0).all(), (
                seed
            )


def test_published_ends_in_a_fixed_point_at_or_below_the_optimum():
    below = 0
    for seed in range(300):
        scores, truth = small_case(seed)
        chosen = thresholds.tune_published(scores, truth, seed)
        assert chosen.tolist() == thresholds.tune_published(scores, truth, seed).tolist()
        f1, best = (reached(scores, truth, t) for t in (chosen, thresholds.tune(scores, truth)))
        assert f1 <= best + 1e-12
        below += f1 < best - 1e-12
        counts = [counts_of(scores[:, k], truth[:, k], chosen[k]) for k in range(truth.shape[1])]
        for k in range(truth.shape[1]):
            hits, predicted = (sum(c[i] for j, c in enumerate(counts) if j != k) for i in (0, 1))
            finite = all_candidates(scores[:, k])[:-1]
            values = []
            for t in finite:
                tp, said = counts_of(scores[:, k], truth[:, k], t)
                values.append(2 * (tp + hits) / (said + predicted + truth.sum()))
            if max(values) > 0:
                assert chosen[k] == max(
                    t for t, value in zip(finite, values) if value == max(values)
                ), seed
            else:
                assert chosen[k] == np.inf
    assert 30 < below < 200  # on 93 of the author's 300 random cases


def test_published_depends_on_its_seed_alone():
    rng = np.random.default_rng(1)
    truth = rng.random((12, 4)) < 0.3
    scores = np.round(rng.random((12, 4)), 1)
    np.random.seed(1)
    first = thresholds.tune_published(scores, truth, 3)
    np.random.seed(2)
    assert thresholds.tune_published(scores, truth, 3).tolist() == first.tolist()


TARGETS = [
    ("precision", 0.3),
    ("precision", 0.5),
    ("precision", 2 / 3),
    ("precision", 0.9),
    ("precision", 1.0),
    ("recall", 0.1),
    ("recall", 0.5),
    ("recall", 0.75),
    ("recall", 1.0),
    ("false-alarms-per-hour", 0.0),
    ("false-alarms-per-hour", 0.4),
    ("false-alarms-per-hour", 2.0),
]
HOURS = 2.5


def by_hand(hits, predicted, positives):
    """Return precision, recall and false alarms per hour of counts."""
    return {
        "precision": hits / predicted if predicted else 0.0,
        "recall": hits / positives if positives else 0.0,
        "false-alarms-per-hour": (predicted - hits) / HOURS,
    }


@pytest.mark.parametrize("quantity, value", TARGETS)
def test_a_target_is_met_with_the_best_of_the_other_quantity(quantity, value):
    """Compared with all thresholds of all options for the scores, class by class."""
    num_met = num_missed = 0
    for seed in range(150):
        scores, truth = small_case(seed)
        others = np.roll(scores, 1, axis=0)  # a second option
        options = [
            [thresholds.candidates(way[:, k], truth[:, k]) for way in (scores, others)]
            for k in range(truth.shape[1])
        ]
        option, threshold, nearest = thresholds.search_target(
            options, truth.sum(axis=0), HOURS, quantity, value
        )
        for k in range(truth.shape[1]):
            every = [
                by_hand(*counts, truth[:, k].sum())
                for way in (scores, others)
                for t in all_candidates(way[:, k])
                if (counts := counts_of(way[:, k], truth[:, k], t))[0]
            ]
            met = [
                v
                for v in every
                if (v[quantity] <= value if quantity.startswith("false") else v[quantity] >= value)
            ]
            counts = counts_of((scores, others)[option[k]][:, k], truth[:, k], threshold[k])
            if met:
                num_met += 1
                found, other = (
                    by_hand(*counts, truth[:, k].sum()),
                    "precision" if quantity == "recall" else "recall",
                )
                assert nearest[k] is None and found in met
                assert found[other] == max(v[other] for v in met)
            else:
                num_missed += 1
                assert threshold[k] == np.inf and counts == (0, 0)
                best = by_hand(*nearest[k], truth[:, k].sum())
                assert best in every or (not every and nearest[k] == (0, 0))
                if every:
                    assert best[quantity] == (min if quantity.startswith("false") else max)(
                        v[quantity] for v in every
                    )
    assert num_met > 50 and num_missed > 20  # both cases occur


@pytest.mark.parametrize("value", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("quantity", ["precision", "recall"])
def test_a_target_on_scikit_learns_curve(quantity, value):
    rng = np.random.default_rng(3)
    truth = rng.random(3000) < 0.1
    scores = np.clip(rng.normal(0.3 + 0.3 * truth, 0.15), 0, 1).astype(np.float32)
    precision, recall, _ = (
        values[:-1] for values in (*precision_recall_curve(truth, scores)[:2], [0])
    )
    own, other = (precision, recall) if quantity == "precision" else (recall, precision)
    _, threshold, nearest = thresholds.search_target(
        [[thresholds.candidates(scores, truth)]], [truth.sum()], 1.0, quantity, value
    )
    said = scores >= threshold[0]
    reached = {"precision": precision_score(truth, said), "recall": recall_score(truth, said)}
    assert nearest == [None] and reached.pop(quantity) >= value
    assert reached.popitem()[1] == pytest.approx(other[own >= value].max(), abs=1e-12)


def test_of_equals_the_one_beyond_the_target_is_chosen():
    scores = np.array([[0.9], [0.8], [0.7], [0.6]], np.float32)

    def found(truth, *target):
        return thresholds.search_target(
            [[thresholds.candidates(scores[:, 0], np.array(truth, bool))]],
            [sum(truth)],
            1.0,
            *target,
        )[1]

    assert found([1, 1, 1, 0], "recall", 0.3) == pytest.approx(
        [0.65]
    )  # all three at precision 1, not only the first
    assert found([1, 0, 0, 0], "precision", 0.25) == pytest.approx([0.85])
    assert found([1, 0, 0, 0], "false-alarms-per-hour", 3) == pytest.approx([0.85])
    assert found([1, 0, 1, 0], "false-alarms-per-hour", 1) == pytest.approx([0.65])
