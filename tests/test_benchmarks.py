"""The benchmarks run, and their rows fit the table. No test checks a time."""

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
from populations import FULL

from wsedtk.models import layers, parallel_gru
from wsedtk.models.network import build_network
from wsedtk.models.networks import gated_crnn
from wsedtk.models.pooling_functions import POOLINGS

BENCHMARKS = Path(__file__).parent / "benchmarks"


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


@pytest.mark.parametrize(
    "script, options, num_rows",
    [
        ("startup.py", ["--rounds", "1"], 3),
        ("read.py", ["--rounds", "1", "--files", "2"], 8),
        ("detect.py", ["--rounds", "1", "--clips", "2"], 5),
        ("scoring.py", ["--rounds", "1"], 5),
        ("shared.py", ["--rounds", "1", "--scale", "0.1"], 3),
    ],
)
def test_a_benchmark_adds_its_rows(tmp_path, script, options, num_rows):
    check_rows(tmp_path, script, options, num_rows)


def test_the_benchmark_of_yamnet_adds_its_rows(tmp_path, real_data):
    pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is missing")
    check_rows(tmp_path, "detect_yamnet.py", ["--rounds", "1", "--clips", "2"], 2)


@pytest.mark.skipif(not FULL, reason="runs with --full, because detect starts nine times")
def test_the_benchmark_of_processes_adds_its_rows(tmp_path):
    check_rows(tmp_path, "detect_jobs.py", ["--rounds", "1", "--files", "6"], 3)


def test_the_benchmark_of_yamnet_needs_the_published_file(tmp_path):
    check_rows(tmp_path, "detect_yamnet.py", ["--weights", tmp_path / "missing"], 0)


