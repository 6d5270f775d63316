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

import numpy as np

from wsedtk import provenance
from wsedtk.atomic import remove, write_text
from wsedtk.clip_names import LONGEST_SECONDS, source_of
from wsedtk.config import nearest, read_yaml, to_yaml
from wsedtk.errors import InputError
from wsedtk.events import Events
from wsedtk.progress import detail
from wsedtk.tables import (Fault, cut_blank, find, first, format_seconds, is_blank, is_nothing,
                           no_seconds, normal, raise_on_errors, read_lines, read_rows, repeats,
                           seconds, slices, stands_twice, unfit, write_rows)

COLUMNS = {
    "clips.tsv": ("filename", "path", "duration"),
    "tags.tsv": ("filename", "event_label"),
    "events.tsv": ("filename", "onset", "offset", "event_label"),
}
GROUP = "group"  # the column that clips.tsv may have after the others
TEXT = np.dtypes.StringDType()  # of paths: as long as each is; file names are of one width, which sorts and searches fast


def path_array(paths):
    """Paths (N,) as an array. Raises InputError for one that is not UTF-8."""
    try:
        return np.array(paths, TEXT)
    except UnicodeEncodeError as error:
        raise InputError(f"{error.object!r}: a path that is not UTF-8, which no data directory holds; rename the file or folder") from None


@dataclasses.dataclass(frozen=True)
class DataSet:
    """N clips and K classes. Clips are in the order of their file names. AudioSet's two million take 0.5 GB."""

    filenames: np.ndarray  # (N,) str
    paths: np.ndarray  # (N,) str, absolute; "" where there is no audio
    durations: np.ndarray  # (N,) seconds
    labels: list  # K class names
    tag_clip: np.ndarray  # (M,) index of the clip of each tag, ascending
    tag_label: np.ndarray  # (M,) index of its class, ascending within a clip
    events: Events | None = None
    info: dict = dataclasses.field(default_factory=dict)
    groups: np.ndarray | None = None  # (N,) str, "" where a clip's name tells it; None: of all

    def __len__(self):
        return len(self.filenames)

    @functools.cached_property
    def _tag_starts(self):
        return np.searchsorted(self.tag_clip, np.arange(len(self) + 1))

    def tags_of(self, clip):
        """The classes (any number,) that one clip is tagged with."""
        return self.tag_label[self._tag_starts[clip]:self._tag_starts[clip + 1]]

    def tag_matrix(self, clips=None):
        """Tags of the clips (B,), or of all, as booleans (B, K)."""
        clips = np.arange(len(self)) if clips is None else np.asarray(clips)
        counts = self._tag_starts[clips + 1] - self._tag_starts[clips]
        rows = np.repeat(np.arange(len(clips)), counts)
        places = np.arange(counts.sum()) + np.repeat(self._tag_starts[clips] - np.cumsum(counts) + counts, counts)
        tags = np.zeros((len(clips), len(self.labels)), bool)
        tags[rows, self.tag_label[places]] = True
        return tags

    def clips_of_classes(self):
        """The clips (any number,), ascending, of each of the K classes, and then those without tags: K + 1 arrays."""
        by_class = self.tag_clip[np.argsort(self.tag_label, kind="stable")]
        return [*np.split(by_class, np.cumsum(self.clips_per_class()))[:-1], np.flatnonzero(np.diff(self._tag_starts) == 0)]

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

    def sources(self):
        """Yield what must not be on both sides of a split, in blocks of text (B,).

        It is a clip's group, or where it has none the recording that its name tells.
        """
        is_grouped = self.is_grouped()
        for part, recordings in zip(slices(len(self)), self.recordings()):
            if is_grouped[part].any():
                pairs = zip(self.groups[part].tolist(), recordings.tolist())
                recordings = np.array([group or recording for group, recording in pairs])
            yield recordings

    def select(self, keep):
        """The set of the clips where the boolean mask `keep` (N,) is true, with their tags and events."""
        position = np.cumsum(keep) - 1  # old index -> new index
        kept_tags = keep[self.tag_clip]
        events = self.events
        if events is not None:
            events = events.select(keep[events.clip])
            events = dataclasses.replace(events, clip=position[events.clip])
        return dataclasses.replace(
            self, filenames=self.filenames[keep], paths=self.paths[keep], durations=self.durations[keep],
            groups=None if self.groups is None else self.groups[keep],
            tag_clip=position[self.tag_clip[kept_tags]], tag_label=self.tag_label[kept_tags], events=events)

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
            digest.update(f"\n{len(column)}\n".encode() + column.astype(column.dtype.newbyteorder("<")).tobytes())
        digest.update(repr(self.labels).encode())
        if self.is_grouped().any():
            digest.update(b"\ngroups\n")
            _hash_names(digest, self.groups)
        return digest.hexdigest()[:16]


