"""Split a bank of recordings into pools that do not share source recordings.

A bank is a folder of class folders. Recordings are named `<fold>-<id>-<take>.<ext>`, as in ESC-10
and ESC-50. All takes of one id come from the same source recording, even if they are in different
class folders. Some classes are backgrounds, and the other classes are events.

G groups.
"""

import dataclasses
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wsedtk.core.config import nearest, suggest
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.data.clip_names import AUDIO_EXTENSIONS
from wsedtk.data.folders import look
from wsedtk.data.tables import normal

BUILTIN = "builtin"
MAX_GROUPS = 10
_NAME = re.compile(r"(\d+)-([^-]+)-([^-]+)")
_GROUPS = 5  # the purpose of the random generator, as part of its seed


@dataclasses.dataclass(frozen=True)
class Recording:
    """One file of a bank.

    Attributes
    ----------
    path : Path
        The sound file.
    label : str
        The name of its class folder.
    fold : int
        The number of its fold.
    source : str
        The id that all takes of one source recording share.
    """

    path: Path
    label: str
    fold: int
    source: str


@dataclasses.dataclass(frozen=True)
class Pool:
    """The recordings that can be mixed into a soundscape.

    Attributes
    ----------
    events : mapping of str to sequence of Recording
        The recordings of each event class.
    backgrounds : sequence of Recording
        The recordings of all background classes.
    """

    events: Mapping[str, Sequence[Recording]]
    backgrounds: Sequence[Recording]


class Pools(NamedTuple):
    """The pools of the training soundscapes (G,), and the pool of the test soundscapes."""

    train: list[Pool]
    test: Pool


def scan(bank_dir: PathLike) -> dict[str, list[Recording]]:
    """List the recordings of a bank, sorted, as {class folder: recordings}.

    Raises
    ------
    InputError
        If the folder is not a bank, or a file name does not have the form <fold>-<id>-<take>.
    """
    bank_dir = Path(bank_dir)
    if not os.path.isdir(bank_dir):
        near = nearest(bank_dir, [BUILTIN])
        suggestion = f"; did you mean {near!r}?" if near else ""
        raise InputError(
            f"{bank_dir}: no such folder; a bank is a folder of class folders with recordings, "
            f"or the word {BUILTIN}{suggestion}"
        )
    found: dict[str, list[Recording]] = {}
    folders: dict[str, Path] = {}
    for folder in (bank_dir / name for name in look(bank_dir)[0] if not name.startswith(".")):
        label = normal(folder.name)
        if label in found:
            raise InputError(
                f"{folder}: has the name of {folders[label]} in another Unicode form; "
                "put the files of both into one folder"
            )
        found[label], folders[label] = _recordings(folder, label), folder
    if not found:
        raise InputError(
            f"{bank_dir}: holds no class folders; expected one folder per class, with recordings "
            "in each"
        )
    return found


def _recordings(folder: Path, label: str) -> list[Recording]:
    """Return the recordings of a class folder. Raises InputError if a file name is invalid."""
    recordings = []
    for path in (folder / name for name in look(folder)[1]):
        if path.suffix.lower() not in AUDIO_EXTENSIONS or path.name.startswith("."):
            continue
        match = _NAME.fullmatch(path.stem)
        if not match:
            raise InputError(
                f"{path}: expected a name like 1-100032-A{path.suffix} (fold-id-take, the fold a "
                f"whole number), found {path.name!r}; rename it so that it says its fold and "
                "source recording"
            )
        recordings.append(Recording(path, label, int(match[1]), normal(match[2])))
    return recordings


def _check_backgrounds(
    bank_dir: PathLike, found: Mapping[str, object], backgrounds: Sequence[str]
) -> None:
    """Raise InputError unless all backgrounds are class folders and other classes remain."""
    if not backgrounds:
        raise InputError(
            f"{bank_dir}: no background was named; say which of its class folders are "
            f"backgrounds: {', '.join(found)}"
        )
    for name in backgrounds:
        if name not in found:
            raise InputError(
                f"{bank_dir}: holds no class folder {name!r} to be a background; "
                f"{suggest(name, found)}"
            )
    if not set(found) - set(backgrounds):
        raise InputError(
            f"{bank_dir}: every class folder is a background, none is left for events; name fewer "
            "backgrounds"
        )


