"""score: decoded tags and events against the truth -> report.json and report.txt.

N clips, K classes.
"""

import json
from pathlib import Path

from wsedtk.core import console, provenance
from wsedtk.core.atomic import write_text
from wsedtk.core.errors import InputError
from wsedtk.core.progress import say
from wsedtk.data import datadir, tables
from wsedtk.data.events import Events
from wsedtk.data.set_tables import Repeat
from wsedtk.data.store import ScoreFile
from wsedtk.evaluation import metrics, ranking
from wsedtk.evaluation.report_data import (
    CLASS_SEGMENT_KEYS,
    F1_KEYS,
    MANY_CLASSES,
    RANKING_KEYS,
    SEGMENT_KEYS,
    cell,
    empty_report,
    extreme_classes,
    matched,
    measure_events,
    measure_tags,
    measured,
    psds_note,
    text_table,
    warn_of_late,
    warn_of_repeats,
    why_no_interval,
    zero_length_note,
)

_TAGGING = tuple(zip(("tag Pre", "tag Rec", "tag F1"), ["tagging"] * 3, F1_KEYS))
EVENTS_COLUMNS = (_TAGGING[2], *zip(("ER", "Sub", "Del", "Ins", "Pre", "Rec", "seg F1"), ["segment"] * 7, SEGMENT_KEYS))
TAGS_COLUMNS = (*_TAGGING, *zip(("MAP", "MAUC", "d'"), ["audioset"] * 3, ("map", "mauc", "dprime")))  # without events
CLASS_COLUMNS = (*_TAGGING, *zip(("AP", "AUC", "d'", "clips"), ["audioset"] * 4, RANKING_KEYS),
                 *zip(("seg ER", "Del", "Ins", "Pre", "Rec", "seg F1"), ["segment"] * 6, CLASS_SEGMENT_KEYS), ("event F1", "event", "f1"))
WITH_INTERVAL = ("f1", "error_rate", "map", "mauc", "dprime")


def _read_truth(data_set):
    """Read the reference, and tell of its rows and events that do not count."""
    truth, faults = datadir.check(data_set)
    tables.raise_on_errors(faults, f"wsedtk validate '{data_set}' lists them all")
    repeats = [fault for fault in faults if isinstance(fault, Repeat)]
    for path in dict.fromkeys(fault.path for fault in repeats):
        warn_of_repeats(path, [fault.line for fault in repeats if fault.path == path])
    if truth.events is not None:
        path = Path(data_set) / "events.tsv"
        warn_of_late(path, truth.events, truth.filenames, truth.durations)
    return truth


def _failed(path):
    """The clips that decode lists as failed: their audio could not be read."""
    faults = []
    names = [name for _, (block,) in tables.read_rows(path, ("filename",), faults) for name in block] if path.exists() else []
    tables.raise_on_errors(faults, "decode the scores again")
    return names


def _match(truth, decoded, data_set, out_dir):
    """The truth and the decoded set reduced to the clips that both hold, named as in the truth.

    Raises InputError where one of the truth was not decoded, and is not of those whose audio failed.
    """
    found, in_decoded = matched(decoded, truth.filenames)
    if not len(found):
        raise InputError(f"{out_dir}: none of its {len(decoded)} clips is in {data_set}")
    if len(found) < len(decoded):
        odd = decoded.filenames[tables.find_clips(truth.filenames, decoded.filenames) < 0].tolist()
        say(f"warning: {len(odd)} decoded clips are not in {data_set} and are not scored: {tables.first(odd)}")
    is_failed = tables.find_clips(_failed(Path(out_dir) / "failed.tsv"), truth.filenames) >= 0
    missing, left_out = (truth.filenames[~in_decoded & part].tolist() for part in (~is_failed, is_failed))
    if missing:
        raise InputError(f"{data_set}: {len(missing)} of {len(truth)} clips were not decoded into {out_dir}, the first {missing[0]!r}; "
                         "predict and decode them too, or take them out of the set")
    if left_out:
        say(f"warning: {len(left_out)} clips of {data_set} are not scored, their audio could not be read: {tables.first(left_out)}")
    return truth.select(in_decoded), found


def _official_clips(truth, data_set):
    """How many clips the set officially has, present or not."""
    official = truth.info.get("official_clips")
    if official is None:
        return len(truth)
    if type(official) is not int or official < 0:
        raise InputError(f"{Path(data_set) / 'info.yaml'}: official_clips: expected a whole number, found {official!r}")
    return official


def _sources(decoded):
    """The fingerprints of what a folder was decoded from; None where its info.yaml doesn't say."""
    return {key: None if decoded.info.get(key) is None else str(decoded.info[key]) for key in ("model", "scores", "operating_point")}


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
    classes = ranking.class_ranking(clip, tags)
    for label, found in zip(truth.labels, classes):
        report["classes"][label]["audioset"] = found
    report["audioset"] = ranking.mean_ranking(classes)
    if weights is not None:
        found = ranking.ranking_intervals(clip, tags)
        report["audioset"].update({f"{name}_ci": ends for name, ends in found.items()})
    if truth.events is not None and scores.has("frame"):
        frames = [scores.frames(row) for row in rows]
        report["psds"], report["psds_classes"] = metrics.psds(
            frames, scores.seconds_per_frame, truth.events, truth.durations, scores.durations[rows])


