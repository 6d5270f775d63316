"""score: decoded tags and events against the truth -> report.json and report.txt.

N clips, K classes.
"""

import json
from pathlib import Path

import numpy as np

from wsedtk import datadir, metrics, tables
from wsedtk.atomic import write_text
from wsedtk.errors import InputError
from wsedtk.events import Events
from wsedtk.progress import say
from wsedtk.scoring import CLASS_SEGMENT_KEYS, F1_KEYS, SEGMENT_KEYS, cell, empty_report, measure_events, measure_tags, text_table
from wsedtk.store import ScoreFile


def _match(truth, decoded, data_set, out_dir):
    """The truth and the decoded set reduced to the clips that both hold, in the same order."""
    in_truth, in_decoded = np.isin(decoded.filenames, truth.filenames), np.isin(truth.filenames, decoded.filenames)
    if not in_truth.any():
        raise InputError(f"{out_dir}: none of its {len(decoded)} clips is in {data_set}")
    if not in_truth.all():
        odd = decoded.filenames[~in_truth].tolist()
        say(f"warning: {len(odd)} decoded clips are not in {data_set} and are not scored: {tables.first(odd)}")
    if not in_decoded.all():
        odd = truth.filenames[~in_decoded].tolist()
        say(f"warning: {len(odd)} clips of {data_set} were not decoded and are not scored: {tables.first(odd)}")
    return truth.select(in_decoded), decoded.select(in_truth)


def _official_clips(truth, data_set):
    """How many clips the set officially has, present or not."""
    official = truth.info.get("official_clips")
    if official is None:
        return len(truth)
    if type(official) is not int or official < 0:
        raise InputError(f"{Path(data_set) / 'info.yaml'}: official_clips: expected a whole number, found {official!r}")
    return official


def _scores_of(path, truth, decoded):
    """The score file's rows for the clips of the truth. Raises InputError where some are missing."""
    scores = ScoreFile(path)
    if decoded.info.get("scores") not in (None, scores.attributes["fingerprint"]):
        raise InputError(f"{path}: the folder was decoded from other scores ({decoded.info['scores']}) "
                         f"than these ({scores.attributes['fingerprint']}); decode these, or give those")
    if scores.labels != truth.labels:
        raise InputError(f"{path}: its classes are not those of the reference")
    rows = scores.rows(truth.filenames)
    missing = truth.filenames[rows < 0].tolist()
    if missing:
        raise InputError(f"{path}: holds no scores of {len(missing)} scored clips, the first {missing[0]!r}")
    return scores, rows


def measure_scores(report, truth, decoded, scores_path, weights):
    """Fill in what needs the scores themselves: MAP, MAUC, d', PSDS."""
    scores, rows = _scores_of(scores_path, truth, decoded)
    clip, tags = scores.clip[rows], truth.tag_matrix()
    report["audioset"] = metrics.ranking_metrics(clip, tags)
    if weights is not None:
        found = metrics.interval_of([metrics.ranking_metrics(clip, tags, w) for w in weights])
        ends = [metrics.dprime(auc) for auc in found["mauc"] or [None, None]]  # d' rises with the area: so do its percentiles
        found["dprime"] = ends if None not in ends else None
        report["audioset"].update({f"{name}_ci": value for name, value in found.items()})
    if truth.events is not None and scores.has("frame"):
        frames = [scores.frames(row) for row in rows]
        report["psds"], report["psds_classes"] = metrics.psds(frames, scores.seconds_per_frame, truth.events, truth.durations, truth.labels)


def table(report, name):
    """The report as text: this system beside the four baselines, then class by class."""
    def row(title, source):
        s, t = source["segment"], source["tagging"]
        return [title, cell(t["f1"], t.get("f1_ci"))] + [cell(s[k], s.get(f"{k}_ci") if k in ("error_rate", "f1") else None)
                                                         for k in SEGMENT_KEYS]
    header = ["system", "tag F1", "ER", "Sub", "Del", "Ins", "Pre", "Rec", "seg F1"]
    titles = {"nothing": "nothing", "everything": "everything", "system_tags": "its tags, whole clip", "true_tags": "true tags, whole clip"}
    clips, tagging, a = report["clips"], report["tagging"], report["audioset"]
    lines = [f"{name}: {clips['scored']:,} of {clips['official']:,} official clips (list {clips['fingerprint']})"
             + (", the very clips that its thresholds were tuned on" if clips["tuned_on_these"] else ""), ""]
    lines += text_table(header, [row("this system", report), *(row(titles[n], b) for n, b in report["baselines"].items())])
    lines += ["", f"tagging: precision {cell(tagging['precision'])}, recall {cell(tagging['recall'])}; "
                  f"MAP {cell(a['map'], a.get('map_ci'))}, MAUC {cell(a['mauc'])}, d' {cell(a['dprime'])}",
              f"events (200 ms): F1 {cell(report['event']['f1'], report['event'].get('f1_ci'))}; "
              f"PSDS1 {cell(report['psds']['psds1'])}, PSDS2 {cell(report['psds']['psds2'])}"
              + ("" if metrics.can_measure_psds() else " (PSDS needs: pip install 'wsedtk[psds]')"),
              "its own segments in clips without its tag: " + cell(report["consistency"]["segments_without_tag"])
              + "; its tags without a segment: " + cell(report["consistency"]["tags_without_segment"]), ""]
    lines += text_table(["class", "tag Pre", "tag Rec", "tag F1", "seg ER", "Del", "Ins", "Pre", "Rec", "seg F1", "event F1"],
                        [[label, *(cell(c["tagging"][k]) for k in F1_KEYS), *(cell(c["segment"][k]) for k in CLASS_SEGMENT_KEYS),
                          cell(c["event"]["f1"])] for label, c in report["classes"].items()])
    return "\n".join(lines) + "\n"


def run(data_set, out_dir, scores_path, num_resamples, as_json):
    """Score the decoded folder and write report.json, report.txt and the reference that they are against, into it."""
    out_dir, truth = Path(out_dir), datadir.read(data_set)
    decoded = datadir.read_decoded(out_dir, truth.labels)
    official = _official_clips(truth, data_set)
    truth, decoded = _match(truth, decoded, data_set, out_dir)
    weights = metrics.clip_weights(len(truth), num_resamples) if num_resamples else None
    report = empty_report(truth.labels)
    report["clips"] = {"scored": len(truth), "official": official, "fingerprint": datadir.fingerprint_clips(truth.filenames.tolist()),
                       "tuned_on_these": str(decoded.info.get("tuned_on")).split(" ")[0] == decoded.info.get("scores")}
    measure_tags(report, truth, decoded, weights)
    if truth.events is not None:
        measure_events(report, truth, decoded, weights)
    if scores_path is not None:
        measure_scores(report, truth, decoded, scores_path, weights)
    reference = truth.events if truth.events is not None else Events.from_rows([])
    datadir.write_decoded(out_dir / "reference", truth.filenames.tolist(), truth.durations.tolist(), truth.labels, truth.tag_matrix(),
                          reference)
    text = table(report, out_dir)
    content = json.dumps(report, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    write_text(out_dir / "report.txt", text)
    write_text(out_dir / "report.json", content)
    print(content if as_json else text, end="")
