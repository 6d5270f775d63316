"""A NaN in an input: the message names the clip, the file and line, or the tensor.

No result depends on it.
"""

import shutil

import h5py
import numpy as np
import pytest
import safetensors.torch
import torch
from trials import Job, check_refusal, check_whole, complete, content, some

NAN = float("nan")


@pytest.fixture
def planted(site, tmp_path):
    """Copy a file and change a dataset: planted(path, name, place, value) -> path of the copy."""

    def planted(path, name, place, value=NAN):
        copy = shutil.copy(path, tmp_path / path.name)
        with h5py.File(copy, "r+") as file:
            file[name][place] = value
        return copy

    return planted


def refused(folder, arguments, *words):
    """Check that a command in a new folder fails and leaves no complete output."""
    folder.mkdir()
    check_refusal(Job(folder, arguments), *words)
    left = [
        name for name in content(folder) if name.endswith((".h5", "model.yaml", ".safetensors"))
    ]
    assert not left, left  # earlier files of a training may be there


FEATURES = [
    (stage, *place, value)
    for value in (NAN, float("inf"))
    for stage in ("train", "predict")
    for place in (
        ("features", (70, 3, 5)),
        ("features", (7, 3, 5)),
        ("mean", (7, 5)),
        ("duration", 70),
        ("squared_deviations", (7, 5)),
    )
]
TABLES = [
    (stage, *change)
    for stage in ("train", "extract1", "balance", "tune", "score")
    for change in (
        ("clips.tsv", 9, "1.0", "nan"),
        ("clips.tsv", 9, "1.0", "inf"),
        ("tags.tsv", 9, "low", "nan"),
        ("events.tsv", 9, "\t0\t", "\tnan\t"),
        ("events.tsv", 9, "0.57", "NaN"),
    )
]


@pytest.mark.parametrize("stage, name, place, value", some(FEATURES, 1, 2, 15))
def test_in_features(site, tmp_path, planted, stage, name, place, value):
    """Row 7 is a clip of the fit set, row 70 one of the valid set."""
    feats = planted(site.made("extract1") / "all.h5", name, place, value)
    row = place if isinstance(place, int) else place[0]
    refused(tmp_path / "out", site.arguments(stage, feats=feats), feats, f"{row:04d}.wav")


@pytest.mark.parametrize("stage, table, line, old, new", some(TABLES, 10, 17))
def test_in_a_table(site, tmp_path, stage, table, line, old, new):
    inputs = site.copy_inputs(tmp_path / "inputs")
    name = "fit" if stage == "train" else "all"
    path = inputs / name / table
    lines = path.read_text().split("\n")
    assert old in lines[line - 1], lines[line - 1]
    path.write_text(
        "\n".join([*lines[: line - 1], lines[line - 1].replace(old, new), *lines[line:]])
    )
    folder = site.prepare(stage, tmp_path / "out")
    before = content(folder)
    check_refusal(Job(folder, site.arguments(stage, inputs)), f"{path}:{line}: ", new.strip())
    check_whole(folder, before)


def test_in_a_weight(site, tmp_path):
    model = shutil.copytree(site.made("train") / "model", tmp_path / "model")
    tensors = safetensors.torch.load_file(model / "model.safetensors")
    name = next(name for name in tensors if name.endswith("weight"))
    tensors[name].view(-1)[0] = NAN
    safetensors.torch.save_file(tensors, model / "model.safetensors")
    yaml = (model / "model.yaml").read_text().splitlines()  # as if it had been trained with it
    (model / "model.yaml").write_text(
        "\n".join(line for line in yaml if not line.startswith("weights_fingerprint")) + "\n"
    )
    refused(
        tmp_path / "scored", site.arguments("predict", model=model), model, repr(name), "not finite"
    )
    refused(
        tmp_path / "trained",
        [*site.arguments("train"), "--init", model],
        model,
        repr(name),
        "not finite",
    )


def test_in_the_statistics_of_a_model(site, tmp_path):
    model = shutil.copytree(site.made("train") / "model", tmp_path / "model")
    lines = (model / "model.yaml").read_text().split("\n")
    place = (
        lines.index("mean:") + 1
        if "mean:" in lines
        else next(i for i, line in enumerate(lines) if line.startswith("mean:"))
    )
    lines[place] = (
        "- .nan" if lines[place].startswith("- ") else lines[place].replace("[", "[.nan, ", 1)
    )
    (model / "model.yaml").write_text("\n".join(lines))
    refused(
        tmp_path / "scored", site.arguments("predict", model=model), model / "model.yaml", "mean"
    )


