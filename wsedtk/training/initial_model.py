"""The initial model of a training run: its network, its weights, and its frozen layers."""

import dataclasses
import logging
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.wording import counted
from wsedtk.data import datadir, tables
from wsedtk.data.clip_sets import DataSet
from wsedtk.inference import tuning_commands
from wsedtk.models import checkpoint
from wsedtk.models.body_network import BodyNetwork
from wsedtk.models.checkpoint import ModelSpec
from wsedtk.models.layers import Network
from wsedtk.models.ready_directories import FIRST_MODEL, READY_MODEL
from wsedtk.training.train_config import TrainConfig

_LOG = logging.getLogger(__name__)


def warn_of_known_clips(init_dir: PathLike, valid: DataSet, valid_set: PathLike) -> None:
    """Log a warning if the initial model was trained on clips of the validation set.

    Data directories of the initial model that are missing or faulty now are not compared.

    Parameters
    ----------
    init_dir : path-like
        The model directory of the initial model.
    valid : DataSet
        The validation set.
    valid_set : path-like
        Its data directory, for messages.
    """
    is_known = np.zeros(len(valid), bool)
    for folder in tuning_commands.fit_sets_of_model(init_dir):
        try:
            names = datadir.read(folder).filenames
        except InputError:
            continue
        is_known |= tables.find(names, valid.filenames) >= 0
    if is_known.any():
        clips = counted(int(is_known.sum()), "clip was", "clips were")
        _LOG.warning(
            f"{valid_set}: {clips} used to train the initial model {init_dir}: "
            f"{tables.first(valid.filenames[is_known].tolist())}; the metrics on the "
            "validation set are too high; use the validation set of the initial model, or other "
            "clips"
        )


def with_network(cfg: TrainConfig, init_dir: PathLike | None) -> TrainConfig:
    """Return settings that name a network.

    Parameters
    ----------
    cfg : TrainConfig
        The settings. If they do not name a network, the network and its options are those of the
        initial model. The options in `cfg` replace options of the initial model.
    init_dir : path-like, optional
        The model directory of the initial model. None if there is no initial model.

    Returns
    -------
    TrainConfig

    Raises
    ------
    InputError
        If the initial model can't be read, or if the settings need an initial model and there is
        none.
    """
    if init_dir is None:
        if cfg.freeze not in ("none", 0):
            raise InputError(
                f"freeze is {cfg.freeze}, but there is no initial model whose layers could be "
                "kept; give a model as init_dir (--init), or set freeze to none"
            )
        return dataclasses.replace(cfg, network=cfg.network or "dcase-crnn")
    if cfg.network is not None:
        return cfg
    spec = checkpoint.read_spec(init_dir)
    options = {k: v for k, v in spec.network_options.items() if k != "num_mels"}
    return dataclasses.replace(
        cfg, network=spec.network, network_options={**options, **cfg.network_options}
    )


def freeze(network: Network, cfg: TrainConfig) -> None:
    """Freeze the layers of the body that `cfg.freeze` determines.

    Raises
    ------
    InputError
        If a setting needs a network with a body and this network has none, or if the body has fewer
        layers than `cfg.freeze`.
    """
    settings = [
        name
        for name, is_used in (
            ("freeze", cfg.freeze not in ("none", 0)),
            ("body_learning_rate", cfg.body_learning_rate is not None),
        )
        if is_used
    ]
    if not settings:
        return
    if not isinstance(network, BodyNetwork):
        raise InputError(
            f"{' and '.join(settings)}: the network {cfg.network} does not consist of a body and a "
            "head; as init_dir (--init), choose a model whose network has both, for example yamnet"
        )
    num_layers = len(network.body_layers)
    num_frozen = {"none": 0, "all": num_layers}.get(str(cfg.freeze), cfg.freeze)
    assert isinstance(num_frozen, int)  # `from_mapping` checks it
    if num_frozen > num_layers:
        raise InputError(
            f"freeze: found {num_frozen}, but the body of the network {cfg.network} has "
            f"{counted(num_layers, 'layer')}; expected all, none, or a whole number from 0 to "
            f"{num_layers}"
        )
    network.freeze(num_frozen)


