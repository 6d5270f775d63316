"""Sets, splits and batches without a matrix of clips by classes, compared with dense versions."""

import dataclasses

import numpy as np
import pytest

from wsedtk.data import clip_names, clip_sets, datadir
from wsedtk.data.events import Events
from wsedtk.data.group_split import split
from wsedtk.training.sampler import BALANCERS, Sampler


def random_set(seed, num_clips=120):
    """Return a set with its tags as booleans (N, K).

    Sources have several clips, and classes are rare or empty; some clips have no tags.
    """
    generator = np.random.default_rng(seed)
    names = sorted(
        f"{generator.integers(0, 1 + num_clips // (1 + seed % 4)):05d}_{i}_{i + 1}.wav"
        for i in range(num_clips)
    )
    tags = generator.random((num_clips, 6)) < [0.5, 0.15, 0.08, 0, 0.03, 0.2]
    clip, label = np.nonzero(tags)
    dataset = clip_sets.DataSet(
        np.array(names),
        np.full(num_clips, "", datadir.TEXT),
        np.full(num_clips, 10.0),
        [f"class {k}" for k in range(6)],
        clip,
        label,
    )
    return dataset, tags


# --- DataSet ---


@pytest.mark.parametrize("seed", range(4))
def test_tags_of_clips_in_any_order_and_repeated(seed):
    dataset, tags = random_set(seed)
    generator = np.random.default_rng(seed)
    np.testing.assert_array_equal(dataset.tag_matrix(), tags)
    for clips in (
        generator.integers(0, 120, 300),
        generator.permutation(120),
        [],
        [119, 0, 0, 119],
        np.flatnonzero(~tags.any(axis=1)),
    ):
        found = dataset.tag_matrix(np.array(clips, int))
        assert found.dtype == bool and found.shape == (len(clips), 6)
        np.testing.assert_array_equal(found, tags[np.array(clips, int)])
    for clip in range(120):
        assert dataset.tags_of(clip).tolist() == np.flatnonzero(tags[clip]).tolist()


@pytest.mark.parametrize("seed", range(4))
def test_clips_of_classes(seed):
    dataset, tags = random_set(seed)
    columns = [*tags.T, ~tags.any(axis=1)]
    assert [clips.tolist() for clips in dataset.clips_of_classes()] == [
        np.flatnonzero(column).tolist() for column in columns
    ]
    assert dataset.clips_per_class().tolist() == tags.sum(axis=0).tolist()
    for members in (
        np.random.default_rng(seed).random(120) < 0.3,
        np.zeros(120, bool),
        np.ones(120, bool),
    ):
        assert dataset.clips_per_class(members).tolist() == tags[members].sum(axis=0).tolist()
        np.testing.assert_array_equal(dataset.select(members).tag_matrix(), tags[members])


@pytest.mark.parametrize("num_clips", [0, 3])
def test_no_tags_at_all(num_clips):
    dataset, _ = random_set(0)
    dataset = dataset.select(np.arange(120) < num_clips)
    dataset = dataclasses.replace(
        dataset, tag_clip=np.array([], np.int64), tag_label=np.array([], np.int64)
    )
    assert not dataset.tag_matrix().any() and dataset.tag_matrix().shape == (num_clips, 6)
    assert dataset.tag_matrix(np.array([0, 0, 2][:num_clips], int)).shape == (num_clips, 6)
    assert [clips.tolist() for clips in dataset.clips_of_classes()] == [[]] * 6 + [
        list(range(num_clips))
    ]
    assert dataset.clips_per_class().tolist() == [0] * 6 and all(
        len(dataset.tags_of(clip)) == 0 for clip in range(num_clips)
    )


