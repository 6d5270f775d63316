"""Average metrics over the seeds of a system, and compute the differences between two systems.

bin/compare.py and the report page show these means and differences.
"""

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from wsedtk.evaluation import average_precision, comparisons, intervals
from wsedtk.evaluation.columns import Column, built_in
from wsedtk.evaluation.intervals import Estimate, SeedDifference, SeedMean
from wsedtk.evaluation.report_data import figure
from wsedtk.evaluation.scored_systems import Scored

Key = tuple[str, str]  # section and key of a metric
_OF_A_SEED = re.compile(r"(.+)\.seed\d+")  # the name of a model directory of compare_pooling.sh
_HIERARCHIES = ("hierarchical", "plain", "nested", "published_all")
# Systems with one of these hierarchies are compared with linear and max pooling in the same
# hierarchy. "" stands for pooling without a hierarchy. "hierarchical" and "published_all" are two
# interpretations of the hierarchical pooling of He, Shen & Zhang.
_READINGS = ("", "hierarchical", "published_all")
NULL = "equals single pooling mathematically, so any difference in this row is random"


class Trainings(NamedTuple):
    """The evaluated folders of one set and mode, without repetitions of the same training run.

    Attributes
    ----------
    kept : list of Scored
        One folder for each training run.
    repeated : list of (Scored, Scored)
        Each folder that is left out, and the kept folder of the same training run.
    """

    kept: list[Scored]
    repeated: list[tuple[Scored, Scored]]


class Pair(NamedTuple):
    """The names of two systems to compare.

    A difference is the value of `system` minus the value of `base`.
    """

    base: str
    system: str


class _Name(NamedTuple):
    """The name of a system, split into two parts.

    `single` is the name of the system without the hierarchy. `hierarchy` is the name of the
    hierarchy of the pooling, or "" if the pooling has no hierarchy.
    """

    single: str
    hierarchy: str


@dataclasses.dataclass(frozen=True)
class Difference:
    """The differences between two systems, one for each metric.

    A difference is the mean over the seeds of `system` minus the mean over the seeds of `base`.

    Attributes
    ----------
    base, system : str
        The names of the two systems.
    figures : dict
        {(section, key): SeedDifference}. A metric is left out if its value is undefined for a seed
        of one of the systems.
    why : str
        A message if there are too few seeds for intervals. Otherwise "".
    """

    base: str
    system: str
    figures: dict[Key, SeedDifference]
    why: str


def _name(one: Scored) -> str:
    """Return the name of the system of a folder, without the ending ".seed<number>"."""
    match = _OF_A_SEED.fullmatch(one.system)
    return match[1] if match else one.system


def trainings(found: Iterable[Scored]) -> Trainings:
    """Select one folder for each training run. All folders must have the same set and mode.

    If two folders of a system have the same model, they count as one training run, and the first
    folder is kept. This happens if run.sh and compare_pooling.sh train with the same seed.
    """
    kept: list[Scored] = []
    repeated: list[tuple[Scored, Scored]] = []
    models: dict[tuple[str, str], Scored] = {}
    for one in found:
        first = one if one.model is None else models.setdefault((_name(one), one.model), one)
        if first is one:
            kept.append(one)
        else:
            repeated.append((one, first))
    return Trainings(kept, repeated)


def by_system(found: Iterable[Scored]) -> dict[str, list[Scored]]:
    """Group folders of one set and mode by system.

    Returns {name: folders}, with one folder for each training run.
    """
    systems: dict[str, list[Scored]] = {}
    for one in trainings(found).kept:
        systems.setdefault(_name(one), []).append(one)
    return systems


def _split(system: str) -> _Name:
    for hierarchy in _HIERARCHIES:
        if system.endswith(f"_{hierarchy}"):
            return _Name(system.removesuffix(f"_{hierarchy}"), hierarchy)
    return _Name(system, "")


def pairs_of(systems: Sequence[str]) -> list[Pair]:
    """Return the pairs of systems to compare.

    There are three kinds of pairs. First, every pooling without a hierarchy is compared with linear
    softmax pooling and with max pooling of the same network, as in Wang, Li & Metze. Second, every
    pooling with the hierarchy "hierarchical" or "published_all" is compared with linear softmax
    pooling (as in He, Shen & Zhang, section 4.1) and with max pooling in the same hierarchy. Third,
    every pooling with a hierarchy is compared with the same pooling without a hierarchy. A pair is
    left out if one of its two systems is missing.

    A system that is in no pair is compared with the first system. If only the first system is in no
    pair, it is compared with the second system.

    Parameters
    ----------
    systems : sequence of str
        Names of the form <network>_<pooling>[_<hierarchy>].
    """
    pairs: list[Pair] = []
    for pooling in ("linear", "max"):
        for system in systems:
            base = _same_with(pooling, system)
            if base is None or base not in systems or base == system:
                continue
            if Pair(system, base) not in pairs:
                pairs.append(Pair(base, system))
    for system in systems:
        single, hierarchy = _split(system)
        if hierarchy and single in systems:
            pairs.append(Pair(single, system))
    first, *others = systems
    for system in others:
        if not any(system in pair for pair in pairs):
            pairs.append(Pair(first, system))
    if others and not any(first in pair for pair in pairs):
        pairs.append(Pair(first, others[0]))
    return pairs


