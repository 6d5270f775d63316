"""Find class-wise thresholds that maximise micro-averaged F1, or that meet a target in each class.

Array dimensions: N clips (or segments), C candidates, K classes. A decision is positive if score >=
threshold. The candidates of a class are -inf, +inf, and the float64 midpoints between adjacent
distinct scores. `search` and `search_target` describe the choice among equally good candidates.

Micro F1 is 2 TP / (predicted + positives), with three sums over all classes: the number of true
positives (TP), of positive decisions (predicted), and of positives in the reference (positives).

`tune` finds the global optimum of micro F1 (Dinkelbach 1967). It starts with L = 0. For a given L,
each class is treated separately: its threshold maximises 2 TP - L * predicted. Then L is set to the
resulting micro F1. Both steps are repeated until L stops rising. All comparisons use integers, so
rounding does not affect ties. `tune_published` is the procedure of Wang, Li & Metze (2019).
`search_target` finds the threshold of each class separately, for a target precision, a target
recall or a limit of false alarms per hour.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import NamedTuple, overload

import numpy as np
import numpy.typing as npt

from wsedtk.core.types import Booleans, Floats, Integers

TARGETS = ("precision", "recall", "false-alarms-per-hour")


@dataclasses.dataclass(frozen=True, eq=False)
class Candidates:
    """The candidate thresholds of one class, and the resulting numbers of decisions.

    Attributes
    ----------
    thresholds : (C,) float64
        The thresholds in descending order. The first is +inf.
    true_positives : (C,) int64
        The number of true positives with each threshold.
    predicted : (C,) int64
        The number of positive decisions with each threshold.
    """

    thresholds: npt.NDArray[np.float64]
    true_positives: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]


class Choice(NamedTuple):
    """The chosen candidate of each class.

    Attributes
    ----------
    option : (K,) int64
        The index of the chosen `Candidates` in the options of the class.
    threshold : (K,) float64
        The chosen threshold.
    """

    option: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float64]


class Nearest(NamedTuple):
    """The counts of the candidate that comes nearest to a target.

    `true_positives` and `predicted` have the same meaning as in `Candidates`.
    """

    true_positives: int
    predicted: int


class TargetChoice(NamedTuple):
    """The chosen candidate of each class, for a target.

    Attributes
    ----------
    option : (K,) int64
        The index of the chosen `Candidates` in the options of the class.
    threshold : (K,) float64
        The chosen threshold; +inf if no candidate meets the target.
    nearest : list of Nearest or None
        One item for each class. The item is None if a candidate meets the target. Otherwise the
        item describes the candidate that comes nearest to the target. The item is (0, 0) if no
        candidate has a true positive.
    """

    option: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float64]
    nearest: list[Nearest | None]


def candidates(scores: Floats, truth: Booleans) -> Candidates:
    """Return the candidate thresholds of one class.

    If N is 0, +inf is the only candidate.

    Parameters
    ----------
    scores : (N,) float
        Finite scores.
    truth : (N,) bool
        Whether the class occurs in each clip or segment.

    Returns
    -------
    Candidates

    Raises
    ------
    ValueError
        If a score is not finite.
    """
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    scores = np.asarray(scores, np.float64)
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    is_last_of_equals = np.ones(len(ranked), bool)
    is_last_of_equals[:-1] = np.diff(ranked) != 0
    last_of_equals = np.flatnonzero(is_last_of_equals)
    upper, lower = ranked[last_of_equals[:-1]], ranked[last_of_equals[:-1] + 1]
    middle = (upper + lower) / 2
    # If two scores are adjacent float64 numbers, there is no number between them. In this case, the
    # upper score is the threshold.
    middle = np.where(middle > lower, middle, upper)
    hits = np.cumsum(np.asarray(truth, np.int64)[order])[last_of_equals]
    return Candidates(
        np.concatenate([[np.inf], middle, [-np.inf] if len(scores) else []]),
        np.append(0, hits),
        np.append(0, last_of_equals + 1).astype(np.int64),
    )


@overload
def f1_score(true_positives: int, predicted: int, positives: int) -> float: ...
@overload
def f1_score(true_positives: Integers, predicted: Integers, positives: int) -> Floats: ...
def f1_score(
    true_positives: int | Integers, predicted: int | Integers, positives: int
) -> float | Floats:
    """Return F1 = 2 TP / (predicted + positives), or 0 if `predicted` and `positives` are 0.

    Parameters
    ----------
    true_positives, predicted : int, or array of int
        The number of true positives and of positive decisions.
    positives : int
        The number of positives in the reference.
    """
    total = np.asarray(predicted + positives)
    score: float | Floats = 2 * true_positives / np.where(total == 0, 1, total)
    return score


def search(options: Sequence[Sequence[Candidates]], num_positives: int) -> Choice:
    """Choose one candidate for each class, so that micro F1 is globally optimal.

    Parameters
    ----------
    options : sequence of sequence of Candidates
        `options[k]` has one `Candidates` for each setting of class k that can be chosen, such as a
        length of the median filter.
    num_positives : int
        The number of positives in the reference, over all classes.

    Returns
    -------
    Choice
        If candidates are equally good, the first option is chosen, and in it the highest threshold.
    """
    numerator, denominator = 0, 1  # L (see the docstring of the module), as a fraction
    while True:
        chosen = [_best_gain(alternatives, numerator, denominator) for alternatives in options]
        best = [alternatives[c.option] for alternatives, c in zip(options, chosen)]
        hits = sum(int(b.true_positives[c.place]) for b, c in zip(best, chosen))
        predicted = sum(int(b.predicted[c.place]) for b, c in zip(best, chosen))
        total = predicted + num_positives
        if total == 0 or 2 * hits * denominator <= numerator * total:
            break
        numerator, denominator = 2 * hits, total
    return Choice(
        np.array([c.option for c in chosen], np.int64),
        np.array([b.thresholds[c.place] for b, c in zip(best, chosen)], np.float64),
    )


class _Selected(NamedTuple):
    """A candidate of a class: the index of the option, and the index of the threshold in it."""

    option: int
    place: int


def _best_gain(alternatives: Sequence[Candidates], numerator: int, denominator: int) -> _Selected:
    """Return the candidate of a class that maximises 2 TP - L * predicted.

    L is `numerator` / `denominator`.
    """
    gains = [2 * c.true_positives * denominator - numerator * c.predicted for c in alternatives]
    tops = [int(np.argmax(gain)) for gain in gains]  # the first maximum, so the highest threshold
    option = max(range(len(gains)), key=lambda number: gains[number][tops[number]])
    return _Selected(option, tops[option])


@overload
def reached(
    true_positives: int, predicted: int, positives: int, hours: float
) -> dict[str, float]: ...
@overload
def reached(
    true_positives: Integers, predicted: Integers, positives: int, hours: float
) -> dict[str, Floats]: ...
def reached(
    true_positives: int | Integers, predicted: int | Integers, positives: int, hours: float
) -> dict[str, float] | dict[str, Floats]:
    """Return the value of each quantity of TARGETS for given decisions.

    Parameters
    ----------
    true_positives, predicted : int, or array of int
        The number of true positives and of positive decisions.
    positives : int
        The number of positives in the reference.
    hours : float
        The duration of the audio in hours.

    Returns
    -------
    dict
        The value of each quantity, by name. Precision and recall are 0 if their denominator is 0.
    """
    return {
        "precision": true_positives / np.maximum(predicted, 1),
        "recall": true_positives / np.maximum(positives, 1),
        "false-alarms-per-hour": (predicted - true_positives) / hours,
    }


def _top(first: Floats, second: Floats, among: Integers) -> int:
    """Return the index with the highest value of `first`. The value of `second` breaks ties.

    Only the indices in `among` are considered. If both values are equal, the first index is
    returned.
    """
    best = among[first[among] == first[among].max()]
    return int(best[np.argmax(second[best])])


def search_target(
    options: Sequence[Sequence[Candidates]],
    positives: Iterable[int],
    hours: float,
    quantity: str,
    value: float,
) -> TargetChoice:
    """Choose one candidate for each class, so that the class meets a target if possible.

    For a target precision or a limit of false alarms, the recall is maximised. For a target recall,
    the precision is maximised. Candidates without true positives are not considered. If several
    candidates are equally good, the one with the best value of the target quantity is chosen. If
    these values are also equal, the first option is chosen, and in it the highest threshold.

    Parameters
    ----------
    options : sequence of sequence of Candidates
        See `search`.
    positives : iterable of int
        The number of positives of each class in the reference.
    hours : float
        The duration of the audio in hours.
    quantity : str
        One of TARGETS.
    value : float
        The minimum precision, the minimum recall, or the maximum number of false alarms per hour.

    Returns
    -------
    TargetChoice
    """
    found = [
        _search_one(alternatives, count, hours, quantity, value)
        for alternatives, count in zip(options, positives)
    ]
    return TargetChoice(
        np.array([one.option for one in found], np.int64),
        np.array([one.threshold for one in found], np.float64),
        [one.nearest for one in found],
    )


class _One(NamedTuple):
    """The content of `TargetChoice` for one class."""

    option: int
    threshold: float
    nearest: Nearest | None


def _search_one(
    alternatives: Sequence[Candidates],
    num_positives: int,
    hours: float,
    quantity: str,
    value: float,
) -> _One:
    """Choose a candidate of one class; see `search_target`."""
    sign = -1 if quantity == "false-alarms-per-hour" else 1
    other = "precision" if quantity == "recall" else "recall"
    best, best_values = None, (-np.inf, -np.inf)
    nearest, nearest_values = Nearest(0, 0), (-np.inf, -np.inf)
    for number, c in enumerate(alternatives):
        values = reached(c.true_positives, c.predicted, num_positives, hours)
        own, rest = sign * values[quantity], values[other]
        finds = np.flatnonzero(c.true_positives > 0)
        # The rounding of a quotient must not exclude a candidate that meets the target exactly.
        meets = finds[own[finds] >= sign * value - 1e-9 * value]
        if len(meets):
            i = _top(rest, own, meets)
            if (rest[i], own[i]) > best_values:
                best, best_values = _One(number, c.thresholds[i], None), (rest[i], own[i])
        if len(finds):
            i = _top(own, rest, finds)
            counts = Nearest(int(c.true_positives[i]), int(c.predicted[i]))
            if ((own[i], rest[i]), counts) > (nearest_values, nearest):
                nearest, nearest_values = counts, (own[i], rest[i])
    return best if best is not None else _One(0, np.inf, nearest)


def tune(scores: Floats, truth: Booleans) -> npt.NDArray[np.float64]:
    """Return the thresholds (K,) for the best micro F1.

    Parameters
    ----------
    scores : (N, K) float
        Finite scores.
    truth : (N, K) bool
        Which classes occur in each clip or segment.
    """
    options = [[candidates(scores[:, k], truth[:, k])] for k in range(truth.shape[1])]
    return search(options, int(np.count_nonzero(truth))).threshold


def tune_published(scores: Floats, truth: Booleans, seed: int = 0) -> npt.NDArray[np.float64]:
    """Return the thresholds (K,) of the published procedure of Wang, Li & Metze (2019).

    First, each class is tuned separately for its own F1. Then one class at a time, in random order,
    is tuned for the micro F1 of all classes, while the thresholds of the other classes are fixed.
    The second step is repeated until no threshold changes.

    As in the authors' code, the second step chooses the threshold +inf (no positive decisions for
    the class) only if the micro F1 is 0 with all other thresholds. Therefore a class can have
    positive decisions although the micro F1 would be higher without them, and the result can be
    below the optimum of `tune`.

    Parameters
    ----------
    scores : (N, K) float
        Finite scores.
    truth : (N, K) bool
        Which classes occur in each clip or segment.
    seed : int
        The seed of the random order.
    """
    truth, generator = np.asarray(truth, bool), np.random.default_rng(seed)
    num_classes, positives = truth.shape[1], truth.sum(axis=0).tolist()
    options = [candidates(scores[:, k], truth[:, k]) for k in range(num_classes)]
    chosen = [
        int(np.argmax(f1_score(c.true_positives, c.predicted, count)))
        for c, count in zip(options, positives)
    ]
    waiting = set(range(num_classes))
    while waiting:
        k = int(generator.choice(sorted(waiting)))
        waiting.remove(k)
        others = [j for j in range(num_classes) if j != k]
        hits = sum(int(options[j].true_positives[chosen[j]]) for j in others)
        predicted = sum(int(options[j].predicted[chosen[j]]) for j in others)
        c = options[k]
        # Index 0, the threshold +inf, is chosen only if no other candidate has F1 > 0.
        f1 = f1_score(c.true_positives[1:] + hits, c.predicted[1:] + predicted, sum(positives))
        best = int(np.argmax(f1)) + 1 if len(f1) and f1.max() > 0 else 0
        if best != chosen[k]:
            chosen[k] = best
            waiting = set(others)
    return np.array([c.thresholds[i] for c, i in zip(options, chosen)])
