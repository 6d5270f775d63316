"""MPEG audio (MP3, MP2): a sequence of frames, each with a header that gives its length.

Tags may stand before, between and after the frames, and several files may be joined. The first
frame of an encoder may hold the number of the others and no sound (Xing, Info, VBRI). A walk from
header to header finds all frames, and the offset where the file breaks off.
"""

import dataclasses
import functools
import re
import struct

from wsedtk.audio.containers.layout import Layout, Part, read_at

_BITRATES = {  # (MPEG 1, layer) -> kbit/s
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44100, 48000, 32000)
_SIDE_BYTES = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}
_SEARCHED = 1 << 18  # bytes in which the first frame must begin
_BLOCK = 1 << 20
_LARGEST_FRAME = 4096
_FIRST = 192  # bytes of the first frame that describe the others
_DECODER_DELAY = 529  # samples
_ENOUGH = 3  # consecutive frames that are not a coincidence
_LYRICS = 1 << 14  # maximum bytes of a tag with lyrics
_MOST_TAGS = 100  # consecutive tags
_SYNC = re.compile(rb"\xff[\xe2-\xff]")


@dataclasses.dataclass(frozen=True)
class _Kind:
    """The contents of a frame header."""

    num_bytes: int
    num_samples: int
    stream: tuple  # version, layer, rate, whether it is mono: equal for all frames of a stream


