"""Write a data directory of a user's own recordings.

Long recordings are cut into clips. The clips are sound files in the folder `audio` of the data
directory.
"""

import dataclasses
import functools
import logging
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wsedtk.core import atomic
from wsedtk.core.config import read_yaml, to_yaml
from wsedtk.core.errors import InputError
from wsedtk.core.processes import mapping
from wsedtk.core.progress import progress
from wsedtk.core.wording import counted
from wsedtk.corpora import clip_events
from wsedtk.corpora.clip_events import Mark
from wsedtk.corpora.own_clips import AUDIO, Clip, Cut, Read, read_clips
from wsedtk.corpora.registry import PreparedSet, PrepareResult
from wsedtk.data import datadir
from wsedtk.data.clip_names import LONGEST_SECONDS, source_of, without_extension
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.events import Events
from wsedtk.data.tables import first

_LOG = logging.getLogger(__name__)

# A name as in ESC-10 and ESC-50. All takes of a source recording have the same id.
_TAKE = re.compile(r"\d-(?P<id>\d+)-[A-Z](-\d+)?")


@dataclasses.dataclass(frozen=True)
class OwnSetOptions:
    """The settings that all commands for own recordings have in common.

    Parameters
    ----------
    clip_seconds : float
        Longer recordings are cut into clips of this duration in seconds. The clips are written to
        DATA_SET/audio. A rest of less than 1 s is left out. The tags of a recording hold for all
        its clips, also for clips in which the sound does not occur.
    jobs : int
        Number of processes that read and cut recordings.
    max_failures : float
        The largest fraction of recordings that may be missing or unreadable.

    Raises
    ------
    InputError
        If a number is out of its range.
    """

    _: dataclasses.KW_ONLY
    clip_seconds: float = 10.0
    jobs: int = dataclasses.field(default=1, metadata={"minimum": 1})
    max_failures: float = 0.01

    def __post_init__(self) -> None:
        if not 1 <= self.clip_seconds <= LONGEST_SECONDS:
            raise InputError(
                f"clip_seconds (--clip-seconds): found {self.clip_seconds}; expected a number of "
                f"seconds from 1 to {LONGEST_SECONDS:g}"
            )
        if self.jobs < 1:
            raise InputError(f"jobs: found {self.jobs}; expected at least 1")
        if not 0 <= self.max_failures <= 1:
            raise InputError(
                f"max_failures (--max-failures): found {self.max_failures}; expected a fraction "
                "from 0 to 1"
            )


class OwnRecording(NamedTuple):
    """A recording of a user.

    Attributes
    ----------
    path : Path
        The sound file.
    name : str
        The name in the data directory, with its extension: a path with `/` between folders.
    group : str
        The source of the recording, such as a site.
    labels : frozenset of str
        The tags.
    channel : int or None
        The channel, from 0. None for the mean of all channels.
    marks : sequence of Mark
        The annotated events. Clips also have the classes of their events as tags.
    is_unknown : bool
        Whether the tags are unknown. The recording then has no tags and no events.
    is_partial : bool
        Whether the events were reviewed one by one. The tags of a clip are then known only if
        `clip_events.is_reviewed` is True for the events of the clip.
    """

    path: Path
    name: str
    group: str
    labels: frozenset[str]
    channel: int | None = None
    marks: Sequence[Mark] = ()
    is_unknown: bool = False
    is_partial: bool = False


@dataclasses.dataclass(frozen=True)
class OwnSet:
    """The recordings of a user, from which `write` makes a data directory.

    Attributes
    ----------
    recordings : iterable of OwnRecording
        The recordings. Each must have its own name.
    labels : sequence of str
        The K classes, in order.
    info : mapping
        The content of info.yaml. It must contain `made_by`.
    failed : mapping of str to str
        The reasons for recordings that are missing, by name. They are added to the unreadable ones.
    notes : sequence of str
        See `OwnSetResult`.
    cut : Cut or None
        How recordings are cut. By default, clips of `OwnSetOptions.clip_seconds` do not overlap,
        and the set has no events.
    next_text : str
        See `OwnSetResult`.
    """

    recordings: Iterable[OwnRecording]
    labels: Sequence[str]
    info: Mapping[str, object]
    _: dataclasses.KW_ONLY
    failed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: Sequence[str] = ()
    cut: Cut | None = None
    next_text: str = ""


class _Row(NamedTuple):
    """A clip, its recording, the events of the clip, and whether its tags are unknown."""

    clip: Clip
    recording: OwnRecording
    events: Sequence[Mark]
    is_unknown: bool

    @property
    def labels(self) -> frozenset[str]:
        """The tags of the clip."""
        return self.recording.labels.union(mark.label for mark in self.events)


