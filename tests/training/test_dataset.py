"""Balanced batches and their features, frame targets, augmentation."""

import collections
import dataclasses
import itertools

import numpy as np
import pytest
import scipy.stats
import torch

from wsedtk.core.errors import InputError
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.events import Events
from wsedtk.data.store import FeatureLayout, FeatureStore, writing_features
from wsedtk.inference.network_runner import load_features
from wsedtk.training import augmentations
from wsedtk.training.augmentations import Batch
from wsedtk.training.feature_batches import FeatureBatches
from wsedtk.training.frame_targets import FrameTargets
from wsedtk.training.sampler import BALANCERS, Sampler
from wsedtk.training.train_config import TrainConfig


def make_set(tags):
    """Return a data set of clips with these tags (N, K)."""
    tags = np.asarray(tags, bool)
    clip, label = np.nonzero(tags)
    names = np.array([f"{i:03d}.wav" for i in range(len(tags))])
    return DataSet(
        names,
        np.full(len(tags), ""),
        np.ones(len(tags)),
        [f"class {k}" for k in range(tags.shape[1])],
        clip,
        label,
    )


def skewed():
    """200 clips: 150 of class 0, 40 of class 1, 10 of class 2, no clip in two classes."""
    return make_set(np.repeat(np.eye(3), [150, 40, 10], axis=0))


def test_every_round_has_one_clip_of_each_class():
    sampler, truth = Sampler(skewed(), 7, seed=0), np.repeat([0, 1, 2], [150, 40, 10])
    stream = np.concatenate([sampler.batch(step) for step in range(300)])
    rounds = truth[stream].reshape(-1, 3)  # 2100 draws are 700 rounds, cut by batches of 7
    assert (np.sort(rounds, axis=1) == [0, 1, 2]).all()
    orders = collections.Counter(map(tuple, rounds.tolist()))
    assert (
        len(orders) == 6 and max(orders.values()) < 160
    )  # the order of the classes is random: 117 of each are expected


