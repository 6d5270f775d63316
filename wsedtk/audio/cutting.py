"""Cut a sound file into clips of equal duration, or read parts of it.

Array dimensions: S samples, C channels.
"""

import bisect
import collections
import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from wsedtk.audio.sound_file import Block, Sound
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.processes import check_stop
from wsedtk.core.types import Floats
from wsedtk.core.wording import counted

_PRECISE = ("PCM_24", "PCM_32", "FLOAT", "DOUBLE")  # more than 16 bits
LEAST_SECONDS = 1.0  # a shorter rest at the end of a recording is left out


class Span(NamedTuple):
    """The start and the end of a part of a recording, in seconds."""

    start: float
    end: float


def spans(duration: float, clip_seconds: float, hop_seconds: float | None = None) -> list[Span]:
    """Return the clips that a recording is cut into.

    All clips last `clip_seconds`, except for the last clip, which contains the rest of the
    recording. If the rest is shorter than LEAST_SECONDS, it is left out, unless it is the whole
    recording.

    Parameters
    ----------
    duration : float
        The duration of the recording in seconds.
    clip_seconds : float
        The duration of a clip in seconds.
    hop_seconds : float, optional
        The time from the start of a clip to the start of the next clip. By default it is
        `clip_seconds`.
    """
    hop_seconds = hop_seconds or clip_seconds
    found: list[Span] = []
    number = 0
    while True:
        start = round(number * hop_seconds, 6)
        end = round(min(start + clip_seconds, duration), 6)
        if not found or end - start >= LEAST_SECONDS:
            found.append(Span(start, end))
        if start + max(clip_seconds, hop_seconds) >= duration:
            return found
        number += 1


def cut(
    path: PathLike,
    parts: Sequence[Span],
    target: Callable[[Span], Path],
    channel: int | None = None,
) -> list[str]:
    """Write parts of a recording to FLAC files, in constant memory.

    The files have the sample rate of the recording. They have 24 bits if the recording has more
    than 16 bits, and 16 bits otherwise.

    Parameters
    ----------
    path : path-like
        The recording.
    parts : sequence of Span
        The parts, in the order of time. They may overlap. All parts except for the last have the
        same duration.
    target : callable
        A function that returns the path of the file of a part. The folder must exist.
    channel : int, optional
        The channel, from 0. By default, the mean of all channels.

    Returns
    -------
    list of str
        Descriptions of the faults of the recording.

    Raises
    ------
    InputError
        If the recording can't be read, is shorter than the parts or does not have this channel, or
        if FLAC does not support its sample rate.
    """
    with Sound(path) as sound, contextlib.ExitStack() as stack:
        if channel is not None and channel >= sound.channels:
            raise InputError(
                f"{path}: has {counted(sound.channels, 'channel')}; expected a channel "
                f"{channel + 1}"
            )
        rate = sound.samplerate
        subtype = "PCM_24" if sound.format.endswith(_PRECISE) else "PCM_16"
        edges = [(round(part.start * rate), round(part.end * rate)) for part in parts]
        files: dict[int, soundfile.SoundFile] = {}
        position = number = 0  # the number of the first part that is not complete
        num_begun = 0
        blocks = stack.enter_context(contextlib.closing(sound.blocks()))
        for samples, mono in blocks:
            block = mono if channel is None else samples[:, channel]
            end = position + len(block)
            for i in range(number, bisect.bisect_left(edges, (end, 0))):
                first, last = edges[i]
                if i not in files:
                    file = _flac(path, target(parts[i]), rate, subtype)
                    files[i] = stack.enter_context(file)
                    num_begun = i + 1
                files[i].write(block[max(first - position, 0) : last - position])
                if last <= end:
                    files.pop(i).close()
                    number = i + 1
            position = end
        if num_begun < len(parts):
            raise InputError(
                f"{path}: breaks off after {position / rate:.3f} s, before the end that its header "
                "announces; convert it to another format"
            )
        return sound.remarks()


def read_parts(
    blocks: Iterable[Block], sample_rate: int, parts: Sequence[Span]
) -> Iterator[tuple[int, Floats]]:
    """Yield the samples of parts of a recording, which is read only up to the last part.

    Parameters
    ----------
    blocks : iterable of Block
        The samples of the recording.
    sample_rate : int
        In Hz.
    parts : sequence of Span
        The parts, sorted by their start. They may overlap.

    Yields
    ------
    number : int
        The index of the part.
    samples : (S, C) float32
        The samples of the part. A part at the end of the recording may be shorter. Parts after the
        end are not yielded.
    """
    waiting = collections.deque(enumerate(parts))
    begun: list[tuple[int, Span, list[Floats]]] = []
    position = 0  # the number of samples before the block
    for block in blocks:
        check_stop()
        end = position + len(block.samples)
        while waiting and round(waiting[0][1].start * sample_rate) < end:
            begun.append((*waiting.popleft(), []))
        for _, part, found in begun:
            first, last = (round(time * sample_rate) - position for time in part)
            found.append(block.samples[max(0, first) : max(0, last)])
        position = end
        for number, part, found in begun:
            if round(part.end * sample_rate) <= position:
                yield number, np.concatenate(found)
        begun = [one for one in begun if round(one[1].end * sample_rate) > position]
        if not waiting and not begun:
            return
    for number, _, found in begun:
        yield number, np.concatenate(found)


def _flac(path: PathLike, target: Path, rate: int, subtype: str) -> soundfile.SoundFile:
    try:
        return soundfile.SoundFile(target, "w", rate, 1, subtype, format="FLAC")
    except soundfile.SoundFileError as error:
        raise InputError(
            f"{path}: can't be cut, because FLAC does not support its sample rate, {rate} Hz "
            f"({error}); convert it to another sample rate"
        ) from None
