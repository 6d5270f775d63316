"""Find and read annotation files, and find the recordings to which their annotations belong."""

import collections
import dataclasses
import glob
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.wording import counted
from wsedtk.corpora.recording_names import RecordingNames, Source, is_absolute, only
from wsedtk.data import formats
from wsedtk.data.clip_names import has_audio_extension
from wsedtk.data.folders import as_text, check_reach, matching, walk
from wsedtk.data.formats.annotations import Annotation, Annotations, beginning
from wsedtk.data.table_files import raise_on_errors
from wsedtk.data.tables import first

_LOG = logging.getLogger(__name__)


class AnnotationFile(NamedTuple):
    """An annotation file: its path, the name of its format, and its content."""

    path: Path
    format_name: str
    content: Annotations


class Row(NamedTuple):
    """An annotation and the file that contains it."""

    path: Path
    annotation: Annotation

    @property
    def place(self) -> str:
        """The file and the line of the annotation."""
        return f"{self.path}:{self.annotation.line}"


def find(arguments: Iterable[PathLike], without: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the paths of possible annotation files.

    Parameters
    ----------
    arguments : iterable of path-like
        Files, folders, and patterns such as `labels/*.txt`.
    without : Path
        A folder whose files are left out.

    Yields
    ------
    path : Path
    is_given : bool
        Whether the file was given as a file or by a pattern. The files of a folder, except for
        sound files, may be annotation files or not.

    Raises
    ------
    InputError
        If a given folder can't be entered, or if no file matches a pattern.
    """
    seen = set()
    output = os.path.realpath(without)
    for argument in map(Path, arguments):
        for path, is_given in _find_one(argument, output):
            if path.absolute() not in seen:
                seen.add(path.absolute())
                yield path, is_given


def _find_one(argument: Path, output: str) -> Iterator[tuple[Path, bool]]:
    check_reach(argument)
    if argument.is_dir():

        def may_enter(names: tuple[str, ...]) -> bool:
            is_output = os.path.realpath(argument.joinpath(*names)) == output
            return not names[-1].startswith(".") and not is_output

        for parent, names in walk(argument, may_enter):
            for name in names:
                if not name.startswith(".") and not has_audio_extension(name):
                    yield Path(parent, name), False
    elif os.path.lexists(argument) or not glob.has_magic(str(argument)):
        yield argument, True
    else:
        found = matching(argument)
        if not found:
            raise InputError(f"{argument}: no file matches this pattern")
        for path in found:
            yield path, True


def recognise(path: Path) -> str | None:
    """Return the name of the format of a file, or None if no format recognises the file."""
    start, suffix = beginning(path), path.suffix.lower()
    for name in formats.FORMATS.names():
        if formats.event_format(name).recognises(start, suffix):
            return name
    return None


def read(
    paths: Iterable[tuple[Path, bool]], format_name: str | None, chosen: Sequence[str]
) -> list[AnnotationFile]:
    """Read annotation files.

    Parameters
    ----------
    paths : iterable of (Path, bool)
        See `find`. Files that were not given and are in no known format are left out, and a warning
        is logged.
    format_name : str, optional
        The format of all files. By default, the formats are recognised.
    chosen : sequence of str
        The tiers or columns that contain the classes. See `formats.EventFormat.read`.

    Raises
    ------
    InputError
        If a file can't be read or is faulty, if the format of a given file is not known, or if
        a format has no tiers or columns to choose. The message lists the first faults.
    """
    files, unknown = [], []
    for path, is_given in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file")
        name = format_name or recognise(path)
        if name is None:
            if is_given:
                raise InputError(
                    f"{path}: is in none of the formats {', '.join(formats.FORMATS.names())}; "
                    "choose the format with format_name (--format), or read other tables with "
                    "wsedtk prepare table"
                )
            unknown.append(as_text(path))
            continue
        form = formats.event_format(name)
        if chosen and not form.fields:
            raise InputError(
                f"{path}: the format {name} has no tiers or columns to choose; leave labels_in "
                "(--labels-in) out, or give files of this format in another command"
            )
        files.append(AnnotationFile(path, name, form.read(path, chosen)))
    raise_on_errors(fault for file in files for fault in file.content.faults)
    if unknown:
        _LOG.warning(
            f"files in no known format are not used ({counted(len(unknown), 'file')}): "
            f"{first(unknown)}"
        )
    if not files:
        raise InputError("found no annotation files; give files, or a folder that contains them")
    return files


@dataclasses.dataclass(frozen=True)
class Matched:
    """The annotations of recordings.

    Attributes
    ----------
    rows : dict of Source to list of Row
        The annotations of each recording that a file names, or to which a file belongs.
    files : list of (AnnotationFile, list of Source)
        The recordings of each file.
    missing : list of str
        The names of recordings, and the files without recordings, that were not found.
    """

    rows: dict[Source, list[Row]]
    files: list[tuple[AnnotationFile, list[Source]]]
    missing: list[str]


def match(files: Sequence[AnnotationFile], names: RecordingNames, single: Source | None) -> Matched:
    """Find the recordings to which annotations belong.

    If a file does not name its recordings, they are found by the name of the file.

    Parameters
    ----------
    files : sequence of AnnotationFile
    names : RecordingNames
    single : Source, optional
        The only recording. A file that does not name a recording belongs to it.

    Raises
    ------
    InputError
        If a name fits several recordings, if two absolute paths fit the same recording, or if files
        in different folders belong to the same recording.
    """
    rows: dict[Source, list[Row]] = {}
    matched, missing = [], []
    # The absolute paths, and the folders of the annotation files, by which a recording was found.
    spellings: dict[tuple[Source, bool], dict[str, Path]] = collections.defaultdict(dict)
    for file in files:
        sources = _sources(file, names, single)
        for row in file.content.rows:
            source = sources.get(row.recording)
            if source is not None:
                rows.setdefault(source, []).append(Row(file.path, row))
        for name, source in sources.items():
            if source is None:
                missing.append(name or as_text(file.path))
                continue
            rows.setdefault(source, [])
            if name == "":
                folder = str(file.path.absolute().parent)
                spellings[source, False].setdefault(folder, file.path)
            elif is_absolute(name):
                spellings[source, True].setdefault(name.replace("\\", "/"), file.path)
        found = [source for source in sources.values() if source is not None]
        matched.append((file, list(dict.fromkeys(found))))
    for (source, _), found_in in spellings.items():
        if len(found_in) > 1:
            (name, path), (other, other_path), *_ = found_in.items()
            raise InputError(
                f"{source.recording.path}: both {name} (in {path}) and {other} (in {other_path}) "
                "fit this recording; give only the annotation files of the recordings in this "
                "folder"
            )
    return Matched(rows, matched, missing)


def _sources(
    file: AnnotationFile, names: RecordingNames, single: Source | None
) -> dict[str, Source | None]:
    """Return the recording for each name in a file. The name "" means that a row has no name."""
    own = names.beside(file.path)
    found: dict[str, Source | None] = {}
    for name in file.content.recordings:
        fitting = names.named(name)
        if len(fitting) > 1:
            of_file = {source.recording for source in own}
            fitting = [one for one in fitting if one.recording in of_file] or fitting
        source = only(fitting, f"{file.path}: the name {name!r}") if fitting else None
        if source is not None and source.channel is None:
            same = [one for one in own if one.recording == source.recording]
            source = same[0] if same else source
        found[name] = source
    if not found or any(row.recording == "" for row in file.content.rows):
        found[""] = only(own, f"{file.path}: the name of the file") if own else single
    return found
