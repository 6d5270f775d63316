"""Choose the commands that build a model from a data directory."""

import dataclasses
import itertools
import math
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.stages.options.checks import check_fields, check_range

if TYPE_CHECKING:
    from wsedtk.data.clip_sets import DataSet
    from wsedtk.models.checkpoint import ModelSpec


class Recommended(NamedTuple):
    """A recommended configuration of the training.

    Attributes
    ----------
    config : str
        The name of the configuration.
    num_clips : int
        The largest number of training clips for which its number of batches is enough. With more
        clips, there are more batches between checkpoints, in proportion.
    """

    config: str
    num_clips: int


# The recommended configurations: for a training from random weights, and for a training from a
# model with the given network.
FRONTEND = "mini/frontend_wang"
FROM_SCRATCH = Recommended("mini/crnn_linear", 500)
FROM_MODEL = {"yamnet": Recommended("yamnet/fine_tuned", 500)}

CLIP_SECONDS = 10.0  # the default of extract --max-seconds
MOST_SECONDS = 60.0  # the longest clip; longer clips need too much memory in training
VALID_SHARE = 1 / 6  # the share of the clips that are held out for validation
MOST_VALID = 1000  # more clips are held out only if the number of classes requires it
VALID_PER_CLASS = 2
_MOST_FILES = 10_000  # the largest number of files among which sound files are searched


@dataclasses.dataclass(frozen=True)
class BuildOptions:
    """The input, the output and the settings of `build`.

    Parameters
    ----------
    data_set : path-like
        The data directory, or a folder that contains a data directory named train.
    model_dir : path-like
        The model directory to write. Features and the two parts of the set are written to the
        folders feats and data beside the model directory.
    init : path-like, optional
        The ready model, such as yamnet, or the model directory from which the training starts. The
        front end is that of this model. By default, the training starts from random weights.
    config : path-like, optional
        The network and the settings of the training: a YAML file, or the name of an installed
        configuration. By default, the recommended configuration.
    settings : sequence of str
        A setting that replaces a setting of the configuration, such as batch_size=50. Can be given
        more than once.
    num_valid : int, optional
        Maximum number of clips to hold out for validation. By default, a sixth of the clips, but at
        most 1000, at least 2 for each class, and at most half of the clips.
    by : {"group", "time"}
        What is held out for validation: whole groups or recordings, or a part of each recording.
        See `wsedtk balance --help`.
    groups : path-like, optional
        A CSV or TSV table with a column of recordings and a column of groups. Its groups replace
        those of the set.
    group_column : str, optional
        The heading of the column of the groups in this table.
    jobs : int
        Number of processes that extract features.
    seed : int
        Seed of the training. It does not change the split, so that all models in one experiment
        directory are validated on the same clips.
    device : str
        "cpu", "cuda", "cuda:1", ..., or "auto" for a GPU if there is one.
    overwrite : bool
        Remove the training run or the model in the model directory, and start a new training run.
    dry_run : bool
        Print the commands, and run none of them.

    Raises
    ------
    InputError
        If a number is out of its range.
    """

    data_set: PathLike
    model_dir: PathLike
    _: dataclasses.KW_ONLY
    init: PathLike | None = None
    config: PathLike | None = None
    settings: Sequence[str] = ()
    num_valid: int | None = None
    by: Literal["group", "time"] = "group"
    groups: PathLike | None = None
    group_column: str | None = None
    jobs: int = 1
    seed: int = 0
    device: str = "auto"
    overwrite: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        check_range("jobs", self.jobs, 1)
        check_range("seed", self.seed, 0)


@dataclasses.dataclass(frozen=True)
class Step:
    """A command: a verb of wsedtk, and its arguments and options."""

    verb: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(["wsedtk", self.verb, *self.words])


def make_step(verb: str, *words: object) -> Step:
    """Return a command. A path that begins with a hyphen begins with ./ in the command."""
    texts = (f"./{w}" if isinstance(w, Path) and str(w).startswith("-") else str(w) for w in words)
    return Step(verb, tuple(texts))


