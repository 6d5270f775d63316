"""Find sets that teach a network nothing about the time between events."""

import shlex

from wsedtk.data.clip_sets import DataSet
from wsedtk.data.official import OWN


def context_warning(dataset: DataSet) -> str | None:
    """Return a warning if all clips of a set of own recordings have tags, otherwise None.

    A network that is trained on clips that all contain an event finds events everywhere in the
    field, although its metrics on a validation set of such clips are high. Published corpora are
    not concerned, because their clips contain other sounds besides the tagged ones.

    Parameters
    ----------
    dataset : DataSet
        A set with `corpus: own recordings` in its info.yaml. For other sets, the result is None.
    """
    untagged = dataset.clips_of_classes()[-1]
    if dataset.info.get("corpus") != OWN or len(untagged) or not len(dataset.tag_clip):
        return None
    bank = shlex.quote(str(dataset.info.get("recordings", "RECORDINGS_DIR")))
    return (
        "every clip has a tag, so a network that learns from this set finds events also where "
        "there are none; add recordings without sounds of the classes (prepare folders "
        f"--background), or mix the clips with backgrounds: wsedtk prepare soundscapes {bank} "
        "DATA_DIR --background FOLDER"
    )
