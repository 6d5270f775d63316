"""wsedtk download with a stand-in for yt-dlp that takes its options, logs calls, and can fail."""

import contextlib
import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
from helpers import write_set

from wsedtk.core import atomic
from wsedtk.corpora import youtube_download, youtube_errors
from wsedtk.stages import download

IDS = ["-abcdefghij", "--abcdefghi", "_bcdefghijk", "abcdefghij-", "Yabcdefghij"]
STAND_IN = """
import argparse, json, os, sys, time
here = os.path.dirname(os.path.abspath(__file__))
def log(**entry):
    with open(os.path.join(here, "log"), "a") as file:
        file.write(json.dumps({"time": time.monotonic(), "pid": os.getpid(), **entry}) + "\\n")
parser = argparse.ArgumentParser(allow_abbrev=False)
for flag in "ignore-config no-cache-dir no-playlist quiet no-warnings no-mtime extract-audio".split():
    parser.add_argument("--" + flag, action="store_true", required=True)
for option in "socket-timeout limit-rate format download-sections audio-format postprocessor-args output".split():
    parser.add_argument("--" + option, required=True)
parser.add_argument("url")
given = parser.parse_args()
video = given.url.removeprefix("https://www.youtube.com/watch?v=")
log(start=video, argv=sys.argv[1:], folder=os.getcwd())
with open(os.path.join(here, "behaviour.json")) as file:
    what, text = json.load(file).get(video, ["make", ""])
if what == "once":
    with open(os.path.join(here, "log")) as file:
        asked = sum(json.loads(line).get("start") == video for line in file)
    what, text = ("slow", text) if asked == 1 else ("fail", "Video unavailable")
path = given.output.replace("%(ext)s", given.audio_format)
if what == "usage":
    parser.error(text)
if what in ("half", "die", "hang"):
    with open(path, "wb") as file:
        file.write(b"RIFF....WAVE")
    open(path + ".part", "w").close()
if what == "hang":
    import subprocess
    log(child=subprocess.Popen(["sleep", "60"]).pid)
    time.sleep(60)
if what == "die":
    os.kill(os.getpid(), 9)
if what == "slow":
    time.sleep(float(text))
if what in ("make", "slow"):
    import wave
    start, end = (float(t) for t in given.download_sections.removeprefix("*").split("-"))
    with wave.open(path, "wb") as file:
        file.setparams((1, 2, 800, 0, "NONE", ""))
        file.writeframes(bytes(2 * round(800 * (end - start))))
if what == "garbage":
    with open(path, "w") as file:
        file.write("<html>not sound</html>")
log(end=video)
if what in ("half", "fail"):
    print("WARNING: [youtube] unavailable, try again", file=sys.stderr)
    sys.exit("ERROR: [youtube] " + video + ": " + text)
"""


