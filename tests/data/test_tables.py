"""Tables in blocks: the size of the blocks does not change rows, line numbers or faults."""

import unicodedata

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsedtk.core.errors import InputError
from wsedtk.data import table_files, tables
from wsedtk.data.table_files import Fault, TableFile

COLUMNS = ("filename", "onset é", "label")
BYTES = (1, 7, 64, 1 << 22)
CELL = st.text(st.sampled_from("abe 0é\u0301音🔔\u2028\x0b\x85\x1c\"'#"), max_size=6)
LINE = st.one_of(st.lists(CELL, min_size=3, max_size=3), st.lists(CELL, max_size=5)).map("\t".join)
ANY_TABLE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read(path, block_bytes, columns=COLUMNS):
    """Return the results of `TableFile.rows` with blocks of this many bytes.

    [(line number, cells)] and [(is an error, path, line, message)].
    """
    table, rows = TableFile(path), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_files, "_BLOCK_BYTES", block_bytes)
        for numbers, cells in table.rows(columns):
            assert (
                len(cells) == len(columns)
                and {len(column) for column in cells} == {len(numbers)}
                and len(numbers)
            )
            rows += zip(numbers.tolist(), zip(*cells))
    return rows, [(fault.is_error, fault.path, fault.line, fault.message) for fault in table.faults]


LINE_ENDS = st.one_of(
    st.lists(st.sampled_from(["\n", "\r\n"]), min_size=13, max_size=13), st.just(["\r"] * 13)
)


def without_blank_ends(cells):
    """Return the cells of a row in NFC; three if the rest is blank."""
    while len(cells) > 3 and not cells[-1].strip():
        cells = cells[:-1]
    return tuple(unicodedata.normalize("NFC", cell) for cell in cells)


@given(lines=st.lists(LINE, max_size=12), ends=LINE_ENDS, mark=st.booleans(), ended=st.booleans())
@ANY_TABLE
def test_rows_and_faults_are_those_of_the_lines(tmp_path, lines, ends, mark, ended):
    path = tmp_path / "a.tsv"
    text = "".join(line + end for line, end in zip(["\t".join(COLUMNS), *lines], ends))
    path.write_bytes(
        ("\ufeff" * mark + (text if ended else text.removesuffix("\n").removesuffix("\r"))).encode()
    )
    split = [
        (number, without_blank_ends(line.split("\t")), line)
        for number, line in enumerate(lines, 2)
        if line.strip()
    ]
    rows = [(number, cells) for number, cells, _ in split if len(cells) == 3]
    faults = [
        (
            True,
            path,
            number,
            "expected 3 tab-separated fields (filename, onset é, label), "
            f"found {len(line.split(chr(9)))}: {line!r}",
        )
        for number, cells, line in split
        if len(cells) != 3
    ]
    for block_bytes in BYTES:
        assert read(path, block_bytes) == (rows, faults)


@given(
    rows=st.lists(st.tuples(CELL, CELL, CELL), max_size=20),
    cuts=st.lists(st.integers(0, 20), max_size=3),
)
@ANY_TABLE
def test_what_is_written_is_read_back(tmp_path, rows, cuts):
    path, edges = tmp_path / "new" / "a.tsv", [0, *sorted(cuts), 20]
    tables.write_rows(
        path, COLUMNS, (iter(rows[start:end]) for start, end in zip(edges, edges[1:]))
    )
    assert path.read_bytes() == "".join("\t".join(row) + "\n" for row in [COLUMNS, *rows]).encode()
    expected = [
        (number, without_blank_ends(row))
        for number, row in enumerate(rows, 2)
        if "".join(row).strip()
    ]
    for block_bytes in BYTES:
        assert read(path, block_bytes) == (expected, [])


def test_a_fault_while_rows_are_made_leaves_the_old_table(tmp_path):
    tables.write_rows(tmp_path / "a.tsv", ("a",), [[("old",)]])

    def blocks():
        yield [("new",)]
        raise InputError("no more")

    with pytest.raises(InputError, match="no more"):
        tables.write_rows(tmp_path / "a.tsv", ("a",), blocks())
    assert [p.name for p in tmp_path.iterdir()] == ["a.tsv"] and (
        tmp_path / "a.tsv"
    ).read_text() == "a\nold\n"


