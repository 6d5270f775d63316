"""Options of `extract`, `balance`, `train`, `import` and `export`."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike, as_paths
from wsedtk.stages.options.added_sets import AddedSet, as_added_sets
from wsedtk.stages.options.checks import check_fields, check_numbers, check_range


@dataclasses.dataclass(frozen=True)
class ExtractOptions:
    """The input, the output and the settings of `extract`.

    Parameters
    ----------
    data_set : path-like
        The data directory.
    feats : path-like
        The feature file to write, FEATS.h5.
    config : path-like, optional
        The front end: a YAML file, or the name of an installed configuration, such as
        frontend_wang. By default, the front end of Wang, Li & Metze (2019) is used.
    frontend : path-like, optional
        Instead of config (--config): the model directory, or the name of a ready model, whose front
        end is used. Use this option if training will start from this model (train --init).
    jobs : int
        Number of processes that read audio. On a CPU, they also compute the features.
    shard : tuple of int, optional
        Extract only the K-th of N parts of the set, counted from 1: K/N on the command line, (K, N)
        in Python. The features of this part are written to FEATS.K-of-N.h5.
    max_seconds : float
        The longest duration in seconds that a clip may have.
    crop : bool
        Cut clips that are longer than max_seconds (--max-seconds). By default, these clips fail.
    dtype : {"float32", "float16"}
        The precision of the features in the file.
    max_failures : float
        The largest fraction of clips that may fail.
    device : str
        The device that computes the features: "cpu", "cuda", "cuda:1", ..., or "auto" for a GPU if
        there is one.

    Raises
    ------
    InputError
        If a number is out of its range, if `shard` is wrong, if `dtype` is unknown, or if `config`
        and `frontend` are both given.
    """

    data_set: PathLike
    feats: PathLike
    _: dataclasses.KW_ONLY
    config: PathLike | None = None
    frontend: PathLike | None = None
    jobs: int = 1
    shard: tuple[int, int] | None = None
    max_seconds: float = 10.0
    crop: bool = False
    dtype: Literal["float16", "float32"] = "float32"
    max_failures: float = 0.01
    device: str = "auto"

    def __post_init__(self) -> None:
        check_fields(self)
        check_range("jobs", self.jobs, 1)
        if self.config is not None and self.frontend is not None:
            raise InputError(
                "config (--config) and frontend (--frontend) are both given; give one of them"
            )
        if self.shard is not None and not 1 <= self.shard[0] <= self.shard[1]:
            raise InputError(f"shard: found {self.shard}; expected (K, N) with 1 <= K <= N")
        if not 0 < self.max_seconds < float("inf"):
            raise InputError(
                f"max_seconds: found {self.max_seconds}; expected a finite number of seconds above "
                "0"
            )
        if self.dtype not in ("float16", "float32"):
            raise InputError(f"dtype: found {self.dtype!r}; expected 'float16' or 'float32'")
        if not 0 <= self.max_failures <= 1:
            raise InputError(
                f"max_failures: found {self.max_failures}; expected a fraction from 0 to 1"
            )


@dataclasses.dataclass(frozen=True)
class BalanceOptions:
    """The inputs, the outputs and the settings of `balance`.

    Parameters
    ----------
    data_set : path-like
        The data directory to split.
    fit_set : path-like
        The data directory to write, with the clips for training.
    valid_set : path-like
        The data directory to write, with the clips for validation.
    num_valid : int
        Maximum number of clips to hold out for validation. The clips of one source, such as a
        recording, are never split between training and validation. Fewer clips are held out if
        holding out one more source would leave less than half of the clips of a class for training.
    by : {"group", "time"}
        What is held out. `group`: whole groups or, without groups, whole recordings. `time`: a part
        of each recording, which is contiguous in time. The clips must have times in their names, as
        those that the commands `prepare folders`, `table` and `annotations` cut from recordings.
    gap_seconds : float, optional
        With by=time (--by time): clips that are less than this number of seconds before or after a
        held-out part are in neither set. By default 10 s.
    groups : path-like, optional
        A CSV or TSV table with a column of recordings and a column of groups. Its groups replace
        those of the set.
    group_column : str, optional
        The heading of the column of the groups in this table, such as recorder. By default, a
        column with the heading `group`, `site`, `location` or `station`.
    seed : int
        Seed of the random choice of clips.

    Raises
    ------
    InputError
        If `seed` is negative, if `by` is unknown, or if `gap_seconds` is wrong. If an option is
        given that has no effect.
    """

    data_set: PathLike
    fit_set: PathLike
    valid_set: PathLike
    _: dataclasses.KW_ONLY
    num_valid: int
    by: Literal["group", "time"] = "group"
    gap_seconds: float | None = None
    groups: PathLike | None = None
    group_column: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        check_range("seed", self.seed, 0)
        if self.gap_seconds is not None:
            check_numbers("gap_seconds (--gap-seconds)", [self.gap_seconds])
            if self.by != "time":
                raise InputError(
                    "gap_seconds (--gap-seconds) has an effect only with by=time (--by time)"
                )
        if self.groups is not None and self.by == "time":
            raise InputError(
                "groups (--groups) and by=time (--by time) are both given; give one of them"
            )
        if self.group_column is not None and self.groups is None:
            raise InputError(
                f"group_column (--group-column): found {self.group_column!r}, but no table; give "
                "the table of the recordings with groups (--groups)"
            )


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """The inputs, the output and the settings of `train`.

    Parameters
    ----------
    fit_set : path-like
        The data directory with the clips to train on.
    valid_set : path-like
        The data directory with the clips to validate on. It must not share clips with `fit_set`.
    model_dir : path-like
        The model directory to write. If it contains an unfinished training run with the same inputs
        and settings, this run is resumed.
    feats : path-like, or sequence of path-like
        The feature files of the clips of all sets.
    add : sequence of path-like, or of pairs
        A data directory that is added to the training set: DATA_SET or DATA_SET=SHARE. Can be given
        more than once. In Python, DATA_SET is a path, and DATA_SET=SHARE is a pair (path, share).
        SHARE is the fraction of the clips of each batch that come from this set, for example 0.3.
        Without SHARE, its clips are drawn together with those of the training set. If a clip is in
        several sets, only the clip of the last one is used.
    config : path-like, optional
        The network and the settings of the training: a YAML file, or the name of an installed
        configuration, such as mini/crnn_linear. By default, the default settings of
        `wsedtk.training.train_config.TrainConfig` are used. The network is then the network of the
        initial model, or a CRNN if there is no initial model.
    settings : mapping of str to object, or sequence of str
        A setting that replaces a setting of the configuration, such as batch_size=50. Can be given
        more than once. In Python, a mapping such as {"batch_size": 50} is possible, too.
    init_dir : path-like, optional
        The model directory with the initial weights, or the name of a ready model. If the classes
        of this model differ from those of the training set, the layers that depend on the classes
        start from random weights.
    cache : bool
        Keep all features in memory.
    overwrite : bool
        Remove the training run or the model in the model directory, and start a new training run.
    device : str
        "cpu", "cuda", "cuda:1", ..., or "auto" for a GPU if there is one.

    Raises
    ------
    InputError
        If `feats` is empty, if `settings` is a single text, if a share is not above 0 and below 1,
        or if the sum of the shares is not below 1.
    """

    fit_set: PathLike
    valid_set: PathLike
    model_dir: PathLike
    feats: PathLike | Sequence[PathLike]
    _: dataclasses.KW_ONLY
    add: Sequence[PathLike | tuple[PathLike, float | None]] = ()
    config: PathLike | None = None
    settings: Mapping[str, object] | Sequence[str] = ()
    init_dir: PathLike | None = None
    cache: bool = False
    overwrite: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.feature_paths:
            raise InputError("feats: found none; expected the feature files of the clips")
        as_added_sets(self.add)

    @property
    def added_sets(self) -> list[AddedSet]:
        """The data directories that are added to the training set, with their shares."""
        return as_added_sets(self.add)

    @property
    def feature_paths(self) -> tuple[Path, ...]:
        """The feature files."""
        return as_paths(self.feats)


@dataclasses.dataclass(frozen=True)
class ImportOptions:
    """The inputs, the output and the settings of `import`.

    Parameters
    ----------
    checkpoint : path-like
        A checkpoint that Wang, Li & Metze published.
    model_dir : path-like
        The model directory to write.
    labels : path-like
        The file with the classes, one per line, in the order of the network's outputs.
    normalizer : path-like
        The file with the mean and the standard deviation of each mel bin: a text file with two rows
        of numbers, or an npz file.
    frontend : path-like
        The front end that the network was trained with: a YAML file, or the name of an installed
        configuration, such as frontend_wang.
    pooling : {"max", "average", "linear", "exp", "attention"}, optional
        The pooling that the network was trained with. By default, attention pooling is used if the
        checkpoint has weights for it, otherwise linear pooling.
    """

    checkpoint: PathLike
    model_dir: PathLike
    _: dataclasses.KW_ONLY
    labels: PathLike
    normalizer: PathLike
    frontend: PathLike
    pooling: Literal["max", "average", "linear", "exp", "attention"] | None = None


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """The input and the output of `export`.

    Parameters
    ----------
    model_dir : path-like
        The model directory, or the name of a ready model.
    output : path-like
        The ONNX file to write.
    """

    model_dir: PathLike
    output: PathLike
