"""Decode sound files by libsndfile, from front to back. S samples, C channels."""

import contextlib
import os
import sys

import numpy as np
import soundfile

ERRORS = (soundfile.SoundFileError, RuntimeError)
_STEPS = (1024, 1)  # samples a call, close to damage
_SKIPPED = 1 << 16  # samples that are dropped at once
_FLAC_LIMIT = (1 << 36) - 1  # the largest number of samples that FLAC can announce: a placeholder
_UNKNOWN = 1 << 60  # libsndfile announces more samples than this if it does not know their number


class _InOrder(soundfile.SoundFile):
    """A sound file without seeks. python-soundfile seeks after each block; some decoders fail."""

    def seekable(self):
        return False


class SndFile:
    """A stream that libsndfile decodes, from front to back.

    Parameters
    ----------
    source : int or Window
        A file descriptor, which stays open, or a Window.
    num_samples : int, optional
        The number of samples that the stream holds, if known.

    Attributes
    ----------
    announced : float or None
        The announced duration in seconds, if known.
    fault : str or None
        Why the stream breaks off, after it did.

    Raises
    ------
    soundfile.SoundFileError
        If libsndfile does not read the format.
    """

    remarks = ()

    def __init__(self, source, num_samples=None):
        self._source, self.fault, self._num_read = source, None, 0
        self._file = self._open()
        self.samplerate, self.channels = self._file.samplerate, self._file.channels
        self.subtype = self._file.subtype
        self.format = f"{self._file.format} {self.subtype}"
        frames = self._file.frames
        is_known = frames < _UNKNOWN and not (self._file.format == "FLAC" and frames == _FLAC_LIMIT)
        self.num_frames = frames if is_known else sys.maxsize
        # Seconds by which a whole file may be too short. MP3 decoders drop the encoder's padding.
        self.slack = 0.5 if self.subtype.startswith("MPEG") else 1.5 / self.samplerate
        num_samples = self.num_frames if num_samples is None else num_samples
        self.announced = num_samples / self.samplerate if num_samples < sys.maxsize else None

    @property
    def seconds(self):
        """The duration that was read so far."""
        return self._num_read / self.samplerate

    def _open(self):
        if isinstance(self._source, int):
            os.lseek(self._source, 0, os.SEEK_SET)
            return _InOrder(self._source, closefd=False)
        self._source.seek(0)
        return _InOrder(self._source)

    def _decode(self, num_frames):
        """Decode the next samples (S, C) float32. numpy scales 16-bit samples faster."""
        if self.subtype != "PCM_16":
            return self._file.read(num_frames, dtype="float32", always_2d=True)
        samples = self._file.read(num_frames, dtype="int16", always_2d=True).astype(np.float32)
        samples *= np.float32(2**-15)
        return samples

    def read(self, num_frames):
        """Decode the next samples (S, C): none at the end."""
        num_frames = min(num_frames, self.num_frames - self._num_read)
        if self.fault is not None or num_frames <= 0:
            return np.zeros((0, self.channels), np.float32)
        try:
            samples = self._decode(num_frames)
        except ERRORS as error:
            self.fault = str(error).strip()
            samples = self._up_to_damage(num_frames)
        self._num_read += len(samples)
        if len(samples) == 0 and not isinstance(self._source, int):
            self.fault = self.fault or self._source.error
        return samples

    def _up_to_damage(self, num_frames):
        """Decode the next samples in small steps: an error discards the good samples of a block."""
        found = [np.zeros((0, self.channels), np.float32)]
        for step in _STEPS:
            self.close()
            with contextlib.suppress(*ERRORS):
                self._file = self._open()
                self._drop(self._num_read + sum(map(len, found)), num_frames)
                while len(part := self._decode(step)):
                    found.append(part)
        return np.concatenate(found)[:num_frames]

    def skip(self, num_samples):
        """Decode samples and drop them."""
        self._drop(num_samples, _SKIPPED)
        self._num_read += num_samples

    def _drop(self, num_samples, block):
        while num_samples > 0 and (num_done := len(self._decode(min(block, num_samples)))):
            num_samples -= num_done

    def end(self):
        """Seek to the last sample. Returns the position in the file; None if decoding it fails.

        For a FLAC decoder, the seek is as fast as opening the file.
        """
        if self.announced is None:
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

    def file_offset(self):
        """Return the decoder's position in the file, in bytes."""
        if isinstance(self._source, int):
            return os.lseek(self._source, 0, os.SEEK_CUR)
        return self._source.offset_in_file()

    def close(self):
        """Close the decoder."""
        self._file.close()
