"""prepare audioset: published lists in all forms, compared with csv and plain Python; faults."""

import csv
import gzip
import re

import pytest
import yaml
from audioset_lists import (
    CLASSES,
    HEADER,
    LISTS,
    NAMES,
    clip_of,
    prepare,
    published,
    spreadsheet,
    with_decimals,
    write_lists,
    written,
)
from helpers import contents, table

from wsedtk.core import provenance
from wsedtk.data import datadir

SIZES = {"train": ("balanced", 22160), "eval": ("eval", 20371)}


# --- the official metadata ---


def official(folder, name):
    """Return the rows of a published list."""
    with open(folder / "audioset" / NAMES[name]) as file:
        return list(
            csv.reader((line for line in file if not line.startswith("#")), skipinitialspace=True)
        )


@pytest.fixture(scope="module")
def lists(real_data, tmp_path_factory):
    """The official sets without audio, and the output."""
    data = tmp_path_factory.mktemp("the 'official' \"lists\"") / "data"
    return data, prepare("--metadata-only", real_data / "audioset", data)


@pytest.fixture(scope="module")
def classes(real_data):
    """Return {class ID: name}, in order."""
    with open(real_data / "audioset" / "class_labels_indices.csv", newline="") as file:
        return {row["mid"]: row["display_name"] for row in csv.DictReader(file)}


@pytest.mark.parametrize("name", SIZES)
def test_the_official_sets(lists, real_data, classes, name):
    (data, result), (kind, size) = lists, SIZES[name]
    rows = official(real_data, kind)
    assert (
        len(rows) == size and f"{name}: {size:,} clips, " in result.stdout and result.stderr == ""
    )
    expected = sorted([clip_of(row), "", f"{float(row[2]) - float(row[1]):g}"] for row in rows)
    assert table(data / name) == expected
    index = {mid: k for k, mid in enumerate(classes)}
    tags = sorted((clip_of(row), index[mid]) for row in rows for mid in row[3].split(","))
    labels = list(classes.values())
    assert table(data / name, "tags.tsv") == [[clip, labels[k]] for clip, k in tags]
    assert len(labels) == 527 and (data / name / "labels.txt").read_text().splitlines() == labels
    info = yaml.safe_load((data / name / "info.yaml").read_text())
    assert info == {
        "made_by": "prepare audioset",
        "official_clips": size,
        "class_ids": list(classes),
        **provenance.made_by(),
        "corpus": f"AudioSet, {'balanced training' if name == 'train' else 'evaluation'} list",
    }


def test_the_official_sets_are_valid(lists, run):
    result = run("validate", lists[0] / "train", lists[0] / "eval")
    assert (
        result.exit_code == 0
        and "22160 clips, 527 classes, 52882 tags, no events.tsv: 0 errors, 0 warnings"
        in result.stdout
    )


def test_the_order_of_the_rows_does_not_matter(lists, real_data, tmp_path):
    for name in ("balanced_train_segments.csv", "eval_segments.csv", "class_labels_indices.csv"):
        lines = (real_data / "audioset" / name).read_text().splitlines(keepends=True)
        (tmp_path / name).write_text("".join(lines if name.startswith("class") else lines[::-1]))
    prepare("--metadata-only", tmp_path, tmp_path / "data")
    assert contents(tmp_path / "data") == contents(lists[0])


# --- every form of a list ---

COMMENTS = [
    ["# Segments csv created Sun Mar  5 10:54:31 2017"],
    ["# num_ytids=6", " num_segs=6"],
    ["# YTID", " start_seconds", " end_seconds", " positive_labels"],
]
REORDERED = (3, 2, 0, 1)


def padded(text):
    """Return the list with additional commas in each line."""
    return text.replace("\n", ",,,\n")


def headed(rows, **options):
    """Return the list with a header."""
    return written([HEADER, *with_decimals(rows)], **options)


