"""detect: a model and recordings of any length -> events.

K is the number of classes.
"""

import contextlib
import dataclasses
import errno
import itertools
import logging
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from wsedtk.core.atomic import make_folder, write_text, writing
from wsedtk.core.config import suggest_fraction
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.progress import clock, progress_in_time
from wsedtk.core.types import Floats
from wsedtk.data import class_lists, formats, ontologies, score_folders, score_tables
from wsedtk.data.events import Event
from wsedtk.data.folders import as_text
from wsedtk.data.tables import normal, unfit
from wsedtk.decoding.operating_point import OperatingPoint
from wsedtk.inference import event_finding, loading, network_runner, recordings
from wsedtk.inference.event_finding import EventFinder, Threshold
from wsedtk.inference.sliding_windows import Detector, Piece, Source
from wsedtk.inference.sources import check_names, sources_of
from wsedtk.models.ready_directories import READY_MODEL, find_model_directory
from wsedtk.report.recording_picture import RecordingPicture
from wsedtk.stages.options.results import DetectOptions

_LOG = logging.getLogger(__name__)


# After one of these errors, no other file can be written to the same file system either.
_NO_FILE_AT_ALL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclasses.dataclass(frozen=True)
class RecordingResult:
    """The events of one recording, or of one of its channels.

    Attributes
    ----------
    path : Path
        The sound file.
    name : str
        The name of the recording in outputs.
    channel : int or None
        The channel, counted from 0. None for the mean of all channels.
    events : tuple of Event
        The events, ordered by onset.
    seconds : float
        The duration of the recording in seconds. 0 if the recording failed.
    text : str
        The events in the output format, without the header.
    failure : str or None
        The reason why the recording failed. None if it did not fail. A failed recording has no
        events.
    """

    path: Path
    name: str
    channel: int | None
    events: tuple[Event, ...] = ()
    seconds: float = 0.0
    text: str = ""
    failure: str | None = None


@dataclasses.dataclass(frozen=True)
class DetectResult:
    """The result of `run`: the totals over all recordings.

    Attributes
    ----------
    num_recordings, num_events : int
        The number of recordings (or channels) that did not fail, and the number of their events.
    seconds : float
        The total duration of these recordings in seconds.
    failures : tuple of str
        For each recording that failed, the reason why it failed.
    """

    num_recordings: int
    num_events: int
    seconds: float
    failures: tuple[str, ...]


class _Failed(Exception):
    """A recording can't be used, or its output can't be written. The message gives the reason."""


def _threshold(text: str) -> Threshold:
    """Parse a threshold: "0.5" for all classes, or "NAME=0.5" for the class NAME.

    Raises InputError if the text is not a threshold.
    """
    label, equals, number = normal(text).rpartition("=")
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if np.isnan(value):
        message = f"--threshold {text!r}: expected a number, or CLASS=NUMBER"
        raise InputError(message + suggest_fraction(number))
    return Threshold(value, label if equals else None, text)


def read_point(options: DetectOptions, fingerprint: str, labels: Sequence[str]) -> OperatingPoint:
    """Read the operating point, and apply the changes that the options specify.

    Parameters
    ----------
    options : DetectOptions
    fingerprint : str
        The fingerprint of the model.
    labels : sequence of str
        The K classes of the model.

    Raises
    ------
    InputError
        If the operating point is wrong or belongs to another model, if it is missing and no
        threshold for all classes is given, if a threshold is wrong, or if no class has a threshold
        that a score can reach.
    """
    return event_finding.read_point(
        options.operating_point or Path(options.model_dir) / "operating_point.yaml",
        options.model_dir,
        fingerprint,
        labels,
        min_seconds=options.min_duration,
        thresholds=[_threshold(text) for text in options.thresholds],
    )


