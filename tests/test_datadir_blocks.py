"""Data directories with planted faults: whatever the size of the blocks they are read in, the same set and the same faults."""

import itertools
import re

import numpy as np
import pytest
from helpers import contents
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsedtk import datadir

NAMES = ["a.wav", "b", "é音🔔.wav", "-much longer than others_30.000_40.000.wav", "", "z"]
LABELS = ["Car", "Air horn, truck horn", "音"]
SECONDS = ["10", "2.5", "0", "1e-3", "10.05"]
ODD = ["", "-1", "nan", "1_0", "ten"]
name, label = st.sampled_from(NAMES), st.sampled_from([*LABELS, "Cat"])
second = st.one_of(st.sampled_from(SECONDS), st.sampled_from(SECONDS), st.sampled_from(ODD))
ANY_SET = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def table(*columns):
    """Lines of a table, most of them with a cell of each column; some are cut, too long, or blank."""
    row = st.tuples(*columns).map("\t".join)
    odd = st.one_of(st.just(""), st.just("é"), row.map(lambda line: line + "\tmore"), row.map(lambda line: line.rsplit("\t", 1)[0]))
    return st.lists(st.one_of(row, row, row, row, odd), max_size=10)


TABLES = st.fixed_dictionaries({
    "clips.tsv": table(name, st.sampled_from(["", "../é.wav"]), second), "tags.tsv": table(name, label),
    "events.tsv": st.none() | table(name, second, second, label),
    "labels.txt": st.just(LABELS) | st.lists(st.sampled_from([*LABELS, ""]), max_size=4)})


def write_tables(folder, lines):
    folder.mkdir(exist_ok=True)
    for file, rows in lines.items():
        (folder / file).unlink(missing_ok=True)
        if rows is not None:
            header = ["\t".join(datadir.COLUMNS[file])] if file in datadir.COLUMNS else []
            (folder / file).write_text("".join(line + "\n" for line in [*header, *rows]), encoding="utf-8")


def checked(folder, block_bytes=None, block_rows=None):
    """The set, as plain values, or None, and the faults as a sorted list."""
    with pytest.MonkeyPatch.context() as patch:
        if block_bytes:
            patch.setattr("wsedtk.tables._BLOCK_BYTES", block_bytes)
            patch.setattr("wsedtk.tables.BLOCK_ROWS", block_rows)
        dataset, faults = datadir.check(folder)
        values = None if dataset is None else (
            dataset.filenames.tolist(), dataset.paths.tolist(), dataset.durations.tolist(), dataset.tag_clip.tolist(),
            dataset.tag_label.tolist(), list(dataset.events.rows()) if dataset.events else None, dataset.fingerprint())
    return values, sorted((fault.is_error, str(fault.path), fault.line or 0, fault.message) for fault in faults)


@given(lines=TABLES)
@ANY_SET
def test_blocks_change_nothing(tmp_path, lines):
    write_tables(tmp_path / "set", lines)
    expected = checked(tmp_path / "set")
    assert (expected[0] is None) == any(is_error for is_error, *_ in expected[1])
    for block_bytes, block_rows in ((1, 1), (30, 2)):
        assert checked(tmp_path / "set", block_bytes, block_rows) == expected


def is_seconds(text):
    return re.fullmatch(r"[0-9.]+(e-?[0-9]+)?", text) is not None


@given(lines=TABLES)
@ANY_SET
def test_every_line_at_fault_is_told_and_no_other(tmp_path, lines):
    """Against a reader that takes a line at a time, for classes that are no fault themselves."""
    lines = {**lines, "labels.txt": LABELS}
    write_tables(tmp_path / "set", lines)
    expected, names = set(), set()
    for number, line in enumerate(lines["clips.tsv"], 2):
        cells = line.split("\t")
        whole = len(cells) == 3
        if line and not (whole and cells[0] and cells[0] not in names and is_seconds(cells[2]) and float(cells[2])):
            expected.add(("clips.tsv", number))
        names |= {cells[0]} if whole else set()
    for file, num_cells in (("tags.tsv", 2), ("events.tsv", 4)) if names else ():
        for number, line in enumerate(lines[file] or [], 2):
            cells = line.split("\t")
            good = len(cells) == num_cells and cells[0] in names and cells[-1] in LABELS and all(map(is_seconds, cells[1:-1]))
            if line and not (good and (num_cells == 2 or float(cells[2]) >= float(cells[1]))):
                expected.add((file, number))
    _, faults = datadir.check(tmp_path / "set")
    found = {(fault.path.name, fault.line) for fault in faults if fault.is_error}
    assert found - {("clips.tsv", None)} == expected and (("clips.tsv", None) in found) == (not any(lines["clips.tsv"]))


def test_a_set_is_written_in_blocks_as_in_one(tmp_path, monkeypatch):
    names = sorted(map("".join, itertools.product("aé音", repeat=4)))
    count = len(names)
    generator = np.random.default_rng(0)
    clip, k = np.nonzero(generator.random((count, 3)) < 0.4)
    dataset = datadir.DataSet(np.array(names), np.array([f"/é/{name}" * (i % 2) for i, name in enumerate(names)], datadir.TEXT),
                              generator.integers(1, 10**7, count) / 10**6, LABELS, clip, k)
    datadir.write(tmp_path / "one", dataset)
    monkeypatch.setattr("wsedtk.tables.BLOCK_ROWS", 5)
    datadir.write(tmp_path / "many", dataset)
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    assert datadir.read(tmp_path / "many").fingerprint() == dataset.fingerprint()


def test_a_name_that_tables_cannot_hold_is_found_in_any_block(tmp_path, monkeypatch):
    monkeypatch.setattr("wsedtk.tables.BLOCK_ROWS", 2)
    for place in range(5):
        names = np.array([f"{i}\t" if i == place else f"{i}" for i in range(5)])
        dataset = datadir.DataSet(names, np.full(5, "", datadir.TEXT), np.ones(5), LABELS, np.array([], int), np.array([], int))
        with pytest.raises(datadir.InputError, match=f"'{place}.t': a file name or class of a data directory can't hold a tab"):
            datadir.write(tmp_path / "set", dataset)
        assert not (tmp_path / "set").exists()
