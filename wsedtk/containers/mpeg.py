"""MPEG audio (MP3, MP2): frames one after the other, each with a header that gives its length.

A file may begin with ID3v2 tags, end with other tags, and be joined of several. An encoder's first frame, of no sound,
may say how many follow (Xing, Info, VBRI). Walking from header to header tells what is there, and where it breaks off.
"""

import dataclasses
import functools
import re
import struct

from wsedtk.containers.layout import Layout, Part, read_at

_BITRATES = {  # (MPEG 1, layer) -> kbit/s
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)}
_RATES = (44100, 48000, 32000)
_SEARCHED = 1 << 18  # bytes in which the first frame must begin
_BLOCK = 1 << 20
_LARGEST_FRAME = 4096
_FIRST = 192  # bytes of a frame, that may announce the others
_DECODER_DELAY = 529  # samples
_ENOUGH = 3  # frames in a row are no chance
_LYRICS = 1 << 14  # bytes of a tag with lyrics, at most
_MOST_TAGS = 100  # one after the other
_SYNC = re.compile(rb"\xff[\xe2-\xff]")


@dataclasses.dataclass(frozen=True)
class _Kind:
    """What the header of a frame says: its bytes, the samples that it holds, and what all frames of a stream share."""

    num_bytes: int
    num_samples: int
    stream: tuple  # version, layer, rate, whether it is mono


@functools.lru_cache(1 << 12)
def _kind(head):
    """The _Kind of a frame that begins with these 4 bytes; None where they are no header, or one without a length."""
    if len(head) < 4 or head[0] != 0xff or head[1] < 0xe0:
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
    """Whether a file begins like a frame, of a length that its header tells."""
    return len(head) > 3 and head[0] == 0xff and head[1] >= 0xe0 and head[2] >> 4 != 0


def id3_length(head):
    """The bytes of an ID3v2 tag that begins with these 10 bytes, those and a footer included."""
    length = 0
    for byte in head[6:10]:
        length = length << 7 | byte & 0x7f
    return length + 10 + 10 * (head[5] >> 4 & 1)


def _announced(frame, kind):
    """What an encoder's first frame announces: (frames, samples that are to be cut off in front, and behind).

    None where it is a frame of sound; 0 frames where it does not say.
    """
    side = 9 if kind.stream[3] else 17
    side = side if kind.stream[0] != 3 else 17 if kind.stream[3] else 32
    for place in (4 + side, 6 + side):
        if frame[place:place + 4] in (b"Xing", b"Info") and len(frame) >= place + 12:
            flags, count = struct.unpack(">II", frame[place + 4:place + 12])
            delay = int.from_bytes(frame[place + 141:place + 144], "big") if flags & 15 == 15 else 0  # twice 12 bits
            cut = ((delay >> 12) + _DECODER_DELAY, (delay & 0xfff) - _DECODER_DELAY) if delay else (0, 0)
            return (count if flags & 1 else 0), *cut
    if frame[36:40] == b"VBRI" and len(frame) >= 54:
        return struct.unpack(">I", frame[50:54])[0], 0, 0
    return None


class _Reader:
    """The bytes of a file, in blocks, at ascending places."""

    def __init__(self, file, size):
        self._file, self.size, self._start, self._content = file, size, 0, b""

    def at(self, place, num_bytes):
        """The bytes at a place: fewer at the end of the file."""
        begin = place - self._start
        if begin < 0 or begin + num_bytes > len(self._content):
            self._start, begin = place, 0
            self._content = read_at(self._file, place, max(_BLOCK, num_bytes))
        return self._content[begin:begin + num_bytes]


def _is_start(reader, place, stream=None):
    """Whether frames of one stream follow each other from a place on: several, or as many as there are up to the end."""
    for number in range(_ENOUGH):
        kind = _kind(reader.at(place, 4))
        if kind is None or (stream is not None and kind.stream != stream):
            return number > 0 and reader.size - place < 4
        stream, place = kind.stream, place + kind.num_bytes
    return place <= reader.size


def _first_frame(reader, place):
    """Where the first frame begins, from a place on; None where there is none near."""
    content = reader.at(place, _SEARCHED)
    for found in _SYNC.finditer(content):
        if _is_start(reader, place + found.start()):
            return place + found.start()
    return None


