"""review: detected events and recordings -> a page on which a user accepts and rejects the events.

The page saves a review table, which `prepare annotations` reads.
"""

import dataclasses
import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from wsedtk.audio import audio_files
from wsedtk.audio.cutting import Span
from wsedtk.core.atomic import write_text
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike, as_paths
from wsedtk.core.processes import mapping
from wsedtk.core.progress import progress
from wsedtk.core.wording import counted
from wsedtk.corpora import annotation_files
from wsedtk.corpora.annotation_files import Matched
from wsedtk.corpora.recording_names import RecordingNames, Source
from wsedtk.data.formats.annotations import UNREVIEWED
from wsedtk.data.tables import first, normal
from wsedtk.inference import recordings
from wsedtk.report import excerpts, review_page
from wsedtk.report.excerpts import Excerpt, Part
from wsedtk.report.review_page import Content, ReviewedEvent
from wsedtk.stages.options.review import ReviewOptions

_LOG = logging.getLogger(__name__)

LONGEST_EVENT_SECONDS = 20.0  # of a longer event, the page shows the beginning
_LATE_SECONDS = 0.1  # an event may begin so much after the end of its recording
_THRESHOLD = 0.5  # of classes whose threshold is not known


@dataclasses.dataclass(frozen=True)
class ReviewResult:
    """The result of `run`: the page.

    Attributes
    ----------
    page : Path
        The HTML file.
    size : int
        The size of the file in bytes.
    num_shown : int
        Number of events on the page.
    num_left_out : int
        Number of events that are only in the table which the page saves.
    num_recordings : int
        Number of recordings with events.
    order : str
        A sentence on the order of the events.
    failed : mapping of str to str
        The reason for each recording that can't be read, by its name.
    next_command : str
        The command that makes a data directory from the saved table.
    """

    page: Path
    size: int
    num_shown: int
    num_left_out: int
    num_recordings: int
    order: str
    failed: Mapping[str, str]
    next_command: str


class _Model(NamedTuple):
    """The classes of a model, and their frame thresholds."""

    labels: Sequence[str]
    thresholds: Mapping[str, float]


def run(options: ReviewOptions) -> ReviewResult:
    """Write a page on which a user reviews events, as `wsedtk review` does.

    Parameters
    ----------
    options : ReviewOptions
        The inputs, the output and the settings.

    Returns
    -------
    ReviewResult

    Raises
    ------
    InputError
        If a file of events is faulty or its format is unknown, if it is ambiguous to which
        recording events belong, if there are no events, if an event has no times or begins after
        the end of its recording, or if no recording can be read.
    """
    model = _Model((), {}) if options.model is None else _read_model(options.model)
    sources, events = _read_events(options)
    order, sentence = _order(events, options.order, model.thresholds)
    shown, failed = _read_excerpts(events, order[: options.max_events], sources, options)
    found = sorted({event.label for event in events})
    names = [_name(source) for source in sources]
    content = Content(
        recordings=names,
        events=events,
        shown=shown,
        classes=list(dict.fromkeys([*found, *model.labels])),
        order=sentence,
        by_recording=options.order == "time",
        command=_next_command(options),
    )
    title = f"Review of {counted(len(shown), 'event')}"
    write_text(options.output, review_page.text(content, title))
    return ReviewResult(
        page=Path(options.output),
        size=Path(options.output).stat().st_size,
        num_shown=len(shown),
        num_left_out=len(events) - len(shown),
        num_recordings=len(sources),
        order=sentence,
        failed=failed,
        next_command=content.command,
    )


def _read_model(model: PathLike) -> _Model:
    """Return the classes and the thresholds of a model. Raises InputError if it can't be read."""
    from wsedtk.decoding import operating_point
    from wsedtk.models import checkpoint, ready_directories  # imports torch

    folder = ready_directories.find_model_directory(model)
    labels = checkpoint.read_spec(folder).labels
    thresholds: dict[str, float] = {}
    if (folder / "operating_point.yaml").exists():
        point = operating_point.read(folder / "operating_point.yaml")
        thresholds = dict(zip(point.labels, map(float, point.frame_thresholds)))
    return _Model(labels, thresholds)


def _read_events(options: ReviewOptions) -> tuple[list[Source], list[ReviewedEvent]]:
    """Return the recordings that have events, and the events, sorted by recording and time."""
    audio = Path(options.audio)
    if not audio.exists():
        raise InputError(f"{audio}: no such file or folder; expected the recordings")
    paths = annotation_files.find(as_paths(options.events), Path(options.output))
    files = annotation_files.read(paths, options.format_name, ())
    found = recordings.find([audio])
    single = Source(found[0], None) if audio.is_file() else None
    matched = annotation_files.match(files, RecordingNames(found), single)
    if matched.missing:
        names = list(dict.fromkeys(matched.missing))
        _LOG.warning(
            f"events of recordings that are not in {audio} are left out "
            f"({counted(len(names), 'recording')}): {first(names)}"
        )
    sources = sorted((one for one, rows in matched.rows.items() if rows), key=_name)
    if not sources:
        raise InputError(
            f"{first([str(path) for path in as_paths(options.events)])}: contains no events of "
            f"the recordings in {audio}"
        )
    return sources, _events(sources, matched)


