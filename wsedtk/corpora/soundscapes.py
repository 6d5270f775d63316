"""Soundscapes: recordings of a sound bank mixed into 10 s clips, with exact events.

A bank is a folder of class folders with recordings named `<fold>-<id>-<take>.<ext>`, as ESC-10 and ESC-50 are; the takes of
one id come from one source recording, in whatever class folder they lie. Some classes are backgrounds, the others events.
A soundscape is one background and up to three events at random places and random levels above it.

Nothing leaks: test soundscapes draw from the test folds, training ones from the other folds. The training recordings are dealt
into groups, and each training soundscape draws from one group. Its name says which (`mix03_170.000_180.000.wav` is the 18th
of group 3), and so does the column `group` of clips.tsv: `balance` keeps groups whole.

G groups, K event classes.
"""

import dataclasses
import os
import re
from pathlib import Path

import numpy as np

from wsedtk.audio import audio_files
from wsedtk.core import provenance
from wsedtk.core.config import nearest, suggest
from wsedtk.core.errors import InputError
from wsedtk.core.progress import progress, say
from wsedtk.corpora import builtin_bank
from wsedtk.data import clip_sets, datadir
from wsedtk.data.clip_names import AUDIO_EXTENSIONS
from wsedtk.data.events import Events
from wsedtk.data.folders import look
from wsedtk.data.tables import normal

BUILTIN = "builtin"
MADE_BY = "prepare soundscapes"
CLIP_SECONDS = 10
MAX_GROUPS = 10
MAX_EVENTS = 3
EMPTY_EVERY = (
    20  # one soundscape in so many holds no event: a system must also learn to say nothing
)
RATIO_DB = (0.0, 20.0)  # RMS of an event over the RMS of its background
BACKGROUND_DB = (-38.0, -28.0)  # RMS, relative to full scale
MAX_PEAK = 0.95
EVENT_SECONDS = (
    2.0,
    6.0,
)  # a longer event is cut to a random length in here: else all engines would last 5 s
SAME_CLASS_GAP_SECONDS = (
    0.25  # least silence between two events of a class: closer ones would be heard as one
)
FRAME_SECONDS = 0.02
AUDIBLE_DB = 30.0  # a frame is audible down to this far below the recording's loudest frame,
FLOOR_DB = -60.0  # and above this RMS, relative to full scale
PAUSE_SECONDS = 1.0  # a longer silence separates two events
SHORTEST_SECONDS = (
    0.1  # a shorter stretch of sound is a click beside the event, unless there is nothing else
)
EVENT_FADE_SECONDS = 0.005
LOOP_FADE_SECONDS = 0.5
_NAME = re.compile(r"(\d+)-([^-]+)-([^-]+)")
_EMPTY, _NUM_EVENTS, _CLASS_ORDER, _CLIP, _GROUPS = range(
    1, 6
)  # what a random generator is for: part of its seed


@dataclasses.dataclass(frozen=True)
class Recording:
    """One file of a bank."""

    path: Path
    label: str  # its class folder
    fold: int
    source: str  # the id that all takes of one source recording share


@dataclasses.dataclass(frozen=True)
class Pool:
    """What a soundscape may draw from."""

    events: dict  # class -> recordings
    backgrounds: list  # recordings


def scan(bank_dir):
    """List the recordings of a bank, sorted, as {class folder: recordings}. Raises InputError on names of another form."""
    bank_dir = Path(bank_dir)
    if not os.path.isdir(bank_dir):
        near = nearest(bank_dir, [BUILTIN])
        raise InputError(
            f"{bank_dir}: no such folder; a bank is a folder of class folders with recordings, "
            f"or the word {BUILTIN}" + (f"; did you mean {near!r}?" if near else "")
        )
    found, folders = {}, {}
    for folder in (bank_dir / name for name in look(bank_dir)[0] if not name.startswith(".")):
        label = normal(folder.name)
        if label in found:
            raise InputError(
                f"{folder}: is the class of {folders[label]} in another Unicode form; "
                "put what they hold into one folder"
            )
        found[label], folders[label] = [], folder
        for path in (folder / name for name in look(folder)[1]):
            if path.suffix.lower() not in AUDIO_EXTENSIONS or path.name.startswith("."):
                continue
            match = _NAME.fullmatch(path.stem)
            if not match:
                raise InputError(
                    f"{path}: expected a name like 1-100032-A{path.suffix} (fold-id-take, the fold a whole number), "
                    f"found {path.name!r}; rename it so that it says its fold and source recording"
                )
            found[label].append(Recording(path, label, int(match[1]), normal(match[2])))
    if not found:
        raise InputError(
            f"{bank_dir}: holds no class folders; expected one folder a class, with recordings in each"
        )
    return found


