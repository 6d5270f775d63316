"""Run recipes/audioset on stand-in audio for AudioSet and DCASE 2017, at a tiny size."""

import csv
import json
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
import standin
import torch
import yaml
from sklearn.metrics import average_precision_score, roc_auc_score

from wsedtk.models.network import build_network

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "recipes" / "audioset"
OFFICIAL = {"train": 22160, "eval": 20371}
COUNTS = {
    "train": 60,
    "eval": 26,
}  # files; in each set one is then missing and two are unreadable
DCASE_COUNTS = {"train": 40, "test": 30, "eval": 44}
CONFIG = """\
network: talnet
network_options: {embedding_size: 64}
batch_size: 5
learning_rate: 0.001
checkpoint_every: 3
max_checkpoints: 2
schedule_by: map
select_by: map
"""


def call(script, *options, cwd="/"):
    """Run a script of the recipe from another folder, and return the finished process."""
    return subprocess.run(
        ["bash", str(RECIPE / script), *map(str, options)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=900,
    )


def names_of(data_set):
    return [
        line.split("\t")[0]
        for line in (data_set / "clips.tsv").read_text(encoding="utf-8").splitlines()[1:]
    ]


def videos_of(lists, name):
    """Return the IDs of a list of segments."""
    lines = (lists / f"{name}_segments.csv").read_text().splitlines()
    return {line[:11] for line in lines if not line.startswith("#")}


def scores_of(path, name="clip"):
    with h5py.File(path) as file:
        return (
            file["filename"].asstr()[:].tolist(),
            file["labels"].asstr()[:].tolist(),
            file[name][:],
        )


def report_of(folder):
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def experiment(real_data, tmp_path_factory):
    """Run the whole recipe in a folder with spaces and quotes: (folder, options, process)."""
    folder = tmp_path_factory.mktemp('it\'s "theirs"')
    standin.make(
        "audioset", real_data / "audioset", folder / "the audio", COUNTS, seed=3, broken=True
    )
    standin.make(
        "dcase2017",
        real_data / "dcase2017",
        folder / "dcase audio",
        DCASE_COUNTS,
        seed=5,
        broken=True,
    )
    (folder / "tiny.yaml").write_text(CONFIG)
    options = [
        "--metadata",
        real_data / "audioset",
        "--audio",
        folder / "the audio",
        "--dcase-metadata",
        real_data / "dcase2017",
        "--dcase-audio",
        folder / "dcase audio",
        "--exp",
        folder / "exp",
        "--num-valid",
        20,
        "--dcase-num-valid",
        12,
        "--shards",
        3,
        "--bootstrap",
        5,
    ]
    return folder / "exp", options, call("run.sh", *options, "--config", folder / "tiny.yaml")


def test_every_artefact_is_there(experiment):
    exp, _, process = experiment
    assert process.returncode == 0, process.stderr
    names = [
        "report.html",
        "dcase/report.html",
        "tiny/operating_point.yaml",
        "tiny/model.safetensors",
        "tiny/history.tsv",
        *(
            f"data/{part}/{table}"
            for part in ("train", "eval", "fit", "valid")
            for table in ("clips.tsv", "tags.tsv", "labels.txt")
        ),
        *(f"feats/{part}.{k}-of-3.h5" for part in ("train", "eval") for k in (1, 2, 3)),
        "tiny/valid/scores.h5",
        "tiny/eval/scores.h5",
        *(
            f"tiny/eval/segment/{file}"
            for file in ("tags.tsv", "events.tsv", "report.json", "report.txt")
        ),
        *(
            f"dcase/tiny/{part}/{mode}/report.json"
            for part in ("test", "eval")
            for mode in ("segment", "frame")
        ),
        "dcase/tiny/classes.tsv",
        "dcase/tiny/overlap.tsv",
        "dcase/data/valid/tags.tsv",
    ]
    for name in names:
        assert (exp / name).stat().st_size > 0, name
    for log in (
        "01_prepare",
        "02_extract_train.2",
        "04_train.tiny",
        "08_score_eval.tiny",
        "10_overlap.tiny",
    ):
        assert "exit status 0" in (exp / "log" / f"{log}.log").read_text(), log
    assert not list(exp.rglob("*.tmp")) and f"open {exp}/report.html" in process.stdout


def test_all_classes_are_labels_and_coverage_is_reported(experiment, real_data):
    exp, _, process = experiment
    with open(
        real_data / "audioset/class_labels_indices.csv", encoding="utf-8", newline=""
    ) as file:
        _, *rows = csv.reader(file)
    for part in ("train", "fit", "valid", "eval"):
        assert (exp / "data" / part / "labels.txt").read_text().splitlines() == [
            name for _, _, name in rows
        ]
    for part, official in OFFICIAL.items():
        info = yaml.safe_load((exp / "data" / part / "info.yaml").read_text())
        gone = sum(info.get("excluded", {}).values())
        assert info["official_clips"] == official and info["class_ids"] == [
            mid for _, mid, _ in rows
        ]
        coverage = info["coverage"]
        assert coverage["missing"] + coverage["unreadable"] + coverage["used"] == official - gone
        assert coverage["unreadable"] == 2 and coverage["used"] == len(
            names_of(exp / "data" / part)
        )
        assert f"{coverage['used']} of {official:,} official clips" in process.stdout
    assert coverage["used"] == COUNTS["eval"] - 3


def test_videos_that_dcase_tests_on_are_not_trained_on(experiment, real_data):
    exp, _, process = experiment
    assert "excluded: 21 clips" in process.stdout and "excluded: 85 clips" in process.stdout
    tested = {
        name[:11] for part in ("test", "eval") for name in names_of(exp / "dcase/lists" / part)
    }
    assert len(tested & videos_of(real_data / "audioset", "balanced_train")) == 106
    assert not tested & {
        name[:11] for part in ("train", "fit", "valid") for name in names_of(exp / "data" / part)
    }


def test_map_and_mauc_are_scikit_learns(experiment):
    exp, _, process = experiment
    names, labels, scores = scores_of(exp / "tiny/eval/scores.h5")
    with open(exp / "data/eval/tags.tsv", encoding="utf-8", newline="") as file:
        tags = {tuple(row) for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)}
    truth = np.array([[(name, label) in tags for label in labels] for name in names])
    used, report = np.flatnonzero(truth.any(axis=0)), report_of(exp / "tiny/eval/segment")
    assert 20 < len(used) < 527 and len(names) == COUNTS["eval"] - 3
    assert report["audioset"]["map"] == pytest.approx(
        np.mean([average_precision_score(truth[:, k], scores[:, k]) for k in used]), abs=1e-9
    )
    assert report["audioset"]["mauc"] == pytest.approx(
        np.mean([roc_auc_score(truth[:, k], scores[:, k]) for k in used]), abs=1e-9
    )
    assert report["clips"]["official"] == OFFICIAL["eval"] and report["audioset"]["map_ci"] is None
    reason = "of 527 classes have fewer than 2 positive clips"  # with so few clips
    assert reason in (exp / "tiny/eval/segment/report.txt").read_text()
    k = int(used[0])
    assert report["classes"][labels[k]]["audioset"]["ap"] == pytest.approx(
        average_precision_score(truth[:, k], scores[:, k]), abs=1e-9
    )
    for word in ("MAP", labels[k], "worst", "best"):
        assert word in (exp / "tiny/eval/segment/report.txt").read_text(), word


