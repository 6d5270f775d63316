"""Find the events of score curves with a step filter. They are the events of box mode.

Array dimensions: T frames, C curves (a curve has the scores of one class in one recording), P
points in time, E events, R rates.

Where a step filter has a maximum, the scores rise most, and an event begins. Where the filter has a
minimum, the event ends. See `wsedtk.decoding.boxes` for the use of these events.

Times are integers in microseconds, and scores are integers in units of 2**-38. Therefore integrals
are exact: they do not depend on the pieces in which a curve is given, and in a part of a curve that
is constant, the output of the filter is exactly 0.

Source: Ebbers, Germain, Wichern & Le Roux 2024, "Sound Event Bounding Boxes", arXiv 2406.04212.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsedtk.core.types import Booleans, Floats, Integers
from wsedtk.data import boxes

LONGEST_FILTER_SECONDS = 60.0  # with a longer filter, the integrals would need more than 64 bits
_SCORE_BITS = 38
_LOW_BITS = 19  # the integral of a score is kept in two parts, because it needs more than 64 bits

Microseconds = npt.NDArray[np.int64]


class Found(NamedTuple):
    """Events of C curves, sorted by curve, then by time.

    Attributes
    ----------
    curve : (E,) int64
        The index of the curve.
    onset, offset : (E,) int64
        Start and end in microseconds.
    before, after : (R, E) int64
        The integrals of the R rates of the curve (see `Scanner`) from the start of the curve to the
        onset and to the offset.
    highest : (E,) float64
        The highest score of the event. For joined events, the highest score of the last of them.
    lowest : (E,) float64
        The lowest score of the gap before the event, from the end of the event before it.
    """

    curve: npt.NDArray[np.int64]
    onset: Microseconds
    offset: Microseconds
    before: npt.NDArray[np.int64]
    after: npt.NDArray[np.int64]
    highest: npt.NDArray[np.float64]
    lowest: npt.NDArray[np.float64]

    def select(self, keep: Booleans | Integers) -> "Found":
        """Return the events that a boolean mask (E,) or indices (M,) select."""
        return Found._make(column[..., keep] for column in self)

    @classmethod
    def joined(cls, parts: Sequence["Found"]) -> "Found":
        """Join lists of events. Events of a curve must be in order over all lists."""
        found = cls._make(np.concatenate(column, axis=-1) for column in zip(*parts))
        return found.select(np.argsort(found.curve, kind="stable"))

    @property
    def confidence(self) -> npt.NDArray[np.float64]:
        """The mean score of each event (E,), rounded to nine decimal places."""
        high, low = (self.after - self.before)[:2]
        area = high * 2.0**_LOW_BITS + low
        mean = area / (self.offset - self.onset) / 2.0**_SCORE_BITS
        rounded: npt.NDArray[np.float64] = np.round(mean, boxes.DECIMALS)
        return rounded


def no_events(num_rates: int = 2) -> Found:
    """Return an empty list of events with R integrals."""
    no_time, no_area = np.zeros(0, np.int64), np.zeros((num_rates, 0), np.int64)
    return Found(no_time, no_time, no_time, no_area, no_area, np.zeros(0), np.zeros(0))


def microseconds(seconds: Floats) -> Microseconds:
    """Convert times from seconds to whole microseconds."""
    whole: Microseconds = np.rint(seconds * 1e6).astype(np.int64)
    return whole


class _Turns(NamedTuple):
    """The points at which the filter outputs of C curves begin to rise or to fall.

    They are sorted by curve, then by time. A gap begins where the output begins to rise, an event
    where the output begins to fall.
    """

    curve: Integers
    point: Integers  # the index of the point


class Scanner:
    """A search for the events of C curves that takes the scores of the curves in pieces.

    Parameters
    ----------
    num_curves : int
    filter_seconds : float
        The length of the step filter in seconds. Its output at a time is the mean score in the half
        length after that time, minus the mean score in the half length before it. Scores before the
        start and after the end of the curve count as 0.
    num_rates : int
        The number R of integrals that are kept for each event: 2, or 3 if a gate is given.
    """

    def __init__(self, num_curves: int, filter_seconds: float, num_rates: int = 2) -> None:
        self._half = max(1, round(filter_seconds * 5e5))
        shape = (num_rates, num_curves)
        # The frames that are still needed, and the integrals of the rates at their first edge.
        self._scores: Floats = np.zeros((0, num_curves), np.float32)
        self._gate: Booleans = np.zeros((0, num_curves), bool)
        self._edges: Microseconds = np.zeros(1, np.int64)
        self._area: npt.NDArray[np.int64] = np.zeros(shape, np.int64)
        # The last point, the filter output there, and whether the output rose before it.
        self._point = -1
        self._output: npt.NDArray[np.int64] = np.zeros(num_curves, np.int64)
        self._is_rising: Booleans = np.ones(num_curves, bool)
        # The current gap or event of each curve. Its extremes cover the time up to the last point.
        self._onset: Microseconds = np.zeros(num_curves, np.int64)
        self._before: npt.NDArray[np.int64] = np.zeros(shape, np.int64)
        # (2, C): the lowest and the highest score
        self._extremes: npt.NDArray[np.float64] = np.tile([[np.inf], [-np.inf]], num_curves)
        self._gap_lowest: npt.NDArray[np.float64] = np.full(num_curves, np.inf)

    def push(
        self, scores: Floats, edges: Microseconds, gate: Booleans | None = None, *, is_end: bool
    ) -> Found:
        """Add the next frames, and return the events that are complete.

        Parameters
        ----------
        scores : (T, C) float32
        edges : (T,) int64
            The ends of the frames in microseconds.
        gate : (T, C) bool, optional
            Whether each curve passes a gate in each frame. If it is given, the third integral of an
            event is the number of microseconds in which its curve passes the gate.
        is_end : bool
            Whether these are the last frames of the curve.
        """
        self._scores = np.concatenate([self._scores, scores])
        self._edges = np.concatenate([self._edges, edges])
        if gate is not None:
            self._gate = np.concatenate([self._gate, gate])
        points = self._next_points(is_end)
        if len(points) < 2:
            return no_events(len(self._area))
        rates, areas = self._integrals()
        frame = np.searchsorted(self._edges, points[:-1], side="right") - 1
        output = self._filter(points[1:], rates, areas)  # (P - 1, C)
        if self._point < 0:  # the first point has no predecessor
            self._output = self._filter(points[:1], rates, areas)[0]
        is_rising = np.diff(output, axis=0, prepend=self._output[None]) > 0
        is_turn = np.diff(is_rising, axis=0, prepend=self._is_rising[None])
        turns = _Turns(*np.nonzero(is_turn.T))
        at_turns = self._areas_at(points[turns.point], turns.curve, rates, areas)
        extremes = _extremes(self._scores[frame].T, is_turn.T)
        found = self._close(turns, points, at_turns, extremes)
        self._output, self._is_rising = output[-1], is_rising[-1]
        self._point = int(points[-1])
        if is_end:
            curve = np.arange(len(self._output))
            end = self._areas_at(np.full(len(curve), self._point), curve, rates, areas)
            return Found.joined([found, self._open_events(end)])
        self._drop_frames(areas)
        return found

    def _next_points(self, is_end: bool) -> Microseconds:
        """Return the last point, and the points after it at which the filter output is known.

        The filter output is piecewise linear. All its bends are at points: the edges of the frames,
        and the times half a filter length before and after them.
        """
        end = self._edges[-1]
        limit = end if is_end else end - self._half
        first = max(self._point, 0)
        points = np.unique(
            np.concatenate([self._edges, self._edges - self._half, self._edges + self._half])
        )
        return np.append(first, points[(points > first) & (points <= limit)])

    def _integrals(self) -> tuple[list[npt.NDArray[np.int64]], npt.NDArray[np.int64]]:
        """Return the rates (T, C) of the frames, and their integrals (R, T + 1, C) at the edges."""
        scores = np.rint(self._scores * 2.0**_SCORE_BITS).astype(np.int64)
        rates = [scores >> _LOW_BITS, scores & ((1 << _LOW_BITS) - 1)]
        if len(self._area) > 2:
            rates.append(self._gate.astype(np.int64))
        lengths = np.diff(self._edges)[:, None]
        areas = np.stack(
            [
                np.cumsum(np.concatenate([area[None], rate * lengths]), axis=0)
                for area, rate in zip(self._area, rates)
            ]
        )
        return rates, areas

    def _filter(
        self,
        times: Microseconds,
        rates: Sequence[npt.NDArray[np.int64]],
        areas: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        """Return the filter output (P, C) at some times, times half the length of the filter.

        The integrals overflow, but their differences within the length of the filter are correct.
        """
        scores = (rates[0] << _LOW_BITS) + rates[1]
        area = (areas[0] << _LOW_BITS) + areas[1]

        def integral(at: Microseconds) -> npt.NDArray[np.int64]:
            at = at.clip(self._edges[0], self._edges[-1])
            frame = (np.searchsorted(self._edges, at, side="right") - 1).clip(max=len(scores) - 1)
            inside: npt.NDArray[np.int64] = (
                area[frame] + scores[frame] * (at - self._edges[frame])[:, None]
            )
            return inside

        return integral(times + self._half) + integral(times - self._half) - 2 * integral(times)

    def _areas_at(
        self,
        times: Microseconds,
        curve: Integers,
        rates: Sequence[npt.NDArray[np.int64]],
        areas: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        """Return the integrals (R, E) of the rates of a curve (E,) up to a time (E,)."""
        frame = (np.searchsorted(self._edges, times, side="right") - 1).clip(max=len(rates[0]) - 1)
        rest = times - self._edges[frame]
        return np.stack(
            [area[frame, curve] + rate[frame, curve] * rest for area, rate in zip(areas, rates)]
        )

    def _close(
        self,
        turns: _Turns,
        points: Microseconds,
        at_turns: npt.NDArray[np.int64],
        extremes: tuple[Floats, Floats],
    ) -> Found:
        """End the current gap or event of each curve at each turn. Return the complete events.

        Parameters
        ----------
        turns : _Turns
        points : (P,) int64
        at_turns : (R, number of turns) int64
            The integrals of the rates at the turns.
        extremes : (2, C) float, (2, number of turns) float
            The lowest and the highest score from the last point, and from each turn, to the next
            turn or to the end.
        """
        num_curves = len(self._onset)
        curves = np.arange(num_curves)
        # The gaps and events of all curves in order: the current one, then one for each turn.
        first = curves + np.searchsorted(turns.curve, curves)
        later = np.arange(len(turns.curve)) + turns.curve + 1
        total = num_curves + len(later)
        curve, onset = np.zeros((2, total), np.int64)
        before = np.zeros((len(self._area), total), np.int64)
        lowest, highest = np.zeros((2, total))
        is_event = np.zeros(total, bool)
        curve[first], curve[later] = curves, turns.curve
        onset[first], onset[later] = self._onset, points[turns.point]
        before[:, first], before[:, later] = self._before, at_turns
        lowest[first] = np.minimum(self._extremes[0], extremes[0][0])
        highest[first] = np.maximum(self._extremes[1], extremes[0][1])
        lowest[later], highest[later] = extremes[1]
        # Gaps and events alternate.
        is_event[first] = ~self._is_rising
        is_event[later] = self._is_rising[turns.curve] ^ ((later - first[turns.curve]) % 2 == 0)
        gap_lowest = np.append(np.inf, lowest[:-1])
        gap_lowest[first] = self._gap_lowest
        last = np.append(first[1:], total) - 1
        closed = is_event.copy()
        closed[last] = False
        at = np.flatnonzero(closed)
        found = Found(
            curve[at],
            onset[at],
            onset[at + 1],
            before[:, at],
            before[:, at + 1],
            highest[at],
            gap_lowest[at],
        )
        self._onset, self._before, self._gap_lowest = onset[last], before[:, last], gap_lowest[last]
        self._extremes = np.stack([lowest[last], highest[last]])
        return found

    def _open_events(self, end: npt.NDArray[np.int64]) -> Found:
        """Return the events that last until the end. `end`: (R, C), the integrals there."""
        curve = np.flatnonzero(~self._is_rising)
        return Found(
            curve,
            self._onset[curve],
            np.full(len(curve), self._point),
            self._before[:, curve],
            end[:, curve],
            self._extremes[1, curve],
            self._gap_lowest[curve],
        )

    def _drop_frames(self, areas: npt.NDArray[np.int64]) -> None:
        """Drop the frames that no later point needs."""
        needed = self._point - self._half
        first = max(0, int(np.searchsorted(self._edges, needed, side="right")) - 1)
        self._area = areas[:, first]
        self._scores, self._gate = self._scores[first:], self._gate[first:]
        self._edges = self._edges[first:]


def _extremes(scores: Floats, is_turn: Booleans) -> tuple[Floats, Floats]:
    """Return the lowest and the highest scores of parts of C curves.

    Parameters
    ----------
    scores : (C, P) float32
        The scores from each point to the next.
    is_turn : (C, P) bool
        Whether a part begins at a point.

    Returns
    -------
    (2, C) float64
        The extremes before the first turn of each curve. If a curve has a turn at the first point,
        they are inf and -inf.
    (2, number of turns) float64
        The extremes from each turn to the next turn.
    """
    begins = is_turn.copy()
    begins[:, 0] = True
    starts = np.flatnonzero(begins)
    values = np.ascontiguousarray(scores).ravel()
    found = np.stack([np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)])
    turns = is_turn.ravel()[starts]
    is_first = begins.ravel() & ~is_turn.ravel()
    curve = np.flatnonzero(is_first) // is_turn.shape[1]
    first = np.tile([[np.inf], [-np.inf]], len(scores))
    first[:, curve] = found[:, ~turns]
    return first, found[:, turns].astype(np.float64)
