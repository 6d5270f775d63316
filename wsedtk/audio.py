"""Sound files: decode, mix to mono, resample, write.

Every verb reads them in one way, that of `sound_file.Sound`: what libsndfile reads whole by libsndfile, the rest by PyAV;
the content says what a file is, not its extension.
"""

import dataclasses
import hashlib
import io
import math
import sys
from pathlib import Path

import numpy as np
import soundfile

from wsedtk.atomic import writing
from wsedtk.errors import InputError
from wsedtk.sound_file import Sound

FULL_SCALE = 0.999


@dataclasses.dataclass(frozen=True)
class AudioInfo:
    """What a sound file is, without listening to it."""

    sample_rate: int
    num_channels: int
    duration: float | None  # seconds; None where it is not known
    format: str = dataclasses.field(default="", compare=False)  # as its decoder names it: "WAV PCM_16"


def info(path, count=True):
    """Look at a sound file. Raises InputError where it is missing or no sound.

    count: decode the file where nothing else tells its duration; without it the duration is what the header says, or None.
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
    return resampled if len(resampled) == length else np.pad(resampled, (0, length - len(resampled)))


def read(path, sample_rate=None, max_seconds=None, remarks=None):
    """Read a sound file as mono float32 in [-1, 1]: the mean of its channels.

    sample_rate: Hz to resample to; None keeps the file's own. max_seconds: decode so much of the beginning, whatever the
    file holds or says that it holds; None: all. remarks: a list, to which is added what is wrong with a file that can be
    used. Returns (samples (num_samples,), sample rate). Raises InputError where the file is missing, broken, empty or not
    finite.
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
    """What listening to a whole sound file tells. `fault` says why it can't be used; the rest is then empty."""

    duration: float = 0.0  # seconds
    sample_rate: int = 0
    is_silent: bool = False  # all samples are the same
    peak: float = 0.0  # the highest level of any channel; full scale is 1
    full_scale: float = 0.0  # fraction of the samples that are at full scale or beyond
    content: str = ""  # the same for two files that sound the same, sample by sample
    remarks: tuple = ()  # what is wrong with the file, which can be used
    remark_on_mean: str = ""  # where its channels cancel each other
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
    return Examination(num_frames / rate, rate, bool(min(lowest) == max(highest)), float(max(peaks)),
                       float(num_full / (num_frames * sound.channels)), digest.hexdigest()[:16],
                       tuple(sound.remarks()), sound.remark_on_mean())


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
        soundfile.write(buffer, np.clip(samples, -1, 1), sample_rate, format="MP3", bitrate_mode="CONSTANT", compression_level=0.85)
    except (soundfile.SoundFileError, ValueError, TypeError) as error:
        raise InputError(f"this libsndfile writes no MP3 ({error}); install a newer soundfile") from None
    return buffer.getvalue()
