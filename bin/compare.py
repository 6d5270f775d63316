"""Mean and interval over seeds of the scored systems of an experiment, and paired differences between them.

    python3 compare.py EXP --systems NAME ... --seeds N ... --table SET/MODE=TITLE ... [--resamples 1000]

Reads EXP/<system>.seed<N>/<set>/<mode>/report.json and the events beside it; a table that nothing is there for is left out. Writes
EXP/compare.tsv and EXP/compare.md, and prints the latter. An interval over seeds is Student's, of 95 %. A difference between two systems
is that of their means over seeds; where segments are scored its interval is a bootstrap of clips and seeds, both drawn alike for both
systems, 95 % between percentiles, and else, for MAP, MAUC and d', Student's over the seeds' differences.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import scipy.stats

from wsedtk import datadir, metrics, scoring
from wsedtk.atomic import write_text
from wsedtk.errors import InputError

TAGGING = [("tag Pre", "tagging", "precision"), ("tag Rec", "tagging", "recall"), ("tag F1", "tagging", "f1")]
SEGMENT = [("Sub", "segment", "substitution_rate"), ("Del", "segment", "deletion_rate"), ("Ins", "segment", "insertion_rate"),
           ("ER", "segment", "error_rate"), ("Pre", "segment", "precision"), ("Rec", "segment", "recall"), ("F1", "segment", "f1")]
RANKING = [("MAP", "audioset", "map"), ("MAUC", "audioset", "mauc"), ("d'", "audioset", "dprime")]


def folder_of(exp, system, seed, place):
    """The scored folder of one run; place: <set>/<mode>."""
    return exp / f"{system}.seed{seed}" / place


def over_seeds(values):
    """Mean and half the width of its 95 % interval (Student's) of one value a seed; None for the width of a single seed."""
    values = np.array(values, float)
    if len(values) < 2:
        return float(values.mean()), None
    return float(values.mean()), float(scipy.stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def clip_counts(folder, labels):
    """Segment counts (N, 7) of each clip of a scored folder."""
    truth, decoded = (datadir.read_decoded(f, labels) for f in (folder / "reference", folder))
    decoded = decoded.select(np.isin(decoded.filenames, truth.filenames))
    true, said, clip_of = scoring.active_segments(truth, decoded)
    return metrics.sum_by_clip(metrics.segment_counts(true, said), clip_of, len(truth))


def difference(counts, others, rng, resamples):
    """Paired differences (others - counts) of ER and F1 with intervals. counts, others: (seeds, N, 7)."""
    def means(c, clips, seeds):
        found = [metrics.rates(c[s][clips].sum(axis=0)) for s in seeds]
        return np.array([np.mean([f[key] or 0 for f in found]) for key in ("error_rate", "f1")])

    num_seeds, num_clips = counts.shape[:2]
    value = means(others, slice(None), range(num_seeds)) - means(counts, slice(None), range(num_seeds))
    drawn = []
    for _ in range(resamples):
        clips, seeds = rng.integers(0, num_clips, num_clips), rng.integers(0, num_seeds, num_seeds)
        drawn.append(means(others, clips, seeds) - means(counts, clips, seeds))
    return value, np.percentile(drawn, [2.5, 97.5], axis=0).T if resamples else [(None, None)] * 2


def pairs_of(systems):
    """What is compared: each hierarchical system with its single one, every other with the linear one of its network."""
    for system in systems:
        single = system.removesuffix("_hierarchical")
        linear = single.rsplit("_", 1)[0] + "_linear"
        base = single if single != system else linear
        if base != system and base in systems:
            yield base, system


def markdown(header, rows):
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows]) + "\n"


def ranking_rows(reports):
    """Rows of paired differences of MAP, MAUC and d' over seeds. reports: {system: a report a seed}."""
    for base, system in pairs_of(list(reports)):
        row = []
        for name, group, key in RANKING:
            mean, half = over_seeds([(b[group][key] or 0) - (a[group][key] or 0) for a, b in zip(reports[base], reports[system])])
            row.append((name, mean, *((None, None) if half is None else (mean - half, mean + half))))
        yield f"{system} - {base}", row


