"""Figures of a report page: poolings, curves, errors, training.

N clips, K classes.
"""

import html

import numpy as np

from wsedtk.core.config import read_yaml
from wsedtk.core.errors import InputError
from wsedtk.evaluation import average_precision, comparisons, report_data
from wsedtk.report import plots
from wsedtk.report.clip_pages import MAX_SYSTEMS
from wsedtk.report.page import breakable, table
from wsedtk.report.score_tables import COLUMNS

MOST_PANELS = 20  # classes whose curves are drawn; of more the best and the worst
NUM_WORST = 15  # classes in the picture of errors, those with the most
NUM_NAMED = 3  # classes named in a table's cell
# The measures of the picture that compares poolings.
FOREST = ("tag F1", "seg F1", "ER", "event F1", "MAP")


def one_a_system(group):
    """Of each system the folder that was decoded from frames, else its first."""
    chosen = {}
    for one in group:
        if one.system not in chosen or one.by_frames:
            chosen[one.system] = one
    return list(chosen.values())


def read_history(path):
    try:
        lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
        history = {name: [float(row[i]) for row in lines[1:]] for i, name in enumerate(lines[0])}
    except (OSError, ValueError, IndexError):
        history = {}
    if not set(plots.HISTORY) <= set(history):
        raise InputError(f"{path}: not a training history")
    return history


def _pooling(folder):
    """The pooling, and its hierarchy, that a model directory names; empty where it is none."""
    path = folder / "model.yaml"
    described = read_yaml(path) if path.exists() else None
    found = (
        [described.get(key) for key in ("pooling", "hierarchy")]
        if isinstance(described, dict)
        else []
    )
    return ", ".join(str(name) for name in found if name)


def pooling_figure(group, poolings):
    """The systems of one set and mode beside each other, with their intervals. poolings: {system: its pooling}."""
    columns = [
        c for c in report_data.measured(COLUMNS, [one.report for one in group]) if c[0] in FOREST
    ]
    systems = [
        (
            one.system,
            poolings[one.system],
            [
                (one.report[section][key], *(one.report[section].get(f"{key}_ci") or (None, None)))
                for _, section, key in columns
            ],
        )
        for one in group
    ]
    return plots.pooling_comparison([name for name, *_ in columns], systems)


def add_poolings(page, found, systems):
    """Where there are several systems: a picture a set and mode of their figures with intervals."""
    poolings = {name: _pooling(folder) for name, folder in systems.items()}
    groups = {}
    for one in found:
        groups.setdefault((one.set, one.mode), []).append(one)
    for (name, mode), group in groups.items():
        if len(group) > 1:
            page.figure(
                f"{name}/{mode}: poolings",
                pooling_figure(group, poolings),
                caption=f"{html.escape(f'{name}/{mode}')}: each system and its pooling; the bars are 95 % intervals over clips.",
            )


def _curve(system, values, truth):
    """A curve of `plots.precision_recall`. values: (N,); truth: (N,) booleans."""
    precision, recall = comparisons.thinned(*average_precision.precision_recall(values, truth))
    return system, recall, precision, f"AP {average_precision.average_precision(values, truth):.3f}"


def _panels(one, occurring, section):
    """The classes, of those that occur, that are drawn: all, or the best and the worst by F1; and how a caption calls them."""
    if len(occurring) <= MOST_PANELS:
        return occurring, "every class that occurs"
    by_f1 = sorted(
        occurring, key=lambda k: -(one.report["classes"][one.labels[k]][section]["f1"] or 0)
    )
    return by_f1[: MOST_PANELS // 2] + by_f1[
        -MOST_PANELS // 2 :
    ], f"the best and the worst by F1 of {len(occurring)} classes that occur"


def add_curves(page, group):
    """Precision over recall of clips, and of 1 s segments, for the classes of one set. group: a folder a system."""
    group = [one for one in group if one.scores is not None][:MAX_SYSTEMS]
    if not group:
        return
    first = group[0]
    ranked = report_data.extreme_classes(first.report)
    chosen = (
        [first.labels.index(label) for part in ranked[1:] for label in part]
        if ranked
        else range(len(first.labels))
    )
    classes, which = _panels(
        first, [k for k in chosen if first.truth.clips_per_class()[k]], "tagging"
    )
    if not classes:
        return
    tags, names = first.truth.tag_matrix(), [one.system for one in group]
    points = [comparisons.operating_points(one, classes) for one in group]
    panels = []
    for i, k in enumerate(classes):
        curves = [
            _curve(s, one.scores.clip[one.rows, k], tags[:, k]) for s, one in enumerate(group)
        ]
        panels.append(
            (
                first.labels[k],
                curves,
                [(s, 0, *found[i][::-1]) for s, found in enumerate(points) if found[i]],
            )
        )
    which = (
        f"the best and the worst of {len(first.labels)} classes by {ranked[0]}" if ranked else which
    )
    page.figure(
        f"{first.set}: precision and recall of tags",
        plots.precision_recall(panels, names, ["at the clip threshold"]),
        caption=f"Tags of clips, {which}; AP: average precision. The point is where the clip threshold lies.",
    )


