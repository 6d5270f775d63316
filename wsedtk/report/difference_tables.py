"""Add the tables of differences between systems to a report page."""

from collections.abc import Iterable, Sequence

from wsedtk.core.wording import counted
from wsedtk.evaluation import average_precision, comparisons, intervals, report_data, seeds
from wsedtk.evaluation.columns import Column, columns, legends, metrics_of
from wsedtk.evaluation.intervals import Interval, SeedMean
from wsedtk.evaluation.metric import Description, Place
from wsedtk.evaluation.scored_systems import Scored
from wsedtk.report.page import Cell, Page, Row, note, table

_OVER_CLIPS = (
    "In small print: the 95 % interval of each difference, computed over clips. Both systems are "
    "evaluated on the same clips. A difference is bold if its interval excludes 0. The intervals "
    "compare these trained networks on these and similar clips. They do not compare the methods, "
    "because a network that is trained again with another seed gives other results. To compare "
    "methods, train each system with at least {} seeds (model directories NAME.seedN)."
)
_OVER_SEEDS = (
    "Differences of the means over seeds. In small print: 95 % intervals over seeds and clips. "
    "They describe systems that are trained again and evaluated on other, similar clips. A "
    "difference is bold if its interval excludes 0. This also happens for some pairs of systems "
    "that are equally good: in the simulations of tests/evaluation/test_false_alarms.py, for 3 to "
    "7 % of the pairs if both systems have the same number of seeds, and for 5 to 9 % if one "
    "system has 3 seeds and the other has 10. "
    "PSDS has no intervals. MAP, MAUC and d' have no intervals if the scores of a system are "
    "missing, or if too many classes have fewer than {} positive clips."
)
_EMPTY = Cell("–")


def _minus(text: str) -> str:
    """Replace the hyphens in the text of a number by minus signs."""
    return text.replace("-", "−")


def _difference_cell(value: float | None, ends: Interval | None) -> Cell:
    """Return a cell with a difference and its interval.

    The difference is bold if the interval excludes 0.
    """
    if value is None:
        return _EMPTY
    text = _minus(f"{value:+.3f}")
    if ends is None:
        return Cell(text)
    excludes_zero = ends[0] > 0 or ends[1] < 0
    return Cell(text, (_minus(f"{ends[0]:+.3f} to {ends[1]:+.3f}"),), bold=excludes_zero)


def _mean_cell(found: SeedMean | None) -> Cell:
    """Return a cell with a mean and half the width of its interval."""
    if found is None:
        return _EMPTY
    small = () if found.half is None else (f"± {found.half:.3f}",)
    return Cell(report_data.cell(found.mean), small)


def _title(system: str, base: str, remark: str) -> Cell:
    return Cell(f"{system} − {base}", (remark,), breakable=True)


def _add_table(page: Page, first: str, rows: Sequence[Row], shown: Sequence[Column]) -> None:
    """Add a table to a page. Empty columns are left out."""
    used = [i for i in range(len(shown)) if any(row.cells[i] != _EMPTY for row in rows)]
    kept = [Row(row.title, [row.cells[i] for i in used]) for row in rows]
    page.add(table([first, *(shown[i].heading for i in used)], kept))


def _directions(shown: Iterable[Column], metrics: Iterable[Description]) -> str:
    """Return a sentence that lists the metrics for which lower is better. "" if there are none."""
    lower = {metric.name for metric in metrics if metric.direction == "lower"}
    headings = [one.heading for one in shown if f"{one.section}.{one.key}" in lower]
    return f" Lower is better: {', '.join(headings)}." if headings else ""


