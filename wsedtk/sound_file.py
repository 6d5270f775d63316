"""One way to open a sound file, for every verb: libsndfile, or PyAV where libsndfile does not read it whole.

A file that was never closed, that is joined of several, or that breaks off gives all sound that is there; `Sound.remarks`
says what is wrong with it. S samples, C channels.
"""

import contextlib
import os
import stat
import sys
from pathlib import Path

import numpy as np
import soundfile

from wsedtk import containers
from wsedtk.av_file import AvFile
from wsedtk.containers import Part, Window, flac
from wsedtk.errors import InputError

_BLOCK = 1 << 22  # samples, of all channels together, that are decoded at once: memory stays small whatever a file holds
_STEPS = (1024, 1)  # samples at once, ever closer to damage
_UNKNOWN = 1 << 60  # libsndfile announces more than this where it does not know
RATES = (100, 1_000_000)  # Hz; a damaged header says anything up to 2^31
_LOUDEST = 2.0 ** 32  # 32-bit integers as floats are in use; beyond, the sums of a front end would overflow
_CANCELLED = 1e-4  # the power of the channels' mean, relative to theirs, below which they cancel each other: -40 dB
_AUDIBLE = 1e-8  # the power of channels that carry sound: -80 dB below full scale
_READ_AHEAD = 1 << 14  # bytes of a FLAC file that its decoder may have read and not used,
_FAR = 1 << 20  # and those between the end of a stream and the first frame of the next


class _InOrder(soundfile.SoundFile):
    """A file that is read from its beginning to its end: it is never told to seek, which not all decoders survive."""

    def seekable(self):
        return False


class _ByLibsndfile:
    """A stream that libsndfile decodes, front to back.

    source: a file descriptor or a Window; num_samples: that the stream holds, where that is known. Raises
    soundfile.SoundFileError where libsndfile does not read it. `fault` says why the stream breaks off, where it does;
    `announced`: seconds that it says it holds, None where it does not know.
    """

    remarks = ()

    def __init__(self, source, num_samples=None):
        self._source, self.fault, self._num_read = source, None, 0
        self._file = self._open()
        self.samplerate, self.channels, self.subtype = self._file.samplerate, self._file.channels, self._file.subtype
        self.format = f"{self._file.format} {self._file.subtype}"
        self.num_frames = self._file.frames if self._file.frames < _UNKNOWN else sys.maxsize
        self.slack = 1.5 / self.samplerate
        num_samples = self.num_frames if num_samples is None else num_samples
        self.announced = num_samples / self.samplerate if num_samples < sys.maxsize else None

    @property
    def seconds(self):
        """Of what has been read."""
        return self._num_read / self.samplerate

    def _open(self):
        if isinstance(self._source, int):
            os.lseek(self._source, 0, os.SEEK_SET)
            return _InOrder(self._source, closefd=False)
        self._source.seek(0)
        return _InOrder(self._source)

    def _decode(self, num_frames):
        """The next samples (S, C) float32. libsndfile converts 16 bits one by one: numpy gives the same much sooner."""
        if self.subtype != "PCM_16":
            return self._file.read(num_frames, dtype="float32", always_2d=True)
        samples = self._file.read(num_frames, dtype="int16", always_2d=True).astype(np.float32)
        samples *= np.float32(2 ** -15)
        return samples

    def read(self, num_frames):
        """The next samples (S, C): none at the end."""
        num_frames = min(num_frames, self.num_frames - self._num_read)
        if self.fault is not None or num_frames <= 0:
            return np.zeros((0, self.channels), np.float32)
        try:
            samples = self._decode(num_frames)
        except (soundfile.SoundFileError, RuntimeError) as error:
            self.fault = str(error).strip()
            samples = self._up_to_damage(num_frames)
        self._num_read += len(samples)
        if len(samples) == 0 and not isinstance(self._source, int):
            self.fault = self._source.error
        return samples

    def _up_to_damage(self, num_frames):
        """What can be decoded of the next samples: an error in a block takes the good ones before it away, too."""
        found = [np.zeros((0, self.channels), np.float32)]
        for step in _STEPS:
            self.close()
            with contextlib.suppress(soundfile.SoundFileError, RuntimeError):
                self._file = self._open()
                self._skip(self._num_read + sum(map(len, found)), num_frames)
                while len(part := self._decode(step)):
                    found.append(part)
        return np.concatenate(found)[:num_frames]

    def _skip(self, num_samples, block):
        """Decode samples that are known already."""
        while num_samples > 0 and (num_done := len(self._decode(min(block, num_samples)))):
            num_samples -= num_done

    def end(self):
        """The place in the file that the decoder has read up to for the last sample; None where it can't be decoded.

        That takes a FLAC decoder no longer than to open the file: it goes there straight.
        """
        if self.announced is None:
            return None
        before = self.place()
        try:
            os.lseek(self._source, 0, os.SEEK_SET)
            with soundfile.SoundFile(self._source, closefd=False) as file:
                file.seek(self.num_frames - 1)
                return self.place() if len(file.read(1)) else None
        except (soundfile.SoundFileError, RuntimeError):
            return None
        finally:
            os.lseek(self._source, before, os.SEEK_SET)

    def place(self):
        """How far into the file its decoder has read, in bytes."""
        if isinstance(self._source, int):
            return os.lseek(self._source, 0, os.SEEK_CUR)
        return self._source.place_in_file()

    def close(self):
        """Close it; what is below stays open."""
        self._file.close()


