"""Convert annotation files, such as Audacity labels, and recordings to a data directory."""

import collections
import dataclasses
import logging
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from wsedtk.audio import audio_files
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike, as_paths
from wsedtk.core.wording import counted
from wsedtk.corpora import annotation_classes, annotation_files, clip_events, own_sets
from wsedtk.corpora.annotation_files import Matched, Row
from wsedtk.corpora.clip_events import Mark
from wsedtk.corpora.own_clips import Cut
from wsedtk.corpora.own_sets import OwnRecording, OwnSet, OwnSetOptions
from wsedtk.corpora.recording_names import RecordingNames, Source
from wsedtk.corpora.registry import CORPORA, PrepareResult
from wsedtk.data.clip_names import source_of, without_extension
from wsedtk.data.folders import as_text
from wsedtk.data.formats.annotations import ACCEPTED, REJECTED, STATUSES, UNREVIEWED
from wsedtk.data.official import OWN
from wsedtk.data.tables import first, normal
from wsedtk.inference import recordings

_LOG = logging.getLogger(__name__)

MADE_BY = "prepare annotations"
REVIEW = "review"  # the name of the format of review tables


@dataclasses.dataclass(frozen=True)
class AnnotationsOptions(OwnSetOptions):
    """The inputs, the output and the settings of `prepare annotations`.

    Parameters
    ----------
    files : path-like, or sequence of path-like
        Annotation files, folders (with all their subfolders) and patterns such as "labels/*.txt".
    audio : path-like
        The folder of the recordings, with all its subfolders, or one recording.
    data_set : path-like
        The data directory to write.
    format_name : str, optional
        The format of the files: "audacity", "raven", "praat", "elan", "tsv" (DCASE lists), "jsonl"
        or "csv" (JSON lines and tables of `detect`), "review" (tables of the pages of `review`), or
        a user-defined format, as package.module:Class. By default, the format of each file is
        recognised by its content.
    labels_in : sequence of str
        The tier of TextGrids and ELAN documents, or the column of Raven tables, that contains the
        classes. Repeatable. By default, these are all tiers, or the first column that is named
        Annotation, Species, Label, Class, Common Name, Species Code or Tags.
    labels : path-like, optional
        A file with the classes of the set, one per line, such as the labels.txt of another set, or
        a data directory or model directory with these classes. Annotations of other classes are
        left out. A line NAME<TAB>CLASS changes the class NAME of annotations to CLASS. By default,
        the classes are those of the annotations, without those that occur only in rejected events.
    clip_seconds : float
        Longer recordings are cut into clips of this duration in seconds. The clips are written to
        DATA_SET/audio. A rest of less than 1 s is left out.
    hop_seconds : float, optional
        The time in seconds from the start of a clip to the start of the next clip. By default, it
        is the duration of a clip.
    min_overlap_seconds : float
        An event is in a clip if at least this time in seconds, or at least half of the event, is
        in the clip. The part outside the clip is cut off.
    all_recordings : bool
        Also use the recordings without annotation files, as clips without events. By default, they
        are left out, because their events are unknown. If all files are review tables, the tags of
        these clips are unknown.
    group : {"recording", "folder"}
        Which clips `balance` keeps together: those of a recording, or those of all recordings in a
        folder, such as a site.
    dry_run : bool
        Print the format, the recordings and the classes of each file, and write nothing.

    Raises
    ------
    InputError
        If a number is out of its range.
    """

    files: PathLike | Sequence[PathLike]
    audio: PathLike
    data_set: PathLike
    _: dataclasses.KW_ONLY
    format_name: str | None = dataclasses.field(
        default=None, metadata={"flag": "--format", "metavar": "NAME"}
    )
    labels_in: Sequence[str] = dataclasses.field(default=(), metadata={"metavar": "NAME"})
    labels: PathLike | None = dataclasses.field(default=None, metadata={"metavar": "FILE"})
    hop_seconds: float | None = None
    min_overlap_seconds: float = 0.1
    all_recordings: bool = False
    group: Literal["recording", "folder"] = "recording"
    dry_run: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hop_seconds is not None and not 0.1 <= self.hop_seconds < float("inf"):
            raise InputError(
                f"hop_seconds (--hop-seconds): found {self.hop_seconds}; expected a finite number "
                "of seconds of at least 0.1"
            )
        if not 0 <= self.min_overlap_seconds <= self.clip_seconds:
            raise InputError(
                f"min_overlap_seconds (--min-overlap-seconds): found {self.min_overlap_seconds}; "
                f"expected a number of seconds from 0 to clip_seconds, {self.clip_seconds:g}"
            )
        if self.group not in ("recording", "folder"):
            raise InputError(f"group: found {self.group!r}; expected 'recording' or 'folder'")


