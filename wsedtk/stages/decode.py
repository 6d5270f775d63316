"""decode: scores and an operating point -> tags and events."""

from pathlib import Path

import numpy as np

from wsedtk import datadir, events, operating_point, store
from wsedtk.errors import InputError


def decode_clip(scores, row, point, mode, tags):
    """Events of one clip as (onset, offset, class). tags: (K,) its own tag decisions, for the gate."""
    duration, step = float(scores.durations[row]), scores.seconds_per_frame
    if mode == "segment":
        found = events.decode_segments(scores.segments(row), point.clip_thresholds, duration)
    else:
        median = [events.odd_frames(s, step) for s in point.median_seconds]
        shortest = [events.whole_frames(s, step) for s in point.min_seconds]
        gap = [events.gap_frames(s, step) for s in point.max_gap_seconds]
        found = events.decode_frames(scores.frames(row), point.frame_thresholds, step, duration,
                                     np.array(median), np.array(shortest), np.array(gap))
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
    found = events.Events.from_rows(
        (row, *event[:2], event[2]) for row in range(len(scores)) for event in decode_clip(scores, row, point, mode, tags[row]))
    datadir.write_decoded(output, scores.filenames.tolist(), scores.durations.tolist(), scores.labels, tags, found,
                          {"mode": mode, "model": scores.attributes["model"], "scores": scores.attributes["fingerprint"],
                           "tuned_on": point.tuned_on})
    operating_point.write(Path(output) / "operating_point.yaml", point)  # what these events were decoded with
    print(f"{output}: {len(scores)} clips, {int(tags.sum())} tags, {len(found)} events ({mode} mode)")
