"""The features of batches of clips."""

import torch

from wsedtk.core.errors import InputError
from wsedtk.inference.network_runner import load_features


class FeatureBatches:
    """Features of the clips of a data set, by clip index. Clips whose audio could not be read are left out, and counted.

    `dataset` is the set of the clips that are there; `rows` (N,) are their rows in the store.
    """

    def __init__(self, store, dataset, folder):
        rows = store.rows_of_set(dataset, folder)
        self.num_left_out = int((rows < 0).sum())
        self.store, self.dataset, self.rows = store, dataset.select(rows >= 0), rows[rows >= 0]
        if not len(self.rows):
            raise InputError(f"{folder}: no clip has features in {', '.join(store.paths)}")

    def load(self, clips, of=None):
        """Features (B, T, F) and mask (B, T), True = real frame, of clips (B,).

        of: the clips of the whole batch, where they are a part of one: T is then its longest clip's, which batch norm notices.
        """
        x, mask = load_features(self.store, self.rows[clips])
        missing = 0 if of is None else int(self.store.num_frames[self.rows[of]].max()) - x.shape[1]
        if missing > 0:
            x, mask = (
                torch.nn.functional.pad(x, (0, 0, 0, missing)),
                torch.nn.functional.pad(mask, (0, missing)),
            )
        return x, mask
