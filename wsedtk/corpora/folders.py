"""Convert folders of a user's own recordings, one folder for each class, to a data directory."""

import collections
import dataclasses
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from wsedtk.core import provenance
from wsedtk.core.config import suggest
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.wording import counted
from wsedtk.corpora import own_sets
from wsedtk.corpora.own_sets import OwnRecording, OwnSet, OwnSetOptions
from wsedtk.corpora.registry import CORPORA, PrepareResult
from wsedtk.data.clip_names import has_audio_extension
from wsedtk.data.folders import as_text, walk
from wsedtk.data.official import OWN
from wsedtk.data.tables import first, normal

_LOG = logging.getLogger(__name__)

MADE_BY = "prepare folders"
BACKGROUND = "background"


@dataclasses.dataclass(frozen=True)
class FoldersOptions(OwnSetOptions):
    """The inputs, the output and the settings of `prepare folders`.

    Parameters
    ----------
    recordings_dir : path-like
        The folder that contains a folder of recordings for each class.
    data_set : path-like
        The data directory to write.
    class_folders : {"first", "last"}, optional
        Which folder names the class if recordings are in nested folders: "first" for
        CLASS/SITE/recording.wav, "last" for SITE/CLASS/recording.wav. The other folders are sites.
        Required if recordings are in nested folders.
    backgrounds : sequence of str
        A class folder, or the path of another folder, whose recordings contain no sound of any
        class. Repeatable. A folder named `background` in RECORDINGS_DIR is always used in this way.
    unknown : sequence of str
        A class folder, or the path of another folder, with recordings whose tags are unknown,
        because nobody has listened to them. Repeatable. No command takes them for backgrounds.

    Raises
    ------
    InputError
        If a number is out of its range.
    """

    recordings_dir: PathLike
    data_set: PathLike
    _: dataclasses.KW_ONLY
    class_folders: Literal["first", "last"] | None = None
    backgrounds: Sequence[str] = dataclasses.field(
        default=(), metadata={"flag": "--background", "metavar": "FOLDER"}
    )
    unknown: Sequence[str] = dataclasses.field(default=(), metadata={"metavar": "FOLDER"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.class_folders not in (None, "first", "last"):
            raise InputError(
                f"class_folders: found {self.class_folders!r}; expected 'first' or 'last'"
            )
        for name in ("backgrounds", "unknown"):
            if isinstance(getattr(self, name), str):
                raise InputError(
                    f"{name}: found {getattr(self, name)!r}; expected a sequence of folders"
                )


class _File(NamedTuple):
    """A sound file: its path, and its place, a tuple of the names of its folders and its name."""

    path: Path
    place: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the recording in the data directory."""
        return normal(as_text("/".join(self.place)))


def _scan(folder: Path, data_set: Path) -> list[_File]:
    """Return the sound files in a folder and its subfolders, except for those in `data_set`.

    Files and folders whose names begin with a dot are ignored.

    Raises InputError if the folder does not exist or can't be entered.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; expected a folder that contains a folder of recordings "
            "for each class"
        )
    output = os.path.realpath(data_set)

    def may_enter(names: tuple[str, ...]) -> bool:
        is_output = os.path.realpath(folder.joinpath(*names)) == output
        return not names[-1].startswith(".") and not is_output

    return [
        _File(Path(parent, name), (*Path(parent).relative_to(folder).parts, name))
        for parent, names in walk(folder, may_enter)
        for name in names
        if has_audio_extension(name) and not name.startswith(".")
    ]


def _class_index(options: FoldersOptions, files: Sequence[_File]) -> int:
    """Return the index of the class folder in the places of files: 0 (first) or -2 (last).

    Raises InputError if it is not known which of the nested folders are classes.
    """
    nested = [f for f in files if len(f.place) > 2 and not _has_background_name(f)]
    if options.class_folders is None and nested:
        firsts, lasts = (
            sorted({normal(as_text(f.place[index])) for f in files if not _has_background_name(f)})
            for index in (0, -2)
        )
        raise InputError(
            f"{options.recordings_dir}: found recordings in nested folders, such as "
            f"{nested[0].name!r}; say which folders are the classes: with class_folders "
            f"(--class-folders) first, the classes are {first(list(map(repr, firsts)))}; with "
            f"last, they are {first(list(map(repr, lasts)))}"
        )
    return -2 if options.class_folders == "last" else 0


def _has_background_name(file: _File) -> bool:
    return any(folder.lower() == BACKGROUND for folder in (file.place[0], file.place[-2]))


def _site(file: _File, index: int) -> str:
    """Return the site of a recording: the path of its folders without the class folder.

    `index` is the index of the class folder (see `_class_index`).
    """
    folders = file.place[:-1]
    is_first = index == 0 or folders[0].lower() == BACKGROUND
    return normal(as_text("/".join(folders[1:] if is_first else folders[:-1])))


def _check_loose(folder: Path, files: Sequence[_File]) -> None:
    """Raise InputError if there are no sound files, or if some are in no class folder."""
    if not files:
        raise InputError(
            f"{folder}: contains no files with the extension of a sound file, such as .wav; "
            "expected a folder with recordings for each class"
        )
    loose = [file.name for file in files if len(file.place) == 1]
    if loose:
        raise InputError(
            f"{folder}: {counted(len(loose), 'sound file is', 'sound files are')} in no class "
            f"folder: {first(loose)}; move them into the folder of their class, or into a folder "
            f"named {BACKGROUND} if they contain no sound of any class"
        )


def _warn_of_empty(folder: Path, files: Sequence[_File], data_set: Path) -> None:
    """Warn of folders beside the class folders that contain no sound files."""
    used = {file.place[0] for file in files}
    empty = [
        entry.name
        for entry in sorted(folder.iterdir())
        if entry.is_dir()
        and not entry.name.startswith(".")
        and entry.name not in used
        and os.path.realpath(entry) != os.path.realpath(data_set)
    ]
    if empty:
        names = first(list(map(as_text, empty)))
        _LOG.warning(f"{folder}: folders without sound files are not used: {names}")


class _Given(NamedTuple):
    """A folder that was given as an option: a class folder, or the files of another folder."""

    label: str
    files: list[_File]


def _given(option: str, text: str, labels: Iterable[str], options: FoldersOptions) -> _Given:
    """Find a folder that was given as an option. A class folder of this name comes first.

    Raises InputError if there is neither a class folder nor another folder, or if the other folder
    is in `recordings_dir` or contains it.
    """
    labels = list(labels)
    if normal(text) in labels:
        return _Given(normal(text), [])
    path, base = Path(text), Path(options.recordings_dir)
    if not path.is_dir():
        raise InputError(
            f"{option} {text}: neither a class folder of {base} nor the path of a folder; "
            f"{suggest(text, labels)}"
        )
    real, real_base = os.path.realpath(path), os.path.realpath(base)
    for label in labels:
        if real == os.path.join(real_base, label):
            return _Given(label, [])
    if os.path.commonpath([real, real_base]) in (real, real_base):
        raise InputError(
            f"{option} {text}: is no class folder of {base}, but one of the two folders contains "
            "the other; give the name of a class folder, or a folder elsewhere"
        )
    files = _scan(path, Path(options.data_set))
    if not files:
        raise InputError(f"{option} {text}: contains no sound files")
    name = Path(real).name
    return _Given("", [_File(file.path, (name, *file.place)) for file in files])


def _content(path: Path) -> str:
    """Return a fingerprint of a file. For an unreadable file, it is the path itself."""
    try:
        return provenance.fingerprint_file(path)
    except InputError:
        return str(path)


def _join_copies(recordings: Sequence[OwnRecording]) -> tuple[list[OwnRecording], int]:
    """Join the copies of a recording that are in several class folders to one recording.

    Copies have the same file name and the same content. Also return the number of joined
    recordings.
    """
    by_name: dict[str, list[OwnRecording]] = collections.defaultdict(list)
    for one in recordings:
        by_name[one.name.rpartition("/")[2]].append(one)
    joined, num_joined = [], 0
    for same_name in by_name.values():
        copies: dict[str, list[OwnRecording]] = collections.defaultdict(list)
        for one in same_name:
            copies[_content(one.path) if len(same_name) > 1 else ""].append(one)
        for group in copies.values():
            labels = frozenset[str]().union(*(one.labels for one in group))
            is_unknown = all(one.is_unknown for one in group)
            first_one = min(group, key=lambda one: one.name)
            joined.append(first_one._replace(labels=labels, is_unknown=is_unknown))
            num_joined += len(group) > 1
    return joined, num_joined


def _recordings(options: FoldersOptions) -> tuple[list[OwnRecording], list[str]]:
    """Find the recordings, their tags and their groups. Also return the classes, sorted."""
    base = Path(options.recordings_dir)
    files = _scan(base, Path(options.data_set))
    _check_loose(base, files)
    _warn_of_empty(base, files, Path(options.data_set))
    index = _class_index(options, files)
    labels_of = {file: normal(as_text(file.place[index])) for file in files}
    given, unknown = (
        [
            _given(option, text, sorted(set(labels_of.values())), options)
            for text in dict.fromkeys(texts)
        ]
        for option, texts in (
            ("background (--background)", options.backgrounds),
            ("unknown (--unknown)", options.unknown),
        )
    )
    backgrounds = {one.label for one in (*given, *unknown)}
    tagged: list[tuple[_File, frozenset[str], str]] = []
    for file, label in labels_of.items():
        is_background = label in backgrounds or _has_background_name(file)
        labels = frozenset[str]() if is_background else frozenset([label])
        tagged.append((file, labels, _site(file, index)))
    for one in (*given, *unknown):
        tagged += [(file, frozenset(), _site(file, 0)) for file in one.files]
    own_groups = own_sets.recording_groups([file.name for file, _, _ in tagged])
    is_unknown = {file for one in unknown for file in one.files}
    unknown_labels = {one.label for one in unknown}
    is_unknown |= {file for file, label in labels_of.items() if label in unknown_labels}
    recordings = [
        OwnRecording(file.path, file.name, site or group, labels, is_unknown=file in is_unknown)
        for (file, labels, site), group in zip(tagged, own_groups)
    ]
    labels_found = sorted({label for one in recordings for label in one.labels})
    if not labels_found:
        raise InputError(
            f"{base}: all folders are backgrounds or have unknown tags, and no class folder "
            "remains; expected a folder with recordings for each class"
        )
    return recordings, labels_found


@CORPORA.register("folders")
def prepare(options: FoldersOptions) -> PrepareResult:
    """Make a data directory from folders of recordings, one folder for each class.

    The recordings of a class are in RECORDINGS_DIR/CLASS, and recordings without a sound of any
    class are in RECORDINGS_DIR/background or in the folder of --background. Such recordings are
    needed: without them, a system finds a sound everywhere. Folders of sites can be inside the
    class folders or above them (see --class-folders).

    Recordings that are longer than --clip-seconds are cut into clips. Each clip has the tag of its
    recording, also if the sound is only in another part of the recording. If a sound is rare in
    its recordings, mark its events, and use `prepare annotations` instead.

    A copy of a recording in several class folders has the tags of all of them. Copies have the same
    file name and the same content. `balance` keeps the clips of a site together or, without
    folders of sites, the clips of a recording. Recordings named as in ESC-10 are grouped by their
    id.

    Parameters
    ----------
    options : FoldersOptions
        The folders and the settings.

    Returns
    -------
    OwnSetResult

    Raises
    ------
    InputError
        If the folders do not have this structure, if too many recordings are unreadable, or if
        `data_set` contains other data.

    Examples
    --------
    wsedtk prepare folders my_recordings data/own --jobs 2
    """
    folder = Path(options.data_set)
    own_sets.check_output(folder, MADE_BY)
    recordings, labels = _recordings(options)
    recordings, num_joined = _join_copies(recordings)
    notes = []
    if num_joined:
        notes.append(
            f"{counted(num_joined, 'recording')} with copies in several folders: a copy has the "
            "tags of all of its folders"
        )
    info = {
        "made_by": MADE_BY,
        "corpus": OWN,
        "recordings": str(options.recordings_dir),
        "tags": "complete",
    }
    own = OwnSet(recordings, labels, info, notes=notes)
    return own_sets.write(folder, own, options)
