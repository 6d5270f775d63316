"""Excerpts of YouTube videos, the clips of DCASE 2017 task 4 and of AudioSet: their names, and the audio at hand for them.

A clip is named `<11-character ID>_<start>_<end>.wav`, in seconds with three decimals, whatever its audio is.
"""

import os
import re
from pathlib import Path

from wsedtk.errors import InputError

EXTENSIONS = (".wav", ".flac", ".ogg", ".mp3")
_STEM = re.compile(r"Y?(.{11})_(\d+(?:\.\d+)?)_(\d+(?:\.\d+)?)")


def clip_name(video, start, end):
    """The name of a clip. video: 11 characters; start, end: seconds, as numbers or text."""
    return f"{video}_{float(start):.3f}_{float(end):.3f}.wav"


def normal_name(filename):
    """The clip that a file name stands for, with or without `Y` and extension; None where it is no excerpt's name."""
    stem, extension = os.path.splitext(filename)
    match = _STEM.fullmatch(stem if extension.lower() in EXTENSIONS else filename)
    return clip_name(*match.groups()) if match else None


def seconds_of(name):
    """Nominal length of a clip in seconds: end - start of its name."""
    _, start, end = name.removesuffix(".wav").rsplit("_", 2)
    return round(float(end) - float(start), 6)


def find_audio(folders):
    """The sound files in folders, however deep: {clip: path}, and how many files there are that no clip's name fits.

    Of several files for a clip the first in alphabetical order is taken. Raises InputError where a folder is missing.
    """
    found, others = {}, 0
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; it should hold the audio")
        for parent, subfolders, files in os.walk(folder, followlinks=True):
            subfolders.sort()
            for file in sorted(files):
                name = normal_name(file) if file.lower().endswith(EXTENSIONS) else None
                if name is not None:
                    found.setdefault(name, os.path.abspath(os.path.join(parent, file)))
                else:
                    others += 1
    return found, others
