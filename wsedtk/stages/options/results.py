"""Options of the commands that use or evaluate a trained system, or describe files.

These commands are `predict`, `tune`, `decode`, `score`, `score-files`, `average`, `report` and
`info`. The options of `detect` are in `detection`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.stages.options.checks import check_fields, check_numbers, check_range


@dataclasses.dataclass(frozen=True)
class PredictOptions:
    """The inputs, the output and the settings of `predict`.

    Parameters
    ----------
    model_dir : path-like
        The model directory, or the name of a ready model.
    feats : path-like
        The feature file of the clips.
    scores : path-like
        The score file to write.
    data_set : path-like, optional
        The data directory with the clips to score. By default, all clips of the feature file are
        scored.
    precise : bool
        Compute in float32 (--precise), or in bfloat16, which is faster (--fast). In bfloat16, frame
        scores differ from those in float32 in the third decimal place.
    no_frames : bool
        Do not write frame scores and attention weights, which need most of the space in the file.
    classes : path-like, optional
        A file with the classes to keep, one per line, in the order of the output. A line
        NAME<TAB>NEW renames a class. By default, all classes are kept.
    seconds_per_frame : float, optional
        The duration of a frame in seconds, for networks with several time resolutions, such as
        yamnet. By default, the duration that the model directory specifies.
    device : str
        "cpu", "cuda", "cuda:1", ..., or "auto" for a GPU if there is one.
    """

    model_dir: PathLike
    feats: PathLike
    scores: PathLike
    _: dataclasses.KW_ONLY
    data_set: PathLike | None = None
    precise: bool = dataclasses.field(default=True, metadata={"flag": "--precise/--fast"})
    no_frames: bool = False
    classes: PathLike | None = None
    seconds_per_frame: float | None = None
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
        The data directory with the reference tags of the clips. The criteria "segments" and "psds1"
        also need the reference events.
    operating_point : path-like
        The operating point (YAML) to write.
    criterion : {"tags", "segments", "psds1"}
        The decisions that are evaluated to choose frame thresholds and filters: the tags of clips,
        or the active classes in 1 s segments. With "psds1", the filters of boxes are chosen by the
        PSDS 1 of each class, and all thresholds of events as with "segments".
    mode : {"segment", "frame", "box"}, optional
        The mode that the operating point sets for `decode`. With "box", thresholds and filters of
        boxes are also chosen. By default, the mode is "box" with the criterion "psds1", "frame"
        with the criterion "segments" or a target, and otherwise "segment".
    target : (str, float), optional
        A limit that each class must meet: a minimum precision (precision=P) or recall (recall=R),
        or a maximum number of false alarms per hour (false-alarms-per-hour=N).
    published : bool
        Choose clip thresholds by the procedure of Wang et al. (2019), which can miss the optimum.
    common_threshold : bool
        Choose the same thresholds and filters for all classes, as He et al. (2019) describe.
    seed : int
        Seed of the random order of classes in the published procedure.
    median_seconds : sequence of float
        Candidate lengths of the median filter in seconds.
    min_seconds : sequence of float
        Candidate minimum durations of an event in seconds. Events that are shorter than the chosen
        duration are dropped.
    max_gap_seconds : sequence of float
        Candidate maximum gaps in seconds. Two events of a class are joined if the gap between them
        is not longer than the chosen gap.
    gate_by_tags : bool
        Drop events whose class is not a predicted tag of the clip.

    Raises
    ------
    InputError
        If a value is not one of the choices or is out of range, if the candidates of a filter are
        empty or a single number, or if `target` is not a pair.
    """

    scores: PathLike
    data_set: PathLike
    operating_point: PathLike
    _: dataclasses.KW_ONLY
    criterion: Literal["tags", "segments", "psds1"] = "tags"
    mode: Literal["segment", "frame", "box"] | None = None
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
        """Raise InputError if options conflict.

        At most one of target, published and common_threshold can be given. With the criterion
        "psds1", the mode can't be "segment" or "frame".
        """
        if self.criterion == "psds1" and self.mode not in (None, "box"):
            raise InputError(
                f"mode (--mode): found {self.mode}; expected box, because the criterion psds1 "
                "chooses the filters of boxes"
            )
        ways = {
            "target (--target)": self.target,
            "published (--published)": self.published,
            "common_threshold (--common-threshold)": self.common_threshold,
        }
        given = [name for name, value in ways.items() if value]
        if len(given) > 1:
            names = " and ".join(given)
            raise InputError(
                f"{names}: these options choose the same thresholds in different ways; give only "
                "one of them"
            )


