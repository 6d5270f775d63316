"""sed_eval as an oracle, and random lists for it."""

import math
import warnings

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import sed_eval
    from dcase_util.containers import MetaDataContainer

LABELS = ["Car", "Air horn, truck horn", "Dog"]


def random_lists(seed, num_clips=12, past_end=True, zero_length=False):
    """Return a reference and an estimate as rows (clip, onset, offset, class), and durations.

    They contain what real lists contain: clips without events, non-integer durations, overlapping
    events of one class, and events beyond the end of the clip.
    """
    rng = np.random.default_rng(seed)
    durations = np.round(rng.uniform(1.0, 10.0, num_clips), 3)
    durations[::4] = 10.0
    lists = []
    for _ in range(2):
        rows = []
        for clip in range(num_clips):
            for _ in range(int(rng.choice([0, 0, 1, 2, 5]))):
                onset = round(float(rng.uniform(0, durations[clip])), 3)
                offset = round(onset + float(rng.uniform(0.05, 4)), 3)
                if not past_end:
                    offset = min(offset, float(durations[clip]))
                if offset > onset:
                    rows.append((clip, onset, offset, int(rng.integers(len(LABELS)))))
        lists.append(rows)
    reference, estimate = lists
    for clip, onset, offset, label in reference[::2]:  # without these rows, nothing would match
        shifted = (clip, max(0.0, round(onset + rng.uniform(-0.25, 0.25), 3)), offset, label)
        if shifted[2] > shifted[1]:
            estimate.append(shifted)
    if zero_length:
        reference += [(0, 0.0, 0.0, 0), (1, 0.5, 0.5, 1), (2, 0.0, 0.0, 2)]
    return reference, estimate, durations


def sed_eval_of(metric, reference, estimate, durations=None, labels=LABELS, clips=None):
    """Pass the lists to a sed_eval metric clip by clip, as its documentation shows."""
    for clip in clips if clips is not None else range(len(durations)):
        pair = [
            MetaDataContainer(
                [
                    {
                        "filename": f"{clip}.wav",
                        "event_onset": on,
                        "event_offset": off,
                        "event_label": labels[k],
                    }
                    for c, on, off, k in rows
                    if c == clip
                ]
            )
            for rows in (reference, estimate)
        ]
        if isinstance(metric, sed_eval.sound_event.SegmentBasedMetrics):
            metric.evaluate(
                reference_event_list=pair[0],
                estimated_event_list=pair[1],
                evaluated_length_seconds=float(durations[clip]),
            )
        else:
            metric.evaluate(reference_event_list=pair[0], estimated_event_list=pair[1])
    return metric


def segment_based(reference, estimate, durations, labels=LABELS, clips=None):
    metric = sed_eval.sound_event.SegmentBasedMetrics(event_label_list=labels, time_resolution=1.0)
    return sed_eval_of(metric, reference, estimate, durations, labels, clips)


def event_based(reference, estimate, num_clips, labels=LABELS):
    metric = sed_eval.sound_event.EventBasedMetrics(
        event_label_list=labels, t_collar=0.2, percentage_of_length=0.2
    )
    return sed_eval_of(metric, reference, estimate, labels=labels, clips=range(num_clips))


def assert_segment_figures(ours, metric):
    """Compare our micro averages with those of a sed_eval metric."""
    f, e = metric.overall_f_measure(), metric.overall_error_rate()
    expected = {
        "precision": f["precision"],
        "recall": f["recall"],
        "f1": f["f_measure"],
        "error_rate": e["error_rate"],
        "substitution_rate": e["substitution_rate"],
        "deletion_rate": e["deletion_rate"],
        "insertion_rate": e["insertion_rate"],
    }
    assert ours == pytest.approx(
        {k: 0.0 if math.isnan(v) else v for k, v in expected.items()}, abs=1e-9
    )


def assert_class_figures(ours, metric, labels=LABELS):
    """Compare our class-wise metrics with those of a sed_eval metric.

    Its NaN is our 0 if there is something to evaluate.
    """
    for label in labels:
        theirs = metric.class_wise_f_measure(label)
        if "error_rate" in ours[label]:
            rates = metric.class_wise_error_rate(label)
            expected = {
                name: None
                if metric.class_wise_count(label)["Nref"] == 0
                else pytest.approx(rates[name], abs=1e-9)
                for name in ("error_rate", "deletion_rate", "insertion_rate")
            }
            assert {name: ours[label][name] for name in expected} == expected
        exists = metric.class_wise_count(label)["Nref"] + metric.class_wise_count(label)["Nsys"] > 0
        for name, key in (("precision", "precision"), ("recall", "recall"), ("f1", "f_measure")):
            if not exists:
                assert ours[label][name] is None
            else:
                assert ours[label][name] == pytest.approx(
                    0.0 if math.isnan(theirs[key]) else theirs[key], abs=1e-9
                )
