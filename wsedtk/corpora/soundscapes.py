"""Soundscapes: recordings of a sound bank mixed into 10 s clips, with exact events.

A bank is a folder of class folders with recordings named `<fold>-<id>-<take>.<ext>`, as ESC-10 and ESC-50 are; the takes of
one id come from one source recording, in whatever class folder they lie. Some classes are backgrounds, the others events.
A soundscape is one background and up to three events at random places and random levels above it.

Nothing leaks: test soundscapes draw from the test folds, training ones from the other folds. The training recordings are dealt
into groups, and each training soundscape draws from one group. Its name says which (`mix03_170.000_180.000.wav` is the 18th
of group 3), and so does the column `group` of clips.tsv: `balance` keeps groups whole.

G groups, K event classes.
"""

from pathlib import Path

import numpy as np

from wsedtk.audio import audio_files
from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.core.progress import progress
from wsedtk.corpora import builtin_bank
from wsedtk.corpora.mixing import CLIP_SECONDS, load, mix
from wsedtk.corpora.sound_bank import BUILTIN, split
from wsedtk.data import clip_sets, datadir
from wsedtk.data.events import Events
from wsedtk.data.tables import normal

MADE_BY = "prepare soundscapes"
MAX_EVENTS = 3
EMPTY_EVERY = (
    20  # one soundscape in so many holds no event: a system must also learn to say nothing
)
_EMPTY, _NUM_EVENTS, _CLASS_ORDER, _CLIP, _GROUPS = range(
    1, 6
)  # what a random generator is for: part of its seed


def _classes_of_clip(set_number, index, num_classes, seed):
    """The classes of a soundscape's events: none to MAX_EVENTS indices.

    All clips read from one endless row of shuffled class lists, MAX_EVENTS places a clip, so that classes come out balanced
    and seldom twice in a clip. A clip's place in the row depends on its index alone.
    """

    def generator(number, purpose):
        return np.random.default_rng((seed, set_number, number, purpose))

    if generator(index // EMPTY_EVERY, _EMPTY).integers(EMPTY_EVERY) == index % EMPTY_EVERY:
        return []
    num_events = int(generator(index, _NUM_EVENTS).integers(1, MAX_EVENTS + 1))
    places = range(index * MAX_EVENTS, index * MAX_EVENTS + num_events)
    order = {
        r: generator(r, _CLASS_ORDER).permutation(num_classes)
        for r in {p // num_classes for p in places}
    }
    return [int(order[p // num_classes][p % num_classes]) for p in places]


def _write_set(data_dir, name, pools, num_clips, sounds, seed, sample_rate, info):
    """Mix and write one data directory with its audio."""
    folder, set_number, labels = Path(data_dir) / name, int(name == "test"), sorted(pools[0].events)
    rows, tags, clips, contents = [], set(), [], []
    for (
        table
    ) in datadir.COLUMNS:  # a run that is stopped half-way leaves no old tables beside new audio
        (folder / table).unlink(missing_ok=True)
    for index in range(num_clips):
        group, n = index % len(pools), index // len(pools)
        prefix = "test" if name == "test" else f"mix{group:02d}"
        clips.append(
            (f"{prefix}_{n * CLIP_SECONDS:.3f}_{(n + 1) * CLIP_SECONDS:.3f}", group, index)
        )
    clips.sort()
    for position, (stem, group, index) in enumerate(progress(clips, f"mixing {name}")):
        classes = _classes_of_clip(set_number, index, len(labels), seed)
        rng = np.random.default_rng((seed, set_number, index, _CLIP))
        samples, events = mix(pools[group], classes, sounds, rng, sample_rate)
        audio_files.write(Path(data_dir) / "audio" / name / f"{stem}.flac", samples, sample_rate)
        contents.append(provenance.fingerprint(samples.tobytes()))
        rows += [
            (position, round(start / sample_rate, 6), round(end / sample_rate, 6), k)
            for start, end, k in events
        ]
        tags |= {(position, k) for _, _, k in events}
    tag_clip, tag_label = np.array(sorted(tags), np.int64).reshape(-1, 2).T
    filenames = np.array([f"{stem}.wav" for stem, _, _ in clips])
    info = {
        **info,
        "audio_fingerprint": provenance.fingerprint_audio(filenames, np.array(contents)),
    }
    groups = None if name == "test" else np.array([stem.partition("_")[0] for stem, _, _ in clips])
    datadir.write(
        folder,
        clip_sets.DataSet(
            filenames=filenames,
            paths=np.array([f"../audio/{name}/{stem}.flac" for stem, _, _ in clips], datadir.TEXT),
            durations=np.full(len(clips), float(CLIP_SECONDS)),
            labels=labels,
            tag_clip=tag_clip,
            tag_label=tag_label,
            events=Events.from_rows(rows) if name == "test" else None,
            info=info,
            groups=groups,
        ),
    )


def prepare(
    bank_dir, data_dir, backgrounds, test_folds, num_train, num_test, seed, sample_rate=16000
):
    """Mix soundscapes of a bank into data_dir/train (tags) and data_dir/test (tags and events), audio in data_dir/audio.

    bank_dir: folder of class folders, or the word `builtin`: a bank is then synthesised into data_dir/bank.
    backgrounds: names of class folders; may be empty for `builtin`. test_folds: whole numbers. sample_rate: Hz.
    The same seed gives the same bytes, and the first clips do not depend on how many there are. Raises InputError.
    """
    if min(num_train, num_test) < 1:
        raise InputError(
            f"expected at least one training and one test soundscape, found {num_train} and {num_test}"
        )
    if seed < 0 or sample_rate < 8000:
        raise InputError(
            f"expected a seed of at least 0 and a sample rate of at least 8000 Hz, found {seed} and {sample_rate}"
        )
    for name in ("train", "test"):
        datadir.check_overwrite(Path(data_dir) / name, MADE_BY)
    folder, backgrounds = bank_dir, list(dict.fromkeys(map(normal, backgrounds)))
    if str(bank_dir) == BUILTIN:
        folder, backgrounds = Path(data_dir) / "bank", backgrounds or list(builtin_bank.BACKGROUNDS)
        builtin_bank.synthesise(folder, seed, sample_rate=sample_rate)
    train, test = split(folder, backgrounds, test_folds, seed)
    sounds = load([*train, test], sample_rate)
    for name, pools, num_clips in (("train", train, num_train), ("test", [test], num_test)):
        info = {
            "made_by": MADE_BY,
            "corpus": "soundscapes",
            "bank": str(bank_dir),
            "seed": seed,
            "official_clips": num_clips,
            "test_folds": sorted(set(test_folds)),
            "backgrounds": backgrounds,
        }
        _write_set(data_dir, name, pools, num_clips, sounds, seed, sample_rate, info)
