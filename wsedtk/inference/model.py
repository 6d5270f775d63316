"""A trained model in memory. It scores clips and finds events in recordings of any length.

Array dimensions: S samples, C channels, T frames, K classes.
"""

import dataclasses
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from wsedtk.audio import audio_files
from wsedtk.core import provenance
from wsedtk.core.atomic import make_folder
from wsedtk.core.config import suggest
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.wording import counted
from wsedtk.data import class_lists, ontologies
from wsedtk.data.clip_names import LONGEST_SECONDS
from wsedtk.data.events import Event
from wsedtk.data.tables import normal
from wsedtk.decoding import operating_point as operating_points
from wsedtk.inference import event_finding, loading, network_runner, sample_checks
from wsedtk.inference.event_finding import EventFinder, Threshold
from wsedtk.inference.live_detection import LiveDetection
from wsedtk.inference.sliding_windows import Detector, Source
from wsedtk.models import checkpoint
from wsedtk.models.checkpoint import ModelSpec
from wsedtk.models.ready_directories import find_model_directory

_LOGGER = logging.getLogger(__name__)
_POINT = "operating_point.yaml"


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """The scores of one clip. Clip scores and frame scores are from 0 to 1.

    Attributes
    ----------
    clip : (K,) float32
        The score of each class for the clip.
    frame : (T, K) float32
        The score of each class in each frame.
    weight : (T, K) float32 or None
        The weights that the network computes for each frame and class. None if the pooling function
        does not need them.
    labels : tuple of str
        The K classes.
    seconds_per_frame : float
        The duration of a frame. Frame t begins at `t * seconds_per_frame` seconds.
    """

    clip: npt.NDArray[np.float32]
    frame: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32] | None
    labels: tuple[str, ...]
    seconds_per_frame: float

    @property
    def num_frames(self) -> int:
        """The number of frames T."""
        return len(self.frame)


def _thresholds(threshold: float | Mapping[str, float] | None) -> list[Threshold]:
    """Convert the argument `threshold` of `Model.detect` to a list of thresholds."""
    if threshold is None:
        return []
    if isinstance(threshold, Mapping):
        return [
            Threshold(float(value), normal(label), f"{label}={value:g}")
            for label, value in threshold.items()
        ]
    return [Threshold(float(threshold), None, f"{threshold:g}")]


def _events_of(
    live: LiveDetection, blocks: Iterable[npt.ArrayLike], channel: int | None
) -> Iterator[Event]:
    """Yield the events in blocks of samples."""
    num_channels: int | None = None
    for block in blocks:
        samples = sample_checks.check_block(block, num_channels)
        num_channels = samples.shape[1]
        if len(samples):
            yield from live.push(sample_checks.mono(samples, channel))
    yield from live.finish()


