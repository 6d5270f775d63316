import os

import numpy as np
import pytest
import soundfile
from helpers import write_set, write_sound


def test_a_set_without_faults(run, small_set):
    result = run("validate", small_set, "--audio")
    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        f"{small_set}: 12 clips, 2 classes, 13 tags, 13 events: 0 errors, 0 warnings\n",
        "",
    )


def test_warnings_are_no_errors(run, small_set):
    (small_set / "events.tsv").unlink()
    with open(small_set / "labels.txt", "a") as file:
        file.write("never\n")
    result = run("validate", small_set)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"warning: {small_set}/labels.txt: 1 class has no clips: never",
        f"{small_set}: 12 clips, 3 classes, 13 tags, no events.tsv: 0 errors, 1 warning",
    ]


def test_every_fault_of_several_folders(run, small_set, tmp_path):
    bad = write_set(
        tmp_path / "bad",
        [("a", "", 0), *((f"{i}", "", "x") for i in range(8))],
        ["Car"],
        [("a", "Cat"), ("b", "Car")],
    )
    result = run("validate", small_set, bad, tmp_path / "none", small_set)
    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    assert (
        lines[0]
        == lines[-1]
        == f"{small_set}: 12 clips, 2 classes, 13 tags, 13 events: 0 errors, 0 warnings"
    )
    assert sum(line.startswith(f"error: {bad}/clips.tsv:") for line in lines) == 9
    assert sum(line.startswith(f"error: {bad}/tags.tsv:") for line in lines) == 2
    assert f"{bad}: 11 errors, 2 warnings" in lines
    assert lines[-3].startswith(
        f"error: {tmp_path}/none: no such folder; a data directory contains"
    )
    assert lines[-2].endswith("1 error, 0 warnings")
    assert result.stderr == f"there are errors in 2 of 4 data directories: {bad}, {tmp_path}/none"


@pytest.fixture
def heard(run, tmp_path):
    """Return the messages of validate --audio about a clip `a b` at the path, of nominally 1 s."""

    def heard(path):
        data = write_set(tmp_path / "set", [("a b", path, 1)], ["Car"], [("a b", "Car")])
        assert run("validate", data).exit_code == 0
        result = run("validate", data, "--audio")
        lines = (
            result.stdout.replace(f"{data}/clips.tsv:2: ", "")
            .replace("1 clip ", "")
            .splitlines()[:-1]
        )
        return result.exit_code, lines

    return heard


def write_floats(path, samples, rate=16000, subtype="FLOAT"):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype=subtype)


def tone(seconds=1.0, peak=0.5, rate=16000):
    return peak * np.sin(np.arange(round(seconds * rate)))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda path: None, "no such file"),
        (lambda path: path.write_text(""), "is an empty file"),
        (
            lambda path: path.write_text("text\n" * 999),
            "can't be read as sound (Format not recognised.)",
        ),
        (lambda path: path.mkdir(), "is a folder, not a sound file"),
        (lambda path: os.mkfifo(path), "is a pipe, socket or device, not a sound file"),
        (
            lambda path: path.symlink_to(path),
            "can't be read as sound (Too many levels of symbolic links)",
        ),
        (lambda path: write_floats(path, np.zeros(0)), "contains no samples"),
        (
            lambda path: write_floats(path, [0.1, float("nan")]),
            "contains samples that are not finite (NaN or infinity)",
        ),
        (
            lambda path: write_floats(path, [0.1, float("-inf")]),
            "contains samples that are not finite (NaN or infinity)",
        ),
        (
            lambda path: write_floats(path, [0.1, 1e38]),
            "contains samples beyond 4.29497e+09, which can't be sound",
        ),
        (
            lambda path: write_floats(path, [0.1, 0.2], rate=99),
            "the sample rate is 99 Hz; expected 100 to 1000000 Hz",
        ),
    ],
)
def test_an_error_of_audio(heard, tmp_path, make, message):
    path = tmp_path / "x.wav"
    make(path)
    assert heard(path) == (1, [f"error: 'a b': {path}: {message}"])