def add_differences(page: Page, found: Iterable[Scored]) -> None:
    """Add the differences between systems that were evaluated on the same set in the same mode.

    If a system was trained with several seeds, means over seeds are shown and compared. Otherwise,
    each system is compared with the first system of the same set and mode. In this comparison,
    folders without a copy of the reference are left out. Nothing is added for a set and mode with a
    single training run.

    Parameters
    ----------
    page : Page
    found : iterable of Scored
    """
    groups: dict[tuple[str, str], list[Scored]] = {}
    for one in found:
        groups.setdefault((one.set, one.mode), []).append(one)
    single: list[list[Scored]] = []
    several: list[list[Scored]] = []
    repeated: dict[str, str] = {}
    for group in groups.values():
        kept, left_out = seeds.trainings(group)
        repeated.update({one.system: first.system for one, first in left_out})
        is_several = len(seeds.by_system(kept)) < len(kept)
        (several if is_several else single).append(kept)
    if several:
        _add_over_seeds(page, several)
    single = [[one for one in group if one.has_reference] for group in single]
    single = [group for group in single if len(group) > 1]
    if single:
        _add_over_clips(page, single)
    if (several or single) and repeated:
        pairs = "; ".join(f"{name} and {first}" for name, first in repeated.items())
        text = "The systems of each pair contain the same model and count as one training run"
        page.add(note(f"{text}: {pairs}."))


def _add_over_clips(page: Page, groups: Sequence[Sequence[Scored]]) -> None:
    """Add the differences between each system and the first system of the same group."""
    reports = [one.report for group in groups for one in group]
    shown, rows = columns(Place.PAGE, reports), []
    for group in groups:
        for other, found in comparisons.paired_differences(group, shown):
            cells = []
            for column in shown:
                value, ends = found.get((column.section, column.key), (None, None))
                cells.append(_difference_cell(value, ends))
            rows.append(Row(_title(other.system, group[0].system, _place(other)), cells))
    page.section("Differences")
    _add_table(page, "difference", rows, shown)
    text = _OVER_CLIPS.format(intervals.MIN_SEEDS)
    page.add(note(text + _directions(shown, metrics_of(reports))))


def _place(one: Scored) -> str:
    return f"{one.set}/{one.mode}"


def _add_over_seeds(page: Page, groups: Sequence[Sequence[Scored]]) -> None:
    """Add the means over seeds of each system, and the differences of these means."""
    reports = [one.report for group in groups for one in group]
    metrics = metrics_of(reports)
    shown = columns(Place.PAGE_SEEDS, reports)
    consistency = [column for column in shown if column.section == "consistency"]
    measured = report_data.measured(consistency, reports)
    shown = [column for column in shown if column not in consistency or column in measured]
    means, rows = [], []
    for group in groups:
        systems, place = seeds.by_system(group), _place(group[0])
        for name, runs in systems.items():
            remark = f"{place}, {counted(len(runs), 'seed')}"
            cells = [_mean_cell(one) for one in seeds.means(runs, shown)]
            means.append(Row(Cell(name, (remark,), breakable=True), cells))
        if len(systems) > 1:
            rows += _difference_rows(systems, shown, place)
    page.section("Means over seeds")
    _add_table(page, "system", means, shown)
    text = (
        "In small print: half the width of the 95 % interval (Student's t) over seeds, on these "
        f"clips. There is no interval for fewer than {intervals.MIN_SEEDS} seeds."
    )
    if measured:
        text += f" {'; '.join(legends(measured, metrics))}."
    page.add(note(text))
    if rows:
        page.section("Differences over seeds")
        _add_table(page, "difference", rows, shown)
        text = _OVER_SEEDS.format(average_precision.FEW_POSITIVES)
        page.add(note(text + _directions(shown, metrics)))


def _difference_rows(
    systems: dict[str, list[Scored]], shown: Sequence[Column], place: str
) -> list[Row]:
    rows = []
    for one in seeds.differences(systems, [(column.section, column.key) for column in shown]):
        remarks = [place, seeds.note_of(one.base, one.system), one.why]
        cells = []
        for column in shown:
            value, ends = one.figures.get((column.section, column.key), (None, None))
            cells.append(_difference_cell(value, ends))
        title = _title(one.system, one.base, "; ".join(filter(None, remarks)))
        rows.append(Row(title, cells))
    return rows