class StandIn:
    """A program on the PATH in place of yt-dlp, and the log of its calls."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        for name, text in (("yt-dlp", STAND_IN), ("ffmpeg", "")):
            (folder / name).write_text(f"#!{sys.executable} -ES\n{text}")
            (folder / name).chmod(0o755)
        self.behave({})

    def behave(self, videos):
        """Set its behaviour: {ID: (kind, text)}; it writes a sound file for all other IDs."""
        (self.folder / "behaviour.json").write_text(json.dumps(videos))

    def log(self, key=None):
        """Return the values of a key in the log, in order; or the whole entries."""
        lines = (
            (self.folder / "log").read_text().splitlines() if (self.folder / "log").exists() else []
        )
        entries = [json.loads(line) for line in lines]
        return entries if key is None else [entry[key] for entry in entries if key in entry]

    def asked(self):
        """Return the IDs of the calls since the last use of this method."""
        asked = self.log("start")
        (self.folder / "log").unlink(missing_ok=True)
        return sorted(asked)

    def end(self):
        """Kill processes that still run."""
        ended = {entry["pid"] for entry in self.log() if "end" in entry}
        for pid in {*self.log("pid"), *self.log("child")} - ended:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """The stand-in, on the PATH. Remaining processes are killed."""
    made = StandIn(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{made.folder}{os.pathsep}{os.environ['PATH']}")
    yield made
    made.end()


@pytest.fixture
def fetch(run):
    """Run `wsedtk download` without pauses."""

    def fetch(*arguments):
        return run("download", "--sleep-seconds", "0", *arguments)

    return fetch


def make_set(folder, names):
    """Write a data directory of clips without audio; an ID means the excerpt from 30 to 31 s."""
    names = [f"{name}_30.000_31.000.wav" if len(name) == 11 else name for name in names]
    return write_set(
        folder,
        [(name, "", 1) for name in names],
        ["Dog, big"],
        [(name, "Dog, big") for name in names],
    )


def many(count):
    return [f"video{i:06d}" for i in range(count)]


def failures(audio):
    """Return {video: (status, reason)} of failures.tsv."""
    header, *rows = csv.reader((audio / "failures.tsv").read_text().splitlines(), delimiter="\t")
    assert header == ["filename", "status", "reason"]
    return {name[:11]: (status, reason) for name, status, reason in rows}


def sounds(audio):
    """Return the names of all files except the lock and the list; all must be whole sounds."""
    names = sorted(
        str(p.relative_to(audio))
        for p in audio.rglob("*")
        if p.is_file() and p.name not in (".lock", "failures.tsv")
    )
    assert all(soundfile.info(audio / name).frames for name in names)
    assert not list(audio.glob(".download-*"))
    return names


def gone(pid):
    """Whether a process has ended, or ends within seconds."""
    for _ in range(100):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        if not os.path.exists(f"/proc/{pid}"):
            return True
        time.sleep(0.03)
    return False


def test_clips_are_fetched_once(fetch, stand_in, tmp_path):
    one, two = (
        make_set(tmp_path / "one", IDS),
        make_set(tmp_path / "two", [*IDS[1:], "zyxwvutsrqp_0.000_2.500.wav"]),
    )
    audio = tmp_path / "audio"
    result = fetch(one, two, audio)
    assert (
        result.exit_code == 0
        and result.stdout == f"{audio}: 6 clips: 0 existed, 6 fetched, 0 dead, 0 to retry\n"
    )
    assert sounds(audio) == sorted(
        [*(f"Y{video}_30.000_31.000.wav" for video in IDS), "Yzyxwvutsrqp_0.000_2.500.wav"]
    )
    assert soundfile.info(audio / "Yzyxwvutsrqp_0.000_2.500.wav").duration == 2.5
    argv = {entry["start"]: entry["argv"] for entry in stand_in.log() if "start" in entry}[
        "--abcdefghi"
    ]
    assert argv[-2:] == ["--", "https://www.youtube.com/watch?v=--abcdefghi"]
    assert (
        argv[argv.index("--download-sections") + 1] == "*30.000-31.000"
        and argv[argv.index("--limit-rate") + 1] == "1M"
    )
    assert stand_in.asked() == sorted([*IDS, "zyxwvutsrqp"])
    result = fetch(one, two, audio)
    assert (
        result.exit_code == 0 and "6 existed, 0 fetched" in result.stdout and stand_in.asked() == []
    )
    assert failures(audio) == {}


def test_existing_clips_are_not_requested(fetch, stand_in, tmp_path):
    audio, videos = tmp_path / "audio", many(6)
    there = [
        "a b/c/Yvideo000000_30.000_31.000.FLAC",
        "video000001_30.000_31.000.ogg",
        "x/Yvideo000002_30.0_31.mp3",
        "video000003_30.000_31.000.wav",
        "Yvideo000004_30.000_31.000.wav.part",
    ]
    for name in there:
        (audio / name).parent.mkdir(parents=True, exist_ok=True)
        (audio / name).touch()
    result = fetch(make_set(tmp_path / "set", videos), audio, "--limit-rate", "500K")
    assert result.exit_code == 0 and "4 existed, 2 fetched" in result.stdout
    assert all("500K" in argv for argv in stand_in.log("argv")) and stand_in.asked() == videos[4:]


def test_dead_videos_are_not_requested_twice(fetch, stand_in, tmp_path):
    names = [f"{IDS[0]}_{start}.000_{start + 1}.000.wav" for start in (5, 10, 20)]
    one, two = (
        make_set(tmp_path / "one", [*names[1:], *many(3)]),
        make_set(tmp_path / "two", [names[0], many(1)[0]]),
    )
    audio = tmp_path / "audio"
    stand_in.behave(
        {
            IDS[0]: (
                "fail",
                "Video unavailable. The uploader has not made this video available\tin your country\n"
                "You might want to use a VPN",
            )
        }
    )
    result = fetch(one, audio)
    assert result.exit_code == 0 and "3 fetched, 2 dead, 0 to retry" in result.stdout
    assert stand_in.asked() == sorted([IDS[0], *many(3)])  # one clip of two was tried
    reason = (
        f"[youtube] {IDS[0]}: Video unavailable. The uploader has not made this video available in your country "
        "You might want to use a VPN"
    )
    assert (audio / "failures.tsv").read_text().splitlines()[1:] == [
        f"{name}\tdead\t{reason}" for name in names[1:]
    ]
    result = fetch(one, two, audio)
    assert (
        result.exit_code == 0
        and "6 clips: 3 existed, 0 fetched, 3 dead" in result.stdout
        and stand_in.asked() == []
    )
    assert sorted((audio / "failures.tsv").read_text().splitlines()[1:]) == sorted(
        f"{name}\tdead\t{reason}" for name in names
    )
    stand_in.behave({IDS[0]: ("fail", "HTTP Error 429")})
    result = fetch(one, two, audio, "--retry-dead")
    assert result.exit_code == 75 and "3 existed, 0 fetched, 0 dead, 3 to retry" in result.stdout
    stand_in.behave({})
    result = fetch(one, audio)
    assert result.exit_code == 0 and "3 existed, 2 fetched, 0 dead" in result.stdout


COOKIES = (
    "Use --cookies-from-browser or --cookies for the authentication. "
    "See  https://github.com/yt-dlp/yt-dlp/wiki/FAQ#how-do-i-pass-cookies-to-yt-dlp  "
    "for how to manually pass cookies"
)
UNAVAILABLE = "Video unavailable. "
MESSAGES = {  # of yt-dlp 2026.10.26 and YouTube
    "dead": [
        f"Private video. Sign in if you've been granted access to this video. {COOKIES}",
        UNAVAILABLE + "This video is private",
        UNAVAILABLE + "This video has been removed by the uploader",
        "This video has been removed for violating YouTube's policy on hate speech",
        UNAVAILABLE + "This video is no longer available because the YouTube account associated "
        "with this video has been terminated.",
        UNAVAILABLE + "This video is no longer available because the uploader has closed their "
        "YouTube account.",
        UNAVAILABLE + "This video is no longer available due to a copyright claim by SME",
        UNAVAILABLE + "This video isn\u2019t available anymore",
        UNAVAILABLE + "This video contains content from SME, who has blocked it in your country on "
        "copyright grounds",
        UNAVAILABLE + "This video contains content from SME, who has blocked it on copyright "
        "grounds",
        "The uploader has not made this video available in your country\nYou might want to use a "
        "VPN or a proxy server",
        "This video is not available from your location due to geo restriction",
        "This live stream recording is not available.",
        "This video does not exist.",
        "Join this channel to get access to members-only content like this video",
        "This video is available to this channel's members on level: A (or any higher level).",
        "This video requires payment to watch",
        UNAVAILABLE + "This video is only available to Music Premium members",
    ],
    "unexplained": [
        "Video unavailable",
        UNAVAILABLE + "This video is not available",
        "This video is unavailable",
        "This video isn\u2019t available",
    ],
    "account": [
        f"Sign in to confirm your age. This video may be inappropriate for some users. {COOKIES}",
        "Sign in to confirm your age\nThis video may be inappropriate for some users.",
        "This video is age-restricted and only available on YouTube",
    ],
    "blocked": [
        f"Sign in to confirm you\u2019re not a bot. {COOKIES}",
        f"Please sign in. {COOKIES}",
        f"Sign in to confirm you're not a bot. This helps protect our community. {COOKIES}",
        UNAVAILABLE + "YouTube is requiring a captcha challenge before playback",
        "All player responses are invalid. Your IP is likely being blocked by Youtube",
        UNAVAILABLE + "This content isn\u2019t available, try again later. The current session has "
        "been rate-limited by YouTube for up to an hour.",
        UNAVAILABLE + "This content isn't available.",
        "Unable to download webpage: HTTP Error 429: Too Many Requests",
    ],
    "retry": [
        f"This video is only available for registered users. {COOKIES}",
        f"Login details are needed to download this content. {COOKIES}",
        "Before you continue to YouTube. This video is private",
        "Invalid cookie consent redirect URL",
        UNAVAILABLE + "Playback on other websites has been disabled by the video owner",
        UNAVAILABLE + "This video contains content from NFL, who has blocked it from display on "
        "this website or application",
        "The following content is not available on this app.. Watch on the latest version of "
        "YouTube",
        "The page needs to be reloaded.. The page needs to be reloaded.",
        "This video is DRM protected",
        "Requested format is not available. Use --list-formats for a list of available formats",
        "Unable to download API page: HTTP Error 503: Service Unavailable (caused by <HTTPError>)",
        "unable to download video data: HTTP Error 403: Forbidden",
        "Unable to download API page: [Errno -2] Name or service not known (caused by Error())",
        "Unable to download API page: The read operation timed out",
        "Premieres in 3 hours",
        "This live event will begin in a few moments.",
        "This live event has ended.",
        "We're processing this video. Check back later.",
        UNAVAILABLE + "A sentence that nobody has seen",
        "Postprocessing: Conversion failed: the file was removed; ffmpeg was terminated",
        "cookies.txt: the file does not exist",
        "Dieses Video ist nicht verfügbar",
        "Video nicht verfügbar. Nur für Premium",
        "動画を再生できません",
        "",
    ],
}


@pytest.mark.parametrize(
    "verdict, message",
    [(verdict, message) for verdict, messages in MESSAGES.items() for message in messages],
)
def test_what_a_message_means(verdict, message):
    assert youtube_errors.verdict("abcdefghijk", f"[youtube] abcdefghijk: {message}") == verdict
    assert youtube_errors.verdict("abcdefghijk", message.upper()) == verdict


def test_an_id_says_nothing_about_its_video():
    for video, message, verdict in (
        ("__removed__-", "HTTP", "retry"),
        ("not a botID", "Private video", "dead"),
        ("unavailable", "Video unavailable", "unexplained"),
    ):
        assert youtube_errors.verdict(video, f"[youtube] {video}: {message}") == verdict


def test_unavailable_without_a_reason_is_dead_where_others_come_later(fetch, stand_in, tmp_path):
    """From a blocked address, all videos get the same answer.

    After the last one, an existing clip is requested again.
    """
    videos = many(6)
    stand_in.behave({videos[i]: ("fail", "Video unavailable") for i in (0, 1, 3, 5)})
    data, audio = make_set(tmp_path / "set", videos), tmp_path / "audio"
    result = fetch(data, audio, "--jobs", 1)
    assert result.exit_code == 0 and "2 fetched, 4 dead, 0 to retry" in result.stdout
    assert {video: status for video, (status, _) in failures(audio).items()} == dict.fromkeys(
        (videos[i] for i in (0, 1, 3, 5)), "dead"
    )
    *asked, again = stand_in.log("start")
    assert asked == videos and again in (videos[2], videos[4])
    assert sounds(audio) == [f"Y{videos[i]}_30.000_31.000.wav" for i in (2, 4)]
    assert stand_in.asked() and fetch(data, audio).exit_code == 0 and stand_in.asked() == []


def test_what_was_there_before_tells_a_block_from_a_video_that_is_gone(fetch, stand_in, tmp_path):
    videos = many(2)
    data, audio = make_set(tmp_path / "set", videos[:1]), tmp_path / "audio"
    assert fetch(data, audio).exit_code == 0
    both = make_set(tmp_path / "both", videos)
    for there, status, exit_code in (("fail", "retry", 75), ("make", "dead", 0)):
        stand_in.behave(
            {videos[1]: ("fail", "Video unavailable"), videos[0]: (there, "Video unavailable")}
        )
        assert fetch(both, audio).exit_code == exit_code
        assert failures(audio) == {videos[1]: (status, f"[youtube] {videos[1]}: Video unavailable")}
        assert sounds(audio) == [f"Y{videos[0]}_30.000_31.000.wav"]


def test_a_download_that_was_under_way_says_nothing_of_a_block(fetch, stand_in, tmp_path):
    """The existing video disappears after the block started, and then can't be fetched either."""
    videos = many(2)
    stand_in.behave({videos[0]: ("once", "1"), videos[1]: ("fail", "Video unavailable")})
    result = fetch(make_set(tmp_path / "set", videos), tmp_path / "audio", "--jobs", 2)
    assert result.exit_code == 75 and "1 fetched, 0 dead, 1 to retry" in result.stdout