@dataclasses.dataclass(frozen=True)
class OwnSetResult(PrepareResult):
    """The data directory of own recordings that was written.

    Attributes
    ----------
    sets : tuple of PreparedSet
        One item, for the data directory.
    num_recordings : int
        Number of recordings in the set.
    num_cut : int
        Number of recordings that were cut into clips.
    failed : mapping of str to str
        The reason for each recording that is missing or unreadable, by its name.
    notes : tuple of str
        Further lines for the text, such as what was recognised.
    next_text : str
        The next commands. By default, they check the set, and train a model on it.
    """

    num_recordings: int = 0
    num_cut: int = 0
    failed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    next_text: str = ""

    def to_text(self) -> str:
        """Return the text that `wsedtk prepare` prints: the clips of each class, and what is next.

        Each line of the text ends with a line feed.
        """
        ((folder, dataset),) = ((one.folder, one.dataset) for one in self.sets)
        lines = [*self.notes, summary(folder, dataset, self.num_recordings)]
        if self.failed:
            lines.append(f"left out: {counted(len(self.failed), 'missing or unreadable file')}")
        lines.append(f"next: {self.next_text or next_commands(folder)}")
        return "".join(f"{line}\n" for line in lines)


def summary(folder: Path, dataset: DataSet, num_recordings: int | None = None) -> str:
    """Return a text with the size of a set, and the number of clips of each class."""
    counts = dataset.clips_per_class().tolist()
    num_untagged = len(dataset.clips_of_classes()[-1])
    num_groups = len(set(dataset.groups.tolist()) - {""}) if dataset.groups is not None else 0
    sizes = [
        counted(len(dataset), "clip")
        + ("" if num_recordings is None else f" of {counted(num_recordings, 'recording')}"),
        f"{dataset.durations.sum() / 3600:.3g} hours",
        counted(len(dataset.labels), "class"),
        counted(num_groups, "group"),
    ]
    rows = [*zip(counts, dataset.labels), (num_untagged, "(no tags)")]
    num_unknown = int(dataset.has_unknown_tags().sum())
    if num_unknown:
        rows.append((num_unknown, "(unknown tags)"))
    width = len(str(max(count for count, _ in rows)))
    return "\n".join(
        [f"{folder}: {', '.join(sizes)}", *(f"  {n:{width}} {label}" for n, label in rows)]
    )


def next_commands(folder: Path) -> str:
    """Return the commands that check a new set, and that train a model on it."""
    quoted = shlex.quote(str(folder))
    return f"wsedtk validate {quoted} --audio\n      wsedtk build {quoted} MODEL_DIR"


def recording_groups(names: Sequence[str]) -> list[str]:
    """Return the group of each recording that has no site: the source recording in its name.

    If all names have the form of ESC-10 (`1-100032-A.ogg`), the group is the id. Otherwise it is
    the part of the file name before the times, as in `<recording>_<start>_<end>.wav`, or the file
    name without its extension (see `clip_names.source_of`). Folders in the names are ignored:
    files of the same name in two class folders probably come from the same recording.
    """
    files = [name.rpartition("/")[2] for name in names]
    takes = [_TAKE.fullmatch(without_extension(file)) for file in files]
    if all(takes):
        return [take["id"] for take in takes if take is not None]
    return [source_of(file) for file in files]


def check_output(folder: Path, made_by: str) -> None:
    """Raise InputError if a folder contains something that the command `made_by` did not make."""
    datadir.check_overwrite(folder, made_by)
    if (folder / AUDIO).exists():
        path = folder / "info.yaml"
        info = read_yaml(path) if path.exists() else None
        if not isinstance(info, dict) or info.get("made_by") != made_by:
            raise InputError(
                f"{folder / AUDIO}: exists, and `wsedtk {made_by}` would replace it; choose "
                "another folder for the data directory"
            )


def check_failures(failed: Mapping[str, str], num_all: int, options: OwnSetOptions) -> None:
    """Raise InputError if more recordings failed than the options allow."""
    if len(failed) > options.max_failures * num_all:
        reasons = "\n".join(list(failed.values())[:5])
        raise InputError(
            f"{reasons}\n{len(failed)} of {counted(num_all, 'recording')} can't be used, more than "
            f"the fraction {options.max_failures:g} that max_failures (--max-failures) allows; "
            "correct or remove the files, or raise the limit"
        )
    if len(failed) == num_all:
        raise InputError(f"{next(iter(failed.values()))}; no recording can be used")


