"""Decode sound files with libsndfile, from the beginning to the end.

Array dimensions: S samples, C channels.
"""

from __future__ import annotations

import contextlib
import os
import sys

import numpy as np
import soundfile

from wsedtk.audio.containers.layout import Window
from wsedtk.core.types import Floats

ERRORS: tuple[type[Exception], ...] = (soundfile.SoundFileError, RuntimeError)
_STEPS = (1024, 1)  # numbers of samples that are decoded per call near damage
_SKIPPED = 1 << 16  # maximum number of samples that are decoded at once to skip them
# The largest number of samples that a FLAC header can announce. If a header announces this number,
# the number of samples is regarded as unknown.
_FLAC_LIMIT = (1 << 36) - 1
_UNKNOWN = 1 << 60  # if libsndfile does not know the number of samples, it returns this or more


class _InOrder(soundfile.SoundFile):  # type: ignore[misc] # soundfile ships no types
    """A sound file that reports that it can't seek.

    Otherwise soundfile seeks after each block that it reads, and some decoders then fail.
    """

    def seekable(self) -> bool:
        return False


class SndFile:
    """A stream that libsndfile decodes from the beginning to the end.

    Parameters
    ----------
    source : int or Window
        A Window, or a file descriptor. The file descriptor is not closed.
    num_samples : int, optional
        The number of samples per channel in the stream, if it is known.

    Attributes
    ----------
    samplerate, channels : int
        The sample rate in Hz and the number of channels.
    num_frames : int
        The number of samples per channel according to the header; sys.maxsize if it is unknown.
    announced : float or None
        The duration in seconds according to `num_samples`, or according to the header if
        `num_samples` is None. None if the duration is unknown.
    slack : float
        The number of seconds by which an undamaged stream may be shorter than announced.
    fault : str or None
        The reason why the stream breaks off; None if no such fault has been found.

    Raises
    ------
    soundfile.SoundFileError
        If libsndfile can't read the format.
    """

    remarks: tuple[str, ...] = ()

    def __init__(self, source: int | Window, num_samples: int | None = None) -> None:
        self._source = source
        self._file = self._open()
        self._num_read = 0
        self.fault: str | None = None
        self.samplerate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.subtype: str = self._file.subtype
        self.format = f"{self._file.format} {self.subtype}"
        frames: int = self._file.frames
        is_known = frames < _UNKNOWN and not (self._file.format == "FLAC" and frames == _FLAC_LIMIT)
        self.num_frames = frames if is_known else sys.maxsize
        # Decoded MP3 can be shorter than announced, because decoders drop the encoder's padding.
        self.slack = 0.5 if self.subtype.startswith("MPEG") else 1.5 / self.samplerate
        num_samples = self.num_frames if num_samples is None else num_samples
        self.announced = num_samples / self.samplerate if num_samples < sys.maxsize else None
        self._ahead = self._no_samples()  # samples that `has_samples` decoded for `read`

    @property
    def seconds(self) -> float:
        """The duration in seconds of the samples that have been read."""
        return self._num_read / self.samplerate

    def _no_samples(self) -> Floats:
        return np.zeros((0, self.channels), np.float32)

    def _open(self) -> _InOrder:
        if isinstance(self._source, int):
            os.lseek(self._source, 0, os.SEEK_SET)
            return _InOrder(self._source, closefd=False)
        self._source.seek(0)
        return _InOrder(self._source)

    def _decode(self, num_frames: int) -> Floats:
        """Decode the next samples (S, C) float32. 16-bit samples are scaled by numpy for speed."""
        samples: Floats
        if self.subtype != "PCM_16":
            samples = self._file.read(num_frames, dtype="float32", always_2d=True)
            return samples
        samples = self._file.read(num_frames, dtype="int16", always_2d=True).astype(np.float32)
        samples *= np.float32(2**-15)
        return samples

    def read(self, num_frames: int) -> Floats:
        """Decode at most `num_frames` samples (S, C). Returns an empty array at the end."""
        if len(self._ahead):
            samples, self._ahead = self._ahead, self._no_samples()
            return samples
        num_frames = min(num_frames, self.num_frames - self._num_read)
        if self.fault is not None or num_frames <= 0:
            return self._no_samples()
        try:
            samples = self._decode(num_frames)
        except ERRORS as error:
            self.fault = str(error).strip()
            samples = self._up_to_damage(num_frames)
        self._num_read += len(samples)
        if len(samples) == 0 and not isinstance(self._source, int):
            self.fault = self.fault or self._source.error
        return samples

    def _up_to_damage(self, num_frames: int) -> Floats:
        """Decode the samples before the damage in small steps.

        If an error occurs in a block, libsndfile discards the samples of this block.
        """
        found = [self._no_samples()]
        for step in _STEPS:
            self.close()
            with contextlib.suppress(*ERRORS):
                self._file = self._open()
                self._drop(self._num_read + sum(map(len, found)), num_frames)
                while len(part := self._decode(step)):
                    found.append(part)
        return np.concatenate(found)[:num_frames]

    def skip(self, num_samples: int) -> None:
        """Skip the first samples of a stream that has not been read."""
        try:
            self._file.seek(num_samples)
        except ERRORS:  # for example because other bytes follow the stream
            self.close()
            self._file = self._open()
            self._drop(num_samples, _SKIPPED)
        self._num_read = num_samples

    def has_samples(self) -> bool:
        """Return whether more samples can be decoded."""
        if not len(self._ahead):
            self._ahead = self.read(1)
        return len(self._ahead) > 0

    def _drop(self, num_samples: int, block: int) -> None:
        while num_samples > 0 and (num_done := len(self._decode(min(block, num_samples)))):
            num_samples -= num_done

    def end(self) -> int | None:
        """Decode the last sample, and return the decoder's position in the file, in bytes.

        Returns None if the last sample can't be decoded, if the number of samples is unknown, or if
        the source is a Window. In a FLAC file, seeking to the last sample takes no longer than
        opening the file.
        """
        if self.announced is None or not isinstance(self._source, int):
            return None
        before = self.file_offset()
        try:
            os.lseek(self._source, 0, os.SEEK_SET)
            with soundfile.SoundFile(self._source, closefd=False) as file:
                file.seek(self.num_frames - 1)
                return self.file_offset() if len(file.read(1)) else None
        except ERRORS:
            return None
        finally:
            os.lseek(self._source, before, os.SEEK_SET)

    def file_offset(self) -> int:
        """Return the decoder's position in the file, in bytes."""
        if isinstance(self._source, int):
            return os.lseek(self._source, 0, os.SEEK_CUR)
        return self._source.offset_in_file()

    def close(self) -> None:
        """Close the decoder."""
        self._file.close()
