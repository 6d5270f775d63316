"""Read and write data directories and decoded folders.

A data directory is a set of clips with tags, events and classes. It has these files:

    clips.tsv    filename  path  duration               one row per clip; the path is absolute or
                                                        relative to the folder, or empty if the
                                                        clip has no audio
                 [group]                                optional; a split keeps the clips of one
                                                        group together
    tags.tsv     filename  event_label                  one row per tag
    labels.txt                                          one class per line, in order
    events.tsv   filename  onset  offset  event_label   optional; times in seconds
    info.yaml                                           optional; the origin of the set
    unknown.tsv  filename                               optional; the clips with unknown tags

A clip without tags contains no sound of any class, unless its tags are unknown. If info.yaml
contains `tags: unknown`, the tags of all clips are unknown. If it contains `tags: complete`, or no
`tags`, they are complete, except for the clips in unknown.tsv. A clip with unknown tags has no rows
in tags.tsv and events.tsv.

Tables are UTF-8 with a header line and without quoting. The rows of a data directory are written in
the order of the file names. In each table, the column `filename` identifies the clip. A decoded
folder (<system>/<set>/<mode>/) has the same files, but no labels.txt, and its clips.tsv has no
columns `path` and `group`. It may have a failed.tsv with the failed clips (see `store`), which have
no scores.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from wsedtk.core import provenance
from wsedtk.core.atomic import remove, write_text
from wsedtk.core.config import read_yaml, shown, to_yaml
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.types import Booleans, Integers
from wsedtk.core.wording import counted
from wsedtk.data import set_tables
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.context import context_warning
from wsedtk.data.events import Events
from wsedtk.data.set_events import read_events
from wsedtk.data.set_tables import (
    COLUMNS,
    DECODED_COLUMNS,
    GROUP,
    NO_TAGS,
    TEXT,
    Tags,
    path_array,
    read_clips,
    read_tags,
)
from wsedtk.data.table_files import Fault, TableFile, raise_on_errors
from wsedtk.data.tables import (
    Names,
    Texts,
    find,
    first,
    format_seconds,
    normal,
    slices,
    unfit,
    write_rows,
)

_LOG = logging.getLogger(__name__)

UNKNOWN = "unknown.tsv"  # the clips with unknown tags, if the tags of other clips are known
TAGS, COMPLETE, UNKNOWN_TAGS = "tags", "complete", "unknown"  # a key of info.yaml, and its values

__all__ = [
    "COLUMNS",
    "GROUP",
    "TEXT",
    "Checked",
    "check",
    "check_overwrite",
    "path_array",
    "read",
    "read_decoded",
    "read_labels",
    "write",
    "write_decoded",
]


class Checked(NamedTuple):
    """The result of `check`: the data set (None if there are errors), and all faults."""

    dataset: DataSet | None
    faults: list[Fault]


def check(folder: PathLike) -> Checked:
    """Read a data directory and find all faults of its files.

    Tags and events are checked only if the set has clips and classes.
    """
    folder = Path(folder)
    missing = _fault_of_folder(folder)
    if missing is not None:
        return Checked(None, [missing])
    labels_table = TableFile(folder / "labels.txt")
    clips_table, tags_table, events_table = (TableFile(folder / name) for name in COLUMNS)
    labels = set_tables.read_labels(labels_table)
    clips = read_clips(clips_table)
    tags, events = NO_TAGS, None
    if len(clips.filenames) and labels:  # without clips or classes, each row would be an error
        tags = read_tags(tags_table, clips.filenames, labels)
        if events_table.path.exists():
            events = read_events(events_table, clips, labels, tags)
    info, info_faults = _check_info(folder / "info.yaml")
    unknown_table = TableFile(folder / UNKNOWN)
    unknown = _read_unknown(unknown_table, clips.filenames, info)
    if unknown is not None:
        _check_unknown(folder, clips.filenames, unknown, tags, events, info_faults)
    dataset = DataSet(
        filenames=clips.filenames,
        paths=clips.paths,
        durations=clips.durations,
        labels=labels,
        tag_clip=tags.clip,
        tag_label=tags.label,
        events=events,
        info=info,
        groups=clips.groups if (clips.groups != "").any() else None,
        unknown=unknown,
    )
    tables = (labels_table, clips_table, tags_table, events_table, unknown_table)
    faults = [fault for table in tables for fault in table.faults]
    faults += [*info_faults, *_warnings(folder, dataset)]
    if any(fault.is_error for fault in faults):
        return Checked(None, faults)
    return Checked(dataset, faults)


def _fault_of_folder(folder: Path) -> Fault | None:
    """Return an error if a path is not a folder, or is a folder of data directories.

    Otherwise, return None.
    """
    if not folder.is_dir():
        message = "no such folder; a data directory contains clips.tsv, tags.tsv and labels.txt"
        return Fault(True, folder, None, message)
    if (folder / "clips.tsv").exists():
        return None
    below = sorted(path.parent.name for path in folder.glob("*/clips.tsv"))
    if not below:
        return None
    message = "expected a data directory, found a folder of data directories; choose one of them"
    return Fault(True, folder, None, f"{message}: {first(below)}")


def _check_info(path: Path) -> tuple[dict[str, Any], list[Fault]]:
    """Read info.yaml. Return its content ({} if it is missing or faulty) and its faults."""
    try:
        info = (read_yaml(path) if path.exists() else None) or {}
        if not isinstance(info, dict):
            raise InputError(f"expected `key: value` lines, found {shown(info)}")
        if info.get(TAGS) not in (None, COMPLETE, UNKNOWN_TAGS):
            raise InputError(
                f"{TAGS}: found {shown(info[TAGS])}; expected {COMPLETE} or {UNKNOWN_TAGS}"
            )
    except InputError as error:
        return {}, [Fault(True, path, None, str(error).removeprefix(f"{path}: "))]
    return info, []


def _read_unknown(table: TableFile, filenames: Names, info: Mapping[str, Any]) -> Booleans | None:
    """Return a mask (N,) of the clips with unknown tags, or None if there are none."""
    unknown = np.full(len(filenames), info.get(TAGS) == UNKNOWN_TAGS)
    if table.path.exists() and len(filenames):  # without clips, each row would be an error
        for lines, (names,) in table.rows(("filename",)):
            places = find(filenames, names)
            unknown[places[places >= 0]] = True
            for i in np.flatnonzero(places < 0).tolist():
                table.error(int(lines[i]), f"{names[i]!r} is not in clips.tsv")
    return unknown if unknown.any() else None


def _check_unknown(
    folder: Path,
    filenames: Names,
    unknown: Booleans,
    tags: Tags,
    events: Events | None,
    faults: list[Fault],
) -> None:
    """Add an error to `faults` for each table that contains clips with unknown tags."""
    found: list[tuple[str, Integers]] = [("tags.tsv", tags.clip)]
    if events is not None:
        found.append(("events.tsv", events.clip))
    for name, clips in found:
        odd = filenames[np.unique(clips[unknown[clips]])].tolist()
        if odd:
            message = (
                f"contains rows for {counted(len(odd), 'clip')} whose tags are unknown according "
                f"to info.yaml or {UNKNOWN}: {first(odd)}; remove these rows, or write `tags: "
                f"complete` into info.yaml and remove the clips from {UNKNOWN}"
            )
            faults.append(Fault(True, folder / name, None, message))


def _warnings(folder: Path, dataset: DataSet) -> Iterator[Fault]:
    """Yield warnings about clips without groups or tags, and about classes without clips.

    If all clips of own recordings have tags, this causes a warning, too.
    """
    filenames, labels = dataset.filenames, dataset.labels
    is_grouped = dataset.is_grouped()
    if is_grouped.any() and not is_grouped.all():
        without = filenames[~is_grouped]
        message = (
            f"{counted(len(without), 'clip has', 'clips have')} no group: {first(without)}; a "
            "split uses the recording in the name of such a clip as its group"
        )
        yield Fault(False, folder / "clips.tsv", None, message)
    if not len(filenames) or not labels or dataset.has_unknown_tags().all():
        return
    *clips, untagged = dataset.clips_of_classes()
    if len(untagged) and dataset.info.get(TAGS) != COMPLETE:
        have = counted(len(untagged), "clip has", "clips have")
        message = f"{have} no tags: {first(filenames[untagged])}"
        yield Fault(False, folder / "tags.tsv", None, message)
    context = context_warning(dataset)
    if context is not None:
        yield Fault(False, folder / "tags.tsv", None, context)
    unused = [label for label, members in zip(labels, clips) if not len(members)]
    if unused:
        message = f"{counted(len(unused), 'class has', 'classes have')} no clips: {first(unused)}"
        yield Fault(False, folder / "labels.txt", None, message)


def read(folder: PathLike) -> DataSet:
    """Read a data directory. This function is also available as `wsedtk.read_data`.

    Parameters
    ----------
    folder : path-like
        A folder with clips.tsv, tags.tsv and labels.txt, and optionally events.tsv.

    Returns
    -------
    DataSet
        N clips in the order of the file names, with their tags and events. There are K classes.

    Raises
    ------
    InputError
        If the folder or a required file is missing, or if a file is invalid. The message lists the
        first faults with file and line.
    """
    dataset, faults = check(folder)
    raise_on_errors(faults, if_many=f"wsedtk validate '{folder}' lists them all")
    assert dataset is not None  # it is None only if there are errors
    _LOG.debug(f"read {folder}: {len(dataset)} clips, {len(dataset.labels)} classes")
    return dataset


def read_labels(path: PathLike) -> list[str]:
    """Read classes from a text file with one class per line. Return them in the order of the file.

    Raises
    ------
    InputError
        If the file can't be read or is invalid. The message lists the first faults.
    """
    table = TableFile(path)
    labels = set_tables.read_labels(table)
    table.raise_errors()
    return labels


def _write_tags_and_events(
    folder: Path, filenames: Names, labels: Sequence[str], tags: Tags, events: Events | None
) -> None:
    tag_rows = (
        zip(filenames[tags.clip[part]].tolist(), (labels[k] for k in tags.label[part].tolist()))
        for part in slices(len(tags.clip))
    )
    write_rows(folder / "tags.tsv", COLUMNS["tags.tsv"], tag_rows)
    if events is not None:
        event_rows = (
            (str(filenames[i]), format_seconds(onset), format_seconds(offset), labels[k])
            for i, onset, offset, k in events.rows()
        )
        write_rows(folder / "events.tsv", COLUMNS["events.tsv"], [event_rows])


def check_overwrite(folder: PathLike, made_by: str) -> None:
    """Raise InputError if a folder contains a data set that the command `made_by` did not make.

    `made_by` is the command that will write the folder. The key `made_by` in info.yaml is the
    command that made the data set. If this key is missing, InputError is raised, too.
    """
    folder = Path(folder)
    if not (folder / "clips.tsv").exists():
        return
    path = folder / "info.yaml"
    info = read_yaml(path) if path.exists() else None
    if not isinstance(info, dict) or info.get("made_by") != made_by:
        raise InputError(
            f"{folder}: contains a data set that `wsedtk {made_by}` did not make; "
            "choose another folder, or remove this folder"
        )


def _check_names(names: list[str]) -> None:
    """Raise InputError if a text contains a character that a table can't contain."""
    odd = unfit(names)
    if odd is not None:
        raise InputError(
            f"{odd!r}: a file name, path, group or class of a data directory can't contain a tab, "
            "a line end, a NUL or bytes that are not UTF-8"
        )


