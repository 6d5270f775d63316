"""Decode the first audio track of a file with PyAV, which contains FFmpeg's libraries.

The caller passes the name of the format, so that FFmpeg does not guess it. FFmpeg reads only from a
file that the caller has opened. FFmpeg can't open other files, local or remote.

Array dimensions: S samples, C channels.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import numpy as np

from wsedtk.audio.containers.layout import Window
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.types import Floats

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler

_FULL_SCALES = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31, "flt": 1.0, "dbl": 1.0}
# Formats whose headers contain the duration. For other formats, FFmpeg estimates the duration.
_WITH_DURATION = {"mov", "matroska", "asf", "flv", "avi", "ape", "tta", "wv"}
# Formats whose time stamps are reliable.
_WITH_TIMES = {"mov", "matroska", "asf", "flv", "mpegts"}
_GAP_SECONDS = 0.5  # if a time stamp is this far ahead of the decoded samples, samples are missing
_MOST_PLANES = 8  # if a frame has this many planes or more, PyAV reads beyond the last plane
# Sound may be missing if the pictures last longer than the sound. Differences up to this number of
# seconds are normal.
_FILM_SLACK = 2.0
_MOST_SILENCE = 3600.0  # maximum duration in seconds of the silence that replaces missing samples
_SILENCE = 1 << 16  # maximum number of samples of silence in one block
# Maximum absolute value of a sample of a lossy codec, relative to full scale. Only damaged packets
# contain larger samples.
_LOUDEST_LOSSY = 16.0
_MOST_BAD_PACKETS = 1000  # maximum number of damaged packets before the first undamaged packet


class _Block(NamedTuple):
    """Decoded samples (S, C) float32 and their sample rate."""

    samples: Floats
    rate: int


def _refuse(url: str, *_: object) -> NoReturn:
    raise PermissionError(f"{url}: a sound file must not refer to other files")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


class AvFile:
    """The first audio track of a file. PyAV decodes the track from the beginning to the end.

    Parameters
    ----------
    path : path-like
        The path of the file, for messages.
    file : Window
        The stream to decode, as an open file.
    demuxer : str
        FFmpeg's name of the format.

    Attributes
    ----------
    samplerate, channels : int
        The sample rate in Hz and the number of channels of the samples that were read last.
    announced : float or None
        The duration of the track in seconds according to the header; None if it is unknown.
    seconds : float
        The duration in seconds of the samples that have been decoded, and of the silence that
        replaces missing samples.
    slack : float
        The number of seconds by which an undamaged stream may be shorter than announced.
    fault : str or None
        The reason why the stream breaks off; None if no such fault has been found.
    remarks : list of str
        Faults that do not end the stream.
    film_seconds : float or None
        The duration of the file, including its pictures, in seconds according to the header; None
        if it is unknown.

    Raises
    ------
    InputError
        If no audio track can be decoded.
    """

    subtype = "FLOAT"
    slack = 0.5

    def __init__(self, path: PathLike, file: Window, demuxer: str) -> None:
        import av  # slow to import and rarely needed

        self._path, self._file, self._demuxer = path, file, demuxer
        self.fault: str | None = None
        self.remarks: list[str] = []
        self.announced: float | None = None
        self.film_seconds: float | None = None
        self.seconds = 0.0
        self._first_time: float | None = None  # the time stamp of the first sample, in seconds
        self._missing = 0.0  # seconds of silence that replaced missing samples
        self._first_gap = 0.0  # seconds before the first missing samples
        self._packer: AudioResampler | None = None
        # The format, channels and sample rate of the frames that `_packer` converts.
        self._packed_kind: tuple[str, str, int] | None = None
        self._errors = (av.FFmpegError, OSError, ValueError, RuntimeError)
        alone = {"protocol_whitelist": "none", "format_whitelist": demuxer}
        try:
            self._container = av.open(
                file,
                "r",
                format=demuxer,
                container_options=alone,
                metadata_errors="ignore",
                io_open=_refuse,
            )
        except (*self._errors, MemoryError) as error:
            reason = _reason(error)
            if demuxer == "mov" and isinstance(error, av.InvalidDataError):
                # The index of an MP4 file is often at the end, where truncation removes it.
                reason = "no index; the file breaks off, was never closed or is damaged"
            raise self._no_sound(reason) from None
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _no_sound(self, reason: str) -> InputError:
        return InputError(f"{self._path}: can't be read as sound ({reason})")

    def _start(self) -> None:
        """Decode the first samples to find their sample rate and number of channels.

        The header can contain other values.
        """
        import av

        tracks = self._container.streams.audio
        if not tracks:
            raise self._no_sound("no audio track")
        if len(tracks) > 1:
            self.remarks.append(f"contains {len(tracks)} audio tracks; only the first is decoded")
        self._track, codec = tracks[0], tracks[0].codec_context
        if codec is None:
            raise self._no_sound("unknown codec")
        self._is_lossy = codec.codec.lossy and not codec.codec.lossless
        codec.thread_count, codec.options = 1, {"err_detect": "crccheck"}
        self._blocks = self._decode()
        self._held = next(self._blocks, None)
        if self._held is None:
            raise self._no_sound(self.fault or "no packet can be decoded")
        if self._demuxer in _WITH_DURATION:
            if self._container.duration:
                self.film_seconds = self._container.duration / av.time_base
            self.announced = self._duration()
        samples, self.samplerate = self._held
        self.channels = samples.shape[1]
        self.format = f"{self._demuxer.upper()} {codec.name.upper()}"

    def _duration(self) -> float | None:
        """Return the track's duration in seconds according to the header; None if it is unknown."""
        start = self._first_time or 0.0
        if self._track.duration and self._track.time_base:
            duration = float(self._track.duration * self._track.time_base)
            return duration - (start if self._demuxer == "avi" else 0.0)
        if self.film_seconds is not None and len(self._container.streams) == 1:
            return self.film_seconds - start
        return None

    def lacks_sound(self) -> bool:
        """Return whether sound may be missing, because the pictures last longer than the sound."""
        if self.film_seconds is None:
            return False
        return self.film_seconds - (self._first_time or 0.0) - self.seconds > _FILM_SLACK

    def _frames(self) -> Iterator[AudioFrame]:
        """Yield frames until the stream ends or decoding fails.

        Up to `_MOST_BAD_PACKETS` damaged packets before the first frame are skipped. The error of
        any other damaged packet is stored in `fault`.
        """
        num_bad, has_begun = 0, False
        try:
            for packet in self._container.demux(self._track):
                try:
                    if packet.is_corrupt:
                        raise ValueError("incomplete packet")
                    frames = packet.decode()
                except EOFError:
                    return
                except self._errors as error:
                    num_bad += 1
                    if has_begun or num_bad > _MOST_BAD_PACKETS:
                        self.fault = _reason(error)
                        return
                    continue
                for frame in frames:
                    if frame.samples and frame.sample_rate > 0 and frame.layout.nb_channels:
                        has_begun = True
                        yield frame
        except IndexError:
            # PyAV raises IndexError at the end of the file if FFmpeg found another track while the
            # file was decoded.
            self.remarks.append(
                "contains a track that appears only later in the file; this track is not decoded"
            )
        except self._errors as error:
            self.fault = _reason(error)

    def _decode(self) -> Iterator[_Block]:
        """Yield blocks of samples. Silence replaces samples that are missing (see `_gap`)."""
        import av

        for frame in self._frames():
            rate, name = frame.sample_rate, frame.format.name
            if name.removesuffix("p") not in _FULL_SCALES:
                self.fault = f"unknown sample format {name}"
                return
            try:
                samples = self._samples(frame)
            except (av.FFmpegError, ValueError) as error:
                self.fault = _reason(error)
                return
            if self._is_lossy and np.abs(samples).max() > _LOUDEST_LOSSY:
                self.fault = "damaged packet"
                return
            silence = round(self._gap(frame) * rate)
            if self.fault is not None:
                return
            while silence > 0:
                piece = np.zeros((min(silence, _SILENCE), samples.shape[1]), np.float32)
                silence -= len(piece)
                self.seconds += len(piece) / rate
                yield _Block(piece, rate)
            self.seconds += len(samples) / rate
            yield _Block(samples, rate)

    def _samples(self, frame: AudioFrame) -> Floats:
        """Convert a frame to samples (S, C) float32."""
        if frame.format.is_planar and frame.layout.nb_channels >= _MOST_PLANES:
            frame = self._packed(frame)
        array, name = frame.to_ndarray(), frame.format.name.removesuffix("p")
        samples = array.T if frame.format.is_planar else array.reshape(-1, frame.layout.nb_channels)
        if _FULL_SCALES[name] == 1:
            return samples.astype(np.float32)
        zero = 128 if name == "u8" else 0
        return ((samples.astype(np.float64) - zero) / _FULL_SCALES[name]).astype(np.float32)

    def _packed(self, frame: AudioFrame) -> AudioFrame:
        """Convert a planar frame to a frame that has the samples of all channels in one plane."""
        import av

        kind = frame.format.name, frame.layout.name, frame.sample_rate
        if self._packer is None or kind != self._packed_kind:
            self._packed_kind = kind
            self._packer = av.AudioResampler(format=frame.format.name.removesuffix("p"))
        (converted,) = self._packer.resample(frame)
        return converted

    def _gap(self, frame: AudioFrame) -> float:
        """Return the seconds of sound that are missing before a frame, according to its time stamp.

        Gaps below `_GAP_SECONDS` are ignored. In formats without reliable time stamps, all gaps are
        ignored. If the missing sound is too long to be replaced by silence, `fault` is set.
        """
        if frame.pts is None or not frame.time_base:
            return 0.0
        time = float(frame.pts * frame.time_base)
        self._first_time = time if self._first_time is None else self._first_time
        if self._demuxer not in _WITH_TIMES:
            return 0.0
        gap = time - self._first_time - self.seconds
        if abs(gap) < _GAP_SECONDS:
            return 0.0
        if gap < 0:  # time stamps restart, for example at the next programme of a broadcast
            self._first_time = time - self.seconds
            return 0.0
        longest = _MOST_SILENCE - self._missing
        if self.announced is not None:
            longest = min(longest, self.announced - self.seconds)
        if gap > longest:
            self.fault = "a time stamp is too far ahead of the samples"
            return 0.0
        if not self._missing:
            self._first_gap = self.seconds
        self._missing += gap
        return gap

    def read(self, num_frames: int) -> Floats:
        """Decode at most `num_frames` samples (S, C). Returns an empty array at the end.

        Fewer samples are returned before a change of the sample rate or of the number of channels.
        """
        parts: list[Floats] = []
        count = 0
        while count < num_frames:
            block = self._held or next(self._blocks, None)
            self._held = None
            if block is None:
                break
            rate, channels = block.rate, block.samples.shape[1]
            if parts and (rate, channels) != (self.samplerate, self.channels):
                self._held = block
                break
            self.samplerate, self.channels = rate, channels
            part = block.samples[: num_frames - count]
            if len(part) < len(block.samples):
                self._held = _Block(block.samples[len(part) :], rate)
            parts.append(part)
            count += len(part)
        if not parts:
            self._end()
            return np.zeros((0, self.channels), np.float32)
        return np.concatenate(parts)

    def _end(self) -> None:
        """Store a read error in `fault`, and add a remark on missing samples to `remarks`."""
        self.fault = self.fault or self._file.error
        if self._missing:
            first = f"{self._first_gap:.1f} s"
            self.remarks.append(
                f"lacks {self._missing:.1f} s of sound (the first gap begins after {first}); "
                "silence replaces the missing sound"
            )
            self._missing = 0.0

    def close(self) -> None:
        """Close the decoder."""
        import av

        with contextlib.suppress(av.FFmpegError, OSError):
            self._container.close()