def _open(path):
    """Open a file for reading. Raises InputError where it is missing, empty, or none that can be opened."""
    path = Path(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{path}: a folder, not a sound file")
        if not stat.S_ISREG(status.st_mode):  # to open a pipe is to wait for its writer
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
    """The mean (S,) of channels (S, C). numpy's own, along so short an axis, takes ten times as long."""
    mono = samples[:, 0]
    if samples.shape[1] > 1:
        mono = mono.copy()
        for channel in samples.T[1:]:
            mono += channel
        mono /= samples.shape[1]
    return mono


def shown_seconds(seconds, digits=1):
    """Seconds as text, without digits that say nothing: 14.8, 20, 0.125."""
    return f"{seconds:.{digits if seconds >= 1 else max(digits, 3)}f}".rstrip("0").rstrip(".")


def shown_part(heard, announced):
    """`14.8 of 20`, with as many digits as tell the two apart."""
    for digits in (1, 3):
        if round(heard, digits) < round(announced, digits):
            break
    return f"{shown_seconds(heard, digits)} of {shown_seconds(announced, digits)}"


class Sound:
    """An open sound file: the samples of all its streams, in order, at the rate and number of channels of the first.

    `samplerate`, `channels` and `format` are those of the first stream. Raises InputError where the file is missing or no
    sound.
    """

    def __init__(self, path):
        self._path, self._file, self._reader, self._resampler = path, _open(path), None, None
        self._is_over, self._is_bounded = False, True  # whether all is read; whether no sample can be beyond full scale
        self._num_heard, self._num_before, self._num_flac = 0, 0, 1
        self._announced, self._breaks_off, self._remarks = None, False, []
        self._energies = np.zeros(2)  # of the mean of the channels, and the mean of theirs, both without what is constant
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            self._layout = containers.look(self._file, self._size)
            self._parts = list(self._layout.parts)
            self._begin(self._parts.pop(0))
        except OSError as error:
            self.close()
            raise InputError(f"{path}: can't be read as sound ({error.strerror or error})") from None
        except BaseException:
            self.close()
            raise
        self.samplerate, self.channels, self.format = self._reader.samplerate, self._reader.channels, self._reader.format
        self._rate = self.samplerate  # of what is being read

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
            raise InputError(f"{self._path}: says that it has {rate} samples a second; expected {RATES[0]} to {RATES[1]}")

    def _opened(self, part):
        """The reader of a stream: libsndfile, or PyAV where libsndfile does not read all of it."""
        window, reason = Window(self._file, part, self._size), "its format is not known"
        if part.by_libsndfile:
            try:
                reader = _ByLibsndfile(window if part.ranges else self._file.fileno(), part.num_samples)
                if part.num_samples is None or reader.num_frames >= part.num_samples:
                    return reader
                reader.close()
            except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError) as error:
                reason = str(error).split(": ")[-1].strip()
        if not part.demuxer:
            raise InputError(f"{self._path}: can't be read as sound ({reason})")
        window.seek(0)
        return AvFile(self._path, window, part.demuxer)

    def read(self, num_frames):
        """The next samples (S, C) float32, of about `num_frames` or fewer: none at the end."""
        while not self._is_over:
            samples = self._reader.read(num_frames)
            self._is_bounded = self._is_bounded and self._reader.subtype == "PCM_16"
            fitted = self._fit(samples, self._reader.samplerate) if len(samples) else self._end_of_part()
            if len(fitted):
                self._num_heard += len(fitted)
                return fitted
        return np.zeros((0, self.channels), np.float32)

    def _end_of_part(self):
        """Go on to the next stream. Returns what is left of the one that ends, (S, C)."""
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
        return self._flushed() if self._is_over else np.zeros((0, self.channels), np.float32)

    def _next_part(self):
        """The stream that follows; None where none does."""
        if self._parts:
            return self._parts.pop(0)
        if not self._layout.is_flac or not isinstance(self._reader, _ByLibsndfile):
            return None
        begin = self._part.ranges[0][0] if self._part.ranges else 0
        ahead = _READ_AHEAD if self._reader.fault is None else _FAR
        place = flac.following(self._file, max(begin + 1, self._reader.place() - ahead), self._size)
        if place is None:
            return None
        self._num_flac += 1
        return Part(((place, self._size),), (), "flac")

    def _is_joined(self):
        """Whether a FLAC stream of unknown length ended, with an error, where another one follows."""
        if not self._layout.is_flac or self._reader.announced is not None or not isinstance(self._reader, _ByLibsndfile):
            return False
        place = self._reader.place()
        begin = self._part.ranges[0][0] if self._part.ranges else 0
        return flac.following(self._file, max(begin + 1, place - _FAR), place) is not None

    def _note_end(self):
        """Note whether the stream that ends has given all that it announces, and what its reader found odd."""
        reader = self._reader
        self._remarks += [remark for remark in reader.remarks if remark not in self._remarks]
        missing = None if reader.announced is None else reader.announced - reader.seconds
        if missing is None:
            self._breaks_off = reader.fault is not None and not self._is_joined()
        else:
            self._breaks_off = missing > reader.slack
            self._announced = self._num_heard / self.samplerate + missing

    def _fit(self, samples, rate):
        """Samples at a rate, as those of the first stream are: (S, C)."""
        before = self._num_heard / self.samplerate
        left = self._flushed() if rate != self._rate else np.zeros((0, self.channels), np.float32)
        if rate != self._rate:
            self._remark_change(f"changes from {self._rate} to {rate} samples a second", before)
            self._rate = rate
        if samples.shape[1] != self.channels:
            self._remark_change(f"changes from {self.channels} to {samples.shape[1]} channels", before)
            samples = np.repeat(mean_of_channels(samples)[:, None], self.channels, axis=1)
        if rate != self.samplerate:
            if self._resampler is None:
                import soxr

                self._resampler = soxr.ResampleStream(rate, self.samplerate, self.channels, dtype="float32", quality="HQ")
            samples = self._resampler.resample_chunk(np.ascontiguousarray(samples)).reshape(-1, self.channels)
        return np.concatenate([left, samples]) if len(left) else samples

    def _remark_change(self, what, seconds):
        """Note a change of the rate or the channels: the first one says it for all."""
        if not any(remark.startswith("changes ") for remark in self._remarks):
            self._remarks.append(f"{what} after {shown_seconds(seconds)} s; the rest is heard as the beginning is")

    def _flushed(self):
        """What the resampler still holds (S, C)."""
        resampler, self._resampler = self._resampler, None
        if resampler is None:
            return np.zeros((0, self.channels), np.float32)
        return resampler.resample_chunk(np.zeros((0, self.channels), np.float32), last=True).reshape(-1, self.channels)

    def blocks(self, num_frames=sys.maxsize):
        """Decode the first `num_frames`: yield samples (S, C) and their mean (S,) over channels, block by block.

        Raises InputError where the file is broken from its beginning, holds no samples, or ones that are no level.
        """
        size, left = max(1, _BLOCK // self.channels), num_frames
        while left > 0 and len(samples := self.read(min(size, left))):
            samples = samples[:left]
            with np.errstate(over="ignore", invalid="ignore"):
                mono = mean_of_channels(samples)
            if not self._is_bounded and not (np.abs(mono) <= _LOUDEST).all():
                raise InputError(f"{self._path}: holds samples " + (
                    f"beyond {_LOUDEST:g}, which are no sound" if np.isfinite(samples).all() else
                    "that are not finite (NaN or infinity)"))
            self._add_energies(samples, mono)
            yield samples, mono
            left -= len(samples)
        if left == num_frames:
            fault = self._reader.fault
            raise InputError(f"{self._path}: " + (f"broken sound file ({fault})" if fault else "holds no samples"))

    def _add_energies(self, samples, mono):
        """Add up the energies of the channels and of their mean. A constant is no sound."""
        if self.channels == 1:
            return
        varying = mono - mono.mean(dtype=np.float64).astype(np.float32)
        of_mean, of_channels = float(np.vdot(varying, varying)), float(np.vdot(samples, samples)) / self.channels
        if of_mean < _CANCELLED * of_channels:  # seldom, and then what is constant in the channels may be why
            of_channels = float(np.square(samples - samples.mean(axis=0, dtype=np.float64)).sum()) / self.channels
        self._energies += of_mean, of_channels

    def remark_on_mean(self):
        """What to know about the mean of the channels, where they cancel each other; else ""."""
        of_mean, of_channels = self._energies
        if of_channels <= _AUDIBLE * self._num_heard or of_mean >= _CANCELLED * of_channels:
            return ""
        weaker = f"{10 * np.log10(of_channels / of_mean):.0f} dB weaker" if of_mean else "silent"
        return f"has channels that cancel each other: their mean is {weaker}; detect --channels each hears every one"

    def remarks(self):
        """What is wrong with the file, a list of texts, once its sound has been read: as far as that was."""
        heard, share = self._num_heard / self.samplerate, self._layout.share
        found = list(self._remarks)
        if not self._is_over:
            return found
        if self._breaks_off and self._announced is not None:
            found.append(f"breaks off after {shown_part(heard, self._announced)} s")
        elif self._breaks_off or share is None:
            found.append(f"breaks off after {shown_seconds(heard)} s")
        elif share < 1:
            before = self._num_before / self.samplerate
            found.append(f"breaks off after {shown_part(heard, before + (heard - before) / share)} s")
        if self._layout.remark:
            found.append(f"{self._layout.remark}; {shown_seconds(heard)} s are heard")
        if self._num_flac > 1:
            found.append(f"holds {self._num_flac} files, one after the other; {shown_seconds(heard)} s are heard")
        return found

    def seconds(self):
        """How long it lasts, where that can be told without decoding: (seconds or None, whether that is sure)."""
        if isinstance(self._reader, AvFile):
            return self._reader.announced, False
        if self._layout.is_flac:
            end = self._reader.end()
            if end is None or flac.following(self._file, max(1, end - _READ_AHEAD), self._size) is not None:
                return None, False
        total = self._reader.announced
        for part in self._parts:
            with contextlib.closing(self._opened(part)) as reader:
                if isinstance(reader, AvFile) or reader.announced is None:
                    return None, False
                total += reader.announced
        return total, total is not None
