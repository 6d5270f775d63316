"""The classes that describe a metric, and the tables and plots that show metrics."""

import dataclasses
import enum
from collections.abc import Callable, Mapping
from typing import Literal

from wsedtk.evaluation import metrics
from wsedtk.evaluation.evidence import Evidence

Direction = Literal["higher", "lower"]
Figures = Mapping[str, float | None]


class Place(enum.Enum):
    """A table or a plot of figures. `wsedtk.evaluation.columns` arranges its columns."""

    EVENT_TEXT = "text table of a folder with events"
    TAG_TEXT = "text table of a folder without events"
    EVENT_LIST = "text table of a list of events"
    TAG_LIST = "text table of a list of tags"
    CLASS_TEXT = "text table of the classes"
    PAGE = "first table of the page, and its table of differences"
    PAGE_SEEDS = "tables over seeds on the page"
    PAGE_CLASSES = "tables of the classes on the page"
    PICTURE = "picture of systems side by side"
    SUMMARY = "model card and `wsedtk info`"
    SEED_MEANS = "means over seeds of bin/compare.py"
    SEED_DIFFERENCES = "differences of bin/compare.py"


AVERAGES = frozenset(Place) - {Place.CLASS_TEXT, Place.PAGE_CLASSES, Place.SUMMARY}


@dataclasses.dataclass(frozen=True)
class Counted:
    """Functions for the intervals of figures that are ratios of sums over clips.

    Attributes
    ----------
    counts : callable
        Returns C counts of each of the N clips of an `Evidence`, (N, C).
    figures : callable
        Returns {key: figure} from the sums (C,) of the counts over clips.
    parts : callable
        Returns {key: (numerators (N,), denominators (N,))} from the counts.
    in_report : bool
        Whether report.json holds the intervals. Comparisons always have intervals.
    """

    counts: Callable[[Evidence], metrics.Counts]
    figures: Callable[[metrics.Counts], metrics.Figures]
    parts: Callable[[metrics.Counts], metrics.Parts]
    in_report: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """The names of a metric, and the places that show it.

    Attributes
    ----------
    section, key : str
        Where report.json holds the figure.
    heading : str
        The heading of its column.
    legend : str
        The text of the legend. If several metrics have the same text, it is shown once. "" if the
        metric has no legend.
    direction : {"higher", "lower"} or None
        Which values are better. None if neither is better.
    full_heading : str
        The heading in tables where nothing else names the section. By default `heading`.
    short_heading : str
        The heading in tables whose main section is the section of the metric. By default `heading`.
    places : frozenset of Place
        The tables and plots that show the metric. By default all tables and plots of averages.
    interval_in_text : bool
        Whether report.txt shows its interval.
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
        """The section and the key, for example "segment.f1"."""
        return f"{self.section}.{self.key}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric(Description):
    """A metric, with one figure for all classes together.

    Attributes
    ----------
    function : callable
        Returns {key: figure} from an `Evidence`, for all metrics of the section. A figure is a
        finite number, or None if it is undefined. If several metrics have the same function, it is
        called once.
    counted : Counted, optional
        The functions for intervals, if the figures of the section are ratios of sums over clips.
        Only built-in metrics have intervals.

    Examples
    --------
    Write this in your own module `my_metrics`:

    >>> def tags_per_clip(evidence):
    ...     return {"tags_per_clip": float(evidence.decoded_tags.sum(axis=1).mean())}
    >>> TAGS_PER_CLIP = Metric(
    ...     section="density",
    ...     key="tags_per_clip",
    ...     heading="tags",
    ...     legend="tags: mean number of decided tags of a clip",
    ...     direction=None,
    ...     function=tags_per_clip,
    ... )

    `wsedtk score --metric my_metrics:TAGS_PER_CLIP` evaluates it.
    """

    function: Callable[[Evidence], Figures]
    counted: Counted | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassMetric(Description):
    """A metric with one figure for each class.

    Attributes
    ----------
    function : callable
        Returns {label: {key: figure}} from an `Evidence`. {} if the figures can't be computed from
        the evidence.
    """

    function: Callable[[Evidence], Mapping[str, Figures]]
