"""Read and write folders of frame scores in the format of sed_scores_eval.

Each clip has one table, `<clip>.tsv`. `score_tables` describes the content of a table. Tables may
be in subfolders, because `detect` writes them there if the recordings are in subfolders. If a table
is in a subfolder, the name of its clip begins with the path of the subfolder.

Sizes: N clips, T frames, S segments, K classes.
"""

import hashlib
import logging
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from wsedtk.core.atomic import writing_folder
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.progress import progress
from wsedtk.core.provenance import UNKNOWN_MODEL
from wsedtk.core.types import Floats, Integers
from wsedtk.core.wording import counted
from wsedtk.data import folders
from wsedtk.data.clip_names import without_extension, without_y
from wsedtk.data.events import num_segments
from wsedtk.data.frame_lengths import FrameTimes, measure, roundest
from wsedtk.data.score_tables import (
    BOM,
    ROUNDING_SECONDS,
    ScoreTable,
    TableWriter,
    is_table,
    parse_header,
    read_table,
)
from wsedtk.data.tables import Names, first, normal, round_seconds, unfit

_LOG = logging.getLogger(__name__)


# Patterns for names of tables and folders that wsedtk and other programs can read
_TABLE_NAME = re.compile(r"(?!\._|\.{1,3}tsv$)[^/\\\x00-\x1f\x7f]+\.tsv")
_FOLDER_NAME = re.compile(r"(?!\.)[^/\\\x00-\x1f\x7f]+")
_LONGEST_NAME = 255  # the longest name, in bytes, on most file systems


class Overview(TypedDict):
    """The content of a folder of tables of scores, as `look` returns it.

    `odd` lists the tables whose header differs from the header of the first table. The tables are
    given as paths relative to the folder.
    """

    tables: int
    labels: list[str]
    seconds_per_frame: float
    odd: list[str]


def _clip_name(path: Path) -> str:
    """Return the name of the clip of a table, without subfolders.

    A Y before a YouTube ID is removed. If the name of the clip has no audio extension, `.wav` is
    added.
    """
    name = without_y(normal(path.name).removesuffix(".tsv"))
    return name if without_extension(name) != name else f"{name}.wav"


def _difference(found: Sequence[str], expected: Sequence[str]) -> str:
    """Return a text that says how the classes of a table differ from the expected classes.

    If the first three classes are as expected, the text names only the first class that differs.
    """
    pairs = enumerate(zip(found, expected))
    place = next((i for i, (a, b) in pairs if a != b), min(len(found), len(expected)))
    if place < 3:
        return f"found {first(found)}, expected {first(expected)}"
    return f"found {_class_at(found, place)}, expected {_class_at(expected, place)}"


def _class_at(labels: Sequence[str], place: int) -> str:
    """Return a text that names the class at index `place`.

    If there are too few classes, the text gives the number of classes instead.
    """
    if place < len(labels):
        return f"the class {labels[place]!r} in column {place + 3}"
    return f"only {counted(len(labels), 'class')}"


