"""average: means compared with numpy, tables with sed_scores_eval; scores of other programs."""

import csv
import json
import os

import h5py
import numpy as np
import pandas
import pytest
from helpers import write_score_file, write_set
from sed_scores_eval import intersection_based
from sed_scores_eval.base_modules import io

from wsedtk.core import atomic
from wsedtk.core.errors import InputError
from wsedtk.data import score_folders, store

LABELS = ["Air horn, truck horn", 'Dog "bark"', "Car #1"]
NAMES = ["-abcdefghij_30.000_40.000.wav", "Yabcdefghij_0.000_10.000.wav", "b c.wav", "音.flac"]
DURATIONS = [10.0, 9.43, 3.0, 0.04]
NUM_FRAMES = [100, 94, 100, 1]  # the third is padded: its frames continue after its end


def write_system(path, seed=0, order=range(4), labels=LABELS, step=0.1, **changes):
    """Write a score file of random scores, sorted by name.

    Returns (path, {name: frames (T, K)}, clip (4, K), segment (4, 10, K)); the arrays are in the
    order of NAMES.
    """
    rng, order = np.random.default_rng(seed), list(order)
    frame, clip, segment = (
        rng.random(shape).astype(np.float32) for shape in ((4, 100, 3), (4, 3), (4, 10, 3))
    )
    values = {
        "frame": frame[order],
        "segment": segment[order],
        "num_frames": np.array(NUM_FRAMES)[order],
        "durations": np.array(DURATIONS)[order],
        **changes,
    }
    write_score_file(
        path, [NAMES[i] for i in order], labels, clip[order], seconds_per_frame=step, **values
    )
    return path, {name: frame[i, : NUM_FRAMES[i]] for i, name in enumerate(NAMES)}, clip, segment


def made(run, *arguments):
    """Return the score file that `average` writes."""
    result = run("average", *arguments)
    assert result.exit_code == 0, result.stderr
    output = [a for a in arguments if str(a).endswith(".h5")][-1]
    return store.ScoreFile(output)


def refused(run, *arguments):
    """Return the message with which `average` refuses its input."""
    result = run("average", *arguments)
    assert result.exit_code == 1 and result.stdout == "" and "\n" not in result.stderr
    return result.stderr


