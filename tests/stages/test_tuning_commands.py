"""A trained model without thresholds: detect says how to choose them, with real paths."""

import os
import shlex
import shutil

import pytest
from helpers import train_arguments, write_sound


@pytest.fixture
def project(corpus, trained, tmp_path, monkeypatch):
    """A folder with a model whose training inputs have the same relative paths as before."""
    shutil.copytree(corpus, tmp_path / "my corpus")
    shutil.copytree(trained, tmp_path / "my corpus" / "exp" / "m")
    config = tmp_path / "my corpus" / "exp" / "m" / "config.yaml"
    text = config.read_text()
    for name in ("valid.h5", "fit.h5", "valid"):
        text = text.replace(f"{os.path.relpath(corpus, trained)}/{name}", f"../../{name}")
    config.write_text(text)
    write_sound(tmp_path / "a.wav", 1)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "my corpus"


def test_the_commands_can_be_pasted(project, run, tmp_path):
    result = run("detect", "my corpus/exp/m", "a.wav")
    assert result.exit_code == 1
    first, *commands, last = result.stderr.splitlines()
    assert "my corpus/exp/m/operating_point.yaml: no such file, so the model has no th" in first
    assert "on the validation set of its training:" in first
    assert last == "or give one threshold for all classes, such as --threshold 0.5"
    assert [shlex.split(line)[1] for line in commands] == ["predict", "tune"]
    for line in commands:
        assert "'my corpus/valid'" in line
        pasted = run(*shlex.split(line)[1:])
        assert pasted.exit_code == 0, pasted.stderr
    assert run("detect", "my corpus/exp/m", "a.wav").exit_code == 0
    # They are the commands that train ends with.
    arguments = train_arguments(project, project / "exp" / "m")
    ended = run(*arguments)
    assert ended.exit_code == 0
    lines = ended.stdout.replace(f"{tmp_path}/", "").replace("next: ", "").splitlines()
    assert [line.strip() for line in lines[-2:]] == [line.strip() for line in commands]


@pytest.mark.parametrize("gone", ["valid", "valid.h5", "exp/m/config.yaml"])
def test_without_the_inputs_of_the_training(project, run, gone):
    path = project / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    result = run("detect", "my corpus/exp/m", "a.wav")
    assert result.exit_code == 1 and "predict" not in result.stderr
    assert "no such file; create it with wsedtk tune, or give one threshold" in result.stderr
    # Another file that is missing has nothing to do with the training.
    result = run("detect", "my corpus/exp/m", "a.wav", "--operating-point", "other.yaml")
    assert "other.yaml: no such file; create it with wsedtk tune" in result.stderr
