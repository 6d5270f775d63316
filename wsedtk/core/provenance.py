"""The record that a stage leaves: its options, what it ran on, and the fingerprints of its inputs."""

import datetime
import functools
import glob
import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np

from wsedtk import __version__
from wsedtk.core import config
from wsedtk.core.atomic import write_text
from wsedtk.core.errors import InputError
from wsedtk.core.progress import warning

UNKNOWN_MODEL = "imported"  # the model of scores that come as tables, which do not name it
_TABLES = (".tsv", ".csv", ".txt", ".yaml", ".safetensors")
_LARGE = 64 << 20  # bytes; of larger files the head, the tail and the size make the fingerprint


@functools.cache
def commit():
    """The commit of the checkout that this code runs from, with + where it is changed; `unknown` outside a checkout."""
    here = Path(__file__).absolute().parent
    if not (here.parent / ".git").exists():
        return "unknown"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_")
    }  # in a hook: of another checkout
    try:
        found = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return found.stdout.strip() or "unknown"


def known_model(attributes):
    """Return the fingerprint of the model that scores are of; None where it is not known."""
    model = attributes["model"]
    return None if model == UNKNOWN_MODEL else model


def made_by():
    """The version and the commit that made an artefact, as texts: for its YAML or attributes, not for what names its content."""
    return {"wsedtk": __version__, "commit": commit()}


def fingerprint_file(path):
    """16 hexadecimal digits that name a file's content. Raises InputError where it can't be read."""
    digest = hashlib.sha256()
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            if size <= _LARGE:
                digest.update(file.read())
            else:
                digest.update(f"{size} ".encode() + file.read(_LARGE // 2))
                file.seek(-_LARGE // 2, 2)
                digest.update(file.read())
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from None
    return digest.hexdigest()[:16]


def fingerprint(content):
    """16 hexadecimal digits that name bytes."""
    return hashlib.sha256(content).hexdigest()[:16]


def fingerprint_model(described, weights):
    """16 hexadecimal digits that name a model: its model.yaml, as a mapping, but for where the weights come from; the tensors' bytes."""
    described = {key: value for key, value in described.items() if key != "trained"}
    return fingerprint(weights + config.fingerprint(described).encode())


def fingerprint_model_directory(folder):
    """`fingerprint_model` of a model directory; None where it is none."""
    try:
        described, weights = (
            config.read_yaml(folder / "model.yaml"),
            (folder / "model.safetensors").read_bytes(),
        )
    except (InputError, OSError):
        return None
    return fingerprint_model(described, weights) if isinstance(described, dict) else None


def fingerprint_audio(filenames, contents):
    """What names the audio of N clips, for their set's info.yaml: 16 digits of the clips, a dash, 16 of what each sounds like."""
    order = np.argsort(filenames)
    return "-".join(
        fingerprint("\n".join(column[order].astype(str).tolist()).encode())
        for column in (filenames, contents)
    )


def check_audio(path, audio, other, other_audio, warn=warning):
    """Raise InputError where two files come from clips of the same names that sound other; warn where from other lists of clips.

    audio, other_audio: as `fingerprint_audio` gives them; None or "" where it is not known. warn:
    called with a warning, as text.
    """
    if not audio or not other_audio or audio == other_audio:
        return
    if str(audio).split("-")[0] == str(other_audio).split("-")[0]:
        raise InputError(
            f"{path}: comes from other audio ({audio}) than {other} ({other_audio}), though the clips have the same names; "
            "run the stages from extract on again, for both to come from the same"
        )
    warn(
        f"{path} ({audio}) and {other} ({other_audio}) come from different versions of a set: "
        "the clips of one are not all those of the other"
    )


def fingerprints(path):
    """{file: fingerprint} of a file, or of the tables of a data or model directory."""
    files = (
        [path]
        if path.is_file()
        else sorted(p for p in path.glob("*") if p.is_file() and p.suffix in _TABLES)
    )
    return {str(file): fingerprint_file(file) for file in files}


def files_of(path):
    """The path itself where it exists, else the shards that stand for it."""
    return (
        [path]
        if path.exists()
        else sorted(path.parent.glob(f"{glob.escape(path.stem)}.*-of-*{glob.escape(path.suffix)}"))
    )


def describe(command, options, outputs=()):
    """The record of a command: its options, and the fingerprints of the paths among them that are not `outputs`."""
    inputs, plain = {}, {}
    for name, value in options.items():
        values = list(value) if isinstance(value, (tuple, list)) else [value]
        for item in values:
            if isinstance(item, Path) and name not in outputs:
                for file in files_of(item):
                    inputs.update(fingerprints(file))
        texts = [str(v) if isinstance(v, Path) else v for v in values]
        plain[name] = texts if isinstance(value, (tuple, list)) else texts[0]
    return {
        "command": command,
        "options": plain,
        "inputs": inputs,
        **made_by(),
        "python": platform.python_version(),
        "host": platform.node(),
        "arguments": sys.argv[1:],
        "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def write(path, command, options, outputs=()):
    """Write the record of a command, see `describe`."""
    write_text(path, config.to_yaml(describe(command, options, outputs)))