@pytest.mark.parametrize(
    "samples, rate, message",
    [
        (np.zeros(16000), 16000, "is silent (all samples are equal): 'a b' (line 2)"),
        (
            np.full((16000, 2), -0.25),
            16000,
            "is silent (all samples are equal): 'a b' (line 2)",
        ),
        (tone(1.2), 16000, "is longer than in clips.tsv: 'a b' (line 2, 1.200 s, expected 1 s)"),
        (tone(0.8), 16000, "is shorter than in clips.tsv: 'a b' (line 2, 0.800 s, expected 1 s)"),
        (tone(0.05), 16000, "lasts less than 0.1 s: 'a b' (line 2, 0.050 s)"),
        (
            np.tile([0.5, -1], 8000),
            16000,
            "is clipped (0.1% or more of the samples are at full scale): 'a b' (line 2, 50.0%)",
        ),
        (
            np.stack([tone(), np.tile([0.5, 1], 8000)], 1),
            16000,
            "is clipped (0.1% or more of the samples are at full scale): 'a b' (line 2, 25.0%)",
        ),
        (
            np.tile([0.5, -32768], 8000),
            16000,
            "has a wrong level, with peaks far above full scale: 'a b' (line 2, peak 32768)",
        ),
        (
            tone(rate=8000),
            8000,
            "has a sample rate below 16000 Hz, so the upper mel bands are empty: 'a b' (line 2, 8000 Hz)",
        ),
    ],
)
def test_a_warning_of_audio(heard, tmp_path, samples, rate, message):
    write_floats(tmp_path / "x.wav", samples, rate)
    assert heard(tmp_path / "x.wav") == (0, [f"warning: {message}"])


@pytest.mark.parametrize(
    "seconds, rate, peak",
    [(1, 16000, 0.5), (1.09, 48000, 0.5), (0.91, 44100, 0.9989), (1, 16000, 1.0)],
)
def test_good_audio(heard, tmp_path, seconds, rate, peak):
    """A tone that reaches full scale in one or two samples is not clipped."""
    samples = tone(seconds, min(peak, 0.99), rate)
    samples[77] = peak
    write_floats(tmp_path / "x.wav", samples, rate)
    assert heard(tmp_path / "x.wav") == (0, [])


def test_no_audio_is_a_warning(heard):
    assert heard("") == (0, ["warning: has no audio: 'a b' (line 2)"])


@pytest.fixture
def many(tmp_path):
    """Sixty clips of 1 s in reverse order: ten without faults, then ten of each of five faults."""
    rows = []
    for i in range(60):
        path, kind = tmp_path / "audio" / f"{i:02d}.wav", i // 10
        if kind == 1:
            write_floats(path, np.zeros(16000))
        elif kind < 4:
            write_sound(path, 1 if kind < 2 else 2, 48000 if kind == 3 else 16000, seed=i)
        elif kind == 4:
            path.write_text("no sound")
        rows.append((f"{i:02d}.wav", path, 1))
    tags = [(name, "Car") for name, *_ in rows]
    folder = write_set(tmp_path / "set", rows[::-1], ["Car"], tags)
    (folder / "info.yaml").write_text("corpus: cars\n")
    return folder


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_error_has_a_line_and_every_kind_of_warning_one(run, many, jobs):
    result = run("validate", "--audio", "--jobs", jobs, many)
    lines = result.stdout.splitlines()
    errors, warnings = lines[:20], lines[20:-1]
    assert result.exit_code == 1 and lines[-1].endswith("20 errors, 3 warnings")
    for i, line in zip(range(40, 60), errors):
        assert line.startswith(f"error: {many}/clips.tsv:{61 - i}: '{i}.wav': ")
    assert [line.removeprefix(f"warning: {many}/clips.tsv:") for line in warnings] == [
        "51: 10 clips are silent (all samples are equal): '10.wav' (line 51), '11.wav' (line 50), '12.wav' (line 49) and 7 more",
        "41: 20 clips are longer than in clips.tsv: '20.wav' (line 41, 2.000 s, expected 1 s), '21.wav' (line 40, 2.000 s, expected 1 s), "
        "'22.wav' (line 39, 2.000 s, expected 1 s) and 17 more",
        "31: 10 clips do not have the most common sample rate, 16000 Hz: '30.wav' (line 31, 48000 Hz), '31.wav' (line 30, 48000 Hz), "
        "'32.wav' (line 29, 48000 Hz) and 7 more",
    ]


def test_audio_is_not_opened_before_the_tables_are_right(run, many):
    with open(many / "tags.tsv", "a") as file:
        file.write("none\tCar\n")
    lines = run("validate", "--audio", many).stdout.splitlines()
    assert lines[1:] == [
        f"{many}: 1 error, 0 warnings; the sound files were not checked; correct the tables first"
    ]