def write_tables(folder, scores, edges, labels=LABELS):
    """Write tables. scores: {clip: (T, K)}; edges: {clip: (T + 1,)}."""
    folder.mkdir(exist_ok=True)
    for name, values in scores.items():
        with open(folder / f"{name}.tsv", "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            writer.writerow(["onset", "offset", *labels])
            writer.writerows(
                [float(v) for v in row]
                for row in np.column_stack([edges[name][:-1], edges[name][1:], values])
            )
    return folder


# ---- the mean ----


@pytest.mark.parametrize("weights", [None, (2, 1, 1), (0.5, 0, 3)])
def test_the_mean_of_score_files(run, tmp_path, weights):
    systems = [
        write_system(tmp_path / f"{i}.h5", i, order)
        for i, order in enumerate([(0, 1, 2, 3), (3, 1, 0, 2), (2, 3, 1, 0)])
    ]
    options = ["--weights", ",".join(map(str, weights))] if weights else []
    found = made(run, *(s[0] for s in systems), tmp_path / "out.h5", *options)
    shares = np.array(weights or (1, 1, 1), float) / sum(weights or (1, 1, 1))
    assert (
        found.filenames.tolist() == sorted(NAMES)
        and found.labels == LABELS
        and not found.has("weight")
    )
    for row, name in enumerate(found.filenames.tolist()):
        i = NAMES.index(name)
        assert (found.num_frames[row], found.durations[row]) == (NUM_FRAMES[i], DURATIONS[i])
        np.testing.assert_allclose(
            found.frames(row), sum(w * s[1][name] for w, s in zip(shares, systems)), atol=1e-7
        )
        np.testing.assert_allclose(
            found.clip[row], sum(w * s[2][i] for w, s in zip(shares, systems)), atol=1e-7
        )
        num_segments = int(np.ceil(DURATIONS[i]))
        np.testing.assert_allclose(
            found.segments(row),
            sum(w * s[3][i] for w, s in zip(shares, systems))[:num_segments],
            atol=1e-7,
        )
    assert found.seconds_per_frame == 0.1 and found.attributes["features"] == "f"


def test_the_mean_of_equals_is_each_of_them(run, tmp_path):
    path, frames, clip, _ = write_system(tmp_path / "a.h5")
    for sources in ([path], [path] * 2, [path] * 4):
        found = made(run, *sources, tmp_path / "out.h5")
        for row, name in enumerate(found.filenames.tolist()):
            np.testing.assert_array_equal(found.frames(row), frames[name])
            np.testing.assert_array_equal(found.clip[row], clip[NAMES.index(name)])


def test_an_ensemble_is_a_model_of_its_own(run, tmp_path):
    """Its scores of two sets match in any order of the systems; those of other systems do not."""
    for name in "ab":
        for data in ("valid", "test"):
            path = write_system(tmp_path / f"{name}_{data}.h5", 3 if data == "test" else 1)[0]
            with h5py.File(path, "r+") as file:
                file.attrs.update({"model": name, "fingerprint": f"{name} {data}"})
    a, b = tmp_path / "a_valid.h5", tmp_path / "b_valid.h5"
    models = [
        made(run, *inputs, tmp_path / "out.h5", *options).attributes
        for inputs, options in (
            ((a, b), ()),
            ((b, a), ()),
            ((tmp_path / "a_test.h5", tmp_path / "b_test.h5"), ("--weights", "3,3")),
            ((a, b), ("--weights", "2,1")),
            ((b, a), ("--weights", "1,2")),
            ((a, a), ()),
            ((a,), ()),
        )
    ]
    names = [m["model"] for m in models]
    assert (
        names[0] == names[1] == names[2]
        and names[3] == names[4]
        and len(set(names)) == 4
        and names[6] == "a"
    )
    assert len({m["fingerprint"] for m in models}) == 7


def test_without_frames(run, tmp_path):
    a, b = write_system(tmp_path / "a.h5", frame=None)[0], write_system(tmp_path / "b.h5", 1)[0]
    found = made(run, a, a, tmp_path / "out.h5")
    assert not found.has("frame") and len(found) == 4
    assert "a.h5: contains no frame scores, but" in refused(run, b, a, tmp_path / "out.h5")
    assert "a.h5: contains no frame scores, which a folder of tables needs" in refused(
        run, a, tmp_path / "tables"
    )
    assert not (tmp_path / "tables").exists()


# ---- tables ----


def test_sed_scores_eval_reads_what_is_written(run, tmp_path):
    path, frames, _, _ = write_system(tmp_path / "a.h5")
    assert run("average", path, tmp_path / "tables").exit_code == 0
    tables = io.lazy_sed_scores_loader(tmp_path / "tables")
    assert sorted(tables.keys()) == sorted(
        ["-abcdefghij_30.000_40.000", "Yabcdefghij_0.000_10.000", "b c", "音.flac"]
    )
    for name, duration in zip(NAMES, DURATIONS):
        table = tables[name.removesuffix(".wav")]
        assert list(table.columns) == ["onset", "offset", *LABELS]
        kept = min(len(frames[name]), max(1, round(duration / 0.1 - 0.001)))
        assert (
            len(table) == kept
            and table["offset"].iloc[-1] == pytest.approx(duration)
            and table["onset"].iloc[0] == 0
        )
        np.testing.assert_array_equal(table[LABELS].to_numpy(np.float32), frames[name][:kept])


@pytest.mark.parametrize("by_hand", [True, False])
def test_what_sed_scores_eval_writes_is_read(run, tmp_path, by_hand):
    """Clip and segment scores are maxima of frames; a frame belongs to the second of its centre."""
    rng = np.random.default_rng(0)
    scores = {
        "a": rng.random((25, 3)),
        "Y-bcdefghijk_1.000_9.000": rng.random((3, 3)),
        "c.ogg": rng.random((1, 3)),
    }
    edges = {
        "a": [*(np.arange(25) * 0.08), 1.97],
        "Y-bcdefghijk_1.000_9.000": [0, 0.08, 0.16, 0.24],
        "c.ogg": [0, 0.05],
    }
    if by_hand:
        write_tables(tmp_path / "tables", scores, edges)
    else:
        io.write_sed_scores(
            {
                n: io.create_score_dataframe(s, np.array(edges[n], float), LABELS)
                for n, s in scores.items()
            },
            tmp_path / "tables",
        )
    found = made(run, tmp_path / "tables", tmp_path / "out.h5")
    assert (
        found.filenames.tolist() == ["-bcdefghijk_1.000_9.000.wav", "a.wav", "c.ogg"]
        and found.labels == LABELS
    )
    assert (
        found.num_frames.tolist() == [3, 25, 1]
        and found.durations.tolist() == [0.24, 1.97, 0.05]
        and found.seconds_per_frame == 0.08
    )
    a = scores["a"].astype(np.float32)
    np.testing.assert_array_equal(found.frames(1), a)
    np.testing.assert_array_equal(found.clip[1], a.max(axis=0))
    np.testing.assert_array_equal(
        found.segments(1), [a[:12].max(axis=0), a[12:].max(axis=0)]
    )  # the centre of frame 12 is at 1.0 s
    np.testing.assert_array_equal(found.segments(2), found.frames(2))


@pytest.mark.parametrize(
    "step, decimals", [(10 / 156, 3), (0.064, 6), (0.02, 3), (256 / 22050, 4), (1 / 3, 12)]
)
def test_rounded_times(run, tmp_path, step, decimals):
    edges = {
        n: np.round(np.arange(t + 1) * step, decimals) for n, t in (("a", 500), ("b", 7), ("c", 1))
    }
    scores = {n: np.random.default_rng(0).random((len(e) - 1, 3)) for n, e in edges.items()}
    found = made(run, write_tables(tmp_path / "tables", scores, edges), tmp_path / "out.h5")
    assert found.seconds_per_frame == pytest.approx(step, abs=1.01 * 10.0**-decimals / 499 + 1e-9)
    assert found.num_frames.tolist() == [500, 7, 1]


@pytest.mark.parametrize("step", [0.1, 0.08, 10 / 156, 0.02])
def test_round_trip(run, tmp_path, step):
    rng = np.random.default_rng(1)
    num_frames = np.array([120, 1, 37])
    durations = num_frames * step - [0.4 * step, 0.1 * step, -0.9 * step]
    frame = (rng.random((3, 120, 2)) ** 12).astype(np.float32)  # many small numbers
    frame[0, :3] = [[0, 1], [1e-30, np.nextafter(np.float32(1), np.float32(0))], [1e-42, 0.1]]
    write_score_file(
        tmp_path / "a.h5",
        ["x.wav", "y.wav", "z.flac"],
        ["<1>", "'2'"],
        frame.max(axis=1),
        frame,
        num_frames=num_frames,
        durations=durations,
        seconds_per_frame=step,
    )
    assert run("average", tmp_path / "a.h5", tmp_path / "tables").exit_code == 0
    found = made(run, tmp_path / "tables", tmp_path / "b.h5")
    assert found.filenames.tolist() == ["x.wav", "y.wav", "z.flac"] and found.labels == [
        "<1>",
        "'2'",
    ]
    assert (
        found.seconds_per_frame == pytest.approx(step, rel=1e-6)
        and found.num_frames.tolist() == num_frames.tolist()
    )
    np.testing.assert_allclose(found.durations, durations, atol=1e-6)
    for row in range(3):
        np.testing.assert_array_equal(found.frames(row), frame[row, : num_frames[row]])
    again = made(
        run,
        tmp_path / "a.h5",
        tmp_path / "b.h5",
        tmp_path / "tables",
        tmp_path / "c.h5",
        "--weights",
        "1,1,2",
    )
    np.testing.assert_array_equal(again.frames(2), frame[2, :37])


def test_tables_and_score_files_have_a_mean(run, tmp_path):
    """Names with and without Y denote one clip, and the first system's names are kept.

    Frames after the end of a clip may be missing.
    """
    path, frames, _, _ = write_system(tmp_path / "a.h5")
    run("average", path, tmp_path / "tables")
    for table in list((tmp_path / "tables").glob("*.tsv")):
        if table.name.startswith(("-a", "Ya")):
            table.rename(table.with_name(f"Y{table.name}"))
    other = write_system(tmp_path / "b.h5", 1)
    found = made(run, other[0], tmp_path / "tables", tmp_path / "out.h5", "--weights", "3,1")
    assert found.filenames.tolist() == sorted(NAMES) and found.num_frames.tolist() == [
        100,
        94,
        30,
        1,
    ]
    np.testing.assert_allclose(
        found.frames(2), 0.75 * other[1]["b c.wav"][:30] + 0.25 * frames["b c.wav"][:30], atol=1e-7
    )


def test_labels_choose_and_order_the_classes(run, tmp_path):
    path, frames, clip, segment = write_system(tmp_path / "a.h5")
    run("average", path, tmp_path / "tables")
    (tmp_path / "labels.txt").write_text(f"{LABELS[2]}\n{LABELS[0]}\n")
    for source in (path, tmp_path / "tables"):
        found = made(run, source, tmp_path / "out.h5", "--labels", tmp_path / "labels.txt")
        assert found.labels == [LABELS[2], LABELS[0]]
        np.testing.assert_array_equal(found.frames(0), frames[NAMES[0]][:, [2, 0]])
    assert (
        run("average", path, tmp_path / "few", "--labels", tmp_path / "labels.txt").exit_code == 0
    )
    assert (tmp_path / "few" / "b c.tsv").read_text().splitlines()[
        0
    ] == f"onset\toffset\t{LABELS[2]}\t{LABELS[0]}"
    (tmp_path / "labels.txt").write_text("Cat\nCar #1\nCow\n")
    assert "a.h5: lacks these classes of" in (
        message := refused(run, path, tmp_path / "o.h5", "--labels", tmp_path / "labels.txt")
    )
    assert ": 'Cat', 'Cow'; known: Air horn" in message


def test_written_whole_or_not_at_all(run, tmp_path):
    path = write_system(tmp_path / "a.h5")[0]
    tables = tmp_path / "new" / "tables"
    assert run("average", path, tables).exit_code == 0
    before = {p.name: p.read_bytes() for p in tables.iterdir()}
    (tables / "old.tsv").write_text("onset\toffset\tCar\n0\t1\t0.5\n")
    assert "writing to this folder would delete 1 table of another clip: old.tsv" in refused(
        run, path, tables
    )
    assert (tables / "old.tsv").exists()
    (tables / "old.tsv").unlink()
    assert run("average", path, tables).exit_code == 0  # tables of the same clips are replaced
    assert {p.name: p.read_bytes() for p in tables.iterdir()} == before and [
        p.name for p in tables.parent.iterdir()
    ] == ["tables"]
    broken = np.full((4, 100, 3), 0.5)
    broken[2, 5] = np.nan
    bad = write_system(tmp_path / "bad.h5", frame=broken)[0]
    for output in (tables, tmp_path / "new" / "out.h5", tmp_path / "new" / "more"):
        assert (
            "1 clip has frame scores that are not numbers from 0 to 1, the first 'b c.wav'"
            in refused(run, bad, output)
        )
    assert {p.name: p.read_bytes() for p in tables.iterdir()} == before and [
        p.name for p in tables.parent.iterdir()
    ] == ["tables"]


@pytest.mark.parametrize(
    "name, content",
    [
        ("notes.txt", ""),
        ("events.tsv", "filename\tonset\toffset\tevent_label\n"),
        ("empty.tsv", ""),
        (".sub/a.tsv", "onset\toffset\tCar\n"),
    ],
)
def test_other_peoples_folders_are_not_overwritten(run, tmp_path, name, content):
    path = write_system(tmp_path / "a.h5")[0]
    run("average", path, tmp_path / "tables")
    other = tmp_path / "tables" / name
    other.parent.mkdir(exist_ok=True)
    other.write_text(content)
    assert (
        f"tables: is not overwritten, because it contains {name.split('/')[0]!r}, which is not a table"
        in refused(run, path, tmp_path / "tables")
    )
    assert other.exists() and len(list((tmp_path / "tables").iterdir())) == 5


def test_impossible_outputs(run, tmp_path):
    path = write_system(tmp_path / "a.h5")[0]
    before = path.read_bytes()
    assert "is an input of this command and would be overwritten" in refused(run, path, path)
    (tmp_path / "file").write_text("x")
    assert "file: is a file; choose another path for the output folder" in refused(
        run, path, tmp_path / "file"
    )
    assert "can't be written" in refused(run, path, tmp_path / "file" / "tables")
    other = write_system(tmp_path / "b.h5", 1)[0]
    assert "b.h5: contains scores that are not an average, so it is not overwritten" in refused(
        run, path, path, other
    )
    assert made(run, path, path, tmp_path / "c.h5").attributes["average_of"] == f"{path}, {path}"
    made(run, path, other, tmp_path / "c.h5")
    for name in "xy":
        assert run("average", path, tmp_path / name).exit_code == 0
    assert "y: the output folder already exists" in refused(run, tmp_path / "x", tmp_path / "y")
    (tmp_path / "d.h5").mkdir()
    assert "d.h5: is a folder; choose another path for the output file" in refused(
        run, path, tmp_path / "d.h5"
    )
    twins = write_score_file(
        tmp_path / "t.h5", ["a/b.wav", "a/b"], ["Car"], np.ones((2, 1)), np.ones((2, 100, 1))
    )
    message = "tables: 'a/b' and 'a/b.wav' would share the table 'a/b.tsv'; rename one"
    assert message in refused(run, twins, tmp_path / "tables")
    assert run("average", path).exit_code == 2 and path.read_bytes() == before


def test_a_folder_that_is_being_written_is_removed_on_any_error(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic.writing_folder(tmp_path / "a" / "b") as temporary:
        (temporary / "x").write_text("x")
        raise KeyboardInterrupt
    assert list((tmp_path / "a").iterdir()) == []


# ---- inputs without a mean ----


def test_scores_that_differ(run, tmp_path):
    a, out = write_system(tmp_path / "a.h5")[0], tmp_path / "out.h5"
    b = write_system(tmp_path / "b.h5", order=(0, 1, 2))[0]
    assert "b.h5: its clips differ from those of" in refused(
        run, a, b, out
    ) and "1 missing: 音" in refused(run, a, b, out)
    assert "1 unexpected: 音" in refused(run, b, a, out)
    b = write_system(tmp_path / "b.h5", labels=LABELS[::-1])[0]
    assert (
        "its classes differ from those of" in (message := refused(run, a, b, out))
        and "only in their order); choose the classes and their order with labels" in message
    )
    b = write_system(tmp_path / "b.h5", labels=[*LABELS[:2], "Cat"])[0]
    assert "in only one of them: 'Car #1', 'Cat')" in refused(run, a, b, out)
    b = write_system(tmp_path / "b.h5", step=0.08)[0]
    assert "b.h5: its frames last 0.08 s, but those of" in refused(run, a, b, out)
    b = write_system(tmp_path / "b.h5", durations=[10.0, 8.0, 3.0, 0.04])[0]
    assert "b.h5: 'Yabcdefghij_0.000_10.000.wav' lasts 8 s, but 9.43 s in" in refused(
        run, a, b, out
    )
    b = write_system(tmp_path / "b.h5", num_frames=[99, 94, 100, 1])[0]
    assert "a.h5: '-abcdefghij_30.000_40.000.wav' has 100 frames, but 99 in another" in refused(
        run, a, b, out
    )
    names = ["Yabcdefghijk_0_10.wav", "abcdefghijk_0.000_10.000.flac"]
    b = write_score_file(tmp_path / "b.h5", names, ["Car"], np.ones((2, 1)), np.ones((2, 100, 1)))
    assert "b.h5: contains a clip under two names, 'Yabcdefghijk_0_10.wav' and" in refused(
        run, b, out
    )
    assert not out.exists()


def test_recordings_whose_names_differ_in_the_extension_alone(run, tmp_path):
    names = ["a.flac", "a.mp3", "b.wav"]
    clip = np.array([[0.25], [0.5], [0.75]])
    one, other = (
        write_score_file(
            tmp_path / f"{n}.h5",
            order,
            ["Car"],
            clip[[names.index(m) for m in order]],
            np.ones((3, 100, 1)),
        )
        for n, order in enumerate((names, names[::-1]))
    )
    assert run("average", one, other, tmp_path / "out.h5").exit_code == 0
    scores = store.ScoreFile(tmp_path / "out.h5")
    np.testing.assert_array_equal(scores.clip[np.argsort(scores.filenames)], clip)


@pytest.mark.parametrize(
    "weights, status",
    [("1", 1), ("1,2,3", 1), ("0,0", 1), ("1,-1", 2), ("1,x", 2), ("nan,1", 2), ("", 2)],
)
def test_wrong_weights(run, tmp_path, weights, status):
    a, b = (write_system(tmp_path / f"{n}.h5")[0] for n in "ab")
    result = run("average", a, b, tmp_path / "out.h5", "--weights", weights)
    assert result.exit_code == status
    assert (
        "expected one number for each input (2 in total)"
        if status == 1
        else "expected weights: numbers of at least 0"
    ) in result.stderr


ROW = "0\t0.1\t0.5\n0.1\t0.2\t0.5\n0.2\t0.3\t0.5\n"


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "a.tsv:1: expected the header onset<TAB>offset<TAB>one column per class, found ''"),
        ("onset offset Car\n" + ROW, "a.tsv:1: expected the header"),
        ("onset\toffset\n", "a.tsv:1: expected the header"),
        ("onset\toffset\tCar\tCar\n", "a.tsv:1: expected the header"),
        ("filename\tevent_label\na\tb\n", "a.tsv:1: expected the header"),
        ("onset\toffset\tCar\n", "a.tsv: contains no frames; write one row per frame"),
        (
            "onset\toffset\tDog\n" + ROW,
            "b.tsv: its classes are not those of a.tsv: found Car, expected Dog; all tables need the "
            "same columns in the same order",
        ),
        (
            "onset\toffset\tCar\n0\t0.1\t0.5\n0.1\t0.2\n",
            "a.tsv:3: expected 3 tab-separated numbers",
        ),
        (
            "onset\toffset\tCar\n0\t0.1\tx\n",
            "numbers (onset and offset in seconds, scores from 0 to 1), found '0\\t0.1\\tx'",
        ),
        ("onset\toffset\tCar\n0\t0.1\tnan\n", "a.tsv:2: expected 3"),
        ("onset\toffset\tCar\n0\t0.1\t1.2\n", "a.tsv:2: expected 3"),
        ("onset\toffset\tCar\n-0.1\t0\t1\n", "a.tsv:2: expected 3"),
        ("onset\toffset\tCar\n0\t0.1\t-3\n", "a.tsv:2: expected 3"),
        ("onset\toffset\tCar\n0\tinf\t0.5\n", "a.tsv:2: expected 3"),
        (
            "onset\toffset\tCar\n" + ROW + "0.3\t0.5\t0.5\n0.5\t0.6\t0.5\n",
            "the first frame must begin at 0 s, each other frame must begin at the end of the frame",
        ),
        ("onset\toffset\tCar\n\n" + ROW + "0.3\t0.6\t0.5\n", "a.tsv:6: the first frame must begin"),
        (
            "onset\toffset\tCar\n" + ROW + "0.3\t0.6\t0.5\n",
            "a.tsv:5: the first frame must begin at 0 s, each other frame must begin at the end",
        ),
        (
            "onset\toffset\tCar\n0.1\t0.2\t0.5\n0.2\t0.3\t0.5\n",
            "a.tsv:2: the first frame must begin",
        ),
        (
            "onset\toffset\tCar\n0\t0.1\t0.5\n0.2\t0.3\t0.5\n",
            "a.tsv:2: the first frame must begin|a.tsv:3: the first frame must begin",
        ),
        ("onset\toffset\tCar\n0\t0\t0.5\n", "a.tsv:2: the first frame must begin"),
        (
            "onset\toffset\tCar\n0\t0.2\t0.5\n0.2\t0.4\t0.5\n",
            "a.tsv: its frame length differs from that of b.tsv, 0.1 s",
        ),
        (
            "onset\toffset\tCar\n0\t2\t0.5\n",
            "a.tsv: its frame length differs from that of b.tsv, 0.1 s",
        ),
    ],
)
def test_wrong_tables(run, tmp_path, content, message):
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "a.tsv").write_text(content)
    (folder / "b.tsv").write_text("onset\toffset\tCar\n" + ROW)
    found = refused(run, folder, tmp_path / "out.h5")
    assert any(part in found for part in message.split("|")) and found.startswith(str(folder))


