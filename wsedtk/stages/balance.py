"""balance: a training set -> a fit set and a balanced validation set.

In the shapes, N is the number of clips, and K is the number of classes.
"""

import dataclasses
import logging
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsedtk.core.errors import InputError
from wsedtk.core.types import Booleans
from wsedtk.core.wording import counted
from wsedtk.data import clip_sets, datadir
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.context import context_warning
from wsedtk.stages.options.systems import BalanceOptions

_LOG = logging.getLogger(__name__)

MADE_BY = "balance"

Indices = npt.NDArray[np.int64]


class ClassCounts(NamedTuple):
    """The numbers of clips of one class in the split.

    Attributes
    ----------
    label : str
        The class.
    num_clips, num_fit, num_valid : int
        Number of clips of the class in the whole set, the fit set and the validation set.
    num_sources : int
        Number of sources that the clips of the class come from.
    is_exhausted : bool
        Whether the class got no clip in a turn, because no further source of its clips could be
        held out. `split` explains the turns.
    """

    label: str
    num_clips: int
    num_fit: int
    num_valid: int
    num_sources: int
    is_exhausted: bool


@dataclasses.dataclass(frozen=True)
class BalanceResult:
    """The result of `run`: the two parts of a set.

    Attributes
    ----------
    fit_set, valid_set : Path
        The data directories that were written.
    num_clips, num_fit, num_valid : int
        Number of clips of the whole set and of its parts. Some clips of held-out sources can be in
        neither part.
    classes : tuple of ClassCounts
        The counts of each class, in the order of labels.txt.
    """

    fit_set: Path
    valid_set: Path
    num_clips: int
    num_fit: int
    num_valid: int
    classes: tuple[ClassCounts, ...]


class Split(NamedTuple):
    """Masks (N,) of the fit set and the validation set, and the indices of exhausted classes.

    `ClassCounts.is_exhausted` explains which classes are exhausted.
    """

    fit: Booleans
    valid: Booleans
    exhausted: Indices


class _Drawing:
    """For each class, the order in which its clips are drawn.

    Clips of sources that are already held out come first. The other clips follow in random order.
    Clips without tags are treated as an additional class. Clips with unknown tags have no class.
    """

    def __init__(self, dataset: DataSet, sources: Indices, rng: np.random.Generator) -> None:
        self.dataset, self.sources = dataset, sources
        clips = dataset.clips_of_classes()
        self.unknown = dataset.has_unknown_tags()
        self.waiting = [rng.permutation(members) for members in clips]
        self.next_waiting = [0] * len(clips)
        self.opened: list[list[int]] = [[] for _ in clips]
        # The clips of source s are members[starts[s] : starts[s + 1]].
        self.members = np.argsort(sources, kind="stable")
        self.starts = np.cumsum(np.append(0, np.bincount(sources)))
        # For each class, the number of clips in sources that are not held out.
        self.left_to_fit = np.array([len(members) for members in clips])
        self.least_to_fit = (self.left_to_fit + 1) // 2  # at least half of the clips
        self.is_open = np.zeros(len(self.starts) - 1, bool)  # whether each source is held out

    def classes_of(self, clip: int) -> list[int]:
        """Return the classes of a clip. A clip without tags has only the additional class."""
        if self.unknown[clip]:
            return []
        tags: list[int] = self.dataset.tags_of(clip).tolist()
        return tags or [len(self.dataset.labels)]

    def draw(self, label: int, is_taken: Booleans) -> int | None:
        """Return a clip that has the class and is not taken yet. Hold out the source of the clip.

        Return None if there is no such clip, or if the sources of these clips can't be held out.
        """
        while self.opened[label]:
            clip = self.opened[label].pop()
            if not is_taken[clip]:
                return clip
        while self.next_waiting[label] < len(self.waiting[label]):
            clip = int(self.waiting[label][self.next_waiting[label]])
            self.next_waiting[label] += 1
            if not is_taken[clip] and self._open(self.sources[clip]):
                return clip
        return None

    def _open(self, source: np.int64) -> bool:
        """Hold out a source if enough clips of each class remain for training.

        Return whether this call held out the source. If the source is already held out, return
        False.
        """
        if self.is_open[source]:
            return False
        members = self.members[self.starts[source] : self.starts[source + 1]].tolist()
        pairs = [(k, member) for member in members for k in self.classes_of(member)]
        cost = np.bincount([k for k, _ in pairs], minlength=len(self.left_to_fit))
        if (self.left_to_fit - cost < np.minimum(self.least_to_fit, self.left_to_fit)).any():
            return False
        self.left_to_fit -= cost
        self.is_open[source] = True
        for k, member in pairs:
            self.opened[k].append(member)
        return True