@pytest.mark.parametrize(
    "block", ["Sign in to confirm you\u2019re not a bot", "HTTP Error 429: Too Many Requests"]
)
@pytest.mark.parametrize("place", [0, 2, 4])
def test_an_address_that_is_partly_blocked_leaves_no_video_dead(
    fetch, stand_in, tmp_path, block, place
):
    """Bot checks and rate limits show a block, before or after other clips are fetched."""
    videos = many(5)
    stand_in.behave(
        {
            **{videos[i]: ("fail", "Video unavailable") for i in (1, 3)},
            videos[place]: ("fail", block),
        }
    )
    data, audio = make_set(tmp_path / "set", videos), tmp_path / "audio"
    result = fetch(data, audio, "--jobs", 1)
    assert result.exit_code == 75 and "2 fetched, 0 dead, 3 to retry" in result.stdout
    assert len(stand_in.log("start")) == 5  # none is requested again
    stand_in.behave({videos[1]: ("fail", "Video unavailable")})
    result = fetch(data, audio, "--jobs", 1)
    assert result.exit_code == 0 and "2 existed, 2 fetched, 1 dead" in result.stdout


def test_videos_with_an_age_limit_are_requested_again(fetch, stand_in, tmp_path):
    """The cookies of an account have this effect too. Many in a row say nothing about the site."""
    videos = many(15)
    text = f"Sign in to confirm your age. This video may be inappropriate for some users. {COOKIES}"
    stand_in.behave(dict.fromkeys(videos[:14], ("fail", text)))
    data, audio = make_set(tmp_path / "set", videos), tmp_path / "audio"
    result = fetch(data, audio, "--jobs", 1)
    assert result.exit_code == 75 and "1 fetched, 0 dead, 14 to retry" in result.stdout
    reason = f"[youtube] {videos[0]}: {' '.join(text.split())}"
    assert failures(audio)[videos[0]] == ("retry", reason)
    stand_in.behave({})
    result = fetch(data, audio)
    assert result.exit_code == 0 and "1 existed, 14 fetched, 0 dead" in result.stdout


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\t\t\n"),
        lambda text: text.replace("\n", "\t\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: "\n" + text.replace("\n", "\n\n\t\n"),
        lambda text: "\ufeff" + text.replace("\n", "\r\r\n"),
        lambda text: text.removesuffix("\n"),
    ],
)
def test_the_list_of_failures_as_programs_save_it(tmp_path, change):
    text = (
        "filename\tstatus\treason\n-abcdefghij_30.000_31.000.wav\tdead\tgone é\n"
        "_bcdefghijk_30.000_31.000.wav\tretry\t\n"
    )
    (tmp_path / "failures.tsv").write_bytes(change(text).encode())
    assert youtube_download.Failures(tmp_path / "failures.tsv").rows == {
        "-abcdefghij_30.000_31.000.wav": ("dead", "gone é"),
        "_bcdefghijk_30.000_31.000.wav": ("retry", ""),
    }