def test_wrong_folders(run, tmp_path):
    out = tmp_path / "out.h5"
    assert refused(run, tmp_path / "no", out) == f"{tmp_path / 'no'}: no such file"
    (tmp_path / "tables").mkdir()
    assert "tables: contains no tables of scores; expected one .tsv file per clip" in refused(
        run, tmp_path / "tables", out
    )
    (tmp_path / "tables" / "a.tsv").write_bytes(b"\x89HDF\r\n\x1a\n\xff\x00")
    assert "a.tsv: is not UTF-8 text" in refused(run, tmp_path / "tables", out)
    assert "a.tsv: is not an HDF5 file" in refused(run, tmp_path / "tables" / "a.tsv", out)
    for name in ("a", "a.wav"):
        (tmp_path / "tables" / f"{name}.tsv").write_text("onset\toffset\tCar\n" + ROW)
    assert "a.wav.tsv: is a second table of the clip 'a.wav'; the first is a.tsv" in refused(
        run, tmp_path / "tables", out
    )


def test_crlf_byte_order_mark_and_notes_beside_the_tables(run, tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "a.tsv").write_bytes(
        ("\ufeffonset\toffset\tCar\n" + ROW).replace("\n", "\r\n").encode()
    )
    (tmp_path / "t" / "README").write_text("by us")
    found = made(run, tmp_path / "t", tmp_path / "out.h5")
    assert found.labels == ["Car"] and found.frames(0).tolist() == [[0.5]] * 3


