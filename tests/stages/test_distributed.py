"""Training in several processes, started by bin/torchrun.py: results, signals, crashes, errors.

The results equal those of a single process.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import LABELS, table, train_arguments, write_set
from test_resume import equal_but_for_time

import wsedtk
from wsedtk.core.errors import InputError
from wsedtk.data import datadir
from wsedtk.data.store import FeatureStore
from wsedtk.inference.network_runner import Runner
from wsedtk.models import checkpoint
from wsedtk.training import distributed, resuming, training_loop
from wsedtk.training.feature_batches import FeatureBatches
from wsedtk.training.train_config import TrainConfig

ROOT = Path(wsedtk.__file__).resolve().parents[1]
ACTING = """
import os, signal, sys
from wsedtk.cli import main as cli; from wsedtk.training import training_loop
step, rank, target, name = sys.argv.pop(1).split(",")
original = training_loop.Trainer.run_batch


def acting(self, *batch):
    if (self.step, self.group.rank) == (int(step), int(rank)):
        os.kill(os.getppid() if target == "torchrun" else os.getpid(), getattr(signal, name))
    return original(self, *batch)


training_loop.Trainer.run_batch = acting
cli.main()
"""
FULL = bool(os.environ.get("WSEDTK_TEST_FULL"))
NUMBER = 3 if FULL else 2  # with three, the order of sums matters
KILLS = (
    [(7, 1), (8, 2), (9, 0), (12, 0), (14, 1)] if FULL else [(12, 0)]
)  # before which batch, and in which rank
FLOAT = ["--set", "precision=float32"]


@pytest.fixture(scope="module")
def several(corpus, tmp_path_factory):
    """Train in several processes, and return the ended process.

    several(number, folder, ARGUMENT..., at="STEP,RANK,TARGET,SIGNAL")
    """
    folder = tmp_path_factory.mktemp("acting")
    (folder / "acting.py").write_text(ACTING)

    def start(number, model, *more, at="-1,0,self,SIGTERM", data=corpus):
        command = [
            sys.executable,
            ROOT / "bin/torchrun.py",
            "--standalone",
            "--nproc-per-node",
            number,
            "-m",
            "acting",
            at,
            *train_arguments(data, model, *more),
        ]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]),
            "OMP_NUM_THREADS": "1",
        }
        return subprocess.run(
            [str(a) for a in command],
            capture_output=True,
            text=True,
            timeout=120,
            env=environment,
            cwd=folder,
        )

    return start


def history(model):
    """Return the numbers of history.tsv in full, without seconds: (checkpoints, columns)."""
    return np.array(
        [row[:-1] for row in checkpoint.load_checkpoint(resuming.checkpoints(model)[0])["history"]]
    )


@pytest.fixture(scope="module")
def lasting(corpus, tmp_path_factory):
    """The corpus with events. `new` has the last four clips of `fit`, without events."""
    folder = shutil.copytree(corpus, tmp_path_factory.mktemp("lasting") / "corpus")
    for name in ("fit", "valid"):
        clips, tags = table(folder / name), table(folder / name, "tags.tsv")
        write_set(
            folder / name,
            clips,
            LABELS,
            tags,
            [(clip, 0.1, 0.4, label) for clip, label in tags[1:]],
        )
    clips, tags = table(folder / "fit"), table(folder / "fit", "tags.tsv")
    write_set(folder / "new", clips[8:], LABELS, tags[8:])
    return folder


@pytest.mark.parametrize(
    "more",
    [["--add", "new=0.4"], ["--set", "mixup_alpha=0.3", "--set", "time_shift_seconds=0.2"]],
    ids=["own rows", "mixup"],
)
def test_two_processes_reproduce_the_curve_of_one(lasting, tmp_path, run, several, more):
    """A batch of five clips, three on one process and two on the other, with frame targets.

    All columns equal those of one process. Sums in another order change losses by 8e-8 of their
    value, the last bit of a float32. Gradients of half the size, to which Adam is almost invariant,
    change them by 3e-6. Equal weights of unequal shares change them by 0.1.
    """
    more = [
        *FLOAT,
        *(f"{lasting}/{word}" if word.startswith("new") else word for word in more),
        "--set",
        "batch_size=5",
        "--set",
        "frame_loss_weight=0.5",
        "--set",
        "time_mask_seconds=0.3",
        "--set",
        "mel_mask_bins=8",
    ]
    assert run(*train_arguments(lasting, tmp_path / "one", *more)).exit_code == 0
    result = several(2, tmp_path / "two", *more, data=lasting)
    assert result.returncode == 0, result.stderr
    assert (
        result.stdout.count("the weights were best after batch") == 1
        and result.stderr.count("checkpoint 2 of 3: ") == 1
    )
    np.testing.assert_allclose(history(tmp_path / "two"), history(tmp_path / "one"), rtol=1e-6)


def test_interrupted_and_resumed_equals_uninterrupted(corpus, tmp_path, run, several):
    """With dropout, each process draws random numbers of its own."""
    more = ["--set", "network_options={channels: [4, 6, 8], num_hidden: 8, dropout: 0.3}"]
    assert several(NUMBER, tmp_path / "whole", *more).returncode == 0
    stopped = several(NUMBER, tmp_path / "m", *more, at="6,1,torchrun,SIGUSR1")
    assert stopped.returncode == 75, stopped.stderr
    assert (
        stopped.stderr.count("stopped by SIGUSR1 at batch ") == 1
        and "Traceback" not in stopped.stderr
    )
    for step, rank in KILLS:
        killed = several(NUMBER, tmp_path / "m", *more, at=f"{step},{rank},self,SIGKILL")
        assert (
            killed.returncode == 137
            and "SIGKILL ended process " in killed.stderr
            and "Traceback" not in killed.stderr
        )
        assert (
            killed.stderr.count(
                f"another of the {NUMBER} processes of this training run has ended ("
            )
            == 1
        )
    one = run(*train_arguments(corpus, tmp_path / "m", *more))
    assert (
        one.exit_code == 1
        and f"the number of processes was {NUMBER} when the training began, but is 1 now; use the earlier"
        in one.stderr
    )
    assert several(NUMBER, tmp_path / "m", *more).returncode == 0
    assert equal_but_for_time(tmp_path / "m", tmp_path / "whole")
    last, expected = (
        checkpoint.load_checkpoint(resuming.checkpoints(tmp_path / name)[0])["network"]
        for name in ("m", "whole")
    )
    assert all(torch.equal(last[name], tensor) for name, tensor in expected.items())


def test_batch_norm_on_cpus_is_warned_of_and_what_is_scored_is_what_is_saved(
    corpus, tmp_path, several
):
    more = [
        *FLOAT,
        "--set",
        "network=gated-crnn",
        "--set",
        "network_options={num_channels: 6, num_top_channels: 12, num_hidden: 16}",
        "--set",
        "max_checkpoints=1",
    ]
    result = several(2, tmp_path / "m", *more)
    assert (
        result.returncode == 0
        and result.stderr.count(
            "warning: on CPUs, batch norm uses the statistics of each process's share of a batch"
        )
        == 1
    )
    spec, network, _ = checkpoint.load_model(tmp_path / "m")
    valid = FeatureBatches(
        FeatureStore([corpus / "valid.h5"]), datadir.read(corpus / "valid"), "valid"
    )
    runner = Runner.of(network, spec.mean, spec.std, torch.device("cpu"), precise=True)
    found = training_loop.validate(runner, valid, valid.dataset.tag_matrix())
    np.testing.assert_allclose(
        history(tmp_path / "m")[0, 2:5], [found["loss"], found["f1"], found["map"]], rtol=1e-5
    )


class Pair(distributed.Group):
    """One of two processes; the other one returns the given values."""

    size = 2

    def __init__(self, rank, other=None):
        self.rank, self.other = rank, other

    def gather(self, value):
        """Return the values of both processes."""
        return [value, self.other]


def test_a_signal_ends_a_process_that_waits_for_others(corpus, tmp_path):
    """Rank 0 listens, and waits until the other process connects."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    process = subprocess.Popen(
        [sys.executable, "-m", "wsedtk", *map(str, train_arguments(corpus, tmp_path / "m"))],
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            **{"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"},
            **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "one"},
        },
    )
    is_listening = f":{port:04X} "
    while process.poll() is None:
        sockets = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
        if is_listening in sockets:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 75 and messages.count("wsedtk: stopped by SIGTERM") == 1


