"""What a clip's file name says: its recording, start and end, in the forms that people write it in."""

import re

import numpy as np

AUDIO_EXTENSIONS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".caf")  # libsndfile reads them
_EXTENSIONS = (*AUDIO_EXTENSIONS, ".m4a", ".aac", ".wma", ".mp4", ".mov", ".mkv", ".webm")
_TIME = r"([0-9]+(?:\.[0-9]+)?)"
EXCERPT = re.compile(rf"(.+)_{_TIME}_{_TIME}")  # <recording>_<start>_<end>
_YOUTUBE = re.compile(rf"Y?(.{{11}})_{_TIME}_{_TIME}")  # a leading Y that belongs to the ID is one of its 11 characters


def without_extension(name):
    """The name without the extension of a sound file, where it has one: `a.WAV` -> `a`, `Dr. No_1.5` stays."""
    stem, dot, extension = name.rpartition(".")
    return stem if stem and dot + extension.lower() in _EXTENSIONS else name


def has_audio_extension(name):
    """Whether a file's name ends as those of sound files, and of films with sound, do."""
    return name.lower().endswith(_EXTENSIONS)


def without_y(name):
    """The name without the Y that many put before a YouTube ID: `Y<11 characters>_<start>_<end>` loses it, no other name does."""
    match = _YOUTUBE.fullmatch(without_extension(name))
    return name[match.start(1):] if match else name


def youtube_key(name):
    """`<11-character ID>_<start>_<end>`, in seconds with three decimals, of such a name with or without Y and extension; else None."""
    match = _YOUTUBE.fullmatch(without_extension(name))
    return f"{match.group(1)}_{float(match.group(2)):.3f}_{float(match.group(3)):.3f}" if match else None


def clip_key(name):
    """One text for every way to write a clip's name: that of `youtube_key`, or the name without extension."""
    return youtube_key(name) or without_extension(name)


def excerpt_times(name):
    """Start and end in seconds of a name `<recording>_<start>_<end>`; None of any other."""
    match = EXCERPT.fullmatch(without_extension(name))
    start, end = (float(match.group(2)), float(match.group(3))) if match else (0, 0)
    return (start, end) if end > start else None


def source_of(filename):
    """The recording that a clip was cut from: `<recording>_<start>_<end>.wav` -> `<recording>`, else the whole name.

    YouTube clips are named so in DCASE 2017 and AudioSet; clips of one recording must not be on both sides of a split.
    """
    stem = filename.rsplit(".", 1)[0] if re.search(r"\.[A-Za-z]\w{1,4}$", filename) else filename
    match = EXCERPT.fullmatch(stem)
    return match.group(1) if match else stem


def sources_of(filenames):
    """The recording of each clip (N,), see `source_of`, as an array of text (N,)."""
    blocks = [np.array([source_of(name) for name in filenames[i:i + 65536].tolist()]) for i in range(0, len(filenames), 65536)]
    return np.concatenate(blocks) if blocks else np.array([], str)
