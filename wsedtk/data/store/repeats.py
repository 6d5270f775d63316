"""Find the clips that have the same features in several feature files.

Sizes: N clips in all files, M rows, F mel bins.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from wsedtk.core.errors import InputError
from wsedtk.core.types import Booleans, Integers
from wsedtk.data.tables import Names

# Two files contain the same clip if the means of its features differ by at most this value.
_SAME_MEAN = 0.1


class Store(Protocol):
    """Feature files that are read as one file. See `FeatureStore`."""

    paths: list[str]
    filenames: Names
    order: npt.NDArray[np.int64]
    num_frames: npt.NDArray[np.int64]

    def rows(self, filenames: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the first row of each file name (M,)."""


def find_repeats(
    store: Store,
    paths: Integers,
    means_of: Callable[[Integers], npt.NDArray[np.float64]],
) -> Booleans:
    """Return a mask (N,) of the clips that have the same features in an earlier file.

    Parameters
    ----------
    store : Store
        The files.
    paths : (N,) int
        For each clip, the index of its path. Shards of one file have the same path.
    means_of : callable
        A function that returns the mean features (M, F) of rows (M,).

    Raises
    ------
    InputError
        If a clip has different features in two files.
    """
    is_repeat = np.zeros(len(paths), bool)
    names = store.filenames[store.order]
    later = store.order[1:][names[1:] == names[:-1]]
    earlier = store.rows(store.filenames[later])
    is_other = paths[later] != paths[earlier]
    later, earlier = later[is_other], earlier[is_other]
    if not len(later):
        return is_repeat
    differs = store.num_frames[later] != store.num_frames[earlier]
    differs |= (np.abs(means_of(later) - means_of(earlier)) > _SAME_MEAN).any(axis=1)
    if differs.any():
        row, other = int(later[differs][0]), int(earlier[differs][0])
        raise InputError(
            f"{store.paths[paths[row]]}: the clip {str(store.filenames[row])!r} has other features "
            f"than in {store.paths[paths[other]]}; if these are different recordings, rename one "
            "of them; otherwise, extract both files again"
        )
    is_repeat[later] = True
    return is_repeat
