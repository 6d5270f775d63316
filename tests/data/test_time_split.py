"""Split by time: no shared sound, the gap is kept, at least half of each class stays."""

import dataclasses

import numpy as np
import pytest

from wsedtk.core.errors import InputError
from wsedtk.data import clip_sets, time_split
from wsedtk.data.events import Events


def make(clips, labels=("a", "b"), groups=None, unknown=None, durations=None):
    """Return a set of clips: {name: classes}. Names with times give the durations."""
    names = sorted(clips)
    tags = [(i, labels.index(k)) for i, name in enumerate(names) for k in sorted(clips[name])]
    tag_clip, tag_label = np.array(tags, int).reshape(-1, 2).T
    times = [name.rsplit(".", 1)[0].split("_")[-2:] for name in names]
    if durations is None:
        durations = [float(t[-1]) - float(t[0]) if len(t) == 2 else 5.0 for t in times]
    return clip_sets.DataSet(
        filenames=np.array(names),
        paths=np.full(len(names), ""),
        durations=np.array(durations),
        labels=list(labels),
        tag_clip=tag_clip,
        tag_label=tag_label,
        groups=None if groups is None else np.array([groups(name) for name in names]),
        unknown=None if unknown is None else np.array([name in unknown for name in names]),
    )


def cut(recording, count, seconds=10.0, hop=None):
    """Return the names of the clips of a recording, as `prepare` writes them."""
    starts = [i * (hop or seconds) for i in range(count)]
    return [f"{recording}_{start:.3f}_{start + seconds:.3f}.flac" for start in starts]


def check(data, num_valid, seed=0, gap=10.0):
    """Split, and check what holds for every split. Return the split."""
    found = time_split.split_by_time(data, num_valid, seed, gap)
    fit, valid = found.fit, found.valid
    assert not (fit & valid).any() and valid.sum() <= num_valid
    times = time_split.clip_times(data)
    for i in np.flatnonzero(valid & ~np.isnan(times.starts)):
        same = fit & (times.recordings == times.recordings[i])
        distance = np.maximum(
            times.starts[same] - times.ends[i], times.starts[i] - times.ends[same]
        )
        assert (distance >= gap - 1e-5).all()
    known = ~data.has_unknown_tags()
    tags = data.tag_matrix()
    tags = np.column_stack([tags, known & ~tags.any(axis=1)])
    assert (2 * tags[fit].sum(axis=0) >= tags.sum(axis=0)).all()
    assert not (valid & ~known).any()
    again = time_split.split_by_time(data, num_valid, seed, gap)
    assert (again.fit == fit).all() and (again.valid == valid).all() and again.parts == found.parts
    return found