def test_each_queue_is_endless_and_goes_through_all_its_clips():
    sampler, truth = Sampler(skewed(), 30, seed=0), np.repeat([0, 1, 2], [150, 40, 10])
    stream = np.concatenate([sampler.batch(step) for step in range(60)])  # 600 of each class
    for label, size in enumerate((150, 40, 10)):
        queue = stream[truth[stream] == label][: 600 // size * size].reshape(-1, size)
        assert (np.sort(queue, axis=1) == np.flatnonzero(truth == label)).all()
        assert (queue[0] != queue[1]).any()  # shuffled again


def test_a_clip_with_two_tags_is_in_both_queues_and_untagged_clips_form_one():
    sampler = Sampler(make_set([[1, 1], [1, 0], [0, 1], [0, 0]]), 4, seed=0)
    assert [q.tolist() for q in sampler.queues] == [[0, 1], [0, 2], [3]]


def test_without_balance_an_epoch_is_a_plain_shuffle():
    sampler = Sampler(skewed(), 40, seed=0, balancer="none")
    epochs = [np.concatenate([sampler.batch(5 * e + i) for i in range(5)]) for e in range(2)]
    assert (
        all((np.sort(e) == np.arange(200)).all() for e in epochs) and (epochs[0] != epochs[1]).any()
    )


MIXED = [
    [1, 1, 0],
    [1, 0, 0],
    [1, 0, 0],
    [1, 0, 1],
    [0, 1, 0],
    [0, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
    [1, 0, 0],
]  # 5, 2 and 1 clips, 3 untagged


def draws(balancer, num_batches, batch_size=50, tags=MIXED, seed=0):
    """Return how often each clip is drawn (N,)."""
    sampler = Sampler(make_set(tags), batch_size, seed, balancer)
    return np.bincount(
        np.concatenate([sampler.batch(step) for step in range(num_batches)]), minlength=len(tags)
    )


def test_classes_and_their_clips_come_equally_often_with_clips_of_several_tags():
    queues = [[0, 1, 2, 3, 8], [0, 4], [3], [5, 6, 7]]  # the last queue has the untagged clips
    num_rounds = 300  # a multiple of the length of each queue
    expected = np.zeros(9)
    for queue in queues:
        expected[queue] += num_rounds / len(queue)
    assert (
        draws("classes", 24).tolist() == expected.tolist()
    )  # 24 batches of 50 are 300 rounds of 4 queues


def test_the_order_of_the_classes_is_uniform():
    sampler, truth = Sampler(skewed(), 60, seed=1), np.repeat([0, 1, 2], [150, 40, 10])
    rounds = truth[np.concatenate([sampler.batch(step) for step in range(200)])].reshape(-1, 3)
    orders = collections.Counter(map(tuple, rounds.tolist()))
    assert sorted(orders) == sorted(itertools.permutations(range(3)))
    assert scipy.stats.chisquare(list(orders.values())).pvalue > 1e-3


def test_classes_without_clips_have_no_queue():
    assert draws("classes", 10, tags=[[1, 0, 0], [1, 0, 0], [0, 0, 1]]).tolist() == [125, 125, 250]


@pytest.mark.parametrize(
    "tags",
    [MIXED, np.eye(4)[[0] * 30 + [1] * 9 + [2]], np.zeros((5, 2)), np.ones((3, 2))],
    ids=["mixed", "an empty class", "untagged", "all tags"],
)
def test_weighted_draws_have_the_stated_probabilities(tags):
    tags = [list(row) for row in np.asarray(tags, int)]
    columns = [
        *zip(*tags),
        tuple(int(not any(row)) for row in tags),
    ]  # untagged clips are one more class
    weights = [
        sum(1 / sum(column) for column in columns if column[clip]) for clip in range(len(tags))
    ]
    found = draws("weighted", 400, 100, tags)
    assert scipy.stats.chisquare(found, 40000 * np.array(weights) / sum(weights)).pvalue > 1e-3
    one_batch_each = [
        Sampler(make_set(tags), 1, seed, "weighted").batch(7)[0] for seed in range(400)
    ]
    assert (
        scipy.stats.chisquare(
            np.bincount(one_batch_each, minlength=len(tags)), 400 * np.array(weights) / sum(weights)
        ).pvalue
        > 1e-3
    )


def test_weighted_draws_are_neither_uniform_nor_without_replacement():
    found = draws("weighted", 400, 100)
    assert scipy.stats.chisquare(found).pvalue < 1e-9
    without_the_rare_class = np.array(
        [1 / 5 + 1 / 2, 1 / 5, 1 / 5, 1 / 5, 1 / 2, 1 / 3, 1 / 3, 1 / 3, 1 / 5]
    )
    assert (
        scipy.stats.chisquare(
            found, 40000 * without_the_rare_class / without_the_rare_class.sum()
        ).pvalue
        < 1e-9
    )
    pairs = [Sampler(make_set(MIXED), 2, 0, "weighted").batch(step) for step in range(200)]
    assert 10 < sum(a == b for a, b in pairs) < 60  # 28 are expected


def test_without_balance_every_clip_comes_once_a_pass_across_batches():
    sampler = Sampler(make_set(MIXED), 4, 5, "none")  # 9 batches are 4 passes over 9 clips
    passes = np.concatenate([sampler.batch(step) for step in range(9 * 20)]).reshape(-1, 9)
    assert (np.sort(passes, axis=1) == np.arange(9)).all() and len(
        {tuple(p) for p in passes.tolist()}
    ) == 80
    assert scipy.stats.chisquare(np.bincount(passes[:, 0], minlength=9)).pvalue > 1e-3


@pytest.mark.parametrize(
    "tags", [MIXED, np.eye(3)[[0] * 20 + [1] * 7 + [2]]], ids=["mixed", "one each"]
)
@pytest.mark.parametrize("balancer", BALANCERS)
def test_a_batch_depends_on_its_number_and_the_seed_alone(balancer, tags):
    walked, jumped, data = (
        Sampler(make_set(tags), 11, 3, balancer),
        Sampler(make_set(tags), 11, 3, balancer),
        make_set(tags),
    )
    batches = [walked.batch(step).tolist() for step in range(40)]
    order = np.random.default_rng(0).permutation(40).tolist()
    assert [jumped.batch(step).tolist() for step in order] == [batches[step] for step in order]
    assert [Sampler(data, 11, 3, balancer).batch(step).tolist() for step in order] == [
        batches[step] for step in order
    ]
    assert Sampler(data, 11, 4, balancer).batch(0).tolist() != batches[0]
    assert len({tuple(b) for b in batches}) == 40
    late = [walked.batch(step) for step in (10**9, 3, 10**9)]
    assert (
        late[0].tolist() == late[2].tolist()
        and set(late[0]) <= set(range(len(tags)))
        and late[0].shape == (11,)
    )


def test_an_unknown_balancer_is_refused():
    with pytest.raises(
        ValueError, match="unknown balancer 'round robin'; known: classes, weighted, none"
    ):
        Sampler(skewed(), 4, 0, "round robin")


@pytest.fixture
def store(tmp_path):
    generator = np.random.default_rng(0)
    layout = FeatureLayout(8, 2, "float32", {"hop": 1}, "f")
    with writing_features(tmp_path / "f.h5", layout) as (append, failed):
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
    assert batches.num_left_out == 1 and batches.dataset.filenames.tolist() == [
        "000.wav",
        "001.wav",
        "002.wav",
    ]


def test_clips_without_features_are_an_error(store):
    with pytest.raises(
        InputError, match="data/fit: 2 of 6 clips have no features in .*f.h5, the first '004.wav'"
    ):
        FeatureBatches(store, make_set(np.ones((6, 1))), "data/fit")


def with_events(tags, rows):
    """Return a data set with these tags (N, K) and events (clip, onset, offset, class)."""
    return dataclasses.replace(make_set(tags), events=Events.from_rows(rows))


def by_hand(tags, rows, num_frames):
    """Return targets (N, T, K) for frames of 0.1 s, by milliseconds, and known ones (N, 1, K)."""
    target, known = (
        np.zeros((len(tags), num_frames, len(tags[0]))),
        np.zeros((len(tags), 1, len(tags[0]))),
    )
    for clip, label in np.ndindex(len(tags), len(tags[0])):
        covered = np.zeros(100 * num_frames, bool)
        for _, onset, offset, _ in [row for row in rows if row[0] == clip and row[3] == label]:
            for place in range(round(1000 * onset), min(round(1000 * offset), len(covered))):
                covered[place] = True
        target[clip, :, label] = covered.reshape(num_frames, 100).mean(axis=1)
        timed = any(row[0] == clip and row[3] == label and row[2] > row[1] for row in rows)
        known[clip, 0, label] = any(row[0] == clip for row in rows) and (
            timed or not tags[clip][label]
        )
    return target, known


@pytest.mark.parametrize("seed", range(8))
def test_frame_targets_against_a_fine_grid(seed):
    generator = np.random.default_rng(seed)
    tags, rows = (generator.random((7, 3)) < 0.5).tolist(), []
    for clip in range(6):
        for _ in range(generator.integers(0, 9)):
            onset = generator.integers(0, 2600) / 1000
            length = (
                generator.choice([0, generator.integers(0, 80), generator.integers(0, 2500)]) / 1000
            )
            rows.append((clip, onset, round(onset + length, 3), int(generator.integers(3))))
    targets, clips = FrameTargets(with_events(tags, rows), 0.1), generator.integers(0, 7, 11)
    found, expected = targets.load(clips, 25), by_hand(tags, rows, 25)
    assert [a.dtype for a in found] == [torch.float32] * 2 and [a.shape for a in found] == [
        (11, 25, 3),
        (11, 1, 3),
    ]
    np.testing.assert_allclose(found[0], expected[0][clips], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found[1], expected[1][clips])
    assert 0 < expected[0].mean() < 1 and 0 < expected[1].mean() < 1 and found[0].max() <= 1


@pytest.mark.parametrize(
    "rows, target",
    [
        ([(0.0, 0.25)], [1, 1, 0.5, 0]),
        ([(0.05, 0.15), (0.1, 0.2)], [0.5, 1, 0, 0]),
        ([(0.1, 0.3), (0.1, 0.3)], [0, 1, 1, 0]),
        ([(0.0, 0.4), (0.15, 0.16)], [1, 1, 1, 1]),
        ([(0.1, 0.12), (0.15, 0.17), (0.17, 0.18)], [0, 0.5, 0, 0]),
        ([(0.32, 0.33), (0.34, 0.35), (0.36, 9.0)], [0, 0, 0, 0.6]),
        ([(0.4, 5.0)], [0, 0, 0, 0]),
        ([(7.0, 9.0)], [0, 0, 0, 0]),
        ([(0.11, 0.19), (0.2, 0.2)], [0, 0.8, 0, 0]),
    ],
)
def test_frame_targets_by_hand(rows, target):
    found, known = FrameTargets(with_events([[1]], [(0, *row, 0) for row in rows]), 0.1).load(
        np.array([0]), 4
    )
    np.testing.assert_allclose(found[0, :, 0], target, rtol=0, atol=1e-6)
    assert known.tolist() == [[[1]]]


def test_what_events_leave_unknown():
    tags = [[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0], [0, 1, 0]]
    rows = [
        (0, 0.0, 1.0, 0),
        (1, 0.5, 0.5, 0),
        (3, 0.0, 1.0, 2),
        (4, 0.0, 0.0, 1),
        (4, 0.2, 0.3, 1),
    ]
    known = FrameTargets(with_events(tags, rows), 0.1).load(np.arange(5), 10)[1][:, 0]
    assert known.tolist() == [[1, 0, 1], [0, 1, 1], [0, 0, 0], [1, 1, 1], [1, 1, 1]]


REDUCTION = 4


def a_batch(lengths, num_bins=5, num_classes=3, seed=0):
    """Return a batch as in training: x, mask, tags, frames, known."""
    generator, longest = torch.Generator().manual_seed(seed), max(lengths)
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    x = (torch.rand(len(lengths), longest, num_bins, generator=generator) + 0.5) * mask[..., None]
    tags, known = (
        torch.randint(2, (len(lengths), *shape, num_classes), generator=generator).float()
        for shape in ((), (1,))
    )
    return (
        x,
        mask,
        tags,
        torch.rand(len(lengths), max(1, longest // REDUCTION), num_classes, generator=generator),
        known,
    )


def augmentation(frames_masked=0, frames_shifted=0, **settings):
    """The augmentations of a configuration, as one function of generators and the parts of a batch."""
    config = TrainConfig(
        time_mask_seconds=0.5 * frames_masked,
        time_shift_seconds=0.5 * REDUCTION * frames_shifted,
        **settings,
    )
    layout = augmentations.FeatureResolution(
        seconds_per_frame=0.5, time_reduction=REDUCTION, num_mels=64
    )
    found = augmentations.create(config, layout)

    def apply(generators, *parts):
        batch = Batch(*parts)
        for one in found:
            batch = one(batch, generators)
        return batch.x, batch.mask, batch.tags, batch.frames, batch.known

    return apply


def change(augmentation, batch, seed=0):
    """Augment a batch with generators of this seed, and check that the input is unchanged."""
    before = [a.clone() for a in batch]
    found = augmentation(
        [np.random.default_rng((seed, row)) for row in range(len(batch[0]))], *batch
    )
    assert all(torch.equal(a, b) for a, b in zip(before, batch))
    return found


def test_augmentation_is_off_by_default():
    batch = a_batch([12, 7, 3])
    generators = [np.random.default_rng(row) for row in range(3)]
    assert all(a is b for a, b in zip(augmentation()(generators, *batch), batch))
    assert [g.random() for g in generators] == [
        np.random.default_rng(row).random() for row in range(3)
    ]


ALL = augmentation(frames_masked=6, frames_shifted=3, mixup_alpha=0.5, mel_mask_bins=2)


@pytest.mark.parametrize(
    "augmentation",
    [
        ALL,
        augmentation(mixup_alpha=0.3),
        augmentation(frames_masked=4),
        augmentation(mel_mask_bins=3),
        augmentation(frames_shifted=2),
    ],
    ids=["all", "mixup", "time", "mel", "shift"],
)
def test_the_same_generators_give_the_same_and_padding_stays_zero(augmentation):
    batch, seen = a_batch([40, 31, 9, 4, 2, 1]), []
    for seed in range(30):
        first, again = change(augmentation, batch, seed), change(augmentation, batch, seed)
        assert all(torch.equal(a, b) for a, b in zip(first, again))
        assert [a.shape for a in first] == [a.shape for a in batch] and [
            a.dtype for a in first
        ] == [a.dtype for a in batch]
        assert not first[0][~first[1]].any() and torch.isfinite(first[0]).all()
        seen.append(first[0])
    assert sum(not torch.equal(seen[0], other) for other in seen[1:]) > 20
    without_frames = augmentation([np.random.default_rng((0, row)) for row in range(6)], *batch[:3])
    assert torch.equal(without_frames[0], seen[0]) and without_frames[3:] == (None, None)


def find_mix(x, mixed, row):
    """Return the partner and the weight of a mixed row with the smallest error.

    The weight of a row mixed with itself is None.
    """
    if torch.allclose(mixed[row], x[row], atol=1e-6):
        return row, None
    step, moved = (
        (a - x).double().flatten(1) for a in (x[row], mixed[row])
    )  # (B, T * F): for each possible partner
    shares = (moved * step).sum(dim=1) / (step * step).sum(
        dim=1
    )  # least squares; NaN for the row itself
    errors = (moved - shares[:, None] * step).abs().amax(dim=1).nan_to_num(torch.inf)
    assert errors.min() < 1e-5
    return int(errors.argmin()), float(shares[errors.argmin()])


def test_mixup_mixes_everything_alike():
    batch = a_batch([24, 17, 9, 24, 3])
    x, mask, tags, frames, known = batch
    partners = collections.Counter()
    for seed in range(40):
        found = change(augmentation(mixup_alpha=1.0), batch, seed)
        for row in range(5):
            partner, share = find_mix(x, found[0], row)
            partners[partner] += 1
            share = 1.0 if share is None else share
            assert -1e-6 <= share <= 1 + 1e-6
            for mixed, plain in zip((found[0], found[2], found[3]), (x, tags, frames)):
                torch.testing.assert_close(
                    mixed[row], share * plain[row] + (1 - share) * plain[partner], rtol=0, atol=2e-6
                )
            assert (
                torch.equal(found[1][row], mask[row] | mask[partner])
                and found[1].dtype == torch.bool
            )
            assert torch.equal(found[4][row], known[row] * known[partner])
    assert scipy.stats.chisquare([partners[row] for row in range(5)]).pvalue > 1e-3


def cut_beta(alpha):
    """Return the distribution function of Beta(alpha, alpha) between 0.001 and 0.999."""
    low, high = scipy.stats.beta(alpha, alpha).cdf([1e-3, 0.999])
    return lambda share: (scipy.stats.beta(alpha, alpha).cdf(share) - low) / (high - low)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_the_share_of_mixup_is_beta_distributed(alpha):
    batch, shares = a_batch([8] * 30, seed=1), []
    for seed in range(35):
        mixed = change(augmentation(mixup_alpha=alpha), batch, seed)[0]
        shares += [find_mix(batch[0], mixed, row)[1] for row in range(30)]
    shares = [
        share for share in shares if share is not None and 1e-3 < share < 0.999
    ]  # nearer to 1, it is not recognised as a mix
    assert len(shares) > 450
    assert scipy.stats.kstest(shares, cut_beta(alpha)).pvalue > 1e-3
    assert scipy.stats.kstest(shares, cut_beta(2 * alpha)).pvalue < 1e-4


def spans(zero):
    """Return the runs of True in a row of flags, as (start, length)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], zero.astype(int), [0]])))
    return [(start, end - start) for start, end in edges.reshape(-1, 2).tolist()]


def blanked(augmentation, batch, axis, seed):
    """Return flags (B, size) of the frames (axis 1) or bins (axis 2) that are 0 throughout.

    All other values must be unchanged.
    """
    x, *rest = change(augmentation, batch, seed)
    assert all(torch.equal(a, b) for a, b in zip(rest, batch[1:]))
    gone = (x == 0).all(dim=3 - axis)
    assert torch.equal(
        x, torch.where(gone[:, :, None] if axis == 1 else gone[:, None], 0.0, batch[0])
    )
    return gone.numpy()


@pytest.mark.parametrize(
    "axis, longest", [(1, 1), (1, 7), (2, 4)], ids=["one frame", "time", "mel"]
)
def test_mask_widths_and_places_are_uniform(axis, longest):
    size = 6000
    masks = (
        augmentation(frames_masked=longest) if axis == 1 else augmentation(mel_mask_bins=longest)
    )
    x = torch.ones(200, size, 1) if axis == 1 else torch.ones(200, 1, size)
    batch = (
        x,
        torch.ones(x.shape[:2], dtype=torch.bool),
        torch.zeros(200, 1),
        torch.zeros(200, 1, 1),
        torch.zeros(200, 1, 1),
    )
    widths, starts = [], []
    for seed in range(5):
        for row in blanked(masks, batch, axis, seed):
            found = spans(row)
            assert len(found) <= 2 and row.sum() <= 2 * longest
            if all(width <= longest for _, width in found):  # otherwise two spans touch
                widths += [width for _, width in found] + [0] * (2 - len(found))
                starts += [start / (size - width) for start, width in found]
    assert len(widths) > 1980 and set(widths) == set(range(longest + 1))
    assert (
        scipy.stats.chisquare(np.bincount(widths)).pvalue > 1e-3
        and scipy.stats.kstest(starts, "uniform").pvalue > 1e-3
    )


@pytest.mark.parametrize("longest", [3, 8, 100])
def test_time_masks_stay_within_the_clip_even_where_they_are_longer(longest):
    lengths, seen = [40, 20, 5, 1], np.zeros((4, 40), bool)
    x, mask, *rest = a_batch(lengths)
    # a masked span would show in this padding
    batch = torch.where(mask[..., None], x, 7.0), mask, *rest
    totals = []
    for seed in range(300):
        gone = blanked(augmentation(frames_masked=longest), batch, 1, seed)
        seen |= gone
        for row, length in zip(gone, lengths):
            found = spans(row)
            assert len(found) <= 2 and row.sum() <= 2 * min(longest, length)
            assert len(found) < 2 or max(width for _, width in found) <= longest
        totals.append(gone.sum(axis=1))
    assert (seen == mask.numpy()).all()  # all real frames and no others
    assert (
        np.min(totals) == 0
        and (np.max(totals, axis=0)[1:] >= np.minimum(longest, lengths[1:])).all()
    )


def test_mel_masks_may_be_wider_than_the_bins():
    gone = np.concatenate(
        [blanked(augmentation(mel_mask_bins=9), a_batch([12, 12]), 2, seed) for seed in range(200)]
    )
    assert (
        gone.shape == (400, 5) and set(gone.sum(axis=1)) == set(range(6)) and gone.any(axis=0).all()
    )


def test_time_masks_of_mixed_clips_reach_to_the_longer_ones_end():
    x, mask, *rest = a_batch([40, 8])
    last = 0
    for seed in range(200):
        found = change(augmentation(mixup_alpha=1.0, frames_masked=8), (x, mask, *rest), seed)
        gone = (found[0][1] == 0).all(dim=1) & found[1][1]
        last = max([last, *gone.nonzero()[:, 0].tolist()])
    assert last == 39


def test_a_shift_rotates_whole_output_frames_of_the_real_part():
    lengths = [48, 43, 20, 11]
    batch = a_batch(lengths)
    x, _, _, frames, _ = batch
    counts = np.zeros((4, 5), int)
    for seed in range(200):
        found = change(augmentation(frames_shifted=2), batch, seed)
        assert all(torch.equal(found[i], batch[i]) for i in (1, 2, 4))
        for row, length in enumerate(lengths):
            whole = length // REDUCTION
            fits = []
            for shift in range(-2, 3):
                rolled, out = x[row].clone(), frames[row].clone()
                real = whole * REDUCTION
                rolled[[(place + shift * REDUCTION) % real for place in range(real)]] = x[
                    row, :real
                ]
                out[[(place + shift) % whole for place in range(whole)]] = frames[row, :whole]
                if torch.equal(rolled, found[0][row]):
                    fits.append(shift)
                    assert torch.equal(out, found[3][row])
            assert fits == [
                shift for shift in range(-2, 3) if (shift - fits[0]) % whole == 0
            ]  # no other result is equal, with few frames
            counts[row, fits[0] + 2] += 1
    for row in range(3):
        assert scipy.stats.chisquare(counts[row]).pvalue > 1e-3


def test_an_impulse_and_its_target_stay_together():
    for place in range(32):
        x, mask, tags, frames, known = a_batch([34, 30], num_bins=1, num_classes=1)
        x, frames = torch.zeros_like(x), torch.zeros_like(frames)
        x[:, place % 28], frames[:, place % 28 // REDUCTION] = 1, 1
        found = change(
            augmentation(frames_shifted=5),
            (x, mask, tags, frames, known),
            place,
        )
        assert (found[0].sum(dim=(1, 2)) == 1).all() and (found[3].sum(dim=(1, 2)) == 1).all()
        assert torch.equal(
            found[0][..., 0].argmax(dim=1) // REDUCTION, found[3][..., 0].argmax(dim=1)
        )
        assert (found[0][..., 0].argmax(dim=1) % REDUCTION == place % REDUCTION).all()


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 7])
def test_a_clip_of_one_output_frame_keeps_its_frames_and_target(length):
    for others in ([], [21]):
        batch = a_batch([length, *others])
        for seed in range(20):
            x, _, _, frames, _ = change(augmentation(frames_shifted=3), batch, seed)
            assert torch.equal(frames[0], batch[3][0])
            assert sorted(x[0, :length].tolist()) == sorted(batch[0][0, :length].tolist())
            assert torch.equal(x[0, length:], batch[0][0, length:])
            if length >= REDUCTION:  # all of it is one frame, which does not change
                assert torch.equal(x[0], batch[0][0])
