"""download: clips that are excerpts of YouTube videos -> sound files in one folder.

yt-dlp downloads the audio. `wsedtk.corpora.youtube_download` documents the files in the folder.
"""

import contextlib
import dataclasses
import logging
import os
import random
import re
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from wsedtk.core.atomic import locking
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike, as_paths
from wsedtk.core.progress import progress
from wsedtk.core.signals import StopSignals, unhandled
from wsedtk.corpora import youtube
from wsedtk.corpora.youtube_download import (
    PARTS,
    Downloads,
    Failure,
    Failures,
    Outcome,
    command_line,
)
from wsedtk.data import datadir
from wsedtk.stages.options.corpora import DownloadOptions

_LOG = logging.getLogger(__name__)


MAX_RETRIES_IN_A_ROW = 10
_CLIP = re.compile(r"[A-Za-z0-9_-]{11}_[0-9.]+_[0-9.]+\.wav")


@dataclasses.dataclass(frozen=True)
class DownloadPlan:
    """The result of `plan`: the downloads that `run` would start.

    Attributes
    ----------
    commands : tuple of list of str
        The command line of each clip to download.
    num_clips : int
        Number of clips of the data directories.
    num_dead : int
        Number of missing clips that are not tried, because failures.tsv lists their videos as dead
        (not available).
    """

    commands: tuple[list[str], ...]
    num_clips: int
    num_dead: int


@dataclasses.dataclass(frozen=True)
class DownloadResult:
    """The result of `run`: the audio that was downloaded.

    Attributes
    ----------
    audio_dir : Path
        The folder with the audio.
    failures : Path
        The table of the clips that could not be downloaded, with the reasons.
    num_clips : int
        Number of clips of the data directories.
    num_there : int
        Number of clips whose audio existed before the run.
    fetched : tuple of str
        The clips that were downloaded.
    dead : mapping of str to str
        The missing clips of dead videos, with the reasons.
    left : tuple of str
        The clips that the next run will try to download. With `retry_dead`, the next run will also
        try the clips in `dead`.
    stopped : str or None
        The reason why the run stopped early. None if it did not stop early.
    """

    audio_dir: Path
    failures: Path
    num_clips: int
    num_there: int
    fetched: tuple[str, ...]
    dead: Mapping[str, str]
    left: tuple[str, ...]
    stopped: str | None


class _Order(NamedTuple):
    """The clips to try, grouped by video, and the missing clips of dead videos with the reasons."""

    videos: list[list[str]]
    dead: dict[str, str]


def find_program(name: str) -> str:
    """Return the absolute path of the downloader.

    Raises
    ------
    InputError
        If the downloader or ffmpeg is missing. The message says how to install this program.
    """
    # If the Python environment is not activated, PATH does not contain the folder of its programs.
    beside_python = os.path.dirname(sys.executable)
    search_path = os.pathsep.join([os.environ.get("PATH", os.defpath), beside_python])
    found = shutil.which(name, path=search_path)
    if found is None:
        raise InputError(
            f"{name}: no such program; install yt-dlp with `pip install 'yt-dlp[default,deno]'` or "
            "with the extra [download] of wsedtk, or choose another program (--program)"
        )
    if shutil.which("ffmpeg") is None:
        raise InputError(
            "ffmpeg: no such program; yt-dlp needs it to cut and convert audio; install it with "
            "`apt install ffmpeg`, `conda install ffmpeg` or `brew install ffmpeg`"
        )
    return os.path.abspath(found)


def read_clips(data_sets: Collection[PathLike]) -> list[str]:
    """Return the clips of data directories, sorted and without repetitions.

    Raises
    ------
    InputError
        If a data directory is wrong, or a clip is not an excerpt of a YouTube video.
    """
    clips = set()
    for data_set in data_sets:
        for name in datadir.read(data_set).filenames.tolist():
            clip = youtube.normal_name(name) if _CLIP.fullmatch(name) else None
            if clip is None or youtube.seconds_of(clip) <= 0:
                raise InputError(
                    f"{data_set}: {name!r} is not an excerpt of a YouTube video; expected a name "
                    "of the form <11-character ID>_<start>_<end>.wav with times in seconds, and "
                    "<start> before <end>"
                )
            clips.add(clip)
    return sorted(clips)