def test_a_block_leaves_no_video_dead(fetch, stand_in, tmp_path):
    data, audio, videos = make_set(tmp_path / "set", many(30)), tmp_path / "audio", many(30)
    stand_in.behave(
        {
            **dict.fromkeys(videos[:3], ("once", "0")),
            **dict.fromkeys(videos[3:], ("fail", "Video unavailable")),
        }
    )
    result = fetch(data, audio, "--jobs", 2)
    assert result.exit_code == 75 and "3 fetched, 0 dead, 27 to retry" in result.stdout
    assert "after 10 failures in a row" in result.stderr
    stand_in.behave({})
    assert fetch(data, audio).exit_code == 0


def test_a_failure_may_pass(fetch, stand_in, tmp_path):
    data, audio, videos = make_set(tmp_path / "set", many(7)), tmp_path / "audio", many(7)
    message = "Unable to download webpage: HTTP Error 429: Too Many Requests"
    stand_in.behave(
        {
            videos[0]: ("fail", message),
            videos[1]: ("half", "HTTP Error 403"),
            videos[2]: ("die", ""),
            videos[3]: ("garbage", ""),
            videos[4]: ("nothing", ""),
        }
    )
    result = fetch(data, audio)
    assert result.exit_code == 75 and "2 fetched, 0 dead, 5 to retry" in result.stdout
    assert (
        "5 of 7 clips must still be downloaded" in result.stderr
        and "failures.tsv" in result.stderr
        and message in result.stderr
    )
    assert sounds(audio) == [f"Y{video}_30.000_31.000.wav" for video in videos[5:]]
    found = failures(audio)
    assert set(found) == set(videos[:5]) and all(status == "retry" for status, _ in found.values())
    assert (
        found[videos[0]][1] == f"[youtube] {videos[0]}: {message}"
        and "exit status -9" in found[videos[2]][1]
    )
    assert "can't be read as sound" in found[videos[3]][1] and "no such file" in found[videos[4]][1]
    stand_in.asked()
    stand_in.behave({})
    result = fetch(data, audio)
    assert result.exit_code == 0 and "2 existed, 5 fetched, 0 dead, 0 to retry" in result.stdout
    assert stand_in.asked() == videos[:5] and failures(audio) == {} and len(sounds(audio)) == 7


