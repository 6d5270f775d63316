"""detect: a model and recordings of any length -> events.

T frames, F features, K classes.
"""

import contextlib
import dataclasses
import errno
import sys
import time
from pathlib import Path

from wsedtk.core.atomic import make_folder, write_text, writing
from wsedtk.core.config import suggest_fraction
from wsedtk.core.console import json_text
from wsedtk.core.errors import InputError
from wsedtk.core.progress import clock, progress_in_time, say
from wsedtk.data import class_lists, formats, score_folders, score_tables
from wsedtk.data.tables import normal, unfit
from wsedtk.inference import event_finding, network_runner, recordings, sliding_windows
from wsedtk.inference.sources import check_names, sources_of
from wsedtk.models import checkpoint
from wsedtk.report import recording_picture

NO_FILE_AT_ALL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # nor any other recording's file


class _Failed(Exception):
    """A recording that can't be used, or whose output can't be written, and why."""


def _threshold(text: str) -> event_finding.Threshold:
    """The Threshold of a text, `0.5` for all classes or `class=0.5`. Raises InputError."""
    label, equals, number = normal(text).rpartition("=")
    try:
        value = float(number)
        if value != value:
            raise ValueError
    except ValueError:
        message = f"--threshold {text!r}: expected a number, or CLASS=NUMBER"
        raise InputError(message + suggest_fraction(number)) from None
    return event_finding.Threshold(value, label if equals else None, text)


def read_point(model_dir, path, fingerprint, labels, thresholds, min_duration):
    """The operating point to detect with: the file's, else the model's own, with what the command line sets. Raises InputError."""
    path = path or Path(model_dir) / "operating_point.yaml"
    return event_finding.read_point(
        path,
        model_dir,
        fingerprint,
        labels,
        min_seconds=min_duration,
        thresholds=list(map(_threshold, thresholds)),
    )


@dataclasses.dataclass
class _Job:
    """What is done with each curve."""

    detector: sliding_windows.Detector
    finder: event_finding.EventFinder
    form: formats.EventFormat
    scores: Path | None
    plots: Path | None

    def __post_init__(self):
        if self.scores:
            score_folders.check_labels(self.scores, self.finder.labels)

    def decode(self, source, pieces, tell):
        """Read a curve to its end, keep it where that is wanted. Returns its events and seconds."""
        curve, spectrogram = recording_picture.Overview(), recording_picture.Overview()
        with self._table(source) as table:

            def watch(piece, scores):
                if table:
                    table.append(scores)
                if self.plots:
                    curve.add(scores)
                    spectrogram.add(piece.features)
                tell(piece.seconds)

            found, seconds = self.finder.find(_readable(pieces), watch)
            if table:
                table.finish(seconds)
        if self.plots:
            self._plot(source, seconds, curve, spectrogram, found)
        return found, seconds

    @contextlib.contextmanager
    def _table(self, source):
        if self.scores is None or unfit([source.name]) is not None:
            if self.scores is not None:
                say(
                    f"warning: detect: no table of scores of {source.name!r}: a clip's name can't "
                    "hold a tab or a line end; rename the recording"
                )
            yield None
            return
        with _of_one_recording(), writing(self.scores / f"{source.name}.tsv") as temporary:
            with open(temporary, "x", encoding="utf-8", newline="") as file:
                yield score_tables.TableWriter(
                    file, self.finder.labels, self.detector.seconds_per_frame
                )

    def _plot(self, source, seconds, curve, spectrogram, found):
        from wsedtk.report import plots  # slow to import

        labels = self.finder.labels
        events = [(event.onset, event.offset, labels.index(event.label)) for event in found]
        seconds_per_frame = self.detector.seconds_per_frame * curve.span
        track = plots.Track("", curve.values(), seconds_per_frame, self.finder.thresholds, events)
        features = plots.Spectrogram(
            spectrogram.values(), self.detector.seconds_per_feature * spectrogram.span
        )
        figure = plots.timelines(source.name, seconds, labels, [track], spectrogram=features)
        with _of_one_recording(), writing(self.plots / f"{source.name}.png") as temporary:
            temporary.write_bytes(plots.png(figure))

    def text(self, source, found):
        """The events as lines of the output."""
        channel = None if source.channel is None else source.channel + 1
        file_name = recordings.as_text(Path(source.path).name)
        high_hz = self.detector.frontend.config.max_hz
        recording = formats.Recording(source.name, file_name, channel, high_hz)
        return self.form.text(recording, found)


