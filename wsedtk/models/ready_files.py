"""Download the published files of ready models, or take files that the user has, and check them."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from wsedtk.core import model_cache
from wsedtk.core.atomic import remove
from wsedtk.core.download import DownloadError, download, sha256
from wsedtk.core.errors import InputError
from wsedtk.models.ready_models import PublishedFile, ReadyModel

_LOG = logging.getLogger(__name__)
_OPTIONAL = ("ontology",)  # roles of the files that a model does not need


def check_hash_option(ready: ReadyModel, given: str | None) -> None:
    """Check the option --sha256, the hash of the weights, against the published hash.

    Nothing is checked if one of the two hashes is not known.

    Raises
    ------
    InputError
        If the hashes differ.
    """
    for file in ready.files:
        if file.role == "weights" and not _is_same(given, file.sha256):
            raise InputError(
                f"--sha256 {given}: the published {file.name} has the SHA-256 {file.sha256}; omit "
                "the option"
            )


def _is_same(one: str | None, other: str | None) -> bool:
    """Return whether two hashes are the same, or one of them is not known."""
    return one is None or other is None or one.lower() == other.lower()


def download_files(ready: ReadyModel, weights_sha256: str | None = None) -> dict[str, Path]:
    """Download the published files of a ready model, and check their sizes and hashes.

    Files that were downloaded before are not downloaded again. Files with a wrong size or hash are
    removed.

    Parameters
    ----------
    ready : ReadyModel
        The ready model.
    weights_sha256 : str, optional
        The hash of the weights. Required if the published hash is not known.

    Returns
    -------
    dict of str to Path
        The file of each role. If the ontology can't be downloaded, a warning is logged.

    Raises
    ------
    InputError
        If a file has no address, can't be downloaded or can't be written, if its size or hash is
        wrong, or if the hash of the weights is not known.
    """
    if any(file.url is None for file in ready.files):
        places = ", ".join(file.place for file in ready.files)
        raise InputError(
            f"{ready.name}: can't be downloaded, because one of its files is part of an archive; "
            f"get these files, and give each of them with --from FILE: {places}"
        )
    found: dict[str, Path] = {}
    for file in ready.files:
        assert file.url is not None
        path = model_cache.downloads(ready.name) / file.name
        try:
            if not path.is_file():
                download(file.url, path, file.num_bytes)
            _check(file, path, weights_sha256)
        except (DownloadError, _WrongContent) as error:
            if isinstance(error, _WrongContent):
                remove(path)
            message = _explain(file, error)
            if file.role not in _OPTIONAL:
                raise InputError(message) from None
            _LOG.warning(f"{message}; the model is used without the file")
            continue
        found[file.role] = path
    return found


def _explain(file: PublishedFile, error: Exception) -> str:
    if isinstance(error, _WrongContent):
        return f"{file.url}: the downloaded file is not used: {error}"
    return (
        f"{file.name}: can't be downloaded from {file.url}: {error}; run the same command again to "
        "resume, or give a copy of the file with --from FILE"
    )


def take_files(
    ready: ReadyModel, given: Sequence[Path], weights_sha256: str | None = None
) -> dict[str, Path]:
    """Return the files of a ready model among the given files, and check their sizes and hashes.

    Nothing is downloaded.

    Parameters
    ----------
    ready : ReadyModel
        The ready model.
    given : sequence of Path
        Files, and folders that contain files with the published names. One of the files may have
        another name. It must contain the weights.
    weights_sha256 : str, optional
        The hash of the weights. Required if the published hash is not known.

    Returns
    -------
    dict of str to Path
        The file of each role. If the ontology is missing, a message is logged.

    Raises
    ------
    InputError
        If a required file is missing or can't be read, if the role of a file is not clear, if a
        size or a hash is wrong, or if the hash of the weights is not known.
    """
    found = _assign(ready, given)
    missing = [file for file in ready.files if file.role not in found]
    required = [file for file in missing if file.role not in _OPTIONAL]
    if required:
        names = ", ".join(file.place for file in required)
        raise InputError(
            f"{ready.name}: required files were not given: {names}; download them, and give each "
            "of them with --from FILE"
        )
    for file in missing:
        _LOG.info(f"{ready.name}: used without the optional file {file.place}")
    for file in ready.files:
        if file.role in found:
            try:
                _check(file, found[file.role], weights_sha256)
            except _WrongContent as error:
                raise InputError(str(error)) from None
    return found


def _assign(ready: ReadyModel, given: Sequence[Path]) -> dict[str, Path]:
    """Return the given file of each role.

    Raises InputError if a path does not exist, or if the role of a file is not clear.
    """
    roles = {name: file.role for file in ready.files for name in (file.name, *file.other_names)}
    found: dict[str, Path] = {}
    unnamed = []
    for path in given:
        if path.is_dir():
            found |= {role: path / name for name, role in roles.items() if (path / name).is_file()}
        elif not path.exists():
            raise InputError(f"{path}: no such file or folder")
        elif path.name in roles:
            found[roles[path.name]] = path
        else:
            unnamed.append(path)
    if len(unnamed) == 1 and "weights" not in found:
        found["weights"] = unnamed.pop()
    if unnamed:
        raise InputError(
            f"{unnamed[0]}: is not a published file of {ready.name}; expected a file with one of "
            f"the names {', '.join(roles)}"
        )
    return found


class _WrongContent(Exception):
    """A file whose content is not that of the published file."""


def _check(file: PublishedFile, path: Path, weights_sha256: str | None) -> None:
    """Check the size and the hash of a file.

    Raises
    ------
    _WrongContent
        If the size or the hash is wrong, or if the ontology is not JSON.
    InputError
        If the file can't be read, or if it contains the weights and no hash of them is known.
    """
    expected = file.sha256
    if file.role == "weights":
        expected = expected or weights_sha256
    try:
        size, found = path.stat().st_size, sha256(path)
        is_json = file.role != "ontology" or _is_json(path)
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from None
    if file.num_bytes not in (None, size):
        raise _WrongContent(
            f"{path}: has {size:,} bytes, expected {file.num_bytes:,} bytes, the size of the "
            f"published {file.name}"
        )
    if not _is_same(expected, found):
        raise _WrongContent(f"{path}: has the SHA-256 {found}, expected {expected}")
    if not is_json:
        raise _WrongContent(f"{path}: is not a JSON file")
    if expected is None and file.role == "weights":
        raise InputError(
            f"{path}: the SHA-256 of the published {file.name} is not known to wsedtk; this file "
            f"has the SHA-256 {found}; if the file comes from a source that you trust, run the "
            f"same command again with --sha256 {found}"
        )


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return True


def download_size(ready: ReadyModel) -> int | None:
    """Return the total size of the required files in bytes. None if a size is not known."""
    sizes = [file.num_bytes for file in ready.files if file.role not in _OPTIONAL]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None
