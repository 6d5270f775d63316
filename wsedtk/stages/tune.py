"""tune: scores and truth of a validation set -> an operating point.

N clips, T frames, S segments, K classes.
"""

import itertools
from pathlib import Path

import numpy as np

from wsedtk.core import provenance
from wsedtk.core.atomic import check_overwrite
from wsedtk.core.errors import InputError
from wsedtk.core.progress import printable, say
from wsedtk.data import datadir, event_decoding, events, store, tables
from wsedtk.decoding import operating_point, score_maxima, thresholds
from wsedtk.decoding.decisions import choose
from wsedtk.evaluation import metrics

MOST_LINES = 40  # classes that are printed
FEW_CLIPS = 30  # a target that rests on fewer positives is warned of


def align(scores, dataset, data_set):
    """Rows of the score file for the clips of a set: (rows (N,), the set without clips whose audio failed). Raises InputError."""
    if scores.labels != dataset.labels:
        odd = sorted(set(scores.labels) ^ set(dataset.labels))
        raise InputError(
            f"{scores.path}: its classes are not those of {data_set}"
            + (f": {tables.first(odd)}" if odd else ", or in another order")
        )
    provenance.check_audio(
        scores.path,
        scores.attributes.get("audio_fingerprint"),
        data_set,
        dataset.info.get("audio_fingerprint"),
    )
    rows = scores.rows_of_set(dataset.filenames, data_set)
    scored = rows >= 0
    if not scored.any():
        raise InputError(
            f"{scores.path}: holds none of the clips of {data_set}: the audio of all of them failed"
        )
    if not scored.all():
        odd = dataset.filenames[~scored].tolist()
        say(
            f"warning: {len(odd)} clips of {data_set} are left out, their audio could not be read: {tables.first(odd)}"
        )
    return rows[scored], dataset.select(scored)


def in_common(values):
    """Scores or truth (N, K) as those of one class, (N K, 1): a threshold for it is one for all classes."""
    return values.reshape(-1, 1)


def frame_options(scores, rows, dataset, criterion, grid, gate, common=False):
    """What each class's frame thresholds lead to with each setting of the grid, and the truth that this is counted against.

    tags: a clip is tagged where any frame is left after filtering (all that a weakly labelled set allows). segments: 1 s
    segments against events.tsv. grid: a list of (median, min, max gap) in seconds; gate: (N, K) booleans, where it is false no
    frame passes; common: one threshold and one setting for all classes, which are one class then (K = 1).
    Returns `Candidates` as `thresholds.search` takes them, and booleans (N, K) or (S, K).
    """
    if criterion == "tags":
        truth = dataset.tag_matrix()
    else:
        truth, _ = metrics.activity(
            metrics.drop_zero_length(dataset.events), dataset.durations, len(dataset.labels)
        )
    step, recorded, values = scores.seconds_per_frame, scores.durations[rows], [[] for _ in grid]
    filters = [event_decoding.filter_frames(*setting, step) for setting in grid]
    for block, frames in scores.blocks(rows):
        for found, setting in zip(values, filters):
            smoothed = (
                event_decoding.smooth(frames, *setting) * gate[block, None]
            )  # filters commute with thresholds, see wsedtk.data.event_decoding
            if criterion == "tags":
                found.append(score_maxima.clip_maxima(smoothed, step, recorded[block]))
            else:
                nominal = dataset.durations[block]
                found.append(
                    score_maxima.segment_maxima(
                        smoothed,
                        step,
                        np.minimum(recorded[block], nominal),
                        events.num_segments(nominal),
                    )
                )
    values = [np.concatenate(found) for found in values]  # (N, K) or (S, K), for each setting
    if common:
        values, truth = [in_common(v) for v in values], in_common(truth)
    return [
        [score_maxima.frame_candidates(v[:, k], truth[:, k]) for v in values]
        for k in range(truth.shape[1])
    ], truth


