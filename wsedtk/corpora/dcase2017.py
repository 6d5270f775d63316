"""Prepare DCASE 2017 task 4: write DATA_DIR/{train,test,eval} from metadata and sound files.

The metadata folder contains the files that the organisers published. Subfolders are searched, too:

    sound_event_list_17_classes.txt           ID, confidence and name of each class, with tabs or
                                              spaces between them
    groundtruth_weak_label_<set>_set.csv      file, start, end, label; tab-separated, one label in
                                              each row
    <set>_set.csv                             ID,start,end,"labels","IDs"; replaces a missing file
                                              groundtruth_weak_label_<set>_set.csv; if both files
                                              exist, their tags must be equal
    groundtruth_strong_label_<set>_set.csv    file, onset, offset, label; tab-separated; required
                                              for testing and evaluation

<set> is training, testing or evaluation. The groundtruth_* files are called groundtruth files here.
In these files, a row contains no tag or event if all columns after the file name are empty or nan.
Lines end with LF, CRLF or CR. If a label contains a comma, a space follows the comma. Therefore,
lists of labels are split only at commas that are not followed by a space.
"""

import collections
import csv
import dataclasses
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.wording import counted
from wsedtk.corpora import official_sets, youtube
from wsedtk.corpora.official_sets import OfficialSetsOptions, OfficialSetsResult
from wsedtk.corpora.registry import CORPORA
from wsedtk.data import clip_sets, datadir, set_events, tables
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.events import Events
from wsedtk.data.table_files import TableFile

_LOG = logging.getLogger(__name__)


MADE_BY = "prepare dcase2017"
SETS = {"train": "training", "test": "testing", "eval": "evaluation"}
CLASSES = "sound_event_list_17_classes.txt"


@dataclasses.dataclass(frozen=True)
class Dcase2017Options(OfficialSetsOptions):
    """The inputs, the output and the settings of `prepare dcase2017`."""


class Classes(NamedTuple):
    """The names of the classes and their AudioSet IDs, in the order of the list of classes."""

    names: list[str]
    mids: list[str]


class Row(NamedTuple):
    """One row of a groundtruth file. Times are in seconds.

    If all columns after the file name are empty or nan, `label` is None and both times are 0.
    """

    clip: str
    onset: float
    offset: float
    label: str | None


class _Tags(NamedTuple):
    """The tags of each clip of a set, and the file from which the tags were read."""

    of_clips: Mapping[str, set[str]]
    path: Path


def _lines(path: PathLike) -> list[tuple[int, str]]:
    """Return (line number, text) of each line that is not blank. Tabs at its end are removed.

    Raises InputError if the file can't be read, or if all its lines are blank.
    """
    table = TableFile(path)
    lines = [(number, line.rstrip("\t")) for number, line in table.numbered_lines()]
    table.raise_errors("download the list again")
    if not lines:
        raise InputError(f"{path}: the file is empty; download it again")
    return lines


def read_classes(path: PathLike) -> Classes:
    """Read the list of classes of the challenge. The first line may be a header.

    Raises
    ------
    InputError
        If the file cannot be read, if a line below the first line is not blank and does not
        describe a class, if no line describes a class, or if the name of a class is repeated.
    """
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
        raise InputError(
            f"{path}: expected each class of the challenge once, found {names}; download the file "
            "again"
        )
    return Classes(names, mids)


def _clip_name(place: str, video: str, start: str, end: str) -> str:
    """Return the name of a clip. Raises InputError if a value is invalid.

    `place` is the file and the line, for the message.
    """
    name = youtube.normal_name(f"{video}_{start}_{end}")
    if name is None or youtube.seconds_of(name) <= 0:
        raise InputError(
            f"{place}: expected a video ID of 11 characters, a start, and an end after the start, "
            f"found {video!r}, {start!r}, {end!r}"
        )
    return name


def read_list(path: PathLike) -> dict[str, list[str]]:
    """Read a file `<set>_set.csv`. Return the tags of each clip, as {clip: labels}.

    Raises
    ------
    InputError
        If the file cannot be read, if all its lines are blank, or if a line that is not blank does
        not describe a clip.
    """
    tags: dict[str, list[str]] = {}
    for number, line in _lines(path):
        try:
            (row,) = csv.reader([line], strict=True)
        except csv.Error:
            row = []
        if len(row) < 4:
            raise InputError(f'{path}:{number}: expected ID,start,end,"labels", found {line!r}')
        video, start, end = (field.strip() for field in row[:3])
        name = _clip_name(f"{path}:{number}", video, start, end)
        tags.setdefault(name, []).extend(label.strip() for label in re.split(r",(?! )", row[3]))
    return tags


