"""Prepare AudioSet: write DATA_DIR/{train,eval} from the published lists and from sound files.

See `wsedtk.corpora.audioset_metadata` for the published lists. Shapes: K classes.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike, as_paths
from wsedtk.core.types import Booleans
from wsedtk.core.wording import counted
from wsedtk.corpora import audioset_metadata, official_sets, youtube
from wsedtk.corpora.audioset_metadata import CLASSES, LISTS, MADE_BY
from wsedtk.corpora.official_sets import OfficialSetsOptions, OfficialSetsResult
from wsedtk.corpora.registry import CORPORA
from wsedtk.data import class_map, clip_sets, datadir, ontologies
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.tables import first

_LOG = logging.getLogger(__name__)


Subset = Literal["balanced", "unbalanced", "all"]
SUBSETS: Mapping[Subset, tuple[str, ...]] = {
    "balanced": ("balanced",),
    "unbalanced": ("unbalanced",),
    "all": ("balanced", "unbalanced"),
}


@dataclasses.dataclass(frozen=True)
class AudioSetOptions(OfficialSetsOptions):
    """The inputs, the output and the settings of `prepare audioset`.

    The parameters of `OfficialSetsOptions` come first.

    Parameters
    ----------
    subset : {"balanced", "unbalanced", "all"}
        The list of training segments that is used. With "all", both lists are used.
    excluded : path-like, or sequence of path-like
        Exclude training clips whose source video also occurs in this set. Repeatable.
    with_ancestors : bool
        Also tag each clip with the ancestors of its classes in the ontology.

    Raises
    ------
    InputError
        If the subset is unknown, or if `OfficialSetsOptions` rejects an option.
    """

    _: dataclasses.KW_ONLY
    subset: Subset = "balanced"
    excluded: PathLike | Sequence[PathLike] = dataclasses.field(
        default=(), metadata={"flag": "--exclude", "metavar": "DATA_SET"}
    )
    with_ancestors: bool = dataclasses.field(default=False, metadata={"flag": "--ancestors"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.subset not in SUBSETS:
            raise InputError(f"subset: found {self.subset!r}; expected {', '.join(SUBSETS)}")


def ancestors(ontology: Mapping[str, ontologies.OntologyClass], mids: Sequence[str]) -> Booleans:
    """Return the ancestors of each class in the ontology.

    Parameters
    ----------
    ontology : mapping of str to OntologyClass
        The ontology, by class ID. It contains the K classes.
    mids : sequence of str
        The IDs of the K classes.

    Returns
    -------
    (K, K) bool
        Element [k, j] is true if class j is an ancestor of class k: a parent of class k, or an
        ancestor of a parent.
    """
    index = {mid: k for k, mid in enumerate(mids)}
    above = np.zeros((len(mids), len(mids)), bool)
    for j, mid in enumerate(mids):
        seen = ontologies.below(ontology, mid)
        above[[index[child] for child in seen if child in index], j] = True
    return above


def join(sets: Sequence[DataSet]) -> DataSet:
    """Return one set with the clips of several sets. All sets have the same classes and no audio.

    Raises
    ------
    InputError
        If the same clip occurs in two sets.
    """
    filenames = np.sort(np.concatenate([dataset.filenames for dataset in sets]))
    repeated = np.flatnonzero(filenames[1:] == filenames[:-1])
    if len(repeated):
        raise InputError(
            f"{counted(len(repeated), 'segment is', 'segments are')} in both training lists: "
            f"{first(filenames[repeated].tolist())}; keep each segment in only one list"
        )
    info = {**sets[0].info, "official_clips": len(filenames)}
    return dataclasses.replace(clip_sets.join(sets), info=info)


def add_ancestors(dataset: DataSet, above: Booleans) -> DataSet:
    """Tag each clip also with the ancestors of its classes in the ontology.

    Parameters
    ----------
    dataset : DataSet
        A set of K classes.
    above : (K, K) bool
        The result of `ancestors`.
    """
    width = len(dataset.labels)
    keys = dataset.tag_clip * width + dataset.tag_label
    for k in np.flatnonzero(above.any(axis=1)).tolist():
        clips = dataset.tag_clip[dataset.tag_label == k]
        keys = np.append(keys, (clips[:, None] * width + np.flatnonzero(above[k])).ravel())
    tag_clip, tag_label = np.divmod(np.unique(keys), width)
    return dataclasses.replace(dataset, tag_clip=tag_clip, tag_label=tag_label)


def exclude(dataset: DataSet, data_sets: Sequence[Path]) -> tuple[DataSet, dict[Path, int]]:
    """Exclude the clips whose source video also occurs in other sets.

    Parameters
    ----------
    dataset : DataSet
        The set to reduce.
    data_sets : sequence of Path
        The data directories of the other sets.

    Returns
    -------
    dataset : DataSet
        The set of the remaining clips. The `info` of this set contains the numbers of `counts`
        under the key "excluded", unless `data_sets` is empty.
    counts : dict of Path to int
        For each other set, the number of excluded clips whose video it contains. A clip can be
        counted for several sets.

    Raises
    ------
    InputError
        If no clip remains, or if one of the other sets can't be read.
    """
    if not data_sets:
        return dataset, {}
    videos = youtube.videos_of(dataset.filenames)
    is_excluded = np.zeros(len(dataset), bool)
    counts = {}
    for folder in data_sets:
        others = youtube.videos_of(datadir.read(folder).filenames)
        is_shared = np.isin(videos, others[others != ""])
        counts[folder] = int(is_shared.sum())
        is_excluded |= is_shared
    if is_excluded.all():
        raise InputError(
            "--exclude: no training clip remains, because the excluded sets contain the source "
            "videos of all training clips; exclude fewer sets"
        )
    info = {**dataset.info, "excluded": {str(folder): count for folder, count in counts.items()}}
    return dataclasses.replace(dataset.select(~is_excluded), info=info), counts


def read(
    metadata_dir: PathLike, subset: Subset = "balanced", with_ancestors: bool = False
) -> dict[str, DataSet]:
    """Read the official sets without audio, as {"train": DataSet, "eval": DataSet}.

    Parameters
    ----------
    metadata_dir : path-like
        The folder with the published files.
    subset : {"balanced", "unbalanced", "all"}
        The list of training segments that is read. With "all", both lists are read.
    with_ancestors : bool
        Also tag each clip with the ancestors of its classes in the ontology.

    Raises
    ------
    InputError
        If a file is missing or invalid, or if both lists of training segments contain the same
        segment.
    """
    files = youtube.find_metadata(
        metadata_dir, f"AudioSet's lists, such as {CLASSES} and {LISTS['eval']}"
    )
    lists = [LISTS[name] for name in SUBSETS[subset]]
    for name in (CLASSES, *lists, LISTS["eval"], *([ontologies.FILE] if with_ancestors else [])):
        if name not in files:
            raise InputError(
                f"{metadata_dir}: {name} is missing; download it, or give the folder "
                "that contains it"
            )
    classes = class_map.read_classes(files[CLASSES])
    ontology = {}
    if ontologies.FILE in files:
        ontology = ontologies.read(files[ontologies.FILE])
    differing = [
        f"{mid} ({name!r} and {ontology[mid].name!r})"
        for mid, name in zip(classes.mids, classes.names)
        if mid in ontology and ontology[mid].name != name
    ]
    if differing:
        _LOG.warning(
            f"{files[CLASSES]} and {files[ontologies.FILE]} have different names for "
            f"{counted(len(differing), 'class')}: {first(differing)}; the names in {CLASSES} are "
            "used"
        )
    parts = [audioset_metadata.read_list(files[name], *classes) for name in lists]
    sets = {
        "train": join(parts) if len(parts) > 1 else parts[0],
        "eval": audioset_metadata.read_list(files[LISTS["eval"]], *classes),
    }
    del parts  # with the subset "all", this frees about 0.5 GB, because `join` copied the lists
    sets["train"].info["corpus"] = f"AudioSet, {' and '.join(SUBSETS[subset])} training list"
    sets["eval"].info["corpus"] = "AudioSet, evaluation list"
    if with_ancestors:
        unknown = [mid for mid in classes.mids if mid not in ontology]
        if unknown:
            raise InputError(
                f"{files[ontologies.FILE]}: lacks {counted(len(unknown), 'class')} of "
                f"{files[CLASSES]}: {first(unknown)}; --ancestors needs an ontology that contains "
                "all classes"
            )
        above = ancestors(ontology, classes.mids)
        for name, dataset in sets.items():
            dataset.info["with_ancestors"] = True
            sets[name] = add_ancestors(dataset, above)
    return sets


@CORPORA.register("audioset")
def prepare(options: AudioSetOptions) -> OfficialSetsResult:
    """Write DATA_DIR/train and DATA_DIR/eval, the sets of AudioSet.

    METADATA_DIR contains the published lists of segments, class_labels_indices.csv and, for
    --ancestors, ontology.json. AUDIO_DIR contains sound files named Y<ID>_<start>_<end>.wav, also
    in subfolders. The Y may be missing. Files with the extensions .flac, .ogg and .mp3 are read,
    too. Without --metadata-only, clips whose audio is missing or unusable are omitted, and the
    info.yaml of each set contains the number of these clips for each class.

    Parameters
    ----------
    options : AudioSetOptions
        The folders and the settings.

    Returns
    -------
    OfficialSetsResult

    Raises
    ------
    InputError
        If the metadata are incomplete or invalid, if no clip has usable audio, or if the sets can't
        be written.

    Examples
    --------
    wsedtk prepare audioset audioset/lists audioset/audio audioset --exclude dcase/eval
    """
    official_sets.check_outputs(options, ("train", "eval"), MADE_BY)
    sets = read(options.metadata_dir, options.subset, options.with_ancestors)
    sets["train"], excluded = exclude(sets["train"], as_paths(options.excluded))
    train, evaluation = (youtube.videos_of(dataset.filenames) for dataset in sets.values())
    shared = np.intersect1d(train, evaluation)
    if len(shared):
        _LOG.warning(
            f"{counted(len(shared), 'source video is', 'source videos are')} in both the training "
            f"and the evaluation set: {first(shared.tolist())}"
        )
    return dataclasses.replace(official_sets.write(sets, options), excluded=excluded)
