"""download: the audio of YouTube excerpts, which yt-dlp fetches into one folder, one process a clip.

AUDIO_DIR/Y<ID>_<start>_<end>.wav    a clip; the Y protects IDs that begin with -
AUDIO_DIR/failures.tsv               filename  status  reason    what there is not: `dead` for good, or `retry` next time
AUDIO_DIR/.download-*/               files that are not whole yet, under names that no clip has
"""

import contextlib
import dataclasses
import os
import random
import re
import shlex
import shutil
import sys
import time

from wsedtk.core.atomic import locking
from wsedtk.core.errors import InputError, NotFinished
from wsedtk.core.progress import progress, say
from wsedtk.core.signals import noted
from wsedtk.corpora import youtube
from wsedtk.corpora.youtube_download import PARTS, Failures, _ask_again, _fetch, command_line
from wsedtk.data import datadir

MAX_RETRIES_IN_A_ROW = 10
_CLIP = re.compile(r"[A-Za-z0-9_-]{11}_[0-9.]+_[0-9.]+\.wav")


def find_program(name):
    """The absolute path of the program. Raises InputError, with what to install, where it or ffmpeg is missing."""
    beside_python = os.path.dirname(sys.executable)  # an environment's own, though it is not active
    found = shutil.which(
        name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), beside_python])
    )
    if found is None:
        raise InputError(
            f"{name}: no such program. The extra [download] of wsedtk brings yt-dlp, and so does "
            "`pip install 'yt-dlp[default,deno]'`; --program names another one"
        )
    if shutil.which("ffmpeg") is None:
        raise InputError(
            "ffmpeg: no such program; yt-dlp cuts and converts with it. Install it: `apt install ffmpeg`, "
            "`conda install ffmpeg`, or `brew install ffmpeg`"
        )
    return os.path.abspath(found)


def read_clips(data_sets):
    """The clips of data directories, each once. Raises InputError where one is no excerpt of a YouTube video."""
    clips = {}
    for data_set in data_sets:
        for name in datadir.read(data_set).filenames.tolist():
            clip = youtube.normal_name(name) if _CLIP.fullmatch(name) else None
            if clip is None or youtube.seconds_of(clip) <= 0:
                raise InputError(
                    f"{data_set}: {name!r} is no excerpt of a YouTube video: expected <11-character ID>_<start>_<end>.wav"
                )
            clips[clip] = None
    return sorted(clips)


def plan(clips, there, failures, retry_dead):
    """What to try, the clips of each video together, and the clips of dead videos: ([[clip, ...], ...], {clip: reason}).

    Videos that never failed come first, then those that failed longest ago: no run begins with what stopped the last one.
    """
    dead = {} if retry_dead else failures.dead_videos()
    missing = [clip for clip in clips if clip not in there]
    videos, last_failure = {}, {clip[:11]: i for i, clip in enumerate(failures.rows)}
    for clip in missing:
        if clip[:11] not in dead:
            videos.setdefault(clip[:11], []).append(clip)
    order = sorted(videos, key=lambda video: last_failure.get(video, -1))
    return [videos[video] for video in order], {
        clip: dead[clip[:11]] for clip in missing if clip[:11] in dead
    }


@dataclasses.dataclass
class _Outcomes:
    """What became of the clips of a run."""

    fetched: set = dataclasses.field(default_factory=set)
    unexplained: dict = dataclasses.field(default_factory=dict)  # {clip: (reason, when it ended)}
    proven: set = dataclasses.field(default_factory=set)  # unexplained; one begun later was fetched
    is_blocked: bool = False
    stopped: str | None = None  # why not all were tried


