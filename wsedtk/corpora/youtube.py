"""Find the sound files of clips from YouTube videos, as in DCASE 2017 task 4 and AudioSet.

A clip is named `<11-character ID>_<start>_<end>.wav`. Start and end are in seconds with three
decimals. The extension is always .wav and does not depend on the format of the sound file.

Shapes: N clips, K classes, A sound files.
"""

import dataclasses
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsedtk.audio import audio_files
from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.processes import mapping
from wsedtk.core.progress import printable, progress
from wsedtk.core.types import Booleans
from wsedtk.data import clip_sets, tables
from wsedtk.data.clip_names import excerpt_times, youtube_key
from wsedtk.data.folders import walk
from wsedtk.data.set_tables import TEXT, path_array
from wsedtk.data.tables import Names, Texts, find, normal, slices, texts

EXTENSIONS = (".wav", ".flac", ".ogg", ".mp3")
SHORTEST = 1.0  # seconds; the shortest official clip of DCASE 2017 has this duration
MOST_LINES = 40  # if a set has more classes, its printed table shows only some of the classes
# Properties of clips. The clips with each property are counted. Clips that are short, silent or
# equal to an earlier clip ("twice") are used, too.
COUNTS = ("used", "missing", "unreadable", "short", "silent", "twice")


def normal_name(filename: str) -> str | None:
    """Return the name of the clip to which a file name such as `Y<ID>_<start>_<end>.flac` belongs.

    The `Y` and the extension may be missing. Returns None if the file name has a different form.
    """
    key = youtube_key(filename)
    return f"{key}.wav" if key else None


def seconds_of(name: str) -> float:
    """Return the duration of a clip in seconds, from its name. Return 0 if the name is invalid."""
    start, end = excerpt_times(name) or (0.0, 0.0)
    return round(end - start, 6)


def find_metadata(folder: PathLike, what: str) -> dict[str, Path]:
    """Find all files in a folder and its subfolders.

    Files whose names contain no dot, and subfolders whose names begin with a dot, are ignored.

    Parameters
    ----------
    folder : path-like
    what : str
        The expected content of the folder, for messages.

    Returns
    -------
    dict
        The path of each file, by file name. If several files have the same name, the path with the
        fewest folders is returned.

    Raises
    ------
    InputError
        If the folder does not exist or can't be entered.
    """
    folder = Path(folder)
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: no such folder; expected the folder with {what}")
    paths = [Path(parent, name) for parent, names in walk(folder) for name in names if "." in name]
    paths.sort(key=lambda p: (-len(p.parts), p))
    return {path.name: path for path in paths if path.is_file()}


def videos_of(filenames: Names) -> Names:
    """Return the video ID of each clip (N,), or "" for clips that are not from YouTube videos."""
    ids = [
        (youtube_key(name) or "")[:11]
        for part in slices(len(filenames))
        for name in filenames[part].tolist()
    ]
    return np.array(ids, "U11")


class _FolderContent(NamedTuple):
    """The names and paths of the clips in one folder, without its subfolders."""

    clips: list[str]
    paths: list[str]
    num_others: int  # number of files that are not sound files of clips


def _walk(folders: Iterable[PathLike]) -> Iterator[_FolderContent]:
    """Yield the content of each folder and of those subfolders that `walk` visits.

    Raises InputError if a folder does not exist or can't be entered.
    """
    for folder in map(Path, folders):
        if not os.path.isdir(folder):
            raise InputError(f"{folder}: no such folder; expected the folder with the audio")
        for parent, files in walk(folder):
            clips, paths = [], []
            for file in files:
                clip = normal_name(normal(file)) if file.lower().endswith(EXTENSIONS) else None
                if clip is not None:
                    clips.append(clip)
                    paths.append(os.path.abspath(os.path.join(parent, file)))
            yield _FolderContent(clips, paths, len(files) - len(clips))


class AudioFiles(NamedTuple):
    """The sound files of clips in some folders.

    Attributes
    ----------
    names : (A,) str
        The names of the clips, sorted.
    paths : (A,) str
        The path of the sound file of each clip, or "" if a table can't contain the path.
    num_others : int
        The number of files that are not sound files of clips, according to their names.
    unfit : dict
        The paths that a table can't contain, by the name of the clip.
    """

    names: Names
    paths: Texts
    num_others: int
    unfit: dict[str, str]


