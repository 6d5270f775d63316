"""Options of the stages from a trained system to its results."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.stages.options.checks import check_fields, check_numbers, check_range

LONGEST_EVENT_SECONDS = 86400  # the longest `min_duration`


@dataclasses.dataclass(frozen=True)
class PredictOptions:
    """The inputs, the output and the settings of `predict`.

    Parameters
    ----------
    model_dir : path-like
        The model directory.
    feats : path-like
        The feature file of the clips.
    scores : path-like
        The score file to write.
    data_set : path-like, optional
        The data directory whose clips to score. By default all clips of the features.
    precise : bool
        Compute in float32 throughout. By default, convolutions (on a GPU also the GRU) use
        bfloat16.
    no_frames : bool
        Leave out the frame scores, which are most of the file.
    classes : path-like, optional
        A file with the classes to keep, one per line, in the order of the output. A line
        NAME<TAB>NEW renames a class.
    device : str
        "cpu", "cuda", "cuda:1", ..., or "auto" for a GPU if there is one.
    """

    model_dir: PathLike
    feats: PathLike
    scores: PathLike
    _: dataclasses.KW_ONLY
    data_set: PathLike | None = None
    precise: bool = False
    no_frames: bool = False
    classes: PathLike | None = None
    device: str = "auto"


@dataclasses.dataclass(frozen=True)
class TuneOptions:
    """The inputs, the output and the settings of `tune`.

    At most one of `target`, `published` and `common_threshold` can be given.

    Parameters
    ----------
    scores : path-like
        The score file.
    data_set : path-like
        The data directory with the true tags of the clips.
    operating_point : path-like
        The operating point (YAML) to write.
    criterion : {"tags", "segments"}
        Frame thresholds and filters maximise the F1 of these decisions: tags of clips, or 1 s
        segments.
    target : (str, float), optional
        A quantity and the value that every class must reach: precision=P, recall=R or
        false-alarms-per-hour=N.
    published : bool
        Choose clip thresholds by the procedure of Wang et al. (2019), which can miss the optimum.
    common_threshold : bool
        Choose one threshold and one set of filters for all classes, as He et al. (2019) describe.
    seed : int
        Seed of the random order of classes in the published procedure.
    median_seconds : sequence of float
        Lengths of the median filter to choose from, in seconds.
    min_seconds : sequence of float
        Shortest events to choose from, in seconds.
    max_gap_seconds : sequence of float
        Longest gaps between events to join over, to choose from, in seconds.
    gate_by_tags : bool
        Decode events only of classes that the clip is tagged with.

    Raises
    ------
    InputError
        If a value is not one of the choices, or out of range.
    """

    scores: PathLike
    data_set: PathLike
    operating_point: PathLike
    _: dataclasses.KW_ONLY
    criterion: Literal["tags", "segments"] = "tags"
    target: tuple[str, float] | None = None
    published: bool = False
    common_threshold: bool = False
    seed: int = 0
    median_seconds: Sequence[float] = (0.5,)
    min_seconds: Sequence[float] = (0.2,)
    max_gap_seconds: Sequence[float] = (0.2,)
    gate_by_tags: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        check_range("seed", self.seed, 0)
        for name in ("median_seconds", "min_seconds", "max_gap_seconds"):
            check_numbers(name, getattr(self, name))

        if self.target is not None and (isinstance(self.target, str) or len(self.target) != 2):
            raise InputError(
                f"target: found {self.target!r}; expected a quantity and its value, such as "
                "('precision', 0.9)"
            )

    def check_ways(self) -> None:
        """Raise InputError if several options choose the same thresholds."""
        ways = {
            "--target": self.target,
            "--published": self.published,
            "--common-threshold": self.common_threshold,
        }
        given = [name for name, value in ways.items() if value]
        if len(given) > 1:
            names = " and ".join(given)
            raise InputError(
                f"{names} choose the same thresholds in different ways; give one of them"
            )


@dataclasses.dataclass(frozen=True)
class DecodeOptions:
    """The inputs, the output and the settings of `decode`.

    Parameters
    ----------
    scores : path-like
        The score file.
    operating_point : path-like
        The thresholds and filters (YAML).
    out_dir : path-like
        The folder to write tags and events to.
    mode : {"segment", "frame"}, optional
        Decode 1 s segments, or smoothed frames. By default the mode of the operating point.

    Raises
    ------
    InputError
        If the mode is not one of the choices.
    """

    scores: PathLike
    operating_point: PathLike
    out_dir: PathLike
    _: dataclasses.KW_ONLY
    mode: Literal["segment", "frame"] | None = None

    def __post_init__(self) -> None:
        check_fields(self)


@dataclasses.dataclass(frozen=True)
class ScoreOptions:
    """The inputs and the settings of `score`, which writes into the decoded folder.

    Parameters
    ----------
    data_set : path-like
        The data directory with the reference.
    out_dir : path-like
        The decoded folder to evaluate, as `decode` writes it.
    scores : path-like, optional
        The score file that was decoded. It is needed for MAP, MAUC, d' and PSDS.
    num_resamples : int
        Number of bootstrap resamples of the clips for 95 % intervals. 0 for no intervals.
    own_metrics : sequence of str
        A metric of your own, as package.module:NAME. Repeatable.

    Raises
    ------
    InputError
        If the number of resamples is negative.
    """

    data_set: PathLike
    out_dir: PathLike
    _: dataclasses.KW_ONLY
    scores: PathLike | None = None
    num_resamples: int = 0
    own_metrics: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        check_range("num_resamples", self.num_resamples, 0)


@dataclasses.dataclass(frozen=True)
class ScoreFilesOptions:
    """The inputs and the settings of `score-files`.

    Parameters
    ----------
    reference : path-like
        The list of true tags or events.
    estimate : path-like
        The list of tags or events to evaluate.
    kind : {"tags", "events"}, optional
        The kind of both lists. By default it is determined from their rows.
    num_resamples : int
        Number of bootstrap resamples of the clips for 95 % intervals. 0 for no intervals.

    Raises
    ------
    InputError
        If the kind is not one of the choices, or the number of resamples is negative.
    """

    reference: PathLike
    estimate: PathLike
    _: dataclasses.KW_ONLY
    kind: Literal["tags", "events"] | None = None
    num_resamples: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        check_range("num_resamples", self.num_resamples, 0)


@dataclasses.dataclass(frozen=True)
class DetectOptions:
    """The inputs, the outputs and the settings of `detect`.

    Parameters
    ----------
    model_dir : path-like
        The model directory.
    audio : sequence of path-like
        Sound files, folders (at any depth) and patterns.
    output : path-like, optional
        One file for the events of all recordings.
    output_dir : path-like, optional
        A folder for the events of each recording, a file each. Existing files are replaced.
    format_name : str
        The format of the events: DCASE table ("tsv"), JSON lines ("jsonl"), Audacity labels
        ("audacity"), Raven selection table ("raven"), or a class of your own, as
        package.module:Class.
    channels : {"mix", "each"}
        Use the mean of all channels, or each channel on its own.
    thresholds : sequence of str
        Frame threshold that replaces the one of the operating point: NUMBER for all classes, or
        CLASS=NUMBER. It is from 0 to 1, or inf for never. Repeatable.
    classes : sequence of str
        The class to find, or a file of classes, one per line. A line NAME<TAB>NEW renames a class.
        Repeatable. By default all classes.
    min_duration : float, optional
        Shortest event in seconds, instead of the values of the operating point.
    operating_point : path-like, optional
        The thresholds and filters (YAML). By default those of the model directory.
    scores : path-like, optional
        A folder for the score curves: a table per recording, in the format of sed_scores_eval.
    plot : path-like, optional
        A folder for pictures of the scores and events, one per recording.
    max_failures : float
        The fraction of recordings that may fail.
    precise : bool
        Compute in float32 throughout. By default, convolutions (on a GPU also the GRU) use
        bfloat16.
    device : str
        "cpu", "cuda", "cuda:1", ..., or "auto" for a GPU if there is one.

    Raises
    ------
    InputError
        If a value is not one of the choices, or out of range.
    """

    model_dir: PathLike
    audio: Sequence[PathLike]
    _: dataclasses.KW_ONLY
    output: PathLike | None = None
    output_dir: PathLike | None = None
    format_name: str = "tsv"
    channels: Literal["mix", "each"] = "mix"
    thresholds: Sequence[str] = ()
    classes: Sequence[str] = ()
    min_duration: float | None = None
    operating_point: PathLike | None = None
    scores: PathLike | None = None
    plot: PathLike | None = None
    max_failures: float = 0.01
    precise: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        check_fields(self)
        check_range("max_failures", self.max_failures, 0, 1)
        if self.min_duration is not None:
            check_range("min_duration", self.min_duration, 0, LONGEST_EVENT_SECONDS)

    @property
    def has_file_per_recording(self) -> bool:
        """Whether each recording has its own files."""
        return any(folder is not None for folder in (self.output_dir, self.scores, self.plot))


@dataclasses.dataclass(frozen=True)
class AverageOptions:
    """The inputs, the output and the settings of `average`.

    Parameters
    ----------
    scores : sequence of path-like
        The score files, or folders of frame scores, to average.
    output : path-like
        The score file to write if the name ends in .h5, else the folder of frame scores.
    weights : sequence of float, optional
        The weight of each of the scores. By default, all have the same weight.
    labels : path-like, optional
        A file with the classes to keep, one per line, in the order of the output. By default the
        classes of the scores.

    Raises
    ------
    InputError
        If a weight is negative, infinite or NaN.
    """

    scores: Sequence[PathLike]
    output: PathLike
    _: dataclasses.KW_ONLY
    weights: Sequence[float] | None = None
    labels: PathLike | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if self.weights is not None:
            check_numbers("weights", self.weights)


@dataclasses.dataclass(frozen=True)
class ReportOptions:
    """The inputs, the outputs and the settings of `report`.

    Parameters
    ----------
    folders : sequence of path-like
        Model directories, or experiment directories for all systems in them.
    output : path-like
        The HTML page to write.
    figures : path-like, optional
        A folder for the single figures.
    figure_format : {"png", "svg", "pdf"}
        The format of the single figures.

    Raises
    ------
    InputError
        If the format is not one of the choices.
    """

    folders: Sequence[PathLike]
    output: PathLike
    _: dataclasses.KW_ONLY
    figures: PathLike | None = None
    figure_format: Literal["png", "svg", "pdf"] = "png"

    def __post_init__(self) -> None:
        check_fields(self)


@dataclasses.dataclass(frozen=True)
class InfoOptions:
    """The inputs of `info`.

    Parameters
    ----------
    paths : sequence of path-like
        The artefacts to describe.
    """

    paths: Sequence[PathLike]

    def __post_init__(self) -> None:
        check_fields(self)
