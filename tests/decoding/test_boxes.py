"""Sound event bounding boxes: known cases, the published steps in exact arithmetic, and pieces."""

import itertools

import numpy as np
import pytest
from box_steps import boxes_by_steps, random_curve
from hypothesis import given, settings
from hypothesis import strategies as st

from wsedtk.data.events import frame_edges
from wsedtk.decoding.boxes import SETTINGS, BoxFilters, decode_boxes
from wsedtk.decoding.curve_decoder import BoxCurveDecoder

APART = BoxFilters(0.4, 0.0, np.inf)  # joins nothing


def boxes_of(curve, filters=APART, step=0.1, duration=None):
    """Return the boxes (onset, offset, confidence) of one curve (T,)."""
    scores = np.asarray(curve, np.float32)[None, :, None]
    duration = len(curve) * step if duration is None else duration
    found = decode_boxes(scores, step, duration, filters)
    rows = [(onset, offset) for _, onset, offset, _ in found.events.rows()]
    return [(*times, conf) for times, conf in zip(rows, found.confidence.tolist())]


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([0.5] * 20, [(0, 2, 0.5)]),  # a constant curve is one event
        ([0.25], [(0, 0.1, 0.25)]),
        ([0.0] * 5, [(0, 0.5, 0.0)]),
        # The filter output is 0 up to 0.8 s, where its rise begins.
        ([0.0] * 10 + [1.0] * 5, [(0, 0.8, 0), (1, 1.5, 1)]),
        # The output is 0 from 0.7 s to 0.8 s, after a rise and before a rise: an onset, an offset.
        ([1.0] * 5 + [0.0] * 5 + [0.5] * 5, [(0, 0.5, 1), (0.7, 0.8, 0), (1, 1.5, 0.5)]),
        # From 0.4 s to 0.5 s, the output is constant and lowest: the offset is the last point.
        ([1.0] * 4 + [0.5] + [0.0] * 2 + [0.5] * 4, [(0, 0.5, 0.9), (0.7, 1.1, 0.5)]),
    ],
)
def test_known_curves(curve, expected):
    found = boxes_of(curve)
    assert [box[:2] for box in found] == [box[:2] for box in expected]
    assert [box[2] for box in found] == pytest.approx([box[2] for box in expected], abs=1e-9)


def test_gaps_are_joined_by_depth():
    """The maxima 0.8 and 0.6 are 0.4 and 0.2 above the gap; they are 2 and 1.5 times as high."""
    curve = [0.8] * 5 + [0.4] * 3 + [0.6] * 5
    apart = [(0, 0.5, pytest.approx(0.8)), (0.8, 1.3, pytest.approx(0.6))]
    joined = [(0, 1.3, pytest.approx((5 * 0.8 + 3 * 0.4 + 5 * 0.6) / 13))]
    for absolute, relative, expected in (
        (0.39, np.inf, apart),
        (0.41, np.inf, joined),
        (np.inf, 1.99, apart),
        (np.inf, 2.01, joined),
        (0.41, 1.5, apart),  # both limits hold
        (0.39, 2.01, apart),
    ):
        assert boxes_of(curve, BoxFilters(0.4, absolute, relative)) == expected


def test_gaps_are_decided_on_the_original_events():
    """A chain of events is joined gap by gap, even if its first and last events are unlike."""
    curve = [0.2] * 5 + [0.1] * 3 + [0.4] * 5 + [0.3] * 3 + [0.6] * 5
    filters = BoxFilters(0.4, 0.32, np.inf)
    assert boxes_of(curve, filters) == [(0, 2.1, pytest.approx(np.mean(curve)))]
    # For the second gap, the maximum of the event before it is 0.75, and not 0.9.
    curve = [0.9] * 5 + [0.7] * 3 + [0.75] * 5 + [0.5] * 3 + [0.7] * 5
    filters = BoxFilters(0.4, 0.26, np.inf)
    assert boxes_of(curve, filters) == [(0, 2.1, pytest.approx(np.mean(curve)))]


