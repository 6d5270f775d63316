"""report: trained and scored systems -> one self-contained page, and its figures as files.

N clips, K classes.
"""

import html

from wsedtk.core.atomic import write_text
from wsedtk.core.errors import InputError
from wsedtk.core.progress import say
from wsedtk.evaluation import scored_systems
from wsedtk.report import model_card, plots
from wsedtk.report.clip_pages import MAX_SYSTEMS, MOST_SOUNDS, ClipPages
from wsedtk.report.difference_tables import add_differences
from wsedtk.report.page import Page
from wsedtk.report.score_figures import (
    add_curves,
    add_errors,
    add_poolings,
    add_segment_curves,
    one_a_system,
    read_history,
)
from wsedtk.report.score_tables import (
    by_set,
    class_tables,
    classes_side_by_side,
    comparison,
    coverage,
    legend,
    notes,
    place,
)

TITLE = "Sound event detection report"


def _add_set(page, name, group, sounds):
    """Everything about one set. Returns how many sounds the page may still hold."""
    page.section(f"Set {name}: curves and thresholds")
    complete = [one for one in group if one.has_reference]
    if complete:
        add_curves(page, one_a_system(complete))
        add_segment_curves(page, complete)
    if len(group) > 2:
        page.add(classes_side_by_side(group))
    for one in group:
        title = html.escape(f"{place(one)}: by class")
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
        one for one in one_a_system(complete) if one.scores is not None and one.scores.has("frame")
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
    legends = legend(found)
    if any(one.report.get("zero_length_reference_events") for one in found):
        legends.append("dropped: zero-length reference events, which sed_eval counts as missed")
    remarks = "".join(f" {note}." for note in notes(found))
    page.add(
        f'<p class="note">{html.escape("; ".join(legends))}. Small '
        "figures: 95 % intervals over clips, of these trained systems."
        f"{html.escape(remarks)}</p>"
    )
    add_differences(page, found)
    add_poolings(page, found, systems)
    histories = {
        name: folder / "history.tsv"
        for name, folder in systems.items()
        if (folder / "history.tsv").exists()
    }
    if histories:
        page.section("Training")
    for name, path in histories.items():
        page.figure(f"{name}: training", plots.training_curves(read_history(path), name))
    sounds = MOST_SOUNDS
    for name, group in by_set(found).items():
        sounds = _add_set(page, name, group, sounds)
    if figures is not None:
        from wsedtk.report.plots import gradients  # torch, which nothing else here needs

        page.save("pooling gradients", gradients.pooling_gradients())
    names = ", ".join(systems) if len(systems) <= 5 else f"{len(systems)} systems"
    introduction = "".join(f"<p>{html.escape(line)}.</p>" for line in (names, *coverage(found)))
    write_text(output, page.text(TITLE, introduction))
    for folder in systems.values():
        try:
            model_card.refresh(folder)
        except InputError as error:  # the page, which was asked for, is there
            say(f"warning: {folder}: its model card is left as it is: {error}")
    print(f"{output}: {len(found)} scored folders of {len(systems)} systems")
