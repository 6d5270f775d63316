"""Read the tables of a data directory (see `datadir`), and find every fault of each.

N clips, M tags, B rows of a block. Faults go to the list `faults`.
"""

import numpy as np

from wsedtk.core.config import nearest, read_yaml
from wsedtk.core.errors import InputError
from wsedtk.data.clip_names import LONGEST_SECONDS
from wsedtk.data.events import Events
from wsedtk.data.table_files import Fault, names_no_class, read_lines, read_rows
from wsedtk.data.tables import (
    find,
    first,
    is_blank,
    is_nothing,
    no_seconds,
    repeats,
    seconds,
    stands_twice,
)

COLUMNS = {
    "clips.tsv": ("filename", "path", "duration"),
    "tags.tsv": ("filename", "event_label"),
    "events.tsv": ("filename", "onset", "offset", "event_label"),
}
GROUP = "group"  # the column that clips.tsv may have after the others
TEXT = (
    np.dtypes.StringDType()
)  # of paths: as long as each is; file names are of one width, which sorts and searches fast


def path_array(paths):
    """Paths (N,) as an array. Raises InputError for one that is not UTF-8."""
    try:
        return np.array(paths, TEXT)
    except UnicodeEncodeError as error:
        raise InputError(
            f"{error.object!r}: a path that is not UTF-8, which no data directory holds; rename the file or folder"
        ) from None


def check_labels(path, faults):
    """The classes of labels.txt, in order."""
    num_faults = len(faults)
    lines = read_lines(path, faults)
    if lines is None:
        return []
    labels = []
    for number, line in enumerate(lines, 1):
        label = line.rstrip("\t")
        if not label.strip():
            continue
        if "\t" in label:
            faults.append(
                Fault(
                    True, path, number, f"a class name must be text without tabs, found {label!r}"
                )
            )
        elif label in labels:
            faults.append(Fault(True, path, number, stands_twice("class", label)))
        else:
            labels.append(label)
            if label != label.strip():
                faults.append(
                    Fault(False, path, number, f"the class {label!r} has spaces around it")
                )
    if not labels and len(faults) == num_faults:
        faults.append(Fault(True, path, None, "no classes: write one a line"))
    return labels


def _sort_faults(faults, first_fault):
    """Put a table's faults, those from number `first_fault`, in the order of its lines."""
    faults[first_fault:] = sorted(
        faults[first_fault:], key=lambda fault: fault.line or float("inf")
    )


def concatenate(blocks, dtype):
    return np.concatenate(blocks) if blocks else np.array([], dtype)


def check_clips(path, columns, faults, optional=None):
    """Clips of clips.tsv: names (N,), sorted, paths (N,), durations (N,), groups (N,).

    NaN stands for the duration of one at fault, so that its tags are no faults too.
    """
    num_faults, blocks = len(faults), []
    for lines, texts in read_rows(path, columns, faults, optional):
        block = dict(zip((*columns, optional), texts))
        names, durations = np.array(block["filename"]), seconds(block["duration"])
        for i in np.flatnonzero(
            ~((durations > 0) & (durations <= LONGEST_SECONDS)) | (names == "")
        ).tolist():
            if np.isnan(durations[i]):
                message = no_seconds("duration", block["duration"][i])
                faults.append(Fault(True, path, int(lines[i]), message))
            if names[i] == "":
                faults.append(Fault(True, path, int(lines[i]), "empty filename"))
            elif durations[i] == 0:
                faults.append(
                    Fault(True, path, int(lines[i]), f"duration of {str(names[i])!r} is 0")
                )
            elif durations[i] > LONGEST_SECONDS:
                faults.append(
                    Fault(
                        True,
                        path,
                        int(lines[i]),
                        f"duration of {str(names[i])!r} is {durations[i]:g} s, more than a day",
                    )
                )
        paths, groups = (block.get(name, [""] * len(names)) for name in ("path", GROUP))
        groups = ["" if is_nothing(group) else group.strip() for group in groups]
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
            column[order] for column in (names, paths, durations, groups, lines)
        )
        twice = np.append(False, names[1:] == names[:-1])
        for i in np.flatnonzero(twice & (names != "")).tolist():
            message = f"{stands_twice('filename', str(names[i]))}; every clip needs its own"
            faults.append(Fault(True, path, int(lines[i]), message))
        names, paths, durations, groups = (
            column[~twice] for column in (names, paths, durations, groups)
        )
    _sort_faults(faults, num_faults)
    return names, paths, durations, groups


