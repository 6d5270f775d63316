"""Read tables of file names and classes, as spreadsheet programs save them.

The form of a table is recognised. Columns are separated by tabs, commas or semicolons, and fields
may be quoted. The first row may be a header. There are three ways to write the classes:

    one class in a row     rec1.wav,Dog         a recording with several classes has several rows
    several in a cell      rec1.wav,Dog;Cat
    one column a class     file,Dog,Cat         1 or 0, yes or no, x or nothing, ...
                           rec1.wav,1,1
"""

import collections
import csv
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from wsedtk.core.config import suggest
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.wording import counted
from wsedtk.data.clip_names import has_audio_extension
from wsedtk.data.table_files import TableFile
from wsedtk.data.tables import cut_blank, first, is_nothing

DELIMITERS = {"\t": "tabs", ",": "commas", ";": "semicolons"}
SEPARATORS = (";", "|", ",")  # between the classes in a cell
NO_SEPARATOR = "none"
# Headings are compared in lower case, with `_` for other characters.
_LABEL_HEADINGS = (
    "label labels event_label event_labels class classes tag tags category categories species "
    "annotation annotations"
).split()
_GROUP_HEADINGS = "group site location station".split()
_TIME_HEADINGS = (
    "onset offset begin_time_s end_time_s begin_time end_time start_time start_s end_s start end"
).split()
_PRESENT = frozenset("1 1.0 true yes y x + present".split())
_ABSENT = frozenset(["", *"0 0.0 false no n - absent nan".split()])

Way = Literal["row", "cell", "columns"]


@dataclasses.dataclass(frozen=True)
class Choices:
    """The parts of the form of a table that are given. The other parts are recognised.

    Attributes
    ----------
    file_column, group_column : str or None
        The headings of the columns with the file names and with the groups.
    label_columns : sequence of str
        The heading of the column with the classes, or the headings of the columns of classes.
    separator : str or None
        The text between the classes in a cell, or "none" if each cell contains one class.
    """

    file_column: str | None = None
    label_columns: Sequence[str] = ()
    group_column: str | None = None
    separator: str | None = None


class Row(NamedTuple):
    """A row: its line, the file name, its classes, and its group ("" if the table has none)."""

    line: int
    file: str
    labels: tuple[str, ...]
    group: str


class GroupRow(NamedTuple):
    """A row of a table of groups: its line, the name of a recording or clip, and its group."""

    line: int
    file: str
    group: str


@dataclasses.dataclass(frozen=True)
class LabelTable:
    """The content of a table, and its form.

    Attributes
    ----------
    rows : sequence of Row
    labels : sequence of str
        The classes, in the order of the columns, or sorted.
    form : mapping of str to str
        What was recognised: a text for each part of the form.
    """

    rows: Sequence[Row]
    labels: Sequence[str]
    form: Mapping[str, str]


class _Line(NamedTuple):
    number: int
    fields: list[str]


def _split(lines: Sequence[str], delimiter: str) -> list[_Line]:
    """Return the fields of each line that is not blank, without spaces around them."""
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    rows = [_Line(reader.line_num, [field.strip() for field in fields]) for fields in reader]
    return [row for row in rows if any(row.fields)]


def _num_files(rows: Sequence[_Line], is_file: Callable[[str], bool]) -> list[int]:
    """Return the number of file names in each column."""
    counts: collections.Counter[int] = collections.Counter()
    for row in rows:
        counts.update(i for i, field in enumerate(row.fields) if field and is_file(field))
    return [counts[i] for i in range(max((len(row.fields) for row in rows), default=0))]


