"""The registry of ready models: networks that other people trained and published.

A ready model is described by a `ReadyModel`. Its published files are downloaded or given by the
user, and are converted to a model directory.

F is the number of mel bins.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from wsedtk.audio.frontend import FrontendConfig
from wsedtk.core.registry import Registry


@dataclasses.dataclass(frozen=True)
class PublishedFile:
    """A file of a ready model.

    Attributes
    ----------
    name : str
        The name of the file, such as "yamnet.h5".
    role : {"weights", "labels", "normalizer", "ontology"}
        What the file contains. The ontology is optional.
    url : str or None
        The address from which the file is downloaded. None if the file can't be downloaded alone,
        because it is part of an archive.
    num_bytes : int or None
        The size of the file. None if it is not known.
    sha256 : str or None
        The SHA-256 hash of the file in hexadecimal. None if it is not known.
    archive : str or None
        The address of the archive that contains the file, if `url` is None.
    other_names : tuple of str
        The names of converted copies of the file. The user can give such a copy instead.
    """

    name: str
    role: Literal["weights", "labels", "normalizer", "ontology"]
    url: str | None
    num_bytes: int | None = None
    sha256: str | None = None
    archive: str | None = None
    other_names: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """The name of the file and where it is, for messages."""
        return f"{self.name} ({self.url or f'in the archive {self.archive}'})"


@dataclasses.dataclass(frozen=True)
class ReadyModel:
    """A published network, and how it is converted to a model directory.

    Attributes
    ----------
    name : str
        The name of the ready model, such as "yamnet".
    summary : str
        One line about the network and its training data.
    network : str
        The name of the network; see `wsedtk.models.network.build_network`.
    network_options : mapping
        The options of the network.
    pooling : str
        The pooling method that computes clip scores.
    frontend : FrontendConfig
        The front end that the network was trained with.
    mean, std : float
        The mean and the standard deviation that normalise the levels of all mel bins. They convert
        decibels to the unit in which the network was trained. A file with the role "normalizer"
        replaces them.
    files : tuple of PublishedFile
        The published files. If none has the role "labels", the file of the weights contains the
        labels.
    read_weights : callable
        A function that reads the file of the weights and returns the tensors of the network by
        name. It raises InputError if the file is damaged, or is not a file of this model. It need
        not check whether the numbers are finite.
    read_labels : callable
        A function that reads the file of the labels and returns the K classes in the order of the
        outputs. It raises InputError if the file is damaged.
    num_classes : int
        The number of classes K.
    licence, citation, source : str
        The licence of the weights, the publication to cite, and the address of the authors' page.
    threshold : float
        The threshold of all classes until the user tunes thresholds.
    threshold_note : str
        How the threshold was chosen. If the precision and the recall at this threshold were
        measured, they are also given.
    """

    name: str
    summary: str
    network: str
    network_options: Mapping[str, Any]
    pooling: str
    frontend: FrontendConfig
    mean: float
    std: float
    files: tuple[PublishedFile, ...]
    read_weights: Callable[[Path], Mapping[str, Tensor]]
    read_labels: Callable[[Path], tuple[str, ...]]
    num_classes: int
    licence: str
    citation: str
    source: str
    threshold: float = 0.5
    threshold_note: str = "one threshold of 0.5 for all classes, not tuned on any recordings"


ONTOLOGY = PublishedFile(
    "ontology.json",
    "ontology",
    "https://raw.githubusercontent.com/audioset/ontology/master/ontology.json",
    342780,
    "9c685f4403eecc3ca9be37fd7285cf212feaaea6ff7229d3e7ca89e0d1f2d15d",
)
# AudioSet's 527 classes in the order of their indices. The authors of PANNs published the file with
# their code.
AUDIOSET_CLASSES = PublishedFile(
    "class_labels_indices.csv",
    "labels",
    "https://raw.githubusercontent.com/qiuqiangkong/audioset_tagging_cnn/"
    "d2f4b8c18eab44737fcc0de1248ae21eb43f6aa4/metadata/class_labels_indices.csv",
    14675,
    "cdd1049833c4b86127c2773ac0d14a2754b6a6d0d1798002ed5c66e699708429",
)
READY_MODELS: Registry[ReadyModel] = Registry("ready model", "wsedtk.models.ready")
