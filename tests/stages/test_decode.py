"""decode: score files and operating points to tags.tsv, events.tsv and the decoded clips."""

import dataclasses

import numpy as np
import pytest
from helpers import make_point, write_score_file

from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.data import datadir, store
from wsedtk.decoding import operating_point
from wsedtk.stages import decode
from wsedtk.stages.options.results import DecodeOptions

LABELS = ["Car", "Air horn, truck horn"]


@pytest.fixture
def files(tmp_path):
    """Clips of 2.3 s and 1 s, 2 classes: (scores.h5, function that writes an operating point)."""
    frame, segment = np.zeros((2, 23, 2), np.float32), np.zeros((2, 3, 2), np.float32)
    frame[0, 3:6, 0] = frame[0, 8:23, 0] = 0.9
    frame[0, 1:2, 1] = frame[0, 20:, 1] = 0.7
    frame[1, :, 1] = 0.8  # 23 stored frames, 10 of them real
    segment[0, :, 0], segment[0, 2, 1], segment[1, 0, 1], segment[1, 1:] = (
        [0.9, 0.6, 0.1],
        0.9,
        0.6,
        0.99,
    )
    scores = write_score_file(
        tmp_path / "a space" / "scores.h5",
        ["a.wav", "-b.wav"],
        LABELS,
        [[0.9, 0.3], [0.2, 0.6]],
        frame,
        segment,
        [23, 10],
        [2.3, 1.0],
    )

    def point(**changes):
        operating_point.write(tmp_path / "point.yaml", make_point(**changes))
        return tmp_path / "point.yaml"

    return scores, point


def decoded(run, files, out, *options, **changes):
    scores, point = files
    result = run("decode", scores, point(**changes), out, *options)
    assert result.exit_code == 0, result.stderr
    found = datadir.read_decoded(out, LABELS)
    names = found.filenames.tolist()
    tags = sorted((names[i], LABELS[k]) for i, k in zip(found.tag_clip, found.tag_label))
    return (
        tags,
        sorted((names[clip], on, off, LABELS[k]) for clip, on, off, k in found.events.rows()),
        dict(zip(names, found.durations)),
    )


CAR, HORN = LABELS


def test_segment_mode(run, files, tmp_path):
    tags, events, durations = decoded(run, files, tmp_path / "out")
    assert tags == [("-b.wav", HORN), ("a.wav", CAR)]
    assert events == [("-b.wav", 0, 1, HORN), ("a.wav", 0, 2, CAR), ("a.wav", 2, 2.3, HORN)]
    assert durations == {"a.wav": 2.3, "-b.wav": 1.0}


def test_frame_mode(run, files, tmp_path):
    tags, events, _ = decoded(run, files, tmp_path / "out", "--mode", "frame")
    assert tags == [("-b.wav", HORN), ("a.wav", CAR)]
    assert events == [
        ("-b.wav", 0, 1, HORN),
        ("a.wav", 0.1, 0.2, HORN),
        ("a.wav", 0.3, 0.6, CAR),
        ("a.wav", 0.8, 2.3, CAR),
        ("a.wav", 2.0, 2.3, HORN),
    ]


def test_frame_mode_filters_each_class_in_its_own_way(run, files, tmp_path):
    settings = {"min_seconds": np.array([0.4, 0.1]), "max_gap_seconds": np.array([0, 1.8])}
    _, events, _ = decoded(run, files, tmp_path / "out", mode="frame", **settings)
    assert events == [("-b.wav", 0, 1, HORN), ("a.wav", 0.1, 2.3, HORN), ("a.wav", 0.8, 2.3, CAR)]
    settings = {"median_seconds": np.array([0, 0.3]), "max_gap_seconds": np.array([0.2, 0])}
    _, events, _ = decoded(run, files, tmp_path / "out", mode="frame", **settings)
    assert events == [("-b.wav", 0, 1, HORN), ("a.wav", 0.3, 2.3, CAR), ("a.wav", 2.0, 2.3, HORN)]


def test_the_mode_is_the_operating_points_unless_told(run, files, tmp_path):
    segment, frame = (
        decoded(run, files, tmp_path / mode, "--mode", mode)[1] for mode in ("segment", "frame")
    )
    assert segment != frame
    assert decoded(run, files, tmp_path / "out", mode="frame")[1] == frame
    assert decoded(run, files, tmp_path / "out", mode="segment")[1] == segment
    assert decoded(run, files, tmp_path / "out", "--mode", "segment", mode="frame")[1] == segment


@pytest.mark.parametrize("mode", ["segment", "frame"])
def test_the_gate_leaves_events_of_tagged_classes_only(run, files, tmp_path, mode):
    tags, free, _ = decoded(run, files, tmp_path / "out", "--mode", mode)
    gated_tags, gated, _ = decoded(run, files, tmp_path / "out", "--mode", mode, gate_by_tags=True)
    assert gated_tags == tags
    assert gated == [event for event in free if (event[0], event[3]) in tags]
    assert len(gated) < len(free)