class _Reader:
    """Recognise the form of a table, and read its rows.

    Parameters
    ----------
    table : TableFile
        The file.
    is_file : callable
        A function that returns whether a text is the name of a recording.
    choices : Choices
        The parts of the form that are given.
    remedy : str
        What to do if the table contains no names of recordings.
    """

    def __init__(
        self,
        table: TableFile,
        is_file: Callable[[str], bool],
        choices: Choices,
        remedy: str = "give the folder that contains the recordings of this table",
    ) -> None:
        self.path, self.table, self.choices = table.path, table, choices
        self._remedy = remedy
        lines = table.lines()
        table.raise_errors()
        found = {delimiter: _split(lines, delimiter) for delimiter in DELIMITERS}
        counts = {delimiter: _num_files(rows, is_file) for delimiter, rows in found.items()}
        # The file names are also found if the wrong delimiter leaves the other columns joined.
        self.delimiter = max(
            DELIMITERS, key=lambda d: (max(counts[d], default=0), len(counts[d]) > 1)
        )
        rows, num_files = found[self.delimiter], counts[self.delimiter]
        if not rows:
            raise InputError(f"{self.path}: contains no rows; expected file names and classes")
        self.file_column = self._file_column(rows[0], num_files)
        cell = rows[0].fields[self.file_column] if self.file_column < len(rows[0].fields) else ""
        self.has_header = bool(choices.file_column) or not (
            is_file(cell) or has_audio_extension(cell)
        )
        if self.has_header:
            self.headings, rows = cut_blank(rows[0].fields), rows[1:]
        else:
            width = max(len(cut_blank(row.fields)) for row in rows)
            self.headings = [f"column {i + 1}" for i in range(width)]
        self.rows = [self._fitted(row) for row in rows]
        table.raise_errors()
        if not self.rows:
            raise InputError(
                f"{self.path}: contains only a header; expected file names and classes"
            )

    def _file_column(self, header: _Line, num_files: Sequence[int]) -> int:
        if self.choices.file_column is not None:
            self.headings = header.fields
            return self._index(self.choices.file_column, "file_column (--file-column)")
        if not max(num_files, default=0):
            raise InputError(
                f"{self.path}: no column contains names of the recordings; line {header.number} is "
                f"{first([repr(field) for field in header.fields])}; {self._remedy}"
            )
        return num_files.index(max(num_files))

    def _index(self, heading: str, option: str) -> int:
        """Return the index of a column that was given."""
        if heading not in self.headings:
            raise InputError(
                f"{self.path}: has no column {heading!r}, which {option} names; "
                f"{suggest(heading, self.headings)}"
            )
        return self.headings.index(heading)

    def _fitted(self, row: _Line) -> _Line:
        """Return a row with as many fields as there are columns. Too many fields are an error."""
        width = len(self.headings)
        fields = cut_blank(row.fields, width)
        if len(fields) > width:
            self.table.error(
                row.number,
                f"expected {counted(width, 'field')} ({first(self.headings)}), found "
                f"{len(fields)}; quote fields that contain a delimiter",
            )
        return _Line(row.number, fields + [""] * (width - len(fields)))

    def _values(self, index: int) -> set[str]:
        return {row.fields[index] for row in self.rows}

    def _is_yes_or_no(self, index: int) -> bool:
        values = {value.lower() for value in self._values(index)}
        return values <= _PRESENT | _ABSENT and bool(values - {""})

    def _known(self, headings: Sequence[str], left: Sequence[int]) -> list[int]:
        """Return the columns of `left` whose heading is one of some known headings."""
        if not self.has_header:
            return []
        names = {
            i: "_".join(
                "".join(c if c.isalnum() else " " for c in self.headings[i]).lower().split()
            )
            for i in left
        }
        return [i for i in left if names[i] in headings]

    def _group_column(self, left: list[int]) -> int | None:
        if self.choices.group_column is not None:
            return self._index(self.choices.group_column, "group_column (--group-column)")
        known = self._known(_GROUP_HEADINGS, left)
        return known[0] if known else None

    def _label_columns(self, left: list[int]) -> tuple[Way, list[int]]:
        """Return how the classes are written, and the columns that contain them."""
        given = [
            self._index(name, "label_columns (--label-column)")
            for name in self.choices.label_columns
        ]
        if given:
            is_wide = len(given) > 1 or self._is_yes_or_no(given[0])
            return ("columns" if is_wide else "row"), given
        times = self._known(_TIME_HEADINGS, left)
        if len(times) > 1:
            names = first([repr(self.headings[i]) for i in times])
            raise InputError(
                f"{self.path}: contains times of events ({names}); read it with wsedtk prepare "
                "annotations, or name the column of the classes with label_columns "
                "(--label-column) to ignore the times"
            )
        known = [i for i in self._known(_LABEL_HEADINGS, left) if not self._is_yes_or_no(i)]
        if len(known) == 1:
            return "row", known
        wide = [i for i in left if self.has_header and self._is_yes_or_no(i)]
        if not known and len(wide) > 1:
            return "columns", wide
        if not known and len(left) == 1:
            return "row", left
        names = first([repr(self.headings[i]) for i in known or left], 8)
        found = f"found {names}" if left else "found only file names"
        raise InputError(
            f"{self.path}: expected a column with the classes, or several columns with 1 and 0; "
            f"{found}; name the columns of the classes with label_columns (--label-column)"
        )

    def _separator(self, index: int) -> str:
        """Return the text between the classes in the cells of a column, or ""."""
        if self.choices.separator is not None:
            return "" if self.choices.separator == NO_SEPARATOR else self.choices.separator
        cells = self._values(index)
        for separator in SEPARATORS:
            joined = [cell for cell in cells if separator in cell]
            if not joined:
                continue
            if separator == "," and any(", " in cell for cell in joined):
                self._check_commas(index, cells, joined)
            return separator
        return ""

    def _check_commas(self, index: int, cells: set[str], joined: Sequence[str]) -> None:
        """Raise InputError if it is not clear that a comma and a space separate classes.

        It is clear if each part of a cell is also the only class of another cell, or is a part of
        another cell.
        """
        counts = collections.Counter(part.strip() for cell in cells for part in (*cell.split(","),))
        if all(counts[part.strip()] > 1 for cell in joined for part in cell.split(",")):
            return
        raise InputError(
            f"{self.path}: the column {self.headings[index]!r} contains {joined[0]!r}, which is "
            "one class or several classes; give separator (--separator) none if it is one class, "
            "or `,` if a comma separates classes"
        )

    def read(self) -> LabelTable:
        """Return the content of the table."""
        left = [i for i in range(len(self.headings)) if i != self.file_column]
        group = self._group_column(left)
        left = [i for i in left if i != group]
        way, columns = self._label_columns(left)
        separator = ""
        if way == "row":
            separator = self._separator(columns[0])
            way = "cell" if separator else "row"
        rows = [
            Row(
                row.number,
                row.fields[self.file_column],
                self._labels(row, way, columns, separator),
                "" if group is None or is_nothing(row.fields[group]) else row.fields[group],
            )
            for row in self.rows
        ]
        for row in rows:
            if not row.file:
                self.table.error(row.line, "the file name is empty")
        self.table.raise_errors()
        labels = [self.headings[i] for i in columns]
        if way != "columns":
            labels = sorted({label for row in rows for label in row.labels})
        ignored = [self.headings[i] for i in left if i not in columns]
        form = {
            "columns are separated by": DELIMITERS[self.delimiter],
            "header": "yes" if self.has_header else "no",
            "file names": self.headings[self.file_column],
            "classes": self._shown_way(way, columns, separator),
            "groups": "the recordings" if group is None else self.headings[group],
            "ignored columns": ", ".join(ignored) or "none",
        }
        return LabelTable(rows, labels, form)

    def read_groups(self) -> list[GroupRow]:
        """Return the rows with a group."""
        left = [i for i in range(len(self.headings)) if i != self.file_column]
        column = self._group_column(left)
        if column is None:
            raise InputError(
                f"{self.path}: no column has the heading {' or '.join(_GROUP_HEADINGS)}; found "
                f"{first([repr(self.headings[i]) for i in left], 8)}; name the column of the "
                "groups with group_column (--group-column)"
            )
        rows = [
            GroupRow(row.number, row.fields[self.file_column], row.fields[column])
            for row in self.rows
        ]
        return [row for row in rows if not is_nothing(row.group)]

    def _labels(
        self, row: _Line, way: Way, columns: Sequence[int], separator: str
    ) -> tuple[str, ...]:
        if way != "columns":
            cell = row.fields[columns[0]]
            parts = cell.split(separator) if separator else [cell]
            return tuple(dict.fromkeys(p.strip() for p in parts if not is_nothing(p)))
        for i in columns:
            if row.fields[i].lower() not in _PRESENT | _ABSENT:
                self.table.error(
                    row.number,
                    f"column {self.headings[i]!r}: found {row.fields[i]!r}; expected 1 or 0, yes "
                    "or no, x or an empty field",
                )
        return tuple(self.headings[i] for i in columns if row.fields[i].lower() in _PRESENT)

    def _shown_way(self, way: Way, columns: Sequence[int], separator: str) -> str:
        names = first([self.headings[i] for i in columns])
        return {
            "row": f"one class in each row ({names})",
            "cell": f"several classes in a cell, with {separator!r} between them ({names})",
            "columns": f"one column for each class ({names})",
        }[way]


