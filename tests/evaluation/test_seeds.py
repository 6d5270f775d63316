"""seeds, bin/compare.py and the page's tables of seeds: compared with loops and cases by hand."""

import csv
import html
import importlib.util
import json
import re
import shutil

import numpy as np
import pytest
import scipy.stats
from helpers import RECIPES, make_point, write_score_file, write_set

from wsedtk.decoding import operating_point
from wsedtk.evaluation import scored_systems, seeds
from wsedtk.report import difference_tables
from wsedtk.report.page import Page

LABELS = ["Car", "Dog", "Bell"]
SYSTEMS = {"net_linear": 0.2, "net_linear_plain": 0.25, "net_max": 0.6}  # noise of their scores
SECTIONS = {
    "ER": ("segment", "error_rate"),
    "Del": ("segment", "deletion_rate"),
    "Ins": ("segment", "insertion_rate"),
    "Rec": ("segment", "recall"),
    "F1": ("segment", "f1"),
    "tag F1": ("tagging", "f1"),
    "seg w/o tag": ("consistency", "segments_without_tag"),
    "tag w/o seg": ("consistency", "tags_without_segment"),
}


# ---- pairs ----


def test_every_pair_that_the_papers_claim_is_compared():
    crnn = [f"crnn_{pooling}" for pooling in ("max", "average", "linear", "exp", "attention")]
    linear = [("crnn_linear", f"crnn_{p}") for p in ("max", "average", "exp", "attention")]
    others = [("crnn_max", f"crnn_{p}") for p in ("average", "exp", "attention")]
    assert seeds.pairs_of(crnn) == linear + others
    hierarchies = ("", "_hierarchical", "_plain", "_nested", "_published_all")
    gated = [f"gated_crnn_{p}{h}" for p in ("linear", "exp", "attention") for h in hierarchies]
    single = [
        (f"gated_crnn_{p}", f"gated_crnn_{p}{h}")
        for p in ("linear", "exp", "attention")
        for h in hierarchies[1:]
    ]
    both = [
        (f"gated_crnn_linear{h}", f"gated_crnn_{p}{h}")
        for p in ("exp", "attention")
        for h in ("", "_hierarchical", "_published_all")  # "in all conditions" in He, Shen & Zhang
    ]
    assert seeds.pairs_of(crnn + gated) == linear[:4] + both + others + single
    assert seeds.pairs_of(gated[:1] + gated[2:3]) == [
        ("gated_crnn_linear", "gated_crnn_linear_plain")
    ]
    assert seeds.pairs_of(["crnn_exp", "talnet_max", "ours"]) == [
        ("crnn_exp", "talnet_max"),
        ("crnn_exp", "ours"),
    ]
    assert seeds.pairs_of(["crnn_linear"]) == []


@pytest.mark.parametrize(
    "systems, pairs",
    [
        (["crnn_linear", "crnn_max", "ours"], [(0, 1), (0, 2)]),
        (["ours", "crnn_linear", "crnn_max"], [(1, 2), (0, 1)]),
        (["crnn_linear_nested", "crnn_exp_nested"], [(0, 1)]),
    ],
)
def test_a_system_outside_the_claims_is_compared_too(systems, pairs):
    assert seeds.pairs_of(systems) == [(systems[i], systems[j]) for i, j in pairs]


def test_the_null_is_named():
    note = seeds.note_of("gated_crnn_linear", "gated_crnn_linear_plain")
    assert "equals single pooling" in note and "random" in note
    for hierarchy in ("_hierarchical", "_nested", "_published_all"):
        assert seeds.note_of("gated_crnn_linear", f"gated_crnn_linear{hierarchy}") == ""
    for base in ("gated_crnn_linear_hierarchical", "gated_crnn_exp", "crnn_linear"):
        assert seeds.note_of(base, "gated_crnn_linear_plain") == ""


# ---- systems of three seeds ----


