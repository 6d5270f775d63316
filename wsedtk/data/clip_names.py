"""Names of clips: the recording, start and end that a file name contains.

Names are of the form `<recording>_<start>_<end>`, with the times in seconds.
"""

import re

AUDIO_EXTENSIONS = tuple(  # of sound files, and of videos with sound
    (
        ".wav .flac .ogg .oga .opus .mp3 .mp2 .aif .aiff .aifc .au .snd .w64 .rf64 .caf "
        ".m4a .m4b .aac .ac3 .amr .ape .mka .tta .wma .wv .3gp .avi .flv .m2ts .m4v .mkv "
        ".mov .mp4 .mpeg .mpg .mts .weba .webm .wmv"
    ).split()
)
LONGEST_SECONDS = 86400.0  # of a clip or a recording
LATE_SECONDS = 1.0  # that events may end after their clip, as labels and frames are rounded
_TIME = r"([0-9]+(?:\.[0-9]+)?)"
_EXCERPT = re.compile(rf"(.+)_{_TIME}_{_TIME}")
# A leading Y that belongs to the YouTube ID is one of its 11 characters.
_YOUTUBE = re.compile(rf"Y?(.{{11}})_{_TIME}_{_TIME}")
# A date and a time, as field recorders write them into file names
_CLOCK = re.compile(
    r"(?<![0-9])(?:19|20)[0-9]{2}([-_]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12][0-9]|3[01])"
    r"[-_T ](?:[01][0-9]|2[0-3])([-_]?)[0-5][0-9]\2[0-5][0-9](?![0-9]|\.[0-9])"
)


def without_extension(name: str) -> str:
    """Return the name without the extension of a sound file.

    `a.WAV` becomes `a`; `Dr. No_1.5` has no such extension and is unchanged.
    """
    stem, dot, extension = name.rpartition(".")
    return stem if stem and dot + extension.lower() in AUDIO_EXTENSIONS else name


def has_audio_extension(name: str) -> bool:
    """Return whether a file name has the extension of a sound file, or of a video."""
    return name.lower().endswith(AUDIO_EXTENSIONS)


def _match_excerpt(form: re.Pattern[str], stem: str, last: float = 0.0) -> re.Match[str] | None:
    """Match a stem with a form of `<recording>_<start>_<end>`.

    Return None unless the two numbers can be times. The end must be after the start. Both must lie
    within the longest recording. They must not be part of a date and time, as in
    <unit>_<YYYYMMDD>_<HHMMSS>. The clip must be long enough for its last event, which ends at
    `last` seconds.
    """
    match = form.fullmatch(stem)
    if match is None:
        return None
    start, end = float(match.group(2)), float(match.group(3))
    if not (start < end <= LONGEST_SECONDS and last <= end - start + LATE_SECONDS):
        return None
    is_clock = any(clock.end() > match.end(1) for clock in _CLOCK.finditer(stem))
    return None if is_clock else match


def without_y(name: str) -> str:
    """Return the name without the Y that many corpora put before a YouTube ID.

    Only `Y<11 characters>_<start>_<end>` loses its Y.
    """
    match = _match_excerpt(_YOUTUBE, without_extension(name))
    return name[match.start(1) :] if match else name


def youtube_key(name: str) -> str | None:
    """Return the standard name of an excerpt of a YouTube video, or None for any other name.

    It is `<11-character ID>_<start>_<end>` with three decimals, whether or not the name has a Y
    and an extension.
    """
    match = _match_excerpt(_YOUTUBE, without_extension(name))
    if match is None:
        return None
    return f"{match.group(1)}_{float(match.group(2)):.3f}_{float(match.group(3)):.3f}"


def clip_key(name: str) -> str:
    """Return a key that is the same for all spellings of a clip's name.

    It is the result of `youtube_key`, or the name without extension.
    """
    return youtube_key(name) or without_extension(name)


def excerpt_times(name: str, last: float = 0.0) -> tuple[float, float] | None:
    """Return start and end of an excerpt in seconds, or None for any other name.

    Parameters
    ----------
    name : str
    last : float
        The end of the clip's last event, in seconds. The times are ignored if the clip would be
        too short for it.
    """
    match = _match_excerpt(_EXCERPT, without_extension(name), last)
    return (float(match.group(2)), float(match.group(3))) if match else None


def source_of(filename: str, last: float = 0.0) -> str:
    """Return the recording that a clip was cut from.

    `<recording>_<start>_<end>.wav` gives `<recording>`; any other name counts as a separate
    recording. DCASE 2017 and AudioSet name clips of YouTube videos so, also with a Y before the ID.
    A split keeps the clips of one recording together.

    Parameters
    ----------
    filename : str
    last : float
        See `excerpt_times`.
    """
    stem = filename.rsplit(".", 1)[0] if re.search(r"\.[A-Za-z]\w{1,4}$", filename) else filename
    match = _match_excerpt(_YOUTUBE, stem, last) or _match_excerpt(_EXCERPT, stem, last)
    return match.group(1) if match else stem
