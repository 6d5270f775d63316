"""models: published files of networks that other people trained -> model directories in a cache.

The functions list, fetch and remove ready models. `wsedtk.core.model_cache` documents the cache.
Ready models that are part of wsedtk can be used without `fetch`, and can't be removed.
"""

import contextlib
import dataclasses
import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from wsedtk.core import model_cache, provenance
from wsedtk.core.atomic import explained, locking, remove_left_over, writing_folder
from wsedtk.core.errors import InputError
from wsedtk.decoding import operating_point
from wsedtk.models import checkpoint, ready_directories, ready_files
from wsedtk.models.included_models import INCLUDED_MODELS, IncludedModel
from wsedtk.models.ready_models import READY_MODELS, ReadyModel
from wsedtk.report import model_card
from wsedtk.stages.options.models import FetchOptions, RemoveOptions

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ListedModel:
    """A ready model in the result of `list_models`.

    Attributes
    ----------
    name, summary : str
        The name, and one line about the network and its training data.
    num_classes : int
        Number of classes.
    seconds_per_frame : float
        The time from one frame of the scores to the next, in seconds.
    num_bytes : int or None
        The size of the required published files. None if it is not known, 0 if the model is part of
        wsedtk.
    licence, citation, source : str
        The licence of the weights, the publication to cite, and the address of the authors' page.
    model_dir : Path or None
        The model directory. None if the model is not fetched.
    is_included : bool
        Whether the model is part of wsedtk, so that it need not be fetched.
    """

    name: str
    summary: str
    num_classes: int
    seconds_per_frame: float
    num_bytes: int | None
    licence: str
    citation: str
    source: str
    model_dir: Path | None
    is_included: bool = False


@dataclasses.dataclass(frozen=True)
class FetchResult:
    """The result of `fetch`: a ready model that can be used by its name.

    Attributes
    ----------
    name : str
        The name of the ready model.
    model_dir : Path
        The model directory.
    num_classes : int
        Number of classes.
    num_parameters : int
        Number of parameters of the network.
    seconds_per_frame : float
        The time from one frame of the scores to the next, in seconds.
    licence, citation, source : str
        The licence of the weights, the publication to cite, and the address of the authors' page.
    was_fetched : bool
        Whether the model directory existed before.
    is_included : bool
        Whether the model is part of wsedtk.
    """

    name: str
    model_dir: Path
    num_classes: int
    num_parameters: int
    seconds_per_frame: float
    licence: str
    citation: str
    source: str
    was_fetched: bool
    is_included: bool = False


@dataclasses.dataclass(frozen=True)
class RemoveResult:
    """The result of `remove`.

    Attributes
    ----------
    name : str
        The name of the ready model.
    removed : tuple of Path
        The folders that were removed.
    """

    name: str
    removed: tuple[Path, ...]


def list_models() -> tuple[ListedModel, ...]:
    """Return all ready models, sorted by name."""
    return tuple(map(_listed, ready_directories.names()))


def _listed(name: str) -> ListedModel:
    if name in INCLUDED_MODELS:
        folder, about = model_cache.included(name), INCLUDED_MODELS[name]
        spec = checkpoint.read_spec(folder)
        return ListedModel(
            name,
            about.summary,
            len(spec.labels),
            float(spec.trained["seconds_per_frame"]),
            0,
            about.licence,
            about.citation,
            about.source,
            folder,
            is_included=True,
        )
    ready = READY_MODELS.get(name)
    spec = ready_directories.describe(ready)
    with torch.device("meta"):  # the weights need no memory
        size = spec.size(spec.build())
    return ListedModel(
        name,
        ready.summary,
        ready.num_classes,
        size["seconds_per_frame"],
        ready_files.download_size(ready),
        ready.licence,
        ready.citation,
        ready.source,
        model_cache.find(name),
    )


@contextlib.contextmanager
def _locked(name: str) -> Iterator[Path]:
    """Lock a ready model within the block, and yield its model directory."""
    folder = model_cache.model_directory(name)
    with locking(model_cache.folder() / f".{name}.lock", folder):
        remove_left_over(folder)
        yield folder


