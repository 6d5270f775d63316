"""Decode the first audio track of a file by PyAV, which contains FFmpeg's libraries.

FFmpeg does not guess the format: the caller names it. FFmpeg reads from an open file and opens no
other files, local or remote. S samples, C channels.
"""

import contextlib

import numpy as np

from wsedtk.core.errors import InputError

_FULL_SCALES = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31, "flt": 1.0, "dbl": 1.0}
# Formats whose headers hold the duration; FFmpeg estimates that of the others.
_WITH_DURATION = {"mov", "matroska", "asf", "flv", "avi", "ape", "tta", "wv"}
# Formats whose time stamps are reliable.
_WITH_TIMES = {"mov", "matroska", "asf", "flv", "mpegts"}
_GAP_SECONDS = 0.5  # least lead of the time stamps over the samples that is a gap
_MOST_PLANES = 8  # from so many channels on, PyAV takes memory beyond the last plane for another
_FILM_SLACK = 2.0  # seconds by which a film may be longer than its sound
_MOST_SILENCE = 3600.0  # seconds of silence that replace missing samples in a file
_SILENCE = 1 << 16  # samples of silence at once
_LOUDEST_LOSSY = 16.0  # full scales; only damaged packets of lossy codecs hold louder samples
_MOST_BAD_PACKETS = 1000  # before the first good one


def _refuse(url, *_):
    raise PermissionError(f"{url}: a sound file opens no other")


def _reason(error):
    return getattr(error, "strerror", None) or str(error)


