"""Model directories and training checkpoints.

A model directory contains `model.safetensors` (the tensors of the network) and `model.yaml`
(`ModelSpec`, all other information that is needed to run the network). Checkpoints are written by
`torch.save`. They contain tensors and plain Python values, and are loaded with `weights_only=True`.

**Untrusted models.** Reading a model directory does not run code from it, and needs memory only in
proportion to the size of its files. There is one exception: `model.yaml` can name a network or a
pooling function as `package.module:Class`. Loading the model then imports `package.module` and
calls the class, which can run any code of that module with the rights of the user. Therefore
`load_model` imports `package.module` only if the environment variable WSEDTK_NETWORKS contains the
name of the package, or if the caller trusts the class (argument `trusted`). Otherwise, `load_model`
raises InputError. After the import, `load_model` checks that the class derives from
`torch.nn.Module` or `PoolingFunction`. This check detects mistakes, but does not protect against
harmful modules.
"""

import dataclasses
import io
import logging
import os
import re
import warnings
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from wsedtk.audio.frontend import FrontendConfig
from wsedtk.core import config, provenance
from wsedtk.core.atomic import write_text, writing
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.data.tables import normal
from wsedtk.models.layers import Network
from wsedtk.models.network import build_network

_LOG = logging.getLogger(__name__)


TRUSTED = "WSEDTK_NETWORKS"
_DTYPES = (
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int64,  # counters of batch norm
)


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """The content of model.yaml, which describes a network, its inputs and its outputs.

    Attributes
    ----------
    network : str
        The name of the network; see `build_network`.
    network_options : dict
        The options of the network.
    pooling : str
        The pooling method; see `Pooling`.
    labels : tuple of str
        The K classes.
    frontend : dict
        The settings of the front end; see `FrontendConfig`.
    mean, std : tuple of float
        The mean and the standard deviation that normalise each of the F mel bins.
    hierarchy : str, optional
        The kind of hierarchical pooling; see `Pooling`. None means single pooling.
    groups : tuple of int
        The sizes of the groups of hierarchical pooling; see `Pooling`.
    trained : dict
        The origin of the weights. For a trained model, the entries include the versions of wsedtk,
        PyTorch and Python, the seed, and fingerprints of the data. For an imported model, they
        include the name of the file from which the weights were imported.
    weights_fingerprint : str, optional
        The fingerprint of model.safetensors. None if it is not known.

    Raises
    ------
    ValueError
        If `mean` or `std` does not contain one finite number for each mel bin, if a number in `std`
        is negative, or if `labels` is empty or contains a class twice.
    """

    network: str
    network_options: dict[str, Any]
    pooling: str
    labels: tuple[str, ...]
    frontend: dict[str, Any]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    hierarchy: str | None = None
    groups: tuple[int, ...] = ()
    trained: dict[str, Any] = dataclasses.field(default_factory=dict)
    weights_fingerprint: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(map(normal, self.labels)))
        values = np.array([*self.mean, *self.std], np.float32)
        is_finite = bool(np.isfinite(values).all())
        if len(self.mean) != len(self.std) or not is_finite or min(self.std, default=0) < 0:
            raise ValueError(
                "mean and std must be lists of finite numbers, one for each mel bin, with std >= 0"
            )
        if len(set(self.labels)) < len(self.labels) or not self.labels:
            raise ValueError("labels must contain at least one class, and no class twice")
        if self.frontend.get("num_mels", len(self.mean)) != len(self.mean):
            raise ValueError(
                f"mean and std have {len(self.mean)} numbers each, but the front end has "
                f"{self.frontend['num_mels']!r} mel bins"
            )

    def build(self) -> Network:
        """Return the network with new weights. Raises InputError if it can't be built."""
        own = ("name", "num_classes", "pooling", "hierarchy", "groups")
        for key in self.network_options:
            if not isinstance(key, str) or key in own:
                raise InputError(
                    f"network_options: {key!r} can't be set here; remove it from network_options "
                    "(pooling, hierarchy and groups are separate settings)"
                )
        return build_network(
            self.network,
            len(self.labels),
            self.pooling,
            self.hierarchy,
            self.groups,
            **self.network_options,
        )

    def frontend_config(self) -> FrontendConfig:
        """Return the front end of the model. Raises InputError if a setting of it is wrong."""
        return config.from_mapping(FrontendConfig, self.frontend, "model.yaml: frontend")

    def size(self, network: Network) -> dict[str, float]:
        """Return the number of parameters and the time resolution of a network.

        Returns
        -------
        dict
            `parameters` is the number of parameters of the network. `seconds_per_frame` is the time
            from one output frame to the next, in seconds.
        """
        seconds = round(self.frontend_config().seconds_per_frame * network.time_reduction, 9)
        return {
            "parameters": sum(p.numel() for p in network.parameters()),
            "seconds_per_frame": seconds,
        }


