"""Decode samples that arrive as blocks of bytes: WAV from a pipe, or raw samples.

Array dimensions: S samples, C channels.
"""

import struct
from typing import NamedTuple

import numpy as np

from wsedtk.audio.containers.chunks import TRAILERS, is_placeholder
from wsedtk.audio.sound_file import RATES
from wsedtk.core.errors import InputError
from wsedtk.core.types import Floats
from wsedtk.core.wording import counted

_INTEGERS = {"u8": 1, "s16": 2, "s24": 3, "s32": 4}  # bytes per sample
_FLOATS = {"f32": 4, "f64": 8}
_BYTES = {**_INTEGERS, **_FLOATS}
_MOST_CHANNELS = 1024
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE  # codes of formats in WAV headers
_FILES = (b"RIFF", b"RF64", b"BW64")
_CODECS = {6: "A-law", 7: "mu-law", 2: "ADPCM", 0x11: "ADPCM", 0x55: "MP3", 0x161: "WMA"}
# The beginnings of other formats, as (offset, bytes).
_OTHER_FORMATS = {
    "Ogg": (0, b"OggS"),
    "FLAC": (0, b"fLaC"),
    "MP3 with an ID3 tag": (0, b"ID3"),
    "MP4": (4, b"ftyp"),
    "Matroska or WebM": (0, b"\x1aE\xdf\xa3"),
    "AIFF": (0, b"FORM"),
    "AU": (0, b".snd"),
    "CAF": (0, b"caff"),
    "MP3": (0, b"\xff\xfb"),
    "AAC": (0, b"\xff\xf1"),
    "MPEG-TS": (0, b"G@"),
}


class PcmFormat(NamedTuple):
    """The format of uncompressed samples.

    Attributes
    ----------
    sample_rate : int
        In Hz.
    num_channels : int
    encoding : str
        "u8", "s16", "s24", "s32", "f32" or "f64": unsigned integers, signed integers or floats with
        this number of bits, little-endian. The channels of a sample follow each other.
    """

    sample_rate: int
    num_channels: int
    encoding: str

    @property
    def num_bytes(self) -> int:
        """The number of bytes of one sample of all channels."""
        return self.num_channels * _BYTES[self.encoding]

    @property
    def is_bounded(self) -> bool:
        """Whether all samples are in [-1, 1]."""
        return self.encoding in _INTEGERS

    def decode(self, data: bytes) -> Floats:
        """Decode whole samples. Return (S, C) float32 with full scale 1."""
        size = _BYTES[self.encoding]
        values: Floats
        if self.encoding in _FLOATS:
            with np.errstate(over="ignore"):
                values = np.frombuffer(data, f"<f{size}").astype(np.float32)
        elif self.encoding == "u8":
            values = (np.frombuffer(data, "u1").astype(np.float32) - 128) / 128
        elif self.encoding != "s24":
            values = np.frombuffer(data, f"<i{size}").astype(np.float32)
            values /= np.float32(2 ** (8 * size - 1))
        else:
            parts = np.frombuffer(data, "u1").reshape(-1, size)
            wide = np.zeros((len(parts), 4), "u1")
            wide[:, 4 - size :] = parts
            values = wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
        return values.reshape(-1, self.num_channels)


class RawDecoder:
    """A decoder of raw samples.

    Parameters
    ----------
    format : PcmFormat
    """

    def __init__(self, format: PcmFormat) -> None:
        self.format: PcmFormat | None = format
        self._decode = _Samples(format)

    def push(self, data: bytes) -> Floats:
        """Add the next bytes, and return the complete samples (S, C)."""
        return self._decode(data)

    def finish(self) -> None:
        """End the stream. Bytes of an incomplete sample are dropped."""


class _Samples:
    """A function that decodes bytes, and keeps those of an incomplete sample for the next call."""

    def __init__(self, format: PcmFormat) -> None:
        self._format, self._rest = format, b""

    def __call__(self, data: bytes) -> Floats:
        data = self._rest + data
        num_whole = len(data) - len(data) % self._format.num_bytes
        self._rest = data[num_whole:]
        return self._format.decode(data[:num_whole])