def warnings_of(result, data):
    """Return the warnings about clips of a set, without their beginning."""
    start = f"warning: {data}/clips.tsv:"
    assert result.exit_code == 0
    return [
        line.removeprefix(start) for line in result.stdout.splitlines() if line.startswith(start)
    ]


def test_duplicate_clips_of_a_set(run, tmp_path):
    """Names, paths and contents are compared, in any format; silent clips are not duplicates."""
    write_sound(tmp_path / "one.wav")
    soundfile.write(tmp_path / "two.flac", *soundfile.read(tmp_path / "one.wav"))
    for name in ("three", "four"):
        write_floats(tmp_path / f"{name}.wav", np.zeros(16000))
    clips = [
        ("Yabcdefghijk_0_1.flac", "one.wav"),
        ("a.wav", "one.wav"),
        ("abcdefghijk_0.000_1.000.wav", ""),
        ("b.wav", "two.flac"),
        ("c.wav", "three.wav"),
        ("d.wav", "four.wav"),
        ("e.wav", ""),
    ]
    data = write_set(
        tmp_path / "set",
        [(name, path and f"../{path}", 1) for name, path in clips],
        ["x"],
        [(n, "x") for n, _ in clips],
    )
    named = [
        "4: 1 clip has the same name as another clip, except for a leading Y, the extension or the number of decimals: 'abcdefghijk_0.000_1.000.wav' (line 4, "
        "'Yabcdefghijk_0_1.flac')",
        "3: 1 clip has the same sound file as another clip: 'a.wav' (line 3, 'Yabcdefghijk_0_1.flac')",
    ]
    assert warnings_of(run("validate", data), data) == named
    assert [
        line
        for line in warnings_of(run("validate", data, "--audio"), data)
        if "no audio" not in line and "silent" not in line
    ] == [
        *named,
        "5: 1 clip has the same audio as another clip: 'b.wav' (line 5, 'Yabcdefghijk_0_1.flac')",
    ]


def test_what_sets_share(run, tmp_path):
    """Clips, recordings and, with --audio, sounds (not silence); no set is compared with itself."""
    sets = {
        "train": ["Yabcdefghijk_0_1.wav", "other.wav", "x_2_3.wav", "z.wav"],
        "test": [
            "abcdefghijk_0.000_1.000.wav",
            "abcdefghijk_5.000_6.000.wav",
            "new.wav",
            "x_2_3.wav",
            "x_4_5.wav",
            "y_2_3.wav",
        ],
    }
    for name, clips in sets.items():
        for i, clip in enumerate(clips):
            write_sound(
                tmp_path / name / "audio" / clip,
                seed=0 if clip in ("z.wav", "new.wav") else len(clips) * 10 + i,
            )
        write_floats(tmp_path / name / "audio" / f"~{name}.wav", np.zeros(16000))
        clips.append(f"~{name}.wav")
        write_set(
            tmp_path / name,
            [(clip, f"audio/{clip}", 1) for clip in clips],
            ["x"],
            [(clip, "x") for clip in clips],
        )
    train, test = tmp_path / "train", tmp_path / "test"
    by_name = [
        f"2: 2 clips are also in {train}: 'abcdefghijk_0.000_1.000.wav' (line 2), 'x_2_3.wav' (line 5)",
        f"3: 2 clips are cut from a recording that also occurs in {train}: 'abcdefghijk_5.000_6.000.wav' (line 3), "
        "'x_4_5.wav' (line 6)",
    ]
    result = run("validate", train, test)
    assert warnings_of(result, test) == by_name and warnings_of(result, train) == []
    silent = "8: 1 clip is silent (all samples are equal): '~test.wav' (line 8)"
    assert warnings_of(run("validate", "--audio", train, test), test) == [
        silent,
        *by_name,
        f"4: 1 clip has the same audio as a clip of {train}: 'new.wav' (line 4, 'z.wav')",
    ]
    assert warnings_of(run("validate", "--audio", test, test), test) == [silent] * 2


