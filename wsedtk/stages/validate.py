"""validate: data directories -> all of their faults.

Faults that make training or evaluation wrong or impossible are errors. Other faults are warnings.
Each error and each sign of damage to a sound file is a separate fault. If several clips of a set
have the same peculiarity, such as silence, they are reported as one fault. If two sets share clips,
this is only a warning, because some sets share clips by design. For example, `balance` writes a
training set and a validation set, and the original set still contains the clips of both.

In the shapes, N is the number of clips.
"""

import collections
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsedtk.audio import audio_files
from wsedtk.core.paths import as_paths
from wsedtk.core.processes import mapping
from wsedtk.core.progress import progress
from wsedtk.core.types import Booleans
from wsedtk.data import clip_sets, datadir
from wsedtk.data.clip_names import clip_key
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.table_files import Fault, TableFile
from wsedtk.data.tables import find, first, texts
from wsedtk.data.time_split import are_split_by_time
from wsedtk.stages.options.corpora import ValidateOptions

SLACK = 0.1  # the largest accepted difference, in seconds, from the duration in clips.tsv
SHORTEST = 0.1  # the shortest accepted duration of a sound file in seconds
LOWEST_RATE = 16000  # in Hz; the front ends of all recipes use frequencies up to 8 kHz or more
CLIPPED = 0.001  # the smallest fraction of samples at full scale that is reported as clipping
FAR_OUTSIDE = 2.0  # lossy codecs can cause peaks above 1, but below this value

_SINGULAR = {"are": "is", "do": "does", "have": "has", "last": "lasts"}

Keys = npt.NDArray[np.int64]
_Detail = tuple[int, str]  # the index of a clip, and a message or a detail


@dataclasses.dataclass(frozen=True)
class ValidatedSet:
    """A data directory and its faults.

    Attributes
    ----------
    folder : Path
        The data directory.
    dataset : DataSet or None
        The content of the data directory. None if the path is not a data directory, or if one of
        its tables or info.yaml has errors. In these cases, the audio is not opened.
    faults : tuple of Fault
        The errors and warnings.
    """

    folder: Path
    dataset: DataSet | None
    faults: tuple[Fault, ...]

    @property
    def num_errors(self) -> int:
        """Number of faults that are errors."""
        return sum(fault.is_error for fault in self.faults)

    @property
    def num_warnings(self) -> int:
        """Number of faults that are warnings."""
        return len(self.faults) - self.num_errors


@dataclasses.dataclass(frozen=True)
class ValidateResult:
    """The result of `run`: the data directories that were checked.

    Attributes
    ----------
    sets : tuple of ValidatedSet
        The data directories, in the order of the options.
    """

    sets: tuple[ValidatedSet, ...]

    @property
    def faulty(self) -> tuple[Path, ...]:
        """The data directories that have errors."""
        return tuple(one.folder for one in self.sets if one.num_errors)


class _Copies(NamedTuple):
    """The elements of an array that are equal to an earlier element.

    Attributes
    ----------
    copies : (M,) int
        The indices of these M elements.
    originals : (M,) int
        For each of these elements, the index of the first element that is equal to it.
    """

    copies: npt.NDArray[np.intp]
    originals: npt.NDArray[np.intp]


def _keys(names: Iterable[str]) -> Keys:
    """Return a hash of each text (N,), 0 for "". Hashes need less memory than texts."""
    return np.fromiter(map(hash, names), np.int64)


def _find_copies(keys: Keys) -> _Copies:
    """Find the keys (N,) that are equal to an earlier key. Keys of 0 are ignored."""
    _, earliest, inverse = np.unique(keys, return_index=True, return_inverse=True)
    copies = np.flatnonzero((earliest[inverse] != np.arange(len(keys))) & (keys != 0))
    return _Copies(copies, earliest[inverse[copies]])


def _clips_that(what: str, number: int) -> str:
    """Return a text such as "2 clips are silent" or "1 clip is silent".

    `what` begins with a plural verb of `_SINGULAR`.
    """
    if number != 1:
        return f"{number} clips {what}"
    verb, rest = what.split(maxsplit=1)
    return f"1 clip {_SINGULAR[verb]} {rest}"


def _quoted(names: npt.NDArray[np.str_]) -> list[str]:
    return [repr(name) for name in names.tolist()]


