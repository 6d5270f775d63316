"""Synthesise a sound bank, for training without recordings.

    <folder>/<class>/<fold>-<id>-A.flac     as in ESC-10 and ESC-50; each recording has a unique id

The bank has seven event classes and three background classes. One formula generates all recordings
of a class. Pitch, tempo, timbre, length and reverberation are random for each recording.

Shapes: n samples of a recording.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.interpolate
import scipy.signal

from wsedtk.audio import audio_files
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.progress import progress
from wsedtk.data.folders import look

FADE_SECONDS = 0.01
BACKGROUNDS_PER_FOLD = 3
TOP = 0.45  # maximum frequency as a fraction of the sample rate, to prevent aliasing

Samples = npt.NDArray[np.float64]
Formula = Callable[[np.random.Generator, int], Samples]


def _seconds(n: int, sample_rate: int) -> Samples:
    """Return the time of each sample (n,) in seconds."""
    return np.arange(n) / sample_rate


def _length(rng: np.random.Generator, shortest: float, longest: float, sample_rate: int) -> int:
    """Return a random length in samples. Its limits `shortest` and `longest` are in seconds."""
    return int(rng.uniform(shortest, longest) * sample_rate)


def _harmonics(
    frequency: Samples,
    strengths: Sequence[float] | Samples,
    rng: np.random.Generator,
    sample_rate: int,
) -> Samples:
    """Return the sum (n,) of harmonics.

    `frequency` is the fundamental frequency in Hz at each sample (n,). strengths[k - 1] is the
    amplitude of the k-th harmonic. A harmonic is omitted if its frequency exceeds TOP * sample_rate
    at any sample.
    """
    phase = 2 * np.pi * np.cumsum(frequency) / sample_rate
    out, highest = np.zeros(len(frequency)), TOP * sample_rate / frequency.max()
    for k, strength in enumerate(strengths, 1):
        if k <= highest:
            out += strength * np.sin(k * phase + rng.uniform(0, 2 * np.pi))
    return out


def _falling(count: int, slope: float) -> Samples:
    """Return the amplitudes 1 / k^slope of `count` harmonics."""
    amplitudes: Samples = np.arange(1, count + 1) ** np.float64(-slope)
    return amplitudes


def _noise(rng: np.random.Generator, n: int, low: float, high: float, sample_rate: int) -> Samples:
    """Return noise (n,) with RMS 1, band-pass filtered between two frequencies in Hz.

    The slopes of the filter are 12 dB per octave.
    """
    band = [low, min(high, TOP * sample_rate)]
    out: Samples = scipy.signal.sosfilt(
        scipy.signal.butter(2, band, "bandpass", fs=sample_rate, output="sos"),
        rng.standard_normal(n),
    )
    normalised: Samples = out / np.sqrt(np.mean(out**2))
    return normalised


def _wander(rng: np.random.Generator, n: int, rate: float, sample_rate: int) -> Samples:
    """Return a smooth random curve (n,) with values from 0 to 1.

    The curve goes through `rate` random values per second. It is clipped to the range from 0 to 1.
    """
    points = rng.random(int(n / sample_rate * rate) + 5)
    where = np.arange(n) / sample_rate * rate + 1
    curve = scipy.interpolate.CubicSpline(np.arange(len(points)), points)(where)
    clipped: Samples = np.clip(curve, 0, 1)
    return clipped


def _room(samples: Samples, rng: np.random.Generator, sample_rate: int) -> Samples:
    """Add a faint reverberation that decays by 60 dB in 0.05 to 0.3 s, and tilt the spectrum."""
    n = _length(rng, 0.05, 0.3, sample_rate)
    response = rng.standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
    response *= rng.uniform(0, 0.4) / np.sqrt(np.sum(response**2))
    response[0] = 1
    out = scipy.signal.fftconvolve(samples, response)[: len(samples)]
    tilted: Samples = scipy.signal.lfilter([1, rng.uniform(-0.4, 0.4)], [1], out)
    return tilted


def _siren(rng: np.random.Generator, sample_rate: int) -> Samples:
    """Return a harmonic tone that sweeps up and down, slowly (wail) or quickly (yelp)."""
    n = _length(rng, 1.5, 4, sample_rate)
    period = rng.uniform(0.8, 3)
    cycle = (_seconds(n, sample_rate) / period + rng.random()) % 1
    rise = rng.uniform(0.3, 0.6)  # fraction of the period in which the pitch rises
    sweep = np.where(cycle < rise, cycle / rise, (1 - cycle) / (1 - rise))
    frequency = rng.uniform(450, 700) * 2 ** (rng.uniform(0.8, 1.3) * np.sin(sweep * np.pi / 2))
    return _harmonics(frequency, _falling(8, rng.uniform(1, 1.8)), rng, sample_rate)


def _reversing_beeps(rng: np.random.Generator, sample_rate: int) -> Samples:
    """Return two to five equal beeps. The pauses are about as long as the beeps."""
    beep = _length(rng, 0.25, 0.5, sample_rate)
    pause, count = int(beep * rng.uniform(0.8, 1.2)), int(rng.integers(2, 6))
    tone = _harmonics(
        np.full(beep, rng.uniform(1000, 1600)), [1, *rng.uniform(0, 0.15, 2)], rng, sample_rate
    )
    tone = _fade(tone, sample_rate)
    return np.concatenate([np.pad(tone, (0, pause))] * (count - 1) + [tone])


def _air_horn(rng: np.random.Generator, sample_rate: int) -> Samples:
    """Return two low notes, a third or a fourth apart, with many harmonics and a soft onset."""
    n = _length(rng, 0.5, 2.5, sample_rate)
    fundamental, interval = (
        rng.uniform(180, 330),
        rng.choice([1.19, 1.26, 1.335]) * rng.uniform(0.99, 1.01),
    )
    bend = 1 - 0.04 * np.exp(
        -_seconds(n, sample_rate) / 0.06
    )  # the pitch rises at the onset, together with the air pressure
    slope = rng.uniform(0.4, 0.9)
    notes = sum(
        _harmonics(fundamental * ratio * bend, _falling(24, slope), rng, sample_rate)
        for ratio in (1, interval)
    )
    return notes * (1 - np.exp(-_seconds(n, sample_rate) / 0.03)) + 0.05 * _noise(
        rng, n, 500, 6000, sample_rate
    )


def _bell(rng: np.random.Generator, sample_rate: int) -> Samples:
    """Return one to three strokes of a bell, with inharmonic partials that decay."""
    ratios = np.array(
        [0.5, 1, 1.183, 1.506, 2, 2.514, 2.662, 3.011, 4.166, 5.43, 6.8]
    ) * rng.uniform(0.99, 1.01, 11)
    frequencies = ratios * rng.uniform(400, 1000)
    frequencies = frequencies[frequencies < TOP * sample_rate]
    strengths, decay = rng.uniform(0.3, 1, len(frequencies)), rng.uniform(0.4, 1)
    gap, strokes = _length(rng, 0.5, 0.9, sample_rate), int(rng.integers(1, 4))
    ring = _length(rng, 0.8, 1.8, sample_rate)
    time = _seconds(ring, sample_rate)
    out = np.zeros(gap * (strokes - 1) + ring)
    for stroke in range(strokes):
        sound = sum(
            a
            * np.sin(2 * np.pi * f * time + rng.uniform(0, 6))
            * np.exp(-time / (decay * (frequencies[0] / f) ** 0.6))
            for f, a in zip(frequencies, strengths)
        )
        out[stroke * gap : stroke * gap + ring] += sound * rng.uniform(0.7, 1)
    return out


def _engine(rng: np.random.Generator, sample_rate: int) -> Samples:
    """Return harmonics of a low, changing firing rate, and noise that pulses at half this rate."""
    n = _length(rng, 1.5, 4, sample_rate)
    firing = rng.uniform(28, 70) * (
        1 + rng.uniform(0.1, 0.8) * _wander(rng, n, rng.uniform(0.5, 1.5), sample_rate)
    )
    strengths = _falling(30, rng.uniform(0.5, 1)) * rng.uniform(0.3, 1, 30)
    # There is one pulse per revolution, and the engine fires twice per revolution.
    pulses = 0.5 + 0.5 * np.sin(np.pi * np.cumsum(firing) / sample_rate)
    noise = _noise(rng, n, 80, rng.uniform(500, 1500), sample_rate)
    return (
        _harmonics(firing, strengths, rng, sample_rate) * (0.5 + 0.5 * pulses)
        + rng.uniform(0.4, 1) * noise * pulses**2
    )


def _scream(rng: np.random.Generator, sample_rate: int) -> Samples:
    """Return a high voice with vibrato, three formants and breath. Its pitch rises, then falls."""
    n = _length(rng, 0.6, 2, sample_rate)
    time = _seconds(n, sample_rate) / (n / sample_rate)  # from 0 to 1
    knots = [0, rng.uniform(0.1, 0.3), rng.uniform(0.6, 0.9), 1]
    shape = np.interp(time, knots, [0, 1, rng.uniform(0.8, 1), rng.uniform(0, 0.6)])
    vibrato = rng.uniform(0.01, 0.05) * np.sin(
        2 * np.pi * rng.uniform(5, 9) * _seconds(n, sample_rate)
    )
    base = rng.uniform(750, 1300)
    frequency = (
        base * (0.75 + 0.35 * shape) * (1 + vibrato + 0.03 * _wander(rng, n, 12, sample_rate))
    )
    at = base * np.arange(1, 11)
    formants = [rng.uniform(1100, 1600), rng.uniform(2600, 3400), rng.uniform(4000, 5200)]
    low, middle, high = (np.exp(-(((at - f) / 500) ** 2)) for f in formants)
    strengths = 0.05 + (low + middle + high)
    voice = _harmonics(frequency, strengths, rng, sample_rate) * (
        1 + 0.4 * _wander(rng, n, 40, sample_rate)
    )
    breath = rng.uniform(0.1, 0.4) * _noise(rng, n, 2000, 6000, sample_rate)
    return (voice + breath) * np.interp(time, [0, 0.1, 0.8, 1], [0.1, 1, 0.8, 0.1])


def _car_alarm(rng: np.random.Generator, sample_rate: int) -> Samples:
    """Return two tones in fast alternation, or upward chirps, with the timbre of a square wave."""
    n = _length(rng, 1.5, 4, sample_rate)
    cycle = (_seconds(n, sample_rate) * rng.uniform(3, 7)) % 1
    low = rng.uniform(900, 1300)
    if rng.random() < 0.5:
        frequency = np.where(cycle < 0.5, low, low * rng.uniform(1.25, 1.6))
    else:
        frequency = low * 2 ** (rng.uniform(0.8, 1.3) * cycle)
    square = [1 / k if k % 2 else 0.1 for k in range(1, 12)]
    return _harmonics(frequency, square, rng, sample_rate)


def _rain(rng: np.random.Generator, sample_rate: int) -> Samples:
    """Return a high hiss with a slowly changing level, and short clicks of random level (drops)."""
    n = _length(rng, 6, 9, sample_rate)
    hiss = _noise(rng, n, rng.uniform(600, 1500), 7500, sample_rate) * (
        0.8 + 0.4 * _wander(rng, n, 0.7, sample_rate)
    )
    drops = (rng.random(n) < rng.uniform(20, 120) / sample_rate) * rng.exponential(1, n)
    click = np.exp(-np.arange(100) / 15) * np.cos(
        2 * np.pi * rng.uniform(1500, 4000) / sample_rate * np.arange(100)
    )
    rain: Samples = hiss + rng.uniform(1, 3) * scipy.signal.fftconvolve(drops, click)[:n]
    return rain


def _wind(rng: np.random.Generator, sample_rate: int) -> Samples:
    """Return a low rumble in gusts, with a faint whistle that follows the gusts."""
    n = _length(rng, 6, 9, sample_rate)
    gusts = 0.25 + _wander(rng, n, rng.uniform(0.4, 1), sample_rate) ** 1.5
    rumble = _noise(rng, n, 40, rng.uniform(200, 450), sample_rate)
    centre = rng.uniform(400, 900)
    whistle = _noise(rng, n, centre * 0.85, centre * 1.15, sample_rate)
    return rumble * gusts + rng.uniform(0.05, 0.25) * whistle * gusts**2


def _traffic(rng: np.random.Generator, sample_rate: int) -> Samples:
    """Return the hum of a distant road, and swells of brighter noise (passing cars)."""
    n = _length(rng, 6, 9, sample_rate)
    out = _noise(rng, n, 50, rng.uniform(300, 600), sample_rate) * (
        0.8 + 0.4 * _wander(rng, n, 0.5, sample_rate)
    )
    for _ in range(rng.integers(2, 5)):
        centre, width = rng.uniform(0, n / sample_rate), rng.uniform(0.5, 1.3)
        swell = np.exp(-(((_seconds(n, sample_rate) - centre) / width) ** 2))
        out += (
            rng.uniform(0.4, 1) * swell * _noise(rng, n, 150, rng.uniform(1200, 2500), sample_rate)
        )
    return out


_EVENT_CLASSES: dict[str, Formula] = {
    "Air horn, truck horn": _air_horn,  # contains a comma, like some labels of DCASE 2017
    "Bell": _bell,
    "Car alarm": _car_alarm,
    "Engine": _engine,
    "Reversing beeps": _reversing_beeps,
    "Scream": _scream,
    "Siren": _siren,
}
_BACKGROUND_CLASSES: dict[str, Formula] = {"Rain": _rain, "Traffic": _traffic, "Wind": _wind}
EVENT_CLASSES = tuple(_EVENT_CLASSES)
BACKGROUNDS = tuple(_BACKGROUND_CLASSES)


def _fade(samples: Samples, sample_rate: int) -> Samples:
    """Fade in and out over FADE_SECONDS."""
    ramp = np.sin(np.linspace(0, np.pi / 2, int(FADE_SECONDS * sample_rate))) ** 2
    samples = samples.copy()
    samples[: len(ramp)] *= ramp
    samples[-len(ramp) :] *= ramp[::-1]
    return samples


def synthesise(
    folder: PathLike,
    seed: int,
    recordings_per_fold: int = 5,
    folds: int = 4,
    sample_rate: int = 16000,
) -> None:
    """Write the bank, and replace the output of an earlier call.

    Parameters
    ----------
    folder : path-like
        The folder to write.
    seed : int
        Seed of all random choices. The same seed gives identical files.
    recordings_per_fold : int
        Number of recordings of each event class in a fold. For each background class, this number
        is BACKGROUNDS_PER_FOLD.
    folds : int
        Number of folds.
    sample_rate : int
        The sample rate in Hz.

    Raises
    ------
    InputError
        If the folder contains folders that are not classes of the bank, or if a file can't be
        written. Folders whose names begin with a dot are ignored.
    """
    folder, written = Path(folder), set()
    formulas = _EVENT_CLASSES | _BACKGROUND_CLASSES
    folders = [name for name in look(folder)[0] if name[0] != "."] if os.path.isdir(folder) else []
    strangers = sorted(set(folders) - set(formulas))
    if strangers:
        raise InputError(
            f"{folder}: contains the folder {strangers[0]!r}, which is not a class of the built-in "
            f"bank; choose another DATA_DIR, or give {folder} as BANK_DIR instead of builtin"
        )
    items = [
        (c, name, fold, k)
        for c, name in enumerate(formulas)
        for fold in range(1, folds + 1)
        for k in range(BACKGROUNDS_PER_FOLD if name in BACKGROUNDS else recordings_per_fold)
    ]
    for c, name, fold, k in progress(items, "synthesising the bank"):
        rng = np.random.default_rng((seed, c, fold, k))
        samples = _fade(_room(formulas[name](rng, sample_rate), rng, sample_rate), sample_rate)
        path = folder / name / f"{fold}-{(c + 1) * 1_000_000 + fold * 1000 + k}-A.flac"
        audio_files.write(
            path, samples * rng.uniform(0.3, 0.9) / np.abs(samples).max(), sample_rate
        )
        written.add(path)
    for name in formulas:
        for path in folder.glob(f"{name}/*-A.flac"):
            if path not in written:
                path.unlink()
