"""Metrics: compared with scikit-learn, sed_eval, sed_scores_eval and cases computed by hand."""

import math

import numpy as np
import pytest
from oracle import (
    LABELS,
    assert_class_figures,
    assert_segment_figures,
    event_based,
    random_lists,
    segment_based,
)
from sklearn.metrics import precision_recall_fscore_support

from wsedtk.data import events
from wsedtk.data.events import Events
from wsedtk.evaluation import average_precision, bootstrap, event_metrics, metrics

# ---- ratios and tags ----


def test_ratio_conventions():
    assert metrics.ratio(1, 4) == 0.25
    assert metrics.ratio(0, 0) == 0.0
    assert metrics.ratio(0, 0, exists=False) is None
    assert metrics.precision_recall_f1(0, 0, 0) == {"precision": None, "recall": None, "f1": None}
    assert metrics.precision_recall_f1(0, 3, 0) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert metrics.precision_recall_f1(0, 0, 3) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert metrics.precision_recall_f1(3, 1, 2) == {"precision": 0.75, "recall": 0.6, "f1": 6 / 9}


def test_tagging_equals_scikit_learn():
    rng = np.random.default_rng(0)
    for _ in range(30):
        truth, said = rng.random((2, 40, 5)) < rng.uniform(0.1, 0.6, 5)
        counts = metrics.decision_counts(truth, said)
        micro = precision_recall_fscore_support(truth, said, average="micro", zero_division=0)[:3]
        assert tuple(
            metrics.precision_recall_f1(*counts.sum(axis=1).tolist()).values()
        ) == pytest.approx(micro, abs=1e-12)
        for k in range(5):
            one = precision_recall_fscore_support(
                truth[:, k], said[:, k], average="binary", zero_division=0
            )[:3]
            assert tuple(
                metrics.precision_recall_f1(*counts[:, k].tolist()).values()
            ) == pytest.approx(one, abs=1e-12)


# ---- segments ----


def segment_metrics(reference, estimate, durations, labels):
    """The segment metrics of two lists, as `score` computes them."""
    lists = metrics.drop_zero_length(reference), estimate
    active = (metrics.activity(one, durations, len(labels)).active for one in lists)
    return metrics.segment_metrics(*active, labels)


@pytest.mark.parametrize("seed", range(25))
def test_segment_figures_equal_sed_eval(seed):
    reference, estimate, durations = random_lists(seed)
    theirs = segment_based(reference, estimate, durations)
    lists = Events.from_rows(reference), Events.from_rows(estimate)
    micro, by_class = segment_metrics(*lists, durations, LABELS)
    assert_segment_figures(micro, theirs)
    assert_class_figures(by_class, theirs)
    (truth, clip_of), (said, _) = (
        metrics.activity(events, durations, len(LABELS)) for events in lists
    )
    counts = metrics.segment_counts(truth, said)
    assert_segment_figures(metrics.segment_figures(counts.sum(axis=0)), theirs)
    per_clip = metrics.sum_by_clip(counts, clip_of, len(durations))
    for clip in (0, 5):
        alone = segment_based(reference, estimate, durations, clips=[clip]).overall
        assert per_clip[clip].tolist() == [
            alone[k] for k in ("S", "D", "I", "Nref", "Ntp", "Nfp", "Nfn")
        ]


def test_clips_without_events_count():
    reference, estimate, durations = random_lists(3, num_clips=40)
    with_events = {row[0] for row in reference}
    assert 0 < len(with_events) < 40
    whole, _ = segment_metrics(
        Events.from_rows(reference), Events.from_rows(estimate), durations, LABELS
    )
    partial = segment_based(
        reference, estimate, durations, clips=sorted(with_events)
    ).overall_error_rate()
    assert whole["error_rate"] > partial["error_rate"] + 0.1
    assert whole["insertion_rate"] > partial["insertion_rate"] + 0.1


