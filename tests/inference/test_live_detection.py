"""Detection in sound that arrives in blocks: it equals that in the whole recording."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch
from helpers import LABELS, make_point, write_model

from wsedtk.audio.audio_files import BlockResampler
from wsedtk.core.errors import InputError
from wsedtk.decoding import operating_point
from wsedtk.inference import loading, windows
from wsedtk.inference.event_finding import EventFinder
from wsedtk.inference.live_detection import LiveDetection
from wsedtk.inference.model import load_model
from wsedtk.inference.sliding_windows import Detector, Source, WindowScores

RATE = 16000
POINTS = {
    "plain": {},
    "filters": {
        "median_seconds": np.array([0.3, 0.5]),
        "min_seconds": np.array([0.2, 0.3]),
        "max_gap_seconds": np.array([0.2, 0.4]),
    },
    "gate": {"gate_by_tags": True, "max_gap_seconds": np.array([0.3, 0.0])},
}


def tones(seconds, rate=RATE, channels=1):
    """Return samples (S, C) of tones at several times, in noise."""
    rng, time = np.random.default_rng(0), np.arange(round(seconds * rate)) / rate
    samples = rng.normal(0, 0.02, (len(time), channels))
    for frequency, period in ((300, 1.7), (3000, 2.3)):
        samples += 0.3 * (np.sin(2 * np.pi * frequency * time) * (time % period < 0.9))[:, None]
    return samples.astype(np.float32)


def middle(scores):
    """Return a threshold in the widest gap between the scores in the middle half, per column."""
    middles = []
    for column in np.sort(scores, axis=0).T:
        column = column[len(column) // 4 : 3 * len(column) // 4]
        widest = np.argmax(np.diff(column))
        middles.append((column[widest] + column[widest + 1]) / 2)
    return np.array(middles, np.float64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model directory whose scores cross the thresholds often. Windows have 10 frames."""
    folder = write_model(tmp_path_factory.mktemp("live") / "m")
    found = load_model(folder, "cpu").predict(tones(12), RATE)
    point = operating_point.read(folder / "operating_point.yaml")
    limits = {"frame_thresholds": middle(found.frame), "clip_thresholds": found.clip - 0.01}
    for name, changes in POINTS.items():
        point = make_point(labels=LABELS, model=point.model, **limits, **changes)
        operating_point.write(folder / f"{name}.yaml", point)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return load_model(folder, "cpu")


@pytest.fixture(scope="module")
def detector(folder):
    loaded = loading.read_model(folder)
    return Detector(loaded.spec, loading.make_runner(loaded, torch.device("cpu"), precise=True))


def finder_of(folder, name="plain"):
    names = {label: label for label in LABELS}
    return EventFinder(operating_point.read(folder / f"{name}.yaml"), names, 0.1)


def cut_at(samples, sizes):
    """Yield blocks of samples. The sizes are repeated."""
    start, number = 0, 0
    while start < len(samples):
        yield samples[start : start + sizes[number % len(sizes)]]
        start, number = start + sizes[number % len(sizes)], number + 1


def rows(events):
    return [(one.onset, one.offset, one.label) for one in events]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize(
    "seconds, rate, channels, sizes",
    [
        (9.3, RATE, 1, [160]),
        (9.04, RATE, 2, [4097]),
        (7.51, 44100, 2, [441, 0, 100, 7000]),
        (8.0, 8000, 1, [1000]),
        (6.0, RATE, 1, [10**6]),
        *((seconds, RATE, 1, [800]) for seconds in (0.01, 0.1, 0.97, 1.1, 1.15, 1.6, 1.69, 2.1)),
    ],
)
def test_events_are_those_of_detect(model, folder, point, seconds, rate, channels, sizes):
    samples, path = tones(seconds, rate, channels), folder / f"{point}.yaml"
    expected = model.detect(samples, rate, operating_point=path)
    found = list(model.stream(cut_at(samples, sizes), rate, operating_point=path))
    assert sorted(rows(found)) == sorted(rows(expected)) and (seconds < 2 or len(found) > 1)
    key = dataclasses.astuple
    for one, other in zip(sorted(found, key=key), sorted(expected, key=key)):
        assert one.score == pytest.approx(other.score, abs=1e-6)


