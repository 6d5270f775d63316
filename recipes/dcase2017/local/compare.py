"""Mean and interval over seeds of the scored systems of an experiment, and paired differences between them.

    python3 compare.py EXP --systems NAME ... --seeds N ... [--resamples 1000]

Reads EXP/<system>.seed<N>/{test,eval}/{segment,frame}/report.json and the events beside it. Writes EXP/compare.tsv and EXP/compare.md,
and prints the latter. An interval over seeds is Student's, of 95 %. A difference between two systems is that of their means over
seeds; its interval is a bootstrap of clips and seeds, both drawn alike for both systems, 95 % between percentiles.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import scipy.stats

from wsedtk import datadir, metrics
from wsedtk.atomic import write_text

COLUMNS = [("tag Pre", "tagging", "precision"), ("tag Rec", "tagging", "recall"), ("tag F1", "tagging", "f1"),
           ("Sub", "segment", "substitution_rate"), ("Del", "segment", "deletion_rate"), ("Ins", "segment", "insertion_rate"),
           ("ER", "segment", "error_rate"), ("Pre", "segment", "precision"), ("Rec", "segment", "recall"), ("F1", "segment", "f1")]
TABLES = [("Segment mode on the development set (as Wang, Li & Metze, table 2)", "test", "segment"),
          ("Segment mode on the evaluation set", "eval", "segment"),
          ("Frame mode on the development set, which it is tuned on (as He, Shen & Zhang, table 2)", "test", "frame"),
          ("Frame mode on the evaluation set (as He, Shen & Zhang, table 2)", "eval", "frame")]


def folder_of(exp, system, seed, part, mode):
    """The scored folder of one run."""
    return exp / f"{system}.seed{seed}" / part / mode


def over_seeds(values):
    """Mean and half the width of its 95 % interval (Student's) of one value a seed; None for the width of a single seed."""
    values = np.array(values, float)
    if len(values) < 2:
        return float(values.mean()), None
    return float(values.mean()), float(scipy.stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def clip_counts(folder, labels):
    """Segment counts (N, 7) of each clip of a scored folder, and the clips' names."""
    truth, decoded = (datadir.read_decoded(f, labels) for f in (folder / "reference", folder))
    decoded = decoded.select(np.isin(decoded.filenames, truth.filenames))
    events = [metrics.cut(metrics.drop_zero_length(d.events), truth.durations) for d in (truth, decoded)]
    active = [metrics.activity(e, truth.durations, len(labels)) for e in events]
    return metrics.sum_by_clip(metrics.segment_counts(active[0][0], active[1][0]), active[0][1], len(truth)), truth.filenames.tolist()


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
    return value, np.percentile(drawn, [2.5, 97.5], axis=0).T if resamples else None


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


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exp", type=Path)
    parser.add_argument("--systems", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", required=True)
    parser.add_argument("--resamples", type=int, default=1000)
    options = parser.parse_args()
    options.systems, options.seeds = (list(dict.fromkeys(v)) for v in (options.systems, options.seeds))
    exp, rng = options.exp, np.random.default_rng(0)
    page, flat = [], ["table\tsystem\tmeasure\tvalue\tlow\thigh"]
    scored = [t for t in TABLES if folder_of(exp, options.systems[0], options.seeds[0], *t[1:]).is_dir()]
    if not scored:
        parser.exit(1, f"compare.py: {exp}: no scores of {options.systems[0]}.seed{options.seeds[0]}; compare_pooling.sh makes them\n")
    for title, part, mode in scored:
        rows, counts, fingerprints = [], {}, set()
        for system in options.systems:
            folders = [folder_of(exp, system, seed, part, mode) for seed in options.seeds]
            missing = [str(folder) for folder in folders if not (folder / "report.json").is_file()]
            if missing:
                parser.exit(1, f"compare.py: {missing[0]}: no report.json there; score it (stage 8)\n")
            reports = [json.loads((folder / "report.json").read_text(encoding="utf-8")) for folder in folders]
            fingerprints |= {report["clips"]["fingerprint"] for report in reports}
            counts[system] = np.stack([clip_counts(f, list(r["classes"]))[0] for f, r in zip(folders, reports)])
            row = [system]
            for name, group, key in COLUMNS:
                mean, half = over_seeds([report[group][key] or 0 for report in reports])
                row.append(f"{mean:.3f}" + (f" ± {half:.3f}" if half is not None else ""))
                ends = ("", "") if half is None else (f"{mean - half:.6g}", f"{mean + half:.6g}")
                flat.append("\t".join([f"{part} {mode}", system, name, f"{mean:.6g}", *ends]))
            rows.append(row)
        if len(fingerprints) > 1:
            parser.exit(1, f"compare.py: {part}, {mode}: the systems were scored on different lists of clips; score them on the same\n")
        clips = f"{reports[0]['clips']['scored']:,} of {reports[0]['clips']['official']:,} official clips, {len(options.seeds)} seeds"
        page += [f"## {title}\n", f"{clips}; mean ± half of its 95 % interval over seeds\n",
                 markdown(["system", *(name for name, *_ in COLUMNS)], rows)]
        rows = []
        for base, system in pairs_of(options.systems):
            value, ends = difference(counts[base], counts[system], rng, options.resamples)
            row = [f"{system} - {base}"]
            for name, v, (low, high) in zip(("ER", "F1"), value, ends):
                row.append(f"{v:+.3f} [{low:+.3f}, {high:+.3f}]")
                flat.append("\t".join([f"{part} {mode} difference", row[0], name, f"{v:.6g}", f"{low:.6g}", f"{high:.6g}"]))
            rows.append(row)
        if rows:
            page += ["Paired differences, 95 % bootstrap over clips and seeds\n", markdown(["difference", "ER", "F1"], rows)]
    text = "\n".join(page)
    write_text(exp / "compare.tsv", "\n".join(flat) + "\n")
    write_text(exp / "compare.md", text)
    print(text, end="")


if __name__ == "__main__":
    main()
