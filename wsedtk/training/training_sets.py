"""Read the data directories of a training run, and find the features of their clips.

Array dimensions: N clips to train on, M clips of an added set.
"""

import dataclasses
import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.types import Booleans
from wsedtk.core.wording import counted
from wsedtk.data import clip_sets, datadir, tables
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.context import context_warning
from wsedtk.data.store import FeatureStore
from wsedtk.data.time_split import are_split_by_time
from wsedtk.data.unknown_tags import without_unknown
from wsedtk.training.feature_batches import FeatureBatches
from wsedtk.training.sampler import Part

_LOG = logging.getLogger(__name__)

_MOST_APART = 0.1  # the largest difference, in seconds, between two durations of the same clip


@dataclasses.dataclass(frozen=True)
class Added:
    """A set that is added to the training set.

    Attributes
    ----------
    folder : Path
        The data directory.
    dataset : DataSet
        The clips of the set that have features. Clips with unknown tags are left out.
    share : float or None
        The fraction of the clips of each batch that come from this set, as the user gave it. None
        means that its clips are drawn together with the clips of the training set.
    number : int or None
        The number of clips of each batch that come from this set. None if there is no share.
    """

    folder: Path
    dataset: DataSet
    share: float | None
    number: int | None


@dataclasses.dataclass(frozen=True)
class TrainingSets:
    """The data sets of a training run.

    Attributes
    ----------
    fit : FeatureBatches
        The N clips to train on: those of the training set and of the added sets.
    valid : FeatureBatches
        The clips of the validation set.
    own : DataSet
        The clips of the training set that have features, without the added sets.
    added : tuple of Added
        The added sets.
    parts : tuple of Part
        The parts of the N clips that each batch contains. Empty if no added set has a share.
    messages : tuple of str
        Messages that say how the added sets are used.
    """

    fit: FeatureBatches
    valid: FeatureBatches
    own: DataSet
    added: tuple[Added, ...] = ()
    parts: tuple[Part, ...] = ()
    messages: tuple[str, ...] = ()


def read(
    fit_set: PathLike,
    valid_set: PathLike,
    added_sets: Sequence[tuple[Path, float | None]],
    store: FeatureStore,
    batch_size: int,
) -> TrainingSets:
    """Read the data directories of a training run, and find their features.

    Clips with unknown tags are left out. If a clip is in several sets, only the clip of the last
    added set is used.

    Parameters
    ----------
    fit_set, valid_set : path-like
        The data directories of the training set and of the validation set.
    added_sets : sequence of tuple
        The data directories that are added to the training set, and their shares, or None.
    store : FeatureStore
        The features.
    batch_size : int
        The number of clips in a batch.

    Returns
    -------
    TrainingSets

    Raises
    ------
    InputError
        If a set can't be read, if no clip to train on or to validate on has a tag, if the features
        do not fit a set (see `FeatureBatches`), if a set to train on and the validation set have a
        common clip, if the sets do not have the same classes in the same order, or if the shares do
        not fit `batch_size`.
    """
    numbers = _clips_of_batch([share for _, share in added_sets], batch_size, fit_set)
    # Clips with unknown tags give no loss. Therefore they are not loaded.
    fit_data = without_unknown(datadir.read(fit_set), fit_set)
    valid_data = without_unknown(datadir.read(valid_set), valid_set)
    if fit_data.labels != valid_data.labels:
        raise InputError(
            f"{valid_set}: labels.txt differs from labels.txt in {fit_set}; use two sets with the "
            "same classes in the same order"
        )
    folders = [Path(fit_set), *(folder for folder, _ in added_sets)]
    to_fit = [fit_data]
    for folder, _ in added_sets:
        to_fit.append(without_unknown(datadir.read(folder), folder))
        if to_fit[-1].labels != fit_data.labels:
            raise InputError(
                f"{folder}: labels.txt differs from labels.txt in {fit_set}; expected the same "
                "classes in the same order; make this set again with the classes of the training "
                f"set (wsedtk prepare annotations --labels {fit_set})"
            )
    for folder, dataset in zip(folders, to_fit):
        _check_shared(folder, dataset, valid_set, valid_data)
    batches = [FeatureBatches(store, dataset, folder) for folder, dataset in zip(folders, to_fit)]
    valid = FeatureBatches(store, valid_data, valid_set)
    added = tuple(
        Added(folder, one.dataset, share, number)
        for (folder, share), one, number in zip(added_sets, batches[1:], numbers)
    )
    kept, messages = _without_replaced(folders, batches)
    fit = FeatureBatches.join(kept) if added else batches[0]
    context = context_warning(fit.dataset)
    if context is not None:
        _LOG.warning(f"{fit_set}: {context}")
    for folder, found in ((folders[0], fit), (Path(valid_set), valid)):
        if not len(found.dataset.tag_clip):
            raise InputError(f"{folder}: no clip with features has a tag; add tags to tags.tsv")
    for folder, found in zip((*folders, Path(valid_set)), (*batches, valid)):
        _warn_of_clips(folder, found)
    parts = _parts(fit.dataset, kept, numbers, batch_size, folders)
    messages += [_told(one, fit_set, batch_size) for one in added]
    return TrainingSets(fit, valid, batches[0].dataset, added, parts, tuple(messages))


