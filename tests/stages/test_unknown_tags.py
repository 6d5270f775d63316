"""Clips with unknown tags: no negatives in training and in evaluation, and said by every verb."""

import dataclasses
import json
import shlex

import numpy as np
import pytest
from helpers import (
    contents,
    make_point,
    train_arguments,
    write_perfect_scores,
    write_score_file,
    write_set,
)

from wsedtk.core.errors import InputError
from wsedtk.data import datadir
from wsedtk.decoding import operating_point
from wsedtk.stages import balance
from wsedtk.training.sampler import Sampler

LABELS = ["high", "low"]


def some_set(folder, count=12, unknown=(), info=""):
    """Write a set: clips in turn with tag `high`, with tag `low`, and without tags.

    `unknown` are the names of clips with unknown tags, which must have no tags.
    """
    names = [f"{i:02d}.wav" for i in range(count)]
    tags = [(name, LABELS[i % 3]) for i, name in enumerate(names) if i % 3 < 2]
    write_set(folder, [(name, "", 1) for name in names], LABELS, tags)
    if unknown:
        (folder / "unknown.tsv").write_text("filename\n" + "".join(f"{n}\n" for n in unknown))
    if info:
        (folder / "info.yaml").write_text(info)
    return folder


def all_unknown(folder):
    some_set(folder, info="tags: unknown\n")
    (folder / "tags.tsv").write_text("filename\tevent_label\n")
    return folder


def test_reading_and_writing(tmp_path):
    data = datadir.read(some_set(tmp_path / "a", unknown=["05.wav", "02.wav"]))
    assert np.flatnonzero(data.has_unknown_tags()).tolist() == [2, 5]
    assert data.clips_of_classes()[-1].tolist() == [8, 11]
    assert data.tag_matrix().sum() == 8
    plain = datadir.read(some_set(tmp_path / "plain"))
    assert plain.unknown is None and plain.fingerprint() != data.fingerprint()
    # A set without the unknown clips is the same as if they had never been there.
    known = data.select(~data.has_unknown_tags())
    assert known.fingerprint() == plain.select(~data.has_unknown_tags()).fingerprint()
    for name, part in (("some", data), ("none", known), ("all", data.select(data.unknown))):
        datadir.write(tmp_path / "set", part)
        again = datadir.read(tmp_path / "set")
        assert again.has_unknown_tags().tolist() == part.has_unknown_tags().tolist(), name
        assert (tmp_path / "set" / "unknown.tsv").exists() == (name == "some")
        assert again.info.get("tags") == {"all": "unknown"}.get(name)
    datadir.write(tmp_path / "set", dataclasses.replace(again, unknown=None))
    assert datadir.read(tmp_path / "set").info["tags"] == "complete"


@pytest.mark.parametrize(
    "unknown, info, message",
    [
        (["gone.wav"], "", "unknown.tsv:2: 'gone.wav' is not in clips.tsv"),
        (["00.wav", "02.wav"], "", "tags.tsv: contains rows for 1 clip whose tags are unknown.*00"),
        ([], "tags: unknown", "contains rows for 8 clips whose tags are unknown.*`tags: complete`"),
        ([], "tags: some", "info.yaml: tags: found 'some'; expected complete or unknown"),
    ],
)
def test_faults(tmp_path, unknown, info, message):
    with pytest.raises(InputError, match=message):
        datadir.read(some_set(tmp_path / "set", unknown=unknown, info=info))


def test_events_of_unknown_clips(tmp_path):
    folder = some_set(tmp_path / "set", unknown=["02.wav"])
    (folder / "events.tsv").write_text(
        "filename\tonset\toffset\tevent_label\n02.wav\t0\t1\thigh\n00.wav\t0\t1\thigh\n"
    )
    with pytest.raises(InputError, match="events.tsv: contains rows for 1 clip whose.*02.wav"):
        datadir.read(folder)


def test_validate_and_info(run, tmp_path):
    some_set(tmp_path / "some", unknown=["02.wav"])
    result = run("validate", tmp_path / "some")
    assert result.exit_code == 0
    assert "12 clips (1 with unknown tags), 2 classes, 8 tags" in result.stdout
    assert "3 clips have no tags: 05.wav, 08.wav, 11.wav" in result.stdout
    result = run("validate", all_unknown(tmp_path / "all"))
    assert (
        "12 clips (12 with unknown tags), 2 classes, 0 tags, no events.tsv: 0 errors, 0 warn"
        in (result.stdout)
    )
    (shown,) = json.loads(run("info", tmp_path / "some", "--json").stdout)
    assert shown["content"]["clips_with_unknown_tags"] == 1


@pytest.mark.parametrize("balancer", ["classes", "weighted"])
def test_no_batch_contains_them(tmp_path, balancer):
    data = datadir.read(some_set(tmp_path / "set", unknown=["02.wav", "05.wav"]))
    sampler = Sampler(data, 5, 0, balancer)
    drawn = {clip for step in range(40) for clip in sampler.batch(step).tolist()}
    assert drawn == set(range(12)) - {2, 5}


