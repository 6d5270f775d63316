"""Read sound files as mono samples, resample samples, and write sound files.

All functions that read sound use `sound_file.Sound`. This class recognises the format of a file by
the content of the file, not by the extension.

Array dimensions: S samples.
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
from wsedtk.core.paths import PathLike
from wsedtk.core.types import Floats

FULL_SCALE = 0.999
_DELAY_SAMPLES = 1500  # at the lower of the two rates; delays of soxr up to 1341 were measured


@dataclasses.dataclass(frozen=True)
class AudioInfo:
    """The sample rate, number of channels, duration and format of a sound file.

    Attributes
    ----------
    sample_rate : int
        In Hz.
    num_channels : int
    duration : float or None
        In seconds; None if it is unknown.
    format : str
        Container and codec, for example "WAV PCM_16".
    """

    sample_rate: int
    num_channels: int
    duration: float | None
    format: str = dataclasses.field(default="", compare=False)


def info(path: PathLike, count: bool = True) -> AudioInfo:
    """Return the AudioInfo of a sound file.

    If `count` is true, the duration is that of the samples that `read` returns. For WAV and similar
    formats, Ogg, MP3 and FLAC, the duration is usually found without decoding the complete file.
    For most FLAC files, only the last frame is decoded.

    Parameters
    ----------
    path : path-like
    count : bool
        Whether to decode the complete file if its duration can't be found otherwise. If `count`
        is false, the duration of such a file is the unchecked duration from its header, or None.

    Raises
    ------
    InputError
        If the file is missing or can't be read as sound. When the complete file is decoded, the
        error is also raised if the file contains no samples, or samples that are not finite or are
        too large.
    """
    with Sound(path) as sound:
        duration, is_sure = sound.seconds()
        if count and not is_sure:
            duration = sum(len(mono) for _, mono in sound.blocks()) / sound.samplerate
        return AudioInfo(sound.samplerate, sound.channels, duration, sound.format)


def resampled_length(num_samples: int, source_rate: float, target_rate: float) -> int:
    """Return the number of samples after resampling, rounded up as in librosa.

    soxr can return one sample more or less. `resample` corrects this difference.
    """
    return int(np.ceil(num_samples * target_rate / source_rate))


def resample(samples: Floats, source_rate: float, target_rate: float) -> Floats:
    """Resample mono samples (S,) with soxr's "HQ" setting, as librosa does by default."""
    if source_rate == target_rate:
        return samples
    import soxr

    length = resampled_length(len(samples), source_rate, target_rate)
    resampled: Floats = soxr.resample(samples, source_rate, target_rate, "HQ")[:length]
    if len(resampled) < length:
        resampled = np.pad(resampled, (0, length - len(resampled)))
    return resampled


class BlockResampler:
    """Resample mono samples that arrive in blocks.

    The result does not depend on the sizes of the blocks, and its length is that of `resample`.

    Parameters
    ----------
    source_rate, target_rate : int
        The sample rates in Hz.

    Attributes
    ----------
    delay_seconds : float
        The results of `push` lack at most this duration at their end.
    """

    def __init__(self, source_rate: int, target_rate: int) -> None:
        self._rates = (source_rate, target_rate)
        is_same = source_rate == target_rate
        self.delay_seconds = 0.0 if is_same else _DELAY_SAMPLES / min(self._rates)
        self._num_read, self._num_given = 0, 0
        self._stream = None
        if not is_same:
            import soxr

            self._stream = soxr.ResampleStream(
                source_rate, target_rate, 1, dtype="float32", quality="HQ"
            )

    def push(self, block: Floats) -> Floats:
        """Add a block (S,), and return the resampled samples that are complete."""
        self._num_read += len(block)
        if self._stream is not None:
            block = self._stream.resample_chunk(block)
        self._num_given += len(block)
        return block

    def finish(self) -> Floats:
        """Return the remaining resampled samples."""
        if self._stream is None:
            return np.zeros(0, np.float32)
        rest: Floats = self._stream.resample_chunk(np.zeros(0, np.float32), last=True)
        missing = resampled_length(self._num_read, *self._rates) - self._num_given
        return np.pad(rest[:missing], (0, max(0, missing - len(rest))))


