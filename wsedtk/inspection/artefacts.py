"""Artefacts: what is this, made by what, when, from what, is it whole?

A kind is a name, a quick look whether a path is of it, and a function that describes it as an `About`, from heads and attributes as far
as these tell: a file of any size is described at once. Nothing in an artefact is run; what is damaged is a fault, not an error.
"""

import os
from pathlib import Path

from wsedtk.core.errors import InputError
from wsedtk.core.progress import say
from wsedtk.data import datadir, folders
from wsedtk.data.clip_names import has_audio_extension
from wsedtk.inspection import hdf5_files, models, sets, text_files
from wsedtk.inspection.description import About, when_made

_OF_A_FOLDER = {
    *datadir.COLUMNS,
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


def _parts_of(path):
    """The artefacts of an experiment directory in the order of the chain, none of another folder.

    Also returns messages about folders in it that can't be entered.
    """
    closed = []
    places = folders.open_folders(path, closed)
    if path / "data" in places:
        places = [*folders.open_folders(path / "data", closed), *places]
    found = [p for p in places if sets.is_data_directory(p)]
    features = path / "feats"
    if features in places:
        feature_files = {
            hdf5_files.shard_of(features / name)[0]
            for name in folders.look(features)[1]
            if name.endswith(".h5") and not name.startswith(".")
        }
        making = filter(hdf5_files.is_parts, folders.open_folders(features, closed))
        found += sorted({*feature_files, *making})
    for system in filter(models.is_model_directory, places):
        found.append(system)
        for place in folders.open_folders(system, closed):
            found += [p for p in [place / "scores.h5"] if p.is_file()]
            found += [
                p
                for p in folders.open_folders(place, closed)
                if not p.name.startswith(".") and sets.is_decoded(p)
            ]
    return found, list(dict.fromkeys(closed))


def _experiment(path):
    """Describe an experiment directory: a line for each of its parts."""
    about, lines = About(str(path), "experiment directory", made=when_made(path)), {}
    found, closed = _parts_of(path)
    for reason in closed:
        say(f"warning: {reason}")
    for place in found:
        part = describe(place)
        facts = [
            f"{key.replace('_', ' ')} {part.content[key]}"
            for key in _SUMMARY
            if part.content.get(key) is not None
        ]
        state = (
            "damaged, or does not fit"
            if part.faults
            else "whole"
            if part.complete
            else "in the making"
        )
        lines[str(place.relative_to(path))] = f"{part.kind}, {state}; {', '.join(facts)}"
        about.complete &= part.complete
        about.faults += part.faults
    about.content["parts"] = lines
    return about


def _is_sound(path):
    if not path.is_file():
        return False
    if has_audio_extension(path.name):
        return True
    try:
        sets.sound(path)
    except InputError:
        return False
    return True


KINDS = (
    (
        "data directory",
        lambda path: path.is_dir() and sets.is_data_directory(path),
        sets.data_directory,
    ),
    ("features in the making", hdf5_files.is_parts, hdf5_files.parts),
    ("feature or score file", hdf5_files.is_hdf5, hdf5_files.hdf5),
    (
        "model directory",
        lambda path: path.is_dir() and models.is_model_directory(path),
        models.model_directory,
    ),
    ("decoded folder", lambda path: path.is_dir() and sets.is_decoded(path), sets.decoded),
    (
        "folder of score tables",
        lambda path: path.is_dir() and sets.is_score_tables(path),
        sets.score_tables,
    ),
    ("experiment directory", lambda path: path.is_dir() and bool(_parts_of(path)[0]), _experiment),
    ("training checkpoint", models.is_checkpoint, models.checkpoint_file),
    ("ONNX file", models.is_onnx, models.onnx_file),
    ("report.json", lambda path: path.is_file() and path.name == "report.json", sets.report),
    ("operating point, record or configuration (YAML)", text_files.is_yaml, text_files.yaml),
    ("report page", text_files.is_page, text_files.page),
    ("log of a job", text_files.is_log, text_files.log),
    ("sound file", _is_sound, sets.sound),
)


def describe(path):
    """Describe an artefact. Raises InputError where there is nothing, or nothing that is known."""
    path = Path(path)
    if os.path.isdir(path):
        folders.look(path)  # which tells where it can't be entered
    try:
        if (
            path.name in _OF_A_FOLDER
            and path.is_file()
            and (found := _find(path.parent))
            and found[0] != "experiment directory"
        ):
            return describe(path.parent)
        found = _find(path)
        if found is not None:
            try:
                about = found[1](path)
            except InputError as error:
                about = About(
                    str(path),
                    found[0],
                    complete=False,
                    faults=[str(error)],
                    made=when_made(path) if path.exists() else {},
                )
            if about is not None:
                return about
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise InputError(
            f"{path}: can't be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    raise InputError(
        f"{path}: not an artefact that is known here; known are: {'; '.join(name for name, *_ in KINDS)}"
    )


def _find(path):
    """(name, describing function) of the first kind that a path is of; None where it is of none."""
    return next(((name, look) for name, is_it, look in KINDS if is_it(path)), None)
