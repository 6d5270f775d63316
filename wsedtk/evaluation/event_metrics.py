"""Event-based metrics (Mesaros, Heittola & Virtanen 2016).

The values equal those of sed_eval, apart from the conventions in `wsedtk.evaluation.metrics`.

In the shapes, N is the number of clips and K is the number of classes.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from wsedtk.core.types import Booleans, Integers
from wsedtk.data.events import Events
from wsedtk.evaluation.metrics import Figures, drop_zero_length, f1_figures

T_COLLAR = 0.2  # in seconds; tolerance of onsets, and minimum tolerance of offsets
PERCENTAGE_OF_LENGTH = 0.2  # tolerance of offsets, as a fraction of the reference event's length

_ROUNDING = 1e-6  # in seconds; larger than the rounding errors of the times of events
_MOST_PAIRS = 1 << 22  # approximate maximum number of pairs of events in a block


class EventMetrics(NamedTuple):
    """Event metrics of all classes together (micro-averaged), and of each class.

    `counts` contains the numbers (N, 3) of TP, FP and FN of each clip.
    """

    average: Figures
    classes: dict[str, Figures]
    counts: Integers


def event_metrics(
    reference: Events, estimated: Events, num_clips: int, labels: Sequence[str]
) -> EventMetrics:
    """Return event-based metrics.

    An estimated event can be matched with a reference event of the same clip and class if both
    their onsets and their offsets are close enough. The difference of the onsets must be at most
    `T_COLLAR`. The difference of the offsets must be at most the maximum of `T_COLLAR` and
    `PERCENTAGE_OF_LENGTH` times the length of the reference event. An event is matched with at most
    one other event. The number of true positives is the highest possible number of matches.
    Reference events of length zero are left out.

    Parameters
    ----------
    reference, estimated : Events
        The reference events and the estimated events. The clips have the indices 0 to N - 1.
    num_clips : int
        N, the number of clips.
    labels : sequence of str
        The K classes.
    """
    reference = drop_zero_length(reference)
    is_matched = match(reference, estimated)

    def counts(of_reference: Integers, of_estimated: Integers, length: int) -> Integers:
        true, said = (np.bincount(one, minlength=length) for one in (of_reference, of_estimated))
        tp = np.bincount(of_reference[is_matched], minlength=length)
        return np.stack([tp, said - tp, true - tp], axis=1)

    by_clip = counts(reference.clip, estimated.clip, num_clips)
    by_class = counts(reference.label, estimated.label, len(labels))
    classes = {label: f1_figures(one) for label, one in zip(labels, by_class)}
    return EventMetrics(f1_figures(by_clip.sum(axis=0)), classes, by_clip)


def match(reference: Events, estimated: Events) -> Booleans:
    """Return whether each of the E reference events is matched with an estimated event, (E,).

    As many events as possible are matched. `event_metrics` describes which events can be matched.
    """
    from scipy.sparse import csr_array  # slow to import
    from scipy.sparse.csgraph import maximum_flow

    # The matching is computed as a maximum flow from a source to a sink. Each unit of the flow
    # passes through a reference event and then an estimated event. At most one unit passes through
    # an event. scipy's `maximum_bipartite_matching` takes minutes for some lists with many pairs of
    # events that can be matched.
    true, said = np.arange(len(reference)), len(reference) + np.arange(len(estimated))
    source, sink = len(reference) + len(estimated) + np.arange(2)
    pairs = np.concatenate([np.empty((2, 0), np.int64), *_pairs(reference, estimated)], axis=1)
    starts = np.concatenate([np.full(len(true), source), pairs[0], said])
    ends = np.concatenate([true, said[pairs[1]], np.full(len(said), sink)])
    graph = csr_array((np.ones(len(starts), np.int32), (starts, ends)), shape=(sink + 1, sink + 1))
    flow = maximum_flow(graph, source, sink).flow
    matched: Booleans = flow[[source]].toarray()[0, : len(true)] > 0
    return matched


def _pairs(reference: Events, estimated: Events) -> Iterator[Integers]:
    """Yield pairs of a reference event and an estimated event that can be matched, in blocks.

    A block of P pairs is an array (2, P) of indices. The first row contains indices of reference
    events, the second row indices of estimated events.
    """
    # Each estimated event has an integer key. In the order of these keys, the events are sorted by
    # clip, then by class, then by onset. Onsets are replaced by their ranks, because integers are
    # exact. The candidates for a reference event are the estimated events whose keys are in a
    # range, which is computed below.
    onsets, rank = np.unique(estimated.onset, return_inverse=True)
    num_classes = 1 + max(reference.label.max(initial=0), estimated.label.max(initial=0))

    def key(events: Events, rank: Integers) -> Integers:
        found: Integers = (events.clip * num_classes + events.label) * (len(onsets) + 1) + rank
        return found

    keys = key(estimated, rank)
    order = np.argsort(keys)
    keys = keys[order]
    tolerance = T_COLLAR + _ROUNDING
    lowest = np.searchsorted(onsets, reference.onset - tolerance)
    highest = np.searchsorted(onsets, reference.onset + tolerance, "right")
    first = np.searchsorted(keys, key(reference, lowest))
    counts = np.searchsorted(keys, key(reference, highest)) - first
    # `before` contains, for each reference event, the number of candidate pairs of all preceding
    # reference events.
    before = np.cumsum(counts) - counts
    _, starts = np.unique(before // _MOST_PAIRS, return_index=True)
    for block in np.split(np.arange(len(reference)), starts[1:]):
        true = np.repeat(block, counts[block])
        if not len(true):
            continue
        pair = before[true[0]] + np.arange(len(true))
        said = order[first[true] + pair - before[true]]
        lengths = reference.offset[true] - reference.onset[true]
        collars = np.maximum(T_COLLAR, PERCENTAGE_OF_LENGTH * lengths)
        fits = np.abs(reference.onset[true] - estimated.onset[said]) <= T_COLLAR
        fits &= np.abs(reference.offset[true] - estimated.offset[said]) <= collars
        yield np.stack([true[fits], said[fits]])
