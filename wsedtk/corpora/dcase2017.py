"""DCASE 2017 task 4: the challenge's own metadata and a folder of audio -> data/{train,test,eval}.

METADATA_DIR holds, at any depth, the files as the organisers published them:

    sound_event_list_17_classes.txt                 ID, confidence and name of each class, apart by tabs or spaces
    groundtruth_weak_label_<set>_set.csv            file, start, end, label; tab-separated, a row a label
    <set>_set.csv                                   ID,start,end,"labels","IDs"; serves where the one above is missing
    groundtruth_strong_label_<set>_set.csv          file, onset, offset, label; for testing and evaluation

A row of a truth file whose other columns are empty or nan is a clip without events.

Lines end in LF or CRLF; a label holds commas that a space follows, and a list of labels is split at the other commas.
"""

import collections
import csv
import re
from pathlib import Path

import numpy as np

from wsedtk.core.errors import InputError
from wsedtk.core.progress import say
from wsedtk.corpora import official_sets, youtube
from wsedtk.data import clip_sets, datadir, set_events, tables
from wsedtk.data.events import Events
from wsedtk.data.table_files import TableFile

MADE_BY = "prepare dcase2017"
SETS = {"train": "training", "test": "testing", "eval": "evaluation"}
CLASSES = "sound_event_list_17_classes.txt"


def _lines(path):
    """(line number, text without tabs at its end) of each line that is not blank."""
    table = TableFile(path)
    lines = [(number, line.rstrip("\t")) for number, line in table.numbered_lines()]
    table.raise_errors("fetch the list anew")
    if not lines:
        raise InputError(f"{path}: is empty")
    return lines


def read_classes(path):
    """The classes of the challenge's list: their names and their AudioSet IDs, in order."""
    names, mids = [], []
    for number, line in _lines(path):
        match = re.fullmatch(r"(/\w/\w+)\s+\d+\s+(\S.*?)\s*", line)
        if match:
            mids.append(match.group(1))
            names.append(match.group(2))
        elif number > 1:
            raise InputError(
                f"{path}:{number}: expected ID, confidence and name of a class, found {line!r}"
            )
    if not names or len(set(names)) < len(names):
        raise InputError(f"{path}: expected the challenge's classes, each once, found {names}")
    return names, mids


def _place(path, number, video, start, end):
    """The clip's name. Raises InputError where it is no excerpt."""
    name = youtube.normal_name(f"{video}_{start}_{end}")
    if name is None or youtube.seconds_of(name) <= 0:
        raise InputError(
            f"{path}:{number}: expected a video ID of 11 characters, start and later end, found {video!r}, {start!r}, {end!r}"
        )
    return name


def read_list(path):
    """Tags of a `<set>_set.csv`: {clip: [label, ...]}."""
    tags = {}
    for number, line in _lines(path):
        try:
            (row,) = csv.reader([line], strict=True)
        except csv.Error:
            row = []
        if len(row) < 4:
            raise InputError(f'{path}:{number}: expected ID,start,end,"labels", found {line!r}')
        name = _place(path, number, *(field.strip() for field in row[:3]))
        tags.setdefault(name, []).extend(label.strip() for label in re.split(r",(?! )", row[3]))
    return tags


def _rows(path):
    """(clip, onset, offset, label) of a tab-separated truth file.

    A row without times and label, or with nan in their place, is a clip without any; its label is
    None.
    """
    for number, line in _lines(path):
        fields = [field.strip() for field in line.split("\t")]
        is_bare = all(map(tables.is_nothing, fields[1:]))
        if len(fields) != 4 and not is_bare:
            raise InputError(
                f"{path}:{number}: expected file, onset, offset and label with tabs "
                f"between them, found {line!r}"
            )
        file, onset, offset, label = (fields[0], "0", "0", None) if is_bare else fields
        table = TableFile(path)
        onset = table.seconds(number, "onset", onset)
        offset = table.seconds(number, "offset", offset)
        table.raise_errors("fetch the list anew")
        name = youtube.normal_name(file)
        if name is None or youtube.seconds_of(name) <= 0 or onset > offset:
            raise InputError(
                f"{path}:{number}: expected <video>_<start>_<later end>.wav and "
                f"onset <= offset, found {line!r}"
            )
        yield name, onset, offset, label


def read_truth(path):
    """Events of a truth file, exactly repeated rows once: [(clip, onset, offset, label), ...] in the file's order."""
    return list(dict.fromkeys(row for row in _rows(path) if row[3] is not None))