def check_rows(tmp_path, script, options, num_rows):
    """Run a benchmark, and check the number and the form of its rows."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import common
    finally:
        sys.path.remove(str(BENCHMARKS))
    command = [
        sys.executable,
        BENCHMARKS / script,
        *options,
        "--rows",
        tmp_path / "rows.md",
        "--folder",
        tmp_path,
    ]
    (tmp_path / "rows.md").touch()
    subprocess.run(command, check=True, capture_output=True)
    rows = [cells(line) for line in (tmp_path / "rows.md").read_text().splitlines()]
    assert len(rows) == num_rows and all(len(row) == len(common.HEADER) for row in rows)
    assert all(row[6] in ("yes", "no", "") for row in rows) and [
        p.name for p in tmp_path.iterdir()
    ] == ["rows.md"]


@pytest.mark.parametrize("name", ["dcase-crnn", "talnet", "gated-crnn"])
def test_a_plain_network_computes_the_same_without_the_layers_of_wsedtk(name, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import common
    import gpu_checks

    torch.manual_seed(0)
    network = build_network(name, 3, "linear", num_mels=64, **gpu_checks.TOY[name])
    x = torch.randn(2, 40, 64)
    with torch.no_grad():
        expected = network.eval()(x)
        for module, function in (
            (parallel_gru, "run"),
            (layers.Dropout, "forward"),
            (gated_crnn._NormalizedGate, "apply"),
        ):
            monkeypatch.setattr(module, function, None)  # not callable
        found = common.make_plain(network)(x)
    torch.testing.assert_close(found.frame, expected.frame)
    torch.testing.assert_close(found.clip, expected.clip)
    network.train()(x).clip.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_run_sh_prints_its_help():
    shown = subprocess.run(
        ["bash", BENCHMARKS / "run.sh", "--help"], check=True, capture_output=True, text=True
    ).stdout
    assert "bash tests/benchmarks/run.sh [TABLE.md]" in shown
    scripts = {p.name for p in BENCHMARKS.glob("*.py")} - {
        "common.py",
        "gpu.py",
        "gpu_checks.py",
        "gpu_speed.py",
        "growth.py",
        "corpus.py",
        "networks.py",
        "ranking.py",
        "field_mixture.py",
        "stream.py",
    }
    text = (BENCHMARKS / "run.sh").read_text()
    assert all(f"measure {name}" in text for name in scripts)


def test_a_failed_or_skipped_check_for_gpus_is_a_row_and_the_rest_is_computed(
    tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import common
    import gpu

    def fail():
        raise ValueError("found 1; expected 2")

    def part(device, deadline, folder):
        yield common.attempt(deadline, "fails", fail)
        yield common.attempt(common.Deadline(-1), "late", fail)
        yield common.attempt(deadline, "holds", lambda: ("CPU", "0", "1", True))
        yield common.attempt(deadline, "speed", fail, None)
        raise KeyError("broken")

    monkeypatch.setitem(sys.modules, "a_part", types.SimpleNamespace(part=part))
    monkeypatch.setitem(gpu.PARTS, "a part", ("a_part", "part", 9))
    assert not gpu.run_part("a part", common.Table(tmp_path / "rows.md"), 9)
    rows = [cells(line) for line in (tmp_path / "rows.md").read_text().splitlines()]
    assert rows == [
        ["fails", "", "failed: ValueError found 1; expected 2", "", "no"],
        ["late", "", "skipped: no time left", "", "no"],
        ["holds", "CPU", "0", "1", "yes"],
        ["speed", "", "failed: ValueError found 1; expected 2", "", ""],
        ["a part", "", "failed: KeyError", "", "no"],
    ]


def test_the_checks_for_gpus_find_small_differences(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu_checks

    probe = gpu_checks.Probe("dcase-crnn", "linear", torch.device("cpu"), True)
    probe.x = probe.x * (1 + 2**-11)  # a rounding error of TF32
    for precision in ("float64", "float32"):
        found, limits = probe.compare(precision)
        assert found[0] > limits[0], precision


def test_the_checks_for_gpus_find_gradients_in_float16(monkeypatch):
    """With autocast on a GPU, PyTorch computes the gradients of a GRU in float16."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu_checks

    original = gpu_checks.layers.run_gru

    def in_float16(gru, x, mask):
        hidden = original(gru, x, mask)
        return hidden.half() if torch.is_autocast_enabled("cpu") else hidden

    *_, holds = gpu_checks.small_gradients(torch.device("cpu"))
    monkeypatch.setattr(gpu_checks.layers, "run_gru", in_float16)
    _, found, _, holds_in_float16 = gpu_checks.small_gradients(torch.device("cpu"))
    assert holds and not holds_in_float16 and 0.1 < float(found) < 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="takes minutes on a GPU")
def test_the_script_for_gpus_compares_the_cpu_with_itself(tmp_path):
    """All checks hold, and all measurements give a result, so the script is ready for a GPU."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", BENCHMARKS.parent / "gpu.sh", tmp_path]
    done = subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert done.returncode == 0, done.stdout
    assert done.stdout == (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert text.startswith("no GPU: toy sizes, every row computed on the CPU\n\ncommit ")
    rows = [cells(line) for line in text.splitlines() if line.startswith("|")]
    assert rows[0] == ["check", "compared with", "found", "limit", "holds"]
    assert {len(row) for row in rows} == {5}
    checks = {row[0]: row[2] for row in rows if row[4] == "yes"}
    for network in ("dcase-crnn", "talnet", "gated-crnn"):
        for pooling in POOLINGS.names():
            assert f"{network}, {pooling}: probabilities, gradient" in checks
        for kind in ("bf16", "float32, augmentations, frame targets"):
            assert checks[f"{network}: training resumed after a stop, {kind}"] == "bit-identical"
    assert len(checks) == 1 + 3 * len(POOLINGS.names()) + 6 + 4 + 2
    measured = [row for row in rows[2:] if row[4] == ""]
    assert len(rows) == 2 + len(checks) + len(measured) and len(measured) == 1 + 5 + 4 + 7
    assert not [row for row in measured if "failed" in row[2] or "skipped" in row[2]]
    assert [row[0].rpartition(": ")[2] for row in rows if row[2] == "needs a GPU"] == [
        "cudnn.benchmark",
        "CUDA graph",
        "torch.compile",
    ]