def test_frames_after_the_end_are_left_out():
    """The last frame ends at the end of the clip."""
    assert boxes_of([0.5] * 10 + [1.0] * 10, duration=0.95) == [(0, 0.95, 0.5)]
    assert boxes_of([0.5] * 10, duration=1.05) == [(0, 1.05, 0.5)]


@pytest.mark.parametrize("kind", ["steps", "grid", "constant", "uniform"])
def test_boxes_equal_the_published_steps(kind):
    rng = np.random.default_rng(sum(map(ord, kind)))
    for step in (0.02, 0.1, 0.13, 0.32, 1.0):
        num_frames = int(rng.integers(1, 16))
        duration = float(num_frames * step + rng.choice([0, -0.4, 0.5]) * step)
        curve = random_curve(rng, kind, num_frames)
        edges = frame_edges(num_frames, step, duration)
        used = curve[: len(edges) - 1]
        for filters in (*SETTINGS[::3], BoxFilters()):
            expected = boxes_by_steps(used, edges, *filters)
            found = boxes_of(curve, filters, step, duration)
            assert [box[:2] for box in found] == [tuple(map(float, box[:2])) for box in expected]
            confidences = [box[2] for box in expected]
            assert [box[2] for box in found] == pytest.approx(confidences, abs=1e-8)


def test_classes_and_clips_are_independent():
    """Many clips of several lengths, with other filters for each class, equal one curve each."""
    rng = np.random.default_rng(4)
    scores = np.stack([random_curve(rng, "uniform", 40 * 3).reshape(40, 3) for _ in range(7)])
    counts = np.array([40, 40, 7, 33, 40, 1, 40])
    durations = np.array([4.0, 4.0, 0.7, 3.3, 3.96, 0.1, 4.0])
    filters = BoxFilters(
        np.array([0.32, 0.64, 0.32]), np.array([0.2, np.inf, 1]), np.array([np.inf, 2, 1.5])
    )
    found = decode_boxes(scores, 0.1, durations, filters, num_frames=counts)
    for clip, k in itertools.product(range(7), range(3)):
        chosen = found.select((found.events.clip == clip) & (found.events.label == k))
        rows = [(onset, offset) for _, onset, offset, _ in chosen.events.rows()]
        alone = boxes_of(
            scores[clip, : counts[clip], k],
            filters.select(k),
            duration=durations[clip],
        )
        assert [(*times, c) for times, c in zip(rows, chosen.confidence.tolist())] == alone
    order = [(c, on, k) for c, on, _, k in found.events.rows()]
    assert order == sorted(order) and len(found) > 100


def in_pieces(scores, thresholds, step, duration, filters, cuts, passes=True, min_seconds=0.0):
    decoder, found = BoxCurveDecoder(thresholds, step, filters, min_seconds), []
    passes = np.broadcast_to(passes, scores.shape)
    for a, b in zip([0, *cuts], [*cuts, len(scores)]):
        decoder.push(scores[a:b], passes[a:b])
        found += decoder.ended()
    found += decoder.finish(duration)
    return sorted(map(tuple, found), key=lambda event: (event[0], event[2]))


