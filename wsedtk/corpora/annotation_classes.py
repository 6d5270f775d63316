"""Choose the classes of a set that is made from annotations."""

import collections
import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from wsedtk.core.config import suggest
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.wording import counted
from wsedtk.corpora.annotation_files import Row
from wsedtk.corpora.recording_names import Source
from wsedtk.data.formats.annotations import ACCEPTED, REJECTED, UNREVIEWED
from wsedtk.data.table_files import TableFile
from wsedtk.data.tables import first

_LOG = logging.getLogger(__name__)


def read(path: PathLike) -> dict[str, str]:
    """Read a list of classes.

    Parameters
    ----------
    path : path-like
        A file with one class per line. A line NAME<TAB>CLASS gives annotations with the name NAME
        the class CLASS. Or a data directory or a model directory.

    Returns
    -------
    dict
        A mapping from the names in annotations to the classes.

    Raises
    ------
    InputError
        If the file can't be read, is empty or has a faulty line.
    """
    folder = Path(path)
    if folder.is_dir() and not (folder / "labels.txt").exists():
        from wsedtk.models import checkpoint  # imports torch

        return {label: label for label in checkpoint.read_spec(folder).labels}
    table = TableFile(folder / "labels.txt" if folder.is_dir() else folder)
    found: dict[str, str] = {}
    for number, line in table.numbered_lines():
        name, *rest = map(str.strip, line.rstrip("\t").split("\t"))
        label = rest[0] if rest else name
        if not name or not label or len(rest) > 1:
            table.error(number, f"expected a class, or name<TAB>class; found {line!r}")
        elif found.setdefault(name, label) != label:
            table.error(number, f"the name {name!r} stands for two classes")
    if not found and not table.faults:
        table.error(None, "contains no classes; write one class per line")
    table.raise_errors()
    return found


def choose(
    rows: Mapping[Source, Sequence[Row]], path: PathLike | None
) -> tuple[dict[Source, list[Row]], list[str]]:
    """Choose the classes of a set. Annotations of other classes are left out, with a warning.

    Parameters
    ----------
    rows : mapping of Source to sequence of Row
        The annotations of each recording.
    path : path-like, optional
        See `read`. By default, the classes are those of the annotations. The classes of events that
        a review has rejected, and of events that were not reviewed, do not count.

    Returns
    -------
    rows : dict of Source to list of Row
        The annotations of each recording, with the classes of the set.
    labels : list of str
        The classes of the set, in order.

    Raises
    ------
    InputError
        If no class remains, or if the list of classes can't be read.
    """
    if path is None:
        used = {
            row.annotation.label
            for of_source in rows.values()
            for row in of_source
            if row.annotation.status in ("", ACCEPTED)
        }
        if not used:
            raise InputError(
                "the annotation files contain no events of these recordings, so the classes are "
                "unknown; give the classes with labels (--labels FILE)"
            )
        return {source: list(of_source) for source, of_source in rows.items()}, sorted(used)
    names = read(path)
    found: dict[Source, list[Row]] = {source: [] for source in rows}
    others: collections.Counter[str] = collections.Counter()
    num_kept = 0
    for source, of_source in rows.items():
        for row in of_source:
            one = row.annotation
            if one.label in names:
                one = dataclasses.replace(one, label=names[one.label])
                num_kept += 1
            else:
                others[one.label] += one.status in ("", ACCEPTED)
                if one.status in ("", UNREVIEWED):
                    continue
                # A reviewed event of another class is none of the classes of the set.
                one = dataclasses.replace(one, status=REJECTED)
            found[source].append(row._replace(annotation=one))
    others = +others
    if others:
        _LOG.warning(
            f"annotations of classes that are not in {path} are left out "
            f"({counted(others.total(), 'annotation')}): "
            f"{first([f'{label!r} ({count})' for label, count in others.most_common()])}"
        )
    if others and not num_kept:
        name = others.most_common()[0][0]
        raise InputError(
            f"{path}: contains no class of the annotations, such as {name!r}; "
            f"{suggest(name, list(names))}"
        )
    return found, list(dict.fromkeys(names.values()))
