"""Evaluate a list of tags or events against a reference list, in the formats of DCASE challenges.

In the shapes, N is the number of clips.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wsedtk.core import config
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.wording import counted
from wsedtk.data import clip_sets, table_files, tables
from wsedtk.data.clip_names import excerpt_times
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.events import Events
from wsedtk.data.formats import dcase
from wsedtk.data.formats.dcase import EventList
from wsedtk.evaluation import bootstrap, input_warnings, report_data
from wsedtk.evaluation.evidence import Evidence
from wsedtk.evaluation.input_warnings import Warn
from wsedtk.evaluation.measure import measure
from wsedtk.evaluation.metric import Metric
from wsedtk.evaluation.report import Report
from wsedtk.evaluation.report_text import Kind

# An event that begins in its clip is cut without a warning if it ends at most SLACK_SECONDS after
# the end of the clip.
SLACK_SECONDS = 0.1
_MOST_DAYS = 31  # maximum duration of a clip; longer durations are probably milliseconds


def _read(
    reference_path: PathLike, estimate_path: PathLike, kind: Kind | None
) -> tuple[EventList, EventList, Kind]:
    """Read both lists. If `kind` is None, determine whether they contain tags or events.

    Raises InputError if a list has faults, or if the reference contains no tags or events. Also
    raises InputError if `kind` is None and one list contains tags but the other contains events, or
    if events are evaluated and a row has no times.
    """
    reference = dcase.read(reference_path)
    estimate = dcase.read(estimate_path)
    table_files.raise_on_errors([*reference.faults, *estimate.faults])
    if not reference.rows:
        raise InputError(
            f"{reference.path}: contains no tags or events, so there is nothing to evaluate; check "
            "that its columns are separated by tabs"
        )
    if kind is None:
        if estimate.kind() not in (None, reference.kind()):
            raise InputError(
                f"{reference.path} contains {reference.kind()}, but {estimate.path} contains "
                f"{estimate.kind()}; give two lists of the same kind, or set --kind (a row is a "
                "tag if it has no times, or if its times are those in its file name)"
            )
        kind = "tags" if reference.kind() == "tags" else "events"
    if kind == "events":
        faults = [*reference.faults_of_tags(), *estimate.faults_of_tags()]
        table_files.raise_on_errors(faults)
    return reference, estimate, kind


def _shown(label: str, known: set[str]) -> str:
    """Return a class in quotes, with the most similar known class if there is one."""
    near = config.nearest(label, known)
    return repr(label) + ("" if near is None else f" (did you mean {near!r}?)")


def _check_match(reference: EventList, estimate: EventList, warn: Warn) -> None:
    """Warn of repeated rows, of clips that are in only one list, and of unknown classes.

    A class is unknown if no row of the reference contains it. Raises InputError if the estimate
    contains clips, but none of them is in the reference.
    """
    for found in (reference, estimate):
        input_warnings.warn_of_repeats(warn, found.path, found.repeated)
    unknown = [name for clip, name in estimate.names.items() if clip not in reference.names]
    if unknown and len(unknown) == len(estimate.names):
        raise InputError(
            f"{estimate.path}: contains no clip of {reference.path}; found "
            f"{tables.first(unknown)}, expected clips such as "
            f"{tables.first(list(reference.names.values()))}; check the file names, and that the "
            "columns are separated by tabs"
        )
    input_warnings.warn_of(
        warn,
        unknown,
        f"clip of {estimate.path} is not in {reference.path} and is not evaluated",
        f"clips of {estimate.path} are not in {reference.path} and are not evaluated",
    )
    missing = [name for clip, name in reference.names.items() if clip not in estimate.names]
    input_warnings.warn_of(
        warn,
        missing,
        f"clip of {reference.path} is not in {estimate.path} and is evaluated as a clip without "
        "predictions",
        f"clips of {reference.path} are not in {estimate.path} and are evaluated as clips without "
        "predictions",
    )
    classes = {row.label for row in reference.rows}
    said = {row.label for row in estimate.rows if row.clip in reference.names}
    odd = sorted(said - classes)
    input_warnings.warn_of(
        warn,
        [*(_shown(label, classes) for label in odd[:3]), *odd[3:]],
        f"class of {estimate.path} is not in {reference.path}, so all predictions of this class "
        "are false positives",
        f"classes of {estimate.path} are not in {reference.path}, so all predictions of these "
        "classes are false positives",
    )


def _last_offsets(event_list: EventList, clips: Sequence[str]) -> dict[str, float]:
    """Return the last offset of each clip in seconds. It is 0 if no row of the clip has times."""
    ends = dict.fromkeys(clips, 0.0)
    for row in event_list.rows:
        if row.clip in ends and row.offset is not None:
            ends[row.clip] = max(ends[row.clip], row.offset)
    return ends


def _durations(
    reference: EventList, estimate: EventList, clips: Sequence[str], kind: Kind, warn: Warn
) -> npt.NDArray[np.float64]:
    """Return the duration (N,) of each clip in seconds.

    The duration is computed from the start and the end in the file name. If `kind` is "events" and
    a reference event ends more than 1 s after the end of the clip, these times are ignored. If the
    times are ignored or missing, the duration is the last offset of the clip in the two lists. Only
    reference events can cause the times to be ignored. The times of a clip are therefore ignored
    for all systems or for none. Raises InputError if a clip lasts more than `_MOST_DAYS` days.
    """
    true_ends, said_ends = _last_offsets(reference, clips), _last_offsets(estimate, clips)
    times = {clip: excerpt_times(reference.names[clip]) for clip in clips}
    if kind == "events":
        doubted = [
            clip
            for clip in clips
            if times[clip] and not excerpt_times(reference.names[clip], true_ends[clip])
        ]
        input_warnings.warn_of(
            warn,
            [f"{reference.names[clip]} (last offset {true_ends[clip]:g} s)" for clip in doubted],
            f"clip of {reference.path} has events that end after the end of the clip (computed "
            "from the file name), so the times in this file name are ignored",
            f"clips of {reference.path} have events that end after the end of the clip (computed "
            "from the file name), so the times in these file names are ignored",
        )
        times.update(dict.fromkeys(doubted))
    seconds = []
    for clip in clips:
        start, end = times[clip] or (0.0, max(true_ends[clip], said_ends[clip]))
        seconds.append(end - start)
    durations: npt.NDArray[np.float64] = tables.round_seconds(np.array(seconds))
    longest = int(durations.argmax())
    if durations[longest] > _MOST_DAYS * 86400:
        raise InputError(
            f"{reference.path}: the clip {reference.names[clips[longest]]!r} lasts "
            f"{durations[longest]:g} s; expected at most {_MOST_DAYS} days; write "
            "times in seconds"
        )
    return durations


def _data_set(
    event_list: EventList,
    clips: Sequence[str],
    labels: list[str],
    durations: npt.NDArray[np.float64],
    with_events: bool,
) -> DataSet:
    """Return a DataSet of the clips, with the tags of a list.

    If `with_events` is True, the DataSet also contains the events of the list.
    """
    index = {clip: number for number, clip in enumerate(clips)}
    label_index = {label: number for number, label in enumerate(labels)}
    rows = [row for row in event_list.rows if row.clip in index]
    pairs = sorted({(index[row.clip], label_index[row.label]) for row in rows})
    tag_clip, tag_label = np.array(pairs, np.int64).reshape(-1, 2).T
    events = None
    if with_events:
        events = Events.from_rows(
            (index[row.clip], row.onset, row.offset, label_index[row.label])
            for row in rows
            if row.onset is not None and row.offset is not None
        )
    names, paths = np.array(clips), np.full(len(clips), "")
    return DataSet(names, paths, durations, labels, tag_clip, tag_label, events)


def _warn_of_late_events(data_set: DataSet, path: PathLike, warn: Warn) -> None:
    """Warn of events that end more than `SLACK_SECONDS` after the end of their clip.

    Also warn of events that begin at or after the end of their clip (see
    `input_warnings.warn_of_late`).
    """
    events = data_set.events
    if events is None:
        return
    ends = data_set.durations[events.clip]
    late = np.flatnonzero((events.offset > ends + SLACK_SECONDS) & (events.onset < ends))
    shown = [f"{data_set.filenames[events.clip[i]]} at {events.onset[i]:g} s" for i in late]
    input_warnings.warn_of(
        warn,
        shown,
        f"event of {path} ends after the end of its clip (computed from the file name) and "
        "is cut at this end",
        f"events of {path} end after the end of their clip (computed from the file name) and "
        "are cut at this end",
    )
    names = data_set.filenames.tolist()
    input_warnings.warn_of_late(warn, path, events, names, data_set.durations)


def evaluate_lists(
    reference_path: PathLike,
    estimate_path: PathLike,
    kind: Kind | None = None,
    num_resamples: int = 0,
    *,
    warn: Warn,
    own: Sequence[Metric] = (),
) -> Report:
    """Evaluate a list of tags or events on all clips of a reference list.

    Parameters
    ----------
    reference_path, estimate_path : path-like
        Tab-separated lists. See `wsedtk.data.formats.dcase`.
    kind : {"tags", "events"}, optional
        What the lists contain. By default it is determined from their rows.
    num_resamples : int
        Number of bootstrap resamples of the clips for 95 % intervals. If it is 0, no intervals are
        computed.
    warn : callable
        A function that is called with the text of each warning.
    own : sequence of Metric
        User-defined metrics.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If a list is invalid, if `kind` is None and one list contains tags but the other contains
        events, if the estimate contains clips but none of them is in the reference, or if a
        user-defined metric can't be evaluated.
    """
    reference, estimate, kind = _read(reference_path, estimate_path, kind)
    _check_match(reference, estimate, warn)
    clips = sorted(reference.names)
    rows = [*reference.rows, *estimate.rows]
    labels = sorted({row.label for row in rows if row.clip in reference.names})
    durations = _durations(reference, estimate, clips, kind, warn)
    truth = _data_set(reference, clips, labels, durations, kind == "events")
    said = _data_set(estimate, clips, labels, durations, kind == "events")
    _warn_of_late_events(truth, reference.path, warn)
    _warn_of_late_events(said, estimate.path, warn)
    weights = bootstrap.clip_weights(len(clips), num_resamples) if num_resamples else None
    report = report_data.empty_report(labels)
    fingerprint = clip_sets.fingerprint_clips([f"{clip}.wav" for clip in clips])
    report["clips"].update(
        scored=len(clips), official=len(clips), is_official=False, fingerprint=fingerprint
    )
    measure(report, Evidence(truth, said, has_tags=kind == "tags"), weights, own)
    title = (
        f"{estimate.path} against {reference.path}: {counted(len(clips), 'clip')}, "
        f"{counted(len(labels), 'class')}, {kind}"
    )
    return Report.from_dict(report, title, kind)
