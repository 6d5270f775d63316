"""The targets of frames."""

import numpy as np
import torch

from wsedtk.data.events import merge_overlaps


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
