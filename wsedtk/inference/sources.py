"""The sources of score curves: each recording, or each channel, is one source."""

import contextlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from wsedtk.audio import audio_files
from wsedtk.core.errors import InputError
from wsedtk.data.folders import as_text
from wsedtk.data.tables import normal
from wsedtk.inference.sliding_windows import Source

_LOG = logging.getLogger(__name__)


class Sources(NamedTuple):
    """The sources of score curves, and their total duration in seconds (None if not known)."""

    sources: list[Source]
    seconds: float | None


class Clash(NamedTuple):
    """A source with the same name as another one, and the message that reports it."""

    source: Source
    message: str


def sources_of(found: Iterable[tuple[Path, str]], *, each_channel: bool) -> Sources:
    """Return the sources of the score curves of recordings.

    Parameters
    ----------
    found : iterable of (Path, str)
        The path and the name of each recording. Files that are not sound files become sources too.
        They cause an error when they are read.
    each_channel : bool
        Whether each channel has its own curve. Otherwise the channels are mixed.
    """
    sources: list[Source] = []
    total: float | None = 0.0
    for path, name in found:
        count, rate = 1, None
        seconds: float | None = 0.0
        with contextlib.suppress(InputError):  # raised again when the recording is read
            about = audio_files.info(path, count=False)
            seconds, rate = about.duration, about.sample_rate
            count = about.num_channels if each_channel else 1
        total = None if total is None or seconds is None else total + count * seconds
        if count == 1:
            sources.append(Source(path, name, None, rate))
            continue
        sources += [
            Source(path, f"{name}.ch{channel + 1}", channel, rate) for channel in range(count)
        ]
    return Sources(sources, total)


def check_names(sources: Iterable[Source], *, in_files: bool) -> tuple[list[Source], list[Clash]]:
    """Find sources that have the same name.

    Parameters
    ----------
    sources : iterable of Source
    in_files : bool
        Whether each source gets its own output files. Their names must then differ.

    Returns
    -------
    sources : list of Source
        The sources to use. Without output files, all sources are used, and equal names are logged
        as warnings.
    clashes : list of Clash
        With output files, the sources that cannot be used, because their names differ from other
        names only in their Unicode form.

    Raises
    ------
    InputError
        With output files, if two names are equal.
    """
    seen: dict[str, Source] = {}
    used, clashes = [], []
    for source in sources:
        other = seen.setdefault(normal(source.name), source)
        if other is source:
            used.append(source)
            continue
        remedy = "give the folder that holds both, or one at a time"
        if other.name != source.name:
            remedy = "they differ in their Unicode form only, rename one of them"
        message = f"{as_text(source.path)}: has the same name as {as_text(other.path)}; {remedy}"
        if not in_files:
            _LOG.warning(message)
            used.append(source)
        elif other.name == source.name:
            raise InputError(message)
        else:
            clashes.append(Clash(source, message))
    return used, clashes
