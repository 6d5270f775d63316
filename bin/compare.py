"""Write tables of the systems of an experiment: means over seeds, and differences of these means.

    python3 compare.py EXP --systems NAME ... --seeds N ... --table SET/MODE=TITLE ...

The program reads EXP/<system>.seed<N>/<set>/<mode>/report.json, the tags and events in the same
folder, and the scores from which they were decoded. A table is omitted if the folder of its first
system and seed does not exist. The program writes EXP/compare.tsv and EXP/compare.md, and prints
the content of EXP/compare.md.

A mean has a 95 % Student interval over seeds, for the evaluated clips. The program compares the
means of each pair of systems that the papers compare. A system in none of these pairs is compared
with the first system. A difference has a 95 % interval over seeds and clips. The docstring of
wsedtk.evaluation.intervals.difference_over_seeds describes this interval. With fewer than three
seeds, there are no intervals.
"""

import argparse
from pathlib import Path

from wsedtk.cli.messages import printed
from wsedtk.core.atomic import write_text
from wsedtk.core.errors import InputError
from wsedtk.core.wording import counted
from wsedtk.evaluation import intervals, report_data, seeds
from wsedtk.evaluation.columns import columns, legends, metrics_of
from wsedtk.evaluation.metric import Place
from wsedtk.evaluation.scored_systems import Scored


def read_runs(exp, systems, numbers, place):
    """Return {system: [Scored of each seed]}. place: <set>/<mode>.

    Return None if the folder of the first system and seed does not exist.
    """
    runs = {}
    for system in systems:
        for number in numbers:
            name = f"{system}.seed{number}"
            runs.setdefault(system, []).append((name, exp / name / place))
    folders = [folder for found in runs.values() for _, folder in found]
    if not folders[0].is_dir():
        return None
    for folder in folders:
        if not (folder / "report.json").is_file():
            raise InputError(f"{folder}: no report.json; evaluate this folder (stage 8)")
    found = {
        system: [
            Scored(name, folder, report_data.read_report(folder / "report.json"))
            for name, folder in several
        ]
        for system, several in runs.items()
    }
    clips = {one.report["clips"]["fingerprint"] for several in found.values() for one in several}
    if len(clips) > 1:
        raise InputError(
            f"{place}: the systems were evaluated on different lists of clips; "
            "evaluate all systems on the same list"
        )
    return found


def markdown(header, rows):
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def flat_line(table, system, name, value, ends):
    """Return a line of compare.tsv. ends: [low, high] or None."""
    numbers = [value, *(ends or ("", ""))]
    return "\t".join([table, system, name, *(n if n == "" else f"{n:.6g}" for n in numbers)])


def mean_rows(runs, columns, table):
    """Return rows of means over seeds, and lines of compare.tsv."""
    rows, flat = [], []
    for system, several in runs.items():
        row = [system]
        for (name, *_), found in zip(columns, seeds.means(several, columns)):
            if found is None:
                row.append("-")
                continue
            mean, half = found
            row.append(f"{mean:.3f}" + (f" ± {half:.3f}" if half is not None else ""))
            ends = None if half is None else (mean - half, mean + half)
            flat.append(flat_line(table, system, name, mean, ends))
        rows.append(row)
    return rows, flat


def difference_rows(found, columns, table):
    """Return rows of differences, and lines of compare.tsv. found: [seeds.Difference]."""
    rows, flat = [], []
    for one in found:
        label, row = f"{one.system} - {one.base}", []
        for name, *key in columns:
            value, ends = one.figures.get(tuple(key), (None, None))
            if value is None:
                row.append("-")
                continue
            row.append(f"{value:+.3f}" + (f" [{ends[0]:+.3f}, {ends[1]:+.3f}]" if ends else ""))
            flat.append(flat_line(f"{table} difference", label, name, value, ends))
        note = seeds.note_of(one.base, one.system)
        rows.append([label + (f" ({note})" if note else ""), *row])
    return rows, flat