class _Inspection:
    """The faults of the clips of one set."""

    def __init__(self, folder: Path, dataset: DataSet) -> None:
        self.folder, self.dataset = folder, dataset
        self.errors: list[_Detail] = []
        self.damaged: list[_Detail] = []  # damaged sound files that can still be used
        # Keys: peculiarities. Values: the clips with this peculiarity.
        self.odd: dict[str, list[_Detail]] = collections.defaultdict(list)
        # A hash (N,) of the audio of each clip. 0 if the clip is silent, has no audio or could not
        # be read. None if the sound files were not opened.
        self.contents: Keys | None = None

    @functools.cached_property
    def name_keys(self) -> Keys:
        """The hash of each clip's `clip_key` (N,). All spellings of a name have the same hash."""
        return _keys(map(clip_key, texts(self.dataset.filenames)))

    def faults(self) -> list[Fault]:
        """Return the faults, with the line numbers of the clips in clips.tsv."""
        table, names = self.folder / "clips.tsv", self.dataset.filenames
        if not self.errors and not self.damaged and not self.odd:
            return []
        lines = np.zeros(len(names), np.int64)
        columns = datadir.COLUMNS["clips.tsv"]
        for numbers, (found, *_) in TableFile(table).rows(columns, datadir.GROUP):
            lines[find(names, found)] = numbers
        faults = [
            Fault(is_error, table, int(lines[clip]), f"{str(names[clip])!r}: {message}")
            for is_error, found in ((True, self.errors), (False, self.damaged))
            for clip, message in found
        ]
        for what, clips in self.odd.items():
            shown = [
                f"{str(names[clip])!r} (line {lines[clip]}{detail and f', {detail}'})"
                for clip, detail in clips
            ]
            message = f"{_clips_that(what, len(clips))}: {first(shown)}"
            faults.append(Fault(False, table, int(lines[clips[0][0]]), message))
        return faults

    def add(
        self, what: str, clips: npt.NDArray[np.intp], details: Sequence[str] | None = None
    ) -> None:
        """Record that the clips with the indices `clips` have the peculiarity `what`.

        If `details` is given, it contains one detail for each of these clips.
        """
        if len(clips):
            self.odd[what] += zip(clips.tolist(), details or [""] * len(clips))

    def find_copies(self) -> None:
        """Record the clips that have the same name or sound file as an earlier clip of the set."""
        names, paths = self.dataset.filenames, self.dataset.paths
        copies, originals = _find_copies(self.name_keys)
        self.add(
            "have the same name as another clip, except for a leading Y, the extension or the "
            "number of decimals",
            copies,
            _quoted(names[originals]),
        )
        copies, originals = _find_copies(_keys(texts(paths)))
        self.add("have the same sound file as another clip", copies, _quoted(names[originals]))

    def open_audio(self, jobs: int) -> None:
        """Open each sound file, in `jobs` processes, and record its faults."""
        paths = self.dataset.paths
        there = np.flatnonzero(paths != "")
        self.add("have no audio", np.flatnonzero(paths == ""))
        rates = np.zeros(len(self.dataset), np.int64)
        contents = np.zeros(len(self.dataset), np.int64)
        with mapping(jobs, ["wsedtk.audio.audio_files"]) as spread:
            examined = spread(audio_files.examine, texts(paths[there]))
            for clip, found in progress(zip(there.tolist(), examined), "open audio", len(there)):
                if found.fault is not None:
                    self.errors.append((clip, found.fault))
                    continue
                self.damaged += [(clip, f"{paths[clip]}: {remark}") for remark in found.remarks]
                rates[clip] = found.sample_rate
                if not found.is_silent:
                    contents[clip] = hash(found.content)
                for what, detail in _oddities(found, self.dataset.durations[clip]):
                    self.odd[what].append((clip, detail))
        self.contents = contents
        self._compare_rates(rates)
        copies, originals = _find_copies(contents)
        is_other = paths[copies] != paths[originals]
        names = self.dataset.filenames[originals[is_other]]
        self.add("have the same audio as another clip", copies[is_other], _quoted(names))

    def _compare_rates(self, rates: npt.NDArray[np.int64]) -> None:
        """Record the clips whose sample rate is not the most common rate of the set.

        A rate of 0 means that the rate of the clip is unknown.
        """
        known = rates[rates > 0]
        if len(known):
            usual = np.bincount(known).argmax()
            odd = np.flatnonzero((rates > 0) & (rates != usual))
            details = [f"{rate} Hz" for rate in rates[odd].tolist()]
            self.add(f"do not have the most common sample rate, {usual} Hz", odd, details)

    def compare(self, earlier: "_Inspection") -> None:
        """Record the clips whose name, source or audio also occurs in an earlier set.

        Nothing is recorded if the two sets are the same folder.
        """
        if self.folder.samefile(earlier.folder):
            return
        is_same = np.isin(self.name_keys, earlier.name_keys)
        self.add(f"are also in {earlier.folder}", np.flatnonzero(is_same))
        if not are_split_by_time(self.dataset, earlier.dataset):
            self._compare_sources(earlier, is_same)
        if self.contents is not None and earlier.contents is not None:
            contents, clips = np.unique(earlier.contents, return_index=True)
            places = find(contents, self.contents)
            copies = np.flatnonzero((places >= 0) & (self.contents != 0) & ~is_same)
            names = earlier.dataset.filenames[clips[places[copies]]]
            self.add(f"have the same audio as a clip of {earlier.folder}", copies, _quoted(names))

    def _compare_sources(self, earlier: "_Inspection", is_same: Booleans) -> None:
        """Record the clips whose source also occurs in an earlier set.

        Clips with the mask `is_same` (N,) are left out.
        """
        sources, their_sources = clip_sets.sources(self.dataset, earlier.dataset)
        is_shared = np.isin(sources, their_sources) & ~is_same
        recordings, groups = self.dataset.source_keys
        their_recordings, their_groups = earlier.dataset.source_keys
        has_shared_group = (groups != 0) & np.isin(groups, their_groups)
        by_recording = np.isin(recordings, their_recordings) & ~has_shared_group
        for what, clips in (("cut from a recording", by_recording), ("in a group", ~by_recording)):
            self.add(
                f"are {what} that also occurs in {earlier.folder}",
                np.flatnonzero(is_shared & clips),
            )


