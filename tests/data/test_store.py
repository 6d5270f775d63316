import hashlib
import tracemalloc

import h5py
import numpy as np
import pytest

from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.data import store
from wsedtk.data.clip_sets import fingerprint_clips

F, T = 5, 12
NAMES = ["b é.wav", "--x.wav", "a b", "音🔔", "z" * 200]


def sha256(content):
    return hashlib.sha256(content).hexdigest()[:16]


def clips(names, seed=0, scale=1.0):
    """Return {name: (features (t, F), seconds)} of random lengths, means and spreads."""
    made = np.random.default_rng(seed)
    return {
        n: (
            made.normal(
                made.uniform(-90, 20), scale * made.uniform(0.1, 20), (made.integers(1, T + 1), F)
            ).astype(np.float32),
            0.1 + i,
        )
        for i, n in enumerate(names)
    }


def write(path, content, dtype="float32", frontend=None, failed=()):
    layout = store.FeatureLayout(T, F, dtype, frontend or {"hop": 400}, f"print-{frontend}")
    with store.writing_features(path, layout) as (append, failures):
        for name, (features, duration) in content.items():
            append(name, features, duration)
        failures.update(failed)
    return path


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_features_round_trip(tmp_path, dtype):
    content = clips(NAMES)
    found = store.FeatureStore(
        [write(tmp_path / "new" / "a.h5", content, dtype, {"hop": 3}, {"bad é": "broken: 音"})]
    )
    assert (
        len(found) == 5
        and found.filenames.tolist() == NAMES
        and found.durations.tolist() == [0.1, 1.1, 2.1, 3.1, 4.1]
    )
    assert (
        found.failed == {"bad é": "broken: 音"}
        and found.frontend == {"hop": 3}
        and found.fingerprint == "print-{'hop': 3}"
    )
    assert found.num_frames.tolist() == [len(v[0]) for v in content.values()]
    rows = found.rows([NAMES[3], NAMES[0], NAMES[4], NAMES[0]])
    assert rows.tolist() == [3, 0, 4, 0]
    batch = found.read(rows)
    assert batch.dtype == dtype and batch.shape == (
        4,
        max(len(content[NAMES[i]][0]) for i in (3, 0, 4)),
        F,
    )
    for got, row in zip(batch, rows):
        features = content[NAMES[row]][0]
        np.testing.assert_array_equal(got[: len(features)], features.astype(dtype))
        assert not got[len(features) :].any()


