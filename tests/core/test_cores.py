"""The number of cores that a process may use."""

import os

import pytest

from wsedtk.core import cores


@pytest.fixture
def cgroups(tmp_path, monkeypatch):
    """Replace the files of the kernel by files in a temporary folder, on a machine of 8 cores."""

    def write(own, limits):
        (tmp_path / "own").write_text(own)
        for name, text in limits.items():
            (tmp_path / "cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "cgroup" / name).write_text(text)

    monkeypatch.setattr(cores, "_OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(cores, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    return write


UNLIMITED = {"cpu.max": "max 100000\n", "cpu/cpu.cfs_quota_us": "-1\n"}


@pytest.mark.parametrize(
    "own, limits, expected",
    [
        ("0::/\n", {}, 8),
        ("0::/\n", UNLIMITED, 8),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1),  # a container with 1.5 cores
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "1600000 100000\n"}, 8),
        ("0::/a/b\n", {"cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "250000 100000\n"}, 2),
        ("0::/../job\n", {"cpu.max": "200000 100000\n"}, 2),  # seen from inside a container
        ("1:cpu:/a\n0::/\n", {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100"}, 8),
        ("1:cpu:/a\n", {"cpu/a/cpu.cfs_quota_us": "250", "cpu/a/cpu.cfs_period_us": "100"}, 2),
        (
            "4:memory:/m\n2:cpu,cpuacct:/docker/1\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "400", "cpu,cpuacct/cpu.cfs_period_us": "100"},
            4,
        ),
    ],
)
def test_the_lowest_limit_counts(cgroups, own, limits, expected):
    cgroups(own, limits)
    assert cores.usable_cores() == expected


def test_affinity_counts(cgroups, monkeypatch):
    cgroups("0::/\n", {"cpu.max": "300000 100000\n"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3}, raising=False)
    assert cores.usable_cores() == 1


def test_systems_without_cgroups_or_affinity(tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "_OWN_CGROUPS", tmp_path / "missing")
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert cores.usable_cores() == 6


@pytest.mark.parametrize(
    "limit, chosen, expected, is_chosen",
    [
        ("max", None, None, False),
        ("350000", None, "3", False),
        ("350000", "5", "5", True),
        ("900000", None, None, False),
    ],
)
def test_threads_are_limited_unless_the_user_has_chosen_them(
    cgroups, monkeypatch, limit, chosen, expected, is_chosen
):
    cgroups("0::/\n", {"cpu.max": f"{limit} 100000\n"})
    monkeypatch.setattr(cores, "_is_limited", False)
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # so that the variable is restored after the test
    monkeypatch.delenv("OMP_NUM_THREADS")
    if chosen is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", chosen)
    cores.configure_openmp()
    assert os.environ.get("OMP_NUM_THREADS") == expected
    assert cores.user_sets_threads() is is_chosen


@pytest.mark.parametrize(
    "chosen, expected",
    [({}, "1000"), ({"GOMP_SPINCOUNT": "5"}, "5"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_waiting_threads_soon_sleep_unless_the_user_decides(monkeypatch, chosen, expected):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # so that the variable is restored after the test
        monkeypatch.delenv(name)
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cores, "_is_limited", False)
    cores.configure_openmp()
    assert os.environ.get("GOMP_SPINCOUNT") == expected