class WavDecoder:
    """A decoder of WAV files that arrive in blocks of bytes.

    A program that writes to a pipe does not know the number of samples in advance. If the header
    contains a placeholder for this number, or if no chunk follows the announced samples, the
    samples extend to the end of the stream. If another WAV file follows, its samples are added.

    Parameters
    ----------
    name : str
        The name of the stream, for messages.

    Attributes
    ----------
    format : PcmFormat or None
        The format of the samples. None before it has been read.
    """

    def __init__(self, name: str) -> None:
        self.format: PcmFormat | None = None
        self._name = name
        self._rest = b""  # bytes that have not been parsed
        self._num_skipped = 0  # bytes to skip before the next chunk
        self._num_data: int | None = 0  # bytes of samples before the next chunk; None: no end
        self._num_data_64: int | None = None  # the number of bytes of samples in an RF64 file
        self._is_padded = False  # whether a byte may follow the samples
        self._has_begun = False  # whether the mark of the file has been read
        self._has_samples = False  # whether samples have begun
        self._is_after_samples = False  # whether the bytes before the next chunk are samples
        self._decode: _Samples | None = None

    def push(self, data: bytes) -> Floats:
        """Add the next bytes, and return the complete samples (S, C). (0, 1) before the first.

        Raises
        ------
        InputError
            If the stream is not a WAV file, or if its samples are compressed.
        """
        self._rest += data
        found: list[Floats] = []
        while self._rest:
            if self._num_skipped:
                count = min(self._num_skipped, len(self._rest))
                self._rest, self._num_skipped = self._rest[count:], self._num_skipped - count
            elif self._num_data != 0:
                found.append(self._take_samples())
            elif not self._next_chunk():
                break
        if not found:
            return np.zeros((0, 1 if self.format is None else self.format.num_channels), np.float32)
        return found[0] if len(found) == 1 else np.concatenate(found)

    def finish(self) -> None:
        """End the stream. Raise InputError if it has ended before its first sample."""
        if not self._has_samples and (self._rest or self._has_begun):
            if not self._has_begun:
                self._fail_to_recognise()
            raise InputError(f"{self._name}: the header of the WAV file is incomplete")

    def _take_samples(self) -> Floats:
        assert self._decode is not None
        end = len(self._rest) if self._num_data is None else self._num_data
        data, self._rest = self._rest[:end], self._rest[end:]
        if self._num_data is not None:
            self._num_data -= len(data)
        return self._decode(data)

    def _next_chunk(self) -> bool:
        """Read the header of the next chunk, and some chunks. Return False to wait for bytes."""
        if len(self._rest) < (8 if self._has_begun else 12):
            return False
        if self._is_padded:
            self._is_padded = False
            if not _is_known(self._rest[:4]):
                self._rest = self._rest[1:]
                return True
        mark, size = self._rest[:4], int.from_bytes(self._rest[4:8], "little")
        if mark in _FILES:
            return self._begin_file()
        if not self._has_begun:
            self._fail_to_recognise()
        if self._is_after_samples and not _is_known(mark):
            self._num_data = None
            return True
        self._is_after_samples = False
        if mark == b"data":
            self._begin_samples(size)
            return True
        if not all(32 <= byte < 127 for byte in mark):
            raise InputError(
                f"{self._name}: found no samples in the WAV file; its header is damaged"
            )
        if mark in (b"fmt ", b"ds64"):
            return self._read_chunk(mark, size)
        self._rest, self._num_skipped = self._rest[8:], size + size % 2
        return True

    def _begin_file(self) -> bool:
        if len(self._rest) < 12:
            return False
        if self._rest[8:12] != b"WAVE":
            self._fail_to_recognise()
        self._has_begun, self._rest, self._num_data_64 = True, self._rest[12:], None
        self._is_after_samples = False
        return True

    def _read_chunk(self, mark: bytes, size: int) -> bool:
        if size > 4096 or size < 16:
            raise InputError(
                f"{self._name}: the chunk {mark.decode()!r} of the WAV header has {size} bytes; "
                "the header is damaged"
            )
        if len(self._rest) < 8 + size + size % 2:
            return False
        content, self._rest = self._rest[8 : 8 + size], self._rest[8 + size + size % 2 :]
        if mark == b"ds64":
            self._num_data_64 = int.from_bytes(content[8:16], "little")
            return True
        found = self._parse_format(content)
        if self.format is not None and found != self.format:
            raise InputError(
                f"{self._name}: the format changes from {self.format} to {found}; expected sound "
                "of one format"
            )
        self.format = found
        return True

    def _begin_samples(self, size: int) -> None:
        if self.format is None:
            raise InputError(f"{self._name}: the WAV header does not describe the samples")
        self._rest, self._has_samples, self._is_after_samples = self._rest[8:], True, True
        self._decode = _Samples(self.format)
        num_bits = 32
        if size == 0xFFFFFFFF and self._num_data_64:
            size, num_bits = self._num_data_64, 64
        self._num_data = None if is_placeholder(size, num_bits) else size
        self._is_padded = size % 2 == 1

    def _parse_format(self, content: bytes) -> PcmFormat:
        code, channels, rate, _, block, bits = struct.unpack("<HHIIHH", content[:16])
        if code == _EXTENSIBLE and len(content) >= 26:
            code = int.from_bytes(content[24:26], "little")
        size = block // channels if channels else 0
        table = {_PCM: _INTEGERS, _FLOAT: _FLOATS}.get(code, {})
        names = [name for name, num_bytes in table.items() if num_bytes == size]
        if not table:
            codec = _CODECS.get(code, f"a codec with the number {code}")
            raise InputError(
                f"{self._name}: the samples are compressed ({codec}); {_advice('-c:a pcm_s16le')}"
            )
        if not (RATES[0] <= rate <= RATES[1] and 1 <= channels <= _MOST_CHANNELS and names):
            raise InputError(
                f"{self._name}: the WAV header announces {counted(channels, 'channel')}, {rate} Hz "
                f"and {bits} bits per sample; expected 1 to {_MOST_CHANNELS} channels, {RATES[0]} "
                f"to {RATES[1]} Hz, and 8, 16, 24 or 32 bits, or floats of 32 or 64 bits"
            )
        return PcmFormat(rate, channels, names[0])

    def _fail_to_recognise(self) -> None:
        head = self._rest[:12]
        for name, (offset, mark) in _OTHER_FORMATS.items():
            if head[offset : offset + len(mark)] == mark:
                raise InputError(f"{self._name}: is {name}, expected WAV; {_advice()}")
        raise InputError(
            f"{self._name}: expected WAV, found the bytes {head[:8].hex(' ')}; {_advice()}; if the "
            "samples are raw, give their sample rate with --raw-rate"
        )


def _advice(options: str = "") -> str:
    """Return how to convert sound to WAV with ffmpeg. `options` are further options of ffmpeg."""
    words = ["ffmpeg -v error -i -", *filter(None, [options]), "-f wav -"]
    return f"convert it first: ... | {' '.join(words)} | wsedtk detect MODEL --stream"


def _is_known(mark: bytes) -> bool:
    """Return whether a chunk with this mark may follow the samples of a WAV file."""
    return mark in TRAILERS or mark in _FILES or mark in (b"data", b"fmt ")
