"""Find and read recordings of any length, in all formats that libsndfile or FFmpeg can read.

In shapes, S is the number of samples.
"""

import contextlib
import glob
import os
from collections import Counter
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wsedtk.audio import audio_files
from wsedtk.audio.sound_file import Sound
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.types import Floats
from wsedtk.data.clip_names import has_audio_extension
from wsedtk.data.folders import as_text, check_reach, matching, walk
from wsedtk.data.tables import normal


class Recording(NamedTuple):
    """The path and the name of a recording. The file has not been opened, and may be missing.

    Attributes
    ----------
    path : Path
        The file.
    name : str
        The name of the recording in tables. If a folder was given to `find`, the name is the path
        of the file relative to this folder. Otherwise the name is the file name. For equal names,
        see `by_path` of `find`.
    """

    path: Path
    name: str


def find(arguments: Iterable[PathLike], by_path: bool = False) -> list[Recording]:
    """Find the recordings that files, folders and patterns refer to.

    A folder refers to the sound files and videos in it and in its subfolders, except for files and
    subfolders whose names begin with a dot.

    Parameters
    ----------
    arguments : iterable of path-like
        Files, folders, and patterns such as `night*.wav`.
    by_path : bool
        If True, recordings that would have equal names are named by their paths instead.

    Returns
    -------
    list of Recording
        The recordings, in the order of the arguments. Each absolute path occurs once. The names
        are valid text, even if file names contain invalid bytes.

    Raises
    ------
    InputError
        If a given folder contains no recordings, if no file matches a pattern, if no given file
        exists, or if a given folder or a parent folder of an argument can't be entered because
        permissions are missing.
    """
    found: dict[Path, Recording] = {}
    for argument in arguments:
        for recording in _find_one(str(argument)):
            found.setdefault(recording.path.absolute(), recording)
    if found and not any(map(os.path.lexists, found)):
        raise InputError(f"{next(iter(found.values())).path}: no such file or folder")
    counts = Counter(normal(name) for _, name in found.values())
    return [
        Recording(path, as_text(path) if by_path and counts[normal(name)] > 1 else name)
        for path, name in found.values()
    ]


def _find_one(argument: str) -> list[Recording]:
    """Return the recordings of one argument: a file, a folder or a pattern.

    See `find` for the errors.
    """
    path = Path(argument)
    check_reach(path)
    if os.path.isdir(path):
        files = sorted(
            Path(parent, name)
            for parent, names in walk(path)
            for name in names
            if has_audio_extension(name) and not name.startswith(".")
        )
        if not files:
            raise InputError(
                f"{argument}: contains no files with the extension of a sound file, such as .wav"
            )
        return [Recording(file, as_text(file.relative_to(path))) for file in files]
    if os.path.lexists(path) or not glob.has_magic(argument):
        return [Recording(path, as_text(path.name))]
    files = matching(argument)
    if not files:
        raise InputError(f"{argument}: no file matches this pattern")
    return [Recording(file, as_text(file.name)) for file in files]


def stream(
    path: PathLike,
    sample_rate: int,
    channel: int | None = None,
    remarks: list[str] | None = None,
) -> Generator[Floats, None, None]:
    """Yield the samples of a sound file in blocks, in constant memory.

    If `channel` is None, the samples are equal to those that `audio_files.read` returns.

    Parameters
    ----------
    path : path-like
        The sound file.
    sample_rate : int
        The sample rate of the result, in Hz.
    channel : int, optional
        The number of the channel, from 0. By default, the mean of all channels.
    remarks : list, optional
        The faults of the recording are added to this list after the last sample has been decoded.

    Yields
    ------
    (S,) float32

    Raises
    ------
    InputError
        See `audio_files.read`.
    """
    with Sound(path) as sound:
        resampler = audio_files.BlockResampler(sound.samplerate, sample_rate)
        with contextlib.closing(sound.blocks()) as decoded:
            for samples, mono in decoded:
                block = mono if channel is None else np.ascontiguousarray(samples[:, channel])
                yield resampler.push(block)
        if remarks is not None:
            remarks += sound.remarks()
            if channel is None:
                remarks += filter(None, [sound.remark_on_mean()])
    if len(rest := resampler.finish()):
        yield rest
