"""decode: scores and an operating point -> tags and events."""

import dataclasses
from pathlib import Path

import numpy as np

from wsedtk.core import provenance
from wsedtk.data import datadir, event_decoding, events, store
from wsedtk.decoding import operating_point


def decode_all(scores, point, mode, tags):
    """Events of every clip of a score file. mode: segment or frame; tags: (N, K) the clips' own tag decisions, for the gate."""
    filters, found = operating_point.frame_filters(point, scores.seconds_per_frame), []
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
        found.append(dataclasses.replace(part, clip=part.clip + block.start))
    found = events.Events.joined(found)
    return found.select(tags[found.clip, found.label]) if point.gate_by_tags else found


def run(scores_path, point_path, output, mode):
    """Write tags.tsv, events.tsv and the list of decoded clips, and of those whose audio failed."""
    scores, point = store.ScoreFile(scores_path), operating_point.read(point_path)
    model = provenance.known_model(scores.attributes)
    operating_point.check(point, point_path, scores.labels, model, scores_path)
    mode = mode or point.mode
    tags = scores.clip >= point.clip_thresholds
    found = decode_all(scores, point, mode, tags)
    datadir.write_decoded(
        output,
        scores.filenames,
        scores.durations,
        scores.labels,
        tags,
        events=found,
        info={
            "mode": mode,
            "model": model,
            "scores": scores.attributes["fingerprint"],
            "audio_fingerprint": scores.attributes.get("audio_fingerprint", ""),
            "operating_point": provenance.fingerprint_file(Path(point_path)),
            "tuned_on": point.tuned_on,
        },
        failed=scores.failed,
    )
    operating_point.write(
        Path(output) / "operating_point.yaml", point
    )  # what these events were decoded with
    print(
        f"{output}: {len(scores)} clips, {int(tags.sum())} tags, {len(found)} events ({mode} mode)"
    )