@contextlib.contextmanager
def _of_one_recording():
    """Have a file that can't be written fail its recording alone, where others can be written."""
    try:
        yield
    except InputError as error:
        if getattr(error.__cause__, "errno", None) in NO_FILE_AT_ALL:
            raise
        raise _Failed(str(error)) from None


def _readable(pieces):
    try:
        yield from pieces
    except InputError as error:
        raise _Failed(str(error)) from None


def _writer(stack, form, output, output_dir):
    """A function of (source, text) that writes what was found in a recording: a file of its own, one for all, or standard output."""
    if output_dir is not None:

        def write_one(source, text):
            with _of_one_recording():
                write_text(output_dir / f"{source.name}{form.suffix}", form.header + text)

        return write_one
    file = sys.stdout
    if output is not None:
        file = stack.enter_context(
            open(stack.enter_context(writing(output)), "w", encoding="utf-8", newline="")
        )
    file.write(form.header)

    is_json = output is None and form.is_json

    def write(_, text):
        file.write(json_text(text) if is_json else text)
        file.flush()

    return write


def _check_outputs(form, sources, output, output_dir, scores):
    """Raise InputError where the outputs can't hold what is to come."""
    if output is not None and output_dir is not None:
        raise InputError(
            "--output is one file for all recordings, --output-dir one for each; give one of them"
        )
    if output is not None and not str(output).endswith(form.suffix):
        raise InputError(f"--output {output}: must have a name that ends in {form.suffix}")
    if (
        output_dir is not None
        and scores is not None
        and Path(output_dir).resolve() == Path(scores).resolve()
    ):
        raise InputError(
            "--scores and --output-dir: the same folder; tables of scores and of events need one each"
        )
    if output_dir is None and len(sources) > 1 and not form.holds_several:
        raise InputError(
            "such a file is about one recording; with several, or channels, name a folder for them: --output-dir DIR"
        )


def _detect(job, sources, write, total):
    """Go through all sources. Returns why some failed, and how many events there are in how many seconds of the others."""
    failed, num_events, done = [], 0, 0.0
    with progress_in_time("detect", total) as tell:
        for source, pieces in job.detector.curves(sources):
            try:
                found, seconds = job.decode(source, pieces, lambda now: tell(done + now))
                write(source, job.text(source, found))
            except _Failed as error:
                failed.append(str(error))
                say(f"warning: detect: {source.name} failed: {error}")
                continue
            for remark in source.remarks:
                say(f"warning: {source.path}: {remark}")
            num_events, done = num_events + len(found), done + seconds
            tell(done)
    return failed, num_events, done


def run(
    model_dir,
    paths,
    output,
    output_dir,
    format_name,
    channels,
    thresholds,
    classes,
    min_duration,
    point_path,
    scores,
    plot,
    max_failures,
    precise,
    device,
):
    """Find the events of recordings. Those that can't be used are told; more than the fraction `max_failures` raise InputError.

    paths: files, folders and patterns; thresholds, classes: texts, see `_threshold` and
    `class_lists.choose`.
    """
    form = formats.event_format(format_name)
    spec, network, fingerprint = checkpoint.load_model(model_dir)
    names = class_lists.choose(classes, spec.labels, model_dir)
    point = read_point(model_dir, point_path, fingerprint, spec.labels, thresholds, min_duration)
    sources, total = sources_of(
        recordings.find(paths, not any((output_dir, scores, plot))), channels
    )
    _check_outputs(form, sources, output, output_dir, scores)
    used, failed = check_names(sources, any((output_dir, scores, plot)))
    for folder in filter(None, (output_dir, scores, plot)):
        make_folder(folder)
    if remark := event_finding.remark_on_rates(sources, spec.frontend_config().max_hz):
        say(f"warning: {remark}")
    runner = network_runner.Runner.of(
        network, spec.mean, spec.std, network_runner.pick_device(device), precise
    )
    detector = sliding_windows.Detector(spec, network, runner)
    finder = event_finding.EventFinder(point, names, detector.seconds_per_frame)
    job = _Job(detector, finder, form, scores, plot)
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        write = _writer(stack, form, output, output_dir)
        more, num_events, seconds = _detect(job, used, write, total)
        failed += more
    say(
        f"detect: recordings: {len(sources) - len(failed)}, audio: {clock(seconds)}, events: {num_events}; "
        f"x {seconds / (time.monotonic() - started):.0f} real time"
    )
    if len(failed) > max_failures * len(sources):
        raise InputError(
            f"{len(failed)} of {len(sources)} recordings failed, more than --max-failures {max_failures:g} allows; the first: "
            f"{failed[0]}"
        )