def _rows(path: PathLike) -> Iterator[Row]:
    """Yield the rows of a groundtruth file.

    Raises InputError if the file can't be read, or if a row is invalid.
    """
    for number, line in _lines(path):
        fields = [field.strip() for field in line.split("\t")]
        is_bare = all(map(tables.is_nothing, fields[1:]))
        if len(fields) != 4 and not is_bare:
            raise InputError(
                f"{path}:{number}: expected file, onset, offset and label, separated by tabs, "
                f"found {line!r}"
            )
        if is_bare:
            yield _row(path, number, line, Row(fields[0], 0.0, 0.0, None))
            continue
        file, onset, offset, label = fields
        table = TableFile(path)
        start = table.seconds(number, "onset", onset)
        end = table.seconds(number, "offset", offset)
        table.raise_errors("download the list again")
        assert start is not None and end is not None  # raise_errors has checked both times
        yield _row(path, number, line, Row(file, start, end, label))


def _row(path: PathLike, number: int, line: str, row: Row) -> Row:
    """Replace the file name in a row by the name of the clip.

    Raises InputError if the file name or the times are invalid.
    """
    name = youtube.normal_name(row.clip)
    if name is None or youtube.seconds_of(name) <= 0 or row.onset > row.offset:
        raise InputError(
            f"{path}:{number}: expected <video>_<start>_<end>.wav with start < end, and "
            f"onset <= offset, found {line!r}"
        )
    return row._replace(clip=name)


def read_truth(path: PathLike) -> list[Row]:
    """Read the events of a groundtruth file, in the order of the file. Repeated rows are ignored.

    Raises
    ------
    InputError
        If the file cannot be read, or a row is invalid.
    """
    return list(dict.fromkeys(row for row in _rows(path) if row.label is not None))


def _read_tags(files: Mapping[str, Path], part: str) -> _Tags | None:
    """Read the tags of a set from groundtruth_weak_label_<set>_set.csv or from <set>_set.csv.

    Returns None if both files are missing. Raises InputError if a file is invalid, or if both files
    exist and their tags differ.
    """
    weak, listed = f"groundtruth_weak_label_{part}_set.csv", f"{part}_set.csv"
    found = []
    if weak in files:
        tags: dict[str, set[str]] = collections.defaultdict(set)
        for row in _rows(files[weak]):
            tags[row.clip].update(() if row.label is None else (row.label,))
        found.append(_Tags(dict(tags), files[weak]))
    if listed in files:
        labels_of = read_list(files[listed])
        found.append(_Tags({name: set(x) for name, x in labels_of.items()}, files[listed]))
    if len(found) == 2 and found[0].of_clips != found[1].of_clips:
        (a, path), (b, other) = found
        odd = sorted(name for name in {*a, *b} if a.get(name) != b.get(name))
        in_first, in_second = (
            f"the tags {sorted(tags_of[odd[0]])}" if odd[0] in tags_of else "no row"
            for tags_of in (a, b)
        )
        raise InputError(
            f"{path} and {other} contradict each other about {counted(len(odd), 'clip')}: for "
            f"example, {odd[0]!r} has {in_first} in the first file and {in_second} in the second "
            "file; download both files again"
        )
    return found[0] if found else None


