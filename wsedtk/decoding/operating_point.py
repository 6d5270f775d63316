"""Read, write and check operating_point.yaml: thresholds and filters for tags and events.

The keys for box mode are optional. `box_thresholds` are separate from `frame_thresholds`, because
they are compared with confidences, which are means of scores over whole events. Therefore the same
operating point can be used in frame mode and in box mode.

Array dimensions: K classes.
"""

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from wsedtk.core import config
from wsedtk.core.atomic import write_text
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.provenance import UNKNOWN_MODEL
from wsedtk.data.clip_names import LONGEST_SECONDS
from wsedtk.data.tables import first, normal
from wsedtk.decoding import event_decoding
from wsedtk.decoding.box_scanner import LONGEST_FILTER_SECONDS
from wsedtk.decoding.boxes import BoxFilters

_LOG = logging.getLogger(__name__)


PER_CLASS = (
    "clip_thresholds",
    "frame_thresholds",
    "median_seconds",
    "min_seconds",
    "max_gap_seconds",
)

# The filters of box mode, with the values that are used if a file has only `box_thresholds`.
BOX_DEFAULTS = {
    "box_filter_seconds": 0.5,
    "box_merge_absolute": 1.0,
    "box_merge_relative": 2.0,
}
_BOX_KEYS = ("box_thresholds", *BOX_DEFAULTS)
_OPTIONAL = ("model", "tuned", *_BOX_KEYS)

Mode = Literal["segment", "frame", "box"]
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclasses.dataclass(frozen=True, eq=False)
class OperatingPoint:
    """Thresholds and filters of each class. A decision is positive if score >= threshold.

    The attributes for box mode are all arrays, or all None.

    Attributes
    ----------
    mode : {"segment", "frame", "box"}
        The mode that `wsedtk decode` uses by default.
    labels : list of str
        The K classes.
    clip_thresholds : (K,) float64
        Thresholds of clips, and of segments in segment mode. With +inf, no decision is positive.
    frame_thresholds : (K,) float64
        Thresholds of frames in frame mode.
    median_seconds : (K,) float64
        Length of the median filter in seconds. 0 means no filter.
    min_seconds : (K,) float64
        Minimum duration of an event in seconds.
    max_gap_seconds : (K,) float64
        Maximum gap in seconds between two events of a class that are joined.
    gate_by_tags : bool
        Whether events are dropped if their class is not a predicted tag of the clip.
    tuned_on : str
        The origin of the operating point. `wsedtk tune` writes the criterion and other options, the
        number of clips and the fingerprint of the scores.
    model : str or None
        The fingerprint of the model whose scores were used for tuning. With None or "imported", the
        operating point can be used for any model.
    tuned : dict or None
        The settings of `wsedtk tune`, for information only. None if `wsedtk tune` did not write the
        file.
    box_thresholds : (K,) float64 or None
        Thresholds of the confidences of boxes in box mode. A box is detected if its confidence is
        above its threshold.
    box_filter_seconds, box_merge_absolute, box_merge_relative : (K,) float64 or None
        The filters of box mode; see `wsedtk.decoding.boxes.BoxFilters`.
    """

    mode: Mode
    labels: list[str]
    clip_thresholds: npt.NDArray[np.float64]
    frame_thresholds: npt.NDArray[np.float64]
    median_seconds: npt.NDArray[np.float64]
    min_seconds: npt.NDArray[np.float64]
    max_gap_seconds: npt.NDArray[np.float64]
    gate_by_tags: bool
    tuned_on: str
    model: str | None = None
    tuned: dict[str, Any] | None = None
    box_thresholds: npt.NDArray[np.float64] | None = None
    box_filter_seconds: npt.NDArray[np.float64] | None = None
    box_merge_absolute: npt.NDArray[np.float64] | None = None
    box_merge_relative: npt.NDArray[np.float64] | None = None

    def thresholds_of(self, mode: Mode) -> npt.NDArray[np.float64]:
        """Return the thresholds (K,) of the events in a mode."""
        if mode == "box" and self.box_thresholds is not None:
            return self.box_thresholds
        return self.clip_thresholds if mode == "segment" else self.frame_thresholds


