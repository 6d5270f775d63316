"""Decode a score curve into events, piece by piece.

Array dimensions: T frames, K classes.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsedtk.core.types import Booleans, Floats
from wsedtk.data.events import frame_edges
from wsedtk.decoding.box_scanner import Found, Scanner, microseconds, no_events
from wsedtk.decoding.boxes import BoxFilters, fuse
from wsedtk.decoding.event_decoding import NO_FILTERS, Filters, smooth


class CurveEvent(NamedTuple):
    """An event: onset and offset in seconds, index of the class, and score.

    The score is the highest frame score of the event, or the confidence of the box.
    """

    onset: float
    offset: float
    label: int
    score: float


class _Open(NamedTuple):
    """An event whose end is not known yet."""

    first: int  # its first frame
    peak: float  # the highest score of its frames so far
    passes: bool  # whether at least one of its frames passes the gate


class _Closed(NamedTuple):
    """A complete event."""

    first: int  # its first frame
    end: int  # the frame after its last frame
    label: int
    peak: float


class CurveDecoder:
    """A decoder in frame mode that takes a score curve in pieces. The curve can have any length.

    Without a gate by tags, the events are the same as those that `event_decoding.decode_frames`
    finds in the complete curve. The lengths of the pieces do not change the events: the decoder
    keeps as many frames before and after each frame as the filters need.

    Parameters
    ----------
    thresholds : (K,) float64
        The frame threshold of each class.
    seconds_per_frame : float
    filters : Filters

    Attributes
    ----------
    reach : int
        The number of frames after a frame on which the filtered decisions of this frame depend.
    """

    def __init__(
        self, thresholds: Floats, seconds_per_frame: float, filters: Filters = NO_FILTERS
    ) -> None:
        self._thresholds = np.asarray(thresholds, np.float64)
        self._seconds_per_frame = seconds_per_frame
        num_classes = len(self._thresholds)
        median, shortest, gap = (np.broadcast_to(lengths, num_classes) for lengths in filters)
        self._filters = (median, shortest, gap)
        self.reach = int((median // 2 + np.maximum(shortest - 1, 0) + gap).max())
        # The scores of the frames that are still needed, and whether these frames pass the gate.
        # `_first` is the index of the first of these frames in the curve.
        self._scores: npt.NDArray[np.float32] = np.zeros((0, num_classes), np.float32)
        self._passes: Booleans = np.zeros((0, num_classes), bool)
        self._first = 0
        self._settled = 0  # the number of frames whose smoothed decisions are final
        self._open: dict[int, _Open] = {}  # the open event of each class
        self._closed: list[_Closed] = []

    def push(self, scores: npt.NDArray[np.float32], passes: Booleans | bool = True) -> None:
        """Add the next frames of the curve.

        Parameters
        ----------
        scores : (T, K) float32
        passes : (T, K) bool, or bool
            Whether each class passes the gate by tags in each frame (see
            `OperatingPoint.gate_by_tags`). An event is kept only if its class passes the gate in
            at least one frame of the event.
        """
        self._scores = np.concatenate([self._scores, scores])
        self._passes = np.concatenate([self._passes, np.broadcast_to(passes, scores.shape)])
        self._settle(self._first + len(self._scores) - self.reach)

    def ended(self) -> list[CurveEvent]:
        """Return the events that have ended, ordered by onset. Each event is returned once."""
        return self._take(np.inf)

    def finish(self, duration: float) -> list[CurveEvent]:
        """End the curve and return its events, ordered by onset.

        Events that `ended` returned are left out.

        Parameters
        ----------
        duration : float
            The duration of the recording in seconds. Events are cut at this time.
        """
        end = self._first + len(self._scores)
        self._settle(end)
        for label in sorted(self._open):
            self._close(label, end)
        return self._take(duration)

    def _take(self, duration: float) -> list[CurveEvent]:
        """Return the complete events, cut at the duration in seconds, and forget them."""
        step = self._seconds_per_frame
        found = [
            CurveEvent(
                onset=round(event.first * step, 6),
                offset=round(min(event.end * step, duration), 6),
                label=event.label,
                score=event.peak,
            )
            for event in self._closed
        ]
        self._closed = []
        found.sort(key=lambda event: (event.onset, event.label, event.offset, event.score))
        return [event for event in found if event.offset > event.onset]

    def _settle(self, end: int) -> None:
        """Smooth the decisions of the frames before `end`, and find the events in these frames."""
        if end <= self._settled:
            return
        active = self._scores >= self._thresholds
        columns = np.flatnonzero(active.any(axis=0))
        filters = (lengths[columns] for lengths in self._filters)
        active[:, columns] = smooth(active[:, columns], *filters)
        settled = slice(self._settled - self._first, end - self._first)
        for label in sorted({*self._open, *np.flatnonzero(active[settled].any(axis=0)).tolist()}):
            self._follow(label, active[settled, label], settled)
        self._settled = end
        num_outdated = max(0, end - self.reach - self._first)
        self._first += num_outdated
        self._scores = self._scores[num_outdated:]
        self._passes = self._passes[num_outdated:]

    def _follow(self, label: int, active: Booleans, settled: slice) -> None:
        """Update the events of a class with newly smoothed frames.

        active: (T,), the smoothed decisions. settled: the positions of these frames in `_scores`.
        """
        scores, passes = self._scores[settled, label], self._passes[settled, label]
        is_on = label in self._open
        changes = np.flatnonzero(np.diff(active, prepend=is_on)).tolist()
        for start, stop in zip([0, *changes], [*changes, len(active)]):
            if is_on:
                event = self._open.get(label, _Open(self._settled + start, 0.0, False))
                self._open[label] = _Open(
                    event.first,
                    max(event.peak, float(scores[start:stop].max(initial=0))),
                    event.passes or bool(passes[start:stop].any()),
                )
                if stop < len(active):
                    self._close(label, self._settled + stop)
            is_on = not is_on

    def _close(self, label: int, end: int) -> None:
        event = self._open.pop(label)
        if event.passes:
            self._closed.append(_Closed(event.first, end, label, event.peak))


class BoxCurveDecoder:
    """A decoder in box mode that takes a score curve in pieces. The curve can have any length.

    Without a gate by tags, the events are the detected boxes that `boxes.decode_boxes` finds in the
    complete curve. The lengths of the pieces do not change the events. The decoder keeps the frames
    that the step filter needs, the newest piece, and one box of each class.

    Parameters
    ----------
    thresholds : (K,) float64
        The threshold of the confidences of each class.
    seconds_per_frame : float
    filters : BoxFilters
    min_seconds : float or (K,) float64
        Shorter boxes are dropped.
    """

    def __init__(
        self,
        thresholds: Floats,
        seconds_per_frame: float,
        filters: BoxFilters,
        min_seconds: float | Floats = 0.0,
    ) -> None:
        self._thresholds = np.asarray(thresholds, np.float64)
        self._seconds_per_frame = seconds_per_frame
        num_classes = len(self._thresholds)
        lengths, *limits = (np.broadcast_to(one, num_classes) for one in filters)
        self._limits = limits
        self._shortest = microseconds(np.broadcast_to(min_seconds, num_classes))
        self._scanners = [
            (columns, Scanner(len(columns), length, num_rates=3))
            for length in np.unique(lengths).tolist()
            for columns in [np.flatnonzero(lengths == length)]
        ]
        self._num_scanned = 0  # the number of frames that the scanners have
        # The frames that wait: they may be after the end of the recording, which is not known yet.
        self._scores: npt.NDArray[np.float32] = np.zeros((0, num_classes), np.float32)
        self._passes: Booleans = np.zeros((0, num_classes), bool)
        self._pending = no_events(3)  # the last box of each class, which may still grow
        self._closed: list[CurveEvent] = []

    def push(self, scores: npt.NDArray[np.float32], passes: Booleans | bool = True) -> None:
        """Add the next frames of the curve. See `CurveDecoder.push`.

        An event is kept only if its class passes the gate at some time of the event.
        """
        self._scores = np.concatenate([self._scores, scores])
        self._passes = np.concatenate([self._passes, np.broadcast_to(passes, scores.shape)])
        count = len(self._scores) - max(2, len(scores))
        if count > 0:
            ends = np.arange(self._num_scanned + 1, self._num_scanned + count + 1)
            edges = microseconds(np.round(ends * self._seconds_per_frame, 6))
            self._scan(edges, is_end=False)

    def ended(self) -> list[CurveEvent]:
        """Return the boxes that are complete, ordered by onset. Each box is returned once."""
        found, self._closed = self._closed, []
        found.sort(key=lambda event: (event.onset, event.label, event.offset))
        return found

    def finish(self, duration: float) -> list[CurveEvent]:
        """End the curve and return its events, ordered by onset.

        Boxes that `ended` returned are left out.

        Parameters
        ----------
        duration : float
            The duration of the recording in seconds. Frames that begin later are left out. There
            can be such frames only in the last piece, or among the last two frames.

        Raises
        ------
        ValueError
            If the duration is shorter.
        """
        total = self._num_scanned + len(self._scores)
        if total:
            edges = microseconds(frame_edges(total, self._seconds_per_frame, duration))
            if len(edges) < self._num_scanned + 2:
                raise ValueError(f"the curve is longer than the recording ({duration:g} s)")
            self._scan(edges[self._num_scanned + 1 :], is_end=True)
        return self.ended()

    def _scan(self, edges: npt.NDArray[np.int64], is_end: bool) -> None:
        """Find the boxes in the first frames that wait. `edges`: (T,), the ends of these frames."""
        count = len(edges)
        parts = [self._pending]
        for columns, scanner in self._scanners:
            scores, passes = self._scores[:count, columns], self._passes[:count, columns]
            found = scanner.push(scores, edges, passes, is_end=is_end)
            parts.append(found._replace(curve=columns[found.curve]))
        self._num_scanned += count
        self._scores, self._passes = self._scores[count:], self._passes[count:]
        found = Found.joined(parts)
        absolute, relative = (limit[found.curve] for limit in self._limits)
        boxes = fuse(found, absolute, relative)
        is_last = np.append(boxes.curve[1:] != boxes.curve[:-1], True)[: len(boxes.curve)]
        if is_end:
            is_last[:] = False
        self._pending = boxes.select(is_last)
        self._close(boxes.select(~is_last))

    def _close(self, boxes: Found) -> None:
        """Keep the boxes that are detected and pass the gate."""
        confidence = boxes.confidence
        keep = confidence > self._thresholds[boxes.curve]
        keep &= boxes.after[2] > boxes.before[2]
        keep &= boxes.offset - boxes.onset >= self._shortest[boxes.curve]
        chosen = boxes.select(keep)
        columns = (chosen.onset / 1e6, chosen.offset / 1e6, chosen.curve, confidence[keep])
        self._closed += map(CurveEvent, *(column.tolist() for column in columns))