def test_frame_scores_are_not_kept_where_they_are_not_needed(experiment):
    exp, _, _ = experiment
    for path, kept in (("tiny/eval", False), ("tiny/valid", False), ("dcase/tiny/test", True)):
        with h5py.File(exp / path / "scores.h5") as file:
            assert ("frame" in file) == kept and "segment" in file


def test_dcase_scores_are_the_columns_of_its_classes_by_id(experiment, run, tmp_path):
    exp, _, _ = experiment
    info = yaml.safe_load((exp / "data/train/info.yaml").read_text())
    dcase = yaml.safe_load((exp / "dcase/data/valid/info.yaml").read_text())
    result = run(
        "predict", exp / "tiny", exp / "dcase/feats/test.h5", tmp_path / "all.h5", "--no-frames"
    )
    assert result.exit_code == 0, result.stderr
    names, _, everything = scores_of(tmp_path / "all.h5")
    found_names, labels, scores = scores_of(exp / "dcase/tiny/test/scores.h5")
    assert (
        found_names == names
        and labels == (exp / "dcase/data/test/labels.txt").read_text().splitlines()
        and len(labels) == 17
    )
    np.testing.assert_array_equal(
        scores, everything[:, [info["class_ids"].index(mid) for mid in dcase["class_ids"]]]
    )