@pytest.mark.parametrize("block_bytes", BYTES)
@pytest.mark.parametrize(
    "header", ["x", "filename\tonset é", "a,b,c", "filename\tonset é\tlabel\tmore"]
)
def test_another_header_is_the_only_fault(tmp_path, header, block_bytes):
    (tmp_path / "a.tsv").write_text(f"{header}\na\tb\n", encoding="utf-8")
    message = f"expected the header filename<TAB>onset é<TAB>label, found {header!r}"
    assert read(tmp_path / "a.tsv", block_bytes) == ([], [(True, tmp_path / "a.tsv", 1, message)])


@pytest.mark.parametrize("block_bytes", BYTES)
@pytest.mark.parametrize("before", ["", "\n", "\r\r\n\t\n \n", "\ufeff\n"])
@pytest.mark.parametrize("header", ["FileName\tONSET É\tLabel", " filename \tonset é\t label\t"])
def test_a_header_after_blank_lines(tmp_path, header, before, block_bytes):
    (tmp_path / "a.tsv").write_text(f"{before}{header}\na\tb\tc\n", encoding="utf-8", newline="")
    number = 2 + before.replace("\r\n", "\n").replace("\r", "\n").count("\n")
    assert read(tmp_path / "a.tsv", block_bytes) == ([(number, ("a", "b", "c"))], [])
    (tmp_path / "a.tsv").write_text(f"{before}x\n", encoding="utf-8", newline="")
    ((_, _, line, _),) = read(tmp_path / "a.tsv", block_bytes)[1]
    assert line == number - 1


@pytest.mark.parametrize("block_bytes", BYTES)
@pytest.mark.parametrize("text", ["", "\n", "\r\n\t\n\n"])
def test_a_blank_table_has_no_header(tmp_path, text, block_bytes):
    (tmp_path / "a.tsv").write_text(text)
    message = "expected the header filename<TAB>onset é<TAB>label, found ''"
    assert read(tmp_path / "a.tsv", block_bytes) == ([], [(True, tmp_path / "a.tsv", 1, message)])


