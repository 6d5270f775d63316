"""score-files: anybody's list of tags or events against a list of the true ones, both in the challenges' own forms.

N clips, K classes.
"""

import json

import numpy as np

from wsedtk.core import config, console
from wsedtk.core.errors import InputError
from wsedtk.data import datadir, event_lists, tables
from wsedtk.data.clip_names import LONGEST_SECONDS, excerpt_times
from wsedtk.data.events import Events
from wsedtk.evaluation import metrics, report_data
from wsedtk.evaluation.report_data import warn

SLACK_SECONDS = 0.1  # events that end at most this much after their clip are cut without a warning


def _read(reference_path, estimate_path, kind):
    """Both lists, and their kind, found out where it is None. Raises InputError naming their first faults."""
    faults = []
    reference, estimate = (event_lists.read(path, faults) for path in (reference_path, estimate_path))
    tables.raise_on_errors(faults, "mend these first")
    if not reference.rows:
        raise InputError(f"{reference.path}: names no class in any clip, so there is nothing to score; are its columns separated by tabs?")
    if kind is None and estimate.kind() not in (None, reference.kind()):
        raise InputError(f"{reference.path} holds {reference.kind()}, {estimate.path} {estimate.kind()}: give two lists of one kind, "
                         "or say --kind (tags: every row's times are those in its file name, or it has none)")
    kind = kind or reference.kind()
    if kind == "events":
        tables.raise_on_errors([*event_lists.faults_of_events(reference), *event_lists.faults_of_events(estimate)], "mend these first")
    return reference, estimate, kind


def _with_nearest(label, classes):
    """Return a class that the reference lacks, with the nearest one that it has."""
    near = config.nearest(label, classes)
    return repr(label) + (f" (did you mean {near!r}?)" if near else "")


def _check_match(reference, estimate):
    """Tell where the lists differ in clips and classes. Raises InputError where they share no clip."""
    for found in (reference, estimate):
        report_data.warn_of_repeats(found.path, found.repeated)
    unknown = [name for clip, name in estimate.names.items() if clip not in reference.names]
    if unknown and len(unknown) == len(estimate.names):
        raise InputError(f"{estimate.path}: none of its {len(unknown)} clips is in {reference.path}: {tables.first(unknown)} here, "
                         f"{tables.first(list(reference.names.values()))} there (columns are separated by tabs)")
    paths = f"of {estimate.path} are not in {reference.path}"
    warn(len(unknown), f"clips {paths} and are not scored", unknown)
    missing = [name for clip, name in reference.names.items() if clip not in estimate.names]
    warn(len(missing), f"clips of {reference.path} are not in {estimate.path} and count as "
         "without predictions", missing)
    classes = {row.label for row in reference.rows}
    odd = sorted({row.label for row in estimate.rows if row.clip in reference.names} - classes)
    warn(len(odd), f"classes {paths}, so that every prediction of them is false",
         [_with_nearest(label, classes) for label in odd[:3]] + odd[3:])


def _durations(reference, estimate, clips, kind):
    """Lengths (N,) of clips in seconds: by their name, else up to the last offset of either list.

    A name is not believed where events of the reference lie beyond what it says. Events of the
    estimate don't count for this: the length that systems are scored on is that of the truth.
    """
    ends, true_ends = dict.fromkeys(clips, 0.0), dict.fromkeys(clips, 0.0)
    for rows, found in ((reference.rows, (ends, true_ends)), (estimate.rows, (ends,))):
        for row in rows:
            if row.clip in ends and row.offset is not None:
                for last in found:
                    last[row.clip] = max(last[row.clip], row.offset)
    times = {clip: excerpt_times(reference.names[clip]) for clip in clips}
    if kind == "events":
        doubted = [clip for clip in clips
                   if times[clip] and not excerpt_times(reference.names[clip], true_ends[clip])]
        warn(len(doubted), f"names of clips of {reference.path} are not taken for start and end, "
             "as events lie beyond",
             [f"{reference.names[clip]} up to {true_ends[clip]:g} s" for clip in doubted])
        times.update(dict.fromkeys(doubted))
    durations = tables.round_seconds(np.array(
        [times[clip][1] - times[clip][0] if times[clip] else ends[clip] for clip in clips]))
    longest = int(durations.argmax())
    if durations[longest] > LONGEST_SECONDS:
        raise InputError(f"{reference.path}: the clip {reference.names[clips[longest]]!r} lasts {durations[longest]:g} s, more than a day; "
                         "times are in seconds")
    return durations