def segment_rows(exp, reports, seeds, place, resamples):
    """Rows of paired differences of ER and segment F1."""
    rng, counts = np.random.default_rng(0), {}
    for system, found in reports.items():
        counts[system] = np.stack([clip_counts(folder_of(exp, system, seed, place), list(r["classes"])) for seed, r in zip(seeds, found)])
    for base, system in pairs_of(list(reports)):
        value, ends = difference(counts[base], counts[system], rng, resamples)
        yield f"{system} - {base}", [(name, v, low, high) for name, v, (low, high) in zip(("ER", "F1"), value, ends)]


def table(exp, systems, seeds, place, title, resamples):
    """One table and its paired differences: (Markdown, lines of the flat table), or None where nothing is there for it."""
    folders = {system: [folder_of(exp, system, seed, place) for seed in seeds] for system in systems}
    if not folders[systems[0]][0].is_dir():
        return None
    missing = [str(f) for found in folders.values() for f in found if not (f / "report.json").is_file()]
    if missing:
        raise InputError(f"{missing[0]}: no report.json there; score it (stage 8)")
    reports = {system: [json.loads((f / "report.json").read_text(encoding="utf-8")) for f in found] for system, found in folders.items()}
    if len({report["clips"]["fingerprint"] for found in reports.values() for report in found}) > 1:
        raise InputError(f"{place}: the systems were scored on different lists of clips; score them on the same")
    report = reports[systems[0]][0]
    has_segments = report["segment"]["f1"] is not None
    columns, rows, flat = TAGGING + (SEGMENT if has_segments else RANKING), [], []
    for system, found in reports.items():
        row = [system]
        for name, group, key in columns:
            mean, half = over_seeds([report[group][key] or 0 for report in found])
            row.append(f"{mean:.3f}" + (f" ± {half:.3f}" if half is not None else ""))
            ends = ("", "") if half is None else (f"{mean - half:.6g}", f"{mean + half:.6g}")
            flat.append("\t".join([place.replace("/", " "), system, name, f"{mean:.6g}", *ends]))
        rows.append(row)
    clips = f"{report['clips']['scored']:,} of {report['clips']['official']:,} official clips, {len(seeds)} seeds"
    page = [f"## {title}\n", f"{clips}; mean ± half of its 95 % interval over seeds\n",
            markdown(["system", *(name for name, *_ in columns)], rows)]
    rows = []
    for label, found in segment_rows(exp, reports, seeds, place, resamples) if has_segments else ranking_rows(reports):
        rows.append([label, *(f"{v:+.3f}" + (f" [{low:+.3f}, {high:+.3f}]" if low is not None else "") for _, v, low, high in found)])
        flat += ["\t".join([f"{place.replace('/', ' ')} difference", label, name, *("" if n is None else f"{n:.6g}" for n in numbers)])
                 for name, *numbers in found]
    if rows:
        what = "bootstrap over clips and seeds" if has_segments else "interval (Student's) over seeds"
        page += [f"Paired differences, 95 % {what}\n",
                 markdown(["difference", *(["ER", "F1"] if has_segments else [name for name, *_ in RANKING])], rows)]
    return page, flat


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exp", type=Path)
    parser.add_argument("--systems", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", required=True)
    parser.add_argument("--table", action="append", required=True)
    parser.add_argument("--resamples", type=int, default=1000)
    options = parser.parse_args()
    systems, seeds = (list(dict.fromkeys(v)) for v in (options.systems, options.seeds))
    try:
        found = [table(options.exp, systems, seeds, *text.split("=", 1), options.resamples) for text in options.table]
        if not any(found):
            raise InputError(f"{options.exp}: no scores of {systems[0]}.seed{seeds[0]}; compare_pooling.sh makes them")
    except InputError as error:
        parser.exit(1, f"compare.py: {error}\n")
    page, flat = ([line for part in found if part for line in part[i]] for i in (0, 1))
    text = "\n".join(page)
    write_text(options.exp / "compare.tsv", "\n".join(["table\tsystem\tmeasure\tvalue\tlow\thigh", *flat]) + "\n")
    write_text(options.exp / "compare.md", text)
    print(text, end="")


if __name__ == "__main__":
    main()