def columns_of(place, reports):
    """Return the columns that have values. If there are segment metrics, omit MAP, MAUC and d'."""
    shown = report_data.measured(columns(place, reports), reports)
    sections = {column.section for column in shown}
    return [one for one in shown if one.section != "audioset" or "segment" not in sections]


def table_of(exp, systems, numbers, place, title):
    """Return a table with its differences: (lines of Markdown, lines of compare.tsv).

    Return None if the folder of the first system and seed does not exist.
    """
    runs = read_runs(exp, systems, numbers, place)
    if runs is None:
        return None
    clips, reports = runs[systems[0]][0].report["clips"], []
    for several in runs.values():
        reports += [one.report for one in several]
    shown = columns_of(Place.SEED_MEANS, reports)
    table = place.replace("/", " ")
    rows, flat = mean_rows(runs, shown, table)
    what = f"no intervals, because they need at least {intervals.MIN_SEEDS} seeds"
    if len(numbers) >= intervals.MIN_SEEDS:
        what = "mean ± half the width of its 95 % interval over seeds, on these clips"
    page = [
        f"## {title}\n",
        f"{clips['scored']:,} of {clips['official']:,} official clips, "
        f"{counted(len(numbers), 'seed')}; {what}\n",
        markdown(["system", *(name for name, *_ in shown)], rows),
    ]
    explained = [column for column in shown if column.section not in ("tagging", "segment")]
    explained = [column for column in explained if column.section != "audioset"]
    if explained:
        page.append(f"{'; '.join(legends(explained, metrics_of(reports)))}\n")
    compared = columns_of(Place.SEED_DIFFERENCES, reports)
    found = seeds.differences(runs, [tuple(key) for _, *key in compared])
    if found:
        rows, more = difference_rows(found, compared, table)
        what = found[0].why or "95 % intervals over seeds and clips"
        page += [
            f"Differences of the means; {what}\n",
            markdown(["difference", *(name for name, *_ in compared)], rows),
        ]
        flat += more
        if not found[0].why:
            page += without_interval(runs, found, compared)
    return page, flat


def without_interval(runs, found, columns):
    """Return lines that name the columns without intervals, with the reasons."""
    reasons = {}
    for name, *key in columns:
        for one in found:
            if one.figures.get(tuple(key), (None, ()))[1] is None:
                why = seeds.why_no_interval(runs[one.base] + runs[one.system], key[0])
                reasons.setdefault(why, []).append(name)
                break
    return [f"No interval of {', '.join(names)}: {why}\n" for why, names in reasons.items()]


def table(text):
    """Parse SET/MODE=TITLE. Return the place SET/MODE and the title of a table."""
    place, equals, title = text.partition("=")
    if not (equals and place and title):
        raise argparse.ArgumentTypeError(f"expected SET/MODE=TITLE, found {text!r}")
    return place, title


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("exp", type=Path)
    parser.add_argument("--systems", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", required=True)
    parser.add_argument(
        "--table", type=table, metavar="SET/MODE=TITLE", action="append", required=True
    )
    options = parser.parse_args()
    systems, numbers = (list(dict.fromkeys(v)) for v in (options.systems, options.seeds))
    try:
        found = [table_of(options.exp, systems, numbers, *pair) for pair in options.table]
        if not any(found):
            raise InputError(
                f"{options.exp}: no results of {systems[0]}.seed{numbers[0]}; "
                "run compare_pooling.sh first"
            )
    except InputError as error:
        parser.exit(1, f"compare.py: {error}\n")
    page, flat = ([line for part in found if part for line in part[i]] for i in (0, 1))
    text = "\n".join(page)
    header = "table\tsystem\tmeasure\tvalue\tlow\thigh"
    write_text(options.exp / "compare.tsv", "\n".join([header, *flat]) + "\n")
    write_text(options.exp / "compare.md", text)
    print(text, end="")


if __name__ == "__main__":
    with printed():  # print the warnings of wsedtk
        main()
