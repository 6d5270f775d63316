"""score_folder: the length of frames whose times are from float32 or rounded."""

import json

import numpy as np
import pytest
from helpers import make_point, write_set

from wsedtk.core.errors import InputError
from wsedtk.data.datadir import write_decoded
from wsedtk.data.events import Events
from wsedtk.data.score_folders import ScoreFolder
from wsedtk.decoding import operating_point

ON = [(2, 4), (10, 16), (24, 26), (36, 38), (48, 54)]  # seconds, edges of frames for all steps


def write_table(path, edges, scores):
    """edges: (T + 1,); scores: (T,) of one class."""
    path.parent.mkdir(exist_ok=True)
    rows = [f"{float(a)!r}\t{float(b)!r}\t{x:g}\n" for a, b, x in zip(edges, edges[1:], scores)]
    path.write_text("onset\toffset\tDog\n" + "".join(rows))


def times(kind, num_frames, step):
    """Return the edges (T + 1,) of frames: products or sums in float32."""
    if kind == "products":
        return np.arange(num_frames + 1, dtype=np.float32) * np.float32(step)
    return np.append(0, np.cumsum(np.full(num_frames, step, np.float32), dtype=np.float32))


@pytest.mark.parametrize("step", [0.05, 0.1, 0.2, 0.08])
@pytest.mark.parametrize("kind", ["products", "sums"])
def test_a_perfect_system_is_perfect(run, tmp_path, kind, step):
    num_frames = round(60 / step)
    events = [("rec.wav", onset, offset, "Dog") for onset, offset in ON]
    clips, tags = [("rec.wav", "", 60)], [("rec.wav", "Dog")]
    data = write_set(tmp_path / "data", clips, ["Dog"], tags, events)
    scores = np.zeros(num_frames)
    for onset, offset in ON:
        scores[round(onset / step) : round(offset / step)] = 1
    write_table(tmp_path / "tables" / "rec.tsv", times(kind, num_frames, step), scores)
    file, point, out = tmp_path / "scores.h5", tmp_path / "point.yaml", tmp_path / "out"
    assert run("average", tmp_path / "tables", file).exit_code == 0
    assert run("tune", file, data, point, "--criterion", "segments").exit_code == 0
    assert run("decode", "--mode", "frame", file, point, out).exit_code == 0
    report = json.loads(run("score", data, out, "--json").stdout)
    assert report["segment"]["f1"] == 1 and report["segment"]["error_rate"] == 0
    assert report["event"]["f1"] == 1
    found = (out / "events.tsv").read_text().splitlines()[1:]
    assert found == [f"rec.wav\t{onset}\t{offset}\tDog" for onset, offset in ON]


@pytest.mark.parametrize("step", [1 / 30, 1024 / 44100, 512 / 44100, 10 / 156, 0.016, 1 / 3, 1.0])
def test_frames_of_any_length_keep_their_length(tmp_path, step):
    for name, seconds in (("short", 2), ("long", 20)):
        num_frames = max(2, round(seconds / step))
        edges = np.arange(num_frames + 1) * step
        edges[-1] -= 0.3 * step  # the last frame ends with the recording
        write_table(tmp_path / "tables" / f"{name}.tsv", edges, np.zeros(num_frames))
    found = ScoreFolder(tmp_path / "tables")
    assert found.seconds_per_frame == pytest.approx(step, rel=2e-6)
    expected = [(max(2, round(seconds / step)) - 0.3) * step for seconds in (20, 2)]
    assert found.durations == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "command",
    [
        "tune {tables} {data} {point}",
        "decode {tables} {point} {out}",
        "score --scores {tables} {data} {decoded}",
    ],
)
def test_a_folder_of_tables_is_no_score_file(run, tmp_path, command):
    data = write_set(tmp_path / "data", [("rec.wav", "", 2)], ["Dog"], [("rec.wav", "Dog")])
    write_table(tmp_path / "tables" / "rec.tsv", [0, 1, 2], [1, 0])
    point = tmp_path / "point.yaml"
    operating_point.write(point, make_point(1, ["Dog"]))
    write_decoded(
        tmp_path / "decoded",
        ["rec.wav"],
        [2],
        ["Dog"],
        np.ones((1, 1), bool),
        events=Events.from_rows([]),
    )
    names = {
        "tables": tmp_path / "tables",
        "data": data,
        "out": tmp_path / "out",
        "point": point,
        "decoded": tmp_path / "decoded",
    }
    result = run(*(word.format(**names) for word in command.split()))
    assert result.exit_code == 1 and result.stderr.endswith(
        f"{tmp_path}/tables: expected a file of wsedtk scores, found a folder; to convert "
        f"tables of scores, run wsedtk average {tmp_path}/tables scores.h5"
    )


@pytest.mark.parametrize(
    "labels, message",
    [
        ("AXCDEF", "found A, X, C and 3 more, expected A, B, C and 3 more"),
        ("AB", "found A, B, expected A, B, C and 3 more"),
        ("ABCXEF", "found the class 'X' in column 6, expected the class 'D' in column 6"),
        ("ABCDFE", "found the class 'F' in column 7, expected the class 'E' in column 7"),
        ("ABC", "found only 3 classes, expected the class 'D' in column 6"),
        ("ABCDEFG", "found the class 'G' in column 9, expected only 6 classes"),
    ],
)
def test_the_first_class_that_differs_is_named(tmp_path, labels, message):
    for name, classes in (("a", "ABCDEF"), ("b", labels)):
        scores = "\t".join("0" for _ in classes)
        header = "\t".join(["onset", "offset", *classes])
        (tmp_path / f"{name}.tsv").write_text(f"{header}\n0\t0.1\t{scores}\n")
    with pytest.raises(InputError) as error:
        ScoreFolder(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}/b.tsv: its classes are not those of a.tsv: {message}; all tables need the "
        "same columns in the same order"
    )
