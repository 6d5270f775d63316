"""Find the events in a score curve, with the thresholds and filters of an operating point.

In shapes, T is the number of frames, and K is the number of classes.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsedtk.core.config import suggest, suggest_fraction
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.data.events import Event
from wsedtk.data.tables import normal
from wsedtk.decoding import operating_point
from wsedtk.decoding.curve_decoder import BoxCurveDecoder, CurveDecoder, CurveEvent
from wsedtk.decoding.operating_point import OperatingPoint
from wsedtk.inference import tuning_commands
from wsedtk.inference.sliding_windows import Piece, Source

# A recording lacks high frequencies if half its sample rate is below this share of the highest
# frequency of the front end. For example, if the highest frequency is 15 kHz, a sample rate of
# 22,050 Hz is sufficient.
_LOW = 0.7

Watch = Callable[[Piece, npt.NDArray[np.float32]], None]


@dataclasses.dataclass(frozen=True)
class Threshold:
    """A threshold of events that replaces thresholds of the operating point.

    It replaces frame thresholds or, if the mode of the operating point is "box", the thresholds of
    boxes.

    Attributes
    ----------
    value : float
        A number from 0 to 1, or infinite. No score reaches +inf. Every score reaches -inf.
    label : str or None
        The class. None means all classes.
    text : str
        The threshold as a text, for messages.
    """

    value: float
    label: str | None
    text: str


def parse_threshold(text: str, option: str = "--threshold") -> Threshold:
    """Parse a threshold: "0.5" for all classes, or "NAME=0.5" for the class NAME.

    Parameters
    ----------
    text : str
    option : str
        The name of the option that gives the threshold, for messages.

    Raises
    ------
    InputError
        If the text is not a threshold.
    """
    label, equals, number = normal(text).rpartition("=")
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if np.isnan(value):
        message = f"{option} {text!r}: expected a number, or CLASS=NUMBER"
        raise InputError(message + suggest_fraction(number))
    return Threshold(value, label if equals else None, text)


def _replace_thresholds(
    point: OperatingPoint, thresholds: Sequence[Threshold], option: str
) -> OperatingPoint:
    """Return the operating point with new thresholds. Later thresholds take precedence."""
    values = dict(zip(point.labels, _thresholds(point).tolist()))
    for one in thresholds:
        where = f"{option} {one.text!r}"
        operating_point.check_threshold(one.value, where)
        if one.label is None:
            values = dict.fromkeys(values, one.value)
        elif one.label in values:
            values[one.label] = one.value
        else:
            near = suggest(one.label, point.labels)
            raise InputError(f"{where}: the model has no class {one.label!r}; {near}")
    new = np.array(list(values.values()))
    if point.mode == "box":
        return dataclasses.replace(point, box_thresholds=new)
    return dataclasses.replace(point, frame_thresholds=new)


def _thresholds(point: OperatingPoint) -> npt.NDArray[np.float64]:
    """Return the thresholds of events, (K,): those of boxes in box mode, otherwise of frames."""
    return point.thresholds_of("box" if point.mode == "box" else "frame")


def read_point(
    path: PathLike,
    model_dir: PathLike,
    fingerprint: str,
    labels: Sequence[str],
    *,
    thresholds: Sequence[Threshold] = (),
    min_seconds: float | None = None,
    option: str = "--threshold",
) -> OperatingPoint:
    """Read an operating point. Replace its thresholds and minimum durations if new ones are given.

    Parameters
    ----------
    path : path-like
        The file of the operating point. The file may be missing if one of `thresholds` is for all
        classes. If the file is missing, the filters are the defaults of `wsedtk tune`.
    model_dir : path-like
        The model directory.
    fingerprint : str
        The fingerprint of the model.
    labels : sequence of str
        The K classes of the model.
    thresholds : sequence of Threshold
        Thresholds that replace the thresholds of the file.
    min_seconds : float, optional
        The minimum duration of an event in seconds. It replaces the minimum durations of the file.
        In box mode, the default is 0.
    option : str
        The name of the option that gives thresholds, for messages.

    Returns
    -------
    OperatingPoint

    Raises
    ------
    InputError
        If the file is needed but missing, if it is invalid or belongs to another model, if a
        threshold is invalid or its class is unknown, or if no class has a threshold that a score
        can reach.
    """
    path = Path(path)
    if path.exists():
        point = operating_point.read(path)
        operating_point.check(point, path, labels, fingerprint, model_dir)
    elif any(one.label is None for one in thresholds):
        point = operating_point.untuned(labels, np.inf)
    else:
        raise InputError(_no_point(path, model_dir, option))
    point = _replace_thresholds(point, thresholds, option)
    if min_seconds is None and point.mode == "box":
        min_seconds = 0.0  # the minimum durations of the file are for frame mode
    if min_seconds is not None:
        point = dataclasses.replace(point, min_seconds=np.full(len(labels), min_seconds))
    if np.isposinf(_thresholds(point)).all():
        if thresholds:
            raise InputError(
                f"{option} {thresholds[-1].text}: no class has a threshold that a score can "
                "reach; give a threshold from 0 to 1"
            )
        kind = "box" if point.mode == "box" else "frame"
        raise InputError(
            f"{path}: has no {kind} thresholds that a score can reach (wsedtk tune found no frame "
            "scores, or no class reaches the target); tune again with frame scores or another "
            f"target, or give {option}"
        )
    return point


def _no_point(path: Path, model_dir: PathLike, option: str) -> str:
    """Return the message for a missing operating point, with the commands that create it."""
    commands = []
    if path == Path(model_dir) / "operating_point.yaml":
        commands = tuning_commands.commands_of_model(model_dir)
    remedy = f"give one threshold for all classes, such as {option} 0.5"
    if not commands:
        return f"{path}: no such file; create it with wsedtk tune, or {remedy}"
    return (
        f"{path}: no such file, so the model has no thresholds; choose them on the validation set "
        f"of its training:\n  {commands[0]}\n  {commands[1]}\nor {remedy}"
    )


class Found(NamedTuple):
    """The events and the duration of a recording.

    Attributes
    ----------
    events : list of Event
        The events, ordered by onset.
    seconds : float
        The duration of the recording in seconds.
    """

    events: list[Event]
    seconds: float


@dataclasses.dataclass(frozen=True)
class EventFinder:
    """Thresholds and filters that turn the score curves of a model into events.

    Attributes
    ----------
    point : OperatingPoint
        Thresholds and filters of the K classes of the model. If its mode is "box", the events are
        boxes. Otherwise they are decoded as in frame mode.
    names : mapping
        The classes to find. Each class is mapped to its name in the events.
    seconds_per_frame : float
        The duration of a frame of the score curves in seconds.
    """

    point: OperatingPoint
    names: Mapping[str, str]
    seconds_per_frame: float

    @functools.cached_property
    def columns(self) -> npt.NDArray[np.intp]:
        """The indices of the columns of a score curve that belong to the classes to find."""
        return np.array([self.point.labels.index(label) for label in self.names], np.intp)

    @property
    def labels(self) -> list[str]:
        """The names of the classes to find, as they are written in the events."""
        return list(self.names.values())

    @property
    def thresholds(self) -> npt.NDArray[np.float64]:
        """The thresholds of the classes to find: those of boxes in box mode, else of frames."""
        return _thresholds(self.point)[self.columns]

    def decoder(self) -> CurveDecoder | BoxCurveDecoder:
        """Return a new decoder of a curve of the classes to find."""
        point, columns, step = self.point, self.columns, self.seconds_per_frame
        if point.mode != "box":
            filters = operating_point.frame_filters(point, step)
            return CurveDecoder(self.thresholds, step, filters.select(columns))
        lengths = operating_point.box_filters(point, "the operating point").select(columns)
        return BoxCurveDecoder(self.thresholds, step, lengths, point.min_seconds[columns])

    def find(self, pieces: Iterable[Piece], watch: Watch | None = None) -> Found:
        """Read a score curve to its end and return its events.

        Parameters
        ----------
        pieces : iterable of Piece
            The score curve, with the scores (T, K) of all classes of the model.
        watch : callable, optional
            A function that is called for each piece. Its arguments are the piece and the frame
            scores of the classes to find, (T, number of these classes).

        Returns
        -------
        Found
        """
        decoder = PieceDecoder(self)
        seconds = 0.0
        for piece in pieces:
            scores = decoder.push(piece)
            seconds = piece.seconds
            if watch is not None:
                watch(piece, scores)
        return Found(decoder.finish(seconds), seconds)


class PieceDecoder:
    """A decoder that finds the events in the pieces of one score curve.

    Parameters
    ----------
    finder : EventFinder
        The thresholds and filters.

    Attributes
    ----------
    reach : int or None
        An event is known when this number of frames after its last frame has been decoded, and
        perhaps earlier. None in box mode, where the next box decides whether a box is complete.
    """

    def __init__(self, finder: EventFinder) -> None:
        point, self._columns = finder.point, finder.columns
        self._gate_by_tags, self._labels = point.gate_by_tags, finder.labels
        self._limits = point.clip_thresholds[self._columns]
        self._decoder = finder.decoder()
        self.reach: int | None = None
        if isinstance(self._decoder, CurveDecoder):
            self.reach = self._decoder.reach

    def push(self, piece: Piece) -> npt.NDArray[np.float32]:
        """Add the next piece.

        Returns
        -------
        (T, number of the classes to find) float32
            The frame scores of the classes to find.
        """
        scores = piece.frame[:, self._columns]
        is_tagged = piece.tags[:, self._columns] >= self._limits if self._gate_by_tags else True
        self._decoder.push(scores, is_tagged)
        return scores

    def ended(self) -> list[Event]:
        """Return the events that have ended, ordered by onset. Each event is returned once."""
        return self._events(self._decoder.ended())

    def finish(self, seconds: float) -> list[Event]:
        """End the curve of a recording of this duration, and return its other events."""
        return self._events(self._decoder.finish(seconds))

    def _events(self, found: Iterable[CurveEvent]) -> list[Event]:
        return [Event(onset, offset, self._labels[k], score) for onset, offset, k, score in found]


def remark_on_rates(sources: Iterable[Source], max_hz: float) -> str:
    """Return a warning if recordings lack high frequencies that a model uses. Otherwise return "".

    Parameters
    ----------
    sources : iterable of Source
        The recordings.
    max_hz : float
        The highest frequency of the front end in Hz.
    """
    rates = [
        (source.path, source.sample_rate)
        for source in sources
        if source.sample_rate and source.sample_rate < 2 * _LOW * max_hz
    ]
    if not rates:
        return ""
    path, rate = rates[0]
    more = f" (and {len(rates) - 1} more with low sample rates)" if len(rates) > 1 else ""
    return (
        f"{path}{more}: the sample rate is {rate} Hz, so the recording has no frequencies above "
        f"{rate / 2:g} Hz, but the model uses frequencies up to {max_hz:g} Hz; results may be "
        "unreliable"
    )
