"""Box mode from tune and decode to score and detect."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import soundfile
from helpers import make_point, write_model, write_score_file, write_set
from sed_scores_eval import intersection_based
from sed_scores_eval.base_modules.scores import create_score_dataframe

from wsedtk.core.errors import InputError
from wsedtk.data import boxes, datadir, store
from wsedtk.data.boxes import Boxes
from wsedtk.decoding import operating_point
from wsedtk.decoding.boxes import SETTINGS, BoxFilters, decode_boxes
from wsedtk.decoding.decisions import Target
from wsedtk.evaluation import metrics
from wsedtk.evaluation.box_search import BoxSearch
from wsedtk.stages import detect, tune
from wsedtk.stages.options.detection import DetectOptions
from wsedtk.stages.options.results import TuneOptions

LABELS = ["Car", "Air horn, truck horn"]
CAR, HORN = LABELS
FILTERS = ("box_filter_seconds", "box_merge_absolute", "box_merge_relative")


def box_point(thresholds=(0.5, 0.5), filters=(0.5, 1.0, 2.0), **changes):
    """Return an operating point for box mode."""
    values = {name: np.full(2, value) for name, value in zip(FILTERS, filters)}
    values.update(mode="box", box_thresholds=np.array(thresholds), **changes)
    return make_point(**values)


def table(path):
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def files(tmp_path):
    """Clips of 3 s and 1 s: (scores.h5, function that writes an operating point)."""
    frame = np.zeros((2, 30, 2), np.float32)
    frame[0, 5:15, 0], frame[0, 25:, 0] = 0.75, 0.5
    frame[1, :10, 1] = 0.25
    path, names = tmp_path / "scores.h5", ["a.wav", "-b.wav"]
    clip = [[0.9, 0.3], [0.2, 0.1]]
    scores = write_score_file(path, names, LABELS, clip, frame, None, [30, 10], [3.0, 1.0])

    def point(*arguments, **changes):
        operating_point.write(tmp_path / "point.yaml", box_point(*arguments, **changes))
        return tmp_path / "point.yaml"

    return scores, point


ALL_BOXES = [
    ["a.wav", "0", "0.25", CAR, "0"],
    ["a.wav", "0", "3", HORN, "0"],
    ["a.wav", "0.5", "1.5", CAR, "0.75"],
    ["a.wav", "1.75", "2.25", CAR, "0"],
    ["a.wav", "2.5", "3", CAR, "0.5"],
    ["-b.wav", "0", "1", CAR, "0"],
    ["-b.wav", "0", "1", HORN, "0.25"],
]


def test_all_boxes_are_written_and_events_are_above_the_threshold(run, files, tmp_path):
    scores, point = files
    out = tmp_path / "out"
    for thresholds, chosen in (
        ((0.5, 0.5), [2]),  # a confidence that equals the threshold is not above it
        ((0.499, 0.25), [2, 4]),
        ((0.7, 0.2), [2, 6]),
        ((np.inf, np.inf), []),
        ((-np.inf, np.inf), [0, 2, 3, 4, 5]),
    ):
        result = run("decode", scores, point(thresholds), out)
        assert result.exit_code == 0, result.stderr
        assert table(out / "boxes.tsv") == [list(boxes.COLUMNS), *ALL_BOXES]
        assert table(out / "events.tsv")[1:] == [ALL_BOXES[i][:4] for i in chosen]
        events = f"{len(chosen)} event{'' if len(chosen) == 1 else 's'} of 7 boxes (box mode)"
        assert result.stdout == f"{out}: 2 clips, 1 tag, {events}\n"
    assert "mode: box" in (out / "info.yaml").read_text()
    assert run("decode", scores, point(), out, "--mode", "frame").exit_code == 0
    assert not (out / "boxes.tsv").exists()


def test_the_gate_leaves_boxes_of_tagged_classes_only(run, files, tmp_path):
    scores, point = files
    assert run("decode", scores, point(gate_by_tags=True), tmp_path / "out").exit_code == 0
    found = table(tmp_path / "out" / "boxes.tsv")[1:]
    assert found == [row for row in ALL_BOXES if row[0] == "a.wav" and row[3] == CAR]


def test_operating_points_keep_the_settings_of_boxes(tmp_path):
    path = tmp_path / "point.yaml"
    point = box_point((0.25, np.inf), (0.64, 0.3, np.inf))
    operating_point.write(path, point)
    found = operating_point.read(path)
    for name in ("box_thresholds", *FILTERS):
        assert (getattr(found, name) == getattr(point, name)).all()
    assert found.mode == "box" and (found.thresholds_of("box") == [0.25, np.inf]).all()
    operating_point.write(path, make_point())  # without boxes
    assert "box" not in path.read_text() and operating_point.read(path).box_thresholds is None


def test_missing_filters_have_the_published_defaults(tmp_path):
    path = tmp_path / "point.yaml"
    operating_point.write(path, make_point())
    with open(path, "a", encoding="utf-8") as file:
        file.write(f'box_thresholds:\n  {CAR}: 0.5\n  "{HORN}": .inf\n')
    filters = operating_point.box_filters(operating_point.read(path), path)
    assert [one.tolist() for one in filters] == [[0.5, 0.5], [1, 1], [2, 2]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"box_thresholds": None}, "missing key 'box_thresholds', which box mode needs"),
        ({"box_thresholds": None, "mode": "frame"}, "missing key 'box_thresholds'"),
        (
            {"box_thresholds": np.array([0.5, 1.5])},
            "box_thresholds: Air horn, truck horn: expected",
        ),
        ({"box_filter_seconds": np.array([0, 0.5])}, "Car: expected a number of seconds above 0"),
        ({"box_filter_seconds": np.array([0.5, 61])}, "at most 60, found 61.0"),
        ({"box_merge_absolute": np.array([0.5, -1])}, "expected a number of at least 0, or .inf"),
        ({"box_merge_relative": np.array([np.nan, 1])}, "Car: expected a number, found"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, changes, message):
    operating_point.write(tmp_path / "point.yaml", make_point(**{**vars(box_point()), **changes}))
    with pytest.raises(InputError, match=r"point.yaml") as error:
        operating_point.read(tmp_path / "point.yaml")
    assert message in str(error.value)


def test_points_without_boxes_are_refused(run, files, tmp_path):
    operating_point.write(tmp_path / "point.yaml", make_point())
    result = run("decode", files[0], tmp_path / "point.yaml", tmp_path / "out", "--mode", "box")
    assert result.exit_code == 1 and "has no thresholds for boxes" in result.stderr
    assert not (tmp_path / "out").exists()


# ---- tune and score ----


def make_world(folder, seed=0, num_clips=8, with_events=True):
    """Write a data set and its scores, in which the classes need other settings.

    Some recordings are longer than their clips, and clip scores are random.
    """
    rng = np.random.default_rng(seed)
    names = [f"clip {i}.wav" for i in range(num_clips)]
    durations = np.round(rng.uniform(3, 6, num_clips), 2)
    frame = rng.uniform(0, 0.3, (num_clips, 64, 2))
    rows, tags = [], []
    for i, name in enumerate(names[1:], 1):  # the first clip has no tags
        for k in range(2):
            if rng.random() < 0.7:
                tags.append((name, LABELS[k]))
                first = round(float(rng.uniform(0, 1.5)), 2)
                for onset in (first, first + 1.7):
                    offset = round(onset + float(rng.uniform(0.5, 1.2)), 2)
                    rows.append((name, onset, offset, LABELS[k]))
                    frame[i, round(onset * 10) : round(offset * 10), k] += 0.25 + 0.3 * k
    frame = np.clip(frame, 0, 1).astype(np.float32)
    clips = list(zip(names, [""] * num_clips, durations))
    write_set(folder / "set", clips, LABELS, sorted(tags), rows if with_events else None)
    clip = rng.uniform(0.2, 1, (num_clips, 2)).astype(np.float32)
    recorded = durations + rng.choice([0, 0.4], num_clips)
    counts = np.ceil(np.round(recorded * 10, 6))
    write_score_file(folder / "scores.h5", names, LABELS, clip, frame, None, counts, recorded)
    return folder


def tuned(folder, **options):
    paths = (folder / "scores.h5", folder / "set", folder / "point.yaml")
    return tune.run(TuneOptions(*paths, mode="box", **options))


def all_boxes(folder, setting, k):
    """Return the boxes of one class, decoded from the score file."""
    scores = store.ScoreFile(folder / "scores.h5")
    parts = [
        decode_boxes(frames[..., k : k + 1], 0.1, scores.durations[block], setting,
                     num_frames=scores.num_frames[block])
        for block, frames in scores.blocks(np.arange(len(scores)))
    ]  # fmt: skip
    assert len(parts) == 1
    return parts[0]


def counted(dataset, found, k, criterion):
    """Return the numbers of true positives and of positive decisions of boxes of class k."""
    if criterion == "tags":
        truth = dataset.tag_matrix()[:, k]
        predicted = np.isin(np.arange(len(dataset)), found.events.clip)
    else:
        true_events = dataset.events.select(dataset.events.label == k)
        truth, predicted = (
            metrics.activity(metrics.cut(events, dataset.durations), dataset.durations, 2)[0].any(1)
            for events in (true_events, found.events)
        )
    return np.array([(truth & predicted).sum(), predicted.sum(), 0])


@pytest.mark.parametrize("criterion", ["tags", "segments"])
def test_no_other_setting_gives_a_better_f1(run, tmp_path, criterion):
    """No other setting and threshold of one class raises the micro F1."""
    folder = make_world(tmp_path, num_clips=5)
    result = tuned(folder, criterion=criterion)
    dataset, decisions = datadir.read(folder / "set"), result.boxes
    best = decisions.counts.f1
    assert result.point.mode == "box" and 0.5 < best
    for k, setting in itertools.product(range(2), SETTINGS):
        own = [decisions.true_positives[k], decisions.predicted[k], 0]
        rest = np.array(decisions.counts) - own
        found = all_boxes(folder, setting, k)
        for threshold in [-np.inf, *np.unique(found.confidence)[::3]]:
            chosen = found.select(found.confidence > threshold)
            hits, *sizes = rest + counted(dataset, chosen, k, criterion)
            assert 2 * hits / sum(sizes) <= best + 1e-12
    out = folder / "out"
    assert run("decode", folder / "scores.h5", folder / "point.yaml", out).exit_code == 0
    events = datadir.read_decoded(out, LABELS).events
    sums = sum(
        counted(dataset, Boxes(events.select(events.label == k), np.zeros(0)), k, criterion)
        for k in range(2)
    )
    assert tuple(sums[:2]) == decisions.counts[:2]


def psds_of(found, dataset, labels, **settings):
    """Return sed_scores_eval's PSDS of boxes, from tables with a step of 10 ms."""
    tables = {}
    for i, duration in enumerate(dataset.durations):
        edges = np.round(np.arange(round(duration * 100) + 1) / 100, 6)
        values = np.full((len(edges) - 1, len(labels)), -np.inf)
        chosen = found.select(found.events.clip == i)
        for (_, on, off, k), confidence in zip(chosen.events.rows(), chosen.confidence):
            values[round(on * 100) : round(off * 100), k] = confidence
        tables[str(i)] = create_score_dataframe(values, edges, list(map(str, range(len(labels)))))
    truth = {str(i): [] for i in range(len(dataset))}
    for clip, on, off, k in metrics.evaluated_reference(dataset.events, dataset.durations).rows():
        truth[str(clip)].append((on, off, str(k)))
    lengths = {str(i): float(one) for i, one in enumerate(dataset.durations)}
    return intersection_based.psds(tables, truth, lengths, max_efpr=100, **settings)[0]


