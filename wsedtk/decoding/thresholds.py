"""Class-wise thresholds for the best micro-averaged F1, or for a target that each class has to meet.

N clips (or segments), K classes. A decision is positive where score >= threshold. The candidates of a class are the float64
midpoints between its distinct neighbouring scores, -inf and +inf; among equals the highest wins.

Micro F1 is 2 TP / (positives predicted + positives true), summed over classes. `tune` finds its global optimum: for a value L,
each class alone maximises 2 TP - L * predicted; L rises to the F1 so reached until it stops rising (Dinkelbach 1967). All
comparisons are in integers, so that equals are equals. `tune_published` is the procedure of Wang, Li & Metze (2019).
`search_target` goes through each class alone.
"""

import dataclasses

import numpy as np

TARGETS = ("precision", "recall", "false-alarms-per-hour")


@dataclasses.dataclass(frozen=True)
class Candidates:
    """What each threshold of one class leads to; thresholds descend from +inf to -inf."""

    thresholds: np.ndarray  # (C,) float64
    true_positives: np.ndarray  # (C,) int64
    predicted: np.ndarray  # (C,) int64


def candidates(scores, truth):
    """Candidate thresholds of one class. scores: (N,) finite, truth: (N,) booleans."""
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    scores = np.asarray(scores, np.float64)
    order = np.argsort(-scores, kind="stable")
    sorted_scores = scores[order]
    last_of_equals = (
        np.flatnonzero(np.append(np.diff(sorted_scores) != 0, True))
        if len(scores)
        else np.array([], np.int64)
    )
    middle = (sorted_scores[last_of_equals[:-1]] + sorted_scores[last_of_equals[:-1] + 1]) / 2
    # Neighbouring float64 numbers have no midpoint between them: round up to the larger, which still parts them.
    middle = np.where(
        middle > sorted_scores[last_of_equals[:-1] + 1], middle, sorted_scores[last_of_equals[:-1]]
    )
    hits = np.cumsum(np.asarray(truth, np.int64)[order])[last_of_equals]
    thresholds = np.concatenate([[np.inf], middle, [-np.inf] if len(scores) else []])
    return Candidates(
        thresholds, np.append(0, hits), np.append(0, last_of_equals + 1).astype(np.int64)
    )


def f1_score(true_positives, predicted, positives):
    """2 TP / (predicted + positives), 0 where both are 0; numbers or arrays."""
    total = np.asarray(predicted + positives)
    return 2 * true_positives / np.where(total == 0, 1, total)


def search(options, num_positives):
    """Choose one candidate of each class for the best micro F1, globally.

    options: for each class a list of `Candidates`, one for each way of making its scores (filter settings, say).
    num_positives: positives of the truth over all classes.
    Returns (option, threshold): (K,) int and (K,) float64. Among equals the first option, then the highest threshold.
    """
    numerator, denominator = 0, 1  # L as a fraction
    while True:
        chosen, hits, predicted = [], 0, 0
        for alternatives in options:
            best = None
            for number, c in enumerate(alternatives):
                gain = 2 * c.true_positives * denominator - numerator * c.predicted
                top = int(np.argmax(gain))  # the first maximum: the highest threshold
                if best is None or gain[top] > best[0]:
                    best = (gain[top], number, top)
            chosen.append(best[1:])
            hits += int(alternatives[best[1]].true_positives[best[2]])
            predicted += int(alternatives[best[1]].predicted[best[2]])
        reached, total = 2 * hits, predicted + num_positives
        if total == 0 or reached * denominator <= numerator * total:
            break
        numerator, denominator = reached, total
    thresholds = [
        alternatives[option].thresholds[top] for alternatives, (option, top) in zip(options, chosen)
    ]
    return np.array([option for option, _ in chosen], np.int64), np.array(thresholds, np.float64)


def reached(true_positives, predicted, positives, hours):
    """{quantity: value} of decisions, numbers or arrays; precision and recall are 0 where nothing is predicted or true."""
    return {
        "precision": true_positives / np.maximum(predicted, 1),
        "recall": true_positives / np.maximum(positives, 1),
        "false-alarms-per-hour": (predicted - true_positives) / hours,
    }


