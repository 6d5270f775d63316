"""Compute the score curves of recordings of any length, in constant memory.

A network processes windows that overlap by half. For each frame in an overlap, the scores come from
the window whose centre is nearer.

Array dimensions: S samples, T output frames of the network, F mel bins, R feature frames in an
output frame, K classes.
"""

import contextlib
import dataclasses
import itertools
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from wsedtk.audio.frontend import LogMel
from wsedtk.core.config import shown
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.types import Floats
from wsedtk.inference import recordings
from wsedtk.inference.network_runner import Runner
from wsedtk.inference.windows import cut, join
from wsedtk.models.checkpoint import ModelSpec

CLIP_SECONDS = 10.0  # length of training clips, if model.yaml does not contain it
_BLOCK = 1 << 20  # samples in a block, if the samples are in memory
# On a CPU, the number of windows in a batch. It does not depend on the number of threads or
# processes, because the last bits of the scores depend on the size of the batch.
_CPU_BATCH = 4


@dataclasses.dataclass(frozen=True)
class Source:
    """The source of one score curve: a recording, or one channel of it.

    Attributes
    ----------
    path : path-like
        The sound file. If `samples` is given, a text that names the samples in messages.
    name : str
        The name of the source in tables.
    channel : int or None
        The number of the channel, from 0. None means the mean of all channels.
    sample_rate : int or None
        The sample rate of the recording in Hz, before resampling. None if it is not known.
    remarks : list of str
        The faults of the recording. The list is complete after the last sample has been read.
    samples : (S,) float32 or None
        The samples, at the sample rate of the model. None if they are read from the file.
    """

    path: PathLike
    name: str
    channel: int | None = None
    sample_rate: int | None = None
    remarks: list[str] = dataclasses.field(default_factory=list, compare=False)
    samples: Floats | None = dataclasses.field(default=None, compare=False)

    def blocks(self, sample_rate: int) -> Generator[Floats, None, None]:
        """Yield the samples in blocks.

        Parameters
        ----------
        sample_rate : int
            The sample rate of the model in Hz.

        Yields
        ------
        (S,) float32

        Raises
        ------
        InputError
            If the file cannot be read.
        """
        if self.samples is None:
            yield from recordings.stream(self.path, sample_rate, self.channel, self.remarks)
            return
        for start in range(0, len(self.samples), _BLOCK):
            yield self.samples[start : start + _BLOCK]


@dataclasses.dataclass(frozen=True)
class Piece:
    """A part of a score curve. Successive pieces have no gaps and no overlap.

    All frames of a piece come from the same window.

    Attributes
    ----------
    frame : (T, K) float32
        Frame scores.
    tags : (T, K) float32
        The clip scores of the window, repeated for each frame.
    features : (T * R, F) float32
        The features of the frames, not normalised.
    seconds : float
        For the last piece, the duration of the recording. For each other piece, the time in the
        recording at which the next window ends.
    """

    frame: Floats
    tags: Floats
    features: Floats
    seconds: float


@dataclasses.dataclass(frozen=True)
class _Window:
    """A window of a recording, or the error that ended the reading of the recording."""

    source: Source
    start: int = 0  # the output frame at which the window begins
    samples: Floats | None = None  # (S,); None after an error
    seconds: float = 0.0  # duration of the recording up to the end of the window
    error: InputError | None = None


class WindowScores(NamedTuple):
    """The scores and features of a window.

    Attributes
    ----------
    frame : (T, K) float32
        Frame scores.
    tags : (T, K) float32
        The clip scores of the window, repeated for each frame.
    features : (T, R, F) float32
        The features of the frames, not normalised.
    """

    frame: Floats
    tags: Floats
    features: Floats


