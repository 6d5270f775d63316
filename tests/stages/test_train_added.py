"""train --add: sets that are added to the training set, with and without a share of each batch."""

import json
import os
import re
import shutil
import signal

import pytest
import yaml
from helpers import LABELS, table, train_arguments, write_set
from test_resume import equal_but_for_time

import wsedtk
from wsedtk.core.errors import InputError
from wsedtk.data import datadir
from wsedtk.training.frame_targets import FrameTargets
from wsedtk.training.training_loop import Trainer

ONCE = ["--set", "max_checkpoints=1", "--set", "checkpoint_every=2"]


@pytest.fixture(scope="module")
def divided(corpus, tmp_path_factory):
    """The training set of the corpus in two parts: `fit` with 8 clips, and `new` with 4 clips.

    The folder also contains `valid` and the features of all clips.
    """
    folder = tmp_path_factory.mktemp("divided")
    clips, tags = table(corpus / "fit"), table(corpus / "fit", "tags.tsv")
    for name, start, end in (("fit", 0, 8), ("new", 8, 12)):
        of_part = [[name, f"{corpus}/audio/{name}", seconds] for name, _, seconds in clips]
        write_set(folder / name, of_part[start:end], LABELS, tags[start:end])
    for name in ("valid", "fit.h5", "valid.h5"):
        (folder / name).symlink_to(corpus / name)
    return folder


def recorded(monkeypatch):
    """Record the names of the clips of each batch."""
    batches, original = [], Trainer.run_batch

    def recording(self, clips, staged):
        batches.append(self.fit.dataset.filenames[clips].tolist())
        return original(self, clips, staged)

    monkeypatch.setattr(Trainer, "run_batch", recording)
    return batches


def test_without_a_share_it_is_as_one_set(run, divided, trained, tmp_path):
    """Also if the tags of clips are wrong in the first set: the added set replaces these clips."""
    right = table(divided / "fit", "tags.tsv")
    wrong = [(name, LABELS[LABELS[0] == label]) for name, label in right[:3]]
    clips = table(divided / "fit")
    write_set(tmp_path / "fit", clips, LABELS, [*wrong, *right[3:]])
    write_set(tmp_path / "right", clips[:3], LABELS, right[:3])
    words = train_arguments(
        divided, tmp_path / "m", "--add", divided / "new", "--add", tmp_path / "right"
    )
    words[1] = tmp_path / "fit"
    result = run(*words)
    assert result.exit_code == 0, result.stderr
    assert equal_but_for_time(tmp_path / "m", trained)
    log = (tmp_path / "m" / "train.log").read_text()
    assert f"{tmp_path / 'right'}: replaces 3 clips of {tmp_path / 'fit'}\n" in log
    assert f"new: 4 clips, drawn together with the clips of {tmp_path / 'fit'}\n" in log


def test_a_share_of_each_batch(run, divided, tmp_path, monkeypatch):
    batches = recorded(monkeypatch)
    words = train_arguments(divided, tmp_path / "m", "--add", f"{divided / 'new'}=0.25", *ONCE)
    assert run(*words).exit_code == 0
    new = datadir.read(divided / "new").filenames.tolist()
    assert [sum(name in new for name in batch) for batch in batches] == [2, 2]  # of 6 clips: 1.5
    log = (tmp_path / "m" / "train.log").read_text()
    assert f"{divided / 'new'}: 4 clips; 2 of the 6 clips of each batch\n" in log
    found = yaml.safe_load((tmp_path / "m" / "model.yaml").read_text())["trained"]["added"]
    fingerprint = datadir.read(divided / "new").fingerprint()
    assert [(one["clips"], one["share"], one["clips_of_batch"]) for one in found] == [(4, 0.25, 2)]
    assert found[0]["fingerprint"] == fingerprint
    card = (tmp_path / "m" / "README.md").read_text()
    assert "\n| added to it (0.25 of each batch) | unknown | 4 |" in card
    assert "\nadded:" not in card  # the settings can be given as --config
    (shown,) = json.loads(run("info", tmp_path / "m", "--json").stdout)
    assert shown["content"]["trained"]["added set"]["share"] == 0.25
    assert [fingerprint] == [
        one["fingerprint"] for one in shown["inputs"] if one["what"] == "added set"
    ]
    assert "added set" in run("info", tmp_path / "m").stdout


