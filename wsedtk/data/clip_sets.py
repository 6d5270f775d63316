"""Define a set of N clips in memory, with M tags, E events and K classes."""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from wsedtk.core import provenance
from wsedtk.core.types import Booleans
from wsedtk.data.clip_names import source_of
from wsedtk.data.events import Events
from wsedtk.data.set_tables import TEXT
from wsedtk.data.tables import Names, Texts, slices, texts


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A set of N clips with tags and events of K classes. `read_data` returns a DataSet.

    The two million clips of AudioSet take 0.5 GB of memory.

    Attributes
    ----------
    filenames : (N,) str
        The names of the clips, in ascending order.
    paths : (N,) str
        Paths of the sound files; "" for a clip without audio. `read_data` returns absolute paths.
        Relative paths are relative to the data directory.
    durations : (N,) float64
        Durations in seconds.
    labels : list of str
        The K classes.
    tag_clip, tag_label : (M,) int64
        For each of the M tags, the index of its clip and the index of its class. Tags are sorted by
        clip, then by class. `tag_matrix()` returns the tags as booleans (N, K).
    events : Events or None
        E events as columns (E,): `clip` and `label` (indices), `onset` and `offset` (seconds).
        None if the set has no events.tsv.
    info : dict
        The content of info.yaml.
    groups : (N,) str, or None
        The group of each clip, or "" for a clip without a group. None means that no clip has a
        group. A split keeps the clips of one group together.
    unknown : (N,) bool, or None
        Whether the tags of each clip are unknown. A clip with unknown tags has no tags and no
        events, and is not a clip without tags. None means that the tags of all clips are complete.

    Examples
    --------
    >>> data = wsedtk.read_data("data/test")
    >>> len(data), data.labels, data.tag_matrix().sum(axis=0)
    """

    filenames: Names
    paths: Texts
    durations: npt.NDArray[np.float64]
    labels: list[str]
    tag_clip: npt.NDArray[np.int64]
    tag_label: npt.NDArray[np.int64]
    events: Events | None = None
    info: dict[str, Any] = dataclasses.field(default_factory=dict)
    groups: Texts | None = None
    unknown: Booleans | None = None

    def __len__(self) -> int:
        return len(self.filenames)

    @functools.cached_property
    def _tag_starts(self) -> npt.NDArray[np.int64]:
        """The index of the first tag of each clip, followed by the number of tags: (N + 1,)."""
        return np.searchsorted(self.tag_clip, np.arange(len(self) + 1))

    def tags_of(self, clip: int) -> npt.NDArray[np.int64]:
        """Return the tags of one clip, as indices of classes."""
        return self.tag_label[self._tag_starts[clip] : self._tag_starts[clip + 1]]

    def tag_matrix(self, clips: npt.ArrayLike | None = None) -> npt.NDArray[np.bool_]:
        """Return the tags of clips as booleans (B, K). `clips` (B,) are indices (default: all)."""
        clips = np.arange(len(self)) if clips is None else np.asarray(clips)
        counts = self._tag_starts[clips + 1] - self._tag_starts[clips]
        rows = np.repeat(np.arange(len(clips)), counts)
        places = np.arange(counts.sum()) + np.repeat(
            self._tag_starts[clips] - np.cumsum(counts) + counts, counts
        )
        tags = np.zeros((len(clips), len(self.labels)), bool)
        tags[rows, self.tag_label[places]] = True
        return tags

    def clips_of_classes(self) -> list[npt.NDArray[np.int64]]:
        """Return the clips of each of the K classes, followed by the clips without tags.

        The list has K + 1 arrays of indices. Each array is in ascending order. Clips with unknown
        tags are in none of them.
        """
        by_class = self.tag_clip[np.argsort(self.tag_label, kind="stable")]
        return [
            *np.split(by_class, np.cumsum(self.clips_per_class()))[:-1],
            np.flatnonzero((np.diff(self._tag_starts) == 0) & ~self.has_unknown_tags()),
        ]

    def clips_per_class(self, members: Booleans | None = None) -> npt.NDArray[np.int64]:
        """Return the number of clips of each class (K,).

        Parameters
        ----------
        members : (N,) bool, optional
            The clips to count. By default all clips are counted.
        """
        labels = self.tag_label if members is None else self.tag_label[members[self.tag_clip]]
        return np.bincount(labels, minlength=len(self.labels))

    def recordings(self) -> Iterator[Names]:
        """Yield the recordings of the clips (see `clip_names.source_of`) in blocks (B,)."""
        last = np.zeros(len(self))  # the end of the last event of each clip, in seconds
        if self.events is not None:
            np.maximum.at(last, self.events.clip, self.events.offset)
        for part in slices(len(self)):
            yield np.array(list(map(source_of, self.filenames[part].tolist(), last[part].tolist())))

    def is_grouped(self) -> Booleans:
        """Return a mask (N,) of the clips that have a group."""
        if self.groups is None:
            return np.zeros(len(self), bool)
        grouped: Booleans = self.groups != ""
        return grouped

    def has_unknown_tags(self) -> Booleans:
        """Return a mask (N,) of the clips whose tags are unknown."""
        return np.zeros(len(self), bool) if self.unknown is None else self.unknown

    @functools.cached_property
    def source_keys(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """A hash of the recording (N,) and a hash of the group (N,) of each clip.

        The hash of the group is 0 if the clip has no group.
        """
        recordings = (text for block in self.recordings() for text in block.tolist())
        recording_keys = np.fromiter(map(hash, recordings), np.int64, len(self))
        if self.groups is None:
            return recording_keys, np.zeros(len(self), np.int64)
        return recording_keys, np.fromiter(map(hash, texts(self.groups)), np.int64)

    def select(self, keep: Booleans) -> "DataSet":
        """Return a set with only some of the clips, and with their tags and events.

        Parameters
        ----------
        keep : (N,) bool
            The clips to keep.
        """
        position = np.cumsum(keep) - 1  # the new index of each clip that is kept
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
            unknown=None if self.unknown is None else self.unknown[keep],
            tag_clip=position[self.tag_clip[kept_tags]],
            tag_label=self.tag_label[kept_tags],
            events=events,
        )

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits of a hash of the clips, tags, events, classes and groups.

        The paths of the sound files are not hashed. Groups are hashed only if a clip has a group,
        and the mask `unknown` only if a clip has unknown tags. Fingerprints from older versions of
        wsedtk, which had neither, therefore stay valid.
        """
        digest = hashlib.sha256()
        provenance.hash_texts(digest, self.filenames)
        columns: list[npt.NDArray[Any]] = [self.durations, self.tag_clip, self.tag_label]
        if self.events is not None:
            columns += [self.events.clip, self.events.onset, self.events.offset, self.events.label]
        for column in columns:
            little_endian = column.astype(column.dtype.newbyteorder("<"))
            digest.update(f"\n{len(column)}\n".encode() + little_endian.tobytes())
        digest.update(repr(self.labels).encode())
        if self.groups is not None and self.is_grouped().any():
            digest.update(b"\ngroups\n")
            provenance.hash_texts(digest, self.groups)
        if self.has_unknown_tags().any():
            digest.update(b"\nunknown\n" + self.has_unknown_tags().tobytes())
        return digest.hexdigest()[:16]


