"""The stages from a system to its results in Python: they print nothing, and work in threads."""

import concurrent.futures
import json

import numpy as np
import pytest
import torch
from helpers import LABELS, table, write_sound

from wsedtk.core.errors import InputError
from wsedtk.data import datadir
from wsedtk.data.store import ScoreFile
from wsedtk.decoding import operating_point
from wsedtk.stages import average, decode, detect, info, predict, report, score, score_files, tune
from wsedtk.stages.options import results as options
from wsedtk.stages.options.detection import DetectOptions


@pytest.fixture(scope="module")
def scored(corpus, trained, tmp_path_factory):
    """A folder with the results of each stage, by their names, for the clips to validate on."""
    folder = tmp_path_factory.mktemp("stages")
    paths = {name: folder / name for name in ("scores.h5", "point.yaml", "valid/frame")}
    point = paths["point.yaml"]
    results = {
        "predict": predict.run(
            options.PredictOptions(trained, corpus / "valid.h5", paths["scores.h5"])
        ),
        "tune": tune.run(options.TuneOptions(paths["scores.h5"], corpus / "valid", point)),
        "decode": decode.run(
            options.DecodeOptions(paths["scores.h5"], point, paths["valid/frame"], mode="frame")
        ),
        "score": score.run(
            options.ScoreOptions(
                corpus / "valid", paths["valid/frame"], scores=paths["scores.h5"], num_resamples=20
            )
        ),
    }
    return {**paths, **results}


def test_predict(corpus, trained, scored, tmp_path, silent):
    result, scores = scored["predict"], ScoreFile(scored["scores.h5"])
    assert result.scores == scored["scores.h5"] and result.num_clips == len(scores) == 6
    assert list(result.labels) == scores.labels == LABELS and result.failed == {}
    assert result.seconds_per_frame == scores.seconds_per_frame
    (tmp_path / "classes.txt").write_text("low\tbass\n")
    state = torch.random.get_rng_state()
    chosen = options.PredictOptions(
        str(trained),
        str(corpus / "fit.h5"),
        str(tmp_path / "s.h5"),
        data_set=str(corpus / "fit"),
        classes=str(tmp_path / "classes.txt"),
        no_frames=True,
    )
    first = predict.run(chosen)
    expected = ScoreFile(first.scores).clip
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        again = pool.submit(predict.run, chosen).result()
    assert first == again and again.labels == ("bass",) and again.num_clips == 12
    np.testing.assert_array_equal(ScoreFile(again.scores).clip, expected)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_tune(corpus, scored, tmp_path, silent):
    result = scored["tune"]
    read = operating_point.read(scored["point.yaml"])
    for name in operating_point.PER_CLASS:
        np.testing.assert_array_equal(getattr(result.point, name), getattr(read, name))
    scores, truth = ScoreFile(scored["scores.h5"]), datadir.read(corpus / "valid").tag_matrix()
    tags = scores.clip >= read.clip_thresholds
    assert result.clips.counts == ((tags & truth).sum(), tags.sum(), truth.sum())
    assert result.clips.counts.f1 == pytest.approx(
        2 * (tags & truth).sum() / (tags.sum() + truth.sum())
    )
    assert result.num_clips == 6 and result.hours == pytest.approx(6 / 3600)
    assert result.target is None and result.frames.unit == "clips (with frame thresholds)"
    chosen = options.TuneOptions(scored["scores.h5"], corpus / "valid", tmp_path / "p.yaml")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(tune.run, chosen).result()
    assert (tmp_path / "p.yaml").read_bytes() == scored["point.yaml"].read_bytes()


def test_decode(scored, silent):
    result, folder = scored["decode"], scored["valid/frame"]
    assert result.out_dir == folder and result.mode == "frame"
    found = [len(table(folder, f"{name}.tsv")) for name in ("clips", "tags", "events")]
    assert [result.num_clips, result.num_tags, result.num_events] == found and min(found) > 0


