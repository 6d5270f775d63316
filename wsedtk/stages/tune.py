"""tune: scores and the reference (tags, optional events) of a set -> an operating point.

In the shapes, N is the number of clips, S the number of segments, and K the number of classes.
"""

import dataclasses
import itertools
import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsedtk.core import provenance
from wsedtk.core.atomic import check_overwrite
from wsedtk.core.errors import InputError
from wsedtk.core.types import Booleans, Floats
from wsedtk.core.wording import counted
from wsedtk.data import datadir, events, tables
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.store import ScoreFile
from wsedtk.data.unknown_tags import without_unknown
from wsedtk.decoding import event_decoding, operating_point, score_maxima, thresholds
from wsedtk.decoding.boxes import SETTINGS
from wsedtk.decoding.decisions import Decisions, Target, check_target, choose
from wsedtk.decoding.operating_point import Mode, OperatingPoint
from wsedtk.evaluation import metrics
from wsedtk.evaluation.aligned_scores import align
from wsedtk.evaluation.box_search import BoxSearch
from wsedtk.stages.options.results import TuneOptions

_LOG = logging.getLogger(__name__)


# With a target, a warning lists the classes that have fewer positive clips than this number.
FEW_CLIPS = 30


@dataclasses.dataclass(frozen=True, eq=False)
class TuneResult:
    """The result of `run`: an operating point, and its results on the set that it was tuned on.

    Attributes
    ----------
    path : Path
        The file of the operating point.
    point : OperatingPoint
        The thresholds and filters.
    clips : Decisions
        The clip thresholds, and the counts of the resulting tags.
    frames : Decisions or None
        The frame thresholds and filters, and the counts of the resulting tags or segments. None if
        the score file has no frame scores.
    boxes : Decisions or None
        The thresholds of boxes, and the counts of the resulting tags or segments. None if the mode
        is not "box".
    num_clips : int
        The number N of clips of the set that have scores.
    hours : float
        The total duration of these clips in hours.
    target : Target or None
        The target that each class had to meet. None if no target was given.
    """

    path: Path
    point: OperatingPoint
    clips: Decisions
    frames: Decisions | None
    boxes: Decisions | None
    num_clips: int
    hours: float
    target: Target | None


