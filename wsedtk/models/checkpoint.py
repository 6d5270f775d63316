"""Model directories and training checkpoints.

A model directory holds `model.safetensors` (the network's tensors) and `model.yaml` (`ModelSpec`: everything else that is
needed to run it). Checkpoints are torch.save of tensors and plain Python values, and are loaded with weights_only.
"""

import dataclasses
import io
import os
import re
import warnings
import zipfile
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from wsedtk.audio.frontend import FrontendConfig
from wsedtk.core import config, provenance
from wsedtk.core.atomic import write_text, writing
from wsedtk.core.errors import InputError
from wsedtk.core.progress import detail
from wsedtk.data.tables import normal
from wsedtk.models.network import build_network

TRUSTED = "WSEDTK_NETWORKS"
_DTYPES = (
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int64,
)  # the last of batch norm's counters


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """What model.yaml says: how to build the network, and what its inputs and outputs are."""

    network: str
    network_options: dict
    pooling: str
    labels: tuple[str, ...]
    frontend: dict
    mean: tuple[float, ...]  # (F,) of the training features
    std: tuple[float, ...]  # (F,)
    hierarchy: str | None = None  # of the pooling
    groups: tuple[int, ...] = ()
    trained: dict = dataclasses.field(default_factory=dict)  # where the weights come from
    weights_fingerprint: str | None = None  # of model.safetensors; None: unknown

    def __post_init__(self):
        object.__setattr__(self, "labels", tuple(map(normal, self.labels)))
        values = np.array([*self.mean, *self.std], np.float32)
        if (
            len(self.mean) != len(self.std)
            or not np.isfinite(values).all()
            or min(self.std, default=0) < 0
        ):
            raise ValueError(
                "mean and std must be as many finite numbers, one a mel bin, with std >= 0"
            )
        if len(set(self.labels)) < len(self.labels) or not self.labels:
            raise ValueError("labels must be different from each other, and at least one")
        if self.frontend.get("num_mels", len(self.mean)) != len(self.mean):
            raise ValueError(
                f"mean and std hold {len(self.mean)} numbers, the front end has {self.frontend['num_mels']!r} mel bins"
            )

    def build(self):
        """The network, with fresh weights. Raises InputError."""
        own = ("name", "num_classes", "pooling", "hierarchy", "groups")
        odd = [key for key in self.network_options if not isinstance(key, str) or key in own]
        if odd:
            raise InputError(
                f"network_options: {odd[0]!r} can't be an option there; pooling and hierarchy are settings of their own"
            )
        return build_network(
            self.network,
            len(self.labels),
            self.pooling,
            self.hierarchy,
            self.groups,
            **self.network_options,
        )

    def frontend_config(self):
        """The front end that the network was trained on."""
        return config.from_mapping(FrontendConfig, self.frontend, "model.yaml: frontend")

    def size(self, network):
        """{parameters, seconds_per_frame} of the network: its weights, and from one frame of its scores to the next."""
        seconds = round(self.frontend_config().seconds_per_frame * network.time_reduction, 9)
        return {
            "parameters": sum(p.numel() for p in network.parameters()),
            "seconds_per_frame": seconds,
        }


def save_tensors(path, tensors):
    """Write a flat mapping of tensors as safetensors, atomically."""
    content = safetensors.torch.save({k: v.contiguous() for k, v in tensors.items()})
    with writing(
        path
    ) as temporary:  # not by safetensors itself, nor by torch below: a full disk is then no OSError
        temporary.write_bytes(content)


def _read_weights(path):
    """Read a safetensors file once: (its tensors, its bytes). Raises InputError where it is missing or damaged."""
    try:
        content = path.read_bytes()
        return safetensors.torch.load(content), content
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (
        safetensors.SafetensorError,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,
        MemoryError,
    ) as error:
        raise InputError(f"{path}: not a safetensors file, or a damaged one ({error})") from None


def check_tensors(tensors, expected, where):
    """Raise InputError that names the first tensor, in the network's order, that is missing, misshapen or unknown."""
    for name, tensor in expected.items():
        if name not in tensors:
            raise InputError(f"{where}: it lacks the tensor {name!r} {tuple(tensor.shape)}")
        if tensors[name].shape != tensor.shape:
            raise InputError(
                f"{where}: its tensor {name!r} is {tuple(tensors[name].shape)}, expected {tuple(tensor.shape)}"
            )
    for name in tensors:
        if name not in expected:
            raise InputError(
                f"{where}: it has a tensor {name!r} {tuple(tensors[name].shape)} that the network lacks"
            )


def save_model(folder, spec, tensors):
    """Write a model directory: the tensors, then model.yaml, whose presence says that the model is whole."""
    folder = Path(folder)
    save_tensors(folder / "model.safetensors", tensors)
    spec = dataclasses.replace(
        spec,
        weights_fingerprint=provenance.fingerprint((folder / "model.safetensors").read_bytes()),
    )
    write_text(folder / "model.yaml", config.to_yaml(config.to_mapping(spec)))