@pytest.mark.parametrize(
    "where", some(["network", "optimizer", "best_tensors", "schedule", "history"], 1)
)
def test_in_a_checkpoint(site, tmp_path, where):
    """`train` reports it, resumes from the checkpoint before, and gives the undisturbed result."""
    reference, arguments = site.reference("train"), site.arguments("train")
    job = Job(tmp_path, arguments)
    while not list(tmp_path.rglob("step*.pt")) or len(list(tmp_path.rglob("*.pt"))) < 2:
        assert job.is_running
    job.process.kill()
    job.end()
    found = sorted(
        tmp_path.rglob("*.pt"),
        key=lambda p: (int(p.stem.removeprefix("step").removeprefix("resume")), p.stem[0] == "s"),
    )
    state = torch.load(found[-1], weights_only=True)
    if where == "optimizer":
        moments = next(iter(state["optimizer"]["state"].values()))
        moments["exp_avg"].view(-1)[0] = NAN
    elif where == "schedule":
        state["schedule"]["best"] = NAN
    elif where == "history":
        state["history"][0][2] = NAN
    else:
        next(v for v in state[where].values() if v.is_floating_point()).view(-1)[0] = NAN
    torch.save(state, found[-1])
    job = complete(tmp_path, arguments, reference.content)
    assert (
        found[-1].name in job.stderr
        and "not finite" in job.stderr
        and "this checkpoint is skipped" in job.stderr
    )


@pytest.mark.parametrize(
    "name, stage",
    some(
        [
            ("clip", "tune"),
            ("frame", "tune"),
            ("clip", "decode"),
            ("segment", "decode"),
            ("clip", "score"),
            ("frame", "score"),
            ("duration", "tune"),
            ("duration", "decode"),
        ],
        3,
    ),
)
def test_in_scores(site, tmp_path, planted, name, stage):
    copy = planted(
        site.made("predict") / "scores.h5",
        name,
        (70, 0, 0)[: {"clip": 2, "duration": 1}.get(name, 3)],
    )
    arguments = [
        copy if str(argument).endswith("scores.h5") else argument
        for argument in site.arguments(stage)
    ]
    if stage == "decode" and name == "frame":
        arguments += ["--mode", "frame"]
    if stage == "decode" and name == "segment":
        arguments += ["--mode", "segment"]
    folder = site.prepare(stage, tmp_path / "out")
    before = content(folder)
    check_refusal(Job(folder, arguments), copy, "0070.wav")
    check_whole(folder, before)


@pytest.mark.parametrize(
    "key",
    some(
        ["clip_thresholds", "frame_thresholds", "median_seconds", "min_seconds", "max_gap_seconds"],
        0,
    ),
)
def test_in_an_operating_point(site, tmp_path, key):
    lines = (site.made("tune") / "point.yaml").read_text().split("\n")
    place = lines.index(f"{key}:") + 1
    lines[place] = lines[place].split(": ")[0] + ": .nan"
    (tmp_path / "point.yaml").write_text("\n".join(lines))
    arguments = [
        tmp_path / "point.yaml" if str(a).endswith("point.yaml") else a
        for a in site.arguments("decode")
    ]
    refused(tmp_path / "out", arguments, tmp_path / "point.yaml", key)


def test_in_sound(site, tmp_path):
    """The clip is listed as failed, and the other clips are unchanged."""
    import soundfile

    inputs, out = site.copy_inputs(tmp_path / "inputs"), tmp_path / "out"
    out.mkdir()
    sound = inputs / "audio" / "07.wav"
    samples, rate = soundfile.read(sound)
    samples[100] = np.nan
    soundfile.write(sound, samples, rate, subtype="FLOAT")
    arguments = site.arguments("extract1", inputs)
    check_refusal(Job(out, arguments), "07.wav", "not finite", "10 of 400 clips failed")
    job = Job(out, [*arguments, "--max-failures", "0.05"])
    assert job.end() == 0, job.stderr
    with h5py.File(out / "all.h5") as file, h5py.File(site.made("extract1") / "all.h5") as whole:
        good = np.arange(400) % 40 != 7
        np.testing.assert_array_equal(file["features"][:], whole["features"][:][good])
        assert len(file["failed"]) == 10
