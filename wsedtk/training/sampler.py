"""Balanced sampling of batches."""

import numpy as np

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
