"""Score curves of recordings of any length: windows that overlap by half, their centres joined. All in constant memory.

S samples, T frames of the network's output, F mel bins, R feature frames an output frame, K classes.
"""

import contextlib
import dataclasses
import itertools
from collections.abc import Generator

import numpy as np

from wsedtk.audio.frontend import LogMel
from wsedtk.core.config import shown
from wsedtk.core.errors import InputError
from wsedtk.inference import recordings

CLIP_SECONDS = 10.0  # windows of models that don't say what they were trained on
_BLOCK = 1 << 20  # samples of an array that are taken at once


@dataclasses.dataclass(frozen=True)
class Source:
    """One curve to make: a recording, or one channel of it."""

    path: object
    name: str
    channel: int | None = None  # from 0; None: the mean of all
    sample_rate: int | None = None  # of its file
    remarks: list = dataclasses.field(default_factory=list, compare=False)  # faults, after reading
    # (S,) float32 at the model's rate, instead of a file
    samples: np.ndarray | None = dataclasses.field(default=None, compare=False)

    def blocks(self, sample_rate: int) -> Generator[np.ndarray, None, None]:
        """Yield the samples, block by block.

        Parameters
        ----------
        sample_rate : int
            The model's sample rate in Hz.

        Yields
        ------
        (S,) float32

        Raises
        ------
        InputError
            If the file is broken.
        """
        if self.samples is None:
            yield from recordings.stream(self.path, sample_rate, self.channel, self.remarks)
            return
        for start in range(0, len(self.samples), _BLOCK):
            yield self.samples[start : start + _BLOCK]


@dataclasses.dataclass(frozen=True)
class Piece:
    """The next part of a curve."""

    frame: np.ndarray  # (T, K) frame scores
    tags: np.ndarray  # (T, K) clip scores of the window that each frame is from
    features: np.ndarray  # (T * R, F) as the front end gives them
    seconds: float  # of the recording, that are now read


@dataclasses.dataclass(frozen=True)
class _Window:
    source: Source
    start: int  # output frame of the curve
    samples: np.ndarray | None  # (S,)
    seconds: float  # of the recording, up to its end
    error: InputError | None = None


def cut(blocks, length, step, unit):
    """Cut a stream of sample blocks into windows of `length` output frames, `step` from one to the next, of `unit` samples each.

    Yields (start in output frames, samples (S,)). The last window ends with the stream: it begins less than `step` after the one
    before, and holds the samples that no longer make a frame; a stream that is shorter than a window is one.
    """
    start, held, blocks = 0, np.zeros(0, np.float32), iter(blocks)

    def fill(num_samples):
        nonlocal held
        parts = [held]
        while sum(map(len, parts)) < num_samples and (block := next(blocks, None)) is not None:
            parts.append(block)
        held = np.concatenate(parts)
        return len(held) >= num_samples

    if not fill((length + 1) * unit):
        yield 0, held
        return
    yield 0, held[: length * unit]
    while fill((step + length + 1) * unit):
        start, held = start + step, held[step * unit :]
        yield start, held[: length * unit]
    rest = len(held) // unit - length
    yield start + rest, held[rest * unit :]


def join(windows):
    """Join overlapping windows: each gives way to the next in the middle of what both hold.

    windows: (start, value, ...) with values that are slices of frames by `value[a:b]`; yields the parts [value[a:b], ...] that make
    the whole, in order.
    """
    before, given = None, 0
    for start, *values in windows:
        if before is not None:
            seam = (start + before[0] + len(before[1])) // 2
            yield [value[given - before[0] : seam - before[0]] for value in before[1:]]
            given = seam
        before = (start, *values)
    if before is not None:
        yield [value[given - before[0] :] for value in before[1:]]


class Detector:
    """A model, ready for recordings. `curves` gives their score curves."""

    def __init__(self, spec, network, runner):
        self.frontend = LogMel(spec.frontend_config(), runner.device)
        self.runner, config = runner, self.frontend.config
        self.reduction = network.time_reduction  # R
        self._unit = config.hop * self.reduction  # samples
        self.seconds_per_frame = self._unit / config.sample_rate
        self.seconds_per_feature = config.seconds_per_frame
        seconds = spec.trained.get("clip_seconds", CLIP_SECONDS)
        if (
            isinstance(seconds, bool)
            or not isinstance(seconds, (int, float))
            or not 0 < seconds <= 3600
        ):
            raise InputError(
                f"model.yaml: trained: clip_seconds: expected seconds above 0, up to 3600, found {shown(seconds)}"
            )
        seconds = max(seconds, config.pad_to_seconds or 0)
        self.window_frames = max(2, round(seconds * config.sample_rate) // self._unit)
        self.step_frames = self.window_frames // 2

    def _windows(self, sources):
        rate = self.frontend.config.sample_rate
        for source in sources:
            try:
                with contextlib.closing(source.blocks(rate)) as blocks:
                    for start, samples in cut(
                        blocks, self.window_frames, self.step_frames, self._unit
                    ):
                        yield _Window(
                            source,
                            start,
                            samples,
                            start * self.seconds_per_frame + len(samples) / rate,
                        )
            except InputError as error:
                yield _Window(source, 0, None, 0.0, error)

    def _scored(self, windows):
        """Yield (window, frame scores (T, K), clip scores (T, K), features in frames (T, R, F)), or (window, None, ...), in order."""

        def batches():
            while batch := list(itertools.islice(windows, self.runner.batch_size)):
                yield batch

        for batch in batches():
            good = [window for window in batch if window.error is None]
            scored = iter(self._run([window.samples for window in good]) if good else ())
            for window in batch:
                yield window, *(next(scored) if window.error is None else [None] * 3)

    def _run(self, samples):
        features = [self.frontend(s) for s in samples]
        output = self.runner.score_features(features)
        frame, clip = output.frame.float().cpu().numpy(), output.clip.float().cpu().numpy()
        for found, scores, tags in zip(features, frame, clip):
            num_frames = max(1, len(found) // self.reduction)
            found = np.pad(found, [(0, max(0, self.reduction - len(found))), (0, 0)], mode="edge")
            yield (
                scores[:num_frames],
                np.broadcast_to(tags, (num_frames, len(tags))),
                found[: num_frames * self.reduction].reshape(num_frames, self.reduction, -1),
            )

    def curves(self, sources):
        """Yield (source, pieces) of each source, in order; pieces iterates over its `Piece`s, and is to be read before the next source.

        Reading them raises InputError where the recording is broken, or turns out to be.
        """
        self.runner.network.eval()
        windows = self._windows(sources)
        with contextlib.closing(windows):
            for source, group in itertools.groupby(
                self._scored(windows), key=lambda item: item[0].source
            ):
                yield source, self._pieces(group)

    @staticmethod
    def _pieces(group):
        seconds = 0.0

        def windows():
            nonlocal seconds
            for window, *values in group:
                if window.error is not None:
                    raise window.error
                seconds = window.seconds
                yield window.start, *values

        for frame, tags, features in join(windows()):
            yield Piece(frame, tags, features.reshape(-1, features.shape[-1]), seconds)
