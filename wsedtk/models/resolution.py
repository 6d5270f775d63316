"""Change the time resolution of a model whose network can have several time resolutions."""

import dataclasses

import torch

from wsedtk.core.errors import InputError
from wsedtk.models.checkpoint import LoadedModel, ModelSpec
from wsedtk.models.layers import Network

_TOLERANCE = 1e-6  # seconds


def _resolutions(model: LoadedModel) -> dict[float, ModelSpec]:
    """Return a description of the model for each time resolution in seconds."""
    found: dict[float, ModelSpec] = {}
    options_of = getattr(type(model.network), "resolutions", Network.resolutions)
    for options in options_of(model.spec.network_options):
        candidate = dataclasses.replace(model.spec, network_options=options)
        with torch.device("meta"):  # does not allocate memory
            network = candidate.build()
        found.setdefault(candidate.size(network)["seconds_per_frame"], candidate)
    return found


def at_resolution(
    model: LoadedModel, seconds_per_frame: float | None, option: str = "--seconds-per-frame"
) -> LoadedModel:
    """Return a model with the same weights and another time resolution.

    Parameters
    ----------
    model : LoadedModel
        The model.
    seconds_per_frame : float or None
        The duration of an output frame in seconds. With None, the resolution is not changed.
    option : str
        The name of the option, for messages.

    Returns
    -------
    LoadedModel
        The model. Its fingerprint is the fingerprint of `model`.

    Raises
    ------
    InputError
        If the network can't have this time resolution.
    """
    if seconds_per_frame is None:
        return model
    now = model.spec.size(model.network)["seconds_per_frame"]
    if abs(now - seconds_per_frame) < _TOLERANCE:
        return model
    resolutions = _resolutions(model)
    for seconds, spec in resolutions.items():
        if abs(seconds - seconds_per_frame) < _TOLERANCE:
            network = spec.build()
            network.load_state_dict(model.network.state_dict())
            return LoadedModel(spec, network.eval(), model.fingerprint)
    possible = ", ".join(f"{seconds:g}" for seconds in sorted({now, *resolutions}))
    raise InputError(
        f"{option} {seconds_per_frame:g}: is not a time resolution of this model; expected one of "
        f"{possible} (seconds)"
    )