def test_a_fingerprint_is_of_every_name_tag_and_event(monkeypatch):
    dataset, _ = random_set(1)
    dataset = dataclasses.replace(
        dataset, events=Events.from_rows([(3, 0.5, 1.0, 0), (9, 1.0, 2.5, 1)])
    )
    first = dataset.fingerprint()
    for same in (
        {"paths": np.full(120, "/else/where.wav", datadir.TEXT)},
        {"paths": np.full(120, "")},
        {"info": {"corpus": "x"}},
        {"filenames": dataset.filenames.astype("U99")},
    ):
        assert dataclasses.replace(dataset, **same).fingerprint() == first
    with monkeypatch.context() as patch:
        patch.setattr("wsedtk.data.tables.BLOCK_ROWS", 7)
        assert dataset.fingerprint() == first

    def changed(field, place, value, of=dataset):
        column = getattr(of, field).copy()
        column[place] = value
        return dataclasses.replace(of, **{field: column})

    events = [
        dataclasses.replace(dataset, events=changed(field, 1, value, dataset.events))
        for field, value in (("clip", 10), ("onset", 1.25), ("offset", 2.75), ("label", 2))
    ]
    others = [
        changed("filenames", 119, "x.wav"),
        changed("filenames", 0, "x.wav"),
        changed("durations", 60, 9.999999),
        changed("tag_label", -1, 3),
        changed("tag_clip", -1, 118),
        dataclasses.replace(dataset, events=None),
        *events,
        dataclasses.replace(dataset, events=dataset.events.select([0])),
        dataset.select(np.arange(120) != 5),
        dataclasses.replace(dataset, labels=[*dataset.labels[:-1], "x"]),
        dataclasses.replace(dataset, labels=[*dataset.labels, "x"]),
    ]
    assert len({first, *(other.fingerprint() for other in others)}) == 1 + len(others)


# --- splits ---


class DenseClasses:
    """Return the clips of each class in random order, open sources first, by a dense matrix."""

    def __init__(self, tags, sources, generator):
        self.waiting = [
            generator.permutation(np.flatnonzero(column)).tolist()[::-1] for column in tags.T
        ]
        self.opened, self.tags, self.sources = [[] for _ in self.waiting], tags, sources
        self.left_to_fit = tags.sum(axis=0)
        self.least_to_fit = (self.left_to_fit + 1) // 2
        self.is_open = np.zeros(sources.max() + 1, bool)

    def draw(self, label, taken):
        while self.opened[label]:
            if not taken[clip := self.opened[label].pop()]:
                return clip
        while self.waiting[label]:
            clip = self.waiting[label].pop()
            members = np.flatnonzero(self.sources == self.sources[clip])
            left = self.left_to_fit - self.tags[members].sum(axis=0)
            if (
                taken[clip]
                or self.is_open[self.sources[clip]]
                or (left < np.minimum(self.least_to_fit, self.left_to_fit)).any()
            ):
                continue
            self.left_to_fit, self.is_open[self.sources[clip]] = left, True
            for member in members:
                for k in np.flatnonzero(self.tags[member]):
                    self.opened[k].append(member)
            return clip
        return None


def dense_split(names, tags, num_valid, seed):
    untagged = ~tags.any(axis=1)
    num_tagged = num_valid - round(num_valid * untagged.sum() / len(names))
    sources = np.unique([clip_names.source_of(name) for name in names], return_inverse=True)[1]
    classes = DenseClasses(np.column_stack([tags, untagged]), sources, np.random.default_rng(seed))
    valid, turn = np.zeros(len(names), bool), 0
    rarest_first = [
        k for k in np.argsort(tags.sum(axis=0), kind="stable").tolist() if tags[:, k].any()
    ]
    while rarest_first and valid.sum() < num_tagged:
        turn += 1
        for k in list(rarest_first):
            if tags[valid, k].sum() < turn and valid.sum() < num_tagged:
                clip = classes.draw(k, valid)
                if clip is None:
                    rarest_first.remove(k)
                else:
                    valid[clip] = True
    for _ in range(num_valid - num_tagged):
        if (clip := classes.draw(tags.shape[1], valid)) is None:
            break
        valid[clip] = True
    return ~classes.is_open[sources], valid


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("num_valid", [1, 17, 60, 119])
def test_a_split_is_that_of_the_matrix(seed, num_valid):
    dataset, tags = random_set(seed)
    for found, expected in zip(
        split(dataset, num_valid, seed + 1),
        dense_split(dataset.filenames.tolist(), tags, num_valid, seed + 1),
    ):
        np.testing.assert_array_equal(found, expected)