def _top(first, second, among):
    """The index, of those `among`, with the highest value of `first`; of equals that with the highest of `second`, and the earliest."""
    best = among[first[among] == first[among].max()]
    return int(best[np.argmax(second[best])])


def search_target(options, positives, hours, quantity, value):
    """Choose one candidate of each class alone: of those that find anything and meet a target, the best of the other quantity.

    At least this precision or recall, or at most so many false alarms an hour: `quantity` is one of TARGETS. A recall is to be had
    with the highest precision, the others with the highest recall. Among equals the one that exceeds the target the most wins, then
    the first option, then the highest threshold.

    options: as for `search`; positives: (K,) of the truth; hours: of the audio that was decided on.
    Returns (option, threshold, nearest): (K,) int, (K,) float64, and for each class None, or where no candidate meets the target,
    so that the threshold is +inf, the (true positives, predicted) of the one that comes nearest; (0, 0) where none finds anything.
    """
    sign, other = (
        (-1 if quantity == "false-alarms-per-hour" else 1),
        "precision" if quantity == "recall" else "recall",
    )
    chosen, found, nearest = [], [], []
    for alternatives, count in zip(options, positives):
        best = near = ()
        for number, c in enumerate(alternatives):
            values = reached(c.true_positives, c.predicted, count, hours)
            own, rest = sign * values[quantity], values[other]
            finds = np.flatnonzero(c.true_positives > 0)
            meets = finds[
                own[finds] >= sign * value - 1e-9 * value
            ]  # met exactly, but for the rounding of a quotient, is met
            if len(meets):
                i = _top(rest, own, meets)
                best = max(best, ((rest[i], own[i], -number), c.thresholds[i]))
            if len(finds):
                i = _top(own, rest, finds)
                near = max(
                    near, ((own[i], rest[i]), (int(c.true_positives[i]), int(c.predicted[i])))
                )
        chosen.append(-best[0][2] if best else 0)
        found.append(best[1] if best else np.inf)
        nearest.append(None if best else near[1] if near else (0, 0))
    return np.array(chosen, np.int64), np.array(found, np.float64), nearest


def tune(scores, truth):
    """Thresholds (K,) float64 for the best micro F1 of scores (N, K) against truth (N, K) booleans."""
    truth = np.asarray(truth, bool)
    return search(
        [[candidates(scores[:, k], truth[:, k])] for k in range(truth.shape[1])], int(truth.sum())
    )[1]


def tune_published(scores, truth, seed=0):
    """Thresholds (K,) float64 as Wang, Li & Metze tuned them, with his start values.

    (1) Each class alone for its own F1. (2) One class at a time, in random order, for the micro F1 given the other classes'
    counts, until none changes. Each search of (2) starts from F1 = 0 and not from "none of this class predicted", so that a
    class is never silenced: the result can lie below the optimum that `tune` finds.
    """
    truth, generator = np.asarray(truth, bool), np.random.default_rng(seed)
    num_classes, positives = truth.shape[1], truth.sum(axis=0)
    options = [candidates(scores[:, k], truth[:, k]) for k in range(num_classes)]
    chosen = np.array(
        [np.argmax(f1_score(c.true_positives, c.predicted, p)) for c, p in zip(options, positives)]
    )
    waiting = set(range(num_classes))
    while waiting:
        k = int(generator.choice(sorted(waiting)))
        waiting.remove(k)
        others = [j for j in range(num_classes) if j != k]
        hits = sum(int(options[j].true_positives[chosen[j]]) for j in others)
        predicted = sum(int(options[j].predicted[chosen[j]]) for j in others)
        c = options[k]
        f1 = f1_score(
            c.true_positives[1:] + hits, c.predicted[1:] + predicted, positives.sum()
        )  # +inf is no candidate
        best = int(np.argmax(f1)) + 1 if len(f1) and f1.max() > 0 else 0
        if best != chosen[k]:
            chosen[k] = best
            waiting = set(others)
    return np.array([c.thresholds[i] for c, i in zip(options, chosen)])
