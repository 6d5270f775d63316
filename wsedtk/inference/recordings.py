"""Recordings of any length, in any format that libsndfile or FFmpeg's libraries read. S samples."""

import contextlib
import glob
import os
from collections import Counter
from pathlib import Path

import numpy as np

from wsedtk.audio import audio_files
from wsedtk.audio.sound_file import Sound
from wsedtk.core.errors import InputError
from wsedtk.data.clip_names import has_audio_extension
from wsedtk.data.folders import as_text, check_reach, matching, walk
from wsedtk.data.tables import normal


def find(arguments, by_path=False):
    """The recordings that files, folders (at any depth) and patterns stand for: [(path, name)], each once, in order.

    The name is that of the file; below a folder, its path from there; with `by_path` the whole path, where names would be alike. It is
    text whatever the file system holds. Raises InputError where an argument stands for none.
    """
    found = {}
    for argument in map(str, arguments):
        path = Path(argument)
        check_reach(path)
        if os.path.isdir(path):
            files = sorted(
                Path(parent, name)
                for parent, names in walk(path)
                for name in names
                if has_audio_extension(name) and not name.startswith(".")
            )
            some = [(p, str(p.relative_to(path))) for p in files]
            missing = "no sound files in this folder"
        elif os.path.lexists(path) or not glob.has_magic(argument):
            some, missing = [(path, path.name)], ""
        else:
            some = [(p, p.name) for p in matching(argument)]
            missing = "no file has such a name"
        if not some:
            raise InputError(f"{argument}: {missing}")
        for path, name in some:
            found.setdefault(path.absolute(), (path, as_text(name)))
    counts = Counter(normal(name) for _, name in found.values())
    return [
        (path, as_text(path) if by_path and counts[normal(name)] > 1 else name)
        for path, name in found.values()
    ]


def stream(path, sample_rate, channel=None, remarks=None):
    """Yield the samples that `audio.read` returns, as blocks (S,), in constant memory.

    Parameters
    ----------
    path : path-like
    sample_rate : int
        Rate to resample to, in Hz.
    channel : int, optional
        The channel, from 0. By default the mean of all.
    remarks : list, optional
        Receives the faults of the recording, at its end.

    Raises
    ------
    InputError
        See `audio.read`.
    """
    with Sound(path) as sound:
        source_rate, num_read, num_given, resampler = sound.samplerate, 0, 0, None
        if source_rate != sample_rate:
            import soxr

            resampler = soxr.ResampleStream(
                source_rate, sample_rate, 1, dtype="float32", quality="HQ"
            )
        with contextlib.closing(sound.blocks()) as decoded:
            for samples, mono in decoded:
                block = mono if channel is None else np.ascontiguousarray(samples[:, channel])
                num_read += len(block)
                block = block if resampler is None else resampler.resample_chunk(block)
                num_given += len(block)
                yield block
        if remarks is not None:
            remarks += sound.remarks()
            if channel is None:
                remarks += filter(None, [sound.remark_on_mean()])
    if resampler is not None:
        rest = resampler.resample_chunk(np.zeros(0, np.float32), last=True)
        missing = audio_files.resampled_length(num_read, source_rate, sample_rate) - num_given
        yield np.pad(rest[:missing], (0, max(0, missing - len(rest))))
