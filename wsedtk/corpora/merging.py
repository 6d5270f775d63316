"""Join data directories to one data directory."""

import collections
import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike, as_paths
from wsedtk.core.wording import counted
from wsedtk.corpora import own_sets
from wsedtk.corpora.registry import CORPORA, PreparedSet, PrepareResult
from wsedtk.data import clip_sets, datadir
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.tables import first

_LOG = logging.getLogger(__name__)

MADE_BY = "prepare merge"


@dataclasses.dataclass(frozen=True)
class MergeOptions:
    """The inputs, the output and the settings of `prepare merge`.

    Parameters
    ----------
    data_sets : sequence of path-like
        The data directories to join, at least two.
    data_set : path-like
        The data directory to write.
    add_names : bool
        Put the name of its data directory before the name of each clip. Use it if clips of two sets
        have the same name, but are different clips.
    join_groups : bool
        Groups with the same name in several sets are one group, such as a site that occurs in
        several sets. By default, they are different groups.

    Raises
    ------
    InputError
        If fewer than two data directories are given.
    """

    data_sets: Sequence[PathLike] = dataclasses.field(metadata={"metavar": "SET..."})
    data_set: PathLike
    _: dataclasses.KW_ONLY
    add_names: bool = False
    join_groups: bool = False

    def __post_init__(self) -> None:
        if len(as_paths(self.data_sets)) < 2:
            raise InputError(
                "expected at least two data directories to join, and the data directory to write; "
                f"found {', '.join(map(str, (*as_paths(self.data_sets), self.data_set)))}"
            )


@dataclasses.dataclass(frozen=True)
class MergeResult(PrepareResult):
    """The joined data directory.

    Attributes
    ----------
    sets : tuple of PreparedSet
        The data directory that was written.
    parts : tuple of PreparedSet
        The data directories that were joined.
    """

    parts: tuple[PreparedSet, ...] = ()

    def to_text(self) -> str:
        """Return the text that `wsedtk prepare merge` prints: the sizes of all sets."""
        ((folder, dataset),) = ((one.folder, one.dataset) for one in self.sets)
        lines = [
            *(f"{part.folder}: {counted(len(part.dataset), 'clip')}" for part in self.parts),
            own_sets.summary(folder, dataset),
            f"next: {own_sets.next_commands(folder)}",
        ]
        return "".join(f"{line}\n" for line in lines)


def _set_names(folders: Sequence[Path]) -> list[str]:
    """Return a different name for each set: the name of its folder or, if needed, its path."""
    names = [folder.absolute().name for folder in folders]
    if len(set(names)) == len(names):
        return names
    paths = [str(folder.absolute()) for folder in folders]
    twice = [path for path, count in collections.Counter(paths).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]}: is given twice; give each data directory once")
    return paths


def _check_names(folders: Sequence[Path], sets: Sequence[DataSet]) -> None:
    """Raise InputError if a clip name occurs in two sets."""
    for number, (folder, dataset) in enumerate(zip(folders, sets)):
        for earlier_folder, earlier in zip(folders[:number], sets):
            shared = np.intersect1d(dataset.filenames, earlier.filenames)
            if len(shared):
                raise InputError(
                    f"{folder}: {counted(len(shared), 'clip has', 'clips have')} the same name as "
                    f"clips of {earlier_folder}: {first(shared.tolist())}; if these are different "
                    "clips, give add_names (--add-names); otherwise, remove them from one of the "
                    "two sets"
                )


def _labels(folders: Sequence[Path], sets: Sequence[DataSet]) -> list[str]:
    """Return the classes of all sets, in the order of the sets. Warn if the sets differ."""
    labels = list(dict.fromkeys(label for dataset in sets for label in dataset.labels))
    for folder, dataset in zip(folders, sets):
        others = [label for label in labels if label not in dataset.labels]
        if others:
            _LOG.warning(
                f"{folder}: does not have the classes {first(list(map(repr, others)))}, which "
                "count as absent in all its clips"
            )
    return labels