def read(
    path: PathLike,
    sample_rate: int | None = None,
    max_seconds: float | None = None,
    remarks: list[str] | None = None,
) -> tuple[Floats, int]:
    """Read a sound file as mono float32 samples with full scale 1.

    The mono samples are the mean of the channels.

    Parameters
    ----------
    path : path-like
    sample_rate : int, optional
        The sample rate in Hz to which the samples are converted. By default, they are not
        resampled.
    max_seconds : float, optional
        Decode only the first `max_seconds` seconds. By default, the complete file is decoded.
    remarks : list of str, optional
        Descriptions of faults are appended to this list. A file with these faults can still be
        used.

    Returns
    -------
    samples : (S,) float32
    sample_rate : int
        In Hz.

    Raises
    ------
    InputError
        If the file is missing or cannot be decoded, if it contains no samples, or if samples are
        not finite or are too large.
    """
    with Sound(path) as sound:
        rate = sound.samplerate
        num_frames = sys.maxsize if max_seconds is None else math.ceil(max_seconds * rate)
        parts = [mono for _, mono in sound.blocks(num_frames)]
        if remarks is not None:
            remarks += sound.remarks()
            if sound.remark_on_mean():
                remarks.append(sound.remark_on_mean())
    samples = parts[0] if len(parts) == 1 else np.concatenate(parts)
    if sample_rate is not None:
        samples, rate = resample(samples, rate, sample_rate), sample_rate
    return samples, rate


@dataclasses.dataclass(frozen=True)
class Examination:
    """The properties of a sound file, or the reason why the file cannot be used.

    Attributes
    ----------
    duration : float
        In seconds.
    sample_rate : int
        In Hz.
    is_silent : bool
        Whether all mono samples (the mean of the channels) are equal.
    peak : float
        The highest absolute value of a sample in any channel; full scale is 1.
    full_scale : float
        The number of samples with an absolute value of at least `FULL_SCALE`, divided by the number
        of all samples. The samples of all channels are counted.
    content : str
        A fingerprint of the sample rate and the mono samples. Files with the same sample rate and
        the same mono samples have the same fingerprint.
    remarks : tuple of str
        Descriptions of faults. A file with these faults can still be used.
    remark_on_mean : str
        A remark if the channels cancel each other, otherwise "".
    fault : str or None
        The message of the InputError that `read` would raise; None if `read` would raise no error.
        If there is a message, the other attributes have no meaning.
    """

    duration: float = 0.0
    sample_rate: int = 0
    is_silent: bool = False
    peak: float = 0.0
    full_scale: float = 0.0
    content: str = ""
    remarks: tuple[str, ...] = ()
    remark_on_mean: str = ""
    fault: str | None = None


def examine(path: PathLike) -> Examination:
    """Decode a sound file in constant memory, and return its properties.

    If the file cannot be used, no error is raised, and `Examination.fault` gives the reason.
    """
    num_samples, num_full_scale = 0, 0
    peak, lowest, highest = 0.0, math.inf, -math.inf
    try:
        with Sound(path) as sound:
            digest = hashlib.sha256(f"{sound.samplerate} ".encode())
            for samples, mono in sound.blocks():
                level = np.abs(samples)
                digest.update(mono.tobytes())
                num_samples += len(mono)
                num_full_scale += np.count_nonzero(level >= FULL_SCALE)
                peak = max(peak, float(level.max()))
                lowest = min(lowest, float(mono.min()))
                highest = max(highest, float(mono.max()))
    except InputError as error:
        return Examination(fault=str(error))
    return Examination(
        duration=num_samples / sound.samplerate,
        sample_rate=sound.samplerate,
        is_silent=lowest == highest,
        peak=peak,
        full_scale=num_full_scale / (num_samples * sound.channels),
        content=digest.hexdigest()[:16],
        remarks=tuple(sound.remarks()),
        remark_on_mean=sound.remark_on_mean(),
    )


def write(path: PathLike, samples: Floats, sample_rate: int) -> None:
    """Write mono samples (S,) with 16 bits per sample. The file is written atomically.

    The extension, for example .wav or .flac, determines the format.
    """
    format_name = Path(path).suffix[1:].upper()
    with writing(path) as temporary:
        soundfile.write(temporary, samples, sample_rate, format=format_name, subtype="PCM_16")


def mp3(samples: Floats, sample_rate: int, compression: float = 0.85) -> bytes:
    """Return the content of an MP3 file with mono samples (S,). All browsers play MP3.

    The bit rate is constant. At sample rates of 16 and 24 kHz, it is 32 kbit/s for a compression of
    0.85, and 56 kbit/s for a compression of 0.7.

    Raises
    ------
    InputError
        If libsndfile can't write the samples as MP3, for example because the installed version is
        too old or does not support the sample rate.
    """
    buffer = io.BytesIO()
    try:
        soundfile.write(
            buffer,
            np.clip(samples, -1, 1),
            sample_rate,
            format="MP3",
            bitrate_mode="CONSTANT",
            compression_level=compression,
        )
    except (soundfile.SoundFileError, ValueError, TypeError) as error:
        raise InputError(
            f"the installed libsndfile does not write MP3 ({error}); install a newer version of "
            "the package soundfile"
        ) from None
    return buffer.getvalue()
