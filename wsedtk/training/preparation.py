"""The description of the network of a training run, and checks of it.

F is the number of mel bins.
"""

import platform

import numpy as np
import numpy.typing as npt
import torch

from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.wording import counted
from wsedtk.data import clip_sets
from wsedtk.data.store import FeatureStore
from wsedtk.models import checkpoint
from wsedtk.models.checkpoint import ModelSpec
from wsedtk.models.layers import Network
from wsedtk.training.train_config import TrainConfig
from wsedtk.training.training_sets import TrainingSets

Statistics = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def made_by() -> dict[str, str]:
    """Return the version and the commit of wsedtk, and the versions of PyTorch and Python."""
    return {
        **provenance.made_by(),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }


def model_spec(
    cfg: TrainConfig, store: FeatureStore, sets: TrainingSets, statistics: Statistics
) -> ModelSpec:
    """Return the content of model.yaml for a model that is not trained yet.

    Parameters
    ----------
    cfg : TrainConfig
        The settings.
    store : FeatureStore
        The features.
    sets : TrainingSets
        The data sets.
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
        int(store.num_frames[sets.fit.rows].max())
        * store.frontend["hop"]
        / store.frontend["sample_rate"]
    )
    trained = {
        **made_by(),
        "seed": cfg.seed,
        "clip_seconds": longest,
        "fit_clips": len(sets.own),
        "fit_clips_fingerprint": clip_sets.fingerprint_clips(sets.own.filenames),
        "fit_fingerprint": sets.own.fingerprint(),
        "features_fingerprint": store.fingerprint,
    }
    options = {"num_mels": store.frontend["num_mels"], **cfg.network_options}
    if options["num_mels"] != store.frontend["num_mels"]:
        raise InputError(
            f"network_options: num_mels is {options['num_mels']!r}, but the features have "
            f"{store.frontend['num_mels']} mel bins; remove num_mels"
        )
    assert cfg.network is not None  # see `initial_model.with_network`
    return checkpoint.ModelSpec(
        cfg.network,
        options,
        cfg.pooling,
        tuple(sets.own.labels),
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
    wide = max(16, *(len(name) for name, *_ in rows))
    lines = [f"{'layer':{wide}} {'kind':16} {'output for 10 s':>18} {'parameters':>11}"]
    lines += [
        f"{name:{wide}} {kind:16} {shape:>18} {count:11,}" for name, kind, shape, count in rows
    ]
    hierarchy = f", hierarchy {spec.hierarchy} {list(spec.groups)}" if spec.hierarchy else ""
    num_trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    num_parameters = sum(p.numel() for p in network.parameters())
    trained = f" ({num_trained:,} of them are trained)" if num_trained < num_parameters else ""
    lines += [
        f"{num_parameters:,} parameters{trained}, {spec.pooling} "
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
