"""The thresholds of all classes, and their decisions on the set that they were tuned on.

N clips, S segments, K classes.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wsedtk.core.types import Booleans, Floats, Integers
from wsedtk.decoding import thresholds
from wsedtk.decoding.thresholds import Candidates, Counts


@dataclasses.dataclass(frozen=True, eq=False)
class Decisions:
    """The chosen thresholds, and their decisions on the set.

    Attributes
    ----------
    unit : str
        What the decisions are about, such as "clips", for messages.
    option : (K,) int
        The chosen way to compute the scores.
    threshold : (K,) float64
        The thresholds.
    true_positives, predicted, positives : (K,) int
        The numbers of true positives, of positive decisions, and of positives in the truth.
    nearest : list of Counts or None, or None
        For a target, see `thresholds.TargetChoice`.
    """

    unit: str
    option: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float64]
    true_positives: Integers
    predicted: Integers
    positives: Integers
    nearest: list[Counts | None] | None = None


def choose(
    options: Sequence[Sequence[Candidates]],
    truth: Booleans,
    unit: str,
    hours: float,
    target: tuple[str, float] | None,
    *,
    published: Floats | None = None,
) -> Decisions:
    """Choose thresholds for a target, or else for the best micro F1.

    Parameters
    ----------
    options : sequence of sequence of Candidates
        As for `thresholds.search`.
    truth : (N, K) or (S, K) bool
        Which classes occur.
    unit : str
        What the decisions are about.
    hours : float
        The duration of the audio in hours.
    target : (str, float) or None
        A quantity of `thresholds.TARGETS` and its value.
    published : (K,) float, optional
        Thresholds to use instead, without a target. They are among the first options.

    Returns
    -------
    Decisions
    """
    positives = truth.sum(axis=0)
    nearest = None
    if target:
        quantity, value = target
        option, threshold, nearest = thresholds.search_target(
            options, positives.tolist(), hours, quantity, value
        )
    elif published is not None:
        option, threshold = np.zeros(len(options), np.int64), np.asarray(published, np.float64)
    else:
        option, threshold = thresholds.search(options, int(positives.sum()))
    hits, predicted = [], []
    for alternatives, number, limit in zip(options, option, threshold):
        chosen = alternatives[number]
        place = np.flatnonzero(chosen.thresholds == limit)[0]
        hits.append(chosen.true_positives[place])
        predicted.append(chosen.predicted[place])
    return Decisions(
        unit, option, threshold, np.array(hits), np.array(predicted), positives, nearest
    )