class LoadedModel(NamedTuple):
    """A model that was read from a model directory.

    Attributes
    ----------
    spec : ModelSpec
        The content of model.yaml.
    network : Network
        The network with its weights, in evaluation mode.
    fingerprint : str
        The fingerprint of model.safetensors and of model.yaml without `trained`.
    """

    spec: ModelSpec
    network: Network
    fingerprint: str


def save_tensors(path: PathLike, tensors: Mapping[str, Tensor]) -> None:
    """Write named tensors to a safetensors file, atomically."""
    content = safetensors.torch.save({name: t.contiguous() for name, t in tensors.items()})
    # `write_bytes` raises OSError if the disk is full. The functions of safetensors and torch that
    # write files do not.
    with writing(path) as temporary:
        temporary.write_bytes(content)


def load_safetensors(path: Path) -> tuple[dict[str, Tensor], bytes]:
    """Return the tensors and the bytes of a safetensors file.

    Raises InputError if the file can't be read.
    """
    try:
        content = path.read_bytes()
        return safetensors.torch.load(content), content
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from None
    except (
        safetensors.SafetensorError,
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,
        MemoryError,
    ) as error:
        raise InputError(f"{path}: is not a safetensors file, or is damaged ({error})") from None


def check_tensors(
    tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], where: str
) -> None:
    """Check that tensors have the same names and shapes as the tensors of a network.

    Parameters
    ----------
    tensors, expected : mapping of str to Tensor
        The tensors to check, and the tensors of the network.
    where : str
        The text with which messages start.

    Raises
    ------
    InputError
        If a tensor of the network is missing or has a different shape, or if the network does not
        have one of the checked tensors. The message names the first such tensor.
    """
    for name, tensor in expected.items():
        if name not in tensors:
            raise InputError(
                f"{where}: the tensor {name!r} of the shape {tuple(tensor.shape)} is missing"
            )
        if tensors[name].shape != tensor.shape:
            raise InputError(
                f"{where}: the tensor {name!r} has the shape {tuple(tensors[name].shape)}, "
                f"expected {tuple(tensor.shape)}"
            )
    for name, tensor in tensors.items():
        if name not in expected:
            raise InputError(
                f"{where}: the network does not have the tensor {name!r} of the shape "
                f"{tuple(tensor.shape)}"
            )


def save_model(folder: PathLike, spec: ModelSpec, tensors: Mapping[str, Tensor]) -> None:
    """Write a model directory.

    model.yaml is written last. Therefore a new directory that contains model.yaml is complete.
    """
    folder = Path(folder)
    save_tensors(folder / "model.safetensors", tensors)
    spec = dataclasses.replace(
        spec,
        weights_fingerprint=provenance.fingerprint((folder / "model.safetensors").read_bytes()),
    )
    write_text(folder / "model.yaml", config.to_yaml(config.to_mapping(spec)))


def _package(name: str) -> str:
    """Return the name of the package of `package.module:Class`."""
    return name.partition(":")[0].partition(".")[0]


def _trusted_packages() -> list[str]:
    packages = [package.strip() for package in os.environ.get(TRUSTED, "").split(",")]
    return [package for package in packages if package]


def _untrusted(spec: ModelSpec, trusted: Collection[str] = ()) -> list[str]:
    """Return the names of the user-defined classes of a model that are not trusted.

    A model has at most two user-defined classes: its network and its pooling function.
    """
    packages = _trusted_packages()
    return [
        name
        for name in (spec.network, spec.pooling)
        if ":" in name and name not in trusted and _package(name) not in packages
    ]


def is_trusted(spec: ModelSpec) -> bool:
    """Return whether loading the model runs only code of wsedtk and of trusted packages."""
    return not _untrusted(spec)


def read_spec(folder: PathLike) -> ModelSpec:
    """Read the model.yaml of a model directory. Raises InputError if it is missing or wrong."""
    path = Path(folder) / "model.yaml"
    return config.from_mapping(ModelSpec, config.read_yaml(path), str(path))


