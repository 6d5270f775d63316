"""The recordings that annotation files name, and those beside which they lie."""

from pathlib import Path

import pytest

from wsedtk.core.errors import InputError
from wsedtk.corpora.recording_names import RecordingNames, only
from wsedtk.inference.recordings import Recording

PATHS = ["s1/night.wav", "s2/night.wav", "s1/dawn.WAV", "v1.2.flac", "Y0123456789a_5_15.wav"]


@pytest.fixture
def names():
    return RecordingNames([Recording(Path("/audio", name), name) for name in PATHS])


def shown(found):
    return [
        source.recording.name + ("" if source.channel is None else f" {source.channel}")
        for source in found
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dawn.WAV", ["s1/dawn.WAV"]),
        ("dawn.wav", ["s1/dawn.WAV"]),  # another spelling of the extension, or none
        ("dawn", ["s1/dawn.WAV"]),
        ("night.wav", ["s1/night.wav", "s2/night.wav"]),
        ("s2/night.wav", ["s2/night.wav"]),
        ("./s2\\night.mp3", ["s2/night.wav"]),
        ("audio/s2/night.wav", ["s2/night.wav"]),
        ("s3/night.wav", []),  # the recording of another site is not taken for this one
        ("/elsewhere/s2/night.wav", ["s2/night.wav"]),
        ("D:\\rec\\s2\\night.wav", ["s2/night.wav"]),
        ("D:\\rec\\dawn.wav", ["s1/dawn.WAV"]),
        ("file:///D:/rec/s1/dawn.wav", ["s1/dawn.WAV"]),
        ("s1/night.wav.ch2", ["s1/night.wav 1"]),
        ("0123456789a_5.000_15.000.wav", ["Y0123456789a_5_15.wav"]),
        ("other.wav", []),
        ("/", []),
        ("..", []),
    ],
)
def test_names_in_a_file(names, name, expected):
    assert shown(names.named(name)) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/labels/s1/night.txt", ["s1/night.wav"]),
        ("/labels/s2/night.wav.txt", ["s2/night.wav"]),
        ("/labels/s2/night.wav.ch1.selections.txt", ["s2/night.wav 0"]),
        ("/labels/night.Table.1.selections.txt", ["s1/night.wav", "s2/night.wav"]),
        ("/audio/s2/night.TextGrid", ["s2/night.wav"]),
        ("/labels/dawn.eaf", ["s1/dawn.WAV"]),
        ("/labels/v1.2.txt", ["v1.2.flac"]),
        ("/labels/v1.txt", []),
        ("/labels/night", []),
        ("/labels/.txt", []),
    ],
)
def test_files_beside_recordings(names, path, expected):
    assert shown(names.beside(Path(path))) == expected


def test_ambiguous(names):
    assert only(names.named("dawn"), "x").recording.name == "s1/dawn.WAV"
    message = r"x: 'night' fits 2 recordings: /audio/s1/night.wav, /audio/s2/night.wav; write"
    with pytest.raises(InputError, match=message):
        only(names.named("night"), "x: 'night'")


def test_the_exact_file_name_comes_first():
    paths = [Path("/a/night.flac"), Path("/a/night.wav")]
    names = RecordingNames([Recording(path, path.name) for path in paths])
    assert shown(names.named("night.wav")) == ["night.wav"]
    assert shown(names.named("night")) == ["night.flac", "night.wav"]