def split(dataset: DataSet, num_valid: int, seed: int) -> Split:
    """Choose a balanced set of clips to hold out.

    Clips with tags and clips without tags are held out in proportion to their numbers in the set.
    Clips with tags are held out in turns. In turn t, each class with fewer than t held-out clips
    gets one more clip. The rarest class comes first. The turns end when enough clips with tags are
    held out, or when no class can get a further clip.

    At least half of the clips of each class, and at least half of the clips without tags, remain
    for training.

    Clips with unknown tags are never held out for validation.

    The fit set and the validation set never contain clips of the same source (see
    `clip_sets.sources`). If a source is held out, and some of its clips are not chosen for the
    validation set, these clips are in neither set.

    Source: Wang, Li & Metze (2019, section 3.1). They hold out a balanced set of 1,142 of the
    51,172 clips of DCASE 2017.

    Parameters
    ----------
    dataset : DataSet
        The whole set.
    num_valid : int
        Maximum number of clips to hold out.
    seed : int
        Seed of the random choice of clips.

    Returns
    -------
    Split
    """
    (sources,) = clip_sets.sources(dataset)
    drawing = _Drawing(dataset, sources, np.random.default_rng(seed))
    *counts, num_untagged = drawing.left_to_fit.tolist()
    num_known = len(dataset) - int(drawing.unknown.sum())
    num_tagged = num_valid - round(num_valid * num_untagged / max(num_known, 1))
    valid, held, num_held = np.zeros(len(dataset), bool), np.zeros(len(counts), np.int64), 0
    rarest_first = [k for k in np.argsort(counts, kind="stable").tolist() if counts[k]]
    turn, exhausted = 0, []
    while rarest_first and num_held < num_tagged:
        turn += 1
        for k in list(rarest_first):
            if held[k] >= turn or num_held >= num_tagged:
                continue
            clip = drawing.draw(k, valid)
            if clip is None:
                rarest_first.remove(k)
                exhausted.append(k)
                continue
            valid[clip] = True
            held[dataset.tags_of(clip)] += 1
            num_held += 1
    for _ in range(num_valid - num_tagged):
        clip = drawing.draw(len(counts), valid)
        if clip is None:
            break
        valid[clip] = True
    return Split(~drawing.is_open[sources], valid, np.array(sorted(exhausted), np.int64))


def _sources_per_class(dataset: DataSet) -> list[int]:
    """Return, for each of the K classes, the number of sources that its clips come from."""
    (sources,) = clip_sets.sources(dataset)
    pairs = np.unique(sources[dataset.tag_clip] * len(dataset.labels) + dataset.tag_label)
    counts: list[int] = np.bincount(
        pairs % len(dataset.labels), minlength=len(dataset.labels)
    ).tolist()
    return counts


def _class_counts(
    dataset: DataSet, fit: DataSet, valid: DataSet, exhausted: Indices
) -> tuple[ClassCounts, ...]:
    in_all, in_fit, in_valid = (part.clips_per_class() for part in (dataset, fit, valid))
    num_sources = _sources_per_class(dataset)
    return tuple(
        ClassCounts(
            label, int(in_all[k]), int(in_fit[k]), int(in_valid[k]), num_sources[k], k in exhausted
        )
        for k, label in enumerate(dataset.labels)
    )


def run(options: BalanceOptions) -> BalanceResult:
    """Hold out a validation set, as `wsedtk balance` does.

    Parameters
    ----------
    options : BalanceOptions
        The set to split, the two data directories to write, and the settings.

    Returns
    -------
    BalanceResult

    Raises
    ------
    InputError
        If an input is wrong, if a folder to write contains a data set that `balance` did not make,
        or if no clip can be held out.

    Examples
    --------
    >>> result = run(BalanceOptions("data/train", "data/fit", "data/valid", num_valid=100))
    >>> result.num_fit, result.num_valid
    """
    data_set, num_valid = options.data_set, options.num_valid
    fit_set, valid_set = Path(options.fit_set), Path(options.valid_set)
    dataset = datadir.read(data_set)
    unknown = dataset.has_unknown_tags()
    num_known = len(dataset) - int(unknown.sum())
    if not num_known:
        raise InputError(
            f"{data_set}: the tags of all clips are unknown, so no balanced set can be held out; "
            "split a set with tags"
        )
    if not 1 <= num_valid < num_known:
        with_tags = " with known tags" if unknown.any() else ""
        raise InputError(
            f"num_valid: found {num_valid}; expected a number of at least 1 and below "
            f"{num_known}, the number of clips{with_tags} in {data_set}"
        )
    if unknown.any():
        _LOG.warning(
            f"{data_set}: the clips with unknown tags are not used for validation "
            f"({counted(len(dataset) - num_known, 'clip')})"
        )
    if len({os.path.realpath(folder) for folder in (data_set, fit_set, valid_set)}) < 3:
        raise InputError(
            f"{data_set}, {fit_set}, {valid_set}: two of these paths are the same folder; name "
            "three different folders"
        )
    for folder in (fit_set, valid_set):
        datadir.check_overwrite(folder, MADE_BY)
    context = context_warning(dataset)
    if context is not None:
        _LOG.warning(f"{data_set}: {context}")
    found = split(dataset, num_valid, options.seed)
    if not found.valid.any():
        raise InputError(
            f"{data_set}: no clip can be held out, because every source contains more than half of "
            "the clips of a class; if the sources are wrong, define them in a column `group` of "
            "clips.tsv"
        )
    fit, valid = dataset.select(found.fit), dataset.select(found.valid)
    for part, folder in ((fit, fit_set), (valid, valid_set)):
        info = {
            **dataset.info,
            "made_by": MADE_BY,
            "official_clips": len(part),
            "seed_of_split": options.seed,
            "source_fingerprint": dataset.fingerprint(),
        }
        datadir.write(folder, dataclasses.replace(part, info=info))
    classes = _class_counts(dataset, fit, valid, found.exhausted)
    return BalanceResult(fit_set, valid_set, len(dataset), len(fit), len(valid), classes)
