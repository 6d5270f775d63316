"""The inputs of metrics: the truth, the decoded tags and events, and the scores of clips.

N clips, T frames, S segments of all clips together, K classes.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, overload

import numpy as np
import numpy.typing as npt

from wsedtk.core.types import Booleans, Floats, Integers
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.events import Events, num_segments
from wsedtk.data.tables import find_clips
from wsedtk.evaluation import average_precision, metrics, sed_eval_metrics

if TYPE_CHECKING:  # Lists of events do not need h5py, which is slow to import.
    from wsedtk.data.store import ScoreFile


class FrameScores(Sequence[Floats]):
    """The frame scores (T, K) of N clips. Indexing reads the scores of a clip from the file."""

    def __init__(self, file: "ScoreFile", rows: Integers) -> None:
        self._file, self._rows = file, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Floats: ...
    @overload
    def __getitem__(self, index: slice) -> "FrameScores": ...
    def __getitem__(self, index: int | slice) -> "Floats | FrameScores":
        if isinstance(index, slice):
            return FrameScores(self._file, self._rows[index])
        frames: Floats = self._file.frames(self._rows[index])
        return frames

    def __iter__(self) -> Iterator[Floats]:
        return (self[index] for index in range(len(self)))


@dataclasses.dataclass(frozen=True, eq=False)
class Scores:
    """The scores of N clips, before thresholds are applied.

    Attributes
    ----------
    clip : (N, K) float32
        Probability of each class in each clip.
    frames : sequence of (T, K) float32, or None
        Probability of each class in each frame, one array per clip. None if the score
        file has no frame scores.
    seconds_per_frame : float
    durations : (N,) float64
        Durations of the recordings in seconds. The last frame ends with the recording.
    """

    clip: Floats
    frames: Sequence[Floats] | None
    seconds_per_frame: float
    durations: Floats

    @classmethod
    def from_file(cls, file: "ScoreFile", rows: Integers) -> "Scores":
        """Return the scores of the clips in these rows (N,) of a score file."""
        frames = FrameScores(file, rows) if file.has("frame") else None
        return cls(file.clip[rows], frames, file.seconds_per_frame, file.durations[rows])


@dataclasses.dataclass(frozen=True, eq=False)
class Evidence:
    """The inputs of metrics. `truth` and `decoded` contain the same N clips in the same order.

    Attributes
    ----------
    truth : DataSet
        The true tags and events. `truth.events` is None if the events are unknown.
    decoded : DataSet
        The decoded tags and events. `decoded.events` is None if events were not decoded.
    scores : Scores or None
        The scores that were decoded. None if they were not given.
    has_tags : bool
        Whether tags are evaluated. False for two lists of events.
    """

    truth: DataSet
    decoded: DataSet
    scores: Scores | None = None
    has_tags: bool = True

    @property
    def labels(self) -> list[str]:
        """The K classes."""
        return self.truth.labels

    @property
    def durations(self) -> npt.NDArray[np.float64]:
        """The durations (N,) of the clips in seconds."""
        return self.truth.durations

    @property
    def has_events(self) -> bool:
        """Whether events are evaluated. They are evaluated if the truth has events."""
        return self.truth.events is not None

    @functools.cached_property
    def true_tags(self) -> Booleans:
        """The true tags (N, K)."""
        return self.truth.tag_matrix()

    @functools.cached_property
    def decoded_tags(self) -> Booleans:
        """The decoded tags (N, K)."""
        return self.decoded.tag_matrix()

    @functools.cached_property
    def true_events(self) -> Events:
        """The true events, cut at the ends of the clips, without events of length zero.

        Raises ValueError if the truth has no events.
        """
        if self.truth.events is None:
            raise ValueError("the truth has no events")
        return metrics.drop_zero_length(metrics.cut(self.truth.events, self.durations))

    @functools.cached_property
    def decoded_events(self) -> Events:
        """The decoded events, cut at the ends of the clips.

        Raises ValueError if events were not decoded.
        """
        if self.decoded.events is None:
            raise ValueError("no events were decided")
        return metrics.cut(self.decoded.events, self.durations)

    @functools.cached_property
    def true_segments(self) -> Booleans:
        """The true activity of each class in each segment of 1 s, (S, K)."""
        return metrics.activity(self.true_events, self.durations, len(self.labels))[0]

    @functools.cached_property
    def decoded_segments(self) -> Booleans:
        """The decoded activity of each class in each segment of 1 s, (S, K)."""
        return metrics.activity(self.decoded_events, self.durations, len(self.labels))[0]

    @functools.cached_property
    def clip_of_segment(self) -> Integers:
        """The index (S,) of the clip of each segment."""
        counts = num_segments(self.durations)
        clips: Integers = np.repeat(np.arange(len(counts)), counts)
        return clips

    @functools.cached_property
    def segment_metrics(self) -> sed_eval_metrics.SegmentMetrics:
        """The segment metrics of sed_eval, micro-averaged and of each class."""
        return sed_eval_metrics.segment_metrics(
            self.true_events, self.decoded_events, self.durations, self.labels
        )

    @functools.cached_property
    def event_metrics(self) -> sed_eval_metrics.EventMetrics:
        """The event metrics of sed_eval, micro-averaged and of each class."""
        return sed_eval_metrics.event_metrics(
            self.true_events, self.decoded_events, self.durations, self.labels
        )

    @functools.cached_property
    def event_counts(self) -> Integers:
        """TP, FP and FN (N, 3) of the events of each clip, counted by sed_eval."""
        if "event_metrics" in self.__dict__:
            return self.event_metrics.counts
        return sed_eval_metrics.event_counts(
            self.true_events, self.decoded_events, self.durations, self.labels
        )

    @functools.cached_property
    def class_ranking(self) -> list[average_precision.ClassFigures]:
        """Average precision, area under the ROC curve and d' of each class, from clip scores.

        Raises ValueError if there are no scores.
        """
        if self.scores is None:
            raise ValueError("there are no scores")
        return average_precision.class_ranking(self.scores.clip, self.true_tags)


def match_clips(dataset: DataSet, filenames: npt.NDArray[np.str_]) -> tuple[DataSet, Booleans]:
    """Select clips of a set by name. The selected clips get the given names.

    Names that differ only in form also match (see `wsedtk.data.clip_names`).

    Parameters
    ----------
    dataset : DataSet
    filenames : (N,) str
        Names in ascending order.

    Returns
    -------
    matched : DataSet
        The clips that were found, in the order of the names.
    found : (N,) bool
        Whether each name was found.
    """
    places = find_clips(dataset.filenames, filenames)
    found: Booleans = places >= 0
    clips, position = places[found], np.full(len(dataset), -1)
    position[clips] = np.arange(len(clips))
    tag_clip, events = position[dataset.tag_clip], dataset.events
    kept = np.flatnonzero(tag_clip >= 0)
    kept = kept[np.lexsort((dataset.tag_label[kept], tag_clip[kept]))]
    if events is not None:
        kept_events = events.select(position[events.clip] >= 0)
        events = Events.from_columns(
            position[kept_events.clip], kept_events.onset, kept_events.offset, kept_events.label
        )
    matched = dataclasses.replace(
        dataset,
        filenames=filenames[found],
        paths=dataset.paths[clips],
        durations=dataset.durations[clips],
        tag_clip=tag_clip[kept],
        tag_label=dataset.tag_label[kept],
        events=events,
    )
    return matched, found
