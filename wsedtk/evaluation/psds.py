"""Polyphonic sound detection scores (PSDS), by sed_scores_eval. N clips, K classes."""

import numpy as np

from wsedtk.core.caches import matplotlib_importable
from wsedtk.data import events
from wsedtk.evaluation import metrics, sed_eval_metrics

PSDS_SETTINGS = {
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


def measure(frame_scores, seconds_per_frame, reference, durations, recorded):
    """PSDS 1 and 2 by sed_scores_eval, from frame scores without a threshold: ({psds1, psds2}, number of classes scored).

    frame_scores: N arrays (T, K); durations: (N,) of the clips; recorded: (N,) of their recordings,
    which may be shorter: frames end with them. Overlaps of a class in the reference are merged,
    classes without events left out. A single class has no cross triggers. None without events.
    """
    reference = metrics.drop_zero_length(metrics.cut(reference, np.asarray(durations)))
    used = np.unique(reference.label).tolist()
    if not used:
        return dict.fromkeys(PSDS_SETTINGS), 0
    with sed_eval_metrics.quiet_imports(), matplotlib_importable():  # which it imports
        from sed_scores_eval import intersection_based
        from sed_scores_eval.base_modules.scores import create_score_dataframe
    truth = {str(clip): [] for clip in range(len(durations))}
    for clip, onset, offset, label in reference.rows():
        truth[str(clip)].append((onset, offset, str(label)))
    truth = {clip: events.merge_overlaps(spans) for clip, spans in truth.items()}
    scores = {}
    for clip, (frames, end) in enumerate(zip(frame_scores, np.minimum(durations, recorded))):
        edges = events.frame_edges(len(frames), seconds_per_frame, end)
        scores[str(clip)] = create_score_dataframe(
            frames[: len(edges) - 1, used], edges, list(map(str, used))
        )  # it refuses some labels
    lengths, found = {str(clip): float(d) for clip, d in enumerate(durations)}, {}
    for name, settings in PSDS_SETTINGS.items():
        if len(used) == 1:
            settings = {**settings, "cttc_threshold": None, "alpha_ct": 0.0}
        value, *_ = intersection_based.psds(
            scores, truth, lengths, unit_of_time="hour", max_efpr=100.0, **settings
        )
        found[name] = float(value)
    return found, len(used)
