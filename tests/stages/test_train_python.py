"""`wsedtk.train` equals the command line, and does not change the process of its caller."""

import dataclasses
import logging
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
import yaml
from helpers import SMALL, train_arguments
from test_model import STATE
from test_resume import equal_but_for_time

import wsedtk
from wsedtk.core import signals
from wsedtk.core.errors import NotFinished
from wsedtk.stages import train as stage
from wsedtk.training import training_loop

SETTINGS = {
    "network_options": {"channels": [4, 6, 8], "num_hidden": 8},
    "batch_size": 6,
    "learning_rate": 3e-3,
    "checkpoint_every": 5,
    "max_checkpoints": 3,
}


def options_of(corpus, model, **changes):
    """The options that are equal to `helpers.train_arguments`."""
    feats = [corpus / "fit.h5", corpus / "valid.h5"]
    options = wsedtk.TrainOptions(corpus / "fit", corpus / "valid", model, feats, settings=SETTINGS)
    return dataclasses.replace(options, **changes)


def test_the_weights_are_those_of_the_command_line(corpus, trained, tmp_path, capfd, caplog):
    caplog.set_level(logging.INFO)
    result = wsedtk.train(options_of(corpus, tmp_path / "m"))
    assert equal_but_for_time(tmp_path / "m", trained)
    for name in ("config.yaml", "model.yaml"):
        one, other = (yaml.safe_load((f / name).read_text()) for f in (tmp_path / "m", trained))
        for folder, content in ((tmp_path / "m", one), (trained, other)):
            if paths := content.pop("inputs", None):  # relative to the model directory
                assert (folder / paths["valid_set"]).samefile(corpus / "valid")
                assert [(folder / path).resolve() for path in paths["feats"]] == [
                    corpus / "fit.h5",
                    corpus / "valid.h5",
                ]
        assert one == other
    assert capfd.readouterr() == ("", "")
    logged = [record.getMessage() for record in caplog.records]
    logged = [line for line in logged if "train loss" in line]  # not the progress of a slow machine
    log = (tmp_path / "m" / "train.log").read_text().splitlines()
    assert logged == [line.split(" ", 2)[2] for line in log] and len(logged) == 3
    assert logged[0].startswith("checkpoint 1 of 3: train loss ")
    assert result.model_dir == tmp_path / "m" and not result.was_done


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_gradient_mode_of_the_caller_does_not_matter(corpus, trained, tmp_path, mode):
    with mode():
        wsedtk.train(options_of(corpus, tmp_path / "m"))
        assert not torch.is_grad_enabled()
    assert equal_but_for_time(tmp_path / "m", trained)


@pytest.mark.parametrize("select_by", ["loss", "f1", "map"])
def test_the_result_equals_the_files(corpus, tmp_path, select_by):
    settings = {**SETTINGS, "select_by": select_by}
    result = wsedtk.train(options_of(corpus, tmp_path, settings=settings))
    header, *rows = [
        line.split("\t") for line in (tmp_path / "history.tsv").read_text().split("\n")
    ]
    rows = [row for row in rows if row != [""]]
    assert [field.name for field in dataclasses.fields(result.best)] == header
    for one, row in zip(result.history, rows, strict=True):
        assert [f"{value:.6g}" for value in dataclasses.astuple(one)] == row
    assert [one.step for one in result.history] == [5, 10, 15]
    trained = yaml.safe_load((tmp_path / "model.yaml").read_text())["trained"]
    assert (result.best.step, result.best_figure) == (trained["step"], trained[select_by])
    figures = [getattr(one, f"valid_{select_by}") for one in result.history]
    assert result.best_figure == (min if select_by == "loss" else max)(figures)
    assert result.best is result.history[figures.index(result.best_figure)]
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.was_done = True


def test_a_finished_training_gives_the_same_result_again(corpus, trained, tmp_path):
    first = wsedtk.train(options_of(corpus, tmp_path))
    with_tuple = {**SETTINGS, "network_options": {"channels": (4, 6, 8), "num_hidden": 8}}
    for settings in (SMALL[1::2], with_tuple):
        again = wsedtk.train(options_of(corpus, tmp_path, settings=settings))
        assert again == dataclasses.replace(first, was_done=True)
    with pytest.raises(wsedtk.InputError, match="seed: 0 before, 1 now"):
        wsedtk.train(options_of(corpus, tmp_path, settings={**SETTINGS, "seed": 1}))


def test_settings_replace_those_of_a_file(corpus, trained, tmp_path):
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({**SETTINGS, "max_checkpoints": 1}))
    settings = {"max_checkpoints": 3}
    options = options_of(corpus, tmp_path / "m", config=tmp_path / "a.yaml", settings=settings)
    wsedtk.train(options)
    assert equal_but_for_time(tmp_path / "m", trained)


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"settings": {"poling": "max"}},
            "defaults with settings poling: unknown key 'poling'; did",
        ),
        ({"settings": {"batch_size": "6"}}, "batch_size: expected a whole number, found '6'"),
        ({"settings": {"batch_size": np.int64(6)}}, "settings: found np.int64.6.; expected plain"),
        ({"settings": {6: 6}}, "settings: .* line 1: 6 can't be a key"),
        ({"settings": ["batch_size"]}, "batch_size: expected key=value"),
        ({"device": "nothing"}, "device nothing: can't be used here"),
        ({"feats": "no.h5"}, "no.h5: no such file"),
        ({"feats": []}, "feats: found none"),
    ],
)
def test_options_at_fault(corpus, tmp_path, changes, message):
    with pytest.raises(wsedtk.InputError, match=message):
        wsedtk.train(options_of(corpus, tmp_path / "m", **changes))
    assert not (tmp_path / "m").exists()


