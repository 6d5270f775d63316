"""People's own recordings: of any length, and of any format that libsndfile reads or, where it is installed, ffmpeg.

S samples, C channels.
"""

import contextlib
import glob
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from wsedtk import audio
from wsedtk.clip_names import has_audio_extension
from wsedtk.errors import InputError

_GUESS = 25  # ffmpeg's score of a format that it only guesses: of random bytes too
_INPUT = ["-v", "error", "-protocol_whitelist", "file,pipe"]  # a playlist is not to fetch anything


def as_text(name):
    """A file's name or path as text, whatever the file system holds."""
    return os.fsencode(name).decode(errors="replace")


def find(arguments, by_path=False):
    """The recordings that files, folders (at any depth) and patterns stand for: [(path, name)], each once, in order.

    The name is that of the file; below a folder, its path from there; with `by_path` the whole path, where names would be alike. It is
    text whatever the file system holds. Raises InputError where an argument stands for none.
    """
    found = {}
    for argument in map(str, arguments):
        path = Path(argument)
        if os.path.isdir(path):  # False too where nobody may look, or the name is too long
            some = [(p, str(p.relative_to(path))) for p in sorted(path.rglob("*"))
                    if has_audio_extension(p.name) and not p.name.startswith(".")
                    and not os.path.isdir(p)]
            missing = "no sound files in this folder"
        elif os.path.lexists(path) or not glob.has_magic(argument):
            some, missing = [(path, path.name)], ""
        else:
            some = [(Path(p), Path(p).name) for p in sorted(glob.glob(argument, recursive=True))
                    if not os.path.isdir(p)]
            missing = "no file has such a name"
        if not some:
            raise InputError(f"{argument}: {missing}")
        for path, name in some:
            found.setdefault(path.absolute(), (path, as_text(name)))
    names = Counter(name for _, name in found.values())
    return [(path, as_text(path) if by_path and names[name] > 1 else name) for path, name in found.values()]


class _Decoded:
    """What ffmpeg decodes of a file's first sound track, as soundfile would give it."""

    subtype, frames = "FLOAT", sys.maxsize  # how long it is shows at its end

    def __init__(self, path):
        self._path, self._process = path, None
        source = f"file:{Path(path).absolute()}"
        command = ["ffprobe", *_INPUT, "-select_streams", "a:0", "-show_entries", "stream=sample_rate,channels:format=duration,probe_score",
                   "-of", "json", source]
        probed = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
        try:
            about = json.loads(probed.stdout)
            self.samplerate, self.channels = (int(about["streams"][0][key]) for key in ("sample_rate", "channels"))
            if about["format"]["probe_score"] <= _GUESS or not self.channels or not audio.RATES[0] <= self.samplerate <= audio.RATES[1]:
                raise ValueError
        except (ValueError, KeyError, IndexError, TypeError):
            raise InputError(f"{path}: can't be read as sound, nor by ffmpeg ({self._reason(probed.stderr)})") from None
        try:
            self.duration = float(about["format"]["duration"])
        except (ValueError, KeyError, TypeError):
            self.duration = None
        self._command = ["ffmpeg", *_INPUT, "-nostdin", "-i", source, "-map", "0:a:0", "-f", "f32le", "-c:a", "pcm_f32le", "-"]

    @staticmethod
    def _reason(text):
        lines = text.strip().splitlines()
        return lines[-1].split(": ", 1)[-1] if lines else "it holds no sound track"

    def read(self, num_frames, dtype, always_2d):
        """The next samples (S, C) float32."""
        if self._process is None:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        size = 4 * self.channels
        content = self._process.stdout.read(num_frames * size)
        samples = np.frombuffer(content[:len(content) // size * size], np.float32).reshape(-1, self.channels)
        if len(samples) < num_frames and self._process.wait() != 0:
            raise RuntimeError("ffmpeg could not decode it to its end")
        return samples

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process is not None:
            self._process.kill()
            self._process.stdout.close()
            self._process.wait()


def _open(path):
    """A sound file, opened by libsndfile, or else ffmpeg. Raises InputError."""
    try:
        return audio.open_file(path)
    except InputError as error:
        is_readable = os.path.isfile(path) and os.access(path, os.R_OK)
        if not is_readable or os.path.getsize(path) == 0:
            raise
        if shutil.which("ffmpeg") and shutil.which("ffprobe"):
            return _Decoded(path)
        raise InputError(f"{error}; with ffmpeg installed more formats can be read") from None


def _share_cut_off(file):
    """How much longer than what there is a WAV file says that its samples are: libsndfile notes it, and goes by what there is."""
    found = re.search(r"^data : (\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE)
    claimed, there = map(int, found.groups()) if found else (0, 0)
    return claimed / there if 0 < there < claimed < 0x7FFFFFFF else 1.0  # more is what programs write that don't know yet


def info(path):
    """A recording's AudioInfo; its duration is None where only decoding would tell. Raises InputError."""
    with _open(path) as file:
        duration = file.duration if isinstance(file, _Decoded) else file.frames / file.samplerate * _share_cut_off(file)
        return audio.AudioInfo(file.samplerate, file.channels, duration)


def stream(path, sample_rate, channel=None):
    """Yield a recording as blocks (S,) of mono float32 samples at `sample_rate`, in constant memory, the same as `audio.read` gives.

    channel: from 0; None: the mean of all. Raises InputError where the recording is missing, broken, empty or not finite.
    """
    with _open(path) as file:
        source_rate, num_read, num_given, resampler = file.samplerate, 0, 0, None
        if source_rate != sample_rate:
            import soxr
            resampler = soxr.ResampleStream(source_rate, sample_rate, 1, dtype="float32", quality="HQ")
        with contextlib.closing(audio.blocks(path, file, file.frames)) as decoded:
            for samples, mono in decoded:
                block = mono if channel is None else np.ascontiguousarray(samples[:, channel])
                num_read += len(block)
                block = block if resampler is None else resampler.resample_chunk(block)
                num_given += len(block)
                yield block
    if resampler is not None:
        rest = resampler.resample_chunk(np.zeros(0, np.float32), last=True)
        missing = audio.resampled_length(num_read, source_rate, sample_rate) - num_given
        yield np.pad(rest[:missing], (0, max(0, missing - len(rest))))
