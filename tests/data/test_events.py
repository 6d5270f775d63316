"""Scores to events: filters compared with scipy.signal and plain loops; decoding by hand."""

import numpy as np
import pytest
import scipy.signal

from wsedtk.data import events
from wsedtk.decoding import event_decoding
from wsedtk.decoding.event_decoding import Filters


def spans(found):
    """Return (onset, offset, class) of the Events of one clip, class by class."""
    return sorted((event[1:] for event in found.rows()), key=lambda event: (event[2], event[0]))


def runs(active, *settings):
    """Return `event_decoding.runs` of one clip (T, K)."""
    return spans(event_decoding.runs(active[None], *settings))


def decode_frames(scores, *settings, **more):
    """Return `event_decoding.decode_frames` of one clip (T, K)."""
    return spans(event_decoding.decode_frames(scores[None], *settings, **more))


def slow_smooth(active, median, shortest, gap):
    """Filter booleans (T,) of one class: median by scipy.signal, then lists of runs."""
    padded = np.pad(active.astype(float), median)
    active = scipy.signal.medfilt(padded, median)[median:-median] > 0.5
    spans, start = [], None
    for t, on in enumerate([*active, False]):
        if on and start is None:
            start = t
        elif not on and start is not None:
            if t - start >= shortest:
                spans.append([start, t])
            start = None
    joined = []
    for first, end in spans:
        if joined and first - joined[-1][1] <= gap:
            joined[-1][1] = end
        else:
            joined.append([first, end])
    out = np.zeros(len(active), bool)
    for first, end in joined:
        out[first:end] = True
    return out


def blocky(rng, num_frames, num_classes):
    """Return random booleans (T, K) with runs of all lengths."""
    return np.repeat(
        rng.random((num_frames, num_classes)) < rng.random(), int(rng.integers(1, 5)), axis=0
    )[:num_frames]


def random_settings(rng, num_classes):
    """Return median (odd), minimum and gap in frames; one number, or one per class."""
    size = None if rng.random() < 0.3 else num_classes
    return 2 * rng.integers(0, 5, size) + 1, rng.integers(0, 7, size), rng.integers(0, 7, size)


def test_smooth_equals_slow_loops():
    rng, changed = np.random.default_rng(0), 0
    for _ in range(400):
        num_frames, num_classes = int(rng.integers(1, 40)), int(rng.integers(1, 5))
        active = blocky(rng, num_frames, num_classes)
        settings = random_settings(rng, num_classes)
        got = event_decoding.smooth(active, *settings)
        per_class = np.broadcast_to(np.stack(settings, -1), (num_classes, 3))
        expected = np.stack(
            [
                slow_smooth(active[:, k], *(int(v) for v in per_class[k]))
                for k in range(num_classes)
            ],
            axis=1,
        )
        assert got.dtype == bool
        np.testing.assert_array_equal(got, expected)
        changed += (got != active).any()
    assert changed > 200


def test_smooth_commutes_with_thresholds():
    rng = np.random.default_rng(1)
    for _ in range(150):
        num_frames, num_classes = int(rng.integers(1, 40)), int(rng.integers(1, 5))
        scores = rng.random((num_frames, num_classes)).astype(np.float32)
        if rng.random() < 0.5:
            scores = np.round(scores, 1).astype(np.float32)
        settings = random_settings(rng, num_classes)
        smoothed = event_decoding.smooth(scores, *settings)
        assert smoothed.dtype == np.float32
        for threshold in [1e-9, *rng.random(8), *scores[scores > 0][:8].astype(float), 1.0, np.inf]:
            np.testing.assert_array_equal(
                smoothed >= threshold, event_decoding.smooth(scores >= threshold, *settings)
            )


@pytest.mark.parametrize("size", [1, 3, 5, 9, 29])
def test_median_alone_is_scipys(size):
    scores = np.random.default_rng(2).random((30, 2))
    expected = np.stack([scipy.signal.medfilt(scores[:, k], size) for k in range(2)], axis=1)
    np.testing.assert_array_equal(event_decoding.smooth(scores, size, 0, 0), expected)


