"""FLAC: another stream may follow the first, at a place that is known after decoding."""

import re

from wsedtk.audio.containers.layout import Layout, Part, read_at

_STREAM = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")  # begins with a STREAMINFO of 34 bytes
_BLOCK = 1 << 22


def look():
    """Return the Layout of a FLAC file."""
    return Layout((Part(demuxer="flac"),), is_flac=True)


def without_total(file, place):
    """Return patches that make the number of samples of the stream at a place unknown.

    It is 36 bits long: the last 4 of a byte, and 4 bytes.
    """
    byte = read_at(file, place + 21, 1)[0]
    return ((place + 21, bytes([byte & 0xF0, 0, 0, 0, 0])),)


def following(file, place, size):
    """Return where the next stream begins, at `place` or later; None without one."""
    while place < size:
        content = read_at(file, place, _BLOCK)
        found = _STREAM.search(content)
        if found:
            return place + found.start()
        if len(content) < 8:
            return None
        place += len(content) - 7
    return None