@dataclasses.dataclass
class _Stream:
    """Frames that a decoder takes as one stream."""

    stream: tuple  # as _Kind has it
    first: tuple | None  # as `_announced` gives it
    ranges: list = dataclasses.field(default_factory=list)  # [start, end] each
    num_frames: int = 0
    num_samples: int = 0

    @property
    def announced(self):
        """Frames that its first one announces; 0 where none does."""
        return self.first[0] if self.first else 0

    def samples(self):
        """How many samples are there, and how many are announced: as many, where it does not say more."""
        if self.num_frames >= self.announced:
            return self.num_samples, self.num_samples
        front, behind = self.first[1:]
        total = self.num_samples // self.num_frames * self.announced - front - behind
        return min(max(0, self.num_samples - front), total), total

    def add(self, place, kind, is_sound):
        """Add the frame at a place."""
        if not self.ranges or self.ranges[-1][1] != place:
            self.ranges.append([place, place])
        self.ranges[-1][1] = place + kind.num_bytes
        self.num_frames += is_sound
        self.num_samples += is_sound * kind.num_samples


def _tag_length(reader, place):
    """The bytes of a tag between or after frames; 0 where there is none."""
    head = reader.at(place, 32)
    if head[:3] == b"ID3" and len(head) >= 10:
        return id3_length(head)
    if head[:3] == b"TAG":
        return 128
    if head[:8] == b"APETAGEX" and len(head) == 32:
        length, _, flags = struct.unpack("<III", head[12:24])
        return length + 32 * (flags >> 31)
    if head[:11] == b"LYRICSBEGIN":
        end = reader.at(place, _LYRICS).find(b"LYRICS200")
        return end + 9 if end > 0 else 0
    return 0


def _after_tags(reader, place):
    """The place after the tags that begin at a place; the place itself where none do."""
    for _ in range(_MOST_TAGS):
        length = _tag_length(reader, place)
        if length == 0 or place >= reader.size:
            break
        place += length
    return min(place, reader.size)


def _next_stream(reader, place, kind, current):
    """The stream that the frame at a place belongs to: `current`, a new one, or None where it can belong to none."""
    is_other = current is not None and kind.stream != current.stream
    if is_other and not _is_start(reader, place, kind.stream):
        return None
    first = _announced(reader.at(place, min(kind.num_bytes, _FIRST)), kind)
    is_full = current is not None and current.announced and current.num_frames >= current.announced + 2
    if current is None or is_other or is_full or first is not None:
        return _Stream(kind.stream, first)
    return current


def _walk(reader, place):
    """Go from frame to frame: ([_Stream], the place where that ends, whether the file is whole so far)."""
    streams, current = [], None
    while True:
        kind = _kind(reader.at(place, 4))
        if kind is None:
            after = _after_tags(reader, place)
            if after == place or not _is_start(reader, after):
                return streams, place, _is_end(reader, after)
            place = after
            continue
        found = _next_stream(reader, place, kind, current)
        if found is None or place + kind.num_bytes > reader.size:
            return streams, place, False
        if found is not current:
            streams.append(found)
        found.add(place, kind, found is current or found.first is None)
        current, place = found, place + kind.num_bytes


def _is_end(reader, place):
    """Whether no more frames follow."""
    rest = reader.at(place, _BLOCK)
    return not rest.strip(b"\0") or (len(rest) < _BLOCK and _kind(rest[:4]) is None
                                     and _first_frame(reader, place) is None)


def _share(streams, is_whole, covered):
    """The share of what the last stream announces, as a Layout has it. covered: the share of the file's bytes."""
    last = streams[-1]
    if is_whole and last.num_frames >= last.announced - 1:  # some encoders count the frame that says so
        return 1.0
    there, announced = last.samples()
    if there < announced:
        return there / announced
    return covered if covered < 1 and len(streams) == 1 else None


def look(file, size, start):
    """The Layout of a file whose frames begin at a place or soon after; None where there are none."""
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
    one = streams[0]
    if len(streams) == 1 and len(one.ranges) == 1 and share == 1 and first == start:
        return Layout((Part((), (), "mp3", None if one.announced else one.num_samples),))
    return Layout(tuple(Part(tuple(map(tuple, stream.ranges)), (), "mp3", None, False) for stream in streams), share)
