"""Stage 0 of recipes/dcase2017, with local stand-ins for the server and for yt-dlp."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "dcase2017"
YT_DLP = f"""#!{sys.executable}
import sys, wave
options = sys.argv[1:]
with open({{log!r}}, "a") as log:
    log.write(options[-1] + "\\n")
if "dead" in options[-1]:
    sys.exit("ERROR: [youtube] dead: Video unavailable")
with wave.open(options[options.index("--output") + 1].replace("%(ext)s", "wav"), "wb") as file:
    file.setnchannels(1); file.setsampwidth(2); file.setframerate(8000); file.writeframes(bytes(range(256)) * 600)
"""
WEAK = {
    "training": ["-aaaaaaaaa1", "--bbbbbbbb2", "dead_video0"],
    "testing": ["Yccccccccc3"],
    "evaluation": ["ddddddddd_4"],
}


@pytest.fixture
def server(tmp_path):
    """A folder of lists, like that of the organisers' server."""
    folder = tmp_path / "server"
    (folder / "groundtruth_release").mkdir(parents=True)
    (folder / "sound_event_list_17_classes.txt").write_text(
        "Class_ID  Confidence  Class_Label\n/m/07jdr 6\tTrain\n/m/01bjv 7\tBus\n"
    )
    for part, videos in WEAK.items():
        place = folder / "groundtruth_release" if part == "evaluation" else folder
        rows = "".join(f"{video}_30.000_40.000.wav\t30.000\t40.000\tTrain\r\n" for video in videos)
        (place / f"groundtruth_weak_label_{part}_set.csv").write_text(rows)
        if part != "training":
            (place / f"groundtruth_strong_label_{part}_set.csv").write_text(
                f"{videos[0]}_30.000_40.000.wav\t1.5\t3\tTrain\n"
            )
    return folder


@pytest.fixture
def download(tmp_path, server):
    """Run stage 0, and possibly later stages, with a stand-in for yt-dlp on the PATH."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "yt-dlp").write_text(YT_DLP.format(log=str(tmp_path / "asked.txt")))
    for name in ("yt-dlp", "ffmpeg"):
        (programs / name).touch()
        (programs / name).chmod((programs / name).stat().st_mode | stat.S_IXUSR)

    def run(*options):
        command = [
            "bash",
            RECIPE / "run.sh",
            "--stage",
            "0",
            "--exp",
            tmp_path / "my exp",
            "--metadata-url",
            server.as_uri(),
            *options,
        ]
        return subprocess.run(
            [str(c) for c in command],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        )

    return run


def test_lists_and_audio_are_fetched_once_and_prepared(download, tmp_path):
    result = download("--stop-stage", "1")
    assert result.returncode == 0, result.stderr
    audio = tmp_path / "my exp" / "download" / "audio"
    assert {p.name for p in audio.glob("*.wav")} == {
        f"Y{v}_30.000_40.000.wav" for vs in WEAK.values() for v in vs if v != "dead_video0"
    }
    assert "dead_video0_30.000_40.000.wav\tdead\t" in (audio / "failures.tsv").read_text()
    assert (
        "train: 2 of 3 official clips" in result.stdout
        and "eval: 1 of 1 official clips" in result.stdout
    )
    asked = (tmp_path / "asked.txt").read_text()
    # Each is requested once. One is requested again, to decide whether `dead_video0` is gone or
    # this address is blocked.
    assert len(asked.splitlines()) == 6 and asked.count("dead_video0") == 1
    assert download("--stop-stage", "0").returncode == 0
    assert (
        tmp_path / "asked.txt"
    ).read_text() == asked  # existing and dead clips are not requested again


def test_a_dry_run_fetches_nothing(download, tmp_path, server):
    result = download("--stop-stage", "0", "--dry-run")
    assert (
        result.returncode == 0
        and result.stdout.count("curl ") == 6
        and "groundtruth_release" in result.stdout
    )
    assert not list((tmp_path / "my exp").rglob("*.csv"))
    result = download("--dry-run", "--metadata", server)
    assert result.returncode == 0 and "watch?v=--bbbbbbbb2" in result.stdout
    assert not (tmp_path / "asked.txt").exists() and not list((tmp_path / "my exp").rglob("*.wav"))


def test_a_server_that_lacks_a_list_is_reported(download, tmp_path, server):
    (server / "groundtruth_weak_label_testing_set.csv").unlink()
    result = download("--stop-stage", "0")
    assert result.returncode != 0 and "curl" in result.stderr
    assert not list((tmp_path / "my exp").rglob("*.part"))