def write(folder: PathLike, dataset: DataSet) -> None:
    """Write a data directory. Each file is written atomically.

    An old clips.tsv is removed first, and the new clips.tsv is written last. An unfinished folder
    is therefore not a valid data directory.

    Raises
    ------
    InputError
        If a file name, path, group or class contains a character that a table can't contain, such
        as a tab.
    """
    folder = Path(folder)
    _check_names(dataset.labels)
    for column in (dataset.filenames, dataset.paths, dataset.groups):
        if column is not None:
            for part in slices(len(column)):
                _check_names(column[part].tolist())
    remove(folder / "clips.tsv")
    unknown, info = dataset.has_unknown_tags(), dict(dataset.info)
    if len(unknown) and unknown.all():
        info[TAGS] = UNKNOWN_TAGS
    elif info.get(TAGS) == UNKNOWN_TAGS:
        info[TAGS] = COMPLETE
    write_text(folder / "info.yaml", to_yaml({**info, **provenance.made_by()}))
    if unknown.any() and not unknown.all():
        names = dataset.filenames[unknown].tolist()
        write_rows(folder / UNKNOWN, ("filename",), [[(name,) for name in names]])
    else:
        remove(folder / UNKNOWN)
    tags = Tags(dataset.tag_clip, dataset.tag_label)
    _write_tags_and_events(folder, dataset.filenames, dataset.labels, tags, dataset.events)
    if dataset.events is None:
        remove(folder / "events.tsv")
    write_text(folder / "labels.txt", "\n".join(dataset.labels) + "\n")
    header, groups = COLUMNS["clips.tsv"], None
    if dataset.is_grouped().any():
        header, groups = (*header, GROUP), dataset.groups
    rows = (_clip_rows(dataset, part, groups) for part in slices(len(dataset)))
    write_rows(folder / "clips.tsv", header, rows)


