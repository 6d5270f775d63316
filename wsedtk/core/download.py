"""Download files over HTTP. An interrupted download is resumed.

<file>.part          the first bytes of an incomplete file
<file>.part.version  the address of the file, and its version (ETag or date) on the server
"""

import hashlib
import http.client
import logging
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import NamedTuple

from wsedtk import __version__
from wsedtk.core.atomic import explained, write_text
from wsedtk.core.progress import progress_in_bytes

MAX_FAILURES = 4  # in a row; a failure after new bytes were received counts as the first one
PAUSE_SECONDS = 1.0  # before the second try; doubled before each further try
TIMEOUT_SECONDS = 30.0  # maximum time in which a server sends nothing
_BLOCK = 1 << 18  # bytes
_TEMPORARY = (408, 425, 429, 500, 502, 503, 504)  # HTTP status codes
_LOG = logging.getLogger(__name__)


class DownloadError(Exception):
    """A download that failed. The message contains the reason, but not the address."""


class _Interrupted(Exception):
    """A try that failed, although the next try can succeed. The message contains the reason."""


class _Part:
    """An incomplete file on the disk.

    Parameters
    ----------
    path : Path
        The path of the complete file.
    url : str
        The address of the file.
    """

    def __init__(self, path: Path, url: str) -> None:
        self.path = path.with_name(f"{path.name}.part")
        self._version = path.with_name(f"{path.name}.part.version")
        self._url = url

    @property
    def size(self) -> int:
        """The number of bytes that were received."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def version(self) -> str | None:
        """Return the version (ETag or date) that the file had when its bytes were received.

        Return None if nothing was received, or if the version is unknown.
        """
        try:
            url, _, version = self._version.read_text("utf-8").partition("\n")
        except (OSError, UnicodeDecodeError):
            return None
        return version if url == self._url and version and self.size else None

    def begin(self, version: str) -> None:
        """Discard the received bytes. The bytes that follow belong to the given version."""
        with explained(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(b"")
        write_text(self._version, f"{self._url}\n{version}")

    def append(self, blocks: Iterator[bytes]) -> Iterator[int]:
        """Append blocks of bytes. Yield the size after each block."""
        with explained(self.path):
            file = open(self.path, "ab")
        with file:
            for block in blocks:
                with explained(self.path):
                    file.write(block)
                    file.flush()
                yield file.tell()

    def finish(self, path: Path) -> None:
        """Rename the complete file from <file>.part to `path`, and delete its version."""
        with explained(path):
            with open(self.path, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(self.path, path)
            self._version.unlink(missing_ok=True)


class _Answer(NamedTuple):
    """The position of the first byte that a server sends, and the size of the file in bytes.

    The size is None if it is unknown.
    """

    start: int
    total: int | None


def download(url: str, path: Path, num_bytes: int | None = None) -> None:
    """Download a file. If an earlier download of this file was interrupted, resume it.

    If the connection fails, the download is tried again a few times. The proxies in the environment
    variables http_proxy, https_proxy and no_proxy are used. The content is not checked. Two
    processes must not download the same file at the same time.

    Parameters
    ----------
    url : str
        The address of the file.
    path : Path
        The file to write. Its folder is created.
    num_bytes : int, optional
        The expected size. A file of another size is refused.

    Raises
    ------
    DownloadError
        If the file can't be downloaded, or if its size is not as expected.
    InputError
        If the file can't be written.
    """
    part, opener = _Part(path, url), urllib.request.build_opener()
    num_failures, most = 0, part.size
    while True:
        try:
            _receive(opener, url, part, num_bytes)
            break
        except _Interrupted as error:
            num_failures = 1 if part.size > most else num_failures + 1
            most = max(most, part.size)
            if num_failures == MAX_FAILURES:
                raise DownloadError(str(error)) from None
            _LOG.info(f"{url}: {error}; trying again")
            time.sleep(PAUSE_SECONDS * 2 ** (num_failures - 1))
    part.finish(path)


def _receive(
    opener: urllib.request.OpenerDirector, url: str, part: _Part, num_bytes: int | None
) -> None:
    """Request the missing bytes of a file, and append them to the file.

    Raises
    ------
    _Interrupted
        If bytes are still missing, but another request can succeed.
    DownloadError
        If another request would fail too.
    """
    version, headers = part.version(), {"User-Agent": f"wsedtk/{__version__}"}
    if version is not None:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": version}
    try:
        with opener.open(
            urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS
        ) as response:
            answer = _answer(response.status, response.headers, part.size)
            total = num_bytes if answer.total is None else answer.total
            if num_bytes not in (None, total):
                raise DownloadError(
                    f"the server has a file of {total:,} bytes; expected {num_bytes:,} bytes"
                )
            if answer.start == 0:
                part.begin(_version(response.headers))
            with progress_in_bytes(f"download {part.path.stem}", total) as show:
                for size in part.append(iter(lambda: response.read1(_BLOCK), b"")):
                    show(size)
                    if total is not None and size > total:
                        part.begin("")
                        raise DownloadError(f"the server sent more than {total:,} bytes")
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and _size_in_range(error.headers) == part.size:
                return  # the file was complete, but was not renamed
            if error.code == 416:
                part.begin("")
            reason = f"HTTP status {error.code} ({error.reason})"
            if error.code in (*_TEMPORARY, 416):
                raise _Interrupted(reason) from None
        raise DownloadError(reason) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise DownloadError(str(error.reason)) from None
        raise _Interrupted(_reason(error.reason)) from None
    except (OSError, http.client.HTTPException) as error:
        raise _Interrupted(_reason(error)) from None
    if total is not None and part.size < total:
        raise _Interrupted(f"the connection broke off after {part.size:,} of {total:,} bytes")


def _answer(status: int, headers: Message, size: int) -> _Answer:
    """Return the position and the size that an answer states.

    `size` is the number of bytes that were received earlier, and thus the position that was
    requested. Raises _Interrupted if the answer begins at another position.
    """
    if status != 206:  # the server sends the whole file
        length = headers.get("Content-Length", "")
        return _Answer(0, int(length) if length.isdecimal() else None)
    if not headers.get("Content-Range", "").startswith(f"bytes {size}-"):
        raise _Interrupted(
            f"the server sent another part of the file; expected the part from byte {size:,}"
        )
    return _Answer(size, _size_in_range(headers))


def _size_in_range(headers: Message) -> int | None:
    """Return the size of the file according to the header Content-Range. None if it is unknown."""
    found = re.search(r"/(\d+)$", headers.get("Content-Range", ""))
    return int(found.group(1)) if found else None


def _version(headers: Message) -> str:
    """Return the strong ETag of a file, or else its date, for the header If-Range.

    Return "" if the server sent neither.
    """
    tag: str = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return f"the server sent nothing for {TIMEOUT_SECONDS:g} s"
    return str(getattr(error, "strerror", None) or error) or type(error).__name__


def sha256(path: Path) -> str:
    """Return the SHA-256 hash of a file in hexadecimal. Raises OSError if it can't be read."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
