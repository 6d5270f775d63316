"""Simulate how often an interval over clips contains the metric of the whole population.

Clips are drawn again for each interval. The nominal coverage is 95 %; 90 to 97 % is accepted. This
holds in these populations. With 17 classes of 3 % each and a MAP of 0.115, 89 % of the intervals of
MAP over 147 clips contain the value; near chance and near a perfect ranking, 98 % do. `bash
tests/run.sh --full tests/evaluation/test_coverage.py -s` prints the figures below, in about 8 minutes.

MAP and MAUC (`average_precision.ranking_intervals`), 17 classes, 2,000 draws of 147 clips and 1,000 of 1,103.
A cell is the percentage of intervals that contain the value of the population, and in brackets the
percentage of those above it. Class frequencies are `populations.FREQUENCIES`. "heard" is the
fraction of positive clips with higher scores; the others have scores like negatives.

    classes     MAP   heard  MAP, 147    MAP, 1,103  MAUC, 147   MAUC, 1,103
    evaluation  0.30  0.90   93.5 (5.8)  94.8 (4.1)  97.0 (1.6)  94.6 (3.2)
    evaluation  0.40  0.60   94.9 (3.8)  94.3 (3.7)  96.2 (2.2)  94.4 (3.2)
    evaluation  0.55  0.90   94.7 (3.6)  95.3 (2.9)  96.9 (2.0)  95.3 (3.3)
    evaluation  0.80  0.95   95.2 (2.6)  96.2 (2.4)  95.5 (3.8)  94.9 (2.8)
    evaluation  0.92  0.98   96.1 (1.9)  96.5 (2.2)  90.8 (8.5)  95.2 (3.2)
    long tail   0.30  0.90   94.7 (4.1)  94.8 (3.7)  96.1 (2.5)  94.1 (3.4)
    long tail   0.40  0.60   94.9 (3.8)  94.9 (3.1)  95.8 (3.0)  95.0 (2.7)
    long tail   0.55  0.90   94.6 (4.2)  95.0 (2.7)  95.6 (3.3)  95.1 (2.9)
    long tail   0.80  0.95   95.1 (3.4)  95.2 (2.6)  94.0 (5.7)  95.0 (3.7)
    long tail   0.92  0.98   93.3 (5.0)  96.2 (2.6)  91.4 (8.3)  93.8 (5.1)
    rare        0.30  0.90   none        94.4 (3.0)  none        95.3 (3.7)
    rare        0.40  0.60   none        94.6 (3.4)  none        95.1 (3.8)
    rare        0.55  0.90   none        94.8 (2.5)  none        94.6 (4.8)
    rare        0.80  0.95   none        94.5 (3.2)  none        94.3 (5.3)
    rare        0.92  0.98   none        93.7 (4.4)  none        91.0 (9.0)

None: in 97 % of the draws, too many classes have fewer than two positive clips; the rarest class of
this population has 0.7 in 147 clips. For the long tail, 7 % of the draws of 147 clips have no
interval. For comparison, percentiles of a bootstrap, centred on the estimate, contain the value in
59 % (evaluation, MAP 0.30; 300 draws) and 82 % (0.55) at 147 clips, and in 83 % and 91 % at 1,103
(200 draws); nearly all others are above it.

Differences of two systems on the same clips (`intervals.difference_over_clips`), evaluation:

    MAP of both  MAP, 147  MAP, 1,103  MAUC, 147  MAUC, 1,103
    0.30, 0.36   95.6      94.6        97.0       95.0
    0.55, 0.55   94.9      94.4        97.5       94.9
    0.55, 0.65   94.8      94.3        97.6       94.8
    0.80, 0.85   96.6      94.7        98.1       94.9

Segments (`bootstrap.intervals`, and `bootstrap.paired_intervals` of differences), 400 resamples, 1,000
draws of 147 clips and 500 of 1,103. Here the percentiles of the bootstrap are correct.

    F1    ER    F1, 147  ER, 147  F1, 1,103  ER, 1,103  differences: the same
    0.31  1.21  93.5     93.8     95.0       94.4       94.4  94.4  92.4  93.8
    0.60  0.68  93.7     94.2     92.6       93.4       93.0  93.8  92.6  91.6
    0.90  0.19  94.0     94.1     94.4       94.6       93.0  93.8  93.8  93.4
"""

import numpy as np
import pytest
from populations import (
    FREQUENCIES,
    FULL,
    SIZES,
    ScorePopulation,
    draw_decoded_systems,
    draw_pair,
    in_percent,
)

from wsedtk.evaluation import average_precision, bootstrap, intervals, metrics

QUALITIES = ((0.3, 0.9), (0.4, 0.6), (0.55, 0.9), (0.8, 0.95), (0.92, 0.98))  # MAP, fraction heard
CELLS = [
    (name, *quality, num_clips)
    for name in FREQUENCIES
    for quality in QUALITIES
    for num_clips in SIZES
]
QUICK = [
    ("evaluation", 0.55, 0.9, 147),
    ("long tail", 0.3, 0.9, 147),
    ("evaluation", 0.3, 0.9, 1103),
]
FEW_INTERVALS = 5  # percent of the draws
LEVELS = (-1.3, 0.0, 2.0)  # logits of a segment: F1 of 0.3, 0.6 and 0.9


