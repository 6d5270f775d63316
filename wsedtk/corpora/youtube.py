"""Excerpts of YouTube videos, the clips of DCASE 2017 task 4 and of AudioSet: their names, and the audio at hand for them.

N clips, K classes. A clip is named `<11-character ID>_<start>_<end>.wav`, in seconds with three decimals, whatever its audio is.
"""

import dataclasses
import os
from pathlib import Path

import numpy as np

from wsedtk.audio import audio_files
from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.core.processes import mapping
from wsedtk.core.progress import printable, progress
from wsedtk.data import clip_sets, datadir, tables
from wsedtk.data.clip_names import excerpt_times, youtube_key
from wsedtk.data.folders import walk
from wsedtk.data.tables import find, normal, slices, texts

EXTENSIONS = (".wav", ".flac", ".ogg", ".mp3")
SHORTEST = 1.0  # seconds: the shortest official clip of DCASE 2017 lasts so long; less is told as too short
MOST_LINES = 40  # classes that a table on the screen shows
COUNTS = ("used", "missing", "unreadable", "short", "silent", "twice")


def normal_name(filename):
    """The clip that a file name stands for, with or without `Y` and extension; None where it is no excerpt's name."""
    key = youtube_key(filename)
    return f"{key}.wav" if key else None


def seconds_of(name):
    """Nominal length of a clip in seconds: end - start of its name; 0 where the end is not later."""
    start, end = excerpt_times(name) or (0.0, 0.0)
    return round(end - start, 6)


def find_metadata(folder, what):
    """The files in a folder and its subfolders: {file name: path}, the least deep of a name. Raises InputError where there is no folder."""
    folder = Path(folder)
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: no folder of that name; it should hold {what}")
    paths = [Path(parent, name) for parent, names in walk(folder) for name in names if "." in name]
    paths.sort(key=lambda p: (-len(p.parts), p))
    return {path.name: path for path in paths if path.is_file()}


def videos_of(filenames):
    """The ID of the video that each clip (N,) is of, as an array of text (N,); empty for what is no excerpt's name."""
    return np.array(
        [
            (youtube_key(name) or "")[:11]
            for part in slices(len(filenames))
            for name in filenames[part].tolist()
        ],
        "U11",
    )


def _walk(folders):
    """Yield, folder by folder, the names of the clips that sound files are of, their paths, and how many other files there are."""
    for folder in map(Path, folders):
        if not os.path.isdir(folder):
            raise InputError(f"{folder}: no folder of that name; it should hold the audio")
        for parent, files in walk(folder):
            names = [
                (normal_name(normal(file)), file)
                for file in files
                if file.lower().endswith(EXTENSIONS)
            ]
            there = [
                (name, os.path.abspath(os.path.join(parent, file)))
                for name, file in names
                if name is not None
            ]
            yield [name for name, _ in there], [path for _, path in there], len(files) - len(there)


def find_audio(folders):
    """The sound files in folders, however deep.

    Returns names of clips (A,), sorted, their paths (A,), how many files no clip's name fits, and
    {name: path} of the clips whose path no table can hold.

    Of several files for a clip the first in alphabetical order is taken; those behind links come
    after all others, and a path that no table can hold, which is "" among the paths, only where
    there is no other. Raises InputError where a folder is missing.
    """
    names, paths, others, unfit = [np.array([], str)], [np.array([], datadir.TEXT)], 0, {}
    for found, where, num_others in _walk(folders):
        others += num_others
        if found:
            names.append(np.array(found))
            if tables.unfit(where) is not None:
                odd = {path for path in where if tables.unfit([path]) is not None}
                unfit.update((name, path) for name, path in zip(found, where) if path in odd)
                where = ["" if path in odd else path for path in where]
            paths.append(datadir.path_array(where))
    names, paths = np.concatenate(names), np.concatenate(paths)
    order = np.argsort(paths == "", kind="stable")
    names, first = np.unique(names[order], return_index=True)
    return names, paths[order][first], others, unfit