def test_segment_figures_by_hand():
    # One clip of 2.5 s. Segment 0: B instead of A, a substitution. Segment 1: B is found, A is
    # inserted. Segment 2 (half): A is missed.
    reference, estimate = (
        Events.from_rows([(0, 0.2, 1.7, 1), (0, 2.0, 2.5, 0)]),
        Events.from_rows([(0, 0.0, 2.0, 0), (0, 1.0, 2.0, 1)]),
    )
    micro, by_class = segment_metrics(reference, estimate, np.array([2.5]), ["A", "B"])
    assert micro == pytest.approx(
        {
            "error_rate": 1.0,
            "substitution_rate": 1 / 3,
            "deletion_rate": 1 / 3,
            "insertion_rate": 1 / 3,
            "precision": 1 / 3,
            "recall": 1 / 3,
            "f1": 1 / 3,
        }
    )
    assert by_class["A"].items() >= {"precision": 0.0, "recall": 0.0, "f1": 0.0}.items()
    assert (
        by_class["B"]["f1"] == pytest.approx(2 / 3)
        and by_class["B"]["recall"] == 0.5
        and by_class["B"]["precision"] == 1.0
    )
    truth, clip_of = metrics.activity(reference, [2.5], 2)
    assert truth.tolist() == [[False, True], [False, True], [True, False]] and clip_of.tolist() == [
        0,
        0,
        0,
    ]


def test_segments_of_nothing():
    nothing, durations = Events.from_rows([]), np.array([10.0, 3.2])
    micro, by_class = segment_metrics(nothing, nothing, durations, LABELS)
    assert set(micro.values()) == {None} and all(
        set(v.values()) == {None} for v in by_class.values()
    )
    micro, by_class = segment_metrics(
        nothing, Events.from_rows([(1, 0, 9.0, 0)]), durations, LABELS
    )
    assert (
        micro["f1"] == 0.0
        and micro["error_rate"] is None
        and by_class["Car"]["f1"] == 0.0
        and by_class["Dog"]["f1"] is None
    )


def test_a_class_never_detected_scores_0_and_not_nan():
    reference, durations = [(0, 0.0, 1.0, 0)], np.array([2.0])
    assert math.isnan(
        segment_based(reference, [], durations).class_wise_f_measure("Car")["f_measure"]
    )
    _, by_class = segment_metrics(
        Events.from_rows(reference), Events.from_rows([]), durations, LABELS
    )
    assert by_class["Car"] == {
        "error_rate": 1.0,
        "deletion_rate": 1.0,
        "insertion_rate": 0.0,
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
    }


def test_num_segments():
    assert events.num_segments([10, 9.5, 1.0, 0.3, 10.0000001, 3 * 1.1]).tolist() == [
        10,
        10,
        1,
        1,
        10,
        4,
    ]
    assert events.num_segments([1.0], seconds=0.1).tolist() == [10]


def test_zero_length_references_count_for_no_segment():
    reference, estimate, durations = random_lists(1, zero_length=True)
    lasting = [row for row in reference if row[2] > row[1]]
    assert len(lasting) == len(reference) - 3
    assert list(metrics.drop_zero_length(Events.from_rows(reference)).rows()) == list(
        Events.from_rows(lasting).rows()
    )
    micro, _ = segment_metrics(
        Events.from_rows(reference), Events.from_rows(estimate), durations, LABELS
    )
    assert_segment_figures(micro, segment_based(lasting, estimate, durations))


# ---- events ----


@pytest.mark.parametrize("seed", range(15))
def test_event_figures_equal_sed_eval(seed):
    reference, estimate, durations = random_lists(seed, zero_length=True)
    lasting = [row for row in reference if row[2] > row[1]]
    theirs = event_based(lasting, estimate, len(durations))
    micro, by_class, counts = event_metrics.event_metrics(
        Events.from_rows(reference), Events.from_rows(estimate), len(durations), LABELS
    )
    expected = theirs.overall_f_measure()
    assert micro["f1"] > 0
    assert micro == pytest.approx(
        {
            "precision": expected["precision"],
            "recall": expected["recall"],
            "f1": expected["f_measure"],
        },
        abs=1e-9,
    )
    assert_class_figures(by_class, theirs)
    assert counts.shape == (len(durations), 3)
    assert counts[:, 0].sum() == theirs.overall["Ntp"]
    assert (counts[:, 0] + counts[:, 1]).sum() == len(estimate) and (
        counts[:, 0] + counts[:, 2]
    ).sum() == len(lasting)