def test_score(corpus, scored, silent):
    result = scored["score"]
    assert json.loads(result.report_json.read_text()) == json.loads(
        json.dumps(result.report.to_dict())
    )
    assert result.report_text.read_text() == result.report.to_text()
    assert result.report_json.parent == scored["valid/frame"]
    low, high = result.report.tagging.intervals["f1"]
    assert low <= result.report.tagging.f1 <= high
    assert table(result.reference, "tags.tsv") == table(corpus / "valid", "tags.tsv")


def test_score_files(tmp_path, silent):
    (tmp_path / "true.tsv").write_text("a.wav\tdog\nb.wav\tcat\nc.wav\tcat\n")
    (tmp_path / "said.tsv").write_text("a.wav\tdog\nb.wav\tdog\nc.wav\n")
    result = score_files.run(
        options.ScoreFilesOptions(str(tmp_path / "true.tsv"), str(tmp_path / "said.tsv"))
    )
    tagging = result.report.tagging
    assert (tagging.precision, tagging.recall) == (1 / 2, 1 / 3)


def test_detect(trained, scored, tmp_path, silent):
    for i in range(2):
        write_sound(tmp_path / f"{i}.wav", 3.0, frequency=[300, 3000][i])
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    names = ["0.wav", "1.wav", "broken.wav"]
    chosen = DetectOptions(
        str(trained),
        [str(tmp_path / name) for name in names],
        operating_point=str(scored["point.yaml"]),
        thresholds=["0.5"],
        output_dir=str(tmp_path / "events"),
        scores=str(tmp_path / "curves"),
        max_failures=0.5,
    )
    found = []
    result = detect.run(chosen, on_recording=found.append)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(detect.run, chosen).result() == result
    assert [one.name for one in found] == names and found[1].path == tmp_path / "1.wav"
    assert (result.num_recordings, result.seconds) == (2, 6.0)
    assert result.num_events == sum(len(one.events) for one in found) > 0
    assert "broken.wav" in found[2].failure and result.failures == (found[2].failure,)
    for one in found[:2]:
        rows = table(tmp_path / "events", f"{one.name}.tsv")
        assert rows == [line.split("\t") for line in one.text.splitlines()]
        expected = [(float(row[1]), float(row[2]), row[3]) for row in rows]
        events = [(round(e.onset, 3), round(e.offset, 3), e.label) for e in one.events]
        assert events == expected
    names = [p.name for p in (tmp_path / "events").glob("[!.]*")]
    assert sorted(names) == ["0.wav.tsv", "1.wav.tsv"]


def test_average(scored, tmp_path, silent):
    result = average.run(
        options.AverageOptions(
            [str(scored["scores.h5"])] * 2, str(tmp_path / "mean.h5"), weights=[3, 1]
        )
    )
    assert result == average.AverageResult(
        tmp_path / "mean.h5", 2, 6, tuple(LABELS), scored["predict"].seconds_per_frame
    )
    one, mean = ScoreFile(scored["scores.h5"]), ScoreFile(tmp_path / "mean.h5")
    np.testing.assert_allclose(mean.clip, one.clip, rtol=1e-6)
    np.testing.assert_allclose(mean.frames(0), one.frames(0), rtol=1e-6)


def test_report(scored, tmp_path, silent):
    system = scored["valid/frame"].parent.parent
    chosen = options.ReportOptions(
        [str(system)], str(tmp_path / "r.html"), figures=str(tmp_path / "figures")
    )
    result = report.run(chosen)
    assert result == report.ReportResult(
        tmp_path / "r.html", {system.name: system}, (scored["valid/frame"],)
    )
    assert report.run(chosen) == result
    assert "Sound event detection report" in result.page.read_text()
    assert {p.suffix for p in (tmp_path / "figures").iterdir()} == {".png"}


