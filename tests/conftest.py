"""Fixtures that several test files use: small sounds, data directories, the command line."""

import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from helpers import LABELS, RECIPES, train_arguments, write_set, write_sound

from wsedtk.audio import audio_files
from wsedtk.cli import main as cli
from wsedtk.cli import messages
from wsedtk.core.errors import InputError, NotFinished
from wsedtk.inference import recordings


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Escape bytes of file names that are not UTF-8 in captured output.

    The processes that run the tests send each other reports as UTF-8.
    """
    report = yield
    report.sections = [
        (title, text.encode(errors="backslashreplace").decode()) for title, text in report.sections
    ]
    return report


@pytest.fixture(scope="session")
def real_data():
    """Return the folder of real recordings and metadata; skip the test without WSEDTK_TEST_DATA."""
    folder = os.environ.get("WSEDTK_TEST_DATA")
    if not folder:
        pytest.skip("WSEDTK_TEST_DATA names no folder of real data")
    return Path(folder)


@pytest.fixture
def run():
    """Run `wsedtk ARGUMENT...` in this process, and return click's result.

    InputError and NotFinished become exit status 1 and 75, with the message on stderr, as in
    `wsedtk.cli.main.main`. Other exceptions are raised.
    """

    def invoke(*arguments):
        result = CliRunner().invoke(cli.cli, [str(a) for a in arguments])
        if isinstance(result.exception, (InputError, NotFinished)):
            result.stderr_bytes += str(result.exception).encode()
            result.exit_code = 1 if isinstance(result.exception, InputError) else 75
        elif result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def printed_messages():
    """Print the messages of the library on stderr, as the command line does."""
    with messages.printed():
        yield


@pytest.fixture
def small_set(tmp_path):
    """A data directory of 12 sounds of 1 s with a low or high tone; one clip has both tags."""
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


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Twelve clips for training and six for validation, with features of both front ends.

    Clips have 1 s, except one of 0.5 s.
    """
    folder = tmp_path_factory.mktemp("corpus")
    sets = {}
    for name, numbers in (("fit", range(12)), ("valid", range(12, 18))):
        clips, tags = [], []
        for i in numbers:
            seconds = 0.5 if i == 3 else 1.0
            write_sound(
                folder / "audio" / f"{i:02d}.wav",
                seconds,
                frequency=3000 if i % 2 == 0 else 300,
                seed=i,
            )
            clips.append((f"{i:02d}.wav", f"../audio/{i:02d}.wav", seconds))
            tags.append((f"{i:02d}.wav", LABELS[i % 2]))
        sets[name] = write_set(folder / name, clips, LABELS, tags)
    from wsedtk.stages import extract
    from wsedtk.stages.options.systems import ExtractOptions

    he = (RECIPES / "dcase2017/conf/frontend_he.yaml").read_text()
    (folder / "he.yaml").write_text(he.replace("pad_to_seconds: 10", "pad_to_seconds: null"))
    for name, data_set in sets.items():
        made = {"feats": folder / f"{name}.h5", "max_failures": 0.0, "device": "cpu"}
        extract.run(ExtractOptions(data_set, **made))
        made |= {"feats": folder / f"he_{name}.h5", "config": folder / "he.yaml"}
        extract.run(ExtractOptions(data_set, **made))
    return folder


@pytest.fixture(scope="session")
def trained(corpus, tmp_path_factory):
    """A model that was trained without interruption."""
    model = tmp_path_factory.mktemp("trained") / "linear"
    assert (
        CliRunner()
        .invoke(cli.cli, [str(a) for a in train_arguments(corpus, model)], catch_exceptions=False)
        .exit_code
        == 0
    )
    return model


@pytest.fixture
def hear(tmp_path, capfd):
    """Return samples (S,), rate and remarks of a file, and check that all readers agree."""

    def hear(content, name="x.wav", is_told=True):
        path = tmp_path / name
        path.write_bytes(content)
        remarks, streamed = [], []
        samples, rate = audio_files.read(path, remarks=remarks)
        blocks = list(recordings.stream(path, rate, remarks=streamed))
        np.testing.assert_array_equal(np.concatenate(blocks), samples)
        examined = audio_files.examine(path)
        assert examined.duration == len(samples) / rate
        assert audio_files.info(path).duration == examined.duration or not is_told
        assert remarks == streamed == [*examined.remarks, *filter(None, [examined.remark_on_mean])]
        assert capfd.readouterr() == ("", "")
        return samples, rate, remarks

    return hear
