"""validate: every fault of data directories at once.

N clips of a set. What makes training or scoring wrong or impossible is an error, what is merely odd
a warning: one line for every error and for every damaged sound file, one for all clips of a set
that are odd in the same way. Which sets are to be kept apart is not known here (a part held out has
all its clips in the whole), so that what they share is a warning.
"""

import collections
import dataclasses
import functools
from pathlib import Path

import numpy as np

from wsedtk.audio import audio_files
from wsedtk.core.errors import InputError
from wsedtk.core.processes import mapping
from wsedtk.core.progress import printable, progress
from wsedtk.data import clip_sets, datadir
from wsedtk.data.clip_names import clip_key
from wsedtk.data.table_files import Fault, TableFile
from wsedtk.data.tables import find, first, texts

SLACK = 0.1  # seconds that a sound may be shorter or longer than clips.tsv says
SHORTEST = 0.1  # seconds: less is no clip
LOWEST_RATE = 16000  # Hz: every recipe's front end looks up to 8 kHz
CLIPPED = 0.001  # fraction of the samples at full scale,
FAR_OUTSIDE = 2.0  # and the peak that lossy codecs do not reach


def _keys(names):
    """A number (N,) for each text, 0 for an empty one: of millions of clips the texts would take gigabytes."""
    return np.fromiter(map(hash, names), np.int64)


def _twice(keys):
    """The places of the keys (N,) that an earlier one is equal to, and the places of these; 0 equals none."""
    _, earliest, inverse = np.unique(keys, return_index=True, return_inverse=True)
    places = np.flatnonzero((earliest[inverse] != np.arange(len(keys))) & (keys != 0))
    return places, earliest[inverse[places]]


@dataclasses.dataclass
class Report:
    """What is found of one set, clip by clip."""

    folder: Path
    dataset: clip_sets.DataSet
    errors: list = dataclasses.field(default_factory=list)  # (clip, message)
    damaged: list = dataclasses.field(default_factory=list)  # (clip, message), of usable files
    odd: dict = dataclasses.field(
        default_factory=lambda: collections.defaultdict(list)
    )  # {what is odd: [(clip, detail)]}
    contents: np.ndarray | None = (
        None  # (N,) a key for what each clip sounds like; 0 where it is silent or not known
    )

    @functools.cached_property
    def name_keys(self):
        """A key (N,) for each clip, the same for every way to write its name."""
        return _keys(map(clip_key, texts(self.dataset.filenames)))

    def faults(self):
        """Faults, with the clips' lines of clips.tsv."""
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
            faults.append(
                Fault(
                    False,
                    table,
                    int(lines[clips[0][0]]),
                    f"{len(clips)} clips {what}: {first(shown)}",
                )
            )
        return faults

    def add(self, what, clips, details=()):
        """Note that clips (any number,) are odd in the same way."""
        if len(clips):
            self.odd[what] += zip(np.asarray(clips).tolist(), details or [""] * len(clips))

    def find_copies(self):
        """Note the clips that are another of their set: by name, or by the path of their audio."""
        names, paths = self.dataset.filenames, self.dataset.paths
        copies, originals = _twice(self.name_keys)
        self.add(
            "are named as another, but for a Y, the extension or the digits",
            copies,
            [repr(n) for n in names[originals].tolist()],
        )
        copies, originals = _twice(_keys(texts(paths)))
        self.add(
            "have the same sound file as another",
            copies,
            [repr(n) for n in names[originals].tolist()],
        )

    def listen(self, jobs):
        """Open every sound file, in `jobs` processes, and note what it sounds like."""
        there = np.flatnonzero(self.dataset.paths != "")
        self.add("have no audio", np.flatnonzero(self.dataset.paths == ""))
        rates, self.contents = (
            np.zeros(len(self.dataset), np.int64),
            np.zeros(len(self.dataset), np.int64),
        )
        with mapping(jobs, ["wsedtk.audio.audio_files"]) as spread:
            examined = spread(audio_files.examine, texts(self.dataset.paths[there]))
            for clip, found in progress(zip(there.tolist(), examined), "open audio", len(there)):
                if found.fault is not None:
                    self.errors.append((clip, found.fault))
                    continue
                path = self.dataset.paths[clip]
                self.damaged += [(clip, f"{path}: {remark}") for remark in found.remarks]
                rates[clip] = found.sample_rate
                if not found.is_silent:
                    self.contents[clip] = hash(found.content)
                for what, detail in _oddities(found, self.dataset.durations[clip]):
                    self.odd[what].append((clip, detail))
        known = rates[rates > 0]
        if len(known):
            usual = np.bincount(known).argmax()
            odd = np.flatnonzero((rates > 0) & (rates != usual))
            self.add(
                f"have another rate than the most, {usual} Hz",
                odd,
                [f"{rate} Hz" for rate in rates[odd].tolist()],
            )
        copies, originals = _twice(self.contents)
        other = self.dataset.paths[copies] != self.dataset.paths[originals]
        self.add(
            "sound exactly like another",
            copies[other],
            [repr(n) for n in self.dataset.filenames[originals[other]].tolist()],
        )

    def compare(self, earlier):
        """Note what the set shares with another: clips, recordings that clips are cut from, and sounds."""
        if self.folder.samefile(earlier.folder):
            return
        same = np.isin(self.name_keys, earlier.name_keys)
        self.add(f"are in {earlier.folder} too", np.flatnonzero(same))
        mine, theirs = clip_sets.sources(self.dataset, earlier.dataset)
        shared = np.isin(mine, theirs) & ~same
        (recordings, groups), (others, other_groups) = (
            one.dataset.source_keys for one in (self, earlier)
        )
        by_name = np.isin(recordings, others) & ~((groups != 0) & np.isin(groups, other_groups))
        for what, clips in (("cut from a recording", by_name), ("of a group", ~by_name)):
            self.add(
                f"are {what} that {earlier.folder} has clips of too", np.flatnonzero(shared & clips)
            )
        if self.contents is not None:
            contents, clips = np.unique(earlier.contents, return_index=True)
            places = find(contents, self.contents)
            copies = np.flatnonzero((places >= 0) & (self.contents != 0) & ~same)
            self.add(
                f"sound exactly like one of {earlier.folder}",
                copies,
                [repr(n) for n in earlier.dataset.filenames[clips[places[copies]]].tolist()],
            )


