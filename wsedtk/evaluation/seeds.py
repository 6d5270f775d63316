"""Systems that were trained with several seeds: means over the seeds, differences of these means.

bin/compare.py and the report page show them. N clips, K classes.
"""

import dataclasses
import re

from wsedtk.evaluation import (
    average_precision,
    comparisons,
    intervals,
    metrics,
    report_data,
    sed_eval_metrics,
)

_OF_A_SEED = re.compile(r"(.+)\.seed\d+")  # a model directory, as compare_pooling.sh names them
_HIERARCHIES = ("hierarchical", "plain", "nested", "published_all")
_READINGS = ("", "hierarchical", "published_all")  # single pooling, He's hierarchical one as read
CONSISTENCY = [
    ("seg w/o tag", "consistency", "segments_without_tag"),
    ("tag w/o seg", "consistency", "tags_without_segment"),
]
CONSISTENCY_LEGEND = (
    "seg w/o tag: the share of a system's positive segments in clips without its tag; "
    "tag w/o seg: the share of its tags without a positive segment "
    "(Wang, Li & Metze's third criterion)"
)
NULL = (
    "equals single pooling by algebra, so this row is the null of the claim for hierarchical "
    "pooling: whatever it differs by is noise"
)


def _name(one):
    """Return the name of a Scored folder's system without its seed."""
    match = _OF_A_SEED.fullmatch(one.system)
    return match[1] if match else one.system


def trainings(found):
    """Split Scored folders of one set and mode into one for each training, and the others.

    Two folders of one system whose model directories hold the same model are one training, as that
    of run.sh and that of compare_pooling.sh with the same seed are. Returns ([Scored], [(Scored
    that is left out, the one that stands for it)]).
    """
    kept, repeated, models = [], [], {}
    for one in found:
        first = one if one.model is None else models.setdefault((_name(one), one.model), one)
        if first is one:
            kept.append(one)
        else:
            repeated.append((one, first))
    return kept, repeated


def by_system(found):
    """Group Scored folders of one set and mode by system: {system: [Scored, one a training]}."""
    systems = {}
    for one in trainings(found)[0]:
        systems.setdefault(_name(one), []).append(one)
    return systems


def _split(system):
    """Return a name as (the single-pooling system's name, its hierarchy or "")."""
    for hierarchy in _HIERARCHIES:
        if system.endswith(f"_{hierarchy}"):
            return system.removesuffix(f"_{hierarchy}"), hierarchy
    return system, ""


def pairs_of(systems):
    """Return the pairs (base, system) of names that are compared.

    They are those that the papers make claims about: every pooling with linear softmax and with max
    pooling of the same network (Wang, Li & Metze), hierarchical poolings with linear softmax in the
    same reading too (He, Shen & Zhang, section 4.1), every hierarchy with the same pooling without
    one. Names are <network>_<pooling>[_<hierarchy>]. A system that no such pair holds is compared
    with the first one.
    """
    pairs = []
    for base in ("linear", "max"):
        for system in systems:
            single, hierarchy = _split(system)
            network, _, pooling = single.rpartition("_")
            other = "_".join(filter(None, (network, base, hierarchy)))
            if (
                network
                and hierarchy in _READINGS
                and pooling != base
                and other in systems
                and (system, other) not in pairs
            ):
                pairs.append((other, system))
    for system in systems:
        single, hierarchy = _split(system)
        if hierarchy and single in systems:
            pairs.append((single, system))
    first, *others = systems
    for system in others:
        if not any(system in pair for pair in pairs):
            pairs.append((first, system))
    if others and not any(first in pair for pair in pairs):
        pairs.append((first, others[0]))
    return pairs


def note_of(base, system):
    """Return what a table must say beside system - base; "" where nothing."""
    return NULL if _split(system) == (base, "plain") else ""


