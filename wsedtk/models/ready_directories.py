"""Find the model directories of ready models, and convert published files to model directories."""

import dataclasses
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch

from wsedtk.core import config, model_cache, provenance
from wsedtk.core.atomic import explained
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.data.tables import normal
from wsedtk.models import checkpoint, published_weights
from wsedtk.models.checkpoint import ModelSpec
from wsedtk.models.included_models import INCLUDED_MODELS
from wsedtk.models.normalizers import read_normalizer
from wsedtk.models.ready_models import READY_MODELS, ReadyModel

CLIP_SECONDS = 10  # the length of the clips of AudioSet, with which the networks were trained

# Keys of `ModelSpec.trained`. For a ready model, READY_MODEL is its name. For a model that was
# trained from the weights of a ready model, directly or through other models, FIRST_MODEL is the
# name of this ready model.
READY_MODEL, FIRST_MODEL = "ready_model", "first_model"

_FILES = {  # the files of a ready model
    "model.safetensors",
    "model.yaml",
    "operating_point.yaml",
    "README.md",
    "ontology.json",
}


def names() -> tuple[str, ...]:
    """Return the names of all ready models, sorted."""
    return tuple(sorted((*INCLUDED_MODELS, *READY_MODELS.names())))


def get(name: str) -> ReadyModel:
    """Return a ready model that can be fetched. Raises InputError if the name is unknown."""
    if name not in READY_MODELS.names():
        raise InputError(f"unknown ready model {name!r}; {config.suggest(name, names())}")
    return READY_MODELS.get(name)


def find_ready(name: PathLike) -> Path | None:
    """Return the model directory of a ready model. None if there is no ready model of this name.

    Raises
    ------
    InputError
        If there is such a ready model, but it is not fetched.
    """
    name = os.fspath(name)
    if name not in names():
        return None
    found = model_cache.find(name)
    if found is None:
        raise InputError(
            f"{name}: this ready model is not on this computer; to get it, run: "
            f"wsedtk models fetch {name}"
        )
    return found


def find_model_directory(path_or_name: PathLike) -> Path:
    """Return a model directory.

    Parameters
    ----------
    path_or_name : path-like
        The path of a model directory, or the name of a ready model. If a folder and a ready model
        have this name, the folder is used.

    Returns
    -------
    Path
        The path of the model directory. A path with several parts is returned unchanged.

    Raises
    ------
    InputError
        If the ready model is not fetched, if neither a folder nor a ready model has this name, or
        if the folder with the name of a ready model is not a model directory.
    """
    path = Path(path_or_name)
    if len(path.parts) != 1 or os.path.isfile(path / "model.yaml"):
        return path
    if os.path.isdir(path):
        if str(path) in names():
            raise InputError(
                f"{path}: this folder has no model.yaml, and the ready model of the same name is "
                f"not used as long as the folder exists; rename the folder, or give the path "
                f"{model_cache.find(path) or model_cache.model_directory(str(path))}"
            )
        return path
    if found := find_ready(path):
        return found
    near = config.nearest(path, names())
    advice = "the command 'wsedtk models' lists the ready models"
    if near is not None:
        advice = f"did you mean the ready model {near!r}?"
    raise InputError(f"{path}: there is no such folder, and no such ready model; {advice}")


def check_folder(name: str) -> None:
    """Raise InputError if the folder of a ready model contains another model or other files."""
    folder = model_cache.model_directory(name)
    if not folder.is_dir():
        return
    try:
        found = checkpoint.read_spec(folder).trained.get(READY_MODEL)
        foreign = None if found == name else "another model"
    except InputError:  # model.yaml is damaged, or `models remove` was interrupted
        with explained(folder):
            others = sorted({path.name for path in folder.iterdir()} - _FILES)
        foreign = others[0] if others else None
    if foreign:
        raise InputError(
            f"{folder}: contains {foreign}, which is no part of the ready model {name}; rename "
            f"this folder, or set {model_cache.VARIABLE} to another folder"
        )


def describe(ready: ReadyModel, labels: tuple[str, ...] | None = None) -> ModelSpec:
    """Return the content of model.yaml, without the origin of the weights.

    Parameters
    ----------
    ready : ReadyModel
        The ready model.
    labels : tuple of str, optional
        The classes. By default, "0", "1" and so on.

    Raises
    ------
    ValueError
        If a class occurs twice.
    """
    num_mels = ready.frontend.num_mels
    return ModelSpec(
        ready.network,
        dict(ready.network_options),
        ready.pooling,
        labels or tuple(map(str, range(ready.num_classes))),
        ready.frontend.settings(),
        (ready.mean,) * num_mels,
        (ready.std,) * num_mels,
    )


def convert(ready: ReadyModel, files: Mapping[str, Path], folder: Path) -> ModelSpec:
    """Convert published files to a model directory.

    The ontology, if there is one, is copied to `ontology.json` in the model directory.

    Parameters
    ----------
    ready : ReadyModel
        The ready model.
    files : mapping of str to Path
        The published file of each role.
    folder : Path
        The model directory to write.

    Returns
    -------
    ModelSpec
        The content of model.yaml.

    Raises
    ------
    InputError
        If a file is damaged, or is not a file of this model.
    """
    source = files["weights"]
    spec = describe(ready, _read_labels(ready, files.get("labels", source)))
    if "normalizer" in files:
        mean, std = read_normalizer(files["normalizer"], ready.frontend.num_mels)
        spec = dataclasses.replace(spec, mean=tuple(mean.tolist()), std=tuple(std.tolist()))
    tensors = dict(ready.read_weights(source))
    published_weights.check_numbers(source, tensors)
    with torch.random.fork_rng(devices=[]):  # building a network draws random weights
        network = spec.build()
    expected = network.state_dict()
    published_weights.add_batch_counters(tensors, expected)
    checkpoint.check_tensors(tensors, expected, f"{source}: is not a file of {ready.name}")
    network.load_state_dict(tensors)
    trained = {
        READY_MODEL: ready.name,
        "imported_from": source.name,
        "fingerprint": provenance.fingerprint_file(source),
        "clip_seconds": CLIP_SECONDS,
        **provenance.made_by(),
        **spec.size(network),
    }
    spec = dataclasses.replace(spec, trained=trained)
    checkpoint.save_model(folder, spec, network.state_dict())
    if "ontology" in files:
        with explained(folder / "ontology.json"):
            shutil.copyfile(files["ontology"], folder / "ontology.json")
    return spec


def _read_labels(ready: ReadyModel, path: Path) -> tuple[str, ...]:
    """Return the classes in a published file.

    Raises InputError if the file is damaged, if the number of classes is wrong, or if a class
    occurs twice.
    """
    labels = tuple(ready.read_labels(path))
    if len(labels) != ready.num_classes:
        raise InputError(
            f"{path}: the number of classes is {len(labels)}; expected {ready.num_classes}"
        )
    if len(set(map(normal, labels))) < len(labels):
        raise InputError(f"{path}: contains a class twice; expected {len(labels)} different ones")
    return labels
