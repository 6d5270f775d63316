"""Sound files: decode, mix to mono, resample, write.

Every verb reads sound through `sound_file.Sound`. The content tells the format, not the extension.
"""

import dataclasses
import hashlib
import io
import math
import sys
from pathlib import Path

import numpy as np
import soundfile

from wsedtk.audio.sound_file import Sound
from wsedtk.core.atomic import writing
from wsedtk.core.errors import InputError

FULL_SCALE = 0.999


@dataclasses.dataclass(frozen=True)
class AudioInfo:
    """The rate, channels and duration of a sound file."""

    sample_rate: int
    num_channels: int
    duration: float | None  # seconds; None if unknown
    format: str = dataclasses.field(default="", compare=False)  # e.g. "WAV PCM_16"


def info(path, count=True):
    """Return the AudioInfo of a sound file.

    The duration is that of the samples that `read` returns. For WAV and similar formats, Ogg, MP3
    and FLAC it is found without decoding. (In a FLAC file, only the last frame is checked.)

    Parameters
    ----------
    path : path-like
    count : bool
        If the duration is unknown otherwise, decode the file. If false, return the duration that
        the header announces, or None.

    Raises
    ------
    InputError
        If the file is missing or is not a sound file.
    """
    with Sound(path) as sound:
        duration, is_sure = sound.seconds()
        if count and not is_sure:
            duration = sum(len(mono) for _, mono in sound.blocks()) / sound.samplerate
        return AudioInfo(sound.samplerate, sound.channels, duration, sound.format)


def resampled_length(num_samples, source_rate, target_rate):
    """Samples after resampling: librosa's rule; soxr's own can differ by a sample."""
    return int(np.ceil(num_samples * target_rate / source_rate))


def resample(samples, source_rate, target_rate):
    """Resample mono float samples with soxr's high quality setting, as librosa does."""
    if source_rate == target_rate:
        return samples
    import soxr

    length = resampled_length(len(samples), source_rate, target_rate)
    resampled = soxr.resample(samples, source_rate, target_rate, "HQ")[:length]
    return (
        resampled if len(resampled) == length else np.pad(resampled, (0, length - len(resampled)))
    )


def read(path, sample_rate=None, max_seconds=None, remarks=None):
    """Read a sound file as mono float32 in [-1, 1]: the mean of its channels.

    Parameters
    ----------
    path : path-like
    sample_rate : int, optional
        Rate to resample to, in Hz. By default the file's own.
    max_seconds : float, optional
        Decode only the beginning.
    remarks : list, optional
        Receives the faults of a file that can be used all the same.

    Returns
    -------
    samples : (S,) float32
    sample_rate : int

    Raises
    ------
    InputError
        If the file is missing, cannot be decoded, or holds no samples or infinite ones.
    """
    with Sound(path) as sound:
        rate = sound.samplerate
        num_frames = sys.maxsize if max_seconds is None else math.ceil(max_seconds * rate)
        parts = [mono for _, mono in sound.blocks(num_frames)]
        if remarks is not None:
            remarks += [*sound.remarks(), *filter(None, [sound.remark_on_mean()])]
    samples = parts[0] if len(parts) == 1 else np.concatenate(parts)
    if sample_rate is not None:
        samples, rate = resample(samples, rate, sample_rate), sample_rate
    return samples, rate


@dataclasses.dataclass(frozen=True)
class Examination:
    """The properties of a sound file that was decoded. If it cannot be, only `fault` is set."""

    duration: float = 0.0  # seconds
    sample_rate: int = 0
    is_silent: bool = False  # all samples are the same
    peak: float = 0.0  # the highest level of any channel; full scale is 1
    full_scale: float = 0.0  # fraction of the samples that are at full scale or beyond
    content: str = ""  # the same for two files that sound the same, sample by sample
    remarks: tuple = ()  # faults of a file that can be used all the same
    remark_on_mean: str = ""  # not empty if the channels cancel each other
    fault: str | None = None


def examine(path):
    """Decode a sound file, in constant memory, and tell how it sounds and whether it can be used at all."""
    num_frames, num_full, peaks, lowest, highest = 0, 0, [], [], []
    try:
        with Sound(path) as sound:
            rate, digest = sound.samplerate, hashlib.sha256(f"{sound.samplerate} ".encode())
            for samples, mono in sound.blocks():
                level = np.abs(samples)
                digest.update(np.ascontiguousarray(mono))
                num_frames += len(mono)
                num_full += np.count_nonzero(level >= FULL_SCALE)
                peaks.append(level.max())
                lowest.append(mono.min())
                highest.append(mono.max())
    except InputError as error:
        return Examination(fault=str(error))
    return Examination(
        num_frames / rate,
        rate,
        bool(min(lowest) == max(highest)),
        float(max(peaks)),
        float(num_full / (num_frames * sound.channels)),
        digest.hexdigest()[:16],
        tuple(sound.remarks()),
        sound.remark_on_mean(),
    )


def write(path, samples, sample_rate):
    """Write float samples (num_samples,) as 16 bits a sample, atomically, in the format of the extension (.wav, .flac)."""
    format_name = Path(path).suffix[1:].upper()
    with writing(path) as temporary:
        soundfile.write(temporary, samples, sample_rate, format=format_name, subtype="PCM_16")


def mp3(samples, sample_rate):
    """Encode float samples (num_samples,) as the bytes of an MP3 file of 32 kbit/s at 16 kHz, which every browser plays.

    Raises InputError where libsndfile is older than MP3 in it.
    """
    buffer = io.BytesIO()
    try:
        soundfile.write(
            buffer,
            np.clip(samples, -1, 1),
            sample_rate,
            format="MP3",
            bitrate_mode="CONSTANT",
            compression_level=0.85,
        )
    except (soundfile.SoundFileError, ValueError, TypeError) as error:
        raise InputError(
            f"this libsndfile writes no MP3 ({error}); install a newer soundfile"
        ) from None
    return buffer.getvalue()
