"""Recordings of a bank mixed into soundscapes."""

import numpy as np

from wsedtk.audio import audio_files
from wsedtk.core.errors import InputError
from wsedtk.core.progress import progress, say

CLIP_SECONDS = 10
RATIO_DB = (0.0, 20.0)  # RMS of an event over the RMS of its background
BACKGROUND_DB = (-38.0, -28.0)  # RMS, relative to full scale
MAX_PEAK = 0.95
EVENT_SECONDS = (
    2.0,
    6.0,
)  # a longer event is cut to a random length in here: else all engines would last 5 s
BACKGROUND_DB = (-38.0, -28.0)  # RMS, relative to full scale
MAX_PEAK = 0.95
EVENT_SECONDS = (
    2.0,
    6.0,
)  # a longer event is cut to a random length in here: else all engines would last 5 s
MAX_PEAK = 0.95
EVENT_SECONDS = (
    2.0,
    6.0,
)  # a longer event is cut to a random length in here: else all engines would last 5 s
SAME_CLASS_GAP_SECONDS = (
    0.25  # least silence between two events of a class: closer ones would be heard as one
)
FRAME_SECONDS = 0.02
AUDIBLE_DB = 30.0  # a frame is audible down to this far below the recording's loudest frame,
FLOOR_DB = -60.0  # and above this RMS, relative to full scale
PAUSE_SECONDS = 1.0  # a longer silence separates two events
SHORTEST_SECONDS = (
    0.1  # a shorter stretch of sound is a click beside the event, unless there is nothing else
)
EVENT_FADE_SECONDS = 0.005
LOOP_FADE_SECONDS = 0.5


def audible(samples, sample_rate):
    """Find the stretches of sound in a recording: [(first sample, end sample)], none where it is silent.

    A stretch holds no silence longer than PAUSE_SECONDS, and begins and ends with an audible frame (see AUDIBLE_DB, FLOOR_DB).
    """
    frame = round(FRAME_SECONDS * sample_rate)
    frames = np.pad(samples, (0, -len(samples) % frame)).reshape(-1, frame)  # (num_frames, frame)
    level = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    loud = np.flatnonzero(level > max(level.max() - AUDIBLE_DB, FLOOR_DB))
    if not len(loud):
        return []
    pieces = np.split(loud, np.flatnonzero(np.diff(loud) > PAUSE_SECONDS / FRAME_SECONDS) + 1)
    stretches = [(int(p[0]) * frame, min(int(p[-1] + 1) * frame, len(samples))) for p in pieces]
    return [s for s in stretches if s[1] - s[0] >= SHORTEST_SECONDS * sample_rate] or [
        max(stretches, key=lambda s: s[1] - s[0])
    ]


def load(pools, sample_rate):
    """Read the recordings of pools: {path: stretches of sound}. Raises InputError naming a broken or silent one."""
    paths = {
        r.path
        for pool in pools
        for recordings in [*pool.events.values(), pool.backgrounds]
        for r in recordings
    }
    sounds = {}
    for path in progress(sorted(paths), "reading the bank"):
        remarks = []
        samples, _ = audio_files.read(path, sample_rate, remarks=remarks)
        for remark in remarks:
            say(f"warning: {path}: {remark}")
        samples = samples - samples.mean()  # a constant offset is no sound
        stretches = audible(samples, sample_rate)
        if not stretches:
            raise InputError(
                f"{path}: silent: no {FRAME_SECONDS:g} s of it is louder than {FLOOR_DB:g} dB below full scale; "
                "replace it or take it out of the bank"
            )
        sounds[path] = [samples[start:end] for start, end in stretches]
    return sounds


def _rms(samples):
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def _bed(samples, length, rng, sample_rate):
    """`length` samples of a background from a random position; a shorter one is looped with a crossfade of equal power."""
    if len(samples) < length:
        fade = min(int(LOOP_FADE_SECONDS * sample_rate), len(samples) // 4)
        angle = np.linspace(0, np.pi / 2, fade)
        period = samples[: len(samples) - fade].copy()
        period[:fade] = samples[:fade] * np.sin(angle) + samples[len(samples) - fade :] * np.cos(
            angle
        )
        samples = np.tile(period, length // len(period) + 2)
        start = rng.integers(len(period))
    else:
        start = rng.integers(len(samples) - length + 1)
    return samples[start : start + length]


def _event(samples, rng, sample_rate):
    """One event of RMS 1: a stretch of sound, or where it is long a random part of it, with short fades."""
    longest = int(rng.uniform(*EVENT_SECONDS) * sample_rate)
    if len(samples) > longest:
        start = rng.integers(len(samples) - longest + 1)
        samples = samples[start : start + longest]
        ends = audible(samples, sample_rate)  # the cut may begin or end in a pause
        samples = samples[ends[0][0] : ends[-1][1]] if ends else samples
    fade = min(int(EVENT_FADE_SECONDS * sample_rate), len(samples) // 2)
    gain = np.ones(len(samples))
    gain[:fade] = np.linspace(0, 1, fade)
    gain[len(gain) - fade :] = np.linspace(1, 0, fade)
    return samples * gain / _rms(samples)


def mix(pool, classes, sounds, rng, sample_rate):
    """Mix one soundscape of events of the given classes (indices into the pool's sorted classes).

    Returns (samples (CLIP_SECONDS * sample_rate,), events [(first sample, end sample, class index)]). An event that finds no
    place beside others of its class is left out.
    """

    def pick(items):
        return items[rng.integers(len(items))]

    length, labels, gap = (
        CLIP_SECONDS * sample_rate,
        sorted(pool.events),
        SAME_CLASS_GAP_SECONDS * sample_rate,
    )
    stretches = sounds[pick(pool.backgrounds).path]
    bed = _bed(max(stretches, key=len), length, rng, sample_rate)
    bed_rms = 10 ** (rng.uniform(*BACKGROUND_DB) / 20)
    out, events = bed * (bed_rms / max(_rms(bed), 1e-6)), []
    for k in classes:
        event = _event(pick(sounds[pick(pool.events[labels[k]]).path]), rng, sample_rate)
        gain = bed_rms * 10 ** (rng.uniform(*RATIO_DB) / 20)
        for start in rng.integers(length - len(event) + 1, size=100).tolist():
            end = start + len(event)
            if all(end + gap <= s or e + gap <= start for s, e, other in events if other == k):
                out[start:end] += gain * event
                events.append((start, end, k))
                break
    return out * min(1, MAX_PEAK / np.abs(out).max()), events
