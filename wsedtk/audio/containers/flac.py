"""Find streams in FLAC files. The end of a stream is known only after decoding the stream."""

import re
from typing import BinaryIO

from wsedtk.audio.containers.layout import Layout, Part, Patch, read_at

_STREAM = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")  # the magic bytes and a STREAMINFO of 34 bytes
_STREAM_BYTES = 8
_BLOCK = 1 << 22


def find_layout() -> Layout:
    """Return the Layout of a FLAC file."""
    return Layout((Part(demuxer="flac"),), is_flac=True)


def without_total(file: BinaryIO, start: int) -> Patch:
    """Return a patch that sets the number of samples of the stream at `start` to 0 (unknown).

    The header stores this number in the last 4 bits of a byte and the 4 bytes after it.
    """
    offset = start + 21
    byte = read_at(file, offset, 1)[0]
    return Patch(offset, bytes([byte & 0xF0, 0, 0, 0, 0]))


def next_stream(file: BinaryIO, offset: int, size: int) -> int | None:
    """Return the offset of the first stream that begins at `offset` or later, but before `size`.

    Returns None if there is no such stream.
    """
    while offset < size:
        content = read_at(file, offset, _BLOCK)
        found = _STREAM.search(content)
        if found:
            start = offset + found.start()
            return start if start < size else None
        if len(content) < _STREAM_BYTES:
            return None
        offset += len(content) - (_STREAM_BYTES - 1)
    return None
