"""Populations of clips and systems with known metrics, for simulations of intervals.

N clips, K classes, S segments per clip, M seeds.
"""

import dataclasses
import functools
import os

import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats

FULL = bool(os.environ.get("WSEDTK_TEST_FULL"))
NUM_CLASSES = 17
SIZES = (147, 1103)  # clips

# fractions of the clips that contain each class
FREQUENCIES = {
    "evaluation": np.array([0.24, 0.14, 0.09] + [0.054] * 14),  # similar to DCASE 2017 task 4's
    "long tail": 0.3 * (0.02 / 0.3) ** (np.arange(NUM_CLASSES) / 16),
    "rare": 0.25 * (0.005 / 0.25) ** (np.arange(NUM_CLASSES) / 16),  # similar to its training set's
}
_GRID = np.linspace(-9, 22, 6001)  # scores at which the integrals are evaluated


@dataclasses.dataclass(frozen=True)
class ScorePopulation:
    """Clips with tags and normally distributed clip scores.

    frequency: (K,), see `FREQUENCIES`. heard: the fraction of positives with higher scores; the
    others have scores like negatives. separation: (K,), the mean score of heard positives; that of
    negatives is 0. Clips that contain the previous class have half the separation, because some
    classes sound alike.
    """

    frequency: np.ndarray
    heard: float
    separation: np.ndarray

    @classmethod
    def of(cls, frequency, quality, heard=0.9):
        """Return the population with this MAP, and different separations of the classes."""
        uneven = 0.7 * np.random.default_rng(7).standard_normal(len(frequency))

        def excess(level):
            return cls(frequency, heard, np.maximum(level + uneven, 0.1)).figures()["map"] - quality

        level = scipy.optimize.brentq(excess, 0, 12, xtol=1e-3)
        return cls(frequency, heard, np.maximum(level + uneven, 0.1))

    def figures(self):
        """Return {map, mauc} for infinitely many clips."""
        aps, areas = [], []
        for k, (share, separation) in enumerate(zip(self.frequency, self.separation)):
            alike = self.frequency[k - 1]
            above, heard = scipy.stats.norm.sf(_GRID), scipy.stats.norm.sf(_GRID - separation)
            hits = self.heard * heard + (1 - self.heard) * above
            false = (1 - alike) * above + alike * scipy.stats.norm.sf(_GRID - separation / 2)
            precision = share * hits / np.maximum(share * hits + (1 - share) * false, 1e-300)
            aps.append(-np.trapezoid(precision, hits))
            areas.append(-np.trapezoid(hits, false))
        return {"map": np.mean(aps), "mauc": np.mean(areas)}

    def tags(self, num_clips, rng):
        """Draw tags (N, K)."""
        return rng.random((num_clips, len(self.frequency))) < self.frequency

    def means(self, tags, rng):
        """Draw the mean score (N, K) of each clip and class."""
        heard = tags & (rng.random(tags.shape) < self.heard)
        alike = np.roll(tags, 1, axis=1) & ~tags
        return heard * self.separation + alike * self.separation / 2

    def draw(self, num_clips, rng):
        """Draw scores (N, K) and tags (N, K); some clips have higher scores in all classes."""
        tags = self.tags(num_clips, rng)
        return self.means(tags, rng) + noise(tags.shape, rng), tags


def draw_pair(first, second, num_clips, rng):
    """Draw the scores (N, K) of two systems on the same clips, and the tags (N, K).

    first, second: ScorePopulations with equal frequencies. Half of the variance of the deviations
    is common to both systems.
    """
    tags = first.tags(num_clips, rng)
    common = noise(tags.shape, rng)
    return *(
        population.means(tags, rng) + np.sqrt(0.5) * (common + noise(tags.shape, rng))
        for population in (first, second)
    ), tags


def noise(shape, rng, of_clip=0.25):
    """Draw standard normal deviations (N, K) of scores; part of the variance is per clip."""
    own = np.sqrt(1 - of_clip) * rng.standard_normal(shape)
    return own + np.sqrt(of_clip) * rng.standard_normal((shape[0], 1))


# ---- two systems from one population of systems, trained with several seeds ----


def draw_ranked_systems(num_clips, num_seeds, spread, rng, better=0.0):
    """Draw clip scores (2, M, N, K) of two systems, and tags (N, K).

    A score has deviations for the clip, for the clip and system, and for the clip and seed. A seed
    shifts the separation of all classes. spread: the standard deviation of this shift; better: the
    additional separation of the second system.
    """
    population = _seeds_population()
    tags = population.tags(num_clips, rng)
    means, scores = population.means(tags, rng), np.empty((2, num_seeds, *tags.shape))
    of_clip = noise(tags.shape, rng)
    for system in range(2):
        of_system = noise(tags.shape, rng)
        for seed in range(num_seeds):
            gain = 1 + system * better + spread * rng.standard_normal()
            own = np.sqrt(0.5) * of_clip + 0.5 * of_system + 0.5 * noise(tags.shape, rng)
            scores[system, seed] = gain * means + own
    return scores, tags


@functools.cache
def _seeds_population():
    return ScorePopulation.of(FREQUENCIES["evaluation"][:10], 0.55)


def draw_decoded_systems(num_clips, num_seeds, spread, rng, better=0.0, level=0.0):
    """Draw `metrics.segment_counts` (2, M, N, 7) of two systems, summed over each clip.

    A clip has ten segments, and one event or none. Whether a segment is found, or a wrong class is
    found in it, depends on the clip, on clip and system, on the seed, and on clip and seed. spread:
    the standard deviation of the seed's effect on the logits; level: added to the logits of both
    systems; better: added to those of the second system.
    """
    places = np.arange(10)
    onset, length = rng.integers(0, 8, (num_clips, 1)), rng.integers(0, 11, (num_clips, 1))
    true = (places >= onset) & (places < onset + length)  # (N, S)
    shape = (2, num_seeds, num_clips)
    of_clip = rng.standard_normal(num_clips)
    logits = (
        0.7 * rng.standard_normal((2, 2, 1, num_clips))
        + spread * rng.standard_normal((2, 2, num_seeds, 1))
        + 0.5 * rng.standard_normal((2, *shape))
    )
    gain = level + np.reshape([0, better], (2, 1, 1))
    hit = scipy.special.expit(0.3 + of_clip + logits[0] + gain)[..., None]  # (2, M, N, 1)
    false = scipy.special.expit(-2.3 - 0.5 * of_clip + logits[1] - gain)[..., None]
    hits = true & (rng.random((*shape, 10), np.float32) < hit)  # (2, M, N, S)
    extra = rng.random((*shape, 10), np.float32) < false
    missed = true & ~hits
    tp, fp, fn, both = (part.sum(axis=-1) for part in (hits, extra, missed, missed & extra))
    return np.stack([both, fn - both, fp - both, tp + fn, tp, fp, fn], axis=-1).astype(float)


def in_percent(hits):
    """Return the percentage of true values."""
    return 100 * float(np.mean(hits))
