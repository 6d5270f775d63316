"""PSDS compared with sed_scores_eval, and `score` on all kinds of sets."""

import sys

import numpy as np
import pytest
from helpers import write_score_file, write_set
from oracle import LABELS
from sed_scores_eval import intersection_based
from sed_scores_eval.base_modules.scores import create_score_dataframe
from test_score import scored, zero_length_set

from wsedtk.data import datadir, events
from wsedtk.data.events import Events
from wsedtk.evaluation import psds


def frames_of(rows, clip, num_frames, step, rng=None):
    """Return frame scores (T, K): 1 in the events and 0 elsewhere, or with noise."""
    scores = np.zeros((num_frames, len(LABELS)), np.float32)
    for c, onset, offset, label in rows:
        if c == clip:
            scores[round(onset / step) : round(offset / step), label] = 1
    return (
        scores
        if rng is None
        else np.clip(0.4 * scores + 0.5 * rng.random(scores.shape), 0, 1).astype(np.float32)
    )


PSDS_ROWS = [
    (0, 1.0, 3.0, 0),
    (0, 5.0, 9.0, 0),
    (0, 0.0, 2.0, 2),
    (1, 2.0, 7.5, 2),
    (3, 0.5, 1.5, 0),
    (3, 1.0, 2.5, 2),
]
PSDS_DURATIONS = np.array([10.0, 10.0, 7.0, 2.5])


def both_psds(scores, truth, lengths, **changes):
    """Return sed_scores_eval's own PSDS 1 and 2."""
    one = {
        "dtc_threshold": 0.7,
        "gtc_threshold": 0.7,
        "cttc_threshold": None,
        "alpha_ct": 0.0,
        "alpha_st": 1.0,
    }
    two = {
        "dtc_threshold": 0.1,
        "gtc_threshold": 0.1,
        "cttc_threshold": 0.3,
        "alpha_ct": 0.5,
        "alpha_st": 1.0,
        **changes,
    }
    return [
        intersection_based.psds(scores, truth, lengths, max_efpr=100, **settings)[0]
        for settings in (one, two)
    ]


def random_scores(seed, labels, num_clips=60):
    """Return rows of events, durations, and frame scores that are correlated with the events."""
    rng = np.random.default_rng(seed)
    rows = [
        (clip, float(on), float(on + length), label)
        for clip in range(num_clips)
        for label in labels
        for on, length in [(rng.integers(0, 4), rng.integers(1, 6))]
        if rng.random() < 0.6
    ]
    durations = np.where(np.arange(num_clips) % 2, 10.0, 9.5)
    frames = [
        np.clip(
            frames_of(rows, clip, round(d * 10), 0.1) * 0.4
            + np.repeat(rng.random((10, 3)), 10, axis=0)[: round(d * 10)],
            0,
            1,
        )
        for clip, d in enumerate(durations)
    ]
    return rows, durations, frames


def test_psds_of_a_perfect_system_is_1():
    frames = [
        frames_of(PSDS_ROWS, clip, round(d * 10), 0.1) for clip, d in enumerate(PSDS_DURATIONS)
    ]
    found, used = psds.measure(
        frames, 0.1, Events.from_rows(PSDS_ROWS), PSDS_DURATIONS, PSDS_DURATIONS
    )
    assert found == pytest.approx({"psds1": 1.0, "psds2": 1.0}) and used == 2


@pytest.mark.parametrize("labels", [(0, 2), (0, 1, 2), (1,)])
def test_psds_equals_sed_scores_eval(labels):
    """A single class is compared without cross triggers, which are undefined there."""
    rows, durations, frames = random_scores(0, labels)
    found, used = psds.measure(frames, 0.1, Events.from_rows(rows), durations, durations)
    scores = {
        f"c{clip}": create_score_dataframe(
            f[:, labels], np.round(np.arange(len(f) + 1) * 0.1, 6), [LABELS[k] for k in labels]
        )
        for clip, f in enumerate(frames)
    }
    truth = {
        f"c{clip}": [(on, off, LABELS[k]) for c, on, off, k in rows if c == clip]
        for clip in range(60)
    }
    lengths = {f"c{clip}": d for clip, d in enumerate(durations.tolist())}
    expected = both_psds(
        scores,
        truth,
        lengths,
        **({"cttc_threshold": None, "alpha_ct": 0} if len(labels) == 1 else {}),
    )
    assert used == len(labels) and 0.05 < expected[0] < 0.9 and 0.05 < expected[1] < 0.95
    assert [found["psds1"], found["psds2"]] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("value, score", [(None, 1.0), (0.0, 0.0), (0.5, 0.0), (1.0, 0.0)])
