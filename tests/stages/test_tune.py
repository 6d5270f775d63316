"""tune: decode and score give the F1 that it reports, and no other thresholds give more."""

import itertools
import json
import re

import numpy as np
import pytest
from helpers import write_score_file, write_set
from sklearn.metrics import f1_score

from wsedtk.cli import printing_results
from wsedtk.core.errors import InputError
from wsedtk.data import datadir, store
from wsedtk.decoding import event_decoding, operating_point, thresholds
from wsedtk.stages import tune
from wsedtk.stages.options.results import TuneOptions

LABELS = ["Car", "Air horn, truck horn", "Dog"]


def tune_to(folder, scores="scores.h5", **options):
    """Run the stage with the files of a folder, and print its result. Return the operating point."""
    paths = (folder / scores, folder / "set", folder / "point.yaml")
    printing_results.print_tune(tune.run(TuneOptions(*paths, **options)))
    return operating_point.read(folder / "point.yaml")


def make_world(
    folder,
    seed,
    num_clips=5,
    num_classes=2,
    step=0.25,
    lengths=(0, 0),
    with_frames=True,
    with_events=True,
):
    """Write a data set and its scores to a folder, small enough for exhaustive search.

    lengths: the difference in seconds between recordings and nominal durations.
    """
    rng = np.random.default_rng(seed)
    labels, names = LABELS[:num_classes], [f"clip {i}.wav" for i in range(num_clips)]
    nominal = np.round(rng.uniform(1.0, 3.0, num_clips), 2)
    measured = np.maximum(np.round(nominal + rng.uniform(*lengths, num_clips), 2), 0.5)
    rows, tags = [], []
    for name, duration in zip(names[:-1], nominal):  # the last clip has no tags or events
        for k, label in enumerate(labels):
            if rng.random() < (0.9 if k == 0 else 0.4):
                tags.append((name, label))
                onset = round(float(rng.uniform(0, duration - 0.3)), 2)
                rows.append((name, onset, round(onset + float(rng.uniform(0.1, 2)), 2), label))
    rows.append((names[0], 0.0, 0.0, labels[-1]))
    tags = sorted({*tags, (names[0], labels[-1])})
    write_set(
        folder / "set",
        [(n, "", d) for n, d in zip(names, nominal)],
        labels,
        tags,
        rows if with_events else None,
    )
    num_frames = np.maximum(
        1,
        np.ceil(np.maximum(measured, nominal) / step + rng.integers(-1, 3, num_clips)).astype(int),
    )
    frame = np.zeros((num_clips, num_frames.max() + 2, num_classes), np.float32)
    for i, count in enumerate(num_frames):
        frame[i, :count] = np.round(rng.uniform(0.05, 1, (count, num_classes)), 1)
    for name, onset, offset, label in rows:
        i, k = names.index(name), labels.index(label)
        frame[i, int(onset / step) : int(np.ceil(offset / step)), k] += 0.3
    frame = np.clip(np.round(frame, 1), 0.1, 1).astype(np.float32)
    order = rng.permutation(num_clips)  # a score file may have another order than the set
    write_score_file(
        folder / "scores.h5",
        [names[i] for i in order],
        labels,
        frame.max(axis=1)[order],
        frame[order] if with_frames else None,
        num_frames=num_frames[order],
        durations=measured[order],
        seconds_per_frame=step,
    )
    return folder


def segments_of(rows, durations, num_classes):
    """Return booleans (S, K) of (clip, onset, offset, class) by a loop over the seconds."""
    out = []
    for clip, duration in enumerate(durations):
        for second in range(int(np.ceil(duration))):
            out.append(
                [
                    any(
                        c == clip
                        and k == label
                        and on < min(second + 1, duration)
                        and off > second
                        and off > on
                        for c, on, off, label in rows
                    )
                    for k in range(num_classes)
                ]
            )
    return np.array(out)


