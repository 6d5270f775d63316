"""balance: a training set -> a fit set and a balanced validation set.

In the shapes, N is the number of clips, and K is the number of classes.
"""

import dataclasses
import logging
import os
import shlex
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.core.types import Booleans, Integers
from wsedtk.core.wording import counted
from wsedtk.corpora import group_tables
from wsedtk.data import clip_sets, datadir, time_split
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.context import context_warning
from wsedtk.data.group_split import Part, Split, split
from wsedtk.stages.options.systems import BalanceOptions

_LOG = logging.getLogger(__name__)

MADE_BY = "balance"

# Keys of info.yaml that do not hold for a part of the set
_OTHER_KEYS = ("official_clips", "split_by", "gap_seconds")


class ClassCounts(NamedTuple):
    """The numbers of clips of one class in the split.

    Attributes
    ----------
    label : str
        The class.
    num_clips, num_fit, num_valid : int
        Number of clips of the class in the whole set, the fit set and the validation set.
    num_sources : int
        Number of sources that the clips of the class come from.
    is_exhausted : bool
        Whether fewer clips of the class could be held out than wanted. `split` and
        `time_split.split_by_time` explain how many are wanted.
    """

    label: str
    num_clips: int
    num_fit: int
    num_valid: int
    num_sources: int
    is_exhausted: bool


@dataclasses.dataclass(frozen=True)
class BalanceResult:
    """The result of `run`: the two parts of a set.

    Attributes
    ----------
    fit_set, valid_set : Path
        The data directories that were written.
    num_clips, num_fit, num_valid : int
        Number of clips of the whole set and of its parts. Some clips of held-out sources can be in
        neither part.
    classes : tuple of ClassCounts
        The counts of each class, in the order of labels.txt.
    parts : tuple of Part, or None
        The parts of recordings that are held out. None if the set was not split by time.
    """

    fit_set: Path
    valid_set: Path
    num_clips: int
    num_fit: int
    num_valid: int
    classes: tuple[ClassCounts, ...]
    parts: tuple[Part, ...] | None = None


def _sources_per_class(dataset: DataSet) -> list[int]:
    """Return, for each of the K classes, the number of sources that its clips come from."""
    (sources,) = clip_sets.sources(dataset)
    pairs = np.unique(sources[dataset.tag_clip] * len(dataset.labels) + dataset.tag_label)
    counts: list[int] = np.bincount(
        pairs % len(dataset.labels), minlength=len(dataset.labels)
    ).tolist()
    return counts


def _class_counts(
    dataset: DataSet, fit: DataSet, valid: DataSet, exhausted: Integers
) -> tuple[ClassCounts, ...]:
    in_all, in_fit, in_valid = (part.clips_per_class() for part in (dataset, fit, valid))
    num_sources = _sources_per_class(dataset)
    return tuple(
        ClassCounts(
            label, int(in_all[k]), int(in_fit[k]), int(in_valid[k]), num_sources[k], k in exhausted
        )
        for k, label in enumerate(dataset.labels)
    )


def _parts(
    dataset: DataSet, found: Split, options: BalanceOptions, source_fingerprint: str
) -> tuple[DataSet, DataSet]:
    """Return the fit set and the validation set, as they are written."""
    about_split: dict[str, object] = {
        "seed_of_split": options.seed,
        "source_fingerprint": source_fingerprint,
    }
    if options.by == "time":
        about_split |= {"split_by": "time", "gap_seconds": _gap(options)}

    def part(keep: Booleans) -> DataSet:
        info = {
            **{key: value for key, value in dataset.info.items() if key not in _OTHER_KEYS},
            "made_by": MADE_BY,
            **about_split,
        }
        return dataclasses.replace(dataset.select(keep), info=info)

    return part(found.fit), part(found.valid)


def is_done(options: BalanceOptions) -> bool:
    """Return whether both output folders already contain what `run` would write."""
    folders = (Path(options.fit_set), Path(options.valid_set))
    if not all((folder / "clips.tsv").is_file() for folder in folders):
        return False
    dataset = datadir.read(options.data_set)
    fingerprint = dataset.fingerprint()
    parts = _parts(*_split(dataset, options), options, fingerprint)
    return all(map(_contains, folders, parts))


def _contains(folder: Path, part: DataSet) -> bool:
    """Return whether a data directory contains a set."""
    try:
        found = datadir.read(folder)
    except InputError:
        return False
    # When a set is written, its version of wsedtk replaces that of the set that was split.
    of_writing = {datadir.TAGS, *provenance.made_by()}
    mine, theirs = (
        {key: value for key, value in info.items() if key not in of_writing}
        for info in (part.info, found.info)
    )
    same_paths = found.paths.tolist() == part.paths.tolist()
    return found.fingerprint() == part.fingerprint() and same_paths and mine == theirs