def read_set(files: Mapping[str, Path], part: str, classes: Classes) -> DataSet | None:
    """Read one official set, without audio.

    Parameters
    ----------
    files : mapping of str to Path
        The paths of the metadata files, by file name.
    part : {"training", "testing", "evaluation"}
        The name of the set in the challenge.
    classes : Classes
        The classes of the challenge.

    Returns
    -------
    DataSet or None
        The set. None if both files with the tags of the set are missing.

    Raises
    ------
    InputError
        If a file is invalid, or if two files contradict each other.
    """
    found = _read_tags(files, part)
    if found is None:
        return None
    tags, path = found
    strong = files.get(f"groundtruth_strong_label_{part}_set.csv")
    rows = list(dict.fromkeys(_rows(strong))) if strong is not None else []
    names = sorted(tags)
    index = {label: k for k, label in enumerate(classes.names)}
    clip = {name: i for i, name in enumerate(names)}
    for table, name, label in [
        *((path, clip_name, label) for clip_name in names for label in tags[clip_name]),
        *((strong, row.clip, row.label) for row in rows),
    ]:
        if label is not None and label not in index:
            raise InputError(
                f"{table}: the label {label!r} of the clip {name!r} is not a class of {CLASSES}; "
                "download both files again"
            )
        if name not in clip:
            raise InputError(
                f"{table}: the clip {name!r} is not in {path}; download both files again"
            )
    pairs = np.array(
        sorted((clip[name], index[label]) for name in names for label in tags[name]), np.int64
    ).reshape(-1, 2)
    events = None
    if strong is not None:
        events = Events.from_rows(
            (clip[row.clip], row.onset, row.offset, index[row.label])
            for row in rows
            if row.label is not None
        )
    return clip_sets.DataSet(
        filenames=np.array(names),
        paths=np.full(len(names), "", datadir.TEXT),
        durations=np.array([youtube.seconds_of(name) for name in names]),
        labels=classes.names,
        tag_clip=pairs[:, 0],
        tag_label=pairs[:, 1],
        events=events,
        info={
            "made_by": MADE_BY,
            "corpus": f"DCASE 2017 task 4, {part} set",
            "official_clips": len(names),
            "class_ids": classes.mids,
        },
    )


def read(metadata_dir: PathLike) -> dict[str, DataSet]:
    """Read the official sets "train", "test" and "eval" without audio, as {name: DataSet}.

    Raises
    ------
    InputError
        If a file is missing or invalid.
    """
    files = youtube.find_metadata(metadata_dir, f"the challenge's metadata, such as {CLASSES}")
    if CLASSES not in files:
        raise InputError(
            f"{metadata_dir}: {CLASSES} is missing; download it, or give the folder "
            "that contains it"
        )
    classes = read_classes(files[CLASSES])
    sets = {}
    for name, part in SETS.items():
        dataset = read_set(files, part, classes)
        if dataset is None:
            raise InputError(
                f"{metadata_dir}: contains neither groundtruth_weak_label_{part}_set.csv nor "
                f"{part}_set.csv; download one of these files"
            )
        if name != "train" and dataset.events is None:
            raise InputError(
                f"{metadata_dir}: groundtruth_strong_label_{part}_set.csv is missing; download it"
            )
        sets[name] = dataset
    return sets


def _warn_of_tags_without_events(name: str, dataset: DataSet) -> None:
    assert dataset.events is not None  # `read` checks that the set has events
    pairs = set_events.tags_without_events(dataset.tag_clip, dataset.tag_label, dataset.events)
    without = list(dict.fromkeys(dataset.filenames[clip] for clip, _ in pairs))
    if without:
        _LOG.warning(
            f"{name}: {counted(len(pairs), 'tag has', 'tags have')} no event "
            f"in groundtruth_strong_label_{SETS[name]}_set.csv (clips: {tables.first(without)}); "
            "if the file is incomplete, download it again"
        )


@CORPORA.register("dcase2017")
def prepare(options: Dcase2017Options) -> OfficialSetsResult:
    """Write DATA_DIR/train, DATA_DIR/test and DATA_DIR/eval, the sets of DCASE 2017 task 4.

    METADATA_DIR contains the lists that the challenge published. AUDIO_DIR contains sound files
    named Y<ID>_<start>_<end>.wav, also in subfolders. The Y may be missing. Files with the
    extensions .flac, .ogg and .mp3 are read, too. Without --metadata-only, clips whose audio is
    missing or unusable are omitted, and the info.yaml of each set contains the number of these
    clips for each class.

    Parameters
    ----------
    options : Dcase2017Options
        The folders and the settings.

    Returns
    -------
    OfficialSetsResult

    Raises
    ------
    InputError
        If the metadata are incomplete or invalid, if no clip has usable audio, or if the sets can't
        be written.

    Examples
    --------
    wsedtk prepare dcase2017 dcase/lists dcase/audio dcase --jobs 2
    """
    official_sets.check_outputs(options, SETS, MADE_BY)
    sets = read(options.metadata_dir)
    for name in ("test", "eval"):
        _warn_of_tags_without_events(name, sets[name])
    return official_sets.write(sets, options)