def test_a_download_that_hangs_is_ended(fetch, stand_in, tmp_path, monkeypatch):
    monkeypatch.setattr(youtube_download, "CLIP_SECONDS", 0.5)
    stand_in.behave({IDS[0]: ("hang", "")})
    result = fetch(make_set(tmp_path / "set", [IDS[0], IDS[3]]), tmp_path / "audio")
    assert result.exit_code == 75 and failures(tmp_path / "audio") == {
        IDS[0]: ("retry", "the download took longer than 0.5 s")
    }
    assert len(sounds(tmp_path / "audio")) == 1
    assert all(gone(pid) for pid in stand_in.log("pid") + stand_in.log("child")) and stand_in.log(
        "child"
    )


def test_many_failures_in_a_row_stop_it(fetch, stand_in, tmp_path):
    data, audio, videos = make_set(tmp_path / "set", many(20)), tmp_path / "audio", many(20)
    stand_in.behave(dict.fromkeys(videos, ("fail", "timed out")))
    result = fetch(data, audio, "--jobs", 2)
    assert result.exit_code == 75 and "0 fetched, 0 dead, 20 to retry" in result.stdout
    assert (
        "after 10 failures in a row; the network may be down, or the site may block this computer"
        in result.stderr
    )
    assert 10 <= len(stand_in.asked()) <= 12 and len(failures(audio)) == 10 and sounds(audio) == []
    failed = set(failures(audio))
    stand_in.behave(dict.fromkeys(videos[:8], ("fail", "timed out")))
    result = fetch(data, audio)  # it starts with clips that were never tried
    assert result.exit_code == 75 and "12 fetched, 0 dead, 8 to retry" in result.stdout
    assert not failed & set(stand_in.log("start")[:8]) and "in a row" not in result.stderr


