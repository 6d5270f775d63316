"""decode: scores and an operating point -> tags and events.

In the shapes, N is the number of clips, and K is the number of classes.
"""

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np

from wsedtk.core import provenance
from wsedtk.core.atomic import remove
from wsedtk.core.types import Booleans
from wsedtk.data import boxes, datadir
from wsedtk.data.boxes import Boxes
from wsedtk.data.events import Events
from wsedtk.data.store import ScoreFile
from wsedtk.decoding import event_decoding, operating_point
from wsedtk.decoding.boxes import BoxFilters, decode_boxes
from wsedtk.decoding.operating_point import Mode, OperatingPoint
from wsedtk.stages.options.results import DecodeOptions


@dataclasses.dataclass(frozen=True)
class DecodeResult:
    """The result of `run`: a decoded folder, and the numbers of its tags and events.

    Attributes
    ----------
    out_dir : Path
        The decoded folder.
    mode : {"segment", "frame", "box"}
        Whether the events were decoded from 1 s segments, from smoothed frames, or as boxes.
    num_clips, num_tags, num_events : int
        The numbers of clips, tags and events.
    num_boxes : int or None
        The number of boxes, of which the events are those with a confidence above the threshold.
        None if the mode is not "box".
    """

    out_dir: Path
    mode: Mode
    num_clips: int
    num_tags: int
    num_events: int
    num_boxes: int | None = None


def decode_all(
    scores: ScoreFile, point: OperatingPoint, mode: Literal["segment", "frame"], tags: Booleans
) -> Events:
    """Return the events of all clips of a score file, in segment mode or frame mode.

    Parameters
    ----------
    scores : ScoreFile
        The scores of N clips.
    point : OperatingPoint
        The thresholds and filters.
    mode : {"segment", "frame"}
        Whether to decode 1 s segments or smoothed frames.
    tags : (N, K) bool
        The tags of each clip. If `point.gate_by_tags` is set, events whose class is not a tag of
        the clip are dropped.

    Returns
    -------
    Events
    """
    filters = operating_point.frame_filters(point, scores.seconds_per_frame)
    parts = []
    for block, values in scores.blocks(np.arange(len(scores)), mode):
        durations = scores.durations[block]
        if mode == "segment":
            part = event_decoding.decode_segments(values, point.clip_thresholds, durations)
        else:
            part = event_decoding.decode_frames(
                values,
                point.frame_thresholds,
                scores.seconds_per_frame,
                durations,
                filters,
                num_frames=scores.num_frames[block],
            )
        parts.append(dataclasses.replace(part, clip=part.clip + block.start))
    found: Events = Events.joined(parts)
    return found.select(tags[found.clip, found.label]) if point.gate_by_tags else found


def decode_all_boxes(
    scores: ScoreFile, point: OperatingPoint, filters: BoxFilters, tags: Booleans
) -> Boxes:
    """Return the boxes of all clips of a score file, also those with a low confidence.

    Parameters
    ----------
    scores : ScoreFile
        The scores of N clips.
    point : OperatingPoint
    filters : BoxFilters
        The filters of the operating point.
    tags : (N, K) bool
        The tags of each clip. If `point.gate_by_tags` is set, boxes whose class is not a tag of the
        clip are dropped.
    """
    parts = []
    for block, values in scores.blocks(np.arange(len(scores))):
        part = decode_boxes(
            values,
            scores.seconds_per_frame,
            scores.durations[block],
            filters,
            num_frames=scores.num_frames[block],
        )
        events = dataclasses.replace(part.events, clip=part.events.clip + block.start)
        parts.append(Boxes(events, part.confidence))
    found = Boxes.joined(parts)
    if point.gate_by_tags:
        found = found.select(tags[found.events.clip, found.events.label])
    return found


def run(options: DecodeOptions) -> DecodeResult:
    """Turn scores into tags and events, with the thresholds and filters of an operating point.

    The files clips.tsv, tags.tsv, events.tsv, info.yaml and operating_point.yaml are written to the
    output folder. Clips that failed in `extract` are listed in failed.tsv. In box mode, all boxes
    are written to boxes.tsv. The events are those boxes whose confidence is above the threshold of
    their class.

    Parameters
    ----------
    options : DecodeOptions
        The inputs, the output and the mode.

    Returns
    -------
    DecodeResult

    Raises
    ------
    InputError
        If an input is missing or wrong, if the operating point and the scores have different
        classes or come from different models, or if the output folder is a data directory.
    """
    scores, point = ScoreFile(options.scores), operating_point.read(options.operating_point)
    model = provenance.known_model(scores.attributes)
    operating_point.check(point, options.operating_point, scores.labels, model, options.scores)
    mode = options.mode or point.mode
    tags: Booleans = scores.clip >= point.clip_thresholds
    found: Boxes | None = None
    if mode == "box":
        filters = operating_point.box_filters(point, options.operating_point)
        found = decode_all_boxes(scores, point, filters, tags)
        limits = point.thresholds_of("box")[found.events.label]
        events = found.events.select(found.confidence > limits)
    else:
        events = decode_all(scores, point, mode, tags)
    info = {
        "mode": mode,
        "model": model,
        "scores": scores.attributes["fingerprint"],
        "audio_fingerprint": scores.attributes.get("audio_fingerprint", ""),
        "operating_point": provenance.fingerprint_file(Path(options.operating_point)),
        "tuned_on": point.tuned_on,
    }
    out_dir = Path(options.out_dir)
    remove(out_dir / boxes.NAME)
    if found is not None:
        boxes.write(out_dir / boxes.NAME, found, scores.filenames, scores.labels)
    datadir.write_decoded(
        out_dir,
        scores.filenames,
        scores.durations,
        scores.labels,
        tags,
        events=events,
        info=info,
        failed=scores.failed,
    )
    operating_point.write(out_dir / "operating_point.yaml", point)
    num_boxes = None if found is None else len(found)
    return DecodeResult(out_dir, mode, len(scores), int(tags.sum()), len(events), num_boxes)
