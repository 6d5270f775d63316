"""data/<set>: a set of clips with its tags, events and classes, as tab-separated tables in one folder.

    clips.tsv    filename  path  duration            one row a clip; path absolute or relative to the folder, empty: no audio
    tags.tsv     filename  event_label               one row a tag
    labels.txt                                       one class a line, in order
    events.tsv   filename  onset  offset  event_label    optional; seconds
    info.yaml                                        optional; where the set comes from

UTF-8, a header line, no quoting, sorted by filename. `filename` names the clip everywhere. A decoded folder
(<system>/<set>/<mode>/) has the same tables, its clips.tsv without `path` and without labels.txt.
"""

import dataclasses
import hashlib
import re
from pathlib import Path

import numpy as np

from wsedtk.atomic import write_text
from wsedtk.clip_names import EXCERPT
from wsedtk.config import read_yaml, to_yaml
from wsedtk.errors import InputError
from wsedtk.events import Events

COLUMNS = {
    "clips.tsv": ("filename", "path", "duration"),
    "tags.tsv": ("filename", "event_label"),
    "events.tsv": ("filename", "onset", "offset", "event_label"),
}


@dataclasses.dataclass(frozen=True)
class Fault:
    """One thing wrong with a data directory. An error stops every stage; a warning is only told."""

    is_error: bool
    path: Path
    line: int | None
    message: str

    def __str__(self):
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{'error' if self.is_error else 'warning'}: {place}: {self.message}"


@dataclasses.dataclass(frozen=True)
class DataSet:
    """N clips and K classes. Clips are in the order of their file names."""

    filenames: np.ndarray  # (N,) str
    paths: np.ndarray  # (N,) str, absolute; "" where there is no audio
    durations: np.ndarray  # (N,) seconds
    labels: list  # K class names
    tag_clip: np.ndarray  # (M,) index of the clip of each tag
    tag_label: np.ndarray  # (M,) index of its class
    events: Events | None = None
    info: dict = dataclasses.field(default_factory=dict)

    def __len__(self):
        return len(self.filenames)

    def tag_matrix(self):
        """Tags as booleans (N, K)."""
        tags = np.zeros((len(self), len(self.labels)), bool)
        tags[self.tag_clip, self.tag_label] = True
        return tags

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
            tag_clip=position[self.tag_clip[kept_tags]], tag_label=self.tag_label[kept_tags], events=events)

    def fingerprint(self):
        """16 hexadecimal digits that name the clips, tags, events and classes (not where the audio lies)."""
        digest = hashlib.sha256()
        for name in ("filenames", "durations", "tag_clip", "tag_label"):
            digest.update(repr(getattr(self, name).tolist()).encode())
        digest.update(repr(self.labels).encode())
        digest.update(repr(list(self.events.rows()) if self.events is not None else None).encode())
        return digest.hexdigest()[:16]


def fingerprint_clips(filenames):
    """16 hexadecimal digits that name a list of clips, whatever its order."""
    return hashlib.sha256("\n".join(sorted(filenames)).encode()).hexdigest()[:16]


def source_of(filename):
    """The recording that a clip was cut from: `<recording>_<start>_<end>.wav` -> `<recording>`, else the whole name.

    YouTube clips are named so in DCASE 2017 and AudioSet; clips of one recording must not be on both sides of a split.
    """
    stem = filename.rsplit(".", 1)[0] if re.search(r"\.[A-Za-z]\w{1,4}$", filename) else filename
    match = EXCERPT.fullmatch(stem)
    return match.group(1) if match else stem


def first(items, count=3):
    """'a, b, c and 7 more' of a list of names, for messages."""
    shown = ", ".join(str(i) for i in items[:count])
    return shown + (f" and {len(items) - count} more" if len(items) > count else "")


def read_lines(path, faults):
    """The lines of a text file without their ends, at least one; None, and a fault, where it can't be read."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        faults.append(Fault(True, path, None, "no such file"))
        return None
    except UnicodeDecodeError as error:
        faults.append(Fault(True, path, None, f"not UTF-8 text ({error.reason} at byte {error.start}); save it as such"))
        return None
    except OSError as error:
        faults.append(Fault(True, path, None, f"can't be read: {error.strerror}"))
        return None
    return [line.removesuffix("\r") for line in text.split("\n")]


def _read_rows(path, columns, faults):
    """Rows of a table as (line number, fields). Faults go to the list; a table that can't be read gives none."""
    lines = read_lines(path, faults)
    if lines is None:
        return []
    if tuple(lines[0].split("\t")) != columns:
        faults.append(Fault(True, path, 1, f"expected the header {'<TAB>'.join(columns)}, found {lines[0]!r}"))
        return []
    rows = []
    for number, line in enumerate(lines[1:], 2):
        fields = line.split("\t")
        if len(fields) == len(columns):
            rows.append((number, fields))
        elif line:
            faults.append(Fault(True, path, number, f"expected {len(columns)} tab-separated fields "
                                                    f"({', '.join(columns)}), found {len(fields)}: {line!r}"))
    return rows


