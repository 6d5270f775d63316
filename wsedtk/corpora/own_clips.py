"""Find the clips of a user's own recording, and cut the recording if it is too long."""

from pathlib import Path
from typing import NamedTuple

from wsedtk.audio import audio_files, cutting
from wsedtk.core.errors import InputError
from wsedtk.data.clip_names import LONGEST_SECONDS, without_extension

AUDIO = "audio"  # the folder of the clips that were cut from long recordings
SLACK = 0.001  # a recording that exceeds the duration of a clip by less than this is not cut


class Cut(NamedTuple):
    """How recordings are cut into clips, and which events a clip has.

    Attributes
    ----------
    clip_seconds : float
        The duration of a clip in seconds.
    hop_seconds : float or None
        The time between the starts of two clips in seconds. None means `clip_seconds`.
    least_seconds : float or None
        See `clip_events.events_of_clips`. None if the set has no events.
    """

    clip_seconds: float
    hop_seconds: float | None = None
    least_seconds: float | None = None


class Clip(NamedTuple):
    """A clip of a recording: its name, the path in clips.tsv, and its times in seconds.

    The start is counted from the start of the recording.
    """

    name: str
    path: str
    duration: float
    start: float = 0.0


class Read(NamedTuple):
    """The clips of a recording, and its duration in seconds.

    `remarks` are descriptions of its faults, and `failure` is the reason why it failed, or "".
    """

    clips: list[Clip]
    duration: float
    remarks: list[str]
    failure: str


def read_clips(cut: Cut, audio_dir: Path, recording: tuple[str, str, int | None]) -> Read:
    """Find the clips of a recording (its path, name and channel).

    The recording is cut if it is too long, or if it is a channel of a sound file.
    """
    path, name, channel = recording
    remarks: list[str] = []
    try:
        duration = audio_files.info(path).duration
        if not duration:
            raise InputError(f"{path}: contains no samples")
        if duration <= cut.clip_seconds + SLACK and channel is None:
            return Read([Clip(name, path, duration)], duration, remarks, "")
        if duration > LONGEST_SECONDS:
            raise InputError(
                f"{path}: lasts {duration:.0f} s; expected at most {LONGEST_SECONDS:g} s; cut it "
                "into several files"
            )
        stem = without_extension(name)

        def clip_name(part: cutting.Span) -> str:
            return f"{stem}_{part.start:.3f}_{part.end:.3f}.flac"

        parts = cutting.spans(duration, cut.clip_seconds, cut.hop_seconds)
        (audio_dir / name).parent.mkdir(parents=True, exist_ok=True)
        remarks = cutting.cut(path, parts, lambda part: audio_dir / clip_name(part), channel)
        clips = [
            Clip(clip_name(part), f"{AUDIO}/{clip_name(part)}", part.end - part.start, part.start)
            for part in parts
        ]
        return Read(clips, duration, remarks, "")
    except InputError as error:
        return Read([], 0.0, remarks, str(error))
