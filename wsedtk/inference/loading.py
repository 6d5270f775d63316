"""Read a model directory, and prepare the network to compute scores."""

import torch

from wsedtk.core.paths import PathLike
from wsedtk.inference.network_runner import Runner
from wsedtk.models import checkpoint
from wsedtk.models.checkpoint import LoadedModel
from wsedtk.models.layers import fold_batch_norm
from wsedtk.models.resolution import at_resolution


def read_model(
    folder: PathLike, seconds_per_frame: float | None = None, option: str = "--seconds-per-frame"
) -> LoadedModel:
    """Read a model directory, and set the time resolution of the network.

    The random state of the caller does not change, although building a network draws random
    weights.

    Parameters
    ----------
    folder : path-like
        The model directory.
    seconds_per_frame : float, optional
        The duration of an output frame in seconds. By default, the duration that the model
        directory specifies.
    option : str
        The name of the option `seconds_per_frame`, for messages.

    Returns
    -------
    LoadedModel

    Raises
    ------
    InputError
        If the model can't be read (see `checkpoint.load_model`), or if the network can't have this
        time resolution.
    """
    with torch.random.fork_rng(devices=[]):
        return at_resolution(checkpoint.load_model(folder), seconds_per_frame, option)


def make_runner(model: LoadedModel, device: torch.device, precise: bool) -> Runner:
    """Return a runner of the network of a model.

    The network is changed, not copied: batch norm is folded into convolutions.

    Parameters
    ----------
    model : LoadedModel
        The model.
    device : torch.device
        The device on which the network runs.
    precise : bool
        Whether all computations use float32; see `Runner`.
    """
    fold_batch_norm(model.network)
    return Runner.of(model.network, model.spec.mean, model.spec.std, device, precise)
