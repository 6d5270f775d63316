"""Interrupted trainings that are resumed."""

import os
import pickle
import signal

import pytest
import torch
from helpers import train_arguments as arguments

from wsedtk.core import cores
from wsedtk.models import checkpoint
from wsedtk.training import preparation, resuming, training_loop


class Stopped(Exception):
    """Ends a training in the middle."""


def equal_but_for_time(model, other):
    """Whether two model directories have identical weights, and histories without seconds."""
    histories = [
        [line.rsplit("\t", 1)[0] for line in (m / "history.tsv").read_text().splitlines()]
        for m in (model, other)
    ]
    return (model / "model.safetensors").read_bytes() == (
        other / "model.safetensors"
    ).read_bytes() and histories[0] == histories[1]


@pytest.fixture
def interrupted(corpus, run, monkeypatch):
    """Train into a folder until an action at the start of a batch.

    interrupted(folder, batch, action, ARGUMENT...)
    """

    def start(folder, step, what, *more):
        original = training_loop.Trainer.run_batch

        def acting(self, *batch):
            if self.step == step:
                what(self)
            return original(self, *batch)

        with monkeypatch.context() as patch:
            patch.setattr(training_loop.Trainer, "run_batch", acting)
            return run(*arguments(corpus, folder, *more))

    return start


def stop(*_):
    raise Stopped


def test_stopped_and_resumed_equals_uninterrupted(corpus, trained, tmp_path, run, interrupted):
    with pytest.raises(Stopped):
        interrupted(tmp_path / "m", 7, stop)
    assert not (tmp_path / "m" / "model.yaml").exists()
    assert "resuming from batch 5" in run(*arguments(corpus, tmp_path / "m")).stderr
    assert equal_but_for_time(tmp_path / "m", trained)


@pytest.mark.parametrize("step", [0, 3, 5, 14])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP"])
def test_a_signal_saves_and_training_resumes_at_the_next_batch(
    corpus, trained, tmp_path, run, interrupted, step, name
):
    result = interrupted(
        tmp_path / "m", step, lambda trainer: os.kill(os.getpid(), getattr(signal, name))
    )
    assert result.exit_code == 75
    assert (
        f"m: stopped by {name} at batch {step + 1}; to resume, run the same command again"
        in result.stderr
    )
    result = run(*arguments(corpus, tmp_path / "m"))
    assert f"resuming from batch {step + 1}\n" in result.stderr and equal_but_for_time(
        tmp_path / "m", trained
    )
    assert not list((tmp_path / "m" / "checkpoints").glob("resume*"))


def test_a_signal_in_validation_saves_the_batches_before_it(
    corpus, trained, tmp_path, run, monkeypatch
):
    original = training_loop.network_runner.score

    def acting(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training_loop.network_runner, "score", acting)
        result = run(*arguments(corpus, tmp_path / "m"))
    assert result.exit_code == 75 and "stopped by SIGTERM at batch 5" in result.stderr
    assert run(*arguments(corpus, tmp_path / "m")).exit_code == 0 and equal_but_for_time(
        tmp_path / "m", trained
    )


def test_state_for_resuming_is_written_periodically(corpus, trained, tmp_path, run, interrupted):
    with pytest.raises(Stopped):
        interrupted(tmp_path / "m", 8, stop, "--set", "resume_seconds=0")
    assert [p.name for p in resuming.checkpoints(tmp_path / "m")] == [
        "resume00000008.pt",
        "step00000005.pt",
    ]
    assert "resuming from batch 8" in run(*arguments(corpus, tmp_path / "m")).stderr
    assert equal_but_for_time(tmp_path / "m", trained)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "nan", "other", "pickle"])
def test_a_damaged_newest_checkpoint_falls_back(
    corpus, trained, tmp_path, run, interrupted, damage
):
    with pytest.raises(Stopped):
        interrupted(tmp_path / "m", 8, stop, "--set", "resume_seconds=0")
    newest = resuming.checkpoints(tmp_path / "m")[0]
    content = newest.read_bytes()
    if damage == "nan":
        state = checkpoint.load_checkpoint(newest)
        state["network"]["conv1.bias"][0] = float("nan")
        checkpoint.save_checkpoint(newest, state)
    elif damage == "other":
        checkpoint.save_checkpoint(newest, {"step": 3})
    elif damage == "pickle":
        newest.write_bytes(pickle.dumps({"step": 3}))
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]
        newest.write_bytes({"cut": content[:1000], "empty": b"", "flip": flipped}[damage])
    result = run(*arguments(corpus, tmp_path / "m"))
    assert "resume00000008.pt: " in result.stderr and "resuming from batch 5" in result.stderr
    assert equal_but_for_time(tmp_path / "m", trained)


def test_it_fails_if_all_checkpoints_are_damaged(corpus, trained, tmp_path, run, interrupted):
    with pytest.raises(Stopped):
        interrupted(tmp_path / "m", 8, stop, "--set", "resume_seconds=0")
    for path in resuming.checkpoints(tmp_path / "m"):
        state = checkpoint.load_checkpoint(path)
        del state["best"]
        checkpoint.save_checkpoint(path, state)
    result = run(*arguments(corpus, tmp_path / "m"))
    assert (
        result.exit_code == 1
        and result.stderr.count("is not a checkpoint of this training run, or is damaged ('best')")
        == 2
    )
    assert (
        "m: training can't be resumed from any checkpoint (number of checkpoints: 2); choose another directory"
        in result.stderr
    )
    assert run(
        *arguments(corpus, tmp_path / "m", "--overwrite")
    ).exit_code == 0 and equal_but_for_time(tmp_path / "m", trained)