def test_balance(run, tmp_path):
    folder = some_set(tmp_path / "set", 24, unknown=["02.wav", "05.wav", "08.wav"])
    result = run("balance", folder, tmp_path / "fit", tmp_path / "valid", "--num-valid", 8)
    assert result.exit_code == 0
    fit, valid = datadir.read(tmp_path / "fit"), datadir.read(tmp_path / "valid")
    assert not valid.has_unknown_tags().any() and len(valid) == 8 and len(fit) == 16
    assert fit.filenames[fit.has_unknown_tags()].tolist() == ["02.wav", "05.wav", "08.wav"]
    # Clips without tags are held out in proportion to the clips with known tags: 8 * 5 / 21.
    assert [len(clips) for clips in valid.clips_of_classes()] == [3, 3, 2]
    assert "the clips with unknown tags are not used for validation (3 clips)" in result.stderr
    message = "expected a number of at least 1 and below 21, the number of clips with known tags"
    with pytest.raises(InputError, match=message):
        balance.run(balance.BalanceOptions(folder, tmp_path / "a", tmp_path / "b", num_valid=21))
    options = balance.BalanceOptions(
        all_unknown(tmp_path / "all"), tmp_path / "a", tmp_path / "b", num_valid=2
    )
    with pytest.raises(InputError, match="the tags of all clips are unknown, so no balanced set"):
        balance.run(options)


def test_training_is_the_same_without_them(run, corpus, tmp_path):
    """They need no features, and the weights are bit-identical."""
    fit = datadir.read(corpus / "fit")
    names = [*fit.filenames.tolist(), "x.wav", "y.wav"]
    rows = [(name, "", 1) for name in names]
    tags = [(str(fit.filenames[i]), fit.labels[k]) for i, k in zip(fit.tag_clip, fit.tag_label)]
    folder = write_set(tmp_path / "corpus" / "fit", rows, fit.labels, tags)
    plain = write_set(tmp_path / "plain" / "fit", rows[:-2], fit.labels, tags)
    (folder / "unknown.tsv").write_text("filename\nx.wav\ny.wav\n")
    models = []
    for data in (folder, plain):
        once = ["--set", "max_checkpoints=1", "--set", "checkpoint_every=1"]
        words = train_arguments(corpus, data.parent / "model", *once)
        words[1] = data
        result = run(*words)
        is_told = f"{folder}: 2 clips with unknown tags, of 14, not used" in result.stderr
        assert result.exit_code == 0 and is_told == (data == folder)
        models.append(contents(data.parent / "model"))
    assert models[0]["model.safetensors"] == models[1]["model.safetensors"]
    # The commands that train prints at its end work.
    commands = result.stdout.partition("next: ")[2].splitlines()
    assert [shlex.split(line)[1] for line in commands] == ["predict", "tune"]
    for line in commands:
        assert run(*shlex.split(line)[1:]).exit_code == 0
    assert (plain.parent / "model" / "operating_point.yaml").is_file()
    words[1] = all_unknown(tmp_path / "all")
    (words[1] / "labels.txt").write_text("".join(f"{label}\n" for label in fit.labels))
    result = run(*words, "--overwrite")
    assert result.exit_code == 1 and "the tags of all clips are unknown, and this" in result.stderr


def test_tune_and_score(run, tmp_path):
    """A false alarm in a clip with unknown tags changes no threshold and no metric."""
    data, _ = write_perfect_scores(tmp_path, LABELS)
    rows = [("a.wav", "", 1), ("b.wav", "", 1), ("c.wav", "", 1)]
    events = [("a.wav", 0, 1, "high"), ("b.wav", 0, 1, "low")]
    data = write_set(tmp_path / "set", rows, LABELS, [(n, k) for n, _, _, k in events], events)
    scores = write_score_file(
        tmp_path / "exp" / "set" / "scores.h5",
        [row[0] for row in rows],
        LABELS,
        [[0.8, 0], [0, 0.8], [0.6, 0.6]],
        frame=[[[0.8, 0]] * 10, [[0, 0.8]] * 10, [[0.6, 0.6]] * 10],
        durations=[1, 1, 1],
    )
    point = tmp_path / "exp" / "operating_point.yaml"
    results = {}
    for name in ("complete", "unknown"):
        if name == "unknown":
            (data / "unknown.tsv").write_text("filename\nc.wav\n")
        tuned = run("tune", scores, data, point)
        assert tuned.exit_code == 0
        results[name] = operating_point.read(point).clip_thresholds.tolist()
        operating_point.write(point, make_point(2, LABELS))
        out = scores.parent / "frame"
        assert run("decode", scores, point, out, "--mode", "frame").exit_code == 0
        scored = run("score", data, out, "--scores", scores)
        assert scored.exit_code == 0
        report = json.loads((out / "report.json").read_text())
        results[name] = (results[name], report["tagging"]["f1"], report["clips"])
    (before, f1, clips), (after, known_f1, known_clips) = results.values()
    np.testing.assert_allclose([before, after], [[0.7, 0.7], [0.4, 0.4]])
    assert f1 < 1 and known_f1 == 1.0
    assert (clips["scored"], known_clips["scored"], known_clips["official"]) == (3, 2, 2)
    for result in (tuned, scored):
        assert f"{data}: 1 clip with unknown tags, of 3, not used" in result.stderr
    all_of_them = all_unknown(tmp_path / "all")
    result = run("tune", scores, all_of_them, tmp_path / "p.yaml")
    assert result.exit_code == 1 and "the tags of all clips are unknown" in result.stderr


def test_merge(run, tmp_path):
    some_set(tmp_path / "a", 3, unknown=["02.wav"])
    all_unknown(tmp_path / "b")
    words = ["prepare", "merge", tmp_path / "a", tmp_path / "b", tmp_path / "all", "--add-names"]
    assert run(*words).exit_code == 0
    merged = datadir.read(tmp_path / "all")
    assert merged.has_unknown_tags().tolist() == [False, False, *[True] * 13]
    assert merged.info["tags"] == "complete"
    words[2] = tmp_path / "b2"
    (tmp_path / "b").joinpath("labels.txt").write_text("high\nlow\n")
    all_unknown(words[2])
    assert run(*words).exit_code == 0
    assert datadir.read(tmp_path / "all").info["tags"] == "unknown"
