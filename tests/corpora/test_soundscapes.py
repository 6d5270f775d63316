import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wsedtk.audio import audio_files
from wsedtk.core.errors import InputError
from wsedtk.corpora import builtin_bank, mixing, sound_bank, soundscapes
from wsedtk.data import clip_names, datadir

RATE = 8000  # Hz; half of the default, to save time
BEDS = ("Rain", "Wind")


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """A small built-in bank: 3 folds, 2 recordings per fold and class."""
    folder = tmp_path_factory.mktemp("bank") / "bank"
    builtin_bank.synthesise(folder, seed=1, recordings_per_fold=2, folds=3, sample_rate=RATE)
    for path in (folder / "Traffic").iterdir():
        path.unlink()
    (folder / "Traffic").rmdir()
    (folder / "README.md").write_text("not a class")
    (folder / "Bell" / "notes.txt").write_text("not a recording")
    (folder / "Bell" / ".hidden-x.flac").write_text("not a recording")
    return folder


def mixed(bank, folder, seed=3, num_train=24, num_test=40, **options):
    options = {"backgrounds": BEDS, "test_folds": (3,), "sample_rate": RATE} | options
    numbers = {"num_train": num_train, "num_test": num_test, "seed": seed}
    soundscapes.prepare(soundscapes.SoundscapesOptions(bank, folder, **numbers, **options))
    return folder


@pytest.fixture(scope="module")
def made(bank, tmp_path_factory):
    return mixed(bank, tmp_path_factory.mktemp("made") / "data")


def contents(folder, patterns=("*/*.tsv", "*/*.txt", "*/*.yaml", "audio/*/*.flac")):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for pattern in patterns
        for p in Path(folder).glob(pattern)
    }


def tone(path, seconds=1.0, before=0.0, after=0.0, level=0.3):
    """Write a 440 Hz tone between periods of silence."""
    samples = level * np.sin(2 * np.pi * 440 * np.arange(int(seconds * RATE)) / RATE)
    audio_files.write(path, np.pad(samples, (int(before * RATE), int(after * RATE))), RATE)


def small_bank(folder, classes=("Dog", "Rain")):
    for number, label in enumerate(classes):
        for fold in (1, 2):
            tone(folder / label / f"{fold}-{number}{fold}-A.wav")
    return folder


# --- the built-in bank ---


def test_bank_has_varied_classes_and_names_of_the_form(bank):
    assert len(builtin_bank.EVENT_CLASSES) >= 6 and any(
        "," in name for name in builtin_bank.EVENT_CLASSES
    )
    found = sound_bank.scan(bank)
    assert set(found) == {*builtin_bank.EVENT_CLASSES, *BEDS}
    assert all(len(found[label]) == 6 for label in builtin_bank.EVENT_CLASSES)
    sources = [r.source for recordings in found.values() for r in recordings]
    assert len(set(sources)) == len(sources)
    for label, recordings in found.items():
        sounds = [audio_files.read(r.path)[0] for r in recordings]
        assert len({len(s) for s in sounds}) == len(sounds), (
            f"{label}: recordings of the same length"
        )
        for samples in sounds:
            assert (
                0.25 < np.abs(samples).max() < 0.95
                and abs(samples[0]) < 1e-3
                and abs(samples[-1]) < 1e-3
            )
            assert len(samples) >= (5 if label in BEDS else 0.4) * RATE


def test_a_bank_depends_on_its_seed_and_replaces_earlier_ones(tmp_path):
    builtin_bank.synthesise(
        tmp_path / "a", seed=0, recordings_per_fold=1, folds=1, sample_rate=RATE
    )
    builtin_bank.synthesise(
        tmp_path / "b", seed=9, recordings_per_fold=2, folds=1, sample_rate=RATE
    )
    a = contents(tmp_path / "a", ["*/*.flac"])
    assert a != contents(tmp_path / "b", ["*/*.flac"])
    builtin_bank.synthesise(
        tmp_path / "b", seed=0, recordings_per_fold=1, folds=1, sample_rate=RATE
    )
    assert a == contents(tmp_path / "b", ["*/*.flac"])
    (tmp_path / "b" / "Dog bark").mkdir()
    with pytest.raises(InputError, match="'Dog bark', which is not a class of the built-in bank"):
        builtin_bank.synthesise(tmp_path / "b", seed=0)


