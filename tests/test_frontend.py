import dataclasses
import os
import subprocess
import sys

import librosa
import numpy as np
import pytest

from wsedtk import audio
from wsedtk.frontend import FrontendConfig, LogMel

WANG = FrontendConfig()
HE = FrontendConfig(sample_rate=44100, window=1764, hop=882, num_fft=2048, num_mels=80, max_hz=22050, power=2, top_db=None)
ODD = FrontendConfig(sample_rate=22050, window=301, hop=97, num_fft=511, num_mels=20, min_hz=50, max_hz=11000, power=2, top_db=40)
CONFIGS = pytest.mark.parametrize("config", [WANG, HE, ODD], ids=["Wang", "He", "odd"])
TOLERANCE = {"float64": 1e-6, "float32": 5e-3}  # dB; the latter above the floor of float32, 100 dB below the clip's maximum


def librosas(config, samples):
    """The same features by librosa alone, in float64."""
    spectrum = np.abs(librosa.stft(samples.astype(np.float64), n_fft=config.num_fft, hop_length=config.hop, win_length=config.window,
                                   window="hann", center=True, pad_mode="constant", dtype=np.complex128)) ** config.power
    mel = librosa.filters.mel(sr=config.sample_rate, n_fft=config.num_fft, n_mels=config.num_mels, fmin=config.min_hz, fmax=config.max_hz,
                              htk=False, norm="slaney", dtype=np.float64)
    return librosa.power_to_db((mel @ spectrum)[:, :config.num_frames(len(samples))], ref=1.0, amin=config.min_power,
                               top_db=config.top_db).T


def noise(seconds, rate, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * rate))


def close(config, samples, dtype):
    found, expected = LogMel(config)(samples.astype(dtype)), librosas(config, samples.astype(dtype))
    assert found.shape == expected.shape and found.dtype == dtype
    audible = expected > expected.max() - 100 if dtype == "float32" else slice(None)
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
    return {"silence": 0 * t, "tone": np.sin(2 * np.pi * 440 * t), "top tone": np.sin(2 * np.pi * config.max_hz * 0.99 * t),
            "click": click, "constant": 0 * t + 0.3, "quiet": 1e-9 * np.sin(2 * np.pi * 440 * t),
            "then silence": np.where(t < 0.5, np.sin(2 * np.pi * 440 * t), 0)}


@CONFIGS
@pytest.mark.parametrize("name", ["silence", "tone", "top tone", "click", "constant", "quiet", "then silence"])
def test_signals_against_librosa(config, name):
    samples = signals(config)[name]
    close(config, samples, "float64")
    close(dataclasses.replace(config, top_db=30), samples, "float64")
    assert np.isfinite(LogMel(config)(samples.astype(np.float32))).all()


@pytest.mark.parametrize("config", [WANG, HE], ids=["Wang", "He"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_real_recordings_against_librosa(config, dtype, real_data):
    for folder in sorted((real_data / "esc10").glob("0*"))[::3]:
        samples, _ = audio.read(sorted(folder.glob("*.ogg"))[0], config.sample_rate)
        close(config, samples, dtype)


def test_silence_is_the_floor():
    np.testing.assert_allclose(LogMel(WANG)(np.zeros(4000, np.float32)), -100, atol=1e-4)


@pytest.mark.parametrize("config, num_frames", [(WANG, 400), (HE, 500)], ids=["Wang", "He"])
def test_ten_seconds(config, num_frames):
    samples = noise(10, config.sample_rate).astype(np.float32)
    assert LogMel(config)(samples).shape == (num_frames, config.num_mels)
    assert config.seconds_per_frame == 10 / num_frames


@pytest.mark.parametrize("num_samples, num_frames", [(0, 1), (1, 1), (399, 1), (400, 1), (799, 1), (800, 2), (160399, 400), (160400, 401)])
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


@pytest.mark.parametrize("change, message", [
    ({"sample_rate": 0}, "must be at least 1"), ({"window": 0}, "must be at least 1"), ({"hop": 0}, "must be at least 1"),
    ({"num_mels": 0}, "must be at least 1"), ({"hop": -400}, "must be at least 1"),
    ({"num_fft": 1023}, "num_fft 1023 is shorter than the window of 1024 samples"),
    ({"max_hz": 8001.0}, "need 0 <= min_hz < max_hz <= 8000.0, found 0.0 and 8001.0"),
    ({"min_hz": -1.0}, "need 0 <= min_hz"), ({"min_hz": 8000.0}, "need 0 <= min_hz"), ({"max_hz": float("nan")}, "need 0 <= min_hz"),
    ({"power": 3}, "power must be 1 or 2, found 3"),
    ({"min_power": 0.0}, "min_power must be a number above 0, found 0.0"), ({"min_power": float("nan")}, "min_power"),
    ({"top_db": -1.0}, "top_db must be at least 0, or null, found -1.0"), ({"top_db": float("nan")}, "top_db"),
    ({"pad_to_seconds": 0.0}, "pad_to_seconds must be a number above 0"), ({"pad_to_seconds": float("inf")}, "pad_to_seconds"),
])
def test_bad_configurations(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(WANG, **change)


def test_the_same_bits_for_any_number_of_threads():
    code = ("import hashlib, numpy as np; from wsedtk.frontend import *; samples = np.random.default_rng(0).normal(0, 0.1, 160000);"
            "print(hashlib.sha256(LogMel(FrontendConfig())(samples.astype(np.float32)).tobytes()).hexdigest())")
    found = {subprocess.run([sys.executable, "-c", code], env={**os.environ, "OPENBLAS_NUM_THREADS": n, "OMP_NUM_THREADS": n,
                                                               "MKL_NUM_THREADS": n}, capture_output=True, check=True).stdout
             for n in ("1", "2")}
    assert len(found) == 1