def test_stream_chooses_as_detect_does(model, folder):
    samples = tones(5, channels=2)
    samples[:, 1] = 0.01
    choice = {
        "threshold": dict(
            zip(LABELS, operating_point.read(folder / "plain.yaml").frame_thresholds)
        ),
        "classes": LABELS[:1],
        "min_seconds": 0.3,
        "channel": 0,
    }
    expected = model.detect(samples, RATE, **choice)
    assert rows(model.stream(cut_at(samples, [500]), RATE, **choice)) == rows(expected)
    assert expected and {one.label for one in expected} == {LABELS[0]}


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("rate", [RATE, 22050])
def test_an_event_comes_at_the_latest_after_the_stated_time(detector, folder, point, rate):
    live, size = LiveDetection(detector, finder_of(folder, point), rate), rate // 100
    found = []
    for block in cut_at(tones(12, rate)[:, 0], [size]):
        found += [(live.seconds - one.offset) for one in live.push(block)]
    reach = {"plain": 0.0, "filters": 0.2 + 0.2 + 0.4, "gate": 0.3}[point]
    delay = 0.0 if rate == RATE else 1500 / RATE
    # windows have 10 frames of 0.1 s, and begin every 5 frames
    expected = max(1.1, 0.7 + 0.2 + reach) + delay
    assert live.latency_seconds == pytest.approx(expected)
    assert len(found) > 3 and max(found) <= live.latency_seconds + 1e-9
    assert max(found) > live.latency_seconds - delay - 0.45  # the stated time is not far too long


def test_an_event_does_not_wait_for_more_than_its_window_and_its_filters(detector, folder):
    """Without filters, an event in the first half window comes with the first window."""
    finder = finder_of(folder)
    samples = tones(1.1)[:, 0]
    for _, pieces in detector.curves([Source("x", "x", samples=tones(5)[:, 0])]):
        expected = [one for one in finder.find(pieces).events if one.offset < 0.5]
    live = LiveDetection(detector, finder, RATE)
    assert live.push(samples[:-1]) == [] and expected
    assert rows(live.push(samples[-1:])) == rows(expected)


