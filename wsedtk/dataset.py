"""Balanced sampling and batches.

N clips, B clips in a batch, T frames, F mel bins, K classes.
"""

import numpy as np
import torch

from wsedtk.errors import InputError


class BalancedBatches:
    """Wang, Li & Metze's balanced minibatches: one endless shuffled queue per class, one clip a class a round.

    A clip with several tags is in each of its classes' queues; clips without tags form one more queue. The order of the queues
    is shuffled anew every round, and batches are cut across rounds. With `balanced=False` all clips form a single queue.

    Batch number s is a function of (clips, batch_size, seed, s) alone, so that a resumed run goes on where it stopped.
    """

    def __init__(self, dataset, batch_size, seed, balanced=True):
        tags = dataset.tag_matrix()
        queues = [np.flatnonzero(tags[:, k]) for k in range(tags.shape[1])] + [np.flatnonzero(~tags.any(axis=1))]
        self.queues = [q for q in queues if len(q)] if balanced else [np.arange(len(dataset))]
        self.batch_size, self.seed = batch_size, seed
        self._orders = [(-1, None)] * len(self.queues)  # the pass that each queue is in, and its order in that pass

    def _clip(self, queue, round_number):
        clips = self.queues[queue]
        lap, place = divmod(round_number, len(clips))
        if self._orders[queue][0] != lap:
            self._orders[queue] = lap, np.random.default_rng((self.seed, 1, queue, lap)).permutation(clips)
        return self._orders[queue][1][place]

    def batch(self, step):
        """The clips (B,) of batch number `step`, counted from 0."""
        draws = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        rounds, turns = np.divmod(draws, len(self.queues))
        orders = {r: np.random.default_rng((self.seed, 2, r)).permutation(len(self.queues)) for r in np.unique(rounds).tolist()}
        return np.array([self._clip(orders[r][turn], r) for r, turn in zip(rounds.tolist(), turns.tolist())])


class FeatureBatches:
    """Features of the clips of a data set, by clip index. Clips whose audio could not be read are left out, and counted.

    `dataset` is the set of the clips that are there; `rows` (N,) are their rows in the store.
    """

    def __init__(self, store, dataset, folder):
        rows = store.rows_of_set(dataset.filenames, folder)
        self.num_left_out = int((rows < 0).sum())
        self.store, self.dataset, self.rows = store, dataset.select(rows >= 0), rows[rows >= 0]
        if not len(self.rows):
            raise InputError(f"{folder}: no clip has features in {', '.join(store.paths)}")

    def load(self, clips):
        """Features (B, T, F) and mask (B, T), True = real frame, of clips (B,)."""
        return load_features(self.store, self.rows[clips])


def load_features(store, rows):
    """Features (B, T, F) float32 and mask (B, T), True = real frame, of store rows (B,)."""
    x = torch.from_numpy(store.read(rows))
    mask = torch.arange(x.shape[1]) < torch.from_numpy(store.num_frames[rows])[:, None]
    return x, mask