class Model:
    """A trained model for clips and recordings. `load_model` reads a model from its directory.

    Attributes
    ----------
    labels : tuple of str
        The K classes, in the order of the scores.
    seconds_per_frame : float
        The duration of a frame of the scores.
    sample_rate : int
        The sample rate of the model in Hz. Sounds with other rates are resampled to this rate.

    Examples
    --------
    >>> model = wsedtk.load_model("exp/linear")
    >>> prediction = model.predict(samples, sample_rate)
    >>> events = model.detect("long.flac")
    """

    def __init__(
        self,
        folder: PathLike,
        spec: ModelSpec,
        tensors: Mapping[str, torch.Tensor],
        detector: Detector,
        fingerprint: str,
    ) -> None:
        self._folder, self._spec, self._tensors = Path(folder), spec, tensors
        self._detector, self._fingerprint = detector, fingerprint
        self.labels: tuple[str, ...] = spec.labels
        self.seconds_per_frame: float = detector.seconds_per_frame
        self.sample_rate: int = detector.frontend.config.sample_rate

    def __repr__(self) -> str:
        return (
            f"Model({str(self._folder)!r}: {self._spec.network}, {self._spec.pooling} pooling, "
            f"{counted(len(self.labels), 'class')}, {self.seconds_per_frame:g} s per frame)"
        )

    def predict(self, samples: npt.ArrayLike, sample_rate: int) -> Prediction:
        """Compute the scores of a clip.

        The steps are those of `wsedtk extract` and `wsedtk predict`. The network processes the
        complete clip in one step. The required memory grows with the length of the clip. Use
        `detect` for recordings that are much longer than the training clips of the model.

        Parameters
        ----------
        samples : (S,) or (S, C) array of floating-point numbers
            Samples in [-1, 1]. The mean of the channels is used.
        sample_rate : int
            Sample rate in Hz.

        Returns
        -------
        Prediction

        Raises
        ------
        InputError
            If the samples have a wrong shape or type, if they contain values that are too large or
            are not finite, or if the sample rate is invalid.
        """
        rate = sample_checks.check_rate(sample_rate)
        mono = audio_files.resample(
            sample_checks.mono(sample_checks.check_samples(samples), None), rate, self.sample_rate
        )
        features = self._detector.frontend(mono)
        output = self._detector.runner.score_features([features])
        num_frames = max(1, len(features) // self._detector.reduction)

        def array(scores: torch.Tensor) -> npt.NDArray[np.float32]:
            values: npt.NDArray[np.float32] = scores[0].float().cpu().numpy()
            return values

        weight = output.weight if self._detector.runner.network.pooling.needs_weights else None
        return Prediction(
            clip=array(output.clip),
            frame=array(output.frame)[:num_frames],
            weight=None if weight is None else array(weight)[:num_frames],
            labels=self.labels,
            seconds_per_frame=self.seconds_per_frame,
        )

    def detect(
        self,
        sound: PathLike | npt.ArrayLike,
        sample_rate: int | None = None,
        *,
        threshold: float | Mapping[str, float] | None = None,
        classes: Sequence[str] | None = None,
        min_seconds: float | None = None,
        operating_point: PathLike | None = None,
        channel: int | None = None,
    ) -> list[Event]:
        """Find the events in a recording of any length.

        The steps are those of `wsedtk detect`. The network processes windows that overlap by half.
        The windows are as long as the longest training clip, including its padding. If the length
        of this clip is unknown, 10 s is assumed. A long file is read in parts, so it requires no
        more memory than a short file. If a file has faults but can still be used, the logger
        `wsedtk.inference.model` warns of the faults. It also warns if the sample rate is too low
        for the frequencies that the model uses.

        Parameters
        ----------
        sound : path-like, or (S,) or (S, C) array of floating-point numbers
            A sound file, or samples in [-1, 1].
        sample_rate : int, optional
            Sample rate of the samples in Hz. Required for samples, and not allowed for a file.
        threshold : float or mapping of class to float, optional
            Thresholds, from 0 to 1 or infinite, that replace the frame thresholds of the operating
            point or, if its mode is "box", the thresholds of boxes. A number replaces the
            thresholds of all classes. A mapping replaces the thresholds of the classes that are its
            keys. A class with the threshold `inf` is never detected.
        classes : sequence of str, optional
            The classes whose events are returned. By default, all classes. If the model directory
            contains AudioSet's ontology, a class such as Animal also selects all classes below it.
        min_seconds : float, optional
            The minimum duration of an event in seconds. It replaces the minimum durations of the
            operating point.
        operating_point : path-like, optional
            The file with thresholds and filters. By default, `operating_point.yaml` in the model
            directory.
        channel : int, optional
            The number of the channel to use, from 0. By default, the mean of all channels.

        Returns
        -------
        list of Event
            The events, ordered by onset.

        Raises
        ------
        InputError
            If the recording cannot be used, if the operating point is missing and `threshold` is
            not a number, if the operating point is invalid or belongs to another model, if no class
            has a threshold that a score can reach, or if an argument is invalid.
        """
        finder = self._finder(
            operating_point or self._folder / _POINT, _thresholds(threshold), min_seconds, classes
        )
        source = self._source(sound, sample_rate, channel)
        found: list[Event] = []
        for _, pieces in self._detector.curves([source]):
            found, _ = finder.find(pieces)
        self._warn_of_rate(source)
        for fault in source.remarks:
            _LOGGER.warning("%s: %s", source.path, fault)
        return found

    def stream(
        self,
        blocks: Iterable[npt.ArrayLike],
        sample_rate: int,
        *,
        threshold: float | Mapping[str, float] | None = None,
        classes: Sequence[str] | None = None,
        min_seconds: float | None = None,
        operating_point: PathLike | None = None,
        channel: int | None = None,
    ) -> Iterator[Event]:
        """Find the events in sound that arrives in blocks, in constant memory.

        The events are those of `detect` with the concatenated blocks, but each event is yielded as
        soon as it has ended. Their scores can differ in the last digits.

        An event is yielded at the latest when sound of the length of a window plus one frame has
        arrived after its end. If the filters of the operating point are long, it is 3/4 of a window
        plus the reach of the filters. `detect` describes the windows.

        Parameters
        ----------
        blocks : iterable of (S,) or (S, C) arrays of floating-point numbers
            Samples in [-1, 1]. The blocks can have different lengths S, also 0, but have the same
            number of channels C.
        sample_rate : int
            Sample rate in Hz.
        threshold, classes, min_seconds, operating_point, channel
            See `detect`.

        Yields
        ------
        Event
            The events, ordered by their ends. Times are in seconds since the start of the first
            block.

        Raises
        ------
        InputError
            If an argument is invalid (see `detect`), or if a block is invalid.

        Examples
        --------
        >>> blocks = soundfile.blocks("long.flac", blocksize=4096)
        >>> for event in model.stream(blocks, 44100):
        ...     print(event)
        """
        finder = self._finder(
            operating_point or self._folder / _POINT, _thresholds(threshold), min_seconds, classes
        )
        rate = sample_checks.check_rate(sample_rate)
        self._warn_of_rate(Source("samples", "samples", channel, rate))
        live = LiveDetection(self._detector, finder, rate)
        return _events_of(live, blocks, channel)

    def _warn_of_rate(self, source: Source) -> None:
        """Log a warning if the sample rate is too low for the frequencies that the model uses."""
        max_hz = self._detector.frontend.config.max_hz
        if remark := event_finding.remark_on_rates([source], max_hz):
            _LOGGER.warning(remark)

    def _finder(
        self,
        path: PathLike,
        thresholds: Sequence[Threshold],
        min_seconds: float | None,
        classes: Sequence[str] | None,
    ) -> EventFinder:
        if min_seconds is not None and not 0 <= min_seconds <= LONGEST_SECONDS:
            raise InputError(
                f"min_seconds: found {min_seconds}; expected a number of seconds from 0 to "
                f"{LONGEST_SECONDS:g}"
            )
        point = event_finding.read_point(
            path,
            self._folder,
            self._fingerprint,
            self.labels,
            thresholds=thresholds,
            min_seconds=min_seconds,
            option="threshold",
        )
        return EventFinder(point, self._names(classes), self.seconds_per_frame)

    def _names(self, classes: Sequence[str] | None) -> dict[str, str]:
        """Return the chosen classes in the order of `classes`. Each class keeps its name."""
        if classes is None:
            return {label: label for label in self.labels}
        below = ontologies.descendants_in(self._folder)
        chosen: dict[str, str] = {}
        for name in classes:
            found = class_lists.matching(name, self.labels, below)
            if not found:
                near = suggest(name, [*self.labels, *below])
                raise InputError(f"classes: the model has no class {normal(name)!r}; {near}")
            chosen.update({label: label for label in found})
        return chosen

    def _source(
        self, sound: PathLike | npt.ArrayLike, sample_rate: int | None, channel: int | None
    ) -> Source:
        if isinstance(sound, (str, os.PathLike)):
            if sample_rate is not None:
                raise InputError(
                    f"sample_rate: the sample rate of {sound} is read from the file; omit "
                    "sample_rate"
                )
            about = audio_files.info(sound, count=False)
            if channel is not None:
                sample_checks.check_channel(channel, about.num_channels, str(sound))
            return Source(sound, str(sound), channel, about.sample_rate)
        if sample_rate is None:
            raise InputError("sample_rate: missing; expected the rate of the samples in Hz")
        rate = sample_checks.check_rate(sample_rate)
        mono = audio_files.resample(
            sample_checks.mono(sample_checks.check_samples(sound), channel), rate, self.sample_rate
        )
        return Source("samples", "samples", channel, rate, samples=mono)

    def save(self, folder: PathLike) -> None:
        """Write the model to a new model directory, with its operating point if there is one.

        Parameters
        ----------
        folder : path-like
            The new model directory. It is created if it does not exist.

        Raises
        ------
        InputError
            If the folder already contains `model.yaml`, `config.yaml` or `operating_point.yaml`, if
            it cannot be written, or if the operating point of this model is invalid.
        """
        folder = Path(folder)
        for name in ("model.yaml", "config.yaml", _POINT):
            if (folder / name).exists():
                raise InputError(f"{folder}: already contains {name}; choose another directory")
        point = None
        if (self._folder / _POINT).exists():
            point = operating_points.read(self._folder / _POINT)
        make_folder(folder)
        checkpoint.save_model(folder, self._spec, self._tensors)
        if point is not None:
            # Saving updates a model.yaml of an older version, which changes the fingerprint.
            if point.model == self._fingerprint:
                fingerprint = provenance.fingerprint_model_directory(folder)
                point = dataclasses.replace(point, model=fingerprint)
            operating_points.write(folder / _POINT, point)


def load_model(
    path: PathLike,
    device: str = "auto",
    precise: bool = True,
    *,
    seconds_per_frame: float | None = None,
) -> Model:
    """Read a trained model.

    Parameters
    ----------
    path : path-like
        A model directory that was written by `wsedtk train`, `wsedtk import` or `Model.save`, or
        the name of a ready model. A ready model that is not part of wsedtk must be fetched first;
        see `wsedtk models fetch`.
    device : str
        The device on which the model runs: "cpu", "cuda", "cuda:1" and so on. "auto" chooses the
        GPU if CUDA is available, and otherwise the CPU.
    precise : bool
        Whether all computations use float32. If False, some use bfloat16, which is faster. Frame
        scores then differ from those in float32 in the third decimal place.
    seconds_per_frame : float, optional
        The duration of a frame of the scores in seconds. By default, the duration that the model
        directory specifies. Only some networks, such as yamnet, have several time resolutions.

    Returns
    -------
    Model

    Raises
    ------
    InputError
        If the folder is not a complete model directory or is damaged, if the ready model is not
        fetched, if model.yaml names code that is not trusted, if the device cannot be used, or if
        the network can't have this time resolution.

    Examples
    --------
    >>> model = wsedtk.load_model("exp/linear")
    """
    runs_on = network_runner.pick_device(device, "device")
    folder = find_model_directory(path)
    model = loading.read_model(folder, seconds_per_frame, "seconds_per_frame")
    tensors = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    detector = Detector(model.spec, loading.make_runner(model, runs_on, precise))
    return Model(folder, model.spec, tensors, detector, model.fingerprint)
