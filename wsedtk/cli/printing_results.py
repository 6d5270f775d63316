"""Print the results of the commands that use a trained system."""

import json
import math
import sys
from typing import TYPE_CHECKING

from wsedtk.core.console import json_text
from wsedtk.core.wording import counted

if TYPE_CHECKING:
    from wsedtk.data.formats import EventFormat
    from wsedtk.decoding.decisions import Decisions, Target
    from wsedtk.decoding.operating_point import OperatingPoint
    from wsedtk.evaluation.report import Report
    from wsedtk.stages.average import AverageResult
    from wsedtk.stages.decode import DecodeResult
    from wsedtk.stages.detect import RecordingResult
    from wsedtk.stages.predict import PredictResult
    from wsedtk.stages.report import ReportResult
    from wsedtk.stages.review import ReviewResult
    from wsedtk.stages.score import ScoreResult
    from wsedtk.stages.stream import StreamedEvent
    from wsedtk.stages.tune import TuneResult

MOST_LINES = 40  # a table with more classes than this is not printed


def print_json(value: object) -> None:
    """Print a value as JSON. Characters that standard output cannot encode are escaped."""
    print(json_text(json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False)))


def print_predict(result: "PredictResult") -> None:
    """Print the path of a score file and its numbers of clips and classes."""
    text = (
        f"{result.scores}: {counted(result.num_clips, 'clip')}, "
        f"{counted(len(result.labels), 'class')}, {result.seconds_per_frame:g} s per frame"
    )
    if result.failed:
        failed = counted(len(result.failed), "clip failed and has", "clips failed and have")
        text += f"; {failed} no scores"
    print(text)


def print_decode(result: "DecodeResult") -> None:
    """Print the path of a decoded folder and its numbers of clips, tags and events."""
    events = counted(result.num_events, "event")
    if result.num_boxes is not None:
        events += f" of {counted(result.num_boxes, 'box', 'boxes')}"
    print(
        f"{result.out_dir}: {counted(result.num_clips, 'clip')}, "
        f"{counted(result.num_tags, 'tag')}, {events} ({result.mode} mode)"
    )


def print_average(result: "AverageResult") -> None:
    """Print the path of mean scores and the numbers of systems, clips and classes."""
    scores = "mean scores" if result.num_systems > 1 else "scores"
    print(
        f"{result.output}: {scores} of {counted(result.num_systems, 'system')}, "
        f"{counted(result.num_clips, 'clip')}, {counted(len(result.labels), 'class')}, "
        f"{result.seconds_per_frame:g} s per frame"
    )


def print_report_page(result: "ReportResult") -> None:
    """Print the path of an HTML report and the numbers of its evaluated folders and systems."""
    folders = counted(len(result.scored), "evaluated folder")
    print(f"{result.page}: {folders} of {counted(len(result.systems), 'system')}")


def print_review(result: "ReviewResult") -> None:
    """Print what a page for a review contains and leaves out, and how it is used."""
    print(
        f"{result.page}: {counted(result.num_shown, 'event')} of "
        f"{counted(result.num_recordings, 'recording')}, {result.size / 1e6:.1f} MB"
    )
    print(f"order: {result.order}")
    if result.num_left_out:
        print(
            f"not on the page: {counted(result.num_left_out, 'event')} (see --max-events); the "
            "saved table lists them as unreviewed, so their clips are not used"
        )
    if result.failed:
        print(f"left out: {counted(len(result.failed), 'unreadable recording')}")
    print(f"next: open the page in a browser, save review.tsv, and run: {result.next_command}")


def print_score(result: "ScoreResult") -> None:
    """Print the tables of an evaluation.

    If there are many classes, print the path of report.txt instead of the table of classes.
    """
    from wsedtk.evaluation import report_text
    from wsedtk.evaluation.report_data import MANY_CLASSES

    report: Report = result.report
    summary, classes = report_text.parts(report.to_dict(), report.title, report.layout)
    if len(report.classes) > MANY_CLASSES:
        classes = f"{result.report_text} contains the table of all {len(report.classes)} classes\n"
    print(summary + classes, end="")


class EventPrinter:
    """A function that prints the events of each recording as soon as they are found.

    Parameters
    ----------
    form : EventFormat
        The format of the events. In JSON, characters that standard output can't encode are escaped.
    """

    def __init__(self, form: "EventFormat") -> None:
        self._form = form
        self._is_first = True

    def begin(self) -> None:
        """Print the header, if it has not been printed."""
        if self._is_first:
            sys.stdout.write(self._form.header)
            sys.stdout.flush()
            self._is_first = False

    def __call__(self, result: "RecordingResult | StreamedEvent") -> None:
        """Print the events of a recording, or one event. Print the header before the first."""
        self.begin()
        sys.stdout.write(json_text(result.text) if self._form.is_json else result.text)
        sys.stdout.flush()


