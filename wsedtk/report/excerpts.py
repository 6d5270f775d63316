"""Make pictures and sounds of excerpts of recordings, for the pages of `review`.

In shapes, S is the number of samples, W the number of columns of a picture, F the number of its
rows (mel bins), and D the number of FFT bins.
"""

import contextlib
import functools
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from wsedtk.audio import audio_files
from wsedtk.audio.channel_mean import mean_of_channels
from wsedtk.audio.cutting import Span, read_parts
from wsedtk.audio.frontend import FrontendConfig
from wsedtk.audio.mel import mel_edges
from wsedtk.audio.sound_file import Sound
from wsedtk.core.errors import InputError
from wsedtk.core.types import Floats

_NUM_ROWS = 128
_COLUMNS_PER_SECOND = 120
_FEWEST_COLUMNS, _MOST_COLUMNS = 240, 1000
_WINDOW_SECONDS = 0.02
_QUALITY = 55  # of the WebP picture, from 0 to 100
# The range from black to white: from the level that a tenth of the picture exceeds not, to the
# highest levels, but within these limits in dB.
_LEAST_DB, _MOST_DB = 30.0, 80.0
_SOUND_RATES = (16000, 24000)  # Hz; the lower one for recordings with a lower sample rate
_COMPRESSIONS = (0.85, 0.7)  # 32 and 56 kbit/s
# Samples that the encoder (576) and decoders (529) add at the beginning of a sound.
_MP3_DELAY = 1105
_PEAK = 0.8
_MOST_GAIN = 16.0  # quiet excerpts are amplified by at most this factor
_TICKS_HZ = 1000 * 2.0 ** np.arange(-1, 8)


class Part(NamedTuple):
    """Excerpts of a recording.

    Attributes
    ----------
    path : Path
    channel : int or None
        The channel, from 0. None for the mean of all channels.
    spans : sequence of Span
        The times of the excerpts, sorted by their start.
    """

    path: Path
    channel: int | None
    spans: Sequence[Span]


class Excerpt(NamedTuple):
    """An excerpt of a recording.

    Attributes
    ----------
    start, end : float
        The times in seconds from the start of the recording.
    picture : bytes
        The spectrogram as a WebP file.
    sound : bytes
        The sound as an MP3 file.
    ticks : list of (float, str)
        The ticks of the frequency axis: the height from 0 to 1, and the frequency in kHz.
    """

    start: float
    end: float
    picture: bytes
    sound: bytes
    ticks: list[tuple[float, str]]


def read(part: Part) -> list[Excerpt | None] | str:
    """Read excerpts of a recording.

    Returns
    -------
    list of Excerpt or None, or str
        The excerpts. None for an excerpt that begins after the end of the recording. If the
        recording can't be read, the reason.
    """
    found: list[Excerpt | None] = [None] * len(part.spans)
    try:
        with Sound(part.path) as sound, contextlib.closing(sound.blocks()) as blocks:
            rate = sound.samplerate
            if part.channel is not None and part.channel >= sound.channels:
                return f"{part.path}: has no channel {part.channel + 1}"
            for number, samples in read_parts(blocks, rate, part.spans):
                channel = part.channel
                mono = mean_of_channels(samples) if channel is None else samples[:, channel]
                start = part.spans[number].start
                found[number] = _excerpt(mono, rate, start)
    except InputError as error:
        return str(error)
    return found


def _excerpt(samples: Floats, sample_rate: int, start: float) -> Excerpt:
    """Return the excerpt with these samples (S,)."""
    return Excerpt(
        start,
        round(start + len(samples) / sample_rate, 6),
        _picture(samples, sample_rate),
        _sound(samples, sample_rate),
        _ticks(sample_rate),
    )


