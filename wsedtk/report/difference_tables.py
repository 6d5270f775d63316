"""The report page's tables of differences between systems, over clips and over seeds."""

import html

from wsedtk.evaluation import average_precision, comparisons, intervals, report_data, seeds
from wsedtk.report.page import breakable, table

_OVER_CLIPS = (
    "Small figures: 95 % intervals of the paired difference over clips, the same clips for both "
    "systems; bold where they exclude 0. They compare these trained networks on these and similar "
    "clips, not the methods: a network that is trained again with another seed differs, too. For "
    "that, train each system with at least {} seeds (model directories NAME.seedN)."
)
_OVER_SEEDS = (
    "Differences of the means over seeds. Small figures: 95 % intervals over seeds and clips, that "
    "is, for systems that are trained again and evaluated on other such clips; bold where they "
    "exclude 0. In the populations of tests/test_false_alarms.py they exclude 0 for 3 to 7 % of "
    "pairs of equal systems with equal numbers of seeds, and for 5 to 9 % with 3 and 10 seeds. "
    "PSDS has none; MAP, MAUC and d' have none where the scores of a system are gone or too many "
    "classes have fewer than {} positive clips."
)


def _cell(value, ends):
    """Return a difference with its interval, [low, high] or None, as HTML."""
    if value is None:
        return "–"
    is_sure = ends is not None and (ends[0] > 0 or ends[1] < 0)
    text = f'<span class="sure">{value:+.3f}</span>' if is_sure else f"{value:+.3f}"
    if ends is not None:
        text += f' <span class="ci">{ends[0]:+.3f} to {ends[1]:+.3f}</span>'
    return text.replace("-", "−")


def _title(system, base, note):
    return f'{breakable(system)} − {breakable(base)} <span class="ci">{breakable(note)}</span>'


def _note(text):
    return f'<p class="note">{html.escape(text)}</p>'


def _table(first, rows, columns):
    """Return a table without the columns that are empty. rows: (title, a cell of HTML a column)."""
    used = [i for i in range(len(columns)) if any(cells[i] != "–" for _, cells in rows)]
    return table(
        [first, *(columns[i][0] for i in used)],
        [("", [title, *(cells[i] for i in used)]) for title, cells in rows],
    )


def add_differences(page, found, columns):
    """Add what systems of the same set and mode differ by, where there are several.

    Where a system was trained with several seeds, means over seeds are shown and compared; else
    each system with the first. found: Scored folders; columns: (header, section, key).
    """
    groups, repeated = {}, {}
    for one in found:
        groups.setdefault((one.set, one.mode), []).append(one)
    single, several = [], []
    for group in groups.values():
        group, left_out = seeds.trainings(group)
        repeated.update({one.system: first.system for one, first in left_out})
        is_several = len(seeds.by_system(group)) < len(group)
        (several if is_several else single).append(group)
    if several:
        _add_over_seeds(page, several, columns)
    single = [[one for one in group if one.has_reference] for group in single]
    single = [group for group in single if len(group) > 1]
    if single:
        _add_over_clips(page, single, columns)
    if (several or single) and repeated:
        pairs = "; ".join(f"{name} and {first}" for name, first in repeated.items())
        page.add(_note(f"These hold the same model and count as one training: {pairs}."))


def _add_over_clips(page, groups, columns):
    """Add the differences of each system from the first of its group."""
    rows = []
    for group in groups:
        for other, found in comparisons.paired_differences(group):
            cells = [
                _cell(*found.get(section, {}).get(key, (None, None))) for _, section, key in columns
            ]
            rows.append((_title(other.system, group[0].system, f"{other.set}/{other.mode}"), cells))
    page.section("Differences")
    page.add(_table("difference", rows, columns))
    page.add(_note(_OVER_CLIPS.format(intervals.MIN_SEEDS)))


def _add_over_seeds(page, groups, columns):
    """Add the means over seeds of each system, and their differences."""
    means, rows = [], []
    reports = [one.report for group in groups for one in group]
    consistency = report_data.measured(seeds.CONSISTENCY, reports)
    columns = [*columns, *consistency]
    for group in groups:
        systems, place = seeds.by_system(group), f"{group[0].set}/{group[0].mode}"
        for name, runs in systems.items():
            title = (
                f'{breakable(name)} <span class="ci">{breakable(place)}, '
                f"{len(runs)} seed{'s' * (len(runs) > 1)}</span>"
            )
            means.append((title, [_mean(one) for one in seeds.means(runs, columns)]))
        if len(systems) > 1:
            for one in seeds.differences(systems, [tuple(key) for _, *key in columns]):
                null = seeds.note_of(one.base, one.system)
                notes = [note for note in (place, null, one.why) if note]
                cells = [_cell(*one.figures.get(tuple(key), (None, None))) for _, *key in columns]
                rows.append((_title(one.system, one.base, "; ".join(notes)), cells))
    page.section("Means over seeds")
    page.add(_table("system", means, columns))
    page.add(
        _note(
            "Small figures: half of the 95 % interval (Student's) over seeds, on these clips; "
            f"none with fewer than {intervals.MIN_SEEDS} seeds."
            + (f" {seeds.CONSISTENCY_LEGEND}." if consistency else "")
        )
    )
    if rows:
        page.section("Differences over seeds")
        page.add(_table("difference", rows, columns))
        page.add(_note(_OVER_SEEDS.format(average_precision.FEW_POSITIVES)))


def _mean(found):
    """Return a mean and half of its interval, (mean, half or None) or None, as HTML."""
    if found is None:
        return "–"
    mean, half = found
    return report_data.cell(mean) + (
        "" if half is None else f' <span class="ci">± {half:.3f}</span>'
    )