def write(folder: Path, own: OwnSet, options: OwnSetOptions) -> OwnSetResult:
    """Write a data directory of own recordings. Long recordings are cut into clips.

    An existing set stays complete until the new set is written. The function must be called after
    `check_output`.

    Parameters
    ----------
    folder : Path
        The data directory.
    own : OwnSet
        The recordings, the classes and the content of info.yaml.
    options : OwnSetOptions
        The settings.

    Returns
    -------
    OwnSetResult

    Raises
    ------
    InputError
        If too many recordings are unreadable, if an event begins after the end of its recording, if
        two clips have the same name, or if the set can't be written.
    """
    recordings = sorted(own.recordings, key=lambda recording: recording.name)
    failed = dict(own.failed)
    for reason in failed.values():
        _LOG.warning(reason)
    num_all = len(recordings) + len(failed)
    audio_dir = folder / AUDIO
    rows: list[_Row] = []
    lost: list[str] = []
    cut = own.cut or Cut(options.clip_seconds)
    with atomic.writing_folder(audio_dir) as temporary:
        read = functools.partial(read_clips, cut, temporary)
        items = [(str(one.path.absolute()), one.name, one.channel) for one in recordings]
        with mapping(options.jobs, ["wsedtk.corpora.own_sets"]) as spread:
            results = progress(spread(read, items), "read recordings", len(items))
            for recording, result in zip(recordings, results):
                for remark in result.remarks:
                    _LOG.warning(f"{recording.path}: {remark}")
                if result.failure:
                    failed[recording.name] = result.failure
                    _LOG.warning(result.failure)
                of_recording, of_no_clip = _rows(recording, result, cut)
                rows += of_recording
                lost += of_no_clip
        check_failures(failed, num_all, options)
        if lost:
            _LOG.warning(
                f"{counted(len(lost), 'event is', 'events are')} in no clip: {first(lost)}"
            )
        dataset = _dataset(rows, own.labels, own.info, has_events=cut.least_seconds is not None)
        has_audio = any(temporary.iterdir())
        # From here on, the folder is not a complete data directory until `datadir.write` ends.
        atomic.remove(folder / "clips.tsv")
        atomic.write_text(folder / "info.yaml", to_yaml(dict(own.info)))
    if not has_audio:
        audio_dir.rmdir()
    datadir.write(folder, dataset)
    num_cut = _warn_of_cut(rows, options.clip_seconds)
    num_used = len(recordings) - sum(one.name in failed for one in recordings)
    prepared = PreparedSet(folder, dataset)
    return OwnSetResult((prepared,), num_used, num_cut, failed, tuple(own.notes), own.next_text)


def _rows(recording: OwnRecording, read: Read, cut: Cut) -> tuple[list[_Row], list[str]]:
    """Return the clips of a recording with their events, and the places of events in no clip.

    Raises InputError if an event begins after the end of the recording.
    """
    if not recording.marks or read.failure:
        is_unknown = recording.is_unknown or recording.is_partial
        return [_Row(clip, recording, (), is_unknown) for clip in read.clips], []
    error, warning = clip_events.check_times(recording.name, recording.marks, read.duration)
    if error:
        raise InputError(error)
    if warning:
        _LOG.warning(warning)
    spans = [(clip.start, clip.start + clip.duration) for clip in read.clips]
    events = clip_events.events_of_clips(recording.marks, spans, cut.least_seconds or 0.0)
    found = {(mark.place, mark.label) for marks in events for mark in marks}
    lost = [
        mark.place
        for mark in recording.marks
        if mark.is_accepted and (mark.place, mark.label) not in found
    ]
    return [_row(clip, recording, marks) for clip, marks in zip(read.clips, events)], lost


def _row(clip: Clip, recording: OwnRecording, marks: Sequence[Mark]) -> _Row:
    """Return a clip with the accepted ones of its events, or with unknown tags."""
    if recording.is_partial and not clip_events.is_reviewed(marks):
        return _Row(clip, recording, (), True)
    return _Row(clip, recording, [mark for mark in marks if mark.is_accepted], False)


def _dataset(
    rows: list[_Row], labels: Sequence[str], info: Mapping[str, object], *, has_events: bool
) -> DataSet:
    """Return the set of the clips. Raise InputError if two clips have the same name."""
    rows.sort(key=lambda row: row.clip.name)
    for one, other in zip(rows, rows[1:]):
        if one.clip.name == other.clip.name:
            raise InputError(
                f"{one.recording.path}, {other.recording.path}: both would give the clip "
                f"{one.clip.name!r}; rename one of the two files"
            )
    number_of = {label: number for number, label in enumerate(labels)}
    tags = [
        (i, k) for i, row in enumerate(rows) for k in sorted(number_of[name] for name in row.labels)
    ]
    events = [
        (i, mark.onset, mark.offset, number_of[mark.label])
        for i, row in enumerate(rows)
        for mark in row.events
    ]
    tag_clip, tag_label = np.array(tags, np.int64).reshape(-1, 2).T
    return DataSet(
        filenames=np.array([row.clip.name for row in rows], str),
        paths=datadir.path_array([row.clip.path for row in rows]),
        durations=np.array([row.clip.duration for row in rows], np.float64),
        labels=list(labels),
        tag_clip=tag_clip,
        tag_label=tag_label,
        events=Events.from_rows(events) if has_events else None,
        info=dict(info),
        groups=np.array([row.recording.group for row in rows], datadir.TEXT),
        unknown=np.array([row.is_unknown for row in rows], bool),
    )


def _warn_of_cut(rows: Sequence[_Row], clip_seconds: float) -> int:
    """Return the number of recordings that were cut. Warn if tags were copied to their clips."""
    cut = [row.recording for row in rows if not Path(row.clip.path).is_absolute()]
    tagged = list(dict.fromkeys(one.name for one in cut if one.labels))
    if tagged:
        _LOG.warning(
            f"{counted(len(tagged), 'recording with tags is', 'recordings with tags are')} longer "
            f"than {clip_seconds:g} s: {first(tagged)}; every clip of such a recording has all its "
            "tags; if a sound is only in a part of the recording, mark its events, and use `wsedtk "
            "prepare annotations`"
        )
    return len({one.name for one in cut})
