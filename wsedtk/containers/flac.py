"""FLAC: what a file holds shows when it is decoded, and another stream may follow the first."""

import re

from wsedtk.containers.layout import Layout, Part, read_at

_STREAM = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")  # a stream begins with its STREAMINFO of 34 bytes
_BLOCK = 1 << 22


def look():
    """The Layout of a FLAC file."""
    return Layout((Part(demuxer="flac"),), is_flac=True)


def following(file, place, size):
    """Where the next stream begins, from a place on; None where there is none."""
    while place < size:
        content = read_at(file, place, _BLOCK)
        found = _STREAM.search(content)
        if found:
            return place + found.start()
        if len(content) < 8:
            return None
        place += len(content) - 7
    return None