def _try_all(videos, failures, outcomes, description):
    """List the failures among the outcomes, an unexplained one as `retry`. Returns `_Outcomes`."""
    found, in_a_row = _Outcomes(), 0
    with contextlib.closing(outcomes):
        for clip, status, reason, begun in progress(outcomes, description, sum(map(len, videos))):
            if status == "fetched":
                in_a_row = 0
                found.fetched.add(clip)
                found.proven |= {c for c, (_, ended) in found.unexplained.items() if ended < begun}
                continue
            if status == "unexplained":
                found.unexplained[clip] = reason, time.monotonic()
            found.is_blocked |= status == "blocked"
            in_a_row = 0 if status in ("dead", "account") else in_a_row + 1
            failures.append(clip, "dead" if status == "dead" else "retry", reason)
            if status != "dead":
                say(f"download: {clip}: {reason}")
            if in_a_row == MAX_RETRIES_IN_A_ROW:
                found.stopped = (
                    f"stopped after {in_a_row} failures in a row: the network is "
                    "down, or the site blocks you"
                )
                break
    return found


def _list_dead(found, known, failures, *how):
    """List unexplained failures as `dead` where the site did not refuse everything.

    So it is where it refused nothing as `blocked`, and a download that was begun later succeeded,
    if need be one of the clips `known` again. how: further arguments of `_ask_again`.
    """
    again = "fetched"
    if found.unexplained.keys() - found.proven and known and not found.is_blocked:
        again = _ask_again(random.choice(known), *how)
        found.proven |= found.unexplained.keys() if again == "fetched" else set()
    if again in ("fetched", None) and not found.is_blocked:
        for clip in sorted(found.proven):
            failures.append(clip, "dead", found.unexplained[clip][0])


def run(data_sets, audio_dir, jobs, limit_rate, sleep_seconds, retry_dead, program, dry_run):
    """Fetch the audio that is missing, and list what can't be fetched; with `dry_run` only print the command lines.

    Raises NotFinished where clips are left that may be had another time.
    """
    if not 0 <= sleep_seconds < float("inf"):
        raise InputError(f"--sleep-seconds {sleep_seconds}: expected a number of seconds from 0")
    clips, failures_path = read_clips(data_sets), audio_dir / "failures.tsv"
    if dry_run:
        there = set(youtube.find_audio([audio_dir])[0].tolist()) if audio_dir.exists() else set()
        videos, dead = plan(clips, there, Failures(failures_path), retry_dead)
        commands = [
            shlex.join(command_line(program, clip, limit_rate))
            for video in videos
            for clip in video
        ]
        print(
            *commands,
            f"# {len(commands)} of {len(clips)} clips to fetch, {len(dead)} dead",
            sep="\n",
        )
        return
    program = find_program(program)
    with locking(audio_dir / ".lock"), noted() as signals:
        for folder in audio_dir.glob(f"{PARTS}*"):  # a killed run's
            shutil.rmtree(folder, ignore_errors=True)
        there, failures = set(youtube.find_audio([audio_dir])[0].tolist()), Failures(failures_path)
        videos, dead = plan(clips, there, failures, retry_dead)
        failures.rows.update({clip: ("dead", reason) for clip, reason in dead.items()})
        failures.write(there)
        outcomes = _fetch(videos, audio_dir, program, limit_rate, jobs, sleep_seconds, signals)
        description = f"download {audio_dir}"
        found = _try_all(videos, failures, outcomes, description)
        known = sorted(found.fetched or there.intersection(clips))
        _list_dead(found, known, failures, audio_dir, program, limit_rate, signals)
        fetched = found.fetched
        failures.write(there | fetched)
    num_there, dead = (
        sum(clip in there for clip in clips),
        plan(clips, there | fetched, failures, False)[1],
    )
    left = len(clips) - num_there - len(fetched) - len(dead)
    print(
        f"{audio_dir}: {len(clips)} clips: {num_there} there, {len(fetched)} fetched, {len(dead)} dead, {left} to retry"
    )
    if left:
        stopped = found.stopped or f"the reasons are in {failures_path}"
        stopped = "stopped by a signal" if signals else stopped
        raise NotFinished(
            f"{left} of {len(clips)} clips are not there yet; {stopped}. Run the same command again to go on"
        )