def _data_set(event_list, clips, labels, durations, kind):
    """The rows of a list for these clips as a DataSet."""
    index, label_index = {clip: i for i, clip in enumerate(clips)}, {label: k for k, label in enumerate(labels)}
    rows = [row for row in event_list.rows if row.clip in index]
    tags = np.array(sorted({(index[row.clip], label_index[row.label]) for row in rows}), np.int64).reshape(-1, 2)
    events = None
    if kind == "events":
        events = Events.from_rows(
            (index[r.clip], r.onset, r.offset, label_index[r.label]) for r in rows)
        ends = durations[events.clip]
        late = np.flatnonzero((events.offset > ends + SLACK_SECONDS) & (events.onset < ends))
        warn(len(late), f"events of {event_list.path} end after their clip, by its name, and count "
             "up to its end", [f"{clips[events.clip[i]]} at {events.onset[i]:g} s" for i in late])
        report_data.warn_of_late(event_list.path, events, clips, durations)
    return datadir.DataSet(np.array(clips), np.full(len(clips), ""), durations, labels, *tags.T, events)


def _table(report, title, kind):
    """The report as text: micro averages beside those of the baselines, then class by class."""
    if kind == "tags":
        columns = [("Pre", "tagging", "precision"), ("Rec", "tagging", "recall"), ("F1", "tagging", "f1")]
        baselines = {"nothing": "nothing", "everything": "everything"}
    else:
        columns = [*zip(("ER", "Sub", "Del", "Ins", "Pre", "Rec", "F1"), ["segment"] * 7, report_data.SEGMENT_KEYS),
                   *zip(("event Pre", "event Rec", "event F1"), ["event"] * 3, report_data.F1_KEYS)]
        baselines = {"nothing": "nothing", "everything": "everything", "system_tags": "its tags, whole clip",
                     "true_tags": "true tags, whole clip"}

    def row(name, source, columns):
        sections = [source.get(section, {}) for _, section, _ in columns]
        return [name, *(report_data.cell(s.get(key), s.get(f"{key}_ci")) for s, (_, _, key) in zip(sections, columns))]

    by_class = [column for column in columns if column[2] != "substitution_rate"]  # a single class has none
    lines = [title, "", *report_data.text_table(
        ["system", *(name for name, *_ in columns)],
        [row("estimate", report, columns), *(row(text, report["baselines"][name], columns) for name, text in baselines.items())])]
    if dropped := report["zero_length_reference_events"]:
        lines.append("zero-length reference events dropped from event and segment figures: "
                     f"{dropped:,} (sed_eval counts them)")
    lines += ["", *report_data.text_table(["class", *(name for name, *_ in by_class)],
                                      [row(label, found, by_class) for label, found in report["classes"].items()])]
    return "\n".join(lines) + "\n"


def run(reference_path, estimate_path, kind, as_json, num_resamples):
    """Score every clip of the reference and print the report."""
    reference, estimate, kind = _read(reference_path, estimate_path, kind)
    _check_match(reference, estimate)
    clips = sorted(reference.names)
    labels = sorted({row.label for row in [*reference.rows, *estimate.rows] if row.clip in reference.names})
    durations = _durations(reference, estimate, clips, kind)
    truth, said = (_data_set(found, clips, labels, durations, kind) for found in (reference, estimate))
    weights = metrics.clip_weights(len(truth), num_resamples) if num_resamples else None
    report = report_data.empty_report(labels)
    report["clips"].update(scored=len(truth), official=len(truth), fingerprint=datadir.fingerprint_clips([f"{c}.wav" for c in clips]))
    if kind == "tags":
        report_data.measure_tags(report, truth, said, weights)
    else:
        report_data.measure_events(report, truth, said, weights)
    title = f"{estimate.path} against {reference.path}: {len(clips)} clips, {len(labels)} classes, {kind}"
    if as_json:
        print(console.json_text(json.dumps(report, indent=1, allow_nan=False, ensure_ascii=False)))
    else:
        print(_table(report, title, kind), end="")
