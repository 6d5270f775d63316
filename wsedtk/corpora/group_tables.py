"""Take the groups of the clips of a set from a table of recordings."""

import dataclasses
import functools
from pathlib import Path

import numpy as np

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.wording import counted
from wsedtk.corpora.recording_names import RecordingNames
from wsedtk.data import datadir, label_tables
from wsedtk.data.clip_names import recording_of, without_extension
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.tables import first
from wsedtk.inference.recordings import Recording


class _ClipNames:
    """The clips of a set, by their names and by the names of their recordings."""

    def __init__(self, dataset: DataSet) -> None:
        self._clips: list[dict[str, list[int]]] = [{}, {}]
        for i, name in enumerate(dataset.filenames.tolist()):
            for clips, text in zip(self._clips, (recording_of(name), without_extension(name))):
                clips.setdefault(text, []).append(i)
        self._names = [
            RecordingNames([Recording(Path(text), text) for text in clips]) for clips in self._clips
        ]

    def named(self, text: str) -> tuple[int, ...]:
        """Return the clips that a name in a table refers to."""
        for names, clips in zip(self._names, self._clips):
            found = names.named(text)
            if found:
                return tuple(i for one in found for i in clips[one.recording.name])
        return ()


def with_groups(dataset: DataSet, table: PathLike, group_column: str | None = None) -> DataSet:
    """Return a set whose groups are those in a table of recordings.

    Parameters
    ----------
    dataset : DataSet
        Its own groups are ignored.
    table : path-like
        A CSV or TSV file with a column of file names and a column of groups. A file name is the
        name of a recording or of a clip. It may be a path, and its extension may be missing. If
        recordings in several folders have this name, it refers to all of them. Recordings that are
        not in the set are ignored.
    group_column : str, optional
        See `label_tables.read_groups`.

    Raises
    ------
    InputError
        If the table is faulty, or if a clip has no group or several groups.
    """
    named = functools.cache(_ClipNames(dataset).named)
    rows = label_tables.read_groups(table, lambda text: bool(named(text)), group_column)
    groups, lines = [""] * len(dataset), [0] * len(dataset)
    for row in rows:
        for i in named(row.file):
            if groups[i] and groups[i] != row.group:
                raise InputError(
                    f"{table}:{row.line}: the clip {dataset.filenames[i]!s} has the group "
                    f"{row.group!r}, but the group {groups[i]!r} according to line {lines[i]}; "
                    "give each recording one group"
                )
            groups[i], lines[i] = row.group, row.line
    missing = [
        recording_of(name) for name, group in zip(dataset.filenames.tolist(), groups) if not group
    ]
    if missing:
        names = sorted(set(missing))
        raise InputError(
            f"{table}: has no group of {counted(len(names), 'recording')} "
            f"({counted(len(missing), 'clip')}): {first(names)}; add a row with a group for each "
            "recording"
        )
    return dataclasses.replace(dataset, groups=np.array(groups, datadir.TEXT))