class Scores:
    """Stands in for a detector whose scores are random. Frames have 8 samples."""

    def __init__(self, detector):
        self.frontend, self.runner = detector.frontend, detector.runner
        self.window_frames, self.step_frames, self.samples_per_frame = 100, 50, 8
        self.seconds_per_frame = 8 / RATE
        self._rng = np.random.default_rng(0)

    def score(self, samples):
        frames = [len(one) // 8 for one in samples]
        return [
            WindowScores(self._rng.random((n, 2), np.float32), np.ones((n, 2)), np.zeros((n, 1, 4)))
            for n in frames
        ]


def short_filters(folder, lengths):
    """Return a finder for frames of 8 samples, with filters of these lengths in frames."""
    names = ("median_seconds", "min_seconds", "max_gap_seconds")
    filters = {name: np.full(2, n * 8 / RATE) for name, n in zip(names, lengths)}
    limits = np.array([0.5, 0.99])
    point = dataclasses.replace(finder_of(folder).point, frame_thresholds=limits, **filters)
    return EventFinder(point, {label: label for label in LABELS}, 8 / RATE)


def test_boxes_are_not_found_live(detector, folder):
    """Only the next box decides whether a box is complete."""
    finder = finder_of(folder)
    half = np.full(len(LABELS), 0.5)
    boxes = {f"box_{name}": half for name in ("thresholds", "filter_seconds", "merge_absolute")}
    point = dataclasses.replace(finder.point, mode="box", box_merge_relative=half, **boxes)
    with pytest.raises(InputError, match="has the mode box, which live detection does not support"):
        LiveDetection(detector, dataclasses.replace(finder, point=point), RATE)


def test_the_state_does_not_grow(detector, folder):
    live = LiveDetection(Scores(detector), short_filters(folder, (5, 3, 4)), RATE)
    sizes, block, count = [], np.zeros(301, np.float32), 0
    for number in range(1200):
        count += len(live.push(block))
        if number % 8 == 0:
            parts = (live._cutter, live._joiner, live._decoder)
            sizes.append(len(pickle.dumps(parts)))
    assert count > 1000 and max(sizes[75:]) <= max(sizes[:75]) + 64


@pytest.mark.parametrize("lengths", [(1, 0, 0), (5, 3, 4), (31, 1, 0), (1, 1, 60)])
def test_no_event_is_later_than_the_stated_time(detector, folder, lengths):
    """Random scores have events at all places of the windows."""
    live, lags = LiveDetection(Scores(detector), short_filters(folder, lengths), RATE), []
    for _ in range(3000):
        lags += [live.seconds - one.offset for one in live.push(np.zeros(8, np.float32))]
    assert len(lags) > 2 and max(lags) <= live.latency_seconds + 1e-9
    assert max(lags) > 0.7 * live.latency_seconds or len(lags) < 20


def test_the_certain_rows_are_those_of_the_whole():
    """Rows that are released early come from the window that they come from in the end."""
    for num_frames in range(1, 60):
        stream = np.zeros(num_frames * 3, np.float32)
        pairs = [
            (start, [np.full(max(1, len(samples) // 3), number)])
            for number, (start, samples) in enumerate(windows.cut([stream], 10, 5, 3))
        ]
        expected = np.concatenate([rows for (rows,) in windows.join(pairs)])
        cutter, joiner, given, number = windows.Cutter(10, 5, 3), windows.Joiner(), [], 0
        for place in range(len(stream)):
            for _ in cutter.push(stream[place : place + 1]):
                given += joiner.add(*pairs[number])
                number += 1
            given += joiner.release(cutter.earliest_start)
        cutter.finish()
        given += [*joiner.add(*pairs[number]), *joiner.finish()]
        np.testing.assert_array_equal(np.concatenate(given), expected)


@pytest.mark.parametrize("rates", [(48000, 16000), (44100, 16000), (8000, 16000), (11025, 32000)])
def test_resampling_lags_by_no_more_than_the_stated_time(rates):
    resampler, num_given, lags = BlockResampler(*rates), 0, []
    for number in range(1, 400):
        num_given += len(resampler.push(np.zeros(100, np.float32)))
        lags.append(number * 100 / rates[0] - num_given / rates[1])
    assert max(lags) <= resampler.delay_seconds + 100 / rates[0]
    assert num_given + len(resampler.finish()) == -(-39900 * rates[1] // rates[0])


def test_no_sound_has_no_events(model, folder):
    assert list(model.stream([], RATE, operating_point=folder / "plain.yaml")) == []
    assert list(model.stream([np.zeros((0, 2))], RATE)) == []


@pytest.mark.parametrize(
    "blocks, message",
    [
        ([np.zeros(10), np.zeros((10, 2))], "a block with 2 channels; expected 1"),
        ([np.zeros((2, RATE))], "found 16000 channels of 2 samples; .* transpose"),
        ([np.zeros(10, np.int16)], "found int16; expected floating-point"),
        ([np.zeros((2, 2, 2))], "found the shape"),
        ([np.array([0.0, np.nan])], "not finite"),
    ],
)
def test_wrong_blocks(model, blocks, message):
    with pytest.raises(InputError, match=message):
        list(model.stream(blocks, RATE))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"sample_rate": 0}, "sample_rate"),
        ({"sample_rate": RATE, "classes": ["Cow"]}, "no class 'Cow'"),
        ({"sample_rate": RATE, "operating_point": "none.yaml"}, "none.yaml: no such file"),
    ],
)
def test_wrong_arguments_are_found_before_the_first_block(model, arguments, message):
    with pytest.raises(InputError, match=message):
        model.stream([], **arguments)