def write(path: PathLike, point: OperatingPoint) -> None:
    """Write an operating point, atomically."""
    mapping = {f.name: getattr(point, f.name) for f in dataclasses.fields(point)}
    for name in _BOX_KEYS:
        if mapping[name] is None:
            del mapping[name]
    for name in (*PER_CLASS, *_BOX_KEYS):
        if name not in mapping:
            continue
        mapping[name] = dict(zip(point.labels, (float(v) for v in mapping[name])))
    write_text(
        path,
        "# Thresholds and filter lengths have one value for each class. A decision is positive if\n"
        "# score >= threshold. With the threshold .inf, no decision is positive.\n"
        + config.to_yaml(mapping),
    )


def _check_value(name: str, value: float, where: str) -> None:
    """Check the number of one class. `name` is the key. Raises InputError."""
    if name.endswith("_thresholds"):
        check_threshold(value, where)
    elif name == "box_filter_seconds":
        if not 0 < value <= LONGEST_FILTER_SECONDS:
            raise InputError(
                f"{where}: expected a number of seconds above 0 and at most "
                f"{LONGEST_FILTER_SECONDS:g}, found {value!r}"
            )
    elif name in BOX_DEFAULTS:
        if value < 0:
            raise InputError(f"{where}: expected a number of at least 0, or .inf, found {value!r}")
    elif not 0 <= value <= LONGEST_SECONDS:
        raise InputError(
            f"{where}: expected seconds from 0 to {LONGEST_SECONDS:g}, found {value!r}"
        )


def _per_class(
    mapping: object, labels: Sequence[str], where: str, name: str
) -> npt.NDArray[np.float64]:
    """Return the values of a mapping from label to number, in the order of `labels`.

    `name` is the key of the mapping.
    """
    if not isinstance(mapping, dict):
        raise InputError(f"{where}: expected `class: number` lines, found {config.shown(mapping)}")
    if sorted(map(normal, mapping)) != sorted(labels):
        odd = sorted(set(map(str, mapping)) ^ set(labels))
        raise InputError(
            f"{where}: expected one number for each class in `labels`; missing, unknown or "
            f"repeated: {config.shown(odd)}"
        )
    values = {normal(label): value for label, value in mapping.items()}
    for label in labels:
        value = values[label]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
            raise InputError(f"{where}: {label}: expected a number, found {config.shown(value)}")
        _check_value(name, value, f"{where}: {label}")
    return np.array([values[label] for label in labels], np.float64)


def check_threshold(value: float, where: str) -> None:
    """Check that a threshold is from 0 to 1, or infinite.

    Parameters
    ----------
    value : float
        The threshold. With +inf, no decision is positive. With -inf, all decisions are positive.
    where : str
        The beginning of the error message, such as the path and the key.

    Raises
    ------
    InputError
        If the value is not a threshold.
    """
    if not (0 <= value <= 1 or np.isinf(value)):
        raise InputError(
            f"{where}: expected a number from 0 to 1, or inf to never detect the class, found "
            f"{value:g}{config.suggest_fraction(value)}"
        )


def read(path: PathLike) -> OperatingPoint:
    """Read an operating point.

    Raises
    ------
    InputError
        If the file can't be read, or if a key is missing, is unknown or has a wrong value.
    """
    mapping = config.read_yaml(path)
    names = [f.name for f in dataclasses.fields(OperatingPoint)]
    if not isinstance(mapping, dict):
        raise InputError(f"{path}: is not an operating point; create one with wsedtk tune")
    for name in mapping:
        if name not in names:
            raise InputError(
                f"{path}: unknown key {config.shown(name)}; {config.suggest(name, names)}"
            )
    for name in names:
        if name not in mapping and name not in _OPTIONAL:
            raise InputError(f"{path}: missing key {name!r}")
    labels = _read_labels(mapping["labels"], path)
    _check_values(mapping, path)
    given = (*PER_CLASS, *(name for name in _BOX_KEYS if mapping.get(name) is not None))
    values = {name: _per_class(mapping[name], labels, f"{path}: {name}", name) for name in given}
    if "box_thresholds" in values:
        for name, default in BOX_DEFAULTS.items():
            values.setdefault(name, np.full(len(labels), default))
    return OperatingPoint(**{**mapping, **values, "labels": labels})


def _read_labels(value: object, path: PathLike) -> list[str]:
    """Return the labels of an operating point. Raises InputError if they are not valid."""
    labels = []
    if isinstance(value, list) and all(isinstance(label, str) for label in value):
        labels = [normal(label) for label in value]
    if not labels or len(set(labels)) < len(labels):
        raise InputError(f"{path}: labels: expected a list of class names without repetition")
    return labels


