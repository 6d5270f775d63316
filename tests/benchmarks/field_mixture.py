"""Mix a long recording from a bank of sounds, and write the exact times of its events.

    python tests/benchmarks/field_mixture.py BANK_DIR OUT.wav --folds 4 --background CLASS...
        [--minutes 30] [--gap-seconds 10] [--seed 0]

BANK_DIR contains a folder for each class, with files that are named as in ESC-10
(fold-id-take.ogg). Only recordings of the given folds are used. OUT.tsv beside OUT.wav has the
columns of DCASE: filename, onset, offset and event_label.

The recording imitates a recorder in the field. The background changes every one to three minutes,
with a crossfade of 2 s, and its level is drawn anew (-38 to -28 dB below full scale). Events of
random classes begin at random times, on average one in 10 s, and may overlap. Each event is a whole
recording of the bank, with a level of 0 to 20 dB above the background at its time. Its pauses of
more than 0.5 s are not part of the events in OUT.tsv: there, each stretch of sound is one event.
Overlapping events of a class are one event.
"""

import argparse
from pathlib import Path

import librosa
import numpy as np
import soundfile

RATE = 16000
CROSSFADE_SECONDS = 2.0
PAUSE_SECONDS = 0.5
AUDIBLE_DB = 30.0  # a frame of 20 ms is audible if it is at most this far below the loudest frame


def read(path):
    """Return the samples of a recording without offset, at RATE."""
    samples, _ = librosa.load(path, sr=RATE)
    return samples - samples.mean()


def level(samples):
    """Return the RMS level of samples."""
    return np.sqrt(np.mean(np.square(samples, dtype=np.float64)))


def stretches(samples):
    """Return the start and end (S, 2) of each stretch of sound, in samples."""
    found = librosa.effects.split(samples, top_db=AUDIBLE_DB, frame_length=640, hop_length=160)
    joined = []
    for start, end in found.tolist():
        if joined and start - joined[-1][1] <= PAUSE_SECONDS * RATE:
            joined[-1][1] = end
        else:
            joined.append([start, end])
    return np.array(joined)


def background(recordings, num_samples, rng):
    """Return the background (S,), and its RMS level at each sample (S,)."""
    fade = int(CROSSFADE_SECONDS * RATE)
    mixed, levels = np.zeros(num_samples), np.zeros(num_samples)
    start = 0
    while start < num_samples:
        length = int(rng.uniform(60, 180) * RATE) + fade
        bed = recordings[rng.integers(len(recordings))]
        bed = np.tile(np.concatenate([bed, bed[::-1]]), length // len(bed) + 1)[:length]
        target = 10 ** (rng.uniform(-38, -28) / 20)
        gain = np.ones(length)
        gain[:fade] = np.sin(np.linspace(0, np.pi / 2, fade)) if start else 1
        gain[length - fade :] = np.cos(np.linspace(0, np.pi / 2, fade))
        part = slice(start, min(start + length, num_samples))
        count = part.stop - start
        mixed[part] += (bed * gain * target / level(bed))[:count]
        levels[part] = target
        start += length - fade
    return mixed, levels


def merged(rows):
    """Return events (onset, offset, label) with the overlapping events of each class joined."""
    result = []
    for onset, offset, label in sorted(rows, key=lambda row: (row[2], row[0])):
        if result and result[-1][2] == label and onset <= result[-1][1]:
            result[-1][1] = max(result[-1][1], offset)
        else:
            result.append([onset, offset, label])
    return sorted(result)


def main():
    """Mix and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bank_dir", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--folds", type=int, nargs="+", required=True)
    parser.add_argument("--background", nargs="+", required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--gap-seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    paths = {
        folder.name: [
            path
            for path in sorted(folder.iterdir())
            if int(path.name.partition("-")[0]) in options.folds
        ]
        for folder in sorted(options.bank_dir.iterdir())
        if folder.is_dir()
    }
    labels = [name for name in paths if name not in options.background]
    beds = [read(path) for name in options.background for path in paths[name]]
    num_samples = int(options.minutes * 60 * RATE)
    mixed, levels = background(beds, num_samples, rng)
    rows, time = [], rng.exponential(options.gap_seconds)
    while time < options.minutes * 60:
        label = labels[rng.integers(len(labels))]
        event = read(paths[label][rng.integers(len(paths[label]))])
        parts = stretches(event)
        event = event[parts[0, 0] : parts[-1, 1]]
        parts = parts - parts[0, 0]
        sounding = np.concatenate([event[start:end] for start, end in parts])
        start = int(time * RATE)
        event = event[: num_samples - start]
        gain = levels[start] * 10 ** (rng.uniform(0, 20) / 20) / level(sounding)
        mixed[start : start + len(event)] += event * gain
        rows += [
            (time + onset / RATE, min(time + offset / RATE, options.minutes * 60), label)
            for onset, offset in parts
            if onset < len(event)
        ]
        time += rng.exponential(options.gap_seconds)
    mixed *= min(1, 0.95 / np.abs(mixed).max())
    soundfile.write(options.out, mixed, RATE, subtype="PCM_16")
    with open(options.out.with_suffix(".tsv"), "w", encoding="utf-8") as file:
        file.write("filename\tonset\toffset\tevent_label\n")
        for onset, offset, label in merged(rows):
            file.write(f"{options.out.name}\t{onset:.3f}\t{offset:.3f}\t{label}\n")


if __name__ == "__main__":
    main()
