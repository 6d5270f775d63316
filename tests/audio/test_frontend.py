import dataclasses
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path

import librosa
import numpy as np
import pytest
import scipy.signal
import soundfile

from wsedtk.audio import audio_files
from wsedtk.audio.frontend import FrontendConfig, LogMel
from wsedtk.audio.mel import mel_edges, mel_filters, num_empty_filters
from wsedtk.core import config as config_files
from wsedtk.models.ready_models import READY_MODELS

WANG = FrontendConfig()
HE = FrontendConfig(
    sample_rate=44100,
    window=1764,
    hop=882,
    num_fft=2048,
    num_mels=80,
    max_hz=22050,
    power=2,
    top_db=None,
)
ODD = FrontendConfig(
    sample_rate=22050,
    window=301,
    hop=97,
    num_fft=511,
    num_mels=20,
    min_hz=50,
    max_hz=11000,
    power=2,
    top_db=40,
)
YAMNET = READY_MODELS.get("yamnet").frontend
FRAME_MN = READY_MODELS.get("frame-mn10").frontend
CONFIGS = pytest.mark.parametrize(
    "config", [WANG, HE, ODD, YAMNET, FRAME_MN], ids=["Wang", "He", "odd", "YAMNet", "frame-mn"]
)
TOLERANCE = {
    "float64": 1e-6,
    "float32": 5e-3,
}  # dB; the latter is above the noise of a float32 transform, see close