# --- audible parts ---


def test_audible_leaves_silence_out_and_splits_at_long_pauses():
    sound, short, long = np.full(RATE, 0.1), np.zeros(RATE // 2), np.zeros(3 * RATE // 2)
    assert mixing.audible(np.concatenate([short, sound, short]), RATE) == [
        (RATE // 2, 3 * RATE // 2)
    ]
    assert mixing.audible(np.concatenate([sound, short, sound]), RATE) == [(0, 5 * RATE // 2)]
    assert mixing.audible(np.concatenate([sound, long, sound]), RATE) == [
        (0, RATE),
        (5 * RATE // 2, 7 * RATE // 2),
    ]
    assert mixing.audible(np.concatenate([sound, sound / 100, short]), RATE) == [
        (0, RATE)
    ]  # -40 dB
    assert mixing.audible(sound / 1000, RATE) == []  # -80 dB: under the floor
    click = np.full(RATE // 25, 0.1)  # 40 ms
    assert mixing.audible(np.concatenate([sound, long, click]), RATE) == [(0, RATE)]
    assert mixing.audible(np.concatenate([click, long]), RATE) == [(0, RATE // 25)]
    assert mixing.audible(np.full(RATE + 1, 0.1), RATE) == [(0, RATE + 1)]


# --- the split ---


def check_split(bank, backgrounds, test_folds, seed, backgrounds_too=True):
    train, test = sound_bank.split(bank, backgrounds, test_folds, seed)
    pools = [*train, test]
    labels = sorted(set(sound_bank.scan(bank)) - set(backgrounds))
    sources = [
        {r.source for recordings in pool.events.values() for r in recordings} for pool in pools
    ]
    if backgrounds_too:
        sources = [s | {r.source for r in pool.backgrounds} for s, pool in zip(sources, pools)]
    for i, pool in enumerate(pools):
        assert sorted(pool.events) == labels and all(pool.events.values()) and pool.backgrounds
        assert not any(sources[i] & other for other in sources[i + 1 :])
    for pool in train:
        assert not any(
            r.fold in test_folds for r in [*sum(pool.events.values(), []), *pool.backgrounds]
        )
    assert all(r.fold in test_folds for r in [*sum(test.events.values(), []), *test.backgrounds])
    return train, test


def test_no_source_recording_is_in_two_groups_or_on_both_sides(bank):
    train, test = check_split(bank, BEDS, (3,), seed=0)
    assert len(train) == 4 and all(
        len(v) == 1 for pool in train for v in pool.events.values()
    )  # 2 folds of 2 recordings
    assert all(len(pool.backgrounds) == 3 for pool in train) and len(test.backgrounds) == 6
    assert [p.events for p in train] != [
        p.events for p in sound_bank.split(bank, BEDS, (3,), seed=1)[0]
    ]


def test_takes_of_an_id_stay_together_even_across_classes(tmp_path):
    for label, offset in (("Cat", 0), ("Dog", 1)):  # ids 1 to 3 are in both classes
        for number in range(1, 5):
            for take in "AB":
                tone(
                    tmp_path / label / f"1-{number if number < 4 else 10 + offset}-{take}.wav", 0.2
                )
        tone(tmp_path / label / f"2-{20 + offset}-A.wav", 0.2)
    tone(tmp_path / "Rain" / "1-30-A.wav")
    tone(tmp_path / "Rain" / "2-31-A.wav")
    train, _ = check_split(
        tmp_path, ["Rain"], (2,), seed=0, backgrounds_too=False
    )  # one background for all groups
    assert len(train) == 4 and all(p.backgrounds[0].source == "30" for p in train)
    assert all(len(p.events["Cat"]) == 2 for p in train)


# --- mixing ---


def test_prepare_writes_valid_sets(made):
    train, test = datadir.read(made / "train"), datadir.read(made / "test")
    assert train.labels == test.labels == sorted(builtin_bank.EVENT_CLASSES)
    assert (
        train.events is None
        and test.events is not None
        and not (made / "train" / "events.tsv").exists()
    )
    assert len(train) == 24 and len(test) == 40 and (test.durations == 10).all()
    assert {clip_names.source_of(name) for name in train.filenames} == {
        f"mix0{g}" for g in range(4)
    }
    assert train.groups.tolist() == [clip_names.source_of(name) for name in train.filenames]
    assert (
        "mix03_50.000_60.000.wav" in train.filenames
        and "test_390.000_400.000.wav" in test.filenames
    )
    assert (
        "official_clips" not in test.info
        and test.info["test_folds"] == [3]
        and test.info["backgrounds"] == list(BEDS)
    )
    for dataset in (train, test):
        for path in dataset.paths:
            info = soundfile.info(path)
            assert (info.samplerate, info.channels, info.frames, info.subtype) == (
                RATE,
                1,
                10 * RATE,
                "PCM_16",
            )
            assert 0 < np.abs(audio_files.read(path)[0]).max() < 0.96
    assert (made / "train" / "clips.tsv").read_text().splitlines()[1].split("\t")[
        1
    ] == "../audio/train/mix00_0.000_10.000.flac"


def test_events_match_tags_and_never_overlap_within_a_class(made):
    test = datadir.read(made / "test")
    assert set(zip(test.events.clip, test.events.label)) == set(zip(test.tag_clip, test.tag_label))
    counts = np.bincount(test.events.clip, minlength=len(test))
    assert counts.max() == 3 and (counts == 0).sum() == 2  # 5 % of the clips are empty
    assert np.ptp(np.bincount(test.events.label)) <= 10
    rows = sorted(test.events.rows(), key=lambda row: (row[0], row[3], row[1]))
    for (clip, onset, offset, label), (next_clip, next_onset, _, next_label) in zip(rows, rows[1:]):
        assert 0 <= onset < offset <= 10
        if (clip, label) == (next_clip, next_label):
            assert next_onset - offset >= mixing.SAME_CLASS_GAP_SECONDS - 1e-6


def test_events_of_a_single_class_do_not_overlap(tmp_path):
    for fold in (1, 2):
        tone(tmp_path / "bank" / "Dog" / f"{fold}-1{fold}-A.wav", 2.4)
        tone(tmp_path / "bank" / "Rain" / f"{fold}-2{fold}-A.wav", 3)
    mixed(tmp_path / "bank", tmp_path / "data", backgrounds=["Rain"], test_folds=[2])
    events = datadir.read(tmp_path / "data" / "test").events
    gaps = [
        b[1] - a[2] for a, b in zip(list(events.rows()), list(events.rows())[1:]) if a[0] == b[0]
    ]
    assert len(gaps) > 10 and min(gaps) >= mixing.SAME_CLASS_GAP_SECONDS - 1e-6


def test_events_match_the_energy(tmp_path, monkeypatch):
    """A padded tone 60 dB above the background: sound between onset and offset, none outside."""
    monkeypatch.setattr(mixing, "RATIO_DB", (60.0, 60.0))
    for fold in (1, 2):
        tone(tmp_path / "bank" / "Dog" / f"{fold}-1{fold}-A.wav", 1.5, before=1.0, after=0.7)
        audio_files.write(
            tmp_path / "bank" / "Rain" / f"{fold}-2{fold}-A.wav",
            0.1 * np.random.default_rng(fold).random(RATE),
            RATE,
        )
    mixed(tmp_path / "bank", tmp_path / "data", num_test=20, backgrounds=["Rain"], test_folds=[2])
    test = datadir.read(tmp_path / "data" / "test")
    assert np.allclose(test.events.offset - test.events.onset, 1.5, atol=1e-6)
    for clip, path in enumerate(test.paths):
        samples, _ = audio_files.read(path)
        inside = np.zeros(len(samples), bool)
        for _, onset, offset, _ in (row for row in test.events.rows() if row[0] == clip):
            first, end = round(onset * RATE), round(offset * RATE)
            inside[first:end] = True
            level = np.sqrt(np.convolve(samples[first:end] ** 2, np.ones(160) / 160, "valid"))
            assert level.min() > 0.1  # loud up to its ends
        if inside.any():
            assert np.abs(samples[~inside]).max() < 0.01


def test_ratio_of_event_to_background(bank, monkeypatch):
    _, pool = sound_bank.split(bank, BEDS, (3,), 0)
    sounds = mixing.load([pool], RATE)
    powers = {}
    for ratio in (-100.0, 10.0):
        monkeypatch.setattr(mixing, "RATIO_DB", (ratio, ratio))
        samples, events = mixing.mix(pool, [2], sounds, np.random.default_rng(5), RATE)
        first, end, _ = events[0]
        powers[ratio] = samples
    bed = powers[-100.0]
    event = (powers[10.0] - bed)[first:end]
    assert 10 * np.log10(np.mean(event**2) / np.mean(bed**2)) == pytest.approx(10, abs=0.01)


def test_a_short_background_is_looped_without_a_gap(tmp_path):
    rng = np.random.default_rng(0)
    bed = mixing._background(rng.standard_normal(RATE), 10 * RATE, rng, RATE)
    level = np.sqrt(np.mean(bed.reshape(-1, RATE // 20) ** 2, axis=1))
    assert len(bed) == 10 * RATE and 0.7 < level.min() and level.max() < 1.3


def test_same_seed_same_bytes(bank, made, tmp_path):
    first = contents(mixed(bank, tmp_path / "again"))
    assert first == contents(made)
    mixed(
        bank, tmp_path / "again", seed=4, num_train=30, num_test=1
    )  # another run in the same place ...
    other = contents(tmp_path / "again")
    assert other["train/tags.tsv"] != first["train/tags.tsv"]
    assert (
        other["audio/train/mix00_0.000_10.000.flac"] != first["audio/train/mix00_0.000_10.000.flac"]
    )
    again = contents(mixed(bank, tmp_path / "again"))  # ... and the first one again
    assert {name: again[name] for name in first} == first
    assert len(datadir.read(tmp_path / "again" / "train")) == 24


def test_first_clips_do_not_depend_on_their_number(bank, made, tmp_path):
    audio_of = contents(mixed(bank, tmp_path / "few", num_train=3, num_test=2), ["audio/*/*.flac"])
    assert len(audio_of) == 5
    assert audio_of.items() <= contents(made).items()


@pytest.mark.parametrize("empty_every, num_empty", [(1, 12), (4, 3), (12, 1)])
def test_the_number_of_soundscapes_without_events(bank, tmp_path, empty_every, num_empty):
    mixed(bank, tmp_path, num_train=12, num_test=12, empty_every=empty_every)
    for name in ("train", "test"):
        dataset = datadir.read(tmp_path / name)
        assert len(dataset) - len(set(dataset.tag_clip.tolist())) == num_empty
        assert dataset.labels == sorted(builtin_bank.EVENT_CLASSES)


def test_what_is_printed(bank, tmp_path):
    options = {"num_train": 2, "num_test": 1, "backgrounds": BEDS, "test_folds": (3,)}
    folder = tmp_path / "my data"
    result = soundscapes.prepare(soundscapes.SoundscapesOptions(bank, folder, **options))
    lines = result.to_text().splitlines()
    assert lines[0].startswith(f"{folder}/train: 2 clips, ")
    assert lines[-1] == f"next: wsedtk build '{folder}/train' MODEL_DIR"
    assert any(line.startswith(f"{folder}/test: 1 clip, ") for line in lines)


def test_all_folds_are_used_for_training(bank, tmp_path):
    mixed(bank, tmp_path, num_train=6, all_folds=True)
    assert not (tmp_path / "test").exists() and not (tmp_path / "audio/test").exists()
    dataset = datadir.read(tmp_path / "train")
    assert len(dataset) == 6 and dataset.info["test_folds"] == []
    pools, test = sound_bank.split(bank, BEDS, (), seed=0)
    paths = {r.path for pool in pools for r in [*sum(pool.events.values(), []), *pool.backgrounds]}
    assert test is None and {path.name.split("-")[0] for path in paths} == {"1", "2", "3"}
    assert paths == {r.path for recordings in sound_bank.scan(bank).values() for r in recordings}


def test_a_stopped_run_leaves_no_tables_that_disagree_with_the_audio(bank, tmp_path, monkeypatch):
    mixed(bank, tmp_path, num_train=2, num_test=1)
    monkeypatch.setattr(audio_files, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        mixed(bank, tmp_path, num_train=2, num_test=1, seed=8)
    with pytest.raises(InputError, match="clips.tsv: no such file"):
        datadir.read(tmp_path / "train")


def test_builtin_needs_no_backgrounds(tmp_path, monkeypatch):
    whole = builtin_bank.synthesise
    monkeypatch.setattr(
        builtin_bank, "synthesise", lambda *a, **k: whole(*a, **k, recordings_per_fold=1, folds=2)
    )
    mixed("builtin", tmp_path, num_train=2, num_test=2, backgrounds=(), test_folds=(2,))
    test = datadir.read(tmp_path / "test")
    assert test.info["bank"] == "builtin" and test.info["backgrounds"] == list(
        builtin_bank.BACKGROUNDS
    )
    assert (
        test.labels == sorted(builtin_bank.EVENT_CLASSES) and (tmp_path / "bank" / "Rain").is_dir()
    )


# --- faults of a bank ---


def refuses(bank, tmp_path, match, **options):
    with pytest.raises(InputError, match=match):
        mixed(
            bank,
            tmp_path / "data",
            **{"backgrounds": ["Rain"], "test_folds": [2], "num_train": 2, "num_test": 2} | options,
        )


def test_faults_of_the_bank(tmp_path):
    refuses(
        tmp_path / "none", tmp_path, "none: no such folder; a bank is a folder of class folders"
    )
    (tmp_path / "empty").mkdir()
    refuses(tmp_path / "empty", tmp_path, "contains no class folders")
    bank = small_bank(tmp_path / "bank")
    refuses(
        bank,
        tmp_path,
        "no class folder 'Rian' for --background; did you mean 'Rain'",
        backgrounds=["Rian"],
    )
    refuses(bank, tmp_path, "every class folder is a background", backgrounds=["Rain", "Dog"])
    refuses(bank, tmp_path, "no background was named; .*: Dog, Rain", backgrounds=[])
    refuses(
        bank,
        tmp_path,
        "'Dog' has no recording in the test folds \\[7\\]; the bank has the folds \\[1, 2\\]",
        test_folds=[7],
    )
    refuses(
        bank, tmp_path, "'Dog' has no recording in the training folds \\[\\]", test_folds=[1, 2]
    )
    refuses(
        bank, tmp_path, "at least one training and one test soundscape, found 0 and 2", num_train=0
    )
    refuses(bank, tmp_path, "found 2 and -1", num_test=-1)
    refuses(bank, tmp_path, "a seed of at least 0", seed=-1)
    refuses(bank, tmp_path, "empty_every: expected at least 1, found 0", empty_every=0)
    (bank / "Cat").mkdir()
    refuses(bank, tmp_path, "'Cat' has no recording in the test folds")
    assert not (tmp_path / "data").exists()


def test_faults_of_recordings(tmp_path):
    bank = small_bank(tmp_path / "bank")
    path = bank / "Dog" / "woof.wav"
    tone(path)
    refuses(bank, tmp_path, "woof.wav: expected a name like 1-100032-A.wav \\(fold-id-take")
    path.rename(bank / "Dog" / "2-01-B.wav")  # id 01 is the dog of fold 1
    tone(bank / "Dog" / "1-01-A.wav")
    refuses(
        bank,
        tmp_path,
        "the id '01' is in fold 2, but .*1-01-A.wav has the same id and is in fold 1, .*rename the files so that all takes",
    )
    path = bank / "Dog" / "2-01-B.wav"
    path.unlink()
    path = bank / "Dog" / "2-77-A.wav"
    tone(path, level=1e-4)
    refuses(bank, tmp_path, "2-77-A.wav: is silent: no frame of")
    audio_files.write(path, np.full(RATE, 0.5), RATE)  # a constant is silent too
    refuses(bank, tmp_path, "2-77-A.wav: is silent: no frame of")
    path.write_bytes(b"RIFF, or so")
    refuses(bank, tmp_path, "2-77-A.wav: can't be read as sound")


# --- recordings with any names ---


@pytest.fixture
def own(tmp_path):
    """Two classes with four source recordings each, and a folder of backgrounds elsewhere."""
    for label in ("Dog", "Owl"):
        for number in range(3):
            tone(tmp_path / "bank" / label / f"{label} {number}.wav")
        for times in ("0_1", "1_2"):  # two parts of one recording, in a folder of a site
            tone(tmp_path / "bank" / label / "site" / f"{label} long_{times}.wav")
    for number in range(4):
        tone(tmp_path / "noise" / f"wind{number}.wav", seconds=3, level=0.1)
    return tmp_path / "bank"


def sources_of(pools):
    return {
        recording.source
        for pool in pools
        for recordings in [*pool.events.values(), pool.backgrounds]
        for recording in recordings
    }


def test_names_without_folds(own, tmp_path):
    noise = str(tmp_path / "noise")
    folder = mixed(own, tmp_path / "a", backgrounds=[noise], test_folds=(4,), num_train=6)
    train = datadir.read(folder / "train")
    assert train.labels == ["Dog", "Owl"] and (train.tag_matrix().sum(axis=0) > 0).all()
    assert train.info["backgrounds"] == [noise]
    # No source recording is in both sets, and both sets have all classes and a background.
    pools = sound_bank.split(own, [noise], [4], 0)
    assert not sources_of(pools.train) & sources_of([pools.test])
    assert len(sources_of(pools.train) | sources_of([pools.test])) == 12
    for pool in (*pools.train, pools.test):
        assert all(pool.events.values()) and pool.backgrounds
    long = [
        r.fold
        for recordings in sound_bank.scan(own).values()
        for r in recordings
        if "long" in r.source
    ]
    assert len(long) == 4 and long[0] == long[1] and long[2] == long[3]
    # A class folder named `background` needs no option, and a class folder comes before a path.
    (tmp_path / "noise").rename(own / "background")
    assert sources_of([sound_bank.split(own, [], [4], 0).test]) & {f"wind{i}" for i in range(4)}
    again = mixed(own, tmp_path / "b", backgrounds=["background"], test_folds=(4,), num_train=6)
    assert datadir.read(again / "train").labels == ["Dog", "Owl"]


def test_a_bank_with_folds_and_other_backgrounds(own, tmp_path):
    bank, noise = small_bank(tmp_path / "esc", ("Dog", "Cat")), str(tmp_path / "noise")
    pools = sound_bank.split(bank, [noise], [2], 0)
    assert [r.source for r in pools.test.events["Dog"]] == ["02"]
    assert not sources_of(pools.train) & sources_of([pools.test])
    assert pools.test.backgrounds and pools.train[0].backgrounds


def test_faults_of_other_backgrounds(own, tmp_path):
    refuses(own, tmp_path, "one of the two folders contains the other", backgrounds=[str(tmp_path)])
    (tmp_path / "none").mkdir()
    none = str(tmp_path / "none")
    refuses(own, tmp_path, "--background .*none: contains no sound files", backgrounds=[none])
    gone = str(tmp_path / "gone")
    refuses(own, tmp_path, "contains no class folder .*gone' for --background", backgrounds=[gone])
    inside = str(own / "Owl")
    assert list(sound_bank.split(own, [inside], [4], 0).test.events) == ["Dog"]


# --- real recordings ---


def test_esc10(tmp_path):
    root = os.environ.get("WSEDTK_TEST_DATA")
    if not root:
        pytest.skip("set WSEDTK_TEST_DATA to a folder that holds esc10/ to mix real recordings")
    bank, beds = Path(root) / "esc10", ["002 - Rain", "003 - Sea waves", "010 - Fire crackling"]
    check_split(bank, beds, (4,), seed=0)
    mixed(bank, tmp_path, num_train=20, num_test=20, backgrounds=beds, test_folds=(4,))
    test = datadir.read(tmp_path / "test")
    assert len(test.labels) == 7 and len(datadir.read(tmp_path / "train")) == 20
    seconds = test.events.offset - test.events.onset
    assert seconds.min() > 0.1 and seconds.max() <= 6
    sneezes = seconds[test.events.label == test.labels.index("006 - Person sneeze")]
    assert sneezes.mean() < 2.5  # files have 5 s, but their padding is not part of the events