@dataclasses.dataclass(frozen=True)
class DryRunResult(PrepareResult):
    """What `prepare annotations` would use. Nothing is written.

    Attributes
    ----------
    text : str
        The format, the recordings and the classes of each file.
    """

    text: str = ""

    def to_text(self) -> str:
        """Return the text that `wsedtk prepare` prints."""
        return self.text


def _own_recording(
    source: Source,
    rows: Sequence[Row],
    group: Literal["recording", "folder"],
    *,
    is_partial: bool,
) -> OwnRecording:
    """Return a recording with its annotations. An annotation that occurs twice counts once.

    Raises InputError if an event is accepted in one review and rejected in another.
    """
    folder, _, file = normal(source.recording.name).rpartition("/")
    name = normal(source.recording.name)
    group_name = f"{folder}/{source_of(file)}" if folder else source_of(file)
    if group == "folder" and folder:
        group_name = folder
    if source.channel is not None:
        stem = without_extension(name)
        name = f"{stem}.ch{source.channel + 1}{name[len(stem) :]}"
    marks: dict[tuple[float, float, str], Mark] = {}
    labels = set()
    for row in rows:
        one = row.annotation
        if one.onset is None or one.offset is None:
            labels.add(one.label)
        else:
            key = one.onset, one.offset, one.label
            mark = Mark(*key, row.place, one.status)
            marks[key] = _decided(marks.get(key, mark), mark)
    return OwnRecording(
        source.recording.path,
        name,
        group_name,
        frozenset(labels),
        source.channel,
        list(marks.values()),
        is_partial=is_partial,
    )


def _decided(one: Mark, other: Mark) -> Mark:
    """Return one of two equal marks: the one that was reviewed, or the first.

    Raises InputError if one of them is accepted and the other is rejected.
    """
    if REJECTED in (one.status, other.status) and (one.is_accepted or other.is_accepted):
        raise InputError(
            f"{one.place}, {other.place}: the same event is {one.status or ACCEPTED} and "
            f"{other.status or ACCEPTED}; correct one of the files, or give only one of them"
        )
    return other if one.status == UNREVIEWED else one


def _check_ends(found: Iterable[OwnRecording]) -> None:
    """Raise InputError if an event begins after the end of its recording.

    Recordings whose duration is not known from their header are checked later.
    """
    errors = []
    for recording in found:
        try:
            duration = audio_files.info(recording.path, count=False).duration
        except InputError:  # reported when the recording is read
            continue
        if duration is not None:
            errors.append(clip_events.check_times(recording.name, recording.marks, duration)[0])
    errors = [error for error in errors if error]
    if errors:
        raise InputError("\n".join(errors[:5]) + ("\n..." if len(errors) > 5 else ""))


def _warn_of_missing(matched: Matched, audio: PathLike) -> None:
    if matched.missing:
        names = list(dict.fromkeys(matched.missing))
        _LOG.warning(
            f"annotations of recordings that are not in {audio} are left out "
            f"({counted(len(names), 'recording')}): {first(names)}"
        )