@functools.lru_cache(1 << 12)
def _kind(head):
    """Parse a header of 4 bytes. Returns None if it is none, or gives no length."""
    if len(head) < 4 or head[0] != 0xFF or head[1] < 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    rate_code, bitrate_code, padding = head[2] >> 2 & 3, head[2] >> 4, head[2] >> 1 & 1
    if version == 1 or layer == 4 or rate_code == 3 or bitrate_code in (0, 15):
        return None
    is_first = version == 3
    rate = _RATES[rate_code] >> {3: 0, 2: 1, 0: 2}[version]
    bitrate = 1000 * _BITRATES[is_first, layer][bitrate_code - 1]
    num_samples = {1: 384, 2: 1152, 3: 1152 if is_first else 576}[layer]
    if layer == 1:
        num_bytes = 4 * (12 * bitrate // rate + padding)
    else:
        num_bytes = num_samples // 8 * bitrate // rate + padding
    return _Kind(num_bytes, num_samples, (version, layer, rate, head[3] >> 6 == 3))


def is_header(head):
    """Return whether a file begins like a frame whose header gives its length."""
    return len(head) > 3 and head[0] == 0xFF and head[1] >= 0xE0 and head[2] >> 4 != 0


def id3_length(head):
    """Return the number of bytes of the ID3v2 tag that begins with these 10 bytes."""
    length = 0
    for byte in head[6:10]:
        length = length << 7 | byte & 0x7F
    return length + 10 + 10 * (head[5] >> 4 & 1)


def _announced(frame, kind):
    """Parse the first frame of an encoder.

    Returns (number of frames, samples to cut off at the beginning, at the end). The number is 0 if
    it is unknown. Returns None if the frame holds sound.
    """
    version, _, _, is_mono = kind.stream
    side = _SIDE_BYTES[version == 3, is_mono]
    for offset in (4 + side, 6 + side):
        if frame[offset : offset + 4] in (b"Xing", b"Info") and len(frame) >= offset + 12:
            flags, count = struct.unpack(">II", frame[offset + 4 : offset + 12])
            count = count if flags & 1 else 0
            delays = int.from_bytes(frame[offset + 141 : offset + 144], "big")  # two of 12 bits
            if flags & 15 != 15 or delays == 0:
                return count, 0, 0
            return count, (delays >> 12) + _DECODER_DELAY, (delays & 0xFFF) - _DECODER_DELAY
    if frame[36:40] == b"VBRI" and len(frame) >= 54:
        return struct.unpack(">I", frame[50:54])[0], 0, 0
    return None


class _Reader:
    """Reads a file in large blocks, at ascending offsets."""

    def __init__(self, file, size):
        self._file, self.size, self._start, self._content = file, size, 0, b""

    def at(self, offset, num_bytes):
        """Return the bytes at an offset; fewer at the end of the file."""
        begin = offset - self._start
        if begin < 0 or begin + num_bytes > len(self._content):
            self._start, begin = offset, 0
            self._content = read_at(self._file, offset, max(_BLOCK, num_bytes))
        return self._content[begin : begin + num_bytes]


def _is_start(reader, offset, stream=None):
    """Return whether several frames of one stream follow, or fewer that end with the file."""
    for number in range(_ENOUGH):
        kind = _kind(reader.at(offset, 4))
        if kind is None or (stream is not None and kind.stream != stream):
            return number > 0 and reader.size - offset < 4
        stream, offset = kind.stream, offset + kind.num_bytes
    return offset <= reader.size


def _first_frame(reader, offset):
    """Return where the first frame begins; None if none does soon after `offset`."""
    content = reader.at(offset, _SEARCHED)
    for found in _SYNC.finditer(content):
        if _is_start(reader, offset + found.start()):
            return offset + found.start()
    return None


@dataclasses.dataclass
class _Stream:
    """Frames that a decoder reads as one stream."""

    stream: tuple  # see _Kind
    first: tuple | None  # see _announced
    ranges: list = dataclasses.field(default_factory=list)  # [start, end] each
    num_frames: int = 0
    num_samples: int = 0
    _last: tuple = ()  # the last frame: its offset, whether it holds sound, its number of samples

    @property
    def announced(self):
        """The number of frames that the first frame announces; 0 if it announces none."""
        return self.first[0] if self.first else 0

    def is_complete(self):
        """Return whether it has as many frames as it announces."""
        return 0 < self.announced <= self.num_frames

    def is_full(self):
        """Return whether it has more frames than it announces, by more than encoders miscount."""
        return self.announced > 0 and self.num_frames >= self.announced + 2

    def samples(self):
        """Return the number of samples that exist, and the number that is announced."""
        if self.num_frames >= self.announced:
            return self.num_samples, self.num_samples
        front, behind = self.first[1:]
        total = self.num_samples // self.num_frames * self.announced - front - behind
        return min(max(0, self.num_samples - front), total), total

    def add(self, offset, kind, is_sound):
        """Add the frame at an offset."""
        if not self.ranges or self.ranges[-1][1] != offset:
            self.ranges.append([offset, offset])
        self.ranges[-1][1] = offset + kind.num_bytes
        self.num_frames += is_sound
        self.num_samples += is_sound * kind.num_samples
        self._last = offset, is_sound, kind.num_samples

    def drop_last(self):
        """Remove the last frame: if no frame follows where it should, its own end is in doubt."""
        offset, is_sound, num_samples = self._last
        self.ranges[-1][1] = offset
        self.num_frames -= is_sound
        self.num_samples -= is_sound * num_samples


def _tag_length(reader, offset):
    """Return the number of bytes of the tag at an offset; 0 if there is none."""
    head = reader.at(offset, 32)
    if head[:3] == b"ID3" and len(head) >= 10:
        return id3_length(head)
    if head[:3] == b"TAG":
        return 128
    if head[:8] == b"APETAGEX" and len(head) == 32:
        length, _, flags = struct.unpack("<III", head[12:24])
        return length + 32 * (flags >> 31)
    if head[:11] == b"LYRICSBEGIN":
        end = reader.at(offset, _LYRICS).find(b"LYRICS200")
        return end + 9 if end > 0 else 0
    return 0


def _after_tags(reader, offset):
    """Return the offset after the tags at an offset."""
    for _ in range(_MOST_TAGS):
        length = _tag_length(reader, offset)
        if length == 0 or offset >= reader.size:
            break
        offset += length
    return min(offset, reader.size)


def _next_stream(reader, offset, kind, current):
    """Return the stream of the frame at an offset: `current`, a new one, or None if it is damaged."""
    is_other = current is not None and kind.stream != current.stream
    if is_other and not _is_start(reader, offset, kind.stream):
        return None
    first = _announced(reader.at(offset, min(kind.num_bytes, _FIRST)), kind)
    if current is None or is_other or first is not None or current.is_full():
        return _Stream(kind.stream, first)
    return current


def _walk(reader, offset):
    """Go from frame to frame. Returns the streams, where the walk ends, and if that is the end."""
    streams, current = [], None
    while True:
        kind = _kind(reader.at(offset, 4))
        if kind is None:
            after = _after_tags(reader, offset)
            if after == offset or not _is_start(reader, after):
                is_end = _is_end(reader, after) or current is not None and current.is_complete()
                if current is not None and not is_end:
                    current.drop_last()
                return streams, offset, is_end
            offset = after
            continue
        found = _next_stream(reader, offset, kind, current)
        if found is None or offset + kind.num_bytes > reader.size:
            return streams, offset, False
        if found is not current:
            streams.append(found)
        found.add(offset, kind, found is current or found.first is None)
        current, offset = found, offset + kind.num_bytes


def _is_end(reader, offset):
    """Return whether no more frames follow."""
    rest = reader.at(offset, _BLOCK)
    if not rest.strip(b"\0"):
        return True
    return len(rest) < _BLOCK and _kind(rest[:4]) is None and _first_frame(reader, offset) is None


def _share(streams, is_whole, covered):
    """Return the `share` of a Layout. covered: fraction of the file's bytes in the streams."""
    last = streams[-1]
    if is_whole and last.num_frames >= last.announced - 1:  # some encoders count the first frame
        return 1.0
    there, announced = last.samples()
    if there < announced:
        return there / announced
    return covered if covered < 1 and len(streams) == 1 else None


def look(file, size, start):
    """Return the Layout of a file with frames at `start` or soon after; None without frames."""
    reader = _Reader(file, size)
    first = _first_frame(reader, start)
    if first is None:
        return None
    streams, end, is_whole = _walk(reader, first)
    streams = [stream for stream in streams if stream.num_frames]
    if not streams:
        return None
    covered = (end - first) / (size - first) if size - end > _LARGEST_FRAME else 1.0
    share = _share(streams, is_whole, covered)
    one, ignored = streams[0], size - end
    is_simple = len(streams) == 1 and len(one.ranges) == 1 and share == 1 and first == start
    if (
        is_simple and ignored <= (end - first) / 100
    ):  # beyond, libsndfile's decoder prints a warning
        return Layout((Part((), (), "mp3", None if one.announced else one.num_samples),))
    ranges = [tuple(map(tuple, stream.ranges)) for stream in streams]
    return Layout(tuple(Part(found, (), "mp3", None, False) for found in ranges), share)
