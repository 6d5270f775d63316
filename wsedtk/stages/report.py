"""report: evaluated systems -> a self-contained HTML page and, optionally, its figures as files."""

import dataclasses
import html
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from wsedtk.core.atomic import write_text
from wsedtk.core.errors import InputError
from wsedtk.evaluation import scored_systems
from wsedtk.evaluation.scored_systems import Scored
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
from wsedtk.stages.options.results import ReportOptions

_LOG = logging.getLogger(__name__)


TITLE = "Sound event detection report"


@dataclasses.dataclass(frozen=True)
class ReportResult:
    """The result of `run`: a page about trained and evaluated systems.

    Attributes
    ----------
    page : Path
        The HTML file.
    systems : mapping of str to Path
        The folder of each system, by its name on the page.
    scored : tuple of Path
        The evaluated folders of the systems.
    """

    page: Path
    systems: Mapping[str, Path]
    scored: tuple[Path, ...]


def _add_set(page: Page, name: str, group: Sequence[Scored], sounds: int) -> int:
    """Add the sections of the set `name`, and return how many more sounds can be added to the page.

    `group` contains the evaluated folders of the set. `sounds` is the number of sounds that these
    sections and later sections may add.
    """
    page.section(f"Set {name}: curves and thresholds")
    complete = [one for one in group if one.has_reference]
    if complete:
        add_curves(page, one_a_system(complete))
        add_segment_curves(page, complete)
    if len(group) > 2:
        page.add(classes_side_by_side(group))
    for one in group:
        title = html.escape(f"{place(one)}: by class")
        if len(group) <= 2:
            page.add(f"<h3>{title}</h3>{class_tables(one)}")
        else:
            page.add(f"<details><summary>{title}</summary>{class_tables(one)}</details>")
    with_events = [one for one in complete if one.has_events]
    if with_events:
        page.section(f"Set {name}: errors")
        add_errors(page, with_events)
    scores = [(one, one.scores) for one in one_a_system(complete)]
    drawn = [one for one, found in scores if found is not None and found.has("frame")]
    return _add_clips(page, name, drawn, sounds) if drawn else sounds


def _add_clips(page: Page, name: str, drawn: Sequence[Scored], sounds: int) -> int:
    """Add the section on clips of the set `name`. `_add_set` documents `sounds` and the result.

    `drawn` contains evaluated folders with frame scores, at most one for each system.
    """
    page.section(f"Set {name}: clips")
    systems = ""
    if len(drawn) > MAX_SYSTEMS:
        systems = f"The first {MAX_SYSTEMS} of {len(drawn)} systems are shown. "
    page.add(
        f'<p class="note">{systems}Dotted lines: thresholds. Attention weights are relative to the '
        "largest weight of the class in the clip. Hatched bars: reference events.</p>"
    )
    clips = ClipPages(drawn, sounds)
    clips.add(page)
    left: int = clips.sounds
    return left


def _add_scores(page: Page, found: Sequence[Scored], systems: Mapping[str, Path]) -> None:
    """Add a table of all evaluated folders, and tables and figures that compare systems."""
    page.section("Scores")
    page.add(comparison(found))
    legends = legend(found)
    if any(one.report.get("zero_length_reference_events") for one in found):
        legends.append("dropped: zero-length reference events, which sed_eval counts as missed")
    remarks = "".join(f" {note}." for note in notes(found))
    page.add(
        f'<p class="note">{html.escape("; ".join(legends))}. Small '
        "numbers: 95 % intervals over clips. They apply only to these trained systems, not to new "
        "training runs."
        f"{html.escape(remarks)}</p>"
    )
    add_differences(page, found)
    add_poolings(page, found, systems)


def _add_training(page: Page, systems: Mapping[str, Path]) -> None:
    """Add the training curves of the systems that have a history."""
    histories = {name: folder / "history.tsv" for name, folder in systems.items()}
    histories = {name: path for name, path in histories.items() if path.exists()}
    if histories:
        page.section("Training")
    for name, path in histories.items():
        page.figure(f"{name}: training", plots.training_curves(read_history(path), name))


def _refresh_model_cards(systems: Mapping[str, Path]) -> None:
    """Update the model cards with `model_card.refresh`. Warn if this fails for a system."""
    for folder in systems.values():
        try:
            model_card.refresh(folder)
        except InputError as error:  # the page does not need the card
            _LOG.warning(f"{folder}: the model card was not updated: {error}")


def run(options: ReportOptions) -> ReportResult:
    """Write an HTML page about all evaluated folders `<model>/<set>/<mode>/` of systems.

    The model cards of the systems are also updated. `model_card.refresh` explains which cards
    remain unchanged.

    Parameters
    ----------
    options : ReportOptions
        The inputs, the outputs and the settings.

    Returns
    -------
    ReportResult

    Raises
    ------
    InputError
        If an input contains no system, or if evaluated folders are missing, are stale, or do not
        belong together.
    """
    systems = scored_systems.find_systems(options.folders)
    found = scored_systems.read_systems(systems)
    page = Page(options.figures, options.figure_format)
    _add_scores(page, found, systems)
    _add_training(page, systems)
    sounds = MOST_SOUNDS
    for name, group in by_set(found).items():
        sounds = _add_set(page, name, group, sounds)
    if options.figures is not None:
        from wsedtk.report.plots import gradients  # imports torch

        page.save("pooling gradients", gradients.pooling_gradients())
    names = ", ".join(systems) if len(systems) <= 5 else f"{len(systems)} systems"
    introduction = "".join(f"<p>{html.escape(line)}.</p>" for line in (names, *coverage(found)))
    write_text(options.output, page.text(TITLE, introduction))
    _refresh_model_cards(systems)
    return ReportResult(Path(options.output), systems, tuple(one.folder for one in found))
