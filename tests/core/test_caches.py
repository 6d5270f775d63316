"""Other libraries need no writable folder: neither HOME, nor the installation, nor TMPDIR."""

import os
import subprocess
import sys
import tempfile

import pytest
from helpers import SMALL, write_perfect_scores, write_sound

from wsedtk.core import caches
from wsedtk.core.errors import InputError

# Several commands run in one process, because importing torch is slow.
COMMANDS = (
    "import json, sys; from wsedtk.cli.main import cli; "
    "[cli(words, standalone_mode=False) for words in json.loads(sys.argv[1])]"
)


@pytest.fixture
def bare(tmp_path):
    """Run Python without folders for caches; the folder for temporary files must end up empty.

    HOME can't be created, even by root. numba does not use its folder in the installation.
    """
    (tmp_path / "folder").mkdir()
    temporary = tempfile.mkdtemp()  # paths of sockets must be short
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environment = {
        **kept,
        "HOME": "/proc/no home",
        "TMPDIR": temporary,
        "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator",
    }

    def run(*arguments, **changes):
        result = subprocess.run(
            [sys.executable, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env={**environment, **changes},
            cwd=tmp_path / "folder",
        )
        assert not os.listdir(temporary)
        return result

    yield run
    os.rmdir(temporary)


def commands(*words):
    import json

    return "-c", COMMANDS, json.dumps([[str(word) for word in line] for line in words])


def test_no_command_needs_a_home(bare, trained, corpus, tmp_path):
    """Use matplotlib (figures), numba by librosa (features) and torch's compiler (optimiser)."""
    write_sound(tmp_path / "a.wav")
    (tmp_path / "model").mkdir()
    for name in ("model.yaml", "model.safetensors"):
        (tmp_path / "model" / name).write_bytes((trained / name).read_bytes())
    features = ["--feats", corpus / "fit.h5", "--feats", corpus / "valid.h5"]
    result = bare(
        *commands(
            [
                "detect",
                tmp_path / "model",
                tmp_path / "a.wav",
                "--threshold",
                "0.5",
                "--plot",
                tmp_path / "plots",
            ],
            ["extract", corpus / "fit", tmp_path / "fit.h5", "--jobs", "2"],
            [
                "train",
                corpus / "fit",
                corpus / "valid",
                tmp_path / "new",
                *features,
                *SMALL,
                "--set",
                "max_checkpoints=1",
            ],
        )
    )
    assert result.returncode == 0, result.stderr
    told = [line.split(":")[0] for line in result.stderr.splitlines()]
    assert told == ["detect", "checkpoint 1 of 1"] or told == ["detect"], result.stderr
    assert (tmp_path / "plots" / "a.wav.png").exists() and (tmp_path / "fit.h5").exists()
    assert (tmp_path / "new" / "model.safetensors").exists()


def test_psds_needs_no_home(bare, run, tmp_path):
    """sed_scores_eval imports matplotlib, which would create a folder and warn about it."""
    pytest.importorskip("sed_scores_eval")
    data, scores = write_perfect_scores(tmp_path, ["Car", "Dog"])
    (tmp_path / "point.yaml").write_text(
        "mode: frame\nlabels: [Car, Dog]\ngate_by_tags: false\ntuned_on: hand\n"
        + "".join(
            f"{key}: {{Car: 0.5, Dog: 0.5}}\n"
            for key in (
                "clip_thresholds",
                "frame_thresholds",
                "median_seconds",
                "min_seconds",
                "max_gap_seconds",
            )
        )
    )
    assert run("decode", scores, tmp_path / "point.yaml", tmp_path / "out").exit_code == 0
    result = bare("-m", "wsedtk", "score", data, tmp_path / "out", "--scores", scores)
    assert (result.returncode, result.stderr) == (0, "") and "PSDS1 1.000" in result.stdout


def test_without_a_folder_for_temporary_files(monkeypatch, tmp_path):
    """A folder in memory is used; without it, the message says what to set."""

    def refuse():
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "_gettempdir", refuse)
    if os.access("/dev/shm", os.W_OK):
        with caches._temporary_folder() as folder:
            assert folder.startswith("/dev/shm/wsedtk-")
        assert not os.path.exists(folder)
    monkeypatch.setattr(tempfile, "mkdtemp", lambda *arguments, **options: refuse())
    monkeypatch.setenv("MPLCONFIGDIR", "/proc/none")
    with pytest.raises(InputError, match="no folder for temporary files .* set TMPDIR"):
        with caches.matplotlib_importable():
            pass


def test_matplotlibs_own_folders_are_used_where_there_are_any(monkeypatch, tmp_path):
    for name in ("MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "not yet" / "made"))
    assert caches._matplotlib_has_folders()
    monkeypatch.setenv("HOME", "/proc/none")
    assert not caches._matplotlib_has_folders()
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        assert not caches._matplotlib_has_folders()
        monkeypatch.setenv(name, str(tmp_path))
    assert caches._matplotlib_has_folders()
    monkeypatch.setenv("MPLCONFIGDIR", "/proc/none")
    with caches.matplotlib_importable():
        assert os.environ["MPLCONFIGDIR"] != "/proc/none"
    assert os.environ["MPLCONFIGDIR"] == "/proc/none"


def test_a_folder_for_temporary_files_that_sockets_cannot_be_in(small_set, tmp_path):
    """With a path longer than the 107 bytes of a socket name, one process does the work."""
    long = tmp_path / ("x" * 120)
    long.mkdir()
    result = subprocess.run(
        [sys.executable, "-m", "wsedtk", "validate", "--audio", small_set, "--jobs", "2"],
        env={**os.environ, "TMPDIR": str(long)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0 and "12 clips, 2 classes" in result.stdout, result.stderr
    assert result.stderr.startswith("warning: --jobs 2: only one process is used")
    assert len(result.stderr.splitlines()) == 1 and not list(long.iterdir())
