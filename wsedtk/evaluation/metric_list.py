"""The list of built-in metrics. All tables, plots, legends and comparisons use this list.

To add a built-in metric, add an entry to this list. A user-defined metric needs no change in this
module: write a `Metric` in your own module, and give its location `package.module:NAME` to
`wsedtk score --metric`.

The attribute `function` of a metric is a function that returns {} if the values can't be computed
from the `Evidence`.
"""

import functools
from collections.abc import Mapping

from wsedtk.core.registry import Registry
from wsedtk.core.types import Floats, Integers
from wsedtk.evaluation import average_precision, metrics, psds
from wsedtk.evaluation.event_metrics import PERCENTAGE_OF_LENGTH, T_COLLAR
from wsedtk.evaluation.evidence import Evidence
from wsedtk.evaluation.metric import ClassMetric, Counted, Figures, Metric, Place

METRICS: Registry[Metric] = Registry("metric", __name__)


# ---- tags of clips ----


def _tagging(evidence: Evidence) -> Figures:
    if not evidence.has_tags:
        return {}
    counts = metrics.decision_counts(evidence.true_tags, evidence.decoded_tags)
    return metrics.f1_figures(counts.sum(axis=1))


def _tagging_classes(evidence: Evidence) -> Mapping[str, Figures]:
    if not evidence.has_tags:
        return {}
    counts = metrics.decision_counts(evidence.true_tags, evidence.decoded_tags)
    return {label: metrics.f1_figures(one) for label, one in zip(evidence.labels, counts.T)}


def _tag_counts(evidence: Evidence) -> Integers:
    return metrics.tag_counts(evidence.true_tags, evidence.decoded_tags)


_TAG_PLACES = frozenset({Place.TAG_TEXT, Place.TAG_LIST, Place.SEED_MEANS})
_tag_metric = functools.partial(
    Metric,
    section="tagging",
    legend="tag: tags of clips",
    function=_tagging,
    counted=Counted(_tag_counts, metrics.f1_figures, metrics.f1_parts),
)
_TAGGING = (
    _tag_metric(
        key="precision",
        heading="tag Pre",
        short_heading="Pre",
        places=_TAG_PLACES,
        interval_in_text=False,
    ),
    _tag_metric(
        key="recall",
        heading="tag Rec",
        short_heading="Rec",
        places=_TAG_PLACES,
        interval_in_text=False,
    ),
    _tag_metric(
        key="f1",
        heading="tag F1",
        short_heading="F1",
        full_heading="tagging F1",
        places=_TAG_PLACES
        | {
            Place.EVENT_TEXT,
            Place.PAGE,
            Place.PAGE_SEEDS,
            Place.PICTURE,
            Place.SUMMARY,
            Place.SEED_DIFFERENCES,
        },
    ),
)

# ---- segments ----


def _segment(evidence: Evidence) -> Figures:
    return evidence.segment_metrics.average if evidence.has_events else {}


def _segment_classes(evidence: Evidence) -> Mapping[str, Figures]:
    return evidence.segment_metrics.classes if evidence.has_events else {}


def _segment_counts(evidence: Evidence) -> Floats:
    counts = metrics.segment_counts(evidence.true_segments, evidence.decoded_segments)
    return metrics.sum_by_clip(counts, evidence.clip_of_segment, len(evidence.truth))


_SEGMENT_PLACES = frozenset(
    {Place.EVENT_TEXT, Place.EVENT_LIST, Place.PAGE, Place.PAGE_SEEDS, Place.SEED_MEANS}
)
_segment_metric = functools.partial(
    Metric,
    section="segment",
    function=_segment,
    counted=Counted(_segment_counts, metrics.segment_figures, metrics.segment_parts),
)
_error_metric = functools.partial(
    _segment_metric,
    direction="lower",
    legend="seg: segments of 1 s; "
    "ER: error rate with its parts (substitutions, deletions, insertions)",
)
_SEGMENT = (
    _error_metric(
        key="error_rate",
        heading="ER",
        full_heading="segment ER",
        places=_SEGMENT_PLACES | {Place.PICTURE, Place.SUMMARY, Place.SEED_DIFFERENCES},
    ),
    _error_metric(
        key="substitution_rate", heading="Sub", places=_SEGMENT_PLACES, interval_in_text=False
    ),
    _error_metric(
        key="deletion_rate",
        heading="Del",
        places=_SEGMENT_PLACES | {Place.SEED_DIFFERENCES},
        interval_in_text=False,
    ),
    _error_metric(
        key="insertion_rate",
        heading="Ins",
        places=_SEGMENT_PLACES | {Place.SEED_DIFFERENCES},
        interval_in_text=False,
    ),
    _segment_metric(key="precision", heading="Pre", places=_SEGMENT_PLACES, interval_in_text=False),
    _segment_metric(
        key="recall",
        heading="Rec",
        places=_SEGMENT_PLACES | {Place.SEED_DIFFERENCES},
        interval_in_text=False,
    ),
    _segment_metric(
        key="f1",
        heading="seg F1",
        short_heading="F1",
        full_heading="segment F1",
        places=_SEGMENT_PLACES | {Place.PICTURE, Place.SUMMARY, Place.SEED_DIFFERENCES},
    ),
)