def _order(
    clips: Sequence[str], there: Collection[str], failures: Failures, retry_dead: bool
) -> _Order:
    """Return the clips to try and the clips of dead videos. Clips in `there` are left out.

    With `retry_dead`, no video is treated as dead.

    Videos that never failed come first. The other videos follow in the order of their last failure,
    with the oldest failure first. Therefore the videos whose failures stopped the previous run come
    last.
    """
    dead = {} if retry_dead else failures.dead_videos()
    missing = [clip for clip in clips if clip not in there]
    last_failure = {clip[:11]: i for i, clip in enumerate(failures.rows)}
    videos: dict[str, list[str]] = {}
    for clip in missing:
        if clip[:11] not in dead:
            videos.setdefault(clip[:11], []).append(clip)
    order = sorted(videos, key=lambda video: last_failure.get(video, -1))
    dead_clips = {clip: dead[clip[:11]] for clip in missing if clip[:11] in dead}
    return _Order([videos[video] for video in order], dead_clips)


@dataclasses.dataclass
class _Outcomes:
    """The outcomes of the clips of a run.

    Attributes
    ----------
    fetched : set of str
        The clips that were downloaded.
    unexplained : dict of str to (str, float)
        For each clip with an unexplained failure, the error message and the time of the failure
        according to `time.monotonic`.
    proven : set of str
        The clips of `unexplained` whose failure does not mean that the site blocks this computer:
        after the failure, another download started and succeeded.
    is_blocked : bool
        Whether the site refused a download.
    stopped : str or None
        The reason why the run stopped early. None if it did not stop early.
    """

    fetched: set[str] = dataclasses.field(default_factory=set)
    unexplained: dict[str, tuple[str, float]] = dataclasses.field(default_factory=dict)
    proven: set[str] = dataclasses.field(default_factory=set)
    is_blocked: bool = False
    stopped: str | None = None


def _try_all(
    outcomes: Iterator[Outcome], failures: Failures, description: str, num_clips: int
) -> _Outcomes:
    """Download clips, and list failures in failures.tsv as `dead` or `retry`.

    Failures whose status is not `dead`, such as unexplained failures, are listed as `retry`. The
    downloads stop after `MAX_RETRIES_IN_A_ROW` consecutive failures whose status is neither `dead`
    nor `account`.
    """
    found, num_in_a_row = _Outcomes(), 0
    for outcome in progress(outcomes, description, num_clips):
        clip, status, reason, started = outcome
        if status == "fetched":
            num_in_a_row = 0
            found.fetched.add(clip)
            found.proven |= {c for c, (_, ended) in found.unexplained.items() if ended < started}
            continue
        if status == "unexplained":
            found.unexplained[clip] = reason, time.monotonic()
        found.is_blocked |= status == "blocked"
        num_in_a_row = 0 if status in ("dead", "account") else num_in_a_row + 1
        failures.append(clip, Failure("dead" if status == "dead" else "retry", reason))
        if status != "dead":
            _LOG.info(f"download: {clip}: {reason}")
        if num_in_a_row == MAX_RETRIES_IN_A_ROW:
            found.stopped = (
                f"the download was stopped after {num_in_a_row} failures in a row; the "
                "network may be down, or the site may block this computer"
            )
            break
    return found


