"""Events of the clips of a recording, computed by hand."""

import pytest

from wsedtk.corpora.clip_events import Mark, check_times, events_of_clips

CLIPS = [(0.0, 10.0), (10.0, 20.0), (20.0, 24.0)]


@pytest.mark.parametrize(
    ("onset", "offset", "expected"),
    [
        (1.0, 2.5, [(0, 1.0, 2.5)]),
        (9.5, 11.0, [(0, 9.5, 10.0), (1, 0.0, 1.0)]),
        (9.9, 20.1, [(0, 9.9, 10.0), (1, 0.0, 10.0), (2, 0.0, 0.1)]),
        (9.95, 12.0, [(1, 0.0, 2.0)]),  # 0.05 s are in the first clip: too little
        (9.98, 10.06, [(1, 0.0, 0.06)]),  # less than 0.1 s: the clip with the greater part
        (9.97, 10.03, [(0, 9.97, 10.0), (1, 0.0, 0.03)]),  # half in each
        (8.0, 10.0, [(0, 8.0, 10.0)]),  # ends where the second clip starts
        (23.5, 30.0, [(2, 3.5, 4.0)]),  # is cut off at the end
        (24.0, 25.0, []),
        (5.0, 5.0, [(0, 5.0, 5.0)]),  # a point
        (10.0, 10.0, [(1, 0.0, 0.0)]),
        (24.0, 24.0, [(2, 4.0, 4.0)]),  # at the end of the recording
    ],
)
def test_events_at_the_edges(onset, offset, expected):
    found = events_of_clips([Mark(onset, offset, "a", "x")], CLIPS, 0.1)
    assert len(found) == 3
    assert [
        (clip, one.onset, one.offset) for clip, marks in enumerate(found) for one in marks
    ] == expected
    assert all(one[2:4] == ("a", "x") for marks in found for one in marks)


def test_overlapping_clips_and_gaps():
    marks = [Mark(3.0, 4.0, "a"), Mark(6.0, 6.5, "b"), Mark(11.0, 11.5, "c")]
    overlapping = events_of_clips(marks, [(0.0, 5.0), (2.5, 7.5), (5.0, 10.0)], 0.1)
    assert [[(m.label, m.onset) for m in one] for one in overlapping] == [
        [("a", 3.0)],
        [("a", 0.5), ("b", 3.5)],
        [("b", 1.0)],
    ]
    with_gaps = events_of_clips(marks, [(0.0, 3.25), (10.0, 13.25)], 0.1)
    assert [[m.label for m in one] for one in with_gaps] == [["a"], ["c"]]


def test_a_greater_minimum():
    marks = [Mark(9.0, 19.0, "long"), Mark(9.2, 10.8, "short")]
    found = events_of_clips(marks, CLIPS[:2], 2.0)
    assert [[m.label for m in one] for one in found] == [["short"], ["long", "short"]]


def test_times_after_the_end():
    fine = [Mark(9.0, 10.05, "a", "x:1"), Mark(10.0, 10.0, "a", "x:2")]
    assert check_times("r", fine, 10.0) == ("", "")
    error, warning = check_times("r", [Mark(9.0, 12.0, "a", "x:3")], 10.0)
    assert error == "" and "r: 1 event ends after the end" in warning and "x:3" in warning
    error, _ = check_times("r", [*fine, Mark(11.0, 12.0, "a", "x:4")], 10.0)
    assert "r: 1 event begins after the end of the recording (10.000 s): x:4 (at 11 s)" in error