def test_smooth_by_hand():
    def smooth(text, *settings):
        active = np.array([[c == "1"] for c in text])
        return "".join("01"[int(v)] for v in event_decoding.smooth(active, *settings)[:, 0])

    assert smooth("0110111000", 1, 3, 0) == "0000111000"
    assert smooth("1100000011", 1, 2, 0) == "1100000011"  # a run at an edge is not extended
    assert smooth("1100000011", 1, 3, 0) == "0000000000"
    assert smooth("0010010001", 1, 0, 2) == "0011110001"
    assert smooth("0010010001", 1, 0, 3) == "0011111111"
    assert smooth("0010000000", 1, 0, 9) == "0010000000"  # there is nothing to join beyond the clip
    assert smooth("0101010000", 3, 0, 0) == "0010100000"
    # short runs are removed before gaps are joined
    assert smooth("1010011100", 1, 2, 5) == "0000011100"


@pytest.mark.parametrize("scores", [np.zeros((0, 3), np.float32), np.zeros((0, 3), bool)])
def test_smooth_of_no_frames(scores):
    assert event_decoding.smooth(scores, 5, 2, 2).shape == (0, 3)


def test_smooth_leaves_its_input_alone():
    scores = np.random.default_rng(0).random((20, 2))
    before = scores.copy()
    event_decoding.smooth(scores, 3, 2, 2)
    np.testing.assert_array_equal(scores, before)


def test_smooth_takes_settings_far_longer_than_the_clip():
    active = np.array([[True], [False], [True], [True]])
    assert not event_decoding.smooth(active, 2_000_001, 0, 0).any()
    assert not event_decoding.smooth(active, 1, 1_000_000_000, 0).any()
    assert event_decoding.smooth(active, 1, 0, 1_000_000_000).all()


# ---- seconds -> frames ----


@pytest.mark.parametrize("step", [0.1, 0.08, 0.02])
def test_odd_frames_is_the_nearest_odd_number(step):
    assert event_decoding.odd_frames(0, step) == 1 and event_decoding.odd_frames(step, step) == 1
    for n in range(1, 200):
        frames = event_decoding.odd_frames(n * step, step)
        assert frames % 2 == 1 and (frames == n if n % 2 else abs(frames - n) == 1)
    for seconds in np.random.default_rng(0).random(200) * 3:
        frames = event_decoding.odd_frames(seconds, step)
        assert isinstance(frames, int) and frames % 2 == 1
        assert frames == 1 or abs(frames - seconds / step) <= 1 + 1e-9


def test_frames_of_seconds_by_hand():
    assert event_decoding.odd_frames(0.5, 0.1) == 5 and event_decoding.odd_frames(0.3, 0.1) == 3
    assert event_decoding.odd_frames(0.5, 0.08) == 7  # 6.25
    assert event_decoding.odd_frames(0.4, 0.08) == 5
    assert event_decoding.whole_frames(0, 0.1) == 0
    assert (
        event_decoding.whole_frames(0.3, 0.1) == 3 and event_decoding.whole_frames(0.7, 0.1) == 7
    )  # 0.7 / 0.1 is below 7, 0.3 / 0.1 above 2.9
    assert (
        event_decoding.whole_frames(0.2, 0.08) == 3
        and event_decoding.whole_frames(0.24, 0.08) == 3
        and event_decoding.whole_frames(0.25, 0.08) == 4
    )


@pytest.mark.parametrize("step", [0.1, 0.08, 0.02])
def test_whole_frames_is_exact_on_multiples(step):
    for n in range(500):
        assert event_decoding.whole_frames(n * step, step) == n
        assert event_decoding.whole_frames(float(f"{n * step:.6f}"), step) == n
        assert event_decoding.whole_frames((n + 0.01) * step, step) == n + 1


