"""cutting: the clips of a long recording contain its samples, at the same times."""

import numpy as np
import pytest
import soundfile
from helpers import write_sound
from sounds import RATE, noise

from wsedtk.audio import audio_files, cutting, sound_file
from wsedtk.audio.cutting import Span
from wsedtk.core.errors import InputError


@pytest.mark.parametrize(
    "duration, seconds, expected",
    [
        (30.0, 10.0, [(0, 10), (10, 20), (20, 30)]),
        (12.5, 10.0, [(0, 10), (10, 12.5)]),
        (10.5, 10.0, [(0, 10)]),
        (11.0, 10.0, [(0, 10), (10, 11)]),
        (3.3, 1.1, [(0, 1.1), (1.1, 2.2), (2.2, 3.3)]),
        (0.5, 10.0, [(0, 0.5)]),
    ],
)
def test_spans(duration, seconds, expected):
    assert [tuple(span) for span in cutting.spans(duration, seconds)] == expected


@pytest.mark.parametrize(
    "duration, seconds, hop, expected",
    [
        (12.0, 5.0, 2.5, [(0, 5), (2.5, 7.5), (5, 10), (7.5, 12)]),
        (10.0, 5.0, 2.5, [(0, 5), (2.5, 7.5), (5, 10)]),
        (10.5, 5.0, 2.5, [(0, 5), (2.5, 7.5), (5, 10), (7.5, 10.5)]),
        (12.0, 2.0, 5.0, [(0, 2), (5, 7), (10, 12)]),
        (12.5, 2.0, 5.0, [(0, 2), (5, 7), (10, 12)]),
        (10.5, 2.0, 5.0, [(0, 2), (5, 7)]),
    ],
)
def test_spans_with_a_hop(duration, seconds, hop, expected):
    assert [tuple(span) for span in cutting.spans(duration, seconds, hop)] == expected


@pytest.mark.parametrize("block", [1 << 22, 701])
@pytest.mark.parametrize("channel", [None, 1])
def test_overlapping_parts(tmp_path, monkeypatch, block, channel):
    """Float samples are written with 24 bits."""
    samples = noise(RATE, channels=2)
    soundfile.write(tmp_path / "a.wav", samples, RATE, "FLOAT")
    monkeypatch.setattr(sound_file, "_BLOCK", block)
    parts = [Span(0, 0.5), Span(0.2, 0.7), Span(0.4, 0.9), Span(0.6, 1.0)]
    cutting.cut(tmp_path / "a.wav", parts, lambda p: tmp_path / f"{p.start}.flac", channel)
    whole = samples.mean(axis=1) if channel is None else samples[:, channel]
    for part in parts:
        expected = whole[round(part.start * RATE) : round(part.end * RATE)]
        found, _ = soundfile.read(tmp_path / f"{part.start}.flac")
        assert len(found) == len(expected) and np.abs(found - expected).max() <= 1 / (1 << 23)


def test_a_part_after_the_end(tmp_path):
    write_sound(tmp_path / "a.wav", seconds=1.0)
    with pytest.raises(InputError, match=r"a.wav: breaks off after 1.000 s, before the end"):
        cutting.cut(tmp_path / "a.wav", [Span(0, 1), Span(1, 2)], lambda p: tmp_path / "b.flac")


@pytest.mark.parametrize("block", [1 << 22, 7001])
def test_the_clips_contain_the_samples(tmp_path, monkeypatch, block):
    """Whatever the blocks are, joined clips are the mean of the channels."""
    samples = noise(3 * RATE + RATE // 2, channels=2)
    soundfile.write(tmp_path / "long.wav", samples, RATE, "FLOAT")
    monkeypatch.setattr(sound_file, "_BLOCK", block)
    parts = cutting.spans(3.5, 1.0)
    assert parts == [Span(0, 1), Span(1, 2), Span(2, 3)]
    assert cutting.cut(tmp_path / "long.wav", parts, lambda p: tmp_path / f"{p.start}.flac") == []
    found = [audio_files.read(tmp_path / f"{part.start}.flac") for part in parts]
    assert [rate for _, rate in found] == [RATE] * 3
    whole = samples.mean(axis=1)[: 3 * RATE]
    assert np.abs(np.concatenate([part for part, _ in found]) - whole).max() <= 1 / (1 << 15)
    # A part with a gap before it.
    cutting.cut(tmp_path / "long.wav", [Span(2.25, 3.5)], lambda _: tmp_path / "end.flac")
    end = audio_files.read(tmp_path / "end.flac")[0]
    expected = samples.mean(axis=1)[round(2.25 * RATE) :]
    assert np.abs(end - expected).max() <= 1 / (1 << 15) and len(end) == len(expected)


def test_a_rate_that_flac_lacks(tmp_path):
    write_sound(tmp_path / "fast.wav", seconds=0.1, sample_rate=800_000)
    with pytest.raises(InputError, match=r"fast.wav: can't be cut.* 800000 Hz.*convert it"):
        cutting.cut(tmp_path / "fast.wav", [Span(0, 0.05)], lambda _: tmp_path / "a.flac")