def fits(found, truth):
    """Return whether an interval [low, high] contains the true value, and if it is above it."""
    return found[0] <= truth <= found[1], found[0] > truth


def counts_of_draws(num_clips):
    """Return the number of draws of this number of clips per cell."""
    if FULL:
        return 2000 if num_clips < 1000 else 1000
    return 300 if num_clips < 1000 else 200


def ranked_coverage(frequency, quality, heard, num_clips):
    """Return {name: (coverage, intervals above the value, draws with an interval)} in percent."""
    population = ScorePopulation.of(FREQUENCIES[frequency], quality, heard)
    rng, num_draws = np.random.default_rng(0), counts_of_draws(num_clips)
    truth, hits = population.figures(), {"map": [], "mauc": []}
    for _ in range(num_draws):
        found = average_precision.ranking_intervals(*population.draw(num_clips, rng))
        for name in hits:
            if found[name]:
                hits[name].append(fits(found[name], truth[name]))
    return {
        name: (*(in_percent(part) for part in zip(*one)), 100 * len(one) / num_draws)
        for name, one in hits.items()
    }


def test_a_population_has_the_figures_of_very_many_clips():
    population = ScorePopulation.of(FREQUENCIES["evaluation"], 0.55)
    scores, tags = population.draw(100_000, np.random.default_rng(3))
    found, expected = average_precision.ranking_metrics(scores, tags), population.figures()
    assert expected["map"] == pytest.approx(0.55, abs=1e-3)
    assert found["map"] == pytest.approx(expected["map"], abs=0.005)
    assert found["mauc"] == pytest.approx(expected["mauc"], abs=0.003)


@pytest.mark.parametrize("cell", CELLS if FULL else QUICK, ids=str)
def test_intervals_of_map_and_mauc(cell):
    found = ranked_coverage(*cell)
    print(cell, found)
    spare = 0 if FULL else 2  # with 200 or 300 draws, the coverage has a standard deviation of 1.4
    for name, (coverage, above, share) in found.items():
        if cell[0] == "rare" and cell[-1] == 147:
            assert share < FEW_INTERVALS  # intervals are omitted where they would be wrong
            continue
        assert share > 90
        assert 90 <= coverage <= (97 if name == "map" else 97.5) + spare
        assert above <= 10


PAIRS = [(0.3, 0.36), (0.55, 0.55), (0.55, 0.65), (0.8, 0.85)]  # MAP of the two systems


@pytest.mark.parametrize("qualities", PAIRS if FULL else PAIRS[2:3], ids=str)
@pytest.mark.parametrize("num_clips", SIZES if FULL else SIZES[:1])
def test_differences_of_map_and_mauc_on_the_same_clips(qualities, num_clips):
    systems = [ScorePopulation.of(FREQUENCIES["evaluation"], quality) for quality in qualities]
    first, second = (system.figures() for system in systems)
    rng, hits = np.random.default_rng(1), {"map": [], "mauc": []}
    for _ in range(counts_of_draws(num_clips)):
        *scores, tags = draw_pair(*systems, num_clips, rng)
        ours, theirs = (average_precision.ranking_estimates(one, tags) for one in scores)
        for name, one in hits.items():
            ends = intervals.difference_over_clips(ours[name], theirs[name])
            one.append(fits(ends, second[name] - first[name])[0])
    found = {name: in_percent(one) for name, one in hits.items()}
    print(qualities, num_clips, found)
    assert 90 <= found["map"] <= (97 if FULL else 99)
    assert 90 <= found["mauc"] <= (98.5 if FULL else 100)


@pytest.mark.parametrize("level", LEVELS if FULL else LEVELS[1:2])
@pytest.mark.parametrize("num_clips", SIZES if FULL else SIZES[:1])
def test_bootstrap_of_segments(level, num_clips):
    rng, names = np.random.default_rng(2), ("f1", "error_rate", "precision")
    many = draw_decoded_systems(200_000, 1, 0.0, rng, 0.3, level)[:, 0].sum(axis=1)
    first, second = (metrics.segment_figures(counts) for counts in many)
    hits, paired = {name: [] for name in names}, {name: [] for name in names}
    for _ in range(counts_of_draws(num_clips) // 2):
        ours, theirs = draw_decoded_systems(num_clips, 1, 0.0, rng, 0.3, level)[:, 0]
        weights = bootstrap.clip_weights(num_clips, 400, seed=rng.integers(2**32))
        alone = bootstrap.intervals(metrics.segment_figures, weights, ours)
        both = bootstrap.paired_intervals(metrics.segment_figures, weights, ours, theirs)
        for name in names:
            hits[name].append(fits(alone[name], first[name])[0])
            paired[name].append(fits(both[name][1], second[name] - first[name])[0])
    found = [{name: in_percent(one) for name, one in part.items()} for part in (hits, paired)]
    print(level, num_clips, {name: round(first[name], 2) for name in names}, *found)
    low, high = (90, 97.5) if FULL else (85, 100)
    assert all(low <= one <= high for part in found for one in part.values())