def exhaustive_frames(folder, criterion, grid, common=False):
    """Return the best micro F1 of all thresholds and filters of the grid, by decoding each.

    common: all classes have the same threshold and filters.
    """
    dataset, scores = datadir.read(folder / "set"), store.ScoreFile(folder / "scores.h5")
    rows, num_classes = (
        [scores.filenames.tolist().index(n) for n in dataset.filenames],
        len(dataset.labels),
    )
    if criterion == "tags":
        truth = dataset.tag_matrix()
    else:
        truth = segments_of(list(dataset.events.rows()), dataset.durations, num_classes)
    step, choices, together = scores.seconds_per_frame, [set() for _ in range(num_classes)], []
    levels = [
        *sorted(set(np.concatenate([scores.frames(row).ravel() for row in rows]).astype(float))),
        np.inf,
    ]
    for (median, shortest, gap), threshold in itertools.product(grid, levels):
        found = []
        for clip, row in enumerate(rows):
            filters = (
                event_decoding.odd_frames(median, step),
                event_decoding.whole_frames(shortest, step),
                int(gap / step + 1e-6),
            )
            decoded = event_decoding.decode_frames(
                scores.frames(row)[None],
                np.full(num_classes, threshold),
                step,
                scores.durations[row],
                filters,
            )
            found += [(clip, *event[1:]) for event in decoded.rows()]
        if criterion == "tags":
            said = np.zeros_like(truth)
            for clip, _, _, k in found:
                said[clip, k] = True
        else:
            said = segments_of(found, dataset.durations, num_classes)
        for k in range(num_classes):
            choices[k].add((int((said & truth)[:, k].sum()), int(said[:, k].sum())))
        together.append((int((said & truth).sum()), int(said.sum())))
    totals = together
    if not common:
        totals = [
            (sum(c[0] for c in combination), sum(c[1] for c in combination))
            for combination in itertools.product(*choices)
        ]
    return max(
        2 * tp / (predicted + truth.sum()) if predicted + truth.sum() else 0.0
        for tp, predicted in totals
    )


def decode_and_score(run, folder, *options):
    """Decode and score with the tuned point: (report, decoded set, truth)."""
    out = folder / "out"
    assert run("decode", folder / "scores.h5", folder / "point.yaml", out, *options).exit_code == 0
    report = json.loads(run("score", folder / "set", out, "--json").stdout)
    truth = datadir.read(folder / "set")
    return report, datadir.read_decoded(out, truth.labels), truth


GRIDS = [
    {"median_seconds": (0,), "min_seconds": (0,), "max_gap_seconds": (0,)},
    {"median_seconds": (0, 0.75), "min_seconds": (0, 0.5), "max_gap_seconds": (0, 0.5)},
    {"median_seconds": (1.25,), "min_seconds": (0.75,), "max_gap_seconds": (0.25,)},
]
LENGTHS = [(0, 0), (-1, -0.3), (0.2, 1.5), (-0.9, 0.9)]


@pytest.mark.parametrize("criterion", ["tags", "segments"])
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("grid", GRIDS)
def test_frame_thresholds_reach_the_global_optimum_when_decoded(
    run, tmp_path, capsys, criterion, lengths, grid
):
    for seed in range(3):
        folder = make_world(
            tmp_path / str(seed),
            seed + 100 * LENGTHS.index(lengths),
            lengths=lengths,
            step=(0.25, 0.1, 0.24, 0.4)[seed],
            num_clips=(5, 3, 5, 2)[seed],
        )
        tune_to(folder, criterion=criterion, **grid)
        report, decoded, truth = decode_and_score(run, folder, "--mode", "frame")
        if criterion == "segments":
            reached = report["segment"]["f1"]
        else:
            said = np.zeros_like(truth.tag_matrix())
            said[decoded.events.clip, decoded.events.label] = True
            reached = f1_score(truth.tag_matrix(), said, average="micro", zero_division=0)
        assert reached == pytest.approx(
            exhaustive_frames(folder, criterion, list(itertools.product(*grid.values()))), abs=1e-9
        ), seed


