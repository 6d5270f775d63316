"""Hold out whole groups or recordings of a set for validation.

In the shapes, N is the number of clips, and K is the number of classes.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsedtk.core.types import Booleans
from wsedtk.data import clip_sets
from wsedtk.data.clip_sets import DataSet

Indices = npt.NDArray[np.int64]


class Part(NamedTuple):
    """The part of a recording that is held out: its recording, and its times in seconds."""

    recording: str
    start: float
    end: float


class Split(NamedTuple):
    """The result of a split.

    Attributes
    ----------
    fit, valid : (N,) bool
        Masks of the fit set and the validation set.
    exhausted : (C,) int
        The indices of the classes of which fewer clips could be held out than wanted.
    parts : tuple of Part, or None
        The held-out parts of recordings. None if whole groups or recordings are held out.
    """

    fit: Booleans
    valid: Booleans
    exhausted: Indices
    parts: tuple[Part, ...] | None = None


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
