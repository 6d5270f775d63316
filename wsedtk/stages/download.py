"""download: the audio of YouTube excerpts, which yt-dlp fetches into one folder, one process a clip.

AUDIO_DIR/Y<ID>_<start>_<end>.wav    a clip; the Y protects IDs that begin with -
AUDIO_DIR/failures.tsv               filename  status  reason    what there is not: `dead` for good, or `retry` next time
AUDIO_DIR/.download-*/               files that are not whole yet, under names that no clip has
"""

import collections
import contextlib
import dataclasses
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from wsedtk.audio import audio_files
from wsedtk.core.atomic import locking, write_text
from wsedtk.core.errors import InputError, NotFinished
from wsedtk.core.progress import progress, say
from wsedtk.core.signals import noted
from wsedtk.corpora import youtube, youtube_errors
from wsedtk.data import datadir
from wsedtk.data.tables import cut_blank

CLIP_SECONDS = 600  # the longest that one download may take
MAX_RETRIES_IN_A_ROW = 10
POLL_SECONDS = 0.02
PARTS = ".download-"
HEADER = "filename\tstatus\treason"
_CLIP = re.compile(r"[A-Za-z0-9_-]{11}_[0-9.]+_[0-9.]+\.wav")


def command_line(program, clip, limit_rate):
    """The command that makes `part-Y<clip>` in the folder that it runs in: the arguments, as a list."""
    video, start, end = clip[:11], *clip[12:].removesuffix(".wav").split("_")
    seconds = (
        f"{youtube.seconds_of(clip):.3f}"  # of what it cuts whole packets remain, up to 26 ms more
    )
    return [
        program,
        "--ignore-config",
        "--no-cache-dir",
        "--no-playlist",
        "--quiet",
        "--no-warnings",
        "--no-mtime",
        "--socket-timeout",
        "30",
        "--limit-rate",
        limit_rate,
        "--format",
        "bestaudio/best",
        "--download-sections",
        f"*{start}-{end}",
        "--extract-audio",
        "--audio-format",
        "wav",
        "--postprocessor-args",
        f"ExtractAudio:-t {seconds}",
        "--output",
        f"part-Y{clip.removesuffix('.wav')}.%(ext)s",
        "--",
        f"https://www.youtube.com/watch?v={video}",
    ]


def _last_error(text):
    """The last error in what the program wrote on stderr, in one line."""
    before, mark, error = text.rpartition("ERROR:")
    lines = [error] if mark else [line for line in text.splitlines() if line.strip()][-1:]
    return re.sub(r"[\s\x00-\x1f\x7f]+", " ", "".join(lines)).strip()[:1000]


