"""stream: a model and sound that arrives continuously -> events as soon as they end."""

import contextlib
import dataclasses
import datetime
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from wsedtk.audio.channel_mean import CancellationMeter, check_samples, mean_of_channels
from wsedtk.audio.live_clock import LiveClock
from wsedtk.audio.live_sources import LiveBlock, LiveSource, Microphone, StandardInput
from wsedtk.audio.pcm import PcmFormat
from wsedtk.core.errors import InputError, NotFinished
from wsedtk.core.progress import clock
from wsedtk.core.signals import StopSignals, unhandled
from wsedtk.core.types import Floats
from wsedtk.core.wording import counted
from wsedtk.data import formats
from wsedtk.data.events import Event
from wsedtk.data.formats import EventFormat, Recording
from wsedtk.inference import detection_setup, event_finding, network_runner
from wsedtk.inference.detection_setup import Setup
from wsedtk.inference.live_detection import LiveDetection
from wsedtk.inference.sliding_windows import Source
from wsedtk.models.ready_directories import find_model_directory
from wsedtk.stages.options.detection import StreamOptions

_LOG = logging.getLogger(__name__)
_PACE_SECONDS = 60.0  # sound after which the speed of the model is measured
_CANCELLATION_SECONDS = 60.0  # sound after which channels that cancel each other are reported


@dataclasses.dataclass(frozen=True)
class StreamedEvent:
    """An event in a stream.

    Attributes
    ----------
    event : Event
        The event. Its times are in seconds since the start of the stream.
    start : datetime or None
        The clock time at which the stream began, in local time. None if the sound is read from a
        file.
    text : str
        The event in the output format, without the header.
    """

    event: Event
    start: datetime.datetime | None
    text: str


@dataclasses.dataclass(frozen=True)
class StreamResult:
    """The result of `run`.

    Attributes
    ----------
    num_events : int
        The number of events.
    seconds : float
        The duration of the sound in seconds.
    stopped_by : str or None
        The name of the signal that ended the stream. None if the sound ended.
    """

    num_events: int
    seconds: float
    stopped_by: str | None


class _Pace:
    """Warn once if the model needs more time than the sound lasts."""

    def __init__(self) -> None:
        self._busy, self._has_warned = 0.0, False

    @contextlib.contextmanager
    def measured(self, seconds: float) -> Iterator[None]:
        """Measure the time of the block. `seconds` is the duration of the sound before it."""
        started = time.monotonic()
        yield
        self._busy += time.monotonic() - started
        if not self._has_warned and seconds >= _PACE_SECONDS and self._busy > seconds:
            self._has_warned = True
            _LOG.warning(
                f"stream: the model needs {self._busy / seconds:.1f} s for each second of sound; "
                "events come later and later, or sound is lost; use a smaller model, --fast, or a "
                "GPU with --device"
            )


class _Stream:
    """A live source, and the detection of its events.

    Parameters
    ----------
    source : LiveSource
        The source.
    form : EventFormat
        The format of the events.
    setup : Setup
        The model, the thresholds and the filters.
    on_event : callable or None
        Called with each `StreamedEvent`.
    """

    def __init__(
        self,
        source: LiveSource,
        form: EventFormat,
        setup: Setup,
        on_event: Callable[[StreamedEvent], object] | None,
    ) -> None:
        self._source, self._form, self._setup, self._on_event = source, form, setup, on_event
        self._max_hz = setup.detector.frontend.config.max_hz
        self._live: LiveDetection | None = None
        self._clock = LiveClock()
        self._meter: CancellationMeter | None = None
        self._pace = _Pace()
        self.num_events = 0

    @property
    def seconds(self) -> float:
        """The duration of the sound so far."""
        return 0.0 if self._live is None else self._live.seconds

    def add(self, block: LiveBlock) -> None:
        """Add the next block of the source, and report the events that have ended."""
        found = self._source.format
        assert found is not None  # the source has given samples
        if self._live is None:
            self._live = self._begin(found)
        mono = mean_of_channels(block.samples)
        if not found.is_bounded:
            check_samples(block.samples, mono, self._source.title)
        self._clock.add(self._live.seconds + len(mono) / found.sample_rate, block.arrived)
        self._check_mean(block, mono)
        with self._pace.measured(self._live.seconds):
            events = self._live.push(mono)
        self._report(events)

    def finish(self) -> None:
        """Report the events up to the end of the sound."""
        self._end_of_meter()
        if self._live is not None:
            self._report(self._live.finish())

    def _begin(self, found: PcmFormat) -> LiveDetection:
        source, rate = self._source, found.sample_rate
        about = Source(source.title, source.name, sample_rate=rate)
        if remark := event_finding.remark_on_rates([about], self._max_hz):
            _LOG.warning(remark)
        if found.num_channels > 1:
            self._meter = CancellationMeter(found.num_channels)
        live = LiveDetection(self._setup.detector, self._setup.finder, rate)
        _LOG.info(
            f"stream: {source.title}: {rate} Hz, {counted(found.num_channels, 'channel')}; an "
            f"event is found at most {live.latency_seconds:.1f} s after its end"
        )
        return live

    def _check_mean(self, block: LiveBlock, mono: Floats) -> None:
        if self._meter is not None:
            self._meter.add(block.samples, mono)
            if self.seconds >= _CANCELLATION_SECONDS:
                self._end_of_meter()

    def _end_of_meter(self) -> None:
        if self._meter is not None and (remark := self._meter.remark()):
            _LOG.warning(f"{self._source.title}: {remark}")
        self._meter = None

    def _report(self, events: Sequence[Event]) -> None:
        for event in events:
            self.num_events += 1
            start = self._clock.start if self._source.is_live else None
            name = self._source.name
            about = Recording(name, name, None, self._max_hz, self.seconds, start)
            streamed = StreamedEvent(event, start, self._form.text(about, [event]))
            if self._on_event is not None:
                self._on_event(streamed)


