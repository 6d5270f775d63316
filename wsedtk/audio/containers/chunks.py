"""Containers of one block of samples behind a header: WAV, RF64, W64, AIFF, AU and CAF.

The header announces how many bytes of samples follow. Recording programs first write a placeholder:
0, the size of the header, or the largest number that the field holds. After a crash or in a pipe,
the placeholder stays. The samples then extend to the end of the file.
"""

import struct

from wsedtk.audio.containers.layout import Layout, Part, read_at

UNCLOSED = "was never closed"
_LIMIT = 1 << 32  # 32-bit fields count modulo this
_NEAR = 1 << 16  # a size this close to the largest numbers is a placeholder
_HUGE = 1 << 50  # a 64-bit size from here on is a placeholder
_HEADER_BYTES = 4096  # a size up to this may be that of the header or of the first block
_MOST_CHUNKS = 1000  # in a header or a trailer
_TRAILERS = set(  # chunks that programs append, even if the file was then cut within them
    b"LIST,id3 ,ID3 ,bext,iXML,axml,fact,PEAK,cue ,JUNK,junk,PAD ,smpl,inst,DISP,afsp,cart,_PMX,"
    b"guan,wamd,ANNO,NAME,AUTH,APPL".split(b",")
)
_AU_BYTES = {3: 2, 4: 3, 5: 4, 6: 4, 7: 8}  # a sample, of encodings that take more than one
_W64 = {  # names of chunks
    "riff": bytes.fromhex("726966662e91cf11a5d628db04c10000"),
    "fmt ": bytes.fromhex("666d7420f3acd3118cd100c04f8edb8a"),
    "data": bytes.fromhex("64617461f3acd3118cd100c04f8edb8a"),
}


def _is_placeholder(announced, num_bits=32):
    """Return whether programs write this size before they know the true one."""
    if num_bits == 64 and announced >= _HUGE:
        return True
    return any(abs(announced - mark) <= _NEAR for mark in (1 << 31, _LIMIT - 1))


def _tail(file, offset, size, order):
    """Classify the bytes after the samples, and return where the last of them begin.

    The classes are "end", "chunks", "file" (another WAV file) and "bytes" (no known structure).
    """
    for _ in range(_MOST_CHUNKS):
        if size - offset < 8:
            return "end", offset
        head = read_at(file, offset, 12)
        name, length = struct.unpack(f"{order}4sI", head[:8])
        if name in (b"RIFF", b"RF64") and head[8:] == b"WAVE":
            return "file", offset
        if name == b"FORM":
            return "bytes", offset
        if name in _TRAILERS and offset + 8 + length > size:
            return "end", offset
        if not name.isascii() or not name.decode().isprintable() or offset + 8 + length > size:
            return "bytes", offset
        offset += 8 + length + (length & 1)
    return "chunks", offset


def _tail_of(file, end, size, order):
    """Return `_tail` for samples that end at `end`, with or without a byte of padding."""
    found = _tail(file, end + (end & 1), size, order)
    return _tail(file, end, size, order) if found[0] == "bytes" and end & 1 else found


def _rest(file, end, samples, magic):
    """Classify the bytes after the samples as "bytes", or "end" if other chunks may follow."""
    return "bytes" if samples.announced <= 0 or read_at(file, end, len(magic)) == magic else "end"


class _Samples:
    """A block of samples: its start, its announced size and the number of bytes that exist.

    `judge` sets `end`, `share` and `remark` (see Part and Layout), and `mended`, which is true if
    the header must be corrected.
    """

    def __init__(self, start, size, announced, block_bytes, num_bits=32):
        self.start, self.there, self.announced = start, size - start, announced
        self.end, self.share, self.remark, self.mended = size, 1.0, "", False
        self._block, self._num_bits = max(1, block_bytes), num_bits

    def judge(self, tail):
        """Decide which bytes are samples. `tail` classifies what follows an offset, like `_tail`."""
        self.end = self.start + max(0, min(self.announced, self.there))
        if self.announced == self.there or self.there <= 0:
            return
        if self.announced > self.there:
            self._judge_missing()
            return
        if tail(self.end) != "bytes":
            return
        if self.announced <= 0:
            self._unclosed()
            return
        rest = self.there - self.announced
        if self._num_bits == 32 and rest >= _LIMIT and rest % _LIMIT <= _NEAR:
            self.end += rest // _LIMIT * _LIMIT
            self.mended, self.remark = True, "is longer than the 4 GB that its header can announce"
        elif self.announced <= _HEADER_BYTES and rest > self.announced:
            self._unclosed()
        elif rest > _HEADER_BYTES:
            self.remark = f"has {rest} bytes after the announced end, which are ignored"

    def _judge_missing(self):
        if _is_placeholder(self.announced, self._num_bits):
            self._unclosed()
            return
        size, self.mended = self.start + self.there, True
        if self.announced in (size, size - 8):  # some programs write the size of the file here
            return
        missing = self.announced // self._block - self.there // self._block
        if missing > 1:
            self.share = self.there / self.announced

    def _unclosed(self):
        self.end, self.mended, self.remark = self.start + self.there, True, UNCLOSED


def look(file, size, head):
    """Return the Layout of a file that begins with `head`; None if it is no such container."""
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


def _layout(samples, patches, demuxer):
    """Return a Layout of one part: the file as it is, or with a corrected header."""
    part = Part(demuxer=demuxer)
    if samples is not None and samples.mended:
        part = Part(((0, samples.end),), patches, demuxer)
    return Layout((part,), samples.share if samples else 1.0, samples.remark if samples else "")


def _chunk(file, offset, size, order, form):
    """Return name and length of the chunk at an offset; None beyond the end."""
    head = read_at(file, offset, struct.calcsize(order + form)) if offset < size else b""
    if len(head) < struct.calcsize(order + form):
        return None
    return struct.unpack(order + form, head)


