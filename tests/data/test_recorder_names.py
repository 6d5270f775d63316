"""Start times in the file names of recorders."""

import datetime

import pytest

from wsedtk.data.recorder_names import start_time

TIME = datetime.datetime(2024, 5, 17, 5, 30)


@pytest.mark.parametrize(
    "name",
    [
        "20240517_053000.WAV",  # AudioMoth
        "20240517_053000T.WAV",  # AudioMoth, triggered
        "SITE_20240517_053000.wav",  # Song Meter
        "S4A01234_0+1_20240517_053000.wav",
        "A-B_20240517_053000_123.wav",  # with milliseconds
        "SM2_20240517$053000.wac",
        "20240517T053000+1000_REC.flac",  # BAR
        "S1234_20240517T053000-0400_x.wav",  # Swift
        "PAM_20240517_053000_456.wav",
        "2024-05-17 05-30-00.wav",  # Anabat
        "rec_2024-05-17T05:30:00Z.wav",
        "2024-05-17_05.30.00.mp3",
        "2024_05_17_05_30_00.wav",
        "2024-05-17-birdnet-05:30:00.wav",  # BirdNET-Pi
        "5147.240517053000.wav",  # SoundTrap
        "2023/20230101_000000/a_20240517_053000.wav",  # the folder is ignored
        "20240517_053000_to_20240517_063000.wav",
        "99999999_999999_20240517_053000.wav",
    ],
)
def test_forms(name):
    assert start_time(name) == TIME


@pytest.mark.parametrize(
    "name",
    [
        "a.wav",
        "20240517.wav",
        "120240517_053000.wav",
        "20240517_0530001.wav",
        "20241317_053000.wav",
        "20240517_253000.wav",
        "20240230_053000.wav",
        "19890517_053000.wav",
        "20240517x053000.wav",
        "240517053000.wav",
        "Y1aB_20.000_30.000.wav",
        "20240517_053000/a.wav",
    ],
)
def test_other_names(name):
    assert start_time(name) is None
