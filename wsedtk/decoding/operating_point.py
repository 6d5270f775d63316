"""operating_point.yaml: the thresholds and filters that turn a model's scores into tags and events."""

import dataclasses
import typing

import numpy as np

from wsedtk.core import config
from wsedtk.core.atomic import write_text
from wsedtk.core.errors import InputError
from wsedtk.core.progress import say
from wsedtk.core.provenance import UNKNOWN_MODEL
from wsedtk.data import event_decoding
from wsedtk.data.clip_names import LONGEST_SECONDS
from wsedtk.data.tables import first, normal

PER_CLASS = (
    "clip_thresholds",
    "frame_thresholds",
    "median_seconds",
    "min_seconds",
    "max_gap_seconds",
)


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
    """One value of each kind for each class, in the order of `labels`. A decision is positive where score >= threshold."""

    mode: typing.Literal["segment", "frame"]  # what decode does unless told otherwise
    labels: list
    clip_thresholds: np.ndarray  # (K,) for clips, and for segments in segment mode; +inf: never
    frame_thresholds: np.ndarray  # (K,) for frames in frame mode
    median_seconds: np.ndarray  # (K,) length of the median filter, 0: none
    min_seconds: np.ndarray  # (K,) shorter events are dropped
    max_gap_seconds: np.ndarray  # (K,) events of a class at most this far apart are joined
    gate_by_tags: bool  # events only of the classes that the clip is tagged with
    tuned_on: str
    model: str | None = (
        None  # fingerprint of the model whose scores it was tuned on; None: for any model
    )
    tuned: dict | None = None  # how and on what, for the reader; None: by hand


def write(path, point):
    """Write an operating point, atomically."""
    mapping = {f.name: getattr(point, f.name) for f in dataclasses.fields(point)}
    for name in PER_CLASS:
        mapping[name] = dict(zip(point.labels, (float(v) for v in mapping[name])))
    write_text(
        path,
        "# One value a class; a decision is positive where score >= threshold, .inf: never.\n"
        + config.to_yaml(mapping),
    )


def _per_class(mapping, labels, where, is_seconds=False):
    """The values of {label: number} in the order of the labels."""
    if not isinstance(mapping, dict) or sorted(map(normal, mapping)) != sorted(labels):
        found = list(mapping) if isinstance(mapping, dict) else mapping
        odd = config.shown(
            sorted(set(map(str, found)) ^ set(labels)) if isinstance(found, list) else found
        )
        raise InputError(
            f"{where}: expected one number for each of the {len(labels)} labels; look at {odd}"
        )
    values = {normal(label): value for label, value in mapping.items()}
    values = [values[label] for label in labels]
    for label, value in zip(labels, values):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
            raise InputError(f"{where}: {label}: expected a number, found {config.shown(value)}")
        if is_seconds and not 0 <= value <= LONGEST_SECONDS:
            raise InputError(
                f"{where}: {label}: expected seconds from 0 to {LONGEST_SECONDS:g}, found {value!r}"
            )
        if not is_seconds:
            check_threshold(value, f"{where}: {label}")
    return np.array(values, np.float64)


def check_threshold(value, where):
    """Raise InputError unless a threshold is a probability, or infinite: for never or always."""
    if not (0 <= value <= 1 or np.isinf(value)):
        raise InputError(
            f"{where}: expected a number from 0 to 1, or inf for never, found "
            f"{value:g}{config.suggest_fraction(value)}"
        )


def read(path):
    """Read an operating point. Raises InputError naming what is missing, unknown or no number."""
    mapping = config.read_yaml(path)
    names = [f.name for f in dataclasses.fields(OperatingPoint)]
    if not isinstance(mapping, dict):
        raise InputError(f"{path}: not an operating point; wsedtk tune writes one")
    for name in mapping:
        if name not in names:
            raise InputError(
                f"{path}: unknown key {config.shown(name)}; {config.suggest(name, names)}"
            )
    for name in names:
        if name not in mapping and name not in ("model", "tuned"):
            raise InputError(f"{path}: missing key {name!r}")
    labels = mapping["labels"]
    is_list = isinstance(labels, list) and labels and all(isinstance(v, str) for v in labels)
    labels = mapping["labels"] = list(map(normal, labels)) if is_list else []
    if not labels or len(set(labels)) < len(labels):
        raise InputError(f"{path}: labels: expected a list of class names, each once")
    if mapping["mode"] not in ("segment", "frame"):
        raise InputError(
            f"{path}: mode: expected segment or frame, found {config.shown(mapping['mode'])}"
        )
    if not isinstance(mapping["gate_by_tags"], bool):
        raise InputError(
            f"{path}: gate_by_tags: expected true or false, found {config.shown(mapping['gate_by_tags'])}"
        )
    for name in ("tuned_on", "model"):
        if not isinstance(mapping.get(name), (str, type(None))):
            raise InputError(f"{path}: {name}: expected text, found {config.shown(mapping[name])}")
    if not isinstance(mapping.get("tuned") or {}, dict):
        raise InputError(
            f"{path}: tuned: expected `key: value` lines, found {config.shown(mapping['tuned'])}"
        )
    for name in PER_CLASS:
        mapping[name] = _per_class(
            mapping[name], labels, f"{path}: {name}", name.endswith("_seconds")
        )
    return OperatingPoint(**mapping)


def untuned(labels, threshold):
    """An operating point for frame mode by hand: one threshold for all classes, and the filters that `tune` takes unless told otherwise."""
    values = [
        np.full(len(labels), value, np.float64) for value in (threshold, threshold, 0.5, 0.2, 0.2)
    ]
    return OperatingPoint("frame", list(labels), *values, False, "by hand")


def check(point, path, labels, model, other):
    """Raise InputError where a point that was read from `path` is not for what `other` is of.

    labels: its classes; model: the fingerprint of its model, None where it is not known, which is
    told.
    """
    if list(point.labels) != list(labels):
        odd = sorted(set(labels) ^ set(point.labels))
        raise InputError(
            f"{path}: its classes are not those of {other}"
            + (f": {first(odd)}" if odd else ", or in another order")
        )
    known = point.model not in (None, UNKNOWN_MODEL)
    if known and model is None:
        say(
            f"warning: {other}: does not name its model, as it comes from tables: take care that "
            f"{path} is for the same one"
        )
    elif known and point.model != model:
        raise InputError(
            f"{path}: was tuned on the scores of another model ({point.model}) than {other} ({model}); tune on this model's, "
            "or take `model:` out of the file to use it all the same"
        )


def frame_filters(point, seconds_per_frame):
    """The filters of an operating point in frames: median, shortest event and longest gap, each (K,)."""
    settings = zip(point.median_seconds, point.min_seconds, point.max_gap_seconds)
    lengths = [event_decoding.filter_frames(*setting, seconds_per_frame) for setting in settings]
    return event_decoding.Filters(*map(np.array, zip(*lengths)))
