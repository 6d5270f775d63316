"""Inputs that vanish or change during a stage, or between a kill and the next run.

Old and new inputs are never mixed, and the message names the cause.
"""

import os
import shutil
import time

import numpy as np
import pytest
from trials import (
    FULL,
    Job,
    check_refusal,
    check_whole,
    complete,
    content,
    listing,
    repeat,
    some,
    strike_at,
    undisturbed,
)

from wsedtk.data import store


def put(source, path, by):
    """Replace a file by another, by rename or by overwriting its bytes."""
    if by == "by rename":
        shutil.copy(source, path.with_name("new"))
        os.replace(path.with_name("new"), path)
    else:
        with open(path, "r+b") as file:
            file.write(source.read_bytes())
            file.truncate()


@pytest.fixture(scope="session")
def other(site):
    """The same sets with other tags and sounds, and the features and the model of these."""
    folder = site.folder / "other"
    inputs = site.copy_inputs(folder / "inputs")
    for name in ("all", "fit", "valid"):
        table = inputs / name / "tags.tsv"
        header, *lines = table.read_text().splitlines()
        rows = [line.split("\t") for line in lines]
        labels = [label for _, label in rows]
        flipped = [
            labels[i + 1] if i % 6 == 0 else labels[i - 1] if i % 6 == 1 else labels[i]
            for i in range(len(rows))
        ]
        table.write_text(
            "\n".join([header, *(f"{name}\t{label}" for (name, _), label in zip(rows, flipped))])
            + "\n"
        )
        (inputs / name / "events.tsv").unlink()
    sounds = sorted((inputs / "audio").iterdir())
    originals = sorted((site.inputs / "audio").iterdir())
    for sound, original in zip(sounds, originals[2:] + originals[:2]):
        shutil.copy(original, sound)
    return folder


@pytest.mark.parametrize("number", repeat(10, 1))
def test_audio_folder_vanishes(site, tmp_path, number):
    """`extract` fails if more than 1 % of the clips fail; when the folder is back, it succeeds."""
    inputs, out = site.copy_inputs(tmp_path / "inputs"), tmp_path / "out"
    stage = f"extract{1 + number % 2}"
    out.mkdir()
    arguments, reference = site.arguments(stage, inputs), site.reference(stage)
    generator = np.random.default_rng([number, 2])
    job = Job(out, arguments)
    strike_at(job, reference, (number, 0.7 * generator.random()), out)
    (inputs / "audio").rename(inputs / "gone")
    if job.end() != 0:
        check_refusal(job, "/audio/", "no such file", "clips failed", "--max-failures")
        assert not (out / "all.h5").exists()
        (inputs / "gone").rename(inputs / "audio")
        complete(out, arguments, reference.content)
    else:
        failed = store.FeatureStore([out / "all.h5"]).failed
        assert len(failed) <= 4 and all("no such file" in reason for reason in failed.values())


@pytest.mark.parametrize("number", repeat(10, 1))
@pytest.mark.parametrize("what", some(["features file", "features folder", "data set"], 1))
def test_inputs_of_train_vanish(site, tmp_path, what, number):
    """Open or already read files are kept; otherwise the message names the missing file.

    Repeating the command gives the undisturbed result.
    """
    inputs, out = site.copy_inputs(tmp_path / "inputs"), tmp_path / "out"
    feats = tmp_path / "feats" / "all.h5"
    feats.parent.mkdir()
    shutil.copy(site.made("extract1") / "all.h5", feats)
    out.mkdir()
    vanishing = {
        "features file": feats,
        "features folder": feats.parent,
        "data set": inputs / "fit",
    }[what]
    arguments, reference = site.arguments("train", inputs, feats), site.reference("train")
    job = Job(out, arguments)
    strike_at(job, reference, (4 * number, np.random.default_rng([number, 3]).random()), out)
    vanishing.rename(tmp_path / "gone")
    if job.end() != 0:
        check_refusal(job, vanishing, "no such")
    check_whole(out, reference.content)
    (tmp_path / "gone").rename(vanishing)
    complete(out, arguments, reference.content)


@pytest.mark.parametrize("by", some(["by rename", "in place"], 1))
@pytest.mark.parametrize("number", repeat(5, 1))
def test_audio_changes_under_extract(site, other, tmp_path, number, by):
    """The features of each clip are those of the old or the new sound, or the clip failed."""
    inputs, out = site.copy_inputs(tmp_path / "inputs"), tmp_path / "out"
    out.mkdir()
    stage = f"extract{1 + number % 2}"
    arguments, reference = site.arguments(stage, inputs), site.reference(stage)
    new = _other_features(site, other)
    job = Job(out, arguments)
    strike_at(job, reference, (number, np.random.default_rng([number, 4]).random()), out)
    for path in sorted((inputs / "audio").iterdir()):
        put(other / "inputs" / "audio" / path.name, path, by)
    assert job.end() == 0, job.stderr
    found, before, after = (
        store.FeatureStore([path]) for path in (out / "all.h5", reference.folder / "all.h5", new)
    )
    for row in range(len(found)):
        values = found.read(np.array([row]))
        assert any(
            np.array_equal(values, whole.read(np.array([row]))) for whole in (before, after)
        ), found.filenames[row]


