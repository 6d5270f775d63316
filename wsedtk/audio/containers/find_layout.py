"""Find the streams of sound in a container file, without decoding.

`find_layout` returns the offsets of the streams, and replacements for header fields that contain a
wrong size. It compares the announced length with the number of bytes that exist. In WAV, AIFF, AU,
CAF, W64 and FLAC files, it reads only headers. It reads all pages of Ogg files and all frames of
MP3 files, because the headers of these formats do not contain the length.
"""

from typing import BinaryIO

from wsedtk.audio.containers import chunks, films, flac, mpeg, ogg
from wsedtk.audio.containers.layout import Layout, Part, read_at

_ID3_HEADER = 10
_MOST_TAGS = 100  # maximum number of ID3v2 tags at the beginning of a file
_HEAD = 400  # number of bytes at the beginning of a file that suffice to recognise its format

# MPEG transport streams: the offset of the first sync byte "G", and the distance between sync bytes
_TS_PACKETS = ((0, 188), (4, 192))

# (offset, bytes) -> FFmpeg's name of the format, for formats that libsndfile can't read
_MAGIC = {
    (0, b"\x1aE\xdf\xa3"): "matroska",
    (0, b"0&\xb2u\x8ef\xcf\x11"): "asf",
    (0, b"FLV\x01"): "flv",
    (0, b".RMF"): "rm",
    (0, b"#!AMR"): "amr",
    (0, b"MAC "): "ape",
    (0, b"wvpk"): "wv",
    (0, b"TTA1"): "tta",
    (0, b"MPCK"): "mpc8",
    (0, b"MP+"): "mpc",
    (0, b"tBaK"): "tak",
    (0, b"DSD "): "dsf",
    (0, b"\0\0\1\xba"): "mpeg",
    (0, b"\x7f\xfe\x80\1"): "dts",
    (8, b"AVI "): "avi",
    (0, b".SoX"): "sox",
    (0, b"XoS."): "sox",
    (0, b"\x06\x0e+4\2\5\1\1\r\1\2"): "mxf",
    **{(4, name): "mov" for name in (b"ftyp", b"moov", b"mdat", b"wide", b"pnot")},
}


def _after_id3(file: BinaryIO, size: int) -> int:
    """Return the offset after the ID3v2 tags at the beginning of a file; 0 without tags."""
    offset = 0
    for _ in range(_MOST_TAGS):
        head = read_at(file, offset, _ID3_HEADER)
        if head[:3] != b"ID3" or len(head) < _ID3_HEADER:
            break
        offset = min(size, offset + mpeg.id3_length(head))
    return offset


def _is_adts(file: BinaryIO, size: int, offset: int) -> bool:
    """Return whether three consecutive AAC frames begin at an offset.

    Fewer frames are enough if the last frame ends at the end of the file.
    """
    for number in range(3):
        head = read_at(file, offset, 6)
        if len(head) < 6 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
            return number > 0 and offset == size
        offset += max(7, (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5)
    return offset <= size


def _demuxer(head: bytes) -> str:
    """Return FFmpeg's name of the format of a file that begins with `head`; "" if unknown."""
    for (offset, magic), name in _MAGIC.items():
        if head.startswith(magic, offset):
            return name
    if head[:2] == b"\x0bw" and len(head) > 5:
        return "eac3" if head[5] >> 3 > 10 else "ac3"
    for first, length in _TS_PACKETS:
        if head[first : first + 2 * length + 1 : length] == b"GGG":
            return "mpegts"
    return ""


def find_layout(file: BinaryIO, size: int) -> Layout:
    """Find the streams of sound in a file.

    Parameters
    ----------
    file : binary file, unbuffered
    size : int
        The number of bytes of the file.

    Returns
    -------
    Layout
    """
    start = _after_id3(file, size)
    head = read_at(file, start, _HEAD)
    if head.startswith(b"fLaC"):
        return flac.find_layout()
    if start == 0:
        if head.startswith(b"OggS"):
            return ogg.find_layout(file, size)
        found = chunks.find_layout(file, size, head)
        if found is not None:
            return found
        name = _demuxer(head)
        if name:
            return films.find_layout(file, size, name)
    if _is_adts(file, size, start):
        return Layout((Part(demuxer="aac", by_libsndfile=False),))
    found = mpeg.find_layout(file, size, start)
    if found is None and start == 0 and mpeg.is_header(head):
        # libsndfile would search the complete file for frames, and decode other bytes as noise.
        return Layout((Part(by_libsndfile=False),))
    return found or Layout()
