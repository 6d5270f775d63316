"""tune: scores and truth of a validation set -> an operating point.

N clips, T frames, S segments, K classes.
"""

import itertools
from pathlib import Path

import numpy as np

from wsedtk import datadir, events, metrics, operating_point, provenance, store, tables, thresholds
from wsedtk.atomic import check_overwrite
from wsedtk.errors import InputError
from wsedtk.progress import printable, say


MOST_LINES = 40  # classes that are printed


def align(scores, dataset, data_set):
    """Rows of the score file for the clips of a set: (rows (N,), the set without clips whose audio failed). Raises InputError."""
    if scores.labels != dataset.labels:
        odd = sorted(set(scores.labels) ^ set(dataset.labels))
        raise InputError(f"{scores.path}: its classes are not those of {data_set}"
                         + (f": {tables.first(odd)}" if odd else ", or in another order"))
    provenance.check_audio(scores.path, scores.attributes.get("audio_fingerprint"), data_set, dataset.info.get("audio_fingerprint"))
    rows = scores.rows_of_set(dataset.filenames, data_set)
    scored = rows >= 0
    if not scored.any():
        raise InputError(f"{scores.path}: holds none of the clips of {data_set}: the audio of all of them failed")
    if not scored.all():
        odd = dataset.filenames[~scored].tolist()
        say(f"warning: {len(odd)} clips of {data_set} are left out, their audio could not be read: {tables.first(odd)}")
    return rows[scored], dataset.select(scored)


def clip_maxima(frames, seconds_per_frame, durations):
    """The highest score (B, K) of the frames (B, T, K) that begin before the recording's end: what any event needs to beat."""
    onset = np.round(np.arange(frames.shape[1]) * seconds_per_frame, 6)
    return (frames * (onset < np.round(durations, 6)[:, None])[..., None]).max(axis=1, initial=0)


def segment_maxima(frames, seconds_per_frame, ends, num_segments):
    """The highest score of the frames (B, T, K) that touch each 1 s segment of a clip before its end: what an event there must beat.

    ends: (B,) seconds; num_segments: (B,). Returns (S, K), the segments of all clips one after the other.
    """
    out = np.zeros((len(frames), int(num_segments.max()), frames.shape[2]), frames.dtype)
    edges = np.arange(frames.shape[1] + 1) * seconds_per_frame
    onset, offset = np.round(edges[:-1], 6), np.round(np.minimum(edges[1:], ends[:, None]), 6)  # (T,), (B, T)
    for s in range(out.shape[1]):
        near = np.flatnonzero((onset < s + 1) & (np.round(edges[1:], 6) > s))
        if len(near):
            near = slice(near[0], near[-1] + 1)
            touching = (offset[:, near] > s) & (offset[:, near] > onset[near])
            out[:, s] = (frames[:, near] * touching[..., None]).max(axis=1)
    return out[np.arange(out.shape[1]) < num_segments[:, None]]


def frame_candidates(values, truth):
    """Candidates of one class for scores (N,) after filtering, where 0 is as good as no frame: no threshold lets it pass."""
    c = thresholds.candidates(values, truth)
    if len(values) and values.min() > 0:
        return c
    return thresholds.Candidates(c.thresholds[:-1], c.true_positives[:-1], c.predicted[:-1])


def tune_frames(scores, rows, dataset, criterion, grid, gate):
    """Frame thresholds and filters, one of the grid's settings a class, for the best micro F1 of the criterion.

    tags: a clip is tagged where any frame is left after filtering (all that a weakly labelled set allows). segments: 1 s
    segments against events.tsv. grid: a list of (median, min, max gap) in seconds; gate: (N, K) booleans, where it is false no
    frame passes. Returns thresholds (K,), settings (K, 3) and the F1 that they reach.
    """
    if criterion == "tags":
        truth = dataset.tag_matrix()
    else:
        truth, _ = metrics.activity(metrics.drop_zero_length(dataset.events), dataset.durations, len(dataset.labels))
    step, recorded, values = scores.seconds_per_frame, scores.durations[rows], [[] for _ in grid]
    filters = [(events.odd_frames(m, step), events.whole_frames(s, step), events.gap_frames(g, step)) for m, s, g in grid]
    for block, frames in scores.blocks(rows):
        for found, setting in zip(values, filters):
            smoothed = events.smooth(frames, *setting) * gate[block, None]  # filters commute with thresholds, see wsedtk.events
            if criterion == "tags":
                found.append(clip_maxima(smoothed, step, recorded[block]))
            else:
                nominal = dataset.durations[block]
                found.append(segment_maxima(smoothed, step, np.minimum(recorded[block], nominal), metrics.num_segments(nominal)))
    values = [np.concatenate(found) for found in values]  # (N, K) or (S, K), for each setting
    options = [[frame_candidates(v[:, k], truth[:, k]) for v in values] for k in range(truth.shape[1])]
    chosen, best = thresholds.search(options, int(truth.sum()))
    reached = [options[k][o] for k, o in enumerate(chosen)]
    place = [int(np.flatnonzero(c.thresholds == t)[0]) for c, t in zip(reached, best)]
    hits = sum(int(c.true_positives[i]) for c, i in zip(reached, place))
    f1 = thresholds.f1_score(hits, sum(int(c.predicted[i]) for c, i in zip(reached, place)), int(truth.sum()))
    return best, np.array(grid, np.float64)[chosen], float(f1)


