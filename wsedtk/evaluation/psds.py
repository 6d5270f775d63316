"""Polyphonic sound detection scores (PSDS), computed by sed_scores_eval.

In the shapes, N is the number of clips, T is the number of frames of a clip, and K is the number of
classes.
"""

import contextlib
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

from wsedtk.core.caches import matplotlib_importable
from wsedtk.core.types import Floats
from wsedtk.data import events
from wsedtk.data.boxes import Boxes
from wsedtk.data.events import Events
from wsedtk.evaluation import metrics


class _Settings(TypedDict):
    """Parameters of `sed_scores_eval.intersection_based.psds` that define a PSDS."""

    dtc_threshold: float
    gtc_threshold: float
    cttc_threshold: float | None
    alpha_ct: float
    alpha_st: float


# The settings of the two PSDS scenarios of the DCASE challenges.
PSDS_SETTINGS: dict[str, _Settings] = {
    "psds1": {
        "dtc_threshold": 0.7,
        "gtc_threshold": 0.7,
        "cttc_threshold": None,
        "alpha_ct": 0.0,
        "alpha_st": 1.0,
    },
    "psds2": {
        "dtc_threshold": 0.1,
        "gtc_threshold": 0.1,
        "cttc_threshold": 0.3,
        "alpha_ct": 0.5,
        "alpha_st": 1.0,
    },
}


class Psds(NamedTuple):
    """PSDS 1 and 2, and the number of classes from which they are computed.

    PSDS 1 and 2 are None if no reference event is evaluated. Reference events of length zero, and
    those that begin at or after the end of their clip, are not evaluated.
    """

    figures: metrics.Figures
    num_classes: int


def measure(
    frame_scores: Iterable[Floats],
    seconds_per_frame: float,
    reference: Events,
    durations: Floats,
    recorded: Floats,
) -> Psds:
    """Return PSDS 1 and 2, which are computed from frame scores over all thresholds.

    Reference events of the same clip and class that overlap or touch are merged. Classes without
    reference events are left out. If only one class has reference events, cross triggers are not
    counted.

    Parameters
    ----------
    frame_scores : iterable of N arrays (T, K)
        Probabilities of the classes in each frame, one array per clip.
    seconds_per_frame : float
    reference : Events
        The reference events.
    durations : (N,) float
        Durations of the clips in seconds.
    recorded : (N,) float
        Durations of the recordings in seconds. A recording may be shorter than its clip. The times
        of the frames are computed for the shorter of the two durations (see
        `wsedtk.data.events.frame_edges`).
    """
    truth = _Truth(reference, durations)

    def curves() -> Iterator[_Curve]:
        for frames, end in zip(frame_scores, np.minimum(durations, recorded)):
            edges = events.frame_edges(len(frames), seconds_per_frame, end)
            yield _Curve(frames[: len(edges) - 1, truth.classes], edges)

    return _measure(truth, curves())


def measure_boxes(boxes: Boxes, reference: Events, durations: Floats) -> Psds:
    """Return PSDS 1 and 2, which are computed from boxes over all thresholds of their confidences.

    See `measure` for the other parameters and the treatment of the reference.

    Parameters
    ----------
    boxes : Boxes
        All boxes, also those with a low confidence.
    """
    truth = _Truth(reference, durations)
    return _measure(truth, _box_curves(boxes, truth))


def class_psds1(
    boxes: Boxes, reference: Events, durations: Floats, num_classes: int
) -> npt.NDArray[np.float64]:
    """Return the PSDS 1 of each class alone (K,), computed from boxes.

    The value is NaN for a class without reference events. See `measure_boxes`.
    """
    truth, found = _Truth(reference, durations), np.full(num_classes, np.nan)
    if truth.classes:
        _, of_class, *_ = _psds("psds1", truth, truth.tables(_box_curves(boxes, truth)))
        found[truth.classes] = [of_class[str(k)] for k in truth.classes]
    return found


