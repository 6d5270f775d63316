"""Cut the detected events out of recordings: one folder for each class, the best events first.

    Dog bark/0001_0.987_20240517_053000_12.3s.wav    rank, score, recording and onset of the event
    clips.csv                                        the events of all files

The table `clips.csv` is written first. If the cut-outs are written again, the files of the old
table that are not in the new table are removed.
"""

import contextlib
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import soundfile

from wsedtk.audio.cutting import Span, read_parts
from wsedtk.audio.sound_file import Block, Sound
from wsedtk.core.atomic import explained, write_text, writing
from wsedtk.core.errors import InputError
from wsedtk.core.processes import mapping
from wsedtk.core.progress import progress
from wsedtk.core.types import Floats
from wsedtk.data.clip_names import AUDIO_EXTENSIONS
from wsedtk.data.events import Event
from wsedtk.inference.sliding_windows import Source

TABLE = "clips.csv"
COLUMNS = (
    "clip",
    "filename",
    "onset",
    "offset",
    "event_label",
    "score",
    "clip_onset",
    "clip_offset",
)
LONGEST_SECONDS = 60.0  # of a longer event, the beginning is cut out
_LONGEST_BYTES = 100  # of the name of a class or recording; a file name may have 255 bytes
# Characters that are not allowed in file names on some systems.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\ud800-\udfff\u2028\u2029]')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


class Found(NamedTuple):
    """A recording, or one of its channels, with its events and its duration in seconds."""

    source: Source
    events: Sequence[Event]
    seconds: float


class Cut(NamedTuple):
    """A file to write.

    Attributes
    ----------
    path : str
        The path in the folder of the cut-outs, with slashes.
    start, end : float
        The part of the recording in seconds.
    """

    path: str
    start: float
    end: float


class _Plan(NamedTuple):
    """The files to cut out of each recording, and the rows of the table."""

    cuts: list[tuple[Source, list[Cut]]]
    rows: list[tuple[str, ...]]


class _Work(NamedTuple):
    """The files to cut out of one recording."""

    folder: Path
    source: Source
    cuts: Sequence[Cut]


def safe_name(text: str) -> str:
    """Return a text as the name of a file or folder that all common systems allow.

    Characters that are not allowed become underscores. Long names are shortened.
    """
    name = _UNSAFE.sub("_", text).encode()[:_LONGEST_BYTES].decode(errors="ignore").strip(" ")
    name = re.sub(r"^\.+|[. ]+$", "_", name) or "_"
    return f"_{name}" if _RESERVED.match(name) else name


def _folders(labels: Iterable[str]) -> dict[str, str]:
    """Return the folder of each class. Names that differ only in letter case get numbers."""
    folders: dict[str, str] = {}
    taken: set[str] = set()
    for label in sorted(set(labels)):
        name, number = safe_name(label), 1
        while name.casefold() in taken:
            number += 1
            name = f"{safe_name(label)} {number}"
        taken.add(name.casefold())
        folders[label] = name
    return folders


def _stem(name: str) -> str:
    """Return the name of a recording without the extension of a sound file."""
    path = PurePosixPath(name)
    is_audio = path.suffix.lower() in AUDIO_EXTENSIONS
    return safe_name(name[: -len(path.suffix)] if is_audio else name)


def _plan(found: Sequence[Found], margin: float, most: int | None) -> _Plan:
    """Choose the names of the files.

    Parameters
    ----------
    found : sequence of Found
    margin : float
        The duration before and after each event in seconds.
    most : int or None
        The largest number of events of a class.
    """
    ranked: dict[str, list[tuple[float, int, Event]]] = {}
    for number, one in enumerate(found):
        for event in one.events:
            ranked.setdefault(event.label, []).append((-event.score, number, event))
    folders = _folders(ranked)
    cuts: list[list[Cut]] = [[] for _ in found]
    rows = []
    for label in sorted(ranked):
        best = sorted(ranked[label], key=lambda item: (*item[:2], item[2].onset))[:most]
        digits = max(4, len(str(len(best))))
        for rank, (_, number, event) in enumerate(best, 1):
            source, _, seconds = found[number]
            name = f"{rank:0{digits}}_{event.score:.3f}_{_stem(source.name)}_{event.onset:.1f}s.wav"
            path = f"{folders[label]}/{name}"
            offset = min(event.offset, event.onset + LONGEST_SECONDS)
            cut = Cut(path, max(0.0, event.onset - margin), min(seconds, offset + margin))
            cuts[number].append(cut)
            times = (f"{time:.3f}" for time in (event.onset, event.offset))
            ends = (f"{time:.3f}" for time in (cut.start, cut.end))
            rows.append((path, source.name, *times, label, f"{event.score:.4f}", *ends))
    return _Plan([(one.source, some) for one, some in zip(found, cuts) if some], rows)


