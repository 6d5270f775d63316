"""Run recipes/example as a user does, at a tiny size, on a stand-in for ESC-10."""

import os
import subprocess
from pathlib import Path

import pytest

import wsedtk
from wsedtk.corpora import builtin_bank
from wsedtk.data import datadir
from wsedtk.decoding import operating_point
from wsedtk.models import checkpoint

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "recipes" / "example"
CLASSES = {
    "Bell": "001 - Dog bark",
    "Siren": "009 - Rooster",
    "Rain": "002 - Rain",
    "Wind": "003 - Sea waves",
    "Traffic": "010 - Fire crackling",
}
CC0 = "[CC0](http://creativecommons.org/publicdomain/zero/1.0/)"
BY = "[CC-BY](http://creativecommons.org/licenses/by/3.0/)"
SAMPLING = "[CC-Sampling+](http://creativecommons.org/licenses/sampling+/1.0/)"
CONFIG = """\
network_options: {channels: [4, 4, 4], num_hidden: 4}
batch_size: 4
checkpoint_every: 3
max_checkpoints: 2
"""
OPTIONS = [
    *("--folds", "1,2,3", "--test-folds", "3", "--num-train", "24", "--num-test", "6"),
    *("--num-valid", "6", "--empty-every", "4", "--bootstrap", "0", "--jobs", "1"),
]


