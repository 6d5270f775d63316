"""The inputs of metrics: reference tags and events, decoded tags and events, and scores.

In the shapes, N is the number of clips, T is the number of frames of a clip, S is the number of
segments of all clips together, and K is the number of classes.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, overload

import numpy as np
import numpy.typing as npt

from wsedtk.core.types import Booleans, Floats, Integers
from wsedtk.data.boxes import Boxes
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.events import Events, num_segments
from wsedtk.data.tables import find_clips
from wsedtk.evaluation import average_precision, event_metrics, metrics

if TYPE_CHECKING:  # `evaluate_lists` does not need h5py, which is slow to import.
    from wsedtk.data.store import ScoreFile


class FrameScores(Sequence[Floats]):
    """The frame scores (T, K) of each of N clips.

    An index returns the scores of one clip, which are read from the score file. A slice selects
    clips without reading their scores.
    """

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
        Durations of the recordings in seconds. A recording may be shorter than its clip.
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
        The reference tags and events. `truth.events` is None if the reference has only tags.
    decoded : DataSet
        The decoded tags and events. `decoded.events` is None if lists of tags are compared.
    scores : Scores or None
        The scores from which tags and events were decoded. None if no score file was given.
    has_tags : bool
        Whether tags are evaluated. False if two lists of events are compared.
    boxes : Boxes or None
        All boxes that were decoded, also those with a low confidence. None if the events were not
        decoded in box mode.
    """

    truth: DataSet
    decoded: DataSet
    scores: Scores | None = None
    has_tags: bool = True
    boxes: Boxes | None = None

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
        """Whether segments and events are evaluated. False if `truth.events` is None."""
        return self.truth.events is not None

    @property
    def has_psds(self) -> bool:
        """Whether PSDS can be computed: from boxes, or else from frame scores."""
        has_frames = self.scores is not None and self.scores.frames is not None
        return self.has_events and (self.boxes is not None or has_frames)

    @functools.cached_property
    def true_tags(self) -> Booleans:
        """The reference tags (N, K)."""
        return self.truth.tag_matrix()

    @functools.cached_property
    def decoded_tags(self) -> Booleans:
        """The decoded tags (N, K)."""
        return self.decoded.tag_matrix()

    @functools.cached_property
    def true_events(self) -> Events:
        """The reference events, cut at the ends of the clips, without events of length zero.

        Raises ValueError if `truth.events` is None.
        """
        if self.truth.events is None:
            raise ValueError("the reference has no events")
        return metrics.evaluated_reference(self.truth.events, self.durations)

    @functools.cached_property
    def decoded_events(self) -> Events:
        """The decoded events, cut at the ends of the clips.

        Raises ValueError if `decoded.events` is None.
        """
        if self.decoded.events is None:
            raise ValueError("no events were decoded")
        return metrics.cut(self.decoded.events, self.durations)

    @functools.cached_property
    def true_segments(self) -> Booleans:
        """Whether each class is active in each segment of 1 s in the reference, (S, K)."""
        return metrics.activity(self.true_events, self.durations, len(self.labels))[0]

    @functools.cached_property
    def decoded_segments(self) -> Booleans:
        """Whether each class is active in each segment of 1 s in the decoded events, (S, K)."""
        return metrics.activity(self.decoded_events, self.durations, len(self.labels))[0]

    @functools.cached_property
    def clip_of_segment(self) -> Integers:
        """The index of the clip that each segment belongs to, (S,)."""
        counts = num_segments(self.durations)
        clips: Integers = np.repeat(np.arange(len(counts)), counts)
        return clips

    @functools.cached_property
    def segment_metrics(self) -> metrics.SegmentMetrics:
        """The segment metrics of all classes together (micro-averaged) and of each class."""
        return metrics.segment_metrics(self.true_segments, self.decoded_segments, self.labels)

    @functools.cached_property
    def event_metrics(self) -> event_metrics.EventMetrics:
        """The event metrics of all classes together (micro-averaged) and of each class."""
        return event_metrics.event_metrics(
            self.true_events, self.decoded_events, len(self.truth), self.labels
        )

    @functools.cached_property
    def class_ranking(self) -> list[average_precision.ClassFigures]:
        """Average precision, area under the ROC curve and d' of each class, from the clip scores.

        Raises ValueError if `scores` is None.
        """
        if self.scores is None:
            raise ValueError("there are no scores")
        return average_precision.class_ranking(self.scores.clip, self.true_tags)


def match_clips(dataset: DataSet, filenames: npt.NDArray[np.str_]) -> tuple[DataSet, Booleans]:
    """Select clips of a set by name.

    Two spellings of the same clip name also match (see `wsedtk.data.clip_names.clip_key`).

    Parameters
    ----------
    dataset : DataSet
    filenames : (N,) str
        The names of the clips to select, in ascending order.

    Returns
    -------
    matched : DataSet
        The clips that were found, with the spelling and the order of `filenames`.
    found : (N,) bool
        Whether each clip was found.
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
        unknown=None if dataset.unknown is None else dataset.unknown[clips],
    )
    return matched, found