def _name(source: Source) -> str:
    """Return the name of a recording or channel, as `prepare annotations` finds it."""
    channel = "" if source.channel is None else f".ch{source.channel + 1}"
    return normal(source.recording.name) + channel


def _events(sources: Sequence[Source], matched: Matched) -> list[ReviewedEvent]:
    """Return the events of the recordings. Of equal events, one that was reviewed is used."""
    found: dict[tuple[int, float, float, str], ReviewedEvent] = {}
    for number, source in enumerate(sources):
        for row in matched.rows[source]:
            one = row.annotation
            if one.onset is None or one.offset is None:
                raise InputError(f"{row.place}: found a tag without times; expected an event")
            status = one.status or UNREVIEWED
            event = ReviewedEvent(number, one.onset, one.offset, one.label, one.score, status)
            before = found.get(event[:4])
            if before is None or before.status == UNREVIEWED:
                found[event[:4]] = event
    return [found[key] for key in sorted(found)]


def _order(
    events: Sequence[ReviewedEvent], order: str, thresholds: Mapping[str, float]
) -> tuple[list[int], str]:
    """Return the indices of the events in the order of the review, and a sentence on this order."""
    has_scores = any(event.score is not None for event in events)
    sentence = "The events are in the order of their recordings and onsets."
    if order != "time" and not has_scores:
        sentence = f"{sentence} They have no scores, so they can't be sorted by score."
    elif order == "score":
        sentence = "The events with the highest scores come first."
    elif order == "uncertain":
        where = "the threshold of their class" if thresholds else f"{_THRESHOLD:g}"
        sentence = f"The events whose scores are nearest to {where} come first."

    def key(index: int) -> tuple[bool, float, int]:
        event = events[index]
        value = 0.0
        if has_scores and order == "score":
            value = 1.0 if event.score is None else -event.score
        elif has_scores and order == "uncertain" and event.score is not None:
            value = abs(event.score - thresholds.get(event.label, _THRESHOLD))
        return event.status != UNREVIEWED, value, index

    return sorted(range(len(events)), key=key), sentence


def _span(event: ReviewedEvent, margin: float) -> Span:
    """Return the times of the excerpt of an event."""
    end = min(event.offset, event.onset + LONGEST_EVENT_SECONDS) + max(margin, 0.1)
    return Span(max(0.0, event.onset - margin), end)


def _read_excerpts(
    events: Sequence[ReviewedEvent],
    order: Sequence[int],
    sources: Sequence[Source],
    options: ReviewOptions,
) -> tuple[dict[int, Excerpt], dict[str, str]]:
    """Read the excerpts of events.

    Returns
    -------
    shown : dict of int to Excerpt
        The excerpts by the index of the event, in the given order.
    failed : dict of str to str
        The reason for each recording that can't be read.

    Raises
    ------
    InputError
        If an event begins after the end of its recording, or if no recording can be read.
    """
    of_source: dict[int, list[int]] = {}
    for index in sorted(order, key=lambda index: _span(events[index], options.margin)):
        of_source.setdefault(events[index].recording, []).append(index)
    parts = [
        Part(
            sources[number].recording.path,
            sources[number].channel,
            [_span(events[index], options.margin) for index in indices],
        )
        for number, indices in of_source.items()
    ]
    found: dict[int, Excerpt] = {}
    failed: dict[str, str] = {}
    with mapping(min(options.jobs, len(parts)), chunk_size=1) as spread:
        results = progress(spread(excerpts.read, parts), "read recordings", len(parts))
        for (number, indices), result in zip(of_source.items(), results):
            if isinstance(result, str):
                failed[_name(sources[number])] = result
                _LOG.warning(result)
                continue
            for index, excerpt in zip(indices, result):
                if excerpt is None or events[index].onset > excerpt.end + _LATE_SECONDS:
                    raise InputError(_late(events[index], sources[number]))
                found[index] = excerpt
    if not found:
        raise InputError(f"{next(iter(failed.values()))}; no recording can be read")
    return {index: found[index] for index in order if index in found}, failed


def _late(event: ReviewedEvent, source: Source) -> str:
    """Return the message for an event that begins after the end of its recording."""
    duration = audio_files.info(source.recording.path).duration or 0.0
    return (
        f"{source.recording.path}: the event {event.label!r} begins at {event.onset:g} s, after "
        f"the end of the recording ({duration:.3f} s); give the events of these recordings"
    )


def _next_command(options: ReviewOptions) -> str:
    """Return the command that makes a data directory from the saved table."""
    words = ["wsedtk", "prepare", "annotations", "review.tsv", str(options.audio), "data/reviewed"]
    if options.model is not None and Path(options.model).is_dir():
        words += ["--labels", str(options.model)]
    return shlex.join(words)