@contextlib.contextmanager
def _using(path):
    """Turn the system's refusals into an InputError that names the path."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: can't be read or written: {error.strerror or error}") from error


class Failures:
    """failures.tsv: the last failure of each clip that is not there, {clip: (`dead` or `retry`, reason)}, the oldest first."""

    def __init__(self, path):
        self.path, self.rows = path, {}
        columns, text = HEADER.split("\t"), HEADER
        with _using(path):
            if path.exists():
                text = path.read_bytes().decode("utf-8-sig", "replace")
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        rows = [
            (number, cut_blank(line.split("\t"), len(columns)))
            for number, line in enumerate(lines, 1)
            if line.strip()
        ]
        for place, (number, fields) in enumerate(rows):
            if place == 0 and [field.strip().lower() for field in fields] == columns:
                continue
            if place > 0 and len(fields) == 3 and fields[1] in ("dead", "retry"):
                self._set(*fields)
            elif place == 0 or number < len(lines):  # a machine that goes down leaves half a line
                raise InputError(
                    f"{path}:{number}: expected filename, dead or retry, and the reason, with tabs "
                    f"between them and the header {columns}, found {lines[number - 1]!r}; mend it, "
                    "or remove the file"
                )

    def _set(self, clip, status, reason):
        self.rows.pop(clip, None)  # to the end
        self.rows[clip] = (status, reason)

    def append(self, clip, status, reason):
        """Add a failure, to the file too, at once."""
        self._set(clip, status, reason)
        with _using(self.path), open(self.path, "a", encoding="utf-8", newline="\n") as file:
            file.write(f"{clip}\t{status}\t{reason}\n")
            file.flush()
            os.fsync(file.fileno())

    def write(self, there):
        """Write the file anew, without the clips that are there."""
        self.rows = {clip: row for clip, row in self.rows.items() if clip not in there}
        write_text(
            self.path,
            "".join(
                f"{line}\n"
                for line in [HEADER, *("\t".join([clip, *row]) for clip, row in self.rows.items())]
            ),
        )

    def dead_videos(self):
        """{ID: reason} of the videos whose last failure says that they are dead."""
        last = {clip[:11]: row for clip, row in self.rows.items()}
        return {video: reason for video, (status, reason) in last.items() if status == "dead"}


class _Download:
    """A running process that fetches the first of a video's clips."""

    def __init__(self, clips, program, limit_rate, folder):
        self.clips, self.part = clips, folder / f"part-Y{clips[0]}"
        self.started = time.monotonic()
        self.deadline = self.started + CLIP_SECONDS
        with _using(folder):
            self.errors = open(self.part.with_suffix(".err"), "w+b")
        try:
            self.process = subprocess.Popen(
                command_line(program, clips[0], limit_rate),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self.errors,
                start_new_session=True,
            )
        except OSError as error:
            self.errors.close()
            raise InputError(f"{program}: can't be run: {error.strerror or error}") from None

    def has_ended(self):
        """Whether there is an outcome."""
        return self.process.poll() is not None or time.monotonic() > self.deadline

    def end(self):
        """End the process and those that it started, and remove what it made."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.errors.close()
        for file in self.part.parent.glob(f"{self.part.stem}.*"):
            file.unlink(missing_ok=True)

    def outcome(self, audio_dir):
        """(`fetched`, the clip lying in `audio_dir`, or a verdict of `youtube_errors`; and why)."""
        clip, status = self.clips[0], self.process.poll()
        self.errors.seek(0)
        reason = _last_error(self.errors.read().decode("utf-8", "replace"))
        if status is None:
            return "retry", f"took longer than {CLIP_SECONDS} s"
        if status == 2:
            raise InputError(
                f"{self.process.args[0]} doesn't take these options; is it an old one? It says: {reason}"
            )
        if status != 0:
            return (
                youtube_errors.verdict(clip[:11], reason),
                reason or f"exit status {status}, without a message",
            )
        try:
            if audio_files.info(self.part).duration == 0:
                raise InputError("holds no samples")
        except InputError as error:
            return (
                "retry",
                f"what {Path(self.process.args[0]).name} made is no sound: {_last_error(str(error))}",
            )
        with _using(audio_dir / f"Y{clip}"):
            with open(self.part, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(self.part, audio_dir / f"Y{clip}")
        return "fetched", ""


def _fetch(videos, audio_dir, program, limit_rate, jobs, sleep_seconds, signals):
    """Download clips, `jobs` at once but those of a video one after the other, until `signals` holds one.

    videos: the clips of each, a list of lists. Yields (clip, status, reason, when it was begun) as
    they end, see `_Download.outcome`; of a dead video all clips that are left, untried. Whatever
    runs when the generator is closed is ended, and what is not whole removed.
    """
    waiting, running, free = (
        collections.deque(videos),
        [],
        [0.0] * jobs,
    )  # when each free worker may go on, in order
    with contextlib.ExitStack() as stack:
        with _using(audio_dir):
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix=PARTS, dir=audio_dir, ignore_cleanup_errors=True)
            )
        stack.callback(lambda: [download.end() for download in running])
        while (waiting or running) and not signals:
            while waiting and free and free[0] <= time.monotonic():
                running.append(_Download(waiting.popleft(), program, limit_rate, Path(folder)))
                free.pop(0)
            for download in [d for d in running if d.has_ended()]:
                status, reason = download.outcome(audio_dir)
                download.end()
                running.remove(download)
                free.append(time.monotonic() + sleep_seconds)
                clip, *rest = download.clips
                yield clip, status, reason, download.started
                if status == "dead":
                    yield from ((other, status, reason, download.started) for other in rest)
                elif rest:
                    waiting.appendleft(rest)
            time.sleep(POLL_SECONDS)


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


def _ask_again(clip, audio_dir, program, limit_rate, signals):
    """Download a clip that could be had, and throw it away. Returns its outcome, or None."""
    with (
        _using(audio_dir),
        tempfile.TemporaryDirectory(
            prefix=PARTS, dir=audio_dir, ignore_cleanup_errors=True
        ) as folder,
    ):
        outcomes = _fetch([[clip]], Path(folder), program, limit_rate, 1, 0, signals)
        return next((status for _, status, *_ in outcomes), None)


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