def librosas(config, samples):
    """Return the same features by librosa in float64."""
    if config.pad_to_seconds is not None:
        samples = np.pad(
            samples, (0, max(0, round(config.pad_to_seconds * config.sample_rate) - len(samples)))
        )
    num_frames = max(1, len(samples) // config.hop)
    samples = samples.astype(np.float64)
    if config.preemphasis:
        if len(samples) < max(2, config.hop):
            samples = np.pad(samples, (0, max(2, config.hop) - len(samples)))
        samples = samples[1:] - config.preemphasis * samples[:-1]
    if config.center and config.pad_mode == "reflect":  # librosa refuses the shortest clips
        samples = np.pad(samples, config.num_fft // 2, mode="reflect")
    elif not config.center:  # librosa puts the window into the middle of the FFT
        samples = np.pad(samples, ((config.num_fft - config.window) // 2, config.num_fft))
    spectrum = (
        np.abs(
            librosa.stft(
                samples,
                n_fft=config.num_fft,
                hop_length=config.hop,
                win_length=config.window,
                window=scipy.signal.get_window("hann", config.window, not config.symmetric_window),
                center=config.center and config.pad_mode == "constant",
                pad_mode="constant",
                dtype=np.complex128,
            )
        )
        ** config.power
    )
    mel = librosa.filters.mel(
        sr=config.sample_rate,
        n_fft=config.num_fft,
        n_mels=config.num_mels,
        fmin=config.min_hz,
        fmax=config.max_hz,
        htk=False,
        norm="slaney",
        dtype=np.float64,
    )
    if config.mel_filters == "htk":
        mel = htk_filters(config)
    return librosa.power_to_db(
        (mel @ spectrum)[:, :num_frames] + config.log_offset,
        ref=1.0,
        amin=config.min_power,
        top_db=config.top_db,
    ).T


def htk_filters(config):
    """Return the filters of TensorFlow and Kaldi, one weight at a time."""

    def mel(hz):
        return 1127 * math.log(1 + hz / 700)

    low, high = mel(config.min_hz), mel(config.max_hz)
    width = (high - low) / (config.num_mels + 1)
    filters = np.zeros((config.num_mels, config.num_fft // 2 + 1))
    for k in range(config.num_mels):
        centre = low + (k + 1) * width
        for d in range(filters.shape[1]):
            distance = abs(mel(d * config.sample_rate / config.num_fft) - centre)
            filters[k, d] = max(0, 1 - distance / width)
    return filters


RECIPES = Path(__file__).parents[2] / "recipes"
PADDED = {
    name: dataclasses.replace(config, pad_to_seconds=10.0)
    for name, config in (("Wang padded", WANG), ("He padded", HE))
}
EVERY = pytest.mark.parametrize(
    "config", [WANG, HE, ODD, *PADDED.values()], ids=["Wang", "He", "odd", *PADDED]
)
PUBLISHED = pytest.mark.parametrize(
    "config", [WANG, HE, *PADDED.values()], ids=["Wang", "He", *PADDED]
)


def noise(seconds, rate, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * rate))


def close(config, samples, dtype):
    found, expected = LogMel(config)(samples.astype(dtype)), librosas(config, samples.astype(dtype))
    assert found.shape == expected.shape and found.dtype == dtype
    # 2^-24 is -72 dB of magnitude. Pre-emphasis with p = 0.97 lowers the lowest frequencies by
    # 30 dB, but not the rounding errors of the samples.
    heard = 50 * config.power - (30 if config.preemphasis else 0)
    audible = expected > expected.max() - heard if dtype == "float32" else slice(None)
    np.testing.assert_allclose(found[audible], expected[audible], rtol=0, atol=TOLERANCE[dtype])


@CONFIGS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.filterwarnings("ignore:n_fft=.*too large")
@pytest.mark.parametrize("num_samples", [1, 2, 399, 400, 401, 882, 1023, 7777, 160001])
def test_lengths_against_librosa(config, dtype, num_samples):
    close(config, noise(num_samples, 1), dtype)


def signals(config):
    t = np.arange(config.sample_rate) / config.sample_rate
    click = np.zeros(len(t))
    click[5] = 1
    return {
        "silence": 0 * t,
        "tone": np.sin(2 * np.pi * 440 * t),
        "top tone": np.sin(2 * np.pi * config.max_hz * 0.99 * t),
        "click": click,
        "constant": 0 * t + 0.3,
        "quiet": 1e-9 * np.sin(2 * np.pi * 440 * t),
        "then silence": np.where(t < 0.5, np.sin(2 * np.pi * 440 * t), 0),
    }


@CONFIGS
@pytest.mark.parametrize(
    "name", ["silence", "tone", "top tone", "click", "constant", "quiet", "then silence"]
)
def test_signals_against_librosa(config, name):
    samples = signals(config)[name]
    close(config, samples, "float64")
    close(dataclasses.replace(config, top_db=30), samples, "float64")
    assert np.isfinite(LogMel(config)(samples.astype(np.float32))).all()


def close_to_librosas_reading(config, path):
    """Compare samples and features of a file with librosa's own reading and features."""
    samples, rate = audio_files.read(path, config.sample_rate)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # librosa.load imports modules that Python 3.13 lacks
        theirs, _ = librosa.load(path, sr=config.sample_rate, mono=True)
    assert rate == config.sample_rate and samples.dtype == np.float32
    np.testing.assert_array_equal(samples, theirs)
    for dtype in ("float32", "float64"):
        close(config, theirs, dtype)
        np.testing.assert_array_equal(
            LogMel(config)(samples.astype(dtype)), LogMel(config)(theirs.astype(dtype))
        )


@pytest.mark.parametrize(
    "config",
    [WANG, HE, *PADDED.values(), YAMNET, FRAME_MN],
    ids=["Wang", "He", *PADDED, "YAMNet", "frame-mn"],
)
def test_real_recordings_against_librosa(config, real_data):
    for folder in sorted((real_data / "esc10").glob("0*"))[::3]:
        close_to_librosas_reading(config, sorted(folder.glob("*.ogg"))[0])


def test_padding_a_real_recording_adds_frames_at_its_floor(real_data):
    samples = audio_files.read(
        sorted((real_data / "esc10" / "002 - Rain").glob("*.ogg"))[0], 16000
    )[0][:24321]
    short, padded = LogMel(WANG)(samples), LogMel(PADDED["Wang padded"])(samples)
    assert short.shape == (60, 64) and padded.shape == (400, 64)
    np.testing.assert_allclose(padded[:60], short, rtol=0, atol=1e-4)
    np.testing.assert_allclose(
        padded[63:], short.max() - 80, rtol=0, atol=1e-4
    )  # beyond the window of the last samples


@PUBLISHED
@pytest.mark.filterwarnings("ignore:n_fft=.*too large")
@pytest.mark.parametrize(
    "rate, channels, num_samples, form",
    [
        (8000, 1, 12347, "wav"),
        (8000, 2, 4001, "flac"),
        (48000, 2, 50001, "wav"),
        (48000, 1, 33333, "ogg"),
        (22050, 2, 9999, "wav"),
        (16000, 2, 16001, "flac"),
        (44100, 1, 44101, "wav"),
        (44100, 6, 20011, "wav"),
        (8000, 2, 200, "wav"),
        (48000, 1, 999, "wav"),
        (16000, 1, 1, "wav"),
        (48000, 2, 2, "wav"),
    ],
)
def test_sound_files_against_librosa(config, tmp_path, rate, channels, num_samples, form):
    generator, t = np.random.default_rng(num_samples), np.arange(num_samples)[:, None] / rate
    tones = 0.3 * np.sin(2 * np.pi * generator.uniform(100, 0.45 * rate, channels) * t)
    path = tmp_path / f"a b.{form}"
    soundfile.write(path, tones + generator.normal(0, 0.02, (num_samples, channels)), rate)
    close_to_librosas_reading(config, path)


@PUBLISHED
@pytest.mark.parametrize("rate, channels", [(8000, 1), (48000, 2)])
def test_files_of_silence_against_librosa(config, tmp_path, rate, channels):
    soundfile.write(tmp_path / "a.wav", np.zeros((rate + 1, channels)), rate)
    close_to_librosas_reading(config, tmp_path / "a.wav")
    features = LogMel(config)(audio_files.read(tmp_path / "a.wav", config.sample_rate)[0])
    np.testing.assert_allclose(features, -100, rtol=0, atol=1e-4)


@PUBLISHED
def test_channels_that_cancel_are_silence(config, tmp_path):
    tone = 0.5 * np.sin(np.arange(9001) / 7)
    soundfile.write(
        tmp_path / "a.wav", np.stack([tone, -tone], axis=1), config.sample_rate, subtype="FLOAT"
    )
    close_to_librosas_reading(config, tmp_path / "a.wav")
    assert (
        LogMel(config)(audio_files.read(tmp_path / "a.wav", config.sample_rate)[0]).max() < -99.99
    )


@EVERY
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("num_samples", [1, 1023, 20011])
def test_a_batch_is_its_clips_to_the_bit(config, dtype, num_samples):
    gains = np.array([1, 1e-3, 0, 30])[:, None]
    samples = (gains * noise(4 * num_samples, 1).reshape(4, -1)).astype(dtype)
    samples[3, num_samples // 2 :] = 0
    found = LogMel(config)(samples)
    alone = [LogMel(config)(clip) for clip in samples]
    assert found.dtype == dtype and found.shape == (
        4,
        config.num_frames(num_samples),
        config.num_mels,
    )
    np.testing.assert_array_equal(found, alone)
    np.testing.assert_array_equal(LogMel(config)(samples[:1])[0], alone[0])
    if num_samples == 1023:
        np.testing.assert_array_equal(
            LogMel(config)(samples.reshape(2, 2, -1)), np.reshape(alone, (2, 2, *alone[0].shape))
        )


def test_the_level_of_a_clip_is_limited_by_its_own_maximum():
    loud = np.where(np.arange(16000) < 8000, 1000 * noise(1, 16000), 0)
    levels = LogMel(WANG)(
        np.stack([loud, 1e-3 * loud, 0 * loud])
    )  # 30 dB of the magnitude between the first two
    tops, floors = levels.max(axis=(1, 2)), levels.min(axis=(1, 2))
    np.testing.assert_allclose(tops[0] - tops[1], 30, rtol=0, atol=1e-6)
    np.testing.assert_allclose(floors, [tops[0] - 80, tops[1] - 80, -100], rtol=0, atol=1e-6)
    assert floors[0] > floors[1] > floors[2] == tops[2]


@pytest.mark.parametrize(
    "file, expected",
    [
        ("dcase2017/conf/frontend_wang.yaml", PADDED["Wang padded"]),
        ("dcase2017/conf/frontend_he.yaml", PADDED["He padded"]),
        ("audioset/conf/frontend_wang.yaml", PADDED["Wang padded"]),
        ("mini/conf/frontend_wang.yaml", WANG),
    ],
)
def test_the_recipes_front_ends(file, expected):
    assert config_files.load(FrontendConfig, RECIPES / file) == expected


@pytest.mark.filterwarnings("ignore:Empty filters")
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 96000])
@pytest.mark.parametrize("num_mels", [1, 20, 64, 80, 229])
def test_mel_filters_are_librosas_to_the_bit(rate, num_mels):
    for num_fft in (511, 1024, 2048, 4096):
        for low, high in ((0, rate / 2), (50, 3999.5), (1200, rate / 2), (20, 900)):
            theirs = librosa.filters.mel(
                sr=rate, n_fft=num_fft, n_mels=num_mels, fmin=low, fmax=high, dtype=np.float64
            )
            config = FrontendConfig(rate, 400, 400, num_fft, num_mels, float(low), float(high))
            np.testing.assert_array_equal(mel_filters(config), theirs)


@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_mel_edges_are_librosas(scale):
    config = dataclasses.replace(WANG, mel_filters=scale, min_hz=50.0)
    theirs = librosa.mel_frequencies(config.num_mels + 2, fmin=50, fmax=8000, htk=scale == "htk")
    np.testing.assert_allclose(mel_edges(config), theirs, rtol=1e-4)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("num_mels", [1, 1 << 12])
@pytest.mark.parametrize("low, high", [(0, 1 << 19), (0, 1e-6), (1000, 1 << 19), (999.9, 1000)])
def test_mel_filters_of_extreme_settings_are_finite(num_mels, low, high):
    config = FrontendConfig(1 << 20, 1, 1, 1 << 12, num_mels, float(low), float(high))
    with np.errstate(all="raise", under="ignore"):
        assert np.isfinite(mel_filters(config)).all()


def test_filters_without_a_bin_are_counted():
    """Of the bins at 0, 4000 and 8000 Hz, only the second is within a filter, the third filter."""
    config = dataclasses.replace(WANG, window=4, num_fft=4, num_mels=3)
    filters = mel_filters(config)
    assert num_empty_filters(config) == 2 and num_empty_filters(WANG) == 0
    assert [bins.tolist() for bins in filters.nonzero()] == [[2], [1]]


def test_silence_is_the_floor():
    np.testing.assert_allclose(LogMel(WANG)(np.zeros(4000, np.float32)), -100, atol=1e-4)


@pytest.mark.parametrize("config, num_frames", [(WANG, 400), (HE, 500)], ids=["Wang", "He"])
def test_ten_seconds(config, num_frames):
    samples = noise(10, config.sample_rate).astype(np.float32)
    assert LogMel(config)(samples).shape == (num_frames, config.num_mels)
    assert config.seconds_per_frame == 10 / num_frames


@pytest.mark.parametrize(
    "num_samples, num_frames",
    [(0, 1), (1, 1), (399, 1), (400, 1), (799, 1), (800, 2), (160399, 400), (160400, 401)],
)
def test_num_frames(num_samples, num_frames):
    assert WANG.num_frames(num_samples) == num_frames
    assert len(LogMel(WANG)(np.zeros(num_samples))) == num_frames


@pytest.mark.parametrize("num_samples", [1, 3999, 4000, 4001, 9999])
def test_padding_is_zeros_before_the_stft(num_samples):
    config = dataclasses.replace(WANG, pad_to_seconds=0.25)
    samples = noise(num_samples, 1)
    padded = np.pad(samples, (0, max(0, 4000 - num_samples)))
    np.testing.assert_array_equal(LogMel(config)(samples), LogMel(WANG)(padded))
    assert config.num_frames(num_samples) == max(10, num_samples // 400)


def test_the_input_stays_as_it_is():
    samples = noise(1, 16000)
    before = samples.copy()
    LogMel(WANG)(samples)
    np.testing.assert_array_equal(samples, before)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"sample_rate": 0}, "must be at least 1"),
        ({"window": 0}, "must be at least 1"),
        ({"hop": 0}, "must be at least 1"),
        ({"num_mels": 0}, "must be at least 1"),
        ({"hop": -400}, "must be at least 1"),
        ({"num_fft": 1023}, "num_fft 1023 is shorter than the window of 1024 samples"),
        (
            {"max_hz": 8001.0},
            r"expected 0 <= min_hz < max_hz <= 8000.0 \(half of sample_rate\), found min_hz 0.0 and max_hz 8001.0",
        ),
        ({"min_hz": -1.0}, "expected 0 <= min_hz"),
        ({"min_hz": 8000.0}, "expected 0 <= min_hz"),
        ({"max_hz": float("nan")}, "expected 0 <= min_hz"),
        ({"power": 3}, "power must be 1 or 2, found 3"),
        ({"min_power": 0.0}, "min_power must be a finite number above 0, found 0.0"),
        ({"min_power": float("nan")}, "min_power"),
        ({"min_power": float("inf")}, "min_power must be a finite number above 0, found inf"),
        ({"top_db": -1.0}, "top_db must be at least 0, or null, found -1.0"),
        ({"top_db": float("nan")}, "top_db"),
        ({"pad_to_seconds": 0.0}, "pad_to_seconds must be above 0"),
        ({"pad_to_seconds": float("inf")}, "pad_to_seconds"),
        ({"mel_filters": "bark"}, 'mel_filters must be "slaney" or "htk", found \'bark\''),
        ({"pad_mode": "wrap"}, 'pad_mode must be "constant" or "reflect", found \'wrap\''),
        ({"log_offset": -1.0}, "log_offset must be a finite number of at least 0, found -1.0"),
        ({"log_offset": float("nan")}, "log_offset"),
        ({"preemphasis": 1.5}, "preemphasis must be from 0 to 1, found 1.5"),
    ],
)
def test_bad_configurations(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(WANG, **change)


def test_the_same_bits_for_any_number_of_threads():
    code = (
        "import hashlib, numpy as np; from wsedtk.audio.frontend import *; samples = np.random.default_rng(0).normal(0, 0.1, 160000);"
        "print(hashlib.sha256(LogMel(FrontendConfig())(samples.astype(np.float32)).tobytes()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={
                **os.environ,
                "OPENBLAS_NUM_THREADS": n,
                "OMP_NUM_THREADS": n,
                "MKL_NUM_THREADS": n,
            },
            capture_output=True,
            check=True,
        ).stdout
        for n in ("1", "2")
    }
    assert len(found) == 1


def test_settings_omit_later_ones_with_their_defaults():
    assert FrontendConfig().settings() == {
        "sample_rate": 16000,
        "window": 1024,
        "hop": 400,
        "num_fft": 4096,
        "num_mels": 64,
        "min_hz": 0.0,
        "max_hz": 8000.0,
        "power": 1,
        "min_power": 1e-10,
        "top_db": 80.0,
        "pad_to_seconds": None,
    }
    for config in (WANG, HE, ODD, YAMNET, FRAME_MN):
        assert config_files.from_mapping(FrontendConfig, config.settings(), "test") == config
    assert YAMNET.settings()["center"] is False and "pad_mode" not in YAMNET.settings()
