"""Open any sound file: by libsndfile, or by PyAV if libsndfile cannot read it whole.

Every verb reads sound through the class Sound. If a file was never closed, was joined from several
files or breaks off, Sound returns all samples that exist, and `Sound.remarks` describes the fault.

S samples, C channels.
"""

import contextlib
import os
import stat
import sys
from pathlib import Path

import numpy as np

from wsedtk.audio.av_file import AvFile
from wsedtk.audio.containers import flac
from wsedtk.audio.containers.find_layout import find_layout
from wsedtk.audio.containers.layout import Part, Window
from wsedtk.audio.sndfile import ERRORS, SndFile
from wsedtk.core.errors import InputError

_BLOCK = 1 << 22  # samples of all channels that are decoded at once, to bound the memory
RATES = (100, 1_000_000)  # Hz; a damaged header can hold any rate up to 2^31
LOUDEST = 2.0**32  # 32-bit integers as floats are in use; louder samples overflow a front end
# The power of the mean of channels that cancel each other, relative to that of uncorrelated ones:
# a correlation of two channels below -0.9.
_CANCELLED = 0.1
_SILENT = 1e-10  # -100 dB: only rounding errors are left of the mean
_AUDIBLE = 1e-8  # -80 dB below full scale: the least power of channels that carry sound
_READ_AHEAD = 1 << 14  # bytes that a FLAC decoder may have read ahead at the end of a stream
_FAR = 1 << 20  # bytes that it may have read in search of the next frame


