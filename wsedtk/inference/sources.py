"""List the sources of score curves. Each recording, or each of its channels, is one source."""

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
    """The sources of score curves, and the sum of their durations in seconds (None if unknown).

    The duration of a file that cannot be read counts as 0.
    """

    sources: list[Source]
    seconds: float | None


class Clash(NamedTuple):
    """A source whose name differs from an earlier name only in the Unicode form, and a message."""

    source: Source
    message: str


def sources_of(found: Iterable[tuple[Path, str]], *, each_channel: bool) -> Sources:
    """Return the sources of score curves for recordings.

    Parameters
    ----------
    found : iterable of (Path, str)
        The path and the name of each recording. A file that is not a sound file becomes a source
        too. It causes an error when it is read.
    each_channel : bool
        Whether each channel is one source. If False, each recording is one source, which is the
        mean of its channels.
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
    """Check that the names of sources differ.

    Parameters
    ----------
    sources : iterable of Source
    in_files : bool
        Whether output files are written for each source. If True, the names of the sources must
        differ.

    Returns
    -------
    sources : list of Source
        The sources to use. If `in_files` is False, all sources are used, and a warning is logged
        for each source whose name equals an earlier name or differs from it only in the Unicode
        form.
    clashes : list of Clash
        The sources that cannot be used, because their names differ from earlier names only in the
        Unicode form. Empty if `in_files` is False.

    Raises
    ------
    InputError
        If `in_files` is True and two of the sources to use have equal names.
    """
    seen: dict[str, Source] = {}
    used, clashes = [], []
    for source in sources:
        other = seen.setdefault(normal(source.name), source)
        if other is source:
            used.append(source)
            continue
        remedy = "give the folder that contains both files, or run the command once for each file"
        if other.name != source.name:
            remedy = "only the Unicode forms of the two names differ; rename one of the files"
        message = f"{as_text(source.path)}: has the same name as {as_text(other.path)}; {remedy}"
        if not in_files:
            _LOG.warning(message)
            used.append(source)
        elif other.name == source.name:
            raise InputError(message)
        else:
            clashes.append(Clash(source, message))
    return used, clashes