def test_splits_without_tags_and_of_sources_that_hold_all():
    dataset, tags = random_set(2)
    bare = dataclasses.replace(
        dataset, tag_clip=np.array([], np.int64), tag_label=np.array([], np.int64)
    )
    one = dataclasses.replace(
        dataset, filenames=np.array([f"video_{i:03d}_{i + 1:03d}.wav" for i in range(120)])
    )
    for data, matrix in ((bare, np.zeros_like(tags)), (one, tags)):
        for found, expected in zip(
            split(data, 20, 5), dense_split(data.filenames.tolist(), matrix, 20, 5)
        ):
            np.testing.assert_array_equal(found, expected)
    assert not split(one, 20, 5)[1].any() and split(bare, 20, 5)[1].sum() == 20


# --- batches ---


def dense_batches(tags, batch_size, seed, balancer, steps):
    """Return the clips of the first batches, with queues from a dense matrix."""
    classes = np.column_stack([tags, ~tags.any(axis=1)])
    queues = (
        [np.flatnonzero(column) for column in classes.T if column.any()]
        if balancer == "classes"
        else [np.arange(len(tags))]
    )
    for step in range(steps):
        clips = []
        for draw in range(step * batch_size, (step + 1) * batch_size):
            number, turn = divmod(draw, len(queues))
            queue = np.random.default_rng((seed, 2, number)).permutation(len(queues))[turn]
            lap, place = divmod(number, len(queues[queue]))
            clips.append(
                np.random.default_rng((seed, 1, queue, lap)).permutation(queues[queue])[place]
            )
        yield clips


@pytest.mark.parametrize("balancer", ["classes", "none"])
@pytest.mark.parametrize("seed", range(3))
def test_batches_are_those_of_the_matrix(balancer, seed):
    dataset, tags = random_set(seed, 40)
    sampler = Sampler(dataset, 7, seed, balancer)
    expected = list(dense_batches(tags, 7, seed, balancer, 40))
    assert [sampler.batch(step).tolist() for step in range(40)] == expected
    again = Sampler(dataset, 7, seed, balancer)  # a resumed run
    assert [again.batch(step).tolist() for step in (39, 11)] == [expected[39], expected[11]]


@pytest.mark.parametrize("seed", range(3))
def test_weights_are_those_of_the_matrix(seed):
    dataset, tags = random_set(seed, 40)
    classes = np.column_stack([tags, ~tags.any(axis=1)])
    weights = classes @ (1 / classes.sum(axis=0).clip(min=1))
    sampler = Sampler(dataset, 5000, seed, "weighted")
    np.testing.assert_allclose(np.diff(sampler.cumulative, prepend=0), weights, atol=1e-12)
    draws = np.random.default_rng((seed, 3, 4)).random(5000) * weights.sum()
    assert (
        sampler.batch(4) == np.searchsorted(np.cumsum(weights), draws, side="right")
    ).mean() > 0.999


@pytest.mark.parametrize("balancer", BALANCERS)
def test_batches_of_a_set_without_tags(balancer):
    dataset, _ = random_set(0, 12)
    bare = dataclasses.replace(
        dataset, tag_clip=np.array([], np.int64), tag_label=np.array([], np.int64)
    )
    stream = np.concatenate([Sampler(bare, 4, 0, balancer).batch(step) for step in range(30)])
    assert set(stream.tolist()) == set(range(12))