PSDS1 = {"dtc_threshold": 0.7, "gtc_threshold": 0.7, "cttc_threshold": None, "alpha_st": 1.0}
PSDS2 = {"dtc_threshold": 0.1, "gtc_threshold": 0.1, "cttc_threshold": 0.3, "alpha_ct": 0.5}


def test_psds1_chooses_the_filters_of_each_class_alone(tmp_path):
    folder = make_world(tmp_path, seed=1)
    result = tuned(folder, criterion="psds1")
    dataset = datadir.read(folder / "set")
    for k in range(2):
        of_class = dataset.events.select(dataset.events.label == k)
        alone = dataclasses.replace(
            dataset, events=dataclasses.replace(of_class, label=0 * of_class.label)
        )
        values = [
            psds_of(all_boxes(folder, setting, k), alone, LABELS[:1], **PSDS1)
            for setting in SETTINGS
        ]
        chosen = SETTINGS[int(result.boxes.setting[k])]
        assert int(np.argmax(values)) == result.boxes.setting[k] and max(values) > min(values)
        written = [getattr(operating_point.read(folder / "point.yaml"), f)[k] for f in FILTERS]
        assert tuple(written) == tuple(chosen)


def test_psds_is_computed_from_the_boxes(run, tmp_path):
    """PSDS needs no score file. It ignores thresholds, and the order of the clips."""
    folder = make_world(tmp_path, seed=2)
    point = box_point((0.9, np.inf), (0.32, 0.2, np.inf))
    operating_point.write(folder / "point.yaml", point)
    out = folder / "out"
    assert run("decode", folder / "scores.h5", folder / "point.yaml", out).exit_code == 0
    result = run("score", folder / "set", out, "--json")
    report = json.loads(result.stdout)
    dataset = datadir.read(folder / "set")
    found = boxes.read(out / "boxes.tsv", dataset.filenames, LABELS)
    for key, values in (("psds1", PSDS1), ("psds2", PSDS2 | {"alpha_st": 1.0})):
        expected = psds_of(found, dataset, LABELS, **values)
        assert report["psds"][key] == pytest.approx(expected) and expected > 0.05
    with_scores = run("score", folder / "set", out, "--scores", folder / "scores.h5", "--json")
    report_with_scores = json.loads(with_scores.stdout)
    assert report_with_scores["psds"] == report["psds"] and report["psds_classes"] == 2
    assert report_with_scores["audioset"]["map"] > 0