def _oddities(found: audio_files.Examination, duration: float) -> Iterator[tuple[str, str]]:
    """Yield the peculiarities of a sound file, each with a detail.

    `duration` is the duration of the clip in clips.tsv, in seconds.
    """
    if found.duration < SHORTEST:
        yield f"last less than {SHORTEST:g} s", f"{found.duration:.3f} s"
    elif found.duration < duration - SLACK:
        yield "are shorter than in clips.tsv", f"{found.duration:.3f} s, expected {duration:g} s"
    elif found.duration > duration + SLACK:
        yield "are longer than in clips.tsv", f"{found.duration:.3f} s, expected {duration:g} s"
    if found.remark_on_mean:
        yield "are silent or very weak in the mean of all channels", found.remark_on_mean
    elif found.is_silent:
        yield "are silent (all samples are equal)", ""
    elif found.peak > FAR_OUTSIDE:
        yield "have a wrong level, with peaks far above full scale", f"peak {found.peak:g}"
    elif found.full_scale >= CLIPPED:
        yield (
            f"are clipped ({CLIPPED:.1%} or more of the samples are at full scale)",
            f"{found.full_scale:.1%}",
        )
    if found.sample_rate < LOWEST_RATE:
        yield (
            f"have a sample rate below {LOWEST_RATE} Hz, so the upper mel bands are empty",
            f"{found.sample_rate} Hz",
        )


def _nothing(found: ValidatedSet) -> None:
    pass


def run(
    options: ValidateOptions, *, on_set: Callable[[ValidatedSet], None] = _nothing
) -> ValidateResult:
    """Find all faults of data directories, as `wsedtk validate` does.

    Parameters
    ----------
    options : ValidateOptions
        The data directories and the settings.
    on_set : callable, optional
        Called with each ValidatedSet as soon as it is complete.

    Returns
    -------
    ValidateResult

    Examples
    --------
    >>> result = run(ValidateOptions(["data/train", "data/test"], audio=True))
    >>> [str(fault) for one in result.sets for fault in one.faults]
    """
    validated: list[ValidatedSet] = []
    inspections: list[_Inspection] = []
    for folder in as_paths(options.data_sets):
        dataset, faults = datadir.check(folder)
        if dataset is not None:
            inspection = _Inspection(folder, dataset)
            inspection.find_copies()
            if options.audio:
                inspection.open_audio(options.jobs)
            for earlier in inspections:
                inspection.compare(earlier)
            inspections.append(inspection)
            faults = [*faults, *inspection.faults()]
        found = ValidatedSet(folder, dataset, tuple(faults))
        validated.append(found)
        on_set(found)
    return ValidateResult(tuple(validated))