def _hash_names(digest, names):
    for number, part in enumerate(slices(len(names))):
        digest.update(("\n" if number else "").encode() + "\n".join(names[part].tolist()).encode())


def fingerprint_clips(filenames):
    """16 hexadecimal digits that name a list of clips, whatever its order."""
    digest = hashlib.sha256()
    _hash_names(digest, np.sort(filenames))
    return digest.hexdigest()[:16]


def _check_labels(path, faults):
    """The classes of labels.txt, in order."""
    num_faults = len(faults)
    lines = read_lines(path, faults)
    if lines is None:
        return []
    labels = []
    for number, line in enumerate(cut_blank(lines), 1):
        label = line.rstrip("\t")
        if not label.strip() or "\t" in label:
            faults.append(Fault(True, path, number, f"a class name must be text without tabs, found {label!r}"))
        elif label in labels:
            faults.append(Fault(True, path, number, stands_twice("class", label)))
        else:
            labels.append(label)
            if label != label.strip():
                faults.append(Fault(False, path, number, f"the class {label!r} has spaces around it"))
    if not labels and len(faults) == num_faults:
        faults.append(Fault(True, path, None, "no classes: write one a line"))
    return labels


def _sort_faults(faults, first_fault):
    """Put a table's faults, those from number `first_fault`, in the order of its lines."""
    faults[first_fault:] = sorted(faults[first_fault:], key=lambda fault: fault.line or float("inf"))


def _concatenate(blocks, dtype):
    return np.concatenate(blocks) if blocks else np.array([], dtype)


def _check_clips(path, columns, faults, optional=None):
    """Clips of clips.tsv: names (N,), sorted, paths (N,), durations (N,), groups (N,).

    NaN stands for the duration of one at fault, so that its tags are no faults too.
    """
    num_faults, blocks = len(faults), []
    for lines, texts in read_rows(path, columns, faults, optional):
        block = dict(zip((*columns, optional), texts))
        names, durations = np.array(block["filename"]), seconds(block["duration"])
        for i in np.flatnonzero(~((durations > 0) & (durations <= LONGEST_SECONDS)) | (names == "")).tolist():
            if np.isnan(durations[i]):
                message = no_seconds("duration", block["duration"][i])
                faults.append(Fault(True, path, int(lines[i]), message))
            if names[i] == "":
                faults.append(Fault(True, path, int(lines[i]), "empty filename"))
            elif durations[i] == 0:
                faults.append(Fault(True, path, int(lines[i]), f"duration of {str(names[i])!r} is 0"))
            elif durations[i] > LONGEST_SECONDS:
                faults.append(Fault(True, path, int(lines[i]), f"duration of {str(names[i])!r} is {durations[i]:g} s, more than a day"))
        paths, groups = (block.get(name, [""] * len(names)) for name in ("path", GROUP))
        groups = [group.strip() for group in groups]
        blocks.append((names, np.array(paths, TEXT), durations, np.array(groups, TEXT), lines))
    if not blocks:
        if len(faults) == num_faults:
            faults.append(Fault(True, path, None, "no clips: the set is empty"))
        return np.array([], str), np.array([], TEXT), np.array([]), np.array([], TEXT)
    names, paths, durations, groups, lines = (np.concatenate(column) for column in zip(*blocks))
    del blocks
    if not (names[1:] > names[:-1]).all():
        order = np.argsort(names, kind="stable")
        names, paths, durations, groups, lines = (
            column[order] for column in (names, paths, durations, groups, lines))
        twice = np.append(False, names[1:] == names[:-1])
        for i in np.flatnonzero(twice & (names != "")).tolist():
            message = f"{stands_twice('filename', str(names[i]))}; every clip needs its own"
            faults.append(Fault(True, path, int(lines[i]), message))
        names, paths, durations, groups = (
            column[~twice] for column in (names, paths, durations, groups))
    _sort_faults(faults, num_faults)
    return names, paths, durations, groups


def _without_any(is_empty, labels, *columns):
    """Which rows (B,) are those of a clip without tags or events: all their texts are empty."""
    if not any(map(is_empty, set(labels))):
        return np.zeros(len(labels), bool)
    return np.array([all(map(is_empty, row)) for row in zip(labels, *columns)])