def test_an_interrupted_training_is_resumed(corpus, trained, tmp_path, monkeypatch):
    original = training_loop.Trainer.run_batch

    def interrupted(self, *batch):
        if self.step == 7:
            signal.raise_signal(signal.SIGINT)
        return original(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(training_loop.Trainer, "run_batch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            wsedtk.train(options_of(corpus, tmp_path))
    result = wsedtk.train(options_of(corpus, tmp_path))
    assert len(result.history) == 3 and not result.was_done
    assert equal_but_for_time(tmp_path, trained)


def test_a_program_can_stop_a_training(corpus, trained, tmp_path, monkeypatch):
    """The state of the last batch is saved, as the command line does on signals."""
    original = training_loop.Trainer.run_batch

    def stopping(self, *batch):
        if self.step == 7:
            signal.raise_signal(signal.SIGTERM)
        return original(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(training_loop.Trainer, "run_batch", stopping)
        with pytest.raises(NotFinished, match="stopped by SIGTERM at batch 8"):
            stage.run(options_of(corpus, tmp_path), stop_signals=signals.noted)
    wsedtk.train(options_of(corpus, tmp_path))
    assert equal_but_for_time(tmp_path, trained)


def test_in_another_thread_beside_a_second_training(corpus, trained, tmp_path, monkeypatch):
    """It works there. A second training in the process is refused, and possible afterwards."""
    original, refused, results = training_loop.Trainer.run_batch, [], []

    def trying(self, *batch):
        if self.step == 7:
            with pytest.raises(
                wsedtk.InputError, match="another training run is active in this process"
            ):
                wsedtk.train(options_of(corpus, tmp_path / "second"))
            refused.append(True)
        return original(self, *batch)

    def work():
        results.append(wsedtk.train(options_of(corpus, tmp_path / "m")))

    monkeypatch.setattr(training_loop.Trainer, "run_batch", trying)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert refused == [True] and results[0].history[-1].step == 15
    assert equal_but_for_time(tmp_path / "m", trained)
    assert wsedtk.train(options_of(corpus, tmp_path / "m")).was_done


def test_nothing_else_changes(corpus, trained, tmp_path):
    """No setting is changed after a training, even a failed one; nor are signals during it."""
    code = (
        STATE
        + """
import pathlib, wsedtk
from wsedtk.training import training_loop
corpus, handlers, states = pathlib.Path(sys.argv[1]), [], []
def options(model):
    feats = [corpus / "fit.h5", corpus / "valid.h5"]
    sets = corpus / "fit", corpus / "valid"
    return wsedtk.TrainOptions(*sets, model, feats, settings=sys.argv[2:])
original = training_loop.Trainer.run_batch
def acting(self, *batch):
    handlers.append([signal.getsignal(number) for number in signal.valid_signals()])
    if failing:
        raise RuntimeError("failed")
    return original(self, *batch)
training_loop.Trainer.run_batch = acting
before = state()
usual = [signal.getsignal(number) for number in signal.valid_signals()]
failing = False
wsedtk.train(options("m"))
states.append(state())
wsedtk.train(options("m"))
states.append(state())
failing = True
try:
    wsedtk.train(options("other"))
except RuntimeError as error:
    assert str(error) == "failed"
    states.append(state())
assert len(states) == 3
for after in states:
    for old, new in zip(before, after, strict=True):
        assert old == new, (old, new)
assert handlers == [usual] * 16
"""
    )
    names = set(os.environ) - {"CUBLAS_WORKSPACE_CONFIG", "TORCHINDUCTOR_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", code, corpus, *SMALL[1::2]],
        cwd=tmp_path,
        env={name: os.environ[name] for name in names},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert equal_but_for_time(tmp_path / "m", trained)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_settings_and_random_state_of_a_gpu_are_unchanged(corpus, tmp_path):
    torch.backends.cudnn.allow_tf32 = True
    settings = {**SETTINGS, "precision": "float32"}
    torch.cuda.manual_seed(7)
    before = torch.cuda.get_rng_state()
    for name in ("a", "b"):
        wsedtk.train(options_of(corpus, tmp_path / name, settings=settings, device="cuda"))
    assert equal_but_for_time(tmp_path / "a", tmp_path / "b")
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert torch.backends.cudnn.allow_tf32 and not torch.are_deterministic_algorithms_enabled()


def test_random_state_of_the_caller_is_neither_used_nor_changed(corpus, trained, tmp_path, run):
    """The command line in the same process does not change them either."""
    torch.manual_seed(7)
    before = torch.get_rng_state()
    wsedtk.train(options_of(corpus, tmp_path / "a"))
    assert run(*train_arguments(corpus, tmp_path / "b")).exit_code == 0
    assert torch.equal(torch.get_rng_state(), before)
    for name in ("a", "b"):
        assert equal_but_for_time(tmp_path / name, trained)
