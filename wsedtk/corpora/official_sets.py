"""The official sets of a corpus, written as data directories with the audio there is for them."""

import os

import numpy as np

from wsedtk.core.errors import InputError
from wsedtk.core.progress import say
from wsedtk.corpora.youtube import cover, find_audio
from wsedtk.data import datadir
from wsedtk.data.tables import find, write_rows


def check_prepare(data_dir, names, made_by, metadata_only, strict):
    """Raise InputError where the sets can't be written there, or the options contradict each other: before hours of listening."""
    for name in names:
        datadir.check_overwrite(data_dir / name, made_by)
    if strict and metadata_only:
        raise InputError(
            "--strict asks for the audio of every clip, --metadata-only for none; give one of them"
        )
    above = next(p for p in (data_dir, *data_dir.absolute().parents) if p.exists())
    if not (above.is_dir() and os.access(above, os.W_OK)):
        raise InputError(
            f"{data_dir}: can't be written: {above} is no folder, or not yours to write to"
        )


def remove(folder):
    """Remove what an earlier run wrote of a set."""
    for name in (*datadir.COLUMNS, "labels.txt", "info.yaml", "coverage.tsv"):
        (folder / name).unlink(missing_ok=True)


def _write(self, folder):
    """Print the table, and write the data directory with coverage.tsv, what there is to say of single clips, beside it."""
    print(self.table(str(folder)))
    num_used = int(self.is_true["used"].sum())
    if num_used:
        odd = self.is_true["missing"].copy()
        odd[list(self.remarks)] = True
        names = self.dataset.filenames
        write_rows(
            folder / "coverage.tsv",
            ("filename", "remark"),
            [
                (
                    (str(names[clip]), " ".join(self.remark(clip).split()))
                    for clip in np.flatnonzero(odd).tolist()
                )
            ],
        )
        datadir.write(folder, self.used())
        num_excluded = self.dataset.info["official_clips"] - len(self.dataset)
        print(
            f"{folder}: {num_used:,} of {self.dataset.info['official_clips']:,} official clips"
            + (f", of which {num_excluded:,} were excluded" if num_excluded else "")
            + f"; remarks on clips: {folder / 'coverage.tsv'}\n"
        )
    else:
        remove(folder)
        say(f"warning: {folder}: no audio of this set that can be used; it is not written")


def write_without_audio(sets, data_dir):
    """Write the data directories of official sets ({name: DataSet}), every clip, none with audio."""
    for name, dataset in sets.items():
        remove(data_dir / name)
        datadir.write(data_dir / name, dataset)
        print(
            f"{data_dir / name}: {len(dataset):,} clips, {len(dataset.tag_clip):,} tags"
            + (f", {len(dataset.events):,} events" if dataset.events is not None else "")
            + ", no audio"
        )


def prepare(sets, audio_dirs, data_dir, strict, jobs):
    """Write the data directories of official sets ({name: DataSet}) with the audio there is for them, and tell what there is not.

    A set without any audio is not written. Raises InputError where none has any, or, with `strict`, where a clip has none that
    can be used.
    """
    if not audio_dirs:
        raise InputError(
            "no AUDIO_DIR given: expected METADATA_DIR AUDIO_DIR... DATA_DIR; --metadata-only goes without audio"
        )
    names, paths, num_others, unfit = find_audio(audio_dirs)
    is_official = np.zeros(len(names), bool)
    for dataset in sets.values():
        is_official |= find(dataset.filenames, names) >= 0
    num_others += int((~is_official).sum())
    folders = ", ".join(map(str, audio_dirs))
    if not is_official.any():
        raise InputError(
            f"{folders}: no audio of any official clip ({num_others} other files); expected Y<ID>_<start>_<end>.wav, "
            "with or without the Y, also .flac, .ogg, .mp3. --metadata-only goes without audio"
        )
    covered = {name: cover(dataset, names, paths, unfit, jobs) for name, dataset in sets.items()}
    unused = [(found, np.flatnonzero(~found.is_true["used"])) for found in covered.values()]
    if strict and any(len(clips) for _, clips in unused):
        found, clips = next(pair for pair in unused if len(pair[1]))
        raise InputError(
            f"--strict: {sum(len(clips) for _, clips in unused)} official clips can't be used, the first "
            f"{str(found.dataset.filenames[clips[0]])!r}: {found.remark(clips[0])}"
        )
    if not any(found.is_true["used"].any() for found in covered.values()):
        found = next(found for found in covered.values() if found.remarks)
        clip, reason = next(iter(found.remarks.items()))
        raise InputError(
            f"{folders}: none of the official clips there can be used; {str(found.dataset.filenames[clip])!r}: {reason}"
        )
    for name, found in covered.items():
        _write(found, data_dir / name)
    if num_others:
        print(f"{folders}: {num_others} files that are of no clip of these sets")
