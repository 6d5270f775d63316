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
import functools
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsedtk.core import provenance
from wsedtk.core.atomic import remove, write_text
from wsedtk.core.config import read_yaml, to_yaml
from wsedtk.core.errors import InputError
from wsedtk.core.progress import detail
from wsedtk.data.clip_names import source_of
from wsedtk.data.events import Events
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
from wsedtk.data.tables import (
    Fault,
    first,
    format_seconds,
    normal,
    raise_on_errors,
    slices,
    texts,
    unfit,
    write_rows,
)


@dataclasses.dataclass(frozen=True)
class DataSet:
    """N clips with their tags and events of K classes. `read_data` returns one.

    AudioSet's two million clips take 0.5 GB.

    Attributes
    ----------
    filenames : (N,) str
        The names of the clips, in ascending order.
    paths : (N,) str
        Absolute paths of the sound files; "" for a clip without audio.
    durations : (N,) float64
        Durations in seconds.
    labels : list of str
        The K classes.
    tag_clip, tag_label : (M,) int64
        The clip and the class of each of the M tags, as indices. Clips ascend, and the classes
        within a clip. `tag_matrix()` gives the tags as booleans (N, K).
    events : Events or None
        E events as columns (E,): `clip` and `label` (indices), `onset` and `offset` (seconds).
        None if the set has no events.tsv.
    info : dict
        The content of info.yaml.
    groups : (N,) str, or None
        The group of each clip, "" for none. A split keeps clips of one group together. None if no
        clip has a group.

    Examples
    --------
    >>> data = wsedtk.read_data("data/test")
    >>> len(data), data.labels, data.tag_matrix().sum(axis=0)
    """

    filenames: npt.NDArray[np.str_]
    paths: npt.NDArray[np.str_]
    durations: npt.NDArray[np.float64]
    labels: list[str]
    tag_clip: npt.NDArray[np.int64]
    tag_label: npt.NDArray[np.int64]
    events: Events | None = None
    info: dict[str, Any] = dataclasses.field(default_factory=dict)
    groups: npt.NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.filenames)

    @functools.cached_property
    def _tag_starts(self):
        return np.searchsorted(self.tag_clip, np.arange(len(self) + 1))

    def tags_of(self, clip):
        """The classes (any number,) that one clip is tagged with."""
        return self.tag_label[self._tag_starts[clip] : self._tag_starts[clip + 1]]

    def tag_matrix(self, clips: npt.ArrayLike | None = None) -> npt.NDArray[np.bool_]:
        """Return the tags of the clips (B,), indices, or of all clips, as booleans (B, K)."""
        clips = np.arange(len(self)) if clips is None else np.asarray(clips)
        counts = self._tag_starts[clips + 1] - self._tag_starts[clips]
        rows = np.repeat(np.arange(len(clips)), counts)
        places = np.arange(counts.sum()) + np.repeat(
            self._tag_starts[clips] - np.cumsum(counts) + counts, counts
        )
        tags = np.zeros((len(clips), len(self.labels)), bool)
        tags[rows, self.tag_label[places]] = True
        return tags

    def clips_of_classes(self):
        """The clips (any number,), ascending, of each of the K classes, and then those without tags: K + 1 arrays."""
        by_class = self.tag_clip[np.argsort(self.tag_label, kind="stable")]
        return [
            *np.split(by_class, np.cumsum(self.clips_per_class()))[:-1],
            np.flatnonzero(np.diff(self._tag_starts) == 0),
        ]

    def clips_per_class(self, members=None):
        """How many clips of each class there are (K,), of all or of those where the mask `members` (N,) is true."""
        labels = self.tag_label if members is None else self.tag_label[members[self.tag_clip]]
        return np.bincount(labels, minlength=len(self.labels))

    def recordings(self):
        """Yield the recordings that clips are cut from, by their names, in blocks of text (B,)."""
        last = np.zeros(len(self))  # where the last event of each clip ends
        if self.events is not None:
            np.maximum.at(last, self.events.clip, self.events.offset)
        for part in slices(len(self)):
            yield np.array(list(map(source_of, self.filenames[part].tolist(), last[part].tolist())))

    def is_grouped(self):
        """Which clips (N,) have a group."""
        return np.zeros(len(self), bool) if self.groups is None else self.groups != ""

    @functools.cached_property
    def source_keys(self):
        """A key of each clip's recording (N,), and one of its group, 0 for none (N,)."""
        groups = [] if self.groups is None else map(hash, texts(self.groups))
        recordings = (text for block in self.recordings() for text in block.tolist())
        return (
            np.fromiter(map(hash, recordings), np.int64, len(self)),
            np.fromiter(groups, np.int64)
            if self.groups is not None
            else np.zeros(len(self), np.int64),
        )

    def select(self, keep):
        """The set of the clips where the boolean mask `keep` (N,) is true, with their tags and events."""
        position = np.cumsum(keep) - 1  # old index -> new index
        kept_tags = keep[self.tag_clip]
        events = self.events
        if events is not None:
            events = events.select(keep[events.clip])
            events = dataclasses.replace(events, clip=position[events.clip])
        return dataclasses.replace(
            self,
            filenames=self.filenames[keep],
            paths=self.paths[keep],
            durations=self.durations[keep],
            groups=None if self.groups is None else self.groups[keep],
            tag_clip=position[self.tag_clip[kept_tags]],
            tag_label=self.tag_label[kept_tags],
            events=events,
        )

    def fingerprint(self):
        """16 hexadecimal digits that name the clips, tags, events, classes and groups.

        Where the audio lies is not part of it. Without groups it is as in versions before groups.
        """
        digest = hashlib.sha256()
        _hash_names(digest, self.filenames)
        columns = [self.durations, self.tag_clip, self.tag_label]
        if self.events is not None:
            columns += [self.events.clip, self.events.onset, self.events.offset, self.events.label]
        for column in columns:
            digest.update(
                f"\n{len(column)}\n".encode()
                + column.astype(column.dtype.newbyteorder("<")).tobytes()
            )
        digest.update(repr(self.labels).encode())
        if self.is_grouped().any():
            digest.update(b"\ngroups\n")
            _hash_names(digest, self.groups)
        return digest.hexdigest()[:16]


def sources(*datasets):
    """Number what must not be on both sides of a split: an array (N,) for each set, alike in all.

    The source of a clip is its group. A clip without one is of the recording that its name tells,
    and of the groups that other clips of this recording have; these are one source then.
    """
    recordings, groups = map(np.concatenate, zip(*(dataset.source_keys for dataset in datasets)))
    is_grouped = groups != 0
    keys, source = np.unique(np.where(is_grouped, groups, recordings), return_inverse=True)
    joined = is_grouped & np.isin(recordings, recordings[~is_grouped])
    if joined.any():
        from scipy import sparse  # slow to import

        links = source[joined], np.searchsorted(keys, recordings[joined])
        shape = (len(keys), len(keys))
        graph = sparse.coo_array((np.ones(joined.sum(), bool), links), shape)
        source = sparse.csgraph.connected_components(graph, directed=False)[1][source]
    return np.split(source, np.cumsum([len(dataset) for dataset in datasets])[:-1])


def _hash_names(digest, names):
    for number, part in enumerate(slices(len(names))):
        digest.update(("\n" if number else "").encode() + "\n".join(names[part].tolist()).encode())


def fingerprint_clips(filenames):
    """16 hexadecimal digits that name a list of clips, whatever its order."""
    digest = hashlib.sha256()
    _hash_names(digest, np.sort(filenames))
    return digest.hexdigest()[:16]


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
