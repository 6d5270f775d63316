"""Load a model for the detection of events, with the chosen classes, thresholds and filters.

K is the number of classes.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from wsedtk.core.paths import PathLike
from wsedtk.data import class_lists, ontologies
from wsedtk.decoding.operating_point import OperatingPoint
from wsedtk.inference import event_finding, loading, network_runner
from wsedtk.inference.event_finding import EventFinder, parse_threshold
from wsedtk.inference.sliding_windows import Detector
from wsedtk.models.checkpoint import LoadedModel
from wsedtk.models.ready_directories import READY_MODEL

_LOG = logging.getLogger(__name__)


class Settings(Protocol):
    """The settings of a detection. See `wsedtk.stages.options.detection.DetectionOptions`."""

    @property
    def model_dir(self) -> PathLike: ...
    @property
    def thresholds(self) -> Sequence[str]: ...
    @property
    def classes(self) -> Sequence[str]: ...
    @property
    def min_duration(self) -> float | None: ...
    @property
    def operating_point(self) -> PathLike | None: ...
    @property
    def seconds_per_frame(self) -> float | None: ...
    @property
    def precise(self) -> bool: ...
    @property
    def device(self) -> str: ...


class Setup(NamedTuple):
    """A model that is ready to detect events.

    Attributes
    ----------
    model : LoadedModel
    detector : Detector
        The model that computes score curves.
    finder : EventFinder
        The thresholds and filters of the chosen classes.
    """

    model: LoadedModel
    detector: Detector
    finder: EventFinder


def load(settings: Settings) -> Setup:
    """Load a model, and read the chosen classes, the thresholds and the filters.

    Parameters
    ----------
    settings : Settings
        `model_dir` is a model directory, not the name of a ready model.

    Raises
    ------
    InputError
        If the model can't be used, if a class is unknown, if the device can't be used, or if the
        operating point is wrong; see `read_point`.
    """
    model = loading.read_model(settings.model_dir, settings.seconds_per_frame)
    labels = model.spec.labels
    below = ontologies.descendants_in(settings.model_dir) if settings.classes else {}
    names = class_lists.choose(settings.classes, labels, settings.model_dir, below)
    point = read_point(settings, model.fingerprint, labels)
    device = network_runner.pick_device(settings.device)
    detector = Detector(model.spec, loading.make_runner(model, device, settings.precise))
    return Setup(model, detector, EventFinder(point, names, detector.seconds_per_frame))


def read_point(settings: Settings, fingerprint: str, labels: Sequence[str]) -> OperatingPoint:
    """Read the operating point, and apply the changes that the settings specify.

    Parameters
    ----------
    settings : Settings
    fingerprint : str
        The fingerprint of the model.
    labels : sequence of str
        The K classes of the model.

    Raises
    ------
    InputError
        If the operating point is wrong or belongs to another model, if it is missing and no
        threshold for all classes is given, if a threshold is wrong, or if no class has a threshold
        that a score can reach.
    """
    return event_finding.read_point(
        settings.operating_point or Path(settings.model_dir) / "operating_point.yaml",
        settings.model_dir,
        fingerprint,
        labels,
        min_seconds=settings.min_duration,
        thresholds=[parse_threshold(text) for text in settings.thresholds],
    )


def log_thresholds(settings: Settings, model: LoadedModel, point: OperatingPoint) -> None:
    """Log that the thresholds of a ready model are not tuned on the recordings of the user."""
    trained = model.spec.trained
    if READY_MODEL in trained and point.tuned is None and not settings.thresholds:
        _LOG.info(
            f"{trained[READY_MODEL]}: {point.tuned_on}; to adapt the thresholds to your "
            "recordings, use --threshold or wsedtk tune"
        )
