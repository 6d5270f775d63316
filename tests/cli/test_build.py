"""build: the commands that it runs, what it skips, and how it resumes."""

import dataclasses
import logging
import os
import re
import shlex
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import published
import pytest
from helpers import LABELS, SMALL, contents, write_set, write_sound
from test_resume import equal_but_for_time

from wsedtk.cli import build_plan
from wsedtk.core import model_cache
from wsedtk.core.atomic import locking
from wsedtk.data import datadir
from wsedtk.data.store import ScoreFile
from wsedtk.models import checkpoint
from wsedtk.stages import extract, predict, train, tune
from wsedtk.stages.options.results import PredictOptions, TuneOptions
from wsedtk.stages.options.systems import ExtractOptions
from wsedtk.training import training_loop


@pytest.fixture
def place(small_set, tmp_path, monkeypatch):
    """The working directory, with the data directory `set` of 12 sounds."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def build(run, place):
    """Run `wsedtk build set exp/own ARGUMENT...` with a small network."""

    def start(*arguments, data_set="set", model="exp/own", settings=SMALL):
        return run("build", data_set, model, *settings, "--device", "cpu", *arguments)

    return start


def states(folder, *names):
    """Return the times of the last changes of files."""
    return {name: (Path(folder) / name).stat().st_mtime_ns for name in names}


OUTPUTS = (
    "data/set_fit/clips.tsv",
    "data/set_valid/clips.tsv",
    "feats/set.h5",
    "own/valid/scores.h5",
    "own/operating_point.yaml",
)


def same_scores(one, other):
    return np.array_equal(ScoreFile(one).clip, ScoreFile(other).clip)


def test_the_whole_build_and_the_same_commands_typed(build, run, place):
    result = build()
    assert result.exit_code == 0, result.stderr
    commands = [line for line in result.stdout.splitlines() if line.startswith("wsedtk ")]
    assert [line.split()[1] for line in commands] == [
        "balance",
        "extract",
        "train",
        "predict",
        "tune",
    ]
    *_, said, following = result.stdout.splitlines()
    assert said.startswith("exp/own: the model is ready; F1 of the tags on the 4 clips in ")
    assert following == "next: wsedtk detect exp/own RECORDINGS"
    assert build("--dry-run").stdout.splitlines() == commands
    events = run("detect", "exp/own", place / "audio" / "clip 00.wav")
    assert events.exit_code == 0 and "warning" not in events.stderr

    shutil.move("exp", "built")
    for line in commands:
        assert run(*shlex.split(line)[1:]).exit_code == 0, line
    assert equal_but_for_time(Path("built/own"), Path("exp/own"))
    assert same_scores("built/own/valid/scores.h5", "exp/own/valid/scores.h5")
    for name in ("own/operating_point.yaml", "own/config.yaml", "own/model.yaml"):
        assert Path("built", name).read_bytes() == Path("exp", name).read_bytes()
    for name in ("fit", "valid"):
        assert contents(f"built/data/set_{name}") == contents(f"exp/data/set_{name}")


def test_finished_steps_are_skipped(build):
    assert build().exit_code == 0
    before, weights = states("exp", *OUTPUTS), Path("exp/own/model.safetensors").read_bytes()
    result = build()
    assert result.exit_code == 0 and "training is finished" in result.stderr
    assert result.stdout.count("kept from an earlier run") == 4
    assert states("exp", *OUTPUTS) == before
    assert Path("exp/own/model.safetensors").read_bytes() == weights
    point = Path("exp/own/operating_point.yaml")
    point.write_text(point.read_text().replace("clip_thresholds:", "clip_thresholds: "))
    edited = point.read_bytes()
    assert build().exit_code == 0 and point.read_bytes() == edited


def test_a_signal_during_the_training(build, monkeypatch):
    assert build().exit_code == 0
    shutil.move("exp", "uninterrupted")
    original = training_loop.Trainer.run_batch

    def acting(self, *batch):
        if self.step == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(training_loop.Trainer, "run_batch", acting)
        result = build()
    assert result.exit_code == 75 and "run the same command again" in result.stderr
    assert not Path("exp/own/model.yaml").exists()
    features = states("exp", "feats/set.h5")
    result = build()
    assert result.exit_code == 0 and "resuming from batch 8" in result.stderr
    assert states("exp", "feats/set.h5") == features
    assert equal_but_for_time(Path("uninterrupted/own"), Path("exp/own"))
    assert same_scores("uninterrupted/own/valid/scores.h5", "exp/own/valid/scores.h5")


def test_changed_tags(build):
    assert build().exit_code == 0
    before = states("exp", *OUTPUTS)
    tags = Path("set/tags.tsv")
    tags.write_text(tags.read_text() + "clip 01.wav\thigh, very\n")
    result = build()
    assert result.exit_code == 1 and "another training set" in result.stderr
    assert "--overwrite" in result.stderr
    after = states("exp", *OUTPUTS)
    assert before["feats/set.h5"] == after["feats/set.h5"]  # the tags do not change the features
    assert before["data/set_fit/clips.tsv"] != after["data/set_fit/clips.tsv"]
    result = build("--overwrite")
    assert result.exit_code == 0, result.stderr
    assert datadir.read("exp/data/set_fit").info["source_fingerprint"] == (
        datadir.read("set").fingerprint()
    )
    assert result.stdout.count("kept from an earlier run") == 2


def test_a_changed_sound(build, place):
    assert build().exit_code == 0
    write_sound(place / "audio" / "clip 01.wav", frequency=500)
    result = build()
    assert result.exit_code == 1 and "other values of the features" in result.stderr
    assert result.stdout.count("kept from an earlier run") == 1


@pytest.fixture
def extracted(place):
    """Options of extract, whose feature file exists."""
    options = ExtractOptions("set", "f.h5", max_seconds=1.0, device="cpu", max_failures=0.5)
    extract.run(options)
    return options


def make_newer(path, than="f.h5"):
    """Change the time of the last change of a file."""
    time = Path(than).stat().st_mtime + 10
    os.utime(path, (time, time))


def other_folder(is_newer):
    """Give the clips the sound files of another folder, which are older than the features."""
    shutil.copytree("audio", "other")
    make_newer("f.h5", "other/clip 11.wav")
    clips = Path("set/clips.tsv")
    clips.write_text(clips.read_text().replace("../audio", "../other"))
    if is_newer:
        make_newer(clips)


def write_tags(*rows):
    Path("set/events.tsv").unlink()
    Path("set/tags.tsv").write_text("\n".join(["filename\tevent_label", *rows, ""]))


@pytest.mark.parametrize(
    "change, is_done",
    [
        (lambda: None, True),
        (lambda: shutil.rmtree("audio"), True),  # the folder may be unavailable
        (lambda: make_newer("audio/clip 03.wav"), False),
        (lambda: write_tags("clip 00.wav\tlow"), True),
        (lambda: (write_tags("clip 00.wav\tlow"), make_newer("set/clips.tsv")), False),
        (lambda: Path("f.h5").write_bytes(b"damaged"), False),
        (lambda: Path("f.h5").unlink(), False),
    ],
)
def test_when_features_are_kept(extracted, change, is_done):
    change()
    assert extract.is_done(extracted) == is_done


@pytest.mark.parametrize(
    "options",
    [
        {"max_seconds": 2.0},
        {"dtype": "float16"},
        {"crop": True},
        {"config": "dcase2017/frontend_he", "max_seconds": 10.0},
        {"shard": (1, 2)},
    ],
)
def test_features_with_other_settings_are_not_kept(extracted, options):
    assert not extract.is_done(dataclasses.replace(extracted, **options))


def test_features_are_kept_until_a_failed_clip_can_be_read(place):
    sound = Path("audio/clip 02.wav")
    sound.rename("away.wav")
    options = ExtractOptions("set", "f.h5", max_seconds=1.0, device="cpu", max_failures=0.5)
    assert len(extract.run(options).failed) == 1 and extract.is_done(options)
    Path("away.wav").rename(sound)
    os.utime("f.h5", (time.time() + 10, time.time() + 10))
    assert not extract.is_done(options)


def test_predict_and_tune_know_what_they_have_done(corpus, trained, tmp_path):
    scores, point = tmp_path / "s.h5", tmp_path / "p.yaml"
    of_scores = PredictOptions(trained, corpus / "valid.h5", scores, device="cpu")
    of_point = TuneOptions(scores, corpus / "valid", point)
    assert not predict.is_done(of_scores) and not tune.is_done(of_point)
    predict.run(of_scores)
    tune.run(of_point)
    assert predict.is_done(of_scores) and tune.is_done(of_point)
    for change in ({"no_frames": True}, {"precise": False}, {"feats": corpus / "fit.h5"}):
        assert not predict.is_done(dataclasses.replace(of_scores, **change))
    for change in ({"target": ("recall", 0.5)}, {"gate_by_tags": True}, {"min_seconds": (0.1,)}):
        assert not tune.is_done(dataclasses.replace(of_point, **change))
    predict.run(dataclasses.replace(of_scores, precise=False))
    assert not tune.is_done(of_point)


@pytest.mark.parametrize(
    "num_clips, num_classes, expected",
    [(600, 5, 100), (5000, 10, 833), (9000, 10, 1000), (9000, 600, 1200), (40, 5, 10), (6, 3, 3)],
)
def test_the_number_of_validation_clips(run, place, num_clips, num_classes, expected):
    make_set(num_clips, num_classes)
    assert f" --num-valid {expected}\n" in run("build", "many", "exp/m", "--dry-run").stdout
    assert " --num-valid 2\n" in run("build", "many", "m", "--dry-run", "--num-valid", 2).stdout


def make_set(num_clips, num_classes=2, seconds=1.0, folder="many"):
    names = [f"{number:05d}.wav" for number in range(num_clips)]
    labels = [f"class {number}" for number in range(num_classes)]
    tags = [(name, labels[number % num_classes]) for number, name in enumerate(names)]
    return write_set(Path(folder), [(name, "", seconds) for name in names], labels, tags)


def words_of(run, verb, *arguments):
    """Return the words of a command of a dry run."""
    result = run("build", *arguments, "exp/m", "--dry-run")
    assert result.exit_code == 0, result.stderr
    commands = {words[1]: words for words in map(shlex.split, result.stdout.splitlines())}
    return commands[verb]


def test_a_large_set_gets_more_batches(run, place):
    make_set(600)
    assert "--set" not in words_of(run, "train", "many")
    make_set(6000)
    assert "checkpoint_every=400" in words_of(run, "train", "many")  # 40 for 500 clips
    words = words_of(run, "train", "many", "--set", "checkpoint_every=7", "--seed", 3)
    assert words[-4:] == ["--set", "seed=3", "--set", "checkpoint_every=7"]
    words = words_of(run, "train", "many", "--config", "mini/crnn_attention")
    assert words[-2:] == ["--config", "mini/crnn_attention"]


@pytest.mark.parametrize("seconds, expected", [(10, None), (10.01, "11"), (30, "30")])
def test_long_clips(run, place, seconds, expected):
    make_set(4, seconds=seconds)
    words = words_of(run, "extract", "many")
    assert ("--max-seconds" in words) == (expected is not None)
    assert expected is None or words[words.index("--max-seconds") + 1] == expected


def test_the_warning_about_the_context_appears_once(build):
    Path("set/info.yaml").write_text("corpus: own recordings\nrecordings: my_recordings\n")
    for _ in range(2):
        result = build()
        assert result.exit_code == 0, result.stderr
        assert result.stderr.count("warning: ") == 1
        assert result.stderr.count("every clip has a tag") == 1
    assert not any(handler.filters for handler in logging.getLogger("wsedtk").handlers)


def test_a_folder_with_train_and_test(build, run, place):
    shutil.copytree("set", "sets/train")
    shutil.copytree("set", "sets/test")
    for name in ("train", "test"):
        path = Path("sets", name, "clips.tsv")
        path.write_text(path.read_text().replace("../audio", "../../audio"))
    result = build(data_set="sets")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(
        "sets: contains several sets; the model is trained on sets/train\n"
    )
    told, *commands = result.stdout.splitlines()[-5:]
    assert told == "to evaluate the model on sets/test:"
    for line in commands:
        assert run(*shlex.split(line)[1:]).exit_code == 0, line
    assert Path("exp/own/test/frame/report.json").exists()
    assert build(data_set="sets/train", model="exp/a").stdout.splitlines()[-5:-4] == [told]


def test_from_a_ready_model(run, place, monkeypatch):
    monkeypatch.setenv(model_cache.VARIABLE, str(place / "cache"))
    with published.serving() as server:
        published.register(published.ready_model(server.address, "yamnet"), monkeypatch)
        result = run("build", "set", "exp/m", "--init", "yamnet")
        assert result.exit_code == 1 and "wsedtk models fetch yamnet" in result.stderr
        assert run("models", "fetch", "yamnet").exit_code == 0
    words = words_of(run, "train", "set", "--init", "yamnet")
    assert words[-4:] == ["--config", "yamnet/fine_tuned", "--init", "yamnet"]
    settings = ("--set", "checkpoint_every=1", "--set", "max_checkpoints=1")
    result = run("build", "set", "exp/m", "--init", "yamnet", *settings)
    assert result.exit_code == 0, result.stderr
    assert Path("exp/feats/yamnet/set.h5").exists()
    # The model that was built can be the next initial model.
    shutil.move("exp/m", "old")
    words = words_of(run, "train", "set", "--init", "old")
    assert words[-4:] == ["--config", "yamnet/fine_tuned", "--init", "old"]
    assert words_of(run, "extract", "set", "--init", "old")[-2:] == ["--frontend", "old"]


def test_from_an_earlier_model(build, run, trained, place):
    words = words_of(run, "extract", "set", "--init", trained)
    assert words[-2:] == ["--config", build_plan.FRONTEND] and words[3] == "exp/feats/set.h5"
    few = ("--set", "checkpoint_every=1", "--set", "max_checkpoints=1", "--set", "batch_size=4")
    result = build("--init", trained, settings=few)
    assert result.exit_code == 0, result.stderr
    options = checkpoint.read_spec("exp/own").network_options
    assert options == checkpoint.read_spec(trained).network_options
    shutil.copytree(trained, "other")
    text = Path("other/model.yaml").read_text()
    Path("other/model.yaml").write_text(text.replace("dcase-crnn", "talnet"))
    result = build("--init", "other")
    assert result.exit_code == 1 and "no recommended configuration for the net" in result.stderr


def test_two_builds_at_once(build):
    with locking(Path("exp/own/checkpoints/.lock")):
        result = build()
    assert result.exit_code == 1 and "exp/own/checkpoints: is in use by process" in result.stderr
    assert build().exit_code == 0


def test_a_split_that_another_command_changes(build, run, monkeypatch):
    original = train.run

    def acting(options, **others):
        result = original(options, **others)
        datadir.write(options.valid_set, datadir.read(options.fit_set))
        return result

    with monkeypatch.context() as patch:
        patch.setattr(train, "run", acting)
        result = build()
    assert result.exit_code == 1 and "set_valid: was changed by another command" in result.stderr
    assert build().exit_code == 0


def test_classes_that_are_never_or_always_detected(build):
    tags = Path("set/tags.tsv")
    tags.write_text(tags.read_text() + "".join(f"clip {i:02d}.wav\tlow\n" for i in range(2, 12, 2)))
    Path("set/events.tsv").unlink()
    always = "detected at all times, because this gives the highest F1 on these clips: low; "
    for _ in range(2):
        assert build().stdout.count(always) == 1
    point = Path("exp/own/operating_point.yaml")
    text = re.sub(r"(frame_thresholds:\n  high, very: ).*", r"\1.inf", point.read_text())
    point.write_text(text)
    never = "never detected, because no threshold increases the F1 on these clips: high, very\n"
    assert never in build().stdout


def test_one_recording(build, run, place):
    """A message of `balance` suggests a split by time, which `build` can do."""
    tags = [(f"r_{10 * i}.000_{10 * i + 10}.000.wav", LABELS[i % 2]) for i in range(12)]
    clips = [(name, f"../audio/clip {i:02d}.wav", 1) for i, (name, _) in enumerate(tags)]
    write_set(Path("one"), clips, LABELS, tags)
    result = build(data_set="one")
    assert result.exit_code == 1 and "--by time" in result.stderr
    assert result.stderr.endswith("(--by, --groups and --group-column) to build")
    assert build("--by", "time", data_set="one").exit_code == 0
    assert "kept" in build("--by", "time", data_set="one").stdout
    words = words_of(run, "balance", "one", "--groups", "t.csv", "--group-column", "day")
    assert words[-4:] == ["--groups", "t.csv", "--group-column", "day"]


def test_odd_paths(build, run, place):
    Path("set").rename("-it's a set")
    result = build("--dry-run", data_set="./-it's a set", model="./-x y/é")
    assert result.exit_code == 0, result.stderr
    for line in result.stdout.splitlines():
        assert run(*shlex.split(line)[1:]).exit_code == 0, line
    assert Path("-x y/é/operating_point.yaml").exists()
    assert Path("-x y/feats/-it's a set.h5").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nothing", "exp/m"], "nothing: no such folder; a data directory contains"),
        (["audio", "exp/m"], "wsedtk prepare folders audio DATA_SET"),
        (["sets", "exp/m"], "found a folder of data directories; choose one of them: one, two"),
        (["set", "exp/data"], "exp/data: the folder data beside the model directory is for"),
        (["set", "set"], "set: is an input of this command"),
        (["set", "sets/one"], "sets/one: contains a data set"),
        (["set", "exp/m", "--set", "batchsize=3"], "did you mean 'batch_size'?"),
        (["set", "exp/m", "--config", "mini/crnn"], "no such configuration"),
        (["set", "exp/m", "--init", "yamnt"], "did you mean the ready model 'yamnet'?"),
        (["set", "exp/m", "--num-valid", "12"], "num_valid: found 12; expected a number of at"),
        (["sets/one", "exp/m"], "'00000.wav' lasts 61 s; expected clips of at most 60 s"),
    ],
)
def test_wrong_inputs(run, place, arguments, message):
    make_set(4, seconds=61, folder="sets/one")
    make_set(4, folder="sets/two")
    result = run("build", *arguments)
    assert result.exit_code == 1 and message in result.stderr
    assert not Path("exp").exists()