def test_tags_are_enough(run, tmp_path):
    folder = make_world(tmp_path, with_events=False)
    arguments = ("tune", folder / "scores.h5", folder / "set", folder / "point.yaml")
    result = run(*arguments, "--mode", "box", "--target", "recall=0.9")
    assert result.exit_code == 0, result.stderr
    assert "box threshold  filter s  merge absolute  merge relative" in result.stdout
    assert "target recall=0.9, counted in clips (with boxes)" in result.stdout
    for criterion in ("segments", "psds1"):
        result = run(*arguments, "--mode", "box", "--criterion", criterion)
        assert result.exit_code == 1 and "has no events.tsv, which the criterion" in result.stderr


def test_all_classes_can_have_common_settings(tmp_path):
    folder = make_world(tmp_path, seed=3)
    for criterion in ("segments", "psds1"):
        point = tuned(folder, criterion=criterion, common_threshold=True).point
        for name in ("box_thresholds", *FILTERS):
            assert len(set(getattr(point, name))) == 1


def test_the_gate_limits_the_boxes_that_are_tuned(tmp_path):
    folder = make_world(tmp_path)
    scores, dataset = store.ScoreFile(folder / "scores.h5"), datadir.read(folder / "set")
    passes = np.ones((len(dataset), 2), bool)
    rows = scores.rows(dataset.filenames)
    for criterion in ("tags", "segments"):
        free = BoxSearch(scores, rows, dataset, passes, criterion).decisions()
        closed = BoxSearch(scores, rows, dataset, passes & [False, True], criterion).decisions()
        assert (free.predicted > 0).all() and closed.predicted[0] == 0 < closed.predicted[1]
    options = {"gate_by_tags": True, "target": ("precision", 1.0)}
    point = tuned(folder, **options).point
    passes = scores.clip[rows] >= point.clip_thresholds
    found = BoxSearch(scores, rows, dataset, passes, "tags").decisions(
        target=Target("precision", 1.0, 1.0)
    )
    assert (point.box_thresholds == found.threshold).all() and not passes.all()


