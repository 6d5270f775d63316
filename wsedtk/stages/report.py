"""report: trained and scored systems -> one self-contained page, and its figures as files.

N clips, K classes.
"""

import html

import numpy as np

from wsedtk.core.atomic import write_text
from wsedtk.core.config import read_yaml
from wsedtk.core.errors import InputError
from wsedtk.core.progress import say
from wsedtk.evaluation import comparisons, ranking, report_data, scored_systems
from wsedtk.report import model_card, plots
from wsedtk.report.clip_pages import MAX_SYSTEMS, MOST_SOUNDS, ClipPages
from wsedtk.report.difference_tables import add_differences
from wsedtk.report.page import Page, breakable, table

TITLE = "Sound event detection report"
MOST_PANELS = 20  # classes whose curves are drawn; of more the best and the worst
NUM_WORST = 15  # classes in the picture of errors, those with the most
NUM_NAMED = 3  # classes named in a table's cell
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
FOREST = (
    "tag F1",
    "seg F1",
    "ER",
    "event F1",
    "MAP",
)  # the measures of the picture that compares poolings


def _cell(report, section, key):
    value, interval = report.get(section, {}).get(key), report.get(section, {}).get(f"{key}_ci")
    text = "–" if value is None else report_data.cell(value)
    if interval:
        text += f' <span class="ci">{interval[0]:.3f}–{interval[1]:.3f}</span>'
    dropped = report.get("zero_length_reference_events")
    if dropped and (section, key) == ("event", "f1"):
        text += f' <span class="ci">{dropped:,} dropped</span>'
    return text


def _place(one):
    """What a scored folder is called: system/set/mode."""
    return f"{one.system}/{one.set}/{one.mode}"


def _by_set(found):
    """{set: its Scored folders}, in their order."""
    sets = {}
    for one in found:
        sets.setdefault(one.set, []).append(one)
    return sets


def _one_a_system(group):
    """Of each system the folder that was decoded from frames, else its first."""
    chosen = {}
    for one in group:
        if one.system not in chosen or one.by_frames:
            chosen[one.system] = one
    return list(chosen.values())


# ---- tables ----


def comparison(found):
    """The first table: every scored folder, then the baselines on its set."""
    rows, columns = [], report_data.measured(COLUMNS, [one.report for one in found])
    for one in found:
        clips = one.report["clips"]
        name = _place(one) + (" (tuned on this set)" if clips.get("tuned_on_these") else "")
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
    for name, group in _by_set([one for one in found if one.has_events]).items():
        for baseline, figures in group[0].report["baselines"].items():
            several = baseline == "system_tags" and len({one.system for one in group}) > 1
            title = f"{name}, baseline: " + (
                f"tags of {group[0].system}" if several else baseline.replace("_", " ")
            )
            rows.append(
                ("baseline", [breakable(title), "", *(_cell(figures, *key) for _, *key in columns)])
            )
    return table(["system/set/mode", "clips", *(name for name, *_ in columns)], rows)


def _coverage(found):
    for name, group in _by_set(found).items():
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


def _classes_side_by_side(group):
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


def _notes(found):
    """Yield which classes PSDS is over, and why there are no intervals that were asked for."""
    for name, group in _by_set(found).items():
        notes = dict.fromkeys(report_data.psds_note(one.report) for one in group)
        yield from (f"PSDS in {name}: {note}" for note in notes if note)
        reasons = dict.fromkeys(report_data.why_no_interval(one.report) for one in group)
        for names, reason in filter(None, reasons):
            yield f"No interval of {names} in {name}: {reason}"


# ---- pictures ----


def _read_history(path):
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
    precision, recall = comparisons.thinned(*ranking.precision_recall(values, truth))
    return system, recall, precision, f"AP {ranking.average_precision(values, truth):.3f}"


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
        for one in _one_a_system(found)
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
        i for i, one in enumerate(group) if any(one is other for other in _one_a_system(group))
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


# ---- the page ----


def _add_set(page, name, group, sounds):
    """Everything about one set. Returns how many sounds the page may still hold."""
    page.section(f"Set {name}: curves and thresholds")
    complete = [one for one in group if one.has_reference]
    if complete:
        add_curves(page, _one_a_system(complete))
        add_segment_curves(page, complete)
    if len(group) > 2:
        page.add(_classes_side_by_side(group))
    for one in group:
        title = html.escape(f"{_place(one)}: by class")
        page.add(
            f"<h3>{title}</h3>{class_tables(one)}"
            if len(group) <= 2
            else f"<details><summary>{title}</summary>{class_tables(one)}</details>"
        )
    with_events = [one for one in complete if one.has_events]
    if with_events:
        page.section(f"Set {name}: errors")
        add_errors(page, with_events)
    drawn = [
        one for one in _one_a_system(complete) if one.scores is not None and one.scores.has("frame")
    ]
    if drawn:
        page.section(f"Set {name}: clips")
        systems = (
            f"The first {MAX_SYSTEMS} of {len(drawn)} systems. " if len(drawn) > MAX_SYSTEMS else ""
        )
        page.add(
            f'<p class="note">{systems}Dotted: thresholds. Attention: beside the largest weight of its class in the clip. '
            "Hatched bars: the truth.</p>"
        )
        clips = ClipPages(drawn, sounds)
        clips.add(page)
        sounds = clips.sounds
    return sounds


def run(folders, output, figures, kind):
    """Write the page about every scored folder `<model>/<set>/<mode>/` of the systems that the folders are or hold."""
    systems = scored_systems.find_systems(folders)
    found = scored_systems.read_systems(systems)
    page = Page(figures, kind)
    page.section("Scores")
    page.add(comparison(found))
    legend = [text for text, *_ in report_data.measured(LEGEND, [one.report for one in found])]
    if any(one.report.get("zero_length_reference_events") for one in found):
        legend.append("dropped: zero-length reference events, which sed_eval counts as missed")
    notes = "".join(f" {note}." for note in _notes(found))
    page.add(
        f'<p class="note">{html.escape("; ".join(legend))}. Small '
        "figures: 95 % intervals over clips, of these trained systems."
        f"{html.escape(notes)}</p>"
    )
    add_differences(page, found, COLUMNS)
    add_poolings(page, found, systems)
    histories = {
        name: folder / "history.tsv"
        for name, folder in systems.items()
        if (folder / "history.tsv").exists()
    }
    if histories:
        page.section("Training")
    for name, path in histories.items():
        page.figure(f"{name}: training", plots.training_curves(_read_history(path), name))
    sounds = MOST_SOUNDS
    for name, group in _by_set(found).items():
        sounds = _add_set(page, name, group, sounds)
    if figures is not None:
        from wsedtk.report.plots import gradients  # torch, which nothing else here needs

        page.save("pooling gradients", gradients.pooling_gradients())
    names = ", ".join(systems) if len(systems) <= 5 else f"{len(systems)} systems"
    introduction = "".join(f"<p>{html.escape(line)}.</p>" for line in (names, *_coverage(found)))
    write_text(output, page.text(TITLE, introduction))
    for folder in systems.values():
        try:
            model_card.refresh(folder)
        except InputError as error:  # the page, which was asked for, is there
            say(f"warning: {folder}: its model card is left as it is: {error}")
    print(f"{output}: {len(found)} scored folders of {len(systems)} systems")
