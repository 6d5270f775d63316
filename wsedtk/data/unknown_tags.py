"""Leave clips with unknown tags out of computations that need the tags."""

import logging
from collections.abc import Callable

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.wording import counted
from wsedtk.data.clip_sets import DataSet

_LOG = logging.getLogger(__name__)


def without_unknown(
    dataset: DataSet, data_set: PathLike, warn: Callable[[str], None] = _LOG.warning
) -> DataSet:
    """Return a set without its clips with unknown tags. Warn if there are such clips.

    Parameters
    ----------
    dataset : DataSet
    data_set : path-like
        The data directory of the set, for messages.
    warn : callable
        A function that is called with the text of the warning.

    Raises
    ------
    InputError
        If the tags of all clips are unknown.
    """
    unknown = dataset.has_unknown_tags()
    if not unknown.any():
        return dataset
    if unknown.all():
        raise InputError(
            f"{data_set}: the tags of all clips are unknown, and this command needs tags; give a "
            "set with tags or, if the tags in tags.tsv are complete, write `tags: complete` into "
            "info.yaml"
        )
    what = counted(int(unknown.sum()), "clip")
    warn(f"{data_set}: {what} with unknown tags, of {len(dataset)}, not used")
    return dataset.select(~unknown)
