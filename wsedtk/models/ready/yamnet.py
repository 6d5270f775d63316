"""The ready models yamnet and yamnet-tflite: YAMNet with the weights that Google published.

C and C' are numbers of input and output channels.
"""

import dataclasses
import math
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wsedtk.audio.frontend import FrontendConfig
from wsedtk.core.errors import InputError
from wsedtk.data.class_map import read_class_names
from wsedtk.models import keras, tflite
from wsedtk.models.ready_models import ONTOLOGY, READY_MODELS, PublishedFile, ReadyModel

_NUM_CLASSES = 521
_NUM_LAYERS = 28  # 14 convolutions over time and frequency, 13 pointwise ones, and the last layer
_EPSILON = 1e-4  # of batch norm
_MOST_TEXT = 1 << 20  # maximum number of bytes of the list of classes
_LAYER = re.compile(
    r"(?:^|/)(?:layer(?P<number>\d{1,2})/(?P<kind>conv|depthwise_conv|pointwise_conv)"
    r"(?:/bn)?|(?P<last>logits|dense\w*))/(?P<name>\w+)(?::0)?$"
)

Array = npt.NDArray[np.float32]


def _named(layers: list[tuple[Array, Array]]) -> dict[str, Tensor]:
    """Return the weights and biases of all layers by their names in `YamNet`.

    `layers` is in the order of computation.
    """
    names = ["layers.0.conv"]
    for number in range(1, _NUM_LAYERS // 2):
        names += [f"layers.{number}.conv", f"layers.{number}.pointwise"]
    tensors = {}
    for name, arrays in zip([*names, "head.fc_prob"], layers, strict=True):
        for kind, array in zip(("weight", "bias"), arrays):
            tensors[f"{name}.{kind}"] = torch.from_numpy(np.ascontiguousarray(array))
    return tensors


def _check_number(num_layers: int, path: Path) -> None:
    """Raise InputError if YAMNet has another number of layers with weights."""
    if num_layers != _NUM_LAYERS:
        raise InputError(
            f"{path}: is not a published YAMNet: found {num_layers} layers with weights, expected "
            f"{_NUM_LAYERS}"
        )


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
        # The mel filters are also a linear layer, but do not have one output per class.
        elif len(layer.weight) == _NUM_CLASSES:
            layers.append((layer.weight, layer.bias))
    _check_number(len(layers), path)
    return _named(layers)


def read_keras(path: Path) -> dict[str, Tensor]:
    """Read the weights of the Keras file, and fold batch norm into the convolutions.

    Raises
    ------
    InputError
        If the file can't be read, if it is damaged, or if it is not a published YAMNet.
    """
    arrays: dict[tuple[int, str], dict[str, npt.NDArray[np.float64]]] = {}
    for name, array in keras.read_arrays(path).items():
        if match := _LAYER.search(name):
            # Sorted places are in the order of computation: depthwise_conv before pointwise_conv.
            place = (99, "") if match["last"] else (int(match["number"]), match["kind"])
            of_layer = arrays.setdefault(place, {})
            if of_layer.setdefault(match["name"].removeprefix("depthwise_"), array) is not array:
                raise InputError(f"{path}: is not a published YAMNet: {name} occurs twice")
    _check_number(len(arrays), path)
    try:
        return _named([_folded(kind, arrays[number, kind]) for number, kind in sorted(arrays)])
    except ValueError as error:
        raise InputError(f"{path}: is not a published YAMNet: {error}") from None


def _folded(kind: str, arrays: Mapping[str, npt.NDArray[np.float64]]) -> tuple[Array, Array]:
    """Return the weight and the bias (C',) of a layer, with batch norm folded into them.

    The weight is (C', C, 3, 3) for a convolution, (C', 1, 3, 3) for a depthwise convolution and
    (C', C, 1, 1) for a pointwise convolution. The last layer, whose kind is "", has the weight
    (C', C) and no batch norm.

    Raises ValueError if an array is missing, unknown, or has a wrong shape.
    """
    names = ["kernel", "beta", "moving_mean", "moving_variance"] if kind else ["kernel", "bias"]
    if sorted(arrays) != sorted(names):
        raise ValueError(f"found the arrays {sorted(arrays)}, expected {sorted(names)}")
    kernel, *vectors = (arrays[name] for name in names)
    if kind:
        kernel = kernel.transpose((2, 3, 0, 1) if kind == "depthwise_conv" else (3, 2, 0, 1))
    else:
        kernel = kernel.T
    if any(vector.shape != kernel.shape[:1] for vector in vectors):
        shapes = {name: vector.shape for name, vector in zip(names[1:], vectors)}
        raise ValueError(f"found the shapes {shapes}, expected {kernel.shape[:1]} for each")
    with np.errstate(all="ignore"):  # numbers that are not finite are refused later
        if not kind:
            return kernel.astype(np.float32), vectors[0].astype(np.float32)
        beta, mean, variance = vectors
        factor = 1 / np.sqrt(variance + _EPSILON)
        weight = kernel * factor[:, None, None, None]
        return weight.astype(np.float32), (beta - mean * factor).astype(np.float32)


def read_tflite_labels(path: Path) -> tuple[str, ...]:
    """Read the classes from the TensorFlow Lite file, which ends with a zip archive.

    Raises
    ------
    InputError
        If the file can't be read, or if it is damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            member = archive.getinfo("yamnet_label_list.txt")
            if member.file_size > _MOST_TEXT:
                raise ValueError("the list of classes is too long")
            return tuple(archive.read(member).decode().splitlines())
    except Exception as error:  # damaged archives make zipfile raise various exceptions
        reason = str(error) or type(error).__name__
        raise InputError(
            f"{path}: does not contain the classes of YAMNet, or is damaged ({reason})"
        ) from None


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
    read_labels=read_class_names,
    num_classes=_NUM_CLASSES,
    licence="Apache-2.0",
    citation="M. Plakal and D. Ellis, YAMNet, 2020",
    source="https://github.com/tensorflow/models/tree/master/research/audioset/yamnet",
    threshold=0.15,
    threshold_note=(
        "one threshold of 0.15 for all classes; with this threshold, yamnet-tflite has a precision "
        "of 0.81 and a recall of 0.41 on mixtures of ESC-10's recordings (7 classes, segments of "
        "1 s)"
    ),
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