def read_seconds(text, path, line, name, faults):
    """A finite number >= 0 from a table's field, or None and a fault."""
    try:
        value = float(text.replace("_", "?"))  # which Python would take for 10 in 1_0
    except ValueError:
        value = float("nan")
    if not 0 <= value < float("inf"):
        faults.append(Fault(True, path, line, f"{name} must be a number of seconds, found {text!r}"))
        return None
    return value


def _check_labels(path, faults):
    """The classes of labels.txt, in order."""
    try:
        lines = [line.removesuffix("\r") for line in path.read_bytes().decode("utf-8-sig").removesuffix("\n").split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        faults.append(Fault(True, path, None, f"can't be read: {getattr(error, 'strerror', None) or error}"))
        return []
    labels, lines = [], lines if lines != [""] else []
    for number, label in enumerate(lines, 1):
        if not label.strip() or "\t" in label:
            faults.append(Fault(True, path, number, f"a class name must be text without tabs, found {label!r}"))
        elif label in labels:
            faults.append(Fault(True, path, number, f"the class {label!r} stands twice"))
        else:
            labels.append(label)
    if not labels and not lines:
        faults.append(Fault(True, path, None, "no classes: write one a line"))
    return labels


def _check_clips(path, columns, faults):
    """Clips of clips.tsv as {filename: (path, duration)}; NaN for a duration at fault, so that its tags are no faults too."""
    clips, num_faults = {}, len(faults)
    for line, fields in _read_rows(path, columns, faults):
        row = dict(zip(columns, fields))
        name, duration = row["filename"], read_seconds(row["duration"], path, line, "duration", faults)
        if not name:
            faults.append(Fault(True, path, line, "empty filename"))
        elif name in clips:
            faults.append(Fault(True, path, line, f"the filename {name!r} stands twice; every clip needs its own"))
        else:
            if duration == 0:
                faults.append(Fault(True, path, line, f"duration of {name!r} is 0"))
            clips[name] = (row.get("path", ""), float("nan") if duration is None else duration)
    if not clips and len(faults) == num_faults:
        faults.append(Fault(True, path, None, "no clips: the set is empty"))
    return clips


def _check_tags(path, index, label_index, faults):
    """Tags of tags.tsv as a sorted list of (clip, class)."""
    tags = set()
    for line, (name, label) in _read_rows(path, COLUMNS["tags.tsv"], faults):
        if name not in index:
            faults.append(Fault(True, path, line, f"{name!r} is not in clips.tsv"))
        elif label not in label_index:
            faults.append(Fault(True, path, line, f"unknown class {label!r}; add it to labels.txt or correct the tag"))
        elif (index[name], label_index[label]) in tags:
            faults.append(Fault(False, path, line, f"{name!r} is tagged {label!r} twice"))
        else:
            tags.add((index[name], label_index[label]))
    return sorted(tags)


def _check_events(path, index, label_index, durations, tags, faults):
    """Events of events.tsv."""
    rows, tags = [], set(tags)
    for line, (name, onset, offset, label) in _read_rows(path, COLUMNS["events.tsv"], faults):
        onset, offset = (read_seconds(v, path, line, n, faults) for v, n in ((onset, "onset"), (offset, "offset")))
        if name not in index:
            faults.append(Fault(True, path, line, f"{name!r} is not in clips.tsv"))
        elif label not in label_index:
            faults.append(Fault(True, path, line, f"unknown class {label!r}; add it to labels.txt or correct the event"))
        elif onset is not None and offset is not None:
            clip, k = index[name], label_index[label]
            if offset < onset:
                faults.append(Fault(True, path, line, f"the event ends ({offset:g} s) before it starts ({onset:g} s)"))
                continue
            if offset == onset:
                faults.append(Fault(False, path, line, f"an event of length zero at {onset:g} s: left out of event and segment scores"))
            if offset > durations[clip] + 0.1:
                faults.append(Fault(False, path, line, f"the event ends at {offset:g} s, the clip at {durations[clip]:g} s"))
            if (clip, k) not in tags:
                faults.append(Fault(False, path, line, f"an event of {label!r}, which {name!r} is not tagged with"))
            rows.append((clip, onset, offset, k))
    events, names, labels = Events.from_rows(rows), list(index), list(label_index)
    overlapping = _overlapping(events)
    if overlapping:
        shown = first([f"{names[clip]!r} at {onset:g} s: {labels[k]!r}" for clip, onset, k in overlapping])
        faults.append(Fault(False, path, None, f"{len(overlapping)} events overlap another of their class: {shown}"))
    without = tags_without_events(tags, events)
    if without:
        shown = first([f"{names[clip]!r}: {labels[k]!r}" for clip, k in without])
        faults.append(Fault(False, path, None, f"{len(without)} tags without an event of their class: {shown}"))
    return events


def tags_without_events(tags, events):
    """The (clip, class) pairs of tags, sorted, that no event is of."""
    return sorted(set(tags) - {(clip, k) for clip, _, _, k in events.rows()})


def _overlapping(events):
    """(clip, onset, class) of the events that begin before an earlier one of their clip and class ends."""
    ends, found = {}, []
    for clip, onset, offset, k in events.rows():
        if onset < ends.get((clip, k), 0):
            found.append((clip, onset, k))
        ends[clip, k] = max(offset, ends.get((clip, k), 0))
    return found


def check(folder):
    """Read a data directory and find every fault of its tables. Returns (DataSet, faults); None for the set on errors."""
    folder, faults = Path(folder), []
    if not folder.is_dir():
        return None, [Fault(True, folder, None, "no such folder; a data directory holds clips.tsv, tags.tsv and labels.txt")]
    labels = _check_labels(folder / "labels.txt", faults)
    clips = _check_clips(folder / "clips.tsv", COLUMNS["clips.tsv"], faults)
    filenames = sorted(clips)
    index, label_index = {n: i for i, n in enumerate(filenames)}, {n: i for i, n in enumerate(labels)}
    durations = np.array([clips[n][1] for n in filenames])
    whole = clips and labels  # else every row that names one would be a fault too
    tags = _check_tags(folder / "tags.tsv", index, label_index, faults) if whole else []
    events = None
    if whole and (folder / "events.tsv").exists():
        events = _check_events(folder / "events.tsv", index, label_index, durations, tags, faults)
    try:
        info = (read_yaml(folder / "info.yaml") if (folder / "info.yaml").exists() else None) or {}
        if not isinstance(info, dict):
            raise InputError(f"expected `key: value` lines, found {info!r}")
    except InputError as error:
        faults.append(Fault(True, folder / "info.yaml", None, str(error).removeprefix(f"{folder / 'info.yaml'}: ")))
    tag_clip, tag_label = (np.array(column, np.int64) for column in (zip(*tags) if tags else ((), ())))
    untagged = [n for n, count in zip(filenames, np.bincount(tag_clip, minlength=len(filenames))) if not count]
    if untagged and whole:
        faults.append(Fault(False, folder / "tags.tsv", None, f"{len(untagged)} clips without tags: {first(untagged)}"))
    unused = [n for n, count in zip(labels, np.bincount(tag_label, minlength=len(labels))) if not count]
    if unused and whole:
        faults.append(Fault(False, folder / "labels.txt", None, f"{len(unused)} classes without clips: {first(unused)}"))
    if any(fault.is_error for fault in faults):
        return None, faults
    paths = np.array([str(folder.absolute() / clips[n][0]) if clips[n][0] else "" for n in filenames])
    return DataSet(np.array(filenames), paths, durations, labels, tag_clip, tag_label, events, info), faults


def raise_on_errors(faults, rest):
    """Raise the first errors as an InputError; `rest` says what to do about more."""
    errors = [str(fault).removeprefix("error: ") for fault in faults if fault.is_error]
    if errors:
        more = f"\n... and {len(errors) - 5} more: {rest}" if len(errors) > 5 else ""
        raise InputError("\n".join(errors[:5]) + more)


def read(folder):
    """Read a data directory. Raises InputError naming its first faults."""
    dataset, faults = check(folder)
    raise_on_errors(faults, f"wsedtk validate '{folder}' lists them all")
    return dataset


def read_labels(path):
    """The classes of a text file, one a line, in order. Raises InputError that lists every fault."""
    faults = []
    labels = _check_labels(Path(path), faults)
    raise_on_errors(faults, "mend these first")
    return labels


def _seconds(value):
    """Seconds as text, to the microsecond, without trailing zeros."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _write_table(path, rows):
    lines = ["\t".join(row) for row in [COLUMNS[path.name], *rows]]
    write_text(path, "\n".join(lines) + "\n")


def _write_tags_and_events(folder, filenames, labels, tags, events):
    _write_table(folder / "tags.tsv", [(filenames[i], labels[k]) for i, k in tags])
    _write_table(folder / "events.tsv", [(filenames[i], _seconds(on), _seconds(off), labels[k]) for i, on, off, k in events.rows()])


def check_overwrite(folder, made_by):
    """Raise InputError where a folder holds a data set that another verb, or a person, made (`made_by` in info.yaml)."""
    folder = Path(folder)
    if (folder / "clips.tsv").exists():
        info = read_yaml(folder / "info.yaml") if (folder / "info.yaml").exists() else None
        if not isinstance(info, dict) or info.get("made_by") != made_by:
            raise InputError(f"{folder}: holds a data set that `wsedtk {made_by}` did not make; name another folder, or remove it")


def write(folder, dataset):
    """Write a data directory, each table atomically. Names that its tables can't hold raise InputError."""
    folder = Path(folder)
    for name in [*dataset.filenames.tolist(), *dataset.labels, *dataset.paths.tolist()]:
        if re.search(r"[\t\r\n\ud800-\udfff]", name):
            raise InputError(f"{name!r}: a file name or class of a data directory can't hold a tab, a line end, or what is not UTF-8")
    clips = [(n, p, _seconds(d)) for n, p, d in zip(dataset.filenames.tolist(), dataset.paths.tolist(), dataset.durations)]
    _write_table(folder / "clips.tsv", clips)
    tags = zip(dataset.tag_clip.tolist(), dataset.tag_label.tolist())
    if dataset.events is None:
        _write_table(folder / "tags.tsv", [(dataset.filenames[i], dataset.labels[k]) for i, k in tags])
        (folder / "events.tsv").unlink(missing_ok=True)
    else:
        _write_tags_and_events(folder, dataset.filenames, dataset.labels, tags, dataset.events)
    write_text(folder / "labels.txt", "\n".join(dataset.labels) + "\n")
    write_text(folder / "info.yaml", to_yaml(dataset.info))


def write_decoded(folder, filenames, durations, labels, tags, events, info=None):
    """Write what a system says of clips: which clips, their tags ((N, K) booleans) and their events.

    info: where they come from, a plain mapping. Raises InputError where the folder is a data directory.
    """
    folder = Path(folder)
    if (folder / "labels.txt").exists():
        raise InputError(f"{folder}: is a data directory, which decoded events would overwrite; name another folder")
    if info is not None:
        write_text(folder / "info.yaml", to_yaml(info))
    _write_tags_and_events(folder, filenames, labels, np.argwhere(tags).tolist(), events)
    rows = [("filename", "duration"), *((n, _seconds(d)) for n, d in zip(filenames, durations))]
    write_text(folder / "clips.tsv", "\n".join("\t".join(row) for row in rows) + "\n")


def read_decoded(folder, labels):
    """Read what `write_decoded` wrote, with the classes `labels`, as a DataSet. Raises InputError naming its first faults."""
    folder, faults = Path(folder), []
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; wsedtk decode makes it")
    clips = _check_clips(folder / "clips.tsv", ("filename", "duration"), faults)
    filenames = sorted(clips)
    index, label_index = {n: i for i, n in enumerate(filenames)}, {n: i for i, n in enumerate(labels)}
    durations = np.array([clips[n][1] for n in filenames])
    tags = _check_tags(folder / "tags.tsv", index, label_index, faults)
    events = _check_events(folder / "events.tsv", index, label_index, durations, tags, faults)
    raise_on_errors(faults, "decode the scores again")
    tag_clip, tag_label = (np.array(column, np.int64) for column in (zip(*tags) if tags else ((), ())))
    info = read_yaml(folder / "info.yaml") if (folder / "info.yaml").exists() else None
    return DataSet(np.array(filenames), np.full(len(filenames), ""), durations, list(labels), tag_clip, tag_label, events,
                   info if isinstance(info, dict) else {})
