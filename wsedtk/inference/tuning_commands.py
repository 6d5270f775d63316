"""Say which commands choose the thresholds of a model on the validation set of its training."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from wsedtk.core.config import read_yaml
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.data.set_tables import COLUMNS, GROUP
from wsedtk.data.store import FeatureStore, find_shards
from wsedtk.data.table_files import TableFile

INPUTS = "inputs"  # the key of config.yaml with the paths of the inputs of a training run


def inputs(
    model_dir: PathLike,
    fit_sets: Sequence[PathLike],
    valid_set: PathLike,
    feats: Sequence[PathLike],
) -> dict[str, object]:
    """Return the paths of the inputs of a training run for config.yaml.

    The paths are relative to the model directory, so that all folders can be moved together.
    """

    def relative(path: PathLike) -> str:
        return os.path.relpath(path, model_dir)

    return {
        "fit_sets": [relative(path) for path in fit_sets],
        "valid_set": relative(valid_set),
        "feats": [relative(path) for path in feats],
    }


def fit_sets_of_model(model_dir: PathLike) -> list[Path]:
    """Return the data directories that a model was trained on, and that still exist.

    The list is empty if these data directories are not known.
    """
    try:
        folders = _paths(model_dir, "fit_sets")
    except (InputError, KeyError, TypeError, ValueError):
        return []
    return [folder for folder in folders if (folder / "clips.tsv").exists()]


def _paths(model_dir: PathLike, *names: str) -> list[Path]:
    """Return inputs of the training run of a model, relative to the working directory.

    Raises InputError, KeyError, TypeError or ValueError if config.yaml does not contain them.
    """
    model = Path(model_dir)
    found = read_yaml(model / "config.yaml")[INPUTS]
    values = [found[name] for name in names]
    paths = [path for value in values for path in ([value] if isinstance(value, str) else value)]
    return [Path(os.path.relpath(model / path)) for path in paths]


def commands(model_dir: PathLike, valid_set: PathLike, feats: Sequence[PathLike]) -> list[str]:
    """Return the commands that choose the thresholds of a model.

    Parameters
    ----------
    model_dir : path-like
        The model directory.
    valid_set : path-like
        The validation set.
    feats : sequence of path-like
        The feature files of the training run.
    """
    model, valid = Path(model_dir), Path(valid_set)
    scores = model / "valid" / "scores.h5"
    features = _features_of(valid, [Path(path) for path in feats])
    words = (
        ("predict", model, features, scores, "--data", valid),
        ("tune", scores, valid, model / "operating_point.yaml"),
    )
    return [shlex.join(["wsedtk", *map(str, command)]) for command in words]


def commands_of_model(model_dir: PathLike) -> list[str]:
    """Return the commands that choose the thresholds of a trained model.

    The list is empty if the inputs of its training run are not known or not there any more.
    """
    try:
        valid_set, *feats = _paths(model_dir, "valid_set", "feats")
        for path in feats:
            find_shards(path)  # raises InputError if the file is missing
        if not (valid_set / "clips.tsv").exists():
            return []
        return commands(model_dir, valid_set, feats)
    except (InputError, KeyError, TypeError, ValueError):
        return []


def _features_of(data_set: Path, paths: Sequence[Path]) -> Path:
    """Return the first feature file that contains the first clip of a set.

    If no file contains this clip, return the first file.
    """
    if len(paths) > 1:
        blocks = TableFile(data_set / "clips.tsv").rows(COLUMNS["clips.tsv"], GROUP)
        clips = next((names[:1] for _, (names, *_) in blocks), [])
        for path in paths:
            if (FeatureStore([path]).rows(clips) >= 0).any():
                return path
    return paths[0]