def test_the_names_of_field_recorders_share_no_recording(run, tmp_path):
    for name, day in (("a", 1), ("b", 2)):
        clips = [f"SMA00123_2023050{day}_0{hour}0000.wav" for hour in range(3)] + [
            f"5C3A1B2F_{day}_9.wav"
        ]
        write_set(
            tmp_path / name,
            [(clip, "", 10) for clip in clips],
            ["x"],
            [(clip, "x") for clip in clips],
        )
    result = run("validate", tmp_path / "a", tmp_path / "b")
    assert warnings_of(result, tmp_path / "b") == [
        f"5: 1 clip is cut from a recording that also occurs in {tmp_path / 'a'}: "
        "'5C3A1B2F_2_9.wav' (line 5)"
    ]


@pytest.mark.parametrize(
    "train, test, shared, groups",
    [
        (
            {"1-2-A": "r", "x_0_1": "s"},
            {"1-2-B": "r", "x_1_2": "t"},
            [],
            ["1-2-B"],
        ),  # a group has priority over the name
        (
            {"1-2-A": "r", "x_0_1": ""},
            {"1-2-B": "", "x_1_2": "t"},
            ["x_1_2"],
            [],
        ),  # without a group, the name decides
        ({"1-2-A": "r", "x_0_1": "s"}, {"1-2-B": "", "x_1_2": ""}, ["x_1_2"], []),
        ({"x_0_1": None}, {"x_1_2": "t", "y_0_1": "x"}, ["x_1_2"], ["y_0_1"]),
        ({"x_0_1": "e\u0301"}, {"y_1_2": "é"}, [], ["y_1_2"]),
        ({"x_0_1": "s"}, {"x_1_2": "s"}, [], ["x_1_2"]),
        ({"x_0_1": "s"}, {"x_1_2": "t"}, [], []),
        ({"x_0_1": None}, {"x_1_2": None}, ["x_1_2"], []),
        # x_0_1 has no group: it belongs to t, as x_1_2 does, and to all clips of t
        ({"x_0_1": "", "y_0_1": "u"}, {"x_1_2": "t", "z": "t"}, ["x_1_2"], ["z"]),
        ({"z": "t", "y_0_1": "u"}, {"x_0_1": "", "x_1_2": "t"}, [], ["x_0_1", "x_1_2"]),
    ],
)
def test_what_grouped_sets_share(run, tmp_path, train, test, shared, groups):
    for name, clips in (("train", train), ("test", test)):
        folder = write_set(
            tmp_path / name,
            [
                (clip, "", 1) if group is None else (clip, "", 1, group)
                for clip, group in clips.items()
            ],
            ["x"],
            [(clip, "x") for clip in clips],
        )
        if None not in clips.values():
            text = (folder / "clips.tsv").read_text()
            (folder / "clips.tsv").write_text(text.replace("duration", "duration\tgroup"))
    printed = run("validate", tmp_path / "train", tmp_path / "test").stdout.splitlines()
    for what, clips in (("cut from a recording", shared), ("in a group", groups)):
        verb = "are" if len(clips) > 1 else "is"
        told = [
            line
            for line in printed
            if f" {verb} {what} that also occurs in {tmp_path / 'train'}: " in line
        ]
        assert [clip for clip in test if told and repr(clip) in told[0]] == clips
        assert len(told) == bool(clips)


def test_the_official_sets_of_dcase_have_warnings_only(run, real_data, tmp_path):
    """Events of length zero and overlapping events; no clip and no video is in two of the sets."""
    assert (
        run("prepare", "dcase2017", "--metadata-only", real_data / "dcase2017", tmp_path).exit_code
        == 0
    )
    result = run("validate", *(tmp_path / name for name in ("train", "test", "eval")))
    assert result.exit_code == 0
    *faults, last = result.stdout.splitlines()
    assert (
        last
        == f"{tmp_path}/eval: 1103 clips, 17 classes, 1350 tags, 1705 events: 0 errors, 151 warnings"
    )
    odd = [
        line
        for line in faults
        if "has length zero" not in line and not line.startswith(f"{tmp_path}")
    ]
    assert len(faults) - len(odd) == 36 + 150 + 2
    assert [line.split(": ")[2] for line in odd] == [
        "1 event overlaps an earlier event of the same class",
        "5 events overlap an earlier event of the same class",
    ]


def test_a_folder_must_be_named(run):
    assert run("validate").exit_code == 2


@pytest.mark.parametrize("verb", ["balance", "validate"])
def test_the_help_names_the_column_group(run, verb):
    assert "`group`" in run(verb, "--help").stdout
