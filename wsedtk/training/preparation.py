"""The inputs of a training run: data directories, the network and its initial weights.

F is the number of mel bins.
"""

import dataclasses
import logging
import platform

import numpy as np
import numpy.typing as npt
import torch

from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.wording import counted
from wsedtk.data import clip_sets, datadir, tables
from wsedtk.data.store import FeatureStore
from wsedtk.models import checkpoint
from wsedtk.models.body_network import BodyNetwork
from wsedtk.models.checkpoint import ModelSpec
from wsedtk.models.layers import Network
from wsedtk.models.ready_directories import FIRST_MODEL, READY_MODEL
from wsedtk.training.feature_batches import FeatureBatches
from wsedtk.training.train_config import TrainConfig

_LOG = logging.getLogger(__name__)


Statistics = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def made_by() -> dict[str, str]:
    """Return the version and the commit of wsedtk, and the versions of PyTorch and Python."""
    return {
        **provenance.made_by(),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }


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
        If the network has no body, or if its body has fewer layers.
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
            "head; choose a ready model as init_dir (--init); wsedtk models lists them"
        )
    num_layers = len(network.body_layers)
    num_frozen = {"none": 0, "all": num_layers}.get(str(cfg.freeze), cfg.freeze)
    assert isinstance(num_frozen, int)  # `from_mapping` checks it
    if num_frozen > num_layers:
        raise InputError(
            f"freeze: the body of the network {cfg.network} has {counted(num_layers, 'layer')}, "
            f"found {num_frozen}; expected all, none, or a number of layers from 0 to {num_layers}"
        )
    network.freeze(num_frozen)


def model_spec(
    cfg: TrainConfig, store: FeatureStore, fit: FeatureBatches, statistics: Statistics
) -> ModelSpec:
    """Return the content of model.yaml for a model that is not trained yet.

    Parameters
    ----------
    cfg : TrainConfig
        The settings.
    store : FeatureStore
        The features.
    fit : FeatureBatches
        The clips to train on.
    statistics : pair of (F,) arrays
        Mean and standard deviation of the training features.

    Raises
    ------
    InputError
        If `network_options` contains a `num_mels` that is not the number of mel bins of the
        features.
    """
    # The network uses float32. The additional digits of float64 would depend on the order of the
    # feature files.
    mean, std = (v.astype(np.float32) for v in statistics)
    longest = (
        int(store.num_frames[fit.rows].max())
        * store.frontend["hop"]
        / store.frontend["sample_rate"]
    )
    trained = {
        **made_by(),
        "seed": cfg.seed,
        "clip_seconds": longest,
        "fit_clips": len(fit.dataset),
        "fit_clips_fingerprint": clip_sets.fingerprint_clips(fit.dataset.filenames),
        "fit_fingerprint": fit.dataset.fingerprint(),
        "features_fingerprint": store.fingerprint,
    }
    options = {"num_mels": store.frontend["num_mels"], **cfg.network_options}
    if options["num_mels"] != store.frontend["num_mels"]:
        raise InputError(
            f"network_options: num_mels is {options['num_mels']!r}, but the features have "
            f"{store.frontend['num_mels']} mel bins; remove num_mels"
        )
    assert cfg.network is not None  # see `with_network`
    return checkpoint.ModelSpec(
        cfg.network,
        options,
        cfg.pooling,
        tuple(fit.dataset.labels),
        store.frontend,
        tuple(mean.tolist()),
        tuple(std.tolist()),
        cfg.hierarchy,
        cfg.groups,
        trained,
    )


def describe(network: Network, spec: ModelSpec) -> str:
    """Return a table of the layers of a network, as text.

    The table contains the output shapes for features of 10 s and the numbers of parameters. The
    last line of the text contains the total number of parameters and the time resolution. The
    network is in evaluation mode afterwards.
    """
    frontend = spec.frontend_config()
    rows: list[tuple[str, str, str, int]] = []
    hooks = []
    for name, module in network.named_modules():
        if name and not list(module.children()):

            def note(module: torch.nn.Module, _: object, output: object, name: str = name) -> None:
                shape = getattr(output[0] if isinstance(output, tuple) else output, "shape", "")
                rows.append(
                    (
                        name,
                        type(module).__name__,
                        "x".join(map(str, shape)),
                        sum(p.numel() for p in module.parameters()),
                    )
                )

            hooks.append(module.register_forward_hook(note))
    with torch.inference_mode():
        output = network.eval()(
            torch.zeros(1, round(10 / frontend.seconds_per_frame), frontend.num_mels)
        )
    for hook in hooks:
        hook.remove()
    seconds = frontend.seconds_per_frame * network.time_reduction
    lines = [f"{'layer':16} {'kind':12} {'output for 10 s':>18} {'parameters':>11}"]
    lines += [f"{name:16} {kind:12} {shape:>18} {count:11,}" for name, kind, shape, count in rows]
    hierarchy = f", hierarchy {spec.hierarchy} {list(spec.groups)}" if spec.hierarchy else ""
    lines += [
        f"{sum(p.numel() for p in network.parameters()):,} parameters, {spec.pooling} "
        f"pooling{hierarchy}, {output.frame.shape[1]} frames of {seconds:g} s in 10 s, "
        f"{counted(len(spec.labels), 'class')}"
    ]
    return "\n".join(lines)