def _check_backgrounds(bank_dir, found, backgrounds):
    """Raise InputError unless the backgrounds are class folders, and leave some class for events."""
    if not backgrounds:
        raise InputError(
            f"{bank_dir}: no background was named; say which of its class folders are backgrounds: "
            f"{', '.join(found)}"
        )
    for name in backgrounds:
        if name not in found:
            raise InputError(
                f"{bank_dir}: holds no class folder {name!r} to be a background; {suggest(name, found)}"
            )
    if not set(found) - set(backgrounds):
        raise InputError(
            f"{bank_dir}: every class folder is a background, none is left for events; name fewer backgrounds"
        )


def _check_folds(bank_dir, found, test_folds):
    """Raise InputError unless every class has recordings on both sides and no source recording lies on both."""
    folds = sorted({r.fold for recordings in found.values() for r in recordings})
    training_folds = [f for f in folds if f not in test_folds]
    for label, recordings in found.items():
        for side, wanted in (("test", sorted(set(test_folds))), ("training", training_folds)):
            if not any(r.fold in wanted for r in recordings):
                raise InputError(
                    f"{bank_dir}: the class {label!r} has no recording in the {side} folds {wanted}; "
                    f"the bank has the folds {folds}: choose other test folds, or take the class out"
                )
    side_of = {}
    for r in (r for recordings in found.values() for r in recordings):
        other = side_of.setdefault(r.source, r)
        if (other.fold in test_folds) != (r.fold in test_folds):
            raise InputError(
                f"{r.path}: the id {r.source!r} lies in fold {r.fold} and, as {other.path}, in fold {other.fold}: "
                "one for testing, one for training; put all takes of a source recording into one fold"
            )


def _deal(lists, num_groups, group_of):
    """Deal the ids of each list to the groups with the fewest of that list, into the dict `group_of`, {id: group}."""
    for ids in lists:
        counts = np.bincount([group_of[i] for i in ids if i in group_of], minlength=num_groups)
        for i in (i for i in ids if i not in group_of):
            group_of[i] = int(counts.argmin())
            counts[group_of[i]] += 1


def split(bank_dir, backgrounds, test_folds, seed):
    """Split a bank as `prepare` does. Returns (G training pools, test pool); no source recording is in two of them.

    The exception: with fewer background ids than groups, groups share backgrounds. Raises InputError.
    """
    found = scan(bank_dir)
    _check_backgrounds(bank_dir, found, backgrounds)
    _check_folds(bank_dir, found, test_folds)
    labels = [label for label in found if label not in backgrounds]
    training = {
        label: [r for r in recordings if r.fold not in test_folds]
        for label, recordings in found.items()
    }
    rng = np.random.default_rng((seed, 0, 0, _GROUPS))
    shuffled = {
        label: rng.permutation(sorted({r.source for r in training[label]})).tolist()
        for label in found
    }
    scarce_first = sorted((shuffled[label] for label in labels), key=len)
    background_ids = list(
        dict.fromkeys(i for label in found if label in backgrounds for i in shuffled[label])
    )
    for num_groups in range(min(MAX_GROUPS, len(scarce_first[0])), 0, -1):
        group_of = {}
        _deal(scarce_first, num_groups, group_of)
        if all(len({group_of[i] for i in ids}) == num_groups for ids in scarce_first):
            break  # always so, unless classes share ids: then fewer groups can still give each group every class
    _deal([background_ids], num_groups, group_of)
    pools = []
    for g in range(num_groups):
        events = {
            label: [r for r in training[label] if group_of[r.source] == g] for label in labels
        }
        beds = [r for label in backgrounds for r in training[label] if group_of[r.source] == g]
        if not beds:  # fewer background ids than groups: this one uses an id again, so a validation split may share it
            again = background_ids[g % len(background_ids)]
            beds = [r for label in backgrounds for r in training[label] if r.source == again]
        pools.append(Pool(events, beds))
    test = {
        label: [r for r in recordings if r.fold in test_folds]
        for label, recordings in found.items()
    }
    return pools, Pool(
        {label: test[label] for label in labels}, [r for label in backgrounds for r in test[label]]
    )


