"""Sound files by PyAV, FFmpeg's libraries: the first sound track of what libsndfile does not read.

FFmpeg does not guess a format: its name is given, from the bytes that the file begins with. It reads from an open file
and opens no other one, neither on this machine nor on a network.
"""

import contextlib

import numpy as np

from wsedtk.errors import InputError

_FULL_SCALES = {"u8": 2.0 ** 7, "s16": 2.0 ** 15, "s32": 2.0 ** 31, "flt": 1.0, "dbl": 1.0}
_SAY_LENGTH = {"mov", "matroska", "asf", "flv", "avi", "ape", "tta", "wv"}  # the others' durations may be guesses
_SAY_TIMES = {"mov", "matroska", "asf", "flv", "mpegts"}  # when each of their packets is to be heard
_GAP_SECONDS = 0.5  # by which time stamps run ahead of the sound where some is missing
_LONGEST_GAP = 600.0  # seconds, in a file that does not say how long it is
_SILENCE = 1 << 16  # samples at once
_MOST_BAD_PACKETS = 1000  # before the first good one


def _refuse(url, *_):
    raise PermissionError(f"{url}: a sound file opens no other")


def _reason(error):
    return getattr(error, "strerror", None) or str(error)


class AvFile:
    """A sound file that PyAV decodes, front to back.

    file: a Window. Raises InputError where it has no sound.
    `fault` says why it breaks off, where it does; `announced`: seconds by its header, or None; `remarks`: what is odd.
    """

    subtype = "FLOAT"
    slack = 0.5  # seconds by which headers and sound differ in good files

    def __init__(self, path, file, demuxer):
        import av  # slow to import, and seldom needed

        self._av, self._path, self._file, self._demuxer = av, path, file, demuxer
        self.fault, self.remarks, self.seconds = None, [], 0.0  # seconds that have been decoded
        self._zero, self._missing, self._first_gap = None, 0.0, 0.0  # seconds: the first time stamp, silence put in, and where
        try:
            alone = {"protocol_whitelist": "none", "format_whitelist": demuxer}
            self._container = av.open(file, format=demuxer, container_options=alone, metadata_errors="ignore",
                                      io_open=_refuse)
        except (av.FFmpegError, OSError, ValueError, RuntimeError, MemoryError) as error:
            raise InputError(f"{path}: can't be read as sound ({_reason(error)})") from None
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self):
        tracks = self._container.streams.audio
        if not tracks:
            raise InputError(f"{self._path}: can't be read as sound (it holds no sound track)")
        if len(tracks) > 1:
            self.remarks.append(f"holds {len(tracks)} sound tracks, of which the first is heard")
        self._track = tracks[0]
        codec = self._track.codec_context
        if codec is None:
            raise InputError(f"{self._path}: can't be read as sound (its codec is not known)")
        codec.thread_count, codec.options = 1, {"err_detect": "crccheck"}
        self.announced = self._length() if self._demuxer in _SAY_LENGTH else None
        self._frames = self._decoded()
        self._all = self._pieces()
        self._held = next(self._all, None)
        if self._held is None:
            raise InputError(f"{self._path}: can't be read as sound ({self.fault or 'nothing can be decoded'})")
        samples, self.samplerate = self._held
        self.channels, self.format = samples.shape[1], f"{self._demuxer.upper()} {codec.name.upper()}"

    def _length(self):
        """The duration in seconds that the header gives for the sound; None where it gives none."""
        if self._track.duration and self._track.time_base:
            return float(self._track.duration * self._track.time_base)
        if self._container.duration and len(self._container.streams) == 1:
            return self._container.duration / self._av.time_base
        return None

    def _decoded(self):
        """Yield frames, up to the first packet that can't be decoded. Bad ones before the first good one are left out."""
        num_bad, has_begun = 0, False
        try:
            for packet in self._container.demux(self._track):
                try:
                    frames = packet.decode()
                except EOFError:
                    return
                except (self._av.FFmpegError, OSError, ValueError, RuntimeError) as error:
                    num_bad += 1
                    if has_begun or num_bad > _MOST_BAD_PACKETS:
                        self.fault = _reason(error)
                        return
                    continue
                for frame in frames:
                    if frame.samples and frame.sample_rate > 0 and frame.layout.nb_channels:
                        has_begun = True
                        yield frame
            if num_bad and not has_begun:
                self.fault = "none of its packets can be decoded"
        except (self._av.FFmpegError, OSError, ValueError, RuntimeError) as error:
            self.fault = _reason(error)

    def _pieces(self):
        """Yield what the frames give: (samples (S, C), rate), with silence where time stamps tell of sound that is missing."""
        for frame in self._frames:
            rate = frame.sample_rate
            if frame.format.name.removesuffix("p") not in _FULL_SCALES:
                self.fault = f"samples of the form {frame.format.name}"
                return
            samples = self._samples(frame)
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

    @staticmethod
    def _samples(frame):
        """The samples (S, C) float32 of a frame."""
        array, name = frame.to_ndarray(), frame.format.name.removesuffix("p")
        samples = array.T if frame.format.is_planar else array.reshape(-1, frame.layout.nb_channels)
        if _FULL_SCALES[name] == 1:
            return samples.astype(np.float32)
        samples = samples.astype(np.float64) - (128 if name == "u8" else 0)
        return (samples / _FULL_SCALES[name]).astype(np.float32)

    def _gap(self, frame):
        """The seconds of sound that are missing before a frame, by its time stamp; 0 where none are."""
        if frame.pts is None or not frame.time_base or self._demuxer not in _SAY_TIMES:
            return 0
        starts = float(frame.pts * frame.time_base)
        self._zero = starts if self._zero is None else self._zero
        gap = starts - self._zero - self.seconds
        if abs(gap) < _GAP_SECONDS:
            return 0
        longest = _LONGEST_GAP if self.announced is None else self.announced - self.seconds
        if gap > longest:
            self.fault = "its time stamps jump"
        elif gap < 0:  # another programme begins
            self._zero = starts - self.seconds
        else:
            self._first_gap = self.seconds if not self._missing else self._first_gap
            self._missing += gap
        return max(0, gap)

    def read(self, num_frames):
        """The next samples (S, C), at the rate that `samplerate` then is: fewer at a change of the rate, none at the end."""
        parts, count, kind = [], 0, None
        while count < num_frames:
            samples, rate = self._held or next(self._all, (None, None))
            self._held = None
            if samples is None:
                break
            if kind is not None and kind != (rate, samples.shape[1]):
                self._held = samples, rate
                break
            kind, part = (rate, samples.shape[1]), samples[:num_frames - count]
            if len(part) < len(samples):
                self._held = samples[len(part):], rate
            parts.append(part)
            count += len(part)
        if not parts:
            self._end()
            return np.zeros((0, self.channels), np.float32)
        self.samplerate, self.channels = kind
        return np.concatenate(parts)

    def _end(self):
        """Note what shows at the end only."""
        self.fault = self.fault or self._file.error
        if self._missing:
            self.remarks.append(f"lacks {self._missing:.1f} s, the first after {self._first_gap:.1f} s, heard as silence")
            self._missing = 0

    def close(self):
        """Free the decoder."""
        with contextlib.suppress(self._av.FFmpegError, OSError):
            self._container.close()