@dataclasses.dataclass(frozen=True)
class Plan:
    """The commands of `build`, and the files and folders that they read and write.

    Attributes
    ----------
    data_set, model_dir, features, fit_set, valid_set, scores, operating_point : Path
        The paths in the commands.
    extraction : tuple of str
        The options of `extract` that select the front end and the longest duration of a clip.
    steps : tuple of Step
        The commands, in their order.
    context : str or None
        The warning about a set in which every clip has a tag.
    """

    data_set: Path
    model_dir: Path
    features: Path
    fit_set: Path
    valid_set: Path
    scores: Path
    operating_point: Path
    extraction: tuple[str, ...]
    steps: tuple[Step, ...]
    context: str | None

    def evaluation(self) -> tuple[Step, ...]:
        """Return the commands that evaluate the model on the set `test` beside the set `train`.

        Return no command if there are no such sets.
        """
        test = self.data_set.with_name("test")
        name = Path(os.path.abspath(self.data_set)).name
        if name != "train" or not (test / "clips.tsv").is_file():
            return ()
        features, folder = self.features.with_name("test.h5"), self.model_dir / "test"
        scores, decoded = folder / "scores.h5", folder / "frame"
        return (
            make_step("extract", test, features, *self.extraction),
            make_step("predict", self.model_dir, features, scores),
            make_step("decode", scores, self.operating_point, decoded, "--mode", "frame"),
            make_step("score", test, decoded, "--scores", scores),
        )


def make_plan(options: BuildOptions) -> Plan:
    """Choose the commands. Nothing is written.

    Raises
    ------
    InputError
        If the set, the initial model or the configuration can't be read, if a clip is too long, or
        if there is no recommended configuration for the network of the initial model.
    """
    from wsedtk.data import datadir
    from wsedtk.data.context import context_warning

    data_set, model_dir = _find_set(Path(options.data_set)), Path(options.model_dir)
    _check_model_dir(model_dir)
    dataset = datadir.read(data_set)
    num_valid = options.num_valid or default_num_valid(dataset)
    num_fit = max(1, int((~dataset.has_unknown_tags()).sum()) - num_valid)
    initial = _initial_model(options)
    training = _training(options, initial, num_fit)
    frontend, of_frontend = _frontend(options, initial)
    name = Path(os.path.abspath(data_set)).name
    folder = model_dir.parent
    plan = Plan(
        data_set,
        model_dir,
        features=folder / "feats" / of_frontend / f"{name}.h5",
        fit_set=folder / "data" / f"{name}_fit",
        valid_set=folder / "data" / f"{name}_valid",
        scores=model_dir / "valid" / "scores.h5",
        operating_point=model_dir / "operating_point.yaml",
        extraction=(*frontend, *_durations(dataset, data_set)),
        steps=(),
        context=context_warning(dataset),
    )
    split = [] if options.by == "group" else ["--by", options.by]
    split += [] if options.groups is None else ["--groups", str(options.groups)]
    split += [] if options.group_column is None else ["--group-column", options.group_column]
    device = () if options.device == "auto" else ("--device", options.device)
    jobs = () if options.jobs == 1 else ("--jobs", str(options.jobs))
    train = [plan.fit_set, plan.valid_set, model_dir, "--feats", plan.features, *training, *device]
    if options.overwrite:
        train.append("--overwrite")
    valid = plan.valid_set
    steps = (
        make_step("balance", data_set, plan.fit_set, valid, "--num-valid", num_valid, *split),
        make_step("extract", data_set, plan.features, *plan.extraction, *jobs, *device),
        make_step("train", *train),
        make_step("predict", model_dir, plan.features, plan.scores, "--data", valid, *device),
        make_step("tune", plan.scores, valid, plan.operating_point),
    )
    return dataclasses.replace(plan, steps=steps)


def _find_set(folder: Path) -> Path:
    """Return the data directory: the folder, or the folder `train` in it.

    Raises InputError if the folder contains sound files instead.
    """
    if (folder / "clips.tsv").is_file() or not folder.is_dir():
        return folder
    if (folder / "train" / "clips.tsv").is_file():
        return folder / "train"
    if not list(folder.glob("*/clips.tsv")) and _contains_sounds(folder):
        raise InputError(
            f"{folder}: contains sound files, but no clips.tsv; expected a data directory; to make "
            "one from folders with the names of the classes, run: "
            f"{make_step('prepare', 'folders', folder, 'DATA_SET')}"
        )
    return folder


def _contains_sounds(folder: Path) -> bool:
    from wsedtk.data.clip_names import has_audio_extension

    files = (name for _, _, names in os.walk(folder) for name in names)
    return any(map(has_audio_extension, itertools.islice(files, _MOST_FILES)))


