"""Folders of frame scores in the form that sed_scores_eval reads and writes, one table a clip.

    <clip>.tsv    onset  offset  <class>  <class> ...      one row a frame, seconds, scores in [0, 1]

Tables may lie in subfolders, as `detect` puts them there: a clip's name then begins with those.

N clips, T frames, S segments, K classes. `ScoreFolder` reads one as `store.ScoreFile` reads a score file.
"""

import hashlib
import os
import re
from pathlib import Path

import numpy as np

from wsedtk.core.atomic import writing_folder
from wsedtk.core.errors import InputError
from wsedtk.core.progress import progress, say
from wsedtk.core.provenance import UNKNOWN_MODEL
from wsedtk.data import folders
from wsedtk.data.clip_names import without_extension, without_y
from wsedtk.data.events import num_segments
from wsedtk.data.score_tables import (
    BOM,
    ROUNDING_SECONDS,
    Table,
    is_table,
    parse_header,
    read_table,
)
from wsedtk.data.tables import first, normal, round_seconds, unfit

# Names of tables and folders that are read again, here and elsewhere
_TABLE_NAME = re.compile(r"(?!\._|\.{1,3}tsv$)[^/\\\x00-\x1f\x7f]+\.tsv")
_FOLDER_NAME = re.compile(r"(?!\.)[^/\\\x00-\x1f\x7f]+")
_LONGEST_NAME = 255  # bytes, on most file systems


def _clip_name(path):
    """The clip's file name: that of the table, without a Y before a YouTube ID, with .wav where it has no extension of a sound file."""
    name = without_y(normal(path.name).removesuffix(".tsv"))
    return name if without_extension(name) != name else f"{name}.wav"


def _steps_that_fit(onsets):
    """The shortest and the longest frame with which no frame begins off its onset (T,) too far."""
    if len(onsets) == 1:
        return 0.0, np.inf
    frame = np.arange(1, len(onsets))
    slack = min(ROUNDING_SECONDS, onsets[-1] / (len(onsets) - 1) / 4)
    return ((onsets[1:] - slack) / frame).max(), ((onsets[1:] + slack) / frame).min()


def _roundest(low, high):
    """The length of a frame between two of the fewest digits, its own or those of its inverse.

    The middle of the two where no more than six digits give one.
    """
    middle = (low + high) / 2
    for digits in range(1, 7):
        steps = float(f"{middle:.{digits}g}"), 1 / float(f"{1 / middle:.{digits}g}")
        steps = [step for step in steps if low <= step <= high]
        if steps:
            return min(steps, key=lambda step: abs(step - middle))
    return float(middle)


class ScoreFolder:
    """A folder of frame scores; clip and segment scores are the maxima of their frames. Tables are read as they are asked for."""

    def __init__(self, path):
        self.path = Path(path)
        paths, odd = {}, []
        for table in tables_of(self.path):
            name = (table.parent.relative_to(self.path) / _clip_name(table)).as_posix()
            if unfit([name]) is not None:
                odd.append(repr(name))
                continue
            if name in paths:
                raise InputError(
                    f"{table}: is of the clip {name!r}, as {paths[name].name} is; remove one of them"
                )
            paths[name] = table
        if odd:
            say(
                f"warning: {self.path}: {len(odd)} tables are left out, as no clip can be named "
                f"so: {first(odd)}; rename them, without tabs and line ends"
            )
        if not paths:
            raise InputError(f"{path}: holds no .tsv of scores; expected one a clip")
        self.filenames, self.labels, self.failed = np.array(sorted(paths)), None, {}
        self._paths, digest = [paths[name] for name in self.filenames.tolist()], hashlib.sha256()
        clip, edges, steps = [], [], []
        for table in progress(self._paths, "read scores"):
            labels, times, scores = read_table(table)
            self.labels = self.labels or labels
            if labels != self.labels:
                raise InputError(
                    f"{table}: its classes are not those of {self._paths[0].name}: {first(labels)} here, "
                    f"{first(self.labels)} there; every table needs the same columns in the same order"
                )
            digest.update(repr((table.name, labels, times.tolist())).encode() + scores.tobytes())
            clip.append(scores.max(axis=0))
            edges.append((len(scores), times[-2], times[-1]))
            steps.append(_steps_that_fit(times[:-1]))
        self.clip = np.stack(clip)
        self.num_frames, last, self.durations = (np.array(column) for column in zip(*edges))
        self.seconds_per_frame = self._seconds_per_frame(last, *np.transpose(steps))
        whole = self.num_frames * self.seconds_per_frame  # where the last frame is not cut short
        is_whole = np.abs(self.durations - whole) <= ROUNDING_SECONDS
        self.durations = round_seconds(np.where(is_whole, whole, self.durations))
        self.attributes = {
            "model": UNKNOWN_MODEL,
            "features": "",
            "fingerprint": digest.hexdigest()[:16],
        }

    def _seconds_per_frame(self, last, low, high):
        """The length of all frames: the roundest one that fits the times, rounded or float32.

        last: (N,) the onset of each clip's last frame; low, high: (N,), see `_steps_that_fit`.
        Raises InputError where clips differ.
        """
        longest = int(self.num_frames.argmax())
        is_single = self.num_frames[longest] == 1
        step = self.durations.max() if is_single else last[longest] / (self.num_frames[longest] - 1)
        odd = self.durations - last > 2 * step + ROUNDING_SECONDS
        if low.max() > high.min():
            odd |= (low > step) | (high < step)
        if odd.any():
            raise InputError(
                f"{self._paths[odd.argmax()]}: its frames are of another length than those of "
                f"{self._paths[longest].name}, {step:g} s; all clips need the same"
            )
        return float(step) if is_single else _roundest(low.max(), high.min())

    def __len__(self):
        return len(self.filenames)

    def has(self, name):
        """Whether there are scores of that kind: `frame`, but no `weight`."""
        return name in ("frame", "segment")

    def frames(self, row):
        """Frame scores of one clip: (T, K)."""
        return read_table(self._paths[row])[2]

    def segments(self, row):
        """Segment scores of one clip, of the frames whose centre each second holds: (S, K)."""
        frames = self.frames(row)
        out = np.zeros((int(num_segments(self.durations[row])), len(self.labels)), np.float32)
        place = np.floor(
            np.round((np.arange(len(frames)) + 0.5) * self.seconds_per_frame, 6)
        ).astype(int)
        np.maximum.at(out, np.minimum(place, len(out) - 1), frames)
        return out


