"""Balanced batches and the features behind them."""

import collections

import numpy as np
import pytest
import torch

from wsedtk.datadir import DataSet
from wsedtk.dataset import Batches, FeatureBatches, load_features
from wsedtk.errors import InputError
from wsedtk.store import FeatureStore, writing_features


def make_set(tags):
    """A data set of clips with these tags (N, K)."""
    tags = np.asarray(tags, bool)
    clip, label = np.nonzero(tags)
    names = np.array([f"{i:03d}.wav" for i in range(len(tags))])
    return DataSet(names, np.full(len(tags), ""), np.ones(len(tags)), [f"class {k}" for k in range(tags.shape[1])], clip, label)


def skewed():
    """200 clips: 150 of class 0, 40 of class 1, 10 of class 2, no clip in two classes."""
    return make_set(np.repeat(np.eye(3), [150, 40, 10], axis=0))


def test_every_round_has_one_clip_of_each_class():
    sampler, truth = Batches(skewed(), 7, seed=0), np.repeat([0, 1, 2], [150, 40, 10])
    stream = np.concatenate([sampler.batch(step) for step in range(300)])
    rounds = truth[stream].reshape(-1, 3)  # 2100 draws are 700 rounds, cut by batches of 7
    assert (np.sort(rounds, axis=1) == [0, 1, 2]).all()
    orders = collections.Counter(map(tuple, rounds.tolist()))
    assert len(orders) == 6 and max(orders.values()) < 160  # the order of the classes is shuffled: 117 of each are expected


def test_each_queue_is_endless_and_goes_through_all_its_clips():
    sampler, truth = Batches(skewed(), 30, seed=0), np.repeat([0, 1, 2], [150, 40, 10])
    stream = np.concatenate([sampler.batch(step) for step in range(60)])  # 600 of each class
    for label, size in enumerate((150, 40, 10)):
        queue = stream[truth[stream] == label][:600 // size * size].reshape(-1, size)
        assert (np.sort(queue, axis=1) == np.flatnonzero(truth == label)).all()
        assert (queue[0] != queue[1]).any()  # shuffled anew


def test_a_clip_with_two_tags_is_in_both_queues_and_untagged_clips_form_one():
    sampler = Batches(make_set([[1, 1], [1, 0], [0, 1], [0, 0]]), 4, seed=0)
    assert [q.tolist() for q in sampler.queues] == [[0, 1], [0, 2], [3]]


def test_without_balance_an_epoch_is_a_plain_shuffle():
    sampler = Batches(skewed(), 40, seed=0, balancer="none")
    epochs = [np.concatenate([sampler.batch(5 * e + i) for i in range(5)]) for e in range(2)]
    assert all((np.sort(e) == np.arange(200)).all() for e in epochs) and (epochs[0] != epochs[1]).any()


def test_a_batch_depends_on_its_number_and_the_seed_alone():
    walked, jumped = Batches(skewed(), 11, seed=3), Batches(skewed(), 11, seed=3)
    batches = [walked.batch(step).tolist() for step in range(40)]
    assert [jumped.batch(step).tolist() for step in (39, 0, 17)] == [batches[39], batches[0], batches[17]]
    assert Batches(skewed(), 11, seed=4).batch(0).tolist() != batches[0]


@pytest.fixture
def store(tmp_path):
    generator = np.random.default_rng(0)
    with writing_features(tmp_path / "f.h5", 8, 2, "float32", {"hop": 1}, "f") as (append, failed):
        for i, frames in enumerate((8, 3, 5)):
            append(f"{i:03d}.wav", generator.normal(size=(frames, 2)), float(frames))
        failed["003.wav"] = "broken"
    return FeatureStore([tmp_path / "f.h5"])


def test_features_come_with_their_mask(store):
    x, mask = load_features(store, np.array([1, 2]))
    assert x.shape == (2, 5, 2) and mask.sum(dim=1).tolist() == [3, 5]
    assert not x[0, 3:].any()
    torch.testing.assert_close(x[1].numpy(), store.read(np.array([2]))[0])


def test_clips_whose_audio_failed_are_left_out_and_counted(store):
    batches = FeatureBatches(store, make_set(np.ones((4, 1))), "data/fit")
    assert batches.num_left_out == 1 and batches.dataset.filenames.tolist() == ["000.wav", "001.wav", "002.wav"]


def test_clips_without_features_are_an_error(store):
    with pytest.raises(InputError, match="data/fit: 2 of 6 clips have no features in .*f.h5, the first '004.wav'"):
        FeatureBatches(store, make_set(np.ones((6, 1))), "data/fit")