def check_groups(network: Network, num_frames: int, fit_set: PathLike) -> None:
    """Check that the frame weights of hierarchical pooling have a gradient.

    The frame weights have no gradient if one group with constant weights contains all frames of a
    clip. See `Pooling.has_constant_weights`.

    Parameters
    ----------
    network : Network
        The network.
    num_frames : int
        The number of feature frames of the longest clip in `fit_set`.
    fit_set : path-like
        The data directory of the training clips, for messages.

    Raises
    ------
    InputError
        If the frame weights of the longest clip have no gradient.
    """
    pooling, num_frames = network.pooling, max(1, num_frames // network.time_reduction)
    if pooling.has_constant_weights(num_frames):
        what = "product" if pooling.hierarchy == "published-all" else "first number"
        raise InputError(
            f"groups {list(pooling.groups)}: one group contains all {num_frames} output frames of "
            f"the longest clip of {fit_set}, so the weights of {pooling.method} pooling with "
            f"hierarchy {pooling.hierarchy} have no gradient; choose groups whose {what} is "
            f"smaller than {num_frames}, or hierarchy plain"
        )


def read_sets(
    fit_set: PathLike, valid_set: PathLike, store: FeatureStore
) -> tuple[FeatureBatches, FeatureBatches]:
    """Read the data directories of a training run, and find their features.

    Parameters
    ----------
    fit_set, valid_set : path-like
        The data directories of the training set and of the validation set.
    store : FeatureStore
        The features.

    Returns
    -------
    fit, valid : FeatureBatches
        The clips of each set that have features.

    Raises
    ------
    InputError
        If a set can't be read, if none of the returned clips of a set has a tag, if the features do
        not fit a set (see `FeatureBatches`), if the two sets have a common clip, or if they do not
        have the same classes in the same order.
    """
    fit_data, valid_data = datadir.read(fit_set), datadir.read(valid_set)
    if fit_data.labels != valid_data.labels:
        raise InputError(
            f"{valid_set}: labels.txt differs from labels.txt in {fit_set}; use two sets with the "
            "same classes in the same order"
        )
    shared = valid_data.filenames[tables.find(fit_data.filenames, valid_data.filenames) >= 0]
    if len(shared):
        raise InputError(
            f"{valid_set}: contains clips that are also in {fit_set}: "
            f"{tables.first(shared.tolist())}; remove these clips from one of the two sets"
        )
    fit = FeatureBatches(store, fit_data, fit_set)
    valid = FeatureBatches(store, valid_data, valid_set)
    for batches, folder in ((fit, fit_set), (valid, valid_set)):
        if not len(batches.dataset.tag_clip):
            raise InputError(f"{folder}: no clip with features has a tag; add tags to tags.tsv")
        untagged = len(batches.dataset.clips_of_classes()[-1])
        if batches.num_left_out:
            _LOG.warning(
                f"{folder}: the clips for which extract failed are left out "
                f"({batches.num_left_out} of {batches.num_left_out + len(batches.dataset)} clips)"
            )
        if untagged:
            _LOG.warning(
                f"{folder}: all classes count as absent in the clips without tags "
                f"({untagged} of {len(batches.dataset)} clips)"
            )
    return fit, valid


def _outputs(spec: ModelSpec) -> set[str]:
    """Return the names of the tensors whose shape depends on the number of classes."""
    tensors = spec.build().state_dict()
    wider = dataclasses.replace(spec, labels=(*spec.labels, "")).build().state_dict()
    return {name for name, tensor in tensors.items() if wider[name].shape != tensor.shape}


def initialise(network: Network, spec: ModelSpec, init_dir: PathLike) -> ModelSpec:
    """Copy the weights of a model directory into a network.

    Tensors whose shape depends on the number of classes are copied only if both models have the
    same classes in the same order. If the network has a body and a head, the head may be another
    one, and the body may have another time resolution. The tensors of the head are then copied as
    far as they have the same shapes.

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
    ModelSpec
        A copy of `spec` with the mean, the standard deviation and the fingerprint of the model in
        `init_dir`.

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
    kept = {name for name in outputs & their_outputs if found.labels == spec.labels}
    new, left = outputs - kept, their_outputs - kept
    if isinstance(network, BodyNetwork):
        differing = {
            name
            for name in (theirs.keys() | mine.keys()) - network.body_tensors()
            if name not in mine or name not in theirs or theirs[name].shape != mine[name].shape
        }
        new |= differing & mine.keys()
        left |= differing & theirs.keys()
    if new:
        why = ""
        if found.labels != spec.labels:
            why = ", because the classes or their order are different"
        _LOG.info(
            f"{init_dir}: {', '.join(n for n in mine if n in new)} start from random weights{why}"
        )
    tensors = {name: tensor for name, tensor in theirs.items() if name not in left}
    tensors.update((name, mine[name]) for name in new)
    checkpoint.check_tensors(tensors, mine, what)
    network.load_state_dict(tensors)
    trained = {**spec.trained, "init": fingerprint}
    for key in (READY_MODEL, FIRST_MODEL):
        if key in found.trained:
            trained[FIRST_MODEL] = found.trained[key]
    return dataclasses.replace(spec, mean=found.mean, std=found.std, trained=trained)
