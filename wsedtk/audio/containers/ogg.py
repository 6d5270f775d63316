"""Find the streams in Ogg files. Streams may be chained (RFC 3533, section 4)."""

import dataclasses
import re
import struct
import zlib
from collections.abc import Container, Iterator
from typing import BinaryIO, NamedTuple

from wsedtk.audio.containers.layout import Layout, Part, Range, read_at

# Fields of the header of a page: OggS, version, flags, granule position, serial number, page
# number, checksum, number of segments.
_HEAD = struct.Struct("<4sBBqIIIB")
_BEGINS, _ENDS = 2, 4  # flags of the first and of the last page of a stream
_BLOCK = 1 << 20
_LARGEST = 27 + 255 + 255 * 255  # maximum number of bytes of a page
_NO_POSITION = -1  # granule position of a page on which no packet ends
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class _Page(NamedTuple):
    """The fields of a page that this module uses."""

    flags: int
    position: int  # the granule position of the last sample of the page
    serial: int
    number: int
    num_bytes: int


@dataclasses.dataclass
class _Link:
    """A stream, and the streams that are multiplexed with it. A file is a chain of such links."""

    start: int
    end: int
    # serial number -> number of the next page
    numbers: dict[int, int] = dataclasses.field(default_factory=dict)
    # serial numbers of the streams whose last page has not been read
    open: set[int] = dataclasses.field(default_factory=set)
    has_begun: bool = False  # whether the first pages of all its streams have been read
    position: int = 0  # the highest granule position


def checksum(content: bytes) -> int:
    """Return the Ogg checksum of a page whose checksum field is 0.

    It differs from the CRC-32 of zlib in the bit order, the initial value and the final XOR.
    """
    value = zlib.crc32(content.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(value.to_bytes(4, "little").translate(_REVERSED), "big")


def _page(content: bytes, offset: int) -> _Page | None:
    """Return the page at an offset of `content`; None if there is no complete, undamaged page."""
    if len(content) - offset < _HEAD.size:
        return None
    fields = _HEAD.unpack_from(content, offset)
    magic, version, flags, position, serial, number, crc, num_segments = fields
    end = offset + _HEAD.size + num_segments
    if magic != b"OggS" or version != 0 or end > len(content):
        return None
    num_bytes = _HEAD.size + num_segments + sum(content[offset + _HEAD.size : end])
    if offset + num_bytes > len(content):
        return None
    page = content[offset : offset + num_bytes]
    if checksum(page[:22] + bytes(4) + page[26:]) != crc:
        return None
    return _Page(flags, position, serial, number, num_bytes)


def _pages(file: BinaryIO, offset: int, size: int) -> Iterator[tuple[int, _Page]]:
    """Yield (offset, page) for every page before the first damage."""
    start, content = offset, b""
    while offset < size:
        if offset - start + _LARGEST > len(content):
            start, content = offset, read_at(file, offset, _BLOCK)
        page = _page(content, offset - start)
        if page is None:
            return
        yield offset, page
        offset += page.num_bytes


def _belongs(link: _Link, page: _Page) -> bool | None:
    """Return whether a page continues a link; None if the page begins another link."""
    if page.flags & _BEGINS:
        return None if link.has_begun or page.serial in link.numbers else True
    return link.numbers.get(page.serial) == page.number


def _next_start(file: BinaryIO, offset: int, size: int) -> int | None:
    """Return the offset of the first stream at `offset` or later; None if there is none."""
    for start in range(offset, size, _BLOCK - _LARGEST):
        content = read_at(file, start, _BLOCK)
        for found in re.finditer(b"OggS", content):
            page = _page(content, found.start())
            if page is not None and page.flags & _BEGINS:
                return start + found.start()
    return None


def _links(file: BinaryIO, size: int) -> list[_Link]:
    """Return the links of a file before the first damage. Bytes between links are skipped."""
    links: list[_Link] = []
    offset: int | None = 0
    while offset is not None:
        _add_links(links, file, offset, size)
        is_whole = bool(links) and not links[-1].open and links[-1].end > offset
        offset = _next_start(file, links[-1].end, size) if is_whole else None
    return links


def _add_links(links: list[_Link], file: BinaryIO, start: int, size: int) -> None:
    """Find the links from an offset up to the first damage, and append them to `links`."""
    for offset, page in _pages(file, start, size):
        belongs = _belongs(links[-1], page) if links else None
        if belongs is None and page.flags & _BEGINS:
            links.append(_Link(offset, offset))
        elif not belongs:
            return
        link = links[-1]
        link.has_begun = link.has_begun or not page.flags & _BEGINS
        link.numbers[page.serial] = page.number + 1
        link.open.add(page.serial)
        if page.flags & _ENDS:
            link.open.discard(page.serial)
        if page.position != _NO_POSITION:
            link.position = max(link.position, page.position)
        link.end = offset + page.num_bytes


def _last_position(file: BinaryIO, size: int, serials: Container[int]) -> int | None:
    """Return the granule position of the last page that has a position.

    Returns None if no such page is found, or if it is not the last page of a stream in `serials`.
    """
    content = read_at(file, max(0, size - 2 * _LARGEST), 2 * _LARGEST)
    offset = content.rfind(b"OggS")
    while offset >= 0:
        if len(content) - offset >= _HEAD.size:
            fields = _HEAD.unpack_from(content, offset)
            flags, serial = fields[2], fields[4]
            position: int = fields[3]
            if position != _NO_POSITION:
                return position if serial in serials and flags & _ENDS else None
        offset = content.rfind(b"OggS", 0, offset)
    return None


def _share(file: BinaryIO, size: int, links: list[_Link]) -> float | None:
    """Return the `share` of a Layout."""
    last = links[-1]
    if not last.open:
        return 1.0
    if len(links) > 1 or len(last.numbers) > 1:
        return None
    announced = _last_position(file, size, last.numbers)
    return last.position / announced if announced and last.position < announced else None


def find_layout(file: BinaryIO, size: int) -> Layout:
    """Return the Layout of an Ogg file."""
    links = _links(file, size)
    if not links:
        return Layout((Part(demuxer="ogg"),))
    share = _share(file, size, links)
    if len(links) == 1 and links[0].end == size:
        return Layout((Part(demuxer="ogg"),), share)
    parts = tuple(Part((Range(link.start, link.end),), demuxer="ogg") for link in links)
    return Layout(parts, share)
