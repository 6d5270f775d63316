"""Split recordings that are cut into clips by time.

In the shapes, N is the number of clips of a set, M is the number of clips of one recording, W is
the number of parts that could be held out, and K is the number of classes. Clips without tags are
treated as an additional class.
"""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsedtk.core.errors import InputError
from wsedtk.core.types import Booleans, Floats, Integers
from wsedtk.core.wording import counted
from wsedtk.data import group_split
from wsedtk.data.clip_names import excerpt_times, recording_of
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.group_split import Part, Split
from wsedtk.data.set_tables import TEXT
from wsedtk.data.tables import first

_LOG = logging.getLogger(__name__)

GAP_SECONDS = 10.0  # the default of the guard gap
_EPSILON = 1e-6  # seconds; times in names have three decimals
_MOST_SWEEPS = 50


class Times(NamedTuple):
    """The recording (N,) of each clip, and its start and end (N,) in seconds, or NaN."""

    recordings: npt.NDArray[np.str_]
    starts: Floats
    ends: Floats


def clip_times(dataset: DataSet) -> Times:
    """Return the recording and the times of each clip of a set, according to its name.

    The times are those in `<recording>_<start>_<end>` (see `clip_names.excerpt_times`). If the clip
    is longer than the difference of these numbers, they are not used as times. Clips of the same
    recording in several folders, and the channels of a recording, belong to one recording, unless
    they have different groups.
    """
    longest = dataset.durations.copy()  # the end of the clip or of its last event, in seconds
    if dataset.events is not None:
        np.maximum.at(longest, dataset.events.clip, dataset.events.offset)
    groups = [""] * len(dataset) if dataset.groups is None else dataset.groups.tolist()
    recordings, times = [], np.full((len(dataset), 2), np.nan)
    for i, (name, group) in enumerate(zip(dataset.filenames.tolist(), groups)):
        times[i] = excerpt_times(name, longest[i]) or (np.nan, np.nan)
        recording = recording_of(name, longest[i])
        file = recording.rpartition("/")[2]
        if group and group.rpartition("/")[2] == file:
            recording = group
        elif group:
            recording = f"{group}: {file}"
        recordings.append(recording)
    return Times(np.array(recordings, str), times[:, 0], times[:, 1])


class _Counts(NamedTuple):
    """The parts of one recording that could be held out, with their numbers of clips per class.

    Attributes
    ----------
    num_clips : int
        The number of clips of each part.
    held : (W, K + 1) int
        The clips in each part. Part w begins with clip w of the recording.
    left : (W, K + 1) int
        The clips of the recording that stay for training if the part is held out.
    """

    num_clips: int
    held: Integers
    left: Integers


class _Recording:
    """The clips of a recording, and the part that is held out.

    Parameters
    ----------
    dataset : DataSet
    clips : (M,) int
        The clips of the recording with known tags, sorted by their start.
    times : Times
    quota : int
        The largest number of clips to hold out.
    gap_seconds : float
    """

    def __init__(
        self, dataset: DataSet, clips: Integers, times: Times, quota: int, gap_seconds: float
    ) -> None:
        self.dataset, self.clips, self.quota, self.gap = dataset, clips, quota, gap_seconds
        self.starts, self.ends = times.starts[clips], times.ends[clips]
        self.begin, self.num_held = 0, 0  # the held-out clips: the first one, and their number

    def classes(self) -> npt.NDArray[np.int64]:
        """Return 1 for the classes (M, K + 1) of each clip, and 0 for other classes."""
        tags = self.dataset.tag_matrix(self.clips)
        return np.column_stack([tags, ~tags.any(axis=1)]).astype(np.int64)

    def span(self) -> tuple[float, float]:
        """Return the start and the end of the held-out part in seconds."""
        last = self.begin + self.num_held
        return float(self.starts[self.begin]), float(self.ends[self.begin : last].max())

    def candidates(self) -> Iterator[_Counts]:
        """Yield all parts with `quota` clips, then those with half as many, and so on."""
        classes = self.classes()
        by_start = _cumulative(classes)
        by_end = _cumulative(classes[np.argsort(self.ends, kind="stable")])
        ends = np.sort(self.ends)
        num_clips = self.quota
        while num_clips:
            starts_of = self.starts[: len(self.clips) - num_clips + 1]
            windows = np.lib.stride_tricks.sliding_window_view(self.ends, num_clips)
            ends_of = windows.max(axis=1)
            before = np.searchsorted(ends, starts_of - self.gap + _EPSILON, "right")
            after = np.searchsorted(self.starts, ends_of + self.gap - _EPSILON, "left")
            yield _Counts(
                num_clips,
                by_start[num_clips:] - by_start[: len(starts_of)],
                by_end[before] + by_start[-1] - by_start[after],
            )
            num_clips //= 2


