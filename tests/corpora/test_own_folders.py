"""prepare folders: a folder a class becomes a data directory."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import contents, table, write_sound

import wsedtk
from wsedtk.audio import audio_files
from wsedtk.core.errors import InputError
from wsedtk.corpora import folders
from wsedtk.corpora.folders import FoldersOptions
from wsedtk.data import datadir

RATE = 8000


def make(folder, *names, seconds=1.0):
    """Write a recording for each name. All recordings differ."""
    for name in names:
        seed = len(list(folder.rglob("*")))
        write_sound(folder / name, seconds, sample_rate=RATE, frequency=300 + 10 * seed, seed=seed)
    return folder


@pytest.fixture
def birds(tmp_path):
    return make(
        tmp_path / "birds", "Owl/a.wav", "Owl/b_20_21.wav", "Wren/c.flac", "background/d.wav"
    )


def prepared(source, target, **options):
    result = folders.prepare(FoldersOptions(source, target, **options))
    (one,) = result.sets
    assert one.folder == Path(target)
    return result, datadir.read(target)


def tags(dataset):
    """Return {name: tags} of a set."""
    return {
        str(name): [dataset.labels[k] for k in dataset.tags_of(i)]
        for i, name in enumerate(dataset.filenames)
    }


def groups(dataset):
    return dict(zip(dataset.filenames.tolist(), dataset.groups.tolist()))


def test_a_folder_a_class(birds, tmp_path, run):
    result = run("prepare", "folders", birds, tmp_path / "set")
    assert result.exit_code == 0 and result.stderr == ""
    assert "4 clips of 4 recordings" in result.stdout and "2 classes" in result.stdout
    assert f"next: wsedtk validate {tmp_path / 'set'} --audio" in result.stdout
    dataset = datadir.read(tmp_path / "set")
    assert dataset.labels == ["Owl", "Wren"] and dataset.durations.tolist() == [1.0] * 4
    assert tags(dataset) == {
        "Owl/a.wav": ["Owl"],
        "Owl/b_20_21.wav": ["Owl"],
        "Wren/c.flac": ["Wren"],
        "background/d.wav": [],
    }
    assert list(groups(dataset).values()) == ["a", "b", "c", "d"]
    assert dataset.paths.tolist() == [str(birds / name) for name in dataset.filenames]
    assert dataset.info["tags"] == "complete" and not (tmp_path / "set" / "audio").exists()
    checked = run("validate", tmp_path / "set", "--audio")
    assert checked.exit_code == 0 and "0 errors" in checked.stdout


def test_what_is_next_works(birds, tmp_path, run, monkeypatch):
    """The set can be split, and a relative path of the recordings is found from anywhere."""
    make(birds, *(f"{c}/{i}.wav" for c in ("Owl", "Wren", "background") for i in range(3)))
    monkeypatch.chdir(birds)
    assert run("prepare", "folders", ".", "../my set").exit_code == 0
    assert run("prepare", "folders", ".", "inside").exit_code == 0
    assert run("prepare", "folders", ".", "inside", "--clip-seconds", 1).exit_code == 0
    monkeypatch.chdir(tmp_path)
    split = run("balance", "my set", "fit", "valid", "--num-valid", 4)
    assert split.exit_code == 0, split.stderr
    assert run("extract", "fit", "fit.h5", "--max-failures", 0).exit_code == 0
    # The set in the folder of the recordings is no class.
    assert datadir.read(birds / "inside").labels == ["Owl", "Wren"]


def test_long_recordings_are_cut(birds, tmp_path, caplog):
    make(birds, "Wren/long_x.wav", "background/wind.wav", seconds=3.5)
    result, dataset = prepared(birds, tmp_path / "set", clip_seconds=2, jobs=2)
    names = [name for name in dataset.filenames.tolist() if "long" in name or "wind" in name]
    assert names == [
        "Wren/long_x_0.000_2.000.flac",
        "Wren/long_x_2.000_3.500.flac",
        "background/wind_0.000_2.000.flac",
        "background/wind_2.000_3.500.flac",
    ]
    places = [dataset.filenames.tolist().index(name) for name in names]
    assert dataset.durations[places].tolist() == [2, 1.5, 2, 1.5]
    assert dataset.groups[places].tolist() == ["long_x", "long_x", "wind", "wind"]
    assert [tags(dataset)[name] for name in names] == [["Wren"], ["Wren"], [], []]
    for place in places:
        found = audio_files.info(dataset.paths[place])
        assert found.duration == dataset.durations[place] and found.sample_rate == RATE
    assert table(tmp_path / "set")[-1][1] == f"audio/{names[-1]}"  # the set can be moved
    assert result.num_cut == 2 and result.num_recordings == 6
    (warning,) = caplog.messages
    assert "1 recording with tags is longer than 2 s" in warning and "long_x.wav" in warning
    # Longer clips: the clips of the first run are gone.
    caplog.clear()
    _, dataset = prepared(birds, tmp_path / "set", clip_seconds=3.5)
    assert len(dataset) == 6 and not (tmp_path / "set" / "audio").exists() and not caplog.messages


def test_a_set_without_context(birds, tmp_path, run, monkeypatch):
    """validate, balance and train warn if every clip has a tag, and say what to type."""
    shutil.rmtree(birds / "background")
    make(birds, *(f"{c}/{i}{c}.wav" for c in ("Owl", "Wren") for i in range(3)))
    monkeypatch.chdir(tmp_path)
    warning = "every clip has a tag, so a network that learns from this set finds events also whe"
    remedy = "wsedtk prepare soundscapes birds DATA_DIR --background FOLDER"
    assert run("prepare", "folders", "birds", "set").exit_code == 0
    commands = (
        ["validate", "set"],
        ["balance", "set", "fit", "valid", "--num-valid", 2],
        ["train", "fit", "valid", "m", "--feats", "set.h5", "--dry-run"],
    )
    assert run("extract", "set", "set.h5").exit_code == 0
    for words in commands:
        result = run(*words)
        said = result.stdout + result.stderr
        assert result.exit_code == 0 and said.count(warning) == said.count(remedy) == 1
    make(birds, "background/x.wav")
    assert run("prepare", "folders", "birds", "set").exit_code == 0
    for words in commands[:2]:
        result = run(*words)
        assert result.exit_code == 0 and warning not in result.stdout + result.stderr


def test_sites_in_class_folders(tmp_path):
    make(tmp_path / "r", *(f"{c}/{s}/{c}{s}.wav" for c in ("Owl", "Wren") for s in ("n", "s")))
    make(tmp_path / "r", "Owl/x.wav", "background/n/quiet.wav")
    with pytest.raises(
        InputError, match=r"say which folders are the classes: .*'Owl', 'Wren'"
    ) as e:
        prepared(tmp_path / "r", tmp_path / "set")
    assert "'Owl', 'n', 's'" in str(e.value) and not (tmp_path / "set").exists()
    _, dataset = prepared(tmp_path / "r", tmp_path / "set", class_folders="first")
    assert dataset.labels == ["Owl", "Wren"]
    assert groups(dataset) == {
        "Owl/n/Owln.wav": "n",
        "Owl/s/Owls.wav": "s",
        "Owl/x.wav": "x",
        "Wren/n/Wrenn.wav": "n",
        "Wren/s/Wrens.wav": "s",
        "background/n/quiet.wav": "n",
    }


def test_sites_above_class_folders(tmp_path):
    make(tmp_path / "r", *(f"{s}/2020/{c}/{c}{s}.wav" for c in ("Owl", "Wren") for s in ("n", "s")))
    make(tmp_path / "r", "n/2020/background/quiet.wav", "Background/s/2020/rain.wav", "Owl/x.wav")
    _, dataset = prepared(tmp_path / "r", tmp_path / "set", class_folders="last")
    assert dataset.labels == ["Owl", "Wren"]
    found = groups(dataset)
    assert found["n/2020/Owl/Owln.wav"] == found["n/2020/background/quiet.wav"] == "n/2020"
    assert found["Background/s/2020/rain.wav"] == found["s/2020/Wren/Wrens.wav"] == "s/2020"
    assert found["Owl/x.wav"] == "x"
    assert [name for name, given in tags(dataset).items() if not given] == [
        "Background/s/2020/rain.wav",
        "n/2020/background/quiet.wav",
    ]


@pytest.mark.parametrize("where", ["class", "path", "elsewhere"])
def test_backgrounds(birds, tmp_path, where):
    make(birds, "Rain/r.wav")
    make(tmp_path / "noise", "site/n.wav", "m.wav")
    given = {"class": "Rain", "path": str(birds / "Rain"), "elsewhere": str(tmp_path / "noise")}
    _, dataset = prepared(birds, tmp_path / "set", backgrounds=[given[where]])
    untagged = [name for name, found in tags(dataset).items() if not found]
    if where == "elsewhere":
        assert dataset.labels == ["Owl", "Rain", "Wren"]
        assert untagged == ["background/d.wav", "noise/m.wav", "noise/site/n.wav"]
        assert groups(dataset)["noise/m.wav"] == "m"
        assert groups(dataset)["noise/site/n.wav"] == "site"
    else:
        assert dataset.labels == ["Owl", "Wren"] and untagged == ["Rain/r.wav", "background/d.wav"]


def test_unknown_tags(birds, tmp_path):
    make(birds, "new/1.wav", "new/2.wav")
    make(tmp_path / "more", "site/3.wav", "4.wav")
    shutil.copy(birds / "Owl" / "a.wav", birds / "new" / "a.wav")  # its tags are known
    result, dataset = prepared(birds, tmp_path / "set", unknown=["new", str(tmp_path / "more")])
    assert dataset.labels == ["Owl", "Wren"] and tags(dataset)["Owl/a.wav"] == ["Owl"]
    names = ["more/4.wav", "more/site/3.wav", "new/1.wav", "new/2.wav"]
    assert dataset.filenames[dataset.has_unknown_tags()].tolist() == names
    assert "1 (no tags)" in result.to_text() and "4 (unknown tags)" in result.to_text()
    _, dataset = prepared(birds, tmp_path / "set")
    assert dataset.unknown is None and "new" in dataset.labels


def test_copies_in_several_folders(birds, tmp_path):
    shutil.copy(birds / "Owl" / "a.wav", birds / "Wren" / "a.wav")
    shutil.copy(birds / "Wren" / "c.flac", birds / "background" / "c.flac")
    make(birds, "Owl/d.wav")  # the same name as in `background`, but another recording
    result, dataset = prepared(birds, tmp_path / "set")
    found = tags(dataset)
    assert found["Owl/a.wav"] == ["Owl", "Wren"] and "Wren/a.wav" not in found
    assert found["Wren/c.flac"] == ["Wren"] and "background/c.flac" not in found
    assert found["Owl/d.wav"] == ["Owl"] and found["background/d.wav"] == []
    assert "2 recordings with copies in several folders" in result.to_text()
    assert groups(dataset)["Owl/d.wav"] == groups(dataset)["background/d.wav"]


def test_takes_of_one_source(tmp_path):
    names = ["Dog/1-100-A.wav", "Dog/1-100-B.wav", "Rain/2-7-A.wav", "background/2-7-B.wav"]
    _, dataset = prepared(make(tmp_path / "esc", *names), tmp_path / "set")
    assert dataset.groups.tolist() == ["100", "100", "7", "7"]
    make(tmp_path / "esc", "Dog/2023-05-01.wav")
    _, dataset = prepared(tmp_path / "esc", tmp_path / "set")
    assert dataset.groups.tolist() == ["1-100-A", "1-100-B", "2023-05-01", "2-7-A", "2-7-B"]


def test_what_is_left_out(birds, tmp_path, caplog):
    make(birds, ".hidden/x.wav", "Owl/.y.wav", "Owl/._a.wav")
    (birds / "Owl" / "notes.txt").write_text("not a sound")
    (birds / "Empty").mkdir()
    (birds / "Owl" / "bad.wav").write_bytes(b"RIFF")
    (birds / "Owl" / "gone.wav").symlink_to("nowhere")
    with pytest.raises(InputError, match="2 of 6 recordings can't be used.*--max-failures"):
        prepared(birds, tmp_path / "set")
    assert not (tmp_path / "set").exists() or not list((tmp_path / "set").iterdir())
    caplog.clear()
    result, dataset = prepared(birds, tmp_path / "set", max_failures=0.5)
    assert len(dataset) == 4 and set(result.failed) == {"Owl/bad.wav", "Owl/gone.wav"}
    assert "left out: 2 missing or unreadable files" in result.to_text()
    assert "folders without sound files are not used: Empty" in caplog.messages[0]
    shutil.rmtree(birds / "Wren"), shutil.rmtree(birds / "background")
    for name in ("a.wav", "b_20_21.wav"):
        (birds / "Owl" / name).unlink()
    with pytest.raises(InputError, match="no recording can be used"):
        prepared(birds, tmp_path / "set", max_failures=1)
    assert len(datadir.read(tmp_path / "set")) == 4  # the earlier set is complete


@pytest.mark.parametrize(
    "options, message",
    [
        ({"backgrounds": ["Rian"]}, "Rian: neither a class folder of .* nor the path of a folder"),
        ({"backgrounds": ["."]}, "one of the two folders contains the other"),
        ({"backgrounds": ["empty"]}, "empty: contains no sound files"),
        ({"backgrounds": ["Owl", "Wren"]}, "all folders are backgrounds or have unknown tags, and"),
        ({"backgrounds": "Owl"}, "backgrounds: found 'Owl'; expected a sequence of folders"),
        ({"unknown": "Owl"}, "unknown: found 'Owl'; expected a sequence of folders"),
        ({"unknown": ["Wern"]}, "unknown .--unknown. Wern: neither a class folder.*'Wren'"),
        ({"class_folders": "middle"}, "class_folders: found 'middle'; expected 'first' or 'last'"),
        ({"clip_seconds": 0.5}, "--clip-seconds.: found 0.5; expected a number of seconds from 1"),
        ({"clip_seconds": float("nan")}, "clip_seconds .*: found nan"),
        ({"jobs": 0}, "jobs: found 0; expected at least 1"),
        ({"max_failures": 2}, "max_failures .*: found 2; expected a fraction from 0 to 1"),
    ],
)
def test_wrong_options(birds, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    with pytest.raises(InputError, match=message):
        prepared(birds, tmp_path / "set", **options)


def test_wrong_folders(birds, tmp_path):
    target = tmp_path / "set"
    with pytest.raises(InputError, match="nowhere: no such folder; expected a folder that contai"):
        prepared(tmp_path / "nowhere", target)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: contains no files with the extension of a sound"):
        prepared(tmp_path / "empty", target)
    make(birds, "loose.wav")
    with pytest.raises(InputError, match="1 sound file is in no class folder: loose.wav; move"):
        prepared(birds, target)
    (birds / "loose.wav").unlink()
    make(birds, "Owl/c_0.000_1.000.flac")
    make(birds, "Owl/c.wav", seconds=2.0)
    with pytest.raises(InputError, match=r"both would give the clip 'Owl/c_0.000_1.000.flac'; ren"):
        prepared(birds, target, clip_seconds=1)


def test_other_data_is_not_overwritten(birds, tmp_path, small_set):
    with pytest.raises(
        InputError, match="contains a data set that `wsedtk prepare folders` did no"
    ):
        prepared(birds, small_set)
    make(tmp_path / "mine", "audio/a.wav")
    with pytest.raises(InputError, match="audio: exists, and `wsedtk prepare folders` would repla"):
        prepared(birds, tmp_path / "mine")
    assert (tmp_path / "mine" / "audio" / "a.wav").exists()


def test_a_kill_while_recordings_are_cut(birds, tmp_path, run, monkeypatch):
    """The old set stays complete, and the same command then gives the result of a calm run."""
    make(birds, *(f"Owl/long{i}.wav" for i in range(40)), seconds=4)
    prepared(birds, tmp_path / "calm", clip_seconds=2)
    prepared(birds, tmp_path / "set", clip_seconds=4)
    before = contents(tmp_path / "set")
    command = ["prepare", "folders", str(birds), "set", "--clip-seconds", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "wsedtk", *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(wsedtk.__file__).parent.parent)},
    )
    while not list((tmp_path / "set").glob(".audio.*/Owl/*")):  # it has begun to cut
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    after = contents(tmp_path / "set")
    assert {name: after.get(name) for name in before} == before
    monkeypatch.chdir(tmp_path)
    assert run(*command).exit_code == 0
    assert contents(tmp_path / "set") == contents(tmp_path / "calm")
