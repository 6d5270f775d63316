"""Thresholds of several classes, and the decisions that they lead to.

N clips, S segments, K classes.
"""

import dataclasses

import numpy as np

from wsedtk.decoding import thresholds


@dataclasses.dataclass(frozen=True)
class Decisions:
    """The thresholds that were chosen, and what they lead to on the set; each array (K,)."""

    unit: str  # what is decided on: clips, or 1 s segments
    option: np.ndarray  # which of the ways of making scores
    threshold: np.ndarray
    true_positives: np.ndarray
    predicted: np.ndarray
    positives: np.ndarray
    nearest: list | None = None  # see `thresholds.search_target`


def choose(options, truth, unit, hours, target, published=None):
    """Choose thresholds for a target, as (quantity, value), or without one for the best micro F1; or take those `published` (K,)."""
    positives, nearest = truth.sum(axis=0), None
    if target:
        option, threshold, nearest = thresholds.search_target(options, positives, hours, *target)
    elif published is not None:
        option, threshold = np.zeros(len(options), np.int64), published
    else:
        option, threshold = thresholds.search(options, int(positives.sum()))
    chosen = [alternatives[o] for alternatives, o in zip(options, option)]
    place = [int(np.flatnonzero(c.thresholds == t)[0]) for c, t in zip(chosen, threshold)]
    hits, predicted = (
        np.array([getattr(c, name)[i] for c, i in zip(chosen, place)])
        for name in ("true_positives", "predicted")
    )
    return Decisions(unit, option, threshold, hits, predicted, positives, nearest)
