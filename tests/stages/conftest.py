"""Fixtures that only tests of stages use."""

import signal

import pytest


@pytest.fixture
def silent(capfd, monkeypatch):
    """Check at the end that nothing was printed, and that no signal handler was ever changed."""
    changed = []
    monkeypatch.setattr(signal, "signal", lambda *arguments: changed.append(arguments))
    yield
    assert capfd.readouterr() == ("", "") and changed == []
