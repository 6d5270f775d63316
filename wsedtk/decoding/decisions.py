"""Choose thresholds for several classes, and count the resulting decisions.

Array dimensions: N clips (or segments), K classes.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsedtk.core.config import suggest
from wsedtk.core.errors import InputError
from wsedtk.core.types import Booleans
from wsedtk.decoding import thresholds
from wsedtk.decoding.thresholds import Candidates


class Target(NamedTuple):
    """A target for the decisions of each class: a quantity of `thresholds.TARGETS` and its value.

    `hours` is the duration of the audio in hours. Rates per hour are computed from it.
    """

    quantity: str
    value: float
    hours: float


def check_target(quantity: str, value: float) -> None:
    """Raise InputError if the quantity or the value of a target is invalid."""
    if quantity not in thresholds.TARGETS:
        near = suggest(quantity, thresholds.TARGETS)
        raise InputError(f"target: found {quantity!r}; {near}")
    if quantity == "false-alarms-per-hour":
        if not 0 <= value < float("inf"):
            raise InputError(
                f"target: found {quantity}={value}; expected a finite number of at least 0"
            )
    elif not 0 < value <= 1:
        raise InputError(
            f"target: found {quantity}={value}; expected a number above 0 and at most 1"
        )


class Counts(NamedTuple):
    """The numbers of true positives, of positive decisions, and of positives in the reference."""

    true_positives: int
    predicted: int
    positives: int

    @property
    def precision(self) -> float:
        """The fraction of the positive decisions that are correct; 0 if no decision is positive."""
        return self.true_positives / max(self.predicted, 1)

    @property
    def recall(self) -> float:
        """The fraction of the positives that are found; 0 if there are no positives."""
        return self.true_positives / max(self.positives, 1)

    @property
    def f1(self) -> float:
        """The F1 score; 0 if there are neither positives nor positive decisions."""
        return float(thresholds.f1_score(*self))


@dataclasses.dataclass(frozen=True, eq=False)
class Decisions:
    """Thresholds, and the numbers of the resulting decisions.

    K is 1 if all classes have one common threshold.

    Attributes
    ----------
    unit : str
        The unit of the decisions, such as "clips" or "1 s segments".
    setting : (K,) int64
        For each class, the index of the chosen setting of the filters (see `choose`).
    threshold : (K,) float64
        The chosen threshold of each class.
    true_positives, predicted, positives : (K,) int64
        The numbers of true positives, of positive decisions, and of positives in the reference.
    nearest : tuple of (int, int) or None, optional
        None if there is no target. Otherwise, the tuple has one item for each class. The item is
        None if the class reaches the target. Otherwise, the item contains two numbers for the
        threshold that comes nearest to the target: the number of true positives, and the number of
        positive decisions. The item is (0, 0) if no threshold gives a true positive.
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
    """Choose filters and a threshold for each class, and count the resulting decisions.

    If there is no target and there are no published thresholds, the choice maximises the micro F1.

    Parameters
    ----------
    candidates : K sequences of Candidates
        `candidates[k]` has one `Candidates` for each setting of the filters that can be chosen for
        class k.
    truth : (N, K) bool
        Whether each class occurs in each clip or segment.
    unit : str
        The unit of the decisions; see `Decisions`.
    target : Target, optional
        The target that each class must reach.
    published : (K,), optional
        Thresholds that are used with the first setting of the filters, without a search. Each
        threshold must be a candidate of its class. Ignored if there is a target.

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
