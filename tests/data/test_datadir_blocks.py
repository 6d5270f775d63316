"""Data directories with faults: the size of the blocks does not change the set or the faults."""

import itertools
import os
import random
import re
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import contents

from wsedtk.data import clip_sets, datadir

NAMES = [*"bdacfe", "é音🔔.wav", "-much longer than others_30.000_40.000.wav", "a.wav"]
LABELS = ["Car", "Air horn, truck horn", "音"]
SECONDS = ["10", "2.5", "1e-3", "10.05"]
ODD = ["", "-1", "nan", "1_0", "ten"]


def some_tables(seed):
    """Return {file: lines}, or None for no file, of a set; the faults increase with seed % 5."""
    choose, share = random.Random(seed), seed % 5 * 0.06

    def cell(good, odd):
        return choose.choice(odd if choose.random() < share else good)

    def line(*cells):
        row = "\t".join(cells)
        return (
            choose.choice(["", "é", row + "\tmore", row.rpartition("\t")[0]])
            if choose.random() < share
            else row
        )

    names = NAMES[: choose.randint(0, len(NAMES))] or [""]
    clips = [
        line(
            cell([name], [*names, ""]), choose.choice(["", "../é.wav"]), cell(SECONDS, ["0", *ODD])
        )
        for name in choose.sample(names, len(names))
    ]
    tags = [
        line(cell(names, ["none"]), cell(LABELS, ["Cat"])) for _ in range(choose.randint(0, 12))
    ]
    events = [
        line(
            cell(names, ["none"]),
            cell(["0", "1e-3", "1"], ODD),
            cell(["1", "2.5", "10.05"], ["0", *ODD]),
            cell(LABELS, ["Cat"]),
        )
        for _ in range(choose.randint(0, 12))
    ]
    labels = LABELS if share < 0.2 else [cell([label], ["Car", ""]) for label in LABELS]
    return {
        "clips.tsv": clips,
        "tags.tsv": tags,
        "events.tsv": events if seed % 3 else None,
        "labels.txt": labels,
    }


def write_tables(folder, lines):
    folder.mkdir(exist_ok=True)
    for file, rows in lines.items():
        (folder / file).unlink(missing_ok=True)
        if rows is not None:
            header = ["\t".join(datadir.COLUMNS[file])] if file in datadir.COLUMNS else []
            (folder / file).write_text(
                "".join(line + "\n" for line in [*header, *rows]), encoding="utf-8"
            )


def checked(folder, block_bytes=None, block_rows=None):
    """Return the set as plain values, or None, and the sorted faults."""
    with pytest.MonkeyPatch.context() as patch:
        if block_bytes:
            patch.setattr("wsedtk.data.table_files._BLOCK_BYTES", block_bytes)
            patch.setattr("wsedtk.data.tables.BLOCK_ROWS", block_rows)
        dataset, faults = datadir.check(folder)
        values = (
            None
            if dataset is None
            else (
                dataset.filenames.tolist(),
                dataset.paths.tolist(),
                dataset.durations.tolist(),
                dataset.tag_clip.tolist(),
                dataset.tag_label.tolist(),
                list(dataset.events.rows()) if dataset.events else None,
                dataset.fingerprint(),
            )
        )
    return values, sorted(
        (fault.is_error, str(fault.path), fault.line or 0, fault.message) for fault in faults
    )


@pytest.mark.parametrize("seed", range(150))
def test_blocks_change_nothing(tmp_path, seed):
    lines = some_tables(seed)
    write_tables(tmp_path / "set", lines)
    expected = checked(tmp_path / "set")
    assert (expected[0] is None) == any(is_error for is_error, *_ in expected[1])
    for block_bytes, block_rows in ((1, 1), (30, 2)):
        assert checked(tmp_path / "set", block_bytes, block_rows) == expected


def is_seconds(text):
    return re.fullmatch(r"[0-9.]+(e-?[0-9]+)?", text) is not None


