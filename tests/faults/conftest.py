"""Fixtures of the fault trials, and their table at the end of a full run."""

from collections import defaultdict

import pytest
from mutations import FULL
from trials import Site


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The inputs of all stages, and the outputs of undisturbed runs."""
    return Site(tmp_path_factory.mktemp("site"))


def pytest_terminal_summary(terminalreporter):
    """Print one line per fault: trials, how many ended as expected, and skipped tests.

    A test of several trials records their number as `trials`. If some may fail, it records the
    number of successful ones as `survived`.
    """
    if not FULL:
        return
    counts = defaultdict(lambda: [0, 0, 0])
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            if (
                report.when == "call" or outcome == "skipped"
            ) and "/faults/" in f"/{report.nodeid}":
                properties = dict(report.user_properties)
                num_trials = properties.get("trials", 1) if outcome != "skipped" else 0
                found = counts[report.nodeid.split("[")[0].split("/")[-1]]
                found[0] += num_trials
                found[1] += properties.get("survived", num_trials) if outcome == "passed" else 0
                found[2] += outcome == "skipped"
    terminalreporter.section("fault trials")
    for fault, (num_trials, num_survived, num_skipped) in sorted(counts.items()):
        skipped = f", {num_skipped} skipped" if num_skipped else ""
        terminalreporter.line(f"{fault}: {num_trials} trials, {num_survived} survived{skipped}")
