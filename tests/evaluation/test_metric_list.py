"""The list of metrics, metrics of one's own, and reports from before a metric existed."""

import dataclasses
import html
import importlib.util
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers import RECIPES, make_point, write_score_file, write_set
from test_score import make_lists

from wsedtk.core.errors import InputError
from wsedtk.decoding import operating_point
from wsedtk.evaluation import report, report_data
from wsedtk.evaluation.columns import built_in, columns, load_metrics
from wsedtk.evaluation.evaluate import evaluate
from wsedtk.evaluation.metric import AVERAGES, Metric, Place
from wsedtk.evaluation.metric_list import CLASS_METRICS

OWN = '''
import numpy as np
from wsedtk.evaluation.metric import Metric

def density(evidence):
    """Decided tags, events and scores of a clip."""
    assert evidence.true_tags.shape == (len(evidence.durations), len(evidence.labels))
    return {
        "tags": evidence.decoded_tags.sum(axis=1).mean(),
        "clips": None if evidence.scores is None else len(evidence.scores.clip),
        "events": len(evidence.decoded.events) / len(evidence.durations),
    }

def frames(evidence):
    return {"share": np.mean([frame.mean() for frame in evidence.scores.frames])}

TAGS = Metric(section="density", key="tags", heading="tags <b>", legend="tags: a <i>clip</i>",
              direction="lower", function=density)
EVENTS = Metric(section="density", key="events", heading="events", function=density)
CLIPS = Metric(section="density", key="clips", heading="n", direction=None, function=density)
FRAMES = Metric(section="frames", key="share", heading="share", function=frames)
TAKEN = Metric(section="segment", key="mine", heading="x", function=density)
INTERVAL = Metric(section="own", key="a_ci", heading="x", function=density)
NOTHING = Metric(section="own", key="a", heading="", function=density)
INFINITE = Metric(section="own", key="a", heading="a", function=lambda evidence: {"a": np.inf})
WORD = Metric(section="own", key="a", heading="a", function=lambda evidence: {"a": "much"})
HUGE = Metric(section="own", key="a", heading="a", function=lambda evidence: {"a": 10**400})
LIST = Metric(section="own", key="a", heading="a", function=lambda evidence: [0.5])
OTHER = Metric(section="own", key="a", heading="a", function=lambda evidence: {"b": 1})
NO_METRIC = density
'''
LABELS = ["Car", "Dog", "Bell"]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module with metrics of one's own."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "own_metrics_of_a_test.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    return "own_metrics_of_a_test"


# ---- the list ----


def test_the_sections_of_a_report_have_the_keys_of_the_list():
    sections = {field.name: field.type for field in dataclasses.fields(report.Report)}
    for metric in built_in():
        kind = getattr(report, sections[metric.section].__name__)
        assert metric.key in {field.name for field in dataclasses.fields(kind)}
    kinds = {field.name: field.type for field in dataclasses.fields(report.ClassReport)}
    for metric in CLASS_METRICS:
        kind = getattr(report, kinds[metric.section].__name__)
        assert metric.key in {field.name for field in dataclasses.fields(kind)}


def test_every_metric_is_complete():
    names = [metric.name for metric in built_in()]
    assert len(set(names)) == len(names) and "segment.error_rate" in names
    for metric in (*built_in(), *CLASS_METRICS):
        assert metric.section and metric.key and metric.heading and metric.places
    lower = {metric.name for metric in built_in() if metric.direction == "lower"}
    assert lower == {
        *(f"segment.{part}_rate" for part in ("error", "substitution", "deletion", "insertion")),
        "consistency.segments_without_tag",
        "consistency.tags_without_segment",
    }


def test_a_table_names_what_its_section_does_not():
    def headings(place):
        return [column.heading for column in columns(place)]

    rates = ["ER", "Sub", "Del", "Ins", "Pre", "Rec"]
    assert headings(Place.EVENT_TEXT) == ["tag F1", *rates, "seg F1"]
    assert headings(Place.EVENT_LIST)[:7] == [*rates, "F1"]
    assert headings(Place.SUMMARY) == [
        "tagging F1", "MAP", "segment ER", "segment F1", "event F1", "PSDS1", "PSDS2",
    ]  # fmt: skip
    assert AVERAGES.isdisjoint({Place.SUMMARY, Place.CLASS_TEXT, Place.PAGE_CLASSES})


# ---- a metric of one's own ----


def scored(run, folder, own, *names):
    options = [option for name in names for option in ("--metric", f"{own}:{name}")]
    scores = ("--scores", folder / "scores.h5")
    return run("score", folder / "set", folder / "out", *scores, *options)


