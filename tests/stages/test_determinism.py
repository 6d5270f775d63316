"""The same seed on the same machine gives the same artefacts; each records its inputs.

Artefacts that do not belong together are refused.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml
from helpers import SMALL, contents, write_sound

import wsedtk
from wsedtk.core import provenance
from wsedtk.data import datadir
from wsedtk.data.store import FeatureStore, ScoreFile
from wsedtk.models import checkpoint
from wsedtk.report import clip_pages

RUN = """
import json, sys
from wsedtk.cli import main as cli
for command in json.loads(sys.argv[1]):
    cli.cli(command, standalone_mode=False)
"""
CLASSES = ["Bell & <b>", "Türe, -x", "siren"]


def write_bank(folder, is_reversed):
    """Write two takes of three classes and a background in two folds, in one order or the other."""
    files = [
        (f"{label}/{fold}-{k}{number}-A.wav", 300 * (k + 1) + 9 * number)
        for k, label in enumerate([*CLASSES, "rain"])
        for fold, numbers in ((1, range(5)), (2, range(5, 7)))
        for number in numbers
    ]
    for name, frequency in files[::-1] if is_reversed else files:
        write_sound(folder / name, 1.5, frequency=frequency, seed=frequency)


def chain(bank, exp, jobs, seed=0):
    """Return the commands of a whole experiment, from prepare to report."""
    model, scores = f"{exp}/model", f"{exp}/model/{{}}/scores.h5"
    return [
        [
            "prepare",
            "soundscapes",
            "--background",
            "rain",
            "--test-folds",
            "2",
            "--num-train",
            "24",
            "--num-test",
            "6",
            "--seed",
            str(seed),
            bank,
            f"{exp}/data",
        ],
        *(
            ["extract", "--jobs", jobs, f"{exp}/data/{name}", f"{exp}/feats/{name}.h5"]
            for name in ("train", "test")
        ),
        [
            "balance",
            "--num-valid",
            "6",
            "--seed",
            "3",
            f"{exp}/data/train",
            f"{exp}/data/fit",
            f"{exp}/data/valid",
        ],
        [
            "train",
            f"{exp}/data/fit",
            f"{exp}/data/valid",
            model,
            "--feats",
            f"{exp}/feats/train.h5",
            *SMALL,
            "--set",
            "seed=3",
            "--set",
            "mixup_alpha=0.3",
            "--set",
            "time_mask_seconds=1",
            "--set",
            "batch_size=4",
            "--set",
            "checkpoint_every=2",
            "--set",
            "max_checkpoints=2",
        ],
        [
            "predict",
            "--data",
            f"{exp}/data/valid",
            model,
            f"{exp}/feats/train.h5",
            scores.format("valid"),
        ],
        ["predict", model, f"{exp}/feats/test.h5", scores.format("test")],
        [
            "tune",
            "--published",
            "--seed",
            "3",
            scores.format("valid"),
            f"{exp}/data/valid",
            f"{model}/operating_point.yaml",
        ],
        [
            "decode",
            "--mode",
            "frame",
            scores.format("test"),
            f"{model}/operating_point.yaml",
            f"{model}/test/frame",
        ],
        [
            "score",
            "--scores",
            scores.format("test"),
            "--bootstrap",
            "20",
            f"{exp}/data/test",
            f"{model}/test/frame",
        ],
        ["average", scores.format("test"), scores.format("test"), f"{exp}/average/scores.h5"],
        ["report", model, f"{exp}/report.html", "--figures", f"{exp}/figures"],
    ]


def perform(commands, folder, **environment):
    """Run the commands in a separate process."""
    python_path = os.pathsep.join(
        [str(Path(wsedtk.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    )
    process = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(commands)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": python_path, "OMP_NUM_THREADS": "1", **environment},
    )
    assert process.returncode == 0, process.stderr


@pytest.fixture(scope="module")
def experiments(tmp_path_factory):
    """Run an experiment twice at the same path, and return both folders.

    The first is moved away before the second run.
    """
    base = tmp_path_factory.mktemp("chain")
    write_bank(base / "bank", is_reversed=False)
    perform(
        chain(str(base / "bank"), ".", "1"),
        make(base / "exp"),
        PYTHONHASHSEED="1",
        LC_ALL="POSIX",
        TZ="UTC",
    )
    for name in ("exp", "bank"):
        (base / name).rename(base / f"first_{name}")
    write_bank(base / "bank", is_reversed=True)
    make(base / "exp")
    perform(
        chain(str(base / "bank"), str(base / "exp"), "2"),
        "/",
        PYTHONHASHSEED="2",
        LC_ALL="C.UTF-8",
        TZ="Asia/Tokyo",
    )
    return base / "first_exp", base / "exp"


def make(folder):
    folder.mkdir()
    return folder


def stored(path):
    """Return the content of an HDF5 file."""
    with h5py.File(path) as file:
        return {
            **{name: file[name][()] for name in file},
            **{f"attribute {name}": value for name, value in file.attrs.items()},
        }


def test_the_same_seed_gives_the_same_files(experiments):
    first, second = (
        {name: content for name, content in contents(folder).items() if "/tensorboard/" not in name}
        for folder in experiments
    )
    paths = {name for name in first if not name.endswith((".lock", ".h5", ".pt", ".log"))} - {
        "model/history.tsv"
    }
    assert first.keys() == second.keys() and len(paths) > 60
    second["model/test/frame/report.txt"] = second["model/test/frame/report.txt"].replace(
        f"{experiments[1]}/".encode(), b""
    )  # its title
    assert not [name for name in sorted(paths) if first[name] != second[name]]
    assert {
        "data/fit/clips.tsv",
        "model/model.safetensors",
        "model/model.yaml",
        "model/config.yaml",
        "model/operating_point.yaml",
        "model/test/frame/events.tsv",
        "model/test/frame/report.json",
        "report.html",
    } <= paths
    *rest, _ = zip(
        *(line.split("\t") for line in first["model/history.tsv"].decode().splitlines())
    )  # except for the seconds
    assert (
        rest
        == list(
            zip(*(line.split("\t") for line in second["model/history.tsv"].decode().splitlines()))
        )[:-1]
    )
    assert len(first["model/test/frame/events.tsv"].splitlines()) > 3


@pytest.mark.parametrize(
    "name",
    [
        "feats/train.h5",
        "feats/test.h5",
        "model/valid/scores.h5",
        "model/test/scores.h5",
        "average/scores.h5",
    ],
)
def test_the_same_seed_gives_the_same_arrays(experiments, name):
    first, second = (stored(folder / name) for folder in experiments)
    (
        first.pop("attribute average_of", None),
        second.pop("attribute average_of", None),
    )  # as they were named
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_array_equal(first[key], second[key], err_msg=key)


def test_features_are_the_same_with_any_number_of_threads(experiments, run, tmp_path):
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            assert (
                run("extract", experiments[1] / "data/test", tmp_path / f"{threads}.h5").exit_code
                == 0
            )
    finally:
        torch.set_num_threads(before)
    one, *others = (stored(tmp_path / f"{threads}.h5")["features"] for threads in (1, 2, 5))
    assert all((other == one).all() for other in others)


def test_another_seed_gives_other_audio(experiments, tmp_path, run):
    _, exp = experiments
    assert run(*chain(exp.parent / "bank", tmp_path, "1", seed=1)[0]).exit_code == 0
    assert contents(exp / "data/audio").keys() == contents(tmp_path / "data/audio").keys()
    assert contents(exp / "data/audio") != contents(tmp_path / "data/audio")
    assert (
        datadir.read(tmp_path / "data/test").info["audio_fingerprint"]
        != datadir.read(exp / "data/test").info["audio_fingerprint"]
    )


def test_each_artefact_records_program_and_inputs(experiments):
    _, exp = experiments
    made, model = provenance.made_by(), exp / "model"
    sets = {name: datadir.read(exp / "data" / name) for name in ("train", "test", "fit", "valid")}
    for name, dataset in sets.items():
        source = "test" if name == "test" else "train"
        assert (
            dataset.info.items()
            >= {**made, "audio_fingerprint": sets[source].info["audio_fingerprint"]}.items()
        )
        assert (
            name in ("train", "test")
            or dataset.info.items()
            >= {"seed_of_split": 3, "source_fingerprint": sets["train"].fingerprint()}.items()
        )
    features, scores = (
        {name: stored(path.format(name)) for name in names}
        for path, names in (
            (f"{exp}/feats/{{}}.h5", ("train", "test")),
            (f"{model}/{{}}/scores.h5", ("valid", "test")),
        )
    )
    for name, found in features.items():
        assert (
            made.items()
            <= {
                key.removeprefix("attribute "): value
                for key, value in found.items()
                if "attribute" in key
            }.items()
        )
        assert found["attribute data_fingerprint"] == sets[name].fingerprint()
        assert found["attribute audio_fingerprint"] == sets[name].info["audio_fingerprint"]
    identity = checkpoint.load_model(model)[2]
    for name, source in (("valid", "train"), ("test", "test")):
        found = {
            key.removeprefix("attribute "): value
            for key, value in scores[name].items()
            if "attribute" in key
        }
        assert (
            found.items()
            >= {
                **made,
                "model": identity,
                "precise": True,
                "features": str(exp / "feats" / f"{source}.h5"),
                "features_fingerprint": features[source]["attribute fingerprint"],
                "audio_fingerprint": sets[source].info["audio_fingerprint"],
            }.items()
        )
    valid, test = (str(scores[name]["attribute fingerprint"]) for name in ("valid", "test"))
    point = yaml.safe_load((model / "operating_point.yaml").read_text())
    assert (
        point["model"] == identity
        and point["tuned"].items()
        >= {
            **made,
            "set": "valid",
            "set_fingerprint": sets["valid"].fingerprint(),
            "scores": valid,
            "criterion": "tags",
            "published": True,
            "seed": 3,
        }.items()
    )
    decoded = {
        "model": identity,
        "scores": test,
        "operating_point": provenance.fingerprint_file(model / "operating_point.yaml"),
    }
    assert (
        yaml.safe_load((model / "test/frame/info.yaml").read_text()).items()
        >= {**made, **decoded}.items()
    )
    scored = json.loads((model / "test/frame/report.json").read_text())
    assert scored["made_from"] == {**made, **decoded, "data": sets["test"].fingerprint()}
    assert (
        made.items()
        <= {name: ScoreFile(exp / "average/scores.h5").attributes[name] for name in made}.items()
    )


@pytest.fixture
def exp(experiments, tmp_path, monkeypatch):
    """A copy of the experiment that may be changed; reports draw few figures."""
    shutil.copytree(experiments[1], tmp_path / "exp")
    monkeypatch.setattr(clip_pages, "NUM_CLIPS", 1)
    return tmp_path / "exp"


def audio_of(exp):
    """Return the fingerprints of the audio of the sets."""
    return {
        name: datadir.read(exp / "data" / name).info["audio_fingerprint"]
        for name in ("train", "test")
    }


def refused(run, arguments, *words):
    """Check that the command fails with a message that contains these words."""
    result = run(*arguments)
    assert result.exit_code == 1 and all(str(word) in result.stderr for word in words), (
        result.stderr
    )


def test_features_scores_and_decoded_folders_of_other_audio(exp, run, experiments):
    old = audio_of(exp)
    assert (
        run(*chain(experiments[1].parent / "bank", exp, "1", seed=1)[0]).exit_code == 0
    )  # mixed again, under the same names
    new = audio_of(exp)
    assert old["train"].split("-")[0] == new["train"].split("-")[0] and old != new
    steps, model = chain("bank", str(exp), "1"), exp / "model"
    assert run(*steps[3]).exit_code == 0  # balance
    refused(
        run,
        [*steps[4], "--overwrite"],
        exp / "feats/train.h5",
        exp / "data/fit",
        old["train"],
        new["train"],
        "its audio",
        "differs from that of",
    )
    refused(run, steps[5], exp / "feats/train.h5", exp / "data/valid", old["train"], new["train"])
    refused(
        run,
        ["tune", model / "test/scores.h5", exp / "data/test", exp / "p.yaml"],
        model / "test/scores.h5",
        exp / "data/test",
        old["test"],
        new["test"],
    )
    refused(run, steps[9], model / "test/frame", exp / "data/test", old["test"], new["test"])
    assert (
        run(*steps[2]).exit_code
        == run("predict", model, exp / "feats/test.h5", exp / "new.h5").exit_code
        == 0
    )
    refused(
        run,
        ["average", model / "test/scores.h5", exp / "new.h5", exp / "mean.h5"],
        model / "test/scores.h5",
        exp / "new.h5",
        old["test"],
        new["test"],
    )
    assert (
        ScoreFile(exp / "new.h5").attributes["fingerprint"]
        != ScoreFile(model / "test/scores.h5").attributes["fingerprint"]
    )


def test_features_of_more_clips_are_accepted_with_a_message(exp, run):
    train = datadir.read(exp / "data/train")
    some = train.select(np.arange(len(train)) < 20)
    audio = provenance.fingerprint_audio(
        some.filenames, some.filenames
    )  # as if prepared again without the others
    datadir.write(
        exp / "few",
        dataclasses.replace(some, info={**some.info, "audio_fingerprint": audio}),
    )
    result = run(
        "predict", "--data", exp / "few", exp / "model", exp / "feats/train.h5", exp / "new.h5"
    )
    assert (
        result.exit_code == 0
        and "different versions of a set" in result.stderr
        and audio in result.stderr
    )


def test_corrected_tags_need_no_new_features(exp, run):
    tags = exp / "data/valid/tags.tsv"
    tags.write_text("".join(tags.read_text().splitlines(keepends=True)[:-1]))
    for command in chain("bank", str(exp), "1")[5:8]:
        assert run(*command).exit_code == 0


def test_shards_of_other_versions_of_a_set(exp, run):
    for name, audio in (("1/2", "a-b"), ("2/2", "a-c")):
        dataset = datadir.read(exp / "data/test")
        datadir.write(
            exp / "data/test",
            dataclasses.replace(dataset, info={"audio_fingerprint": audio}),
        )
        assert run("extract", exp / "data/test", exp / "shards.h5", "--shard", name).exit_code == 0
    refused(
        run,
        ["predict", exp / "model", exp / "shards.h5", exp / "new.h5"],
        "shards.2-of-2.h5",
        "(audio fingerprint a-c)",
        "(audio fingerprint a-b)",
        "another version",
    )


def test_the_same_features_in_shards_are_the_same(exp):
    whole = FeatureStore([exp / "feats/test.h5"])
    with h5py.File(exp / "feats/test.h5") as file:
        names = [name for name in file if len(file[name]) == 6]
        for k in (1, 2):
            with h5py.File(exp / f"feats/part.{k}-of-2.h5", "w") as part:
                part.attrs.update(file.attrs)
                part["failed"] = file["failed"][()]
                for name in names:
                    part[name] = file[name][k - 1 :: 2]
    parts = FeatureStore([exp / "feats/part.h5"])
    assert parts.content_fingerprint(parts.order) == whole.content_fingerprint(whole.order)
    assert parts.content_fingerprint(parts.order[:3]) != whole.content_fingerprint(whole.order)


def test_the_model_counts_and_not_where_it_comes_from(exp):
    before = provenance.fingerprint_model_directory(exp / "model")
    path = exp / "model/model.yaml"
    spec = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**spec, "trained": {"wsedtk": "99", "commit": "x"}}))
    assert provenance.fingerprint_model_directory(exp / "model") == before
    path.write_text(yaml.safe_dump({**spec, "labels": spec["labels"][::-1]}))
    assert provenance.fingerprint_model_directory(exp / "model") != before


def report_of(exp):
    return ["report", exp / "model", exp / "new.html"]


def test_a_report_of_files_that_do_not_belong_together(exp, run):
    steps, folder = chain("bank", str(exp), "1"), exp / "model/test/frame"
    assert run(*report_of(exp)).exit_code == 0
    point = exp / "model/operating_point.yaml"
    point.write_text(point.read_text().replace("gate_by_tags: false", "gate_by_tags: true"))
    assert run(*steps[8]).exit_code == 0  # decoded again, but not evaluated
    refused(
        run,
        report_of(exp),
        folder,
        "the fingerprint of the operating_point in",
        provenance.fingerprint_file(point),
        "score again",
    )
    assert run(*steps[9]).exit_code == 0 and run(*report_of(exp)).exit_code == 0
    before = ScoreFile(exp / "model/test/scores.h5").attributes["fingerprint"]
    assert run(*steps[6], "--fast").exit_code == 0  # predicted again, but not decoded
    after = ScoreFile(exp / "model/test/scores.h5").attributes["fingerprint"]
    refused(run, report_of(exp), folder, before, after, "decode and score again")


@pytest.mark.parametrize(
    "section, key, what",
    [("made_from", "data", "reference tags and events"), ("clips", "fingerprint", "clips")],
)
def test_a_report_over_systems_that_were_scored_on_different_sets(exp, run, section, key, what):
    shutil.copytree(exp / "model", exp / "other")
    command = ["report", exp / "model", exp / "other", exp / "new.html"]
    assert run(*command).exit_code == 0
    path = exp / "other/test/frame/report.json"
    scored = json.loads(path.read_text())
    before, scored[section][key] = scored[section][key], "0123"
    path.write_text(json.dumps(scored))
    refused(
        run,
        command,
        exp / "other/test/frame",
        exp / "model/test/frame",
        f"the {what} of the set 'test' differ from those of",
        f"(fingerprints 0123 and {before})",
    )


def test_two_sets_differ_although_the_first_is_unknown(exp, run):
    references = {"model": None, "other": "0123", "third": "4567"}
    for name in ("other", "third"):
        shutil.copytree(exp / "model", exp / name)
    for name, reference in references.items():
        path = exp / name / "test/frame/report.json"
        scored = json.loads(path.read_text())
        scored["made_from"]["data"] = reference
        path.write_text(json.dumps(scored))
    command = ["report", *(exp / name for name in references), exp / "new.html"]
    refused(run, command, exp / "third/test/frame", exp / "other/test/frame", "4567 and 0123")


def test_a_spectrogram_is_of_the_features_that_were_scored(exp, run):
    assert run(*report_of(exp)).exit_code == 0
    with h5py.File(exp / "model/test/scores.h5", "a") as file:
        file.attrs["features"] = str(exp / "feats/test.h5")
    with_features = run(*report_of(exp)).exit_code, (exp / "new.html").stat().st_size
    with h5py.File(exp / "feats/test.h5", "a") as file:
        file.attrs["audio_fingerprint"] = "other"
    without = run(*report_of(exp)).exit_code, (exp / "new.html").stat().st_size
    assert with_features[0] == without[0] == 0 and with_features[1] > without[1] + 10000