@dataclasses.dataclass(frozen=True)
class _Job:
    """The detector, and the settings that apply to every recording."""

    detector: Detector
    finder: EventFinder
    form: formats.EventFormat
    scores: Path | None
    plots: Path | None

    def result(
        self, source: Source, pieces: Iterable[Piece], show: Callable[[float], None]
    ) -> RecordingResult:
        """Find the events of a source. `pieces` contains its score curve.

        A table and a picture of the scores are also written, if the options name folders for them.
        `show` is called repeatedly with the number of seconds of the source that have been
        processed.
        """
        labels, thresholds = self.finder.labels, self.finder.thresholds
        picture = None
        if self.plots is not None:
            picture = RecordingPicture(self.detector, labels, thresholds)
        with self._table(source) as table:

            def watch(piece: Piece, scores: Floats) -> None:
                if table is not None:
                    table.append(scores)
                if picture is not None:
                    picture.add(scores, piece.features)
                show(piece.seconds)

            found, seconds = self.finder.find(_readable(pieces), watch)
            if table is not None:
                table.finish(seconds)
        if self.plots is not None and picture is not None:
            content = picture.png(source.name, seconds, found)
            with _of_one_recording(), writing(self.plots / f"{source.name}.png") as temporary:
                temporary.write_bytes(content)
        return dataclasses.replace(
            _empty_result(source),
            events=tuple(found),
            seconds=seconds,
            text=self._text(source, found, seconds),
        )

    @contextlib.contextmanager
    def _table(self, source: Source) -> Iterator[score_tables.TableWriter | None]:
        """Yield the writer of the score table of a recording, or None if no table is written."""
        if self.scores is None:
            yield None
            return
        if unfit([source.name]) is not None:
            _LOG.warning(
                f"detect: no table of scores is written for {source.name!r}, because its name "
                "contains a tab or a line end; rename the recording"
            )
            yield None
            return
        with _of_one_recording(), writing(self.scores / f"{source.name}.tsv") as temporary:
            with open(temporary, "x", encoding="utf-8", newline="") as file:
                yield score_tables.TableWriter(
                    file, self.finder.labels, self.detector.seconds_per_frame
                )

    def _text(self, source: Source, found: Sequence[Event], seconds: float) -> str:
        """Return the events in the format of the output."""
        channel = None if source.channel is None else source.channel + 1
        file_name = as_text(Path(source.path).name)
        high_hz = self.detector.frontend.config.max_hz
        recording = formats.Recording(source.name, file_name, channel, high_hz, seconds)
        return self.form.text(recording, found)


def _empty_result(source: Source, failure: str | None = None) -> RecordingResult:
    return RecordingResult(Path(source.path), source.name, source.channel, failure=failure)


@contextlib.contextmanager
def _of_one_recording() -> Iterator[None]:
    """Convert an InputError in the block to _Failed, so that only the current recording fails.

    The InputError is not converted if the error number of its cause is in `_NO_FILE_AT_ALL`.
    """
    try:
        yield
    except InputError as error:
        if getattr(error.__cause__, "errno", None) in _NO_FILE_AT_ALL:
            raise
        raise _Failed(str(error)) from None


def _readable(pieces: Iterable[Piece]) -> Iterator[Piece]:
    try:
        yield from pieces
    except InputError as error:
        raise _Failed(str(error)) from None


Write = Callable[[RecordingResult], None]


@contextlib.contextmanager
def _writing(form: formats.EventFormat, options: DetectOptions) -> Iterator[Write]:
    """Yield a function that writes the events of a recording to the output file or folder.

    The function does nothing if the options name no output file or folder.
    """
    if options.output_dir is not None:
        folder = Path(options.output_dir)

        def write_one(result: RecordingResult) -> None:
            with _of_one_recording():
                write_text(folder / f"{result.name}{form.suffix}", form.header + result.text)

        yield write_one
    elif options.output is not None:
        with (
            writing(options.output) as temporary,
            open(temporary, "w", encoding="utf-8", newline="") as file,
        ):
            file.write(form.header)

            def write(result: RecordingResult) -> None:
                file.write(result.text)
                file.flush()

            yield write
    else:
        yield lambda result: None


def _is_same(path: PathLike, other: PathLike) -> bool:
    return os.path.realpath(path) == os.path.realpath(other)


def _check_outputs(
    form: formats.EventFormat, sources: Sequence[Source], options: DetectOptions
) -> None:
    """Check the outputs.

    Raises InputError if outputs conflict, if the name of the output file is wrong, if the file
    can't contain all events, or if an output would replace a recording.
    """
    output, output_dir, scores = options.output, options.output_dir, options.scores
    if output is not None and output_dir is not None:
        raise InputError(
            "output (--output) is one file for all recordings, and output_dir (--output-dir) is a "
            "folder with one file for each recording; give only one of these options"
        )
    if output is not None and not str(output).endswith(form.suffix):
        raise InputError(
            f"output: found {str(output)!r}; expected a name that ends in {form.suffix}"
        )
    if output_dir is not None and scores is not None and _is_same(output_dir, scores):
        raise InputError(
            "scores (--scores) and output_dir (--output-dir): found the same folder; expected two "
            "folders, one for tables of scores and one for tables of events"
        )
    if output_dir is None and len(sources) > 1 and not form.holds_several:
        raise InputError(
            f"format {options.format_name!r}: a file can contain the events of only one recording; "
            "for several recordings or channels, choose a folder with output_dir (--output-dir)"
        )
    _check_recordings_stay(form, sources, options)


def _check_recordings_stay(
    form: formats.EventFormat, sources: Sequence[Source], options: DetectOptions
) -> None:
    """Raise InputError if an output would replace one of the recordings."""
    outputs = [] if options.output is None else [Path(options.output)]
    folders = ((options.output_dir, form.suffix), (options.scores, ".tsv"), (options.plot, ".png"))
    for folder, suffix in folders:
        if folder is not None:
            outputs += [Path(folder, f"{one.name}{suffix}") for one in sources]
    # Before Python 3.13, `Path.resolve` raises an error for a link that points to itself.
    written = set(map(os.path.realpath, outputs))
    for one in sources if written else ():
        if os.path.realpath(one.path) in written:
            raise InputError(
                f"{one.path}: is a recording, but an output would replace this file; choose "
                "another output"
            )


