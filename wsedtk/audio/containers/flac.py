"""FLAC: another stream may follow the first, at an offset that is known after decoding."""

import re

from wsedtk.audio.containers.layout import Layout, Part, read_at

_STREAM = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")  # begins with a STREAMINFO of 34 bytes
_BLOCK = 1 << 22


def look():
    """Return the Layout of a FLAC file."""
    return Layout((Part(demuxer="flac"),), is_flac=True)


def without_total(file, offset):
    """Return patches that make the number of samples of the stream at an offset unknown.

    It is 36 bits long: the last 4 of a byte, and 4 bytes.
    """
    byte = read_at(file, offset + 21, 1)[0]
    return ((offset + 21, bytes([byte & 0xF0, 0, 0, 0, 0])),)


def following(file, offset, size):
    """Return where the next stream begins, at `offset` or later; None without one."""
    while offset < size:
        content = read_at(file, offset, _BLOCK)
        found = _STREAM.search(content)
        if found:
            return offset + found.start()
        if len(content) < 8:
            return None
        offset += len(content) - 7
    return None