def load_model(folder: PathLike, trusted: Collection[str] = ()) -> LoadedModel:
    """Read a model directory.

    See the docstring of this module for the risks of model directories from untrusted sources.

    Parameters
    ----------
    folder : path-like
        The model directory.
    trusted : collection of str
        The names `package.module:Class` of networks and pooling functions that may be imported. The
        packages in the environment variable WSEDTK_NETWORKS may be imported too. Its value contains
        the names of packages, separated by commas, for example "mine,theirs".

    Returns
    -------
    LoadedModel

    Raises
    ------
    InputError
        If the folder is not a complete model directory, if one of its files is damaged or wrong, if
        model.yaml names a user-defined class that is not trusted, if a user-defined network does
        not derive from `torch.nn.Module`, or if a user-defined pooling function does not derive
        from `PoolingFunction`.
    """
    folder = Path(folder)
    if not (folder / "model.yaml").is_file():
        raise InputError(
            f"{folder}: has no model.yaml; it is not a model directory, or its training is not "
            "finished"
        )
    described = config.read_yaml(folder / "model.yaml")
    spec = config.from_mapping(ModelSpec, described, str(folder / "model.yaml"))
    if untrusted := _untrusted(spec, trusted):
        names = " and ".join(map(repr, untrusted))
        packages = dict.fromkeys([*_trusted_packages(), *map(_package, untrusted)])
        raise InputError(
            f"{folder}: model.yaml names code from outside wsedtk, {names}, which runs only with "
            "your consent; if you trust this code, set the environment variable "
            f"{TRUSTED}={','.join(packages)}"
        )
    tensors, content = load_safetensors(folder / "model.safetensors")
    _check_types(tensors, folder)
    network = _build(spec, tensors, folder)
    _check_finite(tensors, folder)
    found = provenance.fingerprint(content)
    _LOG.debug(f"read {folder}: {spec.network}, {len(spec.labels)} classes, fingerprint {found}")
    if spec.weights_fingerprint not in (None, found):
        raise InputError(
            f"{folder}: model.safetensors is damaged or belongs to another model: its fingerprint "
            f"is {found}, but model.yaml expects {spec.weights_fingerprint}; copy the whole "
            "directory again"
        )
    network.load_state_dict(tensors)
    return LoadedModel(spec, network.eval(), provenance.fingerprint_model(described, content))


def _build(spec: ModelSpec, tensors: Mapping[str, Tensor], folder: Path) -> Network:
    """Build the network of a model, and check that the tensors fit it.

    Raises InputError if the network can't be built, or if the tensors do not fit it.
    """
    where = f"{folder}: model.safetensors does not fit the network that model.yaml describes"
    try:
        spec.frontend_config()
        if ":" not in spec.network and ":" not in spec.pooling:
            with torch.device("meta"):  # check the sizes before memory is allocated
                check_tensors(tensors, spec.build().state_dict(), where)
        network = spec.build()
    except InputError as error:
        if str(folder) in str(error):
            raise
        reason = str(error).removeprefix("model.yaml: ")
        raise InputError(f"{folder / 'model.yaml'}: {reason}") from None
    check_tensors(tensors, network.state_dict(), where)
    return network


def _check_types(tensors: Mapping[str, Tensor], folder: Path) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES:
            raise InputError(
                f"{folder}: the tensor {name!r} in model.safetensors has the type {tensor.dtype}, "
                "expected float32, float64, float16, bfloat16 or int64"
            )


def _check_finite(tensors: Mapping[str, Tensor], folder: Path) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InputError(
                f"{folder}: the tensor {name!r} in model.safetensors contains numbers that are not "
                "finite"
            )


def save_checkpoint(path: PathLike, content: Mapping[str, object]) -> None:
    """Write a training checkpoint of tensors and plain Python values, atomically."""
    saved = io.BytesIO()
    torch.save(content, saved)
    with writing(path) as temporary:
        temporary.write_bytes(saved.getbuffer())


def load_checkpoint(path: PathLike) -> Any:
    """Read a training checkpoint.

    Parameters
    ----------
    path : path-like
        The checkpoint.

    Returns
    -------
    object
        The content of the checkpoint: tensors and plain Python values.

    Raises
    ------
    InputError
        If the file is missing or damaged, or contains objects that are neither tensors nor plain
        Python values.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    try:
        if zipfile.is_zipfile(path):  # the format of torch.save since PyTorch 1.6
            _check_archive(Path(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about pickles that it did not write
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make the unpickler raise various exceptions
        reason = _why_not_loaded(error)
        raise InputError(f"{path}: is not a checkpoint, or is damaged ({reason})") from None


def _check_archive(path: Path) -> None:
    """Check the sizes and checksums of an archive, because `torch.load` does not check them.

    Raises ValueError if a checksum is wrong, if a part of the archive is compressed, or if the
    parts together are larger than the archive. Raises `zipfile.BadZipFile` if the list of parts is
    damaged.
    """
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        is_compressed = any(part.compress_type for part in parts)
        if is_compressed or sum(part.file_size for part in parts) > path.stat().st_size:
            raise ValueError("it has compressed or overlapping parts; torch.save never writes them")
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"the checksum of {damaged} is wrong")


def _why_not_loaded(error: Exception) -> str:
    """Return the reason why loading a checkpoint raised an exception.

    The message of `torch.load` can advise to set `weights_only=False`. This advice is left out,
    because the setting is unsafe.
    """
    found = re.search(r"unsupported GLOBAL \S+|GLOBAL \S+", str(error), re.I)
    if found:
        return f"it contains an object that is neither a tensor nor a plain value: {found.group()}"
    if not str(error) or "Weights only" in str(error):
        return type(error).__name__
    return str(error).splitlines()[0]
