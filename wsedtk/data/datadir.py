"""data/<set>: a set of clips with its tags, events and classes, as tab-separated tables in one folder.

    clips.tsv    filename  path  duration            one row a clip; path absolute or relative to the folder, empty: no audio
                 [group]                         optional; what must not be on both sides of a split
    tags.tsv     filename  event_label               one row a tag
    labels.txt                                       one class a line, in order
    events.tsv   filename  onset  offset  event_label    optional; seconds
    info.yaml                                        optional; where the set comes from

UTF-8, a header line, no quoting, sorted by filename. `filename` names the clip everywhere. A decoded folder
(<system>/<set>/<mode>/) has the same tables, its clips.tsv without `path` and without labels.txt.
"""

import dataclasses
import os
from pathlib import Path

import numpy as np

from wsedtk.core import provenance
from wsedtk.core.atomic import remove, write_text
from wsedtk.core.config import read_yaml, to_yaml
from wsedtk.core.errors import InputError
from wsedtk.core.progress import detail
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.set_tables import (
    COLUMNS,
    GROUP,
    TEXT,
    check_clips,
    check_events,
    check_info,
    check_labels,
    check_tags,
    concatenate,
    path_array,
)
from wsedtk.data.table_files import Fault, raise_on_errors
from wsedtk.data.tables import first, format_seconds, normal, slices, unfit, write_rows


def _absolute(folder, paths):
    """The paths (N,) of clips.tsv, which may be relative to the folder, as absolute ones."""
    folder = str(folder.absolute())
    blocks = [
        path_array([os.path.join(folder, path) if path else "" for path in paths[part].tolist()])
        for part in slices(len(paths))
    ]
    return concatenate(blocks, TEXT)


def check(folder):
    """Read a data directory and find every fault of its tables. Returns (DataSet, faults); None for the set on errors."""
    folder, faults = Path(folder), []
    if not folder.is_dir():
        return None, [
            Fault(
                True,
                folder,
                None,
                "no such folder; a data directory holds clips.tsv, tags.tsv and labels.txt",
            )
        ]
    below = (
        []
        if (folder / "clips.tsv").exists()
        else sorted(path.parent.name for path in folder.glob("*/clips.tsv"))
    )
    if below:
        return None, [
            Fault(
                True,
                folder,
                None,
                f"is no data directory but holds some: {first(below)}; name one of them",
            )
        ]
    labels = check_labels(folder / "labels.txt", faults)
    filenames, paths, durations, groups = check_clips(
        folder / "clips.tsv", COLUMNS["clips.tsv"], faults, GROUP
    )
    tags, events = (np.array([], np.int64),) * 2, None
    if len(filenames) and labels:  # else every row that names one would be a fault too
        tags = check_tags(folder / "tags.tsv", filenames, labels, faults)
        if (folder / "events.tsv").exists():
            events = check_events(folder / "events.tsv", filenames, labels, durations, tags, faults)
    info = check_info(folder / "info.yaml", faults)
    groups = groups if (groups != "").any() else None
    dataset = DataSet(filenames, paths, durations, labels, *tags, events, info, groups)
    if groups is not None and not dataset.is_grouped().all():
        without = filenames[~dataset.is_grouped()]
        message = f"{len(without)} clips have no group, their names tell it: {first(without)}"
        faults.append(Fault(False, folder / "clips.tsv", None, message))
    if len(filenames) and labels:
        *clips, untagged = dataset.clips_of_classes()
        if len(untagged):
            faults.append(
                Fault(
                    False,
                    folder / "tags.tsv",
                    None,
                    f"{len(untagged)} clips without tags: {first(filenames[untagged])}",
                )
            )
        unused = [label for label, members in zip(labels, clips) if not len(members)]
        if unused:
            faults.append(
                Fault(
                    False,
                    folder / "labels.txt",
                    None,
                    f"{len(unused)} classes without clips: {first(unused)}",
                )
            )
    if any(fault.is_error for fault in faults):
        return None, faults
    return dataclasses.replace(dataset, paths=_absolute(folder, paths)), faults


def read(folder: str | os.PathLike[str]) -> DataSet:
    """Read a data directory. In Python it is `wsedtk.read_data`.

    Parameters
    ----------
    folder : path-like
        A folder with clips.tsv, tags.tsv and labels.txt, and if there are events, events.tsv.

    Returns
    -------
    DataSet
        N clips with their tags and events of K classes, in the order of the file names.

    Raises
    ------
    InputError
        If a table is missing or wrong. The message names the first faults, with file and line.
    """
    dataset, faults = check(folder)
    raise_on_errors(faults, f"wsedtk validate '{folder}' lists them all")
    detail(f"read {folder}: {len(dataset)} clips, {len(dataset.labels)} classes")
    return dataset


def read_labels(path):
    """The classes of a text file, one a line, in order. Raises InputError that lists every fault."""
    faults = []
    labels = check_labels(Path(path), faults)
    raise_on_errors(faults, "mend these first")
    return labels


