"""The report of an evaluation, as dataclasses for the sections of report.json.

Metric values are fractions, not percentages. A metric value is None if it was not computed or is
undefined.
"""

import dataclasses
import functools
import typing
from collections.abc import Mapping
from typing import Any

from wsedtk.evaluation import columns, report_data, report_text
from wsedtk.evaluation.metric import Description

Interval = tuple[float, float]
Intervals = Mapping[str, Interval | None]
_CI = "_ci"  # the suffix of the key of an interval in report.json


@dataclasses.dataclass(frozen=True)
class F1:
    """Precision, recall and F1 of tags or of events.

    Attributes
    ----------
    precision, recall, f1 : float or None
    intervals : mapping of str to (low, high) or None
        The 95 % bootstrap interval over clips for each of these metrics. Empty if no intervals were
        computed.
    """

    precision: float | None
    recall: float | None
    f1: float | None
    intervals: Intervals = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassSegments:
    """Metrics of one class in 1 s segments.

    Substitutions need two classes, so the metrics of one class have no substitution rate.
    """

    error_rate: float | None
    deletion_rate: float | None
    insertion_rate: float | None
    precision: float | None
    recall: float | None
    f1: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Segments:
    """Metrics in 1 s segments for all classes together (micro-averaged).

    Attributes
    ----------
    error_rate : float or None
        The sum of the substitution, deletion and insertion rates.
    substitution_rate, deletion_rate, insertion_rate : float or None
    precision, recall, f1 : float or None
    intervals : mapping of str to (low, high) or None
        The 95 % bootstrap interval over clips for each of these metrics. Empty if no intervals were
        computed.
    """

    error_rate: float | None
    substitution_rate: float | None
    deletion_rate: float | None
    insertion_rate: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    intervals: Intervals = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Psds:
    """The polyphonic sound detection scores (PSDS) of both DCASE scenarios, from frame scores."""

    psds1: float | None
    psds2: float | None


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Mean average precision, mean area under the ROC curve, and d', from clip scores.

    Attributes
    ----------
    map, mauc, dprime : float or None
    intervals : mapping of str to (low, high) or None
        The 95 % interval over clips for each of these metrics. Empty if no intervals were computed.
    """

    map: float | None
    mauc: float | None
    dprime: float | None
    intervals: Intervals = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ClassRanking:
    """Average precision, area under the ROC curve and d' of one class, from clip scores.

    `positives` is the number of positive clips of the class.
    """

    ap: float | None
    auc: float | None
    dprime: float | None
    positives: int | None


@dataclasses.dataclass(frozen=True)
class Consistency:
    """The consistency between the tags and the segments of a system.

    Attributes
    ----------
    segments_without_tag : float or None
        A pair of a segment and a class is active if a decoded event of the class overlaps the
        segment. The value is the fraction of active pairs for which the class is not a decoded tag
        of the clip.
    tags_without_segment : float or None
        The fraction of the decoded tags whose class is active in no segment of the clip.
    """

    segments_without_tag: float | None
    tags_without_segment: float | None


@dataclasses.dataclass(frozen=True)
class ClassReport:
    """The metric values of one class."""

    tagging: F1
    segment: ClassSegments
    event: F1
    audioset: ClassRanking


@dataclasses.dataclass(frozen=True)
class Baseline:
    """The metric values of a baseline (see `metrics.baseline_tags`)."""

    tagging: F1
    segment: Segments


@dataclasses.dataclass(frozen=True)
class Clips:
    """The clips of an evaluation.

    Attributes
    ----------
    scored : int
        The number of clips that were evaluated.
    official : int
        The official number of clips of the set, including clips that could not be obtained. If the
        set has no official list, or if lists were evaluated, it is the number of clips of the
        reference.
    is_official : bool or None
        Whether `official` is the number of clips of an official list. None for reports of older
        versions.
    fingerprint : str or None
        A hash of the names of the evaluated clips.
    tuned_on_these : bool or None
        Whether the thresholds were tuned on the scores of these clips. None for lists of tags or
        events.
    """

    scored: int
    official: int
    is_official: bool | None
    fingerprint: str | None
    tuned_on_these: bool | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """The result of `wsedtk.evaluate`.

    Attributes
    ----------
    tagging : F1
        The metrics of tags for all classes together (micro-averaged).
    segment : Segments
        The metrics in 1 s segments for all classes together (micro-averaged).
    event : F1
        The metrics of events for all classes together (micro-averaged).
    psds : Psds
        The polyphonic sound detection scores.
    psds_classes : int or None
        The number of classes from which PSDS is computed. None if PSDS was not computed.
    zero_length_reference_events : int or None
        The number of reference events of length zero, which are not evaluated. None if the
        reference has only tags.
    audioset : Ranking
        Mean average precision, mean area under the ROC curve, and d', from clip scores.
    consistency : Consistency
        The consistency between the tags and the segments of the system.
    classes : mapping of str to ClassReport
        The metric values of each class.
    baselines : mapping of str to Baseline
        The metric values of the baselines "nothing", "everything", "system_tags" and "true_tags"
        (see `metrics.baseline_tags`).
    clips : Clips
    made_from : mapping
        Fingerprints of the inputs, and the version and commit of wsedtk.
    own_metrics : tuple of Description
        The user-defined metrics.
    further : mapping of section to {key: value}
        The values of user-defined metrics, and of built-in metrics that have no attribute in these
        dataclasses.
    title : str
        The first words of the text that `to_text` returns.
    layout : {"folder", "tags", "events"}
        What was evaluated: a decoded folder, a list of tags or a list of events. It determines the
        tables of the text.
    """

    tagging: F1
    segment: Segments
    event: F1
    psds: Psds
    psds_classes: int | None
    zero_length_reference_events: int | None
    audioset: Ranking
    consistency: Consistency
    classes: Mapping[str, ClassReport]
    baselines: Mapping[str, Baseline]
    clips: Clips
    made_from: Mapping[str, str | None]
    own_metrics: tuple[Description, ...] = dataclasses.field(metadata={"in_json": False})
    further: Mapping[str, Mapping[str, float | None]] = dataclasses.field(
        metadata={"in_json": False}
    )
    title: str = dataclasses.field(metadata={"in_json": False})
    layout: report_text.Layout = dataclasses.field(metadata={"in_json": False})

    @classmethod
    def from_dict(
        cls, mapping: Mapping[str, Any], title: str, layout: report_text.Layout
    ) -> "Report":
        """Return a `Report` with the content of a report.json.

        If an older version of wsedtk wrote the file, the values of newer metrics are None.

        Parameters
        ----------
        mapping : mapping
            The content of report.json.
        title : str
            The first words of the text that `to_text` returns.
        layout : {"folder", "tags", "events"}
            What was evaluated: a decoded folder, a list of tags or a list of events.

        Raises
        ------
        InputError
            If the mapping is not the content of a report.json.
        """
        complete = report_data.completed(mapping)
        kinds = _json_fields(typing.cast(Any, cls))
        read = {name: _read(complete[name], kind) for name, kind in kinds.items()}
        own = tuple(columns.own_metrics(complete))
        further: dict[str, dict[str, float | None]] = {}
        for metric in (*columns.built_in(), *own):
            kind = kinds.get(metric.section)
            if kind is None or metric.key not in _json_fields(kind):
                figure = complete[metric.section].get(metric.key)
                further.setdefault(metric.section, {})[metric.key] = figure
        return cls(**read, own_metrics=own, further=further, title=title, layout=layout)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of report.json as nested dicts.

        The interval of the metric `<key>` has the key `<key>_ci`.
        """
        written: dict[str, Any] = _write(self)
        for section, figures in self.further.items():
            written.setdefault(section, {}).update(figures)
        if self.own_metrics:
            written[columns.OWN_METRICS] = columns.descriptions_to_json(self.own_metrics)
        return written

    def to_text(self) -> str:
        """Return the tables and notes as text.

        For a decoded folder, this text is the content of report.txt.
        """
        return "".join(report_text.parts(self.to_dict(), self.title, self.layout))