def _table(first, rows, columns):
    """Lines of a table. rows: (title, a report, a baseline or a class); columns: (header, section, key)."""
    def figures(source):
        sections = [source.get(section, {}) for _, section, _ in columns]
        return [cell(s.get(key), s.get(f"{key}_ci") if key in WITH_INTERVAL else None) for s, (*_, key) in zip(sections, columns)]
    return text_table([first, *(header for header, *_ in columns)], [[title, *figures(source)] for title, source in rows])


def _notes(report, with_events):
    """The lines between the tables."""
    tagging, event, psds, a, own = (report[name] for name in ("tagging", "event", "psds", "audioset", "consistency"))
    counts = [c["audioset"]["positives"] for c in report["classes"].values()]
    over = f"over {sum(map(bool, counts))} of {len(counts)} classes, those with positives" if None not in counts else None
    if over and (without := why_no_interval(report)):
        over += "; no interval of {}, because {}".format(*without)
    if with_events:
        yield (f"tagging: precision {cell(tagging['precision'])}, recall {cell(tagging['recall'])}; "
               f"MAP {cell(a['map'], a.get('map_ci'))}, MAUC {cell(a['mauc'])}, d' {cell(a['dprime'])}" + (f" {over}" if over else ""))
        event_f1 = cell(event["f1"], event.get("f1_ci")) + zero_length_note(report)
        line = f"PSDS1 {cell(psds['psds1'])}, PSDS2 {cell(psds['psds2'])} {psds_note(report)}"
        yield f"events (200 ms): F1 {event_f1}; {line.rstrip()}"
    elif over:
        yield f"MAP, MAUC, d': {over}"
    yield ("its own segments in clips without its tag: " + cell(own["segments_without_tag"])
           + "; its tags without a segment: " + cell(own["tags_without_segment"]))


def text_of(report, name):
    """The report as text, in two parts: the system beside the baselines, then the classes, the best and the worst first of many."""
    with_events = measured(EVENTS_COLUMNS, [report]) == list(EVENTS_COLUMNS)
    columns = EVENTS_COLUMNS if with_events else measured(TAGS_COLUMNS, [report])
    clips, classes, extremes = report["clips"], report["classes"], extreme_classes(report)
    titles = {"nothing": "nothing", "everything": "everything",
              **({"system_tags": "its tags, whole clip", "true_tags": "true tags, whole clip"} if with_events else {})}
    lines = [f"{name}: {clips['scored']:,} of {clips['official']:,} official clips (list {clips['fingerprint']})"
             + (", the very clips that its thresholds were tuned on" if clips["tuned_on_these"] else ""), ""]
    lines += _table("system", [("this system", report), *((text, report["baselines"][n]) for n, text in titles.items())], columns)
    lines += ["", *_notes(report, with_events), ""]
    columns = measured(CLASS_COLUMNS, classes.values())
    if extremes:
        what, best, worst = extremes
        header, *rows = _table("class", [(label, classes[label]) for label in [*best, *worst]], columns)
        for title, part in ((f"best {len(best)}", rows[:len(best)]), (f"worst {len(worst)}", rows[len(best):])):
            lines += [f"{title} of {len(classes)} classes by {what}", header, *part, ""]
    return "\n".join(lines) + "\n", "\n".join(_table("class", classes.items(), columns)) + "\n"


def run(data_set, out_dir, scores_path, num_resamples, as_json):
    """Score the decoded folder and write report.json, report.txt and the reference that they are against, into it."""
    out_dir, truth = Path(out_dir), _read_truth(data_set)
    decoded = datadir.read_decoded(out_dir, truth.labels)
    official, sources = _official_clips(truth, data_set), {"data": truth.fingerprint(), **_sources(decoded)}
    provenance.check_audio(out_dir, decoded.info.get("audio_fingerprint"), data_set, truth.info.get("audio_fingerprint"))
    truth, decoded = _match(truth, decoded, data_set, out_dir)
    weights = metrics.clip_weights(len(truth), num_resamples) if num_resamples else None
    report = empty_report(truth.labels)
    report["made_from"].update(sources)
    report["clips"] = {"scored": len(truth), "official": official, "fingerprint": datadir.fingerprint_clips(truth.filenames),
                       "tuned_on_these": str(decoded.info.get("tuned_on")).split(" ")[0] == decoded.info.get("scores")}
    measure_tags(report, truth, decoded, weights)
    if truth.events is not None:
        measure_events(report, truth, decoded, weights)
    if scores_path is not None:
        measure_scores(report, truth, decoded, scores_path, weights)
    where = str(Path(data_set).absolute())
    reference = truth.events if truth.events is not None else Events.from_rows([])
    datadir.write_decoded(out_dir / "reference", truth.filenames, truth.durations, truth.labels, truth.tag_matrix(), reference,
                          {"data_set": None if tables.unfit([where]) is not None else where})  # which has the audio
    summary, classes = text_of(report, out_dir)
    content = json.dumps(report, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    write_text(out_dir / "report.txt", summary + classes)
    write_text(out_dir / "report.json", content)
    if len(report["classes"]) > MANY_CLASSES:
        classes = f"all {len(report['classes'])} classes: {out_dir / 'report.txt'}\n"
    print(console.json_text(content) if as_json else summary + classes, end="")