FORMS = {
    "header": headed,
    "header in capitals": lambda rows: written(
        [[name.upper() for name in HEADER], *with_decimals(rows)]
    ),
    "no comments": lambda rows: written(with_decimals(rows)),
    "short numbers": lambda rows: written(
        [(video, f"{start:g}", f"{end:g}", mids) for video, start, end, mids in rows]
    ),
    "tabs": lambda rows: headed(rows, delimiter="\t"),
    "tabs, no header": lambda rows: written(with_decimals(rows), delimiter="\t"),
    "tabs for commas": lambda rows: published(rows).replace(", ", "\t"),
    "semicolons": lambda rows: headed(rows, delimiter=";"),
    "semicolons, no header": lambda rows: written(with_decimals(rows), delimiter=";"),
    "all quoted": lambda rows: headed(rows, quoting=csv.QUOTE_ALL),
    "unquoted": lambda rows: "".join(",".join(row) + "\n" for row in with_decimals(rows)),
    "unquoted with header": lambda rows: "".join(
        ",".join(row) + "\n" for row in [HEADER, *with_decimals(rows)]
    ),
    "no spaces": lambda rows: published(rows).replace(", ", ","),
    "spaces at the ends": lambda rows: published(rows).replace("\n", "  \n"),
    "spreadsheet": lambda rows: spreadsheet(rows, COMMENTS),
    "spreadsheet with semicolons": lambda rows: spreadsheet(rows, COMMENTS, delimiter=";"),
    "spreadsheet with tabs": lambda rows: spreadsheet(rows, COMMENTS, delimiter="\t"),
    "spreadsheet, no comments": lambda rows: spreadsheet(rows, []),
    "spreadsheet with header": lambda rows: spreadsheet(rows, [HEADER]),
    "unquoted, a padded header": lambda rows: (
        ",".join(HEADER) + ",,\n" + "".join(",".join(row) + "\n" for row in with_decimals(rows))
    ),
    "quoted comments": lambda rows: (
        written([[line] for line in published(rows).splitlines()[:3]], quoting=csv.QUOTE_ALL)
        + written(rows)
    ),
    "other comments": lambda rows: (
        "# is this all? no!\n" + published(rows).replace("\n", '\n #abcdefghijk, 1, 2, "/m/0"\n')
    ),
    "CR": lambda rows: published(rows).replace("\n", "\r"),
    "all line ends": lambda rows: published(rows).replace("\n", "\r", 4).replace("\n", "\r\n", 2),
    "CRLF": lambda rows: published(rows).replace("\n", "\r\n"),
    "tabs at the end": lambda rows: published(rows).replace("\n", "\t\t\n"),
    "BOM": lambda rows: "\ufeff" + published(rows),
    "BOM and header": lambda rows: "\ufeff" + headed(rows),
    "blank lines": lambda rows: "\n \n" + published(rows).replace("\n", "\n,,,\n\n"),
    "no end": lambda rows: published(rows)[:-1],
    "commas to pad": lambda rows: padded(published(rows)),
    "commas to pad, header": lambda rows: padded(headed(rows)),
    "columns in another order": lambda rows: written(
        [[row[i] for i in REORDERED] for row in [HEADER, *with_decimals(rows)]]
    ),
    "other columns padded": lambda rows: padded(
        written([[row[i] for i in REORDERED] for row in [HEADER, *with_decimals(rows)]])
    ),
    "pandas": lambda rows: written(
        [["", *HEADER], *([i, *row] for i, row in enumerate(with_decimals(rows)))]
    ),
    "more columns": lambda rows: written(
        [[*HEADER, "split"], *([*row, "train"] for row in with_decimals(rows))]
    ),
    "apostrophes": lambda rows: published([("'" + row[0], *row[1:]) for row in rows]),
    "spaces everywhere": lambda rows: published(rows).replace(", ", " , ").replace("\n-", "\n -"),
    "apostrophes, header": lambda rows: written(
        [HEADER, *(("'" + row[0], *row[1:]) for row in with_decimals(rows))]
    ),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Return the data directories of the lists as published."""
    folder = tmp_path_factory.mktemp("plain")
    prepare("--metadata-only", write_lists(folder / "meta"), folder / "data")
    return contents(folder / "data")


def test_a_published_list_is_read_as_it_was_written(tmp_path):
    prepare("--metadata-only", write_lists(tmp_path / "meta"), tmp_path / "data")
    mids, labels = list(CLASSES), list(CLASSES.values())
    for name, kind in (("train", "balanced"), ("eval", "eval")):
        tags = sorted(
            (clip_of(row), mids.index(mid)) for row in LISTS[kind] for mid in row[3].split(",")
        )
        assert table(tmp_path / "data" / name, "tags.tsv") == [
            [clip, labels[k]] for clip, k in tags
        ]
        assert table(tmp_path / "data" / name) == sorted(
            [clip_of(row), "", f"{row[2] - row[1]:g}"] for row in LISTS[kind]
        )
    assert table(tmp_path / "data" / "train")[1] == ["-0DLPzsiXXE_0.000_9.500.wav", "", "9.5"]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_sets(tmp_path, plain, form):
    meta = write_lists(
        tmp_path / "meta", balanced=FORMS[form](LISTS["balanced"]), eval=FORMS[form](LISTS["eval"])
    )
    prepare("--metadata-only", meta, tmp_path / "data")
    assert contents(tmp_path / "data") == plain


def test_a_list_that_was_cut_off_at_a_line_end_is_reported(tmp_path):
    write_lists(tmp_path)
    assert prepare("--metadata-only", tmp_path, tmp_path / "data").stderr == ""
    path = tmp_path / NAMES["balanced"]
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    result = prepare("--metadata-only", tmp_path, tmp_path / "data")
    assert (
        f"warning: {path}: contains 5 segments, but a comment line gives the number 6; is the list truncated?"
        in result.stderr
    )


def test_lists_may_lie_in_subfolders(tmp_path, plain):
    write_lists(tmp_path / "all" / 'it\'s "v1"' / "deep")
    write_lists(
        tmp_path / "all" / "an older copy" / "still" / "deeper",
        balanced=published(LISTS["unbalanced"]),
    )
    prepare("--metadata-only", tmp_path / "all", tmp_path / "data")
    assert contents(tmp_path / "data") == plain


def test_a_repeated_segment_has_the_tags_of_both_rows(tmp_path, plain):
    rows = LISTS["balanced"]
    halves = [(*row[:3], mid) for row in rows for mid in row[3].split(",")]
    result = prepare(
        "--metadata-only",
        write_lists(tmp_path / "meta", balanced=published(halves[::-1])),
        tmp_path / "data",
    )
    assert contents(tmp_path / "data") == plain
    assert (
        f"balanced_train_segments.csv: {len(halves) - len(rows)} rows repeat the segment of an earlier row"
        in result.stderr
    )


@pytest.mark.parametrize("block_bytes", [1, 7, 200])
def test_blocks_of_any_size_give_the_same_sets(tmp_path, plain, monkeypatch, block_bytes):
    monkeypatch.setattr("wsedtk.data.table_files._BLOCK_BYTES", block_bytes)
    halves = [(*row[:3], mid) for row in LISTS["balanced"] for mid in row[3].split(",")]
    prepare(
        "--metadata-only",
        write_lists(tmp_path / "meta", balanced=published(halves)),
        tmp_path / "data",
    )
    assert contents(tmp_path / "data") == plain


# --- faulty metadata ---


@pytest.fixture
def refused(run, tmp_path):
    """Check that `prepare audioset --metadata-only` of changed lists fails with this message.

    The message is a regular expression.
    """

    def refused(message, *options, **changes):
        result = run(
            "prepare",
            "audioset",
            "--metadata-only",
            write_lists(tmp_path / "meta", **changes),
            tmp_path / "data",
            *options,
        )
        assert result.exit_code == 1 and re.search(message, result.stderr), (
            result.stderr + result.stdout
        )
        assert not (tmp_path / "data").exists()

    return refused


def with_row(row, place, header=False):
    """Return the published list with one more line before row number `place`."""
    lines = (headed if header else published)(LISTS["balanced"]).splitlines()
    first = 1 if header else 3
    return "\n".join(
        [*lines[: first + place], row, *lines[first + place :]]
    ) + "\n", first + place + 1


ROWS = [
    (
        '#NAME?, 30.000, 40.000, "/m/09x0r"',
        r"expected a video ID .*, found '#NAME\?' \(spreadsheets change some IDs .*; use the",
    ),
    ("#NAME?,30,40,/m/09x0r", r"expected a video ID of 11 characters, found '#NAME\?'"),
    (
        '"#¿NOMBRE?",30,40," ""/m/09x0r"""',
        r"expected a video ID of 11 characters, found '#¿NOMBRE\?'",
    ),
    ("#VALUE!,30,40,/m/09x0r", "expected a video ID of 11 characters, found '#VALUE!'"),
    ('-1, 30.000, 40.000, "/m/09x0r"', r"expected a video ID of 11 characters, found '-1'"),
    (
        '1.23E+10,30,40,"/m/09x0r"',
        r"expected a video ID .*, found '1.23E\+10' \(spreadsheets change some IDs .*; use the pub",
    ),
    (
        'abcdefghijkl, 30.000, 40.000, "/m/09x0r"',
        r"expected a video ID of 11 characters, found 'abcdefghijkl'",
    ),
    (
        'abcdefghijk, 40.000, 30.000, "/m/09x0r"',
        r"expected start < end in seconds, found '40.000' and '30.000'",
    ),
    ('abcdefghijk, 40.000, 40.000, "/m/09x0r"', "expected start < end"),
    ('abcdefghijk, -1.000, 40.000, "/m/09x0r"', "expected start < end"),
    ('abcdefghijk, 0:30, 40.000, "/m/09x0r"', "expected start < end"),
    ("abcdefghijk;30,5;40,5;/m/09x0r", "expected "),
    ('abcdefghijk, nan, 40.000, "/m/09x0r"', "expected start < end"),
    (
        'abcdefghijk, 30.000, 40.000, "/m/09x0r,/m/zz"',
        "the class '/m/zz' is not in class_labels_indices.csv",
    ),
    (
        'abcdefghijk, 30.000, 40.000, "Speech"',
        "the class 'Speech' is not in class_labels_indices.csv",
    ),
    ('abcdefghijk, 30.000, 40.000, ""', "expected class IDs, found none"),
    ("abcdefghijk, 30.000, 40.000,,,", "expected class IDs, found none"),
    (
        'abcdefghijk, 30.000, 40.000, "/m/09x0r',
        "a quote is not closed, so the list is probably truncated",
    ),
    ("abcdefghijk, 30.000, 40.000", "expected ID, start, end and class IDs"),
    ("abcdefghijk", "expected ID, start, end and class IDs"),
]