@pytest.mark.parametrize("seed", range(12))
def test_event_figures_of_dense_lists_equal_sed_eval(seed):
    """Many events can be matched with several others, and differences equal the tolerances."""
    rng = np.random.default_rng(seed)
    step = rng.choice([0.001, 0.05, 0.1])

    def dense():
        num = int(rng.integers(30, 90))
        onset, length = rng.uniform(0, 3, num), rng.uniform(0.05, 3, num)
        onset, length = np.round(onset / step) * step, np.round(length / step + 1) * step
        clip, label = rng.integers(0, 2, num), rng.integers(0, 2, num)
        return list(zip(clip.tolist(), onset, onset + length, label.tolist()))

    reference, estimate = dense(), dense()
    theirs = event_based(reference, estimate, 2)
    micro, by_class, counts = event_metrics.event_metrics(
        Events.from_rows(reference), Events.from_rows(estimate), 2, LABELS
    )
    tp, fp, fn = counts.sum(axis=0)
    assert tp == theirs.overall["Ntp"] > 0
    assert (tp + fp, tp + fn) == (theirs.overall["Nsys"], theirs.overall["Nref"])
    assert micro["f1"] == pytest.approx(theirs.overall_f_measure()["f_measure"], abs=1e-12)
    assert_class_figures(by_class, theirs)


def test_pairs_in_blocks_are_the_same_pairs(monkeypatch):
    rng = np.random.default_rng(0)

    def dense():
        onset = rng.uniform(0, 20, 400)
        return Events.from_columns(
            rng.integers(0, 3, 400),
            onset,
            onset + rng.uniform(0.1, 2, 400),
            rng.integers(0, 2, 400),
        )

    lists = dense(), dense()
    whole = event_metrics.event_metrics(*lists, 3, LABELS)
    for size in (1, 7, 100):
        monkeypatch.setattr(event_metrics, "_MOST_PAIRS", size)
        blocks = event_metrics.event_metrics(*lists, 3, LABELS)
        np.testing.assert_array_equal(blocks.counts, whole.counts)
        assert blocks.classes == whole.classes


def test_event_collars_by_hand():
    def f1(onset, offset):
        reference, estimate = (
            Events.from_rows([(0, 1.0, 4.0, 0)]),
            Events.from_rows([(0, onset, offset, 0)]),
        )
        micro, _, counts = event_metrics.event_metrics(reference, estimate, 1, ["A"])
        assert counts.tolist() == ([[1, 0, 0]] if micro["f1"] else [[0, 1, 1]])
        return micro["f1"]

    assert f1(1.0, 4.0) == 1 and f1(1.19, 4.59) == 1 and f1(0.81, 3.41) == 1  # 20 % of 3 s
    assert f1(1.25, 4.0) == 0 and f1(1.0, 4.7) == 0


def test_zero_length_references_are_not_missed_events():
    reference, estimate = (
        Events.from_rows([(0, 0.0, 0.0, 0), (0, 1.0, 2.0, 0)]),
        Events.from_rows([(0, 1.0, 2.0, 0)]),
    )
    assert event_metrics.event_metrics(reference, estimate, 1, ["A"])[0]["f1"] == 1.0
    assert (
        event_based(list(reference.rows()), list(estimate.rows()), 1, ["A"]).overall_f_measure()[
            "f_measure"
        ]
        < 0.7
    )


# ---- baselines and consistency ----


