"""Describe an artefact: its kind, command, time and inputs, and whether it is complete.

Where possible, only headers and attributes are read, so that large files take no longer than small
files. Code in an artefact is never run. User-defined code that a model names is run only if it is
trusted. If an artefact is damaged, no error is raised. Instead, its description lists the damage as
a fault.
"""

import dataclasses
import logging
import os
from collections.abc import Callable
from pathlib import Path

from wsedtk.core import configurations
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.data import folders
from wsedtk.data.clip_names import has_audio_extension
from wsedtk.data.set_tables import COLUMNS
from wsedtk.inspection import hdf5_files, models, sets, text_files
from wsedtk.inspection.description import About, when_made

_LOG = logging.getLogger(__name__)


_EXPERIMENT = "experiment directory"

# A file with one of these names can be part of a folder that is an artefact. In this case, the
# folder is described instead of the file, unless the folder is an experiment directory.
_OF_A_FOLDER = {
    *COLUMNS,
    "labels.txt",
    "info.yaml",
    "coverage.tsv",
    "failed.tsv",
    "report.txt",
    "model.yaml",
    "model.safetensors",
    "config.yaml",
    "history.tsv",
    "train.log",
    "README.md",
}
# The items of `About.content` that the description of an experiment directory shows for each part.
_SUMMARY = (
    "network",
    "pooling",
    "shards",
    "mode",
    "clips",
    "clips_done",
    "hours",
    "classes",
    "tags",
    "events",
    "parameters",
    "last_checkpoint",
)


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of artefact.

    Attributes
    ----------
    name : str
    matches : function
        Returns whether a path is an artefact of this kind. The function reads only names, and
        at most a few kilobytes of each file. The function of the kind "sound file" may also decode
        files that do not have the extension of a sound file.
    describe : function
        Returns the description of an artefact, or None if its content is of no known kind. The
        function can raise InputError if the artefact is damaged.
    """

    name: str
    matches: Callable[[Path], bool]
    describe: Callable[[Path], About | None]


def _features_in(folder: Path, closed: list[str]) -> list[Path]:
    """Return the feature files in a folder, and the folders of unfinished extractions, sorted.

    For shards, the path of the complete feature file is returned.
    """
    files = {
        hdf5_files.shard_of(folder / name).path
        for name in folders.look(folder)[1]
        if name.endswith(".h5") and not name.startswith(".")
    }
    unfinished = [
        path for path in folders.open_folders(folder, closed) if hdf5_files.is_parts(path)
    ]
    return sorted({*files, *unfinished})


def _results_in(system: Path, closed: list[str]) -> list[Path]:
    """Return the score files and decoded folders of a system, sorted by the names of the sets."""
    found: list[Path] = []
    for folder in folders.open_folders(system, closed):
        if (folder / "scores.h5").is_file():
            found.append(folder / "scores.h5")
        for path in folders.open_folders(folder, closed):
            if not path.name.startswith(".") and sets.is_decoded(path):
                found.append(path)
    return found


def _parts_of(path: Path, closed: list[str]) -> list[Path]:
    """Return the artefacts of an experiment directory, in the order in which stages write them.

    If a folder can't be entered, a message is appended to `closed`.
    """
    places: list[Path] = folders.open_folders(path, closed)
    data, features = path / "data", path / "feats"
    candidates = places
    if data in places:
        candidates = [*folders.open_folders(data, closed), *places]
    found = [place for place in candidates if sets.is_data_directory(place)]
    if features in places:
        found += _features_in(features, closed)
    for place in candidates:
        if models.is_model_directory(place):
            found += [place, *_results_in(place, closed)]
    return found


def _is_experiment(path: Path) -> bool:
    return path.is_dir() and bool(_parts_of(path, []))


def _state(part: About) -> str:
    if part.faults:
        return "damaged or inconsistent"
    return "complete" if part.complete else "unfinished"


def _experiment(path: Path) -> About:
    """Describe an experiment directory with one line for each of its parts."""
    about, lines = About(str(path), _EXPERIMENT, made=when_made(path)), {}
    closed: list[str] = []
    parts = _parts_of(path, closed)
    for reason in dict.fromkeys(closed):
        _LOG.warning(reason)
    for place in parts:
        part = describe(place)
        facts = [
            f"{key.replace('_', ' ')} {part.content[key]}"
            for key in _SUMMARY
            if part.content.get(key) is not None
        ]
        state = f"{part.kind}, {_state(part)}"
        lines[str(place.relative_to(path))] = "; ".join(filter(None, [state, ", ".join(facts)]))
        about.complete = bool(about.complete and part.complete)
        about.faults += part.faults
    about.content["parts"] = lines
    return about


def _is_sound(path: Path) -> bool:
    if not path.is_file():
        return False
    if has_audio_extension(path.name):
        return True
    try:
        sets.describe_sound(path)
    except InputError:
        return False
    return True


# The kind of an artefact is the first kind in this list that matches.
KINDS = (
    Kind("data directory", sets.is_data_directory, sets.describe_data_directory),
    Kind("unfinished features", hdf5_files.is_parts, hdf5_files.describe_parts),
    Kind("feature or score file", hdf5_files.is_hdf5, hdf5_files.describe_hdf5),
    Kind("model directory", models.is_model_directory, models.describe_model_directory),
    Kind("decoded folder", sets.is_decoded, sets.describe_decoded),
    Kind("folder of score tables", sets.is_score_tables, sets.describe_score_tables),
    Kind(_EXPERIMENT, _is_experiment, _experiment),
    Kind("training checkpoint", models.is_checkpoint, models.describe_checkpoint),
    Kind("ONNX file", models.is_onnx, models.describe_onnx),
    Kind("report.json", sets.is_report, sets.describe_report),
    Kind(
        "operating point, record or configuration (YAML)",
        text_files.is_yaml,
        text_files.describe_yaml,
    ),
    Kind("report page", text_files.is_page, text_files.describe_page),
    Kind("log of a job", text_files.is_log, text_files.describe_log),
    Kind("sound file", _is_sound, sets.describe_sound),
)


def describe(path: PathLike) -> About:
    """Describe an artefact.

    Parameters
    ----------
    path : path-like
        A file or folder. For some files that are part of a folder, such as tags.tsv in a data
        directory, the folder is described. The full name of an installed configuration, such as
        mini/crnn_linear, and the name of a ready model are also accepted.

    Returns
    -------
    About

    Raises
    ------
    InputError
        If the path does not exist, can't be read, or is not an artefact of a known kind.
    """
    path = Path(path)
    if str(path) in configurations.names() and not os.path.lexists(path):
        path = configurations.find(path)
    elif len(path.parts) == 1 and not os.path.lexists(path):
        path = _ready_model(path)
    if os.path.isdir(path):
        folders.look(path)  # raises InputError if the folder can't be entered
    try:
        about = _describe_by_kind(path)
    except (OSError, ValueError) as error:  # ValueError: an impossible file name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: can't be read: {reason}") from None
    if about is not None:
        return about
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    known = "; ".join(kind.name for kind in KINDS)
    raise InputError(f"{path}: is not an artefact of a known kind; known kinds: {known}")


def _ready_model(path: Path) -> Path:
    """Return the model directory of a ready model. Other paths are returned unchanged.

    Raises InputError if the ready model is not fetched.
    """
    # The module imports torch, which is slow and rarely needed here.
    from wsedtk.models.ready_directories import find_ready

    return find_ready(path) or path


def _describe_by_kind(path: Path) -> About | None:
    """Describe an artefact. Returns None if its kind is unknown."""
    if path.name in _OF_A_FOLDER and path.is_file():
        kind = _kind_of(path.parent)
        if kind is not None and kind.name != _EXPERIMENT:
            return describe(path.parent)
    kind = _kind_of(path)
    if kind is None:
        return None
    try:
        return kind.describe(path)
    except InputError as error:
        about = About(str(path), kind.name, complete=False, faults=[str(error)])
        if path.exists():
            about.made = when_made(path)
        return about


def _kind_of(path: Path) -> Kind | None:
    return next((kind for kind in KINDS if kind.matches(path)), None)
