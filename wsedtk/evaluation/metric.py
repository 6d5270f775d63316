"""The classes that describe metrics, and the list of tables and plots that show metrics."""

import dataclasses
import enum
from collections.abc import Callable, Mapping
from typing import Literal

from wsedtk.evaluation import metrics
from wsedtk.evaluation.evidence import Evidence

Direction = Literal["higher", "lower"]
Figures = Mapping[str, float | None]


class Place(enum.Enum):
    """A group of tables or plots that all show the same metrics.

    `wsedtk.evaluation.metric_list` defines the headings of each metric.
    `wsedtk.evaluation.columns` defines the order of the columns, and which headings they use.
    """

    EVENT_TEXT = "first table of report.txt if events were evaluated"
    TAG_TEXT = "first table of report.txt if only tags were evaluated"
    EVENT_LIST = "text tables for a list of events"
    TAG_LIST = "text tables for a list of tags"
    CLASS_TEXT = "tables of the classes in report.txt"
    PAGE = "first table and table of differences on the report page"
    PAGE_SEEDS = "tables of means over seeds on the report page"
    PAGE_CLASSES = "tables of the classes on the report page"
    PICTURE = "plot that compares the systems on the report page"
    SUMMARY = "model card and `wsedtk info`"
    SEED_MEANS = "means over seeds in the tables of bin/compare.py"
    SEED_DIFFERENCES = "differences in the tables of bin/compare.py"


AVERAGES = frozenset(Place) - {Place.CLASS_TEXT, Place.PAGE_CLASSES, Place.SUMMARY}


@dataclasses.dataclass(frozen=True)
class Counted:
    """Functions for the intervals of metrics that are ratios of sums over clips.

    Attributes
    ----------
    counts : callable
        A function that returns C counts for each of the N clips of an `Evidence`, (N, C).
    figures : callable
        A function that returns {key: value} from the sums (C,) of the counts over clips.
    parts : callable
        A function that returns {key: (numerators (N,), denominators (N,))} from the counts (N, C).
    in_report : bool
        Whether report.json contains intervals of these metrics. If it is False, differences of
        these metrics between two systems can still have intervals.
    """

    counts: Callable[[Evidence], metrics.Counts]
    figures: Callable[[metrics.Counts], metrics.Figures]
    parts: Callable[[metrics.Counts], metrics.Parts]
    in_report: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """The names of a metric, and the tables and plots that show it.

    Of the attributes of a user-defined metric, report.json contains only `section`, `key`,
    `heading`, `legend` and `direction`. Tables and plots use the default values of the other
    attributes.

    Attributes
    ----------
    section, key : str
        The keys of the metric value in report.json: report[section][key]. `ClassMetric` describes
        the keys of the values of a class.
    heading : str
        The heading of the column of the metric.
    legend : str
        The text that explains the metric to readers of a table. If several metrics of a table have
        the same legend, it is shown once. "" if the metric has no legend.
    direction : {"higher", "lower"} or None
        Whether higher or lower values are better. None if neither is better.
    full_heading : str
        A longer heading. It is used in the model card, in `wsedtk info`, in the tables of the
        classes on the report page and, for the section "consistency", in the notes of report.txt.
        By default `heading`.
    short_heading : str
        A shorter heading, for tables that mainly show metrics of the same section. By default
        `heading`.
    places : frozenset of Place
        The tables and plots that show the metric. By default all tables and plots that show one
        value for all classes together, except the model card and `wsedtk info`.
    interval_in_text : bool
        Whether the tables in report.txt show the interval of the metric value.
    """

    section: str
    key: str
    heading: str
    legend: str = ""
    direction: Direction | None = "higher"
    full_heading: str = ""
    short_heading: str = ""
    places: frozenset[Place] = AVERAGES
    interval_in_text: bool = True

    @property
    def name(self) -> str:
        """The section and the key, joined by a dot. For example "segment.f1"."""
        return f"{self.section}.{self.key}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric(Description):
    """A metric that has one value for all classes together.

    Attributes
    ----------
    function : callable
        A function that returns {key: value} from an `Evidence`. A value is a finite number, or None
        if it is undefined. The function of a user-defined metric must return at least the key of
        this metric. The function of a built-in metric returns the values of all metrics of its
        section, or {} if they can't be computed from the evidence. If several metrics have the same
        function, it is called once.
    counted : Counted, optional
        Functions that compute the intervals of the metrics of the section. None if these metrics
        are not ratios of sums over clips. It is ignored for user-defined metrics, which have no
        intervals.

    Examples
    --------
    Write this code in your own module `my_metrics`:

    >>> def tags_per_clip(evidence):
    ...     return {"tags_per_clip": float(evidence.decoded_tags.sum(axis=1).mean())}
    >>> TAGS_PER_CLIP = Metric(
    ...     section="density",
    ...     key="tags_per_clip",
    ...     heading="tags",
    ...     legend="tags: mean number of decoded tags per clip",
    ...     direction=None,
    ...     function=tags_per_clip,
    ... )

    `wsedtk score --metric my_metrics:TAGS_PER_CLIP` adds this metric to the report.
    """

    function: Callable[[Evidence], Figures]
    counted: Counted | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassMetric(Description):
    """A metric that has one value for each class.

    In report.json, the value of a class is report["classes"][label][section][key].

    Attributes
    ----------
    function : callable
        A function that returns {label: {key: value}} from an `Evidence`. It returns {} if the
        values can't be computed from the evidence.
    """

    function: Callable[[Evidence], Mapping[str, Figures]]
