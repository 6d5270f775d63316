import csv
import dataclasses
import re
import time

import networkx
import numpy as np
import pytest
from helpers import write_set

from wsedtk.core import provenance
from wsedtk.data import clip_names, clip_sets, datadir
from wsedtk.data.events import Events
from wsedtk.data.group_split import split


def make(counts, untagged=0, per_source=1, both=0, seed=0):
    """Write a set with these numbers of clips per class; some clips have the first two tags.

    A recording has `per_source` clips.
    """
    tags = [[k] for k, n in enumerate(counts) for _ in range(n)] + [[]] * untagged + [[0, 1]] * both
    tags = [tags[i] for i in np.random.default_rng(seed).permutation(len(tags))]
    names = [
        f"{i // per_source:05d}_{i % per_source * 10}_{i % per_source * 10 + 10}.wav"
        for i in range(len(tags))
    ]
    order = np.argsort(names)
    clip, label = zip(*[(i, k) for i, old in enumerate(order) for k in tags[old]])
    return clip_sets.DataSet(
        np.array(names)[order],
        np.full(len(tags), ""),
        np.full(len(tags), 10.0),
        [f"c{k}" for k in range(len(counts))],
        np.array(clip),
        np.array(label),
    )


def check(data, num_valid, seed=0):
    """Split, check what holds for every split, and return the masks and the validation counts."""
    fit, valid, *_ = split(data, num_valid, seed)
    assert not (fit & valid).any() and valid.sum() <= num_valid
    sources = np.array([clip_names.source_of(n) for n in data.filenames.tolist()])
    assert not set(sources[fit]) & set(sources[valid]) and set(sources[~fit]) == set(sources[valid])
    tags = data.tag_matrix()
    assert (2 * tags[fit].sum(axis=0) >= tags.sum(axis=0)).all()
    return fit, valid, tags[valid].sum(axis=0)


@pytest.mark.parametrize(
    "counts, num_valid, held",
    [
        ([100, 100, 100], 30, [10, 10, 10]),
        ([1000, 100, 20], 30, [10, 10, 10]),
        ([1000, 100, 10], 35, [15, 15, 5]),
        ([100, 1, 3], 9, [8, 0, 1]),
        ([5, 5], 100, [2, 2]),
        ([30, 20], 1, [0, 1]),
        ([30, 0, 20], 3, [1, 0, 2]),
    ],
)
def test_the_same_number_of_each_class(counts, num_valid, held):
    fit, valid, found = check(make(counts), num_valid)
    assert found.tolist() == held
    assert (fit | valid).all()  # each source has one clip, so each clip is in one of the two


@pytest.mark.parametrize("seed", range(5))
def test_clips_of_two_classes_count_for_both(seed):
    _, valid, held = check(make([200, 50, 80], both=40, seed=seed), 60, seed)
    assert valid.sum() == 60 and held.max() - held.min() <= 2


@pytest.mark.parametrize("seed", range(5))
def test_sources_stay_whole(seed):
    fit, valid, held = check(make([300, 60, 90], per_source=3, both=20, seed=seed), 60, seed)
    assert valid.sum() == 60 and held.max() - held.min() <= 4
    assert not (fit | valid).all()