def is_trusted(network):
    """Whether a model's network is wsedtk's, or code from outside that the user has named as trusted."""
    return ":" not in network or network.partition(":")[0].partition(".")[0] in os.environ.get(
        TRUSTED, ""
    ).split(",")


def _check_trust(network, folder):
    """Raise InputError where a model's network is code from outside wsedtk that the user has not named as trusted."""
    package = network.partition(":")[0].partition(".")[0]
    if not is_trusted(network):
        raise InputError(
            f"{folder}: model.yaml names code from outside wsedtk, {network!r}, which is not run for a file's sake; "
            f"if you trust both, set {TRUSTED}={package} in the environment"
        )


def read_spec(folder):
    """The ModelSpec of a model directory, without its tensors. Raises InputError."""
    path = Path(folder) / "model.yaml"
    return config.from_mapping(ModelSpec, config.read_yaml(path), str(path))


def load_model(folder, trusted=None):
    """Read a model directory. Returns (ModelSpec, network in evaluation mode, fingerprint). Raises InputError.

    trusted: a network, `package.module:Class`, that may be built besides those of wsedtk and of the packages that the variable
    WSEDTK_NETWORKS names, with commas between them.
    """
    folder = Path(folder)
    if not (folder / "model.yaml").is_file():
        raise InputError(
            f"{folder}: no model.yaml there: not a model directory, or its training is not finished"
        )
    described = config.read_yaml(folder / "model.yaml")
    spec = config.from_mapping(ModelSpec, described, str(folder / "model.yaml"))
    if spec.network != trusted:
        _check_trust(spec.network, folder)
    tensors, content = _read_weights(folder / "model.safetensors")
    odd, what = next(
        ((k, t.dtype) for k, t in tensors.items() if t.dtype not in _DTYPES), (None, None)
    )
    if odd:
        raise InputError(
            f"{folder}: the tensor {odd!r} in model.safetensors holds {what}, not floating-point numbers"
        )
    where = f"{folder}: model.safetensors is not of the network that model.yaml describes"
    try:
        spec.frontend_config()
        if ":" not in spec.network:  # before memory is taken for what it claims to be
            with torch.device("meta"):
                check_tensors(tensors, spec.build().state_dict(), where)
        network = spec.build()
    except InputError as error:
        raise InputError(
            str(error) if str(folder) in str(error) else f"{folder / 'model.yaml'}: {error}"
        ) from None
    check_tensors(tensors, network.state_dict(), where)
    bad = [
        name
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and not torch.isfinite(tensor).all()
    ]
    if bad:
        raise InputError(
            f"{folder}: the tensor {bad[0]!r} in model.safetensors holds numbers that are not finite"
        )
    found = provenance.fingerprint(content)
    detail(f"read {folder}: {spec.network}, {len(spec.labels)} classes, {found}")
    if spec.weights_fingerprint not in (None, found):
        raise InputError(
            f"{folder}: model.safetensors is damaged, or of another model than model.yaml: its fingerprint is {found}, "
            f"model.yaml says {spec.weights_fingerprint}"
        )
    network.load_state_dict(tensors)
    return spec, network.eval(), provenance.fingerprint_model(described, content)


def save_checkpoint(path, content):
    """Write a training checkpoint of tensors and plain Python values, atomically."""
    saved = io.BytesIO()
    torch.save(content, saved)
    with writing(path) as temporary:
        temporary.write_bytes(saved.getbuffer())


def load_checkpoint(path):
    """Read a training checkpoint. Raises InputError where it is damaged or holds anything but tensors and plain values."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    try:
        if zipfile.is_zipfile(
            path
        ):  # as torch writes them since 1.6, with check sums that torch does not look at
            with zipfile.ZipFile(path) as archive:
                parts = archive.infolist()
                if sum(part.file_size for part in parts) > Path(path).stat().st_size or any(
                    part.compress_type for part in parts
                ):
                    raise ValueError(
                        "it is compressed, which torch.save never does: it may be of any size"
                    )
                damaged = archive.testzip()
            if damaged is not None:
                raise ValueError(f"the check sum of {damaged} is wrong")
        with warnings.catch_warnings():  # torch's, of pickles that it did not write
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make the unpickler raise anything
        found = re.search(
            r"unsupported GLOBAL \S+|GLOBAL \S+", str(error), re.I
        )  # the rest is torch's advice to run it
        reason = (
            f"it holds more than tensors and plain values: {found.group()}"
            if found
            else type(error).__name__
            if "Weights only" in str(error)
            else (str(error).splitlines() or [type(error).__name__])[0]
        )
        raise InputError(f"{path}: not a checkpoint, or a damaged one ({reason})") from None
