"""Simulate how often a difference over seeds of two equal systems is called significant.

Both systems are drawn from one population of systems, so their population means are equal. Clips
and seeds are drawn again for each pair, and the seeds of the two systems are independent. A false
alarm is a 95 % interval of `intervals.difference_over_seeds` that excludes 0. The nominal rate is 5
%; 3 to 7 % is accepted. This holds for these populations and equal numbers of seeds: 3 seeds
against 10 gave 5.2 to 8.5 %. Power is the fraction of intervals that exclude 0 if the second system
is better by the difference in the table.

`bash tests/run.sh --full tests/evaluation/test_false_alarms.py -s` prints the figures below, in about 3
minutes: percent of 2,000 pairs (power: 500), with 3, 5 and 10 seeds per system. The number before a
colon is the standard deviation of the metric between seeds on the same clips. With low spread, it
comes from the effect of a seed on single clips.

    false alarms         low spread               high spread
    147 clips, F1        0.017:  5.5   5.1   5.3  0.065:  5.0   4.7   4.8
    147 clips, ER        0.027:  4.7   4.9   4.4  0.105:  4.0   4.0   4.8
    147 clips, MAP       0.025:  4.5   5.5   4.6  0.099:  4.9   4.8   4.6
    147 clips, MAUC              4.3   4.3   3.7          3.3   3.7   3.6
    147 clips, d'                5.3   5.0   4.5          4.3   4.7   4.3
    1,103 clips, F1      0.007:  5.3   5.1   5.3  0.062:  3.6   4.4   4.5
    1,103 clips, ER      0.011:  4.8   5.7   5.9  0.100:  3.5   4.4   4.2

    power at 147 clips
    F1, +0.08                   96    99   100           21    39    69
    ER, -0.13                   97    99   100           21    42    74
    MAP, +0.09                  61    72    81           18    26    44

For comparison, a bootstrap that draws clips and seeds for both systems excludes 0 for 14 % of 150
pairs of three seeds with high spread, for 8 % (ER) and 10 % (F1) with five, and for 5 % and 3 %
with ten.
"""

import functools

import numpy as np
import pytest
from populations import FULL, SIZES, draw_decoded_systems, draw_ranked_systems, in_percent

from wsedtk.evaluation import average_precision, intervals, metrics

NUM_SEEDS = (3, 5, 10)
# between seeds: of the logits of segments, half of it of scores
SPREADS = {"low": 0.02, "high": 0.4}
DECODED, RANKED = ("f1", "error_rate"), ("map", "mauc", "dprime")


def decoded_estimates(num_clips, spread, rng, better):
    """Return {name: Estimates of two systems, one per seed} of a decoded pair."""
    counts = draw_decoded_systems(num_clips, max(NUM_SEEDS), spread, rng, 0.4 * better)
    parts = [
        [{**metrics.error_rate_parts(one), **metrics.f1_parts(one[:, 4:])} for one in system]
        for system in counts
    ]
    return {
        name: [[intervals.ratio(*one[name]) for one in system] for system in parts]
        for name in DECODED
    }


def ranked_estimates(num_clips, spread, rng, better, num_seeds=max(NUM_SEEDS)):
    """Return {name: Estimates of two systems, one per seed} of a ranked pair."""
    scores, tags = draw_ranked_systems(num_clips, num_seeds, spread / 2, rng, 0.2 * better)
    found = [
        [average_precision.ranking_estimates(one, tags) for one in system] for system in scores
    ]
    return {name: [[one[name] for one in system] for system in found] for name in RANKED}


def alarms(estimates, num_clips, spread, num_pairs, better=0):
    """Return {name: {seeds: percent of intervals that exclude 0}} and {name: mean difference}.

    estimates: draws a pair of systems; better: 1 if the second system is better.
    """
    rng, hits, values = np.random.default_rng(4), {}, {}
    for _ in range(num_pairs):
        for name, (first, second) in estimates(num_clips, SPREADS[spread], rng, better).items():
            if first[0].influence is None:  # too few positive clips for an interval
                continue
            for number in NUM_SEEDS:
                if number <= len(first):
                    value, (low, high) = intervals.difference_over_seeds(
                        first[:number], second[:number]
                    )
                    hits.setdefault(name, {}).setdefault(number, []).append(not low <= 0 <= high)
                    values.setdefault(name, []).append(value)
    shares = {
        name: {number: in_percent(one) for number, one in by_number.items()}
        for name, by_number in hits.items()
    }
    return shares, {name: float(np.mean(one)) for name, one in values.items()}


def check(shares, names, low, high):
    for name in names:
        for number, share in shares[name].items():
            assert low <= share <= high, (name, number, share)


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("num_clips", SIZES if FULL else SIZES[:1])
def test_equal_systems_by_f1_and_error_rate(num_clips, spread):
    shares, _ = alarms(decoded_estimates, num_clips, spread, 2000 if FULL else 400)
    print(f"{num_clips} clips, {spread} spread: {shares}")
    check(shares, DECODED, *((3, 7) if FULL else (1.5, 9.5)))  # 400 pairs: +- 1.1


@pytest.mark.parametrize("spread", SPREADS)
def test_equal_systems_by_map(spread):
    draw = ranked_estimates if FULL else functools.partial(ranked_estimates, num_seeds=3)
    shares, _ = alarms(draw, SIZES[0], spread, 2000 if FULL else 200)
    print(f"{SIZES[0]} clips, {spread} spread: {shares}")
    check(shares, RANKED[:1], *((3, 7) if FULL else (1, 10)))  # 200 pairs: +- 1.5
    # areas have slightly too wide intervals
    check(shares, RANKED[1:], *((2, 7) if FULL else (0, 10)))


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("estimates", [decoded_estimates, ranked_estimates])
def test_a_better_system_is_found(estimates, spread):
    draw = estimates
    if not FULL and estimates is ranked_estimates:
        draw = functools.partial(ranked_estimates, num_seeds=3)
    shares, values = alarms(draw, SIZES[0], spread, 500 if FULL else 40, better=1)
    print(f"{SIZES[0]} clips, {spread} spread, better by {values}: {shares}")
    name = "f1" if estimates is decoded_estimates else "map"
    assert shares[name][3] > (60 if spread == "low" else 8)
