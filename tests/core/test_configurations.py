"""Configurations that are installed with the package, found by name."""

import shutil
import subprocess
import sys
import zipfile

import pytest
import yaml
from helpers import RECIPES, contents
from test_train_python import options_of

import wsedtk
from wsedtk.core import configurations, model_cache
from wsedtk.core.errors import InputError

ROOT = RECIPES.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The files of a wheel of the package, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "wsedtk", folder / "wsedtk", ignore=shutil.ignore_patterns("*.pyc"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--quiet", "."]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as file:
        file.extractall(folder / "site")
    return folder / "site"


def test_a_wheel_has_the_configurations(wheel):
    found = sorted(path.relative_to(wheel) for path in wheel.glob("wsedtk/configurations/*/*"))
    assert [f"{path.parent.name}/{path.stem}" for path in found] == configurations.names()
    assert {"mini/crnn_linear", "dcase2017/crnn_linear"} <= set(configurations.names())
    assert (wheel / "wsedtk" / "py.typed").exists()


def test_a_wheel_has_the_included_model(wheel):
    folder = model_cache.included("example")
    packed = wheel / folder.relative_to(ROOT)
    assert contents(packed) == contents(folder) and (packed / "model.safetensors").exists()


def test_an_installed_package_finds_them_from_any_folder(wheel, tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(wheel)!r}); from wsedtk.core import configurations; "
        "print(configurations.find('mini/crnn_linear'))"
    )
    command = [sys.executable, "-I", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    path = wheel / "wsedtk" / "configurations" / "mini" / "crnn_linear.yaml"
    assert done.stdout == f"{path}\n"
    assert path.read_bytes() == (RECIPES / "mini/conf/crnn_linear.yaml").read_bytes()


@pytest.mark.parametrize("recipe", ["mini", "dcase2017", "audioset", "example"])
def test_the_recipes_use_the_same_files(recipe):
    for path in (RECIPES / recipe / "conf").iterdir():
        assert path.resolve().is_relative_to(configurations.FOLDER), path
    for path in (configurations.FOLDER / recipe).iterdir():
        assert path.resolve() in {p.resolve() for p in (RECIPES / recipe / "conf").iterdir()}


@pytest.mark.parametrize(
    "name, place",
    [
        ("mini/crnn_linear", "mini/crnn_linear"),
        ("dcase2017/crnn_linear", "dcase2017/crnn_linear"),
        ("ours", "dcase2017/ours"),
        ("talnet_small", "audioset/talnet_small"),
        ("frontend_wang", "mini/frontend_wang"),
        ("frontend_wang_padded", "dcase2017/frontend_wang_padded"),
    ],
)
def test_a_name(name, place):
    assert configurations.find(name) == configurations.FOLDER / f"{place}.yaml"


def test_the_front_ends_of_wang():
    unpadded = yaml.safe_load(configurations.find("frontend_wang").read_text())
    padded = yaml.safe_load(configurations.find("frontend_wang_padded").read_text())
    assert unpadded["pad_to_seconds"] is None
    assert padded == {**unpadded, "pad_to_seconds": 10}


@pytest.mark.parametrize(
    "name, message",
    [
        (
            "crnn_linear",
            "crnn_linear: several configurations have this name; "
            "give one of dcase2017/crnn_linear, mini/crnn_linear$",
        ),
        ("our", "our: no such file, and no such configuration; did you mean 'dcase2017/ours'.$"),
        (
            "crnn_linaer",
            "did you mean 'dcase2017/crnn_linear' or 'mini/crnn_linear'.$",
        ),
        (
            "mini/crnn_linear.yaml",
            "no such file; did you mean the installed configuration 'mini/crnn_linear'.$",
        ),
        ("ours.yaml", "did you mean the installed configuration 'dcase2017/ours'.$"),
        ("crnn_linear.yaml", "configuration 'dcase2017/crnn_linear' or 'mini/crnn_linear'.$"),
        ("mini/crnn_linaer", "did you mean 'mini/crnn_linear'.$"),
        ("audioset/ours", "did you mean 'dcase2017/ours'.$"),
        ("zzzz", "known: audioset/talnet_attention, .*, mini/frontend_wang, .*, yamnet/linear$"),
    ],
)
def test_no_name(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        configurations.find(name)


def test_a_name_never_hides_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ours").mkdir()  # a folder, such as a model directory, is no configuration
    assert configurations.find("ours") == configurations.FOLDER / "dcase2017" / "ours.yaml"
    (tmp_path / "ours").rmdir()
    (tmp_path / "ours").write_text("batch_size: 3\n")
    assert str(configurations.find("ours")) == "ours"


@pytest.mark.parametrize("path", ["none.yaml", "a/b/c", "/none"])
def test_a_path_that_is_no_name(path):
    assert str(configurations.find(path)) == path


def test_a_system_and_a_front_end_by_name(run, small_set, corpus, tmp_path):
    record = tmp_path / "record.yaml"
    file = tmp_path / "f.h5"
    command = ["extract", small_set, file, "--config"]
    assert run("--record", record, *command, "frontend_wang").exit_code == 0
    path = str(configurations.FOLDER / "mini" / "frontend_wang.yaml")
    assert path in yaml.safe_load(record.read_text())["inputs"]
    result = run(*command, "frontend_wangs")
    assert result.exit_code == 1
    assert "frontend_wangs: no such file, and no such configuration; did you" in result.stderr
    assert "of another kind? known: sample_rate" in run(*command, "mini/crnn_linear").stderr
    assert (
        f"{configurations.FOLDER}/mini/crnn_linear.yaml" in run("info", "mini/crnn_linear").stdout
    )
    settings = {"batch_size": 6, "checkpoint_every": 1, "max_checkpoints": 1}
    options = options_of(corpus, tmp_path / "m", config="mini/crnn_attention", settings=settings)
    wsedtk.train(options)
    resolved = yaml.safe_load((tmp_path / "m" / "config.yaml").read_text())
    assert (resolved["pooling"], resolved["batch_size"]) == ("attention", 6)