def test_rows_of_absent_names(tmp_path):
    found = store.FeatureStore([write(tmp_path / "a.h5", clips(["b", "d", "c"]))])
    assert found.rows(["a", "b", "bb", "c", "d", "e", "", "b" * 50]).tolist() == [
        -1,
        0,
        -1,
        2,
        1,
        -1,
        -1,
        -1,
    ]
    assert (
        found.rows(np.array(["d"])).tolist() == [1] and found.rows(np.array([], str)).tolist() == []
    )
    empty = store.FeatureStore([write(tmp_path / "b.h5", {})])
    assert len(empty) == 0 and empty.rows(["a", "b"]).tolist() == [-1, -1]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_statistics_are_numpys(tmp_path, dtype):
    content = clips([f"{i:03d}" for i in range(40)])
    found = store.FeatureStore([write(tmp_path / "a.h5", content, dtype)])
    for rows in (np.array([7]), np.arange(40), np.array([3, 39, 11, 20])):
        frames = np.concatenate(
            [list(content.values())[r][0].astype(dtype).astype(np.float64) for r in rows]
        )
        mean, std = found.statistics(rows)
        np.testing.assert_allclose(mean, frames.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(std, frames.std(axis=0), rtol=1e-12)


def test_statistics_far_from_zero(tmp_path):
    content = {
        n: (np.float32(4096) + 2.0**-10 * v[0].round(), v[1]) for n, v in clips("abcd").items()
    }
    frames = np.concatenate([v[0].astype(np.float32).astype(np.float64) for v in content.values()])
    found = store.FeatureStore([write(tmp_path / "a.h5", content)])
    np.testing.assert_allclose(found.statistics(np.arange(4))[1], frames.std(axis=0), rtol=1e-9)


@pytest.mark.parametrize("block", [1, 2, 5, 7, 10, 4096])
def test_block_sizes_have_no_effect(tmp_path, monkeypatch, block):
    """The size of the blocks in which columns are read does not change files or results."""
    monkeypatch.setattr(store.files, "BLOCK", block)
    content, path = shards(tmp_path, 3)
    scores(tmp_path / "s.h5", names=np.array(NAMES))
    assert store.ScoreFile(tmp_path / "s.h5").filenames.tolist() == NAMES
    found, rows = store.FeatureStore([path]), np.array([9, 0, 4, 4, 7, 2])
    monkeypatch.undo()
    assert (
        found.filenames.tolist() == [f"clip {i}" for k in range(3) for i in range(10)[k::3]]
        and found.filenames.dtype.kind == "U"
    )
    assert found.filenames[found.order].tolist() == list(content)
    assert found.durations.tolist() == [content[n][1] for n in found.filenames.tolist()]
    frames = np.concatenate(
        [content[n][0].astype(np.float64) for n in found.filenames[rows].tolist()]
    )
    np.testing.assert_allclose(
        found.statistics(rows), [frames.mean(axis=0), frames.std(axis=0)], rtol=1e-12
    )
    whole = write(tmp_path / "whole.h5", content, "float16", failed={"bad": "why"})
    with monkeypatch.context() as patch:
        patch.setattr(store.files, "BLOCK", block)
        write(tmp_path / "blocks.h5", content, "float16", failed={"bad": "why"})
    with h5py.File(whole) as a, h5py.File(tmp_path / "blocks.h5") as b:
        assert dict(a.attrs) == dict(b.attrs) and list(a) == list(b)
        for name in a:
            assert (a[name][()] == b[name][()]).all(), name


def test_what_a_feature_file_holds(tmp_path):
    content = clips(NAMES)
    with h5py.File(
        write(tmp_path / "a.h5", content, "float16", {"hop": 3}, {"bad": "why"})
    ) as file:
        assert {
            name: (file[name].shape, file[name].dtype.str)
            for name in file
            if file[name].dtype.kind != "O"
        } == {
            "features": ((5, T, F), "<f2"),
            "num_frames": ((5,), "<i4"),
            "duration": ((5,), "<f8"),
            "mean": ((5, F), "<f8"),
            "squared_deviations": ((5, F), "<f8"),
        }
        assert file["filename"].asstr()[:].tolist() == NAMES and file["failed"].asstr()[
            :
        ].tolist() == [["bad", "why"]]
        assert file["features"].chunks == (1, T, F) and file["features"].fletcher32
        assert sorted(file.attrs) == ["clips_fingerprint", "fingerprint", "frontend", "kind"]
        assert file.attrs["clips_fingerprint"] == fingerprint_clips(NAMES[::-1])
        for row, (features, _) in enumerate(content.values()):
            stored = features.astype(np.float16).astype(np.float64)
            np.testing.assert_array_equal(file["mean"][row], stored.mean(axis=0))
            np.testing.assert_array_equal(
                file["squared_deviations"][row], ((stored - stored.mean(axis=0)) ** 2).sum(axis=0)
            )


def test_memory_does_not_grow_with_the_clips(tmp_path, monkeypatch):
    """While a file is written, read or averaged, a clip needs memory for its name and numbers."""
    monkeypatch.setattr(store.files, "BLOCK", 64)
    peaks, num_bins, features = [], 512, np.ones((1, 512), np.float16)
    tracemalloc.start()
    try:
        for count in (500, 2500):
            tracemalloc.reset_peak()
            layout = store.FeatureLayout(1, num_bins, "float16", {}, "x")
            with store.writing_features(tmp_path / f"{count}.h5", layout) as (append, _):
                for i in range(count):
                    append(f"{i:08d}.wav", features, 1.0)
            peaks.append(tracemalloc.get_traced_memory()[1])
            found = store.FeatureStore([tmp_path / f"{count}.h5"])
            tracemalloc.reset_peak()
            found.statistics(np.arange(count))
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert (peaks[2] - peaks[0]) / 2000 < 512 and (peaks[3] - peaks[1]) / 2000 < 512, (
        peaks
    )  # bytes; its mean alone has 4096


def test_a_damaged_clip_is_found(tmp_path):
    content = clips(NAMES)
    path = write(tmp_path / "a.h5", content)
    with h5py.File(path) as file:
        place = file["features"].id.get_chunk_info(2).byte_offset
    data = bytearray(path.read_bytes())
    data[place + 1] ^= 1
    path.write_bytes(data)
    found = store.FeatureStore([path])
    assert found.read(np.array([1, 3])).any()
    with pytest.raises(
        InputError,
        match="a.h5: the features of 'a b' can't be read .*; the file is damaged, extract it again",
    ):
        found.read(np.array([1, 2]))


def test_a_batch_opens_nothing(tmp_path, monkeypatch):
    """The data sets of all shards stay open, because opening one is slower than reading a clip."""
    found = store.FeatureStore([shards(tmp_path, 3)[1]])
    monkeypatch.setattr(h5py.Group, "__getitem__", None)
    assert found.read(np.array([9, 0, 4])).any()


def test_files_of_two_precisions(tmp_path):
    content = clips(["a", "b"])
    parts = [
        write(tmp_path / f"{n}.h5", {n: content[n]}, d)
        for n, d in (("a", "float16"), ("b", "float32"))
    ]
    found = store.FeatureStore(parts)
    batch = found.read(np.array([1, 0]))
    np.testing.assert_array_equal(batch[0, : found.num_frames[1]], content["b"][0])
    np.testing.assert_array_equal(
        batch[1, : found.num_frames[0]], content["a"][0].astype(np.float16)
    )


def test_a_hundred_shards_beside_a_plain_file(tmp_path):
    content, path = shards(tmp_path, 100)  # ninety shards are empty
    more = clips(["more 1", "more 2"], seed=1)
    found = store.FeatureStore([write(tmp_path / "more.h5", more), path])
    rows = found.rows([*content, *more])
    assert len(found) == 12 and found.filenames[rows].tolist() == [*content, *more]
    for got, (features, _) in zip(found.read(rows), [*content.values(), *more.values()]):
        np.testing.assert_array_equal(got[: len(features)], features)
    assert len(store.FeatureStore([store.shard_path(path, 100, 100)])) == 0


def shards(folder, count=3, name="my.train.h5"):
    content = clips([f"clip {i}" for i in range(10)])
    for k in range(1, count + 1):
        part = {n: content[n] for n in list(content)[k - 1 :: count]}
        write(store.shard_path(folder / name, k, count), part, failed={f"bad {k}": "why"})
    return content, folder / name


def test_shards_are_read_as_one(tmp_path):
    content, path = shards(tmp_path, 11)  # one shard is empty, and 10 sorts before 2
    assert sorted(p.name for p in tmp_path.iterdir())[:2] == [
        "my.train.1-of-11.h5",
        "my.train.10-of-11.h5",
    ]
    found, rows = store.FeatureStore([path]), None
    assert len(found.failed) == 11 and len(found) == 10
    rows = found.rows(list(content)[::-1])
    assert found.filenames[rows].tolist() == list(content)[::-1]
    for got, (features, duration), row in zip(found.read(rows), list(content.values())[::-1], rows):
        np.testing.assert_array_equal(got[: len(features)], features)
        assert found.durations[row] == duration
    frames = np.concatenate([content[n][0].astype(np.float64) for n in ("clip 2", "clip 7")])
    np.testing.assert_allclose(
        found.statistics(found.rows(["clip 2", "clip 7"]))[0], frames.mean(axis=0), rtol=1e-12
    )


def test_several_files_are_read_as_one(tmp_path):
    paths = [
        write(tmp_path / f"{n}.h5", clips([n + "1", n + "2"], seed=i)) for i, n in enumerate("ba")
    ]
    found = store.FeatureStore(paths)
    assert found.filenames.tolist() == ["b1", "b2", "a1", "a2"] and found.rows(
        ["a2", "b1"]
    ).tolist() == [3, 0]
    np.testing.assert_array_equal(
        found.read(np.array([3, 0]))[0, : found.num_frames[3]], clips(["a1", "a2"], seed=1)["a2"][0]
    )


def test_a_missing_shard(tmp_path):
    _, path = shards(tmp_path)
    store.shard_path(path, 2, 3).unlink()
    with pytest.raises(
        InputError, match=r"my.train.h5: 1 of 3 shards is missing, the first my.train.2-of-3.h5"
    ):
        store.FeatureStore([path])


def test_shards_of_two_counts(tmp_path):
    shards(tmp_path, 2)
    with pytest.raises(
        InputError,
        match="my.train.h5: the file names of its shards contain different numbers of shards: "
        "2 and 3; remove the old shards",
    ):
        store.FeatureStore([shards(tmp_path, 3)[1]])


@pytest.mark.parametrize("name", ["a.h5", "none/a.h5", "my.h5", "my.train"])
def test_missing_features(tmp_path, name):
    shards(tmp_path)
    with pytest.raises(
        InputError, match=f"{name}: no such file or shards; create it with wsedtk extract"
    ):
        store.FeatureStore([tmp_path / name])


def test_another_front_end(tmp_path):
    paths = [
        write(tmp_path / "a.h5", clips("a")),
        write(tmp_path / "b.h5", clips("b"), frontend={"hop": 1}),
    ]
    with pytest.raises(
        InputError,
        match=r"b.h5: its front end \(print-.*\) differs from that of .*a.h5 \(print-None\); extract both with the",
    ):
        store.FeatureStore(paths)


def test_a_clip_in_two_files(tmp_path):
    """It may have the same features in both, but no others, and must not be twice in one file."""
    content = clips(["1", "2", "3"])
    first, second = {n: content[n] for n in "12"}, {n: content[n] for n in "23"}
    paths = [write(tmp_path / "a.h5", first), write(tmp_path / "b.h5", second, "float16")]
    for order in (paths, paths[::-1]):
        found = store.FeatureStore(order)
        rows = found.rows(["1", "2", "3"])
        assert rows.tolist() == ([0, 1, 3] if order == paths else [2, 0, 1])
        for name, row in zip("123", rows):
            features = found.read(np.array([row]))[0]
            np.testing.assert_allclose(features, content[name][0], atol=0.05)
    names, _ = found.content_fingerprint(rows).split("-")
    assert names == fingerprint_clips(["1", "2", "3"])
    features, duration = second["2"]
    for changed in (np.repeat(features, 2, axis=0), features + [0, 0, 0.2, 0, 0]):
        paths[1] = write(tmp_path / "c.h5", {**second, "2": (changed, duration)})
        with pytest.raises(
            InputError, match="c.h5: the clip '2' has other features than in .*a.h5"
        ):
            store.FeatureStore(paths)


def test_a_clip_in_two_shards(tmp_path):
    for shard in "12":
        write(tmp_path / f"a.{shard}-of-2.h5", clips(["1"]))
    with pytest.raises(InputError, match="a.h5: the clip '1' occurs twice"):
        store.FeatureStore([tmp_path / "a.h5"])


def scores(
    path,
    names=NAMES,
    labels=("Air horn, truck horn", "é"),
    order=None,
    frames=(2, 5, 3, 1, 4),
    change=None,
    weights=True,
):
    """Write random scores in batches of 2, each as long as its longest clip."""
    made, num = np.random.default_rng(0), len(names)
    arrays = {
        "clip": made.uniform(size=(num, 2)),
        "frame": made.uniform(size=(num, 5, 2)),
        "segment": made.uniform(size=(num, 4, 2)),
        "num_frames": np.array(frames[:num]),
        "duration": np.arange(num) + 0.5,
    }
    if weights:
        arrays["weight"] = made.uniform(size=(num, 5, 2))
    arrays = {
        k: v if k in ("num_frames", "duration") else v.astype(np.float32) for k, v in arrays.items()
    }
    if change is not None:
        change(arrays)
    order = np.arange(num) if order is None else np.array(order)

    def batches():
        for start in range(0, num, 2):
            rows = order[start : start + 2]
            longest = arrays["num_frames"][rows].max()
            yield (
                rows,
                {
                    k: v[rows, :longest] if k in ("frame", "weight") else v[rows]
                    for k, v in arrays.items()
                },
            )

    store.write_scores(
        path,
        list(names),
        list(labels),
        {k: v.shape[1:] for k, v in arrays.items()},
        batches(),
        seconds_per_frame=0.1,
        model="abc",
        fingerprint="def",
    )
    return arrays


def test_rows_kept_in_memory_are_those_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(store.features, "_CLIPS_CACHED", 2)
    generator = np.random.default_rng(0)
    content = {
        f"{i}.wav": (generator.normal(size=(int(generator.integers(1, T + 1)), F)), 1.0)
        for i in range(9)
    }
    path = write(tmp_path / "a.h5", content)
    plain, kept = store.FeatureStore([path]), store.FeatureStore([path])
    kept.cache(np.array([7, 2, 0, 5, 3]))
    kept._data = [None]  # so that reading from the file fails
    for rows in ([2], [5, 0, 3], [7, 7, 2], [3, 5, 7, 0, 2]):
        np.testing.assert_array_equal(kept.read(np.array(rows)), plain.read(np.array(rows)))
    with pytest.raises(AttributeError):
        kept.read(np.array([2, 1]))  # row 1 is not kept
    longer = tmp_path / "b.h5"
    layout = store.FeatureLayout(T + 5, F, "float32", {"hop": 400}, "print-None")
    with store.writing_features(longer, layout) as (append, _):
        append("long.wav", np.ones((T + 4, F)), 2.0)
    both, kept = (store.FeatureStore([path, longer]) for _ in range(2))
    kept.cache(np.arange(10))
    np.testing.assert_array_equal(kept.read(np.array([9, 0])), both.read(np.array([9, 0])))
    monkeypatch.setattr(store.features, "_available_bytes", lambda: 9 * T * F)
    with pytest.raises(InputError, match="9 clips take .* GB of memory"):
        plain.cache(np.arange(9))


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 2, 0, 3, 1], [1, 0, 3, 2, 4]])
def test_scores_round_trip(tmp_path, order):
    arrays = scores(tmp_path / "scores.h5", order=order)
    found = store.ScoreFile(tmp_path / "scores.h5")
    assert (
        len(found) == 5
        and found.filenames.tolist() == NAMES
        and found.labels == ["Air horn, truck horn", "é"]
    )
    np.testing.assert_array_equal(found.clip, arrays["clip"])
    assert (
        found.num_frames.tolist() == [2, 5, 3, 1, 4]
        and found.durations.tolist() == arrays["duration"].tolist()
    )
    for row, count in enumerate(found.num_frames):
        np.testing.assert_array_equal(found.frames(row), arrays["frame"][row, :count])
        np.testing.assert_array_equal(found.frames(row, "weight"), arrays["weight"][row, :count])
    assert found.seconds_per_frame == 0.1 and found.has("weight") and not found.has("other")
    assert {k: found.attributes[k] for k in ("model", "fingerprint", "kind")} == {
        "model": "abc",
        "fingerprint": "def",
        "kind": "scores",
    }


