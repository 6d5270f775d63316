"""What several test files build: sounds and data directories."""

import numpy as np
import soundfile


def write_sound(path, seconds=1.0, sample_rate=16000, frequency=440.0, channels=1, seed=0):
    """Write a tone in a little noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    noise = np.random.default_rng(seed).normal(0, 0.01, (len(t), channels))
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * frequency * t)[:, None] + noise, sample_rate)


def write_set(folder, clips, labels, tags, events=None):
    """Write a data directory by hand. clips: (filename, path, duration); tags: (filename, label)."""
    folder.mkdir(parents=True, exist_ok=True)

    def table(name, header, rows):
        lines = [header, *("\t".join(map(str, row)) for row in rows)]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")

    table("clips.tsv", "filename\tpath\tduration", clips)
    table("tags.tsv", "filename\tevent_label", tags)
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    if events is not None:
        table("events.tsv", "filename\tonset\toffset\tevent_label", events)
    return folder