# ---- further stages ----


@pytest.fixture
def theirs(tmp_path):
    """Write a set of 8 clips, and good frame scores of them: data/, tables/."""
    names = [f"clip{i:06d}-_0.000_{10 - i / 4:.3f}.wav" for i in range(8)]
    rng, labels, rows, scores, edges = np.random.default_rng(0), LABELS[:2], [], {}, {}
    for i, name in enumerate(names):
        onset, duration = i / 2, 10 - i / 4
        rows.append((name, onset, onset + 2, labels[i % 2]))
        frame = rng.uniform(0, 0.4, (int(np.ceil(duration / 0.1 - 1e-9)), 2))
        frame[round(onset * 10) : round(onset * 10) + 20, i % 2] = rng.uniform(0.6, 1, 20)
        scores["Y" + name.removesuffix(".wav")] = frame
        edges["Y" + name.removesuffix(".wav")] = [
            *np.round(np.arange(len(frame)) * 0.1, 6),
            duration,
        ]
    write_set(
        tmp_path / "data",
        [(n, "", 10 - i / 4) for i, n in enumerate(names)],
        labels,
        [(r[0], r[3]) for r in rows],
        rows,
    )
    write_tables(tmp_path / "tables", scores, edges, labels)
    return tmp_path


def test_other_peoples_scores_are_tuned_decoded_scored_and_reported(run, theirs):
    system = theirs / "exp" / "theirs"
    scores = system / "test" / "scores.h5"
    for arguments in (
        ("average", theirs / "tables", scores, "--labels", theirs / "data" / "labels.txt"),
        ("tune", scores, theirs / "data", theirs / "point.yaml", "--criterion", "segments"),
        ("decode", scores, theirs / "point.yaml", system / "test" / "frame", "--mode", "frame"),
        ("decode", scores, theirs / "point.yaml", system / "test" / "segment", "--mode", "segment"),
        ("score", theirs / "data", system / "test" / "frame", "--scores", scores),
        ("score", theirs / "data", system / "test" / "segment", "--scores", scores),
        ("report", system, theirs / "report.html"),
    ):
        result = run(*arguments)
        assert result.exit_code == 0 and "warning" not in result.stderr, (arguments, result.stderr)
    report = json.loads((system / "test" / "frame" / "report.json").read_text())
    assert (
        report["segment"]["f1"]
        == report["event"]["f1"]
        == report["tagging"]["f1"]
        == 1.0
        == report["audioset"]["map"]
    )
    page = (theirs / "report.html").read_text()
    assert (
        "theirs/test/frame" in page and page.count("data:image/png") == 11
    )  # curves of tags and segments, errors; no clip is bad
    assert report["psds"]["psds1"] == pytest.approx(1)
    again = run(
        "score-files",
        theirs / "data" / "events.tsv",
        system / "test" / "frame" / "events.tsv",
        "--json",
    )
    assert json.loads(again.stdout)["segment"] == report["segment"]


