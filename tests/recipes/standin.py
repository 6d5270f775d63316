"""Write stand-in audio for a corpus: real names, tags and events with synthesised sound.

    python tests/recipes/standin.py CORPUS METADATA_DIR AUDIO_DIR
        [--train 300] [--test 100] [--eval 100] [--seed 0] [--broken]

CORPUS is dcase2017 or audioset, and METADATA_DIR contains its lists. The script writes files for
some of their clips to AUDIO_DIR. Each class has its own sound, which is the same in both corpora.
It is placed at the true event times, or at random if these are unknown. If a class is above another
tag of the clip in AudioSet's ontology, it has no sound of its own.

File names have a Y or not, and files are in several formats and folders, as on users' disks. With
--broken, some clips of each set are missing, empty, truncated, silent, too short or duplicates.
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile

from wsedtk.corpora import audioset, dcase2017, youtube
from wsedtk.data import ontologies

RATE = 16000
CORPORA = {"dcase2017": dcase2017.read, "audioset": audioset.read}
DCASE_IDS = (
    "/m/0284vy3 /m/05x_td /m/02mfyn /m/02rhddq /m/0199g /m/06_fw /m/012n7d /m/012ndj /m/0dgbq "
    "/m/04qvtq /m/03qc9zr /m/0k4j "
    "/t/dd00134 /m/01bjv /m/07r04 /m/04_sv /m/07jdr"
).split()  # they have sounds number 0 to 16


def sound(label, num_samples, rng):
    """Return sound number `label`: a tone with its own pitch, vibrato and pulse, over noise.

    From number 17 on there is a second tone.
    """
    t = np.arange(num_samples) / RATE
    pitch = 250 * 1.19 ** (label % 17) * rng.uniform(0.97, 1.03)
    pulse = 0.5 + 0.5 * np.sign(np.sin(2 * np.pi * (1 + label % 5) * t + rng.uniform(0, 6)))
    vibrato = 1 + 0.03 * (label % 3) * np.sin(2 * np.pi * (2 + label % 4) * t)
    tone = sum(
        np.sin(2 * np.pi * harmonic * np.cumsum(pitch * vibrato) / RATE) / harmonic
        for harmonic in (1, 2 + label % 2)
    )
    if label >= 17:
        tone += np.sin(2 * np.pi * 180 * 1.11 ** (label // 17) * t)
    fade = np.minimum(1, np.minimum(t, t[::-1]) / 0.02)
    return (
        rng.uniform(0.08, 0.2)
        * (tone * (pulse if label % 2 else 1) + 0.2 * rng.normal(size=num_samples))
        * fade
    )


def classes_above(metadata_dir, mids):
    """Return which classes are above which (K, K), see audioset.ancestors.

    Without an ontology, no class is above another.
    """
    path = Path(metadata_dir) / ontologies.FILE
    return (
        audioset.ancestors(ontologies.read(path), mids)
        if path.exists()
        else np.zeros((len(mids), len(mids)), bool)
    )


def clip_audio(dataset, clip, above, rng):
    """Return the samples of a clip: events, or tags at random times, over a quiet background.

    above: the result of `classes_above`.
    """
    num_samples, mids = round(dataset.durations[clip] * RATE), dataset.info["class_ids"]
    samples = 0.01 * rng.normal(size=num_samples)
    if dataset.events is not None:
        spans = [row[1:] for row in dataset.events.select(dataset.events.clip == clip).rows()]
    else:
        spans = []
        labels = dataset.tags_of(clip)
        for label in labels[~above[np.ix_(labels, labels)].any(axis=0)].tolist():
            length = rng.uniform(0.1, 0.6) * dataset.durations[clip]
            onset = rng.uniform(0, dataset.durations[clip] - length)
            spans.append((onset, onset + length, label))
    for onset, offset, label in spans:
        first, last = round(onset * RATE), min(round(offset * RATE), num_samples)
        if last > first:
            number = DCASE_IDS.index(mids[label]) if mids[label] in DCASE_IDS else 17 + label
            samples[first:last] += sound(number, last - first, rng)
    return samples


def choose(dataset, count, rng):
    """Select clips (count,) of a set, class by class in turn, so that rare classes are included."""
    chosen, queues = (
        set(),
        [rng.permutation(clips).tolist() for clips in dataset.clips_of_classes()[:-1]],
    )
    while len(chosen) < count and any(queues):
        for queue in queues:
            while queue and queue[-1] in chosen:
                queue.pop()
            if queue and len(chosen) < count:
                chosen.add(queue.pop())
    return sorted(chosen)


def break_some(paths, rng):
    """Damage seven of the files, and return {kind: name of the clip}."""
    picked = [paths[i] for i in rng.permutation(len(paths))[:7].tolist()]
    missing, empty, cut, silent, short, copy, original = picked
    missing.unlink()
    empty.write_bytes(b"")
    cut.write_bytes(cut.read_bytes()[:30])
    for path, samples in (
        (silent, np.zeros(RATE * 10)),
        (short, 0.1 * np.sin(np.arange(RATE // 2))),
        (copy, soundfile.read(original)[0]),
    ):
        path.unlink()
        soundfile.write(path.with_suffix(".wav"), samples, RATE)
    original_samples = soundfile.read(original)[0]
    original.unlink()
    soundfile.write(original.with_suffix(".wav"), original_samples, RATE)
    clips = [youtube.normal_name(path.name).removesuffix(".wav") for path in picked]
    return dict(zip(("missing", "empty", "cut", "silent", "short", "copy", "original"), clips))


def make(corpus, metadata_dir, audio_dir, counts, seed=0, broken=False):
    """Write the audio of counts = {set: number of clips}; return {set: {kind: damaged clip}}."""
    spoilt = {}
    for number, (name, dataset) in enumerate(CORPORA[corpus](metadata_dir).items()):
        rng, paths, above = (
            np.random.default_rng((seed, number)),
            [],
            classes_above(metadata_dir, dataset.info["class_ids"]),
        )
        for index, clip in enumerate(choose(dataset, counts[name], rng)):
            stem = str(dataset.filenames[clip]).removesuffix(".wav")
            path = (
                Path(audio_dir)
                / f"part {index % 3}"
                / f"{'Y' if index % 4 else ''}{stem}{('.wav', '.flac', '.ogg')[index % 3]}"
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, clip_audio(dataset, clip, above, rng).clip(-1, 1), RATE)
            paths.append(path)
        if broken:
            spoilt[name] = break_some(paths, rng)
    return spoilt


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", choices=CORPORA)
    parser.add_argument("metadata_dir")
    parser.add_argument("audio_dir")
    for name, count in (("train", 300), ("test", 100), ("eval", 100), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--broken", action="store_true")
    options = parser.parse_args()
    counts = {name: getattr(options, name) for name in dcase2017.SETS}
    for name, clips in make(
        options.corpus,
        options.metadata_dir,
        options.audio_dir,
        counts,
        options.seed,
        options.broken,
    ).items():
        print(name, clips)


if __name__ == "__main__":
    main()
