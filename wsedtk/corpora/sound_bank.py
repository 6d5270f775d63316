"""Split a sound bank into pools of recordings, for training and for testing.

A bank is a folder of class folders. Some classes are backgrounds, and the other classes are events.
Backgrounds can also be in a folder elsewhere.

Recordings can be named `<fold>-<id>-<take>.<ext>`, as in ESC-10 and ESC-50. A take is an excerpt of
a source recording. All takes with the same id come from the same source recording, even if they are
in different class folders. If no recording of the bank has such a name, the source recordings are
divided into folds. The source is then the recording in the file name (see `clip_names.source_of`).

Shapes: G groups of training recordings.
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
from wsedtk.data.clip_names import AUDIO_EXTENSIONS, source_of
from wsedtk.data.folders import as_text, look, walk
from wsedtk.data.tables import normal

BUILTIN = "builtin"
BACKGROUND = "background"
MAX_GROUPS = 10
_UNKNOWN_FOLD = -1
_NAME = re.compile(r"(\d+)-([^-]+)-([^-]+)")
# The folds of recordings whose names contain no fold. Scarce classes get the first of these folds,
# so that two recordings are enough if the test fold is 4, as it is by default.
_FOLDS = (4, 1, 2, 3, 5)
_GROUPS = 5  # a number in the seed of the random generator (see `wsedtk.corpora.soundscapes`)


@dataclasses.dataclass(frozen=True)
class Recording:
    """One file of a bank.

    Attributes
    ----------
    path : Path
        The sound file.
    label : str
        The name of the class folder.
    fold : int
        The number of the fold.
    source : str
        The id of the source recording. All takes of one source recording have the same id.
    """

    path: Path
    label: str
    fold: int
    source: str

    @property
    def has_fold(self) -> bool:
        """Whether the name of the file contains the fold."""
        return self.fold != _UNKNOWN_FOLD


@dataclasses.dataclass(frozen=True)
class Pool:
    """The recordings that can be mixed into a soundscape.

    Attributes
    ----------
    events : mapping of str to sequence of Recording
        The event recordings of the pool, by event class.
    backgrounds : sequence of Recording
        The background recordings of the pool.
    """

    events: Mapping[str, Sequence[Recording]]
    backgrounds: Sequence[Recording]


class Pools(NamedTuple):
    """The pools for training soundscapes, one for each of G groups, and the pool for testing.

    The pool for testing is None if no fold is a test fold.
    """

    train: list[Pool]
    test: Pool | None


def scan(bank_dir: PathLike) -> dict[str, list[Recording]]:
    """Return the recordings of a bank with their folds. See `_scan`."""
    return _with_folds(_scan(bank_dir))


def _scan(bank_dir: PathLike) -> dict[str, list[Recording]]:
    """Return the recordings of a bank, as {class folder: recordings}.

    The class folders and the recordings are sorted by name. Subfolders of class folders are
    searched, too. Files that are not sound files are ignored, and so are folders and files whose
    names begin with a dot.

    Raises
    ------
    InputError
        If the folder is not a bank, if a class folder can't be entered, if the names of two class
        folders differ only in their Unicode form, or if only some of the names of the sound files
        have the form <fold>-<id>-<take>.<ext>.
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
                f"{folder}: the names of this folder and of {folders[label]} differ only in their "
                "Unicode form; put the files of both folders into one folder"
            )
        found[label], folders[label] = _recordings(folder, label), folder
    if not found:
        raise InputError(
            f"{bank_dir}: contains no class folders; expected a folder with recordings for each "
            "class"
        )
    _check_same_form([one for recordings in found.values() for one in recordings])
    return found


def _recordings(folder: Path, label: str) -> list[Recording]:
    """Return the recordings in a folder and its subfolders.

    The fold is _UNKNOWN_FOLD if the name of a file contains none. Raises InputError if the folder
    can't be entered.
    """
    recordings = []
    for path in sorted(Path(parent, name) for parent, names in walk(folder) for name in names):
        if path.suffix.lower() not in AUDIO_EXTENSIONS or path.name.startswith("."):
            continue
        fold, source = _UNKNOWN_FOLD, source_of(normal(as_text(path.name)))
        match = _NAME.fullmatch(path.stem)
        if match:
            fold, source = int(match[1]), normal(match[2])
        recordings.append(Recording(path, label, fold, source))
    return recordings


def _check_same_form(recordings: Sequence[Recording]) -> None:
    """Raise InputError if only some of the names of recordings contain a fold."""
    unnamed = [one.path for one in recordings if not one.has_fold]
    if unnamed and len(unnamed) < len(recordings):
        path = unnamed[0]
        raise InputError(
            f"{path}: expected a name like 1-100032-A{path.suffix} (fold-id-take, where fold "
            f"is an integer and id is the source recording), found {path.name!r}; rename the "
            "file, or rename all files so that no name has this form"
        )


def _with_folds(found: Mapping[str, Sequence[Recording]]) -> dict[str, list[Recording]]:
    """Divide the recordings whose names contain no fold into folds.

    All recordings of a source are in one fold, and the sources of each class are divided about
    equally.
    """
    place_of: dict[str, int] = {}
    unnamed = {
        label: sorted({one.source for one in recordings if not one.has_fold})
        for label, recordings in found.items()
    }
    for sources in sorted(unnamed.values(), key=len):
        _deal(sources, len(_FOLDS), place_of)
    return {
        label: [
            one if one.has_fold else dataclasses.replace(one, fold=_FOLDS[place_of[one.source]])
            for one in recordings
        ]
        for label, recordings in found.items()
    }


