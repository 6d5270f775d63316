"""A bank of recordings, and its split into pools that share no source recording."""

import dataclasses
import os
import re
from pathlib import Path

import numpy as np

from wsedtk.core.config import nearest, suggest
from wsedtk.core.errors import InputError
from wsedtk.data.clip_names import AUDIO_EXTENSIONS
from wsedtk.data.folders import look
from wsedtk.data.tables import normal

BUILTIN = "builtin"
MAX_GROUPS = 10
_NAME = re.compile(r"(\d+)-([^-]+)-([^-]+)")
_GROUPS = 5


@dataclasses.dataclass(frozen=True)
class Recording:
    """One file of a bank."""

    path: Path
    label: str  # its class folder
    fold: int
    source: str  # the id that all takes of one source recording share


@dataclasses.dataclass(frozen=True)
class Pool:
    """What a soundscape may draw from."""

    events: dict  # class -> recordings
    backgrounds: list  # recordings


def scan(bank_dir):
    """List the recordings of a bank, sorted, as {class folder: recordings}. Raises InputError on names of another form."""
    bank_dir = Path(bank_dir)
    if not os.path.isdir(bank_dir):
        near = nearest(bank_dir, [BUILTIN])
        raise InputError(
            f"{bank_dir}: no such folder; a bank is a folder of class folders with recordings, "
            f"or the word {BUILTIN}" + (f"; did you mean {near!r}?" if near else "")
        )
    found, folders = {}, {}
    for folder in (bank_dir / name for name in look(bank_dir)[0] if not name.startswith(".")):
        label = normal(folder.name)
        if label in found:
            raise InputError(
                f"{folder}: is the class of {folders[label]} in another Unicode form; "
                "put what they hold into one folder"
            )
        found[label], folders[label] = [], folder
        for path in (folder / name for name in look(folder)[1]):
            if path.suffix.lower() not in AUDIO_EXTENSIONS or path.name.startswith("."):
                continue
            match = _NAME.fullmatch(path.stem)
            if not match:
                raise InputError(
                    f"{path}: expected a name like 1-100032-A{path.suffix} (fold-id-take, the fold a whole number), "
                    f"found {path.name!r}; rename it so that it says its fold and source recording"
                )
            found[label].append(Recording(path, label, int(match[1]), normal(match[2])))
    if not found:
        raise InputError(
            f"{bank_dir}: holds no class folders; expected one folder a class, with recordings in each"
        )
    return found


def _check_backgrounds(bank_dir, found, backgrounds):
    """Raise InputError unless the backgrounds are class folders, and leave some class for events."""
    if not backgrounds:
        raise InputError(
            f"{bank_dir}: no background was named; say which of its class folders are backgrounds: "
            f"{', '.join(found)}"
        )
    for name in backgrounds:
        if name not in found:
            raise InputError(
                f"{bank_dir}: holds no class folder {name!r} to be a background; {suggest(name, found)}"
            )
    if not set(found) - set(backgrounds):
        raise InputError(
            f"{bank_dir}: every class folder is a background, none is left for events; name fewer backgrounds"
        )


def _check_folds(bank_dir, found, test_folds):
    """Raise InputError unless every class has recordings on both sides and no source recording lies on both."""
    folds = sorted({r.fold for recordings in found.values() for r in recordings})
    training_folds = [f for f in folds if f not in test_folds]
    for label, recordings in found.items():
        for side, wanted in (("test", sorted(set(test_folds))), ("training", training_folds)):
            if not any(r.fold in wanted for r in recordings):
                raise InputError(
                    f"{bank_dir}: the class {label!r} has no recording in the {side} folds {wanted}; "
                    f"the bank has the folds {folds}: choose other test folds, or take the class out"
                )
    side_of = {}
    for r in (r for recordings in found.values() for r in recordings):
        other = side_of.setdefault(r.source, r)
        if (other.fold in test_folds) != (r.fold in test_folds):
            raise InputError(
                f"{r.path}: the id {r.source!r} lies in fold {r.fold} and, as {other.path}, in fold {other.fold}: "
                "one for testing, one for training; put all takes of a source recording into one fold"
            )


def _deal(lists, num_groups, group_of):
    """Deal the ids of each list to the groups with the fewest of that list, into the dict `group_of`, {id: group}."""
    for ids in lists:
        counts = np.bincount([group_of[i] for i in ids if i in group_of], minlength=num_groups)
        for i in (i for i in ids if i not in group_of):
            group_of[i] = int(counts.argmin())
            counts[group_of[i]] += 1


def split(bank_dir, backgrounds, test_folds, seed):
    """Split a bank as `prepare` does. Returns (G training pools, test pool); no source recording is in two of them.

    The exception: with fewer background ids than groups, groups share backgrounds. Raises InputError.
    """
    found = scan(bank_dir)
    _check_backgrounds(bank_dir, found, backgrounds)
    _check_folds(bank_dir, found, test_folds)
    labels = [label for label in found if label not in backgrounds]
    training = {
        label: [r for r in recordings if r.fold not in test_folds]
        for label, recordings in found.items()
    }
    rng = np.random.default_rng((seed, 0, 0, _GROUPS))
    shuffled = {
        label: rng.permutation(sorted({r.source for r in training[label]})).tolist()
        for label in found
    }
    scarce_first = sorted((shuffled[label] for label in labels), key=len)
    background_ids = list(
        dict.fromkeys(i for label in found if label in backgrounds for i in shuffled[label])
    )
    for num_groups in range(min(MAX_GROUPS, len(scarce_first[0])), 0, -1):
        group_of = {}
        _deal(scarce_first, num_groups, group_of)
        if all(len({group_of[i] for i in ids}) == num_groups for ids in scarce_first):
            break  # always so, unless classes share ids: then fewer groups can still give each group every class
    _deal([background_ids], num_groups, group_of)
    pools = []
    for g in range(num_groups):
        events = {
            label: [r for r in training[label] if group_of[r.source] == g] for label in labels
        }
        beds = [r for label in backgrounds for r in training[label] if group_of[r.source] == g]
        if not beds:  # fewer background ids than groups: this one uses an id again, so a validation split may share it
            again = background_ids[g % len(background_ids)]
            beds = [r for label in backgrounds for r in training[label] if r.source == again]
        pools.append(Pool(events, beds))
    test = {
        label: [r for r in recordings if r.fold in test_folds]
        for label, recordings in found.items()
    }
    return pools, Pool(
        {label: test[label] for label in labels}, [r for label in backgrounds for r in test[label]]
    )
