"""A set of clips with its tags, events and classes, in memory. N clips, K classes."""

import dataclasses
import functools
import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from wsedtk.data.clip_names import source_of
from wsedtk.data.events import Events
from wsedtk.data.tables import slices, texts


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
