"""The names of ready models are accepted wherever a model directory is."""

import urllib.request

import numpy as np
import pytest
import yaml
from helpers import write_sound
from published import contents, ready_model, register

import wsedtk
from wsedtk.core import model_cache, provenance
from wsedtk.core.errors import InputError
from wsedtk.models import checkpoint
from wsedtk.stages import models
from wsedtk.stages.options.models import FetchOptions


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty working directory. The ready model `tiny` is registered. Nothing is downloaded."""

    def refuse(*arguments, **settings):
        raise AssertionError("something is downloaded")

    register(ready_model("https://example.org"), monkeypatch)
    monkeypatch.setenv(model_cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(urllib.request.OpenerDirector, "open", refuse)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def fetched(tmp_path):
    """The model directory of `tiny`."""
    (tmp_path / "mine").mkdir()
    for name, content in contents().items():
        (tmp_path / "mine" / name).write_bytes(content)
    return models.fetch(FetchOptions("tiny", from_files=[tmp_path / "mine"])).model_dir


def test_the_verbs_take_the_name(run, fetched, corpus, elsewhere):
    write_sound(elsewhere / "a.wav", seconds=2)
    same = {}
    for model in ("tiny", fetched):
        feats, scores = elsewhere / "f.h5", elsewhere / "s.h5"
        (elsewhere / "frontend.yaml").write_text("num_mels: 32\n")
        for words in (
            ["extract", corpus / "valid", feats, "--config", "frontend.yaml"],
            ["--record", "record.yaml", "predict", model, feats, scores],
            ["detect", model, "a.wav", "--threshold", "0.3"],
            ["export", model, "a.onnx"],
            ["info", model],
        ):
            result = run(*words)
            assert result.exit_code == 0, result.stderr
            same.setdefault(words[-4] if words[0] == "--record" else words[0], []).append(
                result.stdout
            )
        record = yaml.safe_load((elsewhere / "record.yaml").read_text())
        assert str(fetched / "model.safetensors") in record["inputs"]
    for name, (one, other) in same.items():
        assert one == other and one, name


def test_load_model_takes_the_name(fetched, elsewhere):
    samples = np.random.default_rng(0).normal(0, 0.1, 32000)
    one, other = (wsedtk.load_model(model, device="cpu") for model in ("tiny", fetched))
    assert np.array_equal(one.predict(samples, 16000).frame, other.predict(samples, 16000).frame)
    assert repr(one) == repr(other) and str(fetched) in repr(one)


def test_training_takes_the_name(run, fetched, corpus, elsewhere):
    for name in ("fit", "valid"):
        assert run("extract", corpus / name, f"{name}.h5", "--frontend", "tiny").exit_code == 0
    result = run(
        *("train", corpus / "fit", corpus / "valid", "new", "--init", "tiny"),
        *("--feats", "fit.h5", "--feats", "valid.h5", "--set", "batch_size=6"),
        *("--set", "network_options={head: bigru, num_hidden: 8}", "--set", "freeze=all"),
        *("--set", "checkpoint_every=1", "--set", "max_checkpoints=1"),
    )
    assert result.exit_code == 0, result.stderr
    trained = checkpoint.read_spec("new").trained
    assert trained["init"] == provenance.fingerprint_model_directory(fetched)


def test_the_initial_model_is_not_overwritten(run, fetched, corpus, elsewhere):
    assert run("extract", corpus / "fit", "fit.h5", "--frontend", "tiny").exit_code == 0
    before = (fetched / "model.yaml").read_bytes()
    result = run(
        *("train", corpus / "fit", corpus / "fit", fetched, "--init", "tiny", "--overwrite"),
        *("--feats", "fit.h5", "--set", "batch_size=6"),
        *("--set", "checkpoint_every=1", "--set", "max_checkpoints=1"),
    )
    assert result.exit_code == 1 and "tiny: is the initial model, and would be" in result.stderr
    assert (fetched / "model.yaml").read_bytes() == before


COMMANDS = {
    "predict": ["predict", "NAME", "f.h5", "s.h5"],
    "detect": ["detect", "NAME", "a.wav", "--threshold", "0.5"],
    "export": ["export", "NAME", "a.onnx"],
    "info": ["info", "NAME"],
}


def refused(run, command, name):
    """Run a command with the name of a model, and return the message of its error."""
    result = run(*[name if word == "NAME" else word for word in COMMANDS[command]])
    assert result.exit_code == 1 and result.stdout == ""
    return result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_model_that_is_not_fetched(run, elsewhere, command):
    assert refused(run, command, "tiny") == (
        "tiny: this ready model is not on this computer; to get it, run: wsedtk models fetch tiny"
    )


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "info"])
def test_a_name_that_nothing_has(run, elsewhere, command):
    assert refused(run, command, "tinny") == (
        "tinny: there is no such folder, and no such ready model; did you mean the ready model 'tiny'?"
    )
    assert refused(run, command, "xyz") == (
        "xyz: there is no such folder, and no such ready model; the command 'wsedtk models' lists the ready models"
    )
    (elsewhere / "xyzz").mkdir()
    assert refused(run, command, "xyz").endswith("the ready models; did you mean 'xyzz'?")


def test_a_path_that_does_not_exist():
    with pytest.raises(InputError, match=r"^exp/tiny: has no model\.yaml"):
        wsedtk.load_model("exp/tiny")
    with pytest.raises(InputError, match="^tiny: this ready model is not on this computer"):
        wsedtk.load_model("tiny")


def test_info_of_a_name_that_nothing_has(run):
    assert refused(run, "info", "tinny") == "tinny: no such file or folder"


def test_a_folder_wins_over_a_ready_model(run, fetched, elsewhere):
    checkpoint_dir = elsewhere / "tiny"
    model = wsedtk.load_model("tiny", device="cpu")
    model.save(checkpoint_dir)
    assert repr(wsedtk.load_model("tiny")).startswith("Model('tiny': ")
    assert run("info", "tiny").stdout.startswith("tiny\n")
    (checkpoint_dir / "model.yaml").unlink()
    with pytest.raises(InputError, match="^tiny: this folder has no model.yaml, and the ready mod"):
        wsedtk.load_model("tiny")
    with pytest.raises(InputError, match=f"give the path {fetched}$"):
        wsedtk.load_model("tiny")


def test_a_file_does_not_hide_a_ready_model(fetched, elsewhere):
    (elsewhere / "tiny").touch()
    assert str(fetched) in repr(wsedtk.load_model("tiny"))