def _write_tags_and_events(folder, filenames, labels, tags, events):
    """tags: clip (M,) and class (M,) of each."""
    write_rows(
        folder / "tags.tsv",
        COLUMNS["tags.tsv"],
        (
            zip(filenames[tags[0][part]].tolist(), (labels[k] for k in tags[1][part].tolist()))
            for part in slices(len(tags[0]))
        ),
    )
    if events is not None:
        write_rows(
            folder / "events.tsv",
            COLUMNS["events.tsv"],
            [
                (
                    (filenames[i], format_seconds(on), format_seconds(off), labels[k])
                    for i, on, off, k in events.rows()
                )
            ],
        )


def check_overwrite(folder, made_by):
    """Raise InputError where a folder holds a data set that another verb, or a person, made (`made_by` in info.yaml)."""
    if (Path(folder) / "clips.tsv").exists():
        info = read_yaml(path) if (path := Path(folder) / "info.yaml").exists() else None
        if not isinstance(info, dict) or info.get("made_by") != made_by:
            raise InputError(
                f"{folder}: holds a data set that `wsedtk {made_by}` did not make; name another folder, or remove it"
            )


def _check_names(names):
    """Raise InputError for the first of some texts that a table can't hold."""
    odd = unfit(names)
    if odd is not None:
        raise InputError(
            f"{odd!r}: a file name or class of a data directory can't hold a tab, a line end, or what is not UTF-8"
        )


def write(folder, dataset):
    """Write a data directory, each table atomically. Names that its tables can't hold raise InputError.

    clips.tsv comes last, and an old one goes first: without it a folder that was not finished is no data directory.
    """
    folder = Path(folder)
    _check_names(dataset.labels)
    for column in (dataset.filenames, dataset.paths, dataset.groups):
        for part in slices(0 if column is None else len(dataset)):
            _check_names(column[part].tolist())
    remove(folder / "clips.tsv")
    write_text(folder / "info.yaml", to_yaml({**dataset.info, **provenance.made_by()}))
    _write_tags_and_events(
        folder,
        dataset.filenames,
        dataset.labels,
        (dataset.tag_clip, dataset.tag_label),
        dataset.events,
    )
    if dataset.events is None:
        remove(folder / "events.tsv")
    write_text(folder / "labels.txt", "\n".join(dataset.labels) + "\n")
    columns, groups = COLUMNS["clips.tsv"], []
    if dataset.is_grouped().any():
        columns, groups = (*columns, GROUP), [dataset.groups]
    write_rows(
        folder / "clips.tsv",
        columns,
        (
            zip(
                dataset.filenames[part].tolist(),
                dataset.paths[part].tolist(),
                map(format_seconds, dataset.durations[part].tolist()),
                *(column[part].tolist() for column in groups),
            )
            for part in slices(len(dataset))
        ),
    )


def write_decoded(folder, filenames, durations, labels, tags, events, info=None, failed=()):
    """Write what a system says of clips: which clips, their tags ((N, K) booleans) and their events.

    info: where they come from, a plain mapping. failed: file names of clips without scores, their audio being unreadable, for
    failed.tsv. Raises InputError where the folder is a data directory.
    """
    folder, filenames = Path(folder), np.asarray(filenames)
    _check_names([*labels, *filenames.tolist()])
    if (folder / "labels.txt").exists():
        raise InputError(
            f"{folder}: is a data directory, which decoded events would overwrite; name another folder"
        )
    remove(folder / "clips.tsv")  # written last, as in `write`
    remove(folder / "failed.tsv")
    if info is not None:
        write_text(folder / "info.yaml", to_yaml({**info, **provenance.made_by()}))
    if failed:
        write_rows(folder / "failed.tsv", ("filename",), [[(name,) for name in sorted(failed)]])
    _write_tags_and_events(folder, filenames, labels, np.nonzero(tags), events)
    write_rows(
        folder / "clips.tsv",
        ("filename", "duration"),
        [zip(map(str, filenames), map(format_seconds, durations))],
    )


def read_decoded(folder, labels):
    """Read what `write_decoded` wrote, with the classes `labels`, as a DataSet. Raises InputError naming its first faults."""
    folder, faults = Path(folder), []
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; wsedtk decode makes it")
    labels = list(map(normal, labels))
    table, columns = folder / "clips.tsv", ("filename", "duration")
    filenames, paths, durations, _ = check_clips(table, columns, faults)
    tags = check_tags(folder / "tags.tsv", filenames, labels, faults)
    events = check_events(folder / "events.tsv", filenames, labels, durations, tags, faults)
    raise_on_errors(faults, "decode the scores again")
    info = read_yaml(folder / "info.yaml") if (folder / "info.yaml").exists() else None
    info = info if isinstance(info, dict) else {}
    return DataSet(filenames, paths, durations, labels, *tags, events, info)