class Repeat(Fault):
    """A row that says what an earlier one says, and counts once."""


def _without_any(is_empty, labels, *columns):
    """Which rows (B,) are those of a clip without tags or events: all their texts are empty."""
    if not any(map(is_empty, set(labels))):
        return np.zeros(len(labels), bool)
    return np.array([all(map(is_empty, row)) for row in zip(labels, *columns)])


class _Known:
    """Names that rows may have. One with spaces around it is another only where there is such."""

    def __init__(self, names):
        self.names, self._stripped = np.asarray(names, str), None
        self._order = np.argsort(self.names, kind="stable")

    def places(self, wanted):
        """The place (B,) of each wanted name (B,), -1 where it is not."""
        wanted = np.asarray(wanted, str)
        places = find(self.names, wanted, self._order)
        missing = np.flatnonzero(places < 0)
        if len(missing):
            if self._stripped is None:
                stripped = np.strings.strip(self.names)
                self._stripped = stripped, np.argsort(stripped, kind="stable")
            names, order = self._stripped
            places[missing] = find(names, np.strings.strip(wanted[missing]), order)
        return places


def _find_pairs(path, what, lines, names, texts, filenames, labels, faults, nothing):
    """The clip (B,) and class (B,) of each row of a block, -1 and a fault where none is named so.

    names, texts: the columns (B,) of file names and classes. filenames, labels: `_Known`. nothing:
    (B,) rows that name a clip without a class, which is no fault.
    """
    clips, numbers = filenames.places(names), labels.places(texts)
    for i in np.flatnonzero((clips < 0) | (numbers < 0)).tolist():
        if clips[i] < 0:
            message = f"{names[i]!r} is not in clips.tsv"
        elif nothing[i]:
            continue
        elif is_nothing(texts[i]):
            message = names_no_class(texts[i])
        else:
            message = f"unknown class {texts[i]!r}; add it to labels.txt or correct the {what}"
            near = None
            if len(faults) < 100:  # the search takes a while
                near = nearest(texts[i], labels.names.tolist())
            message += f"; did you mean {near!r}?" if near else ""
        faults.append(Fault(True, path, int(lines[i]), message))
    return clips, numbers


