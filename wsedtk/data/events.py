"""Define `Event`, `Events` (E events of many clips), and functions for segments and frames."""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from wsedtk.core.types import Booleans, Integers

Span = tuple[float, float, int]  # onset and offset in seconds, and the class


@dataclasses.dataclass(frozen=True)
class Event:
    """A sound event of a recording.

    Attributes
    ----------
    onset, offset : float
        Start and end in seconds.
    label : str
        The class.
    score : float
        The highest frame score of the event, from 0 to 1. In box mode, the mean frame score.
    """

    onset: float
    offset: float
    label: str
    score: float


def sorting_order(
    clip: npt.ArrayLike, onset: npt.ArrayLike, offset: npt.ArrayLike, label: npt.ArrayLike
) -> Integers:
    """Return the indices (E,) that sort the rows of columns (E,) in the order of `Events`."""
    columns = [np.asarray(column) for column in (offset, label, onset, clip)]
    order: Integers = np.lexsort(columns)
    return order


@dataclasses.dataclass(frozen=True)
class Events:
    """A list of events as columns (E,), sorted by clip, then onset, then class, then offset.

    Attributes
    ----------
    clip : (E,) int64
        The index of the clip.
    onset, offset : (E,) float64
        Start and end in seconds.
    label : (E,) int64
        The index of the class.
    """

    clip: npt.NDArray[np.int64]
    onset: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64]
    label: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.clip)

    @classmethod
    def from_columns(
        cls,
        clip: npt.ArrayLike,
        onset: npt.ArrayLike,
        offset: npt.ArrayLike,
        label: npt.ArrayLike,
    ) -> "Events":
        """Create Events from columns (E,). The rows may have any order."""
        events = cls(
            clip=np.asarray(clip, np.int64),
            onset=np.asarray(onset, np.float64),
            offset=np.asarray(offset, np.float64),
            label=np.asarray(label, np.int64),
        )
        return events.select(sorting_order(events.clip, events.onset, events.offset, events.label))

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[int, float, float, int]]) -> "Events":
        """Create Events from rows (clip, onset, offset, label). The rows may have any order."""
        columns = list(zip(*rows))
        if not columns:
            return cls.from_columns([], [], [], [])
        clip, onset, offset, label = columns
        return cls.from_columns(clip, onset, offset, label)

    @classmethod
    def joined(cls, parts: Iterable["Events"]) -> "Events":
        """Join lists of events.

        All clip indices in a list must be greater than those in the preceding list.
        """
        parts = list(parts)
        if not parts:
            return cls.from_rows([])
        return cls(
            clip=np.concatenate([part.clip for part in parts]),
            onset=np.concatenate([part.onset for part in parts]),
            offset=np.concatenate([part.offset for part in parts]),
            label=np.concatenate([part.label for part in parts]),
        )

    def rows(self) -> Iterator[tuple[int, float, float, int]]:
        """Iterate over (clip, onset, offset, label) as plain Python values."""
        return zip(
            self.clip.tolist(), self.onset.tolist(), self.offset.tolist(), self.label.tolist()
        )

    def select(self, keep: Booleans | Integers) -> "Events":
        """Return the events that a boolean mask (E,) or indices (M,) select."""
        return Events(self.clip[keep], self.onset[keep], self.offset[keep], self.label[keep])


def num_segments(durations: npt.ArrayLike, seconds: float = 1.0) -> npt.NDArray[np.int64]:
    """Return the number of segments (N,) of each clip. A partial segment at the end is counted.

    Parameters
    ----------
    durations : (N,) float
        The durations of the clips in seconds.
    seconds : float
        The length of a segment in seconds.
    """
    lengths = np.round(np.asarray(durations) / seconds, 6)
    counts: npt.NDArray[np.int64] = np.ceil(lengths).astype(np.int64)
    return counts


def frame_edges(
    num_frames: int, seconds_per_frame: float, duration: float
) -> npt.NDArray[np.float64]:
    """Return the onsets of the frames of a clip and the offset of the last frame, in seconds.

    Frames that begin at or after the end of the clip are left out. The last frame ends at the end
    of the clip, but its length is at most two frame lengths.

    Parameters
    ----------
    num_frames : int
        T, the number of frames that have scores.
    seconds_per_frame : float
    duration : float
        The duration of the clip in seconds.

    Returns
    -------
    (T' + 1,) float64
        The edges of the T' <= T frames that are not left out, rounded to the microsecond.
    """
    onsets, end = np.round(np.arange(num_frames) * seconds_per_frame, 6), round(float(duration), 6)
    onsets = onsets[onsets < end]
    return np.append(onsets, min(end, round(float(onsets[-1]) + 2 * seconds_per_frame, 6)))


def merge_overlaps(spans: Iterable[Span]) -> list[Span]:
    """Join events of the same class that overlap or touch."""
    merged: list[Span] = []
    for onset, offset, label in sorted(spans, key=lambda span: (span[2], span[0], span[1])):
        if merged and merged[-1][2] == label and onset <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], offset), label)
        else:
            merged.append((onset, offset, label))
    return merged