# ---- events ----


def _event(evidence: Evidence) -> Figures:
    return evidence.event_metrics.average if evidence.has_events else {}


def _event_classes(evidence: Evidence) -> Mapping[str, Figures]:
    return evidence.event_metrics.classes if evidence.has_events else {}


def _event_counts(evidence: Evidence) -> Integers:
    return evidence.event_metrics.counts


_event_metric = functools.partial(
    Metric,
    section="event",
    legend=f"event F1: onsets within {1000 * T_COLLAR:g} ms, offsets within {1000 * T_COLLAR:g} ms "
    f"or {100 * PERCENTAGE_OF_LENGTH:g} % of the length of the event",
    function=_event,
    counted=Counted(_event_counts, metrics.f1_figures, metrics.f1_parts),
)
_EVENT = (
    _event_metric(
        key="precision",
        heading="event Pre",
        places=frozenset({Place.EVENT_LIST}),
        interval_in_text=False,
    ),
    _event_metric(
        key="recall",
        heading="event Rec",
        places=frozenset({Place.EVENT_LIST}),
        interval_in_text=False,
    ),
    _event_metric(
        key="f1",
        heading="event F1",
        places=frozenset(
            {Place.EVENT_LIST, Place.PAGE, Place.PAGE_SEEDS, Place.PICTURE, Place.SUMMARY}
        ),
    ),
)

# ---- scores ----


def _psds(evidence: Evidence) -> Figures:
    scores, events = evidence.scores, evidence.truth.events
    if evidence.boxes is not None and events is not None:
        found, _ = psds.measure_boxes(evidence.boxes, events, evidence.durations)
        return found
    if scores is None or scores.frames is None or events is None:
        return {}
    found, _ = psds.measure(
        scores.frames, scores.seconds_per_frame, events, evidence.durations, scores.durations
    )
    return found


def _ranking(evidence: Evidence) -> Figures:
    if evidence.scores is None:
        return {}
    return average_precision.mean_ranking(evidence.class_ranking)


def _ranking_classes(evidence: Evidence) -> Mapping[str, Figures]:
    if evidence.scores is None:
        return {}
    found: dict[str, Figures] = {}
    for label, one in zip(evidence.labels, evidence.class_ranking):
        found[label] = {
            "ap": one["ap"],
            "auc": one["auc"],
            "dprime": one["dprime"],
            "positives": one["positives"],
        }
    return found


_psds_metric = functools.partial(
    Metric,
    section="psds",
    legend="PSDS: over all thresholds",
    places=frozenset({Place.PAGE, Place.PAGE_SEEDS, Place.SUMMARY}),
    interval_in_text=False,
    function=_psds,
)
_PSDS = (
    _psds_metric(key="psds1", heading="PSDS1"),
    _psds_metric(key="psds2", heading="PSDS2"),
)

_RANKING_PLACES = frozenset(
    {Place.TAG_TEXT, Place.PAGE, Place.PAGE_SEEDS, Place.SEED_MEANS, Place.SEED_DIFFERENCES}
)
_mean_metric = functools.partial(
    Metric,
    section="audioset",
    legend="MAP, MAUC: average precision and area under the ROC curve, means over the classes "
    "with positives",
    function=_ranking,
)
_RANKING = (
    _mean_metric(
        key="map",
        heading="MAP",
        places=_RANKING_PLACES | {Place.PICTURE, Place.SUMMARY},
    ),
    _mean_metric(key="mauc", heading="MAUC", places=_RANKING_PLACES),
    Metric(
        section="audioset",
        key="dprime",
        heading="d'",
        legend="d': the distance between the means of two normal distributions of variance 1 whose "
        "area under the ROC curve is MAUC",
        places=_RANKING_PLACES,
        function=_ranking,
    ),
)

# ---- consistency of tags and segments ----


