"""Convert a table of file names and classes to a data directory."""

import collections
import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.corpora import own_sets
from wsedtk.corpora.own_sets import OwnRecording, OwnSet, OwnSetOptions
from wsedtk.corpora.recording_names import RecordingNames, only
from wsedtk.corpora.registry import CORPORA, PrepareResult
from wsedtk.data import label_tables
from wsedtk.data.label_tables import Choices, LabelTable
from wsedtk.data.official import OWN
from wsedtk.data.tables import first, normal
from wsedtk.inference import recordings
from wsedtk.inference.recordings import Recording

MADE_BY = "prepare table"
BACKGROUND = "background"


@dataclasses.dataclass(frozen=True)
class TableOptions(OwnSetOptions):
    """The inputs, the output and the settings of `prepare table`.

    Parameters
    ----------
    table : path-like
        The table: a CSV or TSV file.
    audio_dir : path-like
        The folder of the recordings. Subfolders are searched, too.
    data_set : path-like
        The data directory to write.
    file_column : str, optional
        The heading of the column with the file names. By default, the column with most names of
        recordings.
    label_columns : sequence of str
        The heading of the column with the classes. Repeatable, for one column per class. By
        default, a column with a heading such as `label` or `species`, the columns that contain only
        1 and 0 (or yes and no, or x and nothing), or the only other column.
    group_column : str, optional
        The heading of the column with the groups, which `balance` never splits. By default, a
        column with the heading `group`, `site`, `location` or `station`. Without groups, each
        recording is a group.
    separator : str, optional
        The text between the classes in a cell, or `none` if each cell contains one class. By
        default, it is recognised.
    backgrounds : sequence of str
        A class in the table that means that no sound of any class occurs. Repeatable. The class
        `background` always means this.
    dry_run : bool
        Print the recognised form and the number of recordings of each class, and write nothing.

    Raises
    ------
    InputError
        If a number is out of its range.
    """

    table: PathLike
    audio_dir: PathLike
    data_set: PathLike
    _: dataclasses.KW_ONLY
    file_column: str | None = dataclasses.field(default=None, metadata={"metavar": "HEADING"})
    label_columns: Sequence[str] = dataclasses.field(
        default=(), metadata={"flag": "--label-column", "metavar": "HEADING"}
    )
    group_column: str | None = dataclasses.field(default=None, metadata={"metavar": "HEADING"})
    separator: str | None = None
    backgrounds: Sequence[str] = dataclasses.field(
        default=(), metadata={"flag": "--background", "metavar": "CLASS"}
    )
    dry_run: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("label_columns", "backgrounds"):
            if isinstance(getattr(self, name), str):
                raise InputError(
                    f"{name}: found {getattr(self, name)!r}; expected a sequence of texts"
                )
        if self.separator == "":
            raise InputError(
                "separator (--separator): found an empty text; expected a text or none"
            )


@dataclasses.dataclass(frozen=True)
class TablePlan(PrepareResult):
    """The result of a dry run: what `prepare table` would write.

    Attributes
    ----------
    notes : tuple of str
        The recognised form.
    counts : mapping of str to int
        The number of recordings of each class.
    num_untagged : int
        Number of recordings without tags.
    failed : mapping of str to str
        The reason for each recording that is missing, by its name in the table.
    """

    notes: tuple[str, ...] = ()
    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    num_untagged: int = 0
    failed: dict[str, str] = dataclasses.field(default_factory=dict)

    def to_text(self) -> str:
        """Return the text that `wsedtk prepare table --dry-run` prints."""
        counts = [*self.counts.items(), ("(no tags)", self.num_untagged)]
        width = len(str(max(count for _, count in counts)))
        lines = [
            *self.notes,
            "recordings of each class:",
            *(f"  {count:{width}} {label}" for label, count in counts),
            *(f"missing: {reason}" for reason in list(self.failed.values())[:5]),
        ]
        if len(self.failed) > 5:
            lines.append(f"... and {len(self.failed) - 5} more missing recordings")
        lines.append("nothing was written; run the command again without --dry-run")
        return "".join(f"{line}\n" for line in lines)


def _read(options: TableOptions, names: RecordingNames) -> LabelTable:
    @functools.cache
    def is_file(text: str) -> bool:
        return bool(names.named(text))

    choices = Choices(
        options.file_column, options.label_columns, options.group_column, options.separator
    )
    return label_tables.read(options.table, is_file, choices)