def _find_pairs(path, what, lines, names, labels, filenames, label_index, faults, nothing):
    """The clip (B,) and class (B,) of each row of a block, -1 and a fault where none is named so.

    nothing: (B,) rows that name a clip without a class, which is no fault.
    """
    clips = find(filenames, names)
    numbers = np.array([label_index.get(label, -1) for label in labels])
    for i in np.flatnonzero((clips < 0) | (numbers < 0)).tolist():
        if clips[i] >= 0 and nothing[i]:
            continue
        near = nearest(labels[i], label_index) if clips[i] >= 0 and len(faults) < 100 else None  # a search that takes a while
        faults.append(Fault(True, path, int(lines[i]), f"{names[i]!r} is not in clips.tsv" if clips[i] < 0 else
                            f"unknown class {labels[i]!r}; add it to labels.txt or correct the {what}"
                            + (f"; did you mean {near!r}?" if near else "")))
    return clips, numbers


def _check_tags(path, filenames, labels, faults):
    """Tags of tags.tsv: clip (M,) and class (M,) of each, sorted."""
    num_faults, label_index, blocks = len(faults), {label: k for k, label in enumerate(labels)}, []
    for lines, (names, texts) in read_rows(path, COLUMNS["tags.tsv"], faults):
        nothing = _without_any(is_blank, texts)
        clips, numbers = _find_pairs(path, "tag", lines, names, texts, filenames, label_index,
                                     faults, nothing)
        found = (clips >= 0) & (numbers >= 0)
        blocks.append((clips[found] * len(labels) + numbers[found], lines[found]))
    keys, lines = (_concatenate(column, np.int64) for column in (zip(*blocks) if blocks else ((), ())))
    if not (keys[1:] > keys[:-1]).all():
        order = np.argsort(keys, kind="stable")
        keys, lines = keys[order], lines[order]
        twice = np.append(False, keys[1:] == keys[:-1])
        for key, line in zip(keys[twice].tolist(), lines[twice].tolist()):
            name, label = str(filenames[key // len(labels)]), labels[key % len(labels)]
            faults.append(Fault(False, path, line, f"{name!r} is tagged {label!r} twice"))
        keys = keys[~twice]
    _sort_faults(faults, num_faults)
    return np.divmod(keys, max(len(labels), 1))


def _check_events(path, filenames, labels, durations, tags, faults):
    """Events of events.tsv. tags: clip (M,) and class (M,) of each."""
    num_faults, label_index, blocks = len(faults), {label: k for k, label in enumerate(labels)}, []
    tag_keys = tags[0] * len(labels) + tags[1]
    for lines, (names, onsets, offsets, texts) in read_rows(path, COLUMNS["events.tsv"], faults):
        onset, offset = seconds(onsets), seconds(offsets)
        nothing = _without_any(is_nothing, texts, onsets, offsets)
        for i in np.flatnonzero((np.isnan(onset) | np.isnan(offset)) & ~nothing).tolist():
            for name, value, text in (("onset", onset[i], onsets[i]), ("offset", offset[i], offsets[i])):
                if np.isnan(value):
                    faults.append(Fault(True, path, int(lines[i]), no_seconds(name, text)))
        clips, numbers = _find_pairs(path, "event", lines, names, texts, filenames, label_index,
                                     faults, nothing)
        known = (clips >= 0) & (numbers >= 0) & ~np.isnan(onset) & ~np.isnan(offset)
        late = known & (offset > durations[clips] + 0.1) if len(durations) else known
        untagged = known & (find(tag_keys, clips * len(labels) + numbers) < 0)
        for i in np.flatnonzero(known & ((offset <= onset) | late | untagged)).tolist():
            line, start, end = int(lines[i]), onset[i], offset[i]
            if end < start:
                faults.append(Fault(True, path, line, f"the event ends ({end:g} s) before it starts ({start:g} s)"))
                continue
            if end == start:
                faults.append(Fault(False, path, line, f"an event of length zero at {start:g} s: left out of event and segment scores"))
            if late[i]:
                faults.append(Fault(False, path, line, f"the event ends at {end:g} s, the clip at {durations[clips[i]]:g} s"))
            if untagged[i]:
                faults.append(Fault(False, path, line, f"an event of {texts[i]!r}, which {names[i]!r} is not tagged with"))
        known &= ~(offset < onset)
        blocks.append((clips[known], onset[known], offset[known], numbers[known], lines[known]))
    columns = [np.concatenate(column) for column in zip(*blocks)] if blocks else [np.array([], np.int64)] * 5
    is_repeat = repeats(*columns[:4])
    for i, k, line in zip(*(columns[part][is_repeat].tolist() for part in (0, 3, 4))):
        message = f"an event of {labels[k]!r} in {str(filenames[i])!r} stands twice and counts once"
        faults.append(Fault(False, path, line, message))
    columns = [column[~is_repeat] for column in columns]
    _sort_faults(faults, num_faults)
    events = Events.from_columns(*columns[:4])
    overlapping = [f"{str(filenames[i])!r} at {onset:g} s (line {line}): {labels[k]!r}" for i, onset, k, line in _overlapping(*columns)]
    without = [f"{str(filenames[i])!r}: {labels[k]!r}" for i, k in tags_without_events(*tags, events)]
    for what, found in (("events overlap another of their class", overlapping), ("tags without an event of their class", without)):
        if found:
            faults.append(Fault(False, path, None, f"{len(found)} {what}: {first(found)}"))
    return events


def tags_without_events(tag_clip, tag_label, events):
    """The (clip, class) pairs of tags (M,), (M,), in their order, that no event is of."""
    width = max(tag_label.max(initial=0), events.label.max(initial=0)) + 1
    without = ~np.isin(tag_clip * width + tag_label, events.clip * width + events.label)
    return list(zip(tag_clip[without].tolist(), tag_label[without].tolist()))


def _overlapping(*columns):
    """Yield (clip, onset, class, line) of the events that begin before an earlier one of their clip and class ends."""
    ends, order = {}, np.lexsort([columns[i] for i in (2, 3, 1, 0)])  # that of `Events`
    for clip, onset, offset, k, line in zip(*(column[order].tolist() for column in columns)):
        if onset < ends.get((clip, k), 0):
            yield clip, onset, k, line
        ends[clip, k] = max(offset, ends.get((clip, k), 0))


def _check_info(path, faults):
    """The mapping of info.yaml, {} without the file."""
    try:
        info = (read_yaml(path) if path.exists() else None) or {}
        if not isinstance(info, dict):
            raise InputError(f"expected `key: value` lines, found {info!r}")
    except InputError as error:
        faults.append(Fault(True, path, None, str(error).removeprefix(f"{path}: ")))
        return {}
    return info


def _absolute(folder, paths):
    """The paths (N,) of clips.tsv, which may be relative to the folder, as absolute ones."""
    folder = str(folder.absolute())
    blocks = [path_array([os.path.join(folder, path) if path else "" for path in paths[part].tolist()]) for part in slices(len(paths))]
    return _concatenate(blocks, TEXT)


def check(folder):
    """Read a data directory and find every fault of its tables. Returns (DataSet, faults); None for the set on errors."""
    folder, faults = Path(folder), []
    if not folder.is_dir():
        return None, [Fault(True, folder, None, "no such folder; a data directory holds clips.tsv, tags.tsv and labels.txt")]
    below = [] if (folder / "clips.tsv").exists() else sorted(path.parent.name for path in folder.glob("*/clips.tsv"))
    if below:
        return None, [Fault(True, folder, None, f"is no data directory but holds some: {first(below)}; name one of them")]
    labels = _check_labels(folder / "labels.txt", faults)
    filenames, paths, durations, groups = _check_clips(folder / "clips.tsv", COLUMNS["clips.tsv"],
                                                       faults, GROUP)
    tags, events = (np.array([], np.int64),) * 2, None
    if len(filenames) and labels:  # else every row that names one would be a fault too
        tags = _check_tags(folder / "tags.tsv", filenames, labels, faults)
        if (folder / "events.tsv").exists():
            events = _check_events(folder / "events.tsv", filenames, labels, durations, tags, faults)
    info = _check_info(folder / "info.yaml", faults)
    groups = groups if (groups != "").any() else None
    dataset = DataSet(filenames, paths, durations, labels, *tags, events, info, groups)
    if groups is not None and not dataset.is_grouped().all():
        without = filenames[~dataset.is_grouped()]
        message = f"{len(without)} clips have no group, their names tell it: {first(without)}"
        faults.append(Fault(False, folder / "clips.tsv", None, message))
    if len(filenames) and labels:
        *clips, untagged = dataset.clips_of_classes()
        if len(untagged):
            faults.append(Fault(False, folder / "tags.tsv", None, f"{len(untagged)} clips without tags: {first(filenames[untagged])}"))
        unused = [label for label, members in zip(labels, clips) if not len(members)]
        if unused:
            faults.append(Fault(False, folder / "labels.txt", None, f"{len(unused)} classes without clips: {first(unused)}"))
    if any(fault.is_error for fault in faults):
        return None, faults
    return dataclasses.replace(dataset, paths=_absolute(folder, paths)), faults


def read(folder):
    """Read a data directory. Raises InputError naming its first faults."""
    dataset, faults = check(folder)
    raise_on_errors(faults, f"wsedtk validate '{folder}' lists them all")
    detail(f"read {folder}: {len(dataset)} clips, {len(dataset.labels)} classes")
    return dataset


def read_labels(path):
    """The classes of a text file, one a line, in order. Raises InputError that lists every fault."""
    faults = []
    labels = _check_labels(Path(path), faults)
    raise_on_errors(faults, "mend these first")
    return labels


def _write_tags_and_events(folder, filenames, labels, tags, events):
    """tags: clip (M,) and class (M,) of each."""
    write_rows(folder / "tags.tsv", COLUMNS["tags.tsv"], (
        zip(filenames[tags[0][part]].tolist(), (labels[k] for k in tags[1][part].tolist())) for part in slices(len(tags[0]))))
    if events is not None:
        write_rows(folder / "events.tsv", COLUMNS["events.tsv"], [
            ((filenames[i], format_seconds(on), format_seconds(off), labels[k]) for i, on, off, k in events.rows())])


def check_overwrite(folder, made_by):
    """Raise InputError where a folder holds a data set that another verb, or a person, made (`made_by` in info.yaml)."""
    if (Path(folder) / "clips.tsv").exists():
        info = read_yaml(path) if (path := Path(folder) / "info.yaml").exists() else None
        if not isinstance(info, dict) or info.get("made_by") != made_by:
            raise InputError(f"{folder}: holds a data set that `wsedtk {made_by}` did not make; name another folder, or remove it")


def _check_names(names):
    """Raise InputError for the first of some texts that a table can't hold."""
    odd = unfit(names)
    if odd is not None:
        raise InputError(f"{odd!r}: a file name or class of a data directory can't hold a tab, a line end, or what is not UTF-8")


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
    _write_tags_and_events(folder, dataset.filenames, dataset.labels, (dataset.tag_clip, dataset.tag_label), dataset.events)
    if dataset.events is None:
        remove(folder / "events.tsv")
    write_text(folder / "labels.txt", "\n".join(dataset.labels) + "\n")
    columns, groups = COLUMNS["clips.tsv"], []
    if dataset.is_grouped().any():
        columns, groups = (*columns, GROUP), [dataset.groups]
    write_rows(folder / "clips.tsv", columns, (
        zip(dataset.filenames[part].tolist(), dataset.paths[part].tolist(),
            map(format_seconds, dataset.durations[part].tolist()),
            *(column[part].tolist() for column in groups))
        for part in slices(len(dataset))))


def write_decoded(folder, filenames, durations, labels, tags, events, info=None, failed=()):
    """Write what a system says of clips: which clips, their tags ((N, K) booleans) and their events.

    info: where they come from, a plain mapping. failed: file names of clips without scores, their audio being unreadable, for
    failed.tsv. Raises InputError where the folder is a data directory.
    """
    folder, filenames = Path(folder), np.asarray(filenames)
    _check_names([*labels, *filenames.tolist()])
    if (folder / "labels.txt").exists():
        raise InputError(f"{folder}: is a data directory, which decoded events would overwrite; name another folder")
    remove(folder / "clips.tsv")  # written last, as in `write`
    remove(folder / "failed.tsv")
    if info is not None:
        write_text(folder / "info.yaml", to_yaml({**info, **provenance.made_by()}))
    if failed:
        write_rows(folder / "failed.tsv", ("filename",), [[(name,) for name in sorted(failed)]])
    _write_tags_and_events(folder, filenames, labels, np.nonzero(tags), events)
    write_rows(folder / "clips.tsv", ("filename", "duration"), [zip(map(str, filenames), map(format_seconds, durations))])


def read_decoded(folder, labels):
    """Read what `write_decoded` wrote, with the classes `labels`, as a DataSet. Raises InputError naming its first faults."""
    folder, faults = Path(folder), []
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; wsedtk decode makes it")
    labels = list(map(normal, labels))
    table, columns = folder / "clips.tsv", ("filename", "duration")
    filenames, paths, durations, _ = _check_clips(table, columns, faults)
    tags = _check_tags(folder / "tags.tsv", filenames, labels, faults)
    events = _check_events(folder / "events.tsv", filenames, labels, durations, tags, faults)
    raise_on_errors(faults, "decode the scores again")
    info = read_yaml(folder / "info.yaml") if (folder / "info.yaml").exists() else None
    info = info if isinstance(info, dict) else {}
    return DataSet(filenames, paths, durations, labels, *tags, events, info)