def print_classes(labels, clip_thresholds, frame_thresholds, settings):
    """Print a line a class. clip_thresholds, frame_thresholds: (K,); settings: (K, 3), see `tune_frames`."""
    labels = [printable(label) for label in labels]
    width = max(map(len, labels))
    print(f"{'class':{width}}  clip threshold  frame threshold  median s  min s  max gap s")
    for k, label in enumerate(labels):
        print(
            f"{label:{width}}  {clip_thresholds[k]:14.4f}  {frame_thresholds[k]:15.4f}  "
            f"{settings[k, 0]:8g}  {settings[k, 1]:5g}  {settings[k, 2]:9g}"
        )


def print_reached(labels, decisions, hours, target):
    """Print what a target came to: a line a class, or of many classes how many meet it. labels: K names."""
    quantity, value = target
    aim = f"{quantity}={value:g} in {decisions.unit}"
    best = [
        thresholds.reached(*n, p, hours) if n else None
        for n, p in zip(decisions.nearest, decisions.positives)
    ]
    if len(labels) > MOST_LINES:
        missed = [
            f"{printable(label)} (at best {b[quantity]:.3g})" for label, b in zip(labels, best) if b
        ]
        print(
            f"{aim}: met for {len(labels) - len(missed)} of {len(labels)} classes"
            + (f", the others are never predicted: {tables.first(missed)}" if missed else "")
        )
        return
    labels = [printable(label) for label in labels]
    width = max(map(len, labels))
    text = "precision {precision:.3f}, recall {recall:.3f}, {false-alarms-per-hour:.2f} false alarms an hour"
    print(
        f"{aim}, {hours:.2f} hours:\n{'class':{width}}  positives  precision  recall  false alarms/h"
    )
    for k, label in enumerate(labels):
        found = thresholds.reached(
            decisions.true_positives[k], decisions.predicted[k], decisions.positives[k], hours
        )
        precision = f"{found['precision']:9.3f}" if decisions.predicted[k] else f"{'-':>9}"
        missed = (
            ""
            if best[k] is None
            else "  never predicted, "
            + (
                f"at best {text.format(**best[k])}"
                if decisions.nearest[k][0]
                else "nothing is found with any threshold"
            )
        )
        print(
            f"{label:{width}}  {decisions.positives[k]:9}  {precision}  {found['recall']:6.3f}  {found['false-alarms-per-hour']:14.2f}"
            + missed
        )


def warn_of_few(dataset, hours, target):
    """Tell of the classes with so few clips, and of a rate so small, that what was reached on them says little."""
    quantity, value = target
    if quantity == "false-alarms-per-hour" and 0 < value < 1 / hours:
        say(
            f"warning: on {hours:.2f} hours of audio a single false alarm is {1 / hours:.3g} an hour: {value:g} means none here"
        )
    counts = dataset.tag_matrix().sum(axis=0).tolist()
    few = [
        f"{label} ({count})"
        for label, count in sorted(zip(dataset.labels, counts), key=lambda pair: pair[1])
        if count < FEW_CLIPS
    ]
    if few:
        say(
            f"warning: on other audio expect less or more than was reached here; {len(few)} classes rest on fewer than {FEW_CLIPS} clips: "
            f"{tables.first(few, 5)}"
        )