def test_modes_that_conflict_are_usage_errors(run, files, tmp_path):
    result = run("tune", files[0], tmp_path, "p.yaml", "--criterion", "psds1", "--mode", "frame")
    assert result.exit_code == 2 and "expected box" in result.stderr


def test_the_mode_is_written(run, tmp_path):
    folder = make_world(tmp_path)
    for options, mode in (
        ([], "segment"),
        (["--mode", "frame"], "frame"),
        (["--criterion", "segments"], "frame"),
        (["--criterion", "segments", "--mode", "segment"], "segment"),
        (["--criterion", "psds1"], "box"),
    ):
        paths = (folder / "scores.h5", folder / "set", folder / "point.yaml")
        assert run("tune", *paths, *options).exit_code == 0
        point = operating_point.read(folder / "point.yaml")
        assert point.mode == point.tuned["mode"] == mode
        assert (point.box_thresholds is not None) == (mode == "box")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.wav\t0\t1\tCar\t1.5", ":2: confidence is '1.5'; expected a number from 0 to 1"),
        ("a.wav\t0\t1\tCar\tx", ":2: confidence is 'x'"),
        ("a.wav\t-1\t1\tCar\t0.5", ":2: onset must be a number of seconds"),
        ("a.wav\t0\tx\tCar\t0.5", ":2: offset must be a number of seconds"),
        ("a.wav\t1\t1\tCar\t0.5", ":2: the box from 1 s to 1 s has no length"),
        ("a.wav\t0\t1\tCars\t0.5", ":2: unknown class 'Cars'; did you mean 'Car'"),
        ("a.wav\t0\t1\tCar", ":2: expected 5 tab-separated fields"),
    ],
)
def test_wrong_rows_of_boxes_are_reported(tmp_path, row, message):
    path = tmp_path / "boxes.tsv"
    path.write_text("\t".join(boxes.COLUMNS) + "\n" + row + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="decode the scores again") as error:
        boxes.read(path, np.array(["a.wav"]), LABELS)
    assert message in str(error.value)