def test_psds_of_the_tables_is_that_of_the_scores(run, theirs):
    """sed_scores_eval on the tables, compared with `score --scores` of the same system."""
    rng = np.random.default_rng(0)
    for table in sorted((theirs / "tables").iterdir()):
        frame = pandas.read_csv(table, sep="\t")
        frame[LABELS[:2]] = (frame[LABELS[:2]] * rng.uniform(0.2, 1)).astype(
            np.float32
        )  # events of some clips are below the noise of others
        frame.to_csv(table, sep="\t", index=False)
    run("average", theirs / "tables", theirs / "a.h5")
    assert run("average", theirs / "a.h5", theirs / "out").exit_code == 0
    run("tune", theirs / "a.h5", theirs / "data", theirs / "point.yaml")
    run("decode", theirs / "a.h5", theirs / "point.yaml", theirs / "frame", "--mode", "frame")
    ours = json.loads(
        run(
            "score", theirs / "data", theirs / "frame", "--scores", theirs / "a.h5", "--json"
        ).stdout
    )["psds"]
    durations = {
        p.name.removesuffix(".tsv"): float(p.name.removesuffix(".tsv").split("_")[-1])
        for p in (theirs / "out").iterdir()
    }
    settings = {
        "dtc_threshold": 0.7,
        "gtc_threshold": 0.7,
        "alpha_ct": 0,
        "alpha_st": 1,
        "unit_of_time": "hour",
        "max_efpr": 100,
    }
    found = intersection_based.psds(
        theirs / "out", theirs / "data" / "events.tsv", durations, **settings
    )
    assert 0.05 < ours["psds1"] < 0.95 and found[0] == pytest.approx(ours["psds1"])


