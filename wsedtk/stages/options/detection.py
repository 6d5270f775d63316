"""Options of the command `detect`, which finds the events of recordings."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from wsedtk.core.paths import PathLike
from wsedtk.stages.options.checks import check_fields, check_range

LONGEST_EVENT_SECONDS = 86400  # the largest valid `min_duration`
LONGEST_MARGIN_SECONDS = 60  # the largest valid `clip_margin`
SAMPLE_RATES = (100, 1_000_000)  # valid values of `raw_rate` in Hz
MOST_CHANNELS = 1024  # the largest valid `raw_channels`


@dataclasses.dataclass(frozen=True)
class DetectionOptions:
    """The settings of every detection of events.

    Parameters
    ----------
    model_dir : path-like
        The model directory, or the name of a ready model.
    thresholds : sequence of str
        A threshold that replaces the frame threshold of the operating point or, in box mode, the
        threshold of boxes: NUMBER for all classes, CLASS=NUMBER for one class. The number is from 0
        to 1, or inf. A class with the threshold inf is never detected. Can be given more than once.
    classes : sequence of str
        A class to find, or a file with the classes to find, one per line. A line NAME<TAB>NEW
        renames a class. If the model directory contains AudioSet's ontology, a class such as Animal
        also selects all classes below it, but a class in a file selects only itself. Can be given
        more than once. By default, all classes are found.
    min_duration : float, optional
        Minimum duration of an event in seconds. It replaces the minimum durations in the operating
        point.
    operating_point : path-like, optional
        The operating point: a YAML file with thresholds and filters. By default, the operating
        point in the model directory is used.
    seconds_per_frame : float, optional
        The duration of a frame in seconds, for networks with several time resolutions, such as
        yamnet. By default, the duration that the model directory specifies.
    precise : bool
        Compute in float32 (--precise), or in bfloat16, which is faster (--fast). In bfloat16, frame
        scores differ from those in float32 in the third decimal place.
    device : str
        "cpu", "cuda", "cuda:1", ..., or "auto" for a GPU if there is one.

    Raises
    ------
    InputError
        If a value is not one of the choices or is out of range, or if `thresholds` or `classes` is
        a text or path instead of a sequence.
    """

    model_dir: PathLike
    _: dataclasses.KW_ONLY
    thresholds: Sequence[str] = ()
    classes: Sequence[str] = ()
    min_duration: float | None = None
    operating_point: PathLike | None = None
    seconds_per_frame: float | None = None
    precise: bool = dataclasses.field(default=True, metadata={"flag": "--precise/--fast"})
    device: str = "auto"

    def __post_init__(self) -> None:
        check_fields(self)
        if self.min_duration is not None:
            check_range("min_duration", self.min_duration, 0, LONGEST_EVENT_SECONDS)


@dataclasses.dataclass(frozen=True)
class DetectOptions(DetectionOptions):
    """The inputs, the outputs and the settings of `detect`. See also `DetectionOptions`.

    Parameters
    ----------
    audio : sequence of path-like
        Sound files, folders (with all their subfolders) and patterns such as "night*.wav".
    output : path-like, optional
        One file for the events of all recordings.
    output_dir : path-like, optional
        A folder for the events, with one file for each recording. Existing files are replaced.
    format_name : str
        The format of the events: DCASE table ("tsv"), CSV with scores and clock times ("csv"), JSON
        lines ("jsonl"), Audacity labels ("audacity"), Raven selection table ("raven"), Praat
        TextGrid ("praat"), ELAN document ("elan"), or a user-defined format, as
        package.module:Class.
    channels : {"mix", "each"}
        Find events in the mean of all channels ("mix"), or in each channel separately ("each").
    scores : path-like, optional
        A folder for the score curves, with one table for each recording, in the format of
        sed_scores_eval.
    plot : path-like, optional
        A folder for pictures of the scores and events, with one picture for each recording.
    pages : path-like, optional
        A folder for pictures of one minute each. Each recording has a subfolder.
    summary : path-like, optional
        A CSV file with the number and the total duration of the events of each class, by file, hour
        and day.
    clips : path-like, optional
        A folder for the sounds of the events, with one folder for each class. The names of the
        files begin with the rank of the event, so the event with the highest score is first.
    clip_margin : float
        The duration of the sound before and after each event in `clips`, in seconds.
    max_clips : int, optional
        The largest number of sounds of each class in `clips`. By default, all events are included.
    jobs : int
        Number of processes. With several processes, each of them analyses one recording at a time
        with one thread, which is faster for many recordings on many cores. The outputs are the
        same.
    overwrite : bool
        Analyse all recordings again. By default, recordings that an earlier run with the same
        output and the same settings has finished are not analysed again.
    max_failures : float
        The largest fraction of recordings that may fail.

    Raises
    ------
    InputError
        If a value is not one of the choices or is out of range, or if `audio`, `thresholds` or
        `classes` is a text or path instead of a sequence.
    """

    audio: Sequence[PathLike]
    _: dataclasses.KW_ONLY
    output: PathLike | None = None
    output_dir: PathLike | None = None
    format_name: str = "tsv"
    channels: Literal["mix", "each"] = "mix"
    scores: PathLike | None = None
    plot: PathLike | None = None
    pages: PathLike | None = None
    summary: PathLike | None = None
    clips: PathLike | None = None
    clip_margin: float = 1.0
    max_clips: int | None = None
    jobs: int = 1
    overwrite: bool = False
    max_failures: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("max_failures", self.max_failures, 0, 1)
        check_range("jobs", self.jobs, 1)
        check_range("clip_margin", self.clip_margin, 0, LONGEST_MARGIN_SECONDS)
        if self.max_clips is not None:
            check_range("max_clips", self.max_clips, 1)


@dataclasses.dataclass(frozen=True)
class StreamOptions(DetectionOptions):
    """The source of sound and the settings of `detect --stream`. See also `DetectionOptions`.

    Parameters
    ----------
    format_name : str
        The format of the events, for example "jsonl", "csv", "tsv" or "audacity": a format whose
        events can be written one by one.
    microphone : str, optional
        Detect events in the sound of this microphone: "default", the number of an input device, or
        a part of its name. Needs the extra "microphone". By default, sound is read from standard
        input.
    raw_rate : int, optional
        With --stream: the sample rate of raw samples in Hz. By default, standard input is a WAV
        file.
    raw_channels : int
        The number of channels of raw samples.
    raw_format : {"s16", "s24", "s32", "f32"}
        The format of raw samples: signed integers with 16, 24 or 32 bits, or floats with 32 bits,
        all little-endian.

    Raises
    ------
    InputError
        If a value is not one of the choices or is out of range.
    """

    _: dataclasses.KW_ONLY
    format_name: str = "jsonl"
    microphone: str | None = None
    raw_rate: int | None = None
    raw_channels: int = 1
    raw_format: Literal["s16", "s24", "s32", "f32"] = "s16"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.raw_rate is not None:
            check_range("raw_rate", self.raw_rate, *SAMPLE_RATES)
        check_range("raw_channels", self.raw_channels, 1, MOST_CHANNELS)
