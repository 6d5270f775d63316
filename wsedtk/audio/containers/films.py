"""Find the streams in files that FFmpeg reads, such as containers of pictures and sound.

FFmpeg often does not report that a file breaks off, and returns a wrong duration. Therefore, the
number of bytes that a header announces is compared with the size of the file. A file may also be a
concatenation of several complete files.
"""

import struct
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from wsedtk.audio.containers.layout import Layout, Part, Range, read_at

_MOST_BOXES = 1_000_000  # maximum number of boxes in a file
_FLV_HEADER, _FLV_TAG = 13, 15  # bytes, including the field for the size of the previous tag
_FLV_KINDS = (8, 9, 18)  # tags with sound, pictures and text
_SEGMENT = b"\x18\x53\x80\x67"
_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_UNKNOWN = (0, 0xFFFFFFFF)  # the header of a file that was never closed contains one of these sizes


class _Extent(NamedTuple):
    """The offsets at which concatenated files begin, and the offset at which the last file ends."""

    starts: list[int]
    end: int | None  # according to the headers; None if it is unknown


def find_layout(file: BinaryIO, size: int, demuxer: str) -> Layout:
    """Return the Layout of a file that FFmpeg reads with this demuxer."""
    measure = _MEASURES.get(demuxer)
    starts, end = _Extent([0], None) if measure is None else measure(file, size)
    share = 1.0 if end is None or end <= size else None
    if len(starts) == 1:
        return Layout((Part(demuxer=demuxer, by_libsndfile=False),), share)
    parts = tuple(
        Part((Range(start, stop),), demuxer=demuxer, by_libsndfile=False)
        for start, stop in zip(starts, [*starts[1:], size])
    )
    return Layout(parts, share, f"is a concatenation of {len(starts)} files")


def _mov(file: BinaryIO, size: int) -> _Extent:
    """Return the extent of MP4, M4A, 3GP and MOV files, from the sizes of their boxes.

    A further file begins at each box `ftyp` after the first box.
    """
    starts, offset = [0], 0
    for _ in range(_MOST_BOXES):
        head = read_at(file, offset, 16)
        if len(head) < 8:
            return _Extent(starts, None)
        length, name = struct.unpack(">I4s", head[:8])
        if not name.isalnum():
            return _Extent(starts, None)
        if name == b"ftyp" and offset > 0:
            starts.append(offset)
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        if length < 8:  # 0 means that the box extends to the end of the file; 1 to 7 are invalid
            return _Extent(starts, None)
        offset += length
        if offset >= size:
            return _Extent(starts, offset)
    return _Extent(starts, None)


def _flv(file: BinaryIO, size: int) -> _Extent:
    """Return the extent of Flash files, from the sizes of the tags after each file's header."""
    starts, offset = [0], _FLV_HEADER
    while offset < size:
        head = read_at(file, offset, 4)
        if head == b"FLV\x01":
            starts.append(offset)
            offset += _FLV_HEADER
        elif len(head) == 4 and head[0] in _FLV_KINDS:
            offset += _FLV_TAG + int.from_bytes(head[1:], "big")
        else:
            return _Extent(starts, None)
    return _Extent(starts, offset)


def _avi(file: BinaryIO, size: int) -> _Extent:
    """Return the extent of AVI files, from the sizes of their RIFF chunks.

    The first chunk of a file is named AVI. All further chunks are named AVIX.
    """
    starts, offset = [0], 0
    while offset < size:
        head = read_at(file, offset, 12)
        if head[:4] != b"RIFF" or len(head) < 12:
            return _Extent(starts, None)
        if head[8:] == b"AVI " and offset > 0:
            starts.append(offset)
        length = struct.unpack("<I", head[4:8])[0]
        if length in _UNKNOWN:
            return _Extent(starts, None)
        offset += 8 + length
    return _Extent(starts, offset)


def _matroska(file: BinaryIO, size: int) -> _Extent:
    """Return the extent of a Matroska or WebM file, from the size of its segment."""
    head = read_at(file, 0, 4096)
    offset = head.find(_SEGMENT)
    if not 0 <= offset < len(head) - 12:
        return _Extent([0], None)
    offset += 4
    width = 9 - head[offset].bit_length()
    if width > 8:
        return _Extent([0], None)
    length = int.from_bytes(head[offset : offset + width], "big") - (1 << 7 * width)
    is_known = length != (1 << 7 * width) - 1
    return _Extent([0], offset + width + length if is_known else None)


def _asf(file: BinaryIO, size: int) -> _Extent:
    """Return the extent of a WMA file, from the file size that its header contains."""
    head = read_at(file, 0, 1 << 16)
    offset = head.find(_FILE_PROPERTIES)
    if offset < 0 or len(head) < offset + 48:
        return _Extent([0], None)
    length = struct.unpack_from("<Q", head, offset + 40)[0]
    return _Extent([0], length or None)


_MEASURES: dict[str, Callable[[BinaryIO, int], _Extent]] = {
    "mov": _mov,
    "flv": _flv,
    "avi": _avi,
    "matroska": _matroska,
    "asf": _asf,
}
