"""The file that HDF5 writes to, where a disk may be full: HDF5 itself, once a write has failed, brings the process down on closing."""

import contextlib
import io
import os


class Disk(io.RawIOBase):
    """A new file for h5py.File(file, "w"): writes never fail; `check` tells later, and soon, that one did.

    What the disk does not take is kept, for HDF5 to read again until the caller gives up.
    """

    def __init__(self, path):
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        self._position, self._error, self._kept = 0, None, []  # kept: (position, bytes)

    def check(self):
        """Raise the OSError of the first write that failed."""
        if self._error is not None:
            raise self._error

    def close(self):
        """Close the file."""
        if not self.closed:
            os.close(self._file)
        super().close()

    def seek(self, offset, whence=os.SEEK_SET):
        """Go to a place."""
        self._position = offset + (
            0
            if whence == os.SEEK_SET
            else self._position
            if whence == os.SEEK_CUR
            else self._size()
        )
        return self._position

    def tell(self):
        """The place."""
        return self._position

    def _size(self):
        return max(
            [os.fstat(self._file).st_size, *(place + len(data) for place, data in self._kept)]
        )

    def truncate(self, size=None):
        """Cut or lengthen the file."""
        with self._noting():
            os.ftruncate(self._file, self._position if size is None else size)
        return size

    @contextlib.contextmanager
    def _noting(self):
        try:
            yield
        except OSError as error:
            self._error = self._error or error

    def write(self, data):
        """Write bytes at the place, and go behind them."""
        data, done = memoryview(data), 0
        with self._noting():
            while done < len(data) and self._error is None:
                done += os.pwrite(self._file, data[done:], self._position + done)
        if done < len(data):
            self._kept.append((self._position + done, bytes(data[done:])))
        self._position += len(data)
        return len(data)

    def readinto(self, buffer):
        """Read the bytes at the place, and go behind them; zeros beyond the end."""
        start, found = (
            self._position,
            bytearray(os.pread(self._file, len(buffer), self._position).ljust(len(buffer), b"\0")),
        )
        for place, data in self._kept:
            first, last = max(place, start), min(place + len(data), start + len(buffer))
            if first < last:
                found[first - start : last - start] = data[first - place : last - place]
        buffer[:] = found
        self._position += len(buffer)
        return len(buffer)