def _waves(file, size):
    """Return the Layout of a WAV file, or of several that were joined into one."""
    parts, start = [], 0
    while True:
        part, samples, end = _wave(file, start, size)
        if samples is None:
            break
        parts.append(part)
        kind, start = _tail_of(file, end, size, "<")
        if kind != "file":
            break
    if not parts:  # libsndfile names the fault
        return Layout((Part(demuxer="wav"),))
    if len(parts) > 1:
        return Layout(tuple(parts), samples.share, f"holds {len(parts)} files, one after the other")
    return Layout((part if samples.mended else Part(demuxer="wav"),), samples.share, samples.remark)


def _wave(file, first, size):
    """Return the Part of the WAV file at `first`, its samples or None, and the offset after it."""
    form = read_at(file, first, 4)
    order = ">" if form == b"RIFX" else "<"
    offset, block, sizes = first + 12, 1, None
    for _ in range(_MOST_CHUNKS):
        found = _chunk(file, offset, size, order, "4sI")
        if found is None:
            break
        name, length = found
        if name == b"fmt ":
            block = struct.unpack(f"{order}H", read_at(file, offset + 20, 2).ljust(2, b"\0"))[0]
        elif name == b"ds64":
            sizes = (
                offset + 16,
                struct.unpack("<q", read_at(file, offset + 16, 8).ljust(8, b"\0"))[0],
            )
        elif name == b"data":
            is_long = sizes is not None and length == _LIMIT - 1
            announced, num_bits = (sizes[1], 64) if is_long else (length, 32)
            samples = _Samples(offset + 8, size, announced, block, num_bits)
            samples.judge(lambda end: _tail_of(file, end, size, order)[0])
            patches = ()
            if samples.mended:
                patches = _wave_patches(
                    first, offset, order, samples, sizes[0] if is_long else None
                )
            return Part(((first, samples.end),), patches, "wav"), samples, samples.end
        offset += 8 + length + (length & 1)
    return None, None, size


def _wave_patches(first, offset, order, samples, ds64):
    """Return header fields that make libsndfile read the samples to the end of the file."""
    if ds64 is not None:
        return (ds64, struct.pack("<q", samples.end - samples.start)), (offset + 4, b"\xff" * 4)
    return (first + 4, struct.pack(f"{order}I", 8)), (offset + 4, bytes(4))


def _wave64(file, size):
    """Return the Layout of a Sony W64 file: 64-bit sizes include the chunk's header of 24 bytes."""
    offset, block = 40, 1
    for _ in range(_MOST_CHUNKS):
        found = _chunk(file, offset, size, "<", "16sq")
        if found is None:
            break
        name, length = found
        if name == _W64["fmt "]:
            block = struct.unpack("<H", read_at(file, offset + 36, 2).ljust(2, b"\0"))[0]
        elif name == _W64["data"]:
            samples = _Samples(offset + 24, size, length - 24, block, 64)
            samples.judge(lambda end: _rest(file, end, samples, _W64["riff"]))
            samples.mended |= samples.end < size  # libsndfile would read up to the end of the file
            return _layout(
                samples, ((offset + 16, struct.pack("<q", samples.end - offset)),), "w64"
            )
        if length < 24:
            break
        offset += length + -length % 8
    return _layout(None, (), "w64")


def _aiff(file, size):
    """Return the Layout of an AIFF or AIFF-C file: 8 bytes precede the samples in SSND."""
    offset, block = 12, 1
    for _ in range(_MOST_CHUNKS):
        found = _chunk(file, offset, size, ">", "4sI")
        if found is None:
            break
        name, length = found
        if name == b"COMM":
            channels, _, bits = struct.unpack(">HIH", read_at(file, offset + 8, 8).ljust(8, b"\0"))
            block = channels * -(-bits // 8)
        elif name == b"SSND":
            samples = _Samples(offset + 16, size, length - 8, block)
            samples.judge(lambda end: _tail_of(file, end, size, ">")[0])
            return _layout(samples, ((offset + 4, bytes(4)),), "aiff")  # 0: up to the end
        offset += 8 + length + (length & 1)
    return _layout(None, (), "aiff")


def _au(head, size):
    """Return the Layout of a Sun AU file. A length of -1 is legal: it is unknown."""
    order = ">" if head[:4] == b".snd" else "<"
    if len(head) < 24:
        return _layout(None, (), "au")
    start, length, encoding, _, channels = struct.unpack(f"{order}5I", head[4:24])
    samples = _Samples(start, size, length, channels * _AU_BYTES.get(encoding, 1))
    if length != _LIMIT - 1:
        samples.judge(lambda end: "bytes")
    return _layout(samples, ((8, b"\xff" * 4),), "au")


def _caf(file, size):
    """Return the Layout of an Apple CAF file: 4 bytes precede the samples in the data chunk.

    A length of -1 is legal: it is unknown.
    """
    offset, block = 8, 1
    for _ in range(_MOST_CHUNKS):
        found = _chunk(file, offset, size, ">", "4sq")
        if found is None:
            break
        name, length = found
        if name == b"desc":
            block = struct.unpack(">I", read_at(file, offset + 28, 4).ljust(4, b"\0"))[0]
        elif name == b"data":
            samples = _Samples(offset + 16, size, length - 4, block, 64)
            samples.judge(lambda end: _rest(file, end, samples, b"caff"))
            if length == -1:
                samples.remark = ""
            length = struct.pack(">q", samples.end - offset - 12)
            return _layout(samples, ((offset + 4, length),), "caf")
        offset += 12 + max(0, length)
    return _layout(None, (), "caf")