def test_psds_of_one_event_in_five_clips(value, score):
    """Perfect scores have PSDS 1; constant scores have 288 false alarms per hour."""
    rows = [(3, 2.0, 5.0, 1)]
    frames = [
        frames_of(rows, clip, 100, 0.1) if value is None else np.full((100, 3), value, np.float32)
        for clip in range(5)
    ]
    found, used = psds.measure(
        frames, 0.1, Events.from_rows(rows), np.full(5, 10.0), np.full(5, 10.0)
    )
    assert used == 1 and found == {"psds1": score, "psds2": score}


def test_psds_merges_overlaps_and_drops_events_after_the_end():
    rng = np.random.default_rng(1)
    frames = [
        frames_of(PSDS_ROWS, clip, round(d * 10), 0.1, rng) for clip, d in enumerate(PSDS_DURATIONS)
    ]
    lengths = PSDS_DURATIONS, PSDS_DURATIONS
    plain = psds.measure(frames, 0.1, Events.from_rows(PSDS_ROWS), *lengths)
    split = [row for row in PSDS_ROWS if row != (0, 5.0, 9.0, 0)] + [
        (0, 5.0, 8.0, 0),
        (0, 6.0, 9.0, 0),
        (0, 5.0, 9.0, 0),
        (1, 0.0, 0.0, 1),
    ]
    assert psds.measure(frames, 0.1, Events.from_rows(split), *lengths) == plain
    past = PSDS_ROWS + [
        (2, 7.0, 9.0, 0),
        (2, 8.0, 9.0, 1),
    ]  # a class with nothing else is not evaluated
    assert psds.measure(frames, 0.1, Events.from_rows(past), *lengths) == plain
    longer = [np.concatenate([f, np.ones((30, 3), np.float32)]) for f in frames]
    assert (
        psds.measure(longer, 0.1, Events.from_rows(PSDS_ROWS), PSDS_DURATIONS, PSDS_DURATIONS + 3)
        == plain
    )
    assert psds.measure(frames, 0.1, Events.from_rows([(0, 0.0, 0.0, 0)]), *lengths) == (
        {"psds1": None, "psds2": None},
        0,
    )


def test_frames_end_with_a_recording_that_is_shorter_than_its_clip():
    """True events extend to the nominal end, as in DCASE 2017; events after frames are missed."""
    rows, _, frames = random_scores(3, (0, 2))
    recorded = np.where(np.arange(60) % 3, 10.0, 3.04)
    frames = [np.concatenate([f, f])[: int(10 * end)] for f, end in zip(frames, recorded)]
    found, _ = psds.measure(frames, 0.1, Events.from_rows(rows), np.full(60, 10.0), recorded)
    scores = {
        f"c{clip}": create_score_dataframe(
            f[:, [0, 2]], np.append(np.round(np.arange(len(f)) * 0.1, 6), end), ["Car", "Dog"]
        )
        for clip, (f, end) in enumerate(zip(frames, recorded.tolist()))
    }
    truth = {
        f"c{clip}": [(on, off, LABELS[k]) for c, on, off, k in rows if c == clip]
        for clip in range(60)
    }
    expected = both_psds(scores, truth, dict.fromkeys(scores, 10.0))
    assert [found["psds1"], found["psds2"]] == pytest.approx(
        expected, abs=1e-12
    ) and 0.05 < expected[0] < 0.9


