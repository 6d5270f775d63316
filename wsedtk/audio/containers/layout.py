"""The streams of a file (Layout, Part), and a view of one for decoders (Window)."""

import dataclasses
import io


@dataclasses.dataclass(frozen=True)
class Part:
    """One stream of sound in a file."""

    ranges: tuple = ()  # ((start, end), ...) in bytes of the file; () is the file as it is
    patches: tuple = ()  # ((offset in the file, bytes), ...): corrected header fields
    demuxer: str = ""  # FFmpeg's name of the format
    num_samples: int | None = None  # samples that the stream holds, if known
    by_libsndfile: bool = True  # whether libsndfile is tried first
    num_skipped: int = 0  # samples at its beginning that were read before


@dataclasses.dataclass(frozen=True)
class Layout:
    """The streams of a file, one after the other."""

    parts: tuple = (Part(),)
    # The part of the last stream's announced length that exists. None: the stream breaks off and
    # its announced length is unknown.
    share: float | None = 1.0
    remark: str = ""  # another fault of the file
    is_flac: bool = False  # more streams may follow; their offsets are known after decoding


def read_at(file, offset, num_bytes):
    """Read bytes from an offset of a file; fewer at its end."""
    file.seek(offset)
    content = file.read(num_bytes) or b""
    while len(content) < num_bytes and (more := file.read(num_bytes - len(content))):
        content += more
    return content


class Window(io.RawIOBase):
    """A read-only file that consists of the bytes of a Part.

    Decoders call it from C, where an exception would be printed and lost. An impossible seek
    returns -1. A read error ends the window and is kept in `error`.
    """

    def __init__(self, file, part, size):
        super().__init__()
        self._file, self._patches, self._offset, self.error = file, part.patches, 0, None
        self._ranges, self._length = [], 0  # (offset in the window, offset in the file, bytes)
        for start, end in part.ranges or ((0, size),):
            self._ranges.append((self._length, start, end - start))
            self._length += end - start

    def readable(self):
        return True

    def seekable(self):
        return True

    def tell(self):
        return self._offset

    def seek(self, offset, whence=io.SEEK_SET):
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._length}
        if whence not in bases or not 0 <= bases[whence] + offset < 1 << 62:
            return -1
        self._offset = bases[whence] + offset
        return self._offset

    def offset_in_file(self):
        """Return the position in the underlying file."""
        for begin, start, length in self._ranges:  # noqa: B007
            if self._offset < begin + length:
                return start + max(0, self._offset - begin)
        return self._ranges[-1][1] + self._ranges[-1][2]

    def readinto(self, buffer):
        for begin, start, length in self._ranges:  # noqa: B007
            if begin <= self._offset < begin + length:
                break
        else:
            return 0
        offset = start + self._offset - begin
        try:
            content = read_at(self._file, offset, min(len(buffer), begin + length - self._offset))
        except OSError as error:
            self.error = error.strerror or str(error)
            return 0
        buffer[: len(content)] = content
        for at, patch in self._patches:
            first, last = max(at, offset), min(at + len(patch), offset + len(content))
            if first < last:
                buffer[first - offset : last - offset] = patch[first - at : last - at]
        self._offset += len(content)
        return len(content)