def _list_dead(
    found: _Outcomes,
    known: Sequence[str],
    failures: Failures,
    ask_again: Callable[[str], str | None],
) -> None:
    """List clips with an unexplained failure as `dead` if the site still delivers other clips.

    If the site has refused a download (`is_blocked`), no clip is listed. If all clips with an
    unexplained failure are in `found.proven`, all of them are listed. Otherwise, one clip of
    `known` is downloaded again:

    - If this download succeeds, all clips with an unexplained failure are listed.
    - If this download fails, no clip is listed.
    - If a signal interrupts this download, or if `known` is empty, only the clips in
      `found.proven` are listed.
    """
    again: str | None = "fetched"
    if found.unexplained.keys() - found.proven and known and not found.is_blocked:
        again = ask_again(random.choice(known))
        if again == "fetched":
            found.proven |= found.unexplained.keys()
    if again in ("fetched", None) and not found.is_blocked:
        for clip in sorted(found.proven):
            failures.append(clip, Failure("dead", found.unexplained[clip][0]))


def _clips_there(audio_dir: Path) -> set[str]:
    names: list[str] = youtube.find_audio([audio_dir])[0].tolist()
    return set(names)


def plan(options: DownloadOptions) -> DownloadPlan:
    """Return the downloads that `run` would start. Nothing is downloaded or written.

    Raises
    ------
    InputError
        If a data directory or the table of failures is wrong.
    """
    audio_dir = Path(options.audio_dir)
    clips = read_clips(as_paths(options.data_sets))
    there = _clips_there(audio_dir) if audio_dir.exists() else set()
    failures = Failures(audio_dir / "failures.tsv")
    videos, dead = _order(clips, there, failures, options.retry_dead)
    commands = tuple(
        command_line(options.program, clip, options.limit_rate)
        for video in videos
        for clip in video
    )
    return DownloadPlan(commands, len(clips), len(dead))


def run(options: DownloadOptions, *, stop_signals: StopSignals = unhandled) -> DownloadResult:
    """Download the audio that is missing, as `wsedtk download` does.

    Clips that cannot be downloaded are listed in AUDIO_DIR/failures.tsv.

    Parameters
    ----------
    options : DownloadOptions
        The data directories, the folder and the settings.
    stop_signals : callable, optional
        Returns a context manager that yields a list. When the name of a signal, such as "SIGTERM",
        is appended to the list, the download stops. By default, no signal is handled.

    Returns
    -------
    DownloadResult

    Raises
    ------
    InputError
        If an input is wrong, a program is missing, or another process is downloading to the folder.

    Examples
    --------
    >>> result = run(DownloadOptions(["data/train", "data/test"], "audio", jobs=2))
    >>> len(result.fetched), result.left
    """
    audio_dir = Path(options.audio_dir)
    clips, failures_path = read_clips(as_paths(options.data_sets)), audio_dir / "failures.tsv"
    program = find_program(options.program)
    with locking(audio_dir / ".lock"), stop_signals() as signals:
        for folder in audio_dir.glob(f"{PARTS}*"):  # incomplete files of a run that was killed
            shutil.rmtree(folder, ignore_errors=True)
        there, failures = _clips_there(audio_dir), Failures(failures_path)
        videos, dead = _order(clips, there, failures, options.retry_dead)
        failures.rows.update({clip: Failure("dead", reason) for clip, reason in dead.items()})
        failures.write(there)
        downloads = Downloads(
            program, options.limit_rate, options.jobs, options.sleep_seconds, signals
        )
        with contextlib.closing(downloads.fetch(videos, audio_dir)) as outcomes:
            num_clips = sum(map(len, videos))
            found = _try_all(outcomes, failures, f"download {audio_dir}", num_clips)
        known = sorted(found.fetched or there.intersection(clips))
        _list_dead(found, known, failures, lambda clip: downloads.ask_again(clip, audio_dir))
        failures.write(there | found.fetched)
        stopped = "the download was stopped by a signal" if signals else found.stopped
    have = there | found.fetched
    dead = _order(clips, have, failures, False).dead
    return DownloadResult(
        audio_dir,
        failures_path,
        len(clips),
        sum(clip in there for clip in clips),
        tuple(sorted(found.fetched)),
        dead,
        tuple(clip for clip in clips if clip not in have and clip not in dead),
        stopped,
    )