class Detector:
    """A model that computes the score curves of recordings.

    Parameters
    ----------
    spec : ModelSpec
        The description of the model.
    runner : Runner
        The runner of the network.

    Attributes
    ----------
    frontend : LogMel
        The front end.
    runner : Runner
        The runner of the network.
    reduction : int
        The number R of feature frames in an output frame.
    seconds_per_frame, seconds_per_feature : float
        The distance in seconds between successive output frames, and between successive feature
        frames.
    samples_per_frame : int
        The length of an output frame in samples.
    window_frames, step_frames : int
        The length of a window, and the distance from the start of a window to the start of the
        next window, in output frames. For the last window of a recording, see `windows.Cutter`.

    Raises
    ------
    InputError
        If model.yaml contains an invalid front end or an invalid length of the training clips.
    """

    def __init__(self, spec: ModelSpec, runner: Runner) -> None:
        self.frontend = LogMel(spec.frontend_config(), runner.device)
        self.runner, config = runner, self.frontend.config
        self.reduction = runner.network.time_reduction
        self.samples_per_frame = config.hop * self.reduction
        self.seconds_per_frame = self.samples_per_frame / config.sample_rate
        self.seconds_per_feature = config.seconds_per_frame
        seconds = max(_clip_seconds(spec), config.pad_to_seconds or 0)
        self.window_frames = max(2, round(seconds * config.sample_rate) // self.samples_per_frame)
        self.step_frames = self.window_frames // 2

    def curves(self, sources: Iterable[Source]) -> Iterator[tuple[Source, Iterator[Piece]]]:
        """Compute the score curves of recordings.

        Parameters
        ----------
        sources : iterable of Source
            The recordings.

        Yields
        ------
        source : Source
            The next recording.
        pieces : iterator of Piece
            The score curve of this recording. Read all pieces before you take the next recording.
            Reading raises InputError if the recording cannot be read.
        """
        self.runner.network.eval()
        windows = self._windows(sources)
        with contextlib.closing(windows):
            scored = self._scored(windows)
            for source, group in itertools.groupby(scored, key=lambda item: item[0].source):
                yield source, _pieces(group)

    def _windows(self, sources: Iterable[Source]) -> Generator[_Window, None, None]:
        """Yield the windows of all recordings.

        If a recording cannot be read, its last window contains the error instead of samples.
        """
        rate = self.frontend.config.sample_rate
        for source in sources:
            try:
                with contextlib.closing(source.blocks(rate)) as blocks:
                    for start, samples in cut(
                        blocks, self.window_frames, self.step_frames, self.samples_per_frame
                    ):
                        seconds = start * self.seconds_per_frame + len(samples) / rate
                        yield _Window(source, start, samples, seconds)
            except InputError as error:
                yield _Window(source, error=error)

    def _scored(self, windows: Iterator[_Window]) -> Iterator[tuple[_Window, WindowScores | None]]:
        """Yield each window with its scores. The scores are None if the window has an error."""
        batches = self._batches(windows)
        with contextlib.closing(self.runner.in_order(self._score_batch, batches)) as scored:
            for batch in scored:
                yield from batch

    def _batches(self, windows: Iterable[_Window]) -> Iterator[list[_Window]]:
        """Yield the windows in batches.

        A batch contains windows of only one recording. Therefore the scores of a recording do not
        depend on the other recordings, not even in their last bits.
        """
        is_cpu = self.runner.device.type == "cpu"
        size = _CPU_BATCH if is_cpu else self.runner.batch_size
        for _, group in itertools.groupby(windows, key=lambda window: window.source):
            yield from iter(lambda: list(itertools.islice(group, size)), [])

    def _score_batch(self, batch: Sequence[_Window]) -> list[tuple[_Window, WindowScores | None]]:
        """Return each window with its scores. The scores are None if the window has an error."""
        samples = [window.samples for window in batch if window.samples is not None]
        scores = iter(self.score(samples))
        return [(one, None if one.samples is None else next(scores)) for one in batch]

    def score(self, samples: Sequence[Floats]) -> list[WindowScores]:
        """Return the scores and features of windows of samples, each (S,) float32."""
        if not samples:
            return []
        features = [self.frontend(s) for s in samples]
        output = self.runner.score_features(features)
        frame, clip = output.frame.float().cpu().numpy(), output.clip.float().cpu().numpy()
        scores = []
        for found, values, tags in zip(features, frame, clip):
            num_frames = max(1, len(found) // self.reduction)
            found = np.pad(found, [(0, max(0, self.reduction - len(found))), (0, 0)], mode="edge")
            found = found[: num_frames * self.reduction]
            scores.append(
                WindowScores(
                    values[:num_frames],
                    np.broadcast_to(tags, (num_frames, len(tags))),
                    found.reshape(num_frames, self.reduction, -1),
                )
            )
        return scores


def _clip_seconds(spec: ModelSpec) -> float:
    """Return the length of the longest training clip in seconds. By default, `CLIP_SECONDS`.

    Raises InputError if model.yaml contains an invalid length.
    """
    seconds = spec.trained.get("clip_seconds", CLIP_SECONDS)
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not is_number or not 0 < seconds <= 3600:
        raise InputError(
            "model.yaml: trained: clip_seconds: expected a number of seconds above 0 and at most "
            f"3600, found {shown(seconds)}"
        )
    return float(seconds)


def _pieces(scored: Iterable[tuple[_Window, WindowScores | None]]) -> Iterator[Piece]:
    """Yield the score curve of one recording. Raises InputError if the recording can't be read."""
    seconds = 0.0

    def windows() -> Iterator[tuple[int, WindowScores]]:
        nonlocal seconds
        for window, scores in scored:
            if window.error is not None:
                raise window.error
            assert scores is not None  # only a window with an error has no scores
            seconds = window.seconds
            yield window.start, scores

    for frame, tags, features in join(windows()):
        yield Piece(frame, tags, features.reshape(-1, features.shape[-1]), seconds)