def _as_one_class(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Reshape an array of R rows and K columns to one column (R * K, 1), for a common threshold.

    The array contains scores or the reference. Its rows are clips or segments.
    """
    return values.reshape(-1, 1)


@dataclasses.dataclass(frozen=True)
class _Tuning:
    """A set to tune on, its scores, and the options."""

    options: TuneOptions
    scores: ScoreFile
    rows: npt.NDArray[np.int64]  # (N,), the row of each clip in the scores
    dataset: DataSet

    @property
    def hours(self) -> float:
        """The total duration of the clips in hours."""
        return float(self.dataset.durations.sum()) / 3600

    @property
    def target(self) -> Target | None:
        """The target that each class must meet. None if the options have no target."""
        given = self.options.target
        return None if given is None else Target(*given, self.hours)

    @property
    def settings(self) -> list[tuple[float, float, float]]:
        """The candidate filters: median length, minimum duration and maximum gap, in seconds."""
        options = self.options
        grid = itertools.product(
            options.median_seconds, options.min_seconds, options.max_gap_seconds
        )
        return list(grid)

    def clip_decisions(self) -> Decisions:
        """Choose the clip thresholds."""
        truth, clip = self.dataset.tag_matrix(), self.scores.clip[self.rows]  # (N, K)
        published = None
        if self.options.published:
            published = thresholds.tune_published(clip, truth, self.options.seed)
        if self.options.common_threshold:
            clip, truth = _as_one_class(clip), _as_one_class(truth)
        candidates = [
            [thresholds.candidates(clip[:, k], truth[:, k])] for k in range(truth.shape[1])
        ]
        return choose(candidates, truth, "clips", target=self.target, published=published)

    def frame_decisions(self, clip_thresholds: Floats) -> Decisions:
        """Choose the frame thresholds and filters.

        Gating by tags uses `clip_thresholds`. Their shape is (K,), or (1,) with a common threshold.
        """
        unit = "clips (with frame thresholds)"
        truth = self.dataset.tag_matrix()
        events, durations = self.dataset.events, self.dataset.durations
        if self.options.criterion != "tags" and events is not None:
            unit = "1 s segments"
            true_events = metrics.evaluated_reference(events, durations)
            truth, _ = metrics.activity(true_events, durations, len(self.dataset.labels))
        maxima = self._frame_maxima(clip_thresholds)
        if self.options.common_threshold:
            maxima, truth = [_as_one_class(values) for values in maxima], _as_one_class(truth)
        candidates = [
            [score_maxima.candidates(values[:, k], truth[:, k]) for values in maxima]
            for k in range(truth.shape[1])
        ]
        return choose(candidates, truth, unit, target=self.target)

    def _frame_maxima(self, clip_thresholds: Floats) -> list[Floats]:
        """Return the highest filtered scores: one array for each item of `settings`.

        An array contains the highest score of each class in each clip (N, K) or segment (S, K). If
        `gate_by_tags` is set, the scores of a class are 0 in clips whose clip score is below the
        clip threshold of the class.
        """
        step = self.scores.seconds_per_frame
        filters = [event_decoding.filter_frames(*setting, step) for setting in self.settings]
        passes = self._passes(clip_thresholds)
        parts: list[list[Floats]] = [[] for _ in filters]
        for block, frames in self.scores.blocks(self.rows):
            recorded = self.scores.durations[self.rows][block]
            nominal = self.dataset.durations[block]
            for of_setting, setting in zip(parts, filters):
                # Filtered scores, compared with a threshold, give the same active frames as
                # filtered decisions. See wsedtk.decoding.event_decoding.
                smoothed = event_decoding.smooth(frames, *setting) * passes[block, None]
                if self.options.criterion == "tags":
                    maxima = score_maxima.clip_maxima(smoothed, step, recorded)
                else:
                    ends, count = np.minimum(recorded, nominal), events.num_segments(nominal)
                    maxima = score_maxima.segment_maxima(smoothed, step, ends, count)
                of_setting.append(maxima)
        return [np.concatenate(of_setting) for of_setting in parts]

    def _passes(self, clip_thresholds: Floats) -> Booleans:
        """Return whether each class passes the gate by tags in each clip, (N, K)."""
        clip = self.scores.clip[self.rows]
        if not self.options.gate_by_tags:
            return np.ones(clip.shape, bool)
        passes: Booleans = clip >= clip_thresholds
        return passes

    def box_decisions(self, clip_thresholds: Floats) -> Decisions:
        """Choose the thresholds and filters of boxes. See `frame_decisions` for the parameter."""
        options = self.options
        passes = self._passes(clip_thresholds)
        search = BoxSearch(self.scores, self.rows, self.dataset, passes, options.criterion)
        return search.decisions(has_common=options.common_threshold, target=self.target)

    def point(
        self, clips: Decisions, frames: Decisions | None, boxes: Decisions | None
    ) -> OperatingPoint:
        """Return the operating point with the chosen thresholds and filters."""
        options, num_classes = self.options, len(self.dataset.labels)
        filters: npt.NDArray[np.float64] = np.zeros((num_classes, 3))
        frame_thresholds: npt.NDArray[np.float64] = np.full(num_classes, np.inf)
        if frames is not None:
            chosen = np.array(self.settings, np.float64)[frames.setting]
            filters = np.broadcast_to(chosen, (num_classes, 3))
            frame_thresholds = np.broadcast_to(frames.threshold, num_classes)
        fingerprint = self.scores.attributes["fingerprint"]
        point = OperatingPoint(
            mode=_mode(options, self.scores),
            labels=self.dataset.labels,
            clip_thresholds=np.broadcast_to(clips.threshold, num_classes),
            frame_thresholds=frame_thresholds,
            median_seconds=filters[:, 0],
            min_seconds=filters[:, 1],
            max_gap_seconds=filters[:, 2],
            gate_by_tags=options.gate_by_tags,
            tuned_on=f"{fingerprint} {_summary(options)}, {counted(len(self.dataset), 'clip')}",
            model=provenance.known_model(self.scores.attributes),
        )
        if boxes is None:
            return point
        return dataclasses.replace(point, **_box_values(boxes, num_classes))


def _mode(options: TuneOptions, scores: ScoreFile) -> Mode:
    """Return the mode of the operating point."""
    if options.mode is not None:
        return options.mode
    if options.criterion == "psds1":
        return "box"
    if options.criterion == "segments" or (options.target and scores.has("frame")):
        return "frame"
    return "segment"


def _box_values(boxes: Decisions, num_classes: int) -> dict[str, Any]:
    """Return the values of box mode in the operating point, by their names."""
    chosen = np.array(SETTINGS, np.float64)[boxes.setting]
    rows = np.broadcast_to(chosen, (num_classes, 3)).T
    values = dict(zip(operating_point.BOX_DEFAULTS, rows))
    return {"box_thresholds": np.broadcast_to(boxes.threshold, num_classes), **values}


def _summary(options: TuneOptions) -> str:
    """Return a short description of the options, for `tuned_on` in the operating point."""
    words: list[str] = [options.criterion]
    if options.published:
        words.append("published")
    if options.common_threshold:
        words.append("common threshold")
    if options.target:
        words.append("{}={:g}".format(*options.target))
    return " ".join(words)


def _record(options: TuneOptions, scores: ScoreFile, dataset: DataSet) -> dict[str, object]:
    """Return the entry `tuned` of the operating point. `dataset` contains all clips of the set."""
    return {
        "set": Path(options.data_set).absolute().name,
        "set_fingerprint": dataset.fingerprint(),
        "scores": scores.attributes["fingerprint"],
        "criterion": options.criterion,
        "mode": _mode(options, scores),
        "target": dict([options.target]) if options.target else None,
        "published": options.published,
        "common_threshold": options.common_threshold,
        "seed": options.seed if options.published else None,
        "median_seconds": list(options.median_seconds),
        "min_seconds": list(options.min_seconds),
        "max_gap_seconds": list(options.max_gap_seconds),
        **provenance.made_by(),
    }


def is_done(options: TuneOptions) -> bool:
    """Return whether the operating point was already tuned on the same inputs and options.

    Later changes of its thresholds by hand are not noticed.
    """
    if not Path(options.operating_point).is_file():
        return False
    try:
        point = operating_point.read(options.operating_point)
    except InputError:
        return False
    record = _record(options, ScoreFile(options.scores), datadir.read(options.data_set))
    before = {**(point.tuned or {}), **provenance.made_by()}
    return before == record and point.gate_by_tags == options.gate_by_tags


def _check_inputs(options: TuneOptions, scores: ScoreFile, dataset: DataSet) -> None:
    """Raise InputError if the criterion needs events or frame scores that are missing."""
    criterion = options.criterion
    if criterion != "tags" and dataset.events is None:
        raise InputError(
            f"{options.data_set}: has no events.tsv, which the criterion {criterion!r} needs; add "
            "events.tsv, or use the criterion 'tags'"
        )
    needs = [] if criterion == "tags" else [f"the criterion {criterion!r}"]
    if options.mode in ("frame", "box"):
        needs.append(f"the mode {options.mode!r}")
    if needs and not scores.has("frame"):
        raise InputError(
            f"{options.scores}: contains no frame scores, which {needs[0]} needs; "
            "run predict without no_frames (--no-frames)"
        )


def _warn_of_few(dataset: DataSet, target: Target) -> None:
    """Warn if the target allows no false alarm in this set, or if classes have few positive clips.

    A target of exactly 0 false alarms does not cause the first of these warnings.
    """
    quantity, value, hours = target
    if quantity == "false-alarms-per-hour" and 0 < value < 1 / hours:
        _LOG.warning(
            f"the set has {hours:.3g} hours of audio, so a single false alarm corresponds to a "
            f"rate of {1 / hours:.3g} per hour; the target {value:g} per hour allows no false "
            "alarm in this set"
        )
    counts = dataset.tag_matrix().sum(axis=0).tolist()
    few = [
        f"{label} ({count})"
        for label, count in sorted(zip(dataset.labels, counts), key=lambda pair: pair[1])
        if count < FEW_CLIPS
    ]
    if few:
        _LOG.warning(
            f"the results of classes with fewer than {FEW_CLIPS} positive clips can be very "
            f"different on other audio: {tables.first(few, 5)}"
        )


def run(options: TuneOptions) -> TuneResult:
    """Choose thresholds and filters on a set, and write them as an operating point.

    Without a target, frame thresholds and filters maximise the micro F1 of the decisions that
    `criterion` names, and clip thresholds maximise the micro F1 of tags. If `published` is set,
    clip thresholds are chosen by the published procedure instead.

    With a target, several thresholds of a class can meet the target. Of these, the threshold with
    the highest recall is chosen or, if the target is a recall, the threshold with the highest
    precision. If no threshold of a class meets the target, the threshold is infinite, and the class
    is never predicted. This applies separately to clip thresholds, to frame thresholds with their
    filters, and to the thresholds of boxes with their filters.

    In box mode, thresholds and filters of boxes are also chosen. With the criterion "psds1", the
    filters of boxes maximise the PSDS 1 of each class, and the criterion of all thresholds of
    events is "segments".

    If `common_threshold` is set, all classes have the same thresholds and filters, as in He, Shen &
    Zhang (2019).

    Parameters
    ----------
    options : TuneOptions
        The inputs, the output and the settings.

    Returns
    -------
    TuneResult

    Raises
    ------
    InputError
        If an input is missing or wrong, if the scores and the set do not belong together, if no
        clip has a tag, if options conflict, or if the output exists and is not an operating point.
    """
    options.check_ways()
    if options.target is not None:
        check_target(*options.target)
    check_overwrite(options.operating_point, operating_point.read)
    scores, dataset = ScoreFile(options.scores), datadir.read(options.data_set)
    _check_inputs(options, scores, dataset)
    record = _record(options, scores, dataset)
    dataset = without_unknown(dataset, options.data_set)
    rows, dataset = align(scores, dataset, options.data_set)
    if not len(dataset.tag_clip):
        raise InputError(
            f"{options.data_set}: no clip with scores has a tag; to choose thresholds, add tags to "
            "tags.tsv"
        )
    tuning = _Tuning(options, scores, rows, dataset)
    clips, frames, boxes = tuning.clip_decisions(), None, None
    if _mode(options, scores) == "box":
        boxes = tuning.box_decisions(clips.threshold)
    if scores.has("frame"):
        frames = tuning.frame_decisions(clips.threshold)
    else:
        _LOG.warning(
            f"{options.scores}: contains no frame scores, so no events are found in frame mode "
            f"with {options.operating_point}; to find events in frame mode, run predict without "
            "no_frames (--no-frames), then tune again"
        )
    point = dataclasses.replace(tuning.point(clips, frames, boxes), tuned=record)
    operating_point.write(options.operating_point, point)
    if tuning.target is not None:
        _warn_of_few(dataset, tuning.target)
    path = Path(options.operating_point)
    return TuneResult(path, point, clips, frames, boxes, len(dataset), tuning.hours, tuning.target)
