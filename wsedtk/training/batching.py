"""Balanced sampling, batches, frame targets, augmentation.

N clips, B clips in a batch, T frames, T' output frames, F mel bins, K classes. All that is random is a function of the seed and
the batch's number alone, so that a resumed run goes on where it stopped.
"""

import numpy as np
import torch

from wsedtk.core.errors import InputError
from wsedtk.data.events import merge_overlaps
from wsedtk.inference.network_runner import load_features

BALANCERS = ("classes", "weighted", "none")


class Batches:
    """An endless stream of batches of clips.

    balancer `classes`: Wang, Li & Metze's balanced minibatches (2019, section 3.1): one endless shuffled queue per class, one
    clip a class a round. A clip with several tags is in each of its classes' queues; clips without tags form one more queue. The
    order of the queues is shuffled anew every round, and batches are cut across rounds.
    `weighted`: each clip is drawn, with replacement, with a probability in proportion to the sum of 1 / (clips of the class)
    over its tags; clips without tags count as one more class.
    `none`: all clips form a single shuffled queue.
    """

    def __init__(self, dataset, batch_size, seed, balancer="classes"):
        if balancer not in BALANCERS:
            raise ValueError(f"unknown balancer {balancer!r}; known: {', '.join(BALANCERS)}")
        self.batch_size, self.seed, self.cumulative = batch_size, seed, None
        queues = dataset.clips_of_classes()
        if balancer == "weighted":
            weights = np.zeros(len(dataset))
            for clips in queues:
                weights[clips] += 1 / max(len(clips), 1)
            self.cumulative = np.cumsum(weights)
        if balancer != "classes":
            queues = [np.arange(len(dataset))]
        self.queues = [q for q in queues if len(q)]
        self._orders = [(-1, None)] * len(
            self.queues
        )  # the pass that each queue is in, and its order in that pass

    def _clip(self, queue, round_number):
        clips = self.queues[queue]
        lap, place = divmod(round_number, len(clips))
        if self._orders[queue][0] != lap:
            self._orders[queue] = (
                lap,
                np.random.default_rng((self.seed, 1, queue, lap)).permutation(clips),
            )
        return self._orders[queue][1][place]

    def batch(self, step):
        """The clips (B,) of batch number `step`, counted from 0."""
        if self.cumulative is not None:
            draws = (
                np.random.default_rng((self.seed, 3, step)).random(self.batch_size)
                * self.cumulative[-1]
            )
            return np.searchsorted(self.cumulative, draws, side="right").clip(
                max=len(self.cumulative) - 1
            )
        draws = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        rounds, turns = np.divmod(draws, len(self.queues))
        orders = {
            r: np.random.default_rng((self.seed, 2, r)).permutation(len(self.queues))
            for r in np.unique(rounds).tolist()
        }
        return np.array(
            [self._clip(orders[r][turn], r) for r, turn in zip(rounds.tolist(), turns.tolist())]
        )


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


class FrameTargets:
    """What the events of a set say of each output frame: the share of the frame that events of a class cover.

    Known for the clips that have events. There, a class that is tagged without an event of some length stays unknown, and every
    other class is known to be silent where no event is.
    """

    def __init__(self, dataset, seconds_per_frame):
        self.events, self.seconds_per_frame = dataset.events, seconds_per_frame
        lasting = self.events.offset > self.events.onset
        self.known = ~dataset.tag_matrix()  # (N, K)
        self.known[self.events.clip[lasting], self.events.label[lasting]] = True
        self.known &= np.isin(np.arange(len(dataset)), self.events.clip)[:, None]
        self.starts = np.searchsorted(self.events.clip, np.arange(len(dataset) + 1))

    def load(self, clips, num_frames):
        """Targets (B, T', K) in [0, 1] and what is known of them (B, 1, K), 1 or 0, of clips (B,)."""
        target = np.zeros((len(clips), num_frames, self.known.shape[1]), np.float32)
        edges = np.arange(num_frames + 1) * self.seconds_per_frame
        for row, clip in enumerate(clips.tolist()):
            events = self.events.select(slice(self.starts[clip], self.starts[clip + 1]))
            for onset, offset, label in merge_overlaps([span[1:] for span in events.rows()]):
                covered = np.minimum(offset, edges[1:]) - np.maximum(onset, edges[:-1])
                target[row, :, label] += covered.clip(min=0) / self.seconds_per_frame
        return torch.from_numpy(target), torch.from_numpy(self.known[clips].astype(np.float32))[
            :, None
        ]
