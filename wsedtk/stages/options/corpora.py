"""Options of `validate` and `download`."""

import dataclasses
import math
from collections.abc import Sequence

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.stages.options.checks import check_fields, check_range


@dataclasses.dataclass(frozen=True)
class ValidateOptions:
    """The inputs and the settings of `validate`.

    Parameters
    ----------
    data_sets : path-like, or sequence of path-like
        The data directories.
    audio : bool
        Also open each sound file, and check its content.
    jobs : int
        Number of processes that open sound files.

    Raises
    ------
    InputError
        If `jobs` is less than 1.
    """

    data_sets: PathLike | Sequence[PathLike]
    _: dataclasses.KW_ONLY
    audio: bool = False
    jobs: int = 1

    def __post_init__(self) -> None:
        check_fields(self)
        check_range("jobs", self.jobs, 1)


@dataclasses.dataclass(frozen=True)
class DownloadOptions:
    """The inputs, the output and the settings of `download`.

    Parameters
    ----------
    data_sets : path-like, or sequence of path-like
        The data directories whose audio is downloaded.
    audio_dir : path-like
        The folder to write the sound files to.
    jobs : int
        Number of concurrent downloads.
    limit_rate : str
        The maximum rate of each download, in bytes per second (500K, 1M, ...). It is passed to
        yt-dlp. It has no effect if yt-dlp downloads with ffmpeg, as current versions do for
        excerpts of videos.
    sleep_seconds : float
        Pause in seconds after each download. Other downloads that are running continue during the
        pause.
    retry_dead : bool
        Also try to download clips of videos that failures.tsv lists as dead.
    program : str
        The name or path of yt-dlp, or of a script that runs yt-dlp with further options.

    Raises
    ------
    InputError
        If a number is out of its range.
    """

    data_sets: PathLike | Sequence[PathLike]
    audio_dir: PathLike
    _: dataclasses.KW_ONLY
    jobs: int = 4
    limit_rate: str = "1M"
    sleep_seconds: float = 1.0
    retry_dead: bool = False
    program: str = "yt-dlp"

    def __post_init__(self) -> None:
        check_fields(self)
        check_range("jobs", self.jobs, 1)
        if not (0 <= self.sleep_seconds and math.isfinite(self.sleep_seconds)):
            raise InputError(
                f"sleep_seconds: found {self.sleep_seconds}; expected a finite number of at least 0"
            )
