"""Fixtures that several test files use: tiny sounds, data directories, the command line."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers import write_set, write_sound

from wsedtk import cli
from wsedtk.errors import InputError


@pytest.fixture(scope="session")
def real_data():
    """The folder of real recordings and metadata that WSEDTK_TEST_DATA names; the test is skipped without it."""
    folder = os.environ.get("WSEDTK_TEST_DATA")
    if not folder:
        pytest.skip("WSEDTK_TEST_DATA names no folder of real data")
    return Path(folder)


@pytest.fixture
def run():
    """Run `wsedtk ARGUMENT...` in this process: returns click's result (exit_code, stdout, stderr).

    An InputError becomes exit status 1 with its message on stderr, as in `wsedtk.cli.main`; any other error is raised.
    """
    def invoke(*arguments):
        result = CliRunner().invoke(cli.cli, [str(a) for a in arguments])
        if isinstance(result.exception, InputError):
            result.stderr_bytes += str(result.exception).encode()
        elif result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result
    return invoke


@pytest.fixture
def small_set(tmp_path):
    """A data directory of 12 sounds of 1 s: a low and a high tone, one of them tagged with both."""
    labels, clips, tags, events = ["high, very", "low"], [], [], []
    for i in range(12):
        name, label = f"clip {i:02d}.wav", labels[i % 2]
        write_sound(tmp_path / "audio" / name, frequency=3000 if i % 2 == 0 else 300, seed=i)
        clips.append((name, f"../audio/{name}", 1))
        tags.append((name, label))
        events.append((name, 0, 1, label))
    tags.append(("clip 00.wav", "low"))
    events.append(("clip 00.wav", 0.5, 0.75, "low"))
    return write_set(tmp_path / "set", clips, labels, tags, events)
