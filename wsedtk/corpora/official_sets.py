"""Write the official sets of a corpus as data directories, with the available audio."""

import dataclasses
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from wsedtk.core import atomic
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike, as_paths
from wsedtk.core.wording import counted
from wsedtk.corpora.registry import PreparedSet, PrepareResult
from wsedtk.corpora.youtube import Coverage, cover, find_audio
from wsedtk.data import datadir
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.tables import find, write_rows

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class OfficialSetsOptions:
    """The options that `prepare dcase2017` and `prepare audioset` have in common.

    Parameters
    ----------
    metadata_dir : path-like
        The folder with the published metadata. Subfolders are searched, too.
    audio_dirs : path-like, or sequence of path-like
        The folders with the audio. Subfolders are searched, too.
    data_dir : path-like
        The folder in which the data directories are written.
    metadata_only : bool
        Write the official clips without audio. AUDIO_DIR is then not needed.
    strict : bool
        Stop with an error if an official clip has no usable audio.
    jobs : int
        Number of processes that examine the audio.

    Raises
    ------
    InputError
        If `jobs` is less than 1, or if both `strict` and `metadata_only` are set.
    """

    metadata_dir: PathLike
    audio_dirs: PathLike | Sequence[PathLike] = dataclasses.field(
        metadata={"required": False, "metavar": "AUDIO_DIR..."}
    )
    data_dir: PathLike
    _: dataclasses.KW_ONLY
    metadata_only: bool = False
    strict: bool = False
    jobs: int = dataclasses.field(default=1, metadata={"minimum": 1})

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise InputError(f"jobs: found {self.jobs}; expected at least 1")
        if self.strict and self.metadata_only:
            raise InputError(
                "--strict requires the audio of every clip, and --metadata-only reads no audio; "
                "give only one of them"
            )


@dataclasses.dataclass(frozen=True)
class OfficialSetsResult(PrepareResult):
    """The official sets that were written, and the audio that was found for them.

    Attributes
    ----------
    sets : tuple of PreparedSet
        The data directories that were written. Sets without usable audio are written only if
        `metadata_only` is set.
    coverage : mapping of Path to Coverage
        The official clips of each data directory, and which of them have usable audio. Data
        directories that were not written are included. The mapping is empty if the sets were
        written without audio.
    audio_dirs : tuple of Path
        The folders that were searched for audio.
    num_other_files : int
        Number of files in `audio_dirs` that belong to no clip of the sets.
    excluded : mapping of Path to int
        For each data directory whose videos were excluded, the number of training clips that come
        from these videos.
    """

    coverage: Mapping[Path, Coverage] = dataclasses.field(default_factory=dict)
    audio_dirs: tuple[Path, ...] = ()
    num_other_files: int = 0
    excluded: Mapping[Path, int] = dataclasses.field(default_factory=dict)

    def to_text(self) -> str:
        """Return the text that `wsedtk prepare` prints.

        The text contains a table of the audio of each set. If the sets were written without audio,
        it contains the number of clips of each set instead.
        """
        lines = [
            f"excluded: {count:,} clip{'' if count == 1 else 's'} whose source video also occurs "
            f"in {folder}"
            for folder, count in self.excluded.items()
        ]
        if not self.coverage:
            lines += [_counts(one) for one in self.sets]
        for folder, coverage in self.coverage.items():
            lines += _coverage_lines(folder, coverage)
        if self.num_other_files:
            folders = ", ".join(map(str, self.audio_dirs))
            belong = counted(self.num_other_files, "file belongs", "files belong")
            lines.append(f"{folders}: {belong} to no clip of these sets")
        return "".join(f"{line}\n" for line in lines)


def _counts(prepared: PreparedSet) -> str:
    dataset = prepared.dataset
    events = "" if dataset.events is None else f", {len(dataset.events):,} events"
    num_clips, num_tags = len(dataset), len(dataset.tag_clip)
    return f"{prepared.folder}: {num_clips:,} clips, {num_tags:,} tags{events}, no audio"


def _coverage_lines(folder: Path, coverage: Coverage) -> list[str]:
    """Return a table of the audio of a set, and a summary if at least one clip can be used."""
    table = coverage.table(str(folder))
    num_used = int(coverage.is_true["used"].sum())
    if not num_used:
        return [table]
    num_official = coverage.dataset.info["official_clips"]
    num_excluded = num_official - len(coverage.dataset)
    excluded = f" (excluded official clips: {num_excluded:,})" if num_excluded else ""
    summary = (
        f"{folder}: {num_used:,} of {num_official:,} official clips are used{excluded}; "
        f"remarks on clips are in {folder / 'coverage.tsv'}"
    )
    return [table, summary, ""]


def check_outputs(options: OfficialSetsOptions, names: Iterable[str], made_by: str) -> None:
    """Check that the sets can be written, before a preparation that can take hours.

    Parameters
    ----------
    options : OfficialSetsOptions
        The options of the corpus.
    names : iterable of str
        The names of the sets.
    made_by : str
        The command whose earlier output may be overwritten.

    Raises
    ------
    InputError
        If the folder of a set contains a data set that another command wrote, or if `data_dir`
        cannot be written.
    """
    data_dir = Path(options.data_dir)
    for name in names:
        datadir.check_overwrite(data_dir / name, made_by)
    above = next(p for p in (data_dir, *data_dir.absolute().parents) if p.exists())
    if not (above.is_dir() and os.access(above, os.W_OK)):
        raise InputError(
            f"{data_dir}: can't be written: {above} is not a folder, or is not writable; "
            "choose another folder"
        )