def find_audio(folders: Iterable[PathLike]) -> AudioFiles:
    """Find the sound files of clips in folders and their subfolders.

    Subfolders whose names begin with a dot are ignored.

    If a clip has several files, the first one is used. The folders are searched in the given order.
    The files of a folder come before the files of its subfolders. Files and subfolders are sorted
    by name. Links to folders are followed after all other subfolders. Paths that a table can't
    contain come after all other paths.

    Raises
    ------
    InputError
        If a folder does not exist or can't be entered.
    """
    all_names, all_paths = [np.array([], np.str_)], [path_array([])]
    num_others = 0
    unfit: dict[str, str] = {}
    for found in _walk(folders):
        num_others += found.num_others
        if not found.clips:
            continue
        paths = found.paths
        if tables.unfit(paths) is not None:
            is_unfit = [tables.unfit([path]) is not None for path in paths]
            unfit.update((clip, path) for clip, path, no in zip(found.clips, paths, is_unfit) if no)
            paths = ["" if no else path for path, no in zip(paths, is_unfit)]
        all_names.append(np.array(found.clips))
        all_paths.append(path_array(paths))
    names, paths_of_names = np.concatenate(all_names), np.concatenate(all_paths)
    order = np.argsort(paths_of_names == "", kind="stable")
    names, first = np.unique(names[order], return_index=True)
    return AudioFiles(names, paths_of_names[order][first], num_others, unfit)


