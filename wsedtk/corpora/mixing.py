"""Mix recordings of a sound bank into soundscapes."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsedtk.audio import audio_files
from wsedtk.core.errors import InputError
from wsedtk.core.progress import progress
from wsedtk.core.types import Floats
from wsedtk.corpora.sound_bank import Pool

_LOG = logging.getLogger(__name__)


CLIP_SECONDS = 10
RATIO_DB = (0.0, 20.0)  # range of the level (RMS) of an event, relative to its background
BACKGROUND_DB = (-38.0, -28.0)  # range of the level (RMS) of a background, relative to full scale
MAX_PEAK = 0.95
# The maximum duration of an event is drawn from this range, and longer events are cut. Without a
# maximum, a continuous sound, such as an engine, would last as long as its recording.
EVENT_SECONDS = (2.0, 6.0)
# The minimum gap between two events of a class. Listeners hear two events with a shorter gap as one
# event.
SAME_CLASS_GAP_SECONDS = 0.25
MAX_TRIES = 100  # maximum number of random positions that are tried for an event
# A frame is audible if its level (RMS, relative to full scale) exceeds both FLOOR_DB and the level
# of the loudest frame minus AUDIBLE_DB.
FRAME_SECONDS = 0.02
AUDIBLE_DB = 30.0
FLOOR_DB = -60.0
PAUSE_SECONDS = 1.0  # a silence of this duration or more separates two stretches of sound
SHORTEST_SECONDS = 0.1  # shorter stretches are probably clicks, and are dropped (see `audible`)
EVENT_FADE_SECONDS = 0.005
LOOP_FADE_SECONDS = 0.5

Samples = npt.NDArray[np.float64]
Sounds = dict[Path, list[Samples]]
"""The audible stretches of each recording, by the path of the recording."""


class Stretch(NamedTuple):
    """A part of a recording: its start and end in samples. The end is exclusive."""

    start: int
    end: int


class MixedEvent(NamedTuple):
    """An event of a soundscape: its start and end in samples, and the index of its class."""

    start: int
    end: int
    label: int


class Soundscape(NamedTuple):
    """The samples of a soundscape, and its events."""

    samples: Samples
    events: list[MixedEvent]


def audible(samples: Floats, sample_rate: int) -> list[Stretch]:
    """Find the stretches of sound in a recording or in a part of a recording.

    A stretch begins and ends with an audible frame (see AUDIBLE_DB and FLOOR_DB). A silence of
    PAUSE_SECONDS or more ends a stretch. Stretches that are shorter than SHORTEST_SECONDS are
    dropped. If all stretches are shorter, the longest stretch is returned.

    Parameters
    ----------
    samples : (S,) float
        The recording or the part.
    sample_rate : int
        The sample rate in Hz.

    Returns
    -------
    list of Stretch
        The stretches, in the order of time. The list is empty if no frame is audible.
    """
    frame = round(FRAME_SECONDS * sample_rate)
    frames = np.pad(samples, (0, -len(samples) % frame)).reshape(-1, frame)  # (num_frames, frame)
    level = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    loud = np.flatnonzero(level > max(level.max() - AUDIBLE_DB, FLOOR_DB))
    if not len(loud):
        return []
    pieces = np.split(loud, np.flatnonzero(np.diff(loud) > PAUSE_SECONDS / FRAME_SECONDS) + 1)
    stretches = [
        Stretch(int(piece[0]) * frame, min(int(piece[-1] + 1) * frame, len(samples)))
        for piece in pieces
    ]
    long_enough = [s for s in stretches if s.end - s.start >= SHORTEST_SECONDS * sample_rate]
    return long_enough or [max(stretches, key=lambda s: s.end - s.start)]


def load(pools: Iterable[Pool], sample_rate: int) -> Sounds:
    """Read all recordings of pools, and return their audible stretches.

    Parameters
    ----------
    pools : iterable of Pool
        The pools of recordings.
    sample_rate : int
        The sample rate in Hz to which the recordings are resampled.

    Raises
    ------
    InputError
        If a recording is unreadable or silent.
    """
    paths = {
        recording.path
        for pool in pools
        for recordings in [*pool.events.values(), pool.backgrounds]
        for recording in recordings
    }
    sounds = {}
    for path in progress(sorted(paths), "reading the bank"):
        remarks: list[str] = []
        samples, _ = audio_files.read(path, sample_rate, remarks=remarks)
        for remark in remarks:
            _LOG.warning(f"{path}: {remark}")
        samples = samples - samples.mean()  # a constant offset is inaudible, but raises the RMS
        stretches = audible(samples, sample_rate)
        if not stretches:
            raise InputError(
                f"{path}: is silent: no frame of {FRAME_SECONDS:g} s has an RMS above "
                f"{FLOOR_DB:g} dB (full scale is 0 dB); replace the recording, or remove it from "
                "the bank"
            )
        sounds[path] = [samples[start:end] for start, end in stretches]
    return sounds


def _rms(samples: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def _background(
    samples: Samples, length: int, rng: np.random.Generator, sample_rate: int
) -> Samples:
    """Return `length` samples of a background, beginning at a random position.

    If the background has fewer samples, it is looped with an equal-power crossfade.
    """
    if len(samples) < length:
        fade = min(int(LOOP_FADE_SECONDS * sample_rate), len(samples) // 4)
        angle = np.linspace(0, np.pi / 2, fade)
        kept = len(samples) - fade
        period = samples[:kept].copy()
        period[:fade] = samples[:fade] * np.sin(angle) + samples[kept:] * np.cos(angle)
        samples = np.tile(period, length // len(period) + 2)
        start = rng.integers(len(period))
    else:
        start = rng.integers(len(samples) - length + 1)
    return samples[start : start + length]


def _event(samples: Samples, rng: np.random.Generator, sample_rate: int) -> Samples:
    """Return a stretch of sound that is scaled to an RMS of 1, then faded in and out.

    If the stretch is longer than a random duration (see EVENT_SECONDS), return a random part of it.
    """
    longest = int(rng.uniform(*EVENT_SECONDS) * sample_rate)
    if len(samples) > longest:
        start = rng.integers(len(samples) - longest + 1)
        samples = samples[start : start + longest]
        ends = audible(samples, sample_rate)  # the part may begin or end with silence
        if ends:
            samples = samples[ends[0].start : ends[-1].end]
    fade = min(int(EVENT_FADE_SECONDS * sample_rate), len(samples) // 2)
    gain = np.ones(len(samples))
    gain[:fade] = np.linspace(0, 1, fade)
    gain[len(gain) - fade :] = np.linspace(1, 0, fade)
    return samples * gain / _rms(samples)


def mix(
    pool: Pool,
    classes: Sequence[int],
    sounds: Sounds,
    rng: np.random.Generator,
    sample_rate: int,
) -> Soundscape:
    """Mix one soundscape.

    An event is omitted if each of MAX_TRIES random positions is too close to another event of the
    same class.

    Parameters
    ----------
    pool : Pool
        The recordings to draw from.
    classes : sequence of int
        The class of each event, as an index into the sorted class names of the pool.
    sounds : dict of Path to list of (S,) float
        The result of `load`.
    rng : Generator
        The source of all random choices.
    sample_rate : int
        The sample rate in Hz.

    Returns
    -------
    Soundscape
        Its samples have the shape (CLIP_SECONDS * sample_rate,).
    """
    length, labels = CLIP_SECONDS * sample_rate, sorted(pool.events)
    gap = SAME_CLASS_GAP_SECONDS * sample_rate
    recording = pool.backgrounds[int(rng.integers(len(pool.backgrounds)))]
    background = _background(max(sounds[recording.path], key=len), length, rng, sample_rate)
    background_rms = 10 ** (rng.uniform(*BACKGROUND_DB) / 20)
    mixed = background * (background_rms / max(_rms(background), 1e-6))
    events: list[MixedEvent] = []
    for label in classes:
        recordings = pool.events[labels[label]]
        stretches = sounds[recordings[int(rng.integers(len(recordings)))].path]
        event = _event(stretches[rng.integers(len(stretches))], rng, sample_rate)
        gain = background_rms * 10 ** (rng.uniform(*RATIO_DB) / 20)
        others = [other for other in events if other.label == label]
        for start in rng.integers(length - len(event) + 1, size=MAX_TRIES).tolist():
            end = start + len(event)
            if all(end + gap <= other.start or other.end + gap <= start for other in others):
                mixed[start:end] += gain * event
                events.append(MixedEvent(start, end, label))
                break
    return Soundscape(mixed * min(1, MAX_PEAK / np.abs(mixed).max()), events)
