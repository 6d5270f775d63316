"""Write recordings without events: silence, white and pink noise, and mains hum.

    python3 make_noise.py --seed 0 FOLDER

Each recording lasts two minutes and has a sample rate of 16 kHz.
"""

import argparse
from pathlib import Path

import numpy as np

from wsedtk.audio import audio_files
from wsedtk.core.errors import InputError

SAMPLE_RATE = 16000
SECONDS = 120


def recordings(seed: int) -> dict[str, np.ndarray]:
    """Return {name: samples (S,)}."""
    rng = np.random.default_rng(seed)
    length = SECONDS * SAMPLE_RATE
    white = rng.standard_normal(length)
    # The power density of pink noise is proportional to 1 / f, and the amplitude to 1 / sqrt(f).
    spectrum = np.fft.rfft(rng.standard_normal(length))
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), length)
    pink /= pink.std()
    times = np.arange(length) / SAMPLE_RATE
    hum = sum(np.sin(2 * np.pi * 50 * n * times) / n for n in range(1, 8))
    hum += 0.1 * rng.standard_normal(length)
    return {
        "silence": np.zeros(length),
        "white noise -60 dB": 10 ** (-60 / 20) * white,
        "white noise -30 dB": 10 ** (-30 / 20) * white,
        "pink noise -30 dB": 10 ** (-30 / 20) * pink,
        "hum -30 dB": 10 ** (-30 / 20) * hum / hum.std(),
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    try:
        for name, samples in recordings(options.seed).items():
            audio_files.write(options.folder / f"{name}.flac", samples, SAMPLE_RATE)
    except InputError as error:
        parser.exit(1, f"make_noise.py: {error}\n")


if __name__ == "__main__":
    main()