@pytest.fixture(scope="module")
def exp(tmp_path_factory):
    """Three systems of three seeds each, evaluated on 14 clips of 4 s."""
    from click.testing import CliRunner

    from wsedtk.cli import main as cli

    root, rng = tmp_path_factory.mktemp("seeds"), np.random.default_rng(0)
    names, events, frames = (
        [f"{i:02d}.wav" for i in range(14)],
        [],
        np.zeros((14, 40, 3), np.float32),
    )
    for i in range(14):
        for k in {i % 3, i * i % 2}:
            events.append((names[i], 0.5, 2, LABELS[k]))
            frames[i, 5:20, k] = 0.8
    data = write_set(
        root / "data", [(n, "", 4) for n in names], LABELS, [(e[0], e[3]) for e in events], events
    )
    point = root / "point.yaml"
    operating_point.write(point, make_point(3, LABELS))
    for system, noise in SYSTEMS.items():
        for seed in range(3):
            values = np.clip(frames + rng.normal(0, noise, frames.shape), 0, 1).astype(np.float32)
            folder = root / "exp" / f"{system}.seed{seed}" / "test"
            segments = values.reshape(14, 4, 10, 3).mean(axis=2)
            scores = write_score_file(
                folder / "scores.h5",
                names,
                LABELS,
                segments.max(axis=1),
                values,
                segments,
                durations=np.full(14, 4.0),
            )
            for call in (
                ["decode", "--mode", "frame", scores, point, folder / "frame"],
                ["score", "--scores", scores, data, folder / "frame"],
            ):
                result = CliRunner().invoke(cli.cli, [str(a) for a in call], catch_exceptions=False)
                assert result.exit_code == 0
    return root / "exp"


def figure(exp, system, seed, section, key):
    return json.loads((exp / f"{system}.seed{seed}/test/frame/report.json").read_text())[section][
        key
    ]