def test_the_seed_chooses():
    data = make([100, 50], per_source=2)
    first, again, other = (split(data, 20, seed)[1] for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


@pytest.mark.parametrize("per_source", [1, 3])
def test_clips_without_tags_get_their_share(per_source):
    data = make([100, 50], untagged=50, per_source=per_source)
    _, valid, _ = check(data, 40)
    assert valid.sum() == 40 and (valid & ~data.tag_matrix().any(axis=1)).sum() == 10


def test_half_of_the_clips_without_tags_stay():
    data = make([200], untagged=3)
    untagged = ~data.tag_matrix().any(axis=1)
    fit, valid, _ = check(data, 150)
    assert (fit & untagged).sum() >= 2


@pytest.fixture
def folder(tmp_path):
    def folder(names, tags):
        return write_set(
            tmp_path / "all", [(n, f"{n}.wav", 10) for n in names], ["rare, é", "common"], tags
        )

    return folder


def plain(folder):
    names = [f"n{i:02d}" for i in range(20)]
    return folder(names, [(n, "rare, é" if i < 6 else "common") for i, n in enumerate(names)])


def test_the_folders(run, folder, tmp_path):
    data = plain(folder)
    (data / "info.yaml").write_text("corpus: mine\nofficial_clips: 30\n")
    result = run(
        "balance", data, tmp_path / "new" / "fit", tmp_path / "new" / "valid", "--num-valid", 6
    )
    assert result.exit_code == 0, result.stderr
    fit, valid, everything = (
        datadir.read(f) for f in (tmp_path / "new" / "fit", tmp_path / "new" / "valid", data)
    )
    assert (
        sorted([*fit.filenames, *valid.filenames]) == everything.filenames.tolist()
        and len(valid) == 6
    )
    assert valid.labels == fit.labels == everything.labels and valid.info == {
        "corpus": "mine",
        "made_by": "balance",
        "seed_of_split": 0,
        "source_fingerprint": everything.fingerprint(),
        **provenance.made_by(),
    }
    paths = dict(zip(everything.filenames, everything.paths))
    assert all(paths[n] == p for part in (fit, valid) for n, p in zip(part.filenames, part.paths))
    lines = [re.split("  +", line) for line in result.stdout.splitlines()]
    assert lines[:-1] == [
        ["class", "all", "fit", "valid", "passes"],
        ["rare, é", "6", "3", "3", "3.7"],
        ["common", "14", "11", "3", "1.0"],
        ["clips", "20", "14", "6"],
    ]
    assert lines[-1][0].startswith(
        "passes: how often balanced minibatches use each clip of a class"
    )


def printed(run, data, tmp_path, num_valid, *options):
    """Split a set; return {class: [all, fit, valid, passes]}, the lines below, and the counts."""
    result = run(
        "balance", data, tmp_path / "fit", tmp_path / "valid", "--num-valid", num_valid, *options
    )
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    end = next(i for i, line in enumerate(lines) if line.startswith("passes: "))
    rows = (re.split("  +", line) for line in lines[1 : end - 1])
    counts = [
        np.bincount(part.tag_label, minlength=len(part.labels)).tolist()
        for part in map(datadir.read, (data, tmp_path / "fit", tmp_path / "valid"))
    ]
    return {label: numbers for label, *numbers in rows}, lines[end + 1 :], counts


@pytest.mark.parametrize("seed", range(3))
def test_passes_are_the_largest_class_over_this_one(run, tmp_path, seed):
    data, rng = tmp_path / "data", np.random.default_rng(seed)
    labels = ["a, b", "unused", "c", "d (e)", "f"]
    names = [f"{i // 3:011d}_{i % 3}_{i % 3 + 1}.wav" for i in range(300)]
    chosen = [
        rng.choice(5, size=rng.integers(1, 3), replace=False, p=[0.6, 0, 0.3, 0.07, 0.03])
        for _ in names
    ]
    write_set(
        data,
        [(n, f"{n}.wav", 1) for n in names],
        labels,
        [(n, labels[k]) for n, ks in zip(names, chosen) for k in ks],
    )
    rows, _, counts = printed(run, data, tmp_path, 40, "--seed", seed)
    assert list(rows) == labels
    for row, everything, fit, valid in zip(rows.values(), *counts):
        assert row == [
            str(everything),
            str(fit),
            str(valid),
            f"{max(counts[1]) / fit:.1f}" if fit else "-",
        ]
    assert (
        "1.0" in rows["a, b"][3]
        and rows["unused"] == ["0", "0", "0", "-"]
        and float(rows["f"][3]) > 2
    )


def test_classes_that_cannot_give_more_are_named(run, folder, tmp_path):
    names = [f"n{i:02d}" for i in range(40)]
    data = folder(names, [(n, "rare, é" if i < 6 else "common") for i, n in enumerate(names)])
    rows, told, _ = printed(run, data, tmp_path, 13)
    assert rows == {"rare, é": ["6", "3", "3", "8.0"], "common": ["34", "24", "10", "1.0"]}
    assert told == [
        "rare, é: has 3 held-out clips (other classes have up to 10), because at least half of the 6 "
        "clips must stay for training"
    ]


def test_classes_of_too_few_sources_are_named(run, tmp_path):
    """One class has a single source. Another has two, of which one has most clips; by groups."""
    groups = {
        **{f"one{i:02d}": "s0" for i in range(50)},
        **{f"two{i:02d}": "s1" if i < 40 else "s2" for i in range(50)},
        **{f"any{i:02d}": f"s{i + 3}" for i in range(60)},
    }
    data = write_set(
        tmp_path / "all",
        [(name, "", 10) for name in groups],
        ["one", "two", "any"],
        [(name, name[:3]) for name in groups],
    )
    groups_of(data, groups)
    rows, told, _ = printed(run, data, tmp_path, 35)
    assert [rows[label][2] for label in ("one", "two", "any")] == ["0", "10", "25"]
    assert "get no thresholds; --by time splits" in told.pop()
    assert told == [
        "one: has 0 held-out clips (other classes have up to 25), because all 50 clips of the class "
        "are from one source",
        "two: has 10 held-out clips (other classes have up to 25), because the sources of its 50 clips "
        "are not split, "
        "and at least half of the clips of each class must stay for training",
    ]


@pytest.mark.parametrize(
    "num_valid, rare, told", [(3, 2, 0), (5, 3, 0), (6, 3, 0), (7, 3, 1), (8, 3, 1)]
)
def test_classes_that_could_give_more_are_not_named(run, folder, tmp_path, num_valid, rare, told):
    """The rare class can give 3 of its 6 clips.

    It is not reported as short if the last round ends before the turn of the common class.
    """
    rows, lines, _ = printed(run, plain(folder), tmp_path, num_valid)
    assert rows["rare, é"][2] == str(rare) and rows["common"][2] == str(num_valid - rare)
    assert [line.split(":")[0] for line in lines] == ["rare, é"] * told


def test_more_clips_are_advised_if_a_class_has_none_held_out(run, folder, tmp_path):
    rows, lines, _ = printed(run, plain(folder), tmp_path, 1)
    assert rows["common"][2] == "0"
    assert lines == [
        f"classes without held-out clips get no thresholds (1 of {len(rows)} classes); hold out "
        "more clips with --num-valid"
    ]
    assert printed(run, plain(folder), tmp_path, 2)[1] == []


def test_relative_folders_keep_their_audio(run, folder, tmp_path, monkeypatch):
    plain(folder)
    monkeypatch.chdir(tmp_path)
    assert run("balance", "all", "parts/fit", "parts/valid", "--num-valid", 4).exit_code == 0
    valid = datadir.read("parts/valid")
    assert valid.paths.tolist() == [str(tmp_path / "all" / f"{n}.wav") for n in valid.filenames]


def test_fewer_than_asked_for_is_reported(run, folder, tmp_path):
    result = run("balance", plain(folder), tmp_path / "fit", tmp_path / "valid", "--num-valid", 15)
    assert (
        result.exit_code == 0
        and "the validation set has 10 of 15 requested clips, because sources are not split, and at least "
        "half of"
        in result.stdout
    )


def test_clips_in_neither_are_reported(run, folder, tmp_path):
    names = [f"{i}_{s}_{s + 1}.wav" for i in range(10) for s in (0, 1)]
    data = folder(names, [(n, "rare, é") for n in names])
    result = run("balance", data, tmp_path / "fit", tmp_path / "valid", "--num-valid", 3)
    assert result.exit_code == 0 and "17        16  " not in result.stdout
    assert "; 1 clip of held-out sources is in neither fit nor valid" in result.stdout


@pytest.mark.parametrize(
    "num_valid, code, message",
    [
        (20, 1, "num_valid: found 20; expected a number of at least 1 and below 20, "),
        (0, 2, ""),
        (-3, 2, ""),
        ("x", 2, ""),
    ],
)
def test_too_many_or_too_few(run, folder, tmp_path, num_valid, code, message):
    result = run(
        "balance", plain(folder), tmp_path / "fit", tmp_path / "valid", "--num-valid", num_valid
    )
    assert result.exit_code == code and message in result.stderr and not (tmp_path / "fit").exists()


def test_one_source_cannot_be_split(run, folder, tmp_path):
    names = [f"video_{10 * i}_{10 * i + 10}.wav" for i in range(9)]
    data = folder(names, [(n, "common") for n in names])
    result = run("balance", data, tmp_path / "fit", tmp_path / "valid", "--num-valid", 2)
    assert result.exit_code == 1 and not (tmp_path / "fit").exists()
    said = result.stderr
    assert f"{data}: no clip can be held out, because every source (group or recording)" in said
    command = f"wsedtk balance {data} {tmp_path / 'fit'} {tmp_path / 'valid'} --num-valid 2"
    assert f"split each recording by time: {command} --by time; or give smaller groups" in said
    assert f": {command} --groups TABLE --group-column HEADING" in said


@pytest.mark.parametrize(
    "fit, valid", [("all", "valid"), ("fit", "all"), ("fit", "fit"), ("fit", "new/../fit")]
)
def test_folders_must_differ(run, folder, tmp_path, fit, valid):
    data = plain(folder)
    before = (data / "clips.tsv").read_bytes()
    result = run("balance", data, tmp_path / fit, tmp_path / valid, "--num-valid", 2)
    assert result.exit_code == 1 and (
        "two of these paths are the same folder" in result.stderr
        or "is an input of this command" in result.stderr
    )
    assert (data / "clips.tsv").read_bytes() == before and not (tmp_path / "fit").exists()


@pytest.mark.parametrize("units, num_fit", [(["SMA00123"], 80), (["S4A01", "S4A02", "S4A03"], 280)])
def test_the_names_of_field_recorders_are_recordings(run, folder, tmp_path, units, num_fit):
    """`<unit>_<YYYYMMDD>_<HHMMSS>` is not an excerpt of a recording: no clip is left out."""
    names = [
        f"{unit}_202305{day:02d}_{hour:02d}0000.wav"
        for unit in units
        for day in range(1, 11)
        for hour in range(10)
    ]
    data = folder(names, [(name, ["rare, é", "common"][i % 2]) for i, name in enumerate(names)])
    rows, _, counts = printed(run, data, tmp_path, 20)
    assert [len(datadir.read(tmp_path / part)) for part in ("fit", "valid")] == [num_fit, 20]
    assert counts[2] == [10, 10] and rows["common"][2] == "10"


def test_the_ids_of_videos_count_with_and_without_y():
    """Clips of one video stay on one side, as validate checks."""
    names = sorted(
        f"{'Y' * (i % 2)}{i // 4:011d}_{i % 4 * 10}_{i % 4 * 10 + 10}.wav" for i in range(200)
    )
    data = clip_sets.DataSet(
        np.array(names),
        np.full(200, ""),
        np.full(200, 10.0),
        ["x"],
        np.arange(200),
        np.zeros(200, int),
    )
    fit, valid, *_ = split(data, 20, 0)
    videos = np.array([name.removeprefix("Y")[:11] for name in names])
    assert valid.sum() == 20 and not set(videos[fit]) & set(videos[valid])


def test_names_that_events_contradict_are_no_excerpts():
    """Events of 30 s in a clip named as 5 s: `take_1_6.wav` and the like are whole recordings."""
    names = sorted(f"take_{i}_{i + 5}.wav" for i in range(100))
    data = clip_sets.DataSet(
        np.array(names),
        np.full(100, ""),
        np.full(100, 30.0),
        ["x"],
        np.arange(100),
        np.zeros(100, int),
    )
    assert not split(data, 20, 0)[1].any()
    events = Events.from_columns(
        np.arange(100), np.full(100, 10.0), np.full(100, 30.0), np.zeros(100)
    )
    fit, valid, *_ = split(dataclasses.replace(data, events=events), 20, 0)
    assert (fit.sum(), valid.sum()) == (80, 20)


def groups_of(folder, groups):
    """Add the column `group` to the clips.tsv of a set: {filename: group}."""
    header, *rows = (folder / "clips.tsv").read_text().splitlines()
    rows = [f"{row}\t{groups[row.partition(chr(9))[0]]}" for row in rows]
    (folder / "clips.tsv").write_text("\n".join([f"{header}\tgroup", *rows, ""]))


@pytest.mark.parametrize("seed", range(3))
def test_groups_stay_whole_whatever_the_names_say(run, folder, tmp_path, seed):
    """Takes of one recording by `1-000001-A.ogg` and `-B`, and several sites in one name."""
    takes = {f"1-{i:06d}-{take}.ogg": f"recording {i}" for i in range(40) for take in "ABC"}
    joined = {
        f"day_{i}_{i + 1}.wav": f"site {i % 20}" for i in range(60)
    }  # one recording according to its name
    groups = {**takes, **joined}
    data = folder(list(groups), [(name, ["rare, é", "common"][name in takes]) for name in groups])
    for is_grouped in (False, True):
        if is_grouped:
            groups_of(data, groups)
        _, _, counts = printed(run, data, tmp_path, 30, "--seed", seed)
        parts = [datadir.read(tmp_path / part) for part in ("fit", "valid")]
        fit, valid = ({groups[name] for name in part.filenames.tolist()} for part in parts)
        assert bool(fit & valid) != is_grouped and len(parts[1]) == 30
    assert counts[2] == [15, 15] and fit | valid == set(groups.values())
    for part in parts:
        assert part.groups.tolist() == [groups[name] for name in part.filenames.tolist()]


def test_clips_without_a_group_are_split_by_their_names(run, folder, tmp_path):
    names = [f"video{i}_{s}_{s + 1}.wav" for i in range(30) for s in (0, 1)]
    groups = {name: f"G{i // 20}" if i < 40 else "" for i, name in enumerate(names)}
    data = folder(names, [(name, "common") for name in names])
    groups_of(data, groups)
    _, told, _ = printed(run, data, tmp_path, 8)
    found = [datadir.read(tmp_path / part) for part in ("fit", "valid")]
    sources = [
        {groups[name] or clip_names.source_of(name) for name in part.filenames.tolist()}
        for part in found
    ]
    assert not sources[0] & sources[1] and len(found[1]) == 8
    assert sources[0] | sources[1] == {"G0", "G1", *(f"video{i}" for i in range(20, 30))}


@pytest.mark.parametrize("seed", range(3))
def test_recordings_of_which_some_clips_have_a_group_stay_whole(run, folder, tmp_path, seed):
    names = [f"rec{r}_{k * 10}_{k * 10 + 10}.wav" for r in range(20) for k in range(6)]
    groups = {name: f"site{i // 6}" if i % 6 < 3 else "" for i, name in enumerate(names)}
    data = folder(names, [(name, ["rare, é", "common"][i % 2]) for i, name in enumerate(names)])
    groups_of(data, groups)
    printed(run, data, tmp_path, 20, "--seed", seed)
    fit, valid = (
        {name.partition("_")[0] for name in datadir.read(tmp_path / part).filenames.tolist()}
        for part in ("fit", "valid")
    )
    assert not fit & valid and len(fit | valid) == 20
    told = run("validate", tmp_path / "fit", tmp_path / "valid").stdout
    assert "also occurs in" not in told


@pytest.mark.parametrize("seed", range(20))
def test_sources_are_connected_parts(seed):
    """Sources are the connected parts of a graph, in both sets alike.

    Its edges join each clip to its group, or to its recording and the groups of the recording.
    """
    rng = np.random.default_rng(seed)
    clips = [(f"r{rng.integers(8)}", rng.choice(["", "", "a", "b", "c", "d"])) for _ in range(14)]
    names = [f"{recording}_{i}_{i + 1}.wav" for i, (recording, _) in enumerate(clips)]
    graph = networkx.Graph()
    for name, (recording, group) in zip(names, clips):
        graph.add_edge(name, ("group", group) if group else ("recording", recording))
        if group and (recording, "") in clips:
            graph.add_edge(name, ("recording", recording))
    sets = [
        clip_sets.DataSet(
            np.array(names[part]),
            np.full(7, ""),
            np.full(7, 1.0),
            [],
            np.array([], int),
            np.array([], int),
            groups=np.array([group for _, group in clips[part]]),
        )
        for part in (slice(7), slice(7, 14))
    ]
    found = np.concatenate(clip_sets.sources(*sets))
    parts = {
        frozenset(name for name in part if isinstance(name, str))
        for part in networkx.connected_components(graph)
    }
    assert {frozenset(np.array(names)[found == i].tolist()) for i in found.tolist()} == parts


def test_one_group_cannot_be_split(run, folder, tmp_path):
    data = plain(folder)
    groups_of(data, dict.fromkeys((f"n{i:02d}" for i in range(20)), "all"))
    result = run("balance", data, tmp_path / "fit", tmp_path / "valid", "--num-valid", 2)
    # The clips have no times, so only groups are offered.
    assert result.exit_code == 1 and "class; give smaller groups, such as" in result.stderr
    assert "by time" not in result.stderr


def test_dcases_list(real_data):
    """The numbers of Wang, Li & Metze: 1,142 of 51,172 clips, balanced over 17 classes."""
    names, tags = [], []
    for line in (real_data / "dcase2017" / "training_set.csv").read_text().splitlines():
        clip, start, end, labels = next(csv.reader([line]))[:4]
        names.append(f"{clip}_{start}_{end}.wav")
        tags.append(re.split(",(?! )", labels))
    labels = sorted({label for clip in tags for label in clip})
    order = np.argsort(names)
    clip, label = np.array(
        [(i, labels.index(t)) for i, old in enumerate(order) for t in tags[old]]
    ).T
    data = clip_sets.DataSet(
        np.array(names)[order],
        np.full(len(names), ""),
        np.full(len(names), 10.0),
        labels,
        clip,
        label,
    )
    assert len(data) == 51172 and len(labels) == 17
    start = time.process_time()
    _, valid, held = check(data, 1142)
    assert time.process_time() - start < 10
    assert valid.sum() == 1142
    assert held.max() - held.min() <= 12 and held.min() >= 80, dict(zip(labels, held.tolist()))