@pytest.mark.parametrize("criterion", ["tags", "segments"])
@pytest.mark.parametrize("grid", GRIDS)
def test_a_common_threshold_is_the_best_of_those_that_all_classes_share(
    run, tmp_path, capsys, criterion, grid
):
    for seed in range(3):
        folder = make_world(tmp_path / str(seed), seed, num_classes=3, lengths=(-0.9, 0.9))
        point = tune_to(folder, criterion=criterion, common_threshold=True, **grid)
        printed = capsys.readouterr().out
        for name in operating_point.PER_CLASS:
            assert len(set(getattr(point, name).tolist())) == 1, name
        report, decoded, truth = decode_and_score(run, folder, "--mode", "frame")
        scores = store.ScoreFile(folder / "scores.h5")
        clip, true = scores.clip[scores.rows(truth.filenames)], truth.tag_matrix()
        best = max(
            f1_score(true, clip >= t, average="micro", zero_division=0)
            for t in [*np.unique(clip), np.inf]
        )
        assert report["tagging"]["f1"] == pytest.approx(best, abs=1e-9)
        assert printed_f1(printed) == pytest.approx(best, abs=5e-5)
        best = exhaustive_frames(
            folder, criterion, list(itertools.product(*grid.values())), common=True
        )
        assert float(
            re.search(r"F1 with the frame thresholds, counted in .*: ([\d.]+)", printed).group(1)
        ) == pytest.approx(best, abs=5e-5)
        if criterion == "segments":
            assert report["segment"]["f1"] == pytest.approx(best, abs=1e-9)


def test_a_common_threshold_is_not_better_than_one_per_class(run, tmp_path):
    folder = make_world(tmp_path, 1, num_clips=12, num_classes=3)
    printed = {}
    for options in ([], ["--common-threshold"]):
        result = run(
            "tune",
            folder / "scores.h5",
            folder / "set",
            folder / "point.yaml",
            "--criterion",
            "segments",
            *options,
        )
        assert result.exit_code == 0, result.stderr
        printed[len(options)] = float(
            re.search(
                r"F1 with the frame thresholds, counted in .*: ([\d.]+)", result.stdout
            ).group(1)
        )
    point = operating_point.read(folder / "point.yaml")
    assert (
        printed[1] < printed[0]
        and "common threshold" in point.tuned_on
        and point.tuned["common_threshold"] is True
    )


@pytest.mark.parametrize("criterion", ["tags", "segments"])
@pytest.mark.parametrize("gate", [False, True])
def test_the_frame_f1_that_is_printed_is_the_one_decoded(run, tmp_path, capsys, criterion, gate):
    for seed in range(4):
        folder = make_world(tmp_path / str(seed), seed, num_clips=6)
        tune_to(folder, criterion=criterion, gate_by_tags=gate)
        printed = float(
            re.search(
                r"F1 with the frame thresholds, counted in .*: ([\d.]+)", capsys.readouterr().out
            ).group(1)
        )
        report, decoded, truth = decode_and_score(run, folder, "--mode", "frame")
        if gate:
            assert all(
                decoded.tag_matrix()[clip, label]
                for clip, label in zip(decoded.events.clip, decoded.events.label)
            )
        said = np.zeros_like(truth.tag_matrix())
        said[decoded.events.clip, decoded.events.label] = True
        tags_f1 = f1_score(truth.tag_matrix(), said, average="micro", zero_division=0)
        assert printed == pytest.approx(
            report["segment"]["f1"] if criterion == "segments" else tags_f1, abs=6e-5
        ), seed


@pytest.mark.parametrize("criterion", ["tags", "segments"])
def test_a_filter_that_no_frame_of_a_clip_passes_counts(run, tmp_path, capsys, criterion):
    # Both clips have the event, but the second clip is shorter than the minimum duration: no
    # threshold finds it, not even -inf.
    write_set(
        tmp_path / "set",
        [("a", "", 1), ("b", "", 0.3)],
        ["Car"],
        [("a", "Car"), ("b", "Car")],
        [("a", 0, 1, "Car"), ("b", 0, 0.3, "Car")],
    )
    write_score_file(
        tmp_path / "scores.h5",
        ["a", "b"],
        ["Car"],
        [[0.9], [0.9]],
        np.full((2, 10, 1), 0.9),
        num_frames=[10, 3],
        durations=[1, 0.3],
    )
    tune_to(tmp_path, criterion=criterion, median_seconds=(0, 1.3), min_seconds=(0.5, 0))
    assert exhaustive_frames(tmp_path, criterion, [(0, 0.5, 0)]) == pytest.approx(2 / 3)
    report, decoded, _ = decode_and_score(run, tmp_path, "--mode", "frame")
    assert report["segment"]["f1"] == 1.0 and decoded.events.clip.tolist() == [0, 1]


