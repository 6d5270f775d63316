"""Compute the metric values of report.json from an `Evidence`.

In the shapes, N is the number of clips and R is the number of bootstrap resamples.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from wsedtk.core.errors import InputError
from wsedtk.core.types import Floats
from wsedtk.evaluation import average_precision, bootstrap, metrics
from wsedtk.evaluation.columns import (
    OWN_METRICS,
    built_in,
    checked_figure,
    descriptions_to_json,
)
from wsedtk.evaluation.evidence import Evidence
from wsedtk.evaluation.metric import Figures, Metric
from wsedtk.evaluation.metric_list import CLASS_METRICS


def measure(
    report: dict[str, Any],
    evidence: Evidence,
    weights: Floats | None = None,
    own: Sequence[Metric] = (),
) -> None:
    """Add to a report all metric values that can be computed from the evidence.

    Parameters
    ----------
    report : dict
        The result of `wsedtk.evaluation.report_data.empty_report`. It is changed in place.
    evidence : Evidence
        The inputs of the metrics.
    weights : (R, N) float32, optional
        The result of `wsedtk.evaluation.bootstrap.clip_weights`. By default no intervals are
        computed.
    own : sequence of Metric
        User-defined metrics.

    Raises
    ------
    InputError
        If the function of a user-defined metric raises an exception or returns invalid values.
    """
    _measure_averages(report, evidence, weights)
    for section, function in {one.section: one.function for one in CLASS_METRICS}.items():
        for label, figures in function(evidence).items():
            report["classes"][label][section] = dict(figures)
    _measure_baselines(report, evidence)
    if evidence.truth.events is not None:
        lasting = metrics.drop_zero_length(evidence.truth.events)
        report["zero_length_reference_events"] = len(evidence.truth.events) - len(lasting)
    if evidence.has_psds:
        report["psds_classes"] = len(np.unique(evidence.true_events.label))
    if own:
        _measure_own(report, evidence, own)


def _measure_averages(report: dict[str, Any], evidence: Evidence, weights: Floats | None) -> None:
    """Add the values of the built-in metrics, and their intervals if `weights` is given."""
    for section, metric in {metric.section: metric for metric in built_in()}.items():
        figures = metric.function(evidence)
        if not figures:
            continue
        report[section] = dict(figures)
        if weights is not None:
            for key, ends in _intervals(metric, evidence, weights).items():
                report[section][f"{key}_ci"] = ends


def _intervals(metric: Metric, evidence: Evidence, weights: Floats) -> bootstrap.Intervals:
    """Return {key: interval} of all metrics in the section of a metric.

    If the metrics of this section have no intervals, return {}.
    """
    if metric.section == "audioset" and evidence.scores is not None:
        return average_precision.ranking_intervals(evidence.scores.clip, evidence.true_tags)
    if metric.counted is None or not metric.counted.in_report:
        return {}
    counts = metric.counted.counts(evidence)
    return bootstrap.intervals(metric.counted.figures, weights, counts)


def _measure_baselines(report: dict[str, Any], evidence: Evidence) -> None:
    """Add the metric values of the baselines."""
    truth = None
    if evidence.has_events:
        truth = metrics.Activity(evidence.true_segments, evidence.clip_of_segment)
    found = metrics.baselines(evidence.true_tags, evidence.decoded_tags, truth)
    for name, sections in found.items():
        if not evidence.has_tags:
            del sections["tagging"]
        report["baselines"][name].update(sections)


def _measure_own(report: dict[str, Any], evidence: Evidence, own: Sequence[Metric]) -> None:
    """Add the values of user-defined metrics, and the descriptions of these metrics."""
    results: dict[Callable[[Evidence], Figures], Figures] = {}
    for metric in own:
        where = f"metric {metric.name!r}"
        if metric.function not in results:
            try:
                results[metric.function] = metric.function(evidence)
            except Exception as error:  # a user-defined function may raise any exception
                raise InputError(
                    f"{where}: its function raised {type(error).__name__}: {error}; correct the "
                    "function (--verbose shows the traceback)"
                ) from error
        figures = results[metric.function]
        if not isinstance(figures, Mapping):
            raise InputError(
                f"{where}: its function returned {type(figures).__name__}; "
                "expected a mapping of keys to values"
            )
        if metric.key not in figures:
            raise InputError(
                f"{where}: its function returned the keys {list(figures)}; expected the key "
                f"{metric.key!r} (with the value None if the metric is undefined)"
            )
        value = checked_figure(figures.get(metric.key), where)
        report.setdefault(metric.section, {})[metric.key] = value
    report[OWN_METRICS] = descriptions_to_json(own)
