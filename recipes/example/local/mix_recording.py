"""Mix the recording of the first picture in the README.

    python3 mix_recording.py ESC10 recording.ogg

All recordings in the mixture have the licence CC0.
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile

from wsedtk.audio import audio_files
from wsedtk.core.atomic import writing
from wsedtk.core.errors import InputError
from wsedtk.corpora.mixing import audible

SAMPLE_RATE = 16000
SECONDS = 20
BACKGROUND = "002 - Rain/4-163264-A.ogg"
EVENTS = {  # onset in seconds
    "009 - Rooster/4-208021-A.ogg": 1.0,
    "001 - Dog bark/4-207124-A.ogg": 4.5,
    "006 - Person sneeze/4-157297-A.ogg": 10.0,
    "004 - Baby cry/4-167077-A.ogg": 14.0,
}
BACKGROUND_RMS = 10 ** (-35 / 20)
EVENT_RMS = 10 ** (-20 / 20)


def sound(path: Path, rms: float) -> np.ndarray:
    """Return the audible part (S,) of a recording, scaled so that its RMS is `rms`."""
    samples, _ = audio_files.read(path, SAMPLE_RATE)
    parts = audible(samples, SAMPLE_RATE)
    samples = samples[parts[0].start : parts[-1].end]
    return samples * rms / np.sqrt(np.mean(samples**2))


def mix(esc10: Path) -> np.ndarray:
    """Return the mixture (S,)."""
    length = SECONDS * SAMPLE_RATE
    background = sound(esc10 / BACKGROUND, BACKGROUND_RMS)
    mixture = np.tile(background, length // len(background) + 1)[:length]
    for name, onset in EVENTS.items():
        event = sound(esc10 / name, EVENT_RMS)
        start = round(onset * SAMPLE_RATE)
        mixture[start : start + len(event)] += event
    return mixture * min(1, 0.95 / np.abs(mixture).max())


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("esc10", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    try:
        mixture = mix(options.esc10)
        with writing(options.output) as path:
            soundfile.write(path, mixture, SAMPLE_RATE, format="OGG", subtype="VORBIS")
    except InputError as error:
        parser.exit(1, f"mix_recording.py: {error}\n")


if __name__ == "__main__":
    main()