def write(sets: Mapping[str, DataSet], options: OfficialSetsOptions) -> OfficialSetsResult:
    """Write the data directories of official sets.

    Parameters
    ----------
    sets : mapping of str to DataSet
        The official clips of each set, by the name of the data directory.
    options : OfficialSetsOptions
        The options of the corpus.

    Returns
    -------
    OfficialSetsResult

    Raises
    ------
    InputError
        If a file can't be written or removed. Unless `metadata_only` is set, the error is also
        raised in these cases: no folder with audio is given, a folder with audio does not exist or
        can't be entered, no official clip has usable audio, or `strict` is set and an official
        clip has no usable audio.
    """
    if options.metadata_only:
        return _write_without_audio(sets, Path(options.data_dir))
    return _write_with_audio(sets, options)


def remove(folder: Path) -> None:
    """Remove the files that an earlier run wrote to a data directory.

    Raises InputError if a file can't be removed.
    """
    for name in (*datadir.COLUMNS, "labels.txt", "info.yaml", "coverage.tsv"):
        atomic.remove(folder / name)


def _write_without_audio(sets: Mapping[str, DataSet], data_dir: Path) -> OfficialSetsResult:
    written = []
    for name, dataset in sets.items():
        remove(data_dir / name)
        datadir.write(data_dir / name, dataset)
        written.append(PreparedSet(data_dir / name, dataset))
    return OfficialSetsResult(tuple(written))


def _write_with_audio(
    sets: Mapping[str, DataSet], options: OfficialSetsOptions
) -> OfficialSetsResult:
    audio_dirs, data_dir = as_paths(options.audio_dirs), Path(options.data_dir)
    if not audio_dirs:
        raise InputError(
            "no AUDIO_DIR is given; expected METADATA_DIR AUDIO_DIR... DATA_DIR; to write sets "
            "without audio, give --metadata-only"
        )
    names, paths, num_others, unfit = find_audio(audio_dirs)
    is_official = np.zeros(len(names), bool)
    for dataset in sets.values():
        is_official |= find(dataset.filenames, names) >= 0
    num_others += int((~is_official).sum())
    folders = ", ".join(map(str, audio_dirs))
    if not is_official.any():
        raise InputError(
            f"{folders}: found no audio of official clips "
            f"(found {counted(num_others, 'other file')}); expected "
            "files named Y<ID>_<start>_<end>.wav (the Y may be missing, and the extension may be "
            ".flac, .ogg or .mp3); to write sets without audio, give --metadata-only"
        )
    covered = {
        data_dir / name: cover(dataset, names, paths, unfit, options.jobs)
        for name, dataset in sets.items()
    }
    _check_used(list(covered.values()), folders, options.strict)
    written = []
    for folder, coverage in covered.items():
        if coverage.is_true["used"].any():
            written.append(_write_covered(coverage, folder))
        else:
            remove(folder)
            _LOG.warning(f"{folder}: not written, because no clip of this set has usable audio")
    return OfficialSetsResult(tuple(written), covered, audio_dirs, num_others)


def _check_used(covered: Sequence[Coverage], folders: str, strict: bool) -> None:
    """Raise InputError if no clip can be used, or if `strict` is set and a clip can't be used."""
    unused = [(found, np.flatnonzero(~found.is_true["used"])) for found in covered]
    if strict and any(len(clips) for _, clips in unused):
        found, clips = next(pair for pair in unused if len(pair[1]))
        num_unused = sum(len(clips_of_set) for _, clips_of_set in unused)
        raise InputError(
            f"--strict: {counted(num_unused, 'official clip')} can't be used, for example "
            f"{str(found.dataset.filenames[clips[0]])!r} ({found.remark(clips[0])}); "
            "download or replace the audio, or omit --strict"
        )
    if not any(found.is_true["used"].any() for found in covered):
        found = next(found for found in covered if found.remarks)
        clip, reason = next(iter(found.remarks.items()))
        raise InputError(
            f"{folders}: none of the official clips that were found can be used; for example, "
            f"{str(found.dataset.filenames[clip])!r} is {reason}"
        )


def _write_covered(coverage: Coverage, folder: Path) -> PreparedSet:
    """Write a data directory with the clips that can be used, and coverage.tsv with remarks."""
    has_remark = coverage.is_true["missing"].copy()
    has_remark[list(coverage.remarks)] = True
    names = coverage.dataset.filenames
    rows = [
        (str(names[clip]), " ".join(coverage.remark(clip).split()))
        for clip in np.flatnonzero(has_remark).tolist()
    ]
    write_rows(folder / "coverage.tsv", ("filename", "remark"), [rows])
    dataset = coverage.used()
    datadir.write(folder, dataset)
    return PreparedSet(folder, dataset)