def _warn_of_others(others: Sequence[Source], *, are_used: bool, is_review: bool) -> None:
    """Log a warning about recordings without annotation files."""
    if not others:
        return
    names = first([source.recording.name for source in others])
    number = counted(len(others), "recording")
    if are_used and is_review:
        _LOG.warning(f"recordings that were not reviewed have unknown tags ({number}): {names}")
    elif are_used:
        _LOG.warning(f"recordings without annotations have no events ({number}): {names}")
    else:
        _LOG.warning(
            f"recordings without annotations are left out ({number}): {names}; if they contain no "
            "events, use them with all_recordings (--all-recordings)"
        )


def _dry_run_text(matched: Matched, recordings_of_set: Sequence[OwnRecording]) -> str:
    """Return the format, the recordings and the classes of each file, and the classes."""
    lines = []
    for file, sources in matched.files:
        names = first([source.recording.name for source in sources]) or "no recording"
        number = counted(len(file.content.rows), "annotation")
        lines.append(f"{as_text(file.path)}: {file.format_name}, {number} of {names}")
    counts = collections.Counter[str]()
    for recording in recordings_of_set:
        counts.update(mark.label for mark in recording.marks if mark.is_accepted)
        counts.update(recording.labels)
    lines.append(
        f"{counted(len(recordings_of_set), 'recording')}, "
        f"{counted(counts.total(), 'annotation')} of {counted(len(counts), 'class')}:"
    )
    lines += [f"  {count:5} {label}" for label, count in sorted(counts.items())]
    lines += _review_notes(recordings_of_set)
    lines.append("nothing was written; run the command again without --dry-run")
    return "".join(f"{line}\n" for line in lines)


def _notes(matched: Matched, recordings_of_set: Sequence[OwnRecording]) -> list[str]:
    """Return the number of files of each format, and the result of a review."""
    counts = collections.Counter(file.format_name for file, _ in matched.files)
    lines = [f"{counted(count, 'file')} in the format {name}" for name, count in counts.items()]
    return lines + _review_notes(recordings_of_set)


def _review_notes(recordings_of_set: Iterable[OwnRecording]) -> list[str]:
    """Return the number of events with each status and class, or [] if there was no review."""
    statuses: collections.Counter[tuple[str, str]] = collections.Counter(
        (mark.status, mark.label) for one in recordings_of_set for mark in one.marks
    )
    found = []
    for status in STATUSES:
        of_status = {label: n for (one, label), n in sorted(statuses.items()) if one == status}
        classes = first([f"{label} ({number})" for label, number in of_status.items()])
        number = sum(of_status.values())
        found.append(f"{status}: {counted(number, 'event')}" + (f": {classes}" if classes else ""))
    return found if any(status for status, _ in statuses) else []


def _partial_sources(matched: Matched) -> set[Source]:
    """Return the recordings whose events are only in review tables."""
    of_reviews: set[Source] = set()
    of_others: set[Source] = set()
    for file, sources in matched.files:
        (of_reviews if file.format_name == REVIEW else of_others).update(sources)
    return of_reviews - of_others


