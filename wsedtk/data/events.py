"""Events of recordings and of clips."""

import dataclasses

import numpy as np


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
        The highest frame score of the event, from 0 to 1.
    """

    onset: float
    offset: float
    label: str
    score: float


@dataclasses.dataclass(frozen=True)
class Events:
    """A list of events as columns, in the order of clip, then onset, then class."""

    clip: np.ndarray  # (E,) index of the clip
    onset: np.ndarray  # (E,) seconds
    offset: np.ndarray  # (E,) seconds
    label: np.ndarray  # (E,) index of the class

    def __len__(self):
        return len(self.clip)

    @classmethod
    def from_columns(cls, clip, onset, offset, label):
        """Build from columns (E,) in any order."""
        columns = [
            np.asarray(column, kind)
            for column, kind in zip(
                (clip, onset, offset, label), (np.int64, float, float, np.int64)
            )
        ]
        order = np.lexsort((columns[2], columns[3], columns[1], columns[0]))
        return cls(*(column[order] for column in columns))

    @classmethod
    def from_rows(cls, rows):
        """Build from an iterable of (clip, onset, offset, label)."""
        return cls.from_columns(*(list(zip(*rows)) or [()] * 4))

    @classmethod
    def joined(cls, parts):
        """Build from Events that follow each other: each one's clips come after those of the one before."""
        parts = list(parts)
        if not parts:
            return cls.from_rows([])
        return cls(
            *(
                np.concatenate([getattr(part, f.name) for part in parts])
                for f in dataclasses.fields(cls)
            )
        )

    def rows(self):
        """Iterate over (clip, onset, offset, label) as plain Python values."""
        return zip(
            self.clip.tolist(), self.onset.tolist(), self.offset.tolist(), self.label.tolist()
        )

    def select(self, keep):
        """The events of a boolean mask or an index array (E',)."""
        return Events(self.clip[keep], self.onset[keep], self.offset[keep], self.label[keep])


def num_segments(durations, seconds=1.0):
    """Segments (N,) that clips of these durations hold, a begun one counted whole."""
    return np.ceil(np.round(np.asarray(durations) / seconds, 6)).astype(np.int64)


def frame_edges(num_frames, seconds_per_frame, duration):
    """Where the frames of a clip begin and the last one ends, in seconds: (T' + 1,), of the T' <= T frames that begin in the clip.

    Rounded to the microsecond. The last frame ends with the clip, be it shorter or longer than the
    others, but it is no longer than two of them.
    """
    onsets, end = np.round(np.arange(num_frames) * seconds_per_frame, 6), round(float(duration), 6)
    onsets = onsets[onsets < end]
    return np.append(onsets, min(end, round(float(onsets[-1]) + 2 * seconds_per_frame, 6)))


def merge_overlaps(spans):
    """Join overlapping or touching (onset, offset, label) spans of the same label."""
    merged = []
    for onset, offset, label in sorted(spans, key=lambda span: (span[2], span[0], span[1])):
        if merged and merged[-1][2] == label and onset <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], offset), label)
        else:
            merged.append((onset, offset, label))
    return merged
