"""Find the events in sound that arrives in blocks, in constant memory.

The events are those that `Detector` and `EventFinder` find in a recording of the same samples. Only
the last digits of the scores differ, because the windows of a recording are scored in batches.

In shapes, S is the number of samples.
"""

import numpy as np

from wsedtk.audio.audio_files import BlockResampler
from wsedtk.core.errors import InputError
from wsedtk.core.types import Floats
from wsedtk.data.events import Event
from wsedtk.inference.event_finding import EventFinder, PieceDecoder
from wsedtk.inference.sliding_windows import Detector, Piece
from wsedtk.inference.windows import Cut, Cutter, Joiner


class LiveDetection:
    """The detection of events in one stream of samples.

    A window is scored as soon as it is complete. A frame in the overlap of two windows is decoded
    as soon as it is certain from which window its scores come.

    Parameters
    ----------
    detector : Detector
        The model.
    finder : EventFinder
        The thresholds and filters.
    sample_rate : int
        The sample rate of the stream in Hz.

    Attributes
    ----------
    seconds : float
        The duration of the samples so far.
    latency_seconds : float
        An event is returned at the latest when this number of seconds of sound have arrived after
        the end of the event.

    Raises
    ------
    InputError
        If the mode of the operating point is "box".
    """

    def __init__(self, detector: Detector, finder: EventFinder, sample_rate: int) -> None:
        detector.runner.network.eval()
        self._detector, self._sample_rate = detector, sample_rate
        self._num_samples = 0
        self._resampler = BlockResampler(sample_rate, detector.frontend.config.sample_rate)
        length, step = detector.window_frames, detector.step_frames
        self._cutter = Cutter(length, step, detector.samples_per_frame)
        self._joiner = Joiner()
        self._decoder = PieceDecoder(finder)
        if self._decoder.reach is None:
            raise InputError(
                "the operating point has the mode box, which live detection does not support; give "
                "an operating point with `mode: frame`"
            )
        # The scores of the first frame are known when the first window and one more frame are
        # complete. A window gives scores for at most its first (length + step) / 2 frames. Half a
        # frame of these is certain with each further frame of sound.
        frames = max(length + 1, (length + step) // 2 + 2 + self._decoder.reach)
        delay = self._resampler.delay_seconds
        self.latency_seconds = frames * detector.seconds_per_frame + delay

    @property
    def seconds(self) -> float:
        """The duration of the samples so far."""
        return self._num_samples / self._sample_rate

    def push(self, samples: Floats) -> list[Event]:
        """Add the next samples (S,) float32, and return the events that have ended."""
        self._num_samples += len(samples)
        for cut in self._cutter.push(self._resampler.push(samples)):
            self._score(cut)
        self._decode(self._joiner.release(self._cutter.earliest_start))
        return self._decoder.ended()

    def finish(self) -> list[Event]:
        """End the stream, and return the other events. An event that goes on ends here.

        If there are no samples, there are no events.
        """
        if not self._num_samples:
            return []
        for cut in self._cutter.push(self._resampler.finish()):
            self._score(cut)
        last = self._cutter.finish()
        self._score(last)
        self._decode(self._joiner.finish())
        rate = self._detector.frontend.config.sample_rate
        start = last.start * self._detector.seconds_per_frame
        return self._decoder.finish(start + len(last.samples) / rate)

    def _score(self, cut: Cut) -> None:
        (scores,) = self._detector.score([cut.samples])
        self._decode(self._joiner.add(cut.start, scores))

    def _decode(self, rows: list[Floats]) -> None:
        if rows and len(rows[0]):
            frame, tags, features = rows
            features = features.reshape(-1, features.shape[-1])
            self._decoder.push(Piece(np.asarray(frame), tags, features, self.seconds))