def test_failures_here_and_there_do_not_stop_it(fetch, stand_in, tmp_path, monkeypatch):
    """A success, and a removed video, show that the site answers."""
    monkeypatch.setattr(download, "MAX_RETRIES_IN_A_ROW", 3)
    videos = many(9)
    stand_in.behave(
        {
            **dict.fromkeys(videos, ("fail", "timed out")),
            videos[2]: ("make", ""),
            videos[5]: ("fail", "Private video"),
        }
    )
    result = fetch(make_set(tmp_path / "set", videos[:8]), tmp_path / "audio", "--jobs", 1)
    assert (
        result.exit_code == 75
        and "1 fetched, 1 dead, 6 to retry" in result.stdout
        and "in a row" not in result.stderr
    )
    assert len(failures(tmp_path / "audio")) == 7


def test_number_of_downloads_at_once(fetch, stand_in, tmp_path):
    clips = [*many(9), *(f"{IDS[0]}_{start}.000_{start + 1}.000.wav" for start in range(4))]
    stand_in.behave(dict.fromkeys([*many(9), IDS[0]], ("slow", "0.15")))
    assert fetch(make_set(tmp_path / "set", clips), tmp_path / "audio", "--jobs", 3).exit_code == 0
    running, most, video = 0, 0, 0
    for entry in stand_in.log():
        running += 1 if "start" in entry else -1
        video += (entry.get("start") == IDS[0]) - (entry.get("end") == IDS[0])
        most = max(most, running)
        assert video <= 1  # the clips of a video are fetched one after the other
    assert (running, most) == (0, 3) and len(sounds(tmp_path / "audio")) == 13


def test_a_worker_pauses(run, stand_in, tmp_path):
    assert (
        run(
            "download",
            make_set(tmp_path / "set", many(3)),
            tmp_path / "a",
            "--jobs",
            1,
            "--sleep-seconds",
            "0.3",
        ).exit_code
        == 0
    )
    times = [entry["time"] for entry in stand_in.log()]
    assert [b - a >= 0.3 for a, b in zip(times[1::2], times[2::2])] == [True, True]
    for wrong in ("nan", "inf"):
        assert (
            run("download", tmp_path / "set", tmp_path / "a", "--sleep-seconds", wrong).exit_code
            == 1
        )


def test_a_dry_run_only_prints(fetch, stand_in, tmp_path):
    data, audio = make_set(tmp_path / "set", IDS), tmp_path / "new"
    result = fetch(data, audio, "--dry-run")
    *lines, count = result.stdout.splitlines()
    assert result.exit_code == 0 and (
        count == "# clips to download: 5 of 5; clips of dead videos: 0"
    )
    assert [shlex.split(line) for line in lines] == [
        youtube_download.command_line("yt-dlp", f"{video}_30.000_31.000.wav", "1M")
        for video in sorted(IDS)
    ]
    assert not audio.exists() and stand_in.asked() == []
    stand_in.behave({IDS[0]: ("fail", "Private video"), IDS[1]: ("fail", "HTTP Error 500")})
    fetch(data, audio)
    before = {p: p.stat().st_mtime_ns for p in [audio, *audio.rglob("*")]}
    result = fetch(
        data, audio, "--dry-run", "--program", "no such program"
    )  # with nothing running, this is not an error
    assert result.stdout.splitlines()[1:] == [
        "# clips to download: 1 of 5; clips of dead videos: 1"
    ] and result.stdout.startswith("'no such program' ")
    assert before == {p: p.stat().st_mtime_ns for p in [audio, *audio.rglob("*")]}