def test_skipped_damaged_checkpoints_are_removed(corpus, trained, tmp_path, run, interrupted):
    with pytest.raises(Stopped):
        interrupted(tmp_path / "m", 13, stop)
    resuming.checkpoints(tmp_path / "m")[0].write_bytes(b"damaged")
    interrupted(tmp_path / "m", 6, lambda trainer: os.kill(os.getpid(), signal.SIGTERM))
    assert [p.name for p in resuming.checkpoints(tmp_path / "m")] == [
        "resume00000007.pt",
        "step00000005.pt",
    ]
    assert run(*arguments(corpus, tmp_path / "m")).exit_code == 0 and equal_but_for_time(
        tmp_path / "m", trained
    )


def test_the_last_checkpoints_and_the_best_are_kept(corpus, tmp_path, run, monkeypatch):
    found = iter([0.1, 0.9, 0.2, 0.3, 0.4, 0.5])
    monkeypatch.setattr(
        training_loop, "validate", lambda *_: {"loss": 1.0, "f1": next(found), "map": 0.0}
    )
    run(
        *arguments(
            corpus, tmp_path / "m", "--set", "max_checkpoints=6", "--set", "keep_checkpoints=3"
        )
    )
    assert [resuming._number(p)[0] for p in resuming.checkpoints(tmp_path / "m")] == [
        30,
        25,
        20,
        10,
    ]


def test_the_history_is_cut_back_to_the_checkpoint(corpus, trained, tmp_path, run, interrupted):
    with pytest.raises(Stopped):
        interrupted(tmp_path / "m", 12, stop)
    resuming.checkpoints(tmp_path / "m")[0].unlink()
    with pytest.raises(Stopped):
        interrupted(tmp_path / "m", 6, stop)
    assert [
        line.split("\t")[0] for line in (tmp_path / "m" / "history.tsv").read_text().splitlines()
    ] == ["step", "5"]


def test_it_resumes_with_as_many_threads(corpus, trained, tmp_path, run, interrupted, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    threads, seen = torch.get_num_threads(), []
    with pytest.raises(Stopped):
        interrupted(tmp_path / "m", 7, stop)
    try:
        torch.set_num_threads(threads + 1)
        result = interrupted(
            tmp_path / "m", 7, lambda trainer: seen.append(torch.get_num_threads())
        )
        assert (
            seen == [threads]
            and f"the number of threads is {threads}, as before (default {threads + 1}; set OMP_NUM_THREADS"
            in result.stderr
        )
        assert equal_but_for_time(tmp_path / "m", trained)
        assert torch.get_num_threads() == threads + 1
        torch.set_num_threads(threads)
        with pytest.raises(Stopped):
            interrupted(tmp_path / "n", 7, stop)
        torch.set_num_threads(threads + 1)
        monkeypatch.setenv("OMP_NUM_THREADS", str(threads + 1))
        result = interrupted(
            tmp_path / "n", 7, lambda trainer: seen.append(torch.get_num_threads())
        )
        assert (
            seen == [threads, threads + 1]
            and f"{threads} before; the last digits of the result may differ" in result.stderr
        )
        torch.set_num_threads(threads)
        monkeypatch.delenv("OMP_NUM_THREADS")
        with pytest.raises(Stopped):
            interrupted(tmp_path / "o", 7, stop)
        torch.set_num_threads(1)
        monkeypatch.setattr(cores, "usable_cores", lambda: 1)
        result = interrupted(
            tmp_path / "o", 7, lambda trainer: seen.append(torch.get_num_threads())
        )
        assert (
            seen == [threads, threads + 1, 1]
            and f"was {threads} before, but is 1 now, because only 1 core can be used"
            in result.stderr
        )
    finally:
        torch.set_num_threads(threads)


def test_another_version_resumes_with_a_warning(
    corpus, trained, tmp_path, run, interrupted, monkeypatch
):
    with pytest.raises(Stopped):
        interrupted(tmp_path / "m", 7, stop)
    monkeypatch.setattr(preparation.provenance, "made_by", lambda: {"wsedtk": "9", "commit": "abc"})
    result = run(*arguments(corpus, tmp_path / "m"))
    assert (
        "and is resumed with wsedtk 9, commit abc, torch " in result.stderr
        and equal_but_for_time(tmp_path / "m", trained)
    )


def test_the_optimiser_is_that_of_the_device(corpus, trained, tmp_path, run, interrupted):
    """A checkpoint of a GPU, whose optimiser is fused, is resumed on a CPU."""
    with pytest.raises(Stopped):
        interrupted(tmp_path / "m", 7, stop)
    newest = resuming.checkpoints(tmp_path / "m")[0]
    state = checkpoint.load_checkpoint(newest)
    state["optimizer"]["param_groups"][0]["fused"] = True
    checkpoint.save_checkpoint(newest, state)
    assert run(*arguments(corpus, tmp_path / "m")).exit_code == 0
    saved = checkpoint.load_checkpoint(resuming.checkpoints(tmp_path / "m")[0])
    assert saved["optimizer"]["param_groups"][0]["fused"] is None
    assert equal_but_for_time(tmp_path / "m", trained)
