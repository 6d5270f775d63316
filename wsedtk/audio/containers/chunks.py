"""Find the samples in WAV, RF64, W64, AIFF, AU and CAF files.

Such a file contains a header, one block of samples, and possibly chunks after the samples. The
header announces the number of bytes of the block of samples. Recording programs first write a
placeholder for this number, such as 0, the size of the header, or the largest number that fits into
the field. The placeholder remains if the program crashes or writes to a pipe. In a file with a
placeholder, the samples extend to the end of the file.
"""

import struct
from collections.abc import Callable
from typing import Any, BinaryIO, Literal, NamedTuple

from wsedtk.audio.containers.layout import Layout, Part, Patch, Range, read_at

UNCLOSED = "was never closed"
_LIMIT = 1 << 32  # 32-bit fields contain sizes modulo this number
_NEAR = 1 << 16  # a size is a placeholder if it differs from 2^31 or 2^32 - 1 by at most _NEAR
_HUGE = 1 << 50  # a 64-bit size is a placeholder if it is at least _HUGE
# An announced size up to this number may be a placeholder: the size of the header, or the size of
# the first samples, if the program then wrote more samples but did not update the size.
_HEADER_BYTES = 4096
_MOST_CHUNKS = 1000  # maximum number of chunks in a header or a trailer
TRAILERS = set(  # chunks that programs append after the samples
    b"LIST,id3 ,ID3 ,bext,iXML,axml,fact,PEAK,cue ,JUNK,junk,PAD ,smpl,inst,DISP,afsp,cart,_PMX,"
    b"guan,wamd,ANNO,NAME,AUTH,APPL".split(b",")
)
_AU_BYTES = {3: 2, 4: 3, 5: 4, 6: 4, 7: 8}  # encoding -> bytes per sample; 1 for other encodings
_W64 = {  # identifiers of chunks
    "riff": bytes.fromhex("726966662e91cf11a5d628db04c10000"),
    "fmt ": bytes.fromhex("666d7420f3acd3118cd100c04f8edb8a"),
    "data": bytes.fromhex("64617461f3acd3118cd100c04f8edb8a"),
}


# The kind of the bytes after the samples:
# "end": at most 7 bytes, or chunks up to the end of the file; the last chunk may be incomplete
# "chunks": at least _MOST_CHUNKS chunks
# "file": another WAV file, possibly after chunks
# "bytes": other bytes
_TailKind = Literal["end", "chunks", "file", "bytes"]


class _Tail(NamedTuple):
    """The kind of the bytes after the samples, and the offset up to which they were examined."""

    kind: _TailKind
    offset: int


def is_placeholder(announced: int, num_bits: int = 32) -> bool:
    """Return whether an announced size is one of the very large placeholders, such as 2^32 - 1."""
    if num_bits == 64 and announced >= _HUGE:
        return True
    return any(abs(announced - mark) <= _NEAR for mark in (1 << 31, _LIMIT - 1))


def _tail_at(file: BinaryIO, offset: int, size: int, order: str) -> _Tail:
    """Classify the bytes from an offset to the end of the file."""
    for _ in range(_MOST_CHUNKS):
        if size - offset < 8:
            return _Tail("end", offset)
        head = read_at(file, offset, 12)
        name, length = struct.unpack(f"{order}4sI", head[:8])
        if name in (b"RIFF", b"RF64") and head[8:] == b"WAVE":
            return _Tail("file", offset)
        if name == b"FORM":
            return _Tail("bytes", offset)
        if name in TRAILERS and offset + 8 + length > size:
            return _Tail("end", offset)
        if not name.isascii() or not name.decode().isprintable() or offset + 8 + length > size:
            return _Tail("bytes", offset)
        offset += 8 + length + (length & 1)
    return _Tail("chunks", offset)


def _tail_after(file: BinaryIO, end: int, size: int, order: str) -> _Tail:
    """Classify the bytes after samples that end at `end`.

    After an odd number of bytes, a byte of padding may precede the next chunk.
    """
    found = _tail_at(file, end + (end & 1), size, order)
    return _tail_at(file, end, size, order) if found.kind == "bytes" and end & 1 else found


def _simple_tail(file: BinaryIO, end: int, announced: int, magic: bytes) -> _TailKind:
    """Classify the bytes after samples that end at `end`, without reading chunks.

    Returns "bytes" if `announced` is not above 0 or if another file of the same format begins at
    `end`, otherwise "end". magic: the first bytes of a file of this format.
    """
    is_file = read_at(file, end, len(magic)) == magic
    return "bytes" if announced <= 0 or is_file else "end"