@dataclasses.dataclass(frozen=True)
class Coverage:
    """What there is of a set's official clips: for each of COUNTS which clips (N,) it is true of, and what is odd about clips."""

    dataset: clip_sets.DataSet
    is_true: dict
    remarks: dict  # {index of a clip that was listened to: why it is not used, or what is odd}

    def remark(self, clip):
        """Why a clip is not used, or what is odd about it."""
        return "missing" if self.is_true["missing"][clip] else self.remarks[clip]

    def per_class(self):
        """{official or one of COUNTS: how many clips of each class (K,)}."""
        return {
            "official": self.dataset.clips_per_class(),
            **{
                name: self.dataset.clips_per_class(members)
                for name, members in self.is_true.items()
            },
        }

    def table(self, title):
        """A line a class and one for all clips, as text; of many classes the ones of which least is there."""
        counts, labels = self.per_class(), [printable(label) for label in self.dataset.labels]
        total = [len(self.dataset), *(int(members.sum()) for members in self.is_true.values())]
        shown, rest = range(len(labels)), ""
        if len(labels) > MOST_LINES:
            share = counts["used"] / np.maximum(counts["official"], 1)
            shown = np.argsort(share, kind="stable")[: MOST_LINES // 4].tolist()
            rest = f"\n(of {len(labels)} classes those {len(shown)} of which the least is there; info.yaml has them all)"
        rows = [(labels[k], [int(column[k]) for column in counts.values()]) for k in shown] + [
            ("clips", total)
        ]
        width = max(len(title), *(len(label) for label, _ in rows))
        lines = [f"{title:{width}}  {'official':>8}" + "".join(f"  {name:>10}" for name in COUNTS)]
        for label, (official, *numbers) in rows:
            lines.append(
                f"{label:{width}}  {official:8}" + "".join(f"  {number:10}" for number in numbers)
            )
        return "\n".join(lines) + rest

    def used(self):
        """The set of the clips that can be used; its info says how many there are of each class, and what is odd."""
        counts, numbers = (
            self.per_class(),
            {name: int(members.sum()) for name, members in self.is_true.items()},
        )
        per_class = {
            label: {name: int(column[k]) for name, column in counts.items()}
            for k, label in enumerate(self.dataset.labels)
        }
        info = {**self.dataset.info, "coverage": numbers, "classes": per_class}
        return dataclasses.replace(self.dataset.select(self.is_true["used"]), info=info)


def cover(dataset, audio_names, audio_paths, unfit, jobs):
    """Find out which clips of an official set have audio that can be used, listening to each in `jobs` processes.

    audio_names, audio_paths, unfit: as `find_audio` gives. Missing and unreadable clips can't be
    used; short and silent ones, and ones that sound exactly like an earlier one (`twice`), are used
    and counted.
    """
    places = find(audio_names, dataset.filenames)
    paths = np.full(len(dataset), "", datadir.TEXT)
    paths[places >= 0] = audio_paths[places[places >= 0]]
    is_true, remarks = {name: np.zeros(len(dataset), bool) for name in COUNTS}, {}
    is_true["missing"] = places < 0
    is_true["unreadable"] = (places >= 0) & (paths == "")
    for i in np.flatnonzero(is_true["unreadable"]).tolist():
        path = unfit[dataset.filenames[i]]
        remarks[i] = (
            f"unreadable: {path!r}: no data directory holds a path with a tab, a line "
            "end or what is not UTF-8; rename the file or folder"
        )
    there = np.flatnonzero(paths != "")
    contents = np.zeros(len(dataset), "S16")  # "" where there is nothing to compare
    with mapping(jobs) as spread:
        examined = spread(audio_files.examine, texts(paths[there]))
        for i, found in progress(zip(there.tolist(), examined), "listen to the audio", len(there)):
            if found.fault is not None:
                is_true["unreadable"][i] = True
                remarks[i] = f"unreadable: {found.fault}"
                continue
            is_true["used"][i] = True
            if found.duration < SHORTEST:
                is_true["short"][i] = True
                remarks[i] = f"short: lasts {found.duration:.3f} s"
            is_true["silent"][i] = found.is_silent
            if not found.is_silent:
                contents[i] = found.content
            odd = [*found.remarks, found.remark_on_mean or ("silent" if found.is_silent else "")]
            if any(odd):
                remarks[i] = "; ".join(filter(None, [remarks.get(i), *odd]))
    _, first, inverse = np.unique(contents, return_index=True, return_inverse=True)
    is_true["twice"] = (contents != b"") & (first[inverse] != np.arange(len(contents)))
    for i in np.flatnonzero(is_true["twice"]).tolist():
        remarks[i] = "; ".join(
            [
                *filter(None, [remarks.get(i)]),
                f"sounds exactly like {dataset.filenames[first[inverse[i]]]}",
            ]
        )
    used = is_true["used"]
    info = {
        **dataset.info,
        "audio_fingerprint": provenance.fingerprint_audio(dataset.filenames[used], contents[used]),
    }
    return Coverage(dataclasses.replace(dataset, paths=paths, info=info), is_true, remarks)
