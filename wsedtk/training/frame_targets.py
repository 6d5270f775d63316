"""Compute the targets of output frames from events.

Array dimensions: N clips, B clips in a batch, T' output frames, K classes.
"""

import numpy as np
import torch

from wsedtk.core.types import Booleans, Integers
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.events import merge_overlaps


class FrameTargets:
    """The frame targets of the clips of a data set.

    For each output frame and class, the target is the fraction of the frame in which an event of
    the class is active. The targets of clips without events are unknown. In clips with events, the
    targets of a class are unknown if the clip has a tag of the class, but no event of the class
    lasts longer than 0 s. The targets of all other classes are known. Known targets are 0 outside
    the events of their class.

    Parameters
    ----------
    dataset : DataSet
        The clips, with events.
    seconds_per_frame : float
        The duration of an output frame in seconds.
    """

    def __init__(self, dataset: DataSet, seconds_per_frame: float) -> None:
        assert dataset.events is not None  # `wsedtk.stages.train` checks this
        self.events, self.seconds_per_frame = dataset.events, seconds_per_frame
        lasting = self.events.offset > self.events.onset
        self.known: Booleans = ~dataset.tag_matrix()  # (N, K)
        self.known[self.events.clip[lasting], self.events.label[lasting]] = True
        self.known &= np.isin(np.arange(len(dataset)), self.events.clip)[:, None]
        self.starts = np.searchsorted(self.events.clip, np.arange(len(dataset) + 1))

    def load(self, clips: Integers, num_frames: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the targets of clips.

        Parameters
        ----------
        clips : (B,) array of int
            The positions of the clips in the data set.
        num_frames : int
            The number of output frames T'.

        Returns
        -------
        target : (B, T', K) float32 tensor
            The targets, in [0, 1].
        known : (B, 1, K) float32 tensor
            1 if the targets of the clip and class are known, 0 if not.
        """
        target = np.zeros((len(clips), num_frames, self.known.shape[1]), np.float32)
        edges = np.arange(num_frames + 1) * self.seconds_per_frame
        for row, clip in enumerate(clips.tolist()):
            events = self.events.select(np.arange(self.starts[clip], self.starts[clip + 1]))
            for onset, offset, label in merge_overlaps([span[1:] for span in events.rows()]):
                covered = np.minimum(offset, edges[1:]) - np.maximum(onset, edges[:-1])
                target[row, :, label] += covered.clip(min=0) / self.seconds_per_frame
        known = self.known[clips].astype(np.float32)[:, None]
        return torch.from_numpy(target), torch.from_numpy(known)