def test_baselines_by_hand():
    tags, said = np.array([[True, False], [False, True]]), np.array([[True, True], [False, False]])
    active, clip_of = np.array([[1, 0], [0, 0], [0, 1]], bool), np.array([0, 0, 1])
    found = metrics.baselines(tags, said, metrics.Activity(active, clip_of))
    assert list(found) == ["nothing", "everything", "system_tags", "true_tags"]
    assert (
        found["nothing"]["tagging"]["f1"] == 0 and found["nothing"]["segment"]["error_rate"] == 1.0
    )
    assert found["nothing"]["segment"]["deletion_rate"] == 1.0
    assert found["everything"]["tagging"] == pytest.approx(
        {"precision": 0.5, "recall": 1.0, "f1": 2 / 3}
    )
    assert found["everything"]["segment"] == pytest.approx(
        {  # 6 found, 2 true
            "error_rate": 2.0,
            "substitution_rate": 0.0,
            "deletion_rate": 0.0,
            "insertion_rate": 2.0,
            "precision": 1 / 3,
            "recall": 1.0,
            "f1": 0.5,
        }
    )
    # tags of the system: both classes in both segments of clip 0, nothing in clip 1
    assert found["system_tags"]["tagging"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert found["system_tags"]["segment"] == pytest.approx(
        {
            "error_rate": 2.0,
            "substitution_rate": 0.0,
            "deletion_rate": 0.5,
            "insertion_rate": 1.5,
            "precision": 0.25,
            "recall": 0.5,
            "f1": 1 / 3,
        }
    )
    assert found["true_tags"]["tagging"]["f1"] == 1.0
    assert found["true_tags"]["segment"] == pytest.approx(
        {
            "error_rate": 0.5,
            "substitution_rate": 0.0,
            "deletion_rate": 0.0,
            "insertion_rate": 0.5,
            "precision": 2 / 3,
            "recall": 1.0,
            "f1": 0.8,
        }
    )


def test_consistency_by_hand():
    tags = np.array([[True, False, True], [False, True, False]])
    active, clip_of = (
        np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]], bool),
        np.array([0, 0, 1, 1]),
    )
    # 4 positive segments, of which (0, class 1) and (2, class 2) lack their tag; 3 tags, of which 2
    # have no segment
    assert consistency(tags, active, clip_of) == {
        "segments_without_tag": 0.5,
        "tags_without_segment": pytest.approx(2 / 3),
    }
    nothing = np.zeros_like(tags), np.zeros_like(active)
    assert consistency(*nothing, clip_of) == {
        "segments_without_tag": None,
        "tags_without_segment": None,
    }


def consistency(*arrays):
    return metrics.consistency_figures(metrics.consistency_counts(*arrays).sum(axis=0))


# ---- intervals ----


def f1_of(counts):
    return metrics.precision_recall_f1(*counts.tolist())


def test_intervals_hold_the_estimate_and_shrink_with_the_clips():
    widths = []
    for size in (100, 1600):
        counts = np.random.default_rng(size).multinomial(10, [0.5, 0.3, 0.2], size)
        low, high = bootstrap.intervals(f1_of, bootstrap.clip_weights(size, 400, seed=1), counts)[
            "f1"
        ]
        assert low < f1_of(counts.sum(axis=0))["f1"] < high
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.25)


def test_intervals_have_the_width_of_theory():
    hits = np.random.default_rng(0).random(400) < 0.3
    low, high = bootstrap.intervals(
        lambda c: {"share": float(c[0] / 400)}, bootstrap.clip_weights(400, 4000), hits[:, None]
    )["share"]
    share = hits.mean()
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(share * (1 - share) / 400), rel=0.06)
    assert (high + low) / 2 == pytest.approx(share, abs=0.004)


def test_clip_weights_are_resamples_for_a_seed():
    weights = bootstrap.clip_weights(30, 50, seed=4)
    assert (
        weights.shape == (50, 30)
        and (weights.sum(axis=1) == 30).all()
        and (weights == np.round(weights)).all()
    )
    np.testing.assert_array_equal(weights, bootstrap.clip_weights(30, 50, seed=4))
    assert (weights != bootstrap.clip_weights(30, 50, seed=5)).any()


def test_weighted_metrics_equal_literally_resampled_clips():
    rng = np.random.default_rng(0)
    truth, scores = rng.random((25, 3)) < 0.3, np.round(rng.random((25, 3)), 1)
    said = scores > 0.5
    counts = np.stack(
        [(truth & said).sum(1), (~truth & said).sum(1), (truth & ~said).sum(1)], axis=1
    )
    for w in bootstrap.clip_weights(25, 20):
        drawn = np.repeat(np.arange(25), w.astype(int))
        assert average_precision.ranking_metrics(scores, truth, w) == pytest.approx(
            average_precision.ranking_metrics(scores[drawn], truth[drawn]), abs=1e-9
        )
        resampled = metrics.decision_counts(truth[drawn], said[drawn]).sum(axis=1)
        (found,) = bootstrap.resampled(f1_of, w[None], counts)
        assert found["f1"] == pytest.approx(f1_of(resampled)["f1"])


