"""Containers that FFmpeg reads and that can hold pictures beside the sound.

Of a file that breaks off, FFmpeg often tells neither this nor the true duration: where a header
announces the number of bytes, that is compared with those of the file. Several files may be joined.
"""

import struct

from wsedtk.audio.containers.layout import Layout, Part, read_at

_MOST_BOXES = 1_000_000  # in a file
_FLV_HEADER, _FLV_TAG = 13, 15  # bytes, each with the size of the tag before
_FLV_KINDS = (8, 9, 18)  # of tags: sound, pictures, text
_SEGMENT = b"\x18\x53\x80\x67"
_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_UNKNOWN = (0, 0xFFFFFFFF)  # sizes of a file that was not closed


def look(file, size, demuxer):
    """Return the Layout of a file that FFmpeg reads by this demuxer."""
    starts, end = _LOOKS.get(demuxer, _unknown)(file, size)
    ends = [*starts[1:], size]
    ranges = [((start, end),) for start, end in zip(starts, ends)] if len(starts) > 1 else [()]
    remark = f"holds {len(starts)} files, one after the other" if len(starts) > 1 else ""
    parts = tuple(Part(found, (), demuxer, by_libsndfile=False) for found in ranges)
    return Layout(parts, 1.0 if end is None or end <= size else None, remark)


# Each returns the offsets where files begin, and where the last should end, None if that is unknown.


def _unknown(file, size):
    return [0], None


def _mov(file, size):
    """MP4, M4A, 3GP and MOV: boxes of announced sizes. Another file begins with another `ftyp`."""
    starts, offset = [0], 0
    for _ in range(_MOST_BOXES):
        head = read_at(file, offset, 16)
        if len(head) < 8:
            return starts, None
        length, name = struct.unpack(">I4s", head[:8])
        if not name.isalnum():
            return starts, None
        if name == b"ftyp" and offset > 0:
            starts.append(offset)
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        if length < 8:  # 0: up to the end
            return starts, None
        offset += length
        if offset >= size:
            return starts, offset
    return starts, None


def _flv(file, size):
    """Flash: tags of announced sizes. Another file begins with another header."""
    starts, offset = [0], _FLV_HEADER
    while offset < size:
        head = read_at(file, offset, 4)
        if head == b"FLV\x01":
            starts.append(offset)
            offset += _FLV_HEADER
        elif len(head) == 4 and head[0] in _FLV_KINDS:
            offset += _FLV_TAG + int.from_bytes(head[1:], "big")
        else:
            return starts, None
    return starts, offset


def _avi(file, size):
    """AVI: RIFF chunks of announced sizes, the first named AVI, the others AVIX."""
    starts, offset = [0], 0
    while offset < size:
        head = read_at(file, offset, 12)
        if head[:4] != b"RIFF" or len(head) < 12:
            return starts, None
        if head[8:] == b"AVI " and offset > 0:
            starts.append(offset)
        length = struct.unpack("<I", head[4:8])[0]
        if length in _UNKNOWN:
            return starts, None
        offset += 8 + length
    return starts, offset


def _matroska(file, size):
    """Matroska and WebM: a segment of announced size after the header."""
    head = read_at(file, 0, 4096)
    offset = head.find(_SEGMENT)
    if not 0 <= offset < len(head) - 12:
        return [0], None
    offset += 4
    width = 9 - head[offset].bit_length()
    if width > 8:
        return [0], None
    length = int.from_bytes(head[offset : offset + width], "big") - (1 << 7 * width)
    is_known = length != (1 << 7 * width) - 1
    return [0], offset + width + length if is_known else None


def _asf(file, size):
    """WMA: the file properties hold the size of the file."""
    head = read_at(file, 0, 1 << 16)
    offset = head.find(_FILE_PROPERTIES)
    if offset < 0 or len(head) < offset + 48:
        return [0], None
    length = struct.unpack_from("<Q", head, offset + 40)[0]
    return [0], length or None


_LOOKS = {"mov": _mov, "flv": _flv, "avi": _avi, "matroska": _matroska, "asf": _asf}