@CORPORA.register("annotations")
def prepare(options: AnnotationsOptions) -> PrepareResult:
    """Make a data directory from annotation files and their recordings.

    FILES are Audacity labels, Raven selection tables, Praat TextGrids, ELAN documents, DCASE lists,
    events that `detect` has written in any format, or tables of `wsedtk review`. A file belongs to
    the recordings that it names, or to the recording with the same name: night.txt, night.wav.txt
    and night.Table.1.selections.txt belong to night.wav. If several recordings have this name, the
    one in the same folder, or in folders of the same names, is used. Recordings that are not in
    AUDIO are reported and left out.

    The events between the annotations are known to be absent: annotate every event of a recording.
    A recording whose annotation file is empty has no events.

    A review table (see `wsedtk review`) is different. The tags of a clip are known if the clip
    contains at least one accepted or rejected event, and no event that was not reviewed. The clip
    has the accepted events. The tags of all other clips are unknown (unknown.tsv).

    Recordings that are longer than --clip-seconds are cut into clips. An event at the edge of two
    clips is in both, if enough of it is in both (see --min-overlap-seconds). A point in time gives
    a tag, and an event of length zero, which metrics ignore. Annotations without times, as in lists
    of tags, are tags of all clips of the recording.

    Parameters
    ----------
    options : AnnotationsOptions
        The files, the recordings and the settings.

    Returns
    -------
    OwnSetResult or DryRunResult

    Raises
    ------
    InputError
        If an annotation file is faulty or its format is unknown, if it is ambiguous to which
        recording it belongs, if an event begins after the end of its recording, if no annotation
        belongs to a recording, if too many recordings are unreadable, or if `data_set` contains
        other data.

    Examples
    --------
    wsedtk prepare annotations labels/ recordings/ data/annotated
    wsedtk prepare annotations labels/ recordings/ data/annotated --hop-seconds 5 --jobs 2
    """
    folder, audio = Path(options.data_set), Path(options.audio)
    if not options.dry_run:
        own_sets.check_output(folder, MADE_BY)
    if not audio.exists():
        raise InputError(f"{audio}: no such file or folder; expected the recordings")
    paths = annotation_files.find(as_paths(options.files), folder)
    files = annotation_files.read(paths, options.format_name, options.labels_in)
    found = [one for one in recordings.find([audio]) if not _is_below(one.path, folder)]
    single = Source(found[0], None) if audio.is_file() else None
    matched = annotation_files.match(files, RecordingNames(found), single)
    if not matched.rows:
        raise InputError(
            f"{audio}: contains no recording of the annotation files; expected "
            f"{first(list(dict.fromkeys(matched.missing)))}"
        )
    _warn_of_missing(matched, audio)
    used, labels = annotation_classes.choose(matched.rows, options.labels)
    of_files = {source.recording for source in used}
    others = [Source(one, None) for one in found if one not in of_files]
    is_review = all(file.format_name == REVIEW for file in files)
    _warn_of_others(others, are_used=options.all_recordings, is_review=is_review)
    if options.all_recordings:
        used |= {source: [] for source in others}
    partial = _partial_sources(matched)
    if is_review:
        partial |= used.keys()  # nobody has looked for all events of the other recordings
    own = [
        _own_recording(source, rows, options.group, is_partial=source in partial)
        for source, rows in used.items()
    ]
    _check_ends(own)
    if options.dry_run:
        return DryRunResult((), _dry_run_text(matched, own))
    info = _info(options)
    has_events = any(one.marks for one in own) or not any(one.labels for one in own)
    cut = Cut(
        options.clip_seconds,
        options.hop_seconds,
        options.min_overlap_seconds if has_events else None,
    )
    made = OwnSet(
        own,
        labels,
        info,
        notes=_notes(matched, own),
        cut=cut,
        next_text=_next_text(folder) if is_review else "",
    )
    return own_sets.write(folder, made, options)


def _next_text(folder: Path) -> str:
    """Return the commands that train a model further on a set of reviewed events."""
    quoted = shlex.quote(str(folder))
    return (
        f"wsedtk extract {quoted} CORRECTED.h5 --frontend MODEL\n"
        "      wsedtk train FIT_SET VALID_SET NEW_MODEL --feats FEATS.h5 --feats CORRECTED.h5 "
        f"--add {quoted}=0.3 --init MODEL"
    )


def _is_below(path: Path, folder: Path) -> bool:
    return folder.absolute() in path.absolute().parents


def _info(options: AnnotationsOptions) -> Mapping[str, object]:
    return {
        "made_by": MADE_BY,
        "corpus": OWN,
        "annotations": [str(path) for path in as_paths(options.files)],
        "recordings": str(options.audio),
        "clip_seconds": options.clip_seconds,
        "hop_seconds": options.hop_seconds or options.clip_seconds,
        "min_overlap_seconds": options.min_overlap_seconds,
        "tags": "complete",
    }