def test_the_smallest_share_is_one_clip(divided, tmp_path, monkeypatch):
    """Two sets with shares in Python; only one of them has events, for the frame loss."""
    batches, losses = recorded(monkeypatch), []
    original = FrameTargets.load

    def load(self, clips, num_frames):
        found = original(self, clips, num_frames)
        losses.append(found[1].any())
        return found

    monkeypatch.setattr(FrameTargets, "load", load)
    clips, tags = table(divided / "new"), table(divided / "new", "tags.tsv")
    one = write_set(tmp_path / "one", clips[:2], LABELS, tags[:2])
    events = [(name, 0.2, 0.5, label) for name, label in tags[2:]]
    two = write_set(tmp_path / "two", clips[2:], LABELS, tags[2:], events)
    settings = {"frame_loss_weight": 1.0}
    wsedtk.train(options(divided, tmp_path / "m", add=[(one, 0.01), (two, 0.5)], settings=settings))
    names = [{row[0] for row in part} for part in (table(divided / "fit"), clips[:2], clips[2:])]
    assert [[sum(name in part for name in batch) for part in names] for batch in batches] == [
        [2, 1, 3]
    ] * 2
    assert losses and all(losses)
    options_without = options(divided, tmp_path / "n", add=[(one, 0.5)], settings=settings)
    with pytest.raises(InputError, match="has no events, which frame_loss_weight needs"):
        wsedtk.train(options_without)


def test_resuming(run, divided, tmp_path, interrupted_at):
    """The weights are bit-identical, and other sets or shares are refused."""
    new = tmp_path / "new"
    shutil.copytree(divided / "new", new)
    more = ["--add", f"{new}=0.4", "--set", "balancer=weighted"]
    whole = train_arguments(divided, tmp_path / "whole", *more)
    assert run(*whole).exit_code == 0
    words = train_arguments(divided, tmp_path / "m", *more)
    assert interrupted_at(7, words).exit_code == 75
    for other, message in (
        ([*words, "--add", f"{divided / 'valid'}=0.1"], "contains clips that are also in"),
        (words[:-4], "other added sets or shares"),
        ([f"{new}=0.3" if word == f"{new}=0.4" else word for word in words], "sets or shares"),
    ):
        result = run(*other)
        assert result.exit_code == 1 and re.search(message, result.stderr), result.stderr
    tags = table(new, "tags.tsv")
    write_set(new, table(new), LABELS, tags[1:])
    result = run(*words)
    assert result.exit_code == 1 and "(other added sets or shares); choose another" in result.stderr
    write_set(new, table(new), LABELS, tags)
    result = run(*words)
    assert result.exit_code == 0 and "resuming from batch 8" in result.stderr
    assert equal_but_for_time(tmp_path / "m", tmp_path / "whole")


@pytest.fixture
def interrupted_at(run, monkeypatch):
    """Run a training until SIGTERM comes at the start of a batch."""

    def start(step, words):
        original = Trainer.run_batch

        def acting(self, *batch):
            if self.step == step:
                os.kill(os.getpid(), signal.SIGTERM)
            return original(self, *batch)

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "run_batch", acting)
            return run(*words)

    return start