def whole(scores, thresholds, step, duration, filters):
    found = decode_boxes(scores[None], step, duration, filters)
    found = found.select(found.confidence > thresholds[found.events.label])
    rows = zip(found.events.rows(), found.confidence.tolist())
    return [(onset, offset, k, c) for (_, onset, offset, k), c in rows]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_pieces_equal_the_whole(data):
    """For all filters and sizes of pieces, the boxes are those of the whole curve, bit for bit."""
    num_frames, num_classes = data.draw(st.integers(1, 120)), data.draw(st.integers(1, 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    kinds = data.draw(
        st.lists(
            st.sampled_from(["steps", "grid", "constant", "uniform"]),
            min_size=num_classes,
            max_size=num_classes,
        )
    )
    scores = np.stack([random_curve(rng, kind, num_frames) for kind in kinds], 1)
    filters = BoxFilters(
        rng.choice([0.02, 0.32, 0.5, 0.64, 3.0], num_classes),
        rng.choice([0.15, 0.3, 1, np.inf], num_classes),
        rng.choice([1.5, 3, np.inf], num_classes),
    )
    thresholds = rng.choice([0, 0.4, 0.6, -np.inf, np.inf], num_classes)
    step = data.draw(st.sampled_from([0.02, 0.1, 0.32]))
    cuts = sorted(data.draw(st.lists(st.integers(0, num_frames), max_size=12)))
    duration = num_frames * step + data.draw(st.sampled_from([0, -0.4, 0.5, -1])) * step
    expected = whole(scores, thresholds, step, max(duration, 0.01), filters)
    assert in_pieces(scores, thresholds, step, max(duration, 0.01), filters, cuts) == expected


def test_frames_after_the_end_of_a_short_recording_are_left_out():
    """A network can give frames of the silence that is added to a short recording."""
    scores = np.full((3, 1), 0.5, np.float32)
    assert in_pieces(scores, np.zeros(1), 0.32, 0.3, BoxFilters(), []) == [(0, 0.3, 0, 0.5)]
    with pytest.raises(ValueError, match=r"the curve is longer than the recording \(0.3 s\)"):
        in_pieces(np.full((9, 1), 0.5, np.float32), np.zeros(1), 0.1, 0.3, BoxFilters(), range(9))


def test_no_frames_give_no_boxes():
    assert BoxCurveDecoder(np.zeros(2), 0.1, BoxFilters()).finish(0.0) == []


def test_the_gate_and_the_minimum_duration_drop_boxes():
    scores = np.zeros((40, 1), np.float32)
    scores[5:15], scores[20:30] = 0.9, 0.8
    passes = np.zeros((40, 1), bool)
    both = [(0.5, 1.5, 0, pytest.approx(0.9)), (2.0, 3.0, 0, pytest.approx(0.8))]
    half = np.array([0.5])
    for cuts in ([], [10, 25], range(1, 40)):
        assert in_pieces(scores, half, 0.1, 4.0, APART, cuts) == both
        assert in_pieces(scores, half, 0.1, 4.0, APART, cuts, passes) == []
        passes[14] = True
        assert in_pieces(scores, half, 0.1, 4.0, APART, cuts, passes) == both[:1]
        passes[14] = False
    assert in_pieces(scores, half, 0.1, 4.0, APART, [], min_seconds=1.0) == both
    assert in_pieces(scores, half, 0.1, 4.0, APART, [], min_seconds=1.01) == []


def test_memory_does_not_grow_with_the_curve():
    """A box of 30 hours: its confidence is exact, and no more frames are kept than are needed."""
    decoder = BoxCurveDecoder(np.full(3, 0.5), 1.0, BoxFilters(60.0, 1.0, 2.0))
    for _ in range(108):
        decoder.push(np.full((1000, 3), 0.7, np.float32))
    kept = len(decoder._scores) + sum(len(one._scores) for _, one in decoder._scanners)
    assert kept <= 1000 + 2 * 30 + 2
    confidence = round(float(np.float32(0.7)), 9)
    assert decoder.finish(108_000.0) == [(0.0, 108_000.0, k, confidence) for k in range(3)]


def test_boxes_depend_on_the_nearby_scores_only():
    curve = random_curve(np.random.default_rng(0), "uniform", 4000)
    found = boxes_of(curve, BoxFilters())
    expected = [(on, off) for on, off, _ in found if 110 < on and off < 290]
    part = boxes_of(curve[1000:3000], BoxFilters())
    moved = [(round(on + 100, 6), round(off + 100, 6)) for on, off, _ in part]
    assert [(on, off) for on, off in moved if 110 < on and off < 290] == expected
    assert len(expected) > 100