def print_classes(labels, clip_thresholds, frame_thresholds, settings):
    """Print a line a class. clip_thresholds, frame_thresholds: (K,); settings: (K, 3), see `tune_frames`."""
    labels = [printable(label) for label in labels]
    width = max(map(len, labels))
    print(f"{'class':{width}}  clip threshold  frame threshold  median s  min s  max gap s")
    for k, label in enumerate(labels):
        print(f"{label:{width}}  {clip_thresholds[k]:14.4f}  {frame_thresholds[k]:15.4f}  "
              f"{settings[k, 0]:8g}  {settings[k, 1]:5g}  {settings[k, 2]:9g}")


def run(scores_path, data_set, output, criterion, published, seed, median_seconds, min_seconds, max_gap_seconds, gate_by_tags):
    """Choose thresholds and filters on a set and write them. Prints the micro F1 that they reach there."""
    check_overwrite(output, operating_point.read)
    scores, dataset = store.ScoreFile(scores_path), datadir.read(data_set)
    if criterion == "segments" and dataset.events is None:
        raise InputError(f"{data_set}: has no events.tsv, which --criterion segments needs; tune on tags")
    tuned = {"set": Path(data_set).absolute().name, "set_fingerprint": dataset.fingerprint(), "scores": scores.attributes["fingerprint"],
             "criterion": criterion, "published": published, "seed": seed if published else None,
             "median_seconds": list(median_seconds), "min_seconds": list(min_seconds), "max_gap_seconds": list(max_gap_seconds),
             **provenance.made_by()}
    rows, dataset = align(scores, dataset, data_set)
    if not len(dataset.tag_clip):
        raise InputError(f"{data_set}: none of its {len(dataset)} scored clips has a tag: there is nothing to tune for")
    truth, clip = dataset.tag_matrix(), scores.clip[rows]
    clip_thresholds = thresholds.tune_published(clip, truth, seed) if published else thresholds.tune(clip, truth)
    found = metrics.precision_recall_f1(*metrics.decision_counts(truth, clip >= clip_thresholds).sum(axis=1).tolist())
    frame_thresholds, settings, frame_f1 = np.full(len(dataset.labels), np.inf), np.zeros((len(dataset.labels), 3)), None
    gate = clip >= clip_thresholds if gate_by_tags else np.ones(clip.shape, bool)
    if scores.has("frame"):
        grid = list(itertools.product(median_seconds, min_seconds, max_gap_seconds))
        frame_thresholds, settings, frame_f1 = tune_frames(scores, rows, dataset, criterion, grid, gate)
    elif criterion == "segments":
        raise InputError(f"{scores_path}: holds no frame scores, which --criterion segments needs; predict without --no-frames")
    point = operating_point.OperatingPoint(
        "frame" if criterion == "segments" else "segment", dataset.labels, clip_thresholds, frame_thresholds, *settings.T,
        gate_by_tags, f"{scores.attributes['fingerprint']} {criterion}{' published' if published else ''}, {len(dataset)} clips",
        scores.attributes["model"], tuned)
    operating_point.write(output, point)
    if not scores.has("frame"):
        say(f"{scores_path} holds no frame scores: {output} is for segment mode; in frame mode it finds nothing")
    if len(dataset.labels) > MOST_LINES:
        print(f"{output}: thresholds of {len(dataset.labels)} classes; {int(np.isinf(clip_thresholds).sum())} classes are never predicted")
    else:
        print_classes(dataset.labels, clip_thresholds, frame_thresholds, settings)
    print(f"tagging F1 on these {len(dataset)} clips: {found['f1'] or 0:.4f} "
          f"(precision {found['precision'] or 0:.4f}, recall {found['recall'] or 0:.4f})")
    if frame_f1 is not None:
        what = "1 s segments" if criterion == "segments" else "tags of the clips with any frame left"
        print(f"F1 of the frame decisions, as {what}: {frame_f1:.4f}")