def call_compare(arguments):
    """Run bin/compare.py."""
    spec = importlib.util.spec_from_file_location("compare", RECIPES.parent / "bin/compare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["compare.py", *map(str, arguments)])
        module.main()


def compare(exp, capsys, numbers="012", systems=SYSTEMS):
    """Run bin/compare.py; return compare.md and {(table, system, measure): [value, low, high]}."""
    tables = ["--table", "test/frame=A title", "--table", "eval/frame=Not there"]
    call_compare([exp, "--systems", *systems, "--seeds", *numbers, *tables])
    page = (exp / "compare.md").read_text()
    assert capsys.readouterr().out == page
    with open(exp / "compare.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    assert rows[0] == ["table", "system", "measure", "value", "low", "high"]
    return page, {tuple(row[:3]): row[3:] for row in rows[1:]}


def test_estimates_are_the_figures_of_the_reports(exp):
    found = scored_systems.read_systems(scored_systems.find_systems([exp]))
    assert list(seeds.by_system(found)) == list(SYSTEMS)
    keys = [
        *SECTIONS.values(),
        ("segment", "precision"),
        ("event", "f1"),
        ("audioset", "map"),
        ("audioset", "dprime"),
    ]
    for one in found:
        estimates = seeds.estimates(one, {section for section, _ in keys})
        for section, key in keys:
            value, estimate = one.report[section][key], estimates[section, key]
            if value is None:  # d' of a perfect ranking
                assert key == "dprime" and estimate is None
            else:
                assert estimate.value == pytest.approx(value), (section, key)


def test_means_over_seeds_have_students_interval(exp, capsys):
    page, found = compare(exp, capsys)
    for system in SYSTEMS:
        for name, key in SECTIONS.items():
            values = [figure(exp, system, seed, *key) for seed in range(3)]
            half = scipy.stats.t.ppf(0.975, 2) * scipy.stats.sem(values)
            expected = np.mean(values) + np.array([0, -half, half])
            assert [float(n) for n in found["test frame", system, name]] == pytest.approx(
                expected, abs=1e-5
            )
            assert f"{np.mean(values):.3f} ± {half:.3f}" in page
    assert (
        "3 seeds; mean ± half the width of its 95 % interval over seeds, on these clips\n" in page
    )
    assert "third criterion" in page


def test_the_table_has_the_difference_of_each_pair(exp, capsys):
    page, found = compare(exp, capsys)
    rows = [key for key in found if key[0] == "test frame difference"]
    assert len(rows) == 2 * len(SECTIONS)
    for system in ("net_max", "net_linear_plain"):
        for name, key in SECTIONS.items():
            ours, theirs = (
                [figure(exp, one, seed, *key) for seed in range(3)]
                for one in ("net_linear", system)
            )
            value, low, high = map(
                float, found["test frame difference", f"{system} - net_linear", name]
            )
            assert (
                value == pytest.approx(np.mean(theirs) - np.mean(ours), abs=1e-5)
                and low <= value <= high
            )
            if (
                np.var(ours) + np.var(theirs) > 0
            ):  # never narrower than from the seeds alone, with the most degrees of freedom
                error = np.sqrt((np.var(ours, ddof=1) + np.var(theirs, ddof=1)) / 3)
                assert high - low > 2 * 1.96 * error
    (line,) = [
        line for line in page.splitlines() if line.startswith("| net_linear_plain - net_linear")
    ]
    assert "equals single pooling" in line and "random" in line
    assert "Differences of the means; 95 % intervals over seeds and clips\n" in page
    assert (
        float(found["test frame difference", "net_max - net_linear", "F1"][2]) < 0
    )  # clearly worse


def test_the_reason_of_no_interval_is_named(exp, tmp_path, capsys):
    shutil.copytree(exp, tmp_path / "exp")
    shutil.rmtree(tmp_path / "exp/net_max.seed1/test/frame/reference")
    page, found = compare(tmp_path / "exp", capsys)
    names = "Del, Ins, ER, Rec, F1, tag F1, seg w/o tag, tag w/o seg"
    why = "the folder of net_max.seed1 lacks a copy of the reference; score it again"
    assert page.endswith(f"No interval of {names}: {why}\n")
    assert found["test frame difference", "net_max - net_linear", "F1"][1:] == ["", ""]
    assert found["test frame difference", "net_linear_plain - net_linear", "F1"][1]
    runs = scored_systems.read_systems(
        scored_systems.find_systems([exp / f"net_max.seed{i}" for i in range(3)])
    )
    runs[0].__dict__["truth"] = runs[0].truth.select(np.arange(14) == 0)
    few = "3 of 3 classes have fewer than 2 positive clips"
    assert seeds.why_no_interval(runs, "audioset") == few
    (tmp_path / "exp/net_max.seed2/test/scores.h5").unlink()
    one = scored_systems.Scored("net_max.seed2", tmp_path / "exp/net_max.seed2/test/frame", {})
    why = (
        "the scores of net_max.seed2 are missing or do not match its report; predict, decode and "
        "score again"
    )
    assert seeds.why_no_interval([one], "audioset") == why


@pytest.mark.parametrize("table", ["test/segment", "test/segment=", "=A title"])
def test_a_table_without_a_title_is_a_usage_error(tmp_path, capsys, table):
    with pytest.raises(SystemExit) as ended:
        call_compare([tmp_path, "--systems", "a", "--seeds", "0", "--table", table])
    assert ended.value.code == 2
    message = f"argument --table: expected SET/MODE=TITLE, found {table!r}\n"
    assert capsys.readouterr().err.endswith(message)


def test_two_seeds_give_no_interval_and_say_why(exp, capsys):
    page, found = compare(exp, capsys, "01")
    assert (
        found
        and all(row[1:] == ["", ""] for row in found.values())
        and "±" not in page
        and "[" not in page
    )
    assert "2 seeds; no intervals, because they need at least 3 seeds\n" in page
    assert (
        "Differences of the means; 2 seeds do not show the variation over seeds; "
        "intervals need at least 3" in page
    )
    assert found["test frame difference", "net_max - net_linear", "F1"][0]


# ---- the page ----


def sections(*folders):
    """Return {title: text} of the tables of differences between these folders."""
    page = Page()
    found = scored_systems.read_systems(scored_systems.find_systems(folders))
    difference_tables.add_differences(page, found)
    parts = re.split("<h2.*?>(.*?)</h2>", "".join(page.parts).replace("<wbr>", ""))
    texts = [re.sub(r"\s+", " ", html.unescape(re.sub("<.*?>", " ", part))) for part in parts[1:]]
    return dict(zip(texts[::2], texts[1::2]))


def test_the_page_compares_over_seeds(exp, capsys):
    found = sections(exp)
    # no differences of single trainings
    assert list(found) == ["Means over seeds", "Differences over seeds"]
    _, numbers = compare(exp, capsys)
    value, low, high = map(float, numbers["test frame difference", "net_max - net_linear", "F1"])
    text = found["Differences over seeds"]
    assert f"{value:+.3f} {low:+.3f} to {high:+.3f}".replace("-", "−") in text
    assert "net_max − net_linear" in text and "net_linear_plain − net_linear" in text
    assert "equals single pooling" in text and "trained again" in text
    mean, low, high = map(float, numbers["test frame", "net_max", "F1"])
    assert f"{mean:.3f} ± {high - mean:.3f}" in found["Means over seeds"]
    assert "3 seeds" in found["Means over seeds"]


def test_the_page_gives_no_interval_over_two_seeds(exp):
    found = sections(
        *(exp / f"{name}.seed{seed}" for name in ("net_linear", "net_max") for seed in range(2)),
        exp / "net_linear_plain.seed0",
    )
    table, note = found["Differences over seeds"].split("Differences of the means over seeds")
    assert "2 seeds do not show the variation over seeds; intervals need at least 3" in table
    assert (
        "1 seed does not show" in table
        and " to " not in table
        and " to " not in found["Means over seeds"]
    )
    assert not re.search(r"± \d", found["Means over seeds"])


def test_the_page_explains_single_trainings(exp):
    found = sections(exp / "net_linear.seed0", exp / "net_max.seed0")
    assert list(found) == ["Differences"] and " to " in found["Differences"]
    assert "The intervals compare these trained networks" in found["Differences"]
    assert "train each system with at least 3 seeds" in found["Differences"]
    assert sections(exp / "net_linear.seed0") == {}


def test_the_page_counts_a_training_once(exp, tmp_path):
    """The system of run.sh and that of compare_pooling.sh with one seed are one training."""
    for source, name in ((0, ".seed0"), (1, ".seed1"), (0, "")):
        for system in ("net_linear", "net_max"):
            folder = tmp_path / f"{system}{name}"
            shutil.copytree(exp / f"{system}.seed{source}", folder)
            (folder / "model.yaml").write_text(f"network: {system}\ntrained:\n  host: {name}\n")
            (folder / "model.safetensors").write_bytes(bytes([source]))
            for path in folder.glob("*/*/*"):  # the model of the fixture does not exist
                if path.name in ("info.yaml", "report.json"):
                    path.write_text(re.sub(r'("?model"?: )("m"|m)', r"\1null", path.read_text()))
    found = sections(tmp_path)
    text = found["Means over seeds"]
    assert text.count("test/frame, 2 seeds") == 2
    note = "net_linear.seed0 and net_linear; net_max.seed0 and net_max"
    assert f"count as one training run: {note}." in found["Differences over seeds"]
    values = [figure(exp, "net_max", seed, "segment", "f1") for seed in (0, 1)]
    assert f"{np.mean(values):.3f}" in text
    found = sections(tmp_path / "net_linear", tmp_path / "net_linear.seed0")
    assert found == {}


def test_the_page_shows_consistency_over_seeds(exp, capsys):
    found = sections(exp)
    _, numbers = compare(exp, capsys)
    for name in ("seg w/o tag", "tag w/o seg"):
        label = "net_max - net_linear"
        value, low, high = map(float, numbers["test frame difference", label, name])
        text = f"{value:+.3f} {low:+.3f} to {high:+.3f}".replace("-", "−")
        assert text in found["Differences over seeds"] and name in found["Means over seeds"]
    assert "third criterion" in found["Means over seeds"]


def test_without_scores_a_difference_of_map_has_no_interval(exp, tmp_path):
    shutil.copytree(exp, tmp_path / "exp")
    (tmp_path / "exp/net_max.seed1/test/scores.h5").unlink()
    found = [
        scored_systems.Scored(
            f"{s}.seed{i}", folder, json.loads((folder / "report.json").read_text())
        )
        for s in ("net_linear", "net_max")
        for i in range(3)
        for folder in [tmp_path / f"exp/{s}.seed{i}/test/frame"]
    ]
    keys = [("audioset", "map"), ("segment", "f1")]
    (one,) = seeds.differences(seeds.by_system(found), keys)
    values = [
        [figure(exp, system, seed, "audioset", "map") for seed in range(3)]
        for system in ("net_linear", "net_max")
    ]
    assert one.figures["audioset", "map"] == (
        pytest.approx(np.mean(values[1]) - np.mean(values[0])),
        None,
    )
    assert one.figures["segment", "f1"][1] is not None and one.why == ""