def tables_of(folder):
    """The tables in a folder and its subfolders, sorted.

    Raises InputError where the folder can't be entered.
    """
    return sorted(
        Path(parent, name)
        for parent, names in folders.walk(folder)
        for name in names
        if name.endswith(".tsv") and not name.startswith("._")
    )


def look(folder):
    """What a folder of frame scores is, of its first table and the headers: {tables, labels, seconds_per_frame, odd}.

    odd: the names of tables with another header. Raises InputError where the first is no table of scores.
    """
    paths = tables_of(folder)
    labels, edges, _ = read_table(paths[0])
    headers = []
    for path in paths:
        with open(path, "rb") as file:
            line = file.readline(1 << 20).removeprefix(BOM).split(b"\r")[0].removesuffix(b"\n")
            headers.append(parse_header(normal(line.decode(errors="replace"))))
    odd = [path.name for path, header in zip(paths, headers) if header != headers[0]]
    return {
        "tables": len(paths),
        "labels": labels,
        "seconds_per_frame": round(float(edges[1]), 6),
        "odd": odd,
    }


def check_overwrite(folder):
    """Raise InputError where a folder holds, at any depth, anything but tables of scores."""
    subfolders, files = folders.look(folder) if os.path.isdir(folder) else ([], [])
    for path in (Path(folder, name) for name in sorted([*subfolders, *files])):
        if path.is_dir() and not path.is_symlink() and _FOLDER_NAME.fullmatch(path.name):
            check_overwrite(path)
        elif not is_table(path):
            raise InputError(
                f"{folder}: holds {path.name!r}, no table of scores, so it is not overwritten; name another folder"
            )


def check_labels(folder, labels):
    """Raise InputError where a table can't have a column of each class."""
    if not set(labels).isdisjoint(("onset", "offset")):
        raise InputError(
            f"{folder}: a class can't be named onset or offset there, as the columns of times are"
        )


def _fault_of_place(place):
    """Why there can't be a table in a place of a folder, a path with `/`; None where there can."""
    *parents, name = place.split("/")
    longest = max(len(os.fsencode(part)) for part in (*parents, name))
    if longest > _LONGEST_NAME:
        return f"its table's name has {longest} bytes; expected at most {_LONGEST_NAME}"
    if not (_TABLE_NAME.fullmatch(name) and all(map(_FOLDER_NAME.fullmatch, parents))):
        return f"{place!r} is no file name that is read again"
    return None


def _places(folder, filenames):
    """Where the tables of clips (N,) lie in a folder, paths with `/`; None for a clip without one.

    Clips without one are warned of. Raises InputError where two clips have one place, or none has
    any.
    """
    places = [f"{normal(name).removesuffix('.wav')}.tsv" for name in filenames]
    faults = list(map(_fault_of_place, places))
    seen = {}
    for name, place in zip(filenames, places):
        other = seen.setdefault(place, name)
        if other is not name:
            raise InputError(
                f"{folder}: {other!r} and {name!r} would have one table, {place!r}; "
                "rename one of these clips"
            )
    odd = [f"{name!r} ({fault})" for name, fault in zip(filenames, faults) if fault]
    if odd and len(odd) == len(places):
        raise InputError(f"{folder}: no clip can have a table there: {first(odd)}; rename them")
    if odd:
        say(f"warning: {folder}: {len(odd)} clips are left out: {first(odd)}; rename them")
    return [None if fault else place for place, fault in zip(places, faults)]


def write(folder, filenames, labels, seconds_per_frame, clips):
    """Write a folder of frame scores, whole or not at all, in the place of one that is there.

    filenames: of N clips, `.wav` is left out of the tables' names, and what stands before a `/` is
    a subfolder; clips yields their (frames (T, K), duration in seconds). Frames that begin after
    the clip's end are left out, and clips whose names can't be those of tables, with a warning.
    Returns the number of tables. Raises InputError where the folder holds anything but tables of
    these clips, or two clips are one to the file system.
    """
    check_overwrite(folder)
    places = _places(folder, filenames)
    there = tables_of(folder) if os.path.isdir(folder) else []
    others = sorted({normal(path.relative_to(folder).as_posix()) for path in there} - set(places))
    if others:
        raise InputError(
            f"{folder}: holds {len(others)} tables of other clips, {others[0]!r} the first, which would be lost; "
            "name another folder, or remove it"
        )
    check_labels(folder, labels)
    with writing_folder(folder) as temporary:
        for place, (frames, duration) in zip(places, clips):
            if place is None:
                continue
            (temporary / place).parent.mkdir(parents=True, exist_ok=True)
            with open(temporary / place, "x", encoding="utf-8", newline="") as file:
                table = Table(file, labels, seconds_per_frame)
                table.append(frames)
                table.finish(duration)
    return len(places) - places.count(None)