def write(
    folder: Path,
    found: Sequence[Found],
    *,
    margin: float,
    most: int | None = None,
    jobs: int = 1,
) -> list[str]:
    """Cut events out of recordings. Files that an earlier call has written are kept.

    Parameters
    ----------
    folder : Path
        The folder of the cut-outs.
    found : sequence of Found
        The recordings with their events.
    margin : float
        The duration before and after each event in seconds.
    most : int, optional
        The largest number of events of a class. By default, all events are cut out.
    jobs : int
        The number of processes.

    Returns
    -------
    list of str
        The reason for each recording that can't be read.

    Raises
    ------
    InputError
        If a file can't be written, or if the folder contains another file clips.csv.
    """
    plan = _plan(found, margin, most)
    table, before = folder / TABLE, _rows_before(folder)
    rows = {row[0]: row for row in plan.rows}
    for path, row in before.items():
        if rows.get(path) != row:
            with explained(folder / path):
                (folder / path).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # the folder of the class is not empty
                (folder / path).parent.rmdir()
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([COLUMNS, *plan.rows])
    write_text(table, buffer.getvalue())
    work = []
    for source, cuts in plan.cuts:
        left = [cut for cut in cuts if _is_missing(folder / cut.path, source)]
        if left:
            work.append(_Work(folder, source, sorted(left, key=lambda cut: cut.start)))
    with mapping(min(jobs, max(len(work), 1)), chunk_size=1) as spread:
        failures = progress(spread(_cut, work), "cut-outs", len(work))
        return [failure for failure in failures if failure is not None]


def _rows_before(folder: Path) -> dict[str, tuple[str, ...]]:
    """Return the rows of an existing table by path. Paths outside of the folder are left out.

    Raises InputError if the table is another file, or if it can't be read.
    """
    table = folder / TABLE
    try:
        with open(table, encoding="utf-8", newline="") as file:
            rows = [tuple(row) for row in csv.reader(file)]
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{table}: can't be read: {reason}") from None
    if not rows or rows[0] != COLUMNS:
        raise InputError(
            f"{table}: found another table; expected the columns {', '.join(COLUMNS)}; choose "
            "another folder for the cut-outs (--clips)"
        )
    return {
        row[0]: row
        for row in rows[1:]
        if len(row) == len(COLUMNS)
        and re.fullmatch(r"[^/\\]+/[^/\\]+\.wav", row[0])
        and not row[0].startswith("..")
    }


def _is_missing(path: Path, source: Source) -> bool:
    """Return whether a file is missing or older than its recording."""
    try:
        return path.stat().st_mtime_ns < Path(source.path).stat().st_mtime_ns
    except OSError:
        return not path.exists()


def _cut(work: _Work) -> str | None:
    """Write the files of one recording. Return the reason if the recording can't be read."""
    try:
        with Sound(work.source.path) as sound, contextlib.closing(sound.blocks()) as blocks:
            parts = _parts(work, sound.samplerate, blocks)
            for path, samples in parts:
                _write(work.folder / path, samples, sound.samplerate)
    except _CannotWrite as error:
        raise InputError(str(error)) from None
    except InputError as error:
        return f"{work.source.name}: {error}"
    return None


class _CannotWrite(Exception):
    """A file can't be written. The message gives the reason."""


def _write(path: Path, samples: Floats, sample_rate: int) -> None:
    try:
        with writing(path) as temporary:
            soundfile.write(temporary, samples, sample_rate, "PCM_16", format="WAV")
    except (InputError, soundfile.SoundFileError) as error:
        raise _CannotWrite(str(error)) from None


def _parts(work: _Work, sample_rate: int, blocks: Iterable[Block]) -> Iterator[tuple[str, Floats]]:
    """Yield the path and the samples (S, C) of each file of a recording."""
    channels = slice(None) if work.source.channel is None else [work.source.channel]
    spans = [Span(cut.start, cut.end) for cut in work.cuts]
    for number, samples in read_parts(blocks, sample_rate, spans):
        yield work.cuts[number].path, samples[:, channels]
