"""Excerpts of YouTube videos, the clips of DCASE 2017 task 4 and of AudioSet: their names, and the audio at hand for them.

N clips, K classes. A clip is named `<11-character ID>_<start>_<end>.wav`, in seconds with three decimals, whatever its audio is.
"""

import dataclasses
import os
from pathlib import Path

import numpy as np

from wsedtk import audio, datadir
from wsedtk.atomic import write_text
from wsedtk.clip_names import excerpt_times, youtube_key
from wsedtk.errors import InputError
from wsedtk.parallel import mapping
from wsedtk.progress import progress, say

EXTENSIONS = (".wav", ".flac", ".ogg", ".mp3")
SHORTEST = 1.0  # seconds: the shortest official clip of DCASE 2017 lasts so long; less is told as too short
COUNTS = ("used", "missing", "unreadable", "short", "silent", "twice")


def normal_name(filename):
    """The clip that a file name stands for, with or without `Y` and extension; None where it is no excerpt's name."""
    key = youtube_key(filename)
    return f"{key}.wav" if key else None


def seconds_of(name):
    """Nominal length of a clip in seconds: end - start of its name; 0 where the end is not later."""
    start, end = excerpt_times(name) or (0.0, 0.0)
    return round(end - start, 6)


def find_audio(folders):
    """The sound files in folders, however deep: {clip: path}, and how many files there are that no clip's name fits.

    Of several files for a clip the first in alphabetical order is taken. Raises InputError where a folder is missing.
    """
    found, others = {}, 0
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise InputError(f"{folder}: no folder of that name; it should hold the audio")
        seen = set()
        for parent, subfolders, files in os.walk(folder, followlinks=True):
            if os.path.realpath(parent) in seen:  # by another way, or a link to above
                subfolders.clear()
                continue
            seen.add(os.path.realpath(parent))
            subfolders.sort()
            for file in sorted(files):
                name = normal_name(file) if file.lower().endswith(EXTENSIONS) else None
                if name is not None:
                    found.setdefault(name, os.path.abspath(os.path.join(parent, file)))
                else:
                    others += 1
    return found, others


@dataclasses.dataclass(frozen=True)
class Coverage:
    """What there is of a set's official clips: for each of COUNTS which clips (N,) it is true of, and the reasons."""

    dataset: datadir.DataSet
    is_true: dict
    reasons: dict  # {clip: why it is not used, or what is odd}

    def _counts(self, members):
        """How many of the clips `members` (N,) there are officially, and how many of each of COUNTS."""
        return {"official": int(members.sum()), **{name: int((members & v).sum()) for name, v in self.is_true.items()}}

    def table(self, title):
        """A line a class and one for all clips, as text."""
        tags = self.dataset.tag_matrix()
        rows = [(label, tags[:, k]) for k, label in enumerate(self.dataset.labels)] + [("clips", np.ones(len(tags), bool))]
        width = max(len(title), *(len(label) for label, _ in rows))
        lines = [f"{title:{width}}  {'official':>8}" + "".join(f"  {name:>10}" for name in COUNTS)]
        for label, members in rows:
            official, *numbers = self._counts(members).values()
            lines.append(f"{label:{width}}  {official:8}" + "".join(f"  {number:10}" for number in numbers))
        return "\n".join(lines)

    def used(self):
        """The set of the clips that can be used; its info says how many there are officially, and what is odd."""
        counts = {name: int(values.sum()) for name, values in self.is_true.items()}
        per_class = {label: self._counts(column) for label, column in zip(self.dataset.labels, self.dataset.tag_matrix().T)}
        info = {**self.dataset.info, "official_clips": len(self.dataset), "coverage": counts, "classes": per_class}
        return dataclasses.replace(self.dataset.select(self.is_true["used"]), info=info)

    def write(self, folder):
        """Print the table, and write the data directory with coverage.tsv, what there is to say of single clips, beside it."""
        print(self.table(str(folder)))
        num_used = int(self.is_true["used"].sum())
        if num_used:
            remarks = [f"{clip}\t{' '.join(reason.split())}\n" for clip, reason in sorted(self.reasons.items())]
            write_text(folder / "coverage.tsv", "filename\tremark\n" + "".join(remarks))
            datadir.write(folder, self.used())
            print(f"{folder}: {num_used:,} of {len(self.dataset):,} official clips; remarks on clips: {folder / 'coverage.tsv'}\n")
        else:
            remove(folder)
            say(f"warning: {folder}: no audio of this set that can be used; it is not written")