def _check_values(mapping: dict[str, Any], path: PathLike) -> None:
    """Check the values of an operating point that are common to all classes. Raises InputError."""

    def refuse(name: str, expected: str) -> InputError:
        return InputError(
            f"{path}: {name}: expected {expected}, found {config.shown(mapping[name])}"
        )

    if mapping["mode"] not in MODES:
        raise refuse("mode", "segment, frame or box")
    given = [name for name in _BOX_KEYS if mapping.get(name) is not None]
    if "box_thresholds" not in given and (given or mapping["mode"] == "box"):
        raise InputError(
            f"{path}: missing key 'box_thresholds', which box mode needs; tune with wsedtk tune "
            "--mode box"
        )
    if not isinstance(mapping["gate_by_tags"], bool):
        raise refuse("gate_by_tags", "true or false")
    for name in ("tuned_on", "model"):
        if not isinstance(mapping.get(name), (str, type(None))):
            raise refuse(name, "text")
    if not isinstance(mapping.get("tuned") or {}, dict):
        raise refuse("tuned", "`key: value` lines")


def untuned(labels: Sequence[str], threshold: float) -> OperatingPoint:
    """Return an untuned operating point for frame mode.

    The filters are the defaults of `wsedtk tune`.

    Parameters
    ----------
    labels : sequence of str
        The K classes.
    threshold : float
        The threshold of all classes, for clips and for frames.
    """

    def repeated(value: float) -> npt.NDArray[np.float64]:
        return np.full(len(labels), value, np.float64)

    return OperatingPoint(
        mode="frame",
        labels=list(labels),
        clip_thresholds=repeated(threshold),
        frame_thresholds=repeated(threshold),
        median_seconds=repeated(0.5),
        min_seconds=repeated(0.2),
        max_gap_seconds=repeated(0.2),
        gate_by_tags=False,
        tuned_on="by hand",
    )


def check(
    point: OperatingPoint,
    path: PathLike,
    labels: Sequence[str],
    model: str | None,
    other: PathLike,
) -> None:
    """Check that an operating point fits scores or a model.

    If the operating point was tuned on the scores of a known model, but `model` is None, a warning
    is logged.

    Parameters
    ----------
    point : OperatingPoint
        The operating point.
    path : path-like
        The file that contains the operating point.
    labels : sequence of str
        The classes of the scores or the model.
    model : str or None
        The fingerprint of the model; None if it is not known.
    other : path-like
        The file or folder of the scores or the model.

    Raises
    ------
    InputError
        If the classes differ, or the operating point was tuned on the scores of another model.
    """
    if list(point.labels) != list(labels):
        odd = sorted(set(labels) ^ set(point.labels))
        difference = f"in only one of them: {first(odd)}" if odd else "only their order differs"
        raise InputError(
            f"{path}: its classes are not those of {other} ({difference}); run wsedtk tune on "
            "scores with the same classes"
        )
    if point.model is None or point.model == UNKNOWN_MODEL:
        return
    if model is None:
        _LOG.warning(
            f"{other}: the model of these scores is unknown, because they come from tables; make "
            f"sure that {path} was tuned on scores of the same model"
        )
    elif point.model != model:
        raise InputError(
            f"{path}: was tuned on the scores of another model ({point.model}); the model of "
            f"{other} is {model}; tune on the scores of this model, or remove `model:` from {path} "
            "to use the file anyway"
        )


def frame_filters(point: OperatingPoint, seconds_per_frame: float) -> event_decoding.Filters:
    """Convert the lengths of the filters of an operating point to frames. Returns arrays (K,)."""
    settings = zip(point.median_seconds, point.min_seconds, point.max_gap_seconds)
    lengths = [event_decoding.filter_frames(*setting, seconds_per_frame) for setting in settings]
    return event_decoding.Filters(*map(np.array, zip(*lengths)))


def box_filters(point: OperatingPoint, path: PathLike) -> BoxFilters:
    """Return the filters of box mode of an operating point.

    Parameters
    ----------
    point : OperatingPoint
    path : path-like
        The file that contains the operating point, for messages.

    Raises
    ------
    InputError
        If the operating point has no thresholds for box mode.
    """
    filters = (point.box_filter_seconds, point.box_merge_absolute, point.box_merge_relative)
    length, absolute, relative = filters
    if point.box_thresholds is None or length is None or absolute is None or relative is None:
        raise InputError(
            f"{path}: has no thresholds for boxes (box_thresholds); tune with wsedtk tune "
            "--mode box, or decode in another mode"
        )
    return BoxFilters(length, absolute, relative)
