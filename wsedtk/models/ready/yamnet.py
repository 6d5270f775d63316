"""The ready models yamnet and yamnet-tflite: YAMNet with the weights that Google published.

C and C' are numbers of input and output channels.
"""

import csv
import dataclasses
import io
import math
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wsedtk.audio.frontend import FrontendConfig
from wsedtk.core.errors import InputError
from wsedtk.models import tflite
from wsedtk.models.ready_models import ONTOLOGY, READY_MODELS, PublishedFile, ReadyModel

_NUM_CLASSES = 521
_NUM_LAYERS = 28  # 14 convolutions over time and frequency, 13 pointwise ones, and the last layer
_EPSILON = 1e-4  # of batch norm
_LAYER = re.compile(
    r"(?:^|/)(?:layer(?P<number>\d{1,2})/(?P<kind>conv|depthwise_conv|pointwise_conv)"
    r"(?:/bn)?|(?P<last>logits|dense\w*))/(?P<name>\w+)(?::0)?$"
)

Array = npt.NDArray[np.float32]


def _named(layers: list[tuple[Array, Array]]) -> dict[str, Tensor]:
    """Return weights and biases, in the order of the layers, under the names of the network."""
    names = ["layers.0.conv"]
    for number in range(1, _NUM_LAYERS // 2):
        names += [f"layers.{number}.conv", f"layers.{number}.pointwise"]
    tensors = {}
    for name, (weight, bias) in zip([*names, "head.fc_prob"], layers, strict=True):
        tensors[f"{name}.weight"] = torch.from_numpy(np.ascontiguousarray(weight))
        tensors[f"{name}.bias"] = torch.from_numpy(np.ascontiguousarray(bias))
    return tensors


def read_tflite(path: Path) -> dict[str, Tensor]:
    """Read the weights of the TensorFlow Lite file, in which batch norm is already folded.

    Raises
    ------
    InputError
        If the file can't be read, if it is damaged, or if it is not a published YAMNet.
    """
    layers = []
    for layer in tflite.read_layers(path):
        if layer.weight.ndim == 4:
            axes = (3, 0, 1, 2) if layer.is_depthwise else (0, 3, 1, 2)
            layers.append((layer.weight.transpose(axes), layer.bias))
        elif len(layer.weight) == _NUM_CLASSES:  # the mel filters are another such layer
            layers.append((layer.weight, layer.bias))
    if len(layers) != _NUM_LAYERS:
        raise InputError(
            f"{path}: is not a published YAMNet: found {len(layers)} layers with weights, expected "
            f"{_NUM_LAYERS}"
        )
    return _named(layers)


def _datasets(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    """Return the arrays of an HDF5 file by their path within the file."""
    found: dict[str, npt.NDArray[np.float64]] = {}

    def add(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f" and item.size < 1 << 24:
            found[name] = np.asarray(item[()], np.float64)

    try:
        with h5py.File(path) as file:
            file.visititems(add)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise InputError(f"{path}: is not an HDF5 file, or is damaged ({error})") from None
    return found


def read_keras(path: Path) -> dict[str, Tensor]:
    """Read the weights of the Keras file, and fold batch norm into the convolutions.

    Raises
    ------
    InputError
        If the file can't be read, if it is damaged, or if it is not a published YAMNet.
    """
    arrays: dict[tuple[int, str], dict[str, npt.NDArray[np.float64]]] = {}
    for name, array in _datasets(path).items():
        if match := _LAYER.search(name):
            # Of each block, the depthwise convolution is computed first.
            place = (99, "") if match["last"] else (int(match["number"]), match["kind"])
            arrays.setdefault(place, {})[match["name"].removeprefix("depthwise_")] = array
    if len(arrays) != _NUM_LAYERS:
        raise InputError(
            f"{path}: is not a published YAMNet: found {len(arrays)} layers with weights, expected "
            f"{_NUM_LAYERS}"
        )
    try:
        return _named([_folded(kind, arrays[number, kind]) for number, kind in sorted(arrays)])
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: is not a published YAMNet: {error}") from None


def _folded(kind: str, arrays: Mapping[str, npt.NDArray[np.float64]]) -> tuple[Array, Array]:
    """Return the weight (C', C, 3, 3) and the bias (C',) of a convolution with batch norm.

    The last layer, whose kind is "", has the weight (C', C) and no batch norm.
    """
    kernel = arrays["kernel"]
    if not kind:
        return kernel.T.astype(np.float32), arrays["bias"].astype(np.float32)
    kernel = kernel.transpose((2, 3, 0, 1) if kind == "depthwise_conv" else (3, 2, 0, 1))
    factor = 1 / np.sqrt(arrays["moving_variance"] + _EPSILON)
    weight = kernel * factor[:, None, None, None]
    bias = arrays["beta"] - arrays["moving_mean"] * factor
    return weight.astype(np.float32), bias.astype(np.float32)


def read_class_map(path: Path) -> tuple[str, ...]:
    """Read the classes from the class map.

    Raises
    ------
    InputError
        If the file can't be read, or if it is damaged.
    """
    try:
        rows = csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig")))
        return tuple(row["display_name"] for row in rows)
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from None
    except (KeyError, TypeError, UnicodeDecodeError, csv.Error):
        raise InputError(
            f"{path}: is not the class map of YAMNet; expected a table with the column display_name"
        ) from None


def read_tflite_labels(path: Path) -> tuple[str, ...]:
    """Read the classes from the TensorFlow Lite file, which ends with a zip archive.

    Raises
    ------
    InputError
        If the file can't be read, or if it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(archive.read("yamnet_label_list.txt").decode().splitlines())
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from None
    except (KeyError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error):
        raise InputError(f"{path}: does not contain the classes of YAMNet, or is damaged") from None


_YAMNET = ReadyModel(
    name="yamnet",
    summary="MobileNet v1, trained on AudioSet with the tags of clips of 10 s",
    network="yamnet",
    network_options={"num_mels": 64, "patch_hop": 32},
    pooling="linear",
    frontend=FrontendConfig(
        window=400,
        hop=160,
        num_fft=512,
        min_hz=125.0,
        max_hz=7500.0,
        top_db=None,
        mel_filters="htk",
        log_offset=0.001,
        center=False,
    ),
    mean=0.0,
    std=10 / math.log(10),
    files=(
        PublishedFile(
            "yamnet.h5",
            "weights",
            "https://storage.googleapis.com/audioset/yamnet.h5",
            15296092,
            "13c3308955bbfaef262f175ac9c40e47b134573a93984f009220dd7cc12a1744",
        ),
        PublishedFile(
            "yamnet_class_map.csv",
            "labels",
            "https://raw.githubusercontent.com/tensorflow/models/master/research/audioset/yamnet/"
            "yamnet_class_map.csv",
            14096,
            "cdf24d193e196d9e95912a2667051ae203e92a2ba09449218ccb40ef787c6df2",
        ),
        ONTOLOGY,
    ),
    read_weights=read_keras,
    read_labels=read_class_map,
    num_classes=_NUM_CLASSES,
    licence="Apache-2.0",
    citation="M. Plakal and D. Ellis, YAMNet, 2020",
    source="https://github.com/tensorflow/models/tree/master/research/audioset/yamnet",
)
READY_MODELS.register("yamnet")(_YAMNET)

READY_MODELS.register("yamnet-tflite")(
    dataclasses.replace(
        _YAMNET,
        name="yamnet-tflite",
        summary="YAMNet with weights of 8 bits, a smaller download",
        network_options={"num_mels": 64, "patch_hop": 32, "relu6": True},
        files=(
            PublishedFile(
                "lite-model_yamnet_classification_tflite_1.tflite",
                "weights",
                "https://storage.googleapis.com/download.tensorflow.org/models/tflite/task_library/"
                "audio_classification/android/lite-model_yamnet_classification_tflite_1.tflite",
                4126810,
                "10c95ea3eb9a7bb4cb8bddf6feb023250381008177ac162ce169694d05c317de",
            ),
            ONTOLOGY,
        ),
        read_weights=read_tflite,
        read_labels=read_tflite_labels,
    )
)
