"""Define a file object for HDF5 that reports failed writes to the caller, but not to HDF5.

A write fails, for example, if the disk is full. If HDF5 noticed the failure, it would end the
process when it closes the file.
"""

import contextlib
import io
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from wsedtk.core.paths import PathLike

if TYPE_CHECKING:
    from typing_extensions import Buffer


class _Kept(NamedTuple):
    """Bytes that could not be written, and their offset in the file."""

    place: int
    data: bytes


class Disk(io.RawIOBase):
    """A new file for `h5py.File(file, "w")`. Its writes never raise an error.

    `check` raises the error of the first write that failed. The bytes that could not be written are
    kept in memory, because HDF5 can read them again before the caller calls `check`.

    Parameters
    ----------
    path : path-like
    """

    def __init__(self, path: PathLike) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        self._position = 0
        self._error: OSError | None = None
        self._kept: list[_Kept] = []

    def check(self) -> None:
        """Raise the OSError of the first write that failed. If no write has failed, do nothing."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            os.close(self._file)
        super().close()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Change the position. Return the new position."""
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}
        start = starts[whence] if whence in starts else self._size()
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """Return the current position."""
        return self._position

    def _size(self) -> int:
        ends = [place + len(data) for place, data in self._kept]
        return max([os.fstat(self._file).st_size, *ends])

    def truncate(self, size: int | None = None) -> int:
        """Change the size of the file (default: the current position). Return the new size."""
        size = self._position if size is None else size
        with self._noting_error():
            os.ftruncate(self._file, size)
        return size

    @contextlib.contextmanager
    def _noting_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._error = self._error or error

    def write(self, data: "Buffer") -> int:
        """Write bytes at the current position. Move the position to the end of these bytes."""
        data, done = memoryview(data), 0
        with self._noting_error():
            while done < len(data) and self._error is None:
                done += os.pwrite(self._file, data[done:], self._position + done)
        if done < len(data):
            self._kept.append(_Kept(self._position + done, bytes(data[done:])))
        self._position += len(data)
        return len(data)

    def readinto(self, buffer: "Buffer") -> int:
        """Read bytes at the current position. Move the position to the end of these bytes.

        Bytes after the end of the file are zeros.
        """
        buffer = memoryview(buffer)
        start, end = self._position, self._position + len(buffer)
        on_disk = os.pread(self._file, len(buffer), start)
        found = bytearray(on_disk.ljust(len(buffer), b"\0"))
        for place, data in self._kept:
            first, last = max(place, start), min(place + len(data), end)
            if first < last:
                found[first - start : last - start] = data[first - place : last - place]
        buffer[:] = found
        self._position = end
        return len(buffer)