def test_names_that_tables_can_not_have(tmp_path):
    with pytest.raises(
        InputError, match="tables of scores can't have a class named onset or offset"
    ):
        score_folders.write(tmp_path / "t", ["a.wav"], ["onset"], 0.1, [])
    with pytest.raises(InputError, match="'a.wav' and 'a' would share the table 'a.tsv'; rename"):
        score_folders.write(tmp_path / "t", ["a.wav", "a"], ["Car"], 0.1, [])
    for name, cause in (
        ("../a", "'../a.tsv' can't be the name of a table"),
        ("/a", "'/a.tsv' can't"),
        ("a//b", "'a//b.tsv'"),
        (".a/b", "'.a/b.tsv' can't"),
        ("a/", "'a/.tsv' can't"),
        ("a\\b", "can't be the name of a table"),
        ("é" * 126, "has 256 bytes; expected at most 255"),
        ("b" * 256 + "/a", "has 256 bytes"),
    ):
        with pytest.raises(InputError, match="no clip can have a table: ") as caught:
            score_folders.write(tmp_path / "t", [name], ["Car"], 0.1, [])
        assert cause in str(caught.value) and repr(name) in str(caught.value)
    assert not (tmp_path / "t").exists()


def test_clips_in_subfolders_and_names_that_are_too_long(run, tmp_path):
    """Convert to tables and back; one impossible file name does not affect the others."""
    names = ["a.flac", "b.wav", "s/a.flac", "s/t/é.wav", "x" * 252, "y" * 251]
    clip = np.arange(12).reshape(6, 2) / 16
    frame = np.repeat(clip[:, None], 100, axis=1)
    write_score_file(tmp_path / "s.h5", names, LABELS[:2], clip, frame)
    for _ in range(2):  # the second run replaces the output of the first
        result = run("average", tmp_path / "s.h5", tmp_path / "out")
        assert result.exit_code == 0 and "1 system, 5 clips" in result.stdout, result.stderr
        (line,) = [line for line in result.stderr.splitlines() if "warning" in line]
        assert repr("x" * 252) in line and "has 256 bytes; expected at most 255" in line
    out = tmp_path / "out"
    found = sorted(str(path.relative_to(out)) for path in out.rglob("*.tsv"))
    assert found == ["a.flac.tsv", "b.tsv", "s/a.flac.tsv", "s/t/é.tsv", f"{'y' * 251}.tsv"]
    back = made(run, tmp_path / "out", tmp_path / "back.h5")
    assert back.filenames.tolist() == [*names[:4], f"{'y' * 251}.wav"]
    assert back.frames(2)[0].tolist() == clip[2].tolist()
    (tmp_path / "out" / "s" / "notes").touch()
    result = run("average", tmp_path / "s.h5", tmp_path / "out")
    assert (
        result.exit_code == 1
        and "because it contains 'notes', which is not a table of scores" in result.stderr
    )


def test_tables_whose_names_no_clip_can_have_are_left_out(run, tmp_path):
    (tmp_path / "t").mkdir()
    for name in ("a", "b\tc", "d\re.flac", "f\ng", os.fsdecode(b"h\xff")):
        (tmp_path / "t" / f"{name}.tsv").write_text("onset\toffset\tCar\n" + ROW)
    result = run("average", tmp_path / "t", tmp_path / "out.h5")
    assert result.exit_code == 0, result.stderr
    assert store.ScoreFile(tmp_path / "out.h5").filenames.tolist() == ["a.wav"]
    (line,) = [line for line in result.stderr.splitlines() if "warning" in line]
    assert (
        "4 tables are left out, because no clip can have such a name" in line
        and "remove tabs, line ends and bytes that are not UTF-8" in line
    )
    assert "'b\\tc.wav', 'd\\re.flac', 'f\\ng.wav' and 1 more" in line