def _other_features(site, other):
    if not (other / "extract" / "all.h5").exists():
        (other / "extract").mkdir()
        undisturbed(other / "extract", site.arguments("extract1", other / "inputs"))
    return other / "extract" / "all.h5"


@pytest.mark.parametrize(
    "what, by",
    some([(what, by) for what in ("tags", "features") for by in ("by rename", "in place")], 3),
)
@pytest.mark.parametrize("number", range(1, 6) if FULL else [1])
def test_inputs_of_train_change(site, other, tmp_path, number, what, by):
    """The result is that of the old or the new input, or `train` fails and names the file."""
    inputs, out = site.copy_inputs(tmp_path / "inputs"), tmp_path / "out"
    feats = tmp_path / "all.h5"
    shutil.copy(site.made("extract1") / "all.h5", feats)
    out.mkdir()
    path, new = {
        "tags": (inputs / "fit" / "tags.tsv", other / "inputs" / "fit" / "tags.tsv"),
        "features": (feats, _other_features(site, other)),
    }[what]
    made = other / f"train on other {what}"
    new_inputs = inputs
    if not made.exists():
        made.mkdir()
        new_inputs = site.copy_inputs(made.with_name(f"inputs of {what}"))
        if what == "tags":
            shutil.copy(new, new_inputs / "fit" / "tags.tsv")
        undisturbed(made, site.arguments("train", new_inputs, new if what == "features" else None))
    arguments, reference = site.arguments("train", inputs, feats), site.reference("train")
    job = Job(out, arguments)
    strike_at(
        job, reference, (4 - 3 * number % 5, np.random.default_rng([number, 5]).random()), out
    )
    put(new, path, by)
    if job.end() != 0:
        check_refusal(job, path)
        check_whole(out, reference.content, content(made))
        return
    wholes = [
        {k: v for k, v in of.items() if not k.endswith(".yaml")}
        for of in (reference.content, content(made))
    ]
    found = {k: v for k, v in content(out).items() if not k.endswith(".yaml")}
    assert found in wholes, "a mix of the old and the new input"


@pytest.mark.parametrize("by", some(["by rename", "in place"], 0))
@pytest.mark.parametrize("number", repeat(5, 1))
def test_model_changes_under_predict(site, tmp_path, number, by):
    """The scores and the fingerprint of the model beside them belong to one model.

    The model is replaced by rename all the time.
    """
    old, model, other_model = site.made("train") / "model", tmp_path / "model", tmp_path / "other"
    for folder in (model, other_model):
        shutil.copytree(old, folder)
    import safetensors.torch

    tensors = safetensors.torch.load_file(old / "model.safetensors")
    safetensors.torch.save_file(
        {k: v + 0.01 if v.is_floating_point() else v for k, v in tensors.items()},
        other_model / "model.safetensors",
    )
    yaml = (other_model / "model.yaml").read_text().splitlines()
    for folder in (model, other_model):
        (folder / "model.yaml").write_text(
            "\n".join(line for line in yaml if not line.startswith("weights_fingerprint")) + "\n"
        )
    wholes = []
    for name, folder in (("old", model), ("new", other_model)):
        (tmp_path / name).mkdir()
        wholes.append(undisturbed(tmp_path / name, site.arguments("predict", model=folder)).content)
    out = tmp_path / "out"
    out.mkdir()
    sources = [
        shutil.copy(folder / "model.safetensors", tmp_path / f"{i}.safetensors")
        for i, folder in enumerate((model, other_model))
    ]
    job, turn = Job(out, site.arguments("predict", model=model)), 0
    if by == "in place":
        time.sleep(np.random.default_rng([number, 6]).random() * site.reference("predict").total)
        put(sources[1], model / "model.safetensors", by)
    while by == "by rename" and job.is_running:
        turn += 1
        put(sources[turn % 2], model / "model.safetensors", by)
        time.sleep(0.0005)
    if job.end() == 0:
        assert content(out) in wholes, "a mix of two models"
    else:
        check_refusal(job, f"{model}")
        assert not content(out)
    assert wholes[0] != wholes[1]


def _killed(site, stage, out, arguments, number, seed):
    job = Job(out, arguments)
    strike_at(
        job,
        site.reference(stage),
        (0, 0.2 + 0.6 * np.random.default_rng([number, seed]).random()),
        out,
    )
    job.process.kill()
    job.end()


CHANGES = [
    "a sound by rename",
    "a sound in place",
    "the audio folder",
    "a linked audio folder",
    "clips",
    "front end",
    "options",
]