def _add_backgrounds(
    bank_dir: PathLike, found: Mapping[str, Sequence[Recording]], backgrounds: Sequence[str]
) -> tuple[dict[str, list[Recording]], list[str]]:
    """Find the backgrounds: class folders of the bank, or folders elsewhere.

    Return the recordings by class, with an additional class for each folder elsewhere, and the
    classes that are backgrounds. A class folder named `background` is always one of them.

    Raises InputError if a folder elsewhere is in the bank, contains the bank or has no recordings.
    """
    by_label = {label: list(recordings) for label, recordings in found.items()}
    labels = [label for label in found if label.lower() == BACKGROUND]
    for text in backgrounds:
        if normal(text) in found or not os.path.isdir(text):
            labels.append(normal(text))
            continue
        real, bank = os.path.realpath(text), os.path.realpath(bank_dir)
        inside = [label for label in found if real == os.path.join(bank, label)]
        if inside:
            labels += inside
            continue
        if os.path.commonpath([real, bank]) in (real, bank):
            raise InputError(
                f"--background {text}: is no class folder of {bank_dir}, but one of the two "
                "folders contains the other; give the name of a class folder, or a folder elsewhere"
            )
        by_label[text] = _recordings(Path(text), text)
        if not by_label[text]:
            raise InputError(f"--background {text}: contains no sound files")
        _check_same_form(by_label[text])
        labels.append(text)
    return by_label, list(dict.fromkeys(labels))


def _check_backgrounds(
    bank_dir: PathLike, found: Mapping[str, object], backgrounds: Sequence[str]
) -> None:
    """Check the class folders that are backgrounds.

    Raises InputError if no background is named, if a background is not a class folder, or if no
    other class folder remains for events.
    """
    if not backgrounds:
        raise InputError(
            f"{bank_dir}: no background was named; give --background with one of the class "
            f"folders: {', '.join(found)}"
        )
    for name in backgrounds:
        if name not in found:
            raise InputError(
                f"{bank_dir}: contains no class folder {name!r} for --background; "
                f"{suggest(name, found)}"
            )
    if not set(found) - set(backgrounds):
        raise InputError(
            f"{bank_dir}: every class folder is a background, and no class folder remains for "
            "events; give fewer class folders with --background"
        )


def _check_folds(
    bank_dir: PathLike, found: Mapping[str, Sequence[Recording]], test_folds: Sequence[int]
) -> None:
    """Check the split into test folds and training folds.

    Raises InputError if a class has no recordings in the test folds or in the training folds, or
    if some takes of a source recording are in test folds and other takes are in training folds.
    """
    folds = sorted({r.fold for recordings in found.values() for r in recordings})
    training_folds = [fold for fold in folds if fold not in test_folds]
    for label, recordings in found.items():
        for side, wanted in (("test", sorted(set(test_folds))), ("training", training_folds)):
            if side == "test" and not wanted:
                continue
            if not any(r.fold in wanted for r in recordings):
                raise InputError(
                    f"{bank_dir}: the class {label!r} has no recording in the {side} folds "
                    f"{wanted}; the bank has the folds {folds}; choose other test folds "
                    "(--test-folds), use all folds for training (--all-folds), or remove the class "
                    "from the bank"
                )
    first_of: dict[str, Recording] = {}
    for r in (r for recordings in found.values() for r in recordings):
        other = first_of.setdefault(r.source, r)
        if (other.fold in test_folds) != (r.fold in test_folds):
            raise InputError(
                f"{r.path}: the id {r.source!r} is in fold {r.fold}, but {other.path} has the same "
                f"id and is in fold {other.fold}, and only one of these folds is a test fold; "
                "rename the files so that all takes of a source recording are in one fold"
            )


def _deal(ids: Iterable[str], num_groups: int, group_of: dict[str, int]) -> None:
    """Assign each id that has no group to the group that contains the fewest of `ids`.

    The assignments are added to `group_of`, which is {id: group}.
    """
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
    """Split the ids of the event classes into groups.

    The number of groups is at most MAX_GROUPS. Each group must contain all event classes, so the
    class with the fewest ids also limits the number of groups. Larger numbers of groups are tried
    first. The first split in which each group contains all event classes is returned.
    """
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

    The test pool shares no source recording with the training pools. Two training pools never share
    recordings of events. They share backgrounds only if a pool would otherwise have no background.

    Parameters
    ----------
    bank_dir : path-like
        The bank.
    backgrounds : sequence of str
        The class folders that are backgrounds, and the paths of other folders with backgrounds. A
        class folder named `background` is always one of them.
    test_folds : sequence of int
        The folds of the test pool. If there are none, there is no test pool.
    seed : int
        Seed of the random order in which ids are assigned to groups.

    Returns
    -------
    Pools

    Raises
    ------
    InputError
        If the folder is not a bank, or if the bank cannot be split in this way.
    """
    found, backgrounds = _add_backgrounds(bank_dir, _scan(bank_dir), backgrounds)
    found = _with_folds(found)
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
    if not test_folds:
        return Pools(pools, None)
    test_beds = [r for label in backgrounds for r in test[label]]
    return Pools(pools, Pool({label: test[label] for label in labels}, test_beds))