def join(sets: Sequence[DataSet]) -> DataSet:
    """Join sets to one set.

    Parameters
    ----------
    sets : sequence of DataSet
        At least one set. All sets have the same classes, and no clip occurs in two of them.

    Returns
    -------
    DataSet
        The clips of all sets, with the `info` of the first set. It has events if one of the sets
        has events.
    """
    filenames = np.concatenate([dataset.filenames for dataset in sets])
    order = np.argsort(filenames, kind="stable")
    position = np.argsort(order)  # the index of each clip in the joined set
    starts = np.cumsum([0, *map(len, sets)]).tolist()
    tag_clip = position[np.concatenate([d.tag_clip + start for d, start in zip(sets, starts)])]
    tag_label = np.concatenate([dataset.tag_label for dataset in sets])
    by_clip = np.lexsort((tag_label, tag_clip))
    events, groups, unknown = None, None, None
    found = [(d.events, start) for d, start in zip(sets, starts) if d.events is not None]
    if found:
        events = Events.from_columns(
            position[np.concatenate([one.clip + start for one, start in found])],
            np.concatenate([one.onset for one, _ in found]),
            np.concatenate([one.offset for one, _ in found]),
            np.concatenate([one.label for one, _ in found]),
        )
    if any(dataset.groups is not None for dataset in sets):
        groups = np.concatenate(
            [d.groups if d.groups is not None else np.full(len(d), "", TEXT) for d in sets]
        )[order]
    if any(dataset.unknown is not None for dataset in sets):
        unknown = np.concatenate([dataset.has_unknown_tags() for dataset in sets])[order]
    return dataclasses.replace(
        sets[0],
        filenames=filenames[order],
        paths=np.concatenate([dataset.paths for dataset in sets])[order],
        durations=np.concatenate([dataset.durations for dataset in sets])[order],
        tag_clip=tag_clip[by_clip],
        tag_label=tag_label[by_clip],
        events=events,
        groups=groups,
        unknown=unknown,
    )


def sources(*datasets: DataSet) -> list[npt.NDArray[np.int64]]:
    """Assign a number to each source of clips. A split keeps the clips of one source together.

    The source of a clip is its group. If the clip has no group, its source is the recording in its
    name. If other clips of this recording have groups, these groups belong to the same source.

    Returns
    -------
    list of (N,) int64
        The number of the source of each clip, one array for each set. A source has the same number
        in all sets.
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


def fingerprint_clips(filenames: npt.ArrayLike) -> str:
    """Return 16 hexadecimal digits of a hash of file names (N,).

    The hash does not depend on the order of the file names.
    """
    digest = hashlib.sha256()
    names: Names = np.asarray(filenames)
    if not (names[1:] >= names[:-1]).all():
        names = np.sort(names)
    provenance.hash_texts(digest, names)
    return digest.hexdigest()[:16]
