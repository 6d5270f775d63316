"""The benchmarks run, and their rows fit the table. No test checks a time."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent / "benchmarks"


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


@pytest.mark.parametrize(
    "script, options, num_rows",
    [
        ("startup.py", ["--rounds", "1"], 3),
        ("read.py", ["--rounds", "1", "--files", "2"], 8),
        ("detect.py", ["--rounds", "1", "--clips", "2"], 3),
        ("scoring.py", ["--rounds", "1"], 5),
        ("shared.py", ["--rounds", "1", "--scale", "0.1"], 3),
    ],
)
def test_a_benchmark_adds_its_rows(tmp_path, script, options, num_rows):
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
    subprocess.run(command, check=True, capture_output=True)
    rows = [cells(line) for line in (tmp_path / "rows.md").read_text().splitlines()]
    assert len(rows) == num_rows and {len(row) for row in rows} == {len(common.HEADER)}
    assert all(row[6] in ("yes", "no", "") for row in rows) and [
        p.name for p in tmp_path.iterdir()
    ] == ["rows.md"]


def test_run_sh_prints_its_help():
    shown = subprocess.run(
        ["bash", BENCHMARKS / "run.sh", "--help"], check=True, capture_output=True, text=True
    ).stdout
    assert "bash tests/benchmarks/run.sh [TABLE.md]" in shown
    scripts = {p.name for p in BENCHMARKS.glob("*.py")} - {
        "common.py",
        "growth.py",
        "corpus.py",
        "networks.py",
        "ranking.py",
    }
    text = (BENCHMARKS / "run.sh").read_text()
    assert all(f"measure {name}" in text for name in scripts)
