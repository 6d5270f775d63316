"""Parse names of clips. A name can contain the recording, start and end of a clip.

Such a name has the form `<recording>_<start>_<end>`. Start and end are in seconds.
"""

import re

AUDIO_EXTENSIONS = tuple(  # extensions of audio files and of videos with sound
    (
        ".wav .flac .ogg .oga .opus .mp3 .mp2 .aif .aiff .aifc .au .snd .w64 .rf64 .caf "
        ".m4a .m4b .aac .ac3 .amr .ape .mka .tta .wma .wv .3gp .avi .flv .m2ts .m4v .mkv "
        ".mov .mp4 .mpeg .mpg .mts .weba .webm .wmv"
    ).split()
)
LONGEST_SECONDS = 86400.0  # the longest duration of a clip
# Two numbers in a file name are not always the start and end of the clip. If they are, their
# difference is the duration of the clip. If an event ends more than LATE_SECONDS after the end of a
# clip of this duration, the numbers are not used as times. Because of rounding, an event may end
# slightly after its clip.
LATE_SECONDS = 1.0
_TIME = r"([0-9]+(?:\.[0-9]+)?)"
_EXCERPT = re.compile(rf"(.+)_{_TIME}_{_TIME}")
# A YouTube ID has 11 characters. A Y before the ID is optional and is not part of the ID.
_YOUTUBE = re.compile(rf"Y?(.{{11}})_{_TIME}_{_TIME}")
# The end of the name of one channel of a recording, as `prepare annotations` writes it
_CHANNEL = re.compile(r"\.ch[1-9][0-9]*$")
# A date and a time, as in the file names of field recorders
_CLOCK = re.compile(
    r"(?<![0-9])(?:19|20)[0-9]{2}([-_]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12][0-9]|3[01])"
    r"[-_T ](?:[01][0-9]|2[0-3])([-_]?)[0-5][0-9]\2[0-5][0-9](?![0-9]|\.[0-9])"
)


def without_extension(name: str) -> str:
    """Return the name without its audio extension.

    `a.WAV` becomes `a`. `Dr. No_1.5` has no audio extension and is returned unchanged.
    """
    stem, dot, extension = name.rpartition(".")
    return stem if stem and dot + extension.lower() in AUDIO_EXTENSIONS else name


def has_audio_extension(name: str) -> bool:
    """Return whether a file name has the extension of an audio file or of a video."""
    return name.lower().endswith(AUDIO_EXTENSIONS)


def _match_excerpt(form: re.Pattern[str], stem: str, last: float = 0.0) -> re.Match[str] | None:
    """Match the stem of a file name against a pattern for `<recording>_<start>_<end>`.

    Return None if the stem does not match, or if its two numbers can't be times. The end must be
    after the start, and at most `LONGEST_SECONDS`. The numbers must not be part of a date and time,
    as in <unit>_<YYYYMMDD>_<HHMMSS>. The last event ends `last` seconds after the start of the
    clip. It may end at most `LATE_SECONDS` after the end of the clip.
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

    The Y is removed only from names of the form `Y<11 characters>_<start>_<end>`.
    """
    match = _match_excerpt(_YOUTUBE, without_extension(name))
    return name[match.start(1) :] if match else name


def youtube_key(name: str) -> str | None:
    """Return the standard name of an excerpt of a YouTube video, or None for any other name.

    The standard name is `<11-character ID>_<start>_<end>`. The times have three decimals. An audio
    extension is removed, and so is a Y before the ID. Any 11 characters before the times count as
    an ID.
    """
    match = _match_excerpt(_YOUTUBE, without_extension(name))
    if match is None:
        return None
    return f"{match.group(1)}_{float(match.group(2)):.3f}_{float(match.group(3)):.3f}"


def clip_key(name: str) -> str:
    """Return a key that is the same for all spellings of the name of a clip.

    For excerpts of YouTube videos, the key is the standard name (see `youtube_key`). For other
    clips, it is the name without its audio extension.
    """
    return youtube_key(name) or without_extension(name)


def excerpt_times(name: str, last: float = 0.0) -> tuple[float, float] | None:
    """Return the start and end in the name of an excerpt, in seconds, or None for any other name.

    Parameters
    ----------
    name : str
    last : float
        The end of the last event of the clip, in seconds from the start of the clip. If the event
        ends more than `LATE_SECONDS` after the end of the clip, None is returned.
    """
    match = _match_excerpt(_EXCERPT, without_extension(name), last)
    return (float(match.group(2)), float(match.group(3))) if match else None


def source_of(filename: str, last: float = 0.0) -> str:
    """Return the recording that a clip was cut from.

    The recording of `<recording>_<start>_<end>.wav` is `<recording>`. Clips of YouTube videos in
    DCASE 2017 and AudioSet have names of this form. A Y before the ID of the video is removed. For
    a clip with any other name, the recording is the name of the clip without its extension. A split
    keeps the clips of one recording together, unless the clips have groups.

    Parameters
    ----------
    filename : str
    last : float
        See `excerpt_times`.
    """
    stem = filename.rsplit(".", 1)[0] if re.search(r"\.[A-Za-z]\w{1,4}$", filename) else filename
    match = _match_excerpt(_YOUTUBE, stem, last) or _match_excerpt(_EXCERPT, stem, last)
    return match.group(1) if match else stem


def recording_of(filename: str, last: float = 0.0) -> str:
    """Return the recording that a clip was cut from, without a channel and without an extension.

    The recording of `night.ch2_0.000_10.000.flac` is `night`. For a clip that is not an excerpt,
    the recording is the name of the clip without its audio extension.

    Parameters
    ----------
    filename : str
    last : float
        See `excerpt_times`.
    """
    is_excerpt = excerpt_times(filename, last) is not None
    name = source_of(filename, last) if is_excerpt else without_extension(filename)
    return _CHANNEL.sub("", name)
