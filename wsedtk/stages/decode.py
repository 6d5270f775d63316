"""decode: scores and an operating point -> tags and events."""

from pathlib import Path

import numpy as np

from wsedtk import datadir, events, operating_point, store
from wsedtk.errors import InputError


def frame_filters(point, seconds_per_frame):
    """The filters of an operating point in frames: median, shortest event and longest gap, each (K,)."""
    median = [events.odd_frames(s, seconds_per_frame) for s in point.median_seconds]
    shortest = [events.whole_frames(s, seconds_per_frame) for s in point.min_seconds]
    gap = [events.gap_frames(s, seconds_per_frame) for s in point.max_gap_seconds]
    return np.array(median), np.array(shortest), np.array(gap)


def decode_clip(scores, row, point, filters, tags):
    """Events of one clip as (onset, offset, class).

    filters: as `frame_filters`, None for segment mode; tags: (K,) the clip's own tag decisions, for the gate.
    """
    duration = float(scores.durations[row])
    if filters is None:
        found = events.decode_segments(scores.segments(row), point.clip_thresholds, duration)
    else:
        found = events.decode_frames(scores.frames(row), point.frame_thresholds, scores.seconds_per_frame, duration, *filters)
    return [event for event in found if tags[event[2]]] if point.gate_by_tags else found


def run(scores_path, point_path, output, mode):
    """Write tags.tsv, events.tsv and the list of decoded clips."""
    scores, point = store.ScoreFile(scores_path), operating_point.read(point_path)
    if scores.labels != point.labels:
        raise InputError(f"{point_path}: its classes are not those of {scores_path}")
    if point.model is not None and point.model != scores.attributes["model"]:
        raise InputError(f"{point_path}: was tuned on the scores of another model ({point.model}) than {scores_path} "
                         f"({scores.attributes['model']}); tune on this model's, or take `model:` out of the file to use it all the same")
    mode = mode or point.mode
    tags = scores.clip >= point.clip_thresholds
    filters = frame_filters(point, scores.seconds_per_frame) if mode == "frame" else None
    found = events.Events.from_rows(
        (row, *event[:2], event[2]) for row in range(len(scores)) for event in decode_clip(scores, row, point, filters, tags[row]))
    datadir.write_decoded(output, scores.filenames, scores.durations, scores.labels, tags, found,
                          {"mode": mode, "model": scores.attributes["model"], "scores": scores.attributes["fingerprint"],
                           "tuned_on": point.tuned_on})
    operating_point.write(Path(output) / "operating_point.yaml", point)  # what these events were decoded with
    print(f"{output}: {len(scores)} clips, {int(tags.sum())} tags, {len(found)} events ({mode} mode)")