def test_a_model_trained_without_the_test_videos_has_seen_none(experiment):
    exp, _, process = experiment
    for part in ("test", "eval"):
        count = len(names_of(exp / "dcase/data" / part))
        assert (
            f"{part}: {count} of {count} clips are of videos that the model was not trained on"
            in process.stdout
        )
        assert report_of(exp / "dcase/tiny" / part / "segment")["clips"]["scored"] == count
        assert not (exp / "dcase/tiny" / f"{part}_unseen").exists()  # it would have the same clips
    rows = [line.split("\t") for line in (exp / "dcase/tiny/overlap.tsv").read_text().splitlines()]
    assert [row[0] for row in rows[1:3]] == ["AudioSet balanced", "AudioSet eval"] and rows[0][
        1
    ].startswith("train (")
    assert [row[2:] for row in rows if row[0].endswith("(trained on)")] == [["0", "0"]] * 2


@pytest.fixture(scope="module")
def imported(experiment, real_data, tmp_path_factory):
    """Import a file like TALNet.pt, with class IDs as names, and evaluate it on DCASE 2017.

    Returns (model, process, experiment).
    """
    exp, options, _ = experiment
    folder = tmp_path_factory.mktemp("their model")
    torch.manual_seed(0)
    tensors = build_network("talnet", 527).state_dict()
    torch.save(
        {"model": {name.removeprefix("head."): tensor for name, tensor in tensors.items()}},
        folder / "TALNet.pt",
    )
    ids = yaml.safe_load((exp / "data/train/info.yaml").read_text())["class_ids"]
    (folder / "ids.txt").write_text("".join(f"{mid}\n" for mid in ids))
    np.savez(folder / "norm.npz", mean=np.full(64, -30.0), std=np.full(64, 15.0))
    command = [
        "wsedtk",
        "import",
        folder / "TALNet.pt",
        folder / "-talnet",
        "--labels",
        folder / "ids.txt",
        "--normalizer",
        folder / "norm.npz",
        "--frontend",
        RECIPE / "conf/frontend_wang.yaml",
    ]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    options = [
        *options[:2],
        *options[4:8],
        "--exp",
        folder / "exp",
        "--dcase-num-valid",
        12,
        "--bootstrap",
        0,
    ]  # without audio of AudioSet
    return (
        folder / "-talnet",
        call("run.sh", "--stage", 10, "--model", folder / "-talnet", *options),
        folder / "exp",
    )


def test_an_imported_model_is_scored_without_training(imported):
    model, process, exp = imported
    assert process.returncode == 0, process.stderr
    assert not (exp / "data").exists() and sorted(p.name for p in model.iterdir()) == [
        "README.md",
        "model.safetensors",
        "model.yaml",
    ]
    for part in ("test", "eval", "test_unseen", "eval_unseen"):
        assert report_of(exp / "dcase/-talnet" / part / "frame")["segment"]["f1"] is not None
    assert (exp / "dcase/-talnet/classes.tsv").read_text().splitlines()[
        1
    ] == "/m/05x_td\tAir horn, truck horn"


def test_a_model_that_can_not_be_evaluated_is_refused_first(imported, real_data, tmp_path):
    model, _, _ = imported
    options = [
        "--metadata",
        real_data / "audioset",
        "--dcase-metadata",
        real_data / "dcase2017",
        "--dcase-audio",
        tmp_path,
    ]
    (tmp_path / "few").mkdir()
    (tmp_path / "few/model.yaml").write_text(
        (model / "model.yaml").read_text().replace("- /m/06_fw\n", "- /m/other\n")
    )
    for folder, message in (
        ("none", "none: no model.yaml"),
        ("few", "the model lacks 1 of DCASE's 17 classes: Skateboard"),
    ):
        process = call(
            "run.sh",
            "--stage",
            10,
            "--exp",
            tmp_path / "exp",
            "--model",
            tmp_path / folder,
            *options,
        )
        assert (
            process.returncode == 1
            and message in process.stderr
            and not (tmp_path / "exp/dcase/data").exists()
        ), process.stderr