@pytest.mark.parametrize("seed", range(40))
def test_what_holds_for_every_split(seed):
    """Random recordings, overlaps, classes, groups, gaps, uncut recordings and unknown tags."""
    rng = np.random.default_rng(seed)
    clips, hop = {}, float(rng.choice([2.0, 3.333, 5.0, 10.0, 14.0]))
    for i in range(rng.integers(1, 5)):
        names = cut(f"site{i % 2}/rec {i}", int(rng.integers(3, 60)), hop=hop)
        bouts = rng.random(2)
        for j, name in enumerate(names):
            part = j / len(names)
            clips[name] = [
                label
                for label, bout in zip("ab", bouts)
                if abs(part - bout) < 0.2 or rng.random() < 0.1
            ]
    clips |= {f"short {i}.wav": ["a"] * int(rng.integers(2)) for i in range(rng.integers(0, 6))}
    names = sorted(clips)
    unknown = set(rng.choice(names, len(names) // 10, replace=False).tolist())
    clips |= {name: [] for name in unknown}
    groups = (lambda name: name.partition("/")[0]) if seed % 3 else None
    data = make(clips, groups=groups, unknown=unknown)
    check(
        data, int(rng.integers(1, len(clips) - len(unknown))), seed, float(rng.choice([0, 1, 25]))
    )


def test_one_recording():
    """Both classes are in the held-out part, which is contiguous, and the seed chooses."""
    clips = {name: "ab"[i // 3 % 2] for i, name in enumerate(cut("night", 60))}
    data = make(clips)
    found = check(data, 12)
    places = np.flatnonzero(found.valid)
    order = np.argsort(time_split.clip_times(data).starts)
    ranks = np.flatnonzero(found.valid[order])
    assert len(places) == 12 and (np.diff(ranks) == 1).all()
    (part,) = found.parts
    assert part == ("night", 10.0 * ranks[0], 10.0 * ranks[-1] + 10)
    assert data.clips_per_class(found.valid).tolist() == [6, 6]
    # Only one clip is lost to the gap, because a part at one end of the recording is as good.
    assert (~found.fit & ~found.valid).sum() == 1 and len(found.exhausted) == 0
    assert len({check(data, 12, seed).parts for seed in range(8)}) == 2
    # A class that is in one part of the recording only: its clips are in both sets.
    rare = {name: "b" if 20 <= i < 28 else "a" for i, name in enumerate(cut("night", 60))}
    for seed in range(3):
        found = check(make(rare), 8, seed, gap=0)
        assert make(rare).clips_per_class(found.valid).tolist() == [4, 4]


def test_shares_of_recordings():
    """Recordings are held out in proportion, and never a whole one."""
    sizes = {"one": 100, "two": 50, "three": 10}
    clips = {name: "a" for rec, size in sizes.items() for name in cut(rec, size)}
    data = make(clips)
    found = check(data, 32, gap=0)
    recordings = time_split.clip_times(data).recordings
    held = {rec: int(found.valid[recordings == rec].sum()) for rec in sizes}
    assert held == {"one": 20, "two": 10, "three": 2}


def test_less_is_held_out_if_a_class_would_lose_more_than_half():
    clips = dict.fromkeys(cut("night", 20), "a")
    assert check(make(clips), 15, gap=0).valid.sum() in (7, 8, 9, 10)
    # With the gap, any part of three clips needs all three.
    found = check(make(dict.fromkeys(cut("x", 3), "a")), 1, gap=30)
    assert not found.valid.any() and found.fit.all() and found.parts == ()


def test_overlapping_clips_never_share_sound():
    clips = dict.fromkeys(cut("night", 100, seconds=10, hop=2.5), "a")
    data = make(clips)
    found = check(data, 20, gap=0)
    assert found.valid.sum() == 20 and 0 < (~found.fit & ~found.valid).sum() <= 6
    found = check(data, 20, gap=10)
    assert found.valid.sum() == 20 and 7 <= (~found.fit & ~found.valid).sum() <= 14


def test_copies_and_channels_are_one_recording():
    """Clips of one recording in two class folders, and both channels, have the same gap."""
    names = [*cut("Dog/night", 20), *cut("Siren/night", 20)]
    data = make(dict.fromkeys(names, "a"), groups=lambda name: "night")
    assert {part.recording for part in check(data, 8).parts} == {"night"}
    names = [*cut("night.ch1", 20), *cut("night.ch2", 20)]
    assert [part.recording for part in check(make(dict.fromkeys(names, "a")), 8).parts] == ["night"]
    # Files of the same name at two sites are two recordings.
    names = [*cut("pond/night", 20), *cut("forest/night", 20)]
    data = make(dict.fromkeys(names, "a"), groups=lambda name: name.partition("/")[0])
    assert len(check(data, 8).parts) == 2


def test_recordings_that_are_not_cut(caplog):
    clips = dict.fromkeys(cut("night", 40), "a") | {f"x{i}.wav": "b" for i in range(40)}
    data = make(clips)
    found = check(data, 20, gap=0)
    assert data.clips_per_class(found.valid).tolist() == [10, 10]
    assert "40 clips have no times in the name: x0.wav, x1.wav" in caplog.messages[0]


def test_clips_without_times(caplog):
    data = make({f"x{i}.wav": "a" for i in range(9)})
    with pytest.raises(InputError, match="no clip has times in its name, such as 'x0.wav'.*--by t"):
        time_split.split_by_time(data, 2, 0)
    # If the times of one clip of a recording are not known, the recording is not split.
    mixed = ["night.wav", *cut("night", 20), *cut("day", 20)]
    data = make(dict.fromkeys(mixed, "a"))
    found = check(data, 8)
    assert [part.recording for part in found.parts] == ["day"] and found.valid.sum() == 8
    recordings = time_split.clip_times(data).recordings
    assert found.fit[recordings == "night"].all()
    assert "1 clip has no times in the name, but other clips of the rec" in caplog.messages[0]
    # Names of recorders, and numbers that the duration or an event contradicts, are no times.
    names = ["S1_20240517_053000.wav", "take_1_6.wav", "take_20_26.wav"]
    data = make(dict.fromkeys(names, "a"), durations=[60.0, 30.0, 6.0])
    assert np.isnan(time_split.clip_times(data).starts).tolist() == [True, True, False]
    events = Events.from_columns(np.array([2]), np.array([0.0]), np.array([9.0]), np.array([0]))
    data = dataclasses.replace(data, events=events)
    assert np.isnan(time_split.clip_times(data).starts).all()