def estimates(scored, sections):
    """Return {(section, key): `intervals.Estimate`} of a Scored folder that has its reference.

    sections: those of report.json that are needed, of tagging, segment, event, consistency,
    audioset.
    """
    truth, decoded = scored.truth, scored.decoded
    tags, said, parts = truth.tag_matrix(), decoded.tag_matrix(), {}
    if "tagging" in sections:
        parts["tagging"] = metrics.f1_parts(report_data.tag_counts(tags, said))
    if "segment" in sections and scored.has_events:
        counts = comparisons.segment_counts(scored)
        parts["segment"] = {**metrics.error_rate_parts(counts), **metrics.f1_parts(counts[:, 4:])}
    if "event" in sections and scored.has_events:
        events = report_data.scored_events(truth, decoded)
        parts["event"] = metrics.f1_parts(
            sed_eval_metrics.event_counts(*events, truth.durations, truth.labels)
        )
    if "consistency" in sections and decoded.events is not None:
        counts = metrics.consistency_counts(said, *report_data.decoded_segments(truth, decoded))
        parts["consistency"] = metrics.consistency_parts(counts)
    found = {
        (section, key): intervals.ratio(*part)
        for section, keys in parts.items()
        for key, part in keys.items()
    }
    ranked = comparisons.ranking_estimates(scored) if "audioset" in sections else {}
    return {**found, **{("audioset", key): one for key, one in ranked.items()}}


@dataclasses.dataclass(frozen=True)
class Difference:
    """One system less another: means over their seeds.

    figures: {(section, key): (difference, [low, high] or None)} of the measures that every seed of
    both has; why: why there are no intervals, "" where there are.
    """

    base: str
    system: str
    figures: dict
    why: str


def means(runs, columns):
    """Return (mean, half of the 95 % interval or None) over seeds of a system's reports a column.

    None for a column that a seed has no figure of. runs: [Scored]; columns: (header, section, key).
    """
    found = []
    for _, section, key in columns:
        values = [one.report[section][key] for one in runs]
        found.append(None if None in values else intervals.over_seeds(values))
    return found


def differences(systems, keys):
    """Return a Difference for each of `pairs_of` the systems.

    systems: {name: [Scored, one a seed]}, all on the same clips; keys: the (section, key) that are
    compared. Estimates need the reference, and for MAP, MAUC and d' the scores, of every seed.
    """
    pairs = pairs_of(list(systems))
    known, found = {}, []
    for name in dict.fromkeys(name for pair in pairs for name in pair):
        known[name] = [_figures(one, keys) for one in systems[name]]
    for base, system in pairs:
        figures = {}
        for key in keys:
            ours, theirs = ([one[key] for one in known[name]] for name in (base, system))
            if None not in ours + theirs:
                figures[key] = intervals.difference_over_seeds(ours, theirs)
        found.append(Difference(base, system, figures, _why(systems[base], systems[system])))
    return found


def _figures(scored, keys):
    """Return {key: Estimate or None}; where only the report has a figure, it has no influences."""
    sections = {section for section, _ in keys}
    exact, found = estimates(scored, sections) if scored.has_reference else {}, {}
    for section, key in keys:
        value, found[section, key] = scored.report[section][key], exact.get((section, key))
        if found[section, key] is None and value is not None:
            found[section, key] = intervals.Estimate(value, value, None)
    return found


def why_no_interval(runs, section):
    """Say why a difference between Scored folders has no interval of the figures of a section."""
    for one in runs:
        if not one.has_reference:
            return f"the reference of {one.system} is gone; score it again"
        if section == "audioset" and one.scores is None:
            return f"the scores of {one.system} are gone; predict them again"
    reason = None
    if section == "audioset":
        reason = average_precision.why_no_interval(runs[0].truth.clips_per_class())
    return reason or "without one of the clips a figure is undefined"


def _why(*systems):
    """Say why there is no interval of the difference of two systems, each [Scored]; "" if so."""
    fewest = min(map(len, systems))
    if fewest >= intervals.MIN_SEEDS:
        return ""
    count = f"{fewest} seed" + ("s do" if fewest > 1 else " does")
    return (
        f"{count} not tell how far trainings differ; intervals need at least "
        f"{intervals.MIN_SEEDS} of each system"
    )