def test_possible_training_videos_are_excluded_in_a_second_result(imported, real_data):
    _, process, exp = imported
    assert ": no unbalanced_train_segments.csv" in process.stderr
    trained = videos_of(real_data / "audioset", "balanced_train")
    for part in ("test", "eval"):
        names = names_of(exp / "dcase/data" / part)
        unseen = [name for name in names if name[:11] not in trained]
        assert names_of(exp / "dcase/-talnet/data" / f"{part}_unseen") == unseen
        assert report_of(exp / "dcase/-talnet" / f"{part}_unseen" / "segment")["clips"][
            "scored"
        ] == len(unseen)
        assert (
            f"{part}: {len(unseen)} of {len(names)} clips are of videos that the model was "
            "not trained on" in process.stdout
        )
    assert len(unseen) < len(names)  # otherwise the test would check nothing
    evaluated = videos_of(real_data / "audioset", "eval")
    rows = [
        line.split("\t") for line in (exp / "dcase/-talnet/overlap.tsv").read_text().splitlines()
    ]
    row = next(row for row in rows if row[0] == "AudioSet eval")
    assert row[3] == str(sum(name[:11] in evaluated for name in names)) != "0"


def test_a_model_trained_on_other_clips_is_refused(experiment):
    exp, options, _ = experiment
    assert call("stages/03_balance.sh", *options, "--seed", 7).returncode == 0
    process = call("stages/10_transfer.sh", *options, "--config", exp.parent / "tiny.yaml")
    assert call("stages/03_balance.sh", *options).returncode == 0
    assert (
        process.returncode == 1
        and "tiny: the model was not trained on the clips of " in process.stderr
    ), process.stderr


def test_new_shards_replace_old_ones(experiment):
    exp, options, _ = experiment
    process = call("stages/02_extract.sh", *options, "--shards", 2)
    assert process.returncode == 0, process.stderr
    assert sorted(p.name for p in (exp / "feats").iterdir()) == [
        f"{part}.{k}-of-2.h5" for part in ("eval", "train") for k in (1, 2)
    ]


def test_poolings_are_compared_on_both_corpora(experiment):
    exp, options, _ = experiment
    for pooling in ("linear", "max"):
        (exp.parent / f"small_{pooling}.yaml").write_text(CONFIG + f"pooling: {pooling}\n")
    systems = "small_linear.yaml small_max.yaml"
    process = call(
        "local/compare_pooling.sh",
        *options,
        "--seeds",
        1,
        "--bootstrap",
        0,
        "--systems",
        systems,
        "--max-jobs-run",
        2,
        cwd=exp.parent,
    )
    assert process.returncode == 0, process.stderr
    page = (exp / "compare.md").read_text()
    maps = {
        pooling: report_of(exp / f"small_{pooling}.seed1/eval/segment")["audioset"]["map"]
        for pooling in ("linear", "max")
    }
    assert "| MAP | MAUC | d' |" in page and f"| {maps['linear']:.3f} |" in page
    assert f"| small_max - small_linear | {maps['max'] - maps['linear']:+.3f} |" in page
    dcase = (exp / "dcase/compare.md").read_text()
    assert dcase.count("\n## ") + 1 == 2 and "| Sub | Del | Ins | ER |" in dcase
    assert process.stdout.index(page) < process.stdout.index(dcase)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--stage", 10], "give --dcase-metadata DIR and --dcase-audio DIR"),
        (["--stage", 4, "--model", "/no/such"], "--model is for stage 10"),
        (["--shards", "x"], "--shards 'x': expected a number from 1"),
        (
            ["--dcase-metadata", "/tmp", "--dcase-audio", "/no/such"],
            "/no/such: no such folder; give the DCASE audio as --dcase-audio",
        ),
        (["--stage", 11], "stage at most 10"),
        (["--subset", "everything"], "everything"),
        (["--dry-run"], "--dry-run is for stage 0"),
    ],
)
def test_what_is_wrong_is_reported(tmp_path, options, message):
    process = call(
        "run.sh", "--exp", tmp_path / "exp", "--metadata", tmp_path, "--audio", tmp_path, *options
    )
    assert process.returncode not in (0, 75) and message in process.stderr, process.stderr