@pytest.mark.parametrize(
    "duration, count",
    [(0.1, 1), (1, 1), (1 + 1e-9, 1), (1.001, 2), (2.0000004, 2), (3.5, 4), (4, 4)],
)
def test_segments_are_as_many_as_the_seconds_begun(tmp_path, duration, count):
    arrays = scores(tmp_path / "a.h5", change=lambda a: a["duration"].__setitem__(2, duration))
    np.testing.assert_array_equal(
        store.ScoreFile(tmp_path / "a.h5").segments(2), arrays["segment"][2, :count]
    )


def test_scores_without_frames(tmp_path):
    scores(tmp_path / "a.h5", change=lambda a: a.pop("frame"), weights=False)
    with pytest.raises(
        InputError, match="a.h5: contains no frame scores; predict without --no-frames"
    ):
        store.ScoreFile(tmp_path / "a.h5").frames(0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.01, 1.01])
def test_values_that_are_not_scores(tmp_path, value):
    scores(tmp_path / "a.h5", change=lambda a: a["clip"].__setitem__(([1, 3], [1, 0]), value))
    with pytest.raises(
        InputError,
        match="a.h5: 2 clips have clip scores that are not numbers from 0 to 1, the first '--x.wav'",
    ):
        store.ScoreFile(tmp_path / "a.h5")