class AvFile:
    """A file whose first audio track PyAV decodes, from front to back.

    Parameters
    ----------
    path : path-like
        The name for messages.
    file : Window
    demuxer : str
        FFmpeg's name of the format.

    Attributes
    ----------
    announced : float or None
        The duration in seconds in the header, if it holds one.
    fault : str or None
        Why the stream breaks off, after it did.
    remarks : list of str
    film_seconds : float or None
        The duration of sound and pictures in the header, if it holds one.

    Raises
    ------
    InputError
        If no audio track can be decoded.
    """

    subtype = "FLOAT"
    slack = 0.5  # seconds by which a whole file may be too short

    def __init__(self, path, file, demuxer):
        import av  # slow to import and rarely needed

        self._av, self._path, self._file, self._demuxer = av, path, file, demuxer
        self.fault, self.remarks = None, []
        self.announced, self.film_seconds = None, None
        self.seconds = 0.0  # decoded so far
        self._zero = None  # first time stamp, in seconds
        self._kind, self._resampler = None, None  # of frames with many planes
        self._missing, self._first_gap = 0.0, 0.0  # seconds: silence so far, place of the first
        alone = {"protocol_whitelist": "none", "format_whitelist": demuxer}
        try:
            self._container = av.open(
                file,
                format=demuxer,
                container_options=alone,
                metadata_errors="ignore",
                io_open=_refuse,
            )
        except (av.FFmpegError, OSError, ValueError, RuntimeError, MemoryError) as error:
            raise self._no_sound(self._reason_of_mov(error) or _reason(error)) from None
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _reason_of_mov(self, error):
        """Return why an MP4 is invalid: its index is often written last."""
        if self._demuxer == "mov" and isinstance(error, self._av.InvalidDataError):
            return "no index; the file breaks off, was never closed or is damaged"
        return None

    def _no_sound(self, reason):
        return InputError(f"{self._path}: can't be read as sound ({reason})")

    def _start(self):
        """Decode the first samples: their rate and channels can differ from those in the header."""
        tracks = self._container.streams.audio
        if not tracks:
            raise self._no_sound("no audio track")
        if len(tracks) > 1:
            self.remarks.append(f"holds {len(tracks)} audio tracks; only the first is heard")
        self._track, codec = tracks[0], tracks[0].codec_context
        if codec is None:
            raise self._no_sound("unknown codec")
        self._is_lossy = codec.codec.lossy and not codec.codec.lossless
        codec.thread_count, codec.options = 1, {"err_detect": "crccheck"}
        self._pieces = self._decode()
        self._held = next(self._pieces, None)
        if self._held is None:
            raise self._no_sound(self.fault or "no packet can be decoded")
        if self._demuxer in _WITH_DURATION:
            if self._container.duration:
                self.film_seconds = self._container.duration / self._av.time_base
            self.announced = self._duration()
        samples, self.samplerate = self._held
        self.channels = samples.shape[1]
        self.format = f"{self._demuxer.upper()} {codec.name.upper()}"

    def _duration(self):
        """Return the duration of the track in the header, in seconds; None if it holds none."""
        start = self._zero or 0.0
        if self._track.duration and self._track.time_base:
            duration = float(self._track.duration * self._track.time_base)
            return duration - (start if self._demuxer == "avi" else 0.0)
        if self.film_seconds is not None and len(self._container.streams) == 1:
            return self.film_seconds - start
        return None

    def lacks_sound(self):
        """Return whether a film with pictures is longer than its sound: some may be lost."""
        if self.film_seconds is None:
            return False
        return self.film_seconds - (self._zero or 0.0) - self.seconds > _FILM_SLACK

    def _frames(self):
        """Yield frames before the first damaged packet. Skips damaged packets at the beginning."""
        errors = (self._av.FFmpegError, OSError, ValueError, RuntimeError)
        num_bad, has_begun = 0, False
        try:
            for packet in self._container.demux(self._track):
                try:
                    if packet.is_corrupt:
                        raise ValueError("incomplete packet")
                    frames = packet.decode()
                except EOFError:
                    return
                except errors as error:
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
            # By PyAV, at the end of a file in which FFmpeg found a new track on the way.
            self.remarks.append("holds a track that begins later, which is not heard")
        except errors as error:
            self.fault = _reason(error)

    def _decode(self):
        """Yield (samples (S, C), rate), with silence where the time stamps show missing samples."""
        for frame in self._frames():
            rate, name = frame.sample_rate, frame.format.name
            if name.removesuffix("p") not in _FULL_SCALES:
                self.fault = f"unknown sample format {name}"
                return
            try:
                samples = self._samples(frame)
            except (self._av.FFmpegError, ValueError) as error:
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
                yield piece, rate
            self.seconds += len(samples) / rate
            yield samples, rate

    def _samples(self, frame):
        """Convert a frame to samples (S, C) float32."""
        if frame.format.is_planar and frame.layout.nb_channels >= _MOST_PLANES:
            frame = self._interleaved(frame)
        array, name = frame.to_ndarray(), frame.format.name.removesuffix("p")
        samples = array.T if frame.format.is_planar else array.reshape(-1, frame.layout.nb_channels)
        if _FULL_SCALES[name] == 1:
            return samples.astype(np.float32)
        samples = samples.astype(np.float64) - (128 if name == "u8" else 0)
        return (samples / _FULL_SCALES[name]).astype(np.float32)

    def _interleaved(self, frame):
        """Return a frame with its samples in one plane."""
        kind = frame.format.name, frame.layout.name, frame.sample_rate
        if kind != self._kind:
            packed = frame.format.name.removesuffix("p")
            self._kind, self._resampler = kind, self._av.AudioResampler(format=packed)
        (converted,) = self._resampler.resample(frame)
        return converted

    def _gap(self, frame):
        """Return the duration in seconds of missing samples before a frame, by its time stamp."""
        if frame.pts is None or not frame.time_base:
            return 0
        starts = float(frame.pts * frame.time_base)
        self._zero = starts if self._zero is None else self._zero
        if self._demuxer not in _WITH_TIMES:
            return 0
        gap = starts - self._zero - self.seconds
        if abs(gap) < _GAP_SECONDS:
            return 0
        if gap < 0:  # another programme begins
            self._zero = starts - self.seconds
            return 0
        longest = _MOST_SILENCE - self._missing
        if self.announced is not None:
            longest = min(longest, self.announced - self.seconds)
        if gap > longest:
            self.fault = "its time stamps jump"
            return 0
        if not self._missing:
            self._first_gap = self.seconds
        self._missing += gap
        return gap

    def read(self, num_frames):
        """Decode the next samples (S, C): fewer if the rate or channels change, none at the end.

        Sets `samplerate` to the rate of these samples.
        """
        parts, count, kind = [], 0, None
        while count < num_frames:
            samples, rate = self._held or next(self._pieces, (None, None))
            self._held = None
            if samples is None:
                break
            if kind is not None and kind != (rate, samples.shape[1]):
                self._held = samples, rate
                break
            kind, part = (rate, samples.shape[1]), samples[: num_frames - count]
            if len(part) < len(samples):
                self._held = samples[len(part) :], rate
            parts.append(part)
            count += len(part)
        if not parts:
            self._end()
            return np.zeros((0, self.channels), np.float32)
        self.samplerate, self.channels = kind
        return np.concatenate(parts)

    def _end(self):
        """Complete `fault` and `remarks`."""
        self.fault = self.fault or self._file.error
        if self._missing:
            first = f"{self._first_gap:.1f} s"
            self.remarks.append(
                f"lacks {self._missing:.1f} s, the first after {first}; silence replaces them"
            )
            self._missing = 0

    def close(self):
        """Close the decoder."""
        with contextlib.suppress(self._av.FFmpegError, OSError):
            self._container.close()