def check_writable(folder):
    """Raise InputError where a folder can't be written: before hours of listening."""
    above = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not (above.is_dir() and os.access(above, os.W_OK)):
        raise InputError(f"{folder}: can't be written: {above} is no folder, or not yours to write to")


def remove(folder):
    """Remove what an earlier run wrote of a set."""
    for name in (*datadir.COLUMNS, "labels.txt", "info.yaml", "coverage.tsv"):
        (folder / name).unlink(missing_ok=True)


def cover(dataset, paths, jobs):
    """Find out which clips of an official set have audio that can be used, listening to each in `jobs` processes.

    paths: {clip: path}. Missing and unreadable clips can't be used; short and silent ones, and ones that sound exactly like an
    earlier one (`twice`), are used and counted.
    """
    names = dataset.filenames.tolist()
    is_true, reasons = {name: np.zeros(len(names), bool) for name in COUNTS}, {}
    is_true["missing"][:] = [name not in paths for name in names]
    reasons.update((name, "missing") for name in names if name not in paths)
    there, first = np.flatnonzero(~is_true["missing"]), {}
    with mapping(jobs) as spread:
        examined = spread(audio.examine, [paths[names[i]] for i in there])
        for i, found in progress(zip(there.tolist(), examined), "listen to the audio", len(there)):
            odd = []
            if found.fault is not None:
                is_true["unreadable"][i] = True
                odd.append(f"unreadable: {found.fault}")
            else:
                is_true["used"][i] = True
                if found.duration < SHORTEST:
                    is_true["short"][i] = True
                    odd.append(f"short: lasts {found.duration:.3f} s")
                if found.is_silent:
                    is_true["silent"][i] = True
                    odd.append("silent")
                elif first.setdefault(found.content, names[i]) != names[i]:
                    is_true["twice"][i] = True
                    odd.append(f"sounds exactly like {first[found.content]}")
            if odd:
                reasons[names[i]] = "; ".join(odd)
    with_paths = dataclasses.replace(dataset, paths=np.array([paths.get(name, "") for name in names]))
    return Coverage(with_paths, is_true, reasons)


def prepare(sets, audio_dirs, data_dir, strict, jobs):
    """Write the data directories of official sets ({name: DataSet}) with the audio there is for them, and tell what there is not.

    A set without any audio is not written. Raises InputError where none has any, or, with `strict`, where a clip has none that
    can be used.
    """
    if not audio_dirs:
        raise InputError("no AUDIO_DIR given: expected METADATA_DIR AUDIO_DIR... DATA_DIR; --metadata-only goes without audio")
    paths, num_others = find_audio(audio_dirs)
    official = {name for dataset in sets.values() for name in dataset.filenames.tolist()}
    num_others += len(paths.keys() - official)
    folders = ", ".join(map(str, audio_dirs))
    if not official & paths.keys():
        raise InputError(f"{folders}: no audio of any official clip ({num_others} other files); expected Y<ID>_<start>_<end>.wav, "
                         "with or without the Y, also .flac, .ogg, .mp3. --metadata-only goes without audio")
    covered = {name: cover(dataset, paths, jobs) for name, dataset in sets.items()}
    if strict:
        unused = [(clip, found.reasons[clip]) for found in covered.values()
                  for clip in found.dataset.filenames[~found.is_true["used"]].tolist()]
        if unused:
            raise InputError(f"--strict: {len(unused)} official clips can't be used, the first {unused[0][0]!r}: {unused[0][1]}")
    if not any(found.is_true["used"].any() for found in covered.values()):
        clip, reason = next((c, r) for found in covered.values() for c, r in found.reasons.items() if r != "missing")
        raise InputError(f"{folders}: none of the official clips there can be used; {clip!r}: {reason}")
    for name, found in covered.items():
        found.write(data_dir / name)
    if num_others:
        print(f"{folders}: {num_others} files that are no official clip's")
