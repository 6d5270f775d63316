"""Record how an output was made: options, versions, machine and fingerprints of the inputs."""

import contextlib
import datetime
import functools
import glob
import hashlib
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsedtk import __version__
from wsedtk.core import config, configurations, model_cache
from wsedtk.core.atomic import write_text
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike

_LOG = logging.getLogger(__name__)


# This value replaces the fingerprint of the model if scores were imported from tables, because
# tables do not contain the fingerprint.
UNKNOWN_MODEL = "imported"
_TABLES = (".tsv", ".csv", ".txt", ".yaml", ".safetensors")
_TEXTS_AT_ONCE = 1 << 16  # maximum number of texts that are converted to str at a time
_LARGE = 64 << 20  # bytes; of a larger file, only the size, the start and the end are hashed


@functools.cache
def commit() -> str:
    """Return the git commit of wsedtk, as `git describe` names it.

    If tracked files have uncommitted changes, the text ends in "+". If wsedtk is not in a git
    checkout, or if git fails, the text is "unknown".
    """
    here = Path(__file__).absolute().parent
    if not (here.parents[1] / ".git").exists():
        return "unknown"
    # In a git hook, variables such as GIT_DIR can refer to another checkout.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
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


def known_model(attributes: Mapping[str, Any]) -> str | None:
    """Return the fingerprint of the model that predicted scores, or None if it is unknown.

    Parameters
    ----------
    attributes : mapping
        The attributes of the score file.
    """
    model: str = attributes["model"]
    return None if model == UNKNOWN_MODEL else model


def made_by() -> dict[str, str]:
    """Return the version and the commit of wsedtk, which are stored in output files.

    The fingerprints of models, features and scores do not depend on the version or the commit.
    """
    return {"wsedtk": __version__, "commit": commit()}


def fingerprint_file(path: Path) -> str:
    """Return 16 hexadecimal digits that identify the content of a file.

    For a file of more than 64 MiB, only the size, the first 32 MiB and the last 32 MiB are hashed.

    Raises
    ------
    InputError
        If the file can't be read.
    """
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


def fingerprint(content: bytes) -> str:
    """Return 16 hexadecimal digits that identify bytes."""
    return hashlib.sha256(content).hexdigest()[:16]


def fingerprint_model(described: Mapping[str, object], weights: bytes) -> str:
    """Return 16 hexadecimal digits that identify a model.

    Parameters
    ----------
    described : mapping
        The content of model.yaml. Its entry `trained`, the origin of the weights, is ignored.
    weights : bytes
        The content of model.safetensors.
    """
    described = {key: value for key, value in described.items() if key != "trained"}
    return fingerprint(weights + config.fingerprint(described).encode())


def fingerprint_model_directory(folder: Path) -> str | None:
    """Return the `fingerprint_model` of a model directory.

    Return None if `folder` is not a model directory, or if its files can't be read.
    """
    try:
        described = config.read_yaml(folder / "model.yaml")
        weights = (folder / "model.safetensors").read_bytes()
    except (InputError, OSError):
        return None
    return fingerprint_model(described, weights) if isinstance(described, dict) else None


def hash_texts(
    digest: "hashlib._Hash", texts: npt.NDArray[Any], order: npt.NDArray[np.int64] | None = None
) -> None:
    """Add texts to a hash, joined by line ends.

    Parameters
    ----------
    digest : hash object of hashlib
    texts : (N,) array of str or bytes
    order : (M,) array of int, optional
        The indices of the texts, in the order in which the texts are added. By default, all texts
        are added in the order of the array.
    """
    count = len(texts) if order is None else len(order)
    for start in range(0, count, _TEXTS_AT_ONCE):
        part: slice | npt.NDArray[np.int64] = slice(start, start + _TEXTS_AT_ONCE)
        part = part if order is None else order[part]
        found = texts[part].astype(str) if texts.dtype.kind == "S" else texts[part]
        joined = "\n".join(found.tolist())
        digest.update(("\n" if start else "").encode() + joined.encode())


