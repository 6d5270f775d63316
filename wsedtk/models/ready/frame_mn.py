"""Frame-MobileNets that were trained on AudioSet-strong, published by Schmid et al."""

import ast
import math
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from wsedtk.audio.frontend import FrontendConfig
from wsedtk.core.errors import InputError
from wsedtk.models.published_weights import read_checkpoint
from wsedtk.models.ready_models import ONTOLOGY, READY_MODELS, PublishedFile, ReadyModel

_REPOSITORY = "fschmid56/PretrainedSED"
_COMMIT = "1aa47e482f7e89904cba2338999345025d8b4e36"
_BODY, _HEAD, _UNTRAINED = "model.frame_mn.features.", "strong_head.", "weak_head."
_LIST, _NUM_CLASSES = "as_strong_train_classes", 447
_DB = 10 / math.log(10)  # converts the natural logarithm of a power to dB


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Read the published weights of a Frame-MobileNet, named as in `FrameMn`.

    The authors' network has the axes frequency and time, in this order. Therefore the kernels are
    transposed. The layer for clip scores is left out, because it was not trained.

    Raises
    ------
    InputError
        If the file can't be read, or does not contain the tensors of a Frame-MobileNet.
    """
    tensors = read_checkpoint(path)
    for prefix in (_BODY, _HEAD):
        if not any(name.startswith(prefix) for name in tensors):
            raise InputError(
                f"{path}: is not a published Frame-MobileNet; expected tensors whose names start "
                f"with {prefix!r}"
            )
    return {
        _own_name(name): tensor.transpose(2, 3) if tensor.dim() == 4 else tensor
        for name, tensor in tensors.items()
        if not name.startswith(_UNTRAINED)
    }


def _own_name(name: str) -> str:
    """Convert the published name of a tensor to its name in `FrameMn`. Keep unknown names."""
    if name.startswith(_HEAD):
        return f"head.fc_prob.{name.removeprefix(_HEAD)}"
    if not name.startswith(_BODY):
        return name
    name = f"layers.{name.removeprefix(_BODY)}"
    name = name.replace(".block.", ".layers.").replace(".conc_se_layers.0.", ".")
    name = re.sub(r"\.0\.weight$", ".conv.conv.weight", name)
    return re.sub(r"\.1\.(\w+)$", r".conv.bn.\1", name)


def read_labels(path: Path) -> tuple[str, ...]:
    """Read the classes from the published Python file, without running it.

    Raises
    ------
    InputError
        If the file can't be read, or does not define a list of 447 different classes.
    """
    try:
        source = path.read_text(encoding="utf-8")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the parser warns about invalid escape sequences
            found = [
                ast.literal_eval(statement.value)
                for statement in ast.parse(source).body
                if isinstance(statement, ast.Assign)
                and [ast.unparse(target) for target in statement.targets] == [_LIST]
            ]
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from None
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise InputError(f"{path}: is not a Python file with a list of classes ({error})") from None
    labels = found[0] if len(found) == 1 and isinstance(found[0], list) else []
    if not all(isinstance(label, str) and label.strip() for label in labels) or (
        len(labels) != _NUM_CLASSES or len(set(labels)) != _NUM_CLASSES
    ):
        raise InputError(
            f"{path}: expected one list {_LIST} of {_NUM_CLASSES} different classes in quotes"
        )
    return tuple(labels)


def _register(name: str, width: float, weights: PublishedFile) -> None:
    labels = PublishedFile(
        "audioset_classes.py",
        "labels",
        f"https://raw.githubusercontent.com/{_REPOSITORY}/{_COMMIT}/data_util/audioset_classes.py",
        num_bytes=54411,
        sha256="771adb63768b349171a1668b4b0c2f932f6db1b21e10450c7e9136c0397e076f",
    )
    READY_MODELS.register(name)(
        ReadyModel(
            name=name,
            summary=f"MobileNetV3 of width {width}, trained on AudioSet-strong, 447 classes",
            network="frame-mn",
            network_options={"num_mels": 128, "width": width},
            pooling="linear",
            frontend=FrontendConfig(
                sample_rate=16000,
                window=400,
                hop=160,
                num_fft=512,
                num_mels=128,
                min_hz=0,
                max_hz=7000,
                power=2,
                min_power=1e-7,
                top_db=None,
                mel_filters="htk",
                pad_mode="reflect",
                preemphasis=0.97,
                symmetric_window=True,
            ),
            mean=-4.5 * _DB,  # the authors' unit is (ln(power) + 4.5) / 5
            std=5 * _DB,
            files=(weights, labels, ONTOLOGY),
            read_weights=read_weights,
            read_labels=read_labels,
            num_classes=_NUM_CLASSES,
            licence="MIT",
            citation=(
                "F. Schmid, T. Morocutti, F. Foscarin, J. Schlüter, P. Primus, G. Widmer: "
                "Effective Pre-Training of Audio Transformers for Sound Event Detection, "
                "ICASSP 2025, arXiv:2409.09546"
            ),
            source=f"https://github.com/{_REPOSITORY}",
        )
    )


def _weights(name: str, num_bytes: int | None = None, sha256: str | None = None) -> PublishedFile:
    url = f"https://github.com/{_REPOSITORY}/releases/download/v0.0.1/{name}"
    return PublishedFile(name, "weights", url, num_bytes, sha256)


_register("frame-mn06", 0.6, _weights("frame_mn06_strong_1.pt"))
_register(
    "frame-mn10",
    1.0,
    # The release page gives no hash. Two independent projects on GitHub, which downloaded the file,
    # published this hash: paterdubs/environmental-audio-rag (with the size) and
    # CyberBASSLord-666/LightForge.
    _weights(
        "frame_mn10_strong_1.pt",
        15537114,
        "4a0fe320d5369987b772394c51881fb20a602967e6842f72f3e5c8181065ece7",
    ),
)
