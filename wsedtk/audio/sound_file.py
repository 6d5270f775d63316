"""Open any sound file: with libsndfile, or with PyAV if libsndfile cannot read the complete file.

All sound is read through the class `Sound`. This class also reads files that were never closed,
that consist of several concatenated files, or that break off. If decoding fails within a file, the
class returns the samples that were decoded before. `Sound.remarks` describes the faults of a file.

Array dimensions: S samples, C channels.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from wsedtk.audio.av_file import AvFile
from wsedtk.audio.channel_mean import CancellationMeter, check_samples, mean_of_channels
from wsedtk.audio.containers import flac
from wsedtk.audio.containers.find_layout import find_layout
from wsedtk.audio.containers.layout import Part, Range, Window
from wsedtk.audio.sndfile import ERRORS, SndFile
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.types import Floats
from wsedtk.core.wording import counted

if TYPE_CHECKING:
    from soxr import ResampleStream

_BLOCK = 1 << 22  # number of samples (all channels) that are decoded at once, to bound the memory
RATES = (100, 1_000_000)  # valid sample rates in Hz; a damaged header can contain up to 2^31 Hz
_READ_AHEAD = 1 << 14  # bytes that a FLAC decoder may have read beyond the end of a stream
_FAR = 1 << 20  # bytes that a FLAC decoder may have read in search of the next frame
_NOT_OPENED: tuple[type[Exception], ...] = (*ERRORS, TypeError, ValueError)


def _open(path: PathLike) -> BinaryIO:
    """Open a file for reading.

    Raises InputError if the path is missing, is not a regular file, is empty or can't be opened.
    """
    path = Path(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{path}: is a folder, not a sound file")
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its writer
            raise InputError(f"{path}: is a pipe, socket or device, not a sound file")
        if status.st_size == 0:
            raise InputError(f"{path}: is an empty file")
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: can't be read as sound ({reason})") from None


def shown_seconds(seconds: float, digits: int = 1) -> str:
    """Format seconds without trailing zeros: 14.8, 20, 0.125."""
    digits = digits if seconds >= 1 else max(digits, 3)
    return f"{seconds:.{digits}f}".rstrip("0").rstrip(".")


def _shown_part(decoded: float, announced: float) -> str:
    """Format two durations as `14.8 of 20`, with enough digits to show that they differ."""
    digits = next((n for n in (1, 3) if round(decoded, n) < round(announced, n)), 6)
    return f"{shown_seconds(decoded, digits)} of {shown_seconds(announced, digits)}"


class Duration(NamedTuple):
    """The duration of a file, found without decoding the complete file."""

    seconds: float | None  # None if it is unknown
    is_certain: bool  # whether the decoded samples certainly have this duration


class Block(NamedTuple):
    """Consecutive samples (S, C) float32, and the mean of their channels (S,) float32."""

    samples: Floats
    mono: Floats


class Sound:
    """An open sound file. Its streams are read one after the other.

    All samples are converted to the sample rate and the number of channels of the first stream.

    Parameters
    ----------
    path : path-like

    Attributes
    ----------
    samplerate, channels : int
        The sample rate in Hz and the number of channels of the first stream.
    format : str
        The container and codec of the first stream, for example "WAV PCM_16".

    Raises
    ------
    InputError
        If the file is missing, or can't be read as sound.
    """

    def __init__(self, path: PathLike) -> None:
        self._path, self._file = path, _open(path)
        self._resampler: ResampleStream | None = None
        self._is_over = False  # whether all samples have been read
        self._is_bounded = True  # whether all samples so far were 16-bit integers
        self._num_read = 0  # samples that have been read
        self._num_before = 0  # samples that have been read from earlier streams
        self._num_flac = 1  # number of streams of a FLAC file that have been found
        self._announced: float | None = None  # announced seconds, if the file breaks off
        self._breaks_off = False
        self._remarks: list[str] = []
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            self._layout = find_layout(self._file, self._size)
            self._part, *self._parts = self._layout.parts
            self._reader = self._open_reader(self._part)
        except OSError as error:
            self._file.close()
            reason = error.strerror or error
            raise InputError(f"{path}: can't be read as sound ({reason})") from None
        except BaseException:
            self._file.close()
            raise
        self.samplerate, self.channels = self._reader.samplerate, self._reader.channels
        self.format = self._reader.format
        self._rate = self.samplerate  # sample rate of the current stream
        self._cancellation = CancellationMeter(self.channels)

    def __enter__(self) -> Sound:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
        self._file.close()

    def _open_reader(self, part: Part) -> SndFile | AvFile:
        """Open a stream with libsndfile, or with PyAV if libsndfile can't read the complete stream.

        Raises InputError if neither can read it, or if its sample rate is outside of `RATES`.
        """
        reader = self._by_libsndfile_or_pyav(part)
        rate = reader.samplerate
        if not RATES[0] <= rate <= RATES[1]:
            reader.close()
            raise InputError(
                f"{self._path}: the sample rate is {rate} Hz; expected {RATES[0]} to {RATES[1]} Hz"
            )
        return reader

    def _by_libsndfile_or_pyav(self, part: Part) -> SndFile | AvFile:
        window, reason = Window(self._file, part, self._size), "Format not recognised."
        if part.by_libsndfile:
            try:
                reader = SndFile(window if part.ranges else self._file.fileno(), part.num_samples)
                if part.num_samples is None or reader.num_frames >= part.num_samples:
                    return reader
                reader.close()
            except _NOT_OPENED as error:
                reason = str(error).split(": ")[-1].strip()
        if not part.demuxer:
            raise InputError(f"{self._path}: can't be read as sound ({reason})")
        window.seek(0)
        return AvFile(self._path, window, part.demuxer)

    def read(self, num_frames: int) -> Floats:
        """Decode the next samples, at most `num_frames` of one stream. Returns (S, C) float32.

        If a stream is resampled, the returned array can contain more than `num_frames` samples.
        At the end of the file, the returned array is empty.
        """
        while not self._is_over:
            samples = self._reader.read(num_frames)
            self._is_bounded = self._is_bounded and self._reader.subtype == "PCM_16"
            if len(samples):
                samples = self._fit(samples, self._reader.samplerate)
            else:
                samples = self._end_of_part()
            if len(samples):
                self._num_read += len(samples)
                return samples
        return self._no_samples()

    def _no_samples(self) -> Floats:
        return np.zeros((0, self.channels), np.float32)

    def _end_of_part(self) -> Floats:
        """Begin the next stream, and return an empty array.

        If the current stream breaks off, or no stream can be opened after it, return the
        resampler's last samples (S, C).
        """
        self._note_end()
        self._is_over = self._breaks_off or not self._begin_next()
        return self._flush() if self._is_over else self._no_samples()

    def _begin_next(self) -> bool:
        """Begin the next stream. Returns False if there is none, or if it can't be opened."""
        try:
            if self._parts:
                part = self._parts.pop(0)
                reader = self._open_reader(part)
            elif isinstance(self._reader, SndFile) and self._layout.is_flac:
                found = self._next_flac(self._reader)
                if found is None:
                    return False
                part, reader = found
            else:
                return False
        except (InputError, OSError):
            self._breaks_off = True
            return False
        self._reader.close()
        self._part, self._reader, self._num_before = part, reader, self._num_read
        return True

    def _next_flac(self, reader: SndFile) -> tuple[Part, SndFile | AvFile] | None:
        """Return the next FLAC stream and its reader.

        If no stream follows, but the current stream is longer than announced, return the current
        stream and a reader that starts after the announced samples. Otherwise return None.
        """
        # This line must precede the search for the next stream, because the search changes the
        # reader's position in the file.
        is_at_end = self._size - reader.file_offset() <= _READ_AHEAD
        ahead = _READ_AHEAD if reader.fault is None else _FAR
        start = self._flac_start(reader, ahead, self._size)
        if start is not None:
            self._num_flac += 1
            part = Part((Range(start, self._size),), demuxer="flac")
            return part, self._open_reader(part)
        return None if is_at_end or reader.fault else self._rest_of_flac(reader)

    def _rest_of_flac(self, reader: SndFile) -> tuple[Part, SndFile] | None:
        """Return the part and the reader of a FLAC stream that is longer than its header announces.

        The reader starts after the announced samples. Returns None if no further samples are found.
        """
        start = flac.next_stream(self._file, self._part_start(), self._size)
        if reader.announced is None or start is None:
            return None
        patch = flac.without_total(self._file, start)
        part = Part((Range(start, self._size),), (patch,), "flac")
        longer = self._by_libsndfile_or_pyav(part)
        if isinstance(longer, SndFile):
            with contextlib.suppress(*ERRORS):
                longer.skip(round(reader.seconds * reader.samplerate))
                if longer.has_samples():
                    self._remarks.append("is longer than its header announces")
                    return part, longer
        longer.close()
        return None

    def _part_start(self) -> int:
        return self._part.ranges[0].start if self._part.ranges else 0

    def _flac_start(self, reader: SndFile, ahead: int, limit: int) -> int | None:
        """Return the offset of the next FLAC stream; None if no stream begins before `limit`.

        ahead: number of bytes that the decoder may have read beyond the end of the current stream.
        """
        start = max(self._part_start() + 1, reader.file_offset() - ahead)
        return flac.next_stream(self._file, start, limit)

    def _note_end(self) -> None:
        """Add the reader's remarks, and determine whether the current stream breaks off."""
        reader = self._reader
        self._remarks += [remark for remark in reader.remarks if remark not in self._remarks]
        if reader.announced is None:
            # A FLAC decoder reports the beginning of another stream as an error.
            self._breaks_off = reader.fault is not None and not self._is_before_flac(reader)
            return
        missing = reader.announced - reader.seconds
        is_short = missing > reader.slack
        # For a fragmented file, FFmpeg announces only the duration of the fragments that it found.
        is_faulty = isinstance(reader, AvFile) and reader.fault is not None
        self._breaks_off = is_short or is_faulty
        self._announced = self._num_read / self.samplerate + missing if is_short else None

    def _is_before_flac(self, reader: SndFile | AvFile) -> bool:
        """Return whether another FLAC stream begins before the decoder's position."""
        if not (self._layout.is_flac and isinstance(reader, SndFile)):
            return False
        return self._flac_start(reader, _FAR, reader.file_offset()) is not None

    def _fit(self, samples: Floats, rate: int) -> Floats:
        """Convert samples (S, C) to the sample rate and number of channels of the first stream."""
        before = shown_seconds(self._num_read / self.samplerate)
        held = self._no_samples()
        if rate != self._rate:
            held = self._flush()
            self._remark_change(
                f"changes from {self._rate} to {rate} Hz after {before} s; later sound is resampled"
            )
            self._rate = rate
        if samples.shape[1] != self.channels:
            found = samples.shape[1]
            self._remark_change(
                f"changes from {self.channels} to {counted(found, 'channel')} after {before} s; "
                "later sound is replaced by the mean of its channels"
            )
            samples = np.repeat(mean_of_channels(samples)[:, None], self.channels, axis=1)
        if rate != self.samplerate:
            samples = self._resample(samples, rate)
        return np.concatenate([held, samples]) if len(held) else samples

    def _resample(self, samples: Floats, rate: int) -> Floats:
        if self._resampler is None:
            import soxr

            self._resampler = soxr.ResampleStream(
                rate, self.samplerate, self.channels, dtype="float32", quality="HQ"
            )
        samples = self._resampler.resample_chunk(np.ascontiguousarray(samples))
        return samples.reshape(-1, self.channels)

    def _remark_change(self, remark: str) -> None:
        """Add a remark on a change of the rate or of the channels, if it is the first change."""
        if not any(other.startswith("changes ") for other in self._remarks):
            self._remarks.append(remark)

    def _flush(self) -> Floats:
        """Finish the resampling, and return the last samples (S, C)."""
        resampler, self._resampler = self._resampler, None
        if resampler is None:
            return self._no_samples()
        rest: Floats = resampler.resample_chunk(self._no_samples(), last=True)
        return rest.reshape(-1, self.channels)

    def blocks(self, num_frames: int = sys.maxsize) -> Generator[Block, None, None]:
        """Decode the first `num_frames` samples block by block; by default, all samples.

        Yields
        ------
        samples : (S, C) float32
        mono : (S,) float32
            The mean of the channels.

        Raises
        ------
        InputError
            If no samples can be decoded, or if samples are not finite or are too large.
        """
        size, left = max(1, _BLOCK // self.channels), num_frames
        while left > 0 and len(samples := self.read(min(size, left))):
            samples = samples[:left]
            with np.errstate(over="ignore", invalid="ignore"):
                mono = mean_of_channels(samples)
            if not self._is_bounded:
                check_samples(samples, mono, self._path)
            self._cancellation.add(samples, mono)
            yield Block(samples, mono)
            left -= len(samples)
        if left == num_frames:
            reason = "contains no samples"
            if self._reader.fault:
                reason = f"no samples can be decoded ({self._reader.fault})"
            raise InputError(f"{self._path}: {reason}")

    def remark_on_mean(self) -> str:
        """Return a remark if the channels cancel each other in their mean, otherwise ""."""
        return self._cancellation.remark()

    def remarks(self) -> list[str]:
        """Return the file's faults as texts. The list is complete after the file has been read."""
        found = list(self._remarks)
        if not self._is_over:
            return found
        decoded = self._num_read / self.samplerate
        total = self._total(decoded)
        if total is not None and total > decoded:
            found.append(f"breaks off after {_shown_part(decoded, total)} s")
        elif self._breaks_off or self._layout.share is None:
            found.append(f"breaks off after {shown_seconds(decoded)} s")
        elif isinstance(self._reader, AvFile) and self._reader.film_seconds is not None:
            if self._reader.lacks_sound():
                film = shown_seconds(self._reader.film_seconds)
                found.append(f"contains {shown_seconds(decoded)} s of sound, but lasts {film} s")
        faults = [self._layout.remark]
        if self._num_flac > 1:
            faults.append(f"is a concatenation of {self._num_flac} files")
        return found + [
            f"{fault}; decoded: {shown_seconds(decoded)} s" for fault in faults if fault
        ]

    def _total(self, decoded: float) -> float | None:
        """Return the duration in seconds that the complete file would have; None if it is unknown.

        decoded: the duration of the decoded samples in seconds. If no sound is missing, this
        duration is returned.
        """
        if self._breaks_off:
            return self._announced
        if self._layout.share is None:
            return None
        before = self._num_before / self.samplerate
        return before + (decoded - before) / self._layout.share

    def seconds(self) -> Duration:
        """Return the duration without decoding the complete file."""
        if isinstance(self._reader, AvFile):
            return Duration(self._reader.announced, False)
        if self._layout.is_flac and not self._is_one_flac(self._reader):
            return Duration(None, False)
        total = self._reader.announced
        if self.format.endswith("MPEG_LAYER_III"):
            return Duration(total, not self.format.startswith("WAV"))
        for part in self._parts:
            with contextlib.closing(self._by_libsndfile_or_pyav(part)) as reader:
                if isinstance(reader, AvFile) or reader.announced is None or total is None:
                    return Duration(None, False)
                total += reader.announced
        return Duration(total, total is not None)

    def _is_one_flac(self, reader: SndFile) -> bool:
        """Return whether a FLAC file is a single stream with the announced number of samples."""
        end = reader.end()
        if end is None or self._size - end > _READ_AHEAD:
            return False
        start = flac.next_stream(self._file, 0, self._size)
        return start is not None and flac.next_stream(self._file, start + 1, self._size) is None