def test_other_files(tmp_path):
    path = write(tmp_path / "a.h5", clips("a"))
    scores(tmp_path / "s.h5")
    with h5py.File(tmp_path / "theirs.h5", "w"):
        pass
    (tmp_path / "text.h5").write_text("text")
    (tmp_path / "empty.h5").write_text("")
    (tmp_path / "half.h5").write_bytes(path.read_bytes()[:3000])
    (tmp_path / "folder.h5").mkdir()
    for name, message in (
        ("s.h5", "expected a file of wsedtk features, found scores"),
        ("text.h5", "is not an HDF5 file, or is damaged"),
        ("theirs.h5", "expected a file of wsedtk features, found another HDF5 file"),
        ("empty.h5", "is not an HDF5 file"),
        ("half.h5", "is not an HDF5 file, or is damaged"),
        ("folder.h5", "expected a file of wsedtk features, found a folder"),
    ):
        with pytest.raises(InputError, match=f"{name}: {message}"):
            store.FeatureStore([tmp_path / name])
    for name, message in (
        ("a.h5", "expected a file of wsedtk scores, found features"),
        ("none.h5", "no such file"),
    ):
        with pytest.raises(InputError, match=f"{name}: {message}"):
            store.ScoreFile(tmp_path / name)


@pytest.mark.parametrize("before", [True, False])
def test_a_failed_write_leaves_what_was_there(tmp_path, before):
    path = tmp_path / "a.h5"
    old = write(path, clips("a")).read_bytes() if before else None
    with pytest.raises(ZeroDivisionError):
        layout = store.FeatureLayout(T, F, "float32", {}, "x")
        with store.writing_features(path, layout) as (append, _):
            append("b", np.ones((2, F)), 1.0)
            1 / 0  # noqa: B018
    with pytest.raises(InputError if before else IndexError):
        scores(path, order=[0, 1, 2, 3, 9])
    assert [p.name for p in tmp_path.iterdir()] == (["a.h5"] if before else [])
    assert not before or path.read_bytes() == old