def changed(folder, name, content):
    (folder / name).write_text(content)


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda new: changed(new, "labels.txt", "low\nhigh, very\n"),
            "new: labels.txt differs from labels.txt in .*fit; .*prepare annotations --labels "
            r".*fit\)",
        ),
        (
            lambda new: changed(
                new, "clips.tsv", (new / "clips.tsv").read_text() + "12.wav\t\t1\n"
            ),
            "valid: contains clips that are also in .*new: 12.wav; remove",
        ),
        (
            lambda new: changed(
                new, "clips.tsv", (new / "clips.tsv").read_text() + "00.wav\t\t2\n"
            ),
            "new: contains clips that have the same names as clips of .*fit, but other durations: "
            "00.wav; rename",
        ),
        (
            lambda new: changed(new, "clips.tsv", (new / "clips.tsv").read_text() + "x.wav\t\t2\n"),
            "new: 1 of 5 clips has no features in .*, the first 'x.wav'; extract the features",
        ),
        (
            lambda new: (
                changed(new, "info.yaml", "tags: unknown\n"),
                changed(new, "tags.tsv", "filename\tevent_label\n"),
            ),
            "new: the tags of all clips are unknown, and this command needs tags; give",
        ),
    ],
)
def test_sets_that_do_not_fit(divided, tmp_path, change, message):
    new = tmp_path / "new"
    shutil.copytree(divided / "new", new)
    change(new)
    with pytest.raises(InputError, match=message):
        wsedtk.train(options(divided, tmp_path / "m", add=[(new, 0.3)]))
    assert not (tmp_path / "m").exists()


def test_shares_that_do_not_fit(run, divided, tmp_path):
    words = train_arguments(divided, tmp_path / "m", "--add", f"{divided / 'new'}=0.95")
    result = run(*words)
    assert result.exit_code == 1
    assert "batch_size is 6, and 6 clips of each batch would come from the added" in result.stderr
    result = run(*words[:-1], f"{divided / 'new'}=30%")
    assert result.exit_code == 2 and "expected a number above 0 and below 1; did" in result.stderr
    result = run(*words[:-1], f"{divided / 'nev'}=0.3")
    assert result.exit_code == 1 and f"did you mean '{divided / 'new'}'?" in result.stderr
    result = run(*words[:-1], f"{divided / 'fit'}=0.3")
    assert result.exit_code == 1 and "fit: every clip is also in a set that is" in result.stderr


def test_clips_that_are_left_out_and_recordings_of_the_validation_set(run, divided, tmp_path):
    """Clips with unknown tags replace no clips. A set without tags may be added, with a share."""
    rows = [[*row, f"night {row[0][1]}"] for row in table(divided / "new")]
    names = [row[0] for row in rows]
    new = write_set(tmp_path / "new", [*rows, ("00.wav", "", 1, "night 0")], LABELS, [])
    changed(
        new, "clips.tsv", (new / "clips.tsv").read_text().replace("duration", "duration\tgroup")
    )
    changed(new, "unknown.tsv", f"filename\n00.wav\n{names[0]}\n")
    valid = table(divided / "valid")
    valid = [[name, "", seconds, "night 9"] for name, _, seconds in valid]
    write_set(tmp_path / "valid", valid, LABELS, table(divided / "valid", "tags.tsv"))
    path = tmp_path / "valid" / "clips.tsv"
    changed(
        tmp_path / "valid", "clips.tsv", path.read_text().replace("duration", "duration\tgroup")
    )
    words = train_arguments(divided, tmp_path / "m", "--add", f"{new}=0.3", *ONCE)
    words[2] = tmp_path / "valid"
    result = run(*words)
    assert result.exit_code == 0, result.stderr
    assert f"warning: {new}: 2 clips with unknown tags, of 5, not used" in result.stderr
    assert (
        f"warning: {new}: 1 clip is from a recording or group that also occurs in "
        f"{tmp_path / 'valid'}: 09.wav; the metrics" in result.stderr
    )
    assert f"{new}: all classes count as absent in the clips without tags (3 of 3" in result.stderr
    assert "replaces" not in (tmp_path / "m" / "train.log").read_text()


def options(divided, model, **changes):
    """Return the options of a short training on the fixture `divided`."""
    settings = {
        "network_options": {"channels": [4, 6, 8], "num_hidden": 8},
        "batch_size": 6,
        "checkpoint_every": 2,
        "max_checkpoints": 1,
        **changes.pop("settings", {}),
    }
    feats = [divided / "fit.h5", divided / "valid.h5"]
    return wsedtk.TrainOptions(
        divided / "fit", divided / "valid", model, feats, settings=settings, **changes
    )
