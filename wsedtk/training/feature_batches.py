"""Load the features of batches of clips.

Array dimensions: N clips, B clips in a batch, T frames, F mel bins.
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.types import Booleans, Integers
from wsedtk.data import clip_sets
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.store import FeatureStore
from wsedtk.inference.network_runner import StoredFrames, load_features


class FeatureBatches:
    """The features of the clips of a data set. Clips for which `extract` failed are left out.

    Parameters
    ----------
    store : FeatureStore
        The feature files.
    dataset : DataSet
        The data set.
    folder : path-like
        The data directory of the data set, for messages.

    Attributes
    ----------
    dataset : DataSet
        The clips that have features.
    rows : (N,) array of int
        The rows of these clips in the store.
    num_left_out : int
        The number of clips that are left out.

    Raises
    ------
    InputError
        If no clip has features, if a clip is missing in the store although `extract` did not fail
        for it, or if the features come from other audio than the data set.
    """

    def __init__(self, store: FeatureStore, dataset: DataSet, folder: PathLike) -> None:
        rows = store.rows_of_set(dataset, folder)
        self.store: StoredFrames = store
        self.num_left_out = int((rows < 0).sum())
        self.dataset = dataset.select(rows >= 0) if self.num_left_out else dataset
        self.rows: Integers = rows[rows >= 0]
        if not len(self.rows):
            raise InputError(
                f"{folder}: no clip has features in {', '.join(store.paths)}, because extract "
                "failed for all clips; correct their sound files, then run extract again"
            )

    def of_frames(self, store: StoredFrames) -> "FeatureBatches":
        """Return batches of the same clips from another store that has the same rows."""
        other = copy.copy(self)
        other.store = store
        return other

    def select(self, keep: Booleans) -> "FeatureBatches":
        """Return batches of only some of the clips.

        Parameters
        ----------
        keep : (N,) bool
            The clips to keep.
        """
        other = copy.copy(self)
        other.dataset, other.rows = self.dataset.select(keep), self.rows[keep]
        return other

    @staticmethod
    def join(parts: Sequence["FeatureBatches"]) -> "FeatureBatches":
        """Return batches of the clips of several sets. All sets have the same store.

        See `clip_sets.join`.
        """
        joined = copy.copy(parts[0])
        joined.dataset = clip_sets.join([part.dataset for part in parts])
        order = np.argsort(np.concatenate([part.dataset.filenames for part in parts]))
        joined.rows = np.concatenate([part.rows for part in parts])[order]
        joined.num_left_out = sum(part.num_left_out for part in parts)
        return joined

    def load(
        self, clips: Integers, of: Integers | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Load the features of clips.

        Parameters
        ----------
        clips : (B,) array of int
            The positions of the clips in `dataset`.
        of : array of int, optional
            All clips of the batch, if `clips` is only a part of the batch. The features are then
            padded to the longest clip of the batch, because batch norm depends on padded frames.

        Returns
        -------
        x : (B, T, F) float32 tensor
            The features, not normalised.
        mask : (B, T) bool tensor
            True for real frames, False for padded frames.
        """
        x, mask = load_features(self.store, self.rows[clips])
        if of is not None:
            missing = int(self.store.num_frames[self.rows[of]].max()) - x.shape[1]
            if missing > 0:
                x = torch.nn.functional.pad(x, (0, 0, 0, missing))
                mask = torch.nn.functional.pad(mask, (0, missing))
        return x, mask
