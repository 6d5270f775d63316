"""Thresholds of several classes, and the resulting decisions.

N clips (or segments), K classes.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsedtk.core.types import Booleans
from wsedtk.decoding import thresholds
from wsedtk.decoding.thresholds import Candidates


class Target(NamedTuple):
    """A quantity and the value that the decisions of each class must reach.

    `hours` is the duration of the audio, which is needed for rates.
    """

    quantity: str
    value: float
    hours: float


class Counts(NamedTuple):
    """The numbers of true positives, of positive decisions, and of positives in the truth."""

    true_positives: int
    predicted: int
    positives: int

    @property
    def precision(self) -> float:
        """The share of the positive decisions that are true. 0 if there are none."""
        return self.true_positives / max(self.predicted, 1)

    @property
    def recall(self) -> float:
        """The share of the positives that are found. 0 if there are none."""
        return self.true_positives / max(self.positives, 1)

    @property
    def f1(self) -> float:
        """The F1 score. 0 if there are neither positives nor positive decisions."""
        return float(thresholds.f1_score(*self))


@dataclasses.dataclass(frozen=True, eq=False)
class Decisions:
    """Thresholds, and the resulting decisions. K is 1 for common thresholds.

    Attributes
    ----------
    unit : str
        The unit of the decisions, such as "clips" or "1 s segments".
    setting : (K,) int64
        The filters of each class, as an index into the settings to choose from.
    threshold : (K,) float64
    true_positives, predicted, positives : (K,) int64
        The numbers of true positives, of positive decisions, and of positives in the truth.
    nearest : tuple of (int, int) or None, optional
        None if there is no target. Otherwise, one item for each class: None if the class reaches
        the target. If not, the true positives and positive decisions of the threshold that comes
        nearest, or (0, 0) if no threshold has a true positive.
    """

    unit: str
    setting: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float64]
    true_positives: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    positives: npt.NDArray[np.int64]
    nearest: tuple[tuple[int, int] | None, ...] | None = None

    @property
    def counts(self) -> Counts:
        """The counts, summed over classes."""
        sums = (self.true_positives.sum(), self.predicted.sum(), self.positives.sum())
        return Counts(*map(int, sums))


def choose(
    candidates: Sequence[Sequence[Candidates]],
    truth: Booleans,
    unit: str,
    *,
    target: Target | None = None,
    published: npt.NDArray[np.float64] | None = None,
) -> Decisions:
    """Choose a setting and a threshold for each class, for the best micro F1 or for a target.

    Parameters
    ----------
    candidates : K sequences of Candidates
        For each class, the candidate thresholds with each setting.
    truth : (N, K) bool
    unit : str
        The unit of the decisions; see `Decisions`.
    target : Target, optional
        The target that each class must reach.
    published : (K,), optional
        Thresholds to use instead of a search.

    Returns
    -------
    Decisions
    """
    positives, nearest = truth.sum(axis=0), None
    if target is not None:
        setting, threshold, near = thresholds.search_target(
            candidates, positives, target.hours, target.quantity, target.value
        )
        nearest = tuple(near)
    elif published is not None:
        setting, threshold = np.zeros(len(candidates), np.int64), published
    else:
        setting, threshold = thresholds.search(candidates, int(positives.sum()))
    chosen = [of_class[number] for of_class, number in zip(candidates, setting)]
    places = [int(np.flatnonzero(c.thresholds == t)[0]) for c, t in zip(chosen, threshold)]
    return Decisions(
        unit,
        setting,
        threshold,
        np.array([c.true_positives[place] for c, place in zip(chosen, places)]),
        np.array([c.predicted[place] for c, place in zip(chosen, places)]),
        positives,
        nearest,
    )