def read(path: PathLike, is_file: Callable[[str], bool], choices: Choices) -> LabelTable:
    """Read a table of file names and classes.

    Parameters
    ----------
    path : path-like
        The table, UTF-8 text.
    is_file : callable
        A function that returns whether a text is the name of a recording. It is called for the
        fields of all columns.
    choices : Choices
        The parts of the form that are given.

    Returns
    -------
    LabelTable

    Raises
    ------
    InputError
        If the file can't be read, if its form is not recognised, or if rows are faulty. The message
        lists the first faults with their lines.
    """
    return _Reader(TableFile(path), is_file, choices).read()


def read_groups(
    path: PathLike, is_file: Callable[[str], bool], group_column: str | None = None
) -> list[GroupRow]:
    """Read the groups in a table of file names. Rows with an empty group are left out.

    Parameters
    ----------
    path : path-like
        The table, UTF-8 text. It may have further columns.
    is_file : callable
        A function that returns whether a text is the name of a recording or clip.
    group_column : str, optional
        The heading of the column with the groups. By default, a column with the heading `group`,
        `site`, `location` or `station`.

    Raises
    ------
    InputError
        If the file can't be read, if it has no such column, or if rows are faulty.
    """
    remedy = "give a table with a column of the file names of recordings or clips"
    choices = Choices(group_column=group_column)
    return _Reader(TableFile(path), is_file, choices, remedy).read_groups()
