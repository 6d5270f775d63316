"""A metric: its names, its legend, its direction, its function, and where it is shown."""

import dataclasses
import enum
from collections.abc import Callable, Mapping
from typing import Literal

from wsedtk.evaluation import metrics
from wsedtk.evaluation.evidence import Evidence

Direction = Literal["higher", "lower"]
Figures = Mapping[str, float | None]


class Place(enum.Enum):
    """A table or a picture of figures. `wsedtk.evaluation.columns` arranges each."""

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
    """Figures that are ratios of sums over clips, for intervals.

    Attributes
    ----------
    counts : callable
        Returns the counts (N, C) of the N clips of an `Evidence`.
    figures : callable
        Returns {key: figure} of the sum (C,) of the counts.
    parts : callable
        Returns {key: (numerators (N,), denominators (N,))} of the counts.
    in_report : bool
        Whether report.json holds the intervals. Comparisons have them in any case.
    """

    counts: Callable[[Evidence], metrics.Counts]
    figures: Callable[[metrics.Counts], metrics.Figures]
    parts: Callable[[metrics.Counts], metrics.Parts]
    in_report: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """How a metric is named and shown.

    Attributes
    ----------
    section, key : str
        Where report.json holds the figure.
    heading : str
        The heading of its column.
    legend : str
        What a legend says about it. Metrics with the same legend share it. "" for none.
    direction : {"higher", "lower"} or None
        Which values are better. None if neither is.
    full_heading : str
        The heading where nothing else names the section. By default the heading.
    short_heading : str
        The heading in tables of its section alone. By default the heading.
    places : frozenset of Place
        Where it is shown. By default in every table of averages.
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
        """Section and key, for example "segment.f1"."""
        return f"{self.section}.{self.key}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric(Description):
    """A metric, with one figure for all classes together.

    Attributes
    ----------
    function : callable
        Returns {key: figure} of an `Evidence`, for all metrics of the section. A figure is a finite
        number, or None if it is undefined. Metrics with the same function share one call.
    counted : Counted, optional
        For intervals, if the figures of the section are ratios of sums over clips. Only metrics of
        the package have intervals.

    Examples
    --------
    In a module `my_metrics` of your own:

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
    """A metric of single classes.

    Attributes
    ----------
    function : callable
        Returns {label: {key: figure}} of an `Evidence`. {} if it can't be computed from the
        evidence.
    """

    function: Callable[[Evidence], Mapping[str, Figures]]
