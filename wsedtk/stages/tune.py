"""tune: scores and truth of a validation set -> an operating point.

N clips, T frames, S segments, K classes.
"""

import itertools

import numpy as np

from wsedtk import datadir, events, metrics, operating_point, store, tables, thresholds
from wsedtk.errors import InputError
from wsedtk.progress import say


MOST_LINES = 40  # classes that are printed


def align(scores, dataset, data_set):
    """Rows of the score file for the clips of a set: (rows (N,), the set of the clips that are scored). Raises InputError."""
    if scores.labels != dataset.labels:
        odd = sorted(set(scores.labels) ^ set(dataset.labels))
        raise InputError(f"{scores.path}: its classes are not those of {data_set}"
                         + (f": {tables.first(odd)}" if odd else ", or in another order"))
    rows = scores.rows(dataset.filenames)
    scored = rows >= 0
    if not scored.any():
        raise InputError(f"{scores.path}: holds none of the clips of {data_set}")
    if not scored.all():
        odd = dataset.filenames[~scored].tolist()
        say(f"warning: {scores.path} holds no scores of {len(odd)} clips of {data_set}: {tables.first(odd)}")
    return rows[scored], dataset.select(scored)


def smoothed_scores(scores, rows, gate, median_seconds, min_seconds, max_gap_seconds):
    """Frame scores after the filters (they commute with thresholds, see wsedtk.events), a list of (T, K) a clip.

    gate: (N, K) booleans; where false, no frame may pass: 0.
    """
    step = scores.seconds_per_frame
    median, shortest = events.odd_frames(median_seconds, step), events.whole_frames(min_seconds, step)
    gap = events.gap_frames(max_gap_seconds, step)
    return [events.smooth(scores.frames(row), median, shortest, gap) * passes for row, passes in zip(rows, gate)]


def clip_maximum(frames, seconds_per_frame, duration):
    """The highest score (K,) of the frames (T, K) that begin before the recording's end: what any event needs to beat."""
    onset = np.round(np.arange(len(frames)) * seconds_per_frame, 6)
    return frames[onset < round(duration, 6)].max(axis=0, initial=0)


def segment_maxima(frames, seconds_per_frame, end, num_segments):
    """The highest score (S, K) of the frames (T, K) that touch each 1 s segment before `end`: what an event there needs to beat."""
    out = np.zeros((num_segments, frames.shape[1]), frames.dtype)
    onset = np.round(np.arange(len(frames)) * seconds_per_frame, 6)
    offset = np.round(np.minimum((np.arange(len(frames)) + 1) * seconds_per_frame, end), 6)
    first, last = np.floor(onset).astype(int), np.ceil(offset).astype(int)
    for s in range(len(out)):
        touching = (first <= s) & (s < last) & (offset > onset)
        if touching.any():
            out[s] = frames[touching].max(axis=0)
    return out


def frame_candidates(values, truth):
    """Candidates of one class for scores (N,) after filtering, where 0 is as good as no frame: no threshold lets it pass."""
    c = thresholds.candidates(values, truth)
    if len(values) and values.min() > 0:
        return c
    return thresholds.Candidates(c.thresholds[:-1], c.true_positives[:-1], c.predicted[:-1])


def tune_frames(scores, rows, dataset, criterion, grid, gate):
    """Frame thresholds and filters, one of the grid's settings a class, for the best micro F1 of the criterion.

    tags: a clip is tagged where any frame is left after filtering (all that a weakly labelled set allows). segments: 1 s
    segments against events.tsv. grid: a list of (median, min, max gap) in seconds; gate: (N, K), see `smoothed_scores`.
    Returns thresholds (K,), settings (K, 3) and the F1 that they reach.
    """
    if criterion == "tags":
        truth = dataset.tag_matrix()
    else:
        truth, _ = metrics.activity(metrics.drop_zero_length(dataset.events), dataset.durations, len(dataset.labels))
    options, step, recorded = [[] for _ in dataset.labels], scores.seconds_per_frame, scores.durations[rows]
    for setting in grid:
        smoothed = smoothed_scores(scores, rows, gate, *setting)
        if criterion == "tags":
            values = np.stack([clip_maximum(f, step, r) for f, r in zip(smoothed, recorded)])  # (N, K)
        else:
            values = np.concatenate([segment_maxima(f, step, min(r, d), int(metrics.num_segments(d)))
                                     for f, r, d in zip(smoothed, recorded, dataset.durations)])  # (S, K)
        for k, alternatives in enumerate(options):
            alternatives.append(frame_candidates(values[:, k], truth[:, k]))
    chosen, best = thresholds.search(options, int(truth.sum()))
    reached = [options[k][o] for k, o in enumerate(chosen)]
    place = [int(np.flatnonzero(c.thresholds == t)[0]) for c, t in zip(reached, best)]
    hits = sum(int(c.true_positives[i]) for c, i in zip(reached, place))
    f1 = thresholds.f1_score(hits, sum(int(c.predicted[i]) for c, i in zip(reached, place)), int(truth.sum()))
    return best, np.array(grid, np.float64)[chosen], float(f1)


def print_classes(labels, clip_thresholds, frame_thresholds, settings):
    """Print a line a class. clip_thresholds, frame_thresholds: (K,); settings: (K, 3), see `tune_frames`."""
    width = max(map(len, labels))
    print(f"{'class':{width}}  clip threshold  frame threshold  median s  min s  max gap s")
    for k, label in enumerate(labels):
        print(f"{label:{width}}  {clip_thresholds[k]:14.4f}  {frame_thresholds[k]:15.4f}  "
              f"{settings[k, 0]:8g}  {settings[k, 1]:5g}  {settings[k, 2]:9g}")


def run(scores_path, data_set, output, criterion, published, seed, median_seconds, min_seconds, max_gap_seconds, gate_by_tags):
    """Choose thresholds and filters on a set and write them. Prints the micro F1 that they reach there."""
    scores, dataset = store.ScoreFile(scores_path), datadir.read(data_set)
    if criterion == "segments" and dataset.events is None:
        raise InputError(f"{data_set}: has no events.tsv, which --criterion segments needs; tune on tags")
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
        scores.attributes["model"])
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
