"""Run recipes/dcase2017 on stand-in audio for the challenge, at a tiny size.

pytest needs different names of test files, and tests/corpora/test_dcase2017.py exists already.
"""

import csv
import hashlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import h5py
import pytest
import standin
import yaml

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "recipes" / "dcase2017"
OFFICIAL = {"train": 51172, "test": 488, "eval": 1103}
COUNTS = {
    "train": 45,
    "test": 14,
    "eval": 16,
}  # files; in each set one is then missing and two are unreadable
MODES = ("segment", "frame", "frame_common")
CONFIG = """\
network_options: {channels: [4, 4, 4], num_hidden: 4}
batch_size: 4
checkpoint_every: 3
max_checkpoints: 2
"""
GATED = """\
network: gated-crnn
network_options: {num_channels: 4, num_top_channels: 4, num_hidden: 4}
hierarchy: published
groups: [5, 5]
batch_size: 8
checkpoint_every: 2
max_checkpoints: 1
"""


def call(script, *options, cwd="/", **environment):
    """Run a script of the recipe from another folder, and return the finished process."""
    return subprocess.run(
        ["bash", str(RECIPE / script), *map(str, options)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=600,
        env={**os.environ, **environment},
    )


def contents(*folders):
    return {
        str(p): p.read_bytes()
        for folder in folders
        for p in sorted(Path(folder).rglob("*"))
        if p.is_file()
    }


def report_of(model, part, mode):
    return json.loads((model / part / mode / "report.json").read_text())


@pytest.fixture(scope="module")
def experiment(real_data, tmp_path_factory):
    """Run the whole recipe in a folder with spaces and quotes in its name.

    Returns (folder, options, process, damaged clips).
    """
    folder = tmp_path_factory.mktemp('it\'s "theirs"')
    spoilt = standin.make(
        "dcase2017", real_data / "dcase2017", folder / "the audio", COUNTS, seed=3, broken=True
    )
    (folder / "tiny.yaml").write_text(CONFIG)
    options = [
        "--metadata",
        real_data / "dcase2017",
        "--audio",
        folder / "the audio",
        "--exp",
        folder / "exp",
        "--num-valid",
        17,
        "--jobs",
        1,
        "--bootstrap",
        20,
    ]
    return (
        folder / "exp",
        options,
        call("run.sh", *options, "--config", folder / "tiny.yaml"),
        spoilt,
    )


def test_every_artefact_is_there(experiment):
    exp, _, process, _ = experiment
    assert process.returncode == 0, process.stderr
    names = [
        "report.html",
        "tiny/operating_point.yaml",
        "tiny/test/operating_point.yaml",
        "tiny/test/operating_point_common.yaml",
        "data/fit/clips.tsv",
        "data/valid/tags.tsv",
        *(
            f"data/{part}/{t}"
            for part in OFFICIAL
            for t in ("clips.tsv", "tags.tsv", "labels.txt", "info.yaml", "coverage.tsv")
        ),
        "data/test/events.tsv",
        "data/eval/events.tsv",
        *(f"feats/frontend_wang/{part}.h5" for part in OFFICIAL),
        *(
            f"tiny/{file}"
            for file in (
                "model.safetensors",
                "model.yaml",
                "config.yaml",
                "history.tsv",
                "train.log",
            )
        ),
        *(f"tiny/{part}/scores.h5" for part in ("valid", "test", "eval")),
        *(
            f"tiny/{part}/{mode}/{file}"
            for part in ("test", "eval")
            for mode in MODES
            for file in (
                "clips.tsv",
                "tags.tsv",
                "events.tsv",
                "report.json",
                "report.txt",
                "reference/events.tsv",
            )
        ),
    ]
    for name in names:
        assert (exp / name).stat().st_size > 0, name
    assert not any(
        (exp / "data" / part / "events.tsv").exists() for part in ("train", "fit", "valid")
    )  # trained on tags only
    assert not list(exp.rglob("*.tmp")) and not (exp / "feats/frontend_he").exists()
    assert f"everything is in {exp}; open {exp}/report.html" in process.stdout


def test_each_stage_leaves_log_and_record(experiment):
    exp, _, _, _ = experiment
    for name in (
        "01_prepare",
        "01_validate_train",
        "01_validate_eval",
        "02_extract_test",
        "03_balance",
        "04_train.tiny",
        "05_predict_valid.tiny",
        "05_predict_eval.tiny",
        "06_tune_segment.tiny",
        "06_tune_frame.tiny",
        "07_decode_test_frame.tiny",
        "07_decode_eval_segment.tiny",
        "08_score_eval_frame.tiny",
        "09_report",
    ):
        assert "exit status 0" in (exp / "log" / f"{name}.log").read_text(), name
        assert "command: wsedtk" in (exp / "log" / f"{name}.yaml").read_text(), name


@pytest.mark.parametrize("part", OFFICIAL)
def test_coverage_is_what_the_stand_in_says(experiment, part):
    exp, _, process, spoilt = experiment
    info = yaml.safe_load((exp / "data" / part / "info.yaml").read_text())
    assert info["official_clips"] == OFFICIAL[part]
    assert info["coverage"] == {
        "used": COUNTS[part] - 3,
        "missing": OFFICIAL[part] - COUNTS[part] + 1,
        "unreadable": 2,
        "short": 1,
        "silent": 1,
        "twice": 1,
    }
    lines = (exp / "data" / part / "coverage.tsv").read_text().splitlines()[1:]
    remarks = dict(line.split("\t") for line in lines)
    assert len(lines) == len(remarks) == OFFICIAL[part] - COUNTS[part] + 1 + 5
    clip = {kind: f"{name}.wav" for kind, name in spoilt[part].items()}
    first, second = sorted([clip["copy"], clip["original"]])
    assert remarks[clip["missing"]] == "missing" and remarks[clip["silent"]] == "silent"
    assert (
        remarks[clip["short"]] == "short: lasts 0.500 s"
        and remarks[second] == f"sounds exactly like {first}"
    )
    assert (
        remarks[clip["empty"]].endswith("is an empty file")
        and "can't be read as sound" in remarks[clip["cut"]]
    )
    used = {
        line.split("\t")[0]
        for line in (exp / "data" / part / "clips.tsv").read_text().splitlines()[1:]
    }
    assert len(used) == COUNTS[part] - 3 and not used & {
        clip[kind] for kind in ("missing", "empty", "cut")
    }
    assert f"data/{part}: {COUNTS[part] - 3} of {OFFICIAL[part]:,} official clips" in process.stdout


def test_held_out_clips_share_no_video_with_the_rest(experiment):
    exp, _, _, _ = experiment
    clips = {
        part: [
            line.split("\t")[0]
            for line in (exp / "data" / part / "clips.tsv").read_text().splitlines()[1:]
        ]
        for part in ("train", "fit", "valid")
    }
    videos = {part: {name.rsplit("_", 2)[0] for name in names} for part, names in clips.items()}
    assert (
        not videos["fit"] & videos["valid"]
        and 10 <= len(clips["valid"]) <= 17
        and {*clips["fit"], *clips["valid"]} <= {*clips["train"]}
    )


@pytest.mark.parametrize("part", ["test", "eval"])
@pytest.mark.parametrize("mode", MODES)
def test_a_report_states_its_clips_and_where_it_was_tuned(experiment, part, mode):
    exp, _, process, _ = experiment
    clips, text = (
        report_of(exp / "tiny", part, mode)["clips"],
        (exp / "tiny" / part / mode / "report.txt").read_text(),
    )
    tuned_on_these = part == "test" and mode != "segment"
    assert (
        clips.items()
        >= {
            "scored": COUNTS[part] - 3,
            "official": OFFICIAL[part],
            "tuned_on_these": tuned_on_these,
        }.items()
    )
    line = f"{part}/{mode}: {COUNTS[part] - 3} of {OFFICIAL[part]:,} official clips"
    assert line in text and line in process.stdout
    assert ("the thresholds were tuned on these clips" in text) == tuned_on_these


def fingerprint(clips_tsv):
    """Return the documented fingerprint of a list of clips."""
    names = sorted(line.split("\t")[0] for line in clips_tsv.read_text().splitlines()[1:])
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def attribute(path):
    with h5py.File(path) as file:
        return file.attrs["clips_fingerprint"]


def test_the_list_of_clips_has_one_fingerprint_all_the_way(experiment):
    exp, _, _, _ = experiment
    for part in ("test", "eval"):
        expected = fingerprint(exp / "data" / part / "clips.tsv")
        assert (
            attribute(exp / f"feats/frontend_wang/{part}.h5")
            == expected
            == attribute(exp / f"tiny/{part}/scores.h5")
        )
        assert [report_of(exp / "tiny", part, mode)["clips"]["fingerprint"] for mode in MODES] == [
            expected
        ] * 3
    assert attribute(exp / "feats/frontend_wang/train.h5") == fingerprint(
        exp / "data/train/clips.tsv"
    )
    assert attribute(exp / "tiny/valid/scores.h5") == fingerprint(exp / "data/valid/clips.tsv")


def test_frames_are_also_decoded_with_one_threshold_for_all_classes(experiment):
    exp, _, _, _ = experiment
    for part in ("test", "eval"):
        points = {
            mode: yaml.safe_load((exp / "tiny" / part / mode / "operating_point.yaml").read_text())
            for mode in MODES
        }
        common = points["frame_common"]
        for name in (
            "clip_thresholds",
            "frame_thresholds",
            "median_seconds",
            "min_seconds",
            "max_gap_seconds",
        ):
            assert len(common[name]) == 17 and len(set(common[name].values())) == 1, name
        assert common["tuned"]["criterion"] == points["frame"]["tuned"]["criterion"] == "segments"
        assert len(set(points["frame"]["frame_thresholds"].values())) > 1


@pytest.mark.parametrize("stage", ["03_balance", "06_tune", "07_decode", "08_score"])
def test_a_stage_runs_alone_and_changes_nothing(experiment, stage):
    exp, options, _, _ = experiment
    before = contents(exp / "data", exp / "tiny")
    process = call(f"stages/{stage}.sh", *options, "--config", exp.parent / "tiny.yaml")
    assert process.returncode == 0, process.stderr
    after = contents(exp / "data", exp / "tiny")
    assert [name for name in {*before, *after} if before.get(name) != after.get(name)] == []


def test_a_second_system_joins_with_its_own_front_end(experiment):
    exp, options, _, _ = experiment
    before = contents(exp / "feats", exp / "tiny")
    (exp.parent / "gated_tiny.yaml").write_text(GATED)
    options = [*options, "--config", exp.parent / "gated_tiny.yaml"]
    assert call("stages/02_extract.sh", *options).returncode == 0
    process = call("run.sh", *options, "--stage", 4)
    assert process.returncode == 0, process.stderr
    after = contents(exp / "feats", exp / "tiny")
    assert {name: after[name] for name in before} == before
    for part in OFFICIAL:
        assert attribute(exp / f"feats/frontend_he/{part}.h5") == attribute(
            exp / f"feats/frontend_wang/{part}.h5"
        )
        with h5py.File(exp / f"feats/frontend_he/{part}.h5") as file:
            assert file["features"].shape[1:] == (500, 80)
    assert (
        report_of(exp / "gated_tiny", "eval", "frame")["clips"]
        == report_of(exp / "tiny", "eval", "frame")["clips"]
    )
    settings = yaml.safe_load((exp / "gated_tiny/config.yaml").read_text())
    assert (settings["hierarchy"], settings["groups"]) == ("published", [5, 5])
    page = (exp / "report.html").read_text()
    for system in ("tiny", "gated_tiny"):
        assert all(
            f"{system}/{part}/{mode}" in page for part in ("test", "eval") for mode in MODES
        ), system


# --- local/compare_pooling.sh ---

SYSTEMS, SEEDS = ("tiny_linear", "tiny_linear_hierarchical"), (0, 1)
COLUMNS = {
    "tag Pre": ("tagging", "precision"),
    "tag Rec": ("tagging", "recall"),
    "tag F1": ("tagging", "f1"),
    "Sub": ("segment", "substitution_rate"),
    "Del": ("segment", "deletion_rate"),
    "Ins": ("segment", "insertion_rate"),
    "ER": ("segment", "error_rate"),
    "Pre": ("segment", "precision"),
    "Rec": ("segment", "recall"),
    "F1": ("segment", "f1"),
}


@pytest.fixture(scope="module")
def comparison(experiment, tmp_path_factory):
    """Two systems with two seeds on the existing features, without the evaluation set."""
    exp, options, _, _ = experiment
    folder = tmp_path_factory.mktemp("comparison's place")
    for part in ("fit", "valid", "test"):
        shutil.copytree(exp / "data" / part, folder / "exp/data" / part)
    (folder / "exp/feats").symlink_to(exp / "feats")
    for name, more in zip(SYSTEMS, ("", "hierarchy: published\ngroups: [5, 5]\n")):
        (folder / f"{name}.yaml").write_text(
            CONFIG.replace("checkpoint_every: 3", "checkpoint_every: 12")
            + "learning_rate: 0.02\n"
            + more
        )
    process = call(
        "local/compare_pooling.sh",
        *options,
        "--exp",
        "exp",
        "--systems",
        " ".join(f"{name}.yaml" for name in SYSTEMS),
        "--seeds",
        " ".join(map(str, SEEDS)),
        "--bootstrap",
        0,
        "--max-jobs-run",
        2,
        cwd=folder,
    )
    return folder / "exp", process


def values_of(exp, system, mode, name):
    group, key = COLUMNS[name]
    return [
        report_of(exp / f"{system}.seed{seed}", "test", mode)[group][key] or 0 for seed in SEEDS
    ]


def compared(exp):
    """Return compare.tsv as {(table, system, measure): value}; two seeds have no intervals."""
    with open(exp / "compare.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    assert rows[0] == ["table", "system", "measure", "value", "low", "high"]
    assert all(row[4:] == ["", ""] for row in rows[1:])
    return {tuple(row[:3]): float(row[3]) for row in rows[1:]}


def test_a_comparison_is_written_and_printed(comparison):
    exp, process = comparison
    assert process.returncode == 0, process.stderr
    page = (exp / "compare.md").read_text()
    assert process.stdout.endswith(page) and page.count("11 of 488 official clips, 2 seeds; ") == 3
    assert (
        page.count("\n## ") + page.startswith("## ") == 3 and "evaluation" not in page
    )  # without its audio there is no table
    titles = [line for line in page.splitlines() if line.startswith("## ")]
    assert titles == [
        "## Segment mode on the development set (as Wang, Li & Metze, table 2)",
        "## Frame mode with a threshold for each class, tuned and evaluated on the development set",
        "## Frame mode with one threshold, tuned and evaluated on the development set "
        "(as He, Shen & Zhang, table 2)",
    ]
    for system in SYSTEMS:
        for seed in SEEDS:
            assert f"seed: {seed}\n" in (exp / f"{system}.seed{seed}" / "config.yaml").read_text()
    assert "exit status 0" in (exp / "log/compare.log").read_text()
    runs = [(exp / f"log/compare.{number}.log").read_text() for number in range(1, 5)]
    assert [run.splitlines()[2] for run in runs] == [
        f"== {system}.seed{seed}" for system in SYSTEMS for seed in SEEDS
    ]


def test_a_comparison_starts_one_job_per_system_and_seed(tmp_path):
    (tmp_path / "ask").write_text(
        '#!/bin/sh\nprintf \' %s\' "$@" >> "$0.asked"\necho >> "$0.asked"\n'
    )
    (tmp_path / "ask").chmod(0o755)
    options = [
        "--exp",
        tmp_path / "exp",
        "--gpus",
        2,
        "--systems",
        "crnn_max crnn_linear",
        "--seeds=3 4 5",
        "--max-jobs-run=0",
        "--dispatcher",
        "./ask",
    ]
    process = call("local/compare_pooling.sh", *options, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    train, compare = (tmp_path / "ask.asked").read_text().splitlines()
    assert (
        f" --gpu 2 --max-jobs-run 0 WSEDTK_RUN=1:6 {tmp_path}/exp/log/compare.WSEDTK_RUN.log bash "
        in train
    )
    assert (
        train.endswith(" --only WSEDTK_RUN")
        and f"{tmp_path}/exp/log/compare.log python3 " in compare
    )


def test_a_stopped_comparison_says_how_to_resume(tmp_path):
    (tmp_path / "wait").write_text('#!/bin/sh\ntouch "$0.ready"\nexec sleep 60\n')
    (tmp_path / "wait").chmod(0o755)
    process = subprocess.Popen(
        [
            "bash",
            RECIPE / "local/compare_pooling.sh",
            "--exp",
            tmp_path / "exp",
            "--dispatcher",
            tmp_path / "wait",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "wait.ready").exists():
        time.sleep(0.05)
    process.terminate()
    errors = process.communicate(timeout=30)[1]
    assert process.returncode == 75 and errors.endswith(
        "compare_pooling.sh: stopped; run the same command again to resume\n"
    )


def test_a_comparison_names_the_log_of_what_failed_and_makes_no_table(tmp_path):
    (tmp_path / "wrong.yaml").write_text("batch_sise: 3\n")
    process = call(
        "local/compare_pooling.sh",
        "--exp",
        tmp_path / "exp",
        "--systems",
        "wrong.yaml",
        "--seeds",
        0,
        cwd=tmp_path,
    )
    assert process.returncode == 1 and f"{tmp_path}/exp/log/compare.1.log" in process.stderr
    assert not (tmp_path / "exp/compare.md").exists()
    assert "04_train.wrong.seed0.log" in (tmp_path / "exp/log/compare.1.log").read_text()


def test_means_are_those_of_the_reports(comparison):
    exp, _ = comparison
    found, page = compared(exp), (exp / "compare.md").read_text()
    assert {name for _, _, name in found} >= {*COLUMNS, "seg w/o tag"}
    for system in SYSTEMS:
        for mode in MODES:
            for name in COLUMNS:
                mean = sum(values_of(exp, system, mode, name)) / 2
                assert found[f"test {mode}", system, name] == pytest.approx(mean, abs=1e-5)
            assert f" | {found[f'test {mode}', system, 'F1']:.3f} | " in page
    assert "±" not in page and page.count("2 seeds do not show the variation over seeds") == len(
        MODES
    )


def test_a_difference_is_that_of_the_means(comparison):
    exp, _ = comparison
    found, values = compared(exp), []
    for mode in MODES:
        for name in ("ER", "F1"):
            single, hierarchical = (
                sum(values_of(exp, system, mode, name)) / 2 for system in SYSTEMS
            )
            value = found[f"test {mode} difference", "tiny_linear_hierarchical - tiny_linear", name]
            assert value == pytest.approx(hierarchical - single, abs=1e-5)
            values.append(value)
    assert any(values)  # otherwise the systems are too small for this test


# --- errors ---


@pytest.mark.parametrize(
    "script, options, status, message",
    [
        ("run.sh", ["--stage", "20"], 2, "stage at most 9"),
        (
            "run.sh",
            ["--stage", "5", "--stop-stage", "3"],
            2,
            "expected numbers with stage <= stop-stage",
        ),
        ("run.sh", ["--stge", "2"], 2, "unknown option '--stge' (--help lists the options)"),
        ("run.sh", ["--audio"], 2, "'--audio' needs a value"),
        ("run.sh", ["metadata", "audio"], 2, "unexpected argument 'metadata'"),
        ("local/compare_pooling.sh", ["--seeds"], 2, "compare_pooling.sh: '--seeds' needs a value"),
        (
            "local/compare_pooling.sh",
            ["--systems"],
            2,
            "compare_pooling.sh: '--systems' needs a value",
        ),
        (
            "local/compare_pooling.sh",
            ["--max-jobs-run", "-1"],
            2,
            "--max-jobs-run '-1': expected a number from 0",
        ),
        (
            "local/compare_pooling.sh",
            ["--systems", "crnn_liner"],
            1,
            "crnn_liner: no such file, and no such configuration in",
        ),
        ("local/compare_pooling.sh", ["--system-s", "x"], 2, "unknown option '--system-s'"),
        ("local/compare_pooling.sh", ["crnn_linear"], 2, "unexpected argument 'crnn_linear'"),
        ("local/compare_pooling.sh", ["--stage", "20"], 2, "--stage"),
    ],
)
def test_wrong_options_are_refused(tmp_path, script, options, status, message):
    process = call(script, "--exp", tmp_path / "exp", *options)
    assert process.returncode == status, process.stderr
    assert message in process.stderr and not (tmp_path / "exp").exists()


def test_all_systems_are_looked_for_before_the_first_is_trained(tmp_path):
    process = call(
        "local/compare_pooling.sh", "--exp", tmp_path / "exp", "--systems", "crnn_linear crnn_liner"
    )
    assert process.returncode == 1 and "crnn_liner: no such file" in process.stderr, process.stderr


@pytest.mark.parametrize(
    "script, option",
    [("run.sh", "--metadata DIR"), ("local/compare_pooling.sh", "--seeds 'N ...'")],
)
def test_help_is_the_header(script, option):
    process = call(script, "--help")
    assert (
        process.returncode == 0
        and option in process.stdout
        and f"bash recipes/dcase2017/{script}" in process.stdout
    )
    assert "pipefail" not in process.stdout and process.stderr == ""


@pytest.mark.parametrize(
    "option, message",
    [
        ("--metadata", "no such folder; expected the folder with the challenge's metadata"),
        ("--audio", "no such folder; expected the folder with the audio"),
    ],
)
def test_a_wrong_folder_stops_the_recipe_and_names_the_log(real_data, tmp_path, option, message):
    folders = {"--metadata": real_data / "dcase2017", "--audio": tmp_path} | {
        option: tmp_path / "it's nowhere"
    }
    process = call(
        "run.sh", "--exp", tmp_path / "exp", *(word for pair in folders.items() for word in pair)
    )
    assert process.returncode != 0 and f"it's nowhere: {message}" in process.stderr
    assert "01_prepare.log" in process.stderr and "stage 2" not in process.stderr


def test_a_dry_run_only_prints_commands(tmp_path):
    url = "http://127.0.0.1:9/x"
    process = call(
        "run.sh",
        "--stage",
        0,
        "--stop-stage",
        0,
        "--dry-run",
        "--exp",
        tmp_path / "exp",
        "--metadata-url",
        url,
    )
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    assert len(lines) == 6 and all(line.startswith(f"curl {url}/") for line in lines)
    assert lines[-1].endswith(
        f"-> {tmp_path}/exp/download/metadata/groundtruth_strong_label_evaluation_set.csv"
    )
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
