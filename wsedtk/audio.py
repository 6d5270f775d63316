"""Sound files: decode, mix to mono, resample, write.

Whatever libsndfile reads goes in (WAV, FLAC, Ogg, MP3, ...; it looks at the content, not at the extension).
"""

import dataclasses
import hashlib
import io
import math
import stat
from pathlib import Path

import numpy as np
import soundfile

from wsedtk.atomic import writing
from wsedtk.errors import InputError

_BLOCK = 1 << 22  # samples, of all channels together, that are decoded at once: whatever a file holds, memory stays small
RATES = (100, 1_000_000)  # Hz; a damaged header says anything up to 2^31
_LOUDEST = 2.0 ** 32  # 32-bit integers as floats are in use; beyond, the sums of a front end would overflow
FULL_SCALE = 0.999


@dataclasses.dataclass(frozen=True)
class AudioInfo:
    """What a sound file's header says."""

    sample_rate: int
    num_channels: int
    duration: float  # seconds
    format: str = dataclasses.field(default="", compare=False)  # as libsndfile names it: "WAV PCM_16"


def open_file(path):
    """Open a sound file with libsndfile, whatever its name says. Raises InputError where it is missing or no sound."""
    path = Path(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{path}: a folder, not a sound file")
        if not stat.S_ISREG(status.st_mode):  # to open a pipe is to wait for its writer
            raise InputError(f"{path}: a pipe, socket or device, not a sound file")
        if status.st_size == 0:
            raise InputError(f"{path}: an empty file")
        with open(path, "rb"):  # where it is not allowed this says so, and libsndfile `System error.`
            pass
        file = soundfile.SoundFile(path.absolute())  # of the plain name `-` libsndfile would read standard input
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (soundfile.SoundFileError, OSError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).split(": ")[-1].strip()
        raise InputError(f"{path}: can't be read as sound ({reason})") from None
    if not RATES[0] <= file.samplerate <= RATES[1]:
        file.close()
        raise InputError(f"{path}: says that it has {file.samplerate} samples a second; expected {RATES[0]} to {RATES[1]}")
    return file


def info(path):
    """Read a sound file's header. Raises InputError where it is missing or no sound."""
    with open_file(path) as file:
        return AudioInfo(file.samplerate, file.channels, file.frames / file.samplerate, f"{file.format} {file.subtype}")


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


def _samples(file, num_frames):
    """The next samples (S, C) float32 of an open file. libsndfile converts 16 bits one by one: numpy gives the same numbers much sooner."""
    if file.subtype != "PCM_16":
        return file.read(num_frames, dtype="float32", always_2d=True)
    samples = file.read(num_frames, dtype="int16", always_2d=True).astype(np.float32)
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


def blocks(path, file, num_frames):
    """Decode the first `num_frames` of an open file: yield samples (S, C) and their mean (S,) over channels, block by block.

    Raises InputError, that names `path`, where the file is broken, holds no samples, or ones that are no level.
    """
    size, left = max(1, _BLOCK // file.channels), num_frames
    while left > 0:
        try:
            samples = _samples(file, min(size, left))
        except (soundfile.SoundFileError, RuntimeError, MemoryError) as error:
            raise InputError(f"{path}: broken sound file ({str(error).strip()})") from None
        if len(samples) == 0:
            break
        with np.errstate(over="ignore", invalid="ignore"):
            mono = _mono(samples)
        if file.subtype != "PCM_16" and not (np.abs(mono) <= _LOUDEST).all():
            raise InputError(f"{path}: holds samples " + (f"beyond {_LOUDEST:g}, which are no sound" if np.isfinite(samples).all() else
                                                          "that are not finite (NaN or infinity)"))
        yield samples, mono
        left -= len(samples)
        if len(samples) < size:
            break
    if left == num_frames:
        raise InputError(f"{path}: holds no samples")


def read(path, sample_rate=None, max_seconds=None):
    """Read a sound file as mono float32 in [-1, 1]: the mean of its channels.

    sample_rate: Hz to resample to; None keeps the file's own. max_seconds: decode so much of the beginning, whatever the file holds
    or says that it holds; None: all. Returns (samples (num_samples,), sample rate). Raises InputError where the file is missing,
    broken, empty or not finite.
    """
    with open_file(path) as file:
        rate, num_frames = file.samplerate, file.frames
        if max_seconds is not None:
            num_frames = min(num_frames, math.ceil(max_seconds * rate))
        parts = [mono for _, mono in blocks(path, file, num_frames)]
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
    fault: str | None = None


def examine(path):
    """Decode a sound file, in constant memory, and tell how it sounds and whether it can be used at all."""
    num_frames, num_full, peaks, lowest, highest = 0, 0, [], [], []
    try:
        with open_file(path) as file:
            rate, num_channels, digest = file.samplerate, file.channels, hashlib.sha256(f"{file.samplerate} ".encode())
            for samples, mono in blocks(path, file, file.frames):
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
                       float(num_full / (num_frames * num_channels)), digest.hexdigest()[:16])


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
