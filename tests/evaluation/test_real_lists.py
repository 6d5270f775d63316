"""Segment and event metrics on the reference lists of real corpora, compared with sed_eval.

The estimate is made from the reference: events are moved, lost, invented and given other classes.
"""

import csv

import numpy as np
import pytest
from oracle import assert_class_figures, assert_segment_figures, event_based, segment_based

from wsedtk.data.events import Events
from wsedtk.evaluation import event_metrics, metrics

LISTS = {
    "dcase2017": ("dcase2017/groundtruth_strong_label_evaluation_set.csv", False),
    "desed": ("desed/validation.tsv", True),
    "audioset_strong": ("audioset_strong/audioset_eval_strong.subset.tsv", True),
}


def read(path, has_header):
    """Return rows (clip, onset, offset, class), the classes and the number of clips."""
    with open(path, encoding="utf-8", newline="") as file:
        lines = [line for line in csv.reader(file, delimiter="\t") if len(line) >= 4][has_header:]
    clips = {name: row for row, name in enumerate(sorted({line[0] for line in lines}))}
    lines = [line for line in lines if line[1]]  # DESED lists clips without events, too
    labels = sorted({line[3] for line in lines})
    number = {label: k for k, label in enumerate(labels)}
    rows = [(clips[a], float(b), float(c), number[d]) for a, b, c, d, *_ in lines]
    return rows, labels, len(clips)


def an_estimate(rows, num_labels, rng):
    """Return rows that a system might have detected."""
    found = []
    for clip, onset, offset, label in rows:
        if rng.random() < 0.3:
            continue
        moved = np.clip([onset, offset] + rng.normal(0, 0.15, 2), 0, 10).round(3)
        if rng.random() < 0.1:
            label = int(rng.integers(num_labels))
        if moved[1] > moved[0]:
            found.append((clip, float(moved[0]), float(moved[1]), label))
        if rng.random() < 0.1:
            start = round(float(rng.uniform(0, 9)), 3)
            found.append((clip, start, start + 0.5, int(rng.integers(num_labels))))
    return found


@pytest.mark.parametrize("corpus", LISTS)
def test_figures_of_real_lists_equal_sed_eval(real_data, corpus):
    path, has_header = LISTS[corpus]
    reference, labels, num_clips = read(real_data / path, has_header)
    assert len(reference) > 1000 and num_clips > 100
    estimate = an_estimate(reference, len(labels), np.random.default_rng(0))
    lasting = [row for row in reference if row[2] > row[1]]
    lists = Events.from_rows(reference), Events.from_rows(estimate)

    durations = np.full(num_clips, max(10.0, max(row[2] for row in reference)))
    kept = metrics.drop_zero_length(lists[0]), lists[1]
    active = [metrics.activity(one, durations, len(labels)).active for one in kept]
    micro, by_class = metrics.segment_metrics(*active, labels)
    theirs = segment_based(lasting, estimate, durations, labels)
    assert 0.3 < micro["f1"] < 0.95
    assert_segment_figures(micro, theirs)
    assert_class_figures(by_class, theirs, labels)

    micro, by_class, counts = event_metrics.event_metrics(*lists, num_clips, labels)
    theirs = event_based(lasting, estimate, num_clips, labels)
    assert counts.sum(axis=0)[0] == theirs.overall["Ntp"] > 0.2 * len(lasting)
    assert micro["f1"] == pytest.approx(theirs.overall_f_measure()["f_measure"], abs=1e-12)
    assert_class_figures(by_class, theirs, labels)
