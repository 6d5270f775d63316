"""Download excerpts of YouTube videos with yt-dlp. A separate process downloads each clip.

AUDIO_DIR/Y<ID>_<start>_<end>.wav    a clip; because of the Y, no file name begins with a hyphen
AUDIO_DIR/failures.tsv               filename, status and reason of each clip that could not be
                                     downloaded; the status is `dead` or `retry`
AUDIO_DIR/.download-*/               incomplete files
"""

import collections
import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Collection, Generator, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from wsedtk.audio import audio_files
from wsedtk.core.atomic import write_text
from wsedtk.core.errors import InputError
from wsedtk.corpora import youtube, youtube_errors
from wsedtk.data.tables import cut_blank

CLIP_SECONDS = 600  # maximum time for the download of one clip
POLL_SECONDS = 0.02
PARTS = ".download-"
HEADER = "filename\tstatus\treason"


class Failure(NamedTuple):
    """The reason why a clip could not be downloaded. The status is "dead" or "retry"."""

    status: str
    reason: str


class Outcome(NamedTuple):
    """The result of the download of one clip.

    Attributes
    ----------
    clip : str
        The name of the clip.
    status : str
        "fetched", or a verdict of `youtube_errors`.
    reason : str
        The reason for a failure; "" if the clip was downloaded.
    started : float
        The time at which the download started, according to `time.monotonic`.
    """

    clip: str
    status: str
    reason: str
    started: float


def command_line(program: str, clip: str, limit_rate: str) -> list[str]:
    """Return the command that downloads a clip to the file `part-Y<clip>` in the current folder.

    Parameters
    ----------
    program : str
        The name or the path of yt-dlp.
    clip : str
        The name of the clip.
    limit_rate : str
        The maximum rate in bytes per second, in the notation of yt-dlp.
    """
    video = clip[:11]
    start, end = clip[12:].removesuffix(".wav").split("_")
    # --download-sections cuts only between packets. Without -t, a clip could be 26 ms too long.
    seconds = f"{youtube.seconds_of(clip):.3f}"
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


def _last_error(text: str) -> str:
    """Return the last error message in the text that a program wrote to stderr, as one line."""
    _, mark, error = text.rpartition("ERROR:")
    lines = [error] if mark else [line for line in text.splitlines() if line.strip()][-1:]
    return re.sub(r"[\s\x00-\x1f\x7f]+", " ", "".join(lines)).strip()[:1000]


