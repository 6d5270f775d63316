"""Find sets that teach a network nothing about the time between events."""

import shlex
from collections.abc import Mapping
from typing import Any

from wsedtk.data.clip_sets import DataSet
from wsedtk.data.official import OWN

LEAST_CLIPS = 20  # smaller sets without a corpus are taken for trials


def context_warning(dataset: DataSet) -> str | None:
    """Return a warning if all clips of a set of own recordings have tags, otherwise None.

    A network that is trained on clips that all contain an event finds events everywhere in the
    field, although its metrics on a validation set of such clips are high. Published corpora are
    not concerned, because their clips contain other sounds besides the tagged ones.

    Parameters
    ----------
    dataset : DataSet
        A set with `corpus: own recordings` in its info.yaml, or a set of at least LEAST_CLIPS clips
        without a corpus, such as a set whose tables were written by hand. For other sets, the
        result is None.
    """
    untagged = dataset.clips_of_classes()[-1]
    corpus = dataset.info.get("corpus")
    is_own = corpus == OWN or (corpus is None and len(dataset) >= LEAST_CLIPS)
    if not is_own or len(untagged) or not len(dataset.tag_clip):
        return None
    return (
        "every clip has a tag, so a network that learns from this set finds events also where "
        f"there are none; {_remedy(dataset.info)}"
    )


def _remedy(info: Mapping[str, Any]) -> str:
    """Return what to do, which depends on the command that made the set."""
    mix = "mix the clips with backgrounds: wsedtk prepare soundscapes"
    if "annotations" in info:
        return (
            "add recordings without sounds of the classes: `prepare annotations` uses recordings "
            "with an empty annotation file or, with --all-recordings, also those without a file"
        )
    if "table" in info:
        return (
            "add rows with the class background to the table, for recordings without sounds of "
            f"the classes; or put the recordings into a folder for each class, and {mix} "
            "RECORDINGS_DIR DATA_DIR --background FOLDER"
        )
    if info.get("corpus") == OWN:
        bank = shlex.quote(str(info.get("recordings", "RECORDINGS_DIR")))
        return (
            "add recordings without sounds of the classes (prepare folders --background), or "
            f"{mix} {bank} DATA_DIR --background FOLDER"
        )
    return (
        "add clips without sounds of the classes to clips.tsv, without rows in tags.tsv; or put "
        f"the sounds into a folder for each class, and {mix} FOLDERS DATA_DIR --background FOLDER"
    )