class _Curve(NamedTuple):
    """The scores of a clip: values (T, number of classes), and the edges (T + 1,) in seconds."""

    values: Floats
    edges: Floats


class _Truth:
    """The reference events, in the form that sed_scores_eval needs.

    Class names are replaced by numbers, because sed_scores_eval rejects some names.

    Attributes
    ----------
    classes : list of int
        The classes that have reference events.
    durations : (N,) float
        The durations of the clips in seconds.
    events : dict
        The reference events of each clip.
    """

    def __init__(self, reference: Events, durations: Floats) -> None:
        self.durations = np.asarray(durations)
        reference = metrics.evaluated_reference(reference, self.durations)
        self.classes: list[int] = np.unique(reference.label).tolist()
        spans: list[list[events.Span]] = [[] for _ in range(len(self.durations))]
        for clip, onset, offset, label in reference.rows():
            spans[clip].append((onset, offset, label))
        self.events = {
            str(clip): [(*times, str(label)) for *times, label in events.merge_overlaps(some)]
            for clip, some in enumerate(spans)
        }

    def tables(self, curves: Iterable[_Curve]) -> dict[str, Any]:
        """Return the scores of each clip as a table of sed_scores_eval."""
        with _sed_scores_eval():
            from sed_scores_eval.base_modules.scores import create_score_dataframe
        names = [str(label) for label in self.classes]
        return {
            str(clip): create_score_dataframe(curve.values, curve.edges, names)
            for clip, curve in enumerate(curves)
        }


@contextlib.contextmanager
def _sed_scores_eval() -> Iterator[None]:
    """Return a context for the import of sed_scores_eval.

    sed_scores_eval imports matplotlib and pkg_resources. pkg_resources causes a warning.
    """
    with warnings.catch_warnings(), matplotlib_importable():
        warnings.simplefilter("ignore")
        yield


def _psds(name: str, truth: _Truth, tables: dict[str, Any]) -> tuple[Any, ...]:
    """Return the result of `sed_scores_eval.intersection_based.psds`."""
    with _sed_scores_eval():
        from sed_scores_eval import intersection_based
    settings = PSDS_SETTINGS[name]
    if len(truth.classes) == 1:
        settings = {**settings, "cttc_threshold": None, "alpha_ct": 0.0}
    lengths = {str(clip): float(duration) for clip, duration in enumerate(truth.durations)}
    result: tuple[Any, ...] = intersection_based.psds(
        tables, truth.events, lengths, unit_of_time="hour", max_efpr=100.0, **settings
    )
    return result


def _measure(truth: _Truth, curves: Iterable[_Curve]) -> Psds:
    if not truth.classes:
        return Psds(dict.fromkeys(PSDS_SETTINGS), 0)
    tables = truth.tables(curves)
    found: metrics.Figures = {name: float(_psds(name, truth, tables)[0]) for name in PSDS_SETTINGS}
    return Psds(found, len(truth.classes))


def _box_curves(boxes: Boxes, truth: _Truth) -> Iterator[_Curve]:
    """Yield the curves of all clips: the confidence inside boxes, and -inf outside."""
    boxes = boxes.select(np.isin(boxes.events.label, truth.classes))
    boxes = boxes.cut(truth.durations)
    column = np.searchsorted(truth.classes, boxes.events.label)
    first = np.searchsorted(boxes.events.clip, np.arange(len(truth.durations) + 1))
    for clip, duration in enumerate(truth.durations.tolist()):
        part = slice(first[clip], first[clip + 1])
        onset, offset = boxes.events.onset[part], boxes.events.offset[part]
        edges = np.unique(np.concatenate([[0.0, duration], onset, offset]))
        values = np.full((len(edges) - 1, len(truth.classes)), -np.inf)
        begins, ends = np.searchsorted(edges, onset), np.searchsorted(edges, offset)
        spans = zip(begins.tolist(), ends.tolist(), column[part].tolist())
        for (begin, end, k), confidence in zip(spans, boxes.confidence[part].tolist()):
            values[begin:end, k] = confidence
        yield _Curve(values, edges)