@dataclasses.dataclass(frozen=True)
class DecodeOptions:
    """The inputs, the output and the settings of `decode`.

    Parameters
    ----------
    scores : path-like
        The score file.
    operating_point : path-like
        The operating point: a YAML file with thresholds and filters.
    out_dir : path-like
        The folder to write tags and events to.
    mode : {"segment", "frame", "box"}, optional
        Decode events from 1 s segments, from smoothed frames, or as boxes with confidences. By
        default, the mode of the operating point is used.

    Raises
    ------
    InputError
        If the mode is not one of the choices.
    """

    scores: PathLike
    operating_point: PathLike
    out_dir: PathLike
    _: dataclasses.KW_ONLY
    mode: Literal["segment", "frame", "box"] | None = None

    def __post_init__(self) -> None:
        check_fields(self)


@dataclasses.dataclass(frozen=True)
class ScoreOptions:
    """The inputs and the settings of `score`, which writes into the decoded folder.

    Parameters
    ----------
    data_set : path-like
        The data directory with the reference tags and events.
    out_dir : path-like
        The decoded folder to evaluate, as `decode` writes it.
    scores : path-like, optional
        The score file that was decoded. It is needed for MAP, MAUC, d' and PSDS. In box mode, PSDS
        is computed from the boxes in the decoded folder instead.
    num_resamples : int
        Number of bootstrap resamples of the clips for 95 % intervals. With 0, no intervals are
        computed.
    own_metrics : sequence of str
        A user-defined metric, as package.module:NAME. Can be given more than once.

    Raises
    ------
    InputError
        If the number of resamples is negative, or if `own_metrics` is a single text.
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
        The list of reference tags or events.
    estimate : path-like
        The list of tags or events to evaluate.
    kind : {"tags", "events"}, optional
        The kind of both lists. By default, the kind is determined from the rows of the lists.
    num_resamples : int
        Number of bootstrap resamples of the clips for 95 % intervals. With 0, no intervals are
        computed.

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
class AverageOptions:
    """The inputs, the output and the settings of `average`.

    Parameters
    ----------
    scores : sequence of path-like
        The score files, or folders of frame scores, to average.
    output : path-like
        The output: a score file if the name ends in .h5, otherwise a folder of frame scores.
    weights : sequence of float, optional
        One weight for each input, in the order of the inputs. By default, all weights are equal.
    labels : path-like, optional
        A file with the classes to keep, one per line, in the order of the output. By default, all
        classes are kept, in the order of the inputs.

    Raises
    ------
    InputError
        If `scores` or `weights` is empty or not a sequence, or if a weight is negative, infinite or
        NaN.
    """

    scores: Sequence[PathLike]
    output: PathLike
    _: dataclasses.KW_ONLY
    weights: Sequence[float] | None = None
    labels: PathLike | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.scores:
            raise InputError("scores: found none; expected at least one score file or folder")
        if self.weights is not None:
            check_numbers("weights", self.weights)


@dataclasses.dataclass(frozen=True)
class ReportOptions:
    """The inputs, the outputs and the settings of `report`.

    Parameters
    ----------
    folders : sequence of path-like
        Model directories, or folders that contain model directories.
    output : path-like
        The HTML page to write.
    figures : path-like, optional
        A folder to which each figure is also written as a separate file.
    figure_format : {"png", "svg", "pdf"}
        The format of the separate figures.

    Raises
    ------
    InputError
        If `folders` is empty, if it is a path instead of a sequence of paths, or if the format is
        not one of the choices.
    """

    folders: Sequence[PathLike]
    output: PathLike
    _: dataclasses.KW_ONLY
    figures: PathLike | None = None
    figure_format: Literal["png", "svg", "pdf"] = "png"

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.folders:
            raise InputError("folders: found none; expected at least one model directory")


@dataclasses.dataclass(frozen=True)
class InfoOptions:
    """The inputs of `info`.

    Parameters
    ----------
    paths : sequence of path-like
        The files and folders to describe. The full name of an installed configuration, such as
        mini/crnn_linear, and the name of a ready model are also accepted.

    Raises
    ------
    InputError
        If `paths` is a path instead of a sequence of paths.
    """

    paths: Sequence[PathLike]

    def __post_init__(self) -> None:
        check_fields(self)
