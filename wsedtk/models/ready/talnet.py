"""The ready model talnet: TALNet with the weights that Wang, Li & Metze published."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from wsedtk.audio.frontend import FrontendConfig
from wsedtk.core.errors import InputError
from wsedtk.data.class_map import read_class_names
from wsedtk.models.published_weights import read_checkpoint
from wsedtk.models.ready_models import (
    AUDIOSET_CLASSES,
    ONTOLOGY,
    READY_MODELS,
    PublishedFile,
    ReadyModel,
)

# The addresses are those in the authors' code (code/audioset/eval-TALNet.sh, data/download.sh).
_SERVER = "http://islpc21.is.cs.cmu.edu/yunwang/git/cmu-thesis"


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Read the published weights of TALNet, named as in `TalNet`.

    Raises
    ------
    InputError
        If the file can't be read, or does not contain the tensors of TALNet.
    """
    tensors = read_checkpoint(path)
    if "conv1.conv.weight" not in tensors or "fc_prob.weight" not in tensors:
        raise InputError(
            f"{path}: contains no TALNet; expected tensors such as 'conv1.conv.weight' and "
            f"'fc_prob.weight', found {', '.join(map(repr, sorted(tensors)[:3]))}"
        )
    return {
        f"head.{name}" if name.startswith("fc_prob.") else name: tensor
        for name, tensor in tensors.items()
    }


READY_MODELS.register("talnet")(
    ReadyModel(
        name="talnet",
        summary="TALNet, a CRNN with 10 convolutions, trained on AudioSet",
        network="talnet",
        network_options={"num_mels": 64},
        pooling="linear",
        frontend=FrontendConfig(
            sample_rate=16000,
            window=1024,
            hop=400,
            num_fft=4096,
            num_mels=64,
            min_hz=0,
            max_hz=8000,
            power=1,
            min_power=1e-10,
            top_db=80,
            pad_to_seconds=10,
        ),
        mean=0.0,
        std=1.0,
        files=(
            PublishedFile("TALNet.pt", "weights", f"{_SERVER}/model/TALNet.pt"),
            PublishedFile(
                "normalizer.pkl",
                "normalizer",
                None,
                archive=f"{_SERVER}/data/audioset.tgz",
                other_names=("normalizer.txt", "normalizer.npz"),
            ),
            AUDIOSET_CLASSES,
            ONTOLOGY,
        ),
        read_weights=read_weights,
        read_labels=read_class_names,
        num_classes=527,
        licence="MIT",
        citation=(
            "Y. Wang, J. Li & F. Metze, A comparison of five multiple instance learning pooling "
            "functions for sound event detection with weak labeling, ICASSP 2019, arXiv:1810.09050"
        ),
        source="https://github.com/MaigoAkisame/cmu-thesis",
    )
)
