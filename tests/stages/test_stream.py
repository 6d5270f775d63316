"""`detect --stream` and `--microphone`: sound that arrives continuously."""

import contextlib
import csv
import datetime
import io
import json
import os
import re
import signal
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from helpers import LABELS, make_point, write_model
from sounds import encode, le, put

import wsedtk
from wsedtk.audio import live_sources
from wsedtk.audio.live_clock import LiveClock
from wsedtk.cli import main as cli
from wsedtk.core.errors import InputError, NotFinished
from wsedtk.decoding import operating_point
from wsedtk.inference.model import load_model
from wsedtk.stages import stream
from wsedtk.stages.options.detection import StreamOptions

RATE = 16000
RECORDING = Path(wsedtk.__file__).parent.parent / "recipes/example/recording.ogg"


def tones(seconds, channels=1):
    """Return samples (S, C) of tones at several times, in noise, as 16-bit numbers."""
    rng, time = np.random.default_rng(0), np.arange(round(seconds * RATE)) / RATE
    samples = rng.normal(0, 0.02, (len(time), channels))
    for frequency, period in ((300, 1.7), (3000, 2.3)):
        samples += 0.3 * (np.sin(2 * np.pi * frequency * time) * (time % period < 0.9))[:, None]
    return np.round(samples * 32768) / 32768


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model whose windows have 1 s, and whose scores cross the thresholds often."""
    folder = write_model(tmp_path_factory.mktemp("stream") / "m")
    limits = np.median(load_model(folder, "cpu").predict(tones(10), RATE).frame, axis=0)
    fingerprint = operating_point.read(folder / "operating_point.yaml").model
    point = make_point(labels=LABELS, model=fingerprint, frame_thresholds=limits + 1e-3)
    operating_point.write(folder / "operating_point.yaml", point)
    return folder


def command(model, *arguments, sound=b""):
    """Run `wsedtk detect MODEL ARGUMENT...` in this process, with bytes on standard input."""
    words = ["detect", str(model), "--device", "cpu", *map(str, arguments)]
    result = CliRunner().invoke(cli.cli, words, input=sound)
    if isinstance(result.exception, InputError):
        return 1, result.stdout, str(result.exception)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def rows(text):
    """Return the rows of JSON lines, ordered by onset."""
    found = [json.loads(line) for line in text.splitlines()]
    keys = ("onset", "offset", "event_label", "score")
    return sorted(tuple(one[key] for key in keys) for one in found)


def expected_rows(model, samples, rate=RATE):
    found = load_model(model, "cpu").detect(samples, rate)
    return sorted((e.onset, e.offset, e.label, round(e.score, 4)) for e in found)


# --- the command line ---


@pytest.mark.parametrize("channels, subtype", [(1, "PCM_16"), (2, "FLOAT")])
def test_the_events_are_those_of_the_file(model, tmp_path, channels, subtype):
    samples = tones(5, channels)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype=subtype)
    status, whole, _ = command(model, tmp_path / "a.wav", "--format", "jsonl")
    assert status == 0 and len(rows(whole)) > 3
    status, found, said = command(model, "--stream", sound=(tmp_path / "a.wav").read_bytes())
    assert (status, rows(found)) == (0, rows(whole))
    assert all(json.loads(line)["filename"] == "stdin" for line in found.splitlines())
    assert f"stream: standard input: 16000 Hz, {channels} channel" in said
    assert "an event is found at most 1.1 s after its end" in said
    assert f"stream: audio: 0:00:05, events: {len(rows(whole))}\n" in said
    assert command(model, "--stream", "--quiet", sound=encode(samples, "WAV", subtype))[2] == ""


@pytest.mark.parametrize("form, dtype, scale", [("s16", "<i2", 2**15), ("s32", "<i4", 2**31), ("f32", "<f4", 1)])  # fmt: skip
def test_raw_samples(model, form, dtype, scale):
    samples = tones(4, channels=2)
    words = ("--stream", "--raw-rate", RATE, "--raw-channels", 2, "--raw-format", form)
    status, found, _ = command(model, *words, sound=(samples * scale).astype(dtype).tobytes())
    assert status == 0 and rows(found) == expected_rows(model, samples)


def test_formats(model):
    sound = encode(tones(4), "WAV", "PCM_16")
    lines = {}
    for name in ("jsonl", "csv", "tsv", "audacity"):
        status, text, _ = command(model, "--stream", "--format", name, sound=sound)
        assert status == 0
        lines[name] = text.splitlines()
    count = len(lines["jsonl"])
    assert count > 3 and [len(one) for one in lines.values()] == [
        count,
        count + 1,
        count + 1,
        count,
    ]
    assert lines["csv"][0].startswith("filename,onset,offset,") and lines["csv"][1].endswith(",,")
    assert lines["tsv"][0] == "filename\tonset\toffset\tevent_label"
    silence = encode(np.zeros(RATE), "WAV", "PCM_16")
    status, text, _ = command(model, "--stream", "--format", "tsv", "--threshold", 1, sound=silence)
    assert (status, text) == (0, "filename\tonset\toffset\tevent_label\n")


def test_the_example(tmp_path):
    """The model that is part of wsedtk finds the same events in its recording, in 44.1 kHz too."""
    samples, rate = soundfile.read(RECORDING)
    soundfile.write(tmp_path / "a.wav", np.repeat(samples, 3), 3 * rate, subtype="PCM_16")
    expected = rows(command("example", tmp_path / "a.wav", "--format", "jsonl")[1])
    status, found, said = command("example", "--stream", sound=(tmp_path / "a.wav").read_bytes())
    assert (status, rows(found)) == (0, expected) and len(expected) > 3
    assert "an event is found at most 10.2 s after its end" in said
    status, _, said = command("example", "--stream", sound=RECORDING.read_bytes())
    assert status == 1 and "standard input: is Ogg, expected WAV; convert it first: ... | " in said


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "Missing argument 'AUDIO...'"),
        (["--stream", "a.wav"], "AUDIO... can't be combined with --stream or --microphone"),
        (["--stream", "--output", "a.tsv"], "--output can't be combined with --stream"),
        (["--microphone", "1", "--jobs", "1"], "--jobs can't be combined"),
        (["--stream", "--channels", "each"], "--channels can't be combined"),
        (["a.wav", "--raw-rate", "8000"], "--raw-rate needs --stream"),
        (["--stream", "--raw-channels", "2"], "--raw-channels needs --stream and --raw-rate"),
        (["--microphone", "1", "--raw-rate", "8000"], "--raw-rate needs --stream and --raw-rate"),
        (["--stream", "--raw-rate", "7"], "7 is not in the range 100<=x<=1000000"),
    ],
)
def test_wrong_use(model, arguments, message):
    status, printed, said = command(model, *arguments)
    assert (status, printed) == (2, "") and message in " ".join(said.split())


@pytest.mark.parametrize(
    "arguments, sound, message",
    [
        ([], b"", "standard input: contains no samples"),
        ([], b"garbage that is no sound", "expected WAV, found the bytes 67 61 72"),
        ([], encode(np.full(RATE, np.nan), "WAV", "FLOAT"), "contains samples that are not finite"),
        (
            ["--format", "raven"],
            b"",
            "'raven' can't be written one by one, .* expected jsonl, csv, tsv or audacity",
        ),
        (["--threshold", "Cow=1"], b"", "the model has no class 'Cow'"),
    ],
)
def test_wrong_input(model, arguments, sound, message):
    status, printed, said = command(model, "--stream", *arguments, sound=sound)
    assert (status, printed) == (1, "")
    assert re.search(message, said), said


def test_events_before_an_error_are_printed(model):
    sound = encode(np.concatenate([tones(3)[:, 0], [np.inf] * 9]), "WAV", "FLOAT")
    chunks = Chunks([sound[: 3 * 4 * RATE], sound[3 * 4 * RATE :]])
    found = []
    with pytest.raises(InputError, match="not finite"):
        stream.run(StreamOptions(model), on_event=found.append, standard_input=chunks)
    whole = tones(3)[: (3 * 4 * RATE - len(sound) + (3 * RATE + 9) * 4) // 4]
    assert sorted((e.event.onset, e.event.offset) for e in found) == [
        row[:2] for row in expected_rows(model, whole)
    ]


class Chunks(io.RawIOBase):
    """A stream whose `read` gives one of the given chunks at a time."""

    def __init__(self, chunks):
        self._chunks = iter(chunks)

    def read(self, size=-1):
        return next(self._chunks, b"")


def test_remarks_on_the_sound(model):
    samples = tones(2)
    _, _, said = command(model, "--stream", sound=encode(np.hstack([samples, -samples])))
    assert "warning: standard input: has channels that cancel each other" in said
    _, _, said = command(model, "--stream", sound=encode(samples, rate=8000))
    assert "warning: standard input: the sample rate is 8000 Hz" in said


def test_a_slow_model_is_reported_once(model, monkeypatch, printed_messages, capsys):
    ticks = iter(range(10**6))
    monkeypatch.setattr(stream, "time", types.SimpleNamespace(monotonic=lambda: next(ticks)))
    monkeypatch.setattr(stream, "_PACE_SECONDS", 1.0)
    sound = encode(tones(4), "WAV", "PCM_16")
    chunks = [sound[i : i + 3200] for i in range(0, len(sound), 3200)]
    stream.run(StreamOptions(model), standard_input=Chunks(chunks))
    said = capsys.readouterr().err
    assert said.count("for each second of sound") == 1 and "the model needs 1" in said


# --- the end of a stream ---


@contextlib.contextmanager
def list_of(stopped):
    yield stopped


def stopped_run(model, source, **changes):
    """Return the result of a stream that is stopped by its first event, and its events."""
    stopped, found = [], []

    def stop(event):
        found.append(event)
        stopped.append("SIGTERM")

    options = StreamOptions(model, device="cpu", **changes)
    result = stream.run(
        options, on_event=stop, stop_signals=lambda: list_of(stopped), standard_input=source
    )
    return result, found


def piped(sound):
    """Return a pipe that contains sound. It stays open for writing."""
    read, write = os.pipe()
    assert len(sound) <= 65536 and os.write(write, sound) == len(sound)
    return os.fdopen(read, "rb", buffering=0), write


def test_a_signal_ends_a_pipe_like_its_end(model):
    """Events come while the pipe is open, and carry clock times."""
    samples = tones(2)
    begun = datetime.datetime.now().astimezone()
    source, write = piped(encode(samples, "WAV", "PCM_16"))
    with source, os.fdopen(write, "wb"):
        result, found = stopped_run(model, source)
    ended = datetime.datetime.now().astimezone()
    assert result.stopped_by == "SIGTERM" and result.num_events == len(found) > 1
    assert rows("".join(one.text for one in found)) == expected_rows(
        model, samples[: round(result.seconds * RATE)]
    )
    for one in found:
        fields = json.loads(one.text)
        assert datetime.datetime.fromisoformat(fields["onset_time"]).utcoffset() is not None
        start, stop = (
            datetime.datetime.fromisoformat(fields[key]) for key in ("onset_time", "offset_time")
        )
        seconds = (stop - start).total_seconds()
        assert seconds == pytest.approx(one.event.offset - one.event.onset, abs=0.002)
        assert begun <= one.start + datetime.timedelta(seconds=result.seconds) <= ended


def test_a_signal_leaves_a_file_unfinished(model, tmp_path):
    soundfile.write(tmp_path / "a.wav", tones(3), RATE)
    with open(tmp_path / "a.wav", "rb") as source:
        with pytest.raises(NotFinished, match="stopped by SIGTERM before the end of the file"):
            stopped_run(model, source)


def test_a_signal_before_any_sound(model):
    source, write = piped(b"")
    with source, os.fdopen(write, "wb"):
        options = StreamOptions(model)
        result = stream.run(
            options, stop_signals=lambda: list_of(["SIGINT"]), standard_input=source
        )
    assert result == stream.StreamResult(0, 0.0, "SIGINT")


def test_clock_times_in_a_table(model):
    source, write = piped(encode(tones(2), "WAV", "PCM_16"))
    os.close(write)
    texts = []
    with source:
        options = StreamOptions(model, format_name="csv")
        stream.run(options, on_event=lambda e: texts.append(e.text), standard_input=source)
    for row in csv.reader(texts):
        assert len(row) == 7 and datetime.datetime.fromisoformat(row[5]).tzinfo is None


def test_a_terminal_is_refused(model):
    master, slave = os.openpty()
    with os.fdopen(slave, "rb", buffering=0) as source:
        with pytest.raises(InputError, match="is a terminal; write sound to it with a pipe"):
            stream.run(StreamOptions(model), standard_input=source)
    os.close(master)


@contextlib.contextmanager
def process(model, tmp_path):
    """A running `wsedtk detect MODEL --stream`, to which 3 s of an endless WAV file were written."""
    sound = put(encode(tones(3), "WAV", "PCM_16"), (b"data", 4, le(0xFFFFFFFF)))
    with (
        open(tmp_path / "stderr", "wb") as said,
        subprocess.Popen(
            [sys.executable, "-m", "wsedtk", "detect", model, "--stream"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as running,
    ):
        try:
            running.stdin.write(sound)
            running.stdin.flush()
            yield running
        finally:
            running.kill()


def test_a_live_process_ends_well_after_a_signal(model, tmp_path):
    """It prints events while its input waits. After the signal, it prints the others."""
    with process(model, tmp_path) as running:
        first = json.loads(running.stdout.readline())
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 0
        found = [first, *map(json.loads, running.stdout.read().decode().splitlines())]
    assert all(one["filename"] == "stdin" and "onset_time" in one for one in found)
    said = (tmp_path / "stderr").read_text()
    assert f"events: {len(found)}, stopped by SIGINT\n" in said and "Traceback" not in said


def test_a_process_without_reader_ends_quietly(model, tmp_path):
    with process(model, tmp_path) as running:
        assert running.stdout.readline()
        running.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            while running.poll() is None:
                running.stdin.write((tones(3) * 32768).astype("<i2").tobytes())
        assert running.wait(60) == 1
    said = (tmp_path / "stderr").read_text()
    assert "Traceback" not in said and "wsedtk:" not in said
    with contextlib.suppress(BrokenPipeError):
        running.stdin.close()


# --- clock times ---


def test_the_clock_uses_the_earliest_arrivals_of_the_last_minutes():
    clock, start = LiveClock(), 1_700_000_000.0
    rng = np.random.default_rng(0)
    for number in range(1, 3000):
        clock.add(number * 0.1, start + number * 0.1 + 0.02 + rng.exponential(0.5))
    assert clock.start.timestamp() == pytest.approx(start + 0.02, abs=0.02)
    for number in range(3000, 3000 + 1300):  # 5 s of sound are lost
        clock.add(number * 0.1, start + 5 + number * 0.1 + 0.02 + rng.exponential(0.5))
    assert clock.start.timestamp() == pytest.approx(start + 5.02, abs=0.02)


# --- microphones ---

# A stand-in for the package sounddevice. All its blocks arrive before the stream is read.
SOUNDDEVICE = """
import threading