class ScoreFolder:
    """A folder of frame scores. It has the attributes and some of the methods of `store.ScoreFile`.

    Clip and segment scores are the maxima of the frame scores. All tables are read once to compute
    the clip scores. `frames` and `segments` read the table of a clip again.

    Parameters
    ----------
    path : path-like

    Attributes
    ----------
    path : Path
    filenames : (N,) str
        The clips, sorted.
    labels : list of str
        The K classes.
    clip : (N, K) float32
        The clip scores.
    num_frames : (N,) int64
    durations : (N,) float64
        In seconds.
    seconds_per_frame : float
    attributes : dict
        `model`, `features` and `fingerprint`, as in a score file. The model and the features are
        unknown. The fingerprint is computed from the tables.
    failed : dict
        Always empty, because a folder does not list clips that failed.

    Raises
    ------
    InputError
        If the folder can't be entered or contains no tables, if a table is invalid, if two tables
        belong to one clip, or if the tables have different classes or frame lengths.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        paths = self._find_tables()
        self.filenames: Names = np.array(sorted(paths))
        self._paths = [paths[name] for name in self.filenames.tolist()]
        self.labels: list[str] = []
        self.failed: dict[str, str] = {}
        digest = hashlib.sha256()
        clip, times = [], []
        for table in progress(self._paths, "read scores"):
            found = self._read(table)
            content = (table.name, found.labels, found.edges.tolist())
            digest.update(repr(content).encode() + found.scores.tobytes())
            clip.append(found.scores.max(axis=0))
            times.append(measure(found.edges))
        self.clip: npt.NDArray[np.float32] = np.stack(clip)
        self.num_frames: Integers = np.array([one.num_frames for one in times])
        durations = np.array([one.duration for one in times])
        self.seconds_per_frame = self._find_seconds_per_frame(times)
        whole = self.num_frames * self.seconds_per_frame  # durations if the last frame is complete
        is_whole = np.abs(durations - whole) <= ROUNDING_SECONDS
        self.durations = round_seconds(np.where(is_whole, whole, durations))
        self.attributes: dict[str, str | bool | int | float] = {
            "model": UNKNOWN_MODEL,
            "features": "",
            "fingerprint": digest.hexdigest()[:16],
        }

    def _find_tables(self) -> dict[str, Path]:
        """Return the path of the table of each clip. Warn of names that no clip can have."""
        paths: dict[str, Path] = {}
        odd = []
        for table in tables_of(self.path):
            name = (table.parent.relative_to(self.path) / _clip_name(table)).as_posix()
            if unfit([name]) is not None:
                odd.append(repr(name))
                continue
            if name in paths:
                raise InputError(
                    f"{table}: is a second table of the clip {name!r}; the first is "
                    f"{paths[name].name}; remove one of them"
                )
            paths[name] = table
        if odd:
            _LOG.warning(
                f"{self.path}: {counted(len(odd), 'table is', 'tables are')} left out, because no "
                f"clip can have such a name: {first(odd)}; remove tabs, line ends and bytes that "
                "are not UTF-8 from the names of tables"
            )
        if not paths:
            raise InputError(
                f"{self.path}: contains no tables of scores; expected one .tsv file per clip"
            )
        return paths

    def _read(self, path: Path) -> ScoreTable:
        """Read a table. Raise InputError if its classes differ from those of the first table."""
        found = read_table(path)
        self.labels = self.labels or found.labels
        if found.labels != self.labels:
            raise InputError(
                f"{path}: its classes are not those of {self._paths[0].name}: "
                f"{_difference(found.labels, self.labels)}; all tables need the same columns in "
                "the same order"
            )
        return found

    def _find_seconds_per_frame(self, times: list[FrameTimes]) -> float:
        """Return the frame length, in seconds, that fits the times (N,) of all clips.

        The times may be rounded or have the precision of float32. If several frame lengths fit,
        `roundest` chooses one of them. If every clip has only one frame, return the longest
        duration. Raise InputError if the frame length differs between clips.
        """
        longest = max(times, key=lambda one: one.num_frames)
        if longest.num_frames == 1:
            step = float(max(one.duration for one in times))
        else:
            step = float(longest.last / (longest.num_frames - 1))
        low = max(one.shortest for one in times)
        high = min(one.longest for one in times)
        for path, one in zip(self._paths, times):
            is_odd = one.duration - one.last > 2 * step + ROUNDING_SECONDS
            if low > high:
                is_odd |= one.shortest > step or one.longest < step
            if is_odd:
                raise InputError(
                    f"{path}: its frame length differs from that of "
                    f"{self._paths[times.index(longest)].name}, {step:g} s; all clips need the "
                    "same frame length"
                )
        return step if longest.num_frames == 1 else roundest(low, high)

    def __len__(self) -> int:
        return len(self.filenames)

    def has(self, name: str) -> bool:
        """Return whether `name` is "frame" or "segment". The folder has scores of both kinds."""
        return name in ("frame", "segment")

    def frames(self, row: int) -> npt.NDArray[np.float32]:
        """Return the frame scores (T, K) of one clip."""
        return read_table(self._paths[row]).scores

    def segments(self, row: int) -> npt.NDArray[np.float32]:
        """Return the segment scores (S, K) of one clip.

        A segment is one second long. A frame belongs to the segment that contains its centre, or
        to the last segment if its centre is after this segment. The score of a segment is the
        maximum over its frames. A segment without frames has the score 0.
        """
        frames = self.frames(row)
        out = np.zeros((int(num_segments(self.durations[row])), len(self.labels)), np.float32)
        centres = np.round((np.arange(len(frames)) + 0.5) * self.seconds_per_frame, 6)
        segment = np.minimum(np.floor(centres).astype(int), len(out) - 1)
        np.maximum.at(out, segment, frames)
        return out


def tables_of(folder: PathLike) -> list[Path]:
    """Return the sorted paths of the `.tsv` files in a folder and its subfolders.

    Subfolders whose names begin with a dot are skipped. Files whose names begin with `._`, which
    macOS creates, are left out.

    Raises
    ------
    InputError
        If the folder can't be entered.
    """
    return sorted(
        Path(parent, name)
        for parent, names in folders.walk(folder)
        for name in names
        if name.endswith(".tsv") and not name.startswith("._")
    )


def look(folder: PathLike) -> Overview:
    """Return the content of a folder. Only the first table and the headers of all tables are read.

    Parameters
    ----------
    folder : path-like
        A folder with at least one `.tsv` file in it or in its subfolders.

    Raises
    ------
    InputError
        If the first table is not a table of scores, or if the folder can't be entered.
    """
    paths = tables_of(folder)
    found = read_table(paths[0])
    headers = []
    for path in paths:
        with open(path, "rb") as file:
            line = file.readline(1 << 20).removeprefix(BOM).split(b"\r")[0].removesuffix(b"\n")
        headers.append(parse_header(normal(line.decode(errors="replace"))))
    return {
        "tables": len(paths),
        "labels": found.labels,
        "seconds_per_frame": round(float(found.edges[1]), 6),
        "odd": [
            str(path.relative_to(folder))
            for path, header in zip(paths, headers)
            if header != headers[0]
        ],
    }


def check_overwrite(folder: PathLike) -> None:
    """Raise InputError if a folder contains anything other than tables and folders of tables.

    Subfolders are checked, too. Links to folders, and folders whose names begin with a dot, are not
    accepted.
    """
    if not os.path.isdir(folder):
        return
    content = folders.look(folder)
    for path in (Path(folder, name) for name in sorted([*content.folders, *content.files])):
        if path.is_dir() and not path.is_symlink() and _FOLDER_NAME.fullmatch(path.name):
            check_overwrite(path)
        elif not is_table(path):
            raise InputError(
                f"{folder}: is not overwritten, because it contains {path.name!r}, which is not a "
                "table of scores; choose another folder"
            )


def check_labels(folder: PathLike, labels: Iterable[str]) -> None:
    """Raise InputError if a class has the name of a time column, "onset" or "offset"."""
    if not set(labels).isdisjoint(("onset", "offset")):
        raise InputError(
            f"{folder}: tables of scores can't have a class named onset or offset, because these "
            "are the time columns; rename the class"
        )


def _fault_of_place(place: str) -> str | None:
    """Return the reason why a table can't have the relative path `place`, or None if it can.

    The separator of the path is `/`.
    """
    *parents, name = place.split("/")
    longest = max(len(os.fsencode(part)) for part in (*parents, name))
    if longest > _LONGEST_NAME:
        return (
            f"the name of its table or folder has {longest} bytes; expected at most {_LONGEST_NAME}"
        )
    if not (_TABLE_NAME.fullmatch(name) and all(map(_FOLDER_NAME.fullmatch, parents))):
        return f"{place!r} can't be the name of a table"
    return None


def _places(folder: PathLike, filenames: Sequence[str]) -> list[str | None]:
    """Return the path of the table of each clip (N,), relative to the folder.

    The separator of a path is `/`. The path is None for a clip that can't have a table. A warning
    names the first of these clips. Raise InputError if two clips would have the same table, or if
    no clip can have a table.
    """
    places = [f"{normal(name).removesuffix('.wav')}.tsv" for name in filenames]
    seen: dict[str, str] = {}
    for name, place in zip(filenames, places):
        other = seen.setdefault(place, name)
        if other is not name:
            raise InputError(
                f"{folder}: {other!r} and {name!r} would share the table {place!r}; "
                "rename one of these clips"
            )
    faults = list(map(_fault_of_place, places))
    odd = [f"{name!r} ({fault})" for name, fault in zip(filenames, faults) if fault]
    if odd and len(odd) == len(places):
        raise InputError(f"{folder}: no clip can have a table: {first(odd)}; rename the clips")
    if odd:
        left_out = counted(len(odd), "clip is left out", "clips are left out")
        _LOG.warning(f"{folder}: {left_out}: {first(odd)}; rename such clips")
    return [None if fault else place for place, fault in zip(places, faults)]


def write(
    folder: PathLike,
    filenames: Sequence[str],
    labels: Sequence[str],
    seconds_per_frame: float,
    clips: Iterable[tuple[Floats, float]],
) -> int:
    """Write a folder of frame scores. An existing folder is replaced after all tables are written.

    Frames that begin at or after the end of their clip are left out. Clips whose names can't be
    names of tables are left out, and a warning names up to three of these clips.

    Parameters
    ----------
    folder : path-like
    filenames : sequence of str
        The N clips. The table of `a.wav` is `a.tsv`, and the table of `a.flac` is `a.flac.tsv`. If
        the name contains `/`, the table is in a subfolder.
    labels : sequence of str
        The K classes.
    seconds_per_frame : float
    clips : iterable of ((T, K) float, float)
        The frame scores of each clip, and its duration in seconds.

    Returns
    -------
    int
        The number of tables that were written.

    Raises
    ------
    InputError
        If the folder contains anything other than tables of these clips, if two clips would have
        the same table, if no clip can have a table, or if a class is named "onset" or "offset".
    """
    check_overwrite(folder)
    places = _places(folder, filenames)
    there = tables_of(folder) if os.path.isdir(folder) else []
    old_places = {normal(path.relative_to(folder).as_posix()) for path in there}
    others = sorted(old_places.difference(place for place in places if place is not None))
    if others:
        tables = counted(len(others), "table of another clip", "tables of other clips")
        raise InputError(
            f"{folder}: writing to this folder would delete {tables}: {first(others)}; choose "
            "another folder, or remove this folder"
        )
    check_labels(folder, labels)
    with writing_folder(folder) as temporary:
        for place, (frames, duration) in zip(places, clips):
            if place is None:
                continue
            (temporary / place).parent.mkdir(parents=True, exist_ok=True)
            with open(temporary / place, "x", encoding="utf-8", newline="") as file:
                table = TableWriter(file, labels, seconds_per_frame)
                table.append(frames)
                table.finish(duration)
    return len(places) - places.count(None)
