"""Polyphonic sound detection scores (PSDS), computed by sed_scores_eval.

In the shapes, N is the number of clips, T is the number of frames of a clip, and K is the number of
classes.
"""

import warnings
from collections.abc import Iterable
from typing import NamedTuple, TypedDict

import numpy as np

from wsedtk.core.caches import matplotlib_importable
from wsedtk.core.types import Floats
from wsedtk.data import events
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
    durations = np.asarray(durations)
    reference = metrics.evaluated_reference(reference, durations)
    used = np.unique(reference.label).tolist()
    if not used:
        return Psds(dict.fromkeys(PSDS_SETTINGS), 0)
    with warnings.catch_warnings(), matplotlib_importable():
        # sed_scores_eval imports matplotlib and pkg_resources. pkg_resources causes a warning.
        warnings.simplefilter("ignore")
        from sed_scores_eval import intersection_based
        from sed_scores_eval.base_modules.scores import create_score_dataframe
    spans: list[list[tuple[float, float, int]]] = [[] for _ in range(len(durations))]
    for clip, onset, offset, label in reference.rows():
        spans[clip].append((onset, offset, label))
    # Class names are replaced by numbers, because sed_scores_eval rejects some names.
    truth = {
        str(clip): [(*times, str(label)) for *times, label in events.merge_overlaps(some)]
        for clip, some in enumerate(spans)
    }
    names = [str(label) for label in used]
    scores = {}
    for number, (frames, end) in enumerate(zip(frame_scores, np.minimum(durations, recorded))):
        edges = events.frame_edges(len(frames), seconds_per_frame, end)
        values = frames[: len(edges) - 1, used]
        scores[str(number)] = create_score_dataframe(values, edges, names)
    lengths = {str(clip): float(duration) for clip, duration in enumerate(durations)}
    found: metrics.Figures = {}
    for name, settings in PSDS_SETTINGS.items():
        if len(used) == 1:
            settings = {**settings, "cttc_threshold": None, "alpha_ct": 0.0}
        value, *_ = intersection_based.psds(
            scores, truth, lengths, unit_of_time="hour", max_efpr=100.0, **settings
        )
        found[name] = float(value)
    return Psds(found, len(used))