def call(script, *options):
    """Run a script of the recipe from another folder, and return the finished process."""
    return subprocess.run(
        ["bash", str(RECIPE / script), *map(str, options)],
        capture_output=True,
        text=True,
        cwd="/",
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def credit(path, licence):
    """Return a line of README.md of ESC-10."""
    source = path.name.split("-")[1]
    return (
        f"- **[{path.name}](https://example.org/{path.name})**:       clip derived from "
        f"[a [loud] | sound](http://www.freesound.org/people/doe/sounds/{source}/) by *doe_1* "
        f"({licence})"
    )


@pytest.fixture(scope="module")
def esc10(tmp_path_factory):
    """Synthesised recordings of five classes with the names and the credits of ESC-10.

    The first recording of the roosters has a licence other than CC0 and CC BY.
    """
    made = tmp_path_factory.mktemp("made") / "bank"
    builtin_bank.synthesise(made, seed=1, recordings_per_fold=3, folds=3)
    folder = tmp_path_factory.mktemp("it's a corpus") / "ESC-10"
    folder.mkdir()
    lines = ["# ESC-10", ""]
    for number, (before, after) in enumerate(CLASSES.items()):
        (made / before).rename(folder / after)
        for path in sorted((folder / after).iterdir()):
            lines.append(credit(path, [CC0, BY][number % 2]))
    odd = sorted((folder / "009 - Rooster").iterdir())[0]
    lines = [line.replace(BY, SAMPLING) if odd.name in line else line for line in lines]
    (folder / "README.md").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def experiment(esc10, tmp_path_factory):
    """Run the whole recipe: (folder, process)."""
    folder = tmp_path_factory.mktemp('it\'s "mine"')
    (folder / "tiny.yaml").write_text(CONFIG)
    options = ["--esc10", esc10, "--exp", folder / "exp", "--config", folder / "tiny.yaml"]
    # A toy network reaches no high precision.
    process = call("run.sh", *options, *OPTIONS, "--target", "precision=0.05")
    assert process.returncode == 0, process.stderr
    return folder / "exp"


def test_the_model_directory(experiment, esc10):
    folder = experiment / "tiny" / "example"
    assert sorted(path.name for path in folder.iterdir()) == [
        "CREDITS.md",
        "README.md",
        "model.safetensors",
        "model.yaml",
        "operating_point.yaml",
    ]
    model = wsedtk.load_model(folder, device="cpu")
    assert list(model.labels) == ["Dog bark", "Rooster"]
    recording = next((esc10 / "001 - Dog bark").iterdir())
    assert {event.label for event in model.detect(recording)} <= {"Dog bark", "Rooster"}
    assert operating_point.read(folder / "operating_point.yaml").tuned["target"] == {
        "precision": 0.05
    }


def test_only_the_final_model_is_trained_on_all_folds(experiment):
    for name, test_folds, num_valid in (("fold3", [3], 6), ("all", [], 6)):
        assert datadir.read(experiment / "data" / name / "train").info["test_folds"] == test_folds
        trained = checkpoint.read_spec(experiment / "tiny" / name).trained
        assert trained["fit"]["clips"] + trained["valid"]["clips"] <= 24
        assert 0 < trained["valid"]["clips"] <= num_valid


def test_the_card_has_the_results_of_the_fold(experiment):
    text = (experiment / "tiny/example/README.md").read_text()
    assert text.startswith("---\nlicense: mit\n") and "has the same target: precision 0.05." in text
    summary = (experiment / "tiny/summary.md").read_text()
    assert summary in text and "| held-out fold | tag precision |" in summary
    (row,) = (line for line in summary.splitlines() if line.startswith("| hours |"))
    # six mixtures of 10 s; and ten minutes of noise and silence
    assert row.split(" | ")[1] == "0.02" and row.split(" | ")[4] == "0.17"
    assert [line.split(" | ")[0] for line in summary.splitlines()[-2:]] == [
        "| Dog bark",
        "| Rooster",
    ]


def test_the_credits_name_each_recording_that_was_used(experiment, esc10):
    text = (experiment / "tiny/example/CREDITS.md").read_text()
    used = sorted(path.name for path in (experiment / "bank").glob("*/*"))
    odd = sorted((esc10 / "009 - Rooster").iterdir())[0].name
    assert len(used) == 2 * 9 + 3 * 9 - 1 and odd not in used
    rows = [line.split(" | ") for line in text.splitlines() if ".flac | " in line]
    assert sorted(row[0].removeprefix("| ") for row in rows) == used
    for row in rows:
        assert (
            "/people/doe/sounds/" in row[2] and row[3] == "doe\\_1" and "creativecommons" in row[4]
        )
        assert row[2].startswith("[a \\[loud\\] \\| sound](")
    assert f"not used because of their licences: {odd} (CC-Sampling+)." in text


def test_a_stage_is_repeated(experiment, esc10):
    folder = experiment.parent
    before = (experiment / "tiny/example/README.md").read_bytes()
    options = ["--esc10", esc10, "--exp", experiment, "--config", folder / "tiny.yaml", *OPTIONS]
    for stage in (4, 9, 11):
        process = call("run.sh", *options, "--stage", stage, "--stop-stage", stage)
        assert process.returncode == 0, process.stderr
    assert (experiment / "tiny/example/README.md").read_bytes() == before


def faults(esc10, tmp_path, *options):
    """Run the first stage, and return its messages."""
    options = ["--exp", tmp_path / "exp", "--stop-stage", 1, *options]
    process = call("run.sh", "--esc10", esc10, *options)
    assert process.returncode != 0 and not (tmp_path / "exp/data").exists()
    return process.stderr


def test_faults_of_the_corpus(tmp_path):
    assert "give the folder of ESC-10 as --esc10 DIR" in faults("", tmp_path)
    assert "README.md: can't be read" in faults(tmp_path, tmp_path)
    (tmp_path / "README.md").write_text("nothing")
    assert "contains no credits; expected the README.md of ESC-10" in faults(tmp_path, tmp_path)
    path = tmp_path / "001 - Dog bark" / "1-23-A.ogg"
    (tmp_path / "README.md").write_text(credit(path, CC0).replace("sounds/23/", "sounds/24/"))
    assert "1-23-A.ogg: the address http://www.freesound.org/people/doe/sounds/24/ is" in faults(
        tmp_path, tmp_path
    )
    (tmp_path / "README.md").write_text(credit(path, CC0))
    path.parent.mkdir()
    path.with_name("1-24-A.ogg").touch()
    assert "1-24-A.ogg: README.md of ESC-10 has no credit" in faults(tmp_path, tmp_path)
    path.with_name("1-24-A.ogg").rename(path)
    assert "no recordings of the folds [7]" in faults(tmp_path, tmp_path, "--folds", "7")
    assert "--folds 'a': expected whole numbers" in faults(tmp_path, tmp_path, "--folds", "a")


def test_a_folder_of_the_user_is_not_replaced(esc10, tmp_path):
    mine = tmp_path / "exp/bank/Dog bark/mine.wav"
    mine.parent.mkdir(parents=True)
    mine.touch()
    assert "contains files that this script did not write" in faults(esc10, tmp_path)
    assert mine.exists()
