"""Choose the filters and the thresholds of boxes for each class, on a set with known tags.

Array dimensions: N clips, S segments of all clips together, K classes.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from wsedtk.core.types import Booleans, Integers
from wsedtk.data.boxes import Boxes
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.store import ScoreFile
from wsedtk.decoding import score_maxima
from wsedtk.decoding.boxes import SETTINGS, find_events, fuse, to_boxes
from wsedtk.decoding.decisions import Decisions, Target, choose
from wsedtk.evaluation import metrics, psds


@dataclasses.dataclass(frozen=True)
class BoxSearch:
    """A set, its scores, and the criterion by which the settings of boxes are chosen.

    Attributes
    ----------
    scores : ScoreFile
    rows : (N,) int64
        The row of each clip in the scores.
    dataset : DataSet
        The set. It must have events, unless the criterion is "tags".
    passes : (N, K) bool
        Whether each class passes the gate by tags in each clip. Other boxes are dropped.
    criterion : {"tags", "segments", "psds1"}
        With "tags" and "segments", the filters and the thresholds maximise the micro F1 over clips
        or over segments of 1 s. With "psds1", the filters maximise the PSDS 1 of each class alone,
        and the thresholds the micro F1 over segments.
    """

    scores: ScoreFile
    rows: Integers
    dataset: DataSet
    passes: Booleans
    criterion: Literal["tags", "segments", "psds1"]

    def decisions(self, *, has_common: bool = False, target: Target | None = None) -> Decisions:
        """Choose a setting and a threshold for each class.

        The result contains the index of the chosen setting in `wsedtk.decoding.boxes.SETTINGS`.

        Parameters
        ----------
        has_common : bool
            Whether all classes have the same setting and the same threshold.
        target : Target, optional
            The target that each class must reach, instead of the maximum of the micro F1.
        """
        truth, unit = self.dataset.tag_matrix(), "clips (with boxes)"
        if self.criterion != "tags":
            assert self.dataset.events is not None  # see `dataset`
            durations = self.dataset.durations
            true_events = metrics.evaluated_reference(self.dataset.events, durations)
            truth, _ = metrics.activity(true_events, durations, truth.shape[1])
            unit = "1 s segments (with boxes)"
        maxima, values = self._maxima(len(truth))
        if has_common:
            maxima, truth = [one.reshape(-1, 1) for one in maxima], truth.reshape(-1, 1)
            values = None if values is None else values.mean(axis=1, keepdims=True)
        options: list[list[int]] = [list(range(len(SETTINGS)))] * truth.shape[1]
        if values is not None:
            options = [[int(best)] for best in values.argmax(axis=0)]
        candidates = [
            [score_maxima.candidates(maxima[number][:, k], truth[:, k]) for number in of_class]
            for k, of_class in enumerate(options)
        ]
        found = choose(candidates, truth, unit, target=target)
        setting = [of_class[place] for of_class, place in zip(options, found.setting)]
        return dataclasses.replace(found, setting=np.array(setting, np.int64))

    def _maxima(
        self, num_rows: int
    ) -> tuple[list[npt.NDArray[np.float64]], npt.NDArray[np.float64] | None]:
        """Return the highest confidences with each setting and, if needed, PSDS 1.

        Returns
        -------
        list of (N, K) or (S, K) float64
            For each of SETTINGS, the highest confidence of the boxes of each class in each clip or
            segment. 0 if there is no box.
        (number of SETTINGS, K) float64 or None
            The PSDS 1 of each class; 0 for a class without reference events. None if the criterion
            is not "psds1".
        """
        events, durations = self.dataset.events, self.dataset.durations
        num_classes = len(self.dataset.labels)
        maxima: list[npt.NDArray[np.float64]] = [
            np.zeros((num_rows, num_classes)) for _ in SETTINGS
        ]
        kept: list[list[Boxes]] = [[] for _ in SETTINGS]
        for number, boxes in self._boxes():
            places = metrics.Overlaps(boxes.events.clip, np.arange(len(boxes)))
            if self.criterion != "tags":
                boxes = boxes.cut(durations)
                places = metrics.segments_of(boxes.events, durations)
            confidence, label = boxes.confidence[places.event], boxes.events.label[places.event]
            np.maximum.at(maxima[number], (places.segment, label), confidence)
            if self.criterion == "psds1":
                kept[number].append(boxes)
        if self.criterion != "psds1" or events is None:
            return maxima, None
        values: list[npt.NDArray[np.float64]] = [
            psds.class_psds1(Boxes.joined(parts), events, durations, num_classes) for parts in kept
        ]
        found: npt.NDArray[np.float64] = np.nan_to_num(np.stack(values))
        return maxima, found

    def _boxes(self) -> Iterator[tuple[int, Boxes]]:
        """Yield the boxes of some clips, and the index of the setting that gives these boxes."""
        scores, rows = self.scores, self.rows
        for block, frames in scores.blocks(rows):
            ends, counts = scores.durations[rows][block], scores.num_frames[rows][block]
            by_length = itertools.groupby(
                enumerate(SETTINGS), key=lambda item: float(item[1].filter_seconds)
            )
            for length, group in by_length:
                found = find_events(frames, length, scores.seconds_per_frame, ends, counts)
                for number, setting in group:
                    fused = fuse(found, setting.merge_absolute, setting.merge_relative)
                    boxes = to_boxes(fused, frames.shape[2])
                    clip = boxes.events.clip + block.start
                    moved = Boxes(dataclasses.replace(boxes.events, clip=clip), boxes.confidence)
                    yield number, moved.select(self.passes[clip, boxes.events.label])
