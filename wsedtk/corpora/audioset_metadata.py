"""The published metadata of AudioSet: lists of segments, classes and ontology."""

import csv
import json
import re
from pathlib import Path

import numpy as np

from wsedtk.core.errors import InputError
from wsedtk.core.progress import say
from wsedtk.data import clip_sets, datadir
from wsedtk.data.table_files import TableFile
from wsedtk.data.tables import normal

MADE_BY = "prepare audioset"
LISTS = {
    "balanced": "balanced_train_segments.csv",
    "unbalanced": "unbalanced_train_segments.csv",
    "eval": "eval_segments.csv",
}
CLASSES = "class_labels_indices.csv"
ONTOLOGY = "ontology.json"
_COLUMNS = (
    ("ytid", "youtube_id", "video_id"),
    ("start_seconds", "start"),
    ("end_seconds", "end"),
    ("positive_labels", "labels", "mids"),
)
_VIDEO = re.compile("[A-Za-z0-9_-]{11}")
_TIME = re.compile(r"[0-9]+(\.[0-9]+)?")
_COMMENT = re.compile(r'["\s]*#(?![^\s,;"]+[?!])')  # not what spreadsheets make of IDs: #NAME?
_NUM_SEGMENTS = re.compile("num_segs=([0-9]{1,9})")
_PUBLISHED = re.compile(
    r'([A-Za-z0-9_-]{11}), *([0-9.]+), *([0-9.]+), *"([^"]*)"'
)  # a row as published: four times as fast


def _cells(line, delimiter):
    """The cells of a line, without the empty ones that a spreadsheet puts at its end."""
    cells = [
        cell.strip()
        for cell in next(
            csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True)
        )
    ]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def read_classes(path):
    """The classes of class_labels_indices.csv: their names and their IDs, in order. Raises InputError."""
    table, rows = TableFile(path), []
    lines = [(number, line.strip()) for number, line in table.numbered_lines()]
    table.raise_errors("it is published with AudioSet")
    head = lines[0][1] if lines else ""
    delimiter = next((mark for mark in "\t;" if re.match(rf"\w+ *{mark}", head)), ",")
    for number, line in lines:
        try:
            row = _cells(line, delimiter)
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
                f"{path}:{number}: expected {len(rows)}, class ID and name of a class, found {','.join(row)[:200]!r}"
            )
        rows.append(row)
    if not rows:
        raise InputError(f"{path}: no classes there; expected rows of index, class ID, name")
    names, mids = [row[2] for row in rows], [row[1] for row in rows]
    for what, values in (("names", names), ("IDs", mids)):
        if len(set(values)) < len(values):
            raise InputError(
                f"{path}: expected classes, each once; their {what} are not different from each other"
            )
    return names, mids


def read_ontology(path):
    """The ontology: {class ID: (name, IDs of the classes right under it)}. Raises InputError."""
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8-sig")) or [None]
        return {
            entry["id"]: (normal(str(entry["name"])), frozenset(entry["child_ids"]))
            for entry in entries
        }
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path}: not AudioSet's ontology, a list of classes with id, name and child_ids ({repr(error)[-300:]})"
        ) from None


class _Form:
    """How a list is written: what parts its fields, and in which of them ID, start, end and class IDs stand."""

    def __init__(self, path, number, line):
        for self.delimiter in "\t;,":
            fields = self.fields(line)
            if len(fields) >= 4:
                break
        self.is_header = any(field.lower() in names for field in fields for names in _COLUMNS)
        self.places = (0, 1, 2, 3)
        if self.is_header:
            columns = [field.lower() for field in fields]
            self.places = [
                next((columns.index(name) for name in names if name in columns), None)
                for names in _COLUMNS
            ]
            if None in self.places:
                raise InputError(
                    f"{path}:{number}: expected YTID, start_seconds, end_seconds, positive_labels, found {line[:200]!r}"
                )
        self.labels_are_last = not self.is_header or not any(fields[self.places[3] + 1 :])
        self.num_fields = len(fields)

    def fields(self, line):
        """The fields of a line. Quotes that stand in the middle of a field are left over from a wrong reading, and go."""
        (row,) = csv.reader([line], delimiter=self.delimiter, skipinitialspace=True)
        return [field.strip(" '\"") for field in row]

    def row(self, fields):
        """ID, start, end, and the class IDs with commas between them; None where fields are missing, or have no column."""
        if (
            len(fields) <= max(self.places)
            or not self.labels_are_last
            and any(fields[self.num_fields :])
        ):
            return None
        video, start, end, labels = (fields[place] for place in self.places)
        if self.labels_are_last:
            labels = ",".join(
                fields[self.places[3] :]
            )  # a list that is not quoted falls apart at its commas
        return video, start, end, labels


