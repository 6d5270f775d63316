import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsedtk.decoding import event_decoding
from wsedtk.decoding.curve_decoder import CurveDecoder


def whole(scores, thresholds, step, duration, filters):
    found = event_decoding.decode_frames(scores[None], thresholds, step, [duration], filters)
    return [(onset, offset, k) for _, onset, offset, k in found.rows()]


def in_pieces(scores, thresholds, step, duration, filters, cuts, passes=None):
    decoder = CurveDecoder(thresholds, step, filters)
    for a, b in zip([0, *cuts], [*cuts, len(scores)]):
        decoder.push(scores[a:b], *([] if passes is None else [passes[a:b]]))
    return decoder.finish(duration)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_pieces_equal_the_whole(data):
    """For all filters and sizes of pieces, the events are those of the whole curve, each once."""
    num_frames, num_classes = data.draw(st.integers(1, 120)), data.draw(st.integers(1, 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    wave = 0.3 * np.sin(np.arange(num_frames) / 7)[:, None]
    scores = np.clip(rng.random((num_frames, num_classes)) * 0.7 + wave, 0, 1).astype(np.float32)
    thresholds, *filters = (
        np.array(
            data.draw(st.lists(st.sampled_from(choice), min_size=num_classes, max_size=num_classes))
        )
        for choice in (
            [0.2, 0.5, 0.8, np.inf, -np.inf],
            [1, 3, 7, 61],
            [0, 1, 4, 30],
            [0, 1, 5, 40],
        )
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, num_frames), max_size=12)))
    duration = data.draw(
        st.sampled_from([num_frames * 0.1, num_frames * 0.1 - 0.04, num_frames * 0.05])
    )
    expected = whole(scores, thresholds, 0.1, duration, filters)
    found = in_pieces(scores, thresholds, 0.1, duration, filters, cuts)
    assert [event[:3] for event in found] == expected
    for onset, offset, k, peak in found:
        frames = scores[round(onset / 0.1) :, k][: max(1, round((offset - onset) / 0.1) + 1)]
        assert 0 <= peak <= scores[:, k].max() and peak >= frames[:-1].max(initial=0)


def test_an_event_across_many_pieces_is_one():
    scores = np.zeros((1000, 1), np.float32)
    scores[95:905] = 0.9
    scores[500] = 0.95
    assert in_pieces(scores, np.array([0.5]), 0.1, 100.0, (5, 2, 2), range(10, 1000, 10)) == [
        (9.5, 90.5, 0, pytest.approx(0.95))
    ]


def test_the_gate_keeps_events_that_any_of_their_frames_passes():
    scores = np.zeros((40, 2), np.float32)
    scores[5:15], scores[20:30] = 0.9, 0.8
    passes = np.zeros((40, 2), bool)
    passes[14, 0] = passes[25:, 1] = True
    for cuts in ([], [10, 25], range(1, 40)):
        assert in_pieces(scores, np.array([0.5, 0.5]), 0.1, 4.0, (1, 0, 0), cuts, passes) == [
            (0.5, 1.5, 0, pytest.approx(0.9)),
            (2.0, 3.0, 1, pytest.approx(0.8)),
        ]


def test_memory_does_not_grow_with_the_curve():
    decoder = CurveDecoder(np.full(3, 0.5), 0.1, event_decoding.Filters(5, 2, 2))
    for _ in range(2000):
        decoder.push(np.full((50, 3), 0.9, np.float32))
    assert len(decoder._scores) <= 2 * (2 + 1 + 2)
    assert [event[:3] for event in decoder.finish(1e9)] == [(0.0, 10000.0, k) for k in range(3)]
