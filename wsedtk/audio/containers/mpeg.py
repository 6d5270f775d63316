"""Find the frames of MPEG audio (MP3, MP2).

Each frame has a header that gives the length of the frame. The length gives the offset of the next
frame. In this way, all frames are found, and also the offset at which a file breaks off. Tags can
precede, separate and follow the frames, and several files can be concatenated.

The first frame that an encoder writes may contain properties of the stream, such as the number of
frames, instead of sound. Such a frame contains the identifier Xing, Info or VBRI. This module calls
these properties the announcement.
"""

import dataclasses
import functools
import re
import struct
from typing import BinaryIO, NamedTuple

from wsedtk.audio.containers.layout import Layout, Part, Range, read_at

_BITRATES = {  # (whether MPEG 1, layer) -> kbit/s
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44100, 48000, 32000)
# (whether MPEG 1, whether mono) -> bytes of side information before the announcement
_SIDE_BYTES = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}
_SEARCHED = 1 << 18  # the first frame must begin within this number of bytes
_BLOCK = 1 << 20
_LARGEST_FRAME = 4096
_FIRST = 192  # number of bytes at the beginning of a frame that can contain an announcement
_DECODER_DELAY = 529  # samples
_ENOUGH = 3  # a stream begins where this number of consecutive frames is found
_LYRICS = 1 << 14  # maximum number of bytes of a tag with lyrics
_MOST_TAGS = 100  # maximum number of consecutive tags
_SYNC = re.compile(rb"\xff[\xe2-\xff]")


class _Coding(NamedTuple):
    """The fields of a frame header that are equal for all frames of a stream."""

    version: int  # 3 is MPEG 1, 2 is MPEG 2, 0 is MPEG 2.5
    layer: int
    rate: int
    is_mono: bool


class _Header(NamedTuple):
    """The contents of a frame header."""

    num_bytes: int
    num_samples: int
    coding: _Coding


class _Announcement(NamedTuple):
    """The properties of a stream that its first frame contains instead of sound."""

    num_frames: int = 0  # 0 if it is unknown
    num_before: int = 0  # samples to cut off at the beginning
    num_after: int = 0  # samples to cut off at the end