def _sound(samples: Floats, sample_rate: int) -> bytes:
    """Return samples (S,) as MP3. Quiet samples are amplified.

    The first samples are left out, so that the decoded sound is in time with the picture.
    """
    number = int(sample_rate > _SOUND_RATES[0])
    rate = _SOUND_RATES[number]
    gain = min(_MOST_GAIN, _PEAK / max(float(np.abs(samples).max(initial=0)), 1e-9))
    resampled = audio_files.resample(np.asarray(samples, np.float32), sample_rate, rate)
    least = 2 * _MP3_DELAY  # an MP3 file of fewer samples can be empty
    padded = np.pad(resampled, (0, max(0, least - len(resampled))))
    return audio_files.mp3(padded[_MP3_DELAY:] * gain, rate, _COMPRESSIONS[number])


def _picture(samples: Floats, sample_rate: int) -> bytes:
    """Return the log-mel spectrogram of samples (S,) as a WebP file."""
    levels = _levels(samples, sample_rate)
    low, high = np.quantile(levels, [0.1, 0.9995])
    low = max(min(low, high - _LEAST_DB), high - _MOST_DB)
    indices = np.clip((levels - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(_colors()[indices.T[::-1]]).save(buffer, "WEBP", quality=_QUALITY)
    return buffer.getvalue()


def _levels(samples: Floats, sample_rate: int) -> Floats:
    """Return the levels (W, F) of samples (S,) in dB. The columns are equally spaced in time."""
    seconds = len(samples) / sample_rate
    num_columns = min(max(round(_COLUMNS_PER_SECOND * seconds), _FEWEST_COLUMNS), _MOST_COLUMNS)
    num_fft = 1 << round(np.log2(max(16.0, _WINDOW_SECONDS * sample_rate)))
    centres = (np.arange(num_columns) + 0.5) * len(samples) / num_columns
    padded = np.pad(samples, (num_fft // 2, num_fft))
    windows = np.lib.stride_tricks.sliding_window_view(padded, num_fft)[centres.astype(int)]
    spectrum = np.fft.rfft(windows * np.hanning(num_fft), axis=1)  # (W, D)
    power = (np.abs(spectrum) ** 2) @ _filters(sample_rate, num_fft).T
    levels: Floats = 10 * np.log10(power + 1e-10)
    return levels


@functools.lru_cache
def _edges(sample_rate: int) -> Floats:
    """Return the edges (F + 2,) of the mel bins in Hz, from 0 Hz to half of the sample rate."""
    config = FrontendConfig(
        sample_rate=sample_rate, num_mels=_NUM_ROWS, min_hz=0, max_hz=sample_rate / 2
    )
    return mel_edges(config)


@functools.lru_cache
def _filters(sample_rate: int, num_fft: int) -> Floats:
    """Return triangles (F, D) around the centres of the mel bins.

    The triangles are at least as wide as two FFT bins, so that no row is empty.
    """
    edges, bins = _edges(sample_rate), np.arange(num_fft // 2 + 1) * sample_rate / num_fft
    widths = np.maximum((edges[2:] - edges[:-2]) / 2, sample_rate / num_fft)
    triangles = np.maximum(0, 1 - np.abs(bins - edges[1:-1, None]) / widths[:, None])
    filters: Floats = triangles / triangles.sum(axis=1, keepdims=True)
    return filters


def _ticks(sample_rate: int) -> list[tuple[float, str]]:
    """Return the ticks of the frequency axis. See `Excerpt`."""
    edges = _edges(sample_rate)
    places = np.interp(_TICKS_HZ, edges, (np.arange(len(edges)) - 0.5) / _NUM_ROWS, -1, -1)
    return [
        (round(float(place), 4), f"{hz / 1000:g}")
        for place, hz in zip(places, _TICKS_HZ)
        if 0 <= place <= 1
    ]


@functools.lru_cache
def _colors() -> Floats:
    """Return the colours (256, 3) of the levels, from 0 to 255."""
    import matplotlib

    colors: Floats = (255 * matplotlib.colormaps["magma"](np.arange(256))[:, :3]).astype(np.uint8)
    return colors
