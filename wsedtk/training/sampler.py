"""Draw the clips of each training batch.

Array dimensions: N clips, B clips in a batch.

A batch depends only on the data set, the settings and the number of the batch. Therefore a resumed
training run continues with the same batches.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsedtk.core.types import Booleans, Integers
from wsedtk.data.clip_sets import DataSet

BALANCERS = ("classes", "weighted", "none")


class Sampler:
    """An endless sequence of batches of clips.

    Parameters
    ----------
    dataset : DataSet
        The clips.
    batch_size : int
        The number of clips in a batch.
    seed : int
        The seed of the random numbers.
    balancer : {"classes", "weighted", "none"}
        "classes" gives the balanced batches of Wang, Li & Metze (2019, section 3.1). Each class has
        a queue of its clips in random order. A clip with several tags is in several queues. Clips
        without tags have a separate queue. Each round takes one clip from each queue. The order of
        the queues is random in each round. At the end of a queue, its clips follow again in a new
        random order. A batch can end within a round.

        "weighted" draws clips with replacement. Each tag of a clip adds 1 / (number of clips with
        this tag) to the weight of the clip. The probability of a clip is proportional to its
        weight. Clips without tags are drawn as if they had a common additional tag.

        "none" takes all clips in random order, then all clips in a new random order, and so on.

    Raises
    ------
    ValueError
        If the balancer is unknown.
    """

    def __init__(
        self, dataset: DataSet, batch_size: int, seed: int, balancer: str = "classes"
    ) -> None:
        if balancer not in BALANCERS:
            raise ValueError(f"unknown balancer {balancer!r}; known: {', '.join(BALANCERS)}")
        self.batch_size, self.seed = batch_size, seed
        # The cumulative sums (N,) of the weights of clips, for "weighted".
        self.cumulative: npt.NDArray[np.float64] | None = None
        queues = dataset.clips_of_classes()
        if balancer == "weighted":
            weights = np.zeros(len(dataset))
            for clips in queues:
                weights[clips] += 1 / max(len(clips), 1)
            self.cumulative = np.cumsum(weights)
        if balancer != "classes":
            queues = [np.arange(len(dataset))]
        self.queues: list[Integers] = [queue for queue in queues if len(queue)]
        # For each queue: the number of completed passes, and the clip order of the current pass.
        self._orders: dict[int, tuple[int, Integers]] = {}

    def _clip(self, queue: int, round_number: int) -> int:
        """Return the clip that a round takes from a queue."""
        clips = self.queues[queue]
        number, place = divmod(round_number, len(clips))
        if queue not in self._orders or self._orders[queue][0] != number:
            generator = np.random.default_rng((self.seed, 1, queue, number))
            self._orders[queue] = number, generator.permutation(clips)
        return int(self._orders[queue][1][place])

    def batch(self, step: int) -> Integers:
        """Return the clips of a batch.

        Parameters
        ----------
        step : int
            The number of the batch, from 0.

        Returns
        -------
        (B,) array of int
            The positions of the clips in the data set.
        """
        if self.cumulative is not None:
            draws = np.random.default_rng((self.seed, 3, step)).random(self.batch_size)
            places = np.searchsorted(self.cumulative, draws * self.cumulative[-1], side="right")
            clips: Integers = np.minimum(places, len(self.cumulative) - 1)
            return clips
        numbers = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        rounds, turns = np.divmod(numbers, len(self.queues))
        orders = {
            r: np.random.default_rng((self.seed, 2, r)).permutation(len(self.queues))
            for r in np.unique(rounds).tolist()
        }
        return np.array(
            [self._clip(orders[r][turn], r) for r, turn in zip(rounds.tolist(), turns.tolist())]
        )


class Part(NamedTuple):
    """A part of the clips of a data set, from which each batch takes a fixed number of clips.

    Attributes
    ----------
    members : (N,) bool
        The clips of the part. No clip is in two parts.
    number : int
        The number of clips that each batch takes.
    """

    members: Booleans
    number: int


class PartSampler:
    """An endless sequence of batches that contain a fixed number of clips of each part of a set.

    Each part has its own Sampler, which balances the classes within the part.

    Parameters
    ----------
    dataset : DataSet
        The clips of all parts.
    parts : sequence of Part
    seed : int
        The seed of the random numbers. The first part is sampled as a set of its own with this
        seed. The seeds of the other parts are derived from it.
    balancer : {"classes", "weighted", "none"}
        See `Sampler`.

    Raises
    ------
    ValueError
        If the balancer is unknown.
    """

    def __init__(
        self, dataset: DataSet, parts: Sequence[Part], seed: int, balancer: str = "classes"
    ) -> None:
        self._samplers = []
        for place, (members, number) in enumerate(parts):
            if place:
                own_seed = int(np.random.default_rng((seed, 6, place)).integers(2**63))
            else:
                own_seed = seed
            sampler = Sampler(dataset.select(members), number, own_seed, balancer)
            self._samplers.append((np.flatnonzero(members), sampler))

    def batch(self, step: int) -> Integers:
        """Return the clips of a batch: those of the first part, then those of the second, ...

        Parameters
        ----------
        step : int
            The number of the batch, from 0.

        Returns
        -------
        (B,) array of int
            The positions of the clips in the data set.
        """
        return np.concatenate([clips[sampler.batch(step)] for clips, sampler in self._samplers])