def printed_f1(text):
    return float(re.search(r"tagging F1 on these \d+ clips: ([\d.]+)", text).group(1))


@pytest.mark.parametrize(
    "options", [[], ["--published"], ["--published", "--seed", "3"], ["--criterion", "segments"]]
)
def test_score_reproduces_the_tagging_f1_that_tune_prints(run, tmp_path, options):
    for seed in range(3):
        folder = make_world(tmp_path / str(seed), seed, num_clips=12, num_classes=3)
        result = run("tune", folder / "scores.h5", folder / "set", folder / "point.yaml", *options)
        assert result.exit_code == 0, result.stderr
        report, decoded, truth = decode_and_score(run, folder)
        assert report["tagging"]["f1"] == pytest.approx(printed_f1(result.stdout), abs=5e-5)
        scores = store.ScoreFile(folder / "scores.h5")
        place = [scores.filenames.tolist().index(n) for n in truth.filenames]
        best = f1_score(
            truth.tag_matrix(),
            scores.clip[place] >= thresholds.tune(scores.clip[place], truth.tag_matrix()),
            average="micro",
        )
        if "--published" in options:
            assert report["tagging"]["f1"] <= best + 1e-9
        else:
            assert report["tagging"]["f1"] == pytest.approx(best, abs=1e-9)


def test_published_is_wangs_procedure(tmp_path, capsys):
    folder = tmp_path
    write_set(folder / "set", [("a", "", 10), ("b", "", 10)], LABELS[:2], [("a", "Car")])
    write_score_file(folder / "scores.h5", ["a", "b"], LABELS[:2], [[0.875, 0.75], [0.125, 0.25]])
    assert tune_to(folder).clip_thresholds.tolist() == [0.5, np.inf]
    point = tune_to(folder, published=True)
    assert point.clip_thresholds.tolist() == [0.5, 0.5] and "published" in point.tuned_on
    assert printed_f1(capsys.readouterr().out.splitlines()[-1]) == pytest.approx(2 / 3, abs=1e-4)


def test_the_operating_point_says_how_it_was_made(tmp_path, capsys):
    folder = make_world(tmp_path, 0)
    point = tune_to(folder)
    assert point.mode == "segment" and point.labels == LABELS[:2] and not point.gate_by_tags
    assert "tags" in point.tuned_on and "5 clips" in point.tuned_on and "abc" in point.tuned_on
    assert (
        (point.median_seconds == 0.5).all()
        and (point.min_seconds == 0.2).all()
        and (point.max_gap_seconds == 0.2).all()
    )
    point = tune_to(folder, criterion="segments", gate_by_tags=True, median_seconds=(0.25, 0.75))
    assert point.mode == "frame" and point.gate_by_tags and "segments" in point.tuned_on
    assert set(point.median_seconds.tolist()) <= {0.25, 0.75}


def test_without_frames_only_clip_thresholds_are_tuned(tmp_path, capsys):
    folder = make_world(tmp_path, 1, with_frames=False)
    point = tune_to(folder)
    assert (point.frame_thresholds == np.inf).all() and np.isfinite(point.clip_thresholds).any()
    with pytest.raises(InputError, match="contains no frame scores, which the criterion"):
        tune_to(folder, criterion="segments")


def test_an_event_after_the_end_of_its_clip_is_in_no_segment(tmp_path):
    """The last segment of the clip, from 1 to 2 s, extends beyond the end of the clip at 1.5 s."""
    events = [("a", 0.0, 0.5, "Car"), ("a", 1.55, 1.6, "Car")]
    write_set(tmp_path / "set", [("a", "", 1.5)], LABELS[:1], [("a", "Car")], events)
    frames = np.array([0.9] * 5 + [0.1] * 10)[None, :, None]
    scores = tmp_path / "scores.h5"
    write_score_file(scores, ["a"], LABELS[:1], [[0.9]], frames, durations=[1.5])
    options = TuneOptions(scores, tmp_path / "set", tmp_path / "p.yaml", criterion="segments")
    found = tune.run(options).frames
    assert found.counts == (1, 1, 1)  # true positives, predicted, in the reference


