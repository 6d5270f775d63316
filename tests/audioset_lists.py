"""Small made-up AudioSet lists in all common forms, and the command that reads them."""

import csv
import io
import json

from click.testing import CliRunner

from wsedtk.cli import main as cli

CLASSES = {
    "/m/09x0r": "Speech",
    "/m/012xff": "Male speech, man speaking",
    "/t/dd00088": "Gush",
    "/m/0_a": "Vehicle horn, car horn, honking",
    "/g/11b": "Siren (civil)",
    "/m/07yv9": "Vehicle",
    "/m/0unused": "Unused",
}
HEADER = ("YTID", "start_seconds", "end_seconds", "positive_labels")
NAMES = {
    "balanced": "balanced_train_segments.csv",
    "unbalanced": "unbalanced_train_segments.csv",
    "eval": "eval_segments.csv",
}
LISTS = {
    "balanced": [
        ("--PJHxphWEs", 30, 40, "/m/09x0r,/t/dd00088"),
        ("-0DLPzsiXXE", 0, 9.5, "/m/012xff"),
        ("abcdefghijk", 5, 15, "/m/0_a,/m/012xff,/g/11b"),
        ("abcdefghijk", 110, 120, "/m/07yv9"),
        ("_-_-_-_-_-_", 0.25, 10.25, "/g/11b,/m/0_a"),
        ("0123456789_", 3, 13, "/m/09x0r"),
    ],
    "unbalanced": [
        ("ubcdefghijk", 0, 10, "/m/09x0r"),
        ("--vcdefghij", 20, 30, "/t/dd00088,/m/012xff"),
        ("Abcdefghijk", 5, 15, "/g/11b"),
    ],
    "eval": [("ebcdefghijk", 30, 40, "/m/07yv9"), ("-fbcdefghij", 0, 10, "/m/09x0r,/m/0_a")],
}
# Car horn is below siren, and below vehicle through a class that is not in the index. The classes
# below speech form a circle.
ONTOLOGY = {
    "/m/root": ["/m/09x0r", "/m/07yv9"],
    "/m/07yv9": ["/m/abstract"],
    "/m/abstract": ["/m/0_a"],
    "/g/11b": ["/m/0_a"],
    "/m/09x0r": ["/m/012xff"],
    "/m/012xff": ["/t/dd00088"],
    "/t/dd00088": ["/m/012xff"],
    "/m/0_a": [],
    "/m/0unused": [],
}


def clip_of(row):
    """Return the clip name of a row of a list."""
    return f"{row[0]}_{float(row[1]):.3f}_{float(row[2]):.3f}.wav"


def published(rows):
    """Return a list in the form that Google published."""
    lines = [f'{video}, {start:.3f}, {end:.3f}, "{mids}"\n' for video, start, end, mids in rows]
    return "".join(
        [
            "# Segments csv created Sun Mar  5 10:54:31 2017\n",
            f"# num_ytids={len(rows)}, num_segs={len(rows)}\n",
            "# YTID, start_seconds, end_seconds, positive_labels\n",
            *lines,
        ]
    )


def with_decimals(rows):
    """Return the rows with times as in the published lists."""
    return [(video, f"{start:.3f}", f"{end:.3f}", mids) for video, start, end, mids in rows]


def written(rows, **options):
    """Return rows as Python's csv module writes them."""
    text = io.StringIO(newline="")
    csv.writer(text, **{"lineterminator": "\n", **options}).writerows(rows)
    return text.getvalue()


def spreadsheet(rows, first, **options):
    """Return a list as saved by a spreadsheet program that does not know its quoting.

    first: the first rows of the list. The program takes a quote after a space for text, so labels
    are split at commas. All rows have as many cells as the longest one.
    """
    cells = [
        *first,
        *(
            [video, f"{start:g}", f"{end:g}", *f' "{mids}"'.split(",")]
            for video, start, end, mids in rows
        ),
    ]
    width = max(map(len, cells))
    return written([[*row, *[""] * (width - len(row))] for row in cells], **options)


def write_lists(folder, **changes):
    """Write the metadata files.

    changes: replacements of balanced, unbalanced, eval, classes or ontology; None omits the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {name: published(rows) for name, rows in LISTS.items()}
    texts["classes"] = "index,mid,display_name\n" + "".join(
        f'{k},{mid},"{name}"\n' for k, (mid, name) in enumerate(CLASSES.items())
    )
    texts["ontology"] = json.dumps(
        [
            {"id": mid, "name": CLASSES.get(mid, "Else"), "child_ids": below}
            for mid, below in ONTOLOGY.items()
        ]
    )
    files = {**NAMES, "classes": "class_labels_indices.csv", "ontology": "ontology.json"}
    for name, text in {**texts, **changes}.items():
        if text is not None:
            (folder / files[name]).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def prepare(*arguments):
    """Run `wsedtk prepare audioset ARGUMENT...` and check that it succeeds."""
    result = CliRunner().invoke(
        cli.cli, ["prepare", "audioset", *map(str, arguments)], catch_exceptions=False
    )
    assert result.exit_code == 0, result.stderr
    return result