@pytest.mark.parametrize("block_bytes", BYTES)
@pytest.mark.parametrize(
    "before",
    ["", "é\n", "a\tb\tc\n" * 30, "音🔔" * 20 + "\r\n" + "é" * 50, "\ufeff", "\ufeffé\n"],
    ids=["start", "second", "later", "long", "mark", "mark and line"],
)
@pytest.mark.parametrize("odd", [b"\xff", b"\xe9\n", b"\xf0\x9f\n", b"\xe9"])
def test_what_is_not_utf8_is_named_by_its_byte(tmp_path, block_bytes, before, odd):
    path = tmp_path / "a.tsv"
    table = TableFile(path)
    path.write_bytes(before.encode() + odd + b" more\nlines\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_files, "_BLOCK_BYTES", block_bytes)
        assert table.lines() == []
    (fault,) = table.faults
    assert f" at byte {len(before.encode())})" in fault.message
    assert "not UTF-8 text" in fault.message


@pytest.mark.parametrize("block_bytes", BYTES)
@pytest.mark.parametrize(
    "text, lines",
    [
        ("", [""]),
        ("\n", ["", ""]),
        ("\n\n", ["", "", ""]),
        ("a", ["a"]),
        ("a\n", ["a", ""]),
        ("a\r\nb", ["a", "b"]),
        ("\ufeff", [""]),
        ("\ufeffa\n\ufeffb", ["a", "\ufeffb"]),
        ("é" * 40 + "\n\r\n🔔", ["é" * 40, "", "🔔"]),
        ("abcdef\nabcdef\n", ["abcdef", "abcdef", ""]),
        ("a\rb\r", ["a", "b", ""]),
        ("a\rb\nc\r\nd", ["a", "b", "c", "d"]),
        ("e\u0301\n\u212b\n", ["é", "\u00c5", ""]),
    ],
    ids=range(13),
)
def test_lines(tmp_path, monkeypatch, text, lines, block_bytes):
    monkeypatch.setattr(table_files, "_BLOCK_BYTES", block_bytes)
    (tmp_path / "a.txt").write_bytes(text.encode())
    table = TableFile(tmp_path / "a.txt")
    assert table.lines() == lines and table.faults == []


def test_a_file_is_read_block_by_block(tmp_path, monkeypatch):
    monkeypatch.setattr(table_files, "_BLOCK_BYTES", 100)
    (tmp_path / "a.tsv").write_text("a\tb\n" + "x\ty\n" * 1000)
    blocks = [len(numbers) for numbers, _ in TableFile(tmp_path / "a.tsv").rows(("a", "b"))]
    assert sum(blocks) == 1000 and max(blocks) <= 26


def test_files_that_can_not_be_read(tmp_path):
    for path, message in (
        (tmp_path / "none", "no such file"),
        (tmp_path, "can't be read: Is a directory"),
    ):
        table = TableFile(path)
        assert list(table.line_blocks()) == []
        assert [fault.message for fault in table.faults] == [message]


@pytest.mark.parametrize(
    "num_errors, texts, end",
    [
        (1, {}, ""),
        (5, {}, ""),
        (6, {}, "\n... and 1 more: correct the errors above first"),
        (5, {"if_many": "list them"}, ""),
        (7, {"if_many": "list them"}, "\n... and 2 more: list them"),
        (1, {"remedy": "download it again"}, "; download it again"),
        (2, {"remedy": "download it again"}, "\ndownload it again"),
        (5, {"remedy": "download it again"}, "\ndownload it again"),
        (6, {"remedy": "download it again"}, "\n... and 1 more: download it again"),
    ],
)
def test_the_message_of_errors_ends_with_the_remedy(num_errors, texts, end):
    faults = [Fault(False, "a.tsv", 9, "is odd")]
    faults += [Fault(True, "a.tsv", i, "is wrong") for i in range(1, num_errors + 1)]
    with pytest.raises(InputError) as error:
        table_files.raise_on_errors(faults, **texts)
    shown = [f"a.tsv:{i}: is wrong" for i in range(1, min(num_errors, 5) + 1)]
    assert str(error.value) == "\n".join(shown) + end
    table_files.raise_on_errors(faults[:1], **texts)  # a warning is no error


@given(
    names=st.sets(st.text("aé音🔔~", max_size=5), max_size=12),
    wanted=st.lists(st.text("aé音🔔~", max_size=7), max_size=12),
)
@ANY_TABLE
def test_find_is_where_each_name_is(names, wanted):
    names = sorted(names)
    expected = [names.index(name) if name in names else -1 for name in wanted]
    assert tables.find(np.array(names, str), np.array(wanted, str)).tolist() == expected
    assert tables.find(np.array(names, str), tuple(wanted)).tolist() == expected


@pytest.mark.parametrize(
    "names, wanted, places",
    [
        (["a", "ab", "b"], ["ab", "abc", "a", "b", "c", ""], [1, -1, 0, 2, -1, -1]),
        (["ab", "abcdefgh"], ["abcdefghi", "abcdefgh", "abcdefg"], [-1, 1, -1]),
        (["é", "音"], ["e", "é", "音", "音音"], [-1, 0, 1, -1]),
        ([], ["a"], [-1]),
        (["a"], [], []),
        ([], [], []),
    ],
)
def test_find_of_names_of_other_widths(names, wanted, places):
    assert tables.find(np.array(names, str), wanted).tolist() == places


@given(
    names=st.sets(st.integers(-5, 30), max_size=9), wanted=st.lists(st.integers(-9, 40), max_size=9)
)
@ANY_TABLE
def test_find_of_numbers(names, wanted):
    names = sorted(names)
    found = tables.find(np.array(names, np.int64), np.array(wanted, np.int64))
    assert found.tolist() == [names.index(number) if number in names else -1 for number in wanted]


@pytest.mark.parametrize(
    "text, value",
    [
        ("0", 0),
        ("1e-3", 0.001),
        ("2.50", 2.5),
        ("-0", 0),
        (".5", 0.5),
        ("1_0", None),
        ("-1e-9", 0),
        ("inf", None),
        (str(0.3 - 0.1 * 3), 0),
        ("-5e-7", 0),
        ("-6e-7", None),
        ("nan", None),
        ("", None),
        ("1,5", None),
        ("0x1", None),
        ("1e999", None),
        ("ten", None),
        ("3.0000000000000004", 3),
        ("2.9999999999", 3),
        ("9.999999999999998", 10),
        ("1e-9", 0),
        ("86399.9999994", 86399.999999),
        ("1e300", 1e300),
        ("-inf", None),
        ("１.５", None),
    ],
)
def test_seconds_one_by_one_and_together(text, value):
    for texts in ([text], ["1", text, "3"], [text, "ten", "1_0"]):
        found = tables.parse_seconds(texts)[texts.index(text)]
        assert np.isnan(found) if value is None else found == value and not np.signbit(found)
    table = TableFile("a.tsv")
    assert table.seconds(7, "onset", text) == value
    causes = {
        "-6e-7": ", which is negative",
        "１.５": "; write it with the digits 0 to 9",
        **dict.fromkeys(("inf", "-inf", "1e999"), ", which is not finite"),
    }
    message = (
        f"error: a.tsv:7: onset must be a number of seconds, found {text!r}{causes.get(text, '')}"
    )
    assert [str(fault) for fault in table.faults] == ([message] if value is None else [])


@pytest.mark.parametrize("block_rows", [1, 2, 3, 100])
def test_slices_and_texts(monkeypatch, block_rows):
    monkeypatch.setattr(tables, "BLOCK_ROWS", block_rows)
    for length in range(7):
        column = np.array([f"é{i}" for i in range(length)], str)
        parts = [column[part].tolist() for part in tables.slices(length)]
        assert sum(parts, []) == list(tables.texts(column)) == column.tolist() and all(
            0 < len(part) <= block_rows for part in parts
        )


@pytest.mark.parametrize("block_bytes", BYTES)
def test_an_optional_column(tmp_path, block_bytes):
    """It may be named in the header; then rows may lack it: editors remove tabs at the end."""
    path = tmp_path / "a.tsv"
    table = TableFile(path)
    path.write_text("a\tb\tmore\n1\t2\t3\n4\t5\n\t\t\n6\t7\t\t\n8\n9\t\t\t0\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_files, "_BLOCK_BYTES", block_bytes)
        found = [row for _, columns in table.rows(("a", "b"), "more") for row in zip(*columns)]
    assert found == [("1", "2", "3"), ("4", "5", ""), ("6", "7", "")]
    assert [(fault.line, fault.message.split(":")[0]) for fault in table.faults] == [
        (6, "expected 3 tab-separated fields (a, b, more), found 1"),
        (7, "expected 3 tab-separated fields (a, b, more), found 4"),
    ]
    path.write_text("a\tb\n1\t2\n")
    found = [row for _, columns in table.rows(("a", "b"), "more") for row in zip(*columns)]
    assert found == [("1", "2")]
    path.write_text("a\tmore\tb\n")
    assert list(table.rows(("a", "b"), "more")) == []
    assert table.faults[-1].message.endswith(
        "found 'a\\tmore\\tb'; the optional last column is more"
    )


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_named(tmp_path, encoding):
    (tmp_path / "a.tsv").write_bytes("filename\tevent_label\na.wav\tDog\n".encode(encoding))
    table = TableFile(tmp_path / "a.tsv")
    assert table.lines() == []
    (fault,) = table.faults
    assert fault.message.startswith("is not UTF-8 text but ")
    assert fault.message.endswith("UTF-16; save it as UTF-8")
