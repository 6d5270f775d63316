"""What an augmentation of a user's own returns is checked."""

import dataclasses

import numpy as np
import pytest
import torch

from wsedtk.core.errors import InputError
from wsedtk.training.augmentations import Augmentation, Batch, FeatureResolution, apply

RESOLUTION = FeatureResolution(0.025, 4, 8)
BATCH = Batch(torch.rand(3, 20, 8), torch.ones(3, 20, dtype=torch.bool), torch.zeros(3, 2))


def augmentation(change):
    class Own(Augmentation):
        def __call__(self, batch, generators):
            return change(batch)

    return Own(RESOLUTION)


def generators():
    return [np.random.default_rng(row) for row in range(3)]


def test_a_batch_of_the_same_shapes_is_used():
    louder = augmentation(lambda batch: dataclasses.replace(batch, x=batch.x + 1))
    assert torch.equal(apply(louder, BATCH, generators()).x, BATCH.x + 1)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda batch: None, "Own: found NoneType; expected a Batch"),
        (
            lambda batch: dataclasses.replace(batch, x=batch.x[:1]),
            r"Own: x: found a tensor \(1, 20, 8\) of torch.float32.*expected a tensor \(3, 20, 8\)",
        ),
        (
            lambda batch: dataclasses.replace(batch, tags=batch.tags.double()),
            "Own: tags: found a tensor .* of torch.float64",
        ),
        (
            lambda batch: dataclasses.replace(batch, frames=batch.tags),
            "Own: frames: found a tensor .*; expected None",
        ),
    ],
)
def test_others_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        apply(augmentation(change), BATCH, generators())
