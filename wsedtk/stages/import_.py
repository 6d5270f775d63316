"""import: the published weights of Wang, Li & Metze's networks -> a model directory.

The weights are the checkpoints of the GitHub repository cmu-thesis.
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from wsedtk.audio.frontend import FrontendConfig
from wsedtk.core import config, provenance
from wsedtk.core.errors import InputError
from wsedtk.data import datadir
from wsedtk.models import checkpoint
from wsedtk.models.normalizers import read_normalizer
from wsedtk.models.published_weights import (
    Tensors,
    add_batch_counters,
    check_numbers,
    read_checkpoint,
)
from wsedtk.report import model_card
from wsedtk.stages.options.systems import ImportOptions


@dataclasses.dataclass(frozen=True)
class ImportResult:
    """The result of `run`: a model directory with imported weights.

    Attributes
    ----------
    model_dir : Path
        The model directory.
    network : str
        The name of the network.
    num_classes : int
        Number of classes.
    num_parameters : int
        Number of parameters of the network.
    pooling : str
        The pooling method.
    pooling_is_assumed : bool
        Whether the pooling is assumed, because neither the options nor the weights determine it.
    """

    model_dir: Path
    network: str
    num_classes: int
    num_parameters: int
    pooling: str
    pooling_is_assumed: bool


class Recognised(NamedTuple):
    """The name of a network, and its options."""

    network: str
    options: dict[str, Any]


def _size(tensors: Mapping[str, torch.Tensor], name: str, axis: int, default: int) -> int:
    """Return the size of an axis of a tensor, or the default if the tensor or axis is missing."""
    tensor = tensors.get(name)
    return tensor.shape[axis] if tensor is not None and tensor.dim() > axis else default


def recognise(tensors: Mapping[str, torch.Tensor], num_mels: int) -> Recognised:
    """Return the network that tensors belong to, and the options of the network.

    If the tensors do not determine the size of a layer, the published size is used.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        The weights.
    num_mels : int
        The number of mel bins of the front end.
    """
    numbers = [int(m[1]) for m in (re.match(r"conv(\d{1,2})\.", name) for name in tensors) if m]
    if any(re.fullmatch(r"conv\d{1,2}\.(conv|bn)\..*", name) for name in tensors):
        embedding_size = _size(tensors, "gru.weight_ih_l0", 1, 1024)
        num_convs = max(numbers)
        num_channels = _size(tensors, f"conv{num_convs}.conv.weight", 0, 512)
        num_bins = max(1, embedding_size // num_channels)  # mel bins after all pooling layers
        options = {
            "num_mels": num_mels,
            "embedding_size": embedding_size,
            "num_convs": num_convs,
            "num_pools": max(1, (num_mels // num_bins).bit_length() - 1),
        }
        return Recognised("talnet", options)
    channels = [
        _size(tensors, f"conv{i}.weight", 0, size) for i, size in ((1, 32), (2, 64), (3, 128))
    ]
    num_hidden = _size(tensors, "gru.weight_hh_l0", 1, 100)
    return Recognised(
        "dcase-crnn", {"num_mels": num_mels, "channels": channels, "num_hidden": num_hidden}
    )


def _pooling(tensors: Mapping[str, torch.Tensor], wanted: str | None) -> tuple[str, bool]:
    """Return the pooling method, and whether it is assumed."""
    if wanted is not None:
        return wanted, False
    if any(name.startswith("fc_att.") for name in tensors):
        return "attention", False
    return "linear", True


def _load_weights(network: torch.nn.Module, tensors: Tensors, message: str) -> None:
    """Copy published tensors into a network. Raises InputError if the tensors do not fit."""
    expected = {name.removeprefix("head."): tensor for name, tensor in network.state_dict().items()}
    add_batch_counters(tensors, expected)
    checkpoint.check_tensors(tensors, expected, message)
    network.load_state_dict(
        {name: tensors[name.removeprefix("head.")] for name in network.state_dict()}
    )


def run(options: ImportOptions) -> ImportResult:
    """Make a model directory from published weights, as `wsedtk import` does.

    Parameters
    ----------
    options : ImportOptions
        The inputs and the model directory.

    Returns
    -------
    ImportResult

    Raises
    ------
    InputError
        If an input is wrong, the inputs do not fit each other, or the model directory already
        contains a model or a training run.
    """
    source, model_dir = options.checkpoint, Path(options.model_dir)
    if (model_dir / "model.yaml").exists() or (model_dir / "config.yaml").exists():
        raise InputError(
            f"{model_dir}: contains a model or a training run; choose another directory, or remove "
            "this directory"
        )
    frontend = config.load(FrontendConfig, options.frontend)
    labels = tuple(datadir.read_labels(Path(options.labels)))
    mean, std = read_normalizer(options.normalizer, frontend.num_mels)
    tensors = read_checkpoint(source)
    check_numbers(source, tensors)
    network_name, network_options = recognise(tensors, frontend.num_mels)
    pooling, is_assumed = _pooling(tensors, options.pooling)
    trained = {
        "imported_from": Path(source).name,
        "fingerprint": provenance.fingerprint_file(Path(source)),
        **provenance.made_by(),
    }
    spec = checkpoint.ModelSpec(
        network_name,
        network_options,
        pooling,
        labels,
        frontend.settings(),
        tuple(mean.tolist()),
        tuple(std.tolist()),
        trained=trained,
    )
    try:
        network = spec.build()
    except InputError as error:
        raise InputError(
            f"{source}: the weights do not fit the front end {options.frontend} and {pooling} "
            f"pooling: {error}"
        ) from None
    num_outputs = _size(tensors, "fc_prob.weight", 0, len(labels))
    if num_outputs != len(labels):
        raise InputError(
            f"{options.labels}: the number of classes is {len(labels)}; expected {num_outputs}, "
            f"one class for each output of the network in {source}"
        )
    _load_weights(
        network, tensors, f"{source}: is not a published {network_name} with {pooling} pooling"
    )
    spec = dataclasses.replace(spec, trained={**spec.trained, **spec.size(network)})
    checkpoint.save_model(model_dir, spec, network.state_dict())
    model_card.refresh(model_dir)
    num_parameters = int(spec.trained["parameters"])
    return ImportResult(model_dir, network_name, len(labels), num_parameters, pooling, is_assumed)