def test_the_shares_make_the_whole():
    items = np.arange(7)
    shares = [Pair(rank).share(items).tolist() for rank in (0, 1)]
    assert (
        shares == [[0, 2, 4, 6], [1, 3, 5]]
        and distributed.Group().share(items).tolist() == items.tolist()
    )


def test_processes_with_different_inputs_are_refused():
    resuming.check_same_inputs(Pair(0, {"seed": 0}), {"seed": 0})
    with pytest.raises(
        InputError,
        match="have different inputs .content_fingerprint: 'a' in rank 0, 'b' in rank 1",
    ):
        resuming.check_same_inputs(
            Pair(0, {"content_fingerprint": "b"}), {"content_fingerprint": "a"}
        )


def test_a_checkpoint_of_other_processes_is_not_restored(corpus, trained, tmp_path):
    state = checkpoint.load_checkpoint(resuming.checkpoints(trained)[0])
    spec, network, _ = checkpoint.load_model(trained)
    sets = [
        FeatureBatches(FeatureStore([corpus / f"{name}.h5"]), datadir.read(corpus / name), name)
        for name in ("fit", "valid")
    ]
    trainer = training_loop.Trainer(
        TrainConfig(),
        network,
        *sets,
        statistics=(spec.mean, spec.std),
        seconds_per_frame=0.025,
        device=torch.device("cpu"),
        group=Pair(0),
    )
    with pytest.raises(ValueError, match="processes was 1 when the checkpoint was saved, but is 2"):
        trainer.restore(state)