@dataclasses.dataclass(frozen=True)
class Coverage:
    """The official clips of a set, and whether the sound file of each clip can be used.

    Clips that `wsedtk.corpora.audioset.exclude` has excluded from the set are left out.

    Attributes
    ----------
    dataset : DataSet
        The official clips, with the paths of their sound files.
    is_true : dict
        A mask of the clips (N,) for each name in COUNTS.
    remarks : dict
        The reason why a clip is not used, or the faults of a clip, by the index of the clip. Clips
        that are missing or have no faults are not in this dict.
    """

    dataset: clip_sets.DataSet
    is_true: dict[str, Booleans]
    remarks: dict[int, str]

    def remark(self, clip: int) -> str:
        """Return the reason why a clip is not used, or the faults of the clip.

        The clip must be missing or occur in `remarks`.
        """
        return "missing" if self.is_true["missing"][clip] else self.remarks[clip]

    def totals(self) -> dict[str, int]:
        """Return the number of clips for each name in COUNTS."""
        return {name: int(members.sum()) for name, members in self.is_true.items()}

    def per_class(self) -> dict[str, npt.NDArray[np.int64]]:
        """Return the number of clips of each class (K,), for all clips and for each property.

        The keys are "official" for all clips, and the names in COUNTS for the properties.
        """
        counts = {"official": self.dataset.clips_per_class()}
        for name, members in self.is_true.items():
            counts[name] = self.dataset.clips_per_class(members)
        return counts

    def table(self, title: str) -> str:
        """Format the counts as a table with one line for each class and one line for all clips.

        If there are more than MOST_LINES classes, only MOST_LINES // 4 classes are shown. These are
        the classes with the lowest fraction of used clips.
        """
        counts, labels = self.per_class(), [printable(label) for label in self.dataset.labels]
        shown, rest = list(range(len(labels))), ""
        if len(labels) > MOST_LINES:
            share = counts["used"] / np.maximum(counts["official"], 1)
            shown = np.argsort(share, kind="stable")[: MOST_LINES // 4].tolist()
            # If no clip is used, the set is not written.
            where = "; info.yaml lists all classes" if self.is_true["used"].any() else ""
            rest = (
                f"\n(the table shows the {len(shown)} of {len(labels)} classes with the lowest "
                f"fraction of used clips{where})"
            )
        rows = [(labels[k], [int(column[k]) for column in counts.values()]) for k in shown]
        rows.append(("clips", [len(self.dataset), *self.totals().values()]))
        width = max(len(title), *(len(label) for label, _ in rows))
        lines = [f"{title:{width}}  {'official':>8}" + "".join(f"  {name:>10}" for name in COUNTS)]
        for label, (official, *numbers) in rows:
            lines.append(
                f"{label:{width}}  {official:8}" + "".join(f"  {number:10}" for number in numbers)
            )
        return "\n".join(lines) + rest

    def used(self) -> clip_sets.DataSet:
        """Return a DataSet with the clips that can be used.

        The `info` of the set contains the results of `totals` and `per_class`.
        """
        counts, numbers = self.per_class(), self.totals()
        per_class = {
            label: {name: int(column[k]) for name, column in counts.items()}
            for k, label in enumerate(self.dataset.labels)
        }
        info = {**self.dataset.info, "coverage": numbers, "classes": per_class}
        return dataclasses.replace(self.dataset.select(self.is_true["used"]), info=info)


def _faults_of(found: audio_files.Examination) -> list[str]:
    """Return the remarks on a sound file that can be used."""
    faults = []
    if found.duration < SHORTEST:
        faults.append(f"short: lasts {found.duration:.3f} s")
    faults += found.remarks
    if found.remark_on_mean:
        faults.append(found.remark_on_mean)
    elif found.is_silent:
        faults.append("silent")
    return faults


def cover(
    dataset: clip_sets.DataSet,
    audio_names: Names,
    audio_paths: Texts,
    unfit: dict[str, str],
    jobs: int,
) -> Coverage:
    """Decode the available sound files of an official set, and find which clips can be used.

    Missing and unreadable clips can't be used. Clips that are short, silent or equal to an earlier
    clip ("twice") are used and counted. Silent clips are not compared with other clips.

    Parameters
    ----------
    dataset : DataSet
        The official clips, without the paths of sound files.
    audio_names, audio_paths, unfit
        The attributes `names`, `paths` and `unfit` of AudioFiles.
    jobs : int
        Number of processes.
    """
    places = find(audio_names, dataset.filenames)
    paths = np.full(len(dataset), "", TEXT)
    paths[places >= 0] = audio_paths[places[places >= 0]]
    is_true: dict[str, Booleans] = {name: np.zeros(len(dataset), bool) for name in COUNTS}
    is_true["missing"] = places < 0
    is_true["unreadable"] = (places >= 0) & (paths == "")
    remarks: dict[int, list[str]] = {}
    for i in np.flatnonzero(is_true["unreadable"]).tolist():
        path = unfit[str(dataset.filenames[i])]
        remarks[i] = [
            f"unreadable: {path!r}: a data directory can't hold a path with a tab, a line end or "
            "bytes that are not UTF-8; rename the file or folder"
        ]
    existing = np.flatnonzero(paths != "")
    contents = np.zeros(len(dataset), "S16")  # b"" if the clip is not compared with other clips
    with mapping(jobs) as spread:
        examined = zip(existing.tolist(), spread(audio_files.examine, texts(paths[existing])))
        for i, found in progress(examined, "examining the audio", len(existing)):
            if found.fault is not None:
                is_true["unreadable"][i] = True
                remarks[i] = [f"unreadable: {found.fault}"]
                continue
            is_true["used"][i] = True
            is_true["short"][i] = found.duration < SHORTEST
            is_true["silent"][i] = found.is_silent
            if not found.is_silent:
                contents[i] = found.content
            if faults := _faults_of(found):
                remarks[i] = faults
    _, first, inverse = np.unique(contents, return_index=True, return_inverse=True)
    is_true["twice"] = (contents != b"") & (first[inverse] != np.arange(len(contents)))
    for i in np.flatnonzero(is_true["twice"]).tolist():
        other = dataset.filenames[first[inverse[i]]]
        remarks.setdefault(i, []).append(f"sounds exactly like {other}")
    used = is_true["used"]
    fingerprint = provenance.fingerprint_audio(dataset.filenames[used], contents[used])
    info = {**dataset.info, "audio_fingerprint": fingerprint}
    covered = dataclasses.replace(dataset, paths=paths, info=info)
    return Coverage(covered, is_true, {i: "; ".join(faults) for i, faults in remarks.items()})