@pytest.mark.parametrize("row, message", ROWS)
@pytest.mark.parametrize(
    "place, header", [(0, False), (1, False), (6, False), (0, True), (2, True)]
)
def test_a_faulty_row_is_named_by_file_and_line(refused, row, message, place, header):
    text, line = with_row(row, place, header)
    refused(
        f"balanced_train_segments.csv:{line}: {message}.*; the line is {re.escape(repr(row))}",
        balanced=text,
    )


@pytest.mark.parametrize(
    "header", ["YTID,start_seconds,end_seconds,mid", "id,start,end,labels", "start,end"]
)
def test_a_header_without_a_column_is_named_by_its_line(refused, header):
    refused(
        f"balanced_train_segments.csv:3: expected the columns YTID, start_seconds, end_seconds and positive_labels, found '{header}'",
        balanced="# my own\n\n" + written([header.split(","), *LISTS["balanced"]]),
    )


def test_labels_that_are_split_before_another_column_are_refused(refused):
    refused(
        "balanced_train_segments.csv:2: expected ID, start, end and class IDs; the line is '--PJHxphWEs,30,40,/m/09x0r,/t/dd00088,train'",
        balanced="".join(
            ",".join(map(str, row)) + "\n"
            for row in [(*HEADER, "split"), *((*r, "train") for r in LISTS["balanced"])]
        ),
    )