def _recordings(
    options: TableOptions, table: LabelTable, names: RecordingNames
) -> tuple[list[OwnRecording], dict[str, str]]:
    """Return the recordings of a table, and the reason for each recording that is missing."""
    backgrounds = {BACKGROUND, *map(normal, options.backgrounds)}
    failed: dict[str, str] = {}
    labels_of: dict[Recording, set[str]] = collections.defaultdict(set)
    groups_of: dict[Recording, dict[str, int]] = collections.defaultdict(dict)
    for row in table.rows:
        place = f"{options.table}:{row.line}: {row.file!r}"
        found = names.named(row.file)
        if not found:
            failed[row.file] = f"{place} is not in {options.audio_dir}"
            continue
        recording = only(found, place).recording
        labels_of[recording].update(
            label
            for label in row.labels
            if label not in backgrounds and label.lower() != BACKGROUND
        )
        if row.group:
            groups_of[recording].setdefault(row.group, row.line)
    for recording, groups in groups_of.items():
        if len(groups) > 1:
            raise InputError(
                f"{options.table}: the recording {recording.name!r} is in several groups: "
                f"{first([f'{group!r} (line {line})' for group, line in groups.items()])}; "
                "give each recording one group"
            )
    own = own_sets.recording_groups([normal(recording.name) for recording in labels_of])
    recordings_found = [
        OwnRecording(
            recording.path,
            normal(recording.name),
            next(iter(groups_of[recording]), group),
            frozenset(labels),
        )
        for (recording, labels), group in zip(labels_of.items(), own)
    ]
    return recordings_found, failed


def _check_spelling(labels: Sequence[str], path: PathLike) -> None:
    """Raise InputError if two classes differ only in their case."""
    by_key: dict[str, list[str]] = collections.defaultdict(list)
    for label in labels:
        by_key[" ".join(label.casefold().split())].append(label)
    alike = [names for names in by_key.values() if len(names) > 1]
    if alike:
        raise InputError(
            f"{path}: the classes {' and '.join(map(repr, alike[0]))} differ only in their case or "
            "spaces; give both the same spelling"
        )


@CORPORA.register("table")
def prepare(options: TableOptions) -> PrepareResult:
    """Make a data directory from a table of file names and classes.

    The table has one class in a row, several classes in a cell, or one column for each class. The
    form is recognised, and printed with --dry-run. Columns are separated by tabs, commas or
    semicolons, and a header is optional. A row without a class, or with the class `background`, is
    a recording without tags. A recording that the table does not contain is not used.

    Recordings that are longer than --clip-seconds are cut into clips. Each clip has the tags of its
    recording, also if the sound is only in another part of the recording. If a sound is rare in
    its recordings, mark its events, and use `prepare annotations` instead.

    Parameters
    ----------
    options : TableOptions
        The table, the folders and the settings.

    Returns
    -------
    OwnSetResult or TablePlan

    Raises
    ------
    InputError
        If the table is faulty or its form is not recognised, if too many recordings are missing or
        unreadable, or if `data_set` contains other data.

    Examples
    --------
    wsedtk prepare table labels.csv my_recordings data/labelled
    """
    folder = Path(options.data_set)
    if not options.dry_run:
        own_sets.check_output(folder, MADE_BY)
    if not Path(options.audio_dir).is_dir():
        raise InputError(f"{options.audio_dir}: no such folder; give the folder of the recordings")
    names = RecordingNames(recordings.find([options.audio_dir]))
    table = _read(options, names)
    found, failed = _recordings(options, table, names)
    used = {label for one in found for label in one.labels}
    labels = [label for label in table.labels if label in used]
    if not labels:
        raise InputError(f"{options.table}: contains no classes of recordings that were found")
    _check_spelling(labels, options.table)
    notes = [f"{what}: {text}" for what, text in table.form.items()]
    if options.dry_run:
        counts = {label: sum(label in one.labels for one in found) for label in labels}
        num_untagged = sum(not one.labels for one in found)
        return TablePlan((), tuple(notes), counts, num_untagged, failed)
    own_sets.check_failures(failed, len(found) + len(failed), options)
    info = {
        "made_by": MADE_BY,
        "corpus": OWN,
        "table": str(options.table),
        "tags": "complete",
    }
    own = OwnSet(found, labels, info, failed=failed, notes=notes)
    return own_sets.write(folder, own, options)