def run(options: BalanceOptions) -> BalanceResult:
    """Hold out a validation set, as `wsedtk balance` does.

    Parameters
    ----------
    options : BalanceOptions
        The set to split, the two data directories to write, and the settings.

    Returns
    -------
    BalanceResult

    Raises
    ------
    InputError
        If an input is wrong, if a folder to write contains a data set that `balance` did not make,
        or if no clip can be held out.

    Examples
    --------
    >>> result = run(BalanceOptions("data/train", "data/fit", "data/valid", num_valid=100))
    >>> result.num_fit, result.num_valid
    """
    data_set = options.data_set
    fit_set, valid_set = Path(options.fit_set), Path(options.valid_set)
    dataset = datadir.read(data_set)
    _check_number(dataset, options)
    if len({os.path.realpath(folder) for folder in (data_set, fit_set, valid_set)}) < 3:
        raise InputError(
            f"{data_set}, {fit_set}, {valid_set}: two of these paths are the same folder; name "
            "three different folders"
        )
    for folder in (fit_set, valid_set):
        datadir.check_overwrite(folder, MADE_BY)
    context = context_warning(dataset)
    if context is not None:
        _LOG.warning(f"{data_set}: {context}")
    fingerprint = dataset.fingerprint()
    dataset, found = _split(dataset, options)
    if not found.valid.any():
        raise InputError(_no_clip(dataset, options))
    fit, valid = _parts(dataset, found, options, fingerprint)
    datadir.write(fit_set, fit)
    datadir.write(valid_set, valid)
    classes = _class_counts(dataset, fit, valid, found.exhausted)
    return BalanceResult(
        fit_set, valid_set, len(dataset), len(fit), len(valid), classes, found.parts
    )


def _gap(options: BalanceOptions) -> float:
    """Return the guard gap in seconds."""
    return time_split.GAP_SECONDS if options.gap_seconds is None else float(options.gap_seconds)


def _split(dataset: DataSet, options: BalanceOptions) -> tuple[DataSet, Split]:
    """Return the set, with the groups of the table of groups if there is one, and its split."""
    if options.groups is not None:
        dataset = group_tables.with_groups(dataset, options.groups, options.group_column)
    if options.by == "group":
        return dataset, split(dataset, options.num_valid, options.seed)
    try:
        found = time_split.split_by_time(dataset, options.num_valid, options.seed, _gap(options))
    except InputError as error:
        raise InputError(f"{Path(options.data_set) / 'clips.tsv'}: {error}") from None
    return dataset, found


def _check_number(dataset: DataSet, options: BalanceOptions) -> None:
    """Raise InputError if the number of clips to hold out is wrong. Warn of unknown tags."""
    unknown = dataset.has_unknown_tags()
    num_known = len(dataset) - int(unknown.sum())
    if not num_known:
        raise InputError(
            f"{options.data_set}: the tags of all clips are unknown, so no balanced set can be "
            "held out; split a set with tags"
        )
    if not 1 <= options.num_valid < num_known:
        with_tags = " with known tags" if unknown.any() else ""
        raise InputError(
            f"num_valid: found {options.num_valid}; expected a number of at least 1 and below "
            f"{num_known}, the number of clips{with_tags} in {options.data_set}"
        )
    if unknown.any():
        _LOG.warning(
            f"{options.data_set}: the clips with unknown tags are not used for validation "
            f"({counted(len(dataset) - num_known, 'clip')})"
        )


def _no_clip(dataset: DataSet, options: BalanceOptions) -> str:
    """Return the message if no clip can be held out. It contains the commands that may help."""
    what = f"{options.data_set}: no clip can be held out, because"
    if options.by == "time":
        return (
            f"{what} each part of a recording, with its guard gaps, contains more than half of the "
            "clips of a class; lower num_valid (--num-valid) or gap_seconds (--gap-seconds), now "
            f"{_gap(options):g} s"
        )
    folders = (options.data_set, options.fit_set, options.valid_set)
    command = shlex.join(
        ["wsedtk", "balance", *map(str, folders), "--num-valid", str(options.num_valid)]
    )
    remedies = [
        "give smaller groups, such as recorders or days, in a column of a table of the recordings: "
        f"{command} --groups TABLE --group-column HEADING"
    ]
    if not np.isnan(time_split.clip_times(dataset).starts).all():
        remedies.insert(0, f"split each recording by time: {command} --by time")
    return (
        f"{what} every source (group or recording) contains more than half of the clips of a "
        f"class; {'; or '.join(remedies)}"
    )
