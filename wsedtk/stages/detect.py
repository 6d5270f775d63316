"""detect: a model and recordings of any length -> events.

K is the number of classes.
"""

import contextlib
import dataclasses
import itertools
import logging
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wsedtk import __version__
from wsedtk.core import config
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.progress import clock, progress_in_time
from wsedtk.data import event_ledger, formats, score_folders
from wsedtk.data.event_ledger import Ledger
from wsedtk.data.events import Event
from wsedtk.decoding.operating_point import OperatingPoint
from wsedtk.inference import (
    detection_jobs,
    detection_setup,
    event_clips,
    event_finding,
    network_runner,
    recordings,
)
from wsedtk.inference.detection_jobs import Item, Outcomes, Show
from wsedtk.inference.event_outputs import EventOutputs, Write
from wsedtk.inference.recording_detection import Drawings, Failed, Outcome, RecordingDetection
from wsedtk.inference.sliding_windows import Source
from wsedtk.inference.sources import check_names, sources_of
from wsedtk.models.checkpoint import LoadedModel
from wsedtk.models.ready_directories import find_model_directory
from wsedtk.report.recording_pages import PageFolder
from wsedtk.report.recording_picture import PictureFolder
from wsedtk.stages.options.detection import DetectOptions

_LOG = logging.getLogger(__name__)


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


def _result(
    source: Source, outcome: Outcome, text: str = "", failure: str | None = None
) -> RecordingResult:
    """Return the result of a recording. `failure` replaces the failure of the outcome."""
    if failure is not None or outcome.failure is not None:
        return RecordingResult(
            Path(source.path), source.name, source.channel, failure=failure or outcome.failure
        )
    return RecordingResult(
        Path(source.path), source.name, source.channel, outcome.events, outcome.seconds, text
    )


def _outputs(options: DetectOptions) -> EventOutputs:
    def path(value: PathLike | None) -> Path | None:
        return None if value is None else Path(value)

    return EventOutputs(
        formats.event_format(options.format_name),
        path(options.output),
        path(options.output_dir),
        path(options.scores),
        path(options.plot),
        path(options.pages),
        path(options.clips),
        path(options.summary),
    )


class _Loaded(NamedTuple):
    """A model, and the thresholds and filters of its classes."""

    model: LoadedModel
    point: OperatingPoint
    work: RecordingDetection


def _load(options: DetectOptions) -> _Loaded:
    """Load the model, and read the chosen classes, the thresholds and the filters."""
    model, detector, finder = detection_setup.load(options)
    outputs, drawings = _outputs(options), list[Drawings]()
    if outputs.plot is not None:
        drawings.append(PictureFolder(outputs.plot, detector, finder.labels, finder.thresholds))
    if outputs.pages is not None:
        drawings.append(PageFolder(outputs.pages, detector, finder.labels, finder.thresholds))
    work = RecordingDetection(detector, finder, outputs.scores, drawings, outputs.ledger)
    return _Loaded(model, finder.point, work)


def _load_work(options: DetectOptions) -> RecordingDetection:
    return _load(options).work


def _settings(options: DetectOptions, loaded: _Loaded) -> dict[str, str]:
    """Return the settings that determine the events, by their names in messages."""
    point, work = dataclasses.asdict(loaded.point), loaded.work
    plain = {name: np.asarray(value).tolist() for name, value in point.items()}
    return {
        "version of wsedtk": __version__,
        "model": loaded.model.fingerprint,
        "thresholds and filters": config.fingerprint(plain),
        "classes": config.fingerprint(dict(work.finder.names)),
        "channels": options.channels,
        "seconds per frame": f"{work.detector.seconds_per_frame:g}",
        "precision": "float32" if options.precise else "bfloat16",
        "device": work.detector.runner.device.type,
    }