def test_a_missing_program(fetch, stand_in, tmp_path, monkeypatch):
    data, audio = make_set(tmp_path / "set", IDS), tmp_path / "audio"
    result = fetch(data, audio, "--program", "yt-dlq")
    assert (
        result.exit_code == 1
        and "yt-dlq: no such program" in result.stderr
        and "pip install" in result.stderr
    )
    (tmp_path / "text").write_text("not a program")
    (tmp_path / "text").chmod(0o755)
    result = fetch(data, audio, "--program", tmp_path / "text")
    assert result.exit_code == 1 and "text: can't be run" in result.stderr and sounds(audio) == []
    stand_in.behave({IDS[0]: ("usage", "no such option: --download-sections")})
    result = fetch(data, audio, "--jobs", "1")
    assert (
        result.exit_code == 1
        and "yt-dlp refuses the options" in result.stderr
        and "check --limit-rate, or install a newer version" in result.stderr
        and "no such option" in result.stderr
    )
    (stand_in.folder / "ffmpeg").unlink()
    monkeypatch.setenv("PATH", str(stand_in.folder))
    result = fetch(data, tmp_path / "none")
    assert (
        result.exit_code == 1
        and "ffmpeg: no such program" in result.stderr
        and not (tmp_path / "none").exists()
    )


def test_a_program_by_its_path(fetch, stand_in, tmp_path, monkeypatch):
    """A relative path is found although processes run elsewhere; so is a program beside Python."""
    data = make_set(tmp_path / "set", IDS[:1])
    monkeypatch.chdir(tmp_path)
    assert (
        fetch(data, "a", "--program", "bin/yt-dlp").exit_code == 0
        and len(sounds(tmp_path / "a")) == 1
    )
    (tmp_path / "path").mkdir()
    (stand_in.folder / "ffmpeg").rename(tmp_path / "path" / "ffmpeg")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(sys, "executable", str(stand_in.folder / "python"))
    assert download.find_program("yt-dlp") == str(stand_in.folder / "yt-dlp")


@pytest.mark.parametrize("where", ["file", "file/audio", "/proc/audio"])
def test_a_folder_that_cannot_be_written(fetch, stand_in, tmp_path, where):
    (tmp_path / "file").touch()
    result = fetch(make_set(tmp_path / "set", IDS), tmp_path / where)
    assert result.exit_code == 1 and "can't be written" in result.stderr and stand_in.asked() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(fetch, stand_in, tmp_path):
    (tmp_path / "audio").mkdir(mode=0o555)
    result = fetch(make_set(tmp_path / "set", IDS), tmp_path / "audio")
    assert result.exit_code == 1 and "can't be written" in result.stderr and stand_in.asked() == []


def test_a_folder_that_becomes_unwritable(fetch, stand_in, tmp_path):
    """A folder in place of a clip is an error that names it, not a failure to retry."""
    name = f"Y{IDS[0]}_30.000_31.000.wav"
    (tmp_path / "audio" / name).mkdir(parents=True)
    result = fetch(make_set(tmp_path / "set", IDS), tmp_path / "audio", "--jobs", "1")
    assert (
        result.exit_code == 1
        and f"{name}: can't be read or written" in result.stderr
        and not list(tmp_path.glob("audio/.download*"))
    )