def _source(options: StreamOptions, standard_input: BinaryIO | None) -> LiveSource:
    if options.microphone is not None:
        return Microphone(options.microphone)
    raw = None
    if options.raw_rate is not None:
        raw = PcmFormat(options.raw_rate, options.raw_channels, options.raw_format)
    return StandardInput(standard_input or sys.stdin.buffer, raw)


def _event_format(name: str) -> EventFormat:
    form = formats.event_format(name)
    if not form.by_event:
        raise InputError(
            f"format (--format): the events of a file in the format {name!r} can't be written one "
            "by one, as --stream needs; expected jsonl, csv, tsv or audacity"
        )
    return form


@network_runner.gpu_memory()
def run(
    options: StreamOptions,
    *,
    on_begin: Callable[[], object] | None = None,
    on_event: Callable[[StreamedEvent], object] | None = None,
    stop_signals: StopSignals = unhandled,
    standard_input: BinaryIO | None = None,
) -> StreamResult:
    """Find the events in sound that arrives continuously, in constant memory.

    The events are those of `detect` with a recording of the same sound. Their scores can differ in
    the last digits.

    Parameters
    ----------
    options : StreamOptions
        The source and the settings.
    on_begin : callable, optional
        Called once, when the model has been loaded and no input is wrong so far.
    on_event : callable, optional
        Called with each event as soon as it has ended.
    stop_signals : callable, optional
        Returns a context manager that yields a list. When the name of a signal, such as "SIGTERM",
        is appended to the list, the stream ends as if the sound had ended. By default, no signal is
        handled.
    standard_input : BinaryIO, optional
        The stream to read if there is no microphone. By default, `sys.stdin.buffer`.

    Returns
    -------
    StreamResult

    Raises
    ------
    InputError
        If an input is missing or wrong, if the sound can't be read, or if there is no sound.
    NotFinished
        If a signal ended the stream, but the sound is read from a file.

    Examples
    --------
    >>> run(StreamOptions("exp/linear", microphone="default"), on_event=print)
    """
    form = _event_format(options.format_name)
    options = dataclasses.replace(options, model_dir=find_model_directory(options.model_dir))
    with _source(options, standard_input) as source:
        setup = detection_setup.load(options)
        detection_setup.log_thresholds(options, setup.model, setup.finder.point)
        stream = _Stream(source, form, setup, on_event)
        if on_begin is not None:
            on_begin()
        with stop_signals() as stopped:
            try:
                with contextlib.closing(source.blocks(stopped)) as blocks:
                    for block in blocks:
                        stream.add(block)
            except InputError:
                stream.finish()
                raise
            stopped_by = stopped[0] if stopped else None
            if stream.seconds == 0 and stopped_by is None:
                raise InputError(f"{source.title}: contains no samples")
            stream.finish()
    ending = "" if stopped_by is None else f", stopped by {stopped_by}"
    _LOG.info(f"stream: audio: {clock(stream.seconds)}, events: {stream.num_events}{ending}")
    if stopped_by is not None and not source.is_live:
        raise NotFinished(f"stream: stopped by {stopped_by} before the end of the file")
    return StreamResult(stream.num_events, stream.seconds, stopped_by)