def _outputs(spec: ModelSpec) -> set[str]:
    """Return the names of the tensors whose shape depends on the number of classes."""
    tensors = spec.build().state_dict()
    wider = dataclasses.replace(spec, labels=(*spec.labels, "")).build().state_dict()
    return {name for name, tensor in tensors.items() if wider[name].shape != tensor.shape}


def _in_differing_layers(theirs: Mapping[str, Tensor], mine: Mapping[str, Tensor]) -> set[str]:
    """Return the names of all tensors in the layers whose tensors differ in name or in shape."""
    differing = {
        name.rpartition(".")[0]
        for name in theirs.keys() | mine.keys()
        if name not in mine or name not in theirs or theirs[name].shape != mine[name].shape
    }
    return {name for name in theirs.keys() | mine.keys() if name.rpartition(".")[0] in differing}


def initialise(
    network: Network, spec: ModelSpec, init_dir: PathLike
) -> tuple[ModelSpec, list[str]]:
    """Copy the weights of a model directory into a network.

    Tensors whose shape depends on the number of classes are copied only if both models have the
    same classes in the same order. If the network has a body and a head, the kind of head and the
    time resolution may differ from those of the model in `init_dir`. A layer of the head is copied
    only if its tensors have the same names and shapes in both models.

    Parameters
    ----------
    network : Network
        The network to change.
    spec : ModelSpec
        The content of model.yaml for this network.
    init_dir : path-like
        The model directory from which the weights are copied.

    Returns
    -------
    spec : ModelSpec
        A copy of `spec` with the mean, the standard deviation and the fingerprint of the model in
        `init_dir`.
    messages : list of str
        Messages that say which tensors keep their random weights, and why.

    Raises
    ------
    InputError
        If the model in `init_dir` can't be read, or has a different front end or network.
    """
    found, source, fingerprint = checkpoint.load_model(
        init_dir, trusted=(spec.network, spec.pooling)
    )
    if found.frontend != spec.frontend:
        raise InputError(
            f"{init_dir}: the front end of this model differs from the front end of the features; "
            "extract the features again, with this model as frontend (--frontend)"
        )
    what = (
        f"{init_dir}: contains the network {found.network} {found.network_options}, but the "
        "configuration has a different network"
    )
    is_same_resolution = source.time_reduction == network.time_reduction
    if found.network != spec.network or not (
        is_same_resolution or isinstance(network, BodyNetwork)
    ):
        raise InputError(f"{what}, {spec.network} {spec.network_options}")
    theirs, mine = source.state_dict(), network.state_dict()
    # `_outputs` draws random numbers, which must not change the random state of the training run.
    generator = torch.get_rng_state()
    outputs, their_outputs = _outputs(spec), _outputs(found)
    torch.set_rng_state(generator)
    # Only one of the networks has these tensors, for example the frame weights of attention.
    other = outputs ^ their_outputs
    if isinstance(network, BodyNetwork):
        other |= _in_differing_layers(theirs, mine) - network.body_tensors()
    by_classes = set() if found.labels == spec.labels else outputs | their_outputs
    messages = []
    for names, why in (
        (by_classes, "the classes or their order are different"),
        (other - by_classes, "the initial model has another head"),
    ):
        if new := [name for name in mine if name in names]:
            messages.append(
                f"{init_dir}: {', '.join(new)} start from random weights, because {why}"
            )
    left_out = by_classes | other
    tensors = {name: tensor for name, tensor in theirs.items() if name not in left_out}
    tensors.update((name, tensor) for name, tensor in mine.items() if name in left_out)
    checkpoint.check_tensors(tensors, mine, what)
    network.load_state_dict(tensors)
    trained = {**spec.trained, "init": fingerprint}
    for key in (READY_MODEL, FIRST_MODEL):
        if key in found.trained:
            trained[FIRST_MODEL] = found.trained[key]
    return dataclasses.replace(spec, mean=found.mean, std=found.std, trained=trained), messages