def test_a_metric_of_ones_own_stands_in_every_output(run, tmp_path, own):
    _, _, _, _, said, _ = make_lists(tmp_path)
    before = scored(run, tmp_path, own)
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    result = scored(run, tmp_path, own, "TAGS", "EVENTS", "CLIPS", "FRAMES")
    assert result.exit_code == 0, result.stderr
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert found["density"]["tags"] == pytest.approx(said.sum() / 12)
    assert found["density"]["clips"] == 12 and 0 < found["frames"]["share"] < 1
    assert found["own_metrics"][0] == {
        "section": "density",
        "key": "tags",
        "heading": "tags <b>",
        "legend": "tags: a <i>clip</i>",
        "direction": "lower",
    }
    assert {key: found[key] for key in content} == content  # nothing else changes
    header = result.stdout.splitlines()[2]
    assert header.endswith("tags <b>  events       n  share")
    row = next(line for line in result.stdout.splitlines() if line.startswith("this system"))
    assert row.split()[-4:-2] == [f"{said.sum() / 12:.3f}", f"{found['density']['events']:.3f}"]
    assert "\ntags: a <i>clip</i>\n" in result.stdout
    assert (tmp_path / "out" / "report.txt").read_text() == result.stdout
    assert "tags: a" not in before.stdout


def test_evaluate_takes_metrics_of_ones_own(tmp_path, own):
    make_lists(tmp_path)
    metric = Metric(
        section="mine", key="clips", heading="clips", function=lambda e: {"clips": len(e.truth)}
    )
    paths = tmp_path / "set", tmp_path / "out"
    found = evaluate(*paths, metrics=[metric, f"{own}:TAGS", "segment.f1"])
    assert found.further["mine"] == {"clips": 12} and list(found.further) == ["mine", "density"]
    assert [one.heading for one in found.own_metrics] == ["clips", "tags <b>"]
    mapping = json.loads(json.dumps(found.to_dict()))
    again = report.Report.from_dict(mapping, found.title, "folder")  # without the module
    assert again.to_dict() == found.to_dict() and again.to_text() == found.to_text()


@pytest.mark.parametrize(
    "name, message",
    [
        ("NO_METRIC", "found function; expected a wsedtk.evaluation.metric.Metric"),
        ("TAKEN", "the section 'segment' is reserved for wsedtk; choose another section"),
        ("INTERVAL", "the key 'a_ci' ends in _ci, which is reserved for intervals"),
        ("NOTHING", "section, key, heading and legend must be texts; only the legend"),
        ("ABSENT", "has no attribute 'ABSENT'"),
        ("INFINITE", "its function returned inf; expected a finite number or None"),
        ("WORD", "its function returned 'much'; expected a finite number or None"),
        ("HUGE", "; expected a finite number or None"),
        ("LIST", "its function returned list; expected a mapping of keys to values"),
        ("OTHER", "returned the keys ['b']; expected the key 'a' (with the value None if the"),
    ],
)
def test_what_is_no_metric_is_refused(run, tmp_path, own, name, message):
    make_lists(tmp_path)
    result = scored(run, tmp_path, own, name)
    assert result.exit_code == 1 and message in result.stderr
    assert not (tmp_path / "out" / "report.json").exists()


def test_two_metrics_of_one_key_are_refused(own):
    metrics = [Metric(section="mine", key="a", heading=heading, function=dict) for heading in "xy"]
    assert load_metrics([metrics[0]] * 2) == metrics[:1]
    with pytest.raises(
        InputError, match="another metric also has the section 'mine' and the key 'a'"
    ):
        load_metrics(metrics)


@pytest.fixture
def exp(tmp_path, run, own):
    """Two systems of three seeds, evaluated with a metric of one's own."""
    rng, names = np.random.default_rng(0), [f"{i:02d}.wav" for i in range(8)]
    events = [(names[i], 0.5, 2, LABELS[i % 3]) for i in range(8)]
    tags = [(name, label) for name, _, _, label in events]
    data = write_set(tmp_path / "data", [(n, "", 4) for n in names], LABELS, tags, events)
    operating_point.write(tmp_path / "point.yaml", make_point(3, LABELS))
    for system in ("net_linear", "net_max"):
        for seed in range(3):
            frames = rng.random((8, 40, 3), np.float32)
            segments = frames.reshape(8, 4, 10, 3).mean(axis=2)
            folder = tmp_path / "exp" / f"{system}.seed{seed}" / "test"
            clip = segments.max(axis=1)
            durations = np.full(8, 4.0)
            scores = write_score_file(
                folder / "scores.h5", names, LABELS, clip, frames, segments, durations=durations
            )
            run("decode", "--mode", "frame", scores, tmp_path / "point.yaml", folder / "frame")
            result = run("score", data, folder / "frame", "--metric", f"{own}:TAGS")
            assert result.exit_code == 0, result.stderr
    return tmp_path / "exp"


def text_of(page):
    return re.sub(r"\s+", " ", html.unescape(re.sub("<.*?>", " ", page)))