def fetch(options: FetchOptions) -> FetchResult:
    """Download a ready model and convert it to a model directory, as `wsedtk models fetch` does.

    If the model directory exists, or if the model is part of wsedtk, nothing is downloaded. An
    interrupted download is resumed.

    Parameters
    ----------
    options : FetchOptions
        The name of the ready model, and where its files come from.

    Returns
    -------
    FetchResult

    Raises
    ------
    InputError
        If the name is unknown, if a file is missing, damaged or can't be downloaded, if a hash is
        wrong or not known, if the folder of the ready model contains another model or other files,
        if another process fetches or removes the same model, or if files or a hash are given for a
        model that is part of wsedtk.

    Examples
    --------
    >>> fetch(FetchOptions("yamnet")).model_dir
    """
    if options.name in INCLUDED_MODELS:
        if options.from_files or options.sha256 is not None:
            raise InputError(
                f"{options.name}: this ready model is part of wsedtk and has no published files; "
                "leave out from_files (--from) and sha256 (--sha256)"
            )
        folder, about = model_cache.included(options.name), INCLUDED_MODELS[options.name]
        return _result(options.name, folder, about, was_fetched=True)
    ready = ready_directories.get(options.name)
    ready_files.check_hash_option(ready, options.sha256)
    ready_directories.check_folder(ready.name)
    if not (was_fetched := model_cache.is_fetched(ready.name)):
        with _locked(ready.name) as folder:
            # Another process may have fetched the model just before the lock was taken.
            if not (was_fetched := model_cache.is_fetched(ready.name)):
                _make(ready, options, folder)
    if was_fetched and options.from_files:
        _LOG.warning(
            f"{ready.name}: was fetched before, so the given files are not used; to use them, run "
            f"wsedtk models remove {ready.name} first"
        )
    folder = model_cache.model_directory(ready.name)
    return _result(ready.name, folder, ready, was_fetched=was_fetched)


def _make(ready: ReadyModel, options: FetchOptions, folder: Path) -> None:
    """Write the model directory of a ready model."""
    if options.from_files:
        given = list(map(Path, options.from_files))
        files = ready_files.take_files(ready, given, options.sha256)
    else:
        files = ready_files.download_files(ready, options.sha256)
    with writing_folder(folder) as temporary:
        spec = ready_directories.convert(ready, files, temporary)
        _write_operating_point(ready, spec.labels, temporary)
        model_card.refresh(temporary, ready)
    _remove_folder(model_cache.downloads(ready.name))


def _write_operating_point(ready: ReadyModel, labels: Sequence[str], folder: Path) -> None:
    """Write the operating point that is used until the user tunes thresholds."""
    point = dataclasses.replace(
        operating_point.untuned(labels, ready.threshold),
        tuned_on=ready.threshold_note,
        model=provenance.fingerprint_model_directory(folder),
    )
    operating_point.write(folder / "operating_point.yaml", point)


def _result(
    name: str, folder: Path, about: ReadyModel | IncludedModel, *, was_fetched: bool
) -> FetchResult:
    spec = checkpoint.read_spec(folder)
    return FetchResult(
        name,
        folder,
        len(spec.labels),
        int(spec.trained["parameters"]),
        float(spec.trained["seconds_per_frame"]),
        about.licence,
        about.citation,
        about.source,
        was_fetched,
        is_included=isinstance(about, IncludedModel),
    )


def _remove_folder(folder: Path) -> bool:
    """Remove a folder if it exists, and return whether it existed.

    The file model.yaml is removed first. Therefore an incomplete model directory is never used.
    """
    if not folder.is_dir():
        return False
    with explained(folder):
        (folder / "model.yaml").unlink(missing_ok=True)
        shutil.rmtree(folder)
    return True


def remove(options: RemoveOptions) -> RemoveResult:
    """Remove the files of a ready model from this computer, as `wsedtk models remove` does.

    The model directory and unfinished downloads are removed.

    Parameters
    ----------
    options : RemoveOptions
        The name of the ready model.

    Returns
    -------
    RemoveResult

    Raises
    ------
    InputError
        If the name is unknown, if the model is part of wsedtk, if there is nothing to remove, if a
        folder can't be removed, if the folder of the ready model contains another model or other
        files, or if another process fetches or removes the same model.
    """
    if options.name in INCLUDED_MODELS:
        raise InputError(
            f"{options.name}: this ready model is part of wsedtk, so it can't be removed"
        )
    ready = ready_directories.get(options.name)
    ready_directories.check_folder(ready.name)
    with _locked(ready.name) as folder:
        candidates = (folder, model_cache.downloads(ready.name))
        removed = tuple(filter(_remove_folder, candidates))
    if not removed:
        raise InputError(
            f"{ready.name}: this ready model is not on this computer ({folder}), so there is "
            "nothing to remove"
        )
    return RemoveResult(ready.name, removed)
