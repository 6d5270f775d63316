"""Tables of a report page: scored folders, their classes, thresholds and coverage.

N clips, K classes.
"""

import html

import numpy as np

from wsedtk.evaluation import report_data
from wsedtk.report.page import breakable, table

COLUMNS = (
    ("tag F1", "tagging", "f1"),
    ("ER", "segment", "error_rate"),
    ("Sub", "segment", "substitution_rate"),
    ("Del", "segment", "deletion_rate"),
    ("Ins", "segment", "insertion_rate"),
    ("Pre", "segment", "precision"),
    ("Rec", "segment", "recall"),
    ("seg F1", "segment", "f1"),
    ("event F1", "event", "f1"),
    ("PSDS1", "psds", "psds1"),
    ("PSDS2", "psds", "psds2"),
    ("MAP", "audioset", "map"),
    ("MAUC", "audioset", "mauc"),
    ("d'", "audioset", "dprime"),
)
LEGEND = (
    ("tag: clips", "tagging", None),
    ("seg: segments of 1 s", "segment", None),
    ("ER: error rate with its parts (substitutions, deletions, insertions)", "segment", None),
    ("event F1: onsets within 200 ms", "event", None),
    ("PSDS: over all thresholds", "psds", None),
    (
        "MAP, MAUC: average precision and area under the ROC curve, means over the classes with positives",
        "audioset",
        None,
    ),
    ("d': MAUC as a distance between unit normals", "audioset", None),
)
CLASS_COLUMNS = (
    ("clips", "audioset", "positives"),
    ("AP", "audioset", "ap"),
    ("AUC", "audioset", "auc"),
    ("d'", "audioset", "dprime"),
    ("tagging F1", "tagging", "f1"),
    ("segment Pre", "segment", "precision"),
    ("segment Rec", "segment", "recall"),
    ("segment F1", "segment", "f1"),
    ("event F1", "event", "f1"),
)


def _cell(report, section, key):
    value, interval = report.get(section, {}).get(key), report.get(section, {}).get(f"{key}_ci")
    text = "–" if value is None else report_data.cell(value)
    if interval:
        text += f' <span class="ci">{interval[0]:.3f}–{interval[1]:.3f}</span>'
    dropped = report.get("zero_length_reference_events")
    if dropped and (section, key) == ("event", "f1"):
        text += f' <span class="ci">{dropped:,} dropped</span>'
    return text


def place(one):
    """What a scored folder is called: system/set/mode."""
    return f"{one.system}/{one.set}/{one.mode}"


def by_set(found):
    """{set: its Scored folders}, in their order."""
    sets = {}
    for one in found:
        sets.setdefault(one.set, []).append(one)
    return sets


def comparison(found):
    """The first table: every scored folder, then the baselines on its set."""
    rows, columns = [], report_data.measured(COLUMNS, [one.report for one in found])
    for one in found:
        clips = one.report["clips"]
        name = place(one) + (" (tuned on this set)" if clips.get("tuned_on_these") else "")
        rows.append(
            (
                "",
                [
                    breakable(name),
                    html.escape(f"{clips['scored']}/{clips['official']}"),
                    *(_cell(one.report, *key) for _, *key in columns),
                ],
            )
        )
    for name, group in by_set([one for one in found if one.has_events]).items():
        for baseline, figures in group[0].report["baselines"].items():
            several = baseline == "system_tags" and len({one.system for one in group}) > 1
            title = f"{name}, baseline: " + (
                f"tags of {group[0].system}" if several else baseline.replace("_", " ")
            )
            rows.append(
                ("baseline", [breakable(title), "", *(_cell(figures, *key) for _, *key in columns)])
            )
    return table(["system/set/mode", "clips", *(name for name, *_ in columns)], rows)


def coverage(found):
    for name, group in by_set(found).items():
        clips = group[0].report["clips"]
        is_whole = clips["scored"] == clips["official"]
        count = (
            f"all {clips['scored']:,}"
            if is_whole
            else f"{clips['scored']:,} of {clips['official']:,}"
        )
        share = (
            f" ({clips['scored'] / clips['official']:.1%})"
            if clips["official"] and not is_whole
            else ""
        )
        yield f"Set {name}: scored on {count} official clips{share}"


def _class_table(one, labels):
    """An HTML table of these classes, with their thresholds."""
    classes = one.report["classes"]
    columns, point, index = (
        report_data.measured(CLASS_COLUMNS, classes.values()),
        one.point,
        {label: k for k, label in enumerate(one.labels)},
    )
    limits = [] if point is None else [("clip threshold", point.clip_thresholds)]
    if limits and one.by_frames:
        limits.append(("frame threshold", point.frame_thresholds))
    rows = [
        (
            "",
            [
                html.escape(label),
                *(_cell(classes[label], *key) for _, *key in columns),
                *(_threshold(values[index[label]]) for _, values in limits),
            ],
        )
        for label in labels
    ]
    return table(["class", *(name for name, *_ in columns), *(name for name, _ in limits)], rows)


def _threshold(value):
    return f"{value:.3f}" if np.isfinite(value) else "never" if value > 0 else "always"


def class_tables(one):
    """All classes; where there are many, the best and the worst, and all of them folded up."""
    classes, extremes = one.report["classes"], report_data.extreme_classes(one.report)
    whole = _class_table(one, classes)
    if extremes is None:
        return whole
    what, *parts = extremes
    shown = "".join(
        f"<div>{name} {len(labels)} by {what}{_class_table(one, labels)}</div>"
        for name, labels in zip(("Best", "Worst"), parts)
    )
    return f'<div class="pair">{shown}</div><details><summary>All {len(classes)} classes</summary>{whole}</details>'


def classes_side_by_side(group):
    """F1 and threshold of each class, of many the best and the worst of the first folder, in every folder of one set."""
    first = group[0]
    section = "segment" if first.has_events else "tagging"
    extremes = report_data.extreme_classes(first.report)
    labels = [label for part in extremes[1:] for label in part] if extremes else first.labels
    rows = []
    for label in labels:
        k, cells = (
            first.labels.index(label),
            [_cell(one.report["classes"][label], section, "f1") for one in group],
        )
        limits = [
            f' <span class="ci">at {_threshold(one.thresholds[k])}</span>' if one.point else ""
            for one in group
        ]
        rows.append(("", [html.escape(label), *map("".join, zip(cells, limits))]))
    return (
        table(["class", *(f"{one.system}/{one.mode}" for one in group)], rows)
        + f'<p class="note">{section.capitalize()} F1, and the threshold that the class is decoded with.</p>'
    )


def notes(found):
    """Yield which classes PSDS is over, and why there are no intervals that were asked for."""
    for name, group in by_set(found).items():
        notes = dict.fromkeys(report_data.psds_note(one.report) for one in group)
        yield from (f"PSDS in {name}: {note}" for note in notes if note)
        reasons = dict.fromkeys(report_data.why_no_interval(one.report) for one in group)
        for names, reason in filter(None, reasons):
            yield f"No interval of {names} in {name}: {reason}"