import numpy as np

DEVICES = [
    {"name": "Speaker", "max_input_channels": 0, "default_samplerate": 44100.0},
    {"name": "Studio mic", "max_input_channels": 2, "default_samplerate": 16000.0},
]
overflows = ()
closed = []


class PortAudioError(Exception):
    pass


class CallbackFlags:
    def __init__(self, input_overflow):
        self.input_overflow = input_overflow


def query_devices(device=None, kind=None):
    if kind is None:
        return DEVICES
    found = [d for n, d in enumerate(DEVICES) if device in (None, n) or str(device) in d["name"]]
    found = [d for d in found if d["max_input_channels"]]
    if device == 9:
        raise PortAudioError("Error querying device 9")
    if not found:
        raise ValueError(f"No input device matching {device!r}")
    return found[0]


def check_input_settings(device=None, channels=None, dtype=None, extra_settings=None, samplerate=None):
    assert dtype == "float32" and samplerate == 16000.0
    if channels == 1 and samples.shape[1] == 2:
        raise PortAudioError("Invalid number of channels")


class InputStream:
    def __init__(self, samplerate, device, channels, dtype, latency, callback):
        if channels != samples.shape[1]:
            raise PortAudioError("Invalid number of channels")
        self.callback = callback
        self.thread = threading.Thread(target=self.play)

    def play(self):
        for number in range(0, len(samples), 800):
            block = samples[number : number + 800].copy()
            self.callback(block, len(block), None, CallbackFlags(number // 800 in overflows))
            block[:] = np.nan  # PortAudio uses the memory again

    def start(self):
        self.thread.start()
        self.thread.join()

    def close(self):
        closed.append(self)
"""


@pytest.fixture
def sounddevice(monkeypatch):
    """The stand-in. Its microphone plays 4 s of one channel, and then nothing any more."""
    module = types.ModuleType("sounddevice")
    exec(compile(SOUNDDEVICE, "sounddevice.py", "exec"), vars(module))
    module.samples = tones(4).astype(np.float32)
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    monkeypatch.setattr(live_sources, "_DEAD_SECONDS", 0.3)
    return module


@pytest.mark.parametrize("device", ["default", "1", "Studio"])
@pytest.mark.parametrize("channels", [1, 2])
def test_events_of_a_microphone(model, sounddevice, device, channels):
    """A microphone that gives no samples any more is an error, after its events."""
    sounddevice.samples = tones(4, channels).astype(np.float32)
    status, found, said = command(model, "--microphone", device)
    assert status == 1 and "microphone 'Studio mic': delivers no samples any more" in said
    assert rows(found) == expected_rows(model, sounddevice.samples)
    fields = json.loads(found.splitlines()[0])
    assert fields["filename"] == "microphone" and "onset_time" in fields
    assert len(sounddevice.closed) == 1


def test_a_signal_ends_a_microphone(model, sounddevice):
    result, found = stopped_run(model, None, microphone="default")
    assert result.stopped_by == "SIGTERM" and 1 < result.seconds <= 4 and found


def test_lost_samples_are_reported_once_a_minute(model, sounddevice, monkeypatch, printed_messages, capsys):  # fmt: skip
    sounddevice.overflows = (3, 4)
    monkeypatch.setattr(live_sources, "_QUEUE_SECONDS", 2.0)
    with pytest.raises(InputError, match="no samples any more"):
        stream.run(StreamOptions(model, microphone="default"))
    said = capsys.readouterr().err
    assert said.count("sound was lost") == 1
    assert "2 overflows of the sound system, 2.0 s dropped because the model is too slow" in said
    assert "audio: 0:00:02" not in said  # the message of a stream that ended well


@pytest.mark.parametrize(
    "device, message",
    [
        ("Cow", r"microphone 'Cow': can't be used \(No input device .*; the input devices are: 1: Studio mic$"),
        ("9", r"microphone '9': can't be used \(Error querying device 9\)"),
    ],
)  # fmt: skip
def test_unknown_microphones(model, sounddevice, device, message):
    with pytest.raises(InputError, match=message):
        stream.run(StreamOptions(model, microphone=device))


@pytest.mark.parametrize(
    "error, message",
    [
        (ImportError("x"), r"package sounddevice; install it with: pip install -c constraints.txt '.\[microphone\]'"),
        (OSError("PortAudio library not found"), r"library PortAudio .*apt install libportaudio2"),
    ],
)  # fmt: skip
def test_a_missing_package(model, monkeypatch, error, message):
    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name == "sounddevice":
                raise error

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(InputError, match=message):
        stream.run(StreamOptions(model, microphone="default"))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"raw_rate": 7}, "raw_rate: found 7"),
        ({"raw_channels": 0}, "raw_channels: found 0"),
        ({"raw_format": "mp3"}, "raw_format: found 'mp3'"),
        ({"min_duration": -1}, "min_duration: found -1"),
    ],
)
def test_wrong_options(changes, message):
    with pytest.raises(InputError, match=message):
        StreamOptions("m", **changes)