# ---- runs ----


def test_runs_by_hand():
    active = np.array([[1, 0], [1, 0], [0, 1], [1, 1]], bool)
    assert runs(active, 0.5, 2.0) == [(0.0, 1.0, 0), (1.5, 2.0, 0), (1.0, 2.0, 1)]
    assert runs(active, 0.5, 1.7) == [(0.0, 1.0, 0), (1.5, 1.7, 0), (1.0, 1.7, 1)]
    assert runs(active, 0.5, 1.5) == [
        (0.0, 1.0, 0),
        (1.0, 1.5, 1),
    ]  # no event after the end of the clip or without length
    assert runs(np.zeros((4, 2), bool), 0.5, 2.0) == []
    assert runs(np.zeros((0, 2), bool), 0.5, 2.0) == []
    assert runs(np.ones((4, 1), bool), 0.5, 2.0) == [(0.0, 2.0, 0)]


def test_times_are_round():
    active = np.zeros((10, 1), bool)
    active[3:7] = True
    assert 3 * 0.1 != 0.3
    assert runs(active, 0.1, 1.0) == [(0.3, 0.7, 0)]


@pytest.mark.parametrize("step", [0.1, 0.08, 1.0])
def test_runs_round_trip(step):
    rng = np.random.default_rng(3)
    for _ in range(100):
        active = blocky(rng, int(rng.integers(1, 60)), 3)
        back = np.zeros_like(active)
        found = runs(active, step, len(active) * step)
        for onset, offset, label in found:
            first, end = round(onset / step), round(offset / step)
            assert abs(first * step - onset) < 1e-6 and abs(end * step - offset) < 1e-6
            assert not back[
                max(first - 1, 0) : end + 1, label
            ].any()  # runs neither overlap nor touch
            back[first:end, label] = True
        np.testing.assert_array_equal(back, active)


# ---- decoding ----


def test_decode_segments_joins_neighbours():
    scores = np.array([[0.9, 0.1], [0.5, 0.1], [0.2, 0.1], [0.7, 0.7]], np.float32)
    assert spans(event_decoding.decode_segments(scores[None], np.array([0.5, 0.7]), 3.4)) == [
        (0.0, 2.0, 0),
        (3.0, 3.4, 0),
    ]  # float32 0.7 < 0.7
    assert spans(
        event_decoding.decode_segments(scores[None], np.array([np.inf, -np.inf]), 3.4)
    ) == [(0.0, 3.4, 1)]


def test_decode_frames_edges():
    one = np.array([[0.6, 0.4]], np.float32)
    assert decode_frames(one, np.array([0.5, 0.5]), 0.1, 0.1) == [(0.0, 0.1, 0)]
    assert decode_frames(one, np.array([0.5, 0.5]), 0.1, 0.07) == [(0.0, 0.07, 0)]
    assert decode_frames(one, np.array([0.5, 0.5]), 0.1, 0.1, Filters(shortest=2)) == []
    assert decode_frames(one, np.array([0.5, 0.5]), 0.1, 0.1, Filters(median=3)) == []
    assert (
        decode_frames(np.zeros((0, 2), np.float32), np.array([0.5, 0.5]), 0.1, 1.0, (3, 2, 2)) == []
    )


def test_decode_frames_decides_at_the_threshold_itself():
    scores = np.array([[0.25], [0.5], [0.75]], np.float32)
    assert decode_frames(scores, np.array([0.5]), 0.1, 0.3) == [(0.1, 0.3, 0)]
    assert decode_frames(scores, np.array([np.nextafter(0.5, 1)]), 0.1, 0.3) == [(0.2, 0.3, 0)]


