"""Change the time resolution of a model whose network has the option `dense`."""

import dataclasses

import torch

from wsedtk.core.errors import InputError
from wsedtk.models.checkpoint import LoadedModel, ModelSpec

_LARGEST = 16  # maximum of `dense` that is tried
_TOLERANCE = 1e-6  # seconds


def _resolutions(spec: ModelSpec) -> dict[float, ModelSpec]:
    """Return a description of the model for each time resolution in seconds."""
    found: dict[float, ModelSpec] = {}
    for dense in range(_LARGEST + 1):
        candidate = dataclasses.replace(
            spec, network_options={**spec.network_options, "dense": dense}
        )
        try:
            with torch.device("meta"):  # does not allocate memory
                network = candidate.build()
        except InputError:  # the network does not have the option, or the number is too large
            break
        found.setdefault(candidate.size(network)["seconds_per_frame"], candidate)
    return found


def at_resolution(
    model: LoadedModel, seconds_per_frame: float, option: str = "--seconds-per-frame"
) -> LoadedModel:
    """Return a model with the same weights and another time resolution.

    Parameters
    ----------
    model : LoadedModel
        The model.
    seconds_per_frame : float
        The duration of an output frame in seconds.
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
    now = model.spec.size(model.network)["seconds_per_frame"]
    if abs(now - seconds_per_frame) < _TOLERANCE:
        return model
    resolutions = _resolutions(model.spec)
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