def audible(samples, sample_rate):
    """Find the stretches of sound in a recording: [(first sample, end sample)], none where it is silent.

    A stretch holds no silence longer than PAUSE_SECONDS, and begins and ends with an audible frame (see AUDIBLE_DB, FLOOR_DB).
    """
    frame = round(FRAME_SECONDS * sample_rate)
    frames = np.pad(samples, (0, -len(samples) % frame)).reshape(-1, frame)  # (num_frames, frame)
    level = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    loud = np.flatnonzero(level > max(level.max() - AUDIBLE_DB, FLOOR_DB))
    if not len(loud):
        return []
    pieces = np.split(loud, np.flatnonzero(np.diff(loud) > PAUSE_SECONDS / FRAME_SECONDS) + 1)
    stretches = [(int(p[0]) * frame, min(int(p[-1] + 1) * frame, len(samples))) for p in pieces]
    return [s for s in stretches if s[1] - s[0] >= SHORTEST_SECONDS * sample_rate] or [
        max(stretches, key=lambda s: s[1] - s[0])
    ]


def load(pools, sample_rate):
    """Read the recordings of pools: {path: stretches of sound}. Raises InputError naming a broken or silent one."""
    paths = {
        r.path
        for pool in pools
        for recordings in [*pool.events.values(), pool.backgrounds]
        for r in recordings
    }
    sounds = {}
    for path in progress(sorted(paths), "reading the bank"):
        remarks = []
        samples, _ = audio_files.read(path, sample_rate, remarks=remarks)
        for remark in remarks:
            say(f"warning: {path}: {remark}")
        samples = samples - samples.mean()  # a constant offset is no sound
        stretches = audible(samples, sample_rate)
        if not stretches:
            raise InputError(
                f"{path}: silent: no {FRAME_SECONDS:g} s of it is louder than {FLOOR_DB:g} dB below full scale; "
                "replace it or take it out of the bank"
            )
        sounds[path] = [samples[start:end] for start, end in stretches]
    return sounds


def _rms(samples):
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def _bed(samples, length, rng, sample_rate):
    """`length` samples of a background from a random position; a shorter one is looped with a crossfade of equal power."""
    if len(samples) < length:
        fade = min(int(LOOP_FADE_SECONDS * sample_rate), len(samples) // 4)
        angle = np.linspace(0, np.pi / 2, fade)
        period = samples[: len(samples) - fade].copy()
        period[:fade] = samples[:fade] * np.sin(angle) + samples[len(samples) - fade :] * np.cos(
            angle
        )
        samples = np.tile(period, length // len(period) + 2)
        start = rng.integers(len(period))
    else:
        start = rng.integers(len(samples) - length + 1)
    return samples[start : start + length]


def _event(samples, rng, sample_rate):
    """One event of RMS 1: a stretch of sound, or where it is long a random part of it, with short fades."""
    longest = int(rng.uniform(*EVENT_SECONDS) * sample_rate)
    if len(samples) > longest:
        start = rng.integers(len(samples) - longest + 1)
        samples = samples[start : start + longest]
        ends = audible(samples, sample_rate)  # the cut may begin or end in a pause
        samples = samples[ends[0][0] : ends[-1][1]] if ends else samples
    fade = min(int(EVENT_FADE_SECONDS * sample_rate), len(samples) // 2)
    gain = np.ones(len(samples))
    gain[:fade] = np.linspace(0, 1, fade)
    gain[len(gain) - fade :] = np.linspace(1, 0, fade)
    return samples * gain / _rms(samples)


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


def mix(pool, classes, sounds, rng, sample_rate):
    """Mix one soundscape of events of the given classes (indices into the pool's sorted classes).

    Returns (samples (CLIP_SECONDS * sample_rate,), events [(first sample, end sample, class index)]). An event that finds no
    place beside others of its class is left out.
    """

    def pick(items):
        return items[rng.integers(len(items))]

    length, labels, gap = (
        CLIP_SECONDS * sample_rate,
        sorted(pool.events),
        SAME_CLASS_GAP_SECONDS * sample_rate,
    )
    stretches = sounds[pick(pool.backgrounds).path]
    bed = _bed(max(stretches, key=len), length, rng, sample_rate)
    bed_rms = 10 ** (rng.uniform(*BACKGROUND_DB) / 20)
    out, events = bed * (bed_rms / max(_rms(bed), 1e-6)), []
    for k in classes:
        event = _event(pick(sounds[pick(pool.events[labels[k]]).path]), rng, sample_rate)
        gain = bed_rms * 10 ** (rng.uniform(*RATIO_DB) / 20)
        for start in rng.integers(length - len(event) + 1, size=100).tolist():
            end = start + len(event)
            if all(end + gap <= s or e + gap <= start for s, e, other in events if other == k):
                out[start:end] += gain * event
                events.append((start, end, k))
                break
    return out * min(1, MAX_PEAK / np.abs(out).max()), events


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