def _clips_of_batch(
    shares: Sequence[float | None], batch_size: int, fit_set: PathLike
) -> list[int | None]:
    """Return the number of clips of each batch that come from each set, or None without a share.

    A share of a batch is rounded to the nearest number of clips, and half a clip is rounded up. A
    set with a share gives at least one clip.

    Raises InputError if no clip would come from the training set.
    """
    numbers = [
        None if share is None else max(1, math.floor(share * batch_size + 0.5)) for share in shares
    ]
    total = sum(number or 0 for number in numbers)
    if total >= batch_size:
        raise InputError(
            f"batch_size is {batch_size}, and {total} clips of each batch would come from the "
            f"added sets, so none would come from {fit_set}; choose smaller shares, or a larger "
            "batch_size"
        )
    return numbers


def _check_shared(folder: PathLike, fit: DataSet, valid_set: PathLike, valid: DataSet) -> None:
    """Raise InputError if a set to train on and the validation set have a common clip.

    Log a warning if they have clips of the same recording or group, unless `balance` split one set
    into these two by time.
    """
    shared = valid.filenames[tables.find(fit.filenames, valid.filenames) >= 0]
    if len(shared):
        raise InputError(
            f"{valid_set}: contains clips that are also in {folder}: "
            f"{tables.first(shared.tolist())}; remove these clips from one of the two sets"
        )
    if are_split_by_time(fit, valid):
        return
    sources, valid_sources = clip_sets.sources(fit, valid)
    clips = fit.filenames[np.isin(sources, valid_sources)].tolist()
    if clips:
        _LOG.warning(
            f"{folder}: {counted(len(clips), 'clip is', 'clips are')} from a recording or group "
            f"that also occurs in {valid_set}: {tables.first(clips)}; the metrics on the "
            "validation set may therefore be too high"
        )


def _without_replaced(
    folders: Sequence[PathLike], batches: Sequence[FeatureBatches]
) -> tuple[list[FeatureBatches], list[str]]:
    """Remove the clips that a later set replaces. Return the sets, and messages about them.

    Raises InputError if two clips have the same name, but different durations.
    """
    kept, messages = list(batches), []
    for number, later in enumerate(batches):
        for place in range(number):
            earlier = kept[place].dataset
            places = tables.find(later.dataset.filenames, earlier.filenames)
            is_replaced = places >= 0
            if not is_replaced.any():
                continue
            durations = later.dataset.durations[places[is_replaced]]
            odd = np.abs(earlier.durations[is_replaced] - durations) > _MOST_APART
            if odd.any():
                names = earlier.filenames[is_replaced][odd].tolist()
                raise InputError(
                    f"{folders[number]}: contains clips that have the same names as clips of "
                    f"{folders[place]}, but other durations: {tables.first(names)}; rename the "
                    "recordings of one of the two sets"
                )
            clips = counted(int(is_replaced.sum()), "clip")
            messages.append(f"{folders[number]}: replaces {clips} of {folders[place]}")
            kept[place] = kept[place].select(~is_replaced)
    return kept, messages


def _parts(
    dataset: DataSet,
    kept: Sequence[FeatureBatches],
    numbers: Sequence[int | None],
    batch_size: int,
    folders: Sequence[PathLike],
) -> tuple[Part, ...]:
    """Return the parts of a batch, or () if no added set has a share.

    Raises InputError if a part has no clips, because later sets replace them all.
    """
    if all(number is None for number in numbers):
        return ()
    masks: list[Booleans] = [
        tables.find(one.dataset.filenames, dataset.filenames) >= 0 for one in kept
    ]
    main = masks[0].copy()
    parts = []
    for folder, mask, number in zip(folders[1:], masks[1:], numbers):
        if number is None:
            main |= mask
        else:
            parts.append((folder, Part(mask, number)))
    rest = batch_size - sum(number or 0 for number in numbers)
    parts.insert(0, (folders[0], Part(main, rest)))
    for folder, part in parts:
        if not part.members.any():
            raise InputError(
                f"{folder}: every clip is also in a set that is added later, which replaces it; "
                "leave out one of the two sets"
            )
    return tuple(part for _, part in parts)


def _warn_of_clips(folder: PathLike, batches: FeatureBatches) -> None:
    """Warn of clips that are left out, and of clips without tags if tags may be incomplete."""
    untagged = len(batches.dataset.clips_of_classes()[-1])
    if batches.num_left_out:
        _LOG.warning(
            f"{folder}: the clips for which extract failed are left out "
            f"({batches.num_left_out} of {batches.num_left_out + len(batches.dataset)} clips)"
        )
    if untagged and batches.dataset.info.get(datadir.TAGS) != datadir.COMPLETE:
        _LOG.warning(
            f"{folder}: all classes count as absent in the clips without tags "
            f"({untagged} of {len(batches.dataset)} clips)"
        )


def _told(added: Added, fit_set: PathLike, batch_size: int) -> str:
    """Return a message that says how a set is used."""
    clips = counted(len(added.dataset), "clip")
    if added.number is None:
        return f"{added.folder}: {clips}, drawn together with the clips of {fit_set}"
    return f"{added.folder}: {clips}; {added.number} of the {batch_size} clips of each batch"