def _same_with(pooling: str, system: str) -> str | None:
    """Return the name of the system with the same network and hierarchy, and the given pooling.

    If the hierarchy is not in `_READINGS`, or if the name has no network, return None.
    """
    single, hierarchy = _split(system)
    network, _, _ = single.rpartition("_")
    if not network or hierarchy not in _READINGS:
        return None
    return "_".join(filter(None, (network, pooling, hierarchy)))


def note_of(base: str, system: str) -> str:
    """Return the note that a table shows for the difference of a pair, or "" for no note."""
    return NULL if _split(system) == (base, "plain") else ""


def estimates(scored: Scored, sections: Collection[str]) -> dict[Key, Estimate | None]:
    """Return the `Estimate` of MAP, MAUC, d' and each metric that is a ratio of sums over clips.

    An `Estimate` is None if the metric value is undefined. The result contains only metrics that
    can be computed from the files of the folder.

    Parameters
    ----------
    scored : Scored
        An evaluated folder that contains a copy of the reference.
    sections : collection of str
        The sections of report.json to compute.
    """
    found: dict[Key, Estimate | None] = {}
    for section, counted in comparisons.counted_sections(scored).items():
        if section in sections:
            parts = counted.parts(counted.counts(scored.evidence))
            for key, (numerators, denominators) in parts.items():
                found[section, key] = intervals.ratio(numerators, denominators)
    if "audioset" in sections:
        for key, estimate in comparisons.ranking_estimates(scored).items():
            found["audioset", key] = estimate
    return found


def means(runs: Sequence[Scored], columns: Iterable[Column]) -> list[SeedMean | None]:
    """Return the mean metric value over seeds, for each column.

    The mean is None if the metric value of at least one seed is None.

    Parameters
    ----------
    runs : sequence of Scored
        One folder for each seed.
    columns : iterable of Column
    """
    found: list[SeedMean | None] = []
    for column in columns:
        values = [figure(one.report, column) for one in runs]
        defined = [value for value in values if value is not None]
        found.append(intervals.over_seeds(defined) if len(defined) == len(values) else None)
    return found


def differences(systems: Mapping[str, Sequence[Scored]], keys: Sequence[Key]) -> list[Difference]:
    """Return a `Difference` for each pair of systems that `pairs_of` returns.

    A difference has an interval only if the folder of every seed contains a copy of the reference.
    For MAP, MAUC and d', the scores of every seed are also needed.

    Parameters
    ----------
    systems : mapping
        {name: folders}, with one folder for each seed. All folders were evaluated on the same
        clips.
    keys : sequence of (section, key)
        The metrics to compare.
    """
    pairs = pairs_of(list(systems))
    known: dict[str, list[dict[Key, Estimate | None]]] = {}
    for name in dict.fromkeys(name for pair in pairs for name in pair):
        known[name] = [_figures(one, keys) for one in systems[name]]
    found = []
    for base, system in pairs:
        figures = {}
        for key in keys:
            ours, theirs = _defined(known[base], key), _defined(known[system], key)
            if len(ours) == len(known[base]) and len(theirs) == len(known[system]):
                figures[key] = intervals.difference_over_seeds(ours, theirs)
        found.append(Difference(base, system, figures, _why(systems[base], systems[system])))
    return found


def _defined(known: Sequence[Mapping[Key, Estimate | None]], key: Key) -> list[Estimate]:
    """Return the `Estimate` of a metric for each seed whose metric value is defined."""
    estimates = [one[key] for one in known]
    return [estimate for estimate in estimates if estimate is not None]


def _figures(scored: Scored, keys: Sequence[Key]) -> dict[Key, Estimate | None]:
    """Return the `Estimate` of each metric, or None if the metric value is undefined.

    If a metric value can only be read from report.json, its `Estimate` has no influences.
    """
    sections = {section for section, _ in keys}
    exact = estimates(scored, sections) if scored.has_reference else {}
    found: dict[Key, Estimate | None] = {}
    for section, key in keys:
        value = figure(scored.report, Column("", section, key))
        found[section, key] = exact.get((section, key))
        if found[section, key] is None and value is not None:
            found[section, key] = Estimate(value, value, None)
    return found


def why_no_interval(runs: Iterable[Scored], section: str) -> str:
    """Return the reason why the differences between two systems have no intervals.

    The reason is valid for the metrics of one section.

    Parameters
    ----------
    runs : iterable of Scored
        The folders of all seeds of both systems.
    section : str
        The section of report.json that contains these metrics.
    """
    supported = {metric.section for metric in built_in() if metric.counted is not None}
    if section not in supported | {"audioset"}:
        return "intervals are not supported for these metrics"
    runs = list(runs)
    for one in runs:
        if not one.has_reference:
            return f"the folder of {one.system} lacks a copy of the reference; score it again"
        if section == "audioset" and one.scores is None:
            return (
                f"the scores of {one.system} are missing or do not match its report; predict, "
                "decode and score again"
            )
    reason = None
    if section == "audioset":
        reason = average_precision.why_no_interval(runs[0].truth.clips_per_class())
    return reason or "a metric value is undefined if one of the clips is left out"


def _why(*systems: Sequence[Scored]) -> str:
    """Return a message if one of two systems has too few seeds for intervals. Otherwise "".

    Parameters
    ----------
    systems : sequences of Scored
        The folders of each system, one folder for each seed.
    """
    fewest = min(map(len, systems))
    if fewest >= intervals.MIN_SEEDS:
        return ""
    count = f"{fewest} seed" + ("s do" if fewest > 1 else " does")
    return (
        f"{count} not show the variation over seeds; intervals need at least "
        f"{intervals.MIN_SEEDS} seeds of each system"
    )