def test_segments_need_events(tmp_path):
    folder = make_world(tmp_path, 1, with_events=False)
    with pytest.raises(
        InputError, match="set: has no events.tsv, which the criterion 'segments' needs; add"
    ):
        tune_to(folder, criterion="segments")


def test_the_classes_must_be_those_of_the_set(tmp_path):
    folder = make_world(tmp_path, 1)
    write_score_file(folder / "other.h5", ["clip 0.wav"], ["Car", "Cat"], [[0.5, 0.5]])
    with pytest.raises(
        InputError,
        match="other.h5: its classes differ from .*set .in only one of them: 'Air horn, truck horn'",
    ):
        tune_to(folder, scores="other.h5")
    write_score_file(folder / "turned.h5", ["clip 0.wav"], LABELS[1::-1], [[0.5, 0.5]])
    with pytest.raises(
        InputError, match="its classes differ from those of .* .only in their order"
    ):
        tune_to(folder, scores="turned.h5")


@pytest.mark.usefixtures("printed_messages")
def test_scores_of_other_clips(tmp_path, capsys):
    folder = make_world(tmp_path, 1)
    write_score_file(folder / "other.h5", ["x.wav"], LABELS[:2], [[0.5, 0.5]])
    with pytest.raises(
        InputError, match="set: 5 of 5 clips have no scores in .*other.h5, the first 'clip 0.wav'"
    ):
        tune_to(folder, scores="other.h5")
    names, values = ["x.wav", "clip 0.wav"], [[0.5, 0.5], [0.7, 0.6]]
    write_score_file(
        folder / "some.h5",
        names,
        LABELS[:2],
        values,
        failed=["clip 1.wav", "clip 2.wav", "clip 4.wav"],
    )
    with pytest.raises(
        InputError,
        match="set: 1 of 5 clips has no scores in .*some.h5, the first 'clip 3.wav'; predict the missing clips too",
    ):
        tune_to(folder, scores="some.h5")
    write_score_file(
        folder / "some.h5", names, LABELS[:2], values, failed=[f"clip {i}.wav" for i in range(1, 5)]
    )
    # x.wav is not a clip of the set, and is ignored.
    assert tune_to(folder, scores="some.h5").tuned_on.endswith(", 1 clip")
    assert (
        "set: the clips for which extract failed are left out: "
        "clip 1.wav, clip 2.wav, clip 3.wav and 1 more" in capsys.readouterr().err
    )
    write_score_file(
        folder / "none.h5",
        names[:1],
        LABELS[:2],
        values[:1],
        failed=[f"clip {i}.wav" for i in range(5)],
    )
    with pytest.raises(
        InputError,
        match="none.h5: contains no scores of the clips of .*set, because extract failed",
    ):
        tune_to(folder, scores="none.h5")


def test_missing_and_wrong_files(tmp_path):
    folder = make_world(tmp_path, 1)
    with pytest.raises(InputError, match="nothing.h5: no such file"):
        tune_to(folder, scores="nothing.h5")
    (folder / "empty.h5").write_bytes(b"")
    with pytest.raises(InputError, match="empty.h5: is not an HDF5 file"):
        tune_to(folder, scores="empty.h5")
    (folder / "set" / "tags.tsv").unlink()
    with pytest.raises(InputError, match="tags.tsv: no such file"):
        tune_to(folder)
    assert not (folder / "point.yaml").exists()


def test_thresholds_part_adjacent_float32_scores_through_the_file(run, tmp_path):
    low = np.float32(0.7)
    high = np.nextafter(low, np.float32(1))
    write_set(tmp_path / "set", [("a", "", 10), ("b", "", 10)], ["Car"], [("a", "Car")])
    write_score_file(tmp_path / "scores.h5", ["a", "b"], ["Car"], [[high], [low]])
    result = run("tune", tmp_path / "scores.h5", tmp_path / "set", tmp_path / "point.yaml")
    assert printed_f1(result.stdout) == 1.0
    report, decoded, _ = decode_and_score(run, tmp_path)
    assert report["tagging"]["f1"] == 1.0 and decoded.tag_clip.tolist() == [0]