@contextlib.contextmanager
def _using(path: Path) -> Iterator[None]:
    """Convert an OSError in the block to an InputError whose message contains the path."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: can't be read or written: {error.strerror or error}") from error


class Failures:
    """The last failure of each clip that could not be downloaded. The oldest failure comes first.

    Parameters
    ----------
    path : Path
        The file failures.tsv, which contains these failures. It need not exist.

    Raises
    ------
    InputError
        If the file cannot be read, if its header is invalid, or if a row is invalid. An invalid
        last row without a line end is ignored.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, Failure] = {}
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
        for position, (number, fields) in enumerate(rows):
            if position == 0 and [field.strip().lower() for field in fields] == columns:
                continue
            if position > 0 and len(fields) == 3 and fields[1] in ("dead", "retry"):
                self._set(fields[0], Failure(fields[1], fields[2]))
            elif position == 0 or number < len(lines):  # a crash can truncate the last line
                raise InputError(
                    f"{path}:{number}: expected the columns {', '.join(columns)}, separated by "
                    "tabs, with a header in the first line and the status dead or retry in all "
                    f"other lines, found {lines[number - 1]!r}; correct the line, or remove the "
                    "file"
                )

    def _set(self, clip: str, failure: Failure) -> None:
        self.rows.pop(clip, None)  # the latest failure comes last
        self.rows[clip] = failure

    def append(self, clip: str, failure: Failure) -> None:
        """Add a failure, and append it to the file immediately."""
        self._set(clip, failure)
        with _using(self.path), open(self.path, "a", encoding="utf-8", newline="\n") as file:
            file.write("\t".join([clip, *failure]) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def write(self, there: Collection[str]) -> None:
        """Remove the failures of clips that exist now (`there`), and rewrite the file."""
        self.rows = {clip: row for clip, row in self.rows.items() if clip not in there}
        lines = [HEADER, *("\t".join([clip, *row]) for clip, row in self.rows.items())]
        write_text(self.path, "".join(f"{line}\n" for line in lines))

    def dead_videos(self) -> dict[str, str]:
        """Return {ID: reason} of the videos whose last failure has the status "dead"."""
        last = {clip[:11]: row for clip, row in self.rows.items()}
        return {video: row.reason for video, row in last.items() if row.status == "dead"}


class _Download:
    """A process that downloads the first clip of `clips`, which are clips of the same video."""

    def __init__(self, clips: Sequence[str], settings: "Downloads", folder: Path) -> None:
        self.clips, self.program = clips, settings.program
        self.part = folder / f"part-Y{clips[0]}"
        self.started = time.monotonic()
        self.deadline = self.started + CLIP_SECONDS
        with _using(folder):
            self.errors: IO[bytes] = open(self.part.with_suffix(".err"), "w+b")
        try:
            self.process = subprocess.Popen(
                command_line(settings.program, clips[0], settings.limit_rate),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self.errors,
                start_new_session=True,
            )
        except OSError as error:
            self.errors.close()
            raise InputError(
                f"{settings.program}: can't be run: {error.strerror or error}; "
                "give the path of yt-dlp with --program"
            ) from None

    def has_ended(self) -> bool:
        """Return whether the process has ended or has exceeded its time limit."""
        return self.process.poll() is not None or time.monotonic() > self.deadline

    def end(self) -> None:
        """If the process still runs, kill it and its child processes. Remove temporary files."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.errors.close()
        for file in self.part.parent.glob(f"{self.part.stem}.*"):
            file.unlink(missing_ok=True)

    def outcome(self, audio_dir: Path) -> Outcome:
        """Return the outcome. A downloaded clip is moved to `audio_dir`."""
        status, reason = self._status(audio_dir)
        return Outcome(self.clips[0], status, reason, self.started)

    def _status(self, audio_dir: Path) -> tuple[str, str]:
        clip, exit_status = self.clips[0], self.process.poll()
        name = Path(self.program).name
        self.errors.seek(0)
        reason = _last_error(self.errors.read().decode("utf-8", "replace"))
        if exit_status is None:
            return "retry", f"the download took longer than {CLIP_SECONDS} s"
        if exit_status == 2:
            raise InputError(
                f"{self.program} refuses the options ({reason}); check --limit-rate, or install a "
                "newer version of yt-dlp"
            )
        if exit_status != 0:
            verdict = youtube_errors.verdict(clip[:11], reason)
            return verdict, reason or f"{name} ended with exit status {exit_status} and no message"
        try:
            if audio_files.info(self.part).duration == 0:
                raise InputError("the file contains no samples")
        except InputError as error:
            return "retry", f"{name} wrote no valid sound file: {_last_error(str(error))}"
        with _using(audio_dir / f"Y{clip}"):
            with open(self.part, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(self.part, audio_dir / f"Y{clip}")
        return "fetched", ""


def _end_all(downloads: list[_Download]) -> None:
    for download in downloads:
        download.end()


@dataclasses.dataclass(frozen=True)
class Downloads:
    """The settings of downloads.

    Attributes
    ----------
    program : str
        The name or the path of yt-dlp.
    limit_rate : str
        The maximum rate of a download in bytes per second, in the notation of yt-dlp.
    jobs : int
        Number of concurrent downloads.
    sleep_seconds : float
        The minimum time in seconds between the end of a download and the start of the download
        that replaces it.
    signals : sequence of str
        The names of the signals that have arrived. The downloads stop after the first signal.
    """

    program: str
    limit_rate: str
    jobs: int
    sleep_seconds: float
    signals: Sequence[str]

    def fetch(
        self, videos: Sequence[Sequence[str]], audio_dir: Path
    ) -> Generator[Outcome, None, None]:
        """Download clips. The clips of one video are downloaded one after the other.

        If the generator is closed, running downloads are killed and incomplete files are removed.

        Parameters
        ----------
        videos : sequence of sequence of str
            The clips of each video.
        audio_dir : Path
            The folder to write the clips to.

        Yields
        ------
        Outcome
            The outcome of each clip. If the status of a clip is "dead", the remaining clips of its
            video are not downloaded, and their status is "dead", too. If a signal arrives, the
            generator ends, and the other clips have no outcome.
        """
        waiting = collections.deque(videos)
        running: list[_Download] = []
        free = [0.0] * self.jobs  # the times at which further downloads may start, ascending
        with contextlib.ExitStack() as stack:
            with _using(audio_dir):
                folder = stack.enter_context(_parts_folder(audio_dir))
            stack.callback(_end_all, running)
            while (waiting or running) and not self.signals:
                while waiting and free and free[0] <= time.monotonic():
                    running.append(_Download(waiting.popleft(), self, Path(folder)))
                    free.pop(0)
                for download in [one for one in running if one.has_ended()]:
                    outcome = download.outcome(audio_dir)
                    download.end()
                    running.remove(download)
                    free.append(time.monotonic() + self.sleep_seconds)
                    yield outcome
                    _, *rest = download.clips
                    if outcome.status == "dead":
                        yield from (outcome._replace(clip=other) for other in rest)
                    elif rest:
                        waiting.appendleft(rest)
                time.sleep(POLL_SECONDS)

    def ask_again(self, clip: str, audio_dir: Path) -> str | None:
        """Download a clip again, and discard the file.

        Return the status of the download, or None if a signal arrives before the download ends.
        """
        with _using(audio_dir), _parts_folder(audio_dir) as folder:
            once = dataclasses.replace(self, jobs=1, sleep_seconds=0.0)
            return next((one.status for one in once.fetch([[clip]], Path(folder))), None)


def _parts_folder(audio_dir: Path) -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix=PARTS, dir=audio_dir, ignore_cleanup_errors=True)