def _clip_rows(dataset: DataSet, part: slice, groups: Texts | None) -> Iterable[tuple[str, ...]]:
    """Return the rows of clips.tsv for a part of the clips."""
    columns = [
        dataset.filenames[part].tolist(),
        dataset.paths[part].tolist(),
        map(format_seconds, dataset.durations[part].tolist()),
    ]
    if groups is not None:
        columns.append(groups[part].tolist())
    return zip(*columns)


def write_decoded(
    folder: PathLike,
    filenames: npt.ArrayLike,
    durations: Iterable[float],
    labels: Sequence[str],
    tags: Booleans,
    *,
    events: Events | None,
    info: Mapping[str, Any] | None = None,
    failed: Iterable[str] = (),
) -> None:
    """Write a decoded folder: tags and events of clips.

    The tags and events are those that a system detected, or the reference tags and events.

    Parameters
    ----------
    folder : path-like
    filenames : (N,) str
        The clips.
    durations : (N,) float
        Their durations in seconds.
    labels : sequence of str
        The K classes.
    tags : (N, K) bool
        The tags of each clip.
    events : Events or None
        The events. If None, events.tsv is not written.
    info : mapping, optional
        The origin of the tags and events. It is written to info.yaml.
    failed : iterable of str
        The failed clips (see `store`), which have no scores. They are written to failed.tsv.

    Raises
    ------
    InputError
        If the folder is a data directory, or if a file name or class contains a character that a
        table can't contain.
    """
    folder = Path(folder)
    names: Names = np.asarray(filenames)
    _check_names([*labels, *names.tolist()])
    if (folder / "labels.txt").exists():
        raise InputError(
            f"{folder}: is a data directory, which decoded events would overwrite; "
            "choose another folder"
        )
    # Without clips.tsv, which is written last, an unfinished folder is not valid (as in `write`).
    remove(folder / "clips.tsv")
    remove(folder / "failed.tsv")
    if info is not None:
        write_text(folder / "info.yaml", to_yaml({**info, **provenance.made_by()}))
    failed = sorted(failed)
    if failed:
        write_rows(folder / "failed.tsv", ("filename",), [[(name,) for name in failed]])
    _write_tags_and_events(folder, names, labels, Tags(*np.nonzero(tags)), events)
    rows = zip(map(str, names), map(format_seconds, durations))
    write_rows(folder / "clips.tsv", DECODED_COLUMNS, [rows])


def read_decoded(folder: PathLike, labels: Iterable[str]) -> DataSet:
    """Read a folder that `write_decoded` wrote. The folder must contain an events.tsv.

    Parameters
    ----------
    folder : path-like
    labels : iterable of str
        The classes. The folder does not contain a list of them.

    Raises
    ------
    InputError
        If the folder or a table is missing, or if a table or info.yaml is invalid. The message
        lists the first faults.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; create it with wsedtk decode")
    labels = list(map(normal, labels))
    clips_table, tags_table, events_table = (TableFile(folder / name) for name in COLUMNS)
    clips = read_clips(clips_table, DECODED_COLUMNS, optional=None)
    tags = read_tags(tags_table, clips.filenames, labels)
    events = read_events(events_table, clips, labels, tags)
    faults = [*clips_table.faults, *tags_table.faults, *events_table.faults]
    raise_on_errors(faults, "decode the scores again")
    info = read_yaml(folder / "info.yaml") if (folder / "info.yaml").exists() else None
    return DataSet(
        filenames=clips.filenames,
        paths=clips.paths,
        durations=clips.durations,
        labels=labels,
        tag_clip=tags.clip,
        tag_label=tags.label,
        events=events,
        info=info if isinstance(info, dict) else {},
    )