def test_more_processes_than_there_are_clips_for_are_refused(corpus, tmp_path, run, monkeypatch):
    monkeypatch.setattr(distributed, "joining", lambda *_: contextlib.nullcontext(Pair(0)))
    result = run(*train_arguments(corpus, tmp_path / "m", "--set", "batch_size=1"))
    assert result.exit_code == 1 and "2 processes need at least 2 clips in " in result.stderr
    assert not (tmp_path / "m").exists()


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    group = distributed.Several(0, 3)
    assert group.device("cpu").type == "cpu"
    with pytest.raises(
        InputError,
        match="device cuda:1: the 3 processes use one GPU each; set device to cuda or cpu",
    ):
        group.device("cuda:1")
    with pytest.raises(
        InputError,
        match="3 processes need 3 GPUs, but the number of GPUs is 2; use torchrun --nproc-per-node 2, or device cpu",
    ):
        group.device("auto")


def test_only_values_of_another_process_are_losses():
    assert distributed._is_loss(
        RuntimeError(
            "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer"
        )
    )
    assert distributed._is_loss(torch.distributed.DistBackendError("NCCL error"))
    assert "another of the 2 processes" in distributed._why_lost(
        RuntimeError("gloo: Connection closed by peer"), 2, True
    )
    shared_memory = torch.distributed.DistBackendError(
        "NCCL error: unhandled system error\nNo space left on device"
    )
    assert (
        "can't communicate (NCCL error: unhandled system error No space left"
        in distributed._why_lost(shared_memory, 2, True)
    )
    assert "can't connect (timed out)" in distributed._why_lost(
        torch.distributed.DistNetworkError("timed out"), 2, False
    )
    assert not distributed._is_loss(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_a_process_pads_its_clips_as_the_whole_batch(corpus):
    """Batch norm uses padded frames, and clip 3 of the corpus has half the length."""
    fit = FeatureBatches(FeatureStore([corpus / "fit.h5"]), datadir.read(corpus / "fit"), "fit")
    x, mask = fit.load(np.array([3]), of=np.array([3, 0]))
    assert (
        x.shape[1]
        == mask.shape[1]
        == fit.load(np.array([3, 0]))[0].shape[1]
        > fit.load(np.array([3]))[0].shape[1]
    )
    torch.testing.assert_close(mask, fit.load(np.array([3, 0]))[1][:1])


class WithMore(torch.nn.Module):
    """A network whose attention weights are not used elsewhere, as in a user's network."""

    def __init__(self):
        super().__init__()
        self.layer, self.attention = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)

    def forward(self, x, mask):
        frame = self.layer(x).sigmoid()
        return types.SimpleNamespace(
            clip=frame.mean(dim=1), frame=frame, weight=self.attention(x), mask=mask
        )


def test_layers_that_the_loss_does_not_depend_on_are_not_waited_for():
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    try:
        network = WithMore()
        forward = distributed.Several(0, 1).wrap(network, torch.device("cpu"), with_frames=False)
        for _ in range(3):
            forward(torch.ones(2, 4, 3), torch.ones(2, 4, dtype=torch.bool)).clip.sum().backward()
        assert network.layer.weight.grad is not None and not network.attention.weight.grad
    finally:
        torch.distributed.destroy_process_group()


def test_other_verbs_run_in_one_process(run, monkeypatch, tmp_path):
    for name, value in (("TORCHELASTIC_RUN_ID", "x"), ("RANK", "1"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    result = run("tune", tmp_path / "s.h5", tmp_path, tmp_path / "o.yaml")
    assert (
        result.exit_code == 1
        and "tune: runs in one process, but torchrun started 2 processes; run it without torchrun"
        in result.stderr
    )