def test_nothing_but_an_operating_point_is_overwritten(tmp_path):
    make_world(tmp_path, 0)
    (tmp_path / "point.yaml").write_text("network: dcase-crnn\n")  # of a model
    with pytest.raises(
        InputError,
        match="point.yaml: unknown key 'network'.*; the file is not overwritten; choose another path for the output, or remove the file",
    ):
        tune_to(tmp_path)
    (tmp_path / "point.yaml").unlink()
    assert tune_to(tmp_path).labels == tune_to(tmp_path).labels


def reached_when_decoded(run, folder, criterion):
    """Return TP, predicted and positives (K,) of decoded events, and of decoded tags.

    Events are counted in the unit of the criterion, tags in clips.
    """
    _, decoded, truth = decode_and_score(run, folder)
    tags, said = truth.tag_matrix(), decoded.tag_matrix()
    pairs = [(tags, said)]
    if criterion == "segments":
        durations = truth.durations
        pairs.append(
            [
                segments_of(list(rows.rows()), durations, len(truth.labels))
                for rows in (truth.events, decoded.events)
            ]
        )
    else:
        events = np.zeros_like(tags)
        events[decoded.events.clip, decoded.events.label] = True
        pairs.append((tags, events))
    return [((a & b).sum(axis=0), b.sum(axis=0), a.sum(axis=0)) for a, b in pairs], float(
        truth.durations.sum()
    ) / 3600


@pytest.mark.parametrize("criterion", ["tags", "segments"])
@pytest.mark.parametrize("gate", [False, True])
@pytest.mark.parametrize(
    "target",
    [
        "precision=0.7",
        "precision=1",
        "recall=0.8",
        "false-alarms-per-hour=0",
        "false-alarms-per-hour=400",
    ],
)
def test_a_target_is_met_by_what_is_decoded(run, tmp_path, criterion, target, gate):
    quantity, value = target.split("=")
    found_any = 0
    for seed in range(4):
        folder = make_world(tmp_path / str(seed), seed, num_clips=10, num_classes=3)
        result = run(
            "tune",
            folder / "scores.h5",
            folder / "set",
            folder / "point.yaml",
            "--target",
            target,
            "--criterion",
            criterion,
            "--median-seconds",
            "0,0.75",
            *(["--gate-by-tags"] if gate else []),
        )
        assert result.exit_code == 0, result.stderr
        point = operating_point.read(folder / "point.yaml")
        assert (
            point.mode == "frame"
            and point.tuned["target"] == {quantity: float(value)}
            and target in point.tuned_on
        )
        by_unit, hours = reached_when_decoded(run, folder, criterion)
        tables = result.stdout.split(f"target {target}, counted in ")[1:]
        assert len(tables) == 2
        for (hits, predicted, positives), limits, printed in zip(
            by_unit, (point.clip_thresholds, point.frame_thresholds), tables
        ):
            rows = [
                next(line for line in printed.splitlines() if line.startswith(label))
                for label in LABELS
            ]
            for k, row in enumerate(rows):
                assert ("never predicted" in row) == (limits[k] == np.inf) == (hits[k] == 0), row
                if limits[k] == np.inf:
                    assert predicted[k] == 0
                    continue
                found_any += 1
                precision, recall, alarms = (
                    hits[k] / predicted[k],
                    hits[k] / positives[k],
                    (predicted[k] - hits[k]) / hours,
                )
                assert row.split()[-4:] == [
                    str(positives[k]),
                    f"{precision:.3f}",
                    f"{recall:.3f}",
                    f"{alarms:.2f}",
                ]
                reached = {
                    "precision": precision,
                    "recall": recall,
                    "false-alarms-per-hour": -alarms,
                }[quantity]
                assert reached >= float(value) * (-1 if quantity.startswith("false") else 1)
        assert (
            "warning: the results of classes with fewer than 30 positive clips can be very "
            in result.stderr
        )
    assert found_any >= 4


