"""Read lists of AudioSet's classes, such as class_labels_indices.csv.

Each row contains the index, the class ID and the name of a class. Files that a spreadsheet or
another program has saved again are accepted, too.
"""

import csv
import re
from typing import NamedTuple

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.data.table_files import TableFile


class Classes(NamedTuple):
    """The names of the K classes and their IDs, in the order of their indices."""

    names: list[str]
    mids: list[str]


def _split(line: str, delimiter: str) -> list[str]:
    """Return the fields of a line. Empty fields at its end, which spreadsheets add, are removed."""
    (row,) = csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True)
    cells = [cell.strip() for cell in row]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def read_class_names(path: PathLike) -> tuple[str, ...]:
    """Read the names of the classes in a list of classes. Raises the errors of `read_classes`."""
    return tuple(read_classes(path).names)


def read_classes(path: PathLike) -> Classes:
    """Read a list of classes, such as class_labels_indices.csv.

    Raises
    ------
    InputError
        If the file cannot be read, if a row is invalid, if a class is repeated, or if the file
        contains no classes.
    """
    table = TableFile(path)
    lines = [(number, line.strip()) for number, line in table.numbered_lines()]
    table.raise_errors("download the file again")
    head = lines[0][1] if lines else ""
    delimiter = next((mark for mark in "\t;" if re.match(rf"\w+ *{mark}", head)), ",")
    rows: list[list[str]] = []
    for number, line in lines:
        try:
            row = _split(line, delimiter)
        except csv.Error:
            row = [line]
        if not row or (not rows and row[0].lower() == "index"):
            continue
        if (
            len(row) != 3
            or row[0] != str(len(rows))
            or not re.fullmatch(r"/\w/\w+", row[1])
            or not row[2]
        ):
            raise InputError(
                f"{path}:{number}: expected the index {len(rows)}, a class ID and a class name, "
                f"found {','.join(row)[:200]!r}"
            )
        rows.append(row)
    if not rows:
        raise InputError(f"{path}: found no classes; expected rows with index, class ID and name")
    classes = Classes([row[2] for row in rows], [row[1] for row in rows])
    for what, values in (("names", classes.names), ("IDs", classes.mids)):
        if len(set(values)) < len(values):
            raise InputError(
                f"{path}: expected each class once, found classes with equal {what}; download the "
                "file again"
            )
    return classes