@pytest.mark.parametrize("number", repeat(3, 1))
@pytest.mark.parametrize("what", some(CHANGES, 3, 4))
def test_a_change_between_kill_and_extract(site, other, tmp_path, what, number):
    """The next run gives the result of an undisturbed run on the present inputs."""
    inputs, out = site.copy_inputs(tmp_path / "inputs"), tmp_path / "out"
    out.mkdir()
    stage = f"extract{1 + number % 2}"
    if what == "a linked audio folder":
        (inputs / "audio").rename(inputs / "sounds")
        (inputs / "audio").symlink_to("sounds")
    shutil.copytree(other / "inputs" / "audio", inputs / "others")
    time.sleep(0.1)
    arguments = site.arguments(stage, inputs)
    _killed(site, stage, out, arguments, number, 7)
    if what.startswith("a sound"):
        for name in ("03.wav", "31.wav"):
            put(inputs / "others" / name, inputs / "audio" / name, what.removeprefix("a sound "))
    elif what == "the audio folder":
        (inputs / "audio").rename(inputs / "away")
        (inputs / "others").rename(inputs / "audio")
    elif what == "a linked audio folder":
        (inputs / "audio").unlink()
        (inputs / "audio").symlink_to("others")
    elif what == "clips":
        header, *rows = (inputs / "all" / "clips.tsv").read_text().splitlines()
        kept = [row for i, row in enumerate(rows) if i not in (5, 100, 101, 350)] + [
            "zzz.wav\t../audio/00.wav\t1"
        ]
        (inputs / "all" / "clips.tsv").write_text("\n".join([header, *kept]) + "\n")
        for name in ("tags.tsv", "events.tsv"):
            header, *rows = (inputs / "all" / name).read_text().splitlines()
            gone = tuple(f"{i:04d}.wav" for i in (5, 100, 101, 350))
            (inputs / "all" / name).write_text(
                "\n".join([header, *(row for row in rows if not row.startswith(gone))]) + "\n"
            )
    elif what == "front end":
        (tmp_path / "frontend.yaml").write_text("num_mels: 40\n")
        arguments = [*arguments, "--config", tmp_path / "frontend.yaml"]
    elif what == "options":
        arguments = [*arguments, "--dtype", "float16"]
    never = tmp_path / "never killed"
    never.mkdir()
    complete(out, arguments, undisturbed(never, arguments).content)


@pytest.mark.parametrize(
    "what, word",
    some(
        [
            ("tags of the fit set", "another training set"),
            ("tags of the valid set", "another validation set"),
            ("features", "other values of the features"),
            ("features of the valid set", "other values of the features"),
            ("front end", "another front end"),
            ("seed", "seed"),
        ],
        3,
    ),
)
def test_a_change_between_kill_and_train(site, other, tmp_path, what, word):
    """`train` refuses other inputs, names the difference, and changes nothing.

    With the old input it resumes and gives the same result.
    """
    inputs, out = site.copy_inputs(tmp_path / "inputs"), tmp_path / "out"
    out.mkdir()
    feats, kept, changed_path = tmp_path / "all.h5", tmp_path / "kept", None
    shutil.copy(site.made("extract1") / "all.h5", feats)
    arguments = changed_arguments = site.arguments("train", inputs, feats)
    reference = site.reference("train")
    job = Job(out, arguments)
    while not list(out.rglob("*.pt")):  # until there is a checkpoint
        assert job.is_running
        time.sleep(0.002)
    job.process.kill()
    job.end()
    if what.startswith("tags"):
        changed_path = inputs / what.split()[-2] / "tags.tsv"
        source = other / "inputs" / changed_path.parent.name / "tags.tsv"
    elif what.startswith("features"):
        changed_path, source = feats, _other_features(site, other)
        if "valid" in what:  # those of the fit set are unchanged
            source = _mixed(site.made("extract1") / "all.h5", source, tmp_path / "mixed.h5")
    elif what == "front end":
        changed_path, source = feats, tmp_path / "small" / "all.h5"
        source.parent.mkdir()
        (tmp_path / "frontend.yaml").write_text("num_mels: 40\n")
        undisturbed(
            source.parent,
            [*site.arguments("extract1", inputs), "--config", tmp_path / "frontend.yaml"],
        )
    else:
        changed_arguments = [*arguments, "--set", "seed=1"]
    if changed_path:
        shutil.copy(changed_path, kept)
        shutil.copy(source, changed_path)
    before = _kept_of(out)
    check_refusal(
        Job(out, changed_arguments), "model: contains a training run with other settings", word
    )
    assert _kept_of(out) == before
    if changed_path:
        shutil.copy(kept, changed_path)
    complete(out, arguments, reference.content)


def _kept_of(folder):
    """Return the files of a training that a refusal must not change."""
    return {
        path: of for path, of in listing(folder).items() if path.endswith((".pt", ".yaml", ".tsv"))
    }


def _mixed(first, second, path):
    """Write features whose first 60 clips (the fit set) are from one file, others from another."""
    import h5py

    shutil.copy(first, path)
    with h5py.File(path, "r+") as file, h5py.File(second, "r") as other:
        for name in ("features", "mean", "squared_deviations"):
            file[name][60:] = other[name][60:]
    return path
