"""What a clip's file name says: its recording, start and end, in the forms that people write it in."""

import re

AUDIO_EXTENSIONS = (  # of sound files, and of films with sound
    ".wav",
    ".flac",
    ".ogg",
    ".oga",
    ".opus",
    ".mp3",
    ".mp2",
    ".aif",
    ".aiff",
    ".aifc",
    ".au",
    ".snd",
    ".w64",
    ".rf64",
    ".caf",
    ".m4a",
    ".m4b",
    ".aac",
    ".ac3",
    ".amr",
    ".ape",
    ".mka",
    ".tta",
    ".wma",
    ".wv",
    ".3gp",
    ".avi",
    ".flv",
    ".m2ts",
    ".m4v",
    ".mkv",
    ".mov",
    ".mp4",
    ".mpeg",
    ".mpg",
    ".mts",
    ".weba",
    ".webm",
    ".wmv",
)
LONGEST_SECONDS = 86400.0  # of anything
LATE_SECONDS = 1.0  # that events may end after their clip: labels and frames are rounded
_TIME = r"([0-9]+(?:\.[0-9]+)?)"
_EXCERPT = re.compile(rf"(.+)_{_TIME}_{_TIME}")  # <recording>_<start>_<end>
_YOUTUBE = re.compile(
    rf"Y?(.{{11}})_{_TIME}_{_TIME}"
)  # a leading Y that belongs to the ID is one of its 11 characters
_CLOCK = re.compile(  # a date and a time, as field recorders write them
    r"(?<![0-9])(?:19|20)[0-9]{2}([-_]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12][0-9]|3[01])"
    r"[-_T ](?:[01][0-9]|2[0-3])([-_]?)[0-5][0-9]\2[0-5][0-9](?![0-9]|\.[0-9])"
)


def without_extension(name):
    """The name without the extension of a sound file, where it has one: `a.WAV` -> `a`, `Dr. No_1.5` stays."""
    stem, dot, extension = name.rpartition(".")
    return stem if stem and dot + extension.lower() in AUDIO_EXTENSIONS else name


def has_audio_extension(name):
    """Whether a file's name ends as those of sound files, and of films with sound, do."""
    return name.lower().endswith(AUDIO_EXTENSIONS)


def _excerpt(form, stem, last=0.0):
    """The match of a stem with a form of `<recording>_<start>_<end>`; None if it is no such name.

    Two numbers are start and end in seconds only if they can be: the end is after the start, and
    both lie within the longest recording; they are not part of a date and time, as in
    <unit>_<YYYYMMDD>_<HHMMSS>; the clip's last event, which ends at `last` seconds, fits in.
    """
    match = form.fullmatch(stem)
    if match is None:
        return None
    start, end = float(match.group(2)), float(match.group(3))
    if not (start < end <= LONGEST_SECONDS and last <= end - start + LATE_SECONDS):
        return None
    is_clock = any(clock.end() > match.end(1) for clock in _CLOCK.finditer(stem))
    return None if is_clock else match


def without_y(name):
    """The name without the Y that many put before a YouTube ID: `Y<11 characters>_<start>_<end>` loses it, no other name does."""
    match = _excerpt(_YOUTUBE, without_extension(name))
    return name[match.start(1) :] if match else name


def youtube_key(name):
    """`<11-character ID>_<start>_<end>`, in seconds with three decimals, of such a name with or without Y and extension; else None."""
    match = _excerpt(_YOUTUBE, without_extension(name))
    return (
        f"{match.group(1)}_{float(match.group(2)):.3f}_{float(match.group(3)):.3f}"
        if match
        else None
    )


def clip_key(name):
    """One text for every way to write a clip's name: that of `youtube_key`, or the name without extension."""
    return youtube_key(name) or without_extension(name)


def excerpt_times(name, last=0.0):
    """Start and end in seconds of a name `<recording>_<start>_<end>`; None of any other.

    last: where the clip's last event ends, in seconds; a name that says less is not believed.
    """
    match = _excerpt(_EXCERPT, without_extension(name), last)
    return (float(match.group(2)), float(match.group(3))) if match else None


def source_of(filename, last=0.0):
    """The recording that a clip was cut from: `<recording>_<start>_<end>.wav` -> `<recording>`, else the whole name.

    YouTube clips are named so in DCASE 2017 and AudioSet, also with a Y before the ID. Clips of one
    recording must not be on both sides of a split. last: as `excerpt_times` takes it.
    """
    stem = filename.rsplit(".", 1)[0] if re.search(r"\.[A-Za-z]\w{1,4}$", filename) else filename
    match = _excerpt(_YOUTUBE, stem, last) or _excerpt(_EXCERPT, stem, last)
    return match.group(1) if match else stem