def test_weighted_segment_rates_equal_sed_eval_on_resampled_clips():
    reference, estimate, durations = random_lists(8)
    (truth, clip_of), (said, _) = (
        metrics.activity(Events.from_rows(rows), durations, 3) for rows in (reference, estimate)
    )
    per_clip = metrics.sum_by_clip(metrics.segment_counts(truth, said), clip_of, len(durations))
    for w in bootstrap.clip_weights(len(durations), 5, seed=2):
        theirs = segment_based(
            reference,
            estimate,
            durations,
            clips=np.repeat(np.arange(len(durations)), w.astype(int)).tolist(),
        )
        (found,) = bootstrap.resampled(metrics.segment_figures, w[None], per_clip)
        assert_segment_figures(found, theirs)


def test_interval_of_a_metric_that_is_undefined_in_some_resamples():
    results = [{"a": None, "b": 1.0}, {"a": None, "b": None}]
    assert bootstrap.interval_of(results, {"a": None, "b": 1.0}) == {"a": None, "b": [1.0, 1.0]}
    assert bootstrap.interval_of(results, {"a": 0.5, "b": 1.0}) == {"a": None, "b": [1.0, 1.0]}


def test_an_interval_is_numpys_percentiles_and_holds_its_value():
    results = [{"a": value / 100} for value in range(101)]
    for value, ends in ((0.3, [0.025, 0.975]), (0.01, [0.01, 0.975]), (0.99, [0.025, 0.99])):
        assert bootstrap.interval_of(results, {"a": value})["a"] == pytest.approx(ends)


@pytest.mark.parametrize("num_clips", [1, 2, 5])
@pytest.mark.parametrize("num_resamples", [1, 3, 40])
def test_intervals_hold_the_values_of_few_clips_and_resamples(num_clips, num_resamples):
    rng, held = np.random.default_rng(num_clips), 0
    weights = bootstrap.clip_weights(num_clips, num_resamples)
    for _ in range(30):
        counts = rng.integers(0, 3, (num_clips, 7)) * (
            rng.random((num_clips, 7)) < 0.5
        )  # of rare classes
        values, ends = (
            metrics.segment_figures(counts.sum(axis=0)),
            bootstrap.intervals(metrics.segment_figures, weights, counts),
        )
        for name, value in values.items():
            if ends[name] is not None:
                low, high = ends[name]
                assert low <= value <= high and (num_clips > 1 or low == high)
                held += 1
        first, second = counts[:, 4:], counts[::-1, [5, 4, 6]]
        pairs = bootstrap.paired_intervals(metrics.f1_figures, weights, first, second)
        for value, interval in pairs.values():
            assert interval is None or interval[0] <= value <= interval[1]
    assert held > 50


def test_an_event_of_length_zero_at_the_very_end_is_in_its_clip():
    rows = [
        (0, 0.0, 0.0, 0),
        (0, 1.0, 2.0, 0),
        (0, 2.5, 2.5, 0),
        (0, 2.4, 3.0, 0),
        (0, 2.5, 3.0, 0),
        (0, 2.6, 2.6, 0),
    ]
    found = metrics.cut(Events.from_rows(rows), np.array([2.5]))
    assert sorted(found.rows()) == sorted([*rows[:3], (0, 2.4, 2.5, 0)])


def test_a_length_that_is_off_by_less_than_a_microsecond_adds_no_segment():
    """Differences of times give such durations: 10 - 0.1 - 7 s, and 3.0000000000000004 s."""
    events, durations = (
        Events.from_rows([(0, 0.0, 2.9, 0), (1, 0.0, 3.0, 0)]),
        np.array([2.9000000000000004, 3.0000000000000004]),
    )
    everything = Events.from_rows([(0, 0.0, 9.0, 0), (1, 0.0, 9.0, 0)])
    micro, _ = segment_metrics(events, everything, durations, ["A"])
    assert micro["error_rate"] == 0.0 and micro["f1"] == 1.0