def _tags(files, part):
    """The tags of a set from its weak truth, its list, or both, which must agree: ({clip: {label, ...}}, path); None without any."""
    weak, listed = f"groundtruth_weak_label_{part}_set.csv", f"{part}_set.csv"
    found = []
    if weak in files:
        tags = collections.defaultdict(set)
        for name, _, _, label in _rows(files[weak]):
            tags[name].update(() if label is None else (label,))
        found.append((dict(tags), files[weak]))
    if listed in files:
        found.append(
            (
                {name: set(labels) for name, labels in read_list(files[listed]).items()},
                files[listed],
            )
        )
    if len(found) == 2 and found[0][0] != found[1][0]:
        (a, path), (b, other) = found
        odd = sorted(name for name in {*a, *b} if a.get(name) != b.get(name))
        raise InputError(
            f"{path} and {other} disagree on {len(odd)} clips, the first {odd[0]!r}: "
            f"{sorted(a.get(odd[0], []))} and {sorted(b.get(odd[0], []))}"
        )
    return found[0] if found else None


def read_set(files, part, labels, mids):
    """One official set (`training`, `testing` or `evaluation`), without audio; None where its lists are not there."""
    found = _tags(files, part)
    if found is None:
        return None
    tags, path = found
    strong = files.get(f"groundtruth_strong_label_{part}_set.csv")
    rows = list(dict.fromkeys(_rows(strong))) if strong is not None else []
    names, number = sorted(tags), {label: k for k, label in enumerate(labels)}
    clip = {name: i for i, name in enumerate(names)}
    for where, name, label in [
        *((path, n, label) for n in names for label in tags[n]),
        *((strong, r[0], r[3]) for r in rows),
    ]:
        if label is not None and label not in number:
            raise InputError(f"{where}: {name!r}: {label!r} is not a class of {CLASSES}")
        if name not in clip:
            raise InputError(f"{where}: {name!r} is not in {path}")
    pairs = np.array(
        sorted((clip[name], number[label]) for name in names for label in tags[name]), np.int64
    ).reshape(-1, 2)
    events = None
    if strong is not None:
        events = Events.from_rows(
            (clip[name], onset, offset, number[label])
            for name, onset, offset, label in rows
            if label is not None
        )
    return clip_sets.DataSet(
        filenames=np.array(names),
        paths=np.full(len(names), "", datadir.TEXT),
        durations=np.array([youtube.seconds_of(n) for n in names]),
        labels=labels,
        tag_clip=pairs[:, 0],
        tag_label=pairs[:, 1],
        events=events,
        info={
            "made_by": MADE_BY,
            "corpus": f"DCASE 2017 task 4, {part} set",
            "official_clips": len(names),
            "class_ids": mids,
        },
    )


def read(metadata_dir):
    """The official sets without audio: {train, test, eval: DataSet}. Raises InputError where the metadata are not whole."""
    files = youtube.find_metadata(
        metadata_dir, f"the challenge's metadata, {CLASSES} and the other lists"
    )
    if CLASSES not in files:
        raise InputError(
            f"{metadata_dir}: {CLASSES} is not there; is it the folder of the challenge's metadata?"
        )
    labels, mids = read_classes(files[CLASSES])
    sets = {name: read_set(files, part, labels, mids) for name, part in SETS.items()}
    for name, dataset in sets.items():
        if dataset is None:
            raise InputError(
                f"{metadata_dir}: groundtruth_weak_label_{SETS[name]}_set.csv is not there"
            )
        if name != "train" and dataset.events is None:
            raise InputError(
                f"{metadata_dir}: groundtruth_strong_label_{SETS[name]}_set.csv is not there"
            )
    return sets


def prepare(metadata_dir, audio_dirs, data_dir, metadata_only, strict, jobs):
    """Write data_dir/{train,test,eval} with what audio there is, or all official clips without any."""
    data_dir = Path(data_dir)
    official_sets.check_prepare(data_dir, SETS, MADE_BY, metadata_only, strict)
    sets = read(metadata_dir)
    for name in ("test", "eval"):
        dataset = sets[name]
        pairs = set_events.tags_without_events(dataset.tag_clip, dataset.tag_label, dataset.events)
        without = [dataset.filenames[clip] for clip, _ in pairs]
        if without:
            say(
                f"warning: {name}: {len(without)} tags have no row in the strong truth, which officially has one for each; "
                f"is it whole? {tables.first(without)}"
            )
    if metadata_only:
        official_sets.write_without_audio(sets, data_dir)
        return
    official_sets.prepare(sets, audio_dirs, data_dir, strict, jobs)
