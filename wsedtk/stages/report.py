"""report: trained and scored systems -> one self-contained page, and its figures as files."""

import base64
import html
import re
from pathlib import Path

import numpy as np

from wsedtk import chain, datadir, metrics, model_card, operating_point, plots, scoring
from wsedtk.atomic import write_text, writing
from wsedtk.errors import InputError
from wsedtk.store import FeatureStore, ScoreFile

NUM_TIMELINES = 4  # of the clips with the most segment errors, and as many of those with the fewest
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 1rem auto; padding: 0 1rem; color: #222; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin-top: 2rem; border-bottom: 1px solid #ccc } h3 { font-size: 1rem }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: 0.75rem; font-variant-numeric: tabular-nums }
th, td { padding: 0.2rem 0.3rem; text-align: right; border-bottom: 1px solid #eee; white-space: nowrap }
th:first-child, td:first-child { text-align: left } .ci { color: #666; font-size: 0.65em; display: block } .baseline { color: #666 }
.pair { display: flex; flex-wrap: wrap; gap: 0 3rem } details { margin: 1rem 0 }
img { max-width: 100%; height: auto } @media print { table { font-size: 0.55rem } h2 { break-after: avoid } img { break-inside: avoid } }
"""
COLUMNS = (("tag F1", "tagging", "f1"), ("ER", "segment", "error_rate"), ("Sub", "segment", "substitution_rate"),
           ("Del", "segment", "deletion_rate"), ("Ins", "segment", "insertion_rate"), ("Pre", "segment", "precision"),
           ("Rec", "segment", "recall"), ("seg F1", "segment", "f1"), ("event F1", "event", "f1"), ("PSDS1", "psds", "psds1"),
           ("PSDS2", "psds", "psds2"), ("MAP", "audioset", "map"), ("MAUC", "audioset", "mauc"), ("d'", "audioset", "dprime"))
LEGEND = (("tag: clips", "tagging", None), ("seg: segments of 1 s", "segment", None),
          ("ER: error rate with its parts (substitutions, deletions, insertions)", "segment", None),
          ("event F1: onsets within 200 ms", "event", None),
          ("MAP, MAUC: average precision and area under the ROC curve, means over the classes with positives", "audioset", None),
          ("d': MAUC as a distance between unit normals", "audioset", None))
CLASS_COLUMNS = (("clips", "audioset", "positives"), ("AP", "audioset", "ap"), ("AUC", "audioset", "auc"), ("d'", "audioset", "dprime"),
                 ("tagging F1", "tagging", "f1"), ("segment Pre", "segment", "precision"), ("segment Rec", "segment", "recall"),
                 ("segment F1", "segment", "f1"), ("event F1", "event", "f1"))


def _cell(report, section, key):
    value, interval = report.get(section, {}).get(key), report.get(section, {}).get(f"{key}_ci")
    text = "–" if value is None else scoring.cell(value)
    return text + (f' <span class="ci">{interval[0]:.3f}–{interval[1]:.3f}</span>' if interval else "")


def _rows_table(header, rows):
    """An HTML table of escaped headers and ready cells; rows: (class name or '', cells)."""
    lines = ['<div class="wide"><table><tr>', *(f"<th>{html.escape(h)}</th>" for h in header), "</tr>"]
    for kind, cells in rows:
        lines += [f'<tr class="{kind}">', *(f"<td>{c}</td>" for c in cells), "</tr>"]
    return "".join([*lines, "</table></div>"])


class _Page:
    """The parts of the page, and the figures on their way into it and into a folder."""

    def __init__(self, figures):
        self.parts, self.folder, self.count = [], figures, 0

    def add(self, text):
        """Add HTML."""
        self.parts.append(text)

    def figure(self, name, figure):
        """Add a figure; `name` becomes its file name and its alternative text."""
        data = plots.png(figure)
        self.add(f'<p><img alt="{html.escape(name, quote=True)}" src="data:image/png;base64,{base64.b64encode(data).decode()}"></p>')
        if self.folder is not None:
            self.count += 1
            safe = re.sub(r"[^\w.-]+", "_", name).encode()[:200].decode(errors="ignore")  # of a name's 255 bytes
            with writing(Path(self.folder) / f"{self.count:02d}_{safe}.png") as temporary:
                temporary.write_bytes(data)

    def text(self, title):
        """The whole page."""
        return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
                f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>\n'
                + "\n".join(self.parts) + "\n</body></html>\n")


def _read_history(path):
    try:
        lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
        history = {name: [float(row[i]) for row in lines[1:]] for i, name in enumerate(lines[0])}
    except (OSError, ValueError, IndexError):
        history = {}
    if not set(plots.HISTORY) <= set(history):
        raise InputError(f"{path}: not a training history")
    return history


def comparison(reports):
    """The first table: every scored folder, then the baselines on its set. reports: {folder: report.json}."""
    rows, seen, columns = [], set(), scoring.measured(COLUMNS, reports.values())
    for folder, report in reports.items():
        name = "/".join(folder.parts[-3:]) + (" (tuned on this set)" if report["clips"].get("tuned_on_these") else "")
        rows.append(("", [html.escape(name), html.escape(f"{report['clips']['scored']}/{report['clips']['official']}"),
                          *(_cell(report, *key) for _, *key in columns)]))
    for folder, report in reports.items():
        if folder.parent.name in seen or report["segment"]["f1"] is None:
            continue
        seen.add(folder.parent.name)
        for name, baseline in report["baselines"].items():
            title = f"{folder.parent.name}, baseline: {name.replace('_', ' ')}"
            rows.append(("baseline", [html.escape(title), "", *(_cell(baseline, *key) for _, *key in columns)]))
    return _rows_table(["system/set/mode", "clips", *(name for name, *_ in columns)], rows)


def _class_table(classes, labels):
    """An HTML table of these classes. classes: a report's."""
    columns = scoring.measured(CLASS_COLUMNS, classes.values())
    rows = [("", [html.escape(label), *(_cell(classes[label], *key) for _, *key in columns)]) for label in labels]
    return _rows_table(["class", *(name for name, *_ in columns)], rows)


def class_tables(report):
    """All classes; where there are many, the best and the worst, and all of them folded up."""
    classes, extremes = report["classes"], scoring.extreme_classes(report)
    whole = _class_table(classes, classes)
    if extremes is None:
        return whole
    what, *parts = extremes
    shown = "".join(f"<div>{name} {len(labels)} by {what}{_class_table(classes, labels)}</div>"
                    for name, labels in zip(("Best", "Worst"), parts))
    return f'<div class="pair">{shown}</div><details><summary>All {len(classes)} classes</summary>{whole}</details>'


def _events_by_clip(dataset):
    lists = [[] for _ in range(len(dataset))]
    for clip, onset, offset, label in dataset.events.rows():
        lists[clip].append((onset, offset, label))
    return lists


def _errors(truth, decoded):
    """Segment errors (S + D + I) of each clip."""
    active = [metrics.activity(d.events, truth.durations, len(truth.labels)) for d in (truth, decoded)]
    counts = metrics.segment_counts(active[0][0], active[1][0])
    return metrics.sum_by_clip(counts, active[0][1], len(truth))[:, :3].sum(axis=1)


def choose_clips(truth, decoded):
    """Clips for the timelines: those with the most segment errors, then those with events and the fewest: two lists."""
    errors = _errors(truth, decoded)
    worst = np.argsort(-errors, kind="stable")[:NUM_TIMELINES].tolist()
    num_events = np.bincount(truth.events.clip, minlength=len(truth))
    rest = [i for i in np.lexsort((-num_events, errors)).tolist() if i not in worst and num_events[i]]
    return worst, rest[:NUM_TIMELINES]


def _features_of(scores):
    """The features that the scores were made from, where they are still there, and still those."""
    path, expected = scores.attributes.get("features"), [scores.attributes.get(f"{k}_fingerprint") for k in ("features", "audio")]
    try:
        features = FeatureStore([path]) if path else None
    except InputError:
        return None
    return features if features is None or expected in ([None, None], [features.fingerprint, features.audio[0]]) else None


def add_timelines(page, folder, report):
    """Add the timelines of one scored folder, where it and its set have events and frame scores."""
    scores_path, reference = folder.parent / "scores.h5", folder / "reference"
    if not scores_path.exists() or not reference.is_dir() or report["segment"]["f1"] is None:
        return
    scores, labels = ScoreFile(scores_path), list(report["classes"])
    if not scores.has("frame"):
        return
    truth, decoded = datadir.read_decoded(reference, labels), datadir.read_decoded(folder, labels)
    decoded = decoded.select(np.isin(decoded.filenames, truth.filenames))
    features, true, found = _features_of(scores), _events_by_clip(truth), _events_by_clip(decoded)
    rows = scores.rows(truth.filenames)
    point = folder / "operating_point.yaml"
    limits = operating_point.read(point).frame_thresholds if point.exists() else np.full(len(labels), np.inf)
    for title, clips in zip(("the most", "the fewest"), choose_clips(truth, decoded)):
        page.add(f"<h3>Clips with {title} segment errors</h3>")
        for clip in clips:
            name = str(truth.filenames[clip])
            row = features.rows([name])[0] if features is not None else -1
            image = features.read([row])[0] if row >= 0 else None
            step = features.frontend["hop"] / features.frontend["sample_rate"] if row >= 0 else None
            page.figure(f"{'/'.join(folder.parts[-3:])}: {name}", plots.timeline(
                name, truth.durations[clip], labels, scores.frames(rows[clip]), scores.seconds_per_frame, limits,
                found[clip], true[clip], image, step))


def check_folder(model, folder, report):
    """Raise InputError where model, scores, decoded folder and report do not come from one another, one having been made anew."""
    for message in chain.breaks(model, folder, report):
        raise InputError(message)


def check_sets(reports):
    """Raise InputError where folders of one set's name were scored against other truth, or on other clips. reports: {folder: report}."""
    seen = {}
    for folder, report in reports.items():
        found = {"truth": report.get("made_from", {}).get("data"), "clips": report["clips"].get("fingerprint")}
        for what, fingerprint in found.items():
            other, before = seen.setdefault((folder.parent.name, what), (folder, fingerprint))
            if before and fingerprint and before != fingerprint:
                raise InputError(f"{folder}: scored against other {what} of the set {folder.parent.name!r} ({fingerprint}) than {other} "
                                 f"({before}); score both against the same, or make two reports")


def run(model_dirs, output, figures):
    """Write the page about every scored folder `<model>/<set>/<mode>/` of the models."""
    reports = {path.parent: scoring.read_report(path) for model in model_dirs for path in sorted(Path(model).glob("*/*/report.json"))}
    if not reports:
        raise InputError(f"{', '.join(map(str, model_dirs))}: no report.json in SET/MODE/ there; wsedtk score writes it")
    check_sets(reports)
    page = _Page(figures)
    page.add("<h1>Sound event detection report</h1>" + comparison(reports))
    page.add(f"<p>{'; '.join(text for text, *_ in scoring.measured(LEGEND, reports.values()))}. "
             "Small figures: 95 % bootstrap intervals over clips.</p>")
    for model in map(Path, model_dirs):
        model_card.refresh(model)
        page.add(f"<h2>{html.escape(model.name)}</h2>")
        if (model / "history.tsv").exists():
            page.figure(f"{model.name}: training", plots.training_curves(_read_history(model / "history.tsv"), model.name))
        for folder, report in reports.items():
            if folder.parent.parent == model:
                check_folder(model, folder, report)
                page.add(f"<h3>{html.escape('/'.join(folder.parts[-3:]))}: by class</h3>" + class_tables(report))
                if folder.name == "frame":
                    add_timelines(page, folder, report)
    write_text(output, page.text("Sound event detection report"))
    print(f"{output}: {len(reports)} scored folders of {len(model_dirs)} systems")
