"""Read sound while it arrives: from standard input, or from a microphone.

A background thread receives the sound, so that it is not lost while the model computes. The queue
between the threads has a limited size.

Array dimensions: S samples, C channels.
"""

import abc
import contextlib
import logging
import os
import queue
import stat
import threading
import time
from collections.abc import Generator, Sequence
from typing import Any, BinaryIO, Generic, NamedTuple, TypeVar

import numpy as np

from wsedtk.audio.pcm import PcmFormat, RawDecoder, WavDecoder
from wsedtk.core.errors import InputError
from wsedtk.core.progress import clock
from wsedtk.core.types import Floats

_LOG = logging.getLogger(__name__)
_READ_BYTES = 1 << 16
_MOST_READS = 64  # blocks of standard input in the queue: 4 MiB
_POLL_SECONDS = 0.1  # how often a waiting program checks whether it was asked to stop
_QUEUE_SECONDS = 60.0  # sound of a microphone in the queue
_DEAD_SECONDS = 10.0  # a microphone without any samples for this time has failed
_REPORT_SECONDS = 60.0  # minimum time between two warnings about lost sound

Item = TypeVar("Item")


class LiveBlock(NamedTuple):
    """Samples of a live stream.

    Attributes
    ----------
    samples : (S, C) float32
    arrived : float
        The time at which the samples arrived, in seconds as in `time.time`.
    """

    samples: Floats
    arrived: float


class LiveSource(abc.ABC):
    """A source of sound that arrives block by block. It is a context manager.

    Attributes
    ----------
    name : str
        The name of the source in lists of events.
    title : str
        The name of the source in messages.
    is_live : bool
        Whether the sound arrives while it is recorded. False for a file.
    """

    name: str
    title: str
    is_live: bool

    @property
    @abc.abstractmethod
    def format(self) -> PcmFormat | None:
        """The format of the samples. None before it is known."""

    @abc.abstractmethod
    def __enter__(self) -> "LiveSource":
        """Begin to receive sound."""

    @abc.abstractmethod
    def __exit__(self, *error: object) -> None:
        """Stop to receive sound."""

    @abc.abstractmethod
    def blocks(self, stopped: Sequence[object]) -> Generator[LiveBlock, None, None]:
        """Yield the blocks until the sound ends, or until `stopped` is not empty.

        Blocks are yielded when they arrive. They are not empty.

        Raises
        ------
        InputError
            If the source can't be read.
        """


class _Arrivals(Generic[Item]):
    """A queue of items that another thread receives. It ends with None or with an error."""

    def __init__(self, most: int) -> None:
        self._queue: queue.Queue[Item | Exception | None] = queue.Queue(most)
        self._is_closed = threading.Event()

    def put(self, item: Item | Exception | None) -> bool:
        """Add an item. Wait while the queue is full. Return False if nobody reads it any more."""
        while not self._is_closed.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(item, timeout=_POLL_SECONDS)
                return True
        return False

    def put_at_once(self, item: Item) -> bool:
        """Add an item. Return False if the queue is full."""
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(item)
            return True
        return False

    def close(self) -> None:
        """Let the other thread stop."""
        self._is_closed.set()

    def get(self) -> Item | Exception | None:
        """Return the next item. Raise queue.Empty if there is none within `_POLL_SECONDS`."""
        return self._queue.get(timeout=_POLL_SECONDS)