def test_faults_are_counted_and_have_a_remedy(refused):
    text = published(LISTS["balanced"] + [(f"{i}", 1, 2, "/m/09x0r") for i in range(9)])
    refused(r"(?s):10: .*:14: .*and 4 more: correct the list, or download it again", balanced=text)


@pytest.mark.parametrize("block_bytes", [1, 7, 1 << 22])
def test_lines_are_counted_through_blocks(refused, monkeypatch, block_bytes):
    monkeypatch.setattr("wsedtk.data.table_files._BLOCK_BYTES", block_bytes)
    refused(
        r"(?s)^\S+:8: .*'/m/x'.*:9: .*expected class IDs, found none",
        balanced=published(
            [*LISTS["balanced"][:4], ("abcdefghijk", 1, 2, "/m/x"), ("abcdefghijk", 1, 2, "")]
        ),
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", ",".join(HEADER) + "\n"])
def test_an_empty_list_is_refused(refused, name, text):
    refused(
        f"{NAMES[name]}: found no segments; expected rows with ID, start, end",
        "--subset",
        "all",
        **{name: text},
    )


@pytest.mark.parametrize("name", [*NAMES, "classes"])
def test_missing_metadata_are_named(refused, name):
    file = NAMES.get(name, "class_labels_indices.csv")
    refused(
        f"meta: {file} is missing; download it, or give the folder that contains it",
        "--subset",
        "all",
        **{name: None},
    )


INDEX = ['0,/m/09x0r,"Speech"', '1,/m/012xff,"Male speech, man speaking"', '2,/t/dd00088,"Gush"']


@pytest.mark.parametrize(
    "lines, message",
    [
        (
            [INDEX[0], INDEX[2]],
            ":3: expected the index 1, a class ID and a class name, found '2,/t/dd00088,Gush'",
        ),
        ([INDEX[0], *INDEX], ":3: expected the index 1, "),
        ([*INDEX, '3,/m/09x0r,"Else"'], ": expected each class once, found classes with equal IDs"),
        (
            [*INDEX, '3,/m/else,"Gush"'],
            ": expected each class once, found classes with equal names",
        ),
        ([INDEX[0], "1,/m/012xff"], ":3: expected the index 1, "),
        ([INDEX[0], '1,/m/012xff,""'], ":3: expected the index 1, "),
        ([INDEX[0], '1,m012xff,"Male"'], ":3: expected the index 1, "),
        ([], ": found no classes; expected rows with index, class ID and name"),
        (
            [INDEX[0], '1,/m/012xff,"Male speech', *INDEX[2:]],
            ":3: expected the index 1, .*'1,/m/012xff,\"Male speech'",
        ),
        ([INDEX[0], "1,/m/012xff,Male speech, man speaking"], ":3: expected the index 1, "),
    ],
)
def test_a_faulty_class_index(refused, lines, message):
    refused(
        "class_labels_indices.csv" + message,
        classes="\n".join(["index,mid,display_name", *lines, ""]),
    )


@pytest.mark.parametrize(
    "header", ["name,mid,index", "mid,display_name", "# index,mid,display_name", "<!DOCTYPE html>"]
)
def test_a_class_index_of_another_kind(refused, header):
    refused(
        "class_labels_indices.csv:1: expected the index 0, a class ID and a class name",
        classes="\n".join([header, *INDEX, ""]),
    )


INDEX_ROWS = [
    ("index", "mid", "display_name"),
    *((k, mid, name) for k, (mid, name) in enumerate(CLASSES.items())),
]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + written(INDEX_ROWS[1:], lineterminator="\r\n").replace(",/", ", /"),
        written(INDEX_ROWS, lineterminator="\r"),
        padded(written(INDEX_ROWS)),
        written(INDEX_ROWS, delimiter=";"),
        written(INDEX_ROWS, delimiter="\t"),
        written(INDEX_ROWS[1:], delimiter="\t"),
        "\n" + written(INDEX_ROWS, quoting=csv.QUOTE_ALL) + "\n,,\n",
        written(INDEX_ROWS, quoting=csv.QUOTE_ALL).replace("\n", "\t\t\n\t\n \n"),
        "\t\n" + written(INDEX_ROWS, delimiter="\t").replace("\n", "\t \r\r\n"),
    ],
    ids=[
        "no header",
        "CR",
        "padded",
        "semicolons",
        "tabs",
        "tabs, no header",
        "quoted",
        "quoted, tabs at the end",
        "tabs, also at the end",
    ],
)
def test_forms_of_the_class_index(tmp_path, plain, text):
    prepare("--metadata-only", write_lists(tmp_path / "meta", classes=text), tmp_path / "data")
    assert contents(tmp_path / "data") == plain