def test_decode_frames_has_its_own_settings_for_each_class():
    scores = np.repeat(np.array([[0, 1, 0, 1, 1, 0, 0, 1, 1, 1]], np.float32).T, 3, axis=1)
    found = decode_frames(
        scores,
        np.full(3, 0.5),
        0.1,
        1.0,
        Filters(np.array([1, 1, 3]), np.array([2, 0, 0]), np.array([0, 1, 0])),
    )
    assert found == [
        (0.3, 0.5, 0),
        (0.7, 1.0, 0),
        (0.1, 0.5, 1),
        (0.7, 1.0, 1),
        (0.2, 0.5, 2),
        (0.7, 1.0, 2),
    ]


@pytest.mark.parametrize("seed", range(5))
def test_decode_frames_filters_silent_classes_like_the_others(seed):
    rng = np.random.default_rng(seed)
    scores = rng.random((60, 40)) * (rng.random(40) < 0.3)
    settings = rng.choice([1, 3, 5], 40), rng.integers(0, 4, 40), rng.integers(0, 4, 40)
    whole = runs(event_decoding.smooth(scores >= 0.5, *settings), 0.1, 5.5)
    assert whole and decode_frames(scores, np.full(40, 0.5), 0.1, 5.5, settings) == whole
    awake = runs(event_decoding.smooth(scores >= 0.0, *settings), 0.1, 5.5)  # no class is silent
    assert decode_frames(scores, np.zeros(40), 0.1, 5.5, settings) == awake


@pytest.mark.parametrize("seed", range(3))
def test_many_clips_of_any_lengths_are_each_as_alone(seed):
    rng = np.random.default_rng(seed)
    lengths, scores = rng.integers(1, 40, 30), np.zeros((30, 40, 6), np.float32)
    for clip, length in enumerate(lengths):
        scores[clip, :length] = blocky(rng, length, 6) * rng.random((length, 6))
    settings = rng.choice([1, 3, 9], 6), rng.integers(0, 6, 6), rng.integers(0, 6, 6)
    durations = 0.1 * lengths - rng.uniform(0, 0.05, 30)
    thresholds = np.array([0.2, 0.5, 0.9, 0, -np.inf, np.inf])  # also those that zeros pass
    together = event_decoding.decode_frames(
        scores, thresholds, 0.1, durations, settings, num_frames=lengths
    )
    alone = [
        spans(
            event_decoding.decode_frames(
                scores[i : i + 1, :n], thresholds, 0.1, durations[i], settings
            )
        )
        for i, n in enumerate(lengths)
    ]
    assert [spans(together.select(together.clip == clip)) for clip in range(30)] == alone and len(
        together
    ) > 50
    smoothed = event_decoding.smooth(scores, *settings)
    for clip, length in enumerate(lengths):
        np.testing.assert_array_equal(
            smoothed[clip, :length], event_decoding.smooth(scores[clip, :length], *settings)
        )
        assert not smoothed[clip, length:].any()


# ---- list of events ----


def test_events_are_sorted_and_come_back():
    rows = [(1, 0.5, 1.0, 0), (0, 2.0, 3.0, 1), (0, 2.0, 2.5, 0), (0, 0.0, 9.0, 1)]
    found = events.Events.from_rows(iter(rows))
    assert list(found.rows()) == [
        (0, 0.0, 9.0, 1),
        (0, 2.0, 2.5, 0),
        (0, 2.0, 3.0, 1),
        (1, 0.5, 1.0, 0),
    ]
    assert list(found.select(found.clip == 1).rows()) == [(1, 0.5, 1.0, 0)]
    assert len(found.select(np.array([], int))) == 0
    joined = events.Events.joined(
        [found, events.Events.from_rows([]), events.Events.from_rows([(5, 1.0, 2.0, 3)])]
    )
    assert (
        list(joined.rows()) == [*found.rows(), (5, 1.0, 2.0, 3)]
        and len(events.Events.joined([])) == 0
    )
    empty = events.Events.from_rows([])
    assert len(empty) == 0 and list(empty.rows()) == [] and empty.clip.dtype == np.int64
