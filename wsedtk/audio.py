"""Sound files: decode, mix to mono, resample, write.

Whatever libsndfile reads goes in (WAV, FLAC, Ogg, MP3, ...; it looks at the content, not at the extension).
"""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import soundfile

from wsedtk.atomic import writing
from wsedtk.errors import InputError


@dataclasses.dataclass(frozen=True)
class AudioInfo:
    """What a sound file's header says."""

    sample_rate: int
    num_channels: int
    duration: float  # seconds


def _open(path):
    path = Path(path)
    try:
        if not path.exists():
            raise InputError(f"{path}: no such file")
        if path.is_dir():
            raise InputError(f"{path}: a folder, not a sound file")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: an empty file")
        return soundfile.SoundFile(path.absolute())  # of the plain name `-` libsndfile would read standard input
    except (soundfile.SoundFileError, OSError, TypeError) as error:
        raise InputError(f"{path}: can't be read as sound ({str(error).split(': ')[-1].strip()})") from None


def info(path):
    """Read a sound file's header. Raises InputError where it is missing or no sound."""
    with _open(path) as file:
        return AudioInfo(file.samplerate, file.channels, file.frames / file.samplerate)


def resample(samples, source_rate, target_rate):
    """Resample mono float samples with soxr's high quality setting, as librosa does."""
    if source_rate == target_rate:
        return samples
    import soxr

    length = int(np.ceil(len(samples) * target_rate / source_rate))  # librosa's; soxr's own can differ by a sample
    resampled = soxr.resample(samples, source_rate, target_rate, "HQ")[:length]
    return resampled if len(resampled) == length else np.pad(resampled, (0, length - len(resampled)))


def _samples(file):
    """All samples (S, C) float32 of an open file. libsndfile converts 16 bits one by one: numpy gives the same numbers much sooner."""
    if file.subtype != "PCM_16":
        return file.read(dtype="float32", always_2d=True)
    samples = file.read(dtype="int16", always_2d=True).astype(np.float32)
    samples *= np.float32(2 ** -15)
    return samples


def _mono(samples):
    """The mean (S,) of channels (S, C). numpy's own, along so short an axis, takes ten times as long."""
    mono = samples[:, 0]
    if samples.shape[1] > 1:
        mono = mono.copy()
        for channel in samples.T[1:]:
            mono += channel
        mono /= samples.shape[1]
    return mono


def read(path, sample_rate=None):
    """Read a sound file as mono float32 in [-1, 1]: the mean of its channels.

    sample_rate: Hz to resample to; None keeps the file's own.
    Returns (samples (num_samples,), sample rate). Raises InputError where the file is missing, broken, empty or not finite.
    """
    with _open(path) as file:
        try:
            samples, rate, subtype = _samples(file), file.samplerate, file.subtype
        except (soundfile.SoundFileError, RuntimeError, MemoryError) as error:
            raise InputError(f"{path}: broken sound file ({str(error).strip()})") from None
    if len(samples) == 0:
        raise InputError(f"{path}: holds no samples")
    samples = _mono(samples)
    if subtype != "PCM_16" and not np.isfinite(samples).all():
        raise InputError(f"{path}: holds samples that are not finite (NaN or infinity)")
    if sample_rate is not None:
        samples, rate = resample(samples, rate, sample_rate), sample_rate
    return samples, rate


@dataclasses.dataclass(frozen=True)
class Examination:
    """What listening to a whole sound file tells. `fault` says why it can't be used; the rest is then empty."""

    duration: float = 0.0  # seconds
    is_silent: bool = False
    content: str = ""  # the same for two files that sound the same, sample by sample
    fault: str | None = None


def examine(path):
    """Decode a sound file and tell how long it is, whether it is silent, and whether it can be used at all."""
    try:
        samples, rate = read(path)
    except InputError as error:
        return Examination(fault=str(error))
    content = hashlib.sha256(f"{rate} ".encode() + samples.tobytes()).hexdigest()[:16]
    return Examination(len(samples) / rate, not samples.any(), content)


def write(path, samples, sample_rate):
    """Write float samples (num_samples,) as 16 bits a sample, atomically, in the format of the extension (.wav, .flac)."""
    format_name = Path(path).suffix[1:].upper()
    with writing(path) as temporary:
        soundfile.write(temporary, samples, sample_rate, format=format_name, subtype="PCM_16")