def test_pages_compare_a_metric_of_ones_own(exp, tmp_path, run):
    assert run("report", exp, tmp_path / "r.html").exit_code == 0
    page = (tmp_path / "r.html").read_text()
    assert "tags &lt;b&gt;" in page and "<i>clip" not in page
    text = text_of(page)
    assert "tags: a <i>clip</i>" in text and "Lower is better: ER, Sub, Del, Ins" in text
    means = text.split("Means over seeds")[-1].split("Differences over seeds")[0]
    assert "tags <b>" in means and "±" in means
    singles = [exp / f"{name}.seed0" for name in ("net_linear", "net_max")]
    assert run("report", *singles, tmp_path / "two.html").exit_code == 0
    values = [
        json.loads((one / "test/frame/report.json").read_text())["density"]["tags"]
        for one in singles
    ]
    text = text_of((tmp_path / "two.html").read_text())
    difference = f"{values[1] - values[0]:+.3f}".replace("-", "−")
    row = text.split("net_max − net_linear" if "net_max − net_linear" in text else "−")[-1]
    assert difference in text and row


def test_compare_shows_a_metric_of_ones_own(exp, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("compare", RECIPES.parent / "bin/compare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tables = ["--table", "test/frame=A title"]
    systems = ["--systems", "net_linear", "net_max", "--seeds", "0", "1", "2"]
    monkeypatch.setattr("sys.argv", ["compare.py", str(exp), *systems, *tables])
    module.main()
    page = capsys.readouterr().out
    headers = [line for line in page.splitlines() if line.startswith(("| system", "| difference"))]
    assert len(headers) == 2 and all("| tags <b> |" in header for header in headers)
    assert "tags: a <i>clip</i>" in page
    assert "No interval of tags <b>: intervals are not supported for these metrics\n" in page
    assert "\ttags <b>\t" in (exp / "compare.tsv").read_text()


# ---- a new metric of the package ----

NEW = """
import sys
from wsedtk.evaluation.metric import Metric
from wsedtk.evaluation.metric_list import METRICS
from wsedtk.cli.main import cli

for section, key in (("segment", "clips"), ("new", "clips")):
    metric = Metric(section=section, key=key, heading=f"{section} N", legend="N: clips",
                    function=lambda evidence: {**evidence.segment_metrics.average, "clips": 12})
    METRICS.register(metric.name)(metric)
cli(sys.argv[1:])
"""


def test_a_new_metric_of_the_package_needs_one_entry(tmp_path):
    make_lists(tmp_path)
    folders = [str(tmp_path / name) for name in ("set", "out")]
    command = [sys.executable, "-c", NEW, "score", *folders]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr
    assert "segment N" in process.stdout and "new N" in process.stdout
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert found["new"] == {"clips": 12} and found["segment"]["clips"] == 12
    assert "own_metrics" not in found


# ---- reports from before a metric existed ----


@pytest.mark.parametrize("section", ["psds", "audioset", "consistency", "event", "baselines"])
def test_a_report_without_a_section_is_readable(run, exp, tmp_path, section):
    path = exp / "net_max.seed0" / "test" / "frame" / "report.json"
    content = json.loads(path.read_text())
    del content[section]
    for one in content["classes"].values():
        one.pop(section, None)
    path.write_text(json.dumps(content))
    found = report_data.read_report(path)
    assert set(found) >= set(report_data.empty_report(()))
    read = report.Report.from_dict(content, "a title", "folder")
    if section != "baselines":
        figures = dataclasses.asdict(getattr(read, section))
        figures.pop("intervals", None)
        assert set(figures.values()) == {None}
    assert read.tagging.f1 == content["tagging"]["f1"] and read.to_text()
    assert run("report", exp, tmp_path / "r.html").exit_code == 0
    assert run("info", path).exit_code == 0
    singles = [exp / f"{name}.seed0" for name in ("net_linear", "net_max")]
    assert run("report", *singles, tmp_path / "two.html").exit_code == 0


def test_a_report_without_a_key_is_readable(run, exp, tmp_path):
    path = exp / "net_linear.seed1" / "test" / "frame" / "report.json"
    content = json.loads(path.read_text())
    del content["segment"]["insertion_rate"], content["clips"]["tuned_on_these"]
    path.write_text(json.dumps(content))
    read = report.Report.from_dict(content, "a title", "folder")
    assert read.segment.insertion_rate is None and read.clips.tuned_on_these is None
    assert read.to_text() and run("report", exp, tmp_path / "r.html").exit_code == 0
    shutil.rmtree(exp / "net_max.seed1")
    assert run("report", exp, tmp_path / "r.html").exit_code == 0


@pytest.mark.parametrize(
    "described, message",
    [
        ("text", "own_metrics: found str; expected a list"),
        (["text"], "own_metrics: found 'text'; expected a mapping"),
        ([{"section": "segment", "key": "a", "heading": "b"}], "is reserved for wsedtk"),
        ([{"section": ["a"], "key": "a", "heading": "b"}], "must be texts"),
        ([{"section": "own", "key": "a", "heading": "b", "direction": "up"}], "direction is 'up'"),
    ],
)
def test_a_wrong_description_is_refused(run, exp, tmp_path, described, message):
    path = exp / "net_max.seed0" / "test" / "frame" / "report.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "own_metrics": described}))
    result = run("report", exp, tmp_path / "r.html")
    assert result.exit_code == 1 and "can't be read as a report" in result.stderr
    assert message in result.stderr
