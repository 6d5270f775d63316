"""Decode score curves into sound event bounding boxes: events with confidences.

Array dimensions: B clips, T frames, K classes, E events.

`wsedtk.decoding.box_scanner` finds the events of a curve. `fuse` joins neighbouring events if the
gap between them is not deep. The confidence of a box is the mean of the scores in it. A box is
detected if its confidence is above the threshold of its class. Therefore thresholds do not change
the times of events.

Source: Ebbers, Germain, Wichern & Le Roux 2024, "Sound Event Bounding Boxes", arXiv 2406.04212.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsedtk.core.types import Floats, Integers
from wsedtk.data.boxes import Boxes
from wsedtk.data.events import frame_edges
from wsedtk.decoding.box_scanner import Found, Scanner, microseconds, no_events

_OFFSET = 0.001  # added to minima and maxima before they are compared
_MOST_VALUES = 1 << 21  # the number of values of the filter output that are computed at once


class BoxFilters(NamedTuple):
    """The settings that determine boxes: one number for all classes, or one for each class.

    Attributes
    ----------
    filter_seconds : float or (K,) float
        The length of the step filter in seconds, at most LONGEST_FILTER_SECONDS.
    merge_absolute : float or (K,) float
        Two events are joined only if their maxima are less than this number above the minimum of
        the gap between them. With inf, there is no such limit.
    merge_relative : float or (K,) float
        Two events are joined only if the ratio of their maxima to the minimum of the gap is less
        than this number. With inf, there is no such limit.
    """

    filter_seconds: float | Floats = 0.5
    merge_absolute: float | Floats = 1.0
    merge_relative: float | Floats = 2.0

    def select(self, classes: Integers) -> "BoxFilters":
        """Return the filters of some classes, given as indices."""
        return BoxFilters._make(
            one if np.ndim(one) == 0 else np.asarray(one)[classes] for one in self
        )


# The 18 settings among which `wsedtk tune` chooses by default.
SETTINGS = tuple(
    BoxFilters(length, absolute, relative)
    for length in (0.32, 0.48, 0.64)
    for absolute, relative in (
        *((limit, np.inf) for limit in (0.15, 0.2, 0.3)),
        *((np.inf, limit) for limit in (1.5, 2.0, 3.0)),
    )
)


def fuse(found: Found, merge_absolute: float | Floats, merge_relative: float | Floats) -> Found:
    """Join events of a curve that are separated by gaps that are not deep.

    With g = 0.001 + the minimum of a gap and m = 0.001 + the maximum of both events beside it, the
    events are joined if m / g < merge_relative and m - g < merge_absolute.

    Parameters
    ----------
    found : Found
        The events of C curves.
    merge_absolute, merge_relative : float or (E,) float
        The limits of the curve of each event (see `BoxFilters`).
    """
    if not len(found.curve):
        return found
    absolute, relative = (
        np.broadcast_to(limit, len(found.curve))[1:] for limit in (merge_absolute, merge_relative)
    )
    peak = np.maximum(found.highest[:-1], found.highest[1:]) + _OFFSET
    gap = found.lowest[1:] + _OFFSET
    joins = found.curve[1:] == found.curve[:-1]
    joins &= (peak / gap < relative) & (peak - gap < absolute)
    first = np.append(0, np.flatnonzero(~joins) + 1)
    last = np.append(first[1:], len(found.curve)) - 1
    return Found(
        found.curve[first],
        found.onset[first],
        found.offset[last],
        found.before[:, first],
        found.after[:, last],
        found.highest[last],
        found.lowest[first],
    )


def find_events(
    frame_scores: Floats,
    filter_seconds: float,
    seconds_per_frame: float,
    durations: npt.ArrayLike,
    num_frames: npt.ArrayLike | None = None,
) -> Found:
    """Return the events of many clips, before `fuse` joins them.

    The curve of class k in clip b has the index b * K + k.

    Parameters
    ----------
    frame_scores : (B, T, K) float32
    filter_seconds : float
        The length of the step filter in seconds.
    seconds_per_frame : float
    durations : (B,) float, or float
        The durations of the clips in seconds. Frames that begin later are left out.
    num_frames : (B,) int, optional
        The number of frames of each clip. The default is T.
    """
    num_clips, most_frames, num_classes = frame_scores.shape
    counts = np.broadcast_to(most_frames if num_frames is None else num_frames, num_clips)
    ends = np.broadcast_to(np.round(np.asarray(durations, np.float64), 6), num_clips)
    parts = [no_events()]
    # Clips with the same edges of frames are scanned together.
    shapes, of_clip = np.unique(np.stack([counts, ends]), axis=1, return_inverse=True)
    for number, (count, end) in enumerate(shapes.T.tolist()):
        edges = microseconds(frame_edges(int(count), seconds_per_frame, end))
        clips = np.flatnonzero(of_clip.ravel() == number)
        size = max(1, _MOST_VALUES // (3 * len(edges) * num_classes))
        for start in range(0, len(clips), size):
            chosen = clips[start : start + size]
            curves = frame_scores[chosen, : len(edges) - 1].transpose(1, 0, 2)  # (T, B, K)
            scanner = Scanner(len(chosen) * num_classes, filter_seconds)
            found = scanner.push(
                curves.reshape(len(edges) - 1, -1), edges[1:], is_end=True
            )  # the curves: B * K
            clip, label = np.divmod(found.curve, num_classes)
            parts.append(found._replace(curve=chosen[clip] * num_classes + label))
    return Found.joined(parts)


def to_boxes(found: Found, num_classes: int) -> Boxes:
    """Convert events of many clips (see `find_events`) to boxes."""
    clip, label = np.divmod(found.curve, num_classes)
    return Boxes.from_columns(clip, found.onset / 1e6, found.offset / 1e6, label, found.confidence)


def decode_boxes(
    frame_scores: Floats,
    seconds_per_frame: float,
    durations: npt.ArrayLike,
    filters: BoxFilters = BoxFilters(),
    *,
    num_frames: npt.ArrayLike | None = None,
) -> Boxes:
    """Decode in box mode: return all boxes, also those with a low confidence.

    Parameters
    ----------
    frame_scores : (B, T, K) float32
    seconds_per_frame : float
    durations : (B,) float, or float
        The durations of the clips in seconds.
    filters : BoxFilters
    num_frames : (B,) int, optional
        The number of frames of each clip. The default is T.

    Notes
    -----
    Source: Ebbers, Germain, Wichern & Le Roux 2024, sections 2 and 3.
    """
    num_classes = frame_scores.shape[2]
    lengths, absolute, relative = (np.broadcast_to(limit, num_classes) for limit in filters)
    parts = []
    for length in np.unique(lengths).tolist():
        columns = np.flatnonzero(lengths == length)
        found = find_events(
            frame_scores[..., columns], length, seconds_per_frame, durations, num_frames
        )
        clip, label = np.divmod(found.curve, len(columns))
        label = columns[label]
        parts.append(found._replace(curve=clip * num_classes + label))
    found = Found.joined(parts)
    label = found.curve % num_classes
    return to_boxes(fuse(found, absolute[label], relative[label]), num_classes)
