"""Fixtures of the fault trials, and their table at the end of a full run."""

import os
from collections import defaultdict

import pytest
from trials import Site


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Inputs of every stage, and what each makes of them undisturbed."""
    return Site(tmp_path_factory.mktemp("site"))


def pytest_terminal_summary(terminalreporter):
    """Print a line a fault: trials, and how many ended as they must. A test that makes several records them as `trials`."""
    if not os.environ.get("WSEDTK_TEST_FULL"):
        return
    counts = defaultdict(lambda: [0, 0])
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            if report.when == "call" and "/faults/" in f"/{report.nodeid}":
                num_trials = dict(report.user_properties).get("trials", 1)
                fault = report.nodeid.split("[")[0].split("/")[-1]
                counts[fault][0] += num_trials
                counts[fault][1] += num_trials if outcome == "passed" else 0
    terminalreporter.section("fault trials")
    for fault, (num_trials, num_survived) in sorted(counts.items()):
        terminalreporter.line(f"{fault}: {num_trials} trials, {num_survived} survived")
