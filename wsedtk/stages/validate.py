"""validate: every fault of data directories at once."""

from pathlib import Path

from wsedtk import audio, datadir
from wsedtk.errors import InputError
from wsedtk.progress import printable, progress
from wsedtk.tables import Fault, first, texts


def audio_faults(dataset, folder):
    """Open every sound file of a set and compare its length with clips.tsv. Returns a list of Faults."""
    faults, table = [], Path(folder) / "clips.tsv"
    without = dataset.filenames[dataset.paths == ""]
    if len(without):
        faults.append(Fault(False, table, None, f"{len(without)} clips have no audio: {first(without)}"))
    clips = zip(texts(dataset.filenames), texts(dataset.paths), dataset.durations.tolist())
    for name, path, duration in progress(clips, "open audio", len(dataset)):
        if not path:
            continue
        found = audio.examine(path)
        if found.fault is not None:
            faults.append(Fault(True, table, None, f"{name!r}: {found.fault}"))
            continue
        if found.is_silent:
            faults.append(Fault(False, table, None, f"{name!r}: {path} is silent"))
        if abs(found.duration - duration) > 0.1:
            faults.append(Fault(False, table, None, f"{name!r}: {path} lasts {found.duration:.3f} s, clips.tsv says {duration:g} s"))
    return faults


def run(folders, with_audio):
    """Print every fault of the data directories, and a line about each. Raises InputError where one has errors."""
    wrong = []
    for folder in folders:
        dataset, faults = datadir.check(folder)
        if dataset is not None and with_audio:
            faults += audio_faults(dataset, folder)
        for fault in faults:
            print(printable(fault))
        num_errors = sum(fault.is_error for fault in faults)
        if num_errors:
            wrong.append(folder)
        size = "" if dataset is None else (
            f"{len(dataset)} clips, {len(dataset.labels)} classes, {len(dataset.tag_clip)} tags, "
            + (f"{len(dataset.events)} events" if dataset.events is not None else "no events.tsv") + ": ")
        print(f"{folder}: {size}{num_errors} errors, {len(faults) - num_errors} warnings")
    if wrong:
        raise InputError(f"{len(wrong)} of {len(folders)} data directories have errors: {', '.join(map(str, wrong))}")