def check_tags(path, filenames, labels, faults):
    """Tags of tags.tsv: clip (M,) and class (M,) of each, sorted."""
    num_faults, blocks, clip_names, classes = len(faults), [], _Known(filenames), _Known(labels)
    for lines, (names, texts) in read_rows(path, COLUMNS["tags.tsv"], faults, alone=True):
        nothing = _without_any(is_blank, texts)
        clips, numbers = _find_pairs(
            path, "tag", lines, names, texts, clip_names, classes, faults, nothing
        )
        found = (clips >= 0) & (numbers >= 0)
        blocks.append((clips[found] * len(labels) + numbers[found], lines[found]))
    keys, lines = (
        concatenate(column, np.int64) for column in (zip(*blocks) if blocks else ((), ()))
    )
    if not (keys[1:] > keys[:-1]).all():
        order = np.argsort(keys, kind="stable")
        keys, lines = keys[order], lines[order]
        twice = np.append(False, keys[1:] == keys[:-1])
        for key, line in zip(keys[twice].tolist(), lines[twice].tolist()):
            name, label = str(filenames[key // len(labels)]), labels[key % len(labels)]
            faults.append(Repeat(False, path, line, f"{name!r} is tagged {label!r} twice"))
        keys = keys[~twice]
    _sort_faults(faults, num_faults)
    return np.divmod(keys, max(len(labels), 1))


def check_events(path, filenames, labels, durations, tags, faults):
    """Events of events.tsv. tags: clip (M,) and class (M,) of each."""
    num_faults, blocks, clip_names, classes = len(faults), [], _Known(filenames), _Known(labels)
    tag_keys = tags[0] * len(labels) + tags[1]
    for lines, (names, onsets, offsets, texts) in read_rows(
        path, COLUMNS["events.tsv"], faults, alone=True
    ):
        onset, offset = seconds(onsets), seconds(offsets)
        nothing = _without_any(is_nothing, texts, onsets, offsets)
        for i in np.flatnonzero((np.isnan(onset) | np.isnan(offset)) & ~nothing).tolist():
            for name, value, text in (
                ("onset", onset[i], onsets[i]),
                ("offset", offset[i], offsets[i]),
            ):
                if np.isnan(value):
                    faults.append(Fault(True, path, int(lines[i]), no_seconds(name, text)))
        clips, numbers = _find_pairs(
            path, "event", lines, names, texts, clip_names, classes, faults, nothing
        )
        known = (clips >= 0) & (numbers >= 0) & ~np.isnan(onset) & ~np.isnan(offset)
        late = known & (offset > durations[clips] + 0.1) if len(durations) else known
        untagged = known & (find(tag_keys, clips * len(labels) + numbers) < 0)
        for i in np.flatnonzero(known & ((offset <= onset) | late | untagged)).tolist():
            line, start, end = int(lines[i]), onset[i], offset[i]
            if end < start:
                faults.append(
                    Fault(
                        True,
                        path,
                        line,
                        f"the event ends ({end:g} s) before it starts ({start:g} s)",
                    )
                )
                continue
            if end == start:
                faults.append(
                    Fault(
                        False,
                        path,
                        line,
                        f"an event of length zero at {start:g} s: left out of event and segment scores",
                    )
                )
            if late[i]:
                faults.append(
                    Fault(
                        False,
                        path,
                        line,
                        f"the event ends at {end:g} s, the clip at {durations[clips[i]]:g} s",
                    )
                )
            if untagged[i]:
                faults.append(
                    Fault(
                        False,
                        path,
                        line,
                        f"an event of {texts[i]!r}, which {names[i]!r} is not tagged with",
                    )
                )
        known &= ~(offset < onset)
        blocks.append((clips[known], onset[known], offset[known], numbers[known], lines[known]))
    columns = (
        [np.concatenate(column) for column in zip(*blocks)]
        if blocks
        else [np.array([], np.int64)] * 5
    )
    is_repeat = repeats(*columns[:4])
    for i, k, line in zip(*(columns[part][is_repeat].tolist() for part in (0, 3, 4))):
        message = f"an event of {labels[k]!r} in {str(filenames[i])!r} stands twice and counts once"
        faults.append(Repeat(False, path, line, message))
    columns = [column[~is_repeat] for column in columns]
    _sort_faults(faults, num_faults)
    events = Events.from_columns(*columns[:4])
    overlapping = [
        f"{str(filenames[i])!r} at {onset:g} s (line {line}): {labels[k]!r}"
        for i, onset, k, line in _overlapping(*columns)
    ]
    without = [
        f"{str(filenames[i])!r}: {labels[k]!r}" for i, k in tags_without_events(*tags, events)
    ]
    for what, found in (
        ("events overlap another of their class", overlapping),
        ("tags without an event of their class", without),
    ):
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


def check_info(path, faults):
    """The mapping of info.yaml, {} without the file."""
    try:
        info = (read_yaml(path) if path.exists() else None) or {}
        if not isinstance(info, dict):
            raise InputError(f"expected `key: value` lines, found {info!r}")
    except InputError as error:
        faults.append(Fault(True, path, None, str(error).removeprefix(f"{path}: ")))
        return {}
    return info