def _check_model_dir(model_dir: Path) -> None:
    name = Path(os.path.abspath(model_dir)).name
    if name in ("data", "feats"):
        raise InputError(
            f"{model_dir}: the folder {name} beside the model directory is for other files; choose "
            "another name for the model directory"
        )
    if (model_dir / "clips.tsv").exists():
        raise InputError(f"{model_dir}: contains a data set; choose another folder for the model")


def default_num_valid(dataset: "DataSet") -> int:
    """Return the number of clips that are held out for validation.

    It is a sixth of the clips with known tags, but at most 1000, at least two for each class, and
    at most half of the clips.
    """
    num_known = int((~dataset.has_unknown_tags()).sum())
    wanted = min(round(num_known * VALID_SHARE), MOST_VALID)
    wanted = max(wanted, VALID_PER_CLASS * len(dataset.labels))
    return max(1, min(wanted, num_known // 2))


def _durations(dataset: "DataSet", data_set: Path) -> tuple[str, ...]:
    """Return the option of `extract` for the longest duration of a clip, if it needs one."""
    longest = float(dataset.durations.max(initial=0))
    if longest > MOST_SECONDS:
        clip = dataset.filenames[int(dataset.durations.argmax())]
        raise InputError(
            f"{data_set}: {str(clip)!r} lasts {longest:g} s; expected clips of at most "
            f"{MOST_SECONDS:g} s; cut long recordings into clips (prepare folders, prepare table "
            "and prepare annotations do this)"
        )
    return () if longest <= CLIP_SECONDS else ("--max-seconds", str(math.ceil(longest)))


def _initial_model(options: BuildOptions) -> "ModelSpec | None":
    """Return the content of model.yaml of the initial model, if there is one."""
    if options.init is None:
        return None
    from wsedtk.models import checkpoint
    from wsedtk.models.ready_directories import find_model_directory

    return checkpoint.read_spec(find_model_directory(options.init))


def _training(options: BuildOptions, initial: "ModelSpec | None", num_fit: int) -> tuple[str, ...]:
    """Return the options of `train` for the configuration and the initial model.

    Parameters
    ----------
    options : BuildOptions
    initial : ModelSpec or None
        The initial model.
    num_fit : int
        The number of clips to train on.
    """
    from wsedtk.core import config
    from wsedtk.training.train_config import TrainConfig

    settings: list[str] = []
    if options.config is not None:
        name = str(options.config)
    else:
        recommended, settings = _recommended(options, initial)
        name = recommended.config
        every = config.load(TrainConfig, name, settings).checkpoint_every
        factor = num_fit / recommended.num_clips
        is_given = any(one.startswith("checkpoint_every=") for one in options.settings)
        if every is not None and factor > 1 and not is_given:
            settings.append(f"checkpoint_every={round(every * factor)}")
    if options.seed:
        settings.append(f"seed={options.seed}")
    settings += options.settings
    config.load(TrainConfig, name, settings)  # finds wrong settings before the first command runs
    words = ["--config", name]
    for one in settings:
        words += ["--set", one]
    if options.init is not None:
        words += ["--init", str(options.init)]
    return tuple(words)


def _recommended(
    options: BuildOptions, initial: "ModelSpec | None"
) -> tuple[Recommended, list[str]]:
    """Return the recommended configuration, and settings that adapt it to the initial model."""
    if initial is None:
        return FROM_SCRATCH, []
    if initial.network in FROM_MODEL:
        return FROM_MODEL[initial.network], []
    from wsedtk.core import config
    from wsedtk.training.train_config import TrainConfig

    if initial.network != config.load(TrainConfig, FROM_SCRATCH.config).network:
        raise InputError(
            f"{options.init}: there is no recommended configuration for the network "
            f"{initial.network}; choose a configuration (--config)"
        )
    # The new network has the options of the initial model.
    return FROM_SCRATCH, ["network=null", "network_options={}", f"pooling={initial.pooling}"]


def _frontend(options: BuildOptions, initial: "ModelSpec | None") -> tuple[tuple[str, str], str]:
    """Return the option of `extract` for the front end, and the folder of the features in `feats`.

    Features with the usual front end are in `feats` itself. The folder of other features has the
    name of the initial model.
    """
    from wsedtk.audio.frontend import FrontendConfig
    from wsedtk.core import config

    usual = config.load(FrontendConfig, FRONTEND)
    if initial is None or initial.frontend_config() == usual:
        return ("--config", FRONTEND), ""
    assert options.init is not None
    return ("--frontend", str(options.init)), Path(os.path.abspath(options.init)).name
