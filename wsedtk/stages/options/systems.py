"""Options of the stages from audio to a trained system."""

import dataclasses
import os
from collections.abc import Mapping, Sequence

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike


@dataclasses.dataclass(frozen=True)
class BalanceOptions:
    """The inputs, the outputs and the settings of `balance`.

    Parameters
    ----------
    data_set : path-like
        The data directory to split.
    fit_set : path-like
        The data directory to write with the clips to train on.
    valid_set : path-like
        The data directory to write with the clips to validate on.
    num_valid : int
        Number of clips to hold out.
    seed : int
        Seed of the random choice of clips.
    """

    data_set: PathLike
    fit_set: PathLike
    valid_set: PathLike
    _: dataclasses.KW_ONLY
    num_valid: int
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """The inputs, the output and the settings of a training. `train` takes them.

    Parameters
    ----------
    fit_set : path-like
        The data directory with the clips to train on.
    valid_set : path-like
        The data directory with the clips to validate on. It shares no clips with `fit_set`.
    model_dir : path-like
        The model directory to write. If it holds an unfinished training with the same settings,
        that training is resumed.
    feats : path-like, or sequence of path-like
        The feature files of the clips of both sets.
    config : path-like, optional
        The system (YAML). By default the CRNN of `wsedtk.training.train_config.TrainConfig`.
    settings : mapping of str to object, or sequence of str
        Settings that replace those of `config`: {"batch_size": 50}, or "batch_size=50".
    init_dir : path-like, optional
        The model directory whose weights training starts from. Layers of other classes start from
        new weights.
    cache : bool
        Keep all features in memory.
    overwrite : bool
        Train anew in a directory that holds another model.
    device : str
        "cpu", "cuda", "cuda:1", ..., or "auto" for a GPU if there is one.

    Raises
    ------
    InputError
        If `feats` is empty.
    """

    fit_set: PathLike
    valid_set: PathLike
    model_dir: PathLike
    feats: PathLike | Sequence[PathLike]
    _: dataclasses.KW_ONLY
    config: PathLike | None = None
    settings: Mapping[str, object] | Sequence[str] = ()
    init_dir: PathLike | None = None
    cache: bool = False
    overwrite: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        if not self.feature_paths:
            raise InputError("feats: found none; expected the feature files of the clips")

    @property
    def feature_paths(self) -> list[PathLike]:
        """The feature files."""
        return [self.feats] if isinstance(self.feats, (str, os.PathLike)) else [*self.feats]
