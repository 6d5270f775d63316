"""Ready models with the convolutions of PANNs: Cnn8Rnn, and Cnn14 of PANNs itself.

The weights of Cnn8Rnn are from the Hugging Face repository wsntxxn/cnn8rnn-audioset-sed. The
weights of PANNs are from the Zenodo record 3987831. Zenodo publishes only MD5 hashes of these
files. The SHA-256 hash of Cnn14_DecisionLevelMax is from two copies, in the Hugging Face
repositories pauldarvin/wav_SED and FerventOrange/cutpoint-models. The SHA-256 hash of Cnn14 is from
the scripts of several projects, which download the file from Zenodo and check its hash.
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from wsedtk.audio.frontend import FrontendConfig
from wsedtk.core.errors import InputError
from wsedtk.data import datadir
from wsedtk.data.class_map import read_class_names
from wsedtk.models import published_weights
from wsedtk.models.ready_models import (
    AUDIOSET_CLASSES,
    ONTOLOGY,
    READY_MODELS,
    PublishedFile,
    ReadyModel,
)

_FRONTEND = FrontendConfig(
    sample_rate=32000,
    window=1024,
    hop=320,
    num_fft=1024,
    num_mels=64,
    min_hz=50.0,
    max_hz=14000.0,
    power=2,
    min_power=1e-10,
    top_db=None,
    pad_mode="reflect",
)
_CNN8RNN = "https://huggingface.co/wsntxxn/cnn8rnn-audioset-sed"
_ZENODO = "https://zenodo.org/records/3987831"
_PANNS_LICENCE = "CC BY 4.0"
_PANNS_CITATION = (
    "Q. Kong, Y. Cao, T. Iqbal, Y. Wang, W. Wang & M. D. Plumbley, PANNs: Large-scale pretrained "
    "audio neural networks for audio pattern recognition, IEEE/ACM Transactions on Audio, Speech, "
    "and Language Processing 28, 2020"
)
_NAMES = (  # patterns of the published names of tensors, and their replacements
    (r"conv_block(\d)\.conv(\d)\.(.*)", r"convs.blocks.\1.conv\2.conv.\3"),
    (r"conv_block(\d)\.bn(\d)\.(.*)", r"convs.blocks.\1.conv\2.bn.\3"),
    (r"bn0\.(.*)", r"convs.bn0.\1"),
    (r"fc1\.(.*)", r"fc1.linear.\1"),
    (r"fc_audioset\.(.*)", r"head.fc_prob.\1"),
)
# In the authors' files, the names of the tensors of the front end begin with these texts. These
# tensors are not used.
_FRONTEND_TENSORS = ("spectrogram_extractor.", "logmel_extractor.", "melspec_extractor.")


def _rename(name: str) -> str:
    """Convert the published name of a tensor to its name in wsedtk."""
    # The published names count the blocks from 1.
    name = re.sub(r"(?<=^conv_block)\d", lambda found: str(int(found[0]) - 1), name)
    for pattern, replacement in _NAMES:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name)
    return name


def _convert(path: Path, tensors: Mapping[str, Tensor], network: str) -> dict[str, Tensor]:
    """Convert published tensors to the tensors of a network of wsedtk."""
    if "conv_block1.conv1.weight" not in tensors or "fc_audioset.weight" not in tensors:
        raise InputError(
            f"{path}: contains no {network}; expected tensors such as 'conv_block1.conv1.weight' "
            f"and 'fc_audioset.weight', found {', '.join(map(repr, sorted(tensors)[:3]))}"
        )
    return {
        _rename(name): tensor
        for name, tensor in tensors.items()
        if not name.startswith(_FRONTEND_TENSORS)
    }


def _read_cnn8rnn(path: Path) -> dict[str, Tensor]:
    return _convert(path, published_weights.read_safetensors(path), "Cnn8Rnn")


def _read_cnn14(path: Path) -> dict[str, Tensor]:
    return _convert(path, published_weights.read_checkpoint(path), "Cnn14")


def _read_names(path: Path) -> tuple[str, ...]:
    return tuple(datadir.read_labels(path))


READY_MODELS.register("cnn8rnn")(
    ReadyModel(
        name="cnn8rnn",
        summary="CRNN with 8 convolutions, trained on AudioSet and then on AudioSet-strong",
        network="cnn8rnn",
        network_options={"num_mels": 64},
        pooling="linear",
        frontend=_FRONTEND,
        mean=0.0,
        std=1.0,
        files=(
            PublishedFile(
                "model.safetensors", "weights", f"{_CNN8RNN}/resolve/main/model.safetensors"
            ),
            PublishedFile("classes.txt", "labels", f"{_CNN8RNN}/resolve/main/classes.txt"),
            ONTOLOGY,
        ),
        read_weights=_read_cnn8rnn,
        read_labels=_read_names,
        num_classes=447,
        licence="Apache-2.0",
        citation="X. Xu, cnn8rnn-audioset-sed, Hugging Face, 2024",
        source=_CNN8RNN,
    )
)
_FRAMEWISE = ReadyModel(
    name="panns-cnn14-framewise",
    summary="Cnn14_DecisionLevelMax of PANNs, which pools frame probabilities (AudioSet)",
    network="panns-cnn14",
    network_options={"num_mels": 64},
    pooling="max",
    frontend=_FRONTEND,
    mean=0.0,
    std=1.0,
    files=(
        PublishedFile(
            "Cnn14_DecisionLevelMax_mAP=0.385.pth",
            "weights",
            f"{_ZENODO}/files/Cnn14_DecisionLevelMax_mAP%3D0.385.pth?download=1",
            327428481,
            "dd3b4043a87d4ec13df8082c0fcfee3fb5084151808e47e060987a95eabdd142",
        ),
        AUDIOSET_CLASSES,
        ONTOLOGY,
    ),
    read_weights=_read_cnn14,
    read_labels=read_class_names,
    num_classes=527,
    licence=_PANNS_LICENCE,
    citation=_PANNS_CITATION,
    source=_ZENODO,
)
READY_MODELS.register("panns-cnn14-framewise")(_FRAMEWISE)
READY_MODELS.register("panns-cnn14")(
    dataclasses.replace(
        _FRAMEWISE,
        name="panns-cnn14",
        summary="Cnn14 of PANNs, trained only to compute clip probabilities (AudioSet)",
        network_options={"num_mels": 64, "clip_embedding": True},
        files=(
            PublishedFile(
                "Cnn14_mAP=0.431.pth",
                "weights",
                f"{_ZENODO}/files/Cnn14_mAP%3D0.431.pth?download=1",
                327428481,
                "0dc499e40e9761ef5ea061ffc77697697f277f6a960894903df3ada000e34b31",
            ),
            AUDIOSET_CLASSES,
            ONTOLOGY,
        ),
    )
)