def fingerprint_audio(
    filenames: npt.NDArray[Any],
    contents: npt.NDArray[np.bytes_],
    order: npt.NDArray[np.int64] | None = None,
) -> str:
    """Return a text that identifies the names of clips and their audio or features.

    Parameters
    ----------
    filenames : (N,) array of str
        The names of the clips.
    contents : (N,) array of bytes or str
        A fingerprint of the samples or of the features of each clip. It may be empty for silent
        clips.
    order : (M,) array of int, optional
        The indices of the clips to include, sorted by the file names of these clips. By default,
        all clips are included.

    Returns
    -------
    str
        16 hexadecimal digits that identify the names, a hyphen, and 16 hexadecimal digits that
        identify `contents`.
    """
    order = np.argsort(filenames) if order is None else order
    digests = hashlib.sha256(), hashlib.sha256()
    for digest, column in zip(digests, (filenames, contents)):
        hash_texts(digest, column, order)
    return "-".join(digest.hexdigest()[:16] for digest in digests)


def check_audio(
    path: PathLike,
    audio: str | None,
    other: PathLike,
    other_audio: str | None,
    warn: Callable[[str], object] = _LOG.warning,
) -> None:
    """Check that two files were made from the same audio.

    Parameters
    ----------
    path, other : path-like
        The two files, for messages.
    audio, other_audio : str or None
        The `fingerprint_audio` of the audio of each file. If one of them is None or empty, nothing
        is checked.
    warn : callable
        A function that takes a message. It is called if the two files have different clips.

    Raises
    ------
    InputError
        If the clips have the same names but different samples.
    """
    if not audio or not other_audio or audio == other_audio:
        return
    if str(audio).split("-")[0] == str(other_audio).split("-")[0]:
        raise InputError(
            f"{path}: its audio (fingerprint {audio}) differs from that of {other} "
            f"(fingerprint {other_audio}), although the clips have the same names; run wsedtk "
            "extract and all later stages again"
        )
    warn(
        f"{path} (audio fingerprint {audio}) and {other} (audio fingerprint {other_audio}) come "
        "from different versions of a set, with different lists of clips"
    )


def fingerprints(path: Path) -> dict[str, str]:
    """Return {path: fingerprint} for a file, or for the files in a folder.

    In a folder, only files whose suffix is in `_TABLES` are read. Subfolders are ignored.
    """
    files = [path]
    if not path.is_file():
        files = sorted(p for p in path.glob("*") if p.is_file() and p.suffix in _TABLES)
    return {str(file): fingerprint_file(file) for file in files}


def _input_files(path: Path) -> list[Path]:
    """Return the path of an input, or the paths of its shards.

    An input is a path, or the name of a configuration or of a ready model. If nothing is found, the
    list is empty.
    """
    files = files_of(path)
    if not files:
        with contextlib.suppress(InputError):
            files = files_of(model_cache.find(path) or configurations.find(path))
    return files


def files_of(path: Path) -> list[Path]:
    """Return the path itself if it exists. Otherwise, return the paths of its existing shards."""
    if path.exists():
        return [path]
    return sorted(path.parent.glob(f"{glob.escape(path.stem)}.*-of-*{glob.escape(path.suffix)}"))


def describe(
    command: str, options: Mapping[str, object], outputs: Collection[str] = ()
) -> dict[str, Any]:
    """Return the record of a command.

    Parameters
    ----------
    command : str
        The command, such as "wsedtk extract".
    options : mapping of str to object
        The options of the command. Path-like values are inputs unless `outputs` names their option.
        The fingerprints of inputs are recorded.
    outputs : collection of str
        The names of the options whose paths are outputs.

    Raises
    ------
    InputError
        If an input can't be read.
    """
    inputs: dict[str, str] = {}
    plain: dict[str, object] = {}
    for name, value in options.items():
        values = list(value) if isinstance(value, (tuple, list)) else [value]
        for item in values:
            if isinstance(item, os.PathLike) and name not in outputs:
                for file in _input_files(Path(item)):
                    inputs.update(fingerprints(file))
        texts = [str(v) if isinstance(v, os.PathLike) else v for v in values]
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


def write(
    path: PathLike, command: str, options: Mapping[str, object], outputs: Collection[str] = ()
) -> None:
    """Write the record of a command to a YAML file. See `describe` for the other parameters."""
    write_text(path, config.to_yaml(describe(command, options, outputs)))
