"""Stages from a corpus to a trained system, called from Python: silent, with results as data."""

import dataclasses
import threading

import numpy as np
import pytest
import torch
from helpers import write_set, write_sound
from test_download import StandIn
from test_import import talnet_tensors, write_inputs

from wsedtk.core.errors import InputError
from wsedtk.corpora.soundscapes import SoundscapesOptions
from wsedtk.data import datadir, store
from wsedtk.models import checkpoint
from wsedtk.stages import balance, download, export, extract, import_, prepare, validate
from wsedtk.stages.options.corpora import DownloadOptions, ValidateOptions
from wsedtk.stages.options.systems import (
    BalanceOptions,
    ExportOptions,
    ExtractOptions,
    ImportOptions,
)


@pytest.fixture(autouse=True)
def _silent(silent):
    pass


def in_a_thread(function, *arguments):
    """Return what a function returns when it runs in another thread."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function(*arguments)))
    thread.start()
    thread.join()
    return results[0]


@pytest.fixture
def bank(tmp_path):
    for number, label in enumerate(("Dog", "Rain")):
        for fold in (1, 2):
            path = tmp_path / "bank" / label / f"{fold}-{number}{fold}-A.wav"
            write_sound(path, frequency=300 * (number + fold))
    return tmp_path / "bank"


def test_prepare(bank, tmp_path):
    numbers = {"num_train": 3, "num_test": 2}
    options = SoundscapesOptions(
        str(bank), tmp_path / "a", backgrounds=["Rain"], test_folds=[2], **numbers
    )
    first = prepare.run("soundscapes", options)
    again = in_a_thread(
        prepare.run, "soundscapes", dataclasses.replace(options, data_dir=tmp_path / "b")
    )
    for result, folder in ((first, tmp_path / "a"), (again, tmp_path / "b")):
        assert [one.folder for one in result.sets] == [folder / "train", folder / "test"]
        for one in result.sets:
            read = datadir.read(one.folder)
            assert one.dataset.filenames.tolist() == read.filenames.tolist()
            assert one.dataset.tag_matrix().tolist() == read.tag_matrix().tolist()
    clips = [(tmp_path / name / "train" / "clips.tsv").read_bytes() for name in "ab"]
    assert clips[0] == clips[1]
    for changes in ({"num_test": 0}, {"seed": -1}, {"sample_rate": 100}):
        with pytest.raises(InputError, match="expected"):
            dataclasses.replace(options, **changes)


def test_validate(small_set, tmp_path):
    (small_set / "labels.txt").write_text("high, very\nlow\nnone\n")
    bad = write_set(tmp_path / "bad", [("a.wav", "", -1)], ["x"], [("a.wav", "x")])
    seen = []
    options = ValidateOptions([small_set, str(bad)], audio=True)
    result = validate.run(options, on_set=seen.append)
    assert tuple(seen) == result.sets and result.faulty == (bad,)
    good, wrong = result.sets
    assert (good.num_errors, len(good.dataset)) == (0, 12) and wrong.dataset is None
    assert any("1 class has no clips: none" in fault.message for fault in good.faults)
    assert wrong.num_errors == 1 and wrong.faults[0].path == bad / "clips.tsv"
    again = in_a_thread(validate.run, ValidateOptions(small_set))
    assert again.sets[0].num_warnings == good.num_warnings and not again.faulty
    with pytest.raises(InputError, match="jobs: found 0; expected a number of at least 1"):
        ValidateOptions(small_set, jobs=0)


def test_balance(small_set, tmp_path):
    options = BalanceOptions(str(small_set), tmp_path / "fit", tmp_path / "valid", num_valid=4)
    result = balance.run(options)
    whole, fit, valid = map(datadir.read, (small_set, result.fit_set, result.valid_set))
    assert (result.num_clips, result.num_fit, result.num_valid) == (12, len(fit), len(valid))
    assert len(valid) == 4
    for k, one in enumerate(result.classes):
        counts = [data.tag_matrix()[:, k].sum() for data in (whole, fit, valid)]
        assert [one.num_clips, one.num_fit, one.num_valid] == counts
        assert one.label == whole.labels[k] and one.num_sources == one.num_clips
    assert in_a_thread(balance.run, options) == result


@pytest.mark.parametrize("shard, num_clips", [(None, 12), ((2, 5), 3)])
def test_extract_twice(small_set, tmp_path, shard, num_clips):
    options = ExtractOptions(str(small_set), str(tmp_path / "a.h5"), shard=shard, max_seconds=1.5)
    result = extract.run(options)
    assert result.feats.name == ("a.h5" if shard is None else "a.2-of-5.h5")
    found = store.FeatureStore([result.feats])
    features = found.read(np.arange(num_clips))
    assert len(found) == result.num_clips == num_clips and result.failed == {}
    assert (result.max_frames, result.num_bins) == (60, 64) and features[0].shape[1] == 64
    again = in_a_thread(extract.run, options)
    assert again == result
    for one, other in zip(features, store.FeatureStore([again.feats]).read(np.arange(num_clips))):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"shard": (3, 2)}, "shard: found .3, 2.; expected .K, N. with 1 <= K <= N"),
        (
            {"max_seconds": float("nan")},
            "max_seconds: found nan; expected a finite number of seconds",
        ),
        ({"dtype": "float64"}, "dtype: found 'float64'; expected 'float16' or 'float32'"),
        ({"max_failures": 2}, "max_failures: found 2; expected a fraction"),
        ({"jobs": 0}, "jobs: found 0"),
    ],
)
def test_extract_options_at_fault(changes, message):
    with pytest.raises(InputError, match=message):
        ExtractOptions("set", "feats.h5", **changes)


def test_import(tmp_path):
    torch.manual_seed(0)
    write_inputs(tmp_path)
    torch.save(talnet_tensors(), tmp_path / "published.pt")
    names = {"labels": "labels.txt", "normalizer": "normalizer.txt", "frontend": "frontend.yaml"}
    options = ImportOptions(
        tmp_path / "published.pt", tmp_path / "m", **{k: tmp_path / v for k, v in names.items()}
    )
    result = import_.run(options)
    spec, network, _ = checkpoint.load_model(tmp_path / "m")
    assert (result.model_dir, result.network) == (tmp_path / "m", spec.network)
    assert (result.pooling, result.pooling_is_assumed) == (spec.pooling, True)
    assert result.num_classes == len(spec.labels) == 3
    assert result.num_parameters == sum(p.numel() for p in network.parameters())
    with pytest.raises(InputError, match="contains a model"):
        import_.run(options)
    other = dataclasses.replace(options, model_dir=str(tmp_path / "n"), pooling="linear")
    expected = dataclasses.replace(result, model_dir=tmp_path / "n", pooling_is_assumed=False)
    assert in_a_thread(import_.run, other) == expected


def test_export_without_onnx(tmp_path, monkeypatch):
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="the package onnx is not installed"):
        export.run(ExportOptions(tmp_path, tmp_path / "m.onnx"))


def test_download(tmp_path, monkeypatch):
    stand_in = StandIn(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(stand_in.folder))
    clips = [f"{letter * 11}_0.000_1.000.wav" for letter in "abc"]
    gone = "ERROR: [youtube] bbbbbbbbbbb: Video unavailable. This video is private"
    stand_in.behave({"b" * 11: ("fail", gone)})
    data = write_set(
        tmp_path / "set", [(c, "", 1) for c in clips], ["x"], [(c, "x") for c in clips]
    )
    options = DownloadOptions(str(data), tmp_path / "audio", jobs=1, sleep_seconds=0)
    plan = download.plan(options)
    assert (plan.num_clips, len(plan.commands), plan.num_dead) == (3, 3, 0)
    assert all(command[0] == "yt-dlp" for command in plan.commands)
    assert not (tmp_path / "audio").exists()
    result = download.run(options)
    there = sorted(path.name[1:] for path in (tmp_path / "audio").glob("Y*.wav"))
    assert sorted(result.fetched) == there
    assert (result.num_clips, result.num_there) == (3, 0)
    listed = [line.split("\t")[0] for line in result.failures.read_text().splitlines()[1:]]
    assert sorted([*result.dead, *result.left]) == sorted(listed)
    again = in_a_thread(download.run, options)
    assert (again.num_there, again.dead) == (len(there), result.dead)
    with pytest.raises(InputError, match="sleep_seconds: found -1; expected a finite number"):
        DownloadOptions(data, tmp_path, sleep_seconds=-1)


def test_balance_names_its_fault(small_set, tmp_path):
    options = BalanceOptions(small_set, tmp_path / "fit", small_set, num_valid=4)
    with pytest.raises(InputError, match="two of these paths are the same folder"):
        balance.run(options)
    with pytest.raises(InputError, match="num_valid: found 12; expected .* 1 and below 12,"):
        balance.run(dataclasses.replace(options, num_valid=12))