def run(
    scores_path,
    data_set,
    output,
    criterion,
    published,
    seed,
    median_seconds,
    min_seconds,
    max_gap_seconds,
    gate_by_tags,
    target=None,
    common=False,
):
    """Choose thresholds and filters on a set and write them. Prints the micro F1 that they reach there.

    target: None, or a quantity of `thresholds.TARGETS` and its value, which the decisions of each class, in clips and in the unit of
    the criterion, have to meet; where none does, the class is never predicted.
    common: choose one clip threshold, one frame threshold and one set of filters for all classes (He, Shen & Zhang 2019, "a threshold").
    """
    check_overwrite(output, operating_point.read)
    scores, dataset = store.ScoreFile(scores_path), datadir.read(data_set)
    if criterion == "segments" and dataset.events is None:
        raise InputError(
            f"{data_set}: has no events.tsv, which --criterion segments needs; tune on tags"
        )
    if criterion == "segments" and not scores.has("frame"):
        raise InputError(
            f"{scores_path}: holds no frame scores, which --criterion segments needs; predict without --no-frames"
        )
    tuned = {
        "set": Path(data_set).absolute().name,
        "set_fingerprint": dataset.fingerprint(),
        "scores": scores.attributes["fingerprint"],
        "criterion": criterion,
        "target": dict([target]) if target else None,
        "published": published,
        "common_threshold": common,
        "seed": seed if published else None,
        "median_seconds": list(median_seconds),
        "min_seconds": list(min_seconds),
        "max_gap_seconds": list(max_gap_seconds),
        **provenance.made_by(),
    }
    rows, dataset = align(scores, dataset, data_set)
    if not len(dataset.tag_clip):
        raise InputError(
            f"{data_set}: none of its {len(dataset)} scored clips has a tag: there is nothing to tune for"
        )
    truth, clip, hours = (
        dataset.tag_matrix(),
        scores.clip[rows],
        float(dataset.durations.sum()) / 3600,
    )
    ranked, true = (in_common(clip), in_common(truth)) if common else (clip, truth)
    options = [[thresholds.candidates(ranked[:, k], true[:, k])] for k in range(true.shape[1])]
    by_clip = choose(
        options,
        true,
        "clips",
        hours,
        target,
        thresholds.tune_published(clip, truth, seed) if published else None,
    )
    num_classes = len(dataset.labels)
    by_frame, settings, frame_thresholds = (
        None,
        np.zeros((num_classes, 3)),
        np.full(num_classes, np.inf),
    )
    if scores.has("frame"):
        grid = list(itertools.product(median_seconds, min_seconds, max_gap_seconds))
        gate = clip >= by_clip.threshold if gate_by_tags else np.ones(clip.shape, bool)
        options, truth = frame_options(scores, rows, dataset, criterion, grid, gate, common)
        unit = (
            "1 s segments" if criterion == "segments" else "tags of the clips with any frame left"
        )
        by_frame = choose(options, truth, unit, hours, target)
        settings = np.broadcast_to(np.array(grid, np.float64)[by_frame.option], (num_classes, 3))
        frame_thresholds = np.broadcast_to(by_frame.threshold, num_classes)
    how = (
        f"{criterion}{' published' if published else ''}{' common threshold' if common else ''}"
        f"{' {}={:g}'.format(*target) if target else ''}"
    )
    point = operating_point.OperatingPoint(
        "frame" if criterion == "segments" or (target and by_frame) else "segment",
        dataset.labels,
        np.broadcast_to(by_clip.threshold, num_classes),
        frame_thresholds,
        *settings.T,
        gate_by_tags,
        f"{scores.attributes['fingerprint']} {how}, {len(dataset)} clips",
        provenance.known_model(scores.attributes),
        tuned,
    )
    operating_point.write(output, point)
    tell(scores_path, output, dataset, point, by_clip, by_frame, hours, target)


def tell(scores_path, output, dataset, point, by_clip, by_frame, hours, target):
    """Print the operating point and what it reaches; by_frame: None where there are no frame scores."""
    if by_frame is None:
        say(
            f"warning: {scores_path} holds no frame scores: {output} is for segment mode; in frame mode it finds nothing"
        )
    if len(dataset.labels) > MOST_LINES:
        print(
            f"{output}: thresholds of {len(dataset.labels)} classes; {int(np.isposinf(point.clip_thresholds).sum())} are never predicted"
        )
    else:
        print_classes(
            dataset.labels,
            point.clip_thresholds,
            point.frame_thresholds,
            np.stack([point.median_seconds, point.min_seconds, point.max_gap_seconds], axis=1),
        )
    if target:
        for decisions in filter(None, (by_clip, by_frame)):
            print_reached(dataset.labels, decisions, hours, target)
        warn_of_few(dataset, hours, target)
    hits, predicted, positives = (
        int(v.sum()) for v in (by_clip.true_positives, by_clip.predicted, by_clip.positives)
    )
    print(
        f"tagging F1 on these {len(dataset)} clips: {thresholds.f1_score(hits, predicted, positives):.4f} "
        f"(precision {hits / max(predicted, 1):.4f}, recall {hits / positives:.4f})"
    )
    if by_frame is not None:
        f1 = thresholds.f1_score(
            *(
                int(v.sum())
                for v in (by_frame.true_positives, by_frame.predicted, by_frame.positives)
            )
        )
        print(f"F1 of the frame decisions, as {by_frame.unit}: {f1:.4f}")