class _Samples:
    """The block of samples of a file. The header may announce a wrong size of the block.

    Parameters
    ----------
    start : int
        Offset of the first sample.
    size : int
        Size of the file in bytes.
    announced : int
        Size of the block in bytes, according to the header.
    block_bytes : int
        Number of bytes per sample, summed over all channels.
    num_bits : int
        Number of bits of the field that announces the size.

    Attributes
    ----------
    end, share, remark
        `end` is the offset after the last sample. `share` and `remark` are as in Layout. The method
        `judge` sets these attributes.
    must_correct : bool
        Whether the header must be corrected. The method `judge` sets this attribute.
    """

    def __init__(
        self, start: int, size: int, announced: int, block_bytes: int, *, num_bits: int = 32
    ) -> None:
        self.start, self.announced = start, announced
        self.end, self.share, self.remark, self.must_correct = size, 1.0, "", False
        self._existing = size - start
        self._block, self._num_bits = max(1, block_bytes), num_bits

    def judge(self, tail_kind: Callable[[int], _TailKind]) -> None:
        """Decide which bytes are samples. `tail_kind` classifies the bytes after an offset."""
        self.end = self.start + max(0, min(self.announced, self._existing))
        if self.announced == self._existing or self._existing <= 0:
            return
        if self.announced > self._existing:
            self._judge_missing()
            return
        if tail_kind(self.end) != "bytes":
            return
        if self.announced <= 0:
            self._extend_to_end()
            return
        rest = self._existing - self.announced
        if self._num_bits == 32 and rest >= _LIMIT and rest % _LIMIT <= _NEAR:
            self.end += rest // _LIMIT * _LIMIT
            self.must_correct = True
            self.remark = "is longer than the 4 GB that its header can announce"
        elif self.announced <= _HEADER_BYTES and rest > self.announced:
            self._extend_to_end()
        elif rest > _HEADER_BYTES:
            self.remark = f"has {rest} bytes after the announced samples; these bytes are ignored"

    def _judge_missing(self) -> None:
        """Decide whether samples are missing, or the announced size is a placeholder."""
        if is_placeholder(self.announced, self._num_bits):
            self._extend_to_end()
            return
        size, self.must_correct = self.start + self._existing, True
        if self.announced in (size, size - 8):  # some programs write the size of the file
            return
        missing = self.announced // self._block - self._existing // self._block
        if missing > 1:
            self.share = self._existing / self.announced

    def _extend_to_end(self) -> None:
        """Extend the samples to the end of the file."""
        self.end = self.start + self._existing
        self.must_correct, self.remark = True, UNCLOSED


def find_layout(file: BinaryIO, size: int, head: bytes) -> Layout | None:
    """Return the Layout of a file that begins with `head`; None for other containers."""
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return _waves(file, size)
    if head.startswith(_W64["riff"]):
        return _wave64(file, size)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _aiff(file, size)
    if head[:4] in (b".snd", b"dns."):
        return _au(head, size)
    if head[:4] == b"caff":
        return _caf(file, size)
    return None


def _layout(samples: _Samples, patch: Patch, demuxer: str) -> Layout:
    """Return a Layout of one part, with the patch if the header must be corrected."""
    part = Part(demuxer=demuxer)
    if samples.must_correct:
        part = Part((Range(0, samples.end),), (patch,), demuxer)
    return Layout((part,), samples.share, samples.remark)


def _unpack_at(file: BinaryIO, offset: int, form: str) -> tuple[Any, ...]:
    """Unpack fields with the struct format `form`. Bytes beyond the end of the file are zeros."""
    length = struct.calcsize(form)
    return struct.unpack(form, read_at(file, offset, length).ljust(length, b"\0"))


class _Chunk(NamedTuple):
    """The header of a chunk."""

    name: bytes
    length: int


def _chunk(file: BinaryIO, offset: int, size: int, form: str) -> _Chunk | None:
    """Unpack the chunk header at an offset with the struct format `form`.

    Returns None if the file ends before the end of the header.
    """
    head = read_at(file, offset, struct.calcsize(form)) if offset < size else b""
    if len(head) < struct.calcsize(form):
        return None
    return _Chunk(*struct.unpack(form, head))


class _Wave(NamedTuple):
    """One of the WAV files that are concatenated in a file, or the only WAV file in it."""

    part: Part
    samples: _Samples


def _waves(file: BinaryIO, size: int) -> Layout:
    """Return the Layout of a WAV file, or of a concatenation of several WAV files."""
    found: list[_Wave] = []
    start = 0
    while (wave := _wave(file, start, size)) is not None:
        found.append(wave)
        kind, start = _tail_after(file, wave.samples.end, size, "<")
        if kind != "file":
            break
    if not found:  # libsndfile will report the fault
        return Layout((Part(demuxer="wav"),))
    last = found[-1].samples
    if len(found) > 1:
        remark = f"is a concatenation of {len(found)} files"
        return Layout(tuple(wave.part for wave in found), last.share, remark)
    part = found[0].part if last.must_correct else Part(demuxer="wav")
    return Layout((part,), last.share, last.remark)