@functools.lru_cache(1 << 12)
def _header(head: bytes) -> _Header | None:
    """Parse a frame header of 4 bytes. Returns None if it is invalid or gives no length."""
    if len(head) < 4 or head[0] != 0xFF or head[1] < 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    rate_code, bitrate_code, padding = head[2] >> 2 & 3, head[2] >> 4, head[2] >> 1 & 1
    if version == 1 or layer == 4 or rate_code == 3 or bitrate_code in (0, 15):
        return None
    is_mpeg1 = version == 3
    rate = _RATES[rate_code] >> {3: 0, 2: 1, 0: 2}[version]
    bitrate = 1000 * _BITRATES[is_mpeg1, layer][bitrate_code - 1]
    num_samples = {1: 384, 2: 1152, 3: 1152 if is_mpeg1 else 576}[layer]
    if layer == 1:
        num_bytes = 4 * (12 * bitrate // rate + padding)
    else:
        num_bytes = num_samples // 8 * bitrate // rate + padding
    return _Header(num_bytes, num_samples, _Coding(version, layer, rate, head[3] >> 6 == 3))


def is_header(head: bytes) -> bool:
    """Return whether `head` begins like a frame header that gives the length of the frame."""
    return len(head) > 3 and head[0] == 0xFF and head[1] >= 0xE0 and head[2] >> 4 != 0


def id3_length(head: bytes) -> int:
    """Return the number of bytes of an ID3v2 tag. head: the first 10 bytes of the tag."""
    length = 0
    for byte in head[6:10]:
        length = length << 7 | byte & 0x7F
    return length + 10 + 10 * (head[5] >> 4 & 1)


def _announced(frame: bytes, coding: _Coding) -> _Announcement | None:
    """Parse the announcement in the first frame. Returns None if the frame contains sound."""
    side = _SIDE_BYTES[coding.version == 3, coding.is_mono]
    for offset in (4 + side, 6 + side):
        if frame[offset : offset + 4] in (b"Xing", b"Info") and len(frame) >= offset + 12:
            flags, count = struct.unpack(">II", frame[offset + 4 : offset + 12])
            count = count if flags & 1 else 0
            delays = int.from_bytes(frame[offset + 141 : offset + 144], "big")  # two 12-bit numbers
            if flags & 15 != 15 or delays == 0:
                return _Announcement(count)
            before, after = delays >> 12, delays & 0xFFF
            return _Announcement(count, before + _DECODER_DELAY, after - _DECODER_DELAY)
    if frame[36:40] == b"VBRI" and len(frame) >= 54:
        return _Announcement(struct.unpack(">I", frame[50:54])[0])
    return None


class _Reader:
    """A file that is read in large blocks. Reading is fast if the offsets are ascending."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.size = size
        self._file, self._start, self._content = file, 0, b""

    def at(self, offset: int, num_bytes: int) -> bytes:
        """Return the bytes at an offset; fewer at the end of the file."""
        begin = offset - self._start
        if begin < 0 or begin + num_bytes > len(self._content):
            self._start, begin = offset, 0
            self._content = read_at(self._file, offset, max(_BLOCK, num_bytes))
        return self._content[begin : begin + num_bytes]


def _is_start(reader: _Reader, offset: int, coding: _Coding | None = None) -> bool:
    """Return whether _ENOUGH consecutive frames of one stream begin at an offset.

    Fewer frames are enough at the end of the file.
    """
    for number in range(_ENOUGH):
        header = _header(reader.at(offset, 4))
        if header is None or (coding is not None and header.coding != coding):
            return number > 0 and reader.size - offset < 4
        coding, offset = header.coding, offset + header.num_bytes
    return offset <= reader.size


def _first_frame(reader: _Reader, offset: int) -> int | None:
    """Return the offset of the first frame at `offset` or later.

    Returns None if no frame begins within _SEARCHED bytes.
    """
    content = reader.at(offset, _SEARCHED)
    for found in _SYNC.finditer(content):
        if _is_start(reader, offset + found.start()):
            return offset + found.start()
    return None


class _Frame(NamedTuple):
    """A frame of a stream."""

    offset: int
    num_bytes: int
    num_samples: int  # 0 if the frame contains the announcement instead of sound


class _Lengths(NamedTuple):
    """The number of samples that exist in a stream, and the number that it announces."""

    existing: int
    announced: int


@dataclasses.dataclass
class _Stream:
    """Consecutive frames that a decoder reads as one stream."""

    coding: _Coding
    announcement: _Announcement | None  # None if the first frame contains sound
    ranges: list[Range] = dataclasses.field(default_factory=list)
    num_frames: int = 0  # frames with sound
    num_samples: int = 0
    last: _Frame | None = None

    @property
    def announced(self) -> int:
        """The number of frames that the first frame announces; 0 if it announces no number."""
        return self.announcement.num_frames if self.announcement else 0

    def is_complete(self) -> bool:
        """Return whether the stream announces a number of frames and has all these frames."""
        return 0 < self.announced <= self.num_frames

    def is_full(self) -> bool:
        """Return whether the stream has at least two frames more than it announces.

        Some encoders miscount by one frame.
        """
        return self.announced > 0 and self.num_frames >= self.announced + 2

    def lengths(self) -> _Lengths:
        """Return the number of existing samples, and the announced number.

        Both are equal if no number of frames is announced, or if no frame is missing.
        """
        if self.announcement is None or self.num_frames >= self.announced:
            return _Lengths(self.num_samples, self.num_samples)
        _, before, after = self.announcement
        total = self.num_samples // self.num_frames * self.announced - before - after
        return _Lengths(min(max(0, self.num_samples - before), total), total)

    def add(self, frame: _Frame) -> None:
        """Append a frame to the stream."""
        end = frame.offset + frame.num_bytes
        if self.ranges and self.ranges[-1].end == frame.offset:
            self.ranges[-1] = Range(self.ranges[-1].start, end)
        else:
            self.ranges.append(Range(frame.offset, end))
        self._count(frame, 1)
        self.last = frame

    def drop_last(self) -> None:
        """Remove the last frame. It may be incomplete if no frame follows it."""
        if self.last is not None:
            self.ranges[-1] = Range(self.ranges[-1].start, self.last.offset)
            self._count(self.last, -1)
            self.last = None

    def _count(self, frame: _Frame, sign: int) -> None:
        if frame.num_samples > 0:
            self.num_frames += sign
            self.num_samples += sign * frame.num_samples


def _tag_length(reader: _Reader, offset: int) -> int:
    """Return the number of bytes of the tag at an offset; 0 if there is none."""
    head = reader.at(offset, 32)
    if head[:3] == b"ID3" and len(head) >= 10:
        return id3_length(head)
    if head[:3] == b"TAG":
        return 128
    if head[:8] == b"APETAGEX" and len(head) == 32:
        has_header = head[23] >> 7
        return int.from_bytes(head[12:16], "little") + 32 * has_header
    if head[:11] == b"LYRICSBEGIN":
        end = reader.at(offset, _LYRICS).find(b"LYRICS200")
        return end + 9 if end > 0 else 0
    return 0


def _after_tags(reader: _Reader, offset: int) -> int:
    """Return the offset after the tags that begin at an offset."""
    for _ in range(_MOST_TAGS):
        length = _tag_length(reader, offset)
        if length == 0 or offset >= reader.size:
            break
        offset += length
    return min(offset, reader.size)


def _next_stream(
    reader: _Reader, offset: int, header: _Header, current: _Stream | None
) -> _Stream | None:
    """Return the stream of the frame at an offset: `current` or a new stream.

    Returns None if the frame is damaged.
    """
    is_other = current is not None and header.coding != current.coding
    if is_other and not _is_start(reader, offset, header.coding):
        return None
    frame = reader.at(offset, min(header.num_bytes, _FIRST))
    announcement = _announced(frame, header.coding)
    if current is None or is_other or announcement is not None or current.is_full():
        return _Stream(header.coding, announcement)
    return current


class _Walk(NamedTuple):
    """The streams of a file, and the offset after the last frame that was found."""

    streams: list[_Stream]
    end: int
    is_whole: bool  # whether the last stream is complete


def _walk(reader: _Reader, offset: int) -> _Walk:
    """Find all frames from an offset to the end of the file or to the first damage."""
    streams: list[_Stream] = []
    current: _Stream | None = None
    while True:
        header = _header(reader.at(offset, 4))
        if header is None:
            after = _after_tags(reader, offset)
            if after == offset or not _is_start(reader, after):
                is_end = _is_end(reader, after) or current is not None and current.is_complete()
                if current is not None and not is_end:
                    current.drop_last()
                return _Walk(streams, offset, is_end)
            offset = after
            continue
        found = _next_stream(reader, offset, header, current)
        if found is None or offset + header.num_bytes > reader.size:
            return _Walk(streams, offset, False)
        is_sound = found is current or found.announcement is None
        if found is not current:
            streams.append(found)
        found.add(_Frame(offset, header.num_bytes, header.num_samples if is_sound else 0))
        current, offset = found, offset + header.num_bytes


def _is_end(reader: _Reader, offset: int) -> bool:
    """Return whether no further frames are expected after an offset.

    Only the next _BLOCK bytes are examined. Returns True if all of them are 0. Also returns True if
    the file ends within these bytes and no frame begins in the first _SEARCHED of them.
    """
    rest = reader.at(offset, _BLOCK)
    if not rest.strip(b"\0"):
        return True
    return len(rest) < _BLOCK and _header(rest[:4]) is None and _first_frame(reader, offset) is None


def _share(streams: list[_Stream], is_whole: bool, covered: float) -> float | None:
    """Return the `share` of a Layout. covered: the fraction of the file that the streams occupy."""
    last = streams[-1]
    # Some encoders also count the frame that contains the announcement.
    if is_whole and last.num_frames >= last.announced - 1:
        return 1.0
    lengths = last.lengths()
    if lengths.existing < lengths.announced:
        return lengths.existing / lengths.announced
    return covered if covered < 1 and len(streams) == 1 else None


def find_layout(file: BinaryIO, size: int, start: int) -> Layout | None:
    """Return the Layout of a file.

    Returns None if no frame begins within _SEARCHED bytes after `start`, or if no stream contains
    sound.
    """
    reader = _Reader(file, size)
    first = _first_frame(reader, start)
    if first is None:
        return None
    found, end, is_whole = _walk(reader, first)
    streams = [stream for stream in found if stream.num_frames]
    if not streams:
        return None
    covered = (end - first) / (size - first) if size - end > _LARGEST_FRAME else 1.0
    share = _share(streams, is_whole, covered)
    one, ignored = streams[0], size - end
    is_simple = len(streams) == 1 and len(one.ranges) == 1 and share == 1 and first == start
    # libsndfile's decoder prints a warning if the bytes after the frames are more than 1 % of the
    # bytes of the frames.
    if is_simple and ignored <= (end - first) / 100:
        num_samples = None if one.announced else one.num_samples
        return Layout((Part(demuxer="mp3", num_samples=num_samples),))
    parts = tuple(
        Part(tuple(stream.ranges), demuxer="mp3", by_libsndfile=False) for stream in streams
    )
    return Layout(parts, share)
