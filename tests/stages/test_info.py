"""info: its output for each kind of artefact, complete, incomplete or damaged; and other files."""

import dataclasses
import importlib.util
import json
import os
import shutil
import sys
import time
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from helpers import LABELS, SMALL, write_score_file, write_set, write_sound
from test_checkpoint import small_spec

from wsedtk import __version__
from wsedtk.cli import main as cli
from wsedtk.cli import printing_info
from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.data import feature_parts
from wsedtk.inspection import artefacts
from wsedtk.models import checkpoint
from wsedtk.report.page import Page

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))
from mutations import count, in_time, mutate  # noqa: E402

needs_onnx = pytest.mark.skipif(
    importlib.util.find_spec("onnx") is None, reason="the extra [export] is not installed"
)


def command(exp, name, *arguments):
    """Run a command as a recipe does, with its record in exp/log."""
    (exp / "log").mkdir(exist_ok=True)
    words = [str(word) for word in ("--record", exp / "log" / f"{name}.yaml", *arguments)]
    with mock.patch.object(
        sys, "argv", ["wsedtk", *words]
    ):  # the record takes the arguments from here
        assert (
            CliRunner().invoke(cli.cli, words, prog_name="wsedtk", catch_exceptions=False).exit_code
            == 0
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An experiment directory: two sets, features (one in shards), model, scores, decoded folder.

    Tests must not write to it.
    """
    exp = tmp_path_factory.mktemp("info") / "exp"
    for name, numbers in (("fit", range(12)), ("valid", range(12, 18))):
        names = [f"{i:02d}.wav" for i in numbers]
        for i, wav in zip(numbers, names):
            write_sound(exp / "data" / "audio" / wav, frequency=300 + 2700 * (i % 2), seed=i)
        tags = [(wav, LABELS[i % 2]) for i, wav in zip(numbers, names)]
        write_set(
            exp / "data" / name,
            [(wav, f"../audio/{wav}", 1) for wav in names],
            LABELS,
            tags,
            [(wav, 0, 1, label) for wav, label in tags],
        )
    fit, valid, feats, linear = (
        exp / "data" / "fit",
        exp / "data" / "valid",
        exp / "feats",
        exp / "linear",
    )
    for k in (1, 2):
        command(exp, f"extract_fit.{k}", "extract", fit, feats / "fit.h5", "--shard", f"{k}/2")
    command(exp, "extract_valid", "extract", valid, feats / "valid.h5")
    command(
        exp,
        "train",
        "train",
        fit,
        valid,
        linear,
        "--feats",
        feats / "fit.h5",
        "--feats",
        feats / "valid.h5",
        *SMALL,
    )
    command(exp, "predict", "predict", linear, feats / "valid.h5", linear / "valid" / "scores.h5")
    command(
        exp, "tune", "tune", linear / "valid" / "scores.h5", valid, linear / "operating_point.yaml"
    )
    command(
        exp,
        "decode",
        "decode",
        linear / "valid" / "scores.h5",
        linear / "operating_point.yaml",
        linear / "valid" / "frame",
        "--mode",
        "frame",
    )
    command(exp, "score", "score", valid, linear / "valid" / "frame", "--bootstrap", "100")
    return exp


@pytest.fixture
def exp(made, tmp_path):
    """A copy of the experiment directory, for damage."""
    return Path(shutil.copytree(made, tmp_path / "exp"))


def told(path):
    """Return the description of an artefact, checked in both formats: (About, text)."""
    about = artefacts.describe(path)
    json.dumps(printing_info.json_of(about), allow_nan=False)
    return about, printing_info.text_of(about)


def inputs(about):
    """Return {input: (fingerprint, state)} of an artefact, except files."""
    return {
        one["what"]: (one["fingerprint"], one["state"])
        for one in about.inputs
        if one["what"] != "files"
    }


KINDS = [
    ("data/fit", "data directory"),
    ("data/fit/tags.tsv", "data directory"),
    ("feats/fit.h5", "feature file in shards"),
    ("feats/fit.1-of-2.h5", "feature file"),
    ("feats/valid.h5", "feature file"),
    ("linear", "model directory"),
    ("linear/model.yaml", "model directory"),
    ("linear/README.md", "model directory"),
    ("linear/valid/scores.h5", "score file"),
    ("linear/operating_point.yaml", "operating point"),
    ("linear/valid/frame", "decoded folder"),
    ("linear/valid/frame/events.tsv", "decoded folder"),
    ("linear/valid/frame/reference", "reference of a scored folder"),
    ("linear/valid/frame/report.json", "report"),
    ("log/train.yaml", "record of a command"),
    ("data/audio/00.wav", "sound file"),
    ("linear/checkpoints/step00000015.pt", "training checkpoint"),
    (".", "experiment directory"),
]


@pytest.mark.parametrize("path, kind", KINDS)
def test_each_kind_is_known_and_whole(made, path, kind):
    about, text = told(made / path)
    assert (about.kind, about.complete, about.faults) == (
        kind,
        None if kind == "sound file" else True,
        [],
    )
    assert f"kind: {kind}" in " ".join(text.split()) and "fault" not in text
    if kind not in (
        "sound file",
        "training checkpoint",
        "data directory",
        "reference of a scored folder",
        "experiment directory",
    ):
        assert about.made["wsedtk"] == provenance.made_by()["wsedtk"] and about.made["recorded"], (
            about.made
        )
    assert all(one["state"] in (None, "there") for one in about.inputs)


def test_output_of_each_kind(made):
    data = told(made / "data/fit")[0].content
    assert data["clips"] == 12 and data["hours"] == 0.003 and data["tags"] == data["events"] == 12
    assert (
        data["clips_per_class"] == dict.fromkeys(LABELS, 6)
        and "found 12 of 12 checked sound files" in data["audio"]
    )
    model, text = told(made / "linear")
    spec, network, fingerprint = checkpoint.load_model(made / "linear")
    assert (
        model.content["fingerprint"] == fingerprint
        and model.content["operating_point"] == "of this model"
    )
    assert (
        model.content["parameters"] == sum(p.numel() for p in network.parameters())
        and model.content["labels"] == LABELS
    )
    assert model.content["to_share"] == [
        "README.md names no licence; set `license: ...` between two --- lines at its start",
        "README.md lacks the current results of valid/frame; run wsedtk report to update it",
        'the section "Use" in README.md is not up to date; run wsedtk report to update it',
    ]
    assert (
        model.made["command"].startswith(f"wsedtk train {made / 'data/fit'} ")
        and "high, very; low" in text
    )
    scores = told(made / "linear/valid/scores.h5")[0]
    assert (
        inputs(scores)["model"] == (fingerprint, "there")
        and inputs(scores)["features"][1] == "there"
    )
    assert scores.content["clips"] == 6 and scores.content["scores_of"] == [
        "clip",
        "frame",
        "segment",
    ]
    report = json.loads((made / "linear/valid/frame/report.json").read_text())
    about = told(made / "linear/valid/frame/report.json")[0]
    assert about.content["tuned_on_these"] and about.content["segment F1"].startswith(
        f"{report['segment']['f1']:.3f} ["
    )
    shard = told(made / "feats/fit.2-of-2.h5")[0]
    assert shard.content["clips"] == 6 and "--shard 2/2" in shard.made["command"]
    parts = told(made)[0].content["parts"]
    assert list(parts) == [
        "data/fit",
        "data/valid",
        "feats/fit.h5",
        "feats/valid.h5",
        "linear",
        "linear/valid/scores.h5",
        "linear/valid/frame",
    ] and all("complete" in line for line in parts.values())


def test_json_is_the_same_as_python_has_it(made, run):
    paths = [made / path for path, _ in KINDS]
    result = run("info", "--json", *paths)
    assert result.exit_code == 0 and result.stderr == ""
    assert json.loads(result.stdout) == [
        dataclasses.asdict(artefacts.describe(path)) for path in paths
    ]


def test_changed_and_missing_inputs_are_reported(exp, run):
    record = yaml.safe_load((exp / "log/tune.yaml").read_text())
    record["inputs"] = {str(exp / "gone.h5"): "0" * 16, str(exp / "data/valid/tags.tsv"): "1" * 16}
    (exp / "log/tune.yaml").write_text(yaml.safe_dump(record))
    assert {one["state"] for one in told(exp / "log/tune.yaml")[0].inputs} == {"gone", "changed"}
    spec, network, _ = checkpoint.load_model(exp / "linear")
    network.head.fc_prob.bias.data += 1
    checkpoint.save_model(exp / "linear", spec, network.state_dict())
    for path, message in (
        ("linear", "tune again"),
        ("linear/operating_point.yaml", "was tuned on the scores of another model"),
        ("linear/valid/scores.h5", "predict again"),
        ("linear/valid/frame", "was made from an input with the fingerprint"),
        ("linear/valid/frame/report.json", "was made from an input with the fingerprint"),
    ):
        about = told(exp / path)[0]
        assert about.complete and any(message in fault for fault in about.faults), path
        assert path == "linear" or inputs(about)["model"][1] in ("changed", None)
    assert "README.md describes another model" in " ".join(
        told(exp / "linear")[0].content["to_share"]
    )
    result = run("info", exp)
    assert result.exit_code == 1 and "damaged or inconsistent" in result.stdout


def test_unfinished_artefacts_are_no_error(exp, run):
    (exp / "feats/fit.2-of-2.h5").unlink()
    for name in ("model.yaml", "model.safetensors", "README.md"):
        (exp / "linear" / name).unlink()
    (exp / "data/valid/clips.tsv").unlink()
    (exp / "linear/valid/frame/clips.tsv").unlink()
    (exp / "feats/.new.h5.parts").mkdir()
    assert told(exp / "feats/fit.h5")[0].content["missing"] == ["fit.2-of-2.h5"]
    training = told(exp / "linear")[0].content
    assert (
        training["state"] == "in training, or stopped"
        and training["last_checkpoint"] == "step00000015"
    )
    assert training["batches_in_all"] == "at most 15" and training["last_validation"]["step"] == 15
    result = run(
        "info",
        *(
            exp / path
            for path in (
                "feats/fit.h5",
                "linear",
                "data/valid",
                "linear/valid/frame",
                "feats/new.h5",
            )
        ),
    )
    assert (
        result.exit_code == 0
        and result.stdout.count("complete: ") + result.stdout.count("complete:  ") >= 5
    )
    assert result.stdout.split("\n\n")[-1].split()[:5] == [
        str(exp / "feats/.new.h5.parts"),
        "kind:",
        "unfinished",
        "features",
        "complete:",
    ]
    assert all(
        "no" in part.split("complete:")[1].split()[:1] for part in result.stdout.split("\n\n")
    )


def test_an_extraction_that_was_stopped(small_set, tmp_path, monkeypatch):
    def stopped(*_):
        raise RuntimeError("lost")

    monkeypatch.setattr(feature_parts.Parts, "join", stopped)
    with pytest.raises(RuntimeError, match="lost"):
        command(tmp_path, "extract", "extract", small_set, tmp_path / "f.h5")
    about = told(tmp_path / "f.h5")[0]
    assert (
        about.kind == "unfinished features"
        and about.content["clips_done"] == about.content["clips_in_all"] == 12
    )


@needs_onnx
def test_an_exported_model(made, tmp_path, run, monkeypatch):
    import onnx

    assert run("export", made / "linear", tmp_path / "m.onnx").exit_code == 0
    about, text = told(tmp_path / "m.onnx")
    assert (about.kind, about.complete, about.faults) == (
        "exported model",
        True,
        [],
    ) and about.content["labels"] == LABELS
    assert (
        about.content["sample_rate"] == 16000
        and about.content["outputs"] == ["clip", "frame"]
        and "operating point:   inside" in text
    )
    assert inputs(about)["model"] == (provenance.fingerprint_model_directory(made / "linear"), None)
    whole = (tmp_path / "m.onnx").read_bytes()
    for content in (b"", whole[:2000], b"PK not onnx"):
        (tmp_path / "cut.onnx").write_bytes(content)
        about = told(tmp_path / "cut.onnx")[0]
        assert (
            about.complete is False
            and "cut.onnx: is not an ONNX file, or is damaged" in about.faults[0]
        )
    model = onnx.load_model_from_string(whole)
    for value in ("{", "3", "[" * 100000):
        onnx.helper.set_model_props(
            model, {**{p.key: p.value for p in model.metadata_props}, "labels": value}
        )
        (tmp_path / "odd.onnx").write_bytes(model.SerializeToString())
        assert "the metadata are damaged" in told(tmp_path / "odd.onnx")[0].faults[0]
    del model.metadata_props[:]
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    model.graph.initializer[0].external_data.add(key="location", value="/etc/hostname")
    (tmp_path / "odd.onnx").write_bytes(model.SerializeToString())
    assert told(tmp_path / "odd.onnx")[0].kind == "ONNX file"  # the file that it names is not read
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = run("info", tmp_path / "m.onnx")
    assert (
        result.exit_code == 1
        and "m.onnx: the package onnx is not installed; run pip install 'wsedtk[export]'"
        in result.stderr
    )


def test_configurations_and_logs(tmp_path):
    (tmp_path / "system.yaml").write_text("network: dcase-crnn\npooling: max\nseed: 3\n")
    about = told(tmp_path / "system.yaml")[0]
    assert about.kind == "configuration of a system" and about.content["of_these_given"] == [
        "network",
        "pooling",
        "seed",
    ]
    assert about.content["settings"]["seed"] == 3 and "batch_size" in about.content["settings"]
    (tmp_path / "frontend.yaml").write_text("num_mels: 0\nhop: 400\n")
    about = told(tmp_path / "frontend.yaml")[0]
    assert about.kind == "configuration of a front end" and "num_mels" in about.faults[0]
    log = "# wsedtk train a b\n# host h, started 2026-01-02 03:04:05 +0000\nhello\n"
    (tmp_path / "job.log").write_text(log)
    assert told(tmp_path / "job.log")[0].complete is False
    (tmp_path / "job.log").write_text(
        log + "# ended 2026-01-02 03:04:15 +0000 after 10 s, exit status 3\n"
    )
    about = told(tmp_path / "job.log")[0]
    assert (
        about.complete
        and about.content["exit_status"] == 3
        and about.made["command"] == "wsedtk train a b"
    )


def test_score_tables_and_weights_of_others(made, tmp_path, run):
    assert run("average", made / "linear/valid/scores.h5", tmp_path / "tables").exit_code == 0
    about = told(tmp_path / "tables")[0]
    assert (
        about.kind == "folder of score tables"
        and about.content["clips"] == 6
        and about.content["labels"] == LABELS
    )
    for name in ("13.tsv", "part/14.tsv"):
        (tmp_path / "tables" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "tables" / name).write_text("onset\toffset\tother\n")
    faults = told(tmp_path / "tables")[0].faults
    assert [fault.split(": ")[0] for fault in faults] == [
        str(tmp_path / "tables/13.tsv"),
        str(tmp_path / "tables/part/14.tsv"),
    ]
    torch.save({"weight": torch.zeros(2)}, tmp_path / "w.pt")
    about = told(tmp_path / "w.pt")[0]
    assert about.kind == "PyTorch file" and about.content["tensors"] == 1


def test_paths_that_are_nothing_or_mistyped(made, tmp_path, run):
    (tmp_path / "note.txt").write_text("hello\n")
    (tmp_path / "empty.yaml").write_text("")
    os.mkfifo(tmp_path / "pipe.h5")
    for name in ("note.txt", "empty.yaml", "pipe.h5", "."):
        with (
            in_time(),
            pytest.raises(
                InputError,
                match="is not an artefact of a known kind; known kinds: data directory; ",
            ),
        ):
            artefacts.describe(tmp_path / name)
    for name in ("a\0b", "x" * 5000):
        with pytest.raises(InputError, match="can't be read|no such file"):
            artefacts.describe(tmp_path / name)
    result = run("info", made / "linea", tmp_path / "nothing at all", made / "data/fit")
    assert (
        result.exit_code == 1
        and "kind:" in result.stdout
        and f"{made / 'data/fit'}\n" in result.stdout
    )
    assert result.stderr.splitlines() == [
        f"{made / 'linea'}: no such file or folder; did you mean '{made / 'linear'}'?",
        f"{tmp_path / 'nothing at all'}: no such file or folder",
    ]


def test_names_and_labels_of_others_are_shown_as_text(tmp_path, run):
    labels = ['<b>&"', "a\x1b[31mred\x07"]
    path = tmp_path / "-a <b>\n\x1b[2J" / "scores.h5"
    write_score_file(path, ["x.wav"], labels, np.zeros((1, 2)))
    result = run("info", "--", path)
    assert (
        result.exit_code == 0
        and "\x1b" not in result.stdout
        and "\x07" not in result.stdout
        and '<b>&"' in result.stdout
    )
    assert json.loads(run("info", "--json", "--", path).stdout)[0]["content"]["labels"] == labels


def test_values_without_json_form(exp, tmp_path, run):
    text = (exp / "linear/model.yaml").read_text()
    assert text.count("\n  seed: 0\n") == 1
    odd = "\n  seed: .nan\n  a: [.inf, 1]\n"
    (exp / "linear/model.yaml").write_text(text.replace("\n  seed: 0\n", odd))
    result = run("info", "--json", exp / "linear")
    found = json.loads(result.stdout)[0]["content"]["trained"]
    assert (found["seed"], found["a"]) == ("nan", ["inf", 1])
    name = os.fsdecode(b"\xff.yaml")
    (tmp_path / name).write_text("seed: 3\n")
    result = run("info", "--json", tmp_path / name)
    assert result.exit_code == 0 and json.loads(result.stdout)[0]["path"] == str(tmp_path / name)
    assert run("info", tmp_path / name).exit_code == 0


def damaged(made, tmp_path, path, seed):
    """Copy the folder of a file, with the file damaged; return the path of the file."""
    source = made / path
    folder = tmp_path / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    if path.startswith("linear"):
        shutil.copytree(made / "linear", folder / "linear")
        target = folder / path
    else:
        shutil.copytree(source.parent, folder)
        target = folder / source.name
    target.write_bytes(mutate(source.read_bytes(), seed))
    return target


@pytest.mark.parametrize(
    "path",
    [
        "data/fit/clips.tsv",
        "data/fit/events.tsv",
        "feats/valid.h5",
        "feats/fit.1-of-2.h5",
        "linear/model.yaml",
        "linear/model.safetensors",
        "linear/README.md",
        "linear/history.tsv",
        "linear/operating_point.yaml",
        "linear/valid/scores.h5",
        "linear/valid/frame/events.tsv",
        "linear/valid/frame/info.yaml",
        "linear/valid/frame/report.json",
        "linear/checkpoints/step00000015.pt",
        "log/train.yaml",
        "data/audio/00.wav",
    ],
)
def test_damaged_bytes_are_a_fault_and_no_traceback(made, tmp_path, path):
    for seed in range(
        5 if path.endswith(".h5") else count(100, 5)
    ):  # HDF5 itself can hang: test_hdf5.py runs it in processes
        target = damaged(made, tmp_path, path, seed)
        for place in (target, target.parent):
            try:
                with in_time(10):
                    told(place)
            except InputError as error:
                assert str(place) in str(error) and "it hangs" not in str(error)


@pytest.mark.parametrize(
    "path, message",
    [
        ("data/fit/tags.tsv", "tags.tsv"),
        ("feats/valid.h5", "damaged"),
        ("linear/model.yaml", "model.yaml"),
        ("linear/model.safetensors", "damaged"),
        ("linear/valid/scores.h5", "damaged"),
        ("linear/operating_point.yaml", "operating_point.yaml"),
        ("linear/valid/frame/report.json", "report.json"),
        ("linear/checkpoints/step00000015.pt", "damaged"),
    ],
)
def test_a_file_that_was_cut_off_is_damaged(exp, run, path, message):
    content = (exp / path).read_bytes()
    (exp / path).write_bytes(content[: len(content) // 2 - 3])
    result = run("info", exp / path)
    assert (
        result.exit_code == 1
        and f"damaged or inconsistent: {exp}" in result.stderr
        and "fault: " in result.stdout
    )
    assert message in result.stdout.split("fault: ")[1]
    assert "fault" not in told(exp / "data/valid")[1]


def test_damaged_weights_are_the_only_reported_fault(exp):
    content = bytearray((exp / "linear/model.safetensors").read_bytes())
    content[-3] ^= 1
    (exp / "linear/model.safetensors").write_bytes(content)
    about = told(exp / "linear")[0]
    assert (
        not about.complete
        and len(about.faults) == 1
        and "model.safetensors is damaged" in about.faults[0]
    )


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_nothing_in_an_artefact_is_run_or_followed(made, exp, tmp_path, monkeypatch):
    torch.save({"step": Evil(tmp_path / "ran")}, tmp_path / "evil.pt")
    assert (
        "it contains an object that is neither a tensor" in told(tmp_path / "evil.pt")[0].faults[0]
        or "UnpicklingError" in told(tmp_path / "evil.pt")[1]
    )
    (tmp_path / "someones_network.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    mapping = yaml.safe_load((exp / "linear/model.yaml").read_text())
    (exp / "linear/model.yaml").write_text(
        yaml.safe_dump({**mapping, "network": "someones_network:Net"})
    )
    about = told(exp / "linear")[0]
    assert (
        "WSEDTK_NETWORKS" in about.content["not_looked_at"]
        and "someones_network" not in sys.modules
    )
    (tmp_path / "object.yaml").write_text(
        f"seed: !!python/object/apply:os.system ['touch {tmp_path / 'ran'}']\n"
    )
    assert "object.yaml: not valid YAML" in told(tmp_path / "object.yaml")[0].faults[0]
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file.attrs["kind"] = "scores"
        for name in ("filename", "clip", "duration"):
            file[name] = h5py.ExternalLink(str(made / "linear/valid/scores.h5"), name)
    assert not told(tmp_path / "link.h5")[0].complete
    assert not (tmp_path / "ran").exists()


def test_decompression_bombs_are_refused(tmp_path):
    (tmp_path / "bomb.yaml").write_text(
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi")
        )
    )
    (tmp_path / "deep.yaml").write_text("seed: " + "[" * 100000)
    (tmp_path / "report.json").write_text("[" * 100000)
    checkpoint.save_model(tmp_path / "m", small_spec(), small_spec().build().state_dict())
    mapping = yaml.safe_load((tmp_path / "m/model.yaml").read_text())
    (tmp_path / "m/model.yaml").write_text(
        yaml.safe_dump({**mapping, "network_options": {"num_mels": 8, "num_hidden": 10**9}})
    )
    for name in ("bomb.yaml", "deep.yaml", "report.json", "m"):
        with in_time(10):
            about = told(tmp_path / name)[0]
        assert about.complete is False and len(about.faults) == 1 and len(about.faults[0]) < 2000, (
            name
        )


def test_pipes_do_not_block(exp):
    for name in (
        "linear/history.tsv",
        "linear/README.md",
        "linear/operating_point.yaml",
        "log/train.yaml",
    ):
        (exp / name).unlink()
        os.mkfifo(exp / name)
    with in_time():
        about = told(exp / "linear")[0]
    assert (
        about.content["last_validation"] is None
        and not about.made["recorded"]
        and about.faults == []
    )
    assert "README.md can't be read as text" in about.content["to_share"]


def test_big_files_are_described_quickly(tmp_path):
    rows, frames, classes = 2000, 240, 50
    names = [f"{i}.wav" for i in range(rows)]
    write_score_file(
        tmp_path / "big.h5",
        names,
        [f"c{k}" for k in range(classes)],
        np.zeros((rows, classes)),
        np.zeros((rows, frames, classes), np.float16),
        np.zeros((rows, 10, classes), np.float16),
        [frames] * rows,
    )
    with open(tmp_path / "job.log", "wb") as file:
        file.write(b"# wsedtk train\n# host h, started 2026-01-02 03:04:05 +0000\n")
        file.truncate(1 << 33)  # a sparse file
    begun = time.monotonic()
    assert (
        told(tmp_path / "big.h5")[0].content["clips"] == rows
        and told(tmp_path / "job.log")[0].complete is False
    )
    assert time.monotonic() - begun < 2


def test_a_report_page(run, tmp_path):
    path = tmp_path / "report <a>.html"
    path.write_text(Page(None, "png").text("A title"))
    result = run("info", path)
    assert (
        result.exit_code == 0
        and "report page" in result.stdout
        and f"wsedtk {__version__}, commit " in result.stdout
    )
    path.write_text(path.read_text()[:-10])
    result = run("info", path)
    assert result.exit_code == 1 and "the end of the page is missing" in result.stdout
    path.write_text("<html><title>another page</title></html>")
    assert "is not an artefact of a known kind" in run("info", path).stderr