@pytest.mark.parametrize("seed", range(150))
def test_every_line_at_fault_is_reported_and_no_other(tmp_path, seed):
    """Compared with a reader that takes one line at a time, for classes that are no fault."""
    lines = {**some_tables(seed), "labels.txt": LABELS}
    write_tables(tmp_path / "set", lines)
    expected, names = set(), set()
    for number, line in enumerate(lines["clips.tsv"], 2):
        cells = line.split("\t")
        whole = len(cells) == 3
        if line and not (
            whole
            and cells[0]
            and cells[0] not in names
            and is_seconds(cells[2])
            and float(cells[2])
        ):
            expected.add(("clips.tsv", number))
        names |= {cells[0]} if whole else set()
    for file, num_cells in (("tags.tsv", 2), ("events.tsv", 4)) if names else ():
        for number, line in enumerate(lines[file] or [], 2):
            cells = line.split("\t")
            good = (
                len(cells) == num_cells
                and cells[0] in names
                and cells[-1] in LABELS
                and all(map(is_seconds, cells[1:-1]))
            )
            if cells[0] in names and not any(cells[1:]):
                continue  # a clip without any
            if line and not (good and (num_cells == 2 or float(cells[2]) >= float(cells[1]))):
                expected.add((file, number))
    _, faults = datadir.check(tmp_path / "set")
    found = {(fault.path.name, fault.line) for fault in faults if fault.is_error}
    assert found - {("clips.tsv", None)} == expected and (("clips.tsv", None) in found) == (
        not any(lines["clips.tsv"])
    )


def test_a_table_can_be_a_pipe(tmp_path, monkeypatch):
    """It is then read only once, so its number of lines is not known in advance."""
    monkeypatch.setattr("wsedtk.data.table_files._BLOCK_BYTES", 16)
    names = [f"{'long ' * (i // 7)}{i:03d}.wav" for i in range(50)]
    table = "filename\tpath\tduration\n" + "".join(
        f"{name}\t\t{i + 1}\n" for i, name in enumerate(names)
    )
    os.mkfifo(tmp_path / "clips.tsv")
    (tmp_path / "labels.txt").write_text("Car\n")
    (tmp_path / "tags.tsv").write_text(f"filename\tevent_label\n{names[7]}\tCar\n")
    with ThreadPoolExecutor(1) as thread:
        writing = thread.submit((tmp_path / "clips.tsv").write_text, table)
        found = datadir.read(tmp_path)
        writing.result()
    assert found.filenames.tolist() == sorted(names)
    durations = dict(zip(found.filenames.tolist(), found.durations.tolist()))
    assert durations == {name: i + 1 for i, name in enumerate(names)}
    assert found.filenames[found.tag_clip].tolist() == [names[7]]


def test_a_set_is_read_in_little_more_memory_than_it_takes(tmp_path, monkeypatch):
    monkeypatch.setattr("wsedtk.data.table_files._BLOCK_BYTES", 1 << 14)
    names = [f"{i:09d} with a long name.wav" for i in range(20000)]
    tables = {
        "clips.tsv": ["filename\tpath\tduration", *(f"{name}\t\t10" for name in names)],
        "tags.tsv": ["filename\tevent_label", *(f"{name}\tCar" for name in names)],
        "labels.txt": ["Car"],
    }
    for name, lines in tables.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    datadir.read(tmp_path)  # modules that are imported here would count
    tracemalloc.start()
    try:
        found = datadir.read(tmp_path)
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.filenames.nbytes < kept and most < 1.5 * kept


def test_a_set_is_written_in_blocks_as_in_one(tmp_path, monkeypatch):
    names = sorted(map("".join, itertools.product("aé音", repeat=4)))
    count = len(names)
    generator = np.random.default_rng(0)
    clip, k = np.nonzero(generator.random((count, 3)) < 0.4)
    dataset = clip_sets.DataSet(
        np.array(names),
        np.array([f"/é/{name}" * (i % 2) for i, name in enumerate(names)], datadir.TEXT),
        generator.integers(1, 10**7, count) / 10**6,
        LABELS,
        clip,
        k,
    )
    datadir.write(tmp_path / "one", dataset)
    monkeypatch.setattr("wsedtk.data.tables.BLOCK_ROWS", 5)
    datadir.write(tmp_path / "many", dataset)
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    assert datadir.read(tmp_path / "many").fingerprint() == dataset.fingerprint()


def test_a_name_that_tables_cannot_hold_is_found_in_any_block(tmp_path, monkeypatch):
    monkeypatch.setattr("wsedtk.data.tables.BLOCK_ROWS", 2)
    for place in range(5):
        names = np.array([f"{i}\t" if i == place else f"{i}" for i in range(5)])
        dataset = clip_sets.DataSet(
            names,
            np.full(5, "", datadir.TEXT),
            np.ones(5),
            LABELS,
            np.array([], int),
            np.array([], int),
        )
        with pytest.raises(
            datadir.InputError,
            match=f"'{place}.t': a file name, path, group or class of a data directory can't contain a tab",
        ):
            datadir.write(tmp_path / "set", dataset)
        assert not (tmp_path / "set").exists()
