"""The score curves to make of recordings."""

import contextlib

from wsedtk.audio import audio_files
from wsedtk.core.errors import InputError
from wsedtk.core.progress import say
from wsedtk.data.tables import normal
from wsedtk.inference import recordings, sliding_windows


def sources_of(found, channels):
    """What to make curves of: [Source], and how long that is in seconds, None where it can't be told."""
    sources, total = [], 0.0
    for path, name in found:
        count, seconds, rate = 1, 0.0, None
        with contextlib.suppress(InputError):  # told when its turn comes
            about = audio_files.info(path, count=False)
            count, seconds, rate = (
                about.num_channels if channels == "each" else 1,
                about.duration,
                about.sample_rate,
            )
        total = None if total is None or seconds is None else total + count * seconds
        if count == 1:
            sources.append(sliding_windows.Source(path, name, None, rate))
            continue
        sources += [
            sliding_windows.Source(path, f"{name}.ch{channel + 1}", channel, rate)
            for channel in range(count)
        ]
    return sources, total


def check_names(sources, in_files):
    """Tell of sources of one name. Returns the sources to use, and why others fail.

    in_files: whether each source has files of its own. Then the second of two fails whose names
    differ in their Unicode form only. Raises InputError where names are the same even so.
    """
    seen, used, failed = {}, [], []
    for source in sources:
        other = seen.setdefault(normal(source.name), source)
        one, two = map(recordings.as_text, (source.path, other.path))
        remedy = "give the folder that holds both, or one at a time"
        if other.name != source.name:
            remedy = "they differ in their Unicode form only, rename one of them"
        message = f"{one}: has the same name as {two}; {remedy}"
        if other is source:
            used.append(source)
        elif not in_files:
            say(f"warning: {message}")
            used.append(source)
        elif other.name == source.name:
            raise InputError(message)
        else:
            say(f"warning: detect: {source.name} failed: {message}")
            failed.append(message)
    return used, failed