@pytest.mark.parametrize("folder", ["a b", 'it\'s "q" $HOME %(id)s', "-o", "~", "é\n*"])
def test_unusual_folder_names(fetch, stand_in, tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    data = make_set(tmp_path / "set", IDS[:2])
    assert fetch("--", data, folder).exit_code == 0
    assert len(sounds(tmp_path / folder)) == 2 and sorted(
        p.name for p in tmp_path.iterdir()
    ) == sorted(["bin", "set", folder])


def test_one_process_a_folder(fetch, stand_in, tmp_path):
    with atomic.locking(tmp_path / "audio" / ".lock"):
        result = fetch(make_set(tmp_path / "set", IDS), tmp_path / "audio")
    assert (
        result.exit_code == 1
        and f"process {os.getpid()} " in result.stderr
        and stand_in.asked() == []
    )


@pytest.mark.parametrize(
    "name",
    [
        "dog bark.wav",
        "Y-abcdefghij_0.000_1.000.wav",
        "-abcdefghij_0.000_1.000",
        "../../etc/x_0_1.wav",
        "-abcdefghij_5.000_5.000.wav",
        "-abcdefghij_0..1_2.wav",
        "ábcdefghijk_0_1.wav",
    ],
)
def test_clips_that_are_no_excerpts(fetch, stand_in, tmp_path, name):
    result = fetch(make_set(tmp_path / "set", [IDS[0], name]), tmp_path / "audio")
    assert (
        result.exit_code == 1 and f"{name!r} is not an excerpt of a YouTube video" in result.stderr
    )
    assert not (tmp_path / "audio").exists()


def test_the_list_of_failures_is_read_with_care(fetch, stand_in, tmp_path):
    data, audio = make_set(tmp_path / "set", IDS[:3]), tmp_path / "audio"
    audio.mkdir()
    good = "filename\tstatus\treason\n--abcdefghi_30.000_31.000.wav\tdead\tgone\n"
    for text, line in ((good + "x\tdead\n\n", 3), (good + "x\tgone\ty\n\n", 3), ("name\n", 1)):
        (audio / "failures.tsv").write_text(text)
        result = fetch(data, audio)
        assert (
            result.exit_code == 1
            and f"failures.tsv:{line}: expected the columns filename, status, reason"
            in result.stderr
        )
    (audio / "failures.tsv").write_bytes(good.encode() + b"-abcdefghij_30.000_31.0")  # half a line
    assert fetch(data, audio).exit_code == 0 and stand_in.asked() == sorted([IDS[0], IDS[2]])
    assert (audio / "failures.tsv").read_text() == good


def start(data, audio, *options):
    """Start `wsedtk download` as a separate process."""
    command = [
        sys.executable,
        "-m",
        "wsedtk",
        "download",
        data,
        audio,
        "--sleep-seconds",
        "0",
        *options,
    ]
    return subprocess.Popen(
        [str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def half_way(stand_in, audio):
    """Wait until a clip exists and two downloads hang."""
    for _ in range(500):
        if len(stand_in.log("child")) == 2 and list(audio.glob("*.wav")):
            return
        time.sleep(0.02)
    raise AssertionError("it never got half-way")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_stop_and_resume(fetch, stand_in, tmp_path, number):
    videos, audio = many(8), tmp_path / "audio dir"
    data = make_set(tmp_path / "set", videos)
    stand_in.behave(
        {videos[0]: ("fail", "Private video"), videos[3]: ("hang", ""), videos[4]: ("hang", "")}
    )
    process = start(data, audio, "--jobs", "2")
    half_way(stand_in, audio)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=10)
    if number == signal.SIGKILL:
        assert process.returncode == -9 and list(audio.glob(".download-*/part-Y*.wav"))
    else:
        assert (
            process.returncode == 75
            and "must still be downloaded; the download was stopped by a signal; run the same command again"
            in stderr
            and "Traceback" not in stderr
        )
        assert (
            "8 clips: 0 existed, 2 fetched, 1 dead, 5 to retry" in stdout
            and len(sounds(audio)) == 2
        )
        assert all(gone(pid) for pid in stand_in.log("pid") + stand_in.log("child"))
    assert failures(audio) == {videos[0]: ("dead", f"[youtube] {videos[0]}: Private video")}
    stand_in.end()  # processes of the killed run
    assert stand_in.asked() == videos[:5]
    stand_in.behave({})
    result = fetch(data, audio)
    assert (
        result.exit_code == 0
        and "8 clips: 2 existed, 5 fetched, 1 dead, 0 to retry" in result.stdout
    )
    assert stand_in.asked() == videos[3:] and len(sounds(audio)) == 7


def test_the_challenges_own_clips(fetch, stand_in, real_data, tmp_path):
    with open(real_data / "dcase2017" / "training_set.csv", encoding="utf-8", newline="") as file:
        rows = sorted(csv.reader(file))[:50]  # IDs that start with - and -- come first
    names = [f"{video}_{onset}_{offset}.wav" for video, onset, offset, *_ in rows]
    stand_in.behave(
        {rows[7][0]: ("fail", "Private video"), rows[11][0]: ("fail", "HTTP Error 500")}
    )
    data, audio = make_set(tmp_path / "set", names), tmp_path / "audio"
    result = fetch(data, audio, "--jobs", "8")
    assert (
        result.exit_code == 75
        and f"{len(names)} clips: 0 existed, 48 fetched, 1 dead, 1 to retry" in result.stdout
    )
    assert names[0].startswith("-") and sounds(audio) == sorted(
        f"Y{n}" for n in names if n not in (names[7], names[11])
    )