def test_a_clip_longer_than_the_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="broadcast"):
        write(tmp_path / "a.h5", {"a": (np.ones((T + 1, F)), 1.0)})


def test_the_fingerprint_of_the_features_is_a_hash_of_names_and_statistics(tmp_path, monkeypatch):
    """It is computed in blocks, over two files, for some rows in any order."""
    monkeypatch.setattr(provenance, "_TEXTS_AT_ONCE", 2)
    content, more = clips(NAMES), clips(["a", "é", "c"], seed=1)
    found = store.FeatureStore(
        [write(tmp_path / "a.h5", content), write(tmp_path / "b.h5", more, "float16")]
    )
    lines = []
    for name in sorted(["z" * 200, "é", "a", "b é.wav", "c"]):
        dtype = np.float16 if name in more else np.float32
        values = {**content, **more}[name][0].astype(dtype).astype(np.float64)
        mean = values.mean(axis=0)
        squares = np.square(values - mean).sum(axis=0)
        lines.append((name, sha256(mean.tobytes() + squares.tobytes())))
    names, statistics = zip(*lines)
    expected = "-".join(sha256("\n".join(texts).encode()) for texts in (names, statistics))
    rows = found.rows(["é", "z" * 200, "a", "c", "b é.wav"])
    assert found.content_fingerprint(rows) == expected