def add_segment_curves(page, found):
    """The same of 1 s segments, with the points of each way of decoding. found: all Scored folders of one set."""
    group = [
        one
        for one in one_a_system(found)
        if one.scores is not None and one.has_events and one.scores.has("segment")
    ][:MAX_SYSTEMS]
    if not group:
        return
    first, modes = group[0], list(dict.fromkeys(one.mode for one in found))[:3]
    true, _, _ = report_data.active_segments(first.truth, first.decoded)
    classes, which = _panels(first, np.flatnonzero(true.any(axis=0)).tolist(), "segment")
    panels = [(first.labels[k], [], []) for k in classes]
    for s, one in enumerate(group):
        values = comparisons.segment_scores(one, classes)
        for i, k in enumerate(classes):
            panels[i][1].append(_curve(s, values[:, i], true[:, k]))
            for other in found:
                figures = other.report["classes"][first.labels[k]]["segment"]
                if other.system == one.system and other.mode in modes and figures["precision"]:
                    panels[i][2].append(
                        (s, modes.index(other.mode), figures["recall"], figures["precision"])
                    )
    page.figure(
        f"{first.set}: precision and recall of segments",
        plots.precision_recall(
            panels, [one.system for one in group], [f"decoded: {mode}" for mode in modes]
        ),
        caption=f"Segments of 1 s, {which}: the curve is of the scores that the model gives a segment, AP its area. The points "
        "are where the decoded events lie; those of filtered frames need not be on the curve.",
    )


def add_errors(page, group):
    """What kinds of errors each system makes, and on which classes. group: Scored folders of one set with events."""
    first = group[0]
    page.figure(
        f"{first.set}: errors",
        plots.error_rates(
            [
                (
                    f"{one.system}/{one.mode}",
                    *(
                        one.report["segment"][f"{part}_rate"] or 0
                        for part in ("substitution", "deletion", "insertion")
                    ),
                )
                for one in group
            ]
        ),
        caption="Segments of 1 s. A substitution is a wrong class in place of a true one, a deletion a true one that is missed, an "
        "insertion a class that is said too much.",
    )
    counts, rows = [comparisons.class_errors(one) for one in group], []
    for one, (missed, added) in zip(group, counts):
        rows.append(
            (
                "",
                [
                    breakable(f"{one.system}/{one.mode}"),
                    f"{missed.sum():,}",
                    _most(missed, first.labels),
                    f"{added.sum():,}",
                    _most(added, first.labels),
                ],
            )
        )
    page.add(
        table(
            ["system/mode", "segments missed", "most of them", "said too much", "most of them"],
            rows,
            text_columns=(2, 4),
        )
    )
    chosen = [
        i for i, one in enumerate(group) if any(one is other for other in one_a_system(group))
    ][:MAX_SYSTEMS]
    total = sum(missed + added for missed, added in (counts[i] for i in chosen))
    worst = [k for k in np.argsort(-total, kind="stable")[:NUM_WORST] if total[k]]
    if worst:
        page.figure(
            f"{first.set}: errors by class",
            plots.class_errors(
                [first.labels[k] for k in worst],
                [
                    (f"{group[i].system}/{group[i].mode}", counts[i][0][worst], counts[i][1][worst])
                    for i in chosen
                ],
            ),
            caption=f"{'Every class' if len(worst) == len(first.labels) else f'The {len(worst)} classes with the most errors'}: "
            "segments missed to the left, segments said too much to the right.",
        )


def _most(counts, labels):
    """The classes that most of the errors are of, with their share."""
    worst = [k for k in np.argsort(-counts, kind="stable")[:NUM_NAMED] if counts[k]]
    return (
        html.escape(
            "; ".join(f"{labels[k]} {counts[k]:,} ({counts[k] / counts.sum():.0%})" for k in worst)
        )
        or "–"
    )