def test_files_that_are_not_lists_are_refused(refused):
    utf16 = published(LISTS["balanced"]).replace(", ", "\t").encode("utf-16")
    remedy = "is not UTF-8 text but UTF-16; save it as UTF-8"
    refused(f"balanced_train_segments.csv: {remedy}", balanced=utf16)
    refused(f"class_labels_indices.csv: {remedy}", classes="index,mid".encode("utf-16"))
    packed = gzip.compress(published(LISTS["eval"]).encode())
    refused(
        r"eval_segments.csv: is not UTF-8 text \(.* at byte 1\); unpack it with gunzip", eval=packed
    )
    page = "<!DOCTYPE html>\n<html>\n<head><title>Not found, 404, x, y</title></head>\n</html>\n"
    refused("balanced_train_segments.csv:1: expected .*'<!DOCTYPE html>'", balanced=page)


@pytest.mark.parametrize("length", [300, 200000])
def test_a_page_in_one_line_does_not_fill_the_screen(run, tmp_path, length):
    page = "<!DOCTYPE html><html>" + "x" * length
    for name, place in (
        ("eval", "eval_segments.csv:1: "),
        ("classes", "class_labels_indices.csv:1: expected the index 0, a"),
    ):
        result = run(
            "prepare",
            "audioset",
            "--metadata-only",
            write_lists(tmp_path / name, **{name: page}),
            tmp_path / "data",
        )
        assert (
            result.exit_code == 1
            and place in result.stderr
            and "'<!DOCTYPE html><html>xxx" in result.stderr
        )
        assert len(result.stderr) < 1000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        '[{"id": "/m/09x0r"}]',
        '[{"id": 1, "name": 2, "child_ids": 5}]',
        "null",
        b"\xff",
        "[" * 100000,
        '[{"id": "/m/09x0r", "name": "x", "child_ids": [["/m/0"]]}]',
        "{}",
        "[]",
    ],
    ids=range(11),
)
@pytest.mark.parametrize("options", [(), ("--ancestors",)])
def test_a_broken_ontology(refused, text, options):
    refused(
        "ontology.json: expected AudioSet's ontology, a list of classes with id, name and child_ids",
        *options,
        ontology=text,
    )


def test_ancestors_need_an_ontology_with_the_classes(refused):
    refused(
        "ontology.json: lacks 6 classes of .*class_labels_indices.csv: /m/012xff, /t/dd00088, /m/0_a and 3 more; --anc",
        "--ancestors",
        ontology='[{"id": "/m/09x0r", "name": "Speech", "child_ids": []}]',
    )


def test_names_that_differ_in_the_ontology_are_reported(tmp_path):
    result = prepare(
        "--metadata-only",
        write_lists(
            tmp_path / "meta", ontology='[{"id": "/m/09x0r", "name": "Talk", "child_ids": []}]'
        ),
        tmp_path / "data",
    )
    assert re.search(
        r"warning: .*have different names for 1 class: /m/09x0r \('Speech' and 'Talk'\); the names "
        "in class_labels_indices.csv are used",
        result.stderr,
    )
    assert datadir.read(tmp_path / "data" / "train").labels == list(CLASSES.values())