def _cumulative(classes: Integers) -> npt.NDArray[np.int64]:
    """Return the sum of the first i rows for each i from 0."""
    return np.vstack([np.zeros_like(classes[:1]), np.cumsum(classes, axis=0)])


def _shares(sizes: Integers, total: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Divide a total in proportion to sizes (largest remainders; `rng` decides ties)."""
    exact = sizes * (total / max(sizes.sum(), 1))
    shares: npt.NDArray[np.int64] = np.floor(exact).astype(np.int64)
    order = np.lexsort([rng.permutation(len(sizes)), shares - exact])
    shares[order[: total - shares.sum()]] += 1
    return np.minimum(shares, sizes, dtype=np.int64)


def _targets(counts: Integers, num_wanted: int) -> Floats:
    """Return the number of clips (K + 1,) of each class that should be held out.

    Clips without tags, the last class, are held out in proportion. The other classes get equal
    numbers, but at most half of their clips.
    """
    num_untagged = num_wanted * counts[-1] / max(int(counts.sum()), 1)
    most = counts[:-1] // 2
    wanted = min(num_wanted - num_untagged, float(most.sum()))
    level, low, high = 0.0, 0.0, float(most.max(initial=0))
    for _ in range(60):  # bisection
        level = (low + high) / 2
        low, high = (level, high) if np.minimum(most, level).sum() < wanted else (low, level)
    return np.append(np.minimum(most, level), num_untagged)


class _Search:
    """Choose the part of each recording. See `split_by_time`."""

    def __init__(self, recordings: Sequence[_Recording], num_wanted: int) -> None:
        self.recordings = recordings
        self.left_of = [one.classes().sum(axis=0) for one in recordings]
        self.held_of = [np.zeros_like(left) for left in self.left_of]
        # The numbers of clips (K + 1,) of each class: of all clips, and of those in the two sets.
        self.counts = np.sum(self.left_of, axis=0)
        self.left, self.held = self.counts.copy(), np.zeros_like(self.counts)
        self.targets = _targets(self.counts, num_wanted)

    def run(self, rng: np.random.Generator) -> None:
        """Choose the parts, one recording after the other, until no change improves the balance."""
        for _ in range(_MOST_SWEEPS):
            order = rng.permutation(len(self.recordings)).tolist()
            num_changes = sum(self._improve(i, rng) for i in order)
            if not num_changes:
                return

    def _improve(self, number: int, rng: np.random.Generator) -> bool:
        """Choose the best part of one recording. Return whether the choice changed."""
        recording = self.recordings[number]
        if not recording.quota:
            return False
        left = self.left - self.left_of[number]
        held = self.held - self.held_of[number]
        for found in recording.candidates():
            can_stay = (left + found.left >= (self.counts + 1) // 2).all(axis=1)
            places = np.flatnonzero(can_stay)
            if not len(places):
                continue
            cost = self._cost(held + found.held[places])
            num_left = found.left[places].sum(axis=1)
            best = np.lexsort([rng.permutation(len(places)), -num_left, cost.round(9)])[0]
            if recording.num_held == found.num_clips:
                old_cost = cost[places == recording.begin].min(initial=np.inf)
                if cost[best] > old_cost - 1e-9:
                    return False
            recording.begin, recording.num_held = int(places[best]), found.num_clips
            self.left_of[number] = found.left[recording.begin]
            self.held_of[number] = found.held[recording.begin]
            self.left, self.held = left + self.left_of[number], held + self.held_of[number]
            return True
        return False

    def _cost(self, held: Integers) -> Floats:
        """Return how far the numbers of held-out clips (W, K + 1) are from the targets: (W,)."""
        errors = (held - self.targets) ** 2 / np.maximum(self.targets, 1)
        cost: Floats = errors.sum(axis=1)
        return cost

    def short(self) -> Integers:
        """Return the classes with less than 90 % of the wanted number of held-out clips."""
        is_short: Booleans = self.held < 0.9 * np.round(self.targets)
        return np.flatnonzero(is_short[:-1])


def are_split_by_time(dataset: DataSet, other: DataSet) -> bool:
    """Return whether `balance` split one set into these two by time.

    Such sets contain clips of the same recordings, but not of the same times.
    """
    keys = ("split_by", "gap_seconds", "seed_of_split", "source_fingerprint")
    about, about_other = ([one.info.get(key) for key in keys] for one in (dataset, other))
    return about[0] == "time" and about == about_other


def split_by_time(
    dataset: DataSet, num_valid: int, seed: int, gap_seconds: float = GAP_SECONDS
) -> Split:
    """Hold out one part of each recording, which is contiguous in time.

    The numbers of held-out clips of the recordings are proportional to their numbers of clips, and
    their sum is at most `num_valid`. Clips that overlap a held-out part, or that are less than
    `gap_seconds` before or after it, are in neither set. So the two sets never contain the same
    sound, also if clips overlap.

    The parts are chosen so that the numbers of held-out clips of the classes are as equal as
    possible. At least half of the clips of each class, and at least half of the clips without tags,
    stay for training. If this is not possible for any part of a recording, a shorter part or none
    is held out. The choice begins with a random order of the recordings. The part of each recording
    that balances the classes best is chosen, given the parts of the other recordings, until no
    change improves the balance. Of equally good parts, one with the fewest clips in neither set is
    chosen.

    A clip without times in its name is a whole recording. Such clips are held out in proportion,
    too, and `group_split.split` chooses them. If only some clips of a recording have times, all its
    clips stay for training.

    Clips with unknown tags are never held out for validation. Those near a held-out part are in
    neither set.

    Parameters
    ----------
    dataset : DataSet
        The whole set. Groups are ignored, except that recordings of different groups are different
        recordings.
    num_valid : int
        Maximum number of clips to hold out.
    seed : int
        Seed of the order of recordings, and of the choice among equally good parts.
    gap_seconds : float
        The guard gap in seconds.

    Returns
    -------
    Split

    Raises
    ------
    InputError
        If no clip has times in its name.
    """
    times = clip_times(dataset)
    has_times = ~np.isnan(times.starts)
    is_cut = np.isin(times.recordings, times.recordings[has_times])
    is_mixed = np.isin(times.recordings, times.recordings[is_cut & ~has_times])
    _check_times(dataset, has_times, is_mixed)
    known = ~dataset.has_unknown_tags()
    num_known = max(int(known.sum()), 1)
    num_whole = round(num_valid * int((known & ~is_cut).sum()) / num_known)
    fit, valid = np.ones(len(dataset), bool), np.zeros(len(dataset), bool)
    short: set[int] = set()
    if not is_cut.all():
        groups = np.array(times.recordings[~is_cut].tolist(), TEXT)
        uncut = dataclasses.replace(dataset.select(~is_cut), groups=groups)
        whole = group_split.split(uncut, num_whole, seed)
        fit[~is_cut], valid[~is_cut] = whole.fit, whole.valid
        short.update(whole.exhausted.tolist())
    rng = np.random.default_rng(seed)
    cut = np.flatnonzero(has_times & ~is_mixed)
    names, number = np.unique(times.recordings[cut], return_inverse=True)
    by_start = np.lexsort([times.ends[cut], times.starts[cut], number])
    members = np.split(cut[by_start], np.cumsum(np.bincount(number))[:-1])
    with_tags = [clips[known[clips]] for clips in members]
    sizes = np.array([len(clips) for clips in with_tags])
    num_cut = min(num_valid - num_whole, int(sizes.sum()))
    recordings = [
        _Recording(dataset, clips, times, quota, gap_seconds)
        for clips, quota in zip(with_tags, _shares(sizes, num_cut, rng).tolist())
    ]
    search = _Search(recordings, num_cut)
    search.run(rng)
    parts = []
    for name, clips, recording in zip(names.tolist(), members, recordings):
        if recording.num_held:
            start, end = recording.span()
            parts.append(Part(name, start, end))
            is_before = times.ends[clips] <= start - gap_seconds + _EPSILON
            is_after = times.starts[clips] >= end + gap_seconds - _EPSILON
            fit[clips[~is_before & ~is_after]] = False
            valid[recording.clips[recording.begin :][: recording.num_held]] = True
    short.update(search.short().tolist())
    return Split(fit, valid, np.array(sorted(short), np.int64), tuple(parts))


def _check_times(dataset: DataSet, has_times: Booleans, is_mixed: Booleans) -> None:
    """Check that clips (N,) have times in their names. Warn if some clips have none.

    `is_mixed` (N,) is a mask of the clips of recordings of which only some clips have times. Raises
    InputError if no clip has times.
    """
    whole = dataset.filenames[~has_times & ~is_mixed]
    if not has_times.any():
        raise InputError(
            f"no clip has times in its name, such as {str(whole[0])!r}; expected names of the form "
            "<recording>_<start>_<end>, in seconds, as `prepare folders`, `table` and "
            "`annotations` give to the clips of recordings longer than --clip-seconds; without "
            "by=time (--by time), whole recordings are held out"
        )
    if len(whole):
        _LOG.warning(
            f"{counted(len(whole), 'clip has', 'clips have')} no times in the name: "
            f"{first(whole)}; each of these recordings is held out as a whole, or not at all"
        )
    mixed = dataset.filenames[is_mixed & ~has_times]
    if len(mixed):
        _LOG.warning(
            f"{counted(len(mixed), 'clip has', 'clips have')} no times in the name, but other "
            f"clips of the recording have: {first(mixed)}; no part of these recordings is held "
            "out; if these clips are other recordings, give them other names"
        )