def print_tune(result: "TuneResult") -> None:
    """Print an operating point, and its metric values on the set that it was tuned on.

    If there are many classes, only a summary of the operating point is printed.
    """
    point = result.point
    if len(point.labels) > MOST_LINES:
        never = sum(threshold == float("inf") for threshold in point.clip_thresholds)
        print(
            f"{result.path}: thresholds of {len(point.labels)} classes; "
            f"{never} of these classes {'is' if never == 1 else 'are'} never predicted"
        )
    else:
        _print_point(point)
    if result.target is not None:
        for decisions in (result.clips, result.frames, result.boxes):
            if decisions is not None:
                _print_target(point.labels, decisions, result.target)
    counts = result.clips.counts
    these = "this clip" if result.num_clips == 1 else f"these {result.num_clips} clips"
    print(
        f"tagging F1 on {these}: {counts.f1:.4f} "
        f"(precision {counts.precision:.4f}, recall {counts.recall:.4f})"
    )
    for decisions, name in ((result.frames, "frame thresholds"), (result.boxes, "boxes")):
        if decisions is not None:
            unit = decisions.unit.split(" (with ")[0]  # the line below says the rest already
            print(f"F1 with the {name}, counted in {unit}: {decisions.counts.f1:.4f}")
    if result.frames is not None and result.target is None:
        print(*(f"{line}\n" for line in threshold_notes(point)), sep="", end="")


def threshold_notes(point: "OperatingPoint") -> list[str]:
    """Return lines about classes that are never detected, and classes that always are."""
    from wsedtk.core.progress import printable
    from wsedtk.data.tables import first

    def labels(threshold: float) -> str:
        limits = point.thresholds_of("box" if point.mode == "box" else "frame")
        found = zip(point.labels, limits)
        return first([printable(label) for label, value in found if value == threshold])

    lines = []
    if never := labels(math.inf):
        lines.append(
            f"never detected, because no threshold increases the F1 on these clips: {never}"
        )
    if always := labels(-math.inf):
        lines.append(
            f"detected at all times, because this gives the highest F1 on these clips: {always}; "
            "add recordings without sounds of these classes (prepare folders --background)"
        )
    return lines


def _print_point(point: "OperatingPoint") -> None:
    """Print the thresholds and filters of each class."""
    from wsedtk.core.progress import printable
    from wsedtk.decoding.operating_point import BOX_DEFAULTS

    labels = [printable(label) for label in point.labels]
    width = max(map(len, labels))
    print(f"{'class':{width}}  clip threshold  frame threshold  median s  min s  max gap s")
    for k, label in enumerate(labels):
        print(
            f"{label:{width}}  {point.clip_thresholds[k]:14.4f}  {point.frame_thresholds[k]:15.4f}"
            f"  {point.median_seconds[k]:8g}  {point.min_seconds[k]:5g}"
            f"  {point.max_gap_seconds[k]:9g}"
        )
    columns = (point.box_thresholds, *(getattr(point, name) for name in BOX_DEFAULTS))
    if point.box_thresholds is not None:
        print(f"{'class':{width}}  box threshold  filter s  merge absolute  merge relative")
        for label, row in zip(labels, zip(*columns)):
            print("{:{}}  {:13.4f}  {:8g}  {:14g}  {:14g}".format(label, width, *row))


def _print_target(labels: list[str], decisions: "Decisions", target: "Target") -> None:
    """Print the results of each class for a target. If there are many classes, print a summary."""
    aim = f"target {target.quantity}={target.value:g}, counted in {decisions.unit}"
    if len(labels) > MOST_LINES:
        print(f"{aim}: {_summary_of_target(labels, decisions, target)}")
    else:
        print(f"{aim}, on {target.hours:.2f} hours of audio:")
        _print_classes_of_target(labels, decisions, target)


def _summary_of_target(labels: list[str], decisions: "Decisions", target: "Target") -> str:
    from wsedtk.core.progress import printable
    from wsedtk.data.tables import first

    missed = [
        f"{printable(label)} (at best {best[target.quantity]:.3g})"
        for label, best in zip(labels, _nearest(decisions, target))
        if best is not None
    ]
    text = f"the target is met for {len(labels) - len(missed)} of {len(labels)} classes"
    return f"{text}; the other classes are never predicted: {first(missed)}" if missed else text


def _nearest(decisions: "Decisions", target: "Target") -> list[dict[str, float] | None]:
    """Return the values of each class at the threshold that comes nearest to a target.

    The values are the precision, the recall and the false alarms per hour. If no threshold gives a
    true positive, all three values are 0, as for a class that is never predicted. The entry of a
    class that reaches the target is None.
    """
    from wsedtk.decoding import thresholds

    return [
        None if counts is None else thresholds.reached(*counts, positives, target.hours)
        for counts, positives in zip(decisions.nearest or (), decisions.positives)
    ]


def _print_classes_of_target(labels: list[str], decisions: "Decisions", target: "Target") -> None:
    from wsedtk.core.progress import printable
    from wsedtk.decoding import thresholds

    shown = [printable(label) for label in labels]
    width = max(map(len, shown))
    print(f"{'class':{width}}  positives  precision  recall  false alarms/h")
    for k, (label, best) in enumerate(zip(shown, _nearest(decisions, target))):
        hits, predicted = decisions.true_positives[k], decisions.predicted[k]
        positives = decisions.positives[k]
        found = thresholds.reached(hits, predicted, positives, target.hours)
        precision = f"{found['precision']:9.3f}" if predicted else f"{'-':>9}"
        row = (
            f"{label:{width}}  {positives:9}  {precision}  {found['recall']:6.3f}"
            f"  {found['false-alarms-per-hour']:14.2f}"
        )
        if best is None:
            print(row)
        elif best["recall"]:
            print(
                f"{row}  never predicted: the nearest threshold gives precision "
                f"{best['precision']:.3f}, recall {best['recall']:.3f}, "
                f"{best['false-alarms-per-hour']:.2f} false alarms per hour"
            )
        else:
            print(f"{row}  never predicted: no threshold gives a true positive")