@pytest.mark.parametrize(
    "num_frames, duration, edges",
    [
        (4, 0.4, [0, 0.1, 0.2, 0.3, 0.4]),
        (4, 0.34, [0, 0.1, 0.2, 0.3, 0.34]),
        (4, 0.46, [0, 0.1, 0.2, 0.3, 0.46]),
        (4, 0.25, [0, 0.1, 0.2, 0.25]),
        (4, 9.0, [0, 0.1, 0.2, 0.3, 0.5]),
        (1, 9.0, [0, 0.2]),
        (4, 0.30000000000000004, [0, 0.1, 0.2, 0.3]),
        (4, 0.1 + 1e-9, [0, 0.1]),
    ],
)
def test_frame_edges(num_frames, duration, edges):
    assert events.frame_edges(num_frames, 0.1, duration).tolist() == edges


def test_merge_overlaps():
    spans = [
        (5.0, 6.0, "b"),
        (0.0, 4.0, "a"),
        (1.0, 2.0, "a"),
        (4.0, 5.0, "a"),
        (5.5, 7.0, "a"),
        (0.0, 5.5, "b"),
    ]
    assert events.merge_overlaps(spans) == [(0.0, 5.0, "a"), (5.5, 7.0, "a"), (0.0, 6.0, "b")]


# ---- score ----


def test_psds_where_one_class_has_events(run, tmp_path):
    """Overlapping events are merged, the class without events is left out; no cross triggers."""
    zero_length_set(tmp_path)
    assert (
        run("decode", tmp_path / "scores.h5", tmp_path / "p.yaml", tmp_path / "out").exit_code == 0
    )
    report = scored(run, tmp_path, "--scores", tmp_path / "scores.h5")
    frame, edges = np.full((3, 100, 1), 0.1), np.round(np.arange(101) * 0.1, 6)
    frame[0, 10:40], frame[1, 20:65], frame[2, 50:60] = 0.9, 0.8, 0.85
    tables = {
        "a": create_score_dataframe(frame[0], edges, ["Car"]),
        "b": create_score_dataframe(frame[1, :65], edges[:66], ["Car"]),
        "c": create_score_dataframe(frame[2], edges, ["Car"]),
    }
    truth = {"a": [(1.0, 4.0, "Car")], "b": [(2.0, 7.0, "Car")], "c": []}
    for name, threshold in (("psds1", 0.7), ("psds2", 0.1)):
        expected = intersection_based.psds(
            tables,
            truth,
            dict.fromkeys("abc", 10.0),
            dtc_threshold=threshold,
            gtc_threshold=threshold,
            cttc_threshold=None,
            alpha_ct=0.0,
            alpha_st=1.0,
            max_efpr=100.0,
        )[0]
        assert report["psds"][name] == pytest.approx(expected) and 0 <= expected < 1
    assert report["psds_classes"] == 1 and report["psds"]["psds1"] > 0


@pytest.mark.parametrize("with_events, classes", [(None, None), (False, 0)])
def test_no_psds_without_events(run, tmp_path, monkeypatch, with_events, classes):
    """Sets without event times, as AudioSet, and sets whose events have no duration."""
    monkeypatch.setitem(sys.modules, "sed_scores_eval", None)  # it is not even imported
    names = list("abc")
    write_set(
        tmp_path / "set",
        [(n, "", 10) for n in names],
        LABELS,
        [("a", "Car")],
        None if with_events is None else [("a", 2, 2, "Car")],
    )
    write_score_file(
        tmp_path / "scores.h5", names, LABELS, np.full((3, 3), 0.4), np.full((3, 100, 3), 0.4)
    )
    datadir.write_decoded(
        tmp_path / "out",
        names,
        [10.0] * 3,
        LABELS,
        np.zeros((3, 3), bool),
        events=Events.from_rows([]),
    )
    report = scored(run, tmp_path, "--scores", tmp_path / "scores.h5")
    assert report["psds"] == {"psds1": None, "psds2": None} and report["psds_classes"] == classes
    assert report["zero_length_reference_events"] == (None if with_events is None else 1)