def _open(path):
    """Open a file for reading. Raises InputError if it is missing, empty or cannot be opened."""
    path = Path(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{path}: a folder, not a sound file")
        if not stat.S_ISREG(status.st_mode):  # opening a pipe waits for its writer
            raise InputError(f"{path}: a pipe, socket or device, not a sound file")
        if status.st_size == 0:
            raise InputError(f"{path}: an empty file")
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: can't be read as sound ({reason})") from None


def mean_of_channels(samples):
    """Return the mean (S,) of channels (S, C), ten times as fast as numpy.mean for few channels."""
    mono = samples[:, 0]
    if samples.shape[1] > 1:
        mono = mono.copy()
        for channel in samples.T[1:]:
            mono += channel
        mono /= samples.shape[1]
    return mono


def _variation(samples):
    """Return the energy of channels (S, C) without their constant offsets, averaged over them."""
    varying = samples - samples.mean(axis=0, dtype=np.float64)
    return float(np.square(varying).sum()) / samples.shape[1]


def shown_seconds(seconds, digits=1):
    """Format seconds without trailing zeros: 14.8, 20, 0.125."""
    digits = digits if seconds >= 1 else max(digits, 3)
    return f"{seconds:.{digits}f}".rstrip("0").rstrip(".")


def shown_part(heard, announced):
    """Format two durations as `14.8 of 20`, with enough digits to tell them apart."""
    digits = next((n for n in (1, 3) if round(heard, n) < round(announced, n)), 6)
    return f"{shown_seconds(heard, digits)} of {shown_seconds(announced, digits)}"


class Sound:
    """An open sound file: the samples of its streams, one after the other.

    All samples have the sample rate and the number of channels of the first stream.

    Attributes
    ----------
    samplerate, channels : int
    format : str
        The container and codec of the first stream, for example "WAV PCM_16".

    Raises
    ------
    InputError
        If the file is missing or is not a sound file.
    """

    def __init__(self, path):
        self._path, self._file = path, _open(path)
        self._reader, self._resampler = None, None
        self._is_over = False  # whether all samples have been read
        self._is_bounded = True  # whether all samples so far were 16-bit integers
        self._num_heard = 0  # samples that have been read,
        self._num_before = 0  # and those of them that belong to earlier streams
        self._num_flac = 1  # FLAC streams
        self._announced, self._breaks_off, self._remarks = None, False, []
        self._energies = np.zeros(2)  # of the mean of the channels; mean over the channels
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            self._layout = find_layout(self._file, self._size)
            self._parts = list(self._layout.parts)
            self._begin(self._parts.pop(0))
        except OSError as error:
            self.close()
            reason = error.strerror or error
            raise InputError(f"{path}: can't be read as sound ({reason})") from None
        except BaseException:
            self.close()
            raise
        self.samplerate, self.channels = self._reader.samplerate, self._reader.channels
        self.format = self._reader.format
        self._rate = self.samplerate  # of the current stream

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Close the file."""
        if self._reader is not None:
            self._reader.close()
        self._file.close()

    def _begin(self, part):
        """Open a stream. Raises InputError."""
        if self._reader is not None:
            self._reader.close()
        self._part, self._reader = part, self._opened(part)
        rate = self._reader.samplerate
        if not RATES[0] <= rate <= RATES[1]:
            raise InputError(
                f"{self._path}: says that it has {rate} samples a second; "
                f"expected {RATES[0]} to {RATES[1]}"
            )

    def _opened(self, part):
        """Return a reader of a stream: SndFile, or AvFile if libsndfile cannot read all of it."""
        window, reason = Window(self._file, part, self._size), "Format not recognised."
        if part.by_libsndfile:
            try:
                reader = SndFile(window if part.ranges else self._file.fileno(), part.num_samples)
                if part.num_samples is None or reader.num_frames >= part.num_samples:
                    reader.skip(part.num_skipped)
                    return reader
                reader.close()
            except (*ERRORS, TypeError, ValueError) as error:
                reason = str(error).split(": ")[-1].strip()
        if not part.demuxer:
            raise InputError(f"{self._path}: can't be read as sound ({reason})")
        window.seek(0)
        return AvFile(self._path, window, part.demuxer)

    def read(self, num_frames):
        """Decode the next samples (S, C) float32, about `num_frames` or fewer: none at the end."""
        while not self._is_over:
            samples = self._reader.read(num_frames)
            self._is_bounded = self._is_bounded and self._reader.subtype == "PCM_16"
            if len(samples):
                samples = self._fit(samples, self._reader.samplerate)
            else:
                samples = self._end_of_part()
            if len(samples):
                self._num_heard += len(samples)
                return samples
        return self._none()

    def _none(self):
        return np.zeros((0, self.channels), np.float32)

    def _end_of_part(self):
        """Go on to the next stream. Returns the samples that the resampler still held (S, C)."""
        self._is_over = True
        self._note_end()
        part = None if self._breaks_off else self._next_part()
        if part is not None:
            try:
                self._num_before = self._num_heard
                self._begin(part)
                self._is_over = False
            except (InputError, OSError):
                self._breaks_off = True
        return self._flushed() if self._is_over else self._none()

    def _next_part(self):
        """Return the stream that follows; None after the last."""
        if self._parts:
            return self._parts.pop(0)
        if not self._is_flac():
            return None
        is_at_end = (
            self._size - self._reader.file_offset() <= _READ_AHEAD
        )  # a search moves this place
        place = self._next_flac(_READ_AHEAD if self._reader.fault is None else _FAR, self._size)
        if place is None:
            return None if is_at_end or self._reader.fault else self._rest_of_flac()
        self._num_flac += 1
        return Part(((place, self._size),), (), "flac")

    def _rest_of_flac(self):
        """Return a FLAC stream again if it is longer than its header announces; else None."""
        if self._reader.announced is None:
            return None
        begin = flac.following(self._file, self._begin_of_part(), self._size)
        patches = flac.without_total(self._file, begin)
        num_skipped = round(self._reader.seconds * self._reader.samplerate)
        part = Part(((begin, self._size),), patches, "flac", num_skipped=num_skipped)
        with contextlib.closing(self._opened(part)) as longer:
            if not len(longer.read(1)):
                return None
        self._remarks.append("is longer than its header announces")
        return part

    def _is_flac(self):
        return self._layout.is_flac and isinstance(self._reader, SndFile)

    def _begin_of_part(self):
        return self._part.ranges[0][0] if self._part.ranges else 0

    def _next_flac(self, ahead, limit=None):
        """Return where the next FLAC stream begins; None if none does.

        ahead: bytes that the decoder may have read of it; limit: end of the search, by default the
        decoder's position.
        """
        if not self._is_flac():
            return None
        place, begin = self._reader.file_offset(), self._begin_of_part()
        return flac.following(self._file, max(begin + 1, place - ahead), limit or place)

    def _note_end(self):
        """Note whether the current stream held all that it announced, and the reader's remarks."""
        reader = self._reader
        self._remarks += [remark for remark in reader.remarks if remark not in self._remarks]
        if reader.announced is None:  # a FLAC decoder reports the next stream as an error
            self._breaks_off = reader.fault is not None and self._next_flac(_FAR) is None
            return
        missing = reader.announced - reader.seconds
        is_short = missing > reader.slack
        # Of a file in fragments, FFmpeg counts only those that it saw.
        self._breaks_off = is_short or isinstance(reader, AvFile) and reader.fault is not None
        self._announced = self._num_heard / self.samplerate + missing if is_short else None

    def _fit(self, samples, rate):
        """Convert samples to the rate and number of channels of the first stream: (S, C)."""
        before, left = shown_seconds(self._num_heard / self.samplerate), self._none()
        if rate != self._rate:
            left = self._flushed()
            self._remark_change(
                f"changes from {self._rate} to {rate} samples a second after "
                f"{before} s; the rest is resampled"
            )
            self._rate = rate
        if samples.shape[1] != self.channels:
            found = samples.shape[1]
            self._remark_change(
                f"changes from {self.channels} to {found} channels after {before} "
                "s; the rest is heard as the mean of its channels"
            )
            samples = np.repeat(mean_of_channels(samples)[:, None], self.channels, axis=1)
        if rate != self.samplerate:
            samples = self._resampled(samples, rate)
        return np.concatenate([left, samples]) if len(left) else samples

    def _resampled(self, samples, rate):
        if self._resampler is None:
            import soxr

            self._resampler = soxr.ResampleStream(
                rate, self.samplerate, self.channels, dtype="float32", quality="HQ"
            )
        samples = self._resampler.resample_chunk(np.ascontiguousarray(samples))
        return samples.reshape(-1, self.channels)

    def _remark_change(self, remark):
        """Note the first change of the rate or of the channels."""
        if not any(other.startswith("changes ") for other in self._remarks):
            self._remarks.append(remark)

    def _flushed(self):
        """Return the samples that the resampler still holds (S, C)."""
        resampler, self._resampler = self._resampler, None
        if resampler is None:
            return self._none()
        return resampler.resample_chunk(self._none(), last=True).reshape(-1, self.channels)

    def blocks(self, num_frames=sys.maxsize):
        """Decode the first `num_frames` samples, block by block.

        Yields
        ------
        samples : (S, C) float32
        mono : (S,) float32
            The mean of the channels.

        Raises
        ------
        InputError
            If nothing can be decoded, or samples are not finite or too large.
        """
        size, left = max(1, _BLOCK // self.channels), num_frames
        while left > 0 and len(samples := self.read(min(size, left))):
            samples = samples[:left]
            with np.errstate(over="ignore", invalid="ignore"):
                mono = mean_of_channels(samples)
            if not self._is_bounded and not (np.abs(mono) <= LOUDEST).all():
                fault = "that are not finite (NaN or infinity)"
                if np.isfinite(samples).all():
                    fault = f"beyond {LOUDEST:g}, which are no sound"
                raise InputError(f"{self._path}: holds samples {fault}")
            self._add_energies(samples, mono)
            yield samples, mono
            left -= len(samples)
        if left == num_frames:
            fault = self._reader.fault
            reason = f"broken sound file ({fault})" if fault else "holds no samples"
            raise InputError(f"{self._path}: {reason}")

    def _add_energies(self, samples, mono):
        """Add the energies of the channels and of their mean, without their constant offsets."""
        if self.channels == 1:
            return
        offset = float(mono[::64].mean())  # exact enough if the rest of the mean is weak
        of_mean = float(np.vdot(mono, mono)) - len(mono) * offset**2
        of_channels = float(np.vdot(samples, samples)) / self.channels
        if (
            of_mean * self.channels < _CANCELLED * of_channels
        ):  # rare: only then exact values matter
            of_mean, of_channels = _variation(mono[:, None]), _variation(samples)
        self._energies += of_mean, of_channels

    def remark_on_mean(self):
        """Return a remark if the channels cancel each other in their mean, else ""."""
        of_mean, of_channels = self._energies
        if (
            of_channels <= _AUDIBLE * self._num_heard
            or of_mean * self.channels >= _CANCELLED * of_channels
        ):
            return ""
        weaker = "silent"
        if of_mean > _SILENT * of_channels:
            weaker = f"{10 * np.log10(of_channels / of_mean):.0f} dB weaker"
        return (
            f"has channels that cancel each other: their mean is {weaker}; "
            "use one of them, or detect --channels each"
        )

    def remarks(self):
        """Return the file's faults as a list of texts, after it has been read."""
        if not self._is_over:
            return list(self._remarks)
        heard, share = self._num_heard / self.samplerate, self._layout.share
        found, total = list(self._remarks), self._announced if self._breaks_off else None
        if not self._breaks_off and share is not None:
            before = self._num_before / self.samplerate
            total = before + (heard - before) / share
        if total is not None and total > heard:
            found.append(f"breaks off after {shown_part(heard, total)} s")
        elif self._breaks_off or share is None:
            found.append(f"breaks off after {shown_seconds(heard)} s")
        elif isinstance(self._reader, AvFile) and self._reader.lacks_sound():
            found.append(
                f"holds {shown_seconds(heard)} s of sound and lasts "
                f"{shown_seconds(self._reader.film_seconds)} s"
            )
        faults = [self._layout.remark]
        if self._num_flac > 1:
            faults.append(f"holds {self._num_flac} files, one after the other")
        return found + [f"{fault}; heard: {shown_seconds(heard)} s" for fault in faults if fault]

    def seconds(self):
        """Return the duration without decoding: (seconds or None, whether they are certain)."""
        if isinstance(self._reader, AvFile):
            return self._reader.announced, False
        if self._layout.is_flac:
            end = self._reader.end()
            if end is None:
                return None, False
            if self._size - end > _READ_AHEAD:
                return None, False
            begin = flac.following(self._file, 0, self._size)
            if flac.following(self._file, begin + 1, self._size) is not None:
                return None, False
        if self.format.endswith("MPEG_LAYER_III"):
            return self._reader.announced, not self.format.startswith("WAV")
        total = self._reader.announced
        for part in self._parts:
            with contextlib.closing(self._opened(part)) as reader:
                if isinstance(reader, AvFile) or reader.announced is None:
                    return None, False
                total += reader.announced
        return total, total is not None
