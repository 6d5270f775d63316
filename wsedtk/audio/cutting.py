"""Cut a sound file into clips of equal duration.

Array dimensions: S samples.
"""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import soundfile

from wsedtk.audio.sound_file import Sound
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike

LEAST_SECONDS = 1.0  # a shorter rest at the end of a recording is left out


class Span(NamedTuple):
    """The start and the end of a part of a recording, in seconds."""

    start: float
    end: float


def spans(duration: float, clip_seconds: float) -> list[Span]:
    """Return the clips that a recording is cut into.

    All clips last `clip_seconds`, except for the last clip, which contains the rest of the
    recording. If the rest is shorter than LEAST_SECONDS, it is left out.

    Parameters
    ----------
    duration : float
        The duration of the recording in seconds.
    clip_seconds : float
        The duration of a clip in seconds.
    """
    count = int(duration / clip_seconds)
    found: list[Span] = []
    for number in range(count + 1):
        start = round(number * clip_seconds, 6)
        end = round(min(start + clip_seconds, duration), 6)
        if number < count or not found or end - start >= LEAST_SECONDS:
            found.append(Span(start, end))
    return found


def cut(path: PathLike, parts: Sequence[Span], target: Callable[[Span], Path]) -> list[str]:
    """Write parts of a recording to FLAC files, in constant memory.

    The files have the sample rate of the recording. Their samples are the mean of the channels,
    with 16 bits. Parts that begin after the last sample of the recording are not written.

    Parameters
    ----------
    path : path-like
        The recording.
    parts : sequence of Span
        The parts, in the order of time. They must not overlap.
    target : callable
        A function that returns the path of the file of a part. The folder must exist.

    Returns
    -------
    list of str
        Descriptions of the faults of the recording.

    Raises
    ------
    InputError
        If the recording can't be read, or if FLAC does not support its sample rate.
    """
    with Sound(path) as sound, contextlib.ExitStack() as stack:
        rate = sound.samplerate
        edges = [(round(part.start * rate), round(part.end * rate)) for part in parts]
        number = position = 0
        file: soundfile.SoundFile | None = None
        blocks = stack.enter_context(contextlib.closing(sound.blocks()))
        for _, mono in blocks:
            end = position + len(mono)
            while number < len(parts) and edges[number][0] < end:
                first, last = edges[number]
                if file is None:
                    file = stack.enter_context(_flac(path, target(parts[number]), rate))
                file.write(mono[max(first - position, 0) : last - position])
                if last > end:
                    break
                file.close()
                file, number = None, number + 1
            position = end
        return sound.remarks()


def _flac(path: PathLike, target: Path, rate: int) -> soundfile.SoundFile:
    try:
        return soundfile.SoundFile(target, "w", rate, 1, "PCM_16", format="FLAC")
    except soundfile.SoundFileError as error:
        raise InputError(
            f"{path}: can't be cut, because FLAC does not support its sample rate, {rate} Hz "
            f"({error}); convert it to another sample rate"
        ) from None