def _check_folds(
    bank_dir: PathLike, found: Mapping[str, Sequence[Recording]], test_folds: Sequence[int]
) -> None:
    """Check the split into test folds and training folds.

    Raises InputError if a class has no recordings in one of the two parts, or if takes of a source
    recording are in both.
    """
    folds = sorted({r.fold for recordings in found.values() for r in recordings})
    training_folds = [fold for fold in folds if fold not in test_folds]
    for label, recordings in found.items():
        for side, wanted in (("test", sorted(set(test_folds))), ("training", training_folds)):
            if not any(r.fold in wanted for r in recordings):
                raise InputError(
                    f"{bank_dir}: the class {label!r} has no recording in the {side} folds "
                    f"{wanted}; the bank has the folds {folds}: choose other test folds, or take "
                    "the class out"
                )
    first_of: dict[str, Recording] = {}
    for r in (r for recordings in found.values() for r in recordings):
        other = first_of.setdefault(r.source, r)
        if (other.fold in test_folds) != (r.fold in test_folds):
            raise InputError(
                f"{r.path}: the id {r.source!r} is in fold {r.fold} and, as {other.path}, in "
                f"fold {other.fold}: one for testing, one for training; put all takes of a source "
                "recording into one fold"
            )


def _deal(ids: Iterable[str], num_groups: int, group_of: dict[str, int]) -> None:
    """Assign each new id to the group with the fewest of `ids`. Updates `group_of`, {id: group}."""
    ids = list(ids)
    counts = np.bincount([group_of[i] for i in ids if i in group_of], minlength=num_groups)
    for i in ids:
        if i not in group_of:
            group_of[i] = int(counts.argmin())
            counts[group_of[i]] += 1


class _Groups(NamedTuple):
    """The number of groups, and the group of each id."""

    num_groups: int
    group_of: dict[str, int]


def _deal_events(ids_of_classes: Iterable[Sequence[str]]) -> _Groups:
    """Split the ids into as many groups as possible. Each group contains all event classes."""
    scarce_first = sorted(ids_of_classes, key=len)
    for count in range(min(MAX_GROUPS, len(scarce_first[0])), 1, -1):
        group_of: dict[str, int] = {}
        for ids in scarce_first:
            _deal(ids, count, group_of)
        # The condition can be false only if classes share ids.
        if all(len({group_of[i] for i in ids}) == count for ids in scarce_first):
            return _Groups(count, group_of)
    return _Groups(1, {i: 0 for ids in scarce_first for i in ids})


def split(
    bank_dir: PathLike, backgrounds: Sequence[str], test_folds: Sequence[int], seed: int
) -> Pools:
    """Split a bank into training pools and a test pool.

    The test pool shares no source recording with the training pools. Training pools share
    backgrounds only if there are fewer background ids than groups.

    Parameters
    ----------
    bank_dir : path-like
        The bank.
    backgrounds : sequence of str
        The class folders that are backgrounds.
    test_folds : sequence of int
        The folds of the test pool.
    seed : int
        Seed of the order in which ids are assigned to groups.

    Returns
    -------
    Pools

    Raises
    ------
    InputError
        If the bank cannot be split in this way.
    """
    found = scan(bank_dir)
    _check_backgrounds(bank_dir, found, backgrounds)
    _check_folds(bank_dir, found, test_folds)
    labels = [label for label in found if label not in backgrounds]
    training, test = (
        {
            label: [r for r in recordings if (r.fold in test_folds) == is_test]
            for label, recordings in found.items()
        }
        for is_test in (False, True)
    )
    rng = np.random.default_rng((seed, 0, 0, _GROUPS))
    shuffled: dict[str, list[str]] = {
        label: rng.permutation(sorted({r.source for r in training[label]})).tolist()
        for label in found
    }
    num_groups, group_of = _deal_events(shuffled[label] for label in labels)
    background_ids = list(
        dict.fromkeys(i for label in found if label in backgrounds for i in shuffled[label])
    )
    _deal(background_ids, num_groups, group_of)
    pools = []
    for g in range(num_groups):
        events = {
            label: [r for r in training[label] if group_of[r.source] == g] for label in labels
        }
        beds = [r for label in backgrounds for r in training[label] if group_of[r.source] == g]
        if not beds:
            shared = background_ids[g % len(background_ids)]
            beds = [r for label in backgrounds for r in training[label] if r.source == shared]
        pools.append(Pool(events, beds))
    test_beds = [r for label in backgrounds for r in test[label]]
    return Pools(pools, Pool({label: test[label] for label in labels}, test_beds))