def test_thresholds_without_bounds(run, files, tmp_path):
    ends = {
        "clip_thresholds": np.array([np.inf, -np.inf]),
        "frame_thresholds": np.array([np.inf, -np.inf]),
    }
    for mode in ("segment", "frame"):
        tags, events, _ = decoded(run, files, tmp_path / "out", "--mode", mode, **ends)
        assert tags == [("-b.wav", HORN), ("a.wav", HORN)]
        assert events == [("-b.wav", 0, 1, HORN), ("a.wav", 0, 2.3, HORN)]


def test_a_clip_without_anything_is_in_the_list(run, tmp_path):
    scores = write_score_file(tmp_path / "s.h5", ["a", "b"], LABELS, [[0.1, 0.1], [0.9, 0.1]])
    operating_point.write(tmp_path / "p.yaml", make_point())
    result = run("decode", scores, tmp_path / "p.yaml", tmp_path / "out")
    assert result.exit_code == 0
    assert (tmp_path / "out" / "clips.tsv").read_text() == "filename\tduration\na\t10\nb\t10\n"
    assert (tmp_path / "out" / "tags.tsv").read_text() == f"filename\tevent_label\nb\t{CAR}\n"
    assert (
        tmp_path / "out" / "events.tsv"
    ).read_text() == f"filename\tonset\toffset\tevent_label\nb\t0\t10\t{CAR}\n"


def test_decoding_again_replaces_what_was_there(run, files, tmp_path):
    decoded(run, files, tmp_path / "out")
    tags, events, _ = decoded(run, files, tmp_path / "out", clip_thresholds=np.full(2, np.inf))
    assert tags == [] and events == []


def test_frames_are_needed_for_frame_mode_only(run, tmp_path):
    scores = write_score_file(tmp_path / "s.h5", ["a"], LABELS, [[0.1, 0.9]])
    operating_point.write(tmp_path / "p.yaml", make_point())
    assert run("decode", scores, tmp_path / "p.yaml", tmp_path / "out").exit_code == 0
    with pytest.raises(
        InputError, match="s.h5: contains no frame scores; predict without --no-frames"
    ):
        decode.run(DecodeOptions(scores, tmp_path / "p.yaml", tmp_path / "out", mode="frame"))


@pytest.mark.parametrize("labels", [LABELS[::-1], ["Car", "Dog"], ["Car"]])
def test_the_classes_must_be_those_of_the_scores(tmp_path, files, labels):
    point = make_point(len(labels), labels)
    operating_point.write(tmp_path / "p.yaml", point)
    with pytest.raises(InputError, match="p.yaml: its classes are not those of .*scores.h5"):
        decode.run(DecodeOptions(files[0], tmp_path / "p.yaml", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_missing_and_wrong_files(files, tmp_path):
    scores, point = files
    with pytest.raises(InputError, match="nothing.h5: no such file"):
        decode.run(DecodeOptions(tmp_path / "nothing.h5", point(), tmp_path / "out"))
    with pytest.raises(InputError, match="nothing.yaml: no such file"):
        decode.run(DecodeOptions(scores, tmp_path / "nothing.yaml", tmp_path / "out"))
    (tmp_path / "empty.h5").write_bytes(b"")
    with pytest.raises(InputError, match="empty.h5: is not an HDF5 file"):
        decode.run(DecodeOptions(tmp_path / "empty.h5", point(), tmp_path / "out"))
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(InputError, match="empty.yaml: is not an operating point"):
        decode.run(DecodeOptions(scores, tmp_path / "empty.yaml", tmp_path / "out"))


def test_scores_that_are_not_finite(tmp_path):
    scores = write_score_file(tmp_path / "s.h5", ["a", "b"], LABELS, [[0.1, 0.9], [np.nan, 0.1]])
    operating_point.write(tmp_path / "p.yaml", make_point())
    with pytest.raises(
        InputError, match="1 clip has clip scores that are not numbers from 0 to 1, the first 'b'"
    ):
        decode.run(DecodeOptions(scores, tmp_path / "p.yaml", tmp_path / "out"))


def test_decoding_gates_with_the_tags_it_is_given(files):
    scores, point = store.ScoreFile(files[0]), make_point(gate_by_tags=True)
    tags, free = np.zeros((len(scores), 2), bool), dataclasses.replace(point, gate_by_tags=False)
    tags[0, 1] = True

    def first(point, tags):
        found = decode.decode_all(scores, point, "segment", tags)
        return [event[1:] for event in found.select(found.clip == 0).rows()]

    assert first(point, tags) == [(2.0, 2.3, 1)]
    assert first(free, np.zeros_like(tags)) == [(0.0, 2.0, 0), (2.0, 2.3, 1)]


def test_an_operating_point_of_another_model_is_refused(files, tmp_path):
    scores, point = files
    decode.run(DecodeOptions(scores, point(model="m"), tmp_path / "own"))
    assert datadir.read_decoded(tmp_path / "own", LABELS).info == {
        "mode": "segment",
        "model": "m",
        "scores": "abc",
        "tuned_on": "by hand",
        "audio_fingerprint": "",
        "operating_point": provenance.fingerprint_file(tmp_path / "point.yaml"),
        **provenance.made_by(),
    }
    with pytest.raises(
        InputError, match=r"point.yaml: was tuned on the scores of another model \(other\)"
    ):
        decode.run(DecodeOptions(scores, point(model="other"), tmp_path / "out"))
    assert not (tmp_path / "out").exists()