def _consistency(evidence: Evidence) -> Figures:
    if not evidence.has_tags or evidence.decoded.events is None:
        return {}
    return metrics.consistency_figures(_consistency_counts(evidence).sum(axis=0))


def _consistency_counts(evidence: Evidence) -> Integers:
    return metrics.consistency_counts(
        evidence.decoded_tags, evidence.decoded_segments, evidence.clip_of_segment
    )


_consistency_metric = functools.partial(
    Metric,
    section="consistency",
    direction="lower",
    places=frozenset({Place.PAGE_SEEDS, Place.SEED_MEANS, Place.SEED_DIFFERENCES}),
    interval_in_text=False,
    function=_consistency,
    counted=Counted(
        _consistency_counts,
        metrics.consistency_figures,
        metrics.consistency_parts,
        in_report=False,
    ),
)
_CONSISTENCY = (
    _consistency_metric(
        key="segments_without_tag",
        heading="seg w/o tag",
        full_heading="fraction of positive segments whose clip lacks the tag",
        legend="seg w/o tag: the fraction of positive segments whose clip lacks the tag of the "
        "class",
    ),
    _consistency_metric(
        key="tags_without_segment",
        heading="tag w/o seg",
        full_heading="fraction of tags without a segment",
        legend="tag w/o seg: the fraction of tags that have no positive segment of the class "
        "(third criterion of Wang, Li & Metze)",
    ),
)

# In report.json, the sections are in the order in which their metrics are registered here.
for _metric in (*_TAGGING, *_SEGMENT, *_EVENT, *_PSDS, *_RANKING, *_CONSISTENCY):
    METRICS.register(_metric.name)(_metric)

# ---- single classes ----

_CLASS_TABLES = frozenset({Place.CLASS_TEXT, Place.PAGE_CLASSES})
_tag_class_metric = functools.partial(ClassMetric, section="tagging", function=_tagging_classes)
_segment_class_metric = functools.partial(ClassMetric, section="segment", function=_segment_classes)
_event_class_metric = functools.partial(ClassMetric, section="event", function=_event_classes)
_ranking_class_metric = functools.partial(
    ClassMetric, section="audioset", places=_CLASS_TABLES, function=_ranking_classes
)
_TEXT_AND_LIST = frozenset({Place.CLASS_TEXT, Place.EVENT_LIST})
CLASS_METRICS = (
    _tag_class_metric(
        key="precision",
        heading="tag Pre",
        short_heading="Pre",
        places=frozenset({Place.CLASS_TEXT, Place.TAG_LIST}),
    ),
    _tag_class_metric(
        key="recall",
        heading="tag Rec",
        short_heading="Rec",
        places=frozenset({Place.CLASS_TEXT, Place.TAG_LIST}),
    ),
    _tag_class_metric(
        key="f1",
        heading="tag F1",
        short_heading="F1",
        full_heading="tagging F1",
        places=_CLASS_TABLES | {Place.TAG_LIST},
    ),
    _segment_class_metric(
        key="error_rate",
        heading="seg ER",
        short_heading="ER",
        direction="lower",
        places=_TEXT_AND_LIST,
    ),
    _segment_class_metric(
        key="deletion_rate", heading="Del", direction="lower", places=_TEXT_AND_LIST
    ),
    _segment_class_metric(
        key="insertion_rate", heading="Ins", direction="lower", places=_TEXT_AND_LIST
    ),
    _segment_class_metric(
        key="precision",
        heading="Pre",
        full_heading="segment Pre",
        places=_CLASS_TABLES | {Place.EVENT_LIST},
    ),
    _segment_class_metric(
        key="recall",
        heading="Rec",
        full_heading="segment Rec",
        places=_CLASS_TABLES | {Place.EVENT_LIST},
    ),
    _segment_class_metric(
        key="f1",
        heading="seg F1",
        short_heading="F1",
        full_heading="segment F1",
        places=_CLASS_TABLES | {Place.EVENT_LIST},
    ),
    _event_class_metric(key="precision", heading="event Pre", places=frozenset({Place.EVENT_LIST})),
    _event_class_metric(key="recall", heading="event Rec", places=frozenset({Place.EVENT_LIST})),
    _event_class_metric(key="f1", heading="event F1", places=_CLASS_TABLES | {Place.EVENT_LIST}),
    _ranking_class_metric(key="ap", heading="AP"),
    _ranking_class_metric(key="auc", heading="AUC"),
    _ranking_class_metric(key="dprime", heading="d'"),
    _ranking_class_metric(key="positives", heading="clips", direction=None),
)