@functools.cache
def _json_fields(section: Any) -> dict[str, Any]:
    """Return {name: type} of the fields of a dataclass that are in report.json."""
    types = typing.get_type_hints(section)
    fields = [f for f in dataclasses.fields(section) if f.metadata.get("in_json", True)]
    return {field.name: types[field.name] for field in fields}


def _read(value: Any, kind: Any) -> Any:
    """Convert a value in report.json to the type of a field of a dataclass."""
    if dataclasses.is_dataclass(kind):
        return _read_section(value, kind)
    of_values = typing.get_args(kind)[1:]  # if kind is Mapping[str, X], this is (X,)
    if isinstance(value, dict) and of_values and dataclasses.is_dataclass(of_values[0]):
        return {key: _read(inner, of_values[0]) for key, inner in value.items()}
    return value


def _read_section(values: Mapping[str, Any], section: Any) -> Any:
    intervals, figures = {}, {}
    kinds = _json_fields(section)
    for key, value in values.items():
        if key.endswith(_CI):
            intervals[key.removesuffix(_CI)] = None if value is None else tuple(value)
        elif key in kinds:
            figures[key] = _read(value, kinds[key])
    return section(**figures, **({"intervals": intervals} if "intervals" in kinds else {}))


def _write(value: Any) -> Any:
    """Convert a dataclass, or a mapping of dataclasses, to the form that report.json contains.

    A value of any other type is returned unchanged.
    """
    if isinstance(value, Mapping):
        return {key: _write(inner) for key, inner in value.items()}
    if not dataclasses.is_dataclass(value):
        return value
    names = _json_fields(typing.cast(Any, type(value)))
    written = {name: _write(getattr(value, name)) for name in names}
    for key, ends in written.pop("intervals", {}).items():
        written[key + _CI] = None if ends is None else list(ends)
    return written