class _Run:
    """One run of `detect`: the model, the outputs, and the ledger of the finished recordings."""

    def __init__(self, options: DetectOptions, outputs: EventOutputs, loaded: _Loaded) -> None:
        self._options, self._outputs, self._loaded = options, outputs, loaded
        self._max_hz = loaded.work.detector.frontend.config.max_hz
        self.kept_seconds = 0.0  # the duration of the recordings that are not analysed again
        self._ledger: Ledger | None = None
        if loaded.work.ledger is not None:
            self._ledger = event_ledger.open_ledger(
                loaded.work.ledger, _settings(options, loaded), options.overwrite
            )

    def _kept_seconds(self, item: Item) -> float | None:
        """Return the duration of a recording that an earlier run has finished.

        None if there is no such recording, or if one of its files is missing.
        """
        seconds = None if self._ledger is None else self._ledger.seconds(item.key)
        if seconds is None or not self._loaded.work.has_files(item.source.name, seconds):
            return None
        return seconds

    def _kept(self, item: Item) -> Outcome:
        """Return the outcome of a recording that an earlier run has finished."""
        assert self._ledger is not None  # otherwise no recording is kept
        return Outcome(*self._ledger.entry(item.key))

    def results(
        self, sources: Sequence[Source], total: float | None
    ) -> Generator[RecordingResult, None, None]:
        """Write and yield the result of each source. The results of failed sources are not written.

        `total` is the total duration of the sources in seconds, or None if it is not known.
        """
        items, left = [], []
        for source in sources:
            item = Item(source, event_ledger.key_of(source.path, source.channel))
            items.append(item)
            seconds = self._kept_seconds(item)
            if seconds is None:
                left.append(item)
            else:
                self.kept_seconds += seconds
        if len(left) < len(items):
            _LOG.info(
                f"detect: {self._loaded.work.ledger}: {len(items) - len(left)} of {len(items)} "
                "recordings are kept from an earlier run"
            )
        is_left = {item.key for item in left}
        with (
            progress_in_time(
                "detect", None if total is None else total - self.kept_seconds
            ) as show,
            self._outputs.writing() as write,
            contextlib.closing(self._outcomes(left, show)) as outcomes,
        ):
            for item in items:
                outcome = next(outcomes) if item.key in is_left else self._kept(item)
                yield self._written(item.source, outcome, write)

    def _outcomes(self, items: Sequence[Item], show: Show) -> Outcomes:
        jobs = min(self._options.jobs, len(items))
        if jobs <= 1:
            return detection_jobs.in_this_process(self._loaded.work, items, show)
        options = self._options
        light = dataclasses.replace(
            options,
            audio=(),
            thresholds=tuple(options.thresholds),
            classes=tuple(options.classes),
        )
        pool = detection_jobs.Pool(jobs, _load_work, light, __name__)
        return detection_jobs.in_processes(pool, items, show)

    def _written(self, source: Source, outcome: Outcome, write: Write) -> RecordingResult:
        """Write the events of a recording, and return its result."""
        if outcome.failure is None:
            text = self._outputs.text(source, outcome, self._max_hz)
            result = _result(source, outcome, text)
            try:
                write(source.name, text)
            except Failed as error:
                result = _result(source, outcome, failure=str(error))
        else:
            result = _result(source, outcome)
        if result.failure is not None:
            _LOG.warning(f"detect: {source.name} failed: {result.failure}")
        else:
            for remark in outcome.remarks:
                _LOG.warning(f"{source.path}: {remark}")
        return result


@network_runner.gpu_memory()
def run(
    options: DetectOptions, *, on_recording: Callable[[RecordingResult], object] | None = None
) -> DetectResult:
    """Find the events of recordings of any length.

    Recordings that cannot be used are skipped and logged as warnings. If there is an output file or
    folder, finished recordings are listed in a ledger beside it. If the work is interrupted, the
    next call with the same options analyses only the other recordings. Its outputs are equal to
    those of an uninterrupted call.

    Parameters
    ----------
    options : DetectOptions
        The inputs, the outputs and the settings.
    on_recording : callable, optional
        Called with the result of each recording as soon as the recording is finished. It is also
        called for recordings that failed, and for recordings that an earlier call has finished.

    Returns
    -------
    DetectResult

    Raises
    ------
    InputError
        If an input is missing or wrong, if an output can't contain all events or can't be written,
        if the ledger was written with other settings, or if more recordings fail than
        `max_failures` allows.

    Examples
    --------
    >>> results = []
    >>> run(DetectOptions("exp/linear", ["recordings"]), on_recording=results.append)
    """
    outputs = _outputs(options)
    options = dataclasses.replace(options, model_dir=find_model_directory(options.model_dir))
    loaded = _load(options)
    detection_setup.log_thresholds(options, loaded.model, loaded.point)
    in_files = outputs.has_file_per_recording
    found = recordings.find(options.audio, not in_files)
    sources, total = sources_of(found, each_channel=options.channels == "each")
    outputs.check(sources, options.audio)
    used, clashes = check_names(sources, in_files=in_files)
    for source, message in clashes:
        _LOG.warning(f"detect: {source.name} failed: {message}")
    failed = [_result(source, Outcome(failure=message)) for source, message in clashes]
    outputs.make_folders()
    work = loaded.work
    if work.scores is not None:
        score_folders.check_labels(work.scores, work.finder.labels)
    if remark := event_finding.remark_on_rates(sources, work.detector.frontend.config.max_hz):
        _LOG.warning(remark)
    started = time.monotonic()
    num_events, seconds, failures = 0, 0.0, []
    analysed: list[event_clips.Found] = []
    with outputs.locked():
        detection = _Run(options, outputs, loaded)
        with contextlib.closing(detection.results(used, total)) as results:
            for result in itertools.chain(failed, results):
                num_events, seconds = num_events + len(result.events), seconds + result.seconds
                if result.failure is not None:
                    failures.append(result.failure)
                elif outputs.needs_all_events:
                    source = Source(result.path, result.name, result.channel)
                    analysed.append(event_clips.Found(source, result.events, result.seconds))
                if on_recording is not None:
                    on_recording(result)
        outputs.write_at_end(
            analysed, margin=options.clip_margin, most=options.max_clips, jobs=options.jobs
        )
        outputs.remove_left_over()
    num_recordings = len(sources) - len(failures)
    _LOG.info(
        f"detect: recordings: {num_recordings}, audio: {clock(seconds)}, events: {num_events}; "
        f"{(seconds - detection.kept_seconds) / (time.monotonic() - started):.0f} x real time"
    )
    if len(failures) > options.max_failures * len(sources):
        raise InputError(
            f"{len(failures)} of {len(sources)} recordings failed, more than the fraction "
            f"{options.max_failures:g} that max_failures (--max-failures) allows; the first "
            f"failure: {failures[0]}"
        )
    return DetectResult(num_recordings, num_events, seconds, tuple(failures))
