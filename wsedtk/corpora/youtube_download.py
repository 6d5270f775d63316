"""Downloads of excerpts of YouTube videos by yt-dlp, one process for each clip."""

import collections
import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from wsedtk.audio import audio_files
from wsedtk.core.atomic import write_text
from wsedtk.core.errors import InputError
from wsedtk.corpora import youtube, youtube_errors
from wsedtk.data.tables import cut_blank

CLIP_SECONDS = 600  # the longest that one download may take
POLL_SECONDS = 0.02
PARTS = ".download-"
HEADER = "filename\tstatus\treason"


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
