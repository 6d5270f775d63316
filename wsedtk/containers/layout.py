"""The streams of a file: Layout, Part, and the Window through which a decoder sees a part."""

import dataclasses
import io


@dataclasses.dataclass(frozen=True)
class Part:
    """One stream of sound in a file."""

    ranges: tuple = ()  # ((start, end), ...) in bytes of the file; (): the whole file as it is
    patches: tuple = ()  # ((place in the file, bytes), ...): header fields as they should be
    demuxer: str = ""  # FFmpeg's name of the format, for what libsndfile does not read whole
    num_samples: int | None = None  # that the stream holds, where that is known
    by_libsndfile: bool = True  # False: only FFmpeg reads it


@dataclasses.dataclass(frozen=True)
class Layout:
    """The streams of a file, one after the other."""

    parts: tuple = (Part(),)
    share: float | None = 1.0  # of what the last stream announces, that is there; None: it breaks off, from how much is unknown
    remark: str = ""  # what else is wrong with the file
    is_flac: bool = False  # a FLAC stream's end shows when it is decoded: another may follow


def read_at(file, place, num_bytes):
    """The bytes at a place of a file: fewer at its end."""
    file.seek(place)
    content = file.read(num_bytes) or b""
    while len(content) < num_bytes and (more := file.read(num_bytes - len(content))):
        content += more
    return content


class Window(io.RawIOBase):
    """The bytes of a Part as a file of its own, to be read and not written.

    Decoders call it from C, where an exception would only be printed: a seek that can't be is answered with -1, and an
    error of the file ends it and is kept as `error`.
    """

    def __init__(self, file, part, size):
        super().__init__()
        self._file, self._patches, self._place, self.error = file, part.patches, 0, None
        self._ranges, self._length = [], 0  # (place in the window, place in the file, bytes)
        for start, end in part.ranges or ((0, size),):
            self._ranges.append((self._length, start, end - start))
            self._length += end - start

    def readable(self):
        return True

    def seekable(self):
        return True

    def tell(self):
        return self._place

    def seek(self, offset, whence=io.SEEK_SET):
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._length}
        if whence not in bases or not 0 <= bases[whence] + offset < 1 << 62:
            return -1
        self._place = bases[whence] + offset
        return self._place

    def place_in_file(self):
        """The place in the file that the window's place stands for."""
        for begin, start, length in self._ranges:
            if self._place < begin + length:
                return start + max(0, self._place - begin)
        return self._ranges[-1][1] + self._ranges[-1][2]

    def readinto(self, buffer):
        for begin, start, length in self._ranges:
            if begin <= self._place < begin + length:
                break
        else:
            return 0
        place = start + self._place - begin
        try:
            content = read_at(self._file, place, min(len(buffer), begin + length - self._place))
        except OSError as error:
            self.error = error.strerror or str(error)
            return 0
        buffer[:len(content)] = content
        for at, patch in self._patches:
            first, last = max(at, place), min(at + len(patch), place + len(content))
            if first < last:
                buffer[first - place:last - place] = patch[first - at:last - at]
        self._place += len(content)
        return len(content)
