"""Options of the stages that make and check data directories."""

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
        Also open each sound file.
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
        The data directories whose audio is fetched.
    audio_dir : path-like
        The folder to write the sound files to.
    jobs : int
        Number of concurrent downloads.
    limit_rate : str
        Bytes per second of a download (500K, 1M, ...). It is passed to yt-dlp, which applies it
        unless ffmpeg downloads.
    sleep_seconds : float
        Pause in seconds after each download, before the next one starts in its place.
    retry_dead : bool
        Try the videos again that are listed as dead.
    program : str
        The downloader, or a script that runs it with more options.

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
                f"--sleep-seconds {self.sleep_seconds}: expected a number of seconds from 0"
            )