def _wave(file: BinaryIO, first: int, size: int) -> _Wave | None:
    """Return the WAV file that begins at `first`; None if no chunk "data" is found."""
    order = ">" if read_at(file, first, 4) == b"RIFX" else "<"
    offset, block = first + 12, 1
    long_size: tuple[int, int] | None = None  # offset and value of the 64-bit size of the samples
    for _ in range(_MOST_CHUNKS):
        found = _chunk(file, offset, size, f"{order}4sI")
        if found is None:
            break
        name, length = found
        if name == b"fmt ":
            (block,) = _unpack_at(file, offset + 20, f"{order}H")
        elif name == b"ds64":
            long_size = offset + 16, _unpack_at(file, offset + 16, "<q")[0]
        elif name == b"data":
            start, data_size = offset + 8, offset + 4
            if long_size is not None and length == _LIMIT - 1:
                samples = _Samples(start, size, long_size[1], block, num_bits=64)
            else:
                long_size = None
                samples = _Samples(start, size, length, block)
            samples.judge(lambda end: _tail_after(file, end, size, order).kind)
            patches: tuple[Patch, ...] = ()
            if samples.must_correct and long_size is not None:
                num_bytes = struct.pack("<q", samples.end - start)
                patches = Patch(long_size[0], num_bytes), Patch(data_size, b"\xff" * 4)
            elif samples.must_correct:
                # With these sizes, libsndfile reads the samples up to the end of the file.
                patches = Patch(first + 4, struct.pack(f"{order}I", 8)), Patch(data_size, bytes(4))
            return _Wave(Part((Range(first, samples.end),), patches, "wav"), samples)
        offset += 8 + length + (length & 1)
    return None


def _wave64(file: BinaryIO, size: int) -> Layout:
    """Return the Layout of a Sony W64 file. The size of a chunk includes its header of 24 bytes."""
    offset, block = 40, 1
    for _ in range(_MOST_CHUNKS):
        found = _chunk(file, offset, size, "<16sq")
        if found is None:
            break
        name, length = found
        if name == _W64["fmt "]:
            (block,) = _unpack_at(file, offset + 36, "<H")
        elif name == _W64["data"]:
            announced = length - 24
            samples = _Samples(offset + 24, size, announced, block, num_bits=64)
            samples.judge(lambda end: _simple_tail(file, end, announced, _W64["riff"]))
            if samples.end < size:  # without correction, libsndfile reads to the end of the file
                samples.must_correct = True
            num_bytes = struct.pack("<q", samples.end - offset)
            return _layout(samples, Patch(offset + 16, num_bytes), "w64")
        if length < 24:
            break
        offset += length + -length % 8
    return Layout((Part(demuxer="w64"),))


def _aiff(file: BinaryIO, size: int) -> Layout:
    """Return the Layout of an AIFF or AIFF-C file.

    In the chunk SSND, 8 bytes precede the samples.
    """
    offset, block = 12, 1
    for _ in range(_MOST_CHUNKS):
        found = _chunk(file, offset, size, ">4sI")
        if found is None:
            break
        name, length = found
        if name == b"COMM":
            channels, _, bits = _unpack_at(file, offset + 8, ">HIH")
            block = channels * -(-bits // 8)
        elif name == b"SSND":
            samples = _Samples(offset + 16, size, length - 8, block)
            samples.judge(lambda end: _tail_after(file, end, size, ">").kind)
            # With a size of 0, libsndfile reads the samples up to the end of the file.
            return _layout(samples, Patch(offset + 4, bytes(4)), "aiff")
        offset += 8 + length + (length & 1)
    return Layout((Part(demuxer="aiff"),))


def _au(head: bytes, size: int) -> Layout:
    """Return the Layout of a Sun AU file. A length of -1 is valid; it means an unknown length."""
    order = ">" if head[:4] == b".snd" else "<"
    if len(head) < 24:
        return Layout((Part(demuxer="au"),))
    start, length, encoding, _, channels = struct.unpack(f"{order}5I", head[4:24])
    samples = _Samples(start, size, length, channels * _AU_BYTES.get(encoding, 1))
    if length != _LIMIT - 1:
        samples.judge(lambda end: "bytes")
    return _layout(samples, Patch(8, b"\xff" * 4), "au")


def _caf(file: BinaryIO, size: int) -> Layout:
    """Return the Layout of an Apple CAF file. In the data chunk, 4 bytes precede the samples.

    A length of -1 is valid; it means an unknown length.
    """
    offset, block = 8, 1
    for _ in range(_MOST_CHUNKS):
        found = _chunk(file, offset, size, ">4sq")
        if found is None:
            break
        name, length = found
        if name == b"desc":
            (block,) = _unpack_at(file, offset + 28, ">I")
        elif name == b"data":
            announced = length - 4
            samples = _Samples(offset + 16, size, announced, block, num_bits=64)
            samples.judge(lambda end: _simple_tail(file, end, announced, b"caff"))
            if length == -1:
                samples.remark = ""
            num_bytes = struct.pack(">q", samples.end - offset - 12)
            return _layout(samples, Patch(offset + 4, num_bytes), "caf")
        offset += 12 + max(0, length)
    return Layout((Part(demuxer="caf"),))