def test_info(scored, tmp_path, silent):
    (tmp_path / "broken.h5").write_bytes(scored["scores.h5"].read_bytes()[:5000])
    paths = [scored["scores.h5"], str(tmp_path / "broken.h5"), str(tmp_path / "none.h5")]
    result = info.run(options.InfoOptions(paths))
    whole, damaged = result.descriptions
    assert whole.complete and whole.content["clips"] == 6 and not whole.faults
    assert damaged.path == paths[1] and damaged.faults
    (error,) = result.errors
    assert error.startswith(f"{paths[2]}: no such file")


@pytest.mark.parametrize(
    "name, values, message",
    [
        ("Tune", {"criterion": "clips"}, "criterion: found 'clips'; expected 'tags' or 'segments'"),
        ("Tune", {"seed": -1}, "seed: found -1; expected a number of at least 0"),
        ("Tune", {"min_seconds": [float("nan")]}, "min_seconds: found nan; expected a number of"),
        ("Tune", {"median_seconds": []}, "median_seconds: found none"),
        ("Tune", {"max_gap_seconds": [float("inf")]}, "found inf; expected a finite number"),
        (
            "Decode",
            {"mode": "frames"},
            "mode: found 'frames'; expected 'segment' or 'frame' or 'box' or None",
        ),
        ("Score", {"num_resamples": -5}, "num_resamples: found -5"),
        ("ScoreFiles", {"kind": "tag"}, "kind: found 'tag'; expected 'tags' or 'events' or None"),
        ("Detect", {"channels": "left"}, "channels: found 'left'; expected 'mix' or 'each'"),
        ("Detect", {"max_failures": 1.5}, "max_failures: found 1.5; expected a number from 0 to 1"),
        ("Detect", {"min_duration": -1}, "min_duration: found -1; expected a number from 0 to 864"),
        ("Average", {"weights": [1, -1]}, "weights: found -1; expected a number of at least 0"),
        ("Report", {"figure_format": "gif"}, "figure_format: found 'gif'; expected 'png' or"),
    ],
)
def test_values_that_would_go_unnoticed(name, values, message):
    kind = DetectOptions if name == "Detect" else getattr(options, f"{name}Options")
    several = {"Detect": ("a", ["b"]), "Average": (["a"], "b"), "Report": (["a"], "b")}
    paths = {"Tune": "abc", "Decode": "abc", **several}.get(name, "ab")
    with pytest.raises(InputError, match=message):
        kind(*paths, **values)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"target": ("precison", 0.9)}, "target: found 'precison'; did you mean 'precision'"),
        ({"target": ("recall", 80)}, "target: found recall=80; expected a number above 0"),
        ({"target": ("recall", float("nan"))}, "target: found recall=nan"),
        ({"target": ("false-alarms-per-hour", -1)}, "expected a finite number of at least 0"),
        (
            {"target": ("recall", 0.5), "published": True},
            r"target \(--target\) and published \(--published\): these options choose the same",
        ),
    ],
)
def test_targets_that_are_none(values, message):
    with pytest.raises(InputError, match=message):
        tune.run(options.TuneOptions("a", "b", "c", **values))


@pytest.mark.parametrize(
    "kind, arguments, name",
    [
        (DetectOptions, ("m", "a.wav"), "audio"),
        (options.ReportOptions, ("exp/m", "r.html"), "folders"),
        (options.InfoOptions, ("exp/m",), "paths"),
        (options.AverageOptions, ("a.h5", "b.h5"), "scores"),
    ],
)
def test_a_text_is_no_sequence(kind, arguments, name):
    with pytest.raises(InputError, match=f"{name}: found '.*'; expected a sequence, such as \\['"):
        kind(*arguments)


@pytest.mark.parametrize(
    "kind, output, name",
    [(options.AverageOptions, "out.h5", "scores"), (options.ReportOptions, "r.html", "folders")],
)
def test_at_least_one_input(kind, output, name):
    with pytest.raises(InputError, match=f"{name}: found none; expected at least one"):
        kind([], output)


def test_a_target_is_a_pair():
    with pytest.raises(InputError, match="target: found 'precision=0.9'; expected a quantity and"):
        options.TuneOptions("s.h5", "data", "p.yaml", target="precision=0.9")