def _groups(dataset: DataSet, name: str, join: bool) -> list[str]:
    """Return the group of each clip of a set in the joined set, or "" for a clip without group."""
    groups = (
        ["" for _ in range(len(dataset))] if dataset.groups is None else dataset.groups.tolist()
    )
    return groups if join else [f"{name}/{group}" if group else "" for group in groups]


def _warn_of_same_groups(sets: Sequence[DataSet]) -> None:
    """Warn of groups that occur in several sets and are kept apart."""
    counts = collections.Counter(
        group
        for dataset in sets
        if dataset.groups is not None
        for group in set(dataset.groups.tolist()) - {""}
    )
    same = sorted(group for group, count in counts.items() if count > 1)
    if same:
        _LOG.warning(
            f"{counted(len(same), 'group occurs', 'groups occur')} in several sets, and these are "
            f"different groups in the joined set: {first(same)}; if they come from the same "
            "recording or site, give --join-groups, so that no split can divide them"
        )


def _warn_of_events(folders: Sequence[Path], sets: Sequence[DataSet]) -> None:
    """Warn if only some of the sets have events."""
    without = [str(folder) for folder, one in zip(folders, sets) if one.events is None]
    if without and len(without) < len(sets):
        _LOG.warning(
            f"{first(without)}: no events.tsv, but other sets have events; train on the joined "
            "set, but do not evaluate events on it, because the events of these clips are unknown"
        )


def merge(
    sets: Sequence[DataSet], names: Sequence[str], labels: list[str], options: MergeOptions
) -> DataSet:
    """Join sets.

    Parameters
    ----------
    sets : sequence of DataSet
    names : sequence of str
        A name for each set.
    labels : list of str
        The K classes of the joined set.
    options : MergeOptions
        The settings.
    """
    renamed = []
    for dataset, name in zip(sets, names):
        class_of = np.array([labels.index(label) for label in dataset.labels])
        events, own_names = dataset.events, dataset.filenames
        if events is not None:
            events = dataclasses.replace(events, label=class_of[events.label])
        if options.add_names:
            own_names = np.array([f"{name}/{own}" for own in own_names.tolist()])
        groups = np.array(_groups(dataset, name, options.join_groups), datadir.TEXT)
        renamed.append(
            dataclasses.replace(
                dataset,
                filenames=own_names,
                labels=labels,
                tag_label=class_of[dataset.tag_label],
                events=events,
                groups=groups,
            )
        )
    return clip_sets.join(renamed)


@CORPORA.register("merge")
def prepare(options: MergeOptions) -> PrepareResult:
    """Join data directories to one data directory.

    The joined set has the classes of all sets. A class that a set does not have counts as absent in
    all clips of this set. The audio is not copied. Groups of different sets are different groups,
    also if they have the same name (see --join-groups). Two clips with the same name are an error
    (see --add-names). Clips with unknown tags are listed in unknown.tsv.

    Parameters
    ----------
    options : MergeOptions
        The folders and the settings.

    Returns
    -------
    MergeResult

    Raises
    ------
    InputError
        If a set can't be read, if two clips have the same name, or if `data_set` contains other
        data.

    Examples
    --------
    wsedtk prepare merge data/own data/labelled data/all --add-names --join-groups
    """
    folder = Path(options.data_set)
    datadir.check_overwrite(folder, MADE_BY)
    folders = as_paths(options.data_sets)
    names = _set_names(folders)
    sets = [datadir.read(one) for one in folders]
    if not options.add_names:
        _check_names(folders, sets)
    if not options.join_groups:
        _warn_of_same_groups(sets)
    _warn_of_events(folders, sets)
    dataset = merge(sets, names, _labels(folders, sets), options)
    info: dict[str, object] = {
        "made_by": MADE_BY,
        "sets": [str(one) for one in folders],
        "tags": "complete",
    }
    corpora = {one.info.get("corpus") for one in sets}
    if len(corpora) == 1 and None not in corpora:
        info["corpus"] = str(corpora.pop())
    dataset = dataclasses.replace(dataset, info=info)
    datadir.write(folder, dataset)
    parts = tuple(PreparedSet(one, part) for one, part in zip(folders, sets))
    return MergeResult((PreparedSet(folder, dataset),), parts)