def _read_row(form, line, index):
    """A line as (clip's name, its seconds, class numbers). Raises ValueError that says what is wrong."""
    published = _PUBLISHED.fullmatch(line) if not form.is_header else None
    if not published and line.count('"') % 2:
        raise ValueError("a quote is not closed; is the list cut off?")
    row = published.groups() if published else form.row(form.fields(line))
    if row is None:
        raise ValueError("expected ID, start, end and class IDs")
    video, start, end, labels = row
    if not _VIDEO.fullmatch(video):
        raise ValueError(
            f"expected a video ID of 11 characters, found {video!r} (spreadsheets take some IDs for numbers or formulas; "
            "use the list as it was published)"
        )
    if not (_TIME.fullmatch(start) and _TIME.fullmatch(end) and float(start) < float(end)):
        raise ValueError(f"expected start and later end in seconds, found {start!r} and {end!r}")
    start, end = float(start), float(end)
    mids = [mid for mid in (mid.strip(" '\"") for mid in labels.split(",")) if mid]
    for mid in mids:
        if mid not in index:
            raise ValueError(f"the class {mid!r} is not in {CLASSES}")
    if not mids:
        raise ValueError("no class IDs")
    return f"{video}_{start:.3f}_{end:.3f}.wav", round(end - start, 6), [index[mid] for mid in mids]


def _segments(table, mids):
    """Yield blocks of a list's rows: names (B,), seconds (B,), the place of the clip in the block (M,) and the class (M,) of each tag."""
    index, form, number, num_rows, said = {mid: k for k, mid in enumerate(mids)}, None, 0, 0, None
    for lines in table.line_blocks():
        names, seconds, counts, tags = [], [], [], []
        for line in lines:
            number += 1
            if not line.strip(' ,;\t"') or _COMMENT.match(line):
                said = _NUM_SEGMENTS.search(line) or said
                continue
            line = line.rstrip("\t")
            try:
                if form is None:
                    form = _Form(table.path, number, line)
                    if form.is_header:
                        continue
                name, duration, classes = _read_row(form, line, index)
            except (ValueError, csv.Error) as error:
                table.error(number, f"{error}: {line[:200]!r}")
                continue
            names.append(name)
            seconds.append(duration)
            counts.append(len(classes))
            tags += classes
        if len(table.faults) > 100:
            return
        if names:
            num_rows += len(names)
            yield (
                np.array(names),
                np.array(seconds),
                np.repeat(np.arange(len(names)), counts),
                np.array(tags, np.int64),
            )
    if said and int(said.group(1)) != num_rows and not table.faults:
        say(
            f"warning: {table.path}: its head speaks of {int(said.group(1)):,} segments, there are {num_rows:,}; is the list cut off?"
        )


def read_list(path, names, mids):
    """A list of segments as a DataSet without audio. names, mids: of the K classes. Raises InputError naming its first faults.

    A segment that stands there several times has the tags of all its rows.
    """
    table, blocks, num_rows = TableFile(path), [], 0
    for found, seconds, clip, label in _segments(table, mids):
        blocks.append((found, seconds, clip + num_rows, label))
        num_rows += len(found)
    table.raise_errors("mend the list, or fetch it anew")
    if not blocks:
        raise InputError(f'{path}: no segments there; expected rows of ID, start, end, "class IDs"')
    filenames, seconds, row_of_tag, labels = (np.concatenate(column) for column in zip(*blocks))
    del blocks
    filenames, row_of_clip, clip_of_row = np.unique(
        filenames, return_index=True, return_inverse=True
    )
    if len(filenames) < num_rows:
        say(
            f"warning: {path}: {num_rows - len(filenames)} rows name a segment that another row names too; their tags are put together"
        )
    tag_clip, tag_label = np.divmod(
        np.unique(clip_of_row[row_of_tag] * len(mids) + labels), len(mids)
    )
    return clip_sets.DataSet(
        filenames,
        np.full(len(filenames), "", datadir.TEXT),
        seconds[row_of_clip],
        names,
        tag_clip,
        tag_label,
        info={
            "made_by": MADE_BY,
            "corpus": "AudioSet",
            "official_clips": len(filenames),
            "class_ids": mids,
        },
    )