def test_a_target_that_cannot_be_met_names_the_best(run, tmp_path):
    labels = ["Car", "Never <b>", "Absent"]
    write_set(
        tmp_path / "set",
        [(n, "", 10) for n in "abcd"],
        labels,
        [("a", "Car"), ("b", "Car"), ("d", "Never <b>")],
    )
    scores = [[0.9, 0.5, 0.1], [0.75, 0.5, 0.1], [0.25, 0.5, 0.1], [0.1, 0.5, 0.1]]
    write_score_file(tmp_path / "scores.h5", list("abcd"), labels, scores)
    result = run(
        "tune",
        tmp_path / "scores.h5",
        tmp_path / "set",
        tmp_path / "point.yaml",
        "--target",
        "precision=0.9",
    )
    assert result.exit_code == 0 and operating_point.read(
        tmp_path / "point.yaml"
    ).clip_thresholds.tolist() == [0.5, np.inf, np.inf]
    assert (
        operating_point.read(tmp_path / "point.yaml").mode == "segment"
    )  # without frame scores there is no other
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert (
        "Car 2 1.000 1.000 0.00" in lines
        and "target precision=0.9, counted in clips, on 0.01 hours of audio:" in lines
    )
    assert (
        "Never <b> 1 - 0.000 0.00 never predicted: the nearest threshold gives precision 0.250, "
        "recall 1.000, "
        "270.00 false alarms per hour"
    ) in lines
    assert "Absent 0 - 0.000 0.00 never predicted: no threshold gives a true positive" in lines
    assert "classes with fewer than 30 positive clips can be very different on " in result.stderr
    assert "on other audio: Absent (0), Never <b> (1), Car (2)\n" in result.stderr


@pytest.mark.parametrize("value, warned", [("100", True), ("180", False), ("0", False)])
def test_a_rate_that_needs_a_longer_set(run, tmp_path, value, warned):
    write_set(tmp_path / "set", [("a", "", 10), ("b", "", 10)], ["Car"], [("a", "Car")])
    write_score_file(tmp_path / "scores.h5", ["a", "b"], ["Car"], [[0.9], [0.1]])
    result = run(
        "tune",
        tmp_path / "scores.h5",
        tmp_path / "set",
        tmp_path / "point.yaml",
        "--target",
        f"false-alarms-per-hour={value}",
    )
    message = "alarm corresponds to a rate of 180 per hour; the target 100 per hour allows no false"
    assert (message in result.stderr) == warned


def test_a_target_for_many_classes_is_summed_up(run, tmp_path):
    labels = [f"class {k}" for k in range(50)]
    write_set(
        tmp_path / "set", [("a", "", 10), ("b", "", 10)], labels, [("a", label) for label in labels]
    )
    write_score_file(
        tmp_path / "scores.h5", ["a", "b"], labels, [[0.9] * 50, [0.1] * 48 + [0.9] * 2]
    )
    result = run(
        "tune",
        tmp_path / "scores.h5",
        tmp_path / "set",
        tmp_path / "point.yaml",
        "--target",
        "precision=0.9",
    )
    assert (
        "target precision=0.9, counted in clips: the target is met for 48 of 50 classes; the other classes are never predicted: class 48 (at best 0.5), "
        in result.stdout
    )
    assert "thresholds of 50 classes; 2 of these classes are never predicted" in result.stdout


@pytest.mark.parametrize(
    "text, message",
    [
        ("precison=0.9", "no such target; did you mean 'precision'?"),
        ("f1=0.9", "no such target; known: precision, recall, "),
        ("precision", "expected precision=NUMBER, a number above 0 and at most 1"),
        ("recall=80", "above 0 and at most 1"),
        ("precision=0", "above 0"),
        ("recall=nan", "above 0"),
        ("false-alarms-per-hour=-1", "a number of at least 0"),
        ("false-alarms-per-hour=inf", "a number of at least 0"),
    ],
)
def test_invalid_targets(run, text, message):
    result = run("tune", "a", "b", "c.yaml", "--target", text)
    assert result.exit_code == 2 and message in " ".join(result.stderr.split())


WAYS = (("--target", "recall=0.5"), ("--published",), ("--common-threshold",))


@pytest.mark.parametrize("options", list(itertools.combinations(WAYS, 2)))
def test_ways_to_choose_thresholds_exclude_each_other(run, options):
    result = run("tune", "a", "b", "c.yaml", *options[0], *options[1])
    message = " ".join(result.stderr.split())
    assert result.exit_code == 2
    assert f"({options[0][0]}) and " in message
    assert f"({options[1][0]}): these options choose the same thresholds" in message