def _oddities(found, duration):
    """Yield what is odd about an Examination, and the detail, of a clip of `duration` seconds by its table."""
    if found.duration < SHORTEST:
        yield f"last less than {SHORTEST:g} s", f"{found.duration:.3f} s"
    elif found.duration < duration - SLACK:
        yield "are shorter than clips.tsv says", f"{found.duration:.3f} s, there {duration:g} s"
    elif found.duration > duration + SLACK:
        yield "are longer than clips.tsv says", f"{found.duration:.3f} s, there {duration:g} s"
    if found.remark_on_mean:
        yield "are lost in the mean of their channels", found.remark_on_mean
    elif found.is_silent:
        yield "are silent, one sample like the other", ""
    elif found.peak > FAR_OUTSIDE:
        yield "reach far beyond full scale, a matter of level and no damage", f"peak {found.peak:g}"
    elif found.full_scale >= CLIPPED:
        yield (
            f"are clipped, {CLIPPED:.1%} or more of their samples at full scale",
            f"{found.full_scale:.1%}",
        )
    if found.sample_rate < LOWEST_RATE:
        yield (
            f"have a rate below {LOWEST_RATE} Hz, so that the upper mel bands are empty",
            f"{found.sample_rate} Hz",
        )


def run(folders, with_audio, jobs):
    """Print every fault of the data directories, and a line about each. Raises InputError where one has errors."""
    wrong, reports = [], []
    for folder in folders:
        dataset, faults = datadir.check(folder)
        size, rest = (
            "",
            "; its audio was not opened: mend the tables first"
            if with_audio and dataset is None
            else "",
        )
        if dataset is not None:
            report = Report(folder, dataset)
            report.find_copies()
            if with_audio:
                report.listen(jobs)
            for earlier in reports:
                report.compare(earlier)
            reports.append(report)
            faults += report.faults()
            size = (
                f"{len(dataset)} clips, {len(dataset.labels)} classes, {len(dataset.tag_clip)} tags, "
                + (
                    f"{len(dataset.events)} events"
                    if dataset.events is not None
                    else "no events.tsv"
                )
                + ": "
            )
        for fault in faults:
            print(printable(fault))
        num_errors = sum(fault.is_error for fault in faults)
        if num_errors:
            wrong.append(folder)
        print(f"{folder}: {size}{num_errors} errors, {len(faults) - num_errors} warnings{rest}")
    if wrong:
        raise InputError(
            f"{len(wrong)} of {len(folders)} data directories have errors: {', '.join(map(str, wrong))}"
        )