def test_a_missing_list_of_boxes_is_reported(run, files, tmp_path):
    scores, point = files
    write_set(tmp_path / "set", [("-b.wav", "", 1), ("a.wav", "", 3)], LABELS, [("a.wav", CAR)])
    assert run("decode", scores, point(), tmp_path / "out").exit_code == 0
    (tmp_path / "out" / "boxes.tsv").unlink()
    result = run("score", tmp_path / "set", tmp_path / "out")
    assert result.exit_code == 1 and "boxes.tsv: " in result.stderr


# ---- detect ----


def test_detect_gives_the_boxes_of_the_whole_curve(tmp_path):
    """The windows of the model last 1 s, so the curve of 7 s has many pieces."""
    model = write_model(tmp_path / "model", labels=LABELS)
    path = model / "operating_point.yaml"
    samples = np.random.default_rng(0).normal(0, 1, 7 * 16000 + 123)
    samples *= 0.3 * (1 + np.sin(np.arange(len(samples)) / 5000)) / 2
    soundfile.write(tmp_path / "x.wav", samples, 16000)
    loaded = operating_point.read(path)
    filters = BoxFilters(np.array([0.32, 0.64]), np.array([0.01, np.inf]), np.array([np.inf, 1.02]))
    limits = dict(zip(FILTERS, filters))

    def events(limit, **options):
        values = {**vars(loaded), **limits, "mode": "box", "box_thresholds": limit}
        operating_point.write(path, operating_point.OperatingPoint(**values))
        results = []
        scores = tmp_path / "scores"
        detect.run(
            DetectOptions(model, [tmp_path / "x.wav"], scores=scores, **options),
            on_recording=results.append,
        )
        return [(e.onset, e.offset, LABELS.index(e.label), e.score) for e in results[0].events]

    found = events(np.array([-np.inf, 0.0]))
    rows = table(tmp_path / "scores" / "x.wav.tsv")[1:]
    curve = np.array([row[2:] for row in rows], np.float32)
    whole = decode_boxes(curve[None], 0.1, len(samples) / 16000, filters)
    times = sorted((on, off, k) for _, on, off, k in whole.events.rows())
    assert sorted(event[:3] for event in found) == times and len(times) > 6
    by_time = dict(zip([row[1:] for row in whole.events.rows()], whole.confidence))
    assert [by_time[event[:3]] for event in found] == pytest.approx([e[3] for e in found])
    middle = float(np.median(whole.confidence))
    above = [event for event in found if event[3] > middle]
    assert events(np.full(2, middle)) == above and 0 < len(above) < len(found)
    assert events(np.full(2, np.inf), thresholds=[str(middle)]) == above
    long = [event for event in above if event[1] - event[0] >= 0.5]
    assert events(np.full(2, middle), min_duration=0.5) == long and len(long) < len(found)
    with pytest.raises(InputError, match="has no box thresholds that a score can reach"):
        events(np.full(2, np.inf))
