"""intervals: compared with scipy's t tests, loops and cases computed by hand.

The simulations are in test_coverage.py and test_false_alarms.py.
"""

import numpy as np
import pytest
import scipy.stats

from wsedtk.evaluation import intervals
from wsedtk.evaluation.intervals import Estimate


def normal(size, seed=0):
    return np.random.default_rng(seed).standard_normal(size)


def test_the_influences_of_a_ratio_are_those_of_leaving_each_clip_out():
    rng = np.random.default_rng(1)
    numerators, denominators = rng.integers(0, 9, 20), rng.integers(1, 9, 20)
    found = intervals.ratio(numerators, denominators)
    without = [np.delete(numerators, i).sum() / np.delete(denominators, i).sum() for i in range(20)]
    assert found.value == found.centre == numerators.sum() / denominators.sum()
    np.testing.assert_allclose(found.influence, 19 * (np.mean(without) - without))


def test_a_ratio_of_nothing():
    assert intervals.ratio(np.zeros(3), np.zeros(3)) is None
    # the value depends on one clip
    alone = intervals.ratio(np.array([0, 1, 0]), np.array([0, 2, 0]))
    assert alone.value == 0.5 and alone.influence is None
    assert (
        intervals.over_clips(alone) is None
        and intervals.difference_over_clips(alone, alone) is None
    )


def test_a_mean_over_clips_has_the_standard_error_of_the_mean():
    values = np.random.default_rng(2).random(200)
    one = intervals.ratio(values, np.ones(200))
    zero = Estimate(0.0, 0.0, np.zeros(200))
    low, high = intervals.difference_over_clips(zero, one)
    squares = (values - values.mean()) ** 2
    freedom = 2 / ((squares**2).sum() / squares.sum() ** 2 - 1 / 200) - 1
    half = scipy.stats.t.ppf(0.975, freedom) * scipy.stats.sem(values)
    assert [low, high] == pytest.approx([values.mean() - half, values.mean() + half])


def test_the_degrees_of_freedom_of_normal_influences_are_those_of_their_number():
    variance, freedom = intervals._clip_variance(normal(100_000))
    assert variance == pytest.approx(1 / 100_000, rel=0.02) and freedom == pytest.approx(
        99_999, rel=0.05
    )
    few = np.append(np.zeros(998), [1, -1])  # two clips cause the whole spread
    assert intervals._clip_variance(few)[1] == pytest.approx(3, abs=0.01)


def seeds_of(values, influence=None, centre=0.0):
    size = 50 if influence is None else len(influence)
    return [
        Estimate(v, v + centre, np.zeros(size) if influence is None else influence) for v in values
    ]


@pytest.mark.parametrize("sizes", [(3, 3), (3, 10), (7, 4)])
def test_where_clips_make_no_difference_it_is_welchs(sizes):
    first, second = 0.1 * normal(sizes[0], 1), 0.3 * normal(sizes[1], 2) + 0.1
    value, ends = intervals.difference_over_seeds(seeds_of(first), seeds_of(second))
    expected = scipy.stats.ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    assert value == pytest.approx(second.mean() - first.mean())
    assert ends == pytest.approx(expected)


def test_where_seeds_make_no_difference_it_is_that_over_clips():
    first, second = (normal(300, seed) for seed in (3, 4))
    first, second = first - first.mean(), second - second.mean()
    _, ends = intervals.difference_over_seeds(
        seeds_of([0.2] * 3, first), seeds_of([0.5] * 4, second)
    )
    one, other = seeds_of([0.2], first)[0], seeds_of([0.5], second)[0]
    expected = intervals.difference_over_clips(one, other)
    assert ends == pytest.approx(expected, rel=1e-3)
    _, same = intervals.difference_over_seeds(
        seeds_of([0.2] * 3, first), seeds_of([0.5] * 4, first)
    )
    # effects of clips that are equal for both systems cancel
    assert same == pytest.approx([0.3, 0.3])


def test_what_a_seed_does_to_single_clips_counts_once():
    # Seeds differ at random on each clip alone: there is no other spread between seeds.
    rng, halves, alone = np.random.default_rng(5), [], []
    for _ in range(300):
        values = rng.standard_normal((2, 5, 400))
        systems = [[intervals.ratio(one, np.ones(400)) for one in system] for system in values]
        _, (low, high) = intervals.difference_over_seeds(*systems)
        halves.append((high - low) / 2)
        means = values.mean(axis=2)
        low, high = scipy.stats.ttest_ind(means[1], means[0]).confidence_interval(0.95)
        alone.append((high - low) / 2)
    # if counted twice, it would be 1.4 times as large
    assert np.mean(halves) == pytest.approx(np.mean(alone), rel=0.12)


def test_below_three_seeds_there_is_no_interval():
    for sizes in ((1, 1), (2, 9), (9, 2)):
        value, ends = intervals.difference_over_seeds(
            *(seeds_of(normal(size, size)) for size in sizes)
        )
        assert ends is None and value == pytest.approx(
            normal(sizes[1], sizes[1]).mean() - normal(sizes[0], sizes[0]).mean()
        )
    assert intervals.over_seeds([0.25, 0.75]) == (0.5, None) and intervals.over_seeds([0.5]) == (
        0.5,
        None,
    )
    mean, half = intervals.over_seeds([1, 2, 6])
    assert (mean, half) == pytest.approx(
        (3, 4.30265 * np.sqrt(7 / 3)), rel=1e-5
    )  # Student's, 2 degrees of freedom
    missing = [*seeds_of([0.1, 0.2]), Estimate(0.3, 0.3, None)]
    assert intervals.difference_over_seeds(missing, seeds_of([0.1, 0.2, 0.3])) == (
        pytest.approx(0),
        None,
    )


def test_an_interval_holds_its_value():
    influence = normal(100, 6) - normal(100, 6).mean()
    low, high = intervals.over_clips(Estimate(0.9, 0.5, influence))  # a strong bias
    assert low < 0.5 and high == 0.9
    far = [Estimate(0.9, 0.5, influence)] * 3
    value, (low, high) = intervals.difference_over_seeds(seeds_of([0.1] * 3, influence), far)
    assert value == pytest.approx(0.8) and high == value and low == pytest.approx(0.4)
