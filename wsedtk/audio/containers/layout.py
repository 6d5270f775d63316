"""Describe the streams of a file (Layout, Part), and read one stream as a file (Window).

All offsets and lengths are in bytes.
"""

from __future__ import annotations

import dataclasses
import io
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Range(NamedTuple):
    """A range of bytes of a file. `end` is the offset after the last byte."""

    start: int
    end: int


class Patch(NamedTuple):
    """A replacement for a header field: the offset of the field in the file, and the new bytes."""

    offset: int
    content: bytes


@dataclasses.dataclass(frozen=True)
class Part:
    """One stream of sound in a file.

    Attributes
    ----------
    ranges : tuple of Range
        The bytes of the stream. If empty, the stream is the complete file, without patches.
    patches : tuple of Patch
        Replacements for wrong header fields.
    demuxer : str
        FFmpeg's name of the format; "" if FFmpeg must not be tried.
    num_samples : int or None
        The number of samples per channel in the stream; None if it is unknown.
    by_libsndfile : bool
        Whether to try libsndfile before FFmpeg.
    """

    ranges: tuple[Range, ...] = ()
    patches: tuple[Patch, ...] = ()
    demuxer: str = ""
    num_samples: int | None = None
    by_libsndfile: bool = True


@dataclasses.dataclass(frozen=True)
class Layout:
    """The streams of a file, in the order of their offsets.

    Attributes
    ----------
    parts : tuple of Part
    share : float or None
        The existing length of the last stream as a fraction of its announced length. For a damaged
        MP3 file that announces no length, it is the fraction of the file before the damage. None if
        the stream breaks off and the fraction is unknown.
    remark : str
        A fault of the file that `share` does not describe, or "".
    is_flac : bool
        Whether the file is FLAC. Further streams of a FLAC file are found only after decoding.
    """

    parts: tuple[Part, ...] = (Part(),)
    share: float | None = 1.0
    remark: str = ""
    is_flac: bool = False


def read_at(file: BinaryIO, offset: int, num_bytes: int) -> bytes:
    """Read bytes at an offset of a file. Returns fewer bytes at the end of the file."""
    file.seek(offset)
    content = file.read(num_bytes) or b""
    while len(content) < num_bytes and (more := file.read(num_bytes - len(content))):
        content += more
    return content


class _Piece(NamedTuple):
    """A range of the file, and its offset in a Window."""

    begin: int  # offset in the window
    start: int  # offset in the file
    length: int

    @property
    def end(self) -> int:
        """The offset after the last byte of the piece, in the window."""
        return self.begin + self.length


class Window(io.RawIOBase):
    """A read-only file that consists of the bytes of a Part.

    The methods are called by C code, which would print an exception and continue. Therefore the
    methods do not raise exceptions: `seek` returns -1 for an impossible position, and `readinto`
    returns 0 if a read error occurs, as it does at the end of the file.

    Parameters
    ----------
    file : binary file, unbuffered
    part : Part
    size : int
        The number of bytes of the file.

    Attributes
    ----------
    error : str or None
        The reason for a read error; None if no read error has occurred.
    """

    def __init__(self, file: BinaryIO, part: Part, size: int) -> None:
        super().__init__()
        self.error: str | None = None
        self._file, self._patches = file, part.patches
        self._offset, self._length = 0, 0
        self._pieces: list[_Piece] = []
        for start, end in part.ranges or (Range(0, size),):
            self._pieces.append(_Piece(self._length, start, end - start))
            self._length += end - start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._offset

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position. Returns the position, or -1 if it is impossible."""
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._length}
        if whence not in bases or not 0 <= bases[whence] + offset < 1 << 62:
            return -1
        self._offset = bases[whence] + offset
        return self._offset

    def offset_in_file(self) -> int:
        """Return the position in the underlying file."""
        for piece in self._pieces:
            if self._offset < piece.end:
                return piece.start + max(0, self._offset - piece.begin)
        return self._pieces[-1].start + self._pieces[-1].length

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read bytes of one piece into a buffer.

        Returns the number of bytes that were read. It is 0 at the end of the Window and if a read
        error occurs.
        """
        view = memoryview(buffer).cast("B")
        piece = next((p for p in self._pieces if p.begin <= self._offset < p.end), None)
        if piece is None:
            return 0
        offset = piece.start + self._offset - piece.begin
        try:
            content = read_at(self._file, offset, min(len(view), piece.end - self._offset))
        except OSError as error:
            self.error = error.strerror or str(error)
            return 0
        view[: len(content)] = content
        for at, patch in self._patches:
            first, last = max(at, offset), min(at + len(patch), offset + len(content))
            if first < last:
                view[first - offset : last - offset] = patch[first - at : last - at]
        self._offset += len(content)
        return len(content)