class StandardInput(LiveSource):
    """Sound that a program writes to standard input. See `LiveSource`.

    Parameters
    ----------
    file : BinaryIO
        The stream.
    raw : PcmFormat, optional
        The format of raw samples. By default, the stream is a WAV file.

    Raises
    ------
    InputError
        If the stream is a terminal.
    """

    name = "stdin"
    title = "standard input"

    def __init__(self, file: BinaryIO, raw: PcmFormat | None = None) -> None:
        self._decoder = WavDecoder(self.title) if raw is None else RawDecoder(raw)
        self._file, self._fd = file, None
        with contextlib.suppress(OSError):  # such as io.BytesIO
            self._fd = file.fileno()
        self.is_live = self._fd is not None and not stat.S_ISREG(os.fstat(self._fd).st_mode)
        if self._fd is not None and os.isatty(self._fd):
            raise InputError(
                f"{self.title}: is a terminal; write sound to it with a pipe, such as "
                "arecord -f S16_LE -r 48000 | wsedtk detect MODEL --stream, or use --microphone"
            )
        self._arrivals: _Arrivals[tuple[bytes, float]] = _Arrivals(_MOST_READS)

    @property
    def format(self) -> PcmFormat | None:
        """The format of the samples. None before the header has been read."""
        return self._decoder.format

    def __enter__(self) -> "StandardInput":
        threading.Thread(target=self._receive, name="wsedtk input", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._arrivals.close()

    def _receive(self) -> None:
        try:
            while data := self._read():
                if not self._arrivals.put((data, time.time())):
                    return
            self._arrivals.put(None)
        except (OSError, ValueError) as error:
            self._arrivals.put(error)

    def _read(self) -> bytes:
        """Return the bytes that have arrived, or b"" at the end."""
        if self._fd is not None:
            return os.read(self._fd, _READ_BYTES)
        return self._file.read(_READ_BYTES)

    def blocks(self, stopped: Sequence[object]) -> Generator[LiveBlock, None, None]:
        """Yield the blocks. See `LiveSource.blocks`."""
        while not stopped:
            with contextlib.suppress(queue.Empty):
                item = self._arrivals.get()
                if item is None:
                    self._decoder.finish()
                    return
                if isinstance(item, Exception):
                    raise InputError(f"{self.title}: can't be read ({item})") from item
                data, arrived = item
                if len(samples := self._decoder.push(data)):
                    yield LiveBlock(samples, arrived)


class Microphone(LiveSource):
    """A microphone, or another input device of the computer. See `LiveSource`.

    Parameters
    ----------
    device : str
        "default", or the number of a device, or a part of its name.

    Raises
    ------
    InputError
        If the package sounddevice or its library is missing, or if there is no such device.
    """

    name = "microphone"
    title = "microphone"
    is_live = True

    def __init__(self, device: str = "default") -> None:
        self._sounddevice = _import_sounddevice()
        self._device = _find_device(self._sounddevice, device)
        about = self._sounddevice.query_devices(self._device, "input")
        self.title = f"microphone {about['name']!r}"
        rate = round(about["default_samplerate"])
        self._format = PcmFormat(rate, self._num_channels(about), "f32")
        self._arrivals: _Arrivals[LiveBlock] = _Arrivals(10_000)
        # The samples that were added to the queue, and those that were taken from it. The first
        # number is changed only by the thread of sounddevice, the second one only by `blocks`.
        self._num_added, self._num_taken = 0, 0
        self._most_queued = round(_QUEUE_SECONDS * rate)
        self._num_overflows = 0
        self._num_dropped = 0
        self._last_report = -_REPORT_SECONDS
        self._stream: Any = None

    @property
    def format(self) -> PcmFormat:
        """The format of the samples."""
        return self._format

    def _num_channels(self, about: Any) -> int:
        """Return 1 if the device can record one channel, and otherwise all its channels."""
        try:
            self._sounddevice.check_input_settings(
                device=self._device,
                channels=1,
                dtype="float32",
                samplerate=about["default_samplerate"],
            )
            return 1
        except self._sounddevice.PortAudioError:
            return int(about["max_input_channels"])

    def __enter__(self) -> "Microphone":
        try:
            self._stream = self._sounddevice.InputStream(
                samplerate=self._format.sample_rate,
                device=self._device,
                channels=self._format.num_channels,
                dtype="float32",
                latency="high",
                callback=self._receive,
            )
            self._stream.start()
        except self._sounddevice.PortAudioError as error:
            raise InputError(f"{self.title}: can't be opened ({error})") from None
        return self

    def __exit__(self, *error: object) -> None:
        self._arrivals.close()
        with contextlib.suppress(self._sounddevice.PortAudioError):
            self._stream.close()

    def _receive(self, samples: Floats, num_samples: int, times: object, status: Any) -> None:
        """Add a block to the queue. sounddevice calls this method in its own thread."""
        if status.input_overflow:
            self._num_overflows += 1
        block = LiveBlock(np.array(samples, np.float32), time.time())
        is_full = self._num_added - self._num_taken >= self._most_queued
        if not is_full and self._arrivals.put_at_once(block):
            self._num_added += num_samples
        else:
            self._num_dropped += num_samples

    def blocks(self, stopped: Sequence[object]) -> Generator[LiveBlock, None, None]:
        """Yield the blocks. See `LiveSource.blocks`.

        Lost samples are logged as warnings, at most once a minute.
        """
        last = time.monotonic()
        while not stopped:
            try:
                block = self._arrivals.get()
            except queue.Empty:
                if time.monotonic() - last > _DEAD_SECONDS:
                    raise InputError(
                        f"{self.title}: delivers no samples any more; check whether it is connected"
                    ) from None
                continue
            assert isinstance(block, LiveBlock)
            last = time.monotonic()
            self._num_taken += len(block.samples)
            if len(block.samples):
                yield block
            self._report(self._num_taken / self._format.sample_rate)

    def _report(self, seconds: float) -> None:
        """Log a warning if samples were lost. `seconds` is the duration of the sound so far."""
        now = time.monotonic()
        if now - self._last_report < _REPORT_SECONDS or not (
            self._num_overflows or self._num_dropped
        ):
            return
        causes = []
        if self._num_overflows:
            causes.append(f"{self._num_overflows} overflows of the sound system")
        if self._num_dropped:
            lost = self._num_dropped / self._format.sample_rate
            causes.append(f"{lost:.1f} s dropped because the model is too slow")
        _LOG.warning(f"{self.title}: sound was lost before {clock(seconds)}: {', '.join(causes)}")
        self._num_overflows, self._num_dropped, self._last_report = 0, 0, now


def _import_sounddevice() -> Any:
    try:
        import sounddevice

        return sounddevice
    except ImportError:
        raise InputError(
            "microphones need the package sounddevice; install it with: pip install "
            "-c constraints.txt '.[microphone]'"
        ) from None
    except OSError as error:  # the package is installed, but not the library PortAudio
        raise InputError(
            f"microphones need the library PortAudio ({error}); install it, for example with: "
            "apt install libportaudio2"
        ) from None


def _find_device(sounddevice: Any, device: str) -> int | str | None:
    """Return the device as sounddevice names it. Raise InputError if there is no such device."""
    wanted = None if device == "default" else int(device) if device.isdecimal() else device
    try:
        sounddevice.query_devices(wanted, "input")
        return wanted
    except (ValueError, sounddevice.PortAudioError) as error:
        known = [
            f"{number}: {about['name']}"
            for number, about in enumerate(sounddevice.query_devices())
            if about["max_input_channels"] > 0
        ]
        found = "; ".join(known) if known else "none"
        reason = str(error).splitlines()[0]
        raise InputError(
            f"microphone {device!r}: can't be used ({reason}); the input devices are: {found}"
        ) from None
