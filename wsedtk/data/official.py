"""Tell sets of published corpora, which have an official list of clips, from other sets."""

from collections.abc import Mapping
from typing import Any

OWN = (
    "own recordings"  # the corpus in info.yaml of sets that `prepare` makes of a user's recordings
)
SOUNDSCAPES = "soundscapes"  # the corpus of sets of mixtures


def official_clips(info: Mapping[str, Any]) -> Any:
    """Return the number of clips in the official list of a set. None if there is no such list.

    Parameters
    ----------
    info : mapping
        The content of info.yaml. The value of `official_clips` is returned unchecked, unless the
        set consists of own recordings or of mixtures, or is a part of a set.
    """
    is_published = info.get("corpus") not in (OWN, SOUNDSCAPES) and info.get("made_by") != "balance"
    return info.get("official_clips") if is_published else None


def of_all_clips(clips: Mapping[str, Any]) -> str:
    """Return a text such as "147 of 488 official clips" or "12 of 12 clips in the set".

    Parameters
    ----------
    clips : mapping
        The entry `clips` of a report. `is_official` is None in reports of older versions.
    """
    kind = {True: "official clips", False: "clips in the set"}.get(clips["is_official"], "clips")
    return f"{clips['scored']:,} of {clips['official']:,} {kind}"