def _results(
    job: _Job, sources: Sequence[Source], write: Write, total: float | None
) -> Generator[RecordingResult, None, None]:
    """Write and yield the result of each source. The results of failed sources are not written.

    `total` is the total duration of the sources in seconds, or None if it is not known.
    """
    done = 0.0
    with progress_in_time("detect", total) as show:
        for source, pieces in job.detector.curves(sources):
            try:
                result = job.result(source, pieces, lambda seconds: show(done + seconds))
                write(result)
            except _Failed as error:
                _LOG.warning(f"detect: {source.name} failed: {error}")
                yield _empty_result(source, str(error))
                continue
            for remark in source.remarks:
                _LOG.warning(f"{source.path}: {remark}")
            done += result.seconds
            show(done)
            yield result


def _prepare(options: DetectOptions, form: formats.EventFormat) -> _Job:
    """Load the model, and read the chosen classes, the thresholds and the filters."""
    model = loading.read_model(options.model_dir, options.seconds_per_frame)
    spec = model.spec
    below = ontologies.descendants_in(options.model_dir) if options.classes else {}
    names = class_lists.choose(options.classes, spec.labels, options.model_dir, below)
    point = read_point(options, model.fingerprint, spec.labels)
    if READY_MODEL in spec.trained and point.tuned is None and not options.thresholds:
        _LOG.info(
            f"{spec.trained[READY_MODEL]}: {point.tuned_on}; to adapt the thresholds to your "
            "recordings, use --threshold or wsedtk tune"
        )
    device = network_runner.pick_device(options.device)
    detector = Detector(spec, loading.make_runner(model, device, options.precise))
    return _Job(
        detector,
        EventFinder(point, names, detector.seconds_per_frame),
        form,
        scores=None if options.scores is None else Path(options.scores),
        plots=None if options.plot is None else Path(options.plot),
    )


@network_runner.gpu_memory()
def run(
    options: DetectOptions, *, on_recording: Callable[[RecordingResult], object] | None = None
) -> DetectResult:
    """Find the events of recordings of any length.

    Recordings that cannot be used are skipped and logged as warnings.

    Parameters
    ----------
    options : DetectOptions
        The inputs, the outputs and the settings.
    on_recording : callable, optional
        Called with the result of each recording as soon as the recording is finished. It is also
        called for recordings that failed.

    Returns
    -------
    DetectResult

    Raises
    ------
    InputError
        If an input is missing or wrong, if an output can't contain all events or can't be written,
        or if more recordings fail than `max_failures` allows.

    Examples
    --------
    >>> results = []
    >>> run(DetectOptions("exp/linear", ["recordings"]), on_recording=results.append)
    """
    form = formats.event_format(options.format_name)
    options = dataclasses.replace(options, model_dir=find_model_directory(options.model_dir))
    job = _prepare(options, form)
    in_files = options.has_file_per_recording
    found = recordings.find(options.audio, not in_files)
    sources, total = sources_of(found, each_channel=options.channels == "each")
    _check_outputs(form, sources, options)
    used, clashes = check_names(sources, in_files=in_files)
    for source, message in clashes:
        _LOG.warning(f"detect: {source.name} failed: {message}")
    failed = [_empty_result(source, message) for source, message in clashes]
    for folder in (options.output_dir, options.scores, options.plot):
        if folder is not None:
            make_folder(folder)
    if job.scores is not None:
        score_folders.check_labels(job.scores, job.finder.labels)
    if remark := event_finding.remark_on_rates(sources, job.detector.frontend.config.max_hz):
        _LOG.warning(remark)
    started = time.monotonic()
    num_events, seconds, failures = 0, 0.0, []
    with (
        _writing(form, options) as write,
        contextlib.closing(_results(job, used, write, total)) as results,
    ):
        for result in itertools.chain(failed, results):
            num_events, seconds = num_events + len(result.events), seconds + result.seconds
            if result.failure is not None:
                failures.append(result.failure)
            if on_recording is not None:
                on_recording(result)
    num_recordings = len(sources) - len(failures)
    _LOG.info(
        f"detect: recordings: {num_recordings}, audio: {clock(seconds)}, events: {num_events}; "
        f"{seconds / (time.monotonic() - started):.0f} x real time"
    )
    if len(failures) > options.max_failures * len(sources):
        raise InputError(
            f"{len(failures)} of {len(sources)} recordings failed, more than the fraction "
            f"{options.max_failures:g} that max_failures (--max-failures) allows; the first "
            f"failure: {failures[0]}"
        )
    return DetectResult(num_recordings, num_events, seconds, tuple(failures))
